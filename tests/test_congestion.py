# SPDX-License-Identifier: GPL-2.0-only
"""Windows that grow and shrink: Reno, CUBIC with HyStart, idle restart, receive windows, TCP_INFO (tcp_cong.c,
tcp_cubic.c, tcp_output.c, tcp_input.c)."""

import errno
import socket

from conversation import MSS, SLOT, accepted, established

TCP_CONGESTION = 13
RENO = {"net.ipv4.tcp_congestion_control": "reno"}
NEVER = 0x7FFFFFFF  # TCP_INFINITE_SSTHRESH
SECOND = 1000
RECOVERY = 3  # TCP_CA_Recovery


def stream(c, rounds, rtt=10.0, until=lambda c: False):
    """Sends without pause; the peer acknowledges a round trip later, each segment by itself. Segments of each round."""
    sizes, acked = [], 0
    c.host.call(SLOT, "fcntl", 1)
    for _ in range(rounds):
        c.call("send", SLOT, 1 << 20)
        burst = c.segments()
        sizes.append(len(burst))
        c.wait(rtt)
        burst += c.segments()
        for s in burst:
            acked = max(acked, s.seq + s.length)
            c.send(".", ack=acked, window=65535)
        if until(c):
            break
    return sizes


def scaled(**kw):
    """A peer with a large window, so that only cwnd limits."""
    options = {"mss": MSS, "sack": True, "ws": 8}
    c = established(options=options, **kw)
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)
    return c


def test_slow_start_grows_by_what_is_acknowledged():
    """RFC 5681 3.1 with RFC 3465: 10, 20, 40 in flight."""
    c = scaled(sysctl=RENO)
    c.send(".", window=65535)
    stream(c, 1)
    assert c.state()["snd_cwnd"] == 20
    stream(c, 1)
    assert c.state()["snd_cwnd"] == 40
    assert c.state()["snd_ssthresh"] == NEVER


def test_congestion_avoidance_grows_by_one_a_round():
    """RFC 5681 3.1 (3): above ssthresh, a segment more for a window's worth of ACKs (tcp_cong_avoid_ai())."""
    c = scaled(sysctl=RENO)
    c.ok("send", SLOT, 10 * MSS)
    c.segments()
    c.wait(10)
    c.send(".", ack=0, options={"blocks": [(MSS, 4 * MSS)]}, window=65535)
    c.segments()
    c.wait(10)
    c.send(".", ack=c.last_ack, window=65535)
    # The ACK that ended recovery delivered 7 segments: more than the window of 5, so one is added; 2 are left over.
    cwnd, count = 6, 2
    assert (c.state()["snd_ssthresh"], c.state()["snd_cwnd"]) == (5, cwnd)
    sent = c.last_ack
    for _ in range(4):
        c.ok("send", SLOT, cwnd * MSS)
        burst = len(c.segments())
        assert burst == cwnd
        c.wait(10)
        for _ in range(burst):
            sent += MSS
            c.send(".", ack=sent, window=65535)
            count += 1
            if count >= cwnd:
                cwnd, count = cwnd + 1, count - cwnd
        assert c.state()["snd_cwnd"] == cwnd


def test_an_rto_begins_again_with_one():
    """RFC 5681 3.1: loss window 1, ssthresh half of what was in flight."""
    c = scaled(sysctl=RENO)
    c.ok("send", SLOT, 10 * MSS)
    c.wait(2 * SECOND)
    assert (c.state()["snd_ssthresh"], c.state()["snd_cwnd"]) == (5, 1)


def test_cubic_multiplies_by_seven_tenths():
    """RFC 9438 4.6: beta_cubic; the kernel has 717/1024."""
    c = established()
    c.ok("send", SLOT, 10 * MSS)
    c.segments()
    c.wait(10)
    c.send(".", ack=0, options={"blocks": [(MSS, 4 * MSS)]})
    assert c.state()["snd_ssthresh"] == 10 * 717 // 1024


