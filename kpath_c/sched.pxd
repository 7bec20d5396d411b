"""The order of things: arrivals, socket calls and timers of one host, merged in time (see sched.pyx)."""
from kpath_c.headers.errqueue cimport *
from kpath_c.headers.kernel cimport *

cdef enum call_op:
    OP_SOCKET
    OP_BIND
    OP_LISTEN
    OP_ACCEPT
    OP_CONNECT
    OP_SEND
    OP_RECV
    OP_SHUTDOWN
    OP_CLOSE
    OP_POLL
    OP_SETSOCKOPT
    OP_GETSOCKOPT
    OP_FCNTL
    OP_SENDTO
    OP_TCP_INFO
    OP_IOCTL
    OP_SPLICE

cdef enum call_state:
    CALL_PENDING
    CALL_ASLEEP
    CALL_DONE

# What few calls have; zeros where there is none.
cdef struct call_more:
    char s[64]
    int s_len                   # bytes of `s`, or of `blob`
    int n_iov
    u8 *blob                    # a longer value, or the bytes that getsockopt() gave; malloc'ed, BLOB_MIN at least
    u32 *iov                    # of a sendmsg(): length of each part; malloc'ed
    msg_ext got                 # what came back with a receive

# One socket call of the application: what it asks, and what came of it. A replay has several for each connection.
cdef struct call_ev:
    s64 t0                      # ns of the capture's clock
    s64 t1                      # -1: not known
    s64 a0
    s64 a1
    s64 a2
    s64 a3
    int task                    # index into engine.tasks
    int slot
    u16 op
    u8 state
    u8 has_addr
    int err                     # errno, positive
    in6_addr addr               # IPv4's are mapped
    s64 ret
    s64 t_done
    s64 next                    # next call of a task that was busy when its time came, -1
    s64 want                    # bytes that a recorded recv returned, 0 not known
    call_more *more             # malloc'ed; NULL: nothing

# What a thread that is in a call has on its stack.
cdef struct call_frame:
    msghdr msg
    msg_ext ext                 # msg.ubuf points here
    sockaddr_in6 sa             # or a sockaddr_in
    timer_list timeout          # schedule_timeout() of the call that sleeps
    task *owner

# What only planned readers have, and what only others have: a task fills two cache lines.
cdef struct planned_part:
    task *next                  # in its list of engine.far
    task **pprev

cdef struct thread_part:
    int last_op                 # of the call that was over last
    int place                   # engine_forget(): its index from now on
    int crowd_pos               # index in engine.crowd
    int hungry_pos              # index in engine.hungry, -1

cdef union task_kind:
    planned_part far
    thread_part own

# One thread of the application. It is in one call at a time.
cdef struct task:
    engine *eng
    call_frame *f               # NULL: it is in no call
    s64 call                    # index of the call it is in, -1 none
    s64 queue_head              # calls whose time has come while it was busy
    s64 queue_tail
    s64 run_at                  # ns (capture's clock) at which it will run, NEVER while asleep
    u64 run_order               # of two that run at the same time, who was queued first runs first
    int runq_pos                # index in engine.runq, NOT_QUEUED; FAR: in one of engine.far; CROWDED: in engine.crowd
    int waiting_pos             # index in engine.waiting, -1
    int thread
    u8 reader                   # not a thread: the automatic reader of a socket
    u8 timed_out
    u8 woken                    # its wake-up has been seen and it is in the run queue for that
    u8 due                      # a recv that holds all it is known to have returned: it ran before the next arrival
    s64 woken_at                # ns real
    socket *sock                # whose waiters list it is in
    task *wait_next
    task_kind kind
    page_frag frag              # current->task_frag

cdef struct conn_rec:
    in6_addr laddr              # IPv4's are mapped
    in6_addr raddr
    u16 lport
    u16 rport
    u8 passive
    u8 state
    s64 t_open
    sock *sk                    # NULL once it is gone
    void *info                  # its last tcp_info, of engine.info_pool, once it is gone

cdef struct runq_entry:         # a task that will run: task.run_at, task.run_order
    s64 at
    u64 order
    task *t

