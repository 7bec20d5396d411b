"""Integer types and the list heads of linux/types.h, under the kernel's names."""
from libc.stdint cimport (int8_t, int16_t, int32_t, int64_t,
                          uint8_t, uint16_t, uint32_t, uint64_t)

ctypedef uint8_t u8
ctypedef uint16_t u16
ctypedef uint32_t u32
ctypedef uint64_t u64
ctypedef int8_t s8
ctypedef int16_t s16
ctypedef int32_t s32
ctypedef int64_t s64
ctypedef uint16_t __be16
ctypedef uint32_t __be32
ctypedef uint16_t __sum16
ctypedef int64_t ktime_t
ctypedef uint32_t gfp_t
ctypedef unsigned long ulong

cdef enum:
    GFP_ATOMIC = 0
    GFP_KERNEL = 0


cdef struct list_head:
    list_head *next
    list_head *prev

cdef struct hlist_node:
    hlist_node *next
    hlist_node **pprev

cdef struct hlist_head:
    hlist_node *first

# The end of a nulls list is an odd "pointer" that tells which list was walked.
cdef struct hlist_nulls_node:
    hlist_nulls_node *next
    hlist_nulls_node **pprev

cdef struct hlist_nulls_head:
    hlist_nulls_node *first

cdef struct rb_node:
    unsigned long __rb_parent_color
    rb_node *rb_right
    rb_node *rb_left

cdef struct rb_root:
    rb_node *rb_node

cdef struct siphash_key_t:
    u64 key[2]

cdef struct minmax_sample:
    u32 t
    u32 v

cdef struct minmax:
    minmax_sample s[3]
