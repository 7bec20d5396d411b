from kpath_c.headers.types cimport u8, u32, u64

cdef struct md5_ctx:
    u32 state[4]
    u64 bytecount
    u8 buf[64]

cdef void md5_setup() noexcept nogil                    # once before the first digest
cdef void md5_init(md5_ctx *ctx) noexcept nogil
cdef void md5_update(md5_ctx *ctx, const u8 *data, size_t len_) noexcept nogil
cdef void md5_final(md5_ctx *ctx, u8 *out) noexcept nogil
