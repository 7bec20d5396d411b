# SPDX-License-Identifier: GPL-2.0-only
"""What each handshake of a capture tells of the host: the numbers that it drew, and when it answered."""

from libc.stdint cimport int64_t, uint32_t

from .bigmem cimport Column
from .segments cimport Conn, Seg, Table

cdef enum:
    MS = 1000000
    STAMP_LEAD = 20000      # a segment is stamped this many ns before it is captured, roughly
    PIN_FIELDS = 8
    UNKNOWN = -(1 << 63)
    RX_NS = 16000           # a SYN is answered so long after it arrived, at most (arrival_latency(), kpath_c/sched.pyx)


cdef inline bint begun(const Conn *p) noexcept nogil:
    """Was the connection begun in the capture?"""
    return p.syn_out >= 0 and not p.skip


cdef int64_t clock_zero(clock) except? UNKNOWN:
    """When CLOCK_MONOTONIC was 0, or UNKNOWN."""
    zero = clock.get("mono_to_real_ns") if clock else None
    return UNKNOWN if zero is None else zero


def first_syn(Table table not None):
    """The connection whose SYN or SYN-ACK tells most of the host, or -1: only a SYN of its own tells all."""
    cdef Py_ssize_t c
    cdef Py_ssize_t first = -1
    for c in range(table.nconn):
        if begun(&table.conn[c]):
            if not table.conn[c].synack_out:
                return c
            if first < 0:
                first = c
    return first


def pins(Table table not None, clock):
    """Rows for `Host.pin_all`, in order of the connections: the numbers that the host drew at random in this window.

    (local address, its port, remote address, its port, first sequence number, TSval minus CLOCK_MONOTONIC in ms or -1,
    whether it is a passive open, TSval or -1), addresses as numbers of the table's. clock: the host file's, or None.
    """
    cdef Py_ssize_t i
    cdef Column out = Column(PIN_FIELDS * table.ntouched)
    cdef int64_t *row = out.p
    cdef int64_t zero = clock_zero(clock)
    cdef Conn *p
    for i in range(table.ntouched):
        p = &table.conn[table.touched[i].conn]
        if not begun(p) or p.syn_out < table.base:
            continue
        row[0], row[1], row[2], row[3], row[4] = p.laddr, p.lport, p.raddr, p.rport, p.isn_out
        row[5] = <uint32_t>(p.out.tsval - (p.out.t - STAMP_LEAD - zero) // MS) if zero != UNKNOWN and p.out.ts else -1
        row[6] = p.synack_out
        row[7] = p.out.tsval if p.out.ts else -1
        row += PIN_FIELDS
        out.n += PIN_FIELDS
    return memoryview(out)


def hold_syns(Table table not None, clock, arrivals):
    """Delays the SYNs whose SYN-ACK read the clock in a later ms than they arrived in; changes arrivals[0].

    The timestamp base is taken from the SYN-ACK, so the host must read its clock in the same ms, and not after it: with
    a base one off, what it measures by TSecr (tcp_rcv_rtt_measure_ts()) would be one off too. clock: as for pins().
    """
    cdef int64_t zero = clock_zero(clock)
    cdef int64_t[::1] times = arrivals[0]
    cdef const int64_t[::1] rows = arrivals[4]
    cdef Py_ssize_t i, low, high, mid
    cdef int64_t ready, later
    cdef Conn *p
    cdef Seg *arrived
    for i in range(table.ntouched):
        p = &table.conn[table.touched[i].conn]
        if not begun(p) or not p.synack_out or p.syn_in < table.base:
            continue
        arrived = &table.seg[p.syn_in - table.base]
        ready = p.out.t - STAMP_LEAD
        if zero != UNKNOWN:
            ready = min(ready, ready - (ready - zero) % MS + MS - 1 - RX_NS)
        if not p.out.ts or not 0 < ready - arrived.t < MS:  # in time; or late: a retransmitted SYN, or cookies
            continue
        low, high = 0, rows.shape[0]
        while low < high:
            mid = (low + high) // 2
            if rows[mid] < <int64_t>arrived.row:
                low = mid + 1
            else:
                high = mid
        later = times[low + 1] if low + 1 < times.shape[0] else ready
        times[low] = max(times[low], min(ready, later))
