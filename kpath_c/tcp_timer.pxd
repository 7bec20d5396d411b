"""net/ipv4/tcp_timer.c. See tcp_timer.pyx."""
from kpath_c.headers.tcp cimport *

cdef u32 tcp_clamp_probe0_to_user_timeout(sock *sk, u32 when) noexcept nogil
cdef void tcp_delack_timer_handler(sock *sk) noexcept nogil
cdef void tcp_retransmit_timer(sock *sk) noexcept nogil
cdef void tcp_write_timer_handler(sock *sk) noexcept nogil
cdef void tcp_syn_ack_timeout(request_sock *req) noexcept nogil
cdef void tcp_reset_keepalive_timer(sock *sk, unsigned long len_) noexcept nogil
cdef void tcp_set_keepalive(sock *sk, int val) noexcept nogil
cdef void tcp_init_xmit_timers(sock *sk) noexcept nogil
