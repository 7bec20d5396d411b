# SPDX-License-Identifier: GPL-2.0-only
"""Segments that somebody may have forged: RFC 5961's checks in tcp_validate_incoming() and tcp_ack()."""

import errno

from conversation import MSS, SLOT, established


def test_a_reset_at_the_exact_number_ends_the_connection():
    """RFC 5961 3.2 (1)."""
    c = established()
    c.send("R", seq=0)
    c.expect_nothing()
    assert c.state()["sk_state"] == 7  # CLOSE
    c.fails(errno.ECONNRESET, "recv", SLOT, 10)
    assert c.ok("recv", SLOT, 10) == 0  # the error is told once
    assert c.counter("TcpEstabResets") == 1


def test_a_reset_elsewhere_in_the_window_is_challenged():
    """RFC 5961 3.2 (3): <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>."""
    c = established()
    c.send("R", seq=1000)
    c.expect(".", seq=0, ack=0, length=0)
    assert c.name_of_state() == "ESTABLISHED"
    assert c.counter("TCPChallengeACK") == 1


def test_a_reset_outside_the_window_is_dropped():
    c = established()
    c.send("R", seq=100_000)
    c.expect_nothing()
    assert c.name_of_state() == "ESTABLISHED"


def test_challenges_are_limited():
    """tcp_invalid_ratelimit: one in 500 ms for a connection (RFC 5961 section 7)."""
    c = established()
    c.send("R", seq=1000)
    c.expect(".")
    c.wait(400)
    c.send("R", seq=1000)
    c.expect_nothing()
    assert c.counter("TCPACKSkippedChallenge") == 1
    c.wait(200)
    c.send("R", seq=1000)
    c.expect(".")


def test_without_a_limit_each_is_challenged():
    c = established({"net.ipv4.tcp_invalid_ratelimit": 0})
    for _ in range(5):
        c.send("R", seq=1000)
    assert len(c.segments()) == 5


def test_a_syn_is_challenged():
    """RFC 5961 4.2: whatever its sequence number."""
    c = established()
    c.send("S", seq=-1)
    c.expect(".", seq=0, ack=0)
    assert c.counter("TCPSYNChallenge") == 1
    assert c.name_of_state() == "ESTABLISHED"


def test_an_ack_of_what_was_not_sent_is_challenged():
    """RFC 5961 5.2: above SND.NXT."""
    c = established()
    c.send(".", ack=1000)
    c.expect(".", seq=0, ack=0)
    assert c.state()["snd_una"] == c.state()["snd_nxt"]


def test_a_very_old_ack_is_challenged():
    """RFC 5961 5.2: below SND.UNA - MAX.SND.WND."""
    c = established(window=4000)
    c.ok("send", SLOT, MSS)
    c.expect("P.")
    c.send(".", ack=MSS, window=4000)
    c.send("P.", ack=MSS - 4001, length=10, window=4000)
    c.expect(".", seq=MSS, ack=0)
    assert c.counter("TCPChallengeACK") == 1


def test_an_old_ack_within_the_window_is_let_pass():
    c = established(window=4000)
    c.ok("send", SLOT, MSS)
    c.expect("P.")
    c.send(".", ack=MSS, window=4000)
    c.send("P.", ack=0, length=10, window=4000)
    c.expect(".", ack=10)
    assert c.counter("TCPChallengeACK") == 0


def test_a_segment_without_ack_is_dropped():
    """RFC 9293 3.10.7.4, fifth check."""
    c = established()
    c.send("P", length=10)
    c.expect_nothing()
    assert c.host.drops()[-1][2] == "TCP_FLAGS"


def test_two_resets_in_a_row_are_not_answered_with_resets():
    c = established()
    c.send("R", seq=0)
    c.send("R", seq=0)
    c.expect_nothing()


def test_data_for_a_connection_that_is_gone_is_reset():
    c = established()
    c.send("R", seq=0)
    c.send("P.", seq=0, length=10)
    c.expect("R", seq=0)
