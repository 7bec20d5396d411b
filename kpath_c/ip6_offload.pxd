"""net/ipv6/ip6_offload.c"""
from kpath_c.headers.gro cimport *
from kpath_c.headers.gso cimport gso_segs

cdef int ipv6_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil
cdef sk_buff *ipv6_gro_receive(sk_buff_head *head, sk_buff *skb) noexcept nogil
cdef int ipv6_gro_complete(sk_buff *skb, int nhoff) noexcept nogil
