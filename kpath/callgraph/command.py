# SPDX-License-Identifier: GPL-2.0-only
"""`kpath callgraph`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..errors import InputError
from .formats import FORMATS
from .record import Selection, record
from .tree import Root

ENDLESS = 1 << 20


def callgraph_parser(commands: Any) -> None:
    """Adds the subcommand."""
    p = commands.add_parser(
        "callgraph",
        description="Replay a capture and show, for each packet that arrived, each call and each timer, the tree "
        "of kernel functions that ran.",
    )
    p.add_argument("capture", metavar="CAPTURE", help="pcap or pcapng")
    p.add_argument("--local", action="append", default=[], metavar="ADDR[:PORT]", help="the side to be; repeatable")
    p.add_argument("--host", metavar="FILE", help="what is known of the host (JSON)")
    p.add_argument("--sysctl", action="append", default=[], metavar="KEY=VALUE", help="over --host; repeatable")
    p.add_argument("--syscalls", metavar="FILE", help="the local socket calls (JSON Lines); without it, inferred")
    one = p.add_mutually_exclusive_group()
    one.add_argument("--packet", type=int, metavar="N", help="only this packet of the capture (from 1)")
    one.add_argument("--call", type=int, metavar="N", help="only the call in this line of --syscalls (from 1)")
    p.add_argument("--depth", type=int, default=ENDLESS, metavar="N", help="no more than N levels")
    p.add_argument("--function", metavar="NAME", help="only what NAME did, wherever it ran")
    p.add_argument("--format", choices=FORMATS, default="text", help="default: text; perfetto: the Chrome trace format")
    p.add_argument("--times", action="store_true", help="how long each function took, with all below it")
    p.add_argument("--all", action="store_true", help="also what is a macro in the kernel")
    p.set_defaults(run=run_callgraph)


def run_callgraph(args: argparse.Namespace) -> int:
    """Prints the graphs; 0, or 1 if nothing that was asked for ran."""
    if args.depth < 1:
        raise InputError("--depth: expected 1 or more")
    timed = args.times or args.format == "perfetto"
    selection = Selection(args.packet, args.call, timed, args.all)
    found = record(args.capture, selection, local=args.local, host=args.host, sysctls=args.sysctl,
                   syscalls=args.syscalls)
    roots = of_function(found.roots, args.function) if args.function else [r for r in found.roots if r.calls]
    for line in FORMATS[args.format](roots, args.capture, args.depth, timed):
        print(line)
    if found.lost:
        print(f"kpath: {args.capture}: {found.lost:,} later events are left out; --packet or --call shows them",
              file=sys.stderr)
    if not roots:
        print(f"kpath: {args.capture}: {args.function or 'nothing'} did not run", file=sys.stderr)
    return 0 if roots else 1


def of_function(roots: list[Root], name: str) -> list[Root]:
    """The roots in which the function ran, cut down to it."""
    return [Root(r.kind, r.index, r.label, found) for r in roots if (found := r.find(name))]
