"""setsockopt() and getsockopt() at SOL_IP, as far as they matter to a TCP socket.

Follows net/ipv4/ip_sockglue.c of Linux 6.18 (GPL-2.0-only).

Deviations: values are ints. IP_OPTIONS, IP_PKTOPTIONS, IP_ROUTER_ALERT, IP_UNICAST_IF and IPsec policies are left out;
multicast answers as on a stream socket; every caller may do what takes CAP_NET_ADMIN.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.errqueue cimport *
from kpath_c.headers.route cimport rt_tos2priority
from kpath_c.skbuff cimport consume_skb, kfree_skb, skb_copy_datagram_msg, skb_errqueue_purge, sock_dequeue_err_skb

# uapi/linux/in.h, what headers/ip.pxd does not have
cdef enum:
    IP_RECVOPTS = 6
    IP_RETOPTS = 7
    IP_IPSEC_POLICY = 16
    IP_XFRM_POLICY = 17
    IP_PASSSEC = 18
    IP_RECVORIGDSTADDR = 20
    IP_NODEFRAG = 22
    IP_CHECKSUM = 23
    IP_RECVFRAGSIZE = 25
    IP_RECVERR_RFC4884 = 26
    IP_MULTICAST_IF = 32
    IP_MULTICAST_TTL = 33
    IP_MULTICAST_LOOP = 34
    IP_ADD_MEMBERSHIP = 35
    IP_DROP_MEMBERSHIP = 36
    IP_MULTICAST_ALL = 49


cdef void __ip_sock_set_tos(sock *sk, int val) noexcept nogil:
    """A stream keeps its own ECN bits (RFC 3168 6.1): only the rest of the byte is the user's."""
    cdef u8 old_tos = inet_sk(sk).tos

    if sk.sk_type == SOCK_STREAM:
        val &= ~INET_ECN_MASK
        val |= old_tos & INET_ECN_MASK
    if old_tos != val:
        inet_sk(sk).tos = <u8>val
        sk.sk_priority = <u32>rt_tos2priority(<u8>val)
        sk_dst_reset(sk)


cdef void ip_sock_set_tos(sock *sk, int val) noexcept nogil:
    __ip_sock_set_tos(sk, val)


cdef int ip_sock_set_mtu_discover(sock *sk, int val) noexcept nogil:
    if val < IP_PMTUDISC_DONT or val > IP_PMTUDISC_OMIT:
        return -EINVAL
    inet_sk(sk).pmtudisc = <u8>val
    return 0


cdef int ip_flag_of(int optname) noexcept nogil:
    """The bit of inet_flags behind an option that is nothing but a switch; -1: it isn't one."""
    if optname == IP_PKTINFO:
        return INET_FLAGS_PKTINFO
    if optname == IP_RECVTTL:
        return INET_FLAGS_TTL
    if optname == IP_RECVTOS:
        return INET_FLAGS_TOS
    if optname == IP_RECVOPTS:
        return INET_FLAGS_RECVOPTS
    if optname == IP_RETOPTS:
        return INET_FLAGS_RETOPTS
    if optname == IP_PASSSEC:
        return INET_FLAGS_PASSSEC
    if optname == IP_RECVORIGDSTADDR:
        return INET_FLAGS_ORIGDSTADDR
    if optname == IP_RECVERR:
        return INET_FLAGS_RECVERR
    if optname == IP_FREEBIND:
        return INET_FLAGS_FREEBIND
    if optname == IP_MULTICAST_LOOP:
        return INET_FLAGS_MC_LOOP
    if optname == IP_TRANSPARENT:
        return INET_FLAGS_TRANSPARENT
    if optname == IP_BIND_ADDRESS_NO_PORT:
        return INET_FLAGS_BIND_ADDRESS_NO_PORT
    return -1


