# SPDX-License-Identifier: GPL-2.0-only
"""One replay: capture, host and calls go into a `Host`; what it emitted is compared with what was sent."""

from __future__ import annotations

import importlib
from array import array
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from . import capture as capture_module
from . import handshakes, hostfile, localside
from .callset import Calls
from .capture import WHOLE, Capture
from .errors import InputError, at
from .hostfile import HostSpec
from .infer import Inference
from .localside import LocalSide, endpoint
from .pairing import Pairing
from .segments import Table

TYPE_CHECKING = False  # typing takes longer to import than a short replay
if TYPE_CHECKING:
    from typing import Any

    #: Called with the host and what it is given; what it returns is entered while the host runs
    Watch = Callable[[Any, "Feed"], AbstractContextManager[None]]

Progress = Callable[[float], None]
KERNEL_SIDE = "kpath_c.host"
GRACE = 1_000_000  # ns that the host runs on behind the last packet: what it sent last may come a little later here
FEW = 50_000  # arrivals up to which all probe records are looked at for a reason why segments differ
AFTER_END = 1_000_000_000
SENT, SYN = 1, 2  # Seg.side, TCP flag
PACED = ("bbr",)  # congestion controls that space segments out by themselves


class Feed:
    """What a host is given."""

    def __init__(self, capture: Capture, table: Table, calls: Calls, arrivals: tuple[memoryview[int], ...]) -> None:
        self.capture, self.table, self.calls = capture, table, calls
        self.arrivals = arrivals


class Result:
    """What a replay did. `host` stays open for its state until `close`.

    Of a replay in several windows `table`, `emitted` and `calls` hold the last one only.
    """

    def __init__(self, prepared: Prepared, windows: Windows, warnings: list[str], skipped: int,
                 first_skipped: tuple[int, str]) -> None:
        self.capture = prepared.capture
        self.local = prepared.local
        self.spec = prepared.spec
        self.table = prepared.table
        self.calls = windows.calls
        self.emitted = windows.emitted
        self.pairing = windows.pairing
        self.host = windows.host
        self.packets_in = windows.packets_in
        self.warnings = warnings
        self.skipped = skipped  # connections that were open when the capture began
        self.first_skipped = first_skipped  # of these, the first one's row and ends

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


class Prepared:
    """A capture that is read and understood, and the host that is to be built for it."""

    def __init__(self, capture: Capture, table: Table, local: LocalSide, spec: HostSpec, recorded: Calls | None,
                 warnings: list[str], kernel_side: Any, problems: dict[int, list[Any]]) -> None:
        self.capture, self.table = capture, table
        self.local, self.spec = local, spec
        self.recorded = recorded
        self.warnings = warnings
        self.kernel_side = kernel_side
        self.problems = problems  # of packets: by kind, how many, the first one's number and what is wrong with it


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
    window: int = WHOLE,
    tcp_info: bool = True,
) -> Result:
    """Replays one capture file.

    local: `ADDR[:PORT]`s; found from the capture when empty. host: a host file's path, or its contents. sysctls:
    `KEY=VALUE`s over it. syscalls: a file of recorded calls; inferred without. tolerance: ticks of 1 ms by which TSval
    may differ. probes: keep the tcp_probe records (costs time and memory); None: where `compare` looks at them for a
    reason. progress: called with 0..1. kernel_side: the module whose `Host` runs. watch: see `Watch`. window: so many
    IP packets are in memory at a time; only with inferred calls, without `watch` and probes. What the first window
    tells of the host and its side is taken as true of the capture. tcp_info: keep the last one of connections that are
    gone. InputError: input that cannot be used.
    """
    prepared = prepare(capture, local=local, host=host, sysctls=sysctls, syscalls=syscalls, kernel_side=kernel_side,
                       window=window)
    return play(prepared, tolerance=tolerance, probes=probes, progress=progress, watch=watch, tcp_info=tcp_info)


