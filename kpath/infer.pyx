# SPDX-License-Identifier: GPL-2.0-only
"""Makes the calls of an application that nobody recorded, from the capture (rules: timeline.pyx).

They are rows of numbers, not objects: a capture may have a million connections.
"""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, qsort

from .bigmem cimport Column, grow
from .segments cimport Conn, Table
from .timeline cimport CONNECT_LEAD, SETTLED, Flow, Move, Moves, Timeline

from .callset import AF_INET6, Calls

cdef enum:
    US = 1000
    SOL_SOCKET = 1
    IPPROTO_TCP = 6
    SO_LINGER = 13
    SO_REUSEADDR = 2
    TCP_NODELAY = 1
    MSG_DONTWAIT = 0x40
    LISTENER_THREAD = 0
    READERS = 1 << 24       # threads of readers that are not the writers' threads
    WHOLE = 1 << 30
    BACKLOG = 4096
    FIELDS = 8
    PLAN_FIELDS = 3

cdef int64_t NEVER = <int64_t>1 << 62

cdef struct Row:            # a call as `Host.add_calls` takes it, and its place among those of the same time
    int64_t t0
    int64_t thread
    int64_t slot
    int64_t op
    int64_t a[3]
    int64_t address         # number of an address of the table's, -1 none
    int64_t order


cdef int by_time(const void *a, const void *b) noexcept nogil:
    cdef Row *x = <Row *>a
    cdef Row *y = <Row *>b
    if x.t0 != y.t0:
        return 1 if x.t0 > y.t0 else -1
    return 1 if x.order > y.order else -1


cdef void sort(Row *rows, Py_ssize_t n) noexcept nogil:
    """By time. Connections that begin one behind the other give rows that are in order but for a few: these go into
    their places one by one, and only where they are many or have far to go all is sorted."""
    cdef Py_ssize_t i, j, moves = 4 * n
    cdef Row r
    for i in range(1, n):
        if by_time(&rows[i - 1], &rows[i]) < 0:
            continue
        j, r = i, rows[i]
        while j and by_time(&rows[j - 1], &r) > 0 and moves:
            rows[j] = rows[j - 1]
            j -= 1
            moves -= 1
        rows[j] = r
        if not moves:
            qsort(rows, n, sizeof(Row), by_time)
            return


