"""net/inet_hashtables.h: keys and buckets of the tables.

The lookups that call into them are in kpath_c/net_icsk.pxd.
"""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.kernel cimport *
from kpath_c.headers.hash cimport *
from kpath_c.headers.inet_sock cimport *
from kpath_c.headers.in6 cimport *
from kpath_c.headers.inet_timewait_sock cimport *

cdef enum:
    FASTREUSEPORT_ANY = 1
    FASTREUSEPORT_STRICT = 2
    LISTENING_NULLS_BASE = 1 << 29
    INET_LHTABLE_SIZE = 32


cdef inline net *ib_net(const inet_bind_bucket *ib) noexcept nogil:
    return <net *>ib.ib_net

cdef inline net *ib2_net(const inet_bind2_bucket *ib) noexcept nogil:
    return <net *>ib.ib_net

cdef inline inet_hashinfo *tcp_get_hashinfo(const sock *sk) noexcept nogil:
    return sk.sk_net.ipv4.tcp_death_row.hashinfo

cdef inline inet_listen_hashbucket *inet_lhash2_bucket(inet_hashinfo *h, u32 hash_) noexcept nogil:
    return &h.lhash2[hash_ & h.lhash2_mask]

# inet_ehash_bucket() of the kernel (the struct has that name). A chain gets its end marker when it is first entered.
cdef inline inet_ehash_bucket *inet_ehash_bucket_of(inet_hashinfo *hashinfo, unsigned int hash_) noexcept nogil:
    cdef inet_ehash_bucket *b = front_bucket(hashinfo, hash_)
    if b.chain.first == NULL:
        INIT_HLIST_NULLS_HEAD(&b.chain, hash_ & hashinfo.ehash_mask)
    return b

# A socket whose sk_hash is set enters.
cdef inline void inet_ehash_add(sock *sk) noexcept nogil:
    cdef inet_ehash_bucket *b = inet_ehash_bucket_of(tcp_get_hashinfo(sk), sk.sk_hash)
    __sk_nulls_add_node_rcu(sk, &b.chain)
    front_add(b, &sk.sk_nulls_node, sk.sk_hash)

cdef inline u32 inet_bhashfn(const net *n, u16 lport, u32 bhash_size) noexcept nogil:
    return (lport + net_hash_mix(n)) & (bhash_size - 1)

cdef inline inet_bind_hashbucket *inet_bhashfn_portaddr(const inet_hashinfo *hinfo, const sock *sk, const net *n,
                                                        unsigned short port) noexcept nogil:
    cdef u32 hash_
    if sk.sk_family == AF_INET6:
        hash_ = ipv6_portaddr_hash(n, &sk.sk_v6_rcv_saddr, port)
    else:
        hash_ = ipv4_portaddr_hash(n, sk.sk_rcv_saddr, port)
    return &hinfo.bhash2[hash_ & (hinfo.bhash_size - 1)]

cdef inline bint inet_use_hash2_on_bind(const sock *sk) noexcept nogil:
    if sk.sk_family == AF_INET6:
        if ipv6_addr_any(&sk.sk_v6_rcv_saddr):
            return 0
        if not ipv6_addr_v4mapped(&sk.sk_v6_rcv_saddr):
            return 1
    return sk.sk_rcv_saddr != 0

# The ports as they lie side by side in sock (sk_dport, sk_num) and the addresses likewise (sk_daddr, sk_rcv_saddr),
# compared in one go. x86 is little-endian.
cdef inline u32 INET_COMBINED_PORTS(__be16 sport, u16 dport) noexcept nogil:
    return ((<u32>dport) << 16) | <u32>sport

cdef inline u64 INET_ADDR_COOKIE(__be32 saddr, __be32 daddr) noexcept nogil:
    return ((<u64>daddr) << 32) | <u64>saddr

cdef inline u32 sk_portpair(const sock *sk) noexcept nogil:
    return (<const u32 *>&sk.sk_dport)[0]

cdef inline u64 sk_addrpair(const sock *sk) noexcept nogil:
    return (<const u64 *>&sk.sk_daddr)[0]

cdef inline bint inet_match(const net *n, const sock *sk, u64 cookie, u32 ports, int dif, int sdif) noexcept nogil:
    if <const net *>sk.sk_net != n or sk_portpair(sk) != ports or sk_addrpair(sk) != cookie:
        return 0
    return inet_sk_bound_dev_eq(n, sk.sk_bound_dev_if, dif, sdif)

cdef inline bint inet6_match(const net *n, const sock *sk, const in6_addr *saddr, const in6_addr *daddr, u32 ports,
                             int dif, int sdif) noexcept nogil:
    if (<const net *>sk.sk_net != n or sk.sk_family != AF_INET6 or sk_portpair(sk) != ports or
            not ipv6_addr_equal(&sk.sk_v6_daddr, saddr) or not ipv6_addr_equal(&sk.sk_v6_rcv_saddr, daddr)):
        return 0
    return inet_sk_bound_dev_eq(n, sk.sk_bound_dev_if, dif, sdif)
