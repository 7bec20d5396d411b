"""What only tests ask for: where fields lie, and the shims one by one. Stands beside `host`, and nothing stands on it.
"""
from libc.stdlib cimport calloc, free, malloc

from kpath_c.headers.tcp cimport *
from kpath_c.headers.checksum cimport ip_compute_csum
from kpath_c.headers.hash cimport (jhash_1word, jhash_2words, jhash_3words, siphash, siphash_1u64, siphash_2u64,
                                   siphash_3u32, siphash_3u64, siphash_4u64)
from kpath_c.sched cimport call_ev, call_frame, conn_rec, engine, pin_bucket, pin_node, read_plan, task
from kpath_c.shim.rbtree cimport rb_erase, rb_insert_color
from kpath_c.shim.slab cimport kmem_cache_alloc, kmem_cache_destroy, kmem_cache_free, kmem_cache_init, kmem_cache_zalloc
from kpath_c.shim.timer cimport *
from kpath_c.shim.win_minmax cimport minmax_running_min
from kpath_c.tcp cimport tcp_exit, tcp_init


# ---------------------------------------------------------------------------------------------- layout

cdef size_t at(void *field):
    """Offset of a field whose address was taken in a struct at NULL."""
    return <size_t>field


def common_offsets():
    """{member of sock_common: (its offset in sock, in inet_timewait_sock, in request_sock)}."""
    cdef sock *sk = NULL
    cdef inet_timewait_sock *tw = NULL
    cdef request_sock *rq = NULL
    return {
        "skc_daddr": (at(&sk.sk_daddr), at(&tw.tw_daddr), at(&rq.ir_rmt_addr)),
        "skc_rcv_saddr": (at(&sk.sk_rcv_saddr), at(&tw.tw_rcv_saddr), at(&rq.ir_loc_addr)),
        "skc_hash": (at(&sk.sk_hash), at(&tw.tw_hash), at(&rq.rsk_hash)),
        "skc_dport": (at(&sk.sk_dport), at(&tw.tw_dport), at(&rq.ir_rmt_port)),
        "skc_num": (at(&sk.sk_num), at(&tw.tw_num), at(&rq.ir_num)),
        "skc_family": (at(&sk.sk_family), at(&tw.tw_family), at(&rq.ireq_family)),
        "skc_state": (at(&sk.sk_state), at(&tw.tw_state), at(&rq.ireq_state)),
        "skc_reuse": (at(&sk.sk_reuse), at(&tw.tw_reuse), at(&rq.skc_reuse)),
        "skc_reuseport": (at(&sk.sk_reuseport), at(&tw.tw_reuseport), at(&rq.skc_reuseport)),
        "skc_ipv6only": (at(&sk.sk_ipv6only), at(&tw.tw_ipv6only), at(&rq.skc_ipv6only)),
        "skc_bound_dev_if": (at(&sk.sk_bound_dev_if), at(&tw.tw_bound_dev_if), at(&rq.ir_iif)),
        "skc_bind_node": (at(&sk.sk_bind_node), at(&tw.tw_bind_node), at(&rq.skc_bind_node)),
        "skc_prot": (at(&sk.sk_prot), at(&tw.tw_prot), at(&rq.skc_prot)),
        "skc_net": (at(&sk.sk_net), at(&tw.tw_net), at(&rq.ireq_net)),
        "skc_cookie": (at(&sk.sk_cookie), at(&tw.tw_cookie), at(&rq.ir_cookie)),
        "skc_flags": (at(&sk.sk_flags), at(&tw.tw_dr), at(&rq.rsk_listener)),
        "skc_nulls_node": (at(&sk.sk_nulls_node), at(&tw.tw_node), at(&rq.skc_nulls_node)),
        "skc_tx_queue_mapping": (at(&sk.sk_tx_queue_mapping), at(&tw.tw_tx_queue_mapping),
                                 at(&rq.skc_tx_queue_mapping)),
        "skc_rx_queue_mapping": (at(&sk.sk_rx_queue_mapping), at(&tw.tw_rx_queue_mapping),
                                 at(&rq.skc_rx_queue_mapping)),
        "skc_incoming_cpu": (at(&sk.sk_incoming_cpu), at(&tw.tw_rcv_nxt), at(&rq.rsk_rcv_wnd)),
        "skc_refcnt": (at(&sk.sk_refcnt), at(&tw.tw_refcnt), at(&rq.rsk_refcnt)),
        "skc_v6_daddr": (at(&sk.sk_v6_daddr), at(&tw.tw_v6_daddr), at(&rq.ir_v6_rmt_addr)),
        "skc_v6_rcv_saddr": (at(&sk.sk_v6_rcv_saddr), at(&tw.tw_v6_rcv_saddr), at(&rq.ir_v6_loc_addr)),
        "skc_rxhash": (at(&sk.sk_rxhash), at(&tw.tw_snd_nxt), at(&rq.rsk_window_clamp)),
    }


