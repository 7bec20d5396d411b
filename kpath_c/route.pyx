"""Routes: which device, source address, MTU and metrics a destination has, and what ICMP has taught about its path.

Serves RFC 1122 3.3.1 (choice of the source address, next hop) and 3.2.1.3 (martians), RFC 1191 and RFC 8201 in so far
as they bear on IPv4 (path MTU, how long it is believed, the floor below which it isn't).
Follows net/ipv4/route.c of Linux 6.18 (GPL-2.0-only), and of fib_frontend.c, fib_semantics.c, fib_trie.c and devinet.c
what it needs.

Deviations: one device, one table: `fib` is a list, longest prefix first; all local addresses are one entry
(`fib_local`). Without `ip route` lines there is a default route without a gateway. Exceptions (fib_nh_exception) are a
list of the host's, not a hash of the next hop's, and are never thrown out for their number. Left out: multipath,
policy rules, forwarding, multicast membership, the effect of redirects, rp_filter and custom local routes (only a
packet from one's own address is a martian), log of martians.
"""
from libc.stdlib cimport calloc, free
from kpath_c.headers.tcp cimport *
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_zalloc, kmem_cache_free
from kpath_c.skbuff cimport kfree_skb, kfree_skb_reason
from kpath_c.ip_input cimport ip_local_deliver
from kpath_c.ip_output cimport ip_output
from kpath_c.net_dst cimport dst_check
from kpath_c.icmp cimport icmp_send

cdef enum:
    IP_IDENTS_SIZE = 2048               # ip_idents[]: the size that a machine of little memory has
    LOCAL_ADDRS_MAX = 64

cdef dst_ops ipv4_dst_ops


# ------------------------------------------------------------------------------------------- the fib

cdef bint fib_is_local(const net *n, __be32 addr) noexcept nogil:
    cdef int i
    if ipv4_is_loopback(addr):
        return 1
    for i in range(n.ipv4.n_local_addrs):
        if n.ipv4.local_addrs[i] == addr:
            return 1
    return 0


cdef int fib_add_local_addr(net *n, __be32 addr) noexcept nogil:
    cdef int i
    for i in range(n.ipv4.n_local_addrs):
        if n.ipv4.local_addrs[i] == addr:
            return 0
    if n.ipv4.n_local_addrs >= LOCAL_ADDRS_MAX:
        return -ENOBUFS
    n.ipv4.local_addrs[n.ipv4.n_local_addrs] = addr
    n.ipv4.n_local_addrs += 1
    rt_cache_flush(n)
    return 0


cdef inline bint fib_prefix_match(const fib_entry *f, __be32 addr) noexcept nogil:
    if f.prefixlen == 0:
        return 1
    return ((ntohl(addr) ^ ntohl(f.dst)) >> (32 - f.prefixlen)) == 0


cdef void rt_uncache(rtable **p) noexcept nogil:
    cdef rtable *rt = p[0]
    if rt != NULL:
        p[0] = NULL
        dst_release(&rt.dst)


cdef void fib_flush_exceptions(net *n, fib_entry *f) noexcept nogil:
    """Forgets the exceptions to one route; f NULL: to all."""
    cdef fib_nh_exception **p = &n.ipv4.exceptions
    cdef fib_nh_exception *fnhe = p[0]
    while fnhe != NULL:
        if f == NULL or fnhe.fib == f:
            p[0] = fnhe.next
            rt_uncache(&fnhe.rth_output)
            kmem_cache_free(&n.misc_slab, fnhe)
        else:
            p = &fnhe.next
        fnhe = p[0]


# A route of the same prefix is replaced (ip route replace).
cdef fib_entry *fib_add_entry(net *n, const fib_entry *entry) noexcept nogil:
    cdef fib_entry **p = &n.ipv4.fib
    cdef fib_entry *f = p[0]
    cdef fib_entry *next_
    while f != NULL and f.prefixlen > entry.prefixlen:
        p = &f.next
        f = p[0]
    while f != NULL and f.prefixlen == entry.prefixlen and not fib_prefix_match(f, entry.dst):
        p = &f.next
        f = p[0]
    if f != NULL and f.prefixlen == entry.prefixlen:
        fib_flush_exceptions(n, f)
        rt_uncache(&f.rth_output)
        rt_uncache(&f.rth_input)
        next_ = f.next
    else:
        next_ = f
        f = <fib_entry *>kmem_cache_alloc(&n.misc_slab)
        if f == NULL:
            return NULL
        p[0] = f
    f[0] = entry[0]
    f.next = next_
    f.rth_output = NULL
    f.rth_input = NULL
    rt_cache_flush(n)
    return f