cdef class Inference:
    """Makes the calls of every connection of a table that can be replayed, window by window.

    ops: the numbers of the calls, by name. paced: the host's congestion control spaces segments out, so a pause tells
    nothing of the application. `horizon` (ns): no window behind this one adds a call before that time; but a write that
    is not over then grows longer.
    """

    cdef Table table
    cdef Timeline timeline
    cdef dict ops
    cdef dict listeners     # (number of the address, port) -> slot
    cdef bint paced, last
    cdef int64_t known      # all segments up to that time are (ns)
    cdef readonly int64_t horizon
    cdef readonly int64_t since     # the horizon of the window before, 0 in the first
    cdef int64_t least      # what the horizon was before anything was held back; at first the first packet's time
    cdef int64_t full       # until then the send buffers can be kept full
    cdef Row *row
    cdef Py_ssize_t n, room
    cdef Moves writes, moves
    cdef Column rows, times, plans
    cdef int32_t *pending   # connections that are to be looked at again in the next window
    cdef Py_ssize_t npending, pending_room
    cdef int32_t *again     # those that were pending
    cdef Py_ssize_t again_room
    cdef list not_read, longer
    cdef int windows
    cdef int slots
    cdef int socket, bind, listen, accept, connect, send, recv, shutdown, close, setsockopt

    def __init__(self, Table table not None, dict ops, bint paced=False):
        self.table, self.timeline, self.ops, self.paced = table, Timeline(table), ops, paced
        self.listeners = {}
        (self.socket, self.bind, self.listen, self.accept, self.connect, self.send, self.recv, self.shutdown,
         self.close, self.setsockopt) = [
            ops[name] for name in ("socket", "bind", "listen", "accept", "connect", "send", "recv", "shutdown",
                                   "close", "setsockopt")]

    def __dealloc__(self):
        free(self.row)
        free(self.writes.p)
        free(self.moves.p)
        free(self.pending)
        free(self.again)

    def window(self, str path, int64_t known=NEVER, bint last=True):
        """The `Calls` that the table's window shows; it has been split. known: the time of the latest packet so far.

        last: there is no window behind this one.
        """
        cdef Py_ssize_t i, n = self.npending
        cdef int32_t *again = self.pending
        self.last, self.known, self.full = last, NEVER if last else known, NEVER
        if self.windows == 0 and self.table.n:
            self.least = self.table.seg[0].t
        self.since, self.horizon = self.horizon, self.known - SETTLED
        self.n = 0
        self.not_read, self.longer = [], []
        self.make_room()
        self.timeline.window()
        self.pending, self.again = self.again, again
        self.pending_room, self.again_room = self.again_room, self.pending_room
        self.npending = 0
        self.new_listeners()
        for i in range(self.table.ntouched):
            self.connection(self.table.touched[i].conn)
        for i in range(n):
            if self.table.local_of(again[i]) < 0:
                self.connection(again[i])
        # with many writers under way a window may be too short; but it goes on
        self.horizon = min(self.horizon, max(self.full, self.least))
        self.least = self.known - SETTLED
        return self.made(path)

    cdef int make_room(self) except -1:
        """Room for the times of this window. Those of the first one are used by the host itself."""
        cdef Py_ssize_t n = self.table.n + self.table.ntouched + self.npending
        self.windows += 1
        if self.windows <= 2 or self.times.room < n:
            self.times, self.plans = Column(n), Column(PLAN_FIELDS * n)
        self.times.n = self.plans.n = 0
        return 0

    cdef int add(self, int64_t t0, int64_t thread, int64_t slot, int op, int64_t a0=0, int64_t a1=0, int64_t a2=0,
                 int64_t address=-1) except -1:
        cdef Row *p
        if self.n == self.room:
            grow(<void **>&self.row, &self.room, self.n + 1, sizeof(Row))
        p = &self.row[self.n]
        p.t0, p.thread, p.slot, p.op, p.address, p.order = t0, thread, slot, op, address, self.n
        p.a[0], p.a[1], p.a[2] = a0, a1, a2
        self.n += 1
        return 0

    cdef int new_slot(self) noexcept:
        self.slots += 1
        return self.slots - 1

    cdef int look_again(self, Py_ssize_t c) except -1:
        """Connection c is not settled: the next window looks at it even if it has no segment there."""
        grow(<void **>&self.pending, &self.pending_room, self.npending + 1, sizeof(int32_t))
        self.pending[self.npending] = <int32_t>c
        self.npending += 1
        return 0

    cdef int family(self, const Conn *p) except -1:
        """The address family of a connection's socket, as Host wants it."""
        return AF_INET6 if self.table.is_v6(p.laddr) else 0

    cdef int new_listeners(self) except -1:
        """A listener for each local port that answered a SYN with a SYN-ACK: from before this window on."""
        cdef int64_t start = self.since
        cdef Py_ssize_t i
        cdef int slot
        cdef Conn *p
        if start == 0 and self.table.n:
            start = self.table.seg[0].t - 10_000 * US
        for i in range(self.table.ntouched):
            p = &self.table.conn[self.table.touched[i].conn]
            if p.skip or not p.synack_out or p.syn_in < 0 or p.synack_in or (p.laddr, p.lport) in self.listeners:
                continue
            slot = self.listeners[p.laddr, p.lport] = self.new_slot()
            self.add(start, LISTENER_THREAD, slot, self.socket, 0, self.family(p))
            self.add(start + US, LISTENER_THREAD, slot, self.setsockopt, SOL_SOCKET, SO_REUSEADDR, 1)
            self.add(start + 2 * US, LISTENER_THREAD, slot, self.bind, p.lport, 0, 0, p.laddr)
            self.add(start + 3 * US, LISTENER_THREAD, slot, self.listen, BACKLOG)
        return 0

    cdef int connection(self, Py_ssize_t c) except -1:
        cdef Conn *p = &self.table.conn[c]
        cdef Flow *f
        cdef Py_ssize_t n
        if p.skip or p.syn_out < 0:
            return 0
        f = self.timeline.of(c)
        if f.slot < 0:
            self.open(c, p, f)
        if f.slot < 0:
            self.timeline.look(c, self.paced, self.last, self.known, &self.writes, NULL)
            return 0
        n = self.timeline.look(c, self.paced, self.last, self.known, &self.writes, self.times.p + self.times.n)
        return self.use(c, f, n)

    cdef int open(self, Py_ssize_t c, const Conn *p, Flow *f) except -1:
        """connect(), or accept() as soon as the handshake is over."""
        cdef int64_t t
        if not p.synack_out:
            f.slot = self.new_slot()
            f.since = p.out.t
            self.add(p.out.t - 20 * US, c + 1, f.slot, self.socket, 0, self.family(p))
            self.add(p.out.t - CONNECT_LEAD, c + 1, f.slot, self.connect, p.rport, 0, 0, p.raddr)
        elif (p.laddr, p.lport) in self.listeners:
            t = self.timeline.established(c)
            if t >= 0:
                f.slot = self.new_slot()
                f.since = t + 2
                self.add(t + 1, c + 1, self.listeners[p.laddr, p.lport], self.accept, f.slot, p.rport)
        return 0

    cdef int use(self, Py_ssize_t c, Flow *f, Py_ssize_t n) except -1:
        """Writes, reads and the end of one connection. n: so many times of reads were put behind `times`."""
        if f.nodelay and not f.nodelay_set:
            self.add(f.since, c + 1, f.slot, self.setsockopt, IPPROTO_TCP, TCP_NODELAY, 1)
            f.nodelay_set = True
        self.write(c, f)
        self.read(c, f, n)
        self.end(c, f)
        if f.run:
            self.full = min(self.full, self.timeline.full_until(c))
        if f.run or f.r.unread or (f.fin >= 0 and not f.closed and not f.shut):
            self.look_again(c)
        return 0

    cdef int read(self, Py_ssize_t c, Flow *f, Py_ssize_t n) except -1:
        cdef Py_ssize_t i
        cdef Move *m
        if not self.timeline.reads(c, &self.moves):
            self.plan(f.slot, self.times.n, n)
            self.times.n += n
            return 0
        if not f.reads_itself:
            self.not_read.append(f.slot)
            f.reads_itself, f.r.unread = True, False
        for i in range(self.moves.n):
            m = &self.moves.p[i]
            self.add(max(m.t, f.since), READERS + c + 1, f.slot, self.recv, WHOLE if m.length < 0 else m.length,
                     MSG_DONTWAIT)
        return 0

    cdef void plan(self, int slot, Py_ssize_t begin, Py_ssize_t n) noexcept:
        cdef int64_t *row = self.plans.p + self.plans.n
        row[0], row[1], row[2] = slot, begin, n
        self.plans.n += PLAN_FIELDS

    cdef int write(self, Py_ssize_t c, Flow *f) except -1:
        """The writes of one connection, cut into the blocks that they were made in.

        Of one that is not over, but had begun before the horizon, what is known so far is written.
        """
        cdef Py_ssize_t i
        cdef Move *m
        for i in range(self.writes.n):
            m = &self.writes.p[i]
            if m.fresh:
                f.cut_at = 0
            self.blocks(c, f, max(m.t, f.since), m.length, m.flags)
            f.run_said = 0
        if f.run > f.run_said and f.run_t < self.horizon:
            if f.fresh and not f.run_said:
                f.cut_at, f.fresh = 0, False
            self.blocks(c, f, max(f.run_t, f.since), f.run, 0)
            f.run_said = f.run
        return 0

    cdef int blocks(self, Py_ssize_t c, Flow *f, int64_t t, int64_t length, int flags) except -1:
        """Writes what has not been written of `length` bytes, the last block with `flags`."""
        cdef int64_t left = length - f.run_said, size
        cdef bint goes_on = f.run_said > 0
        while left > 0:
            size = min(left, f.block - f.cut_at % f.block) if f.block else left
            if goes_on and not flags and (not f.block or f.cut_at % f.block):
                self.longer.append((f.slot, size, c + 1))
            else:
                self.add(t, c + 1, f.slot, self.send, size, flags if size == left else 0)
            f.cut_at += size
            left -= size
            goes_on = False
        return 0

    cdef int end(self, Py_ssize_t c, Flow *f) except -1:
        """Abort, shutdown or close, as the capture shows it. Without a FIN or reset the socket stays open."""
        if f.closed:
            return 0
        if f.abort >= 0:
            self.add(f.abort, c + 1, f.slot, self.setsockopt, SOL_SOCKET, SO_LINGER, 1)
            self.add(f.abort, c + 1, f.slot, self.close)
            f.closed = True
        elif f.fin >= self.horizon or f.fin < 0:
            return 0        # what comes soon may yet tell that it went on reading
        elif f.shut or (f.late_data and not f.late_reset):
            if not f.shut:
                self.add(f.fin, c + 1, f.slot, self.shutdown, 1)
            f.shut = True
            if f.peer_fin >= 0:
                self.add(max(f.fin, f.peer_fin + 1), c + 1, f.slot, self.close)
                f.closed = True
        else:
            self.add(f.fin, c + 1, f.slot, self.close)
            f.closed = True
        return 0

    cdef object made(self, str path):
        """The `Calls`."""
        cdef Py_ssize_t i, k
        cdef int64_t *out
        if self.rows is None or self.rows.room < self.n * FIELDS:
            self.rows = Column(self.n * FIELDS)
        out = self.rows.p
        sort(self.row, self.n)
        for i in range(self.n):
            out[0], out[1], out[2], out[3] = self.row[i].t0, self.row[i].thread, self.row[i].slot, self.row[i].op
            for k in range(3):
                out[4 + k] = self.row[i].a[k]
            out[7] = self.row[i].address
            out += FIELDS
        self.rows.n = self.n * FIELDS
        return Calls(path, inferred=True, rows=memoryview(self.rows), ops=self.ops,
                     plans=(memoryview(self.plans), memoryview(self.times)), not_read=self.not_read, slots=self.slots,
                     longer=self.longer)
