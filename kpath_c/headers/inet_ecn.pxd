"""net/inet_ecn.h and net/dsfield.h: the ECN field of the IP header (RFC 3168)."""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.inet_sock cimport *

cdef enum:
    INET_ECN_NOT_ECT = 0
    INET_ECN_ECT_1 = 1
    INET_ECN_ECT_0 = 2
    INET_ECN_CE = 3
    INET_ECN_MASK = 3


cdef inline int INET_ECN_is_ce(u8 dsfield) noexcept nogil:
    return (dsfield & INET_ECN_MASK) == INET_ECN_CE

cdef inline int INET_ECN_is_not_ect(u8 dsfield) noexcept nogil:
    return (dsfield & INET_ECN_MASK) == INET_ECN_NOT_ECT

cdef inline int INET_ECN_is_capable(u8 dsfield) noexcept nogil:
    return dsfield & INET_ECN_ECT_0

cdef inline void __INET_ECN_xmit(sock *sk, bint use_ect_1) noexcept nogil:
    inet_sk(sk).tos = <u8>((inet_sk(sk).tos & 0xfc) | (INET_ECN_ECT_1 if use_ect_1 else INET_ECN_ECT_0))
    if inet6_sk(sk) != NULL:
        inet6_sk(sk).tclass = <u8>((inet6_sk(sk).tclass & 0xfc) | (INET_ECN_ECT_1 if use_ect_1 else INET_ECN_ECT_0))

cdef inline void INET_ECN_xmit(sock *sk) noexcept nogil:
    __INET_ECN_xmit(sk, 0)

cdef inline void INET_ECN_dontxmit(sock *sk) noexcept nogil:
    inet_sk(sk).tos = inet_sk(sk).tos & 0xfc
    if inet6_sk(sk) != NULL:
        inet6_sk(sk).tclass = inet6_sk(sk).tclass & 0xfc

# RFC 3168 for IPv6: the flow key of an ECN-capable socket says so.
cdef inline void IP6_ECN_flow_xmit(const sock *sk, __be32 *label) noexcept nogil:
    if INET_ECN_is_capable(inet6_sk(sk).tclass):
        label[0] |= htonl(<u32>INET_ECN_ECT_0 << 20)

cdef inline u8 ipv6_get_dsfield(const ipv6hdr *ipv6h) noexcept nogil:
    return <u8>(ntohl(ipv6h.flow) >> 20)

cdef inline u8 ipv4_get_dsfield(const iphdr *iph) noexcept nogil:
    return iph.tos
