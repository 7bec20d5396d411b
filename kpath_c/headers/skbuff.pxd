"""linux/skbuff.h: what a segment is charged for, its queues, headers, fragments and clones.

Follows include/linux/skbuff.h of Linux 6.18 (GPL-2.0-only).

Deviations: there is no memory behind an skb, so `head`, `end` and `tail` are offsets; a sent skb has no `data` until
a header is pushed, and then it points into net.txbuf (one packet is built at a time). The skbs that share one data
area stand in a ring (data_users) instead of counting in dataref. Every skb's dst is counted. Inlines that call real
functions are in kpath_c/net_sock.pxd.
"""
from kpath_c.headers.kernel cimport *

cdef enum:
    CHECKSUM_NONE = 0
    CHECKSUM_UNNECESSARY = 1
    CHECKSUM_COMPLETE = 2
    CHECKSUM_PARTIAL = 3

cdef enum:
    SKB_FCLONE_UNAVAILABLE = 0
    SKB_FCLONE_ORIG = 1
    SKB_FCLONE_CLONE = 2

cdef enum:
    SKB_ALLOC_FCLONE = 0x01
    SKB_ALLOC_RX = 0x02
    SKB_ALLOC_NAPI = 0x04

cdef enum:
    SKB_GSO_TCPV4 = 1 << 0
    SKB_GSO_DODGY = 1 << 1
    SKB_GSO_TCP_ECN = 1 << 2
    __SKB_GSO_TCP_FIXEDID = 1 << 3
    SKB_GSO_TCPV6 = 1 << 4
    SKB_GSO_TCP_ACCECN = 1 << 19
    SKB_GSO_TCP_FIXEDID = 1 << 30

cdef enum:
    SKBTX_HW_TSTAMP_NOBPF = 1 << 0
    SKBTX_SW_TSTAMP = 1 << 1
    SKBTX_IN_PROGRESS = 1 << 2
    SKBTX_COMPLETION_TSTAMP = 1 << 3
    SKBTX_HW_TSTAMP_NETDEV = 1 << 5
    SKBTX_SCHED_TSTAMP = 1 << 6
    SKBTX_BPF = 1 << 7
    SKBTX_HW_TSTAMP = 0x81
    SKBTX_ANY_SW_TSTAMP = 0xCA
    SKBTX_ANY_TSTAMP = 0xCB

cdef enum:
    SKBFL_ZEROCOPY_ENABLE = 1 << 0
    SKBFL_SHARED_FRAG = 1 << 1
    SKBFL_PURE_ZEROCOPY = 1 << 2
    SKBFL_DONT_ORPHAN = 1 << 3
    SKBFL_MANAGED_FRAG_REFS = 1 << 4
    SKBFL_ZEROCOPY_FRAG = 0x03
    SKBFL_ALL_ZEROCOPY = 0x1F

cdef enum:
    SKB_CLOCK_REALTIME = 0
    SKB_CLOCK_MONOTONIC = 1
    SKB_CLOCK_TAI = 2

# Sizes of the kernel's own structs (x86_64 of 6.18), not of the ones here.
cdef enum:
    SIZEOF_SK_BUFF = 232
    SIZEOF_SKB_SHARED_INFO = 320
    SKB_BUFF_ALIGNED = 256              # SKB_DATA_ALIGN(sizeof(struct sk_buff))
    SKB_SHINFO_ALIGNED = 320            # SKB_DATA_ALIGN(sizeof(struct skb_shared_info))
    SKB_TRUESIZE_OVERHEAD = 576
    NET_SKB_PAD = 64
    NET_IP_ALIGN = 0
    GSO_BY_FRAGS = 0xFFFF
    CHECKSUM_BREAK = 76
    TXBUF_SIZE = 256


cdef inline unsigned int SKB_DATA_ALIGN(unsigned int x) noexcept nogil:
    return (x + (SMP_CACHE_BYTES - 1)) & ~<unsigned int>(SMP_CACHE_BYTES - 1)

# How much data goes into a buffer of x bytes that ends with skb_shared_info.
cdef inline unsigned int SKB_WITH_OVERHEAD(unsigned int x) noexcept nogil:
    return x - SKB_SHINFO_ALIGNED

