# SPDX-License-Identifier: GPL-2.0-only
"""Runs one script against one host, in virtual time.

Sequence numbers, ports and time stamps of a script are its own; what the host chooses is mapped to them as packetdrill
does: numbers in a segment with SYN are absolute, all others count from the SYN; the first TSval that goes out stands
for the first one written in the script. Time moves when the script waits, for an event's time or for a packet, and by
`step_usecs` with each event: packetdrill's take some tens of microseconds of the machine's time, and scripts rely on
it (which of two round trips is the shorter one, on which side of a tick a timer is set).
"""

from __future__ import annotations

import contextlib
import copy
import io
import sys
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from kpath_c.host import STATES, Host

from . import wire
from .calls import CallFailed, Calls, Descriptor, Outcome
from .code import CodeFailed, Interpreter
from .options import Config
from .script import (
    RANGES,
    RELATIVES,
    Code,
    Command,
    Event,
    IcmpSpec,
    Option,
    Packet,
    Script,
    ScriptError,
    Syscall,
    TcpSpec,
    TimeKind,
)
from .shell import Shell

MASK = 0xFFFFFFFF
FIRST_REMOTE_PORT = 50001
TICK_NS = 4_000_000
UP_NS = 1000 * 10**9
EPOCH_NS = 1_700_000_000 * 10**9
#: into the jiffy, where packetdrill starts its scripts too
PHASE_NS = 250_000
#: how long past its time a packet is waited for
LATE_USECS = 2_000_000
#: a blocking call may take this much longer than the script has events
IDLE_NS = 10**9


