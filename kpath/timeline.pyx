# SPDX-License-Identifier: GPL-2.0-only
"""What a capture tells of the local application's socket calls, connection by connection.

The rules, and how far they can be trusted:
- A write ends where a segment has PSH: the kernel sets it on the last segment of each write. It sets it on the last
  of each skb that it cuts, too; so the PSH of a full segment ends a write only if a pause follows.
- Long transfers are written in blocks of a power of two; short segments in between tell which.
- A short segment with PSH shows an empty send queue: what follows was written after it.
- A reader runs when a burst is over: behind the ACKs that the stack sent at once, and before the answer.
- A reader whose window's right edge stands still while data arrives does not read; it read when the edge moved.
"""

from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t
from libc.stdlib cimport free

from .bigmem cimport grow
from .segments cimport ACK, ARRIVED, FIN, PSH, RST, SENT, SYN, URG, Conn, Seg, Table

cdef enum:
    LEAD = 6000           # ns by which a call comes before the segment that it causes
    BEHIND = 5000         # ns by which it comes after the capture's time of what arrived before: the stack is later too
    SOON = 250000         # ns within which a segment is taken as the answer to what arrived
    IDLE = 500000         # ns without a packet after which a machine takes longer to get going
    QUIET = 48000         # ns of silence after an arrival that let the reader run in between
    QUIET_ACKED = 40000   # the same after the stack's ACK for it
    QUIET_IDLE = 105000   # the same when the machine had been idle
    LAG = 1000000         # ns by which a reader may come late
    BLOCK = 4096          # the smallest block that a long transfer is written in
    FEW = 8               # segments in flight that no window of a connection in good order holds back
    LOOK = 32             # segments looked ahead for an ACK
    READ = 22000          # ns from an arrival to the read
    READ_ACKED = 12000    # ns from the ACK for it to the read

cdef enum:
    MSG_OOB = 0x1
    MSG_MORE = 0x8000



cdef inline bint after(uint32_t a, uint32_t b) noexcept nogil:
    return <int32_t>(b - a) < 0


cdef struct State:
    uint32_t high         # end of what was sent, in sequence space
    uint32_t una
    uint32_t sml          # end of the last small segment
    uint32_t mss
    uint32_t recover      # end of what was sent at the last retransmission
    bint sacked           # the last ACK had SACK blocks
    bint paced            # the congestion control spaces segments out itself
    int64_t arrival       # time of it
    int64_t event         # time of the last segment in either direction
    int64_t written       # time of the last call


cdef int add(Moves *m, int64_t t, int64_t length, int flags) except -1:
    if m.n == m.room:
        grow(<void **>&m.p, &m.room, m.n + 1, sizeof(Move))
    m.p[m.n].t, m.p[m.n].length, m.p[m.n].flags, m.p[m.n].fresh = t, length, flags, m.fresh
    m.fresh = False
    m.n += 1
    return 0


