# SPDX-License-Identifier: GPL-2.0-only
"""Looks for a call graph of the seeds in a recorded one and says where they differ.

A function of the graph must run below the one that it is indented under, at any depth, and the first run that has all
of its own below it must come after those of its elder siblings. Functions go through the alias table: one that has
nothing to do in 6.18 or here stands for what is below it, and so does one that its caller, or the driver, does itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..callgraph.tree import OWN_FILES, Frame
from .table import aliases, data, port


@dataclass
class Node:
    """A function of a graph."""

    name: str
    calls: list[Node] = field(default_factory=list)


def parse(tree: str) -> list[Node]:
    """Two blanks are one level."""
    top: list[Node] = []
    path: list[Node] = []
    for line in tree.strip().splitlines():
        name = line.strip()
        depth = (len(line) - len(line.lstrip())) // 2
        if depth > len(path):
            raise ValueError(f"{name} is indented too far")
        del path[depth:]
        node = Node(name)
        (path[-1].calls if path else top).append(node)
        path.append(node)
    return top


def graphs() -> dict[str, list[Node]]:
    return {name: parse(graph["tree"]) for name, graph in data("graphs").items()}


def expected(graph: str) -> dict[str, str]:
    """{difference: why} of a graph."""
    out: dict[str, str] = data("graphs")[graph].get("differs", {})
    return out


def stands_for(name: str) -> list[str]:
    """The functions of the port of which one must run; [] if none of its own is to be found."""
    alias = aliases().get(name)
    by = alias.functions() if alias else [name]
    return [f for f in by if not set(port().get(f, [])) & OWN_FILES]


@dataclass
class Run:
    """A recorded function. first, last: the places that it and all below it take in the recording."""

    name: str
    above: Run | None
    first: int
    last: int = 0
    calls: list[Run] = field(default_factory=list)

    def walk(self) -> Iterator[Run]:
        """This one and all below, in order."""
        yield self
        for run in self.calls:
            yield from run.walk()

    def within(self) -> Iterator[str]:
        """Its own name and those of its callers."""
        run: Run | None = self
        while run:
            yield run.name
            run = run.above


def index(frames: list[Frame]) -> Run:
    """Everything that was recorded, below one run without a name."""
    root = Run("", None, 0)
    count = 0

    def add(frame: Frame, above: Run) -> None:
        nonlocal count
        count += 1
        run = Run(frame.name, above, count)
        above.calls.append(run)
        for below in frame.calls:
            add(below, run)
        run.last = count

    for frame in frames:
        add(frame, root)
    root.last = count
    return root


class Search:
    """The differences between one graph and one recording."""

    def __init__(self, frames: list[Frame]) -> None:
        self.all = index(frames)
        self.runs: dict[str, list[Run]] = {}
        for run in self.all.walk():
            self.runs.setdefault(run.name, []).append(run)

    def children(self, nodes: list[Node], below: Run) -> list[str]:
        """What differs of these functions, each looked for below `below`."""
        found: list[str] = []
        done: list[tuple[str, int]] = []  # what was found so far, and where
        for node in nodes:
            self.child(node, below, done, found)
        return found

    def child(self, node: Node, below: Run, done: list[tuple[str, int]], found: list[str]) -> None:
        names = stands_for(node.name)
        if not names or node.name not in names and set(names) & set(below.within()):
            self.through(node, below, done, found)
            return
        taken = {place for _, place in done}
        runs = [r for name in names for r in self.runs.get(name, []) if r.first not in taken]
        inside = [r for r in runs if below.first < r.first <= below.last]
        if not runs:
            found.append(f"{node.name} absent")
            self.through(node, below, done, found)
            return
        if not inside:
            found.append(f"{node.name} not in {below.name or 'the recording'}")
        tried = [(r, self.children(node.calls, r)) for r in inside or runs]
        best, differs = min(tried, key=lambda run: (len(run[1]), run[0].first))
        found.extend(differs)
        if inside:
            found.extend(f"{node.name} before {other}" for other, place in done if place > best.first)
            done.append((node.name, best.first))

    def through(self, node: Node, below: Run, done: list[tuple[str, int]], found: list[str]) -> None:
        """A function without a run of its own: what is below it is looked for where it would stand."""
        for sub in node.calls:
            self.child(sub, below, done, found)


def differences(nodes: list[Node], frames: list[Frame]) -> list[str]:
    """In the words of graphs.toml; [] if the graph is there as it is drawn."""
    search = Search(frames)
    return list(dict.fromkeys(search.children(nodes, search.all)))
