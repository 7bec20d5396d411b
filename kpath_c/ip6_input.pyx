"""The way of a received IPv6 packet to its transport: checks, early demultiplexing, routing, delivery.

Serves RFC 8200 3, RFC 4291 2.5.3 and 2.7 (addresses that must not come from outside).
Follows net/ipv6/ip6_input.c of Linux 6.18 (GPL-2.0-only).

Deviations: no forwarding, netfilter, raw sockets, XFRM; extension headers, fragments among them, are not read
(not_ported); UDP is somebody else's: delivered, and that is all.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.skbuff cimport kfree_skb_reason, pskb_may_pull, pskb_trim_rcsum, skb_share_check
from kpath_c.icmpv6 cimport icmpv6_rcv, icmpv6_send
from kpath_c.ip6_route cimport ip6_route_input
from kpath_c.net_dst cimport dst_input
from kpath_c.tcp_ipv6 cimport tcp_v6_early_demux, tcp_v6_rcv


# ------------------------------------------------------------------------------------------- delivery

cdef bint ipv6_ext_hdr(u8 nexthdr) noexcept nogil:
    return (nexthdr == NEXTHDR_HOP or nexthdr == NEXTHDR_ROUTING or nexthdr == NEXTHDR_FRAGMENT or
            nexthdr == NEXTHDR_AUTH or nexthdr == NEXTHDR_NONE or nexthdr == NEXTHDR_DEST)


cdef void ip6_protocol_deliver_rcu(net *n, sk_buff *skb, u8 nexthdr) noexcept nogil:
    if nexthdr == IPPROTO_TCP:
        tcp_v6_rcv(skb)
    elif nexthdr == IPPROTO_ICMPV6:
        icmpv6_rcv(skb)
    elif nexthdr == IPPROTO_UDP:
        kfree_skb_reason(skb, SKB_DROP_REASON_NO_SOCKET)
    elif ipv6_ext_hdr(nexthdr):
        not_ported(n, "IPv6 extension headers")
        kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
        return
    else:
        IP6_INC_STATS(n, IPSTATS_MIB_INUNKNOWNPROTOS)
        icmpv6_send(skb, ICMPV6_PARAMPROB, ICMPV6_UNK_NEXTHDR, 6)
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_NOPROTO)
        return
    IP6_INC_STATS(n, IPSTATS_MIB_INDELIVERS)


cdef int ip6_input(sk_buff *skb) noexcept nogil:
    cdef net *n = dev_net(skb.dev)
    skb_clear_delivery_time(skb)
    __skb_pull(skb, skb_network_header_len(skb))
    ip6_protocol_deliver_rcu(n, skb, ipv6_hdr(skb).nexthdr)
    return 0


# False: nobody knows the way, the packet is dropped.
cdef bint ip6_rcv_finish_core(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    if (n.ipv4.sysctl_ip_early_demux and skb_dst(skb) == NULL and skb.sk == NULL and
            ipv6_hdr(skb).nexthdr == IPPROTO_TCP and n.ipv4.sysctl_tcp_early_demux):
        tcp_v6_early_demux(skb)
    if skb_dst(skb) == NULL:
        ip6_route_input(skb)
    if skb_dst(skb) == NULL:
        IP6_INC_STATS(n, IPSTATS_MIB_INNOROUTES)
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_INNOROUTES)
        return 0
    return 1


cdef int ip6_rcv_finish(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    if not ip6_rcv_finish_core(n, sk, skb):
        return NET_RX_DROP
    return dst_input(skb)


# ------------------------------------------------------------------------------------------- checks

cdef sk_buff *ip6_rcv_core_drop(net *n, sk_buff *skb, int reason, int field) noexcept nogil:
    if field:
        IP6_INC_STATS(n, field)
    kfree_skb_reason(skb, reason)
    return NULL


# RFC 4291: loopback addresses stay in the host, multicast is no source, its scopes 0 and 1 do not come from outside.
cdef bint ip6_bad_addresses(const ipv6hdr *hdr) noexcept nogil:
    return (ipv6_addr_loopback(&hdr.saddr) or ipv6_addr_loopback(&hdr.daddr) or ipv6_addr_is_multicast(&hdr.saddr) or
            (ipv6_addr_is_multicast(&hdr.daddr) and IPV6_ADDR_MC_SCOPE(&hdr.daddr) <= 1))


# Everything that can be said against a packet from its header alone. NULL: dropped.
cdef sk_buff *ip6_rcv_core(sk_buff *skb, net *n) noexcept nogil:
    cdef const ipv6hdr *hdr
    cdef u32 pkt_len
    if skb.pkt_type == PACKET_OTHERHOST:
        return ip6_rcv_core_drop(n, skb, SKB_DROP_REASON_OTHERHOST, 0)
    IP6_UPD_PO_STATS(n, IPSTATS_MIB_INPKTS, skb.len)
    skb = skb_share_check(skb, GFP_ATOMIC)
    if skb == NULL:
        IP6_INC_STATS(n, IPSTATS_MIB_INDISCARDS)
        return NULL
    memset(IP6CB(skb), 0, sizeof(inet_skb_parm))
    IP6CB(skb).iif = skb.skb_iif
    if not pskb_may_pull(skb, sizeof(ipv6hdr)):
        return ip6_rcv_core_drop(n, skb, SKB_DROP_REASON_IP_INHDR, IPSTATS_MIB_INHDRERRORS)
    skb_reset_network_header(skb)
    hdr = ipv6_hdr(skb)
    if ntohl(hdr.flow) >> 28 != 6:
        return ip6_rcv_core_drop(n, skb, SKB_DROP_REASON_UNHANDLED_PROTO, IPSTATS_MIB_INHDRERRORS)
    IP6_ADD_STATS(n, IPSTATS_MIB_NOECTPKTS + (ipv6_get_dsfield(hdr) & INET_ECN_MASK),
                  max_u16(1, skb_shinfo(skb).gso_segs))
    if ip6_bad_addresses(hdr):
        return ip6_rcv_core_drop(n, skb, SKB_DROP_REASON_IP_INHDR, IPSTATS_MIB_INHDRERRORS)
    skb.transport_header = skb.network_header + sizeof(ipv6hdr)
    pkt_len = ntohs(hdr.payload_len)
    # 0 with a hop-by-hop header: a jumbogram. So is what a device with segmentation offload hands up.
    if pkt_len or (hdr.nexthdr != NEXTHDR_HOP and not skb_is_gso(skb)):
        if pkt_len + sizeof(ipv6hdr) > skb.len:
            return ip6_rcv_core_drop(n, skb, SKB_DROP_REASON_PKT_TOO_SMALL, IPSTATS_MIB_INTRUNCATEDPKTS)
        if pskb_trim_rcsum(skb, pkt_len + <u32>sizeof(ipv6hdr)):
            return ip6_rcv_core_drop(n, skb, SKB_DROP_REASON_IP_INHDR, IPSTATS_MIB_INHDRERRORS)
    skb_orphan(skb)
    return skb


cdef int ipv6_rcv(sk_buff *skb, net_device *dev) noexcept nogil:
    """A packet from the device: skb.data is its IPv6 header."""
    cdef net *n = dev_net(dev)
    skb = ip6_rcv_core(skb, n)
    if skb == NULL:
        return NET_RX_DROP
    return ip6_rcv_finish(n, NULL, skb)


# ------------------------------------------------------------------------------------------- lists

cdef void ip6_sublist_rcv_finish(sk_buff_head *head) noexcept nogil:
    while not skb_queue_empty(head):
        dst_input(__skb_dequeue(head))


cdef bint ip6_can_use_hint(const sk_buff *skb, const sk_buff *hint) noexcept nogil:
    return (hint != NULL and skb_dst(skb) == NULL and
            ipv6_addr_equal(&ipv6_hdr(hint).daddr, &ipv6_hdr(skb).daddr))


# There are no routes by source and no rules.
cdef const sk_buff *ip6_extract_route_hint(const sk_buff *skb) noexcept nogil:
    return skb


# All are routed before the first is delivered, as long as they go the same way.
cdef void ip6_list_rcv_finish(net *n, sock *sk, sk_buff_head *head) noexcept nogil:
    cdef const sk_buff *hint = NULL
    cdef dst_entry *curr_dst = NULL
    cdef sk_buff_head sublist
    cdef sk_buff *skb
    __skb_queue_head_init(&sublist)
    while not skb_queue_empty(head):
        skb = __skb_dequeue(head)
        if ip6_can_use_hint(skb, hint):
            skb_dst_copy(skb, hint)
        elif not ip6_rcv_finish_core(n, sk, skb):
            continue
        if curr_dst != skb_dst(skb):
            hint = ip6_extract_route_hint(skb)
            if not skb_queue_empty(&sublist):
                ip6_sublist_rcv_finish(&sublist)
            curr_dst = skb_dst(skb)
        __skb_queue_tail(&sublist, skb)
    ip6_sublist_rcv_finish(&sublist)


cdef void ip6_sublist_rcv(sk_buff_head *head, net_device *dev, net *n) noexcept nogil:
    ip6_list_rcv_finish(n, NULL, head)


cdef void ipv6_list_rcv(sk_buff_head *head, net_device *dev) noexcept nogil:
    """Packets that the device hands up together (GRO, NAPI). The list is empty afterwards."""
    cdef net *n = dev_net(dev)
    cdef sk_buff_head sublist
    cdef sk_buff *skb
    __skb_queue_head_init(&sublist)
    while not skb_queue_empty(head):
        skb = ip6_rcv_core(__skb_dequeue(head), n)
        if skb != NULL:
            __skb_queue_tail(&sublist, skb)
    if not skb_queue_empty(&sublist):
        ip6_sublist_rcv(&sublist, dev, n)
