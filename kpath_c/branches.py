# SPDX-License-Identifier: GPL-2.0-only
"""Tells the C compiler which way conditions go, as the kernel does by likely() and unlikely(), but by what was counted.

`branches.txt` holds the conditions of the kernel side that ordinary traffic meets and that nearly always go the same
way; `python -m bench.branches` makes it. unity.py hands each function's text through here: a condition that is listed
gets its hint, one that is not (or no longer) stays as it is. What `and`, `or` and `not` join is looked at one by one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

HEAD = re.compile(r"[ ]+(?:if|elif|while) ")
STRING = re.compile(r'"""(?:.|\n)*?"""|b?c?"(?:[^"\\\n]|\\.)*"|b?c?\'(?:[^\'\\\n]|\\.)*\'|#.*')
HINTS = {"+": "likely", "-": "unlikely"}
Key = tuple[str, str, str]  # file, function, condition


def strings_blanked(text: str) -> str:
    """The same with the inside of strings and comments replaced, so that brackets and colons are code."""
    return STRING.sub(lambda m: re.sub(r"[^\n]", "_", m[0]), text)


def closing(code: str, at: int, end: int, what: str) -> int:
    """Where, from `at` on, the first of `what` stands outside of brackets; `end` if nowhere."""
    depth = 0
    while at < end:
        if depth == 0 and code.startswith(what, at):
            return at
        depth += (code[at] in "([{") - (code[at] in ")]}")
        at += 1
    return end


def pieces(code: str, at: int, end: int, word: str) -> Iterator[tuple[int, int]]:
    """The operands of `word` in code[at:end]."""
    while at <= end:
        to = closing(code, at, end, word)
        yield at, to
        at = to + len(word)


def operands(code: str, at: int, end: int) -> Iterator[tuple[int, int]]:
    """What a condition's `and`, `or` and `not` put together: places in the text."""
    while code[at].isspace():
        at += 1
    while code[end - 1].isspace():
        end -= 1
    for word in ("or", "and"):
        flat = re.sub(rf"\b{word}\b", "\0" * len(word), code[at:end])
        parts = list(pieces(flat, 0, end - at, "\0" * len(word)))
        if len(parts) > 1:
            for a, b in parts:
                yield from operands(code, at + a, at + b)
            return
    if code.startswith("not ", at):
        yield from operands(code, at + 4, end)
    elif code[at] == "(" and closing(code, at + 1, end, ")") == end - 1:
        yield from operands(code, at + 1, end - 1)
    else:
        yield at, end


def conditions(text: str) -> Iterator[tuple[int, int]]:
    """The operands of all conditions of a function's statements: where they begin and end in its text."""
    code = strings_blanked(text)
    for m in re.finditer(r"^.*$", code, re.M):
        if head := HEAD.match(m[0]):
            at = m.start() + head.end()
            yield from operands(code, at, closing(code, at, len(code), ":"))


class Branches:
    """The conditions of branches.txt."""

    def __init__(self, path: Path) -> None:
        self.hints: dict[Key, str] = {}
        file = function = ""
        for line in path.read_text().splitlines():
            if line[0] in HINTS:
                self.hints[file, function, line[2:]] = HINTS[line[0]]
            else:
                file, function = line.split()

    def declarations(self) -> str:
        """What the joined module needs in front of what was marked."""
        return ""

    def marked(self, text: str, file: str, function: str) -> str:
        """A function's text with the hints."""
        out, last = [], 0
        for at, end in conditions(text):
            if word := self.word(file, function, " ".join(text[at:end].split())):
                out += [text[last:at], word, text[at:end], ")"]
                last = end
        return "".join([*out, text[last:]])

    def word(self, file: str, function: str, condition: str) -> str | None:
        """What is to stand in front of a condition."""
        hint = self.hints.get((file, function, condition))
        return hint and hint + "("


class Counting(Branches):
    """Counts instead, for making branches.txt: each condition has a number, see COUNTERS."""

    def __init__(self) -> None:
        self.keys: list[Key] = []

    def declarations(self) -> str:
        return COUNTERS.replace("COUNT", str(len(self.keys)))

    def word(self, file: str, function: str, condition: str) -> str | None:
        self.keys.append((file, function, condition))
        return f"counted({len(self.keys) - 1}, "


COUNTERS = '''
cdef extern from *:
    """
    static unsigned long long kpath_counts[COUNT][2];
    #define kpath_counted(i, c) __extension__({ int kpath_c_ = !!(c); kpath_counts[i][kpath_c_]++; kpath_c_; })
    """
    unsigned long long kpath_counts[COUNT][2]
    bint counted "kpath_counted"(int i, bint condition) noexcept nogil


def branch_counts():
    """How often each condition was false and true: [[false, true]]."""
    return [[kpath_counts[i][0], kpath_counts[i][1]] for i in range(COUNT)]
'''


def listed(keys: list[Key], counts: list[list[int]], least: int, rare: float) -> str:
    """The text of branches.txt: conditions met `least` times or more that go one way but for a share of `rare`."""
    sums: dict[Key, list[int]] = {}
    for key, (no, yes) in zip(keys, counts, strict=True):
        total = sums.setdefault(key, [0, 0])
        total[0] += no
        total[1] += yes
    by_function: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (file, function, condition), (no, yes) in sums.items():
        if no + yes >= least and min(no, yes) <= rare * (no + yes):
            by_function[file, function].append(f"{'+' if yes > no else '-'} {condition}")
    return "".join(f"{file} {function}\n" + "".join(f"{line}\n" for line in lines)
                   for (file, function), lines in by_function.items())
