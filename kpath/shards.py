# SPDX-License-Identifier: GPL-2.0-only
"""One replay on several processors: the capture is read once, its connections are dealt out to processes by 4-tuple.

Each process has a host of its own. What connections of one host share is then shared within a process only: the
processor's time, tcp_metrics of a peer, limits (tcp_mem, TIME_WAIT, orphans, challenge ACKs). Where none of these
decides anything, segments, counters and states are those of one process; measured round trips may differ by some us,
and an RTO by a tick, as a processor that does less is free earlier (tests/driver/test_driver_shards.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from . import compare
from .errors import InputError
from .pairing import FIELDS
from .replay import Prepared, open_warning, play

SUMS = ("packets_in", "segments_captured", "segments_emitted", "segments_matched", "segments_in_time",
        "connections_replayed", "connections_skipped")
Share = dict[str, Any]  # the summary of a part, where its connections begin, and its exit status
Worker = tuple[int, int]  # process, and the pipe that it answers through


def replay(prepared: Prepared, jobs: int, most: int | None = None) -> tuple[int, dict[str, Any]]:
    """The exit status and the summary (see `compare.summary`) of a replay by `jobs` processes."""
    workers = [start(partial(share, prepared, part, jobs, most)) for part in range(1, jobs)]
    try:
        shares = [share(prepared, 0, jobs, most)]
    finally:
        answers = [finish(w) for w in workers]
    for answer in answers:
        if not answer:
            raise InputError(f"{prepared.capture.path}: a process of this replay came to its end early (no memory?)")
        told = json.loads(answer)
        if "error" in told:
            raise InputError(told["error"])
        shares.append(told)
    out = merged([s["summary"] for s in shares], [s["places"] for s in shares], most)
    out["warnings"] = warnings([s["summary"]["warnings"] for s in shares], [s["open"] for s in shares],
                               prepared.capture.path)
    if not out["connections_replayed"] and out["connections_skipped"]:
        raise InputError(out["warnings"][-1])
    return max(s["status"] for s in shares), out


def share(prepared: Prepared, part: int, jobs: int, most: int | None) -> Share:
    """Replays one part."""
    prepared.table.keep(part, jobs)
    result = play(prepared, probes=None, tcp_info=most is None)
    try:
        return {"summary": compare.summary(result, most), "open": (result.skipped, *result.first_skipped),
                "places": result.table.first_rows(result.pairing.replayed(most)),
                "status": result.status}
    finally:
        result.close()


def start(work: Callable[[], Share]) -> Worker:
    """A process of its own that does the work, with all that this one knows, and answers in JSON."""
    ours, theirs = os.pipe()
    process = os.fork()
    if process:
        os.close(theirs)
        return process, ours
    status = 1
    try:
        os.close(ours)
        try:
            answer = work()
        except InputError as e:
            answer = {"error": str(e)}
        with os.fdopen(theirs, "wb") as f:
            f.write(json.dumps(answer).encode())
        status = 0
    finally:
        os._exit(status)


def finish(worker: Worker) -> bytes:
    """What the process answered; nothing if it failed."""
    process, pipe = worker
    with os.fdopen(pipe, "rb") as f:
        answer = f.read()
    _, status = os.waitpid(process, 0)
    return b"" if status else answer


def merged(summaries: list[dict[str, Any]], places: list[list[int]], most: int | None) -> dict[str, Any]:
    """One summary of all parts."""
    out = dict(summaries[0])
    for key in SUMS:
        out[key] = sum(s[key] for s in summaries)
    counters = [s["counters"] for s in summaries]  # none has those that are zero
    out["counters"] = {name: sum(c.get(name, 0) for c in counters) for c in counters for name in c}
    differing = [s["differences"] for s in summaries]
    out["differences"] = {field: sum(d.get(field, 0) for d in differing) for field in FIELDS
                          if any(field in d for d in differing)}
    found = [s["first_divergence"] for s in summaries if s["first_divergence"]]
    out["first_divergence"] = min(found, key=lambda d: d["time"], default=None)
    rows = sorted(((n, c) for s, known in zip(summaries, places, strict=True)
                   for n, c in zip(known, s["connections"], strict=True)), key=lambda row: row[0])
    if most is not None:
        rows = sorted(rows, key=lambda row: row[1]["agrees"])[:most]
    out["connections"] = [c for _, c in rows]
    return out


def warnings(lists: list[list[str]], opens: list[tuple[int, int, str]], path: str) -> list[str]:
    """All warnings, each once. opens: the connections that were open before, see `Result`; told of together."""
    own = [open_warning(path, n, ends) for n, _, ends in opens if n]
    out = [w for w in dict.fromkeys(w for texts in lists for w in texts) if w not in own]
    if own:
        first = min((o for o in opens if o[0]), key=lambda o: o[1])
        out.append(open_warning(path, sum(n for n, _, _ in opens), first[2]))
    return out
