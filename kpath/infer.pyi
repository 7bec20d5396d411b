# SPDX-License-Identifier: GPL-2.0-only
from .calls import Calls
from .segments import Table

def infer(table: Table, path: str, ops: dict[str, int], paced: bool = False) -> Calls: ...
