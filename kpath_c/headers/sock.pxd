"""net/sock.h: flags, accounting, timeouts and the route cache of a socket.

Follows include/net/{sock,proto_memory}.h of Linux 6.18 (GPL-2.0-only). Inlines that call real functions (sock_put,
sk_mem_uncharge, sk_wmem_schedule, skb_set_owner_r ...) are in kpath_c/net_sock.pxd.

Deviations: every socket is TCP's, so what `struct proto` points at (memory limits, pressure, counters) is in net.ipv4.
"""
from kpath_c.headers.kernel cimport *
from kpath_c.headers.skbuff cimport *
from kpath_c.headers.netdevice cimport *
from kpath_c.headers.dst cimport *
from kpath_c.headers.ehash cimport *

# Bit numbers in sk_flags.
cdef enum sock_flags:
    SOCK_DEAD = 0
    SOCK_DONE = 1
    SOCK_URGINLINE = 2
    SOCK_KEEPOPEN = 3
    SOCK_LINGER = 4
    SOCK_DESTROY = 5
    SOCK_BROADCAST = 6
    SOCK_TIMESTAMP = 7
    SOCK_ZAPPED = 8
    SOCK_USE_WRITE_QUEUE = 9
    SOCK_DBG = 10
    SOCK_RCVTSTAMP = 11
    SOCK_RCVTSTAMPNS = 12
    SOCK_LOCALROUTE = 13
    SOCK_MEMALLOC = 14
    SOCK_TIMESTAMPING_RX_SOFTWARE = 15
    SOCK_FASYNC = 16
    SOCK_RXQ_OVFL = 17
    SOCK_ZEROCOPY = 18
    SOCK_WIFI_STATUS = 19
    SOCK_NOFCS = 20
    SOCK_FILTER_LOCKED = 21
    SOCK_SELECT_ERR_QUEUE = 22
    SOCK_RCU_FREE = 23
    SOCK_TXTIME = 24
    SOCK_XDP = 25
    SOCK_TSTAMP_NEW = 26
    SOCK_RCVMARK = 27
    SOCK_RCVPRIORITY = 28
    SOCK_TIMESTAMPING_ANY = 29

# Bit numbers in socket.flags (linux/net.h).
cdef enum:
    SOCKWQ_ASYNC_NOSPACE = 0
    SOCKWQ_ASYNC_WAITDATA = 1
    SOCK_NOSPACE = 2
    SOCK_SUPPORT_ZC = 5
    SOCK_CUSTOM_SOCKOPT = 6

cdef enum:
    SK_NO_REUSE = 0
    SK_CAN_REUSE = 1
    SK_FORCE_REUSE = 2

cdef enum:
    SK_PACING_NONE = 0
    SK_PACING_NEEDED = 1
    SK_PACING_FQ = 2

cdef enum:
    SK_MEM_SEND = 0
    SK_MEM_RECV = 1
    SK_WMEM_ALLOC_BIAS = 1
    SK_MEMORY_PCPU_RESERVE = 256        # 1 MB in pages
    TCP_SKB_MIN_TRUESIZE = 2048 + 256
    SOCK_MIN_SNDBUF = 2 * (2048 + 256)
    SOCK_MIN_RCVBUF = 2048 + 256
    NO_QUEUE_MAPPING = 0xFFFF

# What setsockopt() and getsockopt() exchange (uapi).
cdef struct linger:
    int l_onoff
    int l_linger

cdef struct kernel_timeval:             # __kernel_old_timeval, __kernel_sock_timeval
    s64 tv_sec
    s64 tv_usec


cdef inline net *sock_net(const sock *sk) noexcept nogil:
    return <net *>sk.sk_net

cdef inline void sock_net_set(sock *sk, net *n) noexcept nogil:
    sk.sk_net = n

cdef inline void sock_copy_flags(sock *nsk, const sock *osk) noexcept nogil:
    nsk.sk_flags = osk.sk_flags

cdef inline void sock_set_flag(sock *sk, int flag) noexcept nogil:
    sk.sk_flags |= (<unsigned long>1) << flag

