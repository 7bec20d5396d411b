"""linux/netdevice.h and linux/netdev_features.h: offload features, limits of segmentation offload, transmit codes.

Follows include/linux/{netdevice,netdev_features}.h of Linux 6.18 (GPL-2.0-only).
"""
from kpath_c.headers.kernel cimport *
from kpath_c.headers.skbuff cimport *

# Features that have an effect here, at the kernel's bit numbers (all below 2^63).
cdef enum:
    NETIF_F_GSO_SHIFT = 16

cdef enum netdev_features:
    NETIF_F_SG = 1LL << 0
    NETIF_F_IP_CSUM = 1LL << 1
    NETIF_F_HW_CSUM = 1LL << 3
    NETIF_F_IPV6_CSUM = 1LL << 4
    NETIF_F_HIGHDMA = 1LL << 5
    NETIF_F_FRAGLIST = 1LL << 6
    NETIF_F_GSO = 1LL << 11
    NETIF_F_GRO = 1LL << 14
    NETIF_F_LRO = 1LL << 15
    NETIF_F_TSO = 1LL << 16
    NETIF_F_GSO_ROBUST = 1LL << 17
    NETIF_F_TSO_ECN = 1LL << 18
    NETIF_F_TSO_MANGLEID = 1LL << 19
    NETIF_F_TSO6 = 1LL << 20
    NETIF_F_GSO_PARTIAL = 1LL << 28
    NETIF_F_GSO_SCTP = 1LL << 30
    NETIF_F_GSO_UDP_L4 = 1LL << 33
    NETIF_F_GSO_FRAGLIST = 1LL << 34
    NETIF_F_GSO_ACCECN = 1LL << 35
    NETIF_F_RXCSUM = 1LL << 40
    NETIF_F_NOCACHE_COPY = 1LL << 41
    NETIF_F_LOOPBACK = 1LL << 42
    NETIF_F_GSO_MASK = (1LL << 36) - (1LL << 16)
    NETIF_F_CSUM_MASK = (1LL << 1) | (1LL << 3) | (1LL << 4)
    NETIF_F_ALL_TSO = (1LL << 16) | (1LL << 18) | (1LL << 19) | (1LL << 20)
    NETIF_F_GSO_SOFTWARE = ((1LL << 16) | (1LL << 18) | (1LL << 19) | (1LL << 20) | (1LL << 35) | (1LL << 30) |
                            (1LL << 33))
    NETIF_F_GSO_SOFTWARE_ALL = ((1LL << 16) | (1LL << 18) | (1LL << 19) | (1LL << 20) | (1LL << 35) | (1LL << 30) |
                                (1LL << 33) | (1LL << 34))
    NETIF_F_SOFT_FEATURES = (1LL << 11) | (1LL << 14)

cdef enum:
    GSO_MAX_SEGS = 65535
    GSO_LEGACY_MAX_SIZE = 65536
    GSO_MAX_SIZE = 8 * 65535
    GRO_LEGACY_MAX_SIZE = 65536
    GRO_MAX_SIZE = 8 * 65535
    # A kernel without WLAN and IP tunnels, as in virtual machines and in the corpus that this port is checked against:
    # MAX_TCP_HEADER is 192 there. (A distribution's kernel has 128 + 48 here, and 320.)
    LL_MAX_HEADER = 32
    MAX_HEADER = 32
    HH_DATA_MOD = 16

cdef enum:
    NET_XMIT_SUCCESS = 0
    NET_XMIT_DROP = 1
    NET_XMIT_CN = 2                     # accepted, but the queue is congested
    NET_XMIT_MASK = 0x0f
    NETDEV_TX_OK = 0
    NETDEV_TX_BUSY = 0x10
    NET_RX_SUCCESS = 0
    NET_RX_DROP = 1

# napi_struct.state
cdef enum:
    NAPIF_STATE_SCHED = 1 << 0
    NAPIF_STATE_MISSED = 1 << 1

