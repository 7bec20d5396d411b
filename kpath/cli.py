# SPDX-License-Identifier: GPL-2.0-only
"""The command. Each subcommand is a function that adds its parser, with the function that runs it as `run`."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from . import __version__, compare, report
from .capture import WHOLE, Capture
from .errors import InputError
from .replay import Result, prepare, replay

TYPE_CHECKING = False  # typing takes longer to import than a short replay
if TYPE_CHECKING:
    from typing import Any

MOST_JOBS = 256
WINDOW = 1 << 13  # packets in memory at a time; fewer tell less of what the application did
LEFT: list[Any] = []  # results that stay as they are until the process ends
EPILOG = """exit status: 0 all that was emitted agrees with the capture, 1 it differs, 2 usage or unreadable input"""


class Formatter(argparse.HelpFormatter):
    """Help as wide as the terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns() - 2)  # without a width argparse imports all of shutil to ask for it


def columns() -> int:
    """How wide the terminal is."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size().columns or 80
    except OSError:  # stdout is no terminal
        return 80


class Parser(argparse.ArgumentParser):
    """Reports bad usage in one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=Formatter, **settings)

    def error(self, message: str) -> Any:
        self.exit(2, f"kpath: {message} (see {self.prog} --help)\n")


def jobs(text: str) -> int:
    """A number of processes."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_JOBS:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MOST_JOBS}, found {text!r}")
    return int(text)


def replay_parser(commands: Any) -> None:
    """`kpath replay`."""
    p = commands.add_parser(
        "replay",
        epilog=EPILOG,
        description="Be the host that took part in a capture, and compare what it sends.",
    )
    p.add_argument("captures", nargs="+", metavar="CAPTURE", help="pcap or pcapng")
    p.add_argument("--local", action="append", default=[], metavar="ADDR[:PORT]", help="the side to be; repeatable")
    p.add_argument("--host", metavar="FILE", help="what is known of the host (JSON)")
    p.add_argument(
        "--sysctl",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="over --host; repeatable; `net.` may be left out",
    )
    p.add_argument("--syscalls", metavar="FILE", help="the local socket calls (JSON Lines); without it, inferred")
    p.add_argument(
        "-w", "--write", metavar="FILE", help="emitted segments; pcap (ns) or pcapng by suffix; - for stdout"
    )
    p.add_argument("--state", metavar="FILE", help="probe records; .jsonl, .csv or .parquet; - for stdout")
    p.add_argument(
        "-j", "--jobs", type=jobs, default=1, metavar="N",
        help="deal the connections out to N processes, each with a host of its own (inferred calls only)"
    )
    p.add_argument("--json", action="store_true", help="the comparison as one JSON object on stdout")
    volume = p.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="one line of report, no warnings")
    volume.add_argument("-v", "--verbose", action="store_true", help="every connection, and the counters")
    p.set_defaults(run=run_replay)


#: what each command does, its module, and the function in that that adds its options; imported only when asked for
COMMANDS = {
    "replay": ("replay captures, compare, report", "kpath.cli", "replay_parser"),
    "drill": ("run packetdrill scripts in virtual time", "kpath.drill.command", "drill_parser"),
    "callgraph": ("show which kernel functions ran for a packet, a call, a timer", "kpath.callgraph.command",
                  "callgraph_parser"),
    "seeds": ("show where the functions of the founding call graphs are", "kpath.seeds.command", "seeds_parser"),
    "bench": ("measure the hot paths and whole replays on this machine", "kpath.bench.command", "bench_parser"),
}


def parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The command line: that of the command that `argv` begins with, or only the names of all."""
    p = Parser(prog="kpath", description="Linux's TCP path as a library: replays captures through it.", epilog=EPILOG)
    p.add_argument("--version", action="version", version=f"kpath {__version__}")
    commands = p.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    if argv and argv[0] in COMMANDS:
        _, module, function = COMMANDS[argv[0]]
        getattr(importlib.import_module(module), function)(commands)
    else:
        for name, (text, _, _) in COMMANDS.items():
            commands.add_parser(name, help=text)
    return p


def warn(text: str) -> None:
    """One line on stderr."""
    print("kpath: " + " ".join(text.split()), file=sys.stderr)


