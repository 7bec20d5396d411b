"""The route of an IPv6 connection, and its segments' way to IP.

Serves RFC 8201 (a path MTU that the route has learned). Follows net/ipv6/inet6_connection_sock.c of Linux 6.18
(GPL-2.0-only). Deviations: no extension headers, hence no other first hop (fl6_update_dst()).
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.route cimport *
from kpath_c.ip6_output cimport ip6_xmit
from kpath_c.ip6_route cimport ip6_dst_lookup_flow
from kpath_c.skbuff cimport kfree_skb
from kpath_c.sock cimport __sk_dst_check, sk_setup_caps


# Takes over the caller's reference of dst.
cdef void ip6_dst_store(sock *sk, dst_entry *dst) noexcept nogil:
    inet6_sk(sk).dst_cookie = rt6_get_cookie(dst_rt6_info(dst))
    sk_setup_caps(sk, dst)


cdef dst_entry *inet6_csk_route_req(const sock *sk, flowi6 *fl6, const request_sock *req, u8 proto) noexcept nogil:
    cdef dst_entry *dst
    memset(fl6, 0, sizeof(flowi6))
    fl6.flowi6_proto = proto
    fl6.daddr = req.ir_v6_rmt_addr
    fl6.saddr = req.ir_v6_loc_addr
    fl6.flowi6_oif = req.ir_iif
    fl6.flowi6_mark = inet_rsk(req).ir_mark
    fl6.fl6_dport = req.ir_rmt_port
    fl6.fl6_sport = htons(req.ir_num)
    fl6.flowi6_uid = sk.sk_uid
    dst = ip6_dst_lookup_flow(sock_net(sk), sk, fl6, NULL)
    return dst if not IS_ERR(dst) else NULL


# The socket holds the route; the caller doesn't.
cdef dst_entry *inet6_csk_route_socket(sock *sk, flowi6 *fl6) noexcept nogil:
    cdef ipv6_pinfo *np = inet6_sk(sk)
    cdef dst_entry *dst
    memset(fl6, 0, sizeof(flowi6))
    fl6.flowi6_proto = <u8>sk.sk_protocol
    fl6.daddr = sk.sk_v6_daddr
    fl6.saddr = np.saddr
    fl6.flowlabel = np.flow_label
    IP6_ECN_flow_xmit(sk, &fl6.flowlabel)
    fl6.flowi6_oif = sk.sk_bound_dev_if
    fl6.flowi6_mark = sk.sk_mark
    fl6.fl6_sport = inet_sk(sk).inet_sport
    fl6.fl6_dport = sk.sk_dport
    fl6.flowi6_uid = sk.sk_uid
    dst = __sk_dst_check(sk, np.dst_cookie)
    if dst == NULL:
        dst = ip6_dst_lookup_flow(sock_net(sk), sk, fl6, NULL)
        if not IS_ERR(dst):
            ip6_dst_store(sk, dst)
    return dst


cdef int inet6_csk_xmit(sock *sk, sk_buff *skb, flowi *fl_unused) noexcept nogil:
    cdef flowi6 fl6
    cdef dst_entry *dst = inet6_csk_route_socket(sk, &fl6)
    if IS_ERR(dst):
        sk.sk_err_soft = -<int>PTR_ERR(dst)
        sk.sk_route_caps = 0
        kfree_skb(skb)
        return <int>PTR_ERR(dst)
    skb_dst_set_noref(skb, dst)
    return ip6_xmit(sk, skb, &fl6, sk.sk_mark, inet6_sk(sk).tclass, sk.sk_priority)


cdef dst_entry *inet6_csk_update_pmtu(sock *sk, u32 mtu) noexcept nogil:
    cdef flowi6 fl6
    cdef dst_entry *dst = inet6_csk_route_socket(sk, &fl6)
    if IS_ERR(dst):
        return NULL
    dst.ops.update_pmtu(dst, sk, NULL, mtu, 1)
    dst = inet6_csk_route_socket(sk, &fl6)
    return dst if not IS_ERR(dst) else NULL
