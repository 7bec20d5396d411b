"""kernel/time/timer.c and hrtimer.c: the timer wheel, the high resolution timers, and the host's clock."""
from kpath_c.headers.kernel cimport *

# --- the host loop
cdef void timers_init(net *n) noexcept nogil            # optional: an empty wheel at the present clock
cdef u64 next_timer_ns(net *n) noexcept nogil           # ns CLOCK_MONOTONIC of the next timer; U64_MAX(): none
# The same two on a machine whose interrupts (the tick, the high resolution timer) come late by so many ns.
cdef u64 next_interrupt_ns(net *n, s64 tick_late, s64 hrtimer_late) noexcept nogil
cdef void advance_late(net *n, u64 t_ns, s64 tick_late, s64 hrtimer_late) noexcept nogil

# The clock's step from one packet to the next, which seldom crosses a tick.
cdef inline void set_clock(net *n, u64 t_ns) noexcept nogil:
    n.e.mono_ns = t_ns
    if t_ns - n.timers.tick_ns >= n.e.tick_ns:
        set_tick(n)

cdef void set_tick(net *n) noexcept nogil

# The same as advance() where nothing is due until then: before `quiet_ns`, or next_interrupt_ns().
cdef inline void advance_quiet(net *n, u64 t_ns) noexcept nogil:
    set_clock(n, t_ns)

cdef void advance(net *n, u64 t_ns) noexcept nogil      # runs all that is due until t_ns, and is then at t_ns

# --- timer_list: times in jiffies
cdef void timer_setup(net *n, timer_list *timer, void (*func)(timer_list *t) noexcept nogil, u32 kind) noexcept nogil
cdef int mod_timer(timer_list *timer, unsigned long expires) noexcept nogil
cdef int mod_timer_pending(timer_list *timer, unsigned long expires) noexcept nogil
cdef int timer_reduce(timer_list *timer, unsigned long expires) noexcept nogil
cdef void add_timer(timer_list *timer) noexcept nogil
cdef int timer_delete(timer_list *timer) noexcept nogil
cdef int timer_delete_sync(timer_list *timer) noexcept nogil

cdef inline bint timer_pending(const timer_list *timer) noexcept nogil:
    return timer.entry.pprev != NULL

# --- hrtimer: CLOCK_MONOTONIC, ns, expiring in softirq unless is_soft is cleared after set-up
cdef void hrtimer_setup(net *n, hrtimer *timer, int (*func)(hrtimer *t) noexcept nogil, u32 kind) noexcept nogil
cdef void hrtimer_start_range_ns(hrtimer *timer, ktime_t tim, u64 delta_ns) noexcept nogil
cdef int hrtimer_try_to_cancel(hrtimer *timer) noexcept nogil      # 1: was queued, 0: was not, -1: is running
cdef int hrtimer_cancel(hrtimer *timer) noexcept nogil
cdef u64 hrtimer_forward(hrtimer *timer, ktime_t now, ktime_t interval) noexcept nogil

cdef inline void hrtimer_start(hrtimer *timer, ktime_t tim) noexcept nogil:
    hrtimer_start_range_ns(timer, tim, 0)

cdef inline bint hrtimer_is_queued(const hrtimer *timer) noexcept nogil:
    return timer.is_queued != 0

cdef inline bint hrtimer_callback_running(const hrtimer *timer) noexcept nogil:
    return timer.net.hrtimers.running == timer

cdef inline bint hrtimer_active(const hrtimer *timer) noexcept nogil:
    return timer.is_queued != 0 or timer.net.hrtimers.running == timer

cdef inline ktime_t hrtimer_get_expires(const hrtimer *timer) noexcept nogil:
    return timer.expires

cdef inline ktime_t hrtimer_get_softexpires(const hrtimer *timer) noexcept nogil:
    return timer.softexpires

cdef inline void hrtimer_set_expires_range_ns(hrtimer *timer, ktime_t time, u64 delta) noexcept nogil:
    timer.softexpires = time
    timer.expires = time + <s64>delta

# Before it is queued again: later by ns.
cdef inline void hrtimer_add_expires_ns(hrtimer *timer, u64 ns) noexcept nogil:
    timer.expires += <s64>ns
    timer.softexpires += <s64>ns
