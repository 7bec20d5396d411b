# SPDX-License-Identifier: GPL-2.0-only
"""Loss and how it is mended: RTO, fast retransmit, RACK, tail loss probes, undo (tcp_timer.c, tcp_input.c,
tcp_recovery.c); keepalive and user timeout."""

import errno
import socket

from conversation import MSS, SLOT, established
from wheel import fires

RTO = 212  # ms after one sample of 10 ms: 10 + 200, in ticks
TLP = "net.ipv4.tcp_early_retrans"
SECOND = 1000
OPEN, DISORDER, RECOVERY, LOSS = 0, 1, 3, 4  # icsk_ca_state


def bulk(segments=10, **kw):
    """Established, with this many segments in flight."""
    c = established(**kw)
    c.ok("send", SLOT, segments * MSS)
    assert len(c.segments()) == segments
    return c


def test_rto_backs_off():
    """RFC 6298 5.5: double it each time; the first unacknowledged segment is sent (5.4)."""
    c = established(sysctl={TLP: 0})
    c.ok("send", SLOT, 100)
    c.expect("P.", seq=0)
    now, times = c.t, []
    for i in range(5):
        now = fires(now, RTO << i, in_timer=bool(i))
        times.append(now)
    c.wait(times[-1] - c.t)
    again = c.segments()
    assert [s.t for s in again] == times
    assert {(s.flags, s.seq, s.length) for s in again} == {("P.", 0, 100)}
    assert c.state()["icsk_ca_state"] == LOSS
    assert c.state()["snd_cwnd"] == 1
    assert c.counter("TCPTimeouts") == 5


def test_rto_ends_with_etimedout():
    """tcp_retries2 = 15 at first RTO 200 ms: about 924.6 s at least (ip-sysctl.rst)."""
    c = established(sysctl={TLP: 0})
    c.ok("send", SLOT, 100)
    call = c.start("recv", SLOT, 100)
    c.wait(920 * SECOND)
    assert c.result(call) is None
    c.wait(200 * SECOND)
    assert c.result(call)[:2] == (-1, errno.ETIMEDOUT)
    assert c.counter("TCPAbortOnTimeout") == 1


def test_user_timeout():
    """RFC 5482: nothing acknowledged for that long ends it; Linux counts from the first retransmission on
    (retransmits_timed_out()), which comes after a probe and an RTO."""
    c = established()
    c.ok("setsockopt", SLOT, socket.SOL_TCP, socket.TCP_USER_TIMEOUT, 3000)
    c.ok("send", SLOT, 100)
    call = c.start("recv", SLOT, 100)
    c.wait(3000)
    assert c.result(call) is None
    c.wait(2 * RTO + 200)
    assert c.result(call)[:2] == (-1, errno.ETIMEDOUT)


def test_karn():
    """RFC 6298 section 3: no RTT sample from what was sent twice, without timestamps."""
    c = established(sysctl={TLP: 0})
    c.ok("send", SLOT, 100)
    c.wait(300)
    srtt = c.state()["srtt_us"]
    c.send(".", ack=100)
    assert c.state()["srtt_us"] == srtt
    assert c.state()["icsk_backoff"] == 1  # kept until there is a valid sample (RFC 6298 section 5, end)
    c.ok("send", SLOT, 100)
    c.wait(10)
    c.send(".", ack=200)
    assert c.state()["icsk_backoff"] == 0


def test_srtt_and_variance():
    """RFC 6298 2.3 with R' = 30 ms after R = 10 ms: SRTT = 7/8 10 + 1/8 30 = 12.5 ms."""
    c = established()
    c.ok("send", SLOT, 100)
    c.segments()
    c.wait(30)
    c.send(".", ack=100)
    assert c.state()["srtt_us"] / 8 == 12_500
    assert c.state()["rtt_min.s[0].v"] == 10_000


def test_tail_loss_probe():
    """RFC 8985 7.2: PTO = 2 SRTT (20 ms), 2 ms more (TCP_TIMEOUT_MIN_US); the last segment goes."""
    c = bulk(4)
    due = fires(10, 20 + 2)
    c.wait(due - c.t)
    c.expect("P.", seq=3 * MSS, length=MSS, t=due)
    assert c.counter("TCPLossProbes") == 1
    c.send(".", ack=4 * MSS)
    assert c.state()["icsk_ca_state"] == OPEN


def test_tail_loss_probe_sends_new_data_first():
    """RFC 8985 7.3: a new segment if there is one and the window lets it."""
    c = established()
    c.ok("send", SLOT, 12 * MSS)
    assert len(c.segments()) == 10
    c.wait(40)
    c.expect(".", seq=10 * MSS, length=MSS)


def test_a_lone_segment_waits_for_the_delayed_ack():
    """RFC 8985 7.2: with one segment in flight 200 ms more; here the RTO comes first, so the probe takes its time."""
    c = bulk(1)
    c.wait(fires(10, RTO) - c.t - 1)
    c.expect_nothing()
    c.wait(1)
    c.expect("P.", seq=0, length=MSS)
    assert c.counter("TCPLossProbes") == 1


def test_a_probe_that_mended_a_loss_halves_the_window():
    """RFC 8985 7.4.2: new data is acknowledged, and no DSACK came: the original was lost, and that is congestion."""
    c = bulk(4, sysctl={"net.ipv4.tcp_congestion_control": "reno"})
    c.send(".", ack=3 * MSS)
    c.wait(300)
    assert c.segments()[0].seq == 3 * MSS
    c.ok("send", SLOT, MSS)
    cwnd = c.state()["snd_cwnd"]
    c.send(".", ack=5 * MSS)
    assert c.counter("TCPLossProbeRecovery") == 1
    assert c.state()["snd_ssthresh"] == cwnd // 2


