"""The timer wheel, the high resolution timers, and the clock that drives both.

What it does: `advance()` moves CLOCK_MONOTONIC and jiffies of one host on to a given time and runs every timer that
is due on the way, in the order in which the kernel's softirqs would. Ticks lie on multiples of tick_ns of
CLOCK_MONOTONIC; idle time is jumped over.

Wheel: up to nine levels of 64 buckets, each level eight times coarser than the one below. A timer goes into the
bucket behind its expiry, so it never fires early and may fire late by one granule of its level; it is not moved down
later. The wheel's clock `clk` stands still between events and is brought up to jiffies when a timer is queued.

hrtimers: ordered by hard expiry (asked + slack). A timer that expires in softirq, as all of TCP's do, waits for the
earliest hard expiry among them; then all run, in order, until the first whose soft expiry has not come.

Follows kernel/time/timer.c and kernel/time/hrtimer.c of Linux 6.18 (GPL-2.0-only).

Deviations: one CPU, one base (TCP's timers are neither pinned nor deferrable); a callback takes no time; an interrupt
comes as late as the caller of advance_late() says. When the CPU goes idle it looks for the next event, so a deleted
timer causes no tick of its own.
"""
from kpath_c.headers.kernel cimport *
from kpath_c.shim.rbtree cimport rb_insert_color, rb_erase

cdef enum:
    LVL_CLK_SHIFT = 3
    LVL_CLK_DIV = 8
    LVL_CLK_MASK = 7
    LVL_BITS = 6
    LVL_SIZE = 64
    LVL_MASK = 63
    LVL_DEPTH_MAX = 9
    TIMER_NEXT_MAX_DELTA = 0x3FFFFFFF
    NO_IDX = 0xFFFFFFFF

cdef enum:
    MOD_TIMER_PENDING_ONLY = 1
    MOD_TIMER_REDUCE = 2
    MOD_TIMER_NOTPENDING = 4


# ---------------------------------------------------------------------------------------------- traces

cdef inline s64 trace_arg(u32 kind, u64 value) noexcept nogil:
    return <s64>((<u64>kind << 56) | (value & <u64>0x00FFFFFFFFFFFFFFULL))


cdef sock *timer_sk(const timer_list *timer) noexcept nogil:
    """The socket that a timer of this kind is part of, or NULL."""
    if timer.kind == TIMER_KIND_RTX:
        return <sock *>(<char *>timer - <size_t>&(<sock *>NULL).tcp_retransmit_timer)
    if timer.kind == TIMER_KIND_DELACK:
        return <sock *>(<char *>timer - <size_t>&(<inet_connection_sock *>NULL).icsk_delack_timer)
    if timer.kind == TIMER_KIND_KEEPALIVE:
        return <sock *>(<char *>timer - <size_t>&(<inet_connection_sock *>NULL).icsk_keepalive_timer)
    return NULL


cdef sock *hrtimer_sk(const hrtimer *timer) noexcept nogil:
    if timer.kind == TIMER_KIND_PACE:
        return <sock *>(<char *>timer - <size_t>&(<tcp_sock *>NULL).pacing_timer)
    if timer.kind == TIMER_KIND_COMP_ACK:
        return <sock *>(<char *>timer - <size_t>&(<tcp_sock *>NULL).compressed_ack_timer)
    return NULL


cdef inline void trace_timer(const timer_list *timer, int event, u64 value) noexcept nogil:
    cdef host_hooks *hooks = &timer.net.hooks
    if hooks.trace != NULL:
        hooks.trace(hooks.ctx, event, timer_sk(timer), NULL, trace_arg(timer.kind, value))


cdef inline void trace_hrtimer(const hrtimer *timer, int event, u64 value) noexcept nogil:
    cdef host_hooks *hooks = &timer.net.hooks
    if hooks.trace != NULL:
        hooks.trace(hooks.ctx, event, hrtimer_sk(timer), NULL, trace_arg(timer.kind, value))


# ---------------------------------------------------------------------------------------------- the wheel

cdef inline unsigned int LVL_DEPTH(const net *n) noexcept nogil:
    return 9 if n.e.hz > 100 else 8


# The first delta that belongs on level lvl.
cdef inline unsigned long LVL_START(unsigned int lvl) noexcept nogil:
    return <unsigned long>(LVL_SIZE - 1) << ((lvl - 1) * LVL_CLK_SHIFT)


