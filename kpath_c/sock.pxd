"""net/core/sock.c: life of a socket, its options, its memory, its callbacks."""
from kpath_c.headers.sock cimport *

cdef sock *sk_alloc(net *n, int family, gfp_t priority, proto *prot, int kern) noexcept nogil
cdef sock *sk_clone(const sock *sk, gfp_t priority, bint lock) noexcept nogil
cdef sock *sk_clone_lock(const sock *sk, gfp_t priority) noexcept nogil
cdef void sk_free(sock *sk) noexcept nogil
cdef void sk_destruct(sock *sk) noexcept nogil
cdef void sock_init_data(socket *sock, sock *sk) noexcept nogil
cdef void sock_init_data_uid(socket *sock, sock *sk, u32 uid) noexcept nogil
cdef void sk_common_release(sock *sk) noexcept nogil
cdef void sk_get_meminfo(const sock *sk, u32 *mem) noexcept nogil

cdef int sk_setsockopt(sock *sk, int level, int optname, void *optval, unsigned int optlen) noexcept nogil
cdef int sock_setsockopt(socket *sock, int level, int optname, void *optval, unsigned int optlen) noexcept nogil
cdef int sk_getsockopt(sock *sk, int level, int optname, void *optval, int *optlen) noexcept nogil
cdef void sock_set_reuseaddr(sock *sk) noexcept nogil
cdef void sock_set_keepalive(sock *sk) noexcept nogil
cdef void sock_set_rcvbuf(sock *sk, int val) noexcept nogil
cdef int sk_set_peek_off(sock *sk, int val) noexcept nogil
cdef void sockopt_lock_sock(sock *sk) noexcept nogil
cdef void sockopt_release_sock(sock *sk) noexcept nogil

cdef void release_sock(sock *sk) noexcept nogil
cdef int sk_wait_data(sock *sk, msghdr *msg, long *timeo, const sk_buff *skb) noexcept nogil

cdef int __sk_mem_raise_allocated(sock *sk, int size, int amt, int kind) noexcept nogil
cdef int __sk_mem_schedule(sock *sk, int size, int kind) noexcept nogil
cdef void __sk_mem_reduce_allocated(sock *sk, int amount) noexcept nogil
cdef void __sk_mem_reclaim(sock *sk, int amount) noexcept nogil

cdef void sock_wfree(sk_buff *skb) noexcept nogil
cdef void __sock_wfree(sk_buff *skb) noexcept nogil
cdef void sock_rfree(sk_buff *skb) noexcept nogil
cdef void sock_efree(sk_buff *skb) noexcept nogil
cdef void sock_edemux(sk_buff *skb) noexcept nogil
cdef void skb_set_owner_w(sk_buff *skb, sock *sk) noexcept nogil
cdef sk_buff *sock_wmalloc(sock *sk, unsigned long size, int force, gfp_t priority) noexcept nogil
cdef void *sock_kmalloc(sock *sk, int size, gfp_t priority) noexcept nogil     # from misc_slab
cdef sk_buff *sock_omalloc(sock *sk, unsigned long size, gfp_t priority) noexcept nogil
cdef bint skb_page_frag_refill(net *n, unsigned int sz, page_frag *pfrag, gfp_t gfp) noexcept nogil
cdef bint sk_page_frag_refill(sock *sk, page_frag *pfrag) noexcept nogil

cdef dst_entry *__sk_dst_check(sock *sk, u32 cookie) noexcept nogil
cdef dst_entry *sk_dst_check(sock *sk, u32 cookie) noexcept nogil
cdef void sk_setup_caps(sock *sk, dst_entry *dst) noexcept nogil

cdef void sk_error_report(sock *sk) noexcept nogil
cdef void sock_def_readable(sock *sk) noexcept nogil
cdef void sk_send_sigurg(sock *sk) noexcept nogil
cdef int sock_queue_rcv_skb_reason(sock *sk, sk_buff *skb, int *reason) noexcept nogil
cdef void sk_reset_timer(sock *sk, timer_list *timer, unsigned long expires) noexcept nogil
cdef void sk_stop_timer(sock *sk, timer_list *timer) noexcept nogil
cdef void sk_stop_timer_sync(sock *sk, timer_list *timer) noexcept nogil