cdef inline unsigned int SKB_HEAD_ALIGN(unsigned int x) noexcept nogil:
    return SKB_DATA_ALIGN(x) + SKB_SHINFO_ALIGNED

cdef inline unsigned int SKB_MAX_ORDER(unsigned int x, unsigned int order) noexcept nogil:
    return SKB_WITH_OVERHEAD((<unsigned int>PAGE_SIZE << order) - x)

cdef inline unsigned int SKB_MAX_HEAD(unsigned int x) noexcept nogil:
    return SKB_MAX_ORDER(x, 0)

cdef inline unsigned int SKB_MAX_ALLOC() noexcept nogil:
    return SKB_MAX_ORDER(0, 2)

# The least truesize of an skb with x bytes of data.
cdef inline unsigned int SKB_TRUESIZE(unsigned int x) noexcept nogil:
    return x + SKB_TRUESIZE_OVERHEAD

cdef inline skb_shared_info *skb_shinfo(const sk_buff *skb) noexcept nogil:
    return <skb_shared_info *>&skb.shinfo

# ---------------------------------------------------------------------------------------------- lists of skbs

cdef inline sk_buff *skb_list_end(const sk_buff_head *list) noexcept nogil:
    """The head itself, as the skb pointer that ends a walk."""
    return <sk_buff *>list

cdef inline void skb_mark_not_on_list(sk_buff *skb) noexcept nogil:
    skb.next = NULL

cdef inline bint skb_queue_empty(const sk_buff_head *list) noexcept nogil:
    return list.next == <sk_buff *>list

cdef inline bint skb_queue_is_last(const sk_buff_head *list, const sk_buff *skb) noexcept nogil:
    return skb.next == <sk_buff *>list

cdef inline bint skb_queue_is_first(const sk_buff_head *list, const sk_buff *skb) noexcept nogil:
    return skb.prev == <sk_buff *>list

cdef inline sk_buff *skb_queue_next(const sk_buff_head *list, const sk_buff *skb) noexcept nogil:
    BUG_ON(skb_queue_is_last(list, skb))
    return skb.next

cdef inline sk_buff *skb_queue_prev(const sk_buff_head *list, const sk_buff *skb) noexcept nogil:
    BUG_ON(skb_queue_is_first(list, skb))
    return skb.prev

cdef inline sk_buff *skb_peek(const sk_buff_head *list) noexcept nogil:
    return NULL if list.next == <sk_buff *>list else list.next

cdef inline sk_buff *__skb_peek(const sk_buff_head *list) noexcept nogil:
    return list.next

cdef inline sk_buff *skb_peek_next(sk_buff *skb, const sk_buff_head *list) noexcept nogil:
    return NULL if skb.next == <sk_buff *>list else skb.next

cdef inline sk_buff *skb_peek_tail(const sk_buff_head *list) noexcept nogil:
    return NULL if list.prev == <sk_buff *>list else list.prev

cdef inline u32 skb_queue_len(const sk_buff_head *list) noexcept nogil:
    return list.qlen

cdef inline void __skb_queue_head_init(sk_buff_head *list) noexcept nogil:
    list.prev = <sk_buff *>list
    list.next = <sk_buff *>list
    list.qlen = 0

cdef inline void skb_queue_head_init(sk_buff_head *list) noexcept nogil:
    __skb_queue_head_init(list)

cdef inline void __skb_insert(sk_buff *newsk, sk_buff *prev, sk_buff *next, sk_buff_head *list) noexcept nogil:
    newsk.next = next
    newsk.prev = prev
    next.prev = newsk
    prev.next = newsk
    list.qlen += 1

cdef inline void __skb_queue_splice(const sk_buff_head *list, sk_buff *prev, sk_buff *next) noexcept nogil:
    cdef sk_buff *first = list.next
    cdef sk_buff *last = list.prev
    first.prev = prev
    prev.next = first
    last.next = next
    next.prev = last

