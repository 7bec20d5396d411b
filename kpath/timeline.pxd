# SPDX-License-Identifier: GPL-2.0-only
from libc.stdint cimport int64_t, uint32_t

from .segments cimport Table

cdef enum:
    CONNECT_LEAD = 8000     # ns by which an inferred connect() comes before its SYN

cdef struct Move:           # one write or read
    int64_t t               # ns
    int64_t length
    int flags               # MSG_
    bint fresh              # all was quiet before

cdef struct Moves:
    Move *p
    Py_ssize_t n
    Py_ssize_t room
    bint fresh              # the next one will be

cdef struct Did:            # what an application did to send; times in ns, -1: it did not
    Moves writes
    int64_t block           # the writes are to be cut into blocks of so many bytes, 0: not
    bint nodelay
    int64_t fin
    bint half_closed        # it went on reading behind its FIN
    int64_t abort
    int64_t peer_fin

cdef class Timeline:
    cdef Table tab
    cdef int64_t *order
    cdef int64_t *first
    cdef int64_t established(self, Py_ssize_t c) noexcept nogil
    cdef int writes(self, Py_ssize_t c, bint paced, Did *did) except -1
    cdef Py_ssize_t read_times(self, Py_ssize_t c, int64_t *out) noexcept nogil
    cdef int reads(self, Py_ssize_t c, Moves *out) except -1
    cdef int find_reads(self, Py_ssize_t c, Moves *out) except -1
    cdef int64_t handshake(self, Py_ssize_t c) noexcept nogil
    cdef int shift(self, Py_ssize_t c) noexcept nogil
    cdef bint stands(self, int64_t i, uint32_t ack, uint32_t edge, int shift) noexcept nogil
    cdef uint32_t full_size(self, Py_ssize_t c) noexcept nogil
