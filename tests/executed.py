# SPDX-License-Identifier: GPL-2.0-only
"""A plugin for pytest: which kernel functions each test runs, measured with the traced build.

    python -m pytest -p executed --executed FILE tests/...

writes {function: the first test that runs it} as JSON. All hosts of these tests are those of kpath_c.traced.
"""
import json
import sys
from pathlib import Path

import pytest

import kpath_c
import kpath_c.traced

sys.modules["kpath_c.host"] = kpath_c.traced
kpath_c.host = kpath_c.traced  # type: ignore[attr-defined]
FOUND: dict[str, str] = {}


def pytest_addoption(parser):
    parser.addoption("--executed", metavar="FILE", required=True, help="where the functions are written to")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    kpath_c.traced.watch()
    result = yield
    for name, _ in kpath_c.traced.seen():
        FOUND.setdefault(name, item.nodeid.removeprefix("tests/"))
    return result


def pytest_sessionfinish(session):
    Path(session.config.getoption("--executed")).write_text(json.dumps(FOUND, indent=0, sort_keys=True))
