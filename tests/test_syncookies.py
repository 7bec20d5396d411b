# SPDX-License-Identifier: GPL-2.0-only
"""SYN cookies (RFC 4987 3.6) with tcp_syncookies 0, 1 and 2: what a cookie keeps of the SYN, and which are believed."""

import pytest
from conversation import LISTENER, MSS, SLOT, listening
from packets import LOCAL_ISN, PEER_ISN, PEER_PORT, encode_options, tcp_packet

ALL = {"mss": MSS, "sack": True, "ts": (1000, 0), "ws": 7}
MINUTE = 60_000


def knock(c, options, port=PEER_PORT, ecn=""):
    c.raw(tcp_packet("S" + ecn, PEER_ISN, 0, options=encode_options(options), sport=port))
    return c.segments()


def answer(c, cookie, port=PEER_PORT, echo=None, length=0):
    options = {} if echo is None else {"ts": (1010, echo)}
    c.raw(tcp_packet("P." if length else ".", PEER_ISN + 1, LOCAL_ISN + 1 + cookie + 1, length,
                     options=encode_options(options), sport=port))


def always(**kw):
    return listening({"net.ipv4.tcp_syncookies": 2, **kw})


def test_off_a_full_queue_drops():
    """tcp_syncookies = 0; with a backlog of 1 two requests fit (inet_csk_reqsk_queue_is_full())."""
    c = listening({"net.ipv4.tcp_syncookies": 0}, backlog=1)
    assert [len(knock(c, {"mss": MSS}, port)) for port in (6001, 6002, 6003)] == [1, 1, 0]
    assert (c.counter("TCPReqQFullDrop"), c.counter("SyncookiesSent")) == (1, 0)


def test_off_young_requests_go_before_the_last_quarter():
    """tcp_conn_request(): without cookies an unproven peer finds a quarter of tcp_max_syn_backlog reserved."""
    c = listening({"net.ipv4.tcp_syncookies": 0, "net.ipv4.tcp_max_syn_backlog": 8}, backlog=100)
    assert [len(knock(c, {"mss": MSS}, 6000 + k)) for k in range(9)] == [1] * 7 + [0] * 2
    assert c.counter("ListenDrops") == 2


def test_on_a_full_queue_answers_with_cookies():
    c = listening({"net.ipv4.tcp_syncookies": 1}, backlog=1)
    assert [len(knock(c, {"mss": MSS}, port)) for port in (6001, 6002, 6003)] == [1, 1, 1]
    assert (c.counter("TCPReqQFullDoCookies"), c.counter("SyncookiesSent")) == (1, 1)
    assert c.host.pools()["request_sock_TCP"] == 2


def test_on_an_ack_is_believed_only_after_an_overflow():
    """tcp_synq_no_recent_overflow(): two minutes long."""
    c = listening({"net.ipv4.tcp_syncookies": 1}, backlog=1)
    cookie = [knock(c, {"mss": MSS}, port) for port in (6001, 6002, 6003)][-1][0].seq
    c.wait(5 * MINUTE)
    c.segments()
    answer(c, cookie, 6003)
    c.expect("R")
    assert (c.counter("SyncookiesRecv"), c.counter("SyncookiesFailed")) == (0, 0)  # not even looked at


def test_always_nothing_is_kept():
    c = always()
    (synack,) = knock(c, ALL)
    assert c.host.pools()["request_sock_TCP"] == 0
    assert set(synack.options) == {"mss", "sack", "ts", "ws"}
    c.expect_nothing(10_000)  # and nothing is sent again


def test_the_ack_makes_the_connection():
    """cookie_v4_check(): the options come back in the echoed timestamp (cookie_timestamp_decode())."""
    c = always()
    (synack,) = knock(c, ALL)
    c.wait(10)
    answer(c, synack.seq, echo=synack.options["ts"][0], length=50)
    c.ok("accept", LISTENER, SLOT)
    assert c.ok("recv", SLOT, 100) == 50
    s = c.state()
    assert (s["rx_opt.mss_clamp"], s["rx_opt.snd_wscale"], s["rx_opt.tstamp_ok"], s["rx_opt.sack_ok"] & 1) == (
        MSS, 7, 1, 1)
    assert (c.counter("SyncookiesSent"), c.counter("SyncookiesRecv")) == (1, 1)


def test_without_timestamps_there_is_nothing_but_the_mss():
    c = always()
    (synack,) = knock(c, {"mss": MSS, "sack": True, "ws": 7})
    assert set(synack.options) == {"mss"}
    answer(c, synack.seq)
    c.ok("accept", LISTENER, SLOT)
    s = c.state()
    assert (s["rx_opt.mss_clamp"], s["rx_opt.wscale_ok"], s["rx_opt.sack_ok"]) == (MSS, 0, 0)


@pytest.mark.parametrize(("mss", "kept"), [(535, 536), (536, 536), (1299, 536), (1300, 1300), (1439, 1300),
                                           (1440, 1440), (9000, 1460)])
def test_one_of_four_sizes_is_kept(mss, kept):
    """msstab: a cookie has two bits for it."""
    c = always()
    (synack,) = knock(c, {"mss": mss})
    answer(c, synack.seq)
    c.ok("accept", LISTENER, SLOT)
    assert c.state()["rx_opt.mss_clamp"] == kept


@pytest.mark.parametrize("wrong", [1, -1, 1 << 24, 77 << 8])
def test_a_forged_cookie_is_refused(wrong):
    c = always()
    (synack,) = knock(c, {"mss": MSS})
    answer(c, synack.seq + wrong)
    c.expect("R")
    assert c.counter("SyncookiesFailed") == 1
    assert not c.call("accept", LISTENER, SLOT)[2]


def test_a_cookie_is_of_one_peer_only():
    c = always()
    (synack,) = knock(c, {"mss": MSS}, 6001)
    answer(c, synack.seq, 6002)
    c.expect("R")


@pytest.mark.parametrize(("minutes", "valid"), [(1, True), (3, False)])
def test_a_cookie_gets_old(minutes, valid):
    """MAX_SYNCOOKIE_AGE: two periods of a minute."""
    c = always()
    (synack,) = knock(c, {"mss": MSS})
    c.wait(minutes * MINUTE)
    knock(c, {"mss": MSS}, 6001)  # else the last overflow would be too long ago
    answer(c, synack.seq)
    assert c.counter("SyncookiesRecv") == int(valid)
    assert c.counter("SyncookiesFailed") == int(not valid)


def test_two_acks_with_one_cookie_make_one_connection():
    c = always()
    (synack,) = knock(c, {"mss": MSS})
    answer(c, synack.seq)
    answer(c, synack.seq)
    c.ok("accept", LISTENER, SLOT)
    assert not c.call("accept", LISTENER, SLOT + 1)[2]
    assert c.counter("TcpPassiveOpens") == 1


def test_ecn_needs_the_timestamp():
    """cookie_ecn_ok(): a bit of the timestamp tells that the SYN asked for it."""
    c = always(**{"net.ipv4.tcp_ecn": 1})
    (synack,) = knock(c, ALL, ecn="EW")
    assert synack.flags == "S.E" or set(synack.flags) == set("S.E")
    answer(c, synack.seq, echo=synack.options["ts"][0])
    c.ok("accept", LISTENER, SLOT)
    assert c.state()["ecn_flags"] & 1
    (plain,) = knock(c, {"mss": MSS}, 6001, ecn="EW")
    assert "E" not in plain.flags
