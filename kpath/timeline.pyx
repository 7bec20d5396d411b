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
from libc.string cimport memset

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
    QUIET_LEAST = QUIET_ACKED
    LAG = 1000000         # ns by which a reader may come late
    BLOCK = 4096          # the smallest block that a long transfer is written in
    FEW = 8               # segments in flight that no window of a connection in good order holds back
    LOOK = 32             # segments looked ahead for an ACK
    READ = 22000          # ns from an arrival to the read
    READ_ACKED = 12000    # ns from the ACK for it to the read
    BUFFERED = 4          # times what is in flight a send buffer holds, at the most

cdef int64_t NEVER = <int64_t>1 << 62

cdef enum:
    MSS_LEAST = 536       # RFC 9293 3.7.1
    MSG_OOB = 0x1
    MSG_MORE = 0x8000


cdef inline bint after(uint32_t a, uint32_t b) noexcept nogil:
    return <int32_t>(b - a) < 0


cdef int add(Moves *m, int64_t t, int64_t length, int flags) except -1:
    if m.n == m.room:
        grow(<void **>&m.p, &m.room, m.n + 1, sizeof(Move))
    m.p[m.n].t, m.p[m.n].length, m.p[m.n].flags, m.p[m.n].fresh = t, length, flags, m.fresh
    m.fresh = False
    m.n += 1
    return 0


