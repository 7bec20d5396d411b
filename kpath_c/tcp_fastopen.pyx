"""TCP Fast Open: cookies, the server's child that is born of a SYN, and when a client had better not try.

Serves RFC 7413. Follows net/ipv4/tcp_fastopen.c of Linux 6.18 (GPL-2.0-only).

A child of a SYN with data lives before its handshake is complete: its request (tcp_sock.fastopen_rsk) stays with it,
to retransmit the SYN-ACK, and counts against the listener's fastopenq. The request is freed when both the handshake is
over and the child is accepted (req.sk NULL).
"""
from libc.string cimport memcpy, memset

from kpath_c.headers.tcp cimport *
from kpath_c.net_tcp cimport *
from kpath_c.shim.random cimport get_random_bytes
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_free
from kpath_c.skbuff cimport skb_clone
from kpath_c.tcp_input cimport BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, tcp_fin, tcp_init_transfer
from kpath_c.tcp_metrics cimport tcp_fastopen_cache_get
from kpath_c.tcp_output cimport sk_forced_mem_schedule


cdef void reqsk_fastopen_remove(sock *sk, request_sock *req, bint reset) noexcept nogil:
    """The child's handshake is over, well or not (`reset`: by a RST)."""
    cdef sock *lsk = req.rsk_listener
    cdef fastopen_queue *fastopenq = &inet_csk(lsk).icsk_accept_queue.fastopenq

    tcp_sk(sk).fastopen_rsk = NULL
    fastopenq.qlen -= 1
    tcp_rsk(req).tfo_listener = 0
    if req.sk != NULL:          # not accepted yet
        return

    if not reset or lsk.sk_state != TCP_LISTEN:
        reqsk_put(req)
        return
    # RFC 7413 5.1: a SYN from a spoofed address draws a RST. Such a request counts for another 60 s, so that a flood
    # of them fills the queue and turns Fast Open off.
    req.rsk_timer.expires = jiffies(sock_net(sk)) + 60 * <unsigned long>HZ(sock_net(sk))
    if fastopenq.rskq_rst_head == NULL:
        fastopenq.rskq_rst_head = req
    else:
        fastopenq.rskq_rst_tail.dl_next = req

    req.dl_next = NULL
    fastopenq.rskq_rst_tail = req
    fastopenq.qlen += 1

# ---------------------------------------------------------------------------------------------- keys and cookies

cdef void tcp_fastopen_init_key_once(net *n) noexcept nogil:
    cdef u8 key[TCP_FASTOPEN_KEY_LENGTH]

    if n.ipv4.tcp_fastopen_ctx != NULL:
        return

    get_random_bytes(n, key, sizeof(key))
    tcp_fastopen_reset_cipher(n, NULL, key, NULL)


cdef void tcp_fastopen_ctx_free(net *n, tcp_fastopen_context *ctx) noexcept nogil:
    kmem_cache_free(&n.misc_slab, ctx)


cdef void tcp_fastopen_destroy_cipher(sock *sk) noexcept nogil:
    cdef tcp_fastopen_context *ctx = inet_csk(sk).icsk_accept_queue.fastopenq.ctx

    if ctx != NULL:
        tcp_fastopen_ctx_free(sock_net(sk), ctx)


cdef void tcp_fastopen_ctx_destroy(net *n) noexcept nogil:
    cdef tcp_fastopen_context *ctxt = n.ipv4.tcp_fastopen_ctx

    n.ipv4.tcp_fastopen_ctx = NULL
    if ctxt != NULL:
        tcp_fastopen_ctx_free(n, ctxt)


cdef int tcp_fastopen_reset_cipher(net *n, sock *sk, const void *primary_key, const void *backup_key) noexcept nogil:
    cdef tcp_fastopen_context *ctx = <tcp_fastopen_context *>kmem_cache_alloc(&n.misc_slab)
    cdef tcp_fastopen_context *octx
    cdef fastopen_queue *q

    if ctx == NULL:
        return -ENOMEM

    ctx.key[0].key[0] = get_unaligned_le64(primary_key)
    ctx.key[0].key[1] = get_unaligned_le64(<const u8 *>primary_key + 8)
    if backup_key != NULL:
        ctx.key[1].key[0] = get_unaligned_le64(backup_key)
        ctx.key[1].key[1] = get_unaligned_le64(<const u8 *>backup_key + 8)
        ctx.num = 2
    else:
        ctx.num = 1

    if sk != NULL:
        q = &inet_csk(sk).icsk_accept_queue.fastopenq
        octx = q.ctx
        q.ctx = ctx
    else:
        octx = n.ipv4.tcp_fastopen_ctx
        n.ipv4.tcp_fastopen_ctx = ctx

    if octx != NULL:
        tcp_fastopen_ctx_free(n, octx)
    return 0


