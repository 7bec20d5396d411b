"""Sockets: how they come, are copied for an accepted connection, and go; their options, memory account and callbacks.

What it does: the send and receive buffers of RFC 9293 3.9.1 as Linux accounts them. Every byte of truesize is charged
to the socket's forward_alloc, which is filled from the protocol's account in whole pages; over the protocol's limits
(net.ipv4.tcp_mem) sockets are refused memory.

Follows net/core/sock.c of Linux 6.18 (GPL-2.0-only).

Deviations: no locks; only the scheduler lets packets meet an owned socket; no cgroups, filters, busy polling, user
namespaces (the process is taken to be root); sleeping is told to the caller (-ERESTARTSYS); waking goes to
net.hooks.wake with the EPOLL bits of the kernel's wake-up, all of them where the kernel gives none.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.errqueue cimport *
from kpath_c.net_sock cimport *
from kpath_c.inet_hashtables cimport sock_gen_put
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_free, kmem_cache_zalloc
from kpath_c.shim.timer cimport mod_timer, timer_delete, timer_setup
from kpath_c.skbuff cimport alloc_page_ref, alloc_skb, put_page
from kpath_c.sock_reuseport cimport reuseport_detach_sock
from kpath_c.tcp cimport tcp_enter_memory_pressure, tcp_leave_memory_pressure, tcp_set_rcvlowat
from kpath_c.tcp_ipv4 cimport tcp_v4_destroy_sock
from kpath_c.net_dst cimport dst_ops_check
from kpath_c.inet_hashtables cimport inet_unhash
from kpath_c.tcp_output cimport tcp_release_cb
from kpath_c.tcp_timer cimport tcp_set_keepalive

cdef enum:
    SKB_FRAG_PAGE_ORDER = 3             # 32 KiB
    SK_MEMINFO_VARS = 9
    # A wake-up without bits reaches everybody who waits.
    EPOLL_ALL = 0x27FF


# ---------------------------------------------------------------------------------------------- errors, routes

cdef void sk_error_report(sock *sk) noexcept nogil:
    sk.sk_error_report(sk)
    trace_event(sk, EV_ERROR_REPORT, NULL, sk.sk_err)


cdef dst_entry *__sk_dst_check(sock *sk, u32 cookie) noexcept nogil:
    """The cached route if it still holds; else it is forgotten and NULL."""
    cdef dst_entry *dst = __sk_dst_get(sk)
    if dst != NULL and dst.obsolete and dst_ops_check(dst, cookie) == NULL:
        sk_tx_queue_clear(sk)
        sk.sk_dst_pending_confirm = 0
        sk.sk_dst_cache = NULL
        dst_release(dst)
        return NULL
    return dst


cdef dst_entry *sk_dst_check(sock *sk, u32 cookie) noexcept nogil:
    """As above, with a reference for the caller."""
    cdef dst_entry *dst = sk_dst_get(sk)
    if dst != NULL and dst.obsolete and dst_ops_check(dst, cookie) == NULL:
        sk_dst_reset(sk)
        dst_release(dst)
        return NULL
    return dst


# ---------------------------------------------------------------------------------------------- options

cdef int sock_get_timeout(net *n, long timeo, kernel_timeval *tv) noexcept nogil:
    cdef long hz = <long>n.e.hz
    if timeo == MAX_SCHEDULE_TIMEOUT():
        tv.tv_sec = 0
        tv.tv_usec = 0
    else:
        tv.tv_sec = timeo // hz
        tv.tv_usec = ((timeo % hz) * USEC_PER_SEC) // hz
    return sizeof(kernel_timeval)


cdef int sock_set_timeout(net *n, long *timeo_p, const void *optval, unsigned int optlen) noexcept nogil:
    cdef kernel_timeval tv
    cdef long hz = <long>n.e.hz
    cdef long val
    if optlen < sizeof(tv):
        return -EINVAL
    memcpy(&tv, optval, sizeof(tv))
    if tv.tv_usec < 0 or tv.tv_usec >= USEC_PER_SEC:
        return -EDOM
    if tv.tv_sec < 0:
        timeo_p[0] = 0
        return 0
    val = MAX_SCHEDULE_TIMEOUT()
    if (tv.tv_sec or tv.tv_usec) and tv.tv_sec < MAX_SCHEDULE_TIMEOUT() // hz - 1:
        val = tv.tv_sec * hz + <long>DIV_ROUND_UP(<unsigned long>tv.tv_usec, <unsigned long>(USEC_PER_SEC // hz))
    timeo_p[0] = val
    return 0


cdef int sock_bindtoindex_locked(sock *sk, int ifindex) noexcept nogil:
    if ifindex < 0:
        return -EINVAL
    sk.sk_bound_dev_if = ifindex
    sk_dst_reset(sk)
    return 0


cdef int sock_setbindtodevice(sock *sk, const void *optval, unsigned int optlen) noexcept nogil:
    cdef char devname[16]
    cdef net_device *dev = &sock_net(sk).dev
    cdef size_t length = min_size(optlen, sizeof(devname) - 1)
    memset(devname, 0, sizeof(devname))
    memcpy(devname, optval, length)
    if devname[0] == 0:
        return sock_bindtoindex_locked(sk, 0)
    if memcmp(devname, dev.name, sizeof(devname)) != 0:
        return -ENODEV
    return sock_bindtoindex_locked(sk, dev.ifindex)


cdef void sock_set_reuseaddr(sock *sk) noexcept nogil:
    sk.sk_reuse = SK_CAN_REUSE
    release_sock(sk)


cdef void sock_set_keepalive(sock *sk) noexcept nogil:
    tcp_set_keepalive(sk, 1)
    sock_valbool_flag(sk, SOCK_KEEPOPEN, 1)
    release_sock(sk)


# Doubled, because what the caller asks for is meant for data, and the overhead is charged too.
cdef void __sock_set_rcvbuf(sock *sk, int val) noexcept nogil:
    val = min_int(val, INT_MAX // 2)
    sk.sk_userlocks |= SOCK_RCVBUF_LOCK
    sk.sk_rcvbuf = max_int(val * 2, SOCK_MIN_RCVBUF)


cdef void sock_set_rcvbuf(sock *sk, int val) noexcept nogil:
    __sock_set_rcvbuf(sk, val)
    release_sock(sk)


cdef void __sock_set_sndbuf(sock *sk, int val) noexcept nogil:
    val = min_int(val, INT_MAX // 2)
    sk.sk_userlocks |= SOCK_SNDBUF_LOCK
    sk.sk_sndbuf = max_int(val * 2, SOCK_MIN_SNDBUF)
    sk.sk_write_space(sk)


cdef void __sock_set_timestamps(sock *sk, bint val, bint new_, bint ns) noexcept nogil:
    sock_valbool_flag(sk, SOCK_RCVTSTAMP, val)
    sock_valbool_flag(sk, SOCK_RCVTSTAMPNS, val and ns)
    if val:
        sock_valbool_flag(sk, SOCK_TSTAMP_NEW, new_)
        sock_set_flag(sk, SOCK_TIMESTAMP)


cdef int sk_set_peek_off(sock *sk, int val) noexcept nogil:
    sk.sk_peek_off = val
    return 0


cdef void sockopt_lock_sock(sock *sk) noexcept nogil:
    pass


cdef void sockopt_release_sock(sock *sk) noexcept nogil:
    release_sock(sk)


cdef int set_unlocked(sock *sk, int optname, int val, const void *optval, unsigned int optlen) noexcept nogil:
    """Options that don't need the socket lock; 1: not one of them."""
    cdef unsigned long ulval
    if optname == SO_PRIORITY:
        sk.sk_priority = <u32>val
        return 0
    if optname == SO_TYPE or optname == SO_PROTOCOL or optname == SO_DOMAIN or optname == SO_ERROR:
        return -ENOPROTOOPT
    if optname == SO_BUSY_POLL:
        return -EINVAL if val < 0 else 0
    if optname == SO_PREFER_BUSY_POLL:
        return 0
    if optname == SO_BUSY_POLL_BUDGET:
        return -EINVAL if val < 0 or val > U16_MAX else 0
    if optname == SO_MAX_PACING_RATE:
        ulval = ULONG_MAX() if val == -1 else <unsigned long><unsigned int>val
        if optlen >= sizeof(ulval):
            memcpy(&ulval, optval, sizeof(ulval))
        if ulval != ULONG_MAX() and sk.sk_pacing_status == SK_PACING_NONE:
            sk.sk_pacing_status = SK_PACING_NEEDED
        sk.sk_max_pacing_rate = ulval
        if ulval < sk.sk_pacing_rate:
            sk.sk_pacing_rate = ulval
        return 0
    if optname == SO_TXREHASH:
        if not sk_is_tcp(sk):
            return -EOPNOTSUPP
        if val < -1 or val > 1:
            return -EINVAL
        if <u8>val == SOCK_TXREHASH_DEFAULT:
            val = sock_net(sk).core.sysctl_txrehash
        sk.sk_txrehash = <u8>val
        return 0
    if optname == SO_PEEK_OFF:
        return sk_set_peek_off(sk, val)
    if optname == SO_SNDTIMEO or optname == SO_SNDTIMEO_NEW:
        return sock_set_timeout(sock_net(sk), &sk.sk_sndtimeo, optval, optlen)
    if optname == SO_RCVTIMEO or optname == SO_RCVTIMEO_NEW:
        return sock_set_timeout(sock_net(sk), &sk.sk_rcvtimeo, optval, optlen)
    return 1


