# SPDX-License-Identifier: GPL-2.0-only
"""What is said of a run: one line a script, details where it fails; or TAP."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TextIO

PASS, FAIL, UNREADABLE = 0, 1, 2
WORDS = {PASS: "ok", FAIL: "FAIL", UNREADABLE: "ERROR"}


@dataclass(slots=True)
class Result:
    """What came of one script. status: PASS, FAIL or UNREADABLE."""

    path: str
    status: int = PASS
    message: str = ""
    details: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    virtual: float = 0.0


def line(text: str) -> str:
    """One line of it."""
    return " ".join(text.split())


class Report:
    """Writes results as they come, in the order of the scripts."""

    def __init__(self, count: int, tap: bool, quiet: bool, verbose: bool, stream: TextIO | None = None) -> None:
        self.count = count
        self.tap = tap
        self.quiet = quiet
        self.verbose = verbose
        self.stream = stream or sys.stdout
        self.done = 0
        self.tally = [0, 0, 0]
        self.progress = not tap and not verbose and sys.stderr.isatty()
        if tap:
            print("TAP version 13", file=self.stream)
            print(f"1..{count}", file=self.stream)

    def add(self, r: Result) -> None:
        """One script is over."""
        self.done += 1
        self.tally[r.status] += 1
        if self.progress:
            sys.stderr.write(f"\r\x1b[K{self.done}/{self.count} {r.path}" if self.done < self.count else "\r\x1b[K")
            sys.stderr.flush()
        if self.tap:
            self.add_tap(r)
            return
        for text in r.log:
            print(text, file=self.stream)
        if r.status != PASS:
            print(f"{r.message}", file=self.stream)
            for text in r.details:
                print(text, file=self.stream)
        elif self.verbose:
            print(f"{r.path}: ok, {r.virtual:.6f} s of virtual time in {r.seconds * 1e3:.1f} ms", file=self.stream)
        if self.verbose or r.status != PASS:
            for text in r.notes:
                print(f"  note: {text}", file=self.stream)

    def add_tap(self, r: Result) -> None:
        """As the Test Anything Protocol has it."""
        print(f"{'not ok' if r.status else 'ok'} {self.done} - {r.path}", file=self.stream)
        if r.status:
            print("  ---", file=self.stream)
            print(f"  message: {line(r.message)!r}", file=self.stream)
            for text in r.details:
                print(f"  # {text.strip()}", file=self.stream)
            print("  ...", file=self.stream)
        for text in r.log:
            print(f"# {text}", file=self.stream)

    def finish(self, seconds: float) -> int:
        """The last line; the exit status."""
        passed, failed, unreadable = self.tally
        status = UNREADABLE if unreadable else FAIL if failed else PASS
        if not self.tap and not (self.quiet and status == PASS):
            more = f", {unreadable} not readable" if unreadable else ""
            print(f"{passed} of {self.count} passed, {failed} failed{more} in {seconds:.2f} s", file=self.stream)
        return status
