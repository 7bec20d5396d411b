"""The timers of a TCP socket: retransmission and zero-window probes, delayed ACK, keepalive, compressed ACK.

RFC 6298 (RTO and its back-off), RFC 9293 3.8.1, 3.8.4 and 3.8.6.1, RFC 1122 4.2.3.5 (R1, R2), RFC 5482 (user timeout).
Follows net/ipv4/tcp_timer.c of Linux 6.18 (GPL-2.0-only).

Deviations: no socket is ever owned by a user when a timer fires, so nothing is deferred to tcp_release_cb(); BPF and
MPTCP are left out.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.net_tcp cimport *
from kpath_c.shim.timer cimport hrtimer_setup
from kpath_c.sock cimport sk_reset_timer, sk_stop_timer
from kpath_c.inet_connection_sock cimport inet_csk_init_xmit_timers
from kpath_c.tcp cimport tcp_check_oom, tcp_done
from kpath_c.tcp_fastopen cimport tcp_fastopen_active_detect_blackhole
from kpath_c.tcp_input cimport tcp_done_with_error, tcp_enter_loss, tcp_sack_compress_send_ack
from kpath_c.tcp_minisocks cimport tcp_time_wait
from kpath_c.tcp_output cimport (tcp_mstamp_refresh, tcp_mtu_to_mss, tcp_mss_to_mtu, tcp_sync_mss, tcp_send_ack,
                                 tcp_send_active_reset, tcp_send_loss_probe, tcp_send_probe0, tcp_write_wakeup,
                                 tcp_retransmit_skb, tcp_rtx_synack, tcp_pace_kick)
from kpath_c.tcp_recovery cimport tcp_rack_reo_timeout


# container_of() for the four timers that a socket has inside.
cdef inline sock *sk_of_retransmit_timer(timer_list *t) noexcept nogil:
    return <sock *>(<char *>t - (<char *>&(<sock *>t).tcp_retransmit_timer - <char *>t))

cdef inline sock *sk_of_delack_timer(timer_list *t) noexcept nogil:
    return <sock *>(<char *>t - (<char *>&(<inet_connection_sock *>t).icsk_delack_timer - <char *>t))

cdef inline sock *sk_of_keepalive_timer(timer_list *t) noexcept nogil:
    return <sock *>(<char *>t - (<char *>&(<inet_connection_sock *>t).icsk_keepalive_timer - <char *>t))

cdef inline sock *sk_of_compressed_ack_timer(hrtimer *t) noexcept nogil:
    return <sock *>(<char *>t - (<char *>&(<tcp_sock *>t).compressed_ack_timer - <char *>t))


# RFC 5482: the last timeout comes when the user's time is over.
cdef u32 tcp_clamp_rto_to_user_timeout(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 elapsed
    cdef u32 user_timeout = icsk.icsk_user_timeout
    cdef s32 remaining

    if not user_timeout:
        return icsk.icsk_rto
    elapsed = tcp_time_stamp_ts(tp) - tp.retrans_stamp
    if tp.tcp_usec_ts:
        elapsed //= <u32>USEC_PER_MSEC
    remaining = <s32>(user_timeout - elapsed)
    if remaining <= 0:
        return 1
    return min_u32(icsk.icsk_rto, <u32>msecs_to_jiffies(sock_net(sk), <unsigned int>remaining))


cdef u32 tcp_clamp_probe0_to_user_timeout(sock *sk, u32 when) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef u32 user_timeout = icsk.icsk_user_timeout
    cdef u32 remaining
    cdef s32 elapsed

    if not user_timeout or not icsk.icsk_probes_tstamp:
        return when
    elapsed = <s32>(tcp_jiffies32(sock_net(sk)) - icsk.icsk_probes_tstamp)
    if elapsed < 0:
        elapsed = 0
    remaining = <u32>(msecs_to_jiffies(sock_net(sk), user_timeout) - <unsigned long><long>elapsed)
    # Past the user's time this wraps, and leaves `when` as it is.
    remaining = max_u32(remaining, TCP_TIMEOUT_MIN)
    return min_u32(remaining, when)


cdef void tcp_write_err(sock *sk) noexcept nogil:
    tcp_done_with_error(sk, sk.sk_err_soft if sk.sk_err_soft else ETIMEDOUT)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPABORTONTIMEOUT)


# An orphan is given up early when there are too many of them or too little memory.
cdef int tcp_out_of_resources(sock *sk, bint do_reset) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef int shift = 0

    # A peer that was silent for long, and one of which ICMP told bad news, counts double each.
    if <u32>(tcp_jiffies32(n) - tp.lsndtime) > 2 * tcp_rto_max(sk) or not do_reset:
        shift += 1
    if sk.sk_err_soft:
        shift += 1

    if tcp_check_oom(sk, shift):
        if (<s32>(tcp_jiffies32(n) - tp.lsndtime) <= TCP_TIMEWAIT_LEN(n) or
                (not tp.snd_wnd and not tp.packets_out)):
            do_reset = True
        if do_reset:
            tcp_send_active_reset(sk, GFP_ATOMIC, SK_RST_REASON_TCP_ABORT_ON_MEMORY)
        tcp_done(sk)
        NET_INC_STATS(n, LINUX_MIB_TCPABORTONMEMORY)
        return 1

    if n.closing:
        tcp_done(sk)
        return 1
    return 0


cdef int tcp_orphan_retries(sock *sk, bint alive) noexcept nogil:
    cdef int retries = sock_net(sk).ipv4.sysctl_tcp_orphan_retries

    if sk.sk_err_soft and not alive:
        retries = 0
    # 8 retries from 200 ms on last for more than 100 s (RFC 1122 4.2.3.5).
    if retries == 0 and alive:
        retries = 8
    return retries


# RFC 4821 7.7: timeouts may be a black hole for full-sized packets.
cdef void tcp_mtu_probing(inet_connection_sock *icsk, sock *sk) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef int mss

    if not n.ipv4.sysctl_tcp_mtu_probing:
        return
    if not icsk.icsk_mtup.enabled:
        icsk.icsk_mtup.enabled = 1
        icsk.icsk_mtup.probe_timestamp = tcp_jiffies32(n)
    else:
        mss = tcp_mtu_to_mss(sk, icsk.icsk_mtup.search_low) >> 1
        mss = min_int(n.ipv4.sysctl_tcp_base_mss, mss)
        mss = max_int(mss, n.ipv4.sysctl_tcp_mtu_probe_floor)
        mss = max_int(mss, n.ipv4.sysctl_tcp_min_snd_mss)
        icsk.icsk_mtup.search_low = tcp_mss_to_mtu(sk, mss)
    tcp_sync_mss(sk, icsk.icsk_pmtu_cookie)


# How many ms `boundary` retransmissions take, doubling from rto_base.
cdef unsigned int tcp_model_timeout(sock *sk, unsigned int boundary, unsigned int rto_base) noexcept nogil:
    cdef unsigned int linear_backoff_thresh, timeout

    linear_backoff_thresh = <unsigned int>ilog2(tcp_rto_max(sk) // rto_base)
    if boundary <= linear_backoff_thresh:
        timeout = <unsigned int>((<int>2 << boundary) - 1) * rto_base
    else:
        timeout = (<unsigned int>((<int>2 << linear_backoff_thresh) - 1) * rto_base +
                   (boundary - linear_backoff_thresh) * tcp_rto_max(sk))
    return jiffies_to_msecs(sock_net(sk), timeout)


# The time is what counts, not the number: `boundary` retransmissions from the lowest RTO on, or `timeout` ms.
cdef bint retransmits_timed_out(sock *sk, unsigned int boundary, unsigned int timeout) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef unsigned int start_ts, delta, rto_base

    if not inet_csk(sk).icsk_retransmits:
        return False
    start_ts = tp.retrans_stamp
    if timeout == 0:
        rto_base = TCP_RTO_MIN(sock_net(sk))
        if (1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV):
            rto_base = tcp_timeout_init(sk)
        timeout = tcp_model_timeout(sk, boundary, rto_base)
    if tp.tcp_usec_ts:
        # A timer may be late by a jiffy.
        delta = <unsigned int>(tp.tcp_mstamp - start_ts + jiffies_to_usecs(sock_net(sk), 1))
        return <s32>(delta - timeout * <unsigned int>USEC_PER_MSEC) >= 0
    return <s32>(tcp_time_stamp_ts(tp) - start_ts - timeout) >= 0


# 1: the socket is gone.
cdef int tcp_write_timeout(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef bint expired = False
    cdef bint do_reset, alive
    cdef int retry_until, max_retransmits

    if (1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV):
        if icsk.icsk_retransmits:
            __dst_negative_advice(sk)
        retry_until = icsk.icsk_syn_retries
        if not retry_until:
            retry_until = n.ipv4.sysctl_tcp_syn_retries
        max_retransmits = retry_until
        if sk.sk_state == TCP_SYN_SENT:
            max_retransmits += n.ipv4.sysctl_tcp_syn_linear_timeouts
        expired = <int>icsk.icsk_retransmits >= max_retransmits
    else:
        if retransmits_timed_out(sk, n.ipv4.sysctl_tcp_retries1, 0):
            tcp_mtu_probing(icsk, sk)
            __dst_negative_advice(sk)
        retry_until = n.ipv4.sysctl_tcp_retries2
        if sock_flag(sk, SOCK_DEAD):
            alive = icsk.icsk_rto < tcp_rto_max(sk)
            retry_until = tcp_orphan_retries(sk, alive)
            do_reset = alive or not retransmits_timed_out(sk, <unsigned int>retry_until, 0)
            if tcp_out_of_resources(sk, do_reset):
                return 1
    if not expired:
        expired = retransmits_timed_out(sk, <unsigned int>retry_until, icsk.icsk_user_timeout)
    tcp_fastopen_active_detect_blackhole(sk, expired)

    if expired:
        tcp_write_err(sk)
        return 1

    if sk_rethink_txhash(sk):
        tp.timeout_rehash += 1
        NET_INC_STATS(n, LINUX_MIB_TCPTIMEOUTREHASH)
    return 0


# RFC 9293 3.8.6.3 / RFC 5681 4.2
cdef void tcp_delack_timer_handler(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)

    if (1 << sk.sk_state) & (TCPF_CLOSE | TCPF_LISTEN):
        return
    if tp.compressed_ack:
        tcp_mstamp_refresh(tp)
        tcp_sack_compress_send_ack(sk)
        return
    if not (icsk.icsk_ack.pending & ICSK_ACK_TIMER):
        return
    if time_after(icsk_delack_timeout(icsk), jiffies(sock_net(sk))):
        sk_reset_timer(sk, &icsk.icsk_delack_timer, icsk_delack_timeout(icsk))
        return
    icsk.icsk_ack.pending &= <u8>~ICSK_ACK_TIMER

    if inet_csk_ack_scheduled(sk):
        if not inet_csk_in_pingpong_mode(sk):
            # It waited in vain for more data: wait longer next time. (ato has 8 bits in the kernel.)
            icsk.icsk_ack.ato = min_u32(icsk.icsk_ack.ato << 1, icsk.icsk_rto) & ((1 << ATO_BITS) - 1)
        else:
            # The answer that the ACK was to ride on did not come.
            inet_csk_exit_pingpong_mode(sk)
            icsk.icsk_ack.ato = TCP_ATO_MIN(sock_net(sk))
        tcp_mstamp_refresh(tp)
        tcp_send_ack(sk)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_DELAYEDACKS)


cdef void tcp_delack_timer(timer_list *t) noexcept nogil:
    cdef sock *sk = sk_of_delack_timer(t)

    if (inet_csk(sk).icsk_ack.pending & ICSK_ACK_TIMER) or tcp_sk(sk).compressed_ack:
        tcp_delack_timer_handler(sk)
    sock_put(sk)


# RFC 9293 3.8.6.1: probe as long as the peer answers; an orphan and a user timeout have limits.
cdef void tcp_probe_timer(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef sk_buff *skb = tcp_send_head(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef int max_probes
    cdef unsigned int rto_max
    cdef u32 user_timeout
    cdef bint alive

    if tp.packets_out or skb == NULL:
        icsk.icsk_probes_out = 0
        icsk.icsk_probes_tstamp = 0
        return

    if not icsk.icsk_probes_tstamp:
        icsk.icsk_probes_tstamp = tcp_jiffies32(n)
    else:
        user_timeout = icsk.icsk_user_timeout
        if (user_timeout and <unsigned long><long><s32>(tcp_jiffies32(n) - icsk.icsk_probes_tstamp) >=
                msecs_to_jiffies(n, user_timeout)):
            tcp_write_err(sk)
            return
    max_probes = n.ipv4.sysctl_tcp_retries2
    if sock_flag(sk, SOCK_DEAD):
        rto_max = tcp_rto_max(sk)
        alive = inet_csk_rto_backoff(icsk, rto_max) < rto_max
        max_probes = tcp_orphan_retries(sk, alive)
        if not alive and <int>icsk.icsk_backoff >= max_probes:
            tcp_write_err(sk)
            return
        if tcp_out_of_resources(sk, True):
            return

    if <int>icsk.icsk_probes_out >= max_probes:
        tcp_write_err(sk)
    else:
        tcp_send_probe0(sk)


cdef void tcp_update_rto_stats(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)

    if not icsk.icsk_retransmits:
        tp.total_rto_recoveries += 1
        tp.rto_stamp = tcp_time_stamp_ms(tp)
    icsk.icsk_retransmits += 1
    tp.total_rto += 1


# The SYN-ACK of a Fast Open child, which is a full socket already (RFC 7413 4.2).
cdef void tcp_fastopen_synack_timer(sock *sk, request_sock *req) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int max_retries

    tcp_syn_ack_timeout(req)

    max_retries = icsk.icsk_syn_retries
    if not max_retries:
        max_retries = sock_net(sk).ipv4.sysctl_tcp_synack_retries + 1
    if <int>req.num_timeout >= max_retries:
        tcp_write_err(sk)
        return
    if icsk.icsk_retransmits == 1:
        tcp_enter_loss(sk)
    # An error of the sending is no reason to stop: the child may have been accepted.
    tcp_rtx_synack(sk, req)
    req.num_timeout += 1
    tcp_update_rto_stats(sk)
    if not tp.retrans_stamp:
        tp.retrans_stamp = tcp_time_stamp_ts(tp)
    tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, <unsigned long>req.timeout << req.num_timeout, False)


# The window was shrunk to 0 under sent data: retransmissions serve as probes. Is it too long since the peer was heard?
cdef bint tcp_rtx_probe0_timed_out(sock *sk, sk_buff *skb, u32 rtx_delta) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef u32 user_timeout = icsk.icsk_user_timeout
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int timeout = <int>(tcp_rto_max(sk) * 2)
    cdef s32 rcv_delta

    if user_timeout:
        # Window updates of 0 must not keep it alive then.
        if rtx_delta > user_timeout:
            return True
        timeout = <int>min_u32(<u32>timeout, <u32>msecs_to_jiffies(sock_net(sk), user_timeout))
    rcv_delta = <s32>(tcp_timeout_expires(sk) - tp.rcv_tstamp)
    if rcv_delta <= timeout:
        return False
    return msecs_to_jiffies(sock_net(sk), rtx_delta) > <unsigned long><long>timeout


# RFC 6298 5.5-5.7: back off, and set the timer again. A thin stream may go on without backing off.
cdef void retransmit_timer_reset(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)

    if (sk.sk_state == TCP_ESTABLISHED and
            (tp.thin_lto or n.ipv4.sysctl_tcp_thin_linear_timeouts) and
            tcp_stream_is_thin(tp) and
            icsk.icsk_retransmits <= TCP_THIN_LINEAR_RETRIES):
        icsk.icsk_backoff = 0
        icsk.icsk_rto = clamp_u32(__tcp_set_rto(tp), tcp_rto_min(sk), tcp_rto_max(sk))
    elif sk.sk_state != TCP_SYN_SENT or tp.total_rto > n.ipv4.sysctl_tcp_syn_linear_timeouts:
        icsk.icsk_backoff += 1
        icsk.icsk_rto = min_u32(icsk.icsk_rto << 1, tcp_rto_max(sk))
    tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, tcp_clamp_rto_to_user_timeout(sk), False)
    if retransmits_timed_out(sk, <unsigned int>n.ipv4.sysctl_tcp_retries1 + 1, 0):
        __sk_dst_reset(sk)


# RFC 6298 5.4: retransmit the earliest segment that is not acknowledged.
cdef void tcp_retransmit_timer(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef request_sock *req = tp.fastopen_rsk
    cdef sk_buff *skb
    cdef u32 rtx_delta
    cdef int mib_idx

    if req != NULL:
        WARN_ON_ONCE(sk.sk_state != TCP_SYN_RECV and sk.sk_state != TCP_FIN_WAIT1)
        # Until our SYN-ACK is acknowledged nothing else is retransmitted.
        tcp_fastopen_synack_timer(sk, req)
        return

    if not tp.packets_out:
        return
    skb = tcp_rtx_queue_head(sk)
    if WARN_ON_ONCE(skb == NULL):
        return

    if (not tp.snd_wnd and not sock_flag(sk, SOCK_DEAD) and
            not ((1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV))):
        # RFC 9293 3.8.6: a peer that shrinks its window must not break the connection.
        rtx_delta = tcp_time_stamp_ts(tp) - (tp.retrans_stamp if tp.retrans_stamp
                                             else tcp_skb_timestamp_ts(tp.tcp_usec_ts, skb))
        if tp.tcp_usec_ts:
            rtx_delta //= <u32>USEC_PER_MSEC
        if tcp_rtx_probe0_timed_out(sk, skb, rtx_delta):
            tcp_write_err(sk)
            return
        tcp_enter_loss(sk)
        tcp_retransmit_skb(sk, skb, 1)
        __sk_dst_reset(sk)
        retransmit_timer_reset(sk)
        return

    NET_INC_STATS(n, LINUX_MIB_TCPTIMEOUTS)
    if tcp_write_timeout(sk):
        return

    if icsk.icsk_retransmits == 0:
        mib_idx = 0
        if icsk.icsk_ca_state == TCP_CA_Recovery:
            mib_idx = LINUX_MIB_TCPSACKRECOVERYFAIL if tcp_is_sack(tp) else LINUX_MIB_TCPRENORECOVERYFAIL
        elif icsk.icsk_ca_state == TCP_CA_Loss:
            mib_idx = LINUX_MIB_TCPLOSSFAILURES
        elif icsk.icsk_ca_state == TCP_CA_Disorder or tp.sacked_out:
            mib_idx = LINUX_MIB_TCPSACKFAILURES if tcp_is_sack(tp) else LINUX_MIB_TCPRENOFAILURES
        if mib_idx:
            NET_INC_STATS(n, mib_idx)

    tcp_enter_loss(sk)

    tcp_update_rto_stats(sk)
    if tcp_retransmit_skb(sk, tcp_rtx_queue_head(sk), 1) > 0:
        # The local queue refused it: try again soon, without backing off.
        tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, TCP_RESOURCE_PROBE_INTERVAL(n), False)
        return
    retransmit_timer_reset(sk)


# One timer serves four purposes; icsk_pending tells which.
cdef void tcp_write_timer_handler(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef int event

    if ((1 << sk.sk_state) & (TCPF_CLOSE | TCPF_LISTEN)) or not icsk.icsk_pending:
        return
    if time_after(tcp_timeout_expires(sk), jiffies(sock_net(sk))):
        sk_reset_timer(sk, &sk.tcp_retransmit_timer, tcp_timeout_expires(sk))
        return
    tcp_mstamp_refresh(tcp_sk(sk))
    event = icsk.icsk_pending

    if event == ICSK_TIME_REO_TIMEOUT:
        tcp_rack_reo_timeout(sk)
    elif event == ICSK_TIME_LOSS_PROBE:
        tcp_send_loss_probe(sk)
    elif event == ICSK_TIME_RETRANS:
        icsk.icsk_pending = 0
        tcp_retransmit_timer(sk)
    elif event == ICSK_TIME_PROBE0:
        icsk.icsk_pending = 0
        tcp_probe_timer(sk)


cdef void tcp_write_timer(timer_list *t) noexcept nogil:
    cdef sock *sk = sk_of_retransmit_timer(t)

    if inet_csk(sk).icsk_pending:
        tcp_write_timer_handler(sk)
    sock_put(sk)


cdef void tcp_syn_ack_timeout(request_sock *req) noexcept nogil:
    NET_INC_STATS(req.ireq_net, LINUX_MIB_TCPTIMEOUTS)


cdef void tcp_reset_keepalive_timer(sock *sk, unsigned long len_) noexcept nogil:
    sk_reset_timer(sk, &inet_csk(sk).icsk_keepalive_timer, jiffies(sock_net(sk)) + len_)


cdef void tcp_delete_keepalive_timer(sock *sk) noexcept nogil:
    sk_stop_timer(sk, &inet_csk(sk).icsk_keepalive_timer)


cdef void tcp_set_keepalive(sock *sk, int val) noexcept nogil:
    if (1 << sk.sk_state) & (TCPF_CLOSE | TCPF_LISTEN):
        return
    if val and not sock_flag(sk, SOCK_KEEPOPEN):
        tcp_reset_keepalive_timer(sk, <unsigned long><long>keepalive_time_when(tcp_sk(sk)))
    elif not val:
        tcp_delete_keepalive_timer(sk)


# RFC 9293 3.8.4, and the end of an orphan's FIN_WAIT2.
cdef void keepalive_timer_fired(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef u32 elapsed, user_timeout
    cdef int tmo

    if sk.sk_state == TCP_LISTEN:
        return

    tcp_mstamp_refresh(tp)
    if sk.sk_state == TCP_FIN_WAIT2 and sock_flag(sk, SOCK_DEAD):
        if tp.linger2 >= 0:
            tmo = tcp_fin_time(sk) - TCP_TIMEWAIT_LEN(n)
            if tmo > 0:
                tcp_time_wait(sk, TCP_FIN_WAIT2, tmo)
                return
        tcp_send_active_reset(sk, GFP_ATOMIC, SK_RST_REASON_TCP_STATE)
        tcp_done(sk)
        return

    if not sock_flag(sk, SOCK_KEEPOPEN) or ((1 << sk.sk_state) & (TCPF_CLOSE | TCPF_SYN_SENT)):
        return

    elapsed = <u32>keepalive_time_when(tp)
    # Data on its way tells by itself whether the peer is there.
    if not tp.packets_out and tcp_write_queue_empty(sk):
        elapsed = keepalive_time_elapsed(tp)
        if elapsed >= <u32>keepalive_time_when(tp):
            user_timeout = icsk.icsk_user_timeout
            if ((user_timeout != 0 and elapsed >= msecs_to_jiffies(n, user_timeout) and icsk.icsk_probes_out > 0) or
                    (user_timeout == 0 and <int>icsk.icsk_probes_out >= keepalive_probes(tp))):
                tcp_send_active_reset(sk, GFP_ATOMIC, SK_RST_REASON_TCP_KEEPALIVE_TIMEOUT)
                tcp_write_err(sk)
                return
            if tcp_write_wakeup(sk, LINUX_MIB_TCPKEEPALIVE) <= 0:
                icsk.icsk_probes_out += 1
                elapsed = <u32>keepalive_intvl_when(tp)
            else:
                elapsed = TCP_RESOURCE_PROBE_INTERVAL(n)
        else:
            elapsed = <u32>keepalive_time_when(tp) - elapsed
    tcp_reset_keepalive_timer(sk, elapsed)


cdef void tcp_keepalive_timer(timer_list *t) noexcept nogil:
    cdef sock *sk = sk_of_keepalive_timer(t)

    keepalive_timer_fired(sk)
    sock_put(sk)


cdef int tcp_compressed_ack_kick(hrtimer *timer) noexcept nogil:
    cdef sock *sk = sk_of_compressed_ack_timer(timer)
    cdef tcp_sock *tp = tcp_sk(sk)

    if tp.compressed_ack:
        # One of them is sent after all and must not be counted as saved.
        tp.compressed_ack -= 1
        tcp_mstamp_refresh(tp)
        tcp_send_ack(sk)
    sock_put(sk)
    return HRTIMER_NORESTART


cdef void tcp_init_xmit_timers(sock *sk) noexcept nogil:
    inet_csk_init_xmit_timers(sk, tcp_write_timer, tcp_delack_timer, tcp_keepalive_timer)
    hrtimer_setup(sock_net(sk), &tcp_sk(sk).pacing_timer, tcp_pace_kick, TIMER_KIND_PACE)
    hrtimer_setup(sock_net(sk), &tcp_sk(sk).compressed_ack_timer, tcp_compressed_ack_kick, TIMER_KIND_COMP_ACK)
