# SPDX-License-Identifier: GPL-2.0-only
"""epoll, as far as a single thread sees it: interest list, ready list, level and edge, one shot, exclusive.

Follows fs/eventpoll.c of Linux 6.18 (GPL-2.0-only) in when an entry gets onto the ready list and when it stays there.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

IN, PRI, OUT, ERR, HUP, RDHUP = 1, 2, 4, 8, 16, 0x2000
ALWAYS = ERR | HUP
EXCLUSIVE, WAKEUP, ONESHOT, EDGE = 1 << 28, 1 << 29, 1 << 30, 1 << 31
PRIVATE = WAKEUP | ONESHOT | EDGE | EXCLUSIVE
EXCLUSIVE_OK = IN | OUT | ERR | HUP | WAKEUP | EDGE | EXCLUSIVE
ADD, DEL, MOD = 1, 2, 3
NAMES = {
    1: "IN", 2: "PRI", 4: "OUT", 8: "ERR", 16: "HUP", 32: "NVAL", 64: "RDNORM", 128: "RDBAND", 256: "WRNORM",
    512: "WRBAND", 1024: "MSG", 0x2000: "RDHUP", EXCLUSIVE: "EXCLUSIVE", ONESHOT: "ONESHOT", EDGE: "ET",
}  # fmt: skip

Ready = Callable[[Any], int]


def names(events: int) -> str:
    """Bits as names."""
    return "|".join(name for bit, name in NAMES.items() if events & bit) or "0"


@dataclass(slots=True)
class Entry:
    """One descriptor that is watched."""

    target: Any
    events: int
    data: tuple[str, int]


@dataclass(slots=True)
class Epoll:
    """One epoll instance."""

    entries: list[Entry] = field(default_factory=list)
    ready_list: list[Entry] = field(default_factory=list)

    def control(self, op: int, target: Any, events: int, data: tuple[str, int], ready: Ready) -> int:
        """epoll_ctl(); an errno."""
        entry = next((e for e in self.entries if e.target is target), None)
        if events & EXCLUSIVE and op in (ADD, MOD) and (op == MOD or events & ~EXCLUSIVE_OK):
            return errno.EINVAL
        if op == ADD:
            if entry is not None:
                return errno.EEXIST
            entry = Entry(target, events | ALWAYS, data)
            self.entries.append(entry)
        elif op == MOD:
            if entry is None:
                return errno.ENOENT
            if entry.events & EXCLUSIVE:
                return errno.EINVAL
            entry.events, entry.data = events | ALWAYS, data
        elif op == DEL:
            if entry is None:
                return errno.ENOENT
            self.forget(target)
            return 0
        else:
            return errno.EINVAL
        if ready(target) & entry.events and entry not in self.ready_list:
            self.ready_list.append(entry)
        return 0

    def forget(self, target: Any) -> None:
        """The descriptor is gone."""
        self.entries = [e for e in self.entries if e.target is not target]
        self.ready_list = [e for e in self.ready_list if e.target is not target]

    def woken(self, slot: int, mask: int) -> bool:
        """A wake-up with this key; True: it goes no further (an exclusive waiter took it)."""
        taken = False
        for entry in self.entries:
            if entry.target.slot != slot or not entry.events & ~PRIVATE:
                continue
            if mask and not mask & entry.events:
                continue
            if entry not in self.ready_list:
                self.ready_list.append(entry)
            taken |= bool(entry.events & EXCLUSIVE)
        return taken

    def collect(self, most: int, ready: Ready) -> list[tuple[int, tuple[str, int]]]:
        """What epoll_wait() returns."""
        out: list[tuple[int, tuple[str, int]]] = []
        pending, self.ready_list = self.ready_list, []
        for i, entry in enumerate(pending):
            if len(out) >= most:
                self.ready_list = pending[i:] + self.ready_list
                break
            events = ready(entry.target) & entry.events & ~PRIVATE
            if not events:
                continue
            out.append((events, entry.data))
            if entry.events & ONESHOT:
                # nothing, ERR and HUP neither, until it is armed again
                entry.events &= PRIVATE
            elif not entry.events & EDGE:
                self.ready_list.append(entry)
        return out
