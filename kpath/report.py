# SPDX-License-Identifier: GPL-2.0-only
"""The report for a person."""

from __future__ import annotations

import os
import time

from .capture import count
from .localside import endpoint

TYPE_CHECKING = False  # typing takes longer to import than a short replay
if TYPE_CHECKING:
    from typing import Any, TextIO

COLOURS = {"good": "32", "bad": "31", "dim": "2", "bold": "1"}
SHOWN = 12  # connections in the table unless -v


class Paint:
    """Colours, where the stream is a terminal and NO_COLOR is not set."""

    def __init__(self, stream: TextIO) -> None:
        self.on = stream.isatty() and not os.environ.get("NO_COLOR")

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{COLOURS[style]}m{text}\x1b[0m" if self.on else text


def clock(ns: int) -> str:
    """Time of day in UTC, to the microsecond and beyond."""
    return time.strftime("%H:%M:%S", time.gmtime(ns // 10**9)) + f".{ns % 10**9:09d}"


def percent(part: int, whole: int) -> str:
    """Rounded down, so that 100 % means all."""
    return "-" if not whole else f"{part * 1000 // whole / 10:.1f} %"


def write(summary: dict[str, Any], stream: TextIO, verbosity: int = 0) -> None:
    """Writes the report of one capture. summary: see compare.summary. verbosity: -1, 0, 1."""
    paint = Paint(stream)
    lines = [agreement(summary, paint)]
    if verbosity >= 0:
        lines = head(summary, paint) + lines + divergence(summary, paint) + differences(summary)
        lines += table(summary, verbosity)
    if verbosity > 0:
        lines += counters(summary)
    stream.write("\n".join(lines) + "\n")


def head(s: dict[str, Any], paint: Paint) -> list[str]:
    skipped = f", {count(s['connections_skipped'], 'connection')} skipped" if s["connections_skipped"] else ""
    replayed = count(s["connections_replayed"], "connection")
    return [
        paint("bold", s["capture"]),
        f"  local side   {', '.join(s['local'])}" + ("" if s["local_from"] == "--local" else f"  ({s['local_from']})"),
        f"  replayed     {count(s['packets_in'], 'packet')} in, {replayed}{skipped}, "
        f"calls {s['calls']}",
    ]


def agreement(s: dict[str, Any], paint: Paint) -> str:
    matched, captured, emitted = s["segments_matched"], s["segments_captured"], s["segments_emitted"]
    most = max(captured, emitted)
    style = "good" if s["first_divergence"] is None else "bad"
    ticks = s["tolerances"]["tsval_ticks"]
    return (
        f"  agreement    {paint(style, f'{matched:,} of {most:,} segments ({percent(matched, most)})')}: "
        f"{captured:,} captured, {emitted:,} emitted; TSval within {count(ticks, 'tick')}"
    )


def divergence(s: dict[str, Any], paint: Paint) -> list[str]:
    d = s["first_divergence"]
    if d is None:
        return []
    where = f"packet {d['packet']}" if d["packet"] is not None else "a segment that the host did not send"
    title = {"missing": "not emitted", "extra": "emitted, not captured"}.get(d["field"], f"{d['field']} differs")
    return [
        f"  first divergence: {where} at {clock(d['time'])}, {paint('bad', title)}",
        f"    captured  {d['expected_segment'] or '-'}",
        f"    emitted   {d['emitted_segment'] or '-'}",
        f"    {paint('dim', d['why'])}" if d["why"] else "    no reason is known",
    ]


def differences(s: dict[str, Any]) -> list[str]:
    if not s["differences"]:
        return []
    parts = [f"{field} {n:,}" for field, n in sorted(s["differences"].items(), key=lambda p: -p[1])]
    return ["  differences: " + ", ".join(parts)]


def table(s: dict[str, Any], verbosity: int) -> list[str]:
    """One line a connection, those that differ first; a single one is said above already."""
    if s["connections_replayed"] < 2 and verbosity < 1:
        return []
    rows = sorted(s["connections"], key=lambda c: c["agrees"])
    shown = rows if verbosity > 0 else rows[:SHOWN]
    out = [
        f"  {endpoint(c['laddr'], c['lport'])} - {endpoint(c['raddr'], c['rport'])}  {c['segments_matched']:,} of "
        f"{max(c['segments_captured'], c['segments_emitted']):,}  {c['state'] or 'never open'}"
        for c in shown
    ]
    if (more := s["connections_replayed"] - len(shown)) > 0:
        out.append(f"  ... and {count(more, 'connection')} more (-v shows all)")
    return out


def counters(s: dict[str, Any]) -> list[str]:
    return ["  counters"] + [f"    {name:<28} {value:>12,}" for name, value in sorted(s["counters"].items())]
