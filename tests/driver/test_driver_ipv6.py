# SPDX-License-Identifier: GPL-2.0-only
"""IPv6 in the driver: captures, the local side, what the host is given, what is written."""

import struct

import pytest
from driverlib import (
    CLIENT,
    CLIENT6,
    MS,
    SERVER,
    SERVER6,
    SYN,
    T0,
    conversation,
    ip_tcp,
    jsonl,
    packed,
    pcap,
    sent_by,
)
from driverlib import table as read

import kpath
from kpath import localside
from kpath.segments import packed as number

SIX = {"client": CLIENT6, "server": SERVER6}


def run(tmp_path, records, linktype=101, **kw):
    path = tmp_path / "r.pcap"
    path.write_bytes(pcap(records, linktype))
    return kpath.replay(str(path), **kw)


def too_big(mtu):
    """ICMPv6 type 2 to the client."""
    body = struct.pack("!BBHI", 2, 0, 0, mtu) + bytes(48)
    return struct.pack("!IHBB", 6 << 28, len(body), 58, 64) + packed(SERVER6) + packed(CLIENT6) + body


def test_conversation_is_replayed(fake, tmp_path):
    records = conversation(**SIX)
    fake.emits = sent_by(records, CLIENT6)
    result = run(tmp_path, records)
    assert (result.agrees, result.pairing.captured, result.warnings) == (True, 6, [])
    assert result.local.ends == [(CLIENT6, 0)]
    assert [p[:4] for p in fake.last.pins] == [(CLIENT6, 40000, SERVER6, 80)]
    assert [(g[4], g[5][:2], g[6]) for g in fake.last.given[:2]] == [("socket", (0, 10), ""),
                                                                     ("connect", (80, 0), SERVER6)]
    assert fake.last.device["mtu"] == 1460 + 60
    assert len(fake.last.arrivals[0]) == 4


def test_what_differs_is_named_by_its_endpoints(fake, tmp_path, kpath_run):
    records = conversation(**SIX)
    fake.emits = sent_by(records, CLIENT6)[:-1]
    status, out, _ = kpath_run("-v", data=pcap(records))
    assert status == 1
    assert f"[{CLIENT6}]:40000 - [{SERVER6}]:80" in out


@pytest.mark.parametrize(("linktype", "head"), [(101, b""), (1, bytes(12) + b"\x86\xdd"), (229, b""),
                                                (113, bytes(14) + b"\x86\xdd")])
def test_segments_come_back_as_captured(kpath_run, fake, tmp_path, linktype, head):
    """Addresses, lengths and the checksum over RFC 8200's pseudo header."""
    records = [(t, head + p) for t, p in conversation(**SIX)]
    fake.emits = sent_by(conversation(**SIX), CLIENT6)
    out = tmp_path / "out.pcap"
    assert kpath_run("-q", "-w", out, data=pcap(records, linktype))[0] == 0
    assert out.read_bytes()[24:] == pcap([(t, head + p) for t, p in fake.emits], linktype)[24:]


def test_both_versions_in_one_capture(fake, tmp_path):
    records = sorted(conversation() + conversation(t0=T0 + MS, **SIX))
    fake.emits = sorted(sent_by(conversation()) + sent_by(conversation(t0=T0 + MS, **SIX), CLIENT6))
    result = run(tmp_path, records, local=[CLIENT, CLIENT6])
    assert (result.agrees, result.pairing.captured) == (True, 12)
    assert [c["laddr"] for c in (result.table.connection(i) for i in range(2))] == [CLIENT, CLIENT6]
    assert sorted(result.table.addresses()) == sorted([(CLIENT, SERVER), (SERVER, CLIENT), (CLIENT6, SERVER6),
                                                       (SERVER6, CLIENT6)])


def test_addresses_are_told_apart_whole(fake, tmp_path):
    """Also those that agree in their last 32 bits, with IPv4's too."""
    ends = ["fd77::a00:1", "fd78::a00:1", "::a00:1", CLIENT]
    records = [(T0 + i, ip_tcp(a, 1, SERVER6 if ":" in a else SERVER, 2, 1, flags=SYN)) for i, a in enumerate(ends)]
    result = run(tmp_path, records, local=ends)
    assert [result.table.connection(i)["laddr"] for i in range(result.table.nconn)] == ends


def test_many_addresses():
    """The table of addresses grows; the numbers that segments have stay right."""
    packets = [ip_tcp(f"fd77::{i:x}", 1, SERVER6, 2, 1, flags=SYN) for i in range(1, 500)]
    table = read([(T0, p) for p in packets])
    table.split([(number(SERVER6), 0)])
    assert [table.row(i)["saddr"] for i in range(len(table))] == [f"fd77::{i:x}" for i in range(1, 500)]
    assert table.nconn == 499


def test_icmpv6_reaches_the_host(fake, tmp_path):
    records = conversation(**SIX)
    fake.emits = sent_by(records, CLIENT6)
    run(tmp_path, sorted([*records, (records[4][0] + 1, too_big(1280))]))
    assert len(fake.last.arrivals[0]) == 5


@pytest.mark.parametrize(("option", "ends"), [("fd77::1", [(CLIENT6, 0)]), ("[fd77:0::1]:80", [(CLIENT6, 80)]),
                                              ("[fd77::1]", [(CLIENT6, 0)]), ("10.0.0.1:80", [(CLIENT, 80)])])
def test_local(option, ends):
    assert localside.parse([option]).ends == ends


def test_recorded_calls_of_either_family(fake, tmp_path):
    """An IPv4 host's address in an IPv6 socket's call is that host's (RFC 4291 2.5.5.2)."""
    base = {"thread": 1, "sock": "c", "fd": 4, "ret": 0, "errno": None}
    calls = jsonl(tmp_path / "c.jsonl",
                  {**base, "t0": T0 - 9, "t1": T0 - 8, "call": "socket", "args": {"family": "AF_INET6"}, "ret": 4},
                  {**base, "t0": T0 - 7, "t1": T0, "call": "connect", "args": {"addr": f"::ffff:{SERVER}", "port": 80}})
    records = conversation()
    fake.emits = sent_by(records)
    assert run(tmp_path, records, syscalls=calls).agrees
    assert [(g[4], g[5][:2], g[6]) for g in fake.last.given] == [("socket", (0, 10), ""), ("connect", (80, 0), SERVER)]
