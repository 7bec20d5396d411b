"""What differs in TCP's segmentation offload over IPv6: the pseudo header (RFC 8200 8.1).

Follows net/ipv6/tcpv6_offload.c of Linux 6.18 (GPL-2.0-only).

Deviations: those of tcp_offload.pyx.
"""
from kpath_c.headers.gro cimport *
from kpath_c.headers.gso cimport gso_segs
from kpath_c.headers.checksum cimport csum_add, csum_fold, csum_ipv6_nofold
from kpath_c.gro cimport __skb_gro_checksum_complete
from kpath_c.tcp_offload cimport tcp_gro_complete, tcp_gro_pull_header, tcp_gro_receive, tcp_gso_segment


cdef int tcp6_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil:
    if not skb.shinfo.gso_type & SKB_GSO_TCPV6:
        return -EINVAL
    return tcp_gso_segment(skb, features, segs)


# True: the checksum is wrong.
cdef bint tcp6_gro_checksum_validate(sk_buff *skb) noexcept nogil:
    cdef ipv6hdr *iph
    cdef u32 psum
    if __skb_gro_checksum_validate_needed(skb):
        iph = <ipv6hdr *>skb_gro_network_header(skb)
        psum = csum_ipv6_nofold(&iph.saddr, &iph.daddr, skb_gro_len(skb), IPPROTO_TCP, 0)
        if not NAPI_GRO_CB(skb).csum_valid or csum_fold(csum_add(psum, NAPI_GRO_CB(skb).csum)):
            NAPI_GRO_CB(skb).csum = psum
            if __skb_gro_checksum_complete(skb):
                return 1
    skb_gro_incr_csum_unnecessary(skb)
    return 0


cdef sk_buff *tcp6_gro_receive(sk_buff_head *head, sk_buff *skb) noexcept nogil:
    cdef tcphdr *th = NULL
    if NAPI_GRO_CB(skb).flush or not tcp6_gro_checksum_validate(skb):
        th = tcp_gro_pull_header(skb)
    if th == NULL:
        NAPI_GRO_CB(skb).flush = 1
        return NULL
    return tcp_gro_receive(head, skb, th)


cdef int tcp6_gro_complete(sk_buff *skb, int thoff) noexcept nogil:
    cdef ipv6hdr *iph = ipv6_hdr(skb)
    tcp_hdr(skb).check = <u16>~csum_fold(csum_ipv6_nofold(&iph.saddr, &iph.daddr, skb.len - <u32>thoff,
                                                          IPPROTO_TCP, 0))
    skb.shinfo.gso_type |= SKB_GSO_TCPV6
    tcp_gro_complete(skb)
    return 0
