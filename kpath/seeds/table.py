# SPDX-License-Identifier: GPL-2.0-only
"""Each function that the founding documents name: where it is in the port, or what does its work today."""

from __future__ import annotations

import importlib
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

Seen = dict[str, str]  # function of the port: the first test that runs it


@cache
def data(name: str) -> dict[str, Any]:
    """One of the tables beside this file."""
    return tomllib.loads((files(__package__) / f"{name}.toml").read_text())


@dataclass(frozen=True)
class Alias:
    """by: the function of the port that does it, or "one or other"; "": there is nothing to do. kind: the heading."""

    by: str
    why: str
    kind: str

    def functions(self) -> list[str]:
        return self.by.split(" or ") if self.by else []


@cache
def aliases() -> dict[str, Alias]:
    return {name: Alias(by, why, kind) for kind, lines in data("aliases").items() for name, (by, why) in lines.items()}


def named() -> list[str]:
    """In a graph, a heading, or written out in a document."""
    return sorted(data("names")["named"].split())


def called() -> list[str]:
    """Only called within functions that are written out."""
    return sorted(data("names")["called"].split())


@cache
def port() -> dict[str, list[str]]:
    """The files of the port that have a function of this name."""
    out: dict[str, list[str]] = {}
    for name, file in importlib.import_module("kpath_c.traced").functions().values():
        if file not in out.setdefault(name, []):
            out[name].append(file)
    return out


@dataclass
class Row:
    """A function of the seeds. by: the function of the port that is or does it, "" for none."""

    name: str
    by: str = ""
    files: list[str] = field(default_factory=list)
    why: str = ""
    test: str = ""
    lacks: str = ""  # what is missing, in words


def row(name: str, seen: Seen | None) -> Row:
    """A function's line in the table. seen: what was measured, if it was."""
    have = port()
    alias = aliases().get(name)
    if alias is None and name not in have:
        return Row(name, lacks="neither ported nor aliased")
    by = alias.functions() if alias else [name]
    out = Row(name, " or ".join(by), [file for f in by for file in have.get(f, [])], alias.why if alias else "")
    if missing := [f for f in by if f not in have]:
        out.lacks = f"{' and '.join(missing)}: not in the port"
    elif seen is not None and by:
        out.test = next((seen[f] for f in by if f in seen), "")
        reachable = alias is None or alias.kind != "unreached"
        if reachable and not out.test:
            out.lacks = f"no test runs {out.by}"
        elif out.test and not reachable:
            out.lacks = f"{out.test} runs it, though it is listed as unreached"
    return out


def rows(names: list[str], seen: Seen | None = None) -> list[Row]:
    return [row(name, seen) for name in names]
