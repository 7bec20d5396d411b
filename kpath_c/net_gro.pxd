"""net/gro.h: the inlines that hand packets on.

Follows include/net/gro.h and, for napi_gro_receive() and napi_schedule(), linux/netdevice.h of Linux 6.18
(GPL-2.0-only).
"""
from kpath_c.headers.gro cimport *
from kpath_c.dev cimport __napi_schedule, netif_receive_skb_list_internal
from kpath_c.gro cimport __gro_flush, gro_receive_skb

cdef inline void gro_flush(gro_node *gro, bint flush_old) noexcept nogil:
    if gro.bitmask:
        __gro_flush(gro, flush_old)

cdef inline void napi_gro_flush(napi_struct *napi, bint flush_old) noexcept nogil:
    gro_flush(&napi.gro, flush_old)

cdef inline void gro_normal_list(gro_node *gro) noexcept nogil:
    if not gro.rx_count:
        return
    netif_receive_skb_list_internal(&gro.rx_list)
    __skb_queue_head_init(&gro.rx_list)
    gro.rx_count = 0

cdef inline void gro_flush_normal(gro_node *gro, bint flush_old) noexcept nogil:
    gro_flush(gro, flush_old)
    gro_normal_list(gro)

# Goes up with others, a batch of segments at once.
cdef inline void gro_normal_one(gro_node *gro, sk_buff *skb, int segs) noexcept nogil:
    __skb_queue_tail(&gro.rx_list, skb)
    gro.rx_count += <u32>segs
    if gro.rx_count >= GRO_NORMAL_BATCH:
        gro_normal_list(gro)

cdef inline int napi_gro_receive(napi_struct *napi, sk_buff *skb) noexcept nogil:
    return gro_receive_skb(&napi.gro, skb)

cdef inline void napi_schedule(napi_struct *napi) noexcept nogil:
    if napi_schedule_prep(napi):
        __napi_schedule(napi)
