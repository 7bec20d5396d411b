# SPDX-License-Identifier: GPL-2.0-only
"""Small generated captures, and a stand-in for the kernel side that emits what it is told to."""

from __future__ import annotations

import ipaddress
import json
import struct
from array import array

from kpath.records import Walk
from kpath.segments import Table

T0 = 1_700_000_000_000_000_000
MS = 1_000_000
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128


CLIENT6, SERVER6 = "fd77::1", "fd77::2"


def packed(address):
    return ipaddress.ip_address(address).packed


def ones(data):
    data = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def timestamps(val, ecr):
    return b"\x01\x01\x08\x0a" + struct.pack("!II", val, ecr)


def ip_tcp(
    src,
    sport,
    dst,
    dport,
    seq,
    ack=0,
    flags=ACK,
    win=1000,
    payload=b"",
    options=b"",
    ttl=64,
    ecn=0,
    urg=0,
    length=None,
    frag=0x4000,
    doff=None,
    proto=6,
    checksum=True,
):
    """An IPv4 or IPv6 packet. length: what IPv4's header says, if it is to lie."""
    options += b"\0" * (-len(options) % 4)
    thl = 20 + len(options)
    off = ((thl // 4 if doff is None else doff) << 12) | flags
    tcp = (
        struct.pack("!HHIIHHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, off, win, 0, urg) + options + payload
    )
    if checksum:
        c = ones(packed(src) + packed(dst) + struct.pack("!HH", 6, len(tcp)) + tcp)
        tcp = tcp[:16] + struct.pack("!H", c) + tcp[18:]
    if ":" in src:
        return struct.pack("!IHBB", 6 << 28 | ecn << 20, len(tcp), proto, ttl) + packed(src) + packed(dst) + tcp
    total = 20 + len(tcp) if length is None else length
    head = struct.pack("!BBHHHBBH", 0x45, ecn, total, 0, frag, ttl, proto, 0) + packed(src) + packed(dst)
    return head[:10] + struct.pack("!H", ones(head)) + head[12:] + tcp


def pcap(records, linktype=101, magic=b"\x4d\x3c\xb2\xa1", snaplen=65535):
    """A pcap file of (t in ns, packet) or (t, packet, wire length)."""
    little = magic in (b"\x4d\x3c\xb2\xa1", b"\xd4\xc3\xb2\xa1")
    nano = magic in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
    end = "<" if little else ">"
    out = [magic, struct.pack(end + "HHiIII", 2, 4, 0, 0, snaplen, linktype)]
    for t, data, *wire in records:
        unit = t % 10**9 // (1 if nano else 1000)
        out.append(struct.pack(end + "IIII", t // 10**9, unit, len(data), wire[0] if wire else len(data)) + data)
    return b"".join(out)


def walk(records, linktype=101):
    """What goes through the packets of such a file."""
    out = Walk(bytearray(pcap(records, linktype)))
    out.pcap(True, True, linktype)
    return out


def table(records, linktype=101):
    """The segments of such a file."""
    return Table().read(walk(records, linktype), len(records))


def conversation(t0=T0, isn_c=0xFFFFFF00, isn_s=5000, cport=40000, sport=80, request=300, step=10 * MS, stamps=True,
                 client=CLIENT, server=SERVER):
    """Handshake, a request, its response, both FINs, as the client's host sees it: [(t, packet)]; RTT `step`."""
    val = 1000

    def seg(t, ours, seq, ack, flags, payload=b"", syn=b""):
        nonlocal val
        val = 1000 + (t - t0) // MS
        options = syn
        if stamps:
            options += timestamps(val if ours else val + 777, 0 if flags == SYN else 1)
        ends = (client, cport, server, sport) if ours else (server, sport, client, cport)
        out.append((t, ip_tcp(*ends, seq, ack, flags, payload=payload, options=options, win=64240 if syn else 502)))

    out = []
    syn = struct.pack("!BBH", 2, 4, 1460) + b"\x04\x02" + b"\x03\x03\x07\x01" + b"\x01\x01"
    c, s, us = isn_c, isn_s, 1000
    data = bytes(i & 255 for i in range(request))
    seg(t0, True, c, 0, SYN, syn=syn)
    seg(t0 + step, False, s, c + 1, SYN | ACK, syn=syn)
    seg(t0 + step + 10 * us, True, c + 1, s + 1, ACK)
    seg(t0 + step + 50 * us, True, c + 1, s + 1, PSH | ACK, data)
    seg(t0 + 2 * step, False, s + 1, c + 1 + request, ACK)
    seg(t0 + 2 * step + 50 * us, False, s + 1, c + 1 + request, PSH | ACK, b"x" * 100)
    seg(t0 + 2 * step + 60 * us, True, c + 1 + request, s + 101, ACK)
    seg(t0 + 3 * step, True, c + 1 + request, s + 101, FIN | ACK)
    seg(t0 + 4 * step, False, s + 101, c + 2 + request, FIN | ACK)
    seg(t0 + 4 * step + 10 * us, True, c + 2 + request, s + 102, ACK)
    return out


def sent_by(records, address=CLIENT):
    """The (t, packet) that `address` sent."""
    at, end = (8, 24) if ":" in address else (12, 16)
    return [r[:2] for r in records if len(r[1]) >= 20 and r[1][at:end] == packed(address)]


def by(n, rows):
    """Rows of n numbers."""
    return [tuple(rows[i : i + n]) for i in range(0, len(rows), n)]


def texts(words):
    """Addresses of two int64 each as text."""
    out = []
    for high, low in by(2, words):
        address = ipaddress.IPv6Address((high % 2**64) << 64 | low % 2**64)
        out.append(str(address.ipv4_mapped or address))
    return out


class FakeHost:
    """Looks like kpath_c.host.Host; emits `FakeHost.emits`, [(t, packet)], and remembers what it was given."""

    emits: list = []
    notes: list = []
    bad_sysctls = {"net.ipv4.tcp_sack": ("x", "banana")}
    last: FakeHost | None = None

    def __init__(self, *, hz=250, addrs=("10.0.0.1",), device=None, clock=None):
        self.hz, self.addrs, self.device, self.clock = hz, addrs, device, clock
        self.set, self.routes, self.pins, self.given, self.ran = {}, [], [], [], []
        self.closed, self.auto, self.kind, self.probing = False, [], None, True
        self.plans = {}
        FakeHost.last = self

    def sysctl(self, name, value):
        if "nonsense" in name:
            raise KeyError(name)
        if value in self.bad_sysctls.get(name, ()):
            raise ValueError(f"{name} = {value!r}: the kernel would refuse this value")
        self.set[name] = value

    def add_route(self, dst, prefixlen, metrics, locks, features):
        self.routes.append((dst, prefixlen, metrics, locks, features))

    def qdisc(self, kind):
        self.kind = kind

    def want_probes(self, on):
        self.probing = on

    def want_tcp_info(self, on):
        self.keeps_info = on

    def pin_all(self, rows, addresses):
        known = texts(addresses)
        for laddr, lport, raddr, rport, isn, tsoff, passive, tsval in by(8, rows):
            self.pins.append((known[laddr], lport, known[raddr], rport, isn, None if tsoff < 0 else tsoff,
                              bool(passive), None if tsval < 0 else tsval))

    def load(self, buf, t, off, caplen, origlen):
        self.buf, self.arrivals = buf, (t, off, caplen, origlen)

    def add_call(self, t0, t1, thread, slot, op, a0=0, a1=0, a2=0, a3=0, s="", ret=None, errno=None):
        self.given.append((t0, t1, thread, slot, NAMES[op], (a0, a1, a2, a3), s))
        return len(self.given) - 1

    def add_calls(self, rows, addresses):
        known = texts(addresses)
        for t0, thread, slot, op, a0, a1, a2, address in by(8, rows):
            self.add_call(t0, -1, thread, slot, op, a0, a1, a2, 0, known[address] if address >= 0 else "")

    def plan_reads(self, rows, times):
        for slot, first, n in by(3, rows):
            self.plans[slot] = list(times[first : first + n])

    def auto_reader(self, slot, on):
        self.auto.append((slot, on))

    def run(self, until=None):
        self.ran.append(until)

    def emitted_buffers(self):
        hdr, t, off, hlen, plen = bytearray(), array("q"), array("q"), array("i"), array("i")
        for when, packet in self.emits:
            size = 40 if packet[0] >> 4 == 6 else (packet[0] & 15) * 4
            size += (packet[size + 12] >> 4) * 4
            t.append(when)
            off.append(len(hdr))
            hlen.append(size)
            plen.append(len(packet) - size)
            hdr += packet[:size]
        n = len(t)
        return tuple(memoryview(x) for x in (hdr, t, off, hlen, plen, array("q", [-1] * n), array("i", [0] * n)))

    def probes(self):
        return [
            {
                "time": T0 + MS,
                "saddr": CLIENT,
                "sport": 40000,
                "daddr": SERVER,
                "dport": 80,
                "data_len": 0,
                "snd_nxt": 1,
                "snd_una": 1,
                "snd_cwnd": 10,
                "ssthresh": 7,
                "snd_wnd": 500,
                "srtt": 9,
                "rcv_wnd": 64240,
                "packets_out": 1,
            }
        ]

    def counters(self):
        return {"TcpOutSegs": len(self.emits)}

    def connections(self, ports=None):
        return [
            {
                "laddr": CLIENT,
                "lport": 40000,
                "raddr": SERVER,
                "rport": 80,
                "state": "TIME_WAIT",
                "passive": False,
                "tcp_info": {"tcpi_state": 6},
                "segs_in": 1,
                "segs_out": 1,
                "t_open": T0,
            }
        ]

    def warnings(self):
        return self.notes

    def close(self):
        self.closed = True


CALLS = "socket bind listen accept connect send recv shutdown close poll setsockopt getsockopt fcntl sendto tcp_info"
OPS = {name: i for i, name in enumerate(CALLS.split())}
NAMES = {i: name for name, i in OPS.items()}


def jsonl(path, *objects):
    path.write_text("".join(json.dumps(o) + "\n" for o in objects))
    return str(path)
