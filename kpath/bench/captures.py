# SPDX-License-Identifier: GPL-2.0-only
"""Captures for the benchmarks: one long flow, many at once, or many short ones, as long as is asked for.

What arrives is made up here; what the local side answers is what kpath answers, so that a replay takes the road of a
replay that agrees. Such a capture says something about speed and nothing about fidelity.

    python -m kpath.bench.captures download 1000000 /tmp/download.pcap
"""

import argparse
import struct
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from kpath_c.host import OPS as OP
from kpath_c.host import Host

LOCAL, PEER = "10.0.0.1", "10.0.0.2"
LOCAL_BYTES, PEER_BYTES = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
PORT, FIRST_PORT = 5001, 32768  # the peer's and the local one of the first connection
PORTS = 28000  # connections to one port of the peer
US, MS, S = 10**3, 10**6, 10**9
# Not begun at the turn of a ms, where a segment's stamp and that of its capture may show different ones.
EPOCH, UPTIME = 1_700_000_000 * S, 1000 * S + 300 * US
ISN, PEER_ISN = 0x10000000, 0x20000000
MSS, PAYLOAD = 1460, 1448
VERSION = 5  # of what is in the captures, which are kept
TRAIN, GAP, PAUSE = 8, 12 * US, 108 * US  # full segments come in trains, 500 Mbit/s on the whole
RTT = 2 * MS
CONNECT = 6 * US  # from the call of socket() to the stamp of the SYN
DELAYED_ACK = 40 * MS
OTHER_WINDOW = 700
BLOCK = 1 << 16  # what a long upload is written in
RAW_IP = 101
FIN, SYN, PSH, ACK = 1, 2, 8, 16
DATA_HEADER = 52

Packet = tuple[int, bytes, int]  # ns, the headers, length of the whole packet on the wire


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total = int(sum(struct.unpack(f"!{len(data) // 2}H", data)))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def milliseconds(t: int) -> int:
    """What a timestamp option shows at time t; both ends count from the same moment."""
    return (t - EPOCH + UPTIME) // MS


def ends(port: int) -> tuple[int, int]:
    """The peer's and the local port of a connection."""
    i = port - FIRST_PORT
    return PORT + i // PORTS, FIRST_PORT + i % PORTS


def from_peer(t: int, port: int, flags: int, seq: int, ack: int, length: int = 0, mss: int = MSS,
              shift: int = 7, window: int = 512) -> Packet:
    """A packet of the peer that arrives at t; seq and ack count from the first byte of either stream.

    port: which connection, counted from FIRST_PORT.
    """
    peer_port, port = ends(port)
    sent = t - RTT + (CONNECT if flags & SYN else 0)
    stamps = struct.pack("!BBII", 8, 10, milliseconds(t), milliseconds(sent))
    options = b"\1\1" + stamps
    if flags & SYN:
        options = b"\2\4" + struct.pack("!H", mss) + b"\4\2" + stamps + b"\1\3\3" + bytes((shift,))
    tcp = struct.pack("!HHIIBBHI", peer_port, port, PEER_ISN + 1 + seq & 0xFFFFFFFF, ISN + 1 + ack & 0xFFFFFFFF,
                      (20 + len(options)) << 2, flags, window, 0) + options
    total = 20 + len(tcp) + length
    ip = struct.pack("!BBHHHBBH", 0x45, 0, total, 0, 0x4000, 64, 6, 0) + PEER_BYTES + LOCAL_BYTES
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    # With the payload cut off nobody can verify the checksum of a packet that has any.
    if not length:
        check = checksum(PEER_BYTES + LOCAL_BYTES + struct.pack("!HH", 6, len(tcp)) + tcp)
        tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
    return t, ip + tcp, total


def new_host(connections: int = 1, route: dict[str, int] | None = None, local: str = LOCAL,
             memory: int = 32 << 30) -> Host:
    """The local side, with its first sequence numbers and ports given; memory: of the emulated machine."""
    host = Host(addrs=[local], clock={"mono_to_real_ns": EPOCH - UPTIME}, memory=memory)
    host.add_route("10.0.0.0", 24, route or {})
    host.want_probes(False)
    for i in range(connections):
        peer_port, port = ends(FIRST_PORT + i)
        host.pin(LOCAL, port, PEER, peer_port, ISN, 0, False)
    host.run(EPOCH - MS)
    return host


