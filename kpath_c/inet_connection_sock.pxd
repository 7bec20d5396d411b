"""net/ipv4/inet_connection_sock.c"""
from kpath_c.headers.tcp cimport *

cdef bint inet_rcv_saddr_equal(const sock *sk, const sock *sk2, bint match_wildcard) noexcept nogil
cdef bint inet_rcv_saddr_any(const sock *sk) noexcept nogil
cdef bint inet_sk_get_local_port_range(const sock *sk, int *low, int *high) noexcept nogil
cdef void inet_csk_update_fastreuse(const sock *sk, inet_bind_bucket *tb, inet_bind2_bucket *tb2) noexcept nogil
cdef int inet_csk_get_port(sock *sk, unsigned short snum) noexcept nogil
cdef sock *inet_csk_accept(sock *sk, int flags, msghdr *msg, int *err) noexcept nogil
cdef void inet_csk_init_xmit_timers(sock *sk, void (*retransmit_handler)(timer_list *t) noexcept nogil,
                                    void (*delack_handler)(timer_list *t) noexcept nogil,
                                    void (*keepalive_handler)(timer_list *t) noexcept nogil) noexcept nogil
cdef void inet_csk_clear_xmit_timers(sock *sk) noexcept nogil
cdef void inet_csk_clear_xmit_timers_sync(sock *sk) noexcept nogil
cdef dst_entry *inet_csk_route_req(const sock *sk, flowi4 *fl4, const request_sock *req) noexcept nogil
cdef dst_entry *inet_csk_route_child_sock(const sock *sk, sock *newsk, const request_sock *req) noexcept nogil
cdef request_sock *inet_reqsk_alloc(request_sock_ops *ops, sock *sk_listener, bint attach_listener) noexcept nogil
cdef bint inet_csk_reqsk_queue_drop(sock *sk, request_sock *req) noexcept nogil
cdef void inet_csk_reqsk_queue_drop_and_put(sock *sk, request_sock *req) noexcept nogil
cdef bint inet_csk_reqsk_queue_hash_add(sock *sk, request_sock *req) noexcept nogil
cdef sock *inet_csk_clone_lock(const sock *sk, const request_sock *req, gfp_t priority) noexcept nogil
cdef void inet_csk_destroy_sock(sock *sk) noexcept nogil
cdef void inet_csk_prepare_for_destroy_sock(sock *sk) noexcept nogil
cdef void inet_csk_prepare_forced_close(sock *sk) noexcept nogil
cdef int inet_csk_listen_start(sock *sk) noexcept nogil
cdef sock *inet_csk_reqsk_queue_add(sock *sk, request_sock *req, sock *child) noexcept nogil
cdef sock *inet_csk_complete_hashdance(sock *sk, sock *child, request_sock *req, bint own_req) noexcept nogil
cdef void inet_csk_listen_stop(sock *sk) noexcept nogil
cdef dst_entry *inet_csk_update_pmtu(sock *sk, u32 mtu) noexcept nogil
