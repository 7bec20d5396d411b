"""What every ported file takes for granted: errno, flags, lists, red-black tree walks, arithmetic, byte order, time.

Follows include/linux/{kernel,minmax,list,list_nulls,rbtree,bitops,jiffies,random}.h and the uapi constants of Linux
6.18 (GPL-2.0-only). Globals of the kernel (jiffies, HZ, the clocks, the random pool) are functions of one host,
`net`.
"""
from libc.string cimport memset, memcpy, memcmp, memmove
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.snmp cimport *
from kpath_c.headers.dropreason cimport *

cdef extern from *:
    """
    #ifndef KPATH_BUG
    #include <stdlib.h>
    #ifdef KPATH_DEBUG
    #define KPATH_BUG(c) do { if (__builtin_expect(!!(c), 0)) abort(); } while (0)
    #else
    #define KPATH_BUG(c) do { (void)(c); } while (0)
    #endif
    #define kpath_likely(c) __builtin_expect(!!(c), 1)
    #define kpath_unlikely(c) __builtin_expect(!!(c), 0)
    #endif
    """
    void BUG_ON "KPATH_BUG"(bint condition) noexcept nogil      # aborts in a debug build only
    bint likely "kpath_likely"(bint condition) noexcept nogil
    bint unlikely "kpath_unlikely"(bint condition) noexcept nogil
    uint16_t __builtin_bswap16(uint16_t x) noexcept nogil
    uint32_t __builtin_bswap32(uint32_t x) noexcept nogil
    uint64_t __builtin_bswap64(uint64_t x) noexcept nogil
    int __builtin_clz(unsigned int x) noexcept nogil
    int __builtin_clzll(unsigned long long x) noexcept nogil
    int __builtin_ctz(unsigned int x) noexcept nogil
    int __builtin_ctzll(unsigned long long x) noexcept nogil
    int __builtin_popcount(unsigned int x) noexcept nogil
    int __builtin_popcountll(unsigned long long x) noexcept nogil
    void prefetch "__builtin_prefetch"(const void *p) noexcept nogil
    void prefetchw "__builtin_prefetch"(const void *p, int rw) noexcept nogil

# ---------------------------------------------------------------------------------------------- constants

cdef enum:
    EPERM = 1
    ENOENT = 2
    EINTR = 4
    EIO = 5
    ENXIO = 6
    E2BIG = 7
    EBADF = 9
    EAGAIN = 11
    EWOULDBLOCK = 11
    ENOMEM = 12
    EACCES = 13
    EFAULT = 14
    EBUSY = 16
    EEXIST = 17
    EXDEV = 18
    ENODEV = 19
    EINVAL = 22
    ENFILE = 23
    EMFILE = 24
    ENOTTY = 25
    EFBIG = 27
    EPIPE = 32
    EDOM = 33
    ERANGE = 34
    ENOSYS = 38
    ENODATA = 61
    ETIME = 62
    EPROTO = 71
    EBADMSG = 74
    EOVERFLOW = 75
    ENOTSOCK = 88
    EDESTADDRREQ = 89
    EMSGSIZE = 90
    EPROTOTYPE = 91
    ENOPROTOOPT = 92
    EPROTONOSUPPORT = 93
    ESOCKTNOSUPPORT = 94
    EOPNOTSUPP = 95
    EPFNOSUPPORT = 96
    EAFNOSUPPORT = 97
    EADDRINUSE = 98
    EADDRNOTAVAIL = 99
    ENETDOWN = 100
    ENETUNREACH = 101
    ENETRESET = 102
    ECONNABORTED = 103
    ECONNRESET = 104
    ENOBUFS = 105
    EISCONN = 106
    ENOTCONN = 107
    ESHUTDOWN = 108
    ETOOMANYREFS = 109
    ETIMEDOUT = 110
    ECONNREFUSED = 111
    EHOSTDOWN = 112
    EHOSTUNREACH = 113
    EALREADY = 114
    EINPROGRESS = 115
    EREMOTEIO = 121
    EKEYREJECTED = 129
    ERESTARTSYS = 512           # the call sleeps: enter it again with msg.resume set
    ENOIOCTLCMD = 515
    ENOTSUPP = 524

cdef enum:
    EPOLLIN = 0x001
    EPOLLPRI = 0x002
    EPOLLOUT = 0x004
    EPOLLERR = 0x008
    EPOLLHUP = 0x010
    EPOLLNVAL = 0x020
    EPOLLRDNORM = 0x040
    EPOLLRDBAND = 0x080
    EPOLLWRNORM = 0x100
    EPOLLWRBAND = 0x200
    EPOLLMSG = 0x400
    EPOLLRDHUP = 0x2000

cdef enum:
    MSG_OOB = 0x1
    MSG_PEEK = 0x2
    MSG_DONTROUTE = 0x4
    MSG_CTRUNC = 0x8
    MSG_PROBE = 0x10
    MSG_TRUNC = 0x20
    MSG_DONTWAIT = 0x40
    MSG_EOR = 0x80
    MSG_WAITALL = 0x100
    MSG_FIN = 0x200
    MSG_SYN = 0x400
    MSG_CONFIRM = 0x800
    MSG_RST = 0x1000
    MSG_ERRQUEUE = 0x2000
    MSG_NOSIGNAL = 0x4000
    MSG_MORE = 0x8000
    MSG_WAITFORONE = 0x10000
    MSG_BATCH = 0x40000
    MSG_NO_SHARED_FRAGS = 0x80000
    MSG_SENDPAGE_DECRYPTED = 0x100000
    MSG_SOCK_DEVMEM = 0x2000000
    MSG_ZEROCOPY = 0x4000000
    MSG_SPLICE_PAGES = 0x8000000
    MSG_FASTOPEN = 0x20000000
    MSG_CMSG_CLOEXEC = 0x40000000

cdef enum:
    AF_UNSPEC = 0
    AF_INET = 2
    AF_INET6 = 10
    PF_INET = 2
    PF_INET6 = 10
    SOCK_STREAM = 1
    SOCK_DGRAM = 2
    SOCK_RAW = 3
    IPPROTO_IP = 0
    IPPROTO_ICMP = 1
    IPPROTO_TCP = 6
    IPPROTO_UDP = 17
    IPPROTO_ICMPV6 = 58
    IPPROTO_MPTCP = 262
    O_NONBLOCK = 0x800
    SHUT_RD = 0
    SHUT_WR = 1
    SHUT_RDWR = 2
    SOMAXCONN = 4096

