"""The small sockets of TCP: TIME_WAIT (and FIN_WAIT2 without an owner), and requests that become full sockets.

RFCs: 9293 3.6.1 and 3.10.7.4 (TIME-WAIT, SYN-RECEIVED), 1122 4.2.2.13 (a SYN may reopen a pair in TIME-WAIT),
1337 (TIME-WAIT assassination; sysctl tcp_rfc1337), 7323 5 (PAWS for both), 5961 (rate-limited answers).

Follows net/ipv4/tcp_minisocks.c of Linux 6.18 (GPL-2.0-only).

Deviations: no AO keys are carried over, no PSP, MPTCP, SMC, BPF; AccECN cannot be negotiated. There are no
pernet tables: tcp_twsk_purge() empties its host's.
"""
from libc.string cimport memset

from kpath_c.net_tcp cimport *
from kpath_c.inet_connection_sock cimport (
    inet_csk_clone_lock, inet_csk_complete_hashdance, inet_csk_reqsk_queue_drop)
from kpath_c.inet_timewait_sock cimport (
    inet_twsk_alloc, inet_twsk_deschedule_put, inet_twsk_hashdance_schedule, inet_twsk_purge, inet_twsk_put)
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_free
from kpath_c.shim.timer cimport mod_timer_pending
from kpath_c.tcp cimport tcp_done
from kpath_c.tcp_cong cimport tcp_assign_congestion_control, tcp_ca_find_key, tcp_set_ca_state
from kpath_c.tcp_fastopen cimport reqsk_fastopen_remove
from kpath_c.tcp_input cimport (
    tcp_oow_rate_limited, tcp_parse_options, tcp_rcv_state_process, tcp_reset, tcp_synack_rtt_meas)
from kpath_c.tcp_metrics cimport tcp_update_metrics
from kpath_c.tcp_output cimport tcp_rtx_synack, tcp_select_initial_window
from kpath_c.tcp_timer cimport tcp_init_xmit_timers, tcp_reset_keepalive_timer


# Does seq..end_seq touch the window s_win..e_win? An empty segment may also stand at its right edge.
cdef bint tcp_in_window(u32 seq, u32 end_seq, u32 s_win, u32 e_win) noexcept nogil:
    if seq == s_win:
        return 1
    if after(end_seq, s_win) and before(seq, e_win):
        return 1
    return seq == e_win and seq == end_seq


# Out of the window: answered by an ACK, but not too often. The caller puts tw only if an ACK is due.
cdef int tcp_timewait_check_oow_rate_limit(inet_timewait_sock *tw, sk_buff *skb, int mib_idx) noexcept nogil:
    cdef tcp_timewait_sock *tcptw = tcp_twsk(<sock *>tw)

    if not tcp_oow_rate_limited(twsk_net(tw), skb, mib_idx, &tcptw.tw_last_oow_ack_time):
        return TCP_TW_ACK_OOW
    inet_twsk_put(tw)
    return TCP_TW_SUCCESS


cdef void twsk_rcv_nxt_update(tcp_timewait_sock *tcptw, u32 seq, u32 rcv_nxt) noexcept nogil:
    tcptw.tw_sk.tw_rcv_nxt = seq


