"""Groups of listeners on one port (SO_REUSEPORT): which of them takes a SYN, and who inherits from one that closes.

Follows net/core/sock_reuseport.c of Linux 6.18 (GPL-2.0-only).
Deviations: no BPF programs, no SO_INCOMING_CPU: the choice is always by the hash of the 4-tuple.
"""
from libc.stdlib cimport calloc, free
from kpath_c.headers.tcp cimport *

cdef enum:
    INIT_SOCKS = 128


cdef int reuseport_sock_index(sock *sk, const sock_reuseport *reuse, bint closed) noexcept nogil:
    cdef int left, right
    if not closed:
        left = 0
        right = reuse.num_socks
    else:
        left = reuse.max_socks - reuse.num_closed_socks
        right = reuse.max_socks
    while left < right:
        if reuse.socks[left] == sk:
            return left
        left += 1
    return -1


cdef void __reuseport_add_sock(sock *sk, sock_reuseport *reuse) noexcept nogil:
    reuse.socks[reuse.num_socks] = sk
    reuse.num_socks += 1


cdef bint __reuseport_detach_sock(sock *sk, sock_reuseport *reuse) noexcept nogil:
    cdef int i = reuseport_sock_index(sk, reuse, 0)
    if i == -1:
        return 0
    reuse.socks[i] = reuse.socks[reuse.num_socks - 1]
    reuse.num_socks -= 1
    return 1


cdef void __reuseport_add_closed_sock(sock *sk, sock_reuseport *reuse) noexcept nogil:
    reuse.socks[reuse.max_socks - reuse.num_closed_socks - 1] = sk
    reuse.num_closed_socks += 1


cdef bint __reuseport_detach_closed_sock(sock *sk, sock_reuseport *reuse) noexcept nogil:
    cdef int i = reuseport_sock_index(sk, reuse, 1)
    if i == -1:
        return 0
    reuse.socks[i] = reuse.socks[reuse.max_socks - reuse.num_closed_socks]
    reuse.num_closed_socks -= 1
    return 1


cdef sock_reuseport *__reuseport_alloc(unsigned int max_socks) noexcept nogil:
    cdef sock_reuseport *reuse = <sock_reuseport *>calloc(1, sizeof(sock_reuseport))
    if reuse == NULL:
        return NULL
    reuse.socks = <sock **>calloc(max_socks, sizeof(sock *))
    if reuse.socks == NULL:
        free(reuse)
        return NULL
    reuse.max_socks = <u16>max_socks
    return reuse


cdef void reuseport_free(sock_reuseport *reuse) noexcept nogil:
    free(reuse.socks)
    free(reuse)


cdef int reuseport_alloc(sock *sk, bint bind_inany) noexcept nogil:
    cdef sock_reuseport *reuse = sk.sk_reuseport_cb
    if reuse != NULL:
        if reuse.num_closed_socks:
            return reuseport_resurrect(sk, reuse, NULL, bind_inany)
        if bind_inany:
            reuse.bind_inany = 1
        return 0
    reuse = __reuseport_alloc(INIT_SOCKS)
    if reuse == NULL:
        return -ENOMEM
    reuse.bind_inany = bind_inany
    reuse.socks[0] = sk
    reuse.num_socks = 1
    sk.sk_reuseport_cb = reuse
    return 0


# Twice the room. Above 32768 a closed listener is thrown out instead. Grown in place: the kernel copies for RCU.
cdef sock_reuseport *reuseport_grow(sock_reuseport *reuse) noexcept nogil:
    cdef u32 more_socks_size = reuse.max_socks * <u32>2
    cdef sock **more
    cdef sock *sk
    if more_socks_size > U16_MAX:
        if reuse.num_closed_socks:
            sk = reuse.socks[reuse.max_socks - reuse.num_closed_socks]
            sk.sk_reuseport_cb = NULL
            __reuseport_detach_closed_sock(sk, reuse)
            return reuse
        return NULL
    more = <sock **>calloc(more_socks_size, sizeof(sock *))
    if more == NULL:
        return NULL
    memcpy(more, reuse.socks, reuse.num_socks * sizeof(sock *))
    memcpy(more + (more_socks_size - reuse.num_closed_socks),
           reuse.socks + (reuse.max_socks - reuse.num_closed_socks), reuse.num_closed_socks * sizeof(sock *))
    free(reuse.socks)
    reuse.socks = more
    reuse.max_socks = <u16>more_socks_size
    return reuse


