# SPDX-License-Identifier: GPL-2.0-only
"""The passive open: tcp_conn_request(), request sockets, tcp_check_req(), the accept queue; and closed ports."""

import errno
import socket

import pytest
from conversation import (
    LISTENER,
    LOCAL,
    LOCAL_ISN,
    LOCAL_PORT,
    MSS,
    PEER_ISN,
    PEER_PORT,
    SLOT,
    UPTIME_MS,
    accepted,
    encode_options,
    listening,
    relative,
    syn_received,
    tcp_packet,
)
from wheel import series

PLAIN = encode_options({"mss": MSS})


def knock(c, port):
    """A SYN from another port of the peer."""
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, PLAIN, sport=port))


def finish(c, port, synack):
    c.raw(tcp_packet(".", PEER_ISN + 1, LOCAL_ISN + 1 + synack.seq + 1, sport=port))


def test_synack_answers_the_syns_options_only():
    c = listening()
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, encode_options({"mss": 1000, "ts": (77, 0), "ws": 7})))
    synack = c.expect("S.", seq=-1, ack=0, window=65535 // 1448 * 1448)
    assert list(synack.options) == ["mss", "ts", "ws"]
    assert synack.options["ts"][1] == 77
    assert c.counter("TcpPassiveOpens") == 0


def test_accept_waits_for_the_last_ack():
    c = listening()
    call = c.start("accept", LISTENER, SLOT)
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, PLAIN))
    c.expect("S.")
    assert c.result(call) is None
    c.wait(10)
    c.send(".", seq=0, ack=0)
    assert c.result(call) == (SLOT, 0, 10)
    assert c.name_of_state() == "ESTABLISHED"
    assert c.counter("TcpPassiveOpens") == 1


def test_nonblocking_accept():
    c = listening()
    c.ok("fcntl", LISTENER, 1)
    c.fails(errno.EAGAIN, "accept", LISTENER, SLOT)


def test_synack_is_sent_again():
    """tcp_synack_retries = 5, one second at first, doubling; then the request is dropped."""
    c = syn_received()
    times = series(0, [1000, 2000, 4000, 8000, 16000, 32000])
    c.wait(70_000)
    again = c.segments()
    assert [s.t for s in again] == times[:-1]
    assert {(s.flags, s.seq, s.ack) for s in again} == {("S.", -1, 0)}
    assert c.host.pools()["request_sock_TCP"] == 0
    assert c.counter("TcpRetransSegs") == 5


def test_a_syn_that_comes_again_is_answered_again():
    """tcp_check_req(): the peer did not see our SYN-ACK."""
    c = syn_received()
    c.wait(600)
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, encode_options({"mss": MSS, "sack": True})))
    c.expect("S.", seq=-1, ack=0, t=600)


def test_a_reset_ends_a_request():
    c = syn_received()
    c.send("R", seq=0)
    assert c.host.pools()["request_sock_TCP"] == 0
    c.expect_nothing(2000)


def test_an_ack_of_what_was_never_sent_is_reset():
    """RFC 9293 3.10.7.4, SYN-RECEIVED: <SEQ=SEG.ACK><CTL=RST>."""
    c = syn_received()
    c.send(".", seq=0, ack=99)
    c.expect("R", seq=99)


def test_data_may_come_with_the_last_ack():
    c = syn_received()
    c.wait(10)
    c.send("P.", seq=0, ack=0, length=100)
    c.expect(".", ack=100)
    c.ok("accept", LISTENER, SLOT)
    assert c.ok("recv", SLOT, 1000) == 100


def test_backlog_overflow():
    """sk_acceptq_is_full(): more than the backlog; with listen(1) two fit, the third SYN is dropped."""
    c = listening(backlog=1)
    for port in (6001, 6002):
        knock(c, port)
        (synack,) = c.segments()
        finish(c, port, synack)
    knock(c, 6003)
    c.expect_nothing()
    assert c.counter("ListenOverflows") == 1
    assert c.counter("ListenDrops") == 1
    c.ok("accept", LISTENER, 10)
    knock(c, 6003)
    c.expect("S.")