# A segment for a TIME_WAIT socket. Its two ends are to acknowledge a FIN whose ACK got lost, and to keep old
# duplicates from a new connection of the same pair.
cdef int tcp_timewait_state_process(inet_timewait_sock *tw, sk_buff *skb, tcphdr *th, u32 *tw_isn,
                                    int *drop_reason) noexcept nogil:
    cdef tcp_timewait_sock *tcptw = tcp_twsk(<sock *>tw)
    cdef net *n = twsk_net(tw)
    cdef u32 rcv_nxt = tcptw.tw_sk.tw_rcv_nxt
    cdef u32 seq = TCP_SKB_CB(skb).seq
    cdef u32 end_seq = TCP_SKB_CB(skb).end_seq
    cdef tcp_options_received tmp_opt
    cdef bint paws_reject = 0
    cdef int ts_recent_stamp = tcptw.tw_ts_recent_stamp
    cdef u64 ts
    cdef u32 isn

    memset(&tmp_opt, 0, sizeof(tcp_options_received))
    if th_doff(th) > (sizeof(tcphdr) >> 2) and ts_recent_stamp:
        tcp_parse_options(n, skb, &tmp_opt, 0, NULL)

        if tmp_opt.saw_tstamp:
            if tmp_opt.rcv_tsecr:
                tmp_opt.rcv_tsecr -= tcptw.tw_ts_offset
            tmp_opt.ts_recent = tcptw.tw_ts_recent
            tmp_opt.ts_recent_stamp = ts_recent_stamp
            paws_reject = tcp_paws_reject(n, &tmp_opt, th_rst(th))

    if tw.tw_substate == TCP_FIN_WAIT2:
        # The checks of tcp_rcv_state_process() once more.
        if paws_reject or not tcp_in_window(seq, end_seq, rcv_nxt, rcv_nxt + tcptw.tw_rcv_wnd):
            return tcp_timewait_check_oow_rate_limit(tw, skb, LINUX_MIB_TCPACKSKIPPEDFINWAIT2)

        if th_rst(th):
            inet_twsk_deschedule_put(tw)
            return TCP_TW_SUCCESS

        if th_syn(th) and not before(seq, rcv_nxt):
            return TCP_TW_RST

        # Nothing new in it.
        if not th_ack(th) or not after(end_seq, rcv_nxt) or end_seq == seq:
            inet_twsk_put(tw)
            return TCP_TW_SUCCESS

        # Only the bare FIN is welcome: nobody will read data (RFC 1122 4.2.2.13).
        if not th_fin(th) or end_seq != <u32>(rcv_nxt + 1):
            return TCP_TW_RST

        tw.tw_substate = TCP_TIME_WAIT
        twsk_rcv_nxt_update(tcptw, end_seq, rcv_nxt)

        if tmp_opt.saw_tstamp:
            ts = tcp_clock_ms(n)
            tw.tw_entry_stamp = <u32>ts
            tcptw.tw_ts_recent_stamp = <int>div_u64(ts, MSEC_PER_SEC)
            tcptw.tw_ts_recent = tmp_opt.rcv_tsval

        inet_twsk_reschedule(tw, TCP_TIMEWAIT_LEN(n))
        return TCP_TW_ACK

    # TIME_WAIT proper.
    if not paws_reject and seq == rcv_nxt and (seq == end_seq or th_rst(th)):
        # In the window: a bare ACK, or a RST, which kills it unless RFC 1337 is followed.
        if th_rst(th):
            if not n.ipv4.sysctl_tcp_rfc1337:
                inet_twsk_deschedule_put(tw)
                return TCP_TW_SUCCESS
        else:
            inet_twsk_reschedule(tw, TCP_TIMEWAIT_LEN(n))

        if tmp_opt.saw_tstamp:
            tcptw.tw_ts_recent = tmp_opt.rcv_tsval
            tcptw.tw_ts_recent_stamp = <int>ktime_get_seconds(n)

        inet_twsk_put(tw)
        return TCP_TW_SUCCESS

    # A SYN above all that was, in sequence or in timestamps, opens a new connection (RFC 1122 4.2.2.13, RFC 6191).
    if (th_syn(th) and not th_rst(th) and not th_ack(th) and not paws_reject and
            (after(seq, rcv_nxt) or
             (tmp_opt.saw_tstamp and <s32>(tcptw.tw_ts_recent - tmp_opt.rcv_tsval) < 0))):
        isn = tcptw.tw_sk.tw_snd_nxt + 65535 + 2
        if isn == 0:
            isn += 1
        tw_isn[0] = isn
        return TCP_TW_SYN

    if paws_reject:
        drop_reason[0] = SKB_DROP_REASON_TCP_RFC7323_TW_PAWS
        NET_INC_STATS(n, LINUX_MIB_PAWS_TW_REJECTED)

    if not th_rst(th):
        # A SYN without ACK may be a new connection's: it must not make the wait longer.
        if paws_reject or th_ack(th):
            inet_twsk_reschedule(tw, TCP_TIMEWAIT_LEN(n))
        return tcp_timewait_check_oow_rate_limit(tw, skb, LINUX_MIB_TCPACKSKIPPEDTIMEWAIT)

    inet_twsk_put(tw)
    return TCP_TW_SUCCESS