cdef int fib_type_error(u8 type_) noexcept nogil:
    if type_ == RTN_BLACKHOLE:
        return -EINVAL
    if type_ == RTN_UNREACHABLE:
        return -EHOSTUNREACH
    if type_ == RTN_PROHIBIT:
        return -EACCES
    if type_ == RTN_THROW:
        return -EAGAIN
    return 0


# The local table goes first. A route through a gateway is not for those who ask for a link (SO_DONTROUTE).
cdef int fib_lookup(net *n, const flowi4 *flp, fib_entry **res) noexcept nogil:
    cdef fib_entry *f
    cdef int err
    if flp.flowi4_oif and flp.flowi4_oif != n.dev.ifindex:
        return -ENETUNREACH
    if fib_is_local(n, flp.daddr):
        res[0] = n.ipv4.fib_local
        return 0
    f = n.ipv4.fib
    while f != NULL:
        if fib_prefix_match(f, flp.daddr):
            err = fib_type_error(f.type)
            if err == -EAGAIN:
                return -ENETUNREACH
            if err:
                return err
            if not (f.gw_set and flp.flowi4_scope > RT_SCOPE_UNIVERSE):
                res[0] = f
                return 0
        f = f.next
    return -ENETUNREACH


# Prefix lengths of addresses are not known: the first one that is not of the loopback net.
cdef __be32 inet_select_addr(const net *n, __be32 dst, int scope) noexcept nogil:
    cdef int i
    for i in range(n.ipv4.n_local_addrs):
        if not ipv4_is_loopback(n.ipv4.local_addrs[i]) or scope >= RT_SCOPE_HOST:
            return n.ipv4.local_addrs[i]
    return 0


cdef __be32 fib_result_prefsrc(const net *n, const fib_entry *res) noexcept nogil:
    if res.prefsrc:
        return res.prefsrc
    return inet_select_addr(n, res.gw if res.gw_set else 0, RT_SCOPE_UNIVERSE)


cdef unsigned int inet_addr_type(net *n, __be32 addr) noexcept nogil:
    if ipv4_is_zeronet(addr) or ipv4_is_lbcast(addr):
        return RTN_BROADCAST
    if ipv4_is_multicast(addr):
        return RTN_MULTICAST
    return RTN_LOCAL if fib_is_local(n, addr) else RTN_UNICAST


cdef unsigned int inet_addr_type_table(net *n, __be32 addr, u32 tb_id) noexcept nogil:
    return inet_addr_type(n, addr)


# ------------------------------------------------------------------------------------------- set-up

cdef int ip_rt_init(net *n) noexcept nogil:
    cdef fib_entry f
    cdef fib_entry *local = <fib_entry *>kmem_cache_zalloc(&n.misc_slab)
    if local == NULL:
        return -ENOMEM
    local.type = RTN_LOCAL
    n.ipv4.fib_local = local
    n.ipv4.fib = NULL
    n.ipv4.exceptions = NULL
    n.ipv4.rt_genid = 1
    if n.lo.nd_net == NULL:
        n.lo.nd_net = n
        n.lo.ifindex = LOOPBACK_IFINDEX
        n.lo.mtu = 65536
    memset(&f, 0, sizeof(fib_entry))
    f.type = RTN_UNICAST
    if fib_add_entry(n, &f) == NULL:
        return -ENOMEM
    return 0


cdef void ip_rt_exit(net *n) noexcept nogil:
    cdef fib_entry *f = n.ipv4.fib
    cdef fib_entry *next_
    fib_flush_exceptions(n, NULL)
    while f != NULL:
        next_ = f.next
        rt_uncache(&f.rth_output)
        rt_uncache(&f.rth_input)
        kmem_cache_free(&n.misc_slab, f)
        f = next_
    n.ipv4.fib = NULL
    if n.ipv4.fib_local != NULL:
        rt_uncache(&n.ipv4.fib_local.rth_output)
        rt_uncache(&n.ipv4.fib_local.rth_input)
        kmem_cache_free(&n.misc_slab, n.ipv4.fib_local)
        n.ipv4.fib_local = NULL
    free(n.ipv4.ip_idents)
    n.ipv4.ip_idents = NULL


# All routes that sockets hold must be looked up again.
cdef void rt_cache_flush(net *n) noexcept nogil:
    n.ipv4.rt_genid += 1


# ------------------------------------------------------------------------------------------- IP ids without a socket