cdef inline unsigned int calc_index(unsigned long expires, unsigned int lvl,
                                    unsigned long *bucket_expiry) noexcept nogil:
    expires = (expires >> (lvl * LVL_CLK_SHIFT)) + 1
    bucket_expiry[0] = expires << (lvl * LVL_CLK_SHIFT)
    return lvl * LVL_SIZE + <unsigned int>(expires & LVL_MASK)


cdef unsigned int calc_wheel_index(const net *n, unsigned long expires, unsigned long clk,
                                   unsigned long *bucket_expiry) noexcept nogil:
    cdef unsigned long delta = expires - clk
    cdef unsigned int depth = LVL_DEPTH(n)
    cdef unsigned int lvl
    for lvl in range(depth - 1):
        if delta < LVL_START(lvl + 1):
            return calc_index(expires, lvl, bucket_expiry)
    if <long>delta < 0:
        bucket_expiry[0] = clk
        return <unsigned int>(clk & LVL_MASK)
    # Beyond the wheel: as late as it goes.
    if delta >= LVL_START(depth):
        expires = clk + LVL_START(depth) - ((<unsigned long>1) << ((depth - 1) * LVL_CLK_SHIFT))
    return calc_index(expires, depth - 1, bucket_expiry)


cdef void enqueue_timer(timer_base *base, timer_list *timer, unsigned int idx,
                        unsigned long bucket_expiry) noexcept nogil:
    hlist_add_head(&timer.entry, &base.vectors[idx])
    base.pending_map[idx >> LVL_BITS] |= (<u64>1) << (idx & LVL_MASK)
    timer.flags = idx
    timer.bucket_expiry = bucket_expiry
    trace_timer(timer, EV_TIMER_START, timer.expires)
    trace_timer(timer, EV_TIMER_BUCKET, bucket_expiry)
    if time_before(bucket_expiry, base.next_expiry):
        base.quiet_ns = 0
        base.next_expiry = bucket_expiry
        base.timers_pending = 1
        base.next_expiry_recalc = 0


cdef inline void detach_timer(timer_list *timer, bint clear_pending) noexcept nogil:
    trace_timer(timer, EV_TIMER_CANCEL, timer.expires)
    __hlist_del(&timer.entry)
    if clear_pending:
        timer.entry.pprev = NULL
    timer.entry.next = NULL


cdef int detach_if_pending(timer_list *timer, timer_base *base, bint clear_pending) noexcept nogil:
    cdef unsigned int idx = timer.flags
    if timer.entry.pprev == NULL:
        return 0
    # The last one of its bucket: whether the wheel's next event is still right has to be looked up.
    if timer.entry.next == NULL and timer.entry.pprev == &base.vectors[idx].first:
        base.pending_map[idx >> LVL_BITS] &= ~((<u64>1) << (idx & LVL_MASK))
        base.next_expiry_recalc = 1
        base.quiet_ns = 0
    detach_timer(timer, clear_pending)
    return 1


cdef inline void __forward_timer_base(timer_base *base, unsigned long basej) noexcept nogil:
    if time_before_eq(basej, base.clk):
        return
    if time_after(base.next_expiry, basej):
        base.clk = basej
    elif not time_before(base.next_expiry, base.clk):
        base.clk = base.next_expiry


cdef int __mod_timer(timer_list *timer, unsigned long expires, unsigned int options) noexcept nogil:
    cdef net *n = timer.net
    cdef timer_base *base = &n.timers
    cdef unsigned long clk = 0
    cdef unsigned long bucket_expiry = 0
    cdef unsigned int idx = NO_IDX
    cdef long diff
    cdef int ret

    if not (options & MOD_TIMER_NOTPENDING) and timer.entry.pprev != NULL:
        diff = <long>(timer.expires - expires)
        if diff == 0:
            return 1
        if options & MOD_TIMER_REDUCE and diff <= 0:
            return 1
        __forward_timer_base(base, n.e.jiffies)
        clk = base.clk
        idx = calc_wheel_index(n, expires, clk, &bucket_expiry)
        # Same bucket: nothing is moved. The bucket may be one that was right for the old expiry only.
        if idx == timer.flags:
            timer.expires = expires
            return 1
    else:
        __forward_timer_base(base, n.e.jiffies)

    ret = detach_if_pending(timer, base, 0)
    if not ret and options & MOD_TIMER_PENDING_ONLY:
        return 0
    timer.expires = expires
    if idx == NO_IDX or clk != base.clk:
        idx = calc_wheel_index(n, expires, base.clk, &bucket_expiry)
    enqueue_timer(base, timer, idx, bucket_expiry)
    return ret


