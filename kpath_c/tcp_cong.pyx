"""The congestion control of a socket, and NewReno (RFC 5681).

Follows net/ipv4/tcp_cong.c of Linux 6.18 (GPL-2.0-only).

Deviations: the algorithms are known once and for all (tcp_cong_register_all()), numbered in the order of their
registration (the kernel hashes the name); which of them need no privilege is kept per host, as several hosts live side
by side.
"""
from libc.string cimport memset, memcpy, strcmp, strlen
from kpath_c.headers.tcp cimport *
from kpath_c.net_tcp cimport *
from kpath_c.tcp_cubic cimport cubictcp_register
from kpath_c.tcp_bbr cimport bbr_register
from kpath_c.tcp_dctcp cimport dctcp_register

cdef enum:
    TCP_CONG_SLOTS = 16

# Filled before the first host exists. Key k is in slot k - 1.
cdef tcp_congestion_ops *tcp_cong_table[TCP_CONG_SLOTS]
cdef int tcp_cong_count


cdef inline bint ca_allowed(net *n, tcp_congestion_ops *ca) noexcept nogil:
    return (n.ipv4.tcp_cong_allowed >> ca.key) & 1

cdef inline void ca_allow(net *n, tcp_congestion_ops *ca) noexcept nogil:
    n.ipv4.tcp_cong_allowed |= <u32>1 << ca.key


cdef tcp_congestion_ops *tcp_ca_find(const char *name) noexcept nogil:
    cdef int i

    for i in range(tcp_cong_count):
        if strcmp(tcp_cong_table[i].name, name) == 0:
            return tcp_cong_table[i]
    return NULL


cdef void tcp_set_ca_state(sock *sk, u8 ca_state) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)

    trace_tcp_cong_state_set(sk, ca_state)
    if icsk.icsk_ca_ops.set_state != NULL:
        icsk.icsk_ca_ops.set_state(sk, ca_state)
    icsk.icsk_ca_state = ca_state


# The kernel would load a module of that name.
cdef tcp_congestion_ops *tcp_ca_find_autoload(net *n, const char *name) noexcept nogil:
    cdef tcp_congestion_ops *ca = tcp_ca_find(name)

    if ca == NULL:
        not_ported(n, b"congestion control other than reno, cubic, bbr, dctcp")
    return ca


cdef tcp_congestion_ops *tcp_ca_find_key(u32 key) noexcept nogil:
    if key == TCP_CA_UNSPEC or key > <u32>tcp_cong_count:
        return NULL
    return tcp_cong_table[key - 1]


cdef int tcp_validate_congestion_control(tcp_congestion_ops *ca) noexcept nogil:
    if (ca.ssthresh == NULL or ca.undo_cwnd == NULL or
            (ca.cong_avoid == NULL and ca.cong_control == NULL)):
        return -EINVAL
    return 0


cdef int tcp_register_congestion_control(tcp_congestion_ops *ca) noexcept nogil:
    global tcp_cong_count
    cdef int ret = tcp_validate_congestion_control(ca)

    if ret:
        return ret
    if tcp_ca_find(ca.name) != NULL or tcp_cong_count == TCP_CONG_SLOTS:
        return -EEXIST
    tcp_cong_table[tcp_cong_count] = ca
    tcp_cong_count += 1
    ca.key = <u32>tcp_cong_count
    return 0


cdef void tcp_cong_register_all() noexcept nogil:
    if tcp_cong_count:
        return
    memset(&tcp_reno, 0, sizeof(tcp_congestion_ops))
    memcpy(tcp_reno.name, b"reno", 5)
    tcp_reno.flags = TCP_CONG_NON_RESTRICTED
    tcp_reno.ssthresh = tcp_reno_ssthresh
    tcp_reno.cong_avoid = tcp_reno_cong_avoid
    tcp_reno.undo_cwnd = tcp_reno_undo_cwnd
    tcp_register_congestion_control(&tcp_reno)
    cubictcp_register()
    bbr_register()
    dctcp_register()


