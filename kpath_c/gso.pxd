"""net/core/gso.c"""
from kpath_c.headers.gso cimport *

cdef int __skb_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil

cdef inline int skb_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil:
    return __skb_gso_segment(skb, features, segs)
