"""ICMPv6: errors that arrive for a connection go to TCP; errors that this host would send are only counted.

Serves RFC 4443 (the messages), RFC 8201 (packet too big). Follows net/ipv6/icmp.c of Linux 6.18 (GPL-2.0-only).

Deviations: nothing is sent, neither errors nor echo replies; neighbour discovery and multicast listeners are counted
and ignored; the rate limit on what is sent is left out with it. Extension headers in a quoted packet are not read.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.checksum cimport csum_fold, csum_ipv6_nofold
from kpath_c.skbuff cimport consume_skb, kfree_skb_reason, pskb_may_pull, pskb_pull, skb_checksum
from kpath_c.tcp_ipv6 cimport tcp_v6_err


cdef void icmpv6_send(sk_buff *skb, u8 type_, u8 code, u32 info) noexcept nogil:
    """Counts the error that the kernel would send about skb."""
    ICMP6_INC_STATS(skb.net, ICMP6_MIB_OUTMSGS)


# What an error means to a socket. True: the peer cannot be reached.
cdef int icmpv6_err_convert(u8 type_, u8 code, int *err) noexcept nogil:
    if type_ == ICMPV6_DEST_UNREACH:
        if code == ICMPV6_NOROUTE:
            err[0] = ENETUNREACH
        elif code == ICMPV6_NOT_NEIGHBOUR or code == ICMPV6_ADDR_UNREACH:
            err[0] = EHOSTUNREACH
        elif code == ICMPV6_PORT_UNREACH:
            err[0] = ECONNREFUSED
        elif code == ICMPV6_ADM_PROHIBITED or code == ICMPV6_POLICY_FAIL or code == ICMPV6_REJECT_ROUTE:
            err[0] = EACCES
        else:
            err[0] = EPROTO
        return not (code == ICMPV6_NOROUTE or code == ICMPV6_NOT_NEIGHBOUR or code == ICMPV6_ADDR_UNREACH)
    if type_ == ICMPV6_PKT_TOOBIG:
        err[0] = EMSGSIZE
        return 0
    if type_ == ICMPV6_TIME_EXCEED:
        err[0] = EHOSTUNREACH
        return 0
    err[0] = EPROTO
    return type_ == ICMPV6_PARAMPROB


# To the transport that the quoted header names. skb.data is that header.
cdef int icmpv6_notify(sk_buff *skb, u8 type_, u8 code, __be32 info) noexcept nogil:
    cdef net *n = dev_net(skb.dev)
    if not pskb_may_pull(skb, sizeof(ipv6hdr) + 8):
        ICMP6_INC_STATS(n, ICMP6_MIB_INERRORS)
        return SKB_DROP_REASON_PKT_TOO_SMALL
    if (<ipv6hdr *>skb.data).nexthdr == IPPROTO_TCP:
        tcp_v6_err(skb, type_, code, <int>sizeof(ipv6hdr), info)
    return SKB_NOT_DROPPED_YET


# A checksum over bytes that the capture doesn't hold is taken as right.
cdef bint icmpv6_checksum_ok(sk_buff *skb) noexcept nogil:
    cdef const ipv6hdr *hdr = ipv6_hdr(skb)
    if skb_csum_unnecessary(skb) or not skb_bytes_present(skb):
        return 1
    return csum_fold(skb_checksum(skb, 0, <int>skb.len,
                                  csum_ipv6_nofold(&hdr.saddr, &hdr.daddr, skb.len, IPPROTO_ICMPV6, 0))) == 0


cdef int icmpv6_rcv_reason(sk_buff *skb) noexcept nogil:
    cdef net *n = dev_net(skb.dev)
    cdef icmp6hdr *hdr
    cdef u8 type_
    ICMP6_INC_STATS(n, ICMP6_MIB_INMSGS)
    if not icmpv6_checksum_ok(skb):
        ICMP6_INC_STATS(n, ICMP6_MIB_CSUMERRORS)
        ICMP6_INC_STATS(n, ICMP6_MIB_INERRORS)
        return SKB_DROP_REASON_ICMP_CSUM
    if pskb_pull(skb, sizeof(icmp6hdr)) == NULL:
        ICMP6_INC_STATS(n, ICMP6_MIB_INERRORS)
        return SKB_DROP_REASON_NOT_SPECIFIED
    hdr = icmp6_hdr(skb)
    type_ = hdr.icmp6_type
    n.mib.icmp6_in[type_] += 1
    if type_ == ICMPV6_ECHO_REPLY:
        # No ping socket wants it.
        return SKB_DROP_REASON_NO_SOCKET
    if type_ == ICMPV6_ECHO_REQUEST:
        ICMP6_INC_STATS(n, ICMP6_MIB_OUTMSGS)
        return SKB_NOT_DROPPED_YET
    if type_ & ICMPV6_INFOMSG_MASK:
        return SKB_NOT_DROPPED_YET
    # An error that this host does not know goes to the transport too (RFC 4443 2.4 a).
    return icmpv6_notify(skb, type_, hdr.icmp6_code, hdr.icmp6_mtu)


cdef int icmpv6_rcv(sk_buff *skb) noexcept nogil:
    cdef int reason = icmpv6_rcv_reason(skb)
    if reason:
        kfree_skb_reason(skb, reason)
    else:
        consume_skb(skb)
    return 0
