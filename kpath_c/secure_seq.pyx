"""Numbers that an outsider must not guess: initial sequence numbers (RFC 6528), timestamp offsets, ports (RFC 6056).

Follows net/core/secure_seq.c of Linux 6.18 (GPL-2.0-only).
Deviations: the secrets are the host's. A number that the host pins for a connection (hooks.pinned_seq: taken from the
capture) goes first. An open is active if a socket with that 4-tuple stands in the ehash as SYN_SENT: connect() hashes
it before it asks, while nothing of a passive open is there yet.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.hash cimport siphash
from kpath_c.inet6_hashtables cimport inet6_ehashfn
from kpath_c.inet_hashtables cimport inet_ehashfn

cdef packed struct seq_input:
    in6_addr saddr
    in6_addr daddr
    __be16 sport
    __be16 dport

cdef packed struct port_input:
    in6_addr saddr
    in6_addr daddr
    u32 timeseed
    __be16 dport


# A clock of 64 ns per number.
cdef inline u32 seq_scale(net *n, u32 seq) noexcept nogil:
    return seq + <u32>(ktime_get_real_ns(n) >> 6)


cdef bint is_active_open(net *n, __be32 saddr, __be32 daddr, __be16 sport, __be16 dport) noexcept nogil:
    cdef u16 num = ntohs(sport)
    cdef u32 hash_ = inet_ehashfn(n, saddr, num, daddr, dport)
    cdef hlist_nulls_node *node = inet_ehash_first(n.ipv4.tcp_death_row.hashinfo, hash_)
    cdef sock *sk
    while not is_a_nulls(node):
        sk = nulls_to_sk(node)
        if (sk.sk_hash == hash_ and sk.sk_state == TCP_SYN_SENT and sk.sk_rcv_saddr == saddr and
                sk.sk_daddr == daddr and sk.sk_num == num and sk.sk_dport == dport):
            return 1
        node = node.next
    return 0


cdef bint is_active_open6(net *n, const in6_addr *saddr, const in6_addr *daddr, __be16 sport,
                          __be16 dport) noexcept nogil:
    cdef u32 hash_ = inet6_ehashfn(n, saddr, ntohs(sport), daddr, dport)
    cdef hlist_nulls_node *node = inet_ehash_first(n.ipv4.tcp_death_row.hashinfo, hash_)
    cdef sock *sk
    while not is_a_nulls(node):
        sk = nulls_to_sk(node)
        if (sk.sk_hash == hash_ and sk.sk_state == TCP_SYN_SENT and
                inet6_match(n, sk, daddr, saddr, INET_COMBINED_PORTS(dport, ntohs(sport)), sk.sk_bound_dev_if, 0)):
            return 1
        node = node.next
    return 0


cdef void pinned_numbers(net *n, const in6_addr *saddr, const in6_addr *daddr, __be16 sport, __be16 dport, bint active,
                         tcp_seq_and_ts_off *st) noexcept nogil:
    cdef u32 isn = 0
    cdef u32 tsoff = 0
    cdef bint tsoff_set = 0
    if n.hooks.pinned_seq(n.hooks.ctx, saddr, daddr, sport, dport, not active, &isn, &tsoff, &tsoff_set):
        st.seq = isn
        if tsoff_set:
            st.ts_off = tsoff


cdef tcp_seq_and_ts_off secure_tcpv6_seq_and_ts_off(net *n, const in6_addr *saddr, const in6_addr *daddr, __be16 sport,
                                                    __be16 dport) noexcept nogil:
    cdef tcp_seq_and_ts_off st
    cdef seq_input combined
    cdef u64 hash64
    combined.saddr = saddr[0]
    combined.daddr = daddr[0]
    combined.sport = sport
    combined.dport = dport
    hash64 = siphash(&combined, sizeof(combined), &n.e.net_secret)
    st.ts_off = <u32>(hash64 >> 32) if n.ipv4.sysctl_tcp_timestamps == 1 else 0
    st.seq = seq_scale(n, <u32>hash64)
    if n.hooks.pinned_seq != NULL:
        pinned_numbers(n, saddr, daddr, sport, dport, is_active_open6(n, saddr, daddr, sport, dport), &st)
    return st


cdef tcp_seq_and_ts_off secure_tcp_seq_and_ts_off(net *n, __be32 saddr, __be32 daddr, __be16 sport,
                                                  __be16 dport) noexcept nogil:
    cdef u32 ports = <u32>sport << 16 | <u32>dport
    cdef u64 hash64 = siphash_3u32(<u32>saddr, <u32>daddr, ports, &n.e.net_secret)
    cdef tcp_seq_and_ts_off st
    cdef in6_addr saddr6
    cdef in6_addr daddr6
    st.seq = <u32>hash64
    st.ts_off = <u32>(hash64 >> 32)
    if n.ipv4.sysctl_tcp_timestamps != 1:
        st.ts_off = 0
    st.seq = seq_scale(n, st.seq)
    if n.hooks.pinned_seq != NULL:
        ipv6_addr_set_v4mapped(saddr, &saddr6)
        ipv6_addr_set_v4mapped(daddr, &daddr6)
        pinned_numbers(n, &saddr6, &daddr6, sport, dport, is_active_open(n, saddr, daddr, sport, dport), &st)
    return st


# The same for 10 s to one destination, then another.
cdef u64 secure_ipv4_port_ephemeral(net *n, __be32 saddr, __be32 daddr, __be16 dport) noexcept nogil:
    return siphash_4u32(<u32>saddr, <u32>daddr, <u32>dport, <u32>(jiffies(n) // (10 * HZ(n))), &n.e.net_secret)


cdef u64 secure_ipv6_port_ephemeral(net *n, const in6_addr *saddr, const in6_addr *daddr, __be16 dport) noexcept nogil:
    cdef port_input combined
    combined.saddr = saddr[0]
    combined.daddr = daddr[0]
    combined.timeseed = <u32>(jiffies(n) // (10 * HZ(n)))
    combined.dport = dport
    return siphash(&combined, sizeof(combined), &n.e.net_secret)