cdef int tcp_fastopen_get_cipher(net *n, inet_connection_sock *icsk, u64 *key) noexcept nogil:
    cdef tcp_fastopen_context *ctx
    cdef int n_keys = 0
    cdef int i

    if icsk != NULL:
        ctx = icsk.icsk_accept_queue.fastopenq.ctx
    else:
        ctx = n.ipv4.tcp_fastopen_ctx
    if ctx != NULL:
        n_keys = tcp_fastopen_context_len(ctx)
        for i in range(n_keys):
            put_unaligned_u64(ctx.key[i].key[0], key + i * 2)
            put_unaligned_u64(ctx.key[i].key[1], key + i * 2 + 1)

    return n_keys


cdef bint __tcp_fastopen_cookie_gen_cipher(request_sock *req, sk_buff *syn, const siphash_key_t *key,
                                           tcp_fastopen_cookie *foc) noexcept nogil:
    """A cookie is the keyed hash of both addresses, so that it needs no state (RFC 7413 4.1.2)."""
    cdef u64 val

    if req.rsk_ops.family == AF_INET:
        val = siphash(&ip_hdr(syn).saddr, 2 * sizeof(__be32), key)
    elif req.rsk_ops.family == AF_INET6:
        val = siphash(&ipv6_hdr(syn).saddr, 2 * sizeof(in6_addr), key)
    else:
        return 0
    val = cpu_to_le64(val)
    memcpy(foc.val, &val, sizeof(val))
    foc.len = TCP_FASTOPEN_COOKIE_SIZE
    return 1


cdef void tcp_fastopen_cookie_gen(sock *sk, request_sock *req, sk_buff *syn, tcp_fastopen_cookie *foc) noexcept nogil:
    cdef tcp_fastopen_context *ctx = tcp_fastopen_get_ctx(sk)

    if ctx != NULL:
        __tcp_fastopen_cookie_gen_cipher(req, syn, &ctx.key[0], foc)


cdef void tcp_fastopen_cookie_init(tcp_fastopen_cookie *foc, s8 length) noexcept nogil:
    memset(foc, 0, sizeof(foc[0]))
    foc.len = length

# ---------------------------------------------------------------------------------------------- the passive side

cdef void tcp_fastopen_add_skb(sock *sk, sk_buff *skb) noexcept nogil:
    """Queue the payload, and the FIN, of a SYN or SYN-ACK."""
    cdef tcp_sock *tp = tcp_sk(sk)

    if TCP_SKB_CB(skb).end_seq == tp.rcv_nxt:
        return

    skb = skb_clone(skb, GFP_ATOMIC)
    if skb == NULL:
        return

    tcp_cleanup_skb(skb)
    # It was 1 already for this very segment. tcp_segs_in() wants the TCP header in skb.len, so it goes before the pull.
    tp.segs_in = 0
    tcp_segs_in(tp, skb)
    __skb_pull(skb, tcp_hdrlen(skb))
    sk_forced_mem_schedule(sk, <int>skb.truesize)
    skb_set_owner_r(skb, sk)

    TCP_SKB_CB(skb).seq += 1
    TCP_SKB_CB(skb).tcp_flags &= <u16>~TCPHDR_SYN

    tp.rcv_nxt = TCP_SKB_CB(skb).end_seq
    tcp_add_receive_queue(sk, skb)
    tp.syn_data_acked = 1

    tp.bytes_received = skb.len

    if TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN:
        tcp_fin(sk)


cdef int tcp_fastopen_cookie_gen_check(sock *sk, request_sock *req, sk_buff *syn, tcp_fastopen_cookie *orig,
                                       tcp_fastopen_cookie *valid_foc) noexcept nogil:
    """Which key made the client's cookie: 1 the primary, 2 the backup, 0 none. valid_foc: by the primary key."""
    cdef tcp_fastopen_cookie search_foc
    cdef tcp_fastopen_cookie *foc = valid_foc
    cdef tcp_fastopen_context *ctx = tcp_fastopen_get_ctx(sk)
    cdef int i

    if ctx == NULL:
        return 0
    tcp_fastopen_cookie_init(&search_foc, -1)
    for i in range(tcp_fastopen_context_len(ctx)):
        __tcp_fastopen_cookie_gen_cipher(req, syn, &ctx.key[i], foc)
        if tcp_fastopen_cookie_match(foc, orig):
            return i + 1
        foc = &search_foc
    return 0


