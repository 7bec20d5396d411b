"""net/route.h, net/flow.h, linux/in_route.h, uapi/linux/rtnetlink.h: routes and the keys that they are looked up by.

The inlines that look a route up (ip_route_connect() ...) are in kpath_c/net_icsk.pxd.
"""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.kernel cimport *
from kpath_c.headers.dst cimport *
from kpath_c.headers.sock cimport *
from kpath_c.headers.inet_sock cimport *

cdef enum:
    RTN_UNSPEC = 0
    RTN_UNICAST = 1
    RTN_LOCAL = 2
    RTN_BROADCAST = 3
    RTN_ANYCAST = 4
    RTN_MULTICAST = 5
    RTN_BLACKHOLE = 6
    RTN_UNREACHABLE = 7
    RTN_PROHIBIT = 8
    RTN_THROW = 9
    RTN_MAX = 12

cdef enum:
    RT_SCOPE_UNIVERSE = 0
    RT_SCOPE_SITE = 200
    RT_SCOPE_LINK = 253
    RT_SCOPE_HOST = 254
    RT_SCOPE_NOWHERE = 255

cdef enum:
    RTCF_NOTIFY = 0x00010000
    RTCF_REDIRECTED = 0x00040000
    RTCF_DOREDIRECT = 0x01000000
    RTCF_DIRECTSRC = 0x04000000
    RTCF_BROADCAST = 0x10000000
    RTCF_MULTICAST = 0x20000000
    RTCF_LOCAL = 0x80000000

cdef enum:
    LOOPBACK_IFINDEX = 1


# linux/err.h: an errno in a pointer.
cdef inline void *ERR_PTR(long error) noexcept nogil:
    return <void *>error

cdef inline long PTR_ERR(const void *ptr) noexcept nogil:
    return <long>ptr

cdef inline bint IS_ERR(const void *ptr) noexcept nogil:
    return <unsigned long>ptr >= <unsigned long>(-4095)

cdef inline bint IS_ERR_OR_NULL(const void *ptr) noexcept nogil:
    return ptr == NULL or IS_ERR(ptr)

cdef inline rtable *dst_rtable(const dst_entry *dst) noexcept nogil:
    return <rtable *>dst

cdef inline rtable *skb_rtable(const sk_buff *skb) noexcept nogil:
    return <rtable *>skb.dst

cdef inline bint rt_is_input_route(const rtable *rt) noexcept nogil:
    return rt.rt_is_input != 0

cdef inline bint rt_is_output_route(const rtable *rt) noexcept nogil:
    return rt.rt_is_input == 0

cdef inline __be32 rt_nexthop(const rtable *rt, __be32 daddr) noexcept nogil:
    if rt.rt_gw_family == AF_INET:
        return rt.rt_gw4
    return daddr

cdef inline u8 ip_sock_rt_scope(const sock *sk) noexcept nogil:
    if sock_flag(sk, SOCK_LOCALROUTE):
        return RT_SCOPE_LINK
    return RT_SCOPE_UNIVERSE

cdef inline u8 ip_sock_rt_tos(const sock *sk) noexcept nogil:
    return inet_sk(sk).tos & INET_DSCP_MASK

cdef inline void flowi4_init_output(flowi4 *fl4, int oif, u32 mark, u8 tos, u8 scope, u8 proto, u8 flags,
                                    __be32 daddr, __be32 saddr, __be16 dport, __be16 sport,
                                    u32 uid) noexcept nogil:
    fl4.flowi4_oif = oif
    fl4.flowi4_iif = LOOPBACK_IFINDEX
    fl4.flowi4_mark = mark
    fl4.flowi4_tos = inet_dsfield_to_dscp(tos)
    fl4.flowi4_scope = scope
    fl4.flowi4_proto = proto
    fl4.flowi4_flags = flags
    fl4.flowi4_uid = uid
    fl4.daddr = daddr
    fl4.saddr = saddr
    fl4.fl4_dport = dport
    fl4.fl4_sport = sport

cdef inline void flowi4_update_output(flowi4 *fl4, int oif, __be32 daddr, __be32 saddr) noexcept nogil:
    fl4.flowi4_oif = oif
    fl4.daddr = daddr
    fl4.saddr = saddr

# IP source routing is not ported: inet_opt never holds one.
cdef inline void inet_sk_init_flowi4(const inet_sock *inet, flowi4 *fl4) noexcept nogil:
    cdef const sock *sk = &inet.sk
    flowi4_init_output(fl4, sk.sk_bound_dev_if, sk.sk_mark, ip_sock_rt_tos(sk), ip_sock_rt_scope(sk),
                       <u8>sk.sk_protocol, inet_sk_flowi_flags(sk), sk.sk_daddr, inet.inet_saddr,
                       sk.sk_dport, inet.inet_sport, sk.sk_uid)

cdef inline void ip_rt_put(rtable *rt) noexcept nogil:
    dst_release(<dst_entry *>rt)

cdef inline int inet_iif(const sk_buff *skb) noexcept nogil:
    cdef rtable *rt = skb_rtable(skb)
    if rt != NULL and rt.rt_iif:
        return rt.rt_iif
    return skb.skb_iif

cdef inline int ip4_dst_hoplimit(const dst_entry *dst) noexcept nogil:
    cdef int hoplimit = <int>dst_metric_raw(dst, RTAX_HOPLIMIT)
    if hoplimit == 0:
        hoplimit = dst.dev.nd_net.ipv4.sysctl_ip_default_ttl
    return hoplimit

# ip_tos2prio[IPTOS_TOS(tos) >> 1] of net/ipv4/route.c: TC_PRIO_*.
cdef inline char rt_tos2priority(u8 tos) noexcept nogil:
    cdef u8 i = (tos & 0x1E) >> 1
    if i >= 12:
        return 4                        # TC_PRIO_INTERACTIVE_BULK
    if i >= 8:
        return 6                        # TC_PRIO_INTERACTIVE
    if i >= 4:
        return 2                        # TC_PRIO_BULK
    return 0                            # TC_PRIO_BESTEFFORT

cdef inline bint inet_addr_valid_or_nonlocal(net *n, inet_sock *inet, __be32 addr, int addr_type) noexcept nogil:
    return (inet_can_nonlocal_bind(n, inet) or addr == 0 or addr_type == RTN_LOCAL or
            addr_type == RTN_MULTICAST or addr_type == RTN_BROADCAST)
