# SPDX-License-Identifier: GPL-2.0-only
"""The active open: tcp_v4_connect(), tcp_connect(), tcp_rcv_synsent_state_process(), and the ports it takes."""

import errno
import socket
import struct

import pytest
from conversation import (
    EPOCH,
    LOCAL,
    LOCAL_ISN,
    LOCAL_PORT,
    MSS,
    PEER,
    PEER_ISN,
    PEER_PORT,
    SLOT,
    UPTIME_MS,
    Conversation,
    client,
    encode_options,
    established,
    new_host,
    syn_sent,
    tcp_packet,
)
from wheel import series

SYN_ACK_OPTIONS = encode_options({"mss": MSS, "sack": True})


def test_syn_carries_what_the_host_can_do():
    """MSS of the device, SACK, timestamps, a window scale that fits tcp_rmem[2] = 32 MiB into 16 bits: 10 (RFC 7323).

    The window of a SYN is never scaled: 65535 rounded down to whole segments of 1460.
    """
    c = client()
    c.start("connect", SLOT, PEER_PORT, s=PEER)
    syn = c.expect("S", seq=-1, ack=0, length=0, window=64240, t=0)
    assert list(syn.options) == ["mss", "sack", "ts", "ws"]
    assert (syn.options["mss"], syn.options["ws"]) == (1460, 10)


def test_sysctls_take_options_away():
    c = client({"net.ipv4.tcp_timestamps": 0, "net.ipv4.tcp_sack": 0, "net.ipv4.tcp_window_scaling": 0})
    c.start("connect", SLOT, PEER_PORT, s=PEER)
    c.expect("S", options={"mss": 1460})


def test_handshake():
    c = client()
    call = c.start("connect", SLOT, PEER_PORT, s=PEER)
    c.expect("S")
    c.wait(10)
    c.raw(tcp_packet("S.", PEER_ISN, LOCAL_ISN + 1, 0, 65535, SYN_ACK_OPTIONS))
    c.expect(".", seq=0, ack=0, length=0, options={}, t=10)
    assert c.result(call) == (0, 0, 10)
    assert c.name_of_state() == "ESTABLISHED"
    assert c.counter("TcpActiveOpens") == 1
    assert c.state()["srtt_us"] >> 3 == 10_000  # RFC 6298 2.2: the first sample


def test_syn_is_sent_again_linearly_then_doubling():
    """tcp_syn_linear_timeouts = 4 and tcp_syn_retries = 6: ten more SYNs, given up after 131 s (ip-sysctl.rst)."""
    c = client()
    call = c.start("connect", SLOT, PEER_PORT, s=PEER)
    delays = [1000] * 5 + [2000, 4000, 8000, 16000, 32000, 64000]
    times = series(0, delays)
    c.wait(140_000)
    syns = c.segments()
    assert [s.t for s in syns] == [0, *times[:-1]]
    assert {(s.flags, s.seq) for s in syns} == {("S", -1)}
    assert c.result(call) == (-1, errno.ETIMEDOUT, times[-1])
    assert c.counter("TCPTimeouts") == 11


def test_without_linear_timeouts_each_wait_doubles():
    c = client({"net.ipv4.tcp_syn_linear_timeouts": 0, "net.ipv4.tcp_syn_retries": 3})
    call = c.start("connect", SLOT, PEER_PORT, s=PEER)
    times = series(0, [1000, 2000, 4000, 8000])
    c.wait(20_000)
    assert [s.t for s in c.segments()] == [0, *times[:-1]]
    assert c.result(call) == (-1, errno.ETIMEDOUT, times[-1])


def test_a_reset_refuses_the_connection():
    c = syn_sent()
    c.wait(10)
    c.raw(tcp_packet("R.", 0, LOCAL_ISN + 1))
    c.expect_nothing()
    assert c.host.calls()[-1][:2] == (-1, errno.ECONNREFUSED)
    assert c.counter("TcpAttemptFails") == 1


def test_a_reset_that_acknowledges_nothing_is_ignored():
    """RFC 9293 3.10.7.3: in SYN-SENT a RST counts only with an acceptable ACK."""
    c = syn_sent()
    c.raw(tcp_packet("R", 0, 0))
    c.expect_nothing()
    assert c.name_of_state() == "SYN_SENT"