cdef class Timeline:
    """The segments of a table by connection, ready to be asked about each."""

    def __cinit__(self, Table tab not None):
        self.tab = tab
        self.first = tab.ranges(&self.order, (1 << SENT) | (1 << ARRIVED))

    def __dealloc__(self):
        free(self.order)
        free(self.first)

    cdef int64_t established(self, Py_ssize_t c) noexcept nogil:
        """When the handshake of a connection was over at this end (ns), or -1."""
        cdef int64_t i
        cdef Seg *s
        cdef bint synack = False
        for i in range(self.first[c], self.first[c + 1]):
            s = &self.tab.seg[self.order[i]]
            if s.side == SENT and s.flags & SYN and s.flags & ACK:
                synack = True
            elif s.side == ARRIVED and s.flags & ACK and not s.flags & RST:
                if s.flags & SYN:
                    if not self.tab.conn[c].synack_out:
                        return s.t
                elif synack and s.ack == self.tab.conn[c].isn_out + 1:
                    return s.t
                elif synack and after(s.ack, self.tab.conn[c].isn_out):
                    return s.t
        return -1

    cdef int writes(self, Py_ssize_t c, bint paced, Did *did) except -1:
        """What the application of connection c did to send. paced: the congestion control spaces segments out itself.

        Overwrites `did`, but keeps its memory, which is the caller's to free.
        """
        cdef State w
        cdef Moves *out = &did.writes
        cdef int64_t i, run_t = 0, fin_t = -1, abort_t = -1, peer_fin = -1
        cdef uint32_t run = 0, end, new
        cdef bint ended = False, nodelay = False, more = False, late_data = False, late_reset = False
        cdef Seg *s
        cdef int64_t rtt = self.handshake(c)
        out.n = 0
        out.fresh = True
        start(&w, self.tab.conn[c].isn_out + 1)
        w.mss = self.full_size(c)
        w.paced = paced
        for i in range(self.first[c], self.first[c + 1]):
            s = &self.tab.seg[self.order[i]]
            if s.bad:
                continue
            if s.side == ARRIVED:
                arrive(&w, s)
                if s.flags & FIN and peer_fin < 0:
                    peer_fin = s.t
                late_data |= fin_t >= 0 and s.len > 0
                w.event = s.t + BEHIND
                continue
            end = s.seq + s.len
            if s.flags & RST:
                late_reset = True
                if s.flags & ACK and s.seq == w.high and abort_t < 0:
                    abort_t = call_time(&w, s.t)
            elif s.len and not s.flags & SYN and after(end, w.high):
                new = end - w.high
                if run and held_back(&w, s.t, ended, rtt):
                    # an end in a full segment, or Nagle's rule kept the rest of the write for this segment
                    add(out, run_t, run if ended else run + 1, 0)
                    new -= 0 if ended else 1
                    run = 0
                if run == 0:    # the send queue was empty: what had been there would have filled the segment up
                    if w.una == w.high and s.t - w.event > IDLE:
                        out.fresh = True
                    run_t = w.written = call_time(&w, s.t)
                ended = False
                if s.len < w.mss and not s.flags & FIN:
                    # Nagle's rule as the kernel has it: one small segment may be unacknowledged
                    nodelay |= after(w.sml, w.una) and after(w.sml, w.high - 1)
                    w.sml = end
                run += new
                w.high = end
                if s.flags & URG and s.urg:
                    run = <uint32_t>flush_urgent(out, run_t, run, s)
                elif s.flags & PSH and s.len % w.mss == 0 and not s.flags & FIN:
                    ended = True      # of an skb that was cut; perhaps of the write
                elif s.flags & (PSH | FIN):
                    more = s.flags & FIN and not s.flags & PSH
                    add(out, run_t, run, MSG_MORE if more else 0)
                    run = 0
            elif s.len and not s.flags & SYN:
                w.recover = w.high
            if s.flags & FIN and fin_t < 0:
                fin_t = w.written + 1 if s.len else call_time(&w, s.t)
                w.written = fin_t
                w.high = end + 1
            w.event = s.t
        if run:
            add(out, run_t, run, 0)
        did.block = block(out)
        did.nodelay, did.fin, did.half_closed = nodelay, fin_t, late_data and not late_reset
        did.abort, did.peer_fin = abort_t, peer_fin
        return 0

    cdef Py_ssize_t read_times(self, Py_ssize_t c, int64_t *out) noexcept nogil:
        """When the application of connection c reads, if it reads as data arrives: ns << 1 | if-owed. Their number.

        An entry with the lowest bit set holds only if the stack owes an ACK then, which is that read's to send. There
        is one for each segment at the most, and one more.
        """
        cdef int64_t i, k, base = 0, before = 0, t, soonest = 0, quiet
        cdef int shift = self.shift(c)
        cdef bint unread = False, idle = False, acked = False
        cdef Seg *s
        cdef uint32_t high = self.tab.conn[c].isn_out + 1, edge = 0, acked_to = 0
        k = 0
        for i in range(self.first[c], self.first[c + 1]):
            s = &self.tab.seg[self.order[i]]
            if s.bad or s.flags & (SYN | RST):
                before = s.t
                continue
            quiet = s.t - base
            if unread and quiet >= (QUIET_IDLE if idle else QUIET_ACKED if acked else QUIET) and not (
                quiet < SOON and s.side == SENT and not s.len or quiet < LAG and self.stands(i, acked_to, edge, shift)
            ):
                out[k] = (base + (READ_ACKED if acked else READ)) << 1
                k += 1
                # what follows may be the read's own doing, but not in the same moment
                unread = False
            if s.side == ARRIVED:
                if s.len or s.flags & FIN:
                    if not unread or s.t - before > IDLE:
                        idle = s.t - before > IDLE
                    unread, acked, base, soonest = True, False, s.t, s.t
            elif unread and (s.len or s.flags & FIN) and after(s.seq + s.len + (s.flags & FIN), high):
                t = s.t - LEAD - 1000
                if t < soonest + BEHIND - 1000:
                    t = soonest + BEHIND - 1000
                out[k] = t << 1
                k += 1
                unread = False
            elif unread:
                if s.t - soonest < SOON:
                    t = s.t - LEAD
                    if t > soonest + BEHIND:
                        out[k] = t << 1 | 1
                        k += 1
                base, acked = s.t, True
            if s.side == SENT:
                edge = s.ack + (<uint32_t>s.win << shift)
                acked_to = s.ack
                if after(s.seq + s.len, high):
                    high = s.seq + s.len
            before = s.t
        if unread:
            out[k] = (base + (READ_ACKED if acked else READ)) << 1
            k += 1
        return k

    cdef int64_t handshake(self, Py_ssize_t c) noexcept nogil:
        """The round trip of the handshake (ns), 0 if it cannot be seen."""
        cdef Conn *p = &self.tab.conn[c]
        cdef int64_t i
        cdef Seg *s
        if p.syn_out < 0 or p.syn_in < 0:
            return 0
        if not p.synack_out:
            return self.tab.seg[p.syn_in].t - self.tab.seg[p.syn_out].t
        for i in range(self.first[c], self.first[c + 1]):
            s = &self.tab.seg[self.order[i]]
            if s.side == ARRIVED and s.flags & ACK and s.t > self.tab.seg[p.syn_out].t:
                return s.t - self.tab.seg[p.syn_out].t
        return 0

    cdef int shift(self, Py_ssize_t c) noexcept nogil:
        """By how many bits the windows sent are scaled."""
        cdef Conn *p = &self.tab.conn[c]
        if p.syn_out < 0 or p.syn_in < 0 or self.tab.seg[p.syn_in].wscale == 255:
            return 0
        return 0 if self.tab.seg[p.syn_out].wscale == 255 else min(14, <int>self.tab.seg[p.syn_out].wscale)

    cdef bint stands(self, int64_t i, uint32_t ack, uint32_t edge, int shift) noexcept nogil:
        """Does the next ACK after segment i leave the window's right edge where it was: was nothing read until then?"""
        cdef Seg *s
        cdef int64_t k
        for k in range(i, min(i + LOOK, self.first[self.tab.seg[self.order[i]].conn + 1])):
            s = &self.tab.seg[self.order[k]]
            if s.side == SENT and not s.bad and not s.flags & (SYN | RST):
                return after(s.ack, ack) and s.ack + (<uint32_t>s.win << shift) == edge
        return False

    cdef uint32_t full_size(self, Py_ssize_t c) noexcept nogil:
        """Payload of a full segment, from the MSS that both sides announced."""
        cdef Conn *p = &self.tab.conn[c]
        cdef uint32_t mss = 65535
        if p.syn_out < 0 or p.syn_in < 0:
            return 536
        if self.tab.seg[p.syn_out].mss:
            mss = self.tab.seg[p.syn_out].mss
        mss = min(mss, <uint32_t>(self.tab.seg[p.syn_in].mss if self.tab.seg[p.syn_in].mss else 536))
        return mss - 12 if mss > 12 and self.tab.seg[p.syn_out].ts and self.tab.seg[p.syn_in].ts else mss

    cdef int reads(self, Py_ssize_t c, Moves *out) except -1:
        """Whether the application of connection c did not read as data arrived; `out`: its reads, if so.

        Overwrites `out`, but keeps its memory. length -1: all that there was.
        """
        # Mostly it did, and then a list of all the times would be made for nothing.
        out.n = 0
        return self.find_reads(c, NULL) and self.find_reads(c, out)

    cdef int find_reads(self, Py_ssize_t c, Moves *out) except -1:
        """Whether the reader of connection c ever stalled; its reads are added to `out`."""
        cdef int64_t i, t
        cdef Seg *s
        cdef uint32_t edge = 0, ack = 0, most = 0, still = 0, mss = 536, win, moved
        cdef int shift = self.shift(c)
        cdef bint any_ = False, stalled = False
        cdef int64_t event = 0
        if self.tab.conn[c].syn_out < 0 or self.tab.conn[c].syn_in < 0:
            return False
        for i in range(self.first[c], self.first[c + 1]):
            s = &self.tab.seg[self.order[i]]
            if s.bad or s.flags & (SYN | RST):
                continue
            if s.side == ARRIVED:
                mss = max(mss, s.len)
                event = s.t + BEHIND
                continue
            win = <uint32_t>s.win << shift
            if any_ and after(s.ack + win, edge):
                moved = s.ack + win - edge
                t = max(event + 1, s.t - LEAD)
                if out != NULL:
                    add(out, t, -1 if win >= most else <int64_t>moved, 0)
                still = 0
            elif any_:
                still += s.ack - ack
                stalled |= still > 2 * mss
            most = max(most, win)
            if not any_ or after(s.ack + win, edge):
                edge = s.ack + win
            ack = s.ack
            any_ = True
            event = s.t
        return stalled


