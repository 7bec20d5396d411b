"""The front of a bucket of the established table: what a lookup can know of a chain without touching its sockets.

Not the kernel's, whose bucket is the chain's head alone. The first members of a chain stand in its bucket once more,
newest first as in the chain, each with bits of its hash. A lookup begins at the first member whose bits are right:
those before it are other sockets, and each of them would be a cache line, and a page, from memory for nothing.
"""
from kpath_c.headers.kernel cimport *
from kpath_c.headers.structs cimport *

cdef enum:
    TAG_BITS = 16                       # below a member's address, in the lowest bits, stands its tag
    FRONT_MORE = 1 << TAG_BITS          # in the last place: the chain has, or had, more members than stand here


# Of the hash's other bits than those that number the buckets; never 0, as an empty place is.
cdef inline u16 ehash_tag(u32 hash_) noexcept nogil:
    return <u16>(hash_ >> 16 | 1)

# Nodes lie at even addresses.
cdef inline hlist_nulls_node *front_node(u64 place) noexcept nogil:
    return <hlist_nulls_node *>(place >> TAG_BITS & ~<u64>1)

cdef inline inet_ehash_bucket *front_bucket(const inet_hashinfo *h, u32 hash_) noexcept nogil:
    return &h.ehash[hash_ & h.ehash_mask]

# Where a walk of the hash's chain for it may begin: no member before that has the hash.
cdef inline hlist_nulls_node *inet_ehash_first(const inet_hashinfo *h, u32 hash_) noexcept nogil:
    cdef const inet_ehash_bucket *b = front_bucket(h, hash_)
    cdef u16 tag = ehash_tag(hash_)
    cdef u64 place = b.front[0]
    if unlikely(<u16>place != tag):
        place = b.front[1] if <u16>b.front[1] == tag else b.front[2]
        if <u16>place != tag and likely(not b.front[2] & FRONT_MORE):
            return <hlist_nulls_node *>1    # a nulls marker
        if unlikely(place == FRONT_MORE):   # those of the front have gone
            return b.chain.first
    return front_node(place)

# A new member, at the chain's head.
cdef inline void front_add(inet_ehash_bucket *b, const hlist_nulls_node *node, u32 hash_) noexcept nogil:
    b.front[2] = b.front[1] | (FRONT_MORE if b.front[2] else 0)
    b.front[1] = b.front[0]
    b.front[0] = <u64>node << TAG_BITS | ehash_tag(hash_)

# One that has left the chain, or was never in it.
cdef inline void front_del(inet_ehash_bucket *b, const hlist_nulls_node *node) noexcept nogil:
    cdef u64 more = b.front[2] & FRONT_MORE
    if front_node(b.front[0]) == node:
        b.front[0] = b.front[1]
        b.front[1] = b.front[2] ^ more
        b.front[2] = more
    elif front_node(b.front[1]) == node:
        b.front[1] = b.front[2] ^ more
        b.front[2] = more
    elif front_node(b.front[2]) == node:
        b.front[2] = more
    if more and is_a_nulls(b.chain.first):
        b.front[2] = 0

# Another has taken a member's place in the chain, under the same hash.
cdef inline void front_replace(inet_ehash_bucket *b, const hlist_nulls_node *old,
                               const hlist_nulls_node *new) noexcept nogil:
    cdef int i
    for i in range(3):
        if front_node(b.front[i]) == old:
            b.front[i] ^= (<u64>old ^ <u64>new) << TAG_BITS
