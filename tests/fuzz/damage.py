"""Replays damaged captures, host files and call files; says what broke and ends in 1 if anything did.

    python tests/fuzz/damage.py [--seed N] [--seconds S] [--rounds N] [--only N] [TRACE ...]

A round is one replay, made from the seed and its number alone: `--only N` runs round N again, `--keep DIR` leaves its
files there. Good are the exit codes 0, 1 and 2 without a traceback, in time. A crash of the process is the caller's to
see: the round in progress is the last line of stderr.
"""
from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import random
import struct
import sys
import tempfile
import time
import traceback
from pathlib import Path

from kpath import cli

TRACES = Path(__file__).parents[2] / "traces"
LIMIT = 20  # seconds for one replay
ODD_BYTES = (0, 1, 2, 4, 5, 8, 0x0F, 0x10, 0x40, 0x45, 0x4F, 0x7F, 0x80, 0xF0, 0xFE, 0xFF)
ODD_NUMBERS = (0, 1, -1, 2, 7, 40, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -(2**31), 2**32, 2**63 - 1, 2**63,
               -(2**63), 2**80)
ODD_VALUES = (*ODD_NUMBERS, 1.5, 1e300, "", "x", "\0", "0", "-1", "99999999999999999999", "1 2 3", "0 0 0", None,
              True, [], {}, [0])


def records(data: bytes) -> list[int]:
    """Offsets of the records of a little-endian pcap file."""
    at, found = 24, []
    while at + 16 <= len(data):
        found.append(at)
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
    return found


def ones(data: bytes) -> int:
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) & 1)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mend(data: bytearray, ip: int, length: int) -> None:
    """Makes the checksums right again, so that the damage gets further in."""
    if length < 40 or data[ip] >> 4 != 4:
        return
    ihl = (data[ip] & 15) * 4
    total = min(struct.unpack_from("!H", data, ip + 2)[0], length)
    if ihl < 20 or total < ihl + 20:
        return
    struct.pack_into("!H", data, ip + 10, 0)
    struct.pack_into("!H", data, ip + 10, ones(bytes(data[ip:ip + ihl])))
    tcp = ip + ihl
    struct.pack_into("!H", data, tcp + 16, 0)
    body = bytes(data[ip + 12:ip + 20]) + struct.pack("!HH", 6, total - ihl) + bytes(data[tcp:ip + total])
    struct.pack_into("!H", data, tcp + 16, ones(body))


def damage_packet(r: random.Random, data: bytearray, at: int, link: int) -> None:
    """One packet's headers: odd bytes, odd lengths, odd options, mostly with right checksums."""
    length = struct.unpack_from("<I", data, at + 8)[0] - link
    ip = at + 16 + link
    if length < 20 or ip + length > len(data):
        return
    for _ in range(r.choice((1, 1, 1, 2, 4))):
        where = r.randrange(min(length, 80))
        kind = r.randrange(4)
        if kind == 0:
            data[ip + where] ^= 1 << r.randrange(8)
        elif kind == 1:
            data[ip + where] = r.choice(ODD_BYTES)
        elif kind == 2 and where + 4 <= length:
            value = r.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, r.getrandbits(32)))
            struct.pack_into("!I", data, ip + where, value)
        elif length >= 40:
            field, value = r.choice(((2, r.randrange(65536)), (32, r.randrange(65536)), (34, r.choice((0, 1, 65535))),
                                     (6, r.choice((0x2000, 1, 0)))))
            struct.pack_into("!H", data, ip + field, value)
    if r.random() < 0.8:
        mend(data, ip, length)


def shuffle_records(r: random.Random, data: bytearray) -> bytearray:
    """Packets lost, doubled, moved."""
    ends = [*records(data)[1:], len(data)]
    parts = [data[a:b] for a, b in zip(records(data), ends, strict=False)]
    for _ in range(r.randrange(1, 5)):
        if not parts:
            break
        i = r.randrange(len(parts))
        kind = r.randrange(3)
        part = parts[i] if kind == 0 else parts.pop(i)
        if kind != 2:
            parts.insert(r.randrange(len(parts) + 1), part)
    return bytearray(data[:24]) + b"".join(parts)


def damage_capture(r: random.Random, data: bytearray) -> bytearray:
    link = {1: 14, 101: 0, 113: 16, 276: 20}.get(struct.unpack_from("<I", data, 20)[0] & 0xFFFF, 0)
    rows = records(data)
    kind = r.randrange(10) if rows else 9
    if kind < 6:
        for _ in range(r.choice((1, 1, 2, 5, 20))):
            damage_packet(r, data, r.choice(rows), link)
    elif kind == 6:
        data = shuffle_records(r, data)
    elif kind == 7:
        for _ in range(r.choice((1, 3, 30))):
            data[r.randrange(len(data))] = r.choice(ODD_BYTES)
    elif kind == 8:
        at = r.choice(rows) + r.choice((0, 4, 8, 12))
        struct.pack_into("<I", data, at, r.choice((0, 1, 39, 65535, 65536, 2**31, 2**32 - 1)))
    else:
        del data[r.randrange(len(data)):]
    return data