cdef void timer_setup(net *n, timer_list *timer, void (*func)(timer_list *t) noexcept nogil, u32 kind) noexcept nogil:
    timer.entry.next = NULL
    timer.entry.pprev = NULL
    timer.expires = 0
    timer.function = func
    timer.net = n
    timer.flags = 0
    timer.kind = kind
    timer.bucket_expiry = 0


cdef int mod_timer_pending(timer_list *timer, unsigned long expires) noexcept nogil:
    return __mod_timer(timer, expires, MOD_TIMER_PENDING_ONLY)


cdef int mod_timer(timer_list *timer, unsigned long expires) noexcept nogil:
    return __mod_timer(timer, expires, 0)


cdef int timer_reduce(timer_list *timer, unsigned long expires) noexcept nogil:
    return __mod_timer(timer, expires, MOD_TIMER_REDUCE)


cdef void add_timer(timer_list *timer) noexcept nogil:
    if WARN_ON_ONCE(timer.entry.pprev != NULL):
        return
    __mod_timer(timer, timer.expires, MOD_TIMER_NOTPENDING)


cdef int timer_delete(timer_list *timer) noexcept nogil:
    if timer.entry.pprev == NULL:
        return 0
    return detach_if_pending(timer, &timer.net.timers, 1)


cdef int timer_delete_sync(timer_list *timer) noexcept nogil:
    return timer_delete(timer)


cdef inline int next_pending_bucket(u64 pending, unsigned int clk) noexcept nogil:
    """How many buckets from clk on to the first that is in use, around the level; -1: none is."""
    if pending == 0:
        return -1
    return __builtin_ctzll(ror64(pending, clk))


cdef void timer_recalc_next_expiry(net *n) noexcept nogil:
    cdef timer_base *base = &n.timers
    cdef unsigned long clk = base.clk
    cdef unsigned long next = base.clk + TIMER_NEXT_MAX_DELTA
    cdef unsigned long lvl_clk, tmp
    cdef unsigned int lvl
    cdef int pos
    for lvl in range(LVL_DEPTH(n)):
        pos = next_pending_bucket(base.pending_map[lvl], <unsigned int>(clk & LVL_MASK))
        lvl_clk = clk & LVL_CLK_MASK
        if pos >= 0:
            tmp = (clk + <unsigned long>pos) << (lvl * LVL_CLK_SHIFT)
            if time_before(tmp, next):
                next = tmp
            # Fires before the next level has its turn.
            if <unsigned long>pos <= ((LVL_CLK_DIV - lvl_clk) & LVL_CLK_MASK):
                break
        # The next level's clock is rounded up: that bucket is the next to expire there.
        clk >>= LVL_CLK_SHIFT
        clk += lvl_clk != 0
    base.next_expiry = next
    base.next_expiry_recalc = 0
    base.timers_pending = next != base.clk + TIMER_NEXT_MAX_DELTA


cdef int collect_expired_timers(net *n, hlist_head *heads) noexcept nogil:
    cdef timer_base *base = &n.timers
    cdef unsigned long clk = base.next_expiry
    cdef unsigned int lvl, pos
    cdef int levels = 0
    base.clk = clk
    for lvl in range(LVL_DEPTH(n)):
        pos = <unsigned int>(clk & LVL_MASK)
        if (base.pending_map[lvl] >> pos) & 1:
            base.pending_map[lvl] &= ~((<u64>1) << pos)
            hlist_move_list(&base.vectors[lvl * LVL_SIZE + pos], &heads[levels])
            levels += 1
        if clk & LVL_CLK_MASK:
            break
        clk >>= LVL_CLK_SHIFT
    return levels


cdef void expire_timers(timer_base *base, hlist_head *head) noexcept nogil:
    cdef unsigned long baseclk = base.clk - 1
    cdef timer_list *timer
    while head.first != NULL:
        timer = <timer_list *>(<char *>head.first - <size_t>&(<timer_list *>NULL).entry)
        base.running_timer = timer
        __hlist_del(&timer.entry)
        timer.entry.pprev = NULL
        timer.entry.next = NULL
        trace_timer(timer, EV_TIMER_EXPIRE, baseclk)
        timer.function(timer)
        base.running_timer = NULL


