#!/usr/bin/env python3
"""Records a capture of two real Linux hosts, with their socket calls and host files, for `kpath replay`.

    sudo python traces/record.py request out/       one of the scenarios below, into out/
    sudo python traces/record.py --list

Needs Linux, root, iproute2 and tcpdump. Two network namespaces are joined by a link in user space (a TUN device at each
end) that delays, limits and drops packets as the scenario says. Written for each end: `SIDE.pcap` (ns),
`SIDE.calls.jsonl` (the application's socket calls) and `SIDE.host.json` (what `kpath replay --host` reads). The
namespaces are removed in the end, whatever happens.
"""
import argparse
import ctypes
import fcntl
import heapq
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIDES = ("client", "server")
ADDRESS = {"client": "10.77.0.1", "server": "10.77.0.2"}
PORT = 5001
BUFFER_KIB = "65536"  # each packet takes a slot of the snap length there
TCP_MD5SIG = 14
NAMESPACE = "kpath-{}-{}"
DEVICE = "kp0"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
LATE_MS = 15  # a burst makes the link 7 ms late by itself; later than this, it is not what the scenario says
SYSCTLS = re.compile(r"^net\.(ipv4\.(tcp_|ip_local_port_range|ip_default_ttl|ip_no_pmtu_disc)"
                     r"|core\.([rw]mem_|somaxconn))")

Step = tuple[str, Any]


@dataclass
class Scenario:
    """What the two applications do and what the link does to their packets."""

    about: str
    client: list[Step]
    server: list[Step]
    delay_ms: float = 5
    rate: int = 0  # bit/s each way, 0: no limit
    drop: dict[str, set[int]] = field(default_factory=dict)  # side -> which of its data packets (from 1) are lost
    snaplen: int = 0
    key: str = ""  # signs every segment (RFC 2385)
    sysctl: dict[str, str] = field(default_factory=dict)


SCENARIOS = {
    "handshake": Scenario("connect, nothing sent, close", [("connect", 0), ("sleep", 20), ("close", 0)],
                          [("recv_eof", 4096), ("close", 0)]),
    "request": Scenario("three requests of 300 bytes, answers of 1000",
                        [("connect", 0)] + [("send", 300), ("recv", 1000)] * 3 + [("close", 0)],
                        [("recv", 300), ("send", 1000)] * 3 + [("recv_eof", 4096), ("close", 0)]),
    "bulk": Scenario("one megabyte up over 10 Mbit/s", [("connect", 0), ("send", 1_000_000), ("close", 0)],
                     [("recv_eof", 65536), ("close", 0)], rate=10_000_000, snaplen=128),
    "loss": Scenario("100 kB up, the 12th data packet is lost", [("connect", 0), ("send", 100_000), ("close", 0)],
                     [("recv_eof", 65536), ("close", 0)], delay_ms=10, drop={"client": {12}}, snaplen=128),
    "slow-reader": Scenario("300 kB up to a reader that takes 8 kB every 20 ms",
                            [("connect", 0), ("send", 300_000), ("close", 0)],
                            [("recv_slow", (8192, 20)), ("close", 0)], snaplen=128),
    "signed": Scenario("TCP_MD5SIG: a request, an answer of 20 kB of which a segment is lost",
                       [("connect", 0), ("send", 300), ("recv", 20_000), ("close", 0)],
                       [("recv", 300), ("send", 20_000), ("recv_eof", 4096), ("close", 0)],
                       drop={"server": {4}}, key="not a secret"),
}