cdef inline void skb_queue_splice(const sk_buff_head *list, sk_buff_head *head) noexcept nogil:
    if not skb_queue_empty(list):
        __skb_queue_splice(list, <sk_buff *>head, head.next)
        head.qlen += list.qlen

cdef inline void skb_queue_splice_init(sk_buff_head *list, sk_buff_head *head) noexcept nogil:
    if not skb_queue_empty(list):
        __skb_queue_splice(list, <sk_buff *>head, head.next)
        head.qlen += list.qlen
        __skb_queue_head_init(list)

cdef inline void skb_queue_splice_tail(const sk_buff_head *list, sk_buff_head *head) noexcept nogil:
    if not skb_queue_empty(list):
        __skb_queue_splice(list, head.prev, <sk_buff *>head)
        head.qlen += list.qlen

cdef inline void skb_queue_splice_tail_init(sk_buff_head *list, sk_buff_head *head) noexcept nogil:
    if not skb_queue_empty(list):
        __skb_queue_splice(list, head.prev, <sk_buff *>head)
        head.qlen += list.qlen
        __skb_queue_head_init(list)

cdef inline void __skb_queue_after(sk_buff_head *list, sk_buff *prev, sk_buff *newsk) noexcept nogil:
    __skb_insert(newsk, prev, prev.next, list)

cdef inline void __skb_queue_before(sk_buff_head *list, sk_buff *next, sk_buff *newsk) noexcept nogil:
    __skb_insert(newsk, next.prev, next, list)

cdef inline void __skb_queue_head(sk_buff_head *list, sk_buff *newsk) noexcept nogil:
    __skb_queue_after(list, <sk_buff *>list, newsk)

cdef inline void __skb_queue_tail(sk_buff_head *list, sk_buff *newsk) noexcept nogil:
    __skb_queue_before(list, <sk_buff *>list, newsk)

cdef inline void __skb_unlink(sk_buff *skb, sk_buff_head *list) noexcept nogil:
    cdef sk_buff *next = skb.next
    cdef sk_buff *prev = skb.prev
    list.qlen -= 1
    skb.next = NULL
    skb.prev = NULL
    next.prev = prev
    prev.next = next

cdef inline sk_buff *__skb_dequeue(sk_buff_head *list) noexcept nogil:
    cdef sk_buff *skb = skb_peek(list)
    if skb != NULL:
        __skb_unlink(skb, list)
    return skb

cdef inline sk_buff *__skb_dequeue_tail(sk_buff_head *list) noexcept nogil:
    cdef sk_buff *skb = skb_peek_tail(list)
    if skb != NULL:
        __skb_unlink(skb, list)
    return skb

# ---------------------------------------------------------------------------------------------- red-black trees of skbs

cdef inline sk_buff *rb_to_skb(const rb_node *rb) noexcept nogil:
    if rb == NULL:
        return NULL
    return <sk_buff *>(<char *>rb - <size_t>&(<sk_buff *>NULL).rbnode)

cdef inline sk_buff *skb_rb_first(const rb_root *root) noexcept nogil:
    return rb_to_skb(rb_first(root))

cdef inline sk_buff *skb_rb_last(const rb_root *root) noexcept nogil:
    return rb_to_skb(rb_last(root))

cdef inline sk_buff *skb_rb_next(const sk_buff *skb) noexcept nogil:
    return rb_to_skb(rb_next(&skb.rbnode))

cdef inline sk_buff *skb_rb_prev(const sk_buff *skb) noexcept nogil:
    return rb_to_skb(rb_prev(&skb.rbnode))

# The skb whose tcp_tsorted_anchor this is.
cdef inline sk_buff *tsorted_to_skb(const list_head *entry) noexcept nogil:
    return <sk_buff *>(<char *>entry - <size_t>&(<sk_buff *>NULL).tcp_tsorted_anchor)

# ---------------------------------------------------------------------------------------------- lengths and room

cdef inline bint skb_is_nonlinear(const sk_buff *skb) noexcept nogil:
    return skb.data_len != 0

cdef inline unsigned int skb_headlen(const sk_buff *skb) noexcept nogil:
    return skb.len - skb.data_len

