"""TIME_WAIT (RFC 9293 3.6.1): the small socket that stands in for a closed connection until its time is over.

Follows net/ipv4/inet_timewait_sock.c of Linux 6.18 (GPL-2.0-only).
Deviations: no AO keys are carried over; every TIME_WAIT socket also stands in net.all_timewait;
inet_twsk_purge() takes all of the host's.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_free
from kpath_c.shim.timer cimport timer_setup, mod_timer, mod_timer_pending, timer_delete_sync
from kpath_c.inet_hashtables cimport inet_bind_bucket_destroy, inet_bind2_bucket_destroy
from kpath_c.inet_connection_sock cimport inet_csk_reqsk_queue_drop_and_put
from kpath_c.tcp_minisocks cimport tcp_twsk_destructor


# Its hold on the port, if it still has one.
cdef void inet_twsk_bind_unhash(inet_timewait_sock *tw, inet_hashinfo *hashinfo) noexcept nogil:
    cdef inet_bind2_bucket *tb2 = tw.tw_tb2
    cdef inet_bind_bucket *tb = tw.tw_tb
    if tb == NULL:
        return
    __sk_del_bind_node(<sock *>tw)
    tw.tw_tb = NULL
    tw.tw_tb2 = NULL
    inet_bind2_bucket_destroy(hashinfo.bind2_bucket_cachep, tb2)
    inet_bind_bucket_destroy(tb)
    __sock_put(<sock *>tw)


cdef void inet_twsk_kill(inet_timewait_sock *tw) noexcept nogil:
    sk_nulls_del_node_init_rcu(<sock *>tw)
    inet_twsk_bind_unhash(tw, tw.tw_dr.hashinfo)
    tw.tw_dr.tw_refcount -= 1
    inet_twsk_put(tw)


cdef void inet_twsk_free(inet_timewait_sock *tw) noexcept nogil:
    tcp_twsk_destructor(<sock *>tw)
    list_del(&tw.tw_host_node)
    kmem_cache_free(&twsk_net(tw).tcp_timewait_slab, tw)


cdef void inet_twsk_put(inet_timewait_sock *tw) noexcept nogil:
    if refcount_dec_and_test(&tw.tw_refcnt):
        inet_twsk_free(tw)


# tw takes sk's place in the ehash and joins it at the port. The caller's hold on tw ends here.
cdef void inet_twsk_hashdance_schedule(inet_timewait_sock *tw, sock *sk, inet_hashinfo *hashinfo,
                                       int timeo) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    tw.tw_tb = icsk.icsk_bind_hash
    tw.tw_tb2 = icsk.icsk_bind2_hash
    sk_add_bind_node(<sock *>tw, &tw.tw_tb2.owners)
    # One for the port, one for the ehash, one for the timer.
    tw.tw_refcnt = 3
    hlist_nulls_replace_init(&sk.sk_nulls_node, &tw.tw_node)
    front_replace(front_bucket(hashinfo, sk.sk_hash), &sk.sk_nulls_node, &tw.tw_node)
    sock_prot_inuse_add(sock_net(sk), sk.sk_prot, -1)
    inet_twsk_schedule(tw, timeo)


cdef void inet_twsk_schedule(inet_timewait_sock *tw, int timeo) noexcept nogil:
    __inet_twsk_schedule(tw, timeo, 0)


cdef void tw_timer_handler(timer_list *t) noexcept nogil:
    inet_twsk_kill(<inet_timewait_sock *>(<char *>t - <size_t>&(<inet_timewait_sock *>NULL).tw_timer))


cdef inet_timewait_sock *inet_twsk_alloc(const sock *sk, inet_timewait_death_row *dr, int state) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef inet_timewait_sock *tw
    if dr.tw_refcount - 1 >= dr.sysctl_max_tw_buckets:
        return NULL
    tw = <inet_timewait_sock *>kmem_cache_alloc(&n.tcp_timewait_slab)
    if tw == NULL:
        return NULL
    memset(tw, 0, sizeof(tcp_timewait_sock))
    tw.tw_dr = dr
    tw.tw_daddr = sk.sk_daddr
    tw.tw_rcv_saddr = sk.sk_rcv_saddr
    tw.tw_bound_dev_if = sk.sk_bound_dev_if
    tw.tw_tos = inet_sk(sk).tos
    tw.tw_num = sk.sk_num
    tw.tw_state = TCP_TIME_WAIT
    tw.tw_substate = <u8>state
    tw.tw_sport = inet_sk(sk).inet_sport
    tw.tw_dport = sk.sk_dport
    tw.tw_family = sk.sk_family
    tw.tw_reuse = sk.sk_reuse
    tw.tw_reuseport = sk.sk_reuseport
    tw.tw_hash = sk.sk_hash
    tw.tw_ipv6only = 0
    tw.tw_transparent = inet_test_bit(INET_FLAGS_TRANSPARENT, sk)
    tw.tw_connect_bind = (sk.sk_userlocks & SOCK_CONNECT_BIND) != 0
    tw.tw_prot = <proto *>sk.sk_prot
    tw.tw_cookie = sk.sk_cookie
    tw.trace_id = sk.trace_id
    twsk_net_set(tw, n)
    timer_setup(n, &tw.tw_timer, tw_timer_handler, TIMER_KIND_TIMEWAIT)
    tw.tw_refcnt = 0
    list_add_tail(&tw.tw_host_node, &n.all_timewait)
    return tw


# Ends TIME_WAIT early. Takes over a reference of the caller's.
cdef void inet_twsk_deschedule_put(inet_timewait_sock *tw) noexcept nogil:
    if timer_delete_sync(&tw.tw_timer):
        inet_twsk_kill(tw)
    inet_twsk_put(tw)


cdef void __inet_twsk_schedule(inet_timewait_sock *tw, int timeo, bint rearm) noexcept nogil:
    cdef net *n = twsk_net(tw)
    if not rearm:
        NET_INC_STATS(n, LINUX_MIB_TIMEWAITKILLED if timeo <= <int>(4 * HZ(n)) else LINUX_MIB_TIMEWAITED)
        mod_timer(&tw.tw_timer, jiffies(n) + <unsigned long><long>timeo)
        tw.tw_dr.tw_refcount += 1
    else:
        mod_timer_pending(&tw.tw_timer, jiffies(n) + <unsigned long><long>timeo)


# The host closes: all TIME_WAIT and request sockets go.
cdef void inet_twsk_purge(inet_hashinfo *hashinfo) noexcept nogil:
    cdef hlist_nulls_node *node
    cdef request_sock *req
    cdef sock *sk
    cdef u32 slot
    for slot in range(hashinfo.ehash_mask + 1):
        node = hashinfo.ehash[slot].chain.first
        while node != NULL and not is_a_nulls(node):
            sk = nulls_to_sk(node)
            if sk_fullsock(sk) or sk.sk_refcnt == 0:
                node = node.next
                continue
            sk.sk_refcnt += 1
            if sk.sk_state == TCP_TIME_WAIT:
                inet_twsk_deschedule_put(inet_twsk(sk))
            else:
                req = inet_reqsk(sk)
                inet_csk_reqsk_queue_drop_and_put(req.rsk_listener, req)
            # Others of the chain may have gone with it.
            node = hashinfo.ehash[slot].chain.first
