"""The socket's side of TCP: send, receive, poll, close, disconnect, options, TCP_INFO, set-up.

Serves RFC 9293 (user interface, 3.9; urgent data, 3.8.5), RFC 2525 2.17 (RST on close with unread data), RFC 7413
(sendmsg with MSG_FASTOPEN), RFC 7323 (tsoffset), RFC 5482 (user timeout).
Follows net/ipv4/tcp.c of Linux 6.18 (GPL-2.0-only).

Deviations
- A call that would sleep returns -ERESTARTSYS and is entered again (see msghdr); there is no socket backlog.
- The orphan counter is read directly; the kernel reads a copy that is up to 100 ms old.
- Left out: splicing into the socket, zero copy on receive, devmem, tcp_mmap(), statistics for timestamping, ULP,
  AO keys, BPF, MPTCP. A segment that carries AO is dropped as by a socket without keys.
- A signature (RFC 2385) covers the payload, of which the stack keeps nothing: it asks for the bytes again
  (hooks.sent_bytes), and takes zeros where nobody knows them.
- Control messages are handed over as values (msg_ext), not as bytes. A socket that has not asked for receive timestamps
  gets none; in the kernel it may, once another one has asked.
- All of the host's memory (net.totalram_pages) counts as nr_free_buffer_pages(); a kernel takes off what it holds
  itself and the zones' high watermarks, some percent.
"""
from libc.string cimport memcmp, memcpy, memset

from kpath_c.headers.tcp cimport *
from kpath_c.headers.errqueue cimport *
from kpath_c.net_tcp cimport *
from kpath_c.af_inet cimport __inet_stream_connect, inet_recv_error, inet_sk_state_store
from kpath_c.inet_connection_sock cimport inet_csk_destroy_sock, inet_csk_listen_stop, inet_csk_reqsk_queue_drop
from kpath_c.inet_hashtables cimport (inet_bhash2_reset_saddr, inet_hashinfo_free, inet_hashinfo_init, inet_put_port,
                                      inet_unhash)
from kpath_c.inet_timewait_sock cimport inet_twsk_deschedule_put
from kpath_c.ip_sockglue cimport ip_getsockopt, ip_setsockopt
from kpath_c.md5 cimport md5_ctx, md5_update
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_free
from kpath_c.skbuff cimport (__kfree_skb, __skb_queue_purge, alloc_skb_fclone, msg_zerocopy_realloc, net_zcopy_put,
                             net_zcopy_put_abort, put_page, skb_attempt_defer_free, skb_copy_bits,
                             skb_copy_datagram_msg, skb_rbtree_purge, skb_zerocopy_iter_stream)
from kpath_c.sock cimport (release_sock, sk_error_report, sk_page_frag_refill, sk_set_peek_off, sk_wait_data,
                           sock_rfree)
from kpath_c.stream cimport (sk_stream_error, sk_stream_wait_close, sk_stream_wait_connect, sk_stream_wait_memory,
                             sk_stream_write_space)
from kpath_c.syncookies cimport syncookies_exit
from kpath_c.tcp_cong cimport tcp_assign_congestion_control, tcp_set_ca_state, tcp_set_congestion_control
from kpath_c.tcp_fastopen cimport (reqsk_fastopen_remove, tcp_fastopen_active_disable_ofo_check,
                                   tcp_fastopen_get_cipher, tcp_fastopen_init_key_once,
                                   tcp_fastopen_reset_cipher)
from kpath_c.tcp_input cimport (tcp_clear_retrans, tcp_data_ready, tcp_do_parse_auth_options, tcp_done_with_error,
                                tcp_rcv_space_adjust, tcp_send_rcvq, tcp_set_rto, tcp_update_pacing_rate)
from kpath_c.tcp_ipv4 cimport tcp_clear_md5_list, tcp_v4_md5_hash_skb
from kpath_c.tcp_minisocks cimport tcp_time_wait
from kpath_c.tcp_output cimport (__tcp_push_pending_frames, __tcp_select_window, sk_forced_mem_schedule,
                                 tcp_chrono_stop, tcp_connect, tcp_current_mss, tcp_delack_max, tcp_mstamp_refresh,
                                 tcp_mtup_init, tcp_push_one, tcp_send_ack, tcp_send_active_reset, tcp_send_fin,
                                 tcp_send_window_probe, tcp_sync_mss)
from kpath_c.tcp_rate cimport tcp_rate_check_app_limited
from kpath_c.tcp_timer cimport tcp_init_xmit_timers, tcp_reset_keepalive_timer

# Where a call sleeps (msghdr.state).
cdef enum:
    CALL_START = 0
    SEND_WAIT_FASTOPEN = 1
    SEND_WAIT_CONNECT = 2
    SEND_WAIT_MEMORY = 3
    RECV_WAIT_DATA = 4
    CLOSE_WAIT_SENT = 5

cdef enum:
    RECV_FOUND_NONE = 0
    RECV_FOUND_DATA = 1
    RECV_FOUND_FIN = 2

cdef enum:
    TCP_REPAIR_ON = 1
    TCP_REPAIR_OFF = 0
    TCP_REPAIR_OFF_NO_WP = -1           # without a window probe

# ---------------------------------------------------------------------------------------------- memory pressure

cdef void tcp_enter_memory_pressure(sock *sk) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef unsigned long val

    if n.ipv4.tcp_memory_pressure:
        return
    val = jiffies(n)
    if not val:
        val -= 1
    n.ipv4.tcp_memory_pressure = val
    NET_INC_STATS(n, LINUX_MIB_TCPMEMORYPRESSURES)


cdef void tcp_leave_memory_pressure(sock *sk) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef unsigned long val = n.ipv4.tcp_memory_pressure

    if not val:
        return
    n.ipv4.tcp_memory_pressure = 0
    NET_ADD_STATS(n, LINUX_MIB_TCPMEMORYPRESSURESCHRONO, jiffies_to_msecs(n, jiffies(n) - val))


cdef u8 secs_to_retrans(int seconds, int timeout, int rto_max) noexcept nogil:
    """How many retransmissions, with back-off from `timeout` up to `rto_max`, fill `seconds`."""
    cdef u8 res = 0
    cdef int period

    if seconds > 0:
        period = timeout
        res = 1
        while seconds > period and res < 255:
            res += 1
            timeout <<= 1
            if timeout > rto_max:
                timeout = rto_max
            period += timeout
    return res


cdef int retrans_to_secs(u8 retrans, int timeout, int rto_max) noexcept nogil:
    cdef int period = 0

    if retrans > 0:
        period = timeout
        retrans -= 1
        while retrans:
            timeout <<= 1
            if timeout > rto_max:
                timeout = rto_max
            period += timeout
            retrans -= 1
    return period


cdef u64 tcp_compute_delivery_rate(tcp_sock *tp) noexcept nogil:
    cdef u32 rate = tp.rate_delivered
    cdef u32 intv = tp.rate_interval_us
    cdef u64 rate64 = 0

    if rate and intv:
        rate64 = <u64>rate * tp.mss_cache * <u64>1000000
        rate64 = rate64 // intv
    return rate64

# ---------------------------------------------------------------------------------------------- set-up of a socket

cdef void tcp_init_sock(sock *sk) noexcept nogil:
    """What all address families share. The socket's memory is zero when it comes here."""
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)

    tp.out_of_order_queue.rb_node = NULL
    sk.tcp_rtx_queue.rb_node = NULL
    tcp_init_xmit_timers(sk)
    INIT_LIST_HEAD(&tp.tsq_node)
    INIT_LIST_HEAD(&tp.tsorted_sent_queue)

    icsk.icsk_rto = TCP_TIMEOUT_INIT(n)
    icsk.icsk_rto_max = msecs_to_jiffies(n, n.ipv4.sysctl_tcp_rto_max_ms)
    icsk.icsk_rto_min = usecs_to_jiffies(n, n.ipv4.sysctl_tcp_rto_min_us)
    icsk.icsk_delack_max = TCP_DELACK_MAX(n)
    tp.mdev_us = jiffies_to_usecs(n, TCP_TIMEOUT_INIT(n))
    minmax_reset(&tp.rtt_min, tcp_jiffies32(n), ~(<u32>0))

    tcp_snd_cwnd_set(tp, TCP_INIT_CWND)

    # Nothing has been acknowledged yet: all samples until then are limited by the application.
    tp.app_limited = ~(<u32>0)
    tp.rate_app_limited = 1

    tp.snd_ssthresh = TCP_INFINITE_SSTHRESH
    tp.snd_cwnd_clamp = ~(<u32>0)
    tp.mss_cache = TCP_MSS_DEFAULT

    tp.reordering = n.ipv4.sysctl_tcp_reordering
    tcp_assign_congestion_control(sk)

    tp.tsoffset = 0
    tp.rack.reo_wnd_steps = 1

    sk.sk_write_space = sk_stream_write_space
    sock_set_flag(sk, SOCK_USE_WRITE_QUEUE)

    icsk.icsk_sync_mss = tcp_sync_mss

    sk.sk_sndbuf = n.ipv4.sysctl_tcp_wmem[1]
    sk.sk_rcvbuf = n.ipv4.sysctl_tcp_rmem[1]
    tcp_scaling_ratio_init(sk)

    sk_sockets_allocated_inc(sk)


cdef void tcp_tx_timestamp(sock *sk) noexcept nogil:
    """SO_TIMESTAMPING: the skb with the last byte of a send() carries what is to be told of it."""
    cdef sk_buff *skb
    cdef u32 tsflags = sk.sk_tsflags
    if not tsflags:
        return
    skb = tcp_write_queue_tail(sk)
    if skb == NULL:
        skb = skb_rb_last(&sk.tcp_rtx_queue)
    if skb == NULL:
        return
    if tsflags & SOF_TIMESTAMPING_TX_HARDWARE:
        skb.shinfo.tx_flags |= SKBTX_HW_TSTAMP_NOBPF
    if tsflags & SOF_TIMESTAMPING_TX_SOFTWARE:
        skb.shinfo.tx_flags |= SKBTX_SW_TSTAMP
    if tsflags & SOF_TIMESTAMPING_TX_SCHED:
        skb.shinfo.tx_flags |= SKBTX_SCHED_TSTAMP
    if tsflags & SOF_TIMESTAMPING_TX_COMPLETION:
        skb.shinfo.tx_flags |= SKBTX_COMPLETION_TSTAMP
    if tsflags & SOF_TIMESTAMPING_TX_ACK:
        TCP_SKB_CB(skb).txstamp_ack |= TSTAMP_ACK_SK
    if tsflags & SOF_TIMESTAMPING_TX_RECORD_MASK:
        skb.shinfo.tskey = TCP_SKB_CB(skb).seq + skb.len - 1

# ---------------------------------------------------------------------------------------------- readiness

cdef bint tcp_stream_is_readable(sock *sk, int target) noexcept nogil:
    return tcp_epollin_ready(sk, target)


cdef u32 tcp_poll(socket *so) noexcept nogil:
    cdef sock *sk = so.sk
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 mask = 0
    cdef u8 shutdown
    cdef int state = sk.sk_state
    cdef int target
    cdef u16 urg_data

    if state == TCP_LISTEN:
        return inet_csk_listen_poll(sk)

    # HUP cannot be masked, so it waits until both directions are shut; else EPOLLOUT in CLOSE_WAIT would be useless.
    shutdown = sk.sk_shutdown
    if shutdown == SHUTDOWN_MASK or state == TCP_CLOSE:
        mask |= EPOLLHUP
    if shutdown & RCV_SHUTDOWN:
        mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP

    # Connected, or a passive Fast Open child?
    if state != TCP_SYN_SENT and (state != TCP_SYN_RECV or tp.fastopen_rsk != NULL):
        target = sock_rcvlowat(sk, 0, INT_MAX)
        urg_data = tp.urg_data

        if urg_data and tp.urg_seq == tp.copied_seq and not sock_flag(sk, SOCK_URGINLINE):
            target += 1

        if tcp_stream_is_readable(sk, target):
            mask |= EPOLLIN | EPOLLRDNORM

        if not (shutdown & SEND_SHUTDOWN):
            if __sk_stream_is_writeable(sk, 1):
                mask |= EPOLLOUT | EPOLLWRNORM
            else:
                sk_set_bit(SOCKWQ_ASYNC_NOSPACE, sk)
                set_bit(SOCK_NOSPACE, &sk.sk_socket.flags)
        else:
            mask |= EPOLLOUT | EPOLLWRNORM

        if urg_data & TCP_URG_VALID:
            mask |= EPOLLPRI
    elif state == TCP_SYN_SENT and inet_test_bit(INET_FLAGS_DEFER_CONNECT, sk):
        # TCP_FASTOPEN_CONNECT: the first write() is what sends the SYN.
        mask |= EPOLLOUT | EPOLLWRNORM
    if sk.sk_err or not skb_queue_empty(&sk.sk_error_queue):
        mask |= EPOLLERR

    return mask