cdef inline unsigned int __skb_pagelen(const sk_buff *skb) noexcept nogil:
    cdef int i
    cdef unsigned int length = 0
    for i in range(skb.shinfo.nr_frags):
        length += skb.shinfo.frags[i].len
    return length

cdef inline unsigned int skb_pagelen(const sk_buff *skb) noexcept nogil:
    return skb_headlen(skb) + __skb_pagelen(skb)

cdef inline unsigned int skb_end_offset(const sk_buff *skb) noexcept nogil:
    return skb.end_offset

cdef inline void skb_set_end_offset(sk_buff *skb, unsigned int offset) noexcept nogil:
    skb.end_offset = offset

cdef inline unsigned int skb_headroom(const sk_buff *skb) noexcept nogil:
    return skb.headroom

cdef inline int skb_tailroom(const sk_buff *skb) noexcept nogil:
    return 0 if skb.data_len else <int>(skb.end_offset - skb.tail_offset)

cdef inline void skb_reserve(sk_buff *skb, int length) noexcept nogil:
    skb.headroom += <u32>length
    skb.tail_offset += <u32>length

cdef inline void skb_tailroom_reserve(sk_buff *skb, unsigned int mtu, unsigned int needed_tailroom) noexcept nogil:
    if mtu < <unsigned int>skb_tailroom(skb) - needed_tailroom:
        skb.reserved_tailroom = <unsigned int>skb_tailroom(skb) - mtu
    else:
        skb.reserved_tailroom = needed_tailroom

cdef inline void skb_reset_tail_pointer(sk_buff *skb) noexcept nogil:
    skb.tail_offset = skb.headroom

cdef inline void skb_set_tail_pointer(sk_buff *skb, int offset) noexcept nogil:
    skb.tail_offset = skb.headroom + <u32>offset

# Where the next linear byte goes; NULL if this skb only counts.
cdef inline void *skb_tail_pointer(const sk_buff *skb) noexcept nogil:
    return <void *>(skb.data + skb_headlen(skb)) if skb.data != NULL else NULL

cdef inline void skb_len_add(sk_buff *skb, int delta) noexcept nogil:
    skb.len += <u32>delta
    skb.data_len += <u32>delta
    skb.truesize += <u32>delta

cdef inline void __skb_set_length(sk_buff *skb, unsigned int length) noexcept nogil:
    if WARN_ON(skb_is_nonlinear(skb)):
        return
    skb.len = length
    skb_set_tail_pointer(skb, <int>length)

cdef inline void __skb_trim(sk_buff *skb, unsigned int length) noexcept nogil:
    __skb_set_length(skb, length)

# A put only counts: nothing is written unless `data` is set, and then the caller does it.
cdef inline void *__skb_put(sk_buff *skb, unsigned int length) noexcept nogil:
    cdef void *tmp = skb_tail_pointer(skb)
    skb.tail_offset += length
    skb.len += length
    return tmp

# A sent skb's first header is laid at the end of net.txbuf, the next in front of it.
cdef inline void *__skb_push(sk_buff *skb, unsigned int length) noexcept nogil:
    if skb.data == NULL:
        skb.data = skb.net.txbuf + TXBUF_SIZE
    skb.data -= length
    skb.caplen_left += length
    skb.headroom -= length
    skb.len += length
    return skb.data

cdef inline void *skb_push(sk_buff *skb, unsigned int length) noexcept nogil:
    return __skb_push(skb, length)

cdef inline void *__skb_pull(sk_buff *skb, unsigned int length) noexcept nogil:
    skb.len -= length
    BUG_ON(skb.len < skb.data_len)
    skb.headroom += length
    # Without data there is nothing of it in the capture either.
    if likely(length <= skb.caplen_left):
        skb.caplen_left -= length
        skb.data += length
    else:
        skb.caplen_left = 0
        if skb.data != NULL:
            skb.data += length
    return skb.data

cdef inline void *skb_pull(sk_buff *skb, unsigned int length) noexcept nogil:
    return NULL if length > skb.len else __skb_pull(skb, length)

# ---------------------------------------------------------------------------------------------- headers

