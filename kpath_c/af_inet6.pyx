"""The AF_INET6 socket where it differs from AF_INET's: create, bind, a new route.

Serves RFC 3493 (the socket interface; 5.3: one socket for both families). Follows net/ipv6/af_inet6.c of Linux 6.18
(GPL-2.0-only).

Deviations: TCP is the only protocol; the caller is privileged (ports below 1024); BPF, multicast groups and
IPV6_ADDRFORM are left out.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.route cimport *
from kpath_c.net_tcp cimport *
from kpath_c.af_inet cimport BIND_FORCE_ADDRESS_NO_PORT, BIND_WITH_LOCK, inet_sock_destruct
from kpath_c.inet6_connection_sock cimport ip6_dst_store
from kpath_c.inet_connection_sock cimport inet_csk_get_port
from kpath_c.ip6_route cimport ip6_dst_lookup_flow, ipv6_chk_addr
from kpath_c.route cimport inet_addr_type
from kpath_c.sock cimport __sk_dst_check, release_sock, sk_alloc, sk_common_release, sock_init_data
from kpath_c.tcp_ipv6 cimport tcp_v6_do_rcv


cdef int inet6_create(net *n, socket *sock_, int protocol, int kern) noexcept nogil:
    cdef inet_sock *inet
    cdef ipv6_pinfo *np
    cdef sock *sk
    cdef int err
    sock_.state = SS_UNCONNECTED
    if sock_.type != SOCK_STREAM:
        return -ESOCKTNOSUPPORT
    if protocol == IPPROTO_IP:
        protocol = IPPROTO_TCP
    if protocol != IPPROTO_TCP:
        return -EPROTONOSUPPORT

    sk = sk_alloc(n, PF_INET6, GFP_KERNEL, &n.tcpv6_prot, kern)
    if sk == NULL:
        return -ENOBUFS
    sock_init_data(sock_, sk)
    inet = inet_sk(sk)
    inet_assign_bit(INET_FLAGS_IS_ICSK, sk, 1)
    sk.sk_destruct = inet_sock_destruct
    sk.sk_protocol = <u16>protocol
    sk.sk_backlog_rcv = tcp_v6_do_rcv

    np = &(<tcp6_sock *>sk).inet6
    inet.pinet6 = np
    np.hop_limit = -1
    np.mcast_hops = IPV6_DEFAULT_MCASTHOPS
    inet_set_bit(INET_FLAGS_MC6_LOOP, sk)
    inet_set_bit(INET_FLAGS_MC6_ALL, sk)
    np.pmtudisc = IPV6_PMTUDISC_WANT
    inet_assign_bit(INET_FLAGS_REPFLOW, sk, n.ipv6.flowlabel_reflect & FLOWLABEL_REFLECT_ESTABLISHED)
    sk.sk_ipv6only = n.ipv6.bindv6only
    sk.sk_txrehash = n.core.sysctl_txrehash

    # It may serve IPv4 too.
    inet.uc_ttl = -1
    inet_set_bit(INET_FLAGS_MC_LOOP, sk)
    inet.mc_ttl = 1
    inet.pmtudisc = IP_PMTUDISC_DONT if n.ipv4.sysctl_ip_no_pmtu_disc else IP_PMTUDISC_WANT
    err = sk.sk_prot.init(sk)
    if err:
        sk_common_release(sk)
        sock_.sk = NULL
    return err


# Is the address the host's? *v4addr: what stands in its place where only an IPv4 one can.
cdef int inet6_bind_address(sock *sk, const sockaddr_in6 *addr, int addr_type, int addr_len,
                            __be32 *v4addr) noexcept nogil:
    cdef net *n = sock_net(sk)
    v4addr[0] = 0
    if addr_type == IPV6_ADDR_MAPPED:
        if ipv6_only_sock(sk):
            return -EINVAL
        v4addr[0] = addr.sin6_addr.s6_addr32[3]
        if not inet_addr_valid_or_nonlocal(n, inet_sk(sk), v4addr[0], <int>inet_addr_type(n, v4addr[0])):
            return -EADDRNOTAVAIL
        return 0
    if addr_type == IPV6_ADDR_ANY:
        return 0
    if addr_type & IPV6_ADDR_LINKLOCAL:
        if addr_len >= <int>sizeof(sockaddr_in6) and addr.sin6_scope_id:
            sk.sk_bound_dev_if = <int>addr.sin6_scope_id
        if not sk.sk_bound_dev_if:
            return -EINVAL
    if sk.sk_bound_dev_if and sk.sk_bound_dev_if != n.dev.ifindex and sk.sk_bound_dev_if != n.lo.ifindex:
        return -ENODEV
    v4addr[0] = LOOPBACK4_IPV6()
    if not ipv6_can_nonlocal_bind(n, inet_sk(sk)) and not ipv6_chk_addr(n, &addr.sin6_addr):
        return -EADDRNOTAVAIL
    return 0


# What __inet6_bind() does under the lock.
cdef int inet6_bind_locked(sock *sk, const sockaddr_in6 *addr, int addr_type, int addr_len, u32 flags) noexcept nogil:
    cdef unsigned short snum = ntohs(addr.sin6_port)
    cdef bint saved_ipv6only = sk.sk_ipv6only
    cdef __be32 v4addr = 0
    cdef int err
    if sk.sk_state != TCP_CLOSE or sk.sk_num:
        return -EINVAL
    err = inet6_bind_address(sk, addr, addr_type, addr_len, &v4addr)
    if err:
        return err
    sk.sk_rcv_saddr = v4addr
    inet_sk(sk).inet_saddr = v4addr
    sk.sk_v6_rcv_saddr = addr.sin6_addr
    inet6_sk(sk).saddr = addr.sin6_addr
    if addr_type != IPV6_ADDR_ANY and addr_type != IPV6_ADDR_MAPPED:
        sk.sk_ipv6only = 1

    if snum or not (inet_test_bit(INET_FLAGS_BIND_ADDRESS_NO_PORT, sk) or flags & BIND_FORCE_ADDRESS_NO_PORT):
        err = inet_csk_get_port(sk, snum)
        if err:
            sk.sk_ipv6only = saved_ipv6only
            inet_reset_saddr(sk)
            return err
    if addr_type != IPV6_ADDR_ANY:
        sk.sk_userlocks |= SOCK_BINDADDR_LOCK
    if snum:
        sk.sk_userlocks |= SOCK_BINDPORT_LOCK
    inet_sk(sk).inet_sport = htons(sk.sk_num)
    sk.sk_dport = 0
    sk.sk_daddr = 0
    return 0


cdef int __inet6_bind(sock *sk, const sockaddr_in6 *addr, int addr_len, u32 flags) noexcept nogil:
    cdef int addr_type, err
    if addr.sin6_family != AF_INET6:
        return -EAFNOSUPPORT
    addr_type = ipv6_addr_type(&addr.sin6_addr)
    if addr_type & IPV6_ADDR_MULTICAST and sk.sk_type == SOCK_STREAM:
        return -EINVAL
    if flags & BIND_WITH_LOCK:
        lock_sock(sk)
    err = inet6_bind_locked(sk, addr, addr_type, addr_len, flags)
    if flags & BIND_WITH_LOCK:
        release_sock(sk)
    return err


cdef int inet6_bind(socket *sock_, sockaddr_in6 *uaddr, int addr_len) noexcept nogil:
    if addr_len < SIN6_LEN_RFC2133:
        return -EINVAL
    return __inet6_bind(sock_.sk, uaddr, addr_len, BIND_WITH_LOCK)


cdef int inet6_sk_rebuild_header(sock *sk) noexcept nogil:
    cdef ipv6_pinfo *np = inet6_sk(sk)
    cdef dst_entry *dst = __sk_dst_check(sk, np.dst_cookie)
    cdef flowi6 fl6
    if dst != NULL:
        return 0
    memset(&fl6, 0, sizeof(fl6))
    fl6.flowi6_proto = <u8>sk.sk_protocol
    fl6.daddr = sk.sk_v6_daddr
    fl6.saddr = np.saddr
    fl6.flowlabel = np.flow_label
    fl6.flowi6_oif = sk.sk_bound_dev_if
    fl6.flowi6_mark = sk.sk_mark
    fl6.fl6_dport = sk.sk_dport
    fl6.fl6_sport = inet_sk(sk).inet_sport
    fl6.flowi6_uid = sk.sk_uid
    dst = ip6_dst_lookup_flow(sock_net(sk), sk, &fl6, NULL)
    if IS_ERR(dst):
        sk.sk_route_caps = 0
        sk.sk_err_soft = -<int>PTR_ERR(dst)
        return <int>PTR_ERR(dst)
    ip6_dst_store(sk, dst)
    return 0
