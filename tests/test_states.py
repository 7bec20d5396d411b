# SPDX-License-Identifier: GPL-2.0-only
"""The ends of a connection: FIN in every state, TIME_WAIT, half close, orphans, linger (tcp_rcv_state_process(),
tcp_timewait_state_process(), __tcp_close())."""

import errno
import socket

from conversation import (
    LISTENER,
    LOCAL_ISN,
    MSS,
    PEER,
    PEER_ISN,
    PEER_PORT,
    SLOT,
    accepted,
    close_wait,
    closing,
    encode_options,
    established,
    fin_wait1,
    fin_wait2,
    last_ack,
    syn_received,
    tcp_packet,
    time_wait,
)
from wheel import fires

SECOND = 1000
TCP_CLOSE = 7


def test_the_factories_are_where_they_say():
    for make, state in ((fin_wait1, "FIN_WAIT1"), (fin_wait2, "FIN_WAIT2"), (closing, "CLOSING"),
                        (close_wait, "CLOSE_WAIT"), (last_ack, "LAST_ACK"), (time_wait, "TIME_WAIT")):
        assert make().name_of_state() == state


def test_half_close_leaves_the_other_way_open():
    """RFC 9293 3.6: FIN-WAIT-2 still receives."""
    c = fin_wait2()
    c.send("P.", length=100)
    c.expect(".", seq=1, ack=100)
    assert c.ok("recv", SLOT, 1000) == 100
    c.fails(errno.EPIPE, "send", SLOT, 10, socket.MSG_NOSIGNAL)


def test_close_wait_still_sends():
    c = close_wait()
    c.ok("send", SLOT, 100)
    c.expect("P.", seq=0, ack=1, length=100)
    assert c.ok("recv", SLOT, 100) == 0


def test_fin_and_ack_together_lead_to_time_wait():
    c = fin_wait1()
    c.send("F.", ack=1)
    c.expect(".", seq=1, ack=1)
    c.ok("close")
    assert c.name_of_state() == "TIME_WAIT"


def test_closing_ends_in_time_wait():
    c = closing()
    c.send(".", ack=1)
    assert c.name_of_state() == "TIME_WAIT"


def test_last_ack_ends_the_connection():
    c = last_ack()
    assert c.host.pools()["TCP"] == c.host.pools()["TCP inuse"] == 1
    c.send(".", ack=1)
    assert c.host.pools()["TCP"] == c.host.pools()["TCP inuse"] == 0
    assert c.host.pools()["tw_sock_TCP"] == 0
    assert c.counter("TcpCurrEstab") == 0


def test_a_fin_that_is_lost_is_sent_again():
    """icsk_rto after one sample of 10 ms: srtt + max(4 rttvar, 200 ms) = 212 ms in ticks (RFC 6298, tcp_rto_min)."""
    c = fin_wait1()
    c.wait(300)
    again = c.segments()
    assert {(s.flags, s.seq) for s in again} == {("F.", 0)}
    assert again[0].t == fires(10, 212)


def test_time_wait_answers_a_fin_that_comes_again():
    """RFC 9293 3.10.7.4: acknowledge it and restart the 2 MSL timer."""
    c = time_wait()
    c.wait(600)
    c.send("F.", seq=0, ack=1)
    c.expect(".", seq=1, ack=1)


def test_time_wait_lasts_sixty_seconds():
    """TCP_TIMEWAIT_LEN."""
    c = time_wait()
    c.wait(59 * SECOND)
    assert c.host.pools()["tw_sock_TCP"] == 1
    assert c.host.pools()["TCP inuse"] == 0
    c.wait(4 * SECOND)
    assert c.host.pools()["tw_sock_TCP"] == 0
    assert c.counter("TW") == 1


def test_a_reset_ends_time_wait():
    """Unless tcp_rfc1337 is set (RFC 1337 calls it assassination)."""
    c = time_wait()
    c.send("R", seq=1)
    assert c.host.pools()["tw_sock_TCP"] == 0


def test_rfc1337_keeps_time_wait():
    c = time_wait(sysctl={"net.ipv4.tcp_rfc1337": 1})
    c.send("R", seq=1)
    assert c.host.pools()["tw_sock_TCP"] == 1


def test_a_syn_in_time_wait_without_a_listener():
    """tcp_v4_rcv(), TCP_TW_SYN: nobody would take it, so it is acknowledged like any stray segment."""
    c = time_wait()
    c.raw(tcp_packet("S", PEER_ISN + 100_000, 0, 0, 65535, encode_options({"mss": MSS})))
    c.expect(".", seq=1, ack=1)
    assert c.host.pools()["tw_sock_TCP"] == 1


def test_a_syn_with_a_later_number_opens_anew_in_time_wait():
    """RFC 9293 3.10.7.4 allows it (RFC 1122 4.2.2.13); an earlier number does not."""
    c = accepted()
    c.ok("close")
    c.expect("F.", seq=0)
    c.send("F.", ack=1)
    c.expect(".", seq=1, ack=1)
    c.raw(tcp_packet("S", PEER_ISN - 100, 0, 0, 65535, encode_options({"mss": MSS})))
    c.expect(".", seq=1, ack=1)
    c.raw(tcp_packet("S", PEER_ISN + 100, 0, 0, 65535, encode_options({"mss": MSS})))
    c.expect("S.", ack=100)
    assert c.host.pools()["tw_sock_TCP"] == 0