cdef inline void sock_reset_flag(sock *sk, int flag) noexcept nogil:
    sk.sk_flags &= ~((<unsigned long>1) << flag)

cdef inline void sock_valbool_flag(sock *sk, int bit, bint valbool) noexcept nogil:
    if valbool:
        sock_set_flag(sk, bit)
    else:
        sock_reset_flag(sk, bit)

cdef inline bint sock_flag(const sock *sk, int flag) noexcept nogil:
    return ((sk.sk_flags >> flag) & 1) != 0

# ---------------------------------------------------------------------------------------------- references, lists

cdef inline void sock_hold(sock *sk) noexcept nogil:
    sk.sk_refcnt += 1

cdef inline void __sock_put(sock *sk) noexcept nogil:
    sk.sk_refcnt -= 1

cdef inline bint refcount_inc_not_zero(int *r) noexcept nogil:
    if r[0] == 0:
        return 0
    r[0] += 1
    return 1

cdef inline bint refcount_dec_and_test(int *r) noexcept nogil:
    r[0] -= 1
    return r[0] == 0

cdef inline bint sk_unhashed(const sock *sk) noexcept nogil:
    return sk.sk_nulls_node.pprev == NULL

cdef inline bint sk_hashed(const sock *sk) noexcept nogil:
    return not sk_unhashed(sk)

cdef inline void sk_node_init(hlist_node *node) noexcept nogil:
    node.pprev = NULL

cdef inline void sk_nulls_node_init(hlist_nulls_node *node) noexcept nogil:
    node.pprev = NULL

# Out of the established table, or of the listening one.
cdef inline bint __sk_nulls_del_node_init_rcu(sock *sk) noexcept nogil:
    if sk_hashed(sk):
        hlist_nulls_del_init(&sk.sk_nulls_node)
        front_del(front_bucket(&sk.sk_net.hashinfo, sk.sk_hash), &sk.sk_nulls_node)
        return 1
    return 0

# What /proc/net/sockstat calls "inuse".
cdef inline void sock_prot_inuse_add(const net *n, proto *prot, int val) noexcept nogil:
    prot.inuse += val

cdef inline bint sk_nulls_del_node_init_rcu(sock *sk) noexcept nogil:
    cdef bint rc = __sk_nulls_del_node_init_rcu(sk)
    if rc:
        __sock_put(sk)
    return rc

cdef inline void __sk_nulls_add_node_rcu(sock *sk, hlist_nulls_head *list) noexcept nogil:
    hlist_nulls_add_head(&sk.sk_nulls_node, list)

cdef inline void __sk_nulls_add_node_tail_rcu(sock *sk, hlist_nulls_head *list) noexcept nogil:
    hlist_nulls_add_tail(&sk.sk_nulls_node, list)

cdef inline void sk_nulls_add_node_rcu(sock *sk, hlist_nulls_head *list) noexcept nogil:
    sock_hold(sk)
    __sk_nulls_add_node_rcu(sk, list)

cdef inline sock *nulls_to_sk(const hlist_nulls_node *node) noexcept nogil:
    """The socket (or request, or TIME_WAIT socket) whose sk_nulls_node this is."""
    return <sock *>(<char *>node - <size_t>&(<sock *>NULL).sk_nulls_node)

cdef inline sock *bind_node_to_sk(const hlist_node *node) noexcept nogil:
    return <sock *>(<char *>node - <size_t>&(<sock *>NULL).sk_bind_node)

cdef inline sock *host_node_to_sk(const list_head *node) noexcept nogil:
    return <sock *>(<char *>node - <size_t>&(<sock *>NULL).sk_host_node)

cdef inline void __sk_del_bind_node(sock *sk) noexcept nogil:
    __hlist_del(&sk.sk_bind_node)

cdef inline void sk_add_bind_node(sock *sk, hlist_head *list) noexcept nogil:
    hlist_add_head(&sk.sk_bind_node, list)