cdef void tcp_cong_net_init(net *n) noexcept nogil:
    cdef int i

    tcp_cong_register_all()
    n.ipv4.tcp_cong_allowed = 0
    for i in range(tcp_cong_count):
        if tcp_cong_table[i].flags & TCP_CONG_NON_RESTRICTED:
            ca_allow(n, tcp_cong_table[i])
    tcp_set_default_congestion_control(n, b"cubic")


cdef u32 tcp_ca_get_key_by_name(const char *name, bint *ecn_ca) noexcept nogil:
    cdef tcp_congestion_ops *ca = tcp_ca_find(name)

    if ca == NULL:
        return TCP_CA_UNSPEC
    ecn_ca[0] = (ca.flags & TCP_CONG_NEEDS_ECN) != 0
    return ca.key


cdef char *tcp_ca_get_name_by_key(u32 key, char *buffer) noexcept nogil:
    cdef tcp_congestion_ops *ca = tcp_ca_find_key(key)

    if ca == NULL:
        return NULL
    memcpy(buffer, ca.name, TCP_CA_NAME_MAX)
    return buffer


cdef inline void ca_mark_ecn(sock *sk, tcp_congestion_ops *ca) noexcept nogil:
    if ca.flags & TCP_CONG_NEEDS_ECN:
        INET_ECN_xmit_ect_1_negotiation(sk)
    else:
        INET_ECN_dontxmit(sk)


cdef void tcp_assign_congestion_control(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_congestion_ops *ca = sock_net(sk).ipv4.tcp_congestion_control

    icsk.icsk_ca_ops = ca
    memset(icsk.icsk_ca_priv, 0, sizeof(icsk.icsk_ca_priv))
    ca_mark_ecn(sk, ca)


cdef void tcp_init_congestion_control(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)

    tcp_sk(sk).prior_ssthresh = 0
    if icsk.icsk_ca_ops.init != NULL:
        icsk.icsk_ca_ops.init(sk)
    if tcp_ca_needs_ecn(sk):
        INET_ECN_xmit(sk)
    else:
        INET_ECN_dontxmit(sk)
    icsk.icsk_ca_initialized = 1


cdef void tcp_reinit_congestion_control(sock *sk, tcp_congestion_ops *ca) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)

    tcp_cleanup_congestion_control(sk)
    icsk.icsk_ca_ops = ca
    icsk.icsk_ca_setsockopt = 1
    memset(icsk.icsk_ca_priv, 0, sizeof(icsk.icsk_ca_priv))
    ca_mark_ecn(sk, ca)
    if not ((1 << sk.sk_state) & (TCPF_CLOSE | TCPF_LISTEN)):
        tcp_init_congestion_control(sk)


cdef void tcp_cleanup_congestion_control(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)

    if icsk.icsk_ca_initialized and icsk.icsk_ca_ops.release != NULL:
        icsk.icsk_ca_ops.release(sk)
    icsk.icsk_ca_initialized = 0


# net.ipv4.tcp_congestion_control. A host is init_net, which may choose any.
cdef int tcp_set_default_congestion_control(net *n, const char *name) noexcept nogil:
    cdef tcp_congestion_ops *ca = tcp_ca_find_autoload(n, name)

    if ca == NULL:
        return -ENOENT
    n.ipv4.tcp_congestion_control = ca
    ca_allow(n, ca)
    return 0


cdef void tcp_get_default_congestion_control(net *n, char *name) noexcept nogil:
    memcpy(name, n.ipv4.tcp_congestion_control.name, TCP_CA_NAME_MAX)


# Appends " name", or "name" to an empty list; False: no room.
cdef bint ca_list_add(char *buf, size_t maxlen, const char *name) noexcept nogil:
    cdef size_t offs = strlen(buf)
    cdef size_t size = strlen(name)

    if offs + size + 2 > maxlen:
        return False
    if offs:
        buf[offs] = c' '
        offs += 1
    memcpy(buf + offs, name, size + 1)
    return True


cdef void tcp_get_available_congestion_control(char *buf, size_t maxlen) noexcept nogil:
    cdef int i

    buf[0] = 0
    for i in range(tcp_cong_count):
        if not ca_list_add(buf, maxlen, tcp_cong_table[i].name):
            break


