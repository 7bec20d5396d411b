"""net/ipv4/syncookies.c. See syncookies.pyx."""
from kpath_c.headers.tcp cimport *

cdef u64 cookie_init_timestamp(request_sock *req, u64 now) noexcept nogil
cdef u32 __cookie_v4_init_sequence(net *n, const iphdr *iph, const tcphdr *th, u16 *mssp) noexcept nogil
cdef u32 cookie_v4_init_sequence(sk_buff *skb, u16 *mssp) noexcept nogil
cdef int __cookie_v4_check(net *n, const iphdr *iph, const tcphdr *th) noexcept nogil
cdef sock *tcp_get_cookie_sock(sock *sk, sk_buff *skb, request_sock *req, dst_entry *dst) noexcept nogil
cdef bint cookie_timestamp_decode(const net *n, tcp_options_received *tcp_opt) noexcept nogil
cdef request_sock *cookie_tcp_reqsk_alloc(request_sock_ops *ops, sock *sk, sk_buff *skb,
                                          tcp_options_received *tcp_opt, int mss, u32 tsoff) noexcept nogil
cdef sock *cookie_v4_check(sock *sk, sk_buff *skb) noexcept nogil
cdef void syncookies_exit(net *n) noexcept nogil