# A counter for each hash of (destination, source, protocol), moved on by a random amount for the time it was idle.
cdef u32 ip_idents_reserve(net *n, u32 hash_, int segs) noexcept nogil:
    cdef u32 bucket = hash_ & (IP_IDENTS_SIZE - 1)
    cdef u32 now = <u32>jiffies(n)
    cdef u32 delta = 0
    cdef u32 old
    cdef u32 *p_tstamp
    cdef int i
    if n.ipv4.ip_idents == NULL:
        n.ipv4.ip_idents = <u32 *>calloc(2 * IP_IDENTS_SIZE, sizeof(u32))
        if n.ipv4.ip_idents == NULL:
            return get_random_u32(n)
        for i in range(IP_IDENTS_SIZE):
            n.ipv4.ip_idents[i] = get_random_u32(n)
    p_tstamp = &n.ipv4.ip_idents[IP_IDENTS_SIZE + bucket]
    old = p_tstamp[0]
    if old != now:
        p_tstamp[0] = now
        delta = get_random_u32_below(n, now - old)
    n.ipv4.ip_idents[bucket] += <u32>segs + delta
    return n.ipv4.ip_idents[bucket] - <u32>segs


cdef void __ip_select_ident(net *n, iphdr *iph, int segs) noexcept nogil:
    cdef u32 hash_ = <u32>siphash_3u32(<u32>iph.daddr, <u32>iph.saddr, iph.protocol, &n.e.ip_id_key)
    iph.id = htons(<u16>ip_idents_reserve(n, hash_, segs))


# ------------------------------------------------------------------------------------------- flow keys

cdef void __build_flow_key(const net *n, flowi4 *fl4, const sock *sk, const iphdr *iph, int oif, u8 tos, u8 prot,
                           u32 mark, u8 flow_flags) noexcept nogil:
    cdef u8 scope = RT_SCOPE_UNIVERSE
    if sk != NULL:
        oif = sk.sk_bound_dev_if
        mark = sk.sk_mark
        tos = ip_sock_rt_tos(sk)
        scope = ip_sock_rt_scope(sk)
        prot = <u8>sk.sk_protocol
    flowi4_init_output(fl4, oif, mark, tos & INET_DSCP_MASK, scope, prot, flow_flags, iph.daddr, iph.saddr, 0, 0,
                       sk.sk_uid if sk != NULL else 0)


cdef void build_skb_flow_key(flowi4 *fl4, const sk_buff *skb, const sock *sk) noexcept nogil:
    cdef const iphdr *iph = ip_hdr(skb)
    __build_flow_key(skb.dev.nd_net, fl4, sk, iph, skb.dev.ifindex, iph.tos, iph.protocol, skb.mark, 0)


cdef void build_sk_flow_key(flowi4 *fl4, const sock *sk) noexcept nogil:
    flowi4_init_output(fl4, sk.sk_bound_dev_if, sk.sk_mark, ip_sock_rt_tos(sk), ip_sock_rt_scope(sk),
                       <u8>sk.sk_protocol, inet_sk_flowi_flags(sk), sk.sk_daddr, inet_sk(sk).inet_saddr, 0, 0,
                       sk.sk_uid)


cdef void ip_rt_build_flow_key(flowi4 *fl4, const sock *sk, const sk_buff *skb) noexcept nogil:
    if skb != NULL:
        build_skb_flow_key(fl4, skb, sk)
    else:
        build_sk_flow_key(fl4, sk)


# ------------------------------------------------------------------------------------------- exceptions to a route

cdef void fill_route_from_fnhe(rtable *rt, fib_nh_exception *fnhe) noexcept nogil:
    rt.rt_pmtu = fnhe.pmtu
    rt.rt_mtu_locked = fnhe.mtu_locked
    rt.dst.expires = fnhe.expires
    if fnhe.gw:
        rt.rt_flags |= RTCF_REDIRECTED
        rt.rt_uses_gateway = 1
        rt.rt_gw_family = AF_INET
        rt.rt_gw4 = fnhe.gw


cdef void update_or_create_fnhe(net *n, fib_entry *fib, __be32 daddr, __be32 gw, u32 pmtu, bint lock,
                                unsigned long expires) noexcept nogil:
    cdef fib_nh_exception *fnhe = n.ipv4.exceptions
    while fnhe != NULL and not (fnhe.daddr == daddr and fnhe.fib == fib):
        fnhe = fnhe.next
    if fnhe != NULL:
        if gw:
            fnhe.gw = gw
        if pmtu:
            fnhe.pmtu = pmtu
            fnhe.mtu_locked = lock
        fnhe.expires = max_ulong(1, expires)
        if fnhe.rth_output != NULL:
            fill_route_from_fnhe(fnhe.rth_output, fnhe)
    else:
        fnhe = <fib_nh_exception *>kmem_cache_zalloc(&n.misc_slab)
        if fnhe == NULL:
            return
        fnhe.fib = fib
        fnhe.daddr = daddr
        fnhe.gw = gw
        fnhe.pmtu = pmtu
        fnhe.mtu_locked = lock
        fnhe.expires = max_ulong(1, expires)
        fnhe.next = n.ipv4.exceptions
        n.ipv4.exceptions = fnhe
        # Whoever holds the common route has to ask whether the exception is meant for him.
        if fib.rth_input != NULL:
            fib.rth_input.dst.obsolete = DST_OBSOLETE_KILL
        if fib.rth_output != NULL:
            fib.rth_output.dst.obsolete = DST_OBSOLETE_KILL
    fnhe.stamp = jiffies(n)