cdef void tcp_get_allowed_congestion_control(net *n, char *buf, size_t maxlen) noexcept nogil:
    cdef int i

    buf[0] = 0
    for i in range(tcp_cong_count):
        if ca_allowed(n, tcp_cong_table[i]) and not ca_list_add(buf, maxlen, tcp_cong_table[i].name):
            break


# val: names with single spaces between them. Nothing changes if one of them isn't known.
cdef int tcp_set_allowed_congestion_control(net *n, const char *val) noexcept nogil:
    cdef char name[TCP_CA_NAME_MAX]
    cdef tcp_congestion_ops *ca
    cdef u32 allowed = 0
    cdef size_t i = 0
    cdef size_t size

    while val[i] != 0:
        size = 0
        while val[i + size] != 0 and val[i + size] != c' ':
            size += 1
        if size == 0:
            break
        if size >= TCP_CA_NAME_MAX:
            return -ENOENT
        memcpy(name, val + i, size)
        name[size] = 0
        ca = tcp_ca_find(name)
        if ca == NULL:
            return -ENOENT
        allowed |= <u32>1 << ca.key
        i += size
        if val[i] == c' ':
            i += 1
    n.ipv4.tcp_cong_allowed = allowed
    return 0


cdef int tcp_set_congestion_control(sock *sk, const char *name, bint load, bint cap_net_admin) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_congestion_ops *ca

    if icsk.icsk_ca_dst_locked:
        return -EPERM
    if not load:
        ca = tcp_ca_find(name)
    else:
        ca = tcp_ca_find_autoload(sock_net(sk), name)

    if ca == icsk.icsk_ca_ops:
        icsk.icsk_ca_setsockopt = 1
        return 0
    if ca == NULL:
        return -ENOENT
    if not (ca_allowed(sock_net(sk), ca) or cap_net_admin):
        return -EPERM
    tcp_reinit_congestion_control(sk, ca)
    return 0


# RFC 5681 3.1, RFC 3465: one for each packet acknowledged, up to ssthresh. Returns the ACKs that are left over.
cdef u32 tcp_slow_start(tcp_sock *tp, u32 acked) noexcept nogil:
    cdef u32 cwnd = min_u32(tcp_snd_cwnd(tp) + acked, tp.snd_ssthresh)

    acked -= cwnd - tcp_snd_cwnd(tp)
    tcp_snd_cwnd_set(tp, min_u32(cwnd, tp.snd_cwnd_clamp))
    return acked


# cwnd += acked / w, with what is left over kept in snd_cwnd_cnt.
cdef void tcp_cong_avoid_ai(tcp_sock *tp, u32 w, u32 acked) noexcept nogil:
    cdef u32 delta

    # Credit from a higher w is worth no more than one.
    if tp.snd_cwnd_cnt >= w:
        tp.snd_cwnd_cnt = 0
        tcp_snd_cwnd_set(tp, tcp_snd_cwnd(tp) + 1)

    tp.snd_cwnd_cnt += acked
    if tp.snd_cwnd_cnt >= w:
        delta = tp.snd_cwnd_cnt // w
        tp.snd_cwnd_cnt -= delta * w
        tcp_snd_cwnd_set(tp, tcp_snd_cwnd(tp) + delta)
    tcp_snd_cwnd_set(tp, min_u32(tcp_snd_cwnd(tp), tp.snd_cwnd_clamp))


cdef void tcp_reno_cong_avoid(sock *sk, u32 ack, u32 acked) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if not tcp_is_cwnd_limited(sk):
        return
    if tcp_in_slow_start(tp):
        acked = tcp_slow_start(tp, acked)
        if not acked:
            return
    tcp_cong_avoid_ai(tp, tcp_snd_cwnd(tp), acked)


# RFC 5681 3.1 (4)
cdef u32 tcp_reno_ssthresh(sock *sk) noexcept nogil:
    return max_u32(tcp_snd_cwnd(tcp_sk(sk)) >> 1, 2)


cdef u32 tcp_reno_undo_cwnd(sock *sk) noexcept nogil:
    return max_u32(tcp_snd_cwnd(tcp_sk(sk)), tcp_sk(sk).prior_cwnd)
