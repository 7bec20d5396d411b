"""Segments: allocation, cloning, freeing, trimming, splitting, shifting and coalescing, with the kernel's truesize.

What it does: keeps the books of what each segment costs. The receive window, the send buffer, coalescing and
collapsing are decided on these numbers, so the sizes of the kernel's allocator (kmalloc buckets,
skb_small_head_cache, page fragments) are the kernel's.

Follows net/core/skbuff.c and parts of net/core/datagram.c and mm/slab_common.c of Linux 6.18 (GPL-2.0-only), x86_64,
SLUB.

Deviations: no payload is stored, so copies only count; a frag_list only marks a received packet that GRO had to
chain; no user pages (MSG_ZEROCOPY), splice or device memory; time stamps on the error queue, if asked for, are reported
as not ported.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.checksum cimport *
from kpath_c.headers.errqueue cimport *
from kpath_c.shim.rbtree cimport rb_erase
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_free
from kpath_c.net_sock cimport sock_put
from kpath_c.sock cimport sk_error_report, sock_edemux, sock_omalloc

cdef enum:
    # SKB_HEAD_ALIGN(max(MAX_TCP_HEADER, GRO_MAX_HEAD + NET_SKB_PAD)): 224 rounded to 256, and skb_shared_info
    SKB_SMALL_HEAD_CACHE_SIZE = 576
    SKB_SMALL_HEAD_HEADROOM = 256
    KMALLOC_MAX_CACHE_SIZE = 8192
    KMALLOC_MAX_SIZE = 4 << 20
    # where in a page malloc()ed memory of a user begins
    USER_OFFSET = 16


# ---------------------------------------------------------------------------------------------- memory

cdef unsigned int kmalloc_size_roundup(unsigned int size) noexcept nogil:
    """The size of the kmalloc bucket, or the pages, that hold size bytes."""
    if size == 0 or size > KMALLOC_MAX_SIZE:
        return size
    if size <= 8:
        return 8
    if 64 < size <= 96:
        return 96
    if 128 < size <= 192:
        return 192
    if size <= KMALLOC_MAX_CACHE_SIZE:
        return <unsigned int>roundup_pow_of_two(size)
    return <unsigned int>roundup_pow_of_two(<unsigned long>max_u32(size, PAGE_SIZE))


# How many bytes are really allocated for a head of size bytes and its skb_shared_info.
cdef inline unsigned int kmalloc_reserve(unsigned int size) noexcept nogil:
    cdef unsigned int obj_size = SKB_HEAD_ALIGN(size)
    if obj_size <= SKB_SMALL_HEAD_CACHE_SIZE:
        return SKB_SMALL_HEAD_CACHE_SIZE
    return kmalloc_size_roundup(obj_size)


cdef u64 alloc_page_ref(net *n, u32 order) noexcept nogil:
    cdef page_ref *p = <page_ref *>kmem_cache_alloc(&n.page_slab)
    if p == NULL:
        return 0
    p.refcount = 1
    p.order = order
    p.net = n
    return <u64><size_t>p


cdef void put_page(u64 page) noexcept nogil:
    cdef page_ref *p = <page_ref *>page
    if p == NULL:
        return
    p.refcount -= 1
    if p.refcount == 0:
        kmem_cache_free(&p.net.page_slab, p)


cdef inline void __skb_frag_unref(skb_frag_t *frag) noexcept nogil:
    put_page(frag.page)


cdef void skb_frag_unref(sk_buff *skb, int f) noexcept nogil:
    put_page(skb.shinfo.frags[f].page)


# ---------------------------------------------------------------------------------------------- allocation

# All but the fragments is cleared: they are only valid up to nr_frags.
cdef inline void skbuff_clear(sk_buff *skb) noexcept nogil:
    clear(skb, <size_t>&(<sk_buff *>NULL).shinfo.frags)


cdef inline void __finalize_skb_around(sk_buff *skb, net *n, unsigned int size) noexcept nogil:
    size -= SKB_SHINFO_ALIGNED
    skb.net = n
    skb.truesize = SKB_TRUESIZE(size)
    skb.users = 1
    skb.end_offset = size
    skb.packet_index = -1


cdef sk_buff *__alloc_skb(net *n, unsigned int size, gfp_t gfp_mask, int flags, int node) noexcept nogil:
    cdef sk_buff *skb
    if flags & SKB_ALLOC_FCLONE:
        skb = <sk_buff *>kmem_cache_alloc(&n.skbuff_fclone_cache)
    else:
        skb = <sk_buff *>kmem_cache_alloc(&n.skbuff_cache)
    if skb == NULL:
        return NULL
    skbuff_clear(skb)
    __finalize_skb_around(skb, n, kmalloc_reserve(size))
    if flags & SKB_ALLOC_FCLONE:
        skb.fclone = SKB_FCLONE_ORIG
        skb.fclone_users = 1
        skb.fclone_orig = skb + 1
    return skb


cdef sk_buff *alloc_skb(net *n, unsigned int size, gfp_t priority) noexcept nogil:
    return __alloc_skb(n, size, priority, 0, -1)


cdef sk_buff *alloc_skb_fclone(net *n, unsigned int size, gfp_t priority) noexcept nogil:
    return __alloc_skb(n, size, priority, SKB_ALLOC_FCLONE, -1)


cdef sk_buff *build_skb(net *n, unsigned int frag_size) noexcept nogil:
    """An skb around frag_size bytes of a page, skb_shared_info included: what a driver does with a receive buffer."""
    cdef sk_buff *skb = <sk_buff *>kmem_cache_alloc(&n.skbuff_cache)
    if skb == NULL:
        return NULL
    skbuff_clear(skb)
    __finalize_skb_around(skb, n, frag_size)
    skb.head_frag = 1
    return skb


cdef sk_buff *alloc_skb_with_frags(net *n, unsigned long header_len, unsigned long data_len, int order, int *errcode,
                                   gfp_t gfp_mask) noexcept nogil:
    cdef unsigned long chunk
    cdef sk_buff *skb
    cdef int nr_frags = 0
    cdef u64 page
    errcode[0] = -EMSGSIZE
    if data_len > <unsigned long>MAX_SKB_FRAGS * (<unsigned long>PAGE_SIZE << order):
        return NULL
    errcode[0] = -ENOBUFS
    skb = alloc_skb(n, <unsigned int>header_len, gfp_mask)
    if skb == NULL:
        return NULL
    while data_len:
        if nr_frags == MAX_SKB_FRAGS:
            kfree_skb(skb)
            return NULL
        while order and ALIGN(data_len, PAGE_SIZE) < <unsigned long>PAGE_SIZE << order:
            order -= 1
        page = alloc_page_ref(n, <u32>order)
        if page == 0:
            kfree_skb(skb)
            return NULL
        chunk = min_ulong(data_len, <unsigned long>PAGE_SIZE << order)
        skb_fill_page_desc(skb, nr_frags, page, 0, <int>chunk)
        nr_frags += 1
        skb.truesize += <u32>(PAGE_SIZE << order)
        data_len -= chunk
    return skb


cdef void skb_add_rx_frag(sk_buff *skb, int i, u64 page, int off, int size, unsigned int truesize) noexcept nogil:
    skb_fill_page_desc(skb, i, page, off, size)
    skb.len += <u32>size
    skb.data_len += <u32>size
    skb.truesize += truesize


cdef void skb_coalesce_rx_frag(sk_buff *skb, int i, int size, unsigned int truesize) noexcept nogil:
    skb_frag_size_add(&skb.shinfo.frags[i], size)
    skb.len += <u32>size
    skb.data_len += <u32>size
    skb.truesize += truesize


# ---------------------------------------------------------------------------------------------- freeing

# Leaves the ring of those who share the data; true: nobody else is left, so the data goes too.
cdef inline bint skb_data_unref(sk_buff *skb) noexcept nogil:
    if not skb.cloned or list_empty(&skb.data_users):
        return 1
    list_del_init(&skb.data_users)
    return 0


cdef void skb_release_data(sk_buff *skb, int reason) noexcept nogil:
    cdef int i
    if skb_data_unref(skb):
        for i in range(skb.shinfo.nr_frags):
            __skb_frag_unref(&skb.shinfo.frags[i])
        if skb.frag_list != NULL:
            kfree_skb_list_reason(skb.frag_list, SKB_CONSUMED)
        skb_zcopy_clear(skb, 1)
    skb.pp_recycle = 0


cdef void kfree_skbmem(sk_buff *skb) noexcept nogil:
    cdef sk_buff *orig
    if skb.fclone == SKB_FCLONE_UNAVAILABLE:
        kmem_cache_free(&skb.net.skbuff_cache, skb)
        return
    orig = skb if skb.fclone == SKB_FCLONE_ORIG else skb.fclone_orig
    orig.fclone_users -= 1
    if orig.fclone_users == 0:
        kmem_cache_free(&orig.net.skbuff_fclone_cache, orig)


cdef void skb_release_head_state(sk_buff *skb) noexcept nogil:
    skb_dst_drop(skb)
    if skb.destructor != NULL:
        skb.destructor(skb)
        skb.destructor = NULL
        skb.sk = NULL


cdef inline void skb_release_all(sk_buff *skb, int reason) noexcept nogil:
    skb_release_head_state(skb)
    skb_release_data(skb, reason)


cdef void __kfree_skb(sk_buff *skb) noexcept nogil:
    skb_release_all(skb, SKB_DROP_REASON_NOT_SPECIFIED)
    kfree_skbmem(skb)


cdef void sk_skb_reason_drop(sock *sk, sk_buff *skb, int reason) noexcept nogil:
    """Gives up a reference; with the last one the packet is dropped for this reason."""
    if not skb_unref(skb):
        return
    if reason != SKB_CONSUMED and skb.net.hooks.drop != NULL:
        skb.net.hooks.drop(skb.net.hooks.ctx, skb, reason)
    __kfree_skb(skb)


cdef void kfree_skb_reason(sk_buff *skb, int reason) noexcept nogil:
    sk_skb_reason_drop(NULL, skb, reason)


cdef void kfree_skb(sk_buff *skb) noexcept nogil:
    sk_skb_reason_drop(NULL, skb, SKB_DROP_REASON_NOT_SPECIFIED)


cdef void kfree_skb_list_reason(sk_buff *segs, int reason) noexcept nogil:
    cdef sk_buff *next
    while segs != NULL:
        next = segs.next
        sk_skb_reason_drop(NULL, segs, reason)
        segs = next


cdef void kfree_skb_list(sk_buff *segs) noexcept nogil:
    kfree_skb_list_reason(segs, SKB_DROP_REASON_NOT_SPECIFIED)


cdef void consume_skb(sk_buff *skb) noexcept nogil:
    if skb_unref(skb):
        __kfree_skb(skb)


cdef void __consume_stateless_skb(sk_buff *skb) noexcept nogil:
    skb_release_data(skb, SKB_CONSUMED)
    kfree_skbmem(skb)


# One CPU: what another one would be asked to free is freed here.
cdef void skb_attempt_defer_free(sk_buff *skb) noexcept nogil:
    __kfree_skb(skb)


cdef void kfree_skb_partial(sk_buff *skb, bint head_stolen) noexcept nogil:
    if head_stolen:
        skb_release_head_state(skb)
        kmem_cache_free(&skb.net.skbuff_cache, skb)
    else:
        __kfree_skb(skb)


# ---------------------------------------------------------------------------------------------- cloning and copying

cdef void __copy_skb_header(sk_buff *new, const sk_buff *old) noexcept nogil:
    new.skb_mstamp_ns = old.skb_mstamp_ns
    new.dev = old.dev
    new.cb = old.cb
    skb_dst_copy(new, old)
    new.queue_mapping = old.queue_mapping
    new.pkt_type = old.pkt_type
    new.dst_pending_confirm = old.dst_pending_confirm
    new.ip_summed = old.ip_summed
    new.ooo_okay = old.ooo_okay
    new.tstamp_type = old.tstamp_type
    new.ignore_df = old.ignore_df
    new.l4_hash = old.l4_hash
    new.sw_hash = old.sw_hash
    new.wifi_acked_valid = old.wifi_acked_valid
    new.csum_valid = old.csum_valid
    new.decrypted = old.decrypted
    new.unreadable = old.unreadable
    new.csum = old.csum
    new.priority = old.priority
    new.skb_iif = old.skb_iif
    new.hash = old.hash
    new.mark = old.mark
    new.reserved_tailroom = old.reserved_tailroom
    new.protocol = old.protocol
    new.transport_header = old.transport_header
    new.network_header = old.network_header


# Who shares data shares skb_shared_info: fragments are counted once for all of them.
cdef inline void copy_shinfo(sk_buff *new, const sk_buff *old) noexcept nogil:
    cdef size_t size = <size_t>&(<skb_shared_info *>NULL).frags + old.shinfo.nr_frags * sizeof(skb_frag_t)
    memcpy(&new.shinfo, &old.shinfo, size)


cdef sk_buff *__skb_clone(sk_buff *n, sk_buff *skb) noexcept nogil:
    n.next = NULL
    n.prev = NULL
    n.sk = NULL
    n.net = skb.net
    n.destructor = NULL
    __copy_skb_header(n, skb)
    n.len = skb.len
    n.data_len = skb.data_len
    n.mac_len = skb.mac_len
    n.hdr_len = <u16>(skb.headroom if skb.nohdr else skb.hdr_len)
    n.cloned = 1
    n.nohdr = 0
    n.peeked = 0
    n.pfmemalloc = skb.pfmemalloc
    n.pp_recycle = skb.pp_recycle
    n.head_frag = skb.head_frag
    n.tail_offset = skb.tail_offset
    n.end_offset = skb.end_offset
    n.headroom = skb.headroom
    n.data = skb.data
    n.caplen_left = skb.caplen_left
    n.packet_index = skb.packet_index
    n.data_is_payload_copy = skb.data_is_payload_copy
    n.peer_holds_data = skb.peer_holds_data
    n.frag_list = skb.frag_list
    n.truesize = skb.truesize
    n.users = 1
    copy_shinfo(n, skb)
    if not skb.cloned:
        INIT_LIST_HEAD(&skb.data_users)
        skb.cloned = 1
    list_add(&n.data_users, &skb.data_users)
    return n


cdef sk_buff *skb_clone(sk_buff *skb, gfp_t gfp_mask) noexcept nogil:
    cdef sk_buff *n
    if skb.fclone == SKB_FCLONE_ORIG and skb.fclone_users == 1:
        n = skb.fclone_orig
        skb.fclone_users = 2
        n.fclone = SKB_FCLONE_CLONE
        n.fclone_orig = skb
    else:
        n = <sk_buff *>kmem_cache_alloc(&skb.net.skbuff_cache)
        if n == NULL:
            return NULL
        n.fclone = SKB_FCLONE_UNAVAILABLE
        n.fclone_orig = NULL
    return __skb_clone(n, skb)


cdef void skb_copy_header(sk_buff *new, const sk_buff *old) noexcept nogil:
    __copy_skb_header(new, old)
    new.shinfo.gso_size = old.shinfo.gso_size
    new.shinfo.gso_segs = old.shinfo.gso_segs
    new.shinfo.gso_type = old.shinfo.gso_type


# A copy of a received packet reads the same bytes of the capture.
cdef inline void copy_capture(sk_buff *new, const sk_buff *old) noexcept nogil:
    new.data = old.data
    new.caplen_left = old.caplen_left
    new.packet_index = old.packet_index
    new.data_is_payload_copy = old.data_is_payload_copy


cdef sk_buff *skb_copy(sk_buff *skb, gfp_t gfp_mask) noexcept nogil:
    """A copy that is linear."""
    cdef sk_buff *n = __alloc_skb(skb.net, skb.end_offset + skb.data_len, gfp_mask, 0, -1)
    if n == NULL:
        return NULL
    skb_reserve(n, <int>skb.headroom)
    skb_put(n, skb.len)
    copy_capture(n, skb)
    skb_copy_header(n, skb)
    return n


cdef sk_buff *__pskb_copy_fclone(sk_buff *skb, int headroom, gfp_t gfp_mask, bint fclone) noexcept nogil:
    """A copy with a head of its own and the same fragments."""
    cdef unsigned int size = skb_headlen(skb) + <unsigned int>headroom
    cdef sk_buff *n = __alloc_skb(skb.net, size, gfp_mask, SKB_ALLOC_FCLONE if fclone else 0, -1)
    cdef int i
    if n == NULL:
        return NULL
    skb_reserve(n, headroom)
    skb_put(n, skb_headlen(skb))
    n.truesize += skb.data_len
    n.data_len = skb.data_len
    n.len = skb.len
    for i in range(skb.shinfo.nr_frags):
        n.shinfo.frags[i] = skb.shinfo.frags[i]
        skb_frag_ref(skb, i)
    n.shinfo.nr_frags = skb.shinfo.nr_frags
    n.shinfo.flags |= skb.shinfo.flags & SKBFL_SHARED_FRAG
    copy_capture(n, skb)
    skb_copy_header(n, skb)
    return n


cdef sk_buff *pskb_copy(sk_buff *skb, gfp_t gfp_mask) noexcept nogil:
    return __pskb_copy_fclone(skb, <int>skb.headroom, gfp_mask, 0)


cdef int pskb_expand_head(sk_buff *skb, int nhead, int ntail, gfp_t gfp_mask) noexcept nogil:
    """Gives the skb a new head, which nobody shares, with nhead and ntail bytes more of room."""
    cdef unsigned int osize = skb.end_offset
    cdef unsigned int size = SKB_WITH_OVERHEAD(kmalloc_reserve(osize + <unsigned int>(nhead + ntail)))
    cdef int i
    BUG_ON(nhead < 0 or skb_shared(skb))
    if skb_cloned(skb):
        if skb_zcopy(skb) != NULL:
            skb_uarg(skb).refcnt += 1
        for i in range(skb.shinfo.nr_frags):
            skb_frag_ref(skb, i)
        skb_release_data(skb, SKB_CONSUMED)
    skb.head_frag = 0
    skb.end_offset = size
    skb.headroom += <u32>nhead
    skb.tail_offset += <u32>nhead
    skb.cloned = 0
    skb.hdr_len = 0
    skb.nohdr = 0
    # The truesize of what a socket is charged for stays.
    if skb.sk == NULL or skb.destructor == sock_edemux:
        skb.truesize += size - osize
    return 0


cdef int skb_unclone(sk_buff *skb, gfp_t pri) noexcept nogil:
    return pskb_expand_head(skb, 0, 0, pri) if skb_cloned(skb) else 0


cdef int skb_header_unclone(sk_buff *skb, gfp_t pri) noexcept nogil:
    return pskb_expand_head(skb, 0, 0, pri) if skb_header_cloned(skb) else 0


cdef int __skb_unclone_keeptruesize(sk_buff *skb, gfp_t pri) noexcept nogil:
    cdef unsigned int saved_end_offset = skb.end_offset
    cdef unsigned int saved_truesize = skb.truesize
    cdef int res = pskb_expand_head(skb, 0, 0, pri)
    if res:
        return res
    skb.truesize = saved_truesize
    if skb.end_offset == saved_end_offset:
        return 0
    if saved_end_offset == SKB_SMALL_HEAD_HEADROOM or skb.end_offset == SKB_SMALL_HEAD_HEADROOM:
        return 0
    skb.end_offset = saved_end_offset
    return 0


cdef int skb_unclone_keeptruesize(sk_buff *skb, gfp_t pri) noexcept nogil:
    return __skb_unclone_keeptruesize(skb, pri) if skb_cloned(skb) else 0


# ---------------------------------------------------------------------------------------------- put, trim, pull

cdef void *skb_put(sk_buff *skb, unsigned int length) noexcept nogil:
    cdef void *tmp = __skb_put(skb, length)
    BUG_ON(skb.data_len != 0 or skb.tail_offset > skb.end_offset)
    return tmp


cdef void skb_trim(sk_buff *skb, unsigned int length) noexcept nogil:
    if skb.len > length:
        __skb_trim(skb, length)


cdef int ___pskb_trim(sk_buff *skb, unsigned int length) noexcept nogil:
    cdef unsigned int offset = skb_headlen(skb)
    cdef unsigned int end
    cdef int nfrags = skb.shinfo.nr_frags
    cdef int i = 0
    cdef int err
    if skb_cloned(skb):
        err = pskb_expand_head(skb, 0, 0, GFP_ATOMIC)
        if err:
            return err
    if offset < length:
        while i < nfrags:
            end = offset + skb.shinfo.frags[i].len
            if end >= length:
                skb.shinfo.frags[i].len = length - offset
                i += 1
                break
            offset = end
            i += 1
    skb.shinfo.nr_frags = <u8>i
    while i < nfrags:
        skb_frag_unref(skb, i)
        i += 1
    if length > skb_headlen(skb):
        skb.data_len -= skb.len - length
        skb.len = length
    else:
        skb.len = length
        skb.data_len = 0
        skb_set_tail_pointer(skb, <int>length)
    if skb.sk == NULL or skb.destructor == sock_edemux:
        skb_condense(skb)
    return 0


cdef int __pskb_trim(sk_buff *skb, unsigned int length) noexcept nogil:
    if skb.data_len:
        return ___pskb_trim(skb, length)
    __skb_trim(skb, length)
    return 0


cdef int pskb_trim(sk_buff *skb, unsigned int length) noexcept nogil:
    return __pskb_trim(skb, length) if length < skb.len else 0


cdef int pskb_trim_rcsum_slow(sk_buff *skb, unsigned int length) noexcept nogil:
    if skb.ip_summed == CHECKSUM_COMPLETE:
        skb.csum = csum_block_add(skb.csum, ~skb_checksum(skb, <int>length, <int>(skb.len - length), 0), <int>length)
    return __pskb_trim(skb, length)


cdef void *__pskb_pull_tail(sk_buff *skb, int delta) noexcept nogil:
    """Moves delta bytes from the fragments into the head."""
    cdef int eat = <int>(skb.tail_offset + <u32>delta) - <int>skb.end_offset
    cdef unsigned int left = <unsigned int>delta
    cdef unsigned int size
    cdef int i
    cdef int k = 0
    if eat > 0 or skb_cloned(skb):
        if pskb_expand_head(skb, 0, eat + 128 if eat > 0 else 0, GFP_ATOMIC):
            return NULL
    for i in range(skb.shinfo.nr_frags):
        size = skb.shinfo.frags[i].len
        if size <= left:
            skb_frag_unref(skb, i)
            left -= size
        else:
            skb.shinfo.frags[k] = skb.shinfo.frags[i]
            if left:
                skb.shinfo.frags[k].offset += left
                skb.shinfo.frags[k].len -= left
                left = 0
            k += 1
    skb.shinfo.nr_frags = <u8>k
    skb.tail_offset += <u32>delta
    skb.data_len -= <u32>delta
    return skb.data if skb.data != NULL else <void *>skb


cdef int pskb_pull_more(sk_buff *skb, unsigned int length) noexcept nogil:
    """The slow part of pskb_may_pull_reason()."""
    # What the capture cut off cannot be read, however long the packet was.
    if skb.data != NULL and length > skb.caplen_left:
        return SKB_DROP_REASON_PKT_TOO_SMALL
    if length <= skb_headlen(skb):
        return SKB_NOT_DROPPED_YET
    if length > skb.len:
        return SKB_DROP_REASON_PKT_TOO_SMALL
    if __pskb_pull_tail(skb, <int>(length - skb_headlen(skb))) == NULL:
        return SKB_DROP_REASON_NOMEM
    return SKB_NOT_DROPPED_YET


cdef bint pskb_network_may_pull(sk_buff *skb, unsigned int length) noexcept nogil:
    return pskb_may_pull(skb, <unsigned int>skb_network_offset(skb) + length)


cdef void *pskb_pull(sk_buff *skb, unsigned int length) noexcept nogil:
    if not pskb_may_pull(skb, length):
        return NULL
    return __skb_pull(skb, length)


cdef int skb_linearize(sk_buff *skb) noexcept nogil:
    if skb_is_nonlinear(skb) and __pskb_pull_tail(skb, <int>skb.data_len) == NULL:
        return -ENOMEM
    return 0


cdef void skb_condense(sk_buff *skb) noexcept nogil:
    """Pulls the fragments into the head if they fit, and then counts the head alone."""
    if skb.data_len:
        if skb.data_len > skb.end_offset - skb.tail_offset or skb_cloned(skb) or not skb_frags_readable(skb):
            return
        __pskb_pull_tail(skb, <int>skb.data_len)
    skb.truesize = SKB_TRUESIZE(skb.end_offset)


# ---------------------------------------------------------------------------------------------- reading bytes

cdef int skb_copy_bits(const sk_buff *skb, int offset, void *to, int length) noexcept nogil:
    """Bytes of the packet; zeros for those that the capture does not hold. Nothing is written if `to` is NULL."""
    cdef int there = 0
    if offset > <int>skb.len - length:
        return -EFAULT
    if to == NULL or length <= 0:
        return 0
    if skb.data != NULL and not skb.data_is_payload_copy:
        there = min_int(length, max_int(<int>skb.caplen_left - offset, 0))
    if there > 0:
        memcpy(to, skb.data + offset, <size_t>there)
    if there < length:
        memset(<u8 *>to + there, 0, <size_t>(length - there))
    return 0


cdef void *skb_header_pointer(const sk_buff *skb, int offset, int length, void *buffer) noexcept nogil:
    if skb.data != NULL and <int>skb_headlen(skb) - offset >= length and <int>skb.caplen_left - offset >= length:
        return <void *>(skb.data + offset)
    if skb_copy_bits(skb, offset, buffer, length) < 0:
        return NULL
    return buffer


cdef int skb_copy_datagram_msg(const sk_buff *skb, int offset, msghdr *msg, int length) noexcept nogil:
    cdef u8 *to
    if offset + length > <int>skb.len or <size_t>length > msg.count or (length and msg_fault(msg)):
        return -EFAULT
    to = msg.buf
    if to != NULL:
        to += msg.iov_offset
    msg.iov_offset += <size_t>length
    msg.count -= <size_t>length
    # Last, so that nothing has to be kept over the call that most reads do without.
    return 0 if to == NULL else skb_copy_bits(skb, offset, to, length)


cdef u32 skb_checksum(const sk_buff *skb, int offset, int length, u32 csum) noexcept nogil:
    """The sum of bytes that the capture holds, added to csum."""
    if skb.data == NULL or offset + length > <int>skb.caplen_left:
        return csum
    return csum_block_add(csum, csum_partial(skb.data + offset, length, 0), 0)


cdef __sum16 __skb_checksum_complete(sk_buff *skb) noexcept nogil:
    """0: the packet's checksum is right. skb.csum holds the pseudo header's sum. A cut packet is taken as right."""
    cdef u32 csum
    cdef __sum16 sum_
    if not skb_bytes_present(skb):
        skb.csum_valid = 1
        return 0
    csum = skb_checksum(skb, 0, <int>skb.len, 0)
    sum_ = csum_fold(csum_add(skb.csum, csum))
    if not skb_shared(skb):
        skb.csum = csum
        skb.ip_summed = CHECKSUM_COMPLETE
        skb.csum_valid = not sum_
    return sum_


cdef __sum16 skb_checksum_complete(sk_buff *skb) noexcept nogil:
    return 0 if skb_csum_unnecessary(skb) else __skb_checksum_complete(skb)


# ---------------------------------------------------------------------------------------------- queues

cdef sk_buff *skb_dequeue(sk_buff_head *list) noexcept nogil:
    return __skb_dequeue(list)


cdef sk_buff *skb_dequeue_tail(sk_buff_head *list) noexcept nogil:
    return __skb_dequeue_tail(list)


cdef void skb_queue_head(sk_buff_head *list, sk_buff *newsk) noexcept nogil:
    __skb_queue_head(list, newsk)


cdef void skb_queue_tail(sk_buff_head *list, sk_buff *newsk) noexcept nogil:
    __skb_queue_tail(list, newsk)


cdef void skb_unlink(sk_buff *skb, sk_buff_head *list) noexcept nogil:
    __skb_unlink(skb, list)


cdef void skb_append(sk_buff *old, sk_buff *newsk, sk_buff_head *list) noexcept nogil:
    __skb_queue_after(list, old, newsk)


cdef void skb_queue_purge_reason(sk_buff_head *list, int reason) noexcept nogil:
    cdef sk_buff *skb = __skb_dequeue(list)
    while skb != NULL:
        kfree_skb_reason(skb, reason)
        skb = __skb_dequeue(list)


cdef void __skb_queue_purge(sk_buff_head *list) noexcept nogil:
    skb_queue_purge_reason(list, SKB_DROP_REASON_QUEUE_PURGE)


cdef void skb_queue_purge(sk_buff_head *list) noexcept nogil:
    skb_queue_purge_reason(list, SKB_DROP_REASON_QUEUE_PURGE)


cdef unsigned int skb_rbtree_purge(rb_root *root) noexcept nogil:
    """Frees all; returns the sum of their truesizes."""
    cdef rb_node *p = rb_first(root)
    cdef sk_buff *skb
    cdef unsigned int total = 0
    while p != NULL:
        skb = rb_to_skb(p)
        p = rb_next(p)
        rb_erase(&skb.rbnode, root)
        total += skb.truesize
        kfree_skb(skb)
    return total


# ---------------------------------------------------------------------------------------------- splitting, shifting

cdef void skb_split_inside_header(sk_buff *skb, sk_buff *skb1, u32 length, int pos) noexcept nogil:
    cdef int i
    skb_put(skb1, <unsigned int>pos - length)
    for i in range(skb.shinfo.nr_frags):
        skb1.shinfo.frags[i] = skb.shinfo.frags[i]
    skb1.shinfo.nr_frags = skb.shinfo.nr_frags
    skb1.unreadable = skb.unreadable
    skb.shinfo.nr_frags = 0
    skb1.data_len = skb.data_len
    skb1.len += skb1.data_len
    skb.data_len = 0
    skb.len = length
    skb_set_tail_pointer(skb, <int>length)


cdef void skb_split_no_header(sk_buff *skb, sk_buff *skb1, u32 length, int pos) noexcept nogil:
    cdef int i, size
    cdef int k = 0
    cdef int nfrags = skb.shinfo.nr_frags
    cdef int n = <int>length
    skb.shinfo.nr_frags = 0
    skb1.data_len = skb.len - length
    skb1.len = skb1.data_len
    skb.len = length
    skb.data_len = length - <u32>pos
    for i in range(nfrags):
        size = <int>skb.shinfo.frags[i].len
        if pos + size > n:
            skb1.shinfo.frags[k] = skb.shinfo.frags[i]
            if pos < n:
                # The cut is in this fragment: both have a part of its page.
                skb_frag_ref(skb, i)
                skb_frag_off_add(&skb1.shinfo.frags[0], n - pos)
                skb_frag_size_sub(&skb1.shinfo.frags[0], n - pos)
                skb_frag_size_set(&skb.shinfo.frags[i], <unsigned int>(n - pos))
                skb.shinfo.nr_frags += 1
            k += 1
        else:
            skb.shinfo.nr_frags += 1
        pos += size
    skb1.shinfo.nr_frags = <u8>k
    skb1.unreadable = skb.unreadable


cdef void skb_split(sk_buff *skb, sk_buff *skb1, u32 length) noexcept nogil:
    """What lies behind length goes to skb1, which is empty. Truesizes are the caller's business."""
    cdef int pos = <int>skb_headlen(skb)
    skb1.shinfo.flags |= skb.shinfo.flags & (SKBFL_SHARED_FRAG | SKBFL_PURE_ZEROCOPY)
    skb_zcopy_set(skb1, <ubuf_info_msgzc *>skb_zcopy(skb))
    if length < <u32>pos:
        skb_split_inside_header(skb, skb1, length, pos)
    else:
        skb_split_no_header(skb, skb1, length, pos)


