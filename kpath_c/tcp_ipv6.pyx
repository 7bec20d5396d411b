"""TCP over IPv6: where its segments come in, and what depends on the addresses.

The same parts as in tcp_ipv4.pyx: tcp_v6_rcv(), ICMPv6 errors, connect(), the answers that are sent without a socket,
the making of a child socket. An AF_INET6 socket whose peer has an IPv4 address (::ffff:a.b.c.d, RFC 4291 2.5.5.2) is
served by IPv4's functions (`ipv6_mapped`).

RFC 9293 3.10.7 (segment arrives), 4443 (ICMPv6), 8201 (path MTU), 6069 (revert the RTO's backoff), 6191 (reuse of
TIME-WAIT), 6437 (flow label).

Follows net/ipv6/tcp_ipv6.c of Linux 6.18 (GPL-2.0-only). Deviations: as in tcp_ipv4.pyx, and no extension headers,
no flow label manager, no IPV6_RECV* options: nothing of a received packet is kept for them (pktoptions).
"""
from libc.string cimport memcmp, memcpy, memset

from kpath_c.headers.tcp cimport *
from kpath_c.headers.route cimport *
from kpath_c.headers.checksum cimport csum_add, csum_fold, csum_ipv6_nofold
from kpath_c.net_tcp cimport *
from kpath_c.af_inet cimport inet_ctl_sock_init, inet_sk_rebuild_header, inet_sock_destruct
from kpath_c.af_inet6 cimport inet6_sk_rebuild_header
from kpath_c.icmpv6 cimport icmpv6_err_convert
from kpath_c.inet6_connection_sock cimport inet6_csk_route_req, inet6_csk_update_pmtu, inet6_csk_xmit, ip6_dst_store
from kpath_c.inet6_hashtables cimport (__inet6_lookup_established, __inet6_lookup_skb, inet6_hash_connect,
                                       inet6_lookup_listener)
from kpath_c.inet_connection_sock cimport (inet_csk_prepare_forced_close, inet_csk_reqsk_queue_drop_and_put)
from kpath_c.inet_hashtables cimport (__inet_inherit_port, inet_bhash2_reset_saddr, inet_bhash2_update_saddr,
                                      inet_ehash_nolisten)
from kpath_c.inet_timewait_sock cimport inet_twsk_deschedule_put, inet_twsk_put
from kpath_c.ip6_output cimport ip6_xmit
from kpath_c.ip6_route cimport ip6_dst_lookup_flow
from kpath_c.ip_output cimport ip_queue_xmit
from kpath_c.net_dst cimport dst_check
from kpath_c.md5 cimport md5_ctx, md5_final, md5_init, md5_update
from kpath_c.secure_seq cimport secure_tcpv6_seq_and_ts_off
from kpath_c.skbuff cimport (__skb_checksum_complete, alloc_skb, kfree_skb, pskb_may_pull, sk_skb_reason_drop)
from kpath_c.sock cimport __sk_dst_check, sk_error_report, sock_edemux
from kpath_c.sock_reuseport cimport reuseport_migrate_sock
from kpath_c.syncookies6 cimport cookie_v6_check, cookie_v6_init_sequence
from kpath_c.tcp cimport (tcp_done, tcp_inbound_hash, tcp_init_sock, tcp_md5_destruct_sock, tcp_md5_hash_key,
                          tcp_set_state, tcp_sigpool_hash_skb_data)
from kpath_c.tcp_fastopen cimport tcp_fastopen_defer_connect
from kpath_c.tcp_input cimport (tcp_conn_request, tcp_do_parse_auth_options, tcp_done_with_error,
                                tcp_initialize_rcv_mss, tcp_rcv_established, tcp_rcv_state_process,
                                tcp_simple_retransmit)
from kpath_c.tcp_ipv4 cimport (inet_sk_rx_dst_set, ip_icmp_error, rcv_bad_packet, rcv_csum_error,
                               rcv_discard_and_relse, rcv_discard_it, sk_rst_convert_drop_reason, tcp_add_backlog,
                               tcp_filter, tcp_ld_RTO_revert, tcp_md5_do_add, tcp_md5_do_del, tcp_md5_key_copy,
                               tcp_req_err, tcp_v4_conn_request, tcp_v4_connect, tcp_v4_do_rcv, tcp_v4_md5_hash_skb,
                               tcp_v4_md5_lookup, tcp_v4_mtu_reduced, tcp_v4_send_check, tcp_v4_syn_recv_sock)
from kpath_c.tcp_minisocks cimport (tcp_ca_openreq_child, tcp_check_req, tcp_child_process, tcp_create_openreq_child,
                                    tcp_timewait_state_process)
from kpath_c.tcp_output cimport tcp_connect, tcp_make_synack, tcp_mtu_to_mss, tcp_sync_mss

cdef inet_connection_sock_af_ops ipv6_specific
cdef inet_connection_sock_af_ops ipv6_mapped
cdef tcp_request_sock_ops tcp_request_sock_ipv6_ops
cdef tcp_sock_af_ops tcp_sock_ipv6_specific
cdef tcp_sock_af_ops tcp_sock_ipv6_mapped_specific


# Remembers the route of what arrives, for tcp_v6_early_demux().
cdef void inet6_sk_rx_dst_set(sock *sk, sk_buff *skb) noexcept nogil:
    cdef dst_entry *dst = skb_dst(skb)

    if dst != NULL and dst_hold_safe(dst):
        sk.sk_rx_dst = dst
        sk.sk_rx_dst_ifindex = skb.skb_iif
        sk.sk_rx_dst_cookie = rt6_get_cookie(dst_rt6_info(dst))


cdef tcp_seq_and_ts_off tcp_v6_init_seq_and_ts_off(net *n, sk_buff *skb) noexcept nogil:
    return secure_tcpv6_seq_and_ts_off(n, &ipv6_hdr(skb).daddr, &ipv6_hdr(skb).saddr, tcp_hdr(skb).dest,
                                       tcp_hdr(skb).source)


# ---------------------------------------------------------------------------------------------- connect

# The peer is an IPv4 host.
cdef int tcp_v6_connect_mapped(sock *sk, const sockaddr_in6 *usin) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef u16 exthdrlen = icsk.icsk_ext_hdr_len
    cdef sockaddr_in sin
    cdef int err

    if ipv6_only_sock(sk):
        return -ENETUNREACH

    sin.sin_family = AF_INET
    sin.sin_port = usin.sin6_port
    sin.sin_addr = usin.sin6_addr.s6_addr32[3]

    icsk.icsk_af_ops = &ipv6_mapped
    sk.sk_backlog_rcv = tcp_v4_do_rcv
    tcp_sk(sk).af_specific = &tcp_sock_ipv6_mapped_specific
    err = tcp_v4_connect(sk, &sin, sizeof(sin))
    if err:
        icsk.icsk_ext_hdr_len = exthdrlen
        icsk.icsk_af_ops = &ipv6_specific
        sk.sk_backlog_rcv = tcp_v6_do_rcv
        tcp_sk(sk).af_specific = &tcp_sock_ipv6_specific
        sk.sk_dport = 0
        sk.sk_route_caps = 0
        return err
    inet6_sk(sk).saddr = sk.sk_v6_rcv_saddr
    return 0


