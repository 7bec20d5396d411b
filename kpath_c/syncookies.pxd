"""net/ipv4/syncookies.c. See syncookies.pyx."""
from kpath_c.headers.tcp cimport *

# A cookie whose number the host has pinned. Addresses as in the SYN; IPv4's are mapped.
cdef struct syncookie_pin:
    syncookie_pin *next
    in6_addr laddr
    in6_addr raddr
    __be16 lport
    __be16 rport
    u32 isn
    u32 peer_isn
    u32 count                   # tcp_cookie_time() when it was made
    u32 ts                      # the timestamp of the SYN-ACK, without ts_off
    u32 ts_off
    u8 ts_off_set
    u8 mssind

cdef bint syncookie_pin_add(net *n, const in6_addr *saddr, const in6_addr *daddr, const tcphdr *th, int mssind,
                            u32 *isn) noexcept nogil
cdef syncookie_pin *syncookie_pin_of_ack(net *n, const in6_addr *saddr, const in6_addr *daddr,
                                         const tcphdr *th) noexcept nogil

cdef u64 cookie_init_timestamp(request_sock *req, u64 now) noexcept nogil
cdef u32 __cookie_v4_init_sequence(net *n, const iphdr *iph, const tcphdr *th, u16 *mssp) noexcept nogil
cdef u32 cookie_v4_init_sequence(sk_buff *skb, u16 *mssp) noexcept nogil
cdef int __cookie_v4_check(net *n, const iphdr *iph, const tcphdr *th) noexcept nogil
cdef sock *tcp_get_cookie_sock(sock *sk, sk_buff *skb, request_sock *req, dst_entry *dst) noexcept nogil
cdef bint cookie_timestamp_decode(const net *n, tcp_options_received *tcp_opt) noexcept nogil
cdef request_sock *cookie_tcp_reqsk_alloc(request_sock_ops *ops, sock *sk, sk_buff *skb,
                                          tcp_options_received *tcp_opt, int mss, u32 tsoff) noexcept nogil
cdef sock *cookie_v4_check(sock *sk, sk_buff *skb) noexcept nogil
cdef void syncookies_exit(net *n) noexcept nogil