def run(*argv: str) -> str:
    """Runs a command that must succeed; its output."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def in_namespace(name: str) -> Callable[[], None]:
    """What a child calls to move itself into the network namespace."""
    def enter() -> None:
        with open(f"/run/netns/{name}") as ns:
            if ctypes.CDLL(None, use_errno=True).setns(ns.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {name}")
    return enter


def open_tun(name: str) -> int:
    """A TUN device made inside the namespace; the descriptor works from anywhere."""
    with open("/proc/self/ns/net") as home:
        in_namespace(name)()
        try:
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
        finally:
            ctypes.CDLL(None).setns(home.fileno(), CLONE_NEWNET)
    return fd


@contextmanager
def namespaces(sysctl: dict[str, str]) -> Iterator[dict[str, tuple[str, int]]]:
    """Two namespaces with a TUN device and an address each: side -> (namespace, descriptor)."""
    made: dict[str, tuple[str, int]] = {}
    try:
        for side in SIDES:
            name = NAMESPACE.format(os.getpid(), side)
            run("ip", "netns", "add", name)
            made[side] = (name, -1)
            made[side] = (name, open_tun(name))
            run("ip", "-n", name, "addr", "add", f"{ADDRESS[side]}/24", "dev", DEVICE)
            run("ip", "-n", name, "link", "set", DEVICE, "up")
            for key, value in sysctl.items():
                run("ip", "netns", "exec", name, "sysctl", "-qw", f"{key}={value}")
        yield made
    finally:
        for name, fd in made.values():
            if fd >= 0:
                os.close(fd)
            subprocess.run(["ip", "netns", "del", name], check=False)


class Link:
    """Carries packets from one device to the other: delay, rate, chosen losses."""

    def __init__(self, scenario: Scenario, fds: dict[str, int]) -> None:
        self.scenario, self.fds = scenario, fds
        self.due: list[tuple[int, int, str, bytes]] = []
        self.free_at = dict.fromkeys(SIDES, 0)
        self.data_seen = dict.fromkeys(SIDES, 0)
        self.count = 0
        self.late_ms = 0.0  # the longest by which a packet came after its time

    def lost(self, side: str, packet: bytes) -> bool:
        """Whether this packet is one that the scenario loses."""
        if packet[0] >> 4 != 4 or packet[9] != 6:
            return packet[0] >> 4 != 4
        header = (packet[0] & 15) * 4
        if len(packet) > header + (packet[header + 12] >> 4) * 4:
            self.data_seen[side] += 1
            return self.data_seen[side] in self.scenario.drop.get(side, ())
        return False

    def take(self, side: str, packet: bytes) -> None:
        if self.lost(side, packet):
            return
        now = time.monotonic_ns()
        start = max(now, self.free_at[side])
        if self.scenario.rate:
            start += len(packet) * 8 * 10**9 // self.scenario.rate
            self.free_at[side] = start
        self.count += 1
        other = SIDES[side == "client"]
        heapq.heappush(self.due, (start + int(self.scenario.delay_ms * 1e6), self.count, other, packet))

    def carry(self, alive: Callable[[], bool]) -> None:
        """Until `alive` says no and nothing is under way."""
        by_fd = {fd: side for side, fd in self.fds.items()}
        while alive() or self.due:
            wait = max(0.0, (self.due[0][0] - time.monotonic_ns()) / 1e9) if self.due else 0.05
            for fd in select.select(list(by_fd), [], [], min(wait, 0.05))[0]:
                try:
                    self.take(by_fd[fd], os.read(fd, 65536))
                except BlockingIOError:
                    continue
            while self.due and self.due[0][0] <= (now := time.monotonic_ns()):
                at, _, side, packet = heapq.heappop(self.due)
                self.late_ms = max(self.late_ms, (now - at) / 1e6)
                os.write(self.fds[side], packet)


class Application:
    """One end's application; every socket call is written down with its times, lengths and offsets, never payload."""

    def __init__(self, side: str, log: Path, key: str = "") -> None:
        self.side, self.log, self.fds, self.key = side, log.open("w"), {}, key
        self.sent = self.received = 0

    def call(self, sock: str, name: str, function: Callable[[], Any], /, **args: Any) -> Any:
        t0 = time.time_ns()
        error, ret = None, None
        try:
            ret = function()
        except OSError as e:
            error = e
        t1 = time.time_ns()
        if isinstance(ret, tuple):
            args.update(new="c", peer_port=ret[1][1])
        value = -1 if error else ret if isinstance(ret, int) else len(ret) if isinstance(ret, bytes) else 0
        self.log.write(json.dumps({
            "t0": t0, "t1": t1, "call": name, "thread": 1, "sock": sock, "fd": self.fds.get(sock, 3), "args": args,
            "ret": value, "errno": errno_name(error)}) + "\n")
        if error:
            raise error
        return ret

    def new(self, name: str) -> socket.socket:
        self.fds[name] = len(self.fds) + 3
        return self.call(name, "socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
                         family="AF_INET", type="SOCK_STREAM", nonblock=False)

    def connected(self) -> socket.socket:
        """The socket that the script works on: accepted at the server, made here at the client."""
        if self.side == "client":
            return self.signing(self.new("c"), "c")
        listener = self.signing(self.new("l"), "l")
        self.call("l", "setsockopt", lambda: listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
                  level="SOL_SOCKET", name="SO_REUSEADDR", value=1)
        self.call("l", "bind", lambda: listener.bind((ADDRESS["server"], PORT)), addr=ADDRESS["server"], port=PORT)
        self.call("l", "listen", lambda: listener.listen(16), backlog=16)
        os.write(1, b"listening\n")
        conn = self.call("l", "accept", listener.accept)[0]
        self.fds["c"] = len(self.fds) + 3
        return conn

    def signing(self, sock: socket.socket, name: str) -> socket.socket:
        """With the scenario's key for the other side, if it has one."""
        if self.key:
            peer, key = ADDRESS[SIDES[self.side == "client"]], self.key.encode()
            value = struct.pack("=HH4s120xBBHi80s", socket.AF_INET, 0, socket.inet_aton(peer), 0, 0, len(key), 0, key)
            self.call(name, "setsockopt", lambda: sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, value),
                      level="SOL_TCP", name="TCP_MD5SIG", value={"addr": peer, "key": self.key})
        return sock

    def recv(self, sock: socket.socket, size: int) -> int:
        data = self.call("c", "recv", lambda: sock.recv(size), len=size, off=self.received, flags=[])
        self.received += len(data)
        return len(data)

    def perform(self, steps: list[Step]) -> None:
        sock = self.connected()
        for name, arg in steps:
            if name == "connect":
                self.call("c", "connect", lambda: sock.connect((ADDRESS["server"], PORT)),
                          addr=ADDRESS["server"], port=PORT)
            elif name == "sleep":
                time.sleep(arg / 1000)
            elif name == "send":
                self.send_all(sock, arg)
            elif name == "recv":
                left = arg
                while left and (got := self.recv(sock, left)):
                    left -= got
            elif name == "recv_eof":
                while self.recv(sock, arg):
                    pass
            elif name == "recv_slow":
                while self.recv(sock, arg[0]):
                    time.sleep(arg[1] / 1000)
            elif name == "close":
                self.call("c", "close", sock.close)
        self.log.close()

    def send_all(self, sock: socket.socket, size: int) -> None:
        block = bytes(i % 251 for i in range(min(size, 65536)))
        while size:
            part = block[:size]
            sent = self.call("c", "send", lambda part=part: sock.send(part), len=len(part), off=self.sent, flags=[])
            self.sent += sent
            size -= sent


