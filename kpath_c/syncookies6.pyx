"""SYN cookies over IPv6 (RFC 4987 3.6): other MSS values and another hash than IPv4's, the rest is syncookies.pyx's.

Follows net/ipv6/syncookies.c of Linux 6.18 (GPL-2.0-only). Deviations: as in syncookies.pyx.
"""
from libc.string cimport memset

from kpath_c.headers.tcp cimport *
from kpath_c.headers.hash cimport siphash
from kpath_c.headers.route cimport *
from kpath_c.net_tcp cimport *
from kpath_c.ip6_route cimport ip6_dst_lookup_flow
from kpath_c.secure_seq cimport secure_tcpv6_seq_and_ts_off
from kpath_c.skbuff cimport sk_skb_reason_drop
from kpath_c.syncookies cimport (cookie_tcp_reqsk_alloc, cookie_timestamp_decode, syncookie_pin, syncookie_pin_add,
                                 syncookie_pin_of_ack, tcp_get_cookie_sock)
from kpath_c.tcp_input cimport tcp_parse_options
from kpath_c.tcp_output cimport tcp_select_initial_window

cdef enum:
    COOKIEBITS = 24             # the bits above hold the minute
    COOKIEMASK = (1 << 24) - 1
    MSSTAB_SIZE = 4

cdef packed struct cookie_input:
    in6_addr saddr
    in6_addr daddr
    u32 count
    __be16 sport
    __be16 dport


# RFC 8200 8.3: the MTU minus 60. 1280 is the least that there can be.
cdef u16 msstab(int i) noexcept nogil:
    if i == 0:
        return 1280 - 60
    if i == 1:
        return 1480 - 60        # PPPoE
    if i == 2:
        return 1500 - 60
    return 9000 - 60


cdef u32 cookie_hash(net *n, const in6_addr *saddr, const in6_addr *daddr, __be16 sport, __be16 dport, u32 count,
                     int c) noexcept nogil:
    cdef cookie_input combined
    combined.saddr = saddr[0]
    combined.daddr = daddr[0]
    combined.count = count
    combined.sport = sport
    combined.dport = dport
    return <u32>siphash(&combined, sizeof(combined), &n.e.syncookie6_secret[c])


cdef u32 secure_tcp_syn_cookie(net *n, const in6_addr *saddr, const in6_addr *daddr, __be16 sport, __be16 dport,
                               u32 sseq, u32 data) noexcept nogil:
    cdef u32 count = tcp_cookie_time(n)

    return (cookie_hash(n, saddr, daddr, sport, dport, 0, 0) + sseq + (count << COOKIEBITS) +
            ((cookie_hash(n, saddr, daddr, sport, dport, count, 1) + data) & <u32>COOKIEMASK))


# The data in the cookie: out of range if it's a forgery, ~0 if it is too old.
cdef u32 check_tcp_syn_cookie(net *n, u32 cookie, const in6_addr *saddr, const in6_addr *daddr, __be16 sport,
                              __be16 dport, u32 sseq) noexcept nogil:
    cdef u32 count = tcp_cookie_time(n)
    cdef u32 diff

    cookie -= cookie_hash(n, saddr, daddr, sport, dport, 0, 0) + sseq

    diff = (count - (cookie >> COOKIEBITS)) & (~(<u32>0) >> COOKIEBITS)
    if diff >= MAX_SYNCOOKIE_AGE:
        return ~(<u32>0)

    return (cookie - cookie_hash(n, saddr, daddr, sport, dport, count - diff, 1)) & <u32>COOKIEMASK


# The ISN that is a cookie. *mssp is rounded down to what a cookie can tell.
cdef u32 cookie_v6_init_sequence(sk_buff *skb, u16 *mssp) noexcept nogil:
    cdef const ipv6hdr *iph = ipv6_hdr(skb)
    cdef const tcphdr *th = tcp_hdr(skb)
    cdef int mssind = MSSTAB_SIZE - 1
    cdef u32 isn = 0

    while mssind:
        if mssp[0] >= msstab(mssind):
            break
        mssind -= 1
    mssp[0] = msstab(mssind)

    if syncookie_pin_add(skb.net, &iph.saddr, &iph.daddr, th, mssind, &isn):
        return isn
    return secure_tcp_syn_cookie(skb.net, &iph.saddr, &iph.daddr, th.source, th.dest, ntohl(th.seq), <u32>mssind)