# The big socket goes, a small one takes its place in the hash: TIME_WAIT, or FIN_WAIT2 that nobody owns.
cdef void tcp_time_wait_init(sock *sk, tcp_timewait_sock *tcptw) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef tcp_md5sig_key *key

    # TIME_WAIT's ACKs are signed too; of the keys only the one in use is needed
    if tp.md5sig_info == NULL:
        return
    key = tp.af_specific.md5_lookup(sk, sk)
    if key != NULL:
        tcptw.tw_md5_key = <tcp_md5sig_key *>kmem_cache_alloc(&sock_net(sk).misc_slab)
        if tcptw.tw_md5_key != NULL:
            tcptw.tw_md5_key[0] = key[0]


cdef void tcp_time_wait(sock *sk, int state, int timeo) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef inet_timewait_sock *tw
    cdef tcp_timewait_sock *tcptw
    cdef int rto

    tw = inet_twsk_alloc(sk, &n.ipv4.tcp_death_row, state)

    if tw != NULL:
        tcptw = tcp_twsk(<sock *>tw)
        rto = <int>((icsk.icsk_rto << 2) - (icsk.icsk_rto >> 1))

        tw.tw_transparent = inet_test_bit(INET_FLAGS_TRANSPARENT, sk)
        tw.tw_mark = sk.sk_mark
        tw.tw_priority = sk.sk_priority
        tw.tw_rcv_wscale = tp.rx_opt.rcv_wscale
        tw.tw_entry_stamp = tcp_time_stamp_ms(tp)
        tcptw.tw_sk.tw_rcv_nxt = tp.rcv_nxt
        tcptw.tw_sk.tw_snd_nxt = tp.snd_nxt
        tcptw.tw_rcv_wnd = tcp_receive_window(tp)
        tcptw.tw_ts_recent = tp.rx_opt.ts_recent
        tcptw.tw_ts_recent_stamp = tp.rx_opt.ts_recent_stamp
        tcptw.tw_ts_offset = tp.tsoffset
        tw.tw_usec_ts = tp.tcp_usec_ts
        tcptw.tw_last_oow_ack_time = 0
        tcptw.tw_tx_delay = tp.tcp_tx_delay
        tw.tw_txhash = sk.sk_txhash
        tw.tw_tx_queue_mapping = sk.sk_tx_queue_mapping
        tw.tw_rx_queue_mapping = sk.sk_rx_queue_mapping
        if tw.tw_family == PF_INET6:
            tw.tw_v6_daddr = sk.sk_v6_daddr
            tw.tw_v6_rcv_saddr = sk.sk_v6_rcv_saddr
            tw.tw_tos = inet6_sk(sk).tclass
            tw.tw_flowlabel = ntohl(inet6_sk(sk).flow_label) & IPV6_FLOWLABEL_MASK
            tw.tw_ipv6only = sk.sk_ipv6only

        tcp_time_wait_init(sk, tcptw)

        if timeo < rto:
            timeo = rto
        if state == TCP_TIME_WAIT:
            timeo = TCP_TIMEWAIT_LEN(n)

        inet_twsk_hashdance_schedule(tw, sk, n.ipv4.tcp_death_row.hashinfo, timeo)
    else:
        # Too many of them: the connection just closes.
        NET_INC_STATS(n, LINUX_MIB_TCPTIMEWAITOVERFLOW)

    tcp_update_metrics(sk)
    tcp_done(sk)


cdef void tcp_twsk_destructor(sock *sk) noexcept nogil:
    kmem_cache_free(&twsk_net(inet_twsk(sk)).misc_slab, tcp_twsk(sk).tw_md5_key)


cdef void tcp_twsk_purge(net *n) noexcept nogil:
    # Looking through the whole table takes a millisecond.
    if n.tcp_timewait_slab.live or n.tcp_request_slab.live:
        inet_twsk_purge(n.ipv4.tcp_death_row.hashinfo)


