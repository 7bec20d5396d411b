"""net/ipv4/tcp_offload.c"""
from kpath_c.headers.gro cimport *
from kpath_c.headers.gso cimport gso_segs

cdef int tcp4_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil
cdef int tcp_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil
cdef tcphdr *tcp_gro_pull_header(sk_buff *skb) noexcept nogil
cdef sk_buff *tcp_gro_receive(sk_buff_head *head, sk_buff *skb, tcphdr *th) noexcept nogil
cdef void tcp_gro_complete(sk_buff *skb) noexcept nogil
cdef sk_buff *tcp4_gro_receive(sk_buff_head *head, sk_buff *skb) noexcept nogil
cdef int tcp4_gro_complete(sk_buff *skb, int thoff) noexcept nogil
