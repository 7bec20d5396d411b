"""net/ipv6.h, linux/ipv6.h, net/ip6_route.h, net/ip6_fib.h, uapi/linux/{ipv6,in6,icmpv6}.h: header, options, routes.

Deviations: IP6CB(skb) is IPCB(skb): of inet6_skb_parm only iif, flags and frag_max_size are kept. A route's cookie is
that of its fib6_info.
"""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.kernel cimport *
from kpath_c.headers.sock cimport *
from kpath_c.headers.dst cimport *
from kpath_c.headers.inet_sock cimport *
from kpath_c.headers.in6 cimport *
from kpath_c.headers.ip cimport *

cdef enum:
    NEXTHDR_HOP = 0
    NEXTHDR_ROUTING = 43
    NEXTHDR_FRAGMENT = 44
    NEXTHDR_ESP = 50
    NEXTHDR_AUTH = 51
    NEXTHDR_NONE = 59
    NEXTHDR_DEST = 60

cdef enum:
    IPV6_FLOWINFO_MASK = 0x0FFFFFFF     # these four in host order
    IPV6_FLOWLABEL_MASK = 0x000FFFFF
    IPV6_FLOWLABEL_STATELESS_FLAG = 0x00080000
    IPV6_TCLASS_SHIFT = 20

cdef enum:
    IP6_AUTO_FLOW_LABEL_OFF = 0
    IP6_AUTO_FLOW_LABEL_OPTOUT = 1
    IP6_AUTO_FLOW_LABEL_OPTIN = 2
    IP6_AUTO_FLOW_LABEL_FORCED = 3
    FLOWLABEL_REFLECT_ESTABLISHED = 1
    FLOWLABEL_REFLECT_TCP_RESET = 2

# setsockopt(SOL_IPV6)
cdef enum:
    IPV6_ADDRFORM = 1
    IPV6_2292PKTINFO = 2
    IPV6_2292HOPLIMIT = 8
    IPV6_FLOWINFO = 11
    IPV6_UNICAST_HOPS = 16
    IPV6_MULTICAST_IF = 17
    IPV6_MULTICAST_HOPS = 18
    IPV6_MULTICAST_LOOP = 19
    IPV6_MTU_DISCOVER = 23
    IPV6_MTU = 24
    IPV6_RECVERR = 25
    IPV6_V6ONLY = 26
    IPV6_MULTICAST_ALL = 29
    IPV6_RECVERR_RFC4884 = 31
    IPV6_FLOWLABEL_MGR = 32
    IPV6_FLOWINFO_SEND = 33
    IPV6_RECVPKTINFO = 49
    IPV6_RECVHOPLIMIT = 51
    IPV6_RECVTCLASS = 66
    IPV6_TCLASS = 67
    IPV6_AUTOFLOWLABEL = 70
    IPV6_MINHOPCOUNT = 73
    IPV6_TRANSPARENT = 75
    IPV6_FREEBIND = 78

cdef enum:
    IPV6_PMTUDISC_DONT = 0
    IPV6_PMTUDISC_WANT = 1
    IPV6_PMTUDISC_DO = 2
    IPV6_PMTUDISC_PROBE = 3
    IPV6_PMTUDISC_INTERFACE = 4
    IPV6_PMTUDISC_OMIT = 5

# rt6_info.rt6i_flags
cdef enum:
    RTF_REJECT = 0x0200
    RTF_MODIFIED = 0x0020
    RTF_EXPIRES = 0x00400000
    RTF_CACHE = 0x01000000
    RTF_PCPU = 0x40000000
    RTF_LOCAL = 0x80000000

cdef enum:
    ICMPV6_DEST_UNREACH = 1
    ICMPV6_PKT_TOOBIG = 2
    ICMPV6_TIME_EXCEED = 3
    ICMPV6_PARAMPROB = 4
    ICMPV6_INFOMSG_MASK = 0x80
    ICMPV6_ECHO_REQUEST = 128
    ICMPV6_ECHO_REPLY = 129
    ICMPV6_MGM_QUERY = 130
    NDISC_REDIRECT = 137
    ICMPV6_NOROUTE = 0
    ICMPV6_ADM_PROHIBITED = 1
    ICMPV6_NOT_NEIGHBOUR = 2
    ICMPV6_ADDR_UNREACH = 3
    ICMPV6_PORT_UNREACH = 4
    ICMPV6_POLICY_FAIL = 5
    ICMPV6_REJECT_ROUTE = 6
    ICMPV6_UNK_NEXTHDR = 1


