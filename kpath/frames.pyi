# SPDX-License-Identifier: GPL-2.0-only
from .pairing import Pairing

class Frames:
    without_payload: int
    def __init__(self, pairs: Pairing, link_headers: dict[int | None, bytes], ng: bool) -> None: ...
    def records(self, begin: int, end: int) -> bytes: ...
