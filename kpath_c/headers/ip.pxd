"""net/ip.h, linux/ip.h, uapi/linux/{ip,in}.h: the IP header, socket options, and which MTU a packet has to fit.

ip_select_ident() and ip_select_ident_segs() call a real function: they are in kpath_c/net_icsk.pxd.
"""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.kernel cimport *
from kpath_c.headers.sock cimport *
from kpath_c.headers.hash cimport *
from kpath_c.headers.dst cimport *
from kpath_c.headers.inet_sock cimport *
from kpath_c.headers.route cimport *
from kpath_c.headers.icmp cimport *

cdef enum:
    IPV4_MAX_PMTU = 65535
    IPV4_MIN_MTU = 68                   # RFC 791
    IP_MAX_MTU = 0xFFFF
    IPVERSION = 4
    MAXTTL = 255
    IPDEFTTL = 64
    MAX_IPOPTLEN = 40

cdef enum:
    IPTOS_TOS_MASK = 0x1E
    IPTOS_LOWDELAY = 0x10
    IPTOS_THROUGHPUT = 0x08
    IPTOS_RELIABILITY = 0x04
    IPTOS_MINCOST = 0x02
    IPTOS_PREC_MASK = 0xE0
    IPTOS_PREC_INTERNETCONTROL = 0xc0

cdef enum:
    IP_CE = 0x8000
    IP_DF = 0x4000
    IP_MF = 0x2000
    IP_OFFSET = 0x1FFF

# setsockopt(SOL_IP)
cdef enum:
    IP_TOS = 1
    IP_TTL = 2
    IP_HDRINCL = 3
    IP_OPTIONS = 4
    IP_PKTINFO = 8
    IP_MTU_DISCOVER = 10
    IP_RECVERR = 11
    IP_RECVTTL = 12
    IP_RECVTOS = 13
    IP_MTU = 14
    IP_FREEBIND = 15
    IP_TRANSPARENT = 19
    IP_MINTTL = 21
    IP_BIND_ADDRESS_NO_PORT = 24
    IP_LOCAL_PORT_RANGE = 51

cdef enum:
    IP_PMTUDISC_DONT = 0
    IP_PMTUDISC_WANT = 1
    IP_PMTUDISC_DO = 2
    IP_PMTUDISC_PROBE = 3
    IP_PMTUDISC_INTERFACE = 4
    IP_PMTUDISC_OMIT = 5

# inet_skb_parm.flags
cdef enum:
    IPSKB_FORWARDED = 1 << 0
    IPSKB_FRAG_COMPLETE = 1 << 3
    IPSKB_REROUTED = 1 << 4
    IPSKB_FRAG_PMTU = 1 << 6
    IPSKB_L3SLAVE = 1 << 7

cdef enum:
    IP_REPLY_ARG_NOSRCCHECK = 1


cdef inline iphdr *ip_hdr(const sk_buff *skb) noexcept nogil:
    return <iphdr *>skb.network_header

cdef inline unsigned int ip_ihl(const iphdr *iph) noexcept nogil:
    """iph->ihl: header length in 32-bit words."""
    return iph.version_ihl & 0x0f

cdef inline unsigned int ip_version(const iphdr *iph) noexcept nogil:
    """iph->version"""
    return iph.version_ihl >> 4

cdef inline unsigned int ip_hdrlen(const sk_buff *skb) noexcept nogil:
    return ip_ihl(ip_hdr(skb)) * 4

# 127.0.0.0/8
cdef inline bint ipv4_is_loopback(__be32 addr) noexcept nogil:
    return (addr & htonl(<u32>0xff000000U)) == htonl(0x7f000000)

cdef inline bint ipv4_is_multicast(__be32 addr) noexcept nogil:
    return (addr & htonl(<u32>0xf0000000U)) == htonl(<u32>0xe0000000U)

cdef inline bint ipv4_is_local_multicast(__be32 addr) noexcept nogil:
    return (addr & htonl(<u32>0xffffff00U)) == htonl(<u32>0xe0000000U)

cdef inline bint ipv4_is_lbcast(__be32 addr) noexcept nogil:
    return addr == <__be32>0xffffffffU

cdef inline bint ipv4_is_zeronet(__be32 addr) noexcept nogil:
    return (addr & htonl(<u32>0xff000000U)) == 0

# A super-packet of more than 64 KB has 0 in the field.
cdef inline unsigned int iph_totlen(const sk_buff *skb, const iphdr *iph) noexcept nogil:
    cdef u32 length = ntohs(iph.tot_len)
    if length or not skb_is_gso(skb) or not skb_is_gso_tcp(skb):
        return length
    return skb.len - <u32>skb_network_offset(skb)

cdef inline void iph_set_totlen(iphdr *iph, unsigned int length) noexcept nogil:
    iph.tot_len = htons(<u16>length) if length <= 65535 else 0

