"""net/ipv4/tcp_input.c. See tcp_input.pyx."""
from kpath_c.headers.tcp cimport *

cdef enum:
    BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 5

# Receive buffer
cdef void tcp_initialize_rcv_mss(sock *sk) noexcept nogil
cdef void tcp_rcvbuf_grow(sock *sk, u32 newval) noexcept nogil
cdef void tcp_rcv_space_adjust(sock *sk) noexcept nogil
cdef int tcp_send_rcvq(sock *sk, msghdr *msg, size_t size) noexcept nogil
cdef void tcp_data_ready(sock *sk) noexcept nogil
cdef void tcp_rbtree_insert(rb_root *root, sk_buff *skb) noexcept nogil
cdef void tcp_check_space(sock *sk) noexcept nogil
cdef void tcp_sack_compress_send_ack(sock *sk) noexcept nogil

# RTT, RTO, pacing
cdef void tcp_update_pacing_rate(sock *sk) noexcept nogil
cdef void tcp_set_rto(sock *sk) noexcept nogil
cdef void tcp_synack_rtt_meas(sock *sk, request_sock *req) noexcept nogil
cdef void tcp_rearm_rto(sock *sk) noexcept nogil

# Loss recovery
cdef u32 tcp_init_cwnd(tcp_sock *tp, dst_entry *dst) noexcept nogil
cdef void tcp_mark_skb_lost(sock *sk, sk_buff *skb) noexcept nogil
cdef int tcp_skb_shift(sk_buff *to, sk_buff *from_, int pcount, int shiftlen) noexcept nogil
cdef void tcp_clear_retrans(tcp_sock *tp) noexcept nogil
cdef void tcp_enter_loss(sock *sk) noexcept nogil
cdef void tcp_cwnd_reduction(sock *sk, int newly_acked_sacked, int newly_lost, int flag) noexcept nogil
cdef void tcp_enter_cwr(sock *sk) noexcept nogil
cdef void tcp_simple_retransmit(sock *sk) noexcept nogil
cdef void tcp_enter_recovery(sock *sk, bint ece_ack) noexcept nogil

# Options. tcp_parse_options() fills opt_rx (and foc, if given); estab: not a SYN.
cdef u16 tcp_parse_mss_option(const tcphdr *th, u16 user_mss) noexcept nogil
cdef void tcp_parse_options(net *n, sk_buff *skb, tcp_options_received *opt_rx, int estab,
                            tcp_fastopen_cookie *foc) noexcept nogil
cdef int tcp_do_parse_auth_options(const tcphdr *th, const u8 **md5_hash, const u8 **ao_hash) noexcept nogil

# The state machine. tcp_rcv_state_process() returns a drop reason, 0 if the skb was taken.
cdef bint tcp_oow_rate_limited(net *n, sk_buff *skb, int mib_idx, u32 *last_oow_ack_time) noexcept nogil
cdef void tcp_done_with_error(sock *sk, int err) noexcept nogil
cdef void tcp_reset(sock *sk, sk_buff *skb) noexcept nogil
cdef void tcp_fin(sock *sk) noexcept nogil
cdef void tcp_rcv_established(sock *sk, sk_buff *skb) noexcept nogil
cdef void tcp_init_transfer(sock *sk, int bpf_op, sk_buff *skb) noexcept nogil
cdef void tcp_finish_connect(sock *sk, sk_buff *skb) noexcept nogil
cdef int tcp_rcv_state_process(sock *sk, sk_buff *skb) noexcept nogil

# A SYN at a listener
cdef u16 tcp_get_syncookie_mss(request_sock_ops *rsk_ops, tcp_request_sock_ops *af_ops, sock *sk,
                               tcphdr *th) noexcept nogil
cdef int tcp_conn_request(request_sock_ops *rsk_ops, tcp_request_sock_ops *af_ops, sock *sk,
                          sk_buff *skb) noexcept nogil
