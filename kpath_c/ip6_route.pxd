"""net/ipv6/route.c, and what it needs of the fib and of the host's addresses (ip6_fib.c, addrconf.c)"""
from kpath_c.headers.tcp cimport *

# --- the fib and the host's addresses
cdef fib6_info *fib6_add_entry(net *n, const fib6_info *entry) noexcept nogil    # adds or replaces; NULL: no memory
cdef int ipv6_add_addr(net *n, const in6_addr *addr) noexcept nogil              # 0 or -ENOBUFS
cdef bint ipv6_chk_addr(const net *n, const in6_addr *addr) noexcept nogil
cdef int ip6_route_init(net *n) noexcept nogil
cdef void ip6_route_exit(net *n) noexcept nogil

cdef rt6_info *ip6_route_output(net *n, const sock *sk, flowi6 *fl6) noexcept nogil
cdef dst_entry *ip6_dst_lookup_flow(net *n, const sock *sk, flowi6 *fl6, const in6_addr *final_dst) noexcept nogil
cdef void ip6_route_input(sk_buff *skb) noexcept nogil
cdef dst_entry *ip6_dst_check(dst_entry *dst, u32 cookie) noexcept nogil
cdef unsigned int ip6_mtu(dst_entry *dst) noexcept nogil
