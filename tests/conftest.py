# SPDX-License-Identifier: GPL-2.0-only
"""What holds for every test: conversations give back all they allocated, and CI lets nothing be skipped.

KPATH_NO_SKIP=1 (set by .ci/run where everything is installed): a test that is skipped has failed.
"""

import os
from collections.abc import Iterator

import pytest
from conversation import OPEN


@pytest.fixture(autouse=True)
def pools_are_empty() -> Iterator[None]:
    yield
    still_open = OPEN[:]
    OPEN.clear()
    for conversation in still_open:
        conversation.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and os.environ.get("KPATH_NO_SKIP") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report
