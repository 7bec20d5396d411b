# SPDX-License-Identifier: GPL-2.0-only
"""Lint and types, as tests; and the few rules of the house that no linter knows."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST = 120
LONGEST_TEST_FILE = 400


def installed(tool):
    return importlib.util.find_spec(tool) is not None or shutil.which(tool) is not None


def check(*argv):
    done = subprocess.run([sys.executable, "-m", *argv], cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not installed("ruff"), reason="ruff is not installed (pip install .[dev])")
def test_ruff():
    check("ruff", "check", ".")


@pytest.mark.skipif(not installed("mypy"), reason="mypy is not installed (pip install .[dev])")
def test_mypy():
    check("mypy")


def test_lines_are_not_too_long():
    """ruff does not read Cython."""
    files = [p for room in ("kpath", "kpath_c") for kind in ("*.pyx", "*.pxd") for p in (ROOT / room).rglob(kind)]
    assert len(files) > 80
    long = [f"{p.relative_to(ROOT)}:{n}" for p in files for n, line in enumerate(p.read_text().splitlines(), 1)
            if len(line) > LONGEST]
    assert long == []


def test_test_files_stay_readable():
    long = [p.name for p in (ROOT / "tests").rglob("*.py") if len(p.read_text().splitlines()) > LONGEST_TEST_FILE
            and "driver" not in p.parts]
    assert long == []


def test_every_pyx_says_what_it_is():
    """A file begins with what it does (design.md)."""
    missing = [p.name for p in (ROOT / "kpath_c").rglob("*.pyx") if not p.read_text().startswith('"""')]
    assert missing == []
