"""setsockopt() and getsockopt() at SOL_IPV6, as far as they matter to a TCP socket (RFC 3493, RFC 3542).

Follows net/ipv6/ipv6_sockglue.c of Linux 6.18 (GPL-2.0-only).

Deviations: values are ints. What shall be received with the data (IPV6_RECVPKTINFO ...) is only remembered; extension
headers, flow label leases, multicast, IPV6_ADDRFORM and IPsec policies are left out.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.skbuff cimport skb_errqueue_purge

cdef enum:
    RX_PKTINFO = 1 << 0
    RX_HOPLIMIT = 1 << 1
    RX_TCLASS = 1 << 2
    RX_O_PKTINFO = 1 << 3
    RX_O_HOPLIMIT = 1 << 4


# The bit of inet_flags behind an option that is nothing but a switch; -1: it isn't one.
cdef int ipv6_flag_of(int optname) noexcept nogil:
    if optname == IPV6_RECVERR:
        return INET_FLAGS_RECVERR6
    if optname == IPV6_RECVERR_RFC4884:
        return INET_FLAGS_RECVERR6_RFC4884
    if optname == IPV6_MULTICAST_LOOP:
        return INET_FLAGS_MC6_LOOP
    if optname == IPV6_MULTICAST_ALL:
        return INET_FLAGS_MC6_ALL
    if optname == IPV6_AUTOFLOWLABEL:
        return INET_FLAGS_AUTOFLOWLABEL
    if optname == IPV6_FLOWINFO_SEND:
        return INET_FLAGS_SNDFLOW
    if optname == IPV6_TRANSPARENT:
        return INET_FLAGS_TRANSPARENT
    if optname == IPV6_FREEBIND:
        return INET_FLAGS_FREEBIND
    return -1


cdef u8 ipv6_rxopt_of(int optname) noexcept nogil:
    if optname == IPV6_RECVPKTINFO:
        return RX_PKTINFO
    if optname == IPV6_RECVHOPLIMIT:
        return RX_HOPLIMIT
    if optname == IPV6_RECVTCLASS:
        return RX_TCLASS
    if optname == IPV6_2292PKTINFO:
        return RX_O_PKTINFO
    if optname == IPV6_2292HOPLIMIT:
        return RX_O_HOPLIMIT
    return 0


cdef int set_flag(sock *sk, int optname, int flag, int val) noexcept nogil:
    if optname == IPV6_RECVERR_RFC4884 and (val < 0 or val > 1):
        return -EINVAL
    inet_assign_bit(flag, sk, val != 0)
    if optname == IPV6_AUTOFLOWLABEL:
        inet_set_bit(INET_FLAGS_AUTOFLOWLABEL_SET, sk)
    if optname == IPV6_RECVERR and not val:
        skb_errqueue_purge(&sk.sk_error_queue)
    return 0


# RFC 3542 6.5; a stream keeps its own ECN bits.
cdef int set_tclass(sock *sk, int val) noexcept nogil:
    cdef ipv6_pinfo *np = inet6_sk(sk)
    if val < -1 or val > 0xff:
        return -EINVAL
    if val == -1:
        val = 0
    val = (val & ~INET_ECN_MASK) | (np.tclass & INET_ECN_MASK)
    if np.tclass != val:
        np.tclass = <u8>val
        sk_dst_reset(sk)
    return 0


cdef int ipv6_setsockopt(sock *sk, int optname, int val) noexcept nogil:
    cdef ipv6_pinfo *np = inet6_sk(sk)
    cdef int flag = ipv6_flag_of(optname)
    cdef u8 rx = ipv6_rxopt_of(optname)
    if np == NULL:
        return -ENOPROTOOPT
    if flag >= 0:
        return set_flag(sk, optname, flag, val)
    if rx:
        np.rxopt_all = np.rxopt_all | rx if val else np.rxopt_all & <u8>~rx
        return 0
    if optname == IPV6_UNICAST_HOPS:
        if val < -1 or val > 255:
            return -EINVAL
        np.hop_limit = <s16>val
        return 0
    if optname == IPV6_MINHOPCOUNT:
        if val < 0 or val > 255:
            return -EINVAL
        np.min_hopcount = <u8>val
        return 0
    if optname == IPV6_MTU_DISCOVER:
        if val < IPV6_PMTUDISC_DONT or val > IPV6_PMTUDISC_OMIT:
            return -EINVAL
        np.pmtudisc = <u8>val
        return 0
    if optname == IPV6_TCLASS:
        return set_tclass(sk, val)
    if optname == IPV6_V6ONLY:
        if sk.sk_num:
            return -EINVAL
        sk.sk_ipv6only = val != 0
        return 0
    if optname == IPV6_MTU:
        # frag_size: TCP makes no fragments
        return -EINVAL if val and val < IPV6_MIN_MTU else 0
    if optname == IPV6_ADDRFORM or optname == IPV6_FLOWLABEL_MGR:
        not_ported(sock_net(sk), "IPV6_ADDRFORM and flow label leases")
        return -EOPNOTSUPP
    return -ENOPROTOOPT


cdef int unicast_hops(sock *sk) noexcept nogil:
    cdef dst_entry *dst = __sk_dst_get(sk)
    if inet6_sk(sk).hop_limit >= 0:
        return inet6_sk(sk).hop_limit
    return ip6_dst_hoplimit(dst) if dst != NULL else sock_net(sk).ipv6.hop_limit


cdef int ipv6_getsockopt(sock *sk, int optname, int *val) noexcept nogil:
    cdef ipv6_pinfo *np = inet6_sk(sk)
    cdef int flag = ipv6_flag_of(optname)
    cdef u8 rx = ipv6_rxopt_of(optname)
    cdef dst_entry *dst
    if np == NULL:
        return -ENOPROTOOPT
    if flag >= 0:
        val[0] = inet_test_bit(flag, sk)
    elif rx:
        val[0] = (np.rxopt_all & rx) != 0
    elif optname == IPV6_UNICAST_HOPS:
        val[0] = unicast_hops(sk)
    elif optname == IPV6_MINHOPCOUNT:
        val[0] = np.min_hopcount
    elif optname == IPV6_MTU_DISCOVER:
        val[0] = np.pmtudisc
    elif optname == IPV6_TCLASS:
        val[0] = np.tclass
    elif optname == IPV6_V6ONLY:
        val[0] = sk.sk_ipv6only
    elif optname == IPV6_MTU:
        dst = __sk_dst_get(sk)
        val[0] = <int>dst_mtu(dst) if dst != NULL else 0
        if not val[0]:
            return -ENOTCONN
    else:
        return -ENOPROTOOPT
    return 0
