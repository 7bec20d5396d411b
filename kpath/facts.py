# SPDX-License-Identifier: GPL-2.0-only
"""What the SYN and SYN-ACK of the local side tell of its host: used where there is no host file."""

from __future__ import annotations

from .handshakes import first_syn
from .hostfile import HostSpec
from .segments import Table

TYPE_CHECKING = False  # typing takes longer to import than a short replay
if TYPE_CHECKING:
    from typing import Any

MS = 1_000_000
WHERE = "the capture"
#: of a 6.18 host with 4 GiB: tcp_rmem up to 32 MiB, so window scale 10; 6 MiB, 7, was the default for ten years before
DEFAULT_WSCALE = 10
LONG_DEFAULT = {7: 6291456}
RMEM_MAX_WSCALE = 7  # of net.core.rmem_max = 4 MiB, which tcp_rmem does not go below
ECE, CWR = 0x40, 0x80


def from_capture(table: Table, spec: HostSpec) -> HostSpec:
    """Adds to `spec` what the capture tells. Only a SYN of our own tells all; a SYN-ACK answers what was offered."""
    c = first_syn(table)
    if c < 0:
        return spec
    conn = table.connection(c)
    sent = table.row(conn["syn_out"])
    offered: dict[str, Any] | None = sent
    if sent["flags"] & 0x10:
        offered = table.row(conn["syn_in"]) if conn["syn_in"] >= 0 else None
    if sent["mss"]:
        spec.device.setdefault("mtu", sent["mss"] + (60 if sent["v6"] else 40))
    found: dict[str, str] = {}
    if offered is not None:
        options(sent, offered, found)
    window(sent, found)
    if sent["ttl"] != 64:
        found["net.ipv6.conf.all.hop_limit" if sent["v6"] else "net.ipv4.ip_default_ttl"] = str(sent["ttl"])
    spec.sysctls += [(WHERE, name, value) for name, value in found.items()]
    return spec


def options(sent: dict[str, Any], offered: dict[str, Any], found: dict[str, str]) -> None:
    """Options that were offered and not taken are switched off on this side."""
    if offered["sackok"] or sent is offered:
        found["net.ipv4.tcp_sack"] = str(int(sent["sackok"]))
    if offered["tsval"] is not None or sent is offered:
        found["net.ipv4.tcp_timestamps"] = str(int(sent["tsval"] is not None))
    if offered["wscale"] is not None or sent is offered:
        found["net.ipv4.tcp_window_scaling"] = str(int(sent["wscale"] is not None))
    asked = offered["flags"] & (ECE | CWR) == ECE | CWR
    if sent is offered:
        found["net.ipv4.tcp_ecn"] = "1" if asked else "2"
    elif asked:
        found["net.ipv4.tcp_ecn"] = "2" if sent["flags"] & ECE else "0"


def window(sent: dict[str, Any], found: dict[str, str]) -> None:
    """The receive buffer limits, from the window scale and the first window."""
    scale, mss, win = sent["wscale"], sent["mss"] or 536, sent["win"]
    usual = min(65535, 65536) // mss * mss
    middle, most = 131072, 33554432
    if scale is not None:
        most = LONG_DEFAULT.get(scale, 1 << (15 + scale))
        if scale < RMEM_MAX_WSCALE:
            found["net.core.rmem_max"] = str(most)
    if win not in (usual, 65535) and win < 65535:
        middle = 2 * win
    if middle != 131072 or scale not in (None, DEFAULT_WSCALE):
        found["net.ipv4.tcp_rmem"] = f"4096 {middle} {max(most, middle)}"


def clock_from_capture(table: Table) -> dict[str, int] | None:
    """A clock whose ms ticks lie where TSval changes in the capture; the jiffies' phase cannot be seen."""
    phase = table.clock_phase()
    if phase is None or not len(table):
        return None
    start = int(table.row(0)["t"])
    zero = start - 1_000_000 * MS
    return {"mono_to_real_ns": zero - zero % MS + phase, "tick_ns": 4 * MS, "jiffies_minus_mono_ticks": 4294892296}