# In the kernel it overlays the head of skb->cb; here the input path's copy (header.h4) is the only one.
cdef inline inet_skb_parm *IPCB(sk_buff *skb) noexcept nogil:
    return &skb.cb.h4

cdef inline int inet_sdif(const sk_buff *skb) noexcept nogil:
    return 0

cdef inline void inet_get_local_port_range(const net *n, int *low, int *high) noexcept nogil:
    cdef u32 range_ = n.ipv4.ip_local_ports_range
    low[0] = range_ & 0xffff
    high[0] = range_ >> 16

# The mask of a prefix of this length.
cdef inline __be32 inet_make_mask(int logmask) noexcept nogil:
    return htonl(~((<u32>1 << (32 - logmask)) - 1)) if logmask else 0

cdef inline bint inet_is_local_reserved_port(const net *n, unsigned short port) noexcept nogil:
    cdef const u8 *ports = n.ipv4.sysctl_local_reserved_ports
    return ports != NULL and (ports[port >> 3] >> (port & 7)) & 1

cdef inline bint inet_port_requires_bind_service(net *n, unsigned short port) noexcept nogil:
    return port < n.ipv4.sysctl_ip_prot_sock

cdef inline u8 ip_reply_arg_flowi_flags(const ip_reply_arg *arg) noexcept nogil:
    return FLOWI_FLAG_ANYSRC if arg.flags & IP_REPLY_ARG_NOSRCCHECK else 0

cdef inline u32 IP4_REPLY_MARK(net *n, u32 mark) noexcept nogil:
    return mark if n.ipv4.sysctl_fwmark_reflect else 0

cdef inline bint ip_is_fragment(const iphdr *iph) noexcept nogil:
    return (iph.frag_off & htons(IP_MF | IP_OFFSET)) != 0

cdef inline u8 ip4h_dscp(const iphdr *ip4h) noexcept nogil:
    return inet_dsfield_to_dscp(ip4h.tos)

cdef inline int ip_mtu_locked(const dst_entry *dst) noexcept nogil:
    return dst_rtable(dst).rt_mtu_locked or dst_metric_locked(dst, RTAX_MTU) != 0

# DF: always, or unless the route's MTU is locked.
cdef inline int ip_dont_fragment(const sock *sk, const dst_entry *dst) noexcept nogil:
    cdef u8 pmtudisc = inet_sk(sk).pmtudisc
    return (pmtudisc == IP_PMTUDISC_DO or
            (pmtudisc == IP_PMTUDISC_WANT and not ip_mtu_locked(dst)))

cdef inline bint ip_sk_accept_pmtu(const sock *sk) noexcept nogil:
    cdef u8 pmtudisc = inet_sk(sk).pmtudisc
    return pmtudisc != IP_PMTUDISC_INTERFACE and pmtudisc != IP_PMTUDISC_OMIT

cdef inline bint ip_sk_use_pmtu(const sock *sk) noexcept nogil:
    return inet_sk(sk).pmtudisc < IP_PMTUDISC_PROBE

cdef inline bint ip_sk_ignore_df(const sock *sk) noexcept nogil:
    cdef u8 pmtudisc = inet_sk(sk).pmtudisc
    return pmtudisc < IP_PMTUDISC_DO or pmtudisc == IP_PMTUDISC_OMIT

cdef inline unsigned int ip_dst_mtu_maybe_forward(const dst_entry *dst, bint forwarding) noexcept nogil:
    cdef rtable *rt = dst_rtable(dst)
    cdef net *n = dst.dev.nd_net
    cdef unsigned int mtu
    if n.ipv4.sysctl_ip_fwd_use_pmtu or ip_mtu_locked(dst) or not forwarding:
        mtu = rt.rt_pmtu
        if mtu and time_before(jiffies(n), rt.dst.expires):
            return min_u32(mtu, IP_MAX_MTU)
    mtu = dst_metric_raw(dst, RTAX_MTU)
    if mtu:
        return min_u32(mtu, IP_MAX_MTU)
    mtu = dst.dev.mtu
    if ip_mtu_locked(dst):
        if rt.rt_uses_gateway and mtu > 576:
            mtu = 576
    return min_u32(mtu, IP_MAX_MTU)

cdef inline unsigned int ip_skb_dst_mtu(sock *sk, const sk_buff *skb) noexcept nogil:
    cdef dst_entry *dst = <dst_entry *>skb.dst
    if sk == NULL or not sk_fullsock(sk) or ip_sk_use_pmtu(sk):
        return ip_dst_mtu_maybe_forward(dst, (skb.cb.h4.flags & IPSKB_FORWARDED) != 0)
    return min_u32(dst.dev.mtu, IP_MAX_MTU)
