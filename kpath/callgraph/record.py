# SPDX-License-Identifier: GPL-2.0-only
"""Replays a capture on the traced kernel side."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .. import compare
from ..errors import InputError
from ..replay import Feed, replay
from ..report import clock
from .tree import Root, build

TRACED = "kpath_c.traced"
LIMIT = 1 << 23  # entries of 16 bytes


@dataclass
class Selection:
    """What to watch: one packet by its number in the capture, one call by its line, or everything."""

    packet: int | None = None
    call: int | None = None
    timed: bool = False
    everything: bool = False


@dataclass
class Recording:
    """roots: in order. lost: entries for which there was no room."""

    roots: list[Root] = field(default_factory=list)
    lost: int = 0


class Watch:
    """Switches the log on while the host runs."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.traced = importlib.import_module(TRACED)
        self.recording = Recording()

    @contextmanager
    def __call__(self, host: Any, fed: Feed) -> Iterator[None]:
        kind, index = self.wanted(fed)
        self.traced.trace(host, kind, index, self.selection.timed, LIMIT)
        try:
            yield
        finally:
            log, n = self.traced.untrace()
        self.recording.lost = n - len(log) // 16
        self.recording.roots = build(log, self.traced.functions(), self.selection.everything)
        for root in self.recording.roots:
            root.label = label(root, fed)

    def wanted(self, fed: Feed) -> tuple[str | None, int]:
        """The root that was asked for, as the kernel side counts. InputError: there is none such."""
        if (packet := self.selection.packet) is not None:
            rows = list(fed.arrivals[4])
            numbers = [fed.capture.number[row] for row in rows]
            if packet not in numbers:
                raise InputError(f"{fed.capture.path}: packet {packet} is none of the {len(rows):,} that arrived")
            return "arrival", numbers.index(packet)
        if (call := self.selection.call) is not None:
            lines = [c.line or i + 1 for i, c in enumerate(fed.calls.listed())]
            if call not in lines:
                raise InputError(f"{fed.calls.path}: no call in line {call}; there are {len(lines):,} calls")
            return "call", lines.index(call)
        return None, 0


def label(root: Root, fed: Feed) -> str:
    """What set a root going, on a line."""
    if root.kind == "arrival":
        row = fed.arrivals[4][root.index]
        return (f"packet {fed.capture.number[row]} at {clock(fed.arrivals[0][root.index])}: "
                f"{compare.segment_text(fed.table.row(row))}")
    if root.kind == "call":
        call = fed.calls.listed()[root.index]
        return f"call {call.line or root.index + 1} at {clock(call.t0)}: {call.op}"
    return "timers"


def record(capture: str, selection: Selection, **options: Any) -> Recording:
    """Replays `capture` (options: as `replay`) and returns what ran."""
    watch = Watch(selection)
    replay(capture, probes=False, kernel_side=TRACED, watch=watch, **options).close()
    return watch.recording
