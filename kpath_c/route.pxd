"""net/ipv4/route.c, and what it needs of the fib"""
from kpath_c.headers.tcp cimport *

# --- the fib and the host's addresses
cdef fib_entry *fib_add_entry(net *n, const fib_entry *entry) noexcept nogil     # adds or replaces; NULL: no memory
cdef int fib_add_local_addr(net *n, __be32 addr) noexcept nogil                  # 0 or -ENOBUFS
cdef bint fib_is_local(const net *n, __be32 addr) noexcept nogil
cdef int fib_lookup(net *n, const flowi4 *flp, fib_entry **res) noexcept nogil   # 0 or -errno
cdef __be32 inet_select_addr(const net *n, __be32 dst, int scope) noexcept nogil
cdef int ip_rt_init(net *n) noexcept nogil
cdef void ip_rt_exit(net *n) noexcept nogil
cdef void rt_cache_flush(net *n) noexcept nogil

cdef unsigned int inet_addr_type(net *n, __be32 addr) noexcept nogil
cdef unsigned int inet_addr_type_table(net *n, __be32 addr, u32 tb_id) noexcept nogil
cdef rtable *ip_route_output_key_hash(net *n, flowi4 *fl4, const sk_buff *skb) noexcept nogil
cdef rtable *ip_route_output_flow(net *n, flowi4 *flp4, const sock *sk) noexcept nogil
cdef int ip_route_input_noref(sk_buff *skb, __be32 daddr, __be32 saddr, u8 dscp, net_device *dev) noexcept nogil
cdef int ip_route_use_hint(sk_buff *skb, __be32 daddr, __be32 saddr, u8 dscp, net_device *dev,
                           const sk_buff *hint) noexcept nogil
cdef void ipv4_update_pmtu(sk_buff *skb, net *n, u32 mtu, int oif, u8 protocol) noexcept nogil
cdef void ipv4_sk_update_pmtu(sk_buff *skb, sock *sk, u32 mtu) noexcept nogil
cdef void ipv4_redirect(sk_buff *skb, net *n, int oif, u8 protocol) noexcept nogil
cdef unsigned int ipv4_mtu(dst_entry *dst) noexcept nogil
cdef unsigned int ipv4_default_advmss(dst_entry *dst) noexcept nogil
cdef dst_entry *ipv4_dst_check(dst_entry *dst, u32 cookie) noexcept nogil
cdef void __ip_select_ident(net *n, iphdr *iph, int segs) noexcept nogil
