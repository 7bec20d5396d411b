# SPDX-License-Identifier: GPL-2.0-only
from collections.abc import Callable
from typing import Any

from .capture import Bytes

LINKS: dict[int, str]

class Walk:
    packets: int
    ipv6: int
    other: int
    short: int
    first_short: int
    span: tuple[int, int]
    cut: int
    cut_why: str
    at: int
    begin: int
    n: int
    rows: int
    ended: bool
    def __init__(self, buf: Bytes) -> None: ...
    def pcap(self, little: bool, nano: bool, linktype: int) -> None: ...
    def pcapng(
        self, section: Callable[[int], bool], interface: Callable[[int, int, bool], tuple[int, int, int]]
    ) -> None: ...
    def columns(self) -> Any: ...