cdef int tcp_ioctl(sock *sk, int cmd, int *karg) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int answ

    if cmd == SIOCINQ:
        if sk.sk_state == TCP_LISTEN:
            return -EINVAL
        answ = tcp_inq(sk)
    elif cmd == SIOCATMARK:
        answ = 1 if tp.urg_data and tp.urg_seq == tp.copied_seq else 0
    elif cmd == SIOCOUTQ:
        if sk.sk_state == TCP_LISTEN:
            return -EINVAL
        if (1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV):
            answ = 0
        else:
            answ = <int>(tp.write_seq - tp.snd_una)
    elif cmd == SIOCOUTQNSD:
        if sk.sk_state == TCP_LISTEN:
            return -EINVAL
        if (1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV):
            answ = 0
        else:
            answ = <int>(tp.write_seq - tp.snd_nxt)
    else:
        return -ENOIOCTLCMD

    karg[0] = answ
    return 0

# ---------------------------------------------------------------------------------------------- sending

cdef void tcp_mark_push(tcp_sock *tp, sk_buff *skb) noexcept nogil:
    TCP_SKB_CB(skb).tcp_flags |= TCPHDR_PSH
    tp.pushed_seq = tp.write_seq


cdef inline bint forced_push(tcp_sock *tp) noexcept nogil:
    """More than half of the largest window that the peer ever offered has gone without PSH."""
    return after(tp.write_seq, tp.pushed_seq + (tp.max_window >> 1))


cdef void tcp_skb_entail(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef tcp_skb_cb *tcb = TCP_SKB_CB(skb)

    tcb.end_seq = tp.write_seq
    tcb.seq = tp.write_seq
    tcb.tcp_flags = TCPHDR_ACK
    __skb_header_release(skb)
    tcp_add_write_queue_tail(sk, skb)
    sk_wmem_queued_add(sk, <int>skb.truesize)
    sk_mem_charge(sk, <int>skb.truesize)
    if tp.nonagle & TCP_NAGLE_PUSH:
        tp.nonagle &= ~TCP_NAGLE_PUSH

    tcp_slow_start_after_idle_check(sk)


cdef inline void tcp_mark_urg(tcp_sock *tp, int flags) noexcept nogil:
    if flags & MSG_OOB:
        tp.snd_up = tp.write_seq


cdef bint tcp_should_autocork(sock *sk, sk_buff *skb, int size_goal) noexcept nogil:
    """A part-filled skb can wait while earlier data is still in the device: its completion will send it.

    More than this skb's own truesize must be in flight there, or pure ACKs would count."""
    return (skb.len < <u32>size_goal and
            sock_net(sk).ipv4.sysctl_tcp_autocorking != 0 and
            not tcp_rtx_queue_empty(sk) and
            <u32>sk.sk_wmem_alloc > skb.truesize and
            tcp_skb_can_collapse_to(skb))


cdef void tcp_push(sock *sk, int flags, int mss_now, int nonagle, int size_goal) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef sk_buff *skb = tcp_write_queue_tail(sk)

    if skb == NULL:
        return
    if not (flags & MSG_MORE) or forced_push(tp):
        tcp_mark_push(tp, skb)

    tcp_mark_urg(tp, flags)

    if tcp_should_autocork(sk, skb, size_goal):
        if not test_bit(TSQ_THROTTLED, &sk.sk_tsq_flags):
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPAUTOCORKING)
            set_bit(TSQ_THROTTLED, &sk.sk_tsq_flags)
        # No completion can have come in between: the kernel's second look at sk_wmem_alloc is the first one.
        return

    if flags & MSG_MORE:
        nonagle = TCP_NAGLE_CORK

    __tcp_push_pending_frames(sk, mss_now, nonagle)


cdef sk_buff *tcp_stream_alloc_skb(sock *sk, gfp_t gfp, bint force_schedule) noexcept nogil:
    cdef sk_buff *skb = alloc_skb_fclone(sock_net(sk), MAX_TCP_HEADER, gfp)
    cdef bint mem_scheduled

    if skb != NULL:
        skb.truesize = SKB_TRUESIZE(skb_end_offset(skb))
        if force_schedule:
            mem_scheduled = 1
            sk_forced_mem_schedule(sk, <int>skb.truesize)
        else:
            mem_scheduled = sk_wmem_schedule(sk, <int>skb.truesize)
        if mem_scheduled:
            skb_reserve(skb, MAX_TCP_HEADER)
            skb.ip_summed = CHECKSUM_PARTIAL
            INIT_LIST_HEAD(&skb.tcp_tsorted_anchor)
            return skb
        __kfree_skb(skb)
    else:
        if not sk.sk_bypass_prot_mem:
            tcp_enter_memory_pressure(sk)
        sk_stream_moderate_sndbuf(sk)
    return NULL