def nested_offsets():
    """{"inner in outer": offset}: each must be 0, or a cast from one to the other is wrong."""
    cdef inet_sock *isk = NULL
    cdef inet_connection_sock *icsk = NULL
    cdef tcp_sock *tp = NULL
    cdef inet_request_sock *irq = NULL
    cdef tcp_request_sock *trq = NULL
    cdef tcp_timewait_sock *ttw = NULL
    cdef tcp6_sock *tp6 = NULL
    return {
        "sock in inet_sock": at(&isk.sk), "inet_sock in inet_connection_sock": at(&icsk.icsk_inet),
        "inet_connection_sock in tcp_sock": at(&tp.inet_conn), "request_sock in inet_request_sock": at(&irq.req),
        "inet_request_sock in tcp_request_sock": at(&trq.req),
        "inet_timewait_sock in tcp_timewait_sock": at(&ttw.tw_sk), "tcp_sock in tcp6_sock": at(&tp6.tcp),
    }


def tcp_sock_groups():
    """[(group, offset of its first field, offset behind its last one)], in the kernel's order."""
    cdef tcp_sock *tp = NULL
    return [
        ("read_tx", at(&tp.max_window), at(&tp.retransmit_skb_hint) + sizeof(void *)),
        ("read_txrx", at(&tp.tsoffset), at(&tp.recvmsg_inq) + 1),
        ("read_rx", at(&tp.copied_seq), at(&tp.out_of_order_queue) + sizeof(rb_root)),
        ("write_tx", at(&tp.segs_out), at(&tp.ecn_flags) + 1),
        ("write_txrx", at(&tp.nonagle), at(&tp.rx_opt) + sizeof(tcp_options_received)),
        ("write_rx", at(&tp.bytes_received), at(&tp.rcvq_space) + sizeof(rcvq_space_s)),
    ]


def tcp_sock_offsets():
    """{field: offset} of one field of each hot group that the fast path touches for every segment."""
    cdef tcp_sock *tp = NULL
    return {
        "snd_wnd": at(&tp.snd_wnd), "mss_cache": at(&tp.mss_cache), "snd_cwnd": at(&tp.snd_cwnd),
        "copied_seq": at(&tp.copied_seq), "rcv_nxt": at(&tp.rcv_nxt), "snd_nxt": at(&tp.snd_nxt),
        "snd_una": at(&tp.snd_una), "pred_flags": at(&tp.pred_flags), "write_seq": at(&tp.write_seq),
        "segs_in": at(&tp.segs_in), "segs_out": at(&tp.segs_out), "max_window": at(&tp.max_window),
    }