cdef int set_linger(sock *sk, const void *optval, unsigned int optlen) noexcept nogil:
    cdef linger ling
    cdef unsigned long t_sec
    cdef unsigned long hz = sock_net(sk).e.hz
    if optlen < sizeof(ling):
        return -EINVAL
    memcpy(&ling, optval, sizeof(ling))
    if not ling.l_onoff:
        sock_reset_flag(sk, SOCK_LINGER)
        return 0
    t_sec = <unsigned long>ling.l_linger
    if t_sec >= <unsigned long>MAX_SCHEDULE_TIMEOUT() // hz:
        sk.sk_lingertime = <unsigned long>MAX_SCHEDULE_TIMEOUT()
    else:
        sk.sk_lingertime = t_sec * hz
    sock_set_flag(sk, SOCK_LINGER)
    return 0


cdef int sock_set_timestamping(sock *sk, int optname, int val) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    if val & ~<int>SOF_TIMESTAMPING_MASK:
        return -EINVAL
    if val & SOF_TIMESTAMPING_OPT_ID_TCP and not (val & SOF_TIMESTAMPING_OPT_ID):
        return -EINVAL
    if val & SOF_TIMESTAMPING_OPT_ID and not (sk.sk_tsflags & SOF_TIMESTAMPING_OPT_ID):
        if (1 << sk.sk_state) & (TCPF_CLOSE | TCPF_LISTEN):
            return -EINVAL
        # What ids count from: the byte that is written next, or the oldest that is not acknowledged.
        sk.sk_tskey = <int>(tp.write_seq if val & SOF_TIMESTAMPING_OPT_ID_TCP else tp.snd_una)
    if val & SOF_TIMESTAMPING_OPT_STATS and not (val & SOF_TIMESTAMPING_OPT_TSONLY):
        return -EINVAL
    if val & SOF_TIMESTAMPING_BIND_PHC:
        return -EOPNOTSUPP              # there is no hardware clock
    sk.sk_tsflags = <u32>val
    sock_valbool_flag(sk, SOCK_TSTAMP_NEW, optname == SO_TIMESTAMPING_NEW)
    return 0