cdef class Timeline:
    """The segments of a table by connection, ready to be asked about each; window by window.

    What each method finds in a window goes on from where the one before ended; that is kept in `flow`.
    """

    def __cinit__(self, Table tab not None):
        self.tab = tab

    def __dealloc__(self):
        free(self.flow)

    cdef int window(self) except -1:
        """The table holds a new window."""
        cdef Py_ssize_t known = self.room
        grow(<void **>&self.flow, &self.room, self.tab.nconn, sizeof(Flow))
        if self.room > known:
            memset(self.flow + known, 0, (self.room - known) * sizeof(Flow))
        return 0

    cdef inline Flow *of(self, Py_ssize_t c) noexcept nogil:
        """What is known of connection c, which has sent its SYN or SYN-ACK."""
        if not self.flow[c].begun:
            start(&self.flow[c], self.tab.conn[c].isn_out + 1)
        return &self.flow[c]

    cdef int64_t established(self, Py_ssize_t c) noexcept nogil:
        """When the handshake of a connection was over at this end (ns), or -1."""
        cdef Seg *s = self.tab.first_of(c)
        cdef Flow *f = &self.flow[c]
        while s != NULL:
            if s.side == SENT and s.flags & SYN and s.flags & ACK:
                f.synack = True
            elif s.side == ARRIVED and s.flags & ACK and not s.flags & RST:
                if s.flags & SYN:
                    if not self.tab.conn[c].synack_out:
                        return s.t
                elif f.synack and s.ack == self.tab.conn[c].isn_out + 1:
                    return s.t
                elif f.synack and after(s.ack, self.tab.conn[c].isn_out):
                    return s.t
            s = s.next
        return -1

    cdef Py_ssize_t look(self, Py_ssize_t c, bint paced, bint last, int64_t known, Moves *out,
                         int64_t *times) except -1:
        """What the application of connection c did: its writes, and when it reads if it reads as data arrives.

        paced: the congestion control spaces segments out itself. last: there is no window behind this one; before, a
        write that is not over is left in the flow. `out` gets the writes in place of what is in it, the flow the rest.

        times: NULL (the reads do not matter), or room for the times of the reads, one for each segment and one more;
        returns how many there are. They are ns << 1 | if-owed: one with the lowest bit set holds only if the stack
        owes an ACK then, which is that read's to send. known: all segments up to that time are. They are in vain if
        the flow's reader turns out to have stalled: see `reads`.
        """
        cdef Flow *f = &self.flow[c]
        cdef Seg *s = self.tab.first_of(c)
        cdef int64_t *t = times
        cdef int shift = self.shift(c)
        cdef bint begun = self.tab.conn[c].syn_out >= 0 and self.tab.conn[c].syn_in >= 0
        cdef bint reads = times != NULL and not f.e.stalled
        self.before = f.e
        out.n = 0
        out.fresh = f.fresh
        f.w.mss = self.full_size(c)
        f.w.paced = paced
        if not f.rtt:
            f.rtt = self.handshake(c)
        while s != NULL:
            if is_odd(s):
                if not s.bad:
                    write(f, s, out)
                if reads:
                    f.r.before = s.t
            elif s.side == ARRIVED:
                s = arrivals(f, s, reads, shift, &t)
            else:
                write(f, s, out)
                if reads:
                    t = read_before(&f.r, s, shift, t)
                    t = answer(&f.r, s, shift, t)
                    offer(&f.e, s, shift, NULL)
            s = s.next
        if not begun:           # the windows are of unknown scale
            f.e = self.before
        if reads and f.r.unread and known - f.r.base > LAG:
            t[0] = read_time(&f.r)
            t += 1
            f.r.unread = False
        if f.run and last:
            add(out, f.run_t, f.run, 0)
            f.run = 0
        f.fresh = out.fresh
        find_block(f, out)
        return t - times

    cdef int64_t full_until(self, Py_ssize_t c) noexcept nogil:
        """How long (ns) the send buffer of connection c can be kept full with what is known of a write under way.

        The application is ahead of what is sent by as much as the buffer holds (tcp_sndbuf_expand).
        """
        cdef Flow *f = &self.flow[c]
        cdef int64_t need = BUFFERED * max(f.w.flight, 10 * f.w.mss) + f.block
        cdef Seg *s = self.tab.last_sent(c)
        if f.w.una == f.w.high:
            return NEVER
        while s != NULL:
            if not s.bad:
                need -= s.len
                if need <= 0:
                    return s.t
            s = s.before
        return 0

    cdef int64_t handshake(self, Py_ssize_t c) noexcept nogil:
        """The round trip of the handshake (ns), 0 if it cannot be seen."""
        cdef Conn *p = &self.tab.conn[c]
        cdef Seg *s = self.tab.first_of(c)
        if p.syn_out < 0 or p.syn_in < 0:
            return 0
        if not p.synack_out:
            return p.got.t - p.out.t
        while s != NULL:
            if s.side == ARRIVED and s.flags & ACK and s.t > p.out.t:
                return s.t - p.out.t
            s = s.next
        return 0

    cdef int shift(self, Py_ssize_t c) noexcept nogil:
        """By how many bits the windows sent are scaled."""
        cdef Conn *p = &self.tab.conn[c]
        if p.syn_out < 0 or p.syn_in < 0 or p.got.wscale == 255:
            return 0
        return 0 if p.out.wscale == 255 else min(14, <int>p.out.wscale)

    cdef uint32_t full_size(self, Py_ssize_t c) noexcept nogil:
        """Payload of a full segment, from the MSS that both sides announced."""
        cdef Conn *p = &self.tab.conn[c]
        cdef uint32_t mss = 65535
        if p.syn_out < 0 or p.syn_in < 0:
            return 536
        if p.out.mss:
            mss = p.out.mss
        mss = min(mss, <uint32_t>(p.got.mss if p.got.mss else 536))
        return mss - 12 if mss > 12 and p.out.ts and p.got.ts else mss

    cdef int reads(self, Py_ssize_t c, Moves *out) except -1:
        """Whether the application of connection c did not read as data arrived; `out`: its reads, if so.

        Overwrites `out`, but keeps its memory. length -1: all that there was. Comes behind `look`.
        """
        # Mostly it did, so `look` does not note its reads; where it did not, this goes through the window once more
        cdef Edge *e = &self.flow[c].e
        cdef Seg *s = self.tab.first_of(c)
        cdef int shift = self.shift(c)
        out.n = 0
        if not e.stalled:
            return False
        e[0] = self.before
        while s != NULL:
            if is_odd(s):
                pass
            elif s.side == SENT:
                offer(e, s, shift, out)
            else:
                e.mss = max(e.mss, s.len)
                e.event = s.t + BEHIND
            s = s.next
        return True


