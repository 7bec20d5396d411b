# SPDX-License-Identifier: GPL-2.0-only
"""One replay: capture, host and calls go into a `Host`; what it emitted is compared with what was sent."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from . import calls as calls_module
from . import capture as capture_module
from . import facts, handshakes, hostfile, infer, localside
from .calls import Calls
from .capture import Capture
from .errors import InputError, at
from .hostfile import HostSpec
from .localside import LocalSide, endpoint
from .pairing import Pairing
from .segments import Table

Progress = Callable[[float], None]
KERNEL_SIDE = "kpath_c.host"
GRACE = 1_000_000  # ns that the host runs on behind the last packet: what it sent last may come a little later here
FEW = 50_000  # arrivals up to which all probe records are looked at for a reason why segments differ
AFTER_END = 1_000_000_000
SENT, SYN = 1, 2  # Seg.side, TCP flag
PACED = ("bbr",)  # congestion controls that space segments out by themselves


@dataclass
class Feed:
    """What a host is given."""

    capture: Capture
    table: Table
    calls: Calls
    arrivals: tuple[memoryview[int], ...]


#: Called with the host and what it is given; what it returns is entered while the host runs
Watch = Callable[[Any, Feed], AbstractContextManager[None]]


@dataclass
class Result:
    """What a replay did. `host` stays open for its state until `close`."""

    capture: Capture
    local: LocalSide
    spec: HostSpec
    calls: Calls
    table: Table
    emitted: Table
    pairing: Pairing
    host: Any
    arrivals: tuple[memoryview[int], ...]
    warnings: list[str] = field(default_factory=list)
    skipped: int = 0

    @property
    def agrees(self) -> bool:
        """Everything emitted agrees with the capture, and nothing is missing."""
        return self.pairing.first() is None

    @property
    def status(self) -> int:
        """The command's exit status."""
        return 2 if self.capture.cut else 0 if self.agrees else 1

    def close(self) -> None:
        """Frees the emulated host."""
        self.host.close()


@dataclass
class Prepared:
    """A capture that is read and understood, and the host that is to be built for it."""

    capture: Capture
    table: Table
    local: LocalSide
    spec: HostSpec
    recorded: Calls | None
    skipped: int
    warnings: list[str]
    kernel_side: Any


def replay(
    capture: str,
    *,
    local: Sequence[str] = (),
    host: str | dict[str, Any] | None = None,
    sysctls: Sequence[str] = (),
    syscalls: str | None = None,
    tolerance: int = 1,
    probes: bool | None = True,
    progress: Progress | None = None,
    kernel_side: str = KERNEL_SIDE,
    watch: Watch | None = None,
) -> Result:
    """Replays one capture file.

    local: `ADDR[:PORT]`s; found from the capture when empty. host: a host file's path, or its contents. sysctls:
    `KEY=VALUE`s over it. syscalls: a file of recorded calls; inferred without. tolerance: ticks of 1 ms by which TSval
    may differ. probes: keep the tcp_probe records (costs time and memory); None: where `compare` looks at them for a
    reason. progress: called with 0..1. kernel_side: the module whose `Host` runs. watch: see `Watch`. InputError: input
    that cannot be used.
    """
    prepared = prepare(capture, local=local, host=host, sysctls=sysctls, syscalls=syscalls, kernel_side=kernel_side)
    return play(prepared, tolerance=tolerance, probes=probes, progress=progress, watch=watch)


def prepare(
    capture: str,
    *,
    local: Sequence[str] = (),
    host: str | dict[str, Any] | None = None,
    sysctls: Sequence[str] = (),
    syscalls: str | None = None,
    kernel_side: str = KERNEL_SIDE,
) -> Prepared:
    """All of `replay` that comes before the host. InputError: input that cannot be used."""
    wanted = localside.parse(list(local)) if local else None
    spec = hostfile.parse(host, "host") if isinstance(host, dict) else hostfile.read(host) if host else HostSpec()
    overrides = [hostfile.option(s) for s in sysctls]
    recorded = calls_module.read(syscalls) if syscalls else None
    cap = capture_module.read(capture)
    table = Table().decode(cap.buf, cap.t, cap.off, cap.caplen, cap.origlen)
    warnings = spec.warnings + cap.warnings + packet_warnings(cap, table)
    if not len(table):
        raise InputError(warnings[-1] if table.problems else f"{capture}: no TCP in this capture")
    side = local_side(wanted, table, cap.path, spec, recorded)
    table.split(side.numbers())
    table.complete_checksums(cap.buf)
    complete_spec(spec, table, side, host is not None)
    spec.sysctls += overrides
    skipped = open_before(table, cap.path, warnings)
    side_module = kernel_module(kernel_side)
    if recorded is not None:
        check_calls(recorded, table, cap)
        warnings += recorded.warnings
    return Prepared(cap, table, side, spec, recorded, skipped, warnings, side_module)


