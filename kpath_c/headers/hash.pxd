"""Hashes of linux/jhash.h, linux/siphash.h, net/netns/hash.h and the address hashes of net/ip.h, net/inet_sock.h.

With the secrets of a real host these give the very numbers that its kernel computed: ISN, timestamp offset, port.
"""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport net, in6_addr
from kpath_c.headers.kernel cimport rol32, rol64
from kpath_c.headers.in6 cimport ipv6_addr_any, ipv6_addr_v4mapped

cdef enum:
    JHASH_INITVAL = 0xdeadbeef


cdef inline u32 __jhash_nwords(u32 a, u32 b, u32 c, u32 initval) noexcept nogil:
    a += initval
    b += initval
    c += initval
    c ^= b
    c -= rol32(b, 14)
    a ^= c
    a -= rol32(c, 11)
    b ^= a
    b -= rol32(a, 25)
    c ^= b
    c -= rol32(b, 16)
    a ^= c
    a -= rol32(c, 4)
    b ^= a
    b -= rol32(a, 14)
    c ^= b
    c -= rol32(b, 24)
    return c

cdef inline u32 jhash_3words(u32 a, u32 b, u32 c, u32 initval) noexcept nogil:
    return __jhash_nwords(a, b, c, initval + <u32>JHASH_INITVAL + (3 << 2))

cdef inline u32 jhash_2words(u32 a, u32 b, u32 initval) noexcept nogil:
    return __jhash_nwords(a, b, 0, initval + <u32>JHASH_INITVAL + (2 << 2))

cdef inline u32 jhash_1word(u32 a, u32 initval) noexcept nogil:
    return __jhash_nwords(a, 0, 0, initval + <u32>JHASH_INITVAL + (1 << 2))

# jhash2() of the four words of an address: one round of the mix, then the last word alone.
cdef inline u32 jhash2_4(const u32 *k, u32 initval) noexcept nogil:
    cdef u32 a = <u32>JHASH_INITVAL + (4 << 2) + initval
    cdef u32 b = a + k[1]
    cdef u32 c = a + k[2]
    a += k[0]
    a -= c
    a ^= rol32(c, 4)
    c += b
    b -= a
    b ^= rol32(a, 6)
    a += c
    c -= b
    c ^= rol32(b, 8)
    b += a
    a -= c
    a ^= rol32(c, 16)
    c += b
    b -= a
    b ^= rol32(a, 19)
    a += c
    c -= b
    c ^= rol32(b, 4)
    b += a
    return __jhash_nwords(a + k[3], b, c, 0)


cdef struct siphash_state:
    u64 v0
    u64 v1
    u64 v2
    u64 v3

cdef inline void siphash_round(siphash_state *s) noexcept nogil:
    s.v0 += s.v1
    s.v1 = rol64(s.v1, 13)
    s.v1 ^= s.v0
    s.v0 = rol64(s.v0, 32)
    s.v2 += s.v3
    s.v3 = rol64(s.v3, 16)
    s.v3 ^= s.v2
    s.v0 += s.v3
    s.v3 = rol64(s.v3, 21)
    s.v3 ^= s.v0
    s.v2 += s.v1
    s.v1 = rol64(s.v1, 17)
    s.v1 ^= s.v2
    s.v2 = rol64(s.v2, 32)

cdef inline void siphash_init(siphash_state *s, const siphash_key_t *key) noexcept nogil:
    s.v0 = <u64>0x736f6d6570736575ULL ^ key.key[0]
    s.v1 = <u64>0x646f72616e646f6dULL ^ key.key[1]
    s.v2 = <u64>0x6c7967656e657261ULL ^ key.key[0]
    s.v3 = <u64>0x7465646279746573ULL ^ key.key[1]

# SipHash-2-4: two rounds for each word of the message, four at the end.
cdef inline void siphash_word(siphash_state *s, u64 m) noexcept nogil:
    s.v3 ^= m
    siphash_round(s)
    siphash_round(s)
    s.v0 ^= m

cdef inline u64 siphash_end(siphash_state *s, u64 b) noexcept nogil:
    siphash_word(s, b)
    s.v2 ^= 0xff
    siphash_round(s)
    siphash_round(s)
    siphash_round(s)
    siphash_round(s)
    return (s.v0 ^ s.v1) ^ (s.v2 ^ s.v3)

cdef inline u64 siphash_1u64(u64 first, const siphash_key_t *key) noexcept nogil:
    cdef siphash_state s
    siphash_init(&s, key)
    siphash_word(&s, first)
    return siphash_end(&s, (<u64>8) << 56)

cdef inline u64 siphash_2u64(u64 first, u64 second, const siphash_key_t *key) noexcept nogil:
    cdef siphash_state s
    siphash_init(&s, key)
    siphash_word(&s, first)
    siphash_word(&s, second)
    return siphash_end(&s, (<u64>16) << 56)