cdef void start(State *w, uint32_t high) noexcept nogil:
    w.high = w.una = w.sml = w.recover = high
    w.sacked = w.paced = False
    w.arrival = w.event = w.written = 0


cdef void arrive(State *w, const Seg *s) noexcept nogil:
    if s.flags & ACK and not s.flags & (SYN | RST):
        w.sacked = s.nsack > 0
        if after(s.ack, w.una):
            w.una = s.ack
    w.arrival = s.t


cdef bint held_back(const State *w, int64_t t, bint ended, int64_t rtt) noexcept nogil:
    """A segment at t, unasked, goes on with what was written: was it a new write that set it off?"""
    if t - w.arrival <= SOON or t - w.event <= IDLE:
        return False
    if w.paced or w.sacked or after(w.recover, w.una):
        return False
    if w.una == w.high:
        return True
    # later than a round trip it may be a timer's: a probe takes new data along
    return t - w.event < rtt and (ended or w.high - w.una < FEW * w.mss)


cdef int64_t block(const Moves *m) noexcept nogil:
    """The size of the blocks of the writes, where the ends of those that went out together show one; or 0."""
    cdef int64_t at = 0, found = 0
    cdef Py_ssize_t i
    cdef Move *w
    for i in range(m.n):
        w = &m.p[i]
        at = w.length if w.fresh else at + w.length
        if w.length >= BLOCK and at & (BLOCK - 1) == 0 and not w.flags:
            found = min(found if found else at & -at, at & -at)
    return found


cdef int64_t call_time(const State *w, int64_t t) noexcept nogil:
    """A little before the segment at t, but behind all that happened before, if that is not the same moment."""
    cdef int64_t at = t - LEAD
    if at <= w.event:
        at = w.event + 1
    if at > t:
        at = t
    if at <= w.written:
        at = w.written + 1
    return at


cdef int64_t flush_urgent(Moves *out, int64_t t, uint32_t run, const Seg *s) except -1:
    """Writes up to the urgent pointer end with MSG_OOB; returns what is left of the run."""
    cdef uint32_t behind
    if s.urg > s.len:       # the urgent byte is still to come
        return run
    behind = s.len - s.urg
    add(out, t, run - behind, MSG_OOB)
    return behind