def test_cubic_grows_back_to_where_it_lost():
    """RFC 9438 4.2: W(t) = 0.4 (t - K)^3 + W_max, K = cbrt(0.3 W_max / 0.4): flat around W_max at K, then steep.

    The round trip is long, so that Reno's window (4.3) stays below.
    """
    rtt = 400.0
    c = scaled(rtt=rtt)
    c.send(".", window=65535)
    stream(c, 2, rtt)
    c.call("send", SLOT, 1 << 20)
    c.segments()
    lost = c.last_ack - 40 * MSS
    c.wait(rtt)
    c.send(".", ack=lost, options={"blocks": [(lost + MSS, lost + 5 * MSS)]}, window=65535)
    c.segments()
    c.wait(rtt)
    w_max = 40
    k = (w_max * 0.3 / 0.4) ** (1 / 3)
    c.send(".", ack=c.last_ack, window=65535)
    began = c.t
    seen = {}
    while c.t - began < 2 * k * SECOND:
        stream(c, 1, rtt)
        seen[(c.t - began) / SECOND] = c.state()["snd_cwnd"]
    for t, cwnd in seen.items():
        # The kernel aims at W(t + RTT), and gets there an RTT later at the earliest.
        early, late = (0.4 * (x - k) ** 3 + w_max for x in (t - 2 * rtt / SECOND, t + rtt / SECOND))
        assert early - 2 <= cwnd <= late + 2, (t, cwnd)


def test_reno_halves():
    c = established(sysctl=RENO)
    c.ok("send", SLOT, 10 * MSS)
    c.segments()
    c.wait(10)
    c.send(".", ack=0, options={"blocks": [(MSS, 4 * MSS)]})
    assert c.state()["snd_ssthresh"] == 5


def test_hystart_leaves_slow_start_when_the_delay_grows():
    """HyStart's delay test: a round's least RTT exceeds the least ever by an eighth (4 ms at least)."""
    c = scaled()
    c.send(".", window=65535)
    stream(c, 2)
    assert c.state()["snd_ssthresh"] == NEVER
    stream(c, 3, rtt=40.0)
    assert c.state()["snd_ssthresh"] < NEVER
    assert c.counter("TCPHystartDelayDetect") == 1


def test_idle_restart():
    """RFC 5681 4.1: after an idle RTO the window is halved for each RTO that went by, not below the initial one."""
    c = scaled()
    c.send(".", window=65535)
    stream(c, 2)
    cwnd = c.state()["snd_cwnd"]
    assert cwnd == 40
    acked = c.last_ack
    while True:  # let all that is queued go
        c.wait(10)
        c.segments()
        if c.last_ack == acked:
            break
        acked = c.last_ack
        c.send(".", ack=acked, window=65535)
    c.wait(30 * SECOND)
    c.ok("send", SLOT, 10)
    assert c.state()["snd_cwnd"] == 10


def test_no_idle_restart_if_told():
    c = scaled(sysctl={"net.ipv4.tcp_slow_start_after_idle": 0})
    c.send(".", window=65535)
    c.ok("send", SLOT, 10 * MSS)
    c.segments()
    c.wait(10)
    c.send(".", ack=10 * MSS, window=65535)
    assert c.state()["snd_cwnd"] == 20
    c.wait(30 * SECOND)
    c.ok("send", SLOT, 10)
    assert c.state()["snd_cwnd"] == 20


def test_an_application_that_sends_little_does_not_grow_cwnd():
    """RFC 7661, tcp_is_cwnd_limited(): growth needs use."""
    c = established(sysctl=RENO)
    sent = 0
    for _ in range(20):
        c.ok("send", SLOT, 100)
        sent += 100
        c.wait(10)
        c.send(".", ack=sent)
    assert c.state()["snd_cwnd"] <= 20


def test_congestion_control_by_name():
    c = established()
    c.ok("setsockopt", SLOT, socket.SOL_TCP, TCP_CONGESTION, s="reno")
    c.fails(errno.ENOENT, "setsockopt", SLOT, socket.SOL_TCP, TCP_CONGESTION, s="nonsense")


# -- the receive side


def test_the_window_grows_with_full_segments():
    """tcp_grow_window(): twice what arrived, for segments that carry more data than overhead."""
    c = established(options={"mss": MSS, "sack": True, "ws": 8})
    before = c.state()["rcv_ssthresh"]
    for _ in range(4):
        c.send("P.", length=MSS)
        c.ok("recv", SLOT, MSS)
    assert c.state()["rcv_ssthresh"] > before


def test_tiny_segments_do_not_open_the_window():
    c = established(options={"mss": MSS, "sack": True, "ws": 8})
    before = c.state()["rcv_ssthresh"]
    for _ in range(10):
        c.send("P.", length=1)
    assert c.state()["rcv_ssthresh"] == before