def errno_name(error: OSError | None) -> str | None:
    import errno
    return errno.errorcode.get(error.errno or 0, str(error.errno)) if error else None


def clock() -> dict[str, int]:
    """How CLOCK_REALTIME and jiffies lie to CLOCK_MONOTONIC."""
    mono_to_real = min((time.time_ns() - time.monotonic_ns() for _ in range(50)), key=abs)
    out = {"mono_to_real_ns": mono_to_real}
    text = Path("/proc/timer_list").read_text()
    jiffies = re.search(r"^jiffies: (\d+)", text, re.M)
    updated = re.search(r"last_jiffies\s*:\s*(\d+)", text)
    now = re.search(r"^now at (\d+) nsecs", text, re.M)
    if jiffies and now and updated:
        tick = 10**9 // hz()
        out.update(tick_ns=tick, jiffies_minus_mono_ticks=int(jiffies[1]) - int(now[1]) // tick)
    return out


def hz() -> int:
    """The kernel's HZ, from its configuration; 250 where that cannot be read."""
    import gzip
    for path, opener in (("/proc/config.gz", gzip.open), (f"/boot/config-{os.uname().release}", open)):
        try:
            with opener(path, "rt") as f:
                found = re.search(r"^CONFIG_HZ=(\d+)", f.read(), re.M)
        except OSError:
            continue
        if found:
            return int(found[1])
    return 250


def host_file(side: str, name: str) -> dict[str, Any]:
    """What is known of the host, in the format that `kpath replay --host` reads."""
    def inside(*argv: str) -> str:
        return run("ip", "netns", "exec", name, *argv)
    known = (line.partition(" = ") for line in inside("sysctl", "-a", "--pattern", r"^net\.(ipv4|core)\.").splitlines())
    return {
        "kernel": os.uname().release, "hz": hz(), "addr": [ADDRESS[side]],
        "device": {"mtu": 1500, "tso": False, "gso": True, "gro": False, "rx": "tun"},
        "route": inside("ip", "route", "show", "dev", DEVICE).strip().replace("/24", f"/24 dev {DEVICE}", 1),
        "qdisc": inside("tc", "qdisc", "show", "dev", DEVICE).strip(),
        "clock": clock(),
        "sysctl": {k: " ".join(v.split()) for k, _, v in known if SYSCTLS.match(k)},
    }


def start_capture(name: str, path: Path, snaplen: int) -> subprocess.Popen[bytes]:
    argv = ["ip", "netns", "exec", name, "tcpdump", "-i", DEVICE, "-w", str(path), "-U", "-Z", "root",
            "--immediate-mode", "--time-stamp-precision=nano", "-B", BUFFER_KIB, "-s", str(snaplen), "ip"]
    p = subprocess.Popen(argv, stderr=subprocess.PIPE)
    assert p.stderr
    for line in p.stderr:
        if b"listening on" in line:
            return p
    raise SystemExit("record: tcpdump did not start")


def start_application(side: str, name: str, scenario: Scenario, log: Path) -> tuple[int, int]:
    """Forks the application into its namespace: (process, what it prints)."""
    out, into = os.pipe()
    pid = os.fork()
    if pid:
        os.close(into)
        return pid, out
    try:
        os.dup2(into, 1)
        in_namespace(name)()
        Application(side, log, scenario.key).perform(getattr(scenario, side))
        os._exit(0)
    except BaseException as e:  # the child must not return into the parent's code
        print(f"record: {side}: {e}", file=sys.stderr)
        os._exit(1)


def on_one_processor() -> None:
    """Link, applications and captures take turns on one CPU in real time: what they race for is repeatable then."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        print("record: no real-time priority here (CAP_SYS_NICE); others may run in between", file=sys.stderr)


def record(scenario: Scenario, out: Path) -> float:
    """Writes the recording; returns by how many ms the link was late at most."""
    on_one_processor()
    out.mkdir(parents=True, exist_ok=True)
    with namespaces(scenario.sysctl) as made:
        captures = [start_capture(made[s][0], out / f"{s}.pcap", scenario.snaplen) for s in SIDES]
        for side in SIDES:
            text = json.dumps(host_file(side, made[side][0]), indent=1)
            (out / f"{side}.host.json").write_text(text + "\n")
        server, said = start_application("server", made["server"][0], scenario, out / "server.calls.jsonl")
        os.read(said, 64)
        client, _ = start_application("client", made["client"][0], scenario, out / "client.calls.jsonl")
        running = {server, client}
        deadline = time.monotonic() + 60

        def alive() -> bool:
            while running and (done := os.waitpid(-1, os.WNOHANG))[0]:
                running.discard(done[0])
            if time.monotonic() > deadline:
                for pid in running:
                    os.kill(pid, signal.SIGKILL)
            return bool(running)

        link = Link(scenario, {s: made[s][1] for s in SIDES})
        link.carry(alive)
        settle = time.monotonic() + 0.3
        link.carry(lambda: time.monotonic() < settle)
        for p in captures:
            p.send_signal(signal.SIGINT)
            p.wait()
    return link.late_ms


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("scenario", nargs="?", choices=sorted(SCENARIOS), metavar="SCENARIO")
    ap.add_argument("out", nargs="?", type=Path)
    ap.add_argument("--list", action="store_true", help="the scenarios")
    a = ap.parse_args()
    if a.list:
        print("\n".join(f"{name:14} {s.about}" for name, s in SCENARIOS.items()))
        return
    if not a.scenario or not a.out:
        ap.error("expected SCENARIO and a folder to write to")
    if os.geteuid():
        sys.exit("record: needs root (network namespaces, TUN)")
    missing = [tool for tool in ("ip", "tc", "tcpdump", "sysctl") if not shutil.which(tool)]
    if missing:
        sys.exit(f"record: not found: {', '.join(missing)} (Debian: apt-get install iproute2 tcpdump procps)")
    late_ms = record(SCENARIOS[a.scenario], a.out)
    print("\n".join(sorted(str(p) for p in a.out.iterdir())))
    if late_ms > LATE_MS:
        sys.exit(f"record: this machine stood still for {late_ms:.0f} ms, and its timers with it: record again")


if __name__ == "__main__":
    main()
