"""net/ipv4/icmp.c"""
from kpath_c.headers.tcp cimport *

# errno of an ICMP_DEST_UNREACH code, and whether it is fatal (RFC 1122 4.2.3.9).
cdef icmp_err_t icmp_err_convert[16]

cdef int icmp_rcv(sk_buff *skb) noexcept nogil
cdef void icmp_send(sk_buff *skb_in, int type_, int code, __be32 info) noexcept nogil
cdef int icmp_err(sk_buff *skb, u32 info) noexcept nogil