cdef inline void sk_set_socket(sock *sk, socket *sock_) noexcept nogil:
    sk.sk_socket = sock_

cdef inline void sock_orphan(sock *sk) noexcept nogil:
    sock_set_flag(sk, SOCK_DEAD)
    sk_set_socket(sk, NULL)

cdef inline void sock_graft(sock *sk, socket *parent) noexcept nogil:
    parent.sk = sk
    sk_set_socket(sk, parent)

cdef inline bint sk_is_tcp(const sock *sk) noexcept nogil:
    return sk.sk_type == SOCK_STREAM and sk.sk_protocol == IPPROTO_TCP

# ---------------------------------------------------------------------------------------------- accept queue

cdef inline void sk_acceptq_removed(sock *sk) noexcept nogil:
    sk.sk_ack_backlog -= 1

cdef inline void sk_acceptq_added(sock *sk) noexcept nogil:
    sk.sk_ack_backlog += 1

# Full is one more than the backlog: listen(fd, 1) takes two.
cdef inline bint sk_acceptq_is_full(const sock *sk) noexcept nogil:
    return sk.sk_ack_backlog > sk.sk_max_ack_backlog

# ---------------------------------------------------------------------------------------------- memory

cdef inline long sk_prot_mem_limits(const sock *sk, int index) noexcept nogil:
    return sk.sk_net.ipv4.sysctl_tcp_mem[index]

cdef inline int sk_mem_pages(int amt) noexcept nogil:
    return (amt + PAGE_SIZE - 1) >> PAGE_SHIFT

cdef inline bint sk_has_account(const sock *sk) noexcept nogil:
    return 1

cdef inline bint sk_under_global_memory_pressure(const sock *sk) noexcept nogil:
    return sk.sk_net.ipv4.tcp_memory_pressure != 0

cdef inline bint sk_under_memory_pressure(const sock *sk) noexcept nogil:
    if sk.sk_bypass_prot_mem:
        return 0
    return sk.sk_net.ipv4.tcp_memory_pressure != 0

cdef inline bint sk_has_memory_pressure(const sock *sk) noexcept nogil:
    return 1

cdef inline long sk_memory_allocated(const sock *sk) noexcept nogil:
    return max_long(0, sk.sk_net.ipv4.tcp_memory_allocated)

cdef inline void __proto_memory_pcpu_drain(net *n) noexcept nogil:
    n.ipv4.tcp_memory_allocated += n.ipv4.tcp_per_cpu_fw_alloc
    n.ipv4.tcp_per_cpu_fw_alloc = 0

cdef inline void sk_memory_allocated_add(const sock *sk, int val) noexcept nogil:
    cdef net *n = <net *>sk.sk_net
    n.ipv4.tcp_per_cpu_fw_alloc += val
    if n.ipv4.tcp_per_cpu_fw_alloc >= n.core.sysctl_mem_pcpu_rsv:
        __proto_memory_pcpu_drain(n)

cdef inline void sk_memory_allocated_sub(const sock *sk, int val) noexcept nogil:
    cdef net *n = <net *>sk.sk_net
    n.ipv4.tcp_per_cpu_fw_alloc -= val
    if n.ipv4.tcp_per_cpu_fw_alloc <= -n.core.sysctl_mem_pcpu_rsv:
        __proto_memory_pcpu_drain(n)

cdef inline void sk_sockets_allocated_dec(sock *sk) noexcept nogil:
    sk.sk_net.ipv4.tcp_sockets_allocated -= 1

cdef inline void sk_sockets_allocated_inc(sock *sk) noexcept nogil:
    sk.sk_net.ipv4.tcp_sockets_allocated += 1

cdef inline u64 sk_sockets_allocated_read_positive(const sock *sk) noexcept nogil:
    return <u64>max_long(0, sk.sk_net.ipv4.tcp_sockets_allocated)

cdef inline void sk_forward_alloc_add(sock *sk, int val) noexcept nogil:
    sk.sk_forward_alloc += val

cdef inline void sk_mem_charge(sock *sk, int size) noexcept nogil:
    sk.sk_forward_alloc -= size

