# SPDX-License-Identifier: GPL-2.0-only
from .segments import Table

FIELDS: tuple[str, ...]

class Pairing:
    captured: int
    emitted: int
    matched: int
    in_time: int
    tolerance: int
    connections: list[tuple[int, int, int, int, int]]
    def __init__(self, cap: Table, emi: Table, tolerance: int = 1) -> None: ...
    def differences(self) -> dict[str, int]: ...
    def first(self) -> tuple[int, int, list[str]] | None: ...
    def pair_of_captured(self, i: int) -> int: ...
    def pair_of_emitted(self, i: int) -> int: ...
