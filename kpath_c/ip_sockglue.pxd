"""net/ipv4/ip_sockglue.c, what TCP needs of it. See ip_sockglue.pyx."""
from kpath_c.headers.tcp cimport *

cdef void __ip_sock_set_tos(sock *sk, int val) noexcept nogil
cdef void ip_sock_set_tos(sock *sk, int val) noexcept nogil
cdef int ip_sock_set_mtu_discover(sock *sk, int val) noexcept nogil
cdef int ip_setsockopt(sock *sk, int optname, int val) noexcept nogil
cdef int ip_getsockopt(sock *sk, int optname, int *val) noexcept nogil
cdef int ip_recv_error(sock *sk, msghdr *msg, int len_) noexcept nogil
