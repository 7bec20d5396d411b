"""What other files call of tcp_output.pyx (declared in net/tcp.h in the kernel)."""
from kpath_c.headers.tcp cimport *

# net/ipv4/tcp_output.c has it as a function; it is called several times a segment.
cdef inline void tcp_mstamp_refresh(tcp_sock *tp) noexcept nogil:
    cdef u64 val = tcp_clock_ns(sock_net(<sock *>tp))
    tp.tcp_clock_cache = val
    tp.tcp_mstamp = val // <u64>NSEC_PER_USEC

cdef void tcp_cwnd_restart(sock *sk, s32 delta) noexcept nogil
cdef void tcp_select_initial_window(sock *sk, int __space, u32 mss, u32 *rcv_wnd, u32 *__window_clamp,
                                    int wscale_ok, u8 *rcv_wscale, u32 init_rcv_wnd) noexcept nogil
cdef u32 __tcp_select_window(sock *sk) noexcept nogil

# TCP small queues. tcp_tsq_workfn() is the bottom half: a timer runs it at once after tcp_wfree() woke a socket.
cdef void tcp_tsq_work_init(net *n) noexcept nogil
cdef void tcp_tsq_work_exit(net *n) noexcept nogil
cdef void tcp_tsq_workfn(net *n) noexcept nogil
cdef void tcp_wfree(sk_buff *skb) noexcept nogil
cdef void tcp_release_cb(sock *sk) noexcept nogil
cdef int tcp_pace_kick(hrtimer *timer) noexcept nogil

cdef int tcp_fragment(sock *sk, int tcp_queue, sk_buff *skb, u32 len_, unsigned int mss_now, gfp_t gfp) noexcept nogil
cdef int tcp_trim_head(sock *sk, sk_buff *skb, u32 len_) noexcept nogil

cdef int tcp_mtu_to_mss(sock *sk, int pmtu) noexcept nogil
cdef int tcp_mss_to_mtu(sock *sk, int mss) noexcept nogil
cdef void tcp_mtup_init(sock *sk) noexcept nogil
cdef unsigned int tcp_sync_mss(sock *sk, u32 pmtu) noexcept nogil
cdef unsigned int tcp_current_mss(sock *sk) noexcept nogil

cdef void tcp_chrono_stop(sock *sk, int type_) noexcept nogil
cdef bint tcp_schedule_loss_probe(sock *sk, bint advancing_rto) noexcept nogil
cdef void tcp_send_loss_probe(sock *sk) noexcept nogil
cdef void __tcp_push_pending_frames(sock *sk, unsigned int cur_mss, int nonagle) noexcept nogil
cdef void tcp_push_one(sock *sk, unsigned int mss_now) noexcept nogil

cdef void tcp_skb_collapse_tstamp(sk_buff *skb, sk_buff *next_skb) noexcept nogil
cdef int __tcp_retransmit_skb(sock *sk, sk_buff *skb, int segs) noexcept nogil
cdef int tcp_retransmit_skb(sock *sk, sk_buff *skb, int segs) noexcept nogil
cdef void tcp_xmit_retransmit_queue(sock *sk) noexcept nogil

cdef void sk_forced_mem_schedule(sock *sk, int size) noexcept nogil
cdef void tcp_send_fin(sock *sk) noexcept nogil
cdef void tcp_send_active_reset(sock *sk, gfp_t priority, int reason) noexcept nogil
cdef int tcp_send_synack(sock *sk) noexcept nogil
cdef sk_buff *tcp_make_synack(sock *sk, dst_entry *dst, request_sock *req, tcp_fastopen_cookie *foc,
                              int synack_type, sk_buff *syn_skb) noexcept nogil
cdef int tcp_connect(sock *sk) noexcept nogil

cdef u32 tcp_delack_max(sock *sk) noexcept nogil
cdef void tcp_send_delayed_ack(sock *sk) noexcept nogil
cdef void __tcp_send_ack(sock *sk, u32 rcv_nxt, u16 flags) noexcept nogil
cdef void tcp_send_ack(sock *sk) noexcept nogil
cdef void tcp_send_window_probe(sock *sk) noexcept nogil
cdef int tcp_write_wakeup(sock *sk, int mib) noexcept nogil
cdef void tcp_send_probe0(sock *sk) noexcept nogil
cdef int tcp_rtx_synack(sock *sk, request_sock *req) noexcept nogil

# Static in the kernel; benchmarks.pyx measures them alone.
cdef int tcp_transmit_skb(sock *sk, sk_buff *skb, int clone_it, gfp_t gfp_mask) noexcept nogil
cdef bint tcp_write_xmit(sock *sk, unsigned int mss_now, int nonagle, int push_one, gfp_t gfp) noexcept nogil