cdef void __run_timers(net *n) noexcept nogil:
    cdef timer_base *base = &n.timers
    cdef hlist_head heads[LVL_DEPTH_MAX]
    cdef int levels
    if base.running_timer != NULL:
        return
    while time_after_eq(n.e.jiffies, base.clk) and time_after_eq(n.e.jiffies, base.next_expiry):
        levels = collect_expired_timers(n, heads)
        # One ahead while callbacks run, so that what they queue cannot fall into this jiffy.
        base.clk += 1
        timer_recalc_next_expiry(n)
        while levels > 0:
            levels -= 1
            expire_timers(base, &heads[levels])


# ---------------------------------------------------------------------------------------------- hrtimers

cdef inline hrtimer *node_to_hrtimer(const rb_node *node) noexcept nogil:
    return <hrtimer *>(<char *>node - <size_t>&(<hrtimer *>NULL).node)


cdef void enqueue_hrtimer(hrtimer *timer) noexcept nogil:
    cdef hrtimer_base *base = &timer.net.hrtimers
    cdef rb_node **link = &base.active.rb_node
    cdef rb_node *parent = NULL
    cdef bint leftmost = 1
    trace_hrtimer(timer, EV_HRTIMER_START, <u64>timer.expires)
    while link[0] != NULL:
        parent = link[0]
        if timer.expires < node_to_hrtimer(parent).expires:
            link = &parent.rb_left
        else:
            link = &parent.rb_right
            leftmost = 0
    rb_link_node(&timer.node, parent, link)
    rb_insert_color(&timer.node, &base.active)
    timer.is_queued = 1
    if leftmost:
        base.next_timer = timer
        timer.net.timers.quiet_ns = 0


cdef int remove_hrtimer(hrtimer *timer) noexcept nogil:
    cdef hrtimer_base *base = &timer.net.hrtimers
    cdef rb_node *next
    if not timer.is_queued:
        return 0
    if base.next_timer == timer:
        next = rb_next(&timer.node)
        base.next_timer = NULL if next == NULL else node_to_hrtimer(next)
    rb_erase(&timer.node, &base.active)
    RB_CLEAR_NODE(&timer.node)
    timer.is_queued = 0
    return 1


cdef void hrtimer_setup(net *n, hrtimer *timer, int (*func)(hrtimer *t) noexcept nogil, u32 kind) noexcept nogil:
    memset(timer, 0, sizeof(hrtimer))
    RB_CLEAR_NODE(&timer.node)
    timer.function = func
    timer.net = n
    timer.is_soft = 1
    timer.kind = kind


cdef void hrtimer_start_range_ns(hrtimer *timer, ktime_t tim, u64 delta_ns) noexcept nogil:
    remove_hrtimer(timer)
    timer.softexpires = tim
    if <u64>(KTIME_MAX() - tim) < delta_ns and tim >= 0:
        timer.expires = KTIME_MAX()
    else:
        timer.expires = tim + <s64>delta_ns
    enqueue_hrtimer(timer)


cdef int hrtimer_try_to_cancel(hrtimer *timer) noexcept nogil:
    if not timer.is_queued and timer.net.hrtimers.running != timer:
        return 0
    if timer.net.hrtimers.running == timer:
        return -1
    trace_hrtimer(timer, EV_HRTIMER_CANCEL, <u64>timer.expires)
    return remove_hrtimer(timer)


# Nothing runs beside the caller here, so there is nothing to wait for.
cdef int hrtimer_cancel(hrtimer *timer) noexcept nogil:
    return hrtimer_try_to_cancel(timer)


