"""IPv6 routes: which device and source address a destination has, its metrics, and what ICMPv6 has taught of its path.

Serves RFC 4861 5.2 (next hop), RFC 6724 (choice of the source address, rules 1, 2 and 8), RFC 8201 (path MTU: an
exception to the route for one destination, forgotten after ten minutes).
Follows net/ipv6/route.c of Linux 6.18 (GPL-2.0-only), and of ip6_fib.c and addrconf.c what it needs. (The file is named
after net/ip6_route.h: route.pyx is IPv4's.)

Deviations: one device, one table: `fib` is a list, longest prefix first, and all local addresses are one entry
(`fib_local`). Without `ip route` lines there is a default route without a gateway. Exceptions are a list of the host's,
not a hash of the next hop's, and are never thrown out for their number; an expired one goes when it is met. Instead of
an error route (ip6_null_entry) there is none. Left out: multipath, policy rules, subtrees, router preference, neighbour
states, forwarding, multicast membership, the effect of redirects.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.route cimport *
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_free, kmem_cache_zalloc
from kpath_c.skbuff cimport kfree_skb, kfree_skb_reason
from kpath_c.icmpv6 cimport icmpv6_send
from kpath_c.ip6_input cimport ip6_input
from kpath_c.ip6_output cimport ip6_output

cdef enum:
    LOCAL_ADDRS_MAX = 64

cdef dst_ops ip6_dst_ops


# ------------------------------------------------------------------------------------------- the host's addresses

cdef bint ipv6_chk_addr(const net *n, const in6_addr *addr) noexcept nogil:
    cdef int i
    if ipv6_addr_loopback(addr):
        return 1
    for i in range(n.ipv6.n_local_addrs):
        if ipv6_addr_equal(&n.ipv6.local_addrs[i], addr):
            return 1
    return 0


cdef int ipv6_add_addr(net *n, const in6_addr *addr) noexcept nogil:
    if ipv6_chk_addr(n, addr):
        return 0
    if n.ipv6.n_local_addrs >= LOCAL_ADDRS_MAX:
        return -ENOBUFS
    n.ipv6.local_addrs[n.ipv6.n_local_addrs] = addr[0]
    n.ipv6.n_local_addrs += 1
    return 0


cdef unsigned int common_bits(const in6_addr *a, const in6_addr *b) noexcept nogil:
    cdef unsigned int plen = 128
    while plen and not ipv6_prefix_equal(a, b, plen):
        plen -= 1
    return plen


# How good a source address is for dst: of the same kind (global or link-local), then the longer common prefix.
cdef unsigned int saddr_score(const in6_addr *addr, const in6_addr *dst) noexcept nogil:
    cdef bint same = ((ipv6_addr_type(addr) ^ ipv6_addr_type(dst)) & IPV6_ADDR_LINKLOCAL) == 0
    if ipv6_addr_equal(addr, dst):
        return 1024
    return (256 if same else 0) + common_bits(addr, dst) + 1


cdef int ip6_route_get_saddr(const net *n, const fib6_info *f6i, const in6_addr *daddr,
                             in6_addr *saddr) noexcept nogil:
    cdef unsigned int score, best = 0
    cdef int i
    if f6i != NULL and not ipv6_addr_any(&f6i.prefsrc):
        saddr[0] = f6i.prefsrc
        return 0
    for i in range(n.ipv6.n_local_addrs):
        score = saddr_score(&n.ipv6.local_addrs[i], daddr)
        if score > best:
            best = score
            saddr[0] = n.ipv6.local_addrs[i]
    if best:
        return 0
    if ipv6_addr_loopback(daddr):
        saddr[0] = daddr[0]
        return 0
    return -EADDRNOTAVAIL


# ------------------------------------------------------------------------------------------- the fib

cdef void fib6_update_sernum(net *n, fib6_info *f6i) noexcept nogil:
    n.ipv6.fib6_sernum += 1
    f6i.fib6_sernum = n.ipv6.fib6_sernum


# Whoever still holds it has to look up again: it no longer knows where it is from.
cdef void rt6_detach(rt6_info *rt) noexcept nogil:
    rt.from_ = NULL
    dst_release(&rt.dst)


cdef void rt6_remove_exception(net *n, rt6_info **p) noexcept nogil:
    cdef rt6_info *rt = p[0]
    p[0] = rt.next
    rt6_detach(rt)


cdef void rt6_remove_exception_rt(net *n, rt6_info *rt) noexcept nogil:
    cdef rt6_info **p = &n.ipv6.exceptions
    while p[0] != NULL:
        if p[0] == rt:
            rt6_remove_exception(n, p)
            return
        p = &p[0].next


# f6i NULL: all.
cdef void rt6_flush_exceptions(net *n, const fib6_info *f6i) noexcept nogil:
    cdef rt6_info **p = &n.ipv6.exceptions
    while p[0] != NULL:
        if f6i == NULL or <const fib6_info *>p[0].from_ == f6i:
            rt6_remove_exception(n, p)
        else:
            p = &p[0].next


cdef void fib6_drop_pcpu(fib6_info *f6i) noexcept nogil:
    cdef rt6_info *rt = f6i.rt6i_pcpu
    f6i.rt6i_pcpu = NULL
    if rt != NULL:
        rt6_detach(rt)


# A route of the same prefix is replaced (ip -6 route replace).
cdef fib6_info *fib6_add_entry(net *n, const fib6_info *entry) noexcept nogil:
    cdef fib6_info **p = &n.ipv6.fib
    cdef fib6_info *f = p[0]
    cdef fib6_info *next_
    while f != NULL and (f.plen > entry.plen or
                         (f.plen == entry.plen and not ipv6_prefix_equal(&f.dst, &entry.dst, f.plen))):
        p = &f.next
        f = p[0]
    if f != NULL and f.plen == entry.plen:
        rt6_flush_exceptions(n, f)
        fib6_drop_pcpu(f)
        next_ = f.next
    else:
        next_ = f
        f = <fib6_info *>kmem_cache_alloc(&n.misc_slab)
        if f == NULL:
            return NULL
        p[0] = f
    f[0] = entry[0]
    f.next = next_
    f.rt6i_pcpu = NULL
    # A new route may be a better one for those who use another.
    next_ = n.ipv6.fib
    while next_ != NULL:
        fib6_update_sernum(n, next_)
        next_ = next_.next
    return f


cdef fib6_info *fib6_lookup(net *n, const in6_addr *daddr, int oif) noexcept nogil:
    cdef fib6_info *f
    if oif and oif != n.dev.ifindex and oif != n.lo.ifindex:
        return NULL
    if ipv6_chk_addr(n, daddr):
        return n.ipv6.fib_local
    f = n.ipv6.fib
    while f != NULL and not ipv6_prefix_equal(&f.dst, daddr, f.plen):
        f = f.next
    return f


cdef int ip6_route_init(net *n) noexcept nogil:
    cdef fib6_info f
    cdef fib6_info *local = <fib6_info *>kmem_cache_zalloc(&n.misc_slab)
    if local == NULL:
        return -ENOMEM
    local.fib6_type = RTN_LOCAL
    fib6_update_sernum(n, local)
    n.ipv6.fib_local = local
    memset(&f, 0, sizeof(fib6_info))
    f.fib6_type = RTN_UNICAST
    return 0 if fib6_add_entry(n, &f) != NULL else -ENOMEM


cdef void ip6_route_exit(net *n) noexcept nogil:
    cdef fib6_info *f = n.ipv6.fib
    cdef fib6_info *next_
    rt6_flush_exceptions(n, NULL)
    if n.ipv6.fib_local != NULL:
        n.ipv6.fib_local.next = f
        f = n.ipv6.fib_local
    n.ipv6.fib = NULL
    n.ipv6.fib_local = NULL
    while f != NULL:
        next_ = f.next
        fib6_drop_pcpu(f)
        kmem_cache_free(&n.misc_slab, f)
        f = next_


# ------------------------------------------------------------------------------------------- routes

cdef bint rt6_check_expired(const rt6_info *rt) noexcept nogil:
    return rt.rt6i_flags & <u32>RTF_EXPIRES and time_after(jiffies(rt.dst.dev.nd_net), rt.dst.expires)


# ip6_rt_init_dst() and ip6_rt_copy_init(): one reference.
cdef rt6_info *ip6_rt_create(net *n, fib6_info *f6i, u32 flags) noexcept nogil:
    cdef rt6_info *rt = <rt6_info *>kmem_cache_zalloc(&n.dst_slab)
    if rt == NULL:
        return NULL
    rt.dst.dev = &n.lo if f6i.fib6_type == RTN_LOCAL else &n.dev
    rt.dst.ops = &ip6_dst_ops
    rt.dst.obsolete = DST_OBSOLETE_FORCE_CHK
    rt.dst.refcnt = 1
    rt.dst.lastuse = jiffies(n)
    memcpy(rt.dst.metrics, f6i.metrics, RTAX_MAX * sizeof(u32))
    rt.dst.ca_key = f6i.ca_key
    if f6i.ca_key:
        rt.dst.metrics[RTAX_CC_ALGO - 1] = f6i.ca_key
    rt.dst.output = ip6_output
    rt.dst.input = ip6_forward
    rt.rt6i_flags = flags
    if f6i.fib6_type == RTN_LOCAL:
        rt.rt6i_flags |= <u32>RTF_LOCAL
        rt.dst.input = ip6_input
    rt.from_ = f6i
    rt.rt6i_gateway = f6i.gw
    return rt


cdef rt6_info *rt6_find_cached_rt(net *n, const fib6_info *f6i, const in6_addr *daddr) noexcept nogil:
    cdef rt6_info **p = &n.ipv6.exceptions
    while p[0] != NULL:
        if <const fib6_info *>p[0].from_ == f6i and ipv6_addr_equal(&p[0].rt6i_dst, daddr):
            if not rt6_check_expired(p[0]):
                return p[0]
            rt6_remove_exception(n, p)
            return NULL
        p = &p[0].next
    return NULL


# With a reference. NULL: no route.
cdef rt6_info *ip6_pol_route(net *n, const in6_addr *daddr, int oif) noexcept nogil:
    cdef fib6_info *f6i = fib6_lookup(n, daddr, oif)
    cdef rt6_info *rt
    if f6i == NULL:
        return NULL
    rt = rt6_find_cached_rt(n, f6i, daddr)
    if rt == NULL:
        if f6i.rt6i_pcpu == NULL:
            f6i.rt6i_pcpu = ip6_rt_create(n, f6i, RTF_PCPU)
        rt = f6i.rt6i_pcpu
    if rt != NULL:
        dst_hold(&rt.dst)
    return rt


cdef rt6_info *ip6_route_output(net *n, const sock *sk, flowi6 *fl6) noexcept nogil:
    return ip6_pol_route(n, &fl6.daddr, fl6.flowi6_oif)


# ip6_dst_lookup_tail() and ip6_dst_lookup_flow(): also chooses the source address, if the flow leaves it open.
cdef dst_entry *ip6_dst_lookup_flow(net *n, const sock *sk, flowi6 *fl6, const in6_addr *final_dst) noexcept nogil:
    cdef rt6_info *rt = ip6_route_output(n, sk, fl6)
    cdef int err = 0
    if ipv6_addr_any(&fl6.saddr):
        err = ip6_route_get_saddr(n, rt.from_ if rt != NULL else NULL, &fl6.daddr, &fl6.saddr)
    if not err and rt == NULL:
        err = -ENETUNREACH
    if not err and ipv6_addr_v4mapped(&fl6.saddr) and not (ipv6_addr_v4mapped(&fl6.daddr) or
                                                           ipv6_addr_any(&fl6.daddr)):
        err = -EAFNOSUPPORT
    if err:
        dst_release(<dst_entry *>rt)
        if err == -ENETUNREACH:
            IP6_INC_STATS(n, IPSTATS_MIB_OUTNOROUTES)
        return <dst_entry *>ERR_PTR(err)
    if final_dst != NULL:
        fl6.daddr = final_dst[0]
    return &rt.dst


# A packet that no local socket can be for: this host does not forward.
cdef int ip6_forward(sk_buff *skb) noexcept nogil:
    kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
    return 0


# Without a route the packet has none afterwards.
cdef void ip6_route_input(sk_buff *skb) noexcept nogil:
    cdef rt6_info *rt
    skb_dst_drop(skb)
    rt = ip6_pol_route(dev_net(skb.dev), &ipv6_hdr(skb).daddr, 0)
    if rt != NULL:
        skb_dst_set(skb, &rt.dst)


# ------------------------------------------------------------------------------------------- the route as dst_entry

cdef dst_entry *ip6_dst_check(dst_entry *dst, u32 cookie) noexcept nogil:
    cdef rt6_info *rt = dst_rt6_info(dst)
    if rt.from_ == NULL or rt.from_.fib6_sernum != cookie or rt6_check_expired(rt):
        return NULL
    return dst


cdef unsigned int ip6_mtu(dst_entry *dst) noexcept nogil:
    return ip6_dst_mtu_maybe_forward(dst, 0)


# RFC 9293 3.7.1: MTU minus 60, but not less than a packet of 1280 can carry. 65535: any, path MTU discovery decides.
cdef unsigned int ip6_default_advmss(dst_entry *dst) noexcept nogil:
    cdef unsigned int mtu = ip6_mtu(dst) - <unsigned int>(sizeof(ipv6hdr) + sizeof(tcphdr))
    mtu = max_u32(mtu, <u32>dst_dev_net(dst).ipv6.ip6_rt_min_advmss)
    if mtu > IPV6_MAXPLEN - <unsigned int>sizeof(tcphdr):
        mtu = IPV6_MAXPLEN
    return mtu


# TCP retransmits in vain: the socket looks for another route.
cdef void ip6_negative_advice(sock *sk, dst_entry *dst) noexcept nogil:
    cdef rt6_info *rt = dst_rt6_info(dst)
    if rt.rt6i_flags & <u32>RTF_CACHE:
        if rt6_check_expired(rt):
            sk_dst_reset(sk)
            rt6_remove_exception_rt(sock_net(sk), rt)
        return
    sk_dst_reset(sk)


cdef void ip6_link_failure(sk_buff *skb) noexcept nogil:
    cdef rt6_info *rt = dst_rt6_info(skb.dst)
    icmpv6_send(skb, ICMPV6_DEST_UNREACH, ICMPV6_ADDR_UNREACH, 0)
    if rt != NULL and rt.rt6i_flags & <u32>RTF_CACHE:
        rt6_remove_exception_rt(dst_dev_net(&rt.dst), rt)


cdef void rt6_do_update_pmtu(rt6_info *rt, u32 mtu) noexcept nogil:
    dst_metric_set(&rt.dst, RTAX_MTU, mtu)
    dst_set_expires(&rt.dst, dst_dev_net(&rt.dst).ipv6.ip6_rt_mtu_expires)
    rt.rt6i_flags |= RTF_MODIFIED | RTF_EXPIRES


# Takes over the caller's reference. -EINVAL: the link itself carries no more.
cdef int rt6_insert_exception(net *n, rt6_info *nrt, fib6_info *f6i) noexcept nogil:
    cdef u32 mtu = f6i.metrics[RTAX_MTU - 1]
    cdef rt6_info *old
    if dst_metric_raw(&nrt.dst, RTAX_MTU) >= (mtu if mtu else max_u32(n.dev.mtu, IPV6_MIN_MTU)):
        return -EINVAL
    old = rt6_find_cached_rt(n, f6i, &nrt.rt6i_dst)
    if old != NULL:
        rt6_remove_exception_rt(n, old)
    nrt.next = n.ipv6.exceptions
    n.ipv6.exceptions = nrt
    fib6_update_sernum(n, f6i)
    return 0


# RFC 8201: the path to daddr takes no more than mtu.
cdef void __ip6_rt_update_pmtu(dst_entry *dst, const in6_addr *daddr, u32 mtu) noexcept nogil:
    cdef rt6_info *rt6 = dst_rt6_info(dst)
    cdef net *n = dst_dev_net(dst)
    cdef rt6_info *nrt6
    if mtu < IPV6_MIN_MTU or mtu >= dst_mtu(dst):
        return
    if rt6.rt6i_flags & <u32>RTF_CACHE or rt6.from_ == NULL:
        rt6_do_update_pmtu(rt6, mtu)
    elif daddr != NULL:
        nrt6 = ip6_rt_create(n, rt6.from_, RTF_CACHE)
        if nrt6 == NULL:
            return
        nrt6.rt6i_dst = daddr[0]
        rt6_do_update_pmtu(nrt6, mtu)
        if rt6_insert_exception(n, nrt6, rt6.from_):
            dst_release(&nrt6.dst)


cdef void ip6_rt_update_pmtu(dst_entry *dst, sock *sk, sk_buff *skb, u32 mtu, bint confirm_neigh) noexcept nogil:
    if skb != NULL:
        __ip6_rt_update_pmtu(dst, &ipv6_hdr(skb).daddr, mtu)
    else:
        __ip6_rt_update_pmtu(dst, &sk.sk_v6_daddr if sk != NULL else NULL, mtu)


cdef void rt6_do_redirect(dst_entry *dst, sock *sk, sk_buff *skb) noexcept nogil:
    pass                                # as in route.pyx: another next hop, which nothing here depends on


cdef void ip6_dst_destroy(dst_entry *dst) noexcept nogil:
    kmem_cache_free(&dst_dev_net(dst).dst_slab, dst)


ip6_dst_ops.family = AF_INET6
ip6_dst_ops.check = ip6_dst_check
ip6_dst_ops.default_advmss = ip6_default_advmss
ip6_dst_ops.mtu = ip6_mtu
ip6_dst_ops.negative_advice = ip6_negative_advice
ip6_dst_ops.link_failure = ip6_link_failure
ip6_dst_ops.update_pmtu = ip6_rt_update_pmtu
ip6_dst_ops.redirect = rt6_do_redirect
ip6_dst_ops.destroy = ip6_dst_destroy