def odd_value(r: random.Random, value: object) -> object:
    if isinstance(value, str) and value and r.random() < 0.4:
        words = value.split(" ")
        words[r.randrange(len(words))] = str(r.choice(ODD_VALUES))
        return " ".join(words)
    return r.choice(ODD_VALUES)


def damage_json(r: random.Random, value: object, depth: int = 0) -> object:
    """One value somewhere inside replaced by an odd one."""
    if isinstance(value, dict) and value and (depth == 0 or r.random() < 0.9):
        key = r.choice(sorted(value))
        return {**value, key: damage_json(r, value[key], depth + 1)}
    if isinstance(value, list) and value and r.random() < 0.7:
        i = r.randrange(len(value))
        return [*value[:i], damage_json(r, value[i], depth + 1), *value[i + 1:]]
    return odd_value(r, value)


def damage_text(r: random.Random, text: str) -> str:
    data = bytearray(text.encode())
    for _ in range(r.choice((1, 2, 8))):
        data[r.randrange(len(data))] = r.choice(ODD_BYTES)
    return data.decode("latin-1")


def damage_host(r: random.Random, text: str) -> str:
    if r.random() < 0.1:
        return damage_text(r, text)
    host = json.loads(text)
    for _ in range(r.choice((1, 1, 2, 6))):
        host = damage_json(r, host)
    return json.dumps(host)


def damage_calls(r: random.Random, text: str) -> str:
    lines = text.splitlines()
    for _ in range(r.choice((1, 1, 3, 10))):
        if not lines:
            break
        i = r.randrange(len(lines))
        kind = r.randrange(6)
        if kind == 0:
            del lines[i]
        elif kind == 1:
            lines.insert(r.randrange(len(lines) + 1), lines[i])
        elif kind == 2:
            lines[i] = damage_text(r, lines[i])
        else:
            with contextlib.suppress(ValueError):
                lines[i] = json.dumps(damage_json(r, json.loads(lines[i])))
    return "\n".join(lines) + "\n"


def build(r: random.Random, folder: Path, out: Path) -> list[str]:
    """The files of one round, and the command's arguments."""
    side = r.choice([p.stem for p in sorted(folder.glob("*.pcap"))])
    capture = bytearray((folder / f"{side}.pcap").read_bytes())
    host, calls = folder / f"{side}.host.json", folder / f"{side}.calls.jsonl"
    what = r.choice(("capture", "capture", "capture", "host", "calls", "all"))
    if what in ("capture", "all"):
        capture = damage_capture(r, capture)
    (out / "in.pcap").write_bytes(capture)
    args = ["replay", str(out / "in.pcap"), "--json", "-q"]
    args += ["-w", str(out / "out.pcap"), "--state", str(out / "out.jsonl")]
    if host.exists() and (what in ("host", "all") or r.random() < 0.5):
        text = host.read_text()
        (out / "host.json").write_text(damage_host(r, text) if what in ("host", "all") else text, encoding="utf-8")
        args += ["--host", str(out / "host.json")]
    if calls.exists() and (what in ("calls", "all") or r.random() < 0.4):
        text = calls.read_text()
        (out / "calls.jsonl").write_text(damage_calls(r, text) if what in ("calls", "all") else text, encoding="utf-8")
        args += ["--syscalls", str(out / "calls.jsonl")]
    return args


def replayed(args: list[str]) -> str | None:
    """What was wrong with the command's end, or None."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(args)
    except SystemExit as e:
        status = e.code
    except BaseException:
        return traceback.format_exc()
    if "Traceback" in err.getvalue() or "Exception ignored" in err.getvalue():
        return err.getvalue()
    if status == 2 and not err.getvalue().startswith("kpath: "):
        return f"exit 2 without a line: {err.getvalue()[:200]!r}"
    return None if status in (0, 1, 2) else f"exit status {status}"


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("traces", nargs="*", type=Path)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--seconds", type=float, default=10)
    ap.add_argument("--rounds", type=int, default=10**9)
    ap.add_argument("--only", type=int)
    ap.add_argument("--keep", type=Path)
    a = ap.parse_args()
    folders = a.traces or [p for p in sorted(TRACES.iterdir()) if list(p.glob("*.pcap"))]
    end, bad, n = time.monotonic() + a.seconds, 0, 0
    todo = [a.only] if a.only is not None else range(a.rounds)
    for n in todo:
        if time.monotonic() > end:
            break
        r = random.Random(f"{a.seed}/{n}")
        folder = r.choice(folders)
        print(f"round {n} {folder.name}", file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        with tempfile.TemporaryDirectory() as tmp:
            fault = replayed(build(r, folder, a.keep or Path(tmp)))
        faulthandler.cancel_dump_traceback_later()
        if fault:
            bad += 1
            print(f"seed {a.seed} round {n} ({folder.name}):\n{fault}", flush=True)
    print(f"{n} rounds, {bad} bad")
    return bool(bad)


if __name__ == "__main__":
    faulthandler.enable()
    sys.exit(main())
