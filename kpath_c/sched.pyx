"""The order of things in a replay: arrivals, the application's calls and timers, merged in time.

Nothing here is a port. It stands where hardware, the scheduler and the application stand around the kernel's TCP: it
hands packets to the device, starts socket calls, lets calls that sleep go on once they are woken, and writes down what
the stack emits. One `engine` belongs to one host.

When a woken call goes on is not in the capture. It goes on once the processor is free: packets that fall due together,
and the segments that they set free, are all handled before the application runs. A recorded call tells more: it went on
before it returned; a recv whose length was recorded went on when that many bytes were there and before another packet
added to them; a send for whose rest there is room went on just before it returned. The costs are medians over the
corpus (the kernel's tcp_sendmsg_locked and tcp_rcv_space_adjust events against arrivals and returns).
"""
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset, strlen, strncpy

from kpath_c.headers.tcp cimport *
from kpath_c.net_sock cimport sock_put
from kpath_c.headers.hash cimport ipv6_addr_hash, jhash_3words
from kpath_c.inet_hashtables cimport inet_ehashfn
from kpath_c.af_inet cimport (inet_accept, inet_bind, inet_create, inet_listen, inet_recvmsg, inet_release,
                              inet_sendmsg, inet_shutdown, inet_stream_connect)
from kpath_c.af_inet6 cimport inet6_bind, inet6_create
from kpath_c.ipv6_sockglue cimport ipv6_getsockopt, ipv6_setsockopt
from kpath_c.ip_sockglue cimport ip_getsockopt, ip_setsockopt
from kpath_c.dev cimport netif_receive_skb
from kpath_c.shim.netdevice cimport netdev_interrupt, netdev_poll_end, netdev_rx_skb, netdev_would_merge, tcp_header_at
from kpath_c.shim.slab cimport (huge_realloc, kmem_cache_alloc, kmem_cache_destroy, kmem_cache_free, kmem_cache_init,
                                kmem_cache_zalloc)
from kpath_c.shim.timer cimport advance_late, advance_quiet, mod_timer, next_interrupt_ns, timer_delete, timer_setup
from kpath_c.skbuff cimport put_page
from kpath_c.sock cimport release_sock, sk_getsockopt, sk_setsockopt
from kpath_c.tcp cimport (tcp_get_info, tcp_getsockopt, tcp_ioctl, tcp_poll, tcp_setsockopt,
                          tcp_splice_read)

cdef enum:
    GROW_MIN = 1024
    READ_YES = 1                # engine.auto_read, one a slot; 0: as auto_read_all says
    READ_NO = 2
    READ_PLANNED = 3            # at the times of its plan only, also while that has none

    NEXT = 0                    # before_next(): nothing is due before the next event
    AGAIN = 1                   # something was, and has been done
    OVER = 2                    # the end comes first
    COLD_NS = 10000000          # a processor idle for longer has cold caches
    BATCH_GAP_NS = 45000        # arrivals closer than this come in one go
    SLICE_NS = 3000000          # a woken task waits no longer than this for the processor

    READER = 1                  # task.reader: reads what arrives
    ACCEPTER = 2                # accepts whatever completes
    PLANNED = 3                 # reads at the times of its slot's plan
    NOT_QUEUED = -1             # task.runq_pos
    FAR = -2
    CROWDED = -3
    RUNQ = 0                    # which heap
    CROWD = 1
    HUNGRY = 2
    MANY_WAIT = 16              # from so many on they make a crowd
    FAR_BUCKETS = 1 << 13
    THREADS_MIN = 63            # engine.threads_mask at first
    MAX_RW_COUNT = 0x7FFFF000   # no call moves more
    FAR_SHIFT = 21              # a bucket is 2 ms
    PIN_BUCKETS = 1 << 10       # at first
    CALLS_AHEAD = 6             # how many calls before its turn a thread's task is fetched into the cache
    MANY_SOCKETS = 256          # half a megabyte of them

cdef s64 NEVER = 0x7FFFFFFFFFFFFFFF
# A call is recorded as over when it is back in user space; the kernel's part ended a little earlier.
cdef s64 RETURN_NS = 1400
# The same for a send, which copies and transmits in that time.
cdef s64 SEND_NS = 10000
# A recv that slept has read so long before its return: a part of the time since the last packet (a slow moment of the
# machine slows all down), in 1/1000, and a time for each segment that it copies, and one for the ACK that it sends.
# Fitted to the tcp_rcv_space_adjust events of the corpus, of which half lie within 2 us (4 us with an ACK).
cdef s64 RECV_PART = 105
cdef s64 RECV_NS = 740
cdef s64 RECV_ACK_PART = 280
cdef s64 RECV_ACK_NS = 10700
cdef s64 COPY_NS = 840


# ------------------------------------------------------------------------------------------- growing arrays

cdef int grow(void **p, s64 *cap, s64 need, size_t size) noexcept nogil:
    """Makes room for `need` elements of `size` bytes; 0, or -ENOMEM with the old array kept."""
    cdef s64 want = cap[0]
    cdef void *q
    if need <= want:
        return 0
    if want < GROW_MIN:
        want = GROW_MIN
    while want < need:
        want *= 2
    q = huge_realloc(p[0], <size_t>cap[0] * size, <size_t>want * size)
    if q == NULL:
        return -ENOMEM
    p[0] = q
    cap[0] = want
    return 0


cdef int grow_int(void **p, int *cap, s64 need, size_t size) noexcept nogil:
    cdef s64 c = cap[0]
    cdef int err = grow(p, &c, need, size)
    cap[0] = <int>c
    return err


# ------------------------------------------------------------------------------------ hooks: what the stack tells

cdef s64 real_ns(engine *e) noexcept nogil:
    return <s64>e.n.e.mono_ns + e.n.e.mono_to_real_ns


cdef void local_addr(const sock *sk, in6_addr *addr) noexcept nogil:
    """The socket's own address, IPv4's mapped."""
    if sk.sk_family == AF_INET6:
        addr[0] = sk.sk_v6_rcv_saddr
    else:
        ipv6_addr_set_v4mapped(inet_sk(sk).inet_saddr, addr)


cdef void peer_addr(const sock *sk, in6_addr *addr) noexcept nogil:
    if sk.sk_family == AF_INET6:
        addr[0] = sk.sk_v6_daddr
    else:
        ipv6_addr_set_v4mapped(sk.sk_daddr, addr)


cdef bint has_peer(const sock *sk) noexcept nogil:
    return not ipv6_addr_any(&sk.sk_v6_daddr) if sk.sk_family == AF_INET6 else sk.sk_daddr != 0


cdef int conn_of(engine *e, sock *sk) noexcept nogil:
    """Index of the socket's record in the connection table; made at its first use."""
    cdef conn_rec *c
    if sk.trace_id >= 0:
        c = &e.conns[sk.trace_id]
        # An active open is in SYN_SENT before it has a port.
        if c.lport == 0:
            local_addr(sk, &c.laddr)
            c.lport = sk.sk_num
        return sk.trace_id
    if grow_int(<void **>&e.conns, &e.max_conns, e.n_conns + 1, sizeof(conn_rec)):
        e.oom = 1
        return -1
    c = &e.conns[e.n_conns]
    memset(c, 0, sizeof(conn_rec))
    local_addr(sk, &c.laddr)
    peer_addr(sk, &c.raddr)
    c.lport = sk.sk_num
    c.rport = ntohs(sk.sk_dport)
    c.t_open = real_ns(e)
    c.sk = sk
    c.state = sk.sk_state
    sk.trace_id = e.n_conns
    e.n_conns += 1
    return sk.trace_id


cdef s64 stream_offset(sock *sk, u32 seq) noexcept nogil:
    """Offset in the sent stream of sequence number `seq`, 64 bits wide."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 low = seq - tp.iss - 1
    cdef s64 near = <s64>tp.bytes_acked
    return near + <s32>(low - <u32>near)


cdef int more_emitted(engine *e, u32 hdr_len) noexcept nogil:
    """Makes room for another segment's row, and for its headers."""
    cdef s64 need = e.n_em + 1
    cdef s64 cap = e.max_em
    if need > cap:
        if grow(<void **>&e.em_t, &cap, need, 8):
            return -ENOMEM
        cap = e.max_em
        grow(<void **>&e.em_off, &cap, need, 8)
        cap = e.max_em
        grow(<void **>&e.em_soff, &cap, need, 8)
        cap = e.max_em
        grow(<void **>&e.em_hlen, &cap, need, 4)
        cap = e.max_em
        grow(<void **>&e.em_plen, &cap, need, 4)
        cap = e.max_em
        grow(<void **>&e.em_conn, &cap, need, 4)
        e.max_em = cap
    return grow(<void **>&e.hdr, &e.hdr_max, e.hdr_len + hdr_len, 1)


cdef void on_xmit(void *ctx, sk_buff *skb, u8 *hdr, u32 hdr_len, u32 payload_len, u32 seq) noexcept nogil:
    cdef engine *e = <engine *>ctx
    cdef sock *sk = skb.sk
    cdef s64 i = e.n_em
    cdef s64 at = e.hdr_len
    cdef s64 soff = -1
    cdef int conn = -1
    if unlikely(i >= e.max_em or at + hdr_len > e.hdr_max) and more_emitted(e, hdr_len):
        e.oom = 1
        return
    memcpy(e.hdr + at, hdr, hdr_len)
    if (sk != NULL and sk_fullsock(sk) and sk.sk_state != TCP_LISTEN and sk != <sock *>&e.n.tcp_ctl_sk and
            sk != <sock *>&e.n.tcp6_ctl_sk):
        conn = conn_of(e, sk)
        if payload_len:
            soff = stream_offset(sk, seq)
    e.em_t[i] = real_ns(e)
    e.em_off[i] = at
    e.em_hlen[i] = <int>hdr_len
    e.em_plen[i] = <int>payload_len
    e.em_soff[i] = soff
    e.em_conn[i] = conn
    e.hdr_len = at + hdr_len
    e.n_em = i + 1


cdef void on_tcp_probe(void *ctx, sock *sk, sk_buff *skb) noexcept nogil:
    cdef engine *e = <engine *>ctx
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef probe_rec *r
    if grow(<void **>&e.probes, &e.max_probes, e.n_probes + 1, sizeof(probe_rec)):
        e.oom = 1
        return
    r = &e.probes[e.n_probes]
    e.n_probes += 1
    r.t = real_ns(e)
    local_addr(sk, &r.saddr)
    peer_addr(sk, &r.daddr)
    r.sport = ntohs(inet_sk(sk).inet_sport)
    r.dport = ntohs(sk.sk_dport)
    r.data_len = skb.len - __tcp_hdrlen(tcp_hdr(skb))
    r.snd_nxt = tp.snd_nxt
    r.snd_una = tp.snd_una
    r.snd_cwnd = tp.snd_cwnd
    r.ssthresh = tcp_current_ssthresh(sk)
    r.snd_wnd = tp.snd_wnd
    r.srtt = tp.srtt_us >> 3
    r.rcv_wnd = tp.rcv_wnd
    r.rto = inet_csk(sk).icsk_rto
    r.packets_out = tp.packets_out
    r.retrans_out = tp.retrans_out
    r.lost_out = tp.lost_out
    r.sacked_out = tp.sacked_out
    r.ca_state = inet_csk(sk).icsk_ca_state


cdef void on_drop(void *ctx, sk_buff *skb, int reason) noexcept nogil:
    cdef engine *e = <engine *>ctx
    if skb.packet_index < 0:
        return
    if grow(<void **>&e.drops, &e.max_drops, e.n_drops + 1, sizeof(drop_rec)):
        e.oom = 1
        return
    e.drops[e.n_drops].t = real_ns(e)
    e.drops[e.n_drops].packet = skb.packet_index
    e.drops[e.n_drops].reason = reason
    e.n_drops += 1


cdef int engine_add_stream(engine *e, const stream_rec *stream) noexcept nogil:
    if grow(<void **>&e.streams, &e.max_streams, e.n_streams + 1, sizeof(stream_rec)):
        return -ENOMEM
    e.streams[e.n_streams] = stream[0]
    e.n_streams += 1
    return 0