def test_a_wrong_acknowledgment_is_answered_with_a_reset():
    """RFC 9293 3.10.7.3: SEG.ACK > SND.NXT: <SEQ=SEG.ACK><CTL=RST>, and the connection goes on."""
    c = syn_sent()
    c.raw(tcp_packet("S.", PEER_ISN, LOCAL_ISN + 77))
    c.expect("R", seq=76, length=0)
    assert c.name_of_state() == "SYN_SENT"


def test_simultaneous_open():
    """RFC 9293 figure 7: both SYNs cross, each side answers with a SYN-ACK that has its first sequence number."""
    c = syn_sent()
    c.wait(5)
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, SYN_ACK_OPTIONS))
    c.expect("S.", seq=-1, ack=0)
    assert c.name_of_state() == "SYN_RECV"
    c.wait(5)
    c.raw(tcp_packet("S.", PEER_ISN, LOCAL_ISN + 1, 0, 65535, SYN_ACK_OPTIONS))
    assert c.name_of_state() == "ESTABLISHED"


def test_nonblocking_connect():
    c = client()
    c.ok("fcntl", SLOT, 1)
    c.fails(errno.EINPROGRESS, "connect", SLOT, PEER_PORT, s=PEER)
    c.fails(errno.EALREADY, "connect", SLOT, PEER_PORT, s=PEER)
    c.raw(tcp_packet("S.", PEER_ISN, LOCAL_ISN + 1, 0, 65535, SYN_ACK_OPTIONS))
    c.ok("connect", SLOT, PEER_PORT, s=PEER)  # tells success once
    c.fails(errno.EISCONN, "connect", SLOT, PEER_PORT, s=PEER)


def test_the_peers_mss_limits_ours():
    c = established(options={"mss": 500, "sack": True})
    c.ok("send", SLOT, 1200)
    assert [s.length for s in c.segments()] == [500, 500, 200]


def test_without_an_mss_option_536_is_assumed():
    """RFC 9293 3.7.1: MUST-15."""
    c = established(options={})
    c.ok("send", SLOT, 1000)
    assert [s.length for s in c.segments()] == [536, 464]


# -- ports


def two_sockets(**sysctl):
    c = Conversation(new_host({f"net.ipv4.{k}": v for k, v in sysctl.items()}))
    for slot in (3, 4, 5):
        c.ok("socket", slot)
    return c


def test_bind_conflict():
    c = two_sockets()
    c.ok("bind", 3, LOCAL_PORT, s=LOCAL)
    c.fails(errno.EADDRINUSE, "bind", 4, LOCAL_PORT, s=LOCAL)
    c.fails(errno.EADDRINUSE, "bind", 5, LOCAL_PORT, s="0.0.0.0")
    c.fails(errno.EINVAL, "bind", 3, LOCAL_PORT + 1, s=LOCAL)  # bound already


def test_bind_to_an_address_of_another_host():
    c = two_sockets()
    c.fails(errno.EADDRNOTAVAIL, "bind", 3, LOCAL_PORT, s="10.0.0.9")