cdef sock *tcp_fastopen_create_child(sock *sk, sk_buff *skb, request_sock *req) noexcept nogil:
    cdef request_sock_queue *queue = &inet_csk(sk).icsk_accept_queue
    cdef tcp_sock *tp
    cdef sock *child
    cdef bint own_req = 0

    child = inet_csk(sk).icsk_af_ops.syn_recv_sock(sk, skb, req, NULL, NULL, &own_req, NULL)
    if child == NULL:
        return NULL

    queue.fastopenq.qlen += 1

    # What a child normally takes from the handshake's ACK comes from the SYN.
    tp = tcp_sk(child)

    tp.fastopen_rsk = req
    tcp_rsk(req).tfo_listener = 1

    # RFC 7323 2.2: the window of a SYN is not scaled.
    tp.snd_wnd = ntohs(tcp_hdr(skb).window)
    tp.max_window = tp.snd_wnd

    # The child's own timer retransmits the SYN-ACK: the request is in the accept queue and not in the ehash.
    req.timeout = tcp_timeout_init(child)
    tcp_reset_xmit_timer(child, ICSK_TIME_RETRANS, req.timeout, 0)

    req.rsk_refcnt = 2

    tcp_init_transfer(child, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, skb)

    tp.rcv_nxt = TCP_SKB_CB(skb).seq + 1

    tcp_fastopen_add_skb(child, skb)

    tcp_rsk(req).rcv_nxt = tp.rcv_nxt
    tp.rcv_wup = tp.rcv_nxt
    # tcp_conn_request() sends the SYN-ACK and queues the child for accept().
    return child


cdef bint tcp_fastopen_queue_check(sock *sk) noexcept nogil:
    """The listener takes Fast Open (TCP_FASTOPEN) and has room for one more pending child."""
    cdef fastopen_queue *fastopenq = &inet_csk(sk).icsk_accept_queue.fastopenq
    cdef int max_qlen = fastopenq.max_qlen
    cdef request_sock *req1

    if max_qlen == 0:
        return 0

    if fastopenq.qlen >= max_qlen:
        req1 = fastopenq.rskq_rst_head
        if req1 == NULL or time_after(req1.rsk_timer.expires, jiffies(sock_net(sk))):
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPFASTOPENLISTENOVERFLOW)
            return 0
        fastopenq.rskq_rst_head = req1.dl_next
        fastopenq.qlen -= 1
        reqsk_put(req1)
    return 1


cdef bint tcp_fastopen_no_cookie(sock *sk, const dst_entry *dst, int flag) noexcept nogil:
    return ((sock_net(sk).ipv4.sysctl_tcp_fastopen & flag) != 0 or
            tcp_sk(sk).fastopen_no_cookie != 0 or
            (dst != NULL and dst_metric(dst, RTAX_FASTOPEN_NO_COOKIE) != 0))


cdef sock *tcp_try_fastopen(sock *sk, sk_buff *skb, request_sock *req, tcp_fastopen_cookie *foc,
                            const dst_entry *dst) noexcept nogil:
    """A child if this SYN opens at once. `foc`: the SYN's cookie; out: the one to send back (len < 0: none)."""
    cdef bint syn_data = TCP_SKB_CB(skb).end_seq != TCP_SKB_CB(skb).seq + 1
    cdef int tcp_fastopen = sock_net(sk).ipv4.sysctl_tcp_fastopen
    cdef tcp_fastopen_cookie valid_foc
    cdef sock *child
    cdef bint open_ = 0
    cdef int ret = 0

    tcp_fastopen_cookie_init(&valid_foc, -1)

    if foc.len == 0:            # asks for a cookie
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPFASTOPENCOOKIEREQD)

    if not ((tcp_fastopen & TFO_SERVER_ENABLE) and (syn_data or foc.len >= 0) and tcp_fastopen_queue_check(sk)):
        foc.len = -1
        return NULL

    if tcp_fastopen_no_cookie(sk, dst, TFO_SERVER_COOKIE_NOT_REQD):
        open_ = 1
    elif foc.len == 0:
        tcp_fastopen_cookie_gen(sk, req, skb, &valid_foc)
    elif foc.len > 0:
        ret = tcp_fastopen_cookie_gen_check(sk, req, skb, foc, &valid_foc)
        if not ret:
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPFASTOPENPASSIVEFAIL)
        else:
            open_ = 1

    if open_:
        # No child: only the ISN is acknowledged, and the cookie goes back as it should be.
        child = tcp_fastopen_create_child(sk, skb, req)
        if child != NULL:
            if ret == 2:
                valid_foc.exp = foc.exp
                foc[0] = valid_foc
                NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPFASTOPENPASSIVEALTKEY)
            else:
                foc.len = -1
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPFASTOPENPASSIVE)
            tcp_sk(child).syn_fastopen_child = 1
            return child
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPFASTOPENPASSIVEFAIL)
    valid_foc.exp = foc.exp
    foc[0] = valid_foc
    return NULL

# ---------------------------------------------------------------------------------------------- the active side

