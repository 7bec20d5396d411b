"""BBR congestion control, version 1 (Cardwell et al., BBR: Congestion-Based Congestion Control, ACM Queue 2016).

Model of the path: bandwidth = highest delivery rate of 10 rounds, min_rtt = lowest RTT of 10 s. Packets are paced at
gain * bandwidth, and cwnd is gain * bandwidth * min_rtt. STARTUP doubles the rate each round until the bandwidth grows
no more, DRAIN empties the queue that this made, PROBE_BW cycles the gain around 1, and PROBE_RTT cuts cwnd to 4 packets
for 200 ms when no new lowest RTT was seen for 10 s.
Follows net/ipv4/tcp_bbr.c of Linux 6.18 (GPL-2.0-only).

"""
from libc.string cimport memset, memcpy
from kpath_c.headers.tcp cimport *
from kpath_c.tcp_cong cimport tcp_register_congestion_control
from kpath_c.shim.win_minmax cimport minmax_running_max

cdef enum:
    BW_SCALE = 24                       # a rate is packets/us << 24
    BW_UNIT = 1 << 24
    BBR_SCALE = 8                       # a gain is a fraction of 256
    BBR_UNIT = 256

    BBR_STARTUP = 0
    BBR_DRAIN = 1
    BBR_PROBE_BW = 2
    BBR_PROBE_RTT = 3

    CYCLE_LEN = 8
    bbr_bw_rtts = 10                    # rounds that the bandwidth filter looks back
    bbr_min_rtt_win_sec = 10
    bbr_probe_rtt_mode_ms = 200
    bbr_min_tso_rate = 1200000          # bit/s: below, no super-segments
    bbr_pacing_margin_percent = 1       # paced that much below the estimate, so that queues shrink
    bbr_high_gain = 739                 # 2/ln(2): the lowest gain that doubles the rate each round
    bbr_drain_gain = 88                 # its reciprocal
    bbr_cwnd_gain = 512
    bbr_cycle_rand = 7
    bbr_cwnd_min_target = 4
    bbr_full_bw_thresh = 320            # 1.25: less growth than that,
    bbr_full_bw_cnt = 3                 # so many rounds in a row, and the pipe is full
    bbr_lt_intvl_min_rtts = 4
    bbr_lt_loss_thresh = 50             # of 256: more loss than that may be a policer's
    bbr_lt_bw_ratio = 32                # 1/8: two intervals no further apart
    bbr_lt_bw_diff = 500                # byte/s: ... or no further apart than this agree
    bbr_lt_bw_max_rtts = 48
    bbr_extra_acked_gain = 256
    bbr_extra_acked_win_rtts = 5
    bbr_ack_epoch_acked_reset_thresh = 1 << 20
    bbr_extra_acked_max_us = 100000

cdef tcp_congestion_ops tcp_bbr_cong_ops

# Probe for more; drain what that queued; cruise.
cdef int[8] bbr_pacing_gain = [320, 192, 256, 256, 256, 256, 256, 256]


cdef inline bbr *bbr_of(sock *sk) noexcept nogil:
    return <bbr *>inet_csk_ca(sk)

cdef inline bint bbr_full_bw_reached(sock *sk) noexcept nogil:
    return bbr_of(sk).full_bw_reached != 0

cdef inline u32 bbr_max_bw(sock *sk) noexcept nogil:
    return minmax_get(<minmax *>&bbr_of(sk).bw[0])

cdef inline u32 bbr_bw(sock *sk) noexcept nogil:
    return bbr_of(sk).lt_bw if bbr_of(sk).lt_use_bw else bbr_max_bw(sk)

cdef inline u16 bbr_extra_acked(sock *sk) noexcept nogil:
    return max_u16(bbr_of(sk).extra_acked[0], bbr_of(sk).extra_acked[1])


