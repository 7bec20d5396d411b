# SPDX-License-Identifier: GPL-2.0-only
"""Data that arrives: in order, out of order, twice, late; and the ACKs that answer it (tcp_input.c, tcp_output.c)."""

import socket

import pytest
from conversation import MSS, SLOT, accepted, established
from wheel import fires

TS = {"mss": MSS, "sack": True, "ts": (1000, 1_000_000)}
MAX_QUICKACKS = 16  # TCP_MAX_QUICKACKS
ATO_MIN = 40  # TCP_ATO_MIN, ms


def interactive():
    """The application answered what it was asked at once: the connection is in pingpong mode."""
    c = established()
    c.send("P.", length=10)
    c.expect(".", ack=10)
    c.ok("recv", SLOT, 100)
    c.ok("send", SLOT, 10)
    c.expect("P.", seq=0, length=10, ack=10)
    return c


def test_data_in_order():
    c = established()
    c.send("P.", length=100)
    c.expect(".", seq=0, ack=100, length=0, window=64240 - 100)
    assert c.ok("recv", SLOT, 60) == 60
    assert c.ok("recv", SLOT, 60) == 40
    c.send("P.", length=50)
    c.expect(".", ack=150)
    assert c.counter("TcpInSegs") == 3


def test_sequence_numbers_wrap():
    """The peer's stream begins 127 bytes below 2**32."""
    c = established()
    for i in range(4):
        c.send("P.", length=100)
        c.expect(".", ack=100 * (i + 1))
    assert c.ok("recv", SLOT, 1000) == 400


def test_quick_acks_at_first_then_one_for_two():
    """tcp_incr_quickack(): 16 segments are acknowledged at once, so that the peer's slow start gets going; then
    RFC 9293 3.8.6.3: an ACK for at least every second full-sized segment, and none later than the delayed ACK."""
    c = established()
    acked = 0
    while True:
        c.send(".", length=MSS)
        if c.host.emitted_count() == c.seen:
            break
        acked += 1
        c.expect(".", ack=MSS * acked)
        c.ok("recv", SLOT, MSS)
    # While rcv_ssthresh still grows, tcp_grow_window() sets the lowest bit of the count again: some are free.
    assert MAX_QUICKACKS <= acked < 2 * MAX_QUICKACKS
    c.ok("recv", SLOT, MSS)
    c.expect_nothing()
    c.send(".", length=MSS)
    c.expect(".", ack=MSS * (acked + 2))


def test_delayed_ack():
    """In pingpong mode an ACK waits for data to go with, 40 ms at first."""
    c = interactive()
    c.wait(10)
    c.send("P.", length=10)
    due = fires(20, ATO_MIN)
    c.wait(due - c.t - 1)
    c.expect_nothing()
    c.wait(1)
    c.expect(".", ack=20, t=due)
    assert c.counter("DelayedACKs") == 1


def test_an_answer_carries_the_ack():
    c = interactive()
    c.wait(10)
    c.send("P.", length=10)
    c.ok("recv", SLOT, 100)
    c.ok("send", SLOT, 10)
    c.expect("P.", ack=20, length=10)
    c.send(".")
    c.expect_nothing(100)


def test_tcp_quickack_ends_pingpong():
    c = interactive()
    c.ok("setsockopt", SLOT, socket.SOL_TCP, socket.TCP_QUICKACK, 1)
    c.send("P.", length=10)
    c.expect(".", ack=20)


def test_a_hole_is_reported_at_once():
    """RFC 2018 section 4: the block that the last segment fell into; RFC 5681 4.2: an immediate duplicate ACK."""
    c = established()
    c.send("P.", seq=100, length=100)
    c.expect(".", ack=0, options={"blocks": [(100, 200)]})
    c.send("P.", seq=0, length=100)
    c.expect(".", ack=200, options={})
    assert c.ok("recv", SLOT, 1000) == 200
    assert c.counter("TCPOFOQueue") == 1


