"""lib/rbtree.c: keeping a red-black tree balanced. Walks are inlines of headers/kernel.pxd."""
from kpath_c.headers.types cimport *

cdef void rb_insert_color(rb_node *node, rb_root *root) noexcept nogil
cdef void rb_erase(rb_node *node, rb_root *root) noexcept nogil
cdef void rb_replace_node(rb_node *victim, rb_node *new, rb_root *root) noexcept nogil