cdef inline int skb_prepare_for_shift(sk_buff *skb) noexcept nogil:
    return skb_unclone_keeptruesize(skb, GFP_ATOMIC)


cdef int skb_shift(sk_buff *tgt, sk_buff *skb, int shiftlen) noexcept nogil:
    """Moves shiftlen bytes from the front of skb to the end of tgt; 0: it cannot be done, and nothing has changed."""
    cdef int from_ = 0
    cdef int to = tgt.shinfo.nr_frags
    cdef int merge = -1
    cdef int todo = shiftlen
    cdef bint onlymerged = 0
    cdef skb_frag_t *fragfrom = &skb.shinfo.frags[0]
    cdef skb_frag_t *fragto

    BUG_ON(<u32>shiftlen > skb.len)
    if skb_headlen(skb):
        return 0
    if skb_zcopy(tgt) != NULL or skb_zcopy(skb) != NULL:
        return 0

    # Nothing is changed before it is sure that all can be moved.
    if skb_can_coalesce(tgt, to, fragfrom.page, <int>fragfrom.offset):
        merge = to - 1
        todo -= <int>fragfrom.len
        if todo < 0:
            if skb_prepare_for_shift(skb) or skb_prepare_for_shift(tgt):
                return 0
            fragto = &tgt.shinfo.frags[merge]
            skb_frag_size_add(fragto, shiftlen)
            skb_frag_size_sub(fragfrom, shiftlen)
            skb_frag_off_add(fragfrom, shiftlen)
            onlymerged = 1
        else:
            from_ += 1

    if not onlymerged:
        if <u32>shiftlen == skb.len and skb.shinfo.nr_frags - from_ > MAX_SKB_FRAGS - to:
            return 0
        if skb_prepare_for_shift(skb) or skb_prepare_for_shift(tgt):
            return 0
        while todo > 0 and from_ < skb.shinfo.nr_frags:
            if to == MAX_SKB_FRAGS:
                return 0
            fragfrom = &skb.shinfo.frags[from_]
            fragto = &tgt.shinfo.frags[to]
            if todo >= <int>fragfrom.len:
                fragto[0] = fragfrom[0]
                todo -= <int>fragfrom.len
                from_ += 1
                to += 1
            else:
                __skb_frag_ref(fragfrom)
                skb_frag_page_copy(fragto, fragfrom)
                skb_frag_off_copy(fragto, fragfrom)
                skb_frag_size_set(fragto, <unsigned int>todo)
                skb_frag_off_add(fragfrom, todo)
                skb_frag_size_sub(fragfrom, todo)
                todo = 0
                to += 1
                break
        tgt.shinfo.nr_frags = <u8>to
        if merge >= 0:
            fragfrom = &skb.shinfo.frags[0]
            fragto = &tgt.shinfo.frags[merge]
            skb_frag_size_add(fragto, <int>fragfrom.len)
            __skb_frag_unref(fragfrom)
        to = 0
        while from_ < skb.shinfo.nr_frags:
            skb.shinfo.frags[to] = skb.shinfo.frags[from_]
            to += 1
            from_ += 1
        skb.shinfo.nr_frags = <u8>to

    tgt.ip_summed = CHECKSUM_PARTIAL
    skb.ip_summed = CHECKSUM_PARTIAL
    tgt.shinfo.flags |= skb.shinfo.flags & SKBFL_SHARED_FRAG
    skb_len_add(skb, -shiftlen)
    skb_len_add(tgt, shiftlen)
    return shiftlen


