"""net/ipv6/ipv6_sockglue.c, what TCP needs of it. See ipv6_sockglue.pyx."""
from kpath_c.headers.tcp cimport *

cdef int ipv6_setsockopt(sock *sk, int optname, int val) noexcept nogil
cdef int ipv6_getsockopt(sock *sk, int optname, int *val) noexcept nogil