# The part of a stream that falls into [seq, seq + length) of what is asked for.
cdef void copy_of_stream(const stream_rec *r, u32 seq, u8 *out, u32 length) noexcept nogil:
    cdef s32 skip = <s32>(r.seq - seq)
    cdef u32 at = 0 if skip >= 0 else <u32>-skip
    cdef u32 to = 0 if skip < 0 else <u32>skip
    if at >= r.length or to >= length:
        return
    memcpy(out + to, r.data + at, min_u32(length - to, r.length - at))


cdef void on_sent_bytes(void *ctx, const sock *sk, u32 seq, u8 *out, u32 length) noexcept nogil:
    cdef engine *e = <engine *>ctx
    cdef stream_rec *r
    cdef in6_addr laddr, raddr
    cdef s64 i
    memset(out, 0, length)
    if e.n_streams == 0:
        return
    local_addr(sk, &laddr)
    peer_addr(sk, &raddr)
    for i in range(e.n_streams):
        r = &e.streams[i]
        if (r.rport == sk.sk_dport and ntohs(r.lport) == sk.sk_num and ipv6_addr_equal(&r.laddr, &laddr) and
                ipv6_addr_equal(&r.raddr, &raddr)):
            copy_of_stream(r, seq, out, length)


cdef void on_destroy(void *ctx, sock *sk) noexcept nogil:
    """The socket is about to go: its last TCP_INFO stays."""
    cdef engine *e = <engine *>ctx
    cdef conn_rec *c
    if sk.trace_id < 0:
        return
    c = &e.conns[sk.trace_id]
    if not e.want_infos:
        c.sk = NULL
        return
    if c.info == NULL:
        c.info = kmem_cache_zalloc(&e.info_pool)
    if c.info != NULL:
        tcp_get_info(sk, <tcp_info *>c.info)
    c.sk = NULL


cdef void on_state(void *ctx, sock *sk, int oldstate, int newstate) noexcept nogil:
    cdef engine *e = <engine *>ctx
    cdef int i
    if newstate == TCP_LISTEN or oldstate == TCP_LISTEN:
        return
    if sk.trace_id < 0 and (newstate == TCP_CLOSE or not has_peer(sk)):
        return
    i = conn_of(e, sk)
    if i < 0:
        return
    if oldstate == TCP_SYN_RECV and newstate == TCP_ESTABLISHED and e.conns[i].state == TCP_SYN_RECV:
        e.conns[i].passive = 1
    e.conns[i].state = <u8>newstate


cdef void on_trace(void *ctx, int event, sock *sk, sk_buff *skb, s64 arg) noexcept nogil:
    cdef engine *e = <engine *>ctx
    cdef state_rec *r
    if sk == NULL or not sk_fullsock(sk) or e.n_states >= e.limit_states:
        return
    if grow(<void **>&e.states, &e.max_states, e.n_states + 1, sizeof(state_rec)):
        e.oom = 1
        return
    r = &e.states[e.n_states]
    e.n_states += 1
    r.t = real_ns(e)
    r.event = event
    r.arg = arg
    memcpy(&r.tp, sk, sizeof(tcp_sock))


cdef void on_not_ported(void *ctx, const char *what) noexcept nogil:
    cdef engine *e = <engine *>ctx
    cdef int i
    for i in range(e.n_not_ported):
        if e.not_ported[i] == what:
            return
    if e.n_not_ported < 32:
        e.not_ported[e.n_not_ported] = what
        e.n_not_ported += 1


cdef inline u32 pin_hash(const in6_addr *laddr, const in6_addr *raddr, __be16 lport, __be16 rport) noexcept nogil:
    """laddr NULL: of any address."""
    return jhash_3words(ipv6_addr_hash(laddr) if laddr != NULL else 0, ipv6_addr_hash(raddr),
                        (<u32>lport << 16) | rport, 0)


cdef void pin_link(engine *e, int i) noexcept nogil:
    """Enters pin number i into the hashes, behind those that it shares a key with."""
    cdef pin_node *p = &e.pins[i]
    cdef pin_bucket *b = &e.pin_seqs[pin_hash(&p.pin.laddr, &p.pin.raddr, p.pin.lport, p.pin.rport) & e.pin_mask]
    if b.last:
        e.pins[b.last].seq_next = i
    else:
        b.first = i
    b.last = i
    p.seq_next = 0
    if p.pin.passive or p.port_taken:
        return
    b = &e.pin_ports[pin_hash(NULL, &p.pin.raddr, 0, p.pin.rport) & e.pin_mask]
    if b.last:
        e.pins[b.last].port_next = i
    else:
        b.first = i
    b.last = i
    p.port_next = 0


cdef int grow_pin_hashes(engine *e) noexcept nogil:
    """Twice as many chains as there are, with all pins in their order."""
    cdef u32 size = (e.pin_mask + 1) * 2 if e.pin_seqs != NULL else PIN_BUCKETS
    cdef pin_bucket *both = <pin_bucket *>calloc(2 * <size_t>size, sizeof(pin_bucket))
    cdef int i
    if both == NULL:
        return -ENOMEM
    free(e.pin_seqs)
    e.pin_seqs = both
    e.pin_ports = both + size
    e.pin_mask = size - 1
    for i in range(1, e.n_pins + 1):
        pin_link(e, i)
    return 0


cdef int engine_add_pin(engine *e, const pin_entry *pin) noexcept nogil:
    """Pins the numbers of the next connection with this 4-tuple; those that share it come in order. 0 or -ENOMEM."""
    cdef pin_node *p
    if grow(<void **>&e.pins, &e.max_pins, e.n_pins + 2, sizeof(pin_node)):
        return -ENOMEM
    if (e.pin_seqs == NULL or e.n_pins > e.pin_mask) and grow_pin_hashes(e):
        return -ENOMEM
    e.n_pins += 1
    p = &e.pins[e.n_pins]
    p.pin = pin[0]
    p.port_taken = 0
    pin_link(e, <int>e.n_pins)
    return 0


cdef int on_pinned_port(void *ctx, sock *sk) noexcept nogil:
    """The local port that the capture shows for this active open (host order), or 0."""
    cdef engine *e = <engine *>ctx
    cdef pin_bucket *b
    cdef pin_node *p
    cdef in6_addr raddr
    cdef int i
    cdef int before = 0
    if e.pin_seqs == NULL:
        return 0
    peer_addr(sk, &raddr)
    b = &e.pin_ports[pin_hash(NULL, &raddr, 0, sk.sk_dport) & e.pin_mask]
    i = b.first
    while i and (e.pins[i].pin.rport != sk.sk_dport or not ipv6_addr_equal(&e.pins[i].pin.raddr, &raddr)):
        before = i
        i = e.pins[i].port_next
    if not i:
        return 0
    p = &e.pins[i]
    p.port_taken = 1
    # on_pinned_seq() is next to ask.
    prefetch(&e.pin_seqs[pin_hash(&p.pin.laddr, &p.pin.raddr, p.pin.lport, p.pin.rport) & e.pin_mask])
    if not before:
        b.first = p.port_next
    else:
        e.pins[before].port_next = p.port_next
    if b.last == i:
        b.last = before
    return ntohs(p.pin.lport)


cdef u32 tsoff_at_turn(net *n, const pin_entry *p) noexcept nogil:
    """The offset with which a SYN that is stamped now has the TSval that it had, if it is a ms off.

    The offset was reckoned from the time of the capture. When a ms ends between that and the stamp, it is one off, and
    what echoes the TSval would be refused: tcp_check_req(), tcp_rcv_synsent_state_process().
    """
    cdef s32 ahead = <s32>(<u32>tcp_clock_ms(n) + p.tsoff - p.tsval)
    return p.tsoff - <u32>ahead if p.tsval_set and -1 <= ahead <= 1 else p.tsoff


cdef bint on_pinned_seq(void *ctx, const in6_addr *laddr, const in6_addr *raddr, __be16 lport, __be16 rport,
                        bint passive, u32 *isn, u32 *tsoff, bint *tsoff_set) noexcept nogil:
    cdef engine *e = <engine *>ctx
    cdef pin_entry *p
    cdef pin_entry *last = NULL
    cdef int i
    if e.pin_seqs == NULL:
        return 0
    i = e.pin_seqs[pin_hash(laddr, raddr, lport, rport) & e.pin_mask].first
    while i:
        p = &e.pins[i].pin
        if (p.lport == lport and p.rport == rport and p.passive == passive and ipv6_addr_equal(&p.laddr, laddr) and
                ipv6_addr_equal(&p.raddr, raddr)):
            last = p
            if not p.seq_used:
                break
        i = e.pins[i].seq_next
    if last == NULL:
        return 0
    last.seq_used = 1
    isn[0] = last.isn
    tsoff[0] = tsoff_at_turn(e.n, last)
    tsoff_set[0] = last.tsoff_set
    return 1


# ------------------------------------------------------------------------------------------- tasks

cdef inline bint runs_before(const runq_entry *a, const runq_entry *b) noexcept nogil:
    return a.at < b.at or (a.at == b.at and a.order < b.order)


cdef inline int *place_in(task *t, int which) noexcept nogil:
    """Where a task notes its place in one of the heaps."""
    return &t.runq_pos if which == RUNQ else &t.kind.own.crowd_pos if which == CROWD else &t.kind.own.hungry_pos


cdef inline void heap_put(task_heap *h, int which, int i, const runq_entry *r) noexcept nogil:
    h.entry[i] = r[0]
    place_in(r.t, which)[0] = i


cdef inline void heap_place(task_heap *h, int which, int i, runq_entry r) noexcept nogil:
    """Moves `r` from place i of the heap to where its time belongs. Four below each: fewer cache lines than two."""
    cdef int child, least, end
    while i and runs_before(&r, &h.entry[(i - 1) >> 2]):
        heap_put(h, which, i, &h.entry[(i - 1) >> 2])
        i = (i - 1) >> 2
    while 4 * i + 1 < h.n:
        least = 4 * i + 1
        end = least + 4 if least + 4 < h.n else h.n
        for child in range(least + 1, end):
            if runs_before(&h.entry[child], &h.entry[least]):
                least = child
        if not runs_before(&h.entry[least], &r):
            break
        heap_put(h, which, i, &h.entry[least])
        i = least
    heap_put(h, which, i, &r)


cdef inline int heap_add(task_heap *h, int which, s64 at, task *t) noexcept nogil:
    cdef runq_entry r
    if grow_int(<void **>&h.entry, &h.room, h.n + 1, sizeof(runq_entry)):
        return -ENOMEM
    r.at, r.order, r.t = at, t.run_order, t
    h.n += 1
    heap_place(h, which, h.n - 1, r)
    return 0


cdef inline void heap_del(task_heap *h, int which, int i) noexcept nogil:
    h.n -= 1
    if i < h.n:
        heap_place(h, which, i, h.entry[h.n])


cdef void runq_place(engine *e, int i, runq_entry r) noexcept nogil:
    heap_place(&e.runq, RUNQ, i, r)


cdef void runq_add(engine *e, task *t) noexcept nogil:
    if heap_add(&e.runq, RUNQ, t.run_at, t):
        e.oom = 1


cdef void far_add(engine *e, task *t) noexcept nogil:
    cdef task **bucket = &e.far[(t.run_at >> FAR_SHIFT) & (FAR_BUCKETS - 1)]
    t.kind.far.next = bucket[0]
    t.kind.far.pprev = bucket
    if bucket[0] != NULL:
        bucket[0].kind.far.pprev = &t.kind.far.next
    bucket[0] = t
    t.runq_pos = FAR
    e.n_far += 1


cdef void far_del(engine *e, task *t) noexcept nogil:
    t.kind.far.pprev[0] = t.kind.far.next
    if t.kind.far.next != NULL:
        t.kind.far.next.kind.far.pprev = t.kind.far.pprev
    t.runq_pos = -1
    e.n_far -= 1


