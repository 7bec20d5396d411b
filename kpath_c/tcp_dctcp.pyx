"""DCTCP (RFC 8257): the window gives way in proportion to how many packets were marked.

The receiver echoes each change of the CE mark at once, so that the sender can count; the sender smooths the share of
marked packets, round by round, into alpha, and takes alpha / 2 off the window where Reno takes half.
Follows net/ipv4/tcp_dctcp.c and tcp_dctcp.h of Linux 6.18 (GPL-2.0-only).

Deviations: the module's parameters have their defaults; PLB (net.ipv4.tcp_plb_enabled) is left out, as all it does
is to choose another flow label.
"""
from libc.string cimport memset, memcpy
from kpath_c.headers.tcp cimport *
from kpath_c.tcp_cong cimport (tcp_register_congestion_control, tcp_reno_cong_avoid, tcp_reno_ssthresh,
                               tcp_reno_undo_cwnd)
from kpath_c.tcp_output cimport __tcp_send_ack

cdef enum:
    DCTCP_MAX_ALPHA = 1024

# Module parameters
cdef enum:
    dctcp_shift_g = 4                   # g = 1/16 (RFC 8257 4.2)
    dctcp_alpha_on_init = DCTCP_MAX_ALPHA

cdef tcp_congestion_ops dctcp_ops
cdef tcp_congestion_ops dctcp_reno


cdef inline dctcp *dctcp_of(sock *sk) noexcept nogil:
    return <dctcp *>inet_csk_ca(sk)


cdef void dctcp_reset(const tcp_sock *tp, dctcp *ca) noexcept nogil:
    """A round begins."""
    ca.next_seq = tp.snd_nxt
    ca.old_delivered = tp.delivered
    ca.old_delivered_ce = tp.delivered_ce


