"""net/ipv4/tcp_rate.c. See tcp_rate.pyx."""
from kpath_c.headers.tcp cimport *

cdef void tcp_rate_skb_sent(sock *sk, sk_buff *skb) noexcept nogil
cdef void tcp_rate_skb_delivered(sock *sk, sk_buff *skb, rate_sample *rs) noexcept nogil
cdef void tcp_rate_gen(sock *sk, u32 delivered, u32 lost, bint is_sack_reneg, rate_sample *rs) noexcept nogil
cdef void tcp_rate_check_app_limited(sock *sk) noexcept nogil