cdef inline int sk_unused_reserved_mem(const sock *sk) noexcept nogil:
    cdef int unused_mem
    if not sk.sk_reserved_mem:
        return 0
    unused_mem = <int>(sk.sk_reserved_mem - <u32>sk.sk_wmem_queued - <u32>sk.sk_backlog.rmem_alloc)
    return unused_mem if unused_mem > 0 else 0

cdef inline int sk_wmem_alloc_get(const sock *sk) noexcept nogil:
    return sk.sk_wmem_alloc - SK_WMEM_ALLOC_BIAS

cdef inline int sk_rmem_alloc_get(const sock *sk) noexcept nogil:
    return sk.sk_backlog.rmem_alloc

cdef inline bint sk_has_allocations(const sock *sk) noexcept nogil:
    return sk_wmem_alloc_get(sk) != 0 or sk_rmem_alloc_get(sk) != 0

cdef inline int sk_stream_min_wspace(const sock *sk) noexcept nogil:
    return sk.sk_wmem_queued >> 1

cdef inline int sk_stream_wspace(const sock *sk) noexcept nogil:
    return sk.sk_sndbuf - sk.sk_wmem_queued

cdef inline void sk_wmem_queued_add(sock *sk, int val) noexcept nogil:
    sk.sk_wmem_queued += val

# `copy` bytes of the user's go to a page: here they only count.
cdef inline void skb_copy_to_page_nocache(sock *sk, msghdr *from_, sk_buff *skb, int copy) noexcept nogil:
    from_.count -= <size_t>copy
    from_.iov_offset += <size_t>copy
    skb_len_add(skb, copy)
    sk_wmem_queued_add(sk, copy)
    sk_mem_charge(sk, copy)

cdef inline void sk_stream_moderate_sndbuf(sock *sk) noexcept nogil:
    cdef u32 val
    if sk.sk_userlocks & SOCK_SNDBUF_LOCK:
        return
    val = <u32>min_int(sk.sk_sndbuf, sk.sk_wmem_queued >> 1)
    val = max_u32(val, <u32>sk_unused_reserved_mem(sk))
    sk.sk_sndbuf = <int>max_u32(val, SOCK_MIN_SNDBUF)

cdef inline bint __sock_writeable(const sock *sk, int wmem_alloc) noexcept nogil:
    return wmem_alloc < (sk.sk_sndbuf >> 1)

cdef inline bint sock_writeable(const sock *sk) noexcept nogil:
    return __sock_writeable(sk, sk.sk_wmem_alloc)

cdef inline unsigned long sock_wspace(sock *sk) noexcept nogil:
    cdef int amt = 0
    if not (sk.sk_shutdown & SEND_SHUTDOWN):
        amt = max_int(sk.sk_sndbuf - sk.sk_wmem_alloc, 0)
    return <unsigned long>amt

# Process context uses the thread's page, the rest the socket's own.
cdef inline page_frag *sk_page_frag(sock *sk, msghdr *msg) noexcept nogil:
    if sk.sk_use_task_frag and msg != NULL and msg.task_frag != NULL:
        return msg.task_frag
    return &sk.sk_frag

cdef inline void sk_drops_add(sock *sk, int segs) noexcept nogil:
    sk.sk_drops += segs

cdef inline void sk_drops_inc(sock *sk) noexcept nogil:
    sk_drops_add(sk, 1)

cdef inline int sk_drops_read(const sock *sk) noexcept nogil:
    return sk.sk_drops

cdef inline void sk_drops_skbadd(sock *sk, const sk_buff *skb) noexcept nogil:
    sk_drops_add(sk, max_u16(1, skb.shinfo.gso_segs))

cdef inline gfp_t sk_gfp_mask(const sock *sk, gfp_t gfp_mask) noexcept nogil:
    return gfp_mask

# ---------------------------------------------------------------------------------------------- errors, timeouts, locks

cdef inline int sock_error(sock *sk) noexcept nogil:
    cdef int err
    if sk.sk_err == 0:
        return 0
    err = sk.sk_err
    sk.sk_err = 0
    return -err