cdef int skb_append_pagefrags(sk_buff *skb, u64 page, int offset, size_t size, size_t max_frags) noexcept nogil:
    cdef int i = skb.shinfo.nr_frags
    if skb_can_coalesce(skb, i, page, offset):
        skb_frag_size_add(&skb.shinfo.frags[i - 1], <int>size)
    elif <size_t>i < max_frags:
        get_page(page)
        skb_fill_page_desc(skb, i, page, offset, <int>size)
    else:
        return -EMSGSIZE
    return 0


# Over veth the peer's original in its retransmit queue makes this a clone, until our ACK has reached it.
cdef inline bint peer_holds_data(sk_buff *skb) noexcept nogil:
    if not skb.peer_holds_data:
        return 0
    if skb.sk == NULL or after(skb.cb.end_seq, tcp_sk(skb.sk).rcv_wup):
        return 1
    skb.peer_holds_data = 0
    return 0


cdef bint skb_try_coalesce(sk_buff *to, sk_buff *from_, bint *fragstolen, int *delta_truesize) noexcept nogil:
    """Makes from's bytes the end of to. delta_truesize: what `to` costs more than before."""
    cdef u32 length = from_.len
    cdef int delta
    cdef int i
    fragstolen[0] = 0
    if skb_cloned(to) or to.pp_recycle != from_.pp_recycle or peer_holds_data(to):
        return 0
    if from_.unreadable != to.unreadable:
        return 0
    # Copied into the room behind the last byte: costs nothing.
    if <int>length <= skb_tailroom(to) and skb_frags_readable(from_):
        if length:
            skb_put(to, length)
            to.data_is_payload_copy = 1
        delta_truesize[0] = 0
        return 1
    if to.frag_list != NULL or from_.frag_list != NULL:
        return 0
    if skb_zcopy(to) != NULL or skb_zcopy(from_) != NULL:
        return 0
    if skb_headlen(from_) != 0:
        if to.shinfo.nr_frags + from_.shinfo.nr_frags >= MAX_SKB_FRAGS:
            return 0
        # skb_head_is_locked(): only a head that is part of a page can be taken over.
        if not from_.head_frag or skb_cloned(from_):
            return 0
        delta = <int>(from_.truesize - SKB_BUFF_ALIGNED)
        skb_fill_page_desc(to, to.shinfo.nr_frags, 0, <int>from_.headroom, <int>skb_headlen(from_))
        fragstolen[0] = 1
    else:
        if to.shinfo.nr_frags + from_.shinfo.nr_frags > MAX_SKB_FRAGS:
            return 0
        delta = <int>(from_.truesize - SKB_TRUESIZE(from_.end_offset))

    for i in range(from_.shinfo.nr_frags):
        to.shinfo.frags[to.shinfo.nr_frags + i] = from_.shinfo.frags[i]
        if skb_cloned(from_):
            __skb_frag_ref(&from_.shinfo.frags[i])
    to.shinfo.nr_frags += from_.shinfo.nr_frags
    if from_.shinfo.nr_frags:
        to.shinfo.flags |= from_.shinfo.flags & SKBFL_SHARED_FRAG
    if not skb_cloned(from_):
        from_.shinfo.nr_frags = 0
    to.truesize += <u32>delta
    to.len += length
    to.data_len += length
    to.data_is_payload_copy = 1
    delta_truesize[0] = delta
    return 1


