"""Pools: objects of one size, cut from chunks, kept on a free list, counted.

Stands for mm/slub.c. `live` must be 0 when the host closes; `poison` (set in a debug build) fills freed objects with
0x6b and notices who writes to them afterwards.

A pool begins with small chunks, as most hosts have few of anything; what grows beyond goes on in huge pages, so that
a million sockets cost a few hundred entries of the TLB. A chunk is not touched before its objects are asked for.
"""
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, madvise, mmap, munmap
from kpath_c.headers.kernel cimport *

cdef extern from "<stdlib.h>" nogil:
    void *aligned_alloc(size_t alignment, size_t size)

cdef extern from *:
    """
    #ifdef KPATH_DEBUG
    #define KPATH_POISON 1
    #else
    #define KPATH_POISON 0
    #endif
    #ifndef MADV_HUGEPAGE
    #define MADV_HUGEPAGE 14
    #endif
    """
    const bint POISON "KPATH_POISON"
    int MADV_HUGEPAGE

cdef enum:
    CHUNK_BYTES = 64 * 1024
    CHUNK_HEAD = 64                     # keeps objects on a cache line
    HUGE_PAGE = 2 << 20
    SMALL_POOL = 1 << 20                # beyond it chunks are huge pages
    POISON_FREE = 0x6b


cdef inline size_t huge_round(size_t size) noexcept nogil:
    return (size + HUGE_PAGE - 1) & ~<size_t>(HUGE_PAGE - 1)


cdef void *huge_alloc(size_t size) noexcept nogil:
    cdef size_t want = huge_round(size)
    cdef char *raw = <char *>mmap(NULL, want + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    cdef char *p
    if raw == MAP_FAILED:
        return NULL
    p = <char *>huge_round(<size_t>raw)
    if p != raw:
        munmap(raw, p - raw)
    munmap(p + want, raw + HUGE_PAGE - p)
    madvise(p, want, MADV_HUGEPAGE)         # no loss where it is refused
    return p


cdef void huge_free(void *p, size_t size) noexcept nogil:
    if p != NULL:
        munmap(p, huge_round(size))


cdef void *huge_realloc(void *p, size_t old, size_t size) noexcept nogil:
    """realloc(), but what is large comes in huge pages: copying would touch small ones, each with a fault."""
    cdef void *q
    if size < HUGE_PAGE:
        return realloc(p, size)
    q = aligned_alloc(HUGE_PAGE, huge_round(size))
    if q == NULL:
        return NULL
    madvise(q, huge_round(size), MADV_HUGEPAGE)
    if old:
        memcpy(q, p, old)
    free(p)
    return q


cdef void kmem_cache_init(kmem_cache *cache, const char *name, size_t object_size) noexcept nogil:
    memset(cache, 0, sizeof(kmem_cache))
    cache.name = name
    cache.object_size = <u32>((object_size + 63) & ~<size_t>63)
    cache.poison = POISON


cdef void kmem_cache_destroy(kmem_cache *cache) noexcept nogil:
    cdef kmem_chunk *c = cache.chunks
    cdef kmem_chunk *next
    while c != NULL:
        next = c.next
        if c.mapped:
            huge_free(c.mem, c.size)
        else:
            free(c.mem)
        c = next
    cache.chunks = NULL
    cache.freelist = NULL
    cache.fresh = NULL
    cache.fresh_end = NULL


cdef bint cache_grow(kmem_cache *cache) noexcept nogil:
    """One chunk more; its objects are taken from it in address order."""
    cdef bint mapped = cache.live * cache.object_size >= SMALL_POOL
    cdef size_t size = HUGE_PAGE if mapped else max_size(CHUNK_BYTES, cache.object_size + 2 * CHUNK_HEAD)
    cdef void *mem = huge_alloc(size) if mapped else malloc(size)
    cdef char *base
    if mem == NULL:
        return 0
    base = <char *>((<size_t>mem + CHUNK_HEAD - 1) & ~<size_t>(CHUNK_HEAD - 1))
    (<kmem_chunk *>base).next = cache.chunks
    (<kmem_chunk *>base).mem = mem
    (<kmem_chunk *>base).size = size
    (<kmem_chunk *>base).mapped = mapped
    cache.chunks = <kmem_chunk *>base
    cache.fresh = base + CHUNK_HEAD
    cache.fresh_end = cache.fresh + (<char *>mem + size - cache.fresh) // cache.object_size * cache.object_size
    return 1


cdef void poison_object(kmem_cache *cache, void *obj) noexcept nogil:
    memset(obj, POISON_FREE, cache.object_size)


cdef void check_poison(kmem_cache *cache, const u8 *obj) noexcept nogil:
    cdef size_t i
    for i in range(sizeof(void *), cache.object_size):
        BUG_ON(obj[i] != POISON_FREE)


cdef void *alloc_slow(kmem_cache *cache) noexcept nogil:
    """Nothing has been freed, or it has to be looked at first."""
    cdef void *obj = cache.freelist
    if obj != NULL:
        cache.freelist = (<void **>obj)[0]
        check_poison(cache, <const u8 *>obj)
    else:
        if cache.fresh == cache.fresh_end and not cache_grow(cache):
            return NULL
        obj = cache.fresh
        cache.fresh += cache.object_size
        if cache.poison:
            poison_object(cache, obj)
    cache.live += 1
    cache.allocated += 1
    return obj
