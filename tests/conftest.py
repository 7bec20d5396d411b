# SPDX-License-Identifier: GPL-2.0-only
"""Every conversation is closed at the end of its test, and must give back all that it allocated."""

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
