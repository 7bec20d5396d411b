# SPDX-License-Identifier: GPL-2.0-only
"""Files that a replay may write: emitted segments (pcap, pcapng), and probe records (jsonl, csv, parquet)."""

from __future__ import annotations

import csv
import io
import json
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .errors import at
from .frames import Frames
from .replay import Result

AT_ONCE = 50_000  # segments rendered at a time
SNAPLEN = 262144
STATE_SUFFIXES = (".jsonl", ".csv", ".parquet")
SWAPPED = {1: 6}  # link types whose header begins with a destination and a source of so many bytes


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """The file, or stdout for `-`. InputError: cannot be written."""
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with open(path, "wb") as f:
            yield f
    except OSError as e:
        raise at(path, e.strerror or str(e)) from None


def check_names(write: str | None, state: str | None) -> None:
    """InputError for names whose suffix says nothing, before any work is done."""
    if state and state != "-" and not state.endswith(STATE_SUFFIXES):
        raise at(state, f"expected a name that ends in {', '.join(STATE_SUFFIXES[:-1])} or {STATE_SUFFIXES[-1]}")
    if write == "-" and state == "-":
        raise at("-", "only one of --write and --state can go to stdout")
    if state and state.endswith(".parquet"):
        pyarrow()


def pyarrow() -> Any:
    try:
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise at("--state", "a .parquet file needs the package pyarrow (pip install pyarrow)") from None
    return pyarrow


def write_segments(result: Result, path: str) -> int:
    """Writes the emitted segments; returns how many lack their payload, which the capture does not hold."""
    ng = path.endswith(".pcapng")
    frames = Frames(result.pairing, link_headers(result), ng)
    if Path(path).is_file() and Path(path).samefile(result.capture.path):
        Path(path).unlink()  # the capture is mapped: what is written must be another file
    with opened(path) as f:
        f.write(pcapng_header(result.capture.linktype) if ng else pcap_header(result.capture.linktype))
        for begin in range(0, len(result.emitted), AT_ONCE):
            f.write(frames.records(begin, begin + AT_ONCE))
    return int(frames.without_payload)


def pcap_header(linktype: int) -> bytes:
    """A pcap header, ns, little endian."""
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, SNAPLEN, linktype)


def pcapng_header(linktype: int) -> bytes:
    """A section header and one interface with a resolution of ns."""
    section = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    option = struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)
    return (
        section
        + struct.pack("<IIHHI", 1, 20 + len(option), linktype, 0, SNAPLEN)
        + option
        + struct.pack("<I", 20 + len(option))
    )


def link_headers(result: Result) -> dict[int | None, bytes]:
    """The link header of each connection's segments, as the host's own had it; None: for connections without one.

    Only the interface's first link type is written: headers of another length would not fit it.
    """
    table, cap = result.table, result.capture
    out: dict[int | None, bytes] = {}
    for c in range(table.nconn):
        conn = table.connection(c)
        if conn["first"] < 0:
            continue
        header = own_header(result, table.row(conn["syn_out"] if conn["syn_out"] >= 0 else conn["first"]))
        out[c] = header
        out.setdefault(None, header)
    out.setdefault(None, b"" if cap.linktype in (12, 14, 101, 228) else bytes(min(cap.link, default=0)))
    return out


def own_header(result: Result, row: dict[str, Any]) -> bytes:
    """The link header in front of a captured segment; turned around where that segment arrived."""
    cap = result.capture
    size = cap.link[row["row"]]
    header = bytes(cap.buf[row["off"] - size : row["off"]])
    half = SWAPPED.get(cap.linktype, 0)
    if row["side"] == 0 and half and size >= 2 * half:
        header = header[half : 2 * half] + header[:half] + header[2 * half :]
    if row["side"] == 0 and cap.linktype == 113 and size == 16:
        header = b"\x00\x04" + header[2:]  # "sent by us"
    return header


def write_state(result: Result, path: str) -> None:
    """Writes the probe records; `-` is JSON Lines."""
    records = result.host.probes()
    if path.endswith(".parquet"):
        pq = pyarrow()
        with opened(path) as f:
            pq.parquet.write_table(pq.Table.from_pylist(records), f)
    elif path.endswith(".csv"):
        text = io.StringIO()
        names = list(records[0]) if records else ["time", "saddr", "sport", "daddr", "dport"]
        rows = csv.DictWriter(text, names, lineterminator="\n")
        rows.writeheader()
        rows.writerows(records)
        with opened(path) as f:
            f.write(text.getvalue().encode())
    else:
        with opened(path) as f:
            f.writelines(json.dumps(r, separators=(",", ":")).encode() + b"\n" for r in records)