cdef bint tcp_fastopen_cookie_check(sock *sk, u16 *mss, tcp_fastopen_cookie *cookie) noexcept nogil:
    """May data go with the SYN? `mss` and `cookie` come from the metrics cache."""
    cdef dst_entry *dst

    tcp_fastopen_cache_get(sk, mss, cookie)

    if tcp_fastopen_active_should_disable(sk):
        cookie.len = -1
        return 0

    dst = __sk_dst_get(sk)

    if tcp_fastopen_no_cookie(sk, dst, TFO_CLIENT_NO_COOKIE):
        cookie.len = -1
        return 1
    if cookie.len > 0:
        return 1
    tcp_sk(sk).fastopen_client_fail = TFO_COOKIE_UNAVAILABLE
    return 0


cdef bint tcp_fastopen_defer_connect(sock *sk, int *err) noexcept nogil:
    """TCP_FASTOPEN_CONNECT: true if connect() can return and leave the SYN to the first write."""
    cdef tcp_fastopen_cookie cookie
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u16 mss = 0

    tcp_fastopen_cookie_init(&cookie, 0)
    if tp.fastopen_connect and tp.fastopen_req == NULL:
        if tcp_fastopen_cookie_check(sk, &mss, &cookie):
            inet_set_bit(INET_FLAGS_DEFER_CONNECT, sk)
            return 1

        # So that the SYN carries the option, and asks for a cookie.
        tp.fastopen_req = <tcp_fastopen_request *>kmem_cache_alloc(&sock_net(sk).misc_slab)
        if tp.fastopen_req != NULL:
            memset(tp.fastopen_req, 0, sizeof(tcp_fastopen_request))
            tp.fastopen_req.cookie = cookie
        else:
            err[0] = -ENOBUFS
    return 0

# Middleboxes swallow what follows a SYN with data, or the SYN itself. On signs of that (an out-of-order FIN or RST and
# nothing else, three time-outs in a row) the host stops active Fast Open: for tcp_fastopen_blackhole_timeout_sec, twice
# as long each further time, until a connection with data has worked.

cdef void tcp_fastopen_active_disable(sock *sk) noexcept nogil:
    cdef net *n = sock_net(sk)

    if not n.ipv4.sysctl_tcp_fastopen_blackhole_timeout:
        return

    n.ipv4.tfo_active_disable_stamp = jiffies(n)
    n.ipv4.tfo_active_disable_times += 1

    NET_INC_STATS(n, LINUX_MIB_TCPFASTOPENBLACKHOLE)


cdef bint tcp_fastopen_active_should_disable(sock *sk) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef unsigned int tfo_bh_timeout = n.ipv4.sysctl_tcp_fastopen_blackhole_timeout
    cdef int tfo_da_times
    cdef unsigned int multiplier
    cdef unsigned long timeout

    if not tfo_bh_timeout:
        return 0

    tfo_da_times = n.ipv4.tfo_active_disable_times
    if not tfo_da_times:
        return 0

    # At most 2^6 times the first.
    multiplier = (<unsigned int>1) << min_int(tfo_da_times - 1, 6)

    timeout = n.ipv4.tfo_active_disable_stamp + <unsigned int>(multiplier * tfo_bh_timeout * HZ(n))
    if time_before(jiffies(n), timeout):
        return 1

    # This connection is a trial.
    tcp_sk(sk).syn_fastopen_ch = 1
    return 0


cdef void tcp_fastopen_active_disable_ofo_check(sock *sk) noexcept nogil:
    """At the end of an active Fast Open connection: what does it teach?"""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef dst_entry *dst
    cdef net_device *dev
    cdef sk_buff *skb

    if not tp.syn_fastopen:
        return

    if not tp.data_segs_in:
        skb = skb_rb_first(&tp.out_of_order_queue)
        if skb != NULL and skb_rb_next(skb) == NULL:
            if TCP_SKB_CB(skb).tcp_flags & TCPHDR_FIN:
                tcp_fastopen_active_disable(sk)
                return
    elif tp.syn_fastopen_ch and sock_net(sk).ipv4.tfo_active_disable_times:
        # Loopback proves nothing.
        dst = __sk_dst_get(sk)
        dev = dst.dev if dst != NULL else NULL
        if dev != &sock_net(sk).lo:
            sock_net(sk).ipv4.tfo_active_disable_times = 0


cdef void tcp_fastopen_active_detect_blackhole(sock *sk, bint expired) noexcept nogil:
    """At a retransmission time-out: the third in a row, or the last (`expired`)."""
    cdef u32 timeouts = inet_csk(sk).icsk_retransmits
    cdef tcp_sock *tp = tcp_sk(sk)

    if ((tp.syn_fastopen or tp.syn_data or tp.syn_data_acked) and
            (timeouts == 2 or (timeouts < 2 and expired))):
        tcp_fastopen_active_disable(sk)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPFASTOPENACTIVEFAIL)
