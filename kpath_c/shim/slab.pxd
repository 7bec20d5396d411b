"""Pools of objects of one size, with live counters; memory in huge pages."""
from kpath_c.headers.structs cimport *
from kpath_c.headers.kernel cimport likely, memset

cdef void kmem_cache_init(kmem_cache *cache, const char *name, size_t object_size) noexcept nogil
cdef void kmem_cache_destroy(kmem_cache *cache) noexcept nogil
cdef void *alloc_slow(kmem_cache *cache) noexcept nogil
cdef void poison_object(kmem_cache *cache, void *obj) noexcept nogil
# Zeros, aligned to 2 MB and in huge pages if there are any; `size` is rounded up to that.
cdef void *huge_alloc(size_t size) noexcept nogil
cdef void huge_free(void *p, size_t size) noexcept nogil
# A page of a larger array need not be faulted in 4 KB at a time.
cdef void *huge_realloc(void *p, size_t old, size_t size) noexcept nogil


# Not cleared; NULL when memory is out.
cdef inline void *kmem_cache_alloc(kmem_cache *cache) noexcept nogil:
    cdef void *obj = cache.freelist
    if likely(obj != NULL and not cache.poison):
        cache.freelist = (<void **>obj)[0]
        cache.live += 1
        cache.allocated += 1
        return obj
    return alloc_slow(cache)


cdef inline void *kmem_cache_zalloc(kmem_cache *cache) noexcept nogil:
    # Of a chunk that was mapped, what has never been used is zero.
    cdef bint used = cache.freelist != NULL or cache.fresh == cache.fresh_end
    cdef bint clear = used or cache.poison or not cache.chunks.mapped
    cdef void *obj = kmem_cache_alloc(cache)
    if obj != NULL and clear:
        memset(obj, 0, cache.object_size)
    return obj


cdef inline void kmem_cache_free(kmem_cache *cache, void *obj) noexcept nogil:
    if obj == NULL:
        return
    if cache.poison:
        poison_object(cache, obj)
    (<void **>obj)[0] = cache.freelist
    cache.freelist = obj
    cache.live -= 1