def test_sack_blocks_newest_first_and_four_at_the_most():
    """RFC 2018 section 4: at least the most recent three besides; four fit without timestamps."""
    c = established()
    for start in (1000, 3000, 5000, 7000, 9000):
        c.send("P.", seq=start, length=100)
        c.wait(2)
    last = c.segments()[-1]
    assert last.options["blocks"] == [(s, s + 100) for s in (9000, 7000, 5000, 3000)]
    c.send("P.", seq=5100, length=100)
    c.wait(2)
    c.expect(".", options={"blocks": [(5000, 5200), (9000, 9100), (7000, 7100), (3000, 3100)]})


def test_timestamps_leave_room_for_three_blocks():
    c = established(options=TS)
    for start in (1000, 3000, 5000, 7000):
        c.send("P.", seq=start, length=100)
        c.wait(2)
    assert [len(s.options["blocks"]) for s in c.segments()] == [1, 2, 3, 3]


def test_acks_of_a_long_hole_are_compressed():
    """__tcp_ack_snd_check(): three at once for the sender's dupthresh, then one timer for several."""
    c = established()
    c.send("P.", length=10)
    c.wait(50)
    c.send("P.", length=10)
    c.segments()
    for start in range(1000, 9000, 1000):
        c.send("P.", seq=start, length=100)
    at_once = len(c.segments())
    c.wait(5)
    assert at_once + len(c.segments()) <= 8
    assert c.state()["compressed_ack"] == 0


def test_without_sack_there_are_no_blocks():
    c = established(options={"mss": MSS})
    c.send("P.", seq=100, length=100)
    c.expect(".", ack=0, options={})


def test_dsack_for_what_came_twice():
    """RFC 2883 section 4: the first block tells what was received again."""
    c = established()
    c.send("P.", length=100)
    c.expect(".", ack=100)
    c.send("P.", seq=0, length=100)
    c.expect(".", ack=100, options={"blocks": [(0, 100)]})
    assert c.counter("TCPDSACKOldSent") == 1


def test_dsack_above_the_cumulative_ack():
    c = established()
    c.send("P.", seq=200, length=100)
    c.expect(".", options={"blocks": [(200, 300)]})
    c.send("P.", seq=200, length=100)
    c.expect(".", ack=0, options={"blocks": [(200, 300), (200, 300)]})
    assert c.counter("TCPDSACKOfoSent") == 1


def test_overlap_is_delivered_once():
    c = established()
    c.send("P.", length=100)
    c.send("P.", seq=50, length=100)
    assert c.ok("recv", SLOT, 1000) == 150


def test_a_fin_may_come_out_of_order():
    c = established()
    c.send("F.", seq=100)
    c.expect(".", ack=0)
    assert c.state()["sk_state"] == 1  # ESTABLISHED
    c.send("P.", seq=0, length=100)
    c.expect(".", ack=101)
    assert c.ok("recv", SLOT, 1000) == 100
    assert c.ok("recv", SLOT, 1000) == 0


def test_data_beyond_the_window_is_refused():
    """RFC 9293 3.10.7.4, first check: an ACK tells where the window is."""
    c = established()
    c.send("P.", seq=70_000, length=100)
    c.expect(".", ack=0)
    assert c.state()["rcv_nxt"] == (c.state()["irs"] + 1) & 0xFFFFFFFF
    assert c.host.drops()[0][2] in ("TCP_OVERWINDOW", "TCP_INVALID_SEQUENCE", "TCP_INVALID_END_SEQUENCE")


# -- timestamps: RFC 7323


def test_timestamps_are_echoed():
    c = established(options=TS)
    c.tsval = 5000
    c.send("P.", length=10)
    ack = c.expect(".", ack=10)
    assert ack.options["ts"][1] == 5000 + 10  # ms since the start are added to it
    assert ack.options["ts"][0] == 1_000_000 + 10


