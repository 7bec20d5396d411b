"""net/gro.h: what GRO notes of a packet, and how it reads the headers of one that is not pulled yet.

Follows include/net/gro.h of Linux 6.18 (GPL-2.0-only).

Deviations: no tunnels (one network header, no recursion), no GRO by frag_list (NETIF_F_GRO_FRAGLIST); the first
fragment is never looked into, as headers are always in the linear part here. Inlines that call real functions are in
kpath_c/net_gro.pxd.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.netdevice cimport *

cdef enum:
    MAX_GRO_SKBS = 8
    NAPI_GRO_FREE = 1
    NAPI_GRO_FREE_STOLEN_HEAD = 2

cdef inline napi_gro_cb *NAPI_GRO_CB(const sk_buff *skb) noexcept nogil:
    return <napi_gro_cb *>&skb.cb

cdef inline unsigned int skb_gro_offset(const sk_buff *skb) noexcept nogil:
    return <unsigned int>NAPI_GRO_CB(skb).data_offset

cdef inline unsigned int skb_gro_len(const sk_buff *skb) noexcept nogil:
    return skb.len - <unsigned int>NAPI_GRO_CB(skb).data_offset

cdef inline void skb_gro_pull(sk_buff *skb, unsigned int length) noexcept nogil:
    NAPI_GRO_CB(skb).data_offset += <int>length

cdef inline bint skb_gro_may_pull(const sk_buff *skb, unsigned int hlen) noexcept nogil:
    return hlen <= skb_headlen(skb) and hlen <= skb.caplen_left

# The bytes from `offset` on, if the header up to `hlen` is there.
cdef inline void *skb_gro_header(const sk_buff *skb, unsigned int hlen, unsigned int offset) noexcept nogil:
    return skb.data + offset if skb_gro_may_pull(skb, hlen) else NULL

cdef inline void *skb_gro_network_header(const sk_buff *skb) noexcept nogil:
    return skb.data + NAPI_GRO_CB(skb).network_offset

cdef inline bint __skb_gro_checksum_validate_needed(const sk_buff *skb) noexcept nogil:
    return ((skb.ip_summed != CHECKSUM_PARTIAL or skb_checksum_start_offset(skb) < <int>skb_gro_offset(skb)) and
            NAPI_GRO_CB(skb).csum_cnt == 0)

# What was verified here need not be verified again above.
cdef inline void skb_gro_incr_csum_unnecessary(sk_buff *skb) noexcept nogil:
    if NAPI_GRO_CB(skb).csum_cnt > 0:
        NAPI_GRO_CB(skb).csum_cnt -= 1
    else:
        __skb_incr_checksum_unnecessary(skb)

cdef inline void skb_gro_flush_final(sk_buff *skb, sk_buff *pp, int flush) noexcept nogil:
    NAPI_GRO_CB(skb).flush |= <u16>flush

# RFC 791: all but length, id and checksum must be alike, and the ids must count up, or (DF) all be the same.
cdef inline int inet_gro_flush(const iphdr *iph, const iphdr *iph2, sk_buff *p) noexcept nogil:
    cdef u16 ipid_offset = <u16>(ntohs(iph.id) - ntohs(iph2.id))
    cdef u16 count = NAPI_GRO_CB(p).count
    if iph.ttl != iph2.ttl or iph.tos != iph2.tos or (iph.frag_off ^ iph2.frag_off) & htons(IP_DF):
        return 1
    # The second packet tells which of the two it is.
    if count == 1 and not ipid_offset:
        NAPI_GRO_CB(p).ip_fixedid = 1
    return ipid_offset ^ (0 if NAPI_GRO_CB(p).ip_fixedid else count)

# RFC 8200: traffic class and hop limit; addresses and flow label were compared before.
cdef inline int ipv6_gro_flush(const ipv6hdr *iph, const ipv6hdr *iph2) noexcept nogil:
    return ((iph.flow ^ iph2.flow) & htonl(0x0FF00000)) != 0 or iph.hop_limit != iph2.hop_limit

cdef inline int gro_receive_network_flush(const tcphdr *th, const tcphdr *th2, sk_buff *p) noexcept nogil:
    cdef int diff = skb_transport_offset(p) - NAPI_GRO_CB(p).network_offset
    cdef const u8 *nh = <const u8 *>th - diff
    cdef const u8 *nh2 = <const u8 *>th2 - diff
    if nh[0] >> 4 == 6:
        return ipv6_gro_flush(<const ipv6hdr *>nh, <const ipv6hdr *>nh2)
    return inet_gro_flush(<const iphdr *>nh, <const iphdr *>nh2, p)
