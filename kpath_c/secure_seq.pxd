"""net/core/secure_seq.c"""
from kpath_c.headers.tcp cimport *

cdef tcp_seq_and_ts_off secure_tcp_seq_and_ts_off(net *n, __be32 saddr, __be32 daddr, __be16 sport,
                                                  __be16 dport) noexcept nogil
cdef u64 secure_ipv4_port_ephemeral(net *n, __be32 saddr, __be32 daddr, __be16 dport) noexcept nogil
cdef tcp_seq_and_ts_off secure_tcpv6_seq_and_ts_off(net *n, const in6_addr *saddr, const in6_addr *daddr, __be16 sport,
                                                    __be16 dport) noexcept nogil
cdef u64 secure_ipv6_port_ephemeral(net *n, const in6_addr *saddr, const in6_addr *daddr, __be16 dport) noexcept nogil
