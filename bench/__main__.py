"""python -m bench: all benchmarks (or those with one of the arguments in their name) as a table, beside their peers."""

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path

from bench import chart, peers
from kpath.bench import captures, cases
from kpath.bench.cases import Case
from kpath.bench.measure import Measured, table

FLOWS = [10**e for e in range(7)]
PACKETS = [10**e for e in range(4, 8)]
MANY = 2_000_000  # packets of the flows' curve

Curves = dict[str, list[tuple[float, float]]]


def peer(case: Case, packets: int) -> float | None:
    """ns of the C loop that a case is compared with."""
    if case.peer is None:
        return None
    what, _, of = case.peer.partition(" ")
    return peers.loop(what, of if of.isdecimal() else str(captures.make(of, packets, cases.folder())))


def others(packets: int) -> dict[str, float]:
    """ns a packet of other readers of the 1-flow capture."""
    path = captures.make("download", packets, cases.folder())
    found = {"dpkt, raw reading": peers.dpkt_reads(path, False), "dpkt, full parse": peers.dpkt_reads(path, True)}
    for name, what in (("C loop over the headers", "headers"), ("C loop over checksums", "checksums")):
        ns = peers.loop(what, str(path))
        if ns is not None:
            found[name] = ns
    return found


def processes(packets: int, rounds: int) -> dict[str, dict[str, float]]:
    """Of whole replays by one process and by two: packets a second by the clock on the wall, and MB of memory.

    Where many flows are open at once, also bytes for each: what they take beyond one flow.
    """
    out: dict[str, dict[str, float]] = {}
    for kind in ("download", f"{packets // cases.PACKETS_A_FLOW['flows']}-flows", "requests"):
        pairs = [(cases.whole(kind, packets), cases.whole(kind, packets, 2)) for _ in range(rounds)]
        one, two = (statistics.median(w.wall for w in side) for side in zip(*pairs, strict=True))
        out[kind] = {"one": packets / one * 1e9, "two": packets / two * 1e9,
                     "MB": max(w.memory for w, _ in pairs) / 1e6}
        if kind.endswith("-flows"):
            out[kind]["bytes a flow"] = (out[kind]["MB"] - out["download"]["MB"]) * 1e6 / int(kind.partition("-")[0])
    return out


def curves(most: int, rounds: int) -> tuple[Curves, Curves]:
    """What whole replays take against the packets of one flow, and against the flows of some packets.

    (ns a packet, MB of memory).
    """
    time_, memory = Curves(), Curves()
    of_flows = min(most, MANY)
    kinds = {"packets, 1 flow": [(n, "1-flows", n) for n in PACKETS if n <= most],
             f"flows, {of_flows:,} packets or five a flow": [(n, f"{n}-flows", max(of_flows, 5 * n)) for n in FLOWS
                                                             if 5 * n <= most]}
    for name, points in kinds.items():
        for at, kind, packets in points:
            runs = [cases.whole(kind, packets) for _ in range(rounds)]
            time_.setdefault(name, []).append((at, statistics.median(w.cpu / packets for w in runs)))
            memory.setdefault(name, []).append((at, max(w.memory for w in runs) / 1e6))
    return time_, memory


def as_json(found: list[Measured], beside: dict[str, float]) -> dict[str, object]:
    return {
        "when": time.strftime("%Y-%m-%d"), "machine": platform.machine(), "python": platform.python_version(),
        "cases": [{"name": m.case.name, "unit": m.case.unit, "ns": round(m.ns, 1), "best": round(m.best, 1),
                   "goal": m.case.goal, "peer": m.case.peer, "peer_ns": m.peer and round(m.peer, 1)} for m in found],
        "others": {name: round(ns, 1) for name, ns in beside.items()},
    }


def packets_chart(found: list[Measured], beside: dict[str, float]) -> str:
    """Packets a second of whole replays and of other programs."""
    rows = [(m.case.name, 1e9 / m.ns, True) for m in found if m.case.unit == "packet"]
    rows += [(name, 1e9 / ns, False) for name, ns in beside.items()]
    return chart.bars("Packets a second", sorted(rows, key=lambda r: r[1]), "/s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("only", nargs="*", help="part of a benchmark's name")
    parser.add_argument("--rounds", type=int, default=5, help="the median of so many counts (default 5)")
    parser.add_argument("--packets", type=int, default=cases.PACKETS, help="of each replay")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    parser.add_argument("--svg", type=Path, metavar="DIR", help="write charts")
    parser.add_argument("--curves", type=int, default=0, metavar="N", help="also cost against size, up to N packets")
    args = parser.parse_args()
    wanted = [c for c in cases.all_cases(args.packets) if not args.only or any(part in c.name for part in args.only)]
    found = table(wanted, args.rounds, lambda c: peer(c, args.packets))
    beside = {} if args.only else others(args.packets)
    for name, ns in beside.items():
        print(f"{name:<52} {ns:>9,.1f} {'':>9} {1e9 / ns:>12,.0f}")
    both = {} if args.only else processes(args.packets, args.rounds)
    for kind, p in both.items():
        print(f"{f'replay: {kind}, by the clock on the wall':<52} {p['one']:,.0f} packets a second, "
              f"{p['two']:,.0f} by two processes ({p['two'] / p['one']:.2f} times), {p['MB']:,.0f} MB"
              + (f", {p['bytes a flow']:,.0f} bytes a flow" if "bytes a flow" in p else ""))
    grown, memory = curves(args.curves, args.rounds) if args.curves else (Curves(), Curves())
    for name, points in grown.items():
        for (n, ns), (_, mb) in zip(points, memory[name], strict=True):
            print(f"{f'replay: {n:,.0f} {name}':<52} {ns:>9,.1f} {'':>9} {1e9 / ns:>12,.0f} {mb:>9,.0f} MB")
    if args.json:
        more = {"processes": both, "curves": grown, "memory": memory}
        args.json.write_text(json.dumps(as_json(found, beside) | more, indent=1) + "\n")
    if args.svg:
        args.svg.mkdir(parents=True, exist_ok=True)
        if beside or any(m.case.unit == "packet" for m in found):
            (args.svg / "packets.svg").write_text(packets_chart(found, beside))
        if grown:
            text = chart.lines("Cost against size", grown, "packets, or flows", "ns a packet")
            (args.svg / "curves.svg").write_text(text)
            text = chart.lines("Memory against size", memory, "packets, or flows", "MB")
            (args.svg / "memory.svg").write_text(text)
    return 1 if args.check and any(m.late for m in found) else 0


if __name__ == "__main__":
    sys.exit(main())
