"""The MD5 digest (RFC 1321), which signs segments (RFC 2385).

Stands for lib/crypto/md5.c of Linux 6.18; written from the RFC. What the kernel calls a sigpool (tcp_sigpool.c) is a
digest on the stack here; of that file there is tcp_sigpool_hash_skb_data() alone, in tcp.pyx.
"""
from libc.math cimport fabs, sin
from libc.string cimport memcpy, memset

from kpath_c.headers.types cimport u8, u32, u64

cdef enum:
    BLOCK = 64
    LENGTH_AT = 56                      # where the last block has the message's length in bits

cdef u32 addend[64]                     # 2^32 |sin(i)|, i from 1
cdef u8 amount[16]                      # by how much a step rotates: four amounts for each round


cdef void md5_setup() noexcept nogil:
    cdef int i
    for i in range(64):
        addend[i] = <u32><u64>(fabs(sin(<double>(i + 1))) * 4294967296.0)
    memcpy(amount, b"\x07\x0c\x11\x16\x05\x09\x0e\x14\x04\x0b\x10\x17\x06\x0a\x0f\x15", sizeof(amount))


cdef inline u32 rotate_left(u32 x, u32 s) noexcept nogil:
    return (x << s) | (x >> (32 - s))


# RFC 1321 3.4: one block. The host is little endian, as the words of a block are.
cdef void transform(u32 *state, const u8 *block) noexcept nogil:
    cdef u32 x[16]
    cdef u32 a = state[0]
    cdef u32 b = state[1]
    cdef u32 c = state[2]
    cdef u32 d = state[3]
    cdef u32 f, turn
    cdef int i, k
    memcpy(x, block, BLOCK)
    for i in range(64):
        if i < 16:
            f = (b & c) | (~b & d)
            k = i
        elif i < 32:
            f = (b & d) | (c & ~d)
            k = 5 * i + 1
        elif i < 48:
            f = b ^ c ^ d
            k = 3 * i + 5
        else:
            f = c ^ (b | ~d)
            k = 7 * i
        turn = rotate_left(a + f + x[k & 15] + addend[i], amount[(i >> 4) * 4 + (i & 3)])
        a = d
        d = c
        c = b
        b += turn
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d


cdef void md5_init(md5_ctx *ctx) noexcept nogil:
    ctx.state[0] = 0x67452301
    ctx.state[1] = 0xEFCDAB89
    ctx.state[2] = 0x98BADCFE
    ctx.state[3] = 0x10325476
    ctx.bytecount = 0


cdef void md5_update(md5_ctx *ctx, const u8 *data, size_t len_) noexcept nogil:
    cdef size_t have = ctx.bytecount % BLOCK
    cdef size_t part
    ctx.bytecount += len_
    while len_:
        part = BLOCK - have
        if part > len_:
            part = len_
        memcpy(ctx.buf + have, data, part)
        have += part
        data += part
        len_ -= part
        if have == BLOCK:
            transform(ctx.state, ctx.buf)
            have = 0


# RFC 1321 3.1, 3.2: a one, zeros, and the length fill the last block.
cdef void md5_final(md5_ctx *ctx, u8 *out) noexcept nogil:
    cdef u64 bits = ctx.bytecount << 3
    cdef size_t have = ctx.bytecount % BLOCK
    ctx.buf[have] = 0x80
    have += 1
    if have > LENGTH_AT:
        memset(ctx.buf + have, 0, BLOCK - have)
        transform(ctx.state, ctx.buf)
        have = 0
    memset(ctx.buf + have, 0, LENGTH_AT - have)
    memcpy(ctx.buf + LENGTH_AT, &bits, sizeof(bits))
    transform(ctx.state, ctx.buf)
    memcpy(out, ctx.state, sizeof(ctx.state))