cdef void dctcp_init(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef dctcp *ca = dctcp_of(sk)

    if tcp_ecn_mode_any(tp) or sk.sk_state == TCP_LISTEN or sk.sk_state == TCP_CLOSE:
        ca.prior_rcv_nxt = tp.rcv_nxt
        ca.dctcp_alpha = dctcp_alpha_on_init
        ca.loss_cwnd = 0
        ca.ce_state = 0
        dctcp_reset(tp, ca)
        return

    # The peer has no ECN: Reno, and no ECT, which the handshake had set.
    inet_csk(sk).icsk_ca_ops = &dctcp_reno
    INET_ECN_dontxmit(sk)


# RFC 8257 3.3: cwnd * (1 - alpha / 2)
cdef u32 dctcp_ssthresh(sock *sk) noexcept nogil:
    cdef dctcp *ca = dctcp_of(sk)
    cdef u32 cwnd = tcp_snd_cwnd(tcp_sk(sk))

    ca.loss_cwnd = cwnd
    return max_u32(cwnd - ((cwnd * ca.dctcp_alpha) >> 11), 2)


# RFC 8257 3.3: alpha = alpha * (1 - g) + g * M, once a round.
cdef void dctcp_update_alpha(sock *sk, u32 flags) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef dctcp *ca = dctcp_of(sk)
    cdef u32 delivered, marked, less
    cdef u32 alpha = ca.dctcp_alpha

    if before(tp.snd_una, ca.next_seq):
        return
    delivered = tp.delivered - ca.old_delivered
    marked = tp.delivered_ce - ca.old_delivered_ce

    # The smaller of the two that is not zero: what is left of alpha still goes away.
    less = alpha >> dctcp_shift_g
    alpha -= less if less else alpha
    if marked:
        marked = (marked << (10 - dctcp_shift_g)) // max_u32(1, delivered)
        alpha = min_u32(alpha + marked, DCTCP_MAX_ALPHA)
    ca.dctcp_alpha = alpha
    dctcp_reset(tp, ca)


# Loss is met as Reno meets it (RFC 8257 3.5).
cdef void dctcp_react_to_loss(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    dctcp_of(sk).loss_cwnd = tcp_snd_cwnd(tp)
    tp.snd_ssthresh = max_u32(tcp_snd_cwnd(tp) >> 1, 2)


cdef void dctcp_state(sock *sk, u8 new_state) noexcept nogil:
    # A timeout comes as an event: one reduction for each round.
    if new_state == TCP_CA_Recovery and new_state != inet_csk(sk).icsk_ca_state:
        dctcp_react_to_loss(sk)


# Whether the ACKs carry ECE.
cdef void dctcp_ece_ack_cwr(sock *sk, u32 ce_state) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    if ce_state == 1:
        tp.ecn_flags |= TCP_ECN_DEMAND_CWR
    else:
        tp.ecn_flags &= <u8>~TCP_ECN_DEMAND_CWR


# RFC 8257 3.2: an ACK says one thing of all that it acknowledges, so the mark's change ends what the last one covers.
cdef void dctcp_ece_ack_update(sock *sk, int evt, u32 *prior_rcv_nxt, u32 *ce_state) noexcept nogil:
    cdef u32 new_ce_state = 1 if evt == CA_EVENT_ECN_IS_CE else 0

    if ce_state[0] != new_ce_state:
        if inet_csk(sk).icsk_ack.pending & ICSK_ACK_TIMER:
            dctcp_ece_ack_cwr(sk, ce_state[0])
            __tcp_send_ack(sk, prior_rcv_nxt[0], 0)
        inet_csk(sk).icsk_ack.pending |= ICSK_ACK_NOW
    prior_rcv_nxt[0] = tcp_sk(sk).rcv_nxt
    ce_state[0] = new_ce_state
    dctcp_ece_ack_cwr(sk, new_ce_state)


cdef void dctcp_cwnd_event(sock *sk, int ev) noexcept nogil:
    cdef dctcp *ca = dctcp_of(sk)

    if ev == CA_EVENT_ECN_IS_CE or ev == CA_EVENT_ECN_NO_CE:
        dctcp_ece_ack_update(sk, ev, &ca.prior_rcv_nxt, &ca.ce_state)
    elif ev == CA_EVENT_LOSS:
        dctcp_react_to_loss(sk)


cdef u32 dctcp_cwnd_undo(sock *sk) noexcept nogil:
    return max_u32(tcp_snd_cwnd(tcp_sk(sk)), dctcp_of(sk).loss_cwnd)


# Also asked of a connection whose peer does without ECN: it runs dctcp_reno, and there is nothing to tell.
cdef size_t dctcp_get_info(sock *sk, u32 ext, int *attr, tcp_cc_info *info) noexcept nogil:
    cdef const dctcp *ca = dctcp_of(sk)
    cdef const tcp_sock *tp = tcp_sk(sk)

    if not ext & ((1 << (INET_DIAG_DCTCPINFO - 1)) | (1 << (INET_DIAG_VEGASINFO - 1))):
        return 0
    memset(&info.dctcp, 0, sizeof(tcp_dctcp_info))
    if inet_csk(sk).icsk_ca_ops != &dctcp_reno:
        info.dctcp.dctcp_enabled = 1
        info.dctcp.dctcp_ce_state = <u16>ca.ce_state
        info.dctcp.dctcp_alpha = ca.dctcp_alpha
        info.dctcp.dctcp_ab_ecn = tp.mss_cache * (tp.delivered_ce - ca.old_delivered_ce)
        info.dctcp.dctcp_ab_tot = tp.mss_cache * (tp.delivered - ca.old_delivered)
    attr[0] = INET_DIAG_DCTCPINFO
    return sizeof(tcp_dctcp_info)


cdef int dctcp_register() noexcept nogil:
    memset(&dctcp_reno, 0, sizeof(tcp_congestion_ops))
    memcpy(dctcp_reno.name, b"dctcp-reno", 11)
    dctcp_reno.ssthresh = tcp_reno_ssthresh
    dctcp_reno.cong_avoid = tcp_reno_cong_avoid
    dctcp_reno.undo_cwnd = tcp_reno_undo_cwnd
    dctcp_reno.get_info = dctcp_get_info

    memset(&dctcp_ops, 0, sizeof(tcp_congestion_ops))
    memcpy(dctcp_ops.name, b"dctcp", 6)
    dctcp_ops.flags = TCP_CONG_NEEDS_ECN
    dctcp_ops.init = dctcp_init
    dctcp_ops.in_ack_event = dctcp_update_alpha
    dctcp_ops.cwnd_event = dctcp_cwnd_event
    dctcp_ops.ssthresh = dctcp_ssthresh
    dctcp_ops.cong_avoid = tcp_reno_cong_avoid
    dctcp_ops.undo_cwnd = dctcp_cwnd_undo
    dctcp_ops.set_state = dctcp_state
    dctcp_ops.get_info = dctcp_get_info
    return tcp_register_congestion_control(&dctcp_ops)
