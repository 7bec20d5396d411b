"""IPv6's part in segmentation offload.

Serves RFC 8200 3.
Follows net/ipv6/ip6_offload.c of Linux 6.18 (GPL-2.0-only).

Deviations: a packet with extension headers is not merged; no jumbograms (RFC 2675): what has outgrown 64 KiB has a
payload length of 0, as from a device that merges itself; no tunnels.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.gro cimport *
from kpath_c.headers.gso cimport gso_segs, inet_gso_header
from kpath_c.tcpv6_offload cimport tcp6_gro_complete, tcp6_gro_receive, tcp6_gso_segment


cdef int ipv6_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil:
    cdef int err
    segs.ihl = sizeof(ipv6hdr)
    if (<ipv6hdr *>segs.hdr).nexthdr != IPPROTO_TCP:
        return -EPROTONOSUPPORT
    err = tcp6_gso_segment(skb, features, segs)
    if err == 0:
        inet_gso_header(segs)
    return err


# All but length, traffic class and hop limit tells flows apart; the latter two are compared by ipv6_gro_flush().
cdef bint gro_same_ipv6(const ipv6hdr *a, const ipv6hdr *b) noexcept nogil:
    return (not (a.flow ^ b.flow) & htonl(0xF00FFFFF) and a.nexthdr == b.nexthdr and
            ipv6_addr_equal(&a.saddr, &b.saddr) and ipv6_addr_equal(&a.daddr, &b.daddr))


cdef sk_buff *ipv6_gro_receive(sk_buff_head *head, sk_buff *skb) noexcept nogil:
    cdef unsigned int off = skb_gro_offset(skb)
    cdef unsigned int hlen = off + <unsigned int>sizeof(ipv6hdr)
    cdef ipv6hdr *iph = <ipv6hdr *>skb_gro_header(skb, hlen, off)
    cdef sk_buff *pp = NULL
    cdef sk_buff *p = head.next
    cdef int flush = 1
    if iph != NULL and iph.nexthdr == IPPROTO_TCP:
        NAPI_GRO_CB(skb).network_offset = <u16>off
        flush = ntohs(iph.payload_len) != skb.len - hlen
        skb_gro_pull(skb, sizeof(ipv6hdr))
        skb_set_transport_header(skb, <int>skb_gro_offset(skb))
        NAPI_GRO_CB(skb).proto = IPPROTO_TCP
        while p != skb_list_end(head):
            if NAPI_GRO_CB(p).same_flow and not gro_same_ipv6(iph, <ipv6hdr *>(p.data + off)):
                NAPI_GRO_CB(p).same_flow = 0
            p = p.next
        NAPI_GRO_CB(skb).flush |= <u16>flush
        pp = tcp6_gro_receive(head, skb)
    skb_gro_flush_final(skb, pp, flush)
    return pp


cdef int ipv6_gro_complete(sk_buff *skb, int nhoff) noexcept nogil:
    cdef ipv6hdr *iph = <ipv6hdr *>(skb.data + nhoff)
    cdef u32 payload_len = skb.len - <u32>nhoff - <u32>sizeof(ipv6hdr)
    iph.payload_len = htons(<u16>payload_len) if payload_len <= 65535 else 0
    return tcp6_gro_complete(skb, nhoff + <int>sizeof(ipv6hdr))
