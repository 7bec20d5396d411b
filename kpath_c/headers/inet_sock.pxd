"""net/inet_sock.h: casts and flags of the INET part of a socket. (__inet_ehashfn is in headers/hash.pxd.)"""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.kernel cimport *
from kpath_c.headers.tcp_states cimport *
from kpath_c.headers.sock cimport *
from kpath_c.headers.hash cimport *
from kpath_c.headers.in6 cimport *

# Bit numbers in inet_flags.
cdef enum:
    INET_FLAGS_PKTINFO = 0
    INET_FLAGS_TTL = 1
    INET_FLAGS_TOS = 2
    INET_FLAGS_RECVOPTS = 3
    INET_FLAGS_RETOPTS = 4
    INET_FLAGS_PASSSEC = 5
    INET_FLAGS_ORIGDSTADDR = 6
    INET_FLAGS_CHECKSUM = 7
    INET_FLAGS_RECVFRAGSIZE = 8
    INET_FLAGS_RECVERR = 9
    INET_FLAGS_RECVERR_RFC4884 = 10
    INET_FLAGS_FREEBIND = 11
    INET_FLAGS_HDRINCL = 12
    INET_FLAGS_MC_LOOP = 13
    INET_FLAGS_MC_ALL = 14
    INET_FLAGS_TRANSPARENT = 15
    INET_FLAGS_IS_ICSK = 16
    INET_FLAGS_NODEFRAG = 17
    INET_FLAGS_BIND_ADDRESS_NO_PORT = 18
    INET_FLAGS_DEFER_CONNECT = 19
    INET_FLAGS_MC6_LOOP = 20
    INET_FLAGS_RECVERR6_RFC4884 = 21
    INET_FLAGS_MC6_ALL = 22
    INET_FLAGS_AUTOFLOWLABEL_SET = 23
    INET_FLAGS_AUTOFLOWLABEL = 24
    INET_FLAGS_DONTFRAG = 25
    INET_FLAGS_RECVERR6 = 26
    INET_FLAGS_REPFLOW = 27
    INET_FLAGS_RTALERT_ISOLATE = 28
    INET_FLAGS_SNDFLOW = 29
    INET_FLAGS_RTALERT = 30
    IP_CMSG_ALL = 0x1ff

cdef enum:
    FLOWI_FLAG_ANYSRC = 0x01
    FLOWI_FLAG_KNOWN_NH = 0x02
    FLOWI_FLAG_L3MDEV_OIF = 0x04
    FLOWI_FLAG_ANY_SPORT = 0x08

cdef enum:
    INET_DSCP_MASK = 0xfc
    INET_DSCP_LEGACY_TOS_MASK = 0x1c


cdef inline inet_sock *inet_sk(const sock *sk) noexcept nogil:
    return <inet_sock *>sk

# NULL: an AF_INET socket. Only of full sockets.
cdef inline ipv6_pinfo *inet6_sk(const sock *sk) noexcept nogil:
    return <ipv6_pinfo *>inet_sk(sk).pinet6

cdef inline bint ipv6_only_sock(const sock *sk) noexcept nogil:
    return sk.sk_ipv6only != 0

cdef inline const in6_addr *inet6_rcv_saddr(const sock *sk) noexcept nogil:
    return &sk.sk_v6_rcv_saddr if sk.sk_family == AF_INET6 else NULL

cdef inline inet_request_sock *inet_rsk(const request_sock *req) noexcept nogil:
    return <inet_request_sock *>req

cdef inline bint inet_test_bit(int nr, const sock *sk) noexcept nogil:
    return (inet_sk(sk).inet_flags >> nr) & 1

cdef inline void inet_set_bit(int nr, sock *sk) noexcept nogil:
    inet_sk(sk).inet_flags |= (<unsigned long>1) << nr

cdef inline void inet_clear_bit(int nr, sock *sk) noexcept nogil:
    inet_sk(sk).inet_flags &= ~((<unsigned long>1) << nr)

cdef inline void inet_assign_bit(int nr, sock *sk, bint val) noexcept nogil:
    if val:
        inet_set_bit(nr, sk)
    else:
        inet_clear_bit(nr, sk)

cdef inline bint inet_test_and_clear_bit(int nr, sock *sk) noexcept nogil:
    cdef bint was = inet_test_bit(nr, sk)
    inet_clear_bit(nr, sk)
    return was

cdef inline unsigned long inet_cmsg_flags(const inet_sock *inet) noexcept nogil:
    return inet.inet_flags & IP_CMSG_ALL

cdef inline u8 inet_dsfield_to_dscp(u8 dsfield) noexcept nogil:
    return dsfield & INET_DSCP_MASK

