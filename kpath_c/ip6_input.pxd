"""net/ipv6/ip6_input.c"""
from kpath_c.headers.tcp cimport *

cdef int ip6_input(sk_buff *skb) noexcept nogil
cdef int ipv6_rcv(sk_buff *skb, net_device *dev) noexcept nogil
cdef void ipv6_list_rcv(sk_buff_head *head, net_device *dev) noexcept nogil
