"""What kpath's speed is compared with: C loops built here, and dpkt."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import dpkt

NOT_HERE = 3  # exit status of a loop
SOURCE = Path(__file__).parent / "peers" / "loops.c"


@cache
def loops() -> Path | None:
    """The C loops, built; None where there is no compiler."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    out = Path(tempfile.mkdtemp(prefix="kpath-bench-")) / "loops"
    subprocess.run([*compiler.split(), "-O2", "-o", str(out), str(SOURCE)], check=True)
    return out


def loop(*args: str, rounds: int = 3) -> float | None:
    """ns for each unit of one of the C loops, the median of some rounds; None where the machine does not allow it."""
    program = loops()
    if program is None:
        return None
    took = []
    for _ in range(rounds):
        process = subprocess.run([str(program), *args], capture_output=True, text=True)
        if process.returncode == NOT_HERE:
            print(f"{' '.join(args)}: {process.stderr.strip()}", file=sys.stderr)
            return None
        process.check_returncode()
        units, ns, _ = process.stdout.split()
        took.append(int(ns) / int(units))
    return statistics.median(took)


def dpkt_reads(path: Path, parse: bool) -> float:
    """ns a packet of dpkt's reader, and of its IP and TCP parser where `parse`; 100,000 packets at the most."""
    n = 0
    start = time.process_time_ns()
    with path.open("rb") as f:
        for _, data in dpkt.pcap.Reader(f):
            if parse:
                _ = dpkt.ip.IP(data).data.seq
            n += 1
            if n == 100_000:
                break
    return (time.process_time_ns() - start) / n
