"""net/ipv6/inet6_connection_sock.c, and ip6_dst_store() of net/ip6_route.h"""
from kpath_c.headers.tcp cimport *

cdef void ip6_dst_store(sock *sk, dst_entry *dst) noexcept nogil
cdef dst_entry *inet6_csk_route_req(const sock *sk, flowi6 *fl6, const request_sock *req, u8 proto) noexcept nogil
cdef int inet6_csk_xmit(sock *sk, sk_buff *skb, flowi *fl_unused) noexcept nogil
cdef dst_entry *inet6_csk_update_pmtu(sock *sk, u32 mtu) noexcept nogil