cdef enum:
    SOL_IP = 0
    SOL_IPV6 = 41
    SOL_SOCKET = 1
    SOL_TCP = 6
    SO_DEBUG = 1
    SO_REUSEADDR = 2
    SO_TYPE = 3
    SO_ERROR = 4
    SO_DONTROUTE = 5
    SO_BROADCAST = 6
    SO_SNDBUF = 7
    SO_RCVBUF = 8
    SO_KEEPALIVE = 9
    SO_OOBINLINE = 10
    SO_NO_CHECK = 11
    SO_PRIORITY = 12
    SO_LINGER = 13
    SO_BSDCOMPAT = 14
    SO_REUSEPORT = 15
    SO_PASSCRED = 16
    SO_PEERCRED = 17
    SO_RCVLOWAT = 18
    SO_SNDLOWAT = 19
    SO_RCVTIMEO = 20
    SO_SNDTIMEO = 21
    SO_BINDTODEVICE = 25
    SO_ATTACH_FILTER = 26
    SO_DETACH_FILTER = 27
    SO_TIMESTAMP = 29
    SO_ACCEPTCONN = 30
    SO_SNDBUFFORCE = 32
    SO_RCVBUFFORCE = 33
    SO_TIMESTAMPNS = 35
    SO_MARK = 36
    SO_TIMESTAMPING = 37
    SO_PROTOCOL = 38
    SO_DOMAIN = 39
    SO_RXQ_OVFL = 40
    SO_PEEK_OFF = 42
    SO_NOFCS = 43
    SO_LOCK_FILTER = 44
    SO_SELECT_ERR_QUEUE = 45
    SO_BUSY_POLL = 46
    SO_MAX_PACING_RATE = 47
    SO_INCOMING_CPU = 49
    SO_MEMINFO = 55
    SO_INCOMING_NAPI_ID = 56
    SO_COOKIE = 57
    SO_ZEROCOPY = 60
    SO_TXTIME = 61
    SO_BINDTOIFINDEX = 62
    SO_TIMESTAMP_NEW = 63
    SO_TIMESTAMPNS_NEW = 64
    SO_TIMESTAMPING_NEW = 65
    SO_RCVTIMEO_NEW = 66
    SO_SNDTIMEO_NEW = 67
    SO_PREFER_BUSY_POLL = 69
    SO_BUSY_POLL_BUDGET = 70
    SO_NETNS_COOKIE = 71
    SO_BUF_LOCK = 72
    SO_RESERVE_MEM = 73
    SO_TXREHASH = 74
    SO_RCVMARK = 75
    SO_RCVPRIORITY = 82

cdef enum:
    SHUTDOWN_MASK = 3
    RCV_SHUTDOWN = 1
    SEND_SHUTDOWN = 2
    SOCK_SNDBUF_LOCK = 1
    SOCK_RCVBUF_LOCK = 2
    SOCK_BINDADDR_LOCK = 4
    SOCK_BINDPORT_LOCK = 8
    SOCK_CONNECT_BIND = 16
    SOCK_BUF_LOCK_MASK = 3
    PROT_SOCK = 1024
    SOCK_TXREHASH_DEFAULT = 255
    SOCK_TXREHASH_DISABLED = 0
    SOCK_TXREHASH_ENABLED = 1

cdef enum:
    PAGE_SHIFT = 12
    PAGE_SIZE = 4096
    L1_CACHE_BYTES = 64
    SMP_CACHE_BYTES = 64
    USER_HZ = 100
    BITS_PER_LONG = 64
    USHRT_MAX = 0xFFFF
    U8_MAX = 0xFF
    U16_MAX = 0xFFFF
    S16_MAX = 0x7FFF
    INT_MAX = 0x7FFFFFFF
    S32_MAX = 0x7FFFFFFF
    MSEC_PER_SEC = 1000
    USUAL_HZ = 250
    USEC_PER_MSEC = 1000
    USEC_PER_SEC = 1000000
    NSEC_PER_USEC = 1000
    NSEC_PER_MSEC = 1000000
    NSEC_PER_SEC = 1000000000

cdef enum:
    ETH_P_IP = 0x0800
    ETH_P_IPV6 = 0x86DD
    ETH_HLEN = 14
    PACKET_HOST = 0
    PACKET_BROADCAST = 1
    PACKET_MULTICAST = 2
    PACKET_OTHERHOST = 3
    PACKET_OUTGOING = 4

# Constants whose type matters: functions, so that the arithmetic is done in that type.
cdef inline unsigned int UINT_MAX() noexcept nogil:
    return <unsigned int>0xFFFFFFFFU

cdef inline u32 U32_MAX() noexcept nogil:
    return <u32>0xFFFFFFFFU

cdef inline u64 U64_MAX() noexcept nogil:
    return <u64>0xFFFFFFFFFFFFFFFFULL

cdef inline long LONG_MAX() noexcept nogil:
    return <long>0x7FFFFFFFFFFFFFFFLL

cdef inline unsigned long ULONG_MAX() noexcept nogil:
    return <unsigned long>0xFFFFFFFFFFFFFFFFULL

# schedule_timeout(): never
cdef inline long MAX_SCHEDULE_TIMEOUT() noexcept nogil:
    return <long>0x7FFFFFFFFFFFFFFFLL

cdef inline unsigned long MAX_JIFFY_OFFSET() noexcept nogil:
    return <unsigned long>0x3FFFFFFFFFFFFFFELL

cdef inline s64 KTIME_MAX() noexcept nogil:
    return <s64>0x7FFFFFFFFFFFFFFFLL

# enum timer_kind: timer_list.kind and hrtimer.kind, for traces
cdef enum:
    TIMER_KIND_OTHER = 0
    TIMER_KIND_RTX = 1
    TIMER_KIND_DELACK = 2
    TIMER_KIND_KEEPALIVE = 3
    TIMER_KIND_SYNACK = 4
    TIMER_KIND_TIMEWAIT = 5
    TIMER_KIND_PACE = 6
    TIMER_KIND_COMP_ACK = 7
    TIMER_KIND_QDISC = 8
    TIMER_KIND_TX_DONE = 9

cdef enum:
    HRTIMER_NORESTART = 0
    HRTIMER_RESTART = 1

# Trace points. `arg` of the hook is told behind each.
cdef enum:
    EV_TCP_PROBE = 0
    EV_CONG_STATE_SET = 1               # new state
    EV_RETRANSMIT_SKB = 2               # err
    EV_RETRANSMIT_SYNACK = 3            # the request, as a number
    EV_SET_STATE = 4                    # old << 8 | new (hooks.state gets it too)
    EV_SEND_RESET = 5                   # reason
    EV_RECEIVE_RESET = 6
    EV_BAD_CSUM = 7
    EV_RCVBUF_GROW = 8                  # time, us
    EV_TIMER_START = 9                  # two events: expires, then bucket_expiry, with kind in bits 56..63
    EV_TIMER_EXPIRE = 10                # kind << 56 | jiffies
    EV_HRTIMER_START = 11               # kind << 56 | expires, ns
    EV_HRTIMER_EXPIRE = 12              # kind << 56 | now, ns
    EV_RCV_SPACE_ADJUST = 13
    EV_DESTROY_SOCK = 14
    EV_SENDMSG_LOCKED = 15              # size_goal
    EV_CWND_REDUCTION = 16              # flag
    EV_TIMER_CANCEL = 17                # kind << 56 | expires
    EV_HRTIMER_CANCEL = 18              # kind << 56 | expires, ns
    EV_ERROR_REPORT = 19                # sk_err
    EV_DATA_READY = 20
    EV_EXCEED_BUF_LIMIT = 21            # SK_MEM_SEND / SK_MEM_RECV
    EV_TIMER_BUCKET = 22                # follows EV_TIMER_START: kind << 56 | bucket_expiry

