"""TCP transmit: everything between the write queue and IP.

Builds every header and option that a TCP socket sends (SYN, SYN-ACK, data, ACK, FIN, RST, probes), selects the window
to offer, cuts the stream into segments, decides when one may leave (congestion window, peer's window, Nagle, TSO
deferral, pacing, small queues), probes for path MTU and tail loss, and retransmits.

RFC 9293 (TCP), 7323 (timestamps, window scale), 2018/2883 (SACK, D-SACK), 1122 4.2.3 (SWS avoidance, delayed ACK), 896
and Minshall's variant (Nagle), 3168 (ECN), 2861/7661 (cwnd validation), 4821 (MTU probing), 8985 7 (tail loss probe),
7413 (Fast Open), 2525 2.17 (reset on close).

Follows net/ipv4/tcp_output.c of Linux 6.18 (GPL-2.0-only). Deviations:
- no payload and no checksums; the header goes into net.txbuf, the device consumes it before the next is built;
- no MPTCP, SMC, TCP-AO, BPF options; no AccECN (sysctl tcp_ecn cannot ask for it here);
- skb.tcp_tsorted_anchor shares no memory with destructor and route: nothing is saved around a clone;
- the copy for an skb whose headroom exceeds 64K is left out: an skb of the write queue has no linear data;
- the per-CPU TSQ list is one list of the host; its bottom half runs as a timer that is due at once.
"""
from libc.string cimport memcpy, memset

from kpath_c.headers.tcp cimport *
from kpath_c.headers.errqueue cimport msg_ext_of, msg_fault
from kpath_c.net_tcp cimport *
from kpath_c.ip_output cimport ip_queue_xmit
from kpath_c.tcp_ipv4 cimport tcp_v4_send_check
from kpath_c.shim.timer cimport (hrtimer_cancel, hrtimer_is_queued, hrtimer_setup, hrtimer_start_range_ns,
                                 hrtimer_try_to_cancel)
from kpath_c.skbuff cimport (alloc_skb, alloc_skb_fclone, consume_skb, kfree_skb, pskb_copy, skb_clone, skb_copy,
                             skb_frag_unref, skb_shift, skb_split, skb_unclone_keeptruesize, skb_zcopy_set)
from kpath_c.sock cimport __sock_wfree, sk_free, sk_reset_timer, skb_page_frag_refill, skb_set_owner_w
from kpath_c.tcp cimport tcp_stream_alloc_skb, tcp_wmem_schedule, tcp_write_queue_purge
from kpath_c.tcp_cong cimport tcp_ca_find_key
from kpath_c.tcp_fastopen cimport tcp_fastopen_cookie_check
from kpath_c.tcp_input cimport (tcp_check_space, tcp_clear_retrans, tcp_enter_cwr, tcp_finish_connect,
                                tcp_init_cwnd, tcp_initialize_rcv_mss, tcp_rbtree_insert, tcp_rearm_rto, tcp_skb_shift)
from kpath_c.tcp_rate cimport tcp_rate_skb_sent
from kpath_c.tcp_timer cimport (tcp_clamp_probe0_to_user_timeout, tcp_delack_timer_handler,
                                tcp_write_timer_handler)
from kpath_c.syncookies cimport cookie_init_timestamp

cdef enum:
    OPTION_SACK_ADVERTISE = 1 << 0
    OPTION_TS = 1 << 1
    OPTION_MD5 = 1 << 2
    OPTION_WSCALE = 1 << 3
    OPTION_FAST_OPEN_COOKIE = 1 << 8

# The options of one segment, before they are put on the wire.
cdef struct tcp_out_options:
    u16 options                         # OPTION_*
    u16 mss                             # 0: none
    u8 ws
    u8 num_sack_blocks
    u32 tsval
    u32 tsecr
    tcp_fastopen_cookie *fastopen_cookie
    u8 *hash_location                   # where the signature goes


# New data went out: SND.NXT moves, the skb changes from the write queue to the retransmit queue.
cdef void tcp_event_new_data_sent(sock *sk, sk_buff *skb) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef unsigned int prior_packets = tp.packets_out

    tp.snd_nxt = TCP_SKB_CB(skb).end_seq

    __skb_unlink(skb, &sk.sk_write_queue)
    tcp_rbtree_insert(&sk.tcp_rtx_queue, skb)

    if tp.highest_sack == NULL:
        tp.highest_sack = skb

    tp.packets_out += <u32>tcp_skb_pcount(skb)
    if prior_packets == 0 or icsk.icsk_pending == ICSK_TIME_LOSS_PROBE:
        tcp_rearm_rto(sk)

    NET_ADD_STATS(sock_net(sk), LINUX_MIB_TCPORIGDATASENT, tcp_skb_pcount(skb))
    tcp_check_space(sk)