# ---------------------------------------------------------------------------------------------- error queue

cdef void sock_rmem_free(sk_buff *skb) noexcept nogil:
    skb.sk.sk_backlog.rmem_alloc -= <int>skb.truesize


cdef int sock_queue_err_skb(sock *sk, sk_buff *skb) noexcept nogil:
    if <unsigned int>sk.sk_backlog.rmem_alloc + skb.truesize >= <unsigned int>sk.sk_rcvbuf:
        return -ENOMEM
    skb_orphan(skb)
    skb.sk = sk
    skb.destructor = sock_rmem_free
    sk.sk_backlog.rmem_alloc += <int>skb.truesize
    skb.pkt_type = PACKET_OUTGOING
    skb_queue_tail(&sk.sk_error_queue, skb)
    if not sock_flag(sk, SOCK_DEAD):
        sk_error_report(sk)
    return 0


# sk_err of a following ICMP error is not kept with the skb, so it is left as it is.
cdef sk_buff *sock_dequeue_err_skb(sock *sk) noexcept nogil:
    cdef sk_buff *skb = __skb_dequeue(&sk.sk_error_queue)
    if skb != NULL and not skb_queue_empty(&sk.sk_error_queue):
        sk_error_report(sk)
    return skb


cdef void skb_errqueue_purge(sk_buff_head *list) noexcept nogil:
    __skb_queue_purge(list)


