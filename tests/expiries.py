# SPDX-License-Identifier: GPL-2.0-only
"""How many jiffies behind its bucket each recorded timer of a corpus fired; the port's wheel always fires in time.

    python tests/expiries.py CORPUS [GLOB]

A late expiry is not in the capture, nor in the calls: where one sends a segment, the replay sends it a tick too early.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


def lateness(folder: Path, side: str) -> Iterator[tuple[str, int]]:
    """(timer, jiffies from bucket_expiry to the expiry) of each expiry whose start was recorded."""
    clock = json.loads((folder / "meta.json").read_text())["clock"]
    bucket: dict[tuple[str, ...], int] = {}
    for line in (folder / f"{side}.probe.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["ev"] not in ("timer_start", "timer_expire"):
            continue
        key = (event["timer"], str(event.get("sport")), str(event.get("dport")))
        if event["ev"] == "timer_start":
            bucket[key] = event["bucket_expiry"]
        elif key in bucket:
            ticks = (event["t"] - clock["mono_to_real_ns"]) // clock["tick_ns"]
            yield event["timer"], ticks + clock["jiffies_minus_mono_ticks"] - bucket.pop(key)


def main() -> int:
    corpus, pattern = Path(sys.argv[1]), (sys.argv[2:] or ["*"])[0]
    total: Counter[tuple[str, int]] = Counter()
    for folder in sorted(p for p in corpus.glob(pattern) if (p / "meta.json").exists()):
        for side in ("client", "server"):
            found = list(lateness(folder, side))
            total.update(found)
            if any(late for _, late in found):
                print(f"{folder.name} {side}: {' '.join(f'{timer}+{late}' for timer, late in found)}")
    for timer in sorted({t for t, _ in total}):
        of = {late: n for (t, late), n in sorted(total.items()) if t == timer}
        print(f"{timer}: " + ", ".join(f"{n} fired {late} late" for late, n in of.items()))
    print(f"{sum(n for (_, late), n in total.items() if late)} of {sum(total.values())} fired late")
    return 0


if __name__ == "__main__":
    sys.exit(main())