cdef inline u64 siphash_3u64(u64 first, u64 second, u64 third, const siphash_key_t *key) noexcept nogil:
    cdef siphash_state s
    siphash_init(&s, key)
    siphash_word(&s, first)
    siphash_word(&s, second)
    siphash_word(&s, third)
    return siphash_end(&s, (<u64>24) << 56)

cdef inline u64 siphash_4u64(u64 first, u64 second, u64 third, u64 forth, const siphash_key_t *key) noexcept nogil:
    cdef siphash_state s
    siphash_init(&s, key)
    siphash_word(&s, first)
    siphash_word(&s, second)
    siphash_word(&s, third)
    siphash_word(&s, forth)
    return siphash_end(&s, (<u64>32) << 56)

cdef inline u64 siphash_1u32(u32 first, const siphash_key_t *key) noexcept nogil:
    cdef siphash_state s
    siphash_init(&s, key)
    return siphash_end(&s, ((<u64>4) << 56) | first)

cdef inline u64 siphash_3u32(u32 first, u32 second, u32 third, const siphash_key_t *key) noexcept nogil:
    cdef siphash_state s
    siphash_init(&s, key)
    siphash_word(&s, (<u64>second) << 32 | first)
    return siphash_end(&s, ((<u64>12) << 56) | third)

cdef inline u64 siphash_2u32(u32 a, u32 b, const siphash_key_t *key) noexcept nogil:
    return siphash_1u64((<u64>b) << 32 | a, key)

cdef inline u64 siphash_4u32(u32 a, u32 b, u32 c, u32 d, const siphash_key_t *key) noexcept nogil:
    return siphash_2u64((<u64>b) << 32 | a, (<u64>d) << 32 | c, key)

cdef inline bint siphash_key_is_zero(const siphash_key_t *key) noexcept nogil:
    return (key.key[0] | key.key[1]) == 0

# Any bytes, in little-endian words, the last one filled with zeros and its top byte with the length.
cdef inline u64 siphash(const void *data, size_t length, const siphash_key_t *key) noexcept nogil:
    cdef siphash_state s
    cdef const u8 *p = <const u8 *>data
    cdef size_t i, j
    cdef u64 m
    siphash_init(&s, key)
    i = 0
    while i + 8 <= length:
        m = 0
        for j in range(8):
            m |= (<u64>p[i + j]) << (8 * j)
        siphash_word(&s, m)
        i += 8
    m = (<u64>length) << 56
    j = 0
    while i < length:
        m |= (<u64>p[i]) << (8 * j)
        i += 1
        j += 1
    return siphash_end(&s, m)


cdef inline u32 net_hash_mix(const net *n) noexcept nogil:
    return n.e.hash_mix

cdef inline unsigned int ipv4_addr_hash(__be32 ip) noexcept nogil:
    return <unsigned int>ip

cdef inline u32 __ipv4_addr_hash(__be32 ip, u32 initval) noexcept nogil:
    return jhash_1word(<u32>ip, initval)

cdef inline u32 ipv4_portaddr_hash(const net *n, __be32 saddr, unsigned int port) noexcept nogil:
    return jhash_1word(<u32>saddr, net_hash_mix(n)) ^ port

cdef inline unsigned int __inet_ehashfn(__be32 laddr, u16 lport, __be32 faddr, __be16 fport,
                                        u32 initval) noexcept nogil:
    return jhash_3words(<u32>laddr, <u32>faddr, (<u32>lport) << 16 | <u32>fport, initval)

cdef inline u32 ipv6_addr_hash(const in6_addr *a) noexcept nogil:
    cdef const u64 *p = <const u64 *>a
    cdef u64 x = p[0] ^ p[1]
    return <u32>(x ^ (x >> 32))

cdef inline u32 __ipv6_addr_jhash(const in6_addr *a, u32 initval) noexcept nogil:
    return jhash2_4(<const u32 *>a, initval)

# An IPv4 address has the hash that it has without IPv6, and so has "any".
cdef inline u32 ipv6_portaddr_hash(const net *n, const in6_addr *addr6, unsigned int port) noexcept nogil:
    cdef u32 mix = net_hash_mix(n)
    if ipv6_addr_any(addr6):
        return jhash_1word(0, mix) ^ port
    if ipv6_addr_v4mapped(addr6):
        return jhash_1word(addr6.s6_addr32[3], mix) ^ port
    return __ipv6_addr_jhash(addr6, mix) ^ port

cdef inline unsigned int __inet6_ehashfn(u32 lhash, u16 lport, u32 fhash, __be16 fport, u32 initval) noexcept nogil:
    return jhash_3words(lhash, fhash, (<u32>lport) << 16 | <u32>fport, initval)
