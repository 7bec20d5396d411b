"""What was learned of a destination, kept from one connection to the next: RTT, ssthresh, cwnd, reordering, Fast Open.

RFC 9040 (sharing of control blocks in time). A new entry takes its values, and the locks that forbid to change them,
from the route's metrics; it is forgotten after an hour.
Follows net/ipv4/tcp_metrics.c of Linux 6.18 (GPL-2.0-only).

Deviations: the hash table is the host's own; no netlink.
"""
from libc.stdlib cimport calloc, free
from kpath_c.headers.tcp cimport *
from kpath_c.headers.hash cimport ipv4_addr_hash, ipv6_addr_hash, net_hash_mix
from kpath_c.net_tcp cimport *
from kpath_c.shim.slab cimport kmem_cache_zalloc, kmem_cache_free

cdef enum:
    TCP_METRICS_HASH_LOG = 14           # 16 K slots, as with 512 MB of memory or more
    TCP_METRICS_RECLAIM_DEPTH = 5
    GOLDEN_RATIO_32 = 0x61C88647


cdef inline tcp_metrics_block *TCP_METRICS_RECLAIM_PTR() noexcept nogil:
    return <tcp_metrics_block *><size_t>1

cdef inline unsigned long TCP_METRICS_TIMEOUT(net *n) noexcept nogil:
    return 60 * 60 * <unsigned long>HZ(n)

cdef inline bint tcp_metric_locked(tcp_metrics_block *tm, int idx) noexcept nogil:
    return (tm.tcpm_lock & (<u32>1 << idx)) != 0

cdef inline u32 tcp_metric_get(tcp_metrics_block *tm, int idx) noexcept nogil:
    return tm.tcpm_vals[idx]

cdef inline void tcp_metric_set(tcp_metrics_block *tm, int idx, u32 val) noexcept nogil:
    tm.tcpm_vals[idx] = val

cdef inline unsigned int metrics_slot(net *n, const in6_addr *daddr) noexcept nogil:
    cdef u32 h = ipv4_addr_hash(daddr.s6_addr32[3]) if ipv6_addr_v4mapped(daddr) else ipv6_addr_hash(daddr)
    h ^= net_hash_mix(n)
    return <u32>(h * <u32>GOLDEN_RATIO_32) >> (32 - n.ipv4.tcp_metrics_hash_log)


# The values of the route, in this cache's units
cdef void tcpm_suck_dst(net *n, tcp_metrics_block *tm, dst_entry *dst, bint fastopen_clear) noexcept nogil:
    cdef u32 val = 0

    tm.tcpm_stamp = jiffies(n)

    if dst_metric_locked(dst, RTAX_RTT):
        val |= 1 << TCP_METRIC_RTT
    if dst_metric_locked(dst, RTAX_RTTVAR):
        val |= 1 << TCP_METRIC_RTTVAR
    if dst_metric_locked(dst, RTAX_SSTHRESH):
        val |= 1 << TCP_METRIC_SSTHRESH
    if dst_metric_locked(dst, RTAX_CWND):
        val |= 1 << TCP_METRIC_CWND
    if dst_metric_locked(dst, RTAX_REORDERING):
        val |= 1 << TCP_METRIC_REORDERING
    tm.tcpm_lock = val

    tcp_metric_set(tm, TCP_METRIC_RTT, dst_metric_raw(dst, RTAX_RTT) * <u32>USEC_PER_MSEC)
    tcp_metric_set(tm, TCP_METRIC_RTTVAR, dst_metric_raw(dst, RTAX_RTTVAR) * <u32>USEC_PER_MSEC)
    tcp_metric_set(tm, TCP_METRIC_SSTHRESH, dst_metric_raw(dst, RTAX_SSTHRESH))
    tcp_metric_set(tm, TCP_METRIC_CWND, dst_metric_raw(dst, RTAX_CWND))
    tcp_metric_set(tm, TCP_METRIC_REORDERING, dst_metric_raw(dst, RTAX_REORDERING))
    if fastopen_clear:
        tm.tcpm_fastopen.mss = 0
        tm.tcpm_fastopen.syn_loss = 0
        tm.tcpm_fastopen.try_exp = 0
        tm.tcpm_fastopen.cookie.exp = 0
        tm.tcpm_fastopen.cookie.len = 0


cdef void tcpm_check_stamp(net *n, tcp_metrics_block *tm, dst_entry *dst) noexcept nogil:
    if tm != NULL and time_after(jiffies(n), tm.tcpm_stamp + TCP_METRICS_TIMEOUT(n)):
        tcpm_suck_dst(n, tm, dst, False)


