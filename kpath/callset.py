# SPDX-License-Identifier: GPL-2.0-only
"""The socket calls of a replay: recorded ones (see calls.py) or inferred ones (see infer.pyx)."""

from __future__ import annotations

AF_INET6 = 10  # what Host's `socket` takes for the address family, 0 for AF_INET


class Call:
    """One call for `Host.add_call`; `op` is a name of its OPS. Times ns since the epoch."""

    __slots__ = ("t0", "t1", "thread", "slot", "op", "a", "s", "ret", "errno", "line")

    def __init__(self, t0: int, t1: int, thread: int, slot: int, op: str, a: tuple[int, int, int, int] = (0, 0, 0, 0),
                 ret: int | None = None, errno: int | None = None, line: int = 0) -> None:
        self.t0, self.t1 = t0, t1
        self.thread, self.slot = thread, slot
        self.op, self.a, self.s = op, a, ""
        self.ret, self.errno = ret, errno
        self.line = line


class Calls:
    """All calls of a replay. `inferred` calls come from the capture, and data is then read as it arrives."""

    def __init__(
        self,
        path: str,
        *,
        inferred: bool = False,
        rows: memoryview[int] | None = None,
        ops: dict[str, int] | None = None,
        plans: tuple[memoryview[int], memoryview[int]] | None = None,
        not_read: list[int] | None = None,
        longer: list[tuple[int, int, int]] | None = None,
        slots: int = 0,
    ) -> None:
        self.path = path
        self.items: list[Call] = []
        self.names: dict[str, int] = {}
        self.descriptors: dict[tuple[str, int], int] = {}
        self.bound: list[tuple[str, int]] = []
        self.connected: list[tuple[str, int]] = []
        self.inferred = inferred
        self.signed = False  # a key for signatures (RFC 2385) is set
        self.rows = rows  # of inferred calls instead of `items`: for Host.add_calls
        self.ops = ops or {}  # the numbers of the calls in `rows`
        self.plans = plans  # when readers read: for Host.plan_reads
        self.not_read = not_read or []  # slots that read by calls although the rest reads as it arrives
        self.longer = longer or []  # writes that go on: slot, bytes, thread
        self.warnings: list[str] = []
        self.slots = slots

    def listed(self) -> list[Call]:
        """All calls, as objects; made now where there are only rows."""
        if self.rows is not None and not self.items:
            names = {number: name for name, number in self.ops.items()}
            for i in range(0, len(self.rows), 8):
                t0, thread, slot, op, a0, a1, a2, _ = self.rows[i : i + 8]
                self.items.append(Call(t0, -1, thread, slot, names[op], (a0, a1, a2, 0)))
        return self.items

    def open(self, name: str, fd: int | None) -> int:
        """The slot of a socket that is opened. Threads use one name for sockets of their own: the fd decides."""
        known = self.names.get(name) if fd is None or fd < 0 else self.descriptors.get((name, fd))
        if known is None:
            known = self.slots
            self.slots += 1
        self.names[name] = known
        if fd is not None and fd >= 0:
            self.descriptors[name, fd] = known
        return known

    def find(self, name: str, fd: int | None) -> int | None:
        """The slot of a socket in use; without a descriptor, the one last opened under that name."""
        if fd is not None and (name, fd) in self.descriptors:
            return self.descriptors[name, fd]
        return self.names.get(name)
