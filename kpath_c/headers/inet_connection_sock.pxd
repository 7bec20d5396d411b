"""net/inet_connection_sock.h: what every connection-oriented INET socket has.

Timers are set by kpath_c/net_icsk.pxd.
"""
from libc.string cimport memset
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.kernel cimport *
from kpath_c.headers.inet_sock cimport *
from kpath_c.headers.request_sock cimport *

cdef enum:
    ICSK_TIME_RETRANS = 1
    ICSK_TIME_DACK = 2
    ICSK_TIME_PROBE0 = 3
    ICSK_TIME_LOSS_PROBE = 5
    ICSK_TIME_REO_TIMEOUT = 6

cdef enum:
    ICSK_ACK_SCHED = 1
    ICSK_ACK_TIMER = 2
    ICSK_ACK_PUSHED = 4
    ICSK_ACK_PUSHED2 = 8
    ICSK_ACK_NOW = 16
    ICSK_ACK_NOMEM = 32

cdef enum:
    ATO_BITS = 8
    ICSK_CA_PRIV_SIZE = 104
    WAKE_ANY = 0x7fffffff               # msghdr.wake_want of accept and connect: any event of the socket wakes them


cdef inline inet_connection_sock *inet_csk(const sock *sk) noexcept nogil:
    return <inet_connection_sock *>sk

cdef inline void *inet_csk_ca(const sock *sk) noexcept nogil:
    return <void *>&inet_csk(sk).icsk_ca_priv[0]

cdef inline void inet_csk_schedule_ack(sock *sk) noexcept nogil:
    inet_csk(sk).icsk_ack.pending |= ICSK_ACK_SCHED

cdef inline int inet_csk_ack_scheduled(const sock *sk) noexcept nogil:
    return inet_csk(sk).icsk_ack.pending & ICSK_ACK_SCHED

cdef inline void inet_csk_delack_init(sock *sk) noexcept nogil:
    memset(&inet_csk(sk).icsk_ack, 0, sizeof(icsk_ack_s))

cdef inline unsigned long tcp_timeout_expires(const sock *sk) noexcept nogil:
    return sk.tcp_retransmit_timer.expires

cdef inline unsigned long icsk_delack_timeout(const inet_connection_sock *icsk) noexcept nogil:
    return icsk.icsk_delack_timer.expires

# The timer itself is left running (6.18): it finds nothing pending when it fires.
cdef inline void inet_csk_clear_xmit_timer(sock *sk, int what) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    if what == ICSK_TIME_RETRANS or what == ICSK_TIME_PROBE0:
        icsk.icsk_pending = 0
    elif what == ICSK_TIME_DACK:
        icsk.icsk_ack.pending = 0
        icsk.icsk_ack.retry = 0

cdef inline unsigned long inet_csk_rto_backoff(const inet_connection_sock *icsk,
                                               unsigned long max_when) noexcept nogil:
    cdef u64 when = (<u64>icsk.icsk_rto) << icsk.icsk_backoff
    return <unsigned long>min_u64(when, max_when)

cdef inline unsigned long reqsk_timeout(const request_sock *req, unsigned long max_timeout) noexcept nogil:
    return <unsigned long>min_u64((<u64>req.timeout) << req.num_timeout, max_timeout)

cdef inline void inet_csk_reqsk_queue_added(sock *sk) noexcept nogil:
    reqsk_queue_added(&inet_csk(sk).icsk_accept_queue)

cdef inline int inet_csk_reqsk_queue_len(const sock *sk) noexcept nogil:
    return reqsk_queue_len(&inet_csk(sk).icsk_accept_queue)

cdef inline int inet_csk_reqsk_queue_is_full(const sock *sk) noexcept nogil:
    return <u32>inet_csk_reqsk_queue_len(sk) > sk.sk_max_ack_backlog

# EPOLLIN | EPOLLRDNORM if a connection can be accepted.
cdef inline u32 inet_csk_listen_poll(const sock *sk) noexcept nogil:
    if not reqsk_queue_empty(&inet_csk(sk).icsk_accept_queue):
        return 0x0001 | 0x0040
    return 0

cdef inline void inet_csk_enter_pingpong_mode(sock *sk) noexcept nogil:
    inet_csk(sk).icsk_ack.pingpong = sk.sk_net.ipv4.sysctl_tcp_pingpong_thresh

cdef inline void inet_csk_exit_pingpong_mode(sock *sk) noexcept nogil:
    inet_csk(sk).icsk_ack.pingpong = 0

cdef inline bint inet_csk_in_pingpong_mode(sock *sk) noexcept nogil:
    return inet_csk(sk).icsk_ack.pingpong >= sk.sk_net.ipv4.sysctl_tcp_pingpong_thresh

cdef inline void inet_csk_inc_pingpong_cnt(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    if icsk.icsk_ack.pingpong < 0xff:
        icsk.icsk_ack.pingpong += 1

cdef inline bint inet_csk_has_ulp(const sock *sk) noexcept nogil:
    return 0