def play(
    p: Prepared,
    *,
    tolerance: int = 1,
    probes: bool | None = True,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Result:
    """Runs the host and compares; the arguments are those of `replay`."""
    cap, table, spec, ops = p.capture, p.table, p.spec, p.kernel_side.OPS
    warnings = list(p.warnings)
    calls = p.recorded if p.recorded is not None else infer.infer(table, cap.path, ops,
                                                                  spec.congestion_control in PACED)
    arrivals = table.arrivals(cap.t, cap.off, cap.caplen, cap.origlen, p.local.numbers())
    kernel = build_host(spec, p.kernel_side)
    try:
        kernel.want_probes(len(arrivals[0]) <= FEW if probes is None else probes)
        feed(kernel, ops, table, spec, calls, cap, arrivals)
        if calls.signed:
            warnings += tell_streams(kernel, table, cap)
        with watch(kernel, Feed(cap, table, calls, arrivals)) if watch else nullcontext():
            run(kernel, cap, calls, progress)
        emitted = emitted_table(kernel)
        emitted.adopt(table)
        pairing = Pairing(table, emitted, tolerance)
        warnings += [f"{cap.path}: {w}" for w in kernel.warnings()]
    except BaseException:
        kernel.close()
        raise
    return Result(cap, p.local, spec, calls, table, emitted, pairing, kernel, arrivals, warnings, p.skipped)


def packet_warnings(cap: Capture, table: Table) -> list[str]:
    """One line for each kind of fault in the packets: the first one's number, and how many there are."""
    out = []
    for n, row, text in sorted(table.problems.values(), key=lambda p: p[1]):
        more = f" ({n - 1:,} more)" if n > 1 else ""
        out.append(f"{cap.path}: packet {cap.number[row]}: {text}{more}")
    return out


def local_side(wanted: LocalSide | None, table: Table, path: str, spec: HostSpec, calls: Calls | None) -> LocalSide:
    """The side to be: as asked for, else from the host file, the calls, the capture."""
    if wanted:
        localside.check(wanted, table, path)
        return wanted
    known = [(a, "the host file") for a in spec.addrs]
    known += [(a, "the recorded calls") for a, _ in (calls.bound if calls else [])]
    seen = {a for pair in table.addresses() for a in pair}
    if calls and len(seen) == 2:
        peers = {a for a, _ in calls.connected} & seen
        known += [(a, "the recorded calls") for a in seen - peers if peers]
    return localside.find(table, path, known)


def complete_spec(spec: HostSpec, table: Table, side: LocalSide, from_file: bool) -> None:
    """Fills in what the host file does not say, or what the capture says when there is no such file."""
    for address, _ in side.ends:
        if address not in spec.addrs:
            spec.addrs.append(address)
    if not from_file:
        facts.from_capture(table, spec)
    if spec.clock is None:
        spec.clock = facts.clock_from_capture(table)


def open_before(table: Table, path: str, warnings: list[str]) -> int:
    """Counts the connections that were open when the capture began, and says so."""
    skipped, first = table.skipped()
    if skipped:
        c = table.connection(first)
        ends = f"{endpoint(c['laddr'], c['lport'])} - {endpoint(c['raddr'], c['rport'])}"
        more = f" and {skipped - 1:,} more" if skipped > 1 else ""
        warnings.append(f"{path}: {ends}{more}: open before the capture began (no SYN), not replayed")
        if skipped == table.nconn:
            raise InputError(warnings[-1])
    return int(skipped)


def check_calls(calls: Calls, table: Table, cap: Capture) -> None:
    """Do the recorded calls fit? Also finds the address of a `sendto` that was recorded without one."""
    conns = [table.connection(i) for i in range(table.nconn)]
    active = [c for c in conns if c["syn_out"] >= 0 and not c["synack_out"]]
    for call in calls.items:
        if call.op == "sendto" and not call.s and active:
            call.s, call.a = active[0]["raddr"], (call.a[0], call.a[1], active[0]["rport"], 0)
    locals_ = {c["laddr"] for c in conns}
    remotes = {c["raddr"] for c in conns}
    calls_module.check_fit(calls, locals_, remotes, cap.t[0], cap.t[len(cap.t) - 1])


def kernel_module(name: str) -> Any:
    """The kernel side, imported when it is first needed: `--help` and bad input do without it."""
    return importlib.import_module(name)


def build_host(spec: HostSpec, kernel_side: Any) -> Any:
    """A `Host` as `spec` says. InputError names the setting that it refuses."""
    try:
        host = kernel_side.Host(hz=spec.hz, addrs=spec.addrs, device=spec.device, clock=spec.clock)
    except ValueError as e:
        raise InputError(f"host file: {e}") from None
    try:
        for where, name, value in spec.sysctls:
            set_sysctl(host, where, name, value)
        for route in spec.routes:
            host.add_route(route.dst, route.prefixlen, route.metrics, route.locks, route.features)
        if spec.qdisc:
            host.qdisc(spec.qdisc)
    except ValueError as e:
        host.close()
        raise InputError(f"host file: {e}") from None
    except InputError:
        host.close()
        raise
    return host


def set_sysctl(host: Any, where: str, name: str, value: str) -> None:
    """Sets one sysctl."""
    try:
        host.sysctl(name, value)
    except KeyError:
        raise at(where, f"no such sysctl in Linux 6.18: {name}") from None
    except ValueError as e:
        raise at(where, f"{name}: {e}" if name not in str(e) else str(e)) from None


def feed(host: Any, ops: dict[str, int], table: Table, spec: HostSpec, calls: Calls, cap: Capture,
         arrivals: tuple[memoryview[int], ...]) -> None:
    """Gives the host its pins, packets and calls. ops: the numbers of the calls."""
    addresses = table.address_words()
    host.pin_all(handshakes.pins(table, spec.clock, calls.inferred), addresses)
    handshakes.hold_syns(table, arrivals)
    host.load(cap.buf, *arrivals[:4])
    if calls.rows is not None and calls.plans is not None:
        host.auto_reader(-1, True)
        host.plan_reads(*calls.plans)
        for slot in calls.not_read:
            host.auto_reader(slot, False)
        host.add_calls(calls.rows, addresses)
    for c in calls.items:
        try:
            host.add_call(c.t0, c.t1, c.thread, c.slot, ops[c.op], *c.a, s=c.s, ret=c.ret, errno=c.errno)
        except (ValueError, KeyError) as e:
            raise at(calls.path, f"line {c.line}: {c.op}: {e.args[0] if e.args else e}") from None


def tell_streams(host: Any, table: Table, cap: Capture) -> list[str]:
    """Gives the host what the local side wrote, as far as the capture holds it: a signature covers it (RFC 2385)."""
    runs: dict[int, tuple[int, bytearray]] = {}  # by connection: number of the first byte, and the bytes that follow
    cut = 0

    def tell(conn: int) -> None:
        c = table.connection(conn)
        first, data = runs.pop(conn)
        host.stream(c["laddr"], c["lport"], c["raddr"], c["rport"], first, bytes(data))

    for s in map(table.row, range(len(table))):
        if s["side"] != SENT or s["bad"] or not s["len"] or s["conn"] < 0:
            continue
        cut += s["held"] < s["len"]
        begin = s["off"] + s["hlen"]
        data = bytes(cap.buf[begin : begin + s["held"]])
        seq = (s["seq"] + bool(s["flags"] & SYN)) % (1 << 32)
        first, known = runs.get(s["conn"], (seq, bytearray()))
        at = (seq - first) % (1 << 32)
        if at + len(data) <= len(known):
            continue
        if at > len(known):
            tell(s["conn"])
            first, known, at = seq, bytearray(), 0
        known[at:] = data
        runs[s["conn"]] = (first, known)
    for conn in list(runs):
        tell(conn)
    lacking = f"{cap.path}: {cut:,} signed segments are cut short in the capture: their signatures cannot agree"
    return [lacking] if cut else []


def run(host: Any, cap: Capture, calls: Calls, progress: Progress | None) -> None:
    """Runs to the end of the input; in slices of time only where somebody watches."""
    start, end = cap.span
    if calls.rows:
        end = max(end, min(calls.rows[-8], end + AFTER_END))
    if calls.items:  # the recording may go on for longer; a little of that still belongs to the capture
        last = calls.items[-1].t0
        under_way = max((c.t1 for c in calls.items if c.t0 <= end), default=end)
        end = max(end, min(last, end + AFTER_END), under_way)
    end += GRACE
    try:
        if progress:
            for k in range(1, 50):
                host.run(start + (end - start) * k // 50)
                progress(k / 50)
        host.run(end)
    except ValueError as e:  # a clock that does not fit the capture
        raise InputError(f"host file: {e}") from None
    if progress:
        progress(1.0)


def emitted_table(host: Any) -> Table:
    """What the host emitted, decoded by the same code as the capture."""
    hdr, t, off, hlen, plen, _soff, _conn = host.emitted_buffers()
    return Table().decode_emitted(hdr, t, off, hlen, plen)
