"""The network device: what a received packet costs, and what becomes of a sent one.

Received: the truesize and the layout (linear part, fragments) of the skb that the driver would have made, for

- tun   drivers/net/tun.c, tun_get_user() without vnet header: linear up to a page, NET_SKB_PAD in front, head from
        kmalloc, so that later segments can only be coalesced into its tailroom;
- vnet  the same with a vnet header: a super-segment has its headers linear and its payload in pages of order 3 and
        less;
- veth  the peer's own skb: its head (one cache object) and exactly its payload in fragments. Where the device has no
        TSO, a packet above the MTU was merged by GRO: a head more for every 17 segments. With TSO the peer keeps the
        original for retransmission, and nothing can be coalesced to the packet before our ACK has freed that;
- nic   a driver with 2 KiB receive buffers and build_skb() (ixgbe, i40e, ice ...): 2304 a packet, whatever its size.
        GRO adds 2048 for each further segment.

tun, vnet, and veth without GRO hand each packet to netif_receive_skb(). nic, and veth with GRO, are polled (NAPI). What
belongs to one poll: a poll begins `rx_usecs` after the first packet (20 us unless the host file says otherwise; 0: the
same arrival instant), takes what has come by then, and whatever comes while it handles that (1 us a packet); it does
so at the stamp of the last of them. Where a capture shows no packet above the MTU but segments that GRO would have
merged within a poll, it was taken in front of GRO (by the peer, by a box on the way, or with GRO in the driver hidden
from it), and the packets of a poll are merged here; else it was taken behind it, as tcpdump does on the host itself,
packets are what GRO made of them, and only those of one arrival instant go up as a list. `before_gro` in the host
file's device says it outright.

Sent: a packet with TSO is cut (skb_gso_segment()) if the device cannot do it. TUN orphans the skb, so TCP small queues
(tcp_small_queue_check()) never hold it back; other devices keep it charged until tx completion. pfifo_fast, fq_codel,
mq and noqueue pass straight through, as their queues are never full here; fq holds a packet until its departure time
(skb_mstamp_ns), give or take its timer's slack.

Follows drivers/net/{tun,veth}.c, the transmit side of net/core/dev.c, net/sched/sch_fq.c of Linux 6.18 (GPL-2.0-only).

Deviations: fq keeps one order by departure time instead of one queue a flow; its fairness and limits have nothing to
do where the device is never busy. The link layer's header is not modelled beyond its length.
"""
from libc.string cimport strncpy
from kpath_c.headers.tcp cimport *
from kpath_c.headers.checksum cimport csum_fold, csum_ipv6_nofold, csum_tcpudp_nofold
from kpath_c.headers.errqueue cimport SCM_TSTAMP_SCHED
from kpath_c.headers.gso cimport gso_next, gso_segs
from kpath_c.headers.hash cimport ipv6_addr_hash, jhash_3words
from kpath_c.dev cimport dev_init, napi_complete_done, net_rx_action, netif_napi_add
from kpath_c.gso cimport skb_gso_segment
from kpath_c.net_gro cimport gro_normal_one, napi_gro_receive, napi_schedule
from kpath_c.shim.rbtree cimport rb_erase, rb_insert_color
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_free, kmem_cache_init
from kpath_c.shim.timer cimport hrtimer_cancel, hrtimer_setup, hrtimer_start_range_ns
from kpath_c.skbuff cimport (__skb_tstamp_tx, alloc_skb, build_skb, consume_skb, kfree_skb, skb_add_rx_frag,
                             skb_orphan_frags_rx, skb_put, skb_tstamp_tx)

cdef enum:
    HDR_MAX = 128                       # IP and TCP with all options: 120
    FQ_TIMER_SLACK_NS = 10000
    NIC_BUFFER = 2048
    NIC_TX_COMPLETION_NS = 10000
    SENDER_PAGE = 32768                 # what one fragment of a sender holds at most (SKB_FRAG_PAGE_ORDER)
    VNET_CSUM_END = 18                  # csum_offset + 2 of TCP: behind the IP header
    RX_WAIT_NS = 20000                  # rx_usecs, where it is not known
    NAPI_PACKET_NS = 1000               # what a poll spends on a packet

# A packet that waits in the qdisc, or for its completion.
cdef struct txq_entry:
    rb_node node
    list_head list
    u64 time
    sk_buff *skb
    u32 hdr_len
    u8 hdr[HDR_MAX]


# ---------------------------------------------------------------------------------------------- set-up

cdef void netdev_setup(net *n, net_device *dev, int rx_mode_, unsigned int mtu, bint tso, bint gso, bint gro,
                       int qdisc) noexcept nogil:
    memset(dev, 0, sizeof(net_device))
    dev.nd_net = n
    dev.ifindex = 2
    dev.mtu = mtu
    dev.rx = <u8>rx_mode_
    dev.qdisc = <u8>qdisc
    dev.gso_max_size = GSO_LEGACY_MAX_SIZE
    dev.gso_ipv4_max_size = GSO_LEGACY_MAX_SIZE
    dev.gso_max_segs = GSO_MAX_SEGS
    dev.gro_max_size = GRO_LEGACY_MAX_SIZE
    dev.gro_ipv4_max_size = GRO_LEGACY_MAX_SIZE
    dev.features = <u64>(NETIF_F_SG | NETIF_F_FRAGLIST)
    if gso:
        dev.features |= <u64>NETIF_F_GSO
    if gro:
        dev.features |= <u64>NETIF_F_GRO
    if tso:
        dev.features |= <u64>(NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_HW_CSUM)
        if rx_mode_ != RX_NIC:
            dev.features |= <u64>NETIF_F_TSO_ECN
    if rx_mode_ == RX_TUN or rx_mode_ == RX_VNET:
        dev.orphans = 1
        strncpy(dev.name, "tun0", sizeof(dev.name))
    else:
        dev.features |= <u64>NETIF_F_HW_CSUM
        dev.hard_header_len = ETH_HLEN
        dev.tx_completion_ns = 0 if rx_mode_ == RX_VETH else NIC_TX_COMPLETION_NS
        strncpy(dev.name, "eth0", sizeof(dev.name))
    INIT_LIST_HEAD(&dev.tx_done)
    dev_init(n)
    dev.rx_wait_ns = RX_WAIT_NS
    __skb_queue_head_init(&dev.rx_ring)
    if rx_mode_ == RX_NIC or (rx_mode_ == RX_VETH and gro):
        netif_napi_add(dev, &n.napi, nic_poll)
    hrtimer_setup(n, &dev.txq_timer, txq_expire, TIMER_KIND_QDISC)
    hrtimer_setup(n, &dev.tx_done_timer, tx_done_expire, TIMER_KIND_TX_DONE)
    if n.txq_slab.name == NULL:
        kmem_cache_init(&n.txq_slab, "tx_queue", sizeof(txq_entry))


# ---------------------------------------------------------------------------------------------- receiving

cdef inline void add_frag(sk_buff *skb, unsigned int length, unsigned int truesize) noexcept nogil:
    skb_add_rx_frag(skb, skb.shinfo.nr_frags, 0, 0, <int>length, truesize)


cdef void add_pages(sk_buff *skb, unsigned int data_len) noexcept nogil:
    """alloc_skb_with_frags() with pages of order 3 and less."""
    cdef unsigned int order = 3
    cdef unsigned int chunk
    while data_len and skb.shinfo.nr_frags < MAX_SKB_FRAGS:
        while order and ALIGN(data_len, PAGE_SIZE) < <unsigned long>PAGE_SIZE << order:
            order -= 1
        chunk = min_u32(data_len, <u32>PAGE_SIZE << order)
        add_frag(skb, chunk, <unsigned int>PAGE_SIZE << order)
        data_len -= chunk


cdef inline sk_buff *rx_tun(net *n, u32 length, u32 linear) noexcept nogil:
    """tun_alloc_skb()."""
    cdef sk_buff *skb
    if NET_SKB_PAD + length < PAGE_SIZE:
        linear = length
    skb = alloc_skb(n, NET_SKB_PAD + linear, GFP_KERNEL)
    if skb == NULL:
        return NULL
    skb_reserve(skb, NET_SKB_PAD)
    skb_put(skb, linear)
    if length != linear:
        add_pages(skb, length - linear)
    return skb


