# ruff: noqa: E501  (tables)
# SPDX-License-Identifier: GPL-2.0-only
"""What the host is given: local side, pins, arrivals, facts from the capture, inferred calls."""

from contextlib import nullcontext

import pytest
from driverlib import (
    ACK,
    CLIENT,
    FIN,
    MS,
    PSH,
    RST,
    SERVER,
    SYN,
    T0,
    conversation,
    ip_tcp,
    packed,
    pcap,
    sent_by,
    timestamps,
)

import kpath
from kpath import localside
from kpath.segments import Table

SYNOPT = b"\x02\x04\x05\xb4\x04\x02\x03\x03\x07\x01"


def run(tmp_path, records, linktype=101, **kw):
    path = tmp_path / "r.pcap"
    path.write_bytes(pcap(records, linktype))
    return kpath.replay(str(path), **kw)


def test_local_side_by_handshake(fake, tmp_path):
    records = conversation()
    assert run(tmp_path, records).local.ends == [(CLIENT, 0)]
    # the same conversation at the server: its SYN-ACK comes at once, the client's ACK a round trip later
    moved = [(t + (0 if p[12:16] == packed(CLIENT) else -10 * MS + 1000), p) for t, p in records]
    late = [(t + (10 * MS if i == 2 else 0), p) for i, (t, p) in enumerate(moved)]
    assert run(tmp_path, late[:3]).local.ends == [(SERVER, 0)]


def test_local_side_by_ttl(fake, tmp_path):
    records = [
        (T0, ip_tcp(CLIENT, 1, SERVER, 2, 1, flags=SYN, ttl=53)),
        (T0 + 1, ip_tcp(SERVER, 2, CLIENT, 1, 1, 2, SYN | ACK)),
    ]
    result = run(tmp_path, records)
    assert (result.local.ends, result.local.why) == ([(SERVER, 0)], "its TTL is that of an unrouted packet")


def test_local_side_that_takes_part_in_all(fake, tmp_path):
    records = [(T0, ip_tcp(CLIENT, 1, f"10.0.1.{i}", 2, 1, flags=SYN)) for i in range(3)]
    assert run(tmp_path, records).local.ends == [(CLIENT, 0)]


def test_local_side_among_many_peers():
    """One look at each pair of addresses: 20,000 of them take no time to speak of."""
    peers = [f"10.1.{i >> 8}.{i & 255}" for i in range(20_000)]
    seen = {pair: [1, 0, 0, 64, 64, 0, 0] for peer in peers for pair in ((CLIENT, peer), (peer, CLIENT))}
    side = localside.by_packets(Table(), seen, "many")
    assert (side.ends, side.why) == ([(CLIENT, 0)], "it takes part in every segment of the capture")


def test_local_side_that_cannot_be_told(kpath_run, fake):
    data = pcap([(T0, ip_tcp("1.0.0.1", 1, "1.0.0.2", 2, 1)), (T0, ip_tcp("1.0.0.3", 1, "1.0.0.4", 2, 1))])
    line = "kpath: x.pcap: cannot tell the local side: no address takes part in every segment; name it with --local"
    assert kpath_run(data=data) == (2, "", [line])


def test_local_port(fake, tmp_path):
    """Two connections on one host that is both ends; the port tells."""
    records = [
        (T0, ip_tcp(CLIENT, 1000, CLIENT, 80, 1, flags=SYN)),
        (T0 + 1, ip_tcp(CLIENT, 80, CLIENT, 1000, 9, 2, SYN | ACK)),
    ]
    result = run(tmp_path, records, local=[f"{CLIENT}:80"])
    assert result.table.connection(0)["lport"] == 80
    assert [c["passive"] for c in kpath.summary(result)["connections"]] == [True]


def test_pins(fake, tmp_path):
    clock = {"mono_to_real_ns": T0 - 50 * 10**9, "tick_ns": 4 * MS, "jiffies_minus_mono_ticks": 0}
    run(tmp_path, conversation(), local=[CLIENT], host={"clock": clock})
    assert fake.last.pins == [(CLIENT, 40000, SERVER, 80, 0xFFFFFF00, (1000 - 49_999) % 2**32, False, 1000)]
    run(tmp_path, conversation(), local=[SERVER], host={"clock": clock})
    assert fake.last.pins == [(SERVER, 80, CLIENT, 40000, 5000, (1010 + 777 - 50_009) % 2**32, True, 1010 + 777)]


