# SPDX-License-Identifier: GPL-2.0-only
"""Makes the calls of an application that nobody recorded, from the capture (rules: timeline.pyx)."""

from __future__ import annotations

from typing import Any

from .calls import FAMILIES, Call, Calls
from .segments import Table
from .timeline import Timeline

US = 1000
SOL_SOCKET, IPPROTO_TCP, SO_LINGER, SO_REUSEADDR, TCP_NODELAY = 1, 6, 13, 2, 1
MSG_DONTWAIT = 0x40
LISTENER_THREAD = 0
READERS = 1 << 24  # threads of readers that are not the writers' threads
WHOLE = 1 << 30


def infer(table: Table, path: str, paced: bool = False) -> Calls:
    """The calls of every connection that can be replayed. `table` has been split.

    paced: the host's congestion control spaces segments out, so a pause tells nothing of the application.
    """
    calls = Calls(path, inferred=True)
    timeline = Timeline(table)
    listeners = listen(table, calls)
    for c in range(table.nconn):
        conn = table.connection(c)
        if conn["skip"]:
            continue
        if conn["syn_out"] >= 0 and not conn["synack_out"]:
            slot = connect(calls, table, conn, c)
            use(calls, timeline, c, slot, table.row(conn["syn_out"])["t"], paced)
        elif conn["synack_out"] and (conn["laddr"], conn["lport"]) in listeners:
            established = timeline.established(c)
            if established is None:
                continue
            slot = new_slot(calls)
            calls.items.append(
                Call(
                    established + 1,
                    -1,
                    c + 1,
                    listeners[conn["laddr"], conn["lport"]],
                    "accept",
                    (slot, conn["rport"], 0, 0),
                )
            )
            use(calls, timeline, c, slot, established + 2, paced)
    calls.items.sort(key=lambda call: call.t0)
    return calls


def family(conn: dict[str, Any]) -> int:
    """The address family of a connection's socket, as Host wants it."""
    return FAMILIES["AF_INET6" if ":" in conn["laddr"] else "AF_INET"]


def new_slot(calls: Calls) -> int:
    return calls.open(f"s{calls.slots}", None)


def listen(table: Table, calls: Calls) -> dict[tuple[str, int], int]:
    """A listener for each local port that answered a SYN with a SYN-ACK; slots by (address, port)."""
    listeners: dict[tuple[str, int], int] = {}
    start = table.row(0)["t"] - 10_000 * US if len(table) else 0
    for c in range(table.nconn):
        conn = table.connection(c)
        key = (conn["laddr"], conn["lport"])
        if conn["skip"] or key in listeners or not conn["synack_out"] or conn["syn_in"] < 0 or conn["synack_in"]:
            continue
        slot = listeners[key] = new_slot(calls)
        for i, (op, a, s) in enumerate(
            (
                ("socket", (0, family(conn), 0, 0), ""),
                ("setsockopt", (SOL_SOCKET, SO_REUSEADDR, 1, 0), ""),
                ("bind", (conn["lport"], 0, 0, 0), conn["laddr"]),
                ("listen", (4096, 0, 0, 0), ""),
            )
        ):
            calls.items.append(Call(start + i * US, -1, LISTENER_THREAD, slot, op, a, s))
    return listeners


def connect(calls: Calls, table: Table, conn: dict[str, Any], c: int) -> int:
    """An active open just before its SYN; returns the slot."""
    slot = new_slot(calls)
    t = table.row(conn["syn_out"])["t"]
    calls.items.append(Call(t - 20 * US, -1, c + 1, slot, "socket", (0, family(conn), 0, 0)))
    calls.items.append(Call(t - 8 * US, -1, c + 1, slot, "connect", (conn["rport"], 0, 0, 0), conn["raddr"]))
    return slot


def use(calls: Calls, timeline: Timeline, c: int, slot: int, since: int, paced: bool) -> None:
    """Writes, reads and the end of one connection; `since`: nothing is called before that time."""
    did = timeline.writes(c, paced)
    thread = c + 1
    add = calls.items.append
    if did["nodelay"]:
        add(Call(since, -1, thread, slot, "setsockopt", (IPPROTO_TCP, TCP_NODELAY, 1, 0)))
    for t, length, flags in did["writes"]:
        add(Call(max(t, since), -1, thread, slot, "send", (length, flags, 0, 0)))
    reads = timeline.reads(c)
    if reads is None:
        calls.plans[slot] = timeline.read_times(c)
    else:
        calls.not_read.append(slot)
        for t, length in reads:
            add(
                Call(
                    max(t, since),
                    -1,
                    READERS + thread,
                    slot,
                    "recv",
                    (WHOLE if length < 0 else length, MSG_DONTWAIT, 0, 0),
                )
            )
    end(calls, did, thread, slot)


def end(calls: Calls, did: dict[str, Any], thread: int, slot: int) -> None:
    """Abort, shutdown or close, as the capture shows it. Without a FIN or reset the socket stays open."""
    add = calls.items.append
    if did["abort"] is not None:
        add(Call(did["abort"], -1, thread, slot, "setsockopt", (SOL_SOCKET, SO_LINGER, 1, 0)))
        add(Call(did["abort"], -1, thread, slot, "close"))
    elif did["fin"] is not None:
        t, half = did["fin"]
        add(Call(t, -1, thread, slot, "shutdown", (1, 0, 0, 0)) if half else Call(t, -1, thread, slot, "close"))
        if half and did["peer_fin"] is not None:
            add(Call(max(t, did["peer_fin"] + 1), -1, thread, slot, "close"))
