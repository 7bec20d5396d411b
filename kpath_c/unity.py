# SPDX-License-Identifier: GPL-2.0-only
"""Joins the kernel side's files into one module, `kpath_c.host`: the compiler sees all of them at once.

The joined text includes each file line by line, so that messages and tracebacks have its line numbers. What is left out
of it are the cimports between the files; what two of them call alike has the file's name behind it. At the end come
`tracer.pxi` and a table from each function's address to its name, for the traced variant: `kpath_c.traced` is the same
C text, compiled with -finstrument-functions and KPATH_TRACED. Where that is not defined there is neither table nor
tracer. setup.py calls this.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from branches import Branches, Counting

MODULE = "host"
PARTS = "parts"
UNTRACED = {"benchmarks", "testing"}  # not of the kernel
TRACED_C = f"""/* {MODULE}.c once more, as another module whose functions are traced. */
#define KPATH_TRACED 1
#define PyInit_{MODULE} PyInit_traced
#include "{MODULE}.c"
"""
# The way of a segment that arrives. Each is called from one place that matters, and saves and restores registers there,
# but is too long to be inlined unasked.
PATH = ("ip_rcv_core", "__inet_lookup_established", "tcp_v4_rcv", "tcp_rcv_established", "tcp_ack",
        "__tcp_ack_snd_check")
PATH_MACRO = "KPATH_PATH"
IMPORT = re.compile(r"(?:from\s+(\S+)\s+)?c?import\s")
FUNCTION = re.compile(r"cdef (?:inline )?(?![^(]*=)[\w .*]*?\b(\w+)\((?!\))[^\"]*?\)(?: noexcept)?(?: nogil)?:$"
                      r"|cdef (?:inline )?[\w .*]*?\b(\w+)\(\)(?: noexcept)?(?: nogil)?:$", re.S)
BLOCK = re.compile(r"(cdef (inline |struct |enum|extern |union |packed |class )|ctypedef )")
MEMBER = re.compile(r"^    (\w+)", re.M)


def function_name(text: str) -> str | None:
    """The function that a statement defines."""
    head = re.split(r":\s*(?:#.*)?\n", text, maxsplit=1)[0] + ":"
    m = FUNCTION.match(head)
    return (m.group(1) or m.group(2)) if m else None


def own_names(path: Path) -> set[str]:
    """The functions and constants that a file defines."""
    out = set()
    for text in statements(path.read_text()):
        if text.startswith("cdef enum"):
            out |= set(MEMBER.findall(text))
        elif name := function_name(text):
            out.add(name)
    return out


def statements(text: str) -> list[str]:
    """The lines at the left margin, each with all that belongs to it: its body, what its brackets hold."""
    out: list[list[str]] = []
    in_text = False
    depth = 0
    for line in text.split("\n"):
        head = not in_text and depth == 0 and line[:1] not in ("", " ", "#", ")")
        if head or not out:
            out.append([])
        out[-1].append(line)
        if line.count('"""') % 2:
            in_text = not in_text
        elif not in_text:
            code = re.sub(r'b?"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|#.*', "", line)
            depth += sum(code.count(c) for c in "([{") - sum(code.count(c) for c in ")]}")
    return ["\n".join(s) for s in out]


