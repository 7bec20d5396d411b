"""Fails if a score (score.py --json) lies below the floors of floors.json: floors.py recorded|inferred FILE.

"all" stands for every family. A run that failed is a shortfall in any case.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any


def shortfalls(floors: dict[str, dict[str, float]], rows: list[dict[str, Any]]) -> list[str]:
    """One line for each floor that is missed and each run that failed."""
    out = [f"{r['scenario']} {r['side']}: {r['error']}" for r in rows if r["error"]]
    for family, wanted in floors.items():
        mine = [r for r in rows if family in ("all", r["family"])]
        if not mine:
            out.append(f"{family}: not scored")
            continue
        for key, floor in wanted.items():
            values = [float(r[key]) for r in mine if r[key] is not None]
            got = statistics.fmean(values) if values else 0.0
            if got < floor:
                out.append(f"{family}: {key} {100 * got:.1f} %, expected at least {100 * floor:.0f} %")
    return out


def main() -> int:
    which, path = sys.argv[1:]
    config = json.loads((Path(__file__).parent / "floors.json").read_text())
    found = shortfalls(config[which], json.loads(Path(path).read_text()))
    print("\n".join(found) or "all floors held")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