# A sequence number that the peer accepts for a segment without data: SND.NXT, unless the peer took its window back by
# more than the rounding of the window scale explains.
cdef inline u32 tcp_acceptable_seq(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if not before(tcp_wnd_end(tp), tp.snd_nxt):
        return tp.snd_nxt
    if tp.rx_opt.wscale_ok and tp.snd_nxt - tcp_wnd_end(tp) < (<u32>1 << tp.rx_opt.rcv_wscale):
        return tp.snd_nxt
    return tcp_wnd_end(tp)


# The MSS for the SYN: of the first hop's device or the route, not of the path (RFC 9293 3.7.1).
cdef u16 tcp_advertise_mss(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef dst_entry *dst = __sk_dst_get(sk)
    cdef int mss = tp.advmss
    cdef unsigned int metric

    if dst != NULL:
        metric = dst_metric_advmss(dst)
        if metric < <unsigned int>mss:
            mss = <int>metric
            tp.advmss = <u16>mss
    return <u16>mss


# RFC 2861: after an idle time, half the cwnd for every RTO of it, down to the restart window.
cdef void tcp_cwnd_restart(sock *sk, s32 delta) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 restart_cwnd = tcp_init_cwnd(tp, __sk_dst_get(sk))
    cdef u32 cwnd = tcp_snd_cwnd(tp)

    tcp_ca_event(sk, CA_EVENT_CWND_RESTART)

    tp.snd_ssthresh = tcp_current_ssthresh(sk)
    restart_cwnd = min_u32(restart_cwnd, cwnd)

    while True:
        delta = <s32>(<u32>delta - inet_csk(sk).icsk_rto)
        if not (delta > 0 and cwnd > restart_cwnd):
            break
        cwnd >>= 1
    tcp_snd_cwnd_set(tp, max_u32(cwnd, restart_cwnd))
    tp.snd_cwnd_stamp = tcp_jiffies32(sock_net(sk))
    tp.snd_cwnd_used = 0


# Congestion state after a packet with data.
cdef void tcp_event_data_sent(tcp_sock *tp, sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef u32 now = tcp_jiffies32(sock_net(sk))

    if tcp_packets_in_flight(tp) == 0:
        tcp_ca_event(sk, CA_EVENT_TX_START)

    tp.lsndtime = now

    # an answer within ATO of what was received: the conversation is interactive
    if <u32>(now - icsk.icsk_ack.lrcvtime) < icsk.icsk_ack.ato:
        inet_csk_inc_pingpong_cnt(sk)


cdef inline void tcp_event_ack_sent(sock *sk, u32 rcv_nxt) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if tp.compressed_ack:
        NET_ADD_STATS(sock_net(sk), LINUX_MIB_TCPACKCOMPRESSED, tp.compressed_ack)
        tp.compressed_ack = 0
        if hrtimer_try_to_cancel(&tp.compressed_ack_timer) == 1:
            __sock_put(sk)

    if rcv_nxt != tp.rcv_nxt:
        return                          # DCTCP's extra ACK for an older edge
    tcp_dec_quickack_mode(sk)
    inet_csk_clear_xmit_timer(sk, ICSK_TIME_DACK)


# First window and window scale of a connection, from the receive space that there is (RFC 7323 2.2).
cdef void tcp_select_initial_window(sock *sk, int __space, u32 mss, u32 *rcv_wnd, u32 *__window_clamp,
                                    int wscale_ok, u8 *rcv_wscale, u32 init_rcv_wnd) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef unsigned int space = 0 if __space < 0 else <unsigned int>__space
    cdef u32 window_clamp = __window_clamp[0]

    if window_clamp == 0:
        window_clamp = <u32>U16_MAX << TCP_MAX_WSCALE
    space = min_u32(window_clamp, space)

    # whole segments, if there is room for more than one
    if space > mss:
        space = space - space % mss

    # some old stacks take the window as signed
    if n.ipv4.sysctl_tcp_workaround_signed_windows:
        rcv_wnd[0] = min_u32(space, MAX_TCP_WINDOW)
    else:
        rcv_wnd[0] = space

    if init_rcv_wnd:
        rcv_wnd[0] = min_u32(rcv_wnd[0], init_rcv_wnd * mss)

    rcv_wscale[0] = 0
    if wscale_ok:
        # for the largest window that autotuning may come to
        space = max_u32(space, <u32>n.ipv4.sysctl_tcp_rmem[2])
        space = max_u32(space, n.core.sysctl_rmem_max)
        space = min_u32(space, window_clamp)
        rcv_wscale[0] = <u8>clamp_int(ilog2(space) - 15, 0, TCP_MAX_WSCALE)
    __window_clamp[0] = min_u32(<u32>U16_MAX << rcv_wscale[0], window_clamp)


# The window field of the segment about to leave; what it promises is remembered in rcv_wnd and rcv_wup.
cdef u16 tcp_select_window(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef u32 old_win = tp.rcv_wnd
    cdef u32 cur_win, new_win, unit

    # no memory for what came last: close the window
    if inet_csk(sk).icsk_ack.pending & ICSK_ACK_NOMEM:
        tp.pred_flags = 0
        tp.rcv_wnd = 0
        tp.rcv_wup = tp.rcv_nxt
        return 0

    cur_win = tcp_receive_window(tp)
    new_win = __tcp_select_window(sk)
    if new_win < cur_win:
        # RFC 9293 3.8.6: the right edge does not move left, unless the sysctl allows it
        if not n.ipv4.sysctl_tcp_shrink_window or not tp.rx_opt.rcv_wscale:
            if new_win == 0:
                NET_INC_STATS(n, LINUX_MIB_TCPWANTZEROWINDOWADV)
            unit = <u32>1 << tp.rx_opt.rcv_wscale
            new_win = (cur_win + (unit - 1)) & ~(unit - 1)

    tp.rcv_wnd = new_win
    tp.rcv_wup = tp.rcv_nxt

    if not tp.rx_opt.rcv_wscale and n.ipv4.sysctl_tcp_workaround_signed_windows:
        new_win = min_u32(new_win, MAX_TCP_WINDOW)
    else:
        new_win = min_u32(new_win, <u32>65535 << tp.rx_opt.rcv_wscale)

    new_win >>= tp.rx_opt.rcv_wscale

    if new_win == 0:
        tp.pred_flags = 0
        if old_win:
            NET_INC_STATS(n, LINUX_MIB_TCPTOZEROWINDOWADV)
    elif old_win == 0:
        NET_INC_STATS(n, LINUX_MIB_TCPFROMZEROWINDOWADV)

    return <u16>new_win


# RFC 3168 6.1: ECT on new data only; CWR once after a reduction; ECE until the peer's CWR.
cdef void tcp_ecn_send(sock *sk, sk_buff *skb, tcphdr *th, int tcp_header_len) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if not tcp_ecn_mode_any(tp):
        return

    if skb.len != <u32>tcp_header_len and not before(TCP_SKB_CB(skb).seq, tp.snd_nxt):
        INET_ECN_xmit(sk)
        if tp.ecn_flags & TCP_ECN_QUEUE_CWR:
            tp.ecn_flags &= <u8>~<u8>TCP_ECN_QUEUE_CWR
            th.flags |= TCPHDR_CWR
            skb_shinfo(skb).gso_type |= SKB_GSO_TCP_ECN
    elif not tcp_ca_needs_ecn(sk):
        INET_ECN_dontxmit(sk)
    if tp.ecn_flags & TCP_ECN_DEMAND_CWR:
        th.flags |= TCPHDR_ECE


# A segment without data; SYN and FIN take one sequence number each.
cdef void tcp_init_nondata_skb(sk_buff *skb, sock *sk, u32 seq, u16 flags) noexcept nogil:
    skb.ip_summed = CHECKSUM_PARTIAL

    TCP_SKB_CB(skb).tcp_flags = flags

    tcp_skb_pcount_set(skb, 1)

    TCP_SKB_CB(skb).seq = seq
    if flags & (TCPHDR_SYN | TCPHDR_FIN):
        seq += 1
    TCP_SKB_CB(skb).end_seq = seq


cdef inline bint tcp_urg_mode(tcp_sock *tp) noexcept nogil:
    return tp.snd_una != tp.snd_up


# Four bytes of options, in the order in which they go out.
cdef inline __be32 opt_word(u32 a, u32 b, u32 c, u32 d) noexcept nogil:
    return htonl((a << 24) | (b << 16) | (c << 8) | d)


# Writes the options behind `th`. The order is the one Linux has always sent: the signature, MSS, SACK-permitted and
# timestamps in one block, window scale, SACK, Fast Open; middleboxes are known that trip over others.
cdef void tcp_options_write(tcphdr *th, tcp_sock *tp, tcp_request_sock *tcprsk, tcp_out_options *opts,
                            tcp_key *key) noexcept nogil:
    cdef __be32 *ptr = <__be32 *>(<u8 *>th + sizeof(tcphdr))
    cdef u16 options = opts.options
    cdef tcp_sack_block *sp
    cdef tcp_fastopen_cookie *foc
    cdef int this_sack
    cdef u8 *p
    cdef u32 len_

    if tcp_key_is_md5(key):
        ptr[0] = opt_word(TCPOPT_NOP, TCPOPT_NOP, TCPOPT_MD5SIG, TCPOLEN_MD5SIG)
        opts.hash_location = <u8 *>(ptr + 1)
        ptr += 5

    if opts.mss:
        ptr[0] = htonl((<u32>TCPOPT_MSS << 24) | (<u32>TCPOLEN_MSS << 16) | opts.mss)
        ptr += 1

    if options & OPTION_TS:
        if options & OPTION_SACK_ADVERTISE:
            ptr[0] = opt_word(TCPOPT_SACK_PERM, TCPOLEN_SACK_PERM, TCPOPT_TIMESTAMP, TCPOLEN_TIMESTAMP)
            options &= <u16>~<u16>OPTION_SACK_ADVERTISE
        else:
            ptr[0] = opt_word(TCPOPT_NOP, TCPOPT_NOP, TCPOPT_TIMESTAMP, TCPOLEN_TIMESTAMP)
        ptr[1] = htonl(opts.tsval)
        ptr[2] = htonl(opts.tsecr)
        ptr += 3

    if options & OPTION_SACK_ADVERTISE:
        ptr[0] = opt_word(TCPOPT_NOP, TCPOPT_NOP, TCPOPT_SACK_PERM, TCPOLEN_SACK_PERM)
        ptr += 1

    if options & OPTION_WSCALE:
        ptr[0] = opt_word(TCPOPT_NOP, TCPOPT_WINDOW, TCPOLEN_WINDOW, opts.ws)
        ptr += 1

    if opts.num_sack_blocks:
        # a D-SACK stands in front (RFC 2883 4): selective_acks[] follows duplicate_sack[] in tcp_sock
        sp = &tp.duplicate_sack[0] if tp.rx_opt.dsack else &tp.selective_acks[0]
        ptr[0] = opt_word(TCPOPT_NOP, TCPOPT_NOP, TCPOPT_SACK,
                          TCPOLEN_SACK_BASE + <u32>opts.num_sack_blocks * TCPOLEN_SACK_PERBLOCK)
        ptr += 1
        for this_sack in range(opts.num_sack_blocks):
            ptr[0] = htonl(sp[this_sack].start_seq)
            ptr[1] = htonl(sp[this_sack].end_seq)
            ptr += 2
        tp.rx_opt.dsack = 0

    if options & OPTION_FAST_OPEN_COOKIE:
        foc = opts.fastopen_cookie
        p = <u8 *>ptr
        if foc.exp:
            len_ = <u32>(TCPOLEN_EXP_FASTOPEN_BASE + foc.len)
            ptr[0] = htonl((<u32>TCPOPT_EXP << 24) | (len_ << 16) | TCPOPT_FASTOPEN_MAGIC)
            p += TCPOLEN_EXP_FASTOPEN_BASE
        else:
            len_ = <u32>(TCPOLEN_FASTOPEN_BASE + foc.len)
            p[0] = TCPOPT_FASTOPEN
            p[1] = <u8>len_
            p += 2
        memcpy(p, foc.val, <size_t>foc.len)
        if (len_ & 3) == 2:
            p[foc.len] = TCPOPT_NOP
            p[foc.len + 1] = TCPOPT_NOP


# Room that a Fast Open cookie takes, in whole words.
cdef inline u32 fastopen_option_len(tcp_fastopen_cookie *foc) noexcept nogil:
    cdef u32 need = <u32>foc.len

    need += <u32>TCPOLEN_EXP_FASTOPEN_BASE if foc.exp else <u32>TCPOLEN_FASTOPEN_BASE
    return (need + 3) & ~<u32>3


cdef unsigned int tcp_syn_options(sock *sk, sk_buff *skb, tcp_out_options *opts, tcp_key *key) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef unsigned int remaining = MAX_TCP_OPTION_SPACE
    cdef tcp_fastopen_request *fastopen = tp.fastopen_req
    cdef u32 need
    cdef bint timestamps = n.ipv4.sysctl_tcp_timestamps

    # signature, timestamps and SACK blocks do not fit into 40 bytes together
    if tcp_key_is_md5(key):
        timestamps = 0
        opts.options |= OPTION_MD5
        remaining -= TCPOLEN_MD5SIG_ALIGNED

    opts.mss = tcp_advertise_mss(sk)
    remaining -= TCPOLEN_MSS_ALIGNED

    if timestamps:
        opts.options |= OPTION_TS
        opts.tsval = tcp_skb_timestamp_ts(tp.tcp_usec_ts, skb) + tp.tsoffset
        opts.tsecr = tp.rx_opt.ts_recent
        remaining -= TCPOLEN_TSTAMP_ALIGNED
    if n.ipv4.sysctl_tcp_window_scaling:
        opts.ws = tp.rx_opt.rcv_wscale
        opts.options |= OPTION_WSCALE
        remaining -= TCPOLEN_WSCALE_ALIGNED
    if n.ipv4.sysctl_tcp_sack:
        opts.options |= OPTION_SACK_ADVERTISE
        if not (opts.options & OPTION_TS):
            remaining -= TCPOLEN_SACKPERM_ALIGNED

    if fastopen != NULL and fastopen.cookie.len >= 0:
        need = fastopen_option_len(&fastopen.cookie)
        if remaining >= need:
            opts.options |= OPTION_FAST_OPEN_COOKIE
            opts.fastopen_cookie = &fastopen.cookie
            remaining -= need
            tp.syn_fastopen = 1
            tp.syn_fastopen_exp = 1 if fastopen.cookie.exp else 0

    return <unsigned int>MAX_TCP_OPTION_SPACE - remaining


cdef unsigned int tcp_synack_options(sock *sk, request_sock *req, unsigned int mss, sk_buff *skb, tcp_out_options *opts,
                                     const tcp_key *key, tcp_fastopen_cookie *foc, int synack_type,
                                     sk_buff *syn_skb) noexcept nogil:
    cdef inet_request_sock *ireq = inet_rsk(req)
    cdef tcp_request_sock *treq = tcp_rsk(req)
    cdef unsigned int remaining = MAX_TCP_OPTION_SPACE
    cdef u32 need

    if tcp_key_is_md5(key):
        opts.options |= OPTION_MD5
        remaining -= TCPOLEN_MD5SIG_ALIGNED

        # no room for SACK blocks beside both; a cookie has its choice already in its timestamp
        if synack_type != TCP_SYNACK_COOKIE:
            ireq.tstamp_ok &= <u8>(not ireq.sack_ok)

    opts.mss = <u16>mss
    remaining -= TCPOLEN_MSS_ALIGNED

    if ireq.wscale_ok:
        opts.ws = ireq.rcv_wscale
        opts.options |= OPTION_WSCALE
        remaining -= TCPOLEN_WSCALE_ALIGNED
    if ireq.tstamp_ok:
        opts.options |= OPTION_TS
        opts.tsval = tcp_skb_timestamp_ts(treq.req_usec_ts, skb) + treq.ts_off
        # the echoes that the handshake's last ACK may carry lie between the first and the last of these
        if not treq.snt_tsval_first:
            if not opts.tsval:
                opts.tsval = ~<u32>0
            treq.snt_tsval_first = opts.tsval
        treq.snt_tsval_last = opts.tsval
        opts.tsecr = req.ts_recent
        remaining -= TCPOLEN_TSTAMP_ALIGNED
    if ireq.sack_ok:
        opts.options |= OPTION_SACK_ADVERTISE
        if not ireq.tstamp_ok:
            remaining -= TCPOLEN_SACKPERM_ALIGNED
    if foc != NULL and foc.len >= 0:
        need = fastopen_option_len(foc)
        if remaining >= need:
            opts.options |= OPTION_FAST_OPEN_COOKIE
            opts.fastopen_cookie = foc
            remaining -= need

    return <unsigned int>MAX_TCP_OPTION_SPACE - remaining


cdef unsigned int tcp_established_options(sock *sk, sk_buff *skb, tcp_out_options *opts, tcp_key *key) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef unsigned int size = 0
    cdef unsigned int eff_sacks, remaining

    opts.options = 0

    if tcp_key_is_md5(key):
        opts.options |= OPTION_MD5
        size += TCPOLEN_MD5SIG_ALIGNED

    if tp.rx_opt.tstamp_ok:
        opts.options |= OPTION_TS
        opts.tsval = 0
        if skb != NULL:
            opts.tsval = tcp_skb_timestamp_ts(tp.tcp_usec_ts, skb) + tp.tsoffset
        opts.tsecr = tp.rx_opt.ts_recent
        size += TCPOLEN_TSTAMP_ALIGNED

    opts.num_sack_blocks = 0
    eff_sacks = <unsigned int>(tp.rx_opt.num_sacks + tp.rx_opt.dsack)
    if eff_sacks:
        remaining = <unsigned int>MAX_TCP_OPTION_SPACE - size
        if remaining >= <unsigned int>(TCPOLEN_SACK_BASE_ALIGNED + TCPOLEN_SACK_PERBLOCK):
            opts.num_sack_blocks = <u8>min_u32(
                eff_sacks, (remaining - <unsigned int>TCPOLEN_SACK_BASE_ALIGNED) // <unsigned int>TCPOLEN_SACK_PERBLOCK)
            size += <unsigned int>(TCPOLEN_SACK_BASE_ALIGNED + opts.num_sack_blocks * TCPOLEN_SACK_PERBLOCK)

    return size


# ---------------------------------------------------------------------------------------------- TCP small queues
# A socket keeps only about a millisecond of data in queueing discipline and device. tcp_small_queue_check() stops it;
# tcp_wfree(), which the device runs when it is done with an skb, starts it again.

cdef void tcp_tsq_write(sock *sk) noexcept nogil:
    cdef tcp_sock *tp

    if (1 << sk.sk_state) & (TCPF_ESTABLISHED | TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_CLOSE_WAIT | TCPF_LAST_ACK):
        tp = tcp_sk(sk)

        if tp.lost_out > tp.retrans_out and tcp_snd_cwnd(tp) > tcp_packets_in_flight(tp):
            tcp_mstamp_refresh(tp)
            tcp_xmit_retransmit_queue(sk)

        tcp_write_xmit(sk, tcp_current_mss(sk), tp.nonagle, 0, GFP_ATOMIC)


cdef void tcp_tsq_handler(sock *sk) noexcept nogil:
    tcp_tsq_write(sk)


# container_of(q, struct tcp_sock, tsq_node)
cdef inline tcp_sock *tsq_node_entry(list_head *q) noexcept nogil:
    return <tcp_sock *>(<char *>q - <size_t>&(<tcp_sock *>NULL).tsq_node)


# Every socket that a completion woke sends what it may. The last woken goes first, as list_add() puts it there.
cdef void tcp_tsq_workfn(net *n) noexcept nogil:
    cdef list_head list_
    cdef tcp_sock *tp
    cdef sock *sk

    INIT_LIST_HEAD(&list_)
    list_splice_init(&n.tsq_head, &list_)

    while not list_empty(&list_):
        tp = tsq_node_entry(list_.next)
        list_del(&tp.tsq_node)

        sk = <sock *>tp
        sk.sk_tsq_flags &= ~<unsigned long>TSQF_QUEUED

        tcp_tsq_handler(sk)
        sk_free(sk)


# The work item: a timer that is due when it is set, so that it runs after the code which freed the skb has returned.
cdef int tsq_work_timer(hrtimer *timer) noexcept nogil:
    tcp_tsq_workfn(timer.net)
    return HRTIMER_NORESTART


cdef enum:
    TCP_DEFERRED_ALL = (TCPF_TSQ_DEFERRED | TCPF_WRITE_TIMER_DEFERRED | TCPF_DELACK_TIMER_DEFERRED |
                        TCPF_MTU_REDUCED_DEFERRED | TCPF_ACK_DEFERRED)


# What was put off while the application held the socket. release_sock() calls it.
cdef void tcp_release_cb(sock *sk) noexcept nogil:
    cdef unsigned long flags = sk.sk_tsq_flags

    if not (flags & <unsigned long>TCP_DEFERRED_ALL):
        return
    sk.sk_tsq_flags = flags & ~<unsigned long>TCP_DEFERRED_ALL

    if flags & TCPF_TSQ_DEFERRED:
        tcp_tsq_write(sk)
        __sock_put(sk)

    if flags & TCPF_WRITE_TIMER_DEFERRED:
        tcp_write_timer_handler(sk)
        __sock_put(sk)
    if flags & TCPF_DELACK_TIMER_DEFERRED:
        tcp_delack_timer_handler(sk)
        __sock_put(sk)
    if flags & TCPF_MTU_REDUCED_DEFERRED:
        inet_csk(sk).icsk_af_ops.mtu_reduced(sk)
        __sock_put(sk)
    if (flags & TCPF_ACK_DEFERRED) and inet_csk_ack_scheduled(sk):
        tcp_send_ack(sk)


cdef void tcp_tsq_work_init(net *n) noexcept nogil:
    INIT_LIST_HEAD(&n.tsq_head)
    hrtimer_setup(n, &n.tsq_timer, tsq_work_timer, TIMER_KIND_OTHER)


# The host goes: what waits sends no more.
cdef void tcp_tsq_work_exit(net *n) noexcept nogil:
    cdef tcp_sock *tp

    hrtimer_cancel(&n.tsq_timer)
    while not list_empty(&n.tsq_head):
        tp = tsq_node_entry(n.tsq_head.next)
        list_del(&tp.tsq_node)
        sk_free(<sock *>tp)


# Destructor of a sent skb with data. One unit of sk_wmem_alloc stays back: sk_free() takes it, here or in the work.
cdef void tcp_wfree(sk_buff *skb) noexcept nogil:
    cdef sock *sk = skb.sk
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef unsigned long oval
    cdef bint empty

    sk.sk_wmem_alloc -= <int>(skb.truesize - 1)

    oval = sk.sk_tsq_flags
    if not (oval & TSQF_THROTTLED) or oval & TSQF_QUEUED:
        sk_free(sk)
        return
    sk.sk_tsq_flags = (oval & ~<unsigned long>TSQF_THROTTLED) | TSQF_QUEUED

    empty = list_empty(&n.tsq_head)
    list_add(&tp.tsq_node, &n.tsq_head)
    if empty:
        hrtimer_start_range_ns(&n.tsq_timer, <ktime_t>tcp_clock_ns(n), 0)


cdef int tcp_pace_kick(hrtimer *timer) noexcept nogil:
    cdef sock *sk = <sock *>(<char *>timer - <size_t>&(<tcp_sock *>NULL).pacing_timer)

    tcp_tsq_handler(sk)
    sock_put(sk)

    return HRTIMER_NORESTART


# Earliest departure of the next packet: this one's length at the pacing rate, less what the last one was late.
cdef void tcp_update_skb_after_send(sock *sk, sk_buff *skb, u64 prior_wstamp) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef unsigned long rate
    cdef u64 len_ns, credit

    if sk.sk_pacing_status != SK_PACING_NONE:
        rate = sk.sk_pacing_rate

        # the first ten segments are not paced
        if rate != ~<unsigned long>0 and rate and tp.data_segs_out >= 10:
            len_ns = <u64>skb.len * <u64>NSEC_PER_SEC // rate
            credit = tp.tcp_wstamp_ns - prior_wstamp

            len_ns -= min_u64(len_ns // 2, credit)
            tp.tcp_wstamp_ns += len_ns
    list_move_tail(&skb.tcp_tsorted_anchor, &tp.tsorted_sent_queue)


# Sends one skb: clones it if it stays in a queue, builds the TCP header, hands it to IP.
cdef int __tcp_transmit_skb(sock *sk, sk_buff *skb, int clone_it, gfp_t gfp_mask, u32 rcv_nxt) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef inet_sock *inet = inet_sk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef tcp_skb_cb *tcb
    cdef tcp_out_options opts
    cdef tcp_key key
    cdef unsigned int tcp_options_size, tcp_header_size
    cdef sk_buff *oskb = NULL
    cdef tcphdr *th
    cdef u64 prior_wstamp
    cdef int err

    prior_wstamp = tp.tcp_wstamp_ns
    tp.tcp_wstamp_ns = max_u64(tp.tcp_wstamp_ns, tp.tcp_clock_cache)
    skb_set_delivery_time(skb, tp.tcp_wstamp_ns, SKB_CLOCK_MONOTONIC)
    if clone_it:
        oskb = skb

        # an earlier clone is still under way: its header must not be written over
        if skb_cloned(oskb):
            skb = pskb_copy(oskb, gfp_mask)
        else:
            skb = skb_clone(oskb, gfp_mask)
        if skb == NULL:
            return -ENOBUFS
        skb.dev = NULL

    tcb = TCP_SKB_CB(skb)
    memset(&opts, 0, sizeof(opts))

    tcp_get_current_key(sk, &key)
    if tcb.tcp_flags & TCPHDR_SYN:
        tcp_options_size = tcp_syn_options(sk, skb, &opts, &key)
    else:
        tcp_options_size = tcp_established_options(sk, skb, &opts, &key)
        # a super-segment ends with PSH, so that the receiver's GRO hands it up at once
        if tcp_skb_pcount(skb) > 1:
            tcb.tcp_flags |= TCPHDR_PSH
    tcp_header_size = tcp_options_size + <unsigned int>sizeof(tcphdr)

    skb.ooo_okay = <u8>(<unsigned long>sk_wmem_alloc_get(sk) < <unsigned long>SKB_TRUESIZE(1) or
                        tcp_rtx_queue_empty(sk))

    skb.pfmemalloc = 0

    skb_push(skb, tcp_header_size)
    skb_reset_transport_header(skb)

    skb_orphan(skb)
    skb.sk = sk
    if skb_is_tcp_pure_ack(skb):
        skb.destructor = __sock_wfree
    else:
        skb.destructor = tcp_wfree
    sk.sk_wmem_alloc += <int>skb.truesize

    skb_set_dst_pending_confirm(skb, sk.sk_dst_pending_confirm)

    th = <tcphdr *>skb.data
    th.source = inet.inet_sport
    th.dest = sk.sk_dport
    th.seq = htonl(tcb.seq)
    th.ack_seq = htonl(rcv_nxt)
    th.doff_res = <u8>(((tcp_header_size >> 2) << 4) | ((tcb.tcp_flags & TCPHDR_FLAGS_MASK) >> 8))
    th.flags = <u8>tcb.tcp_flags
    th.check = 0
    th.urg_ptr = 0

    # RFC 9293 3.8.5; the test is needed for a window probe below SND.UNA
    if tcp_urg_mode(tp) and before(tcb.seq, tp.snd_up):
        if before(tp.snd_up, tcb.seq + 0x10000):
            th.urg_ptr = htons(<u16>(tp.snd_up - tcb.seq))
            th.flags |= TCPHDR_URG
        elif after(tcb.seq + 0xFFFF, tp.snd_nxt):
            th.urg_ptr = htons(0xFFFF)
            th.flags |= TCPHDR_URG

    skb_shinfo(skb).gso_type = sk.sk_gso_type
    if not (tcb.tcp_flags & TCPHDR_SYN):
        th.window = htons(tcp_select_window(sk))
        tcp_ecn_send(sk, skb, th, <int>tcp_header_size)
    else:
        # RFC 7323 2.2: never scaled in a SYN
        th.window = htons(<u16>min_u32(tp.rcv_wnd, 65535))

    tcp_options_write(th, tp, NULL, &opts, &key)

    if tcp_key_is_md5(&key):
        sk_gso_disable(sk)
        tp.af_specific.calc_md5_hash(opts.hash_location, key.md5_key, sk, skb)

    if icsk.icsk_af_ops.send_check == tcp_v4_send_check:
        tcp_v4_send_check(sk, skb)
    else:
        icsk.icsk_af_ops.send_check(sk, skb)

    if tcb.tcp_flags & TCPHDR_ACK:
        tcp_event_ack_sent(sk, rcv_nxt)

    if skb.len != tcp_header_size:
        tcp_event_data_sent(tp, sk)
        tp.data_segs_out += <u32>tcp_skb_pcount(skb)
        tp.bytes_sent += skb.len - tcp_header_size

    if after(tcb.end_seq, tp.snd_nxt) or tcb.seq == tcb.end_seq:
        TCP_ADD_STATS(n, TCP_MIB_OUTSEGS, tcp_skb_pcount(skb))

    tp.segs_out += <u32>tcp_skb_pcount(skb)
    skb_set_hash_from_sk(skb, sk)
    skb_shinfo(skb).gso_segs = <u16>tcp_skb_pcount(skb)
    skb_shinfo(skb).gso_size = <u16>tcp_skb_mss(skb)

    memset(&tcb.h4, 0, sizeof(inet_skb_parm))

    tcp_add_tx_delay(skb, tp)

    if icsk.icsk_af_ops.queue_xmit == ip_queue_xmit:
        err = ip_queue_xmit(sk, skb, &inet.cork_fl)
    else:
        err = icsk.icsk_af_ops.queue_xmit(sk, skb, &inet.cork_fl)

    if err > 0:
        tcp_enter_cwr(sk)
        err = net_xmit_eval(err)
    if err == 0 and oskb != NULL:
        tcp_update_skb_after_send(sk, oskb, prior_wstamp)
        tcp_rate_skb_sent(sk, oskb)
    return err


cdef int tcp_transmit_skb(sock *sk, sk_buff *skb, int clone_it, gfp_t gfp_mask) noexcept nogil:
    return __tcp_transmit_skb(sk, skb, clone_it, gfp_mask, tcp_sk(sk).rcv_nxt)


# Puts an skb at the end of the write queue. Does not look after the probe timer.
cdef void tcp_queue_skb(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    tp.write_seq = TCP_SKB_CB(skb).end_seq
    __skb_header_release(skb)
    tcp_add_write_queue_tail(sk, skb)
    sk_wmem_queued_add(sk, <int>skb.truesize)
    sk_mem_charge(sk, <int>skb.truesize)


cdef int tcp_set_skb_tso_segs(sk_buff *skb, unsigned int mss_now) noexcept nogil:
    cdef int tso_segs

    if skb.len <= mss_now:
        TCP_SKB_CB(skb).tcp_gso_size = 0
        tcp_skb_pcount_set(skb, 1)
        return 1
    TCP_SKB_CB(skb).tcp_gso_size = <u16>mss_now
    tso_segs = <int>((skb.len + mss_now - 1) // mss_now)
    tcp_skb_pcount_set(skb, tso_segs)
    return tso_segs


# An skb of the retransmit queue now counts `decr` segments fewer.
cdef void tcp_adjust_pcount(sock *sk, sk_buff *skb, int decr) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    tp.packets_out -= <u32>decr

    if TCP_SKB_CB(skb).sacked & TCPCB_SACKED_ACKED:
        tp.sacked_out -= <u32>decr
    if TCP_SKB_CB(skb).sacked & TCPCB_SACKED_RETRANS:
        tp.retrans_out -= <u32>decr
    if TCP_SKB_CB(skb).sacked & TCPCB_LOST:
        tp.lost_out -= <u32>decr

    # without SACK, sacked_out only counts duplicate ACKs
    if tcp_is_reno(tp) and decr > 0:
        tp.sacked_out -= min_u32(tp.sacked_out, <u32>decr)


cdef bint tcp_has_tx_tstamp(sk_buff *skb) noexcept nogil:
    return TCP_SKB_CB(skb).txstamp_ack or (skb_shinfo(skb).tx_flags & SKBTX_ANY_TSTAMP)


# A transmit timestamp was asked for one byte: it goes with the half which holds that byte.
cdef void tcp_fragment_tstamp(sk_buff *skb, sk_buff *skb2) noexcept nogil:
    cdef skb_shared_info *shinfo = skb_shinfo(skb)
    cdef skb_shared_info *shinfo2
    cdef u8 tsflags
    cdef u32 key

    if tcp_has_tx_tstamp(skb) and not before(shinfo.tskey, TCP_SKB_CB(skb2).seq):
        shinfo2 = skb_shinfo(skb2)
        tsflags = shinfo.tx_flags & SKBTX_ANY_TSTAMP

        shinfo.tx_flags &= <u8>~tsflags
        shinfo2.tx_flags |= tsflags
        key = shinfo.tskey
        shinfo.tskey = shinfo2.tskey
        shinfo2.tskey = key
        TCP_SKB_CB(skb2).txstamp_ack = TCP_SKB_CB(skb).txstamp_ack
        TCP_SKB_CB(skb).txstamp_ack = 0


cdef void tcp_skb_fragment_eor(sk_buff *skb, sk_buff *skb2) noexcept nogil:
    TCP_SKB_CB(skb2).eor = TCP_SKB_CB(skb).eor
    TCP_SKB_CB(skb).eor = 0


cdef void tcp_insert_write_queue_after(sk_buff *skb, sk_buff *buff, sock *sk, int tcp_queue) noexcept nogil:
    if tcp_queue == TCP_FRAG_IN_WRITE_QUEUE:
        __skb_queue_after(&sk.sk_write_queue, skb, buff)
    else:
        tcp_rbtree_insert(&sk.tcp_rtx_queue, buff)


# Cuts an skb of the write or retransmit queue in two: `len_` bytes stay, the rest follows in a new one.
cdef int tcp_fragment(sock *sk, int tcp_queue, sk_buff *skb, u32 len_, unsigned int mss_now, gfp_t gfp) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *buff
    cdef int old_factor, nlen, diff
    cdef long limit
    cdef u16 flags

    if len_ > skb.len:
        return -EINVAL

    # bounds what a peer can do with SACKs that cut the queue into crumbs (CVE-2019-11478); the ends may always be cut
    limit = sk.sk_sndbuf + 2 * <long>SKB_TRUESIZE(GSO_LEGACY_MAX_SIZE)
    if ((sk.sk_wmem_queued >> 1) > limit and
            tcp_queue != TCP_FRAG_IN_WRITE_QUEUE and
            skb != tcp_rtx_queue_head(sk) and
            skb != tcp_rtx_queue_tail(sk)):
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPWQUEUETOOBIG)
        return -ENOMEM

    if skb_unclone_keeptruesize(skb, gfp):
        return -ENOMEM

    buff = tcp_stream_alloc_skb(sk, gfp, True)
    if buff == NULL:
        return -ENOMEM

    sk_wmem_queued_add(sk, <int>buff.truesize)
    sk_mem_charge(sk, <int>buff.truesize)
    nlen = <int>(skb.len - len_)
    buff.truesize += <u32>nlen
    skb.truesize -= <u32>nlen

    TCP_SKB_CB(buff).seq = TCP_SKB_CB(skb).seq + len_
    TCP_SKB_CB(buff).end_seq = TCP_SKB_CB(skb).end_seq
    TCP_SKB_CB(skb).end_seq = TCP_SKB_CB(buff).seq

    # PSH and FIN belong to the last byte
    flags = TCP_SKB_CB(skb).tcp_flags
    TCP_SKB_CB(skb).tcp_flags = flags & <u16>~<u16>(TCPHDR_FIN | TCPHDR_PSH)
    TCP_SKB_CB(buff).tcp_flags = flags
    TCP_SKB_CB(buff).sacked = TCP_SKB_CB(skb).sacked
    tcp_skb_fragment_eor(skb, buff)

    skb_split(skb, buff, len_)

    skb_set_delivery_time(buff, skb.skb_mstamp_ns, SKB_CLOCK_MONOTONIC)
    tcp_fragment_tstamp(skb, buff)

    old_factor = tcp_skb_pcount(skb)

    tcp_set_skb_tso_segs(skb, mss_now)
    tcp_set_skb_tso_segs(buff, mss_now)

    TCP_SKB_CB(buff).tx = TCP_SKB_CB(skb).tx

    # sent already: it may now stand for another number of segments
    if not before(tp.snd_nxt, TCP_SKB_CB(buff).end_seq):
        diff = old_factor - tcp_skb_pcount(skb) - tcp_skb_pcount(buff)

        if diff:
            tcp_adjust_pcount(sk, skb, diff)

    __skb_header_release(buff)
    tcp_insert_write_queue_after(skb, buff, sk, tcp_queue)
    if tcp_queue == TCP_FRAG_IN_RTX_QUEUE:
        list_add(&buff.tcp_tsorted_anchor, &skb.tcp_tsorted_anchor)

    return 0


# Drops the first `len_` bytes of an skb that has fragments only.
cdef int __pskb_trim_head(sk_buff *skb, int len_) noexcept nogil:
    cdef skb_shared_info *shinfo = skb_shinfo(skb)
    cdef int i, k = 0, eat = len_, size
    cdef int nr_frags = shinfo.nr_frags

    for i in range(nr_frags):
        size = <int>shinfo.frags[i].len

        if size <= eat:
            skb_frag_unref(skb, i)
            eat -= size
        else:
            shinfo.frags[k] = shinfo.frags[i]
            if eat:
                shinfo.frags[k].offset += <u32>eat
                shinfo.frags[k].len -= <u32>eat
                eat = 0
            k += 1
    shinfo.nr_frags = <u8>k

    skb.data_len -= <u32>len_
    skb.len = skb.data_len
    return len_


# The first bytes of an skb in the retransmit queue are acknowledged.
cdef int tcp_trim_head(sock *sk, sk_buff *skb, u32 len_) noexcept nogil:
    cdef u32 delta_truesize

    if skb_unclone_keeptruesize(skb, GFP_ATOMIC):
        return -ENOMEM

    delta_truesize = <u32>__pskb_trim_head(skb, <int>len_)

    TCP_SKB_CB(skb).seq += len_

    skb.truesize -= delta_truesize
    sk_wmem_queued_add(sk, -<int>delta_truesize)
    if not skb_zcopy_pure(skb):
        sk_mem_uncharge(sk, <int>delta_truesize)

    if tcp_skb_pcount(skb) > 1:
        tcp_set_skb_tso_segs(skb, <unsigned int>tcp_skb_mss(skb))

    return 0


# ---------------------------------------------------------------------------------------------- MSS and path MTU

# MSS for this path MTU, TCP options not yet taken off.
cdef inline int __tcp_mtu_to_mss(sock *sk, int pmtu) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef int mss_now

    mss_now = pmtu - icsk.icsk_af_ops.net_header_len - <int>sizeof(tcphdr)

    if mss_now > tp.rx_opt.mss_clamp:
        mss_now = tp.rx_opt.mss_clamp

    mss_now -= icsk.icsk_ext_hdr_len

    # leave room for a full set of options and 8 bytes
    return max_int(mss_now, sock_net(sk).ipv4.sysctl_tcp_min_snd_mss)


cdef int tcp_mtu_to_mss(sock *sk, int pmtu) noexcept nogil:
    return __tcp_mtu_to_mss(sk, pmtu) - (<int>tcp_sk(sk).tcp_header_len - <int>sizeof(tcphdr))


cdef int tcp_mss_to_mtu(sock *sk, int mss) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)

    return mss + tp.tcp_header_len + icsk.icsk_ext_hdr_len + icsk.icsk_af_ops.net_header_len


# RFC 4821: the range in which to search.
cdef void tcp_mtup_init(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef net *n = sock_net(sk)

    icsk.icsk_mtup.enabled = 1 if n.ipv4.sysctl_tcp_mtu_probing > 1 else 0
    icsk.icsk_mtup.search_high = (<int>tp.rx_opt.mss_clamp + <int>sizeof(tcphdr) +
                                  <int>icsk.icsk_af_ops.net_header_len)
    icsk.icsk_mtup.search_low = tcp_mss_to_mtu(sk, n.ipv4.sysctl_tcp_base_mss)
    icsk.icsk_mtup.probe_size = 0
    if icsk.icsk_mtup.enabled:
        icsk.icsk_mtup.probe_timestamp = tcp_jiffies32(n)


# mss_cache for a path MTU: never above what was negotiated, nor above half the largest window that the peer offered;
# all options but SACK are taken off.
cdef unsigned int tcp_sync_mss(sock *sk, u32 pmtu) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef int mss_now

    if <u32>icsk.icsk_mtup.search_high > pmtu:
        icsk.icsk_mtup.search_high = <int>pmtu

    mss_now = tcp_mtu_to_mss(sk, <int>pmtu)
    mss_now = tcp_bound_to_half_wnd(tp, mss_now)

    icsk.icsk_pmtu_cookie = pmtu
    if icsk.icsk_mtup.enabled:
        mss_now = min_int(mss_now, tcp_mtu_to_mss(sk, icsk.icsk_mtup.search_low))
    tp.mss_cache = <u32>mss_now

    return <unsigned int>mss_now


# MSS of the next segment, with the SACK blocks that it would carry and the path MTU as it is now.
cdef unsigned int tcp_current_mss(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef dst_entry *dst = __sk_dst_get(sk)
    cdef u32 mss_now, mtu
    cdef unsigned int header_len
    cdef tcp_out_options opts
    cdef tcp_key key

    mss_now = tp.mss_cache

    if dst != NULL:
        mtu = dst_mtu(dst)
        if mtu != inet_csk(sk).icsk_pmtu_cookie:
            mss_now = tcp_sync_mss(sk, mtu)
    tcp_get_current_key(sk, &key)
    header_len = tcp_established_options(sk, NULL, &opts, &key) + <unsigned int>sizeof(tcphdr)
    # mss_cache was computed for tcp_header_len
    if header_len != tp.tcp_header_len:
        mss_now -= <u32>(<int>header_len - <int>tp.tcp_header_len)

    return mss_now


# ---------------------------------------------------------------------------------------------- cwnd validation

# RFC 2861: the window was not filled for an RTO; bring it half way down to what was used.
cdef void tcp_cwnd_application_limited(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 init_win, win_used

    if (inet_csk(sk).icsk_ca_state == TCP_CA_Open and sk.sk_socket != NULL and
            not test_bit(SOCK_NOSPACE, &sk.sk_socket.flags)):
        # limited by the application or the peer's window, not by our send buffer
        init_win = tcp_init_cwnd(tp, __sk_dst_get(sk))
        win_used = max_u32(tp.snd_cwnd_used, init_win)
        if win_used < tcp_snd_cwnd(tp):
            tp.snd_ssthresh = tcp_current_ssthresh(sk)
            tcp_snd_cwnd_set(tp, (tcp_snd_cwnd(tp) + win_used) >> 1)
        tp.snd_cwnd_used = 0
    tp.snd_cwnd_stamp = tcp_jiffies32(sock_net(sk))


cdef void tcp_cwnd_validate(sock *sk, bint is_cwnd_limited) noexcept nogil:
    cdef tcp_congestion_ops *ca_ops = inet_csk(sk).icsk_ca_ops
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)

    # the strongest sign of this window: cwnd-limited once, or else the most that was in flight
    if (not before(tp.snd_una, tp.cwnd_usage_seq) or is_cwnd_limited or
            (not tp.is_cwnd_limited and tp.packets_out > tp.max_packets_out)):
        tp.is_cwnd_limited = 1 if is_cwnd_limited else 0
        tp.max_packets_out = tp.packets_out
        tp.cwnd_usage_seq = tp.snd_nxt

    if tcp_is_cwnd_limited(sk):
        tp.snd_cwnd_used = 0
        tp.snd_cwnd_stamp = tcp_jiffies32(n)
    else:
        if tp.packets_out > tp.snd_cwnd_used:
            tp.snd_cwnd_used = tp.packets_out

        # icsk_rto is unsigned: so is the comparison
        if (n.ipv4.sysctl_tcp_slow_start_after_idle and
                <u32>(tcp_jiffies32(n) - tp.snd_cwnd_stamp) >= inet_csk(sk).icsk_rto and
                ca_ops.cong_control == NULL):
            tcp_cwnd_application_limited(sk)

        # sent something, not cwnd-limited, nothing left, and the writer waits for room: the send buffer is too small
        if (tcp_write_queue_empty(sk) and sk.sk_socket != NULL and
                test_bit(SOCK_NOSPACE, &sk.sk_socket.flags) and
                (1 << sk.sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)):
            tcp_chrono_start(sk, TCP_CHRONO_SNDBUF_LIMITED)


# ---------------------------------------------------------------------------------------------- may it leave now?

# Minshall: a small segment is unacknowledged.
cdef bint tcp_minshall_check(tcp_sock *tp) noexcept nogil:
    return after(tp.snd_sml, tp.snd_una) and not after(tp.snd_sml, tp.snd_nxt)


cdef void tcp_minshall_update(tcp_sock *tp, unsigned int mss_now, sk_buff *skb) noexcept nogil:
    if skb.len < <u32>tcp_skb_pcount(skb) * mss_now:
        tp.snd_sml = TCP_SKB_CB(skb).end_seq


# RFC 896: hold a partial segment while TCP_CORK is set, or while a small one is under way and TCP_NODELAY is not set.
cdef bint tcp_nagle_check(bint partial, tcp_sock *tp, int nonagle) noexcept nogil:
    return partial and ((nonagle & TCP_NAGLE_CORK) != 0 or
                        (nonagle == 0 and tp.packets_out != 0 and tcp_minshall_check(tp)))


# Segments in one super-segment: about a millisecond at the pacing rate, and more the nearer the peer is (the RTT's part
# halves with every 2^tcp_tso_rtt_log us of min_rtt).
cdef u32 tcp_tso_autosize(sock *sk, unsigned int mss_now, int min_tso_segs) noexcept nogil:
    cdef unsigned long bytes_
    cdef u32 r

    bytes_ = sk.sk_pacing_rate >> sk.sk_pacing_shift

    r = tcp_min_rtt(tcp_sk(sk)) >> sock_net(sk).ipv4.sysctl_tcp_tso_rtt_log
    if r < 32:
        bytes_ += sk.sk_gso_max_size >> r

    bytes_ = min_ulong(bytes_, sk.sk_gso_max_size)

    # no more than 32 bits are left, which divide faster
    return max_u32(<u32>bytes_ // mss_now, <u32>min_tso_segs)


cdef u32 tcp_tso_segs(sock *sk, unsigned int mss_now) noexcept nogil:
    cdef tcp_congestion_ops *ca_ops = inet_csk(sk).icsk_ca_ops
    cdef u32 min_tso, tso_segs

    if ca_ops.min_tso_segs != NULL:
        min_tso = ca_ops.min_tso_segs(sk)
    else:
        min_tso = sock_net(sk).ipv4.sysctl_tcp_min_tso_segs

    tso_segs = tcp_tso_autosize(sk, mss_now, <int>min_tso)
    return min_u32(tso_segs, sk.sk_gso_max_segs)


# How many bytes of the skb may leave at once: whole segments, and the rest only if Nagle lets it go.
cdef unsigned int tcp_mss_split_point(sock *sk, sk_buff *skb, unsigned int mss_now, unsigned int max_segs,
                                      int nonagle) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 partial, needed, window, max_len

    window = tcp_wnd_end(tp) - TCP_SKB_CB(skb).seq
    max_len = mss_now * max_segs

    if max_len <= window and skb != tcp_write_queue_tail(sk):
        return max_len

    needed = min_u32(skb.len, window)

    if max_len <= needed:
        return max_len

    partial = needed % mss_now
    if tcp_nagle_check(partial != 0, tp, nonagle):
        return needed - partial

    return needed


# Segments that the congestion window allows now; at most half of it, so that two super-segments are under way.
cdef u32 tcp_cwnd_test(tcp_sock *tp) noexcept nogil:
    cdef u32 in_flight, cwnd, halfcwnd

    in_flight = tcp_packets_in_flight(tp)
    cwnd = tcp_snd_cwnd(tp)
    if in_flight >= cwnd:
        return 0

    halfcwnd = max_u32(cwnd >> 1, 1)
    return min_u32(halfcwnd, cwnd - in_flight)


cdef int tcp_init_tso_segs(sk_buff *skb, unsigned int mss_now) noexcept nogil:
    cdef int tso_segs = tcp_skb_pcount(skb)

    if tso_segs == 0 or (tso_segs > 1 and <unsigned int>tcp_skb_mss(skb) != mss_now):
        return tcp_set_skb_tso_segs(skb, mss_now)

    return tso_segs


cdef inline bint tcp_nagle_test(tcp_sock *tp, sk_buff *skb, unsigned int cur_mss, int nonagle) noexcept nogil:
    # callers set PUSH for an skb in the middle of the queue: it will not grow
    if nonagle & TCP_NAGLE_PUSH:
        return True

    if tcp_urg_mode(tp) or TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN:
        return True

    return not tcp_nagle_check(skb.len < cur_mss, tp, nonagle)


# Does the first segment fit into the peer's window?
cdef bint tcp_snd_wnd_test(tcp_sock *tp, sk_buff *skb, unsigned int cur_mss) noexcept nogil:
    cdef u32 end_seq = TCP_SKB_CB(skb).end_seq

    if skb.len > cur_mss:
        end_seq = TCP_SKB_CB(skb).seq + cur_mss

    return not after(end_seq, tcp_wnd_end(tp))


# tcp_fragment() for an skb of the write queue that was never sent: neither cloned nor counted.
cdef int tso_fragment(sock *sk, sk_buff *skb, unsigned int len_, unsigned int mss_now, gfp_t gfp) noexcept nogil:
    cdef int nlen = <int>(skb.len - len_)
    cdef sk_buff *buff
    cdef u16 flags

    buff = tcp_stream_alloc_skb(sk, gfp, True)
    if buff == NULL:
        return -ENOMEM

    sk_wmem_queued_add(sk, <int>buff.truesize)
    sk_mem_charge(sk, <int>buff.truesize)
    buff.truesize += <u32>nlen
    skb.truesize -= <u32>nlen

    TCP_SKB_CB(buff).seq = TCP_SKB_CB(skb).seq + len_
    TCP_SKB_CB(buff).end_seq = TCP_SKB_CB(skb).end_seq
    TCP_SKB_CB(skb).end_seq = TCP_SKB_CB(buff).seq

    flags = TCP_SKB_CB(skb).tcp_flags
    TCP_SKB_CB(skb).tcp_flags = flags & <u16>~<u16>(TCPHDR_FIN | TCPHDR_PSH)
    TCP_SKB_CB(buff).tcp_flags = flags

    tcp_skb_fragment_eor(skb, buff)

    skb_split(skb, buff, len_)
    tcp_fragment_tstamp(skb, buff)

    tcp_set_skb_tso_segs(skb, mss_now)
    tcp_set_skb_tso_segs(buff, mss_now)

    __skb_header_release(buff)
    tcp_insert_write_queue_after(skb, buff, sk, TCP_FRAG_IN_WRITE_QUEUE)

    return 0


# Wait for a larger super-segment? Only if the last write is at most 1 ms old, less than a fraction of the window is
# free, and the next ACK is near.
cdef bint tcp_tso_should_defer(sock *sk, sk_buff *skb, bint *is_cwnd_limited, bint *is_rwnd_limited,
                               u32 max_segs) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef u32 send_win, cong_win, limit, in_flight, threshold, chunk
    cdef u64 srtt_in_ns, expected_ack, how_far_is_the_ack
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *head
    cdef int win_divisor
    cdef s64 delta

    if icsk.icsk_ca_state >= TCP_CA_Recovery:
        return False

    # tcp_wstamp_ns may lie ahead, if packets wait for their departure time
    delta = <s64>(tp.tcp_clock_cache - tp.tcp_wstamp_ns - <u64>NSEC_PER_MSEC)
    if delta > 0:
        return False

    in_flight = tcp_packets_in_flight(tp)

    send_win = tcp_wnd_end(tp) - TCP_SKB_CB(skb).seq

    cong_win = (tcp_snd_cwnd(tp) - in_flight) * tp.mss_cache

    limit = min_u32(send_win, cong_win)

    # a full one can go
    if limit >= max_segs * tp.mss_cache:
        return False

    # it will not grow, and all of it can go
    if skb != tcp_write_queue_tail(sk) and limit >= skb.len:
        return False

    win_divisor = sock_net(sk).ipv4.sysctl_tcp_tso_win_divisor
    if win_divisor:
        chunk = min_u32(tp.snd_wnd, tcp_snd_cwnd(tp) * tp.mss_cache)
        chunk //= <u32>win_divisor
        if limit >= chunk:
            return False
    elif limit > tcp_max_tso_deferred_mss(tp) * tp.mss_cache:
        # more than the peer needs to send one ACK
        return False

    head = tcp_rtx_queue_head(sk)
    if head == NULL:
        return False

    # when is the ACK of the oldest skb due?
    srtt_in_ns = <u64>(NSEC_PER_USEC >> 3) * tp.srtt_us
    expected_ack = head.skb_mstamp_ns + srtt_in_ns
    how_far_is_the_ack = expected_ack - tp.tcp_clock_cache

    threshold = <u32>min_u64(srtt_in_ns >> 1, NSEC_PER_MSEC)

    if <s64>(how_far_is_the_ack - threshold) > 0:
        return False

    # defer; note what it waits for
    if cong_win < send_win:
        if cong_win <= skb.len:
            is_cwnd_limited[0] = True
            return True
    elif send_win <= skb.len:
        is_rwnd_limited[0] = True
        return True

    # nothing will be added to it
    if TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN or TCP_SKB_CB(skb).eor:
        return False

    return True


# ---------------------------------------------------------------------------------------------- MTU probing (RFC 4821)

# The search has ended; begin it again after tcp_probe_interval seconds.
cdef inline void tcp_mtu_check_reprobe(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef u32 interval
    cdef s32 delta
    cdef int mss

    interval = n.ipv4.sysctl_tcp_probe_interval
    delta = <s32>(tcp_jiffies32(n) - icsk.icsk_mtup.probe_timestamp)
    if <u32>delta >= interval * <u32>HZ(n):
        mss = <int>tcp_current_mss(sk)

        icsk.icsk_mtup.probe_size = 0
        icsk.icsk_mtup.search_high = (<int>tp.rx_opt.mss_clamp + <int>sizeof(tcphdr) +
                                      <int>icsk.icsk_af_ops.net_header_len)
        icsk.icsk_mtup.search_low = tcp_mss_to_mtu(sk, mss)

        icsk.icsk_mtup.probe_timestamp = tcp_jiffies32(n)


# Can the first `len_` bytes of the write queue be made one skb?
cdef bint tcp_can_coalesce_send_queue_head(sock *sk, int len_) noexcept nogil:
    cdef sk_buff *skb = tcp_send_head(sk)
    cdef sk_buff *next_

    while skb != <sk_buff *>&sk.sk_write_queue:
        next_ = skb.next
        if <u32>len_ <= skb.len:
            break

        if tcp_has_tx_tstamp(skb) or not tcp_skb_can_collapse(skb, next_):
            return False

        len_ -= <int>skb.len
        skb = next_

    return True


# Gives `to` the fragments of the first `probe_size` bytes of the write queue.
cdef int tcp_clone_payload(sock *sk, sk_buff *to, int probe_size) noexcept nogil:
    cdef skb_frag_t *lastfrag = NULL
    cdef skb_frag_t *fragto = &skb_shinfo(to).frags[0]
    cdef skb_frag_t *fragfrom
    cdef int i, todo, len_ = 0, nr_frags = 0
    cdef sk_buff *skb

    if not sk_wmem_schedule(sk, <int>to.truesize + probe_size):
        return -ENOMEM

    skb = sk.sk_write_queue.next
    while len_ < probe_size and skb != <sk_buff *>&sk.sk_write_queue:
        if skb_headlen(skb):
            return -EINVAL

        for i in range(skb_shinfo(skb).nr_frags):
            if len_ >= probe_size:
                break
            fragfrom = &skb_shinfo(skb).frags[i]
            todo = min_int(<int>fragfrom.len, probe_size - len_)
            len_ += todo
            skb_shinfo(to).flags |= skb_shinfo(skb).flags & SKBFL_SHARED_FRAG
            if (lastfrag != NULL and fragfrom.page == lastfrag.page and
                    fragfrom.offset == lastfrag.offset + lastfrag.len):
                lastfrag.len += <u32>todo
                continue
            if nr_frags == MAX_SKB_FRAGS:
                return -E2BIG
            fragto.page = fragfrom.page
            fragto.offset = fragfrom.offset
            fragto.len = <u32>todo
            nr_frags += 1
            lastfrag = fragto
            fragto += 1
        skb = skb.next

    for i in range(nr_frags):
        skb_frag_ref(to, i)

    skb_shinfo(to).nr_frags = <u8>nr_frags
    to.truesize += <u32>probe_size
    to.len += <u32>probe_size
    to.data_len += <u32>probe_size
    __skb_header_release(to)
    return 0


# All of `src` was moved into `dst`: what else it had goes too.
cdef void tcp_eat_one_skb(sock *sk, sk_buff *dst, sk_buff *src) noexcept nogil:
    TCP_SKB_CB(dst).tcp_flags |= TCP_SKB_CB(src).tcp_flags
    TCP_SKB_CB(dst).eor = TCP_SKB_CB(src).eor
    tcp_skb_collapse_tstamp(dst, src)
    tcp_unlink_write_queue(src, sk)
    tcp_wmem_free_skb(sk, src)


# Sends a probe larger than the MSS, if it is time. Returns 1: sent, 0: wait for room in the windows, -1: no probe.
cdef int tcp_mtu_probe(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef sk_buff *skb
    cdef sk_buff *nskb
    cdef sk_buff *next_
    cdef int probe_size, size_needed, copy, len_, interval
    cdef unsigned int mss_now

    # not while a probe is out, nor in recovery, nor with SACK blocks to send (the header's size would vary)
    if (not icsk.icsk_mtup.enabled or icsk.icsk_mtup.probe_size or icsk.icsk_ca_state != TCP_CA_Open or
            tcp_snd_cwnd(tp) < 11 or tp.rx_opt.num_sacks or tp.rx_opt.dsack):
        return -1

    # half way between what works and what may work
    mss_now = tcp_current_mss(sk)
    probe_size = tcp_mtu_to_mss(sk, (icsk.icsk_mtup.search_high + icsk.icsk_mtup.search_low) >> 1)
    size_needed = <int>(<u32>probe_size + (tp.reordering + 1) * tp.mss_cache)
    interval = icsk.icsk_mtup.search_high - icsk.icsk_mtup.search_low
    if (probe_size > tcp_mtu_to_mss(sk, icsk.icsk_mtup.search_high) or
            interval < n.ipv4.sysctl_tcp_probe_threshold):
        tcp_mtu_check_reprobe(sk)
        return -1

    # enough behind it to see its loss by duplicate ACKs?
    if tp.write_seq - tp.snd_nxt < <u32>size_needed:
        return -1

    if tp.snd_wnd < <u32>size_needed:
        return -1
    if after(tp.snd_nxt + <u32>size_needed, tcp_wnd_end(tp)):
        return 0

    if tcp_packets_in_flight(tp) + 2 > tcp_snd_cwnd(tp):
        if not tcp_packets_in_flight(tp):
            return -1
        return 0

    if not tcp_can_coalesce_send_queue_head(sk, probe_size):
        return -1

    nskb = tcp_stream_alloc_skb(sk, GFP_ATOMIC, False)
    if nskb == NULL:
        return -1

    if tcp_clone_payload(sk, nskb, probe_size):
        consume_skb(nskb)
        return -1
    sk_wmem_queued_add(sk, <int>nskb.truesize)
    sk_mem_charge(sk, <int>nskb.truesize)

    skb = tcp_send_head(sk)

    TCP_SKB_CB(nskb).seq = TCP_SKB_CB(skb).seq
    TCP_SKB_CB(nskb).end_seq = TCP_SKB_CB(skb).seq + <u32>probe_size
    TCP_SKB_CB(nskb).tcp_flags = TCPHDR_ACK

    tcp_insert_write_queue_before(nskb, skb, sk)
    tcp_highest_sack_replace(sk, skb, nskb)

    len_ = 0
    while skb != <sk_buff *>&sk.sk_write_queue:
        next_ = skb.next
        copy = min_int(<int>skb.len, probe_size - len_)

        if skb.len <= <u32>copy:
            tcp_eat_one_skb(sk, nskb, skb)
        else:
            TCP_SKB_CB(nskb).tcp_flags |= TCP_SKB_CB(skb).tcp_flags & <u16>~<u16>(TCPHDR_FIN | TCPHDR_PSH)
            __pskb_trim_head(skb, copy)
            tcp_set_skb_tso_segs(skb, mss_now)
            TCP_SKB_CB(skb).seq += <u32>copy

        len_ += copy

        if len_ >= probe_size:
            break
        skb = next_
    tcp_init_tso_segs(nskb, nskb.len)

    # if it does not go out, tcp_write_xmit() cuts it up again
    if tcp_transmit_skb(sk, nskb, 1, GFP_ATOMIC) == 0:
        # it weighs about two segments
        tcp_snd_cwnd_set(tp, tcp_snd_cwnd(tp) - 1)
        tcp_event_new_data_sent(sk, nskb)

        icsk.icsk_mtup.probe_size = <u32>tcp_mss_to_mtu(sk, <int>nskb.len)
        tp.mtu_probe.probe_seq_start = TCP_SKB_CB(nskb).seq
        tp.mtu_probe.probe_seq_end = TCP_SKB_CB(nskb).end_seq

        return 1

    return -1


# ---------------------------------------------------------------------------------------------- pacing, queue limits

# True: the next packet's time has not come; a timer is set for it. (With fq the packet carries its time instead.)
cdef bint tcp_pacing_check(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if not tcp_needs_internal_pacing(sk):
        return False

    if tp.tcp_wstamp_ns <= tp.tcp_clock_cache:
        return False

    if not hrtimer_is_queued(&tp.pacing_timer):
        hrtimer_start_range_ns(&tp.pacing_timer, <ktime_t>tp.tcp_wstamp_ns, 0)
        sock_hold(sk)
    return True


cdef bint tcp_rtx_queue_empty_or_single_skb(sock *sk) noexcept nogil:
    cdef rb_node *node = sk.tcp_rtx_queue.rb_node

    if node == NULL:
        return True
    return node.rb_left == NULL and node.rb_right == NULL


# True: enough of this socket is below already. At least two packets or a millisecond, at most
# tcp_limit_output_bytes; twice that (factor 1) for retransmits.
cdef bint tcp_small_queue_check(sock *sk, sk_buff *skb, unsigned int factor) noexcept nogil:
    cdef unsigned long limit
    cdef u64 extra_bytes

    limit = max_ulong(2 * skb.truesize, sk.sk_pacing_rate >> sk.sk_pacing_shift)
    limit = min_ulong(limit, <unsigned long>sock_net(sk).ipv4.sysctl_tcp_limit_output_bytes)
    limit <<= factor

    if tcp_sk(sk).tcp_tx_delay:
        extra_bytes = <u64>sk.sk_pacing_rate * tcp_sk(sk).tcp_tx_delay

        # truesize is about twice the payload; 2^20 stands for USEC_PER_SEC
        extra_bytes >>= (20 - 1)
        limit += extra_bytes
    if <unsigned int>sk.sk_wmem_alloc > limit:
        # no need to wait for a completion that may be late
        if tcp_rtx_queue_empty_or_single_skb(sk):
            return False

        sk.sk_tsq_flags |= TSQF_THROTTLED
        return True
    return False


# A condition that limited the sender has ended.
cdef void tcp_chrono_stop(sock *sk, int type_) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if tcp_rtx_and_write_queues_empty(sk):
        tcp_chrono_set(tp, TCP_CHRONO_UNSPEC)
    elif type_ == tp.chrono_type:
        tcp_chrono_set(tp, TCP_CHRONO_BUSY)


# Fills the first skb of the write queue up from the second.
cdef void tcp_grow_skb(sock *sk, sk_buff *skb, int amount) noexcept nogil:
    cdef sk_buff *next_skb = skb.next
    cdef unsigned int nlen

    if tcp_skb_is_last(sk, skb):
        return

    if not tcp_skb_can_collapse(skb, next_skb):
        return

    nlen = min_u32(<u32>amount, next_skb.len)
    if nlen == 0 or not skb_shift(skb, next_skb, <int>nlen):
        return

    TCP_SKB_CB(skb).end_seq += nlen
    TCP_SKB_CB(next_skb).seq += nlen

    if not next_skb.len:
        # it may have held a FIN
        TCP_SKB_CB(skb).end_seq = TCP_SKB_CB(next_skb).end_seq

        tcp_eat_one_skb(sk, skb, next_skb)


# Sends from the write queue what windows, Nagle, pacing and queue limits allow. push_one 1: one skb; 2: one skb, cwnd
# or not (tail loss probe). True: nothing is in flight, something waits, nothing could be sent (a window probe is due).
cdef bint tcp_write_xmit(sock *sk, unsigned int mss_now, int nonagle, int push_one, gfp_t gfp) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *skb
    cdef unsigned int tso_segs, sent_pkts, limit
    cdef u32 cwnd_quota, max_segs
    cdef int result, missing_bytes
    cdef bint is_cwnd_limited = False
    cdef bint is_rwnd_limited = False

    sent_pkts = 0

    tcp_mstamp_refresh(tp)

    if not push_one:
        result = tcp_mtu_probe(sk)
        if result == 0:
            return False
        elif result > 0:
            sent_pkts = 1

    max_segs = tcp_tso_segs(sk, mss_now)
    while True:
        skb = tcp_send_head(sk)
        if skb == NULL:
            break

        if tp.repair and tp.repair_queue == TCP_SEND_QUEUE:
            # counted as sent without being sent; the stamp is for the retransmit timer
            tp.tcp_wstamp_ns = tp.tcp_clock_cache
            skb_set_delivery_time(skb, tp.tcp_wstamp_ns, SKB_CLOCK_MONOTONIC)
            list_move_tail(&skb.tcp_tsorted_anchor, &tp.tsorted_sent_queue)
            tcp_init_tso_segs(skb, mss_now)
        else:
            if tcp_pacing_check(sk):
                break

            cwnd_quota = tcp_cwnd_test(tp)
            if cwnd_quota == 0:
                if push_one == 2:
                    cwnd_quota = 1
                else:
                    break
            cwnd_quota = min_u32(cwnd_quota, max_segs)
            missing_bytes = <int>(cwnd_quota * mss_now - skb.len)
            if missing_bytes > 0:
                tcp_grow_skb(sk, skb, missing_bytes)

            tso_segs = <unsigned int>tcp_set_skb_tso_segs(skb, mss_now)

            if not tcp_snd_wnd_test(tp, skb, mss_now):
                is_rwnd_limited = True
                break

            if tso_segs == 1:
                if not tcp_nagle_test(tp, skb, mss_now,
                                      nonagle if tcp_skb_is_last(sk, skb) else <int>TCP_NAGLE_PUSH):
                    break
            elif not push_one and tcp_tso_should_defer(sk, skb, &is_cwnd_limited, &is_rwnd_limited, max_segs):
                break

            limit = mss_now
            if tso_segs > 1 and not tcp_urg_mode(tp):
                limit = tcp_mss_split_point(sk, skb, mss_now, cwnd_quota, nonagle)

            if skb.len > limit and tso_fragment(sk, skb, limit, mss_now, gfp):
                break

            if tcp_small_queue_check(sk, skb, 0):
                break

            # an empty skb: its writer sleeps for memory
            if TCP_SKB_CB(skb).end_seq == TCP_SKB_CB(skb).seq:
                break

            if tcp_transmit_skb(sk, skb, 1, gfp):
                break

        tcp_event_new_data_sent(sk, skb)

        tcp_minshall_update(tp, mss_now, skb)
        sent_pkts += <unsigned int>tcp_skb_pcount(skb)

        if push_one:
            break

    if is_rwnd_limited:
        tcp_chrono_start(sk, TCP_CHRONO_RWND_LIMITED)
    else:
        tcp_chrono_stop(sk, TCP_CHRONO_RWND_LIMITED)

    is_cwnd_limited = is_cwnd_limited or tcp_packets_in_flight(tp) >= tcp_snd_cwnd(tp)
    if sent_pkts or is_cwnd_limited:
        tcp_cwnd_validate(sk, is_cwnd_limited)

    if sent_pkts:
        if tcp_in_cwnd_reduction(sk):
            tp.prr_out += sent_pkts

        # one loss probe for each tail loss
        if push_one != 2:
            tcp_schedule_loss_probe(sk, False)
        return False
    return tp.packets_out == 0 and not tcp_write_queue_empty(sk)


# ---------------------------------------------------------------------------------------------- tail loss probe

# RFC 8985 7.2: PTO = 2 SRTT, and room for a delayed ACK if one segment is out; not after the RTO.
cdef bint tcp_schedule_loss_probe(sock *sk, bint advancing_rto) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef u32 timeout, timeout_us, rto_delta_us
    cdef int early_retrans

    # not before the handshake of a Fast Open connection ends
    if tp.fastopen_rsk != NULL:
        return False

    early_retrans = n.ipv4.sysctl_tcp_early_retrans
    if ((early_retrans != 3 and early_retrans != 4) or
            not tp.packets_out or not tcp_is_sack(tp) or
            (icsk.icsk_ca_state != TCP_CA_Open and icsk.icsk_ca_state != TCP_CA_CWR)):
        return False

    if tp.srtt_us:
        timeout_us = tp.srtt_us >> 2
        if tp.packets_out == 1:
            timeout_us += tcp_rto_min_us(sk)
        else:
            timeout_us += TCP_TIMEOUT_MIN_US
        timeout = <u32>usecs_to_jiffies(n, timeout_us)
    else:
        timeout = <u32>TCP_TIMEOUT_INIT(n)

    if advancing_rto:
        rto_delta_us = <u32>jiffies_to_usecs(n, icsk.icsk_rto)
    else:
        rto_delta_us = <u32>tcp_rto_delta_us(sk)
    if rto_delta_us > 0:
        timeout = min_u32(timeout, <u32>usecs_to_jiffies(n, rto_delta_us))

    tcp_reset_xmit_timer(sk, ICSK_TIME_LOSS_PROBE, timeout, True)
    return True


# The clone of the last transmission is still in queueing discipline or device: sending it again is of no use.
cdef bint skb_still_in_host_queue(sock *sk, sk_buff *skb) noexcept nogil:
    if skb_fclone_busy(sk, skb):
        sk.sk_tsq_flags |= TSQF_THROTTLED
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPSPURIOUS_RTX_HOSTQUEUES)
        return True
    return False


# What tcp_send_loss_probe() does before the timer is set again. Negative: nothing was sent and no timer is wanted.
cdef int loss_probe_xmit(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *skb
    cdef u32 pcount
    cdef u32 mss = tcp_current_mss(sk)

    # one probe at a time
    if tp.tlp_high_seq:
        return 0

    tp.tlp_retrans = 0
    skb = tcp_send_head(sk)
    if skb != NULL and tcp_snd_wnd_test(tp, skb, mss):
        pcount = tp.packets_out
        tcp_write_xmit(sk, mss, TCP_NAGLE_OFF, 2, GFP_ATOMIC)
        return 1 if tp.packets_out > pcount else 0
    skb = skb_rb_last(&sk.tcp_rtx_queue)
    if skb == NULL:
        inet_csk(sk).icsk_pending = 0
        return -1

    if skb_still_in_host_queue(sk, skb):
        return 0

    pcount = <u32>tcp_skb_pcount(skb)
    if pcount == 0:
        return 0

    # the last segment only
    if pcount > 1 and skb.len > (pcount - 1) * mss:
        if tcp_fragment(sk, TCP_FRAG_IN_RTX_QUEUE, skb, (pcount - 1) * mss, mss, GFP_ATOMIC):
            return 0
        skb = skb_rb_next(skb)

    if skb == NULL or not tcp_skb_pcount(skb):
        return 0

    if __tcp_retransmit_skb(sk, skb, 1):
        return 0

    tp.tlp_retrans = 1
    return 1


# RFC 8985 7.3: the PTO fired; send a new segment, or else the last one again.
cdef void tcp_send_loss_probe(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int sent = loss_probe_xmit(sk)

    if sent < 0:
        return
    if sent:
        tp.tlp_high_seq = tp.snd_nxt

        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPLOSSPROBES)
        # so that tcp_rearm_rto() counts from now
        inet_csk(sk).icsk_pending = 0
    tcp_rearm_rto(sk)


cdef void __tcp_push_pending_frames(sock *sk, unsigned int cur_mss, int nonagle) noexcept nogil:
    # closed: the queue is emptied later
    if sk.sk_state == TCP_CLOSE:
        return

    if tcp_write_xmit(sk, cur_mss, nonagle, 0, sk_gfp_mask(sk, GFP_ATOMIC)):
        tcp_check_probe_timer(sk)


# Sends the one skb at the head of the queue.
cdef void tcp_push_one(sock *sk, unsigned int mss_now) noexcept nogil:
    tcp_write_xmit(sk, mss_now, TCP_NAGLE_PUSH, 1, sk.sk_allocation)


# The window to offer, in bytes: the free receive space, without moving the right edge by less than a segment (RFC 1122
# 4.2.3.3), rounded to whole segments or, with window scale, to the scale.
cdef u32 __tcp_select_window(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef int mss = icsk.icsk_ack.rcv_mss
    cdef int free_space = tcp_space(sk)
    cdef int allowed_space = tcp_full_space(sk)
    cdef int full_space, window
    cdef int unit = 1 << tp.rx_opt.rcv_wscale

    full_space = min_int(<int>tp.window_clamp, allowed_space)

    if mss > full_space:
        mss = full_space
        if mss <= 0:
            return 0

    if n.ipv4.sysctl_tcp_shrink_window and tp.rx_opt.rcv_wscale:
        return select_window_shrinkable(sk, mss, free_space, allowed_space, full_space, unit)

    if free_space < (full_space >> 1):
        icsk.icsk_ack.quick = 0

        if tcp_under_memory_pressure(sk):
            tcp_adjust_rcv_ssthresh(sk)

        # it may become the window: the scale must not round it up
        free_space &= ~(unit - 1)

        # close the window in time, before the receive buffer's limit drops what comes
        if free_space < (allowed_space >> 4) or free_space < mss:
            return 0

    if <u32>free_space > tp.rcv_ssthresh:
        free_space = <int>tp.rcv_ssthresh

    if tp.rx_opt.rcv_wscale:
        # round up, so that a small window is not scaled away
        window = (free_space + (unit - 1)) & ~(unit - 1)
    else:
        # keep the window if it is within one MSS of the space: header prediction likes it constant
        window = <int>tp.rcv_wnd
        if window <= free_space - mss or window > free_space:
            window = free_space - free_space % mss
        elif mss == full_space and free_space > window + (full_space >> 1):
            window = free_space

    return <u32>window


# Label shrink_window_allowed of __tcp_select_window(): the window may shrink (tcp_shrink_window), so it follows the
# space there is, in units of the scale.
cdef u32 select_window_shrinkable(sock *sk, int mss, int free_space, int allowed_space, int full_space,
                                  int unit) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    free_space &= ~(unit - 1)

    if free_space < (full_space >> 1):
        inet_csk(sk).icsk_ack.quick = 0

        if tcp_under_memory_pressure(sk):
            tcp_adjust_rcv_ssthresh(sk)

        if free_space < (allowed_space >> 4) or free_space < mss or free_space < unit:
            return 0

    if <u32>free_space > tp.rcv_ssthresh:
        # up: rcv_ssthresh is no hard limit
        free_space = <int>tp.rcv_ssthresh
        free_space = (free_space + (unit - 1)) & ~(unit - 1)

    return <u32>free_space


# ---------------------------------------------------------------------------------------------- retransmission

cdef void tcp_skb_collapse_tstamp(sk_buff *skb, sk_buff *next_skb) noexcept nogil:
    if tcp_has_tx_tstamp(next_skb):
        skb_shinfo(skb).tx_flags |= skb_shinfo(next_skb).tx_flags & SKBTX_ANY_TSTAMP
        skb_shinfo(skb).tskey = skb_shinfo(next_skb).tskey
        TCP_SKB_CB(skb).txstamp_ack |= TCP_SKB_CB(next_skb).txstamp_ack


# Joins an skb of the retransmit queue with the one that follows it.
cdef bint tcp_collapse_retrans(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *next_skb = skb_rb_next(skb)
    cdef int next_skb_size = <int>next_skb.len

    if next_skb_size and not tcp_skb_shift(skb, next_skb, 1, next_skb_size):
        return False

    tcp_highest_sack_replace(sk, next_skb, skb)

    TCP_SKB_CB(skb).end_seq = TCP_SKB_CB(next_skb).end_seq

    TCP_SKB_CB(skb).tcp_flags |= TCP_SKB_CB(next_skb).tcp_flags

    TCP_SKB_CB(skb).sacked |= TCP_SKB_CB(next_skb).sacked & TCPCB_EVER_RETRANS
    TCP_SKB_CB(skb).eor = TCP_SKB_CB(next_skb).eor

    if next_skb == tp.retransmit_skb_hint:
        tp.retransmit_skb_hint = skb

    tcp_adjust_pcount(sk, next_skb, tcp_skb_pcount(next_skb))

    tcp_skb_collapse_tstamp(skb, next_skb)

    tcp_rtx_queue_unlink_and_free(next_skb, sk)
    return True


cdef bint tcp_can_collapse(sock *sk, sk_buff *skb) noexcept nogil:
    if tcp_skb_pcount(skb) > 1:
        return False
    if skb_cloned(skb):
        return False
    if not skb_frags_readable(skb):
        return False
    if TCP_SKB_CB(skb).sacked & TCPCB_SACKED_ACKED:
        return False

    return True


# A retransmitted segment takes up the small ones behind it, as far as `space` goes.
cdef void tcp_retrans_try_collapse(sock *sk, sk_buff *to, int space) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *skb = to
    cdef sk_buff *tmp
    cdef bint first = True

    if not sock_net(sk).ipv4.sysctl_tcp_retrans_collapse:
        return
    if TCP_SKB_CB(skb).tcp_flags & TCPHDR_SYN:
        return

    while skb != NULL:
        tmp = skb_rb_next(skb)

        if not tcp_can_collapse(sk, skb):
            break

        if not tcp_skb_can_collapse(to, skb):
            break

        space -= <int>skb.len

        if first:
            first = False
        else:
            if space < 0:
                break

            if after(TCP_SKB_CB(skb).end_seq, tcp_wnd_end(tp)):
                break

            if not tcp_collapse_retrans(sk, to):
                break
        skb = tmp


# What __tcp_retransmit_skb() does before its label `out`.
cdef int retransmit_skb_xmit(sock *sk, sk_buff *skb, int segs) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef unsigned int cur_mss
    cdef int diff, len_, err
    cdef int avail_wnd

    # nothing is learnt from a probe in a time of loss
    if icsk.icsk_mtup.probe_size:
        icsk.icsk_mtup.probe_size = 0

    if skb_still_in_host_queue(sk, skb):
        return -EBUSY

    # some of it may be acknowledged
    while before(TCP_SKB_CB(skb).seq, tp.snd_una):
        if TCP_SKB_CB(skb).tcp_flags & TCPHDR_SYN:
            TCP_SKB_CB(skb).tcp_flags &= <u16>~<u16>TCPHDR_SYN
            TCP_SKB_CB(skb).seq += 1
            continue
        if before(TCP_SKB_CB(skb).end_seq, tp.snd_una):
            return -EINVAL
        if tcp_trim_head(sk, skb, tp.snd_una - TCP_SKB_CB(skb).seq):
            return -ENOMEM
        break

    if icsk.icsk_af_ops.rebuild_header(sk):
        return -EHOSTUNREACH

    cur_mss = tcp_current_mss(sk)
    avail_wnd = <int>(tcp_wnd_end(tp) - TCP_SKB_CB(skb).seq)

    # the peer took its window back: only the first segment goes, as a window probe
    if avail_wnd <= 0:
        if TCP_SKB_CB(skb).seq != tp.snd_una:
            return -EAGAIN
        avail_wnd = <int>cur_mss

    len_ = <int>(cur_mss * <unsigned int>segs)
    if len_ > avail_wnd:
        len_ = <int>(<unsigned int>avail_wnd - <unsigned int>avail_wnd % cur_mss)
        if len_ == 0:
            len_ = avail_wnd
    if skb.len > <u32>len_:
        if tcp_fragment(sk, TCP_FRAG_IN_RTX_QUEUE, skb, <u32>len_, cur_mss, GFP_ATOMIC):
            return -ENOMEM
    else:
        if skb_unclone_keeptruesize(skb, GFP_ATOMIC):
            return -ENOMEM

        diff = tcp_skb_pcount(skb)
        tcp_set_skb_tso_segs(skb, cur_mss)
        diff -= tcp_skb_pcount(skb)
        if diff:
            tcp_adjust_pcount(sk, skb, diff)
        avail_wnd = min_int(avail_wnd, <int>cur_mss)
        if skb.len < <u32>avail_wnd:
            tcp_retrans_try_collapse(sk, skb, avail_wnd)

    # RFC 3168 6.1.1.1: try without ECN, should the SYN have been lost for it
    if (TCP_SKB_CB(skb).tcp_flags & TCPHDR_SYN_ECN) == TCPHDR_SYN_ECN:
        tcp_ecn_clear_syn(sk, skb)

    segs = tcp_skb_pcount(skb)
    TCP_ADD_STATS(n, TCP_MIB_RETRANSSEGS, segs)
    if TCP_SKB_CB(skb).tcp_flags & TCPHDR_SYN:
        NET_INC_STATS(n, LINUX_MIB_TCPSYNRETRANS)
    tp.total_retrans += <u32>segs
    tp.bytes_retrans += skb.len

    err = tcp_transmit_skb(sk, skb, 1, GFP_ATOMIC)

    if err and err != -EBUSY:
        NET_ADD_STATS(n, LINUX_MIB_TCPRETRANSFAIL, segs)

    # even if it failed: its stamp is no longer good for an RTT sample
    TCP_SKB_CB(skb).sacked |= TCPCB_EVER_RETRANS
    return err


# Sends one skb of the retransmit queue again, at most `segs` segments of it. Counting it as lost or retransmitted is
# the caller's. 0, or a negative errno if it could not be sent.
cdef int __tcp_retransmit_skb(sock *sk, sk_buff *skb, int segs) noexcept nogil:
    cdef int err = retransmit_skb_xmit(sk, skb, segs)

    trace_tcp_retransmit_skb(sk, skb, err)
    return err


cdef int tcp_retransmit_skb(sock *sk, sk_buff *skb, int segs) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int err = __tcp_retransmit_skb(sk, skb, segs)

    if err == 0:
        TCP_SKB_CB(skb).sacked |= TCPCB_RETRANS
        tp.retrans_out += <u32>tcp_skb_pcount(skb)

    # when the first retransmission was tried
    if not tp.retrans_stamp:
        tp.retrans_stamp = tcp_skb_timestamp_ts(tp.tcp_usec_ts, skb)

    if tp.undo_retrans < 0:
        tp.undo_retrans = 0
    tp.undo_retrans += tcp_skb_pcount(skb)
    return err


# Sends again what is marked lost, oldest first, as far as the congestion window goes.
cdef void tcp_xmit_retransmit_queue(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *skb
    cdef sk_buff *rtx_head
    cdef sk_buff *hole = NULL
    cdef bint rearm_timer = False
    cdef u32 max_segs
    cdef int mib_idx, segs
    cdef u8 sacked

    if not tp.packets_out:
        return

    rtx_head = tcp_rtx_queue_head(sk)
    skb = tp.retransmit_skb_hint
    if skb == NULL:
        skb = rtx_head
    max_segs = tcp_tso_segs(sk, tcp_current_mss(sk))
    while skb != NULL:
        if tcp_pacing_check(sk):
            break

        # the next call need not look at what lies before the first hole
        if hole == NULL:
            tp.retransmit_skb_hint = skb

        segs = <int>(tcp_snd_cwnd(tp) - tcp_packets_in_flight(tp))
        if segs <= 0:
            break
        sacked = TCP_SKB_CB(skb).sacked
        segs = min_int(segs, <int>max_segs)

        if tp.retrans_out >= tp.lost_out:
            break
        if not (sacked & TCPCB_LOST):
            if hole == NULL and not (sacked & (TCPCB_SACKED_RETRANS | TCPCB_SACKED_ACKED)):
                hole = skb
            skb = skb_rb_next(skb)
            continue
        if icsk.icsk_ca_state != TCP_CA_Loss:
            mib_idx = LINUX_MIB_TCPFASTRETRANS
        else:
            mib_idx = LINUX_MIB_TCPSLOWSTARTRETRANS

        if sacked & (TCPCB_SACKED_ACKED | TCPCB_SACKED_RETRANS):
            skb = skb_rb_next(skb)
            continue

        if tcp_small_queue_check(sk, skb, 1):
            break

        if tcp_retransmit_skb(sk, skb, segs):
            break

        NET_ADD_STATS(sock_net(sk), mib_idx, tcp_skb_pcount(skb))

        if tcp_in_cwnd_reduction(sk):
            tp.prr_out += <u32>tcp_skb_pcount(skb)

        if skb == rtx_head and icsk.icsk_pending != ICSK_TIME_REO_TIMEOUT:
            rearm_timer = True
        skb = skb_rb_next(skb)
    if rearm_timer:
        tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, icsk.icsk_rto, True)


# ---------------------------------------------------------------------------------------------- FIN, RST, SYN

# A FIN may exceed the memory limits: closing gives memory back.
cdef void sk_forced_mem_schedule(sock *sk, int size) noexcept nogil:
    cdef int delta, amt

    delta = size - sk.sk_forward_alloc
    if delta <= 0:
        return

    amt = sk_mem_pages(delta)
    sk_forward_alloc_add(sk, amt << PAGE_SHIFT)

    if sk.sk_bypass_prot_mem:
        return

    sk_memory_allocated_add(sk, amt)


# FIN: on the last skb of the write queue if there is one, else in an skb of its own.
cdef void tcp_send_fin(sock *sk) noexcept nogil:
    cdef sk_buff *skb
    cdef sk_buff *tskb
    cdef sk_buff *tail = tcp_write_queue_tail(sk)
    cdef tcp_sock *tp = tcp_sk(sk)

    tskb = tail
    if tskb == NULL and tcp_under_memory_pressure(sk):
        tskb = skb_rb_last(&sk.tcp_rtx_queue)

    if tskb != NULL:
        TCP_SKB_CB(tskb).tcp_flags |= TCPHDR_FIN
        TCP_SKB_CB(tskb).end_seq += 1
        tp.write_seq += 1
        if tail == NULL:
            # short of memory, and that skb is sent already: as if the FIN had gone with it; the RTO sends it
            tp.snd_nxt += 1
            return
    else:
        skb = alloc_skb_fclone(sock_net(sk), MAX_TCP_HEADER, sk_gfp_mask(sk, GFP_ATOMIC))
        if skb == NULL:
            return

        INIT_LIST_HEAD(&skb.tcp_tsorted_anchor)
        skb_reserve(skb, MAX_TCP_HEADER)
        sk_forced_mem_schedule(sk, <int>skb.truesize)
        tcp_init_nondata_skb(skb, sk, tp.write_seq, TCPHDR_ACK | TCPHDR_FIN)
        tcp_queue_skb(sk, skb)
    __tcp_push_pending_frames(sk, tcp_current_mss(sk), TCP_NAGLE_OFF)


# RFC 2525 2.17: closed with data unread. No options, never retransmitted.
cdef void tcp_send_active_reset(sock *sk, gfp_t priority, int reason) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef sk_buff *skb

    TCP_INC_STATS(n, TCP_MIB_OUTRSTS)

    skb = alloc_skb(n, MAX_TCP_HEADER, priority)
    if skb == NULL:
        NET_INC_STATS(n, LINUX_MIB_TCPABORTFAILED)
        return

    skb_reserve(skb, MAX_TCP_HEADER)
    tcp_init_nondata_skb(skb, sk, tcp_acceptable_seq(sk), TCPHDR_ACK | TCPHDR_RST)
    tcp_mstamp_refresh(tcp_sk(sk))
    if tcp_transmit_skb(sk, skb, 0, priority):
        NET_INC_STATS(n, LINUX_MIB_TCPABORTFAILED)

    trace_tcp_send_reset(n, sk, NULL, reason)


# Simultaneous open (RFC 9293 3.5): our SYN goes again, with the ACK of the peer's.
cdef int tcp_send_synack(sock *sk) noexcept nogil:
    cdef sk_buff *skb = tcp_rtx_queue_head(sk)
    cdef sk_buff *nskb

    if skb == NULL or not (TCP_SKB_CB(skb).tcp_flags & TCPHDR_SYN):
        return -EFAULT
    if not (TCP_SKB_CB(skb).tcp_flags & TCPHDR_ACK):
        if skb_cloned(skb):
            nskb = skb_copy(skb, GFP_ATOMIC)
            if nskb == NULL:
                return -ENOMEM
            INIT_LIST_HEAD(&nskb.tcp_tsorted_anchor)
            tcp_highest_sack_replace(sk, skb, nskb)
            tcp_rtx_queue_unlink_and_free(skb, sk)
            __skb_header_release(nskb)
            tcp_rbtree_insert(&sk.tcp_rtx_queue, nskb)
            sk_wmem_queued_add(sk, <int>nskb.truesize)
            sk_mem_charge(sk, <int>nskb.truesize)
            skb = nskb

        TCP_SKB_CB(skb).tcp_flags |= TCPHDR_ACK
        tcp_ecn_send_synack(sk, skb)
    return tcp_transmit_skb(sk, skb, 1, GFP_ATOMIC)


# Builds the SYN-ACK for a request. Takes over `dst`. synack_type: TCP_SYNACK_*; syn_skb is NULL when it is repeated.
cdef sk_buff *tcp_make_synack(sock *sk, dst_entry *dst, request_sock *req, tcp_fastopen_cookie *foc,
                              int synack_type, sk_buff *syn_skb) noexcept nogil:
    cdef inet_request_sock *ireq = inet_rsk(req)
    cdef tcp_request_sock *treq = tcp_rsk(req)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef tcp_out_options opts
    cdef tcp_key key
    cdef sk_buff *skb
    cdef unsigned int tcp_header_size
    cdef tcphdr *th
    cdef int mss
    cdef u64 now

    skb = alloc_skb(n, MAX_TCP_HEADER, GFP_ATOMIC)
    if skb == NULL:
        dst_release(dst)
        return NULL
    skb_reserve(skb, MAX_TCP_HEADER)

    if synack_type == TCP_SYNACK_NORMAL:
        skb_set_owner_edemux(skb, req_to_sk(req))
    elif synack_type == TCP_SYNACK_FASTOPEN:
        skb_set_owner_w(skb, sk)
    skb_dst_set(skb, dst)

    mss = tcp_mss_clamp(tp, <u16>dst_metric_advmss(dst))

    memset(&opts, 0, sizeof(opts))
    now = tcp_clock_ns(n)
    if synack_type == TCP_SYNACK_COOKIE and ireq.tstamp_ok:
        skb_set_delivery_time(skb, cookie_init_timestamp(req, now), SKB_CLOCK_MONOTONIC)
    else:
        skb_set_delivery_time(skb, now, SKB_CLOCK_MONOTONIC)
        if not treq.snt_synack:         # of the first one
            treq.snt_synack = tcp_skb_timestamp_us(skb)

    key.md5_key = treq.af_specific.req_md5_lookup(sk, req_to_sk(req)) if tp.md5sig_info != NULL else NULL
    skb.hash = treq.txhash
    skb.l4_hash = 1
    skb.sw_hash = 0
    TCP_SKB_CB(skb).tcp_flags = TCPHDR_SYN | TCPHDR_ACK
    tcp_header_size = (tcp_synack_options(sk, req, <unsigned int>mss, skb, &opts, &key, foc, synack_type,
                                          syn_skb) +
                       <unsigned int>sizeof(tcphdr))

    skb_push(skb, tcp_header_size)
    skb_reset_transport_header(skb)

    th = <tcphdr *>skb.data
    memset(th, 0, sizeof(tcphdr))
    th.flags = TCPHDR_SYN | TCPHDR_ACK
    tcp_ecn_make_synack(req, th)
    th.source = htons(ireq.req.ir_num)
    th.dest = req.ir_rmt_port
    skb.mark = ireq.ir_mark
    skb.ip_summed = CHECKSUM_PARTIAL
    th.seq = htonl(treq.snt_isn)
    th.ack_seq = htonl(treq.rcv_nxt)

    # RFC 7323 2.2: never scaled in a SYN-ACK
    th.window = htons(<u16>min_u32(req.rsk_rcv_wnd, 65535))
    tcp_options_write(th, NULL, treq, &opts, &key)
    th.doff_res = <u8>((th.doff_res & 0x0F) | ((tcp_header_size >> 2) << 4))
    TCP_INC_STATS(n, TCP_MIB_OUTSEGS)

    if tcp_key_is_md5(&key):
        treq.af_specific.calc_md5_hash(opts.hash_location, key.md5_key, req_to_sk(req), skb)

    skb_set_delivery_time(skb, now, SKB_CLOCK_MONOTONIC)
    tcp_add_tx_delay(skb, tp)

    return skb


# The route may ask for a congestion control (`ip route ... congctl`).
cdef void tcp_ca_dst_init(sock *sk, dst_entry *dst) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_congestion_ops *ca
    cdef u32 ca_key = dst_metric(dst, RTAX_CC_ALGO)

    if ca_key == TCP_CA_UNSPEC:
        return

    ca = tcp_ca_find_key(ca_key)
    if ca != NULL:
        icsk.icsk_ca_dst_locked = 1 if tcp_ca_dst_locked(dst) else 0
        icsk.icsk_ca_ops = ca


# State of a connection that is about to send its SYN.
cdef void tcp_connect_init(sock *sk) noexcept nogil:
    cdef dst_entry *dst = __sk_dst_get(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef u8 rcv_wscale
    cdef u16 user_mss
    cdef u32 rcv_wnd
    cdef u32 ts_len = 0

    # for now; tcp_rcv_synsent_state_process() sets it right
    tp.tcp_header_len = <u16>sizeof(tcphdr)
    if n.ipv4.sysctl_tcp_timestamps:
        tp.tcp_header_len += TCPOLEN_TSTAMP_ALIGNED

    user_mss = tp.rx_opt.user_mss
    if user_mss:
        tp.rx_opt.mss_clamp = user_mss
    tp.max_window = 0
    tcp_mtup_init(sk)
    tcp_sync_mss(sk, dst_mtu(dst))

    tcp_ca_dst_init(sk, dst)

    if not tp.window_clamp:
        tp.window_clamp = dst_metric(dst, RTAX_WINDOW)
    tp.advmss = tcp_mss_clamp(tp, <u16>dst_metric_advmss(dst))

    tcp_initialize_rcv_mss(sk)

    # SO_RCVBUF bounds the window
    if (sk.sk_userlocks & SOCK_RCVBUF_LOCK and
            (tp.window_clamp > <u32>tcp_full_space(sk) or tp.window_clamp == 0)):
        tp.window_clamp = <u32>tcp_full_space(sk)

    rcv_wnd = dst_metric(dst, RTAX_INITRWND)

    if tp.rx_opt.ts_recent_stamp:
        ts_len = <u32>(tp.tcp_header_len - sizeof(tcphdr))
    tcp_select_initial_window(sk, tcp_full_space(sk), tp.advmss - ts_len, &tp.rcv_wnd, &tp.window_clamp,
                              n.ipv4.sysctl_tcp_window_scaling, &rcv_wscale, rcv_wnd)

    tp.rx_opt.rcv_wscale = rcv_wscale
    tp.rcv_ssthresh = tp.rcv_wnd

    sk.sk_err = 0
    sock_reset_flag(sk, SOCK_DONE)
    tp.snd_wnd = 0
    tcp_init_wl(tp, 0)
    tcp_write_queue_purge(sk)
    tp.iss = tp.write_seq
    tp.snd_una = tp.write_seq
    tp.snd_sml = tp.write_seq
    tp.snd_up = tp.write_seq
    tp.snd_nxt = tp.write_seq

    if not tp.repair:
        tp.rcv_nxt = 0
    else:
        tp.rcv_tstamp = tcp_jiffies32(n)
    tp.rcv_wup = tp.rcv_nxt
    tp.copied_seq = tp.rcv_nxt

    inet_csk(sk).icsk_rto = tcp_timeout_init(sk)
    inet_csk(sk).icsk_retransmits = 0
    tcp_clear_retrans(tp)


cdef void tcp_connect_queue_skb(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef tcp_skb_cb *tcb = TCP_SKB_CB(skb)

    tcb.end_seq += skb.len
    __skb_header_release(skb)
    sk_wmem_queued_add(sk, <int>skb.truesize)
    sk_mem_charge(sk, <int>skb.truesize)
    tp.write_seq = tcb.end_seq
    tp.packets_out += <u32>tcp_skb_pcount(skb)


# tcp_send_syn_data() as far as its labels: 1: sent (*err_ holds 0), 0: fall back to a SYN without data.
cdef int syn_data_xmit(sock *sk, sk_buff *syn) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef tcp_fastopen_request *fo = tp.fastopen_req
    cdef page_frag *pfrag = sk_page_frag(sk, fo.data)
    cdef sk_buff *syn_data
    cdef int space
    cdef int err

    tp.rx_opt.mss_clamp = tp.advmss
    if not tcp_fastopen_cookie_check(sk, &tp.rx_opt.mss_clamp, &fo.cookie):
        return 0

    # the cached MSS, within our own; room for all options is kept free
    tp.rx_opt.mss_clamp = tcp_mss_clamp(tp, tp.rx_opt.mss_clamp)
    tcp_sync_mss(sk, icsk.icsk_pmtu_cookie)

    space = __tcp_mtu_to_mss(sk, <int>icsk.icsk_pmtu_cookie) - MAX_TCP_OPTION_SPACE

    space = <int>min_ulong(<unsigned long>space, fo.size)

    if space and not skb_page_frag_refill(n, <unsigned int>min_ulong(<unsigned long>space, PAGE_SIZE), pfrag,
                                          sk.sk_allocation):
        return 0
    syn_data = tcp_stream_alloc_skb(sk, sk.sk_allocation, False)
    if syn_data == NULL:
        return 0
    syn_data.cb = syn.cb
    if space:
        space = <int>min_ulong(<unsigned long>space, pfrag.size - pfrag.offset)
        space = tcp_wmem_schedule(sk, space)
    if space:
        # copy_page_from_iter(): bytes only count
        space = 0 if msg_fault(fo.data) else <int>min_size(<size_t>space, fo.data.count)
        fo.data.count -= <size_t>space
        fo.data.iov_offset += <size_t>space
        if space == 0:
            kfree_skb(syn_data)
            return 0
        skb_fill_page_desc(syn_data, 0, pfrag.page, <int>pfrag.offset, space)
        get_page(pfrag.page)
        pfrag.offset += <u32>space
        skb_len_add(syn_data, space)
        if msg_ext_of(fo.data) != NULL:
            skb_zcopy_set(syn_data, msg_ext_of(fo.data).uarg)
    # nothing is left for the connect() that waits
    if <size_t>space == fo.size:
        fo.data = NULL
    fo.copied = space

    tcp_connect_queue_skb(sk, syn_data)
    if syn_data.len:
        tcp_chrono_start(sk, TCP_CHRONO_BUSY)

    err = tcp_transmit_skb(sk, syn_data, 1, sk.sk_allocation)

    skb_set_delivery_time(syn, syn_data.skb_mstamp_ns, SKB_CLOCK_MONOTONIC)

    # the queued one has the data only; the SYN is in the queue by itself
    TCP_SKB_CB(syn_data).seq += 1
    TCP_SKB_CB(syn_data).tcp_flags = TCPHDR_ACK | TCPHDR_PSH
    if err == 0:
        tp.syn_data = 1 if fo.copied > 0 else 0
        tcp_rbtree_insert(&sk.tcp_rtx_queue, syn_data)
        NET_INC_STATS(n, LINUX_MIB_TCPORIGDATASENT)
        return 1

    __skb_queue_tail(&sk.sk_write_queue, syn_data)
    tp.packets_out -= <u32>tcp_skb_pcount(syn_data)
    return 0


# RFC 7413 4.2.1: SYN with data and the cached cookie; without one, a SYN which asks for it.
cdef int tcp_send_syn_data(sock *sk, sk_buff *syn) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef tcp_fastopen_request *fo = tp.fastopen_req
    cdef int err = 0

    if not syn_data_xmit(sk, syn):
        if fo.cookie.len > 0:
            fo.cookie.len = 0
        err = tcp_transmit_skb(sk, syn, 1, sk.sk_allocation)
        if err:
            tp.syn_fastopen = 0
    fo.cookie.len = -1                  # no Fast Open option when the SYN is repeated
    return err


# Builds the SYN and sends it.
cdef int tcp_connect(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *buff
    cdef int err

    if inet_csk(sk).icsk_af_ops.rebuild_header(sk):
        return -EHOSTUNREACH

    tcp_connect_init(sk)

    if tp.repair:
        tcp_finish_connect(sk, NULL)
        return 0

    buff = tcp_stream_alloc_skb(sk, sk.sk_allocation, True)
    if buff == NULL:
        return -ENOBUFS

    tcp_init_nondata_skb(buff, sk, tp.write_seq, TCPHDR_SYN)
    tcp_mstamp_refresh(tp)
    tp.retrans_stamp = tcp_time_stamp_ts(tp)
    tcp_connect_queue_skb(sk, buff)
    tcp_ecn_send_syn(sk, buff)
    tcp_rbtree_insert(&sk.tcp_rtx_queue, buff)

    if tp.fastopen_req != NULL:
        err = tcp_send_syn_data(sk, buff)
    else:
        err = tcp_transmit_skb(sk, buff, 1, sk.sk_allocation)
    if err == -ECONNREFUSED:
        return err

    # after the transmission, so that it counts in OutSegs
    tp.snd_nxt = tp.write_seq
    tp.pushed_seq = tp.write_seq
    buff = tcp_send_head(sk)
    if buff != NULL:
        tp.snd_nxt = TCP_SKB_CB(buff).seq
        tp.pushed_seq = TCP_SKB_CB(buff).seq
    TCP_INC_STATS(sock_net(sk), TCP_MIB_ACTIVEOPENS)

    tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, inet_csk(sk).icsk_rto, False)
    return 0


# ---------------------------------------------------------------------------------------------- ACKs and probes

# Jiffies; always less than the least RTO.
cdef u32 tcp_delack_max(sock *sk) noexcept nogil:
    cdef u32 delack_from_rto_min = max_u32(tcp_rto_min(sk), 2) - 1

    return min_u32(inet_csk(sk).icsk_delack_max, delack_from_rto_min)


# RFC 1122 4.2.3.2: sets the delayed ACK's timer, or sends at once if it is about to run out.
cdef void tcp_send_delayed_ack(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef int ato = <int>icsk.icsk_ack.ato
    cdef int max_ato, rtt
    cdef unsigned long timeout

    if <u32>ato > <u32>TCP_DELACK_MIN(n):
        max_ato = <int>(HZ(n) // 2)

        if inet_csk_in_pingpong_mode(sk) or icsk.icsk_ack.pending & ICSK_ACK_PUSHED:
            max_ato = <int>TCP_DELACK_MAX(n)

        # not longer than the RTT
        if tp.srtt_us:
            rtt = max_int(<int>usecs_to_jiffies(n, tp.srtt_us >> 3), <int>TCP_DELACK_MIN(n))

            if rtt < max_ato:
                max_ato = rtt

        ato = min_int(ato, max_ato)

    ato = <int>min_u32(<u32>ato, tcp_delack_max(sk))

    timeout = jiffies(n) + <unsigned long>ato

    # an earlier timer stays
    if icsk.icsk_ack.pending & ICSK_ACK_TIMER:
        if time_before_eq(icsk_delack_timeout(icsk), jiffies(n) + <unsigned long>(ato >> 2)):
            tcp_send_ack(sk)
            return

        if not time_before(timeout, icsk_delack_timeout(icsk)):
            timeout = icsk_delack_timeout(icsk)
    icsk.icsk_ack.pending |= ICSK_ACK_SCHED | ICSK_ACK_TIMER
    sk_reset_timer(sk, &icsk.icsk_delack_timer, timeout)


cdef void __tcp_send_ack(sock *sk, u32 rcv_nxt, u16 flags) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef inet_connection_sock *icsk
    cdef sk_buff *buff
    cdef unsigned long delay

    # after a reset nothing more is sent
    if sk.sk_state == TCP_CLOSE:
        return

    buff = alloc_skb(n, MAX_TCP_HEADER, sk_gfp_mask(sk, GFP_ATOMIC))
    if buff == NULL:
        icsk = inet_csk(sk)
        delay = <unsigned long>TCP_DELACK_MAX(n) << icsk.icsk_ack.retry
        if delay < tcp_rto_max(sk):
            icsk.icsk_ack.retry += 1
        inet_csk_schedule_ack(sk)
        icsk.icsk_ack.ato = <u32>TCP_ATO_MIN(n)
        tcp_reset_xmit_timer(sk, ICSK_TIME_DACK, delay, False)
        return

    skb_reserve(buff, MAX_TCP_HEADER)
    tcp_init_nondata_skb(buff, sk, tcp_acceptable_seq(sk), TCPHDR_ACK | flags)

    # not to weigh in small queues and pacing
    skb_set_tcp_pure_ack(buff)

    __tcp_transmit_skb(sk, buff, 0, 0, rcv_nxt)


cdef void tcp_send_ack(sock *sk) noexcept nogil:
    __tcp_send_ack(sk, tcp_sk(sk).rcv_nxt, 0)


# A segment with an old sequence number, which the peer must answer (RFC 9293 3.8.6.1). Urgent: SND.UNA, so that the
# urgent pointer gets through.
cdef int tcp_xmit_probe_skb(sock *sk, int urgent, int mib) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef sk_buff *skb

    skb = alloc_skb(n, MAX_TCP_HEADER, sk_gfp_mask(sk, GFP_ATOMIC))
    if skb == NULL:
        return -1

    skb_reserve(skb, MAX_TCP_HEADER)
    tcp_init_nondata_skb(skb, sk, tp.snd_una - <u32>(urgent == 0), TCPHDR_ACK)
    NET_INC_STATS(n, mib)
    return tcp_transmit_skb(sk, skb, 0, 0)


# setsockopt(TCP_REPAIR) off
cdef void tcp_send_window_probe(sock *sk) noexcept nogil:
    if sk.sk_state == TCP_ESTABLISHED:
        tcp_sk(sk).snd_wl1 = tcp_sk(sk).rcv_nxt - 1
        tcp_mstamp_refresh(tcp_sk(sk))
        tcp_xmit_probe_skb(sk, 0, LINUX_MIB_TCPWINPROBE)


# Keepalive or window probe: data, if the window has any room, else an old sequence number.
cdef int tcp_write_wakeup(sock *sk, int mib) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *skb
    cdef unsigned int mss, seg_size
    cdef int err

    if sk.sk_state == TCP_CLOSE:
        return -1

    skb = tcp_send_head(sk)
    if skb != NULL and before(TCP_SKB_CB(skb).seq, tcp_wnd_end(tp)):
        mss = tcp_current_mss(sk)
        seg_size = tcp_wnd_end(tp) - TCP_SKB_CB(skb).seq

        if before(tp.pushed_seq, TCP_SKB_CB(skb).end_seq):
            tp.pushed_seq = TCP_SKB_CB(skb).end_seq

        # the window is open, but SWS avoidance held the sender back
        if seg_size < TCP_SKB_CB(skb).end_seq - TCP_SKB_CB(skb).seq or skb.len > mss:
            seg_size = min_u32(seg_size, mss)
            TCP_SKB_CB(skb).tcp_flags |= TCPHDR_PSH
            if tcp_fragment(sk, TCP_FRAG_IN_WRITE_QUEUE, skb, seg_size, mss, GFP_ATOMIC):
                return -1
        elif not tcp_skb_pcount(skb):
            tcp_set_skb_tso_segs(skb, mss)

        TCP_SKB_CB(skb).tcp_flags |= TCPHDR_PSH
        err = tcp_transmit_skb(sk, skb, 1, GFP_ATOMIC)
        if err == 0:
            tcp_event_new_data_sent(sk, skb)
        return err

    if between(tp.snd_up, tp.snd_una + 1, tp.snd_una + 0xFFFF):
        tcp_xmit_probe_skb(sk, 1, mib)
    return tcp_xmit_probe_skb(sk, 0, mib)


# The persist timer fired.
cdef void tcp_send_probe0(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef unsigned long timeout
    cdef int err

    err = tcp_write_wakeup(sk, LINUX_MIB_TCPWINPROBE)

    if tp.packets_out or tcp_write_queue_empty(sk):
        # not needed any longer
        icsk.icsk_probes_out = 0
        icsk.icsk_backoff = 0
        icsk.icsk_probes_tstamp = 0
        return

    icsk.icsk_probes_out += 1
    if err <= 0:
        if icsk.icsk_backoff < n.ipv4.sysctl_tcp_retries2:
            icsk.icsk_backoff += 1
        timeout = tcp_probe0_when(sk, tcp_rto_max(sk))
    else:
        # it did not leave this host: soon again
        timeout = TCP_RESOURCE_PROBE_INTERVAL(n)

    timeout = tcp_clamp_probe0_to_user_timeout(sk, <u32>timeout)
    tcp_reset_xmit_timer(sk, ICSK_TIME_PROBE0, timeout, True)


# Repeats the SYN-ACK of a request.
cdef int tcp_rtx_synack(sock *sk, request_sock *req) noexcept nogil:
    cdef tcp_request_sock_ops *af_ops = tcp_rsk(req).af_specific
    cdef net *n = sock_net(sk)
    cdef flowi fl
    cdef int res

    if sk.sk_txrehash == SOCK_TXREHASH_ENABLED:
        tcp_rsk(req).txhash = net_tx_rndhash(n)
    res = af_ops.send_synack(sk, NULL, &fl, req, NULL, TCP_SYNACK_NORMAL, NULL)
    if res == 0:
        TCP_INC_STATS(n, TCP_MIB_RETRANSSEGS)
        NET_INC_STATS(n, LINUX_MIB_TCPSYNRETRANS)
        if tcp_passive_fastopen(sk):
            tcp_sk(sk).total_retrans += 1
        trace_tcp_retransmit_synack(sk, req)
        req.num_retrans += 1
    return res
