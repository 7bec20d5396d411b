"""net/ipv6/syncookies.c. See syncookies6.pyx."""
from kpath_c.headers.tcp cimport *

cdef u32 cookie_v6_init_sequence(sk_buff *skb, u16 *mssp) noexcept nogil
cdef sock *cookie_v6_check(sock *sk, sk_buff *skb) noexcept nogil
