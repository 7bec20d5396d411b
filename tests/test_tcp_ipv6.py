# SPDX-License-Identifier: GPL-2.0-only
"""TCP over IPv6, in so far as it differs from IPv4's: tcp_ipv6.pyx and what is below it."""

import errno

import pytest
from conversation import (
    AF_INET6,
    LISTENER,
    LOCAL,
    LOCAL6,
    LOCAL_ISN,
    LOCAL_PORT,
    PEER,
    PEER6,
    PEER_ISN,
    PEER_PORT,
    SLOT,
    Conversation,
    accepted,
    client,
    encode_options,
    established,
    listening,
    new_host,
    syn_received,
    tcp_packet,
    time_wait,
)
from packets import icmp6

SOL_IPV6, UNICAST_HOPS, RECVERR, V6ONLY, TCLASS, AUTOFLOWLABEL, MINHOPCOUNT = 41, 16, 25, 26, 67, 70, 73
UNREACHABLE, TOO_BIG = 1, 2
MSS6 = 1440
PLAIN = encode_options({"mss": MSS6})


def peers(flags, seq, ack=0, **kw):
    """A packet of the peer's, with absolute numbers."""
    return tcp_packet(flags, seq, ack, 0, 65535, PLAIN if "S" in flags else b"", src=PEER6, dst=LOCAL6, **kw)


def any_listener(v6only):
    """A listener of both families, or of IPv6 only, at "::"."""
    c = Conversation(new_host())
    c.ok("socket", LISTENER, 0, AF_INET6)
    c.ok("setsockopt", LISTENER, SOL_IPV6, V6ONLY, int(v6only))
    c.ok("bind", LISTENER, LOCAL_PORT, s="::")
    c.ok("listen", LISTENER, 16)
    return c


# ---------------------------------------------------------------------------------------------- open, data, close

def test_active_open_announces_the_mtu_less_60():
    c = client(v6=True)
    assert not c.call("connect", SLOT, PEER_PORT, s=PEER6)[2]
    syn = c.expect("S", seq=-1, length=0, hops=64)
    assert syn.options["mss"] == MSS6


def test_both_directions_and_both_fins():
    c = established(v6=True, options={"mss": MSS6, "sack": True})
    c.ok("send", SLOT, 2000)
    c.expect(".", seq=0, length=MSS6)
    c.expect("P.", seq=MSS6, length=2000 - MSS6)
    c.send("P.", ack=2000, length=100)
    c.expect(".", seq=2000, ack=100)
    assert c.call("recv", SLOT, 1000) == (100, 0, True)
    c.ok("shutdown", SLOT, 1)
    c.expect("F.", seq=2000, ack=100)
    c.send("F.", ack=2001)
    c.expect(".", seq=2001, ack=101)
    assert c.name_of_state() == "TIME_WAIT"
    assert (c.host.connections()[0]["laddr"], c.host.connections()[0]["raddr"]) == (LOCAL6, PEER6)


def test_passive_open():
    c = accepted(v6=True, options={"mss": MSS6})
    c.ok("send", SLOT, 10)
    c.expect("P.", seq=0, ack=0, length=10)
    assert c.counter("Ip6InReceives") == 2
    assert c.counter("IpInReceives") == 0


def test_segments_of_a_flow_share_a_label():
    """RFC 6437 3: from the socket's hash, when nothing else was asked for."""
    c = established(v6=True)
    c.ok("send", SLOT, 1)
    first = c.expect("P.").label
    c.send(".", ack=1)
    c.ok("send", SLOT, 1)
    assert c.expect("P.").label == first != 0


@pytest.mark.parametrize("sysctl", [{}, {"net.ipv6.auto_flowlabels": 0}])
def test_no_label_if_not_wanted(sysctl):
    c = client(sysctl, v6=True)
    if not sysctl:
        c.ok("setsockopt", SLOT, SOL_IPV6, AUTOFLOWLABEL, 0)
    c.call("connect", SLOT, PEER_PORT, s=PEER6)
    c.expect("S", label=0)


def test_hop_limit_and_traffic_class_are_the_sockets():
    c = established(v6=True)
    c.ok("setsockopt", SLOT, SOL_IPV6, UNICAST_HOPS, 9)
    c.ok("setsockopt", SLOT, SOL_IPV6, TCLASS, 0xB8 | 3)
    c.ok("send", SLOT, 1)
    c.expect("P.", hops=9, ecn=0)
    assert int.from_bytes(c.host.emitted(c.seen - 1)[4][:2], "big") >> 4 & 0xFF == 0xB8
    assert established({"net.ipv6.conf.all.hop_limit": 33}, v6=True).decode(0).hops == 33


def test_ecn_shows_in_the_traffic_class():
    """RFC 3168 5: the two lowest bits."""
    c = client({"net.ipv4.tcp_ecn": 1}, v6=True)
    c.call("connect", SLOT, PEER_PORT, s=PEER6)
    c.expect("SEW", ecn=0)
    c.raw(peers("S.E", PEER_ISN, LOCAL_ISN + 1))
    c.expect(".", ecn=0)
    c.ok("send", SLOT, 10)
    c.expect("P.", ecn=2)


