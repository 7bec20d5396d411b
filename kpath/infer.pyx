# SPDX-License-Identifier: GPL-2.0-only
"""Makes the calls of an application that nobody recorded, from the capture (rules: timeline.pyx).

They are rows of numbers, not objects: a capture may have a million connections.
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, qsort

from .bigmem cimport Column, grow
from .segments cimport Conn, Table
from .timeline cimport CONNECT_LEAD, Did, Move, Moves, Timeline

from .calls import AF_INET6, Calls

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


cdef class Inference:
    """The calls of every connection that can be replayed, while they are being made."""

    cdef Table table
    cdef Timeline timeline
    cdef dict ops
    cdef dict listeners     # (number of the address, port) -> slot
    cdef bint paced
    cdef Row *row
    cdef Py_ssize_t n, room
    cdef Did did
    cdef Moves moves
    cdef Column times, plans
    cdef list not_read
    cdef int slots
    cdef int socket, bind, listen, accept, connect, send, recv, shutdown, close, setsockopt

    def __init__(self, Table table not None, dict ops, bint paced):
        self.table, self.timeline, self.ops, self.paced = table, Timeline(table), ops, paced
        self.listeners, self.not_read = {}, []
        self.times, self.plans = Column(table.n + table.nconn), Column(PLAN_FIELDS * table.nconn)
        (self.socket, self.bind, self.listen, self.accept, self.connect, self.send, self.recv, self.shutdown,
         self.close, self.setsockopt) = [
            ops[name] for name in ("socket", "bind", "listen", "accept", "connect", "send", "recv", "shutdown",
                                   "close", "setsockopt")]

    def __dealloc__(self):
        free(self.row)
        free(self.did.writes.p)
        free(self.moves.p)

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

    cdef int family(self, const Conn *p) except -1:
        """The address family of a connection's socket, as Host wants it."""
        return AF_INET6 if self.table.is_v6(p.laddr) else 0

    cdef int all_listeners(self) except -1:
        """A listener for each local port that answered a SYN with a SYN-ACK."""
        cdef int64_t start = self.table.seg[0].t - 10_000 * US if self.table.n else 0
        cdef Py_ssize_t c
        cdef int slot
        cdef Conn *p
        for c in range(self.table.nconn):
            p = &self.table.conn[c]
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
        cdef int64_t t
        cdef int slot
        if p.syn_out >= 0 and not p.synack_out:
            slot = self.new_slot()
            t = self.table.seg[p.syn_out].t
            self.add(t - 20 * US, c + 1, slot, self.socket, 0, self.family(p))
            self.add(t - CONNECT_LEAD, c + 1, slot, self.connect, p.rport, 0, 0, p.raddr)
            return self.use(c, slot, t)
        if p.synack_out and (p.laddr, p.lport) in self.listeners:
            t = self.timeline.established(c)
            if t >= 0:
                slot = self.new_slot()
                self.add(t + 1, c + 1, self.listeners[p.laddr, p.lport], self.accept, slot, p.rport)
                return self.use(c, slot, t + 2)
        return 0

    cdef int use(self, Py_ssize_t c, int slot, int64_t since) except -1:
        """Writes, reads and the end of one connection; `since`: nothing is called before that time."""
        cdef Did *did = &self.did
        cdef Py_ssize_t i, n
        cdef Move *m
        self.timeline.writes(c, self.paced, did)
        if did.nodelay:
            self.add(since, c + 1, slot, self.setsockopt, IPPROTO_TCP, TCP_NODELAY, 1)
        self.write(c, slot, since)
        if self.timeline.reads(c, &self.moves):
            self.not_read.append(slot)
            for i in range(self.moves.n):
                m = &self.moves.p[i]
                self.add(max(m.t, since), READERS + c + 1, slot, self.recv, WHOLE if m.length < 0 else m.length,
                         MSG_DONTWAIT)
        else:
            n = self.timeline.read_times(c, self.times.p + self.times.n)
            self.plan(slot, self.times.n, n)
            self.times.n += n
        return self.end(c, slot)

    cdef void plan(self, int slot, Py_ssize_t begin, Py_ssize_t n) noexcept:
        cdef int64_t *row = self.plans.p + self.plans.n
        row[0], row[1], row[2] = slot, begin, n
        self.plans.n += PLAN_FIELDS

    cdef int write(self, Py_ssize_t c, int slot, int64_t since) except -1:
        """The writes of one connection, cut into the blocks that they were made in."""
        cdef int64_t at = 0, left, size, block = self.did.block
        cdef Py_ssize_t i
        cdef Move *m
        for i in range(self.did.writes.n):
            m = &self.did.writes.p[i]
            if m.fresh:
                at = 0
            left = m.length
            while block and left > block - at % block:
                size = block - at % block
                self.add(max(m.t, since), c + 1, slot, self.send, size)
                at += size
                left -= size
            self.add(max(m.t, since), c + 1, slot, self.send, left, m.flags)
            at += left
        return 0

    cdef int end(self, Py_ssize_t c, int slot) except -1:
        """Abort, shutdown or close, as the capture shows it. Without a FIN or reset the socket stays open."""
        cdef Did *did = &self.did
        if did.abort >= 0:
            self.add(did.abort, c + 1, slot, self.setsockopt, SOL_SOCKET, SO_LINGER, 1)
            self.add(did.abort, c + 1, slot, self.close)
        elif did.fin >= 0 and did.half_closed:
            self.add(did.fin, c + 1, slot, self.shutdown, 1)
            if did.peer_fin >= 0:
                self.add(max(did.fin, did.peer_fin + 1), c + 1, slot, self.close)
        elif did.fin >= 0:
            self.add(did.fin, c + 1, slot, self.close)
        return 0

    def made(self, str path):
        """The `Calls`."""
        cdef Column rows = Column(self.n * FIELDS)
        cdef Py_ssize_t i, k
        cdef int64_t *out = rows.p
        qsort(self.row, self.n, sizeof(Row), by_time)
        for i in range(self.n):
            out[0], out[1], out[2], out[3] = self.row[i].t0, self.row[i].thread, self.row[i].slot, self.row[i].op
            for k in range(3):
                out[4 + k] = self.row[i].a[k]
            out[7] = self.row[i].address
            out += FIELDS
        rows.n = self.n * FIELDS
        return Calls(path, inferred=True, rows=memoryview(rows), ops=self.ops,
                     plans=(memoryview(self.plans), memoryview(self.times)), not_read=self.not_read, slots=self.slots)


def infer(Table table not None, str path, dict ops, bint paced=False):
    """The calls of every connection that can be replayed. `table` has been split.

    ops: the numbers of the calls, by name. paced: the host's congestion control spaces segments out, so a pause tells
    nothing of the application.
    """
    cdef Inference made = Inference(table, ops, paced)
    cdef Py_ssize_t c
    made.all_listeners()
    for c in range(table.nconn):
        if not table.conn[c].skip:
            made.connection(c)
    return made.made(path)
