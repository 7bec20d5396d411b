# SPDX-License-Identifier: GPL-2.0-only
"""A replay in windows: the host gets packets, calls and planned reads bit by bit, and emits what it would have emitted
if it had been given all at once."""

from array import array

import pytest
from conversation import EPOCH, MS, SLOT, client, established, syn_sent
from packets import LOCAL_ISN, PEER, PEER_ISN, encode_options, tcp_packet
from windows import (
    ADDRESSES,
    DEVICES,
    US,
    Input,
    Windows,
    agree,
    arrays,
    in_windows,
    mixture,
    outcome,
    plan,
    rows_of,
    whole,
)

from kpath_c import host as testing
from kpath_c.host import OPS


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("count", [7, 40, 41, 43, 200])
def test_windows_of_any_size_tell_the_same_story(count, device):
    agree(in_windows(mixture(), count, planned=True, **DEVICES[device]), whole(mixture(), True, **DEVICES[device]))


@pytest.mark.parametrize("seed", range(6))
def test_calls_that_are_known_early_are_merged(seed):
    agree(in_windows(mixture(seed), 30, 25 * MS, planned=True), whole(mixture(seed), True))


def test_calls_that_are_known_early_do_come_before_some_that_are_known_late():
    """Or the test above would show nothing."""
    s = mixture()
    w = Windows(s)
    before = list(s.calls)
    while w.step(30, 25 * MS):
        pass
    w.host.close()
    assert s.calls != before


# -- memory

def test_memory_does_not_grow_with_the_number_of_windows():
    """Connections that come and go: nothing that they leave grows."""
    s = Input()
    for c in range(2000):
        t = MS + c * 5 * MS
        s.open(t, c)
        s.call(t + 2 * MS, c, "send", 1000)
        s.packet(t + 3 * MS, c, ".", 0, 1000)
        s.packet(t + 3 * MS, c, "P.", 0, 1000, 500)
        s.reads.append((c, t + 3 * MS + 50 * US << 1))
        s.close(t + 4 * MS, c, 500, 1000)
    w = Windows(s.settled())
    w.host.want_tcp_info(False)
    w.host.auto_reader(-1, True, planned=True)
    windows, most = 0, {}
    while w.step(7):
        windows += 1
        for table, sizes in testing.engine_tables(w.host).items():
            most[table] = tuple(map(max, most.get(table, (0, 0)), sizes))
    tables = testing.engine_tables(w.host)
    assert windows > 1000
    assert w.host.counters()["TcpActiveOpens"] == 2000 and w.host.counters()["TcpInSegs"] == len(s.packets)
    assert {table: held for table, (held, _) in most.items() if held > 40} == {}
    assert {table: room for table, (_, room) in most.items() if room > 1024 and table != "headers"} == {}
    assert tables["threads"][0] == tables["calls"][0] == tables["tcp_infos"][0] == 0
    outcome(w.host, [])


def test_many_threads_leave_an_index_of_the_size_that_the_rest_needs():
    c = client()
    for thread in range(5000):
        assert c.call("fcntl", thread=thread)[2]
    assert testing.engine_tables(c.host)["index of threads"] == (5000, 16384)
    c.host.forget()
    assert testing.engine_tables(c.host)["index of threads"] == (0, 64)
    for thread in (4999, 3, 70, 4999):  # those that come anew are found again
        c.call("fcntl", thread=thread)
    assert testing.engine_tables(c.host)["threads"][0] == 3


def test_a_thread_keeps_the_page_that_it_writes_into_until_it_has_closed():
    c = established()
    c.ok("send", SLOT, 100)
    pages = c.host.pools()["page"]
    c.host.forget()
    assert testing.engine_tables(c.host)["threads"][0] == 1
    assert c.host.pools()["page"] == pages
    c.send(".", ack=100)
    c.ok("close")
    c.host.forget()
    assert testing.engine_tables(c.host)["threads"][0] == 0
    assert c.host.pools()["page"] == pages - 1