def test_fast_retransmit_without_sack():
    """RFC 5681 3.2: three duplicate ACKs. The first ACK behind the handshake still updates the window (SND.WL1)."""
    c = bulk(10, options={"mss": MSS}, sysctl={"net.ipv4.tcp_congestion_control": "reno"})
    c.wait(10)
    c.send(".", ack=0)
    for _ in range(2):
        c.send(".", ack=0)
    assert all(s.seq >= 10 * MSS for s in c.segments())
    c.send(".", ack=0)
    assert c.segments()[0].seq == 0
    assert c.state()["icsk_ca_state"] == RECOVERY
    assert c.state()["snd_ssthresh"] == 5  # RFC 5681 (4): half of what was in flight
    assert c.counter("TCPRenoRecovery") == 1


def test_sack_marks_the_hole():
    """RFC 6675: three segments above the hole; only the hole is sent again."""
    c = bulk(10)
    c.wait(10)
    c.send(".", ack=0, options={"blocks": [(MSS, 4 * MSS)]})
    again = c.segments()
    assert (again[0].seq, again[0].length) == (0, MSS)
    assert c.state()["sacked_out"] == 3
    assert c.counter("TCPSackRecovery") == 1
    assert c.counter("TcpRetransSegs") == 1


def test_rack_waits_for_reordering():
    """RFC 8985 6.2: two SACKed segments are below dupthresh: a quarter of the RTT is left for late comers."""
    c = bulk(10)
    c.wait(10)
    c.send(".", ack=0, options={"blocks": [(MSS, 3 * MSS)]})
    assert all(s.seq >= 10 * MSS for s in c.segments())
    assert c.state()["icsk_ca_state"] == DISORDER
    c.wait(12)
    assert c.segments()[0].seq == 0
    assert c.state()["icsk_ca_state"] == RECOVERY


def test_recovery_ends_at_the_recovery_point():
    """RFC 6675 5: a cumulative ACK of all that was out when it began."""
    c = bulk(10)
    c.wait(10)
    c.send(".", ack=0, options={"blocks": [(MSS, 4 * MSS)]})
    c.wait(10)
    c.send(".", ack=10 * MSS)
    assert c.state()["icsk_ca_state"] == OPEN
    assert c.state()["retrans_out"] == c.state()["sacked_out"] == c.state()["lost_out"] == 0


def test_dsack_undoes_a_needless_recovery():
    """RFC 2883, tcp_try_undo_recovery(): the original had come too; cwnd and ssthresh go back."""
    c = bulk(10)
    c.wait(10)
    c.send(".", ack=0, options={"blocks": [(MSS, 4 * MSS)]})
    before = c.state()["prior_cwnd"]
    c.wait(10)
    c.send(".", ack=10 * MSS, options={"blocks": [(0, MSS)]})
    assert before == 10
    assert c.state()["snd_cwnd"] >= before
    assert c.counter("TCPFullUndo") + c.counter("TCPDSACKUndo") == 1
    assert c.counter("TCPDSACKRecv") == 1


def test_sack_of_what_was_never_sent_is_ignored():
    c = bulk(4)
    c.send(".", ack=0, options={"blocks": [(100 * MSS, 101 * MSS)]})
    assert c.state()["sacked_out"] == 0
    assert c.counter("TCPSACKDiscard") == 1


def test_reneging_is_noticed_at_the_timeout():
    """RFC 2018 section 8: SACKed data may be thrown away; after an RTO all counts as lost."""
    c = bulk(4)
    c.wait(10)
    c.send(".", ack=0, options={"blocks": [(MSS, 4 * MSS)]})
    c.wait(2 * SECOND)
    assert c.state()["icsk_ca_state"] == LOSS
    assert c.counter("TCPTimeouts") >= 1


# -- keepalive: RFC 9293 3.8.4


def keepalive(**options):
    c = established()
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        c.ok("setsockopt", SLOT, socket.SOL_TCP, getattr(socket, name), value)
    return c


def test_keepalive_probe_and_answer():
    """An ACK one below SND.NXT, after TCP_KEEPIDLE; an answer starts the time again."""
    c = keepalive(TCP_KEEPIDLE=10, TCP_KEEPINTVL=5, TCP_KEEPCNT=3)
    c.wait(9 * SECOND)
    c.expect_nothing()
    c.wait(2 * SECOND)
    c.expect(".", seq=-1, ack=0, length=0)
    c.send(".", ack=0)
    answered = c.t
    c.wait(9.9 * SECOND)
    c.expect_nothing()
    c.wait(1 * SECOND)
    assert 10 * SECOND <= c.expect(".", seq=-1).t - answered <= 10.3 * SECOND  # a granule of 256 ms


def test_keepalive_gives_up():
    c = keepalive(TCP_KEEPIDLE=10, TCP_KEEPINTVL=5, TCP_KEEPCNT=3)
    call = c.start("recv", SLOT, 10)
    c.wait(60 * SECOND)
    assert [s.flags for s in c.segments()] == [".", ".", ".", "R."]
    result = c.result(call)
    assert result[:2] == (-1, errno.ETIMEDOUT)
    assert 25 * SECOND <= result[2] <= 27 * SECOND


def test_keepalive_takes_two_hours_by_default():
    c = keepalive()
    c.wait(7190 * SECOND)
    c.expect_nothing()
    c.wait(120 * SECOND)
    assert len(c.segments()) >= 1