cdef void skb_complete_tx_timestamp(sk_buff *skb, sock *sk, int tstype, bint opt_stats) noexcept nogil:
    """__skb_complete_tx_timestamp()."""
    cdef sock_exterr_skb *serr = SKB_EXT_ERR(skb)
    memset(serr, 0, sizeof(serr[0]))
    serr.ee.ee_errno = ENOMSG
    serr.ee.ee_origin = SO_EE_ORIGIN_TIMESTAMPING
    serr.ee.ee_info = <u32>tstype
    serr.opt_stats = opt_stats
    if sk.sk_tsflags & SOF_TIMESTAMPING_OPT_ID:
        serr.ee.ee_data = skb.shinfo.tskey - <u32>sk.sk_tskey
    if sock_queue_err_skb(sk, skb):
        kfree_skb(skb)


cdef bint skb_tstamp_tx_report_so_timestamping(sk_buff *skb, int tstype) noexcept nogil:
    if tstype == SCM_TSTAMP_SCHED:
        return (skb.shinfo.tx_flags & SKBTX_SCHED_TSTAMP) != 0
    if tstype == SCM_TSTAMP_SND:
        return (skb.shinfo.tx_flags & SKBTX_SW_TSTAMP) != 0
    if tstype == SCM_TSTAMP_ACK:
        return (TCP_SKB_CB(skb).txstamp_ack & TSTAMP_ACK_SK) != 0
    return tstype == SCM_TSTAMP_COMPLETION and (skb.shinfo.tx_flags & SKBTX_COMPLETION_TSTAMP) != 0