def prepare(
    capture: str,
    *,
    local: Sequence[str] = (),
    host: str | dict[str, Any] | None = None,
    sysctls: Sequence[str] = (),
    syscalls: str | None = None,
    kernel_side: str = KERNEL_SIDE,
    window: int = WHOLE,
) -> Prepared:
    """All of `replay` that comes before the host. InputError: input that cannot be used."""
    wanted = localside.parse(list(local)) if local else None
    spec = hostfile.parse(host, "host") if isinstance(host, dict) else hostfile.read(host) if host else HostSpec()
    overrides = [hostfile.option(s) for s in sysctls]
    recorded = read_calls(syscalls) if syscalls else None
    cap = capture_module.read(capture, window if recorded is None else WHOLE)
    table = cap.table
    problems: dict[int, list[Any]] = {}
    note_problems(problems, cap, table)
    while not len(table) and not cap.ended:
        next_window(cap, table, problems)
    if not len(table):
        found = cap.warnings + packet_warnings(cap, problems)
        raise InputError(found[-1] if problems else f"{capture}: no TCP in this capture")
    side = local_side(wanted, table, cap.path, spec, recorded)
    table.split(side.numbers())
    table.complete_checksums(cap.buf)
    complete_spec(spec, table, side, host is not None)
    spec.sysctls += overrides
    warnings = list(spec.warnings)
    n, _, ends = open_before(table)
    if cap.ended and n == table.nconn:
        raise InputError(open_warning(cap.path, n, ends))
    side_module = kernel_module(kernel_side)
    if recorded is not None:
        check_calls(recorded, table, cap)
        warnings += recorded.warnings
    return Prepared(cap, table, side, spec, recorded, warnings, side_module, problems)


def play(
    p: Prepared,
    *,
    tolerance: int = 1,
    probes: bool | None = True,
    progress: Progress | None = None,
    watch: Watch | None = None,
    tcp_info: bool = True,
) -> Result:
    """Runs the host and compares; the arguments are those of `replay`."""
    cap, table = p.capture, p.table
    kernel = build_host(p.spec, p.kernel_side)
    try:
        windows = Windows(p, kernel, tolerance)
        fed = windows.feed()
        kernel.want_tcp_info(tcp_info)
        kernel.want_probes(cap.ended and windows.packets_in <= FEW if probes is None else probes)
        warnings = tell_streams(kernel, table, cap) if fed.calls.signed else []
        with watch(kernel, fed) if watch else nullcontext():
            windows.run(progress)
            windows.compare()
        while not cap.ended:
            windows.advance()
            windows.feed()
            windows.run(progress)
            windows.compare()
        warnings += [f"{cap.path}: {w}" for w in kernel.warnings()]
        n, row, ends = open_before(table)
        if n == table.nconn:
            raise InputError(open_warning(cap.path, n, ends))
    except BaseException:
        kernel.close()
        raise
    known = p.warnings + cap.warnings + packet_warnings(cap, p.problems)
    known += [open_warning(cap.path, n, ends)] if n else []
    return Result(p, windows, known + warnings, n, (row, ends))


class Windows:
    """A replay that goes through its capture window by window; mostly there is one."""

    def __init__(self, p: Prepared, host: Any, tolerance: int) -> None:
        self.p, self.host = p, host
        self.capture, self.table, self.ops = p.capture, p.table, p.kernel_side.OPS
        self.calls = p.recorded or Calls("")
        self.inference = Inference(p.table, self.ops, p.spec.congestion_control in PACED)
        self.emitted = Table()
        self.pairing = Pairing(p.table, self.emitted, tolerance)
        self.packets_in = 0
        self.end = 0  # of the calls so far (ns)

    def feed(self) -> Feed:
        """Gives the host this window."""
        cap, table = self.capture, self.table
        if self.p.recorded is None:
            self.calls = self.inference.window(cap.path, cap.span[1], cap.ended)
        arrivals = table.arrivals(self.p.local.numbers())
        feed(self.host, self.ops, table, self.p.spec, self.calls, cap, arrivals, self.now)
        self.packets_in += len(arrivals[0])
        return Feed(cap, table, self.calls, arrivals)

    @property
    def now(self) -> int:
        """The time that the host has been run to (ns), 0: not yet."""
        return self.inference.since

    def run(self, progress: Progress | None) -> None:
        """Runs the host as far as nothing can be added any more."""
        if self.calls.rows:
            self.end = max(self.end, self.calls.rows[-8])
        if self.capture.ended:
            run(self.host, self.capture, self.calls, self.end, progress)
        else:
            run_host(self.host, self.inference.horizon)
            if progress:
                progress(min(0.99, self.capture.share))

    def compare(self) -> None:
        """Compares what the host has emitted."""
        hdr, t, off, hlen, plen, _soff, _conn = self.host.emitted_buffers()
        self.emitted.decode_emitted(hdr, t, off, hlen, plen)
        self.emitted.adopt(self.table)
        self.pairing.add(self.capture.number, self.capture.ended)

    def advance(self) -> None:
        """Goes on to the next window."""
        self.host.forget()
        self.capture.let_go()
        next_window(self.capture, self.table, self.p.problems)
        self.table.split_on()
        self.table.complete_checksums(self.capture.buf)


