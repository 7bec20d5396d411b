# SPDX-License-Identifier: GPL-2.0-only
"""Takes the times of benchmarks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .cases import Case


@dataclass
class Measured:
    """ns of processor time for each unit, so that a busy machine does not count: the median and the best round."""

    case: Case
    ns: float
    best: float
    peer: float | None = None

    @property
    def late(self) -> bool:
        """Was a goal missed?"""
        if self.case.times is not None and self.peer is not None and self.ns > self.case.times * self.peer:
            return True
        return self.case.goal is not None and self.ns > self.case.goal


def measure(case: Case, rounds: int) -> Measured:
    """Runs a benchmark some times."""
    times = []
    for _ in range(rounds):
        with case.ready() as run:
            start = time.process_time_ns()
            done = run.work()
            spent = time.process_time_ns() - start
            times.append((run.ns() if run.ns else spent) / done)
    return Measured(case, statistics.median(times), min(times))


def table(cases: Iterable[Case], rounds: int, peer: Callable[[Case], float | None] | None = None) -> list[Measured]:
    """Measures and prints a line each, as soon as it is known. peer: ns of what a case is compared with."""
    print(f"{'':<52} {'ns':>9} {'best':>9} {'per second':>12} {'goal, ns':>12}{'   peer, ns   ratio' if peer else ''}")
    out = []
    for case in cases:
        m = measure(case, rounds)
        m.peer = peer(case) if peer else None
        goal = f"{case.goal:,.0f}" if case.goal else f"{case.times:g} x peer" if peer and case.times else ""
        beside = f" {m.peer:>10,.1f} {m.ns / m.peer:>7.2f}" if m.peer else ""
        print(f"{case.name:<52} {m.ns:>9,.1f} {m.best:>9,.1f} {1e9 / m.ns:>12,.0f} {goal:>12}{beside}"
              f"{'  missed' if m.late else ''}", flush=True)
        out.append(m)
    return out
