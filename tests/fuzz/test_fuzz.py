"""Damaged input never ends in a crash, a traceback or a hang: a fixed run of damage.py in a process of its own."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_input(seed):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = str(ROOT / "tests/fuzz/damage.py")
    argv = [sys.executable, script, "--seed", str(seed), "--rounds", "150", "--seconds", "30"]
    run = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)
    last = run.stderr.strip().splitlines()[-1:]
    assert run.returncode == 0, f"{run.stdout}\n{last}"
    assert int(run.stdout.split()[-4]) > 20, "too few rounds to mean anything"
