"""Inlines of net/tcp.h and linux/tcp.h that call real functions. Re-exports net_sock and net_icsk."""
from kpath_c.headers.tcp cimport *
from kpath_c.net_sock cimport *
from kpath_c.net_icsk cimport *
from kpath_c.shim.rbtree cimport rb_erase
from kpath_c.shim.timer cimport hrtimer_try_to_cancel
from kpath_c.shim.slab cimport kmem_cache_free
from kpath_c.skbuff cimport __kfree_skb, __skb_checksum_complete
from kpath_c.inet_connection_sock cimport inet_csk_clear_xmit_timers
from kpath_c.tcp_ipv4 cimport __tcp_md5_do_lookup
from kpath_c.tcp_output cimport __tcp_push_pending_frames, tcp_current_mss, tcp_cwnd_restart


# ---------------------------------------------------------------------------------------------- signatures (RFC 2385)

cdef inline bint tcp_key_is_md5(const tcp_key *key) noexcept nogil:
    return key.md5_key != NULL

# The key for what this socket sends.
cdef inline void tcp_get_current_key(const sock *sk, tcp_key *out) noexcept nogil:
    cdef const tcp_sock *tp = tcp_sk(<sock *>sk)
    out.md5_key = NULL
    if tp.md5sig_info != NULL:
        out.md5_key = tp.af_specific.md5_lookup(sk, sk)

cdef inline tcp_md5sig_key *tcp_md5_do_lookup(const sock *sk, int l3index, const void *addr, int family) noexcept nogil:
    if tcp_sk(<sock *>sk).md5sig_info == NULL:
        return NULL
    return __tcp_md5_do_lookup(sk, l3index, addr, family, 0)

cdef inline tcp_md5sig_key *tcp_twsk_md5_key(tcp_timewait_sock *twsk) noexcept nogil:
    return twsk.tw_md5_key


cdef inline bint tcp_checksum_complete(sk_buff *skb) noexcept nogil:
    return not skb_csum_unnecessary(skb) and __skb_checksum_complete(skb) != 0

# A sent skb leaves the send buffer.
cdef inline void tcp_wmem_free_skb(sock *sk, sk_buff *skb) noexcept nogil:
    sk_wmem_queued_add(sk, -<int>skb.truesize)
    if not skb_zcopy_pure(skb):
        sk_mem_uncharge(sk, <int>skb.truesize)
    else:
        sk_mem_uncharge(sk, <int>SKB_TRUESIZE(skb_end_offset(skb)))
    __kfree_skb(skb)

cdef inline void tcp_rtx_queue_unlink(sk_buff *skb, sock *sk) noexcept nogil:
    tcp_skb_tsorted_anchor_cleanup(skb)
    rb_erase(&skb.rbnode, &sk.tcp_rtx_queue)

cdef inline void tcp_rtx_queue_unlink_and_free(sk_buff *skb, sock *sk) noexcept nogil:
    list_del(&skb.tcp_tsorted_anchor)
    tcp_rtx_queue_unlink(skb, sk)
    tcp_wmem_free_skb(sk, skb)

# Each timer that was pending held a reference.
cdef inline void tcp_clear_xmit_timers(sock *sk) noexcept nogil:
    if hrtimer_try_to_cancel(&tcp_sk(sk).pacing_timer) == 1:
        __sock_put(sk)
    if hrtimer_try_to_cancel(&tcp_sk(sk).compressed_ack_timer) == 1:
        __sock_put(sk)
    inet_csk_clear_xmit_timers(sk)

cdef inline void tcp_reset_xmit_timer(sock *sk, int what, unsigned long when, bint pace_delay) noexcept nogil:
    if pace_delay:
        when += tcp_pacing_delay(sk)
    inet_csk_reset_xmit_timer(sk, what, when, tcp_rto_max(sk))

cdef inline void tcp_check_probe_timer(sock *sk) noexcept nogil:
    if not tcp_sk(sk).packets_out and not inet_csk(sk).icsk_pending:
        tcp_reset_xmit_timer(sk, ICSK_TIME_PROBE0, tcp_probe0_base(sk), 1)

cdef inline void tcp_push_pending_frames(sock *sk) noexcept nogil:
    if tcp_send_head(sk) != NULL:
        __tcp_push_pending_frames(sk, tcp_current_mss(sk), tcp_sk(sk).nonagle)

# RFC 9293 3.8.1 / RFC 5681 4.1: cwnd is not kept over an idle time longer than the RTO.
cdef inline void tcp_slow_start_after_idle_check(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef s32 delta
    if (not sock_net(sk).ipv4.sysctl_tcp_slow_start_after_idle or tp.packets_out or
            inet_csk(sk).icsk_ca_ops.cong_control != NULL):
        return
    delta = <s32>(tcp_jiffies32(sock_net(sk)) - tp.lsndtime)
    if <u32>delta > inet_csk(sk).icsk_rto:      # unsigned, as C compares s32 with u32
        tcp_cwnd_restart(sk, delta)

cdef inline void tcp_saved_syn_free(tcp_sock *tp) noexcept nogil:
    if tp.saved_syn != NULL:
        kmem_cache_free(&sock_net(<sock *>tp).misc_slab, tp.saved_syn)
    tp.saved_syn = NULL