# What tcp_v6_connect() does behind tcp_set_state(SYN_SENT).
cdef int connect_hash_and_send(sock *sk, bint *deferred) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef tcp_seq_and_ts_off st
    cdef int err

    err = inet6_hash_connect(&n.ipv4.tcp_death_row, sk)
    if err:
        return err

    sk_set_txhash(sk)

    if not tp.repair:
        st = secure_tcpv6_seq_and_ts_off(n, &inet6_sk(sk).saddr, &sk.sk_v6_daddr, inet_sk(sk).inet_sport, sk.sk_dport)
        if not tp.write_seq:
            tp.write_seq = st.seq
        tp.tsoffset = st.ts_off

    deferred[0] = tcp_fastopen_defer_connect(sk, &err)
    if deferred[0] or err:
        return err

    return tcp_connect(sk)


# A route and, if the socket has none yet, a source address.
cdef int tcp_v6_connect_route(sock *sk, const sockaddr_in6 *usin) noexcept nogil:
    cdef ipv6_pinfo *np = inet6_sk(sk)
    cdef net *n = sock_net(sk)
    cdef bint bound = not ipv6_addr_any(&sk.sk_v6_rcv_saddr)
    cdef dst_entry *dst
    cdef flowi6 fl6
    cdef int err

    memset(&fl6, 0, sizeof(fl6))
    fl6.flowi6_proto = IPPROTO_TCP
    fl6.daddr = sk.sk_v6_daddr
    fl6.saddr = sk.sk_v6_rcv_saddr if bound else np.saddr
    fl6.flowlabel = ip6_make_flowinfo(np.tclass, np.flow_label)
    fl6.flowi6_oif = sk.sk_bound_dev_if
    fl6.flowi6_mark = sk.sk_mark
    fl6.fl6_dport = usin.sin6_port
    fl6.fl6_sport = inet_sk(sk).inet_sport
    fl6.flowi6_uid = sk.sk_uid

    dst = ip6_dst_lookup_flow(n, sk, &fl6, NULL)
    if IS_ERR(dst):
        return <int>PTR_ERR(dst)

    tcp_sk(sk).tcp_usec_ts = 1 if dst_tcp_usec_ts(dst) else 0

    if not bound:
        err = inet_bhash2_update_saddr(sk, &fl6.saddr, AF_INET6)
        if err:
            dst_release(dst)
            return err

    np.saddr = fl6.saddr
    sk.sk_rcv_saddr = LOOPBACK4_IPV6()

    sk.sk_gso_type = SKB_GSO_TCPV6
    ip6_dst_store(sk, dst)
    return 0


# RFC 9293 3.10.1, active OPEN.
cdef int tcp_v6_connect(sock *sk, sockaddr_in *uaddr, int addr_len) noexcept nogil:
    cdef sockaddr_in6 *usin = <sockaddr_in6 *>uaddr
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef bint deferred = False
    cdef int addr_type, err

    if addr_len < SIN6_LEN_RFC2133:
        return -EINVAL

    if usin.sin6_family != AF_INET6:
        return -EAFNOSUPPORT

    # to "any" means to the host itself
    if ipv6_addr_any(&usin.sin6_addr):
        if ipv6_addr_v4mapped(&sk.sk_v6_rcv_saddr):
            ipv6_addr_set_v4mapped(htonl(0x7f000001), &usin.sin6_addr)
        else:
            usin.sin6_addr.s6_addr32[3] = htonl(1)

    addr_type = ipv6_addr_type(&usin.sin6_addr)
    if addr_type & IPV6_ADDR_MULTICAST:
        return -ENETUNREACH

    if addr_type & IPV6_ADDR_LINKLOCAL:
        if addr_len >= <int>sizeof(sockaddr_in6) and usin.sin6_scope_id:
            if sk.sk_bound_dev_if and sk.sk_bound_dev_if != <int>usin.sin6_scope_id:
                return -EINVAL
            sk.sk_bound_dev_if = <int>usin.sin6_scope_id
        if not sk.sk_bound_dev_if:
            return -EINVAL

    if tp.rx_opt.ts_recent_stamp and not ipv6_addr_equal(&sk.sk_v6_daddr, &usin.sin6_addr):
        # of a connection to somebody else
        tp.rx_opt.ts_recent = 0
        tp.rx_opt.ts_recent_stamp = 0
        tp.write_seq = 0

    sk.sk_v6_daddr = usin.sin6_addr
    inet6_sk(sk).flow_label = 0

    if addr_type & IPV6_ADDR_MAPPED:
        return tcp_v6_connect_mapped(sk, usin)

    err = tcp_v6_connect_route(sk, usin)
    if err:
        sk.sk_dport = 0
        sk.sk_route_caps = 0
        return err

    icsk.icsk_ext_hdr_len = 0
    tp.rx_opt.mss_clamp = IPV6_MIN_MTU - <int>sizeof(tcphdr) - <int>sizeof(ipv6hdr)
    sk.sk_dport = usin.sin6_port

    tcp_set_state(sk, TCP_SYN_SENT)
    err = connect_hash_and_send(sk, &deferred)
    if deferred or not err:
        return err

    tcp_set_state(sk, TCP_CLOSE)
    inet_bhash2_reset_saddr(sk)
    sk.sk_dport = 0
    sk.sk_route_caps = 0
    return err


# ---------------------------------------------------------------------------------------------- ICMPv6

# RFC 8201: the path takes no more than tp.mtu_info.
cdef void tcp_v6_mtu_reduced(sock *sk) noexcept nogil:
    cdef dst_entry *dst
    cdef u32 mtu

    if (1 << sk.sk_state) & (TCPF_LISTEN | TCPF_CLOSE):
        return

    mtu = tcp_sk(sk).mtu_info

    # it must not make the segments larger
    if <u32>tcp_mtu_to_mss(sk, <int>mtu) >= tcp_sk(sk).mss_cache:
        return

    dst = inet6_csk_update_pmtu(sk, mtu)
    if dst == NULL:
        return

    if inet_csk(sk).icsk_pmtu_cookie > dst_mtu(dst):
        tcp_sync_mss(sk, dst_mtu(dst))
        tcp_simple_retransmit(sk)


cdef void packet_too_big(sock *sk, u32 mtu) noexcept nogil:
    # a SYN-ACK is never that large
    if sk.sk_state == TCP_LISTEN or not ip6_sk_accept_pmtu(sk) or mtu < IPV6_MIN_MTU:
        return
    tcp_sk(sk).mtu_info = mtu
    if not sock_owned_by_user(sk):
        tcp_v6_mtu_reduced(sk)
    elif not (sk.sk_tsq_flags & TCPF_MTU_REDUCED_DEFERRED):
        sk.sk_tsq_flags |= TCPF_MTU_REDUCED_DEFERRED
        sock_hold(sk)


