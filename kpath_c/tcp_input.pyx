"""The receiving side of TCP: what an arriving segment does to a socket.

First half: delayed-ACK and receive-buffer tuning, ECN feedback, RTT and RTO estimation, the SACK scoreboard, loss
recovery (Reno, RACK, F-RTO, TLP), undo, proportional rate reduction, cleaning of the retransmission queue, tcp_ack().
Second half: options, sequence checks, receive and out-of-order queues, urgent data, RST and FIN, the state machine,
and the answer to a SYN on a listener.

RFCs: 9293 (TCP), 1122, 2018 and 2883 (SACK, D-SACK), 3168 (ECN), 3522/4015 (Eifel), 3708 (D-SACK undo), 5681
(congestion control), 5682 (F-RTO), 5961 (blind attacks), 6298 (RTO), 6582 (NewReno), 6675 (SACK recovery terms),
6937 (PRR), 6928 (IW10), 7323 (timestamps, PAWS, window scale), 8985 (RACK-TLP).

Follows net/ipv4/tcp_input.c of Linux 6.18 (GPL-2.0-only).

Deviations: no TLS clean-acked callback, BPF, MPTCP, SMC, TCP-AO (SNE counters), PSP, IPv6 flow labels; no warning for
drivers with a suspect GRO; AccECN cannot be negotiated (net.ipv4.tcp_ecn stops at 2), so its branches are absent.
"""
from libc.string cimport memset

from kpath_c.headers.tcp cimport *
from kpath_c.net_tcp cimport *
from kpath_c.shim.win_minmax cimport minmax_running_min
from kpath_c.headers.errqueue cimport SCM_TSTAMP_ACK
from kpath_c.skbuff cimport __skb_tstamp_tx, skb_shift
from kpath_c.tcp cimport tcp_set_window_clamp
from kpath_c.tcp_cong cimport tcp_set_ca_state
from kpath_c.tcp_output cimport (
    __tcp_push_pending_frames, __tcp_send_ack, tcp_chrono_stop, tcp_current_mss, tcp_fragment, tcp_mss_to_mtu,
    tcp_mstamp_refresh, tcp_schedule_loss_probe, tcp_skb_collapse_tstamp, tcp_sync_mss, tcp_trim_head,
    tcp_xmit_retransmit_queue)
from kpath_c.tcp_rate cimport tcp_rate_gen, tcp_rate_skb_delivered
from kpath_c.tcp_recovery cimport (
    tcp_newreno_mark_lost, tcp_rack_advance, tcp_rack_mark_lost, tcp_rack_skb_timeout, tcp_rack_update_reo_wnd)
from kpath_c.tcp_timer cimport tcp_clamp_probe0_to_user_timeout

# What one ACK turned out to be; collected on its way through tcp_ack().
cdef enum:
    FLAG_DATA = 0x01                    # the segment carries data
    FLAG_WIN_UPDATE = 0x02              # it updates the send window
    FLAG_DATA_ACKED = 0x04              # it acknowledges new data
    FLAG_RETRANS_DATA_ACKED = 0x08      # some of which had been retransmitted
    FLAG_SYN_ACKED = 0x10
    FLAG_DATA_SACKED = 0x20             # a SACK block covers something new
    FLAG_ECE = 0x40
    FLAG_LOST_RETRANS = 0x80            # a retransmission was found lost
    FLAG_SLOWPATH = 0x100               # window checks are due
    FLAG_ORIG_SACK_ACKED = 0x200        # a never-retransmitted segment below high_seq was (s)acked
    FLAG_SND_UNA_ADVANCED = 0x400
    FLAG_DSACKING_ACK = 0x800
    FLAG_SET_XMIT_TIMER = 0x1000        # TLP or RTO timer is to be set anew
    FLAG_SACK_RENEGING = 0x2000         # snd_una moved up to a segment that was SACKed before
    FLAG_UPDATE_TS_RECENT = 0x4000
    FLAG_NO_CHALLENGE_ACK = 0x8000
    FLAG_ACK_MAYBE_DELAYED = 0x10000    # looks like a delayed ACK
    FLAG_DSACK_TLP = 0x20000            # the D-SACK is for the tail loss probe
    FLAG_TS_PROGRESS = 0x40000          # the peer's timestamp went forward

    FLAG_ACKED = 0x14                   # DATA_ACKED | SYN_ACKED
    FLAG_NOT_DUP = 0x17                 # DATA | WIN_UPDATE | ACKED
    FLAG_CA_ALERT = 0x860               # DATA_SACKED | ECE | DSACKING_ACK
    FLAG_FORWARD_PROGRESS = 0x34        # ACKED | DATA_SACKED

    TCP_REMNANT = 0x2B                  # FIN | URG | SYN | PSH of the flags byte: not a plain full-sized segment

    REXMIT_NONE = 0
    REXMIT_LOST = 1                     # send again what is marked lost
    REXMIT_NEW = 2                      # F-RTO: send data never sent before

cdef enum:
    ATO_MASK = 0xFF                     # icsk_ack.ato is a bit-field of 8 bits


# ---------------------------------------------------------------------------------------------- delayed ACKs

cdef void tcp_measure_rcv_mss(sock *sk, sk_buff *skb) noexcept nogil:
    """Estimate the peer's segment size from what arrives (RFC 5681 4.2 wants an ACK every second full segment)."""
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef unsigned int lss = icsk.icsk_ack.last_seg_size
    cdef unsigned int len_
    cdef u64 val
    cdef u8 old_ratio

    icsk.icsk_ack.last_seg_size = 0

    len_ = skb_shinfo(skb).gso_size
    if len_ == 0:
        len_ = skb.len
    if len_ >= icsk.icsk_ack.rcv_mss:
        # The payload/truesize ratio is only taken anew when the size estimate moves.
        if len_ != icsk.icsk_ack.rcv_mss:
            val = <u64>skb.len << TCP_RMEM_TO_WIN_SCALE
            old_ratio = tp.scaling_ratio

            val = val // skb.truesize
            tp.scaling_ratio = <u8>(val if val != 0 else 1)

            if old_ratio != tp.scaling_ratio:
                val = <u64>tcp_win_from_space(sk, sk.sk_rcvbuf)
                tcp_set_window_clamp(sk, <int>val)

                if tp.window_clamp < <u32>tp.rcvq_space.space:
                    tp.rcvq_space.space = <int>tp.window_clamp
        icsk.icsk_ack.rcv_mss = <u16>min_u32(len_, tp.advmss)
        # One full segment with PSH: probably the end of a write, so that ACKing once the reader is done pays.
        if TCP_SKB_CB(skb).tcp_flags & TCPHDR_PSH:
            icsk.icsk_ack.pending |= ICSK_ACK_PUSHED
    else:
        # Smaller than the estimate: SACK options may have taken the room, so count with the TCP header.
        len_ += <unsigned int>(skb.data - skb_transport_header(skb))
        if (len_ >= TCP_MSS_DEFAULT + sizeof(tcphdr) or
                (len_ >= TCP_MIN_MSS + sizeof(tcphdr) and not (tcp_hdr(skb).flags & TCP_REMNANT))):
            # Less the fixed header (with timestamps): the size that does not jitter. Twice in a row is believed.
            len_ -= tp.tcp_header_len
            icsk.icsk_ack.last_seg_size = <u16>len_
            if len_ == lss:
                icsk.icsk_ack.rcv_mss = <u16>len_
                return
        if icsk.icsk_ack.pending & ICSK_ACK_PUSHED:
            icsk.icsk_ack.pending |= ICSK_ACK_PUSHED2
        icsk.icsk_ack.pending |= ICSK_ACK_PUSHED


cdef void tcp_incr_quickack(sock *sk, unsigned int max_quickacks) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef unsigned int quickacks = tcp_sk(sk).rcv_wnd // <u32>(2 * icsk.icsk_ack.rcv_mss)

    if quickacks == 0:
        quickacks = 2
    quickacks = min_u32(quickacks, max_quickacks)
    if quickacks > icsk.icsk_ack.quick:
        icsk.icsk_ack.quick = <u8>quickacks


cdef void tcp_enter_quickack_mode(sock *sk, unsigned int max_quickacks) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)

    tcp_incr_quickack(sk, max_quickacks)
    inet_csk_exit_pingpong_mode(sk)
    icsk.icsk_ack.ato = TCP_ATO_MIN(sock_net(sk)) & ATO_MASK


cdef bint tcp_in_quickack_mode(sock *sk) noexcept nogil:
    """ACK at once? While the quick budget lasts and the session is not interactive."""
    cdef inet_connection_sock *icsk = inet_csk(sk)

    return (icsk.icsk_ack.dst_quick_ack != 0 or
            (icsk.icsk_ack.quick != 0 and not inet_csk_in_pingpong_mode(sk)))


# ---------------------------------------------------------------------------------------------- ECN (RFC 3168)

cdef void tcp_data_ecn_check(sock *sk, sk_buff *skb) noexcept nogil:
    """RFC 3168 6.1.3: what the codepoint of a data segment asks of the receiver."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int ecn

    if tcp_ecn_disabled(tp):
        return

    ecn = TCP_SKB_CB(skb).ip_dsfield & INET_ECN_MASK
    if ecn == INET_ECN_NOT_ECT:
        # ECT was seen before and is missing now: probably a retransmission, the sender waits for the ACK.
        if tp.ecn_flags & TCP_ECN_SEEN:
            tcp_enter_quickack_mode(sk, 2)
    elif ecn == INET_ECN_CE:
        if tcp_ca_needs_ecn(sk):
            tcp_ca_event(sk, CA_EVENT_ECN_IS_CE)

        if not (tp.ecn_flags & TCP_ECN_DEMAND_CWR) and tcp_ecn_mode_rfc3168(tp):
            # The sender's cwnd may be tiny by now: don't make it wait.
            tcp_enter_quickack_mode(sk, 2)
            tp.ecn_flags |= TCP_ECN_DEMAND_CWR
        if not tcp_ecn_mode_rfc3168(tp):
            return
        tp.ecn_flags |= TCP_ECN_SEEN
    else:
        if tcp_ca_needs_ecn(sk):
            tcp_ca_event(sk, CA_EVENT_ECN_NO_CE)
        if not tcp_ecn_mode_rfc3168(tp):
            return
        tp.ecn_flags |= TCP_ECN_SEEN


cdef void tcp_count_delivered_ce(tcp_sock *tp, u32 ecn_count) noexcept nogil:
    tp.delivered_ce += ecn_count


cdef void tcp_count_delivered(tcp_sock *tp, u32 delivered, bint ece_ack) noexcept nogil:
    tp.delivered += delivered
    if tcp_ecn_mode_rfc3168(tp) and ece_ack:
        tcp_count_delivered_ce(tp, delivered)


# ---------------------------------------------------------------------------------------------- buffer tuning

cdef void tcp_sndbuf_expand(sock *sk) noexcept nogil:
    """Let the send buffer hold what one window costs in memory, times the congestion control's factor."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef tcp_congestion_ops *ca_ops = inet_csk(sk).icsk_ca_ops
    cdef int sndmem, per_mss
    cdef u32 nr_segs

    # Worst case: each segment is its own skb, with a head from a power-of-two slab.
    per_mss = <int>(max_u32(tp.rx_opt.mss_clamp, tp.mss_cache) + MAX_TCP_HEADER + SKB_SHINFO_ALIGNED)
    per_mss = <int>(roundup_pow_of_two(<unsigned long>per_mss) + SKB_BUFF_ALIGNED)

    nr_segs = max_u32(TCP_INIT_CWND, tcp_snd_cwnd(tp))
    nr_segs = max_u32(nr_segs, tp.reordering + 1)

    # CUBIC would need 1.7 windows in fast recovery; 2 leaves room for a slow writer.
    sndmem = 2
    if ca_ops.sndbuf_expand != NULL:
        sndmem = <int>ca_ops.sndbuf_expand(sk)
    sndmem = <int>(<u32>sndmem * (nr_segs * <u32>per_mss))

    if sk.sk_sndbuf < sndmem:
        sk.sk_sndbuf = min_int(sndmem, sock_net(sk).ipv4.sysctl_tcp_wmem[2])


# The receive window is bounded by window_clamp (what may be promised at all) and by rcv_ssthresh, which grows as
# segments prove that their overhead would let a bigger window fit into sk_rcvbuf.

cdef int __tcp_grow_window(sock *sk, sk_buff *skb, unsigned int skbtruesize) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int truesize = tcp_win_from_space(sk, <int>skbtruesize) >> 1
    cdef int window = tcp_win_from_space(sk, sock_net(sk).ipv4.sysctl_tcp_rmem[2]) >> 1

    while tp.rcv_ssthresh <= <u32>window:
        if <u32>truesize <= skb.len:
            return 2 * inet_csk(sk).icsk_ack.rcv_mss

        truesize >>= 1
        window >>= 1
    return 0


cdef u32 truesize_adjust(bint adjust, sk_buff *skb) noexcept nogil:
    """Leave the head out of the cost where the payload sits in page frags: coalescing will free or share it."""
    cdef u32 truesize = skb.truesize

    if adjust and skb_headlen(skb) == 0:
        truesize -= <u32>SKB_TRUESIZE(skb_end_offset(skb))
        if <int>truesize < <int>skb.len:
            truesize = skb.truesize
    return truesize


cdef void tcp_grow_window(sock *sk, sk_buff *skb, bint adjust) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int room, incr
    cdef unsigned int truesize

    room = <int>(<u32>min_int(<int>tp.window_clamp, tcp_space(sk)) - tp.rcv_ssthresh)

    if room <= 0:
        return

    if not tcp_under_memory_pressure(sk):
        truesize = truesize_adjust(adjust, skb)

        # Grow only if segments with this overhead will fit into the buffer.
        if <u32>tcp_win_from_space(sk, <int>truesize) <= skb.len:
            incr = 2 * tp.advmss
        else:
            incr = __tcp_grow_window(sk, skb, truesize)

        if incr:
            incr = max_int(incr, <int>(2 * skb.len))
            tp.rcv_ssthresh += <u32>min_int(room, incr)
            inet_csk(sk).icsk_ack.quick |= 1
    else:
        tcp_adjust_rcv_ssthresh(sk)


cdef void tcp_init_buffer_space(sock *sk) noexcept nogil:
    """Size both buffers once the connection is established."""
    cdef int tcp_app_win = sock_net(sk).ipv4.sysctl_tcp_app_win
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int maxwin

    if not (sk.sk_userlocks & SOCK_SNDBUF_LOCK):
        tcp_sndbuf_expand(sk)

    tcp_mstamp_refresh(tp)
    tp.rcvq_space.time = tp.tcp_mstamp
    tp.rcvq_space.seq = tp.copied_seq

    maxwin = tcp_full_space(sk)

    if tp.window_clamp >= <u32>maxwin:
        tp.window_clamp = <u32>maxwin

        if tcp_app_win and maxwin > 4 * tp.advmss:
            tp.window_clamp = <u32>max_int(maxwin - (maxwin >> tcp_app_win), 4 * tp.advmss)

    # Keep one segment's room free.
    if (tcp_app_win and tp.window_clamp > <u32>(2 * tp.advmss) and
            tp.window_clamp + tp.advmss > <u32>maxwin):
        tp.window_clamp = <u32>max_int(2 * tp.advmss, maxwin - tp.advmss)

    tp.rcv_ssthresh = min_u32(tp.rcv_ssthresh, tp.window_clamp)
    tp.snd_cwnd_stamp = tcp_jiffies32(sock_net(sk))
    tp.rcvq_space.space = <int>min_u32(min_u32(tp.rcv_ssthresh, tp.rcv_wnd), <u32>TCP_INIT_CWND * tp.advmss)


