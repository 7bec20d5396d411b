"""The same tables as IPv4's, looked up with IPv6 addresses.

Serves RFC 9293 3.10.7 (which connection a segment belongs to) and RFC 6056 3.3.4 (choice of the ephemeral port).
Follows net/ipv6/inet6_hashtables.c of Linux 6.18 (GPL-2.0-only).

Deviations: no BPF lookup, no VRF; the secrets of the hash are the host's.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.inet_hashtables cimport __inet_hash_connect
from kpath_c.inet_timewait_sock cimport inet_twsk_deschedule_put
from kpath_c.secure_seq cimport secure_ipv6_port_ephemeral
from kpath_c.sock_reuseport cimport reuseport_select_sock
from kpath_c.tcp_ipv4 cimport tcp_twsk_unique


cdef u32 inet6_ehashfn(const net *n, const in6_addr *laddr, u16 lport, const in6_addr *faddr,
                       __be16 fport) noexcept nogil:
    cdef u32 fhash = __ipv6_addr_jhash(faddr, n.e.tcp_ipv6_hash_secret)
    return lport + __inet6_ehashfn(laddr.s6_addr32[3], 0, fhash, fport, n.e.inet6_ehash_secret + net_hash_mix(n))


# Takes a reference.
cdef sock *__inet6_lookup_established(const net *n, const in6_addr *saddr, __be16 sport, const in6_addr *daddr,
                                      u16 hnum, int dif, int sdif) noexcept nogil:
    cdef u32 ports = INET_COMBINED_PORTS(sport, hnum)
    cdef inet_hashinfo *hashinfo = <inet_hashinfo *>n.ipv4.tcp_death_row.hashinfo
    cdef u32 hash_ = inet6_ehashfn(n, daddr, hnum, saddr, sport)
    cdef hlist_nulls_node *node = inet_ehash_first(hashinfo, hash_)
    cdef sock *sk
    while not is_a_nulls(node):
        sk = nulls_to_sk(node)
        if sk.sk_hash == hash_ and inet6_match(n, sk, saddr, daddr, ports, dif, sdif):
            if sk.sk_refcnt == 0:
                return NULL
            sk.sk_refcnt += 1
            return sk
        node = node.next
    return NULL


cdef int compute_score(sock *sk, const net *n, unsigned short hnum, const in6_addr *daddr, int dif,
                       int sdif) noexcept nogil:
    cdef int score = -1
    if <const net *>sk.sk_net == n and sk.sk_num == hnum and sk.sk_family == PF_INET6:
        if not ipv6_addr_equal(&sk.sk_v6_rcv_saddr, daddr):
            return -1
        if not inet_sk_bound_dev_eq(n, sk.sk_bound_dev_if, dif, sdif):
            return -1
        score = 2 if sk.sk_bound_dev_if else 1
        if sk.sk_incoming_cpu == 0:
            score += 1
    return score


cdef sock *inet6_lookup_reuseport(const net *n, sock *sk, sk_buff *skb, int doff, const in6_addr *saddr, __be16 sport,
                                  const in6_addr *daddr, unsigned short hnum) noexcept nogil:
    if sk.sk_reuseport:
        return reuseport_select_sock(sk, inet6_ehashfn(n, daddr, hnum, saddr, sport), skb, doff)
    return NULL


cdef sock *inet6_lhash2_lookup(const net *n, inet_listen_hashbucket *ilb2, sk_buff *skb, int doff,
                               const in6_addr *saddr, __be16 sport, const in6_addr *daddr, unsigned short hnum,
                               int dif, int sdif) noexcept nogil:
    cdef sock *sk
    cdef sock *result = NULL
    cdef sock *reuse_sk
    cdef hlist_nulls_node *node = ilb2.nulls_head.first
    cdef int score, hiscore = 0
    while not is_a_nulls(node):
        sk = nulls_to_sk(node)
        score = compute_score(sk, n, hnum, daddr, dif, sdif)
        if score > hiscore:
            reuse_sk = inet6_lookup_reuseport(n, sk, skb, doff, saddr, sport, daddr, hnum)
            if reuse_sk != NULL:
                return reuse_sk
            result = sk
            hiscore = score
        node = node.next
    return result


# No reference is taken. First a listener at the very address, then one at any.
cdef sock *inet6_lookup_listener(const net *n, sk_buff *skb, int doff, const in6_addr *saddr, __be16 sport,
                                 const in6_addr *daddr, unsigned short hnum, int dif, int sdif) noexcept nogil:
    cdef inet_hashinfo *hashinfo = <inet_hashinfo *>n.ipv4.tcp_death_row.hashinfo
    cdef in6_addr any_
    cdef sock *result
    result = inet6_lhash2_lookup(n, inet_lhash2_bucket(hashinfo, ipv6_portaddr_hash(n, daddr, hnum)), skb, doff, saddr,
                                 sport, daddr, hnum, dif, sdif)
    if result != NULL:
        return result
    memset(&any_, 0, sizeof(any_))
    return inet6_lhash2_lookup(n, inet_lhash2_bucket(hashinfo, ipv6_portaddr_hash(n, &any_, hnum)), skb, doff, saddr,
                               sport, &any_, hnum, dif, sdif)


cdef sock *__inet6_lookup_skb(sk_buff *skb, int doff, __be16 sport, __be16 dport, int iif, int sdif,
                              bint *refcounted) noexcept nogil:
    cdef net *n = skb_dst_dev_net(skb)
    cdef const ipv6hdr *ip6h = ipv6_hdr(skb)
    cdef bint prefetched = 0
    cdef sock *sk = skb_steal_sock(skb, refcounted, &prefetched)
    if sk != NULL:
        return sk
    sk = __inet6_lookup_established(n, &ip6h.saddr, sport, &ip6h.daddr, ntohs(dport), iif, sdif)
    refcounted[0] = 1
    if sk != NULL:
        return sk
    refcounted[0] = 0
    return inet6_lookup_listener(n, skb, doff, &ip6h.saddr, sport, &ip6h.daddr, ntohs(dport), iif, sdif)


# ------------------------------------------------------------------------------------------- connect

# Is (sk's addresses, lport, sk's peer port) free? If so sk takes it; a TIME_WAIT socket that may be reused gives way.
cdef int __inet6_check_established(inet_timewait_death_row *death_row, sock *sk, u16 lport,
                                   inet_timewait_sock **twp, bint rcu_lookup, u32 hash_) noexcept nogil:
    cdef inet_hashinfo *hinfo = death_row.hashinfo
    cdef const in6_addr *daddr = &sk.sk_v6_rcv_saddr
    cdef const in6_addr *saddr = &sk.sk_v6_daddr
    cdef int dif = sk.sk_bound_dev_if
    cdef net *n = sock_net(sk)
    cdef u32 ports = INET_COMBINED_PORTS(sk.sk_dport, lport)
    cdef inet_timewait_sock *tw = NULL
    cdef hlist_nulls_node *node = inet_ehash_first(hinfo, hash_)
    cdef sock *sk2

    while not is_a_nulls(node):
        sk2 = nulls_to_sk(node)
        if sk2.sk_hash == hash_ and inet6_match(n, sk2, saddr, daddr, ports, dif, 0):
            if rcu_lookup:
                return 0 if sk2.sk_state == TCP_TIME_WAIT else -EADDRNOTAVAIL
            if sk2.sk_state == TCP_TIME_WAIT:
                tw = inet_twsk(sk2)
                if tcp_twsk_unique(sk, sk2, twp):
                    break
            return -EADDRNOTAVAIL
        node = node.next
    if rcu_lookup:
        return 0

    sk.sk_num = lport
    inet_sk(sk).inet_sport = htons(lport)
    sk.sk_hash = hash_
    inet_ehash_add(sk)
    if tw != NULL:
        sk_nulls_del_node_init_rcu(<sock *>tw)
        NET_INC_STATS(n, LINUX_MIB_TIMEWAITRECYCLED)
    sock_prot_inuse_add(n, sk.sk_prot, 1)

    if twp != NULL:
        twp[0] = tw
    elif tw != NULL:
        inet_twsk_deschedule_put(tw)
    return 0


cdef u64 inet6_sk_port_offset(const sock *sk) noexcept nogil:
    return secure_ipv6_port_ephemeral(sock_net(sk), &sk.sk_v6_rcv_saddr, &sk.sk_v6_daddr, sk.sk_dport)


cdef int inet6_hash_connect(inet_timewait_death_row *death_row, sock *sk) noexcept nogil:
    cdef u64 port_offset = 0
    cdef u32 hash_port0
    if not sk.sk_num:
        port_offset = inet6_sk_port_offset(sk)
    hash_port0 = inet6_ehashfn(sock_net(sk), &sk.sk_v6_rcv_saddr, 0, &sk.sk_v6_daddr, sk.sk_dport)
    return __inet_hash_connect(death_row, sk, port_offset, hash_port0, __inet6_check_established)