cdef enum gro_result:
    GRO_MERGED
    GRO_MERGED_FREE
    GRO_HELD
    GRO_NORMAL
    GRO_CONSUMED

cdef enum:
    NAPI_POLL_WEIGHT = 64
    GRO_NORMAL_BATCH = 8                # net_hotdata.gro_normal_batch
    NETDEV_BUDGET = 300                 # net_hotdata.netdev_budget

# net_device.qdisc
cdef enum qdisc_kind:
    QDISC_PFIFO_FAST = 0
    QDISC_NOQUEUE = 1
    QDISC_FQ = 2
    QDISC_FQ_CODEL = 3

cdef inline int net_xmit_eval(int e) noexcept nogil:
    return 0 if e == NET_XMIT_CN else e

cdef inline int net_xmit_errno(int e) noexcept nogil:
    return -ENOBUFS if e != NET_XMIT_CN else 0

cdef inline int LL_RESERVED_SPACE(const net_device *dev) noexcept nogil:
    return <int>((dev.hard_header_len & ~(HH_DATA_MOD - 1)) + HH_DATA_MOD)

cdef inline bint net_gso_ok(u64 features, int gso_type) noexcept nogil:
    cdef u64 feature
    if gso_type & SKB_GSO_TCP_FIXEDID:
        gso_type |= __SKB_GSO_TCP_FIXEDID
    feature = (<u64>gso_type << NETIF_F_GSO_SHIFT) & <u64>NETIF_F_GSO_MASK
    return (features & feature) == feature

cdef inline bint skb_gso_ok(sk_buff *skb, u64 features) noexcept nogil:
    return (net_gso_ok(features, <int>skb.shinfo.gso_type) and
            (not skb_has_frag_list(skb) or (features & <u64>NETIF_F_FRAGLIST) != 0))

cdef inline bint netif_needs_gso(sk_buff *skb, u64 features) noexcept nogil:
    return skb_is_gso(skb) and (not skb_gso_ok(skb, features) or
                                (skb.ip_summed != CHECKSUM_PARTIAL and skb.ip_summed != CHECKSUM_UNNECESSARY))

cdef inline unsigned int netif_get_gso_max_size(const net_device *dev, const sk_buff *skb) noexcept nogil:
    return dev.gso_max_size if skb.protocol == htons(ETH_P_IPV6) else dev.gso_ipv4_max_size

cdef inline unsigned int netif_get_gro_max_size(const net_device *dev, const sk_buff *skb) noexcept nogil:
    return dev.gro_max_size if skb.protocol == htons(ETH_P_IPV6) else dev.gro_ipv4_max_size

# `ip link set gso_max_size`: IPv4's limit follows as long as an IPv4 header can say such lengths.
cdef inline void netif_set_gso_max_size(net_device *dev, unsigned int size) noexcept nogil:
    dev.gso_max_size = size
    if size <= GSO_LEGACY_MAX_SIZE:
        dev.gso_ipv4_max_size = size

cdef inline void netif_set_gro_max_size(net_device *dev, unsigned int size) noexcept nogil:
    dev.gro_max_size = size
    if size <= GRO_LEGACY_MAX_SIZE:
        dev.gro_ipv4_max_size = size

cdef inline bint netif_elide_gro(const net_device *dev) noexcept nogil:
    return not dev.features & <u64>NETIF_F_GRO

cdef inline bint napi_is_scheduled(const napi_struct *n) noexcept nogil:
    return (n.state & NAPIF_STATE_SCHED) != 0

cdef inline bint napi_schedule_prep(napi_struct *n) noexcept nogil:
    if napi_is_scheduled(n):
        n.state |= NAPIF_STATE_MISSED
        return 0
    n.state |= NAPIF_STATE_SCHED
    return 1

cdef inline net *dev_net(const net_device *dev) noexcept nogil:
    return dev.nd_net