class Unity:
    """The joined module, as it grows."""

    def __init__(self, root: Path, branches: Branches) -> None:
        self.root, self.branches = root, branches
        package = root / "kpath_c"
        self.sources = sorted(package.rglob("*.pyx"))
        self.inlines = sorted(p for p in package.glob("net_*.pxd") if not p.with_suffix(".pyx").exists())
        self.modules = {self.module(p) for p in (*self.sources, *self.inlines)}
        self.imports: list[str] = []
        self.parts: dict[str, str] = {}  # each file's text, by its path below kpath_c
        self.functions: list[tuple[str, str, str]] = []  # name in the joined text, name, file
        self.own = {p: own_names(p) for p in self.sources}
        self.shared = {name for name, n in Counter(n for names in self.own.values() for n in names).items() if n > 1}
        self.declared = {s.split("#")[0].strip() for p in self.sources for s in statements(p.read_text())
                         if s.startswith("cdef ") and "(" not in s}

    def module(self, path: Path) -> str:
        return ".".join(path.relative_to(self.root).with_suffix("").parts)

    def private(self, path: Path) -> dict[str, str]:
        """New names for what this file and another one both call so, and nobody else sees: `static` in the kernel."""
        header = path.with_suffix(".pxd")
        public = header.read_text() if header.exists() else ""
        names = self.own.get(path, set()) & self.shared
        return {n: f"{n}__{path.stem}" for n in names if not re.search(rf"\b{n}\b", public)}

    def add(self, path: Path, declarations: bool = False) -> None:
        """A file's text without the cimports of its siblings; of a .pxd only what is no mere declaration."""
        out = []
        renamed = self.private(path)
        word = re.compile(rf"(?<![.\w])({'|'.join(map(re.escape, renamed)) or '(?!)'})\b")
        for text in statements(path.read_text()):
            kept = ""
            if m := IMPORT.match(text):
                if m.group(1) not in self.modules:
                    self.imports.append(text.rstrip())
            elif not declarations or self.belongs(text):
                kept = word.sub(lambda m: renamed[m[1]], self.hinted(text, path))
                self.note_function(text, path, renamed)
            out.append(kept or "\n" * text.count("\n"))
        self.parts[path.relative_to(self.root / "kpath_c").as_posix()] = "\n".join(out)

    def hinted(self, text: str, path: Path) -> str:
        """A statement's text; of a function of C the conditions have their hints."""
        name = function_name(text)
        if name is None or path.stem in UNTRACED or " nogil:" not in text:
            return text
        return self.branches.marked(text, path.name, name)

    def belongs(self, text: str) -> bool:
        if BLOCK.match(text):
            return True
        return text.startswith("cdef ") and "(" not in text and text.split("#")[0].strip() not in self.declared

    def note_function(self, text: str, path: Path, renamed: dict[str, str] | None = None) -> None:
        """Remembers the function that this statement defines, if it does."""
        if path.stem not in UNTRACED and (name := function_name(text)):
            self.functions.append(((renamed or {}).get(name, name), name, path.name))

    def headers(self) -> None:
        """The inline functions of the headers are called by their names, so they are imported and listed."""
        for path in sorted((self.root / "kpath_c" / "headers").glob("*.pxd")):
            if path.stem == "__init__":
                continue
            self.imports.append(f"from {self.module(path)} cimport *")
            for text in statements(path.read_text()):
                if text.startswith("cdef inline "):
                    self.note_function(text, path)

    def table(self) -> str:
        """Fills tracer.pxi's table."""
        lines = [f"cdef traced_function[{len(self.functions)}] traced_functions", "",
                 "cdef void fill_traced_functions() noexcept nogil:"]
        for i, (symbol, name, file) in enumerate(self.functions):
            lines += [f"    traced_functions[{i}].address = KPATH_TRACED_ADDRESS(<void *>{symbol})",
                      f"    traced_functions[{i}].name = b\"{name}\"",
                      f"    traced_functions[{i}].file = b\"{file}\""]
        return "\n".join([*lines, "", "if KPATH_TRACED:", "    fill_traced_functions()", ""])

    def text(self) -> str:
        """The module itself; fills self.parts, which it includes."""
        self.headers()
        for path in self.inlines:
            self.add(path)
        for path in sorted((self.root / "kpath_c").rglob("*.pxd")):
            if path.parent.name != "headers" and path not in self.inlines and path.stem != "__init__":
                self.add(path, declarations=True)
        for path in self.sources:
            self.add(path)
        self.parts["tracer.pxi"] = (self.root / "kpath_c" / "tracer.pxi").read_text()
        includes = [f'include "{PARTS}/{name}"' for name in self.parts]
        changes_with = f"# {PATH_MACRO}: {', '.join(PATH)}"  # mark_path() needs a C text of its own
        return "\n".join([changes_with, *dict.fromkeys(self.imports), self.branches.declarations(), *includes, "",
                          self.table()])


def mark_path(in_c: Path) -> None:
    """Puts a macro, which setup.py defines, before the functions of PATH in the C text. Cython has no word for it."""
    text = in_c.read_text()
    default = f"#ifndef {PATH_MACRO}\n#define {PATH_MACRO}\n#endif\n"
    if default in text:
        return
    function = re.compile(rf"^static (?=.*__pyx_f_\w*?_{len(MODULE)}{MODULE}_({'|'.join(PATH)})\()", re.M)
    found = list(function.finditer(text))
    if missing := set(PATH) - {m[1] for m in found}:
        raise ValueError(f"no such functions: {missing}")
    first = found[0].start()
    in_c.write_text(text[:first] + default + function.sub(f"static {PATH_MACRO} ", text[first:]))


def put(target: Path, text: str) -> Path:
    """Writes a file, unless it is so already: nothing is to be compiled in vain. The file."""
    if not target.exists() or target.read_text() != text:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return target


def write(root: Path, folder: Path, counting: bool = False) -> Path:
    """Writes the joined module and its parts into `folder`; the path of the first.

    counting: the module counts where its conditions go, and `conditions.json` beside it says which those are.
    """
    branches = Counting() if counting else Branches(root / "kpath_c" / "branches.txt")
    unity = Unity(root, branches)
    target = folder / f"{MODULE}.pyx"
    text = unity.text()
    for name, part in unity.parts.items():
        put(folder / PARTS / name, part)
    if isinstance(branches, Counting):
        put(folder / "conditions.json", json.dumps(branches.keys))
    return put(target, text)
