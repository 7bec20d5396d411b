# SPDX-License-Identifier: GPL-2.0-only
"""From the log of the traced kernel side (kpath_c/tracer.pxi) to trees of functions."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

ARRIVAL, CALL, TIMER = 2, 4, 6  # entries that begin a root
KINDS = {ARRIVAL: "arrival", CALL: "call", TIMER: "timer"}
#: Not the kernel's: the driver's schedule and the face to Python
OWN_FILES = {"sched.pyx", "host.pyx", "sockstate.pyx"}
#: Macros of the kernel that are functions here
MACROS = {"htons", "htonl", "ntohs", "ntohl", "cpu_to_be16", "cpu_to_be32", "min_u32", "max_u32", "min_s32", "max_s32",
          "min_int", "max_int", "min_s64", "max_s64"}  # fmt: skip


@dataclass
class Frame:
    """One run of a function. ns: how long it took, with all below it; 0 where that was not measured."""

    name: str
    file: str
    start: int = 0
    ns: int = 0
    calls: list[Frame] = field(default_factory=list)

    def walk(self) -> Iterator[Frame]:
        """This frame and all below, in order."""
        yield self
        for f in self.calls:
            yield from f.walk()


@dataclass
class Root:
    """What one arrival, call or tick set going. index: the arrival's or call's; 0 for a tick."""

    kind: str
    index: int
    label: str = ""
    calls: list[Frame] = field(default_factory=list)

    def walk(self) -> Iterator[Frame]:
        """All frames, in order."""
        for f in self.calls:
            yield from f.walk()

    def find(self, name: str) -> list[Frame]:
        """The frames of this function that do not lie within another one of it."""
        out: list[Frame] = []
        todo = list(reversed(self.calls))
        while todo:
            f = todo.pop()
            if f.name == name:
                out.append(f)
            else:
                todo.extend(reversed(f.calls))
        return out


def hidden(name: str, file: str, everything: bool) -> bool:
    """The driver's own functions are never shown; what is a macro in the kernel only on demand."""
    return file in OWN_FILES or (not everything and (name in MACROS or name.isupper()))


def build(log: bytes, functions: dict[int, tuple[str, str]], everything: bool = False) -> list[Root]:
    """The roots of a log in order. Where it was cut short, the functions that ran on have no end."""
    roots: list[Root] = []
    stack: list[tuple[int, Frame | None]] = []
    for what, t in struct.iter_unpack("Qq", log):
        if what in KINDS:
            # A timer's handler may run within a call that waits; it is a root of its own all the same.
            roots.append(Root(KINDS[what], t))
            stack.clear()
        elif what & 1:
            leave(stack, what & ~1, t)
        elif what in functions and roots:
            name, file = functions[what]
            frame = None if hidden(name, file, everything) else Frame(name, file, t)
            if frame:
                above = next((f for _, f in reversed(stack) if f), None)
                (above.calls if above else roots[-1].calls).append(frame)
            stack.append((what, frame))
    return roots


def leave(stack: list[tuple[int, Frame | None]], what: int, t: int) -> None:
    """A function ends, and with it what was left open within."""
    if not any(w == what for w, _ in stack):
        return
    while stack:
        w, frame = stack.pop()
        if frame:
            frame.ns = t - frame.start
        if w == what:
            return