def test_reuseaddr_lets_bind_but_not_listen_twice():
    """inet_csk_bind_conflict(): both have SO_REUSEADDR and none listens."""
    c = two_sockets()
    for slot in (3, 4):
        c.ok("setsockopt", slot, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        c.ok("bind", slot, LOCAL_PORT, s=LOCAL)
    c.ok("listen", 3, 5)
    c.fails(errno.EADDRINUSE, "listen", 4, 5)


def test_reuseport_needs_all_to_have_it():
    c = two_sockets()
    for slot in (3, 4):
        c.ok("setsockopt", slot, socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        c.ok("bind", slot, LOCAL_PORT, s=LOCAL)
        c.ok("listen", slot, 5)
    c.fails(errno.EADDRINUSE, "bind", 5, LOCAL_PORT, s=LOCAL)


def test_connect_takes_even_ports_and_bind_odd_ones():
    """__inet_hash_connect() and inet_csk_find_open_port(): the two halves of the range keep out of each other's way."""
    c = two_sockets(ip_local_port_range="32768 60999")
    c.start("connect", 3, PEER_PORT, s=PEER)
    c.ok("bind", 4, 0, thread=1, s=LOCAL)
    connected, bound = c.state(3)["sk_num"], c.state(4)["sk_num"]
    assert 32768 <= connected <= 60999 and connected % 2 == 0
    assert 32768 <= bound <= 60999 and bound % 2 == 1


def test_ports_run_out():
    c = two_sockets(ip_local_port_range="50000 50001")
    for slot in (3, 4):
        c.start("connect", slot, PEER_PORT, s=PEER, thread=slot)
    c.fails(errno.EADDRNOTAVAIL, "connect", 5, PEER_PORT, s=PEER)
    assert {c.state(3)["sk_num"], c.state(4)["sk_num"]} == {50000, 50001}


def test_one_port_serves_several_peers():
    """A four-tuple must be new, a port need not (__inet_check_established())."""
    c = two_sockets(ip_local_port_range="50000 50000")
    c.start("connect", 3, PEER_PORT, s=PEER)
    c.start("connect", 4, PEER_PORT + 1, s=PEER, thread=1)
    assert c.state(3)["sk_num"] == c.state(4)["sk_num"] == 50000


def test_times_are_on_the_captures_clock():
    c = established()
    assert c.host.now == EPOCH + 10_000_000
    assert c.host.connections()[0]["t_open"] == EPOCH
    assert c.host.connections()[0]["lport"] == LOCAL_PORT


def test_a_syn_is_copied_for_the_syn_ack_while_the_device_still_has_it():
    c = client(device={"rx": "nic"})
    c.start("connect", SLOT, PEER_PORT, s=PEER)
    c.expect("S", seq=-1)
    c.wait(0.005)
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, SYN_ACK_OPTIONS))
    c.expect("S.", seq=-1, ack=0)
    assert c.host.pools()["skbuff_fclone_cache"] == 1
    c.wait(0.1)
    # The device is done with the SYN; what will be sent again is the copy.
    assert (c.host.pools()["skbuff_fclone_cache"], c.host.pools()["skbuff_head_cache"]) == (0, 1)


def test_no_route_from_an_address_that_is_not_ours():
    c = client({"net.ipv4.ip_nonlocal_bind": 1})
    c.ok("bind", SLOT, 0, s="10.9.9.9")
    c.fails(errno.ENETUNREACH, "connect", SLOT, PEER_PORT, s=PEER)
    assert c.counter("IpOutNoRoutes") == 1


def test_each_of_many_connections_has_its_own_pins():
    """Ports by the peer's port, in order where several share one; first sequence numbers by the 4-tuple."""
    c = client()
    many = 3000
    for i in range(many):
        c.host.pin(LOCAL, 40000 + i, PEER, 10000 + i // 2, 7 * i, 0, False)
    # Of each pair the second port is taken second, however many pins came behind.
    for slot, (peer_port, pin) in enumerate([(11499, 2998), (10000, 0), (11499, 2999), (10700, 1400), (10000, 1)]):
        c.ok("socket", 10 + slot)
        c.start("connect", 10 + slot, peer_port, s=PEER, thread=10 + slot)
        headers = c.host.emitted(c.host.emitted_count() - 1)[4]
        assert struct.unpack_from("!HHI", headers, 20) == (40000 + pin, peer_port, 7 * pin)


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_syn_at_the_turn_of_a_ms_has_the_tsval_that_it_had(late):
    """A SYN-ACK that echoes any other than this one SYN's is refused (PAWSActiveRejected)."""
    c = client(stamp=(777 + late, UPTIME_MS + 777))
    c.start("connect", SLOT, PEER_PORT, s=PEER)
    assert c.expect("S", seq=-1).options["ts"] == (UPTIME_MS + 777, 0)
    c.wait(10)
    c.raw(tcp_packet("S.", PEER_ISN, LOCAL_ISN + 1, 0, 65535, encode_options({"mss": MSS, "ts": (5, UPTIME_MS + 777)})))
    assert c.expect(".", seq=0, ack=0).options["ts"] == (UPTIME_MS + 787, 5)
    assert c.counter("PAWSActiveRejected") == 0


def test_a_syn_that_was_sent_at_another_time_has_another_tsval():
    c = client(stamp=(777, UPTIME_MS + 779))
    c.start("connect", SLOT, PEER_PORT, s=PEER)
    assert c.expect("S", seq=-1).options["ts"] == (UPTIME_MS + 777, 0)
