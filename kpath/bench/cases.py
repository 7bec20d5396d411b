# SPDX-License-Identifier: GPL-2.0-only
"""The benchmarks: what is prepared, what is timed, and per what the time is given."""

import contextlib
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import kpath_c.host as benchmarks
from kpath.bench import captures
from kpath_c.host import Host

SLOT = 0
BULK = 40_000  # segments
CONNECTIONS_BEFORE = 4000  # from then on as many leave TIME_WAIT as enter it
EHASH_BYTES = 128 << 10  # the established table has a chain for so much memory
HOST_FILE = {"addr": [captures.LOCAL], "clock": {"mono_to_real_ns": captures.EPOCH - captures.UPTIME}}
#: what is replayed, and the goal in ns a packet
REPLAYS: dict[str, int | None] = {"download": 222, "upload": 222, "flows": 400, "differing": None, "requests": None}
NAMES = {"flows": "{:,} flows at once", "differing": "{:,} differing flows", "requests": "requests, {:,} flows"}
PACKETS_A_FLOW = {"flows": 20, "differing": 20, "requests": 8}
PACKETS = int(os.environ.get("KPATH_BENCH_PACKETS") or 1_000_000)


@dataclass(frozen=True)
class Run:
    """One timed run: `work` is what the clock sees; it returns how many `unit`s it has done.

    ns: where only a part of the work counts, what that part took.
    """

    work: Callable[[], int]
    ns: Callable[[], int] | None = None


@dataclass(frozen=True)
class Case:
    """A benchmark. `ready` prepares a run and cleans up behind it.

    goal: ns for each unit; peer: what it is compared with (bench/peers.py); times: the goal as a multiple of the peer's
    ns. None: not set.
    """

    name: str
    unit: str
    ready: Callable[[], contextlib.AbstractContextManager[Run]]
    goal: float | None = None
    peer: str | None = None
    times: float | None = None


def established(mss: int = captures.MSS, window: int = 14, **route: int) -> Host:
    """A host with one connection in slot 0: open, timestamps on, a peer whose window is as large as it gets."""
    host = captures.new_host(route={"initcwnd": 10, **route})
    for name, value in (("wmem_max", 1 << 30), ("rmem_max", 1 << 30)):
        host.sysctl(f"net.core.{name}", str(value))
    host.sysctl("net.ipv4.tcp_wmem", f"4096 {1 << 29} {1 << 29}")
    host.sysctl("net.ipv4.tcp_rmem", "4096 131072 131072")
    host.call(SLOT, "socket")
    host.call(SLOT, "connect", captures.PORT, s=captures.PEER)
    t, packet, _ = captures.from_peer(host.now + captures.RTT, captures.FIRST_PORT, captures.SYN | captures.ACK, -1, 0,
                                      mss=mss, shift=window)
    host.receive(packet, t)
    t, packet, _ = captures.from_peer(t + captures.MS, captures.FIRST_PORT, captures.ACK, 0, 0, window=0xFFFF)
    host.receive(packet, t)
    return host


@contextmanager
def lookups(sockets: int) -> Iterator[Run]:
    chains = min(max(512, 1 << (sockets - 1).bit_length()), 1 << 19)  # as the C loop has
    host = captures.new_host(memory=chains * EHASH_BYTES)
    table = benchmarks.Established(host, sockets)
    try:
        if wrong := table.mistaken():
            raise AssertionError(f"{wrong:,} of {sockets:,} sockets are not found")
        yield Run(lambda: table.lookup(1_000_000))
    finally:
        table.close()
        host.close()


@contextmanager
def data(payload: int, batch: int, alone: bool = True, verified: bool = True, count: int = 500_000) -> Iterator[Run]:
    """Segments in order, every second acknowledged: a peer with an MSS below 64 + 64 is at every second of 64 bytes.

    batch: how many the application reads at once. alone: tcp_v4_rcv() and all below it; else from the device to the
    application's recv(). verified: the device has verified the checksums; else tcp_v4_rcv() does.
    """
    host = established(mss=captures.MSS if payload > 100 else 100)
    benchmarks.receive_data(host, SLOT, 1000, payload, verified, batch)  # the quick ACKs of a young connection are over
    took = []

    def work() -> int:
        segments, acks, ns = benchmarks.receive_data(host, SLOT, count, payload, verified, batch)
        if not segments * 0.49 < acks < segments * 0.51:
            raise AssertionError(f"{acks} ACKs for {segments} segments: expected one for every second")
        took.append(ns)
        return int(segments)
    yield Run(work, (lambda: took[-1]) if alone else None)
    host.close()


@contextmanager
def pure_acks() -> Iterator[Run]:
    host = established()
    benchmarks.close_cwnd(host, SLOT, 1 << 20)
    if (sent := benchmarks.write(host, SLOT, BULK)) != BULK:
        raise AssertionError(f"{sent:,} segments sent, expected {BULK:,}")
    yield Run(lambda: benchmarks.receive_acks(host, SLOT, 2))
    host.close()


@contextmanager
def write_xmit() -> Iterator[Run]:
    host = established()
    benchmarks.close_cwnd(host, SLOT, 0)
    benchmarks.write(host, SLOT, BULK)
    yield Run(lambda: benchmarks.write_xmit(host, SLOT))
    host.close()