# The MSS that a valid cookie in the ACK tells, or 0.
cdef int __cookie_v6_check(net *n, const ipv6hdr *iph, const tcphdr *th) noexcept nogil:
    cdef u32 cookie = ntohl(th.ack_seq) - 1
    cdef u32 seq = ntohl(th.seq) - 1
    cdef u32 mssind = check_tcp_syn_cookie(n, cookie, &iph.saddr, &iph.daddr, th.source, th.dest, seq)

    return msstab(<int>mssind) if mssind < MSSTAB_SIZE else 0


# A request as the SYN would have made it. `refused`: the ACK is no cookie's; else NULL means no memory.
cdef request_sock *cookie_tcp_check(net *n, sock *sk, sk_buff *skb, bint *refused) noexcept nogil:
    cdef const ipv6hdr *iph = ipv6_hdr(skb)
    cdef tcp_options_received tcp_opt
    cdef tcp_seq_and_ts_off st
    cdef syncookie_pin *pin
    cdef u32 tsoff = 0
    cdef int mss

    refused[0] = 1
    if tcp_synq_no_recent_overflow(sk):
        return NULL

    pin = syncookie_pin_of_ack(n, &iph.saddr, &iph.daddr, tcp_hdr(skb))
    if pin != NULL:
        mss = msstab(pin.mssind)
    else:
        mss = __cookie_v6_check(n, iph, tcp_hdr(skb))
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
            st = secure_tcpv6_seq_and_ts_off(n, &iph.daddr, &iph.saddr, tcp_hdr(skb).dest, tcp_hdr(skb).source)
            tsoff = st.ts_off
            tcp_opt.rcv_tsecr -= tsoff

    if not cookie_timestamp_decode(n, &tcp_opt):
        return NULL

    refused[0] = 0
    return cookie_tcp_reqsk_alloc(&n.tcp6_rsk_ops, sk, skb, &tcp_opt, mss, tsoff)


# The route, because the window depends on it: hopefully the same as for the SYN-ACK.
cdef dst_entry *cookie_route(net *n, const sock *sk, const request_sock *req) noexcept nogil:
    cdef flowi6 fl6

    memset(&fl6, 0, sizeof(fl6))
    fl6.flowi6_proto = IPPROTO_TCP
    fl6.daddr = req.ir_v6_rmt_addr
    fl6.saddr = req.ir_v6_loc_addr
    fl6.flowi6_oif = req.ir_iif
    fl6.flowi6_mark = inet_rsk(req).ir_mark
    fl6.fl6_dport = req.ir_rmt_port
    fl6.fl6_sport = inet_sk(sk).inet_sport
    fl6.flowi6_uid = sk.sk_uid
    return ip6_dst_lookup_flow(n, sk, &fl6, NULL)


# An ACK at a listener. Gives sk if it is no cookie's, the child, or NULL (and the skb is dropped).
cdef sock *cookie_v6_check(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcphdr *th = tcp_hdr(skb)
    cdef net *n = sock_net(sk)
    cdef inet_request_sock *ireq
    cdef request_sock *req
    cdef dst_entry *dst
    cdef sock *ret
    cdef u32 window_clamp = tcp_sk(sk).window_clamp
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
    req.ir_v6_rmt_addr = ipv6_hdr(skb).saddr
    req.ir_v6_loc_addr = ipv6_hdr(skb).daddr
    if not sk.sk_bound_dev_if and ipv6_addr_type(&req.ir_v6_rmt_addr) & IPV6_ADDR_LINKLOCAL:
        req.ir_iif = tcp_v6_iif(skb)

    dst = cookie_route(n, sk, req)
    if IS_ERR(dst):
        reqsk_free(req)
        sk_skb_reason_drop(sk, skb, SKB_DROP_REASON_IP_OUTNOROUTES)
        return NULL

    # Once more what the SYN-ACK's window was made of.
    req.rsk_window_clamp = window_clamp if window_clamp else dst_metric(dst, RTAX_WINDOW)
    full_space = tcp_full_space(sk)
    if (sk.sk_userlocks & SOCK_RCVBUF_LOCK and
            (req.rsk_window_clamp > <u32>full_space or req.rsk_window_clamp == 0)):
        req.rsk_window_clamp = <u32>full_space

    tcp_select_initial_window(sk, full_space, req.mss, &req.rsk_rcv_wnd, &req.rsk_window_clamp, ireq.wscale_ok,
                              &rcv_wscale, dst_metric(dst, RTAX_INITRWND))

    ireq.rcv_wscale = rcv_wscale
    ireq.ecn_ok = 1 if ireq.ecn_ok and cookie_ecn_ok(n, dst) else 0

    ret = tcp_get_cookie_sock(sk, skb, req, dst)
    if ret == NULL:
        sk_skb_reason_drop(sk, skb, SKB_DROP_REASON_NO_SOCKET)
    return ret
