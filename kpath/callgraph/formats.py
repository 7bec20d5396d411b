# SPDX-License-Identifier: GPL-2.0-only
"""A recording as text, JSON, a web page, or a trace for a viewer."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator
from typing import Any

from .tree import Frame, Root

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>kpath callgraph: {title}</title><style>
body {{ font: 14px/1.45 monospace; margin: 1.5em; }}
details, .leaf {{ margin-left: 1.4em; }}
body > details {{ margin: 0 0 .4em; }}
summary {{ cursor: pointer; }}
.leaf {{ padding-left: 1.05em; }}
small {{ color: #777; }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def text(roots: list[Root], title: str, depth: int, timed: bool) -> Iterator[str]:
    """Indented, each function behind an arrow, as such graphs are drawn by hand."""
    for root in roots:
        yield f"# {root.label}"
        for frame in root.calls:
            yield from text_frame(frame, 0, depth, timed)
        yield ""


def text_frame(frame: Frame, level: int, depth: int, timed: bool) -> Iterator[str]:
    arrow = "  " * level + "-> " if level else ""
    yield f"{arrow}{frame.name}" + (f"  // {frame.ns:,} ns" if timed else "")
    if level + 1 < depth:
        for below in frame.calls:
            yield from text_frame(below, level + 1, depth, timed)


def plain(frame: Frame, depth: int, timed: bool) -> dict[str, Any]:
    """A frame as JSON has it."""
    out: dict[str, Any] = {"function": frame.name, "file": frame.file}
    if timed:
        out["ns"] = frame.ns
    if frame.calls and depth > 1:
        out["calls"] = [plain(f, depth - 1, timed) for f in frame.calls]
    return out


def as_json(roots: list[Root], title: str, depth: int, timed: bool) -> Iterator[str]:
    """One object: {"capture", "roots": [{"kind", "index", "label", "calls": [...]}]}."""
    found = [{"kind": r.kind, "index": r.index, "label": r.label, "calls": [plain(f, depth, timed) for f in r.calls]}
             for r in roots]
    yield json.dumps({"capture": title, "roots": found}, indent=1)


def as_html(roots: list[Root], title: str, depth: int, timed: bool) -> Iterator[str]:
    """A page whose branches open and close; it needs nothing from elsewhere."""
    body = []
    for root in roots:
        inner = "".join(html_frame(f, depth, timed) for f in root.calls)
        body.append(f"<details><summary><b>{html.escape(root.label)}</b></summary>{inner}</details>")
    yield PAGE.format(title=html.escape(title), body="\n".join(body))


def html_frame(frame: Frame, depth: int, timed: bool) -> str:
    note = f" <small>{html.escape(frame.file)}{f', {frame.ns:,} ns' if timed else ''}</small>"
    if not frame.calls or depth <= 1:
        return f'<div class="leaf">{frame.name}{note}</div>'
    inner = "".join(html_frame(f, depth - 1, timed) for f in frame.calls)
    return f"<details open><summary>{frame.name}{note}</summary>{inner}</details>"


def perfetto(roots: list[Root], title: str, depth: int, timed: bool) -> Iterator[str]:
    """The Chrome trace format: complete events, times and durations in us; a thread for each kind of root."""
    events: list[dict[str, Any]] = []
    threads = {"arrival": 1, "call": 2, "timer": 3}
    for name, tid in threads.items():
        events.append({"ph": "M", "pid": 1, "tid": tid, "name": "thread_name", "args": {"name": f"{name}s"}})
    for root in roots:
        if not root.calls:
            continue
        start, end = root.calls[0].start, root.calls[-1].start + root.calls[-1].ns
        events.append(event(root.label, start, end - start, threads[root.kind], root.kind))
        for frame in root.calls:
            events.extend(frame_events(frame, depth, threads[root.kind]))
    yield json.dumps({"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"capture": title}})


def event(name: str, start: int, ns: int, tid: int, kind: str) -> dict[str, Any]:
    return {"ph": "X", "pid": 1, "tid": tid, "name": name, "cat": kind, "ts": start / 1000, "dur": ns / 1000}


def frame_events(frame: Frame, depth: int, tid: int) -> Iterator[dict[str, Any]]:
    yield event(frame.name, frame.start, frame.ns, tid, frame.file)
    if depth > 1:
        for below in frame.calls:
            yield from frame_events(below, depth - 1, tid)


FORMATS: dict[str, Callable[[list[Root], str, int, bool], Iterator[str]]] = {
    "text": text, "json": as_json, "html": as_html, "perfetto": perfetto,
}  # fmt: skip
