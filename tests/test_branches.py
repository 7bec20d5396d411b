# SPDX-License-Identifier: GPL-2.0-only
"""Hints for the C compiler: found in the source, counted, listed, and put where they belong (kpath_c/branches.py)."""

import importlib.util
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kpath_c"
if not (PACKAGE / "branches.py").exists():
    pytest.skip("the sources are not here", allow_module_level=True)
spec = importlib.util.spec_from_file_location("branches", PACKAGE / "branches.py")
branches = importlib.util.module_from_spec(spec)
spec.loader.exec_module(branches)

FUNCTION = '''cdef int f(sock *sk, int a) noexcept nogil:
    """Looks
    if there is anything: or not."""
    if sk == NULL and not (a < 2 or g(a, 1 and 2)):   # if so: return
        return 1
    elif (a == c':' and
          sk.v[1:2]):
        return 2
    while not done(sk):
        pass
    return 0
'''


def operands(text):
    return [text[at:end] for at, end in branches.conditions(text)]


def test_conditions_are_taken_apart_by_and_or_and_not():
    assert operands(FUNCTION) == ["sk == NULL", "a < 2", "g(a, 1 and 2)", "a == c':'", "sk.v[1:2]", "done(sk)"]


def test_what_was_counted_becomes_hints_of_the_same_conditions(tmp_path):
    counting = branches.Counting()
    marked = counting.marked(FUNCTION, "a.pyx", "f")
    assert re.findall(r"counted\((\d), ", marked) == ["0", "1", "2", "3", "4", "5"]
    #        false, true: never, ever, both, rarely enough, too seldom met, not met
    counts = [[1000, 0], [0, 1000], [500, 500], [995, 5], [0, 99], [0, 0]]
    text = branches.listed(counting.keys, counts, 100, 0.01)
    assert text == "a.pyx f\n- sk == NULL\n+ a < 2\n- a == c':'\n"
    path = tmp_path / "branches.txt"
    path.write_text(text)
    hinted = branches.Branches(path).marked(FUNCTION, "a.pyx", "f")
    assert "if unlikely(sk == NULL) and not (likely(a < 2) or g(a, 1 and 2)):" in hinted
    assert "(unlikely(a == c':') and\n" in hinted
    assert re.sub(r"(un)?likely\(([^()]*)\)", r"\2", hinted) == FUNCTION
    assert branches.Branches(path).marked(FUNCTION, "b.pyx", "f") == FUNCTION


def test_the_list_fits_the_sources():
    """A condition that is gone does no harm; if many are, python -m bench.branches is to make the list anew."""
    sources: dict[str, str] = {}
    for path in (*PACKAGE.rglob("*.pyx"), *PACKAGE.rglob("*.pxd")):
        sources[path.name] = sources.get(path.name, "") + " ".join(path.read_text().split())
    listed = branches.Branches(PACKAGE / "branches.txt").hints
    assert len(listed) > 500
    gone = [key for key in listed if f"{key[1]}(" not in sources.get(key[0], "") or key[2] not in sources[key[0]]]
    assert len(gone) < 0.05 * len(listed), gone