cdef inline long sock_rcvtimeo(const sock *sk, bint noblock) noexcept nogil:
    return 0 if noblock else sk.sk_rcvtimeo

cdef inline long sock_sndtimeo(const sock *sk, bint noblock) noexcept nogil:
    return 0 if noblock else sk.sk_sndtimeo

cdef inline int sock_rcvlowat(const sock *sk, int waitall, int length) noexcept nogil:
    cdef int v = length if waitall else min_int(sk.sk_rcvlowat, length)
    return v if v else 1

cdef inline int sock_intr_errno(long timeo) noexcept nogil:
    return -ERESTARTSYS if timeo == MAX_SCHEDULE_TIMEOUT() else -EINTR

# No signals arrive in virtual time.
cdef inline bint signal_pending() noexcept nogil:
    return 0

cdef inline void lock_sock(sock *sk) noexcept nogil:
    pass

cdef inline bint sock_owned_by_user(const sock *sk) noexcept nogil:
    return sk.sk_lock_owned != 0

cdef inline void sk_wait_begin(sock *sk, msghdr *msg, u32 want, long timeo) noexcept nogil:
    """Puts the call to sleep: whoever calls this returns -ERESTARTSYS next."""
    cdef unsigned long now = sk.sk_net.e.jiffies
    msg.resume = 1
    msg.wake_want = want
    msg.timeo = timeo
    msg.sleep_start = now
    if timeo == MAX_SCHEDULE_TIMEOUT():
        msg.expire = <unsigned long>MAX_SCHEDULE_TIMEOUT()
    else:
        msg.expire = now + <unsigned long>timeo

cdef inline long sk_wait_resume(sock *sk, msghdr *msg) noexcept nogil:
    """schedule_timeout()'s result: jiffies left."""
    cdef long left
    msg.resume = 0
    if msg.timeo == MAX_SCHEDULE_TIMEOUT():
        return msg.timeo
    left = <long>(msg.expire - sk.sk_net.e.jiffies)
    return left if left > 0 else 0

cdef inline void sk_set_bit(int nr, sock *sk) noexcept nogil:
    if (nr == SOCKWQ_ASYNC_NOSPACE or nr == SOCKWQ_ASYNC_WAITDATA) and not sock_flag(sk, SOCK_FASYNC):
        return
    if sk.sk_socket != NULL:
        set_bit(nr, &sk.sk_socket.flags)

cdef inline void sk_clear_bit(int nr, sock *sk) noexcept nogil:
    if (nr == SOCKWQ_ASYNC_NOSPACE or nr == SOCKWQ_ASYNC_WAITDATA) and not sock_flag(sk, SOCK_FASYNC):
        return
    if sk.sk_socket != NULL:
        clear_bit(nr, &sk.sk_socket.flags)

# ---------------------------------------------------------------------------------------------- peek offset

cdef inline int sk_peek_offset(const sock *sk, int flags) noexcept nogil:
    return sk.sk_peek_off if flags & MSG_PEEK else 0

cdef inline void sk_peek_offset_bwd(sock *sk, int val) noexcept nogil:
    if sk.sk_peek_off >= 0:
        sk.sk_peek_off = max_s32(sk.sk_peek_off - val, 0)

cdef inline void sk_peek_offset_fwd(sock *sk, int val) noexcept nogil:
    sk_peek_offset_bwd(sk, -val)

# ---------------------------------------------------------------------------------------------- route cache, tx hash

cdef inline void sk_tx_queue_clear(sock *sk) noexcept nogil:
    sk.sk_tx_queue_mapping = NO_QUEUE_MAPPING

cdef inline void sk_rx_queue_clear(sock *sk) noexcept nogil:
    sk.sk_rx_queue_mapping = NO_QUEUE_MAPPING

cdef inline void sk_rx_queue_set(sock *sk, const sk_buff *skb) noexcept nogil:
    pass

cdef inline void sk_rx_queue_update(sock *sk, const sk_buff *skb) noexcept nogil:
    pass

