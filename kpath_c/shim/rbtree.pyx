"""Red-black trees: what keeps them balanced when a node was linked in or is taken out.

Follows lib/rbtree.c of Linux 6.18 (GPL-2.0-only). Deviation: the two mirrored halves of each algorithm are one, told
apart by the side they work on.
"""
from kpath_c.headers.kernel cimport *

cdef enum:
    RB_RED = 0
    RB_BLACK = 1
    RIGHT = 0
    LEFT = 1


# The child on a side: rb_node is (parent and colour, right, left).
cdef inline rb_node **child_of(rb_node *node, int side) noexcept nogil:
    return &(<rb_node **>node)[1 + side]


cdef inline bint rb_is_black(const rb_node *rb) noexcept nogil:
    return rb.__rb_parent_color & 1


cdef inline bint rb_is_red(const rb_node *rb) noexcept nogil:
    return not (rb.__rb_parent_color & 1)


cdef inline void rb_set_parent(rb_node *rb, rb_node *p) noexcept nogil:
    rb.__rb_parent_color = (rb.__rb_parent_color & 1) | <unsigned long>p


cdef inline void rb_set_parent_color(rb_node *rb, rb_node *p, unsigned long color) noexcept nogil:
    rb.__rb_parent_color = <unsigned long>p | color


cdef inline void __rb_change_child(rb_node *old, rb_node *new, rb_node *parent, rb_root *root) noexcept nogil:
    if parent == NULL:
        root.rb_node = new
    elif parent.rb_left == old:
        parent.rb_left = new
    else:
        parent.rb_right = new


# After a rotation: new takes old's parent and colour, old becomes its child of the given colour.
cdef inline void __rb_rotate_set_parents(rb_node *old, rb_node *new, rb_root *root, unsigned long color) noexcept nogil:
    cdef rb_node *parent = rb_parent(old)
    new.__rb_parent_color = old.__rb_parent_color
    rb_set_parent_color(old, new, color)
    __rb_change_child(old, new, parent, root)


cdef void rb_insert_color(rb_node *node, rb_root *root) noexcept nogil:
    cdef rb_node *parent = rb_parent(node)
    cdef rb_node *gparent
    cdef rb_node *tmp
    cdef int side
    while True:
        if parent == NULL:
            rb_set_parent_color(node, NULL, RB_BLACK)
            return
        if rb_is_black(parent):
            return
        gparent = rb_parent(parent)
        side = LEFT if gparent.rb_left == parent else RIGHT
        tmp = child_of(gparent, 1 - side)[0]
        if tmp != NULL and rb_is_red(tmp):
            # A red uncle: push the red up and go on there.
            rb_set_parent_color(tmp, gparent, RB_BLACK)
            rb_set_parent_color(parent, gparent, RB_BLACK)
            node = gparent
            parent = rb_parent(node)
            rb_set_parent_color(node, parent, RB_RED)
            continue
        tmp = child_of(parent, 1 - side)[0]
        if node == tmp:
            # An inner child: rotate it to the outside first.
            tmp = child_of(node, side)[0]
            child_of(parent, 1 - side)[0] = tmp
            child_of(node, side)[0] = parent
            if tmp != NULL:
                rb_set_parent_color(tmp, parent, RB_BLACK)
            rb_set_parent_color(parent, node, RB_RED)
            parent = node
            tmp = child_of(node, 1 - side)[0]
        child_of(gparent, side)[0] = tmp
        child_of(parent, 1 - side)[0] = gparent
        if tmp != NULL:
            rb_set_parent_color(tmp, gparent, RB_BLACK)
        __rb_rotate_set_parents(gparent, parent, root, RB_RED)
        return


cdef void rb_erase_color(rb_node *parent, rb_root *root) noexcept nogil:
    """One side of parent is a black node short."""
    cdef rb_node *node = NULL
    cdef rb_node *sibling
    cdef rb_node *tmp1
    cdef rb_node *tmp2
    cdef int side
    while True:
        side = LEFT if parent.rb_right != node else RIGHT
        sibling = child_of(parent, 1 - side)[0]
        if rb_is_red(sibling):
            tmp1 = child_of(sibling, side)[0]
            child_of(parent, 1 - side)[0] = tmp1
            child_of(sibling, side)[0] = parent
            rb_set_parent_color(tmp1, parent, RB_BLACK)
            __rb_rotate_set_parents(parent, sibling, root, RB_RED)
            sibling = tmp1
        tmp1 = child_of(sibling, 1 - side)[0]
        if tmp1 == NULL or rb_is_black(tmp1):
            tmp2 = child_of(sibling, side)[0]
            if tmp2 == NULL or rb_is_black(tmp2):
                rb_set_parent_color(sibling, parent, RB_RED)
                if rb_is_red(parent):
                    parent.__rb_parent_color |= RB_BLACK
                    return
                node = parent
                parent = rb_parent(node)
                if parent == NULL:
                    return
                continue
            # The red nephew is the inner one: rotate it to the outside.
            tmp1 = child_of(tmp2, 1 - side)[0]
            child_of(sibling, side)[0] = tmp1
            child_of(tmp2, 1 - side)[0] = sibling
            child_of(parent, 1 - side)[0] = tmp2
            if tmp1 != NULL:
                rb_set_parent_color(tmp1, sibling, RB_BLACK)
            tmp1 = sibling
            sibling = tmp2
        tmp2 = child_of(sibling, side)[0]
        child_of(parent, 1 - side)[0] = tmp2
        child_of(sibling, side)[0] = parent
        rb_set_parent_color(tmp1, sibling, RB_BLACK)
        if tmp2 != NULL:
            rb_set_parent(tmp2, parent)
        __rb_rotate_set_parents(parent, sibling, root, RB_BLACK)
        return


cdef void rb_erase(rb_node *node, rb_root *root) noexcept nogil:
    cdef rb_node *child = node.rb_right
    cdef rb_node *tmp = node.rb_left
    cdef rb_node *parent
    cdef rb_node *rebalance = NULL
    cdef rb_node *successor
    cdef rb_node *child2
    cdef unsigned long pc = node.__rb_parent_color
    if tmp == NULL or child == NULL:
        # At most one child, and then it is red and takes over the node's colour.
        if tmp == NULL:
            tmp = child
        parent = rb_parent(node)
        __rb_change_child(node, tmp, parent, root)
        if tmp != NULL:
            tmp.__rb_parent_color = pc
        elif pc & 1:
            rebalance = parent
    else:
        successor = child
        if child.rb_left == NULL:
            parent = successor
            child2 = successor.rb_right
        else:
            parent = successor
            successor = child.rb_left
            while successor.rb_left != NULL:
                parent = successor
                successor = successor.rb_left
            child2 = successor.rb_right
            parent.rb_left = child2
            successor.rb_right = child
            rb_set_parent(child, successor)
        successor.rb_left = tmp
        rb_set_parent(tmp, successor)
        __rb_change_child(node, successor, rb_parent(node), root)
        if child2 != NULL:
            rb_set_parent_color(child2, parent, RB_BLACK)
        elif rb_is_black(successor):
            rebalance = parent
        successor.__rb_parent_color = pc
    if rebalance != NULL:
        rb_erase_color(rebalance, root)


cdef void rb_replace_node(rb_node *victim, rb_node *new, rb_root *root) noexcept nogil:
    new[0] = victim[0]
    if victim.rb_left != NULL:
        rb_set_parent(victim.rb_left, new)
    if victim.rb_right != NULL:
        rb_set_parent(victim.rb_right, new)
    __rb_change_child(victim, new, rb_parent(victim), root)
