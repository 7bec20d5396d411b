"""net/ipv4/tcp.c: the socket's side of TCP. See tcp.pyx."""
from kpath_c.headers.tcp cimport *
from kpath_c.md5 cimport md5_ctx

# ioctl() requests
cdef enum:
    SIOCINQ = 0x541B
    SIOCOUTQ = 0x5411
    SIOCATMARK = 0x8905
    SIOCOUTQNSD = 0x894B

# -- memory pressure, set-up
cdef void tcp_enter_memory_pressure(sock *sk) noexcept nogil
cdef void tcp_leave_memory_pressure(sock *sk) noexcept nogil
cdef void tcp_init_sock(sock *sk) noexcept nogil
cdef int tcp_init(net *n) noexcept nogil            # 0 or -ENOMEM; before any socket exists
cdef void tcp_exit(net *n) noexcept nogil           # gives back what tcp_init() took
cdef int tcp_orphan_count_sum(net *n) noexcept nogil
cdef bint tcp_check_oom(const sock *sk, int shift) noexcept nogil

# -- readiness
cdef u32 tcp_poll(socket *so) noexcept nogil        # EPOLL* bits
cdef int tcp_ioctl(sock *sk, int cmd, int *karg) noexcept nogil

# -- sending
cdef void tcp_mark_push(tcp_sock *tp, sk_buff *skb) noexcept nogil
cdef void tcp_skb_entail(sock *sk, sk_buff *skb) noexcept nogil
cdef void tcp_push(sock *sk, int flags, int mss_now, int nonagle, int size_goal) noexcept nogil
cdef sk_buff *tcp_stream_alloc_skb(sock *sk, gfp_t gfp, bint force_schedule) noexcept nogil
cdef int tcp_send_mss(sock *sk, int *size_goal, int flags) noexcept nogil
cdef void tcp_remove_empty_skb(sock *sk) noexcept nogil
cdef int tcp_wmem_schedule(sock *sk, int copy) noexcept nogil
cdef void tcp_free_fastopen_req(tcp_sock *tp) noexcept nogil
cdef int tcp_sendmsg_fastopen(sock *sk, msghdr *msg, int *copied, size_t size) noexcept nogil
cdef int tcp_sendmsg_locked(sock *sk, msghdr *msg, size_t size) noexcept nogil
cdef int tcp_sendmsg(sock *sk, msghdr *msg, size_t size) noexcept nogil
cdef void tcp_write_queue_purge(sock *sk) noexcept nogil

# -- receiving
cdef void __tcp_cleanup_rbuf(sock *sk, int copied) noexcept nogil
cdef void tcp_cleanup_rbuf(sock *sk, int copied) noexcept nogil
cdef sk_buff *tcp_recv_skb(sock *sk, u32 seq, u32 *off) noexcept nogil
cdef int tcp_peek_len(socket *so) noexcept nogil
cdef int tcp_set_rcvlowat(sock *sk, int val) noexcept nogil
cdef int tcp_recvmsg(sock *sk, msghdr *msg, size_t len_, int flags) noexcept nogil

# -- states
cdef void tcp_set_state(sock *sk, int state) noexcept nogil
cdef void tcp_shutdown(sock *sk, int how) noexcept nogil
cdef int __tcp_close(sock *sk, long timeout, msghdr *msg) noexcept nogil     # 0 or -ERESTARTSYS
cdef int tcp_close(sock *sk, long timeout, msghdr *msg) noexcept nogil       # 0 or -ERESTARTSYS
cdef int tcp_disconnect(sock *sk, int flags) noexcept nogil
cdef void tcp_done(sock *sk) noexcept nogil
cdef int tcp_abort(sock *sk, int err) noexcept nogil

# -- signatures
cdef void tcp_md5_destruct_sock(sock *sk) noexcept nogil
cdef void tcp_md5_hash_key(md5_ctx *hp, const tcp_md5sig_key *key) noexcept nogil
# What lies behind the first header_len bytes. The bytes of a packet that is sent come from hooks.sent_bytes.
cdef void tcp_sigpool_hash_skb_data(md5_ctx *hp, const sk_buff *skb, unsigned int header_len) noexcept nogil

# -- options
cdef void __tcp_sock_set_cork(sock *sk, bint on) noexcept nogil
cdef void tcp_sock_set_cork(sock *sk, bint on) noexcept nogil
cdef void __tcp_sock_set_nodelay(sock *sk, bint on) noexcept nogil
cdef void tcp_sock_set_nodelay(sock *sk) noexcept nogil
cdef void tcp_sock_set_quickack(sock *sk, int val) noexcept nogil
cdef int tcp_sock_set_syncnt(sock *sk, int val) noexcept nogil
cdef int tcp_sock_set_user_timeout(sock *sk, int val) noexcept nogil
cdef int tcp_sock_set_keepidle_locked(sock *sk, int val) noexcept nogil
cdef int tcp_sock_set_keepidle(sock *sk, int val) noexcept nogil
cdef int tcp_sock_set_keepintvl(sock *sk, int val) noexcept nogil
cdef int tcp_sock_set_keepcnt(sock *sk, int val) noexcept nogil
cdef int tcp_set_window_clamp(sock *sk, int val) noexcept nogil
cdef int tcp_sock_set_maxseg(sock *sk, int val) noexcept nogil
# What the kernel reads as an int comes in `optval`. TCP_CONGESTION: the name in `sval`. TCP_FASTOPEN_KEY,
# TCP_REPAIR_OPTIONS, TCP_REPAIR_WINDOW, TCP_MD5SIG, TCP_MD5SIG_EXT: bytes in `sval`, their number in `optval`.
cdef int do_tcp_setsockopt(sock *sk, int level, int optname, s64 optval, const char *sval) noexcept nogil
cdef int tcp_setsockopt(sock *sk, int level, int optname, s64 optval, const char *sval) noexcept nogil
# Options that are not an int give back their length: ask tcp_get_info(), icsk_ca_ops.name, ... for what is in them.
cdef int do_tcp_getsockopt(sock *sk, int level, int optname, s64 *optval, u8 *out) noexcept nogil
cdef int tcp_getsockopt(sock *sk, int level, int optname, s64 *optval, u8 *out) noexcept nogil
cdef void tcp_get_info(sock *sk, tcp_info *info) noexcept nogil
cdef int tcp_inbound_hash(sock *sk, const request_sock *req, const sk_buff *skb, const void *saddr, const void *daddr,
                          int family, int dif, int sdif) noexcept nogil      # enum skb_drop_reason
cdef int tcp_splice_read(sock *sk, msghdr *msg, size_t len_, int flags) noexcept nogil
