# SPDX-License-Identifier: GPL-2.0-only
"""Segments for a connection request: tcp_check_req()."""

from conversation import syn_received


def test_a_reset_elsewhere_in_the_window_is_challenged():
    """RFC 5961 3.2 (3), before there is a socket: the request stays, and the handshake can go on."""
    c = syn_received()
    c.send("R", seq=1000)
    c.expect(".", seq=0, ack=0, length=0)
    assert c.counter("TCPChallengeACK") == 1
    c.send(".", seq=0, ack=0)
    assert c.counter("TcpPassiveOpens") == 1


def test_the_requests_answers_are_limited():
    """The challenge counts for the limit that a SYN that comes again meets."""
    c = syn_received()
    c.send("R", seq=1000)
    c.expect(".")
    c.wait(10)
    c.send("R", seq=1000)
    c.expect_nothing()
    assert c.counter("TCPChallengeACK") == 1


def test_a_reset_at_the_exact_number_ends_the_request():
    """RFC 5961 3.2 (1)."""
    c = syn_received()
    c.send("R", seq=0)
    c.expect_nothing(5000)
    assert (c.counter("TcpAttemptFails"), c.counter("TCPChallengeACK")) == (1, 0)