cdef void __skb_tstamp_tx(sk_buff *orig_skb, sk_buff *ack_skb, void *hwtstamps, sock *sk, int tstype) noexcept nogil:
    """A stamp of what was sent goes to the error queue. No device here makes stamps of its own (hwtstamps is NULL)."""
    cdef sk_buff *skb
    cdef bint tsonly
    if sk == NULL or not skb_tstamp_tx_report_so_timestamping(orig_skb, tstype):
        return
    tsonly = (sk.sk_tsflags & SOF_TIMESTAMPING_OPT_TSONLY) != 0
    if tsonly:
        if sk.sk_tsflags & SOF_TIMESTAMPING_OPT_STATS:
            not_ported(sk.sk_net, "SOF_TIMESTAMPING_OPT_STATS")
        skb = alloc_skb(sk.sk_net, 0, GFP_ATOMIC)
    else:
        skb = skb_clone(orig_skb, GFP_ATOMIC)
    if skb == NULL:
        return
    if tsonly:
        skb.shinfo.tx_flags |= orig_skb.shinfo.tx_flags & SKBTX_ANY_TSTAMP
        skb.shinfo.tskey = orig_skb.shinfo.tskey
    else:
        skb_orphan_frags_rx(skb)
    skb.skb_mstamp_ns = ktime_get_real_ns(sk.sk_net)
    skb_complete_tx_timestamp(skb, sk, tstype, 0)


