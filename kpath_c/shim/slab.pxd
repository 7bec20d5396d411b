"""Pools of objects of one size, with live counters."""
from kpath_c.headers.structs cimport *

cdef void kmem_cache_init(kmem_cache *cache, const char *name, size_t object_size) noexcept nogil
cdef void kmem_cache_destroy(kmem_cache *cache) noexcept nogil
cdef void *kmem_cache_alloc(kmem_cache *cache) noexcept nogil          # not cleared
cdef void *kmem_cache_zalloc(kmem_cache *cache) noexcept nogil         # cleared; NULL when memory is out
cdef void kmem_cache_free(kmem_cache *cache, void *obj) noexcept nogil
