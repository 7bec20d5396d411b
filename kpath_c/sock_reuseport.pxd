"""net/core/sock_reuseport.c"""
from kpath_c.headers.tcp cimport *

cdef int reuseport_alloc(sock *sk, bint bind_inany) noexcept nogil
cdef int reuseport_add_sock(sock *sk, sock *sk2, bint bind_inany) noexcept nogil
cdef void reuseport_detach_sock(sock *sk) noexcept nogil
cdef void reuseport_stop_listen_sock(sock *sk) noexcept nogil
cdef sock *reuseport_select_sock(sock *sk, u32 hash_, sk_buff *skb, int hdr_len) noexcept nogil
cdef sock *reuseport_migrate_sock(sock *sk, sock *migrating_sk, sk_buff *skb) noexcept nogil