cdef void tcp_clamp_window(sock *sk) noexcept nogil:
    """The receive queue hit its bound: let the buffer grow if memory allows, else shrink the promise."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef int rmem2

    icsk.icsk_ack.quick = 0
    rmem2 = sock_net(sk).ipv4.sysctl_tcp_rmem[2]

    if (sk.sk_rcvbuf < rmem2 and
            not (sk.sk_userlocks & SOCK_RCVBUF_LOCK) and
            not tcp_under_memory_pressure(sk) and
            sk_memory_allocated(sk) < sk_prot_mem_limits(sk, 0)):
        sk.sk_rcvbuf = min_int(sk.sk_backlog.rmem_alloc, rmem2)
    if sk.sk_backlog.rmem_alloc > sk.sk_rcvbuf:
        tp.rcv_ssthresh = min_u32(tp.window_clamp, <u32>2 * tp.advmss)


cdef void tcp_initialize_rcv_mss(sock *sk) noexcept nogil:
    """First guess at the peer's MSS; too low is soon corrected by tcp_measure_rcv_mss(), too high delays ACKs."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef unsigned int hint = min_u32(tp.advmss, tp.mss_cache)

    hint = min_u32(hint, tp.rcv_wnd // 2)
    hint = min_u32(hint, TCP_MSS_DEFAULT)
    hint = max_u32(hint, TCP_MIN_MSS)

    inet_csk(sk).icsk_ack.rcv_mss = <u16>hint


# ---------------------------------------------------------------------------------------------- receiver's RTT, DRS

cdef void tcp_rcv_rtt_update(tcp_sock *tp, u32 sample, int win_dep) noexcept nogil:
    """One sample of the receiver's RTT (rtt_us is scaled by 8). win_dep: measured as one window, only a minimum."""
    cdef u32 new_sample, old_sample = tp.rcv_rtt_est.rtt_us
    cdef long m = <u32>(sample << 3)

    if old_sample == 0 or m < <long>old_sample:
        new_sample = <u32>m
    else:
        # Without timestamps a sample may hold idle time: it may lower the estimate, never raise it.
        if win_dep:
            return
        # Unread data: the peer may be held back by our reader.
        if tp.rcv_nxt != tp.copied_seq:
            return
        new_sample = old_sample - (old_sample >> 3) + sample

    tp.rcv_rtt_est.rtt_us = new_sample


cdef inline void tcp_rcv_rtt_measure(tcp_sock *tp) noexcept nogil:
    """RTT as the time in which one whole advertised window arrived."""
    cdef u32 delta_us

    if tp.rcv_rtt_est.time != 0:
        if before(tp.rcv_nxt, tp.rcv_rtt_est.seq):
            return
        delta_us = <u32>tcp_stamp_us_delta(tp.tcp_mstamp, tp.rcv_rtt_est.time)
        if delta_us == 0:
            delta_us = 1
        tcp_rcv_rtt_update(tp, delta_us, 1)

    tp.rcv_rtt_est.seq = tp.rcv_nxt + tp.rcv_wnd
    tp.rcv_rtt_est.time = tp.tcp_mstamp


cdef s32 tcp_rtt_tsopt_us(tcp_sock *tp, u32 min_delta) noexcept nogil:
    """RTT in us from the echoed timestamp (RFC 7323 4.1), -1 if the echo is absurd."""
    cdef u32 delta, delta_us

    delta = tcp_time_stamp_ts(tp) - tp.rx_opt.rcv_tsecr
    if tp.tcp_usec_ts:
        return <s32>delta

    if delta < <u32>(INT_MAX // (USEC_PER_SEC // TCP_TS_HZ)):
        if delta == 0:
            delta = min_delta
        delta_us = <u32>(delta * (USEC_PER_SEC // TCP_TS_HZ))
        return <s32>delta_us
    return -1


cdef inline void tcp_rcv_rtt_measure_ts(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef s32 delta

    if tp.rx_opt.rcv_tsecr == tp.rcv_rtt_last_tsecr:
        return
    tp.rcv_rtt_last_tsecr = tp.rx_opt.rcv_tsecr

    if TCP_SKB_CB(skb).end_seq - TCP_SKB_CB(skb).seq >= inet_csk(sk).icsk_ack.rcv_mss:
        delta = tcp_rtt_tsopt_us(tp, 0)

        if delta > 0:
            tcp_rcv_rtt_update(tp, <u32>delta, 0)


cdef void tcp_rcvbuf_grow(sock *sk, u32 newval) noexcept nogil:
    """Dynamic right-sizing: newval bytes were read in one RTT; make room for what the sender can do in the next."""
    cdef net *n = sock_net(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 rcvwin, rcvbuf, cap, oldval
    cdef u64 grow

    oldval = <u32>tp.rcvq_space.space
    tp.rcvq_space.space = <int>newval

    if not n.ipv4.sysctl_tcp_moderate_rcvbuf or (sk.sk_userlocks & SOCK_RCVBUF_LOCK):
        return

    # The measure is one RTT old.
    rcvwin = newval << 1

    # Slow start may double the rate once more.
    grow = <u64>rcvwin * <u32>(newval - oldval)
    grow = grow // oldval
    rcvwin = <u32>(rcvwin + (grow << 1))

    if not RB_EMPTY_ROOT(&tp.out_of_order_queue):
        rcvwin += TCP_SKB_CB(tp.ooo_last_skb).end_seq - tp.rcv_nxt

    cap = <u32>n.ipv4.sysctl_tcp_rmem[2]

    rcvbuf = min_u32(<u32>tcp_space_from_win(sk, <int>rcvwin), cap)
    if rcvbuf > <u32>sk.sk_rcvbuf:
        sk.sk_rcvbuf = <int>rcvbuf
        tp.window_clamp = <u32>tcp_win_from_space(sk, <int>rcvbuf)


cdef void tcp_rcv_space_adjust(sock *sk) noexcept nogil:
    """After each copy to the reader: once an RTT, see whether the buffer limits it."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int time_, inq, copied

    trace_tcp_rcv_space_adjust(sk)

    tcp_mstamp_refresh(tp)
    time_ = <int>tcp_stamp_us_delta(tp.tcp_mstamp, tp.rcvq_space.time)
    if <u32>time_ < (tp.rcv_rtt_est.rtt_us >> 3) or tp.rcv_rtt_est.rtt_us == 0:
        return

    copied = <int>(tp.copied_seq - tp.rcvq_space.seq)
    inq = <int>(tp.rcv_nxt - tp.copied_seq)
    copied -= inq
    if copied > tp.rcvq_space.space:
        trace_tcp_rcvbuf_grow(sk, time_)

        tcp_rcvbuf_grow(sk, <u32>copied)

    tp.rcvq_space.seq = tp.copied_seq
    tp.rcvq_space.time = tp.tcp_mstamp


cdef void tcp_event_data_recv(sock *sk, sk_buff *skb) noexcept nogil:
    """Data was queued: schedule an ACK, adapt the delayed-ACK time-out to the gap between arrivals, tune the window.

    A new connection ACKs quickly, because the peer is in slow start and each ACK opens its window.
    """
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef int ato_min = <int>TCP_ATO_MIN(sock_net(sk))
    cdef u32 now
    cdef int m

    inet_csk_schedule_ack(sk)

    tcp_measure_rcv_mss(sk, skb)

    tcp_rcv_rtt_measure(tp)

    now = tcp_jiffies32(sock_net(sk))

    if not icsk.icsk_ack.ato:
        tcp_incr_quickack(sk, TCP_MAX_QUICKACKS)
        icsk.icsk_ack.ato = <u32>ato_min & ATO_MASK
    else:
        m = <int>(now - icsk.icsk_ack.lrcvtime)

        if <u32>m <= <u32>(ato_min // 2):
            icsk.icsk_ack.ato = ((icsk.icsk_ack.ato >> 1) + <u32>(ato_min // 2)) & ATO_MASK
        elif m < <int>icsk.icsk_ack.ato:
            icsk.icsk_ack.ato = ((icsk.icsk_ack.ato >> 1) + <u32>m) & ATO_MASK
            if icsk.icsk_ack.ato > icsk.icsk_rto:
                icsk.icsk_ack.ato = icsk.icsk_rto & ATO_MASK
        elif <u32>m > icsk.icsk_rto:
            # A gap beyond the RTO: the sender may have restarted with a small window.
            tcp_incr_quickack(sk, TCP_MAX_QUICKACKS)
    icsk.icsk_ack.lrcvtime = now

    tcp_data_ecn_check(sk, skb)

    if skb.len >= 128:
        tcp_grow_window(sk, skb, True)


# ---------------------------------------------------------------------------------------------- RTT, RTO, pacing

cdef void tcp_rtt_estimator(sock *sk, long mrtt_us) noexcept nogil:
    """RFC 6298 2 in integers: srtt_us is 8 * SRTT, mdev_us 4 * deviation, rttvar_us its maximum over an RTT.

    Where the RTT falls, mdev moves with an eighth of the gain (the Eifel idea: falling RTT must not raise the RTO).
    """
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef long m = mrtt_us
    cdef u32 srtt = tp.srtt_us

    if srtt != 0:
        m -= (srtt >> 3)                # the error of the estimate
        srtt = <u32>(srtt + m)          # 7/8 old + 1/8 new
        if m < 0:
            m = -m
            m -= (tp.mdev_us >> 2)
            if m > 0:
                m >>= 3
        else:
            m -= (tp.mdev_us >> 2)
        tp.mdev_us = <u32>(tp.mdev_us + m)      # 3/4 old + 1/4 new
        if tp.mdev_us > tp.mdev_max_us:
            tp.mdev_max_us = tp.mdev_us
            if tp.mdev_max_us > tp.rttvar_us:
                tp.rttvar_us = tp.mdev_max_us
        if after(tp.snd_una, tp.rtt_seq):
            if tp.mdev_max_us < tp.rttvar_us:
                tp.rttvar_us -= (tp.rttvar_us - tp.mdev_max_us) >> 2
            tp.rtt_seq = tp.snd_nxt
            tp.mdev_max_us = tcp_rto_min_us(sk)
    else:
        srtt = <u32>(m << 3)
        tp.mdev_us = <u32>(m << 1)      # so that the RTO is three times the RTT
        tp.rttvar_us = max_u32(tp.mdev_us, tcp_rto_min_us(sk))
        tp.mdev_max_us = tp.rttvar_us
        tp.rtt_seq = tp.snd_nxt
    tp.srtt_us = max_u32(1, srtt)


cdef void tcp_update_pacing_rate(sock *sk) noexcept nogil:
    """cwnd * mss / srtt, times 2 in slow start and 1.2 in congestion avoidance (both are sysctls)."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u64 rate

    rate = <u64>tp.mss_cache * <u64>((USEC_PER_SEC // 100) << 3)

    # From half of ssthresh on slow start is about to end.
    if tcp_snd_cwnd(tp) < tp.snd_ssthresh // 2:
        rate *= <u64>sock_net(sk).ipv4.sysctl_tcp_pacing_ss_ratio
    else:
        rate *= <u64>sock_net(sk).ipv4.sysctl_tcp_pacing_ca_ratio

    rate *= max_u32(tcp_snd_cwnd(tp), tp.packets_out)

    if tp.srtt_us != 0:
        rate = rate // tp.srtt_us

    sk.sk_pacing_rate = <unsigned long>min_u64(rate, sk.sk_max_pacing_rate)


cdef void tcp_set_rto(sock *sk) noexcept nogil:
    """RTO without backoff. rttvar_us is never below rto_min, so only the upper bound is applied."""
    inet_csk(sk).icsk_rto = __tcp_set_rto(tcp_sk(sk))

    tcp_bound_rto(sk)


cdef u32 tcp_init_cwnd(tcp_sock *tp, dst_entry *dst) noexcept nogil:
    """RFC 6928: ten segments, unless the route says otherwise."""
    cdef u32 cwnd = 0

    if dst != NULL:
        cwnd = dst_metric(dst, RTAX_INITCWND)
    if cwnd == 0:
        cwnd = TCP_INIT_CWND
    return min_u32(cwnd, tp.snd_cwnd_clamp)


# ---------------------------------------------------------------------------------------------- SACK scoreboard

cdef struct tcp_sacktag_state:
    # Send times of the first and last never-retransmitted segment that was SACKed: the RTO takes the older one,
    # congestion control the newer.
    u64 first_sackt
    u64 last_sackt
    u32 reord                           # lowest such sequence below what was SACKed already
    u32 sack_delivered
    u32 delivered_bytes
    int flag
    unsigned int mss_now
    rate_sample *rate


cdef u32 tcp_dsack_seen(tcp_sock *tp, u32 start_seq, u32 end_seq, tcp_sacktag_state *state) noexcept nogil:
    """Count the segments of a D-SACK block; 0 if our retransmissions cannot have caused it (RFC 3708)."""
    cdef u32 seq_len, dup_segs = 1

    if not before(start_seq, end_seq):
        return 0

    seq_len = end_seq - start_seq
    # Longer than any window that the peer ever offered.
    if seq_len > tp.max_window:
        return 0
    if seq_len > tp.mss_cache:
        dup_segs = (seq_len + tp.mss_cache - 1) // tp.mss_cache
    elif tp.tlp_high_seq != 0 and tp.tlp_high_seq == end_seq:
        state.flag |= FLAG_DSACK_TLP

    tp.dsack_dups += dup_segs
    # More duplicates than retransmissions: the network made them.
    if tp.dsack_dups > tp.total_retrans:
        return 0

    tp.rx_opt.sack_ok |= TCP_DSACK_SEEN
    # RFC 8985 6.2 step 4: widen the reordering window, if reordering was seen at all and RACK (not TLP) is to blame.
    if tp.reord_seen != 0 and not (state.flag & FLAG_DSACK_TLP):
        tp.rack.dsack_seen = 1

    state.flag |= FLAG_DSACKING_ACK
    # The spurious copy was delivered too.
    state.sack_delivered += dup_segs

    return dup_segs


cdef void tcp_check_sack_reordering(sock *sk, u32 low_seq, int ts) noexcept nogil:
    """low_seq, never retransmitted, arrived after something higher: that distance in MSS is the reordering degree."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 mss = tp.mss_cache
    cdef u32 fack, metric

    fack = tcp_highest_sack_seq(tp)
    if not before(low_seq, fack):
        return

    metric = fack - low_seq
    if metric > tp.reordering * mss and mss != 0:
        tp.reordering = min_u32((metric + mss - 1) // mss, <u32>sock_net(sk).ipv4.sysctl_tcp_max_reordering)

    tp.reord_seen += 1
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPTSREORDER if ts else LINUX_MIB_TCPSACKREORDER)


cdef void tcp_verify_retransmit_hint(tcp_sock *tp, sk_buff *skb) noexcept nogil:
    """Is the newly lost skb the next one to retransmit? To be asked before lost_out and retrans_out change."""
    if ((tp.retransmit_skb_hint == NULL and tp.retrans_out >= tp.lost_out) or
            (tp.retransmit_skb_hint != NULL and
             before(TCP_SKB_CB(skb).seq, TCP_SKB_CB(tp.retransmit_skb_hint).seq))):
        tp.retransmit_skb_hint = skb


cdef void tcp_notify_skb_loss_event(tcp_sock *tp, sk_buff *skb) noexcept nogil:
    tp.lost += <u32>tcp_skb_pcount(skb)


cdef void tcp_mark_skb_lost(sock *sk, sk_buff *skb) noexcept nogil:
    cdef u8 sacked = TCP_SKB_CB(skb).sacked
    cdef tcp_sock *tp = tcp_sk(sk)

    if sacked & TCPCB_SACKED_ACKED:
        return

    tcp_verify_retransmit_hint(tp, skb)
    if sacked & TCPCB_LOST:
        if sacked & TCPCB_SACKED_RETRANS:
            # Lost once more: the retransmission is no longer in flight.
            TCP_SKB_CB(skb).sacked &= ~TCPCB_SACKED_RETRANS
            tp.retrans_out -= <u32>tcp_skb_pcount(skb)
            NET_ADD_STATS(sock_net(sk), LINUX_MIB_TCPLOSTRETRANSMIT, tcp_skb_pcount(skb))
            tcp_notify_skb_loss_event(tp, skb)
    else:
        tp.lost_out += <u32>tcp_skb_pcount(skb)
        TCP_SKB_CB(skb).sacked |= TCPCB_LOST
        tcp_notify_skb_loss_event(tp, skb)


# Each skb of the retransmission queue carries tags, counted in packets: S (sacked_out), L (lost_out), R (retrans_out).
# Copies in flight: none -> 1, S -> 0, L -> 0, R -> 2, L|R -> 1, S|R -> 1. L|S must not occur: SACKing takes L away.
# R is kept with S while the retransmission may still fly; a D-SACK turns whatever there is into plain S.

cdef bint tcp_is_sackblock_valid(tcp_sock *tp, bint is_dsack, u32 start_seq, u32 end_seq) noexcept nogil:
    """May the block speak of something outstanding, or as D-SACK of something sent since undo_marker?"""
    # Beyond what was sent, reversed or empty; start is looked at too, because it may wrap around behind end.
    if after(end_seq, tp.snd_nxt) or not before(start_seq, end_seq):
        return False

    if not before(start_seq, tp.snd_nxt):
        return False

    # start == snd_una would be reneging in one message, and is left to the timer.
    if after(start_seq, tp.snd_una):
        return True

    if not is_dsack or tp.undo_marker == 0:
        return False

    # A D-SACK has to lie below snd_una entirely.
    if after(end_seq, tp.snd_una):
        return False

    if not before(start_seq, tp.undo_marker):
        return True

    if not after(end_seq, tp.undo_marker):
        return False

    # It straddles undo_marker; one maximal window is a generous bound for how.
    return not before(start_seq, end_seq - tp.max_window)


cdef bint tcp_check_dsack(sock *sk, sk_buff *ack_skb, tcp_sack_block_wire *sp, int num_sacks, u32 prior_snd_una,
                          tcp_sacktag_state *state) noexcept nogil:
    """RFC 2883 4: the first block is a D-SACK if it lies below the ACK or inside the second block."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 start_seq_0 = get_unaligned_be32(&sp[0].start_seq)
    cdef u32 end_seq_0 = get_unaligned_be32(&sp[0].end_seq)
    cdef u32 start_seq_1, end_seq_1, dup_segs

    if before(start_seq_0, TCP_SKB_CB(ack_skb).ack_seq):
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPDSACKRECV)
    elif num_sacks > 1:
        end_seq_1 = get_unaligned_be32(&sp[1].end_seq)
        start_seq_1 = get_unaligned_be32(&sp[1].start_seq)

        if after(end_seq_0, end_seq_1) or before(start_seq_0, start_seq_1):
            return False
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPDSACKOFORECV)
    else:
        return False

    dup_segs = tcp_dsack_seen(tp, start_seq_0, end_seq_0, state)
    if dup_segs == 0:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPDSACKIGNOREDDUBIOUS)
        return False

    NET_ADD_STATS(sock_net(sk), LINUX_MIB_TCPDSACKRECVSEGS, dup_segs)

    # The skb is gone already if it was below the old snd_una: count here what tcp_sacktag_one() can't.
    if (tp.undo_marker != 0 and tp.undo_retrans > 0 and
            not after(end_seq_0, prior_snd_una) and
            after(end_seq_0, tp.undo_marker)):
        tp.undo_retrans = max_int(0, <int>(<u32>tp.undo_retrans - dup_segs))

    return True


cdef int tcp_match_skb_to_sack(sock *sk, sk_buff *skb, u32 start_seq, u32 end_seq) noexcept nogil:
    """Does the block cover this skb? One that is covered partly is split at an MSS boundary. < 0: no memory."""
    cdef int err
    cdef bint in_sack
    cdef unsigned int pkt_len, mss, new_len

    in_sack = (not after(start_seq, TCP_SKB_CB(skb).seq) and
               not before(end_seq, TCP_SKB_CB(skb).end_seq))

    if (tcp_skb_pcount(skb) > 1 and not in_sack and
            after(TCP_SKB_CB(skb).end_seq, start_seq)):
        mss = <unsigned int>tcp_skb_mss(skb)
        in_sack = not after(start_seq, TCP_SKB_CB(skb).seq)

        if not in_sack:
            pkt_len = start_seq - TCP_SKB_CB(skb).seq
            if pkt_len < mss:
                pkt_len = mss
        else:
            pkt_len = end_seq - TCP_SKB_CB(skb).seq
            if pkt_len < mss:
                return -EINVAL

        # Whole MSSes only: down for a covered head, up for an uncovered one.
        if pkt_len > mss:
            new_len = (pkt_len // mss) * mss
            if not in_sack and new_len < pkt_len:
                new_len += mss
            pkt_len = new_len

        if pkt_len >= skb.len and not in_sack:
            return 0

        err = tcp_fragment(sk, TCP_FRAG_IN_RTX_QUEUE, skb, pkt_len, mss, GFP_ATOMIC)
        if err < 0:
            return err

    return in_sack


cdef u8 tcp_sacktag_one(sock *sk, tcp_sacktag_state *state, u8 sacked, u32 start_seq, u32 end_seq, int dup_sack,
                        int pcount, u32 plen, u64 xmit_time) noexcept nogil:
    """Account a newly SACKed range and return its new tags."""
    cdef tcp_sock *tp = tcp_sk(sk)

    # A D-SACK of something retransmitted: one retransmission less that was needed.
    if dup_sack and (sacked & TCPCB_RETRANS):
        if tp.undo_marker != 0 and tp.undo_retrans > 0 and after(end_seq, tp.undo_marker):
            tp.undo_retrans = max_int(0, tp.undo_retrans - pcount)
        if (sacked & TCPCB_SACKED_ACKED) and before(start_seq, state.reord):
            state.reord = start_seq

    # About to leave the queue, by the cumulative ACK.
    if not after(end_seq, tp.snd_una):
        return sacked

    if not (sacked & TCPCB_SACKED_ACKED):
        tcp_rack_advance(tp, sacked, end_seq, xmit_time)

        if sacked & TCPCB_SACKED_RETRANS:
            # Without L it was the original that arrived: the retransmission still flies, R stays.
            if sacked & TCPCB_LOST:
                sacked &= ~(TCPCB_LOST | TCPCB_SACKED_RETRANS)
                tp.lost_out -= <u32>pcount
                tp.retrans_out -= <u32>pcount
        else:
            if not (sacked & TCPCB_RETRANS):
                # A hole filled by a segment sent once: reordering.
                if (before(start_seq, tcp_highest_sack_seq(tp)) and
                        before(start_seq, state.reord)):
                    state.reord = start_seq

                if not after(end_seq, tp.high_seq):
                    state.flag |= FLAG_ORIG_SACK_ACKED
                if state.first_sackt == 0:
                    state.first_sackt = xmit_time
                state.last_sackt = xmit_time

            if sacked & TCPCB_LOST:
                sacked &= ~TCPCB_LOST
                tp.lost_out -= <u32>pcount

        sacked |= TCPCB_SACKED_ACKED
        state.flag |= FLAG_DATA_SACKED
        tp.sacked_out += <u32>pcount
        state.sack_delivered += <u32>pcount
        state.delivered_bytes += plen

    # The duplicate shows that the retransmission arrived as well: S|R and plain R lose R.
    if dup_sack and (sacked & TCPCB_SACKED_RETRANS):
        sacked &= ~TCPCB_SACKED_RETRANS
        tp.retrans_out -= <u32>pcount

    return sacked


cdef bint tcp_shifted_skb(sock *sk, sk_buff *prev, sk_buff *skb, tcp_sacktag_state *state, unsigned int pcount,
                          int shifted, int mss, bint dup_sack) noexcept nogil:
    """`shifted` bytes went from skb to the SACKed prev: account them. True if skb was eaten whole, and is freed."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 start_seq = TCP_SKB_CB(skb).seq
    cdef u32 end_seq = start_seq + <u32>shifted

    BUG_ON(pcount == 0)

    # Tag before seq moves, because highest_sack may be this skb. prev has its tags: the result is not needed.
    tcp_sacktag_one(sk, state, TCP_SKB_CB(skb).sacked, start_seq, end_seq, dup_sack, <int>pcount, skb.len,
                    tcp_skb_timestamp_us(skb))
    tcp_rate_skb_delivered(sk, skb, state.rate)

    TCP_SKB_CB(prev).end_seq += <u32>shifted
    TCP_SKB_CB(skb).seq += <u32>shifted

    tcp_skb_pcount_add(prev, <int>pcount)
    tcp_skb_pcount_add(skb, -<int>pcount)

    # prev was a single segment until now and had no gso_size.
    if TCP_SKB_CB(prev).tcp_gso_size == 0:
        TCP_SKB_CB(prev).tcp_gso_size = <u16>mss

    if tcp_skb_pcount(skb) <= 1:
        TCP_SKB_CB(skb).tcp_gso_size = 0

    TCP_SKB_CB(prev).sacked |= (TCP_SKB_CB(skb).sacked & TCPCB_EVER_RETRANS)

    if skb.len > 0:
        BUG_ON(tcp_skb_pcount(skb) == 0)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_SACKSHIFTED)
        return False

    # Nothing is left of skb.
    if skb == tp.retransmit_skb_hint:
        tp.retransmit_skb_hint = prev

    TCP_SKB_CB(prev).tcp_flags |= TCP_SKB_CB(skb).tcp_flags
    TCP_SKB_CB(prev).eor = TCP_SKB_CB(skb).eor
    if TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN:
        TCP_SKB_CB(prev).end_seq += 1

    if skb == tcp_highest_sack(sk):
        tcp_advance_highest_sack(sk, skb)

    tcp_skb_collapse_tstamp(prev, skb)
    if TCP_SKB_CB(prev).tx.delivered_mstamp != 0:
        TCP_SKB_CB(prev).tx.delivered_mstamp = 0

    tcp_rtx_queue_unlink_and_free(skb, sk)

    NET_INC_STATS(sock_net(sk), LINUX_MIB_SACKMERGED)

    return True


cdef int tcp_skb_seglen(sk_buff *skb) noexcept nogil:
    return <int>skb.len if tcp_skb_pcount(skb) == 1 else tcp_skb_mss(skb)


cdef int skb_can_shift(sk_buff *skb) noexcept nogil:
    """Only pages can change hands, not bytes of the head."""
    return skb_headlen(skb) == 0 and skb_is_nonlinear(skb)


cdef int tcp_skb_shift(sk_buff *to, sk_buff *from_, int pcount, int shiftlen) noexcept nogil:
    # pcount has 16 bits and the smallest gso_size is 8: neither may be outgrown.
    if to.len + <u32>shiftlen >= <u32>(65535 * TCP_MIN_GSO_SIZE):
        return 0
    if tcp_skb_pcount(to) + pcount > 65535:
        return 0
    return skb_shift(to, from_, shiftlen)


cdef sk_buff *tcp_shift_fallback(sock *sk) noexcept nogil:
    """tcp_shift_skb_data() can't shift: the caller goes on with splitting."""
    NET_INC_STATS(sock_net(sk), LINUX_MIB_SACKSHIFTFALLBACK)
    return NULL


cdef sk_buff *tcp_shift_skb_data(sock *sk, sk_buff *skb, tcp_sacktag_state *state, u32 start_seq, u32 end_seq,
                                 bint dup_sack) noexcept nogil:
    """Move SACKed bytes into the SACKed skb before, so that the scoreboard stays short.

    NULL: not possible. skb itself: nothing to do here. Else the skb that took the bytes; the given one may be gone.
    """
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *prev
    cdef int mss, length, in_sack
    cdef int pcount = 0

    # R without L would not become a plain S.
    if (not dup_sack and
            (TCP_SKB_CB(skb).sacked & (TCPCB_LOST | TCPCB_SACKED_RETRANS)) == TCPCB_SACKED_RETRANS):
        return tcp_shift_fallback(sk)
    if not skb_can_shift(skb):
        return tcp_shift_fallback(sk)
    # About to be freed by the cumulative ACK.
    if not after(TCP_SKB_CB(skb).end_seq, tp.snd_una):
        return tcp_shift_fallback(sk)

    prev = skb_rb_prev(skb)
    if prev == NULL:
        return tcp_shift_fallback(sk)

    if (TCP_SKB_CB(prev).sacked & TCPCB_TAGBITS) != TCPCB_SACKED_ACKED:
        return tcp_shift_fallback(sk)

    if not tcp_skb_can_collapse(prev, skb):
        return tcp_shift_fallback(sk)

    in_sack = (not after(start_seq, TCP_SKB_CB(skb).seq) and
               not before(end_seq, TCP_SKB_CB(skb).end_seq))

    if in_sack:
        length = <int>skb.len
        pcount = tcp_skb_pcount(skb)
        mss = tcp_skb_seglen(skb)

        if mss != tcp_skb_seglen(prev):
            return tcp_shift_fallback(sk)
    else:
        if not after(TCP_SKB_CB(skb).end_seq, start_seq):
            return skb
        # A single segment is not split.
        if tcp_skb_pcount(skb) <= 1:
            return skb

        in_sack = not after(start_seq, TCP_SKB_CB(skb).seq)
        if not in_sack:
            # Its tail is covered, not its head: nothing adjoins prev.
            return tcp_shift_fallback(sk)

        length = <int>(end_seq - TCP_SKB_CB(skb).seq)
        BUG_ON(length < 0)
        BUG_ON(<u32>length > skb.len)

        # Shift whole MSSes, else pcount breaks.
        mss = tcp_skb_mss(skb)

        if mss != tcp_skb_seglen(prev):
            return tcp_shift_fallback(sk)

        if length == mss:
            pcount = 1
        elif length < mss:
            return skb
        else:
            pcount = length // mss
            length = pcount * mss

    # What lies below snd_una would not be tagged.
    if not after(TCP_SKB_CB(skb).seq + <u32>length, tp.snd_una):
        return tcp_shift_fallback(sk)

    if not tcp_skb_shift(prev, skb, pcount, length):
        return tcp_shift_fallback(sk)
    if not tcp_shifted_skb(sk, prev, skb, state, <unsigned int>pcount, length, mss, dup_sack):
        return prev

    # The hole is closed: the SACKed skb behind it may join too.
    skb = skb_rb_next(prev)
    if skb == NULL:
        return prev

    if (not skb_can_shift(skb) or
            (TCP_SKB_CB(skb).sacked & TCPCB_TAGBITS) != TCPCB_SACKED_ACKED or
            mss != tcp_skb_seglen(skb)):
        return prev

    if not tcp_skb_can_collapse(prev, skb):
        return prev
    length = <int>skb.len
    pcount = tcp_skb_pcount(skb)
    if tcp_skb_shift(prev, skb, pcount, length):
        tcp_shifted_skb(sk, prev, skb, state, <unsigned int>pcount, length, mss, False)
    return prev


cdef sk_buff *tcp_sacktag_walk(sk_buff *skb, sock *sk, tcp_sack_block *next_dup, tcp_sacktag_state *state,
                               u32 start_seq, u32 end_seq, bint dup_sack_in) noexcept nogil:
    """Tag what lies in start_seq .. end_seq, from skb on; returns the skb at which it stopped."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *tmp
    cdef int in_sack
    cdef bint dup_sack

    while skb != NULL:
        in_sack = 0
        dup_sack = dup_sack_in

        if not before(TCP_SKB_CB(skb).seq, end_seq):
            break

        if next_dup != NULL and before(TCP_SKB_CB(skb).seq, next_dup.end_seq):
            in_sack = tcp_match_skb_to_sack(sk, skb, next_dup.start_seq, next_dup.end_seq)
            if in_sack > 0:
                dup_sack = True

        # Shifting may free skb and the one behind it: go on from what it returns.
        if in_sack <= 0:
            tmp = tcp_shift_skb_data(sk, skb, state, start_seq, end_seq, dup_sack)
            if tmp != NULL:
                if tmp != skb:
                    skb = skb_rb_next(tmp)
                    continue

                in_sack = 0
            else:
                in_sack = tcp_match_skb_to_sack(sk, skb, start_seq, end_seq)

        if in_sack < 0:
            break

        if in_sack:
            TCP_SKB_CB(skb).sacked = tcp_sacktag_one(sk, state, TCP_SKB_CB(skb).sacked, TCP_SKB_CB(skb).seq,
                                                     TCP_SKB_CB(skb).end_seq, dup_sack, tcp_skb_pcount(skb),
                                                     skb.len, tcp_skb_timestamp_us(skb))
            tcp_rate_skb_delivered(sk, skb, state.rate)
            if TCP_SKB_CB(skb).sacked & TCPCB_SACKED_ACKED:
                list_del_init(&skb.tcp_tsorted_anchor)

            if not before(TCP_SKB_CB(skb).seq, tcp_highest_sack_seq(tp)):
                tcp_advance_highest_sack(sk, skb)
        skb = skb_rb_next(skb)
    return skb


cdef sk_buff *tcp_sacktag_bsearch(sock *sk, u32 seq) noexcept nogil:
    """The skb of the retransmission queue that holds seq, or NULL."""
    cdef rb_node *p = sk.tcp_rtx_queue.rb_node
    cdef sk_buff *skb

    while p != NULL:
        skb = rb_to_skb(p)
        if before(seq, TCP_SKB_CB(skb).seq):
            p = p.rb_left
            continue
        if not before(seq, TCP_SKB_CB(skb).end_seq):
            p = p.rb_right
            continue
        return skb
    return NULL


cdef sk_buff *tcp_sacktag_skip(sk_buff *skb, sock *sk, u32 skip_to_seq) noexcept nogil:
    if skb != NULL and after(TCP_SKB_CB(skb).seq, skip_to_seq):
        return skb

    return tcp_sacktag_bsearch(sk, skip_to_seq)


cdef sk_buff *tcp_maybe_skipping_dsack(sk_buff *skb, sock *sk, tcp_sack_block *next_dup, tcp_sacktag_state *state,
                                       u32 skip_to_seq) noexcept nogil:
    """Before skipping to a sequence: tag a D-SACK block that begins below it."""
    if next_dup == NULL:
        return skb

    if before(next_dup.start_seq, skip_to_seq):
        skb = tcp_sacktag_skip(skb, sk, next_dup.start_seq)
        skb = tcp_sacktag_walk(skb, sk, NULL, state, next_dup.start_seq, next_dup.end_seq, True)

    return skb


cdef int tcp_sack_cache_ok(tcp_sock *tp, tcp_sack_block *cache) noexcept nogil:
    return cache < &tp.recv_sack_cache[0] + TCP_NUM_SACKS


cdef int tcp_sacktag_write_queue(sock *sk, sk_buff *ack_skb, u32 prior_snd_una,
                                 tcp_sacktag_state *state) noexcept nogil:
    """Apply an ACK's SACK blocks to the retransmission queue. The blocks of the last ACK are cached, so that only
    what is new gets walked."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u8 *ptr = skb_transport_header(ack_skb) + TCP_SKB_CB(ack_skb).sacked
    cdef tcp_sack_block_wire *sp_wire = <tcp_sack_block_wire *>(ptr + 2)
    cdef tcp_sack_block sp[TCP_NUM_SACKS]
    cdef tcp_sack_block swap_
    cdef tcp_sack_block *cache
    cdef tcp_sack_block *next_dup
    cdef sk_buff *skb
    cdef int num_sacks = min_int(TCP_NUM_SACKS, (<int>ptr[1] - TCPOLEN_SACK_BASE) >> 3)
    cdef int used_sacks
    cdef bint found_dup_sack = False
    cdef bint dup_sack
    cdef int i, j, mib_idx
    cdef int first_sack_index
    cdef u32 start_seq, end_seq

    state.flag = 0
    state.reord = tp.snd_nxt

    if tp.sacked_out == 0:
        tcp_highest_sack_reset(sk)

    found_dup_sack = tcp_check_dsack(sk, ack_skb, sp_wire, num_sacks, prior_snd_una, state)

    # An ACK that is older than a window can't say anything of use.
    if before(TCP_SKB_CB(ack_skb).ack_seq, prior_snd_una - tp.max_window):
        return 0

    if tp.packets_out == 0:
        return state.flag

    used_sacks = 0
    first_sack_index = 0
    for i in range(num_sacks):
        dup_sack = i == 0 and found_dup_sack

        sp[used_sacks].start_seq = get_unaligned_be32(&sp_wire[i].start_seq)
        sp[used_sacks].end_seq = get_unaligned_be32(&sp_wire[i].end_seq)

        if not tcp_is_sackblock_valid(tp, dup_sack, sp[used_sacks].start_seq, sp[used_sacks].end_seq):
            if dup_sack:
                if tp.undo_marker == 0:
                    mib_idx = LINUX_MIB_TCPDSACKIGNOREDNOUNDO
                else:
                    mib_idx = LINUX_MIB_TCPDSACKIGNOREDOLD
            else:
                # A reordered ACK may tell of data that is acknowledged by now; that is no fault.
                if (TCP_SKB_CB(ack_skb).ack_seq != tp.snd_una and
                        not after(sp[used_sacks].end_seq, tp.snd_una)):
                    continue
                mib_idx = LINUX_MIB_TCPSACKDISCARD

            NET_INC_STATS(sock_net(sk), mib_idx)
            if i == 0:
                first_sack_index = -1
            continue

        if not after(sp[used_sacks].end_seq, prior_snd_una):
            if i == 0:
                first_sack_index = -1
            continue

        used_sacks += 1

    # Sort by sequence (the queue is walked once, in order), and remember where the first block went.
    i = used_sacks - 1
    while i > 0:
        for j in range(i):
            if after(sp[j].start_seq, sp[j + 1].start_seq):
                swap_ = sp[j]
                sp[j] = sp[j + 1]
                sp[j + 1] = swap_

                if j == first_sack_index:
                    first_sack_index = j + 1
        i -= 1

    state.mss_now = tcp_current_mss(sk)
    skb = NULL
    i = 0

    if tp.sacked_out == 0:
        # Nothing was SACKed: the cache is of no use.
        cache = &tp.recv_sack_cache[0] + TCP_NUM_SACKS
    else:
        cache = &tp.recv_sack_cache[0]
        # Unused slots are at its head.
        while tcp_sack_cache_ok(tp, cache) and cache.start_seq == 0 and cache.end_seq == 0:
            cache += 1

    while i < used_sacks:
        start_seq = sp[i].start_seq
        end_seq = sp[i].end_seq
        dup_sack = found_dup_sack and i == first_sack_index
        next_dup = NULL

        if found_dup_sack and i + 1 == first_sack_index:
            next_dup = &sp[i + 1]

        # Cached blocks that end before this one.
        while tcp_sack_cache_ok(tp, cache) and not before(start_seq, cache.end_seq):
            cache += 1

        # Overlaps a cached block: walk only what sticks out of it.
        if tcp_sack_cache_ok(tp, cache) and not dup_sack and after(end_seq, cache.start_seq):
            if before(start_seq, cache.start_seq):
                skb = tcp_sacktag_skip(skb, sk, start_seq)
                skb = tcp_sacktag_walk(skb, sk, next_dup, state, start_seq, cache.start_seq, dup_sack)

            if not after(end_seq, cache.end_seq):
                i += 1
                continue

            skb = tcp_maybe_skipping_dsack(skb, sk, next_dup, state, cache.end_seq)

            if tcp_highest_sack_seq(tp) == cache.end_seq:
                # The tail begins at the highest SACK: no search needed.
                skb = tcp_highest_sack(sk)
                if skb == NULL:
                    break
                cache += 1
            else:
                skb = tcp_sacktag_skip(skb, sk, cache.end_seq)
                # The same block again, against the next cached one.
                cache += 1
                continue
        else:
            if not before(start_seq, tcp_highest_sack_seq(tp)):
                skb = tcp_highest_sack(sk)
                if skb == NULL:
                    break
            skb = tcp_sacktag_skip(skb, sk, start_seq)

        skb = tcp_sacktag_walk(skb, sk, next_dup, state, start_seq, end_seq, dup_sack)
        i += 1

    # Keep these blocks at the end of the cache.
    i = 0
    while i < TCP_NUM_SACKS - used_sacks:
        tp.recv_sack_cache[i].start_seq = 0
        tp.recv_sack_cache[i].end_seq = 0
        i += 1
    for j in range(used_sacks):
        tp.recv_sack_cache[i] = sp[j]
        i += 1

    if inet_csk(sk).icsk_ca_state != TCP_CA_Loss or tp.undo_marker != 0:
        tcp_check_sack_reordering(sk, state.reord, 0)

    tcp_verify_left_out(tp)
    return state.flag


# ---------------------------------------------------------------------------------------------- peers without SACK

cdef bint tcp_limit_reno_sacked(tcp_sock *tp) noexcept nogil:
    """Duplicate ACKs stand for segments that left the network; at least one segment must be missing."""
    cdef u32 holes

    holes = max_u32(tp.lost_out, 1)
    holes = min_u32(holes, tp.packets_out)

    if tp.sacked_out + holes > tp.packets_out:
        tp.sacked_out = tp.packets_out - holes
        return True
    return False


cdef void tcp_check_reno_reordering(sock *sk, int addend) noexcept nogil:
    """More duplicate ACKs than segments out: the network reorders (or the receiver is broken)."""
    cdef tcp_sock *tp = tcp_sk(sk)

    if not tcp_limit_reno_sacked(tp):
        return

    tp.reordering = min_u32(tp.packets_out + <u32>addend, <u32>sock_net(sk).ipv4.sysctl_tcp_max_reordering)
    tp.reord_seen += 1
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPRENOREORDER)


cdef void tcp_add_reno_sack(sock *sk, int num_dupack, bint ece_ack) noexcept nogil:
    cdef tcp_sock *tp
    cdef u32 prior_sacked
    cdef s32 delivered

    if num_dupack:
        tp = tcp_sk(sk)
        prior_sacked = tp.sacked_out

        tp.sacked_out += <u32>num_dupack
        tcp_check_reno_reordering(sk, 0)
        delivered = <s32>(tp.sacked_out - prior_sacked)
        if delivered > 0:
            tcp_count_delivered(tp, <u32>delivered, ece_ack)
        tcp_verify_left_out(tp)


cdef void tcp_remove_reno_sacks(sock *sk, int acked, bint ece_ack) noexcept nogil:
    """An ACK for new data: one segment filled the hole, the others were counted as duplicate ACKs before."""
    cdef tcp_sock *tp = tcp_sk(sk)

    if acked > 0:
        tcp_count_delivered(tp, <u32>max_int(<int>(<u32>acked - tp.sacked_out), 1), ece_ack)
        if <u32>(acked - 1) >= tp.sacked_out:
            tp.sacked_out = 0
        else:
            tp.sacked_out -= <u32>(acked - 1)
    tcp_check_reno_reordering(sk, acked)
    tcp_verify_left_out(tp)


cdef inline void tcp_reset_reno_sack(tcp_sock *tp) noexcept nogil:
    tp.sacked_out = 0


cdef void tcp_clear_retrans(tcp_sock *tp) noexcept nogil:
    tp.retrans_out = 0
    tp.lost_out = 0
    tp.undo_marker = 0
    tp.undo_retrans = -1
    tp.sacked_out = 0
    tp.rto_stamp = 0
    tp.total_rto = 0
    tp.total_rto_recoveries = 0
    tp.total_rto_time = 0


cdef inline void tcp_init_undo(tcp_sock *tp) noexcept nogil:
    """Start to count what D-SACKs would have to cover for the whole episode to be undone."""
    tp.undo_marker = tp.snd_una

    tp.undo_retrans = <int>tp.retrans_out
    # A tail loss probe in flight counts as well.
    if tp.tlp_high_seq != 0 and tp.tlp_retrans:
        tp.undo_retrans += 1
    # 0 would mean that all are covered.
    if tp.undo_retrans == 0:
        tp.undo_retrans = -1


# ---------------------------------------------------------------------------------------------- loss after a time-out

cdef void tcp_timeout_mark_lost(sock *sk) noexcept nogil:
    """RTO: everything is lost but what RACK finds too young. SACK tags survive unless the receiver reneged."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *skb
    cdef sk_buff *head
    cdef bint is_reneg

    head = tcp_rtx_queue_head(sk)
    is_reneg = head != NULL and (TCP_SKB_CB(head).sacked & TCPCB_SACKED_ACKED) != 0
    if is_reneg:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPSACKRENEGING)
        tp.sacked_out = 0
        # Until this loss is repaired.
        tp.is_sack_reneg = 1
    elif tcp_is_reno(tp):
        tcp_reset_reno_sack(tp)

    skb = head
    while skb != NULL:
        if is_reneg:
            TCP_SKB_CB(skb).sacked &= ~TCPCB_SACKED_ACKED
        elif skb != head and tcp_rack_skb_timeout(tp, skb, 0) > 0:
            skb = skb_rb_next(skb)
            continue
        tcp_mark_skb_lost(sk, skb)
        skb = skb_rb_next(skb)
    tcp_verify_left_out(tp)
    tcp_clear_all_retrans_hints(tp)


cdef void tcp_enter_loss(sock *sk) noexcept nogil:
    """RFC 5681 3.1 on a retransmission time-out, and step 1 of F-RTO (RFC 5682 3.1)."""
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef bint new_recovery = icsk.icsk_ca_state < TCP_CA_Recovery
    cdef u8 reordering

    tcp_timeout_mark_lost(sk)

    # ssthresh is cut once in a window.
    if (icsk.icsk_ca_state <= TCP_CA_Disorder or
            not after(tp.high_seq, tp.snd_una) or
            (icsk.icsk_ca_state == TCP_CA_Loss and icsk.icsk_retransmits == 0)):
        tp.prior_ssthresh = tcp_current_ssthresh(sk)
        tp.prior_cwnd = tcp_snd_cwnd(tp)
        tp.snd_ssthresh = icsk.icsk_ca_ops.ssthresh(sk)
        tcp_ca_event(sk, CA_EVENT_LOSS)
        tcp_init_undo(tp)
    tcp_snd_cwnd_set(tp, tcp_packets_in_flight(tp) + 1)
    tp.snd_cwnd_cnt = 0
    tp.snd_cwnd_stamp = tcp_jiffies32(n)

    # A time-out although many duplicate ACKs came: the reordering degree was estimated too high.
    reordering = <u8>n.ipv4.sysctl_tcp_reordering
    if icsk.icsk_ca_state <= TCP_CA_Disorder and tp.sacked_out >= reordering:
        tp.reordering = min_u32(tp.reordering, reordering)

    tcp_set_ca_state(sk, TCP_CA_Loss)
    tp.high_seq = tp.snd_nxt
    tp.tlp_high_seq = 0
    tcp_ecn_queue_cwr(tp)

    # F-RTO if no other recovery is under way but repeated time-outs of the same segment (3.2); not for an MTU probe.
    tp.frto = (n.ipv4.sysctl_tcp_frto != 0 and
               (new_recovery or icsk.icsk_retransmits != 0) and
               icsk.icsk_mtup.probe_size == 0)


cdef bint tcp_check_sack_reneging(sock *sk, int *ack_flag) noexcept nogil:
    """snd_una reached a SACKed segment. That may be a passing oddity: wait max(RTT/2, 10 ms) before believing it."""
    cdef tcp_sock *tp
    cdef unsigned long delay

    if (ack_flag[0] & FLAG_SACK_RENEGING) and (ack_flag[0] & FLAG_SND_UNA_ADVANCED):
        tp = tcp_sk(sk)
        delay = max_ulong(usecs_to_jiffies(sock_net(sk), tp.srtt_us >> 4), msecs_to_jiffies(sock_net(sk), 10))

        tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, delay, False)
        ack_flag[0] &= ~FLAG_SET_XMIT_TIMER
        return True
    return False


# ---------------------------------------------------------------------------------------------- recovery and undo
#
# States: Open; Disorder (SACKs or duplicate ACKs, nothing proven); CWR (cwnd being reduced for ECN or a local drop);
# Recovery (fast retransmit); Loss (after an RTO). In flight = packets_out - (sacked_out + lost_out) + retrans_out.
# With SACK, RACK says what is lost (RFC 8985); without, NewReno takes one segment for lost per partial ACK (RFC 6582).

cdef bint tcp_time_to_recover(tcp_sock *tp) noexcept nogil:
    return tp.lost_out != 0


cdef bint tcp_tsopt_ecr_before(tcp_sock *tp, u32 when) noexcept nogil:
    return tp.rx_opt.saw_tstamp != 0 and tp.rx_opt.rcv_tsecr != 0 and before(tp.rx_opt.rcv_tsecr, when)


cdef bint tcp_skb_spurious_retrans(tcp_sock *tp, sk_buff *skb) noexcept nogil:
    """Eifel (RFC 3522) for one skb: the echo is older than its retransmission."""
    return ((TCP_SKB_CB(skb).sacked & TCPCB_RETRANS) != 0 and
            tcp_tsopt_ecr_before(tp, tcp_skb_timestamp_ts(tp.tcp_usec_ts, skb)))


cdef inline bint tcp_packet_delayed(tcp_sock *tp) noexcept nogil:
    """Was the original only late? Eifel detection against the first retransmission of the episode."""
    cdef sock *sk = <sock *>tp

    if tp.retrans_stamp != 0:
        return tcp_tsopt_ecr_before(tp, tp.retrans_stamp)

    # No stamp usually means that nothing was retransmitted yet (TSQ may hold it back), so it was merely delayed.
    # Two places clear the stamp in spite of retransmissions, though.

    # Reno's waiting at high_seq: tcp_is_non_sack_preventing_reopen().
    if not tcp_is_sack(tp) and not before(tp.snd_una, tp.high_seq):
        return False

    # The ACK of a SYN: tcp_clean_rtx_queue().
    if sk.sk_state == TCP_SYN_SENT:
        return False

    return True


cdef bint tcp_any_retrans_done(sock *sk) noexcept nogil:
    """Is anything in the window a retransmission? The head tells enough: a retransmission whose sending failed later
    has only EVER_RETRANS left."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *skb

    if tp.retrans_out != 0:
        return True

    skb = tcp_rtx_queue_head(sk)
    return skb != NULL and (TCP_SKB_CB(skb).sacked & TCPCB_EVER_RETRANS) != 0


cdef void tcp_retrans_stamp_cleanup(sock *sk) noexcept nogil:
    """With no retransmission out, the next episode has to take its own stamp."""
    if not tcp_any_retrans_done(sk):
        tcp_sk(sk).retrans_stamp = 0


cdef void tcp_undo_cwnd_reduction(sock *sk, bint unmark_loss) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk
    cdef sk_buff *skb

    if unmark_loss:
        skb = skb_rb_first(&sk.tcp_rtx_queue)
        while skb != NULL:
            TCP_SKB_CB(skb).sacked &= ~TCPCB_LOST
            skb = skb_rb_next(skb)
        tp.lost_out = 0
        tcp_clear_all_retrans_hints(tp)

    if tp.prior_ssthresh != 0:
        icsk = inet_csk(sk)

        tcp_snd_cwnd_set(tp, icsk.icsk_ca_ops.undo_cwnd(sk))

        if tp.prior_ssthresh > tp.snd_ssthresh:
            tp.snd_ssthresh = tp.prior_ssthresh
            tcp_ecn_withdraw_cwr(tp)
    tp.snd_cwnd_stamp = tcp_jiffies32(sock_net(sk))
    tp.undo_marker = 0
    # RACK has to look at everything again.
    tp.rack.advanced = 1


cdef inline bint tcp_may_undo(tcp_sock *tp) noexcept nogil:
    return tp.undo_marker != 0 and (tp.undo_retrans == 0 or tcp_packet_delayed(tp))


cdef bint tcp_is_non_sack_preventing_reopen(sock *sk) noexcept nogil:
    """RFC 6582 4.1: without SACK, stay until something above high_seq is ACKed, or old duplicates start it again."""
    cdef tcp_sock *tp = tcp_sk(sk)

    if tp.snd_una == tp.high_seq and tcp_is_reno(tp):
        if not tcp_any_retrans_done(sk):
            tp.retrans_stamp = 0
        return True
    return False


cdef bint tcp_try_undo_recovery(sock *sk) noexcept nogil:
    """high_seq is ACKed: leave the episode, and take the reduction back if it was for nothing. True: stay."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int mib_idx

    if tcp_may_undo(tp):
        tcp_undo_cwnd_reduction(sk, False)
        if inet_csk(sk).icsk_ca_state == TCP_CA_Loss:
            mib_idx = LINUX_MIB_TCPLOSSUNDO
        else:
            mib_idx = LINUX_MIB_TCPFULLUNDO

        NET_INC_STATS(sock_net(sk), mib_idx)
    elif tp.rack.reo_wnd_persist != 0:
        tp.rack.reo_wnd_persist -= 1
    if tcp_is_non_sack_preventing_reopen(sk):
        return True
    tcp_set_ca_state(sk, TCP_CA_Open)
    tp.is_sack_reneg = 0
    return False


cdef bint tcp_try_undo_dsack(sock *sk) noexcept nogil:
    """D-SACKs cover every retransmission: none was needed."""
    cdef tcp_sock *tp = tcp_sk(sk)

    if tp.undo_marker != 0 and tp.undo_retrans == 0:
        tp.rack.reo_wnd_persist = <u8>min_int(TCP_RACK_RECOVERY_THRESH, tp.rack.reo_wnd_persist + 1)
        tcp_undo_cwnd_reduction(sk, False)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPDSACKUNDO)
        return True
    return False


cdef bint tcp_try_undo_loss(sock *sk, bint frto_undo) noexcept nogil:
    """Undo of an RTO, on a partial ACK or because F-RTO found it spurious."""
    cdef tcp_sock *tp = tcp_sk(sk)

    if frto_undo or tcp_may_undo(tp):
        tcp_undo_cwnd_reduction(sk, True)

        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPLOSSUNDO)
        if frto_undo:
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPSPURIOUSRTOS)
        inet_csk(sk).icsk_retransmits = 0
        if tcp_is_non_sack_preventing_reopen(sk):
            return True
        if frto_undo or tcp_is_sack(tp):
            tcp_set_ca_state(sk, TCP_CA_Open)
            tp.is_sack_reneg = 0
        return True
    return False


cdef void tcp_init_cwnd_reduction(sock *sk) noexcept nogil:
    """Begin PRR (RFC 6937): fix the target, ssthresh, and count from here what is delivered and sent."""
    cdef tcp_sock *tp = tcp_sk(sk)

    tp.high_seq = tp.snd_nxt
    tp.tlp_high_seq = 0
    tp.snd_cwnd_cnt = 0
    tp.prior_cwnd = tcp_snd_cwnd(tp)
    tp.prr_delivered = 0
    tp.prr_out = 0
    tp.snd_ssthresh = inet_csk(sk).icsk_ca_ops.ssthresh(sk)
    tcp_ecn_queue_cwr(tp)


cdef void tcp_cwnd_reduction(sock *sk, int newly_acked_sacked, int newly_lost, int flag) noexcept nogil:
    """RFC 6937 3: above ssthresh send in proportion to what is delivered, below it by packet conservation, and with
    one more (slow start) while snd_una advances without new losses."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int sndcnt = 0
    cdef int delta = <int>(tp.snd_ssthresh - tcp_packets_in_flight(tp))
    cdef u64 dividend

    if newly_acked_sacked <= 0 or tp.prior_cwnd == 0:
        return

    trace_tcp_cwnd_reduction_tp(sk, newly_acked_sacked, newly_lost, flag)

    tp.prr_delivered += <u32>newly_acked_sacked
    if delta < 0:
        dividend = <u64>tp.snd_ssthresh * tp.prr_delivered + tp.prior_cwnd - 1
        sndcnt = <int>(dividend // tp.prior_cwnd - tp.prr_out)
    else:
        sndcnt = max_int(<int>(tp.prr_delivered - tp.prr_out), newly_acked_sacked)
        if (flag & FLAG_SND_UNA_ADVANCED) and newly_lost == 0:
            sndcnt += 1
        sndcnt = min_int(delta, sndcnt)
    # The fast retransmit itself must get out.
    sndcnt = max_int(sndcnt, 0 if tp.prr_out != 0 else 1)
    tcp_snd_cwnd_set(tp, tcp_packets_in_flight(tp) + <u32>sndcnt)


cdef inline void tcp_end_cwnd_reduction(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if inet_csk(sk).icsk_ca_ops.cong_control != NULL:
        return

    # Unless it was undone.
    if (tp.snd_ssthresh < TCP_INFINITE_SSTHRESH and
            (inet_csk(sk).icsk_ca_state == TCP_CA_CWR or tp.undo_marker != 0)):
        tcp_snd_cwnd_set(tp, tp.snd_ssthresh)
        tp.snd_cwnd_stamp = tcp_jiffies32(sock_net(sk))
    tcp_ca_event(sk, CA_EVENT_COMPLETE_CWR)


cdef void tcp_enter_cwr(sock *sk) noexcept nogil:
    """ECN or a local drop proves congestion: reduce, with no undo."""
    cdef tcp_sock *tp = tcp_sk(sk)

    tp.prior_ssthresh = 0
    if inet_csk(sk).icsk_ca_state < TCP_CA_CWR:
        tp.undo_marker = 0
        tcp_init_cwnd_reduction(sk)
        tcp_set_ca_state(sk, TCP_CA_CWR)


cdef void tcp_try_keep_open(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int state = TCP_CA_Open

    if tcp_left_out(tp) != 0 or tcp_any_retrans_done(sk):
        state = TCP_CA_Disorder

    if inet_csk(sk).icsk_ca_state != state:
        tcp_set_ca_state(sk, <u8>state)
        tp.high_seq = tp.snd_nxt


cdef void tcp_try_to_open(sock *sk, int flag) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    tcp_verify_left_out(tp)

    if not tcp_any_retrans_done(sk):
        tp.retrans_stamp = 0

    if flag & FLAG_ECE:
        tcp_enter_cwr(sk)

    if inet_csk(sk).icsk_ca_state != TCP_CA_CWR:
        tcp_try_keep_open(sk)


cdef void tcp_mtup_probe_failed(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)

    icsk.icsk_mtup.search_high = <int>(icsk.icsk_mtup.probe_size - 1)
    icsk.icsk_mtup.probe_size = 0
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPMTUPFAIL)


cdef void tcp_mtup_probe_success(sock *sk) noexcept nogil:
    """RFC 4821: the bigger size works. cwnd is scaled so that the bytes in flight stay the same."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef u64 val

    tp.prior_ssthresh = tcp_current_ssthresh(sk)

    val = <u64>tcp_snd_cwnd(tp) * <u64>tcp_mss_to_mtu(sk, <int>tp.mss_cache)
    val = val // icsk.icsk_mtup.probe_size
    tcp_snd_cwnd_set(tp, max_u32(1, <u32>val))

    tp.snd_cwnd_cnt = 0
    tp.snd_cwnd_stamp = tcp_jiffies32(sock_net(sk))
    tp.snd_ssthresh = tcp_current_ssthresh(sk)

    icsk.icsk_mtup.search_low = <int>icsk.icsk_mtup.probe_size
    icsk.icsk_mtup.probe_size = 0
    tcp_sync_mss(sk, icsk.icsk_pmtu_cookie)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPMTUPSUCCESS)


cdef void tcp_non_congestion_loss_retransmit(sock *sk) noexcept nogil:
    """Lost, but not to congestion (path MTU, Fast Open): retransmit what cwnd allows without reducing it.

    Loss state is entered all the same, to have retrans_stamp cleared when these retransmissions are ACKed.
    """
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)

    if icsk.icsk_ca_state != TCP_CA_Loss:
        tp.high_seq = tp.snd_nxt
        tp.snd_ssthresh = tcp_current_ssthresh(sk)
        tp.prior_ssthresh = 0
        tp.undo_marker = 0
        tcp_set_ca_state(sk, TCP_CA_Loss)
    tcp_xmit_retransmit_queue(sk)


cdef void tcp_simple_retransmit(sock *sk) noexcept nogil:
    """The path MTU shrank: everything longer than the MSS of today is lost, and goes out again."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *skb
    cdef int mss

    # A Fast Open SYN and its data are two skbs, and neither shows the size of the packet: take all for lost.
    if tp.syn_data and sk.sk_state == TCP_SYN_SENT:
        mss = -1
    else:
        mss = <int>tcp_current_mss(sk)

    skb = skb_rb_first(&sk.tcp_rtx_queue)
    while skb != NULL:
        if tcp_skb_seglen(skb) > mss:
            tcp_mark_skb_lost(sk, skb)
        skb = skb_rb_next(skb)

    if tp.lost_out == 0:
        return

    if tcp_is_reno(tp):
        tcp_limit_reno_sacked(tp)

    tcp_verify_left_out(tp)

    # cwnd counts packets, and they are smaller now: no reduction on top of that.
    tcp_non_congestion_loss_retransmit(sk)


cdef void tcp_enter_recovery(sock *sk, bint ece_ack) noexcept nogil:
    """Fast recovery begins (RFC 5681 3.2)."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int mib_idx

    # Undo and ETIMEDOUT count from this episode's own retransmission.
    tcp_retrans_stamp_cleanup(sk)

    if tcp_is_reno(tp):
        mib_idx = LINUX_MIB_TCPRENORECOVERY
    else:
        mib_idx = LINUX_MIB_TCPSACKRECOVERY

    NET_INC_STATS(sock_net(sk), mib_idx)

    tp.prior_ssthresh = 0
    tcp_init_undo(tp)

    if not tcp_in_cwnd_reduction(sk):
        if not ece_ack:
            tp.prior_ssthresh = tcp_current_ssthresh(sk)
        tcp_init_cwnd_reduction(sk)
    tcp_set_ca_state(sk, TCP_CA_Recovery)


cdef void tcp_update_rto_time(tcp_sock *tp) noexcept nogil:
    if tp.rto_stamp != 0:
        tp.total_rto_time += tcp_time_stamp_ms(tp) - tp.rto_stamp
        tp.rto_stamp = 0


cdef void tcp_process_loss(sock *sk, int flag, int num_dupack, int *rexmit) noexcept nogil:
    """An ACK in Loss state: undo, F-RTO (RFC 5682 3.1, the SACK-enhanced form), or go on retransmitting."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bint recovered = not before(tp.snd_una, tp.high_seq)

    if (((flag & FLAG_SND_UNA_ADVANCED) or tp.fastopen_rsk != NULL) and
            tcp_try_undo_loss(sk, False)):
        return

    if tp.frto:
        # Step 3.b: something that was sent only once has arrived, so not all was lost.
        if (flag & FLAG_ORIG_SACK_ACKED) and tcp_try_undo_loss(sk, True):
            return

        if after(tp.snd_nxt, tp.high_seq):
            # Step 3.a: a duplicate ACK after new data, the loss was real.
            if (flag & FLAG_DATA_SACKED) or num_dupack:
                tp.frto = 0
        elif (flag & FLAG_SND_UNA_ADVANCED) and not recovered:
            tp.high_seq = tp.snd_nxt
            # Step 2.b: try new data, once tcp_ack() has updated cwnd; if there is none, recover conventionally.
            if not tcp_write_queue_empty(sk) and after(tcp_wnd_end(tp), tp.snd_nxt):
                rexmit[0] = REXMIT_NEW
                return
            tp.frto = 0

    if recovered:
        # Step 2.a, and the first part of 3.a.
        tcp_try_undo_recovery(sk)
        return
    if tcp_is_reno(tp):
        # A duplicate ACK here means that the new data of step 2.b left the network.
        if after(tp.snd_nxt, tp.high_seq) and num_dupack:
            tcp_add_reno_sack(sk, num_dupack, (flag & FLAG_ECE) != 0)
        elif flag & FLAG_SND_UNA_ADVANCED:
            tcp_reset_reno_sack(tp)
    rexmit[0] = REXMIT_LOST


cdef bint tcp_try_undo_partial(sock *sk, u32 prior_snd_una) noexcept nogil:
    """A partial ACK in Recovery that the delayed original caused: reordering. True: retransmit nothing more."""
    cdef tcp_sock *tp = tcp_sk(sk)

    if tp.undo_marker != 0 and tcp_packet_delayed(tp):
        tcp_check_sack_reordering(sk, prior_snd_una, 1)

        # While retransmissions are out, clock out new data only; when none is, undo.
        if tp.retrans_out != 0:
            return True

        if not tcp_any_retrans_done(sk):
            tp.retrans_stamp = 0

        tcp_undo_cwnd_reduction(sk, True)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPPARTIALUNDO)
        tcp_try_keep_open(sk)
    return False


cdef void tcp_identify_packet_loss(sock *sk, int *ack_flag) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 prior_retrans

    if tcp_rtx_queue_empty(sk):
        return

    if tcp_is_reno(tp):
        tcp_newreno_mark_lost(sk, (ack_flag[0] & FLAG_SND_UNA_ADVANCED) != 0)
    else:
        prior_retrans = tp.retrans_out

        if tcp_rack_mark_lost(sk):
            ack_flag[0] &= ~FLAG_SET_XMIT_TIMER
        if prior_retrans > tp.retrans_out:
            ack_flag[0] |= FLAG_LOST_RETRANS


cdef void tcp_fastretrans_alert(sock *sk, u32 prior_snd_una, int num_dupack, int *ack_flag,
                                int *rexmit) noexcept nogil:
    """The congestion state machine, run for every ACK that is unusual or comes outside of Open.

    It estimates what left the network and moves between the states. cwnd is set later, by tcp_cong_control(), and
    what to send is decided by tcp_xmit_retransmit_queue().
    """
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int flag = ack_flag[0]
    cdef bint ece_ack = (flag & FLAG_ECE) != 0

    if tp.packets_out == 0 and tp.sacked_out != 0:
        tp.sacked_out = 0

    # A. ECE: the reduction is due, nothing will undo it.
    if ece_ack:
        tp.prior_ssthresh = 0

    # B. Reneging is waited out.
    if tcp_check_sack_reneging(sk, ack_flag):
        return

    # C.
    tcp_verify_left_out(tp)

    # D. Is the episode over, that is, high_seq ACKed?
    if icsk.icsk_ca_state == TCP_CA_Open:
        tp.retrans_stamp = 0
    elif not before(tp.snd_una, tp.high_seq):
        if icsk.icsk_ca_state == TCP_CA_CWR:
            # Only beyond high_seq: the CWR bit has to arrive first (RFC 3168 6.1.2).
            if tp.snd_una != tp.high_seq:
                tcp_end_cwnd_reduction(sk)
                tcp_set_ca_state(sk, TCP_CA_Open)
        elif icsk.icsk_ca_state == TCP_CA_Recovery:
            if tcp_is_reno(tp):
                tcp_reset_reno_sack(tp)
            if tcp_try_undo_recovery(sk):
                return
            tcp_end_cwnd_reduction(sk)

    # E. What this ACK does in the present state.
    if icsk.icsk_ca_state == TCP_CA_Recovery:
        if not (flag & FLAG_SND_UNA_ADVANCED):
            if tcp_is_reno(tp):
                tcp_add_reno_sack(sk, num_dupack, ece_ack)
        elif tcp_try_undo_partial(sk, prior_snd_una):
            return

        if tcp_try_undo_dsack(sk):
            tcp_try_to_open(sk, flag)

        tcp_identify_packet_loss(sk, ack_flag)
        if icsk.icsk_ca_state != TCP_CA_Recovery:
            if not tcp_time_to_recover(tp):
                return
            # Undone, yet something is lost indeed: start anew.
            tcp_enter_recovery(sk, ece_ack)
    else:
        if icsk.icsk_ca_state == TCP_CA_Loss:
            tcp_process_loss(sk, flag, num_dupack, rexmit)
            if icsk.icsk_ca_state != TCP_CA_Loss:
                tcp_update_rto_time(tp)
            tcp_identify_packet_loss(sk, ack_flag)
            if not (icsk.icsk_ca_state == TCP_CA_Open or (ack_flag[0] & FLAG_LOST_RETRANS)):
                return
            # Undone, or a retransmission was lost: as in the other states.

        if tcp_is_reno(tp):
            if flag & FLAG_SND_UNA_ADVANCED:
                tcp_reset_reno_sack(tp)
            tcp_add_reno_sack(sk, num_dupack, ece_ack)

        if icsk.icsk_ca_state <= TCP_CA_Disorder:
            tcp_try_undo_dsack(sk)

        tcp_identify_packet_loss(sk, ack_flag)
        if not tcp_time_to_recover(tp):
            tcp_try_to_open(sk, flag)
            return

        # A lost MTU probe is no sign of congestion.
        if (icsk.icsk_ca_state < TCP_CA_CWR and
                icsk.icsk_mtup.probe_size != 0 and
                tp.snd_una == tp.mtu_probe.probe_seq_start):
            tcp_mtup_probe_failed(sk)
            # tcp_mtu_probe() had taken one off.
            tcp_snd_cwnd_set(tp, tcp_snd_cwnd(tp) + 1)
            tcp_simple_retransmit(sk)
            return

        tcp_enter_recovery(sk, ece_ack)

    rexmit[0] = REXMIT_LOST


# ---------------------------------------------------------------------------------------------- RTT samples, timers

cdef void tcp_update_rtt_min(sock *sk, u32 rtt_us, int flag) noexcept nogil:
    cdef u32 wlen = <u32>sock_net(sk).ipv4.sysctl_tcp_min_rtt_wlen * <u32>HZ(sock_net(sk))
    cdef tcp_sock *tp = tcp_sk(sk)

    if (flag & FLAG_ACK_MAYBE_DELAYED) and rtt_us > tcp_min_rtt(tp):
        # A receiver that always delays its ACKs would raise the minimum when the window expires.
        return
    minmax_running_min(&tp.rtt_min, wlen, tcp_jiffies32(sock_net(sk)),
                       rtt_us if rtt_us != 0 else <u32>jiffies_to_usecs(sock_net(sk), 1))


cdef bint tcp_ack_update_rtt(sock *sk, int flag, long seq_rtt_us, long sack_rtt_us, long ca_rtt_us,
                             rate_sample *rs) noexcept nogil:
    """Pick the RTT sample: send times first (never of retransmitted data: Karn, RFC 6298 3), then the timestamp echo,
    if new data is ACKed (RFC 7323 4.1)."""
    cdef tcp_sock *tp = tcp_sk(sk)

    if seq_rtt_us < 0:
        seq_rtt_us = sack_rtt_us

    if (seq_rtt_us < 0 and tp.rx_opt.saw_tstamp and
            tp.rx_opt.rcv_tsecr != 0 and (flag & FLAG_ACKED)):
        ca_rtt_us = tcp_rtt_tsopt_us(tp, 1)
        seq_rtt_us = ca_rtt_us

    # Of the last (s)acked packet, or -1.
    rs.rtt_us = ca_rtt_us
    if seq_rtt_us < 0:
        return False

    # Wherever seq_rtt_us is valid, ca_rtt_us is too.
    tcp_update_rtt_min(sk, <u32>ca_rtt_us, flag)
    tcp_rtt_estimator(sk, seq_rtt_us)
    tcp_set_rto(sk)

    # RFC 6298 5: a valid sample ends the backoff.
    inet_csk(sk).icsk_backoff = 0
    return True


cdef void tcp_synack_rtt_meas(sock *sk, request_sock *req) noexcept nogil:
    """The handshake's RTT: SYN-ACK to the ACK that completes it."""
    cdef rate_sample rs
    cdef long rtt_us = -1

    if req != NULL and req.num_retrans == 0 and tcp_rsk(req).snt_synack != 0:
        rtt_us = tcp_stamp_us_delta(tcp_clock_us(sock_net(sk)), tcp_rsk(req).snt_synack)

    tcp_ack_update_rtt(sk, FLAG_SYN_ACKED, rtt_us, -1, rtt_us, &rs)


cdef void tcp_cong_avoid(sock *sk, u32 ack, u32 acked) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)

    icsk.icsk_ca_ops.cong_avoid(sk, ack, acked)
    tcp_sk(sk).snd_cwnd_stamp = tcp_jiffies32(sock_net(sk))


cdef void tcp_rearm_rto(sock *sk) noexcept nogil:
    """RFC 6298 5.2 and 5.3: stop the timer when nothing is out, restart it on forward progress."""
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 rto
    cdef s64 delta_us

    # Fast Open server: the timer belongs to the SYN-ACK.
    if tp.fastopen_rsk != NULL:
        return

    if tp.packets_out == 0:
        inet_csk_clear_xmit_timer(sk, ICSK_TIME_RETRANS)
    else:
        rto = icsk.icsk_rto
        # A RACK or TLP timer took the RTO's place: what passed since the head was sent counts.
        if icsk.icsk_pending == ICSK_TIME_REO_TIMEOUT or icsk.icsk_pending == ICSK_TIME_LOSS_PROBE:
            delta_us = tcp_rto_delta_us(sk)
            rto = <u32>usecs_to_jiffies(sock_net(sk), <unsigned int>max_int(<int>delta_us, 1))
        tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, rto, True)


cdef void tcp_set_xmit_timer(sock *sk) noexcept nogil:
    """A loss probe if one can be scheduled, else the RTO."""
    if not tcp_schedule_loss_probe(sk, True):
        tcp_rearm_rto(sk)


# ---------------------------------------------------------------------------------------------- cumulative ACKs

cdef u32 tcp_tso_acked(sock *sk, sk_buff *skb) noexcept nogil:
    """Trim an skb that is ACKed in part; how many of its segments that were."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 packets_acked

    BUG_ON(not after(TCP_SKB_CB(skb).end_seq, tp.snd_una))

    packets_acked = <u32>tcp_skb_pcount(skb)
    if tcp_trim_head(sk, skb, tp.snd_una - TCP_SKB_CB(skb).seq):
        return 0
    packets_acked -= <u32>tcp_skb_pcount(skb)

    if packets_acked != 0:
        BUG_ON(tcp_skb_pcount(skb) == 0)
        BUG_ON(not before(TCP_SKB_CB(skb).seq, TCP_SKB_CB(skb).end_seq))

    return packets_acked


cdef void tcp_ack_tstamp(sock *sk, sk_buff *skb, sk_buff *ack_skb, u32 prior_snd_una) noexcept nogil:
    """SOF_TIMESTAMPING_TX_ACK: the last byte of a send() has been acknowledged."""
    if TCP_SKB_CB(skb).txstamp_ack == 0:
        return

    if (not before(skb_shinfo(skb).tskey, prior_snd_una) and
            before(skb_shinfo(skb).tskey, tcp_sk(sk).snd_una)):
        __skb_tstamp_tx(skb, ack_skb, NULL, sk, SCM_TSTAMP_ACK)


cdef int tcp_clean_rtx_queue(sock *sk, sk_buff *ack_skb, u32 prior_fack, u32 prior_snd_una,
                             tcp_sacktag_state *sack, bint ece_ack) noexcept nogil:
    """Free what is ACKed, take the RTT samples, and tell congestion control how much it was."""
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef u64 first_ackt, last_ackt = 0
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 prior_sacked = tp.sacked_out
    cdef u32 reord = tp.snd_nxt         # lowest of the ACKed that was neither retransmitted nor SACKed
    cdef sk_buff *skb
    cdef sk_buff *next
    cdef tcp_skb_cb *scb
    cdef bint fully_acked = True
    cdef long sack_rtt_us = -1
    cdef long seq_rtt_us = -1
    cdef long ca_rtt_us = -1
    cdef u32 pkts_acked = 0
    cdef bint rtt_update
    cdef int flag = 0
    cdef u32 start_seq, acked_pcount
    cdef u8 sacked
    cdef ack_sample sample

    first_ackt = 0

    skb = skb_rb_first(&sk.tcp_rtx_queue)
    while skb != NULL:
        scb = TCP_SKB_CB(skb)
        start_seq = scb.seq
        sacked = scb.sacked

        if after(scb.end_seq, tp.snd_una):
            if tcp_skb_pcount(skb) == 1 or not after(tp.snd_una, scb.seq):
                break

            acked_pcount = tcp_tso_acked(sk, skb)
            if acked_pcount == 0:
                break
            fully_acked = False
        else:
            acked_pcount = <u32>tcp_skb_pcount(skb)

        if sacked & TCPCB_RETRANS:
            if sacked & TCPCB_SACKED_RETRANS:
                tp.retrans_out -= acked_pcount
            flag |= FLAG_RETRANS_DATA_ACKED
        elif not (sacked & TCPCB_SACKED_ACKED):
            last_ackt = tcp_skb_timestamp_us(skb)
            if first_ackt == 0:
                first_ackt = last_ackt

            if before(start_seq, reord):
                reord = start_seq
            if not after(scb.end_seq, tp.high_seq):
                flag |= FLAG_ORIG_SACK_ACKED

        if sacked & TCPCB_SACKED_ACKED:
            tp.sacked_out -= acked_pcount
            # The advance of snd_una covers it.
            sack.delivered_bytes -= skb.len
        elif tcp_is_sack(tp):
            tcp_count_delivered(tp, acked_pcount, ece_ack)
            if not tcp_skb_spurious_retrans(tp, skb):
                tcp_rack_advance(tp, sacked, scb.end_seq, tcp_skb_timestamp_us(skb))
        if sacked & TCPCB_LOST:
            tp.lost_out -= acked_pcount

        tp.packets_out -= acked_pcount
        pkts_acked += acked_pcount
        tcp_rate_skb_delivered(sk, skb, sack.rate)

        # A SYN sits in the queue like data, but its ACK must not grow cwnd.
        if not (scb.tcp_flags & TCPHDR_SYN):
            flag |= FLAG_DATA_ACKED
        else:
            flag |= FLAG_SYN_ACKED
            tp.retrans_stamp = 0

        if not fully_acked:
            break

        tcp_ack_tstamp(sk, skb, ack_skb, prior_snd_una)

        next = skb_rb_next(skb)
        if skb == tp.retransmit_skb_hint:
            tp.retransmit_skb_hint = NULL
        tcp_highest_sack_replace(sk, skb, next)
        tcp_rtx_queue_unlink_and_free(skb, sk)
        skb = next

    if skb == NULL:
        tcp_chrono_stop(sk, TCP_CHRONO_BUSY)

    if between(tp.snd_up, prior_snd_una, tp.snd_una):
        tp.snd_up = tp.snd_una

    if skb != NULL:
        tcp_ack_tstamp(sk, skb, ack_skb, prior_snd_una)
        if TCP_SKB_CB(skb).sacked & TCPCB_SACKED_ACKED:
            flag |= FLAG_SACK_RENEGING

    if first_ackt != 0 and not (flag & FLAG_RETRANS_DATA_ACKED):
        seq_rtt_us = tcp_stamp_us_delta(tp.tcp_mstamp, first_ackt)
        ca_rtt_us = tcp_stamp_us_delta(tp.tcp_mstamp, last_ackt)

        if (pkts_acked == 1 and fully_acked and prior_sacked == 0 and
                tp.snd_una - prior_snd_una < tp.mss_cache and
                sack.rate.prior_delivered + 1 == tp.delivered and
                not (flag & (FLAG_CA_ALERT | FLAG_SYN_ACKED))):
            # One lone runt in the whole round trip: its ACK was probably delayed.
            flag |= FLAG_ACK_MAYBE_DELAYED
    if sack.first_sackt != 0:
        sack_rtt_us = tcp_stamp_us_delta(tp.tcp_mstamp, sack.first_sackt)
        ca_rtt_us = tcp_stamp_us_delta(tp.tcp_mstamp, sack.last_sackt)
    rtt_update = tcp_ack_update_rtt(sk, flag, seq_rtt_us, sack_rtt_us, ca_rtt_us, sack.rate)

    if flag & FLAG_ACKED:
        flag |= FLAG_SET_XMIT_TIMER
        if icsk.icsk_mtup.probe_size != 0 and not after(tp.mtu_probe.probe_seq_end, tp.snd_una):
            tcp_mtup_probe_success(sk)

        if tcp_is_reno(tp):
            tcp_remove_reno_sacks(sk, <int>pkts_acked, ece_ack)

            # Without SACK nothing shows which copy of the range arrived.
            if flag & FLAG_RETRANS_DATA_ACKED:
                flag &= ~FLAG_ORIG_SACK_ACKED
        else:
            # A hole was filled by a segment sent once: reordering.
            if before(reord, prior_fack):
                tcp_check_sack_reordering(sk, reord, 0)

        sack.delivered_bytes = (TCP_SKB_CB(skb).seq if skb != NULL else tp.snd_una) - prior_snd_una
    elif (skb != NULL and rtt_update and sack_rtt_us >= 0 and
            sack_rtt_us > tcp_stamp_us_delta(tp.tcp_mstamp, tcp_skb_timestamp_us(skb))):
        # The SACKed data was sent before the head was last: re-arming can't put the time-out off for ever.
        flag |= FLAG_SET_XMIT_TIMER

    if icsk.icsk_ca_ops.pkts_acked != NULL:
        sample.pkts_acked = pkts_acked
        sample.rtt_us = <s32>sack.rate.rtt_us
        sample.in_flight = tp.mss_cache * (tp.delivered - sack.rate.prior_delivered)
        icsk.icsk_ca_ops.pkts_acked(sk, &sample)

    return flag


cdef void tcp_ack_probe(sock *sk) noexcept nogil:
    """Nothing is out: go on probing a closed window (RFC 9293 3.8.6.1), or stop because it opened."""
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef sk_buff *head = tcp_send_head(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef unsigned long when

    if head == NULL:
        return
    if not after(TCP_SKB_CB(head).end_seq, tcp_wnd_end(tp)):
        icsk.icsk_backoff = 0
        icsk.icsk_probes_tstamp = 0
        inet_csk_clear_xmit_timer(sk, ICSK_TIME_PROBE0)
        # The caller's tcp_data_snd_check() does the sending.
    else:
        when = tcp_probe0_when(sk, tcp_rto_max(sk))

        when = tcp_clamp_probe0_to_user_timeout(sk, <u32>when)
        tcp_reset_xmit_timer(sk, ICSK_TIME_PROBE0, when, True)


cdef inline bint tcp_ack_is_dubious(sock *sk, int flag) noexcept nogil:
    return (not (flag & FLAG_NOT_DUP) or (flag & FLAG_CA_ALERT) != 0 or
            inet_csk(sk).icsk_ca_state != TCP_CA_Open)


cdef inline bint tcp_may_raise_cwnd(sock *sk, int flag) noexcept nogil:
    """Grow on in-order delivery (RFC 5681); on any delivery where the path reorders heavily."""
    if tcp_sk(sk).reordering > <u32>sock_net(sk).ipv4.sysctl_tcp_reordering:
        return (flag & FLAG_FORWARD_PROGRESS) != 0

    return (flag & FLAG_DATA_ACKED) != 0


cdef void tcp_cong_control(sock *sk, u32 ack, u32 acked_sacked, int flag, rate_sample *rs) noexcept nogil:
    """Set cwnd and pacing rate at the end of an ACK; all (re)transmission waits for it."""
    cdef inet_connection_sock *icsk = inet_csk(sk)

    if icsk.icsk_ca_ops.cong_control != NULL:
        icsk.icsk_ca_ops.cong_control(sk, ack, flag, rs)
        return

    if tcp_in_cwnd_reduction(sk):
        tcp_cwnd_reduction(sk, <int>acked_sacked, rs.losses, flag)
    elif tcp_may_raise_cwnd(sk, flag):
        tcp_cong_avoid(sk, ack, acked_sacked)
    tcp_update_pacing_rate(sk)


# ---------------------------------------------------------------------------------------------- windows

cdef inline bint tcp_may_update_window(tcp_sock *tp, u32 ack, u32 ack_seq, u32 nwin) noexcept nogil:
    """RFC 9293 3.10.7.4 (snd_una <= ack <= snd_nxt is known); of equally new segments the bigger window, or zero."""
    return (after(ack, tp.snd_una) or
            after(ack_seq, tp.snd_wl1) or
            (ack_seq == tp.snd_wl1 and (nwin > tp.snd_wnd or nwin == 0)))


cdef void tcp_snd_una_update(tcp_sock *tp, u32 ack) noexcept nogil:
    cdef u32 delta = ack - tp.snd_una

    tp.bytes_acked += delta
    tp.snd_una = ack


cdef void tcp_rcv_nxt_update(tcp_sock *tp, u32 seq) noexcept nogil:
    cdef u32 delta = seq - tp.rcv_nxt

    tp.bytes_received += delta
    tp.rcv_nxt = seq


cdef int tcp_ack_update_window(sock *sk, sk_buff *skb, u32 ack, u32 ack_seq) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int flag = 0
    cdef u32 nwin = ntohs(tcp_hdr(skb).window)

    # The window of a SYN is never scaled (RFC 7323 2.2).
    if not th_syn(tcp_hdr(skb)):
        nwin <<= tp.rx_opt.snd_wscale

    if tcp_may_update_window(tp, ack, ack_seq, nwin):
        flag |= FLAG_WIN_UPDATE
        tcp_update_wl(tp, ack_seq)

        if tp.snd_wnd != nwin:
            tp.snd_wnd = nwin

            # The header prediction compares with the window: take it up anew.
            tp.pred_flags = 0
            tcp_fast_path_check(sk)

            if not tcp_write_queue_empty(sk):
                tcp_slow_start_after_idle_check(sk)

            if nwin > tp.max_window:
                tp.max_window = nwin
                tcp_sync_mss(sk, inet_csk(sk).icsk_pmtu_cookie)

    tcp_snd_una_update(tp, ack)

    return flag


# ---------------------------------------------------------------------------------------------- challenge ACKs

cdef bint __tcp_oow_rate_limited(net *n, int mib_idx, u32 *last_oow_ack_time) noexcept nogil:
    cdef u32 val = last_oow_ack_time[0]
    cdef s32 elapsed

    if val != 0:
        elapsed = <s32>(tcp_jiffies32(n) - val)

        if 0 <= elapsed and elapsed < n.ipv4.sysctl_tcp_invalid_ratelimit:
            NET_INC_STATS(n, mib_idx)
            return True

    last_oow_ack_time[0] = tcp_jiffies32(n)

    return False


cdef bint tcp_oow_rate_limited(net *n, sk_buff *skb, int mib_idx, u32 *last_oow_ack_time) noexcept nogil:
    """Hold back an answer to an out-of-window SYN or pure ACK, lest two hosts answer each other in a loop."""
    # Data without SYN is hardly part of a loop.
    if TCP_SKB_CB(skb).seq != TCP_SKB_CB(skb).end_seq and not th_syn(tcp_hdr(skb)):
        return False

    return __tcp_oow_rate_limited(n, mib_idx, last_oow_ack_time)


cdef void tcp_send_ack_reflect_ect(sock *sk, bint accecn_reflector) noexcept nogil:
    """accecn_reflector is never set here: AccECN is not negotiated."""
    __tcp_send_ack(sk, tcp_sk(sk).rcv_nxt, 0)


cdef void tcp_send_challenge_ack(sock *sk, bint accecn_reflector) noexcept nogil:
    """RFC 5961 7: throttled per socket and per host, the host's budget being random so that it can't be probed."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef u32 count, now, ack_limit, half

    if __tcp_oow_rate_limited(n, LINUX_MIB_TCPACKSKIPPEDCHALLENGE, &tp.last_oow_ack_time):
        return

    ack_limit = <u32>n.ipv4.sysctl_tcp_challenge_ack_limit
    if ack_limit != INT_MAX:
        now = <u32>(jiffies(n) // <unsigned long>HZ(n))
        if now != n.ipv4.tcp_challenge_timestamp:
            half = (ack_limit + 1) >> 1

            n.ipv4.tcp_challenge_timestamp = now
            n.ipv4.tcp_challenge_count = get_random_u32_inclusive(n, half, ack_limit + half - 1)
        count = n.ipv4.tcp_challenge_count
        if count == 0:
            return
        n.ipv4.tcp_challenge_count = count - 1

    NET_INC_STATS(n, LINUX_MIB_TCPCHALLENGEACK)
    tcp_send_ack_reflect_ect(sk, accecn_reflector)


# ---------------------------------------------------------------------------------------------- tcp_ack()

cdef void tcp_store_ts_recent(tcp_sock *tp) noexcept nogil:
    tp.rx_opt.ts_recent = tp.rx_opt.rcv_tsval
    tp.rx_opt.ts_recent_stamp = <int>ktime_get_seconds(sock_net(<sock *>tp))


cdef int __tcp_replace_ts_recent(tcp_sock *tp, s32 tstamp_delta) noexcept nogil:
    tcp_store_ts_recent(tp)
    return FLAG_TS_PROGRESS if tstamp_delta > 0 else 0


cdef int tcp_replace_ts_recent(tcp_sock *tp, u32 seq) noexcept nogil:
    """RFC 7323 4.3 (2): remember the timestamp of a segment at the left edge, if PAWS would let it through."""
    cdef s32 delta

    if tp.rx_opt.saw_tstamp and not after(seq, tp.rcv_wup):
        # Only a pure ACK can fail here; or the remembered stamp is too old to count (RFC 7323 5.5).
        if tcp_paws_check(sock_net(<sock *>tp), &tp.rx_opt, 0):
            delta = <s32>(tp.rx_opt.rcv_tsval - tp.rx_opt.ts_recent)
            return __tcp_replace_ts_recent(tp, delta)

    return 0


cdef void tcp_process_tlp_ack(sock *sk, u32 ack, int flag) noexcept nogil:
    """RFC 8985 7.4: did the tail loss probe repair a loss, or was it not needed?"""
    cdef tcp_sock *tp = tcp_sk(sk)

    if before(ack, tp.tlp_high_seq):
        return

    if not tp.tlp_retrans:
        # The probe was new data.
        tp.tlp_high_seq = 0
    elif flag & FLAG_DSACK_TLP:
        # Both copies arrived.
        tp.tlp_high_seq = 0
    elif after(ack, tp.tlp_high_seq):
        # Beyond the probe without a D-SACK: it repaired a loss, for which cwnd must pay.
        tcp_init_cwnd_reduction(sk)
        tcp_set_ca_state(sk, TCP_CA_CWR)
        tcp_end_cwnd_reduction(sk)
        tcp_try_keep_open(sk)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPLOSSPROBERECOVERY)
    elif not (flag & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DATA_SACKED)):
        # A pure duplicate ACK: both copies arrived.
        tp.tlp_high_seq = 0


cdef void tcp_in_ack_event(sock *sk, int flag) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef u32 ack_ev_flags

    if icsk.icsk_ca_ops.in_ack_event != NULL:
        ack_ev_flags = 0

        if flag & FLAG_WIN_UPDATE:
            ack_ev_flags |= CA_ACK_WIN_UPDATE
        if flag & FLAG_SLOWPATH:
            ack_ev_flags |= CA_ACK_SLOWPATH
            if flag & FLAG_ECE:
                ack_ev_flags |= CA_ACK_ECE

        icsk.icsk_ca_ops.in_ack_event(sk, ack_ev_flags)


cdef void tcp_xmit_recovery(sock *sk, int rexmit) noexcept nogil:
    """cwnd is set: send what recovery asks for, new data for F-RTO or what is lost."""
    cdef tcp_sock *tp = tcp_sk(sk)

    if rexmit == REXMIT_NONE or sk.sk_state == TCP_SYN_SENT:
        return

    if rexmit == REXMIT_NEW:
        __tcp_push_pending_frames(sk, tcp_current_mss(sk), TCP_NAGLE_OFF)
        if after(tp.snd_nxt, tp.high_seq):
            return
        tp.frto = 0
    tcp_xmit_retransmit_queue(sk)


cdef u32 tcp_newly_delivered(sock *sk, u32 prior_delivered, u32 ecn_count, int flag) noexcept nogil:
    """Packets that this ACK newly (s)acked."""
    cdef net *n = sock_net(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 delivered

    delivered = tp.delivered - prior_delivered
    NET_ADD_STATS(n, LINUX_MIB_TCPDELIVERED, delivered)

    if flag & FLAG_ECE:
        if tcp_ecn_mode_rfc3168(tp):
            ecn_count = delivered
        NET_ADD_STATS(n, LINUX_MIB_TCPDELIVEREDCE, ecn_count)

    return delivered


cdef int tcp_ack_old(sock *sk, sk_buff *skb, int flag, u32 prior_snd_una, u32 prior_delivered,
                     tcp_sacktag_state *sack_state) noexcept nogil:
    """tcp_ack() for an ACK below snd_una: only its SACK blocks are of interest."""
    cdef int rexmit = REXMIT_NONE

    if TCP_SKB_CB(skb).sacked:
        flag |= tcp_sacktag_write_queue(sk, skb, prior_snd_una, sack_state)
        tcp_fastretrans_alert(sk, prior_snd_una, 0, &flag, &rexmit)
        tcp_newly_delivered(sk, prior_delivered, 0, flag)
        tcp_xmit_recovery(sk, rexmit)

    return 0


cdef int tcp_ack_no_queue(sock *sk, u32 ack, int flag, u32 prior_snd_una, u32 prior_delivered) noexcept nogil:
    """tcp_ack() when nothing was outstanding: a D-SACK may undo, a window update may end the probing."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int rexmit = REXMIT_NONE

    tcp_in_ack_event(sk, flag)
    if flag & FLAG_DSACKING_ACK:
        tcp_fastretrans_alert(sk, prior_snd_una, 0, &flag, &rexmit)
        tcp_newly_delivered(sk, prior_delivered, 0, flag)
    tcp_ack_probe(sk)

    if tp.tlp_high_seq != 0:
        tcp_process_tlp_ack(sk, ack, flag)
    return 1


cdef int tcp_ack(sock *sk, sk_buff *skb, int flag) noexcept nogil:
    """Process the acknowledgment of an incoming segment. 1: fine, 0: old, < 0: minus the drop reason."""
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef tcp_sacktag_state sack_state
    cdef rate_sample rs
    cdef u32 prior_snd_una = tp.snd_una
    cdef bint is_sack_reneg = tp.is_sack_reneg != 0
    cdef u32 ack_seq = TCP_SKB_CB(skb).seq
    cdef u32 ack = TCP_SKB_CB(skb).ack_seq
    cdef int num_dupack = 0
    cdef int prior_packets = <int>tp.packets_out
    cdef u32 delivered = tp.delivered
    cdef u32 lost = tp.lost
    cdef int rexmit = REXMIT_NONE
    cdef u32 prior_fack, max_window

    memset(&rs, 0, sizeof(rs))
    memset(&sack_state, 0, sizeof(sack_state))
    sack_state.rate = &rs

    if before(ack, prior_snd_una):
        # RFC 5961 5.2: older than anything that can be in the network is an attack or a fault.
        max_window = <u32>min_u64(tp.max_window, tp.bytes_acked)
        if before(ack, prior_snd_una - max_window):
            if not (flag & FLAG_NO_CHALLENGE_ACK):
                tcp_send_challenge_ack(sk, False)
            return -<int>SKB_DROP_REASON_TCP_TOO_OLD_ACK
        return tcp_ack_old(sk, skb, flag, prior_snd_una, delivered, &sack_state)

    # RFC 9293 3.10.7.4, RFC 5961 5.2: it acknowledges what was never sent.
    if after(ack, tp.snd_nxt):
        if not (flag & FLAG_NO_CHALLENGE_ACK):
            tcp_send_challenge_ack(sk, False)
        return -<int>SKB_DROP_REASON_TCP_ACK_UNSENT_DATA

    if after(ack, prior_snd_una):
        flag |= FLAG_SND_UNA_ADVANCED
        icsk.icsk_retransmits = 0

    prior_fack = tcp_highest_sack_seq(tp) if tcp_is_sack(tp) else tp.snd_una
    rs.prior_in_flight = tcp_packets_in_flight(tp)

    # Not before the segment is known to be in the window.
    if flag & FLAG_UPDATE_TS_RECENT:
        flag |= tcp_replace_ts_recent(tp, TCP_SKB_CB(skb).seq)

    if (flag & (FLAG_SLOWPATH | FLAG_SND_UNA_ADVANCED)) == FLAG_SND_UNA_ADVANCED:
        # Header prediction: the window did not change.
        tcp_update_wl(tp, ack_seq)
        tcp_snd_una_update(tp, ack)
        flag |= FLAG_WIN_UPDATE

        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPHPACKS)
    else:
        if ack_seq != TCP_SKB_CB(skb).end_seq:
            flag |= FLAG_DATA
        else:
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPPUREACKS)

        flag |= tcp_ack_update_window(sk, skb, ack, ack_seq)

        if TCP_SKB_CB(skb).sacked:
            flag |= tcp_sacktag_write_queue(sk, skb, prior_snd_una, &sack_state)

        if tcp_ecn_rcv_ecn_echo(tp, tcp_hdr(skb)):
            flag |= FLAG_ECE

        if sack_state.sack_delivered != 0:
            tcp_count_delivered(tp, sack_state.sack_delivered, (flag & FLAG_ECE) != 0)

    # RFC 3168 has CWR on data only; Linux takes it from a pure ACK as well, because some stacks send it so.
    tcp_ecn_accept_cwr(sk, skb)

    # Something got through: forget soft errors.
    if sk.sk_err_soft:
        sk.sk_err_soft = 0
    icsk.icsk_probes_out = 0
    tp.rcv_tstamp = tcp_jiffies32(sock_net(sk))
    if prior_packets == 0:
        return tcp_ack_no_queue(sk, ack, flag, prior_snd_una, delivered)

    flag |= tcp_clean_rtx_queue(sk, skb, prior_fack, prior_snd_una, &sack_state, (flag & FLAG_ECE) != 0)

    tcp_rack_update_reo_wnd(sk, &rs)

    tcp_in_ack_event(sk, flag)

    if tp.tlp_high_seq != 0:
        tcp_process_tlp_ack(sk, ack, flag)

    if tcp_ack_is_dubious(sk, flag):
        if not (flag & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DSACKING_ACK)):
            num_dupack = 1
            # Pure ACKs may have been aggregated on the way here.
            if not (flag & FLAG_DATA):
                num_dupack = max_int(1, skb_shinfo(skb).gso_segs)
        tcp_fastretrans_alert(sk, prior_snd_una, num_dupack, &flag, &rexmit)

    # RACK clears the flag when it has set its own timer.
    if flag & FLAG_SET_XMIT_TIMER:
        tcp_set_xmit_timer(sk)

    if (flag & FLAG_FORWARD_PROGRESS) or not (flag & FLAG_NOT_DUP):
        sk_dst_confirm(sk)

    delivered = tcp_newly_delivered(sk, delivered, 0, flag)

    lost = tp.lost - lost
    rs.is_ack_delayed = (flag & FLAG_ACK_MAYBE_DELAYED) != 0
    tcp_rate_gen(sk, delivered, lost, is_sack_reneg, sack_state.rate)
    tcp_cong_control(sk, ack, delivered, flag, sack_state.rate)
    tcp_xmit_recovery(sk, rexmit)
    return 1


# ---------------------------------------------------------------------------------------------------------------------
# Second part of tcp_input: options, PAWS and window checks, receive and out-of-order queues, ACK decisions,
# urgent data, the state machine, connection requests.
# ---------------------------------------------------------------------------------------------------------------------
from libc.string cimport memcpy
from kpath_c.inet_connection_sock cimport inet_csk_reqsk_queue_add, inet_csk_reqsk_queue_hash_add, inet_reqsk_alloc
from kpath_c.shim.rbtree cimport rb_erase, rb_insert_color, rb_replace_node
from kpath_c.shim.slab cimport kmem_cache_alloc
from kpath_c.shim.timer cimport hrtimer_is_queued, hrtimer_start_range_ns, hrtimer_try_to_cancel
from kpath_c.skbuff cimport (
    __kfree_skb, alloc_skb, alloc_skb_with_frags, consume_skb, kfree_skb, kfree_skb_partial, sk_skb_reason_drop,
    skb_condense, skb_copy_bits, skb_put, skb_rbtree_purge, skb_try_coalesce)
from kpath_c.sock cimport sk_error_report
from kpath_c.tcp cimport tcp_done, tcp_set_state, tcp_shutdown, tcp_write_queue_purge
from kpath_c.tcp_cong cimport tcp_init_congestion_control
from kpath_c.tcp_fastopen cimport (
    reqsk_fastopen_remove, tcp_fastopen_active_disable, tcp_fastopen_add_skb, tcp_try_fastopen)
from kpath_c.tcp_metrics cimport tcp_fastopen_cache_set, tcp_init_metrics, tcp_peer_is_proven, tcp_update_metrics
from kpath_c.tcp_minisocks cimport tcp_check_req, tcp_openreq_init_rwin, tcp_time_wait
from kpath_c.tcp_output cimport (
    __tcp_select_window, sk_forced_mem_schedule, tcp_chrono_stop, tcp_mstamp_refresh, tcp_mtup_init, tcp_send_ack,
    tcp_send_delayed_ack, tcp_send_synack, tcp_sync_mss)
from kpath_c.tcp_timer cimport tcp_reset_keepalive_timer

cdef enum:
    PAGE_ALLOC_COSTLY_ORDER = 3
    TCP_SACK_BLOCKS_EXPECTED = 2        # of four: ACKs may get lost, so a block is not held back much longer
    BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB = 4


# What header prediction compares of the 4th header word: all but the reserved bits and PSH.
cdef inline u32 TCP_HP_BITS() noexcept nogil:
    return ~<u32>(TCP_RESERVED_BITS | TCP_FLAG_PSH)


# RFC 7413 4.1.1: a cookie counts only in a SYN or SYN-ACK, and has an even length of 4..16, or 0 as a request.
cdef void tcp_parse_fastopen_option(int len_, const u8 *cookie, bint syn, tcp_fastopen_cookie *foc,
                                    bint exp_opt) noexcept nogil:
    if foc == NULL or not syn or len_ < 0 or (len_ & 1):
        return
    if len_ >= TCP_FASTOPEN_COOKIE_MIN and len_ <= TCP_FASTOPEN_COOKIE_MAX:
        memcpy(&foc.val[0], cookie, <size_t>len_)
    elif len_ != 0:
        len_ = -1
    foc.len = <s8>len_
    foc.exp = exp_opt


# MSS announced in a SYN, at most the user's; 0 if there is none. Reads no other option (syncookies under load).
cdef u16 tcp_parse_mss_option(const tcphdr *th, u16 user_mss) noexcept nogil:
    cdef const u8 *ptr = <const u8 *>(th + 1)
    cdef int length = __tcp_hdrlen(th) - <int>sizeof(tcphdr)
    cdef int opcode, opsize
    cdef u16 mss = 0
    cdef u16 in_mss

    while length > 0:
        opcode = ptr[0]
        ptr += 1
        if opcode == TCPOPT_EOL:
            return mss
        if opcode == TCPOPT_NOP:
            length -= 1
            continue
        if length < 2:
            return mss
        opsize = ptr[0]
        ptr += 1
        if opsize < 2 or opsize > length:
            return mss
        if opcode == TCPOPT_MSS and opsize == TCPOLEN_MSS:
            in_mss = get_unaligned_be16(ptr)
            if in_mss:
                if user_mss and user_mss < in_mss:
                    in_mss = user_mss
                mss = in_mss
        ptr += opsize - 2
        length -= opsize
    return mss


# All options of a segment. estab = 0 for SYN and SYN-ACK, where MSS, window scale and SACK-permitted count
# (RFC 9293 3.2, RFC 7323 2.2 and 3.2, RFC 2018 2). A malformed option ends the walk; what was read before it stays.
cdef void tcp_parse_options(net *n, sk_buff *skb, tcp_options_received *opt_rx, int estab,
                            tcp_fastopen_cookie *foc) noexcept nogil:
    cdef tcphdr *th = tcp_hdr(skb)
    cdef const u8 *ptr = <const u8 *>(th + 1)
    cdef int length = __tcp_hdrlen(th) - <int>sizeof(tcphdr)
    cdef bint syn = (th.flags & TCPHDR_SYN) != 0
    cdef int opcode, opsize
    cdef u16 in_mss
    cdef u8 snd_wscale

    opt_rx.saw_tstamp = 0
    opt_rx.accecn = 0
    opt_rx.saw_unknown = 0

    while length > 0:
        opcode = ptr[0]
        ptr += 1
        if opcode == TCPOPT_EOL:
            return
        if opcode == TCPOPT_NOP:
            length -= 1
            continue
        if length < 2:
            return
        opsize = ptr[0]
        ptr += 1
        if opsize < 2 or opsize > length:
            return
        if opcode == TCPOPT_MSS:
            if opsize == TCPOLEN_MSS and syn and not estab:
                in_mss = get_unaligned_be16(ptr)
                if in_mss:
                    if opt_rx.user_mss and opt_rx.user_mss < in_mss:
                        in_mss = opt_rx.user_mss
                    opt_rx.mss_clamp = in_mss
        elif opcode == TCPOPT_WINDOW:
            if opsize == TCPOLEN_WINDOW and syn and not estab and n.ipv4.sysctl_tcp_window_scaling:
                snd_wscale = ptr[0]
                opt_rx.wscale_ok = 1
                if snd_wscale > TCP_MAX_WSCALE:
                    snd_wscale = TCP_MAX_WSCALE
                opt_rx.snd_wscale = snd_wscale
        elif opcode == TCPOPT_TIMESTAMP:
            if opsize == TCPOLEN_TIMESTAMP and ((estab and opt_rx.tstamp_ok) or
                                                (not estab and n.ipv4.sysctl_tcp_timestamps)):
                opt_rx.saw_tstamp = 1
                opt_rx.rcv_tsval = get_unaligned_be32(ptr)
                opt_rx.rcv_tsecr = get_unaligned_be32(ptr + 4)
        elif opcode == TCPOPT_SACK_PERM:
            if opsize == TCPOLEN_SACK_PERM and syn and not estab and n.ipv4.sysctl_tcp_sack:
                opt_rx.sack_ok = TCP_SACK_SEEN
                tcp_sack_reset(opt_rx)
        elif opcode == TCPOPT_SACK:
            if (opsize >= TCPOLEN_SACK_BASE + TCPOLEN_SACK_PERBLOCK and
                    not ((opsize - TCPOLEN_SACK_BASE) % TCPOLEN_SACK_PERBLOCK) and opt_rx.sack_ok):
                TCP_SKB_CB(skb).sacked = <u8>((ptr - 2) - <const u8 *>th)
        elif opcode == TCPOPT_MD5SIG:
            pass                        # checked before, when the segment came in
        elif opcode == TCPOPT_FASTOPEN:
            tcp_parse_fastopen_option(opsize - TCPOLEN_FASTOPEN_BASE, ptr, syn, foc, 0)
        elif opcode == TCPOPT_ACCECN0 or opcode == TCPOPT_ACCECN1:
            opt_rx.accecn = <u8>((ptr - 2) - <const u8 *>th)
        elif opcode == TCPOPT_EXP:
            if opsize >= TCPOLEN_EXP_FASTOPEN_BASE and get_unaligned_be16(ptr) == TCPOPT_FASTOPEN_MAGIC:
                tcp_parse_fastopen_option(opsize - TCPOLEN_EXP_FASTOPEN_BASE, ptr + 2, syn, foc, 1)
            else:
                opt_rx.saw_unknown = 1
        else:
            opt_rx.saw_unknown = 1
        ptr += opsize - 2
        length -= opsize


# NOP NOP TIMESTAMP: the layout of RFC 7323 appendix A, that nearly every established segment has.
cdef bint tcp_parse_aligned_timestamp(tcp_sock *tp, tcphdr *th) noexcept nogil:
    cdef const u8 *ptr = <const u8 *>(th + 1)
    cdef u32 tsecr

    if get_unaligned_be32(ptr) == ((TCPOPT_NOP << 24) | (TCPOPT_NOP << 16) | (TCPOPT_TIMESTAMP << 8) |
                                   TCPOLEN_TIMESTAMP):
        tp.rx_opt.saw_tstamp = 1
        tp.rx_opt.rcv_tsval = get_unaligned_be32(ptr + 4)
        tsecr = get_unaligned_be32(ptr + 8)
        tp.rx_opt.rcv_tsecr = (tsecr - tp.tsoffset) if tsecr else <u32>0
        return 1
    return 0


cdef bint tcp_fast_parse_options(net *n, sk_buff *skb, tcphdr *th, tcp_sock *tp) noexcept nogil:
    cdef u32 doff = th.doff_res >> 4
    if doff == sizeof(tcphdr) // 4:
        tp.rx_opt.saw_tstamp = 0
        tp.rx_opt.accecn = 0
        return 0
    if tp.rx_opt.tstamp_ok and doff == (sizeof(tcphdr) + TCPOLEN_TSTAMP_ALIGNED) // 4:
        if tcp_parse_aligned_timestamp(tp, th):
            tp.rx_opt.accecn = 0
            return 1

    tcp_parse_options(n, skb, &tp.rx_opt, 1, NULL)
    if tp.rx_opt.saw_tstamp and tp.rx_opt.rcv_tsecr:
        tp.rx_opt.rcv_tsecr -= tp.tsoffset
    return 1


# Where the MD5 (RFC 2385) and AO (RFC 5925) options of a segment lie; an error if there are two or one is malformed.
cdef int tcp_do_parse_auth_options(const tcphdr *th, const u8 **md5_hash, const u8 **ao_hash) noexcept nogil:
    cdef int length = __tcp_hdrlen(th) - <int>sizeof(tcphdr)
    cdef const u8 *ptr = <const u8 *>(th + 1)
    cdef int opcode, opsize

    md5_hash[0] = NULL
    ao_hash[0] = NULL
    while length >= TCPOLEN_MD5SIG:
        opcode = ptr[0]
        ptr += 1
        if opcode == TCPOPT_EOL:
            return 0
        if opcode == TCPOPT_NOP:
            length -= 1
            continue
        opsize = ptr[0]
        ptr += 1
        if opsize < 2 or opsize > length:
            return -EINVAL
        if opcode == TCPOPT_MD5SIG:
            if opsize != TCPOLEN_MD5SIG:
                return -EINVAL
            if md5_hash[0] != NULL or ao_hash[0] != NULL:
                return -EEXIST
            md5_hash[0] = ptr
        elif opcode == TCPOPT_AO:
            if opsize <= 4:             # kind, length, two key ids: no MAC
                return -EINVAL
            if md5_hash[0] != NULL or ao_hash[0] != NULL:
                return -EEXIST
            ao_hash[0] = ptr
        ptr += opsize - 2
        length -= opsize
    return 0


# How far the peer's timestamp clock may run in one RTO: RFC 7323 5.4 has it tick between 1 ms and 1 s; some stacks
# use 1200 Hz.
cdef u32 tcp_tsval_replay(sock *sk) noexcept nogil:
    if tcp_sk(sk).tcp_usec_ts:
        return inet_csk(sk).icsk_rto * <u32>(USEC_PER_SEC // HZ(sock_net(sk)))
    return inet_csk(sk).icsk_rto * <u32>1200 // <u32>HZ(sock_net(sk))


# PAWS (RFC 7323 5) would also hit pure ACKs that were only reordered. One that changes neither window nor sequence
# state, and is not older than an RTO, may pass. 0 or a drop reason.
cdef int tcp_disordered_ack_check(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef tcphdr *th = tcp_hdr(skb)
    cdef u32 ack = TCP_SKB_CB(skb).ack_seq
    cdef u32 seq = TCP_SKB_CB(skb).seq

    if not (th.flags & TCPHDR_ACK) or seq != TCP_SKB_CB(skb).end_seq:
        return SKB_DROP_REASON_TCP_RFC7323_PAWS

    if seq != tp.rcv_nxt:
        if before(seq, tp.rcv_nxt):
            return SKB_DROP_REASON_TCP_RFC7323_PAWS_ACK
        return SKB_DROP_REASON_TCP_RFC7323_PAWS

    if ack != tp.snd_una:
        return SKB_DROP_REASON_TCP_RFC7323_PAWS

    if tcp_may_update_window(tp, ack, seq, (<u32>ntohs(th.window)) << tp.rx_opt.snd_wscale):
        return SKB_DROP_REASON_TCP_RFC7323_PAWS

    # Compared without sign, as C does it: a negative difference is never inside.
    if <u32>(tp.rx_opt.ts_recent - tp.rx_opt.rcv_tsval) > tcp_tsval_replay(sk):
        return SKB_DROP_REASON_TCP_RFC7323_PAWS

    return 0


# RFC 9293 3.10.7.4, first check. The left edge is what was acknowledged last (rcv_wup): a peer who has not seen our
# delayed ACK yet sends controls from there. The right edge may be crossed by a FIN, or, if nothing is queued, by data
# that begins inside.
cdef int tcp_sequence(sock *sk, u32 seq, u32 end_seq, tcphdr *th) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 seq_limit

    if before(end_seq, tp.rcv_wup):
        return SKB_DROP_REASON_TCP_OLD_SEQUENCE

    seq_limit = tp.rcv_nxt + tcp_receive_window(tp)
    if after(end_seq, seq_limit):
        if not after(end_seq - <u32>(th.flags & TCPHDR_FIN), seq_limit):
            return SKB_NOT_DROPPED_YET
        if after(seq, seq_limit):
            return SKB_DROP_REASON_TCP_INVALID_SEQUENCE
        if skb_queue_len(&sk.sk_receive_queue):
            return SKB_DROP_REASON_TCP_INVALID_END_SEQUENCE
    return SKB_NOT_DROPPED_YET


cdef void tcp_done_with_error(sock *sk, int err) noexcept nogil:
    sk.sk_err = err
    tcp_write_queue_purge(sk)
    tcp_done(sk)
    if not sock_flag(sk, SOCK_DEAD):
        sk_error_report(sk)


# An acceptable RST came in.
cdef void tcp_reset(sock *sk, sk_buff *skb) noexcept nogil:
    cdef int err

    trace_tcp_receive_reset(sk)

    if sk.sk_state == TCP_SYN_SENT:
        err = ECONNREFUSED
    elif sk.sk_state == TCP_CLOSE_WAIT:
        err = EPIPE
    elif sk.sk_state == TCP_CLOSE:
        return
    else:
        err = ECONNRESET
    tcp_done_with_error(sk, err)


# The FIN is in sequence: RFC 9293 3.10.7.4, eighth.
cdef void tcp_fin(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    inet_csk_schedule_ack(sk)
    sk.sk_shutdown |= RCV_SHUTDOWN
    sock_set_flag(sk, SOCK_DONE)

    if sk.sk_state == TCP_SYN_RECV or sk.sk_state == TCP_ESTABLISHED:
        tcp_set_state(sk, TCP_CLOSE_WAIT)
        inet_csk_enter_pingpong_mode(sk)
    elif sk.sk_state == TCP_FIN_WAIT1:
        # Both closed at once.
        tcp_send_ack(sk)
        tcp_set_state(sk, TCP_CLOSING)
    elif sk.sk_state == TCP_FIN_WAIT2:
        tcp_send_ack(sk)
        tcp_time_wait(sk, TCP_TIME_WAIT, 0)
    # CLOSE_WAIT, CLOSING, LAST_ACK: the FIN again, nothing changes.

    # Nothing can follow a FIN.
    skb_rbtree_purge(&tp.out_of_order_queue)
    if tcp_is_sack(tp):
        tcp_sack_reset(&tp.rx_opt)

    if not sock_flag(sk, SOCK_DEAD):
        sk.sk_state_change(sk)


# Widens a block if the new range touches it.
cdef inline bint tcp_sack_extend(tcp_sack_block *sp, u32 seq, u32 end_seq) noexcept nogil:
    if not after(seq, sp.end_seq) and not after(sp.start_seq, end_seq):
        if before(seq, sp.start_seq):
            sp.start_seq = seq
        if after(end_seq, sp.end_seq):
            sp.end_seq = end_seq
        return 1
    return 0


# RFC 2883: the next ACK's first SACK block will report this duplicate.
cdef void tcp_dsack_set(sock *sk, u32 seq, u32 end_seq) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if tcp_is_sack(tp) and sock_net(sk).ipv4.sysctl_tcp_dsack:
        if before(seq, tp.rcv_nxt):
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPDSACKOLDSENT)
        else:
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPDSACKOFOSENT)
        tp.rx_opt.dsack = 1
        tp.duplicate_sack[0].start_seq = seq
        tp.duplicate_sack[0].end_seq = end_seq


cdef void tcp_dsack_extend(sock *sk, u32 seq, u32 end_seq) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if not tp.rx_opt.dsack:
        tcp_dsack_set(sk, seq, end_seq)
    else:
        tcp_sack_extend(&tp.duplicate_sack[0], seq, end_seq)


# RFC 9293 3.10.7.4: what is not acceptable is answered by an ACK; if it held old data, with a DSACK.
cdef void tcp_send_dupack(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 end_seq

    if (TCP_SKB_CB(skb).end_seq != TCP_SKB_CB(skb).seq and
            before(TCP_SKB_CB(skb).seq, tp.rcv_nxt)):
        NET_INC_STATS(sock_net(sk), LINUX_MIB_DELAYEDACKLOST)
        tcp_enter_quickack_mode(sk, TCP_MAX_QUICKACKS)

        if tcp_is_sack(tp) and sock_net(sk).ipv4.sysctl_tcp_dsack:
            end_seq = TCP_SKB_CB(skb).end_seq
            if after(TCP_SKB_CB(skb).end_seq, tp.rcv_nxt):
                end_seq = tp.rcv_nxt
            tcp_dsack_set(sk, TCP_SKB_CB(skb).seq, end_seq)

    tcp_send_ack(sk)


# The first SACK block grew: swallow those that it touches now.
cdef void tcp_sack_maybe_coalesce(tcp_sock *tp) noexcept nogil:
    cdef tcp_sack_block *sp = &tp.selective_acks[0]
    cdef tcp_sack_block *swalk = sp + 1
    cdef int this_sack = 1
    cdef int i

    while this_sack < tp.rx_opt.num_sacks:
        if tcp_sack_extend(sp, swalk.start_seq, swalk.end_seq):
            tp.rx_opt.num_sacks -= 1
            i = this_sack
            while i < tp.rx_opt.num_sacks:
                sp[i] = sp[i + 1]
                i += 1
            continue
        this_sack += 1
        swalk += 1


# An ACK that was held back has to go before its SACK information is lost.
cdef void tcp_sack_compress_send_ack(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if not tp.compressed_ack:
        return
    if hrtimer_try_to_cancel(&tp.compressed_ack_timer) == 1:
        __sock_put(sk)

    # One of those counted is sent after all.
    NET_ADD_STATS(sock_net(sk), LINUX_MIB_TCPACKCOMPRESSED, <int>tp.compressed_ack - 1)
    tp.compressed_ack = 0
    tcp_send_ack(sk)


# RFC 2018 4: the block of the segment that has just come stands first.
cdef void tcp_sack_new_ofo_skb(sock *sk, u32 seq, u32 end_seq) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef tcp_sack_block *sp = &tp.selective_acks[0]
    cdef tcp_sack_block tmp
    cdef int cur_sacks = tp.rx_opt.num_sacks
    cdef int this_sack = 0

    if cur_sacks:
        while this_sack < cur_sacks:
            if tcp_sack_extend(sp, seq, end_seq):
                if this_sack >= TCP_SACK_BLOCKS_EXPECTED:
                    tcp_sack_compress_send_ack(sk)
                while this_sack > 0:
                    tmp = sp[0]
                    sp[0] = (sp - 1)[0]
                    (sp - 1)[0] = tmp
                    this_sack -= 1
                    sp -= 1
                if cur_sacks > 1:
                    tcp_sack_maybe_coalesce(tp)
                return
            this_sack += 1
            sp += 1

        if this_sack >= TCP_SACK_BLOCKS_EXPECTED:
            tcp_sack_compress_send_ack(sk)

        # No room: the oldest block is forgotten.
        if this_sack >= TCP_NUM_SACKS:
            this_sack -= 1
            tp.rx_opt.num_sacks -= 1
            sp -= 1
        while this_sack > 0:
            sp[0] = (sp - 1)[0]
            this_sack -= 1
            sp -= 1

    sp.start_seq = seq
    sp.end_seq = end_seq
    tp.rx_opt.num_sacks += 1


# RCV.NXT went on: blocks below it are gone.
cdef void tcp_sack_remove(tcp_sock *tp) noexcept nogil:
    cdef tcp_sack_block *sp = &tp.selective_acks[0]
    cdef int num_sacks = tp.rx_opt.num_sacks
    cdef int this_sack = 0
    cdef int i

    if RB_EMPTY_ROOT(&tp.out_of_order_queue):
        tp.rx_opt.num_sacks = 0
        return

    while this_sack < num_sacks:
        if not before(tp.rcv_nxt, sp.start_seq):
            i = this_sack + 1
            while i < num_sacks:
                tp.selective_acks[i - 1] = tp.selective_acks[i]
                i += 1
            num_sacks -= 1
            continue
        this_sack += 1
        sp += 1
    tp.rx_opt.num_sacks = <u8>num_sacks


# Appends `from_` to the skb that ends where it begins, if that saves memory. True: the caller frees `from_`.
cdef bint tcp_try_coalesce(sock *sk, sk_buff *to, sk_buff *from_, bint *fragstolen) noexcept nogil:
    cdef int delta = 0

    fragstolen[0] = 0
    if TCP_SKB_CB(from_).seq != TCP_SKB_CB(to).end_seq:
        return 0
    if not tcp_skb_can_collapse_rx(to, from_):
        return 0
    if not skb_try_coalesce(to, from_, fragstolen, &delta):
        return 0

    sk.sk_backlog.rmem_alloc += delta
    sk_mem_charge(sk, delta)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPRCVCOALESCE)
    TCP_SKB_CB(to).end_seq = TCP_SKB_CB(from_).end_seq
    TCP_SKB_CB(to).ack_seq = TCP_SKB_CB(from_).ack_seq
    TCP_SKB_CB(to).tcp_flags |= TCP_SKB_CB(from_).tcp_flags

    if TCP_SKB_CB(from_).has_rxtstamp:
        TCP_SKB_CB(to).has_rxtstamp = 1
        to.skb_mstamp_ns = from_.skb_mstamp_ns
        skb_shinfo(to).hwtstamps = skb_shinfo(from_).hwtstamps
    return 1


cdef bint tcp_ooo_try_coalesce(sock *sk, sk_buff *to, sk_buff *from_, bint *fragstolen) noexcept nogil:
    cdef bint res = tcp_try_coalesce(sk, to, from_, fragstolen)
    cdef u32 gso_segs

    # How many segments a later drop will count.
    if res:
        gso_segs = <u32>max_u16(1, skb_shinfo(to).gso_segs) + <u32>max_u16(1, skb_shinfo(from_).gso_segs)
        skb_shinfo(to).gso_segs = <u16>min_u32(gso_segs, 0xFFFF)
    return res


cdef void tcp_drop_reason(sock *sk, sk_buff *skb, int reason) noexcept nogil:
    sk_drops_skbadd(sk, skb)
    sk_skb_reason_drop(sk, skb, reason)


# A hole closed: what is now in sequence moves on to the receive queue.
cdef void tcp_ofo_queue(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 dsack_high = tp.rcv_nxt
    cdef u32 dsack
    cdef bint fin, eaten
    cdef bint fragstolen = 0
    cdef sk_buff *skb
    cdef sk_buff *tail
    cdef rb_node *p = rb_first(&tp.out_of_order_queue)

    while p != NULL:
        skb = rb_to_skb(p)
        if after(TCP_SKB_CB(skb).seq, tp.rcv_nxt):
            break

        if before(TCP_SKB_CB(skb).seq, dsack_high):
            dsack = dsack_high
            if before(TCP_SKB_CB(skb).end_seq, dsack_high):
                dsack = TCP_SKB_CB(skb).end_seq
            tcp_dsack_extend(sk, TCP_SKB_CB(skb).seq, dsack)
        p = rb_next(p)
        rb_erase(&skb.rbnode, &tp.out_of_order_queue)

        if not after(TCP_SKB_CB(skb).end_seq, tp.rcv_nxt):
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_OFO_DROP)
            continue

        tail = skb_peek_tail(&sk.sk_receive_queue)
        eaten = tail != NULL and tcp_try_coalesce(sk, tail, skb, &fragstolen)
        tcp_rcv_nxt_update(tp, TCP_SKB_CB(skb).end_seq)
        fin = (TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN) != 0
        if not eaten:
            tcp_add_receive_queue(sk, skb)
        else:
            kfree_skb_partial(skb, fragstolen)

        if fin:
            # The queue is purged by this: p is no longer valid.
            tcp_fin(sk)
            break


cdef bint tcp_can_ingest(sock *sk, sk_buff *skb) noexcept nogil:
    cdef unsigned int rmem = <unsigned int>sk.sk_backlog.rmem_alloc
    return rmem <= <unsigned int>sk.sk_rcvbuf


# Room for `size` bytes of truesize, made by collapsing and pruning if need be; -1: there is none.
cdef int tcp_try_rmem_schedule(sock *sk, sk_buff *skb, unsigned int size) noexcept nogil:
    if not tcp_can_ingest(sk, skb) or not sk_rmem_schedule(sk, skb, <int>size):
        if tcp_prune_queue(sk, skb) < 0:
            return -1
        while not sk_rmem_schedule(sk, skb, <int>size):
            if not tcp_prune_ofo_queue(sk, skb):
                return -1
    return 0


# Label coalesce_done of tcp_data_queue_ofo(). Without SACK the window stays, so that the ACK is a duplicate one
# (RFC 5681 2: a duplicate ACK has the same window).
cdef void tcp_data_queue_ofo_coalesced(sock *sk, sk_buff *skb, bint fragstolen) noexcept nogil:
    if tcp_is_sack(tcp_sk(sk)):
        tcp_grow_window(sk, skb, 1)
    kfree_skb_partial(skb, fragstolen)


# The middle of tcp_data_queue_ofo(): the queue has members. Returns skb if it is one of them now, or NULL.
cdef sk_buff *tcp_data_queue_ofo_insert(sock *sk, sk_buff *skb, u32 seq, u32 end_seq) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef rb_node **p = &tp.out_of_order_queue.rb_node
    cdef rb_node *parent = NULL
    cdef sk_buff *skb1
    cdef bint fragstolen = 0
    cdef bint replaced = 0

    # Nearly always it goes to the end; no walk then.
    if tcp_ooo_try_coalesce(sk, tp.ooo_last_skb, skb, &fragstolen):
        tcp_data_queue_ofo_coalesced(sk, skb, fragstolen)
        return NULL

    if not before(seq, TCP_SKB_CB(tp.ooo_last_skb).end_seq):
        parent = &tp.ooo_last_skb.rbnode
        p = &parent.rb_right
    else:
        while p[0] != NULL:
            parent = p[0]
            skb1 = rb_to_skb(parent)
            if before(seq, TCP_SKB_CB(skb1).seq):
                p = &parent.rb_left
                continue
            if before(seq, TCP_SKB_CB(skb1).end_seq):
                if not after(end_seq, TCP_SKB_CB(skb1).end_seq):
                    # Nothing new in it.
                    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPOFOMERGE)
                    tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_OFOMERGE)
                    tcp_dsack_set(sk, seq, end_seq)
                    return NULL
                if after(seq, TCP_SKB_CB(skb1).seq):
                    tcp_dsack_set(sk, seq, TCP_SKB_CB(skb1).end_seq)
                else:
                    # Same start, and longer: takes the place of skb1.
                    rb_replace_node(&skb1.rbnode, &skb.rbnode, &tp.out_of_order_queue)
                    tcp_dsack_extend(sk, TCP_SKB_CB(skb1).seq, TCP_SKB_CB(skb1).end_seq)
                    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPOFOMERGE)
                    tcp_drop_reason(sk, skb1, SKB_DROP_REASON_TCP_OFOMERGE)
                    replaced = 1
                    break
            elif tcp_ooo_try_coalesce(sk, skb1, skb, &fragstolen):
                tcp_data_queue_ofo_coalesced(sk, skb, fragstolen)
                return NULL
            p = &parent.rb_right

    if not replaced:
        rb_link_node(&skb.rbnode, parent, p)
        rb_insert_color(&skb.rbnode, &tp.out_of_order_queue)

    # Those to the right that it covers are duplicates.
    skb1 = skb_rb_next(skb)
    while skb1 != NULL:
        if not after(end_seq, TCP_SKB_CB(skb1).seq):
            break
        if before(end_seq, TCP_SKB_CB(skb1).end_seq):
            tcp_dsack_extend(sk, TCP_SKB_CB(skb1).seq, end_seq)
            break
        rb_erase(&skb1.rbnode, &tp.out_of_order_queue)
        tcp_dsack_extend(sk, TCP_SKB_CB(skb1).seq, TCP_SKB_CB(skb1).end_seq)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPOFOMERGE)
        tcp_drop_reason(sk, skb1, SKB_DROP_REASON_TCP_OFOMERGE)
        skb1 = skb_rb_next(skb)
    if skb1 == NULL:
        tp.ooo_last_skb = skb
    return skb


# A segment beyond RCV.NXT: kept in a tree ordered by sequence, told to the sender by SACK.
cdef void tcp_data_queue_ofo(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 seq, end_seq

    tcp_data_ecn_check(sk, skb)

    if tcp_try_rmem_schedule(sk, skb, skb.truesize):
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPOFODROP)
        sk.sk_data_ready(sk)
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_PROTO_MEM)
        return

    tcp_measure_rcv_mss(sk, skb)
    tp.pred_flags = 0
    inet_csk_schedule_ack(sk)

    tp.rcv_ooopack += max_u16(1, skb_shinfo(skb).gso_segs)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPOFOQUEUE)
    seq = TCP_SKB_CB(skb).seq
    end_seq = TCP_SKB_CB(skb).end_seq

    if RB_EMPTY_ROOT(&tp.out_of_order_queue):
        if tcp_is_sack(tp):
            tp.rx_opt.num_sacks = 1
            tp.selective_acks[0].start_seq = seq
            tp.selective_acks[0].end_seq = end_seq
        rb_link_node(&skb.rbnode, NULL, &tp.out_of_order_queue.rb_node)
        rb_insert_color(&skb.rbnode, &tp.out_of_order_queue)
        tp.ooo_last_skb = skb
    else:
        skb = tcp_data_queue_ofo_insert(sk, skb, seq, end_seq)
        if tcp_is_sack(tp):
            tcp_sack_new_ofo_skb(sk, seq, end_seq)

    if skb != NULL:
        if tcp_is_sack(tp):
            tcp_grow_window(sk, skb, 0)
        skb_condense(skb)
        skb_set_owner_r(skb, sk)
    # Not for sockets that nobody has accepted yet, or that nobody holds any more.
    if sk.sk_socket != NULL:
        tcp_rcvbuf_grow(sk, <u32>tp.rcvq_space.space)


# In sequence: appended to the receive queue. 1 if its bytes went into the tail (the caller frees what is left of it).
cdef int tcp_queue_rcv(sock *sk, sk_buff *skb, bint *fragstolen) noexcept nogil:
    cdef sk_buff *tail = skb_peek_tail(&sk.sk_receive_queue)
    cdef int eaten = 0

    if tail != NULL and tcp_try_coalesce(sk, tail, skb, fragstolen):
        eaten = 1
    tcp_rcv_nxt_update(tcp_sk(sk), TCP_SKB_CB(skb).end_seq)
    if not eaten:
        tcp_add_receive_queue(sk, skb)
        skb_set_owner_r(skb, sk)
    return eaten


# TCP_REPAIR: the user puts bytes into the receive queue.
cdef int tcp_send_rcvq(sock *sk, msghdr *msg, size_t size) noexcept nogil:
    cdef sk_buff *skb
    cdef int err = -ENOMEM
    cdef int data_len = 0
    cdef size_t npages
    cdef bint fragstolen = 0

    if size == 0:
        return 0

    if size > <size_t>PAGE_SIZE:
        npages = min_size(size >> PAGE_SHIFT, MAX_SKB_FRAGS)
        data_len = <int>(npages << PAGE_SHIFT)
        size = <size_t>data_len + (size & <size_t>(PAGE_SIZE - 1))
    skb = alloc_skb_with_frags(sock_net(sk), size - <size_t>data_len, <unsigned long>data_len,
                               PAGE_ALLOC_COSTLY_ORDER, &err, sk.sk_allocation)
    if skb == NULL:
        return err

    skb_put(skb, <unsigned int>(size - <size_t>data_len))
    skb.data_len = <u32>data_len
    skb.len = <u32>size

    if tcp_try_rmem_schedule(sk, skb, skb.truesize):
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPRCVQDROP)
        kfree_skb(skb)
        return err

    # skb_copy_datagram_from_iter(): counted only.
    msg.iov_offset += size
    msg.count -= size
    skb.data_is_payload_copy = 1

    TCP_SKB_CB(skb).seq = tcp_sk(sk).rcv_nxt
    TCP_SKB_CB(skb).end_seq = TCP_SKB_CB(skb).seq + <u32>size
    TCP_SKB_CB(skb).ack_seq = tcp_sk(sk).snd_una - 1

    if tcp_queue_rcv(sk, skb, &fragstolen):
        __kfree_skb(skb)
    return <int>size


cdef void tcp_data_ready(sock *sk) noexcept nogil:
    if tcp_epollin_ready(sk, sk.sk_rcvlowat) or sock_flag(sk, SOCK_DONE):
        sk.sk_data_ready(sk)


# Label out_of_window of tcp_data_queue(): RFC 9293 3.10.7.4, an ACK at once.
cdef void tcp_data_queue_out_of_window(sock *sk, sk_buff *skb, int reason) noexcept nogil:
    tcp_enter_quickack_mode(sk, TCP_MAX_QUICKACKS)
    inet_csk_schedule_ack(sk)
    tcp_drop_reason(sk, skb, reason)


# Label queue_and_out of tcp_data_queue(): in sequence and in the window.
cdef void tcp_data_queue_and_out(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bint fragstolen = 0
    cdef int eaten

    if tcp_try_rmem_schedule(sk, skb, skb.truesize):
        inet_csk(sk).icsk_ack.pending |= ICSK_ACK_NOMEM | ICSK_ACK_NOW
        inet_csk_schedule_ack(sk)
        sk.sk_data_ready(sk)

        if skb_queue_len(&sk.sk_receive_queue) and skb.len:
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPRCVQDROP)
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_PROTO_MEM)
            return
        # An empty queue takes one segment whatever it costs, or the connection would stall.
        sk_forced_mem_schedule(sk, <int>skb.truesize)

    eaten = tcp_queue_rcv(sk, skb, &fragstolen)
    if skb.len:
        tcp_event_data_recv(sk, skb)
    if TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN:
        tcp_fin(sk)

    if not RB_EMPTY_ROOT(&tp.out_of_order_queue):
        tcp_ofo_queue(sk)
        # RFC 5681 4.2: an ACK at once when a gap is filled.
        if RB_EMPTY_ROOT(&tp.out_of_order_queue):
            inet_csk(sk).icsk_ack.pending |= ICSK_ACK_NOW

    if tp.rx_opt.num_sacks:
        tcp_sack_remove(tp)

    tcp_fast_path_check(sk)

    if eaten > 0:
        kfree_skb_partial(skb, fragstolen)
    if not sock_flag(sk, SOCK_DEAD):
        tcp_data_ready(sk)


# RFC 9293 3.10.7.4, seventh: the segment's text. skb.data is the TCP header still.
cdef void tcp_data_queue(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if TCP_SKB_CB(skb).seq == TCP_SKB_CB(skb).end_seq:
        __kfree_skb(skb)
        return
    tcp_cleanup_skb(skb)
    __skb_pull(skb, __tcp_hdrlen(tcp_hdr(skb)))

    tp.rx_opt.dsack = 0

    if TCP_SKB_CB(skb).seq == tp.rcv_nxt:
        # A bare FIN fits into a closed window: it costs nothing, and there are peers who repeat it for ever.
        if (tcp_receive_window(tp) == 0 and
                not (skb.len == 0 and (TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN))):
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPZEROWINDOWDROP)
            tcp_data_queue_out_of_window(sk, skb, SKB_DROP_REASON_TCP_ZEROWINDOW)
            return
        tcp_data_queue_and_out(sk, skb)
        return

    if not after(TCP_SKB_CB(skb).end_seq, tp.rcv_nxt):
        # Seen before: the sender retransmitted what had come.
        NET_INC_STATS(sock_net(sk), LINUX_MIB_DELAYEDACKLOST)
        tcp_dsack_set(sk, TCP_SKB_CB(skb).seq, TCP_SKB_CB(skb).end_seq)
        tcp_data_queue_out_of_window(sk, skb, SKB_DROP_REASON_TCP_OLD_DATA)
        return

    if not before(TCP_SKB_CB(skb).seq, tp.rcv_nxt + tcp_receive_window(tp)):
        tcp_data_queue_out_of_window(sk, skb, SKB_DROP_REASON_TCP_OVERWINDOW)
        return

    if before(TCP_SKB_CB(skb).seq, tp.rcv_nxt):
        # Head is old, tail is new.
        tcp_dsack_set(sk, TCP_SKB_CB(skb).seq, tp.rcv_nxt)
        if not tcp_receive_window(tp):
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPZEROWINDOWDROP)
            tcp_data_queue_out_of_window(sk, skb, SKB_DROP_REASON_TCP_ZEROWINDOW)
            return
        tcp_data_queue_and_out(sk, skb)
        return

    tcp_data_queue_ofo(sk, skb)


cdef sk_buff *tcp_skb_next(sk_buff *skb, sk_buff_head *list_) noexcept nogil:
    if list_ != NULL:
        return skb.next if not skb_queue_is_last(list_, skb) else NULL
    return skb_rb_next(skb)


cdef sk_buff *tcp_collapse_one(sock *sk, sk_buff *skb, sk_buff_head *list_, rb_root *root) noexcept nogil:
    cdef sk_buff *next_ = tcp_skb_next(skb, list_)

    if list_ != NULL:
        __skb_unlink(skb, list_)
    else:
        rb_erase(&skb.rbnode, root)
    __kfree_skb(skb)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPRCVCOLLAPSED)
    return next_


# Into a tree ordered by sequence number.
cdef void tcp_rbtree_insert(rb_root *root, sk_buff *skb) noexcept nogil:
    cdef rb_node **p = &root.rb_node
    cdef rb_node *parent = NULL
    cdef sk_buff *skb1

    while p[0] != NULL:
        parent = p[0]
        skb1 = rb_to_skb(parent)
        if before(TCP_SKB_CB(skb).seq, TCP_SKB_CB(skb1).seq):
            p = &parent.rb_left
        else:
            p = &parent.rb_right
    rb_link_node(&skb.rbnode, parent, p)
    rb_insert_color(&skb.rbnode, root)


# The copying half of tcp_collapse(): bytes start..end, which begin in skb, move to new skbs of at most a page.
# Bytes are only counted: the new skb has none. Members of a tree are chained at `tmp`, to be inserted later.
cdef void tcp_collapse_copy(sock *sk, sk_buff_head *list_, rb_root *root, sk_buff **tmp, sk_buff *skb,
                            sk_buff *tail, u32 start, u32 end) noexcept nogil:
    cdef sk_buff *nskb
    cdef int copy, size

    while before(start, end):
        copy = min_int(<int>SKB_MAX_ORDER(0, 0), <int>(end - start))
        nskb = alloc_skb(sock_net(sk), <u32>copy, GFP_ATOMIC)
        if nskb == NULL:
            return

        nskb.cb = skb.cb
        nskb.decrypted = skb.decrypted
        nskb.data_is_payload_copy = 1
        TCP_SKB_CB(nskb).end_seq = start
        TCP_SKB_CB(nskb).seq = start
        if list_ != NULL:
            __skb_queue_before(list_, skb, nskb)
        else:
            nskb.next = NULL
            tmp[0] = nskb
            tmp = &nskb.next
        skb_set_owner_r(nskb, sk)

        while copy > 0:
            size = <int>(TCP_SKB_CB(skb).end_seq - start)
            if size > 0:
                size = min_int(copy, size)
                skb_put(nskb, <unsigned int>size)
                TCP_SKB_CB(nskb).end_seq += <u32>size
                copy -= size
                start += <u32>size
            if not before(start, TCP_SKB_CB(skb).end_seq):
                skb = tcp_collapse_one(sk, skb, list_, root)
                if (skb == NULL or skb == tail or not tcp_skb_can_collapse_rx(nskb, skb) or
                        (TCP_SKB_CB(skb).tcp_flags & (TCPHDR_SYN | TCPHDR_FIN)) or not skb_frags_readable(skb)):
                    return


# Packs the skbs head..tail (NULL: to the end of the queue), which hold start..end without a gap, into fewer bytes of
# truesize. Exactly one of list_ and root is given. SYN and FIN stay as they are.
cdef void tcp_collapse(sock *sk, sk_buff_head *list_, rb_root *root, sk_buff *head, sk_buff *tail,
                       u32 start, u32 end) noexcept nogil:
    cdef sk_buff *skb = head
    cdef sk_buff *n
    cdef sk_buff *tmp = NULL
    cdef bint end_of_skbs = 1

    # Find where it begins to pay.
    while skb != NULL and skb != tail:
        n = tcp_skb_next(skb, list_)

        if skb_frags_readable(skb):
            # No new bytes (in the out-of-order queue): drop it and look again.
            if not before(start, TCP_SKB_CB(skb).end_seq):
                skb = tcp_collapse_one(sk, skb, list_, root)
                if skb == NULL:
                    break
                continue

            # Bloated, or it holds bytes from before start.
            if (not (TCP_SKB_CB(skb).tcp_flags & (TCPHDR_SYN | TCPHDR_FIN)) and
                    (<u32>tcp_win_from_space(sk, <int>skb.truesize) > skb.len or
                     before(TCP_SKB_CB(skb).seq, start))):
                end_of_skbs = 0
                break

            # Overlaps the next one.
            if (n != NULL and n != tail and skb_frags_readable(n) and tcp_skb_can_collapse_rx(skb, n) and
                    TCP_SKB_CB(skb).end_seq != TCP_SKB_CB(n).seq):
                end_of_skbs = 0
                break

        start = TCP_SKB_CB(skb).end_seq
        skb = n

    if (end_of_skbs or (TCP_SKB_CB(skb).tcp_flags & (TCPHDR_SYN | TCPHDR_FIN)) or not skb_frags_readable(skb)):
        return

    tcp_collapse_copy(sk, list_, root, &tmp, skb, tail, start, end)

    # Tree members take their places only now, when the old ones are gone.
    while tmp != NULL:
        n = tmp.next
        tmp.next = NULL
        tcp_rbtree_insert(root, tmp)
        tmp = n


# Each run of the out-of-order queue without a gap is collapsed by itself.
cdef void tcp_collapse_ofo_queue(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 range_truesize
    cdef u32 sum_tiny = 0
    cdef sk_buff *skb = skb_rb_first(&tp.out_of_order_queue)
    cdef sk_buff *head
    cdef u32 start, end

    while skb != NULL:
        start = TCP_SKB_CB(skb).seq
        end = TCP_SKB_CB(skb).end_seq
        range_truesize = skb.truesize
        head = skb

        while True:
            skb = skb_rb_next(skb)
            if (skb == NULL or after(TCP_SKB_CB(skb).seq, end) or before(TCP_SKB_CB(skb).end_seq, start)):
                # A single small skb is not worth it, unless there are very many.
                if range_truesize != head.truesize or end - start >= <u32>SKB_WITH_OVERHEAD(PAGE_SIZE):
                    tcp_collapse(sk, NULL, &tp.out_of_order_queue, head, skb, start, end)
                else:
                    sum_tiny += range_truesize
                    if sum_tiny > <u32>(sk.sk_rcvbuf >> 3):
                        return
                break

            range_truesize += skb.truesize
            if before(TCP_SKB_CB(skb).seq, start):
                start = TCP_SKB_CB(skb).seq
            if after(TCP_SKB_CB(skb).end_seq, end):
                end = TCP_SKB_CB(skb).end_seq

    tp.ooo_last_skb = skb_rb_last(&tp.out_of_order_queue)


# Throws away out-of-order skbs from the highest down, an eighth of rcvbuf at a time, but never what lies below the
# segment that wants in. RFC 2018 8 allows it (reneging); the SACK blocks are forgotten with them.
cdef bint tcp_prune_ofo_queue(sock *sk, sk_buff *in_skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef rb_node *node
    cdef rb_node *prev
    cdef sk_buff *skb
    cdef bint pruned = 0
    cdef int goal

    if RB_EMPTY_ROOT(&tp.out_of_order_queue):
        return 0

    goal = sk.sk_rcvbuf >> 3
    node = &tp.ooo_last_skb.rbnode

    while node != NULL:
        skb = rb_to_skb(node)
        if after(TCP_SKB_CB(in_skb).seq, TCP_SKB_CB(skb).seq):
            break
        pruned = 1
        prev = rb_prev(node)
        rb_erase(node, &tp.out_of_order_queue)
        goal -= <int>skb.truesize
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_OFO_QUEUE_PRUNE)
        tp.ooo_last_skb = rb_to_skb(prev)
        if prev == NULL or goal <= 0:
            if tcp_can_ingest(sk, in_skb) and not tcp_under_memory_pressure(sk):
                break
            goal = sk.sk_rcvbuf >> 3
        node = prev

    if pruned:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_OFOPRUNED)
        if tp.rx_opt.sack_ok:
            tcp_sack_reset(&tp.rx_opt)
    return pruned


# Get the receive memory below rcvbuf again: first by growing it, then by collapsing, then by pruning. -1: no way,
# drop what comes until the application reads.
cdef int tcp_prune_queue(sock *sk, sk_buff *in_skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if not sk.sk_backlog.rmem_alloc:
        return -1

    NET_INC_STATS(sock_net(sk), LINUX_MIB_PRUNECALLED)

    if not tcp_can_ingest(sk, in_skb):
        tcp_clamp_window(sk)
    elif tcp_under_memory_pressure(sk):
        tcp_adjust_rcv_ssthresh(sk)

    if tcp_can_ingest(sk, in_skb):
        return 0

    tcp_collapse_ofo_queue(sk)
    if not skb_queue_empty(&sk.sk_receive_queue):
        tcp_collapse(sk, &sk.sk_receive_queue, NULL, skb_peek(&sk.sk_receive_queue), NULL,
                     tp.copied_seq, tp.rcv_nxt)

    if tcp_can_ingest(sk, in_skb):
        return 0

    tcp_prune_ofo_queue(sk, in_skb)

    if tcp_can_ingest(sk, in_skb):
        return 0

    NET_INC_STATS(sock_net(sk), LINUX_MIB_RCVPRUNED)
    tp.pred_flags = 0
    return -1


cdef bint tcp_should_expand_sndbuf(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int unused_mem

    if sk.sk_userlocks & SOCK_SNDBUF_LOCK:
        return 0

    if tcp_under_memory_pressure(sk):
        unused_mem = sk_unused_reserved_mem(sk)
        # Reserved memory may be used at any time.
        if unused_mem > <int>SOCK_MIN_SNDBUF:
            sk.sk_sndbuf = unused_mem
        return 0

    if sk_memory_allocated(sk) >= sk_prot_mem_limits(sk, 0):
        return 0

    # The network is the bottleneck, not the buffer.
    if tcp_packets_in_flight(tp) >= tcp_snd_cwnd(tp):
        return 0

    return 1


cdef void tcp_new_space(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if tcp_should_expand_sndbuf(sk):
        tcp_sndbuf_expand(sk)
        tp.snd_cwnd_stamp = tcp_jiffies32(sock_net(sk))
    sk.sk_write_space(sk)


# Send memory was freed, or unsent data left: a writer may go on (EPOLLOUT).
cdef void tcp_check_space(sock *sk) noexcept nogil:
    if sk.sk_socket != NULL and test_bit(SOCK_NOSPACE, &sk.sk_socket.flags):
        tcp_new_space(sk)
        if not test_bit(SOCK_NOSPACE, &sk.sk_socket.flags):
            tcp_chrono_stop(sk, TCP_CHRONO_SNDBUF_LIMITED)


cdef inline void tcp_data_snd_check(sock *sk) noexcept nogil:
    tcp_push_pending_frames(sk)
    tcp_check_space(sk)


# ACK now, later, or with others (RFC 9293 3.8.6.3, RFC 5681 4.2)?
cdef void __tcp_ack_snd_check(sock *sk, int ofo_possible) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef unsigned long rtt, delay

    # More than one full segment is unacknowledged and the window's right edge would move (or the reader waits for
    # more than there is); or we are in quick-ACK mode; or something asked for an ACK.
    if (((tp.rcv_nxt - tp.rcv_wup) > inet_csk(sk).icsk_ack.rcv_mss and
         (tp.rcv_nxt - tp.copied_seq < <u32>sk.sk_rcvlowat or
          __tcp_select_window(sk) >= tp.rcv_wnd)) or
            tcp_in_quickack_mode(sk) or
            (inet_csk(sk).icsk_ack.pending & ICSK_ACK_NOW)):
        tcp_send_ack(sk)
        return

    if not ofo_possible or RB_EMPTY_ROOT(&tp.out_of_order_queue):
        tcp_send_delayed_ack(sk)
        return

    # There are holes. The first duplicate ACKs go out at once, for fast retransmit; later ones are compressed.
    if not tcp_is_sack(tp) or tp.compressed_ack >= n.ipv4.sysctl_tcp_comp_sack_nr:
        tcp_send_ack(sk)
        return

    if tp.compressed_ack_rcv_nxt != tp.rcv_nxt:
        tp.compressed_ack_rcv_nxt = tp.rcv_nxt
        tp.dup_ack_counter = 0
    if tp.dup_ack_counter < TCP_FASTRETRANS_THRESH:
        tp.dup_ack_counter += 1
        tcp_send_ack(sk)
        return
    tp.compressed_ack += 1
    if hrtimer_is_queued(&tp.compressed_ack_timer):
        return

    # 5 % of the round trip (rtt is in us << 3), at most the sysctl.
    rtt = tp.rcv_rtt_est.rtt_us
    if tp.srtt_us and tp.srtt_us < rtt:
        rtt = tp.srtt_us
    delay = rtt * <unsigned long>(NSEC_PER_USEC >> 3) // <unsigned long>20
    if n.ipv4.sysctl_tcp_comp_sack_delay_ns < delay:
        delay = n.ipv4.sysctl_tcp_comp_sack_delay_ns
    sock_hold(sk)
    hrtimer_start_range_ns(&tp.compressed_ack_timer, <ktime_t>(tcp_clock_ns(n) + delay),
                           n.ipv4.sysctl_tcp_comp_sack_slack_ns)


cdef inline void tcp_ack_snd_check(sock *sk) noexcept nogil:
    # Nothing scheduled: a data segment has carried the ACK.
    if not inet_csk_ack_scheduled(sk):
        return
    __tcp_ack_snd_check(sk, 1)


# A new urgent pointer (RFC 9293 3.8.5). Like BSD, and unlike RFC 6093, it points behind the urgent byte unless
# tcp_stdurg is set.
cdef void tcp_check_urg(sock *sk, tcphdr *th) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *skb
    cdef u32 ptr = ntohs(th.urg_ptr)

    if ptr and not sock_net(sk).ipv4.sysctl_tcp_stdurg:
        ptr -= 1
    ptr += ntohl(th.seq)

    # Read already; or received already; or known already.
    if after(tp.copied_seq, ptr):
        return
    if before(ptr, tp.rcv_nxt):
        return
    if tp.urg_data and not after(ptr, tp.urg_seq):
        return

    # The reader stands on the last urgent byte, which it must not get as normal data: skip it.
    if (tp.urg_seq == tp.copied_seq and tp.urg_data and not sock_flag(sk, SOCK_URGINLINE) and
            tp.copied_seq != tp.rcv_nxt):
        skb = skb_peek(&sk.sk_receive_queue)
        tp.copied_seq += 1
        if skb != NULL and not before(tp.copied_seq, TCP_SKB_CB(skb).end_seq):
            __skb_unlink(skb, &sk.sk_receive_queue)
            __kfree_skb(skb)

    tp.urg_data = TCP_URG_NOTYET
    tp.urg_seq = ptr
    tp.pred_flags = 0


cdef void tcp_urg(sock *sk, sk_buff *skb, tcphdr *th) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 ptr
    cdef u8 tmp

    if th.flags & TCPHDR_URG:
        tcp_check_urg(sk, th)

    if tp.urg_data == TCP_URG_NOTYET:
        ptr = tp.urg_seq - ntohl(th.seq) + <u32>(__tcp_hdrlen(th))
        if th.flags & TCPHDR_SYN:
            ptr -= 1
        # The urgent byte is in this segment. It reads as 0 if the capture has cut it off.
        if ptr < skb.len:
            tmp = 0
            if skb_copy_bits(skb, <int>ptr, &tmp, 1):
                tmp = 0
            tp.urg_data = <u16>(TCP_URG_VALID | tmp)
            if not sock_flag(sk, SOCK_DEAD):
                sk.sk_data_ready(sk)


# After a FIN some stacks send the RST with the FIN's own number: RCV.NXT - 1 is taken too (cf. RFC 5961 3.2).
cdef bint tcp_reset_check(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    return (TCP_SKB_CB(skb).seq == <u32>(tp.rcv_nxt - 1) and
            ((<u32>1 << sk.sk_state) & <u32>(TCPF_CLOSE_WAIT | TCPF_LAST_ACK | TCPF_CLOSING)) != 0)


# Label syn_challenge of tcp_validate_incoming(): RFC 5961 4.2.
cdef void tcp_validate_syn_challenge(sock *sk, sk_buff *skb, int syn_inerr) noexcept nogil:
    if syn_inerr:
        TCP_INC_STATS(sock_net(sk), TCP_MIB_INERRS)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPSYNCHALLENGE)
    tcp_send_challenge_ack(sk, 0)
    tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_INVALID_SYN)


# PAWS, then sequence, RST and SYN as RFC 9293 3.10.7.4 and RFC 5961 order them. False: the skb was dealt with.
cdef bint tcp_validate_incoming(sock *sk, sk_buff *skb, tcphdr *th, int syn_inerr) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef tcp_sack_block *sp
    cdef bint rst = (th.flags & TCPHDR_RST) != 0
    cdef bint syn = (th.flags & TCPHDR_SYN) != 0
    cdef u32 max_sack
    cdef int this_sack
    cdef int reason

    # RFC 7323 5.3 R1. A RST needs not pass it.
    if (tcp_fast_parse_options(n, skb, th, tp) and tp.rx_opt.saw_tstamp and
            not tcp_paws_check(n, &tp.rx_opt, TCP_PAWS_WINDOW)):
        reason = tcp_disordered_ack_check(sk, skb)
        if reason and not rst:
            if syn:
                tcp_validate_syn_challenge(sk, skb, syn_inerr)
                return 0
            # An ACK overtaken by data is nothing to answer.
            if reason == SKB_DROP_REASON_TCP_RFC7323_PAWS_ACK:
                NET_INC_STATS(n, LINUX_MIB_PAWS_OLD_ACK)
            else:
                NET_INC_STATS(n, LINUX_MIB_PAWSESTABREJECTED)
                if not tcp_oow_rate_limited(n, skb, LINUX_MIB_TCPACKSKIPPEDPAWS, &tp.last_oow_ack_time):
                    tcp_send_dupack(sk, skb)
            tcp_drop_reason(sk, skb, reason)
            return 0

    # Step 1: the sequence number.
    reason = tcp_sequence(sk, TCP_SKB_CB(skb).seq, TCP_SKB_CB(skb).end_seq, th)
    if reason:
        if not rst:
            if syn:
                tcp_validate_syn_challenge(sk, skb, syn_inerr)
                return 0
            if reason == SKB_DROP_REASON_TCP_INVALID_SEQUENCE or reason == SKB_DROP_REASON_TCP_INVALID_END_SEQUENCE:
                NET_INC_STATS(n, LINUX_MIB_BEYOND_WINDOW)
            if not tcp_oow_rate_limited(n, skb, LINUX_MIB_TCPACKSKIPPEDSEQ, &tp.last_oow_ack_time):
                tcp_send_dupack(sk, skb)
        elif tcp_reset_check(sk, skb):
            tcp_reset(sk, skb)
            __kfree_skb(skb)
            return 0
        tcp_drop_reason(sk, skb, reason)
        return 0

    # Step 2: RST. RFC 5961 3.2: it must stand exactly at RCV.NXT (or at the right-most SACK block), else we ask.
    if rst:
        if TCP_SKB_CB(skb).seq == tp.rcv_nxt or tcp_reset_check(sk, skb):
            tcp_reset(sk, skb)
            __kfree_skb(skb)
            return 0

        if tcp_is_sack(tp) and tp.rx_opt.num_sacks > 0:
            sp = &tp.selective_acks[0]
            max_sack = sp[0].end_seq
            this_sack = 1
            while this_sack < tp.rx_opt.num_sacks:
                if after(sp[this_sack].end_seq, max_sack):
                    max_sack = sp[this_sack].end_seq
                this_sack += 1
            if TCP_SKB_CB(skb).seq == max_sack:
                tcp_reset(sk, skb)
                __kfree_skb(skb)
                return 0

        # A RST out of order and no data ever: something on the path dislikes Fast Open.
        if tp.syn_fastopen and not tp.data_segs_in and sk.sk_state == TCP_ESTABLISHED:
            tcp_fastopen_active_disable(sk)
        tcp_send_challenge_ack(sk, 0)
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_RESET)
        return 0

    # Step 4: SYN. After crossed SYNs the peer's SYN-ACK passes: it is the SYN again, with the ACK we wait for.
    if syn:
        if (sk.sk_state == TCP_SYN_RECV and sk.sk_socket != NULL and (th.flags & TCPHDR_ACK) and
                <u32>(TCP_SKB_CB(skb).seq + 1) == TCP_SKB_CB(skb).end_seq and
                <u32>(TCP_SKB_CB(skb).seq + 1) == tp.rcv_nxt and
                TCP_SKB_CB(skb).ack_seq == tp.snd_nxt):
            return 1
        tcp_validate_syn_challenge(sk, skb, syn_inerr)
        return 0

    return 1


# Label csum_error of tcp_rcv_established().
cdef void tcp_rcv_csum_error(sock *sk, sk_buff *skb) noexcept nogil:
    trace_tcp_bad_csum(skb)
    TCP_INC_STATS(sock_net(sk), TCP_MIB_CSUMERRORS)
    TCP_INC_STATS(sock_net(sk), TCP_MIB_INERRS)
    tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_CSUM)


# A segment for an ESTABLISHED socket. The fast path (Van Jacobson's header prediction) takes pure ACKs and in-order
# data of one-way transfers whose header is the one that pred_flags expects; everything else goes the long way.
cdef void tcp_rcv_established(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef tcphdr *th = <tcphdr *>skb.data
    cdef unsigned int len_ = skb.len
    cdef unsigned int tcp_header_len
    cdef s32 delta = 0
    cdef int flag = 0
    cdef int eaten
    cdef int reason
    cdef bint fragstolen = 0
    cdef bint slow = 1          # from label slow_path on
    cdef bint validate = 1      # ... from label validate on

    trace_tcp_probe(sk, skb)

    tcp_mstamp_refresh(tp)
    if sk.sk_rx_dst == NULL:
        inet_csk(sk).icsk_af_ops.sk_rx_dst_set(sk, skb)

    tp.rx_opt.saw_tstamp = 0
    tp.rx_opt.accecn = 0

    if ((tcp_flag_word(th) & TCP_HP_BITS()) == tp.pred_flags and TCP_SKB_CB(skb).seq == tp.rcv_nxt and
            not after(TCP_SKB_CB(skb).ack_seq, tp.snd_nxt)):
        # doff * 4, because pred_flags holds it.
        tcp_header_len = tp.tcp_header_len
        slow = 0

        # ts_recent is not touched before the checksum is known to be right.
        if tcp_header_len == sizeof(tcphdr) + TCPOLEN_TSTAMP_ALIGNED:
            if not tcp_parse_aligned_timestamp(tp, th):
                slow = 1
            else:
                delta = <s32>(tp.rx_opt.rcv_tsval - tp.rx_opt.ts_recent)
                if delta < 0:
                    slow = 1

        if not slow:
            if len_ < tcp_header_len:
                TCP_INC_STATS(sock_net(sk), TCP_MIB_INERRS)
                tcp_drop_reason(sk, skb, SKB_DROP_REASON_PKT_TOO_SMALL)
                return

            if len_ == tcp_header_len:
                # A pure ACK: we are the sender. seq == rcv_nxt, so seq <= rcv_wup reads rcv_nxt == rcv_wup.
                if (tcp_header_len == sizeof(tcphdr) + TCPOLEN_TSTAMP_ALIGNED and tp.rcv_nxt == tp.rcv_wup):
                    flag |= __tcp_replace_ts_recent(tp, delta)

                tcp_ecn_received_counters(sk, skb, 0)
                tcp_ack(sk, skb, flag)
                __kfree_skb(skb)
                tcp_data_snd_check(sk)
                tp.rcv_rtt_last_tsecr = tp.rx_opt.rcv_tsecr
                return

            if tcp_checksum_complete(skb):
                tcp_rcv_csum_error(sk, skb)
                return

            if not after(TCP_SKB_CB(skb).end_seq, tp.rcv_nxt + tcp_receive_window(tp)):
                if <int>skb.truesize <= sk.sk_forward_alloc:
                    # In-order data: we are the receiver.
                    if (tcp_header_len == sizeof(tcphdr) + TCPOLEN_TSTAMP_ALIGNED and tp.rcv_nxt == tp.rcv_wup):
                        flag |= __tcp_replace_ts_recent(tp, delta)

                    tcp_rcv_rtt_measure_ts(sk, skb)
                    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPHPHITS)

                    tcp_cleanup_skb(skb)
                    __skb_pull(skb, tcp_header_len)
                    tcp_ecn_received_counters(sk, skb, len_ - tcp_header_len)
                    eaten = tcp_queue_rcv(sk, skb, &fragstolen)
                    tcp_event_data_recv(sk, skb)

                    if TCP_SKB_CB(skb).ack_seq != tp.snd_una:
                        tcp_ack(sk, skb, flag | FLAG_DATA)
                        tcp_data_snd_check(sk)
                        if inet_csk_ack_scheduled(sk):
                            __tcp_ack_snd_check(sk, 0)
                    else:
                        tcp_update_wl(tp, TCP_SKB_CB(skb).seq)
                        __tcp_ack_snd_check(sk, 0)

                    if eaten:
                        kfree_skb_partial(skb, fragstolen)
                    tcp_data_ready(sk)
                    return
                validate = 0

    if slow:
        if len_ < <unsigned int>((th.doff_res >> 4) << 2) or tcp_checksum_complete(skb):
            tcp_rcv_csum_error(sk, skb)
            return
        if not (th.flags & (TCPHDR_ACK | TCPHDR_RST | TCPHDR_SYN)):
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_FLAGS)
            return

    if validate:
        if not tcp_validate_incoming(sk, skb, th, 1):
            return

    tcp_ecn_received_counters_payload(sk, skb)

    reason = tcp_ack(sk, skb, FLAG_SLOWPATH | FLAG_UPDATE_TS_RECENT)
    if reason < 0:
        tcp_drop_reason(sk, skb, -reason)
        return
    tcp_rcv_rtt_measure_ts(sk, skb)
    tcp_urg(sk, skb, th)
    tcp_data_queue(sk, skb)
    tcp_data_snd_check(sk)
    tcp_ack_snd_check(sk)


# The handshake is done: metrics, initial window, congestion control, buffers. (bpf_op: no BPF here.)
cdef void tcp_init_transfer(sock *sk, int bpf_op, sk_buff *skb) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)

    tcp_mtup_init(sk)
    icsk.icsk_af_ops.rebuild_header(sk)
    tcp_init_metrics(sk)

    # RFC 5681 3.1 wants one segment if a SYN was lost; with the 1 s RTO of RFC 6298 only if more than one was.
    if tp.total_retrans > 1 and tp.undo_marker:
        tcp_snd_cwnd_set(tp, 1)
    else:
        tcp_snd_cwnd_set(tp, tcp_init_cwnd(tp, __sk_dst_get(sk)))
    tp.snd_cwnd_stamp = tcp_jiffies32(sock_net(sk))

    if not icsk.icsk_ca_initialized:
        tcp_init_congestion_control(sk)
    tcp_init_buffer_space(sk)


# Active open: SYN-ACK accepted. skb is NULL in repair mode.
cdef void tcp_finish_connect(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)

    tcp_set_state(sk, TCP_ESTABLISHED)
    icsk.icsk_ack.lrcvtime = tcp_jiffies32(sock_net(sk))

    if skb != NULL:
        icsk.icsk_af_ops.sk_rx_dst_set(sk, skb)

    tcp_init_transfer(sk, BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, skb)

    # The first data is no restart after idle.
    tp.lsndtime = tcp_jiffies32(sock_net(sk))

    if sock_flag(sk, SOCK_KEEPOPEN):
        tcp_reset_keepalive_timer(sk, keepalive_time_when(tp))

    if not tp.rx_opt.snd_wscale:
        __tcp_fast_path_on(tp, tp.snd_wnd)
    else:
        tp.pred_flags = 0


# RFC 7413 4.1.3: remember the cookie, resend what the SYN-ACK did not take. True: data has to go again.
cdef bint tcp_rcv_fastopen_synack(sock *sk, sk_buff *synack, tcp_fastopen_cookie *cookie) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *data = NULL
    cdef tcp_options_received opt
    cdef u16 mss = tp.rx_opt.mss_clamp
    cdef u16 try_exp = 0
    cdef bint syn_drop = 0

    if tp.syn_data:
        data = tcp_rtx_queue_head(sk)

    if mss == tp.rx_opt.user_mss:
        # mss_clamp may be the user's; the cache wants the peer's.
        tcp_clear_options(&opt)
        opt.mss_clamp = 0
        opt.user_mss = 0
        tcp_parse_options(sock_net(sk), synack, &opt, 0, NULL)
        mss = opt.mss_clamp

    if not tp.syn_fastopen:
        # Nobody asked.
        cookie.len = -1
    elif tp.total_retrans:
        # Only the SYN without data seems to have arrived.
        syn_drop = cookie.len < 0 and data != NULL
    elif cookie.len < 0 and not tp.syn_data:
        # Asked in vain: the other option kind next time.
        try_exp = 2 if tp.syn_fastopen_exp else 1

    tcp_fastopen_cache_set(sk, mss, cookie, syn_drop, try_exp)

    if data != NULL:
        if tp.total_retrans:
            tp.fastopen_client_fail = TFO_SYN_RETRANSMITTED
        else:
            tp.fastopen_client_fail = TFO_DATA_NOT_ACKED
        while data != NULL:
            tcp_mark_skb_lost(sk, data)
            data = skb_rb_next(data)
        tcp_non_congestion_loss_retransmit(sk)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPFASTOPENACTIVEFAIL)
        return 1

    tp.syn_data_acked = tp.syn_data
    if tp.syn_data_acked:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPFASTOPENACTIVE)
        # SYN and data were counted as two.
        if tp.delivered > 1:
            tp.delivered -= 1

    tcp_fastopen_add_skb(sk, synack)
    return 0


# The SYN (or SYN-ACK) timed out, but the peer echoes the first one's timestamp: the timeout was spurious (RFC 3522).
cdef void tcp_try_undo_spurious_syn(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 syn_stamp = tp.retrans_stamp

    if tp.undo_marker and syn_stamp and tp.rx_opt.saw_tstamp and syn_stamp == tp.rx_opt.rcv_tsecr:
        tp.undo_marker = 0


# Labels discard_and_undo and reset_and_undo: the options of a SYN that was not accepted are forgotten.
cdef void tcp_synsent_undo_options(tcp_sock *tp, int saved_clamp) noexcept nogil:
    tcp_clear_options(&tp.rx_opt)
    tp.rx_opt.mss_clamp = <u16>saved_clamp


# RFC 9293 3.10.7.3. Negative: go on with step 6 and free the skb; 0: done; positive: send a RST for this reason.
cdef int tcp_rcv_synsent_state_process(sock *sk, sk_buff *skb, tcphdr *th) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef tcp_fastopen_cookie foc
    cdef int saved_clamp = tp.rx_opt.mss_clamp
    cdef bint fastopen_fail

    memset(&foc, 0, sizeof(tcp_fastopen_cookie))
    foc.len = -1

    tcp_parse_options(n, skb, &tp.rx_opt, 0, &foc)
    if tp.rx_opt.saw_tstamp and tp.rx_opt.rcv_tsecr:
        tp.rx_opt.rcv_tsecr -= tp.tsoffset

    if th.flags & TCPHDR_ACK:
        # SEG.ACK =< ISS or SEG.ACK > SND.NXT: a reset.
        if (not after(TCP_SKB_CB(skb).ack_seq, tp.snd_una) or
                after(TCP_SKB_CB(skb).ack_seq, tp.snd_nxt)):
            # Left over from an older connection perhaps: try the SYN again soon.
            if icsk.icsk_retransmits == 0:
                tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, TCP_TIMEOUT_MIN, 0)
            tcp_synsent_undo_options(tp, saved_clamp)
            return SKB_DROP_REASON_TCP_INVALID_ACK_SEQUENCE

        if (tp.rx_opt.saw_tstamp and tp.rx_opt.rcv_tsecr and
                not between(tp.rx_opt.rcv_tsecr, tp.retrans_stamp, tcp_time_stamp_ts(tp))):
            NET_INC_STATS(n, LINUX_MIB_PAWSACTIVEREJECTED)
            tcp_synsent_undo_options(tp, saved_clamp)
            return SKB_DROP_REASON_TCP_RFC7323_PAWS

        if th.flags & TCPHDR_RST:
            tcp_reset(sk, skb)
            __kfree_skb(skb)
            return 0

        if not (th.flags & TCPHDR_SYN):
            tcp_synsent_undo_options(tp, saved_clamp)
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_FLAGS)
            return 0

        if tcp_ecn_mode_any(tp):
            tcp_ecn_rcv_synack(sk, skb, th, TCP_SKB_CB(skb).ip_dsfield)

        tcp_init_wl(tp, TCP_SKB_CB(skb).seq)
        tcp_try_undo_spurious_syn(sk)
        tcp_ack(sk, skb, FLAG_SLOWPATH)

        tp.rcv_nxt = TCP_SKB_CB(skb).seq + 1
        tp.rcv_wup = TCP_SKB_CB(skb).seq + 1

        tp.irs = TCP_SKB_CB(skb).seq

        # RFC 7323 2.2: never scaled in a SYN.
        tp.snd_wnd = ntohs(th.window)

        if not tp.rx_opt.wscale_ok:
            tp.rx_opt.snd_wscale = 0
            tp.rx_opt.rcv_wscale = 0
            tp.window_clamp = min_u32(tp.window_clamp, 65535)

        if tp.rx_opt.saw_tstamp:
            tp.rx_opt.tstamp_ok = 1
            tp.tcp_header_len = sizeof(tcphdr) + TCPOLEN_TSTAMP_ALIGNED
            tp.advmss -= TCPOLEN_TSTAMP_ALIGNED
            tcp_store_ts_recent(tp)
        else:
            tp.tcp_header_len = sizeof(tcphdr)

        tcp_sync_mss(sk, icsk.icsk_pmtu_cookie)
        tcp_initialize_rcv_mss(sk)

        tp.copied_seq = tp.rcv_nxt

        tcp_finish_connect(sk, skb)

        fastopen_fail = (tp.syn_fastopen or tp.syn_data) and tcp_rcv_fastopen_synack(sk, skb, &foc)

        if not sock_flag(sk, SOCK_DEAD):
            sk.sk_state_change(sk)
        if fastopen_fail:
            return -1
        if (sk.sk_write_pending or icsk.icsk_accept_queue.rskq_defer_accept or inet_csk_in_pingpong_mode(sk)):
            # Data will follow soon and carry the ACK.
            inet_csk_schedule_ack(sk)
            tcp_enter_quickack_mode(sk, TCP_MAX_QUICKACKS)
            tcp_reset_xmit_timer(sk, ICSK_TIME_DACK, TCP_DELACK_MAX(n), 0)
            __kfree_skb(skb)
            return 0
        tcp_send_ack_reflect_ect(sk, 0)
        return -1

    # No ACK in it.
    if th.flags & TCPHDR_RST:
        tcp_synsent_undo_options(tp, saved_clamp)
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_RESET)
        return 0

    if tp.rx_opt.ts_recent_stamp and tp.rx_opt.saw_tstamp and tcp_paws_reject(n, &tp.rx_opt, 0):
        tcp_synsent_undo_options(tp, saved_clamp)
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_RFC7323_PAWS)
        return 0

    if th.flags & TCPHDR_SYN:
        # Simultaneous open (RFC 9293 3.5, figure 7). Data in this SYN is not taken.
        tcp_set_state(sk, TCP_SYN_RECV)

        if tp.rx_opt.saw_tstamp:
            tp.rx_opt.tstamp_ok = 1
            tcp_store_ts_recent(tp)
            tp.tcp_header_len = sizeof(tcphdr) + TCPOLEN_TSTAMP_ALIGNED
        else:
            tp.tcp_header_len = sizeof(tcphdr)

        tp.rcv_nxt = TCP_SKB_CB(skb).seq + 1
        tp.copied_seq = tp.rcv_nxt
        tp.rcv_wup = TCP_SKB_CB(skb).seq + 1
        tp.irs = TCP_SKB_CB(skb).seq

        tp.snd_wnd = ntohs(th.window)
        tp.snd_wl1 = TCP_SKB_CB(skb).seq
        tp.max_window = tp.snd_wnd

        tcp_ecn_rcv_syn(sk, th, skb)

        tcp_mtup_init(sk)
        tcp_sync_mss(sk, icsk.icsk_pmtu_cookie)
        tcp_initialize_rcv_mss(sk)

        tcp_send_synack(sk)
        __kfree_skb(skb)
        return 0

    # Neither SYN nor RST.
    tcp_synsent_undo_options(tp, saved_clamp)
    tcp_drop_reason(sk, skb, SKB_DROP_REASON_NOT_SPECIFIED)
    return 0


# Fast Open, passive: the child that was made by the SYN has its handshake done.
cdef void tcp_rcv_synrecv_state_fastopen(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    # Still after a timeout of the SYN-ACK: the echoed timestamp may tell that it was spurious.
    if inet_csk(sk).icsk_ca_state == TCP_CA_Loss and not tp.packets_out:
        tcp_try_undo_recovery(sk)

    tcp_update_rto_time(tp)
    inet_csk(sk).icsk_retransmits = 0
    # Set by the first timeout of the SYN-ACK without entering Loss; kept if we are in Recovery.
    tcp_retrans_stamp_cleanup(sk)

    reqsk_fastopen_remove(sk, tp.fastopen_rsk, 0)

    # Data may be out already.
    tcp_rearm_rto(sk)


# RFC 9293 3.10.7, all states but ESTABLISHED and TIME_WAIT. Not 0: the caller sends a RST (and frees the skb).
cdef int tcp_rcv_state_process(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef net *n = sock_net(sk)
    cdef tcphdr *th = tcp_hdr(skb)
    cdef request_sock *req
    cdef bint req_stolen = 0
    cdef u32 fin = th.flags & TCPHDR_FIN
    cdef int queued = 0
    cdef int tmo
    cdef int reason = SKB_DROP_REASON_NOT_SPECIFIED

    if sk.sk_state == TCP_CLOSE:
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_CLOSE)
        return 0

    if sk.sk_state == TCP_LISTEN:
        if th.flags & TCPHDR_ACK:
            return SKB_DROP_REASON_TCP_FLAGS
        if th.flags & TCPHDR_RST:
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_RESET)
            return 0
        if th.flags & TCPHDR_SYN:
            if fin:
                tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_FLAGS)
                return 0
            icsk.icsk_af_ops.conn_request(sk, skb)
            consume_skb(skb)
            return 0
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_FLAGS)
        return 0

    if sk.sk_state == TCP_SYN_SENT:
        tp.rx_opt.saw_tstamp = 0
        tcp_mstamp_refresh(tp)
        queued = tcp_rcv_synsent_state_process(sk, skb, th)
        if queued >= 0:
            return queued

        # What is left of the steps.
        tcp_urg(sk, skb, th)
        __kfree_skb(skb)
        tcp_data_snd_check(sk)
        return 0

    tcp_mstamp_refresh(tp)
    tp.rx_opt.saw_tstamp = 0
    req = tp.fastopen_rsk
    if req != NULL:
        reason = SKB_DROP_REASON_TCP_FASTOPEN
        if tcp_check_req(sk, skb, req, 1, &req_stolen, &reason) == NULL:
            tcp_drop_reason(sk, skb, reason)
            return 0

    if not (th.flags & (TCPHDR_ACK | TCPHDR_RST | TCPHDR_SYN)):
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_FLAGS)
        return 0

    if not tcp_validate_incoming(sk, skb, th, 0):
        return 0

    # Step 5: the ACK field.
    reason = tcp_ack(sk, skb, FLAG_SLOWPATH | FLAG_UPDATE_TS_RECENT | FLAG_NO_CHALLENGE_ACK)
    if reason <= 0:
        if sk.sk_state == TCP_SYN_RECV:
            if not reason:
                return SKB_DROP_REASON_TCP_OLD_ACK
            return -reason
        # An old ACK is all right while closing.
        if reason < 0:
            tcp_send_challenge_ack(sk, 0)
            tcp_drop_reason(sk, skb, -reason)
            return 0
    reason = SKB_DROP_REASON_NOT_SPECIFIED

    if sk.sk_state == TCP_SYN_RECV:
        # tcp_ack() knows nothing of the SYN-ACK's delivery.
        tp.delivered += 1
        if not tp.srtt_us:
            tcp_synack_rtt_meas(sk, req)

        if tp.rx_opt.tstamp_ok:
            tp.advmss -= TCPOLEN_TSTAMP_ALIGNED

        if req != NULL:
            tcp_rcv_synrecv_state_fastopen(sk)
        else:
            tcp_try_undo_spurious_syn(sk)
            tp.retrans_stamp = 0
            tcp_init_transfer(sk, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, skb)
            tp.copied_seq = tp.rcv_nxt
        tcp_set_state(sk, TCP_ESTABLISHED)
        sk.sk_state_change(sk)

        tp.snd_una = TCP_SKB_CB(skb).ack_seq
        tp.snd_wnd = (<u32>ntohs(th.window)) << tp.rx_opt.snd_wscale
        tcp_init_wl(tp, TCP_SKB_CB(skb).seq)

        if icsk.icsk_ca_ops.cong_control == NULL:
            tcp_update_pacing_rate(sk)

        tp.lsndtime = tcp_jiffies32(n)

        tcp_initialize_rcv_mss(sk)
        tcp_fast_path_on(tp)
        if sk.sk_shutdown & SEND_SHUTDOWN:
            tcp_shutdown(sk, SEND_SHUTDOWN)

    elif sk.sk_state == TCP_FIN_WAIT1:
        if req != NULL:
            tcp_rcv_synrecv_state_fastopen(sk)

        if tp.snd_una == tp.write_seq:
            # Our FIN is acknowledged.
            tcp_set_state(sk, TCP_FIN_WAIT2)
            sk.sk_shutdown |= SEND_SHUTDOWN
            sk_dst_confirm(sk)

            if not sock_flag(sk, SOCK_DEAD):
                # A lingering close() waits for this.
                sk.sk_state_change(sk)
            else:
                if tp.linger2 < 0:
                    tcp_done(sk)
                    NET_INC_STATS(n, LINUX_MIB_TCPABORTONDATA)
                    return SKB_DROP_REASON_TCP_ABORT_ON_DATA
                if (TCP_SKB_CB(skb).end_seq != TCP_SKB_CB(skb).seq and
                        after(TCP_SKB_CB(skb).end_seq - fin, tp.rcv_nxt)):
                    # Data after close(): nobody will read it (RFC 1122 4.2.2.13).
                    if tp.syn_fastopen and fin:
                        tcp_fastopen_active_disable(sk)
                    tcp_done(sk)
                    NET_INC_STATS(n, LINUX_MIB_TCPABORTONDATA)
                    return SKB_DROP_REASON_TCP_ABORT_ON_DATA

                tmo = tcp_fin_time(sk)
                if tmo > <int>TCP_TIMEWAIT_LEN(n):
                    tcp_reset_keepalive_timer(sk, <unsigned long>(tmo - <int>TCP_TIMEWAIT_LEN(n)))
                elif fin:
                    # This FIN is still to be processed, so the big socket stays.
                    tcp_reset_keepalive_timer(sk, <unsigned long>tmo)
                else:
                    tcp_time_wait(sk, TCP_FIN_WAIT2, tmo)
                    __kfree_skb(skb)
                    return 0

    elif sk.sk_state == TCP_CLOSING:
        if tp.snd_una == tp.write_seq:
            tcp_time_wait(sk, TCP_TIME_WAIT, 0)
            __kfree_skb(skb)
            return 0

    elif sk.sk_state == TCP_LAST_ACK:
        if tp.snd_una == tp.write_seq:
            tcp_update_metrics(sk)
            tcp_done(sk)
            __kfree_skb(skb)
            return 0

    # Step 6: urgent data.
    tcp_urg(sk, skb, th)

    # Step 7: text.
    if ((sk.sk_state == TCP_CLOSE_WAIT or sk.sk_state == TCP_CLOSING or sk.sk_state == TCP_LAST_ACK) and
            not before(TCP_SKB_CB(skb).seq, tp.rcv_nxt)):
        pass                            # beyond the FIN
    elif (sk.sk_state == TCP_CLOSE_WAIT or sk.sk_state == TCP_CLOSING or sk.sk_state == TCP_LAST_ACK or
            sk.sk_state == TCP_FIN_WAIT1 or sk.sk_state == TCP_FIN_WAIT2 or sk.sk_state == TCP_ESTABLISHED):
        # New data on a socket that cannot be read any more: RFC 1122 4.2.2.13 wants a RST.
        if sk.sk_state != TCP_ESTABLISHED and (sk.sk_shutdown & RCV_SHUTDOWN):
            if (TCP_SKB_CB(skb).end_seq != TCP_SKB_CB(skb).seq and
                    after(TCP_SKB_CB(skb).end_seq - fin, tp.rcv_nxt)):
                NET_INC_STATS(n, LINUX_MIB_TCPABORTONDATA)
                tcp_reset(sk, skb)
                return SKB_DROP_REASON_TCP_ABORT_ON_DATA
        tcp_data_queue(sk, skb)
        queued = 1

    # The data may have brought the socket to TIME_WAIT.
    if sk.sk_state != TCP_CLOSE:
        tcp_data_snd_check(sk)
        tcp_ack_snd_check(sk)

    if not queued:
        tcp_drop_reason(sk, skb, reason)
    return 0


# RFC 3168 6.1.1: ECN is granted if the SYN asks for it (ECE and CWR) and we want it, and if its IP header is not
# ECT already (which a SYN must not be), unless reserved TCP bits announce an extension (RFC 8311 4.3), or the
# congestion control needs ECN.
cdef void tcp_ecn_create_request(request_sock *req, sk_buff *skb, sock *listen_sk, dst_entry *dst) noexcept nogil:
    cdef tcphdr *th = tcp_hdr(skb)
    cdef net *n = sock_net(listen_sk)
    cdef bint ect, ecn_ok
    cdef u32 ecn_ok_dst

    if not ((th.flags & TCPHDR_ECE) and (th.flags & TCPHDR_CWR)):
        return

    ect = not INET_ECN_is_not_ect(TCP_SKB_CB(skb).ip_dsfield)
    ecn_ok_dst = dst_feature(dst, DST_FEATURE_ECN_MASK)
    ecn_ok = n.ipv4.sysctl_tcp_ecn != 0 or ecn_ok_dst != 0

    # Low four bits: res1 and ae.
    if (((not ect or (th.doff_res & 0x0f)) and ecn_ok) or tcp_ca_needs_ecn(listen_sk) or
            (ecn_ok_dst & <u32>DST_FEATURE_ECN_CA)):
        inet_rsk(req).ecn_ok = 1


cdef void tcp_openreq_init(request_sock *req, tcp_options_received *rx_opt, sk_buff *skb, sock *sk) noexcept nogil:
    cdef inet_request_sock *ireq = inet_rsk(req)

    req.rsk_rcv_wnd = 0                 # not chosen yet
    tcp_rsk(req).rcv_isn = TCP_SKB_CB(skb).seq
    tcp_rsk(req).rcv_nxt = TCP_SKB_CB(skb).seq + 1
    tcp_rsk(req).snt_synack = 0
    tcp_rsk(req).snt_tsval_first = 0
    tcp_rsk(req).last_oow_ack_time = 0
    req.mss = rx_opt.mss_clamp
    req.ts_recent = rx_opt.rcv_tsval if rx_opt.saw_tstamp else <u32>0
    ireq.tstamp_ok = rx_opt.tstamp_ok
    ireq.sack_ok = rx_opt.sack_ok
    ireq.snd_wscale = rx_opt.snd_wscale
    ireq.wscale_ok = rx_opt.wscale_ok
    ireq.acked = 0
    ireq.ecn_ok = 0
    ireq.req.ir_rmt_port = tcp_hdr(skb).source
    ireq.req.ir_num = ntohs(tcp_hdr(skb).dest)
    ireq.ir_mark = inet_request_mark(sk, skb)


# The request queue is full: true if a cookie may stand in for the request (RFC 4987 3.6). `proto` names the protocol
# in the kernel's log line, which there is none of here.
cdef bint tcp_syn_flood_action(sock *sk, const char *proto) noexcept nogil:
    cdef request_sock_queue *queue = &inet_csk(sk).icsk_accept_queue
    cdef bint want_cookie = 0
    cdef u8 syncookies = sock_net(sk).ipv4.sysctl_tcp_syncookies

    if syncookies:
        want_cookie = 1
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPREQQFULLDOCOOKIES)
    else:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPREQQFULLDROP)

    if syncookies != 2 and not queue.synflood_warned:
        queue.synflood_warned = 1
    return want_cookie


# TCP_SAVE_SYN: the headers of the SYN are kept for TCP_SAVED_SYN.
cdef void tcp_reqsk_record_syn(sock *sk, request_sock *req, sk_buff *skb) noexcept nogil:
    cdef u32 network_hdrlen, tcp_hdrlen_
    cdef u32 mac_hdrlen = 0
    cdef saved_syn *saved

    if not tcp_sk(sk).save_syn:
        return
    network_hdrlen = skb_network_header_len(skb)
    tcp_hdrlen_ = tcp_hdrlen(skb)
    # Of the link layer's header there is the length alone: its bytes are zeros.
    if tcp_sk(sk).save_syn == 2:
        mac_hdrlen = skb.mac_len
    saved = <saved_syn *>kmem_cache_alloc(&sock_net(sk).misc_slab)
    if saved != NULL:
        saved.mac_hdrlen = mac_hdrlen
        saved.network_hdrlen = network_hdrlen
        saved.tcp_hdrlen = tcp_hdrlen_
        memset(&saved.data[0], 0, mac_hdrlen)
        memcpy(&saved.data[mac_hdrlen], skb.network_header, network_hdrlen + tcp_hdrlen_)
        req.saved_syn = saved


# For a SYN that is answered statelessly: the MSS for its cookie, 0 if no cookie is due.
cdef u16 tcp_get_syncookie_mss(request_sock_ops *rsk_ops, tcp_request_sock_ops *af_ops, sock *sk,
                               tcphdr *th) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u16 mss

    if sock_net(sk).ipv4.sysctl_tcp_syncookies != 2 and not inet_csk_reqsk_queue_is_full(sk):
        return 0
    if not tcp_syn_flood_action(sk, b"TCP"):
        return 0
    if sk_acceptq_is_full(sk):
        NET_INC_STATS(sock_net(sk), LINUX_MIB_LISTENOVERFLOWS)
        return 0

    mss = tcp_parse_mss_option(th, tp.rx_opt.user_mss)
    if not mss:
        mss = af_ops.mss_clamp
    return mss


# A SYN for a listener: makes a request and answers with a SYN-ACK (RFC 9293 3.10.7.2). Always 0.
cdef int tcp_conn_request(request_sock_ops *rsk_ops, tcp_request_sock_ops *af_ops, sock *sk,
                          sk_buff *skb) noexcept nogil:
    cdef tcp_fastopen_cookie foc
    cdef u32 isn = TCP_SKB_CB(skb).tcp_tw_isn
    cdef tcp_options_received tmp_opt
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef sock *fastopen_sk = NULL
    cdef tcp_seq_and_ts_off st
    cdef request_sock *req
    cdef bint want_cookie = 0
    cdef dst_entry *dst
    cdef flowi fl
    cdef u8 syncookies = 0
    cdef int max_syn_backlog

    memset(&foc, 0, sizeof(tcp_fastopen_cookie))
    foc.len = -1
    st.seq = 0
    st.ts_off = 0

    # A SYN that reopens a TIME_WAIT pair (isn given) is evidently real: no queue limit, no cookie.
    if not isn:
        syncookies = n.ipv4.sysctl_tcp_syncookies
        if syncookies == 2 or inet_csk_reqsk_queue_is_full(sk):
            want_cookie = tcp_syn_flood_action(sk, b"TCP")
            if not want_cookie:
                tcp_listendrop(sk)
                return 0

    if sk_acceptq_is_full(sk):
        NET_INC_STATS(n, LINUX_MIB_LISTENOVERFLOWS)
        tcp_listendrop(sk)
        return 0

    req = inet_reqsk_alloc(rsk_ops, sk, not want_cookie)
    if req == NULL:
        tcp_listendrop(sk)
        return 0

    req.syncookie = want_cookie
    tcp_rsk(req).af_specific = af_ops
    tcp_rsk(req).ts_off = 0
    tcp_rsk(req).req_usec_ts = 0

    memset(&tmp_opt, 0, sizeof(tcp_options_received))
    tcp_clear_options(&tmp_opt)
    tmp_opt.mss_clamp = af_ops.mss_clamp
    tmp_opt.user_mss = tp.rx_opt.user_mss
    tcp_parse_options(n, skb, &tmp_opt, 0, NULL if want_cookie else &foc)

    # The cookie's options travel in the timestamp.
    if want_cookie and not tmp_opt.saw_tstamp:
        tcp_clear_options(&tmp_opt)

    tmp_opt.tstamp_ok = tmp_opt.saw_tstamp
    tcp_openreq_init(req, &tmp_opt, skb, sk)
    inet_rsk(req).no_srccheck = inet_test_bit(INET_FLAGS_TRANSPARENT, sk)

    req.ir_iif = inet_request_bound_dev_if(sk, skb)

    dst = af_ops.route_req(sk, skb, &fl, req, isn)
    if dst == NULL:
        __reqsk_free(req)
        tcp_listendrop(sk)
        return 0

    if tmp_opt.tstamp_ok or (not want_cookie and not isn):
        st = af_ops.init_seq_and_ts_off(n, skb)

    if tmp_opt.tstamp_ok:
        tcp_rsk(req).req_usec_ts = dst_tcp_usec_ts(dst)
        tcp_rsk(req).ts_off = st.ts_off

    if not want_cookie and not isn:
        max_syn_backlog = n.ipv4.sysctl_max_syn_backlog
        # Without syncookies the last quarter of the backlog is for peers that we have talked to before.
        if (not syncookies and
                (max_syn_backlog - inet_csk_reqsk_queue_len(sk) < (max_syn_backlog >> 2)) and
                not tcp_peer_is_proven(req, dst)):
            dst_release(dst)
            __reqsk_free(req)
            tcp_listendrop(sk)
            return 0
        isn = st.seq

    tcp_ecn_create_request(req, skb, sk, dst)

    if want_cookie:
        isn = cookie_init_sequence(af_ops, sk, skb, &req.mss)
        if not tmp_opt.tstamp_ok:
            inet_rsk(req).ecn_ok = 0

    tcp_rsk(req).snt_isn = isn
    tcp_rsk(req).txhash = net_tx_rndhash(n)
    tcp_rsk(req).syn_tos = TCP_SKB_CB(skb).ip_dsfield
    tcp_openreq_init_rwin(req, sk, dst)
    sk_rx_queue_set(req_to_sk(req), skb)
    if not want_cookie:
        tcp_reqsk_record_syn(sk, req, skb)
        fastopen_sk = tcp_try_fastopen(sk, skb, req, &foc, dst)

    if fastopen_sk != NULL:
        af_ops.send_synack(fastopen_sk, dst, &fl, req, &foc, TCP_SYNACK_FASTOPEN, skb)
        # The child can be accepted at once.
        if inet_csk_reqsk_queue_add(sk, req, fastopen_sk) == NULL:
            sock_put(fastopen_sk)
            __reqsk_free(req)
            tcp_listendrop(sk)
            return 0
        sk.sk_data_ready(sk)
        sock_put(fastopen_sk)
    else:
        tcp_rsk(req).tfo_listener = 0
        if not want_cookie and not inet_csk_reqsk_queue_hash_add(sk, req):
            reqsk_free(req)
            dst_release(dst)
            return 0
        af_ops.send_synack(sk, dst, &fl, req, &foc,
                           TCP_SYNACK_COOKIE if want_cookie else TCP_SYNACK_NORMAL, skb)
        if want_cookie:
            reqsk_free(req)
            return 0
    reqsk_put(req)
    return 0
