"""Inlines of net/inet_connection_sock.h and its companions that call real functions.

Also those of net/request_sock.h (reqsk_put ...), net/inet_timewait_sock.h, net/inet_hashtables.h (the lookups),
net/route.h (ip_route_connect ...) and net/ip.h (ip_select_ident ...).
"""
from kpath_c.headers.tcp cimport *
from kpath_c.net_sock cimport *
from kpath_c.shim.slab cimport kmem_cache_free
from kpath_c.sock cimport sk_reset_timer
from kpath_c.inet_hashtables cimport __inet_lookup_established, __inet_lookup_listener
from kpath_c.inet_timewait_sock cimport __inet_twsk_schedule
from kpath_c.route cimport ip_route_output_key_hash, ip_route_output_flow, __ip_select_ident


# ---------------------------------------------------------------------------------- net/inet_connection_sock.h

cdef inline void inet_csk_reset_xmit_timer(sock *sk, int what, unsigned long when,
                                           unsigned long max_when) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    if when > max_when:
        when = max_when
    when += jiffies(sock_net(sk))
    if (what == ICSK_TIME_RETRANS or what == ICSK_TIME_PROBE0 or
            what == ICSK_TIME_LOSS_PROBE or what == ICSK_TIME_REO_TIMEOUT):
        icsk.icsk_pending = <u8>what
        sk_reset_timer(sk, &sk.tcp_retransmit_timer, when)
    elif what == ICSK_TIME_DACK:
        icsk.icsk_ack.pending |= ICSK_ACK_TIMER
        sk_reset_timer(sk, &icsk.icsk_delack_timer, when)

# ---------------------------------------------------------------------------------- net/request_sock.h

cdef inline void __reqsk_free(request_sock *req) noexcept nogil:
    req.rsk_ops.destructor(req)
    if req.rsk_listener != NULL:
        sock_put(req.rsk_listener)
    if req.saved_syn != NULL:
        kmem_cache_free(&req.ireq_net.misc_slab, req.saved_syn)
    kmem_cache_free(req.rsk_ops.slab, req)

cdef inline void reqsk_free(request_sock *req) noexcept nogil:
    __reqsk_free(req)

cdef inline void reqsk_put(request_sock *req) noexcept nogil:
    req.rsk_refcnt -= 1
    if req.rsk_refcnt == 0:
        __reqsk_free(req)

# ---------------------------------------------------------------------------------- net/inet_timewait_sock.h

cdef inline void inet_twsk_reschedule(inet_timewait_sock *tw, int timeo) noexcept nogil:
    __inet_twsk_schedule(tw, timeo, 1)

# ---------------------------------------------------------------------------------- net/inet_hashtables.h

cdef inline sock *inet_lookup_listener(net *n, sk_buff *skb, int doff, __be32 saddr, __be16 sport,
                                       __be32 daddr, __be16 dport, int dif, int sdif) noexcept nogil:
    return __inet_lookup_listener(n, skb, doff, saddr, sport, daddr, ntohs(dport), dif, sdif)

cdef inline sock *__inet_lookup(net *n, sk_buff *skb, int doff, __be32 saddr, __be16 sport, __be32 daddr,
                                __be16 dport, int dif, int sdif, bint *refcounted) noexcept nogil:
    cdef u16 hnum = ntohs(dport)
    cdef sock *sk = __inet_lookup_established(n, saddr, sport, daddr, hnum, dif, sdif)
    refcounted[0] = 1
    if sk != NULL:
        return sk
    refcounted[0] = 0
    return __inet_lookup_listener(n, skb, doff, saddr, sport, daddr, hnum, dif, sdif)

# A socket comes with the packet only from early demux: no BPF prefetch, hence no second look at reuseport.
cdef inline sock *inet_steal_sock(net *n, sk_buff *skb, int doff, __be32 saddr, __be16 sport, __be32 daddr,
                                  __be16 dport, bint *refcounted) noexcept nogil:
    cdef bint prefetched = 0
    return skb_steal_sock(skb, refcounted, &prefetched)