# The window that the SYN-ACK will offer.
cdef void tcp_openreq_init_rwin(request_sock *req, sock *sk_listener, dst_entry *dst) noexcept nogil:
    cdef inet_request_sock *ireq = inet_rsk(req)
    cdef tcp_sock *tp = tcp_sk(sk_listener)
    cdef int full_space = tcp_full_space(sk_listener)
    cdef u32 window_clamp
    cdef u8 rcv_wscale = 0
    cdef u32 rcv_wnd
    cdef int mss

    mss = tcp_mss_clamp(tp, <u16>dst_metric_advmss(dst))
    window_clamp = tp.window_clamp
    req.rsk_window_clamp = window_clamp if window_clamp else dst_metric(dst, RTAX_WINDOW)

    # A buffer that the user made smaller bounds it.
    if ((sk_listener.sk_userlocks & SOCK_RCVBUF_LOCK) and
            (req.rsk_window_clamp > <u32>full_space or req.rsk_window_clamp == 0)):
        req.rsk_window_clamp = <u32>full_space

    # (The kernel asks BPF first: `rcv_wnd` is 0 here, always.)
    rcv_wnd = dst_metric(dst, RTAX_INITRWND)

    tcp_select_initial_window(sk_listener, full_space, <u32>(mss - (TCPOLEN_TSTAMP_ALIGNED if ireq.tstamp_ok else 0)),
                              &req.rsk_rcv_wnd, &req.rsk_window_clamp, ireq.wscale_ok, &rcv_wscale, rcv_wnd)
    ireq.rcv_wscale = rcv_wscale


cdef void tcp_ecn_openreq_child(sock *sk, request_sock *req, sk_buff *skb) noexcept nogil:
    if inet_rsk(req).ecn_ok and not tcp_ca_no_fallback_rfc3168(sk):
        tcp_ecn_mode_set(tcp_sk(sk), TCP_ECN_MODE_RFC3168)
    else:
        tcp_ecn_mode_set(tcp_sk(sk), TCP_ECN_DISABLED)


# Congestion control of a child: the route's, else what the listener's user asked for, else the host's.
cdef void tcp_ca_openreq_child(sock *sk, dst_entry *dst) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef u32 ca_key = dst_metric(dst, RTAX_CC_ALGO)
    cdef tcp_congestion_ops *ca
    cdef bint ca_got_dst = 0

    if ca_key != TCP_CA_UNSPEC:
        ca = tcp_ca_find_key(ca_key)
        if ca != NULL:
            icsk.icsk_ca_dst_locked = tcp_ca_dst_locked(dst)
            icsk.icsk_ca_ops = ca
            ca_got_dst = 1

    if not ca_got_dst and not icsk.icsk_ca_setsockopt:
        tcp_assign_congestion_control(sk)

    tcp_set_ca_state(sk, TCP_CA_Open)


