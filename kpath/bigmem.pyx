# SPDX-License-Identifier: GPL-2.0-only
"""Memory for a whole capture (see bigmem.pxd)."""

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy
from posix.mman cimport (MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE, madvise, mmap,
                         munmap)

cdef enum:
    FIRST_ROOM = 64
    HUGE_PAGE = 2 << 20
    WORTH_MAPPING = 128 << 10   # less comes from memory that has been touched before

cdef extern from "<stdlib.h>" nogil:
    void *aligned_alloc(size_t alignment, size_t size)

cdef extern from *:
    """
    #ifndef MADV_HUGEPAGE
    #define MADV_HUGEPAGE 14
    #endif
    """
    int MADV_HUGEPAGE


cdef int grow(void **p, Py_ssize_t *room, Py_ssize_t need, size_t size) except -1:
    cdef Py_ssize_t want = room[0] * 2 if room[0] else FIRST_ROOM
    cdef void *q
    if need <= room[0]:
        return 0
    while want < need:
        want *= 2
    q = regrown(p[0], <size_t>room[0] * size, <size_t>want * size)
    if q == NULL:
        raise MemoryError
    p[0] = q
    room[0] = want
    return 0


cdef void *regrown(void *p, size_t old, size_t n) noexcept nogil:
    """realloc(), but what is large comes in huge pages: copying would touch small ones, each with a fault."""
    cdef void *q
    if n < HUGE_PAGE:
        return realloc(p, n)
    n = (n + HUGE_PAGE - 1) & ~<size_t>(HUGE_PAGE - 1)
    q = aligned_alloc(HUGE_PAGE, n)
    if q == NULL:
        return NULL
    madvise(q, n, MADV_HUGEPAGE)           # no loss where it is refused
    if old:
        memcpy(q, p, old)
    free(p)
    return q


cdef void *big_alloc(size_t n) except NULL:
    cdef void *p
    if n < WORTH_MAPPING:
        p = calloc(n + 1, 1)
        if p == NULL:
            raise MemoryError
        return p
    p = mmap(NULL, n + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if p == MAP_FAILED:
        raise MemoryError
    madvise(p, n + 1, MADV_HUGEPAGE)       # no loss where it is refused
    return p


cdef void big_free(void *p, size_t n) noexcept nogil:
    if n < WORTH_MAPPING:
        free(p)
    elif p != NULL:
        munmap(p, n + 1)


cdef class Column:
    """A row of `room` int64 zeros, of which `n` are in use; a buffer of those.

    Memory is taken as it is written to, so that room may be plenty. repeats: all `n` are the first one.
    """

    def __cinit__(self, Py_ssize_t room):
        self.p = <int64_t *>big_alloc(<size_t>room * sizeof(int64_t))
        self.room = room

    def __dealloc__(self):
        big_free(self.p, <size_t>self.room * sizeof(int64_t))

    def __getbuffer__(self, Py_buffer *view, int flags):
        self.shape[0], self.strides[0] = self.n, 0 if self.repeats else sizeof(int64_t)
        view.buf = self.p
        view.obj = self
        view.len = self.n * sizeof(int64_t)
        view.itemsize = sizeof(int64_t)
        view.readonly = 0
        view.ndim = 1
        view.format = "q"
        view.shape = self.shape
        view.strides = self.strides
        view.suboffsets = NULL
        view.internal = NULL

    def __releasebuffer__(self, Py_buffer *view):
        pass