cdef inline u8 *skb_transport_header(const sk_buff *skb) noexcept nogil:
    return <u8 *>skb.transport_header

cdef inline bint skb_transport_header_was_set(const sk_buff *skb) noexcept nogil:
    return skb.transport_header != NULL

cdef inline void skb_reset_transport_header(sk_buff *skb) noexcept nogil:
    skb.transport_header = skb.data

cdef inline void skb_set_transport_header(sk_buff *skb, int offset) noexcept nogil:
    skb.transport_header = skb.data + offset

cdef inline u8 *skb_network_header(const sk_buff *skb) noexcept nogil:
    return <u8 *>skb.network_header

cdef inline void skb_reset_network_header(sk_buff *skb) noexcept nogil:
    skb.network_header = skb.data

cdef inline void skb_set_network_header(sk_buff *skb, int offset) noexcept nogil:
    skb.network_header = skb.data + offset

cdef inline int skb_transport_offset(const sk_buff *skb) noexcept nogil:
    return <int>(skb.transport_header - skb.data)

cdef inline int skb_network_offset(const sk_buff *skb) noexcept nogil:
    return <int>(skb.network_header - skb.data)

cdef inline u32 skb_network_header_len(const sk_buff *skb) noexcept nogil:
    return <u32>(skb.transport_header - skb.network_header)

cdef inline bint skb_mac_header_was_set(const sk_buff *skb) noexcept nogil:
    return skb.mac_len != 0

cdef inline int skb_checksum_start_offset(const sk_buff *skb) noexcept nogil:
    return skb_transport_offset(skb)

# ---------------------------------------------------------------------------------------------- sharing

cdef inline sk_buff *skb_get(sk_buff *skb) noexcept nogil:
    skb.users += 1
    return skb

cdef inline bint skb_shared(const sk_buff *skb) noexcept nogil:
    return skb.users != 1

# Gives up one reference; true: it was the last.
cdef inline bint skb_unref(sk_buff *skb) noexcept nogil:
    if skb == NULL:
        return 0
    skb.users -= 1
    return skb.users == 0

# Somebody else has the same data.
cdef inline bint skb_cloned(const sk_buff *skb) noexcept nogil:
    return skb.cloned and skb.data_users.next != &skb.data_users

cdef inline sk_buff *data_users_to_skb(const list_head *entry) noexcept nogil:
    return <sk_buff *>(<char *>entry - <size_t>&(<sk_buff *>NULL).data_users)

# Somebody else may read the headers: those who hold only the payload (nohdr) don't count.
cdef inline bint skb_header_cloned(const sk_buff *skb) noexcept nogil:
    cdef const list_head *p
    cdef int refs
    if not skb.cloned:
        return 0
    refs = not skb.nohdr
    p = skb.data_users.next
    while p != &skb.data_users:
        refs += not data_users_to_skb(p).nohdr
        p = p.next
    return refs != 1

cdef inline void __skb_header_release(sk_buff *skb) noexcept nogil:
    skb.nohdr = 1

# The clone of the pair is still somewhere below (queue or device) and still charged to sk.
cdef inline bint skb_fclone_busy(const sock *sk, const sk_buff *skb) noexcept nogil:
    return (skb.fclone == SKB_FCLONE_ORIG and skb.fclone_users > 1 and skb.fclone_orig.sk == sk)

cdef inline bint skb_pfmemalloc(const sk_buff *skb) noexcept nogil:
    return skb.pfmemalloc != 0

cdef inline void skb_orphan(sk_buff *skb) noexcept nogil:
    if skb.destructor != NULL:
        skb.destructor(skb)
        skb.destructor = NULL
        skb.sk = NULL
    else:
        BUG_ON(skb.sk != NULL)

# ---------------------------------------------------------------------------------------------- fragments

cdef inline unsigned int skb_frag_size(const skb_frag_t *frag) noexcept nogil:
    return frag.len

cdef inline void skb_frag_size_set(skb_frag_t *frag, unsigned int size) noexcept nogil:
    frag.len = size

cdef inline void skb_frag_size_add(skb_frag_t *frag, int delta) noexcept nogil:
    frag.len += <u32>delta

