"""net/ipv4/ip_output.c"""
from kpath_c.headers.tcp cimport *

cdef int __ip_local_out(net *n, sock *sk, sk_buff *skb) noexcept nogil
cdef int ip_local_out(net *n, sock *sk, sk_buff *skb) noexcept nogil
cdef int ip_build_and_send_pkt(sk_buff *skb, const sock *sk, __be32 saddr, __be32 daddr, ip_options *opt,
                               u8 tos) noexcept nogil
cdef int ip_output(net *n, sock *sk, sk_buff *skb) noexcept nogil
cdef int __ip_queue_xmit(sock *sk, sk_buff *skb, flowi *fl, u8 tos) noexcept nogil
cdef int ip_queue_xmit(sock *sk, sk_buff *skb, flowi *fl) noexcept nogil
cdef int ip_do_fragment(net *n, sock *sk, sk_buff *skb,
                        int (*output)(net *, sock *, sk_buff *) noexcept nogil) noexcept nogil
cdef void ip_send_unicast_reply(sock *sk, const sock *orig_sk, sk_buff *skb, const ip_options *sopt,
                                __be32 daddr, __be32 saddr, const ip_reply_arg *arg, unsigned int length,
                                u64 transmit_time, u32 txhash) noexcept nogil
