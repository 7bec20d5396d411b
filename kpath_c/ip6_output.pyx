"""The way of a segment out over IPv6: header, flow label, device.

Serves RFC 8200 3 (the header) and 5 (packet size), RFC 6437 (a flow label from the flow's hash), RFC 3168 5 (the ECN
bits of the traffic class are the socket's).
Follows net/ipv6/ip6_output.c of Linux 6.18 (GPL-2.0-only).

Deviations: no netfilter, XFRM, extension headers (hence no `opt`), jumbograms, tunnels, multicast; no neighbours. What
does not fit the path is dropped and reported (not_ported): TCP cuts its segments anew before it repeats them.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.hash cimport __ipv6_addr_jhash, jhash_3words
from kpath_c.net_tcp cimport *
from kpath_c.net_dst cimport dst_output
from kpath_c.skbuff cimport kfree_skb
from kpath_c.shim.netdevice cimport dev_queue_xmit


# ------------------------------------------------------------------------------------------- to the device

cdef int ip6_finish_output2(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    IP6_UPD_PO_STATS(n, IPSTATS_MIB_OUTPKTS, skb.len)
    # sock_confirm_neigh()
    if skb_get_dst_pending_confirm(skb) and skb.sk != NULL and sk_fullsock(skb.sk):
        skb.sk.sk_dst_pending_confirm = 0
    return dev_queue_xmit(skb)


cdef int ip6_finish_output(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    cdef unsigned int mtu = ip6_skb_dst_mtu(skb)
    cdef unsigned int length = skb.len
    if skb_is_gso(skb):
        length = skb_network_header_len(skb) + th_doff(tcp_hdr(skb)) * 4 + skb.shinfo.gso_size
    if length > mtu:
        not_ported(n, "IPv6 packets larger than the path's MTU (fragments)")
        IP6_INC_STATS(n, IPSTATS_MIB_FRAGFAILS)
        kfree_skb(skb)
        return -EMSGSIZE
    return ip6_finish_output2(n, sk, skb)


cdef int ip6_output(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    skb.dev = skb_dst_dev(skb)
    skb.protocol = htons(ETH_P_IPV6)
    return ip6_finish_output(n, sk, skb)


# ------------------------------------------------------------------------------------------- the header

cdef bint ip6_autoflowlabel(net *n, const sock *sk) noexcept nogil:
    if not inet_test_bit(INET_FLAGS_AUTOFLOWLABEL_SET, sk):
        return (n.ipv6.auto_flowlabels == IP6_AUTO_FLOW_LABEL_OPTOUT or
                n.ipv6.auto_flowlabels == IP6_AUTO_FLOW_LABEL_FORCED)
    return inet_test_bit(INET_FLAGS_AUTOFLOWLABEL, sk)


# skb_get_hash_flowi6(): the socket's own hash, else one of the flow's addresses and ports.
cdef u32 skb_get_hash_flowi6(net *n, sk_buff *skb, const flowi6 *fl6) noexcept nogil:
    if not skb.l4_hash and not skb.sw_hash:
        skb.hash = jhash_3words(__ipv6_addr_jhash(&fl6.saddr, 0), __ipv6_addr_jhash(&fl6.daddr, 0),
                                <u32>fl6.fl6_sport << 16 | fl6.fl6_dport, n.e.hash_mix)
        skb.sw_hash = 1
    return skb.hash


cdef __be32 ip6_make_flowlabel(net *n, sk_buff *skb, __be32 flowlabel, bint autolabel,
                               const flowi6 *fl6) noexcept nogil:
    flowlabel &= htonl(IPV6_FLOWLABEL_MASK)
    if (flowlabel or n.ipv6.auto_flowlabels == IP6_AUTO_FLOW_LABEL_OFF or
            (not autolabel and n.ipv6.auto_flowlabels != IP6_AUTO_FLOW_LABEL_FORCED)):
        return flowlabel
    flowlabel = <__be32>rol32(skb_get_hash_flowi6(n, skb, fl6), 16) & htonl(IPV6_FLOWLABEL_MASK)
    if n.ipv6.flowlabel_state_ranges:
        flowlabel |= htonl(IPV6_FLOWLABEL_STATELESS_FLAG)
    return flowlabel


cdef int ip6_xmit(const sock *sk, sk_buff *skb, flowi6 *fl6, u32 mark, int tclass, u32 priority) noexcept nogil:
    """The packet has its route."""
    cdef const ipv6_pinfo *np = inet6_sk(sk)
    cdef dst_entry *dst = skb_dst(skb)
    cdef net *n = sock_net(sk)
    cdef u32 seg_len = skb.len
    cdef int hlimit = -1
    cdef ipv6hdr *hdr
    skb_push(skb, sizeof(ipv6hdr))
    skb_reset_network_header(skb)
    hdr = ipv6_hdr(skb)
    if np != NULL:
        hlimit = np.hop_limit
    if hlimit < 0:
        hlimit = ip6_dst_hoplimit(dst)
    ip6_flow_hdr(hdr, <unsigned int>tclass & 0xff,
                 ip6_make_flowlabel(n, skb, fl6.flowlabel, ip6_autoflowlabel(n, sk), fl6))
    hdr.payload_len = htons(<u16>seg_len)
    hdr.nexthdr = fl6.flowi6_proto
    hdr.hop_limit = <u8>hlimit
    hdr.saddr = fl6.saddr
    hdr.daddr = fl6.daddr
    skb.protocol = htons(ETH_P_IPV6)
    skb.priority = priority
    skb.mark = mark
    if skb.len <= dst_mtu(dst) or skb.ignore_df or skb_is_gso(skb):
        IP6_INC_STATS(n, IPSTATS_MIB_OUTREQUESTS)
        return dst_output(n, <sock *>sk, skb)
    IP6_INC_STATS(n, IPSTATS_MIB_FRAGFAILS)
    kfree_skb(skb)
    return -EMSGSIZE
