"""net/checksum.h: the Internet checksum (RFC 1071), and how to change one without reading it all (RFC 1624).

Sums are kept in the machine's byte order, as in the kernel: on a little-endian machine csum_fold() gives the field as
it lies on the wire.
"""
from kpath_c.headers.kernel cimport *
from kpath_c.headers.structs cimport in6_addr

cdef enum:
    WIDE_MIN = 256

cdef inline u32 csum_add(u32 csum, u32 addend) noexcept nogil:
    cdef u32 res = csum + addend
    return res + (res < addend)

cdef inline u32 csum_sub(u32 csum, u32 addend) noexcept nogil:
    return csum_add(csum, ~addend)

cdef inline u16 csum16_add(u16 csum, u16 addend) noexcept nogil:
    cdef u16 res = <u16>(csum + addend)
    return <u16>(res + (res < addend))

cdef inline u16 csum16_sub(u16 csum, u16 addend) noexcept nogil:
    return csum16_add(csum, <u16>~addend)

cdef inline u32 csum_shift(u32 sum_, int offset) noexcept nogil:
    return ror32(sum_, 8) if offset & 1 else sum_

cdef inline u32 csum_block_add(u32 csum, u32 csum2, int offset) noexcept nogil:
    return csum_add(csum, csum_shift(csum2, offset))

cdef inline u32 csum_unfold(__sum16 n) noexcept nogil:
    return n

cdef inline __sum16 csum_fold(u32 csum) noexcept nogil:
    return <__sum16>((~csum - ror32(csum, 16)) >> 16)

cdef inline u32 csum_from64to32(u64 sum_) noexcept nogil:
    sum_ = (sum_ & 0xFFFFFFFFU) + (sum_ >> 32)
    sum_ = (sum_ & 0xFFFFFFFFU) + (sum_ >> 32)
    return <u32>sum_

# Where the processor has vectors of 32 bytes, which not every x86-64 has, a long packet is summed with them.
cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    #define KPATH_WIDE_SUM __builtin_cpu_supports("avx2")
    __attribute__((target("avx2"), noinline, unused))
    #else
    #define KPATH_WIDE_SUM 0
    __attribute__((unused))
    #endif
    static unsigned long long kpath_sum_wide(const unsigned char *p, int words)
    {
        /* Written out, as the compiler makes gathers of the plain loop. */
        typedef unsigned long long vec __attribute__((vector_size(32)));
        vec v, low = {0}, high = {0};
        unsigned long long sum = 0;
        unsigned int word;
        for (; words >= 8; words -= 8, p += 32) {
            memcpy(&v, p, 32);
            low += v & 0xFFFFFFFFULL;
            high += v >> 32;
        }
        low += high;
        for (; words > 0; words--, p += 4) {
            memcpy(&word, p, 4);
            sum += word;
        }
        return sum + low[0] + low[1] + low[2] + low[3];
    }
    """
    const bint WIDE_SUM "KPATH_WIDE_SUM"
    u64 sum_wide "kpath_sum_wide"(const u8 *p, int words) noexcept nogil

cdef inline u32 csum_partial(const void *buff, int length, u32 wsum) noexcept nogil:
    """The sum of length bytes, begun at an even place, added to wsum."""
    cdef const u8 *p = <const u8 *>buff
    cdef u64 sum_ = wsum
    cdef u32 last = 0
    cdef int i
    # Words into a sum twice as wide: no carry to look after, and the compiler takes several at once.
    if length >= WIDE_MIN and WIDE_SUM:
        sum_ += sum_wide(p, length >> 2)
    else:
        for i in range(length >> 4):
            sum_ += (<u64>get_unaligned_u32(p) + get_unaligned_u32(p + 4) + get_unaligned_u32(p + 8) +
                     get_unaligned_u32(p + 12))
            p += 16
        for i in range((length >> 2) & 3):
            sum_ += get_unaligned_u32(p)
            p += 4
    if length & 3:
        memcpy(&last, <const u8 *>buff + (length & ~3), <size_t>(length & 3))
        sum_ += last
    return csum_from64to32(sum_)

cdef inline u32 csum_tcpudp_nofold(__be32 saddr, __be32 daddr, u32 length, u8 proto, u32 wsum) noexcept nogil:
    """The pseudo header of RFC 9293 3.1."""
    cdef u64 s = wsum
    s += saddr
    s += daddr
    s += <u64>(proto + length) << 8
    return csum_from64to32(s)

cdef inline __sum16 csum_tcpudp_magic(__be32 saddr, __be32 daddr, u32 length, u8 proto, u32 wsum) noexcept nogil:
    return csum_fold(csum_tcpudp_nofold(saddr, daddr, length, proto, wsum))

cdef inline u32 csum_ipv6_nofold(const in6_addr *saddr, const in6_addr *daddr, u32 length, u8 proto,
                                 u32 wsum) noexcept nogil:
    """The pseudo header of RFC 8200 8.1."""
    cdef u64 s = wsum
    cdef int i
    for i in range(4):
        s += <u64>saddr.s6_addr32[i] + daddr.s6_addr32[i]
    s += htonl(length)
    s += htonl(proto)
    return csum_from64to32(s)

cdef inline __sum16 csum_ipv6_magic(const in6_addr *saddr, const in6_addr *daddr, u32 length, u8 proto,
                                    u32 wsum) noexcept nogil:
    return csum_fold(csum_ipv6_nofold(saddr, daddr, length, proto, wsum))

cdef inline __sum16 ip_compute_csum(const void *buff, int length) noexcept nogil:
    return csum_fold(csum_partial(buff, length, 0))

cdef inline __sum16 ip_fast_csum(const void *iph, unsigned int ihl) noexcept nogil:
    cdef u64 a, b
    if ihl == 5:
        a, b = get_unaligned_u64(iph), get_unaligned_u64(<const u8 *>iph + 8)
        return csum_fold(csum_from64to32((a & 0xFFFFFFFFU) + (a >> 32) + (b & 0xFFFFFFFFU) + (b >> 32) +
                                         get_unaligned_u32(<const u8 *>iph + 16)))
    return csum_fold(csum_partial(iph, <int>(ihl * 4), 0))

cdef inline void csum_replace4(__sum16 *sum_, __be32 from_, __be32 to) noexcept nogil:
    cdef u32 tmp = csum_sub(~csum_unfold(sum_[0]), from_)
    sum_[0] = csum_fold(csum_add(tmp, to))

cdef inline void csum_replace2(__sum16 *sum_, __be16 old, __be16 new) noexcept nogil:
    sum_[0] = <__sum16>~csum16_add(csum16_sub(<u16>~sum_[0], old), new)