def arrival_offsets():
    """{field: offset in tcp_sock} of what a segment touches that arrives in order, and the ACK that it may cause.

    Found by watching all loads and stores of such a replay; the groups of tcp_sock count as one each.
    """
    cdef tcp_sock *tp = NULL
    cdef inet_connection_sock *icsk = &tp.inet_conn
    cdef inet_sock *inet = &icsk.icsk_inet
    cdef sock *sk = &inet.sk
    return {
        "sk_daddr": at(&sk.sk_daddr), "sk_flags": at(&sk.sk_flags), "sk_incoming_cpu": at(&sk.sk_incoming_cpu),
        "sk_rxhash": at(&sk.sk_rxhash), "sk_receive_queue": at(&sk.sk_receive_queue),
        "sk_backlog": at(&sk.sk_backlog), "sk_rx_dst": at(&sk.sk_rx_dst), "sk_rcvbuf": at(&sk.sk_rcvbuf),
        "sk_rcvlowat": at(&sk.sk_rcvlowat), "sk_data_ready": at(&sk.sk_data_ready), "sk_socket": at(&sk.sk_socket),
        "sk_peek_off": at(&sk.sk_peek_off), "sk_lock_owned": at(&sk.sk_lock_owned), "sk_err_soft": at(&sk.sk_err_soft),
        "sk_reserved_mem": at(&sk.sk_reserved_mem), "sk_forward_alloc": at(&sk.sk_forward_alloc),
        "sk_dst_pending_confirm": at(&sk.sk_dst_pending_confirm), "sk_write_queue": at(&sk.sk_write_queue),
        "sk_tsq_flags": at(&sk.sk_tsq_flags), "sk_dst_cache": at(&sk.sk_dst_cache),
        "sk_wmem_alloc": at(&sk.sk_wmem_alloc), "trace_id": at(&sk.trace_id), "sk_txhash": at(&sk.sk_txhash),
        "sk_gso_type": at(&sk.sk_gso_type), "inet_saddr": at(&inet.inet_saddr), "inet_id": at(&inet.inet_id),
        "min_ttl": at(&inet.min_ttl), "icsk_ack": at(&icsk.icsk_ack), "icsk_rto_min": at(&icsk.icsk_rto_min),
        "icsk_ca_state": at(&icsk.icsk_ca_state), "icsk_ca_ops": at(&icsk.icsk_ca_ops),
        "icsk_af_ops": at(&icsk.icsk_af_ops), "icsk_delack_timer": at(&icsk.icsk_delack_timer),
        **{name: begin for name, begin, _ in tcp_sock_groups()}, "md5sig_info": at(&tp.md5sig_info),
        "tcp_tx_delay": at(&tp.tcp_tx_delay), "compressed_ack": at(&tp.compressed_ack),
    }


def hot_parts():
    """[(begin, end)]: the bytes of a tcp_sock that are fetched for a segment that arrives."""
    cdef size_t begin[HOT_PARTS]
    cdef size_t end[HOT_PARTS]
    tcp_hot_parts(NULL, begin, end)
    return [(begin[i], end[i]) for i in range(HOT_PARTS)]


def sizes():
    """{struct: bytes}"""
    return {"iphdr": sizeof(iphdr), "tcphdr": sizeof(tcphdr), "icmphdr": sizeof(icmphdr),
            "ipv6hdr": sizeof(ipv6hdr), "icmp6hdr": sizeof(icmp6hdr), "sock": sizeof(sock),
            "tcp_sock": sizeof(tcp_sock), "sk_buff": sizeof(sk_buff), "request_sock": sizeof(request_sock),
            "tcp_request_sock": sizeof(tcp_request_sock), "tcp_timewait_sock": sizeof(tcp_timewait_sock)}


def connection_bytes(int calls):
    """{what: bytes} that one live connection of a replay takes, with so many calls; segments in flight come on top."""
    cdef size_t line = 63
    pools = {"tcp_sock": sizeof(tcp_sock), "socket": sizeof(socket), "inet_bind_bucket": sizeof(inet_bind_bucket),
             "inet_bind2_bucket": sizeof(inet_bind2_bucket), "task": sizeof(task), "call_frame": sizeof(call_frame),
             "tcp_info": sizeof(tcp_info)}
    slot = sizeof(void *) + sizeof(u8) + sizeof(read_plan) + sizeof(s64)
    return {**{what: (size + line) & ~line for what, size in pools.items()}, "calls": calls * sizeof(call_ev),
            "conn_rec": sizeof(conn_rec), "slot": slot, "pin": sizeof(pin_node) + 2 * sizeof(pin_bucket)}


def engine_tables(host):
    """{table: (how many it holds, for how many there is room)} of a Host's engine."""
    cdef engine *e = <engine *><size_t>host.engine_address
    cdef s64 times = 0
    cdef s64 room = 0
    cdef int i
    for i in range(e.n_slots):
        if e.plans[i].room:
            times += e.plans[i].n - e.plans[i].i
            room += e.plans[i].room
    return {"arrivals": (e.n_arr - e.arr_base, e.max_own), "calls": (e.n_calls, e.max_calls),
            "emitted": (e.n_em, e.max_em), "headers": (e.hdr_len, e.hdr_max), "threads": (e.n_tasks, e.max_tasks),
            "index of threads": (e.n_tasks, e.threads_mask + 1), "tasks": (e.task_pool.live, e.task_pool.live),
            "times": (times, room), "crowd": (e.crowd.n, e.crowd.room),
            "tcp_infos": (e.info_pool.live, e.info_pool.live)}


