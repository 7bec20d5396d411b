# SPDX-License-Identifier: GPL-2.0-only
"""TCP_MD5SIG (RFC 2385): keys, signatures on what is sent, checks of what arrives, by either IP version."""

import errno
import socket
import struct

import pytest
from conversation import LISTENER, MSS, SLOT, client, established, listening
from packets import LOCAL_ISN, LOCAL_PORT, PEER_ISN, PEER_PORT, encode_options, tcp_packet
from signatures import (
    KEY,
    TCP_MD5SIG,
    TCP_MD5SIG_EXT,
    check_signed,
    digest,
    key_value,
    parts,
    set_key,
    sign,
    signing,
)

SYN_OPTIONS = {"mss": MSS, "sack": True, "ts": (1000, 0), "ws": 7}
SIGNATURE = "kind19"
BOTH = pytest.mark.parametrize("v6", [False, True], ids=["ipv4", "ipv6"])
SOL_TCP = socket.IPPROTO_TCP


def syn_ack(c, options=None):
    return tcp_packet("S.", PEER_ISN, LOCAL_ISN + 1, options=encode_options(options or {"mss": MSS, "sack": True}),
                      src=c.peer, dst=c.local)


def signed_client(v6=False, **kw):
    """ESTABLISHED by an active open, both sides with the key."""
    c = client(v6=v6, **kw)
    set_key(c)
    assert not c.call("connect", SLOT, PEER_PORT, s=c.peer)[2]
    c.expect("S", seq=-1)
    c.wait(10)
    signing(c).raw(syn_ack(c))
    c.expect(".", seq=0, ack=0)
    return c


def signed_listener(prefixlen=None, addr=None, **kw):
    c = listening(**kw)
    set_key(c, LISTENER, addr, prefixlen=prefixlen)
    return signing(c)


def signed_server(**kw):
    """ESTABLISHED by a passive open, accepted as SLOT."""
    c = signed_listener(**kw)
    c.raw(tcp_packet("S", PEER_ISN, 0, options=encode_options(SYN_OPTIONS), src=c.peer, dst=c.local))
    c.expect("S.", seq=-1, ack=0)
    c.wait(10)
    c.send(".", seq=0, ack=0)
    c.ok("accept", LISTENER, SLOT)
    return c


# -- active open

@BOTH
def test_a_syn_is_signed_and_has_no_timestamps(v6):
    """tcp_syn_options(): beside a signature there is no room for timestamps and SACK blocks both."""
    c = client(v6=v6)
    set_key(c)
    assert not c.call("connect", SLOT, PEER_PORT, s=c.peer)[2]
    syn = c.expect("S", seq=-1)
    assert list(syn.options) == [SIGNATURE, "mss", "sack", "ws"]
    check_signed(c)


@BOTH
def test_what_is_sent_is_signed(v6):
    """The options take 20 bytes of each segment; zeros where nobody knows what the application wrote."""
    c = signed_client(v6)
    size = c.state()["mss_cache"] - 20
    c.ok("send", SLOT, 3 * size)
    for k in range(3):
        c.expect("P." if k == 2 else ".", seq=k * size, length=size)
    assert check_signed(c) == 5


def test_no_super_segment_is_signed():
    """tcp_md5sig_info_add(): each segment has a signature of its own, so nothing may cut them but TCP."""
    c = signed_client(device={"tso": True, "gso": True, "rx": "veth"})
    c.ok("send", SLOT, 8000)
    assert all(s.length <= MSS - 20 for s in c.segments())
    check_signed(c)


def test_the_signature_covers_what_the_application_wrote():
    """Host.stream(): the bytes are known; also when they are sent a second time, in segments of other sizes."""
    c = client()
    text = bytes(i * 7 & 0xFF for i in range(4000))
    for at in (0, 1000, 2500):  # in pieces, of which one begins in the middle of a segment
        c.host.stream(c.local, LOCAL_PORT, c.peer, PEER_PORT, LOCAL_ISN + 1 + at, text[at:at + 1500])
    set_key(c)
    assert not c.call("connect", SLOT, PEER_PORT, s=c.peer)[2]
    c.expect("S")
    c.wait(10)
    signing(c).raw(syn_ack(c))
    c.expect(".")
    c.ok("send", SLOT, 4000)
    c.wait(3000)
    assert len(c.segments()) > 3
    assert check_signed(c, payload=text) > 5


