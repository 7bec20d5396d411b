# SPDX-License-Identifier: GPL-2.0-only
"""Memory for a whole capture: in large pages where the system has them, as the faults for small ones cost more than
reading the packets does."""
from libc.stddef cimport size_t
from libc.stdint cimport int64_t

cdef void *big_alloc(size_t n) except NULL     # zeroed
# Makes room in malloc'ed memory for `need` elements of `size` bytes; what is there stays.
cdef int grow(void **p, Py_ssize_t *room, Py_ssize_t need, size_t size) except -1
cdef void big_free(void *p, size_t n) noexcept nogil

cdef class Column:
    cdef int64_t *p
    cdef readonly Py_ssize_t n
    cdef Py_ssize_t room
    cdef bint repeats
    cdef Py_ssize_t shape[1]
    cdef Py_ssize_t strides[1]