# Byte/s. In this order nothing overflows below 2.9 Tbit/s.
cdef u64 bbr_rate_bytes_per_sec(sock *sk, u64 rate, int gain) noexcept nogil:
    rate *= tcp_sk(sk).mss_cache
    rate *= <u64><s64>gain
    rate >>= BBR_SCALE
    rate *= <u64>(USEC_PER_SEC // 100 * (100 - bbr_pacing_margin_percent))
    return rate >> BW_SCALE


cdef unsigned long bbr_bw_to_pacing_rate(sock *sk, u32 bw, int gain) noexcept nogil:
    return <unsigned long>min_u64(bbr_rate_bytes_per_sec(sk, bw, gain), sk.sk_max_pacing_rate)


# high_gain * initial cwnd / RTT; 1 ms is taken for an RTT that isn't known.
cdef void bbr_init_pacing_rate_from_rtt(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u64 bw
    cdef u32 rtt_us

    if tp.srtt_us:
        rtt_us = max_u32(tp.srtt_us >> 3, 1)
        bbr_of(sk).has_seen_rtt = 1
    else:
        rtt_us = USEC_PER_MSEC
    bw = <u64>tcp_snd_cwnd(tp) * BW_UNIT
    bw //= rtt_us
    sk.sk_pacing_rate = bbr_bw_to_pacing_rate(sk, <u32>bw, bbr_high_gain)


# Until the pipe is full the rate only grows.
cdef void bbr_set_pacing_rate(sock *sk, u32 bw, int gain) noexcept nogil:
    cdef unsigned long rate = bbr_bw_to_pacing_rate(sk, bw, gain)

    if not bbr_of(sk).has_seen_rtt and tcp_sk(sk).srtt_us:
        bbr_init_pacing_rate_from_rtt(sk)
    if bbr_full_bw_reached(sk) or rate > sk.sk_pacing_rate:
        sk.sk_pacing_rate = rate


cdef u32 bbr_min_tso_segs(sock *sk) noexcept nogil:
    return 1 if sk.sk_pacing_rate < <unsigned long>(bbr_min_tso_rate >> 3) else 2


cdef u32 bbr_tso_segs_goal(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 segs, bytes_

    bytes_ = <u32>min_ulong(sk.sk_pacing_rate >> sk.sk_pacing_shift, GSO_LEGACY_MAX_SIZE - 1 - MAX_TCP_HEADER)
    segs = max_u32(bytes_ // tp.mss_cache, bbr_min_tso_segs(sk))
    return min_u32(segs, 0x7F)


# The cwnd to come back to, after recovery or PROBE_RTT.
cdef void bbr_save_cwnd(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bbr *b = bbr_of(sk)

    if b.prev_ca_state < TCP_CA_Recovery and b.mode != BBR_PROBE_RTT:
        b.prior_cwnd = tcp_snd_cwnd(tp)
    else:
        b.prior_cwnd = max_u32(b.prior_cwnd, tcp_snd_cwnd(tp))


cdef void bbr_cwnd_event(sock *sk, int event) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bbr *b = bbr_of(sk)

    if event == CA_EVENT_TX_START and tp.app_limited:
        b.idle_restart = 1
        b.ack_epoch_mstamp = tp.tcp_mstamp
        b.ack_epoch_acked = 0
        # After a pause there is no need to probe: pace at the estimate.
        if b.mode == BBR_PROBE_BW:
            bbr_set_pacing_rate(sk, bbr_bw(sk), BBR_UNIT)
        elif b.mode == BBR_PROBE_RTT:
            bbr_check_probe_rtt_done(sk)


# ceil(bw * min_rtt * gain), packets
cdef u32 bbr_bdp(sock *sk, u32 bw, int gain) noexcept nogil:
    cdef bbr *b = bbr_of(sk)
    cdef u64 w

    # No RTT sample at all, ever: stay at what is safe.
    if b.min_rtt_us == U32_MAX():
        return TCP_INIT_CWND
    w = <u64>bw * b.min_rtt_us
    return <u32>((((w * <u64><s64>gain) >> BBR_SCALE) + BW_UNIT - 1) // <u64>BW_UNIT)


# Room for a super-segment in the qdisc, one in the NIC and one at the receiver; an even number.
cdef u32 bbr_quantization_budget(sock *sk, u32 cwnd) noexcept nogil:
    cdef bbr *b = bbr_of(sk)

    cwnd += 3 * bbr_tso_segs_goal(sk)
    cwnd = (cwnd + 1) & ~<u32>1
    # Else a small BDP could not be exceeded while probing.
    if b.mode == BBR_PROBE_BW and b.cycle_idx == 0:
        cwnd += 2
    return cwnd


cdef u32 bbr_inflight(sock *sk, u32 bw, int gain) noexcept nogil:
    return bbr_quantization_budget(sk, bbr_bdp(sk, bw, gain))


# Packets in the network when the next one departs: those in flight, less what is delivered until then.
cdef u32 bbr_packets_in_net_at_edt(sock *sk, u32 inflight_now) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u64 now_ns, edt_ns, interval_us
    cdef u32 interval_delivered, inflight_at_edt

    now_ns = tp.tcp_clock_cache
    edt_ns = max_u64(tp.tcp_wstamp_ns, now_ns)
    interval_us = (edt_ns - now_ns) // <u64>NSEC_PER_USEC
    interval_delivered = <u32>((<u64>bbr_bw(sk) * interval_us) >> BW_SCALE)
    inflight_at_edt = inflight_now
    if bbr_of(sk).pacing_gain > BBR_UNIT:
        inflight_at_edt += bbr_tso_segs_goal(sk)
    if interval_delivered >= inflight_at_edt:
        return 0
    return inflight_at_edt - interval_delivered


# Extra cwnd for ACKs that come in bursts
cdef u32 bbr_ack_aggregation_cwnd(sock *sk) noexcept nogil:
    cdef u32 max_aggr_cwnd, aggr_cwnd = 0

    if bbr_extra_acked_gain and bbr_full_bw_reached(sk):
        max_aggr_cwnd = <u32>((<u64>bbr_bw(sk) * bbr_extra_acked_max_us) // <u64>BW_UNIT)
        aggr_cwnd = <u32>((bbr_extra_acked_gain * <int>bbr_extra_acked(sk)) >> BBR_SCALE)
        aggr_cwnd = min_u32(aggr_cwnd, max_aggr_cwnd)
    return aggr_cwnd


# The first round of recovery conserves packets; its end brings back the cwnd of before. True: conserving.
cdef bint bbr_set_cwnd_to_recover_or_restore(sock *sk, const rate_sample *rs, u32 acked, u32 *new_cwnd) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bbr *b = bbr_of(sk)
    cdef u8 prev_state = <u8>b.prev_ca_state
    cdef u8 state = inet_csk(sk).icsk_ca_state
    cdef u32 cwnd = tcp_snd_cwnd(tp)

    if rs.losses > 0:
        cwnd = <u32>max_s32(<s32>(cwnd - <u32>rs.losses), 1)

    if state == TCP_CA_Recovery and prev_state != TCP_CA_Recovery:
        b.packet_conservation = 1
        b.next_rtt_delivered = tp.delivered
        cwnd = tcp_packets_in_flight(tp) + acked
    elif prev_state >= TCP_CA_Recovery and state < TCP_CA_Recovery:
        cwnd = max_u32(cwnd, b.prior_cwnd)
        b.packet_conservation = 0
    b.prev_ca_state = state

    if b.packet_conservation:
        new_cwnd[0] = max_u32(cwnd, tcp_packets_in_flight(tp) + acked)
        return True
    new_cwnd[0] = cwnd
    return False


# Up to the target by what was ACKed, down to it at once if the pipe is known to be full.
cdef void bbr_set_cwnd(sock *sk, const rate_sample *rs, u32 acked, u32 bw, int gain) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 cwnd = tcp_snd_cwnd(tp)
    cdef u32 target_cwnd

    if acked and not bbr_set_cwnd_to_recover_or_restore(sk, rs, acked, &cwnd):
        target_cwnd = bbr_bdp(sk, bw, gain)
        target_cwnd += bbr_ack_aggregation_cwnd(sk)
        target_cwnd = bbr_quantization_budget(sk, target_cwnd)

        if bbr_full_bw_reached(sk):
            cwnd = min_u32(cwnd + acked, target_cwnd)
        elif cwnd < target_cwnd or tp.delivered < <u32>TCP_INIT_CWND:
            cwnd = cwnd + acked
        cwnd = max_u32(cwnd, bbr_cwnd_min_target)

    tcp_snd_cwnd_set(tp, min_u32(cwnd, tp.snd_cwnd_clamp))
    if bbr_of(sk).mode == BBR_PROBE_RTT:
        tcp_snd_cwnd_set(tp, min_u32(tcp_snd_cwnd(tp), bbr_cwnd_min_target))


cdef bint bbr_is_next_cycle_phase(sock *sk, const rate_sample *rs) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bbr *b = bbr_of(sk)
    cdef bint is_full_length = tcp_stamp_us_delta(tp.delivered_mstamp, b.cycle_mstamp) > b.min_rtt_us
    cdef u32 inflight, bw

    if b.pacing_gain == BBR_UNIT:
        return is_full_length

    inflight = bbr_packets_in_net_at_edt(sk, rs.prior_in_flight)
    bw = bbr_max_bw(sk)

    # Probing lasts until the higher inflight is reached, or something was lost.
    if b.pacing_gain > BBR_UNIT:
        return is_full_length and (rs.losses != 0 or inflight >= bbr_inflight(sk, bw, <int>b.pacing_gain))
    # Draining stops early when the queue is gone.
    return is_full_length or inflight <= bbr_inflight(sk, bw, BBR_UNIT)


cdef void bbr_advance_cycle_phase(sock *sk) noexcept nogil:
    cdef bbr *b = bbr_of(sk)

    b.cycle_idx = (b.cycle_idx + 1) & (CYCLE_LEN - 1)
    b.cycle_mstamp = tcp_sk(sk).delivered_mstamp


cdef void bbr_update_cycle_phase(sock *sk, const rate_sample *rs) noexcept nogil:
    if bbr_of(sk).mode == BBR_PROBE_BW and bbr_is_next_cycle_phase(sk, rs):
        bbr_advance_cycle_phase(sk)


cdef void bbr_reset_startup_mode(sock *sk) noexcept nogil:
    bbr_of(sk).mode = BBR_STARTUP


cdef void bbr_reset_probe_bw_mode(sock *sk) noexcept nogil:
    cdef bbr *b = bbr_of(sk)

    b.mode = BBR_PROBE_BW
    b.cycle_idx = CYCLE_LEN - 1 - get_random_u32_below(sock_net(sk), bbr_cycle_rand)
    bbr_advance_cycle_phase(sk)


cdef void bbr_reset_mode(sock *sk) noexcept nogil:
    if not bbr_full_bw_reached(sk):
        bbr_reset_startup_mode(sk)
    else:
        bbr_reset_probe_bw_mode(sk)


cdef void bbr_reset_lt_bw_sampling_interval(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bbr *b = bbr_of(sk)

    b.lt_last_stamp = <u32>(tp.delivered_mstamp // <u64>USEC_PER_MSEC)
    b.lt_last_delivered = tp.delivered
    b.lt_last_lost = tp.lost
    b.lt_rtt_cnt = 0


cdef void bbr_reset_lt_bw_sampling(sock *sk) noexcept nogil:
    cdef bbr *b = bbr_of(sk)

    b.lt_bw = 0
    b.lt_use_bw = 0
    b.lt_is_sampling = 0
    bbr_reset_lt_bw_sampling_interval(sk)


# Two lossy intervals in a row with the same rate: a policer. Send at that rate from now on.
cdef void bbr_lt_bw_interval_done(sock *sk, u32 bw) noexcept nogil:
    cdef bbr *b = bbr_of(sk)
    cdef u32 diff

    if b.lt_bw:
        diff = <u32>abs_int(<int>(bw - b.lt_bw))
        if (<u32>(diff * <u32>BBR_UNIT) <= <u32>(<u32>bbr_lt_bw_ratio * b.lt_bw) or
                bbr_rate_bytes_per_sec(sk, diff, BBR_UNIT) <= <u64>bbr_lt_bw_diff):
            b.lt_bw = <u32>(bw + b.lt_bw) >> 1
            b.lt_use_bw = 1
            b.pacing_gain = BBR_UNIT
            b.lt_rtt_cnt = 0
            return
    b.lt_bw = bw
    bbr_reset_lt_bw_sampling_interval(sk)


# Sampling runs from one loss to another, over 4 to 16 rounds, and only while there is data to send.
cdef void bbr_lt_bw_sampling(sock *sk, const rate_sample *rs) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bbr *b = bbr_of(sk)
    cdef u32 lost, delivered, t
    cdef u64 bw

    if b.lt_use_bw:
        if b.mode == BBR_PROBE_BW and b.round_start:
            b.lt_rtt_cnt = b.lt_rtt_cnt + 1
            if b.lt_rtt_cnt >= bbr_lt_bw_max_rtts:
                bbr_reset_lt_bw_sampling(sk)
                bbr_reset_probe_bw_mode(sk)
        return

    if not b.lt_is_sampling:
        if not rs.losses:
            return
        bbr_reset_lt_bw_sampling_interval(sk)
        b.lt_is_sampling = 1

    if rs.is_app_limited:
        bbr_reset_lt_bw_sampling(sk)
        return

    if b.round_start:
        b.lt_rtt_cnt = b.lt_rtt_cnt + 1
    if b.lt_rtt_cnt < bbr_lt_intvl_min_rtts:
        return
    if b.lt_rtt_cnt > 4 * bbr_lt_intvl_min_rtts:
        bbr_reset_lt_bw_sampling(sk)
        return

    if not rs.losses:
        return

    lost = tp.lost - b.lt_last_lost
    delivered = tp.delivered - b.lt_last_delivered
    if not delivered or <u32>(lost << BBR_SCALE) < <u32>(<u32>bbr_lt_loss_thresh * delivered):
        return

    t = <u32>(tp.delivered_mstamp // <u64>USEC_PER_MSEC) - b.lt_last_stamp
    if <s32>t < 1:
        return
    if t >= U32_MAX() // <u32>USEC_PER_MSEC:
        bbr_reset_lt_bw_sampling(sk)
        return
    t *= <u32>USEC_PER_MSEC
    bw = <u64>delivered * BW_UNIT
    bw //= t
    bbr_lt_bw_interval_done(sk, <u32>bw)


cdef void bbr_update_bw(sock *sk, const rate_sample *rs) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bbr *b = bbr_of(sk)
    cdef u64 bw

    b.round_start = 0
    if rs.delivered < 0 or rs.interval_us <= 0:
        return

    if not before(rs.prior_delivered, b.next_rtt_delivered):
        b.next_rtt_delivered = tp.delivered
        b.rtt_cnt += 1
        b.round_start = 1
        b.packet_conservation = 0

    bbr_lt_bw_sampling(sk, rs)

    bw = <u64>(<s64>(<u64>rs.delivered * BW_UNIT) // <s64>rs.interval_us)

    # What the application held back tells nothing of the path, unless it is more than was known.
    if not rs.is_app_limited or bw >= bbr_max_bw(sk):
        minmax_running_max(<minmax *>&b.bw[0], bbr_bw_rtts, b.rtt_cnt, <u32>bw)


# Highest excess of ACKed packets over bw * time, of the last 5 to 10 rounds
cdef void bbr_update_ack_aggregation(sock *sk, const rate_sample *rs) noexcept nogil:
    cdef u32 epoch_us, expected_acked, extra_acked
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bbr *b = bbr_of(sk)

    if not bbr_extra_acked_gain or rs.acked_sacked == 0 or rs.delivered < 0 or rs.interval_us <= 0:
        return

    if b.round_start:
        b.extra_acked_win_rtts = min_u32(0x1F, b.extra_acked_win_rtts + 1)
        if b.extra_acked_win_rtts >= bbr_extra_acked_win_rtts:
            b.extra_acked_win_rtts = 0
            b.extra_acked_win_idx = 0 if b.extra_acked_win_idx else 1
            b.extra_acked[b.extra_acked_win_idx] = 0

    epoch_us = tcp_stamp_us_delta(tp.delivered_mstamp, b.ack_epoch_mstamp)
    expected_acked = <u32>((<u64>bbr_bw(sk) * epoch_us) // <u64>BW_UNIT)

    # ACKs come no faster than expected, or the epoch is old: a new one begins.
    if (b.ack_epoch_acked <= expected_acked or
            b.ack_epoch_acked + rs.acked_sacked >= <u32>bbr_ack_epoch_acked_reset_thresh):
        b.ack_epoch_acked = 0
        b.ack_epoch_mstamp = tp.delivered_mstamp
        expected_acked = 0

    b.ack_epoch_acked = min_u32(0xFFFFF, b.ack_epoch_acked + rs.acked_sacked)
    extra_acked = b.ack_epoch_acked - expected_acked
    extra_acked = min_u32(extra_acked, tcp_snd_cwnd(tp))
    if extra_acked > b.extra_acked[b.extra_acked_win_idx]:
        b.extra_acked[b.extra_acked_win_idx] = <u16>extra_acked


# Three rounds without 25 % more: the pipe is full.
cdef void bbr_check_full_bw_reached(sock *sk, const rate_sample *rs) noexcept nogil:
    cdef bbr *b = bbr_of(sk)
    cdef u32 bw_thresh

    if bbr_full_bw_reached(sk) or not b.round_start or rs.is_app_limited:
        return

    bw_thresh = <u32>((<u64>b.full_bw * bbr_full_bw_thresh) >> BBR_SCALE)
    if bbr_max_bw(sk) >= bw_thresh:
        b.full_bw = bbr_max_bw(sk)
        b.full_bw_cnt = 0
        return
    b.full_bw_cnt = b.full_bw_cnt + 1
    b.full_bw_reached = b.full_bw_cnt >= <u32>bbr_full_bw_cnt


cdef void bbr_check_drain(sock *sk, const rate_sample *rs) noexcept nogil:
    cdef bbr *b = bbr_of(sk)

    if b.mode == BBR_STARTUP and bbr_full_bw_reached(sk):
        b.mode = BBR_DRAIN
        tcp_sk(sk).snd_ssthresh = bbr_inflight(sk, bbr_max_bw(sk), BBR_UNIT)
    if (b.mode == BBR_DRAIN and
            bbr_packets_in_net_at_edt(sk, tcp_packets_in_flight(tcp_sk(sk))) <=
            bbr_inflight(sk, bbr_max_bw(sk), BBR_UNIT)):
        bbr_reset_probe_bw_mode(sk)


cdef void bbr_check_probe_rtt_done(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bbr *b = bbr_of(sk)
    cdef u32 now = tcp_jiffies32(sock_net(sk))

    if not (b.probe_rtt_done_stamp and after(now, b.probe_rtt_done_stamp)):
        return
    b.min_rtt_stamp = now
    tcp_snd_cwnd_set(tp, max_u32(tcp_snd_cwnd(tp), b.prior_cwnd))
    bbr_reset_mode(sk)


cdef void bbr_update_min_rtt(sock *sk, const rate_sample *rs) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bbr *b = bbr_of(sk)
    cdef net *n = sock_net(sk)
    cdef u32 now = tcp_jiffies32(n)
    cdef u32 mark
    cdef bint filter_expired = after(now, b.min_rtt_stamp + <u32>bbr_min_rtt_win_sec * HZ(n))

    if (rs.rtt_us >= 0 and
            (rs.rtt_us < <long>b.min_rtt_us or (filter_expired and not rs.is_ack_delayed))):
        b.min_rtt_us = <u32>rs.rtt_us
        b.min_rtt_stamp = now

    if bbr_probe_rtt_mode_ms > 0 and filter_expired and not b.idle_restart and b.mode != BBR_PROBE_RTT:
        b.mode = BBR_PROBE_RTT
        bbr_save_cwnd(sk)
        b.probe_rtt_done_stamp = 0

    if b.mode == BBR_PROBE_RTT:
        # The low rate of this mode is not the path's.
        mark = tp.delivered + tcp_packets_in_flight(tp)
        tp.app_limited = mark if mark else 1
        # At least 200 ms and one round with 4 packets in flight
        if not b.probe_rtt_done_stamp and tcp_packets_in_flight(tp) <= <u32>bbr_cwnd_min_target:
            b.probe_rtt_done_stamp = now + <u32>msecs_to_jiffies(n, bbr_probe_rtt_mode_ms)
            b.probe_rtt_round_done = 0
            b.next_rtt_delivered = tp.delivered
        elif b.probe_rtt_done_stamp:
            if b.round_start:
                b.probe_rtt_round_done = 1
            if b.probe_rtt_round_done:
                bbr_check_probe_rtt_done(sk)
    if rs.delivered > 0:
        b.idle_restart = 0


cdef void bbr_update_gains(sock *sk) noexcept nogil:
    cdef bbr *b = bbr_of(sk)

    if b.mode == BBR_STARTUP:
        b.pacing_gain = bbr_high_gain
        b.cwnd_gain = bbr_high_gain
    elif b.mode == BBR_DRAIN:
        b.pacing_gain = bbr_drain_gain
        b.cwnd_gain = bbr_high_gain
    elif b.mode == BBR_PROBE_BW:
        b.pacing_gain = <u32>(BBR_UNIT if b.lt_use_bw else bbr_pacing_gain[b.cycle_idx])
        b.cwnd_gain = bbr_cwnd_gain
    elif b.mode == BBR_PROBE_RTT:
        b.pacing_gain = BBR_UNIT
        b.cwnd_gain = BBR_UNIT


cdef void bbr_update_model(sock *sk, const rate_sample *rs) noexcept nogil:
    bbr_update_bw(sk, rs)
    bbr_update_ack_aggregation(sk, rs)
    bbr_update_cycle_phase(sk, rs)
    bbr_check_full_bw_reached(sk, rs)
    bbr_check_drain(sk, rs)
    bbr_update_min_rtt(sk, rs)
    bbr_update_gains(sk)


cdef void bbr_main(sock *sk, u32 ack, int flag, const rate_sample *rs) noexcept nogil:
    cdef u32 bw

    bbr_update_model(sk, rs)
    bw = bbr_bw(sk)
    bbr_set_pacing_rate(sk, bw, <int>bbr_of(sk).pacing_gain)
    bbr_set_cwnd(sk, rs, rs.acked_sacked, bw, <int>bbr_of(sk).cwnd_gain)


cdef void bbr_init(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bbr *b = bbr_of(sk)

    b.prior_cwnd = 0
    tp.snd_ssthresh = TCP_INFINITE_SSTHRESH
    b.rtt_cnt = 0
    b.next_rtt_delivered = tp.delivered
    b.prev_ca_state = TCP_CA_Open
    b.packet_conservation = 0

    b.probe_rtt_done_stamp = 0
    b.probe_rtt_round_done = 0
    b.min_rtt_us = tcp_min_rtt(tp)
    b.min_rtt_stamp = tcp_jiffies32(sock_net(sk))

    minmax_reset(<minmax *>&b.bw[0], b.rtt_cnt, 0)

    b.has_seen_rtt = 0
    bbr_init_pacing_rate_from_rtt(sk)

    b.round_start = 0
    b.idle_restart = 0
    b.full_bw_reached = 0
    b.full_bw = 0
    b.full_bw_cnt = 0
    b.cycle_mstamp = 0
    b.cycle_idx = 0
    bbr_reset_lt_bw_sampling(sk)
    bbr_reset_startup_mode(sk)

    b.ack_epoch_mstamp = tp.tcp_mstamp
    b.ack_epoch_acked = 0
    b.extra_acked_win_rtts = 0
    b.extra_acked_win_idx = 0
    b.extra_acked[0] = 0
    b.extra_acked[1] = 0

    # fq paces if it is there; else TCP does.
    if sk.sk_pacing_status == SK_PACING_NONE:
        sk.sk_pacing_status = SK_PACING_NEEDED


cdef u32 bbr_sndbuf_expand(sock *sk) noexcept nogil:
    return 3


cdef u32 bbr_undo_cwnd(sock *sk) noexcept nogil:
    cdef bbr *b = bbr_of(sk)

    b.full_bw = 0
    b.full_bw_cnt = 0
    bbr_reset_lt_bw_sampling(sk)
    return tcp_snd_cwnd(tcp_sk(sk))


cdef u32 bbr_ssthresh(sock *sk) noexcept nogil:
    bbr_save_cwnd(sk)
    return tcp_sk(sk).snd_ssthresh


# A timeout is taken for the end of a round, with a loss.
cdef void bbr_set_state(sock *sk, u8 new_state) noexcept nogil:
    cdef bbr *b = bbr_of(sk)
    cdef rate_sample rs

    if new_state == TCP_CA_Loss:
        memset(&rs, 0, sizeof(rate_sample))
        rs.losses = 1
        b.prev_ca_state = TCP_CA_Loss
        b.full_bw = 0
        b.round_start = 1
        bbr_lt_bw_sampling(sk, &rs)


cdef size_t bbr_get_info(sock *sk, u32 ext, int *attr, tcp_cc_info *info) noexcept nogil:
    cdef bbr *b = bbr_of(sk)
    cdef u64 bw = bbr_bw(sk)

    if not ext & ((1 << (INET_DIAG_BBRINFO - 1)) | (1 << (INET_DIAG_VEGASINFO - 1))):
        return 0
    bw = bw * tcp_sk(sk).mss_cache * <u64>USEC_PER_SEC >> BW_SCALE
    info.bbr.bbr_bw_lo = <u32>bw
    info.bbr.bbr_bw_hi = <u32>(bw >> 32)
    info.bbr.bbr_min_rtt = b.min_rtt_us
    info.bbr.bbr_pacing_gain = b.pacing_gain
    info.bbr.bbr_cwnd_gain = b.cwnd_gain
    attr[0] = INET_DIAG_BBRINFO
    return sizeof(tcp_bbr_info)


cdef int bbr_register() noexcept nogil:
    memset(&tcp_bbr_cong_ops, 0, sizeof(tcp_congestion_ops))
    memcpy(tcp_bbr_cong_ops.name, b"bbr", 4)
    tcp_bbr_cong_ops.flags = TCP_CONG_NON_RESTRICTED
    tcp_bbr_cong_ops.init = bbr_init
    tcp_bbr_cong_ops.cong_control = bbr_main
    tcp_bbr_cong_ops.sndbuf_expand = bbr_sndbuf_expand
    tcp_bbr_cong_ops.undo_cwnd = bbr_undo_cwnd
    tcp_bbr_cong_ops.cwnd_event = bbr_cwnd_event
    tcp_bbr_cong_ops.ssthresh = bbr_ssthresh
    tcp_bbr_cong_ops.min_tso_segs = bbr_min_tso_segs
    tcp_bbr_cong_ops.set_state = bbr_set_state
    tcp_bbr_cong_ops.get_info = bbr_get_info
    return tcp_register_congestion_control(&tcp_bbr_cong_ops)