# sk joins the group of sk2.
cdef int reuseport_add_sock(sock *sk, sock *sk2, bint bind_inany) noexcept nogil:
    cdef sock_reuseport *old_reuse
    cdef sock_reuseport *reuse
    cdef int err
    if sk2.sk_reuseport_cb == NULL:
        err = reuseport_alloc(sk2, bind_inany)
        if err:
            return err
    reuse = sk2.sk_reuseport_cb
    old_reuse = sk.sk_reuseport_cb
    if old_reuse != NULL and old_reuse.num_closed_socks:
        return reuseport_resurrect(sk, old_reuse, reuse, reuse.bind_inany)
    if old_reuse != NULL and old_reuse.num_socks != 1:
        return -EBUSY
    if reuse.num_socks + reuse.num_closed_socks == reuse.max_socks:
        reuse = reuseport_grow(reuse)
        if reuse == NULL:
            return -ENOMEM
    __reuseport_add_sock(sk, reuse)
    sk.sk_reuseport_cb = reuse
    if old_reuse != NULL:
        reuseport_free(old_reuse)
    return 0


# A listener that was shut down listens again.
cdef int reuseport_resurrect(sock *sk, sock_reuseport *old_reuse, sock_reuseport *reuse,
                             bint bind_inany) noexcept nogil:
    if old_reuse == reuse:
        __reuseport_detach_closed_sock(sk, old_reuse)
        __reuseport_add_sock(sk, old_reuse)
        return 0
    if reuse == NULL:
        reuse = __reuseport_alloc(INIT_SOCKS)
        if reuse == NULL:
            return -ENOMEM
        reuse.bind_inany = bind_inany
    elif reuse.num_socks + reuse.num_closed_socks == reuse.max_socks:
        reuse = reuseport_grow(reuse)
        if reuse == NULL:
            return -ENOMEM
    __reuseport_detach_closed_sock(sk, old_reuse)
    __reuseport_add_sock(sk, reuse)
    sk.sk_reuseport_cb = reuse
    if old_reuse.num_socks + old_reuse.num_closed_socks == 0:
        reuseport_free(old_reuse)
    return 0


cdef void reuseport_detach_sock(sock *sk) noexcept nogil:
    cdef sock_reuseport *reuse = sk.sk_reuseport_cb
    if reuse == NULL:
        return
    sk.sk_reuseport_cb = NULL
    if not __reuseport_detach_closed_sock(sk, reuse):
        __reuseport_detach_sock(sk, reuse)
    if reuse.num_socks + reuse.num_closed_socks == 0:
        reuseport_free(reuse)


cdef void reuseport_stop_listen_sock(sock *sk) noexcept nogil:
    cdef sock_reuseport *reuse
    if sk.sk_protocol == IPPROTO_TCP:
        reuse = sk.sk_reuseport_cb
        if sock_net(sk).ipv4.sysctl_tcp_migrate_req:
            __reuseport_detach_sock(sk, reuse)
            __reuseport_add_closed_sock(sk, reuse)
            return
    reuseport_detach_sock(sk)


cdef sock *reuseport_select_sock_by_hash(sock_reuseport *reuse, u32 hash_, u16 num_socks) noexcept nogil:
    cdef int i, j
    j = <int>reciprocal_scale(hash_, num_socks)
    i = j
    while True:
        if reuse.socks[i].sk_state != TCP_ESTABLISHED:
            return reuse.socks[i]
        i += 1
        if i >= num_socks:
            i = 0
        if i == j:
            return NULL


cdef sock *reuseport_select_sock(sock *sk, u32 hash_, sk_buff *skb, int hdr_len) noexcept nogil:
    cdef sock_reuseport *reuse = sk.sk_reuseport_cb
    if reuse == NULL or reuse.num_socks == 0:
        return NULL
    return reuseport_select_sock_by_hash(reuse, hash_, reuse.num_socks)


# Who takes over from a listener that closes (sysctl tcp_migrate_req). The reference is the caller's.
cdef sock *reuseport_migrate_sock(sock *sk, sock *migrating_sk, sk_buff *skb) noexcept nogil:
    cdef sock_reuseport *reuse = sk.sk_reuseport_cb
    cdef sock *nsk = NULL
    if reuse == NULL:
        return NULL
    if reuse.num_socks and sock_net(sk).ipv4.sysctl_tcp_migrate_req:
        nsk = reuseport_select_sock_by_hash(reuse, migrating_sk.sk_hash, reuse.num_socks)
        if nsk != NULL and nsk.sk_refcnt != 0:
            nsk.sk_refcnt += 1
            return nsk
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPMIGRATEREQFAILURE)
    return NULL