cdef inline u8 inet_dscp_to_dsfield(u8 dscp) noexcept nogil:
    return dscp

cdef inline u8 inet_sk_dscp(const inet_sock *inet) noexcept nogil:
    return inet_dsfield_to_dscp(inet.tos)

cdef inline u32 inet_request_mark(const sock *sk, sk_buff *skb) noexcept nogil:
    cdef u32 mark = sk.sk_mark
    if not mark and sk.sk_net.ipv4.sysctl_tcp_fwmark_accept:
        return skb.mark
    return mark

cdef inline int inet_request_bound_dev_if(const sock *sk, sk_buff *skb) noexcept nogil:
    return sk.sk_bound_dev_if

cdef inline int inet_sk_bound_l3mdev(const sock *sk) noexcept nogil:
    return 0

cdef inline bint inet_bound_dev_eq(bint l3mdev_accept, int bound_dev_if, int dif, int sdif) noexcept nogil:
    if not bound_dev_if:
        return (not sdif) or l3mdev_accept
    return bound_dev_if == dif or bound_dev_if == sdif

cdef inline bint inet_sk_bound_dev_eq(const net *n, int bound_dev_if, int dif, int sdif) noexcept nogil:
    return inet_bound_dev_eq(1, bound_dev_if, dif, sdif)

# net/sock.h: what kind of socket stands in a hash chain or behind a packet.
cdef inline bint sk_fullsock(const sock *sk) noexcept nogil:
    return (((<u32>1) << sk.sk_state) & ~<u32>(TCPF_TIME_WAIT | TCPF_NEW_SYN_RECV)) != 0

cdef inline bint sk_listener(const sock *sk) noexcept nogil:
    return (((<u32>1) << sk.sk_state) & <u32>(TCPF_LISTEN | TCPF_NEW_SYN_RECV)) != 0

cdef inline bint sk_listener_or_tw(const sock *sk) noexcept nogil:
    return (((<u32>1) << sk.sk_state) & <u32>(TCPF_LISTEN | TCPF_NEW_SYN_RECV | TCPF_TIME_WAIT)) != 0

# The socket that a SYN-ACK is charged to is its listener; a TIME_WAIT one has none.
cdef inline sock *sk_to_full_sk(sock *sk) noexcept nogil:
    if sk != NULL and sk.sk_state == TCP_NEW_SYN_RECV:
        sk = (<request_sock *>sk).rsk_listener
    if sk != NULL and sk.sk_state == TCP_TIME_WAIT:
        sk = NULL
    return sk

cdef inline const sock *sk_const_to_full_sk(const sock *sk) noexcept nogil:
    return sk_to_full_sk(<sock *>sk)

cdef inline sock *skb_to_full_sk(const sk_buff *skb) noexcept nogil:
    return sk_to_full_sk(<sock *>skb.sk)

cdef inline int inet_sk_state_load(const sock *sk) noexcept nogil:
    return sk.sk_state

cdef inline u8 inet_sk_flowi_flags(const sock *sk) noexcept nogil:
    cdef u8 flags = 0
    if inet_test_bit(INET_FLAGS_TRANSPARENT, sk) or inet_test_bit(INET_FLAGS_HDRINCL, sk):
        flags |= FLOWI_FLAG_ANYSRC
    return flags

cdef inline bint inet_get_convert_csum(sock *sk) noexcept nogil:
    return inet_sk(sk).convert_csum != 0

cdef inline bint inet_can_nonlocal_bind(net *n, inet_sock *inet) noexcept nogil:
    return (n.ipv4.sysctl_ip_nonlocal_bind != 0 or
            inet_test_bit(INET_FLAGS_FREEBIND, <sock *>inet) or
            inet_test_bit(INET_FLAGS_TRANSPARENT, <sock *>inet))

cdef inline void inet_reset_saddr(sock *sk) noexcept nogil:
    sk.sk_rcv_saddr = 0
    inet_sk(sk).inet_saddr = 0
    if sk.sk_family == PF_INET6:
        memset(&sk.sk_v6_rcv_saddr, 0, sizeof(in6_addr))
        memset(&inet6_sk(sk).saddr, 0, sizeof(in6_addr))

cdef inline void sk_daddr_set(sock *sk, __be32 addr) noexcept nogil:
    sk.sk_daddr = addr
    ipv6_addr_set_v4mapped(addr, &sk.sk_v6_daddr)

cdef inline void sk_rcv_saddr_set(sock *sk, __be32 addr) noexcept nogil:
    sk.sk_rcv_saddr = addr
    ipv6_addr_set_v4mapped(addr, &sk.sk_v6_rcv_saddr)
