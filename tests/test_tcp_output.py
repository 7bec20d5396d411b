# SPDX-License-Identifier: GPL-2.0-only
"""What leaves and when: segmentation, Nagle, cork, windows, probes (tcp.c, tcp_output.c)."""

import errno
import socket

from conversation import LOCAL_ISN, MSS, SLOT, established
from packets import checksum, icmp_frag_needed
from wheel import fires

NODELAY, CORK = 1, 3  # TCP_NODELAY, TCP_CORK
RTO = 212  # ms: srtt 10 ms and the least variance, 200 ms, in ticks of 4 ms


def sender(**kw):
    """Established, with a congestion window of 10 and a round trip of 10 ms."""
    return established(**kw)


def test_a_small_write_leaves_at_once():
    c = sender()
    assert c.ok("send", SLOT, 100) == 100
    c.expect("P.", seq=0, ack=0, length=100, t=10)


def test_a_large_write_is_cut_at_the_mss():
    c = sender()
    c.ok("send", SLOT, 3 * MSS + 1)
    assert [(s.seq, s.length) for s in c.segments()] == [(0, MSS), (MSS, MSS), (2 * MSS, MSS), (3 * MSS, 1)]


def test_timestamps_take_twelve_bytes():
    c = sender(options={"mss": MSS, "sack": True, "ts": (1000, 1_000_000)})
    c.ok("send", SLOT, 2000)
    assert [s.length for s in c.segments()] == [MSS - 12, 2000 - (MSS - 12)]


def test_initial_window_is_ten():
    """RFC 6928."""
    c = sender()
    c.ok("send", SLOT, 20 * MSS)
    assert len(c.segments()) == 10
    assert c.state()["snd_cwnd"] == 10


def test_slow_start_doubles():
    """RFC 5681 3.1: each acknowledged segment lets two more go."""
    c = sender()
    c.start("send", SLOT, 40 * MSS)
    assert len(c.segments()) == 10
    c.wait(10)
    c.send(".", ack=2 * MSS)
    assert len(c.segments()) == 4
    c.send(".", ack=10 * MSS)
    assert c.state()["snd_cwnd"] == 20


def test_nagle():
    """RFC 9293 3.7.4: a small segment waits while anything is unacknowledged."""
    c = sender()
    c.ok("send", SLOT, 100)
    c.expect("P.", seq=0, length=100)
    c.ok("send", SLOT, 50)
    c.ok("send", SLOT, 50)
    c.expect_nothing()
    c.wait(10)
    c.send(".", ack=100)
    c.expect("P.", seq=100, length=100)


def test_nagle_lets_full_segments_go():
    c = sender()
    c.ok("send", SLOT, 100)
    c.ok("send", SLOT, MSS)
    assert [s.length for s in c.segments()] == [100, MSS]


def test_nodelay():
    c = sender()
    c.ok("setsockopt", SLOT, socket.SOL_TCP, NODELAY, 1)
    for _ in range(3):
        c.ok("send", SLOT, 10)
    assert [s.length for s in c.segments()] == [10, 10, 10]


def test_nodelay_sends_what_nagle_held():
    c = sender()
    c.ok("send", SLOT, 10)
    c.ok("send", SLOT, 10)
    assert len(c.segments()) == 1
    c.ok("setsockopt", SLOT, socket.SOL_TCP, NODELAY, 1)
    c.expect("P.", seq=10, length=10)


def test_cork_holds_until_it_is_drawn():
    c = sender()
    c.ok("setsockopt", SLOT, socket.SOL_TCP, CORK, 1)
    c.ok("send", SLOT, 100)
    c.ok("send", SLOT, 100)
    c.expect_nothing()
    c.ok("setsockopt", SLOT, socket.SOL_TCP, CORK, 0)
    c.expect("P.", length=200)


def test_cork_ends_by_itself():
    """tcp(7): 200 ms; in 6.18 the probe timer does it, after the RTO (tcp_probe0_base())."""
    c = sender()
    c.ok("setsockopt", SLOT, socket.SOL_TCP, CORK, 1)
    c.ok("send", SLOT, 100)
    c.wait(400)
    c.expect("P.", length=100, t=fires(10, RTO))


def test_msg_more():
    c = sender()
    c.ok("send", SLOT, 100, socket.MSG_MORE)
    c.expect_nothing()
    c.ok("send", SLOT, 100)
    c.expect("P.", length=200)