cdef inline void skb_frag_size_sub(skb_frag_t *frag, int delta) noexcept nogil:
    frag.len -= <u32>delta

cdef inline unsigned int skb_frag_off(const skb_frag_t *frag) noexcept nogil:
    return frag.offset

cdef inline void skb_frag_off_add(skb_frag_t *frag, int delta) noexcept nogil:
    frag.offset += <u32>delta

cdef inline void skb_frag_off_set(skb_frag_t *frag, unsigned int offset) noexcept nogil:
    frag.offset = offset

cdef inline void skb_frag_off_copy(skb_frag_t *fragto, const skb_frag_t *fragfrom) noexcept nogil:
    fragto.offset = fragfrom.offset

cdef inline u64 skb_frag_page(const skb_frag_t *frag) noexcept nogil:
    return frag.page

cdef inline void skb_frag_page_copy(skb_frag_t *fragto, const skb_frag_t *fragfrom) noexcept nogil:
    fragto.page = fragfrom.page

cdef inline void skb_frag_fill_page_desc(skb_frag_t *frag, u64 page, int off, int size) noexcept nogil:
    frag.page = page
    frag.offset = <u32>off
    frag.len = <u32>size

cdef inline void __skb_fill_page_desc(sk_buff *skb, int i, u64 page, int off, int size) noexcept nogil:
    skb_frag_fill_page_desc(&skb.shinfo.frags[i], page, off, size)

cdef inline void skb_fill_page_desc(sk_buff *skb, int i, u64 page, int off, int size) noexcept nogil:
    __skb_fill_page_desc(skb, i, page, off, size)
    skb.shinfo.nr_frags = <u8>(i + 1)

# Pages of received packets are not tracked (page 0).
cdef inline void get_page(u64 page) noexcept nogil:
    if page:
        (<page_ref *>page).refcount += 1

cdef inline int page_ref_count(u64 page) noexcept nogil:
    return (<page_ref *>page).refcount

cdef inline void __skb_frag_ref(skb_frag_t *frag) noexcept nogil:
    get_page(frag.page)

cdef inline void skb_frag_ref(sk_buff *skb, int f) noexcept nogil:
    get_page(skb.shinfo.frags[f].page)

cdef inline bint skb_frags_readable(const sk_buff *skb) noexcept nogil:
    return not skb.unreadable

cdef inline bint skb_has_frag_list(const sk_buff *skb) noexcept nogil:
    return skb.frag_list != NULL

cdef inline bint skb_has_shared_frag(const sk_buff *skb) noexcept nogil:
    return skb_is_nonlinear(skb) and skb.shinfo.flags & SKBFL_SHARED_FRAG

# ---------------------------------------------------------------------------------------------- zerocopy (tests only)

cdef inline void *skb_zcopy(const sk_buff *skb) noexcept nogil:
    if skb != NULL and skb.shinfo.flags & SKBFL_ZEROCOPY_ENABLE:
        return <void *>skb.shinfo.destructor_arg
    return NULL

cdef inline bint skb_zcopy_pure(const sk_buff *skb) noexcept nogil:
    return (skb.shinfo.flags & SKBFL_PURE_ZEROCOPY) != 0

cdef inline bint skb_zcopy_managed(const sk_buff *skb) noexcept nogil:
    return (skb.shinfo.flags & SKBFL_MANAGED_FRAG_REFS) != 0

cdef inline bint skb_pure_zcopy_same(const sk_buff *skb1, const sk_buff *skb2) noexcept nogil:
    return skb_zcopy_pure(skb1) == skb_zcopy_pure(skb2)

cdef inline bint skb_can_coalesce(sk_buff *skb, int i, u64 page, int off) noexcept nogil:
    cdef skb_frag_t *frag
    if skb_zcopy(skb) != NULL:
        return 0
    if i:
        frag = &skb.shinfo.frags[i - 1]
        return page == frag.page and <u32>off == frag.offset + frag.len
    return 0

# ---------------------------------------------------------------------------------------------- small state

