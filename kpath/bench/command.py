# SPDX-License-Identifier: GPL-2.0-only
"""`kpath bench`."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import InputError


def bench_parser(commands: Any) -> None:
    """Adds the subcommand."""
    p = commands.add_parser(
        "bench",
        description="Measure the hot paths and whole replays on this machine: the median and the best of some rounds, "
        "in ns of processor time. The repository's `python -m bench` compares with other programs.",
    )
    p.add_argument("only", nargs="*", metavar="PART", help="part of a benchmark's name")
    p.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each is measured (default 3)")
    p.add_argument("--packets", type=int, default=200_000, metavar="N", help="of each replay (default 200000)")
    p.set_defaults(run=run_bench)


def run_bench(args: argparse.Namespace) -> int:
    """Prints the table."""
    from . import cases  # noqa: PLC0415  (they import the command)
    from .measure import table  # noqa: PLC0415

    if args.rounds < 1 or args.packets < 100:
        raise InputError("--rounds: expected 1 or more" if args.rounds < 1 else "--packets: expected 100 or more")
    wanted = [c for c in cases.all_cases(args.packets) if not args.only or any(part in c.name for part in args.only)]
    if not wanted:
        raise InputError(f"no benchmark's name has {' or '.join(args.only)} in it")
    table(wanted, args.rounds)
    return 0