cdef struct task_heap:          # who is first by time and order is at its top
    runq_entry *entry
    int n
    int room

cdef struct probe_rec:
    s64 t
    in6_addr saddr
    in6_addr daddr
    u16 sport
    u16 dport
    u32 data_len
    u32 snd_nxt
    u32 snd_una
    u32 snd_cwnd
    u32 ssthresh
    u32 snd_wnd
    u32 srtt
    u32 rcv_wnd
    u32 rto
    u32 packets_out
    u32 retrans_out
    u32 lost_out
    u32 sacked_out
    u8 ca_state

cdef struct drop_rec:
    s64 t
    s64 packet
    int reason

# A copy of the whole socket at a trace point, for tests and for lining up with the corpus.
cdef struct state_rec:
    s64 t
    int event
    s64 arg
    tcp_sock tp

# When an inferred reader reads: (ns << 1 | only if an ACK is owed), in order.
cdef struct read_plan:
    s64 *at
    s64 n
    s64 i
    s64 room                    # how many fit into `at`, which is malloc'ed; 0: it is the caller's

# A pinned connection: in a hash by 4-tuple for its numbers and, until its port is taken, in one by the peer for that.
# Places in engine.pins, 0 is none.
cdef struct pin_node:
    pin_entry pin
    u8 port_taken
    int seq_next
    int port_next

cdef struct pin_bucket:
    int first
    int last

# A wake-up of the socket in a slot, with its poll key.
cdef struct wake_rec:
    int slot
    u32 mask

# What an application writes, as far as it is known: bytes of one connection's stream.
cdef struct stream_rec:
    in6_addr laddr              # IPv4's are mapped
    in6_addr raddr
    __be16 lport
    __be16 rport
    u32 seq                     # number of the first byte
    u32 length
    const u8 *data

cdef enum:
    AHEAD = 8                   # how many packets before its turn a packet's socket is fetched into the cache
    BLOB_MIN = 256              # the largest value of an option: TCP_MD5SIG's 216

