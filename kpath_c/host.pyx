"""The only face to Python: one `Host` is one network namespace of a Linux 6.18 machine, with one clock.

All times at this face are ns since the epoch on the capture's clock, addresses are strings (dotted, or IPv6's as RFC
5952 writes them), ports are in host order. Exceptions exist from here outwards; inside are the kernel's return codes
and drop reasons.
"""
from array import array
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from kpath_c.headers.tcp cimport *
from kpath_c.net_namespace cimport cleanup_net, setup_net
from kpath_c.ip6_route cimport fib6_add_entry, ipv6_add_addr
from kpath_c.route cimport fib_add_entry, fib_add_local_addr, rt_cache_flush
from kpath_c.sched cimport *
from kpath_c.sockstate cimport sock_dict, tcp_info_dict
from kpath_c.sysctl_net_ipv4 cimport sysctl_set
from kpath_c.tcp cimport tcp_abort, tcp_get_info
from kpath_c.shim.netdevice cimport QDISC_FULL, netdev_setup
from kpath_c.shim.timer cimport timers_init
from kpath_c.tcp_cong cimport tcp_ca_get_key_by_name
from kpath_c.tcp_metrics cimport tcp_metrics_flush_all
from kpath_c.snmp_names import ICMP, ICMP6, ICMP6_IN, IP, IP6, NET, TCP

# of the C library; its header has macros that are names of members here
cdef extern int inet_pton(int family, const char *text, void *addr) nogil
cdef extern const char *inet_ntop(int family, const void *addr, char *text, unsigned int size) nogil

OPS = {
    "socket": OP_SOCKET, "bind": OP_BIND, "listen": OP_LISTEN, "accept": OP_ACCEPT, "connect": OP_CONNECT,
    "send": OP_SEND, "recv": OP_RECV, "shutdown": OP_SHUTDOWN, "close": OP_CLOSE, "poll": OP_POLL,
    "setsockopt": OP_SETSOCKOPT, "getsockopt": OP_GETSOCKOPT, "fcntl": OP_FCNTL, "sendto": OP_SENDTO,
    "tcp_info": OP_TCP_INFO, "ioctl": OP_IOCTL, "splice": OP_SPLICE,
}
STATES = ("", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
          "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV")
EVENTS = {
    EV_TCP_PROBE: "tcp_probe", EV_CONG_STATE_SET: "tcp_cong_state_set", EV_RETRANSMIT_SKB: "tcp_retransmit_skb",
    EV_RETRANSMIT_SYNACK: "tcp_retransmit_synack", EV_SET_STATE: "inet_sock_set_state",
    EV_SEND_RESET: "tcp_send_reset", EV_RECEIVE_RESET: "tcp_receive_reset", EV_BAD_CSUM: "tcp_bad_csum",
    EV_RCVBUF_GROW: "tcp_rcvbuf_grow", EV_TIMER_START: "timer_start", EV_TIMER_EXPIRE: "timer_expire",
    EV_HRTIMER_START: "hrtimer_start", EV_HRTIMER_EXPIRE: "hrtimer_expire",
    EV_RCV_SPACE_ADJUST: "tcp_rcv_space_adjust", EV_DESTROY_SOCK: "tcp_destroy_sock",
    EV_SENDMSG_LOCKED: "tcp_sendmsg_locked",
}
cdef enum:
    PIN_FIELDS = 8
    CALL_FIELDS = 8
    PLAN_FIELDS = 3

RX_MODES = {"tun": RX_TUN, "vnet": RX_VNET, "veth": RX_VETH, "nic": RX_NIC}
QDISCS = {"pfifo_fast": QDISC_PFIFO_FAST, "pfifo": QDISC_PFIFO_FAST, "noqueue": QDISC_NOQUEUE, "fq": QDISC_FQ,
          "fq_codel": QDISC_FQ_CODEL, "mq": QDISC_PFIFO_FAST}
ROUTE_METRICS = {
    "mtu": RTAX_MTU, "window": RTAX_WINDOW, "rtt": RTAX_RTT, "rttvar": RTAX_RTTVAR, "ssthresh": RTAX_SSTHRESH,
    "cwnd": RTAX_CWND, "advmss": RTAX_ADVMSS, "reordering": RTAX_REORDERING, "hoplimit": RTAX_HOPLIMIT,
    "initcwnd": RTAX_INITCWND, "rto_min": RTAX_RTO_MIN, "initrwnd": RTAX_INITRWND, "quickack": RTAX_QUICKACK,
    "fastopen_no_cookie": RTAX_FASTOPEN_NO_COOKIE,
}
# `ip route` shows milliseconds; the kernel keeps rtt in 1/8 ms and rttvar in 1/4 ms.
METRIC_SCALE = {"rtt": 8, "rttvar": 4}
ROUTE_FEATURES = {"ecn": 1, "tcp_usec_ts": 16}


cdef int in6_of(str addr, in6_addr *out) except -1:
    """An address of either family, IPv4's mapped; ValueError names what was expected."""
    cdef bytes text = addr.encode("utf-8", "replace")
    cdef bint v6 = ":" in addr
    cdef u32 v
    if b"\0" in text or inet_pton(AF_INET6 if v6 else AF_INET, text, out if v6 else <void *>&v) != 1:
        raise ValueError(f"{addr!r}: expected an IPv4 or IPv6 address")
    if not v6:
        ipv6_addr_set_v4mapped(v, out)
    return 0


cdef inline int words_to_in6(const s64[::1] words, s64 number, in6_addr *out) except -1:
    if not 0 <= 2 * number < words.shape[0]:
        raise ValueError(f"address number {number}: there are {words.shape[0] // 2}")
    out.s6_addr32[0] = htonl(<u32>(<u64>words[2 * number] >> 32))
    out.s6_addr32[1] = htonl(<u32>words[2 * number])
    out.s6_addr32[2] = htonl(<u32>(<u64>words[2 * number + 1] >> 32))
    out.s6_addr32[3] = htonl(<u32>words[2 * number + 1])
    return 0


cdef str str_of(const in6_addr *addr):
    cdef char text[46]
    if ipv6_addr_v4mapped(addr):
        inet_ntop(AF_INET, &addr.s6_addr32[3], text, sizeof(text))
    else:
        inet_ntop(AF_INET6, addr, text, sizeof(text))
    return text.decode()


