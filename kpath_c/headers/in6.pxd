"""linux/in6.h and the address part of net/ipv6.h: IPv6 addresses, their kinds (RFC 4291) and IPv4's among them."""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.kernel cimport *

cdef enum:
    IPV6_ADDR_ANY = 0x0000
    IPV6_ADDR_UNICAST = 0x0001
    IPV6_ADDR_MULTICAST = 0x0002
    IPV6_ADDR_LOOPBACK = 0x0010
    IPV6_ADDR_LINKLOCAL = 0x0020
    IPV6_ADDR_SITELOCAL = 0x0040
    IPV6_ADDR_COMPATv4 = 0x0080
    IPV6_ADDR_MAPPED = 0x1000

cdef enum:
    IPV6_MIN_MTU = 1280                 # RFC 8200 5
    IPV6_MAXPLEN = 65535
    IPV6_DEFAULT_HOPLIMIT = 64
    IPV6_DEFAULT_MCASTHOPS = 1
    SIN6_LEN_RFC2133 = 24


# What inet_saddr and its kin hold in a socket whose addresses are no IPv4 ones.
cdef inline __be32 LOOPBACK4_IPV6() noexcept nogil:
    return htonl(0x7f000006)

cdef inline bint ipv6_addr_equal(const in6_addr *a1, const in6_addr *a2) noexcept nogil:
    cdef const u64 *x = <const u64 *>a1
    cdef const u64 *y = <const u64 *>a2
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0

cdef inline bint ipv6_addr_any(const in6_addr *a) noexcept nogil:
    cdef const u64 *x = <const u64 *>a
    return (x[0] | x[1]) == 0

cdef inline bint ipv6_addr_loopback(const in6_addr *a) noexcept nogil:
    return (a.s6_addr32[0] | a.s6_addr32[1] | a.s6_addr32[2] | (a.s6_addr32[3] ^ htonl(1))) == 0

cdef inline bint ipv6_addr_v4mapped(const in6_addr *a) noexcept nogil:
    return (a.s6_addr32[0] | a.s6_addr32[1] | (a.s6_addr32[2] ^ htonl(0x0000ffff))) == 0

cdef inline void ipv6_addr_set_v4mapped(__be32 addr, in6_addr *v4mapped) noexcept nogil:
    v4mapped.s6_addr32[0] = 0
    v4mapped.s6_addr32[1] = 0
    v4mapped.s6_addr32[2] = htonl(0x0000ffff)
    v4mapped.s6_addr32[3] = addr

cdef inline bint ipv6_addr_is_multicast(const in6_addr *a) noexcept nogil:
    return (a.s6_addr32[0] & htonl(<u32>0xff000000U)) == htonl(<u32>0xff000000U)

cdef inline int IPV6_ADDR_MC_SCOPE(const in6_addr *a) noexcept nogil:
    return <int>((ntohl(a.s6_addr32[0]) >> 16) & 0x0f)

# __ipv6_addr_type() of net/ipv6/addrconf_core.c without the scope.
cdef inline int ipv6_addr_type(const in6_addr *a) noexcept nogil:
    cdef u32 st = ntohl(a.s6_addr32[0])
    if (st & <u32>0xe0000000U) != 0 and (st & <u32>0xe0000000U) != <u32>0xe0000000U:
        return IPV6_ADDR_UNICAST
    if (st & <u32>0xff000000U) == <u32>0xff000000U:
        return IPV6_ADDR_MULTICAST
    if (st & <u32>0xffc00000U) == <u32>0xfe800000U:
        return IPV6_ADDR_LINKLOCAL | IPV6_ADDR_UNICAST
    if (st & <u32>0xffc00000U) == <u32>0xfec00000U:
        return IPV6_ADDR_SITELOCAL | IPV6_ADDR_UNICAST
    if a.s6_addr32[0] == 0 and a.s6_addr32[1] == 0:
        if a.s6_addr32[2] == 0:
            if a.s6_addr32[3] == 0:
                return IPV6_ADDR_ANY
            if a.s6_addr32[3] == htonl(1):
                return IPV6_ADDR_LOOPBACK | IPV6_ADDR_UNICAST
            return IPV6_ADDR_COMPATv4 | IPV6_ADDR_UNICAST
        if a.s6_addr32[2] == htonl(0x0000ffff):
            return IPV6_ADDR_MAPPED
    return IPV6_ADDR_UNICAST

# The first plen bits are the same.
cdef inline bint ipv6_prefix_equal(const in6_addr *a1, const in6_addr *a2, unsigned int plen) noexcept nogil:
    cdef unsigned int i
    for i in range(plen >> 5):
        if a1.s6_addr32[i] != a2.s6_addr32[i]:
            return 0
    if plen & 31:
        i = plen >> 5
        return ((ntohl(a1.s6_addr32[i]) ^ ntohl(a2.s6_addr32[i])) >> (32 - (plen & 31))) == 0
    return 1
