"""Inlines of net/dst.h that call what a route has pointers to.

As INDIRECT_CALL_INET() does, what the pointer mostly is gets called by its name, so that it can be inlined. IPv6's go
through the pointer.
"""
from kpath_c.headers.dst cimport *
from kpath_c.ip_input cimport ip_local_deliver
from kpath_c.ip_output cimport ip_output
from kpath_c.route cimport ipv4_dst_check


cdef inline int dst_output(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    if skb.dst.output == ip_output:
        return ip_output(n, sk, skb)
    return skb.dst.output(n, sk, skb)

cdef inline int dst_input(sk_buff *skb) noexcept nogil:
    if skb.dst.input == ip_local_deliver:
        return ip_local_deliver(skb)
    return skb.dst.input(skb)

# What `dst.ops.check` says of a route that may be out of date: NULL, or the route.
cdef inline dst_entry *dst_ops_check(dst_entry *dst, u32 cookie) noexcept nogil:
    if dst.ops.check == ipv4_dst_check:
        return ipv4_dst_check(dst, cookie)
    return dst.ops.check(dst, cookie)

cdef inline dst_entry *dst_check(dst_entry *dst, u32 cookie) noexcept nogil:
    return dst_ops_check(dst, cookie) if dst.obsolete else dst
