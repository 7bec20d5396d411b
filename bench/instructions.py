"""python -m bench.instructions: instructions that the port's own code executes for a unit of work, counted by valgrind.

Unlike times they repeat. The baseline (instructions.json) says how many there were; a change of more than 3 % fails
unless the baseline is updated with it (--update). Only functions of kpath's modules count: what the C library does
depends on the machine. Another compiler, or flags of another Python's build, make other code: each has a baseline of
its own, and where there is none nothing is compared, and that is said.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from kpath.bench import captures, cases

BASELINE = Path(__file__).parent / "instructions.json"
TOLERANCE = 0.03
ROOT = Path(__file__).parent.parent
OURS = "__pyx_f_7kpath_c_"  # functions of C, not what wraps them for Python
UNITS = {"download: arriving segment": 8000, "upload: segment sent": 8000, "requests: connection": 800,
         "handshake to close: both ends": 8000}


def download(n: int) -> None:
    """n segments arrive in order; with the ACK for each train that is nine packets for eight."""
    captures.flows(n * 9 // 8, 1)


def upload(n: int) -> None:
    """n packets of a bulk transfer, of which two thirds are segments sent."""
    captures.upload(n * 3 // 2)


def requests(n: int) -> None:
    """n connections with a request and an answer each."""
    captures.requests(8 * (n - 1))


def handshakes(n: int) -> None:
    """n connections between two hosts, without data."""
    with cases.connections(n - cases.CONNECTIONS_BEFORE) as run:
        run.work()


WORK = {"download: arriving segment": download, "upload: segment sent": upload, "requests: connection": requests,
        "handshake to close: both ends": handshakes}


def compiler() -> str:
    """The C compiler's version line."""
    words = (os.environ.get("CC") or "cc").split()
    return subprocess.run([*words, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]


def flags() -> str:
    """What extensions are compiled with."""
    return " ".join((sysconfig.get_config_var("CFLAGS") or "").split())


def baseline(known: list[dict[str, Any]]) -> dict[str, float] | None:
    """The counts for this compiler with these flags, of all that are known."""
    return next((b["instructions"] for b in known if (b["compiler"], b["flags"]) == (compiler(), flags())), None)


def updated(known: list[dict[str, Any]], counted: dict[str, float]) -> list[dict[str, Any]]:
    """The same with what was counted here."""
    others = [b for b in known if (b["compiler"], b["flags"]) != (compiler(), flags())]
    return [*others, {"compiler": compiler(), "flags": flags(), "instructions": counted}]


def count(name: str) -> float:
    """Instructions for each unit of one kind of work."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        subprocess.run(
            ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}",
             sys.executable, "-m", "bench.instructions", "--run", name],
            check=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True)
        return own(out.read_text()) / UNITS[name]


def own(profile: str) -> int:
    """The instructions that the port's functions executed themselves, of callgrind's output."""
    names: dict[str, str] = {}
    total, ours, callee = 0, False, False
    for line in profile.splitlines():
        kind, _, rest = line.partition("=")
        if kind in ("fn", "cfn"):
            number, _, name = rest.partition(" ")
            names.setdefault(number, name)
            if kind == "fn":
                ours = names[number].startswith(OURS)
        elif kind == "calls":
            callee = True               # the next line is the callee's cost
        elif re.match(r"[+\-*\d]", line):
            if ours and not callee:
                total += int(line.split()[1])
            callee = False
    return total


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="make what is counted now the baseline")
    parser.add_argument("--run", choices=WORK, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        WORK[args.run](UNITS[args.run])
        return 0
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: instructions are not counted")
        return 0
    counted = {name: round(count(name), 1) for name in WORK}
    known = json.loads(BASELINE.read_text())
    if args.update:
        known = updated(known, counted)
        BASELINE.write_text(json.dumps(known, indent=1) + "\n")
    before = baseline(known)
    missed = 0
    for name, now in counted.items():
        if before is None or name not in before:
            print(f"{name:<32} {now:>10,.1f}")
            continue
        far = abs(now / before[name] - 1) > TOLERANCE
        missed += far
        print(f"{name:<32} {now:>10,.1f}   baseline {before[name]:>10,.1f}   {100 * (now / before[name] - 1):+6.1f} %"
              f"{'  more than 3 % apart: explain it, and run with --update' if far else ''}")
    if before is None:
        print(f"no baseline for {compiler()} with {flags()}: not compared")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
