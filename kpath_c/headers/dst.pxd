"""net/dst.h: the route that a packet or a socket holds, and its metrics (RTAX_* of uapi/linux/rtnetlink.h).

Deviation: the metrics lie in the entry itself (a copy of the route's), so there is no copy-on-write, and
dst_release() of the last holder calls ops->destroy at once (the kernel waits for RCU).
"""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.kernel cimport *

cdef enum:
    RTAX_UNSPEC = 0
    RTAX_LOCK = 1
    RTAX_MTU = 2
    RTAX_WINDOW = 3
    RTAX_RTT = 4
    RTAX_RTTVAR = 5
    RTAX_SSTHRESH = 6
    RTAX_CWND = 7
    RTAX_ADVMSS = 8
    RTAX_REORDERING = 9
    RTAX_HOPLIMIT = 10
    RTAX_INITCWND = 11
    RTAX_FEATURES = 12
    RTAX_RTO_MIN = 13
    RTAX_INITRWND = 14
    RTAX_QUICKACK = 15
    RTAX_CC_ALGO = 16
    RTAX_FASTOPEN_NO_COOKIE = 17

cdef enum:
    RTAX_FEATURE_ECN = 1 << 0
    RTAX_FEATURE_SACK = 1 << 1
    RTAX_FEATURE_TIMESTAMP = 1 << 2
    RTAX_FEATURE_ALLFRAG = 1 << 3
    RTAX_FEATURE_TCP_USEC_TS = 1 << 4
    RTAX_FEATURE_MASK = 0x1f
    DST_FEATURE_ECN_CA = 0x80000000
    DST_FEATURE_MASK = 0x80000000
    DST_FEATURE_ECN_MASK = 0x80000001

cdef enum:
    DST_NOXFRM = 0x0002
    DST_NOPOLICY = 0x0004
    DST_NOCOUNT = 0x0008
    DST_OBSOLETE_NONE = 0
    DST_OBSOLETE_DEAD = 2
    DST_OBSOLETE_FORCE_CHK = -1
    DST_OBSOLETE_KILL = -2


cdef inline u32 dst_metric_raw(const dst_entry *dst, int metric) noexcept nogil:
    return dst.metrics[metric - 1]

cdef inline u32 dst_metric(const dst_entry *dst, int metric) noexcept nogil:
    return dst_metric_raw(dst, metric)

cdef inline u32 dst_metric_advmss(dst_entry *dst) noexcept nogil:
    cdef u32 advmss = dst_metric_raw(dst, RTAX_ADVMSS)
    if not advmss:
        advmss = dst.ops.default_advmss(dst)
    return advmss

cdef inline void dst_metric_set(dst_entry *dst, int metric, u32 val) noexcept nogil:
    dst.metrics[metric - 1] = val

cdef inline u32 dst_feature(const dst_entry *dst, u32 feature) noexcept nogil:
    return dst_metric(dst, RTAX_FEATURES) & feature

cdef inline u32 dst_mtu(dst_entry *dst) noexcept nogil:
    return dst.ops.mtu(dst)

cdef inline int dst_metric_locked(const dst_entry *dst, int metric) noexcept nogil:
    return <int>(dst_metric(dst, RTAX_LOCK) & ((<u32>1) << metric))

cdef inline net_device *dst_dev(const dst_entry *dst) noexcept nogil:
    return dst.dev

cdef inline net *dst_dev_net(const dst_entry *dst) noexcept nogil:
    return dst.dev.nd_net

# Stored in milliseconds, used in jiffies.
cdef inline unsigned long dst_metric_rtt(const dst_entry *dst, int metric) noexcept nogil:
    return msecs_to_jiffies(dst.dev.nd_net, dst_metric(dst, metric))

cdef inline void dst_hold(dst_entry *dst) noexcept nogil:
    dst.refcnt += 1

cdef inline bint dst_hold_safe(dst_entry *dst) noexcept nogil:
    if dst.refcnt == 0:
        return 0
    dst.refcnt += 1
    return 1

cdef inline void dst_use_noref(dst_entry *dst, unsigned long time) noexcept nogil:
    dst.lastuse = time

cdef inline dst_entry *dst_clone(dst_entry *dst) noexcept nogil:
    if dst != NULL:
        dst_hold(dst)
    return dst

cdef inline void dst_release(dst_entry *dst) noexcept nogil:
    if dst == NULL:
        return
    dst.refcnt -= 1
    if dst.refcnt == 0 and dst.ops.destroy != NULL:
        dst.ops.destroy(dst)

# Every skb here holds a reference of its own: there is no SKB_DST_NOREF.
cdef inline void skb_dst_drop(sk_buff *skb) noexcept nogil:
    cdef dst_entry *dst = skb.dst
    if dst != NULL:
        skb.dst = NULL
        dst_release(dst)

cdef inline void skb_dst_copy(sk_buff *nskb, const sk_buff *oskb) noexcept nogil:
    nskb.dst = dst_clone(<dst_entry *>oskb.dst)

cdef inline bint skb_dst_force(sk_buff *skb) noexcept nogil:
    return skb.dst != NULL

cdef inline net_device *skb_dst_dev(const sk_buff *skb) noexcept nogil:
    return skb.dst.dev

cdef inline net *skb_dst_dev_net(const sk_buff *skb) noexcept nogil:
    return skb.dst.dev.nd_net

cdef inline void dst_confirm(dst_entry *dst) noexcept nogil:
    pass

cdef inline void dst_confirm_neigh(const dst_entry *dst, const void *daddr) noexcept nogil:
    pass

cdef inline void dst_link_failure(sk_buff *skb) noexcept nogil:
    cdef dst_entry *dst = skb.dst
    if dst != NULL and dst.ops != NULL and dst.ops.link_failure != NULL:
        dst.ops.link_failure(skb)

cdef inline void dst_set_expires(dst_entry *dst, int timeout) noexcept nogil:
    cdef unsigned long expires = jiffies(dst.dev.nd_net) + <unsigned long><long>timeout
    cdef unsigned long old = dst.expires
    if expires == 0:
        expires = 1
    if not old or time_before(expires, old):
        dst.expires = expires

cdef inline void skb_dst_update_pmtu(sk_buff *skb, u32 mtu) noexcept nogil:
    cdef dst_entry *dst = skb.dst
    if dst != NULL and dst.ops.update_pmtu != NULL:
        dst.ops.update_pmtu(dst, NULL, skb, mtu, 1)

cdef inline void skb_dst_update_pmtu_no_confirm(sk_buff *skb, u32 mtu) noexcept nogil:
    cdef dst_entry *dst = skb.dst
    if dst != NULL and dst.ops.update_pmtu != NULL:
        dst.ops.update_pmtu(dst, NULL, skb, mtu, 0)
