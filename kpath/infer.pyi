# SPDX-License-Identifier: GPL-2.0-only
from .callset import Calls
from .segments import Table

class Inference:
    horizon: int
    since: int
    def __init__(self, table: Table, ops: dict[str, int], paced: bool = False) -> None: ...
    def window(self, path: str, known: int = ..., last: bool = True) -> Calls: ...
