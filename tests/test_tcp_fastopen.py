# SPDX-License-Identifier: GPL-2.0-only
"""TCP Fast Open (RFC 7413), both sides: cookies, data in the SYN, what happens when that fails."""

import errno
import socket

import pytest
from conversation import LISTENER, MSS, SLOT, client, listening
from packets import LOCAL_ISN, LOCAL_PORT, PEER_ISN, PEER_PORT, encode_options, tcp_packet

SOL_TCP = socket.IPPROTO_TCP
TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE = 23, 30, 33, 34
MSG_FASTOPEN = 0x20000000
CLIENT, SERVER, CLIENT_WITHOUT, SERVER_WITHOUT = 1, 2, 4, 0x200  # net.ipv4.tcp_fastopen
FO = "kind34"
COOKIE = b"\1\2\3\4\5\6\7\x08"
BOTH = pytest.mark.parametrize("v6", [False, True], ids=["ipv4", "ipv6"])
SECOND = 1000
#: keys of the server, and the cookies that a real 6.18 made with them for PEER at LOCAL (over IPv4, over IPv6)
KEY, OTHER_KEY = bytes(range(16)), bytes(range(16, 32))
REAL = {KEY: ("788be4dbe24b2585", "32af54a9a371684f"), OTHER_KEY: ("717048a4e5900b2b", "b4dd55f4ca633c7f")}


def option(cookie=b""):
    return bytes([34, 2 + len(cookie)]) + cookie


def syn_ack(c, acked=0, cookie=None):
    options = {"mss": MSS, "sack": True, **({} if cookie is None else {"raw": option(cookie)})}
    c.raw(tcp_packet("S.", PEER_ISN, LOCAL_ISN + 1 + acked, options=encode_options(options), src=c.peer, dst=c.local))


def knows_the_cookie(v6=False, cookie=COOKIE, **sysctl):
    """A host that has been given a cookie by an earlier connection, which is over; a new socket in SLOT."""
    c = client({"net.ipv4.tcp_fastopen": CLIENT, **{f"net.ipv4.{k}": v for k, v in sysctl.items()}}, v6=v6)
    call = c.start("sendto", SLOT, 10, MSG_FASTOPEN, PEER_PORT, s=c.peer)
    assert c.expect("S", seq=-1, length=0).options[FO] == b""
    c.wait(10)
    syn_ack(c, cookie=cookie)
    c.segments()
    assert c.result(call)[0] == 10
    c.send("R", seq=0)
    c.ok("close")
    c.host.pin(c.local, LOCAL_PORT, c.peer, PEER_PORT, LOCAL_ISN, 0, False)
    c.snd = c.last_ack = 0
    c.ok("socket", SLOT, 0, 10 if v6 else 0)
    return c


def fast_open(c, length=100):
    """sendto() with MSG_FASTOPEN; its number."""
    return c.start("sendto", SLOT, length, MSG_FASTOPEN, PEER_PORT, s=c.peer)


# -- the active side

def test_the_first_syn_asks_for_a_cookie():
    """Without one sendto() waits for the handshake, and then sends (tcp_sendmsg_fastopen())."""
    c = client({"net.ipv4.tcp_fastopen": CLIENT})
    call = fast_open(c)
    assert c.expect("S", seq=-1, length=0).options[FO] == b""
    c.wait(10)
    assert c.result(call) is None
    syn_ack(c)
    c.expect("P.", seq=0, length=100)  # a writer waits (sk_write_pending): the handshake's ACK goes with its data
    assert c.result(call)[0] == 100
    assert (c.counter("TCPFastOpenActive"), c.counter("TCPFastOpenActiveFail")) == (0, 0)


def test_fast_open_must_be_allowed():
    c = client({"net.ipv4.tcp_fastopen": 0})
    c.fails(errno.EOPNOTSUPP, "sendto", SLOT, 100, MSG_FASTOPEN, PEER_PORT, s=c.peer)
    c.expect_nothing()


@BOTH
def test_data_goes_with_the_second_syn(v6):
    c = knows_the_cookie(v6)
    call = fast_open(c)
    assert c.expect("S", seq=-1, length=100).options[FO] == COOKIE
    c.wait(10)
    syn_ack(c, acked=100)
    c.expect(".", seq=100, ack=0)
    assert c.result(call)[0] == 100
    assert c.counter("TCPFastOpenActive") == 1
    assert c.state()["syn_data_acked"] == 1