def test_pins_without_timestamps(fake, tmp_path):
    run(tmp_path, conversation(stamps=False), local=[CLIENT])
    assert fake.last.pins[0][5] is None


def test_clock_from_the_capture(fake, tmp_path):
    """The ms ticks lie where TSval counts them."""
    records = [(T0 + i * 300_000 + 123_456, ip_tcp(CLIENT, 1, SERVER, 2, 1 + bool(i), flags=ACK if i else SYN,
                options=timestamps(7 + (i * 300_000) // MS, 0))) for i in range(40)]  # fmt: skip
    run(tmp_path, records, local=[CLIENT])
    assert fake.last.clock["mono_to_real_ns"] % MS == (T0 + 123_456) % MS


def syn_options(tsval, tsecr):
    """As Linux writes them; window scale 10."""
    return b"\x02\x04\x05\xb4\x04\x02" + timestamps(tsval, tsecr)[2:] + b"\x01\x03\x03\x0a"


def at_the_server(answered, stamped):
    """A handshake and a request as the server's host sees them; the SYN at T0, the SYN-ACK's times in ns behind it."""
    ms = (T0 + stamped) // MS % 2**32
    steps = [(0, True, 1, 0, SYN, syn_options(7, 0), b""),
             (answered, False, 9, 2, SYN | ACK, syn_options(ms, 7), b""),
             (20 * MS, True, 2, 10, ACK, timestamps(27, ms), b""),
             (21 * MS, True, 2, 10, PSH | ACK, timestamps(28, ms), b"x" * 100),
             (21 * MS + 20_000, False, 10, 102, ACK, timestamps(ms + 21, 28), b"")]  # fmt: skip
    ends = (CLIENT, 40000, SERVER, 80), (SERVER, 80, CLIENT, 40000)
    return [(T0 + t, ip_tcp(*ends[not arrived], seq, ack, flags, options=options, payload=data, win=65160 if flags & SYN
                            else 64)) for t, arrived, seq, ack, flags, options, data in steps]  # fmt: skip


@pytest.mark.parametrize(
    ("answered", "stamped", "turn", "held"),
    [
        (47_000, 30_000, 41_000, 24_999),  # stamped in front of the turn, and captured behind it: not held up to it
        (300_000, 280_000, 200_000, 280_000),  # a slow answer: in its ms
        (300_000, 280_000, 500_000, 280_000),
        (20_000, 10_000, 500_000, 0),
        (2 * MS, 2 * MS - 20_000, 500_000, 0),  # the answer to another SYN
    ],
)
def test_a_syn_is_held_until_the_ms_that_its_answer_was_stamped_in(fake, tmp_path, answered, stamped, turn, held):
    clock = {"mono_to_real_ns": T0 - 50 * 10**9 + turn, "tick_ns": 4 * MS, "jiffies_minus_mono_ticks": 0}
    run(tmp_path, at_the_server(answered, stamped), local=[SERVER], host={"clock": clock})
    assert list(fake.last.arrivals[0]) == [T0 + held, T0 + 20 * MS, T0 + 21 * MS]


@pytest.mark.parametrize("turn", range(1000, 60_000, 3000))
def test_a_connection_opens_wherever_the_milliseconds_turn(tmp_path, turn):
    """The ACK echoes the SYN-ACK's TSval, which was stamped at 30 us and captured at 47 us."""
    zero = T0 - 50 * 10**9 + turn
    clock = {"mono_to_real_ns": zero, "tick_ns": 4 * MS, "jiffies_minus_mono_ticks": 0}
    result = run(tmp_path, at_the_server(47_000, 30_000), local=[SERVER], host={"clock": clock})
    told = kpath.summary(result)
    assert [c["state"] for c in told["connections"]] == ["ESTABLISHED"]
    assert (told["segments_matched"], told["segments_captured"]) == (2, 2)


def test_arrivals_are_what_the_local_side_gets(fake, tmp_path):
    records = conversation()
    icmp = ip_tcp(SERVER, 0, CLIENT, 0, 0, proto=1)
    stranger = ip_tcp("9.9.9.9", 1, "8.8.8.8", 2, 3)
    records[5:5] = [(T0 + 20 * MS, icmp), (T0 + 20 * MS, stranger)]
    rows = []
    run(tmp_path, records, local=[CLIENT], watch=lambda _, fed: nullcontext(rows.extend(fed.arrivals[4])))
    t, off, caplen, _ = fake.last.arrivals
    got = [bytes(fake.last.buf[o : o + n]) for o, n in zip(off, caplen, strict=True)]
    assert got == [p for _, p in records if p[16:20] == packed(CLIENT)]
    assert list(t) == sorted(t)
    assert rows == [1, 4, 5, 7, 10]


def test_arrivals_never_go_back_in_time(fake, tmp_path):
    records = conversation()
    records[4], records[5] = (records[4][0] + MS, records[4][1]), records[5]
    run(tmp_path, records, local=[CLIENT])
    t = fake.last.arrivals[0]
    assert list(t) == sorted(t)


def test_nothing_that_was_sent_reaches_the_host_but_the_first_numbers(fake, tmp_path):
    """With recorded calls: take what was sent out of the capture, and the host is given the same."""
    calls = tmp_path / "c.jsonl"
    calls.write_text(f'{{"t0":{T0},"call":"socket","sock":"a"}}\n')
    records = conversation()
    given = []
    for part in (records, [r for i, r in enumerate(records) if i == 0 or r[1][12:16] == packed(SERVER)]):
        run(tmp_path, part, local=[CLIENT], syscalls=str(calls), host={"clock": {"mono_to_real_ns": 0, "tick_ns": 1}})
        t, off, n, wire = fake.last.arrivals
        got = [bytes(fake.last.buf[o : o + k]) for o, k in zip(off, n, strict=True)]
        given.append((list(t), got, list(wire), fake.last.pins, fake.last.given, fake.last.set))
    assert given[0] == given[1]


def test_partial_checksums_are_completed(fake, tmp_path):
    whole = ip_tcp(SERVER, 80, CLIENT, 40000, 5000, 0xFFFFFF01, SYN | ACK)
    pseudo = sum(
        int.from_bytes((packed(SERVER) + packed(CLIENT) + b"\0\x06\0\x14")[i : i + 2], "big") for i in range(0, 12, 2)
    )
    pseudo = (pseudo & 0xFFFF) + (pseudo >> 16)
    partial = whole[:36] + pseudo.to_bytes(2, "big") + whole[38:]
    wrong = whole[:36] + b"\x12\x34" + whole[38:]
    syn = conversation()[0]
    run(tmp_path, [syn, (T0 + 1, partial), (T0 + 2, wrong)], local=[CLIENT])
    _, off, n, _ = fake.last.arrivals
    got = [bytes(fake.last.buf[o : o + k]) for o, k in zip(off, n, strict=True)]
    assert got == [whole, wrong]


def test_connection_open_before_the_capture(kpath_run, fake):
    old = [(T0 - 5, ip_tcp(CLIENT, 7, SERVER, 80, 1, 1)), (T0 - 4, ip_tcp(SERVER, 80, CLIENT, 7, 1, 1))]
    records = conversation()
    fake.emits = sent_by(records)
    status, out, err = kpath_run("--local", CLIENT, data=pcap(old + records))
    assert status == 0
    assert err == ["kpath: x.pcap: 10.0.0.1:7 - 10.0.0.2:80: open before the capture began (no SYN), not replayed"]
    assert "4 packets in, 1 connection, 1 connection skipped" in out
    line = "kpath: x.pcap: 10.0.0.1:7 - 10.0.0.2:80: open before the capture began (no SYN), not replayed"
    assert kpath_run("--local", CLIENT, data=pcap(old)) == (2, "", [line])


def test_stray_segment_answered_by_a_reset_is_replayed(fake, tmp_path):
    records = [(T0, ip_tcp(SERVER, 80, CLIENT, 7, 5, 6)), (T0 + 1, ip_tcp(CLIENT, 7, SERVER, 80, 6, flags=RST))]
    fake.emits = sent_by(records)
    result = run(tmp_path, records, local=[CLIENT])
    assert (result.agrees, result.packets_in) == (True, 1)


def test_facts_of_an_own_syn(fake, tmp_path):
    options = b"\x02\x04\x02\x18\x03\x03\x02\x01"
    syn = ip_tcp(CLIENT, 1, SERVER, 2, 1, flags=SYN | 0xC0, options=options, win=5000, ttl=128)
    run(tmp_path, [(T0, syn)], local=[CLIENT])
    assert fake.last.device == {"mtu": 576}
    assert fake.last.set == {
        "net.ipv4.tcp_sack": "0", "net.ipv4.tcp_timestamps": "0", "net.ipv4.tcp_window_scaling": "1",
        "net.ipv4.tcp_ecn": "1", "net.core.rmem_max": "131072", "net.ipv4.tcp_rmem": "4096 10000 131072",
        "net.ipv4.ip_default_ttl": "128",
    }  # fmt: skip


@pytest.mark.parametrize("scale, rmem", [
    (10, None), (7, "4096 131072 6291456"), (9, "4096 131072 16777216"), (11, "4096 131072 67108864"),
])  # fmt: skip
def test_window_scale_tells_the_receive_buffer(fake, tmp_path, scale, rmem):
    """6.18's own default says nothing; 7 is the default of older kernels."""
    records = [(t, p.replace(b"\x03\x03\x07\x01", bytes((3, 3, scale, 1)))) for t, p in conversation()]
    run(tmp_path, records, local=[CLIENT])
    usual = {"net.ipv4.tcp_sack": "1", "net.ipv4.tcp_timestamps": "1", "net.ipv4.tcp_window_scaling": "1",
             "net.ipv4.tcp_ecn": "2"}  # fmt: skip
    assert fake.last.set == usual | ({"net.ipv4.tcp_rmem": rmem} if rmem else {})


def inferred(fake, tmp_path, records, local=CLIENT):
    run(tmp_path, records, local=[local])
    return [(g[4], (g[0] - T0) // 1000, g[5][:2]) for g in fake.last.given]


def test_inferred_client(fake, tmp_path):
    """Times in us after the SYN."""
    assert inferred(fake, tmp_path, conversation()) == [
        ("socket", -20, (0, 0)), ("connect", -8, (80, 0)), ("send", 10044, (300, 0)), ("close", 29994, (0, 0)),
    ]  # fmt: skip
    assert fake.last.auto == [(-1, True)]


def test_inferred_server(fake, tmp_path):
    calls = inferred(fake, tmp_path, conversation(), SERVER)
    assert [c[0] for c in calls] == ["socket", "setsockopt", "bind", "listen", "accept", "send", "close"]
    assert calls[3][1] < 0
    assert calls[5][2] == (100, 0)
    assert calls[4][1] == 10010 and 20000 < calls[5][1] <= 20050


def stream(segments):
    """Handshake, then (us after the SYN, ours?, offset, length, acked, flags)."""
    out = conversation()[:3]
    for t, ours, offset, n, acked, flags in segments:
        ends = (CLIENT, 40000, SERVER, 80) if ours else (SERVER, 80, CLIENT, 40000)
        base = (0xFFFFFF01, 5001) if ours else (5001, 0xFFFFFF01)
        out.append((T0 + t * 1000, ip_tcp(*ends, base[0] + offset, base[1] + acked, flags | ACK, payload=b"x" * n)))
    return out


def sends(fake, tmp_path, segments):
    return [c[1:] for c in inferred(fake, tmp_path, stream(segments)) if c[0] == "send"]


def test_segments_without_push_are_of_one_write(fake, tmp_path):
    got = sends(
        fake, tmp_path, [(11000, 1, 0, 1448, 0, 0), (11010, 1, 1448, 1448, 0, 0), (11020, 1, 2896, 500, 0, PSH)]
    )
    assert got == [(10994, (3396, 0))]


def test_data_released_by_an_ack_was_written_before(fake, tmp_path):
    got = sends(fake, tmp_path, [
        (11000, 1, 0, 1448, 0, 0), (11010, 1, 1448, 1448, 0, PSH), (21000, 0, 0, 0, 1448, 0), (21010, 1, 2896, 1448, 0, PSH),
    ])  # fmt: skip
    assert got == [(10994, (4344, 0))]


def test_what_follows_a_short_segment_was_written_after_it(fake, tmp_path):
    """More data in the queue would have filled the segment up."""
    got = sends(fake, tmp_path, [
        (11000, 1, 0, 1448, 0, 0), (11010, 1, 1448, 100, 0, PSH), (21000, 0, 0, 0, 1448, 0), (21030, 1, 1548, 1448, 0, PSH),
    ])  # fmt: skip
    assert got == [(10994, (1548, 0)), (21024, (1448, 0))]


def test_a_pause_after_a_full_segment_ends_a_write(fake, tmp_path):
    two = [(11000, 1, 0, 1448, 0, PSH), (13000, 1, 1448, 1448, 0, PSH)]
    assert sends(fake, tmp_path, two) == [(10994, (1448, 0)), (12994, (1448, 0))]


def test_a_pause_of_a_round_trip_may_be_a_timer(fake, tmp_path):
    two = [(11000, 1, 0, 1448, 0, PSH), (41000, 1, 1448, 1448, 0, PSH)]
    assert sends(fake, tmp_path, two) == [(10994, (2896, 0))]


def test_nagle_kept_the_rest_of_a_write(fake, tmp_path):
    """A full segment without PSH, unasked: another write filled it up."""
    got = sends(fake, tmp_path, [(11000, 1, 0, 1448, 0, 0), (13000, 1, 1448, 1448, 0, 0), (13010, 1, 2896, 4, 0, PSH)])
    assert got == [(10994, (1449, 0)), (12994, (1451, 0))]


def test_blocks_of_a_long_transfer(fake, tmp_path):
    """A short segment at 8192: written in blocks of that size."""
    rows = [(11000 + i, 1, i * 1448, 1448, 0, 0) for i in range(5)] + [(11006, 1, 7240, 952, 0, PSH)]
    rows += [(11040 + i, 1, 8192 + i * 1448, 1448, 0, 0) for i in range(6)] + [(11048, 1, 16880, 20, 0, PSH)]
    assert sends(fake, tmp_path, rows) == [(10994, (8192, 0)), (11034, (8192, 0)), (11034, (516, 0))]


def plan(fake, tmp_path, segments):
    """Planned reads of the client: (us after the SYN, only if an ACK is owed)."""
    inferred(fake, tmp_path, stream(segments))
    return [((t // 2 - T0) // 1000, bool(t & 1)) for t in fake.last.plans[0]]


def test_reads_come_behind_the_burst(fake, tmp_path):
    burst = [(20000, 0, 0, 1448, 0, 0), (20010, 0, 1448, 1448, 0, 0), (20030, 0, 2896, 1448, 0, PSH)]
    assert plan(fake, tmp_path, burst) == [(20052, False)]


def test_reads_come_behind_the_acks_of_the_burst(fake, tmp_path):
    burst = [(20000, 0, 0, 1448, 0, 0), (20060, 1, 0, 0, 1448, 0), (20070, 0, 1448, 1448, 0, 0)]
    assert plan(fake, tmp_path, burst) == [(20054, True), (20092, False)]


def test_reads_come_before_the_answer(fake, tmp_path):
    assert plan(fake, tmp_path, [(20000, 0, 0, 100, 0, PSH), (20018, 1, 0, 50, 100, PSH)]) == [(20011, False)]


def test_an_edge_that_stands_still_shows_a_late_reader(fake, tmp_path):
    segments = stream([])
    for t, ours, seq, ack, win, n in ((20000, 0, 5001, 0, 0, 1280), (20010, 1, 0, 6281, 400, 0),
                                      (20200, 0, 6281, 0, 0, 1280), (20210, 1, 0, 7561, 390, 0)):  # fmt: skip
        ends = (CLIENT, 40000, SERVER, 80) if ours else (SERVER, 80, CLIENT, 40000)
        numbers = (0xFFFFFF01, ack) if ours else (seq, 0xFFFFFF01)
        segments.append((T0 + t * 1000, ip_tcp(*ends, *numbers, win=win, payload=bytes(n))))
    inferred(fake, tmp_path, segments)
    assert [(t // 2 - T0) // 1000 for t in fake.last.plans[0] if not t & 1] == [20222]


def test_data_that_nothing_released_was_written_then(fake, tmp_path):
    got = sends(fake, tmp_path, [(11000, 1, 0, 100, 0, PSH), (21000, 0, 0, 0, 100, 0), (51000, 1, 100, 70, 0, PSH)])
    assert got == [(10994, (100, 0)), (50994, (70, 0))]


def test_an_answer_comes_after_the_question(fake, tmp_path):
    got = sends(fake, tmp_path, [(11000, 0, 0, 10, 0, PSH), (11009, 1, 0, 100, 10, PSH)])
    assert got == [(11005, (100, 0))]


def test_retransmissions_are_no_writes(fake, tmp_path):
    got = sends(fake, tmp_path, [(11000, 1, 0, 100, 0, PSH), (231000, 1, 0, 100, 0, PSH)])
    assert got == [(10994, (100, 0))]


def test_small_segments_in_flight_mean_nodelay(fake, tmp_path):
    two = [(11000, 1, 0, 1448, 0, PSH), (12000, 1, 1448, 10, 0, PSH), (13000, 1, 1458, 10, 0, PSH)]
    assert ("setsockopt", 0, (6, 1)) in inferred(fake, tmp_path, stream(two))
    assert "setsockopt" not in [c[0] for c in inferred(fake, tmp_path, stream(two[:2]))]


def test_half_close(fake, tmp_path):
    """The peer's data was read after the FIN: it was shutdown(), and close() when the peer had ended too."""
    got = inferred(fake, tmp_path, stream([
        (11000, 1, 0, 0, 0, FIN), (21000, 0, 0, 50, 1, PSH), (21010, 1, 1, 0, 50, 0), (22000, 0, 50, 0, 1, FIN),
    ]))  # fmt: skip
    assert got[-2:] == [("shutdown", 10994, (1, 0)), ("close", 22000, (0, 0))]


def test_abort(fake, tmp_path):
    got = inferred(fake, tmp_path, stream([(11000, 1, 0, 10, 0, PSH), (15000, 1, 10, 0, 0, RST)]))
    assert got[-2:] == [("setsockopt", 14994, (1, 13)), ("close", 14994, (0, 0))]


def test_reader_that_does_not_read(fake, tmp_path):
    """The window shrinks by what arrives, and opens at 60 ms: that is when it was read."""
    segments = stream([])
    us = 1000
    for i in range(10):
        t = T0 + (11000 + i * 1000) * us
        segments.append((t, ip_tcp(SERVER, 80, CLIENT, 40000, 5001 + i * 1000, 0xFFFFFF01, payload=bytes(1000))))
        ack = ip_tcp(CLIENT, 40000, SERVER, 80, 0xFFFFFF01, 6001 + i * 1000, win=400 - (i * 1000 >> 7))
        segments.append((t + 20 * us, ack))
    segments.append((T0 + 60000 * us, ip_tcp(CLIENT, 40000, SERVER, 80, 0xFFFFFF01, 15001, win=502)))
    reads = [c for c in inferred(fake, tmp_path, segments) if c[0] == "recv"]
    assert reads[-1] == ("recv", 59994, (1 << 30, 0x40))
    assert fake.last.auto == [(-1, True), (0, False)]


def test_progress_runs_in_slices(fake, tmp_path):
    seen = []
    run(tmp_path, conversation(), progress=seen.append)
    assert seen[-1] == 1.0 and len(fake.last.ran) == 50
    run(tmp_path, conversation())
    assert len(fake.last.ran) == 1


def test_the_host_is_closed_when_it_fails(fake, tmp_path, monkeypatch):
    def refuse(*_):
        raise MemoryError

    monkeypatch.setattr(fake, "load", refuse)
    with pytest.raises(MemoryError):
        run(tmp_path, conversation())
    assert fake.last.closed


@pytest.mark.parametrize(("answer", "held"), [(380_000, 360_000), (15_000, 0), (3 * MS, 0)])
def test_a_syn_is_held_until_its_syn_ack_read_the_clock(fake, tmp_path, answer, held):
    """Not one that was answered at once, nor one whose SYN-ACK is late for other reasons."""
    stamp = timestamps(7, 0)
    records = [
        (T0, ip_tcp(CLIENT, 1000, SERVER, 80, 1, flags=SYN, options=stamp)),
        (T0 + answer, ip_tcp(SERVER, 80, CLIENT, 1000, 9, 2, SYN | ACK, options=stamp)),
        (T0 + 10 * MS, ip_tcp(CLIENT, 1000, SERVER, 80, 2, 10, ACK, options=stamp)),
    ]
    run(tmp_path, records, local=[SERVER])
    assert list(fake.last.arrivals[0]) == [T0 + held, T0 + 10 * MS]