# ---------------------------------------------------------------------------------------------- min, max, clamp

cdef inline int min_int(int a, int b) noexcept nogil:
    return a if a < b else b

cdef inline int max_int(int a, int b) noexcept nogil:
    return a if a > b else b

cdef inline int clamp_int(int v, int lo, int hi) noexcept nogil:
    return max_int(lo, min_int(v, hi))

cdef inline s32 min_s32(s32 a, s32 b) noexcept nogil:
    return a if a < b else b

cdef inline s32 max_s32(s32 a, s32 b) noexcept nogil:
    return a if a > b else b

cdef inline s32 clamp_s32(s32 v, s32 lo, s32 hi) noexcept nogil:
    return max_s32(lo, min_s32(v, hi))

cdef inline u32 min_u32(u32 a, u32 b) noexcept nogil:
    return a if a < b else b

cdef inline u32 max_u32(u32 a, u32 b) noexcept nogil:
    return a if a > b else b

cdef inline u32 clamp_u32(u32 v, u32 lo, u32 hi) noexcept nogil:
    return max_u32(lo, min_u32(v, hi))

cdef inline u32 min3_u32(u32 a, u32 b, u32 c) noexcept nogil:
    return min_u32(min_u32(a, b), c)

cdef inline u32 max3_u32(u32 a, u32 b, u32 c) noexcept nogil:
    return max_u32(max_u32(a, b), c)

cdef inline int min3_int(int a, int b, int c) noexcept nogil:
    return min_int(min_int(a, b), c)

cdef inline int max3_int(int a, int b, int c) noexcept nogil:
    return max_int(max_int(a, b), c)

cdef inline u16 min_u16(u16 a, u16 b) noexcept nogil:
    return a if a < b else b

cdef inline u16 max_u16(u16 a, u16 b) noexcept nogil:
    return a if a > b else b

cdef inline u8 min_u8(u8 a, u8 b) noexcept nogil:
    return a if a < b else b

cdef inline u8 max_u8(u8 a, u8 b) noexcept nogil:
    return a if a > b else b

cdef inline s64 min_s64(s64 a, s64 b) noexcept nogil:
    return a if a < b else b

cdef inline s64 max_s64(s64 a, s64 b) noexcept nogil:
    return a if a > b else b

cdef inline s64 clamp_s64(s64 v, s64 lo, s64 hi) noexcept nogil:
    return max_s64(lo, min_s64(v, hi))

cdef inline u64 min_u64(u64 a, u64 b) noexcept nogil:
    return a if a < b else b

cdef inline u64 max_u64(u64 a, u64 b) noexcept nogil:
    return a if a > b else b

cdef inline u64 clamp_u64(u64 v, u64 lo, u64 hi) noexcept nogil:
    return max_u64(lo, min_u64(v, hi))

cdef inline long min_long(long a, long b) noexcept nogil:
    return a if a < b else b

cdef inline long max_long(long a, long b) noexcept nogil:
    return a if a > b else b

cdef inline long clamp_long(long v, long lo, long hi) noexcept nogil:
    return max_long(lo, min_long(v, hi))

cdef inline unsigned long min_ulong(unsigned long a, unsigned long b) noexcept nogil:
    return a if a < b else b

cdef inline unsigned long max_ulong(unsigned long a, unsigned long b) noexcept nogil:
    return a if a > b else b

cdef inline unsigned long clamp_ulong(unsigned long v, unsigned long lo, unsigned long hi) noexcept nogil:
    return max_ulong(lo, min_ulong(v, hi))

cdef inline size_t min_size(size_t a, size_t b) noexcept nogil:
    return a if a < b else b

cdef inline size_t max_size(size_t a, size_t b) noexcept nogil:
    return a if a > b else b

# The smaller of the two that are not 0.
cdef inline u32 min_not_zero_u32(u32 a, u32 b) noexcept nogil:
    return b if a == 0 else (a if b == 0 else min_u32(a, b))

cdef inline int abs_int(int a) noexcept nogil:
    return -a if a < 0 else a

cdef inline long abs_long(long a) noexcept nogil:
    return -a if a < 0 else a

# A condition that should never be true: told by its value, as in the kernel.
cdef inline bint WARN_ON(bint condition) noexcept nogil:
    return condition

cdef inline bint WARN_ON_ONCE(bint condition) noexcept nogil:
    return condition

# ---------------------------------------------------------------------------------------------- byte order

cdef inline u16 htons(u16 x) noexcept nogil:
    return __builtin_bswap16(x)

cdef inline u16 ntohs(u16 x) noexcept nogil:
    return __builtin_bswap16(x)

cdef inline u32 htonl(u32 x) noexcept nogil:
    return __builtin_bswap32(x)

cdef inline u32 ntohl(u32 x) noexcept nogil:
    return __builtin_bswap32(x)

cdef inline u16 cpu_to_be16(u16 x) noexcept nogil:
    return __builtin_bswap16(x)

cdef inline u32 cpu_to_be32(u32 x) noexcept nogil:
    return __builtin_bswap32(x)

cdef inline u64 cpu_to_be64(u64 x) noexcept nogil:
    return __builtin_bswap64(x)

cdef inline u16 be16_to_cpu(u16 x) noexcept nogil:
    return __builtin_bswap16(x)

cdef inline u64 be64_to_cpu(u64 x) noexcept nogil:
    return __builtin_bswap64(x)

cdef inline u64 cpu_to_le64(u64 x) noexcept nogil:
    return x

cdef inline u64 le64_to_cpu(u64 x) noexcept nogil:
    return x

cdef inline u32 le32_to_cpu(u32 x) noexcept nogil:
    return x

cdef inline u16 get_unaligned_be16(const void *p) noexcept nogil:
    cdef u16 x
    memcpy(&x, p, 2)
    return __builtin_bswap16(x)

cdef inline u32 get_unaligned_be32(const void *p) noexcept nogil:
    cdef u32 x
    memcpy(&x, p, 4)
    return __builtin_bswap32(x)