def test_calls_that_sleep_or_wait_for_their_thread_are_not_forgotten():
    c = established()
    c.ok("send", SLOT, 10)
    asleep = c.start("recv", SLOT, 1000)
    queued = c.start("recv", SLOT, 300)
    c.ok("fcntl", SLOT, 0, thread=1)
    later = c.host.add_call(EPOCH + 50 * MS, -1, 0, SLOT, OPS["send"], 70)
    assert 1 < asleep < queued < later - 1
    c.host.forget()
    assert [done for _, _, _, done in c.host.calls()] == [False] * 3
    c.t = 20
    c.send("P.", ack=10, length=100)
    assert c.result(0)[0] == 100 and c.result(1) is None
    c.host.forget()
    c.send("P.", length=200)
    assert c.result(0)[0] == 200
    c.wait(40)
    assert c.host.calls()[1][0] == 70


def test_what_a_tcp_info_call_saw_is_forgotten_with_it():
    c = established()
    c.ok("tcp_info")
    last = len(c.host.calls()) - 1
    assert c.host.call_info(last)["tcpi_state"] == 1
    c.host.forget()
    assert c.host.call_info(last) is None
    c.ok("tcp_info")
    assert c.host.call_info(0)["tcpi_state"] == 1


# -- packets

def test_packets_are_numbered_from_the_beginning():
    c = established()
    bad = tcp_packet(".", PEER_ISN + 1, LOCAL_ISN + 1, 10, bad_checksum=True)
    c.host.load(bad * 5, *arrays([(20 * MS + i, bad) for i in range(3)], 0))
    c.host.run(EPOCH + 20 * MS + 1)
    c.host.load_more(*arrays([(30 * MS + i, bad) for i in range(2)], 3 * len(bad)))
    c.host.run(EPOCH + 20 * MS + 2)
    c.host.run(EPOCH + 40 * MS)
    assert [i for _, i, _ in c.host.drops()] == [0, 1, 2, 3, 4]


def test_more_packets_are_checked_like_the_first():
    c = established()
    packet = tcp_packet(".", PEER_ISN + 1, LOCAL_ISN + 1)
    some = arrays([(20 * MS, packet)], 0)
    with pytest.raises(RuntimeError, match="comes first"):
        c.host.load_more(*some)
    c.host.load(packet, *[array("q")] * 4)
    with pytest.raises(ValueError, match="load_more: packet 0: outside the buffer"):
        c.host.load_more(*arrays([(20 * MS, packet)], 1))
    with pytest.raises(ValueError, match="different lengths"):
        c.host.load_more(some[0], some[1], some[2], array("q", [40, 40]))
    c.host.load_more(*some)
    c.wait(30)
    assert c.counter("TcpInSegs") == 2


# -- reads

def unread(c):
    return (c.state()["rcv_nxt"] - c.state()["copied_seq"]) % (1 << 32)


def reading(planned=False):
    c = client()
    c.host.auto_reader(-1, True, planned=planned)
    c.call("connect", SLOT, 5001, s=PEER)
    c.wait(10)
    c.raw(tcp_packet("S.", PEER_ISN, LOCAL_ISN + 1, 0, 65535, encode_options({"mss": 1460})))
    return c


def test_a_reader_that_ran_out_of_times_goes_on_with_new_ones():
    c = reading(True)
    plan(c.host, [(SLOT, 20 * MS << 1), (SLOT, 40 * MS << 1)])
    c.send("P.", length=100)
    assert unread(c) == 100  # no time has come yet
    c.wait(15)
    assert unread(c) == 0
    plan(c.host, [(SLOT, 60 * MS << 1)])
    assert testing.engine_tables(c.host)["times"] == (2, 2)
    c.send("P.", length=100)
    c.wait(16)
    assert unread(c) == 0  # at 40 ms
    c.send("P.", length=100)
    c.wait(15)
    assert unread(c) == 100
    c.wait(10)
    assert unread(c) == 0 and testing.engine_tables(c.host)["times"] == (0, 0)
    c.send("P.", length=100)
    c.wait(100)
    assert unread(c) == 100
    plan(c.host, [(SLOT, 170 * MS << 1), (SLOT, 900 * MS << 1)])
    c.wait(10)
    assert unread(c) == 0
    c.ok("close")
    assert testing.engine_tables(c.host)["times"] == (0, 0)


