"""TCP's part in segmentation offload: cutting a super-segment on its way out, merging segments on their way in.

Serves RFC 9293 3.7 (segments say what one large one said: sequence numbers, flags) and RFC 3168 6.1.2 (CWR).
Follows net/ipv4/tcp_offload.c of Linux 6.18 (GPL-2.0-only).

Deviations: the segments are described (headers/gso.pxd) instead of being packets of their own; checksums are filled in
by whoever writes packets; no frag_list GRO, no AccECN, no partial GSO.
"""
from kpath_c.headers.gro cimport *
from kpath_c.headers.gso cimport gso_segs, tcp_gso_header
from kpath_c.headers.checksum cimport csum_add, csum_fold, csum_tcpudp_nofold
from kpath_c.gro cimport __skb_gro_checksum_complete, skb_gro_own_headers, skb_gro_receive
from kpath_c.tcp_output cimport tcp_wfree


# ------------------------------------------------------------------------------------------- out

cdef int tcp4_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil:
    if not skb.shinfo.gso_type & SKB_GSO_TCPV4:
        return -EINVAL
    return tcp_gso_segment(skb, features, segs)


# TCP small queues count every segment: each has a head of its own, and all are charged until the last one is sent.
cdef inline void gso_charge(sk_buff *skb, u32 more) noexcept nogil:
    cdef u32 delta
    if skb.destructor != tcp_wfree:
        return
    delta = more * SKB_TRUESIZE(skb_end_offset(skb))
    skb.sk.sk_wmem_alloc += <int>delta
    skb.truesize += delta


cdef int tcp_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil:
    """Describes the segments of `skb`, whose headers are in segs.hdr, and makes the first one current.

    0; or -EINVAL: it is none that can be cut.
    """
    cdef tcphdr *th = <tcphdr *>(segs.hdr + segs.ihl)
    cdef u32 thlen = __tcp_hdrlen(th)
    cdef u32 payload
    if thlen < sizeof(tcphdr) or segs.hdr_len < segs.ihl + thlen:
        return -EINVAL
    segs.hdr_len = segs.ihl + thlen
    payload = skb.len - segs.hdr_len
    segs.mss = skb.shinfo.gso_size
    if payload <= segs.mss:
        return -EINVAL
    segs.count = (payload + segs.mss - 1) // segs.mss
    segs.length = segs.mss
    segs.rest = payload - segs.mss
    segs.seq = ntohl(th.seq)
    segs.flags = th.flags
    tcp_gso_header(segs, 1)
    gso_charge(skb, segs.count - 1)
    return 0


# ------------------------------------------------------------------------------------------- in

# The packet that is held of the same connection.
cdef sk_buff *tcp_gro_lookup(sk_buff_head *head, tcphdr *th) noexcept nogil:
    cdef sk_buff *p = head.next
    cdef tcphdr *th2
    while p != skb_list_end(head):
        if NAPI_GRO_CB(p).same_flow:
            th2 = tcp_hdr(p)
            if th.source == th2.source and th.dest == th2.dest:
                return p
            NAPI_GRO_CB(p).same_flow = 0
        p = p.next
    return NULL


cdef tcphdr *tcp_gro_pull_header(sk_buff *skb) noexcept nogil:
    cdef unsigned int off = skb_gro_offset(skb)
    cdef tcphdr *th = <tcphdr *>skb_gro_header(skb, off + <unsigned int>sizeof(tcphdr), off)
    if th == NULL or __tcp_hdrlen(th) < sizeof(tcphdr):
        return NULL
    if not skb_gro_may_pull(skb, off + __tcp_hdrlen(th)):
        return NULL
    skb_gro_pull(skb, __tcp_hdrlen(th))
    return th


# What two segments must share to be one: all of the header but sequence number, checksum, FIN and PSH; the sequence
# goes on without a gap; and none but the last is shorter than the first.
cdef bint gro_must_flush(sk_buff *p, sk_buff *skb, tcphdr *th) noexcept nogil:
    cdef tcphdr *th2 = tcp_hdr(p)
    cdef u32 flags = tcp_flag_word(th)
    cdef u32 length = skb_gro_len(skb)
    cdef u32 mss = p.shinfo.gso_size
    if flags & TCP_FLAG_CWR or (flags ^ tcp_flag_word(th2)) & ~<u32>(TCP_FLAG_FIN | TCP_FLAG_PSH):
        return 1
    if th.ack_seq != th2.ack_seq or memcmp(th + 1, th2 + 1, __tcp_hdrlen(th) - sizeof(tcphdr)):
        return 1
    if gro_receive_network_flush(th, th2, p):
        return 1
    if mss != skb.shinfo.gso_size if skb_is_gso(skb) else length - 1 >= mss:
        return 1
    return ntohl(th2.seq) + skb_gro_len(p) != ntohl(th.seq) or skb_cmp_decrypted(p, skb) != 0