cdef inline int write(Flow *f, const Seg *s, Moves *out) except -1:
    """A segment of the application's data, or of what else it did, was sent: notes the writes that this ends."""
    cdef State *w = &f.w
    cdef uint32_t end = s.seq + s.len, new
    cdef bint more
    if s.side == ARRIVED:       # a SYN or RST
        note_arrival(f, s)
        w.arrival, w.event = s.t, s.t + BEHIND
        return 0
    if s.flags & RST:
        f.late_reset = True
        if s.flags & ACK and s.seq == w.high and f.abort < 0:
            f.abort = call_time(w, s.t)
    elif s.len and not s.flags & SYN and after(end, w.high):
        new = end - w.high
        if f.run and held_back(w, s.t, f.ended, f.rtt):
            # an end in a full segment, or Nagle's rule kept the rest of the write for this segment
            add(out, f.run_t, f.run if f.ended else f.run + 1, 0)
            new -= 0 if f.ended else 1
            f.run = 0
        if f.run == 0:  # the send queue was empty: what had been there would have filled the segment up
            if w.una == w.high and s.t - w.event > IDLE:
                out.fresh = True
            f.run_t = w.written = call_time(w, s.t)
        f.ended = False
        if s.len < w.mss and not s.flags & FIN:
            # Nagle's rule as the kernel has it: one small segment may be unacknowledged
            f.nodelay |= after(w.sml, w.una) and after(w.sml, w.high - 1)
            w.sml = end
        f.run += new
        w.high = end
        w.flight = max(w.flight, w.high - w.una)
        if s.flags & URG and s.urg:
            f.run = flush_urgent(out, f.run_t, <uint32_t>f.run, s)
        elif s.flags & PSH and s.len % w.mss == 0 and not s.flags & FIN:
            f.ended = True    # of an skb that was cut; perhaps of the write
        elif s.flags & (PSH | FIN):
            more = s.flags & FIN and not s.flags & PSH
            add(out, f.run_t, f.run, MSG_MORE if more else 0)
            f.run = 0
    elif s.len and not s.flags & SYN:
        w.recover = w.high
    if s.flags & FIN and f.fin < 0:
        f.fin = w.written + 1 if s.len else call_time(w, s.t)
        w.written = f.fin
        w.high = end + 1
    w.event = s.t
    return 0


cdef inline bint is_odd(const Seg *s) noexcept nogil:
    """Is a segment none of those that carry data and acknowledge it?"""
    return s.bad or s.flags & (SYN | RST)


cdef inline Seg *arrivals(Flow *f, Seg *s, bint reads, int shift, int64_t **times) noexcept nogil:
    """Segments arrived one behind the other: s and those that follow. Returns the last. `times`: see `read_before`."""
    cdef Reader *r = &f.r
    cdef int64_t *t = times[0]
    cdef uint32_t most = f.e.mss
    while True:
        note_arrival(f, s)
        if s.flags & ACK:
            f.w.sacked = s.nsack > 0
            if after(s.ack, f.w.una):
                f.w.una = s.ack
        if reads:
            t = read_before(r, s, shift, t)
            read_later(r, s)
            most = max(most, s.len)
        if s.next == NULL or s.next.side != ARRIVED or is_odd(s.next):
            break
        s = s.next
    f.w.arrival, f.w.event = s.t, s.t + BEHIND
    if reads:
        f.e.mss, f.e.event = most, f.w.event
    times[0] = t
    return s


cdef inline void note_arrival(Flow *f, const Seg *s) noexcept nogil:
    """A segment arrived: does it tell of an end?"""
    if s.flags & FIN and f.peer_fin < 0:
        f.peer_fin = s.t
    if f.fin >= 0 and s.len:
        f.late_data = True


cdef inline int64_t read_time(const Reader *r) noexcept nogil:
    return (r.base + (READ_ACKED if r.acked else READ)) << 1


