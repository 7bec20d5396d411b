"""Numbers that an outsider must not guess: initial sequence numbers (RFC 6528), timestamp offsets, ports (RFC 6056).

Follows net/core/secure_seq.c of Linux 6.18 (GPL-2.0-only).
Deviations: the secrets are the host's. A number that the host pins for a connection (hooks.pinned_seq: taken from the
capture) goes first. An open is active if a socket with that 4-tuple stands in the ehash as SYN_SENT: connect() hashes
it before it asks, while nothing of a passive open is there yet.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.inet_hashtables cimport inet_ehashfn


# A clock of 64 ns per number.
cdef inline u32 seq_scale(net *n, u32 seq) noexcept nogil:
    return seq + <u32>(ktime_get_real_ns(n) >> 6)


cdef bint is_active_open(net *n, __be32 saddr, __be32 daddr, __be16 sport, __be16 dport) noexcept nogil:
    cdef u16 num = ntohs(sport)
    cdef u32 hash_ = inet_ehashfn(n, saddr, num, daddr, dport)
    cdef hlist_nulls_node *node = inet_ehash_bucket_of(n.ipv4.tcp_death_row.hashinfo, hash_).chain.first
    cdef sock *sk
    while not is_a_nulls(node):
        sk = nulls_to_sk(node)
        if (sk.sk_hash == hash_ and sk.sk_state == TCP_SYN_SENT and sk.sk_rcv_saddr == saddr and
                sk.sk_daddr == daddr and sk.sk_num == num and sk.sk_dport == dport):
            return 1
        node = node.next
    return 0


cdef tcp_seq_and_ts_off secure_tcp_seq_and_ts_off(net *n, __be32 saddr, __be32 daddr, __be16 sport,
                                                  __be16 dport) noexcept nogil:
    cdef u32 ports = <u32>sport << 16 | <u32>dport
    cdef u64 hash64 = siphash_3u32(<u32>saddr, <u32>daddr, ports, &n.e.net_secret)
    cdef tcp_seq_and_ts_off st
    cdef u32 isn = 0
    cdef u32 tsoff = 0
    cdef bint tsoff_set = 0
    st.seq = <u32>hash64
    st.ts_off = <u32>(hash64 >> 32)
    if n.ipv4.sysctl_tcp_timestamps != 1:
        st.ts_off = 0
    st.seq = seq_scale(n, st.seq)
    if n.hooks.pinned_seq != NULL:
        if n.hooks.pinned_seq(n.hooks.ctx, saddr, daddr, sport, dport,
                              not is_active_open(n, saddr, daddr, sport, dport), &isn, &tsoff, &tsoff_set):
            st.seq = isn
            if tsoff_set:
                st.ts_off = tsoff
    return st


# The same for 10 s to one destination, then another.
cdef u64 secure_ipv4_port_ephemeral(net *n, __be32 saddr, __be32 daddr, __be16 dport) noexcept nogil:
    return siphash_4u32(<u32>saddr, <u32>daddr, <u32>dport, <u32>(jiffies(n) // (10 * HZ(n))), &n.e.net_secret)