cdef bint is_far(engine *e, task *t) noexcept nogil:
    """Many planned readers that wait for their time are kept out of the heap: each would have to sink through it."""
    if t.reader != PLANNED:
        return 0
    if e.far == NULL:
        e.far = <task **>calloc(FAR_BUCKETS, sizeof(void *))
        if e.far == NULL:
            return 0
    if e.n_far == 0:
        e.far_until = ((max_s64(e.now, real_ns(e)) >> FAR_SHIFT) + 1) << FAR_SHIFT
    return t.run_at >= e.far_until


cdef void far_comes_near(engine *e, s64 t) noexcept nogil:
    """Puts those of the next bucket up to time `t` that is not empty into the heap."""
    cdef task *w
    cdef task *following
    cdef bint some = 0
    while e.n_far and e.far_until <= t and not some:
        w = e.far[(e.far_until >> FAR_SHIFT) & (FAR_BUCKETS - 1)]
        e.far_until += 1 << FAR_SHIFT
        while w != NULL:
            following = w.kind.far.next
            if w.run_at < e.far_until:      # not a turn of the buckets later
                far_del(e, w)
                runq_add(e, w)
                some = 1
            w = following


cdef void runq_set(engine *e, task *t, s64 at) noexcept nogil:
    """Lets the task run at `at`; queues it if it is not."""
    cdef runq_entry r
    t.run_at = at
    if t.runq_pos >= 0:
        if e.runq.n == 1:
            e.runq.entry[0].at = at
            return
        r.at, r.order, r.t = at, t.run_order, t
        runq_place(e, t.runq_pos, r)
        return
    if t.runq_pos == FAR:
        far_del(e, t)
    elif t.runq_pos == CROWDED:
        crowd_leave(e, t)
    else:
        t.run_order = e.run_order
        e.run_order += 1
    if is_far(e, t):
        far_add(e, t)
        return
    if t.reader != PLANNED:
        waiting_add(e, t)
    runq_add(e, t)


cdef inline void runq_again(engine *e, task *t, s64 at) noexcept nogil:
    """The same for a planned reader in the run queue whose turn is over: it comes behind others of that time."""
    cdef runq_entry r
    t.run_at = at
    t.run_order = e.run_order
    e.run_order += 1
    if is_far(e, t):
        heap_del(&e.runq, RUNQ, t.runq_pos)
        far_add(e, t)
        return
    r.at, r.order, r.t = at, t.run_order, t
    runq_place(e, t.runq_pos, r)


cdef void runq_del(engine *e, task *t) noexcept nogil:
    cdef int i = t.runq_pos
    if i == NOT_QUEUED:
        return
    t.run_at = NEVER
    if i < 0:
        if i == FAR:
            far_del(e, t)
        else:
            crowd_leave(e, t)
        return
    heap_del(&e.runq, RUNQ, i)
    t.runq_pos = NOT_QUEUED
    if t.waiting_pos >= 0:
        waiting_del(e, t)
        if t == e.front:
            crowd_front(e)


cdef inline void waiting_add(engine *e, task *t) noexcept nogil:
    if grow_int(<void **>&e.waiting, &e.max_waiting, e.n_waiting + 1, sizeof(void *)):
        e.oom = 1
        return
    t.waiting_pos = e.n_waiting
    e.waiting[e.n_waiting] = t
    e.n_waiting += 1


cdef inline void waiting_del(engine *e, task *t) noexcept nogil:
    e.n_waiting -= 1
    e.waiting[t.waiting_pos] = e.waiting[e.n_waiting]
    e.waiting[t.waiting_pos].waiting_pos = t.waiting_pos
    t.waiting_pos = -1


cdef bint crowd_join(engine *e, task *t) noexcept nogil:
    """From the run queue into the crowd; 0: no memory, it stays."""
    if heap_add(&e.crowd, CROWD, 0, t):
        return 0
    t.kind.own.hungry_pos = -1
    if t.woken and heap_add(&e.hungry, HUNGRY, t.woken_at, t):
        heap_del(&e.crowd, CROWD, t.kind.own.crowd_pos)
        return 0
    heap_del(&e.runq, RUNQ, t.runq_pos)
    waiting_del(e, t)
    t.runq_pos = CROWDED
    return 1


cdef void crowd_leave(engine *e, task *t) noexcept nogil:
    heap_del(&e.crowd, CROWD, t.kind.own.crowd_pos)
    if t.kind.own.hungry_pos >= 0:
        heap_del(&e.hungry, HUNGRY, t.kind.own.hungry_pos)
    t.runq_pos = NOT_QUEUED


cdef void crowd_show(engine *e, task *t, s64 at) noexcept nogil:
    """Out of the crowd into the run queue, in its old order."""
    crowd_leave(e, t)
    t.run_at = at
    waiting_add(e, t)
    runq_add(e, t)


cdef void crowd_front(engine *e) noexcept nogil:
    """There is no front any more: the first of the crowd becomes it."""
    e.front = e.crowd.entry[0].t if e.crowd.n else NULL
    if e.front != NULL:
        crowd_show(e, e.front, e.crowd_at)


cdef void crowd_end(engine *e) noexcept nogil:
    """Each waits for itself again."""
    e.front = NULL
    while e.crowd.n:
        crowd_show(e, e.crowd.entry[0].t, e.crowd_at)


cdef inline bint is_hungry(const task *t, s64 now) noexcept nogil:
    """It has waited for the processor for so long that it gets it."""
    return t.woken and now - t.woken_at > SLICE_NS


cdef void crowd_gather(engine *e, s64 now) noexcept nogil:
    """After a packet at `now`: all that wait until the processor is free, and wait no longer than that, are one crowd.

    From now on the next packet makes the same of the time of each, until it is woken (again) or hungry.
    """
    cdef s64 at = free_time(e, now)
    cdef int i
    cdef task *t
    e.crowd_at = at
    e.front = NULL
    for i in range(e.n_waiting - 1, -1, -1):
        t = e.waiting[i]
        if t.run_at == at and not is_hungry(t, now) and not crowd_join(e, t):
            break
    crowd_front(e)


cdef void crowd_waits(engine *e, s64 now) noexcept nogil:
    """A packet at `now` makes the crowd wait longer."""
    cdef s64 at = free_time(e, now)
    if at < e.crowd_at:     # those that have not been woken keep the later time
        crowd_end(e)
        return
    e.crowd_at = at
    while e.hungry.n and is_hungry(e.hungry.entry[0].t, now):
        crowd_show(e, e.hungry.entry[0].t, now)


cdef void wait_add(task *t, socket *s) noexcept nogil:
    if t.sock != NULL:
        return
    t.sock = s
    t.wait_next = <task *>s.waiters
    s.waiters = t


cdef void wait_del(task *t) noexcept nogil:
    cdef task **pp
    if t.sock == NULL:
        return
    pp = <task **>&t.sock.waiters
    while pp[0] != NULL and pp[0] != t:
        pp = &pp[0].wait_next
    if pp[0] == t:
        pp[0] = t.wait_next
    t.sock = NULL
    t.wait_next = NULL


cdef s64 readable(engine *e, call_ev *c) noexcept nogil:
    """Bytes that a recv could take now."""
    cdef socket *s = socket_of(e, c.slot)
    if s == NULL or s.sk == NULL or s.sk.sk_state == TCP_LISTEN:
        return 0
    return <s64><u32>(tcp_sk(s.sk).rcv_nxt - tcp_sk(s.sk).copied_seq)


cdef inline s64 free_time(engine *e, s64 now) noexcept nogil:
    """When the processor is free for the application."""
    cdef s64 at = max_s64(now, e.busy_until)
    # The next packet of the same batch: whoever hands packets over does not sleep in between.
    if e.arr_i and e.arr_i < e.n_arr and e.arr_t[e.arr_i] - e.arr_t[e.arr_i - 1] < BATCH_GAP_NS:
        at = max_s64(at, e.arr_t[e.arr_i])
    return at + e.wake_latency


cdef bint read_sends_ack(sock *sk) noexcept nogil:
    """Whether tcp_cleanup_rbuf() would send an ACK once all that is there has been read."""
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef u32 window = tcp_receive_window(tp)
    # What lies out of order still takes memory then.
    cdef bint empties = RB_EMPTY_ROOT(&tp.out_of_order_queue)
    if inet_csk_ack_scheduled(sk):
        if tp.rcv_nxt - tp.rcv_wup > icsk.icsk_ack.rcv_mss:
            return 1
        if empties and (icsk.icsk_ack.pending & ICSK_ACK_PUSHED2
                        or (icsk.icsk_ack.pending & ICSK_ACK_PUSHED and not inet_csk_in_pingpong_mode(sk))):
            return 1
    return 2 * window <= min_u32(tp.window_clamp, min_u32(tp.rcv_ssthresh, <u32>tcp_full_space(sk)))


