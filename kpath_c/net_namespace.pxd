"""net/core/net_namespace.c: how a host comes to be and goes. See net_namespace.pyx."""
from kpath_c.headers.tcp cimport *

cdef int setup_net(net *n) noexcept nogil
cdef void cleanup_net(net *n) noexcept nogil
