"""How a host comes to be and goes: what booting and net/core/net_namespace.c do for one network namespace.

Follows net/core/net_namespace.c, tcp_sk_init() and inet_init() of Linux 6.18 (GPL-2.0-only) in order, not in text:
pools first, then sysctls, hash tables, routes and the control socket that resets are sent from.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.ip6_route cimport ip6_route_exit, ip6_route_init
from kpath_c.route cimport ip_rt_exit, ip_rt_init
from kpath_c.shim.netdevice cimport netdev_flush
from libc.stdlib cimport free
from kpath_c.shim.slab cimport kmem_cache_destroy, kmem_cache_init
from kpath_c.shim.timer cimport timers_init
from kpath_c.sysctl_net_ipv4 cimport tcp_sk_init_sysctls
from kpath_c.tcp cimport tcp_done, tcp_exit, tcp_init
from kpath_c.tcp_ipv4 cimport tcp_sk_exit, tcp_sk_init
from kpath_c.tcp_ipv6 cimport tcpv6_net_init
from kpath_c.tcp_metrics cimport tcp_metrics_exit, tcp_metrics_init
from kpath_c.tcp_output cimport tcp_tsq_work_exit

cdef enum:
    MISC_OBJECT = 256           # the largest of fib_entry, fib6_info, fib_nh_exception, metrics, fastopen, saved_syn


cdef void init_pools(net *n) noexcept nogil:
    kmem_cache_init(&n.tcp_prot_slab, "TCP", sizeof(tcp_sock))
    kmem_cache_init(&n.tcpv6_prot_slab, "TCPv6", sizeof(tcp6_sock))
    kmem_cache_init(&n.tcp_request_slab, "request_sock_TCP", sizeof(tcp_request_sock))
    kmem_cache_init(&n.tcp_timewait_slab, "tw_sock_TCP", sizeof(tcp_timewait_sock))
    kmem_cache_init(&n.skbuff_cache, "skbuff_head_cache", sizeof(sk_buff))
    kmem_cache_init(&n.skbuff_fclone_cache, "skbuff_fclone_cache", 2 * sizeof(sk_buff))
    kmem_cache_init(&n.page_slab, "page", sizeof(page_ref))
    kmem_cache_init(&n.bind_bucket_slab, "tcp_bind_bucket", sizeof(inet_bind_bucket))
    kmem_cache_init(&n.bind2_bucket_slab, "tcp_bind2_bucket", sizeof(inet_bind2_bucket))
    kmem_cache_init(&n.socket_slab, "sock_inode_cache", sizeof(socket))
    kmem_cache_init(&n.dst_slab, "ip_dst_cache", max_u32(sizeof(rtable), sizeof(rt6_info)))
    kmem_cache_init(&n.misc_slab, "misc", MISC_OBJECT)


cdef int setup_net(net *n) noexcept nogil:
    """Makes the host ready for its first socket; the clock, the device and the entropy are set already. 0 or -errno."""
    INIT_LIST_HEAD(&n.all_socks)
    INIT_LIST_HEAD(&n.all_timewait)
    init_pools(n)
    timers_init(n)
    tcp_sk_init_sysctls(n)
    if ip_rt_init(n) or ip6_route_init(n) or tcp_init(n) or tcp_metrics_init(n) or tcp_sk_init(n):
        return -ENOMEM
    return tcpv6_net_init(n)


# What its application has closed but its peer has not may live on for minutes. The host does not wait for their timers,
# which would end them at their next turn (tcp_out_of_resources() asks whether the host is closing).
cdef void orphans_purge(net *n) noexcept nogil:
    cdef list_head *p = n.all_socks.next
    cdef list_head *next
    cdef sock *sk
    while p != &n.all_socks:
        next = p.next
        sk = host_node_to_sk(p)
        if sock_flag(sk, SOCK_DEAD) and sk.sk_state != TCP_CLOSE:
            tcp_done(sk)
        p = next


cdef void cleanup_net(net *n) noexcept nogil:
    """Takes down what setup_net() put up; sockets in TIME_WAIT and requests go with it. The pools' counters stay."""
    n.closing = 1
    orphans_purge(n)
    tcp_sk_exit(n)
    netdev_flush(n)
    tcp_tsq_work_exit(n)
    tcp_metrics_exit(n)
    ip_rt_exit(n)
    ip6_route_exit(n)
    tcp_exit(n)
    free(n.ipv4.sysctl_local_reserved_ports)
    kmem_cache_destroy(&n.tcp_prot_slab)
    kmem_cache_destroy(&n.tcpv6_prot_slab)
    kmem_cache_destroy(&n.tcp_request_slab)
    kmem_cache_destroy(&n.tcp_timewait_slab)
    kmem_cache_destroy(&n.skbuff_cache)
    kmem_cache_destroy(&n.skbuff_fclone_cache)
    kmem_cache_destroy(&n.page_slab)
    kmem_cache_destroy(&n.txq_slab)
    kmem_cache_destroy(&n.bind_bucket_slab)
    kmem_cache_destroy(&n.bind2_bucket_slab)
    kmem_cache_destroy(&n.socket_slab)
    kmem_cache_destroy(&n.dst_slab)
    kmem_cache_destroy(&n.misc_slab)