cdef unsigned int tcp_xmit_size_goal(sock *sk, u32 mss_now, bint large_allowed) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 new_size_goal, size_goal

    if not large_allowed:
        return mss_now

    # tcp_tso_autosize() may cut it smaller later.
    new_size_goal = <u32>tcp_bound_to_half_wnd(tp, <int>sk.sk_gso_max_size)

    # gso_segs remembers the quotient, so that it's divided only when it has changed.
    size_goal = tp.gso_segs * mss_now
    if new_size_goal < size_goal or new_size_goal >= size_goal + mss_now:
        tp.gso_segs = <u16>min_u32(<u16>(new_size_goal // mss_now), sk.sk_gso_max_segs)
        size_goal = tp.gso_segs * mss_now

    return max_u32(size_goal, mss_now)


cdef int tcp_send_mss(sock *sk, int *size_goal, int flags) noexcept nogil:
    cdef int mss_now = <int>tcp_current_mss(sk)

    size_goal[0] = <int>tcp_xmit_size_goal(sk, <u32>mss_now, not (flags & MSG_OOB))
    return mss_now


cdef void tcp_remove_empty_skb(sock *sk) noexcept nogil:
    """An skb that got no payload must leave: it holds memory, and tcp_write_xmit() can't deal with it."""
    cdef sk_buff *skb = tcp_write_queue_tail(sk)

    if skb != NULL and TCP_SKB_CB(skb).seq == TCP_SKB_CB(skb).end_seq:
        tcp_unlink_write_queue(skb, sk)
        if tcp_write_queue_empty(sk):
            tcp_chrono_stop(sk, TCP_CHRONO_BUSY)
        tcp_wmem_free_skb(sk, skb)


cdef int tcp_wmem_schedule(sock *sk, int copy) noexcept nogil:
    cdef int left

    if sk_wmem_schedule(sk, copy):
        return copy

    # Even under pressure tcp_wmem[0] is granted, so that a sender with nothing queued makes progress.
    left = sock_net(sk).ipv4.sysctl_tcp_wmem[0] - sk.sk_wmem_queued
    if left > 0:
        sk_forced_mem_schedule(sk, min_int(left, copy))
    return min_int(copy, sk.sk_forward_alloc)


cdef void tcp_free_fastopen_req(tcp_sock *tp) noexcept nogil:
    if tp.fastopen_req != NULL:
        kmem_cache_free(&sock_net(<sock *>tp).misc_slab, tp.fastopen_req)
        tp.fastopen_req = NULL


cdef int tcp_sendmsg_fastopen(sock *sk, msghdr *msg, int *copied, size_t size) noexcept nogil:
    """RFC 7413 4.1: connect and send at once. `copied` is what went with the SYN."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_sock *inet = inet_sk(sk)
    cdef sockaddr_in *uaddr = <sockaddr_in *>msg.msg_name
    cdef int err, flags

    if not msg.resume:
        if (not (sock_net(sk).ipv4.sysctl_tcp_fastopen & TFO_CLIENT_ENABLE) or
                (uaddr != NULL and msg.msg_namelen >= <int>sizeof(uaddr.sin_family) and
                 uaddr.sin_family == AF_UNSPEC)):
            return -EOPNOTSUPP
        if tp.fastopen_req != NULL:
            return -EALREADY

        tp.fastopen_req = <tcp_fastopen_request *>kmem_cache_alloc(&sock_net(sk).misc_slab)
        if tp.fastopen_req == NULL:
            return -ENOBUFS
        memset(tp.fastopen_req, 0, sizeof(tcp_fastopen_request))
        tp.fastopen_req.data = msg
        tp.fastopen_req.size = size

        if inet_test_bit(INET_FLAGS_DEFER_CONNECT, sk):
            err = tcp_connect(sk)
            if err:
                tcp_set_state(sk, TCP_CLOSE)
                inet.sk.sk_dport = 0
                sk.sk_route_caps = 0
    flags = O_NONBLOCK if msg.msg_flags & MSG_DONTWAIT else 0
    err = __inet_stream_connect(sk.sk_socket, uaddr, msg.msg_namelen, flags, 1, msg)
    if err == -ERESTARTSYS:
        return err
    # A reset or a time-out during the wait may have freed it.
    if tp.fastopen_req != NULL:
        copied[0] = tp.fastopen_req.copied
        tcp_free_fastopen_req(tp)
        inet_clear_bit(INET_FLAGS_DEFER_CONNECT, sk)
    return err


cdef sk_buff *tcp_sendmsg_new_segment(sock *sk) noexcept nogil:
    """An empty skb at the end of the write queue; NULL: wait for space."""
    cdef sk_buff *skb

    if not sk_stream_memory_free(sk):
        return NULL
    skb = tcp_stream_alloc_skb(sk, sk.sk_allocation, tcp_rtx_and_write_queues_empty(sk))
    if skb == NULL:
        return NULL
    tcp_skb_entail(sk, skb)
    # What is restored under repair counts as sent; without a time stamp it gives no RTT sample.
    if tcp_sk(sk).repair:
        TCP_SKB_CB(skb).sacked |= TCPCB_REPAIRED
    return skb


cdef int tcp_downgrade_zcopy_pure(sock *sk, sk_buff *skb) noexcept nogil:
    """From now on the skb has bytes of its own: what the user's pages cost is charged after all."""
    cdef u32 extra
    if skb_zcopy_pure(skb):
        extra = skb.truesize - SKB_TRUESIZE(skb_end_offset(skb))
        if not sk_wmem_schedule(sk, <int>extra):
            return -ENOMEM
        sk_mem_charge(sk, <int>extra)
        skb.shinfo.flags &= <u8>~SKBFL_PURE_ZEROCOPY
    return 0


cdef int tcp_sendmsg_append_zerocopy(sock *sk, msghdr *msg, sk_buff *skb, int copy) noexcept nogil:
    """The same for MSG_ZEROCOPY, which puts the user's own pages into the skb."""
    cdef int err
    if not skb.len:
        skb.shinfo.flags |= SKBFL_PURE_ZEROCOPY
    if not skb_zcopy_pure(skb):
        copy = tcp_wmem_schedule(sk, copy)
        if not copy:
            return 0
    err = skb_zerocopy_iter_stream(sk, skb, msg, copy, msg_ext_of(msg).uarg)
    if err == -EMSGSIZE or err == -EEXIST:
        tcp_mark_push(tcp_sk(sk), skb)
        return -EMSGSIZE
    return err


cdef int tcp_sendmsg_append(sock *sk, msghdr *msg, sk_buff *skb, int copy) noexcept nogil:
    """Append up to `copy` bytes, which only count. Gives how many; 0: wait for space; -EMSGSIZE: no frag is left."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int i = skb_shinfo(skb).nr_frags
    cdef page_frag *pfrag = sk_page_frag(sk, msg)
    cdef bint merge = 1

    if not sk_page_frag_refill(sk, pfrag):
        return 0

    if not skb_can_coalesce(skb, i, pfrag.page, <int>pfrag.offset):
        if i >= sock_net(sk).core.sysctl_max_skb_frags:
            tcp_mark_push(tp, skb)
            return -EMSGSIZE
        merge = 0

    copy = min_int(copy, <int>(pfrag.size - pfrag.offset))
    if tcp_downgrade_zcopy_pure(sk, skb):
        return 0
    copy = tcp_wmem_schedule(sk, copy)
    if not copy:
        return 0
    if msg_fault(msg):
        return -EFAULT

    skb_copy_to_page_nocache(sk, msg, skb, copy)

    if merge:
        skb_frag_size_add(&skb_shinfo(skb).frags[i - 1], copy)
    else:
        skb_fill_page_desc(skb, i, pfrag.page, <int>pfrag.offset, copy)
        get_page(pfrag.page)
    pfrag.offset += <u32>copy
    return copy


cdef int tcp_sendmsg_zerocopy(sock *sk, msghdr *msg, size_t size) noexcept nogil:
    """MSG_ZEROCOPY at the start of a call: what its completion will be told by."""
    cdef msg_ext *ext = msg_ext_of(msg)
    ext.zc = 0
    ext.uarg = NULL
    if not (msg.msg_flags & MSG_ZEROCOPY) or not size or not sock_flag(sk, SOCK_ZEROCOPY):
        return 0
    ext.uarg = msg_zerocopy_realloc(sk, size, <ubuf_info_msgzc *>skb_zcopy(tcp_write_queue_tail(sk)))
    if ext.uarg == NULL:
        return -ENOBUFS
    if sk.sk_route_caps & <u64>NETIF_F_SG:
        ext.zc = 1
    else:
        ext.uarg.zerocopy = 0
    return 0


cdef int tcp_sendmsg_locked(sock *sk, msghdr *msg, size_t size) noexcept nogil:
    cdef msg_ext *ext = msg_ext_of(msg)
    cdef int ret
    if ext != NULL and not msg.resume:
        ret = tcp_sendmsg_zerocopy(sk, msg, size)
        if ret:
            return tcp_sendmsg_error(sk, <int>msg.msg_flags, ret)
    ret = tcp_sendmsg_queue(sk, msg, size)
    if ext != NULL and ret != -ERESTARTSYS:
        if ret < 0:
            net_zcopy_put_abort(ext.uarg, 1)
        else:
            net_zcopy_put(ext.uarg)
        ext.uarg = NULL
    return ret


cdef int tcp_sendmsg_queue(sock *sk, msghdr *msg, size_t size) noexcept nogil:
    """tcp_sendmsg_locked() but for the user's pages, whose fate the caller settles."""
    cdef bint zc = msg_ext_of(msg) != NULL and msg_ext_of(msg).zc
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef sk_buff *skb
    cdef int flags = <int>msg.msg_flags
    cdef int err = 0
    cdef int copied = 0
    cdef int copied_syn = 0
    cdef int mss_now = 0
    cdef int size_goal = 0
    cdef int copy
    cdef int done
    cdef int state = msg.state if msg.resume else CALL_START
    cdef bint fresh
    cdef bint failed = 0
    cdef long timeo = 0

    if size and flags & MSG_SPLICE_PAGES:
        # The bytes go the ordinary way: what is lost is how the kernel charges and splits spliced pages.
        not_ported(n, "MSG_SPLICE_PAGES")

    if state <= SEND_WAIT_FASTOPEN:
        if not tp.repair and (flags & MSG_FASTOPEN or inet_test_bit(INET_FLAGS_DEFER_CONNECT, sk) or
                              state == SEND_WAIT_FASTOPEN):
            err = tcp_sendmsg_fastopen(sk, msg, &copied_syn, size)
            if err == -ERESTARTSYS:
                msg.state = SEND_WAIT_FASTOPEN
                return err
            if err == -EINPROGRESS and copied_syn > 0:
                return copied_syn
            if err:
                return tcp_sendmsg_error(sk, flags, err)

        timeo = sock_sndtimeo(sk, flags & MSG_DONTWAIT)

        tcp_rate_check_app_limited(sk)
    else:
        copied = <int>msg.copied
        copied_syn = msg.copied_syn
        mss_now = msg.mss_now
        size_goal = msg.size_goal

    if state <= SEND_WAIT_CONNECT:
        # A passive Fast Open child may send before its handshake is complete (RFC 7413 4.2).
        if (state == SEND_WAIT_CONNECT or
                ((1 << sk.sk_state) & ~(TCPF_ESTABLISHED | TCPF_CLOSE_WAIT) and not tcp_passive_fastopen(sk))):
            err = sk_stream_wait_connect(sk, msg, &timeo)
            if err == -ERESTARTSYS:
                msg.state = SEND_WAIT_CONNECT
                msg.copied = 0
                msg.copied_syn = copied_syn
                return err
            if err != 0:
                failed = 1

        if not failed:
            if tp.repair:
                if tp.repair_queue == TCP_RECV_QUEUE:
                    copied = tcp_send_rcvq(sk, msg, size)
                    return copied + copied_syn
                if tp.repair_queue == TCP_NO_QUEUE:
                    return tcp_sendmsg_error(sk, flags, -EINVAL)

            sk_clear_bit(SOCKWQ_ASYNC_NOSPACE, sk)

            copied = 0
            mss_now = tcp_send_mss(sk, &size_goal, flags)

            if sk.sk_err or (sk.sk_shutdown & SEND_SHUTDOWN):
                err = -EPIPE
                failed = 1

    while not failed and msg.count:
        if state != SEND_WAIT_MEMORY:
            copy = 0
            skb = tcp_write_queue_tail(sk)
            if skb != NULL:
                copy = size_goal - <int>skb.len

            trace_tcp_sendmsg_locked(sk, skb, size_goal)

            fresh = copy <= 0 or not tcp_skb_can_collapse_to(skb)
            while True:
                if fresh:
                    skb = tcp_sendmsg_new_segment(sk)
                    if skb == NULL:
                        done = 0
                        break
                    copy = size_goal
                if <size_t>copy > msg.count:
                    copy = <int>msg.count
                if zc:
                    done = tcp_sendmsg_append_zerocopy(sk, msg, skb, copy)
                else:
                    done = tcp_sendmsg_append(sk, msg, skb, copy)
                if done != -EMSGSIZE:
                    break
                fresh = 1

            if done > 0:
                if not copied:
                    TCP_SKB_CB(skb).tcp_flags &= <u16>~TCPHDR_PSH

                tp.write_seq += <u32>done
                TCP_SKB_CB(skb).end_seq += <u32>done
                tcp_skb_pcount_set(skb, 0)

                copied += done
                if not msg.count:
                    if flags & MSG_EOR:
                        TCP_SKB_CB(skb).eor = 1
                    break

                if skb.len < <u32>size_goal or (flags & MSG_OOB) or tp.repair:
                    continue

                if forced_push(tp):
                    tcp_mark_push(tp, skb)
                    __tcp_push_pending_frames(sk, <unsigned int>mss_now, TCP_NAGLE_PUSH)
                elif skb == tcp_send_head(sk):
                    tcp_push_one(sk, <unsigned int>mss_now)
                continue

            if done < 0:
                err = done
                failed = 1
                break

            set_bit(SOCK_NOSPACE, &sk.sk_socket.flags)
            tcp_remove_empty_skb(sk)
            if copied:
                tcp_push(sk, flags & ~MSG_MORE, mss_now, TCP_NAGLE_PUSH, size_goal)

        state = CALL_START
        err = sk_stream_wait_memory(sk, msg, &timeo)
        if err == -ERESTARTSYS:
            msg.state = SEND_WAIT_MEMORY
            msg.copied = copied
            msg.copied_syn = copied_syn
            msg.mss_now = mss_now
            msg.size_goal = size_goal
            return err
        if err != 0:
            failed = 1
            break

        mss_now = tcp_send_mss(sk, &size_goal, flags)

    if failed:
        tcp_remove_empty_skb(sk)
        if not (copied + copied_syn):
            return tcp_sendmsg_error(sk, flags, err)
    if copied:
        tcp_tx_timestamp(sk)
        tcp_push(sk, flags, mss_now, tp.nonagle, size_goal)
    return copied + copied_syn


cdef int tcp_sendmsg_error(sock *sk, int flags, int err) noexcept nogil:
    """What tcp_sendmsg_locked() does at its label out_err."""
    err = sk_stream_error(sk, flags, err)
    # Edge-triggered pollers that got EAGAIN with nothing queued would never hear of space again.
    if tcp_rtx_and_write_queues_empty(sk) and err == -EAGAIN:
        sk.sk_write_space(sk)
        tcp_chrono_stop(sk, TCP_CHRONO_SNDBUF_LIMITED)
    return err


cdef int tcp_sendmsg(sock *sk, msghdr *msg, size_t size) noexcept nogil:
    cdef int ret

    lock_sock(sk)
    ret = tcp_sendmsg_locked(sk, msg, size)
    release_sock(sk)

    return ret

# ---------------------------------------------------------------------------------------------- receiving

cdef int memcpy_to_msg(msghdr *msg, char c) noexcept nogil:
    """One byte: all that is ever copied this way here."""
    if not msg.count:
        return -EFAULT
    if msg.buf != NULL:
        msg.buf[msg.iov_offset] = <u8>c
    msg.iov_offset += 1
    msg.count -= 1
    return 0


cdef int tcp_recv_urg(sock *sk, msghdr *msg, int len_, int flags) noexcept nogil:
    """recv(MSG_OOB). Never blocks, as in BSD."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int err = 0
    cdef char c

    if sock_flag(sk, SOCK_URGINLINE) or not tp.urg_data or tp.urg_data == TCP_URG_READ:
        return -EINVAL

    if sk.sk_state == TCP_CLOSE and not sock_flag(sk, SOCK_DONE):
        return -ENOTCONN

    if tp.urg_data & TCP_URG_VALID:
        c = <char>tp.urg_data

        if not (flags & MSG_PEEK):
            tp.urg_data = TCP_URG_READ

        msg.msg_flags |= MSG_OOB

        if len_ > 0:
            if not (flags & MSG_TRUNC):
                err = memcpy_to_msg(msg, c)
            len_ = 1
        else:
            msg.msg_flags |= MSG_TRUNC

        return -EFAULT if err else len_

    if sk.sk_state == TCP_CLOSE or (sk.sk_shutdown & RCV_SHUTDOWN):
        return 0

    return -EAGAIN


cdef int tcp_peek_sndq(sock *sk, msghdr *msg, int len_) noexcept nogil:
    cdef sk_buff *skb = skb_rb_first(&sk.tcp_rtx_queue)
    cdef int copied = 0
    cdef int err = 0

    while skb != NULL:
        err = skb_copy_datagram_msg(skb, 0, msg, <int>skb.len)
        if err:
            return err
        copied += <int>skb.len
        skb = skb_rb_next(skb)

    skb = sk.sk_write_queue.next
    while skb != <sk_buff *>&sk.sk_write_queue:
        err = skb_copy_datagram_msg(skb, 0, msg, <int>skb.len)
        if err:
            break
        copied += <int>skb.len
        skb = skb.next

    return err if err else copied


cdef void __tcp_cleanup_rbuf(sock *sk, int copied) noexcept nogil:
    """After a read: is an ACK due, be it for the data or for the window that opened (RFC 9293 3.8.6.2.2)?"""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef bint time_to_ack = 0
    cdef u32 rcv_window_now, new_window

    if inet_csk_ack_scheduled(sk):
        # Either more than one full segment went without an ACK (RFC 1122 4.2.3.2), or this read emptied the buffer, a
        # short segment ended in it, and the connection isn't interactive (a reply would carry the ACK).
        if (tp.rcv_nxt - tp.rcv_wup > icsk.icsk_ack.rcv_mss or
                (copied > 0 and
                 ((icsk.icsk_ack.pending & ICSK_ACK_PUSHED2) or
                  ((icsk.icsk_ack.pending & ICSK_ACK_PUSHED) and not inet_csk_in_pingpong_mode(sk))) and
                 not sk.sk_backlog.rmem_alloc)):
            time_to_ack = 1

    if copied > 0 and not time_to_ack and not (sk.sk_shutdown & RCV_SHUTDOWN):
        rcv_window_now = tcp_receive_window(tp)

        # __tcp_select_window() costs: only if it could be twice as much.
        if <u32>2 * rcv_window_now <= tp.window_clamp:
            new_window = __tcp_select_window(sk)

            if new_window and new_window >= <u32>2 * rcv_window_now:
                time_to_ack = 1
    if time_to_ack:
        tcp_mstamp_refresh(tp)
        tcp_send_ack(sk)


cdef void tcp_cleanup_rbuf(sock *sk, int copied) noexcept nogil:
    __tcp_cleanup_rbuf(sk, copied)


cdef void tcp_eat_recv_skb(sock *sk, sk_buff *skb) noexcept nogil:
    __skb_unlink(skb, &sk.sk_receive_queue)
    if skb.destructor == sock_rfree:
        sock_rfree(skb)
        skb.destructor = NULL
        skb.sk = NULL
        skb_attempt_defer_free(skb)
        return
    __kfree_skb(skb)


cdef sk_buff *tcp_recv_skb(sock *sk, u32 seq, u32 *off) noexcept nogil:
    cdef sk_buff *skb = skb_peek(&sk.sk_receive_queue)
    cdef u32 offset

    while skb != NULL:
        offset = seq - TCP_SKB_CB(skb).seq
        if TCP_SKB_CB(skb).tcp_flags & TCPHDR_SYN:
            offset -= 1
        if offset < skb.len or (TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN):
            off[0] = offset
            return skb
        # Wholly read, left over by a collapse.
        tcp_eat_recv_skb(sk, skb)
        skb = skb_peek(&sk.sk_receive_queue)
    return NULL


# There are no hardware stamps.
cdef void tcp_update_recv_tstamps(sk_buff *skb, msg_ext *tss) noexcept nogil:
    tss.stamp = skb.skb_mstamp_ns


cdef int tcp_peek_len(socket *so) noexcept nogil:
    return tcp_inq(so.sk)


cdef int tcp_set_rcvlowat(sock *sk, int val) noexcept nogil:
    """SO_RCVLOWAT: the buffer must be able to hold what is waited for."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int space, cap

    if sk.sk_userlocks & SOCK_RCVBUF_LOCK:
        cap = sk.sk_rcvbuf >> 1
    else:
        cap = sock_net(sk).ipv4.sysctl_tcp_rmem[2] >> 1
    val = min_int(val, cap)
    sk.sk_rcvlowat = val if val else 1

    tcp_data_ready(sk)

    if sk.sk_userlocks & SOCK_RCVBUF_LOCK:
        return 0

    space = tcp_space_from_win(sk, val)
    if space > sk.sk_rcvbuf:
        sk.sk_rcvbuf = space

        if tp.window_clamp and tp.window_clamp < <u32>val:
            tp.window_clamp = <u32>val
    return 0


cdef int tcp_inq_hint(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int inq = <int>(tp.rcv_nxt - tp.copied_seq)

    # After a FIN: not 0, so that the application reads on and sees the end.
    if inq == 0 and sock_flag(sk, SOCK_DONE):
        inq = 1
    return inq


cdef int tcp_recvmsg_locked(sock *sk, msghdr *msg, size_t len_, int flags) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int copied = 0
    cdef u32 peek_seq = 0
    cdef u32 *seq = &tp.copied_seq
    cdef unsigned long used
    cdef int err
    cdef int target                     # read at least so many bytes
    cdef long timeo
    cdef sk_buff *skb
    cdef sk_buff *last
    cdef u32 peek_offset = 0
    cdef u32 urg_hole = 0
    cdef u32 offset = 0
    cdef u32 urg_offset
    cdef int found
    cdef bint skip_copy
    cdef bint resumed = msg.resume != 0
    cdef bint first = 1

    if resumed:
        copied = <int>msg.copied
        len_ -= <size_t>msg.copied
        target = <int>msg.target
        peek_seq = msg.peek_seq
        peek_offset = msg.peek_offset
        urg_hole = msg.urg_hole
        last = <sk_buff *>msg.wait_arg
        timeo = <long>msg.timeo
        if flags & MSG_PEEK:
            seq = &peek_seq
    else:
        if sk.sk_state == TCP_LISTEN:
            return -ENOTCONN

        timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT)

        if flags & MSG_OOB:
            return tcp_recv_urg(sk, msg, <int>len_, flags)

        if tp.repair:
            if not (flags & MSG_PEEK):
                return -EPERM
            if tp.repair_queue == TCP_SEND_QUEUE:
                return tcp_peek_sndq(sk, msg, <int>len_)
            if tp.repair_queue == TCP_NO_QUEUE:
                return -EINVAL

        if flags & MSG_PEEK:
            peek_offset = <u32>max_int(sk_peek_offset(sk, flags), 0)
            peek_seq = tp.copied_seq + peek_offset
            seq = &peek_seq

        target = sock_rcvlowat(sk, flags & MSG_WAITALL, <int>len_)
        last = NULL

    while first or len_ > 0:
        first = 0
        if not resumed:
            # Urgent mark: what comes before it is a read of its own.
            if tp.urg_data and tp.urg_seq == seq[0] and copied:
                break

            found = RECV_FOUND_NONE
            last = skb_peek_tail(&sk.sk_receive_queue)
            skb = sk.sk_receive_queue.next
            while skb != <sk_buff *>&sk.sk_receive_queue:
                last = skb
                if before(seq[0], TCP_SKB_CB(skb).seq):
                    break
                offset = seq[0] - TCP_SKB_CB(skb).seq
                if TCP_SKB_CB(skb).tcp_flags & TCPHDR_SYN:
                    offset -= 1
                if offset < skb.len:
                    found = RECV_FOUND_DATA
                    break
                if TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN:
                    found = RECV_FOUND_FIN
                    break
                skb = skb.next

            if found == RECV_FOUND_DATA:
                skip_copy = 0
                used = skb.len - offset
                if len_ < used:
                    used = len_

                if tp.urg_data:
                    urg_offset = tp.urg_seq - seq[0]
                    if urg_offset < used:
                        if not urg_offset:
                            if not sock_flag(sk, SOCK_URGINLINE):
                                seq[0] += 1
                                urg_hole += 1
                                offset += 1
                                used -= 1
                                skip_copy = used == 0
                        else:
                            used = urg_offset

                if not skip_copy:
                    if not (flags & MSG_TRUNC):
                        err = skb_copy_datagram_msg(skb, <int>offset, msg, <int>used)
                        if err:
                            if not copied:
                                copied = -EFAULT
                            break

                    seq[0] += <u32>used
                    copied += <int>used
                    len_ -= used
                    if flags & MSG_PEEK:
                        sk_peek_offset_fwd(sk, <int>used)
                    else:
                        sk_peek_offset_bwd(sk, <int>used)
                    tcp_rcv_space_adjust(sk)

                if tp.urg_data and after(tp.copied_seq, tp.urg_seq):
                    tp.urg_data = 0
                    tcp_fast_path_check(sk)

                if TCP_SKB_CB(skb).has_rxtstamp and msg_ext_of(msg) != NULL:
                    tcp_update_recv_tstamps(skb, msg_ext_of(msg))

                if used + offset < skb.len:
                    continue

                if not (TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN):
                    if not (flags & MSG_PEEK):
                        tcp_eat_recv_skb(sk, skb)
                    continue
                found = RECV_FOUND_FIN

            if found == RECV_FOUND_FIN:
                seq[0] += 1
                if not (flags & MSG_PEEK):
                    tcp_eat_recv_skb(sk, skb)
                break

            if copied >= target:
                break

            if copied:
                if not timeo or sk.sk_err or sk.sk_state == TCP_CLOSE or (sk.sk_shutdown & RCV_SHUTDOWN):
                    break
            else:
                if sock_flag(sk, SOCK_DONE):
                    break
                if sk.sk_err:
                    copied = sock_error(sk)
                    break
                if sk.sk_shutdown & RCV_SHUTDOWN:
                    break
                if sk.sk_state == TCP_CLOSE:
                    # Never connected.
                    copied = -ENOTCONN
                    break
                if not timeo:
                    copied = -EAGAIN
                    break

            tcp_cleanup_rbuf(sk, copied)

        resumed = 0
        err = sk_wait_data(sk, msg, &timeo, last)
        if err == -ERESTARTSYS:
            msg.state = RECV_WAIT_DATA
            msg.copied = copied
            msg.target = target
            msg.peek_seq = peek_seq
            msg.peek_offset = peek_offset
            msg.urg_hole = urg_hole
            msg.wait_arg = last
            return err
        if err < 0:
            return copied if copied else err

        if (flags & MSG_PEEK) and peek_seq - peek_offset - <u32>copied - urg_hole != tp.copied_seq:
            # Somebody else read in the meantime.
            peek_seq = tp.copied_seq + peek_offset

    tcp_cleanup_rbuf(sk, copied)
    return copied


# The stamp of the last skb that was read, as control messages.
cdef void tcp_recv_timestamp(sock *sk, msg_ext *ext) noexcept nogil:
    # The kernel stamps what arrives once a socket has asked for it.
    if not sock_flag(sk, SOCK_RCVTSTAMP) and not sk.sk_tsflags & SOF_TIMESTAMPING_RX_SOFTWARE:
        return
    if ext.stamp == 0:
        return
    if sock_flag(sk, SOCK_RCVTSTAMP):
        ext.stamp_type = SO_TIMESTAMPNS if sock_flag(sk, SOCK_RCVTSTAMPNS) else SO_TIMESTAMP
    if sk.sk_tsflags & SOF_TIMESTAMPING_SOFTWARE and (
            sk.sk_tsflags & SOF_TIMESTAMPING_RX_SOFTWARE or not sk.sk_tsflags & SOF_TIMESTAMPING_OPT_RX_FILTER):
        ext.has_stamp = 1


cdef int tcp_recvmsg(sock *sk, msghdr *msg, size_t len_, int flags) noexcept nogil:
    cdef int ret

    if flags & MSG_ERRQUEUE:
        return inet_recv_error(sk, msg, <int>len_)

    lock_sock(sk)
    ret = tcp_recvmsg_locked(sk, msg, len_, flags)
    release_sock(sk)

    if ret >= 0:
        if msg_ext_of(msg) != NULL:
            tcp_recv_timestamp(sk, msg_ext_of(msg))
        if tcp_sk(sk).recvmsg_inq or msg.msg_get_inq:
            msg.msg_inq = tcp_inq_hint(sk)
            if tcp_sk(sk).recvmsg_inq and msg_ext_of(msg) != NULL:
                msg_ext_of(msg).has_inq = 1
                msg_ext_of(msg).inq = msg.msg_inq
    return ret

# ---------------------------------------------------------------------------------------------- splicing

cdef int tcp_read_sock(sock *sk, size_t want) noexcept nogil:
    """tcp_read_sock() with an actor that takes `want` bytes. Urgent data is never passed on, but ends the run."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 seq = tp.copied_seq
    cdef u32 offset = 0
    cdef u32 used, urg_offset
    cdef int copied = 0
    cdef sk_buff *skb

    if sk.sk_state == TCP_LISTEN:
        return -ENOTCONN
    while True:
        skb = tcp_recv_skb(sk, seq, &offset)
        if skb == NULL:
            break
        if offset < skb.len:
            used = skb.len - offset
            if tp.urg_data:
                urg_offset = tp.urg_seq - seq
                if urg_offset < used:
                    used = urg_offset
                if not used:
                    break
            used = <u32>min_size(used, want)
            if not used:
                break
            want -= used
            seq += used
            copied += <int>used
            offset += used
            if offset != skb.len:
                continue
        if TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN:
            tcp_eat_recv_skb(sk, skb)
            seq += 1
            break
        tcp_eat_recv_skb(sk, skb)
        if not want:
            break
        tp.copied_seq = seq
    tp.copied_seq = seq

    tcp_rcv_space_adjust(sk)
    if copied > 0:
        tcp_recv_skb(sk, seq, &offset)
        tcp_cleanup_rbuf(sk, copied)
    return copied


cdef int tcp_splice_read(sock *sk, msghdr *msg, size_t len_, int flags) noexcept nogil:
    """splice() from the socket into a pipe, which is taken to have room."""
    cdef long timeo
    cdef int spliced = 0
    cdef int ret = 0
    cdef bint resumed = msg.resume

    timeo = sk_wait_resume(sk, msg) if resumed else sock_rcvtimeo(sk, flags & MSG_DONTWAIT)
    while len_:
        if not resumed:
            ret = tcp_read_sock(sk, len_)
            if ret < 0:
                break
            if ret:
                len_ -= <size_t>ret
                spliced += ret
                if (not len_ or not timeo or sk.sk_err or sk.sk_state == TCP_CLOSE or
                        sk.sk_shutdown & RCV_SHUTDOWN):
                    break
                continue
            if spliced or sock_flag(sk, SOCK_DONE):
                break
            if sk.sk_err:
                ret = sock_error(sk)
                break
            if sk.sk_shutdown & RCV_SHUTDOWN:
                break
            if sk.sk_state == TCP_CLOSE:
                ret = -ENOTCONN
                break
            if not timeo:
                ret = -EAGAIN
                break
            # Data that cannot be spliced, as urgent data: waiting would never end.
            if not skb_queue_empty(&sk.sk_receive_queue):
                break
        resumed = 0
        ret = sk_wait_data(sk, msg, &timeo, NULL)
        if ret < 0:
            return ret
    release_sock(sk)
    return spliced if spliced else ret

# ---------------------------------------------------------------------------------------------- states

cdef void tcp_set_state(sock *sk, int state) noexcept nogil:
    cdef int oldstate = sk.sk_state

    if state == TCP_ESTABLISHED:
        if oldstate != TCP_ESTABLISHED:
            TCP_INC_STATS(sock_net(sk), TCP_MIB_CURRESTAB)
    elif state == TCP_CLOSE_WAIT:
        if oldstate == TCP_SYN_RECV:
            TCP_INC_STATS(sock_net(sk), TCP_MIB_CURRESTAB)
    else:
        if state == TCP_CLOSE:
            if oldstate == TCP_CLOSE_WAIT or oldstate == TCP_ESTABLISHED:
                TCP_INC_STATS(sock_net(sk), TCP_MIB_ESTABRESETS)

            inet_unhash(sk)
            if inet_csk(sk).icsk_bind_hash != NULL and not (sk.sk_userlocks & SOCK_BINDPORT_LOCK):
                inet_put_port(sk)
        if oldstate == TCP_ESTABLISHED or oldstate == TCP_CLOSE_WAIT:
            TCP_DEC_STATS(sock_net(sk), TCP_MIB_CURRESTAB)

    # Last, so that no closed socket is ever in a hash table.
    inet_sk_state_store(sk, state)


cdef int tcp_new_state(int state) noexcept nogil:
    """The state diagram's CLOSE event (RFC 9293 3.10.4), with TCP_ACTION_FIN where a FIN is due."""
    if state == TCP_ESTABLISHED or state == TCP_SYN_RECV:
        return TCP_FIN_WAIT1 | TCP_ACTION_FIN
    if state == TCP_CLOSE_WAIT:
        return TCP_LAST_ACK | TCP_ACTION_FIN
    if state == TCP_FIN_WAIT1 or state == TCP_FIN_WAIT2 or state == TCP_LAST_ACK or state == TCP_CLOSING:
        return state
    return TCP_CLOSE


cdef int tcp_close_state(sock *sk) noexcept nogil:
    cdef int next_ = tcp_new_state(sk.sk_state)

    tcp_set_state(sk, next_ & TCP_STATE_MASK)

    return next_ & TCP_ACTION_FIN


cdef void tcp_shutdown(sock *sk, int how) noexcept nogil:
    """shutdown(): SEND_SHUTDOWN queues a FIN; reading stays possible."""
    if not (how & SEND_SHUTDOWN):
        return

    if (1 << sk.sk_state) & (TCPF_ESTABLISHED | TCPF_SYN_SENT | TCPF_CLOSE_WAIT):
        if tcp_close_state(sk):
            tcp_send_fin(sk)


cdef int tcp_orphan_count_sum(net *n) noexcept nogil:
    return max_int(n.ipv4.tcp_orphan_count, 0)


cdef bint tcp_too_many_orphans(net *n, int shift) noexcept nogil:
    return tcp_orphan_count_sum(n) << shift > n.ipv4.sysctl_tcp_max_orphans


cdef bint tcp_out_of_memory(const sock *sk) noexcept nogil:
    return (sk.sk_wmem_queued > <int>SOCK_MIN_SNDBUF and
            sk_memory_allocated(sk) > sk_prot_mem_limits(sk, 2))


cdef bint tcp_check_oom(const sock *sk, int shift) noexcept nogil:
    return tcp_too_many_orphans(sock_net(sk), shift) or tcp_out_of_memory(sk)


cdef void tcp_close_orphan(sock *sk) noexcept nogil:
    """The second half of __tcp_close(), from its label adjudge_to_death: the socket goes on without an owner."""
    cdef net *n = sock_net(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef request_sock *req
    cdef int tmo

    sock_hold(sk)
    sock_orphan(sk)

    tcp_orphan_count_inc(n)

    # Bounds the life of FIN_WAIT2 without an owner (tcp_fin_timeout, TCP_LINGER2), which the RFC does not.
    if sk.sk_state == TCP_FIN_WAIT2:
        if tp.linger2 < 0:
            tcp_set_state(sk, TCP_CLOSE)
            tcp_send_active_reset(sk, GFP_ATOMIC, SK_RST_REASON_TCP_ABORT_ON_LINGER)
            NET_INC_STATS(n, LINUX_MIB_TCPABORTONLINGER)
        else:
            tmo = tcp_fin_time(sk)

            if tmo > <int>TCP_TIMEWAIT_LEN(n):
                tcp_reset_keepalive_timer(sk, <unsigned long>(tmo - <int>TCP_TIMEWAIT_LEN(n)))
            else:
                tcp_time_wait(sk, TCP_FIN_WAIT2, tmo)
                return
    if sk.sk_state != TCP_CLOSE:
        if tcp_check_oom(sk, 0):
            tcp_set_state(sk, TCP_CLOSE)
            tcp_send_active_reset(sk, GFP_ATOMIC, SK_RST_REASON_TCP_ABORT_ON_MEMORY)
            NET_INC_STATS(n, LINUX_MIB_TCPABORTONMEMORY)

    if sk.sk_state == TCP_CLOSE:
        req = tp.fastopen_rsk
        # An aborted Fast Open child still has its request.
        if req != NULL:
            reqsk_fastopen_remove(sk, req, 0)
        inet_csk_destroy_sock(sk)


cdef int __tcp_close(sock *sk, long timeout, msghdr *msg) noexcept nogil:
    cdef bint data_was_unread = 0
    cdef sk_buff *skb
    cdef u32 end_seq

    if not msg.resume:
        sk.sk_shutdown = SHUTDOWN_MASK

        if sk.sk_state == TCP_LISTEN:
            tcp_set_state(sk, TCP_CLOSE)
            inet_csk_listen_stop(sk)
            tcp_close_orphan(sk)
            return 0

        skb = skb_peek(&sk.sk_receive_queue)
        while skb != NULL:
            end_seq = TCP_SKB_CB(skb).end_seq
            if TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN:
                end_seq -= 1
            if after(end_seq, tcp_sk(sk).copied_seq):
                data_was_unread = 1
            tcp_eat_recv_skb(sk, skb)
            skb = skb_peek(&sk.sk_receive_queue)

        # Reset before: only to be torn down.
        if sk.sk_state == TCP_CLOSE:
            tcp_close_orphan(sk)
            return 0

        if tcp_sk(sk).repair:
            tcp_disconnect(sk, 0)
        elif data_was_unread:
            # RFC 2525 2.17: data was lost, so the peer gets a RST and not a FIN.
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPABORTONCLOSE)
            tcp_set_state(sk, TCP_CLOSE)
            tcp_send_active_reset(sk, sk.sk_allocation, SK_RST_REASON_TCP_ABORT_ON_CLOSE)
        elif sock_flag(sk, SOCK_LINGER) and not sk.sk_lingertime:
            tcp_disconnect(sk, 0)
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPABORTONDATA)
        elif tcp_close_state(sk):
            # The state runs ahead of the wire: in FIN_WAIT1 or LAST_ACK the FIN may still be queued.
            tcp_send_fin(sk)

    if sk_stream_wait_close(sk, msg, timeout) == -ERESTARTSYS:
        msg.state = CLOSE_WAIT_SENT
        return -ERESTARTSYS

    tcp_close_orphan(sk)
    return 0


cdef int tcp_close(sock *sk, long timeout, msghdr *msg) noexcept nogil:
    cdef int ret

    lock_sock(sk)
    ret = __tcp_close(sk, timeout, msg)
    release_sock(sk)
    if ret == -ERESTARTSYS:
        return ret
    sock_put(sk)
    return 0


cdef inline bint tcp_need_reset(int state) noexcept nogil:
    """States in which ABORT sends a RST (RFC 9293 3.10.5)."""
    return ((1 << state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT | TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2 |
                            TCPF_SYN_RECV)) != 0


cdef void tcp_rtx_queue_purge(sock *sk) noexcept nogil:
    cdef rb_node *p = rb_first(&sk.tcp_rtx_queue)
    cdef sk_buff *skb

    tcp_sk(sk).highest_sack = NULL
    while p != NULL:
        skb = rb_to_skb(p)
        p = rb_next(p)
        # The sorted list is emptied as a whole by the caller.
        tcp_rtx_queue_unlink(skb, sk)
        tcp_wmem_free_skb(sk, skb)


cdef void tcp_write_queue_purge(sock *sk) noexcept nogil:
    cdef sk_buff *skb

    tcp_chrono_stop(sk, TCP_CHRONO_BUSY)
    skb = __skb_dequeue(&sk.sk_write_queue)
    while skb != NULL:
        tcp_skb_tsorted_anchor_cleanup(skb)
        tcp_wmem_free_skb(sk, skb)
        skb = __skb_dequeue(&sk.sk_write_queue)
    tcp_rtx_queue_purge(sk)
    INIT_LIST_HEAD(&tcp_sk(sk).tsorted_sent_queue)
    tcp_clear_all_retrans_hints(tcp_sk(sk))
    tcp_sk(sk).packets_out = 0
    inet_csk(sk).icsk_backoff = 0


cdef int tcp_disconnect(sock *sk, int flags) noexcept nogil:
    """Back to an unconnected socket (RFC 9293 3.10.5, ABORT): connect(AF_UNSPEC), and close() with zero linger."""
    cdef inet_sock *inet = inet_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef int old_state = sk.sk_state
    cdef request_sock *req
    cdef dst_entry *rx_dst
    cdef u32 seq

    if old_state != TCP_CLOSE:
        tcp_set_state(sk, TCP_CLOSE)

    if old_state == TCP_LISTEN:
        inet_csk_listen_stop(sk)
    elif tp.repair:
        sk.sk_err = ECONNABORTED
    elif tcp_need_reset(old_state):
        tcp_send_active_reset(sk, GFP_ATOMIC, SK_RST_REASON_TCP_STATE)
        sk.sk_err = ECONNRESET
    elif tp.snd_nxt != tp.write_seq and (1 << old_state) & (TCPF_CLOSING | TCPF_LAST_ACK):
        # The FIN has not gone out yet, so by the RFC the state would still be one that needs a RST.
        tcp_send_active_reset(sk, GFP_ATOMIC, SK_RST_REASON_TCP_DISCONNECT_WITH_DATA)
        sk.sk_err = ECONNRESET
    elif old_state == TCP_SYN_SENT:
        sk.sk_err = ECONNRESET

    tcp_clear_xmit_timers(sk)
    __skb_queue_purge(&sk.sk_receive_queue)
    tp.copied_seq = tp.rcv_nxt
    tp.urg_data = 0
    sk_set_peek_off(sk, -1)
    tcp_write_queue_purge(sk)
    tcp_fastopen_active_disable_ofo_check(sk)
    skb_rbtree_purge(&tp.out_of_order_queue)

    inet.sk.sk_dport = 0

    inet_bhash2_reset_saddr(sk)

    sk.sk_shutdown = 0
    sock_reset_flag(sk, SOCK_DONE)
    tp.srtt_us = 0
    tp.mdev_us = jiffies_to_usecs(n, TCP_TIMEOUT_INIT(n))
    tp.rcv_rtt_last_tsecr = 0

    seq = tp.write_seq + tp.max_window + 2
    if not seq:
        seq = 1
    tp.write_seq = seq

    icsk.icsk_backoff = 0
    icsk.icsk_probes_out = 0
    icsk.icsk_probes_tstamp = 0
    icsk.icsk_rto = TCP_TIMEOUT_INIT(n)
    icsk.icsk_rto_min = TCP_RTO_MIN(n)
    icsk.icsk_delack_max = TCP_DELACK_MAX(n)
    tp.snd_ssthresh = TCP_INFINITE_SSTHRESH
    tcp_snd_cwnd_set(tp, TCP_INIT_CWND)
    tp.snd_cwnd_cnt = 0
    tp.is_cwnd_limited = 0
    tp.max_packets_out = 0
    tp.window_clamp = 0
    tp.delivered = 0
    tp.delivered_ce = 0
    tcp_accecn_init_counters(tp)
    tp.accecn_opt_tstamp = 0
    if icsk.icsk_ca_initialized and icsk.icsk_ca_ops.release != NULL:
        icsk.icsk_ca_ops.release(sk)
    memset(icsk.icsk_ca_priv, 0, sizeof(icsk.icsk_ca_priv))
    icsk.icsk_ca_initialized = 0
    tcp_set_ca_state(sk, TCP_CA_Open)
    tp.is_sack_reneg = 0
    tcp_clear_retrans(tp)
    tp.total_retrans = 0
    inet_csk_delack_init(sk)
    # __tcp_select_window() divides by it.
    icsk.icsk_ack.rcv_mss = TCP_MIN_MSS
    memset(&tp.rx_opt, 0, sizeof(tp.rx_opt))
    __sk_dst_reset(sk)
    rx_dst = sk.sk_rx_dst
    sk.sk_rx_dst = NULL
    dst_release(rx_dst)
    tcp_saved_syn_free(tp)
    tp.compressed_ack = 0
    tp.segs_in = 0
    tp.segs_out = 0
    tp.bytes_sent = 0
    tp.bytes_acked = 0
    tp.bytes_received = 0
    tp.bytes_retrans = 0
    tp.data_segs_in = 0
    tp.data_segs_out = 0
    tp.duplicate_sack[0].start_seq = 0
    tp.duplicate_sack[0].end_seq = 0
    tp.dsack_dups = 0
    tp.reord_seen = 0
    tp.retrans_out = 0
    tp.sacked_out = 0
    tp.tlp_high_seq = 0
    tp.last_oow_ack_time = 0
    tp.plb_rehash = 0
    tp.app_limited = ~(<u32>0)
    tp.rate_app_limited = 1
    tp.rack.mstamp = 0
    tp.rack.advanced = 0
    tp.rack.reo_wnd_steps = 1
    tp.rack.last_delivered = 0
    tp.rack.reo_wnd_persist = 0
    tp.rack.dsack_seen = 0
    tp.syn_data_acked = 0
    tp.syn_fastopen_child = 0
    tp.rx_opt.saw_tstamp = 0
    tp.rx_opt.dsack = 0
    tp.rx_opt.num_sacks = 0
    tp.rcv_ooopack = 0

    req = tp.fastopen_rsk
    if req != NULL:
        reqsk_fastopen_remove(sk, req, 0)
    tcp_free_fastopen_req(tp)
    inet_clear_bit(INET_FLAGS_DEFER_CONNECT, sk)
    tp.fastopen_client_fail = 0

    if sk.sk_frag.page:
        put_page(sk.sk_frag.page)
        sk.sk_frag.page = 0
        sk.sk_frag.offset = 0
    sk_error_report(sk)
    return 0


cdef void tcp_done(sock *sk) noexcept nogil:
    cdef request_sock *req = tcp_sk(sk).fastopen_rsk

    if sk.sk_state == TCP_SYN_SENT or sk.sk_state == TCP_SYN_RECV:
        TCP_INC_STATS(sock_net(sk), TCP_MIB_ATTEMPTFAILS)

    tcp_set_state(sk, TCP_CLOSE)
    tcp_clear_xmit_timers(sk)
    if req != NULL:
        reqsk_fastopen_remove(sk, req, 0)

    sk.sk_shutdown = SHUTDOWN_MASK

    if not sock_flag(sk, SOCK_DEAD):
        sk.sk_state_change(sk)
    else:
        inet_csk_destroy_sock(sk)


cdef int tcp_abort(sock *sk, int err) noexcept nogil:
    """End a connection from outside (`ss -K`)."""
    cdef int state = sk.sk_state
    cdef request_sock *req
    cdef inet_timewait_sock *tw

    if state == TCP_NEW_SYN_RECV:
        req = inet_reqsk(sk)
        inet_csk_reqsk_queue_drop(req.rsk_listener, req)
        return 0
    if state == TCP_TIME_WAIT:
        tw = inet_twsk(sk)
        tw.tw_refcnt += 1
        inet_twsk_deschedule_put(tw)
        return 0

    lock_sock(sk)

    if sk.sk_state == TCP_CLOSE:
        release_sock(sk)
        return -ENOENT

    if sk.sk_state == TCP_LISTEN:
        tcp_set_state(sk, TCP_CLOSE)
        inet_csk_listen_stop(sk)

    if tcp_need_reset(sk.sk_state):
        tcp_send_active_reset(sk, GFP_ATOMIC, SK_RST_REASON_TCP_STATE)
    tcp_done_with_error(sk, err)

    release_sock(sk)
    return 0

# ---------------------------------------------------------------------------------------------- options

cdef inline bint tcp_can_repair_sock(const sock *sk) noexcept nogil:
    return sk.sk_state != TCP_LISTEN


cdef int tcp_repair_set_window(tcp_sock *tp, const char *optbuf, s64 len_) noexcept nogil:
    cdef tcp_repair_window opt

    if not tp.repair:
        return -EPERM

    if len_ != sizeof(opt):
        return -EINVAL

    if optbuf == NULL:
        return -EFAULT
    memcpy(&opt, optbuf, sizeof(opt))

    if opt.max_window < opt.snd_wnd:
        return -EINVAL

    if after(opt.snd_wl1, tp.rcv_nxt + opt.rcv_wnd):
        return -EINVAL

    if after(opt.rcv_wup, tp.rcv_nxt):
        return -EINVAL

    tp.snd_wl1 = opt.snd_wl1
    tp.snd_wnd = opt.snd_wnd
    tp.max_window = opt.max_window

    tp.rcv_wnd = opt.rcv_wnd
    tp.rcv_wup = opt.rcv_wup

    return 0


cdef int tcp_repair_options_est(sock *sk, const char *optbuf, s64 len_) noexcept nogil:
    """Options that the handshake would have agreed on, as pairs of option kind and value."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef tcp_repair_opt opt
    cdef u16 snd_wscale, rcv_wscale

    while len_ >= <s64>sizeof(opt):
        if optbuf == NULL:
            return -EFAULT
        memcpy(&opt, optbuf, sizeof(opt))

        optbuf += sizeof(opt)
        len_ -= <s64>sizeof(opt)

        if opt.opt_code == TCPOPT_MSS:
            tp.rx_opt.mss_clamp = <u16>opt.opt_val
            tcp_mtup_init(sk)
        elif opt.opt_code == TCPOPT_WINDOW:
            snd_wscale = opt.opt_val & 0xFFFF
            rcv_wscale = <u16>(opt.opt_val >> 16)

            if snd_wscale > TCP_MAX_WSCALE or rcv_wscale > TCP_MAX_WSCALE:
                return -EFBIG

            tp.rx_opt.snd_wscale = <u8>snd_wscale
            tp.rx_opt.rcv_wscale = <u8>rcv_wscale
            tp.rx_opt.wscale_ok = 1
        elif opt.opt_code == TCPOPT_SACK_PERM:
            if opt.opt_val != 0:
                return -EINVAL

            tp.rx_opt.sack_ok |= TCP_SACK_SEEN
        elif opt.opt_code == TCPOPT_TIMESTAMP:
            if opt.opt_val != 0:
                return -EINVAL

            tp.rx_opt.tstamp_ok = 1

    return 0


cdef void tcp_shift_srtt(sock *sk, s32 delta) noexcept nogil:
    """What tcp_enable_tx_delay() does (twice) to the estimators of a live connection."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef s64 srtt

    if delta and sk.sk_state == TCP_ESTABLISHED:
        srtt = <s64>tp.srtt_us + delta
        if srtt < 1:
            srtt = 1
        elif srtt > <s64>0xFFFFFFFF:
            srtt = <s64>0xFFFFFFFF
        tp.srtt_us = <u32>srtt

        # A back-off that is in force is lost here.
        tcp_set_rto(sk)

        minmax_reset(&tp.rtt_min, tcp_jiffies32(sock_net(sk)), ~(<u32>0))

        tcp_update_pacing_rate(sk)


cdef void tcp_enable_tx_delay(sock *sk, int val) noexcept nogil:
    cdef s32 delta = <s32>((<u32>val - tcp_sk(sk).tcp_tx_delay) << 3)

    # 6.18.y carries the adjustment twice, one behind the other, and so does this.
    tcp_shift_srtt(sk, delta)
    tcp_shift_srtt(sk, delta)


cdef void __tcp_sock_set_cork(sock *sk, bint on) noexcept nogil:
    """TCP_CORK is stronger than TCP_NODELAY; taking it off pushes what had been held back."""
    cdef tcp_sock *tp = tcp_sk(sk)

    if on:
        tp.nonagle |= TCP_NAGLE_CORK
    else:
        tp.nonagle &= ~TCP_NAGLE_CORK
        if tp.nonagle & TCP_NAGLE_OFF:
            tp.nonagle |= TCP_NAGLE_PUSH
        tcp_push_pending_frames(sk)


cdef void tcp_sock_set_cork(sock *sk, bint on) noexcept nogil:
    lock_sock(sk)
    __tcp_sock_set_cork(sk, on)
    release_sock(sk)


cdef void __tcp_sock_set_nodelay(sock *sk, bint on) noexcept nogil:
    """Setting it pushes what is queued, even if corked."""
    if on:
        tcp_sk(sk).nonagle |= TCP_NAGLE_OFF | TCP_NAGLE_PUSH
        tcp_push_pending_frames(sk)
    else:
        tcp_sk(sk).nonagle &= ~TCP_NAGLE_OFF


cdef void tcp_sock_set_nodelay(sock *sk) noexcept nogil:
    lock_sock(sk)
    __tcp_sock_set_nodelay(sk, 1)
    release_sock(sk)


cdef void __tcp_sock_set_quickack(sock *sk, int val) noexcept nogil:
    if not val:
        inet_csk_enter_pingpong_mode(sk)
        return

    inet_csk_exit_pingpong_mode(sk)
    if (1 << sk.sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT) and inet_csk_ack_scheduled(sk):
        inet_csk(sk).icsk_ack.pending |= ICSK_ACK_PUSHED
        tcp_cleanup_rbuf(sk, 1)
        if not (val & 1):
            inet_csk_enter_pingpong_mode(sk)


cdef void tcp_sock_set_quickack(sock *sk, int val) noexcept nogil:
    lock_sock(sk)
    __tcp_sock_set_quickack(sk, val)
    release_sock(sk)


cdef int tcp_sock_set_syncnt(sock *sk, int val) noexcept nogil:
    if val < 1 or val > MAX_TCP_SYNCNT:
        return -EINVAL

    inet_csk(sk).icsk_syn_retries = <u8>val
    return 0


cdef int tcp_sock_set_user_timeout(sock *sk, int val) noexcept nogil:
    """RFC 5482's local user timeout, in ms: how long unacknowledged data may stay."""
    if val < 0:
        return -EINVAL

    inet_csk(sk).icsk_user_timeout = <u32>val
    return 0


cdef int tcp_sock_set_keepidle_locked(sock *sk, int val) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 elapsed

    if val < 1 or val > MAX_TCP_KEEPIDLE:
        return -EINVAL

    tp.keepalive_time = <unsigned int>(val * <int>HZ(sock_net(sk)))
    if sock_flag(sk, SOCK_KEEPOPEN) and not ((1 << sk.sk_state) & (TCPF_CLOSE | TCPF_LISTEN)):
        elapsed = keepalive_time_elapsed(tp)

        if tp.keepalive_time > elapsed:
            elapsed = tp.keepalive_time - elapsed
        else:
            elapsed = 0
        tcp_reset_keepalive_timer(sk, elapsed)

    return 0


cdef int tcp_sock_set_keepidle(sock *sk, int val) noexcept nogil:
    cdef int err

    lock_sock(sk)
    err = tcp_sock_set_keepidle_locked(sk, val)
    release_sock(sk)
    return err


cdef int tcp_sock_set_keepintvl(sock *sk, int val) noexcept nogil:
    if val < 1 or val > MAX_TCP_KEEPINTVL:
        return -EINVAL

    tcp_sk(sk).keepalive_intvl = <unsigned int>(val * <int>HZ(sock_net(sk)))
    return 0


cdef int tcp_sock_set_keepcnt(sock *sk, int val) noexcept nogil:
    if val < 1 or val > MAX_TCP_KEEPCNT:
        return -EINVAL

    tcp_sk(sk).keepalive_probes = <u8>val
    return 0


cdef int tcp_set_window_clamp(sock *sk, int val) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 old_window_clamp, new_window_clamp, new_rcv_ssthresh

    if not val:
        if sk.sk_state != TCP_CLOSE:
            return -EINVAL
        tp.window_clamp = 0
        return 0

    old_window_clamp = tp.window_clamp
    new_window_clamp = <u32>max_int(<int>(SOCK_MIN_RCVBUF // 2), val)

    if new_window_clamp == old_window_clamp:
        return 0

    tp.window_clamp = new_window_clamp

    # Only a clamp that shrinks may cut into reserved memory.
    if new_window_clamp < old_window_clamp:
        __tcp_adjust_rcv_ssthresh(sk, new_window_clamp)
    else:
        new_rcv_ssthresh = min_u32(tp.rcv_wnd, new_window_clamp)
        tp.rcv_ssthresh = max_u32(new_rcv_ssthresh, tp.rcv_ssthresh)
    return 0


cdef int tcp_sock_set_maxseg(sock *sk, int val) noexcept nogil:
    """The device's MTU isn't known yet as a rule; values above it have no effect."""
    if val and (val < TCP_MIN_MSS or val > <int>MAX_TCP_WINDOW):
        return -EINVAL

    tcp_sk(sk).rx_opt.user_mss = <u16>val
    return 0


cdef int tcp_setsockopt_string(sock *sk, int optname, s64 optval, const char *sval) noexcept nogil:
    """The options of do_tcp_setsockopt() whose value is not an int."""
    cdef const u8 *backup_key = NULL
    cdef char name[TCP_CA_NAME_MAX]
    cdef int i = 0
    cdef int err

    if optname == TCP_CONGESTION:
        if sval == NULL:
            return -EINVAL
        while i < TCP_CA_NAME_MAX - 1 and sval[i]:
            name[i] = sval[i]
            i += 1
        name[i] = 0

        err = tcp_set_congestion_control(sk, name, 1, 1)
        release_sock(sk)
        return err
    if optname == TCP_FASTOPEN_KEY:
        if optval != TCP_FASTOPEN_KEY_LENGTH and optval != 2 * TCP_FASTOPEN_KEY_LENGTH:
            return -EINVAL
        if sval == NULL:
            return -EFAULT
        # A second key is the one that is going out of use.
        if optval == 2 * TCP_FASTOPEN_KEY_LENGTH:
            backup_key = <const u8 *>sval + TCP_FASTOPEN_KEY_LENGTH
        return tcp_fastopen_reset_cipher(sock_net(sk), sk, sval, backup_key)
    # TCP_ULP
    not_ported(sock_net(sk), "TCP_ULP")
    return -ENOPROTOOPT


cdef int tcp_setsockopt_unlocked(sock *sk, int optname, int val) noexcept nogil:
    """The options of do_tcp_setsockopt() that don't take the lock; 1: not one of them."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef net *n = sock_net(sk)
    cdef int hz = <int>HZ(n)
    cdef int j

    if optname == TCP_SYNCNT:
        return tcp_sock_set_syncnt(sk, val)
    elif optname == TCP_USER_TIMEOUT:
        return tcp_sock_set_user_timeout(sk, val)
    elif optname == TCP_KEEPINTVL:
        return tcp_sock_set_keepintvl(sk, val)
    elif optname == TCP_KEEPCNT:
        return tcp_sock_set_keepcnt(sk, val)
    elif optname == TCP_LINGER2:
        if val < 0:
            tp.linger2 = -1
        elif val > <int>TCP_FIN_TIMEOUT_MAX(n) // hz:
            tp.linger2 = <int>TCP_FIN_TIMEOUT_MAX(n)
        else:
            tp.linger2 = val * hz
        return 0
    elif optname == TCP_DEFER_ACCEPT:
        # Kept as a number of SYN-ACK retransmissions.
        icsk.icsk_accept_queue.rskq_defer_accept = secs_to_retrans(val, <int>TCP_TIMEOUT_INIT(n) // hz,
                                                                   <int>TCP_RTO_MAX(n) // hz)
        return 0
    elif optname == TCP_RTO_MAX_MS:
        if val < 1000 or val > TCP_RTO_MAX_SEC * 1000:
            return -EINVAL
        icsk.icsk_rto_max = <u32>msecs_to_jiffies(n, <unsigned int>val)
        return 0
    elif optname == TCP_RTO_MIN_US:
        j = <int>usecs_to_jiffies(n, <unsigned int>val)
        if <u32>j > TCP_RTO_MIN(n) or <u32>j < TCP_TIMEOUT_MIN:
            return -EINVAL
        icsk.icsk_rto_min = <u32>j
        return 0
    elif optname == TCP_DELACK_MAX_US:
        j = <int>usecs_to_jiffies(n, <unsigned int>val)
        if <u32>j > TCP_DELACK_MAX(n) or <u32>j < TCP_TIMEOUT_MIN:
            return -EINVAL
        icsk.icsk_delack_max = <u32>j
        return 0
    elif optname == TCP_MAXSEG:
        return tcp_sock_set_maxseg(sk, val)
    return 1


cdef int tcp_setsockopt_repair(sock *sk, int optname, s64 optval, const char *sval) noexcept nogil:
    """The options of do_tcp_setsockopt() that restore a connection (CRIU)."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int val = <int>optval

    if optname == TCP_REPAIR:
        if not tcp_can_repair_sock(sk):
            return -EPERM
        if val == TCP_REPAIR_ON:
            tp.repair = 1
            sk.sk_reuse = SK_FORCE_REUSE
            tp.repair_queue = TCP_NO_QUEUE
        elif val == TCP_REPAIR_OFF:
            tp.repair = 0
            sk.sk_reuse = SK_NO_REUSE
            tcp_send_window_probe(sk)
        elif val == TCP_REPAIR_OFF_NO_WP:
            tp.repair = 0
            sk.sk_reuse = SK_NO_REUSE
        else:
            return -EINVAL
        return 0
    elif optname == TCP_REPAIR_QUEUE:
        if not tp.repair:
            return -EPERM
        if <unsigned int>val >= TCP_QUEUES_NR:
            return -EINVAL
        tp.repair_queue = <u8>val
        return 0
    elif optname == TCP_QUEUE_SEQ:
        if sk.sk_state != TCP_CLOSE:
            return -EPERM
        if tp.repair_queue == TCP_SEND_QUEUE:
            if not tcp_rtx_queue_empty(sk):
                return -EPERM
            tp.write_seq = <u32>val
        elif tp.repair_queue == TCP_RECV_QUEUE:
            if tp.rcv_nxt != tp.copied_seq:
                return -EPERM
            tp.rcv_nxt = <u32>val
            tp.copied_seq = <u32>val
        else:
            return -EINVAL
        return 0
    elif optname == TCP_REPAIR_OPTIONS:
        if not tp.repair:
            return -EINVAL
        if sk.sk_state == TCP_ESTABLISHED and not tp.bytes_sent:
            return tcp_repair_options_est(sk, sval, optval)
        return -EPERM
    elif optname == TCP_TIMESTAMP:
        if not tp.repair:
            return -EPERM
        # The lowest bit says whether timestamps are in us.
        tp.tcp_usec_ts = val & 1
        tp.tsoffset = <u32>val - tcp_clock_ts(sock_net(sk), tp.tcp_usec_ts)
        return 0
    # TCP_REPAIR_WINDOW
    return tcp_repair_set_window(tp, sval, optval)


cdef int do_tcp_setsockopt(sock *sk, int level, int optname, s64 optval, const char *sval) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef int val = <int>optval
    cdef int err

    if optname == TCP_CONGESTION or optname == TCP_ULP or optname == TCP_FASTOPEN_KEY:
        return tcp_setsockopt_string(sk, optname, optval, sval)

    err = tcp_setsockopt_unlocked(sk, optname, val)
    if err <= 0:
        return err

    err = 0
    lock_sock(sk)
    if optname == TCP_NODELAY:
        __tcp_sock_set_nodelay(sk, val != 0)
    elif optname == TCP_THIN_LINEAR_TIMEOUTS:
        if val < 0 or val > 1:
            err = -EINVAL
        else:
            tp.thin_lto = <u8>val
    elif optname == TCP_THIN_DUPACK:
        if val < 0 or val > 1:
            err = -EINVAL
    elif (optname == TCP_REPAIR or optname == TCP_REPAIR_QUEUE or optname == TCP_QUEUE_SEQ or
          optname == TCP_REPAIR_OPTIONS or optname == TCP_TIMESTAMP or optname == TCP_REPAIR_WINDOW):
        err = tcp_setsockopt_repair(sk, optname, optval, sval)
    elif optname == TCP_CORK:
        __tcp_sock_set_cork(sk, val != 0)
    elif optname == TCP_KEEPIDLE:
        err = tcp_sock_set_keepidle_locked(sk, val)
    elif optname == TCP_SAVE_SYN:
        if val < 0 or val > 2:
            err = -EINVAL
        else:
            tp.save_syn = <u8>val
    elif optname == TCP_WINDOW_CLAMP:
        err = tcp_set_window_clamp(sk, val)
    elif optname == TCP_QUICKACK:
        __tcp_sock_set_quickack(sk, val)
    elif (optname == TCP_AO_REPAIR or optname == TCP_AO_ADD_KEY or optname == TCP_AO_DEL_KEY or
          optname == TCP_AO_INFO):
        not_ported(n, "TCP-AO")
        err = -ENOPROTOOPT
    elif optname == TCP_MD5SIG or optname == TCP_MD5SIG_EXT:
        err = tp.af_specific.md5_parse(sk, optname, sval, val)
    elif optname == TCP_FASTOPEN:
        if val >= 0 and (1 << sk.sk_state) & (TCPF_CLOSE | TCPF_LISTEN):
            tcp_fastopen_init_key_once(n)
            fastopen_queue_tune(sk, val)
        else:
            err = -EINVAL
    elif optname == TCP_FASTOPEN_CONNECT:
        if val > 1 or val < 0:
            err = -EINVAL
        elif n.ipv4.sysctl_tcp_fastopen & TFO_CLIENT_ENABLE:
            if sk.sk_state == TCP_CLOSE:
                tp.fastopen_connect = <u8>val
            else:
                err = -EINVAL
        else:
            err = -EOPNOTSUPP
    elif optname == TCP_FASTOPEN_NO_COOKIE:
        if val > 1 or val < 0:
            err = -EINVAL
        elif not ((1 << sk.sk_state) & (TCPF_CLOSE | TCPF_LISTEN)):
            err = -EINVAL
        else:
            tp.fastopen_no_cookie = <u8>val
    elif optname == TCP_NOTSENT_LOWAT:
        tp.notsent_lowat = <u32>val
        sk.sk_write_space(sk)
    elif optname == TCP_INQ:
        if val > 1 or val < 0:
            err = -EINVAL
        else:
            tp.recvmsg_inq = <u8>val
    elif optname == TCP_TX_DELAY:
        # srtt_us holds eight times the value.
        if val < 0 or val >= 1 << (31 - 3):
            err = -EINVAL
        else:
            tcp_enable_tx_delay(sk, val)
            tp.tcp_tx_delay = <u32>val
    else:
        err = -ENOPROTOOPT
    release_sock(sk)
    return err


cdef int tcp_setsockopt(sock *sk, int level, int optname, s64 optval, const char *sval) noexcept nogil:
    if level == SOL_IP:
        return ip_setsockopt(sk, optname, <int>optval)
    if level != SOL_TCP:
        return -ENOPROTOOPT
    return do_tcp_setsockopt(sk, level, optname, optval, sval)

# ---------------------------------------------------------------------------------------------- TCP_INFO

cdef void tcp_get_info_chrono_stats(tcp_sock *tp, tcp_info *info) noexcept nogil:
    cdef net *n = sock_net(<sock *>tp)
    cdef u64 stats[4]                   # by enum tcp_chrono
    cdef u64 total = 0
    cdef int i
    cdef int cur = tp.chrono_type

    for i in range(TCP_CHRONO_BUSY, TCP_CHRONO_SNDBUF_LIMITED + 1):
        stats[i] = tp.chrono_stat[i - 1]
        if i == cur:
            stats[i] += <u32>(tcp_jiffies32(n) - tp.chrono_start)
        stats[i] *= <u64>(1000000 // <long>HZ(n))
        total += stats[i]

    info.tcpi_busy_time = total
    info.tcpi_rwnd_limited = stats[<int>TCP_CHRONO_RWND_LIMITED]
    info.tcpi_sndbuf_limited = stats[<int>TCP_CHRONO_SNDBUF_LIMITED]


cdef void tcp_get_info(sock *sk, tcp_info *info) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef net *n = sock_net(sk)
    cdef u32 now
    cdef u64 rate64

    memset(info, 0, sizeof(info[0]))
    if sk.sk_type != SOCK_STREAM:
        return

    info.tcpi_state = sk.sk_state

    info.tcpi_pacing_rate = sk.sk_pacing_rate
    info.tcpi_max_pacing_rate = sk.sk_max_pacing_rate

    info.tcpi_reordering = tp.reordering
    info.tcpi_snd_cwnd = tcp_snd_cwnd(tp)

    if info.tcpi_state == TCP_LISTEN:
        # For a listener these two mean its accept queue.
        info.tcpi_unacked = sk.sk_ack_backlog
        info.tcpi_sacked = sk.sk_max_ack_backlog
        return

    info.tcpi_ca_state = icsk.icsk_ca_state
    info.tcpi_retransmits = icsk.icsk_retransmits
    info.tcpi_probes = icsk.icsk_probes_out
    info.tcpi_backoff = icsk.icsk_backoff

    if tp.rx_opt.tstamp_ok:
        info.tcpi_options |= TCPI_OPT_TIMESTAMPS
    if tcp_is_sack(tp):
        info.tcpi_options |= TCPI_OPT_SACK
    if tp.rx_opt.wscale_ok:
        info.tcpi_options |= TCPI_OPT_WSCALE
        info.tcpi_snd_wscale = tp.rx_opt.snd_wscale
        info.tcpi_rcv_wscale = tp.rx_opt.rcv_wscale

    if tcp_ecn_mode_any(tp):
        info.tcpi_options |= TCPI_OPT_ECN
    if tp.ecn_flags & TCP_ECN_SEEN:
        info.tcpi_options |= TCPI_OPT_ECN_SEEN
    if tp.syn_data_acked:
        info.tcpi_options |= TCPI_OPT_SYN_DATA
    if tp.tcp_usec_ts:
        info.tcpi_options |= TCPI_OPT_USEC_TS
    if tp.syn_fastopen_child:
        info.tcpi_options |= TCPI_OPT_TFO_CHILD

    info.tcpi_rto = jiffies_to_usecs(n, icsk.icsk_rto)
    info.tcpi_ato = jiffies_to_usecs(n, min_u32(icsk.icsk_ack.ato, tcp_delack_max(sk)))
    info.tcpi_snd_mss = tp.mss_cache
    info.tcpi_rcv_mss = icsk.icsk_ack.rcv_mss

    info.tcpi_unacked = tp.packets_out
    info.tcpi_sacked = tp.sacked_out

    info.tcpi_lost = tp.lost_out
    info.tcpi_retrans = tp.retrans_out

    now = tcp_jiffies32(n)
    info.tcpi_last_data_sent = jiffies_to_msecs(n, <u32>(now - tp.lsndtime))
    info.tcpi_last_data_recv = jiffies_to_msecs(n, <u32>(now - icsk.icsk_ack.lrcvtime))
    info.tcpi_last_ack_recv = jiffies_to_msecs(n, <u32>(now - tp.rcv_tstamp))

    info.tcpi_pmtu = icsk.icsk_pmtu_cookie
    info.tcpi_rcv_ssthresh = tp.rcv_ssthresh
    info.tcpi_rtt = tp.srtt_us >> 3
    info.tcpi_rttvar = tp.mdev_us >> 2
    info.tcpi_snd_ssthresh = tp.snd_ssthresh
    info.tcpi_advmss = tp.advmss

    info.tcpi_rcv_rtt = tp.rcv_rtt_est.rtt_us >> 3
    info.tcpi_rcv_space = <u32>tp.rcvq_space.space

    info.tcpi_total_retrans = tp.total_retrans

    info.tcpi_bytes_acked = tp.bytes_acked
    info.tcpi_bytes_received = tp.bytes_received
    info.tcpi_notsent_bytes = <u32>max_int(0, <int>(tp.write_seq - tp.snd_nxt))
    tcp_get_info_chrono_stats(tp, info)

    info.tcpi_segs_out = tp.segs_out
    info.tcpi_segs_in = tp.segs_in
    info.tcpi_data_segs_in = tp.data_segs_in

    info.tcpi_min_rtt = tcp_min_rtt(tp)
    info.tcpi_data_segs_out = tp.data_segs_out

    info.tcpi_delivery_rate_app_limited = 1 if tp.rate_app_limited else 0
    rate64 = tcp_compute_delivery_rate(tp)
    if rate64:
        info.tcpi_delivery_rate = rate64
    info.tcpi_delivered = tp.delivered
    info.tcpi_delivered_ce = tp.delivered_ce
    info.tcpi_bytes_sent = tp.bytes_sent
    info.tcpi_bytes_retrans = tp.bytes_retrans
    info.tcpi_dsack_dups = tp.dsack_dups
    info.tcpi_reord_seen = tp.reord_seen
    info.tcpi_rcv_ooopack = tp.rcv_ooopack
    info.tcpi_snd_wnd = tp.snd_wnd
    info.tcpi_rcv_wnd = tp.rcv_wnd
    info.tcpi_rehash = tp.plb_rehash + tp.timeout_rehash
    info.tcpi_fastopen_client_fail = tp.fastopen_client_fail

    info.tcpi_total_rto = tp.total_rto
    info.tcpi_total_rto_recoveries = tp.total_rto_recoveries
    info.tcpi_total_rto_time = tp.total_rto_time
    if tp.rto_stamp:
        info.tcpi_total_rto_time += <u32>tcp_clock_ms(n) - tp.rto_stamp

    info.tcpi_received_ce = tp.received_ce
    info.tcpi_delivered_e1_bytes = tp.delivered_ecn_bytes[INET_ECN_ECT_1 - 1]
    info.tcpi_delivered_e0_bytes = tp.delivered_ecn_bytes[INET_ECN_ECT_0 - 1]
    info.tcpi_delivered_ce_bytes = tp.delivered_ecn_bytes[INET_ECN_CE - 1]
    info.tcpi_received_e1_bytes = tp.received_ecn_bytes[INET_ECN_ECT_1 - 1]
    info.tcpi_received_e0_bytes = tp.received_ecn_bytes[INET_ECN_ECT_0 - 1]
    info.tcpi_received_ce_bytes = tp.received_ecn_bytes[INET_ECN_CE - 1]


cdef void give_bytes(u8 *out, const void *value, int length) noexcept nogil:
    if out != NULL:
        memcpy(out, value, <size_t>length)


# How many bytes the congestion control tells of itself.
cdef int tcp_get_cc_info(sock *sk, u8 *out) noexcept nogil:
    cdef tcp_congestion_ops *ca_ops = inet_csk(sk).icsk_ca_ops
    cdef tcp_cc_info info
    cdef int attr = 0
    cdef int length = 0

    memset(&info, 0, sizeof(info))
    if ca_ops != NULL and ca_ops.get_info != NULL:
        length = <int>ca_ops.get_info(sk, ~<u32>0, &attr, &info)
    give_bytes(out, &info, length)
    return length


cdef void tcp_repair_get_window(const tcp_sock *tp, tcp_repair_window *opt) noexcept nogil:
    opt.snd_wl1 = tp.snd_wl1
    opt.snd_wnd = tp.snd_wnd
    opt.max_window = tp.max_window
    opt.rcv_wnd = tp.rcv_wnd
    opt.rcv_wup = tp.rcv_wup


cdef int do_tcp_getsockopt(sock *sk, int level, int optname, s64 *optval, u8 *out) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef int hz = <int>HZ(n)
    cdef tcp_repair_window window
    cdef u64 key[4]
    cdef int val

    if optname == TCP_MAXSEG:
        val = <int>tp.mss_cache
        if tp.rx_opt.user_mss and (1 << sk.sk_state) & (TCPF_CLOSE | TCPF_LISTEN):
            val = tp.rx_opt.user_mss
        if tp.repair:
            val = tp.rx_opt.mss_clamp
    elif optname == TCP_NODELAY:
        val = 1 if tp.nonagle & TCP_NAGLE_OFF else 0
    elif optname == TCP_CORK:
        val = 1 if tp.nonagle & TCP_NAGLE_CORK else 0
    elif optname == TCP_KEEPIDLE:
        val = <int>keepalive_time_when(tp) // hz
    elif optname == TCP_KEEPINTVL:
        val = <int>keepalive_intvl_when(tp) // hz
    elif optname == TCP_KEEPCNT:
        val = keepalive_probes(tp)
    elif optname == TCP_SYNCNT:
        val = icsk.icsk_syn_retries if icsk.icsk_syn_retries else n.ipv4.sysctl_tcp_syn_retries
    elif optname == TCP_LINGER2:
        val = tp.linger2
        if val >= 0:
            val = (val if val else n.ipv4.sysctl_tcp_fin_timeout) // hz
    elif optname == TCP_DEFER_ACCEPT:
        val = retrans_to_secs(icsk.icsk_accept_queue.rskq_defer_accept, <int>TCP_TIMEOUT_INIT(n) // hz,
                              <int>TCP_RTO_MAX(n) // hz)
    elif optname == TCP_WINDOW_CLAMP:
        val = <int>tp.window_clamp
    elif optname == TCP_INFO:
        val = <int>sizeof(tcp_info)
    elif optname == TCP_CC_INFO:
        val = tcp_get_cc_info(sk, out)
    elif optname == TCP_QUICKACK:
        val = not inet_csk_in_pingpong_mode(sk)
    elif optname == TCP_CONGESTION:
        val = TCP_CA_NAME_MAX
    elif optname == TCP_ULP:
        val = 0
    elif optname == TCP_FASTOPEN_KEY:
        val = tcp_fastopen_get_cipher(n, icsk, key) * TCP_FASTOPEN_KEY_LENGTH
        give_bytes(out, key, val)
    elif optname == TCP_THIN_LINEAR_TIMEOUTS:
        val = tp.thin_lto
    elif optname == TCP_THIN_DUPACK:
        val = 0
    elif optname == TCP_REPAIR:
        val = tp.repair
    elif optname == TCP_REPAIR_QUEUE:
        if not tp.repair:
            return -EINVAL
        val = tp.repair_queue
    elif optname == TCP_REPAIR_WINDOW:
        if not tp.repair:
            return -EPERM
        tcp_repair_get_window(tp, &window)
        val = <int>sizeof(tcp_repair_window)
        give_bytes(out, &window, val)
    elif optname == TCP_QUEUE_SEQ:
        if tp.repair_queue == TCP_SEND_QUEUE:
            val = <int>tp.write_seq
        elif tp.repair_queue == TCP_RECV_QUEUE:
            val = <int>tp.rcv_nxt
        else:
            return -EINVAL
    elif optname == TCP_USER_TIMEOUT:
        val = <int>icsk.icsk_user_timeout
    elif optname == TCP_FASTOPEN:
        val = icsk.icsk_accept_queue.fastopenq.max_qlen
    elif optname == TCP_FASTOPEN_CONNECT:
        val = tp.fastopen_connect
    elif optname == TCP_FASTOPEN_NO_COOKIE:
        val = tp.fastopen_no_cookie
    elif optname == TCP_TX_DELAY:
        val = <int>tp.tcp_tx_delay
    elif optname == TCP_TIMESTAMP:
        val = <int>(tcp_clock_ts(n, tp.tcp_usec_ts) + tp.tsoffset)
        if tp.tcp_usec_ts:
            val |= 1
        else:
            val &= ~1
    elif optname == TCP_NOTSENT_LOWAT:
        val = <int>tp.notsent_lowat
    elif optname == TCP_INQ:
        val = tp.recvmsg_inq
    elif optname == TCP_SAVE_SYN:
        val = tp.save_syn
    elif optname == TCP_SAVED_SYN:
        # It can be read once.
        val = 0
        if tp.saved_syn != NULL:
            val = <int>tcp_saved_syn_len(tp.saved_syn)
            give_bytes(out, tp.saved_syn.data, val)
        tcp_saved_syn_free(tp)
    elif optname == TCP_ZEROCOPY_RECEIVE:
        not_ported(n, "TCP_ZEROCOPY_RECEIVE")
        return -EOPNOTSUPP
    elif optname == TCP_AO_REPAIR or optname == TCP_AO_GET_KEYS or optname == TCP_AO_INFO:
        not_ported(n, "TCP-AO")
        return -ENOPROTOOPT
    elif optname == TCP_IS_MPTCP:
        val = 0
    elif optname == TCP_RTO_MAX_MS:
        val = <int>jiffies_to_msecs(n, tcp_rto_max(sk))
    elif optname == TCP_RTO_MIN_US:
        val = <int>jiffies_to_usecs(n, icsk.icsk_rto_min)
    elif optname == TCP_DELACK_MAX_US:
        val = <int>jiffies_to_usecs(n, icsk.icsk_delack_max)
    else:
        return -ENOPROTOOPT

    optval[0] = val
    return 0


cdef int tcp_getsockopt(sock *sk, int level, int optname, s64 *optval, u8 *out) noexcept nogil:
    cdef int val = 0
    cdef int err

    if level == SOL_IP:
        err = ip_getsockopt(sk, optname, &val)
        optval[0] = val
        return err
    if level != SOL_TCP:
        return -ENOPROTOOPT
    return do_tcp_getsockopt(sk, level, optname, optval, out)

# ---------------------------------------------------------------------------------------------- signatures

cdef void tcp_md5_destruct_sock(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if tp.md5sig_info != NULL:
        tcp_clear_md5_list(sk)
        kmem_cache_free(&sock_net(sk).misc_slab, tp.md5sig_info)
        tp.md5sig_info = NULL


cdef void tcp_md5_hash_key(md5_ctx *hp, const tcp_md5sig_key *key) noexcept nogil:
    md5_update(hp, key.key, key.keylen)


cdef void tcp_sigpool_hash_skb_data(md5_ctx *hp, const sk_buff *skb, unsigned int header_len) noexcept nogil:
    cdef net *n = skb.net
    cdef tcphdr *th = tcp_hdr(<sk_buff *>skb)
    cdef u32 seq = ntohl(th.seq) + <u32>th_syn(th)
    cdef unsigned int at = header_len
    cdef unsigned int part
    cdef u8 data[256]
    # The header of what is sent, and of nothing else, is written in txbuf.
    cdef bint sent = &n.txbuf[0] <= skb.data < &n.txbuf[0] + sizeof(n.txbuf)

    while at < skb.len:
        part = min_u32(skb.len - at, sizeof(data))
        if not sent:
            skb_copy_bits(skb, <int>at, data, <int>part)
        elif n.hooks.sent_bytes != NULL:
            n.hooks.sent_bytes(n.hooks.ctx, skb.sk, seq + at - header_len, data, part)
        else:
            memset(data, 0, part)
        md5_update(hp, data, part)
        at += part


# A segment that is signed, or should be.
cdef int tcp_inbound_md5_hash(const sock *sk, const sk_buff *skb, const void *saddr, const void *daddr, int family,
                              int l3index, const u8 *hash_location) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef tcp_md5sig_key *key = tcp_md5_do_lookup(sk, l3index, saddr, family)
    cdef u8 newhash[16]

    if key == NULL:
        NET_INC_STATS(n, LINUX_MIB_TCPMD5UNEXPECTED)
        return SKB_DROP_REASON_TCP_MD5UNEXPECTED

    # the capture has cut it short
    if not skb_bytes_present(skb):
        return SKB_NOT_DROPPED_YET

    # an AF_INET6 listener hears IPv4 hosts too
    if family == AF_INET:
        tcp_v4_md5_hash_skb(newhash, key, NULL, skb)
    else:
        tcp_sk(<sock *>sk).af_specific.calc_md5_hash(newhash, key, NULL, skb)
    if memcmp(hash_location, newhash, sizeof(newhash)) != 0:
        NET_INC_STATS(n, LINUX_MIB_TCPMD5FAILURE)
        return SKB_DROP_REASON_TCP_MD5FAILURE
    return SKB_NOT_DROPPED_YET


cdef int tcp_inbound_hash(sock *sk, const request_sock *req, const sk_buff *skb, const void *saddr, const void *daddr,
                          int family, int dif, int sdif) noexcept nogil:
    """RFC 2385 and RFC 5925 (with no key of the latter): the reason for which this segment is dropped, if any."""
    cdef net *n = sock_net(sk)
    cdef const u8 *md5_location
    cdef const u8 *aoh
    cdef int l3index = dif if sdif else 0

    if tcp_do_parse_auth_options(tcp_hdr(skb), &md5_location, &aoh):
        return SKB_DROP_REASON_TCP_AUTH_HDR

    if req != NULL and aoh != NULL:
        NET_INC_STATS(n, LINUX_MIB_TCPAOBAD)
        return SKB_DROP_REASON_TCP_AOFAILURE

    if md5_location == NULL and aoh == NULL:
        if tcp_md5_do_lookup(sk, l3index, saddr, family) != NULL:
            NET_INC_STATS(n, LINUX_MIB_TCPMD5NOTFOUND)
            return SKB_DROP_REASON_TCP_MD5NOTFOUND
        return SKB_NOT_DROPPED_YET

    if aoh != NULL:
        NET_INC_STATS(n, LINUX_MIB_TCPAOKEYNOTFOUND)
        return SKB_DROP_REASON_TCP_AOUNEXPECTED

    return tcp_inbound_md5_hash(sk, skb, saddr, daddr, family, l3index, md5_location)

# ---------------------------------------------------------------------------------------------- set-up of a host

cdef void tcp_init_mem(net *n) noexcept nogil:
    cdef unsigned long limit = n.totalram_pages // 16

    if limit < 128:
        limit = 128
    n.ipv4.sysctl_tcp_mem[0] = <long>(limit // 4 * 3)
    n.ipv4.sysctl_tcp_mem[1] = <long>limit
    n.ipv4.sysctl_tcp_mem[2] = n.ipv4.sysctl_tcp_mem[0] * 2


cdef int tcp_init(net *n) noexcept nogil:
    """The tables of sockets, and the limits that the kernel takes from the size of memory."""
    # No socket gets more than 1/128 of the pages at which pressure begins.
    cdef unsigned long limit = n.totalram_pages << (PAGE_SHIFT - 7)
    cdef unsigned long max_wshare = min_ulong(4 * 1024 * 1024, limit)
    cdef unsigned long max_rshare = min_ulong(32 * 1024 * 1024, limit)

    n.ipv4.tcp_sockets_allocated = 0
    if n.hashinfo.ehash == NULL and inet_hashinfo_init(n):
        return -ENOMEM

    n.ipv4.sysctl_tcp_max_orphans = <int>((n.hashinfo.ehash_mask + 1) // 2)

    tcp_init_mem(n)

    n.ipv4.sysctl_tcp_wmem[0] = PAGE_SIZE
    n.ipv4.sysctl_tcp_wmem[1] = 16 * 1024
    n.ipv4.sysctl_tcp_wmem[2] = <int>max_ulong(64 * 1024, max_wshare)

    n.ipv4.sysctl_tcp_rmem[0] = PAGE_SIZE
    n.ipv4.sysctl_tcp_rmem[1] = 131072
    n.ipv4.sysctl_tcp_rmem[2] = <int>max_ulong(131072, max_rshare)
    return 0


cdef void tcp_exit(net *n) noexcept nogil:
    syncookies_exit(n)
    inet_hashinfo_free(n)