cdef inline dst_entry *skb_dst(const sk_buff *skb) noexcept nogil:
    return <dst_entry *>skb.dst

# Takes over the caller's reference.
cdef inline void skb_dst_set(sk_buff *skb, dst_entry *dst) noexcept nogil:
    skb.dst = dst

# Here too the skb gets a reference of its own.
cdef inline void skb_dst_set_noref(sk_buff *skb, dst_entry *dst) noexcept nogil:
    if dst != NULL:
        dst.refcnt += 1
    skb.dst = dst

cdef inline bint skb_dst_is_noref(const sk_buff *skb) noexcept nogil:
    return 0

cdef inline void skb_clear_hash(sk_buff *skb) noexcept nogil:
    skb.hash = 0
    skb.sw_hash = 0
    skb.l4_hash = 0

cdef inline void skb_copy_hash(sk_buff *to, const sk_buff *from_) noexcept nogil:
    to.hash = from_.hash
    to.sw_hash = from_.sw_hash
    to.l4_hash = from_.l4_hash

cdef inline int skb_cmp_decrypted(const sk_buff *skb1, const sk_buff *skb2) noexcept nogil:
    return <int>skb2.decrypted - <int>skb1.decrypted

cdef inline bint skb_is_decrypted(const sk_buff *skb) noexcept nogil:
    return skb.decrypted != 0

cdef inline void skb_copy_decrypted(sk_buff *to, const sk_buff *from_) noexcept nogil:
    to.decrypted = from_.decrypted

cdef inline void skb_set_dst_pending_confirm(sk_buff *skb, u32 val) noexcept nogil:
    skb.dst_pending_confirm = val & 1

cdef inline bint skb_get_dst_pending_confirm(const sk_buff *skb) noexcept nogil:
    return skb.dst_pending_confirm != 0

cdef inline bint skb_is_gso(const sk_buff *skb) noexcept nogil:
    return skb.shinfo.gso_size != 0

cdef inline bint skb_is_gso_tcp(const sk_buff *skb) noexcept nogil:
    return (skb.shinfo.gso_type & (SKB_GSO_TCPV4 | SKB_GSO_TCPV6)) != 0

cdef inline void skb_gso_reset(sk_buff *skb) noexcept nogil:
    skb.shinfo.gso_size = 0
    skb.shinfo.gso_segs = 0
    skb.shinfo.gso_type = 0

cdef inline bint skb_csum_unnecessary(const sk_buff *skb) noexcept nogil:
    return (skb.ip_summed == CHECKSUM_UNNECESSARY or skb.csum_valid or
            (skb.ip_summed == CHECKSUM_PARTIAL and skb_checksum_start_offset(skb) >= 0))

# csum_level is always 0 here: one checksum a packet.
cdef inline void __skb_decr_checksum_unnecessary(sk_buff *skb) noexcept nogil:
    if skb.ip_summed == CHECKSUM_UNNECESSARY:
        skb.ip_summed = CHECKSUM_NONE

cdef inline void __skb_incr_checksum_unnecessary(sk_buff *skb) noexcept nogil:
    if skb.ip_summed == CHECKSUM_NONE:
        skb.ip_summed = CHECKSUM_UNNECESSARY

cdef inline ktime_t skb_get_ktime(const sk_buff *skb) noexcept nogil:
    return <ktime_t>skb.skb_mstamp_ns

cdef inline void skb_set_delivery_time(sk_buff *skb, ktime_t kt, u8 tstamp_type) noexcept nogil:
    skb.skb_mstamp_ns = <u64>kt
    skb.tstamp_type = tstamp_type if kt else SKB_CLOCK_REALTIME

cdef inline void skb_clear_delivery_time(sk_buff *skb) noexcept nogil:
    if skb.tstamp_type:
        skb.tstamp_type = SKB_CLOCK_REALTIME
        skb.skb_mstamp_ns = 0

# All bytes from `data` on are really in the capture, one after the other.
cdef inline bint skb_bytes_present(const sk_buff *skb) noexcept nogil:
    return skb.data != NULL and not skb.data_is_payload_copy and skb.caplen_left >= skb.len
