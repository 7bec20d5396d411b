"""SYN cookies: a listener under flood keeps no state, and rebuilds the connection from the ACK alone.

Serves RFC 4987 3.6, with the SYN's options hidden in the timestamp of the SYN-ACK. Follows net/ipv4/syncookies.c of
Linux 6.18 (GPL-2.0-only).

Deviations: no BPF cookies, IP options, MD5 or AO. A replay does not know the secret of the captured host, so
a cookie whose number is pinned (hooks.pinned_seq) is not a hash: what the hash would have told is then remembered in
netns_ipv4.syncookie_pins until the host closes.
"""
from libc.string cimport memset

from kpath_c.headers.tcp cimport *
from kpath_c.headers.route cimport *
from kpath_c.net_tcp cimport *
from kpath_c.inet_connection_sock cimport inet_csk_reqsk_queue_add, inet_reqsk_alloc
from kpath_c.secure_seq cimport secure_tcp_seq_and_ts_off
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_free
from kpath_c.skbuff cimport sk_skb_reason_drop
from kpath_c.tcp_input cimport tcp_parse_options
from kpath_c.tcp_ipv4 cimport tcp_request_sock_ops_of
from kpath_c.tcp_output cimport tcp_select_initial_window

cdef enum:
    COOKIEBITS = 24             # the bits above hold the minute
    COOKIEMASK = (1 << 24) - 1

# The lowest six bits of the SYN-ACK's timestamp. That there were timestamps shows in the ACK itself.
cdef enum:
    TS_OPT_WSCALE_MASK = 0xf    # 0xf: the SYN had no window scaling
    TS_OPT_SACK = 1 << 4
    TS_OPT_ECN = 1 << 5
    TSBITS = 6

cdef enum:
    MSSTAB_SIZE = 4

# The MSS values that a cookie can tell, ascending. They cover nearly all that is announced in the wild.
cdef u16 msstab(int i) noexcept nogil:
    if i == 0:
        return 536
    if i == 1:
        return 1300
    if i == 2:
        return 1440             # PPPoE
    return 1460

# ---------------------------------------------------------------------------------------------- pinned cookies

cdef syncookie_pin *syncookie_pin_find(net *n, const in6_addr *laddr, const in6_addr *raddr, __be16 lport, __be16 rport,
                                       u32 isn) noexcept nogil:
    """The newest first."""
    cdef syncookie_pin *p = <syncookie_pin *>n.ipv4.syncookie_pins

    while p != NULL:
        if (p.isn == isn and p.rport == rport and p.lport == lport and ipv6_addr_equal(&p.raddr, raddr) and
                ipv6_addr_equal(&p.laddr, laddr)):
            return p
        p = p.next
    return NULL


cdef bint syncookie_pin_add(net *n, const in6_addr *saddr, const in6_addr *daddr, const tcphdr *th, int mssind,
                            u32 *isn) noexcept nogil:
    """True if the host has a number pinned for the answer to this SYN, which came from saddr."""
    cdef syncookie_pin *p
    cdef u32 ts_off = 0
    cdef bint ts_off_set = 0

    if n.hooks.pinned_seq == NULL or not n.hooks.pinned_seq(n.hooks.ctx, daddr, saddr, th.dest, th.source, 1,
                                                            isn, &ts_off, &ts_off_set):
        return 0
    p = <syncookie_pin *>kmem_cache_alloc(&n.misc_slab)
    if p == NULL:
        return 1
    p.laddr = daddr[0]
    p.raddr = saddr[0]
    p.lport = th.dest
    p.rport = th.source
    p.isn = isn[0]
    p.peer_isn = ntohl(th.seq)
    p.count = tcp_cookie_time(n)
    p.ts = 0
    p.ts_off = ts_off
    p.ts_off_set = ts_off_set
    p.mssind = <u8>mssind
    p.next = <syncookie_pin *>n.ipv4.syncookie_pins
    n.ipv4.syncookie_pins = p
    return 1


cdef void syncookie_pin_set_ts(request_sock *req, u32 ts, u32 now) noexcept nogil:
    """A pinned offset was reckoned from a SYN-ACK whose timestamp has options in its low bits: take them out."""
    cdef syncookie_pin *p = syncookie_pin_find(req.ireq_net, &req.ir_v6_loc_addr, &req.ir_v6_rmt_addr,
                                               htons(req.ir_num), req.ir_rmt_port, tcp_rsk(req).snt_isn)

    if p == NULL:
        return
    if p.ts_off_set:
        tcp_rsk(req).ts_off = p.ts_off + now - ts
    p.ts_off = tcp_rsk(req).ts_off
    p.ts_off_set = 0
    p.ts = ts