# Expired ones are forgotten when they are met.
cdef fib_nh_exception *find_exception(net *n, fib_entry *fib, __be32 daddr) noexcept nogil:
    cdef fib_nh_exception **p = &n.ipv4.exceptions
    cdef fib_nh_exception *fnhe = p[0]
    while fnhe != NULL:
        if fnhe.daddr == daddr and fnhe.fib == fib:
            if fnhe.expires and time_after(jiffies(n), fnhe.expires):
                p[0] = fnhe.next
                rt_uncache(&fnhe.rth_output)
                kmem_cache_free(&n.misc_slab, fnhe)
                return NULL
            return fnhe
        p = &fnhe.next
        fnhe = p[0]
    return NULL


cdef bint rt_bind_exception(net *n, rtable *rt, fib_nh_exception *fnhe, __be32 daddr, bint do_cache) noexcept nogil:
    cdef rtable *orig = fnhe.rth_output
    fill_route_from_fnhe(rt, fnhe)
    if not rt.rt_gw4:
        rt.rt_gw4 = daddr
        rt.rt_gw_family = AF_INET
    if do_cache:
        dst_hold(&rt.dst)
        fnhe.rth_output = rt
        if orig != NULL:
            dst_release(&orig.dst)
    fnhe.stamp = jiffies(n)
    return do_cache


# ------------------------------------------------------------------------------------------- path MTU

