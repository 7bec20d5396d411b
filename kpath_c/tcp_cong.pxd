"""net/ipv4/tcp_cong.c. See tcp_cong.pyx."""
from kpath_c.headers.tcp cimport *

cdef tcp_congestion_ops tcp_reno

cdef void tcp_cong_register_all() noexcept nogil        # once a process; may be called again
cdef void tcp_cong_net_init(net *n) noexcept nogil      # registers, then the host's default: cubic
cdef int tcp_register_congestion_control(tcp_congestion_ops *ca) noexcept nogil
cdef int tcp_validate_congestion_control(tcp_congestion_ops *ca) noexcept nogil
cdef tcp_congestion_ops *tcp_ca_find(const char *name) noexcept nogil
cdef tcp_congestion_ops *tcp_ca_find_key(u32 key) noexcept nogil
cdef u32 tcp_ca_get_key_by_name(const char *name, bint *ecn_ca) noexcept nogil
cdef char *tcp_ca_get_name_by_key(u32 key, char *buffer) noexcept nogil      # buffer: TCP_CA_NAME_MAX

cdef void tcp_set_ca_state(sock *sk, u8 ca_state) noexcept nogil
cdef void tcp_assign_congestion_control(sock *sk) noexcept nogil
cdef void tcp_init_congestion_control(sock *sk) noexcept nogil
cdef void tcp_cleanup_congestion_control(sock *sk) noexcept nogil
cdef int tcp_set_congestion_control(sock *sk, const char *name, bint load, bint cap_net_admin) noexcept nogil

cdef int tcp_set_default_congestion_control(net *n, const char *name) noexcept nogil
cdef void tcp_get_default_congestion_control(net *n, char *name) noexcept nogil
cdef void tcp_get_available_congestion_control(char *buf, size_t maxlen) noexcept nogil
cdef void tcp_get_allowed_congestion_control(net *n, char *buf, size_t maxlen) noexcept nogil
cdef int tcp_set_allowed_congestion_control(net *n, const char *val) noexcept nogil

cdef u32 tcp_slow_start(tcp_sock *tp, u32 acked) noexcept nogil
cdef void tcp_cong_avoid_ai(tcp_sock *tp, u32 w, u32 acked) noexcept nogil
cdef void tcp_reno_cong_avoid(sock *sk, u32 ack, u32 acked) noexcept nogil
cdef u32 tcp_reno_ssthresh(sock *sk) noexcept nogil
cdef u32 tcp_reno_undo_cwnd(sock *sk) noexcept nogil
