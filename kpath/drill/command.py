# SPDX-License-Identifier: GPL-2.0-only
"""`kpath drill`: finds the scripts, runs them, several at once, and reports."""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError
from . import parse, report
from .options import AF_INET, AF_INET6, VALUES, Config
from .runner import Failure, Runner
from .script import ScriptError

#: what the runner of the kernel's own scripts defines, so that they run without further arguments; the cookies are
#: those of the default addresses and the key that its defaults.sh sets
SELFTEST_DEFINES = {
    AF_INET: {
        "TFO_COOKIE": "3021b9d889017eeb",
        "TFO_COOKIE_ZERO": "b7c12350a90dc8f5",
        "CMSG_LEVEL_IP": "SOL_IP",
        "CMSG_TYPE_RECVERR": "IP_RECVERR",
    },
    AF_INET6: {
        "TFO_COOKIE": "c1d1e9742a47a9bc",
        "TFO_COOKIE_ZERO": "82af1a8f9a205c34",
        "CMSG_LEVEL_IP": "SOL_IPV6",
        "CMSG_TYPE_RECVERR": "IPV6_RECVERR",
    },
}
EPILOG = "exit status: 0 all passed, 1 a script failed, 2 a script can't be read or asks for what is not modelled"


def drill_parser(commands: Any) -> None:
    """`kpath drill`."""
    p = commands.add_parser(
        "drill",
        epilog=EPILOG,
        description="Run packetdrill scripts against the port: no root, no device, no waiting.",
    )
    p.add_argument("scripts", nargs="+", metavar="SCRIPT|DIR", help="scripts, or directories to search for *.pkt")
    p.add_argument("-D", dest="defines", action="append", default=[], metavar="NAME=VALUE", help="a symbol for scripts")
    p.add_argument("-v", "--verbose", action="store_true", help="every event with its virtual time")
    p.add_argument("-q", "--quiet", action="store_true", help="nothing if all passed")
    p.add_argument("--tap", action="store_true", help="report in the Test Anything Protocol")
    p.add_argument("-j", "--jobs", type=int, default=0, metavar="N", help="processes (default: one a processor)")
    p.add_argument(
        "--tolerance",
        type=int,
        metavar="USECS",
        help="how far off a time may be, without packetdrill's 12.5 %% on top; 0: exact",
    )
    group = p.add_argument_group("packetdrill's own options (over those in a script)")
    for name in sorted(VALUES - {"define"}):
        group.add_argument(f"--{name}", metavar="VALUE", help=argparse.SUPPRESS)
    group.add_argument("--define", dest="defines", action="append", metavar="NAME=VALUE", help=argparse.SUPPRESS)
    for name in ("netmask_ip", "gateway_ip"):
        group.add_argument(f"--{name}", metavar="VALUE", help=argparse.SUPPRESS)
    p.set_defaults(run=run_drill)


def find(paths: list[str]) -> list[Path]:
    """The scripts that are meant."""
    out: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found = sorted(path.rglob("*.pkt"))
            if not found:
                raise InputError(f"{name}: no *.pkt in this directory")
            out += found
        elif path.is_file():
            out.append(path)
        else:
            raise InputError(f"{name}: no such file or directory")
    return out


def options_of(args: argparse.Namespace) -> list[tuple[str, str]]:
    """The command line's options, which win over a script's."""
    given = [("define", text) for text in args.defines or []]
    given += [(name, getattr(args, name)) for name in sorted(VALUES - {"define"}) if getattr(args, name) is not None]
    if args.tolerance is not None:
        given += [("tolerance_usecs", str(args.tolerance)), ("tolerance_percent", "0")]
        if args.step_usecs is None:
            given.append(("step_usecs", "0"))
    return given


def run_script(path: Path, options: list[tuple[str, str]], verbose: bool = False) -> report.Result:
    """Reads and runs one script."""
    began = time.perf_counter()
    result = report.Result(str(path), log=[f"{path}:"] if verbose else [])
    runner: Runner | None = None
    try:
        fixed = Config()
        for name, value in options:
            fixed.apply(name, value, "command line")
        fixed.defines = {**SELFTEST_DEFINES[fixed.family], **fixed.defines}
        script = parse.parse(path.read_text(errors="surrogateescape"), str(path), fixed.defines)
        config = Config()
        for name, own, line in script.options:
            config.apply(name, own, f"{path}:{line}")
        for name, value in options:
            config.apply(name, value, "command line")
        config.settled()
        runner = Runner(script, config, path.parent, result.log if verbose else None)
        runner.run()
        result.virtual = runner.now / 1e6
    except Failure as e:
        result.status = report.FAIL
        result.message = f"{path}:{e.line}: {e}"
        result.details = e.details
    except ScriptError as e:
        result.status = report.UNREADABLE
        result.message = str(e)
    except OSError as e:
        result.status = report.UNREADABLE
        result.message = f"{path}: {e.strerror}"
    except Exception:  # a fault of ours in one script must not cost the others their result
        result.status = report.FAIL
        result.message = f"{path}: internal error"
        result.details = traceback.format_exc().splitlines()
    if runner is not None:
        result.notes = runner.shell.notes + runner.host.warnings()
        left = runner.close()
        if left and result.status == report.PASS:
            result.status = report.FAIL
            result.message = f"{path}: not given back at the end: {left}"
    result.seconds = time.perf_counter() - began
    return result


def run_one(job: tuple[Path, list[tuple[str, str]], bool]) -> report.Result:
    """For the pool."""
    return run_script(*job)


def results(paths: list[Path], options: list[tuple[str, str]], verbose: bool, jobs: int) -> Iterator[report.Result]:
    """Runs all, in order; in processes of their own if there are several."""
    work = [(path, copy.copy(options), verbose) for path in paths]
    if jobs <= 1 or len(work) <= 2:
        yield from map(run_one, work)
        return
    parse.parser()  # once, before the processes part
    with multiprocessing.get_context("fork").Pool(min(jobs, len(work))) as pool:
        yield from pool.imap(run_one, work, chunksize=1)


def run_drill(args: argparse.Namespace) -> int:
    """Runs the command."""
    began = time.perf_counter()
    options = options_of(args)
    probe = Config()
    for name, value in options:
        probe.apply(name, value, "command line")
    paths = find(args.scripts)
    out = report.Report(len(paths), args.tap, args.quiet, args.verbose)
    for result in results(paths, options, args.verbose, args.jobs or os.cpu_count() or 1):
        out.add(result)
    return out.finish(time.perf_counter() - began)