# RFC 1191 6.3, with a floor: a report of less than min_pmtu is taken as min_pmtu, and DF is given up (locked).
cdef void __ip_rt_update_pmtu(rtable *rt, flowi4 *fl4, u32 mtu) noexcept nogil:
    cdef dst_entry *dst = &rt.dst
    cdef net *n = dst_dev_net(dst)
    cdef fib_entry *res = NULL
    cdef bint lock = 0
    cdef u32 old_mtu
    if ip_mtu_locked(dst):
        return
    old_mtu = ipv4_mtu(dst)
    if old_mtu < mtu:
        return
    if mtu < n.ipv4.ip_rt_min_pmtu:
        lock = 1
        mtu = min_u32(old_mtu, n.ipv4.ip_rt_min_pmtu)
    if (rt.rt_pmtu == mtu and not lock and
            time_before(jiffies(n), dst.expires - <unsigned long><long>(n.ipv4.ip_rt_mtu_expires // 2))):
        return
    if fib_lookup(n, fl4, &res) == 0:
        if not fl4.saddr:
            fl4.saddr = fib_result_prefsrc(n, res)
        update_or_create_fnhe(n, res, fl4.daddr, 0, mtu, lock,
                              jiffies(n) + <unsigned long><long>n.ipv4.ip_rt_mtu_expires)


cdef void ip_rt_update_pmtu(dst_entry *dst, sock *sk, sk_buff *skb, u32 mtu, bint confirm_neigh) noexcept nogil:
    cdef flowi4 fl4
    ip_rt_build_flow_key(&fl4, sk, skb)
    __ip_rt_update_pmtu(dst_rtable(dst), &fl4, mtu)


# skb.data is the IP header that the ICMP message quotes.
cdef void ipv4_update_pmtu(sk_buff *skb, net *n, u32 mtu, int oif, u8 protocol) noexcept nogil:
    cdef const iphdr *iph = <const iphdr *>skb.data
    cdef flowi4 fl4
    cdef rtable *rt
    __build_flow_key(n, &fl4, NULL, iph, oif, iph.tos, protocol, IP4_REPLY_MARK(n, skb.mark), 0)
    rt = ip_route_output_key_hash(n, &fl4, NULL)
    if not IS_ERR(rt):
        __ip_rt_update_pmtu(rt, &fl4, mtu)
        ip_rt_put(rt)


cdef void __ipv4_sk_update_pmtu(sk_buff *skb, sock *sk, u32 mtu) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef flowi4 fl4
    cdef rtable *rt
    __build_flow_key(n, &fl4, sk, <const iphdr *>skb.data, 0, 0, 0, 0, 0)
    if not fl4.flowi4_mark:
        fl4.flowi4_mark = IP4_REPLY_MARK(n, skb.mark)
    rt = ip_route_output_key_hash(n, &fl4, NULL)
    if not IS_ERR(rt):
        __ip_rt_update_pmtu(rt, &fl4, mtu)
        ip_rt_put(rt)


cdef void ipv4_sk_update_pmtu(sk_buff *skb, sock *sk, u32 mtu) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef flowi4 fl4
    cdef rtable *rt
    cdef dst_entry *odst
    cdef bint new_ = 0
    if not ip_sk_accept_pmtu(sk):
        return
    odst = sk_dst_get(sk)
    if odst == NULL:
        __ipv4_sk_update_pmtu(skb, sk, mtu)
        return
    __build_flow_key(n, &fl4, sk, <const iphdr *>skb.data, 0, 0, 0, 0, 0)
    rt = dst_rtable(odst)
    if odst.obsolete and odst.ops.check(odst, 0) == NULL:
        rt = ip_route_output_flow(n, &fl4, sk)
        if IS_ERR(rt):
            dst_release(odst)
            return
        new_ = 1
    __ip_rt_update_pmtu(rt, &fl4, mtu)
    if dst_check(&rt.dst, 0) == NULL:
        if new_:
            dst_release(&rt.dst)
        rt = ip_route_output_flow(n, &fl4, sk)
        if IS_ERR(rt):
            dst_release(odst)
            return
        new_ = 1
    if new_:
        sk_dst_set(sk, &rt.dst)
    dst_release(odst)


cdef unsigned int ipv4_mtu(dst_entry *dst) noexcept nogil:
    return ip_dst_mtu_maybe_forward(dst, 0)


# RFC 9293 3.7.1: MTU minus 40, but not less than min_adv_mss.
cdef unsigned int ipv4_default_advmss(dst_entry *dst) noexcept nogil:
    cdef unsigned int header_size = sizeof(tcphdr) + sizeof(iphdr)
    cdef unsigned int advmss = max_u32(ipv4_mtu(dst) - header_size, <u32>dst_dev_net(dst).ipv4.ip_rt_min_advmss)
    return min_u32(advmss, IPV4_MAX_PMTU - header_size)


# ------------------------------------------------------------------------------------------- redirects
# A redirect names another next hop on the same link. Next hops are the link layer's, which there is none of; MTU and
# metrics stay as they are.

cdef void ip_do_redirect(dst_entry *dst, sock *sk, sk_buff *skb) noexcept nogil:
    pass


cdef void ipv4_redirect(sk_buff *skb, net *n, int oif, u8 protocol) noexcept nogil:
    pass


# ------------------------------------------------------------------------------------------- the route as dst_entry

cdef bint rt_is_expired(const rtable *rt) noexcept nogil:
    return rt.rt_genid != rt.dst.dev.nd_net.ipv4.rt_genid


cdef bint rt_cache_valid(const rtable *rt) noexcept nogil:
    return rt != NULL and rt.dst.obsolete == DST_OBSOLETE_FORCE_CHK and not rt_is_expired(rt)


cdef dst_entry *ipv4_dst_check(dst_entry *dst, u32 cookie) noexcept nogil:
    if dst.obsolete != DST_OBSOLETE_FORCE_CHK or rt_is_expired(dst_rtable(dst)):
        return NULL
    return dst


# TCP retransmits in vain: a route with something learnt about it is given up.
cdef void ipv4_negative_advice(sock *sk, dst_entry *dst) noexcept nogil:
    cdef rtable *rt = dst_rtable(dst)
    if dst.obsolete > 0 or rt.rt_flags & <u32>RTCF_REDIRECTED or rt.dst.expires:
        sk_dst_reset(sk)


cdef void ipv4_link_failure(sk_buff *skb) noexcept nogil:
    cdef rtable *rt
    icmp_send(skb, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0)
    rt = skb_rtable(skb)
    if rt != NULL:
        dst_set_expires(&rt.dst, 0)


cdef void ipv4_dst_destroy(dst_entry *dst) noexcept nogil:
    kmem_cache_free(&dst_dev_net(dst).dst_slab, dst)


ipv4_dst_ops.family = AF_INET
ipv4_dst_ops.check = ipv4_dst_check
ipv4_dst_ops.default_advmss = ipv4_default_advmss
ipv4_dst_ops.mtu = ipv4_mtu
ipv4_dst_ops.negative_advice = ipv4_negative_advice
ipv4_dst_ops.link_failure = ipv4_link_failure
ipv4_dst_ops.update_pmtu = ip_rt_update_pmtu
ipv4_dst_ops.redirect = ip_do_redirect
ipv4_dst_ops.destroy = ipv4_dst_destroy


cdef int ip_rt_bug(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    kfree_skb(skb)
    return 0


cdef int dst_discard(sk_buff *skb) noexcept nogil:
    kfree_skb(skb)
    return 0


cdef rtable *rt_dst_alloc(net *n, net_device *dev, unsigned int flags, u16 type_) noexcept nogil:
    cdef rtable *rt = <rtable *>kmem_cache_zalloc(&n.dst_slab)
    if rt == NULL:
        return NULL
    rt.dst.dev = dev
    rt.dst.ops = &ipv4_dst_ops
    rt.dst.obsolete = DST_OBSOLETE_FORCE_CHK
    rt.dst.refcnt = 1
    rt.dst.lastuse = jiffies(n)
    rt.rt_genid = n.ipv4.rt_genid
    rt.rt_flags = flags
    rt.rt_type = type_
    rt.dst.output = ip_output
    rt.dst.input = dst_discard
    if flags & <u32>RTCF_LOCAL:
        rt.dst.input = ip_local_deliver
    return rt


# One cached route per line of the fib and direction; the cache holds a reference.
cdef bint rt_cache_route(fib_entry *fib, rtable *rt) noexcept nogil:
    cdef rtable **p = &fib.rth_input if rt_is_input_route(rt) else &fib.rth_output
    cdef rtable *orig = p[0]
    dst_hold(&rt.dst)
    p[0] = rt
    if orig != NULL:
        dst_release(&orig.dst)
    return 1


cdef void rt_set_nexthop(net *n, rtable *rt, __be32 daddr, fib_entry *fi, fib_nh_exception *fnhe,
                         bint do_cache) noexcept nogil:
    cdef bint cached = 0
    if fi == NULL:
        return
    if fi.gw_set:
        rt.rt_uses_gateway = 1
        rt.rt_gw_family = AF_INET
        rt.rt_gw4 = fi.gw
    memcpy(rt.dst.metrics, fi.metrics, RTAX_MAX * sizeof(u32))
    rt.dst.ca_key = fi.ca_key
    if fi.ca_key:
        rt.dst.metrics[RTAX_CC_ALGO - 1] = fi.ca_key
    if fnhe != NULL:
        cached = rt_bind_exception(n, rt, fnhe, daddr, do_cache)
    elif do_cache:
        cached = rt_cache_route(fi, rt)
    if not cached and not rt.rt_gw4:
        rt.rt_gw_family = AF_INET
        rt.rt_gw4 = daddr


# ------------------------------------------------------------------------------------------- input

# A packet for nobody here: this host doesn't forward.
cdef int ip_error(sk_buff *skb) noexcept nogil:
    cdef rtable *rt = skb_rtable(skb)
    cdef net *n = dst_dev_net(&rt.dst)
    cdef int reason = SKB_DROP_REASON_NOT_SPECIFIED
    if rt.dst.error == EHOSTUNREACH:
        reason = SKB_DROP_REASON_IP_INADDRERRORS
        IP_INC_STATS(n, IPSTATS_MIB_INADDRERRORS)
    elif rt.dst.error == ENETUNREACH:
        reason = SKB_DROP_REASON_IP_INNOROUTES
        IP_INC_STATS(n, IPSTATS_MIB_INNOROUTES)
    kfree_skb_reason(skb, reason)
    return 0


# Without rp_filter: our own address can't come from outside.
cdef int fib_validate_source_reason(sk_buff *skb, __be32 src, __be32 dst, u8 dscp, int oif,
                                    net_device *dev) noexcept nogil:
    if fib_is_local(dev.nd_net, src):
        return SKB_DROP_REASON_IP_LOCAL_SOURCE
    return SKB_NOT_DROPPED_YET


# A list's packets after the first go the way of the one before them if the destination is the same.
cdef int ip_route_use_hint(sk_buff *skb, __be32 daddr, __be32 saddr, u8 dscp, net_device *dev,
                           const sk_buff *hint) noexcept nogil:
    cdef int reason
    if ipv4_is_multicast(saddr) or ipv4_is_lbcast(saddr) or ipv4_is_zeronet(saddr):
        return SKB_DROP_REASON_IP_INVALID_SOURCE
    if ipv4_is_loopback(saddr):
        return SKB_DROP_REASON_IP_LOCALNET
    if skb_rtable(hint).rt_flags & <u32>RTCF_LOCAL:
        reason = fib_validate_source_reason(skb, saddr, daddr, dscp, 0, dev)
        if reason:
            return reason
    skb_dst_copy(skb, hint)
    return SKB_NOT_DROPPED_YET


# The tail of ip_route_input_slow() from local_input on. fib NULL: nothing to cache at.
cdef int ip_route_input_local(sk_buff *skb, net *n, fib_entry *fib, unsigned int flags, u16 type_,
                              int err) noexcept nogil:
    cdef rtable *rth
    if fib != NULL and rt_cache_valid(fib.rth_input):
        skb_dst_set_noref(skb, &fib.rth_input.dst)
        return SKB_NOT_DROPPED_YET
    rth = rt_dst_alloc(n, &n.lo, flags | <u32>RTCF_LOCAL, type_)
    if rth == NULL:
        return SKB_DROP_REASON_NOMEM
    rth.dst.output = ip_rt_bug
    rth.rt_is_input = 1
    if type_ == RTN_UNREACHABLE:
        rth.dst.input = ip_error
        rth.dst.error = <s16>-err
        rth.rt_flags &= ~<u32>RTCF_LOCAL
    if fib != NULL:
        rt_cache_route(fib, rth)
    skb_dst_set(skb, &rth.dst)
    return SKB_NOT_DROPPED_YET


# RFC 1122 3.2.1.3: addresses that can't be, in either place.
cdef int ip_route_input_slow(sk_buff *skb, __be32 daddr, __be32 saddr, u8 dscp, net_device *dev) noexcept nogil:
    cdef net *n = dev.nd_net
    cdef flowi4 fl4
    cdef fib_entry *res = NULL
    cdef int reason
    skb_dst_drop(skb)
    if ipv4_is_multicast(saddr) or ipv4_is_lbcast(saddr):
        return SKB_DROP_REASON_IP_INVALID_SOURCE
    if ipv4_is_lbcast(daddr) or (saddr == 0 and daddr == 0):
        if not ipv4_is_zeronet(saddr):
            reason = fib_validate_source_reason(skb, saddr, 0, dscp, 0, dev)
            if reason:
                return reason
        return ip_route_input_local(skb, n, NULL, RTCF_BROADCAST, RTN_BROADCAST, 0)
    if ipv4_is_zeronet(saddr):
        return SKB_DROP_REASON_IP_INVALID_SOURCE
    if ipv4_is_zeronet(daddr):
        return SKB_DROP_REASON_IP_INVALID_DEST
    if ipv4_is_loopback(daddr) or ipv4_is_loopback(saddr):
        return SKB_DROP_REASON_IP_LOCALNET

    flowi4_init_output(&fl4, 0, skb.mark, dscp, RT_SCOPE_UNIVERSE, 0, 0, daddr, saddr, 0, 0, 0)
    fl4.flowi4_iif = dev.ifindex
    if fib_lookup(n, &fl4, &res) == 0 and res.type == RTN_LOCAL:
        reason = fib_validate_source_reason(skb, saddr, daddr, dscp, 0, dev)
        if reason:
            return reason
        return ip_route_input_local(skb, n, res, 0, RTN_LOCAL, 0)
    # There is no route, or one that would have to be forwarded on.
    return ip_route_input_local(skb, n, NULL, 0, RTN_UNREACHABLE, -EHOSTUNREACH)


cdef int ip_route_input_noref(sk_buff *skb, __be32 daddr, __be32 saddr, u8 dscp, net_device *dev) noexcept nogil:
    if ipv4_is_multicast(daddr):
        return SKB_DROP_REASON_NOT_SPECIFIED
    return ip_route_input_slow(skb, daddr, saddr, dscp, dev)


# ------------------------------------------------------------------------------------------- output

cdef rtable *__mkroute_output(net *n, fib_entry *fi, u16 type_, const flowi4 *fl4, int orig_oif, net_device *dev_out,
                              unsigned int flags) noexcept nogil:
    cdef fib_nh_exception *fnhe = NULL
    cdef rtable *rth
    cdef bint do_cache = 1
    if ipv4_is_loopback(fl4.saddr) and dev_out != &n.lo:
        return <rtable *>ERR_PTR(-EINVAL)
    if ipv4_is_lbcast(fl4.daddr):
        type_ = RTN_BROADCAST
        fi = NULL
    elif ipv4_is_multicast(fl4.daddr):
        type_ = RTN_MULTICAST
    elif ipv4_is_zeronet(fl4.daddr):
        return <rtable *>ERR_PTR(-EINVAL)
    if dev_out == &n.lo:
        flags |= <u32>RTCF_LOCAL
    if type_ == RTN_BROADCAST:
        flags |= <u32>RTCF_BROADCAST | <u32>RTCF_LOCAL
    elif type_ == RTN_MULTICAST:
        flags |= <u32>RTCF_MULTICAST
        if fi != NULL and fi.prefixlen < 4:
            fi = NULL
    elif type_ == RTN_LOCAL and orig_oif != 0 and orig_oif != dev_out.ifindex:
        do_cache = 0

    do_cache = do_cache and fi != NULL
    if fi != NULL:
        fnhe = find_exception(n, fi, fl4.daddr)
        if do_cache:
            if fnhe == NULL and fl4.flowi4_flags & FLOWI_FLAG_KNOWN_NH and not fi.gw_set:
                do_cache = 0
            else:
                rth = fnhe.rth_output if fnhe != NULL else fi.rth_output
                if rt_cache_valid(rth) and dst_hold_safe(&rth.dst):
                    return rth
    rth = rt_dst_alloc(n, dev_out, flags, type_)
    if rth == NULL:
        return <rtable *>ERR_PTR(-ENOBUFS)
    rth.rt_iif = orig_oif
    rt_set_nexthop(n, rth, fl4.daddr, fi, fnhe, do_cache)
    return rth


# Fills in the addresses that fl4 leaves open.
cdef rtable *ip_route_output_key_hash(net *n, flowi4 *fl4, const sk_buff *skb) noexcept nogil:
    cdef net_device *dev_out = NULL
    cdef int orig_oif = fl4.flowi4_oif
    cdef fib_entry *res = NULL
    cdef int err
    fl4.flowi4_iif = LOOPBACK_IFINDEX

    if fl4.saddr:
        if ipv4_is_multicast(fl4.saddr) or ipv4_is_lbcast(fl4.saddr):
            return <rtable *>ERR_PTR(-EINVAL)
        if fl4.flowi4_oif == 0 and (ipv4_is_multicast(fl4.daddr) or ipv4_is_lbcast(fl4.daddr)):
            if not fib_is_local(n, fl4.saddr):
                return <rtable *>ERR_PTR(-ENETUNREACH)
            fl4.flowi4_oif = n.dev.ifindex
            return __mkroute_output(n, NULL, RTN_UNSPEC, fl4, orig_oif, &n.dev, 0)
        if not (fl4.flowi4_flags & FLOWI_FLAG_ANYSRC) and not fib_is_local(n, fl4.saddr):
            return <rtable *>ERR_PTR(-ENETUNREACH)

    if fl4.flowi4_oif:
        if fl4.flowi4_oif == n.dev.ifindex:
            dev_out = &n.dev
        elif fl4.flowi4_oif == n.lo.ifindex:
            dev_out = &n.lo
        else:
            return <rtable *>ERR_PTR(-ENODEV)
        if ipv4_is_local_multicast(fl4.daddr) or ipv4_is_lbcast(fl4.daddr):
            if not fl4.saddr:
                fl4.saddr = inet_select_addr(n, 0, RT_SCOPE_LINK)
            return __mkroute_output(n, NULL, RTN_UNSPEC, fl4, orig_oif, dev_out, 0)
        if not fl4.saddr:
            if ipv4_is_multicast(fl4.daddr):
                fl4.saddr = inet_select_addr(n, 0, fl4.flowi4_scope)
            elif not fl4.daddr:
                fl4.saddr = inet_select_addr(n, 0, RT_SCOPE_HOST)

    if not fl4.daddr:
        fl4.daddr = fl4.saddr
        if not fl4.daddr:
            fl4.saddr = htonl(0x7f000001)
            fl4.daddr = fl4.saddr
        fl4.flowi4_oif = LOOPBACK_IFINDEX
        return __mkroute_output(n, NULL, RTN_LOCAL, fl4, orig_oif, &n.lo, RTCF_LOCAL)

    err = fib_lookup(n, fl4, &res)
    if err:
        if fl4.flowi4_oif:
            # With a device given, the destination is taken to be on its link.
            if fl4.saddr == 0:
                fl4.saddr = inet_select_addr(n, 0, RT_SCOPE_LINK)
            return __mkroute_output(n, NULL, RTN_UNICAST, fl4, orig_oif, dev_out, 0)
        return <rtable *>ERR_PTR(err)

    if res.type == RTN_LOCAL:
        if not fl4.saddr:
            fl4.saddr = res.prefsrc if res.prefsrc else fl4.daddr
        fl4.flowi4_oif = n.lo.ifindex
        return __mkroute_output(n, res, RTN_LOCAL, fl4, n.dev.ifindex, &n.lo, RTCF_LOCAL)

    if not fl4.saddr:
        fl4.saddr = fib_result_prefsrc(n, res)
    return __mkroute_output(n, res, res.type, fl4, orig_oif, &n.dev, 0)


cdef rtable *ip_route_output_flow(net *n, flowi4 *flp4, const sock *sk) noexcept nogil:
    cdef rtable *rt = ip_route_output_key_hash(n, flp4, NULL)
    if IS_ERR(rt):
        return rt
    if flp4.flowi4_proto:
        flp4.flowi4_oif = rt.dst.dev.ifindex
    return rt