# NULL: not there; TCP_METRICS_RECLAIM_PTR(): not there, and the chain is too long to add one.
cdef tcp_metrics_block *__tcp_get_metrics(net *n, const in6_addr *saddr, const in6_addr *daddr,
                                          unsigned int hash_) noexcept nogil:
    cdef tcp_metrics_block *tm = n.ipv4.tcp_metrics_hash[hash_]
    cdef int depth = 0

    while tm != NULL:
        if ipv6_addr_equal(&tm.tcpm_saddr, saddr) and ipv6_addr_equal(&tm.tcpm_daddr, daddr):
            return tm
        depth += 1
        tm = tm.tcpm_next
    if depth > TCP_METRICS_RECLAIM_DEPTH:
        return TCP_METRICS_RECLAIM_PTR()
    return NULL


cdef tcp_metrics_block *tcpm_new(net *n, dst_entry *dst, const in6_addr *saddr, const in6_addr *daddr,
                                 unsigned int hash_, bint reclaim) noexcept nogil:
    cdef tcp_metrics_block *tm
    cdef tcp_metrics_block *oldest

    if reclaim:
        oldest = n.ipv4.tcp_metrics_hash[hash_]
        tm = oldest.tcpm_next
        while tm != NULL:
            if time_before(tm.tcpm_stamp, oldest.tcpm_stamp):
                oldest = tm
            tm = tm.tcpm_next
        tm = oldest
    else:
        tm = <tcp_metrics_block *>kmem_cache_zalloc(&n.misc_slab)
        if tm == NULL:
            return NULL

    tm.tcpm_saddr = saddr[0]
    tm.tcpm_daddr = daddr[0]
    tcpm_suck_dst(n, tm, dst, reclaim)

    if not reclaim:
        tm.tcpm_next = n.ipv4.tcp_metrics_hash[hash_]
        n.ipv4.tcp_metrics_hash[hash_] = tm
    return tm


cdef tcp_metrics_block *__tcp_get_metrics_req(request_sock *req, dst_entry *dst) noexcept nogil:
    cdef net *n = req.ireq_net
    cdef tcp_metrics_block *tm

    tm = __tcp_get_metrics(n, &req.ir_v6_loc_addr, &req.ir_v6_rmt_addr, metrics_slot(n, &req.ir_v6_rmt_addr))
    if tm == TCP_METRICS_RECLAIM_PTR():
        tm = NULL
    tcpm_check_stamp(n, tm, dst)
    return tm


cdef tcp_metrics_block *tcp_get_metrics(sock *sk, dst_entry *dst, bint create) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef tcp_metrics_block *tm
    cdef unsigned int hash_
    cdef in6_addr saddr, daddr
    cdef bint reclaim

    if sk.sk_family == AF_INET6 and not ipv6_addr_v4mapped(&sk.sk_v6_daddr):
        saddr = sk.sk_v6_rcv_saddr
        daddr = sk.sk_v6_daddr
    else:
        ipv6_addr_set_v4mapped(inet_sk(sk).inet_saddr, &saddr)
        ipv6_addr_set_v4mapped(sk.sk_daddr, &daddr)
    hash_ = metrics_slot(n, &daddr)
    tm = __tcp_get_metrics(n, &saddr, &daddr, hash_)
    reclaim = tm == TCP_METRICS_RECLAIM_PTR()
    if reclaim:
        tm = NULL
    if tm == NULL and create:
        tm = tcpm_new(n, dst, &saddr, &daddr, hash_, reclaim)
    else:
        tcpm_check_stamp(n, tm, dst)
    return tm