cdef inline sock *__inet_lookup_skb(sk_buff *skb, int doff, __be16 sport, __be16 dport, int sdif,
                                    bint *refcounted) noexcept nogil:
    cdef net *n = skb_dst_dev_net(skb)
    cdef const iphdr *iph = ip_hdr(skb)
    cdef sock *sk = inet_steal_sock(n, skb, doff, iph.saddr, sport, iph.daddr, dport, refcounted)
    if sk != NULL:
        return sk
    return __inet_lookup(n, skb, doff, iph.saddr, sport, iph.daddr, dport, inet_iif(skb), sdif, refcounted)

# ---------------------------------------------------------------------------------- net/route.h

cdef inline rtable *__ip_route_output_key(net *n, flowi4 *flp) noexcept nogil:
    return ip_route_output_key_hash(n, flp, NULL)

cdef inline rtable *ip_route_output_key(net *n, flowi4 *flp) noexcept nogil:
    return ip_route_output_flow(n, flp, NULL)

cdef inline rtable *ip_route_output_ports(net *n, flowi4 *fl4, const sock *sk, __be32 daddr, __be32 saddr,
                                          __be16 dport, __be16 sport, u8 proto, u8 tos, int oif) noexcept nogil:
    if sk != NULL:
        flowi4_init_output(fl4, oif, sk.sk_mark, tos, ip_sock_rt_scope(sk), proto, inet_sk_flowi_flags(sk),
                           daddr, saddr, dport, sport, sk.sk_uid)
    else:
        flowi4_init_output(fl4, oif, 0, tos, RT_SCOPE_UNIVERSE, proto, 0, daddr, saddr, dport, sport, 0)
    return ip_route_output_flow(n, fl4, sk)

cdef inline void ip_route_connect_init(flowi4 *fl4, __be32 dst, __be32 src, int oif, u8 protocol,
                                       __be16 sport, __be16 dport, const sock *sk) noexcept nogil:
    cdef u8 flow_flags = 0
    if inet_test_bit(INET_FLAGS_TRANSPARENT, sk):
        flow_flags |= FLOWI_FLAG_ANYSRC
    if not sport:
        flow_flags |= FLOWI_FLAG_ANY_SPORT
    flowi4_init_output(fl4, oif, sk.sk_mark, ip_sock_rt_tos(sk), ip_sock_rt_scope(sk), protocol, flow_flags,
                       dst, src, dport, sport, sk.sk_uid)

# The first of two lookups of a connect(): it finds the addresses, from which the port is chosen.
cdef inline rtable *ip_route_connect(flowi4 *fl4, __be32 dst, __be32 src, int oif, u8 protocol,
                                     __be16 sport, __be16 dport, const sock *sk) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef rtable *rt
    ip_route_connect_init(fl4, dst, src, oif, protocol, sport, dport, sk)
    if not dst or not src:
        rt = __ip_route_output_key(n, fl4)
        if IS_ERR(rt):
            return rt
        ip_rt_put(rt)
        flowi4_update_output(fl4, oif, fl4.daddr, fl4.saddr)
    return ip_route_output_flow(n, fl4, sk)

cdef inline rtable *ip_route_newports(flowi4 *fl4, rtable *rt, __be16 orig_sport, __be16 orig_dport,
                                      __be16 sport, __be16 dport, const sock *sk) noexcept nogil:
    if sport != orig_sport or dport != orig_dport:
        fl4.fl4_dport = dport
        fl4.fl4_sport = sport
        ip_rt_put(rt)
        flowi4_update_output(fl4, sk.sk_bound_dev_if, fl4.daddr, fl4.saddr)
        return ip_route_output_flow(sock_net(sk), fl4, sk)
    return rt

# ---------------------------------------------------------------------------------- net/ip.h

# A connected socket counts for itself; packets without one carry 0 when DF is set (RFC 6864), else a hashed counter.
cdef inline void ip_select_ident_segs(net *n, sk_buff *skb, sock *sk, int segs) noexcept nogil:
    cdef iphdr *iph = ip_hdr(skb)
    cdef u32 val
    if sk != NULL and sk.sk_daddr:
        val = inet_sk(sk).inet_id
        inet_sk(sk).inet_id = val + <u32>segs
        iph.id = htons(<u16>val)
        return
    if (iph.frag_off & htons(IP_DF)) and not skb.ignore_df:
        iph.id = 0
    else:
        __ip_select_ident(n, iph, segs)

cdef inline void ip_select_ident(net *n, sk_buff *skb, sock *sk) noexcept nogil:
    ip_select_ident_segs(n, skb, sk, 1)