# ---------------------------------------------------------------------------------------------- hashes

def jhash(words, u32 initval):
    """jhash_1word() to jhash_3words()."""
    if len(words) == 1:
        return jhash_1word(words[0], initval)
    if len(words) == 2:
        return jhash_2words(words[0], words[1], initval)
    return jhash_3words(words[0], words[1], words[2], initval)


cdef siphash_key_t key_of(pair):
    cdef siphash_key_t k
    k.key[0], k.key[1] = pair
    return k


def internet_checksum(bytes data):
    """ip_compute_csum(), as the number that stands on the wire."""
    return ntohs(ip_compute_csum(<const u8 *>data, <int>len(data)))


def siphash_bytes(bytes data, key):
    cdef siphash_key_t k = key_of(key)
    return siphash(<const char *>data, len(data), &k)


def siphash_u64s(words, key):
    """siphash_1u64() to siphash_4u64()."""
    cdef siphash_key_t k = key_of(key)
    if len(words) == 1:
        return siphash_1u64(words[0], &k)
    if len(words) == 2:
        return siphash_2u64(words[0], words[1], &k)
    if len(words) == 3:
        return siphash_3u64(words[0], words[1], words[2], &k)
    return siphash_4u64(words[0], words[1], words[2], words[3], &k)


def siphash_u32s(u32 a, u32 b, u32 c, key):
    cdef siphash_key_t k = key_of(key)
    return siphash_3u32(a, b, c, &k)


# ---------------------------------------------------------------------------------------------- timers

cdef struct alarm:
    timer_list timer
    hrtimer hr
    int id
    void *wheel


cdef void alarm_fired(timer_list *t) noexcept nogil:
    with gil:
        (<Wheel>(<alarm *>t).wheel).fired.append(((<alarm *>t).id, t.net.e.mono_ns))


cdef int hralarm_fired(hrtimer *t) noexcept nogil:
    cdef alarm *a = <alarm *>(<u8 *>t - <size_t>&(<alarm *>NULL).hr)
    with gil:
        (<Wheel>a.wheel).fired.append((a.id, t.net.e.mono_ns))
    return HRTIMER_NORESTART


cdef class Wheel:
    """A host that has nothing but a clock and timers. `fired` is a list of (id, ns)."""
    cdef net *n
    cdef alarm alarms[64]
    cdef readonly list fired

    def __cinit__(self, int hz=250, s64 boot_jiffies=0):
        cdef int i
        self.fired = []
        self.n = <net *>calloc(1, sizeof(net))
        self.n.e.hz = hz
        self.n.e.tick_ns = 1000000000 // hz
        self.n.e.jiffies_minus_mono_ticks = boot_jiffies
        timers_init(self.n)
        for i in range(64):
            self.alarms[i].id = i
            self.alarms[i].wheel = <void *>self
            timer_setup(self.n, &self.alarms[i].timer, alarm_fired, TIMER_KIND_OTHER)
            hrtimer_setup(self.n, &self.alarms[i].hr, hralarm_fired, TIMER_KIND_OTHER)

    def __dealloc__(self):
        free(self.n)

    @property
    def jiffies(self):
        return self.n.e.jiffies

    def mod_timer(self, int id, unsigned long delay):
        """Sets timer `id` to `delay` jiffies from now; whether it was pending."""
        return mod_timer(&self.alarms[id].timer, self.n.e.jiffies + delay)

    def timer_reduce(self, int id, unsigned long delay):
        return timer_reduce(&self.alarms[id].timer, self.n.e.jiffies + delay)

    def timer_delete(self, int id):
        return timer_delete(&self.alarms[id].timer)

    def pending(self, int id):
        return timer_pending(&self.alarms[id].timer)

    def hrtimer(self, int id, s64 ns, u64 slack=0):
        """Starts hrtimer `id` at `ns`, up to `slack` late."""
        hrtimer_start_range_ns(&self.alarms[id].hr, ns, slack)

    def hrtimer_cancel(self, int id):
        return hrtimer_cancel(&self.alarms[id].hr)

    def advance(self, u64 ns):
        advance(self.n, ns)