cdef int ip_setsockopt(sock *sk, int optname, int val) noexcept nogil:
    cdef inet_sock *inet = inet_sk(sk)
    cdef int flag = ip_flag_of(optname)
    cdef u16 lo, hi

    if flag >= 0:
        inet_assign_bit(flag, sk, val != 0)
        if optname == IP_RECVERR and not val:
            skb_errqueue_purge(&sk.sk_error_queue)
        return 0
    if optname == IP_RECVERR_RFC4884:
        if val < 0 or val > 1:
            return -EINVAL
        inet_assign_bit(INET_FLAGS_RECVERR_RFC4884, sk, val)
        return 0
    if optname == IP_RECVFRAGSIZE or optname == IP_MULTICAST_TTL or optname == IP_MULTICAST_IF:
        return -EINVAL              # not on a stream
    if optname == IP_HDRINCL or optname == IP_NODEFRAG:
        return -ENOPROTOOPT         # raw sockets only
    if optname == IP_MULTICAST_ALL:
        if val != 0 and val != 1:
            return -EINVAL
        inet_assign_bit(INET_FLAGS_MC_ALL, sk, val)
        return 0
    if optname == IP_TTL:
        if val != -1 and (val < 1 or val > 255):
            return -EINVAL
        inet.uc_ttl = <s16>val
        return 0
    if optname == IP_MINTTL:
        if val < 0 or val > 255:
            return -EINVAL
        inet.min_ttl = <u8>val
        return 0
    if optname == IP_MTU_DISCOVER:
        return ip_sock_set_mtu_discover(sk, val)
    if optname == IP_TOS:
        ip_sock_set_tos(sk, val)
        return 0
    if optname == IP_LOCAL_PORT_RANGE:
        lo = <u16>val
        hi = <u16>(<u32>val >> 16)
        if lo != 0 and hi != 0 and lo > hi:
            return -EINVAL
        inet.local_port_range = <u32>val
        return 0
    if optname == IP_CHECKSUM:
        # The count is of conversions of incoming checksums, which there are none of.
        inet_assign_bit(INET_FLAGS_CHECKSUM, sk, val != 0)
        return 0
    if optname == IP_ADD_MEMBERSHIP or optname == IP_DROP_MEMBERSHIP:
        return -EPROTO
    if optname == IP_OPTIONS or optname == IP_IPSEC_POLICY or optname == IP_XFRM_POLICY:
        not_ported(sock_net(sk), "IP_OPTIONS and IPsec policies")
        return -EOPNOTSUPP
    return -ENOPROTOOPT


cdef int ip_getsockopt(sock *sk, int optname, int *val) noexcept nogil:
    cdef inet_sock *inet = inet_sk(sk)
    cdef int flag = ip_flag_of(optname)
    cdef dst_entry *dst

    if flag >= 0:
        val[0] = inet_test_bit(flag, sk)
    elif optname == IP_CHECKSUM:
        val[0] = inet_test_bit(INET_FLAGS_CHECKSUM, sk)
    elif optname == IP_RECVFRAGSIZE:
        val[0] = inet_test_bit(INET_FLAGS_RECVFRAGSIZE, sk)
    elif optname == IP_RECVERR_RFC4884:
        val[0] = inet_test_bit(INET_FLAGS_RECVERR_RFC4884, sk)
    elif optname == IP_HDRINCL:
        val[0] = inet_test_bit(INET_FLAGS_HDRINCL, sk)
    elif optname == IP_MULTICAST_ALL:
        val[0] = inet_test_bit(INET_FLAGS_MC_ALL, sk)
    elif optname == IP_NODEFRAG:
        val[0] = inet_test_bit(INET_FLAGS_NODEFRAG, sk)
    elif optname == IP_TTL:
        val[0] = inet.uc_ttl
        if val[0] < 0:
            val[0] = sock_net(sk).ipv4.sysctl_ip_default_ttl
    elif optname == IP_MINTTL:
        val[0] = inet.min_ttl
    elif optname == IP_MULTICAST_TTL:
        val[0] = inet.mc_ttl
    elif optname == IP_MTU_DISCOVER:
        val[0] = inet.pmtudisc
    elif optname == IP_TOS:
        val[0] = inet.tos
    elif optname == IP_MTU:
        dst = __sk_dst_get(sk)
        val[0] = <int>dst_mtu(dst) if dst != NULL else 0
        if not val[0]:
            return -ENOTCONN
    elif optname == IP_LOCAL_PORT_RANGE:
        val[0] = <int>inet.local_port_range
    elif optname == IP_OPTIONS:
        val[0] = 0                  # their length: none can be set
    else:
        return -ENOPROTOOPT
    return 0


cdef int ip_recv_error(sock *sk, msghdr *msg, int len_) noexcept nogil:
    """recvmsg(MSG_ERRQUEUE): the oldest entry, with its packet as data. The offender's address is not told."""
    cdef sk_buff *skb = sock_dequeue_err_skb(sk)
    cdef msg_ext *ext = msg_ext_of(msg)
    cdef int copied

    if skb == NULL:
        return -EAGAIN
    copied = <int>skb.len
    if copied > len_:
        msg.msg_flags |= MSG_TRUNC
        copied = len_
    if skb_copy_datagram_msg(skb, 0, msg, copied):
        kfree_skb(skb)
        return -EFAULT
    if ext != NULL:
        # sock_recv_timestamp() for what stands on the error queue
        if sk.sk_tsflags & SOF_TIMESTAMPING_SOFTWARE and skb.skb_mstamp_ns:
            ext.has_stamp = 1
            ext.stamp = skb.skb_mstamp_ns
        ext.has_ee = 1
        ext.ee_v6 = sk.sk_family == AF_INET6
        ext.ee = SKB_EXT_ERR(skb).ee
    msg.msg_flags |= MSG_ERRQUEUE
    consume_skb(skb)
    return copied
