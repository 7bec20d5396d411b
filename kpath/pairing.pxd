# SPDX-License-Identifier: GPL-2.0-only
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from .segments cimport Table

cdef enum:
    NFIELDS = 11

cdef struct Steps:
    int32_t *trace              # row d holds x for diagonals -d..d
    Py_ssize_t x                # the end of the way: a's index, diagonal, edits
    Py_ssize_t k
    Py_ssize_t d

cdef struct Count:              # of one connection's segments; the first that differ, -1 none
    int64_t captured
    int64_t emitted
    int64_t matched
    int64_t first_c
    int64_t first_e

cdef class Pairing:
    cdef Count *count           # of each connection
    cdef Py_ssize_t nconn
    cdef readonly Py_ssize_t replayed_count
    cdef int64_t *mate_c        # captured index -> emitted index, -1
    cdef int64_t *mate_e
    cdef Table cap, emi
    cdef readonly int64_t captured, emitted, matched, tolerance
    cdef int64_t fields[NFIELDS]
    cdef int64_t first_c, first_e, first_t
    cdef uint32_t first_bits
    cdef readonly int64_t in_time     # of the matched, those within 1 ms
    cdef int one(self, Count *count, Steps *w, const int64_t *c, Py_ssize_t n, const int64_t *e,
                 Py_ssize_t m) except -1
    cdef int rest(self, Steps *w, const int64_t *c, Py_ssize_t n, const int64_t *e, Py_ssize_t m) except -1
    cdef void settle(self, Steps *w, const int64_t *c, Py_ssize_t n, const int64_t *e, Py_ssize_t m,
                     const uint64_t *cs, const uint64_t *es, int64_t *mate) noexcept nogil
    cdef void gap(self, const int64_t *c, Py_ssize_t n, const int64_t *e, Py_ssize_t m,
                  const int64_t *mate) noexcept nogil
    cdef void count_pair(self, int64_t c, int64_t e) noexcept nogil
    cdef void count_compared(self, int64_t c, int64_t e, uint32_t bits) noexcept nogil
    cdef void count_one(self, int64_t c, int64_t e) noexcept nogil
    cdef void note(self, int64_t t, int64_t c, int64_t e, uint32_t bits) noexcept nogil