# What tcp_v6_err() does with a full socket. `err`: what the message means.
cdef void icmp_error_to_sock(sock *sk, sk_buff *skb, tcphdr *th, u8 type_, u8 code, int err,
                             __be32 info) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef u32 seq = ntohl(th.seq)
    cdef request_sock *fastopen
    cdef tcp_sock *tp
    cdef dst_entry *dst
    cdef u32 snd_una

    if sk.sk_state == TCP_CLOSE:
        return

    # RFC 5082
    if inet6_sk(sk) != NULL and ipv6_hdr(skb).hop_limit < inet6_sk(sk).min_hopcount:
        NET_INC_STATS(n, LINUX_MIB_TCPMINTTLDROP)
        return

    tp = tcp_sk(sk)
    # RFC 5927 4.1: it must quote something that is in flight
    fastopen = tp.fastopen_rsk
    snd_una = tcp_rsk(fastopen).snt_isn if fastopen != NULL else tp.snd_una
    if sk.sk_state != TCP_LISTEN and not between(seq, snd_una, tp.snd_nxt):
        NET_INC_STATS(n, LINUX_MIB_OUTOFWINDOWICMPS)
        return

    if type_ == NDISC_REDIRECT:
        dst = __sk_dst_check(sk, inet6_sk(sk).dst_cookie)
        if dst != NULL:
            dst.ops.redirect(dst, sk, skb)
        return

    if type_ == ICMPV6_PKT_TOOBIG:
        packet_too_big(sk, ntohl(info))
        return

    # connecting: the attempt has failed. An accepted Fast Open socket counts as connected.
    if ((sk.sk_state == TCP_SYN_SENT or sk.sk_state == TCP_SYN_RECV) and
            not (fastopen != NULL and fastopen.sk == NULL)):
        ip_icmp_error(sk, skb, err, th.dest, ntohl(info), <u8 *>th)
        tcp_done_with_error(sk, err)
        return
    if (sk.sk_state != TCP_LISTEN and sk.sk_state != TCP_SYN_SENT and sk.sk_state != TCP_SYN_RECV and
            fastopen == NULL and type_ == ICMPV6_DEST_UNREACH and code == ICMPV6_NOROUTE):
        tcp_ld_RTO_revert(sk, seq)

    if inet_test_bit(INET_FLAGS_RECVERR6, sk):
        sk.sk_err = err
        sk_error_report(sk)
    else:
        sk.sk_err_soft = err


# An ICMPv6 error that quotes one of our segments; skb.data is at the quoted IPv6 header, TCP's `offset` behind it.
cdef int tcp_v6_err(sk_buff *skb, u8 type_, u8 code, int offset, __be32 info) noexcept nogil:
    cdef const ipv6hdr *hdr = <const ipv6hdr *>skb.data
    cdef tcphdr *th = <tcphdr *>(skb.data + offset)
    cdef net *n = dev_net(skb.dev)
    cdef int fatal, err = 0
    cdef sock *sk

    sk = __inet6_lookup_established(n, &hdr.daddr, th.dest, &hdr.saddr, ntohs(th.source), skb.dev.ifindex,
                                    inet6_sdif(skb))
    if sk == NULL:
        ICMP6_INC_STATS(n, ICMP6_MIB_INERRORS)
        return -ENOENT
    if sk.sk_state == TCP_TIME_WAIT:
        inet_twsk_put(inet_twsk(sk))
        return 0
    fatal = icmpv6_err_convert(type_, code, &err)
    if sk.sk_state == TCP_NEW_SYN_RECV:
        tcp_req_err(sk, ntohl(th.seq), fatal)
        return 0

    icmp_error_to_sock(sk, skb, th, type_, code, err, info)
    sock_put(sk)
    return 0


# The driver fills checksums in when it writes packets.
cdef void tcp_v6_send_check(sock *sk, sk_buff *skb) noexcept nogil:
    pass


# ---------------------------------------------------------------------------------------- replies without a socket

