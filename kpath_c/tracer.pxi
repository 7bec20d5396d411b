# What ran, in order: the part of the joined module that only kpath_c.traced has; see unity.py.

cdef struct traced_function:
    void *address
    const char *name
    const char *file

cdef extern from *:
    """
    #include <stdint.h>
    #include <stdlib.h>
    #include <time.h>
    #ifdef KPATH_TRACED
    #define KPATH_TRACED_ADDRESS(function) (function)
    #else
    #define KPATH_TRACED 0
    #define KPATH_TRACED_ADDRESS(function) NULL
    #endif
    #define KPATH_UNTRACED __attribute__((no_instrument_function))

    /* One entry: a function's address (bit 0: it ends), and when; or a root and its index. */
    struct kpath_trace_entry { uint64_t what; int64_t t; };
    enum { KPATH_ROOT_ARRIVAL = 2, KPATH_ROOT_CALL = 4, KPATH_ROOT_TIMER = 6 };

    static struct kpath_trace {
        int on, active, timed, select;
        int64_t index;
        const int64_t *arrival, *arrival_end, *call;
        void *rx, *call_fn, *wheel, *hrtimers;
        struct kpath_trace_entry *log;
        int64_t n, max;
    } kpath_trace;

    /* Which functions ran at all, whatever set them going. */
    enum { KPATH_SEEN_SLOTS = 1 << 13 };
    static int kpath_seen_on;
    static void *kpath_seen[KPATH_SEEN_SLOTS];

    static KPATH_UNTRACED void kpath_note_seen(void *fn)
    {
        uint64_t i = ((uint64_t)fn >> 4) % KPATH_SEEN_SLOTS;
        while (kpath_seen[i] && kpath_seen[i] != fn)
            i = (i + 1) % KPATH_SEEN_SLOTS;
        kpath_seen[i] = fn;
    }

    static KPATH_UNTRACED void kpath_trace_put(uint64_t what, int64_t t)
    {
        if (kpath_trace.n < kpath_trace.max) {
            kpath_trace.log[kpath_trace.n].what = what;
            kpath_trace.log[kpath_trace.n].t = t;
        }
        kpath_trace.n++;
    }

    static KPATH_UNTRACED int64_t kpath_trace_now(void)
    {
        struct timespec t;
        if (!kpath_trace.timed)
            return 0;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000000LL + t.tv_nsec;
    }

    /* index..last: the packets of one poll, which share a root. */
    static KPATH_UNTRACED void kpath_trace_root(uint64_t kind, int64_t index, int64_t last)
    {
        int wanted = (uint64_t)kpath_trace.select == kind && index <= kpath_trace.index && kpath_trace.index <= last;

        kpath_trace.active = !kpath_trace.select || wanted;
        if (kpath_trace.active)
            kpath_trace_put(kind, wanted ? kpath_trace.index : index);
    }

    #if KPATH_TRACED
    KPATH_UNTRACED void __cyg_profile_func_enter(void *fn, void *site)
    {
        if (kpath_seen_on)
            kpath_note_seen(fn);
        if (!kpath_trace.on)
            return;
        if (fn == kpath_trace.rx)
            kpath_trace_root(KPATH_ROOT_ARRIVAL, *kpath_trace.arrival, *kpath_trace.arrival_end);
        else if (fn == kpath_trace.call_fn)
            kpath_trace_root(KPATH_ROOT_CALL, *kpath_trace.call, *kpath_trace.call);
        else if (fn == kpath_trace.wheel || fn == kpath_trace.hrtimers)
            kpath_trace_root(KPATH_ROOT_TIMER, 0, 0);
        if (kpath_trace.active)
            kpath_trace_put((uint64_t)fn << 1, kpath_trace_now());
    }

    KPATH_UNTRACED void __cyg_profile_func_exit(void *fn, void *site)
    {
        if (kpath_trace.on && kpath_trace.active) {
            kpath_trace_put((uint64_t)fn << 1 | 1, kpath_trace_now());
            if (fn == kpath_trace.rx || fn == kpath_trace.call_fn || fn == kpath_trace.wheel ||
                fn == kpath_trace.hrtimers)
                kpath_trace.active = 0;
        }
    }
    #endif
    """
    int KPATH_TRACED
    void *KPATH_TRACED_ADDRESS(void *function) nogil
    cdef struct kpath_trace_entry:
        u64 what
        s64 t
    cdef struct kpath_trace_t "kpath_trace":
        int on, active, timed, select
        s64 index
        const s64 *arrival
        const s64 *arrival_end
        const s64 *call
        void *rx
        void *call_fn
        void *wheel
        void *hrtimers
        kpath_trace_entry *log
        s64 n, max
    kpath_trace_t kpath_trace
    enum:
        KPATH_SEEN_SLOTS
    int kpath_seen_on
    void *kpath_seen[]


SELECT = {None: 0, "arrival": 2, "call": 4, "timer": 6}


def functions():
    """{address << 1: (name, file)} of every function of the kernel side."""
    cdef int i
    return {<size_t>f.address << 1: (f.name.decode(), f.file.decode())
            for f in traced_functions if f.address != NULL}


def trace(Host host, select=None, s64 index=0, bint timed=False, s64 limit=1 << 22):
    """From now on, what runs is noted: all of it, or only arrival or call number `index`; at most `limit` events.

    limit is counted in entries of 16 bytes. timed: with times of the real clock, in ns.
    """
    free(kpath_trace.log)
    kpath_trace.log = <kpath_trace_entry *>malloc(<size_t>limit * sizeof(kpath_trace_entry))
    if kpath_trace.log == NULL:
        raise MemoryError()
    kpath_trace.n = 0
    kpath_trace.max = limit
    kpath_trace.select = SELECT[select]
    kpath_trace.index = index
    kpath_trace.timed = timed
    polled = host.n.dev.napi != NULL
    kpath_trace.arrival = &host.e.poll_first if polled else &host.e.arr_i
    kpath_trace.arrival_end = &host.e.poll_last if polled else &host.e.arr_i
    kpath_trace.call = &host.e.entered
    kpath_trace.rx = <void *>arrive_polled if polled else <void *>arrive
    kpath_trace.call_fn = <void *>do_call
    kpath_trace.wheel = <void *>__run_timers
    kpath_trace.hrtimers = <void *>hrtimer_run_softirq
    kpath_trace.active = 0
    kpath_trace.on = 1


def untrace():
    """Ends that: (bytes of the log, 16 each, as (what, t); how many entries there would have been)."""
    cdef s64 n = min(kpath_trace.n, kpath_trace.max)
    kpath_trace.on = 0
    out = (<char *>kpath_trace.log)[:n * <s64>sizeof(kpath_trace_entry)] if n else b""
    free(kpath_trace.log)
    kpath_trace.log = NULL
    return out, kpath_trace.n


def watch():
    """From now on, which functions run is noted, by name only, of all hosts: see seen()."""
    global kpath_seen_on
    memset(kpath_seen, 0, KPATH_SEEN_SLOTS * sizeof(void *))
    kpath_seen_on = 1


def seen():
    """The functions that ran since watch(), as functions() has them."""
    cdef int i
    known = functions()
    ran = [<size_t>kpath_seen[i] << 1 for i in range(KPATH_SEEN_SLOTS) if kpath_seen[i] != NULL]
    return {known[address] for address in ran if address in known}


if not KPATH_TRACED:
    del functions, trace, untrace, watch, seen