cdef syncookie_pin *syncookie_pin_of_ack(net *n, const in6_addr *saddr, const in6_addr *daddr,
                                         const tcphdr *th) noexcept nogil:
    cdef syncookie_pin *p = syncookie_pin_find(n, daddr, saddr, th.dest, th.source, ntohl(th.ack_seq) - 1)

    if p == NULL or p.peer_isn != ntohl(th.seq) - 1 or tcp_cookie_time(n) - p.count >= MAX_SYNCOOKIE_AGE:
        return NULL
    return p


cdef void syncookies_exit(net *n) noexcept nogil:
    cdef syncookie_pin *p = <syncookie_pin *>n.ipv4.syncookie_pins
    cdef syncookie_pin *q

    while p != NULL:
        q = p.next
        kmem_cache_free(&n.misc_slab, p)
        p = q
    n.ipv4.syncookie_pins = NULL

# ---------------------------------------------------------------------------------------------- the cookie

cdef u32 cookie_hash(net *n, __be32 saddr, __be32 daddr, __be16 sport, __be16 dport, u32 count, int c) noexcept nogil:
    return <u32>siphash_4u32(<u32>saddr, <u32>daddr, <u32>sport << 16 | <u32>dport, count, &n.e.syncookie_secret[c])


cdef u64 cookie_init_timestamp(request_sock *req, u64 now) noexcept nogil:
    """The time (ns) to show in the SYN-ACK: not later than now, with the SYN's options in the lowest bits."""
    cdef inet_request_sock *ireq = inet_rsk(req)
    cdef u64 ts
    cdef u64 ts_now = tcp_ns_to_ts(0, now)
    cdef u32 options = ireq.snd_wscale if ireq.wscale_ok else TS_OPT_WSCALE_MASK

    if ireq.sack_ok:
        options |= TS_OPT_SACK
    if ireq.ecn_ok:
        options |= TS_OPT_ECN

    ts = (ts_now >> TSBITS) << TSBITS
    ts |= options
    if ts > ts_now:
        ts -= (<u64>1) << TSBITS

    syncookie_pin_set_ts(req, <u32>ts, <u32>ts_now)

    if tcp_rsk(req).req_usec_ts:
        return ts * NSEC_PER_USEC
    return ts * NSEC_PER_MSEC


cdef u32 secure_tcp_syn_cookie(net *n, __be32 saddr, __be32 daddr, __be16 sport, __be16 dport, u32 sseq,
                               u32 data) noexcept nogil:
    """hash0(addresses) + the peer's ISN + minute * 2^24 + (hash1(addresses, minute) + data) mod 2^24."""
    cdef u32 count = tcp_cookie_time(n)

    return (cookie_hash(n, saddr, daddr, sport, dport, 0, 0) + sseq + (count << COOKIEBITS) +
            ((cookie_hash(n, saddr, daddr, sport, dport, count, 1) + data) & <u32>COOKIEMASK))


cdef u32 check_tcp_syn_cookie(net *n, u32 cookie, __be32 saddr, __be32 daddr, __be16 sport, __be16 dport,
                              u32 sseq) noexcept nogil:
    """The data in the cookie: out of range if it's a forgery, ~0 if it is too old."""
    cdef u32 count = tcp_cookie_time(n)
    cdef u32 diff

    cookie -= cookie_hash(n, saddr, daddr, sport, dport, 0, 0) + sseq

    diff = (count - (cookie >> COOKIEBITS)) & (~(<u32>0) >> COOKIEBITS)
    if diff >= MAX_SYNCOOKIE_AGE:
        return ~(<u32>0)

    return (cookie - cookie_hash(n, saddr, daddr, sport, dport, count - diff, 1)) & <u32>COOKIEMASK


cdef u32 __cookie_v4_init_sequence(net *n, const iphdr *iph, const tcphdr *th, u16 *mssp) noexcept nogil:
    """The ISN that is a cookie. `mssp` is rounded down to what a cookie can tell."""
    cdef u16 mss = mssp[0]
    cdef int mssind = MSSTAB_SIZE - 1
    cdef in6_addr saddr, daddr
    cdef u32 isn = 0

    while mssind:
        if mss >= msstab(mssind):
            break
        mssind -= 1
    mssp[0] = msstab(mssind)

    ipv6_addr_set_v4mapped(iph.saddr, &saddr)
    ipv6_addr_set_v4mapped(iph.daddr, &daddr)
    if syncookie_pin_add(n, &saddr, &daddr, th, mssind, &isn):
        return isn
    return secure_tcp_syn_cookie(n, iph.saddr, iph.daddr, th.source, th.dest, ntohl(th.seq), <u32>mssind)


cdef u32 cookie_v4_init_sequence(sk_buff *skb, u16 *mssp) noexcept nogil:
    return __cookie_v4_init_sequence(skb.net, ip_hdr(skb), tcp_hdr(skb), mssp)


