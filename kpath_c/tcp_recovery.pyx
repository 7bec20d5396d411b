"""Loss detection by time: RACK (RFC 8985), and NewReno's for peers without SACK (RFC 6582).

A packet is lost when one sent later was delivered and the RTT plus a settling time has gone by since it was sent.
Follows net/ipv4/tcp_recovery.c of Linux 6.18 (GPL-2.0-only). No deviations.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.net_tcp cimport *
from kpath_c.tcp_input cimport tcp_mark_skb_lost, tcp_enter_recovery, tcp_cwnd_reduction, tcp_rearm_rto
from kpath_c.tcp_output cimport tcp_fragment, tcp_xmit_retransmit_queue


# The skb of a place in tsorted_sent_queue.
cdef inline sk_buff *skb_of_anchor(list_head *anchor) noexcept nogil:
    return <sk_buff *>(<char *>anchor - (<char *>&(<sk_buff *>anchor).tcp_tsorted_anchor - <char *>anchor))


# RFC 8985 6.2 step 4: no settling time in recovery, or at DupThresh, as long as no reordering was seen.
cdef u32 tcp_rack_reo_wnd(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if not tp.reord_seen:
        if inet_csk(sk).icsk_ca_state >= TCP_CA_Recovery:
            return 0
        if (tp.sacked_out >= tp.reordering and
                not (sock_net(sk).ipv4.sysctl_tcp_recovery & TCP_RACK_NO_DUPTHRESH)):
            return 0
    return min_u32((tcp_min_rtt(tp) >> 2) * tp.rack.reo_wnd_steps, tp.srtt_us >> 3)


# us until it counts as lost; <= 0: it does.
cdef s32 tcp_rack_skb_timeout(tcp_sock *tp, sk_buff *skb, u32 reo_wnd) noexcept nogil:
    return <s32>(tp.rack.rtt_us + reo_wnd - tcp_stamp_us_delta(tp.tcp_mstamp, tcp_skb_timestamp_us(skb)))


# RFC 8985 6.2 step 5. reo_timeout: the longest time, us, that a packet must still be waited for.
cdef void tcp_rack_detect_loss(sock *sk, u32 *reo_timeout) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef list_head *pos
    cdef list_head *next_
    cdef sk_buff *skb
    cdef u32 reo_wnd
    cdef s32 remaining

    reo_timeout[0] = 0
    reo_wnd = tcp_rack_reo_wnd(sk)
    pos = tp.tsorted_sent_queue.next
    while pos != &tp.tsorted_sent_queue:
        next_ = pos.next
        skb = skb_of_anchor(pos)
        pos = next_

        if (skb.cb.sacked & TCPCB_LOST) and not (skb.cb.sacked & TCPCB_SACKED_RETRANS):
            continue
        if not tcp_skb_sent_after(tp.rack.mstamp, tcp_skb_timestamp_us(skb), tp.rack.end_seq, skb.cb.end_seq):
            break
        remaining = tcp_rack_skb_timeout(tp, skb, reo_wnd)
        if remaining <= 0:
            tcp_mark_skb_lost(sk, skb)
            list_del_init(&skb.tcp_tsorted_anchor)
        else:
            reo_timeout[0] = max_u32(reo_timeout[0], <u32>remaining)


# True: the reordering timer was set.
cdef bint tcp_rack_mark_lost(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 timeout

    if not tp.rack.advanced:
        return False
    tp.rack.advanced = 0
    tcp_rack_detect_loss(sk, &timeout)
    if timeout:
        timeout = <u32>usecs_to_jiffies(sock_net(sk), timeout + <u32>TCP_TIMEOUT_MIN_US)
        inet_csk_reset_xmit_timer(sk, ICSK_TIME_REO_TIMEOUT, timeout, inet_csk(sk).icsk_rto)
    return timeout != 0


# RFC 8985 6.2 steps 2 and 3
cdef void tcp_rack_advance(tcp_sock *tp, u8 sacked, u32 end_seq, u64 xmit_time) noexcept nogil:
    cdef u32 rtt_us = tcp_stamp_us_delta(tp.tcp_mstamp, xmit_time)

    # Faster than any RTT so far: it was the original that arrived, not the retransmission.
    if rtt_us < tcp_min_rtt(tp) and (sacked & TCPCB_RETRANS):
        return
    tp.rack.advanced = 1
    tp.rack.rtt_us = rtt_us
    if tcp_skb_sent_after(xmit_time, tp.rack.mstamp, end_seq, tp.rack.end_seq):
        tp.rack.mstamp = xmit_time
        tp.rack.end_seq = end_seq


# RFC 8985 6.3: the settling time is over.
cdef void tcp_rack_reo_timeout(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 timeout
    cdef u32 prior_inflight = tcp_packets_in_flight(tp)
    cdef u32 lost = tp.lost

    tcp_rack_detect_loss(sk, &timeout)
    if prior_inflight != tcp_packets_in_flight(tp):
        if inet_csk(sk).icsk_ca_state != TCP_CA_Recovery:
            tcp_enter_recovery(sk, False)
            if inet_csk(sk).icsk_ca_ops.cong_control == NULL:
                tcp_cwnd_reduction(sk, 1, <int>(tp.lost - lost), 0)
        tcp_xmit_retransmit_queue(sk)
    if inet_csk(sk).icsk_pending != ICSK_TIME_RETRANS:
        tcp_rearm_rto(sk)


# RFC 8985 6.2 step 4: a DSACK widens the settling time by min_rtt/4, once a round trip, for 16 recoveries.
cdef void tcp_rack_update_reo_wnd(sock *sk, rate_sample *rs) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if (sock_net(sk).ipv4.sysctl_tcp_recovery & TCP_RACK_STATIC_REO_WND) or not rs.prior_delivered:
        return

    if before(rs.prior_delivered, tp.rack.last_delivered):
        tp.rack.dsack_seen = 0

    if tp.rack.dsack_seen:
        tp.rack.reo_wnd_steps = <u8>min_u32(0xFF, <u32>tp.rack.reo_wnd_steps + 1)
        tp.rack.dsack_seen = 0
        tp.rack.last_delivered = tp.delivered
        tp.rack.reo_wnd_persist = TCP_RACK_RECOVERY_THRESH
    elif not tp.rack.reo_wnd_persist:
        tp.rack.reo_wnd_steps = 1


# RFC 6582 3.2: the first unacknowledged segment, upon DupThresh duplicates and upon each partial ACK.
cdef void tcp_newreno_mark_lost(sock *sk, bint snd_una_advanced) noexcept nogil:
    cdef u8 state = inet_csk(sk).icsk_ca_state
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *skb
    cdef u32 mss

    if ((state < TCP_CA_Recovery and tp.sacked_out >= tp.reordering) or
            (state == TCP_CA_Recovery and snd_una_advanced)):
        skb = tcp_rtx_queue_head(sk)
        if skb.cb.sacked & TCPCB_LOST:
            return
        mss = <u32>tcp_skb_mss(skb)
        if tcp_skb_pcount(skb) > 1 and skb.len > mss:
            tcp_fragment(sk, TCP_FRAG_IN_RTX_QUEUE, skb, mss, mss, GFP_ATOMIC)
        tcp_mark_skb_lost(sk, skb)