cdef int set_locked(sock *sk, int optname, int val, const void *optval, unsigned int optlen) noexcept nogil:
    cdef bint valbool = val != 0
    cdef net *n = sock_net(sk)
    if optname == SO_DEBUG:
        sock_valbool_flag(sk, SOCK_DBG, valbool)
    elif optname == SO_REUSEADDR:
        sk.sk_reuse = SK_CAN_REUSE if valbool else SK_NO_REUSE
    elif optname == SO_REUSEPORT:
        sk.sk_reuseport = valbool
    elif optname == SO_DONTROUTE:
        sock_valbool_flag(sk, SOCK_LOCALROUTE, valbool)
        sk_dst_reset(sk)
    elif optname == SO_BROADCAST:
        sock_valbool_flag(sk, SOCK_BROADCAST, valbool)
    elif optname == SO_SNDBUF:
        __sock_set_sndbuf(sk, <int>min_u32(<u32>val, n.core.sysctl_wmem_max))
    elif optname == SO_SNDBUFFORCE:
        __sock_set_sndbuf(sk, max_int(val, 0))
    elif optname == SO_RCVBUF:
        __sock_set_rcvbuf(sk, <int>min_u32(<u32>val, n.core.sysctl_rmem_max))
    elif optname == SO_RCVBUFFORCE:
        __sock_set_rcvbuf(sk, max_int(val, 0))
    elif optname == SO_KEEPALIVE:
        tcp_set_keepalive(sk, valbool)
        sock_valbool_flag(sk, SOCK_KEEPOPEN, valbool)
    elif optname == SO_OOBINLINE:
        sock_valbool_flag(sk, SOCK_URGINLINE, valbool)
    elif optname == SO_NO_CHECK:
        sk.sk_no_check_tx = valbool
    elif optname == SO_LINGER:
        return set_linger(sk, optval, optlen)
    elif optname == SO_BSDCOMPAT:
        pass
    elif optname == SO_TIMESTAMP or optname == SO_TIMESTAMP_NEW:
        __sock_set_timestamps(sk, valbool, optname == SO_TIMESTAMP_NEW, 0)
    elif optname == SO_TIMESTAMPNS or optname == SO_TIMESTAMPNS_NEW:
        __sock_set_timestamps(sk, valbool, optname == SO_TIMESTAMPNS_NEW, 1)
    elif optname == SO_TIMESTAMPING or optname == SO_TIMESTAMPING_NEW:
        return sock_set_timestamping(sk, optname, val)
    elif optname == SO_RCVLOWAT:
        if val < 0:
            val = INT_MAX
        if sk.sk_socket != NULL:
            return tcp_set_rcvlowat(sk, val)
        sk.sk_rcvlowat = val if val else 1
    elif optname == SO_ATTACH_FILTER:
        not_ported(n, "socket filters (BPF)")
    elif optname == SO_DETACH_FILTER:
        return -ENOENT
    elif optname == SO_LOCK_FILTER:
        if sock_flag(sk, SOCK_FILTER_LOCKED) and not valbool:
            return -EPERM
        sock_valbool_flag(sk, SOCK_FILTER_LOCKED, valbool)
    elif optname == SO_MARK:
        if <u32>val != sk.sk_mark:
            sk.sk_mark = <u32>val
            sk_dst_reset(sk)
    elif optname == SO_RCVMARK:
        sock_valbool_flag(sk, SOCK_RCVMARK, valbool)
    elif optname == SO_RCVPRIORITY:
        sock_valbool_flag(sk, SOCK_RCVPRIORITY, valbool)
    elif optname == SO_RXQ_OVFL:
        sock_valbool_flag(sk, SOCK_RXQ_OVFL, valbool)
    elif optname == SO_NOFCS:
        sock_valbool_flag(sk, SOCK_NOFCS, valbool)
    elif optname == SO_SELECT_ERR_QUEUE:
        sock_valbool_flag(sk, SOCK_SELECT_ERR_QUEUE, valbool)
    elif optname == SO_PASSCRED:
        return -EOPNOTSUPP
    elif optname == SO_INCOMING_CPU:
        sk.sk_incoming_cpu = <u32>val
    elif optname == SO_ZEROCOPY:
        if val < 0 or val > 1:
            return -EINVAL
        sock_valbool_flag(sk, SOCK_ZEROCOPY, valbool)
    elif optname == SO_TXTIME:
        not_ported(n, "SO_TXTIME")
    elif optname == SO_BINDTOIFINDEX:
        return sock_bindtoindex_locked(sk, val)
    elif optname == SO_BUF_LOCK:
        if val & ~SOCK_BUF_LOCK_MASK:
            return -EINVAL
        sk.sk_userlocks = <u8>(val | (sk.sk_userlocks & ~SOCK_BUF_LOCK_MASK))
    elif optname == SO_RESERVE_MEM:
        # Memory is reserved in a memory cgroup, and there is none.
        if val < 0:
            return -EINVAL
        return -EOPNOTSUPP
    else:
        return -ENOPROTOOPT
    return 0


cdef int sk_setsockopt(sock *sk, int level, int optname, void *optval, unsigned int optlen) noexcept nogil:
    cdef int val
    cdef int ret
    if optname == SO_BINDTODEVICE:
        return sock_setbindtodevice(sk, optval, optlen)
    if optlen < sizeof(int):
        return -EINVAL
    memcpy(&val, optval, sizeof(int))
    ret = set_unlocked(sk, optname, val, optval, optlen)
    if ret != 1:
        return ret
    ret = set_locked(sk, optname, val, optval, optlen)
    sockopt_release_sock(sk)
    return ret


cdef int sock_setsockopt(socket *sock_, int level, int optname, void *optval, unsigned int optlen) noexcept nogil:
    return sk_setsockopt(sock_.sk, level, optname, optval, optlen)


