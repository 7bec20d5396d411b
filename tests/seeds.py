#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Prints where each function of the founding call graphs is, and which test runs it: measured, in half a minute.

    python tests/seeds.py [NAME ...]

Fails if one is neither ported nor aliased, or is run by no test.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The graphs, then conversations and scripts: quick, and nothing of theirs runs in another process.
TESTS = ["test_seeds.py", "test_states.py", "test_listen.py", "test_connect.py", "test_tcp_output.py",
         "test_tcp_input_receive.py", "test_tcp_recovery.py", "test_tcp_minisocks.py", "test_congestion.py",
         "test_tcp_fastopen.py", "test_syncookies.py", "test_tcp_repair.py", "test_tcp_md5.py", "test_sched.py",
         "test_host.py", "test_drill.py"]


def measure(out: Path) -> subprocess.CompletedProcess:
    """Runs the tests with the traced build; `out` gets {function: test}."""
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "executed", "--executed", str(out), "-p", "no:cacheprovider",
            "-k", "not the_seeds_are_covered and not noted_by_name", *(f"tests/{t}" for t in TESTS)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True)


def table(executed: Path, *names: str) -> subprocess.CompletedProcess:
    argv = [sys.executable, "-m", "kpath", "seeds", "--executed", str(executed), *names]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        executed = Path(directory) / "executed.json"
        tests = measure(executed)
        if tests.returncode:
            print(tests.stdout + tests.stderr, file=sys.stderr)
            return 2
        done = table(executed, *sys.argv[1:])
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