def test_a_port_in_time_wait_is_taken_again_with_timestamps():
    """tcp_tw_reuse = 1 and a second gone by: twsk_unique(); the new ISN is above all that was sent (RFC 6191)."""
    c = time_wait(sysctl={"net.ipv4.tcp_tw_reuse": 1, "net.ipv4.ip_local_port_range": "40000 40000"},
                  options={"mss": MSS, "sack": True, "ts": (1000, 1_000_000)})
    c.wait(100)
    c.ok("socket", 4)
    c.fails(errno.EADDRNOTAVAIL, "connect", 4, PEER_PORT, s=PEER)
    c.wait(2 * SECOND)
    c.start("connect", 4, PEER_PORT, s=PEER)
    syn = c.expect("S")
    assert syn.seq > 1 + 65535  # snd_nxt + 65535 + 2
    assert c.counter("TWRecycled") == 1


def test_an_orphan_in_fin_wait2_is_given_up():
    """tcp_fin_timeout, 60 s: kept as a mini socket; what comes then is reset."""
    c = fin_wait2()
    c.ok("close")
    assert (c.host.pools()["TCP"], c.host.pools()["tw_sock_TCP"]) == (0, 1)
    c.wait(64 * SECOND)
    assert c.host.pools()["tw_sock_TCP"] == 0
    c.send("F.", ack=1)
    c.expect("R", seq=1)


def test_data_for_an_orphan_is_reset():
    """RFC 2525 2.17: nobody will read it (tcp_rcv_state_process(), TCPABORTONDATA)."""
    c = fin_wait1()
    c.ok("close")
    c.send("P.", ack=1, length=10)
    c.expect("R", seq=1)
    assert c.counter("TCPAbortOnData") == 1


def test_close_with_unread_data_resets():
    """RFC 2525 2.17, RFC 9293 3.6.1: the peer must learn that it was not read."""
    c = established()
    c.send("P.", length=10)
    c.expect(".")
    c.ok("close")
    c.expect("R.", seq=0, ack=10)
    assert c.counter("TCPAbortOnClose") == 1
    assert c.host.pools()["TCP"] == 0


def test_linger_zero_resets():
    c = established()
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_LINGER, 1, 0)
    c.ok("send", SLOT, 100)
    c.expect("P.")
    c.ok("close")
    c.expect("R.", seq=100)
    assert c.counter("TCPAbortOnData") == 1


def test_linger_waits_for_the_peer():
    c = established()
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_LINGER, 1, 10)
    c.ok("send", SLOT, 100)
    c.expect("P.")
    call = c.start("close")
    c.expect("F.", seq=100)
    c.wait(20)
    assert c.result(call) is None
    c.send(".", ack=101)
    assert c.result(call) == (0, 0, 30)


def test_linger_does_not_wait_for_ever():
    c = established()
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_LINGER, 1, 2)
    c.ok("send", SLOT, 100)
    call = c.start("close")
    c.wait(5 * SECOND)
    assert c.result(call) == (0, 0, fires(10, 2 * SECOND))


def test_an_orphan_retransmits_and_gives_up():
    """tcp_orphan_retries 0 means 8, and 7 below that; in the end the socket is gone."""
    c = established()
    c.ok("send", SLOT, 100)
    c.ok("close")
    c.wait(300 * SECOND)
    assert c.host.pools()["TCP"] == 0
    assert c.counter("TCPAbortOnTimeout") == 1


def test_shutdown_twice():
    c = fin_wait1()
    c.ok("shutdown", SLOT, 1)
    c.expect_nothing()
    c.send("F.", ack=1)
    c.expect(".")
    c.fails(errno.ENOTCONN, "shutdown", SLOT, 1)


def test_reset_in_close_wait_is_a_broken_pipe():
    """tcp_reset(): ECONNRESET elsewhere, EPIPE in CLOSE_WAIT."""
    c = close_wait()
    c.send("R", seq=1)
    c.fails(errno.EPIPE, "send", SLOT, 10, socket.MSG_NOSIGNAL)


def test_nothing_is_known_of_a_connection_long_closed():
    c = last_ack()
    c.send(".", ack=1)
    c.raw(tcp_packet(".", PEER_ISN + 2, LOCAL_ISN + 2))
    c.expect("R", seq=1)


def test_a_connection_that_is_ended_from_outside():
    """`ss -K`: the peer gets a reset, the application ECONNABORTED."""
    c = established()
    call = c.start("recv", SLOT, 100)
    assert c.host.abort(SLOT)
    c.expect("R.", seq=0, ack=0)
    assert c.result(call)[:2] == (-1, errno.ECONNABORTED)
    assert not c.host.abort(SLOT) and not c.host.abort(99)


def test_a_listener_that_is_ended_from_outside():
    """What it had not answered yet is forgotten when its SYN-ACK would be sent again."""
    c = syn_received()
    assert c.host.abort(LISTENER)
    assert c.state(LISTENER)["sk_state"] == TCP_CLOSE
    c.expect_nothing(2 * SECOND)
    assert c.host.pools()["request_sock_TCP"] == 0