def test_a_reader_that_reads_as_data_arrives_becomes_a_planned_one():
    c = reading()
    c.send("P.", length=100)
    assert unread(c) == 0
    plan(c.host, [(SLOT, 30 * MS << 1)])
    c.send("P.", length=100)
    c.wait(10)
    assert unread(c) == 100
    c.wait(10)
    assert unread(c) == 0


@pytest.mark.parametrize("planned", [False, True])
def test_a_reader_can_be_ended(planned):
    c = reading(planned)
    plan(c.host, [(SLOT, 20 * MS << 1)] if planned else [])
    c.host.auto_reader(SLOT, False)
    c.send("P.", length=100)
    c.wait(50)
    assert unread(c) == 100
    assert testing.engine_tables(c.host)["tasks"][0] == testing.engine_tables(c.host)["threads"][0]


# -- writes

def lengthened_at(ms, **kw):
    """A write of 150 kB, of which the last third is known `ms` behind its beginning; None: from the start."""
    c = established({"net.ipv4.tcp_wmem": "4096 16384 65536"}, **kw)
    size = 150_000 if ms is None else 100_000
    call = c.start("send", SLOT, size)
    for i in range(1, 16):
        if ms is not None and i > ms:
            assert c.host.lengthen(SLOT, 50_000)
            ms = None
        c.wait(1)
        c.send(".", ack=i * 7300)
    c.wait(500)
    for i in range(1, 8):
        c.send(".", ack=min(15 * 7300 + i * 14600, 150_000))
        c.wait(1)
    return [c.host.emitted(i) for i in range(c.host.emitted_count())], c.result(call), c.host.sock_state(SLOT)


@pytest.mark.parametrize("ms", [0, 1, 4, 7])
def test_a_write_that_gets_longer_is_as_one_that_was_so_long_from_the_beginning(ms):
    whole_one, result, state = lengthened_at(None)
    assert result[0] == 150_000
    assert lengthened_at(ms) == (whole_one, result, state)


def test_a_write_that_has_not_begun_gets_longer():
    c = established()
    call = c.host.add_call(EPOCH + 20 * MS, -1, 0, SLOT, OPS["send"], 100)
    assert c.host.lengthen(SLOT, 50)
    c.wait(20)
    assert c.result(call)[0] == 150
    assert c.expect("P.").length == 150


def test_the_last_write_gets_longer():
    c = established({"net.ipv4.tcp_wmem": "4096 4096 4096"})
    first, second = c.start("send", SLOT, 100_000), c.start("send", SLOT, 1000)
    assert c.host.lengthen(SLOT, 7)
    for _ in range(400):
        c.send(".", ack=c.segments()[-1].seq if c.host.emitted_count() > c.seen else c.last_ack)
        c.wait(1)
        if c.result(second):
            break
    assert (c.result(first)[0], c.result(second)[0]) == (100_000, 1007)
    assert not c.host.lengthen(SLOT, 1)


def test_what_cannot_get_longer():
    c = established({"net.ipv4.tcp_wmem": "4096 4096 4096"})
    assert not c.host.lengthen(SLOT, 1)  # no such call
    assert not c.host.lengthen(10**6, 1) and not c.host.lengthen(-1, 1)
    c.ok("send", SLOT, 10)
    assert not c.host.lengthen(SLOT, 1)  # it is over
    c.start("send", SLOT, 0x7FFFF000 - 10)
    assert c.host.lengthen(SLOT, 10)
    assert not c.host.lengthen(SLOT, 1)  # more than one call moves
    with pytest.raises(ValueError, match="lengthen: -1 bytes"):
        c.host.lengthen(SLOT, -1)
    c.start("send", SLOT, iov=[5000] * 3)
    assert not c.host.lengthen(SLOT, 1)