cdef int __cookie_v4_check(net *n, const iphdr *iph, const tcphdr *th) noexcept nogil:
    """The MSS that a valid cookie in the ACK tells, or 0."""
    cdef u32 cookie = ntohl(th.ack_seq) - 1
    cdef u32 seq = ntohl(th.seq) - 1
    cdef u32 mssind = check_tcp_syn_cookie(n, cookie, iph.saddr, iph.daddr, th.source, th.dest, seq)

    return msstab(<int>mssind) if mssind < MSSTAB_SIZE else 0

# ---------------------------------------------------------------------------------------------- the ACK

cdef sock *tcp_get_cookie_sock(sock *sk, sk_buff *skb, request_sock *req, dst_entry *dst) noexcept nogil:
    """The child, queued for accept(); NULL: none, and the request is gone. Takes over dst."""
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef sock *child
    cdef bint own_req = 0

    child = icsk.icsk_af_ops.syn_recv_sock(sk, skb, req, dst, NULL, &own_req, NULL)
    if child != NULL:
        req.rsk_refcnt = 1
        sock_rps_save_rxhash(child, skb)

        if inet_csk_reqsk_queue_add(sk, req, child) != NULL:
            return child

        sock_put(child)
    __reqsk_free(req)

    return NULL


cdef bint cookie_timestamp_decode(const net *n, tcp_options_received *tcp_opt) noexcept nogil:
    """The SYN's options out of the echoed timestamp; false if one of them is turned off here."""
    cdef u32 options = tcp_opt.rcv_tsecr

    if not tcp_opt.saw_tstamp:
        tcp_clear_options(tcp_opt)
        return 1

    if not n.ipv4.sysctl_tcp_timestamps:
        return 0

    tcp_opt.sack_ok = TCP_SACK_SEEN if options & TS_OPT_SACK else 0

    if tcp_opt.sack_ok and not n.ipv4.sysctl_tcp_sack:
        return 0

    if (options & TS_OPT_WSCALE_MASK) == TS_OPT_WSCALE_MASK:
        return 1

    tcp_opt.wscale_ok = 1
    tcp_opt.snd_wscale = options & TS_OPT_WSCALE_MASK

    return n.ipv4.sysctl_tcp_window_scaling != 0


cdef void cookie_tcp_reqsk_init(sock *sk, sk_buff *skb, request_sock *req) noexcept nogil:
    cdef tcp_request_sock *treq = tcp_rsk(req)
    cdef tcphdr *th = tcp_hdr(skb)

    req.num_retrans = 0

    req.ir_num = ntohs(th.dest)
    req.ir_rmt_port = th.source
    req.ir_iif = inet_request_bound_dev_if(sk, skb)
    inet_rsk(req).ir_mark = inet_request_mark(sk, skb)
    inet_rsk(req).smc_ok = 0

    treq.snt_synack = 0
    treq.snt_tsval_first = 0
    treq.tfo_listener = 0
    treq.txhash = net_tx_rndhash(sock_net(sk))
    treq.rcv_isn = ntohl(th.seq) - 1
    treq.snt_isn = ntohl(th.ack_seq) - 1
    treq.syn_tos = TCP_SKB_CB(skb).ip_dsfield


cdef request_sock *cookie_tcp_reqsk_alloc(request_sock_ops *ops, sock *sk, sk_buff *skb,
                                          tcp_options_received *tcp_opt, int mss, u32 tsoff) noexcept nogil:
    cdef inet_request_sock *ireq
    cdef tcp_request_sock *treq
    cdef request_sock *req = inet_reqsk_alloc(ops, sk, 0)

    if req == NULL:
        return NULL

    cookie_tcp_reqsk_init(sk, skb, req)

    ireq = inet_rsk(req)
    treq = tcp_rsk(req)

    req.mss = <u16>mss
    req.ts_recent = tcp_opt.rcv_tsval if tcp_opt.saw_tstamp else 0

    ireq.snd_wscale = tcp_opt.snd_wscale
    ireq.tstamp_ok = tcp_opt.saw_tstamp
    ireq.sack_ok = tcp_opt.sack_ok
    ireq.wscale_ok = tcp_opt.wscale_ok
    ireq.ecn_ok = 1 if tcp_opt.rcv_tsecr & TS_OPT_ECN else 0

    treq.req_usec_ts = 0
    treq.ts_off = tsoff

    return req