def connect(host: Host, i: int, t: int) -> None:
    """Connection i is opened, in slot and thread i."""
    host.add_call(t, -1, i, i, OP["socket"])
    host.add_call(t + US, -1, i, i, OP["connect"], ends(FIRST_PORT + i)[0], s=PEER)


def load(host: Host, packets: list[Packet]) -> None:
    """Gives the host all that arrives."""
    buf = b"".join(p[1] for p in packets)
    off, at = array("q"), 0
    for p in packets:
        off.append(at)
        at += len(p[1])
    host.load(buf, array("q", (p[0] for p in packets)), off, array("q", (len(p[1]) for p in packets)),
              array("q", (p[2] for p in packets)))


def emitted(host: Host, since: int = 0) -> Iterator[Packet]:
    """What the host has sent, from segment number `since` on."""
    for i in range(since, host.emitted_count()):
        t, _, length, _, headers = host.emitted(i)
        yield t, headers, len(headers) + length


def upload(n: int) -> list[Packet]:
    """One flow of n packets: an application writes block after block, the peer acknowledges every second segment."""
    host = new_host()
    connect(host, 0, EPOCH)
    for _ in range(n * PAYLOAD // BLOCK + 1):
        host.add_call(EPOCH + 2 * US, -1, 0, 0, OP["send"], BLOCK)
    arrivals = [from_peer(EPOCH + RTT, FIRST_PORT, SYN | ACK, -1, 0)]
    host.receive(arrivals[0][1], arrivals[0][0])
    seen, unanswered = 1, 0
    last, end = 0, 0
    while len(arrivals) + seen < n:
        acks = []
        for t, headers, length in emitted(host, seen):
            seen += 1
            if length > len(headers):
                unanswered += 1
                last, end = t, struct.unpack_from("!I", headers, 24)[0] + length - len(headers) - ISN - 1
            if unanswered == 2:
                acks.append(from_peer(last + RTT, FIRST_PORT, ACK, 0, end & 0xFFFFFFFF))
                unanswered = 0
        if not acks:  # the delayed ACK, or a pause of the sender's
            t = last + RTT + DELAYED_ACK
            acks = [from_peer(t, FIRST_PORT, ACK, 0, end & 0xFFFFFFFF)] if unanswered else []
            unanswered = 0
            host.run(max(t - 1, host.now + MS) if acks else host.now + 50 * MS)
        for ack in acks:
            host.receive(ack[1], ack[0])
        arrivals += acks
    return finish(host, arrivals, n)


def flows(n: int, count: int) -> list[Packet]:
    """n packets of `count` flows that are open all at once: trains of full segments arrive, one for each in turn."""
    every = TRAIN * GAP + PAUSE
    turns = max((n - 3 * count) // ((TRAIN + 1) * count), 0) + 1
    arrivals = [from_peer(EPOCH + i * every + RTT, FIRST_PORT + i, SYN | ACK, -1, 0) for i in range(count)]
    start = EPOCH + (count - 1) * every + 2 * RTT
    headers = [bytearray(from_peer(start, FIRST_PORT + i, ACK, 0, 0, PAYLOAD)[1]) for i in range(count)]
    for turn in range(turns):
        for i, h in enumerate(headers):
            for k in range(TRAIN):
                t = start + (turn * count + i) * every + k * GAP
                struct.pack_into("!I", h, 24, PEER_ISN + 1 + (turn * TRAIN + k) * PAYLOAD & 0xFFFFFFFF)
                struct.pack_into("!II", h, 44, milliseconds(t), milliseconds(t - RTT))
                arrivals.append((t, bytes(h), DATA_HEADER + PAYLOAD))
    arrivals.sort(key=lambda p: p[0])
    host = new_host(count)
    for i in range(count):
        connect(host, i, EPOCH + i * every)
    host.auto_reader(-1, True)
    load(host, arrivals)
    host.run()
    return finish(host, arrivals, n)


def differing(n: int, count: int) -> list[Packet]:
    """The same of a host that is not kpath's: each segment shows another window, and every eighth ACK was not sent."""
    out, acks = [], 0
    for t, headers, length in flows(n + n // 6, count):
        if headers[12:16] == LOCAL_BYTES and not headers[33] & SYN:
            acks += 1
            if acks % 8 == 0:
                continue
            headers = headers[:34] + struct.pack("!H", OTHER_WINDOW) + headers[36:]
        out.append((t, headers, length))
    return out[:n]


def requests(n: int) -> list[Packet]:
    """n / 8 connections with a request and an answer each.

    Each connection opens 200 us after the one before, sends a request of 300 bytes, reads an answer of 500 and closes
    behind the peer.
    """
    connections = max(n // 8 + 1, 1)
    host = new_host(connections)
    arrivals, calls = [], []
    for i in range(connections):
        t, port = EPOCH + i * 200 * US, FIRST_PORT + i
        arrivals += [from_peer(t + RTT, port, SYN | ACK, -1, 0),
                     from_peer(t + 2 * RTT, port, ACK | PSH, 0, 300, 500),
                     from_peer(t + 2 * RTT + US, port, ACK | FIN, 500, 300),
                     from_peer(t + 4 * RTT, port, ACK, 501, 301)]
        calls += [(t, i, "socket", 0), (t + US, i, "connect", ends(port)[0]), (t + 2 * US, i, "send", 300),
                  (t + 3 * US, i, "recv", 500), (t + 3 * RTT, i, "close", 0)]
    for t, i, op, argument in sorted(calls):
        host.add_call(t, -1, i, i, OP[op], argument, s=PEER if op == "connect" else "")
    arrivals.sort(key=lambda p: p[0])
    load(host, arrivals)
    host.run()
    return finish(host, arrivals, n)


def finish(host: Host, arrivals: list[Packet], n: int) -> list[Packet]:
    """The first n packets of both directions, in order of time."""
    packets = sorted([*arrivals, *emitted(host)], key=lambda p: p[0])[:n]
    host.close()
    return packets


def write(packets: list[Packet], path: Path) -> Path:
    """Writes a pcap with ns and without link layer; the payload is left out, as a snaplen would."""
    with path.open("wb") as f:
        f.write(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, RAW_IP))
        for t, headers, length in packets:
            f.write(struct.pack("=IIII", t // S, t % S, len(headers), length) + headers)
    return path


KINDS: dict[str, Callable[[int], list[Packet]]] = {
    "download": partial(flows, count=1), "upload": upload, "requests": requests}
OF_FLOWS = {"flows": flows, "differing": differing}
EXPECTED = f"{', '.join(KINDS)}, N-{' or N-'.join(OF_FLOWS)}"


def maker(kind: str) -> Callable[[int], list[Packet]]:
    """The function for one of KINDS, or for `N-flows` and the like. ValueError: there is none."""
    number, _, what = kind.partition("-")
    if what in OF_FLOWS and number.isdecimal() and int(number):
        return partial(OF_FLOWS[what], count=int(number))
    if kind not in KINDS:
        raise ValueError(f"expected {EXPECTED}, found {kind!r}")
    return KINDS[kind]


def make(kind: str, n: int, folder: Path) -> Path:
    """The capture of this kind with n packets in `folder`; kept, as the long ones take a while."""
    path = folder / f"kpath-{VERSION}-{kind}-{n}.pcap"
    return path if path.exists() else write(maker(kind)(n), path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kpath.bench.captures",
                                     description="Writes a capture for benchmarks.")
    parser.add_argument("kind", help=EXPECTED)
    parser.add_argument("packets", type=int)
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    try:
        make_packets = maker(args.kind)
    except ValueError as e:
        parser.error(str(e))
    write(make_packets(args.packets), args.file)


if __name__ == "__main__":
    main()