def test_paws_drops_old_segments():
    """RFC 7323 5.3 R1: an older timestamp: an ACK, and drop."""
    c = established(options=TS)
    c.tsval = 5000
    c.send("P.", length=10)
    c.expect(".")
    c.wait(1)
    c.tsval = 4000
    c.send("P.", seq=10, length=10)
    c.expect(".", ack=10)
    assert c.counter("PAWSEstab") == 1
    assert c.host.drops()[0][2] == "TCP_RFC7323_PAWS"


def test_paws_lets_resets_pass():
    """RFC 7323 5.2: the reset bit is checked without PAWS."""
    c = established(options=TS)
    c.tsval = 5000
    c.send("P.", length=10)
    c.expect(".")
    c.tsval = 10
    c.send("R", seq=10)
    assert c.state()["sk_state"] == 7  # CLOSE


def test_ts_recent_comes_from_the_segment_that_holds_the_last_ack():
    """RFC 7323 4.3: a later segment behind a hole does not move it."""
    c = established(options=TS)
    c.tsval = 2000
    c.send("P.", length=10)
    first = c.expect(".").options["ts"][1]
    c.tsval = 9000
    c.send("P.", seq=100, length=10)
    assert c.expect(".").options["ts"][1] == first


# -- reading


def test_recv_waits():
    c = established()
    call = c.start("recv", SLOT, 100)
    c.wait(5)
    assert c.result(call) is None
    c.send("P.", length=30)
    assert c.result(call) == (30, 0, 15)


def test_recv_with_waitall():
    c = established()
    call = c.start("recv", SLOT, 100, socket.MSG_WAITALL)
    c.send("P.", length=60)
    assert c.result(call) is None
    c.send("P.", length=60)
    assert c.result(call)[:2] == (100, 0)
    assert c.ok("recv", SLOT, 100) == 20


def test_recv_with_peek():
    c = established()
    c.send("P.", length=60)
    assert c.ok("recv", SLOT, 100, socket.MSG_PEEK) == 60
    assert c.ok("recv", SLOT, 100) == 60


def test_recv_with_trunc_throws_away():
    """tcp(7): MSG_TRUNC lets the bytes go without copying them."""
    c = established()
    c.send("P.", length=60)
    assert c.ok("recv", SLOT, 50, socket.MSG_TRUNC) == 50
    assert c.ok("recv", SLOT, 50) == 10


def test_recv_times_out():
    """SO_RCVTIMEO of 100 ms: 25 ticks, EAGAIN."""
    c = established()
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, 20, 100_000)  # SO_RCVTIMEO, us
    call = c.start("recv", SLOT, 100)
    c.wait(200)
    assert c.result(call) == (-1, 11, fires(10, 100))


def test_urgent_data():
    """RFC 9293 3.8.5 as Linux reads it (RFC 6093): one byte out of band, at the urgent pointer less one."""
    c = established()
    c.send("PU.", length=10, urgent=10)
    assert c.ok("recv", SLOT, 100) == 9
    assert c.ok("recv", SLOT, 10, socket.MSG_OOB) == 1
    c.fails(22, "recv", SLOT, 10, socket.MSG_OOB)  # EINVAL: read already


def test_reading_opens_the_window():
    """RFC 9293 3.8.6.2.2: the window moves by a segment at least; here the reader empties a full buffer."""
    c = established()
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # doubled by the kernel
    window = 64240
    while window >= MSS:
        c.send("P.", length=MSS)
        window = c.segments()[-1].window if c.host.emitted_count() > c.seen else window - MSS
    c.wait(100)
    c.segments()
    c.ok("recv", SLOT, 1 << 20)
    assert c.segments()[-1].window > window + MSS


@pytest.mark.parametrize("value", [4096, 20_000])
def test_so_rcvbuf_is_doubled_and_locked(value):
    """sk_setsockopt(): twice the value, for the overhead of skbs; auto-tuning leaves it alone."""
    c = accepted()
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_RCVBUF, value)
    assert c.state()["sk_rcvbuf"] == 2 * value
    assert c.state()["sk_userlocks"] & 2  # SOCK_RCVBUF_LOCK