# A bare header back to where skb came from. `sk`, which may be a TIME_WAIT socket or NULL: on whose behalf.
cdef void tcp_v6_send_response(sock *sk, sk_buff *skb, u32 seq, u32 ack, u32 win, u32 tsval, u32 tsecr, int oif,
                               bint rst, u8 tclass, __be32 label, u32 priority, u32 txhash,
                               const tcp_key *key) noexcept nogil:
    cdef net *n = sock_net(sk) if sk != NULL else skb_dst_dev_net(skb)
    cdef u32 tot_len = <u32>sizeof(tcphdr) + (TCPOLEN_TSTAMP_ALIGNED if tsecr else 0)
    cdef sock *ctl_sk = <sock *>&n.tcp6_ctl_sk
    cdef tcphdr *th = tcp_hdr(skb)
    cdef dst_entry *dst
    cdef sk_buff *buff
    cdef __be32 *topt
    cdef tcphdr *t1
    cdef flowi6 fl6
    cdef u32 mark = 0

    if tcp_key_is_md5(key):
        tot_len += TCPOLEN_MD5SIG_ALIGNED

    buff = alloc_skb(n, MAX_TCP_HEADER, GFP_ATOMIC)
    if buff == NULL:
        return

    skb_reserve(buff, MAX_TCP_HEADER)
    t1 = <tcphdr *>skb_push(buff, tot_len)
    skb_reset_transport_header(buff)

    memset(t1, 0, sizeof(tcphdr))
    t1.dest = th.source
    t1.source = th.dest
    t1.doff_res = <u8>((tot_len // 4) << 4)
    t1.seq = htonl(seq)
    t1.ack_seq = htonl(ack)
    t1.flags = (TCPHDR_ACK if not rst or not th_ack(th) else 0) | (TCPHDR_RST if rst else 0)
    t1.window = htons(<u16>win)
    topt = <__be32 *>(t1 + 1)
    if tsecr:
        topt[0] = htonl((<u32>TCPOPT_NOP << 24) | (<u32>TCPOPT_NOP << 16) |
                        (<u32>TCPOPT_TIMESTAMP << 8) | TCPOLEN_TIMESTAMP)
        topt[1] = htonl(tsval)
        topt[2] = htonl(tsecr)
        topt += 3
    if tcp_key_is_md5(key):
        topt[0] = htonl((<u32>TCPOPT_NOP << 24) | (<u32>TCPOPT_NOP << 16) |
                        (<u32>TCPOPT_MD5SIG << 8) | TCPOLEN_MD5SIG)
        tcp_v6_md5_hash_hdr(<u8 *>(topt + 1), key.md5_key, &ipv6_hdr(skb).saddr, &ipv6_hdr(skb).daddr, t1)
    TCP_SKB_CB(buff).seq = seq
    TCP_SKB_CB(buff).end_seq = seq

    memset(&fl6, 0, sizeof(fl6))
    fl6.daddr = ipv6_hdr(skb).saddr
    fl6.saddr = ipv6_hdr(skb).daddr
    fl6.flowlabel = label
    fl6.flowi6_proto = IPPROTO_TCP
    # a link-local peer is one of the link that it was heard on
    if ipv6_addr_type(&fl6.daddr) & IPV6_ADDR_LINKLOCAL and not oif:
        fl6.flowi6_oif = tcp_v6_iif(skb)
    else:
        fl6.flowi6_oif = oif

    if sk != NULL:
        skb_set_owner_edemux(buff, sk)
        mark = inet_twsk(sk).tw_mark if sk.sk_state == TCP_TIME_WAIT else sk.sk_mark
        skb_set_delivery_time(buff, <ktime_t>tcp_transmit_time(sk), SKB_CLOCK_MONOTONIC)
    if txhash:
        buff.hash = txhash
        buff.l4_hash = 1
    fl6.flowi6_mark = IP6_REPLY_MARK(n, skb.mark)
    if not fl6.flowi6_mark:
        fl6.flowi6_mark = mark
    fl6.fl6_dport = t1.dest
    fl6.fl6_sport = t1.source

    dst = ip6_dst_lookup_flow(n, ctl_sk, &fl6, NULL)
    if IS_ERR(dst):
        kfree_skb(buff)
        return
    skb_dst_set(buff, dst)
    ip6_xmit(ctl_sk, buff, &fl6, fl6.flowi6_mark, tclass, priority)
    TCP_INC_STATS(n, TCP_MIB_OUTSEGS)
    if rst:
        TCP_INC_STATS(n, TCP_MIB_OUTRSTS)


# As in tcp_ipv4.pyx.
cdef tcp_md5sig_key *reset_key_of_listener(net *n, sk_buff *skb, const tcphdr *th, const u8 *location) noexcept nogil:
    cdef sock *listener = inet6_lookup_listener(n, NULL, 0, &ipv6_hdr(skb).saddr, th.source, &ipv6_hdr(skb).daddr,
                                                ntohs(th.source), tcp_v6_iif(skb), 0)
    cdef tcp_md5sig_key *key
    cdef u8 newhash[16]

    if listener == NULL:
        return NULL
    key = tcp_v6_md5_do_lookup(listener, &ipv6_hdr(skb).saddr, 0)
    if key == NULL:
        return NULL
    tcp_v6_md5_hash_skb(newhash, key, NULL, skb)
    return key if not skb_bytes_present(skb) or memcmp(location, newhash, sizeof(newhash)) == 0 else NULL


# RFC 9293 3.5.2: a RST that answers `skb`, made of nothing but that segment.
cdef void tcp_v6_send_reset(sock *sk, sk_buff *skb, int reason) noexcept nogil:
    cdef tcphdr *th = tcp_hdr(skb)
    cdef ipv6hdr *ipv6h = ipv6_hdr(skb)
    cdef const u8 *md5_hash_location = NULL
    cdef const u8 *aoh = NULL
    cdef u32 seq = 0
    cdef u32 ack_seq = 0
    cdef __be32 label = 0
    cdef u32 priority = 0
    cdef u32 txhash = 0
    cdef int oif = 0
    cdef tcp_key key
    cdef net *n

    # never a RST for a RST
    if th_rst(th):
        return

    # no socket was looked up: it may not even be for us
    if sk == NULL and not ipv6_unicast_destination(skb):
        return

    n = sock_net(sk) if sk != NULL else skb_dst_dev_net(skb)
    if tcp_do_parse_auth_options(th, &md5_hash_location, &aoh):
        return
    # signed with what there are no keys for: nothing that the peer would believe could be sent
    if aoh != NULL:
        return
    key.md5_key = NULL
    if sk != NULL and sk_fullsock(sk):
        key.md5_key = tcp_v6_md5_do_lookup(sk, &ipv6h.saddr, 0)
    elif md5_hash_location != NULL:
        key.md5_key = reset_key_of_listener(n, skb, th, md5_hash_location)
        if key.md5_key == NULL:
            return

    if th_ack(th):
        seq = ntohl(th.ack_seq)
    else:
        ack_seq = ntohl(th.seq) + <u32>th_syn(th) + <u32>th_fin(th) + skb.len - (th_doff(th) << 2)

    if sk != NULL:
        oif = sk.sk_bound_dev_if
        if sk_fullsock(sk):
            if inet_test_bit(INET_FLAGS_REPFLOW, sk):
                label = ip6_flowlabel(ipv6h)
            priority = sk.sk_priority
            txhash = sk.sk_txhash
        if sk.sk_state == TCP_TIME_WAIT:
            label = htonl(inet_twsk(sk).tw_flowlabel)
            priority = inet_twsk(sk).tw_priority
            txhash = inet_twsk(sk).tw_txhash
    elif n.ipv6.flowlabel_reflect & FLOWLABEL_REFLECT_TCP_RESET:
        label = ip6_flowlabel(ipv6h)

    trace_tcp_send_reset(n, sk, skb, reason)

    tcp_v6_send_response(sk, skb, seq, ack_seq, 0, 0, 0, oif, 1, ipv6_get_dsfield(ipv6h) & <u8>~<u8>INET_ECN_MASK,
                         label, priority, txhash, &key)


cdef void tcp_v6_timewait_ack(sock *sk, sk_buff *skb, int tw_status) noexcept nogil:
    cdef inet_timewait_sock *tw = inet_twsk(sk)
    cdef tcp_timewait_sock *tcptw = tcp_twsk(sk)
    cdef u8 tclass = tw.tw_tos
    cdef tcp_key key

    # no ECT on what answers a segment out of the window
    if tw_status == TCP_TW_ACK_OOW:
        tclass &= <u8>~<u8>INET_ECN_MASK

    key.md5_key = tcp_twsk_md5_key(tcptw)
    tcp_v6_send_response(sk, skb, tw.tw_snd_nxt, tw.tw_rcv_nxt, tcptw.tw_rcv_wnd >> tw.tw_rcv_wscale,
                         tcp_tw_tsval(tcptw), tcptw.tw_ts_recent, tw.tw_bound_dev_if, 0, tclass,
                         htonl(tw.tw_flowlabel), tw.tw_priority, tw.tw_txhash, &key)

    inet_twsk_put(tw)


# sk: the listener, or the Fast Open child in SYN_RECV.
cdef void tcp_v6_reqsk_send_ack(sock *sk, sk_buff *skb, request_sock *req) noexcept nogil:
    cdef tcp_request_sock *treq = tcp_rsk(req)
    cdef u32 seq = treq.snt_isn + 1 if sk.sk_state == TCP_LISTEN else tcp_sk(sk).snd_nxt
    cdef tcp_key key

    key.md5_key = tcp_v6_md5_do_lookup(sk, &ipv6_hdr(skb).saddr, 0)
    tcp_v6_send_response(sk, skb, seq, treq.rcv_nxt, tcp_synack_window(req) >> inet_rsk(req).rcv_wscale,
                         tcp_rsk_tsval(treq), req.ts_recent, sk.sk_bound_dev_if, 0,
                         ipv6_get_dsfield(ipv6_hdr(skb)) & <u8>~<u8>INET_ECN_MASK, 0, sk.sk_priority, treq.txhash,
                         &key)


# ---------------------------------------------------------------------------------------------- signatures (RFC 2385)

cdef inline tcp_md5sig_key *tcp_v6_md5_do_lookup(const sock *sk, const in6_addr *addr, int l3index) noexcept nogil:
    return tcp_md5_do_lookup(sk, l3index, addr, AF_INET6)


cdef tcp_md5sig_key *tcp_v6_md5_lookup(const sock *sk, const sock *addr_sk) noexcept nogil:
    return tcp_v6_md5_do_lookup(sk, &addr_sk.sk_v6_daddr, 0)


# TCP_MD5SIG, TCP_MD5SIG_EXT. The key of a peer whose address is IPv4's is one of IPv4.
cdef int tcp_v6_parse_md5_keys(sock *sk, int optname, const void *optval, int optlen) noexcept nogil:
    cdef tcp_md5sig cmd
    cdef sockaddr_in6 *sin6 = <sockaddr_in6 *>cmd.tcpm_addr
    cdef const void *addr = &sin6.sin6_addr
    cdef int family = AF_INET6
    cdef u8 prefixlen = 128
    cdef u8 flags

    if optlen < <int>sizeof(cmd):
        return -EINVAL

    memcpy(&cmd, optval, sizeof(cmd))

    if sin6.sin6_family != AF_INET6:
        return -EINVAL

    if ipv6_addr_v4mapped(&sin6.sin6_addr):
        family = AF_INET
        addr = &sin6.sin6_addr.s6_addr32[3]
        prefixlen = 32

    flags = cmd.tcpm_flags & TCP_MD5SIG_FLAG_IFINDEX

    if optname == TCP_MD5SIG_EXT and cmd.tcpm_flags & TCP_MD5SIG_FLAG_PREFIX:
        if cmd.tcpm_prefixlen > prefixlen:
            return -EINVAL
        prefixlen = cmd.tcpm_prefixlen

    # no device here is an L3 master
    if optname == TCP_MD5SIG_EXT and cmd.tcpm_ifindex and flags:
        return -EINVAL

    if not cmd.tcpm_keylen:
        return tcp_md5_do_del(sk, addr, family, prefixlen, 0, flags)

    if cmd.tcpm_keylen > TCP_MD5SIG_MAXKEYLEN:
        return -EINVAL

    return tcp_md5_do_add(sk, addr, family, prefixlen, 0, flags, cmd.tcpm_key, <u8>cmd.tcpm_keylen)


cdef struct tcp6_pseudohdr:
    in6_addr saddr
    in6_addr daddr
    __be32 len
    __be32 protocol


cdef void tcp_v6_md5_hash_headers(md5_ctx *hp, const in6_addr *daddr, const in6_addr *saddr, const tcphdr *th,
                                  int nbytes) noexcept nogil:
    cdef tcp6_pseudohdr bp
    cdef tcphdr bare

    bp.saddr = saddr[0]
    bp.daddr = daddr[0]
    bp.protocol = htonl(IPPROTO_TCP)
    bp.len = htonl(<u32>nbytes)
    md5_update(hp, <u8 *>&bp, sizeof(bp))

    # without options and checksum
    bare = th[0]
    bare.check = 0
    md5_update(hp, <u8 *>&bare, sizeof(bare))


cdef int tcp_v6_md5_hash_hdr(u8 *md5_hash, const tcp_md5sig_key *key, const in6_addr *daddr, const in6_addr *saddr,
                             const tcphdr *th) noexcept nogil:
    cdef md5_ctx hp

    md5_init(&hp)
    tcp_v6_md5_hash_headers(&hp, daddr, saddr, th, <int>(th_doff(<tcphdr *>th) << 2))
    tcp_md5_hash_key(&hp, key)
    md5_final(&hp, md5_hash)
    return 0


# sk: the socket or request that sends skb; NULL: skb was received.
cdef int tcp_v6_md5_hash_skb(u8 *md5_hash, const tcp_md5sig_key *key, const sock *sk,
                             const sk_buff *skb) noexcept nogil:
    cdef tcphdr *th = tcp_hdr(<sk_buff *>skb)
    cdef const in6_addr *saddr
    cdef const in6_addr *daddr
    cdef md5_ctx hp

    if sk != NULL:
        saddr = &sk.sk_v6_rcv_saddr
        daddr = &sk.sk_v6_daddr
    else:
        saddr = &ipv6_hdr(<sk_buff *>skb).saddr
        daddr = &ipv6_hdr(<sk_buff *>skb).daddr

    md5_init(&hp)
    tcp_v6_md5_hash_headers(&hp, daddr, saddr, th, <int>skb.len)
    tcp_sigpool_hash_skb_data(&hp, skb, th_doff(th) << 2)
    tcp_md5_hash_key(&hp, key)
    md5_final(&hp, md5_hash)
    return 0


# ---------------------------------------------------------------------------------------------- passive open

# Sends the SYN-ACK of a request. `dst`, if given, is taken over.
cdef int tcp_v6_send_synack(sock *sk, dst_entry *dst, flowi *fl, request_sock *req, tcp_fastopen_cookie *foc,
                            int synack_type, sk_buff *syn_skb) noexcept nogil:
    cdef flowi6 *fl6 = &fl.ip6
    cdef sk_buff *skb
    cdef u8 tclass

    if dst == NULL:
        dst = inet6_csk_route_req(sk, fl6, req, IPPROTO_TCP)
        if dst == NULL:
            return -ENOMEM

    skb = tcp_make_synack(sk, dst, req, foc, synack_type, syn_skb)
    if skb == NULL:
        return -ENOMEM

    fl6.daddr = req.ir_v6_rmt_addr
    tclass = inet6_sk(sk).tclass
    if sock_net(sk).ipv4.sysctl_tcp_reflect_tos:
        tclass = <u8>((tcp_rsk(req).syn_tos & ~INET_ECN_MASK) | (tclass & INET_ECN_MASK))
    return net_xmit_eval(ip6_xmit(sk, skb, fl6, skb.mark if skb.mark else sk.sk_mark, tclass, sk.sk_priority))


cdef void tcp_v6_reqsk_destructor(request_sock *req) noexcept nogil:
    pass


cdef void tcp_v6_init_req(request_sock *req, const sock *sk_listener, sk_buff *skb) noexcept nogil:
    req.ir_v6_rmt_addr = ipv6_hdr(skb).saddr
    req.ir_v6_loc_addr = ipv6_hdr(skb).daddr
    req.ir_rmt_addr = LOOPBACK4_IPV6()
    req.ir_loc_addr = LOOPBACK4_IPV6()

    # a link-local address means something on its link only
    if not sk_listener.sk_bound_dev_if and ipv6_addr_type(&req.ir_v6_rmt_addr) & IPV6_ADDR_LINKLOCAL:
        req.ir_iif = tcp_v6_iif(skb)


cdef dst_entry *tcp_v6_route_req(sock *sk, sk_buff *skb, flowi *fl, request_sock *req, u32 tw_isn) noexcept nogil:
    tcp_v6_init_req(req, sk, skb)

    return inet6_csk_route_req(sk, &fl.ip6, req, IPPROTO_TCP)


# A SYN for a listener.
cdef int tcp_v6_conn_request(sock *sk, sk_buff *skb) noexcept nogil:
    if skb.protocol == htons(ETH_P_IP):
        return tcp_v4_conn_request(sk, skb)

    if not ipv6_unicast_destination(skb):
        tcp_listendrop(sk)
        return 0

    if ipv6_addr_v4mapped(&ipv6_hdr(skb).saddr):
        IP6_INC_STATS(sock_net(sk), IPSTATS_MIB_INHDRERRORS)
        return 0

    return tcp_conn_request(&sock_net(sk).tcp6_rsk_ops, &tcp_request_sock_ipv6_ops, sk, skb)


# The IPv6 part of a child is its own, a copy of the listener's.
cdef ipv6_pinfo *child_pinfo(sock *newsk, const sock *sk) noexcept nogil:
    cdef ipv6_pinfo *newnp = &(<tcp6_sock *>newsk).inet6

    newnp[0] = (<const inet_sock *>sk).pinet6[0]
    inet_sk(newsk).pinet6 = newnp
    return newnp


# tcp_v4_syn_recv_sock() has made a child of an AF_INET6 listener.
cdef void tcp_v6_mapped_child_init(sock *newsk, sock *sk) noexcept nogil:
    cdef ipv6_pinfo *newnp = child_pinfo(newsk, sk)

    newnp.saddr = newsk.sk_v6_rcv_saddr
    inet_csk(newsk).icsk_af_ops = &ipv6_mapped
    newsk.sk_backlog_rcv = tcp_v4_do_rcv
    tcp_sk(newsk).af_specific = &tcp_sock_ipv6_mapped_specific
    newnp.mcast_oif = inet_sk(newsk).mc_index
    newnp.mcast_hops = inet_sk(newsk).mc_ttl
    newnp.rcv_flowinfo = 0
    if inet_test_bit(INET_FLAGS_REPFLOW, sk):
        newnp.flow_label = 0


# Label put_and_exit of tcp_v6_syn_recv_sock().
cdef sock *syn_recv_sock_failed(sock *sk, sock *newsk) noexcept nogil:
    inet_csk_prepare_forced_close(newsk)
    tcp_done(newsk)
    tcp_listendrop(sk)
    return NULL


# What of a new child is IPv6's. Takes over dst.
cdef void child_init(sock *newsk, const sock *sk, request_sock *req, sk_buff *skb, dst_entry *dst) noexcept nogil:
    cdef ipv6_pinfo *newnp

    newsk.sk_gso_type = SKB_GSO_TCPV6
    inet6_sk_rx_dst_set(newsk, skb)
    inet_sk(newsk).inet_opt = NULL

    newnp = child_pinfo(newsk, sk)
    ip6_dst_store(newsk, dst)
    newnp.saddr = req.ir_v6_loc_addr
    newnp.mcast_oif = tcp_v6_iif(skb)
    newnp.mcast_hops = ipv6_hdr(skb).hop_limit
    newnp.rcv_flowinfo = ip6_flowinfo(ipv6_hdr(skb))
    if inet_test_bit(INET_FLAGS_REPFLOW, sk):
        newnp.flow_label = ip6_flowlabel(ipv6_hdr(skb))

    # without ECT: tcp_init_transfer() decides on that
    if sock_net(sk).ipv4.sysctl_tcp_reflect_tos:
        newnp.tclass = tcp_rsk(req).syn_tos & <u8>~<u8>INET_ECN_MASK
    inet_csk(newsk).icsk_ext_hdr_len = 0


# The handshake is complete: makes the full socket. *own_req: it took the request's place in the tables.
cdef sock *tcp_v6_syn_recv_sock(sock *sk, sk_buff *skb, request_sock *req, dst_entry *dst, request_sock *req_unhash,
                                bint *own_req,
                                void (*opt_child_init)(sock *newsk, sock *sk) noexcept nogil) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef bint found_dup_sk = False
    cdef tcp_md5sig_key *key
    cdef tcp_sock *newtp
    cdef flowi6 fl6
    cdef sock *newsk

    if skb.protocol == htons(ETH_P_IP):
        return tcp_v4_syn_recv_sock(sk, skb, req, dst, req_unhash, own_req, tcp_v6_mapped_child_init)

    if sk_acceptq_is_full(sk):
        NET_INC_STATS(n, LINUX_MIB_LISTENOVERFLOWS)
        dst_release(dst)
        tcp_listendrop(sk)
        return NULL

    if dst == NULL:
        dst = inet6_csk_route_req(sk, &fl6, req, IPPROTO_TCP)
        if dst == NULL:
            tcp_listendrop(sk)
            return NULL

    newsk = tcp_create_openreq_child(sk, req, skb)
    if newsk == NULL:
        dst_release(dst)
        tcp_listendrop(sk)
        return NULL
    child_init(newsk, sk, req, skb, dst)

    newtp = tcp_sk(newsk)
    tcp_ca_openreq_child(newsk, dst)

    tcp_sync_mss(newsk, dst_mtu(dst))
    newtp.advmss = tcp_mss_clamp(tcp_sk(sk), <u16>dst_metric_advmss(dst))

    tcp_initialize_rcv_mss(newsk)

    key = tcp_v6_md5_do_lookup(sk, &newsk.sk_v6_daddr, 0)
    if key != NULL and tcp_md5_key_copy(newsk, &newsk.sk_v6_daddr, AF_INET6, 128, 0, key):
        return syn_recv_sock_failed(sk, newsk)

    if __inet_inherit_port(sk, newsk) < 0:
        return syn_recv_sock_failed(sk, newsk)
    own_req[0] = inet_ehash_nolisten(newsk, req_to_sk(req_unhash), &found_dup_sk)
    if own_req[0]:
        tcp_move_syn(newtp, req)
    elif req_unhash == NULL and found_dup_sk:
        # two ACKs with the same SYN cookie
        sock_put(newsk)
        newsk = NULL
    return newsk


# At a listener: an ACK may carry a SYN cookie. sk: it does not; NULL: dropped; else the new socket.
cdef sock *tcp_v6_cookie_check(sock *sk, sk_buff *skb) noexcept nogil:
    if not th_syn(tcp_hdr(skb)):
        sk = cookie_v6_check(sk, skb)
    return sk


# ---------------------------------------------------------------------------------------------- a segment arrives

# tcp_v6_do_rcv() behind its labels `reset` (rsk given) and `discard`.
cdef int do_rcv_discard(sock *sk, sock *rsk, sk_buff *skb, int reason) noexcept nogil:
    if rsk != NULL:
        tcp_v6_send_reset(rsk, skb, sk_rst_convert_drop_reason(reason))
    sk_skb_reason_drop(sk, skb, reason)
    return 0


# Hands a segment to its socket.
cdef int tcp_v6_do_rcv(sock *sk, sk_buff *skb) noexcept nogil:
    cdef dst_entry *dst
    cdef sock *nsk
    cdef int reason

    if skb.protocol == htons(ETH_P_IP):
        return tcp_v4_do_rcv(sk, skb)

    if sk.sk_state == TCP_ESTABLISHED:
        dst = sk.sk_rx_dst

        sock_rps_save_rxhash(sk, skb)
        if dst != NULL:
            if sk.sk_rx_dst_ifindex != skb.skb_iif or dst.ops.check(dst, sk.sk_rx_dst_cookie) == NULL:
                sk.sk_rx_dst = NULL
                dst_release(dst)
        tcp_rcv_established(sk, skb)
        return 0

    if tcp_checksum_complete(skb):
        trace_tcp_bad_csum(skb)
        TCP_INC_STATS(sock_net(sk), TCP_MIB_CSUMERRORS)
        TCP_INC_STATS(sock_net(sk), TCP_MIB_INERRS)
        return do_rcv_discard(sk, NULL, skb, SKB_DROP_REASON_TCP_CSUM)

    if sk.sk_state == TCP_LISTEN:
        nsk = tcp_v6_cookie_check(sk, skb)

        if nsk == NULL:
            return 0
        if nsk != sk:
            reason = tcp_child_process(sk, nsk, skb)
            if reason:
                return do_rcv_discard(sk, sk, skb, reason)
            return 0
    else:
        sock_rps_save_rxhash(sk, skb)

    reason = tcp_rcv_state_process(sk, skb)
    if reason:
        return do_rcv_discard(sk, sk, skb, reason)
    return 0


# IP6CB and header.h6 are one place here: nothing has to be moved.
cdef void tcp_v6_fill_cb(sk_buff *skb, const ipv6hdr *hdr, tcphdr *th) noexcept nogil:
    cdef tcp_skb_cb *tcb = TCP_SKB_CB(skb)

    tcb.seq = ntohl(th.seq)
    tcb.end_seq = tcb.seq + <u32>th_syn(th) + <u32>th_fin(th) + skb.len - __tcp_hdrlen(th)
    tcb.ack_seq = ntohl(th.ack_seq)
    tcb.tcp_flags = tcp_flags_ntohs(th)
    tcb.ip_dsfield = ipv6_get_dsfield(hdr)
    tcb.sacked = 0
    tcb.has_rxtstamp = 1 if skb.skb_mstamp_ns or skb_shinfo(skb).hwtstamps else 0


# skb_checksum_init(skb, IPPROTO_TCP, ip6_compute_pseudo): as tcp_v4_checksum_init(). True: wrong.
cdef bint tcp_v6_checksum_init(sk_buff *skb) noexcept nogil:
    cdef u32 psum

    skb.csum_valid = 0
    if skb.ip_summed == CHECKSUM_NONE and not skb_bytes_present(skb):
        skb.ip_summed = CHECKSUM_UNNECESSARY
    if skb_csum_unnecessary(skb):
        skb.csum_valid = 1
        __skb_decr_checksum_unnecessary(skb)
        return False

    psum = csum_ipv6_nofold(&ipv6_hdr(skb).saddr, &ipv6_hdr(skb).daddr, skb.len, IPPROTO_TCP, 0)
    if skb.ip_summed == CHECKSUM_COMPLETE and csum_fold(csum_add(psum, skb.csum)) == 0:
        skb.csum_valid = 1
        return False

    skb.csum = psum
    if skb.len <= CHECKSUM_BREAK:
        if __skb_checksum_complete(skb):
            return True
        skb.csum_valid = 1
    return False


cdef int rcv_no_tcp_socket(net *n, sk_buff *skb, const ipv6hdr *hdr, tcphdr *th) noexcept nogil:
    tcp_v6_fill_cb(skb, hdr, th)

    if tcp_checksum_complete(skb):
        return rcv_csum_error(n, NULL, skb)
    tcp_v6_send_reset(NULL, skb, sk_rst_convert_drop_reason(SKB_DROP_REASON_NO_SOCKET))
    return rcv_discard_it(NULL, skb, SKB_DROP_REASON_NO_SOCKET)


# Label do_time_wait. Returns the listener that shall have the segment (a SYN reopens the pair; *isn is then the
# sequence number to answer with), or NULL: it is dealt with.
cdef sock *rcv_time_wait(net *n, sock *sk, sk_buff *skb, const ipv6hdr *hdr, tcphdr *th, int sdif,
                         u32 *isn) noexcept nogil:
    cdef int drop_reason = SKB_DROP_REASON_NOT_SPECIFIED
    cdef int tw_status
    cdef sock *sk2

    tcp_v6_fill_cb(skb, hdr, th)

    if tcp_checksum_complete(skb):
        inet_twsk_put(inet_twsk(sk))
        rcv_csum_error(n, NULL, skb)
        return NULL

    tw_status = tcp_timewait_state_process(inet_twsk(sk), skb, th, isn, &drop_reason)
    if tw_status == TCP_TW_SYN:
        sk2 = inet6_lookup_listener(n, skb, <int>__tcp_hdrlen(th), &hdr.saddr, th.source, &hdr.daddr, ntohs(th.dest),
                                    tcp_v6_iif(skb), sdif)
        if sk2 != NULL:
            inet_twsk_deschedule_put(inet_twsk(sk))
            return sk2
    if tw_status == TCP_TW_SYN or tw_status == TCP_TW_ACK or tw_status == TCP_TW_ACK_OOW:
        tcp_v6_timewait_ack(sk, skb, tw_status)
    elif tw_status == TCP_TW_RST:
        tcp_v6_send_reset(sk, skb, SK_RST_REASON_TCP_TIMEWAIT_SOCKET)
        inet_twsk_deschedule_put(inet_twsk(sk))
    rcv_discard_it(NULL, skb, drop_reason)
    return NULL


cdef enum:
    RCV_DONE = 0                        # the segment is dealt with
    RCV_LOOKUP = 1                      # look its socket up again
    RCV_PROCESS = 2                     # go on, with the listener


# A segment for a request (TCP_NEW_SYN_RECV); *skp becomes the listener.
cdef int rcv_new_syn_recv(net *n, sock **skp, sk_buff *skb, ipv6hdr *hdr, tcphdr *th, int dif,
                          int sdif) noexcept nogil:
    cdef request_sock *req = inet_reqsk(skp[0])
    cdef sock *sk = req.rsk_listener
    cdef bint req_stolen = False
    cdef int drop_reason
    cdef sock *nsk

    drop_reason = tcp_inbound_hash(sk, req, skb, &hdr.saddr, &hdr.daddr, AF_INET6, dif, sdif)
    if drop_reason:
        sk_drops_skbadd(sk, skb)
        reqsk_put(req)
        return rcv_discard_it(NULL, skb, drop_reason)
    if tcp_checksum_complete(skb):
        reqsk_put(req)
        return rcv_csum_error(n, NULL, skb)
    if sk.sk_state != TCP_LISTEN:
        # the listener is gone; another of its group may take over
        nsk = reuseport_migrate_sock(sk, req_to_sk(req), skb)
        if nsk == NULL:
            inet_csk_reqsk_queue_drop_and_put(sk, req)
            return RCV_LOOKUP
        sk = nsk
    else:
        # the request may lose its own reference
        sock_hold(sk)
    nsk = NULL
    if not tcp_filter(sk, skb, &drop_reason):
        tcp_v6_fill_cb(skb, hdr, th)
        nsk = tcp_check_req(sk, skb, req, False, &req_stolen, &drop_reason)
    if nsk == NULL:
        reqsk_put(req)
        if req_stolen:
            # it has become a socket meanwhile
            sock_put(sk)
            return RCV_LOOKUP
        return rcv_discard_and_relse(sk, skb, True, drop_reason)
    if nsk == sk:
        reqsk_put(req)
        skp[0] = sk
        return RCV_PROCESS
    drop_reason = tcp_child_process(sk, nsk, skb)
    if drop_reason:
        tcp_v6_send_reset(nsk, skb, sk_rst_convert_drop_reason(drop_reason))
        return rcv_discard_and_relse(sk, skb, True, drop_reason)
    sock_put(sk)
    return RCV_DONE


# A segment whose full socket is known: label `process` of tcp_v6_rcv().
cdef int rcv_process(net *n, sock *sk, sk_buff *skb, ipv6hdr *hdr, tcphdr *th, int dif, int sdif, bint refcounted,
                     u32 isn) noexcept nogil:
    cdef int drop_reason = SKB_DROP_REASON_NOT_SPECIFIED
    cdef int ret = 0

    # RFC 5082
    if inet6_sk(sk) != NULL and hdr.hop_limit < inet6_sk(sk).min_hopcount:
        NET_INC_STATS(n, LINUX_MIB_TCPMINTTLDROP)
        return rcv_discard_and_relse(sk, skb, refcounted, SKB_DROP_REASON_TCP_MINTTL)

    drop_reason = tcp_inbound_hash(sk, NULL, skb, &hdr.saddr, &hdr.daddr, AF_INET6, dif, sdif)
    if drop_reason:
        return rcv_discard_and_relse(sk, skb, refcounted, drop_reason)

    if tcp_filter(sk, skb, &drop_reason):
        return rcv_discard_and_relse(sk, skb, refcounted, drop_reason)

    tcp_v6_fill_cb(skb, hdr, th)
    TCP_SKB_CB(skb).tcp_tw_isn = isn

    skb.dev = NULL

    if sk.sk_state != TCP_LISTEN:
        sk_incoming_cpu_update(sk)
        tcp_segs_in(tcp_sk(sk), skb)
    if not sock_owned_by_user(sk):
        ret = tcp_v6_do_rcv(sk, skb)
    elif tcp_add_backlog(sk, skb, &drop_reason):
        return rcv_discard_and_relse(sk, skb, refcounted, drop_reason)
    if refcounted:
        sock_put(sk)
    return ret


# IPv6 hands up a segment; skb.data is at the TCP header.
cdef int tcp_v6_rcv(sk_buff *skb) noexcept nogil:
    cdef net *n = dev_net(skb.dev)
    cdef int drop_reason = SKB_DROP_REASON_NOT_SPECIFIED
    cdef int sdif = inet6_sdif(skb)
    cdef int dif = inet6_iif(skb)
    cdef ipv6hdr *hdr
    cdef tcphdr *th
    cdef sock *sk = NULL
    cdef bint refcounted = False
    cdef int next_
    cdef u32 isn = 0

    if skb.pkt_type != PACKET_HOST:
        return rcv_discard_it(NULL, skb, drop_reason)

    # also if it is bad
    TCP_INC_STATS(n, TCP_MIB_INSEGS)

    if not pskb_may_pull(skb, <unsigned int>sizeof(tcphdr)):
        return rcv_discard_it(NULL, skb, drop_reason)

    th = <tcphdr *>skb.data

    if th_doff(th) < sizeof(tcphdr) // 4:
        return rcv_bad_packet(n, NULL, skb, SKB_DROP_REASON_PKT_TOO_SMALL)
    if not pskb_may_pull(skb, __tcp_hdrlen(th)):
        return rcv_discard_it(NULL, skb, drop_reason)

    if tcp_v6_checksum_init(skb):
        return rcv_csum_error(n, NULL, skb)

    hdr = ipv6_hdr(skb)
    while True:
        sk = __inet6_lookup_skb(skb, <int>__tcp_hdrlen(th), th.source, th.dest, inet6_iif(skb), sdif, &refcounted)
        if sk == NULL:
            return rcv_no_tcp_socket(n, skb, hdr, th)

        if sk.sk_state == TCP_TIME_WAIT:
            sk = rcv_time_wait(n, sk, skb, hdr, th, sdif, &isn)
            if sk == NULL:
                return 0
            refcounted = False
        elif sk.sk_state == TCP_NEW_SYN_RECV:
            next_ = rcv_new_syn_recv(n, &sk, skb, hdr, th, dif, sdif)
            if next_ == RCV_DONE:
                return 0
            if next_ == RCV_LOOKUP:
                continue
            refcounted = True
            isn = 0
        return rcv_process(n, sk, skb, hdr, th, dif, sdif, refcounted, isn)


# Before routing: a connection knows the route of what it receives.
cdef void tcp_v6_early_demux(sk_buff *skb) noexcept nogil:
    cdef ipv6hdr *hdr
    cdef tcphdr *th
    cdef dst_entry *dst
    cdef sock *sk

    if skb.pkt_type != PACKET_HOST:
        return

    if not pskb_may_pull(skb, <unsigned int>skb_transport_offset(skb) + <unsigned int>sizeof(tcphdr)):
        return

    hdr = ipv6_hdr(skb)
    th = tcp_hdr(skb)

    if th_doff(th) < sizeof(tcphdr) // 4:
        return

    sk = __inet6_lookup_established(dev_net(skb.dev), &hdr.saddr, th.source, &hdr.daddr, ntohs(th.dest),
                                    inet6_iif(skb), inet6_sdif(skb))
    if sk != NULL:
        skb.sk = sk
        skb.destructor = sock_edemux
        if sk_fullsock(sk):
            dst = sk.sk_rx_dst

            if dst != NULL:
                dst = dst_check(dst, sk.sk_rx_dst_cookie)
            if dst != NULL and sk.sk_rx_dst_ifindex == skb.skb_iif:
                skb_dst_set_noref(skb, dst)


# ---------------------------------------------------------------------------------------------- set-up

cdef void tcp6_destruct_sock(sock *sk) noexcept nogil:
    tcp_md5_destruct_sock(sk)
    inet_sock_destruct(sk)


cdef int tcp_v6_init_sock(sock *sk) noexcept nogil:
    tcp_init_sock(sk)

    inet_csk(sk).icsk_af_ops = &ipv6_specific

    tcp_sk(sk).af_specific = &tcp_sock_ipv6_specific
    sk.sk_destruct = tcp6_destruct_sock

    return 0


# The tables of functions, the same for every host.
cdef void tcp_v6_init_ops() noexcept nogil:
    ipv6_specific.queue_xmit = inet6_csk_xmit
    ipv6_specific.send_check = tcp_v6_send_check
    ipv6_specific.rebuild_header = inet6_sk_rebuild_header
    ipv6_specific.sk_rx_dst_set = inet6_sk_rx_dst_set
    ipv6_specific.conn_request = tcp_v6_conn_request
    ipv6_specific.syn_recv_sock = tcp_v6_syn_recv_sock
    ipv6_specific.net_header_len = <u16>sizeof(ipv6hdr)
    ipv6_specific.mtu_reduced = tcp_v6_mtu_reduced

    ipv6_mapped.queue_xmit = ip_queue_xmit
    ipv6_mapped.send_check = tcp_v4_send_check
    ipv6_mapped.rebuild_header = inet_sk_rebuild_header
    ipv6_mapped.sk_rx_dst_set = inet_sk_rx_dst_set
    ipv6_mapped.conn_request = tcp_v6_conn_request
    ipv6_mapped.syn_recv_sock = tcp_v6_syn_recv_sock
    ipv6_mapped.net_header_len = <u16>sizeof(iphdr)
    ipv6_mapped.mtu_reduced = tcp_v4_mtu_reduced

    tcp_sock_ipv6_specific.md5_lookup = tcp_v6_md5_lookup
    tcp_sock_ipv6_specific.calc_md5_hash = tcp_v6_md5_hash_skb
    tcp_sock_ipv6_specific.md5_parse = tcp_v6_parse_md5_keys
    tcp_sock_ipv6_mapped_specific.md5_lookup = tcp_v4_md5_lookup
    tcp_sock_ipv6_mapped_specific.calc_md5_hash = tcp_v4_md5_hash_skb
    tcp_sock_ipv6_mapped_specific.md5_parse = tcp_v6_parse_md5_keys

    tcp_request_sock_ipv6_ops.req_md5_lookup = tcp_v6_md5_lookup
    tcp_request_sock_ipv6_ops.calc_md5_hash = tcp_v6_md5_hash_skb
    tcp_request_sock_ipv6_ops.mss_clamp = IPV6_MIN_MTU - <int>sizeof(tcphdr) - <int>sizeof(ipv6hdr)
    tcp_request_sock_ipv6_ops.cookie_init_seq = <u32 (*)(sk_buff *, u16 *) noexcept nogil>cookie_v6_init_sequence
    tcp_request_sock_ipv6_ops.route_req = tcp_v6_route_req
    tcp_request_sock_ipv6_ops.init_seq_and_ts_off = tcp_v6_init_seq_and_ts_off
    tcp_request_sock_ipv6_ops.send_synack = tcp_v6_send_synack


# Pools and sizes that the host's sockets and requests are made with.
cdef void tcpv6_prot_init(net *n) noexcept nogil:
    n.tcpv6_prot.name = "TCPv6"
    n.tcpv6_prot.slab = &n.tcpv6_prot_slab
    n.tcpv6_prot.obj_size = sizeof(tcp6_sock)
    n.tcpv6_prot.max_header = MAX_TCP_HEADER
    n.tcpv6_prot.connect = tcp_v6_connect
    n.tcpv6_prot.init = tcp_v6_init_sock

    n.tcp6_rsk_ops.family = PF_INET6
    n.tcp6_rsk_ops.obj_size = <u32>sizeof(tcp_request_sock)
    n.tcp6_rsk_ops.slab = &n.tcp_request_slab
    n.tcp6_rsk_ops.send_ack = tcp_v6_reqsk_send_ack
    n.tcp6_rsk_ops.destructor = tcp_v6_reqsk_destructor
    n.tcp6_rsk_ops.send_reset = tcp_v6_send_reset


cdef int tcpv6_net_init(net *n) noexcept nogil:
    cdef sock *sk = <sock *>&n.tcp6_ctl_sk
    cdef int res

    tcp_v6_init_ops()
    tcpv6_prot_init(n)
    res = inet_ctl_sock_init(n, sk, IPPROTO_TCP)
    if res:
        return res
    sk.sk_family = PF_INET6
    memset(&n.tcp6_ctl_np, 0, sizeof(ipv6_pinfo))
    n.tcp6_ctl_np.hop_limit = -1
    n.tcp6_ctl_sk.pinet6 = &n.tcp6_ctl_np
    sock_set_flag(sk, SOCK_USE_WRITE_QUEUE)
    sk.sk_clockid = 1                   # CLOCK_MONOTONIC
    return 0
