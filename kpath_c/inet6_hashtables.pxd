"""net/ipv6/inet6_hashtables.c, and __inet6_lookup_skb() of net/inet6_hashtables.h"""
from kpath_c.headers.tcp cimport *

cdef u32 inet6_ehashfn(const net *n, const in6_addr *laddr, u16 lport, const in6_addr *faddr,
                       __be16 fport) noexcept nogil
cdef sock *__inet6_lookup_established(const net *n, const in6_addr *saddr, __be16 sport, const in6_addr *daddr,
                                      u16 hnum, int dif, int sdif) noexcept nogil
cdef sock *inet6_lookup_listener(const net *n, sk_buff *skb, int doff, const in6_addr *saddr, __be16 sport,
                                 const in6_addr *daddr, unsigned short hnum, int dif, int sdif) noexcept nogil
cdef sock *__inet6_lookup_skb(sk_buff *skb, int doff, __be16 sport, __be16 dport, int iif, int sdif,
                              bint *refcounted) noexcept nogil
cdef int inet6_hash_connect(inet_timewait_death_row *death_row, sock *sk) noexcept nogil
