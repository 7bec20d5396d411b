"""CUBIC congestion control (RFC 9438) with HyStart (Ha, Rhee: Taming the Elephants, 2008).

cwnd follows a cubic function of the time since the last reduction, level around the window at which loss was met.
HyStart ends slow start when the ACKs of a round last half the lowest RTT (ACK train) or the RTT grows (delay).
Follows net/ipv4/tcp_cubic.c of Linux 6.18 (GPL-2.0-only).

Deviation: the module's parameters have their defaults; they can't be set.
"""
from libc.string cimport memset, memcpy
from kpath_c.headers.tcp cimport *
from kpath_c.tcp_cong cimport (tcp_register_congestion_control, tcp_slow_start, tcp_cong_avoid_ai,
                               tcp_reno_undo_cwnd)

cdef enum:
    BICTCP_BETA_SCALE = 1024
    BICTCP_HZ = 10                      # time is counted in 2^-10 s
    HYSTART_ACK_TRAIN = 0x1
    HYSTART_DELAY = 0x2
    HYSTART_MIN_SAMPLES = 8
    HYSTART_DELAY_MIN = 4000            # us
    HYSTART_DELAY_MAX = 16000           # us

# Module parameters
cdef enum:
    fast_convergence = 1
    beta = 717                          # of 1024: RFC 9438 4.6 has 0.7
    initial_ssthresh = 0
    bic_scale = 41                      # of 1024: C = 0.4 (RFC 9438 5.1) times the 100 ms that an RTT is taken for
    tcp_friendliness = 1
    hystart = 1
    hystart_detect = 3                  # HYSTART_ACK_TRAIN | HYSTART_DELAY
    hystart_low_window = 16
    hystart_ack_delta_us = 2000

# Made of them when the kernel's module is loaded
cdef enum:
    beta_scale = 15                     # 8 * (1024 + beta) / 3 / (1024 - beta)
    cube_rtt_scale = 410                # bic_scale * 10

cdef u64 cube_factor = 2681735677       # 2^40 / (bic_scale * 10)

cdef tcp_congestion_ops cubictcp

# (x + 10) >> 6 of an entry is the cube root of index << 12, nearly.
cdef u8[64] cubic_root_table = [
    0, 54, 54, 54, 118, 118, 118, 118, 123, 129, 134, 138, 143, 147, 151, 156,
    157, 161, 164, 168, 170, 173, 176, 179, 181, 185, 187, 190, 192, 194, 197, 199,
    200, 202, 204, 206, 209, 211, 213, 215, 217, 219, 221, 222, 224, 225, 227, 229,
    231, 232, 234, 236, 237, 239, 240, 242, 244, 245, 246, 248, 250, 251, 252, 254]


cdef inline bictcp *bictcp_of(sock *sk) noexcept nogil:
    return <bictcp *>inet_csk_ca(sk)

cdef inline u32 clamp_hystart(u32 x) noexcept nogil:
    return clamp_u32(x, HYSTART_DELAY_MIN, HYSTART_DELAY_MAX)

# All but the state of HyStart
cdef inline void bictcp_reset(bictcp *ca) noexcept nogil:
    memset(ca, 0, <size_t>(<char *>&ca.unused - <char *>ca))
    ca.found = 0

cdef inline u32 bictcp_clock_us(sock *sk) noexcept nogil:
    return <u32>tcp_sk(sk).tcp_mstamp

# A round of HyStart begins.
cdef inline void bictcp_hystart_reset(sock *sk) noexcept nogil:
    cdef bictcp *ca = bictcp_of(sk)
    ca.round_start = ca.last_ack = bictcp_clock_us(sk)
    ca.end_seq = tcp_sk(sk).snd_nxt
    ca.curr_rtt = U32_MAX()
    ca.sample_cnt = 0


cdef void cubictcp_init(sock *sk) noexcept nogil:
    bictcp_reset(bictcp_of(sk))
    if hystart:
        bictcp_hystart_reset(sk)
    if not hystart and initial_ssthresh:
        tcp_sk(sk).snd_ssthresh = initial_ssthresh


cdef void cubictcp_cwnd_event(sock *sk, int event) noexcept nogil:
    cdef bictcp *ca = bictcp_of(sk)
    cdef u32 now
    cdef s32 delta

    if event == CA_EVENT_TX_START:
        now = tcp_jiffies32(sock_net(sk))
        delta = <s32>(now - tcp_sk(sk).lsndtime)
        # RFC 9438 5.8: idle time is no time of the curve.
        if ca.epoch_start and delta > 0:
            ca.epoch_start += <u32>delta
            if after(ca.epoch_start, now):
                ca.epoch_start = now


