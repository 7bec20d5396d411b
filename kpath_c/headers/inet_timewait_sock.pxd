"""net/inet_timewait_sock.h: the small socket that stands in TIME_WAIT, or in FIN_WAIT2 without an owner.

inet_twsk_reschedule() calls a real function: kpath_c/net_icsk.pxd.
"""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *


cdef inline inet_timewait_sock *inet_twsk(const sock *sk) noexcept nogil:
    return <inet_timewait_sock *>sk

cdef inline net *twsk_net(const inet_timewait_sock *twsk) noexcept nogil:
    return <net *>twsk.tw_net

cdef inline void twsk_net_set(inet_timewait_sock *twsk, net *n) noexcept nogil:
    twsk.tw_net = n
