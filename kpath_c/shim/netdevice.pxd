"""The network device: what a received packet costs, and what becomes of a sent one."""
from kpath_c.headers.netdevice cimport *

cdef enum:
    QDISC_FULL = 15                     # a qdisc with room for nothing (pfifo limit 0)

cdef void netdev_setup(net *n, net_device *dev, int rx_mode_, unsigned int mtu, bint tso, bint gso, bint gro,
                       int qdisc) noexcept nogil
cdef sk_buff *netdev_rx_skb(net_device *dev, u8 *iph, u32 caplen, u32 length) noexcept nogil
cdef int dev_queue_xmit(sk_buff *skb) noexcept nogil
cdef void netdev_flush(net *n) noexcept nogil                       # frees all that is queued or not yet completed
cdef void netdev_interrupt(net_device *dev) noexcept nogil
cdef s64 netdev_poll_end(const net_device *dev, const s64 *t, s64 i, s64 n_packets) noexcept nogil
cdef bint netdev_would_merge(const u8 *a, u32 a_caplen, u32 a_length, const u8 *b, u32 b_caplen,
                             u32 b_length) noexcept nogil
cdef u64 netif_skb_features(sk_buff *skb) noexcept nogil
cdef u32 tcp_header_at(const u8 *iph, u32 caplen) noexcept nogil
