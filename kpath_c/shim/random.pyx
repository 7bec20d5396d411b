"""The host's random numbers. Stands for drivers/char/random.c: the same seed gives the same run."""
from kpath_c.headers.kernel cimport *


cdef void random_seed(net *n, u64 seed) noexcept nogil:
    n.e.random_state = seed


cdef void get_random_bytes(net *n, void *buf, size_t length) noexcept nogil:
    cdef u8 *p = <u8 *>buf
    cdef u64 x
    cdef size_t step
    while length > 0:
        x = get_random_u64(n)
        step = min_size(length, 8)
        memcpy(p, &x, step)
        p += step
        length -= step