# At the good end of a connection: TIME_WAIT, or LAST_ACK to CLOSE.
cdef void tcp_update_metrics(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef dst_entry *dst = __sk_dst_get(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef tcp_metrics_block *tm
    cdef unsigned long rtt, var
    cdef u32 val
    cdef int m

    sk_dst_confirm(sk)
    if n.ipv4.sysctl_tcp_nometrics_save or dst == NULL:
        return

    if icsk.icsk_backoff or not tp.srtt_us:
        # No RTT was found: what is stored isn't worth much either.
        tm = tcp_get_metrics(sk, dst, False)
        if tm != NULL and not tcp_metric_locked(tm, TCP_METRIC_RTT):
            tcp_metric_set(tm, TCP_METRIC_RTT, 0)
        return
    tm = tcp_get_metrics(sk, dst, True)
    if tm == NULL:
        return

    rtt = tcp_metric_get(tm, TCP_METRIC_RTT)
    m = <int>(rtt - tp.srtt_us)

    # Up at once, down by an eighth
    if not tcp_metric_locked(tm, TCP_METRIC_RTT):
        if m <= 0:
            rtt = tp.srtt_us
        else:
            rtt -= <unsigned long>(m >> 3)
        tcp_metric_set(tm, TCP_METRIC_RTT, <u32>rtt)

    if not tcp_metric_locked(tm, TCP_METRIC_RTTVAR):
        if m < 0:
            m = -m
        m >>= 1
        if <u32>m < tp.mdev_us:
            m = <int>tp.mdev_us
        var = tcp_metric_get(tm, TCP_METRIC_RTTVAR)
        if <unsigned long><long>m >= var:
            var = <unsigned long><long>m
        else:
            var -= (var - <unsigned long><long>m) >> 2
        tcp_metric_set(tm, TCP_METRIC_RTTVAR, <u32>var)

    if tcp_in_initial_slowstart(tp):
        # Never left slow start
        if not n.ipv4.sysctl_tcp_no_ssthresh_metrics_save and not tcp_metric_locked(tm, TCP_METRIC_SSTHRESH):
            val = tcp_metric_get(tm, TCP_METRIC_SSTHRESH)
            if val and (tcp_snd_cwnd(tp) >> 1) > val:
                tcp_metric_set(tm, TCP_METRIC_SSTHRESH, tcp_snd_cwnd(tp) >> 1)
        if not tcp_metric_locked(tm, TCP_METRIC_CWND):
            val = tcp_metric_get(tm, TCP_METRIC_CWND)
            if tcp_snd_cwnd(tp) > val:
                tcp_metric_set(tm, TCP_METRIC_CWND, tcp_snd_cwnd(tp))
    elif not tcp_in_slow_start(tp) and icsk.icsk_ca_state == TCP_CA_Open:
        # In congestion avoidance cwnd can be trusted.
        if not n.ipv4.sysctl_tcp_no_ssthresh_metrics_save and not tcp_metric_locked(tm, TCP_METRIC_SSTHRESH):
            tcp_metric_set(tm, TCP_METRIC_SSTHRESH, max_u32(tcp_snd_cwnd(tp) >> 1, tp.snd_ssthresh))
        if not tcp_metric_locked(tm, TCP_METRIC_CWND):
            val = tcp_metric_get(tm, TCP_METRIC_CWND)
            tcp_metric_set(tm, TCP_METRIC_CWND, <u32>(val + tcp_snd_cwnd(tp)) >> 1)
    else:
        # In slow start after a loss: cwnd says nothing, ssthresh little.
        if not tcp_metric_locked(tm, TCP_METRIC_CWND):
            val = tcp_metric_get(tm, TCP_METRIC_CWND)
            tcp_metric_set(tm, TCP_METRIC_CWND, <u32>(val + tp.snd_ssthresh) >> 1)
        if not n.ipv4.sysctl_tcp_no_ssthresh_metrics_save and not tcp_metric_locked(tm, TCP_METRIC_SSTHRESH):
            val = tcp_metric_get(tm, TCP_METRIC_SSTHRESH)
            if val and tp.snd_ssthresh > val:
                tcp_metric_set(tm, TCP_METRIC_SSTHRESH, tp.snd_ssthresh)
        if not tcp_metric_locked(tm, TCP_METRIC_REORDERING):
            val = tcp_metric_get(tm, TCP_METRIC_REORDERING)
            if val < tp.reordering and tp.reordering != <u32>n.ipv4.sysctl_tcp_reordering:
                tcp_metric_set(tm, TCP_METRIC_REORDERING, tp.reordering)
    tm.tcpm_stamp = jiffies(n)


# The first RTO: from the cached RTT if that is longer than the handshake's; RFC 6298 5.7 if neither is known.
cdef void init_metrics_rto(sock *sk, u32 crtt) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)

    if crtt > tp.srtt_us:
        crtt = <u32>(crtt // <u64>(8 * USEC_PER_SEC // HZ(n)))
        inet_csk(sk).icsk_rto = crtt + max_u32(2 * crtt, tcp_rto_min(sk))
    elif tp.srtt_us == 0:
        tp.rttvar_us = jiffies_to_usecs(n, TCP_TIMEOUT_FALLBACK(n))
        tp.mdev_us = tp.mdev_max_us = tp.rttvar_us
        inet_csk(sk).icsk_rto = TCP_TIMEOUT_FALLBACK(n)


cdef void tcp_init_metrics(sock *sk) noexcept nogil:
    cdef dst_entry *dst = __sk_dst_get(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef tcp_metrics_block *tm = NULL
    cdef u32 val
    cdef u32 crtt = 0                   # us << 3, as srtt_us

    sk_dst_confirm(sk)
    # The handshake may have lowered it for nothing.
    tp.snd_ssthresh = TCP_INFINITE_SSTHRESH
    if dst != NULL:
        tm = tcp_get_metrics(sk, dst, False)
    if tm != NULL:
        if tcp_metric_locked(tm, TCP_METRIC_CWND):
            tp.snd_cwnd_clamp = tcp_metric_get(tm, TCP_METRIC_CWND)
        val = 0 if n.ipv4.sysctl_tcp_no_ssthresh_metrics_save else tcp_metric_get(tm, TCP_METRIC_SSTHRESH)
        if val:
            tp.snd_ssthresh = val
            if tp.snd_ssthresh > tp.snd_cwnd_clamp:
                tp.snd_ssthresh = tp.snd_cwnd_clamp
        val = tcp_metric_get(tm, TCP_METRIC_REORDERING)
        if val and tp.reordering != val:
            tp.reordering = val
        crtt = tcp_metric_get(tm, TCP_METRIC_RTT)
    init_metrics_rto(sk, crtt)


# Has a connection of that peer ended well? (Then it isn't a spoofed SYN's address.)
cdef bint tcp_peer_is_proven(request_sock *req, dst_entry *dst) noexcept nogil:
    cdef tcp_metrics_block *tm

    if dst == NULL:
        return False
    tm = __tcp_get_metrics_req(req, dst)
    return tm != NULL and tcp_metric_get(tm, TCP_METRIC_RTT) != 0


cdef void tcp_fastopen_cache_get(sock *sk, u16 *mss, tcp_fastopen_cookie *cookie) noexcept nogil:
    cdef tcp_metrics_block *tm = tcp_get_metrics(sk, __sk_dst_get(sk), False)

    if tm == NULL:
        return
    if tm.tcpm_fastopen.mss:
        mss[0] = tm.tcpm_fastopen.mss
    cookie[0] = tm.tcpm_fastopen.cookie
    if cookie.len <= 0 and tm.tcpm_fastopen.try_exp == 1:
        cookie.exp = 1


cdef void tcp_fastopen_cache_set(sock *sk, u16 mss, tcp_fastopen_cookie *cookie, bint syn_lost,
                                 u16 try_exp) noexcept nogil:
    cdef dst_entry *dst = __sk_dst_get(sk)
    cdef tcp_metrics_block *tm
    cdef tcp_fastopen_metrics *tfom

    if dst == NULL:
        return
    tm = tcp_get_metrics(sk, dst, True)
    if tm == NULL:
        return
    tfom = &tm.tcpm_fastopen
    if mss:
        tfom.mss = mss
    if cookie != NULL and cookie.len > 0:
        tfom.cookie = cookie[0]
    elif try_exp > tfom.try_exp and tfom.cookie.len <= 0 and not tfom.cookie.exp:
        tfom.try_exp = <u8>(try_exp & 3)
    if syn_lost:
        tfom.syn_loss = (tfom.syn_loss + 1) & 0x3FF     # 10 bits in the kernel
        tfom.last_syn_loss = jiffies(sock_net(sk))
    else:
        tfom.syn_loss = 0


cdef void tcp_metrics_flush_all(net *n) noexcept nogil:
    cdef size_t i
    cdef tcp_metrics_block *tm

    if n.ipv4.tcp_metrics_hash == NULL:
        return
    for i in range(<size_t>1 << n.ipv4.tcp_metrics_hash_log):
        while n.ipv4.tcp_metrics_hash[i] != NULL:
            tm = n.ipv4.tcp_metrics_hash[i]
            n.ipv4.tcp_metrics_hash[i] = tm.tcpm_next
            kmem_cache_free(&n.misc_slab, tm)


cdef int tcp_metrics_init(net *n) noexcept nogil:
    n.ipv4.tcp_metrics_hash_log = TCP_METRICS_HASH_LOG
    n.ipv4.tcp_metrics_hash = <tcp_metrics_block **>calloc(<size_t>1 << TCP_METRICS_HASH_LOG,
                                                           sizeof(tcp_metrics_block *))
    return 0 if n.ipv4.tcp_metrics_hash != NULL else -ENOMEM


cdef void tcp_metrics_exit(net *n) noexcept nogil:
    tcp_metrics_flush_all(n)
    free(n.ipv4.tcp_metrics_hash)
    n.ipv4.tcp_metrics_hash = NULL