cdef inline void sk_incoming_cpu_update(sock *sk) noexcept nogil:
    sk.sk_incoming_cpu = 0

cdef inline void sock_rps_save_rxhash(sock *sk, const sk_buff *skb) noexcept nogil:
    sk.sk_rxhash = skb.hash

cdef inline void sock_rps_reset_rxhash(sock *sk) noexcept nogil:
    sk.sk_rxhash = 0

cdef inline u32 net_tx_rndhash(net *n) noexcept nogil:
    cdef u32 v = get_random_u32(n)
    return v if v else 1

cdef inline void sk_set_txhash(sock *sk) noexcept nogil:
    sk.sk_txhash = net_tx_rndhash(sk.sk_net)

cdef inline bint sk_rethink_txhash(sock *sk) noexcept nogil:
    if sk.sk_txhash and sk.sk_txrehash == SOCK_TXREHASH_ENABLED:
        sk_set_txhash(sk)
        return 1
    return 0

cdef inline void skb_set_hash_from_sk(sk_buff *skb, sock *sk) noexcept nogil:
    if sk.sk_txhash:
        skb.l4_hash = 1
        skb.hash = sk.sk_txhash

cdef inline dst_entry *__sk_dst_get(const sock *sk) noexcept nogil:
    return <dst_entry *>sk.sk_dst_cache

cdef inline dst_entry *sk_dst_get(const sock *sk) noexcept nogil:
    cdef dst_entry *dst = <dst_entry *>sk.sk_dst_cache
    if dst != NULL and not dst_hold_safe(dst):
        dst = NULL
    return dst

cdef inline void __dst_negative_advice(sock *sk) noexcept nogil:
    cdef dst_entry *dst = __sk_dst_get(sk)
    if dst != NULL and dst.ops.negative_advice != NULL:
        dst.ops.negative_advice(sk, dst)

cdef inline void dst_negative_advice(sock *sk) noexcept nogil:
    sk_rethink_txhash(sk)
    __dst_negative_advice(sk)

cdef inline void __sk_dst_set(sock *sk, dst_entry *dst) noexcept nogil:
    cdef dst_entry *old_dst
    sk_tx_queue_clear(sk)
    sk.sk_dst_pending_confirm = 0
    old_dst = sk.sk_dst_cache
    sk.sk_dst_cache = dst
    dst_release(old_dst)

cdef inline void sk_dst_set(sock *sk, dst_entry *dst) noexcept nogil:
    __sk_dst_set(sk, dst)

cdef inline void __sk_dst_reset(sock *sk) noexcept nogil:
    __sk_dst_set(sk, NULL)

cdef inline void sk_dst_reset(sock *sk) noexcept nogil:
    sk_dst_set(sk, NULL)

cdef inline void sk_dst_confirm(sock *sk) noexcept nogil:
    if not sk.sk_dst_pending_confirm:
        sk.sk_dst_pending_confirm = 1

cdef inline bint sk_can_gso(const sock *sk) noexcept nogil:
    return net_gso_ok(sk.sk_route_caps, sk.sk_gso_type)

cdef inline void sk_gso_disable(sock *sk) noexcept nogil:
    sk.sk_gso_disabled = 1
    sk.sk_route_caps &= ~<u64>NETIF_F_GSO_MASK

cdef inline bint sk_check_csum_caps(const sock *sk) noexcept nogil:
    return ((sk.sk_route_caps & <u64>NETIF_F_HW_CSUM) != 0 or
            (sk.sk_family == AF_INET and (sk.sk_route_caps & <u64>NETIF_F_IP_CSUM) != 0) or
            (sk.sk_family == AF_INET6 and (sk.sk_route_caps & <u64>NETIF_F_IPV6_CSUM) != 0))

cdef inline ktime_t sock_read_timestamp(sock *sk) noexcept nogil:
    return sk.sk_stamp

cdef inline void sock_write_timestamp(sock *sk, ktime_t kt) noexcept nogil:
    sk.sk_stamp = kt
