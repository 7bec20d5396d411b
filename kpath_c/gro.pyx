"""Generic receive offload: packets of one flow that follow each other go up as one.

What it does: holds a packet back for as long as the device finds more in one poll, and lets the next of its flow be
appended. A packet that could not be told from a super-segment of its sender goes up when one comes that does not fit
(other ACK, flags, window, options, TTL, a gap, an odd IP id), when a short one or one with PSH, FIN, RST, SYN or URG
has ended it, when 64 KiB are full, when its bucket holds eight others, and at the end of the poll.

Follows net/core/gro.c of Linux 6.18 (GPL-2.0-only).

Deviations: protocols are those of IP version 4 and 6, called by name instead of through a list of offloads; no
tunnels, no frag_list GRO, no napi_gro_frags() (drivers that hand over pages). The headers of a packet lie in the
capture, which is not ours to write to: before they are changed they are copied into the packet (gro_hdr).
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.gro cimport *
from kpath_c.headers.checksum cimport csum_add, csum_fold
from kpath_c.net_gro cimport gro_normal_one
from kpath_c.af_inet cimport inet_gro_complete, inet_gro_receive
from kpath_c.ip6_offload cimport ipv6_gro_complete, ipv6_gro_receive
from kpath_c.skbuff cimport __kfree_skb, kfree_skb, kfree_skb_partial, skb_checksum


cdef void gro_init(gro_node *gro) noexcept nogil:
    cdef int i
    for i in range(GRO_HASH_BUCKETS):
        __skb_queue_head_init(&gro.hash[i])
    gro.bitmask = 0
    __skb_queue_head_init(&gro.rx_list)
    gro.rx_count = 0


# ------------------------------------------------------------------------------------------- two become one

cdef void skb_gro_own_headers(sk_buff *skb) noexcept nogil:
    """Copies the headers out of the capture, so that they can be changed. What follows them there is out of reach."""
    cdef u32 length = <u32>skb_transport_offset(skb) + tcp_hdrlen(skb)
    if NAPI_GRO_CB(skb).own_hdr or WARN_ON(length > GRO_HDR_MAX):
        return
    memcpy(skb.gro_hdr, skb.data, length)
    skb.network_header = skb.gro_hdr + (skb.network_header - skb.data)
    skb.transport_header = skb.gro_hdr + (skb.transport_header - skb.data)
    skb.data = skb.gro_hdr
    skb.caplen_left = length
    skb.data_is_payload_copy = 1
    NAPI_GRO_CB(skb).own_hdr = 1


# The payload is in fragments: they change hands. What the head and the sk_buff cost is not charged. 0: no room.
cdef bint gro_take_frags(sk_buff *lp, sk_buff *skb, unsigned int offset, unsigned int *delta_truesize) noexcept nogil:
    cdef int have = lp.shinfo.nr_frags
    cdef int count = skb.shinfo.nr_frags
    cdef u32 new_truesize = SKB_TRUESIZE(skb_end_offset(skb))
    if have + count > MAX_SKB_FRAGS:
        return 0
    offset -= skb_headlen(skb)
    memcpy(&lp.shinfo.frags[have], &skb.shinfo.frags[0], <size_t>count * sizeof(skb_frag_t))
    skb_frag_off_add(&lp.shinfo.frags[have], <int>offset)
    skb_frag_size_sub(&lp.shinfo.frags[have], <int>offset)
    lp.shinfo.nr_frags = <u8>(have + count)
    skb.shinfo.nr_frags = 0
    delta_truesize[0] = skb.truesize - new_truesize
    skb.truesize = new_truesize
    skb.len -= skb.data_len
    skb.data_len = 0
    NAPI_GRO_CB(skb).free = NAPI_GRO_FREE
    return 1


# The head is part of a page: it becomes a fragment itself, and only the sk_buff is left over. 0: no room.
cdef bint gro_take_head(sk_buff *lp, sk_buff *skb, unsigned int offset, unsigned int *delta_truesize) noexcept nogil:
    cdef int have = lp.shinfo.nr_frags
    cdef int count = skb.shinfo.nr_frags
    if have + 1 + count > MAX_SKB_FRAGS:
        return 0
    skb_frag_fill_page_desc(&lp.shinfo.frags[have], 0, <int>(skb.headroom + offset), <int>(skb_headlen(skb) - offset))
    memcpy(&lp.shinfo.frags[have + 1], &skb.shinfo.frags[0], <size_t>count * sizeof(skb_frag_t))
    lp.shinfo.nr_frags = <u8>(have + 1 + count)
    delta_truesize[0] = skb.truesize - SKB_BUFF_ALIGNED
    skb.truesize = SKB_BUFF_ALIGNED
    NAPI_GRO_CB(skb).free = NAPI_GRO_FREE_STOLEN_HEAD
    return 1


# Nothing can be taken over: the packet is chained as it is, and later ones go into its fragments.
cdef void gro_chain(sk_buff *p, sk_buff *skb, unsigned int offset) noexcept nogil:
    cdef unsigned int eat
    skb.destructor = NULL
    skb.sk = NULL
    if offset > skb_headlen(skb):
        eat = offset - skb_headlen(skb)
        skb_frag_off_add(&skb.shinfo.frags[0], <int>eat)
        skb_frag_size_sub(&skb.shinfo.frags[0], <int>eat)
        skb.data_len -= eat
        skb.len -= eat
        offset = skb_headlen(skb)
    __skb_pull(skb, offset)
    if NAPI_GRO_CB(p).last == p:
        p.frag_list = skb
    else:
        NAPI_GRO_CB(p).last.next = skb
    NAPI_GRO_CB(p).last = skb
    __skb_header_release(skb)


cdef inline void gro_add(sk_buff *p, const sk_buff *skb, unsigned int length, unsigned int truesize) noexcept nogil:
    p.data_len += length
    p.truesize += truesize
    p.len += length
    p.shinfo.flags |= skb.shinfo.flags & SKBFL_SHARED_FRAG


cdef int skb_gro_receive(sk_buff *p, sk_buff *skb) noexcept nogil:
    """Appends skb's payload to p, without copying it. 0, or why not."""
    cdef unsigned int offset = skb_gro_offset(skb)
    cdef unsigned int length = skb_gro_len(skb)
    cdef unsigned int delta_truesize = skb.truesize
    cdef sk_buff *lp = NAPI_GRO_CB(p).last
    cdef bint taken = 0
    if p.pp_recycle != skb.pp_recycle:
        return -ETOOMANYREFS
    if p.len + length >= netif_get_gro_max_size(p.dev, p) or NAPI_GRO_CB(skb).flush:
        return -E2BIG
    # RFC 2675: beyond 64 KiB there must be room in front for a jumbo option.
    if p.len + length >= GRO_LEGACY_MAX_SIZE and (NAPI_GRO_CB(skb).proto != IPPROTO_TCP or
                                                  (p.protocol == htons(ETH_P_IPV6) and skb_headroom(p) < 8)):
        return -E2BIG
    if skb_headlen(skb) <= offset:
        taken = gro_take_frags(lp, skb, offset, &delta_truesize)
    elif skb.head_frag:
        taken = gro_take_head(lp, skb, offset, &delta_truesize)
    if not taken:
        gro_chain(p, skb, offset)
        lp = p
    NAPI_GRO_CB(p).count += NAPI_GRO_CB(skb).count
    gro_add(p, skb, length, delta_truesize)
    if lp != p:
        gro_add(lp, skb, length, delta_truesize)
    NAPI_GRO_CB(skb).same_flow = 1
    return 0


# ------------------------------------------------------------------------------------------- up the stack

cdef void gro_complete(gro_node *gro, sk_buff *skb) noexcept nogil:
    """The packet is as large as it gets: its headers are made to say so."""
    cdef int err
    if NAPI_GRO_CB(skb).count == 1:
        skb.shinfo.gso_size = 0
    else:
        skb_gro_own_headers(skb)
        if skb.protocol == htons(ETH_P_IPV6):
            err = ipv6_gro_complete(skb, 0)
        else:
            err = inet_gro_complete(skb, 0)
        if err:
            kfree_skb(skb)
            return
    gro_normal_one(gro, skb, NAPI_GRO_CB(skb).count)


# Oldest first. flush_old: only those that an earlier jiffy has left.
cdef void __gro_flush_chain(gro_node *gro, u32 index, bint flush_old) noexcept nogil:
    cdef sk_buff_head *head = &gro.hash[index]
    cdef sk_buff *skb = skb_peek_tail(head)
    while skb != NULL:
        if flush_old and NAPI_GRO_CB(skb).age == jiffies(skb.net):
            return
        __skb_unlink(skb, head)
        gro_complete(gro, skb)
        skb = skb_peek_tail(head)
    clear_bit(<int>index, &gro.bitmask)


cdef void __gro_flush(gro_node *gro, bint flush_old) noexcept nogil:
    cdef u32 i
    for i in range(GRO_HASH_BUCKETS):
        if test_bit(<int>i, &gro.bitmask):
            __gro_flush_chain(gro, i, flush_old)


# ------------------------------------------------------------------------------------------- a packet comes

# Which of the packets that are held may be of the same flow: same hash, same device.
cdef void gro_list_prepare(const sk_buff_head *head, const sk_buff *skb) noexcept nogil:
    cdef sk_buff *p = head.next
    while p != skb_list_end(head):
        NAPI_GRO_CB(p).same_flow = p.hash == skb.hash and p.dev == skb.dev
        p = p.next


cdef inline void skb_gro_reset_offset(sk_buff *skb) noexcept nogil:
    NAPI_GRO_CB(skb).network_offset = 0
    NAPI_GRO_CB(skb).data_offset = 0
    NAPI_GRO_CB(skb).own_hdr = 0


cdef void gro_flush_oldest(gro_node *gro, sk_buff_head *head) noexcept nogil:
    cdef sk_buff *oldest = __skb_dequeue_tail(head)
    if oldest != NULL:
        gro_complete(gro, oldest)


# What every packet begins with.
cdef void gro_prepare(sk_buff *skb) noexcept nogil:
    cdef napi_gro_cb *cb = NAPI_GRO_CB(skb)
    skb_set_network_header(skb, <int>skb_gro_offset(skb))
    cb.same_flow = 0
    cb.csum_valid = 0
    cb.csum_cnt = 0
    cb.free = 0
    cb.ip_fixedid = 0
    cb.flush = skb_has_frag_list(skb)
    cb.count = 1
    if skb_is_gso(skb):
        cb.count = skb.shinfo.gso_segs
        if not skb_is_gso_tcp(skb) or skb.shinfo.gso_type & SKB_GSO_DODGY:
            cb.flush = 1
    if skb.ip_summed == CHECKSUM_COMPLETE:
        cb.csum = skb.csum
        cb.csum_valid = 1
    elif skb.ip_summed == CHECKSUM_UNNECESSARY:
        cb.csum_cnt = 1


# The packet is held, as the first of what may become a larger one.
cdef int gro_hold(gro_node *gro, sk_buff_head *gro_list, sk_buff *skb) noexcept nogil:
    if gro_list.qlen >= MAX_GRO_SKBS:
        gro_flush_oldest(gro, gro_list)
    NAPI_GRO_CB(skb).age = jiffies(skb.net)
    NAPI_GRO_CB(skb).last = skb
    if not skb_is_gso(skb):
        skb.shinfo.gso_size = <u16>skb_gro_len(skb)
    __skb_queue_head(gro_list, skb)
    return GRO_HELD


# Merges the packet, holds it, or says that it goes on as it is.
cdef int dev_gro_bucket(gro_node *gro, sk_buff_head *gro_list, sk_buff *skb) noexcept nogil:
    cdef sk_buff *pp
    cdef int ret
    if netif_elide_gro(skb.dev):
        return GRO_NORMAL
    gro_list_prepare(gro_list, skb)
    gro_prepare(skb)
    if skb.protocol == htons(ETH_P_IPV6):
        pp = ipv6_gro_receive(gro_list, skb)
    else:
        pp = inet_gro_receive(gro_list, skb)
    ret = GRO_MERGED_FREE if NAPI_GRO_CB(skb).free else GRO_MERGED
    if pp != NULL:
        __skb_unlink(pp, gro_list)
        gro_complete(gro, pp)
    if NAPI_GRO_CB(skb).same_flow:
        return ret
    if NAPI_GRO_CB(skb).flush:
        return GRO_NORMAL
    return gro_hold(gro, gro_list, skb)


cdef int dev_gro_receive(gro_node *gro, sk_buff *skb) noexcept nogil:
    cdef u32 bucket = skb.hash & (GRO_HASH_BUCKETS - 1)
    cdef int ret = dev_gro_bucket(gro, &gro.hash[bucket], skb)
    if gro.hash[bucket].qlen:
        set_bit(<int>bucket, &gro.bitmask)
    else:
        clear_bit(<int>bucket, &gro.bitmask)
    return ret


cdef int gro_skb_finish(gro_node *gro, sk_buff *skb, int ret) noexcept nogil:
    if ret == GRO_NORMAL:
        gro_normal_one(gro, skb, 1)
    elif ret == GRO_MERGED_FREE:
        if NAPI_GRO_CB(skb).free == NAPI_GRO_FREE_STOLEN_HEAD:
            kfree_skb_partial(skb, 1)
        else:
            __kfree_skb(skb)
    return ret


cdef int gro_receive_skb(gro_node *gro, sk_buff *skb) noexcept nogil:
    """A packet from a driver."""
    skb_gro_reset_offset(skb)
    return gro_skb_finish(gro, skb, dev_gro_receive(gro, skb))


cdef __sum16 __skb_gro_checksum_complete(sk_buff *skb) noexcept nogil:
    """0: the checksum is right. The pseudo header's sum is in the control block. A cut packet is taken as right."""
    cdef u32 wsum
    cdef __sum16 sum_
    if not skb_bytes_present(skb):
        NAPI_GRO_CB(skb).csum_valid = 1
        return 0
    wsum = skb_checksum(skb, <int>skb_gro_offset(skb), <int>skb_gro_len(skb), 0)
    sum_ = csum_fold(csum_add(NAPI_GRO_CB(skb).csum, wsum))
    NAPI_GRO_CB(skb).csum = wsum
    NAPI_GRO_CB(skb).csum_valid = 1
    return sum_