class Failure(Exception):
    """The script and the host disagree. details: further lines."""

    def __init__(self, line: int, message: str, details: list[str] | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.details = details or []


class State(Enum):
    """Where a connection of the script stands, as far as mapping its packets needs to know."""

    NEW = auto()
    LISTENING = auto()
    SYN_CAME = auto()
    SYNACK_SENT = auto()
    SYNACK_ACKED = auto()
    CONNECTING = auto()
    SYN_SENT = auto()
    SYN_ACKED = auto()


@dataclass(slots=True, eq=False)
class Connection:
    """A socket of the script, and how its numbers map to the host's."""

    state: State = State.NEW
    descriptor: Descriptor | None = None
    local: tuple[str, int] = ("", 0)
    remote: tuple[str, int] = ("", 0)
    script_local_isn: int = 0
    live_local_isn: int = 0
    live_remote_isn: int = 0
    ts_map: dict[int, int] = field(default_factory=dict)
    first_ts: tuple[int, int] | None = None

    def local_offset(self, syn: bool) -> int:
        """Added to the script's local numbers to make the host's."""
        return self.live_local_isn - self.script_local_isn if syn else self.live_local_isn

    def remote_offset(self, syn: bool) -> int:
        """The same for the remote side, whose numbers the script chooses."""
        return 0 if syn else self.live_remote_isn


def timestamp_of(options: list[Option] | None) -> Option | None:
    """The timestamp option."""
    return next((o for o in options or [] if o.kind == wire.TIMESTAMP and len(o.data) == 8), None)


def shift_sack(options: list[Option], offset: int) -> list[Option]:
    """SACK blocks moved by `offset`."""
    out = []
    for o in options:
        if o.kind == wire.SACK:
            numbers = [int.from_bytes(o.data[i : i + 4], "big") for i in range(0, len(o.data) - 3, 4)]
            o = Option(o.kind, b"".join(((n + offset) & MASK).to_bytes(4, "big") for n in numbers))
        out.append(o)
    return out


class Runner:
    """One run of one script."""

    SIDE_THREAD = 2
    FOREVER_NS = 3600 * 10**9

    def __init__(self, script: Script, config: Config, directory: Path, log: list[str] | None = None) -> None:
        self.script = script
        self.config = config
        self.directory = directory
        self.log = log
        self.host = Host(
            addrs=[config.local_ip],
            device={"rx": "tun", "tso": True, "gso": True, "mtu": config.mtu},
            clock={"mono_to_real_ns": EPOCH_NS - UP_NS, "tick_ns": TICK_NS},
        )
        self.host.latency(0, 0, 0)
        self.host.want_probes(False)
        self.host.vnet_header(config.mss)
        self.host.qdisc("pfifo_fast")
        self.host.run(EPOCH_NS)
        self.start_ns = EPOCH_NS
        self.calls = Calls(self)
        self.shell = Shell(self)
        self.code = Interpreter(script.path)
        self.files: dict[str, int] = {}
        self.connections: list[Connection] = []
        self.current: Connection | None = None
        self.seen = 0
        self.ports = FIRST_REMOTE_PORT
        self.event: Event | None = None
        self.last: Event | None = None
        self.blocked: tuple[Event, Syscall, Outcome] | None = None
        self.thread = 0

    # --- time

    @property
    def now(self) -> int:
        """Script time, us."""
        return int((self.host.now - self.start_ns) // 1000)

    def sleep(self, seconds: float) -> None:
        """Lets virtual time pass."""
        self.host.run(self.host.now + int(seconds * 1e9))

    def tolerance(self, usecs: int, since: int | None) -> int:
        """How far off is close enough: a part of the time since the last event, if that is more."""
        share = self.config.tolerance_percent / 100.0 * (usecs - since) if since is not None else 0
        return max(self.config.tolerance_usecs, int(share))

    def check_time(
        self, event: Event, live: int, what: str, usecs: int | None = None, since: int | None = None
    ) -> None:
        """Fails unless `live` is the event's time, give or take."""
        time = event.time
        if time.kind is TimeKind.ANY:
            return
        low = time.usecs if usecs is None else usecs
        high = time.end if usecs is None and time.kind in RANGES else low
        slack = self.tolerance(low, since)
        if low - slack <= live <= high + slack:
            return
        expected = f"{low / 1e6:.6f} s" if low == high else f"{low / 1e6:.6f}~{high / 1e6:.6f} s"
        off = (live - high if live > high else live - low) / 1e3
        happened = f"happened at {live / 1e6:.6f} s ({off:+.3f} ms, tolerance {slack / 1e3:.3f} ms)"
        raise Failure(event.line, f"{what} expected at {expected}, {happened}")

    def since(self) -> int | None:
        """Time of the event before."""
        return self.last.time.usecs if self.last is not None else None

    def anchored(self, event: Event | None) -> bool:
        """Inbound packets in a row are timed from one to the next."""
        return event is not None and isinstance(event.action, Packet) and not event.action.outbound

    def fix_time(self, event: Event) -> None:
        """A relative time becomes absolute."""
        if event.time.kind not in RELATIVES:
            return
        offset = self.now
        if self.last is not None and self.anchored(self.last) and self.anchored(event):
            offset = self.last.time.usecs
        event.time.usecs += offset
        event.time.end += offset
        if isinstance(event.action, Syscall) and event.action.end is not None:
            event.action.end += offset

    def wait(self, event: Event) -> None:
        """Until the event's time."""
        target = self.start_ns + event.time.usecs * 1000
        if self.host.now < target:
            self.host.run(target)
        if self.last is not None:
            self.check_time(event, self.now, "event", since=self.since())

    # --- the run

    def run(self) -> None:
        """The whole script. Failure or ScriptError if it does not pass."""
        try:
            if self.script.init is not None:
                self.command(self.script.init)
            self.host.run(self.aligned(self.host.now))
            self.start_ns = self.host.now
            for event in self.script.events:
                self.step(event)
            self.finish()
        except Failure as e:
            e.details += self.socket_state()
            raise

    @staticmethod
    def aligned(now: int) -> int:
        """The next time that lies PHASE_NS into a jiffy."""
        mono = now - (EPOCH_NS - UP_NS)
        return now + (-(mono - PHASE_NS)) % TICK_NS

    def step(self, event: Event) -> None:
        """One event."""
        if self.last is None and event.time.usecs != 0:
            raise ScriptError(f"{self.script.path}:{event.line}: the first event should be at time 0")
        absolute = event.time.kind not in RELATIVES
        if self.last is not None and absolute and self.last_absolute and event.time.usecs < self.last.time.usecs:
            raise ScriptError(f"{self.script.path}:{event.line}: time goes backward")
        event = copy.deepcopy(event)
        self.event = event
        self.reap()
        self.fix_time(event)
        action = event.action
        try:
            if isinstance(action, Packet):
                self.packet(event, action)
            elif isinstance(action, Syscall):
                self.syscall(event, action)
            elif isinstance(action, Command):
                self.wait(event)
                self.say(event, f"`{action.text.strip()}`")
                if self.command(action):
                    raise Failure(event.line, f"command `{action.text.strip()}` failed")
            else:
                self.wait(event)
                self.python(event, action)
        except CallFailed as e:
            raise Failure(event.line, str(e)) from None
        except ScriptError as e:
            raise ScriptError(f"{self.script.path}:{event.line}: {e}") from None
        self.reap()
        self.host.run(self.host.now + self.config.step_usecs * 1000)
        self.last = event
        self.last_absolute = absolute

    last_absolute = False

    def finish(self) -> None:
        """After the last event: a blocking call has a second to come back; then the cleanup command."""
        self.await_blocked()
        if self.blocked is not None:
            raise Failure(self.blocked[0].line, f"{self.blocked[1].name}() still blocks at the end of the script")
        if self.script.cleanup is not None:
            self.command(self.script.cleanup)

    def say(self, event: Event, text: str) -> None:
        """For -v."""
        if self.log is not None:
            self.log.append(f"{self.now / 1e6:10.6f}  {text}")

    def command(self, command: Command) -> int:
        """A backquoted command; its status."""
        try:
            status = self.shell.run(command.text)
        except ScriptError as e:
            raise ScriptError(f"{self.script.path}:{command.line}: {e}") from None
        return status

    def python(self, event: Event, code: Code) -> None:
        """A code block, with the current socket's state as variables."""
        d = self.current.descriptor if self.current is not None else None
        if d is None or d.fd not in self.calls.fds:
            raise Failure(event.line, "there is no socket to look at: it is not accepted yet, or closed")
        self.host.call(d.slot, "tcp_info", thread=self.SIDE_THREAD)
        info = self.host.call_info(self.host.calls_made() - 1)
        self.say(event, f"%{{ {code.text.strip()} }}%")
        printed = io.StringIO()
        try:
            # -v shows what a block prints where it ran
            with contextlib.redirect_stdout(sys.stdout if self.log is None else printed):
                self.code.run(code, info or {}, self.host.sock_state(d.slot) or {})
        except CodeFailed as e:
            raise Failure(code.line or event.line, str(e)) from None
        finally:
            for text in printed.getvalue().splitlines():
                self.say(event, f"   {text}")

    # --- system calls

    def syscall(self, event: Event, call: Syscall) -> None:
        """Makes a call; one that may block goes on beside the script."""
        self.await_blocked()
        blocks = call.end is not None
        if blocks and self.blocked is not None:
            raise Failure(event.line, "a blocking call while another one is in progress")
        self.wait(event)
        self.thread = 1 if blocks else 0
        outcome = self.calls.start(call)
        if blocks and outcome.index >= 0:
            self.blocked = (event, call, outcome)
            self.say(event, f"{call.name}() ...")
            self.reap()
            return
        if outcome.index >= 0 and not self.host.call_result(outcome.index)[3]:
            self.host.run_to(self.host.now + self.FOREVER_NS, call=outcome.index)
            if not self.host.call_result(outcome.index)[3]:
                raise Failure(event.line, f"{call.name}() blocks")
        self.over(event, call, outcome)
        if blocks:
            self.check_time(event, self.now, f"return of {call.name}()", call.end, event.time.usecs)

    def over(self, event: Event, call: Syscall, outcome: Outcome) -> None:
        """A call is over: is it as expected?"""
        ret, err, value = outcome.ret, outcome.err, 0
        if outcome.index >= 0:
            ret, err, _, _, value = self.host.call_result(outcome.index)
        self.say(event, f"{call.name}() = {ret}" + (f" errno {err}" if ret < 0 else ""))
        self.calls.result = self.calls.number(call.result)
        self.calls.verify(call, outcome, ret, err, value)

    def reap(self) -> None:
        """If the blocking call has come back, checks what it returned, and when."""
        if self.blocked is None:
            return
        event, call, outcome = self.blocked
        _, _, done_ns, done, _ = self.host.call_result(outcome.index)
        if not done:
            return
        self.blocked = None
        try:
            self.over(event, call, outcome)
        except CallFailed as e:
            raise Failure(event.line, str(e)) from None
        live = (done_ns - self.start_ns) // 1000
        self.check_time(event, live, f"return of {call.name}()", call.end, event.time.usecs)

    def await_blocked(self) -> None:
        """Gives a blocking call another second."""
        if self.blocked is not None:
            self.host.run_to(self.host.now + IDLE_NS, call=self.blocked[2].index)
            self.reap()

    # --- what calls do to the mapping

    def socket_opened(self, d: Descriptor) -> None:
        """socket() makes the socket that packets belong to."""
        self.current = Connection(descriptor=d)
        self.connections.append(self.current)

    def connection_of(self, d: Descriptor) -> Connection | None:
        """The connection behind a descriptor."""
        return next((c for c in self.connections if c.descriptor is d), None)

    def socket_listens(self, d: Descriptor) -> None:
        """listen()."""
        c = self.connection_of(d)
        if c is not None:
            c.state = State.LISTENING

    def socket_accepted(self, d: Descriptor) -> None:
        """accept(): the newest connection that has no descriptor yet."""
        for c in reversed(self.connections):
            if c.state in (State.SYNACK_SENT, State.SYNACK_ACKED) and c.descriptor is None:
                c.descriptor = d
                return
        raise CallFailed("accept() gave a connection that the script has no packets of")

    def socket_connects(self, d: Descriptor, must_be_new: bool = True) -> None:
        """connect(), or sendto() that does the same."""
        c = self.connection_of(d)
        if c is None or c.state is not State.NEW:
            if must_be_new and c is not None:
                raise CallFailed("connect(): the socket is not new")
            return
        c.state = State.CONNECTING
        c.remote = (self.config.remote_ip, self.config.connect_port)
        c.ts_map, c.first_ts = {}, None

    def socket_disconnects(self, d: Descriptor) -> None:
        """connect() to AF_UNSPEC."""
        c = self.connection_of(d)
        if c is not None:
            c.state = State.NEW

    # --- packets

    def packet(self, event: Event, packet: Packet) -> None:
        """Sends one in, or waits for one to go out."""
        c = self.match(event, packet)
        if packet.outbound:
            self.expect(event, packet, c)
        else:
            self.wait(event)
            self.inject(event, packet, c)

    def match(self, event: Event, packet: Packet) -> Connection:
        """The connection that a packet of the script belongs to."""
        c = self.current
        body = packet.body
        if isinstance(body, TcpSpec):
            if not packet.outbound and (c is None or c.state is State.LISTENING):
                self.current = Connection(
                    State.SYN_CAME,
                    None,
                    (self.config.local_ip, self.config.bind_port),
                    (self.config.remote_ip, self.ports),
                    live_remote_isn=body.seq,
                )
                self.ports += 1
                self.connections.append(self.current)
                return self.current
            if packet.outbound and c is not None and c.state is State.CONNECTING and self.is_syn(body):
                c.state = State.SYN_SENT
                c.script_local_isn = body.seq
                return c
        if c is None:
            raise Failure(event.line, "no socket that this packet could belong to")
        return c

    @staticmethod
    def is_syn(body: TcpSpec) -> bool:
        return "S" in body.flags and "." not in body.flags

    def inject(self, event: Event, packet: Packet, c: Connection) -> None:
        """An inbound packet, its numbers made the host's."""
        body = packet.body
        if isinstance(body, IcmpSpec):
            quoted = wire.Tuple4(*c.local, *c.remote)
            seq = (body.seq + c.local_offset(False)) & MASK
            try:
                raw = wire.build_icmp(c.remote[0], quoted, body, packet.ip, seq)
            except ValueError as e:  # a name of the other version's ICMP
                raise ScriptError(str(e)) from None
        else:
            raw = self.live_segment(event, packet, body, c)
        self.say(event, f"< {wire.spec_text(body, packet.ip)}")
        self.host.receive(raw)

    def live_segment(self, event: Event, packet: Packet, body: TcpSpec, c: Connection) -> bytes:
        """A segment of the script as the host must see it."""
        has_ack, syn = "." in body.flags, "S" in body.flags
        if c.state is State.SYNACK_SENT and has_ack:
            c.state = State.SYNACK_ACKED
        elif c.state is State.SYN_SENT and syn and has_ack:
            c.state = State.SYN_ACKED
            c.live_remote_isn = body.seq
        live = copy.copy(body)
        live.seq = (body.seq + c.remote_offset(syn)) & MASK
        offset = c.local_offset(syn)
        if has_ack:
            live.ack = (body.ack + offset) & MASK
        options = shift_sack(body.options or [], offset)
        stamp = timestamp_of(options)
        if has_ack and stamp is not None:
            script_ecr = int.from_bytes(stamp.data[4:], "big")
            live_ecr = c.ts_map.get(script_ecr)
            if live_ecr is None and self.config.ts_ecr_scaled and c.first_ts is not None:
                live_ecr = (script_ecr - c.first_ts[0] + c.first_ts[1]) & MASK
            if live_ecr is None:
                raise Failure(event.line, f"TS ecr {script_ecr}: no packet with this TS val has gone out")
            options[options.index(stamp)] = Option(wire.TIMESTAMP, stamp.data[:4] + live_ecr.to_bytes(4, "big"))
        tuple4 = wire.Tuple4(c.remote[0], body.sport or c.remote[1], c.local[0], body.dport or c.local[1])
        return wire.build_tcp(tuple4, live, packet.ip, options)

    def expect(self, event: Event, packet: Packet, c: Connection) -> None:
        """Waits for the next packet of this connection, and compares."""
        body = packet.body
        if isinstance(body, TcpSpec) and c.state is State.SYN_CAME and "S" in body.flags and "." in body.flags:
            c.script_local_isn = body.seq
        s = self.next_segment(event, packet, c)
        if isinstance(body, TcpSpec) and not self.config.strict_segments:
            s = self.aggregate(event, packet, body, c, s)
        if isinstance(body, TcpSpec) and c.state is State.SYN_CAME and "S" in body.flags and "." in body.flags:
            c.state = State.SYNACK_SENT
            c.live_local_isn = s.seq
        actual = self.script_segment(s, c, body)
        live = (s.time_ns - self.start_ns) // 1000
        self.say(event, f"> {wire.segment_text(actual)}")
        differ = compare(packet, actual, self.config)
        details = [
            f"  expected: {event.time.usecs / 1e6:10.6f} {wire.spec_text(body, packet.ip)}",
            f"  actual:   {live / 1e6:10.6f} {wire.segment_text(actual)}",
        ]
        if differ:
            raise Failure(event.line, "outbound packet differs: " + "; ".join(differ), details)
        try:
            self.check_time(event, live, "outbound packet", since=self.since())
        except Failure as e:
            e.details += details
            raise

    def aggregate(self, event: Event, packet: Packet, body: TcpSpec, c: Connection, s: wire.Segment) -> wire.Segment:
        """Segments in a row, all but the last of one size, count as one of the length that the script has.

        What the device's segmentation would cut is the kernel's to decide; scripts that care say --strict_segments.
        """
        while s.length and s.length < body.length:
            part = self.next_segment(event, packet, c)
            kind = (part.flags ^ s.flags) & ~(wire.FIN | wire.PSH | wire.CWR)
            same = not kind and (part.ack, part.win, part.options) == (s.ack, s.win, s.options) and part.length
            size = s.length if s.first is None else s.first
            short = part.length < size and s.length + part.length < body.length
            if part.seq != (s.seq + s.length) & MASK or not same or part.length > size or short:
                self.seen -= 1
                break
            part.seq, part.length, part.first = s.seq, s.length + part.length, size
            part.flags = part.flags & ~wire.CWR | s.flags & wire.CWR
            s = part
        return s

    def next_segment(self, event: Event, packet: Packet, c: Connection) -> wire.Segment:
        """The next packet that belongs to the connection; others are passed over."""
        while True:
            if self.seen >= self.host.emitted_count():
                self.await_emission(event, packet)
            t, _, length, _, header = self.host.emitted(self.seen)
            self.seen += 1
            s = wire.decode(t, bytes(header), length)
            if self.belongs(s, c):
                return s

    def await_emission(self, event: Event, packet: Packet) -> None:
        """Lets time pass until something goes out, as long as packetdrill would wait."""
        late = max(event.time.usecs, event.time.end) + LATE_USECS
        until = max(self.host.now, self.start_ns + late * 1000)
        if event.time.kind is TimeKind.ANY:
            until = self.host.now + self.FOREVER_NS
        self.host.run_to(until, emitted=self.seen + 1)
        if self.seen >= self.host.emitted_count():
            raise Failure(
                event.line,
                "outbound packet did not go out",
                [f"  expected: {event.time.usecs / 1e6:10.6f} {wire.spec_text(packet.body, packet.ip)}"],
            )

    def belongs(self, s: wire.Segment, c: Connection) -> bool:
        """Whether a packet is one of this connection; the SYN of a connect() tells its port."""
        t = s.tuple4
        if s.protocol != wire.IPPROTO_TCP:
            return t.saddr == c.local[0] and t.daddr == c.remote[0]
        if (t.saddr, t.sport) == c.local and (t.daddr, t.dport) == c.remote and c.state is not State.SYN_SENT:
            return True
        if c.state is State.SYN_SENT and (t.daddr, t.dport) == c.remote:
            if s.flags & wire.SYN and not s.flags & wire.ACK:
                c.local = (t.saddr, t.sport)
                c.live_local_isn = s.seq
                return True
            return (t.saddr, t.sport) == c.local
        return False

    def script_segment(self, s: wire.Segment, c: Connection, body: TcpSpec | IcmpSpec) -> wire.Segment:
        """A packet of the host in the script's numbers."""
        if s.protocol != wire.IPPROTO_TCP:
            return s
        syn = bool(s.flags & wire.SYN)
        actual = copy.copy(s)
        actual.seq = (s.seq - c.local_offset(syn)) & MASK
        offset = -c.remote_offset(syn)
        if s.flags & wire.ACK:
            actual.ack = (s.ack + offset) & MASK
        actual.options = shift_sack(s.options, offset)
        theirs = timestamp_of(body.options) if isinstance(body, TcpSpec) else None
        ours = timestamp_of(actual.options)
        if theirs is not None and ours is not None:
            script_val, live_val = (int.from_bytes(o.data[:4], "big") for o in (theirs, ours))
            c.ts_map[script_val] = live_val
            if c.first_ts is None:
                c.first_ts = (script_val, live_val)
        if ours is not None and c.first_ts is not None:
            value = (int.from_bytes(ours.data[:4], "big") - c.first_ts[1] + c.first_ts[0]) & MASK
            mapped = Option(wire.TIMESTAMP, value.to_bytes(4, "big") + ours.data[4:])
            actual.options = [mapped if o is ours else o for o in actual.options]
        return actual

    # --- what the shell and the report ask

    def file(self, path: str) -> int | None:
        """Size of a virtual file."""
        return self.files.get(path)

    def make_file(self, path: str, size: int | None) -> None:
        """Makes one, or removes it."""
        if size is None:
            self.files.pop(path, None)
        else:
            self.files[path] = size

    def proc_net_tcp(self) -> str:
        """The open sockets as /proc/net/tcp shows them."""
        lines = ["  sl  local_address rem_address   st"]
        for i, d in enumerate(x for x in self.calls.fds.values() if x.kind == "socket"):
            s = self.host.sock_state(d.slot) or {}
            addresses = [f"{s.get(k, 0):08X}" for k in ("sk_rcv_saddr", "sk_daddr")]
            port = s.get("sk_dport", 0)
            remote = (port & 255) << 8 | port >> 8
            ends = f"{addresses[0]}:{s.get('sk_num', 0):04X} {addresses[1]}:{remote:04X}"
            lines.append(f"{i:4}: {ends} {s.get('sk_state', 0):02X} ")
        return "\n".join(lines) + "\n"

    def socket_state(self) -> list[str]:
        """The current socket at this moment, in a few lines."""
        d = self.current.descriptor if self.current is not None else None
        s: dict[str, Any] | None = self.host.sock_state(d.slot) if d is not None else None
        if self.current is None or s is None:
            return []
        relative = self.current.live_local_isn
        info = [
            f"  socket:   {STATES[s['sk_state']]} ca_state {s['icsk_ca_state']} "
            f"snd_una {(s['snd_una'] - relative) & MASK} snd_nxt {(s['snd_nxt'] - relative) & MASK} "
            f"write_seq {(s['write_seq'] - relative) & MASK} "
            f"rcv_nxt {(s['rcv_nxt'] - self.current.live_remote_isn) & MASK} "
            f"snd_wnd {s['snd_wnd']} rcv_wnd {s['rcv_wnd']}",
            f"            cwnd {s['snd_cwnd']} ssthresh {s['snd_ssthresh']} packets_out {s['packets_out']} "
            f"sacked_out {s['sacked_out']} lost_out {s['lost_out']} retrans_out {s['retrans_out']} "
            f"srtt {s['srtt_us'] / 8000:.3f} ms rto {s['icsk_rto'] * TICK_NS // 10**6} ms mss {s['mss_cache']}",
        ]
        return info

    def close(self) -> dict[str, int]:
        """Frees the host; what it did not give back."""
        self.host.close()
        return {k: v for k, v in self.host.pools().items() if v}


def compare(packet: Packet, s: wire.Segment, config: Config) -> list[str]:
    """How a packet differs from the script's, field by field."""
    body = packet.body
    out: list[str] = []

    def field_(name: str, expected: object, actual: object) -> None:
        if expected != actual:
            out.append(f"{name} expected {expected}, got {actual}")

    info = packet.ip
    if info.check == "ect01" and s.tos & 3 not in (1, 2):
        out.append(f"ip_ecn expected 1 or 2, got {s.tos & 3}")
    elif info.check == "ecn":
        field_("ip_ecn", info.value, s.tos & 3)
    elif info.check == "tos":
        field_("tos", f"{info.value:#x}", f"{s.tos:#x}")
    if info.ttl:
        field_("ttl", info.ttl, s.ttl)
    if isinstance(body, IcmpSpec) or s.protocol != wire.IPPROTO_TCP:
        kind = wire.icmp_numbers(body, s.protocol == wire.IPPROTO_ICMPV6) if isinstance(body, IcmpSpec) else None
        actual = s.icmp if s.protocol in (wire.IPPROTO_ICMP, wire.IPPROTO_ICMPV6) else None
        field_("icmp type and code", kind, actual)
        return out
    expected_flags, flags = wire.tcp_flags(body), s.flags
    if body.ace is not None and body.ace:
        ecn = wire.AE | wire.CWR | wire.ECE
        field_("ACE", body.ace, (flags & wire.AE and 4) | (flags & wire.CWR and 2) | (flags & wire.ECE and 1))
        expected_flags, flags = expected_flags & ~ecn, flags & ~ecn
    if expected_flags != flags:
        field_("flags", wire.flags_text(expected_flags), wire.flags_text(flags))
    field_("payload", body.length, s.length)
    field_("seq", body.seq, s.seq)
    field_("ack", body.ack, s.ack)
    if body.win is not None:
        field_("win", body.win, s.win)
    field_("urg", body.urg, s.urg)
    if body.options is not None:
        out += compare_options(body.options, s.options, config)
    return out


def compare_options(expected: list[Option], actual: list[Option], config: Config) -> list[str]:
    """TCP options, in order; a timestamp's value only if its clock is given."""
    if [o.kind for o in expected] != [o.kind for o in actual]:
        return [f"options expected{wire.options_text(expected) or ' none'}, got{wire.options_text(actual) or ' none'}"]
    out = []
    for e, a in zip(expected, actual, strict=True):
        if e.kind == wire.TIMESTAMP:
            off = (int.from_bytes(a.data[:4], "big") - int.from_bytes(e.data[:4], "big")) & MASK
            off = off - (1 << 32) if off >> 31 else off
            if config.ts_tick_usecs and abs(off) * config.ts_tick_usecs > config.tolerance_usecs:
                out.append(f"TS val is {off:+d} off")
        elif e.data != a.data:
            out.append(f"option expected {wire.option_text(e)}, got {wire.option_text(a)}")
    return out