cdef request_sock *cookie_tcp_check(net *n, sock *sk, sk_buff *skb, bint *refused) noexcept nogil:
    """A request as the SYN would have made it. `refused`: the ACK is no cookie's; else NULL means no memory."""
    cdef tcp_options_received tcp_opt
    cdef tcp_seq_and_ts_off st
    cdef syncookie_pin *pin
    cdef in6_addr saddr, daddr
    cdef u32 tsoff = 0
    cdef int mss

    refused[0] = 1
    if tcp_synq_no_recent_overflow(sk):
        return NULL

    ipv6_addr_set_v4mapped(ip_hdr(skb).saddr, &saddr)
    ipv6_addr_set_v4mapped(ip_hdr(skb).daddr, &daddr)
    pin = syncookie_pin_of_ack(n, &saddr, &daddr, tcp_hdr(skb))
    if pin != NULL:
        mss = msstab(pin.mssind)
    else:
        mss = __cookie_v4_check(n, ip_hdr(skb), tcp_hdr(skb))
    if not mss:
        NET_INC_STATS(n, LINUX_MIB_SYNCOOKIESFAILED)
        return NULL

    NET_INC_STATS(n, LINUX_MIB_SYNCOOKIESRECV)

    memset(&tcp_opt, 0, sizeof(tcp_opt))
    tcp_parse_options(n, skb, &tcp_opt, 0, NULL)

    if tcp_opt.saw_tstamp and tcp_opt.rcv_tsecr:
        if pin != NULL:
            tsoff = pin.ts_off
            tcp_opt.rcv_tsecr = pin.ts
        else:
            st = secure_tcp_seq_and_ts_off(n, ip_hdr(skb).daddr, ip_hdr(skb).saddr, tcp_hdr(skb).dest,
                                           tcp_hdr(skb).source)
            tsoff = st.ts_off
            tcp_opt.rcv_tsecr -= tsoff

    if not cookie_timestamp_decode(n, &tcp_opt):
        return NULL

    refused[0] = 0
    return cookie_tcp_reqsk_alloc(tcp_request_sock_ops_of(n), sk, skb, &tcp_opt, mss, tsoff)


cdef sock *cookie_v4_check(sock *sk, sk_buff *skb) noexcept nogil:
    """An ACK at a listener. Gives sk if it is no cookie's, the child, or NULL (and the skb is dropped)."""
    cdef tcphdr *th = tcp_hdr(skb)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef inet_request_sock *ireq
    cdef request_sock *req
    cdef sock *ret
    cdef flowi4 fl4
    cdef rtable *rt
    cdef u8 rcv_wscale = 0
    cdef int full_space
    cdef bint refused = 0

    if not n.ipv4.sysctl_tcp_syncookies or not th_ack(th) or th_rst(th):
        return sk

    req = cookie_tcp_check(n, sk, skb, &refused)
    if refused:
        return sk
    if req == NULL:
        sk_skb_reason_drop(sk, skb, SKB_DROP_REASON_NO_SOCKET)
        return NULL

    ireq = inet_rsk(req)

    sk_rcv_saddr_set(req_to_sk(req), ip_hdr(skb).daddr)
    sk_daddr_set(req_to_sk(req), ip_hdr(skb).saddr)

    ireq.ireq_opt = NULL

    # The route, because the window depends on it: hopefully the same as for the SYN-ACK.
    flowi4_init_output(&fl4, req.ir_iif, ireq.ir_mark, ip_sock_rt_tos(sk), ip_sock_rt_scope(sk), IPPROTO_TCP,
                       inet_sk_flowi_flags(sk), req.ir_rmt_addr, req.ir_loc_addr, th.source, th.dest, sk.sk_uid)
    rt = ip_route_output_key(n, &fl4)
    if IS_ERR(rt):
        reqsk_free(req)
        sk_skb_reason_drop(sk, skb, SKB_DROP_REASON_IP_OUTNOROUTES)
        return NULL

    # Once more what the SYN-ACK's window was made of.
    req.rsk_window_clamp = tp.window_clamp if tp.window_clamp else dst_metric(&rt.dst, RTAX_WINDOW)
    full_space = tcp_full_space(sk)
    if (sk.sk_userlocks & SOCK_RCVBUF_LOCK and
            (req.rsk_window_clamp > <u32>full_space or req.rsk_window_clamp == 0)):
        req.rsk_window_clamp = <u32>full_space

    tcp_select_initial_window(sk, full_space, req.mss, &req.rsk_rcv_wnd, &req.rsk_window_clamp, ireq.wscale_ok,
                              &rcv_wscale, dst_metric(&rt.dst, RTAX_INITRWND))

    ireq.rcv_wscale = rcv_wscale
    ireq.ecn_ok = 1 if ireq.ecn_ok and cookie_ecn_ok(n, &rt.dst) else 0

    ret = tcp_get_cookie_sock(sk, skb, req, &rt.dst)
    if ret == NULL:
        sk_skb_reason_drop(sk, skb, SKB_DROP_REASON_NO_SOCKET)
        return NULL
    # ip_queue_xmit() needs the flow.
    inet_sk(ret).cork_fl.ip4 = fl4
    return ret
