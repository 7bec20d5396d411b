"""ICMP: errors that arrive for a connection go to TCP; errors that this host would send are only counted.

Serves RFC 792, RFC 1122 3.2.2, RFC 1191 (fragmentation needed), RFC 1812 4.3.2.8 (limits of the rate).
Follows net/ipv4/icmp.c of Linux 6.18 (GPL-2.0-only).

Deviations: nothing is sent, neither errors nor echo replies: the counters show what would have been. A message is
counted under its own ICMP_MIB_ counter too, as /proc/net/snmp adds it up from the kernel's table of types. The rate
limit for each peer (inet_peer) is left out, the host's is kept. Raw and ping sockets don't exist.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.checksum cimport csum_fold
from kpath_c.skbuff cimport (pskb_may_pull, pskb_pull, consume_skb, kfree_skb_reason, skb_checksum,
                             skb_header_pointer)
from kpath_c.route cimport ipv4_update_pmtu, ipv4_redirect
from kpath_c.tcp_ipv4 cimport tcp_v4_err

cdef enum:
    ENONET = 64


cdef void set_err(int code, int errno_, u8 fatal) noexcept nogil:
    icmp_err_convert[code].errno_ = errno_
    icmp_err_convert[code].fatal = fatal

# RFC 1122 3.2.2.1: net and host unreachable and source route failed are transient.
set_err(ICMP_NET_UNREACH, ENETUNREACH, 0)
set_err(ICMP_HOST_UNREACH, EHOSTUNREACH, 0)
set_err(ICMP_PROT_UNREACH, ENOPROTOOPT, 1)
set_err(ICMP_PORT_UNREACH, ECONNREFUSED, 1)
set_err(ICMP_FRAG_NEEDED, EMSGSIZE, 0)
set_err(ICMP_SR_FAILED, EOPNOTSUPP, 0)
set_err(ICMP_NET_UNKNOWN, ENETUNREACH, 1)
set_err(ICMP_HOST_UNKNOWN, EHOSTDOWN, 1)
set_err(ICMP_HOST_ISOLATED, ENONET, 1)
set_err(ICMP_NET_ANO, ENETUNREACH, 1)
set_err(ICMP_HOST_ANO, EHOSTUNREACH, 1)
set_err(ICMP_NET_UNR_TOS, ENETUNREACH, 0)
set_err(ICMP_HOST_UNR_TOS, EHOSTUNREACH, 0)
set_err(ICMP_PKT_FILTERED, EHOSTUNREACH, 1)
set_err(ICMP_PREC_VIOLATION, EHOSTUNREACH, 1)
set_err(ICMP_PREC_CUTOFF, EHOSTUNREACH, 1)


# ------------------------------------------------------------------------------------------- counters

# ICMP_MIB_IN... of a type, 0 if it has none.
cdef int icmp_in_mib(int type_) noexcept nogil:
    if type_ == ICMP_DEST_UNREACH:
        return ICMP_MIB_INDESTUNREACHS
    if type_ == ICMP_TIME_EXCEEDED:
        return ICMP_MIB_INTIMEEXCDS
    if type_ == ICMP_PARAMETERPROB:
        return ICMP_MIB_INPARMPROBS
    if type_ == ICMP_SOURCE_QUENCH:
        return ICMP_MIB_INSRCQUENCHS
    if type_ == ICMP_REDIRECT:
        return ICMP_MIB_INREDIRECTS
    if type_ == ICMP_ECHO:
        return ICMP_MIB_INECHOS
    if type_ == ICMP_ECHOREPLY:
        return ICMP_MIB_INECHOREPS
    if type_ == ICMP_TIMESTAMP:
        return ICMP_MIB_INTIMESTAMPS
    if type_ == ICMP_TIMESTAMPREPLY:
        return ICMP_MIB_INTIMESTAMPREPS
    if type_ == ICMP_ADDRESS:
        return ICMP_MIB_INADDRMASKS
    if type_ == ICMP_ADDRESSREPLY:
        return ICMP_MIB_INADDRMASKREPS
    return 0


cdef void icmp_out_count(net *n, int type_) noexcept nogil:
    cdef int mib = icmp_in_mib(type_)
    if mib:
        # The outgoing counters follow in the same order.
        ICMP_INC_STATS(n, mib + ICMP_MIB_OUTDESTUNREACHS - ICMP_MIB_INDESTUNREACHS)
    ICMP_INC_STATS(n, ICMP_MIB_OUTMSGS)


# ------------------------------------------------------------------------------------------- sending

# icmp_control.error: an error must not answer an error.
cdef bint icmp_type_is_error(int type_) noexcept nogil:
    return not (type_ == ICMP_ECHOREPLY or type_ == ICMP_ECHO or
                (type_ >= ICMP_TIMESTAMP and type_ <= ICMP_ADDRESSREPLY))


# A bucket of icmp_msgs_burst tokens, filled with icmp_msgs_per_sec.
cdef bint icmp_global_allow(net *n) noexcept nogil:
    cdef u32 now, delta
    cdef int incr
    if n.ipv4.icmp_global_credit > 0:
        return 1
    now = <u32>jiffies(n)
    delta = min_u32(now - n.ipv4.icmp_global_stamp, HZ(n))
    if delta < HZ(n) // 50:
        return 0
    incr = <int>div_u64(<u64>n.ipv4.sysctl_icmp_msgs_per_sec * delta, HZ(n))
    if not incr:
        return 0
    n.ipv4.icmp_global_stamp = now
    n.ipv4.icmp_global_credit = min_int(n.ipv4.icmp_global_credit + incr, n.ipv4.sysctl_icmp_msgs_burst)
    return 1


cdef void icmp_global_consume(net *n) noexcept nogil:
    n.ipv4.icmp_global_credit -= <int>get_random_u32_below(n, 3)


# RFC 1191 must work: "fragmentation needed" is never limited.
cdef bint icmpv4_mask_allow(net *n, int type_, int code) noexcept nogil:
    if type_ > NR_ICMP_TYPES:
        return 1
    if type_ == ICMP_DEST_UNREACH and code == ICMP_FRAG_NEEDED:
        return 1
    return not ((1 << type_) & n.ipv4.sysctl_icmp_ratemask)


cdef void icmp_send(sk_buff *skb_in, int type_, int code, __be32 info) noexcept nogil:
    """Counts the error that the kernel would send about skb_in (RFC 1122 3.2.2 says when not to)."""
    cdef rtable *rt = skb_rtable(skb_in)
    cdef const iphdr *iph = ip_hdr(skb_in)
    cdef u8 inner_type = 0
    cdef u8 *itp
    cdef net *n
    if rt == NULL or iph == NULL:
        return
    n = dst_dev_net(&rt.dst)
    if skb_in.pkt_type != PACKET_HOST:
        return
    if rt.rt_flags & (<u32>RTCF_BROADCAST | <u32>RTCF_MULTICAST):
        return
    if iph.frag_off & htons(IP_OFFSET):
        return
    if icmp_type_is_error(type_) and iph.protocol == IPPROTO_ICMP:
        itp = <u8 *>skb_header_pointer(skb_in, skb_network_offset(skb_in) + <int>(ip_ihl(iph) << 2), 1, &inner_type)
        if itp == NULL or itp[0] > NR_ICMP_TYPES or icmp_type_is_error(itp[0]):
            return
    if not icmpv4_mask_allow(n, type_, code):
        if not icmp_global_allow(n):
            ICMP_INC_STATS(n, ICMP_MIB_RATELIMITGLOBAL)
            return
        icmp_global_consume(n)
    icmp_out_count(n, type_)


# ------------------------------------------------------------------------------------------- receiving

# RFC 1122 3.2.2.1: to the transport that the quoted header names. skb.data is that header.
cdef void icmp_socket_deliver(sk_buff *skb, u32 info) noexcept nogil:
    cdef const iphdr *iph = <const iphdr *>skb.data
    cdef int protocol = iph.protocol
    if not pskb_may_pull(skb, ip_ihl(iph) * 4 + 8):
        ICMP_INC_STATS(dev_net(skb.dev), ICMP_MIB_INERRORS)
        return
    if protocol == IPPROTO_TCP:
        tcp_v4_err(skb, info)
    elif protocol == IPPROTO_ICMP:
        icmp_err(skb, info)


# DEST_UNREACH, TIME_EXCEEDED, SOURCE_QUENCH and PARAMETERPROB.
cdef int icmp_unreach(sk_buff *skb) noexcept nogil:
    cdef net *n = skb_dst_dev_net(skb)
    cdef const iphdr *iph
    cdef icmphdr *icmph
    cdef u32 info = 0
    cdef u8 no_pmtu_disc
    if not pskb_may_pull(skb, sizeof(iphdr)):
        ICMP_INC_STATS(n, ICMP_MIB_INERRORS)
        return SKB_DROP_REASON_NOT_SPECIFIED
    icmph = icmp_hdr(skb)
    iph = <const iphdr *>skb.data
    if ip_ihl(iph) < 5:
        ICMP_INC_STATS(n, ICMP_MIB_INERRORS)
        return SKB_DROP_REASON_IP_INHDR

    if icmph.type == ICMP_DEST_UNREACH:
        if (icmph.code & 15) == ICMP_FRAG_NEEDED:
            no_pmtu_disc = n.ipv4.sysctl_ip_no_pmtu_disc
            if no_pmtu_disc == 2:
                return SKB_NOT_DROPPED_YET
            # 3: only for protocols that check the quoted header strictly, as TCP does.
            if no_pmtu_disc == 3 and iph.protocol != IPPROTO_TCP:
                return SKB_NOT_DROPPED_YET
            if no_pmtu_disc == 0 or no_pmtu_disc == 3:
                info = ntohs(icmph.un_mtu)
        if icmph.code > NR_ICMP_UNREACH:
            return SKB_NOT_DROPPED_YET
    elif icmph.type == ICMP_PARAMETERPROB:
        info = ntohs(icmph.un_unused) >> 8
    elif icmph.type == ICMP_TIME_EXCEEDED:
        if icmph.code == ICMP_EXC_FRAGTIME:
            return SKB_NOT_DROPPED_YET
    icmp_socket_deliver(skb, info)
    return SKB_NOT_DROPPED_YET


cdef int icmp_redirect(sk_buff *skb) noexcept nogil:
    if skb.len < sizeof(iphdr):
        ICMP_INC_STATS(dev_net(skb.dev), ICMP_MIB_INERRORS)
        return SKB_DROP_REASON_PKT_TOO_SMALL
    if not pskb_may_pull(skb, sizeof(iphdr)):
        return SKB_DROP_REASON_NOMEM
    icmp_socket_deliver(skb, ntohl(get_unaligned_u32(&icmp_hdr(skb).un_unused)))
    return SKB_NOT_DROPPED_YET


cdef int icmp_timestamp(sk_buff *skb) noexcept nogil:
    if skb.len < 4:
        ICMP_INC_STATS(skb_dst_dev_net(skb), ICMP_MIB_INERRORS)
        return SKB_DROP_REASON_PKT_TOO_SMALL
    icmp_out_count(skb_dst_dev_net(skb), ICMP_TIMESTAMPREPLY)
    return SKB_NOT_DROPPED_YET


# A checksum over bytes that the capture doesn't hold is taken as right.
cdef bint icmp_checksum_ok(sk_buff *skb) noexcept nogil:
    if skb_csum_unnecessary(skb) or not skb_bytes_present(skb):
        return 1
    return csum_fold(skb_checksum(skb, 0, <int>skb.len, 0)) == 0


# The handler of a type. 0: done.
cdef int icmp_handle(sk_buff *skb, int type_) noexcept nogil:
    if type_ == ICMP_ECHO:
        icmp_out_count(skb_dst_dev_net(skb), ICMP_ECHOREPLY)
        return SKB_NOT_DROPPED_YET
    if (type_ == ICMP_DEST_UNREACH or type_ == ICMP_SOURCE_QUENCH or type_ == ICMP_TIME_EXCEEDED or
            type_ == ICMP_PARAMETERPROB):
        return icmp_unreach(skb)
    if type_ == ICMP_REDIRECT:
        return icmp_redirect(skb)
    if type_ == ICMP_TIMESTAMP:
        return icmp_timestamp(skb)
    return SKB_NOT_DROPPED_YET


# The counters and checks of icmp_rcv(), then the handler: why to drop, 0 if all is well.
cdef int icmp_rcv_reason(sk_buff *skb) noexcept nogil:
    cdef rtable *rt = skb_rtable(skb)
    cdef net *n = dst_dev_net(&rt.dst)
    cdef icmphdr *icmph
    cdef int mib, type_
    ICMP_INC_STATS(n, ICMP_MIB_INMSGS)
    if not icmp_checksum_ok(skb):
        ICMP_INC_STATS(n, ICMP_MIB_CSUMERRORS)
        ICMP_INC_STATS(n, ICMP_MIB_INERRORS)
        return SKB_DROP_REASON_ICMP_CSUM
    if pskb_pull(skb, sizeof(icmphdr)) == NULL:
        ICMP_INC_STATS(n, ICMP_MIB_INERRORS)
        return SKB_DROP_REASON_NOT_SPECIFIED
    icmph = icmp_hdr(skb)
    type_ = icmph.type
    mib = icmp_in_mib(type_)
    if mib:
        ICMP_INC_STATS(n, mib)
    if type_ == ICMP_EXT_ECHO:
        # icmp_echo_enable_probe is off
        return SKB_NOT_DROPPED_YET
    if rt.rt_flags & (<u32>RTCF_BROADCAST | <u32>RTCF_MULTICAST):
        # RFC 1122 3.2.2.6, 3.2.2.8: icmp_echo_ignore_broadcasts is on
        if type_ != ICMP_ADDRESS and type_ != ICMP_ADDRESSREPLY:
            ICMP_INC_STATS(n, ICMP_MIB_INERRORS)
            return SKB_DROP_REASON_INVALID_PROTO
    if type_ == ICMP_EXT_ECHOREPLY or type_ == ICMP_ECHOREPLY:
        # No ping socket wants it.
        return SKB_DROP_REASON_NO_SOCKET
    if type_ > NR_ICMP_TYPES:
        ICMP_INC_STATS(n, ICMP_MIB_INERRORS)
        return SKB_DROP_REASON_UNHANDLED_PROTO
    return icmp_handle(skb, type_)


cdef int icmp_rcv(sk_buff *skb) noexcept nogil:
    cdef int reason = icmp_rcv_reason(skb)
    if not reason:
        consume_skb(skb)
        return NET_RX_SUCCESS
    kfree_skb_reason(skb, reason)
    return NET_RX_DROP


# An error about an ICMP message of ours: skb.data is the quoted IP header.
cdef int icmp_err(sk_buff *skb, u32 info) noexcept nogil:
    cdef const iphdr *iph = <const iphdr *>skb.data
    cdef const icmphdr *inner = <const icmphdr *>(skb.data + (ip_ihl(iph) << 2))
    cdef net *n = dev_net(skb.dev)
    cdef int type_ = icmp_hdr(skb).type
    if inner.type != ICMP_ECHOREPLY:
        return 0
    if type_ == ICMP_DEST_UNREACH and icmp_hdr(skb).code == ICMP_FRAG_NEEDED:
        ipv4_update_pmtu(skb, n, info, 0, IPPROTO_ICMP)
    elif type_ == ICMP_REDIRECT:
        ipv4_redirect(skb, n, 0, IPPROTO_ICMP)
    return 0
