"""net/ipv4/inet_timewait_sock.c"""
from kpath_c.headers.tcp cimport *

cdef void inet_twsk_bind_unhash(inet_timewait_sock *tw, inet_hashinfo *hashinfo) noexcept nogil
cdef void inet_twsk_free(inet_timewait_sock *tw) noexcept nogil
cdef void inet_twsk_put(inet_timewait_sock *tw) noexcept nogil
cdef void inet_twsk_hashdance_schedule(inet_timewait_sock *tw, sock *sk, inet_hashinfo *hashinfo,
                                       int timeo) noexcept nogil
cdef inet_timewait_sock *inet_twsk_alloc(const sock *sk, inet_timewait_death_row *dr, int state) noexcept nogil
cdef void inet_twsk_deschedule_put(inet_timewait_sock *tw) noexcept nogil
cdef void __inet_twsk_schedule(inet_timewait_sock *tw, int timeo, bint rearm) noexcept nogil
cdef void inet_twsk_purge(inet_hashinfo *hashinfo) noexcept nogil
