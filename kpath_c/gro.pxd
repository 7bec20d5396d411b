"""net/core/gro.c"""
from kpath_c.headers.gro cimport *

cdef void gro_init(gro_node *gro) noexcept nogil
cdef int gro_receive_skb(gro_node *gro, sk_buff *skb) noexcept nogil
cdef void __gro_flush(gro_node *gro, bint flush_old) noexcept nogil
cdef int skb_gro_receive(sk_buff *p, sk_buff *skb) noexcept nogil
cdef __sum16 __skb_gro_checksum_complete(sk_buff *skb) noexcept nogil
cdef void skb_gro_own_headers(sk_buff *skb) noexcept nogil