@BOTH
def test_a_connection_to_the_end(v6):
    """FIN, the last ACK and TIME_WAIT's, whose socket has nothing but a copy of the key."""
    c = signed_client(v6)
    c.ok("close")
    c.expect("F.", seq=0)
    c.send(".", ack=1)
    c.send("F.", ack=1)
    c.expect(".", seq=1, ack=1)
    assert c.name_of_state() == "TIME_WAIT"
    c.wait(1000)
    c.send("F.", seq=0, ack=1)
    c.expect(".", seq=1, ack=1)
    check_signed(c)
    assert c.host.pools()["misc"] > 0
    c.wait(61_000)
    assert c.name_of_state() == "CLOSE"


def test_blocks_have_the_room_that_is_left():
    """40 bytes less the signature's 20 hold two SACK blocks, not three or four."""
    c = signed_client()
    for at in (2000, 4000, 6000):
        c.send(".", seq=at, length=1000)
        last = c.segments()[-1]
    assert len(last.options["blocks"]) == 2
    check_signed(c)


# -- passive open

@BOTH
def test_a_syn_ack_gives_up_timestamps_for_sack(v6):
    """tcp_synack_options()."""
    c = signed_listener(v6=v6)
    c.raw(tcp_packet("S", PEER_ISN, 0, options=encode_options(SYN_OPTIONS), src=c.peer, dst=c.local))
    reply = c.expect("S.", seq=-1, ack=0)
    assert list(reply.options) == [SIGNATURE, "mss", "sack", "ws"]
    check_signed(c)


def test_without_sack_there_is_room_for_timestamps():
    c = signed_listener()
    options = {"mss": MSS, "ts": (1000, 0)}
    c.raw(tcp_packet("S", PEER_ISN, 0, options=encode_options(options), src=c.peer, dst=c.local))
    assert list(c.expect("S.").options) == [SIGNATURE, "mss", "ts"]
    check_signed(c)


@BOTH
def test_a_child_inherits_the_key(v6):
    """tcp_v4_syn_recv_sock(): a copy, which the listener's owner cannot take away any more."""
    c = signed_server(v6=v6)
    set_key(c, LISTENER, key=b"")
    c.ok("send", SLOT, 100)
    c.expect("P.", length=100)
    c.send(".", length=50)
    c.wait(50)
    assert c.ok("recv", SLOT, 100) == 50
    check_signed(c)


def test_a_cookie_is_signed_with_the_timestamps_that_carry_it():
    """For a cookie tstamp_ok stays: the timestamp holds what the SYN's options were."""
    c = signed_listener(sysctl={"net.ipv4.tcp_syncookies": 2})
    c.raw(tcp_packet("S", PEER_ISN, 0, options=encode_options(SYN_OPTIONS), src=c.peer, dst=c.local))
    assert list(c.expect("S.").options) == [SIGNATURE, "mss", "sack", "ts", "ws"]
    check_signed(c)


@BOTH
def test_a_request_signs_its_answers(v6):
    """tcp_v4_reqsk_send_ack(), here as a challenge ACK (RFC 5961 3.2). It still has the timestamps that the SYN-ACK
    gave up: req->ts_recent decides."""
    c = signed_listener(v6=v6)
    c.raw(tcp_packet("S", PEER_ISN, 0, options=encode_options(SYN_OPTIONS), src=c.peer, dst=c.local))
    c.expect("S.")
    c.send("R", seq=1000)
    assert list(c.expect(".", seq=0, ack=0).options) == ["ts", SIGNATURE]
    check_signed(c)


def test_the_longest_prefix_decides():
    """__tcp_md5_do_lookup(), better_md5_match(): not the order in which the keys were set."""
    c = listening()
    set_key(c, LISTENER, "10.0.0.0", b"near", prefixlen=24)
    set_key(c, LISTENER, "10.0.0.2", b"nearest", prefixlen=31)
    set_key(c, LISTENER, "0.0.0.0", b"all", prefixlen=0)
    signing(c, b"nearest").raw(tcp_packet("S", PEER_ISN, 0))
    c.expect("S.")
    check_signed(c, key=b"nearest")