cdef struct engine:
    net *n
    s64 now                     # ns of the capture's clock, of the event that is being handled
    s64 rx_latency              # ns from the capture's stamp to the stack
    s64 call_latency            # ns from a call's entry to its effect
    s64 wake_latency            # ns from the last thing that kept the processor busy to a woken call's going on
    s64 rx_cost                 # ns that an arrival keeps the processor busy
    s64 tx_cost                 # ns that each segment emitted does
    s64 busy_until              # when the processor is free for the application
    s64 tick_latency            # ns from a tick to the wheel's softirq
    s64 hrtimer_latency         # ns from an hrtimer's expiry to its softirq
    # Arrivals, numbered from the beginning of the replay. Those before arr_base are forgotten: the arrays would begin
    # that much before the memory that they are in.
    u8 *buf
    size_t buf_len
    s64 *arr_t
    s64 *arr_off
    s64 *arr_cap
    s64 *arr_len
    s64 n_arr
    s64 arr_i
    s64 arr_base
    s64 *own[4]                 # the memory of arr_t to arr_len once more has been loaded; NULL: it is the caller's
    s64 max_own
    s64 poll_first              # a device that is polled: its next poll finds this one to poll_last; -1 not known
    s64 poll_last
    s64 ahead[AHEAD]            # of packet i at i % AHEAD: the hash of its socket; -1: not to be fetched
    # calls
    call_ev *calls
    s64 n_calls
    s64 max_calls
    s64 call_i
    s64 entered                 # index of the call that was entered last, or went on; -1: it is forgotten
    s64 *last_send              # one a slot: index of its last send call that is not over; right if `sends_known`
    s64 max_last_send
    u8 sends_known
    kmem_cache task_pool
    kmem_cache frame_pool
    kmem_cache info_pool
    task **tasks                # the threads
    int n_tasks
    int max_tasks
    int *threads                # hash from thread to index in tasks + 1, 0 empty
    u32 threads_mask
    task **far                  # planned readers that run later than that, by their time: FAR_BUCKETS lists
    s64 far_until               # who runs before this is in the heap
    int n_far
    task_heap runq
    u64 run_order
    task **waiting              # those of the run queue whose time depends on the processor: all but planned readers
    int n_waiting
    int max_waiting
    # Where many wait they wait alike: those of the crowd all run at crowd_at, in their order, which changes with each
    # packet. One of them, the front, stands for all in `runq` and `waiting`; the others are in neither.
    task_heap crowd             # by order
    task_heap hungry            # those of them that have been woken, by when
    task *front                 # it comes before all of the crowd
    s64 crowd_at
    u8 recorded                 # there are calls whose return is known: those do not wait alike
    socket **slots
    int n_slots
    u8 auto_read_all            # 1, or READ_PLANNED
    u8 *auto_read               # one a slot
    read_plan *plans            # one a slot: when its reader reads, where that is known
    s64 *auto_accept            # one a slot: first slot for what is accepted, -1 not at all
    # what came out
    u8 *hdr
    s64 hdr_len
    s64 hdr_max
    s64 *em_t
    s64 *em_off
    s64 *em_soff
    int *em_hlen
    int *em_plen
    int *em_conn
    s64 n_em
    s64 max_em
    probe_rec *probes
    s64 n_probes
    s64 max_probes
    u8 want_probes
    u8 want_infos               # the last tcp_info of connections that are gone
    drop_rec *drops
    s64 n_drops
    s64 max_drops
    conn_rec *conns
    int n_conns
    int max_conns
    state_rec *states
    s64 n_states
    s64 max_states
    s64 limit_states
    void **infos                # tcp_info of each OP_TCP_INFO call, by call index; NULL where none
    s64 n_infos
    pin_node *pins              # from 1 on
    s64 n_pins
    s64 max_pins
    pin_bucket *pin_seqs        # by 4-tuple
    pin_bucket *pin_ports       # by peer: active opens whose port is not taken yet
    u32 pin_mask
    stream_rec *streams
    s64 n_streams
    s64 max_streams
    # wake-ups of sockets, in order, for who emulates epoll; kept only if asked for
    wake_rec *wakes
    s64 n_wakes
    s64 max_wakes
    u8 want_wakes
    u8 stop_on_wake
    s64 rx_gso                  # segment size of what arrives, as a vnet header gives it (0: not GSO); -1: by the MTU
    u32 not_ported_bits
    const char *not_ported[32]
    int n_not_ported
    u8 oom

cdef int engine_init(engine *e, net *n) noexcept nogil
cdef void engine_free(engine *e) noexcept nogil
cdef s64 engine_add_call(engine *e, call_ev *c, int thread) noexcept nogil
cdef call_more *more_of(call_ev *c) noexcept nogil
cdef void call_free(call_ev *c) noexcept nogil
cdef int engine_plan_reads(engine *e, int slot, s64 *at, s64 n, bint stays) noexcept nogil
cdef int engine_auto_read(engine *e, int slot, bint on, bint planned) noexcept nogil
cdef void engine_auto_read_all(engine *e, bint on, bint planned) noexcept nogil
cdef int engine_load_more(engine *e, const s64 *t, const s64 *off, const s64 *cap, const s64 *length,
                          s64 count) noexcept nogil
cdef int engine_merge_calls(engine *e, s64 first) noexcept nogil
cdef int engine_lengthen(engine *e, int slot, s64 more) noexcept nogil
cdef void engine_forget(engine *e) noexcept nogil
cdef int engine_add_stream(engine *e, const stream_rec *stream) noexcept nogil
cdef int engine_add_pin(engine *e, const pin_entry *pin) noexcept nogil
cdef int engine_slot(engine *e, int slot) noexcept nogil
cdef socket *socket_of(engine *e, int slot) noexcept nogil
cdef void engine_run(engine *e, s64 until) noexcept nogil
cdef void engine_run_to(engine *e, s64 until, s64 n_em, s64 call) noexcept nogil
cdef void engine_receive(engine *e, s64 *ip, s64 *length, s64 count, s64 index, s64 t) noexcept nogil
cdef void engine_close_all(engine *e) noexcept nogil
cdef bint engine_before_gro(const engine *e) noexcept nogil
