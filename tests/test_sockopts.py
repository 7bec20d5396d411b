# SPDX-License-Identifier: GPL-2.0-only
"""Options whose value is more than a number: TCP_CC_INFO, TCP_SAVE_SYN; and ports that nobody is given."""

import errno
import socket
import struct

import pytest
from conversation import LISTENER, LOCAL, MSS, SLOT, accepted, client, established, listening
from packets import PEER, PEER_ISN, PEER_PORT, encode_options, tcp_packet

SOL_TCP = socket.IPPROTO_TCP
TCP_CC_INFO, TCP_SAVE_SYN, TCP_SAVED_SYN = 26, 27, 28


def read(c, name, slot=SLOT):
    c.ok("getsockopt", slot, SOL_TCP, name)
    i = c.host.calls_made() - 1
    value = c.host.call_bytes(i)
    assert len(value) == c.host.call_result(i)[4]
    return value


# -- TCP_CC_INFO

def test_bbr_tells_bandwidth_and_rtt():
    """bbr_get_info(): in start-up a gain of 2/ln 2, times 256; the bandwidth is what the ACKs have shown."""
    c = established({"net.ipv4.tcp_congestion_control": "bbr"}, rtt=10)
    c.ok("send", SLOT, 10 * MSS)
    c.wait(10)
    c.send(".", ack=10 * MSS)
    low, high, rtt, pacing, cwnd = struct.unpack("=5I", read(c, TCP_CC_INFO))
    assert (high, rtt, pacing, cwnd) == (0, 10_000, 739, 739)
    per_us = (10 << 24) // 10_000  # BW_SCALE: packets in units of 2^-24
    assert low == per_us * MSS * 1_000_000 >> 24


def test_dctcp_tells_alpha():
    """dctcp_get_info(): 1 (1024) at first; the bytes since the last round ended."""
    c = dctcp("SEW")
    assert struct.unpack("=HHIII", read(c, TCP_CC_INFO)) == (1, 0, 1024, 0, 0)
    c.ok("send", SLOT, 3 * MSS)
    c.send(".", seq=0, ack=MSS)  # a round without marks takes a sixteenth off
    c.send(".", seq=0, ack=2 * MSS)
    assert struct.unpack("=HHIII", read(c, TCP_CC_INFO)) == (1, 0, 960, 0, MSS)


def test_dctcp_without_ecn_is_reno():
    assert struct.unpack("=HHIII", read(dctcp("S"), TCP_CC_INFO)) == (0, 0, 0, 0, 0)


def dctcp(flags):
    """Accepted from a peer whose SYN had these flags."""
    c = listening({"net.ipv4.tcp_congestion_control": "dctcp"})
    c.raw(tcp_packet(flags, PEER_ISN, 0, options=encode_options({"mss": MSS, "sack": True})))
    c.segments()
    c.send(".", seq=0, ack=0)
    c.ok("accept", LISTENER, SLOT)
    return c


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_others_have_nothing_to_tell(name):
    assert read(established({"net.ipv4.tcp_congestion_control": name}), TCP_CC_INFO) == b""


# -- TCP_SAVE_SYN

@pytest.mark.parametrize(("rx", "save", "before"), [("veth", 1, 0), ("veth", 2, 14), ("tun", 2, 0)])
def test_the_syns_headers_are_kept(rx, save, before):
    """tcp_reqsk_record_syn(); with 2 the link layer's too, which TUN has none of. They can be read once."""
    c = listening(device={"rx": rx})
    c.ok("setsockopt", LISTENER, SOL_TCP, TCP_SAVE_SYN, save)
    syn = tcp_packet("S", PEER_ISN, 0, options=encode_options({"mss": MSS, "sack": True, "ws": 7}))
    c.raw(syn)
    c.expect("S.")
    c.send(".", seq=0, ack=0)
    c.ok("accept", LISTENER, SLOT)
    assert read(c, TCP_SAVED_SYN) == bytes(before) + syn
    assert read(c, TCP_SAVED_SYN) == b""


def test_without_the_option_nothing_is_kept():
    assert read(accepted(), TCP_SAVED_SYN) == b""


# -- net.ipv4.ip_local_reserved_ports

def test_connect_is_not_given_a_reserved_port():
    c = client({"net.ipv4.ip_local_port_range": "50000 50003", "net.ipv4.ip_local_reserved_ports": "50000,50002-50003"})
    c.host.pin(LOCAL, 0, PEER, PEER_PORT, 0, 0, False)
    for slot in (4, 5):
        c.ok("socket", slot)
    c.start("connect", 4, PEER_PORT + 1, s=PEER)
    assert c.state(4)["sk_num"] == 50001
    c.fails(errno.EADDRINUSE, "bind", 5, 0, s=LOCAL, thread=5)  # nothing else is left


def test_bind_is_not_given_one_either_but_may_ask_for_it():
    c = client({"net.ipv4.ip_local_port_range": "50000 50003", "net.ipv4.ip_local_reserved_ports": "50001"})
    for slot in (4, 5, 6):
        c.ok("socket", slot)
        c.ok("bind", slot, 0, s=LOCAL)
    assert 50001 not in {c.state(s)["sk_num"] for s in (4, 5, 6)}
    c.ok("bind", SLOT, 50001, s=LOCAL)


@pytest.mark.parametrize("value", ["70000", "5-3", "a", "1,,2", "1 x"])
def test_a_list_of_ports_must_be_one(value):
    with pytest.raises(ValueError, match="ip_local_reserved_ports"):
        client({"net.ipv4.ip_local_reserved_ports": value})


def test_an_empty_list_frees_them_all():
    c = client({"net.ipv4.ip_local_port_range": "50001 50001", "net.ipv4.ip_local_reserved_ports": "50001"})
    c.host.sysctl("net.ipv4.ip_local_reserved_ports", "")
    c.ok("socket", 4)
    c.ok("bind", 4, 0, s=LOCAL)
    assert c.state(4)["sk_num"] == 50001