# 1: the segment was appended to p.
cdef bint gro_merge(sk_buff *p, sk_buff *skb, tcphdr *th) noexcept nogil:
    if gro_must_flush(p, skb, th) or skb_gro_receive(p, skb):
        return 0
    skb_gro_own_headers(p)
    tcp_hdr(p).flags |= th.flags & <u8>(TCPHDR_FIN | TCPHDR_PSH)
    return 1


cdef sk_buff *tcp_gro_receive(sk_buff_head *head, sk_buff *skb, tcphdr *th) noexcept nogil:
    """Merges the segment if it can. The packet that is held of its flow, if that is complete now."""
    cdef u32 length = skb_gro_len(skb)
    cdef u32 mss = 1
    cdef sk_buff *p = tcp_gro_lookup(head, th)
    cdef bint flush
    if p != NULL and gro_merge(p, skb, th):
        mss = p.shinfo.gso_size
    # A short segment ends it, and so does one that somebody waits for.
    if skb_is_gso(skb):
        flush = length != <u32>NAPI_GRO_CB(skb).count * skb.shinfo.gso_size
    else:
        flush = length < mss
    if tcp_flag_word(th) & <u32>(TCP_FLAG_URG | TCP_FLAG_PSH | TCP_FLAG_RST | TCP_FLAG_SYN | TCP_FLAG_FIN):
        flush = 1
    NAPI_GRO_CB(skb).flush |= flush
    if p != NULL and (not NAPI_GRO_CB(skb).same_flow or flush):
        return p
    return NULL


cdef void tcp_gro_complete(sk_buff *skb) noexcept nogil:
    skb.ip_summed = CHECKSUM_PARTIAL
    skb.shinfo.gso_segs = NAPI_GRO_CB(skb).count
    if th_cwr(tcp_hdr(skb)):
        skb.shinfo.gso_type |= SKB_GSO_TCP_ACCECN


# True: the checksum is wrong.
cdef bint tcp4_gro_checksum_validate(sk_buff *skb) noexcept nogil:
    cdef iphdr *iph
    cdef u32 psum
    if __skb_gro_checksum_validate_needed(skb):
        iph = <iphdr *>skb_gro_network_header(skb)
        psum = csum_tcpudp_nofold(iph.saddr, iph.daddr, skb_gro_len(skb), IPPROTO_TCP, 0)
        if not NAPI_GRO_CB(skb).csum_valid or csum_fold(csum_add(psum, NAPI_GRO_CB(skb).csum)):
            NAPI_GRO_CB(skb).csum = psum
            if __skb_gro_checksum_complete(skb):
                return 1
    skb_gro_incr_csum_unnecessary(skb)
    return 0


cdef sk_buff *tcp4_gro_receive(sk_buff_head *head, sk_buff *skb) noexcept nogil:
    cdef tcphdr *th = NULL
    # What is flushed anyway is verified above.
    if NAPI_GRO_CB(skb).flush or not tcp4_gro_checksum_validate(skb):
        th = tcp_gro_pull_header(skb)
    if th == NULL:
        NAPI_GRO_CB(skb).flush = 1
        return NULL
    return tcp_gro_receive(head, skb, th)


cdef int tcp4_gro_complete(sk_buff *skb, int thoff) noexcept nogil:
    cdef iphdr *iph = ip_hdr(skb)
    tcp_hdr(skb).check = <u16>~csum_fold(csum_tcpudp_nofold(iph.saddr, iph.daddr, skb.len - <u32>thoff,
                                                            IPPROTO_TCP, 0))
    skb.shinfo.gso_type |= SKB_GSO_TCPV4
    if NAPI_GRO_CB(skb).ip_fixedid:
        skb.shinfo.gso_type |= SKB_GSO_TCP_FIXEDID
    tcp_gro_complete(skb)
    return 0