def test_peer_below_the_least_hop_count_is_not_heard():
    """RFC 5082"""
    c = established(v6=True)
    c.ok("setsockopt", SLOT, SOL_IPV6, MINHOPCOUNT, 255)
    c.send("P.", length=10, ttl=254)
    c.expect_nothing()
    assert c.counter("TCPMinTTLDrop") == 1
    assert c.call("recv", SLOT, 10, 0x40) == (-1, errno.EAGAIN, True)


def test_checksum_has_ipv6s_pseudo_header():
    """RFC 8200 8.1"""
    c = established(v6=True)
    c.send("P.", length=10, bad_checksum=True)
    c.expect_nothing(200)
    assert c.counter("TcpInCsumErrors") == 1


def test_super_segments_are_cut():
    """Each part has a payload length of its own (Conversation checks it)."""
    c = established(v6=True, device={"gso": True, "tso": False}, options={"mss": MSS6})
    c.ok("send", SLOT, 5 * MSS6)
    assert [s.length for s in c.segments()] == [MSS6] * 5


# ---------------------------------------------------------------------------------------------- without a socket

def test_closed_port_answers_with_a_reset():
    c = Conversation(new_host(), LOCAL6, PEER6)
    c.raw(peers("S", PEER_ISN, dport=81))
    c.expect("R.", ack=0)
    assert c.counter("TcpOutRsts") == 1


def test_foreign_destination_is_dropped():
    c = Conversation(new_host(), LOCAL6, PEER6)
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, PLAIN, src=PEER6, dst="fd77::9"))
    c.expect_nothing()
    assert c.counter("TcpInSegs") == 0


def test_loopback_addresses_do_not_come_from_outside():
    """RFC 4291 2.5.3"""
    c = Conversation(new_host(), LOCAL6, PEER6)
    c.raw(tcp_packet("S", PEER_ISN, 0, src=PEER6, dst="::1"))
    c.expect_nothing()
    assert c.counter("Ip6InHdrErrors") == 1


def test_time_wait_answers_the_fin_again():
    c = time_wait(v6=True)
    c.send("F.", seq=0, ack=1)
    c.expect(".", seq=1, ack=1)


def test_request_answers_what_it_cannot_take():
    """RFC 9293 3.10.7.4: an ACK for what lies outside of the window."""
    c = syn_received(v6=True)
    c.send("P.", seq=100000, ack=0, length=10)
    c.expect(".", seq=0, ack=0)


# ---------------------------------------------------------------------------------------------- ICMPv6

def test_packet_too_big_cuts_smaller():
    """RFC 8201 4"""
    c = established(v6=True, options={"mss": MSS6})
    c.ok("send", SLOT, 2 * MSS6)
    assert [s.length for s in c.segments()] == [MSS6, MSS6]
    c.raw(icmp6(TOO_BIG, 0, 1350, 0, MSS6))
    again = c.segments()
    assert again[0].seq == 0
    assert max(s.length for s in again) == 1350 - 60
    assert c.state()["icsk_pmtu_cookie"] == 1350
    assert c.counter("Icmp6InPktTooBigs") == 1


@pytest.mark.parametrize(("mtu", "seq"), [(1279, 0), (1500, 0), (1350, 9000)])
def test_packet_too_big_that_is_not_believed(mtu, seq):
    """Less than any IPv6 link has; no less than before; about nothing that is in flight (RFC 5927 4.1)."""
    c = established(v6=True, options={"mss": MSS6})
    c.ok("send", SLOT, MSS6)
    c.segments()
    c.raw(icmp6(TOO_BIG, 0, mtu, seq, MSS6))
    c.expect_nothing()
    assert c.state()["icsk_pmtu_cookie"] == 1500


def test_path_mtu_is_kept_for_the_next_connection_and_forgotten():
    c = established({"net.ipv6.route.mtu_expires": 60}, v6=True, options={"mss": MSS6})
    c.ok("send", SLOT, MSS6)
    c.raw(icmp6(TOO_BIG, 0, 1350, 0, MSS6))
    c.segments()
    c.ok("socket", 7, 1, AF_INET6)
    c.call("connect", 7, PEER_PORT, s=PEER6)
    assert c.segments()[0].options["mss"] == 1350 - 60
    c.wait(70_000)
    c.segments()
    c.ok("socket", 8, 1, AF_INET6)
    c.call("connect", 8, PEER_PORT + 1, s=PEER6)
    assert c.segments()[0].options["mss"] == MSS6


@pytest.mark.parametrize(("code", "error"), [(0, errno.ENETUNREACH), (1, errno.EACCES), (3, errno.EHOSTUNREACH),
                                             (4, errno.ECONNREFUSED)])
def test_unreachable_ends_a_connect(code, error):
    """RFC 4443 3.1"""
    c = client(v6=True)
    call = c.start("connect", SLOT, PEER_PORT, s=PEER6)
    c.expect("S")
    c.raw(icmp6(UNREACHABLE, code, 0, -1))
    assert c.result(call)[:2] == (-1, error)