def test_the_syn_takes_one_segment_at_the_most():
    """tcp_send_syn_data(): the peer's MSS of the last time, less the options; the rest follows the handshake."""
    c = knows_the_cookie()
    fast_open(c, 5000)
    syn = c.expect("S", seq=-1)
    assert 1000 < syn.length <= MSS
    c.wait(10)
    syn_ack(c, acked=syn.length)
    c.expect(".", seq=syn.length, length=MSS)


def test_data_that_the_server_did_not_take_is_sent_again():
    """RFC 7413 4.2.1: at once, without a time-out; the cookie in the SYN-ACK replaces the old one."""
    c = knows_the_cookie()
    call = fast_open(c)
    c.expect("S", seq=-1, length=100)
    c.wait(10)
    syn_ack(c, cookie=b"new cook")
    c.expect("P.", seq=0, length=100)
    assert c.result(call)[0] == 100
    assert (c.counter("TCPFastOpenActive"), c.counter("TCPFastOpenActiveFail")) == (0, 1)
    c.send("R", seq=0)
    c.ok("close")
    c.host.pin(c.local, LOCAL_PORT, c.peer, PEER_PORT, LOCAL_ISN, 0, False)
    c.ok("socket", SLOT)
    fast_open(c)
    assert c.expect("S", length=100).options[FO] == b"new cook"


def test_a_syn_with_data_that_is_lost_goes_again_without():
    """RFC 7413 4.1.3.1, tcp_retransmit_timer(): it may have been the data, or the option, that something swallowed."""
    c = knows_the_cookie()
    fast_open(c)
    c.expect("S", seq=-1, length=100)
    c.wait(1500)
    again = c.expect("S", seq=-1, length=0)
    assert FO not in again.options
    syn_ack(c)
    c.expect("P.", seq=0, length=100)


def test_a_nonblocking_sendto_tells_how_much_went_with_the_syn():
    c = knows_the_cookie()
    c.ok("fcntl", SLOT, 1)
    assert c.ok("sendto", SLOT, 100, MSG_FASTOPEN, PEER_PORT, s=c.peer) == 100
    c.expect("S", seq=-1, length=100)
    c.fails(errno.EALREADY, "sendto", SLOT, 100, MSG_FASTOPEN, PEER_PORT, s=c.peer)


def test_a_nonblocking_sendto_without_a_cookie_is_in_progress():
    c = client({"net.ipv4.tcp_fastopen": CLIENT})
    c.ok("fcntl", SLOT, 1)
    c.fails(errno.EINPROGRESS, "sendto", SLOT, 100, MSG_FASTOPEN, PEER_PORT, s=c.peer)
    assert c.expect("S", seq=-1, length=0).options[FO] == b""


@BOTH
def test_connect_can_leave_the_syn_to_the_first_write(v6):
    """TCP_FASTOPEN_CONNECT: tcp_fastopen_defer_connect()."""
    c = knows_the_cookie(v6)
    c.ok("setsockopt", SLOT, SOL_TCP, TCP_FASTOPEN_CONNECT, 1)
    c.ok("connect", SLOT, PEER_PORT, s=c.peer)
    c.expect_nothing(100)
    c.start("send", SLOT, 100)
    assert c.expect("S", seq=-1, length=100).options[FO] == COOKIE


def test_connect_without_a_cookie_sends_the_syn():
    c = client({"net.ipv4.tcp_fastopen": CLIENT})
    c.ok("setsockopt", SLOT, SOL_TCP, TCP_FASTOPEN_CONNECT, 1)
    c.start("connect", SLOT, PEER_PORT, s=c.peer)
    assert c.expect("S", seq=-1, length=0).options[FO] == b""


@pytest.mark.parametrize("how", ["sysctl", "socket", "route"])
def test_without_a_cookie_by_agreement(how):
    """tcp_fastopen_no_cookie(): data with the very first SYN, and no option."""
    kw = {"route": {"fastopen_no_cookie": 1}} if how == "route" else {}
    c = client({"net.ipv4.tcp_fastopen": CLIENT | (CLIENT_WITHOUT if how == "sysctl" else 0)}, **kw)
    if how == "socket":
        c.ok("setsockopt", SLOT, SOL_TCP, TCP_FASTOPEN_NO_COOKIE, 1)
    fast_open(c)
    assert FO not in c.expect("S", seq=-1, length=100).options