# Table look-up and one step of Newton's method; 0.2 % off on average.
cdef u32 cubic_root(u64 a) noexcept nogil:
    cdef u32 x, b, shift

    b = <u32>fls64(a)
    if b < 7:
        return (<u32>cubic_root_table[<u32>a] + 35) >> 6
    b = ((b * 84) >> 8) - 1
    shift = <u32>(a >> (b * 3))
    x = <u32>((<u32>cubic_root_table[shift] + 10) << b) >> 6
    x = 2 * x + <u32>(a // (<u64>x * <u64>(x - 1)))
    x = (x * 341) >> 10
    return x


# ca.cnt: how many ACKed packets let cwnd grow by one.
cdef inline void bictcp_update(sock *sk, bictcp *ca, u32 cwnd, u32 acked) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef u32 delta, bic_target, max_cnt
    cdef u32 now = tcp_jiffies32(n)
    cdef u64 offs, t

    ca.ack_cnt += acked

    if ca.last_cwnd == cwnd and <s32>(now - ca.last_time) <= <int>HZ(n) // 32:
        return

    # The curve is looked up once a jiffy at most.
    if not (ca.epoch_start and now == ca.last_time):
        ca.last_cwnd = cwnd
        ca.last_time = now

        if ca.epoch_start == 0:
            ca.epoch_start = now
            ca.ack_cnt = acked
            ca.tcp_cwnd = cwnd
            if ca.last_max_cwnd <= cwnd:
                ca.bic_K = 0
                ca.bic_origin_point = cwnd
            else:
                # RFC 9438 4.2: K = cubic_root((W_max - cwnd) / C)
                ca.bic_K = cubic_root(cube_factor * <u64>(ca.last_max_cwnd - cwnd))
                ca.bic_origin_point = ca.last_max_cwnd

        t = <u64><s64><s32>(now - ca.epoch_start)
        t += usecs_to_jiffies(n, ca.delay_min)
        t <<= BICTCP_HZ
        t //= HZ(n)

        if t < ca.bic_K:
            offs = ca.bic_K - t
        else:
            offs = t - ca.bic_K

        # RFC 9438 4.2: W(t) = C * (t - K)^3 + W_max
        delta = <u32>((<u64>cube_rtt_scale * offs * offs * offs) >> (10 + 3 * BICTCP_HZ))
        if t < ca.bic_K:
            bic_target = ca.bic_origin_point - delta
        else:
            bic_target = ca.bic_origin_point + delta

        if bic_target > cwnd:
            ca.cnt = cwnd // (bic_target - cwnd)
        else:
            ca.cnt = 100 * cwnd
        # The bandwidth isn't known yet: 5 % per RTT at least.
        if ca.last_max_cwnd == 0 and ca.cnt > 20:
            ca.cnt = 20

    # RFC 9438 4.3: not slower than Reno would be
    if tcp_friendliness:
        delta = (cwnd * <u32>beta_scale) >> 3
        while ca.ack_cnt > delta:
            ca.ack_cnt -= delta
            ca.tcp_cwnd += 1
        if ca.tcp_cwnd > cwnd:
            delta = ca.tcp_cwnd - cwnd
            max_cnt = cwnd // delta
            if ca.cnt > max_cnt:
                ca.cnt = max_cnt

    # RFC 9438 4.4: half a packet per ACKed packet is the most.
    ca.cnt = max_u32(ca.cnt, 2)


cdef void cubictcp_cong_avoid(sock *sk, u32 ack, u32 acked) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bictcp *ca = bictcp_of(sk)

    if not tcp_is_cwnd_limited(sk):
        return
    if tcp_in_slow_start(tp):
        acked = tcp_slow_start(tp, acked)
        if not acked:
            return
    bictcp_update(sk, ca, tcp_snd_cwnd(tp), acked)
    tcp_cong_avoid_ai(tp, ca.cnt, acked)


cdef u32 cubictcp_recalc_ssthresh(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bictcp *ca = bictcp_of(sk)

    ca.epoch_start = 0
    # RFC 9438 4.7: fast convergence
    if tcp_snd_cwnd(tp) < ca.last_max_cwnd and fast_convergence:
        ca.last_max_cwnd = (tcp_snd_cwnd(tp) * <u32>(BICTCP_BETA_SCALE + beta)) // <u32>(2 * BICTCP_BETA_SCALE)
    else:
        ca.last_max_cwnd = tcp_snd_cwnd(tp)
    return max_u32((tcp_snd_cwnd(tp) * <u32>beta) // <u32>BICTCP_BETA_SCALE, 2)


cdef void cubictcp_state(sock *sk, u8 new_state) noexcept nogil:
    if new_state == TCP_CA_Loss:
        bictcp_reset(bictcp_of(sk))
        bictcp_hystart_reset(sk)


# us that four of the largest super-segments take at the pacing rate, 1 ms at most: what TSO and GRO may add.
cdef u32 hystart_ack_delay(sock *sk) noexcept nogil:
    cdef unsigned long rate = sk.sk_pacing_rate

    if not rate:
        return 0
    return <u32>min_u64(USEC_PER_MSEC, <u64>sk.sk_gso_max_size * 4 * <u64>USEC_PER_SEC // rate)


cdef void hystart_found(sock *sk, bictcp *ca, int mib_detect, int mib_cwnd) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    ca.found = 1
    NET_INC_STATS(sock_net(sk), mib_detect)
    NET_ADD_STATS(sock_net(sk), mib_cwnd, tcp_snd_cwnd(tp))
    tp.snd_ssthresh = tcp_snd_cwnd(tp)


cdef void hystart_update(sock *sk, u32 delay) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bictcp *ca = bictcp_of(sk)
    cdef u32 threshold, now

    if after(tp.snd_una, ca.end_seq):
        bictcp_hystart_reset(sk)

    if tcp_snd_cwnd(tp) < <u32>hystart_low_window:
        return

    if hystart_detect & HYSTART_ACK_TRAIN:
        now = bictcp_clock_us(sk)
        if <s32>(now - ca.last_ack) <= hystart_ack_delta_us:
            ca.last_ack = now
            threshold = ca.delay_min + hystart_ack_delay(sk)
            # Pacing itself spreads the packets over half the RTT.
            if sk.sk_pacing_status == SK_PACING_NONE:
                threshold >>= 1
            if <u32>(now - ca.round_start) > threshold:
                hystart_found(sk, ca, LINUX_MIB_TCPHYSTARTTRAINDETECT, LINUX_MIB_TCPHYSTARTTRAINCWND)

    if hystart_detect & HYSTART_DELAY:
        if ca.curr_rtt > delay:
            ca.curr_rtt = delay
        if ca.sample_cnt < HYSTART_MIN_SAMPLES:
            ca.sample_cnt += 1
        elif ca.curr_rtt > ca.delay_min + clamp_hystart(ca.delay_min >> 3):
            hystart_found(sk, ca, LINUX_MIB_TCPHYSTARTDELAYDETECT, LINUX_MIB_TCPHYSTARTDELAYCWND)


cdef void cubictcp_acked(sock *sk, const ack_sample *sample) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bictcp *ca = bictcp_of(sk)
    cdef net *n = sock_net(sk)
    cdef u32 delay

    if sample.rtt_us < 0:
        return
    # Right after a recovery the RTT is not that of the path.
    if ca.epoch_start and <s32>(tcp_jiffies32(n) - ca.epoch_start) < <int>HZ(n):
        return

    delay = <u32>sample.rtt_us
    if delay == 0:
        delay = 1
    if ca.delay_min == 0 or ca.delay_min > delay:
        ca.delay_min = delay

    if not ca.found and tcp_in_slow_start(tp) and hystart:
        hystart_update(sk, delay)


cdef int cubictcp_register() noexcept nogil:
    memset(&cubictcp, 0, sizeof(tcp_congestion_ops))
    memcpy(cubictcp.name, b"cubic", 6)
    cubictcp.init = cubictcp_init
    cubictcp.ssthresh = cubictcp_recalc_ssthresh
    cubictcp.cong_avoid = cubictcp_cong_avoid
    cubictcp.set_state = cubictcp_state
    cubictcp.undo_cwnd = tcp_reno_undo_cwnd
    cubictcp.cwnd_event = cubictcp_cwnd_event
    cubictcp.pkts_acked = cubictcp_acked
    return tcp_register_congestion_control(&cubictcp)