def test_unreachable_is_a_soft_error_of_a_connection():
    """RFC 1122 4.2.3.9; a hard one with IPV6_RECVERR."""
    c = established(v6=True)
    c.ok("send", SLOT, 10)
    c.segments()
    c.raw(icmp6(UNREACHABLE, 3, 0, 0, 10))
    assert (c.state()["sk_err"], c.state()["sk_err_soft"]) == (0, errno.EHOSTUNREACH)
    c.ok("setsockopt", SLOT, SOL_IPV6, RECVERR, 1)
    c.raw(icmp6(UNREACHABLE, 3, 0, 0, 10))
    assert c.state()["sk_err"] == errno.EHOSTUNREACH


# ---------------------------------------------------------------------------------------------- SYN cookies

def test_cookie_brings_back_the_mss():
    c = Conversation(new_host({"net.ipv4.tcp_syncookies": 2}), LOCAL6, PEER6)
    c.ok("socket", LISTENER, 0, AF_INET6)
    c.ok("bind", LISTENER, LOCAL_PORT, s=LOCAL6)
    c.ok("listen", LISTENER, 16)
    c.raw(peers("S", PEER_ISN))
    cookie = c.expect("S.").seq
    c.raw(peers(".", PEER_ISN + 1, LOCAL_ISN + 1 + cookie + 1))
    c.ok("accept", LISTENER, SLOT)
    assert (c.counter("SyncookiesSent"), c.counter("SyncookiesRecv")) == (1, 1)
    assert c.state()["rx_opt.mss_clamp"] == MSS6


def test_forged_cookie_is_refused():
    c = listening({"net.ipv4.tcp_syncookies": 2}, v6=True)
    c.raw(peers("S", PEER_ISN, sport=PEER_PORT + 1))
    cookie = c.expect("S.").seq
    c.raw(peers(".", PEER_ISN + 1, LOCAL_ISN + 1 + cookie + 77, sport=PEER_PORT + 1))
    c.expect("R")
    assert c.counter("SyncookiesFailed") == 1


# ---------------------------------------------------------------------------------------------- both families

def test_listener_at_any_address_serves_both_families():
    """RFC 3493 5.3"""
    c = any_listener(v6only=False)
    for src, dst, v6, slot in ((PEER, LOCAL, False, SLOT), (PEER6, LOCAL6, True, SLOT + 1)):
        c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, PLAIN, src=src, dst=dst))
        synack = c.expect("S.")
        assert (c.host.emitted(c.seen - 1)[4][0] >> 4 == 6) == v6
        c.raw(tcp_packet(".", PEER_ISN + 1, LOCAL_ISN + 1 + synack.seq + 1, src=src, dst=dst))
        c.ok("accept", LISTENER, slot)
        c.ok("send", slot, 3000)
        assert [s.length for s in c.segments()] == [MSS6, MSS6, 3000 - 2 * MSS6]
        assert c.host.connections()[-1]["raddr"] == src


def test_listener_of_ipv6_only_leaves_ipv4_alone():
    c = any_listener(v6only=True)
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, PLAIN))
    c.expect("R.")


def test_ipv6_socket_connects_to_an_ipv4_host():
    c = Conversation(new_host())
    c.host.pin(LOCAL, LOCAL_PORT, PEER, PEER_PORT, LOCAL_ISN, 0, False)
    c.ok("socket", SLOT, 0, AF_INET6)
    assert not c.call("connect", SLOT, PEER_PORT, s=PEER)[2]
    syn = c.expect("S", seq=-1)
    assert syn.options["mss"] == 1460
    c.raw(tcp_packet("S.", PEER_ISN, LOCAL_ISN + 1, 0, 65535, PLAIN))
    c.expect(".", seq=0, ack=0)
    c.ok("send", SLOT, 10)
    c.expect("P.", length=10)


@pytest.mark.parametrize(("v6only", "error"), [(True, 0), (False, errno.EADDRINUSE)])
def test_port_that_ipv6_has_taken(v6only, error):
    c = any_listener(v6only)
    c.ok("socket", SLOT)
    assert c.call("bind", SLOT, LOCAL_PORT, s="0.0.0.0")[1] == error


def test_addresses_of_the_other_family_and_of_others_are_refused():
    c = client(v6=True)
    c.fails(errno.EADDRNOTAVAIL, "bind", SLOT, 80, s="fd77::9")
    c.ok("socket", 9)
    c.fails(errno.EAFNOSUPPORT, "bind", 9, 80, s=LOCAL6)
    c.fails(errno.EAFNOSUPPORT, "connect", 9, 80, s=PEER6)
    c.fails(errno.ENETUNREACH, "connect", SLOT, 80, s="ff02::1")


def test_no_two_sockets_at_one_address_and_port():
    c = listening(v6=True)
    c.ok("socket", SLOT, 0, AF_INET6)
    c.fails(errno.EADDRINUSE, "bind", SLOT, LOCAL_PORT, s=LOCAL6)
    c.fails(errno.EADDRINUSE, "bind", SLOT, LOCAL_PORT, s="::")