cdef sk_buff *rx_veth(net *n, u32 hdr_len, u32 payload, u32 segs) noexcept nogil:
    """The peer's skb, or, for segs > 1, what GRO made of so many of them."""
    cdef sk_buff *skb = alloc_skb(n, MAX_TCP_HEADER, GFP_ATOMIC)
    cdef sk_buff *rest
    cdef u32 part, i
    if skb == NULL:
        return NULL
    skb_reserve(skb, MAX_TCP_HEADER - <int>hdr_len)
    skb_put(skb, hdr_len)
    if segs <= 1:
        while payload:
            part = min_u32(payload, SENDER_PAGE)
            add_frag(skb, part, part)
            payload -= part
        return skb
    # Each segment is a fragment; when the head's places are taken, the next segment's head goes to the frag_list.
    part = (payload + segs - 1) // segs
    for i in range(min_u32(segs, MAX_SKB_FRAGS)):
        add_frag(skb, min_u32(part, payload), min_u32(part, payload))
        payload -= min_u32(part, payload)
    if payload:
        rest = alloc_skb(n, MAX_TCP_HEADER, GFP_ATOMIC)
        if rest != NULL:
            rest.len = payload
            rest.data_len = payload
            skb.frag_list = rest
        skb.len += payload
        skb.data_len += payload
        skb.truesize += payload + ((segs - 1) // MAX_SKB_FRAGS) * SKB_TRUESIZE(skb.end_offset)
    return skb


cdef sk_buff *rx_nic(net *n, u32 hdr_len, u32 payload, u32 segs) noexcept nogil:
    cdef sk_buff *skb = build_skb(n, NIC_BUFFER)
    cdef u32 part
    if skb == NULL:
        return NULL
    skb_reserve(skb, NET_SKB_PAD)
    part = payload if segs <= 1 else (payload + segs - 1) // segs
    # A packet larger than the buffer (jumbo frames) goes on in further buffers.
    if hdr_len + part > skb.end_offset - skb.headroom:
        part = skb.end_offset - skb.headroom - hdr_len
    skb_put(skb, hdr_len + part)
    payload -= part
    while payload and skb.shinfo.nr_frags < MAX_SKB_FRAGS:
        part = min_u32(payload, part if segs > 1 else NIC_BUFFER)
        add_frag(skb, part, NIC_BUFFER)
        payload -= part
    if payload:
        # Beyond 17 buffers GRO chains heads; their cost is that of buffers.
        skb.len += payload
        skb.data_len += payload
        skb.truesize += ((payload + part - 1) // part) * NIC_BUFFER
        skb.shinfo.frags[MAX_SKB_FRAGS - 1].len += payload
    return skb


cdef bint partial_checksum(const iphdr *ip, const tcphdr *th, u32 tcp_len) noexcept nogil:
    """The field holds the pseudo header's sum only: the sender left the rest to a device that never was asked."""
    cdef const ipv6hdr *ip6 = <const ipv6hdr *>ip
    if ip_version(ip) == 6:
        return th.check == <u16>~csum_fold(csum_ipv6_nofold(&ip6.saddr, &ip6.daddr, tcp_len, IPPROTO_TCP, 0))
    return th.check == <u16>~csum_fold(csum_tcpudp_nofold(ip.saddr, ip.daddr, tcp_len, IPPROTO_TCP, 0))


cdef u32 tcp_header_at(const u8 *iph, u32 caplen) noexcept nogil:
    """Where TCP's header begins in an IP packet of either version; 0: nowhere in these bytes."""
    cdef const iphdr *ip = <const iphdr *>iph
    cdef u32 ihl
    if caplen >= sizeof(iphdr) and ip.version_ihl >> 4 == 4:
        ihl = (<u32>ip.version_ihl & 15) * 4
        return ihl if ip.protocol == IPPROTO_TCP and ihl >= sizeof(iphdr) and caplen >= ihl + sizeof(tcphdr) else 0
    if caplen >= sizeof(ipv6hdr) + sizeof(tcphdr) and ip.version_ihl >> 4 == 6:
        return <u32>sizeof(ipv6hdr) if (<const ipv6hdr *>iph).nexthdr == IPPROTO_TCP else 0
    return 0


cdef inline void rx_found(net_device *dev, sk_buff *skb, u8 *iph, u32 caplen, bint v6) noexcept nogil:
    """What every driver fills in."""
    skb.dev = dev
    skb.data = iph
    skb.caplen_left = caplen
    skb.protocol = htons(ETH_P_IPV6) if v6 else htons(ETH_P_IP)
    skb.pkt_type = PACKET_HOST
    skb.mac_len = dev.hard_header_len
    skb.skb_mstamp_ns = ktime_get_real_ns(dev.nd_net)
    skb.ip_summed = CHECKSUM_NONE


cdef sk_buff *rx_driver(net_device *dev, u8 *iph, u32 caplen, u32 length, bint v6) noexcept nogil:
    """netdev_rx_skb() where the driver looks at the headers, or the packet is several segments."""
    cdef net *n = dev.nd_net
    cdef sk_buff *skb
    cdef tcphdr *th = NULL
    cdef u32 ihl = tcp_header_at(iph, caplen)
    cdef u32 hdr_len = 0
    cdef u32 payload = length
    cdef u32 mss = 0
    cdef u32 segs = 1
    if ihl:
        th = <tcphdr *>(iph + ihl)
        hdr_len = ihl + __tcp_hdrlen(th)
        if hdr_len > length:
            hdr_len = 0
            th = NULL
    payload = length - hdr_len
    # More than fits the link: several segments at once.
    if th != NULL and length > dev.mtu and dev.mtu > hdr_len:
        mss = dev.mtu - hdr_len
        segs = (payload + mss - 1) // mss

    if dev.rx == RX_VETH and th != NULL and hdr_len < MAX_TCP_HEADER:
        skb = rx_veth(n, hdr_len, payload, 1 if dev.features & <u64>NETIF_F_TSO else segs)
    elif dev.rx == RX_NIC:
        skb = rx_nic(n, hdr_len, payload, segs)
    elif dev.rx == RX_VNET and segs > 1:
        skb = rx_tun(n, length, hdr_len)
    elif dev.rx == RX_VNET:
        skb = rx_tun(n, length, min_u32((sizeof(ipv6hdr) if v6 else sizeof(iphdr)) + VNET_CSUM_END, length))
    else:
        skb = rx_tun(n, length, min_u32(SKB_MAX_HEAD(NET_SKB_PAD), length))
    if skb == NULL:
        return NULL

    rx_found(dev, skb, iph, caplen, v6)
    if th != NULL:
        if dev.rx != RX_TUN and partial_checksum(<iphdr *>iph, th, length - ihl):
            skb.ip_summed = CHECKSUM_PARTIAL
        elif segs > 1:
            # Merged on the way: whoever merged it has verified the parts.
            skb.ip_summed = CHECKSUM_UNNECESSARY
        skb.peer_holds_data = dev.rx == RX_VETH and payload and (dev.features & <u64>NETIF_F_TSO) != 0
    if segs > 1:
        skb.shinfo.gso_size = <u16>mss
        skb.shinfo.gso_type = SKB_GSO_TCPV6 if v6 else SKB_GSO_TCPV4
        # From a vnet header the count is not trusted, and left to who needs it.
        skb.shinfo.gso_segs = 0 if dev.rx == RX_VNET else <u16>segs
    return skb


cdef sk_buff *netdev_rx_skb(net_device *dev, u8 *iph, u32 caplen, u32 length) noexcept nogil:
    """The skb for an IP packet of `length` bytes, of which the capture has `caplen` at iph."""
    cdef sk_buff *skb
    cdef bint v6 = caplen > 0 and iph[0] >> 4 == 6
    if dev.rx != RX_TUN or length > dev.mtu:
        return rx_driver(dev, iph, caplen, length, v6)
    # TUN takes what it is given.
    skb = rx_tun(dev.nd_net, length, min_u32(SKB_MAX_HEAD(NET_SKB_PAD), length))
    if skb != NULL:
        rx_found(dev, skb, iph, caplen, v6)
    return skb


# What the device's hash function (RSS), or the peer's socket where that is the driver, tells flows apart by.
cdef u32 rx_hash(const sk_buff *skb) noexcept nogil:
    cdef u32 at = tcp_header_at(skb.data, skb.caplen_left)
    cdef const iphdr *ip = <const iphdr *>skb.data
    cdef const ipv6hdr *ip6 = <const ipv6hdr *>skb.data
    cdef u32 ports
    if not at:
        return 0
    ports = (<const u32 *>(skb.data + at))[0]
    if ip_version(ip) == 6:
        return jhash_3words(ipv6_addr_hash(&ip6.saddr), ipv6_addr_hash(&ip6.daddr), ports, 0)
    return jhash_3words(ip.saddr, ip.daddr, ports, 0)


# A driver's poll function: hands at most `budget` packets of the ring over.
cdef int nic_poll(napi_struct *napi, int budget) noexcept nogil:
    cdef net_device *dev = napi.dev
    cdef sk_buff *skb
    cdef int work = 0
    while work < budget and not skb_queue_empty(&dev.rx_ring):
        skb = __skb_dequeue(&dev.rx_ring)
        if dev.behind_gro:
            gro_normal_one(&napi.gro, skb, max_u16(1, skb.shinfo.gso_segs))
        else:
            skb.hash = rx_hash(skb)
            napi_gro_receive(napi, skb)
        work += 1
    if work < budget:
        napi_complete_done(napi, work)
    return work


cdef void netdev_interrupt(net_device *dev) noexcept nogil:
    """There are packets in the ring: the softirq runs until they are gone."""
    cdef net *n = dev.nd_net
    napi_schedule(dev.napi)
    while not list_empty(&n.softnet.poll_list):
        net_rx_action(n)


cdef s64 netdev_poll_end(const net_device *dev, const s64 *t, s64 i, s64 n_packets) noexcept nogil:
    """Which is the last packet of the poll that begins with packet i? t: when each arrives."""
    cdef bint merges = dev.rx_wait_ns and not dev.behind_gro
    cdef s64 until = t[i] + (dev.rx_wait_ns if merges else 0)
    while i + 1 < n_packets and t[i + 1] <= until:
        i += 1
        if merges:
            until += NAPI_PACKET_NS
    return i


cdef bint netdev_would_merge(const u8 *a, u32 a_caplen, u32 a_length, const u8 *b, u32 b_caplen,
                             u32 b_length) noexcept nogil:
    """Would GRO make one of these two packets? (Not all its rules: those that tell a stream of full segments.)"""
    cdef u32 at = tcp_header_at(a, a_caplen)
    cdef u32 addrs = 32 if at == sizeof(ipv6hdr) else 8     # they and the ports stand side by side in both versions
    cdef const tcphdr *tha = <const tcphdr *>(a + at)
    cdef const tcphdr *thb = <const tcphdr *>(b + at)
    cdef u8 ends = TCPHDR_SYN | TCPHDR_RST | TCPHDR_URG
    cdef u32 hdr_len, length
    if not at or tcp_header_at(b, b_caplen) != at or memcmp(a + at - addrs, b + at - addrs, addrs + 4):
        return 0
    hdr_len = at + __tcp_hdrlen(tha)
    length = a_length - hdr_len
    if a_length < hdr_len + TCP_MSS_DEFAULT or b_length <= hdr_len or b_length > a_length:
        return 0
    if tha.flags & (ends | TCPHDR_PSH | TCPHDR_FIN) or thb.flags & ends or tha.doff_res != thb.doff_res:
        return 0
    return tha.ack_seq == thb.ack_seq and ntohl(tha.seq) + length == ntohl(thb.seq)


# ---------------------------------------------------------------------------------------------- sending

cdef u64 gso_features_check(const sk_buff *skb, net_device *dev, u64 features) noexcept nogil:
    if (skb.shinfo.gso_segs > dev.gso_max_segs or skb.len >= netif_get_gso_max_size(dev, skb) or
            not skb.shinfo.gso_type):
        features &= ~<u64>NETIF_F_GSO_MASK
    return features


cdef u64 netif_skb_features(sk_buff *skb) noexcept nogil:
    cdef u64 features = skb.dev.features
    if skb_is_gso(skb):
        features = gso_features_check(skb, skb.dev, features)
    return features


cdef inline void hand_over(net *n, sk_buff *skb, u8 *hdr, u32 hdr_len, u32 payload, u32 seq) noexcept nogil:
    if n.hooks.xmit != NULL:
        n.hooks.xmit(n.hooks.ctx, skb, hdr, hdr_len, payload, seq)


# A super-segment that the device cannot cut: one segment after the other. False: it cannot be cut at all.
cdef bint gso_xmit(net *n, sk_buff *skb, const u8 *hdr, u32 hdr_len, u64 features) noexcept nogil:
    cdef gso_segs segs
    memcpy(segs.hdr, hdr, hdr_len)
    segs.hdr_len = hdr_len
    if skb_gso_segment(skb, features, &segs):
        return 0
    hand_over(n, skb, segs.hdr, segs.hdr_len, segs.length, segs.seq)
    while gso_next(&segs):
        hand_over(n, skb, segs.hdr, segs.hdr_len, segs.length, segs.seq)
    return 1


cdef void dev_hard_start_xmit(sk_buff *skb, u8 *hdr, u32 have) noexcept nogil:
    """The packet enters the device. hdr: its IP header, of which `have` bytes and what follows are there."""
    cdef net_device *dev = skb.dev
    cdef net *n = dev.nd_net
    cdef iphdr *ip = <iphdr *>hdr
    cdef tcphdr *th
    cdef bint v6 = ip_version(ip) == 6
    cdef u32 ihl = <u32>sizeof(ipv6hdr) if v6 else (<u32>ip.version_ihl & 15) * 4
    cdef u32 hdr_len = min_u32(have, skb.len)
    cdef u32 payload
    cdef u32 seq = 0
    cdef u64 features
    if not v6 and ip_is_fragment(ip):
        # Only the first has a TCP header: ip_do_fragment() says where the payload stands in the stream.
        seq = TCP_SKB_CB(skb).seq
    elif v6 or ip.protocol == IPPROTO_TCP:
        th = <tcphdr *>(hdr + ihl)
        hdr_len = ihl + __tcp_hdrlen(th)
        seq = ntohl(th.seq) + ((th.flags >> 1) & 1)     # SYN counts for one
    payload = skb.len - hdr_len
    features = netif_skb_features(skb)
    if not netif_needs_gso(skb, features):
        hand_over(n, skb, hdr, hdr_len, payload, seq)
    elif not gso_xmit(n, skb, hdr, hdr_len, features):
        kfree_skb(skb)
        return
    if skb.shinfo.tx_flags & (SKBTX_SW_TSTAMP | SKBTX_BPF):
        skb_tstamp_tx(skb, NULL)
    if dev.orphans or dev.rx == RX_VETH:
        skb_orphan_frags_rx(skb)
    # The other end of a veth takes the packet before a sending call goes on; softirqs wait for each other.
    if dev.orphans or skb.destructor == NULL or (dev.rx == RX_VETH and not n.in_softirq):
        consume_skb(skb)
    else:
        tx_done_add(dev, skb)


cdef txq_entry *txq_entry_new(net *n, sk_buff *skb, u64 time) noexcept nogil:
    cdef txq_entry *e = <txq_entry *>kmem_cache_alloc(&n.txq_slab)
    if e != NULL:
        e.skb = skb
        e.time = time
        e.hdr_len = 0
    return e


# Sent, but still the socket's until the device says so: TCP small queues wait for that.
cdef void tx_done_add(net_device *dev, sk_buff *skb) noexcept nogil:
    cdef net *n = dev.nd_net
    cdef txq_entry *e = txq_entry_new(n, skb, ktime_get_ns(n) + dev.tx_completion_ns)
    if e == NULL:
        consume_skb(skb)
        return
    skb.data = NULL
    if list_empty(&dev.tx_done):
        hrtimer_start_range_ns(&dev.tx_done_timer, <ktime_t>e.time, 0)
    list_add_tail(&e.list, &dev.tx_done)


cdef inline txq_entry *list_to_entry(list_head *p) noexcept nogil:
    return <txq_entry *>(<char *>p - <size_t>&(<txq_entry *>NULL).list)


cdef inline txq_entry *node_to_entry(rb_node *p) noexcept nogil:
    return <txq_entry *>(<char *>p - <size_t>&(<txq_entry *>NULL).node)


cdef int tx_done_expire(hrtimer *timer) noexcept nogil:
    cdef net_device *dev = <net_device *>(<char *>timer - <size_t>&(<net_device *>NULL).tx_done_timer)
    cdef net *n = dev.nd_net
    cdef txq_entry *e
    cdef sk_buff *skb
    while not list_empty(&dev.tx_done):
        e = list_to_entry(dev.tx_done.next)
        if e.time > ktime_get_ns(n):
            hrtimer_start_range_ns(timer, <ktime_t>e.time, 0)
            break
        skb = e.skb
        list_del(&e.list)
        kmem_cache_free(&n.txq_slab, e)
        consume_skb(skb)
    return HRTIMER_NORESTART


# fq: by departure time, first come first served at equal times.
cdef void txq_add(net_device *dev, sk_buff *skb) noexcept nogil:
    cdef net *n = dev.nd_net
    cdef txq_entry *e = txq_entry_new(n, skb, skb.skb_mstamp_ns)
    cdef rb_node **link = &dev.txq.rb_node
    cdef rb_node *parent = NULL
    cdef bint first = 1
    if e == NULL:
        kfree_skb(skb)
        return
    e.hdr_len = min_u32(skb.caplen_left, HDR_MAX)
    memcpy(e.hdr, skb.data, e.hdr_len)
    while link[0] != NULL:
        parent = link[0]
        if e.time < node_to_entry(parent).time:
            link = &parent.rb_left
        else:
            link = &parent.rb_right
            first = 0
    rb_link_node(&e.node, parent, link)
    rb_insert_color(&e.node, &dev.txq)
    if first:
        hrtimer_start_range_ns(&dev.txq_timer, <ktime_t>e.time, FQ_TIMER_SLACK_NS)


cdef int txq_expire(hrtimer *timer) noexcept nogil:
    cdef net_device *dev = <net_device *>(<char *>timer - <size_t>&(<net_device *>NULL).txq_timer)
    cdef net *n = dev.nd_net
    cdef rb_node *p = rb_first(&dev.txq)
    cdef txq_entry *e
    cdef u8 hdr[HDR_MAX]
    cdef u32 hdr_len
    cdef sk_buff *skb
    while p != NULL:
        e = node_to_entry(p)
        if e.time > ktime_get_ns(n):
            hrtimer_start_range_ns(timer, <ktime_t>e.time, FQ_TIMER_SLACK_NS)
            break
        rb_erase(p, &dev.txq)
        skb = e.skb
        hdr_len = e.hdr_len
        memcpy(hdr, e.hdr, hdr_len)
        kmem_cache_free(&n.txq_slab, e)
        skb.data = hdr
        dev_hard_start_xmit(skb, hdr, hdr_len)
        p = rb_first(&dev.txq)
    return HRTIMER_NORESTART


cdef int dev_queue_xmit(sk_buff *skb) noexcept nogil:
    """skb.data is at the IP header. Takes the skb."""
    cdef net_device *dev = skb.dev
    cdef net *n = dev.nd_net
    if dev == &n.lo:
        not_ported(n, "packets to the host itself (loopback)")
        kfree_skb(skb)
        return NET_XMIT_DROP
    if dev.qdisc == QDISC_FULL:
        kfree_skb(skb)
        return NET_XMIT_DROP
    if skb.shinfo.tx_flags & SKBTX_SCHED_TSTAMP:
        __skb_tstamp_tx(skb, NULL, NULL, skb.sk, SCM_TSTAMP_SCHED)
    if dev.qdisc == QDISC_FQ:
        # The pacing is fq's from the first packet on, no longer TCP's own.
        if skb.sk != NULL and sk_fullsock(skb.sk) and skb.sk.sk_state != TCP_LISTEN:
            skb.sk.sk_pacing_status = SK_PACING_FQ
        if skb.skb_mstamp_ns > ktime_get_ns(n) and skb.tstamp_type == SKB_CLOCK_MONOTONIC:
            txq_add(dev, skb)
            return NET_XMIT_SUCCESS
    dev_hard_start_xmit(skb, skb.data, skb.caplen_left)
    return NET_XMIT_SUCCESS


cdef void netdev_flush(net *n) noexcept nogil:
    cdef net_device *dev = &n.dev
    cdef rb_node *p
    cdef txq_entry *e
    if dev.nd_net == NULL:
        return
    hrtimer_cancel(&dev.txq_timer)
    hrtimer_cancel(&dev.tx_done_timer)
    p = rb_first(&dev.txq)
    while p != NULL:
        e = node_to_entry(p)
        rb_erase(p, &dev.txq)
        consume_skb(e.skb)
        kmem_cache_free(&n.txq_slab, e)
        p = rb_first(&dev.txq)
    while not list_empty(&dev.tx_done):
        e = list_to_entry(dev.tx_done.next)
        list_del(&e.list)
        consume_skb(e.skb)
        kmem_cache_free(&n.txq_slab, e)
