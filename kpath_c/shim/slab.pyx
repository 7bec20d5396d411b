"""Pools: objects of one size, cut from chunks, kept on a free list, counted.

Stands for mm/slub.c. `live` must be 0 when the host closes; `poison` (set in a debug build) fills freed objects with
0x6b and notices who writes to them afterwards.
"""
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from kpath_c.headers.kernel cimport *

cdef extern from *:
    """
    #ifdef KPATH_DEBUG
    #define KPATH_POISON 1
    #else
    #define KPATH_POISON 0
    #endif
    """
    const bint POISON "KPATH_POISON"

cdef enum:
    CHUNK_BYTES = 64 * 1024
    CHUNK_HEAD = 64                     # keeps objects on a cache line
    POISON_FREE = 0x6b


cdef void kmem_cache_init(kmem_cache *cache, const char *name, size_t object_size) noexcept nogil:
    memset(cache, 0, sizeof(kmem_cache))
    cache.name = name
    cache.object_size = (object_size + 63) & ~<size_t>63
    cache.per_chunk = max_size((CHUNK_BYTES - CHUNK_HEAD) // cache.object_size, 1)
    cache.poison = POISON


cdef void kmem_cache_destroy(kmem_cache *cache) noexcept nogil:
    cdef kmem_chunk *c = cache.chunks
    cdef kmem_chunk *next
    while c != NULL:
        next = c.next
        free((<void **>c)[1])
        c = next
    cache.chunks = NULL
    cache.freelist = NULL


cdef bint cache_grow(kmem_cache *cache) noexcept nogil:
    """One chunk more, put on the free list in address order."""
    cdef size_t i
    cdef char *raw = <char *>malloc(cache.per_chunk * cache.object_size + 2 * CHUNK_HEAD)
    cdef char *base
    cdef char *obj
    if raw == NULL:
        return 0
    base = <char *>((<size_t>raw + CHUNK_HEAD - 1) & ~<size_t>(CHUNK_HEAD - 1))
    (<kmem_chunk *>base).next = cache.chunks
    (<void **>base)[1] = raw
    cache.chunks = <kmem_chunk *>base
    for i in range(cache.per_chunk):
        obj = base + CHUNK_HEAD + (cache.per_chunk - 1 - i) * cache.object_size
        if cache.poison:
            memset(obj, POISON_FREE, cache.object_size)
        (<void **>obj)[0] = cache.freelist
        cache.freelist = obj
    return 1


cdef void check_poison(kmem_cache *cache, const u8 *obj) noexcept nogil:
    cdef size_t i
    for i in range(sizeof(void *), cache.object_size):
        BUG_ON(obj[i] != POISON_FREE)


cdef void *kmem_cache_alloc(kmem_cache *cache) noexcept nogil:
    cdef void *obj
    if cache.freelist == NULL and not cache_grow(cache):
        return NULL
    obj = cache.freelist
    cache.freelist = (<void **>obj)[0]
    if cache.poison:
        check_poison(cache, <const u8 *>obj)
    cache.live += 1
    cache.allocated += 1
    return obj


cdef void *kmem_cache_zalloc(kmem_cache *cache) noexcept nogil:
    cdef void *obj = kmem_cache_alloc(cache)
    if obj != NULL:
        memset(obj, 0, cache.object_size)
    return obj


cdef void kmem_cache_free(kmem_cache *cache, void *obj) noexcept nogil:
    if obj == NULL:
        return
    if cache.poison:
        memset(obj, POISON_FREE, cache.object_size)
    (<void **>obj)[0] = cache.freelist
    cache.freelist = obj
    cache.live -= 1
