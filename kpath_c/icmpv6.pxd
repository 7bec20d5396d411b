"""net/ipv6/icmp.c"""
from kpath_c.headers.tcp cimport *

cdef void icmpv6_send(sk_buff *skb, u8 type_, u8 code, u32 info) noexcept nogil
cdef int icmpv6_err_convert(u8 type_, u8 code, int *err) noexcept nogil
cdef int icmpv6_rcv(sk_buff *skb) noexcept nogil