def test_the_queue_may_fill_during_a_handshake():
    """The last ACK finds no room: it is dropped, the request stays (tcp_v4_syn_recv_sock())."""
    c = listening(backlog=2)
    synacks = {}
    for port in (6001, 6002):
        knock(c, port)
        finish(c, port, c.expect("S."))
    for port in (6003, 6004):
        knock(c, port)
        synacks[port] = c.expect("S.")
    finish(c, 6003, synacks[6003])
    finish(c, 6004, synacks[6004])
    assert c.counter("ListenOverflows") == 1
    for slot in (10, 11, 12):
        c.ok("accept", LISTENER, slot)
    finish(c, 6004, synacks[6004])
    c.ok("accept", LISTENER, 13)


def test_abort_on_overflow_resets_who_finds_no_room():
    """tcp_abort_on_overflow = 1, tcp_check_req(): the client learns at once, and there is nothing to come back to."""
    c = listening({"net.ipv4.tcp_abort_on_overflow": 1}, backlog=2)
    synacks = {}
    for port in (6001, 6002):
        knock(c, port)
        finish(c, port, c.expect("S."))
    for port in (6003, 6004):
        knock(c, port)
        synacks[port] = c.expect("S.")
    finish(c, 6003, synacks[6003])
    c.expect_nothing()
    finish(c, 6004, synacks[6004])
    c.expect("R", seq=synacks[6004].seq + 1)
    assert (c.counter("ListenOverflows"), c.counter("EmbryonicRsts")) == (1, 1)
    assert c.host.pools()["request_sock_TCP"] == 3
    c.ok("accept", LISTENER, 10)
    finish(c, 6004, synacks[6004])
    c.expect("R")


def test_an_overflow_without_abort_asks_again():
    """The request was acknowledged but found no room: its SYN-ACK is repeated no more than the client's patience needs
    (inet_rsk(req)->acked, syn_ack_recalc()), and a later ACK opens it."""
    c = listening(backlog=0)
    knock(c, 6001)
    finish(c, 6001, c.expect("S."))
    knock(c, 6002)
    c.expect_nothing()
    assert c.counter("ListenOverflows") == 1


# -- TCP_DEFER_ACCEPT

DEFER_ACCEPT = 9


def deferring(seconds, sysctl=None):
    c = listening(sysctl)
    c.ok("setsockopt", LISTENER, socket.IPPROTO_TCP, DEFER_ACCEPT, seconds)
    c.ok("fcntl", LISTENER, 1)
    return c


def test_deferred_the_bare_ack_is_dropped_until_the_time_is_over():
    """tcp_check_req(): TCPDeferAcceptDrop. The SYN-ACK is not repeated meanwhile (inet_rsk(req)->acked), but at the end
    it is, and the ACK that it draws opens the connection (syn_ack_recalc())."""
    c = deferring(3)
    knock(c, 6001)
    synack = c.expect("S.")
    finish(c, 6001, synack)
    assert c.counter("TCPDeferAcceptDrop") == 1
    c.fails(errno.EAGAIN, "accept", LISTENER, SLOT)
    c.expect_nothing(2900)
    c.wait(500)
    again = c.expect("S.")
    assert again.t == 3040  # 1 s, then 2, each up to the wheel's next slot
    finish(c, 6001, synack)
    c.ok("accept", LISTENER, SLOT)


def test_deferred_data_opens_at_once():
    c = deferring(3)
    knock(c, 6001)
    synack = c.expect("S.")
    finish(c, 6001, synack)
    c.raw(tcp_packet("P.", PEER_ISN + 1, LOCAL_ISN + 1 + synack.seq + 1, 10, sport=6001))
    c.ok("accept", LISTENER, SLOT)
    assert c.ok("recv", SLOT, 100) == 10


@pytest.mark.parametrize(("seconds", "read"), [(0, 0), (1, 1), (2, 3), (5, 7), (10, 15), (100, 127)])
def test_deferral_is_kept_as_a_number_of_synacks(seconds, read):
    """secs_to_retrans(), retrans_to_secs(): 1, 3, 7, 15 ... seconds."""
    c = deferring(seconds)
    c.ok("getsockopt", LISTENER, socket.IPPROTO_TCP, DEFER_ACCEPT)
    assert c.host.call_result(c.host.calls_made() - 1)[4] == read


