"""net/ipv6/tcpv6_offload.c"""
from kpath_c.headers.gro cimport *
from kpath_c.headers.gso cimport gso_segs

cdef int tcp6_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil
cdef sk_buff *tcp6_gro_receive(sk_buff_head *head, sk_buff *skb) noexcept nogil
cdef int tcp6_gro_complete(sk_buff *skb, int thoff) noexcept nogil