def test_a_blackhole_turns_fast_open_off_for_a_while():
    """tcp_fastopen_active_detect_blackhole(): three time-outs; twice as long after the next one."""
    c = knows_the_cookie(tcp_fastopen_blackhole_timeout_sec=100)
    c.ok("setsockopt", SLOT, SOL_TCP, 7, 3)  # TCP_SYNCNT
    fast_open(c)
    c.expect("S", length=100)
    c.wait(30 * SECOND)
    assert c.counter("TCPFastOpenBlackhole") == 1
    c.segments()
    c.ok("close")
    c.ok("socket", 5)
    c.start("sendto", 5, 100, MSG_FASTOPEN, PEER_PORT, thread=5, s=c.peer)
    c.expect("S", length=0)  # off
    c.wait(75 * SECOND)
    c.segments()
    c.ok("socket", 6)
    c.start("sendto", 6, 100, MSG_FASTOPEN, PEER_PORT, thread=6, s=c.peer)
    c.expect("S", length=100)  # on again


def test_a_reset_out_of_order_and_no_data_is_a_blackhole():
    """tcp_fastopen_active_disable_ofo_check(): as a middlebox does that lost the data; the next SYN is ordinary."""
    c = client({"net.ipv4.tcp_fastopen": CLIENT, "net.ipv4.tcp_fastopen_blackhole_timeout_sec": 3600})
    fast_open(c)
    c.expect("S", length=0)
    c.wait(10)
    syn_ack(c, cookie=COOKIE)
    c.expect("P.", seq=0, length=100)
    c.send("R.", seq=10, ack=101)
    c.ok("close")
    c.segments()
    assert c.counter("TCPFastOpenBlackhole") == 1
    c.host.pin(c.local, LOCAL_PORT, c.peer, PEER_PORT, LOCAL_ISN, 0, False)
    c.ok("socket", SLOT, 0)
    fast_open(c)
    assert FO not in c.expect("S", length=0).options


@pytest.mark.parametrize(("name", "value", "code"), [(TCP_FASTOPEN_CONNECT, 2, errno.EINVAL),
                                                     (TCP_FASTOPEN_NO_COOKIE, -1, errno.EINVAL),
                                                     (TCP_FASTOPEN, -1, errno.EINVAL)])
def test_values(name, value, code):
    c = client({"net.ipv4.tcp_fastopen": CLIENT})
    c.fails(code, "setsockopt", SLOT, SOL_TCP, name, value)


# -- the passive side

def server(v6=False, qlen=5, fastopen=SERVER, key=KEY, **kw):
    c = listening({"net.ipv4.tcp_fastopen": fastopen}, v6=v6, **kw)
    c.ok("setsockopt", LISTENER, SOL_TCP, TCP_FASTOPEN, qlen)
    if key:
        c.ok("setsockopt", LISTENER, SOL_TCP, TCP_FASTOPEN_KEY, len(key), s=key.decode("latin-1"))
    return c


def syn(c, cookie=None, length=0, port=PEER_PORT):
    options = {"mss": MSS, "sack": True, **({} if cookie is None else {"raw": option(cookie)})}
    c.raw(tcp_packet("S", PEER_ISN, 0, length, options=encode_options(options), src=c.peer, dst=c.local, sport=port))


def real(key=KEY, v6=False):
    return bytes.fromhex(REAL[key][v6])


@BOTH
@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["key", "other-key"])
def test_who_asks_is_given_the_cookie(v6, key):
    """The one that the real kernel gives with this key: __tcp_fastopen_cookie_gen_cipher()."""
    c = server(v6, key=key)
    syn(c, b"")
    assert c.expect("S.", ack=0).options[FO] == real(key, v6)
    assert (c.counter("TCPFastOpenCookieReqd"), c.host.pools()["request_sock_TCP"]) == (1, 1)