cdef s64 recv_ns(engine *e, call_ev *c, s64 now) noexcept nogil:
    """How long before its recorded return a recv that sleeps now has read."""
    cdef socket *s = socket_of(e, c.slot)
    cdef s64 since = c.t1 - now
    cdef s64 copies
    if s == NULL or s.sk == NULL or s.sk.sk_state == TCP_LISTEN:
        return RETURN_NS
    copies = COPY_NS * (c.want // max_s64(inet_csk(s.sk).icsk_ack.rcv_mss, 1))
    if c.want >= readable(e, c) and read_sends_ack(s.sk):
        return RECV_ACK_NS + copies + since * RECV_ACK_PART // 1000
    return RECV_NS + copies + since * RECV_PART // 1000


cdef inline s64 resume_time(engine *e, task *t, s64 now) noexcept nogil:
    """When a woken task goes on, as far as is known now."""
    cdef s64 free_at = now if is_hungry(t, now) else free_time(e, now)
    return free_at if t.reader else resume_call(e, t, now, free_at)


cdef s64 resume_call(engine *e, task *t, s64 now, s64 free_at) noexcept nogil:
    """The same for a recorded call."""
    cdef s64 index = t.call if t.call >= 0 else t.queue_head
    cdef call_ev *c
    cdef s64 last
    if index < 0 or e.calls[index].t1 < 0:
        return free_at
    c = &e.calls[index]
    last = max_s64(c.t1 - RETURN_NS, now)
    if c.want > 0:
        if (t.f.msg.copied if t.call >= 0 else 0) + readable(e, c) < c.want:
            return last
        # A short read: nothing more was there when it was made.
        t.due = c.want < c.a0
        if t.call >= 0 and c.op == OP_RECV and not c.a1 & MSG_WAITALL:
            return max_s64(c.t1 - recv_ns(e, c, now), now)
    if e.arr_i < e.n_arr and e.arr_t[e.arr_i] <= last and c.op != OP_SEND and not c.a1 & MSG_WAITALL:
        # It returns at its first wake-up, and packets keep coming until then: it went on behind them.
        return last
    return min_s64(free_at, last)


cdef void task_wake(task *t) noexcept nogil:
    """The condition that the sleeping call waits for may hold now."""
    t.woken = 1
    t.woken_at = real_ns(t.eng)
    runq_set(t.eng, t, resume_time(t.eng, t, real_ns(t.eng)))
    if t == t.eng.front:
        crowd_front(t.eng)


cdef void on_wake(void *ctx, sock *sk, u32 mask) noexcept nogil:
    cdef engine *e = <engine *>ctx
    cdef socket *s = sk.sk_socket
    cdef task *t
    cdef task *reader
    if s == NULL:
        return
    s.wake_mask |= mask
    reader = <task *>s.reader
    # Planned readers are woken by their plan.
    if s.waiters == NULL and (reader == NULL or reader.reader == PLANNED) and not e.want_wakes:
        return
    if e.want_wakes and not grow(<void **>&e.wakes, &e.max_wakes, e.n_wakes + 1, sizeof(wake_rec)):
        e.wakes[e.n_wakes].slot = s.slot
        e.wakes[e.n_wakes].mask = mask
        e.n_wakes += 1
    t = <task *>s.waiters
    while t != NULL:
        # All sleep in one wait queue; only poll() looks at what the wake-up is for.
        if not t.woken and (e.calls[t.call].op != OP_POLL or t.f.msg.wake_want & mask):
            task_wake(t)
        t = t.wait_next
    if reader != NULL and not reader.woken and reader.reader != PLANNED and mask & (EPOLLIN | EPOLLHUP):
        task_wake(reader)


cdef void on_timeout(timer_list *timer) noexcept nogil:
    cdef task *t = (<call_frame *>(<u8 *>timer - (<size_t>&(<call_frame *>NULL).timeout))).owner
    t.timed_out = 1
    if not t.woken:
        task_wake(t)


cdef task *task_new(engine *e, int thread) noexcept nogil:
    cdef task *t = <task *>kmem_cache_zalloc(&e.task_pool)
    if t == NULL:
        e.oom = 1
        return NULL
    t.eng = e
    t.thread = thread
    t.call = -1
    t.queue_head = -1
    t.queue_tail = -1
    t.run_at = NEVER
    t.runq_pos = -1
    t.waiting_pos = -1
    return t


cdef task *thread_new(engine *e, int thread) noexcept nogil:
    cdef task *t
    if grow_int(<void **>&e.tasks, &e.max_tasks, e.n_tasks + 1, sizeof(void *)):
        e.oom = 1
        return NULL
    t = task_new(e, thread)
    if t != NULL:
        e.tasks[e.n_tasks] = t
        e.n_tasks += 1
    return t


cdef inline u32 thread_hash(int thread) noexcept nogil:
    return <u32>thread * 0x9E3779B1U


cdef void index_threads(engine *e) noexcept nogil:
    """Enters all threads into the index, which has threads_mask + 1 places."""
    cdef u32 at
    cdef int i
    memset(e.threads, 0, (<size_t>e.threads_mask + 1) * sizeof(int))
    for i in range(e.n_tasks):
        at = thread_hash(e.tasks[i].thread) & e.threads_mask
        while e.threads[at]:
            at = (at + 1) & e.threads_mask
        e.threads[at] = i + 1


cdef int grow_threads(engine *e) noexcept nogil:
    """Twice as many places in the index of threads; it is never more than half full."""
    cdef u32 mask = e.threads_mask * 2 + 1 if e.threads != NULL else THREADS_MIN
    cdef void *index = realloc(e.threads, (<size_t>mask + 1) * sizeof(int))
    if index == NULL:
        return -ENOMEM
    e.threads = <int *>index
    e.threads_mask = mask
    index_threads(e)
    return 0


cdef int task_of(engine *e, int thread) noexcept nogil:
    """Index of the thread's task, made at its first call; -1: no memory."""
    cdef u32 at
    if (e.threads == NULL or <u32>e.n_tasks * 2 > e.threads_mask) and grow_threads(e):
        return -1
    at = thread_hash(thread) & e.threads_mask
    while e.threads[at]:
        if e.tasks[e.threads[at] - 1].thread == thread:
            return e.threads[at] - 1
        at = (at + 1) & e.threads_mask
    if thread_new(e, thread) == NULL:
        return -1
    e.threads[at] = e.n_tasks
    return e.n_tasks - 1


# ------------------------------------------------------------------------------------------- calls

cdef socket *socket_of(engine *e, int slot) noexcept nogil:
    if slot < 0 or slot >= e.n_slots:
        return NULL
    return e.slots[slot]


cdef socket *socket_alloc(engine *e, int slot) noexcept nogil:
    cdef socket *s = <socket *>kmem_cache_zalloc(&e.n.socket_slab)
    if s == NULL:
        return NULL
    s.slot = slot
    s.state = SS_UNCONNECTED
    s.type = SOCK_STREAM
    return s


cdef void plan_next(engine *e, task *t) noexcept nogil:
    """The next time of a planned reader, if there is one; else what the plan holds is given back."""
    cdef read_plan *p = &e.plans[t.sock.slot]
    if p.i < p.n:
        runq_set(e, t, p.at[p.i] >> 1)
        return
    plan_drop(p)
    # If more times come, it runs among others of the same time as if they had been known by now.
    t.run_order = e.run_order
    e.run_order += 1


cdef void plan_drop(read_plan *p) noexcept nogil:
    """The plan has no times (left)."""
    if p.room:
        free(p.at)
    memset(p, 0, sizeof(read_plan))


cdef int plan_append(read_plan *p, const s64 *at, s64 n) noexcept nogil:
    """Adds times behind those that are left; the plan is in memory of its own from now on."""
    cdef s64 left = p.n - p.i
    cdef s64 *own = p.at
    if n > p.room - left:
        own = <s64 *>malloc(<size_t>(left + n) * sizeof(s64))
        if own == NULL:
            return -ENOMEM
        memcpy(own, p.at + p.i, <size_t>left * sizeof(s64))
        plan_drop(p)
        p.room = left + n
    else:
        memmove(own, own + p.i, <size_t>left * sizeof(s64))
    memcpy(own + left, at, <size_t>n * sizeof(s64))
    p.at, p.i, p.n = own, 0, left + n
    return 0


cdef void plan_resume(engine *e, socket *s) noexcept nogil:
    """A socket that has a reader has got (more) times: the reader reads at these, and at no other time."""
    cdef task *t = <task *>s.reader
    cdef u64 run_order = e.run_order
    if t.reader == READER:
        runq_del(e, t)
        t.woken = 0
        t.reader = PLANNED
    if t.reader == PLANNED and t.runq_pos == NOT_QUEUED:
        e.run_order = t.run_order
        plan_next(e, t)
        e.run_order = run_order


cdef void reader_attach(engine *e, socket *s) noexcept nogil:
    """With inferred calls the application reads what arrives; the reader is a task of its own."""
    cdef task *t
    cdef u8 told = e.auto_read[s.slot]
    if s.reader != NULL or told == READ_NO or not (told or e.auto_read_all):
        return
    t = task_new(e, -1)
    if t == NULL:
        return
    s.reader = t
    t.sock = s
    if e.plans[s.slot].n or told == READ_PLANNED or (told == 0 and e.auto_read_all == READ_PLANNED):
        t.reader = PLANNED
        plan_next(e, t)
    else:
        t.reader = READER
        runq_set(e, t, real_ns(e) + e.wake_latency)


cdef void reader_detach(engine *e, socket *s) noexcept nogil:
    cdef task *t = <task *>s.reader
    runq_del(e, t)
    kmem_cache_free(&e.task_pool, t)
    s.reader = NULL


cdef void socket_put(engine *e, socket *s) noexcept nogil:
    cdef task *t = <task *>s.waiters
    cdef task *nxt
    while t != NULL:
        nxt = t.wait_next
        t.sock = NULL
        t.wait_next = NULL
        t = nxt
    if s.reader != NULL:
        reader_detach(e, s)
    if s.slot < e.n_slots and e.slots[s.slot] == s:
        e.slots[s.slot] = NULL
        plan_drop(&e.plans[s.slot])
    kmem_cache_free(&e.n.socket_slab, s)


cdef s64 do_socket(engine *e, call_ev *c) noexcept nogil:
    cdef socket *s = socket_alloc(e, c.slot)
    cdef int err
    if s == NULL:
        return -ENOMEM
    s.nonblock = 1 if c.a0 else 0
    if c.a1 == AF_INET6:
        err = inet6_create(e.n, s, IPPROTO_TCP, 0)
    else:
        err = inet_create(e.n, s, IPPROTO_TCP, 0)
    if err:
        kmem_cache_free(&e.n.socket_slab, s)
        return err
    e.slots[c.slot] = s
    return c.slot


cdef s64 do_accept(engine *e, call_ev *c, socket *s, task *t) noexcept nogil:
    cdef socket *ns = socket_alloc(e, <int>c.a0)
    cdef int err
    if ns == NULL:
        return -ENOMEM
    err = inet_accept(s, ns, O_NONBLOCK if s.nonblock else 0, &t.f.msg)
    if err:
        kmem_cache_free(&e.n.socket_slab, ns)
        return err
    e.slots[ns.slot] = ns
    reader_attach(e, ns)
    return ns.slot


cdef int set_sockaddr(task *t, const sock *sk, const call_ev *c, s64 port) noexcept nogil:
    """Fills in t.f.sa as the application would for a socket of this family; its length."""
    cdef sockaddr_in *sin = <sockaddr_in *>&t.f.sa
    memset(&t.f.sa, 0, sizeof(sockaddr_in6))
    if sk.sk_family == AF_INET6:
        t.f.sa.sin6_family = AF_INET6
        t.f.sa.sin6_port = htons(<u16>port)
        t.f.sa.sin6_addr = c.addr
        return sizeof(sockaddr_in6)
    # An IPv6 address cannot be given to such a socket.
    sin.sin_family = AF_INET if not c.has_addr or ipv6_addr_v4mapped(&c.addr) else AF_INET6
    sin.sin_port = htons(<u16>port)
    sin.sin_addr = c.addr.s6_addr32[3]
    return sizeof(sockaddr_in)


cdef s64 do_connect(engine *e, call_ev *c, socket *s, task *t) noexcept nogil:
    cdef int err
    cdef int length = set_sockaddr(t, s.sk, c, c.a0)
    if c.a1:
        t.f.sa.sin6_family = AF_UNSPEC
    err = inet_stream_connect(s, <sockaddr_in *>&t.f.sa, length, O_NONBLOCK if s.nonblock else 0, &t.f.msg)
    if err == 0 or err == -EINPROGRESS or err == -ERESTARTSYS:
        reader_attach(e, s)
    return err


cdef s64 do_send(engine *e, call_ev *c, socket *s, task *t) noexcept nogil:
    cdef s64 ret
    if c.more != NULL:
        t.f.ext.iov = c.more.iov
        t.f.ext.n_iov = c.more.n_iov
    t.f.ext.fault = c.a3 != 0
    if not t.f.msg.resume:
        t.f.msg.count = <size_t>c.a0
        t.f.msg.iov_offset = 0
        t.f.msg.msg_flags = <unsigned int>c.a1 | MSG_NOSIGNAL
        if s.nonblock:
            t.f.msg.msg_flags |= MSG_DONTWAIT
        if c.op == OP_SENDTO and c.has_addr:
            t.f.msg.msg_namelen = set_sockaddr(t, s.sk, c, c.a2)
            t.f.msg.msg_name = &t.f.sa
    ret = inet_sendmsg(s, &t.f.msg, <size_t>c.a0)
    if c.op == OP_SENDTO:
        reader_attach(e, s)
    return ret


cdef inline bint tells(const msg_ext *ext) noexcept nogil:
    """Whether anything came back with a receive."""
    return ext.msg_flags or ext.has_inq or ext.stamp_type or ext.has_stamp or ext.has_ee


cdef s64 do_recv(engine *e, call_ev *c, socket *s, task *t) noexcept nogil:
    cdef int flags = <int>c.a1
    cdef s64 ret
    if s.nonblock:
        flags |= MSG_DONTWAIT
    if not t.f.msg.resume:
        t.f.msg.count = <size_t>c.a0
    t.f.ext.fault = c.a3 != 0
    if c.op == OP_SPLICE:
        return tcp_splice_read(s.sk, &t.f.msg, <size_t>c.a0, flags)
    ret = inet_recvmsg(s, &t.f.msg, <size_t>c.a0, flags)
    t.f.ext.msg_flags = t.f.msg.msg_flags
    if (c.more != NULL or tells(&t.f.ext)) and more_of(c) != NULL:
        c.more.got = t.f.ext
    return ret


cdef s64 do_poll(engine *e, call_ev *c, socket *s, task *t) noexcept nogil:
    """poll(2) on one socket; the wait is counted in ns there (hrtimers), so it does not round to jiffies."""
    cdef u32 want = <u32>c.a0 | EPOLLERR | EPOLLHUP
    cdef u32 got = tcp_poll(s) & want
    if got or c.a1 == 0:
        c.a2 = got
        return 1 if got else 0
    if t.f.msg.resume and (t.timed_out or (c.a1 > 0 and real_ns(e) >= t.f.msg.copied)):
        return 0
    if not t.f.msg.resume:
        t.f.msg.copied = NEVER if c.a1 < 0 else real_ns(e) + c.a1 * 1000000
        t.f.msg.resume = 1
        t.f.msg.expire = <unsigned long>MAX_SCHEDULE_TIMEOUT()
    t.f.msg.wake_want = want
    if c.a1 > 0:
        runq_set(e, t, t.f.msg.copied)
    return -ERESTARTSYS


cdef s64 set_sol_socket(call_ev *c, socket *s) noexcept nogil:
    """setsockopt() at SOL_SOCKET, with the value in the layout that the option has in user space."""
    cdef s64 pair[2]
    cdef int two[2]
    cdef u64 rate
    if c.a1 == SO_RCVTIMEO or c.a1 == SO_SNDTIMEO:
        pair[0] = c.a2 // 1000000
        pair[1] = c.a2 % 1000000
        return sk_setsockopt(s.sk, SOL_SOCKET, <int>c.a1, pair, sizeof(pair))
    if c.a1 == SO_MAX_PACING_RATE:
        rate = <u64>c.a2
        return sk_setsockopt(s.sk, SOL_SOCKET, <int>c.a1, &rate, sizeof(rate))
    two[0] = <int>c.a2
    two[1] = <int>c.a3
    return sk_setsockopt(s.sk, SOL_SOCKET, <int>c.a1, two, sizeof(two) if c.a1 == SO_LINGER else sizeof(int))


cdef s64 do_setsockopt_tcp(call_ev *c, socket *s) noexcept nogil:
    cdef const char *text = b""
    cdef s64 value = c.a2
    # The value is bytes: never more than there are.
    if (c.a1 == TCP_FASTOPEN_KEY or c.a1 == TCP_REPAIR_OPTIONS or c.a1 == TCP_REPAIR_WINDOW or c.a1 == TCP_MD5SIG or
            c.a1 == TCP_MD5SIG_EXT):
        value = min_s64(value, 0 if c.more == NULL else c.more.s_len)
    if c.more != NULL:
        text = <const char *>c.more.s if c.more.blob == NULL else <const char *>c.more.blob
    return tcp_setsockopt(s.sk, SOL_TCP, <int>c.a1, value, text)


cdef s64 do_setsockopt(call_ev *c, socket *s) noexcept nogil:
    if c.a0 == SOL_SOCKET:
        return set_sol_socket(c, s)
    if c.a0 == SOL_TCP:
        return do_setsockopt_tcp(c, s)
    if c.a0 == SOL_IP:
        return ip_setsockopt(s.sk, <int>c.a1, <int>c.a2)
    if c.a0 == SOL_IPV6:
        return ipv6_setsockopt(s.sk, <int>c.a1, <int>c.a2)
    return -ENOPROTOOPT


cdef s64 do_getsockopt_tcp(call_ev *c, socket *s, s64 *val) noexcept nogil:
    cdef call_more *more = c.more
    cdef s64 err
    if (c.a1 == TCP_CC_INFO or c.a1 == TCP_REPAIR_WINDOW or c.a1 == TCP_SAVED_SYN or c.a1 == TCP_FASTOPEN_KEY or
            c.a1 == TCP_CONGESTION):
        more = more_of(c)
        if more == NULL:
            return -ENOMEM
        if more.blob == NULL and c.a1 != TCP_CONGESTION:
            more.blob = <u8 *>malloc(BLOB_MIN)
            if more.blob == NULL:
                return -ENOMEM
    err = tcp_getsockopt(s.sk, SOL_TCP, <int>c.a1, val, more.blob if more != NULL else NULL)
    if more != NULL and more.blob != NULL and not err:
        more.s_len = <int>val[0]
    return err


cdef s64 do_getsockopt(call_ev *c, socket *s) noexcept nogil:
    cdef s64 val = 0
    cdef int ival = 0
    cdef int optlen = sizeof(int)
    cdef s64 err
    if c.a0 == SOL_SOCKET:
        err = sk_getsockopt(s.sk, SOL_SOCKET, <int>c.a1, &val, &optlen)
    elif c.a0 == SOL_TCP:
        err = do_getsockopt_tcp(c, s, &val)
        if c.a1 == TCP_CONGESTION and inet_csk(s.sk).icsk_ca_ops != NULL and c.more != NULL:
            strncpy(c.more.s, inet_csk(s.sk).icsk_ca_ops.name, 15)
    elif c.a0 == SOL_IP:
        err = ip_getsockopt(s.sk, <int>c.a1, &ival)
        val = ival
    elif c.a0 == SOL_IPV6:
        err = ipv6_getsockopt(s.sk, <int>c.a1, &ival)
        val = ival
    else:
        err = -ENOPROTOOPT
    c.a2 = val
    return err


cdef s64 do_tcp_info(engine *e, call_ev *c, s64 index, socket *s) noexcept nogil:
    cdef void **p
    if e.n_infos <= index:
        p = <void **>realloc(e.infos, <size_t>(index + 1024) * sizeof(void *))
        if p == NULL:
            return -ENOMEM
        e.infos = p
        memset(&e.infos[e.n_infos], 0, <size_t>(index + 1024 - e.n_infos) * sizeof(void *))
        e.n_infos = index + 1024
    if e.infos[index] == NULL:
        e.infos[index] = calloc(1, sizeof(tcp_info))
    if e.infos[index] == NULL:
        return -ENOMEM
    tcp_get_info(s.sk, <tcp_info *>e.infos[index])
    return 0


# A call that goes to sleep lets go of the socket at a moment that is not recorded: no answer for so long tells.
# Cutting packets in software takes its time.
cdef s64 ANSWER_NS = 30000
cdef s64 ANSWER_GSO_NS = 60000


cdef tcphdr *segment_of_peer(const sock *sk, u8 *ip, s64 caplen, u32 *length) noexcept nogil:
    """The TCP header of a packet from the socket's peer to it, and the bytes from there on; NULL: it is none."""
    cdef u32 at = tcp_header_at(ip, <u32>caplen)
    cdef iphdr *iph = <iphdr *>ip
    cdef ipv6hdr *hdr = <ipv6hdr *>ip
    cdef tcphdr *th = <tcphdr *>(ip + at)
    if at == 0 or th.source != sk.sk_dport or ntohs(th.dest) != sk.sk_num:
        return NULL
    if ip_version(iph) == 6:
        length[0] = ntohs(hdr.payload_len)
        return th if sk.sk_family == AF_INET6 and ipv6_addr_equal(&hdr.saddr, &sk.sk_v6_daddr) else NULL
    length[0] = ntohs(iph.tot_len) - at
    return th if iph.saddr == sk.sk_daddr else NULL


cdef bint answers(engine *e, s64 i, const sock *sk, u32 snd_nxt) noexcept nogil:
    """Whether arrival number i is this connection's, and can have been sent before anything beyond snd_nxt came out."""
    cdef u32 length = 0
    cdef tcphdr *th = segment_of_peer(sk, e.buf + e.arr_off[i], e.arr_cap[i], &length)
    return th != NULL and not after(ntohl(th.ack_seq), snd_nxt)


cdef bint held_by_call(engine *e, call_ev *c, sock *sk, bint sleeps) noexcept nogil:
    """A veth hands packets over and answers are back while the call that sent them still holds the socket: they wait in
    its backlog. One round is what answers to that which has left so far; handling it lets more leave. Any at all?"""
    cdef s64 last = real_ns(e)
    cdef s64 pause = ANSWER_NS if e.n.dev.features & <u64>NETIF_F_TSO else ANSWER_GSO_NS
    cdef bint any_ = 0
    cdef u32 snd_nxt
    cdef s64 t
    if e.n.dev.rx != RX_VETH or c.t1 < 0 or sk == NULL or sk.sk_state == TCP_LISTEN:
        return 0
    sock_hold(sk)
    while True:
        snd_nxt = tcp_sk(sk).snd_nxt
        sk.sk_lock_owned = 1
        while e.arr_i < e.n_arr:
            t = next_arrival(e)
            if t >= c.t1 or (sleeps and t > last + pause) or (e.call_i < e.n_calls and e.calls[e.call_i].t0 < t):
                break
            if not answers(e, e.arr_i, sk, snd_nxt):
                break
            last = max_s64(last, t)
            clock_to(e, last)
            arrive_next(e)
        sk.sk_lock_owned = 0
        if sk.sk_backlog.tail == NULL:
            break
        clock_to(e, last + e.rx_latency)
        release_sock(sk)
        any_ = 1
    sock_put(sk)
    return any_


cdef s64 do_call(engine *e, s64 index, task *t) noexcept nogil:
    """Enters, or goes on with, a call. Its return value, -errno, or -ERESTARTSYS while it sleeps."""
    cdef call_ev *c = &e.calls[index]
    cdef socket *s
    cdef int karg = 0
    cdef s64 ret
    if c.op == OP_SOCKET:
        return do_socket(e, c)
    s = socket_of(e, c.slot)
    if s == NULL or s.sk == NULL:
        return -EBADF
    if c.op == OP_BIND:
        karg = set_sockaddr(t, s.sk, c, c.a0)
        if s.sk.sk_family == AF_INET6:
            return inet6_bind(s, &t.f.sa, karg)
        return inet_bind(s, <sockaddr_in *>&t.f.sa, karg)
    if c.op == OP_LISTEN:
        ret = inet_listen(s, <int>c.a0)
        if ret == 0 and e.auto_accept[c.slot] >= 0:
            accept_attach(e, s)
        return ret
    if c.op == OP_ACCEPT:
        return do_accept(e, c, s, t)
    if c.op == OP_CONNECT:
        return do_connect(e, c, s, t)
    if c.op == OP_SEND or c.op == OP_SENDTO:
        ret = do_send(e, c, s, t)
        # Before it sleeps, a write looks whether the backlog has made room (sk_wait_event()).
        while (held_by_call(e, c, s.sk, ret == -ERESTARTSYS) and ret == -ERESTARTSYS and
               s.sk.sk_wmem_queued < s.sk.sk_sndbuf):
            ret = do_send(e, c, s, t)
        return ret
    if c.op == OP_RECV or c.op == OP_SPLICE:
        ret = do_recv(e, c, s, t)
        if ret != -ERESTARTSYS:
            held_by_call(e, c, s.sk, 0)
        return ret
    if c.op == OP_SHUTDOWN:
        return inet_shutdown(s, <int>c.a0)
    if c.op == OP_CLOSE:
        ret = inet_release(s, &t.f.msg)
        if ret != -ERESTARTSYS:
            wait_del(t)
            socket_put(e, s)
        return ret
    if c.op == OP_POLL:
        return do_poll(e, c, s, t)
    if c.op == OP_SETSOCKOPT:
        return do_setsockopt(c, s)
    if c.op == OP_GETSOCKOPT:
        return do_getsockopt(c, s)
    if c.op == OP_FCNTL:
        s.nonblock = 1 if c.a0 else 0
        return 0
    if c.op == OP_TCP_INFO:
        return do_tcp_info(e, c, index, s)
    if c.op == OP_IOCTL:
        ret = tcp_ioctl(s.sk, <int>c.a0, &karg)
        c.a2 = karg
        return ret
    return -ENOSYS


cdef void accept_attach(engine *e, socket *s) noexcept nogil:
    """Inferred calls: the listener gets a task that accepts whatever completes."""
    cdef task *t
    if s.reader != NULL:
        return
    t = task_new(e, -1)
    if t == NULL:
        return
    t.reader = ACCEPTER
    t.sock = s
    s.reader = t


cdef void run_reader(engine *e, task *t) noexcept nogil:
    """The automatic reader (or accepter) of a socket, but for planned ones: takes all there is, without sleeping."""
    cdef socket *s = t.sock
    cdef socket *ns
    cdef msghdr msg
    if s == NULL or s.sk == NULL:
        return
    if t.reader == ACCEPTER:
        while True:
            if engine_slot(e, <int>e.auto_accept[s.slot]) or e.slots[e.auto_accept[s.slot]] != NULL:
                return
            ns = socket_alloc(e, <int>e.auto_accept[s.slot])
            if ns == NULL:
                return
            clear(&msg, sizeof(msghdr))
            if inet_accept(s, ns, O_NONBLOCK, &msg):
                kmem_cache_free(&e.n.socket_slab, ns)
                return
            e.slots[ns.slot] = ns
            e.auto_accept[s.slot] += 1
            reader_attach(e, ns)
    read_all(s)


cdef void read_all(socket *s) noexcept nogil:
    """Takes all that is there, without sleeping."""
    cdef msghdr msg
    if s.sk.sk_receive_queue.qlen == 0:
        return
    clear(&msg, sizeof(msghdr))
    msg.count = 1 << 30
    inet_recvmsg(s, &msg, 1 << 30, MSG_DONTWAIT)


cdef void run_planned(engine *e, task *t) noexcept nogil:
    """The time of a planned reader, the first in the run queue, has come: queues it for its next one, and lets it read.

    An entry of a plan may ask that an ACK be owed, which reading sends.
    """
    cdef socket *s = t.sock
    cdef read_plan *p
    cdef tcp_sock *tp
    cdef bint if_owed
    if s == NULL or s.sk == NULL:
        runq_del(e, t)
        return
    p = &e.plans[s.slot]
    if_owed = p.at[p.i] & 1
    p.i += 1
    if p.i < p.n:
        runq_again(e, t, p.at[p.i] >> 1)
    else:
        runq_del(e, t)
        plan_next(e, t)
    tp = tcp_sk(s.sk)
    if not if_owed or tp.rcv_nxt != tp.rcv_wup:
        read_all(s)


cdef void task_sleep(engine *e, task *t, call_ev *c) noexcept nogil:
    cdef socket *s = socket_of(e, c.slot)
    c.state = CALL_ASLEEP
    if s != NULL:
        wait_add(t, s)
    if t.f.msg.expire != <unsigned long>MAX_SCHEDULE_TIMEOUT() and not t.timed_out:
        if t.f.timeout.function == NULL:
            timer_setup(e.n, &t.f.timeout, on_timeout, TIMER_KIND_OTHER)
        mod_timer(&t.f.timeout, t.f.msg.expire)


cdef void task_run(engine *e, task *t) noexcept nogil:
    """Runs the task's call until it is over or sleeps; then the next one, if its time has come."""
    cdef call_ev *c
    cdef s64 ret
    cdef s64 index = t.call
    runq_del(e, t)
    t.woken = 0
    t.due = 0
    if t.reader:
        run_reader(e, t)
        return
    if index < 0:
        index = t.queue_head
        if index < 0:
            return
        t.queue_head = e.calls[index].next
        if t.queue_head < 0:
            t.queue_tail = -1
        t.call = index
        t.timed_out = 0
        t.f = <call_frame *>kmem_cache_zalloc(&e.frame_pool)
        if t.f == NULL:
            e.oom = 1
            return
        t.f.owner = t
        t.f.msg.ubuf = &t.f.ext
        t.f.msg.task_frag = &t.frag
        t.f.msg.expire = <unsigned long>MAX_SCHEDULE_TIMEOUT()
    e.entered = index
    ret = do_call(e, index, t)
    # the call table may have moved
    c = &e.calls[index]
    if ret == -ERESTARTSYS:
        task_sleep(e, t, c)
        return
    if t.f.timeout.function != NULL:
        timer_delete(&t.f.timeout)
    kmem_cache_free(&e.frame_pool, t.f)
    t.f = NULL
    wait_del(t)
    c.state = CALL_DONE
    c.t_done = real_ns(e)
    t.kind.own.last_op = c.op
    c.ret = ret if ret >= 0 else -1
    c.err = 0 if ret >= 0 else <int>-ret
    t.call = -1
    if t.queue_head >= 0:
        runq_set(e, t, max_s64(e.calls[t.queue_head].t0, c.t_done))


cdef void start_call(engine *e, s64 index) noexcept nogil:
    """The time of a recorded call has come: its thread enters it, at once or when it is back from the one before."""
    cdef call_ev *c = &e.calls[index]
    cdef task *t = e.tasks[c.task]
    c.next = -1
    if t.queue_tail >= 0:
        e.calls[t.queue_tail].next = index
    else:
        t.queue_head = index
    t.queue_tail = index
    if t.call >= 0 or t.runq_pos != NOT_QUEUED:
        return
    if c.want > 0 and 0 < readable(e, c) < c.want and c.t1 > c.t0:
        # It returned more than is there: a packet came in between.
        runq_set(e, t, c.t1 - RETURN_NS)
        return
    task_run(e, t)


# ------------------------------------------------------------------------------------------- the loop

cdef void clock_to(engine *e, s64 t) noexcept nogil:
    """Moves the clock on to `t` (capture's clock) and runs every timer due until then, also those due right now."""
    cdef s64 mono = t - e.n.e.mono_to_real_ns
    if mono >= <s64>e.n.e.mono_ns:
        advance_late(e.n, <u64>mono, e.tick_latency, e.hrtimer_latency)


cdef inline void clock_soon(engine *e, s64 t) noexcept nogil:
    """clock_to() where mostly no timer is due."""
    cdef net *n = e.n
    cdef s64 mono = t - n.e.mono_to_real_ns
    if mono < <s64>n.e.mono_ns:
        return
    if likely(<u64>mono < n.timers.quiet_ns):
        advance_quiet(n, <u64>mono)
    else:
        advance_late(n, <u64>mono, e.tick_latency, e.hrtimer_latency)


cdef void vnet_hdr_gso(sk_buff *skb, u32 gso_size) noexcept nogil:
    """__virtio_net_hdr_to_skb() without a checksum offset: what fits one segment is no GSO packet."""
    cdef u32 at = tcp_header_at(skb.data, skb.caplen_left)
    cdef u32 headers = at + <u32>sizeof(tcphdr)
    skb.ip_summed = CHECKSUM_NONE
    skb.shinfo.gso_size = 0
    skb.shinfo.gso_type = 0
    skb.shinfo.gso_segs = 0
    if gso_size and at and skb.len > headers and skb.len - headers > gso_size:
        skb.shinfo.gso_size = <u16>gso_size
        skb.shinfo.gso_type = SKB_GSO_TCPV6 if skb.protocol == htons(ETH_P_IPV6) else SKB_GSO_TCPV4


cdef inline sk_buff *rx_skb(engine *e, u8 *ip, u32 caplen, u32 origlen, s64 index) noexcept nogil:
    """The driver's part: an skb for the packet."""
    cdef sk_buff *skb = netdev_rx_skb(&e.n.dev, ip, caplen, origlen)
    if skb == NULL:
        return NULL
    skb.packet_index = index
    if unlikely(e.rx_gso >= 0):
        vnet_hdr_gso(skb, <u32>e.rx_gso)
    return skb


cdef void arrive(engine *e, u8 *ip, u32 caplen, u32 origlen, s64 index) noexcept nogil:
    """A packet arrives at a device that is not polled."""
    cdef net *n = e.n
    cdef sk_buff *skb = rx_skb(e, ip, caplen, origlen, index)
    if skb == NULL:
        return
    n.in_softirq = 1
    netif_receive_skb(skb)
    n.in_softirq = 0


cdef void arrive_polled(engine *e, u8 *buf, const s64 *off, const s64 *cap, const s64 *length) noexcept nogil:
    """Packets poll_first to poll_last arrive in one poll of the device; the arrays begin with the first of them."""
    cdef sk_buff *skb
    cdef s64 i
    for i in range(e.poll_last + 1 - e.poll_first):
        skb = rx_skb(e, buf + off[i], <u32>cap[i], <u32>length[i], e.poll_first + i)
        if skb != NULL:
            __skb_queue_tail(&e.n.dev.rx_ring, skb)
    netdev_interrupt(&e.n.dev)


cdef inline void fetch_bucket(engine *e, s64 i) noexcept nogil:
    """Lets the cache fetch the chain of the established table that packet i's socket is in."""
    cdef const iphdr *ip = <const iphdr *>(e.buf + e.arr_off[i])
    cdef const tcphdr *th
    cdef u32 hash_
    cdef u32 at = tcp_header_at(<const u8 *>ip, <u32>e.arr_cap[i])
    if at == 0 or ip_version(ip) != 4:
        e.ahead[i % AHEAD] = -1
        return
    th = <const tcphdr *>(<const u8 *>ip + at)
    hash_ = inet_ehashfn(e.n, ip.daddr, ntohs(th.dest), ip.saddr, th.source)
    prefetch(front_bucket(&e.n.hashinfo, hash_))
    e.ahead[i % AHEAD] = hash_


cdef inline void fetch_socket(engine *e, s64 i) noexcept nogil:
    """The bucket of packet i's socket is here: fetches the socket."""
    cdef s64 hash_ = e.ahead[i % AHEAD]
    cdef hlist_nulls_node *node
    cdef size_t begin[HOT_PARTS]
    cdef size_t end[HOT_PARTS]
    cdef int part
    if hash_ < 0:
        return
    node = inet_ehash_first(&e.n.hashinfo, <u32>hash_)
    if is_a_nulls(node):
        return
    tcp_hot_parts(tcp_sk(nulls_to_sk(node)), begin, end)
    for part in range(HOT_PARTS):
        while begin[part] < end[part]:
            prefetch(<const void *>begin[part])
            begin[part] += 64


cdef inline void fetch_ahead(engine *e, s64 i) noexcept nogil:
    """Packet i arrives. Sockets that are too many for the caches are fetched while those before them are handled."""
    if likely(e.n.tcp_prot_slab.live < MANY_SOCKETS):
        return
    if i + 2 * AHEAD < e.n_arr:
        prefetch(e.buf + e.arr_off[i + 2 * AHEAD])
    if i + AHEAD < e.n_arr:
        fetch_socket(e, i + AHEAD // 2)
        fetch_bucket(e, i + AHEAD)


cdef inline void arrive_one(engine *e) noexcept nogil:
    """The next packet of the capture arrives at a device that is not polled."""
    cdef s64 i = e.arr_i
    fetch_ahead(e, i)
    arrive(e, e.buf + e.arr_off[i], <u32>e.arr_cap[i], <u32>e.arr_len[i], i)
    e.arr_i = i + 1


cdef void arrive_together(engine *e) noexcept nogil:
    """What comes next in the capture arrives at one that is."""
    cdef s64 i = e.arr_i
    cdef s64 j
    for j in range(i, e.poll_last + 1):
        fetch_ahead(e, j)
    e.arr_i = e.poll_last
    arrive_polled(e, e.buf, e.arr_off + i, e.arr_cap + i, e.arr_len + i)
    e.arr_i += 1


cdef void arrive_next(engine *e) noexcept nogil:
    if e.n.dev.napi == NULL:
        arrive_one(e)
    else:
        arrive_together(e)


cdef s64 poll_time(engine *e) noexcept nogil:
    """When the next packets arrive at a device that is polled: with the last that it finds in the ring."""
    if e.poll_first != e.arr_i:
        e.poll_first = e.arr_i
        e.poll_last = netdev_poll_end(&e.n.dev, e.arr_t, e.arr_i, e.n_arr)
    return e.arr_t[e.poll_last]


cdef inline s64 next_arrival(engine *e) noexcept nogil:
    """When packet arr_i of the capture arrives."""
    return e.arr_t[e.arr_i] if e.n.dev.napi == NULL else poll_time(e)


cdef bint engine_before_gro(const engine *e) noexcept nogil:
    """Was the capture taken in front of GRO? Then it shows segments that GRO would have merged, and none merged."""
    cdef const net_device *dev = &e.n.dev
    cdef bint found = 0
    cdef s64 i
    if dev.napi == NULL or netif_elide_gro(dev):
        return 0
    for i in range(e.n_arr):
        if e.arr_len[i] > dev.mtu:
            return 0
        found = found or (i + 1 < e.n_arr and e.arr_t[i + 1] - e.arr_t[i] <= dev.rx_wait_ns and
                          netdev_would_merge(e.buf + e.arr_off[i], <u32>e.arr_cap[i], <u32>e.arr_len[i],
                                             e.buf + e.arr_off[i + 1], <u32>e.arr_cap[i + 1], <u32>e.arr_len[i + 1]))
    return found


cdef s64 arrival_latency(engine *e, s64 t) noexcept nogil:
    """From the stamp of the packet that comes at `t` to the stack: a processor that has slept is slower."""
    cdef s64 idle = t - (e.arr_t[e.arr_i - 1] if e.arr_i else 0)
    return e.rx_latency * 2 if idle > COLD_NS else e.rx_latency


cdef bint adds_to(sock *sk, u8 *ip, s64 caplen) noexcept nogil:
    """Whether this packet brings the next bytes of the socket's stream."""
    cdef u32 length = 0
    cdef tcphdr *th = segment_of_peer(sk, ip, caplen, &length)
    cdef u32 seq
    if th == NULL:
        return 0
    seq = ntohl(th.seq)
    return not after(seq, tcp_sk(sk).rcv_nxt) and after(seq + length - __tcp_hdrlen(th), tcp_sk(sk).rcv_nxt)


cdef bint run_due(engine *e) noexcept nogil:
    """A packet is about to arrive: lets a recv that has all its bytes go on before it gets more. Whether one did."""
    cdef int i
    cdef task *t
    cdef socket *s
    for i in range(e.n_waiting):
        t = e.waiting[i]
        if not t.due:
            continue
        s = socket_of(e, e.calls[t.call if t.call >= 0 else t.queue_head].slot)
        if s != NULL and s.sk != NULL and adds_to(s.sk, e.buf + e.arr_off[e.arr_i], e.arr_cap[e.arr_i]):
            task_run(e, t)
            return 1
    return 0


cdef void after_arrival(engine *e, s64 t, s64 emitted) noexcept nogil:
    """A packet, and what it set free, keep the processor from the application: woken calls wait behind it."""
    e.busy_until = max_s64(t, e.busy_until) + e.rx_cost
    if emitted:
        e.busy_until += emitted * e.tx_cost
    if e.n_waiting:
        wait_longer(e, t)


cdef void wait_longer(engine *e, s64 t) noexcept nogil:
    cdef int i
    cdef s64 at
    cdef task *w
    if e.crowd.n:
        crowd_waits(e, t)
    for i in range(e.n_waiting):
        w = e.waiting[i]
        at = resume_time(e, w, t)
        if w.woken or w.due or at > w.run_at:
            runq_set(e, w, at)
    if e.n_waiting > MANY_WAIT and not e.recorded:
        crowd_gather(e, t)


cdef bint postpone(engine *e, task *w) noexcept nogil:
    """A send that can finish now: it was recorded as over later, so it is later that it went on."""
    cdef call_ev *c
    cdef socket *s
    if w.reader or w.call < 0:
        return 0
    c = &e.calls[w.call]
    if (c.op != OP_SEND and c.op != OP_SENDTO) or c.t1 - SEND_NS <= w.run_at:
        return 0
    s = socket_of(e, c.slot)
    if s == NULL or s.sk == NULL or <s64>w.f.msg.count > s.sk.sk_sndbuf - s.sk.sk_wmem_queued:
        return 0
    runq_set(e, w, c.t1 - SEND_NS)
    return 1


cdef void listen_as_wanted(engine *e) noexcept nogil:
    """Hooks that are called often are set only where somebody listens."""
    e.n.hooks.tcp_probe = NULL
    e.n.hooks.trace = NULL
    if e.want_probes:
        e.n.hooks.tcp_probe = on_tcp_probe
    if e.limit_states:
        e.n.hooks.trace = on_trace


cdef void engine_run(engine *e, s64 until) noexcept nogil:
    """Handles every arrival, call, wake-up and timer up to `until` (capture's clock), in order."""
    engine_run_to(e, until, NEVER, -1)


cdef int before_next(engine *e, s64 t, s64 until) noexcept nogil:
    """What may come before the next event at `t`: the end, a timer, planned readers that are to enter the run queue."""
    cdef net *n = e.n
    cdef u64 due = n.timers.quiet_ns
    cdef s64 end = min_s64(t, until)
    cdef s64 tt
    # When the next timer is due, or, if that is not asked for, a time behind `end` and not behind it.
    if end == NEVER or end - n.e.mono_to_real_ns >= <s64>due:
        due = next_interrupt_ns(n, e.tick_latency, e.hrtimer_latency)
    tt = <s64>due + n.e.mono_to_real_ns if due != U64_MAX() else NEVER
    if e.n_far and min_s64(t, tt) >= e.far_until:
        far_comes_near(e, min_s64(t, tt))
        return AGAIN
    if tt <= t:
        if tt > until:
            return OVER
        e.now = tt
        clock_to(e, tt)
        return AGAIN
    return OVER if t > until or t == NEVER else NEXT


cdef inline bint is_reached(const engine *e, s64 n_em, s64 call) noexcept nogil:
    """Whether a run stops here."""
    return e.n_em >= n_em or (e.stop_on_wake and e.n_wakes) or (call >= 0 and e.calls[call].state == CALL_DONE)


cdef inline s64 next_call(const engine *e) noexcept nogil:
    return e.calls[e.call_i].t0 if e.call_i < e.n_calls else NEVER


cdef void engine_run_to(engine *e, s64 until, s64 n_em, s64 call) noexcept nogil:
    """The same, but stops where it stands once `n_em` segments have been emitted, or `call` is over."""
    cdef net *n = e.n
    cdef bint stops = n_em != NEVER or call >= 0 or e.stop_on_wake
    cdef bint polled = n.dev.napi != NULL
    cdef s64 last = min_s64(until, NEVER - 1)
    cdef s64 ta, tw, t, before
    cdef s64 tc = next_call(e)
    cdef task *w
    cdef int what
    listen_as_wanted(e)
    e.sends_known = 0
    while not e.oom:
        if stops and is_reached(e, n_em, call):
            return
        ta = NEVER
        if e.arr_i < e.n_arr:
            ta = poll_time(e) if polled else e.arr_t[e.arr_i]
        tw = e.runq.entry[0].at if e.runq.n else NEVER
        t = min_s64(ta, min_s64(tc, tw))
        if unlikely(t > last or t - n.e.mono_to_real_ns >= <s64>n.timers.quiet_ns or (e.n_far and t >= e.far_until)):
            what = before_next(e, t, until)
            if what == AGAIN:
                continue
            if what == OVER:
                break
        e.now = t
        if ta == t:
            if e.n_waiting and run_due(e):
                continue
            before = e.n_em
            clock_soon(e, t + arrival_latency(e, t))
            if polled:
                arrive_together(e)
            else:
                arrive_one(e)
            after_arrival(e, t, e.n_em - before)
        elif tw == t:
            w = e.runq.entry[0].t
            if w.reader == PLANNED:
                clock_soon(e, t)
                run_planned(e, w)
            elif not postpone(e, w):
                clock_soon(e, t)
                task_run(e, w)
        else:
            clock_soon(e, t + (e.call_latency if e.calls[e.call_i].op != OP_RECV else e.call_latency // 4))
            e.call_i += 1
            if e.call_i + CALLS_AHEAD < e.n_calls:
                prefetch(e.tasks[e.calls[e.call_i + CALLS_AHEAD].task])
            start_call(e, e.call_i - 1)
            tc = next_call(e)
    if until != NEVER:
        clock_to(e, until)


cdef void engine_receive(engine *e, s64 *ip, s64 *length, s64 count, s64 index, s64 t) noexcept nogil:
    """Hands packets over at time `t`, after all that is due before it: in one poll where the device is polled.

    ip: their addresses; index: the first one's number.
    """
    cdef s64 i
    engine_run(e, t - 1)
    clock_to(e, t + e.rx_latency)
    if e.n.dev.napi != NULL:
        e.poll_first = index
        e.poll_last = index + count - 1
        arrive_polled(e, NULL, ip, length, length)
        e.poll_first = -1
    else:
        for i in range(count):
            arrive(e, <u8 *><size_t>ip[i], <u32>length[i], <u32>length[i], index + i)
    engine_run(e, real_ns(e))


# ------------------------------------------------------------------------------------------- life of an engine

cdef int engine_slot(engine *e, int slot) noexcept nogil:
    """Makes sure that there is a place for socket number `slot`."""
    cdef int want
    cdef void *p
    if slot < 0:
        return -EINVAL
    if slot < e.n_slots:
        return 0
    want = e.n_slots * 2 if e.n_slots else 64
    while want <= slot:
        want *= 2
    p = realloc(e.slots, <size_t>want * sizeof(void *))
    if p == NULL:
        return -ENOMEM
    e.slots = <socket **>p
    p = realloc(e.auto_read, <size_t>want)
    if p == NULL:
        return -ENOMEM
    e.auto_read = <u8 *>p
    p = realloc(e.plans, <size_t>want * sizeof(read_plan))
    if p == NULL:
        return -ENOMEM
    e.plans = <read_plan *>p
    p = realloc(e.auto_accept, <size_t>want * sizeof(s64))
    if p == NULL:
        return -ENOMEM
    e.auto_accept = <s64 *>p
    memset(&e.slots[e.n_slots], 0, <size_t>(want - e.n_slots) * sizeof(void *))
    memset(&e.auto_read[e.n_slots], 0, <size_t>(want - e.n_slots))
    memset(&e.plans[e.n_slots], 0, <size_t>(want - e.n_slots) * sizeof(read_plan))
    memset(&e.auto_accept[e.n_slots], 0xff, <size_t>(want - e.n_slots) * sizeof(s64))
    e.n_slots = want
    return 0


cdef int engine_plan_reads(engine *e, int slot, s64 *at, s64 n, bint stays) noexcept nogil:
    """The slot's reader reads at these times, behind those it has.

    stays: they stay where they are as long as the engine. 0, -EINVAL or -ENOMEM.
    """
    cdef int err = engine_slot(e, slot)
    cdef read_plan *p
    if err:
        return err
    p = &e.plans[slot]
    if stays and p.i == p.n:
        plan_drop(p)
        p.at, p.n = at, n
    else:
        err = plan_append(p, at, n)
    if err == 0 and e.slots[slot] != NULL and e.slots[slot].reader != NULL:
        plan_resume(e, e.slots[slot])
    return err


cdef void engine_auto_read_all(engine *e, bint on, bint planned) noexcept nogil:
    """The same for every slot of which nothing is said."""
    e.auto_read_all = (READ_PLANNED if planned else READ_YES) if on else 0


cdef int engine_auto_read(engine *e, int slot, bint on, bint planned) noexcept nogil:
    """Whether data on this slot's socket is read without calls; a reader that it has ends if not."""
    cdef int err = engine_slot(e, slot)
    cdef socket *s
    if err:
        return err
    e.auto_read[slot] = (READ_PLANNED if planned else READ_YES) if on else READ_NO
    if on:
        return 0
    plan_drop(&e.plans[slot])
    s = e.slots[slot]
    if s != NULL and s.reader != NULL and (<task *>s.reader).reader != ACCEPTER:
        reader_detach(e, s)
    return 0


cdef inline s64 *numbered_from(s64 *p, s64 n) noexcept nogil:
    """The array whose element n is at p; nothing in front of that is touched."""
    return <s64 *>(<size_t>p - <size_t>n * sizeof(s64))


cdef int engine_load_more(engine *e, const s64 *t, const s64 *off, const s64 *cap, const s64 *length,
                          s64 count) noexcept nogil:
    """Further arrivals. What has not been delivered, and the last that has, are in the engine's own memory from now on.

    0 or -ENOMEM.
    """
    cdef s64 keep = max_s64(e.arr_i - 1, e.arr_base)
    cdef s64 left = e.n_arr - keep
    cdef const s64 *more[4]
    cdef s64 **arr[4]
    cdef s64 room = 0
    cdef int k
    more[:] = [t, off, cap, length]
    arr[:] = [&e.arr_t, &e.arr_off, &e.arr_cap, &e.arr_len]
    for k in range(4):
        room = e.max_own
        if grow(<void **>&e.own[k], &room, left + count, sizeof(s64)):
            return -ENOMEM
        if e.max_own:
            arr[k][0] = numbered_from(e.own[k], e.arr_base)
    for k in range(4):
        memmove(e.own[k], arr[k][0] + keep, <size_t>left * sizeof(s64))
        memcpy(e.own[k] + left, more[k], <size_t>count * sizeof(s64))
        arr[k][0] = numbered_from(e.own[k], keep)
    e.max_own = room
    e.arr_base = keep
    e.n_arr += count
    # The poll that comes next may find more.
    e.poll_first = -1
    return 0


cdef int engine_merge_calls(engine *e, s64 first) noexcept nogil:
    """Brings the calls from number `first` on, which are in order, into that of all that have not begun.

    Of two at the same time, the one that was added first comes first. 0 or -ENOMEM.
    """
    cdef s64 count = e.n_calls - first
    cdef s64 i = first - 1
    cdef s64 at = e.n_calls - 1
    cdef call_ev *new
    if count == 0 or first == e.call_i or e.calls[i].t0 <= e.calls[first].t0:
        return 0
    new = <call_ev *>malloc(<size_t>count * sizeof(call_ev))
    if new == NULL:
        return -ENOMEM
    memcpy(new, &e.calls[first], <size_t>count * sizeof(call_ev))
    while count:
        if i >= e.call_i and e.calls[i].t0 > new[count - 1].t0:
            e.calls[at] = e.calls[i]
            i -= 1
        else:
            count -= 1
            e.calls[at] = new[count]
        at -= 1
    free(new)
    if e.sends_known:
        note_sends(e, at + 1)
    return 0


cdef inline bint is_send(const call_ev *c) noexcept nogil:
    return (c.op == OP_SEND or c.op == OP_SENDTO) and c.state != CALL_DONE


cdef void note_sends(engine *e, s64 first) noexcept nogil:
    """Calls from number `first` on are new where they are: notes the sends among them."""
    cdef s64 i
    if e.max_last_send < e.n_slots:
        e.sends_known = 0
        return
    for i in range(first, e.n_calls):
        if is_send(&e.calls[i]):
            e.last_send[e.calls[i].slot] = i


cdef int find_sends(engine *e) noexcept nogil:
    """The last send of each slot that is not over. Places of slots without one hold anything."""
    cdef s64 room = e.max_last_send
    if grow(<void **>&e.last_send, &room, e.n_slots, sizeof(s64)):
        return -ENOMEM
    if room > e.max_last_send:
        memset(&e.last_send[e.max_last_send], 0xff, <size_t>(room - e.max_last_send) * sizeof(s64))
        e.max_last_send = room
    e.sends_known = 1
    note_sends(e, 0)
    return 0


cdef int engine_lengthen(engine *e, int slot, s64 more) noexcept nogil:
    """The last send of this slot that is not over gets `more` bytes longer. 1; 0: there is none that can; or -ENOMEM.

    One cannot if that would show: its SYN has left with all it had, or its pages are the application's own.
    """
    cdef s64 i
    cdef call_ev *c
    cdef call_frame *f
    cdef socket *s
    if not e.sends_known and find_sends(e):
        return -ENOMEM
    i = e.last_send[slot] if 0 <= slot < e.n_slots and slot < e.max_last_send else -1
    if not 0 <= i < e.n_calls or e.calls[i].slot != slot or not is_send(&e.calls[i]):
        return 0
    c = &e.calls[i]
    if more > MAX_RW_COUNT - c.a0 or (c.more != NULL and c.more.n_iov):
        return 0
    if c.state == CALL_ASLEEP:
        f = e.tasks[c.task].f
        s = socket_of(e, slot)
        if f.ext.uarg != NULL or (s != NULL and s.sk != NULL and tcp_sk(s.sk).fastopen_req != NULL):
            return 0
        f.msg.count += <size_t>more
    c.a0 += more
    return 1


cdef inline s64 moved(const engine *e, s64 call) noexcept nogil:
    """Where a call that is kept goes; -1 stays."""
    return e.calls[call].t_done if call >= 0 else -1


cdef void forget_calls(engine *e) noexcept nogil:
    """Drops the calls that are over. One that is kept notes its new place in t_done, which is free until it is over."""
    cdef s64 kept = 0
    cdef s64 i, at
    cdef call_ev *c
    cdef task *t
    for i in range(e.call_i):
        if e.calls[i].state != CALL_DONE:
            e.calls[i].t_done = kept
            kept += 1
    for i in range(e.n_tasks):
        t = e.tasks[i]
        t.call, t.queue_head, t.queue_tail = moved(e, t.call), moved(e, t.queue_head), moved(e, t.queue_tail)
    if e.entered >= 0:
        e.entered = moved(e, e.entered) if e.entered < e.call_i and e.calls[e.entered].state != CALL_DONE else -1
    for i in range(e.call_i):
        c = &e.calls[i]
        if c.state == CALL_DONE:
            call_free(c)
            continue
        # The next one of its thread stands behind it and has not been moved yet.
        c.next = moved(e, c.next)
        at = c.t_done
        c.t_done = -1
        e.calls[at] = c[0]
    e.n_calls -= e.call_i
    memmove(&e.calls[kept], &e.calls[e.call_i], <size_t>e.n_calls * sizeof(call_ev))
    e.n_calls += kept
    e.call_i = kept
    e.sends_known = 0
    # None of those that are kept has one: it does not sleep.
    free_infos(e)


cdef void free_infos(engine *e) noexcept nogil:
    cdef s64 i
    for i in range(e.n_infos):
        free(e.infos[i])
    free(e.infos)
    e.infos = NULL
    e.n_infos = 0


cdef inline bint is_idle(const task *t) noexcept nogil:
    """Nothing is to be done, and its page holds nothing that a socket may yet add to."""
    return (t.call < 0 and t.queue_head < 0 and t.runq_pos == NOT_QUEUED and
            (t.frag.page == 0 or t.kind.own.last_op == OP_CLOSE))


cdef void task_free(engine *e, task *t) noexcept nogil:
    if t.frag.page:
        put_page(t.frag.page)
    kmem_cache_free(&e.task_pool, t)


cdef void forget_tasks(engine *e) noexcept nogil:
    """Drops the threads that are idle and have no call to come."""
    cdef int kept = 0
    cdef s64 i
    cdef task *t
    for i in range(e.n_tasks):
        e.tasks[i].kind.own.place = -1 if is_idle(e.tasks[i]) else 0
    for i in range(e.n_calls):
        e.tasks[e.calls[i].task].kind.own.place = 0
    for i in range(e.n_tasks):
        if e.tasks[i].kind.own.place == 0:
            e.tasks[i].kind.own.place = kept
            kept += 1
    for i in range(e.n_calls):
        e.calls[i].task = e.tasks[e.calls[i].task].kind.own.place
    for i in range(e.n_tasks):
        t = e.tasks[i]
        if t.kind.own.place < 0:
            task_free(e, t)
        else:
            e.tasks[t.kind.own.place] = t
    e.n_tasks = kept
    if e.threads != NULL:
        while e.threads_mask > THREADS_MIN and <u32>kept * 8 < e.threads_mask:
            e.threads_mask >>= 1
        index_threads(e)


cdef void engine_forget(engine *e) noexcept nogil:
    """Drops calls that are over, segments that were emitted, and threads that have nothing to do any more."""
    forget_calls(e)
    forget_tasks(e)
    e.n_em = 0
    e.hdr_len = 0


cdef call_more *more_of(call_ev *c) noexcept nogil:
    """The call's own, made at first use; NULL: no memory."""
    if c.more == NULL:
        c.more = <call_more *>calloc(1, sizeof(call_more))
    return c.more


cdef void call_free(call_ev *c) noexcept nogil:
    if c.more != NULL:
        free(c.more.iov)
        free(c.more.blob)
        free(c.more)
        c.more = NULL


cdef s64 engine_add_call(engine *e, call_ev *c, int thread) noexcept nogil:
    """Appends a call; calls are added in order of t0. Its index, or -errno."""
    cdef int err = engine_slot(e, c.slot)
    if err == 0 and c.op == OP_ACCEPT:
        err = engine_slot(e, <int>c.a0)
    if err:
        return err
    c.task = task_of(e, thread)
    if c.task < 0 or grow(<void **>&e.calls, &e.max_calls, e.n_calls + 1, sizeof(call_ev)):
        return -ENOMEM
    if c.t1 >= 0 and not e.recorded:
        e.recorded = 1
        crowd_end(e)
    c.state = CALL_PENDING
    c.t_done = -1
    c.next = -1
    e.calls[e.n_calls] = c[0]
    e.n_calls += 1
    if e.sends_known:
        note_sends(e, e.n_calls - 1)
    return e.n_calls - 1


cdef int engine_init(engine *e, net *n) noexcept nogil:
    memset(e, 0, sizeof(engine))
    kmem_cache_init(&e.task_pool, "task", sizeof(task))
    kmem_cache_init(&e.frame_pool, "call", sizeof(call_frame))
    kmem_cache_init(&e.info_pool, "tcp_info", sizeof(tcp_info))
    e.n = n
    e.rx_latency = 8000
    e.call_latency = 5000
    e.wake_latency = 12000
    e.rx_cost = 10000
    e.tx_cost = 9000
    e.tick_latency = 25000
    e.hrtimer_latency = 16000
    e.want_probes = 1
    e.want_infos = 1
    e.rx_gso = -1
    e.poll_first = -1
    n.hooks.ctx = e
    n.hooks.xmit = on_xmit
    n.hooks.drop = on_drop
    n.hooks.state = on_state
    n.hooks.wake = on_wake
    n.hooks.not_ported = on_not_ported
    n.hooks.destroy = on_destroy
    n.hooks.pinned_port = on_pinned_port
    n.hooks.pinned_seq = on_pinned_seq
    n.hooks.sent_bytes = on_sent_bytes
    return 0


cdef void engine_close_all(engine *e) noexcept nogil:
    """Ends the sleeping calls and lets go of every descriptor, as an exiting process would; no packet is recorded."""
    cdef int i
    cdef socket *s
    cdef msghdr msg
    e.n.hooks.xmit = NULL
    e.n.closing = 1
    for i in range(e.n_tasks):
        if e.tasks[i].f != NULL:
            timer_delete(&e.tasks[i].f.timeout)
        wait_del(e.tasks[i])
        runq_del(e, e.tasks[i])
        if e.tasks[i].frag.page:
            put_page(e.tasks[i].frag.page)
            e.tasks[i].frag.page = 0
    for i in range(e.n_slots):
        s = e.slots[i]
        if s == NULL:
            continue
        if s.sk != NULL:
            clear(&msg, sizeof(msghdr))
            # without waiting, and without a FIN that would take memory
            sock_set_flag(s.sk, SOCK_LINGER)
            s.sk.sk_lingertime = 0
            inet_release(s, &msg)
        socket_put(e, s)


cdef void engine_free(engine *e) noexcept nogil:
    cdef s64 j
    free_infos(e)
    for j in range(e.n_calls):
        call_free(&e.calls[j])
    for j in range(e.n_slots):
        plan_drop(&e.plans[j])
    for j in range(4):
        free(e.own[j])
    kmem_cache_destroy(&e.task_pool)
    kmem_cache_destroy(&e.frame_pool)
    kmem_cache_destroy(&e.info_pool)
    free(e.far)
    free(e.pins)
    free(e.pin_seqs)
    free(e.streams)
    free(e.last_send)
    free(e.wakes)
    free(e.tasks)
    free(e.threads)
    free(e.runq.entry)
    free(e.crowd.entry)
    free(e.hungry.entry)
    free(e.waiting)
    free(e.slots)
    free(e.auto_read)
    free(e.plans)
    free(e.auto_accept)
    free(e.calls)
    free(e.conns)
    free(e.probes)
    free(e.drops)
    free(e.states)
    free(e.hdr)
    free(e.em_t)
    free(e.em_off)
    free(e.em_soff)
    free(e.em_hlen)
    free(e.em_plen)
    free(e.em_conn)
    memset(e, 0, sizeof(engine))
