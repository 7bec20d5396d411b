"""net/ipv4/tcp_minisocks.c: TIME_WAIT sockets, and requests that become sockets. See tcp_minisocks.pyx."""
from kpath_c.headers.tcp cimport *

# TCP_TW_*: what the caller does with the segment. tw_isn: set for TCP_TW_SYN. drop_reason: a skb_drop_reason.
cdef int tcp_timewait_state_process(inet_timewait_sock *tw, sk_buff *skb, tcphdr *th, u32 *tw_isn,
                                    int *drop_reason) noexcept nogil
cdef void tcp_time_wait(sock *sk, int state, int timeo) noexcept nogil
cdef void tcp_twsk_destructor(sock *sk) noexcept nogil
cdef void tcp_twsk_purge(net *n) noexcept nogil
cdef void tcp_openreq_init_rwin(request_sock *req, sock *sk_listener, dst_entry *dst) noexcept nogil
cdef void tcp_ca_openreq_child(sock *sk, dst_entry *dst) noexcept nogil
cdef sock *tcp_create_openreq_child(sock *sk, request_sock *req, sk_buff *skb) noexcept nogil
# The socket to go on with (sk: none was made), or NULL: the segment is dealt with, drop it for drop_reason.
cdef sock *tcp_check_req(sock *sk, sk_buff *skb, request_sock *req, bint fastopen, bint *req_stolen,
                         int *drop_reason) noexcept nogil
cdef int tcp_child_process(sock *parent, sock *child, sk_buff *skb) noexcept nogil      # as tcp_rcv_state_process()
