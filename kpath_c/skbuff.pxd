"""net/core/skbuff.c: allocation, cloning, freeing, trimming, splitting and coalescing of segments."""
from kpath_c.headers.skbuff cimport *
from kpath_c.headers.errqueue cimport ubuf_info_msgzc

cdef sk_buff *__alloc_skb(net *n, unsigned int size, gfp_t gfp_mask, int flags, int node) noexcept nogil
cdef sk_buff *alloc_skb(net *n, unsigned int size, gfp_t priority) noexcept nogil
cdef sk_buff *alloc_skb_fclone(net *n, unsigned int size, gfp_t priority) noexcept nogil
cdef sk_buff *build_skb(net *n, unsigned int frag_size) noexcept nogil
cdef sk_buff *alloc_skb_with_frags(net *n, unsigned long header_len, unsigned long data_len, int order, int *errcode,
                                   gfp_t gfp_mask) noexcept nogil
cdef unsigned int kmalloc_size_roundup(unsigned int size) noexcept nogil
cdef u64 alloc_page_ref(net *n, u32 order) noexcept nogil           # a page with a count of 1
cdef void put_page(u64 page) noexcept nogil
cdef void skb_frag_unref(sk_buff *skb, int f) noexcept nogil
cdef void skb_add_rx_frag(sk_buff *skb, int i, u64 page, int off, int size, unsigned int truesize) noexcept nogil
cdef void skb_coalesce_rx_frag(sk_buff *skb, int i, int size, unsigned int truesize) noexcept nogil
cdef void skb_release_head_state(sk_buff *skb) noexcept nogil
cdef void __kfree_skb(sk_buff *skb) noexcept nogil
cdef void kfree_skb(sk_buff *skb) noexcept nogil
cdef void kfree_skb_reason(sk_buff *skb, int reason) noexcept nogil
cdef void sk_skb_reason_drop(sock *sk, sk_buff *skb, int reason) noexcept nogil
cdef void kfree_skb_list(sk_buff *segs) noexcept nogil
cdef void kfree_skb_list_reason(sk_buff *segs, int reason) noexcept nogil
cdef void consume_skb(sk_buff *skb) noexcept nogil
cdef void __consume_stateless_skb(sk_buff *skb) noexcept nogil
cdef void skb_attempt_defer_free(sk_buff *skb) noexcept nogil
cdef void kfree_skb_partial(sk_buff *skb, bint head_stolen) noexcept nogil
cdef sk_buff *skb_clone(sk_buff *skb, gfp_t gfp_mask) noexcept nogil
cdef sk_buff *skb_copy(sk_buff *skb, gfp_t gfp_mask) noexcept nogil
cdef sk_buff *pskb_copy(sk_buff *skb, gfp_t gfp_mask) noexcept nogil
cdef sk_buff *__pskb_copy_fclone(sk_buff *skb, int headroom, gfp_t gfp_mask, bint fclone) noexcept nogil
cdef void skb_copy_header(sk_buff *new, const sk_buff *old) noexcept nogil
cdef int pskb_expand_head(sk_buff *skb, int nhead, int ntail, gfp_t gfp_mask) noexcept nogil
cdef int skb_unclone(sk_buff *skb, gfp_t pri) noexcept nogil
cdef int skb_header_unclone(sk_buff *skb, gfp_t pri) noexcept nogil
cdef int __skb_unclone_keeptruesize(sk_buff *skb, gfp_t pri) noexcept nogil
cdef int skb_unclone_keeptruesize(sk_buff *skb, gfp_t pri) noexcept nogil

cdef inline sk_buff *skb_share_check(sk_buff *skb, gfp_t pri) noexcept nogil:
    cdef sk_buff *nskb
    if skb_shared(skb):
        nskb = skb_clone(skb, pri)
        if nskb != NULL:
            consume_skb(skb)
        else:
            kfree_skb(skb)
        skb = nskb
    return skb

cdef void *skb_put(sk_buff *skb, unsigned int length) noexcept nogil
cdef void skb_trim(sk_buff *skb, unsigned int length) noexcept nogil
cdef int ___pskb_trim(sk_buff *skb, unsigned int length) noexcept nogil
cdef int __pskb_trim(sk_buff *skb, unsigned int length) noexcept nogil
cdef int pskb_trim(sk_buff *skb, unsigned int length) noexcept nogil
cdef int pskb_trim_rcsum_slow(sk_buff *skb, unsigned int length) noexcept nogil

cdef inline int pskb_trim_rcsum(sk_buff *skb, unsigned int length) noexcept nogil:
    return 0 if length >= skb.len else pskb_trim_rcsum_slow(skb, length)