cdef int get_int(sock *sk, int optname, int *val) noexcept nogil:
    """Options whose value is an int; 1: not one of them."""
    if optname == SO_DEBUG:
        val[0] = sock_flag(sk, SOCK_DBG)
    elif optname == SO_DONTROUTE:
        val[0] = sock_flag(sk, SOCK_LOCALROUTE)
    elif optname == SO_BROADCAST:
        val[0] = sock_flag(sk, SOCK_BROADCAST)
    elif optname == SO_SNDBUF:
        val[0] = sk.sk_sndbuf
    elif optname == SO_RCVBUF:
        val[0] = sk.sk_rcvbuf
    elif optname == SO_REUSEADDR:
        val[0] = sk.sk_reuse
    elif optname == SO_REUSEPORT:
        val[0] = sk.sk_reuseport
    elif optname == SO_KEEPALIVE:
        val[0] = sock_flag(sk, SOCK_KEEPOPEN)
    elif optname == SO_TYPE:
        val[0] = sk.sk_type
    elif optname == SO_PROTOCOL:
        val[0] = sk.sk_protocol
    elif optname == SO_DOMAIN:
        val[0] = sk.sk_family
    elif optname == SO_ERROR:
        val[0] = -sock_error(sk)
        if val[0] == 0:
            val[0] = sk.sk_err_soft
            sk.sk_err_soft = 0
    elif optname == SO_OOBINLINE:
        val[0] = sock_flag(sk, SOCK_URGINLINE)
    elif optname == SO_NO_CHECK:
        val[0] = sk.sk_no_check_tx
    elif optname == SO_PRIORITY:
        val[0] = <int>sk.sk_priority
    elif optname == SO_BSDCOMPAT:
        val[0] = 0
    elif optname == SO_TIMESTAMP:
        val[0] = (sock_flag(sk, SOCK_RCVTSTAMP) and not sock_flag(sk, SOCK_TSTAMP_NEW) and
                  not sock_flag(sk, SOCK_RCVTSTAMPNS))
    elif optname == SO_TIMESTAMPNS:
        val[0] = sock_flag(sk, SOCK_RCVTSTAMPNS) and not sock_flag(sk, SOCK_TSTAMP_NEW)
    elif optname == SO_TIMESTAMP_NEW:
        val[0] = sock_flag(sk, SOCK_RCVTSTAMP) and sock_flag(sk, SOCK_TSTAMP_NEW)
    elif optname == SO_TIMESTAMPNS_NEW:
        val[0] = sock_flag(sk, SOCK_RCVTSTAMPNS) and sock_flag(sk, SOCK_TSTAMP_NEW)
    elif optname == SO_RCVLOWAT:
        val[0] = sk.sk_rcvlowat
    elif optname == SO_SNDLOWAT:
        val[0] = 1
    elif optname == SO_ACCEPTCONN:
        val[0] = sk.sk_state == TCP_LISTEN
    elif optname == SO_MARK:
        val[0] = <int>sk.sk_mark
    elif optname == SO_RCVMARK:
        val[0] = sock_flag(sk, SOCK_RCVMARK)
    elif optname == SO_RCVPRIORITY:
        val[0] = sock_flag(sk, SOCK_RCVPRIORITY)
    elif optname == SO_RXQ_OVFL:
        val[0] = sock_flag(sk, SOCK_RXQ_OVFL)
    elif optname == SO_PEEK_OFF:
        val[0] = sk.sk_peek_off
    elif optname == SO_NOFCS:
        val[0] = sock_flag(sk, SOCK_NOFCS)
    elif optname == SO_LOCK_FILTER:
        val[0] = sock_flag(sk, SOCK_FILTER_LOCKED)
    elif optname == SO_SELECT_ERR_QUEUE:
        val[0] = sock_flag(sk, SOCK_SELECT_ERR_QUEUE)
    elif optname == SO_BUSY_POLL or optname == SO_PREFER_BUSY_POLL or optname == SO_INCOMING_NAPI_ID:
        val[0] = 0
    elif optname == SO_INCOMING_CPU:
        val[0] = <int>sk.sk_incoming_cpu
    elif optname == SO_ZEROCOPY:
        val[0] = sock_flag(sk, SOCK_ZEROCOPY)
    elif optname == SO_BINDTOIFINDEX:
        val[0] = sk.sk_bound_dev_if
    elif optname == SO_BUF_LOCK:
        val[0] = sk.sk_userlocks & SOCK_BUF_LOCK_MASK
    elif optname == SO_RESERVE_MEM:
        val[0] = <int>sk.sk_reserved_mem
    elif optname == SO_TXREHASH:
        val[0] = sk.sk_txrehash
    else:
        return 1
    return 0


