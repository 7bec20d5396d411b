"""net/ipv6/af_inet6.c"""
from kpath_c.headers.tcp cimport *

cdef int inet6_create(net *n, socket *sock_, int protocol, int kern) noexcept nogil
cdef int inet6_bind(socket *sock_, sockaddr_in6 *uaddr, int addr_len) noexcept nogil
cdef int inet6_sk_rebuild_header(sock *sk) noexcept nogil