cdef inline int64_t *read_before(Reader *r, const Seg *s, int shift, int64_t *out) noexcept nogil:
    """Was the silence before a segment long enough for a read? Adds its time, and returns where the next one goes."""
    cdef int64_t quiet = s.t - r.base
    if not r.unread or quiet < QUIET_LEAST or quiet < (QUIET_IDLE if r.idle else QUIET_ACKED if r.acked else QUIET):
        return out
    if quiet < SOON and s.side == SENT and not s.len or quiet < LAG and stands(s, r.acked_to, r.edge, shift):
        return out
    out[0] = read_time(r)
    # what follows may be the read's own doing, but not in the same moment
    r.unread = False
    return out + 1


cdef inline void read_later(Reader *r, const Seg *s) noexcept nogil:
    """A segment arrived: what is in it is there to be read."""
    if s.len or s.flags & FIN:
        if not r.unread or s.t - r.before > IDLE:
            r.idle = s.t - r.before > IDLE
        r.unread, r.acked, r.base, r.soonest = True, False, s.t, s.t
    r.before = s.t


cdef inline int64_t *answer(Reader *r, const Seg *s, int shift, int64_t *out) noexcept nogil:
    """A segment was sent: behind a read, or by one? As `read_before`."""
    cdef int64_t t
    if r.unread and (s.len or s.flags & FIN) and after(s.seq + s.len + (s.flags & FIN), r.high):
        t = s.t - LEAD - 1000
        if t < r.soonest + BEHIND - 1000:
            t = r.soonest + BEHIND - 1000
        out[0] = t << 1
        out += 1
        r.unread = False
    elif r.unread:
        t = s.t - LEAD
        if s.t - r.soonest < SOON and t > r.soonest + BEHIND:
            out[0] = t << 1 | 1
            out += 1
        r.base, r.acked = s.t, True
    r.edge = s.ack + (<uint32_t>s.win << shift)
    r.acked_to = s.ack
    if after(s.seq + s.len, r.high):
        r.high = s.seq + s.len
    r.before = s.t
    return out


cdef bint stands(const Seg *s, uint32_t ack, uint32_t edge, int shift) noexcept nogil:
    """Does the next ACK from s on leave the window's right edge where it was: was nothing read until then?"""
    cdef int left = LOOK
    while s.side == ARRIVED or is_odd(s):
        s = s.next
        left -= 1
        if s == NULL or not left:
            return False
    return after(s.ack, ack) and s.ack + (<uint32_t>s.win << shift) == edge


cdef inline int offer(Edge *e, const Seg *s, int shift, Moves *out) except -1:
    """A segment was sent: how its window tells of the reader. `out` gets the read that moved it, unless it is NULL."""
    cdef uint32_t win = <uint32_t>s.win << shift, right = s.ack + win
    if e.any and after(right, e.edge):
        if out != NULL:
            add(out, max(e.event + 1, s.t - LEAD), -1 if win >= e.most else <int64_t>(right - e.edge), 0)
        e.still = 0
    elif e.any:
        e.still += s.ack - e.ack
        e.stalled |= e.still > 2 * max(e.mss, <uint32_t>MSS_LEAST)
    e.most = max(e.most, win)
    if not e.any or after(right, e.edge):
        e.edge = right
    e.ack = s.ack
    e.any = True
    e.event = s.t
    return 0


cdef void start(Flow *f, uint32_t high) noexcept nogil:
    memset(f, 0, sizeof(Flow))
    f.w.high = f.w.una = f.w.sml = f.w.recover = f.r.high = high
    f.fin = f.abort = f.peer_fin = f.slot = -1
    f.fresh = f.begun = True


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


cdef void find_block(Flow *f, const Moves *m) noexcept nogil:
    """The size of the blocks of the writes, where the ends of those that went out together show one; or 0."""
    cdef int64_t at = f.block_at
    cdef Py_ssize_t i
    cdef Move *w
    for i in range(m.n):
        w = &m.p[i]
        at = w.length if w.fresh else at + w.length
        if w.length >= BLOCK and at & (BLOCK - 1) == 0 and not w.flags:
            f.block = min(f.block if f.block else at & -at, at & -at)
    f.block_at = at


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