@BOTH
def test_data_with_a_cookie_is_there_at_once(v6):
    """accept(), recv() and even send() before the handshake is complete (RFC 7413 4.2.2)."""
    c = server(v6)
    syn(c, real(v6=v6), 100)
    assert FO not in c.expect("S.", seq=-1, ack=100).options
    c.ok("accept", LISTENER, SLOT)
    assert c.ok("recv", SLOT, 1000) == 100
    c.ok("send", SLOT, 50)
    c.expect("P.", seq=0, ack=100, length=50)
    assert (c.counter("TCPFastOpenPassive"), c.name_of_state()) == (1, "SYN_RECV")
    c.wait(10)
    c.send(".", seq=100, ack=50)
    assert c.name_of_state() == "ESTABLISHED"


def test_a_wrong_cookie_gets_the_right_one_and_nothing_else():
    c = server()
    syn(c, COOKIE, 100)
    assert c.expect("S.", ack=0).options[FO] == real()
    assert (c.counter("TCPFastOpenPassive"), c.counter("TCPFastOpenPassiveFail")) == (0, 1)
    assert not c.call("accept", LISTENER, SLOT)[2]


def test_a_listener_that_did_not_ask_for_it_does_without():
    c = listening({"net.ipv4.tcp_fastopen": SERVER})
    syn(c, real(), 100)
    assert FO not in c.expect("S.", ack=0).options


def test_a_server_may_do_without_cookies():
    """tcp_fastopen, bit 0x200."""
    c = server(fastopen=SERVER | SERVER_WITHOUT)
    syn(c, None, 100)
    c.expect("S.", ack=100)
    assert c.counter("TCPFastOpenPassive") == 1


def test_any_listener_may_be_a_server():
    """tcp_fastopen, bit 0x400: inet_csk_listen_start() gives it the backlog for its queue."""
    c = listening({"net.ipv4.tcp_fastopen": SERVER | 0x400, "net.ipv4.tcp_fastopen_key":
                   "03020100-07060504-0b0a0908-0f0e0d0c"})
    syn(c, real(), 100)
    c.expect("S.", ack=100)


def test_the_queue_of_pending_children_is_bounded():
    """tcp_fastopen_queue_check(); the SYN that finds it full opens in the ordinary way."""
    c = server(qlen=1)
    syn(c, real(), 100)
    c.expect("S.", ack=100)
    syn(c, real(), 100, port=6000)
    assert FO not in c.expect("S.", ack=0).options
    assert c.counter("TCPFastOpenListenOverflow") == 1


def test_a_child_that_is_reset_keeps_its_place_in_the_queue_for_a_minute():
    """reqsk_fastopen_remove(), once it was accepted: against floods with forged addresses, whose owners answer with a
    RST."""
    c = server(qlen=1)
    syn(c, real(), 100)
    c.expect("S.", ack=100)
    c.ok("accept", LISTENER, SLOT)
    c.send("R", seq=100)
    syn(c, real(), 100, port=6000)
    c.expect("S.", ack=0)
    c.wait(61 * SECOND)
    c.segments()
    syn(c, real(), 100, port=6001)
    c.expect("S.", ack=100)


def test_the_synack_of_a_child_is_sent_again():
    """tcp_fastopen_synack_timer(): from the child's own timer, with the cookie's connection kept."""
    c = server()
    syn(c, real(), 100)
    c.expect("S.", ack=100)
    c.wait(1500)
    c.expect("S.", seq=-1, ack=100)
    assert c.counter("TCPSynRetrans") == 1


def test_two_keys_one_going_out_of_use():
    """TCP_FASTOPEN_KEY of 32 bytes: the second is still accepted, and the client told the new cookie."""
    c = server(key=KEY + OTHER_KEY)
    syn(c, real(OTHER_KEY), 100)
    assert c.expect("S.", ack=100).options[FO] == real(KEY)
    assert c.counter("TCPFastOpenPassiveAltKey") == 1
    c.ok("getsockopt", LISTENER, SOL_TCP, TCP_FASTOPEN_KEY)
    assert c.host.call_bytes(c.host.calls_made() - 1) == KEY + OTHER_KEY


@pytest.mark.parametrize("length", [0, 15, 17, 33])
def test_a_key_has_16_or_32_bytes(length):
    c = server(key=None)
    c.fails(errno.EINVAL, "setsockopt", LISTENER, SOL_TCP, TCP_FASTOPEN_KEY, length, s="k" * max(length, 1))


def test_a_listener_that_closes_resets_its_pending_children():
    c = server()
    syn(c, real(), 100)
    c.expect("S.", ack=100)
    c.ok("close", LISTENER)
    c.expect("R.", seq=0)