def test_a_key_for_a_prefix_is_for_its_hosts_only():
    c = listening()
    set_key(c, LISTENER, "10.0.0.128", prefixlen=25)
    c.raw(tcp_packet("S", PEER_ISN, 0))
    assert SIGNATURE not in c.expect("S.").options


def test_an_ipv6_listener_has_keys_for_ipv4_hosts():
    """tcp_v6_parse_md5_keys(): ::ffff:10.0.0.2 is a key of IPv4; the child goes on with IPv4's functions."""
    c = listening(v6=True)
    c.ok("close", LISTENER)
    c.ok("socket", LISTENER, 0, socket.AF_INET6)
    c.ok("bind", LISTENER, LOCAL_PORT, s="::")
    c.ok("listen", LISTENER, 16)
    set_key(c, LISTENER, "::ffff:10.0.0.2")
    c.local, c.peer = "10.0.0.1", "10.0.0.2"
    c.host.pin(c.local, LOCAL_PORT, c.peer, PEER_PORT, LOCAL_ISN, 0, True)
    signing(c)
    c.send("S", seq=-1, options={"mss": MSS, "sack": True})
    c.expect("S.")
    c.send(".", seq=0, ack=0)
    c.ok("accept", LISTENER, SLOT)
    c.ok("send", SLOT, 100)
    c.expect("P.", length=100)
    check_signed(c)


# -- what arrives

@BOTH
def test_an_unsigned_segment_is_dropped(v6):
    c = signed_client(v6)
    del c.raw  # the peer signs no more
    c.send("P.", length=100)
    c.expect_nothing(1000)
    assert (c.counter("TCPMD5NotFound"), c.state()["rcv_nxt"]) == (1, PEER_ISN + 1)
    assert c.host.drops() == [] or c.host.drops()[-1][2] == "TCP_MD5NOTFOUND"


@BOTH
def test_a_wrong_signature_is_dropped(v6):
    c = signed_client(v6)
    signing(c, spoil=True).send("P.", length=100)
    signing(c, b"another key").send("P.", seq=0, length=100)
    c.expect_nothing(1000)
    assert (c.counter("TCPMD5Failure"), c.state()["rcv_nxt"]) == (2, PEER_ISN + 1)


@BOTH
def test_a_signature_without_a_key_is_dropped(v6):
    c = established(v6=v6)
    signing(c).send("P.", length=100)
    c.expect_nothing(1000)
    assert (c.counter("TCPMD5Unexpected"), c.state()["rcv_nxt"]) == (1, PEER_ISN + 1)


def test_an_unsigned_syn_gets_no_answer():
    c = listening()
    set_key(c, LISTENER)
    c.raw(tcp_packet("S", PEER_ISN, 0))
    c.expect_nothing(1000)
    assert c.counter("TCPMD5NotFound") == 1


def test_two_signatures_are_one_too_many():
    """tcp_do_parse_auth_options(): dropped, and counted by nobody."""
    c = signed_client()
    c.raw(sign(tcp_packet(".", PEER_ISN + 1, LOCAL_ISN + 1, 10)))  # signing() adds the second
    c.expect_nothing(1000)
    assert (c.counter("TCPMD5Failure"), c.counter("TCPMD5NotFound"), c.state()["rcv_nxt"]) == (0, 0, PEER_ISN + 1)


def test_a_key_may_be_changed_and_taken_away():
    """As routers do it: for a while what is under way fails, then it goes on."""
    c = signed_client()
    set_key(c, key=b"second")
    c.send("P.", length=100)
    assert c.counter("TCPMD5Failure") == 1
    signing(c, b"second").send("P.", seq=0, length=100)
    c.expect(".", ack=100)
    assert check_signed(c, c.seen - 1, b"second") == 1
    set_key(c, key=b"")
    del c.raw
    c.send("P.", length=100)
    c.wait(50)
    assert SIGNATURE not in c.segments()[-1].options


