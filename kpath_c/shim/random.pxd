"""The host's random numbers: seeding and filling; the draws are inlines of headers/kernel.pxd."""
from kpath_c.headers.kernel cimport *

cdef void random_seed(net *n, u64 seed) noexcept nogil
cdef void get_random_bytes(net *n, void *buf, size_t length) noexcept nogil