cdef void skb_tstamp_tx(sk_buff *orig_skb, void *hwtstamps) noexcept nogil:
    __skb_tstamp_tx(orig_skb, NULL, hwtstamps, orig_skb.sk, SCM_TSTAMP_SND)


# ---------------------------------------------------------------------------------------------- MSG_ZEROCOPY

cdef ubuf_info_msgzc *msg_zerocopy_alloc(sock *sk, size_t size) noexcept nogil:
    cdef ubuf_info_msgzc *uarg
    cdef sk_buff *skb = sock_omalloc(sk, 0, GFP_KERNEL)
    if skb == NULL:
        return NULL
    uarg = <ubuf_info_msgzc *>kmem_cache_alloc(&sk.sk_net.misc_slab)
    if uarg == NULL:
        kfree_skb(skb)
        return NULL
    uarg.skb = skb
    uarg.id = <u32>sk.sk_zckey
    sk.sk_zckey += 1
    uarg.len = 1
    uarg.bytelen = <u32>size
    uarg.zerocopy = 1
    uarg.refcnt = 1
    sock_hold(sk)
    return uarg


cdef ubuf_info_msgzc *msg_zerocopy_realloc(sock *sk, size_t size, ubuf_info_msgzc *uarg) noexcept nogil:
    """A further call may join the one before, so that both are told of at once; else a new one."""
    cdef u32 bytelen
    if uarg != NULL:
        bytelen = uarg.bytelen + <u32>size
        if uarg.len != 65535 - 1 and bytelen <= 1 << 19 and uarg.id + uarg.len == <u32>sk.sk_zckey:
            uarg.len += 1
            uarg.bytelen = bytelen
            sk.sk_zckey += 1
            uarg.refcnt += 1
            return uarg
    return msg_zerocopy_alloc(sk, size)


