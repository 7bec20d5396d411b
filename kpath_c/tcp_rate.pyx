"""How fast the network delivers: a sample with every ACK (draft-cheng-iccrg-delivery-rate-estimation).

A packet takes along, when sent, how much was delivered by then; its ACK tells how much more it is now, and the longer
of the sending and the acknowledging interval is the time that it took. BBR lives on it, and tcp_info shows it.
Follows net/ipv4/tcp_rate.c of Linux 6.18 (GPL-2.0-only). No deviations.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.net_tcp cimport *


cdef void tcp_rate_skb_sent(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u64 tstamp_us

    # Nothing in flight: the interval begins now, not with the last ACK. (packets_out, as in_flight is only a guess.)
    if not tp.packets_out:
        tstamp_us = tcp_skb_timestamp_us(skb)
        tp.first_tx_mstamp = tstamp_us
        tp.delivered_mstamp = tstamp_us

    skb.cb.tx.first_tx_mstamp = tp.first_tx_mstamp
    skb.cb.tx.delivered_mstamp = tp.delivered_mstamp
    skb.cb.tx.delivered = tp.delivered
    skb.cb.tx.delivered_ce = tp.delivered_ce & TCPCB_DELIVERED_CE_MASK     # 20 bits in the kernel
    skb.cb.tx.is_app_limited = 1 if tp.app_limited else 0


# Called for each skb that an ACK covers: the one that was sent last counts.
cdef void tcp_rate_skb_delivered(sock *sk, sk_buff *skb, rate_sample *rs) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef tcp_skb_cb *scb = TCP_SKB_CB(skb)
    cdef u64 tx_tstamp

    if not scb.tx.delivered_mstamp:
        return

    tx_tstamp = tcp_skb_timestamp_us(skb)
    if (not rs.prior_delivered or
            tcp_skb_sent_after(tx_tstamp, tp.first_tx_mstamp, scb.end_seq, rs.last_end_seq)):
        rs.prior_delivered_ce = scb.tx.delivered_ce
        rs.prior_delivered = scb.tx.delivered
        rs.prior_mstamp = scb.tx.delivered_mstamp
        rs.is_app_limited = <u8>scb.tx.is_app_limited
        rs.is_retrans = (scb.sacked & TCPCB_RETRANS) != 0
        rs.last_end_seq = scb.end_seq
        tp.first_tx_mstamp = tx_tstamp
        rs.interval_us = tcp_stamp_us_delta(tp.first_tx_mstamp, scb.tx.first_tx_mstamp)

    # SACKed now, acknowledged later: it gives one sample only.
    if scb.sacked & TCPCB_SACKED_ACKED:
        scb.tx.delivered_mstamp = 0


# delivered, lost: packets of this ACK. The sample is invalid if rs.delivered or rs.interval_us is negative.
cdef void tcp_rate_gen(sock *sk, u32 delivered, u32 lost, bint is_sack_reneg, rate_sample *rs) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 snd_us, ack_us

    if tp.app_limited and after(tp.delivered, tp.app_limited):
        tp.app_limited = 0

    if delivered:
        tp.delivered_mstamp = tp.tcp_mstamp

    rs.acked_sacked = delivered
    rs.losses = <int>lost
    # After reneging, what was SACKed before would be counted twice.
    if not rs.prior_mstamp or is_sack_reneg:
        rs.delivered = -1
        rs.interval_us = -1
        return
    rs.delivered = <s32>(tp.delivered - rs.prior_delivered)
    rs.delivered_ce = <s32>((tp.delivered_ce - rs.prior_delivered_ce) & TCPCB_DELIVERED_CE_MASK)

    # ACKs may come compressed, hence the longer of the two phases.
    snd_us = <u32>rs.interval_us
    ack_us = tcp_stamp_us_delta(tp.tcp_mstamp, rs.prior_mstamp)
    rs.interval_us = max_u32(snd_us, ack_us)
    rs.snd_interval_us = snd_us
    rs.rcv_interval_us = ack_us

    # Shorter than the lowest RTT: a retransmission whose original was acknowledged.
    if rs.interval_us < <long>tcp_min_rtt(tp):
        rs.interval_us = -1
        return

    if (not rs.is_app_limited or
            <u64><s64>rs.delivered * tp.rate_interval_us >= <u64>tp.rate_delivered * <u64>rs.interval_us):
        tp.rate_delivered = <u32>rs.delivered
        tp.rate_interval_us = <u32>rs.interval_us
        tp.rate_app_limited = rs.is_app_limited


# The application leaves a gap: less than a packet to send, nothing queued below, cwnd open, no loss to repair.
cdef void tcp_rate_check_app_limited(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 mark

    if (<u32>(tp.write_seq - tp.snd_nxt) < tp.mss_cache and
            <u32>sk_wmem_alloc_get(sk) < <u32>SKB_TRUESIZE(1) and
            tcp_packets_in_flight(tp) < tcp_snd_cwnd(tp) and
            tp.lost_out <= tp.retrans_out):
        mark = tp.delivered + tcp_packets_in_flight(tp)
        tp.app_limited = mark if mark else 1
