# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from .segments cimport Seg, Table

cdef enum:
    NFIELDS = 11

cdef struct Steps:
    int32_t *trace              # row d holds x for diagonals -d..d
    Py_ssize_t x                # the end of the way: a's index, diagonal, edits
    Py_ssize_t k
    Py_ssize_t d

cdef struct Kept:               # a segment that waits for its pair, or for the end of the capture
    Seg s
    int64_t number              # among all segments of its table
    int64_t packet              # of the capture, from 1

cdef struct Head:               # its IP and TCP headers
    uint8_t p[128]

cdef struct Queue:              # segments of one connection from earlier windows
    Kept *p
    Head *head                  # NULL: none of them can be shown as the first difference
    Py_ssize_t n
    Py_ssize_t room

cdef struct Waiting:
    Queue cap
    Queue emi

cdef struct Count:              # of one connection's segments
    int64_t captured
    int64_t emitted
    int64_t matched
    int64_t packet              # number of the first one captured that differs, 0 none
    bint differs
    int astray                  # of the pairs found last so many differed, but not in their place
    Waiting *waiting            # NULL: nothing waits

cdef struct Run:                # segments of one connection in order: those kept, then those of the window
    Seg **list
    Py_ssize_t room
    Kept *kept
    const Head *head            # theirs, or NULL
    Py_ssize_t nkept
    Py_ssize_t n                # of both
    Py_ssize_t at               # those before are paired
    Seg *seg                    # the window's
    int64_t base                # number of the window's first segment
    const uint8_t *buf
    const int64_t *packet       # by row; NULL: they are counted from packet0
    int64_t packet0

cdef struct Noted:              # the first difference of a connection: places in its runs
    int64_t t
    Py_ssize_t c
    Py_ssize_t e
    uint32_t bits

@cython.final
cdef class Pairing:
    cdef Count *count           # of each connection
    cdef Py_ssize_t nconn, room
    cdef readonly Py_ssize_t replayed_count
    cdef int64_t *mate_c        # captured index -> emitted index, -1; NULL where there are several windows
    cdef int64_t *mate_e
    cdef Table cap, emi
    cdef Run c, e               # of the connection that is compared now
    cdef Noted noted
    cdef Steps w
    cdef readonly int64_t captured, emitted, matched, tolerance
    cdef int64_t fields[NFIELDS]
    cdef int64_t first_c, first_e, first_t, first_packet
    cdef uint32_t first_bits
    cdef tuple first_rows       # None: there is no difference
    cdef readonly int64_t in_time     # of the matched, those within 1 ms
    cdef int make_room(self, bint last) except -1
    cdef void no_more(self, Count *count) noexcept
    cdef int one(self, int32_t c, bint last) except -1
    cdef void give_up(self) noexcept nogil
    cdef int wait(self, Count *count) except -1
    cdef int settle_first(self, Count *count) except -1
    cdef int rest(self, bint last, bint astray) except -1
    cdef void settle(self, Py_ssize_t n, Py_ssize_t m, const uint64_t *cs, const uint64_t *es,
                     int64_t *mate) noexcept nogil
    cdef void gap(self, Py_ssize_t c, Py_ssize_t n, Py_ssize_t e, Py_ssize_t m, const int64_t *mate) noexcept nogil
    cdef void count_pair(self, Py_ssize_t c, Py_ssize_t e) noexcept nogil
    cdef void count_one(self, Py_ssize_t c, Py_ssize_t e) noexcept nogil
    cdef void note(self, int64_t t, Py_ssize_t c, Py_ssize_t e, uint32_t bits) noexcept nogil