cdef void *__pskb_pull_tail(sk_buff *skb, int delta) noexcept nogil
cdef int pskb_pull_more(sk_buff *skb, unsigned int length) noexcept nogil

# A header that is there already, as nearly always, costs no call.
cdef inline int pskb_may_pull_reason(sk_buff *skb, unsigned int length) noexcept nogil:
    if length <= skb.caplen_left and length <= skb_headlen(skb):
        return SKB_NOT_DROPPED_YET
    return pskb_pull_more(skb, length)

cdef inline bint pskb_may_pull(sk_buff *skb, unsigned int length) noexcept nogil:
    return pskb_may_pull_reason(skb, length) == SKB_NOT_DROPPED_YET
cdef bint pskb_network_may_pull(sk_buff *skb, unsigned int length) noexcept nogil
cdef void *pskb_pull(sk_buff *skb, unsigned int length) noexcept nogil
cdef int skb_linearize(sk_buff *skb) noexcept nogil
cdef void skb_condense(sk_buff *skb) noexcept nogil
cdef int skb_copy_bits(const sk_buff *skb, int offset, void *to, int length) noexcept nogil
cdef void *skb_header_pointer(const sk_buff *skb, int offset, int length, void *buffer) noexcept nogil
cdef int skb_copy_datagram_msg(const sk_buff *skb, int offset, msghdr *msg, int length) noexcept nogil
cdef __sum16 __skb_checksum_complete(sk_buff *skb) noexcept nogil
cdef __sum16 skb_checksum_complete(sk_buff *skb) noexcept nogil
cdef u32 skb_checksum(const sk_buff *skb, int offset, int length, u32 csum) noexcept nogil
cdef sk_buff *skb_dequeue(sk_buff_head *list) noexcept nogil
cdef sk_buff *skb_dequeue_tail(sk_buff_head *list) noexcept nogil
cdef void skb_queue_head(sk_buff_head *list, sk_buff *newsk) noexcept nogil
cdef void skb_queue_tail(sk_buff_head *list, sk_buff *newsk) noexcept nogil
cdef void skb_unlink(sk_buff *skb, sk_buff_head *list) noexcept nogil
cdef void skb_append(sk_buff *old, sk_buff *newsk, sk_buff_head *list) noexcept nogil
cdef void skb_queue_purge(sk_buff_head *list) noexcept nogil
cdef void __skb_queue_purge(sk_buff_head *list) noexcept nogil
cdef void skb_queue_purge_reason(sk_buff_head *list, int reason) noexcept nogil
cdef unsigned int skb_rbtree_purge(rb_root *root) noexcept nogil
cdef void skb_split(sk_buff *skb, sk_buff *skb1, u32 length) noexcept nogil
cdef int skb_shift(sk_buff *tgt, sk_buff *skb, int shiftlen) noexcept nogil
cdef int skb_append_pagefrags(sk_buff *skb, u64 page, int offset, size_t size, size_t max_frags) noexcept nogil
cdef bint skb_try_coalesce(sk_buff *to, sk_buff *from_, bint *fragstolen, int *delta_truesize) noexcept nogil
cdef int sock_queue_err_skb(sock *sk, sk_buff *skb) noexcept nogil
cdef sk_buff *sock_dequeue_err_skb(sock *sk) noexcept nogil
cdef void skb_errqueue_purge(sk_buff_head *list) noexcept nogil
cdef void __skb_tstamp_tx(sk_buff *orig_skb, sk_buff *ack_skb, void *hwtstamps, sock *sk, int tstype) noexcept nogil
cdef void skb_tstamp_tx(sk_buff *orig_skb, void *hwtstamps) noexcept nogil

cdef ubuf_info_msgzc *msg_zerocopy_realloc(sock *sk, size_t size, ubuf_info_msgzc *uarg) noexcept nogil
cdef void net_zcopy_put(ubuf_info_msgzc *uarg) noexcept nogil
cdef void net_zcopy_put_abort(ubuf_info_msgzc *uarg, bint have_uref) noexcept nogil
cdef void skb_zcopy_set(sk_buff *skb, ubuf_info_msgzc *uarg) noexcept nogil
cdef void skb_zcopy_clear(sk_buff *skb, bint zerocopy_success) noexcept nogil
cdef void skb_orphan_frags_rx(sk_buff *skb) noexcept nogil
cdef int skb_zerocopy_iter_stream(sock *sk, sk_buff *skb, msghdr *msg, int length,
                                  ubuf_info_msgzc *uarg) noexcept nogil
