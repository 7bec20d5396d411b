# SPDX-License-Identifier: GPL-2.0-only
"""What a replay is given, made up: a mixture of connections; and a host that is given it whole, or in windows."""

import random
from array import array
from dataclasses import dataclass, field
from itertools import accumulate

from conversation import EPOCH, MS
from packets import LOCAL, LOCAL_ISN, PEER, PEER_ISN, encode_options, tcp_packet

from kpath_c.host import OPS, Host

US = 1000
LAG = 2 * MS  # how far behind the last packet of a window the host runs
WHOLE = 1 << 40
SOL_SOCKET, SO_SNDBUF, SO_LINGER = 1, 7, 13
ADDRESSES = memoryview(array("Q", [0, 0xFFFF00000000 | 10 << 24 | 2]).tobytes()).cast("q")  # PEER, mapped
DEVICES = {"tun": {}, "vnet": {"rx": "vnet", "gro": True, "tso": True},
           "nic": {"rx": "nic", "gro": True, "gso": True, "rx_usecs": 50, "before_gro": True}}


@dataclass
class Input:
    """What a replay is given; times are ns behind the epoch."""

    packets: list[tuple[int, bytes]] = field(default_factory=list)
    calls: list[tuple[int, ...]] = field(default_factory=list)  # (t0, thread, slot, op, a0, a1, a2, address or -1)
    reads: list[tuple[int, int]] = field(default_factory=list)  # (slot, t << 1 | only if an ACK is owed)
    longer: list[tuple[int, int, int]] = field(default_factory=list)  # (t0, slot, bytes): part of a write
    connections: int = 0

    def call(self, t, c, op, a0=0, a1=0, a2=0, address=-1):
        self.calls.append((t, c + 1, c, OPS[op], a0, a1, a2, address))

    def packet(self, t, c, flags, seq, ack, length=0, **kw):
        ack = LOCAL_ISN + 1 + ack if "." in flags else 0
        self.packets.append((t, tcp_packet(flags, PEER_ISN + 1 + seq, ack, length, dport=40000 + c, **kw)))

    def open(self, t, c):
        self.call(t, c, "socket")
        self.call(t + 12 * US, c, "connect", 5001, address=0)
        self.packet(t + MS, c, "S.", -1, 0, options=encode_options({"mss": 1460, "sack": True}))
        self.connections = max(self.connections, c + 1)

    def upload(self, t, c, size, step, sndbuf=0):
        """One write, which is long and sleeps; whoever looks at the capture finds `step` more bytes now and then."""
        if sndbuf:
            self.call(t, c, "setsockopt", SOL_SOCKET, SO_SNDBUF, sndbuf)
        self.longer += [(t + US + i * MS // 2, c, step * (1 if i else 16)) for i in range(size // step)]
        for i in range(1, size // 2920 + 1):
            self.packet(t + MS + i * MS // 2 + i % 3 * US, c, ".", 0, i * 2920)

    def download(self, t, c, segments, gap):
        """Bursts of five segments, each read a little later, or at its ACK's time."""
        for i in range(segments):
            at = t + i // 5 * 4 * MS + i % 5 * gap
            self.packet(at, c, "P." if i % 5 == 4 else ".", i * 1000, 0, 1000)
            self.reads.append((c, at + (7 + c % 3) * US << 1 | (i + c) % 2))

    def questions(self, t, c, n):
        for i in range(n):
            at = t + i * 3 * MS
            self.call(at, c, "send", 300)
            self.packet(at + MS, c, "P.", i * 50, 300 * (i + 1), 50)
            self.reads.append((c, at + MS + 40 * US << 1))

    def close(self, t, c, received, sent):
        self.call(t, c, "close")
        self.packet(t + MS, c, "F.", received, sent + 1)

    def settled(self):
        """In order of time, no two calls at the same."""
        self.packets.sort(key=lambda p: p[0])
        self.reads.sort(key=lambda r: r[1])
        self.longer.sort()
        self.calls = [(call[0] + i % 997, *call[1:]) for i, call in enumerate(self.calls)]
        self.calls.sort()
        return self


def mixture(seed=1, connections=12, spread=4):
    """Many connections of each kind, interleaved."""
    rnd = random.Random(seed)
    s = Input()
    for c in range(connections):
        t = MS + c * spread * MS + rnd.randrange(MS)
        s.open(t, c)
        begin = t + 3 * MS
        if c % 4 == 0:
            s.upload(begin, c, 40 * 2920, 2920, sndbuf=9000)
        elif c % 4 == 1:
            s.download(begin, c, 60, 3 * US)
            s.close(begin + 60 * MS, c, 60000, 0)
        elif c % 4 == 2:
            s.questions(begin, c, 12)
            s.close(begin + 50 * MS, c, 600, 3600)
        else:
            s.download(begin + 20 * MS, c, 10, 200 * US)
    return s.settled()


def host_for(s, **device):
    host = Host(device=device)
    host.add_route("10.0.0.0", 24)
    for c in range(s.connections):
        host.pin(LOCAL, 40000 + c, PEER, 5001, LOCAL_ISN, 0, False)
    return host


def arrays(packets, start):
    sizes = array("q", [len(p) for _, p in packets])
    offsets = array("q", accumulate(sizes[:-1], initial=start) if packets else [])
    return array("q", [EPOCH + t for t, _ in packets]), offsets, sizes, sizes


def rows_of(calls):
    return memoryview(array("q", [v for t, *rest in sorted(calls) for v in (EPOCH + t, *rest)]))


def plan(host, reads):
    """Gives the host these reads, each slot's in one row."""
    by_slot = {}
    for slot, t in reads:
        by_slot.setdefault(slot, []).append(t + (EPOCH << 1))
    times = array("q", [t for ts in by_slot.values() for t in ts])
    rows, at = array("q"), 0
    for slot, ts in by_slot.items():
        rows.extend((slot, at, len(ts)))
        at += len(ts)
    host.plan_reads(memoryview(rows), memoryview(times))


def writes(longer):
    """Each slot's write, in one call."""
    total = {}
    for t, slot, n in longer:
        first, size = total.get(slot, (t, 0))
        total[slot] = (first, size + n)
    return [(t, slot + 1, slot, OPS["send"], n, 0, 0, -1) for slot, (t, n) in total.items()]


def taken(host):
    return [host.emitted(i) for i in range(host.emitted_count())]


def outcome(host, emitted):
    got = {"emitted": emitted, "counters": host.counters(), "connections": host.connections(), "drops": host.drops()}
    host.close()
    assert not any(host.pools().values())
    return got


def end_of(s):
    return EPOCH + max(s.packets[-1][0], s.calls[-1][0]) + 300 * MS


def whole(s, planned=False, **device):
    host = host_for(s, **device)
    host.load(b"".join(p for _, p in s.packets), *arrays(s.packets, 0))
    host.auto_reader(-1, True, planned=planned)
    plan(host, s.reads)
    host.add_calls(rows_of(s.calls + writes(s.longer)), ADDRESSES)
    host.run(end_of(s))
    return outcome(host, taken(host))


class Windows:
    """Feeds a host a number of packets at a time."""

    def __init__(self, s, **device):
        self.s, self.host = s, host_for(s, **device)
        self.buf = b"".join(p for _, p in s.packets)
        self.at = self.calls = self.reads = self.longer = self.bytes = 0
        self.emitted, self.lengthened, self.begun = [], 0, set()

    def packets(self, count):
        some = self.s.packets[self.at:self.at + count]
        args = arrays(some, self.bytes)
        if self.at == 0:
            self.host.load(self.buf, *args)
        else:
            self.host.load_more(*args)
        self.at += len(some)
        self.bytes += sum(len(p) for _, p in some)
        return some[-1][0] if self.at < len(self.s.packets) else WHOLE

    def until(self, name, end, time):
        """What of a list comes before `end` and has not been given yet."""
        items, first = getattr(self.s, name), getattr(self, name)
        last = first
        while last < len(items) and time(items[last]) <= end:
            last += 1
        setattr(self, name, last)
        return items[first:last]

    def write(self, end):
        """Calls of writes that begin; those that go on get longer."""
        out = []
        for t, slot, n in self.until("longer", end, lambda item: item[0]):
            if slot not in self.begun:
                self.begun.add(slot)
                out.append([t, slot + 1, slot, OPS["send"], n, 0, 0, -1])
            elif any(row[2] == slot for row in out):
                next(row for row in out if row[2] == slot)[4] += n
            else:
                assert self.host.lengthen(slot, n)
                self.lengthened += 1
        return [tuple(row) for row in out]

    def step(self, count, ahead=0):
        """One window. ahead: how much further than the packets the calls of some connections are given."""
        end = self.packets(count)
        new = self.write(end)
        if ahead:
            plan_end = end + ahead
            early = [c for c in self.s.calls[self.calls:] if end < c[0] <= plan_end and c[2] % 2]
            new += self.until("calls", end, lambda item: item[0])
            for c in early:
                self.s.calls.remove(c)
            new += early
        else:
            new += self.until("calls", end, lambda item: item[0])
        plan(self.host, self.until("reads", end << 1, lambda item: item[1]))
        self.host.add_calls(rows_of(new), ADDRESSES)
        self.host.run(EPOCH + end - LAG if end != WHOLE else end_of(self.s))
        self.emitted += taken(self.host)
        self.host.forget()
        assert self.host.emitted_count() == 0
        return end != WHOLE


def in_windows(s, count, ahead=0, planned=False, **device):
    w = Windows(s, **device)
    w.host.auto_reader(-1, True, planned=planned)
    while w.step(count, ahead):
        pass
    assert w.lengthened or not s.longer
    return outcome(w.host, w.emitted)


def agree(a, b):
    assert len(a["emitted"]) == len(b["emitted"])
    for x, y in zip(a["emitted"], b["emitted"], strict=True):
        assert x == y
    assert a == b