cdef inline ipv6hdr *ipv6_hdr(const sk_buff *skb) noexcept nogil:
    return <ipv6hdr *>skb.network_header

cdef inline icmp6hdr *icmp6_hdr(const sk_buff *skb) noexcept nogil:
    return <icmp6hdr *>skb.transport_header

cdef inline inet_skb_parm *IP6CB(sk_buff *skb) noexcept nogil:
    return &skb.cb.h4

cdef inline int inet6_iif(const sk_buff *skb) noexcept nogil:
    return skb.cb.h4.iif

cdef inline int inet6_sdif(const sk_buff *skb) noexcept nogil:
    return 0

cdef inline int tcp_v6_iif(const sk_buff *skb) noexcept nogil:
    return skb.cb.h4.iif

# A field of the first 32 bits, in network order.
cdef inline __be32 ip6_flowlabel(const ipv6hdr *hdr) noexcept nogil:
    return hdr.flow & htonl(IPV6_FLOWLABEL_MASK)

cdef inline __be32 ip6_flowinfo(const ipv6hdr *hdr) noexcept nogil:
    return hdr.flow & htonl(IPV6_FLOWINFO_MASK)

cdef inline __be32 ip6_make_flowinfo(unsigned int tclass, __be32 flowlabel) noexcept nogil:
    return htonl(tclass << IPV6_TCLASS_SHIFT) | flowlabel

cdef inline void ip6_flow_hdr(ipv6hdr *hdr, unsigned int tclass, __be32 flowlabel) noexcept nogil:
    hdr.flow = htonl(<u32>0x60000000 | (tclass << 20)) | flowlabel

cdef inline u32 IP6_REPLY_MARK(net *n, u32 mark) noexcept nogil:
    return mark if n.ipv6.fwmark_reflect else 0

cdef inline bint ipv6_can_nonlocal_bind(net *n, inet_sock *inet) noexcept nogil:
    return (n.ipv6.ip_nonlocal_bind != 0 or inet_test_bit(INET_FLAGS_FREEBIND, <sock *>inet) or
            inet_test_bit(INET_FLAGS_TRANSPARENT, <sock *>inet))

cdef inline bint ip6_sk_accept_pmtu(const sock *sk) noexcept nogil:
    cdef u8 pmtudisc = inet6_sk(sk).pmtudisc
    return pmtudisc != IPV6_PMTUDISC_INTERFACE and pmtudisc != IPV6_PMTUDISC_OMIT

cdef inline rt6_info *dst_rt6_info(const dst_entry *dst) noexcept nogil:
    return <rt6_info *>dst

cdef inline u32 rt6_get_cookie(const rt6_info *rt) noexcept nogil:
    return rt.from_.fib6_sernum if rt.from_ != NULL else 0

cdef inline bint ipv6_unicast_destination(const sk_buff *skb) noexcept nogil:
    return (dst_rt6_info(skb.dst).rt6i_flags & <u32>RTF_LOCAL) != 0

cdef inline int ip6_dst_hoplimit(const dst_entry *dst) noexcept nogil:
    cdef int hoplimit = <int>dst_metric_raw(dst, RTAX_HOPLIMIT)
    if hoplimit == 0:
        hoplimit = dst.dev.nd_net.ipv6.hop_limit
    return hoplimit

# An IPv6 packet has no path MTU of its own: the route's metric, or the link's MTU.
cdef inline unsigned int ip6_dst_mtu_maybe_forward(const dst_entry *dst, bint forwarding) noexcept nogil:
    cdef unsigned int mtu
    if not forwarding or dst_metric_locked(dst, RTAX_MTU):
        mtu = dst_metric_raw(dst, RTAX_MTU)
        if mtu:
            return mtu
    # A link below 1280 carries no IPv6 (cnf.mtu6 would stay).
    return max_u32(dst.dev.mtu, IPV6_MIN_MTU)

cdef inline unsigned int ip6_skb_dst_mtu(const sk_buff *skb) noexcept nogil:
    cdef const sock *sk = skb.sk
    if sk != NULL and sk_fullsock(sk) and inet6_sk(sk) != NULL and inet6_sk(sk).pmtudisc >= IPV6_PMTUDISC_PROBE:
        return skb.dst.dev.mtu
    return skb.dst.ops.mtu(skb.dst)