def test_closing_a_listener_resets_whom_it_did_not_accept():
    """inet_csk_listen_stop()."""
    c = syn_received()
    c.wait(10)
    c.send(".", seq=0, ack=0)
    c.ok("close", LISTENER)
    c.expect("R.", seq=0, ack=0)


def test_a_syn_to_a_closed_port():
    """RFC 9293 3.10.7.1: <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>."""
    c = listening()
    c.raw(tcp_packet("S", PEER_ISN, 0, dport=LOCAL_PORT + 1))
    reset = c.expect("R.", ack=0, window=0)
    assert reset.seq == relative(0, LOCAL_ISN)
    assert c.counter("TcpOutRsts") == 1


def test_an_ack_to_a_closed_port():
    """RFC 9293 3.10.7.1: <SEQ=SEG.ACK><CTL=RST>."""
    c = listening()
    c.raw(tcp_packet(".", PEER_ISN, LOCAL_ISN + 1 + 500, dport=LOCAL_PORT + 1))
    c.expect("R", seq=500, window=0)


def test_a_reset_to_a_closed_port_is_not_answered():
    c = listening()
    c.raw(tcp_packet("R", PEER_ISN, 0, dport=LOCAL_PORT + 1))
    c.expect_nothing()


def test_a_bad_checksum_is_dropped_and_counted():
    c = listening()
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, PLAIN, bad_checksum=True))
    c.expect_nothing()
    assert c.counter("TcpInCsumErrors") == 1
    assert [d[2] for d in c.host.drops()] == ["TCP_CSUM"]


def test_a_packet_for_another_host_is_dropped():
    c = listening()
    c.raw(tcp_packet("S", PEER_ISN, 0, dst="10.0.0.77"))
    c.expect_nothing()


def test_listener_ignores_what_is_no_syn():
    """A bare ACK to a listener is reset, a RST is not answered (RFC 9293 3.10.7.2)."""
    c = listening()
    c.raw(tcp_packet(".", PEER_ISN, LOCAL_ISN + 1))
    c.expect("R", seq=0)
    c.raw(tcp_packet("R", PEER_ISN, 0))
    c.raw(tcp_packet("SF", PEER_ISN, 0, 0, 65535, PLAIN))  # SYN and FIN at once: dropped since 4.x
    c.expect_nothing()


def test_accepted_sockets_share_the_port():
    c = accepted()
    assert c.state()["sk_num"] == LOCAL_PORT
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, PLAIN, sport=PEER_PORT + 1))
    c.expect("S.")
    assert [x["laddr"] for x in c.host.connections()] == [LOCAL]


def test_old_requests_give_way_when_the_queue_is_half_full():
    """reqsk_timer_handler(): a SYN-ACK is retried five times, but twice only while few requests are young."""
    alone, crowd = listening(backlog=8), listening(backlog=8)
    knock(alone, 6000)
    for i in range(6):
        knock(crowd, 6000 + i)
    assert crowd.host.pools()["request_sock_TCP"] == 6
    for c, left in ((alone, 1), (crowd, 4)):
        c.wait(10_000)
        assert c.host.pools()["request_sock_TCP"] == left


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_syn_ack_at_the_turn_of_a_ms_has_the_tsval_that_it_had(late):
    """An ACK that echoes another than those of the SYN-ACKs does not open the connection (TSEcrRejected)."""
    c = listening(stamp=(777 + late, UPTIME_MS + 777))
    c.timestamps = True
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, encode_options({"mss": MSS, "ts": (c.tsval, 0)})))
    assert c.expect("S.", seq=-1, ack=0).options["ts"] == (UPTIME_MS + 777, c.tsval)
    c.wait(10)
    c.send(".", seq=0, ack=0)
    c.expect_nothing()
    c.ok("accept", LISTENER, SLOT)
    assert c.counter("TSEcrRejected") == 0
