"""What other files call of tcp_ipv4.pyx (declared in net/tcp.h in the kernel)."""
from kpath_c.headers.tcp cimport *

cdef inet_connection_sock_af_ops ipv4_specific
cdef tcp_request_sock_ops tcp_request_sock_ipv4_ops
cdef tcp_sock_af_ops tcp_sock_ipv4_specific

# tcp_request_sock_ops: it names a pool, so each host has its own.
cdef inline request_sock_ops *tcp_request_sock_ops_of(net *n) noexcept nogil:
    return &n.tcp_rsk_ops

# addr: __be32 or in6_addr, as `family` says
cdef tcp_md5sig_key *__tcp_md5_do_lookup(const sock *sk, int l3index, const void *addr, int family,
                                         bint any_l3index) noexcept nogil
cdef tcp_md5sig_key *tcp_v4_md5_lookup(const sock *sk, const sock *addr_sk) noexcept nogil
cdef int tcp_md5_do_add(sock *sk, const void *addr, int family, u8 prefixlen, int l3index, u8 flags, const u8 *newkey,
                        u8 newkeylen) noexcept nogil
cdef int tcp_md5_do_del(sock *sk, const void *addr, int family, u8 prefixlen, int l3index, u8 flags) noexcept nogil
cdef int tcp_md5_key_copy(sock *sk, const void *addr, int family, u8 prefixlen, int l3index,
                          const tcp_md5sig_key *key) noexcept nogil
cdef void tcp_clear_md5_list(sock *sk) noexcept nogil
cdef int tcp_v4_md5_hash_skb(u8 *md5_hash, const tcp_md5sig_key *key, const sock *sk, const sk_buff *skb) noexcept nogil

cdef int tcp_twsk_unique(sock *sk, sock *sktw, void *twp) noexcept nogil
cdef int tcp_v4_connect(sock *sk, sockaddr_in *uaddr, int addr_len) noexcept nogil
cdef void tcp_v4_mtu_reduced(sock *sk) noexcept nogil
cdef void tcp_req_err(sock *sk, u32 seq, bint abort) noexcept nogil
cdef void tcp_ld_RTO_revert(sock *sk, u32 seq) noexcept nogil
cdef int tcp_v4_err(sk_buff *skb, u32 info) noexcept nogil
cdef void tcp_v4_send_check(sock *sk, sk_buff *skb) noexcept nogil
cdef int tcp_v4_conn_request(sock *sk, sk_buff *skb) noexcept nogil
cdef sock *tcp_v4_syn_recv_sock(sock *sk, sk_buff *skb, request_sock *req, dst_entry *dst, request_sock *req_unhash,
                                bint *own_req,
                                void (*opt_child_init)(sock *newsk, sock *sk) noexcept nogil) noexcept nogil
cdef int tcp_v4_do_rcv(sock *sk, sk_buff *skb) noexcept nogil
cdef int tcp_v4_early_demux(sk_buff *skb) noexcept nogil
cdef void ip_icmp_error(sock *sk, sk_buff *skb, int err, __be16 port, u32 info, u8 *payload) noexcept nogil
cdef int sk_rst_convert_drop_reason(int reason) noexcept nogil
cdef bint tcp_add_backlog(sock *sk, sk_buff *skb, int *reason) noexcept nogil
# the ends of tcp_v4_rcv() and tcp_v6_rcv()
cdef int rcv_discard_it(sock *sk, sk_buff *skb, int drop_reason) noexcept nogil
cdef int rcv_bad_packet(net *n, sock *sk, sk_buff *skb, int drop_reason) noexcept nogil
cdef int rcv_csum_error(net *n, sock *sk, sk_buff *skb) noexcept nogil
cdef int rcv_discard_and_relse(sock *sk, sk_buff *skb, bint refcounted, int drop_reason) noexcept nogil
cdef int tcp_filter(sock *sk, sk_buff *skb, int *reason) noexcept nogil
cdef int tcp_v4_rcv(sk_buff *skb) noexcept nogil
cdef void inet_sk_rx_dst_set(sock *sk, sk_buff *skb) noexcept nogil
cdef int tcp_v4_init_sock(sock *sk) noexcept nogil          # sk->sk_prot->init
cdef void tcp_v4_destroy_sock(sock *sk) noexcept nogil      # sk->sk_prot->destroy

# A host's own part; after its hash tables and sysctls are there. 0 or -errno.
cdef int tcp_sk_init(net *n) noexcept nogil
cdef void tcp_sk_exit(net *n) noexcept nogil