cdef int sk_getsockopt(sock *sk, int level, int optname, void *optval, int *optlen) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef u64 v[8]
    cdef linger ling
    cdef kernel_timeval tv
    cdef int length = optlen[0]
    cdef int lv = sizeof(int)
    cdef int val = 0
    if length < 0:
        return -EINVAL
    memset(v, 0, sizeof(v))
    if get_int(sk, optname, &val) == 0:
        memcpy(v, &val, sizeof(int))
    elif optname == SO_LINGER:
        lv = sizeof(ling)
        ling.l_onoff = sock_flag(sk, SOCK_LINGER)
        ling.l_linger = <int>(sk.sk_lingertime // n.e.hz)
        memcpy(v, &ling, sizeof(ling))
    elif optname == SO_TIMESTAMPING or optname == SO_TIMESTAMPING_NEW:
        lv = 8
        if optname == SO_TIMESTAMPING or sock_flag(sk, SOCK_TSTAMP_NEW):
            v[0] = sk.sk_tsflags
    elif optname == SO_RCVTIMEO or optname == SO_RCVTIMEO_NEW:
        lv = sock_get_timeout(n, sk.sk_rcvtimeo, &tv)
        memcpy(v, &tv, sizeof(tv))
    elif optname == SO_SNDTIMEO or optname == SO_SNDTIMEO_NEW:
        lv = sock_get_timeout(n, sk.sk_sndtimeo, &tv)
        memcpy(v, &tv, sizeof(tv))
    elif optname == SO_PASSCRED:
        return -EOPNOTSUPP
    elif optname == SO_MAX_PACING_RATE:
        if length >= <int>sizeof(unsigned long):
            lv = sizeof(unsigned long)
            v[0] = sk.sk_max_pacing_rate
        else:
            v[0] = min_ulong(UINT_MAX(), sk.sk_max_pacing_rate)
    elif optname == SO_MEMINFO:
        lv = SK_MEMINFO_VARS * sizeof(u32)
        sk_get_meminfo(sk, <u32 *>v)
    elif optname == SO_COOKIE:
        lv = sizeof(u64)
        if length < lv:
            return -EINVAL
        if sk.sk_cookie == 0:
            n.next_cookie += 1
            sk.sk_cookie = <s64>n.next_cookie
        v[0] = <u64>sk.sk_cookie
    else:
        return -ENOPROTOOPT
    length = min_int(length, lv)
    memcpy(optval, v, <size_t>length)
    optlen[0] = length
    return 0


cdef void sk_get_meminfo(const sock *sk, u32 *mem) noexcept nogil:
    mem[0] = <u32>sk_rmem_alloc_get(sk)
    mem[1] = <u32>sk.sk_rcvbuf
    mem[2] = <u32>sk_wmem_alloc_get(sk)
    mem[3] = <u32>sk.sk_sndbuf
    mem[4] = <u32>sk.sk_forward_alloc
    mem[5] = <u32>sk.sk_wmem_queued
    mem[6] = <u32>sk.sk_omem_alloc
    mem[7] = <u32>sk.sk_backlog.len
    mem[8] = <u32>sk_drops_read(sk)


# ---------------------------------------------------------------------------------------------- life of a socket

# The lock's ownership, the reference count and the node stay the new socket's own.
cdef void sock_copy(sock *nsk, const sock *osk) noexcept nogil:
    cdef size_t begin = <size_t>&(<sock *>NULL).sk_refcnt
    cdef size_t end = <size_t>&(<sock *>NULL).sk_net
    cdef list_head host_node = nsk.sk_host_node
    memcpy(nsk, osk, begin)
    memcpy(<char *>nsk + end, <const char *>osk + end, osk.sk_prot.obj_size - end)
    nsk.sk_host_node = host_node


# Each socket of the host is in one list, so that none is forgotten when the host closes.
cdef sock *sk_prot_alloc(net *n, proto *prot, bint zero) noexcept nogil:
    """zero: cleared (the kernel's __GFP_ZERO)."""
    cdef sock *sk = <sock *>(kmem_cache_zalloc(prot.slab) if zero else kmem_cache_alloc(prot.slab))
    if sk != NULL:
        list_add_tail(&sk.sk_host_node, &n.all_socks)
    return sk


cdef void sk_prot_free(proto *prot, sock *sk) noexcept nogil:
    list_del(&sk.sk_host_node)
    kmem_cache_free(prot.slab, sk)


cdef sock *sk_alloc(net *n, int family, gfp_t priority, proto *prot, int kern) noexcept nogil:
    cdef sock *sk = sk_prot_alloc(n, prot, 1)
    if sk == NULL:
        return NULL
    sk.sk_family = <u16>family
    sk.sk_prot = prot
    sk.sk_kern_sock = kern != 0
    sk.sk_net_refcnt = not kern
    sock_net_set(sk, n)
    sk.sk_wmem_alloc = SK_WMEM_ALLOC_BIAS
    sk_tx_queue_clear(sk)
    sk.trace_id = -1
    return sk


cdef void __sk_destruct(sock *sk) noexcept nogil:
    if sk.sk_destruct != NULL:
        sk.sk_destruct(sk)
    if sk.sk_frag.page:
        put_page(sk.sk_frag.page)
        sk.sk_frag.page = 0
    sk_prot_free(sk.sk_prot, sk)


cdef void sk_destruct(sock *sk) noexcept nogil:
    if sk.sk_reuseport_cb != NULL:
        reuseport_detach_sock(sk)
    __sk_destruct(sk)


cdef void __sk_free(sock *sk) noexcept nogil:
    sk_destruct(sk)


# Packets of the socket that are still in the device hold it through sk_wmem_alloc.
cdef void sk_free(sock *sk) noexcept nogil:
    if refcount_dec_and_test(&sk.sk_wmem_alloc):
        __sk_free(sk)


cdef void sk_init_common(sock *sk) noexcept nogil:
    skb_queue_head_init(&sk.sk_receive_queue)
    skb_queue_head_init(&sk.sk_write_queue)
    skb_queue_head_init(&sk.sk_error_queue)


cdef sock *sk_clone(const sock *sk, gfp_t priority, bint lock) noexcept nogil:
    """A copy of a listener for a new connection, with two references and nothing queued or charged."""
    cdef sock *newsk = sk_prot_alloc(sk.sk_net, sk.sk_prot, 0)
    if newsk == NULL:
        return NULL
    sock_copy(newsk, sk)
    newsk.sk_nulls_node.next = NULL
    newsk.sk_nulls_node.pprev = NULL
    newsk.sk_lock_owned = 0
    newsk.sk_backlog.head = NULL
    newsk.sk_backlog.tail = NULL
    newsk.sk_backlog.len = 0
    newsk.sk_backlog.rmem_alloc = 0
    newsk.sk_wmem_alloc = SK_WMEM_ALLOC_BIAS
    newsk.sk_omem_alloc = 0
    sk_init_common(newsk)
    newsk.sk_dst_cache = NULL
    newsk.sk_dst_pending_confirm = 0
    newsk.sk_wmem_queued = 0
    newsk.sk_forward_alloc = 0
    newsk.sk_reserved_mem = 0
    newsk.sk_drops = 0
    newsk.sk_send_head = NULL
    newsk.tcp_rtx_queue.rb_node = NULL
    newsk.sk_userlocks = sk.sk_userlocks & <u8>~SOCK_BINDPORT_LOCK
    newsk.sk_zckey = 0
    sock_reset_flag(newsk, SOCK_DONE)
    newsk.sk_reuseport_cb = NULL
    newsk.sk_err = 0
    newsk.sk_err_soft = 0
    newsk.sk_priority = 0
    newsk.sk_incoming_cpu = 0
    newsk.sk_refcnt = 2
    newsk.trace_id = -1
    sk_set_socket(newsk, NULL)
    sk_tx_queue_clear(newsk)
    sk_rx_queue_clear(newsk)
    sk_sockets_allocated_inc(newsk)
    return newsk


cdef sock *sk_clone_lock(const sock *sk, gfp_t priority) noexcept nogil:
    return sk_clone(sk, priority, 1)


cdef void sock_init_data_uid(socket *sock_, sock *sk, u32 uid) noexcept nogil:
    cdef net *n = sock_net(sk)
    sk_init_common(sk)
    sk.sk_send_head = NULL
    timer_setup(n, &sk.tcp_retransmit_timer, NULL, TIMER_KIND_RTX)
    sk.sk_allocation = GFP_KERNEL
    sk.sk_rcvbuf = <int>n.core.sysctl_rmem_default
    sk.sk_sndbuf = <int>n.core.sysctl_wmem_default
    sk.sk_state = TCP_CLOSE
    sk.sk_use_task_frag = 1
    sk_set_socket(sk, sock_)
    sock_set_flag(sk, SOCK_ZAPPED)
    if sock_ != NULL:
        sk.sk_type = <u16>sock_.type
        sock_.sk = sk
    sk.sk_uid = uid
    sk.sk_state_change = sock_def_wakeup
    sk.sk_data_ready = sock_def_readable
    sk.sk_write_space = sock_def_write_space
    sk.sk_error_report = sock_def_error_report
    sk.sk_destruct = sock_def_destruct
    sk.sk_frag.page = 0
    sk.sk_frag.offset = 0
    sk.sk_peek_off = -1
    sk.sk_write_pending = 0
    sk.sk_rcvlowat = 1
    sk.sk_rcvtimeo = MAX_SCHEDULE_TIMEOUT()
    sk.sk_sndtimeo = MAX_SCHEDULE_TIMEOUT()
    sk.sk_stamp = -<s64>NSEC_PER_SEC
    sk.sk_zckey = 0
    sk.sk_max_pacing_rate = ULONG_MAX()
    sk.sk_pacing_rate = ULONG_MAX()
    sk.sk_pacing_shift = 10
    sk.sk_incoming_cpu = 0xFFFFFFFFU
    sk_rx_queue_clear(sk)
    sk.sk_refcnt = 1
    sk.sk_drops = 0


cdef void sock_init_data(socket *sock_, sock *sk) noexcept nogil:
    sock_init_data_uid(sock_, sk, 0)


cdef void sk_common_release(sock *sk) noexcept nogil:
    tcp_v4_destroy_sock(sk)
    inet_unhash(sk)
    sock_orphan(sk)
    sock_put(sk)


# ---------------------------------------------------------------------------------------------- the device's offloads

cdef u32 sk_dst_gso_max_size(sock *sk, const net_device *dev) noexcept nogil:
    cdef bint is_ipv6 = sk.sk_family == AF_INET6 and not ipv6_addr_v4mapped(&sk.sk_v6_rcv_saddr)
    cdef u32 max_size = dev.gso_max_size if is_ipv6 else dev.gso_ipv4_max_size
    if max_size > GSO_LEGACY_MAX_SIZE and not sk_is_tcp(sk):
        max_size = GSO_LEGACY_MAX_SIZE
    return max_size - (MAX_TCP_HEADER + 1)


cdef void sk_setup_caps(sock *sk, dst_entry *dst) noexcept nogil:
    """How large a packet this route takes at once. Takes over the caller's reference of dst."""
    cdef net_device *dev = dst.dev
    cdef u32 max_segs = 1
    sk.sk_route_caps = dev.features
    if sk_is_tcp(sk):
        sk.sk_route_caps |= <u64>NETIF_F_GSO
        inet_csk(sk).icsk_ack.dst_quick_ack = dst_metric(dst, RTAX_QUICKACK) != 0
    if sk.sk_route_caps & <u64>NETIF_F_GSO:
        sk.sk_route_caps |= <u64>NETIF_F_GSO_SOFTWARE_ALL
    if sk.sk_gso_disabled:
        sk.sk_route_caps &= ~<u64>NETIF_F_GSO_MASK
    if sk_can_gso(sk):
        if dst.header_len:
            sk.sk_route_caps &= ~<u64>NETIF_F_GSO_MASK
        else:
            sk.sk_route_caps |= <u64>(NETIF_F_SG | NETIF_F_HW_CSUM)
            sk.sk_gso_max_size = sk_dst_gso_max_size(sk, dev)
            max_segs = max_u32(dev.gso_max_segs, 1)
    sk.sk_gso_max_segs = <u16>max_segs
    sk_dst_set(sk, dst)


# ---------------------------------------------------------------------------------------------- who owns a packet

cdef void sock_wfree(sk_buff *skb) noexcept nogil:
    """Destructor of a sent packet."""
    cdef sock *sk = skb.sk
    cdef int length = <int>skb.truesize
    if not sock_flag(sk, SOCK_USE_WRITE_QUEUE):
        # One is kept, so that the socket lives through the callback.
        sk.sk_wmem_alloc -= length - 1
        sk.sk_write_space(sk)
        length = 1
    sk.sk_wmem_alloc -= length
    if sk.sk_wmem_alloc == 0:
        __sk_free(sk)


cdef void __sock_wfree(sk_buff *skb) noexcept nogil:
    cdef sock *sk = skb.sk
    sk.sk_wmem_alloc -= <int>skb.truesize
    if sk.sk_wmem_alloc == 0:
        __sk_free(sk)


cdef void skb_set_owner_w(sk_buff *skb, sock *sk) noexcept nogil:
    skb_orphan(skb)
    if not sk_fullsock(sk):
        skb_set_owner_edemux(skb, sk)
        return
    skb.sk = sk
    skb.destructor = sock_wfree
    skb_set_hash_from_sk(skb, sk)
    skb.ooo_okay = sk.sk_wmem_alloc == SK_WMEM_ALLOC_BIAS
    sk.sk_wmem_alloc += <int>skb.truesize


cdef void sock_rfree(sk_buff *skb) noexcept nogil:
    """Destructor of a packet in a receive queue."""
    cdef sock *sk = skb.sk
    cdef int length = <int>skb.truesize
    sk.sk_backlog.rmem_alloc -= length
    sk_mem_uncharge(sk, length)


cdef void sock_efree(sk_buff *skb) noexcept nogil:
    sock_put(skb.sk)


cdef void sock_edemux(sk_buff *skb) noexcept nogil:
    sock_gen_put(skb.sk)


cdef void sock_ofree(sk_buff *skb) noexcept nogil:
    skb.sk.sk_omem_alloc -= <int>skb.truesize


cdef sk_buff *sock_wmalloc(sock *sk, unsigned long size, int force, gfp_t priority) noexcept nogil:
    cdef sk_buff *skb = NULL
    if force or sk.sk_wmem_alloc < sk.sk_sndbuf:
        skb = alloc_skb(sock_net(sk), <unsigned int>size, priority)
        if skb != NULL:
            skb_set_owner_w(skb, sk)
    return skb


cdef void *sock_kmalloc(sock *sk, int size, gfp_t priority) noexcept nogil:
    cdef int optmem_max = sock_net(sk).core.sysctl_optmem_max
    cdef void *mem
    if size > optmem_max or sk.sk_omem_alloc + size >= optmem_max:
        return NULL
    mem = kmem_cache_alloc(&sock_net(sk).misc_slab)
    if mem != NULL:
        sk.sk_omem_alloc += size
    return mem


cdef sk_buff *sock_omalloc(sock *sk, unsigned long size, gfp_t priority) noexcept nogil:
    cdef sk_buff *skb
    if sk.sk_omem_alloc + <long>SKB_TRUESIZE(<unsigned int>size) > sock_net(sk).core.sysctl_optmem_max:
        return NULL
    skb = alloc_skb(sock_net(sk), <unsigned int>size, priority)
    if skb == NULL:
        return NULL
    sk.sk_omem_alloc += <int>skb.truesize
    skb.sk = sk
    skb.destructor = sock_ofree
    return skb


cdef int __sock_queue_rcv_skb(sock *sk, sk_buff *skb) noexcept nogil:
    if sk.sk_backlog.rmem_alloc >= sk.sk_rcvbuf:
        sk_drops_inc(sk)
        return -ENOMEM
    if not sk_rmem_schedule(sk, skb, <int>skb.truesize):
        sk_drops_inc(sk)
        return -ENOBUFS
    skb.dev = NULL
    skb_set_owner_r(skb, sk)
    __skb_queue_tail(&sk.sk_receive_queue, skb)
    if not sock_flag(sk, SOCK_DEAD):
        sk.sk_data_ready(sk)
    return 0


cdef int sock_queue_rcv_skb_reason(sock *sk, sk_buff *skb, int *reason) noexcept nogil:
    cdef int err = __sock_queue_rcv_skb(sk, skb)
    cdef int drop_reason = SKB_NOT_DROPPED_YET
    if err == -ENOMEM:
        drop_reason = SKB_DROP_REASON_SOCKET_RCVBUFF
    elif err == -ENOBUFS:
        drop_reason = SKB_DROP_REASON_PROTO_MEM
    if reason != NULL:
        reason[0] = drop_reason
    return err


# ---------------------------------------------------------------------------------------------- memory

cdef bint skb_page_frag_refill(net *n, unsigned int sz, page_frag *pfrag, gfp_t gfp) noexcept nogil:
    """Makes sure that sz bytes (a page at most) can be taken from pfrag."""
    if pfrag.page:
        if page_ref_count(pfrag.page) == 1:
            pfrag.offset = 0
            return 1
        if pfrag.offset + sz <= pfrag.size:
            return 1
        put_page(pfrag.page)
    pfrag.offset = 0
    pfrag.page = alloc_page_ref(n, SKB_FRAG_PAGE_ORDER)
    pfrag.size = PAGE_SIZE << SKB_FRAG_PAGE_ORDER
    return pfrag.page != 0


cdef bint sk_page_frag_refill(sock *sk, page_frag *pfrag) noexcept nogil:
    if skb_page_frag_refill(sock_net(sk), 32, pfrag, sk.sk_allocation):
        return 1
    if not sk.sk_bypass_prot_mem:
        tcp_enter_memory_pressure(sk)
    sk_stream_moderate_sndbuf(sk)
    return 0


cdef int suppress_allocation(sock *sk, int size, int amt, int kind, long allocated) noexcept nogil:
    if kind == SK_MEM_SEND and sk.sk_type == SOCK_STREAM:
        sk_stream_moderate_sndbuf(sk)
        # A sender below its limit cannot wait for itself: only then it fails.
        if sk.sk_wmem_queued + size >= sk.sk_sndbuf:
            return 1
    trace_event(sk, EV_EXCEED_BUF_LIMIT, NULL, kind)
    if allocated:
        sk_memory_allocated_sub(sk, amt)
    return 0


cdef int __sk_mem_raise_allocated(sock *sk, int size, int amt, int kind) noexcept nogil:
    """Takes amt pages from the protocol's account; 0: refused."""
    cdef net *n = sock_net(sk)
    cdef long allocated = 0
    cdef u64 alloc
    cdef long used
    if not sk.sk_bypass_prot_mem:
        sk_memory_allocated_add(sk, amt)
        allocated = sk_memory_allocated(sk)
    if not allocated:
        return 1
    if allocated <= sk_prot_mem_limits(sk, 0):
        tcp_leave_memory_pressure(sk)
        return 1
    if allocated > sk_prot_mem_limits(sk, 1):
        tcp_enter_memory_pressure(sk)
    if allocated > sk_prot_mem_limits(sk, 2):
        return suppress_allocation(sk, size, amt, kind, allocated)

    # The least buffer is guaranteed, or window scaling (RFC 7323) would not work under pressure.
    if kind == SK_MEM_RECV:
        if sk.sk_backlog.rmem_alloc < n.ipv4.sysctl_tcp_rmem[0]:
            return 1
    elif sk.sk_type == SOCK_STREAM:
        if sk.sk_wmem_queued < n.ipv4.sysctl_tcp_wmem[0]:
            return 1
    elif sk.sk_wmem_alloc < n.ipv4.sysctl_tcp_wmem[0]:
        return 1

    if not sk_under_global_memory_pressure(sk):
        return 1
    # Under pressure, whoever uses less than the average may still grow.
    alloc = sk_sockets_allocated_read_positive(sk)
    used = sk_mem_pages(sk.sk_wmem_queued + sk.sk_backlog.rmem_alloc + sk.sk_forward_alloc)
    if <u64>sk_prot_mem_limits(sk, 2) > alloc * <u64>used:
        return 1
    return suppress_allocation(sk, size, amt, kind, allocated)


cdef int __sk_mem_schedule(sock *sk, int size, int kind) noexcept nogil:
    """Adds whole pages for size bytes to forward_alloc; 0: refused."""
    cdef int amt = sk_mem_pages(size)
    cdef int ret
    sk_forward_alloc_add(sk, amt << PAGE_SHIFT)
    ret = __sk_mem_raise_allocated(sk, size, amt, kind)
    if not ret:
        sk_forward_alloc_add(sk, -(amt << PAGE_SHIFT))
    return ret


cdef void __sk_mem_reduce_allocated(sock *sk, int amount) noexcept nogil:
    if sk.sk_bypass_prot_mem:
        return
    sk_memory_allocated_sub(sk, amount)
    if sk_under_global_memory_pressure(sk) and sk_memory_allocated(sk) < sk_prot_mem_limits(sk, 0):
        tcp_leave_memory_pressure(sk)


cdef void __sk_mem_reclaim(sock *sk, int amount) noexcept nogil:
    amount >>= PAGE_SHIFT
    sk_forward_alloc_add(sk, -(amount << PAGE_SHIFT))
    __sk_mem_reduce_allocated(sk, amount)


# ---------------------------------------------------------------------------------------------- waiting and waking

# What came while a call held the socket; what comes meanwhile is taken in the next round.
cdef void __release_sock(sock *sk) noexcept nogil:
    cdef sk_buff *skb = sk.sk_backlog.head
    cdef sk_buff *nxt
    sk.sk_backlog.head = NULL
    sk.sk_backlog.tail = NULL
    while skb != NULL:
        nxt = skb.next
        skb.next = NULL
        sk.sk_backlog_rcv(sk, skb)
        skb = nxt
    sk.sk_backlog.len = 0


cdef void release_sock(sock *sk) noexcept nogil:
    if sk.sk_backlog.tail != NULL:
        __release_sock(sk)
    tcp_release_cb(sk)
    sk.sk_lock_owned = 0


cdef int sk_wait_data(sock *sk, msghdr *msg, long *timeo, const sk_buff *skb) noexcept nogil:
    """Sleeps until skb is not the receive queue's last. 1: it isn't; 0: woken otherwise; -EPIPE: disconnected."""
    if msg.resume:
        timeo[0] = sk_wait_resume(sk, msg)
        sk_clear_bit(SOCKWQ_ASYNC_WAITDATA, sk)
        if msg.disconnects != sk.sk_disconnects:
            return -EPIPE
        return skb_peek_tail(&sk.sk_receive_queue) != skb
    sk_set_bit(SOCKWQ_ASYNC_WAITDATA, sk)
    msg.disconnects = sk.sk_disconnects
    release_sock(sk)
    if skb_peek_tail(&sk.sk_receive_queue) != skb:
        sk_clear_bit(SOCKWQ_ASYNC_WAITDATA, sk)
        return 1
    sk_wait_begin(sk, msg, EPOLLIN | EPOLLPRI | EPOLLERR | EPOLLHUP | EPOLLRDHUP, timeo[0])
    return -ERESTARTSYS


cdef void sock_def_wakeup(sock *sk) noexcept nogil:
    sk_wake(sk, EPOLL_ALL)


cdef void sock_def_error_report(sock *sk) noexcept nogil:
    sk_wake(sk, EPOLLERR)


cdef void sock_def_readable(sock *sk) noexcept nogil:
    trace_event(sk, EV_DATA_READY, NULL, 0)
    sk_wake(sk, EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND)


cdef void sock_def_write_space(sock *sk) noexcept nogil:
    if sock_writeable(sk):
        sk_wake(sk, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)


cdef void sock_def_destruct(sock *sk) noexcept nogil:
    pass


# No signals here: whoever polls sees EPOLLPRI.
cdef void sk_send_sigurg(sock *sk) noexcept nogil:
    pass


# A pending timer holds a reference.
cdef void sk_reset_timer(sock *sk, timer_list *timer, unsigned long expires) noexcept nogil:
    if not mod_timer(timer, expires):
        sock_hold(sk)


cdef void sk_stop_timer(sock *sk, timer_list *timer) noexcept nogil:
    if timer_delete(timer):
        __sock_put(sk)


cdef void sk_stop_timer_sync(sock *sk, timer_list *timer) noexcept nogil:
    sk_stop_timer(sk, timer)