def test_a_capture_that_cuts_payload_is_believed():
    """As with checksums: what cannot be verified is taken as right."""
    c = signed_client()
    packet = sign(tcp_packet("P.", PEER_ISN + 1, LOCAL_ISN + 1, 1000))
    from array import array
    t = c.host.now + 1_000_000
    c.host.load(bytearray(packet[:80]), array("q", [t]), array("q", [0]), array("q", [80]), array("q", [len(packet)]))
    c.host.run(t + 100_000_000)
    assert c.state()["rcv_nxt"] == (PEER_ISN + 1001) & 0xFFFFFFFF


# -- resets

@BOTH
def test_a_sockets_reset_is_signed(v6):
    c = signed_client(v6)
    c.send("P.", length=100)
    c.wait(50)
    c.segments()
    c.ok("close")  # unread data: RFC 2525 2.17
    c.expect("R.")
    check_signed(c)


@BOTH
def test_a_listener_at_the_peers_port_knows_the_key_for_a_reset(v6):
    """tcp_v4_send_reset(): the connection is forgotten; both ends use one port, as BGP may."""
    c = listening(port=PEER_PORT, v6=v6)
    set_key(c, LISTENER)
    signing(c).send("P.", length=100, ack=0)
    reset = c.expect("R", seq=0)
    assert list(reset.options) == [SIGNATURE]
    check_signed(c)
    signing(c, spoil=True).send("P.", length=100, ack=0)
    c.expect_nothing(100)


def test_nobody_knows_the_key_for_a_reset():
    c = established()
    c.peer_port = 1234
    signing(c).send("P.", length=100)
    c.expect_nothing(100)
    del c.raw
    c.send("P.", length=100)
    c.expect("R")


# -- the option

@pytest.mark.parametrize(("name", "value", "code"), [
    (TCP_MD5SIG, key_value("10.0.0.2")[:-1], errno.EINVAL),
    (TCP_MD5SIG, key_value("fd77::2"), errno.EINVAL),
    (TCP_MD5SIG, key_value("10.0.0.2", keylen=81), errno.EINVAL),
    (TCP_MD5SIG, key_value("10.0.0.2", b""), errno.ENOENT),
    (TCP_MD5SIG_EXT, key_value("10.0.0.0", prefixlen=33), errno.EINVAL),
    (TCP_MD5SIG_EXT, key_value("10.0.0.2", ifindex=2), errno.EINVAL),
    (TCP_MD5SIG, key_value("10.0.0.2", prefixlen=33), 0),  # the prefix is TCP_MD5SIG_EXT's
    (TCP_MD5SIG, key_value("10.0.0.2", bytes(80)), 0),
], ids=["short", "family", "too-long", "nothing-to-delete", "prefix", "no-l3-master", "plain", "longest"])
def test_values(name, value, code):
    c = client()
    ret, err, over = c.call("setsockopt", SLOT, SOL_TCP, name, len(value), s=value)
    assert (ret, err, over) == (-1 if code else 0, code, True)


def test_keys_count_in_the_option_memory():
    """sock_kmalloc(): sizeof(struct tcp_md5sig_key) is 136 in 6.18 on x86_64; net.core.optmem_max is the limit."""
    c = client({"net.core.optmem_max": 300})
    set_key(c)
    assert c.state()["sk_omem_alloc"] == 136
    set_key(c, key=b"longer than before")
    set_key(c, addr="10.0.0.3")
    assert c.state()["sk_omem_alloc"] == 272
    value = key_value("10.0.0.4")
    c.fails(errno.ENOMEM, "setsockopt", SLOT, SOL_TCP, TCP_MD5SIG, len(value), s=value)
    set_key(c, key=b"")
    assert c.state()["sk_omem_alloc"] == 136


@pytest.mark.parametrize("length", [0, 1, 15, 16, 35, 36, 43, 44, 47, 48, 100])
def test_every_length_of_the_last_block(length):
    """RFC 1321 3.1: 44 bytes of data and the key of 12 fill the second block; one more, and it takes a third."""
    c = signed_client()
    if length:
        c.ok("send", SLOT, length)
    header = c.host.emitted(c.host.emitted_count() - 1)[4]
    at = parts(header)[0]
    assert struct.unpack("!H", header[2:4])[0] == len(header) + length
    assert header[at + 24:at + 40] == digest(header + bytes(length), KEY)