cdef class _Column:
    """One column of the emitted table as a read-only buffer; it keeps its host alive."""
    cdef Host host
    cdef void *p
    cdef Py_ssize_t shape[1]
    cdef Py_ssize_t strides[1]
    cdef bytes fmt

    def __getbuffer__(self, Py_buffer *view, int flags):
        view.buf = self.p
        view.obj = self
        view.len = self.shape[0] * self.strides[0]
        view.readonly = 1
        view.itemsize = self.strides[0]
        view.format = self.fmt
        view.ndim = 1
        view.shape = self.shape
        view.strides = self.strides
        view.suboffsets = NULL
        view.internal = NULL

    def __releasebuffer__(self, Py_buffer *view):
        pass


cdef class Host:
    """One Linux host in virtual time. See /kpath_c/host.pyx for the units; `close()` frees all it holds."""
    cdef net *n
    cdef engine e
    cdef object keep
    cdef Py_buffer view
    cdef bint has_view
    cdef bint is_set_up
    cdef bint clock_given
    cdef object before_gro          # whether what arrives has not been through GRO; None: as load() finds
    cdef list arrays                # that the engine points into
    cdef list packets               # given to receive()
    cdef object planned             # times that plans point into
    cdef list streams_kept
    cdef dict pool_left

    def __cinit__(self):
        self.n = <net *>calloc(1, sizeof(net))
        if self.n == NULL:
            raise MemoryError()
        self.has_view = False

    def __init__(self, *, hz=250, addrs=("10.0.0.1",), device=None, clock=None, memory=32 << 30):
        cdef dict dev = dict(device or {})
        cdef dict clk = dict(clock or {})
        cdef net *n = self.n
        cdef s64 tick
        if not 24 <= hz <= 10000:
            raise ValueError(f"hz {hz}: expected 24 to 10000")
        if not isinstance(memory, int) or not 1 << 22 <= memory <= 1 << 50:
            raise ValueError(f"memory {memory!r}: expected 4 MiB to 1 PiB, in bytes")
        n.totalram_pages = <unsigned long>(memory // PAGE_SIZE)
        n.e.hz = hz
        n.e.tick_ns = clk.get("tick_ns") or 1000000000 // hz
        n.e.jiffies_minus_mono_ticks = clk.get("jiffies_minus_mono_ticks") or (2 ** 32 - 300 * hz)
        self.clock_given = clk.get("mono_to_real_ns") is not None
        n.e.mono_to_real_ns = clk.get("mono_to_real_ns") or 0
        n.e.mono_ns = 0
        n.e.jiffies = <unsigned long>n.e.jiffies_minus_mono_ticks
        self.fixed_secrets()
        n.closing = 0
        rx = dev.get("rx", "tun")
        if rx not in RX_MODES:
            raise ValueError(f"device rx {rx!r}: expected one of {', '.join(RX_MODES)}")
        mtu = dev.get("mtu", 1500)
        if not isinstance(mtu, int) or not 68 <= mtu <= 65535:
            raise ValueError(f"device mtu {mtu!r}: expected 68 to 65535")
        netdev_setup(n, &n.dev, RX_MODES[rx], mtu, bool(dev.get("tso", False)), bool(dev.get("gso", False)),
                     bool(dev.get("gro", False)), QDISC_PFIFO_FAST)
        self.device_limits(dev)
        if setup_net(n):
            raise MemoryError()
        engine_init(&self.e, n)
        self.is_set_up = True
        for addr in addrs:
            self.add_addr(addr)
        self.arrays = []
        self.packets = []
        self.planned = None
        self.streams_kept = []

    cdef int device_limits(self, dict dev) except -1:
        """What `ip -d link` and `ethtool -c` tell: sizes of super-segments, and how long the device waits for more."""
        cdef net_device *d = &self.n.dev
        gso = (MAX_TCP_HEADER + 1, GSO_MAX_SIZE)
        gro = (0, GRO_MAX_SIZE)
        ranges = {"gso_max_size": gso, "gso_ipv4_max_size": gso, "gso_max_segs": (1, GSO_MAX_SEGS),
                  "gro_max_size": gro, "gro_ipv4_max_size": gro, "rx_usecs": (0, 1000000)}
        for key, (low, high) in ranges.items():
            if key in dev and not (isinstance(dev[key], int) and low <= dev[key] <= high):
                raise ValueError(f"device {key} {dev[key]!r}: expected {low} to {high}")
        if "gso_max_size" in dev:
            netif_set_gso_max_size(d, dev["gso_max_size"])
        if "gro_max_size" in dev:
            netif_set_gro_max_size(d, dev["gro_max_size"])
        d.gso_ipv4_max_size = dev.get("gso_ipv4_max_size", d.gso_ipv4_max_size)
        d.gro_ipv4_max_size = dev.get("gro_ipv4_max_size", d.gro_ipv4_max_size)
        d.gso_max_segs = dev.get("gso_max_segs", d.gso_max_segs)
        d.rx_wait_ns = dev.get("rx_usecs", d.rx_wait_ns // 1000) * 1000
        self.before_gro = dev.get("before_gro")
        d.behind_gro = self.before_gro is False
        return 0

    cdef int add_addr(self, str addr) except -1:
        cdef in6_addr a
        in6_of(addr, &a)
        if ipv6_add_addr(self.n, &a) if not ipv6_addr_v4mapped(&a) else fib_add_local_addr(self.n, a.s6_addr32[3]):
            raise ValueError("addr: too many addresses")
        return 0

    cdef net *alive(self) except NULL:
        """The host, if it has not been closed."""
        if self.n == NULL:
            raise ValueError("the host is closed")
        return self.n

    cdef void fixed_secrets(self):
        """Everything that a booting kernel draws at random. A test wants the same each time."""
        cdef host_entropy *e = &self.n.e
        cdef int i
        e.random_state = 0x9E3779B97F4A7C15ULL
        for i in range(2):
            e.net_secret.key[i] = 0x0123456789ABCDEFULL + <u64>i
            e.timestamp_secret.key[i] = 0x23456789ABCDEF01ULL + <u64>i
            e.syncookie_secret[0].key[i] = 0x456789ABCDEF0123ULL + <u64>i
            e.syncookie_secret[1].key[i] = 0x6789ABCDEF012345ULL + <u64>i
            e.syncookie6_secret[0].key[i] = 0xABCDEF0123456789ULL + <u64>i
            e.syncookie6_secret[1].key[i] = 0xCDEF0123456789ABULL + <u64>i
            e.ip_id_key.key[i] = 0x89ABCDEF01234567ULL + <u64>i
        e.hash_mix = 0x5BD1E995
        e.inet_ehash_secret = 0x9E3779B9
        e.tcp_ipv4_hash_secret = 0x85EBCA6B
        e.inet6_ehash_secret = 0xC2B2AE35
        e.tcp_ipv6_hash_secret = 0x27D4EB2F

    @property
    def mono_to_real_ns(self):
        """CLOCK_REALTIME minus CLOCK_MONOTONIC, ns."""
        self.alive()
        return self.n.e.mono_to_real_ns

    @property
    def now(self):
        """The clock, ns since the epoch."""
        self.alive()
        return <s64>self.n.e.mono_ns + self.n.e.mono_to_real_ns

    @property
    def engine_address(self):
        """Where the engine lies in memory, for kpath_c.benchmarks."""
        self.alive()
        return <size_t>&self.e

    cdef void start_clock(self, s64 first):
        """Sets the clock just before the first event; a host of unknown clock is taken to be up for 1000 s."""
        cdef net *n = self.n
        cdef s64 mono
        if n.e.mono_ns:
            return
        if not self.clock_given:
            n.e.mono_to_real_ns = first - 1000000000000
            self.clock_given = True
        mono = first - n.e.mono_to_real_ns
        if mono <= 0:
            raise ValueError("clock: the first event lies before CLOCK_MONOTONIC 0")
        n.e.mono_ns = <u64>mono - 1
        n.e.jiffies = <unsigned long>(n.e.jiffies_minus_mono_ticks + <s64>(n.e.mono_ns // n.e.tick_ns))
        timers_init(n)

    # ------------------------------------------------------------------------------------ settings

    def sysctl(self, str name, str value):
        """Sets one sysctl by its full name. KeyError: 6.18 has none of that name. ValueError: it refuses the value."""
        self.alive()
        cdef bytes bn = name.encode()
        cdef bytes bv = value.encode()
        cdef int err = sysctl_set(self.n, bn, bv)
        if err == -ENOENT:
            raise KeyError(name)
        if err:
            raise ValueError(f"{name} = {value!r}: the kernel would refuse this value")

    def add_route(self, str dst, int prefixlen, dict metrics=None, locks=(), features=()):
        """Adds a route; metrics under `ip route`'s names (rtt, rttvar and rto_min in ms)."""
        self.alive()
        cdef fib_entry f
        cdef in6_addr dst6
        cdef u32 lock = 0
        cdef int index
        cdef bytes name_b
        cdef bint ecn = False
        in6_of(dst, &dst6)
        if not 0 <= prefixlen <= (128 if ":" in dst else 32):
            raise ValueError(f"{dst}/{prefixlen}: expected a prefix length of 0 to {128 if ':' in dst else 32}")
        memset(&f, 0, sizeof(f))
        f.dst = dst6.s6_addr32[3]
        f.prefixlen = <u8>prefixlen
        f.type = RTN_UNICAST
        for name, value in (metrics or {}).items():
            if name == "congctl":
                name_b = str(value).encode()
                f.ca_key = tcp_ca_get_key_by_name(name_b, &ecn)
                if not f.ca_key:
                    raise ValueError(f"route congctl {value!r}: no such congestion control")
                continue
            if name not in ROUTE_METRICS:
                raise ValueError(f"route metric {name!r}: unknown")
            index = ROUTE_METRICS[name]
            f.metrics[index - 1] = <u32>(int(value) * METRIC_SCALE.get(name, 1))
        for name in locks:
            if name not in ROUTE_METRICS:
                raise ValueError(f"route metric {name!r}: unknown")
            lock |= 1 << <int>ROUTE_METRICS[name]
        f.metrics[RTAX_LOCK - 1] = lock
        for name in features:
            if name not in ROUTE_FEATURES:
                raise ValueError(f"route feature {name!r}: unknown")
            f.metrics[RTAX_FEATURES - 1] |= <u32>ROUTE_FEATURES[name]
        if ":" in dst:
            self.add_route6(&dst6, &f)
        elif fib_add_entry(self.n, &f) == NULL:
            raise MemoryError()

    cdef int add_route6(self, const in6_addr *dst, const fib_entry *f) except -1:
        cdef fib6_info f6
        memset(&f6, 0, sizeof(f6))
        f6.dst = dst[0]
        f6.plen = f.prefixlen
        f6.fib6_type = f.type
        memcpy(f6.metrics, f.metrics, sizeof(f6.metrics))
        f6.ca_key = f.ca_key
        if fib6_add_entry(self.n, &f6) == NULL:
            raise MemoryError()
        return 0

    def qdisc(self, str kind, limit=None):
        """The root queueing discipline, by name; with a limit of 0 it takes no packet at all."""
        self.alive()
        if kind not in QDISCS:
            raise ValueError(f"qdisc {kind!r}: not modelled (expected one of {', '.join(QDISCS)})")
        self.n.dev.qdisc = QDISCS[kind] if limit != 0 else QDISC_FULL

    def latency(self, s64 rx_ns=8000, s64 call_ns=5000, s64 wake_ns=12000, s64 rx_cost=0, s64 tx_cost=0,
                s64 tick_ns=0, s64 hrtimer_ns=0):
        """How long after a packet's stamp, a call's entry and a wake-up the stack acts, and what a packet costs, ns.

        rx_cost and tx_cost: how long a received and a sent packet keep the processor from the application.
        tick_ns, hrtimer_ns: how long behind a tick and an hrtimer's expiry the timers run.
        """
        self.alive()
        self.e.rx_latency = rx_ns
        self.e.call_latency = call_ns
        self.e.wake_latency = wake_ns
        self.e.rx_cost = rx_cost
        self.e.tx_cost = tx_cost
        self.e.tick_latency = tick_ns
        self.e.hrtimer_latency = hrtimer_ns

    def pin(self, str laddr, int lport, str raddr, int rport, isn, tsoff, bint passive, tsval=None):
        """Numbers of the next connection with this 4-tuple that are not determined by input.

        isn: first sequence number; tsoff: TSval minus CLOCK_MONOTONIC in ms (None: by the host's secrets); mod 2^32.
        tsval: of the SYN or SYN-ACK; where that comes out one ms off by tsoff, it goes before.
        """
        self.alive()
        cdef pin_entry p
        memset(&p, 0, sizeof(p))
        in6_of(laddr, &p.laddr)
        in6_of(raddr, &p.raddr)
        p.lport = htons(<u16>lport)
        p.rport = htons(<u16>rport)
        p.isn = <u32>(isn & 0xFFFFFFFF)
        p.tsoff_set = tsoff is not None
        p.tsoff = <u32>((tsoff or 0) & 0xFFFFFFFF)
        p.tsval_set = tsval is not None
        p.tsval = <u32>((tsval or 0) & 0xFFFFFFFF)
        p.passive = passive
        if engine_add_pin(&self.e, &p):
            raise MemoryError()

    def pin_all(self, const s64[::1] rows not None, const s64[::1] addresses not None):
        """Many pins at once: rows of (laddr, lport, raddr, rport, isn, tsoff or -1, passive, tsval or -1).

        laddr and raddr are places in `addresses`: two int64 each, the halves of 128 bits in host order, IPv4's mapped.
        """
        self.alive()
        cdef pin_entry p
        cdef const s64 *row
        cdef Py_ssize_t i
        if rows.shape[0] % PIN_FIELDS:
            raise ValueError(f"pin_all: expected {PIN_FIELDS} numbers a row, found {rows.shape[0]} in all")
        for i in range(rows.shape[0] // PIN_FIELDS):
            row = &rows[i * PIN_FIELDS]
            memset(&p, 0, sizeof(p))
            words_to_in6(addresses, row[0], &p.laddr)
            words_to_in6(addresses, row[2], &p.raddr)
            p.lport, p.rport = htons(<u16>row[1]), htons(<u16>row[3])
            p.isn = <u32>row[4]
            p.tsoff_set = row[5] >= 0
            p.tsoff = <u32>row[5] if row[5] >= 0 else 0
            p.passive = row[6] != 0
            p.tsval_set = row[7] >= 0
            p.tsval = <u32>row[7] if row[7] >= 0 else 0
            if engine_add_pin(&self.e, &p):
                raise MemoryError()

    def stream(self, str laddr, int lport, str raddr, int rport, seq, bytes data):
        """What the local application writes into this connection, from the byte with sequence number `seq` on.

        Nothing but signatures (TCP_MD5SIG) depends on it; bytes that nobody told are zeros.
        """
        self.alive()
        cdef stream_rec r
        memset(&r, 0, sizeof(r))
        in6_of(laddr, &r.laddr)
        in6_of(raddr, &r.raddr)
        r.lport = htons(<u16>lport)
        r.rport = htons(<u16>rport)
        r.seq = <u32>(seq & 0xFFFFFFFF)
        r.length = <u32>len(data)
        r.data = <const u8 *>data
        if engine_add_stream(&self.e, &r):
            raise MemoryError()
        self.streams_kept.append(data)

    # ------------------------------------------------------------------------------------ input

    def load(self, buf, t, off, caplen, origlen):
        """The packets that arrive, in order of time.

        buf: bytes-like with the whole capture. t (ns), off (of the IP header in buf), caplen, origlen (bytes of the IP
        packet held and on the wire): int64 arrays of one length.
        """
        self.alive()
        cdef const s64[::1] vt, vo, vc, vl
        if self.has_view:
            raise RuntimeError("load: a Host takes one capture")
        PyObject_GetBuffer(buf, &self.view, PyBUF_SIMPLE)
        self.has_view = True
        self.keep = buf
        self.e.buf = <u8 *>self.view.buf
        self.e.buf_len = <size_t>self.view.len
        if not len(t):
            return
        vt, vo, vc, vl = t, off, caplen, origlen
        self.check_packets("load", vt, vo, vc, vl)
        self.arrays = [t, off, caplen, origlen]
        self.e.arr_t = <s64 *>&vt[0]
        self.e.arr_off = <s64 *>&vo[0]
        self.e.arr_cap = <s64 *>&vc[0]
        self.e.arr_len = <s64 *>&vl[0]
        self.e.n_arr = vt.shape[0]
        if self.before_gro is None:
            self.n.dev.behind_gro = not engine_before_gro(&self.e)

    cdef int check_packets(self, str who, const s64[::1] t, const s64[::1] off, const s64[::1] caplen,
                           const s64[::1] origlen) except -1:
        cdef Py_ssize_t i
        if not (t.shape[0] == off.shape[0] == caplen.shape[0] == origlen.shape[0]):
            raise ValueError(f"{who}: arrays of different lengths")
        for i in range(t.shape[0]):
            if off[i] < 0 or caplen[i] < 0 or origlen[i] < caplen[i] or off[i] + caplen[i] > self.view.len:
                raise ValueError(f"{who}: packet {i}: outside the buffer")
        return 0

    def load_more(self, t, off, caplen, origlen):
        """Further packets, behind those of load() and of earlier load_more()s, in the buffer that load() was given.

        The arrays are as load()'s, are copied, and need not live on; nor need load()'s from then on. Packets that
        have been delivered are forgotten. drops() numbers packets from the beginning of the replay. Whether the capture
        was taken in front of GRO stays as the first load() found it. A poll of the device and the application's waking
        look at the packets behind the one that arrives, so run() is to stop a little (2 ms do) before the last packet
        loaded as long as more are to come. RuntimeError: nothing was loaded. ValueError: as load().
        """
        self.alive()
        cdef const s64[::1] vt, vo, vc, vl
        if not self.has_view:
            raise RuntimeError("load_more: load() comes first")
        if not len(t):
            return
        vt, vo, vc, vl = t, off, caplen, origlen
        self.check_packets("load_more", vt, vo, vc, vl)
        if engine_load_more(&self.e, &vt[0], &vo[0], &vc[0], &vl[0], vt.shape[0]):
            raise MemoryError()
        self.arrays = []

    def add_call(self, s64 t0, s64 t1, int thread, int slot, int op, s64 a0=0, s64 a1=0, s64 a2=0, s64 a3=0, str s="",
                 ret=None, errno=None, iov=None):
        """Adds a socket call (see OPS); calls are added in order of t0. Its index."""
        self.alive()
        cdef call_ev c
        cdef bytes b
        cdef s64 i
        memset(&c, 0, sizeof(c))
        c.t0, c.t1, c.slot, c.op = t0, t1, slot, op
        c.a0, c.a1, c.a2, c.a3 = a0, a1, a2, a3
        if op == OP_RECV and ret is not None and ret > 0 and not a1 & (MSG_PEEK | MSG_WAITALL):
            c.want = ret
        if s:
            if op == OP_BIND or op == OP_CONNECT or op == OP_SENDTO:
                in6_of(s, &c.addr)
                c.has_addr = 1
            else:
                b = s.encode("latin-1")
                self.text_of_call(&c, b)
        if iov:
            if more_of(&c) == NULL:
                raise MemoryError()
            c.more.iov = <u32 *>calloc(len(iov), sizeof(u32))
            if c.more.iov == NULL:
                call_free(&c)
                raise MemoryError()
            c.more.n_iov = len(iov)
            for i in range(c.more.n_iov):
                c.more.iov[i] = iov[i]
        i = engine_add_call(&self.e, &c, thread)
        if i < 0:
            call_free(&c)
            raise MemoryError() if i == -ENOMEM else ValueError(f"add_call: slot {slot}")
        return i

    def add_calls(self, const s64[::1] rows not None, const s64[::1] addresses not None):
        """Many calls at once, in order of t0: rows of (t0, thread, slot, op, a0, a1, a2, address or -1).

        address: a place in `addresses`, see pin_all(). When they were over is not known. Calls that were added before
        and have not begun may be later than some of these: they are merged by t0, those added earlier first among
        equals, which changes the numbers of calls that have not begun. One whose time is past begins at once.
        """
        self.alive()
        cdef call_ev c
        cdef const s64 *row
        cdef Py_ssize_t i
        cdef s64 first = self.e.n_calls
        if rows.shape[0] % CALL_FIELDS:
            raise ValueError(f"add_calls: expected {CALL_FIELDS} numbers a row, found {rows.shape[0]} in all")
        try:
            for i in range(rows.shape[0] // CALL_FIELDS):
                row = &rows[i * CALL_FIELDS]
                memset(&c, 0, sizeof(c))
                c.t0, c.t1, c.slot, c.op = row[0], -1, <int>row[2], <int>row[3]
                c.a0, c.a1, c.a2 = row[4], row[5], row[6]
                if row[7] >= 0:
                    words_to_in6(addresses, row[7], &c.addr)
                    c.has_addr = 1
                if engine_add_call(&self.e, &c, <int>row[1]) < 0:
                    raise MemoryError()
            if engine_merge_calls(&self.e, first):
                raise MemoryError()
        except BaseException:
            self.e.n_calls = first
            raise

    def lengthen(self, int slot, s64 more):
        """The last send call of this slot that was added and is not over becomes `more` bytes longer, as if it had been
        so from the beginning, whether it has begun or not.

        False: there is none, or one that can not: it would exceed what one call can move (2 GiB - 4 KiB), has parts
        (iov), was made with MSG_ZEROCOPY, or waits for the answer to a SYN that took data. The first lengthen() behind
        each run() and forget() looks at all calls that there are; the others cost nothing.
        """
        self.alive()
        cdef int done
        if more < 0:
            raise ValueError(f"lengthen: {more} bytes")
        done = engine_lengthen(&self.e, slot, more)
        if done < 0:
            raise MemoryError()
        return done != 0

    def forget(self):
        """Drops what is over, so that memory stays bounded: calls that are over, with all that they gave; emitted
        segments; threads that are in no call, have none to come, and have closed what they wrote to.

        The numbers of calls and of emitted segments start anew: calls that are left come first, in their order;
        emitted_count() is 0. Connections, probes, drops and counters stay. Views of emitted_buffers() end.
        """
        self.alive()
        engine_forget(&self.e)

    cdef int text_of_call(self, call_ev *c, bytes b) except -1:
        if len(b) > BLOB_MIN:
            raise ValueError(f"add_call: a value of {len(b)} bytes, expected {BLOB_MIN} at most")
        if more_of(c) == NULL:
            raise MemoryError()
        c.more.s_len = <int>len(b)
        if len(b) < 64:
            memcpy(c.more.s, <const char *>b, len(b))
            return 0
        c.more.blob = <u8 *>calloc(BLOB_MIN, 1)
        if c.more.blob == NULL:
            raise MemoryError()
        memcpy(c.more.blob, <const char *>b, len(b))
        return 0

    def auto_reader(self, int slot, bint on, limit_len=None, *, bint planned=False):
        """Whether data on this socket (-1: on every one that is not named itself) is read as it arrives.

        planned: it is read only at the times of plan_reads(), also before there are any; without, a reader for which
        none are known when its connection opens reads as data arrives, until it gets some. off for one slot: also its
        reader that exists ends, and its planned times are dropped. on counts for sockets that open from now on.
        """
        self.alive()
        if slot < 0:
            engine_auto_read_all(&self.e, on, planned)
        elif engine_auto_read(&self.e, slot, on, planned):
            raise ValueError(f"auto_reader: slot {slot}")

    def plan_reads(self, const s64[::1] rows not None, const s64[::1] times not None):
        """Readers that read all there is at known times: rows of (slot, first, n), places in `times`.

        A time is ns << 1; | 1: only if an ACK is owed. Times of a slot that has some left come behind them and are to
        be later. A reader that had run out of them, or that read as data arrived, goes on with the new ones. What the
        first call plans stays in `times`, which the host keeps; later ones copy. A slot's plan ends with its socket.
        """
        self.alive()
        cdef const s64 *row
        cdef Py_ssize_t i, n = rows.shape[0] // PLAN_FIELDS
        cdef bint first = self.planned is None
        cdef int err
        if rows.shape[0] % PLAN_FIELDS:
            raise ValueError(f"plan_reads: expected {PLAN_FIELDS} numbers a row, found {rows.shape[0]} in all")
        for i in range(n):
            row = &rows[i * PLAN_FIELDS]
            if row[1] < 0 or row[2] < 0 or row[1] + row[2] > times.shape[0]:
                raise ValueError(f"plan_reads: slot {row[0]}: outside the {times.shape[0]} times")
        if first:
            self.planned = times
        for i in range(n):
            row = &rows[i * PLAN_FIELDS]
            if not row[2]:
                continue
            err = engine_plan_reads(&self.e, <int>row[0], <s64 *>&times[row[1]], row[2], first)
            if err:
                raise MemoryError() if err == -ENOMEM else ValueError(f"plan_reads: slot {row[0]}")

    def auto_accept(self, int slot, bint on, int first_new_slot=-1):
        """A listener accepts whatever completes, into the slots from first_new_slot on."""
        self.alive()
        if engine_slot(&self.e, slot):
            raise ValueError(f"auto_accept: slot {slot}")
        self.e.auto_accept[slot] = first_new_slot if on else -1

    def trace_state(self, limit=100000):
        """Keeps a copy of the socket at each trace point, `limit` at the most (see states())."""
        self.alive()
        self.e.limit_states = limit

    def want_probes(self, bint on):
        """Whether tcp_probe records are kept (on at first)."""
        self.alive()
        self.e.want_probes = on

    def want_tcp_info(self, bint on):
        """Whether the last tcp_info of a connection that is gone is kept, 320 bytes each (on at first).

        Without, connections() gives None for the tcp_info, segs_in and segs_out of such a one.
        """
        self.alive()
        self.e.want_infos = on

    def run(self, until=None):
        """Handles everything up to `until` (ns; None: to the end of the input)."""
        self.alive()
        cdef s64 end
        cdef s64 first = 0x7FFFFFFFFFFFFFFF
        cdef s64 i
        if self.e.n_arr:
            first = self.e.arr_t[self.e.arr_base]
        if self.e.n_calls:
            first = min(first, self.e.calls[0].t0)
        if until is not None:
            first = min(first, <s64>until)
        if first != 0x7FFFFFFFFFFFFFFF:
            self.start_clock(first)
        if until is None:
            end = self.now
            if self.e.n_arr:
                end = max(end, self.e.arr_t[self.e.n_arr - 1])
            for i in range(self.e.n_calls):
                end = max(end, self.e.calls[i].t0, self.e.calls[i].t1)
            end += 1000000
        else:
            end = until
        with nogil:
            engine_run(&self.e, end)
        if self.e.oom:
            raise MemoryError()

    def receive(self, bytes packet, t=None):
        """Delivers one IP packet at time t (ns; None: now), after everything due before. Its index, for drops()."""
        return self.receive_together([packet], t)

    def receive_together(self, list packets, t=None):
        """Delivers IP packets that the device finds in one poll. The first one's index, for drops()."""
        self.alive()
        cdef s64 at = self.now if t is None else t
        cdef s64 index = self.e.n_arr + len(self.packets)
        cdef s64 count = len(packets)
        cdef s64 *where = <s64 *>malloc(<size_t>(2 * count + 1) * sizeof(s64))
        cdef s64 i
        cdef bytes packet
        if where == NULL:
            raise MemoryError()
        try:
            for i in range(count):
                packet = packets[i]
                where[i] = <s64><size_t><u8 *>packet
                where[count + i] = len(packet)
            self.start_clock(at)
            self.packets += packets
            with nogil:
                engine_receive(&self.e, where, where + count, count, index, at)
        finally:
            free(where)
        return index

    def call(self, int slot, op, s64 a0=0, s64 a1=0, s64 a2=0, s64 a3=0, str s="", int thread=0, iov=None):
        """Makes a socket call now. (return value or -1, errno or 0, whether it is over); calls() tells of sleepers."""
        self.alive()
        cdef s64 i
        self.start_clock(self.now if self.n.e.mono_ns else 1000000000000000000)
        i = self.add_call(self.now, -1, thread, slot, OPS[op] if isinstance(op, str) else op, a0, a1, a2, a3, s,
                          iov=iov)
        with nogil:
            engine_run(&self.e, <s64>self.n.e.mono_ns + self.n.e.mono_to_real_ns)
        return self.e.calls[i].ret, self.e.calls[i].err, self.e.calls[i].state == CALL_DONE

    def abort(self, int slot):
        """Ends a slot's connection from outside, as `ss -K` does; False: there is none."""
        self.alive()
        cdef socket *s = socket_of(&self.e, slot)
        cdef int err
        if s == NULL or s.sk == NULL:
            return False
        with nogil:
            err = tcp_abort(s.sk, ECONNABORTED)
            engine_run(&self.e, <s64>self.n.e.mono_ns + self.n.e.mono_to_real_ns)
        return err == 0

    def run_to(self, s64 until, s64 emitted=-1, s64 call=-1, bint wakes=False):
        """As run(), but stops when `emitted` segments have left, this call is over, or (wakes) at a wake-up."""
        self.alive()
        self.start_clock(until)
        self.e.stop_on_wake = wakes
        with nogil:
            engine_run_to(&self.e, until, emitted if emitted >= 0 else 0x7FFFFFFFFFFFFFFF, call)
        self.e.stop_on_wake = 0
        if self.e.oom:
            raise MemoryError()

    def vnet_header(self, s64 gso_size):
        """What arrives comes from a TUN device with a vnet header that gives this segment size (0: none)."""
        self.alive()
        self.e.rx_gso = gso_size

    # ------------------------------------------------------------------------------------ results

    def want_wakes(self, bint on):
        """Whether wake-ups of sockets are kept (off at first); see wakes()."""
        self.alive()
        self.e.want_wakes = on

    def wakes(self):
        """(slot, poll key) of each wake-up since the last look."""
        self.alive()
        cdef s64 i
        out = [(self.e.wakes[i].slot, self.e.wakes[i].mask) for i in range(self.e.n_wakes)]
        self.e.n_wakes = 0
        return out

    def calls_made(self):
        self.alive()
        return self.e.n_calls

    def call_result(self, s64 i):
        """(return value or -1, errno, ns when it was over or -1, whether it is over, value that came back) of call i.

        The value: getsockopt's, poll's revents, ioctl's.
        """
        self.alive()
        if not 0 <= i < self.e.n_calls:
            raise IndexError(i)
        return (self.e.calls[i].ret, self.e.calls[i].err, self.e.calls[i].t_done, self.e.calls[i].state == CALL_DONE,
                self.e.calls[i].a2)

    def call_text(self, s64 i):
        """The string that getsockopt() gave (TCP_CONGESTION)."""
        self.alive()
        if not 0 <= i < self.e.n_calls:
            raise IndexError(i)
        return (<char *>self.e.calls[i].more.s)[:16] if self.e.calls[i].more != NULL else bytes(16)

    def call_bytes(self, s64 i):
        """What getsockopt() gave for TCP_CC_INFO, TCP_REPAIR_WINDOW, TCP_SAVED_SYN and TCP_FASTOPEN_KEY."""
        self.alive()
        if not 0 <= i < self.e.n_calls:
            raise IndexError(i)
        cdef call_more *more = self.e.calls[i].more
        return b"" if more == NULL or more.blob == NULL else (<char *>more.blob)[:more.s_len]

    def received(self, s64 i):
        """What a receive gave besides data: {"flags": msg_flags, "control": [(level, type, data)]}.

        A stamp is in ns, an error a dictionary.
        """
        self.alive()
        cdef msg_ext *got
        if not 0 <= i < self.e.n_calls:
            raise IndexError(i)
        if self.e.calls[i].more == NULL:
            return {"flags": 0, "control": []}
        got = &self.e.calls[i].more.got
        control = []
        if got.stamp_type:
            control.append((SOL_SOCKET, got.stamp_type, got.stamp))
        if got.has_stamp:
            control.append((SOL_SOCKET, 37, got.stamp))
        if got.has_inq:
            control.append((SOL_TCP, 36, got.inq))
        if got.has_ee:
            control.append((SOL_IPV6 if got.ee_v6 else SOL_IP, IPV6_RECVERR if got.ee_v6 else IP_RECVERR, {
                "ee_errno": got.ee.ee_errno, "ee_origin": got.ee.ee_origin, "ee_type": got.ee.ee_type,
                "ee_code": got.ee.ee_code, "ee_info": got.ee.ee_info, "ee_data": got.ee.ee_data}))
        return {"flags": got.msg_flags, "control": control}

    def flush_tcp_metrics(self):
        """`ip tcp_metrics flush all`."""
        self.alive()
        tcp_metrics_flush_all(self.n)

    def device(self, *, mtu=None, tso=None, gso=None):
        """Changes the device while it runs (`ip link set mtu`, `ethtool -K`)."""
        self.alive()
        cdef u64 bits = <u64>(NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN)
        if mtu is not None:
            if not 68 <= mtu <= 65535:
                raise ValueError(f"device mtu {mtu!r}: expected 68 to 65535")
            self.n.dev.mtu = mtu
            rt_cache_flush(self.n)
        if tso is not None:
            self.n.dev.features = self.n.dev.features | bits if tso else self.n.dev.features & ~bits
        if gso is not None:
            bits = <u64>NETIF_F_GSO
            self.n.dev.features = self.n.dev.features | bits if gso else self.n.dev.features & ~bits

    def emitted_count(self):
        self.alive()
        return self.e.n_em

    def emitted(self, s64 i):
        """(ns, connection index or -1, payload bytes, their stream offset or -1, IP and TCP headers) of segment i."""
        self.alive()
        if not 0 <= i < self.e.n_em:
            raise IndexError(i)
        return (self.e.em_t[i], self.e.em_conn[i], self.e.em_plen[i], self.e.em_soff[i],
                (<u8 *>(self.e.hdr + self.e.em_off[i]))[:self.e.em_hlen[i]])

    cdef object column(self, void *p, Py_ssize_t n, Py_ssize_t size, bytes fmt):
        cdef _Column c
        if n == 0:
            return memoryview(array("B" if size == 1 else "i" if size == 4 else "q"))
        c = _Column()
        c.host, c.p, c.fmt = self, p, fmt
        c.shape[0], c.strides[0] = n, size
        return memoryview(c)

    def emitted_buffers(self):
        """(headers, t, off, hlen, plen, soff, conn): emitted segments, without a copy; valid until the next run()."""
        self.alive()
        cdef engine *e = &self.e
        return (self.column(e.hdr, e.hdr_len, 1, b"B"), self.column(e.em_t, e.n_em, 8, b"q"),
                self.column(e.em_off, e.n_em, 8, b"q"), self.column(e.em_hlen, e.n_em, 4, b"i"),
                self.column(e.em_plen, e.n_em, 4, b"i"), self.column(e.em_soff, e.n_em, 8, b"q"),
                self.column(e.em_conn, e.n_em, 4, b"i"))

    def probes(self):
        """tcp_probe records, as shared in `interfaces.md`: a list of dictionaries."""
        self.alive()
        cdef list out = []
        cdef probe_rec *r
        cdef s64 i
        for i in range(self.e.n_probes):
            r = &self.e.probes[i]
            out.append({
                "time": r.t, "saddr": str_of(&r.saddr), "sport": r.sport, "daddr": str_of(&r.daddr), "dport": r.dport,
                "data_len": r.data_len, "snd_nxt": r.snd_nxt, "snd_una": r.snd_una, "snd_cwnd": r.snd_cwnd,
                "ssthresh": r.ssthresh, "snd_wnd": r.snd_wnd, "srtt": r.srtt, "rcv_wnd": r.rcv_wnd,
                "ca_state": r.ca_state, "rto": r.rto, "packets_out": r.packets_out, "retrans_out": r.retrans_out,
                "lost_out": r.lost_out, "sacked_out": r.sacked_out})
        return out

    def counters(self):
        """The non-zero SNMP and TcpExt counters under nstat's names, without the TcpExt prefix."""
        self.alive()
        cdef dict out = {}
        for names, which in ((IP, 0), (ICMP, 1), (TCP, 2), (NET, 3), (IP6, 4), (ICMP6, 5), (ICMP6_IN, 6)):
            for i, name in names.items():
                if which == 0:
                    v = self.n.mib.ip[<int>i]
                elif which == 1:
                    v = self.n.mib.icmp[<int>i]
                elif which == 2:
                    v = self.n.mib.tcp[<int>i]
                elif which == 3:
                    v = self.n.mib.net[<int>i]
                elif which == 4:
                    v = self.n.mib.ip6[<int>i]
                elif which == 5:
                    v = self.n.mib.icmp6[<int>i]
                else:
                    v = self.n.mib.icmp6_in[<int>i]
                if v:
                    out[name] = v
        return out

    def connections(self, ports=None):
        """Every connection that was opened or accepted, in order: a list of dictionaries.

        ports: a set of (local, remote) ports; only connections between those.
        """
        self.alive()
        cdef list out = []
        cdef conn_rec *c
        cdef tcp_info info
        cdef dict d
        cdef int i
        cdef set waiting = self.in_time_wait()
        for i in range(self.e.n_conns):
            c = &self.e.conns[i]
            if ports is not None and (c.lport, c.rport) not in ports:
                continue
            memset(&info, 0, sizeof(info))
            if c.sk != NULL:
                tcp_get_info(c.sk, &info)
                info.tcpi_state = c.sk.sk_state
            elif c.info != NULL:
                memcpy(&info, c.info, sizeof(info))
            d = tcp_info_dict(&info) if c.sk != NULL or c.info != NULL else None
            out.append({"laddr": str_of(&c.laddr), "lport": c.lport, "raddr": str_of(&c.raddr), "rport": c.rport,
                        "passive": bool(c.passive), "t_open": c.t_open,
                        "state": "TIME_WAIT" if i in waiting else STATES[c.state],
                        "segs_in": d and d["tcpi_segs_in"], "segs_out": d and d["tcpi_segs_out"], "tcp_info": d})
        return out

    cdef set in_time_wait(self):
        """The numbers of the connections that are."""
        cdef list_head *p = self.n.all_timewait.next
        cdef inet_timewait_sock *tw
        cdef set out = set()
        while p != &self.n.all_timewait:
            tw = <inet_timewait_sock *>(<u8 *>p - <size_t>&(<inet_timewait_sock *>NULL).tw_host_node)
            out.add(tw.trace_id)
            p = p.next
        return out

    def calls(self):
        """What came of each call: (return value or -1, errno or 0, ns when it was over or -1, whether it is over)."""
        self.alive()
        cdef s64 i
        return [(self.e.calls[i].ret, self.e.calls[i].err, self.e.calls[i].t_done, self.e.calls[i].state == CALL_DONE)
                for i in range(self.e.n_calls)]

    def call_info(self, s64 i):
        """TCP_INFO that the tcp_info call of this index saw, or None."""
        self.alive()
        if not 0 <= i < self.e.n_infos or self.e.infos[i] == NULL:
            return None
        return tcp_info_dict(<tcp_info *>self.e.infos[i])

    def drops(self):
        """(ns, index of the arrival, the kernel's drop reason) of each packet that was dropped."""
        from kpath_c.dropreason_names import DROP_REASONS
        self.alive()
        cdef s64 i
        return [(self.e.drops[i].t, self.e.drops[i].packet, DROP_REASONS[self.e.drops[i].reason]
                 if self.e.drops[i].reason < len(DROP_REASONS) else str(self.e.drops[i].reason))
                for i in range(self.e.n_drops)]

    def warnings(self):
        """What was reached and is not ported yet."""
        self.alive()
        cdef int i
        return ["not ported yet: " + self.e.not_ported[i].decode() for i in range(self.e.n_not_ported)]

    def states(self):
        """(ns, event name, argument, socket as a dictionary) at each trace point, if trace_state() asked for them."""
        self.alive()
        cdef s64 i
        cdef state_rec *r
        out = []
        for i in range(self.e.n_states):
            r = &self.e.states[i]
            out.append((r.t, EVENTS.get(r.event, str(r.event)), r.arg, sock_dict(&r.tp)))
        return out

    def sock_state(self, int slot):
        """Every scalar field of the socket in this slot, or None."""
        self.alive()
        if not 0 <= slot < self.e.n_slots or self.e.slots[slot] == NULL or self.e.slots[slot].sk == NULL:
            return None
        return sock_dict(tcp_sk(self.e.slots[slot].sk))

    def pools(self):
        """Live objects by pool, and sockets in the hash tables by protocol ("inuse"); all 0 after close()."""
        cdef kmem_cache *all_[13]
        cdef int i
        if self.n == NULL:
            return dict(self.pool_left)
        all_[:] = [&self.n.tcp_prot_slab, &self.n.tcp_request_slab, &self.n.tcp_timewait_slab, &self.n.skbuff_cache,
                   &self.n.skbuff_fclone_cache, &self.n.bind_bucket_slab, &self.n.bind2_bucket_slab,
                   &self.n.socket_slab, &self.n.dst_slab, &self.n.misc_slab, &self.n.page_slab, &self.n.txq_slab,
                   &self.n.tcpv6_prot_slab]
        live = {all_[i].name.decode(): all_[i].live for i in range(13)}
        return {**live, "TCP inuse": self.n.tcp_prot.inuse, "TCPv6 inuse": self.n.tcpv6_prot.inuse}

    def close(self):
        """Ends every socket and timer and frees the host; pools() then tells what was not given back.

        Every other method but pools() raises ValueError from then on.
        """
        if self.n == NULL:
            return
        self.shut_down()
        self.pool_left = self.pools()
        self.release()

    cdef void shut_down(self):
        if self.e.n_tasks and self.n.e.mono_ns:
            engine_close_all(&self.e)
        cleanup_net(self.n)

    cdef void release(self):
        engine_free(&self.e)
        free(self.n)
        self.n = NULL
        if self.has_view:
            PyBuffer_Release(&self.view)
            self.has_view = False

    def __dealloc__(self):
        if self.n == NULL:
            return
        if self.is_set_up:
            self.shut_down()
        self.release()
