"""python -m bench: all benchmarks (or those whose name contains one of the arguments) as a table."""

import argparse
import sys
import time

from bench.cases import CASES, Case


def measure(case: Case, rounds: int) -> float:
    """The best of some rounds, ns for each unit: processor time, so that a busy machine does not count."""
    best = float("inf")
    for _ in range(rounds):
        with case.ready() as run:
            start = time.process_time_ns()
            done = run.work()
            spent = time.process_time_ns() - start
            best = min(best, (run.ns() if run.ns else spent) / done)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("only", nargs="*", help="part of a benchmark's name")
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many counts (default 5)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    args = parser.parse_args()
    missed = 0
    print(f"{'':<52} {'ns':>9} {'per second':>12} {'goal, ns':>9}")
    for case in CASES:
        if args.only and not any(part in case.name for part in args.only):
            continue
        ns = measure(case, args.rounds)
        late = case.goal is not None and ns > case.goal
        missed += late
        goal = f"{case.goal:>9,.0f}" if case.goal else ""
        print(f"{case.name:<52} {ns:>9,.1f} {1e9 / ns:>12,.0f} {goal}{'  missed' if late else ''}", flush=True)
    return 1 if args.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
