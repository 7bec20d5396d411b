"""net/ipv4/tcp_fastopen.c. See tcp_fastopen.pyx."""
from kpath_c.headers.tcp cimport *

cdef void reqsk_fastopen_remove(sock *sk, request_sock *req, bint reset) noexcept nogil
cdef void tcp_fastopen_init_key_once(net *n) noexcept nogil
cdef void tcp_fastopen_destroy_cipher(sock *sk) noexcept nogil
cdef void tcp_fastopen_ctx_destroy(net *n) noexcept nogil
# Keys are 16 bytes each; backup_key may be NULL. sk NULL: the host's own key.
cdef int tcp_fastopen_reset_cipher(net *n, sock *sk, const void *primary_key, const void *backup_key) noexcept nogil
# Number of keys written (16 bytes each), 0..2. icsk NULL: the host's own.
cdef int tcp_fastopen_get_cipher(net *n, inet_connection_sock *icsk, u64 *key) noexcept nogil
cdef void tcp_fastopen_add_skb(sock *sk, sk_buff *skb) noexcept nogil
cdef sock *tcp_try_fastopen(sock *sk, sk_buff *skb, request_sock *req, tcp_fastopen_cookie *foc,
                            const dst_entry *dst) noexcept nogil
cdef bint tcp_fastopen_cookie_check(sock *sk, u16 *mss, tcp_fastopen_cookie *cookie) noexcept nogil
cdef bint tcp_fastopen_defer_connect(sock *sk, int *err) noexcept nogil
cdef void tcp_fastopen_active_disable(sock *sk) noexcept nogil
cdef bint tcp_fastopen_active_should_disable(sock *sk) noexcept nogil
cdef void tcp_fastopen_active_disable_ofo_check(sock *sk) noexcept nogil
cdef void tcp_fastopen_active_detect_blackhole(sock *sk, bint expired) noexcept nogil
