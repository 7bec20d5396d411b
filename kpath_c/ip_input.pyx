"""The way of a received IP packet to its transport: checks, early demultiplexing, routing, delivery.

Serves RFC 791, RFC 1122 3.2.1 (which packets must be dropped silently) and 3.3.6.
Follows net/ipv4/ip_input.c of Linux 6.18 (GPL-2.0-only).

Deviations: no forwarding, netfilter, raw sockets, XFRM; fragments are not put together and IP options not obeyed
(not_ported); UDP is somebody else's: delivered, and that is all.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.checksum cimport ip_fast_csum
from kpath_c.skbuff cimport kfree_skb_reason, pskb_may_pull, pskb_trim_rcsum, skb_share_check
from kpath_c.icmp cimport icmp_rcv, icmp_send
from kpath_c.route cimport ip_route_input_noref, ip_route_use_hint
from kpath_c.net_dst cimport dst_input
from kpath_c.tcp_ipv4 cimport tcp_v4_early_demux, tcp_v4_rcv


# ------------------------------------------------------------------------------------------- delivery

cdef void ip_protocol_deliver_rcu(net *n, sk_buff *skb, int protocol) noexcept nogil:
    if protocol == IPPROTO_TCP:
        tcp_v4_rcv(skb)
    elif protocol == IPPROTO_ICMP:
        icmp_rcv(skb)
    elif protocol == IPPROTO_UDP:
        kfree_skb_reason(skb, SKB_DROP_REASON_NO_SOCKET)
    else:
        IP_INC_STATS(n, IPSTATS_MIB_INUNKNOWNPROTOS)
        icmp_send(skb, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, 0)
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_NOPROTO)
        return
    IP_INC_STATS(n, IPSTATS_MIB_INDELIVERS)


cdef int ip_local_deliver_finish(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    skb_clear_delivery_time(skb)
    __skb_pull(skb, skb_network_header_len(skb))
    ip_protocol_deliver_rcu(n, skb, ip_hdr(skb).protocol)
    return 0


cdef int ip_local_deliver(sk_buff *skb) noexcept nogil:
    cdef net *n = dev_net(skb.dev)
    if ip_is_fragment(ip_hdr(skb)):
        not_ported(n, "IP fragments")
        kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
        return 0
    return ip_local_deliver_finish(n, NULL, skb)


# ------------------------------------------------------------------------------------------- routing

cdef bint ip_can_use_hint(const sk_buff *skb, const iphdr *iph, const sk_buff *hint) noexcept nogil:
    return (hint != NULL and skb_dst(skb) == NULL and ip_hdr(hint).daddr == iph.daddr and
            ip_hdr(hint).tos == iph.tos)


# Why the packet has to be dropped, or 0: then it has its route.
cdef int ip_rcv_finish_reason(net *n, sk_buff *skb, net_device *dev, const sk_buff *hint) noexcept nogil:
    cdef const iphdr *iph = ip_hdr(skb)
    cdef int reason
    if ip_can_use_hint(skb, iph, hint):
        reason = ip_route_use_hint(skb, iph.daddr, iph.saddr, ip4h_dscp(iph), dev, hint)
        if reason:
            return reason
    if (n.ipv4.sysctl_ip_early_demux and skb_dst(skb) == NULL and skb.sk == NULL and not ip_is_fragment(iph) and
            iph.protocol == IPPROTO_TCP and n.ipv4.sysctl_tcp_early_demux):
        tcp_v4_early_demux(skb)
        iph = ip_hdr(skb)
    if skb_dst(skb) == NULL:
        reason = ip_route_input_noref(skb, iph.daddr, iph.saddr, ip4h_dscp(iph), dev)
        if reason:
            return reason
    return SKB_NOT_DROPPED_YET


cdef int ip_rcv_finish_core(net *n, sk_buff *skb, net_device *dev, const sk_buff *hint) noexcept nogil:
    cdef int reason = ip_rcv_finish_reason(n, skb, dev, hint)
    cdef rtable *rt
    if reason:
        if reason == SKB_DROP_REASON_IP_RPFILTER:
            NET_INC_STATS(n, LINUX_MIB_IPRPFILTER)
        kfree_skb_reason(skb, reason)
        return NET_RX_DROP
    if ip_ihl(ip_hdr(skb)) > 5:
        not_ported(n, "IP options")
    rt = skb_rtable(skb)
    if rt.rt_type == RTN_MULTICAST:
        IP_INC_STATS(n, IPSTATS_MIB_INMCASTPKTS)
        IP_ADD_STATS(n, IPSTATS_MIB_INMCASTOCTETS, skb.len)
    elif rt.rt_type == RTN_BROADCAST:
        IP_INC_STATS(n, IPSTATS_MIB_INBCASTPKTS)
        IP_ADD_STATS(n, IPSTATS_MIB_INBCASTOCTETS, skb.len)
    return NET_RX_SUCCESS


cdef int ip_rcv_finish(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    cdef int ret = ip_rcv_finish_core(n, skb, skb.dev, NULL)
    if ret != NET_RX_DROP:
        ret = dst_input(skb)
    return ret


# ------------------------------------------------------------------------------------------- checks

# RFC 1122 3.2.1.2, in the kernel's order. INHDRERRORS and why; CSUMERRORS counts on top.
cdef sk_buff *ip_rcv_core_drop(net *n, sk_buff *skb, int reason, bint inhdr_error) noexcept nogil:
    if inhdr_error:
        IP_INC_STATS(n, IPSTATS_MIB_INHDRERRORS)
    kfree_skb_reason(skb, reason)
    return NULL


# Everything that can be said against a packet from its header alone. NULL: dropped.
cdef sk_buff *ip_rcv_core(sk_buff *skb, net *n) noexcept nogil:
    cdef const iphdr *iph
    cdef u32 length, hdr_len
    if skb.pkt_type == PACKET_OTHERHOST:
        return ip_rcv_core_drop(n, skb, SKB_DROP_REASON_OTHERHOST, 0)
    IP_UPD_PO_STATS(n, IPSTATS_MIB_INPKTS, skb.len)
    skb = skb_share_check(skb, GFP_ATOMIC)
    if skb == NULL:
        IP_INC_STATS(n, IPSTATS_MIB_INDISCARDS)
        return NULL
    if not pskb_may_pull(skb, sizeof(iphdr)):
        return ip_rcv_core_drop(n, skb, SKB_DROP_REASON_IP_INHDR, 1)
    skb_reset_network_header(skb)
    iph = ip_hdr(skb)
    if ip_ihl(iph) < 5 or ip_version(iph) != 4:
        return ip_rcv_core_drop(n, skb, SKB_DROP_REASON_IP_INHDR, 1)
    # NOECT, ECT1, ECT0 and CE stand in the order of the field's values.
    IP_ADD_STATS(n, IPSTATS_MIB_NOECTPKTS + (iph.tos & INET_ECN_MASK), max_u16(1, skb_shinfo(skb).gso_segs))
    hdr_len = ip_ihl(iph) * 4
    if not pskb_may_pull(skb, hdr_len):
        return ip_rcv_core_drop(n, skb, SKB_DROP_REASON_IP_INHDR, 1)
    if ip_fast_csum(iph, hdr_len >> 2):
        IP_INC_STATS(n, IPSTATS_MIB_CSUMERRORS)
        return ip_rcv_core_drop(n, skb, SKB_DROP_REASON_IP_CSUM, 1)
    length = iph_totlen(skb, iph)
    if skb.len < length:
        IP_INC_STATS(n, IPSTATS_MIB_INTRUNCATEDPKTS)
        return ip_rcv_core_drop(n, skb, SKB_DROP_REASON_PKT_TOO_SMALL, 0)
    if length < hdr_len:
        return ip_rcv_core_drop(n, skb, SKB_DROP_REASON_IP_INHDR, 1)
    # Padding of the link layer goes.
    if pskb_trim_rcsum(skb, length):
        IP_INC_STATS(n, IPSTATS_MIB_INDISCARDS)
        return ip_rcv_core_drop(n, skb, SKB_DROP_REASON_NOT_SPECIFIED, 0)
    skb.transport_header = skb.network_header + hdr_len
    memset(IPCB(skb), 0, sizeof(inet_skb_parm))
    IPCB(skb).iif = skb.skb_iif
    skb_orphan(skb)
    return skb


cdef int ip_rcv(sk_buff *skb, net_device *dev) noexcept nogil:
    """A packet from the device: skb.data is its IP header."""
    cdef net *n = dev_net(dev)
    skb = ip_rcv_core(skb, n)
    if skb == NULL:
        return NET_RX_DROP
    return ip_rcv_finish(n, NULL, skb)


# ------------------------------------------------------------------------------------------- lists

cdef void ip_sublist_rcv_finish(sk_buff_head *head) noexcept nogil:
    cdef sk_buff *skb = __skb_dequeue(head)
    while skb != NULL:
        dst_input(skb)
        skb = __skb_dequeue(head)


cdef const sk_buff *ip_extract_route_hint(const sk_buff *skb) noexcept nogil:
    cdef const iphdr *iph = ip_hdr(skb)
    if ipv4_is_lbcast(iph.daddr) or ipv4_is_zeronet(iph.daddr):
        return NULL
    return skb


# All are routed before the first is delivered, as long as they go the same way.
cdef void ip_list_rcv_finish(net *n, sk_buff_head *head) noexcept nogil:
    cdef const sk_buff *hint = NULL
    cdef dst_entry *curr_dst = NULL
    cdef sk_buff_head sublist
    cdef sk_buff *skb
    __skb_queue_head_init(&sublist)
    while not skb_queue_empty(head):
        skb = __skb_dequeue(head)
        if ip_rcv_finish_core(n, skb, skb.dev, hint) == NET_RX_DROP:
            continue
        if curr_dst != skb_dst(skb):
            hint = ip_extract_route_hint(skb)
            if not skb_queue_empty(&sublist):
                ip_sublist_rcv_finish(&sublist)
            curr_dst = skb_dst(skb)
        __skb_queue_tail(&sublist, skb)
    ip_sublist_rcv_finish(&sublist)


cdef void ip_sublist_rcv(sk_buff_head *head, net_device *dev, net *n) noexcept nogil:
    ip_list_rcv_finish(n, head)


cdef void ip_list_rcv(sk_buff_head *head, net_device *dev) noexcept nogil:
    """Packets that the device hands up together (GRO, NAPI). The list is empty afterwards."""
    cdef net *n = dev_net(dev)
    cdef sk_buff_head sublist
    cdef sk_buff *skb
    __skb_queue_head_init(&sublist)
    while not skb_queue_empty(head):
        skb = ip_rcv_core(__skb_dequeue(head), n)
        if skb != NULL:
            __skb_queue_tail(&sublist, skb)
    if not skb_queue_empty(&sublist):
        ip_sublist_rcv(&sublist, dev, n)