@contextmanager
def sendmsg() -> Iterator[Run]:
    host = established()
    benchmarks.close_cwnd(host, SLOT, 1 << 20)
    yield Run(lambda: benchmarks.write(host, SLOT, BULK))
    host.close()


@contextmanager
def transmit_skb() -> Iterator[Run]:
    host = established()
    benchmarks.write(host, SLOT, 1)
    yield Run(lambda: benchmarks.transmit_skb(host, SLOT, 500_000))
    host.close()


@contextmanager
def connections(count: int = 20_000) -> Iterator[Run]:
    """Two hosts, one of which listens: connections from socket() and connect() to both ends' close()."""
    near, far = captures.new_host(0), captures.new_host(0, local=captures.PEER)
    far.call(SLOT, "socket")
    far.call(SLOT, "bind", captures.PORT)
    far.call(SLOT, "listen", 128)
    run = functools.partial(benchmarks.connections, near, far, SLOT, captures.PORT)
    if (made := run(CONNECTIONS_BEFORE)) != CONNECTIONS_BEFORE:
        raise AssertionError(f"{made:,} connections, expected {CONNECTIONS_BEFORE:,}")
    yield Run(lambda: run(count))
    opened = near.counters()["TcpActiveOpens"], far.counters()["TcpPassiveOpens"]
    near.close()
    far.close()
    if opened[0] != opened[1] or opened[0] < count:
        raise AssertionError(f"{opened[0]:,} connections opened, {opened[1]:,} accepted")


def folder() -> Path:
    """Where captures are kept."""
    return Path(os.environ.get("KPATH_BENCH_DIR") or tempfile.gettempdir())


#: Runs the command and tells what it took; a process of its own, as a child is charged for the memory of who starts it.
WATCHED = """
import resource, subprocess, sys, time
start = time.perf_counter_ns()
status = subprocess.run([sys.executable, "-m", "kpath", *sys.argv[1:]]).returncode
wall = time.perf_counter_ns() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(int((used.ru_utime + used.ru_stime) * 1e9), wall, used.ru_maxrss * 1024, status, file=sys.stderr)
"""


@dataclass(frozen=True)
class Whole:
    """What one process `kpath replay` took, from its start to its end: ns of processor time, ns, bytes of memory."""

    cpu: int
    wall: int
    memory: int


def whole(kind: str, packets: int, jobs: int = 1) -> Whole:
    """Runs `kpath replay CAPTURE --host FILE`, which compares and reports."""
    path = captures.make(kind, packets, folder())
    host_file = path.with_suffix(".host.json")
    host_file.write_text(json.dumps(HOST_FILE))
    argv = ["replay", str(path), "--host", str(host_file), "-j", str(jobs)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.run([sys.executable, "-c", WATCHED, *argv], env=env, capture_output=True, text=True)
    cpu, wall, memory, status = (int(n) for n in process.stderr.split()[-4:])
    # A replay that goes astray is another amount of work, and so is one that does not where it should.
    told = re.search(r"agreement +([0-9,]+) of ([0-9,]+) segments", process.stdout)
    if status not in (0, 1) or told is None:
        raise AssertionError(f"kpath {' '.join(argv)}: exit status {status}")
    matched, most = (int(text.replace(",", "")) for text in told.groups())
    if (matched < 0.99 * most) != kind.endswith("differing"):
        raise AssertionError(f"{matched:,} of {most:,} segments agree")
    return Whole(cpu, wall, memory)


@contextmanager
def replay(kind: str, packets: int) -> Iterator[Run]:
    """A whole replay, the start of the interpreter included."""
    captures.make(kind, packets, folder())
    took: list[int] = []

    def work() -> int:
        took.append(whole(kind, packets).cpu)
        return packets
    yield Run(work, lambda: took[-1])


CASES = [
    *(Case(f"__inet_lookup_established, {n:,} sockets", "lookup", lambda n=n: lookups(n),  # type: ignore[misc]
           peer=f"lookup {n}", times=1.3) for n in (10**2, 10**4, 10**6)),
    Case("tcp_v4_rcv, 64 bytes in order, ACK every second", "segment", lambda: data(64, 64), goal=100),
    Case("the same from the device to recv()", "segment", lambda: data(64, 64, alone=False)),
    Case("tcp_v4_rcv, 1448 bytes, checksum verified", "segment", lambda: data(1448, 12, verified=False), goal=170),
    Case("tcp_v4_rcv, pure ACKs for two segments each", "ACK", pure_acks),
    Case("tcp_write_xmit and all below, bulk", "segment", write_xmit, goal=120),
    Case("tcp_sendmsg and all below, bulk", "segment", sendmsg),
    Case("tcp_transmit_skb", "segment", transmit_skb),
    Case("handshake, accept and close, both ends", "connection", connections, goal=600, peer="connections 5000"),
]


def replay_case(kind: str, packets: int) -> Case:
    """A whole replay of one of the captures."""
    flows = packets // PACKETS_A_FLOW.get(kind, packets)
    capture = f"{flows}-{kind}" if kind in captures.OF_FLOWS else kind
    name = NAMES.get(kind, f"{kind}, 1 flow").format(flows)
    return Case(f"replay: {name}, {packets:,} packets", "packet", lambda: replay(capture, packets), goal=REPLAYS[kind],
                peer=f"headers {capture}")


def all_cases(packets: int = PACKETS) -> list[Case]:
    """Every benchmark, with so many packets in each replay."""
    return CASES + [replay_case(kind, packets) for kind in REPLAYS]