def run_replay(args: argparse.Namespace) -> int:
    """Replays each capture; the exit status is the worst one's."""
    if args.write or args.state:
        from . import output  # noqa: PLC0415

        output.check_names(args.write, args.state)
    if len(args.captures) > 1 and (args.write or args.state):
        raise InputError("--write and --state take one capture at a time")
    if args.json and "-" in (args.write, args.state):
        raise InputError("only one of --json, --write - and --state - can go to stdout")
    if args.jobs > 1 and (args.write or args.state or args.syscalls):
        raise InputError("--jobs is for inferred calls, and goes without --write and --state")
    worst = 0
    summaries = []
    for path in args.captures:
        try:
            with collector_off():
                status, summary = one(path, args, args.leave and path is args.captures[-1])
        except InputError as e:
            if len(args.captures) == 1:
                raise
            warn(str(e))
            status, summary = 2, {"capture": path, "error": str(e)}
        worst = max(worst, status)
        summaries.append(summary)
    if args.json:
        write_json(summaries[0] if len(summaries) == 1 else {"captures": summaries})
    return worst


@contextmanager
def collector_off() -> Iterator[None]:
    """No garbage collection: a replay makes no cycles, but, as JSON, objects for each of many connections."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def one(path: str, args: argparse.Namespace, leave: bool) -> tuple[int, dict[str, Any]]:
    """Replays one capture, writes its files and report; returns its status and the JSON object.

    leave: the process ends then, so that the host need not be taken apart.
    """
    most = None if args.json or args.verbose else report.SHOWN
    if args.jobs > 1:
        from . import shards  # noqa: PLC0415

        prepared = prepare(path, local=args.local, host=args.host, sysctls=args.sysctl, window=WINDOW)
        status, summary = shards.replay(prepared, args.jobs, most)
        tell(summary, prepared.capture, args)
        return status, summary
    result = replay(
        path,
        local=args.local,
        host=args.host,
        sysctls=args.sysctl,
        syscalls=args.syscalls,
        probes=True if args.state else False if args.quiet and args.json else None,
        progress=progress(args),
        tcp_info=args.json,
        window=WHOLE if args.write or args.state else WINDOW,
    )
    try:
        if args.write or args.state:
            write_files(result, args)
        summary = compare.summary(result, most)
        tell(summary, result.capture, args)
        return result.status, summary
    finally:
        if leave:
            LEFT.append(result)
        else:
            result.close()


def write_files(result: Result, args: argparse.Namespace) -> None:
    """Writes the files that are asked for."""
    from . import output  # noqa: PLC0415

    if args.write:
        output.write_segments(result, args.write)
    if args.state:
        output.write_state(result, args.state)


def write_json(value: Any) -> None:
    """One JSON object on stdout."""
    # dumps(), as dump() writes bit by bit and in Python: ten times slower where there are many connections
    sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")


def tell(summary: dict[str, Any], capture: Capture, args: argparse.Namespace) -> None:
    """The report, and the warnings on stderr, of which -q leaves only that the capture was cut."""
    for text in summary["warnings"]:
        if not args.quiet or (capture.cut and text in capture.warnings[:1]):
            warn(text)
    if not args.json:
        stream = sys.stderr if "-" in (args.write, args.state) else sys.stdout
        report.write(summary, stream, 1 if args.verbose else -1 if args.quiet else 0)


def progress(args: argparse.Namespace) -> Callable[[float], None] | None:
    """A line that is written over, on a terminal only."""
    if args.quiet or not sys.stderr.isatty():
        return None

    def show(share: float) -> None:
        sys.stderr.write(f"\r\x1b[Kreplaying {share * 100:3.0f} %" if share < 1 else "\r\x1b[K")
        sys.stderr.flush()

    return show


def entry() -> None:
    """The command as a process: leaves without taking apart what it made, which takes long with many connections."""
    try:
        status = main(leave=True)
    except SystemExit as e:  # of argparse
        status = e.code if isinstance(e.code, int) else 0
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # main() has told of it
            stream.flush()
    os._exit(status)


def main(argv: Sequence[str] | None = None, leave: bool = False) -> int:
    """Runs the command; returns the exit status. leave: the process ends then."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        args = parser(argv).parse_args(argv)
        args.leave = leave
        status = int(args.run(args))
        sys.stdout.flush()
        return status
    except InputError as e:
        warn(str(e))
    except MemoryError:
        warn("out of memory")
    except KeyboardInterrupt:
        warn("interrupted")
    except BrokenPipeError:
        # whoever reads stdout has gone; the interpreter must not complain about it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as e:
        warn(f"{e.filename or 'output'}: {e.strerror or e}")
    return 2
