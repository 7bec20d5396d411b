# SPDX-License-Identifier: GPL-2.0-only
"""Counts, the first divergence with a reason, and the connections of a Result."""

from __future__ import annotations

from .localside import endpoint
from .replay import FEW, Result
from .segments import FLAG_NAMES

TYPE_CHECKING = False  # typing takes longer to import than a short replay
if TYPE_CHECKING:
    from typing import Any

FIELD_OF = {"length": "len", "window": "win", "missing": "flags", "extra": "flags", "options": "opts"}
#: fields in the order in which a difference in one makes those behind it follow
FIRST = ("missing", "extra", "flags", "seq", "length", "ack", "urg", "ecn", "options", "window", "tsval")


def flags_text(flags: int) -> str:
    """Flags as tcpdump writes them."""
    return "[" + ("".join(name for bit, name in FLAG_NAMES if flags & bit) or "none") + "]"


def segment_text(row: dict[str, Any]) -> str:
    """One segment (a dict of `Table.row`) on a line, in tcpdump's manner but with absolute numbers."""
    parts = [f"{row['saddr']}.{row['sport']} > {row['daddr']}.{row['dport']}: Flags {flags_text(row['flags'])}"]
    seq = row["seq"]
    parts.append(f"seq {seq}:{(seq + row['len']) & 0xFFFFFFFF}" if row["len"] else f"seq {seq}")
    if row["flags"] & 0x10:
        parts.append(f"ack {row['ack']}")
    parts.append(f"win {row['win']}")
    if row["flags"] & 0x20:
        parts.append(f"urg {row['urg']}")
    if row["ecn"]:
        parts.append(("", "ECT(1)", "ECT(0)", "CE")[row["ecn"]])
    options = options_text(row)
    if options:
        parts.append(f"options [{options}]")
    return ", ".join([*parts, f"length {row['len']}"])


def options_text(row: dict[str, Any]) -> str:
    """The options that are known by name."""
    out = []
    if row["mss"]:
        out.append(f"mss {row['mss']}")
    if row["sackok"]:
        out.append("sackOK")
    if row["tsval"] is not None:
        out.append(f"TS val {row['tsval']} ecr {row['tsecr']}")
    if row["wscale"] is not None:
        out.append(f"wscale {row['wscale']}")
    if row["sack"]:
        out.append(f"sack {len(row['sack'])} " + "".join(f"{{{a}:{b}}}" for a, b in row["sack"]))
    return ",".join(out)


def first_divergence(result: Result) -> dict[str, Any] | None:
    """Packet number, field, what was expected and emitted, both segments as text, and why; None: all agrees."""
    first = result.pairing.first()
    if first is None:
        return None
    fields = first[2]
    packet, captured, emitted = result.pairing.first_segments() or (None, None, None)
    name = next(f for f in FIRST if f in fields)
    key = FIELD_OF.get(name, name)
    seen = captured or emitted
    assert seen is not None
    return {
        "packet": packet,
        "time": seen["t"],
        "field": name,
        "fields": fields,
        "expected": value(captured, key),
        "emitted": value(emitted, key),
        "expected_segment": segment_text(captured) if captured else None,
        "emitted_segment": segment_text(emitted) if emitted else None,
        "emitted_time": emitted["t"] if emitted else None,
        "why": why(result, name, captured, emitted),
    }


def value(row: dict[str, Any] | None, key: str) -> Any:
    """A field's value as the report shows it."""
    if row is None:
        return None
    return options_text(row) if key == "opts" else flags_text(row["flags"]) if key == "flags" else row[key]


def why(result: Result, name: str, captured: dict[str, Any] | None, emitted: dict[str, Any] | None) -> str:
    """A reason, as far as the state allows one."""
    row = captured or emitted
    assert row is not None
    state = probe_before(result, row)
    missing = [w for w in result.warnings if "not ported yet" in w]
    parts = [reason(result, name, captured, emitted, state)]
    if missing:
        parts.append(missing[0].split(": ", 1)[-1])
    if result.calls.inferred and name in ("missing", "extra", "length", "window", "flags"):
        parts.append("the calls are inferred and may differ from the real ones")
    return "; ".join(p for p in parts if p)


