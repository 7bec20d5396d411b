"""What connection-oriented sockets share: taking a port, listening, the request and accept queues, timers, the end.

Serves RFC 9293 3.6 and 3.10 (LISTEN, passive open), RFC 6056 (port selection), RFC 6298 2.1 (SYN-ACK retransmission).
Follows net/ipv4/inet_connection_sock.c of Linux 6.18 (GPL-2.0-only).

Deviations: ULP, MPTCP and IP source routing are left out. A pinned port (hooks.pinned_port) is tried before a
port is searched for. inet_csk_accept() sleeps by the protocol of msghdr.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.net_tcp cimport *
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_free
from kpath_c.shim.timer cimport timer_setup, mod_timer, timer_delete_sync
from kpath_c.sock cimport (sk_clone_lock, sk_stop_timer, sk_stop_timer_sync, sk_setup_caps, __sk_dst_check,
                           release_sock)
from kpath_c.stream cimport sk_stream_kill_queues
from kpath_c.af_inet cimport inet_sk_set_state, inet_sk_state_store
from kpath_c.route cimport ip_route_output_flow
from kpath_c.inet_hashtables cimport (inet_bind_bucket_create, inet_bind_bucket_destroy, inet_bind_bucket_match,
                                      inet_bind2_bucket_create, inet_bind2_bucket_destroy, inet_bind2_bucket_find,
                                      inet_bind2_bucket_match_addr_any, inet_bhash2_addr_any_hashbucket,
                                      inet_bind_hash, inet_ehash_insert, inet_hash)
from kpath_c.sock_reuseport cimport reuseport_migrate_sock
from kpath_c.tcp cimport tcp_disconnect
from kpath_c.tcp_ipv4 cimport tcp_v4_destroy_sock
from kpath_c.tcp_output cimport tcp_rtx_synack
from kpath_c.tcp_timer cimport tcp_syn_ack_timeout


# ------------------------------------------------------------------------------------------- addresses and ports

cdef bint ipv4_rcv_saddr_equal(__be32 sk1_rcv_saddr, __be32 sk2_rcv_saddr, bint sk2_ipv6only, bint match_sk1_wildcard,
                               bint match_sk2_wildcard) noexcept nogil:
    if sk2_ipv6only:
        return 0
    if sk1_rcv_saddr == sk2_rcv_saddr:
        return 1
    return (match_sk1_wildcard and not sk1_rcv_saddr) or (match_sk2_wildcard and not sk2_rcv_saddr)


# Do the two meet? A wildcard counts as equal to any address of IPv6 and, unless it is for IPv6 only, of IPv4.
# sk2_rcv_saddr6 NULL: an IPv4 socket's.
cdef bint ipv6_rcv_saddr_equal(const in6_addr *sk1_rcv_saddr6, const in6_addr *sk2_rcv_saddr6, __be32 sk1_rcv_saddr,
                               __be32 sk2_rcv_saddr, bint sk1_ipv6only, bint sk2_ipv6only, bint match_sk1_wildcard,
                               bint match_sk2_wildcard) noexcept nogil:
    cdef int addr_type = ipv6_addr_type(sk1_rcv_saddr6)
    cdef int addr_type2 = ipv6_addr_type(sk2_rcv_saddr6) if sk2_rcv_saddr6 != NULL else IPV6_ADDR_MAPPED
    if addr_type == IPV6_ADDR_MAPPED and addr_type2 == IPV6_ADDR_MAPPED:
        return ipv4_rcv_saddr_equal(sk1_rcv_saddr, sk2_rcv_saddr, sk2_ipv6only, match_sk1_wildcard,
                                    match_sk2_wildcard)
    if addr_type == IPV6_ADDR_ANY and addr_type2 == IPV6_ADDR_ANY:
        return 1
    if (addr_type2 == IPV6_ADDR_ANY and match_sk2_wildcard and
            not (sk2_ipv6only and addr_type == IPV6_ADDR_MAPPED)):
        return 1
    if (addr_type == IPV6_ADDR_ANY and match_sk1_wildcard and
            not (sk1_ipv6only and addr_type2 == IPV6_ADDR_MAPPED)):
        return 1
    return sk2_rcv_saddr6 != NULL and ipv6_addr_equal(sk1_rcv_saddr6, sk2_rcv_saddr6)


cdef bint inet_rcv_saddr_equal(const sock *sk, const sock *sk2, bint match_wildcard) noexcept nogil:
    if sk.sk_family == AF_INET6:
        return ipv6_rcv_saddr_equal(&sk.sk_v6_rcv_saddr, inet6_rcv_saddr(sk2), sk.sk_rcv_saddr, sk2.sk_rcv_saddr,
                                    ipv6_only_sock(sk), ipv6_only_sock(sk2), match_wildcard, match_wildcard)
    return ipv4_rcv_saddr_equal(sk.sk_rcv_saddr, sk2.sk_rcv_saddr, ipv6_only_sock(sk2), match_wildcard, match_wildcard)


cdef bint inet_rcv_saddr_any(const sock *sk) noexcept nogil:
    if sk.sk_family == AF_INET6:
        return ipv6_addr_any(&sk.sk_v6_rcv_saddr)
    return sk.sk_rcv_saddr == 0


# The host's ephemeral range, narrowed by IP_LOCAL_PORT_RANGE; true if that was set.
cdef bint inet_sk_get_local_port_range(const sock *sk, int *low, int *high) noexcept nogil:
    cdef int lo = 0
    cdef int hi = 0
    cdef int sk_lo, sk_hi
    cdef bint local_range = 0
    cdef u32 sk_range = inet_sk(sk).local_port_range
    inet_get_local_port_range(sock_net(sk), &lo, &hi)
    if sk_range:
        sk_lo = sk_range & 0xffff
        sk_hi = sk_range >> 16
        if lo <= sk_lo and sk_lo <= hi:
            lo = sk_lo
        if lo <= sk_hi and sk_hi <= hi:
            hi = sk_hi
        local_range = 1
    low[0] = lo
    high[0] = hi
    return local_range


# ------------------------------------------------------------------------------------------- bind

# Two sockets on one port get along if both have SO_REUSEADDR and the other doesn't listen, or both SO_REUSEPORT and
# belong to one user.
cdef bint inet_bind_conflict(const sock *sk, sock *sk2, u32 uid, bint relax, bint reuseport_cb_ok,
                             bint reuseport_ok) noexcept nogil:
    cdef int bound_dev_if2
    if sk == sk2:
        return 0
    bound_dev_if2 = sk2.sk_bound_dev_if
    if not sk.sk_bound_dev_if or not bound_dev_if2 or sk.sk_bound_dev_if == bound_dev_if2:
        if sk.sk_reuse and sk2.sk_reuse and sk2.sk_state != TCP_LISTEN:
            if not relax or (not reuseport_ok and sk.sk_reuseport and sk2.sk_reuseport and reuseport_cb_ok and
                             (sk2.sk_state == TCP_TIME_WAIT or uid == sk2.sk_uid)):
                return 1
        elif (not reuseport_ok or not sk.sk_reuseport or not sk2.sk_reuseport or not reuseport_cb_ok or
                (sk2.sk_state != TCP_TIME_WAIT and uid != sk2.sk_uid)):
            return 1
    return 0


# An IPv6-only socket is no concern of one that is bound to an IPv4 address.
cdef bint __inet_bhash2_conflict(const sock *sk, sock *sk2, u32 uid, bint relax, bint reuseport_cb_ok,
                                 bint reuseport_ok) noexcept nogil:
    if ipv6_only_sock(sk2) and (sk.sk_family == AF_INET or ipv6_addr_v4mapped(&sk.sk_v6_rcv_saddr)):
        return 0
    return inet_bind_conflict(sk, sk2, uid, relax, reuseport_cb_ok, reuseport_ok)


cdef bint inet_bhash2_conflict(const sock *sk, const inet_bind2_bucket *tb2, u32 uid, bint relax,
                               bint reuseport_cb_ok, bint reuseport_ok) noexcept nogil:
    cdef hlist_node *node = tb2.owners.first
    while node != NULL:
        if __inet_bhash2_conflict(sk, bind_node_to_sk(node), uid, relax, reuseport_cb_ok, reuseport_ok):
            return 1
        node = node.next
    return 0


cdef inline bint reuseport_cb_allows(const sock *sk) noexcept nogil:
    return sk.sk_reuseport_cb == NULL or sk.sk_reuseport_cb.num_closed_socks != 0


# A socket with an address meets those at that address (those at any address were asked before); one without, all.
cdef int inet_csk_bind_conflict(const sock *sk, const inet_bind_bucket *tb, const inet_bind2_bucket *tb2, bint relax,
                                bint reuseport_ok) noexcept nogil:
    cdef bint reuseport_cb_ok = reuseport_cb_allows(sk)
    cdef u32 uid = sk.sk_uid
    cdef hlist_node *bnode
    cdef hlist_node *node
    cdef inet_bind2_bucket *b
    cdef sock *sk2
    if inet_use_hash2_on_bind(sk):
        return tb2 != NULL and inet_bhash2_conflict(sk, tb2, uid, relax, reuseport_cb_ok, reuseport_ok)
    bnode = tb.bhash2.first
    while bnode != NULL:
        b = <inet_bind2_bucket *>(<char *>bnode - <size_t>&(<inet_bind2_bucket *>NULL).bhash_node)
        node = b.owners.first
        while node != NULL:
            sk2 = bind_node_to_sk(node)
            if (inet_bind_conflict(sk, sk2, uid, relax, reuseport_cb_ok, reuseport_ok) and
                    inet_rcv_saddr_equal(sk, sk2, 1)):
                return 1
            node = node.next
        bnode = bnode.next
    return 0


cdef bint inet_bhash2_addr_any_conflict(const sock *sk, int port, int l3mdev, bint relax,
                                        bint reuseport_ok) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef bint reuseport_cb_ok = reuseport_cb_allows(sk)
    cdef hlist_node *node = inet_bhash2_addr_any_hashbucket(sk, n, port).chain.first
    cdef inet_bind2_bucket *tb2
    while node != NULL:
        tb2 = <inet_bind2_bucket *>(<char *>node - <size_t>&(<inet_bind2_bucket *>NULL).node)
        if (inet_bind2_bucket_match_addr_any(tb2, n, <unsigned short>port, l3mdev, sk) and
                inet_bhash2_conflict(sk, tb2, sk.sk_uid, relax, reuseport_cb_ok, reuseport_ok)):
            return 1
        node = node.next
    return 0


# Is this port free for sk? Then its bucket, if it has one, is in tb_ret and tb2_ret.
cdef bint inet_csk_port_is_free(const sock *sk, int port, int l3mdev, bint relax, inet_bind_bucket **tb_ret,
                                inet_bind2_bucket **tb2_ret, inet_bind_hashbucket **head_ret,
                                inet_bind_hashbucket **head2_ret) noexcept nogil:
    cdef inet_hashinfo *hinfo = tcp_get_hashinfo(sk)
    cdef net *n = sock_net(sk)
    cdef hlist_node *node
    cdef inet_bind_bucket *tb = NULL
    if inet_is_local_reserved_port(n, <unsigned short>port):
        return 0
    if inet_use_hash2_on_bind(sk) and inet_bhash2_addr_any_conflict(sk, port, l3mdev, relax, 0):
        return 0
    head_ret[0] = &hinfo.bhash[inet_bhashfn(n, <u16>port, hinfo.bhash_size)]
    head2_ret[0] = inet_bhashfn_portaddr(hinfo, sk, n, <unsigned short>port)
    tb2_ret[0] = inet_bind2_bucket_find(head2_ret[0], n, <unsigned short>port, l3mdev, sk)
    node = head_ret[0].chain.first
    while node != NULL:
        tb = <inet_bind_bucket *>(<char *>node - <size_t>&(<inet_bind_bucket *>NULL).node)
        if inet_bind_bucket_match(tb, n, <unsigned short>port, l3mdev):
            tb_ret[0] = tb
            return not inet_csk_bind_conflict(sk, tb, tb2_ret[0], relax, 0)
        node = node.next
    tb_ret[0] = NULL
    return 1


# Odd ports first: connect() prefers even ones. With SO_REUSEADDR the lower half of the range first.
cdef bint inet_csk_find_open_port(const sock *sk, inet_bind_bucket **tb_ret, inet_bind2_bucket **tb2_ret,
                                  inet_bind_hashbucket **head_ret, inet_bind_hashbucket **head2_ret,
                                  int *port_ret) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef int i, low = 0, high = 0, attempt_half, port, half
    cdef int l3mdev = inet_sk_bound_l3mdev(sk)
    cdef u32 remaining, offset
    cdef bint relax = 0

    if n.hooks.pinned_port != NULL:
        port = n.hooks.pinned_port(n.hooks.ctx, <sock *>sk)
        if port > 0 and inet_csk_port_is_free(sk, port, l3mdev, 0, tb_ret, tb2_ret, head_ret, head2_ret):
            port_ret[0] = port
            return 1

    attempt_half = 1 if sk.sk_reuse == SK_CAN_REUSE else 0
    while True:
        inet_sk_get_local_port_range(sk, &low, &high)
        high += 1
        if high - low < 4:
            attempt_half = 0
        if attempt_half:
            half = low + (((high - low) >> 2) << 1)
            if attempt_half == 1:
                high = half
            else:
                low = half
        remaining = <u32>(high - low)
        if remaining > 1:
            remaining &= ~(<u32>1)
        offset = get_random_u32_below(n, remaining)
        offset |= 1
        while True:
            port = low + <int>offset
            i = 0
            while <u32>i < remaining:
                if port >= high:
                    port -= <int>remaining
                if inet_csk_port_is_free(sk, port, l3mdev, relax, tb_ret, tb2_ret, head_ret, head2_ret):
                    port_ret[0] = port
                    return 1
                i += 2
                port += 2
            offset -= 1
            if offset & 1:
                break
        if attempt_half == 1:
            attempt_half = 2
        elif n.ipv4.sysctl_ip_autobind_reuse and not relax:
            relax = 1
            attempt_half = 1 if sk.sk_reuse == SK_CAN_REUSE else 0
        else:
            return 0


cdef int sk_reuseport_match(inet_bind_bucket *tb, const sock *sk) noexcept nogil:
    if tb.fastreuseport <= 0:
        return 0
    if not sk.sk_reuseport:
        return 0
    if sk.sk_reuseport_cb != NULL:
        return 0
    if tb.fastuid != sk.sk_uid:
        return 0
    if tb.fastreuseport == FASTREUSEPORT_ANY:
        return 1
    if tb.fast_sk_family == AF_INET6:
        return ipv6_rcv_saddr_equal(&tb.fast_v6_rcv_saddr, inet6_rcv_saddr(sk), tb.fast_rcv_saddr, sk.sk_rcv_saddr,
                                    tb.fast_ipv6_only, ipv6_only_sock(sk), 1, 0)
    return ipv4_rcv_saddr_equal(tb.fast_rcv_saddr, sk.sk_rcv_saddr, ipv6_only_sock(sk), 1, 0)


cdef void tb_set_fastreuseport(inet_bind_bucket *tb, const sock *sk, s8 kind) noexcept nogil:
    tb.fastreuseport = kind
    tb.fastuid = sk.sk_uid
    tb.fast_rcv_saddr = sk.sk_rcv_saddr
    tb.fast_ipv6_only = ipv6_only_sock(sk)
    tb.fast_sk_family = sk.sk_family
    tb.fast_v6_rcv_saddr = sk.sk_v6_rcv_saddr


cdef void inet_csk_update_fastreuse(const sock *sk, inet_bind_bucket *tb, inet_bind2_bucket *tb2) noexcept nogil:
    cdef bint reuse = sk.sk_reuse and sk.sk_state != TCP_LISTEN
    if hlist_empty(&tb.bhash2):
        tb.fastreuse = reuse
        if sk.sk_reuseport:
            tb_set_fastreuseport(tb, sk, FASTREUSEPORT_ANY)
        else:
            tb.fastreuseport = 0
    else:
        if not reuse:
            tb.fastreuse = 0
        if sk.sk_reuseport:
            # Others have been here: from now on the address is compared too.
            if not sk_reuseport_match(tb, sk):
                tb_set_fastreuseport(tb, sk, FASTREUSEPORT_STRICT)
        else:
            tb.fastreuseport = 0
    tb2.fastreuse = tb.fastreuse
    tb2.fastreuseport = tb.fastreuseport


# The tail of inet_csk_get_port() on failure.
cdef int inet_csk_get_port_fail(inet_hashinfo *hinfo, inet_bind_bucket *tb, bint bhash_created,
                                inet_bind2_bucket *tb2, bint bhash2_created) noexcept nogil:
    if bhash2_created:
        inet_bind2_bucket_destroy(hinfo.bind2_bucket_cachep, tb2)
    if bhash_created:
        inet_bind_bucket_destroy(tb)
    return -EADDRINUSE


# Gives sk the port snum, or any if that is 0.
cdef int inet_csk_get_port(sock *sk, unsigned short snum) noexcept nogil:
    cdef bint reuse = sk.sk_reuse and sk.sk_state != TCP_LISTEN
    cdef bint found_port = 0
    cdef bint check_bind_conflict = 1
    cdef bint bhash_created = 0
    cdef bint bhash2_created = 0
    cdef inet_hashinfo *hinfo = tcp_get_hashinfo(sk)
    cdef int port = snum
    cdef int l3mdev = inet_sk_bound_l3mdev(sk)
    cdef inet_bind_hashbucket *head = NULL
    cdef inet_bind_hashbucket *head2 = NULL
    cdef inet_bind2_bucket *tb2 = NULL
    cdef inet_bind_bucket *tb = NULL
    cdef net *n = sock_net(sk)
    cdef hlist_node *node

    if not port:
        if not inet_csk_find_open_port(sk, &tb, &tb2, &head, &head2, &port):
            return -EADDRINUSE
        found_port = 1
    else:
        head = &hinfo.bhash[inet_bhashfn(n, <u16>port, hinfo.bhash_size)]
        node = head.chain.first
        while node != NULL:
            tb = <inet_bind_bucket *>(<char *>node - <size_t>&(<inet_bind_bucket *>NULL).node)
            if inet_bind_bucket_match(tb, n, <unsigned short>port, l3mdev):
                break
            tb = NULL
            node = node.next

    if not (found_port and tb != NULL and tb2 != NULL):
        if tb == NULL:
            tb = inet_bind_bucket_create(hinfo.bind_bucket_cachep, n, head, <unsigned short>port, l3mdev)
            if tb == NULL:
                return -EADDRINUSE
            bhash_created = 1
        if not found_port:
            if not hlist_empty(&tb.bhash2):
                if (sk.sk_reuse == SK_FORCE_REUSE or (tb.fastreuse > 0 and reuse) or
                        sk_reuseport_match(tb, sk)):
                    check_bind_conflict = 0
            if check_bind_conflict and inet_use_hash2_on_bind(sk):
                if inet_bhash2_addr_any_conflict(sk, port, l3mdev, 1, 1):
                    return inet_csk_get_port_fail(hinfo, tb, bhash_created, tb2, bhash2_created)
            head2 = inet_bhashfn_portaddr(hinfo, sk, n, <unsigned short>port)
            tb2 = inet_bind2_bucket_find(head2, n, <unsigned short>port, l3mdev, sk)
        if tb2 == NULL:
            tb2 = inet_bind2_bucket_create(hinfo.bind2_bucket_cachep, n, head2, tb, sk)
            if tb2 == NULL:
                return inet_csk_get_port_fail(hinfo, tb, bhash_created, tb2, bhash2_created)
            bhash2_created = 1
        if not found_port and check_bind_conflict:
            if inet_csk_bind_conflict(sk, tb, tb2, 1, 1):
                return inet_csk_get_port_fail(hinfo, tb, bhash_created, tb2, bhash2_created)

    inet_csk_update_fastreuse(sk, tb, tb2)
    if inet_csk(sk).icsk_bind_hash == NULL:
        inet_bind_hash(sk, tb, tb2, <unsigned short>port)
    return 0


# ------------------------------------------------------------------------------------------- accept

# One step of the wait: 0 a connection is there, -ERESTARTSYS sleep (on), other errors end it.
cdef int inet_csk_wait_for_connect(sock *sk, msghdr *msg, long timeo, bint slept) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    if not slept:
        release_sock(sk)
    if not reqsk_queue_empty(&icsk.icsk_accept_queue):
        return 0
    if slept:
        if sk.sk_state != TCP_LISTEN:
            return -EINVAL
        if signal_pending():
            return sock_intr_errno(timeo)
        if not timeo:
            return -EAGAIN
        release_sock(sk)
    sk_wait_begin(sk, msg, WAKE_ANY, timeo)
    return -ERESTARTSYS


# The next connection of the accept queue. Without one: NULL, and err says why.
cdef sock *inet_csk_accept(sock *sk, int flags, msghdr *msg, int *err) noexcept nogil:
    cdef request_sock_queue *queue = &inet_csk(sk).icsk_accept_queue
    cdef request_sock *req
    cdef sock *newsk
    cdef long timeo
    cdef int error = 0
    cdef bint slept = msg != NULL and msg.resume

    lock_sock(sk)
    if slept:
        timeo = sk_wait_resume(sk, msg)
        error = inet_csk_wait_for_connect(sk, msg, timeo, 1)
    elif sk.sk_state != TCP_LISTEN:
        error = -EINVAL
    elif reqsk_queue_empty(queue):
        timeo = sock_rcvtimeo(sk, (flags & O_NONBLOCK) != 0)
        if not timeo or msg == NULL:
            error = -EAGAIN
        else:
            error = inet_csk_wait_for_connect(sk, msg, timeo, 0)
    if error:
        if error != -ERESTARTSYS:
            release_sock(sk)
        err[0] = error
        return NULL

    req = reqsk_queue_remove(queue, sk)
    newsk = req.sk
    if sk.sk_protocol == IPPROTO_TCP and tcp_rsk(req).tfo_listener:
        # Fast Open: the handshake isn't over, reqsk_fastopen_remove() will free the request.
        req.sk = NULL
        req = NULL
    release_sock(sk)
    if req != NULL:
        reqsk_put(req)
    return newsk


# ------------------------------------------------------------------------------------------- timers, routes

cdef void inet_csk_init_xmit_timers(sock *sk, void (*retransmit_handler)(timer_list *t) noexcept nogil,
                                    void (*delack_handler)(timer_list *t) noexcept nogil,
                                    void (*keepalive_handler)(timer_list *t) noexcept nogil) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef net *n = sock_net(sk)
    timer_setup(n, &sk.tcp_retransmit_timer, retransmit_handler, TIMER_KIND_RTX)
    timer_setup(n, &icsk.icsk_delack_timer, delack_handler, TIMER_KIND_DELACK)
    timer_setup(n, &icsk.icsk_keepalive_timer, keepalive_handler, TIMER_KIND_KEEPALIVE)
    icsk.icsk_pending = 0
    icsk.icsk_ack.pending = 0


cdef void inet_csk_clear_xmit_timers(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    icsk.icsk_pending = 0
    icsk.icsk_ack.pending = 0
    sk_stop_timer(sk, &sk.tcp_retransmit_timer)
    sk_stop_timer(sk, &icsk.icsk_delack_timer)
    sk_stop_timer(sk, &icsk.icsk_keepalive_timer)


cdef void inet_csk_clear_xmit_timers_sync(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    icsk.icsk_pending = 0
    icsk.icsk_ack.pending = 0
    sk_stop_timer_sync(sk, &sk.tcp_retransmit_timer)
    sk_stop_timer_sync(sk, &icsk.icsk_delack_timer)
    sk_stop_timer_sync(sk, &icsk.icsk_keepalive_timer)


cdef dst_entry *inet_csk_route_req(const sock *sk, flowi4 *fl4, const request_sock *req) noexcept nogil:
    cdef net *n = <net *>req.ireq_net
    cdef rtable *rt
    flowi4_init_output(fl4, req.ir_iif, inet_rsk(req).ir_mark, ip_sock_rt_tos(sk), ip_sock_rt_scope(sk),
                       <u8>sk.sk_protocol, inet_sk_flowi_flags(sk), req.ir_rmt_addr, req.ir_loc_addr,
                       req.ir_rmt_port, htons(req.ir_num), sk.sk_uid)
    rt = ip_route_output_flow(n, fl4, sk)
    if IS_ERR(rt):
        IP_INC_STATS(n, IPSTATS_MIB_OUTNOROUTES)
        return NULL
    return &rt.dst


cdef dst_entry *inet_csk_route_child_sock(const sock *sk, sock *newsk, const request_sock *req) noexcept nogil:
    return inet_csk_route_req(sk, &inet_sk(newsk).cork_fl.ip4, req)


# ------------------------------------------------------------------------------------------- requests

# With TCP_DEFER_ACCEPT the request waits for data: no SYN-ACK is repeated once the bare ACK was here, but for the last.
cdef void syn_ack_recalc(request_sock *req, int max_syn_ack_retries, u8 rskq_defer_accept, int *expire,
                         int *resend) noexcept nogil:
    if not rskq_defer_accept:
        expire[0] = req.num_timeout >= max_syn_ack_retries
        resend[0] = 1
        return
    expire[0] = (req.num_timeout >= max_syn_ack_retries and
                 (not inet_rsk(req).acked or req.num_timeout >= rskq_defer_accept))
    resend[0] = not inet_rsk(req).acked or req.num_timeout >= <int>rskq_defer_accept - 1


cdef request_sock *reqsk_alloc(request_sock_ops *ops, sock *sk_listener, bint attach_listener) noexcept nogil:
    cdef request_sock *req = <request_sock *>kmem_cache_alloc(ops.slab)
    if req == NULL:
        return NULL
    # Cleared here; the kernel leaves it to the callers to fill in all that is read.
    memset(req, 0, ops.obj_size)
    if attach_listener:
        if not refcount_inc_not_zero(&sk_listener.sk_refcnt):
            kmem_cache_free(ops.slab, req)
            return NULL
        req.rsk_listener = sk_listener
    req.rsk_ops = ops
    req.skc_prot = sk_listener.sk_prot
    sk_nulls_node_init(&req_to_sk(req).sk_nulls_node)
    sk_tx_queue_clear(req_to_sk(req))
    return req


cdef request_sock *inet_reqsk_alloc(request_sock_ops *ops, sock *sk_listener, bint attach_listener) noexcept nogil:
    cdef request_sock *req = reqsk_alloc(ops, sk_listener, attach_listener)
    if req != NULL:
        req.ireq_state = TCP_NEW_SYN_RECV
        req.ireq_net = sock_net(sk_listener)
        req.ireq_family = sk_listener.sk_family
    return req


# A copy of the request for another listener of the group. The caller has a reference of sk, the copy takes it over.
cdef request_sock *inet_reqsk_clone(request_sock *req, sock *sk) noexcept nogil:
    cdef request_sock *nreq = <request_sock *>kmem_cache_alloc(req.rsk_ops.slab)
    if nreq == NULL:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPMIGRATEREQFAILURE)
        sock_put(sk)
        return NULL
    memcpy(nreq, req, req.rsk_ops.obj_size)
    sk_nulls_node_init(&req_to_sk(nreq).sk_nulls_node)
    nreq.rsk_refcnt = 0
    nreq.rsk_listener = sk
    if sk.sk_protocol == IPPROTO_TCP and tcp_rsk(nreq).tfo_listener:
        tcp_sk(nreq.sk).fastopen_rsk = nreq
    return nreq


cdef void reqsk_queue_migrated(request_sock_queue *queue, const request_sock *req) noexcept nogil:
    if req.num_timeout == 0:
        queue.young += 1
    queue.qlen += 1


cdef void reqsk_migrate_reset(request_sock *req) noexcept nogil:
    req.saved_syn = NULL
    inet_rsk(req).ireq_opt = NULL


cdef bint reqsk_queue_unlink(request_sock *req) noexcept nogil:
    return __sk_nulls_del_node_init_rcu(req_to_sk(req))


cdef bint __inet_csk_reqsk_queue_drop(sock *sk, request_sock *req, bint from_timer) noexcept nogil:
    cdef bint unlinked = reqsk_queue_unlink(req)
    if not from_timer and timer_delete_sync(&req.rsk_timer):
        reqsk_put(req)
    if unlinked:
        reqsk_queue_removed(&inet_csk(sk).icsk_accept_queue, req)
        reqsk_put(req)
    return unlinked


cdef bint inet_csk_reqsk_queue_drop(sock *sk, request_sock *req) noexcept nogil:
    return __inet_csk_reqsk_queue_drop(sk, req, 0)


cdef void inet_csk_reqsk_queue_drop_and_put(sock *sk, request_sock *req) noexcept nogil:
    inet_csk_reqsk_queue_drop(sk, req)
    reqsk_put(req)


# RFC 9293 3.8.1: the SYN-ACK again, at doubling intervals. Half of the queue is kept for young requests: the fuller it
# is with old ones, the fewer retries these get.
cdef void reqsk_timer_handler(timer_list *t) noexcept nogil:
    cdef request_sock *req = <request_sock *>(<char *>t - <size_t>&(<request_sock *>NULL).rsk_timer)
    cdef request_sock *nreq = NULL
    cdef request_sock *oreq = req
    cdef sock *sk_listener = req.rsk_listener
    cdef sock *nsk
    cdef inet_connection_sock *icsk
    cdef request_sock_queue *queue
    cdef net *n
    cdef int max_syn_ack_retries, qlen, young, expire = 0, resend = 0

    if inet_sk_state_load(sk_listener) != TCP_LISTEN:
        nsk = reuseport_migrate_sock(sk_listener, req_to_sk(req), NULL)
        if nsk != NULL:
            nreq = inet_reqsk_clone(req, nsk)
        if nreq == NULL:
            __inet_csk_reqsk_queue_drop(oreq.rsk_listener, oreq, 1)
            reqsk_put(oreq)
            return
        # One more than usual: the new timer must not free it under our feet.
        nreq.rsk_refcnt = 2 + 1
        timer_setup(sock_net(nsk), &nreq.rsk_timer, reqsk_timer_handler, TIMER_KIND_SYNACK)
        reqsk_queue_migrated(&inet_csk(nsk).icsk_accept_queue, req)
        req = nreq
        sk_listener = nsk

    icsk = inet_csk(sk_listener)
    n = sock_net(sk_listener)
    max_syn_ack_retries = icsk.icsk_syn_retries
    if not max_syn_ack_retries:
        max_syn_ack_retries = n.ipv4.sysctl_tcp_synack_retries
    queue = &icsk.icsk_accept_queue
    qlen = reqsk_queue_len(queue)
    if <u32>(qlen << 1) > max_u32(8, sk_listener.sk_max_ack_backlog):
        young = reqsk_queue_len_young(queue) << 1
        while max_syn_ack_retries > 2:
            if qlen < young:
                break
            max_syn_ack_retries -= 1
            young <<= 1

    syn_ack_recalc(req, max_syn_ack_retries, queue.rskq_defer_accept, &expire, &resend)
    tcp_syn_ack_timeout(req)

    if not expire and (not resend or not tcp_rtx_synack(sk_listener, req) or inet_rsk(req).acked):
        if req.num_timeout == 0:
            queue.young -= 1
        req.num_timeout += 1
        mod_timer(&req.rsk_timer, jiffies(n) + tcp_reqsk_timeout(req))
        if nreq == NULL:
            return
        if inet_ehash_insert(req_to_sk(nreq), req_to_sk(oreq), NULL):
            NET_INC_STATS(n, LINUX_MIB_TCPMIGRATEREQSUCCESS)
            reqsk_migrate_reset(oreq)
            reqsk_queue_removed(&inet_csk(oreq.rsk_listener).icsk_accept_queue, oreq)
            reqsk_put(oreq)
            reqsk_put(nreq)
            return
        timer_delete_sync(&nreq.rsk_timer)
        reqsk_migrate_reset(nreq)
        reqsk_queue_removed(queue, nreq)
        __reqsk_free(nreq)
    elif nreq != NULL:
        NET_INC_STATS(n, LINUX_MIB_TCPMIGRATEREQFAILURE)
        reqsk_migrate_reset(nreq)
        reqsk_queue_removed(queue, nreq)
        __reqsk_free(nreq)

    __inet_csk_reqsk_queue_drop(oreq.rsk_listener, oreq, 1)
    reqsk_put(oreq)


cdef bint reqsk_queue_hash_req(request_sock *req) noexcept nogil:
    cdef net *n = req.ireq_net
    cdef bint found_dup_sk = 0
    if not inet_ehash_insert(req_to_sk(req), NULL, &found_dup_sk):
        return 0
    req.timeout = tcp_timeout_init(<sock *>req)
    timer_setup(n, &req.rsk_timer, reqsk_timer_handler, TIMER_KIND_SYNACK)
    mod_timer(&req.rsk_timer, jiffies(n) + req.timeout)
    # The ehash, the timer and the caller.
    req.rsk_refcnt = 2 + 1
    return 1


cdef bint inet_csk_reqsk_queue_hash_add(sock *sk, request_sock *req) noexcept nogil:
    if not reqsk_queue_hash_req(req):
        return 0
    inet_csk_reqsk_queue_added(sk)
    return 1


# ------------------------------------------------------------------------------------------- birth and death

cdef sock *inet_csk_clone_lock(const sock *sk, const request_sock *req, gfp_t priority) noexcept nogil:
    cdef sock *newsk = sk_clone_lock(sk, priority)
    cdef inet_connection_sock *newicsk
    cdef inet_sock *newinet
    if newsk == NULL:
        return NULL
    newicsk = inet_csk(newsk)
    newinet = inet_sk(newsk)
    newicsk.icsk_bind_hash = NULL
    newicsk.icsk_bind2_hash = NULL
    newsk.sk_dport = req.ir_rmt_port
    newsk.sk_num = req.ir_num
    newinet.inet_sport = htons(req.ir_num)
    newsk.sk_bound_dev_if = req.ir_iif
    newsk.sk_daddr = req.ir_rmt_addr
    newsk.sk_rcv_saddr = req.ir_loc_addr
    newinet.inet_saddr = req.ir_loc_addr
    newsk.sk_v6_daddr = req.ir_v6_rmt_addr
    newsk.sk_v6_rcv_saddr = req.ir_v6_loc_addr
    sock_reset_flag(newsk, SOCK_RCU_FREE)
    newsk.sk_mark = inet_rsk(req).ir_mark
    newsk.sk_cookie = req.ir_cookie
    newicsk.icsk_retransmits = 0
    newicsk.icsk_backoff = 0
    newicsk.icsk_probes_out = 0
    newicsk.icsk_probes_tstamp = 0
    memset(&newicsk.icsk_accept_queue, 0, sizeof(request_sock_queue))
    inet_sk_set_state(newsk, TCP_SYN_RECV)
    return newsk


# Nobody holds the socket but those whom its reference count knows.
cdef void inet_csk_destroy_sock(sock *sk) noexcept nogil:
    tcp_v4_destroy_sock(sk)
    sk_stream_kill_queues(sk)
    sock_net(sk).ipv4.tcp_orphan_count -= 1
    sock_put(sk)


cdef void inet_csk_prepare_for_destroy_sock(sock *sk) noexcept nogil:
    sock_set_flag(sk, SOCK_DEAD)
    sock_net(sk).ipv4.tcp_orphan_count += 1


# For a child that was made but can't live: undoes the reference of the clone, so that tcp_done() ends it.
cdef void inet_csk_prepare_forced_close(sock *sk) noexcept nogil:
    sock_put(sk)
    inet_csk_prepare_for_destroy_sock(sk)
    sk.sk_num = 0


cdef void reqsk_queue_alloc(request_sock_queue *queue) noexcept nogil:
    queue.fastopenq.rskq_rst_head = NULL
    queue.fastopenq.rskq_rst_tail = NULL
    queue.fastopenq.qlen = 0
    queue.rskq_accept_head = NULL


cdef int inet_csk_listen_start(sock *sk) noexcept nogil:
    cdef int err
    reqsk_queue_alloc(&inet_csk(sk).icsk_accept_queue)
    sk.sk_ack_backlog = 0
    inet_csk_delack_init(sk)
    # The state goes first: get_port() must see a listener.
    inet_sk_state_store(sk, TCP_LISTEN)
    err = inet_csk_get_port(sk, sk.sk_num)
    if not err:
        inet_sk(sk).inet_sport = htons(sk.sk_num)
        sk_dst_reset(sk)
        err = inet_hash(sk)
        if not err:
            return 0
    inet_sk_set_state(sk, TCP_CLOSE)
    return err


cdef void inet_child_forget(sock *sk, request_sock *req, sock *child) noexcept nogil:
    tcp_disconnect(child, O_NONBLOCK)
    sock_orphan(child)
    sock_net(sk).ipv4.tcp_orphan_count += 1
    if sk.sk_protocol == IPPROTO_TCP and tcp_rsk(req).tfo_listener:
        tcp_sk(child).fastopen_rsk = NULL
    inet_csk_destroy_sock(child)


cdef sock *inet_csk_reqsk_queue_add(sock *sk, request_sock *req, sock *child) noexcept nogil:
    cdef request_sock_queue *queue = &inet_csk(sk).icsk_accept_queue
    if sk.sk_state != TCP_LISTEN:
        inet_child_forget(sk, req, child)
        return NULL
    req.sk = child
    req.dl_next = NULL
    if queue.rskq_accept_head == NULL:
        queue.rskq_accept_head = req
    else:
        queue.rskq_accept_tail.dl_next = req
    queue.rskq_accept_tail = req
    sk_acceptq_added(sk)
    return child


# The handshake is over: the request leaves the ehash, where the child already stands, and queues for accept().
cdef sock *inet_csk_complete_hashdance(sock *sk, sock *child, request_sock *req, bint own_req) noexcept nogil:
    cdef request_sock *nreq
    if own_req:
        inet_csk_reqsk_queue_drop(req.rsk_listener, req)
        reqsk_queue_removed(&inet_csk(req.rsk_listener).icsk_accept_queue, req)
        if sk != req.rsk_listener:
            sock_hold(sk)
            nreq = inet_reqsk_clone(req, sk)
            if nreq == NULL:
                inet_child_forget(sk, req, child)
            else:
                nreq.rsk_refcnt = 1
                if inet_csk_reqsk_queue_add(sk, nreq, child) != NULL:
                    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPMIGRATEREQSUCCESS)
                    reqsk_migrate_reset(req)
                    reqsk_put(req)
                    return child
                NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPMIGRATEREQFAILURE)
                reqsk_migrate_reset(nreq)
                __reqsk_free(nreq)
        elif inet_csk_reqsk_queue_add(sk, req, child) != NULL:
            return child
    sock_put(child)
    return NULL


# What was established but never accepted is reset, or handed to another listener of the group.
cdef void inet_csk_listen_stop(sock *sk) noexcept nogil:
    cdef request_sock_queue *queue = &inet_csk(sk).icsk_accept_queue
    cdef request_sock *next_
    cdef request_sock *req
    cdef request_sock *nreq
    cdef sock *child
    cdef sock *nsk
    while True:
        req = reqsk_queue_remove(queue, sk)
        if req == NULL:
            break
        child = req.sk
        sock_hold(child)
        nreq = NULL
        nsk = reuseport_migrate_sock(sk, child, NULL)
        if nsk != NULL:
            nreq = inet_reqsk_clone(req, nsk)
        if nreq != NULL:
            nreq.rsk_refcnt = 1
            if inet_csk_reqsk_queue_add(nsk, nreq, child) != NULL:
                NET_INC_STATS(sock_net(nsk), LINUX_MIB_TCPMIGRATEREQSUCCESS)
                reqsk_migrate_reset(req)
                nsk.sk_data_ready(nsk)
            else:
                NET_INC_STATS(sock_net(nsk), LINUX_MIB_TCPMIGRATEREQFAILURE)
                reqsk_migrate_reset(nreq)
                __reqsk_free(nreq)
        else:
            inet_child_forget(sk, req, child)
        reqsk_put(req)
        sock_put(child)
    if queue.fastopenq.rskq_rst_head != NULL:
        req = queue.fastopenq.rskq_rst_head
        queue.fastopenq.rskq_rst_head = NULL
        while req != NULL:
            next_ = req.dl_next
            reqsk_put(req)
            req = next_


# ------------------------------------------------------------------------------------------- path MTU

cdef dst_entry *inet_csk_rebuild_route(sock *sk, flowi *fl) noexcept nogil:
    cdef rtable *rt
    inet_sk_init_flowi4(inet_sk(sk), &fl.ip4)
    rt = ip_route_output_flow(sock_net(sk), &fl.ip4, sk)
    if IS_ERR(rt):
        return NULL
    sk_setup_caps(sk, &rt.dst)
    return &rt.dst


cdef dst_entry *inet_csk_update_pmtu(sock *sk, u32 mtu) noexcept nogil:
    cdef dst_entry *dst = __sk_dst_check(sk, 0)
    cdef inet_sock *inet = inet_sk(sk)
    if dst == NULL:
        dst = inet_csk_rebuild_route(sk, &inet.cork_fl)
        if dst == NULL:
            return NULL
    dst.ops.update_pmtu(dst, sk, NULL, mtu, 1)
    dst = __sk_dst_check(sk, 0)
    if dst == NULL:
        dst = inet_csk_rebuild_route(sk, &inet.cork_fl)
    return dst