# ---------------------------------------------------------------------------------------------- trees, pools, minima

cdef struct leaf:
    rb_node node
    u32 key


cdef int black_height(rb_node *p, rb_node *parent) except -1:
    """Black nodes on any way down; ValueError where the tree is not a red-black tree."""
    cdef int left, right
    cdef bint black
    if p == NULL:
        return 1
    black = p.__rb_parent_color & 1
    if <rb_node *>(p.__rb_parent_color & ~<unsigned long>3) != parent:
        raise ValueError("wrong parent")
    if not black and (parent == NULL or not parent.__rb_parent_color & 1):
        raise ValueError("red root, or red below red")
    left, right = black_height(p.rb_left, p), black_height(p.rb_right, p)
    if left != right:
        raise ValueError("black heights differ")
    return left + black


cdef class Tree:
    """A red-black tree of keys."""
    cdef rb_root root
    cdef dict leaves

    def __cinit__(self):
        self.root.rb_node = NULL
        self.leaves = {}

    def __dealloc__(self):
        for p in self.leaves.values():
            free(<void *><size_t>p)

    def insert(self, u32 key):
        cdef leaf *new = <leaf *>malloc(sizeof(leaf))
        cdef rb_node **link = &self.root.rb_node
        cdef rb_node *parent = NULL
        while link[0] != NULL:
            parent = link[0]
            link = &parent.rb_left if key < (<leaf *>parent).key else &parent.rb_right
        new.key = key
        rb_link_node(&new.node, parent, link)
        rb_insert_color(&new.node, &self.root)
        self.leaves[key] = <size_t>new

    def erase(self, u32 key):
        cdef leaf *old = <leaf *><size_t>self.leaves.pop(key)
        rb_erase(&old.node, &self.root)
        free(old)

    def check(self):
        return black_height(self.root.rb_node, NULL)

    def keys(self):
        cdef list out = []
        cdef rb_node *p = rb_first(&self.root)
        while p != NULL:
            out.append((<leaf *>p).key)
            p = rb_next(p)
        return out


cdef class Pool:
    """A pool of objects of one size; objects are known by their address."""
    cdef kmem_cache cache

    def __cinit__(self, size_t size):
        kmem_cache_init(&self.cache, "test", size)

    def __dealloc__(self):
        kmem_cache_destroy(&self.cache)

    @property
    def live(self):
        return self.cache.live

    def alloc(self):
        return <size_t>kmem_cache_alloc(&self.cache)

    def zalloc(self):
        return <size_t>kmem_cache_zalloc(&self.cache)

    def free(self, size_t obj):
        kmem_cache_free(&self.cache, <void *>obj)

    def fill(self, size_t obj, u8 byte):
        memset(<void *>obj, byte, self.cache.object_size)

    def read(self, size_t obj):
        return (<u8 *>obj)[:self.cache.object_size]


def running_min(u32 win, samples):
    """The windowed minimum after each of (time, value)."""
    cdef minmax m
    memset(&m, 0, sizeof(m))
    out = []
    for t, v in samples:
        if not out:
            m.s[0].t = m.s[1].t = m.s[2].t = t
            m.s[0].v = m.s[1].v = m.s[2].v = v
            out.append(v)
        else:
            out.append(minmax_running_min(&m, win, t, v))
    return out


def sized_by(u64 memory):
    """What tcp_init() makes of a memory of so many bytes: sizes of tables, and limits."""
    cdef net *n = <net *>calloc(1, sizeof(net))
    if n == NULL:
        raise MemoryError
    n.totalram_pages = memory // PAGE_SIZE
    if tcp_init(n):
        free(n)
        raise MemoryError
    out = {
        "ehash": n.hashinfo.ehash_mask + 1, "bhash": n.hashinfo.bhash_size, "lhash2": n.hashinfo.lhash2_mask + 1,
        "max_orphans": n.ipv4.sysctl_tcp_max_orphans, "tcp_mem": [n.ipv4.sysctl_tcp_mem[i] for i in range(3)],
        "tcp_wmem": [n.ipv4.sysctl_tcp_wmem[i] for i in range(3)],
        "tcp_rmem": [n.ipv4.sysctl_tcp_rmem[i] for i in range(3)],
    }
    tcp_exit(n)
    free(n)
    return out
