"""net/ipv6/ip6_output.c"""
from kpath_c.headers.tcp cimport *

cdef int ip6_xmit(const sock *sk, sk_buff *skb, flowi6 *fl6, u32 mark, int tclass, u32 priority) noexcept nogil
cdef int ip6_output(net *n, sock *sk, sk_buff *skb) noexcept nogil
