"""net/ipv4/ip_input.c"""
from kpath_c.headers.tcp cimport *

cdef int ip_rcv(sk_buff *skb, net_device *dev) noexcept nogil
cdef void ip_list_rcv(sk_buff_head *head, net_device *dev) noexcept nogil
cdef int ip_local_deliver(sk_buff *skb) noexcept nogil
cdef void ip_protocol_deliver_rcu(net *n, sk_buff *skb, int protocol) noexcept nogil