def test_a_write_whose_beginning_left_with_the_syn_does_not_get_longer():
    c = client({"net.ipv4.tcp_fastopen": 5})  # client, and data in the SYN without a cookie
    c.start("sendto", SLOT, 100, 0x20000000, 5001, s=PEER)
    assert c.expect("S").length == 100
    assert not c.host.lengthen(SLOT, 1)


def test_a_write_that_waits_for_its_connection_gets_longer():
    c = syn_sent()
    call = c.start("send", SLOT, 100, thread=1)
    assert c.host.lengthen(SLOT, 11)
    c.raw(tcp_packet("S.", PEER_ISN, LOCAL_ISN + 1, 0, 65535, encode_options({"mss": 1460})))
    assert c.result(call)[0] == 111


# -- what is gone

def test_the_last_tcp_info_is_kept_only_if_wanted():
    got = {}
    for wanted in (False, True):
        c = established()
        c.host.want_tcp_info(wanted)
        assert c.host.connections()[0]["tcp_info"]["tcpi_state"] == 1
        c.send("R", ack=0)
        c.ok("close")
        got[wanted] = c.host.connections()[0]
    assert got[True]["tcp_info"]["tcpi_state"] == 7 and got[True]["segs_in"] == 2
    assert got[False] == {**got[True], "tcp_info": None, "segs_in": None, "segs_out": None}


# -- calls

def test_of_two_calls_at_the_same_time_that_which_was_added_first_comes_first():
    c = established()
    c.ok("setsockopt", SLOT, 6, 1, 1)  # TCP_NODELAY: each leaves at once
    rows = [[(30, 1), (40, 2), (50, 3)], [(25, 4), (30, 5), (40, 6), (60, 7)], [(10, 8), (20, 9), (50, 10)]]
    for row in rows:
        c.host.add_calls(rows_of([(t * MS, 0, SLOT, OPS["send"], n, 0, 0, -1) for t, n in row]), ADDRESSES)
        c.wait(1)
    c.wait(100)
    assert [c.host.emitted(i)[2] for i in range(2, 12)] == [8, 9, 4, 1, 5, 2, 6, 3, 10, 7]


def test_calls_that_are_not_added_as_one_of_them_is_wrong():
    c = established()
    before = c.host.calls_made()
    rows = rows_of([(20 * MS, 0, SLOT, OPS["send"], 1, 0, 0, -1), (30 * MS, 0, SLOT, OPS["connect"], 1, 0, 0, 99)])
    with pytest.raises(ValueError, match="address number 99"):
        c.host.add_calls(rows, ADDRESSES)
    assert c.host.calls_made() == before


def test_writes_that_are_added_and_moved_are_found_without_another_look():
    c = established()
    c.ok("setsockopt", SLOT, 6, 1, 1)
    c.host.add_calls(rows_of([(t * MS, 0, SLOT, OPS["send"], t, 0, 0, -1) for t in (20, 40)]), ADDRESSES)
    assert c.host.lengthen(SLOT, 1)  # that at 40
    c.host.add_calls(rows_of([(30 * MS, 0, SLOT, OPS["send"], 30, 0, 0, -1)]), ADDRESSES)
    assert c.host.lengthen(SLOT, 2)  # the same, which has moved
    c.host.add_calls(rows_of([(50 * MS, 0, SLOT, OPS["send"], 50, 0, 0, -1)]), ADDRESSES)
    assert c.host.lengthen(SLOT, 4)  # the new one
    c.host.add_calls(rows_of([(60 * MS, 0, 200, OPS["socket"], 0, 0, 0, -1)]), ADDRESSES)  # more slots than were known
    assert c.host.lengthen(SLOT, 8)
    c.wait(60)
    assert [c.host.emitted(i)[2] for i in range(2, 6)] == [20, 30, 43, 62]