cdef u64 hrtimer_forward(hrtimer *timer, ktime_t now, ktime_t interval) noexcept nogil:
    cdef u64 overrun = 1
    cdef s64 delta = now - timer.expires
    if delta < 0 or timer.is_queued or interval <= 0:
        return 0
    if delta >= interval:
        overrun = <u64>(delta // interval)
        hrtimer_add_expires_ns(timer, <u64>interval * overrun)
        if timer.expires > now:
            return overrun
        overrun += 1
    hrtimer_add_expires_ns(timer, <u64>interval)
    return overrun


cdef void hrtimer_run_softirq(net *n) noexcept nogil:
    """Runs what is due, in order of hard expiry, up to the first timer whose soft expiry is still to come."""
    cdef hrtimer_base *base = &n.hrtimers
    cdef hrtimer *timer
    cdef ktime_t now = <ktime_t>n.e.mono_ns
    while base.next_timer != NULL:
        timer = base.next_timer
        if now < timer.softexpires:
            break
        remove_hrtimer(timer)
        base.running = timer
        trace_hrtimer(timer, EV_HRTIMER_EXPIRE, <u64>now)
        # After HRTIMER_NORESTART the timer may be gone with its socket.
        if timer.function(timer) != HRTIMER_NORESTART and not timer.is_queued:
            enqueue_hrtimer(timer)
        base.running = NULL


# ---------------------------------------------------------------------------------------------- the clock

cdef void set_tick(net *n) noexcept nogil:
    """The clock has gone past the next tick."""
    cdef u64 ticks = n.e.mono_ns // n.e.tick_ns
    n.timers.tick_ns = ticks * n.e.tick_ns
    n.e.jiffies = <unsigned long>(n.e.jiffies_minus_mono_ticks + <s64>ticks)


cdef inline s64 next_wheel_ns(net *n, s64 late) noexcept nogil:
    """When the wheel's softirq has something to do: `late` behind the tick."""
    cdef timer_base *base = &n.timers
    cdef s64 tick = <s64>base.tick_ns
    if base.next_expiry_recalc:
        timer_recalc_next_expiry(n)
    if not base.timers_pending:
        # Kept ahead, as an idle CPU does, so that the empty wheel's limit is never reached.
        base.next_expiry = n.e.jiffies + TIMER_NEXT_MAX_DELTA
        return KTIME_MAX()
    if time_after(base.next_expiry, n.e.jiffies):
        tick = <s64>(base.next_expiry - <unsigned long>n.e.jiffies_minus_mono_ticks) * <s64>n.e.tick_ns
    elif <s64>n.e.mono_ns >= tick + late:
        # This tick's softirq is over: the next one looks again.
        tick += <s64>n.e.tick_ns
    return tick + late


cdef inline s64 next_hrtimer_ns(net *n, s64 late) noexcept nogil:
    if n.hrtimers.next_timer == NULL:
        return KTIME_MAX()
    return max_s64(n.hrtimers.next_timer.expires + late, <s64>n.e.mono_ns)


cdef inline void note_quiet(net *n, s64 tick) noexcept nogil:
    """The wheel's next event is at `tick`. Interrupts come late, never early: this holds whatever the latencies are."""
    n.timers.quiet_ns = 0
    if n.timers.timers_pending and time_after(n.timers.next_expiry, n.e.jiffies):
        n.timers.quiet_ns = <u64>min_s64(tick, next_hrtimer_ns(n, 0))


cdef u64 next_interrupt_ns(net *n, s64 tick_late, s64 hrtimer_late) noexcept nogil:
    cdef s64 wheel = next_wheel_ns(n, tick_late)
    cdef s64 t = min_s64(wheel, next_hrtimer_ns(n, hrtimer_late))
    note_quiet(n, wheel - tick_late)
    return U64_MAX() if t == KTIME_MAX() else <u64>t


cdef u64 next_timer_ns(net *n) noexcept nogil:
    return next_interrupt_ns(n, 0, 0)


cdef void advance_late(net *n, u64 t_ns, s64 tick_late, s64 hrtimer_late) noexcept nogil:
    cdef s64 tick, hr
    cdef u8 softirq = n.in_softirq
    if t_ns < n.timers.quiet_ns:
        if t_ns > n.e.mono_ns:
            set_clock(n, t_ns)
        return
    while True:
        tick = next_wheel_ns(n, tick_late)
        hr = next_hrtimer_ns(n, hrtimer_late)
        if min_s64(tick, hr) > <s64>t_ns:
            note_quiet(n, tick - tick_late)
            break
        n.in_softirq = 1
        # At the same instant the wheel's softirq comes first.
        if tick <= hr:
            set_clock(n, <u64>tick)
            __run_timers(n)
        else:
            set_clock(n, <u64>hr)
            hrtimer_run_softirq(n)
        n.in_softirq = softirq
    if t_ns > n.e.mono_ns:
        set_clock(n, t_ns)


cdef void advance(net *n, u64 t_ns) noexcept nogil:
    advance_late(n, t_ns, 0, 0)


cdef void timers_init(net *n) noexcept nogil:
    memset(&n.timers, 0, sizeof(timer_base))
    memset(&n.hrtimers, 0, sizeof(hrtimer_base))
    n.e.jiffies = <unsigned long>(n.e.jiffies_minus_mono_ticks + <s64>(n.e.mono_ns // n.e.tick_ns))
    n.timers.tick_ns = n.e.mono_ns - n.e.mono_ns % n.e.tick_ns
    n.timers.clk = n.e.jiffies
    n.timers.next_expiry = n.e.jiffies + TIMER_NEXT_MAX_DELTA
