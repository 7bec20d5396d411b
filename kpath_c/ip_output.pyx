"""The way of a segment out: route, IP header, id, fragmentation, device.

Serves RFC 791 (fragmentation), RFC 6864 (the IP id), RFC 1191 (DF), RFC 1122 3.2.1.
Follows net/ipv4/ip_output.c of Linux 6.18 (GPL-2.0-only).

Deviations: no netfilter, XFRM, IP options, tunnels, multicast; no neighbours: ip_finish_output2() hands to the device
at once. The header checksum is left 0 for whoever writes the packet down. A packet that has to be cut goes to the
device as IP fragments: skb.data holds the headers of the fragment (caplen_left bytes of them; only the first has
TCP's), the rest of skb.len is payload from TCP_SKB_CB(skb).seq on.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.net_tcp cimport *
from kpath_c.net_dst cimport dst_output
from kpath_c.skbuff cimport alloc_skb, consume_skb, kfree_skb, kfree_skb_reason
from kpath_c.sock cimport __sk_dst_check, sk_setup_caps, skb_set_owner_w
from kpath_c.route cimport ip_route_output_flow, __ip_select_ident
from kpath_c.icmp cimport icmp_send
from kpath_c.shim.netdevice cimport dev_queue_xmit

cdef enum:
    MAX_HEADERS = 120                   # the longest IP and TCP headers


# ------------------------------------------------------------------------------------------- the IP header

# Whoever writes the packet down fills the sum in.
cdef void ip_send_check(iphdr *iph) noexcept nogil:
    iph.check = 0


cdef int __ip_local_out(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    cdef iphdr *iph = ip_hdr(skb)
    IP_INC_STATS(n, IPSTATS_MIB_OUTREQUESTS)
    iph_set_totlen(iph, skb.len)
    ip_send_check(iph)
    skb.protocol = htons(ETH_P_IP)
    return 1


cdef int ip_local_out(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    cdef int err = __ip_local_out(n, sk, skb)
    if err == 1:
        err = dst_output(n, sk, skb)
    return err


cdef inline u8 ip_select_ttl(const inet_sock *inet, const dst_entry *dst) noexcept nogil:
    cdef int ttl = inet.uc_ttl
    if ttl < 0:
        ttl = ip4_dst_hoplimit(dst)
    return <u8>ttl


# A SYN-ACK: it has a route and no connected socket.
cdef int ip_build_and_send_pkt(sk_buff *skb, const sock *sk, __be32 saddr, __be32 daddr, ip_options *opt,
                               u8 tos) noexcept nogil:
    cdef inet_sock *inet = inet_sk(sk)
    cdef rtable *rt = skb_rtable(skb)
    cdef net *n = sock_net(sk)
    cdef iphdr *iph
    if opt != NULL:
        not_ported(n, "IP options")
    skb_push(skb, sizeof(iphdr))
    skb_reset_network_header(skb)
    iph = ip_hdr(skb)
    iph.version_ihl = 0x45
    iph.tos = tos
    iph.ttl = ip_select_ttl(inet, &rt.dst)
    iph.daddr = daddr
    iph.saddr = saddr
    iph.protocol = <u8>sk.sk_protocol
    # What no link may cut needs no id.
    if skb.len <= IPV4_MIN_MTU or ip_dont_fragment(sk, &rt.dst):
        iph.frag_off = htons(IP_DF)
        iph.id = 0
    else:
        iph.frag_off = 0
        if sk.sk_protocol == IPPROTO_TCP:
            iph.id = get_random_u16(n)
        else:
            __ip_select_ident(n, iph, 1)
    skb.priority = sk.sk_priority
    if not skb.mark:
        skb.mark = sk.sk_mark
    return ip_local_out(n, skb.sk, skb)


cdef inline void ip_copy_addrs(iphdr *iph, const flowi4 *fl4) noexcept nogil:
    iph.saddr = fl4.saddr
    iph.daddr = fl4.daddr


# The segment of a connection. Without a route it is dropped, and TCP will try again.
cdef int __ip_queue_xmit(sock *sk, sk_buff *skb, flowi *fl, u8 tos) noexcept nogil:
    cdef inet_sock *inet = inet_sk(sk)
    cdef net *n = sock_net(sk)
    cdef flowi4 *fl4 = &fl.ip4
    cdef rtable *rt = skb_rtable(skb)
    cdef iphdr *iph
    if rt == NULL:
        rt = dst_rtable(__sk_dst_check(sk, 0))
        if rt == NULL:
            inet_sk_init_flowi4(inet, fl4)
            fl4.flowi4_tos = inet_dsfield_to_dscp(tos)
            rt = ip_route_output_flow(n, fl4, sk)
            if IS_ERR(rt):
                IP_INC_STATS(n, IPSTATS_MIB_OUTNOROUTES)
                kfree_skb_reason(skb, SKB_DROP_REASON_IP_OUTNOROUTES)
                return -EHOSTUNREACH
            sk_setup_caps(sk, &rt.dst)
        skb_dst_set_noref(skb, &rt.dst)

    skb_push(skb, sizeof(iphdr))
    skb_reset_network_header(skb)
    iph = ip_hdr(skb)
    iph.version_ihl = 0x45
    iph.tos = tos
    if ip_dont_fragment(sk, &rt.dst) and not skb.ignore_df:
        iph.frag_off = htons(IP_DF)
    else:
        iph.frag_off = 0
    iph.ttl = ip_select_ttl(inet, &rt.dst)
    iph.protocol = <u8>sk.sk_protocol
    ip_copy_addrs(iph, fl4)
    ip_select_ident_segs(n, skb, sk, skb_shinfo(skb).gso_segs if skb_shinfo(skb).gso_segs else 1)
    skb.priority = sk.sk_priority
    skb.mark = sk.sk_mark
    return ip_local_out(n, sk, skb)


cdef int ip_queue_xmit(sock *sk, sk_buff *skb, flowi *fl) noexcept nogil:
    return __ip_queue_xmit(sk, skb, fl, inet_sk(sk).tos)


# ------------------------------------------------------------------------------------------- to the device

cdef int ip_finish_output2(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    cdef rtable *rt = skb_rtable(skb)
    if rt.rt_type == RTN_MULTICAST:
        IP_INC_STATS(n, IPSTATS_MIB_OUTMCASTPKTS)
        IP_ADD_STATS(n, IPSTATS_MIB_OUTMCASTOCTETS, skb.len)
    elif rt.rt_type == RTN_BROADCAST:
        IP_INC_STATS(n, IPSTATS_MIB_OUTBCASTPKTS)
        IP_ADD_STATS(n, IPSTATS_MIB_OUTBCASTOCTETS, skb.len)
    IP_UPD_PO_STATS(n, IPSTATS_MIB_OUTPKTS, skb.len)
    # sock_confirm_neigh()
    if skb_get_dst_pending_confirm(skb) and skb.sk != NULL and sk_fullsock(skb.sk):
        skb.sk.sk_dst_pending_confirm = 0
    return dev_queue_xmit(skb)


cdef unsigned int skb_gso_network_seglen(const sk_buff *skb) noexcept nogil:
    return skb_network_header_len(skb) + th_doff(tcp_hdr(skb)) * 4 + skb.shinfo.gso_size


# Segments that don't fit: the MTU became smaller after TCP had made the packet.
cdef int ip_finish_output_gso(net *n, sock *sk, sk_buff *skb, unsigned int mtu) noexcept nogil:
    cdef u8 hdr[MAX_HEADERS]
    cdef u32 hlen, thlen, payload, mss, off, length, i
    cdef sk_buff *seg
    cdef tcphdr *th
    cdef iphdr *iph
    cdef u16 id_
    cdef int err, ret = 0
    if skb_gso_network_seglen(skb) <= mtu:
        return ip_finish_output2(n, sk, skb)
    hlen = ip_ihl(ip_hdr(skb)) * 4
    thlen = th_doff(tcp_hdr(skb)) * 4
    memcpy(hdr, skb.data, hlen + thlen)
    payload = skb.len - hlen - thlen
    mss = skb.shinfo.gso_size
    id_ = ntohs(ip_hdr(skb).id)
    off = 0
    i = 0
    while off < payload:
        length = min_u32(mss, payload - off)
        seg = ip_make_piece(n, skb, hdr, hlen, thlen, hlen + thlen + off, length, 1)
        if seg == NULL:
            kfree_skb(skb)
            return -ENOMEM
        iph = ip_hdr(seg)
        iph.id = htons(<u16>(id_ + i))
        iph.tot_len = htons(<u16>seg.len)
        th = tcp_hdr(seg)
        th.seq = htonl(ntohl(th.seq) + off)
        if off + length < payload:
            th.flags &= <u8>~(TCPHDR_FIN | TCPHDR_PSH)
        if i:
            th.flags &= <u8>~TCPHDR_CWR
        err = ip_fragment(n, sk, seg, mtu, ip_finish_output2)
        if err and ret == 0:
            ret = err
        off += length
        i += 1
    consume_skb(skb)
    return ret


cdef int ip_finish_output(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    cdef unsigned int mtu = ip_skb_dst_mtu(sk, skb)
    if skb_is_gso(skb):
        return ip_finish_output_gso(n, sk, skb, mtu)
    if skb.len > mtu or IPCB(skb).frag_max_size:
        return ip_fragment(n, sk, skb, mtu, ip_finish_output2)
    return ip_finish_output2(n, sk, skb)


cdef int ip_output(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    skb.dev = skb_dst_dev(skb)
    skb.protocol = htons(ETH_P_IP)
    return ip_finish_output(n, sk, skb)


# ------------------------------------------------------------------------------------------- fragments

cdef void ip_copy_metadata(sk_buff *to, sk_buff *from_) noexcept nogil:
    to.pkt_type = from_.pkt_type
    to.priority = from_.priority
    to.protocol = from_.protocol
    skb_dst_drop(to)
    skb_dst_copy(to, from_)
    to.dev = from_.dev
    to.mark = from_.mark
    skb_copy_hash(to, from_)


# A packet with `length` bytes of skb from `ptr` on, which counts from the IP header. `hdr` is a copy of skb's headers:
# what lies of TCP's (hlen .. hlen + thlen) in that range is written, or all of it if the piece is a segment of its own.
cdef sk_buff *ip_make_piece(net *n, sk_buff *skb, const u8 *hdr, u32 hlen, u32 thlen, u32 ptr, u32 length,
                            bint whole_header) noexcept nogil:
    cdef u32 ll_rs = <u32>LL_RESERVED_SPACE(skb_dst_dev(skb))
    cdef u32 th_at = hlen if whole_header else min_u32(ptr, hlen + thlen)
    cdef u32 th_bytes = thlen if whole_header else min_u32(length, hlen + thlen - th_at)
    cdef u32 payload = length if whole_header else length - th_bytes
    cdef u32 first = ptr if whole_header else ptr + th_bytes
    cdef const tcphdr *th = <const tcphdr *>(hdr + hlen)
    cdef sk_buff *skb2 = alloc_skb(n, hlen + th_bytes + payload + ll_rs, GFP_ATOMIC)
    if skb2 == NULL:
        return NULL
    ip_copy_metadata(skb2, skb)
    skb_reserve(skb2, <int>(ll_rs + hlen + th_bytes))
    __skb_put(skb2, payload)
    __skb_push(skb2, hlen + th_bytes)
    memcpy(skb2.data, hdr, hlen)
    memcpy(skb2.data + hlen, hdr + th_at, th_bytes)
    skb_reset_network_header(skb2)
    skb_set_transport_header(skb2, <int>hlen)
    if skb.sk != NULL:
        skb_set_owner_w(skb2, skb.sk)
    TCP_SKB_CB(skb2).seq = ntohl(th.seq) + (1 if th.flags & TCPHDR_SYN else 0) + (first - hlen - thlen)
    TCP_SKB_CB(skb2).end_seq = TCP_SKB_CB(skb2).seq + payload
    TCP_SKB_CB(skb2).tcp_flags = TCP_SKB_CB(skb).tcp_flags
    skb_set_delivery_time(skb2, <ktime_t>skb.skb_mstamp_ns, skb.tstamp_type)
    return skb2


# RFC 791 2.3: pieces of the MTU's size, cut at multiples of 8 bytes.
cdef int ip_do_fragment(net *n, sock *sk, sk_buff *skb,
                        int (*output)(net *, sock *, sk_buff *) noexcept nogil) noexcept nogil:
    cdef u8 hdr[MAX_HEADERS]
    cdef iphdr *iph = ip_hdr(skb)
    cdef sk_buff *skb2
    cdef u32 mtu, hlen, thlen, left, ptr, offset, length
    cdef __be16 not_last_frag
    cdef bint df
    cdef int err
    if skb.ip_summed == CHECKSUM_PARTIAL:
        skb.ip_summed = CHECKSUM_NONE
    mtu = ip_skb_dst_mtu(sk, skb)
    if IPCB(skb).frag_max_size and IPCB(skb).frag_max_size < mtu:
        mtu = IPCB(skb).frag_max_size
    hlen = ip_ihl(iph) * 4
    thlen = th_doff(tcp_hdr(skb)) * 4
    mtu -= hlen
    IPCB(skb).flags |= IPSKB_FRAG_COMPLETE
    memcpy(hdr, skb.data, hlen + thlen)
    df = (IPCB(skb).flags & IPSKB_FRAG_PMTU) != 0
    left = skb.len - hlen
    ptr = hlen
    offset = <u32>(ntohs(iph.frag_off) & IP_OFFSET) << 3
    not_last_frag = iph.frag_off & htons(IP_MF)
    while left > 0:
        length = left
        if length > mtu:
            length = mtu
        if length < left:
            length &= ~<u32>7
        skb2 = ip_make_piece(n, skb, hdr, hlen, thlen, ptr, length, 0)
        if skb2 == NULL:
            kfree_skb(skb)
            IP_INC_STATS(n, IPSTATS_MIB_FRAGFAILS)
            return -ENOMEM
        IPCB(skb2).flags = IPCB(skb).flags
        left -= length
        iph = ip_hdr(skb2)
        iph.frag_off = htons(<u16>(offset >> 3))
        if df:
            iph.frag_off |= htons(IP_DF)
        if left > 0 or not_last_frag:
            iph.frag_off |= htons(IP_MF)
        ptr += length
        offset += length
        iph.tot_len = htons(<u16>(length + hlen))
        ip_send_check(iph)
        err = output(n, sk, skb2)
        if err:
            kfree_skb(skb)
            IP_INC_STATS(n, IPSTATS_MIB_FRAGFAILS)
            return err
        IP_INC_STATS(n, IPSTATS_MIB_FRAGCREATES)
    consume_skb(skb)
    IP_INC_STATS(n, IPSTATS_MIB_FRAGOKS)
    return 0


cdef int ip_fragment(net *n, sock *sk, sk_buff *skb, unsigned int mtu,
                     int (*output)(net *, sock *, sk_buff *) noexcept nogil) noexcept nogil:
    if (ip_hdr(skb).frag_off & htons(IP_DF)) == 0:
        return ip_do_fragment(n, sk, skb, output)
    if not skb.ignore_df or (IPCB(skb).frag_max_size and IPCB(skb).frag_max_size > mtu):
        IP_INC_STATS(n, IPSTATS_MIB_FRAGFAILS)
        icmp_send(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, htonl(mtu))
        kfree_skb(skb)
        return -EMSGSIZE
    return ip_do_fragment(n, sk, skb, output)


# ------------------------------------------------------------------------------------------- replies without a socket

# ip_append_data(), ip_make_skb() and ip_push_pending_frames() for what fits into one packet: a bare TCP header.
cdef void ip_send_unicast_reply(sock *sk, const sock *orig_sk, sk_buff *skb, const ip_options *sopt,
                                __be32 daddr, __be32 saddr, const ip_reply_arg *arg, unsigned int length,
                                u64 transmit_time, u32 txhash) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef inet_sock *inet = inet_sk(sk)
    cdef u32 mark = IP4_REPLY_MARK(n, skb.mark)
    cdef sk_buff *nskb = NULL
    cdef flowi4 fl4
    cdef rtable *rt
    cdef iphdr *iph
    cdef u32 hh_len
    cdef u8 pmtudisc
    cdef int err
    if not mark:
        mark = sk.sk_mark
    flowi4_init_output(&fl4, arg.bound_dev_if, mark, arg.tos & INET_DSCP_MASK, RT_SCOPE_UNIVERSE,
                       ip_hdr(skb).protocol, ip_reply_arg_flowi_flags(arg), daddr, saddr,
                       tcp_hdr(skb).source, tcp_hdr(skb).dest, arg.uid)
    rt = ip_route_output_flow(n, &fl4, sk)
    if IS_ERR(rt):
        return
    inet.tos = arg.tos
    sk.sk_protocol = ip_hdr(skb).protocol
    sk.sk_bound_dev_if = arg.bound_dev_if
    sk.sk_sndbuf = <int>n.core.sysctl_wmem_default

    hh_len = <u32>LL_RESERVED_SPACE(rt.dst.dev)
    if sk.sk_wmem_alloc <= 2 * sk.sk_sndbuf:
        nskb = alloc_skb(n, length + sizeof(iphdr) + hh_len + 15, sk.sk_allocation)
    if nskb == NULL:
        IP_INC_STATS(n, IPSTATS_MIB_OUTDISCARDS)
        ip_rt_put(rt)
        return
    nskb.ip_summed = CHECKSUM_NONE
    skb_reserve(nskb, <int>(hh_len + sizeof(iphdr) + length))
    memcpy(__skb_push(nskb, length), arg.iov_base, length)
    skb_reset_transport_header(nskb)
    TCP_SKB_CB(nskb).seq = ntohl(tcp_hdr(nskb).seq)
    TCP_SKB_CB(nskb).end_seq = TCP_SKB_CB(nskb).seq
    skb_set_owner_w(nskb, sk)
    if orig_sk != NULL:
        skb_set_owner_edemux(nskb, <sock *>orig_sk)
    if transmit_time:
        skb_set_delivery_time(nskb, <ktime_t>transmit_time, SKB_CLOCK_MONOTONIC)
    if txhash:
        nskb.hash = txhash
        nskb.l4_hash = 1

    __skb_push(nskb, sizeof(iphdr))
    skb_reset_network_header(nskb)
    nskb.ignore_df = ip_sk_ignore_df(sk)
    iph = ip_hdr(nskb)
    iph.version_ihl = 0x45
    iph.tos = inet.tos
    pmtudisc = inet.pmtudisc
    if (pmtudisc == IP_PMTUDISC_DO or pmtudisc == IP_PMTUDISC_PROBE or
            (nskb.len <= dst_mtu(&rt.dst) and ip_dont_fragment(sk, &rt.dst))):
        iph.frag_off = htons(IP_DF)
    else:
        iph.frag_off = 0
    iph.ttl = ip_select_ttl(inet, &rt.dst)
    iph.protocol = <u8>sk.sk_protocol
    iph.saddr = fl4.saddr
    iph.daddr = fl4.daddr
    ip_select_ident(n, nskb, sk)
    nskb.priority = sk.sk_priority
    nskb.mark = fl4.flowi4_mark
    # The packet takes over the hold on the route.
    skb_dst_set(nskb, &rt.dst)

    err = ip_local_out(n, nskb.sk, nskb)
    if err > 0:
        err = net_xmit_errno(err)
    if err:
        IP_INC_STATS(n, IPSTATS_MIB_OUTDISCARDS)
