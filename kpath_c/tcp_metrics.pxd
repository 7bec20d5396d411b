"""net/ipv4/tcp_metrics.c. See tcp_metrics.pyx."""
from kpath_c.headers.tcp cimport *

cdef enum:
    TCP_METRIC_RTT = 0              # ms, as route attributes have it
    TCP_METRIC_RTTVAR = 1
    TCP_METRIC_SSTHRESH = 2
    TCP_METRIC_CWND = 3
    TCP_METRIC_REORDERING = 4
    TCP_METRIC_RTT_US = 5
    TCP_METRIC_RTTVAR_US = 6

cdef int tcp_metrics_init(net *n) noexcept nogil        # 0 or -ENOMEM
cdef void tcp_metrics_exit(net *n) noexcept nogil
cdef void tcp_metrics_flush_all(net *n) noexcept nogil
cdef void tcp_update_metrics(sock *sk) noexcept nogil
cdef void tcp_init_metrics(sock *sk) noexcept nogil
cdef bint tcp_peer_is_proven(request_sock *req, dst_entry *dst) noexcept nogil
cdef void tcp_fastopen_cache_get(sock *sk, u16 *mss, tcp_fastopen_cookie *cookie) noexcept nogil
cdef void tcp_fastopen_cache_set(sock *sk, u16 mss, tcp_fastopen_cookie *cookie, bint syn_lost,
                                 u16 try_exp) noexcept nogil
