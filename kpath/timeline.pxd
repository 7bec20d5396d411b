# SPDX-License-Identifier: GPL-2.0-only
from libc.stdint cimport int64_t, uint8_t, uint32_t

from .segments cimport Table

cdef enum:
    CONNECT_LEAD = 8000     # ns by which an inferred connect() comes before its SYN
    SETTLED = 1200000       # ns after which no segment changes what was called before it (LAG, and what reading takes)

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

cdef struct State:          # of a sender, see `write`
    uint32_t high           # end of what was sent, in sequence space
    uint32_t una
    uint32_t sml            # end of the last small segment
    uint32_t mss
    uint32_t recover        # end of what was sent at the last retransmission
    uint32_t flight         # the most that was unacknowledged
    uint8_t sacked          # the last ACK had SACK blocks
    uint8_t paced           # the congestion control spaces segments out itself
    int64_t arrival         # time of it
    int64_t event           # time of the last segment in either direction
    int64_t written         # time of the last call

cdef struct Reader:         # see Timeline.look
    int64_t base
    int64_t before
    int64_t soonest
    uint32_t high
    uint32_t edge
    uint32_t acked_to
    uint8_t unread
    uint8_t idle
    uint8_t acked

cdef struct Edge:           # of the window that was offered, see `offer`
    uint32_t edge
    uint32_t ack
    uint32_t most
    uint32_t still
    uint32_t mss            # the longest segment
    int64_t event
    uint8_t any
    uint8_t stalled

cdef struct Flow:           # what is known of one connection's application; times in ns, -1: it did not
    State w
    Reader r
    Edge e
    int64_t rtt             # of the handshake, 0 not known
    int64_t run_t           # a write under way: when it began, how long it is so far
    int64_t run
    int64_t run_said        # how much of that has been called already
    int64_t fin
    int64_t abort
    int64_t peer_fin
    int64_t block           # the writes are to be cut into blocks of so many bytes, 0: not
    int64_t block_at        # bytes written since all was quiet
    int64_t cut_at          # the same, as far as they have been cut
    int64_t since           # nothing is called before
    int slot                # of its socket, -1 not open yet
    uint8_t begun
    uint8_t synack             # a SYN-ACK was sent
    uint8_t ended              # the write under way may be over
    uint8_t fresh              # all was quiet: the next write is the first of its kind
    uint8_t nodelay            # small segments went out one behind the other
    uint8_t late_data          # arrived behind its FIN: it went on reading
    uint8_t late_reset
    # what was called already
    uint8_t nodelay_set
    uint8_t reads_itself       # its reads are calls
    uint8_t shut               # shutdown(), but no close()
    uint8_t closed

cdef class Timeline:
    cdef Table tab
    cdef Flow *flow         # of each connection
    cdef Py_ssize_t room
    cdef Edge before        # of the connection that `look` was called for last: as it was then
    cdef int window(self) except -1
    cdef Flow *of(self, Py_ssize_t c) noexcept nogil
    cdef int64_t established(self, Py_ssize_t c) noexcept nogil
    cdef Py_ssize_t look(self, Py_ssize_t c, bint paced, bint last, int64_t known, Moves *out,
                         int64_t *times) except -1
    cdef int64_t full_until(self, Py_ssize_t c) noexcept nogil
    cdef int reads(self, Py_ssize_t c, Moves *out) except -1
    cdef int64_t handshake(self, Py_ssize_t c) noexcept nogil
    cdef int shift(self, Py_ssize_t c) noexcept nogil
    cdef uint32_t full_size(self, Py_ssize_t c) noexcept nogil

cdef int add(Moves *m, int64_t t, int64_t length, int flags) except -1
