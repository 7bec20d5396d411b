# SPDX-License-Identifier: GPL-2.0-only
"""`kpath seeds`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError
from .table import Row, Seen, called, named, rows


def seeds_parser(commands: Any) -> None:
    """Adds the subcommand."""
    p = commands.add_parser(
        "seeds",
        description="For each function that the founding documents name: its file in the port, or what does its work "
        "in 6.18 and why. Fails if one is neither ported nor aliased.",
    )
    p.add_argument("function", metavar="NAME", nargs="*", help="only these; default: all")
    p.add_argument("--executed", metavar="FILE", help="what a test run has measured (tests/seeds.py): show which "
                   "test runs each, and fail if none does")
    p.set_defaults(run=run_seeds)


def run_seeds(args: argparse.Namespace) -> int:
    """Prints the table; 1 if anything is missing."""
    seen = read_executed(args.executed) if args.executed else None
    known = {*named(), *called()}
    if unknown := [name for name in args.function if name not in known]:
        raise InputError(f"{unknown[0]} is none of the {len(known)} functions that the founding documents name")
    groups = {"named": named(), "called within them": called()}
    if args.function:
        groups = {"asked for": args.function}
    missing = []
    for title, names in groups.items():
        table = rows(names, seen)
        sys.stdout.writelines(f"{line}\n" for line in lines(title, table, seen is not None))
        missing += [r for r in table if r.lacks]
    for r in missing:
        print(f"{r.name}: {r.lacks}", file=sys.stderr)
    return 1 if missing else 0


def read_executed(path: str) -> Seen:
    try:
        seen: Seen = json.loads(Path(path).read_text())
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: {e}") from None
    return seen


def lines(title: str, table: list[Row], measured: bool) -> Iterator[str]:
    """A group's functions, each with its file and its test, then what they come to."""
    for r in table:
        test = r.test if r.by else "-"
        file = ", ".join(dict.fromkeys(r.files)) or ("-" if not r.lacks else "nowhere")
        yield f"{r.name:38} {file:32} {test}".rstrip()
        if note := ": ".join(t for t in (r.by if r.by != r.name else "", r.why) if t):
            yield f"    {note}"
    own = sum(r.by == r.name for r in table)
    by_other = sum(bool(r.by) and r.by != r.name for r in table)
    nothing = sum(not r.by and not r.lacks for r in table)
    good = sum(not r.lacks for r in table)
    text = f"{len(table)} {title}: {own} ported, {by_other} done by another, {nothing} with nothing to do"
    if measured:
        text += f", {sum(bool(r.test) for r in table)} run by a test"
    yield f"{text}; {100 * good / max(1, len(table)):.1f} %"
    yield ""