def reason(
    result: Result,
    name: str,
    captured: dict[str, Any] | None,
    emitted: dict[str, Any] | None,
    state: dict[str, Any] | None,
) -> str:
    """What the field that differs says, with the state that decides it."""
    if name == "missing":
        assert captured is not None
        return not_sent(captured, state)
    if name == "extra":
        assert emitted is not None
        return f"the host sent nothing like it; {sender(state)}" if emitted["len"] else "the host sent nothing like it"
    assert captured is not None and emitted is not None
    if name == "window":
        d = emitted["win"] - captured["win"]
        return f"the offered window is {abs(d)} units {'more' if d > 0 else 'less'} than the host's" + (
            f" (rcv_wnd was {state['rcv_wnd']})" if state else ""
        )
    if name in ("seq", "length"):
        return f"the data was cut in another way; {sender(state)}"
    if name == "ack":
        return "the segment acknowledges other data: it was sent at another moment, or a segment was taken differently"
    if name == "tsval":
        late = (emitted["t"] - captured["t"]) / 1e6
        return f"sent {late:+.3f} ms from the captured time; tolerance {result.pairing.tolerance} tick"
    if name == "flags":
        return f"only in one of the two: {flags_text(captured['flags'] ^ emitted['flags'])}"
    if name == "options":
        return "the options differ in kind, order or contents"
    return ""


def not_sent(captured: dict[str, Any], state: dict[str, Any] | None) -> str:
    """Why a captured segment may not have been emitted."""
    if captured["flags"] & 0x02:
        return "the handshake segment was not sent"
    if captured["flags"] & 0x04:
        return "no reset was sent"
    if captured["len"]:
        return f"the data was not sent; {sender(state)}"
    return "the acknowledgment was not sent" + (" (SACK blocks in it)" if captured["sack"] else "")


def sender(state: dict[str, Any] | None) -> str:
    """The state that decides what may be sent."""
    if state is None:
        return "no state is known from before it"
    text = "cwnd {snd_cwnd}, ssthresh {ssthresh}, window {snd_wnd}".format(**state)
    if "packets_out" in state:
        text += ", packets out {packets_out}".format(**state)
    return text + " before it"


def probe_before(result: Result, row: dict[str, Any]) -> dict[str, Any] | None:
    """The connection's last probe record before the segment `row` of the local side."""
    if result.packets_in > FEW:
        return None
    last = None
    for p in result.host.probes():
        if p["time"] <= row["t"] and (p["sport"], p["dport"], p["daddr"]) == (row["sport"], row["dport"], row["daddr"]):
            last = p
    return last


def connections(result: Result, most: int | None = None) -> list[dict[str, Any]]:
    """Each connection with its 4-tuple, counts, final state and TCP_INFO; or only so many, those that differ first."""
    shown = [(c, result.table.connection(c)) for c in result.pairing.replayed(most)]
    ports = None if most is None else {(conn["lport"], conn["rport"]) for _, conn in shown}
    ends: dict[tuple[str, int, str, int], list[dict[str, Any]]] = {}
    for end in result.host.connections(ports):
        ends.setdefault((end["laddr"], end["lport"], end["raddr"], end["rport"]), []).append(end)
    out = []
    for c, conn in shown:
        captured, emitted, matched, agrees, packet = result.pairing.connection(c)
        known = ends.get((conn["laddr"], conn["lport"], conn["raddr"], conn["rport"]), [])
        end = known.pop(0) if known and (conn["syn_out"] >= 0 or emitted) else {}
        out.append(
            {
                "laddr": conn["laddr"],
                "lport": conn["lport"],
                "raddr": conn["raddr"],
                "rport": conn["rport"],
                "passive": bool(conn["synack_out"]),
                "packets_in": conn["n_in"],
                "segments_captured": captured,
                "segments_emitted": emitted,
                "segments_matched": matched,
                "first_divergence_packet": packet,
                "agrees": agrees,
                "state": end.get("state"),
                "tcp_info": end.get("tcp_info"),
            }
        )
    return out


def summary(result: Result, most: int | None = None) -> dict[str, Any]:
    """The object of `--json` (interfaces.md). most: so many connections are enough, see `connections`."""
    p = result.pairing
    return {
        "capture": result.capture.path,
        "local": [endpoint(a, port) if port else a for a, port in result.local.ends],
        "local_from": result.local.why,
        "kernel": "6.18",
        "host_kernel": result.spec.kernel,
        "packets": result.capture.packets,
        "packets_in": result.packets_in,
        "segments_captured": p.captured,
        "segments_emitted": p.emitted,
        "segments_matched": p.matched,
        "segments_in_time": p.in_time,
        "tolerances": {"tsval_ticks": p.tolerance},
        "counters": result.host.counters(),
        "first_divergence": first_divergence(result),
        "differences": p.differences(),
        "calls": "inferred" if result.calls.inferred else "recorded",
        "connections": connections(result, most),
        "connections_replayed": p.replayed_count,
        "connections_skipped": result.skipped,
        "warnings": result.warnings,
    }