# The full socket for a request whose handshake is done (or that Fast Open lets in): a copy of the listener with the
# numbers of the handshake.
cdef sock *tcp_create_openreq_child(sock *sk, request_sock *req, sk_buff *skb) noexcept nogil:
    cdef sock *newsk = inet_csk_clone_lock(sk, req, GFP_ATOMIC)
    cdef inet_request_sock *ireq = inet_rsk(req)
    cdef tcp_request_sock *treq = tcp_rsk(req)
    cdef net *n = sock_net(sk)
    cdef inet_connection_sock *newicsk
    cdef tcp_sock *newtp
    cdef u32 seq

    if newsk == NULL:
        return NULL

    newicsk = inet_csk(newsk)
    newtp = tcp_sk(newsk)

    newtp.pred_flags = 0

    seq = treq.rcv_isn + 1
    newtp.rcv_wup = seq
    newtp.copied_seq = seq
    newtp.rcv_nxt = seq
    newtp.segs_in = 1
    newtp.irs = treq.rcv_isn

    seq = treq.snt_isn + 1
    newtp.snd_sml = seq
    newtp.snd_una = seq
    newtp.snd_nxt = seq
    newtp.snd_up = seq
    newtp.iss = treq.snt_isn

    INIT_LIST_HEAD(&newtp.tsq_node)
    INIT_LIST_HEAD(&newtp.tsorted_sent_queue)

    tcp_init_wl(newtp, treq.rcv_isn)

    minmax_reset(&newtp.rtt_min, tcp_jiffies32(n), U32_MAX())
    newicsk.icsk_ack.lrcvtime = tcp_jiffies32(n)

    newtp.lsndtime = tcp_jiffies32(n)
    newsk.sk_txhash = treq.txhash
    newtp.total_retrans = req.num_retrans

    tcp_init_xmit_timers(newsk)
    newtp.pushed_seq = treq.snt_isn + 1
    newtp.write_seq = newtp.pushed_seq

    if sock_flag(newsk, SOCK_KEEPOPEN):
        tcp_reset_keepalive_timer(newsk, <unsigned long>keepalive_time_when(newtp))

    newtp.rx_opt.tstamp_ok = ireq.tstamp_ok
    newtp.rx_opt.sack_ok = ireq.sack_ok
    newtp.window_clamp = req.rsk_window_clamp
    newtp.rcv_ssthresh = req.rsk_rcv_wnd
    newtp.rcv_wnd = req.rsk_rcv_wnd
    newtp.rx_opt.wscale_ok = ireq.wscale_ok
    if newtp.rx_opt.wscale_ok:
        newtp.rx_opt.snd_wscale = ireq.snd_wscale
        newtp.rx_opt.rcv_wscale = ireq.rcv_wscale
    else:
        newtp.rx_opt.snd_wscale = 0
        newtp.rx_opt.rcv_wscale = 0
        newtp.window_clamp = min_u32(newtp.window_clamp, 65535)
    newtp.snd_wnd = (<u32>ntohs(tcp_hdr(skb).window)) << newtp.rx_opt.snd_wscale
    newtp.max_window = newtp.snd_wnd

    if newtp.rx_opt.tstamp_ok:
        newtp.tcp_usec_ts = treq.req_usec_ts
        newtp.rx_opt.ts_recent = req.ts_recent
        newtp.rx_opt.ts_recent_stamp = <int>ktime_get_seconds(n)
        newtp.tcp_header_len = sizeof(tcphdr) + TCPOLEN_TSTAMP_ALIGNED
    else:
        newtp.tcp_usec_ts = 0
        newtp.rx_opt.ts_recent_stamp = 0
        newtp.tcp_header_len = sizeof(tcphdr)

    # The SYN-ACK timed out: remembered for undo, and in the statistics.
    if req.num_timeout:
        newtp.total_rto = req.num_timeout
        newtp.undo_marker = treq.snt_isn
        if newtp.tcp_usec_ts:
            newtp.retrans_stamp = <u32>treq.snt_synack
            newtp.total_rto_time = <u32>(tcp_clock_us(n) - newtp.retrans_stamp) // <u32>USEC_PER_MSEC
        else:
            newtp.retrans_stamp = <u32>div_u64(treq.snt_synack, USEC_PER_SEC // TCP_TS_HZ)
            newtp.total_rto_time = <u32>(tcp_clock_ms(n) - newtp.retrans_stamp)
        newtp.total_rto_recoveries = 1

    newtp.tsoffset = treq.ts_off
    newtp.md5sig_info = NULL
    if skb.len >= <u32>TCP_MSS_DEFAULT + newtp.tcp_header_len:
        newicsk.icsk_ack.last_seg_size = <u16>(skb.len - newtp.tcp_header_len)
    newtp.rx_opt.mss_clamp = req.mss
    tcp_ecn_openreq_child(newsk, req, skb)
    newtp.fastopen_req = NULL
    newtp.fastopen_rsk = NULL

    TCP_INC_STATS(n, TCP_MIB_PASSIVEOPENS)
    return newsk


# Label embryonic_reset of tcp_check_req().
cdef void tcp_check_req_reset(sock *sk, sk_buff *skb, request_sock *req, int flg, bint fastopen,
                              bint *req_stolen) noexcept nogil:
    cdef bint unlinked

    if not (flg & TCPHDR_RST):
        # Answer a bad SYN, but leave a Fast Open child alone.
        req.rsk_ops.send_reset(sk, skb, SK_RST_REASON_INVALID_SYN)
    elif fastopen:
        reqsk_fastopen_remove(sk, req, 1)
        tcp_reset(sk, skb)

    if not fastopen:
        unlinked = inet_csk_reqsk_queue_drop(sk, req)
        if unlinked:
            NET_INC_STATS(sock_net(sk), LINUX_MIB_EMBRYONICRSTS)
        req_stolen[0] = not unlinked


# RFC 5961 3.2 for a request. The stable 6.18 releases have it; the corpus shows what it does and that the request's
# own limit applies.
cdef void tcp_check_req_challenge(sock *sk, sk_buff *skb, request_sock *req) noexcept nogil:
    cdef net *n = sock_net(sk)
    if tcp_oow_rate_limited(n, skb, LINUX_MIB_TCPACKSKIPPEDCHALLENGE, &tcp_rsk(req).last_oow_ack_time):
        return
    NET_INC_STATS(n, LINUX_MIB_TCPCHALLENGEACK)
    req.rsk_ops.send_ack(sk, skb, req)


# A segment for a request: RFC 9293 3.10.7.4 for SYN-RECEIVED. sk is the listener; with Fast Open, the child.
cdef sock *tcp_check_req(sock *sk, sk_buff *skb, request_sock *req, bint fastopen, bint *req_stolen,
                         int *drop_reason) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef tcphdr *th = tcp_hdr(skb)
    cdef tcp_options_received tmp_opt
    cdef sock *child
    cdef int flg = th.flags & (TCPHDR_RST | TCPHDR_SYN | TCPHDR_ACK)
    cdef bint tsecr_reject = 0
    cdef bint paws_reject = 0
    cdef bint own_req = 0
    cdef unsigned long expires

    memset(&tmp_opt, 0, sizeof(tcp_options_received))
    if th_doff(th) > (sizeof(tcphdr) >> 2):
        tcp_parse_options(n, skb, &tmp_opt, 0, NULL)

        if tmp_opt.saw_tstamp:
            tmp_opt.ts_recent = req.ts_recent
            if tmp_opt.rcv_tsecr:
                # An echo of what no SYN-ACK carried.
                if inet_rsk(req).tstamp_ok and not fastopen:
                    tsecr_reject = not between(tmp_opt.rcv_tsecr, tcp_rsk(req).snt_tsval_first,
                                               tcp_rsk(req).snt_tsval_last)
                tmp_opt.rcv_tsecr -= tcp_rsk(req).ts_off
            # When the SYN came is not kept, but follows from the timer well enough.
            tmp_opt.ts_recent_stamp = <int>(ktime_get_seconds(n) - <s64>(reqsk_timeout(req, TCP_RTO_MAX(n)) // HZ(n)))
            paws_reject = tcp_paws_reject(n, &tmp_opt, th_rst(th))

    # The SYN again: so is the SYN-ACK, and its timer starts anew.
    if TCP_SKB_CB(skb).seq == tcp_rsk(req).rcv_isn and flg == TCPHDR_SYN and not paws_reject:
        if (not tcp_oow_rate_limited(n, skb, LINUX_MIB_TCPACKSKIPPEDSYNRECV, &tcp_rsk(req).last_oow_ack_time) and
                not tcp_rtx_synack(sk, req)):
            expires = jiffies(n)
            expires += reqsk_timeout(req, TCP_RTO_MAX(n))
            if not fastopen:
                mod_timer_pending(&req.rsk_timer, expires)
            else:
                req.rsk_timer.expires = expires
        return NULL

    # An ACK of something else: the listener sends a reset. (A Fast Open child checks for itself: data may be out.)
    if (flg & TCPHDR_ACK) and not fastopen and TCP_SKB_CB(skb).ack_seq != <u32>(tcp_rsk(req).snt_isn + 1):
        return sk

    # First, the sequence number. Not acceptable: an ACK.
    if (paws_reject or tsecr_reject or
            not tcp_in_window(TCP_SKB_CB(skb).seq, TCP_SKB_CB(skb).end_seq, tcp_rsk(req).rcv_nxt,
                              tcp_rsk(req).rcv_nxt + tcp_synack_window(req))):
        if (not (flg & TCPHDR_RST) and
                not tcp_oow_rate_limited(n, skb, LINUX_MIB_TCPACKSKIPPEDSYNRECV, &tcp_rsk(req).last_oow_ack_time)):
            req.rsk_ops.send_ack(sk, skb, req)
        if paws_reject:
            drop_reason[0] = SKB_DROP_REASON_TCP_RFC7323_PAWS
            NET_INC_STATS(n, LINUX_MIB_PAWSESTABREJECTED)
        elif tsecr_reject:
            drop_reason[0] = SKB_DROP_REASON_TCP_RFC7323_TSECR
            NET_INC_STATS(n, LINUX_MIB_TSECRREJECTED)
        else:
            drop_reason[0] = SKB_DROP_REASON_TCP_OVERWINDOW
        return NULL

    # The SYN itself lies before the window: cut off.
    if TCP_SKB_CB(skb).seq == tcp_rsk(req).rcv_isn:
        flg &= ~TCPHDR_SYN

    # Second, RST; fourth, SYN. An RST that is not exactly where one is due may be a guess: it is challenged.
    if flg & TCPHDR_RST and TCP_SKB_CB(skb).seq != tcp_rsk(req).rcv_nxt:
        tcp_check_req_challenge(sk, skb, req)
        return NULL
    if flg & (TCPHDR_RST | TCPHDR_SYN):
        TCP_INC_STATS(n, TCP_MIB_ATTEMPTFAILS)
        tcp_check_req_reset(sk, skb, req, flg, fastopen, req_stolen)
        return NULL

    # Fifth, the ACK, whose number was checked above.
    if not (flg & TCPHDR_ACK):
        return NULL

    if fastopen:
        return sk

    # TCP_DEFER_ACCEPT: a bare ACK doesn't count while it lasts.
    if (req.num_timeout < inet_csk(sk).icsk_accept_queue.rskq_defer_accept and
            TCP_SKB_CB(skb).end_seq == <u32>(tcp_rsk(req).rcv_isn + 1)):
        inet_rsk(req).acked = 1
        NET_INC_STATS(n, LINUX_MIB_TCPDEFERACCEPTDROP)
        return NULL

    # Valid: the big socket is made, and gets this segment, which must bring it to ESTABLISHED.
    child = inet_csk(sk).icsk_af_ops.syn_recv_sock(sk, skb, req, NULL, req, &own_req, NULL)
    if child == NULL:
        drop_reason[0] = SKB_DROP_REASON_TCP_LISTEN_OVERFLOW
        if sk != req.rsk_listener:
            NET_INC_STATS(n, LINUX_MIB_TCPMIGRATEREQFAILURE)
        if not n.ipv4.sysctl_tcp_abort_on_overflow:
            inet_rsk(req).acked = 1
            return NULL
        tcp_check_req_reset(sk, skb, req, flg, fastopen, req_stolen)
        return NULL

    if own_req and tmp_opt.saw_tstamp and not after(TCP_SKB_CB(skb).seq, tcp_rsk(req).rcv_nxt):
        tcp_sk(child).rx_opt.ts_recent = tmp_opt.rcv_tsval

    sock_rps_save_rxhash(child, skb)
    tcp_synack_rtt_meas(child, req)
    req_stolen[0] = not own_req
    return inet_csk_complete_hashdance(sk, child, req, own_req)


# The segment that finished the handshake goes on to the child, and wakes whoever accepts.
cdef int tcp_child_process(sock *parent, sock *child, sk_buff *skb) noexcept nogil:
    cdef int state = child.sk_state
    cdef int reason

    tcp_segs_in(tcp_sk(child), skb)
    reason = tcp_rcv_state_process(child, skb)
    if state == TCP_SYN_RECV and child.sk_state != state:
        parent.sk_data_ready(parent)

    sock_put(child)
    return reason
