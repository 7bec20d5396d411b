"""net/ipv4/tcp_recovery.c. See tcp_recovery.pyx."""
from kpath_c.headers.tcp cimport *

cdef s32 tcp_rack_skb_timeout(tcp_sock *tp, sk_buff *skb, u32 reo_wnd) noexcept nogil
cdef bint tcp_rack_mark_lost(sock *sk) noexcept nogil
cdef void tcp_rack_advance(tcp_sock *tp, u8 sacked, u32 end_seq, u64 xmit_time) noexcept nogil
cdef void tcp_rack_reo_timeout(sock *sk) noexcept nogil
cdef void tcp_rack_update_reo_wnd(sock *sk, rate_sample *rs) noexcept nogil
cdef void tcp_newreno_mark_lost(sock *sk, bint snd_una_advanced) noexcept nogil
