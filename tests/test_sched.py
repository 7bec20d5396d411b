# SPDX-License-Identifier: GPL-2.0-only
"""When things happen in a replay: what stands between a packet's stamp, a timer's expiry, a wake-up and the stack."""

from array import array

import pytest
from conversation import (
    EPOCH,
    LOCAL_ISN,
    MS,
    PEER_ISN,
    SLOT,
    established,
    syn_sent,
    tcp_packet,
)

from kpath_c.host import OPS

US = 1000


def arrive(c, *packets):
    """A capture of (ns behind the epoch, packet)."""
    buf = bytearray(b"".join(p for _, p in packets))
    lengths = array("q", [len(p) for _, p in packets])
    offsets = array("q", [sum(lengths[:i]) for i in range(len(lengths))])
    c.host.load(buf, array("q", [EPOCH + t for t, _ in packets]), offsets, lengths, lengths)


def emission_times(c, since=0):
    return [c.host.emitted(i)[0] - EPOCH for i in range(since, c.host.emitted_count())]


@pytest.mark.parametrize(("gap", "got"), [(30 * US, 200), (100 * US, 100)])
def test_a_woken_call_waits_for_the_end_of_the_batch(gap, got):
    """Who hands packets over does not sleep between two of a batch, so the application cannot run there."""
    c = established()
    call = c.start("recv", SLOT, 1000)
    c.host.latency(0, 0, 10 * US)
    data = [tcp_packet("P.", PEER_ISN + 1 + seq, LOCAL_ISN + 1, 100) for seq in (0, 100)]
    arrive(c, (20 * MS, data[0]), (20 * MS + gap, data[1]))
    c.wait(30)
    assert c.result(call)[0] == got


def test_packets_without_end_do_not_starve_the_application():
    c = established()
    call = c.start("recv", SLOT, 100)
    c.host.latency(0, 0, 10 * US)
    data = [tcp_packet("P.", PEER_ISN + 1 + 100 * i, LOCAL_ISN + 1, 100) for i in range(400)]
    arrive(c, *((20 * MS + i * 24 * US, packet) for i, packet in enumerate(data)))
    c.wait(40)
    assert 22 < c.result(call)[2] < 24


def read_before_return(quick_acks_over):
    """How long before its return, 100 us behind the packet, a recv has read; and whether it sent an ACK."""
    c = established()
    sent = 0
    while quick_acks_over and sent < 4000:  # each is read, so that the next one is not the second unread
        c.send("P.", length=100)
        c.ok("recv", SLOT, 100)
        sent += 100
    c.host.latency(0, 0, 10 * US)
    arrived = round(c.t * MS) + 20 * MS
    returned = arrived + 100 * US
    call = c.host.add_call(EPOCH + arrived - MS, EPOCH + returned, 0, SLOT, OPS["recv"], 1000, ret=100)
    arrive(c, (arrived, tcp_packet("P.", PEER_ISN + 1 + sent, LOCAL_ISN + 1, 100)))
    before = c.host.emitted_count()
    c.wait(21)
    assert c.host.call_result(call)[0] == 100
    times = [t - arrived for t in emission_times(c, before)]
    return returned - (c.host.call_result(call)[2] - EPOCH), any(t > 0 for t in times)


def test_a_recv_that_slept_reads_shortly_before_its_recorded_return():
    assert read_before_return(False) == (740 + 10_500, False)


def test_a_recv_that_sends_an_ack_reads_earlier():
    assert read_before_return(True) == (10_700 + 28_000, True)


@pytest.mark.parametrize("late", [0, 25 * US])
def test_the_wheel_runs_late_behind_its_tick(late):
    c = syn_sent()
    c.host.latency(0, 0, 0, tick_ns=late)
    c.wait(1500)
    (again,) = emission_times(c, 1)
    assert again % (4 * MS) == late


def compressed_ack_time(late):
    """When the ACK leaves that stands for the last of many segments behind a hole."""
    c = established()
    c.host.latency(0, 0, 0, hrtimer_ns=late)
    for i in range(1, 30):
        c.send(".", seq=100 * i, length=100)
    seen = c.host.emitted_count()
    c.wait(3)
    (t,) = emission_times(c, seen)
    return t


def test_hrtimers_run_late():
    assert compressed_ack_time(16 * US) == compressed_ack_time(0) + 16 * US


def test_a_packet_that_wakes_an_idle_processor_is_slower():
    c = established()
    c.host.latency(8 * US, 0, 0)
    seen = c.host.emitted_count()
    data = [tcp_packet("P.", PEER_ISN + 1 + 100 * i, LOCAL_ISN + 1, 100) for i in (0, 2, 4)]
    arrive(c, (50 * MS, data[0]), (52 * MS, data[1]), (70 * MS, data[2]))
    c.wait(75)
    assert emission_times(c, seen) == [50 * MS + 16 * US, 52 * MS + 8 * US, 70 * MS + 16 * US]


def test_an_ack_that_comes_while_a_write_holds_the_socket_waits_in_its_backlog():
    """A veth hands packets over within the sender's call: release_sock() sees to them."""
    c = established(device={"rx": "veth"})
    start = round(c.t * MS) + 10 * MS
    call = c.host.add_call(EPOCH + start, EPOCH + start + 200 * US, 0, SLOT, OPS["send"], 1000, ret=1000)
    arrive(c, (start + 50 * US, tcp_packet(".", PEER_ISN + 1, LOCAL_ISN + 1 + 1000)))
    c.wait(20)
    assert c.host.call_result(call)[0] == 1000
    assert c.state()["packets_out"] == 0 and c.state()["snd_una"] == c.state()["snd_nxt"]
    assert c.state()["sk_backlog.len"] == 0
