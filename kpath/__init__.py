# SPDX-License-Identifier: GPL-2.0-only
"""kpath: Linux's TCP path as a library. This package is the driver: captures in, comparison out.

import kpath
result = kpath.replay("client.pcap", local=["10.0.0.1"])
print(kpath.summary(result)["segments_matched"])
"""

from __future__ import annotations

__version__ = "0.1.0"

from .compare import summary
from .errors import InputError
from .replay import Result, replay

__all__ = ["InputError", "Result", "__version__", "replay", "summary"]