cdef bint skb_zerocopy_notify_extend(sk_buff *skb, u32 lo, u16 length) noexcept nogil:
    cdef sock_exterr_skb *serr = SKB_EXT_ERR(skb)
    if <u64>(serr.ee.ee_data - serr.ee.ee_info) + 1 + length >= 1ULL << 32 or lo != serr.ee.ee_data + 1:
        return 0
    serr.ee.ee_data += length
    return 1


cdef void msg_zerocopy_callback(ubuf_info_msgzc *uarg) noexcept nogil:
    """__msg_zerocopy_callback(): the last user of the pages is gone."""
    cdef sk_buff *skb = uarg.skb
    cdef sk_buff *tail
    cdef sock *sk = skb.sk
    cdef sock_exterr_skb *serr = SKB_EXT_ERR(skb)
    # Without a call left it was aborted, and there is nothing to tell.
    if uarg.len and not sock_flag(sk, SOCK_DEAD):
        memset(serr, 0, sizeof(serr[0]))
        serr.ee.ee_origin = SO_EE_ORIGIN_ZEROCOPY
        serr.ee.ee_info = uarg.id
        serr.ee.ee_data = uarg.id + uarg.len - 1
        if not uarg.zerocopy:
            serr.ee.ee_code |= SO_EE_CODE_ZEROCOPY_COPIED
        tail = skb_peek_tail(&sk.sk_error_queue)
        if (tail == NULL or SKB_EXT_ERR(tail).ee.ee_origin != SO_EE_ORIGIN_ZEROCOPY or
                not skb_zerocopy_notify_extend(tail, uarg.id, uarg.len)):
            __skb_queue_tail(&sk.sk_error_queue, skb)
            skb = NULL
        sk_error_report(sk)
    kmem_cache_free(&sk.sk_net.misc_slab, uarg)
    if skb != NULL:
        consume_skb(skb)
    sock_put(sk)


cdef void msg_zerocopy_complete(ubuf_info_msgzc *uarg, bint success) noexcept nogil:
    uarg.zerocopy &= <u8>success
    uarg.refcnt -= 1
    if uarg.refcnt == 0:
        msg_zerocopy_callback(uarg)


cdef void net_zcopy_put(ubuf_info_msgzc *uarg) noexcept nogil:
    if uarg != NULL:
        msg_zerocopy_complete(uarg, 1)


cdef void net_zcopy_put_abort(ubuf_info_msgzc *uarg, bint have_uref) noexcept nogil:
    if uarg == NULL:
        return
    uarg.skb.sk.sk_zckey -= 1
    uarg.len -= 1
    if have_uref:
        msg_zerocopy_complete(uarg, 1)


cdef void skb_zcopy_set(sk_buff *skb, ubuf_info_msgzc *uarg) noexcept nogil:
    if skb == NULL or uarg == NULL or skb_zcopy(skb) != NULL:
        return
    uarg.refcnt += 1
    skb.shinfo.destructor_arg = uarg
    skb.shinfo.flags |= SKBFL_ZEROCOPY_FRAG | SKBFL_DONT_ORPHAN


cdef void skb_zcopy_clear(sk_buff *skb, bint zerocopy_success) noexcept nogil:
    cdef ubuf_info_msgzc *uarg = <ubuf_info_msgzc *>skb_zcopy(skb)
    if uarg != NULL:
        skb.shinfo.flags &= <u8>~SKBFL_ALL_ZEROCOPY
        msg_zerocopy_complete(uarg, zerocopy_success)


# Who takes a packet from a virtual device must not hold the user's pages: it gets a copy, and the sender is told so.
# The skb here is about to be freed, so no pages need to be swapped.
cdef void skb_orphan_frags_rx(sk_buff *skb) noexcept nogil:
    if skb_zcopy(skb) != NULL:
        skb_uarg(skb).zerocopy = 0


cdef u32 user_part(const msghdr *msg, u32 *offset) noexcept nogil:
    """Bytes left of the part of user memory that the call stands in; offset: how far into it."""
    cdef msg_ext *ext = msg_ext_of(msg)
    cdef size_t at = msg.iov_offset
    cdef int i
    if ext != NULL:
        for i in range(ext.n_iov):
            if at < ext.iov[i]:
                offset[0] = <u32>at
                return ext.iov[i] - <u32>at
            at -= ext.iov[i]
    offset[0] = <u32>at
    return <u32>msg.count


cdef int zerocopy_fill_skb_from_iter(sk_buff *skb, msghdr *msg, u32 length) noexcept nogil:
    """net/core/datagram.c. Each part of user memory is taken to begin USER_OFFSET into a page of its own."""
    cdef u32 offset, start, copied, size
    cdef u32 room
    while length and msg.count:
        if skb.shinfo.nr_frags == MAX_SKB_FRAGS:
            return -EMSGSIZE
        if msg_fault(msg):
            return -EFAULT
        copied = user_part(msg, &offset)
        start = (USER_OFFSET + offset) % <u32>PAGE_SIZE
        room = <u32>(MAX_SKB_FRAGS - skb.shinfo.nr_frags) * <u32>PAGE_SIZE - start
        copied = min_u32(min_u32(copied, length), min_u32(room, <u32>msg.count))
        length -= copied
        msg.count -= copied
        msg.iov_offset += copied
        skb.data_len += copied
        skb.len += copied
        skb.truesize += <u32>ALIGN(copied + start, PAGE_SIZE)
        while copied:
            size = min_u32(copied, <u32>PAGE_SIZE - start)
            skb_fill_page_desc(skb, skb.shinfo.nr_frags, 0, <int>start, <int>size)
            copied -= size
            start = 0
    return 0


cdef int skb_zerocopy_iter_stream(sock *sk, sk_buff *skb, msghdr *msg, int length,
                                  ubuf_info_msgzc *uarg) noexcept nogil:
    """Puts pages of the user into the skb; how many bytes, -EMSGSIZE or -EEXIST: it takes no more of these."""
    cdef u32 orig_len = skb.len
    cdef u32 orig_size = skb.truesize
    cdef ubuf_info_msgzc *orig_uarg = <ubuf_info_msgzc *>skb_zcopy(skb)
    cdef int err
    if orig_uarg != NULL and uarg != orig_uarg:
        return -EEXIST
    err = zerocopy_fill_skb_from_iter(skb, msg, <u32>length)
    sk_wmem_queued_add(sk, <int>(skb.truesize - orig_size))
    if not skb_zcopy_pure(skb):
        sk_mem_charge(sk, <int>(skb.truesize - orig_size))
    if err == -EFAULT or (err == -EMSGSIZE and skb.len == orig_len):
        return err
    skb_zcopy_set(skb, uarg)
    return <int>(skb.len - orig_len)