cdef inline u16 get_unaligned_u16(const void *p) noexcept nogil:
    cdef u16 x
    memcpy(&x, p, 2)
    return x

cdef inline u32 get_unaligned_u32(const void *p) noexcept nogil:
    cdef u32 x
    memcpy(&x, p, 4)
    return x

cdef inline u64 get_unaligned_u64(const void *p) noexcept nogil:
    cdef u64 x
    memcpy(&x, p, 8)
    return x

cdef inline u64 get_unaligned_le64(const void *p) noexcept nogil:
    return get_unaligned_u64(p)

cdef inline void put_unaligned_be16(u16 val, void *p) noexcept nogil:
    cdef u16 x = __builtin_bswap16(val)
    memcpy(p, &x, 2)

cdef inline void put_unaligned_be32(u32 val, void *p) noexcept nogil:
    cdef u32 x = __builtin_bswap32(val)
    memcpy(p, &x, 4)

cdef inline void put_unaligned_u32(u32 val, void *p) noexcept nogil:
    memcpy(p, &val, 4)

cdef inline void put_unaligned_u64(u64 val, void *p) noexcept nogil:
    memcpy(p, &val, 8)

# ---------------------------------------------------------------------------------------------- bits and arithmetic

cdef inline int fls(unsigned int x) noexcept nogil:
    return 32 - __builtin_clz(x) if x else 0

cdef inline int fls64(u64 x) noexcept nogil:
    return 64 - __builtin_clzll(x) if x else 0

cdef inline int fls_long(unsigned long x) noexcept nogil:
    return fls64(x)

cdef inline unsigned long __fls(unsigned long x) noexcept nogil:
    return <unsigned long>(63 - __builtin_clzll(x))

cdef inline int ffs(unsigned int x) noexcept nogil:
    return __builtin_ctz(x) + 1 if x else 0

cdef inline unsigned long __ffs(unsigned long x) noexcept nogil:
    return <unsigned long>__builtin_ctzll(x)

cdef inline int ilog2(u64 x) noexcept nogil:
    return fls64(x) - 1

cdef inline unsigned int hweight8(unsigned int w) noexcept nogil:
    return <unsigned int>__builtin_popcount(w & 0xFF)

cdef inline unsigned int hweight16(unsigned int w) noexcept nogil:
    return <unsigned int>__builtin_popcount(w & 0xFFFF)

cdef inline unsigned int hweight32(unsigned int w) noexcept nogil:
    return <unsigned int>__builtin_popcount(w)

cdef inline unsigned long hweight64(u64 w) noexcept nogil:
    return <unsigned long>__builtin_popcountll(w)

cdef inline bint is_power_of_2(unsigned long n) noexcept nogil:
    return n != 0 and (n & (n - 1)) == 0

cdef inline unsigned long roundup_pow_of_two(unsigned long n) noexcept nogil:
    return (<unsigned long>1) << fls64(n - 1)

cdef inline unsigned long rounddown_pow_of_two(unsigned long n) noexcept nogil:
    return (<unsigned long>1) << (fls64(n) - 1)

cdef inline u64 ror64(u64 w, unsigned int shift) noexcept nogil:
    return (w >> (shift & 63)) | (w << ((<unsigned int>(-(<int>shift))) & 63))

cdef inline u64 rol64(u64 w, unsigned int shift) noexcept nogil:
    return (w << (shift & 63)) | (w >> ((<unsigned int>(-(<int>shift))) & 63))

cdef inline u32 rol32(u32 w, unsigned int shift) noexcept nogil:
    return (w << (shift & 31)) | (w >> ((<unsigned int>(-(<int>shift))) & 31))

cdef inline u32 ror32(u32 w, unsigned int shift) noexcept nogil:
    return (w >> (shift & 31)) | (w << ((<unsigned int>(-(<int>shift))) & 31))

cdef inline unsigned long DIV_ROUND_UP(unsigned long n, unsigned long d) noexcept nogil:
    return (n + d - 1) // d

cdef inline u32 DIV_ROUND_UP_u32(u32 n, u32 d) noexcept nogil:
    return (n + d - 1) // d

cdef inline u64 DIV_ROUND_UP_ULL(u64 n, u64 d) noexcept nogil:
    return (n + d - 1) // d

cdef inline unsigned long ALIGN(unsigned long x, unsigned long a) noexcept nogil:
    return (x + a - 1) & ~(a - 1)

cdef inline unsigned long ALIGN_DOWN(unsigned long x, unsigned long a) noexcept nogil:
    return x & ~(a - 1)

cdef inline u32 rounddown_u32(u32 x, u32 y) noexcept nogil:
    return x - x % y