def test_autocork():
    """tcp_should_autocork(): while the last packet is still in the NIC, small ones wait for its completion."""
    c = sender(device={"rx": "nic"})
    c.ok("setsockopt", SLOT, socket.SOL_TCP, NODELAY, 1)
    for _ in range(4):
        c.ok("send", SLOT, 10)
    c.wait(1)
    lengths = [s.length for s in c.segments()]
    assert sum(lengths) == 40
    assert len(lengths) < 4
    assert c.counter("TCPAutoCorking") >= 1


def test_urgent_pointer():
    """RFC 6093: it points behind the urgent byte."""
    c = sender()
    c.ok("send", SLOT, 5, socket.MSG_OOB)
    segment = c.segments()[-1]
    assert "U" in segment.flags
    assert segment.urgent == 5


def test_the_peers_window_is_kept():
    c = sender(window=3 * MSS)
    c.ok("send", SLOT, 10 * MSS)
    assert sum(s.length for s in c.segments()) <= 3 * MSS


def test_zero_window_probes_back_off():
    """RFC 9293 3.8.6.1: after an RTO, then doubling; a probe is an ACK one below SND.UNA (tcp_xmit_probe_skb())."""
    c = sender()
    c.send(".", window=0)
    c.ok("send", SLOT, 100)
    c.expect_nothing()
    times, now = [], c.t
    for delay in (RTO, 2 * RTO, 4 * RTO):
        now = fires(now, delay, in_timer=bool(times))
        times.append(now)
        c.wait(now - c.t)
        c.expect(".", seq=-1, length=0, t=now)
        c.send(".", window=0)
    assert c.counter("TCPWinProbe") == 3
    c.send(".", window=1000)
    c.expect("P.", seq=0, length=100)


def test_a_window_that_opens_lets_data_go():
    c = sender()
    c.send(".", window=0)
    c.ok("send", SLOT, 3000)
    c.expect_nothing(50)
    c.send(".", window=65535)
    assert [s.length for s in c.segments()] == [1460, 1460, 80]


def test_send_waits_for_room():
    """SO_SNDBUF, doubled; a blocking send() returns when all is in the buffer.

    The limit is asked for a new skb only: one of size_goal (half the peer's window, in segments), filled up again after
    the initial window was cut off it, takes 10 + 22 segments.
    """
    c = sender()
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    assert c.state()["sk_sndbuf"] == 16384
    call = c.start("send", SLOT, 60_000)
    acked = 0
    while c.result(call) is None and acked < 60_000:
        c.wait(10)
        acked += sum(s.length for s in c.segments())
        c.send(".", ack=acked)
    assert c.result(call)[:2] == (60_000, 0)


def test_nonblocking_send():
    c = sender()
    c.ok("fcntl", SLOT, 1)
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    assert c.ok("send", SLOT, 100_000) == (10 + 22) * MSS
    c.fails(errno.EAGAIN, "send", SLOT, 100_000)


# -- path MTU: RFC 1191


def test_no_segment_may_be_fragmented():
    """RFC 1191 section 3: DF on all that is sent, on data (which leaves as a clone) and on what is sent again too."""
    c = sender()
    for _ in range(20):
        c.ok("send", SLOT, 5 * MSS)
        c.wait(50)
        assert all(s.df for s in c.segments())
        c.send(".", ack=c.last_ack)


def test_icmp_lowers_the_mss_and_sends_again():
    c = sender()
    c.ok("send", SLOT, MSS)
    c.expect("P.", seq=0, length=MSS)
    c.wait(5)
    c.raw(icmp_frag_needed(1000, 0, MSS))
    assert [(s.seq, s.length) for s in c.segments()] == [(0, 960), (960, 500)]
    assert c.state()["mss_cache"] == 960


def test_icmp_about_what_was_never_sent_is_ignored():
    """RFC 5927 4.1: the quoted number must be in flight."""
    c = sender()
    c.ok("send", SLOT, MSS)
    c.segments()
    c.raw(icmp_frag_needed(1000, 100_000, MSS))
    c.expect_nothing()
    assert c.state()["mss_cache"] == MSS
    assert c.counter("OutOfWindowIcmps") == 1


def test_icmp_below_min_pmtu_is_not_believed():
    """net.ipv4.route.min_pmtu = 552."""
    c = sender()
    c.ok("send", SLOT, MSS)
    c.segments()
    c.raw(icmp_frag_needed(100, 0, MSS))
    assert c.state()["mss_cache"] >= 552 - 40


# -- ECN: RFC 3168


