"""python -m bench.branches: counts which way the kernel side's conditions go, and writes kpath_c/branches.txt.

A copy of the project is built that counts (a minute), and replays the benchmark's captures. What nearly always goes one
way there is told to the C compiler: see kpath_c/branches.py. Results don't depend on it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kpath.bench import captures, cases

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "kpath_c"))

import branches  # noqa: E402

PARTS = ("kpath", "kpath_c", "bench", "setup.py", "pyproject.toml", "README.md")
KINDS = {"download": 100_000, "upload": 100_000, "requests": 50_000, "2500-flows": 50_000}
LEAST = 2000    # times that a condition is met
RARE = 0.01     # share of the times that it may go the other way

#: Replays the captures named and writes the counts as JSON.
REPLAYS = """
import json, sys
import kpath_c.host
from kpath import replay
for capture in json.loads(sys.argv[3]):
    replay(capture, host=json.loads(sys.argv[2]), probes=None).close()
with open(sys.argv[1], "w") as f:
    json.dump(kpath_c.host.branch_counts(), f)
"""


def copied(folder: Path) -> None:
    """The project's sources without what was built from them."""
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        else:
            shutil.copy(source, folder / name)


def counted(folder: Path) -> str:
    """The text of branches.txt, by a build in `folder`."""
    copied(folder)
    env = {**os.environ, "KPATH_COUNT": "1", "PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, env=env, check=True)
    counts = folder / "counts.json"
    made = [str(captures.make(kind, n, folder)) for kind, n in KINDS.items()]
    subprocess.run([sys.executable, "-c", REPLAYS, str(counts), json.dumps(cases.HOST_FILE), json.dumps(made)],
                   cwd=folder, env=env, check=True)
    keys = json.loads((folder / "build/counting/unity/conditions.json").read_text())
    return branches.listed([tuple(key) for key in keys], json.loads(counts.read_text()), LEAST, RARE)


def main() -> int:
    argparse.ArgumentParser(prog="python -m bench.branches", description=__doc__).parse_args()
    target = ROOT / "kpath_c" / "branches.txt"
    with tempfile.TemporaryDirectory() as folder:
        text = counted(Path(folder))
    lines = [sum(line[:1] in branches.HINTS for line in t.splitlines()) for t in (target.read_text(), text)]
    target.write_text(text)
    print(f"{target}: {lines[1]} conditions, {lines[0]} before")
    return 0


if __name__ == "__main__":
    sys.exit(main())