cdef inline u32 roundup_u32(u32 x, u32 y) noexcept nogil:
    return ((x + y - 1) // y) * y

cdef inline u64 div_u64(u64 dividend, u32 divisor) noexcept nogil:
    return dividend // divisor

cdef inline s64 div_s64(s64 dividend, s32 divisor) noexcept nogil:
    return dividend // divisor

cdef inline u64 div64_u64(u64 dividend, u64 divisor) noexcept nogil:
    return dividend // divisor

cdef inline s64 div64_s64(s64 dividend, s64 divisor) noexcept nogil:
    return dividend // divisor

cdef inline unsigned long div64_ul(unsigned long dividend, unsigned long divisor) noexcept nogil:
    return dividend // divisor

cdef inline long div64_long(long dividend, long divisor) noexcept nogil:
    return dividend // divisor

cdef inline u64 div_u64_rem(u64 dividend, u32 divisor, u32 *remainder) noexcept nogil:
    remainder[0] = <u32>(dividend % divisor)
    return dividend // divisor

cdef inline u64 mul_u32_u32(u32 a, u32 b) noexcept nogil:
    return <u64>a * b

cdef inline u64 mul_u64_u32_shr(u64 a, u32 mul, unsigned int shift) noexcept nogil:
    cdef u64 lo = (a & 0xFFFFFFFFU) * <u64>mul
    cdef u64 hi = (a >> 32) * <u64>mul + (lo >> 32)
    if shift >= 32:
        return hi >> (shift - 32)
    return (hi << (32 - shift)) | ((lo & 0xFFFFFFFFU) >> shift)

# A number in 0 .. ep_ro - 1 from a 32 bit hash.
cdef inline u32 reciprocal_scale(u32 val, u32 ep_ro) noexcept nogil:
    return <u32>((<u64>val * ep_ro) >> 32)

# lib/math/int_sqrt.c: floor of the square root, digit by digit.
cdef inline unsigned long int_sqrt(unsigned long x) noexcept nogil:
    cdef unsigned long b, m, y = 0
    if x <= 1:
        return x
    m = (<unsigned long>1) << (__fls(x) & ~(<unsigned long>1))
    while m != 0:
        b = y + m
        y >>= 1
        if x >= b:
            x -= b
            y += m
        m >>= 2
    return y

cdef inline bint test_bit(int nr, const unsigned long *addr) noexcept nogil:
    return ((addr[0] >> nr) & 1) != 0

cdef inline void set_bit(int nr, unsigned long *addr) noexcept nogil:
    addr[0] |= (<unsigned long>1) << nr

cdef inline void clear_bit(int nr, unsigned long *addr) noexcept nogil:
    addr[0] &= ~((<unsigned long>1) << nr)

cdef inline bint test_and_set_bit(int nr, unsigned long *addr) noexcept nogil:
    cdef bint old = test_bit(nr, addr)
    set_bit(nr, addr)
    return old

cdef inline bint test_and_clear_bit(int nr, unsigned long *addr) noexcept nogil:
    cdef bint old = test_bit(nr, addr)
    clear_bit(nr, addr)
    return old

# ---------------------------------------------------------------------------------------------- list_head

cdef inline void INIT_LIST_HEAD(list_head *list) noexcept nogil:
    list.next = list
    list.prev = list

cdef inline void __list_add(list_head *new, list_head *prev, list_head *next) noexcept nogil:
    next.prev = new
    new.next = next
    new.prev = prev
    prev.next = new

cdef inline void list_add(list_head *new, list_head *head) noexcept nogil:
    __list_add(new, head, head.next)

cdef inline void list_add_tail(list_head *new, list_head *head) noexcept nogil:
    __list_add(new, head.prev, head)

cdef inline void __list_del(list_head *prev, list_head *next) noexcept nogil:
    next.prev = prev
    prev.next = next

cdef inline void list_del(list_head *entry) noexcept nogil:
    __list_del(entry.prev, entry.next)
    entry.next = NULL
    entry.prev = NULL

cdef inline void list_del_init(list_head *entry) noexcept nogil:
    __list_del(entry.prev, entry.next)
    INIT_LIST_HEAD(entry)

cdef inline void list_move(list_head *list, list_head *head) noexcept nogil:
    __list_del(list.prev, list.next)
    list_add(list, head)

cdef inline void list_move_tail(list_head *list, list_head *head) noexcept nogil:
    __list_del(list.prev, list.next)
    list_add_tail(list, head)

cdef inline bint list_empty(const list_head *head) noexcept nogil:
    return head.next == head

# All of `list` goes to the front of `head`; `list` is empty afterwards.
cdef inline void list_splice_init(list_head *list, list_head *head) noexcept nogil:
    if not list_empty(list):
        list.prev.next = head.next
        head.next.prev = list.prev
        list.next.prev = head
        head.next = list.next
        INIT_LIST_HEAD(list)

cdef inline bint list_is_last(const list_head *list, const list_head *head) noexcept nogil:
    return list.next == head

cdef inline bint list_is_first(const list_head *list, const list_head *head) noexcept nogil:
    return list.prev == head

# ---------------------------------------------------------------------------------------------- hlist

cdef inline void INIT_HLIST_HEAD(hlist_head *h) noexcept nogil:
    h.first = NULL

cdef inline void INIT_HLIST_NODE(hlist_node *h) noexcept nogil:
    h.next = NULL
    h.pprev = NULL

cdef inline bint hlist_unhashed(const hlist_node *h) noexcept nogil:
    return h.pprev == NULL

cdef inline bint hlist_empty(const hlist_head *h) noexcept nogil:
    return h.first == NULL

cdef inline void __hlist_del(hlist_node *n) noexcept nogil:
    cdef hlist_node *next = n.next
    cdef hlist_node **pprev = n.pprev
    pprev[0] = next
    if next != NULL:
        next.pprev = pprev

cdef inline void hlist_del(hlist_node *n) noexcept nogil:
    __hlist_del(n)
    n.next = NULL
    n.pprev = NULL

cdef inline void hlist_del_init(hlist_node *n) noexcept nogil:
    if not hlist_unhashed(n):
        __hlist_del(n)
        INIT_HLIST_NODE(n)

cdef inline void hlist_add_head(hlist_node *n, hlist_head *h) noexcept nogil:
    cdef hlist_node *first = h.first
    n.next = first
    if first != NULL:
        first.pprev = &n.next
    h.first = n
    n.pprev = &h.first

cdef inline void hlist_add_tail_rcu(hlist_node *n, hlist_head *h) noexcept nogil:
    cdef hlist_node *last = h.first
    if last == NULL:
        hlist_add_head(n, h)
        return
    while last.next != NULL:
        last = last.next
    n.next = NULL
    n.pprev = &last.next
    last.next = n

cdef inline void hlist_move_list(hlist_head *old, hlist_head *new) noexcept nogil:
    new.first = old.first
    if new.first != NULL:
        new.first.pprev = &new.first
    old.first = NULL

# ---------------------------------------------------------------------------------------------- hlist_nulls

cdef inline void INIT_HLIST_NULLS_HEAD(hlist_nulls_head *h, unsigned long nulls) noexcept nogil:
    h.first = <hlist_nulls_node *>((<unsigned long>1) | (nulls << 1))

cdef inline bint is_a_nulls(const hlist_nulls_node *ptr) noexcept nogil:
    return (<unsigned long>ptr & 1) != 0

cdef inline bint hlist_nulls_unhashed(const hlist_nulls_node *h) noexcept nogil:
    return h.pprev == NULL

cdef inline bint hlist_nulls_empty(const hlist_nulls_head *h) noexcept nogil:
    return is_a_nulls(h.first)

cdef inline void hlist_nulls_add_head(hlist_nulls_node *n, hlist_nulls_head *h) noexcept nogil:
    cdef hlist_nulls_node *first = h.first
    n.next = first
    n.pprev = &h.first
    h.first = n
    if not is_a_nulls(first):
        first.pprev = &n.next

cdef inline void hlist_nulls_add_tail(hlist_nulls_node *n, hlist_nulls_head *h) noexcept nogil:
    cdef hlist_nulls_node *last = NULL
    cdef hlist_nulls_node *i = h.first
    while not is_a_nulls(i):
        last = i
        i = i.next
    if last == NULL:
        hlist_nulls_add_head(n, h)
        return
    n.next = last.next
    n.pprev = &last.next
    last.next = n

cdef inline void __hlist_nulls_del(hlist_nulls_node *n) noexcept nogil:
    cdef hlist_nulls_node *next = n.next
    cdef hlist_nulls_node **pprev = n.pprev
    pprev[0] = next
    if not is_a_nulls(next):
        next.pprev = pprev

cdef inline void hlist_nulls_del(hlist_nulls_node *n) noexcept nogil:
    __hlist_nulls_del(n)
    n.pprev = NULL

cdef inline void hlist_nulls_del_init(hlist_nulls_node *n) noexcept nogil:
    if not hlist_nulls_unhashed(n):
        __hlist_nulls_del(n)
        n.pprev = NULL

# hlist_nulls_replace_init_rcu(): new takes old's place in the chain.
cdef inline void hlist_nulls_replace_init(hlist_nulls_node *old, hlist_nulls_node *new) noexcept nogil:
    cdef hlist_nulls_node *next = old.next
    new.next = next
    new.pprev = old.pprev
    new.pprev[0] = new
    if not is_a_nulls(next):
        next.pprev = &new.next
    old.pprev = NULL

# ---------------------------------------------------------------------------------------------- red-black trees
# Walks and links; rb_insert_color() and rb_erase() are in kpath_c/shim/rbtree.pyx.

cdef inline rb_node *rb_parent(const rb_node *r) noexcept nogil:
    return <rb_node *>(r.__rb_parent_color & ~(<unsigned long>3))

cdef inline bint RB_EMPTY_ROOT(const rb_root *root) noexcept nogil:
    return root.rb_node == NULL

cdef inline bint RB_EMPTY_NODE(const rb_node *node) noexcept nogil:
    return node.__rb_parent_color == <unsigned long>node

cdef inline void RB_CLEAR_NODE(rb_node *node) noexcept nogil:
    node.__rb_parent_color = <unsigned long>node

cdef inline void rb_link_node(rb_node *node, rb_node *parent, rb_node **link) noexcept nogil:
    node.__rb_parent_color = <unsigned long>parent
    node.rb_left = NULL
    node.rb_right = NULL
    link[0] = node

cdef inline rb_node *rb_first(const rb_root *root) noexcept nogil:
    cdef rb_node *n = root.rb_node
    if n == NULL:
        return NULL
    while n.rb_left != NULL:
        n = n.rb_left
    return n

cdef inline rb_node *rb_last(const rb_root *root) noexcept nogil:
    cdef rb_node *n = root.rb_node
    if n == NULL:
        return NULL
    while n.rb_right != NULL:
        n = n.rb_right
    return n

cdef inline rb_node *rb_next(const rb_node *from_) noexcept nogil:
    cdef rb_node *node = <rb_node *>from_
    cdef rb_node *parent
    if RB_EMPTY_NODE(node):
        return NULL
    if node.rb_right != NULL:
        node = node.rb_right
        while node.rb_left != NULL:
            node = node.rb_left
        return node
    parent = rb_parent(node)
    while parent != NULL and node == parent.rb_right:
        node = parent
        parent = rb_parent(node)
    return parent

cdef inline rb_node *rb_prev(const rb_node *from_) noexcept nogil:
    cdef rb_node *node = <rb_node *>from_
    cdef rb_node *parent
    if RB_EMPTY_NODE(node):
        return NULL
    if node.rb_left != NULL:
        node = node.rb_left
        while node.rb_right != NULL:
            node = node.rb_right
        return node
    parent = rb_parent(node)
    while parent != NULL and node == parent.rb_left:
        node = parent
        parent = rb_parent(node)
    return parent

# ---------------------------------------------------------------------------------------------- clocks

cdef inline unsigned long jiffies(const net *n) noexcept nogil:
    return n.e.jiffies

cdef inline u32 tcp_jiffies32(const net *n) noexcept nogil:
    return <u32>n.e.jiffies

cdef inline unsigned int HZ(const net *n) noexcept nogil:
    return n.e.hz

cdef inline u64 TICK_NSEC(const net *n) noexcept nogil:
    return n.e.tick_ns

cdef inline u64 ktime_get_ns(const net *n) noexcept nogil:
    return n.e.mono_ns

cdef inline ktime_t ktime_get(const net *n) noexcept nogil:
    return <ktime_t>n.e.mono_ns

cdef inline u64 tcp_clock_ns(const net *n) noexcept nogil:
    return n.e.mono_ns

cdef inline u64 tcp_clock_us(const net *n) noexcept nogil:
    return n.e.mono_ns // NSEC_PER_USEC

cdef inline u64 tcp_clock_ms(const net *n) noexcept nogil:
    return n.e.mono_ns // NSEC_PER_MSEC

cdef inline u64 ktime_get_real_ns(const net *n) noexcept nogil:
    return n.e.mono_ns + <u64>n.e.mono_to_real_ns

# The coarse clocks show the time of the last tick, not now.
cdef inline u64 ktime_get_coarse_ns(const net *n) noexcept nogil:
    return n.timers.tick_ns

cdef inline s64 ktime_get_seconds(const net *n) noexcept nogil:
    return <s64>(ktime_get_coarse_ns(n) // <u64>NSEC_PER_SEC)

cdef inline s64 ktime_get_real_seconds(const net *n) noexcept nogil:
    return (<s64>ktime_get_coarse_ns(n) + n.e.mono_to_real_ns) // <s64>NSEC_PER_SEC

cdef inline s64 ktime_to_ns(ktime_t kt) noexcept nogil:
    return kt

cdef inline ktime_t ns_to_ktime(u64 ns) noexcept nogil:
    return <ktime_t>ns

cdef inline s64 ktime_to_us(ktime_t kt) noexcept nogil:
    return kt // NSEC_PER_USEC

cdef inline s64 ktime_to_ms(ktime_t kt) noexcept nogil:
    return kt // NSEC_PER_MSEC

cdef inline ktime_t ktime_add_ns(ktime_t kt, u64 ns) noexcept nogil:
    return kt + <s64>ns

cdef inline ktime_t ktime_sub(ktime_t a, ktime_t b) noexcept nogil:
    return a - b

cdef inline bint time_after(unsigned long a, unsigned long b) noexcept nogil:
    return <long>(b - a) < 0

cdef inline bint time_before(unsigned long a, unsigned long b) noexcept nogil:
    return <long>(a - b) < 0

cdef inline bint time_after_eq(unsigned long a, unsigned long b) noexcept nogil:
    return <long>(a - b) >= 0

cdef inline bint time_before_eq(unsigned long a, unsigned long b) noexcept nogil:
    return <long>(b - a) >= 0

cdef inline bint time_in_range(unsigned long a, unsigned long b, unsigned long c) noexcept nogil:
    return time_after_eq(a, b) and time_before_eq(a, c)

cdef inline bint time_is_before_jiffies(const net *n, unsigned long a) noexcept nogil:
    return time_after(n.e.jiffies, a)

cdef inline bint time_is_after_jiffies(const net *n, unsigned long a) noexcept nogil:
    return time_before(n.e.jiffies, a)

cdef inline bint time_after32(u32 a, u32 b) noexcept nogil:
    return <s32>(b - a) < 0

cdef inline bint time_before32(u32 b, u32 a) noexcept nogil:
    return <s32>(b - a) < 0

cdef inline bint time_between32(u32 t, u32 lo, u32 hi) noexcept nogil:
    return <u32>(hi - lo) >= <u32>(t - lo)

# kernel/time/timeconst.bc for an HZ that doesn't divide 1000 or 1000000: multiply by 2^shift * num / den, rounded up.
cdef inline u64 __timeconst_mul(u32 num, u32 den, unsigned int *shift) noexcept nogil:
    cdef unsigned int s = 0
    cdef u64 m
    while True:
        m = ((<u64>1 << s) * num + den - 1) // den
        if m >= (<u64>1 << 31):
            break
        s += 1
    shift[0] = s
    return m

cdef inline u32 __timeconst_gcd(u32 a, u32 b) noexcept nogil:
    cdef u32 t
    while b:
        t = b
        b = a % b
        a = t
    return a

cdef inline unsigned long __timeconst_to_hz(u32 hz, u32 per_sec, u32 x) noexcept nogil:
    cdef unsigned int shift = 0
    cdef u64 mul = __timeconst_mul(hz, per_sec, &shift)
    cdef u64 d = per_sec // __timeconst_gcd(hz, per_sec)
    cdef u64 adj = (<u64>1 << shift) * (d - 1) // d
    return (mul * x + adj) >> shift

cdef inline unsigned int __any_hz_jiffies_to_msecs(const net *n, unsigned long j) noexcept nogil:
    cdef u32 hz = n.e.hz
    cdef u32 cd
    if hz <= MSEC_PER_SEC and MSEC_PER_SEC % hz == 0:
        return <unsigned int>((MSEC_PER_SEC // hz) * j)
    if hz > MSEC_PER_SEC and hz % MSEC_PER_SEC == 0:
        return <unsigned int>((j + (hz // MSEC_PER_SEC) - 1) // (hz // MSEC_PER_SEC))
    cd = __timeconst_gcd(hz, MSEC_PER_SEC)
    return <unsigned int>DIV_ROUND_UP(j * (MSEC_PER_SEC // cd), hz // cd)

cdef inline unsigned int __any_hz_jiffies_to_usecs(const net *n, unsigned long j) noexcept nogil:
    cdef u32 hz = n.e.hz
    cdef u32 cd
    if USEC_PER_SEC % hz == 0:
        return <unsigned int>((USEC_PER_SEC // hz) * j)
    cd = __timeconst_gcd(hz, USEC_PER_SEC)
    return <unsigned int>(j * (USEC_PER_SEC // cd) // (hz // cd))

cdef inline unsigned long __any_hz_msecs_to_jiffies(const net *n, unsigned int m) noexcept nogil:
    cdef u32 hz = n.e.hz
    if <int>m < 0:
        return MAX_JIFFY_OFFSET()
    if hz <= MSEC_PER_SEC and MSEC_PER_SEC % hz == 0:
        return (m + (MSEC_PER_SEC // hz) - 1) // (MSEC_PER_SEC // hz)
    if hz > MSEC_PER_SEC and m > __any_hz_jiffies_to_msecs(n, MAX_JIFFY_OFFSET()):
        return MAX_JIFFY_OFFSET()
    if hz > MSEC_PER_SEC and hz % MSEC_PER_SEC == 0:
        return <unsigned long>m * (hz // MSEC_PER_SEC)
    return __timeconst_to_hz(hz, MSEC_PER_SEC, m)

cdef inline unsigned long __any_hz_usecs_to_jiffies(const net *n, unsigned int u) noexcept nogil:
    cdef u32 hz = n.e.hz
    if u > __any_hz_jiffies_to_usecs(n, MAX_JIFFY_OFFSET()):
        return MAX_JIFFY_OFFSET()
    if USEC_PER_SEC % hz == 0:
        return (<unsigned long>u + (USEC_PER_SEC // hz) - 1) // (USEC_PER_SEC // hz)
    return __timeconst_to_hz(hz, USEC_PER_SEC, u)

# The kernel is built for one HZ and divides by constants. So do these for the usual one: a division by a variable costs
# as much as twenty other instructions.
cdef inline unsigned int jiffies_to_msecs(const net *n, unsigned long j) noexcept nogil:
    if n.e.hz == USUAL_HZ:
        return <unsigned int>(j * (MSEC_PER_SEC // USUAL_HZ))
    return __any_hz_jiffies_to_msecs(n, j)

cdef inline unsigned int jiffies_to_usecs(const net *n, unsigned long j) noexcept nogil:
    if n.e.hz == USUAL_HZ:
        return <unsigned int>(j * (USEC_PER_SEC // USUAL_HZ))
    return __any_hz_jiffies_to_usecs(n, j)

cdef inline unsigned long msecs_to_jiffies(const net *n, unsigned int m) noexcept nogil:
    if n.e.hz == USUAL_HZ and <int>m >= 0:
        return (m + (MSEC_PER_SEC // USUAL_HZ) - 1) // (MSEC_PER_SEC // USUAL_HZ)
    return __any_hz_msecs_to_jiffies(n, m)

cdef inline unsigned long usecs_to_jiffies(const net *n, unsigned int u) noexcept nogil:
    if n.e.hz == USUAL_HZ and u < <u32>4000000000U:
        return (<unsigned long>u + (USEC_PER_SEC // USUAL_HZ) - 1) // (USEC_PER_SEC // USUAL_HZ)
    return __any_hz_usecs_to_jiffies(n, u)

cdef inline unsigned long secs_to_jiffies(const net *n, unsigned long secs) noexcept nogil:
    return secs * n.e.hz

cdef inline u64 jiffies_to_nsecs(const net *n, unsigned long j) noexcept nogil:
    return <u64>jiffies_to_usecs(n, j) * NSEC_PER_USEC

cdef inline u64 nsecs_to_jiffies64(const net *n, u64 ns) noexcept nogil:
    cdef u32 hz = n.e.hz
    if NSEC_PER_SEC % hz == 0:
        return ns // (NSEC_PER_SEC // hz)
    return <u64>((ns * 9) // ((<u64>9 * NSEC_PER_SEC + hz // 2) // hz))

cdef inline unsigned long nsecs_to_jiffies(const net *n, u64 ns) noexcept nogil:
    return nsecs_to_jiffies64(n, ns)

cdef inline long jiffies_to_clock_t(const net *n, unsigned long x) noexcept nogil:
    cdef u64 tick = (NSEC_PER_SEC + n.e.hz // 2) // n.e.hz
    if tick % (NSEC_PER_SEC // USER_HZ) == 0:
        if n.e.hz < USER_HZ:
            return <long>(x * (USER_HZ // n.e.hz))
        return <long>(x // (n.e.hz // USER_HZ))
    return <long>(x * tick // (NSEC_PER_SEC // USER_HZ))

cdef inline long jiffies_delta_to_clock_t(const net *n, long delta) noexcept nogil:
    return jiffies_to_clock_t(n, <unsigned long>max_long(0, delta))

cdef inline unsigned int jiffies_delta_to_msecs(const net *n, long delta) noexcept nogil:
    return jiffies_to_msecs(n, <unsigned long>max_long(0, delta))

# ---------------------------------------------------------------------------------------------- random numbers
# One generator (splitmix64) a host; its seed is host_entropy.random_state.

cdef inline u64 get_random_u64(net *n) noexcept nogil:
    cdef u64 z
    n.e.random_state += <u64>0x9E3779B97F4A7C15ULL
    z = n.e.random_state
    z = (z ^ (z >> 30)) * <u64>0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * <u64>0x94D049BB133111EBULL
    return z ^ (z >> 31)

cdef inline u32 get_random_u32(net *n) noexcept nogil:
    return <u32>(get_random_u64(n) >> 32)

cdef inline u16 get_random_u16(net *n) noexcept nogil:
    return <u16>(get_random_u64(n) >> 48)

cdef inline u8 get_random_u8(net *n) noexcept nogil:
    return <u8>(get_random_u64(n) >> 56)

# Uniform in 0 .. ceil - 1.
cdef inline u32 get_random_u32_below(net *n, u32 ceil) noexcept nogil:
    cdef u64 mult
    if ceil <= 1:
        return 0
    while True:
        mult = <u64>ceil * get_random_u32(n)
        if is_power_of_2(ceil) or <u32>mult >= (<u32>(0 - ceil)) % ceil:
            return <u32>(mult >> 32)

cdef inline u32 get_random_u32_inclusive(net *n, u32 floor, u32 ceil) noexcept nogil:
    return floor + get_random_u32_below(n, ceil - floor + 1)

cdef inline u32 get_random_u32_above(net *n, u32 floor) noexcept nogil:
    return floor + 1 + get_random_u32_below(n, <u32>0xFFFFFFFFU - floor)

# ---------------------------------------------------------------------------------------------- hooks

cdef inline void trace_event(sock *sk, int event, sk_buff *skb, s64 arg) noexcept nogil:
    if unlikely(sk.sk_net.hooks.trace != NULL):
        sk.sk_net.hooks.trace(sk.sk_net.hooks.ctx, event, sk, skb, arg)

cdef inline void trace_net_event(net *n, int event, sk_buff *skb, s64 arg) noexcept nogil:
    if unlikely(n.hooks.trace != NULL):
        n.hooks.trace(n.hooks.ctx, event, NULL, skb, arg)

cdef inline void trace_tcp_probe(sock *sk, sk_buff *skb) noexcept nogil:
    if likely(not (<size_t>sk.sk_net.hooks.tcp_probe | <size_t>sk.sk_net.hooks.trace)):
        return
    if sk.sk_net.hooks.tcp_probe != NULL:
        sk.sk_net.hooks.tcp_probe(sk.sk_net.hooks.ctx, sk, skb)
    trace_event(sk, EV_TCP_PROBE, skb, 0)

cdef inline void trace_inet_sock_set_state(sock *sk, int oldstate, int newstate) noexcept nogil:
    if sk.sk_net.hooks.state != NULL:
        sk.sk_net.hooks.state(sk.sk_net.hooks.ctx, sk, oldstate, newstate)
    trace_event(sk, EV_SET_STATE, NULL, oldstate << 8 | newstate)

cdef inline void trace_tcp_cong_state_set(sock *sk, u8 ca_state) noexcept nogil:
    trace_event(sk, EV_CONG_STATE_SET, NULL, ca_state)

cdef inline void trace_tcp_retransmit_skb(sock *sk, sk_buff *skb, int err) noexcept nogil:
    trace_event(sk, EV_RETRANSMIT_SKB, skb, err)

cdef inline void trace_tcp_retransmit_synack(sock *sk, request_sock *req) noexcept nogil:
    trace_event(sk, EV_RETRANSMIT_SYNACK, NULL, <s64><size_t>req)

# sk may be NULL: a reset that no socket sends.
cdef inline void trace_tcp_send_reset(net *n, sock *sk, sk_buff *skb, int reason) noexcept nogil:
    if unlikely(n.hooks.trace != NULL):
        n.hooks.trace(n.hooks.ctx, EV_SEND_RESET, sk, skb, reason)

cdef inline void trace_tcp_receive_reset(sock *sk) noexcept nogil:
    trace_event(sk, EV_RECEIVE_RESET, NULL, 0)

cdef inline void trace_tcp_bad_csum(sk_buff *skb) noexcept nogil:
    trace_net_event(skb.net, EV_BAD_CSUM, skb, 0)

cdef inline void trace_tcp_rcvbuf_grow(sock *sk, int time) noexcept nogil:
    trace_event(sk, EV_RCVBUF_GROW, NULL, time)

cdef inline void trace_tcp_rcv_space_adjust(sock *sk) noexcept nogil:
    trace_event(sk, EV_RCV_SPACE_ADJUST, NULL, 0)

cdef inline void trace_tcp_destroy_sock(sock *sk) noexcept nogil:
    if sk.sk_net.hooks.destroy != NULL:
        sk.sk_net.hooks.destroy(sk.sk_net.hooks.ctx, sk)
    trace_event(sk, EV_DESTROY_SOCK, NULL, 0)

cdef inline void trace_tcp_sendmsg_locked(sock *sk, sk_buff *skb, int size_goal) noexcept nogil:
    trace_event(sk, EV_SENDMSG_LOCKED, skb, size_goal)

cdef inline void trace_tcp_cwnd_reduction_tp(sock *sk, int newly_acked_sacked, int newly_lost, int flag) noexcept nogil:
    trace_event(sk, EV_CWND_REDUCTION, NULL, flag)

cdef extern from *:
    """
    /* A memset() of a length that is known would become `rep stos`, several times slower than this. */
    static inline void kpath_clear(void *p, size_t n)
    {
        size_t i;
        #if defined(__GNUC__) && !defined(__clang__)
        #pragma GCC unroll 64
        #endif
        for (i = 0; i + 16 <= n; i += 16)
            memset((char *)p + i, 0, 16);
        memset((char *)p + i, 0, n - i);
    }
    """
    void clear "kpath_clear"(void *p, size_t n) noexcept nogil

# Something was reached that this port leaves out: the host collects it as a warning.
cdef inline void not_ported(net *n, const char *what) noexcept nogil:
    if n.hooks.not_ported != NULL:
        n.hooks.not_ported(n.hooks.ctx, what)

# Tell whoever waits on the socket.
cdef inline void sk_wake(sock *sk, u32 mask) noexcept nogil:
    if sk.sk_net.hooks.wake != NULL:
        sk.sk_net.hooks.wake(sk.sk_net.hooks.ctx, sk, mask)