def next_window(cap: Capture, table: Table, problems: dict[int, list[Any]]) -> None:
    """Reads the next window."""
    cap.advance()
    note_problems(problems, cap, table)


def note_problems(problems: dict[int, list[Any]], cap: Capture, table: Table) -> None:
    """Adds the window's faults of packets to those known."""
    for kind, (n, row, text) in table.problems.items():
        found = problems.setdefault(kind, [0, cap.number[row], text])
        found[0] += n


def packet_warnings(cap: Capture, problems: dict[int, list[Any]]) -> list[str]:
    """One line for each kind of fault in the packets: the first one's number, and how many there are."""
    out = []
    for n, number, text in sorted(problems.values(), key=lambda p: p[1]):
        more = f" ({n - 1:,} more)" if n > 1 else ""
        out.append(f"{cap.path}: packet {number}: {text}{more}")
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
    if from_file and spec.clock is not None:
        return
    from . import facts  # noqa: PLC0415

    if not from_file:
        facts.from_capture(table, spec)
    if spec.clock is None:
        spec.clock = facts.clock_from_capture(table)


def open_before(table: Table) -> tuple[int, int, str]:
    """The connections that were open when the capture began: how many, and the first one's first row and ends."""
    n, first = table.skipped()
    if not n:
        return 0, -1, ""
    c = table.connection(first)
    return n, c["row"], f"{endpoint(c['laddr'], c['lport'])} - {endpoint(c['raddr'], c['rport'])}"


def open_warning(path: str, n: int, ends: str) -> str:
    more = f" and {n - 1:,} more" if n > 1 else ""
    return f"{path}: {ends}{more}: open before the capture began (no SYN), not replayed"


def read_calls(path: str) -> Calls:
    """The recorded calls; most replays do without what reads them."""
    from . import calls  # noqa: PLC0415

    return calls.read(path)


def check_calls(calls: Calls, table: Table, cap: Capture) -> None:
    """Do the recorded calls fit? Also finds the address of a `sendto` that was recorded without one."""
    from .calls import check_fit  # noqa: PLC0415

    conns = [table.connection(i) for i in range(table.nconn)]
    active = [c for c in conns if c["syn_out"] >= 0 and not c["synack_out"]]
    for call in calls.items:
        if call.op == "sendto" and not call.s and active:
            call.s, call.a = active[0]["raddr"], (call.a[0], call.a[1], active[0]["rport"], 0)
    locals_ = {c["laddr"] for c in conns}
    remotes = {c["raddr"] for c in conns}
    check_fit(calls, locals_, remotes, *cap.span)


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
         arrivals: tuple[memoryview[int], ...], now: int) -> None:
    """Gives the host its pins, packets and calls. ops: the numbers of the calls. now: it has been run to that time."""
    addresses = table.address_words()
    host.pin_all(handshakes.pins(table, spec.clock), addresses)
    handshakes.hold_syns(table, spec.clock, arrivals)
    if now:
        host.load_more(*arrivals[:4])
    else:
        host.load(cap.buf, *arrivals[:4])
    if calls.rows is not None and calls.plans is not None:
        host.auto_reader(-1, True)
        host.plan_reads(*calls.plans)
        for slot in calls.not_read:
            host.auto_reader(slot, False)
        for slot, more, thread in calls.longer:
            if not host.lengthen(slot, more):
                host.add_calls(array("q", [now, thread, slot, ops["send"], more, 0, 0, -1]), addresses)
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


def run(host: Any, cap: Capture, calls: Calls, last_call: int, progress: Progress | None) -> None:
    """Runs to the end of the input; in slices of time where somebody watches. last_call: time of an inferred one."""
    start, end = cap.span
    end = max(end, min(last_call, end + AFTER_END))
    if calls.items:  # the recording may go on for longer; a little of that still belongs to the capture
        last = calls.items[-1].t0
        under_way = max((c.t1 for c in calls.items if c.t0 <= end), default=end)
        end = max(end, min(last, end + AFTER_END), under_way)
    end += GRACE
    if progress and not cap.walk.rows:
        for k in range(1, 50):
            run_host(host, start + (end - start) * k // 50)
            progress(k / 50)
    run_host(host, end)
    if progress:
        progress(1.0)


def run_host(host: Any, until: int) -> None:
    """Runs the host up to a time. InputError: its clock does not fit the capture."""
    try:
        host.run(until)
    except ValueError as e:
        raise InputError(f"host file: {e}") from None
