"""Inlines of net/sock.h and linux/skbuff.h that call real functions."""
from kpath_c.headers.tcp cimport *
from kpath_c.skbuff cimport skb_clone, __kfree_skb
from kpath_c.sock cimport sk_free, __sk_mem_schedule, __sk_mem_reclaim, sock_rfree, sock_edemux, sock_efree


cdef inline void sock_put(sock *sk) noexcept nogil:
    sk.sk_refcnt -= 1
    if sk.sk_refcnt == 0:
        sk_free(sk)

cdef inline bint sk_wmem_schedule(sock *sk, int size) noexcept nogil:
    cdef int delta = size - sk.sk_forward_alloc
    return delta <= 0 or __sk_mem_schedule(sk, delta, SK_MEM_SEND)

cdef inline bint __sk_rmem_schedule(sock *sk, int size, bint pfmemalloc) noexcept nogil:
    cdef int delta = size - sk.sk_forward_alloc
    return delta <= 0 or __sk_mem_schedule(sk, delta, SK_MEM_RECV) or pfmemalloc

cdef inline bint sk_rmem_schedule(sock *sk, const sk_buff *skb, int size) noexcept nogil:
    return __sk_rmem_schedule(sk, size, skb_pfmemalloc(skb))

# Whole pages go back to the protocol's account at once.
cdef inline void sk_mem_reclaim(sock *sk) noexcept nogil:
    cdef int reclaimable = sk.sk_forward_alloc - sk_unused_reserved_mem(sk)
    if reclaimable >= PAGE_SIZE:
        __sk_mem_reclaim(sk, reclaimable)

cdef inline void sk_mem_reclaim_final(sock *sk) noexcept nogil:
    sk.sk_reserved_mem = 0
    sk_mem_reclaim(sk)

cdef inline void sk_mem_uncharge(sock *sk, int size) noexcept nogil:
    sk_forward_alloc_add(sk, size)
    sk_mem_reclaim(sk)

cdef inline void skb_set_owner_r(sk_buff *skb, sock *sk) noexcept nogil:
    skb_orphan(skb)
    skb.sk = sk
    skb.destructor = sock_rfree
    sk.sk_backlog.rmem_alloc += <int>skb.truesize
    sk_mem_charge(sk, <int>skb.truesize)

cdef inline bint skb_set_owner_sk_safe(sk_buff *skb, sock *sk) noexcept nogil:
    if sk != NULL and refcount_inc_not_zero(&sk.sk_refcnt):
        skb_orphan(skb)
        skb.destructor = sock_efree
        skb.sk = sk
        return 1
    return 0

cdef inline void skb_set_owner_edemux(sk_buff *skb, sock *sk) noexcept nogil:
    skb_orphan(skb)
    if refcount_inc_not_zero(&sk.sk_refcnt):
        skb.sk = sk
        skb.destructor = sock_edemux

cdef inline sk_buff *skb_clone_and_charge_r(sk_buff *skb, sock *sk) noexcept nogil:
    skb = skb_clone(skb, sk_gfp_mask(sk, GFP_ATOMIC))
    if skb != NULL:
        if sk_rmem_schedule(sk, skb, <int>skb.truesize):
            skb_set_owner_r(skb, sk)
            return skb
        __kfree_skb(skb)
    return NULL
