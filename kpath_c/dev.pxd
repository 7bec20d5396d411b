"""net/core/dev.c"""
from kpath_c.headers.netdevice cimport *

cdef void dev_init(net *n) noexcept nogil
cdef void netif_napi_add(net_device *dev, napi_struct *napi,
                         int (*poll)(napi_struct *napi, int budget) noexcept nogil) noexcept nogil
cdef int netif_receive_skb(sk_buff *skb) noexcept nogil
cdef void netif_receive_skb_list(sk_buff_head *head) noexcept nogil
cdef void netif_receive_skb_list_internal(sk_buff_head *head) noexcept nogil
cdef void __napi_schedule(napi_struct *napi) noexcept nogil
cdef bint napi_complete_done(napi_struct *napi, int work_done) noexcept nogil
cdef void net_rx_action(net *n) noexcept nogil