def test_the_window_never_shrinks():
    """RFC 9293 3.8.6: the right edge is not taken back while nobody reads."""
    c = established()
    edge = 64240
    for i in range(20):
        c.send("P.", length=MSS)
        for s in c.segments():
            assert s.ack + s.window >= edge, i
            edge = s.ack + s.window


def test_a_reader_that_stopped_closes_the_window():
    c = established()
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    window = 64240
    for _ in range(100):
        if window == 0:
            break
        c.send("P.", length=min(MSS, window))
        c.wait(50)
        for s in c.segments():
            window = s.window
    assert window < MSS


# -- TCP_INFO


def test_tcp_info():
    """The first fields, in the units of tcp(7): us for RTTs, ms for times, segments for windows."""
    c = established()
    c.ok("send", SLOT, 3 * MSS)
    c.segments()
    c.wait(10)
    c.send(".", ack=2 * MSS)
    c.send("P.", ack=2 * MSS, length=100)
    c.ok("tcp_info")
    info = c.host.call_info(len(c.host.calls()) - 1)
    assert info["tcpi_state"] == 1
    assert (info["tcpi_rtt"], info["tcpi_min_rtt"]) == (10_000, 10_000)
    assert info["tcpi_rto"] == 212_000  # srtt + 200 ms, in whole ticks
    assert (info["tcpi_snd_mss"], info["tcpi_advmss"], info["tcpi_pmtu"]) == (MSS, 1460, 1500)
    assert (info["tcpi_unacked"], info["tcpi_retrans"], info["tcpi_lost"]) == (1, 0, 0)
    assert info["tcpi_bytes_acked"] == 2 * MSS + 1  # the SYN counts
    assert (info["tcpi_bytes_received"], info["tcpi_bytes_sent"]) == (100, 3 * MSS)
    assert (info["tcpi_data_segs_out"], info["tcpi_data_segs_in"]) == (3, 1)
    assert info["tcpi_snd_ssthresh"] == NEVER
    assert info["tcpi_snd_wnd"] == 65535
    assert info["tcpi_last_data_sent"] == 12  # from tick 2 to tick 5


def test_counters_of_a_short_connection():
    """RFC 4022's names, as nstat prints them."""
    c = established()
    c.ok("send", SLOT, 100)
    c.send("P.", ack=100, length=50)
    c.ok("recv", SLOT, 100)
    assert c.counter("TcpActiveOpens") == 1
    assert c.counter("TcpCurrEstab") == 1
    assert c.counter("TcpInSegs") == 2
    assert c.counter("TcpOutSegs") == c.host.emitted_count()
    assert c.counter("IpInReceives") == 2
    assert c.counter("TcpRetransSegs") == 0


def test_an_old_timestamp_undoes_part_of_a_recovery():
    """RFC 3522: the ACK of what was sent again echoes the first sending, so it was late and not lost."""
    c = established(options={"mss": 1000, "sack": True, "ts": (1000, 0)})
    c.ok("send", SLOT, 10_000)
    mss, first = c.segments()[0].length, c.ts_echo
    c.wait(10)
    for n in (3, 4, 5):
        c.send(".", ack=0, options={"ts": (1010, first), "blocks": [(2 * mss, n * mss)]})
    assert (0, mss) in [(s.seq, s.length) for s in c.segments()]
    assert c.state()["icsk_ca_state"] == RECOVERY
    cut = c.state()["snd_ssthresh"]
    c.wait(1)
    c.send(".", ack=mss, options={"ts": (1011, first), "blocks": [(2 * mss, 5 * mss)]})
    c.expect_nothing()
    assert c.counter("TCPPartialUndo") == 1
    assert c.state()["icsk_ca_state"] < RECOVERY and c.state()["snd_ssthresh"] > cut


def test_a_route_says_which_congestion_control():
    """`ip route ... congctl reno`: it halves, where CUBIC takes 0.7."""
    for route, ssthresh in (({"congctl": "reno"}, 5), ({}, 7)):
        c = accepted(route=route)
        c.ok("send", SLOT, 10 * MSS)
        assert len(c.segments()) == 10
        c.wait(10)
        for n in (2, 3, 4):
            c.send(".", ack=0, options={"blocks": [(MSS, n * MSS)]})
        assert (c.state()["icsk_ca_state"], c.state()["snd_ssthresh"]) == (RECOVERY, ssthresh)
