# SPDX-License-Identifier: GPL-2.0-only
"""Where fields lie, and which room may know which.

The kernel holds the first with build-time assertions (net/ipv4/tcp.c tcp_struct_check(), include/net/sock.h
sock_common); the second is the design's.
"""

import re
from pathlib import Path

import pytest

from kpath_c import host as testing

KERNEL_SIDE = Path(__file__).parent.parent / "kpath_c"
CACHE_LINE = 64
#: rooms from the ground up; each may know itself and those before it
ROOMS = ("headers", "shim", "ported", "host", "kpath")
HOST_FILES = {"host", "sched", "sockstate", "testing", "benchmarks"}
NAMES = {"kpath_c.snmp_names", "kpath_c.dropreason_names"}  # tables of words, without code
#: a driver calls the kernel: packets (skbuff.c), NAPI (dev.c) and GRO on the way in, GSO on the way out
ALLOWED = {("shim/netdevice.pyx", f"kpath_c.{name}") for name in ("skbuff", "dev", "net_gro", "gso")}


@pytest.mark.parametrize("field", testing.common_offsets())
def test_sock_common_lies_alike(field):
    """A lookup in the ehash meets all three and reads these fields before it knows which it has."""
    in_sock, in_timewait, in_request = testing.common_offsets()[field]
    assert in_sock == in_timewait == in_request


def test_the_key_of_a_lookup_is_one_cache_line():
    """All that a lookup touches: what inet_match() compares, the way to the next socket, and the reference it takes."""
    offsets = testing.common_offsets()
    key = ("skc_daddr", "skc_rcv_saddr", "skc_hash", "skc_dport", "skc_num", "skc_family", "skc_state",
           "skc_bound_dev_if", "skc_refcnt", "skc_nulls_node", "skc_net")
    assert max(offsets[f][0] for f in key) < CACHE_LINE
    assert (offsets["skc_daddr"][0], offsets["skc_rcv_saddr"][0]) == (0, 4)  # skc_addrpair: one 64-bit compare
    assert offsets["skc_num"][0] == offsets["skc_dport"][0] + 2  # skc_portpair: one 32-bit compare


def test_inner_structs_stand_first():
    assert set(testing.nested_offsets().values()) == {0}


def test_wire_headers_have_their_size():
    """RFC 791, RFC 9293, RFC 792."""
    sizes = testing.sizes()
    assert (sizes["iphdr"], sizes["tcphdr"], sizes["icmphdr"]) == (20, 20, 8)


def test_hot_groups_stand_in_the_kernels_order():
    groups = testing.tcp_sock_groups()
    assert [g[0] for g in groups] == ["read_tx", "read_txrx", "read_rx", "write_tx", "write_txrx", "write_rx"]
    for (_, start, end), (_, following, _) in zip(groups, groups[1:], strict=False):
        assert start < end <= following < end + 8


@pytest.mark.parametrize(("group", "most"), [("read_tx", 40), ("read_txrx", 44), ("read_rx", 76), ("write_tx", 113),
                                             ("write_txrx", 132), ("write_rx", 120)])
def test_hot_groups_stay_small(group, most):
    """A field too many in a hot group costs every segment a cache line."""
    size = {g: end - start for g, start, end in testing.tcp_sock_groups()}[group]
    assert size <= most


@pytest.mark.parametrize(("group", "fields"), [
    ("read_tx", ["max_window"]), ("read_txrx", ["snd_wnd", "mss_cache", "snd_cwnd"]), ("read_rx", ["copied_seq"]),
    ("write_tx", ["segs_out", "write_seq"]), ("write_txrx", ["pred_flags", "rcv_nxt", "snd_nxt", "snd_una"]),
    ("write_rx", ["segs_in"]),
])
def test_fields_stand_in_their_group(group, fields):
    """tcp_struct_check()'s list."""
    start, end = {g: (a, b) for g, a, b in testing.tcp_sock_groups()}[group]
    assert [f for f in fields if not start <= testing.tcp_sock_offsets()[f] < end] == []


def cache_lines(begin, end):
    """Those that a loop meets which begins there and goes on a line at a time."""
    return {at // CACHE_LINE for at in range(begin, end, CACHE_LINE)}


def test_what_a_segment_touches_is_fetched_and_stands_together():
    """With many sockets each line of the packet's socket is a miss: sched.pyx fetch_socket() asks for them ahead."""
    fetched = set().union(*(cache_lines(*part) for part in testing.hot_parts()))
    touched = testing.arrival_offsets()
    assert {field: at for field, at in touched.items() if at // CACHE_LINE not in fetched} == {}
    assert len(fetched) <= 16  # of 33


def test_a_live_connection_takes_less_than_a_page():
    """In a replay: socket, connect, send, recv and close of one connection, asleep in one of them."""
    assert sum(testing.connection_bytes(calls=5).values()) < 4096


def room_of(module):
    parts = module.split(".")
    if parts[0] == "kpath":
        return "kpath"
    if parts[1] in ("headers", "shim"):
        return parts[1]
    return "host" if parts[1] in HOST_FILES else "ported"


def cimports(path):
    text = path.read_text()
    found = re.findall(r"^\s*from\s+(kpath\w*(?:\.\w+)*)\s+c?import", text, re.M)
    return found + re.findall(r"^\s*c?import\s+(kpath\w*(?:\.\w+)*)", text, re.M)


def test_arrows_go_one_way():
    """headers <- shim <- ported <- host <- kpath (design.md)."""
    wrong = []
    for path in sorted(KERNEL_SIDE.rglob("*.p[yx]*")):
        name = path.relative_to(KERNEL_SIDE).as_posix()
        if path.suffix not in (".pyx", ".pxd") or path.stem == "__init__":
            continue
        here = room_of("kpath_c." + name.rsplit(".", 1)[0].replace("/", "."))
        for module in cimports(path):
            if module in NAMES:
                continue
            if ROOMS.index(room_of(module)) > ROOMS.index(here) and (name, module) not in ALLOWED:
                wrong.append(f"{name} ({here}) knows {module} ({room_of(module)})")
    assert wrong == []


def test_the_driver_meets_the_kernel_side_at_host_only():
    driver = KERNEL_SIDE.parent / "kpath"
    met = {m for p in driver.rglob("*") if p.suffix in (".py", ".pyx", ".pxd") for m in cimports(p)}
    assert {m for m in met if m.startswith("kpath_c")} <= {"kpath_c.host", *NAMES}


def test_no_python_below_host():
    """No `def`, no class, no GIL in ported code: what runs for each segment cannot touch an object."""
    wrong = []
    for path in sorted(KERNEL_SIDE.rglob("*.pyx")):
        if path.stem in HOST_FILES - {"sched"}:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.match(r"\s*(def |cpdef |cdef class |with gil)", line):
                wrong.append(f"{path.name}:{number}: {line.strip()}")
    assert wrong == []