def test_ecn_is_asked_for_and_used():
    """tcp_ecn = 1: ECE and CWR on the SYN; data is ECT(0), pure ACKs are not (RFC 3168 6.1.4)."""
    from conversation import PEER, PEER_ISN, PEER_PORT, client, encode_options, tcp_packet

    c = client({"net.ipv4.tcp_ecn": 1})
    c.start("connect", SLOT, PEER_PORT, s=PEER)
    c.expect("SEW", ecn=0)
    c.raw(tcp_packet("SE.", PEER_ISN, LOCAL_ISN + 1, 0, 65535, encode_options({"mss": MSS})))
    c.expect(".", ecn=0)
    c.ok("send", SLOT, 100)
    c.expect("P.", ecn=2)
    c.send("P.", ack=100, length=100, ecn=3)
    c.expect("E.", ecn=0, ack=100)  # CE seen: echoed until CWR comes
    c.send("PW.", length=100, ecn=2)
    c.expect(".", ack=200)


def test_ecn_echo_halves_the_window_once():
    from conversation import PEER, PEER_ISN, PEER_PORT, client, encode_options, tcp_packet

    c = client({"net.ipv4.tcp_ecn": 1, "net.ipv4.tcp_congestion_control": "reno"})
    c.start("connect", SLOT, PEER_PORT, s=PEER)
    c.expect("SEW")
    c.raw(tcp_packet("SE.", PEER_ISN, LOCAL_ISN + 1, 0, 65535, encode_options({"mss": MSS})))
    c.ok("send", SLOT, 20 * MSS)
    c.segments()
    c.wait(10)
    for i in range(1, 11):
        c.send("E.", ack=i * MSS)
    assert c.state()["snd_ssthresh"] == 5
    assert any("W" in s.flags for s in c.segments())


def test_ecn_is_not_offered_by_default():
    """tcp_ecn = 2: only when asked."""
    from conversation import PEER_ISN, encode_options, listening, tcp_packet

    c = listening()
    c.raw(tcp_packet("SEW", PEER_ISN, 0, 0, 65535, encode_options({"mss": MSS})))
    c.expect("SE.")


def test_a_redirect_changes_nothing():
    """It names another next hop, and those are the link layer's: MTU and metrics stay (__ip_do_redirect())."""
    c = established()
    about = icmp_frag_needed(0, 0, 100)
    c.raw(with_icmp(about, bytes([5, 1, 0, 0, 10, 0, 0, 254]) + about[28:]))
    c.ok("send", SLOT, 2 * MSS)
    assert [s.length for s in c.segments()] == [MSS, MSS]
    assert c.counter("IcmpInRedirects") == 1
    assert c.host.warnings() == []


def with_icmp(packet, icmp):
    """The IPv4 packet with another ICMP message in it."""
    icmp = icmp[:2] + checksum(icmp[:2] + b"\0\0" + icmp[4:]).to_bytes(2, "big") + icmp[4:]
    return packet[:20] + icmp


def test_a_lost_probe_for_a_larger_mtu_costs_no_congestion_window():
    """RFC 4821 7.6.1: a larger segment that alone is lost says that it was too large."""
    c = sender(sysctl={"net.ipv4.tcp_mtu_probing": 2, "net.ipv4.tcp_base_mss": 1000}, route={"initcwnd": 20})
    mss = c.state()["mss_cache"]
    c.ok("send", SLOT, 40_000)
    probe = next(s for s in c.segments() if s.length > mss)
    end = probe.seq + probe.length
    c.wait(10)
    c.send(".", ack=probe.seq)
    c.segments()
    before = c.state()
    c.send(".", ack=probe.seq, options={"blocks": [(end, end + 3 * mss)]})
    again = c.segments()
    assert [(s.seq, s.length) for s in again[:2]] == [(probe.seq, mss), (probe.seq + mss, probe.length - mss)]
    assert c.counter("TCPMTUPFail") == 1
    assert c.state()["snd_cwnd"] >= before["snd_cwnd"] and c.state()["snd_ssthresh"] == before["snd_ssthresh"]


def test_memory_pressure_comes_and_goes():
    """tcp_mem, in pages: above the second pressure, below the first none. A CPU keeps up to a MB for itself."""
    c = sender(sysctl={"net.ipv4.tcp_mem": "300 400 100000", "net.core.wmem_max": 8_000_000})
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_SNDBUF, 4_000_000)
    c.ok("send", SLOT, 3_000_000)
    c.segments()
    assert c.counter("TCPMemoryPressures") == 1
    assert c.counter("TCPMemoryPressuresChrono") == 0
    c.wait(1000)
    c.send("R.", ack=0)
    assert c.counter("TCPMemoryPressuresChrono") == 1000
