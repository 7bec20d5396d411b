"""TCP over IPv4: where its segments come in, and what depends on the addresses.

tcp_v4_rcv() verifies a segment and finds its socket, request or TIME_WAIT socket; tcp_v4_err() takes ICMP errors to
their socket; connect(), the answers that are sent without a socket (RST, ACKs of requests and of TIME_WAIT), the making
of a child socket; set-up of the host's TCP.

RFC 9293 3.10.7 (segment arrives), 1122 4.2.3.9 (ICMP), 1191 and 5927 (path MTU, checks on ICMP), 6069 (revert the RTO's
backoff), 6191 (reuse of TIME-WAIT), 7413 (Fast Open).

Follows net/ipv4/tcp_ipv4.c of Linux 6.18 (GPL-2.0-only). Deviations:
- no TCP-AO, XFRM, BPF, PSP; no procfs; of a signed segment that the capture has cut short, the signature is taken as
  right, as the checksum is;
- no backlog: tcp_add_backlog() is left out, packets never meet a socket in use;
- tcp_request_sock_ops names a pool, so there is one for each host (net.tcp_rsk_ops), as is the control socket;
- a checksum is verified when the capture holds all its bytes, else taken as right;
- IP options of a SYN are not kept for the answers;
- an ICMP error queued for a connecting socket has no extended error: nobody can read the error queue.
"""
from libc.string cimport memcmp, memcpy, memset

from kpath_c.headers.tcp cimport *
from kpath_c.headers.checksum cimport csum_add, csum_fold, csum_tcpudp_nofold
from kpath_c.net_tcp cimport *
from kpath_c.net_dst cimport dst_check, dst_ops_check
from kpath_c.af_inet cimport inet_ctl_sock_init, inet_sk_rebuild_header, inet_sock_destruct
from kpath_c.icmp cimport icmp_err_convert
from kpath_c.inet_connection_sock cimport (inet_csk_prepare_forced_close, inet_csk_reqsk_queue_drop,
                                           inet_csk_reqsk_queue_drop_and_put, inet_csk_route_child_sock,
                                           inet_csk_route_req, inet_csk_update_pmtu)
from kpath_c.inet_hashtables cimport (__inet_inherit_port, __inet_lookup_established, inet_bhash2_reset_saddr,
                                      inet_bhash2_update_saddr, inet_ehash_nolisten, inet_hash_connect, inet_put_port)
from kpath_c.inet_timewait_sock cimport inet_twsk_deschedule_put, inet_twsk_put
from kpath_c.ip_output cimport ip_build_and_send_pkt, ip_queue_xmit, ip_send_unicast_reply
from kpath_c.md5 cimport md5_ctx, md5_final, md5_init, md5_setup, md5_update
from kpath_c.secure_seq cimport secure_tcp_seq_and_ts_off
from kpath_c.skbuff cimport (__skb_checksum_complete, kfree_skb, kfree_skb_partial, pskb_may_pull, sk_skb_reason_drop,
                             skb_clone, skb_condense, skb_rbtree_purge, skb_try_coalesce, sock_queue_err_skb)
from kpath_c.shim.slab cimport kmem_cache_free, kmem_cache_zalloc
from kpath_c.sock cimport __sk_dst_check, sk_error_report, sk_setup_caps, sock_edemux, sock_kmalloc
from kpath_c.sock_reuseport cimport reuseport_migrate_sock
from kpath_c.syncookies cimport cookie_v4_check, cookie_v4_init_sequence
from kpath_c.tcp cimport (tcp_done, tcp_free_fastopen_req, tcp_inbound_hash, tcp_init_sock, tcp_md5_destruct_sock,
                            tcp_md5_hash_key, tcp_set_state, tcp_sigpool_hash_skb_data,
                          tcp_write_queue_purge)
from kpath_c.tcp_cong cimport tcp_cleanup_congestion_control
from kpath_c.tcp_fastopen cimport (tcp_fastopen_active_disable_ofo_check, tcp_fastopen_ctx_destroy,
                                   tcp_fastopen_defer_connect, tcp_fastopen_destroy_cipher)
from kpath_c.tcp_input cimport (tcp_conn_request, tcp_do_parse_auth_options, tcp_done_with_error,
                                tcp_initialize_rcv_mss, tcp_rcv_established, tcp_rcv_state_process,
                                tcp_simple_retransmit)
from kpath_c.tcp_minisocks cimport (tcp_ca_openreq_child, tcp_check_req, tcp_child_process, tcp_create_openreq_child,
                                    tcp_timewait_state_process, tcp_twsk_purge)
from kpath_c.tcp_output cimport (tcp_connect, tcp_make_synack, tcp_mstamp_refresh, tcp_sync_mss, tcp_tsq_work_init)
from kpath_c.tcp_timer cimport tcp_retransmit_timer

cdef inet_connection_sock_af_ops ipv4_specific
cdef tcp_request_sock_ops tcp_request_sock_ipv4_ops
cdef tcp_sock_af_ops tcp_sock_ipv4_specific

# A segment that is built outside of a socket.
cdef struct reply_segment:
    tcphdr th
    __be32 opt[10]                      # MAX_TCP_OPTION_SPACE


cdef tcp_seq_and_ts_off tcp_v4_init_seq_and_ts_off(net *n, sk_buff *skb) noexcept nogil:
    return secure_tcp_seq_and_ts_off(n, ip_hdr(skb).daddr, ip_hdr(skb).saddr, tcp_hdr(skb).dest, tcp_hdr(skb).source)


cdef bint is_loopback6(const in6_addr *a) noexcept nogil:
    return ipv6_addr_loopback(a) or (ipv6_addr_v4mapped(a) and ipv4_is_loopback(a.s6_addr32[3]))


# May connect() take the ports of a TIME_WAIT socket? With timestamps, after tcp_tw_reuse_delay ms (RFC 6191), from a
# sequence number that lies beyond all the old ones. twp: NULL if bind() asks.
cdef int tcp_twsk_unique(sock *sk, sock *sktw, void *twp) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef int reuse = n.ipv4.sysctl_tcp_tw_reuse
    cdef inet_timewait_sock *tw = inet_twsk(sktw)
    cdef tcp_timewait_sock *tcptw = tcp_twsk(sktw)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int ts_recent_stamp
    cdef u32 reuse_thresh, seq
    cdef bint loopback

    if tw.tw_substate == TCP_FIN_WAIT2:
        reuse = 0

    if reuse == 2:
        # loopback only
        if tw.tw_family == AF_INET6:
            loopback = (tw.tw_bound_dev_if == LOOPBACK_IFINDEX or is_loopback6(&tw.tw_v6_daddr) or
                        is_loopback6(&tw.tw_v6_rcv_saddr))
        else:
            loopback = (tw.tw_bound_dev_if == LOOPBACK_IFINDEX or ipv4_is_loopback(tw.tw_daddr) or
                        ipv4_is_loopback(tw.tw_rcv_saddr))
        if not loopback:
            reuse = 0

    ts_recent_stamp = tcptw.tw_ts_recent_stamp
    reuse_thresh = tw.tw_entry_stamp + n.ipv4.sysctl_tcp_tw_reuse_delay
    if ts_recent_stamp and (twp == NULL or (reuse and time_after32(<u32>tcp_clock_ms(n), reuse_thresh))):
        if not refcount_inc_not_zero(&sktw.sk_refcnt):
            return 0

        # repair has set its own numbers
        if not tp.repair:
            seq = tcptw.tw_sk.tw_snd_nxt + 65535 + 2

            if not seq:
                seq = 1
            tp.write_seq = seq
            tp.rx_opt.ts_recent = tcptw.tw_ts_recent
            tp.rx_opt.ts_recent_stamp = ts_recent_stamp

        return 1

    return 0


# What tcp_v4_connect() does behind tcp_set_state(SYN_SENT). *rtp: the route, until the socket has taken it.
cdef int connect_hash_and_send(sock *sk, sockaddr_in *usin, __be16 orig_sport, __be16 orig_dport, rtable **rtp,
                               bint *deferred) noexcept nogil:
    cdef inet_sock *inet = inet_sk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef tcp_seq_and_ts_off st
    cdef rtable *rt
    cdef int err

    err = inet_hash_connect(&n.ipv4.tcp_death_row, sk)
    if err:
        return err

    sk_set_txhash(sk)

    rt = ip_route_newports(&inet.cork_fl.ip4, rtp[0], orig_sport, orig_dport, inet.inet_sport, sk.sk_dport, sk)
    if IS_ERR(rt):
        rtp[0] = NULL
        return <int>PTR_ERR(rt)
    tp.tcp_usec_ts = 1 if dst_tcp_usec_ts(&rt.dst) else 0
    sk.sk_gso_type = SKB_GSO_TCPV4
    sk_setup_caps(sk, &rt.dst)
    rtp[0] = NULL

    if not tp.repair:
        st = secure_tcp_seq_and_ts_off(n, inet.inet_saddr, sk.sk_daddr, inet.inet_sport, usin.sin_port)
        if not tp.write_seq:
            tp.write_seq = st.seq
        tp.tsoffset = st.ts_off

    inet.inet_id = get_random_u16(n)

    deferred[0] = tcp_fastopen_defer_connect(sk, &err)
    if deferred[0] or err:
        return err

    return tcp_connect(sk)


# RFC 9293 3.10.1, active OPEN.
cdef int tcp_v4_connect(sock *sk, sockaddr_in *uaddr, int addr_len) noexcept nogil:
    cdef sockaddr_in *usin = uaddr
    cdef inet_sock *inet = inet_sk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef __be16 orig_sport, orig_dport
    cdef __be32 daddr
    cdef flowi4 *fl4
    cdef rtable *rt
    cdef bint deferred = False
    cdef int err

    if addr_len < <int>sizeof(sockaddr_in):
        return -EINVAL

    if usin.sin_family != AF_INET:
        return -EAFNOSUPPORT

    orig_sport = inet.inet_sport
    orig_dport = usin.sin_port
    fl4 = &inet.cork_fl.ip4
    rt = ip_route_connect(fl4, usin.sin_addr, inet.inet_saddr, sk.sk_bound_dev_if, IPPROTO_TCP, orig_sport,
                          orig_dport, sk)
    if IS_ERR(rt):
        err = <int>PTR_ERR(rt)
        if err == -ENETUNREACH:
            IP_INC_STATS(n, IPSTATS_MIB_OUTNOROUTES)
        return err

    if rt.rt_flags & <unsigned int>(RTCF_MULTICAST | RTCF_BROADCAST):
        ip_rt_put(rt)
        return -ENETUNREACH

    daddr = fl4.daddr

    if not inet.inet_saddr:
        err = inet_bhash2_update_saddr(sk, &fl4.saddr, AF_INET)
        if err:
            ip_rt_put(rt)
            return err
    else:
        sk_rcv_saddr_set(sk, inet.inet_saddr)

    if tp.rx_opt.ts_recent_stamp and sk.sk_daddr != daddr:
        # of a connection to somebody else
        tp.rx_opt.ts_recent = 0
        tp.rx_opt.ts_recent_stamp = 0
        if not tp.repair:
            tp.write_seq = 0

    sk.sk_dport = usin.sin_port
    sk_daddr_set(sk, daddr)

    inet_csk(sk).icsk_ext_hdr_len = 0
    if inet.inet_opt != NULL:
        inet_csk(sk).icsk_ext_hdr_len += inet.inet_opt.optlen

    tp.rx_opt.mss_clamp = TCP_MSS_DEFAULT

    # the port may be chosen only now; the state keeps others away meanwhile
    tcp_set_state(sk, TCP_SYN_SENT)
    err = connect_hash_and_send(sk, usin, orig_sport, orig_dport, &rt, &deferred)
    if deferred or not err:
        return err

    # takes the socket out of the tables and gives its port back
    tcp_set_state(sk, TCP_CLOSE)
    inet_bhash2_reset_saddr(sk)
    ip_rt_put(rt)
    sk.sk_route_caps = 0
    sk.sk_dport = 0
    return err


# ---------------------------------------------------------------------------------------------- ICMP

# RFC 1191: the path takes no more than tp.mtu_info.
cdef void tcp_v4_mtu_reduced(sock *sk) noexcept nogil:
    cdef inet_sock *inet = inet_sk(sk)
    cdef dst_entry *dst
    cdef u32 mtu

    if (1 << sk.sk_state) & (TCPF_LISTEN | TCPF_CLOSE):
        return
    mtu = tcp_sk(sk).mtu_info
    dst = inet_csk_update_pmtu(sk, mtu)
    if dst == NULL:
        return

    # less than the route may go down to: the connection may not survive
    if mtu < dst_mtu(dst) and ip_dont_fragment(sk, dst):
        sk.sk_err_soft = EMSGSIZE

    mtu = dst_mtu(dst)

    if (inet.pmtudisc != IP_PMTUDISC_DONT and ip_sk_accept_pmtu(sk) and
            inet_csk(sk).icsk_pmtu_cookie > mtu):
        tcp_sync_mss(sk, mtu)

        # what was too large is certainly lost
        tcp_simple_retransmit(sk)


cdef void do_redirect(sk_buff *skb, sock *sk) noexcept nogil:
    cdef dst_entry *dst = __sk_dst_check(sk, 0)

    if dst != NULL:
        dst.ops.redirect(dst, sk, skb)


# An ICMP error for a request. `abort`: the peer cannot be reached.
cdef void tcp_req_err(sock *sk, u32 seq, bint abort) noexcept nogil:
    cdef request_sock *req = inet_reqsk(sk)
    cdef net *n = sock_net(sk)

    if seq != tcp_rsk(req).snt_isn:
        NET_INC_STATS(n, LINUX_MIB_OUTOFWINDOWICMPS)
    elif abort:
        # in silence: accept() must not show errors of the network
        inet_csk_reqsk_queue_drop(req.rsk_listener, req)
        tcp_listendrop(req.rsk_listener)
    reqsk_put(req)


# RFC 6069: a retransmission met a hole in the routing, not congestion. Take one backoff back.
cdef void tcp_ld_RTO_revert(sock *sk, u32 seq) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef net *n = sock_net(sk)
    cdef sk_buff *skb
    cdef s32 remaining
    cdef u32 delta_us

    if seq != tp.snd_una or not icsk.icsk_retransmits or not icsk.icsk_backoff:
        return

    skb = tcp_rtx_queue_head(sk)
    if skb == NULL:
        return

    icsk.icsk_backoff -= 1
    icsk.icsk_rto = __tcp_set_rto(tp) if tp.srtt_us else <u32>TCP_TIMEOUT_INIT(n)
    icsk.icsk_rto = <u32>inet_csk_rto_backoff(icsk, tcp_rto_max(sk))

    tcp_mstamp_refresh(tp)
    delta_us = <u32>(tp.tcp_mstamp - tcp_skb_timestamp_us(skb))
    remaining = <s32>(icsk.icsk_rto - usecs_to_jiffies(n, delta_us))

    if remaining > 0:
        tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, <unsigned long>remaining, False)
    else:
        tcp_retransmit_timer(sk)


# ip_icmp_error() of net/ipv4/ip_sockglue.c: the error goes to the socket's error queue.
cdef void ip_icmp_error(sock *sk, sk_buff *skb, int err, __be16 port, u32 info, u8 *payload) noexcept nogil:
    skb = skb_clone(skb, GFP_ATOMIC)
    if skb == NULL:
        return

    if skb_pull(skb, <unsigned int>(payload - skb.data)) != NULL:
        skb_reset_transport_header(skb)
        if sock_queue_err_skb(sk, skb) == 0:
            return
    kfree_skb(skb)


# What tcp_v4_err() does with a full socket.
cdef void icmp_error_to_sock(sock *sk, sk_buff *skb, iphdr *iph, tcphdr *th, u32 info) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef int type_ = icmp_hdr(skb).type
    cdef int code = icmp_hdr(skb).code
    cdef u32 seq = ntohl(th.seq)
    cdef request_sock *fastopen
    cdef tcp_sock *tp
    cdef u32 snd_una
    cdef int err

    if sk.sk_state == TCP_CLOSE:
        return

    # RFC 5082
    if iph.ttl < inet_sk(sk).min_ttl:
        NET_INC_STATS(n, LINUX_MIB_TCPMINTTLDROP)
        return

    tp = tcp_sk(sk)
    # RFC 5927 4.1: it must quote something that is in flight
    fastopen = tp.fastopen_rsk
    snd_una = tcp_rsk(fastopen).snt_isn if fastopen != NULL else tp.snd_una
    if sk.sk_state != TCP_LISTEN and not between(seq, snd_una, tp.snd_nxt):
        NET_INC_STATS(n, LINUX_MIB_OUTOFWINDOWICMPS)
        return

    if type_ == ICMP_REDIRECT:
        do_redirect(skb, sk)
        return
    elif type_ == ICMP_PARAMETERPROB:
        err = EPROTO
    elif type_ == ICMP_DEST_UNREACH:
        if code > NR_ICMP_UNREACH:
            return

        if code == ICMP_FRAG_NEEDED:
            # a SYN-ACK is never that large
            if sk.sk_state == TCP_LISTEN:
                return

            tp.mtu_info = info
            tcp_v4_mtu_reduced(sk)
            return

        err = icmp_err_convert[code].errno_
        if fastopen == NULL and (code == ICMP_NET_UNREACH or code == ICMP_HOST_UNREACH):
            tcp_ld_RTO_revert(sk, seq)
    elif type_ == ICMP_TIME_EXCEEDED:
        err = EHOSTUNREACH
    else:
        # RFC 6633: source quench among them
        return

    # connecting: the attempt has failed. An accepted Fast Open socket counts as connected.
    if ((sk.sk_state == TCP_SYN_SENT or sk.sk_state == TCP_SYN_RECV) and
            not (fastopen != NULL and fastopen.sk == NULL)):
        ip_icmp_error(sk, skb, err, th.dest, info, <u8 *>th)

        tcp_done_with_error(sk, err)
        return

    # RFC 1122 4.2.3.9, RFC 5461: a soft error; it is told when the connection times out
    if inet_test_bit(INET_FLAGS_RECVERR, sk):
        sk.sk_err = err
        sk_error_report(sk)
    else:
        sk.sk_err_soft = err


# An ICMP error that quotes one of our segments; skb.data is at the quoted IP header.
cdef int tcp_v4_err(sk_buff *skb, u32 info) noexcept nogil:
    cdef iphdr *iph = <iphdr *>skb.data
    cdef tcphdr *th = <tcphdr *>(skb.data + (ip_ihl(iph) << 2))
    cdef net *n = dev_net(skb.dev)
    cdef int type_ = icmp_hdr(skb).type
    cdef int code = icmp_hdr(skb).code
    cdef sock *sk

    sk = __inet_lookup_established(n, iph.daddr, th.dest, iph.saddr, ntohs(th.source), inet_iif(skb), 0)
    if sk == NULL:
        ICMP_INC_STATS(n, ICMP_MIB_INERRORS)
        return -ENOENT
    if sk.sk_state == TCP_TIME_WAIT:
        inet_twsk_put(inet_twsk(sk))
        return 0
    if sk.sk_state == TCP_NEW_SYN_RECV:
        tcp_req_err(sk, ntohl(th.seq),
                    type_ == ICMP_PARAMETERPROB or type_ == ICMP_TIME_EXCEEDED or
                    (type_ == ICMP_DEST_UNREACH and (code == ICMP_NET_UNREACH or code == ICMP_HOST_UNREACH)))
        return 0

    icmp_error_to_sock(sk, skb, iph, th, info)
    sock_put(sk)
    return 0


# The driver fills checksums in when it writes packets.
cdef void tcp_v4_send_check(sock *sk, sk_buff *skb) noexcept nogil:
    pass


# ---------------------------------------------------------------------------------------- replies without a socket

# sk_rst_convert_drop_reason() of net/rstreason.h
cdef int sk_rst_convert_drop_reason(int reason) noexcept nogil:
    if reason == SKB_DROP_REASON_NO_SOCKET:
        return SK_RST_REASON_NO_SOCKET
    elif reason == SKB_DROP_REASON_TCP_INVALID_ACK_SEQUENCE:
        return SK_RST_REASON_TCP_INVALID_ACK_SEQUENCE
    elif reason == SKB_DROP_REASON_TCP_RFC7323_PAWS:
        return SK_RST_REASON_TCP_RFC7323_PAWS
    elif reason == SKB_DROP_REASON_TCP_TOO_OLD_ACK:
        return SK_RST_REASON_TCP_TOO_OLD_ACK
    elif reason == SKB_DROP_REASON_TCP_ACK_UNSENT_DATA:
        return SK_RST_REASON_TCP_ACK_UNSENT_DATA
    elif reason == SKB_DROP_REASON_TCP_FLAGS:
        return SK_RST_REASON_TCP_FLAGS
    elif reason == SKB_DROP_REASON_TCP_OLD_ACK:
        return SK_RST_REASON_TCP_OLD_ACK
    elif reason == SKB_DROP_REASON_TCP_ABORT_ON_DATA:
        return SK_RST_REASON_TCP_ABORT_ON_DATA
    return SK_RST_REASON_NOT_SPECIFIED


# The control socket sends for `sk`, which may be a TIME_WAIT socket, or for nobody (NULL).
cdef void send_unicast_reply(net *n, sock *sk, sk_buff *skb, ip_reply_arg *arg, u64 transmit_time,
                             u32 txhash) noexcept nogil:
    cdef sock *ctl_sk = <sock *>&n.tcp_ctl_sk

    if sk == NULL:
        ctl_sk.sk_mark = 0
        ctl_sk.sk_priority = 0
    elif sk.sk_state == TCP_TIME_WAIT:
        ctl_sk.sk_mark = inet_twsk(sk).tw_mark
        ctl_sk.sk_priority = inet_twsk(sk).tw_priority
    else:
        ctl_sk.sk_mark = sk.sk_mark
        ctl_sk.sk_priority = sk.sk_priority
    ip_send_unicast_reply(ctl_sk, sk, skb, NULL, ip_hdr(skb).saddr, ip_hdr(skb).daddr, arg, arg.iov_len,
                          transmit_time, txhash)

    TCP_INC_STATS(n, TCP_MIB_OUTSEGS)


# The signature behind `at` words of options.
cdef void sign_reply(reply_segment *rep, ip_reply_arg *arg, const tcp_md5sig_key *key, sk_buff *skb,
                     int at) noexcept nogil:
    rep.opt[at] = htonl((<u32>TCPOPT_NOP << 24) | (<u32>TCPOPT_NOP << 16) |
                        (<u32>TCPOPT_MD5SIG << 8) | TCPOLEN_MD5SIG)
    arg.iov_len += TCPOLEN_MD5SIG_ALIGNED
    rep.th.doff_res = <u8>((arg.iov_len // 4) << 4)
    tcp_v4_md5_hash_hdr(<u8 *>&rep.opt[at + 1], key, ip_hdr(skb).saddr, ip_hdr(skb).daddr, &rep.th)


# The socket is gone, but the peer may believe in it: a listener at the port may know the key. The segment's signature
# must be right, else nobody is owed a RST.
cdef tcp_md5sig_key *reset_key_of_listener(net *n, sk_buff *skb, const tcphdr *th, const u8 *location) noexcept nogil:
    cdef sock *listener = __inet_lookup_listener(n, NULL, 0, ip_hdr(skb).saddr, th.source, ip_hdr(skb).daddr,
                                                 ntohs(th.source), inet_iif(skb), 0)
    cdef tcp_md5sig_key *key
    cdef u8 newhash[16]

    if listener == NULL:
        return NULL
    key = tcp_md5_do_lookup(listener, 0, &ip_hdr(skb).saddr, AF_INET)
    if key == NULL:
        return NULL
    tcp_v4_md5_hash_skb(newhash, key, NULL, skb)
    return key if not skb_bytes_present(skb) or memcmp(location, newhash, sizeof(newhash)) == 0 else NULL


# RFC 9293 3.5.2: a RST that answers `skb`, made of nothing but that segment.
cdef void tcp_v4_send_reset(sock *sk, sk_buff *skb, int reason) noexcept nogil:
    cdef tcphdr *th = tcp_hdr(skb)
    cdef reply_segment rep
    cdef const u8 *md5_hash_location = NULL
    cdef const u8 *aoh = NULL
    cdef ip_reply_arg arg
    cdef u64 transmit_time = 0
    cdef net *n
    cdef tcp_md5sig_key *key = NULL
    cdef u32 txhash = 0

    # never a RST for a RST
    if th_rst(th):
        return

    # no socket was looked up: it may not even be for us
    if sk == NULL and skb_rtable(skb).rt_type != RTN_LOCAL:
        return

    memset(&rep, 0, sizeof(rep))
    rep.th.dest = th.source
    rep.th.source = th.dest
    rep.th.doff_res = <u8>((sizeof(tcphdr) // 4) << 4)
    rep.th.flags = TCPHDR_RST

    if th_ack(th):
        rep.th.seq = th.ack_seq
    else:
        rep.th.flags |= TCPHDR_ACK
        rep.th.ack_seq = htonl(ntohl(th.seq) + <u32>th_syn(th) + <u32>th_fin(th) + skb.len - (th_doff(th) << 2))

    memset(&arg, 0, sizeof(arg))
    arg.iov_base = &rep
    arg.iov_len = <u32>sizeof(tcphdr)

    n = sock_net(sk) if sk != NULL else skb_dst_dev_net(skb)

    if tcp_do_parse_auth_options(th, &md5_hash_location, &aoh):
        return

    # signed with what there are no keys for: nothing that the peer would believe could be sent
    if aoh != NULL:
        return

    if sk != NULL and sk_fullsock(sk):
        key = tcp_md5_do_lookup(sk, 0, &ip_hdr(skb).saddr, AF_INET)
    elif md5_hash_location != NULL:
        key = reset_key_of_listener(n, skb, th, md5_hash_location)
        if key == NULL:
            return
    if key != NULL:
        sign_reply(&rep, &arg, key, skb, 0)

    arg.flags = IP_REPLY_ARG_NOSRCCHECK if sk != NULL and inet_sk_transparent(sk) else 0

    if sk != NULL:
        arg.bound_dev_if = sk.sk_bound_dev_if

    trace_tcp_send_reset(n, sk, skb, reason)

    arg.tos = ip_hdr(skb).tos & <u8>~<u8>INET_ECN_MASK
    if sk != NULL:
        transmit_time = tcp_transmit_time(sk)
        txhash = inet_twsk(sk).tw_txhash if sk.sk_state == TCP_TIME_WAIT else sk.sk_txhash
    send_unicast_reply(n, sk, skb, &arg, transmit_time, txhash)
    TCP_INC_STATS(n, TCP_MIB_OUTRSTS)


# An ACK for a request or a TIME_WAIT socket. tsecr 0: without timestamps.
cdef void tcp_v4_send_ack(sock *sk, sk_buff *skb, u32 seq, u32 ack, u32 win, u32 tsval, u32 tsecr, int oif,
                          const tcp_key *key, int reply_flags, u8 tos, u32 txhash) noexcept nogil:
    cdef tcphdr *th = tcp_hdr(skb)
    cdef reply_segment rep
    cdef ip_reply_arg arg

    memset(&rep, 0, sizeof(rep))
    memset(&arg, 0, sizeof(arg))

    arg.iov_base = &rep
    arg.iov_len = <u32>sizeof(tcphdr)
    if tsecr:
        rep.opt[0] = htonl((<u32>TCPOPT_NOP << 24) | (<u32>TCPOPT_NOP << 16) |
                           (<u32>TCPOPT_TIMESTAMP << 8) | TCPOLEN_TIMESTAMP)
        rep.opt[1] = htonl(tsval)
        rep.opt[2] = htonl(tsecr)
        arg.iov_len += TCPOLEN_TSTAMP_ALIGNED

    rep.th.dest = th.source
    rep.th.source = th.dest
    rep.th.doff_res = <u8>((arg.iov_len // 4) << 4)
    rep.th.seq = htonl(seq)
    rep.th.ack_seq = htonl(ack)
    rep.th.flags = TCPHDR_ACK
    rep.th.window = htons(<u16>win)

    if tcp_key_is_md5(key):
        sign_reply(&rep, &arg, key.md5_key, skb, 3 if tsecr else 0)

    arg.flags = reply_flags
    if oif:
        arg.bound_dev_if = oif
    arg.tos = tos
    send_unicast_reply(sock_net(sk), sk, skb, &arg, tcp_transmit_time(sk), txhash)


cdef void tcp_v4_timewait_ack(sock *sk, sk_buff *skb, int tw_status) noexcept nogil:
    cdef inet_timewait_sock *tw = inet_twsk(sk)
    cdef tcp_timewait_sock *tcptw = tcp_twsk(sk)
    cdef tcp_key key
    cdef u8 tos = tw.tw_tos

    # no ECT on what answers a segment out of the window
    if tw_status == TCP_TW_ACK_OOW:
        tos &= <u8>~<u8>INET_ECN_MASK

    key.md5_key = tcp_twsk_md5_key(tcptw)
    tcp_v4_send_ack(sk, skb, tw.tw_snd_nxt, tw.tw_rcv_nxt, tcptw.tw_rcv_wnd >> tw.tw_rcv_wscale,
                    tcp_tw_tsval(tcptw), tcptw.tw_ts_recent, tw.tw_bound_dev_if, &key,
                    IP_REPLY_ARG_NOSRCCHECK if tw.tw_transparent else 0, tos, tw.tw_txhash)

    inet_twsk_put(tw)


# sk: the listener, or the Fast Open child in SYN_RECV.
cdef void tcp_v4_reqsk_send_ack(sock *sk, sk_buff *skb, request_sock *req) noexcept nogil:
    cdef tcp_request_sock *treq = tcp_rsk(req)
    cdef u32 seq = treq.snt_isn + 1 if sk.sk_state == TCP_LISTEN else tcp_sk(sk).snd_nxt
    cdef tcp_key key

    key.md5_key = tcp_md5_do_lookup(sk, 0, &ip_hdr(skb).saddr, AF_INET)
    tcp_v4_send_ack(sk, skb, seq, treq.rcv_nxt, tcp_synack_window(req) >> inet_rsk(req).rcv_wscale,
                    tcp_rsk_tsval(treq), req.ts_recent, 0, &key,
                    IP_REPLY_ARG_NOSRCCHECK if inet_rsk(req).no_srccheck else 0,
                    ip_hdr(skb).tos & <u8>~<u8>INET_ECN_MASK, treq.txhash)


# ---------------------------------------------------------------------------------------------- signatures (RFC 2385)
# A listener may have a key for a whole prefix; the longest prefix that the peer matches decides. There is no L3 master
# device here, so l3index is always 0.

cdef bint better_md5_match(const tcp_md5sig_key *old, const tcp_md5sig_key *new) noexcept nogil:
    if old == NULL:
        return 1

    if old.l3index and new.l3index == 0:
        return 0
    if old.l3index == 0 and new.l3index:
        return 1

    return old.prefixlen < new.prefixlen


# addr: __be32 or in6_addr.
cdef tcp_md5sig_key *__tcp_md5_do_lookup(const sock *sk, int l3index, const void *addr, int family,
                                         bint any_l3index) noexcept nogil:
    cdef tcp_md5sig_info *md5sig = tcp_sk(<sock *>sk).md5sig_info
    cdef tcp_md5sig_key *best_match = NULL
    cdef tcp_md5sig_key *key
    cdef __be32 mask
    cdef bint match

    if md5sig == NULL:
        return NULL

    key = <tcp_md5sig_key *>md5sig.head.first
    while key != NULL:
        if (key.family == family and
                (any_l3index or not key.flags & TCP_MD5SIG_FLAG_IFINDEX or key.l3index == l3index)):
            if family == AF_INET:
                mask = inet_make_mask(key.prefixlen)
                match = (key.addr.s6_addr32[0] & mask) == ((<const __be32 *>addr)[0] & mask)
            else:
                match = ipv6_prefix_equal(&key.addr, <const in6_addr *>addr, key.prefixlen)

            if match and better_md5_match(best_match, key):
                best_match = key
        key = <tcp_md5sig_key *>key.node.next
    return best_match


cdef tcp_md5sig_key *tcp_md5_do_lookup_exact(const sock *sk, const void *addr, int family, u8 prefixlen, int l3index,
                                             u8 flags) noexcept nogil:
    cdef tcp_md5sig_info *md5sig = tcp_sk(<sock *>sk).md5sig_info
    cdef size_t size = sizeof(in6_addr) if family == AF_INET6 else sizeof(__be32)
    cdef tcp_md5sig_key *key

    if md5sig == NULL:
        return NULL
    key = <tcp_md5sig_key *>md5sig.head.first
    while key != NULL:
        if (key.family == family and not (key.flags ^ flags) & TCP_MD5SIG_FLAG_IFINDEX and key.l3index == l3index and
                memcmp(&key.addr, addr, size) == 0 and key.prefixlen == prefixlen):
            return key
        key = <tcp_md5sig_key *>key.node.next
    return NULL


cdef tcp_md5sig_key *tcp_v4_md5_lookup(const sock *sk, const sock *addr_sk) noexcept nogil:
    return tcp_md5_do_lookup(sk, 0, &addr_sk.sk_daddr, AF_INET)


cdef int tcp_md5sig_info_add(sock *sk, gfp_t gfp) noexcept nogil:
    cdef tcp_md5sig_info *md5sig = <tcp_md5sig_info *>kmem_cache_zalloc(&sock_net(sk).misc_slab)

    if md5sig == NULL:
        return -ENOMEM

    # each segment has a signature of its own
    sk_gso_disable(sk)
    tcp_sk(sk).md5sig_info = md5sig
    return 0


cdef int __tcp_md5_do_add(sock *sk, const void *addr, int family, u8 prefixlen, int l3index, u8 flags,
                          const u8 *newkey, u8 newkeylen, gfp_t gfp) noexcept nogil:
    cdef tcp_md5sig_key *key = tcp_md5_do_lookup_exact(sk, addr, family, prefixlen, l3index, flags)

    if key != NULL:
        memcpy(key.key, newkey, newkeylen)
        key.keylen = newkeylen
        return 0

    key = <tcp_md5sig_key *>sock_kmalloc(sk, sizeof(tcp_md5sig_key), gfp)
    if key == NULL:
        return -ENOMEM
    memset(key, 0, sizeof(tcp_md5sig_key))

    memcpy(key.key, newkey, newkeylen)
    key.keylen = newkeylen
    key.family = <u8>family
    key.prefixlen = prefixlen
    key.l3index = l3index
    key.flags = flags
    memcpy(&key.addr, addr, sizeof(in6_addr) if family == AF_INET6 else sizeof(__be32))
    hlist_add_head(&key.node, &tcp_sk(sk).md5sig_info.head)
    return 0


cdef int tcp_md5_do_add(sock *sk, const void *addr, int family, u8 prefixlen, int l3index, u8 flags, const u8 *newkey,
                        u8 newkeylen) noexcept nogil:
    if tcp_sk(sk).md5sig_info == NULL and tcp_md5sig_info_add(sk, GFP_KERNEL):
        return -ENOMEM
    return __tcp_md5_do_add(sk, addr, family, prefixlen, l3index, flags, newkey, newkeylen, GFP_KERNEL)


cdef int tcp_md5_key_copy(sock *sk, const void *addr, int family, u8 prefixlen, int l3index,
                          const tcp_md5sig_key *key) noexcept nogil:
    if tcp_sk(sk).md5sig_info == NULL and tcp_md5sig_info_add(sk, GFP_ATOMIC):
        return -ENOMEM
    return __tcp_md5_do_add(sk, addr, family, prefixlen, l3index, key.flags, key.key, key.keylen, GFP_ATOMIC)


cdef void md5_key_free(sock *sk, tcp_md5sig_key *key) noexcept nogil:
    hlist_del(&key.node)
    sk.sk_omem_alloc -= <int>sizeof(tcp_md5sig_key)
    kmem_cache_free(&sock_net(sk).misc_slab, key)


cdef int tcp_md5_do_del(sock *sk, const void *addr, int family, u8 prefixlen, int l3index, u8 flags) noexcept nogil:
    cdef tcp_md5sig_key *key = tcp_md5_do_lookup_exact(sk, addr, family, prefixlen, l3index, flags)

    if key == NULL:
        return -ENOENT
    md5_key_free(sk, key)
    return 0


cdef void tcp_clear_md5_list(sock *sk) noexcept nogil:
    cdef tcp_md5sig_info *md5sig = tcp_sk(sk).md5sig_info

    while md5sig.head.first != NULL:
        md5_key_free(sk, <tcp_md5sig_key *>md5sig.head.first)


# TCP_MD5SIG, TCP_MD5SIG_EXT. A key of length 0 takes it away.
cdef int tcp_v4_parse_md5_keys(sock *sk, int optname, const void *optval, int optlen) noexcept nogil:
    cdef tcp_md5sig cmd
    cdef sockaddr_in *sin = <sockaddr_in *>cmd.tcpm_addr
    cdef u8 prefixlen = 32
    cdef u8 flags

    if optlen < <int>sizeof(cmd):
        return -EINVAL

    memcpy(&cmd, optval, sizeof(cmd))

    if sin.sin_family != AF_INET:
        return -EINVAL

    flags = cmd.tcpm_flags & TCP_MD5SIG_FLAG_IFINDEX

    if optname == TCP_MD5SIG_EXT and cmd.tcpm_flags & TCP_MD5SIG_FLAG_PREFIX:
        prefixlen = cmd.tcpm_prefixlen
        if prefixlen > 32:
            return -EINVAL

    # no device here is an L3 master
    if optname == TCP_MD5SIG_EXT and cmd.tcpm_ifindex and flags:
        return -EINVAL

    if not cmd.tcpm_keylen:
        return tcp_md5_do_del(sk, &sin.sin_addr, AF_INET, prefixlen, 0, flags)

    if cmd.tcpm_keylen > TCP_MD5SIG_MAXKEYLEN:
        return -EINVAL

    return tcp_md5_do_add(sk, &sin.sin_addr, AF_INET, prefixlen, 0, flags, cmd.tcpm_key, <u8>cmd.tcpm_keylen)


cdef struct tcp4_pseudohdr:
    __be32 saddr
    __be32 daddr
    u8 pad
    u8 protocol
    __be16 len


cdef void tcp_v4_md5_hash_headers(md5_ctx *hp, __be32 daddr, __be32 saddr, const tcphdr *th, int nbytes) noexcept nogil:
    cdef tcp4_pseudohdr bp
    cdef tcphdr bare

    bp.saddr = saddr
    bp.daddr = daddr
    bp.pad = 0
    bp.protocol = IPPROTO_TCP
    bp.len = htons(<u16>nbytes)
    md5_update(hp, <u8 *>&bp, sizeof(bp))

    # without options and checksum
    bare = th[0]
    bare.check = 0
    md5_update(hp, <u8 *>&bare, sizeof(bare))


cdef int tcp_v4_md5_hash_hdr(u8 *md5_hash, const tcp_md5sig_key *key, __be32 daddr, __be32 saddr,
                             const tcphdr *th) noexcept nogil:
    cdef md5_ctx hp

    md5_init(&hp)
    tcp_v4_md5_hash_headers(&hp, daddr, saddr, th, <int>(th_doff(<tcphdr *>th) << 2))
    tcp_md5_hash_key(&hp, key)
    md5_final(&hp, md5_hash)
    return 0


# sk: the socket or request that sends skb; NULL: skb was received.
cdef int tcp_v4_md5_hash_skb(u8 *md5_hash, const tcp_md5sig_key *key, const sock *sk,
                             const sk_buff *skb) noexcept nogil:
    cdef tcphdr *th = tcp_hdr(<sk_buff *>skb)
    cdef const iphdr *iph
    cdef __be32 saddr, daddr
    cdef md5_ctx hp

    if sk != NULL:
        saddr = sk.sk_rcv_saddr
        daddr = sk.sk_daddr
    else:
        iph = ip_hdr(<sk_buff *>skb)
        saddr = iph.saddr
        daddr = iph.daddr

    md5_init(&hp)
    tcp_v4_md5_hash_headers(&hp, daddr, saddr, th, <int>skb.len)
    tcp_sigpool_hash_skb_data(&hp, skb, th_doff(th) << 2)
    tcp_md5_hash_key(&hp, key)
    md5_final(&hp, md5_hash)
    return 0


# ---------------------------------------------------------------------------------------------- passive open

# Sends the SYN-ACK of a request. `dst`, if given, is taken over.
cdef int tcp_v4_send_synack(sock *sk, dst_entry *dst, flowi *fl, request_sock *req, tcp_fastopen_cookie *foc,
                            int synack_type, sk_buff *syn_skb) noexcept nogil:
    cdef inet_request_sock *ireq = inet_rsk(req)
    cdef flowi4 fl4
    cdef int err = -1
    cdef sk_buff *skb
    cdef u8 tos

    if dst == NULL:
        dst = inet_csk_route_req(sk, &fl4, req)
        if dst == NULL:
            return -1

    skb = tcp_make_synack(sk, dst, req, foc, synack_type, syn_skb)

    if skb != NULL:
        tos = inet_sk(sk).tos

        if sock_net(sk).ipv4.sysctl_tcp_reflect_tos:
            tos = <u8>((tcp_rsk(req).syn_tos & ~INET_ECN_MASK) | (tos & INET_ECN_MASK))

        err = ip_build_and_send_pkt(skb, sk, req.ir_loc_addr, req.ir_rmt_addr, ireq.ireq_opt, tos)
        err = net_xmit_eval(err)

    return err


cdef void tcp_v4_reqsk_destructor(request_sock *req) noexcept nogil:
    inet_rsk(req).ireq_opt = NULL


cdef void tcp_v4_init_req(request_sock *req, sock *sk_listener, sk_buff *skb) noexcept nogil:
    sk_rcv_saddr_set(req_to_sk(req), ip_hdr(skb).daddr)
    sk_daddr_set(req_to_sk(req), ip_hdr(skb).saddr)
    if ip_ihl(ip_hdr(skb)) > 5:
        not_ported(sock_net(sk_listener), "IP options of a SYN")
    inet_rsk(req).ireq_opt = NULL


cdef dst_entry *tcp_v4_route_req(sock *sk, sk_buff *skb, flowi *fl, request_sock *req, u32 tw_isn) noexcept nogil:
    tcp_v4_init_req(req, sk, skb)

    return inet_csk_route_req(sk, &fl.ip4, req)


# A SYN for a listener.
cdef int tcp_v4_conn_request(sock *sk, sk_buff *skb) noexcept nogil:
    # RFC 1122 4.2.3.10: not to a group
    if skb_rtable(skb).rt_flags & <unsigned int>(RTCF_BROADCAST | RTCF_MULTICAST):
        tcp_listendrop(sk)
        return 0

    return tcp_conn_request(&sock_net(sk).tcp_rsk_ops, &tcp_request_sock_ipv4_ops, sk, skb)


# The handshake is complete: makes the full socket. *own_req: it took the request's place in the tables.
cdef sock *tcp_v4_syn_recv_sock(sock *sk, sk_buff *skb, request_sock *req, dst_entry *dst, request_sock *req_unhash,
                                bint *own_req,
                                void (*opt_child_init)(sock *newsk, sock *sk) noexcept nogil) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef inet_request_sock *ireq
    cdef bint found_dup_sk = False
    cdef inet_sock *newinet
    cdef tcp_sock *newtp
    cdef sock *newsk
    cdef ip_options *inet_opt
    cdef tcp_md5sig_key *key

    if sk_acceptq_is_full(sk):
        NET_INC_STATS(n, LINUX_MIB_LISTENOVERFLOWS)
        newsk = NULL
    else:
        newsk = tcp_create_openreq_child(sk, req, skb)
    if newsk == NULL:
        dst_release(dst)
        tcp_listendrop(sk)
        return NULL

    newsk.sk_gso_type = SKB_GSO_TCPV4
    inet_sk_rx_dst_set(newsk, skb)

    newtp = tcp_sk(newsk)
    newinet = inet_sk(newsk)
    ireq = inet_rsk(req)
    inet_opt = ireq.ireq_opt
    newinet.inet_opt = inet_opt
    newinet.mc_index = inet_iif(skb)
    newinet.mc_ttl = ip_hdr(skb).ttl
    newinet.rcv_tos = ip_hdr(skb).tos
    inet_csk(newsk).icsk_ext_hdr_len = 0
    if inet_opt != NULL:
        inet_csk(newsk).icsk_ext_hdr_len = inet_opt.optlen
    newinet.inet_id = get_random_u16(n)

    # without ECT: tcp_init_transfer() decides on that
    if n.ipv4.sysctl_tcp_reflect_tos:
        newinet.tos = tcp_rsk(req).syn_tos & <u8>~<u8>INET_ECN_MASK

    # a SYN cookie comes with its route
    if dst == NULL:
        dst = inet_csk_route_child_sock(sk, newsk, req)
        if dst == NULL:
            return syn_recv_sock_failed(sk, newsk)
    sk_setup_caps(newsk, dst)
    if opt_child_init != NULL:
        opt_child_init(newsk, sk)

    tcp_ca_openreq_child(newsk, dst)

    tcp_sync_mss(newsk, dst_mtu(dst))
    newtp.advmss = tcp_mss_clamp(tcp_sk(sk), <u16>dst_metric_advmss(dst))

    tcp_initialize_rcv_mss(newsk)

    key = tcp_md5_do_lookup(sk, 0, &newsk.sk_daddr, AF_INET)
    if key != NULL:
        if tcp_md5_key_copy(newsk, &newsk.sk_daddr, AF_INET, 32, 0, key):
            return syn_recv_sock_failed(sk, newsk)
        sk_gso_disable(newsk)

    if __inet_inherit_port(sk, newsk) < 0:
        return syn_recv_sock_failed(sk, newsk)
    own_req[0] = inet_ehash_nolisten(newsk, req_to_sk(req_unhash), &found_dup_sk)
    if own_req[0]:
        tcp_move_syn(newtp, req)
        ireq.ireq_opt = NULL
    else:
        newinet.inet_opt = NULL

        if req_unhash == NULL and found_dup_sk:
            # two ACKs with the same SYN cookie
            sock_put(newsk)
            newsk = NULL
    return newsk


# Label put_and_exit of tcp_v4_syn_recv_sock().
cdef sock *syn_recv_sock_failed(sock *sk, sock *newsk) noexcept nogil:
    inet_sk(newsk).inet_opt = NULL
    inet_csk_prepare_forced_close(newsk)
    tcp_done(newsk)
    tcp_listendrop(sk)
    return NULL


# At a listener: an ACK may carry a SYN cookie. sk: it does not; NULL: dropped; else the new socket.
cdef sock *tcp_v4_cookie_check(sock *sk, sk_buff *skb) noexcept nogil:
    if not th_syn(tcp_hdr(skb)):
        sk = cookie_v4_check(sk, skb)
    return sk


# ---------------------------------------------------------------------------------------------- a segment arrives

# tcp_v4_do_rcv() behind its labels `reset` (rsk given) and `discard`.
cdef int do_rcv_discard(sock *sk, sock *rsk, sk_buff *skb, int reason) noexcept nogil:
    if rsk != NULL:
        tcp_v4_send_reset(rsk, skb, sk_rst_convert_drop_reason(reason))
    sk_skb_reason_drop(sk, skb, reason)
    return 0


# Hands a segment to its socket.
cdef int tcp_v4_do_rcv(sock *sk, sk_buff *skb) noexcept nogil:
    cdef dst_entry *dst
    cdef sock *nsk
    cdef int reason

    if sk.sk_state == TCP_ESTABLISHED:
        dst = sk.sk_rx_dst

        sock_rps_save_rxhash(sk, skb)
        if dst != NULL:
            if sk.sk_rx_dst_ifindex != skb.skb_iif or dst_ops_check(dst, 0) == NULL:
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
        nsk = tcp_v4_cookie_check(sk, skb)

        if nsk == NULL:
            return 0
        if nsk != sk:
            reason = tcp_child_process(sk, nsk, skb)
            if reason:
                return do_rcv_discard(sk, nsk, skb, reason)
            return 0
    else:
        sock_rps_save_rxhash(sk, skb)

    reason = tcp_rcv_state_process(sk, skb)
    if reason:
        return do_rcv_discard(sk, sk, skb, reason)
    return 0


# May two segments wait in the backlog as one? They follow each other and have the same options, marks and ACK flag.
cdef bint backlog_alike(sk_buff *tail, sk_buff *skb) noexcept nogil:
    cdef tcp_skb_cb *a = TCP_SKB_CB(tail)
    cdef tcp_skb_cb *b = TCP_SKB_CB(skb)
    cdef tcphdr *tha = <tcphdr *>tail.data
    cdef tcphdr *thb = <tcphdr *>skb.data
    if a.end_seq != b.seq or a.ip_dsfield != b.ip_dsfield:
        return 0
    if ((a.tcp_flags | b.tcp_flags) & (TCPHDR_SYN | TCPHDR_RST | TCPHDR_URG) or
            not a.tcp_flags & b.tcp_flags & TCPHDR_ACK):
        return 0
    if (a.tcp_flags ^ b.tcp_flags) & (TCPHDR_ECE | TCPHDR_CWR) or not tcp_skb_can_collapse_rx(tail, skb):
        return 0
    return th_doff(tha) == th_doff(thb) and memcmp(tha + 1, thb + 1, __tcp_hdrlen(thb) - sizeof(tcphdr)) == 0


# Appends skb to the last segment of the backlog, if it can be.
cdef bint backlog_coalesce(sock *sk, sk_buff *tail, sk_buff *skb) noexcept nogil:
    cdef tcphdr *th = <tcphdr *>skb.data
    cdef tcphdr *thtail
    cdef unsigned int hdrlen = __tcp_hdrlen(th)
    cdef u32 gso_size, gso_segs
    cdef bint fragstolen = 0
    cdef int delta = 0
    if tail == NULL or not backlog_alike(tail, skb):
        return 0
    thtail = <tcphdr *>tail.data
    __skb_pull(skb, hdrlen)
    gso_size = max_u32(skb.shinfo.gso_size if skb.shinfo.gso_size else skb.len,
                       tail.shinfo.gso_size if tail.shinfo.gso_size else tail.len - hdrlen)
    gso_segs = (<u32>(skb.shinfo.gso_segs if skb.shinfo.gso_segs else 1) +
                <u32>(tail.shinfo.gso_segs if tail.shinfo.gso_segs else 1))
    if not skb_try_coalesce(tail, skb, &fragstolen, &delta):
        __skb_push(skb, hdrlen)
        return 0
    TCP_SKB_CB(tail).end_seq = TCP_SKB_CB(skb).end_seq
    if not before(TCP_SKB_CB(skb).ack_seq, TCP_SKB_CB(tail).ack_seq):
        TCP_SKB_CB(tail).ack_seq = TCP_SKB_CB(skb).ack_seq
        thtail.window = th.window
    thtail.flags |= th.flags & TCPHDR_FIN
    TCP_SKB_CB(tail).tcp_flags |= TCP_SKB_CB(skb).tcp_flags
    tail.shinfo.gso_size = <u16>gso_size
    tail.shinfo.gso_segs = <u16>min_u32(gso_segs, 0xFFFF)
    sk.sk_backlog.len += delta
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPBACKLOGCOALESCE)
    kfree_skb_partial(skb, fragstolen)
    return 1


# A call holds the socket: the segment waits until release_sock(). 1: refused for `reason`, the caller drops it.
cdef bint tcp_add_backlog(sock *sk, sk_buff *skb, int *reason) noexcept nogil:
    cdef u64 limit
    skb_condense(skb)
    tcp_cleanup_skb(skb)
    if tcp_checksum_complete(skb):
        trace_tcp_bad_csum(skb)
        reason[0] = SKB_DROP_REASON_TCP_CSUM
        TCP_INC_STATS(sock_net(sk), TCP_MIB_CSUMERRORS)
        TCP_INC_STATS(sock_net(sk), TCP_MIB_INERRS)
        return 1
    if backlog_coalesce(sk, sk.sk_backlog.tail, skb):
        return 0
    limit = (<u64><u32>sk.sk_rcvbuf << 1) + (<u32>sk.sk_sndbuf >> 1) + 64 * 1024
    if <u64><u32>(sk.sk_backlog.len + sk.sk_backlog.rmem_alloc) > min_u64(limit, 0xFFFFFFFFULL):
        reason[0] = SKB_DROP_REASON_SOCKET_BACKLOG
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPBACKLOGDROP)
        return 1
    skb.next = NULL
    if sk.sk_backlog.tail == NULL:
        sk.sk_backlog.head = skb
    else:
        sk.sk_backlog.tail.next = skb
    sk.sk_backlog.tail = skb
    sk.sk_backlog.len += <int>skb.truesize
    return 0


# Before routing: a connection knows the route of what it receives.
cdef int tcp_v4_early_demux(sk_buff *skb) noexcept nogil:
    cdef iphdr *iph
    cdef tcphdr *th
    cdef dst_entry *dst
    cdef sock *sk
    cdef int iif = skb.skb_iif

    if skb.pkt_type != PACKET_HOST:
        return 0

    if not pskb_may_pull(skb, <unsigned int>skb_transport_offset(skb) + <unsigned int>sizeof(tcphdr)):
        return 0

    iph = ip_hdr(skb)
    th = tcp_hdr(skb)

    if th_doff(th) < sizeof(tcphdr) // 4:
        return 0

    sk = __inet_lookup_established(dev_net(skb.dev), iph.saddr, th.source, iph.daddr, ntohs(th.dest), iif,
                                   inet_sdif(skb))
    if sk != NULL:
        skb.sk = sk
        skb.destructor = sock_edemux
        if sk_fullsock(sk):
            dst = sk.sk_rx_dst

            if dst != NULL:
                dst = dst_check(dst, 0)
            if dst != NULL and sk.sk_rx_dst_ifindex == iif:
                skb_dst_set_noref(skb, dst)
    return 0


# Socket filters are not ported: SO_ATTACH_FILTER is refused.
cdef int tcp_filter(sock *sk, sk_buff *skb, int *reason) noexcept nogil:
    return 0


# IPCB and header.h4 are one place here: nothing has to be moved, here and in tcp_v4_restore_cb().
cdef inline void tcp_v4_fill_cb(sk_buff *skb, iphdr *iph, tcphdr *th) noexcept nogil:
    cdef tcp_skb_cb *tcb = TCP_SKB_CB(skb)

    tcb.seq = ntohl(th.seq)
    tcb.end_seq = tcb.seq + <u32>th_syn(th) + <u32>th_fin(th) + skb.len - __tcp_hdrlen(th)
    tcb.ack_seq = ntohl(th.ack_seq)
    tcb.tcp_flags = tcp_flags_ntohs(th)
    tcb.ip_dsfield = ipv4_get_dsfield(iph)
    tcb.sacked = 0
    tcb.has_rxtstamp = 1 if skb.skb_mstamp_ns or skb_shinfo(skb).hwtstamps else 0


# skb_checksum_init(skb, IPPROTO_TCP, inet_compute_pseudo): verifies a short segment, prepares a long one for
# tcp_checksum_complete(). True: wrong.
cdef bint tcp_v4_checksum_init(sk_buff *skb) noexcept nogil:
    cdef u32 psum

    skb.csum_valid = 0
    if skb.ip_summed == CHECKSUM_NONE and not skb_bytes_present(skb):
        skb.ip_summed = CHECKSUM_UNNECESSARY
    if skb_csum_unnecessary(skb):
        skb.csum_valid = 1
        __skb_decr_checksum_unnecessary(skb)
        return False

    psum = csum_tcpudp_nofold(ip_hdr(skb).saddr, ip_hdr(skb).daddr, skb.len, IPPROTO_TCP, 0)
    if skb.ip_summed == CHECKSUM_COMPLETE and csum_fold(csum_add(psum, skb.csum)) == 0:
        skb.csum_valid = 1
        return False

    skb.csum = psum
    if skb.len <= CHECKSUM_BREAK:
        if __skb_checksum_complete(skb):
            return True
        skb.csum_valid = 1
    return False


# The labels of tcp_v4_rcv(): discard_it, bad_packet, csum_error, discard_and_relse, no_tcp_socket.
cdef int rcv_discard_it(sock *sk, sk_buff *skb, int drop_reason) noexcept nogil:
    if drop_reason == SKB_NOT_DROPPED_YET:
        drop_reason = SKB_DROP_REASON_NOT_SPECIFIED
    sk_skb_reason_drop(sk, skb, drop_reason)
    return 0


cdef int rcv_bad_packet(net *n, sock *sk, sk_buff *skb, int drop_reason) noexcept nogil:
    TCP_INC_STATS(n, TCP_MIB_INERRS)
    return rcv_discard_it(sk, skb, drop_reason)


cdef int rcv_csum_error(net *n, sock *sk, sk_buff *skb) noexcept nogil:
    trace_tcp_bad_csum(skb)
    TCP_INC_STATS(n, TCP_MIB_CSUMERRORS)
    return rcv_bad_packet(n, sk, skb, SKB_DROP_REASON_TCP_CSUM)


cdef int rcv_discard_and_relse(sock *sk, sk_buff *skb, bint refcounted, int drop_reason) noexcept nogil:
    sk_drops_skbadd(sk, skb)
    if refcounted:
        sock_put(sk)
    return rcv_discard_it(NULL, skb, drop_reason)


cdef int rcv_no_tcp_socket(net *n, sk_buff *skb, iphdr *iph, tcphdr *th) noexcept nogil:
    tcp_v4_fill_cb(skb, iph, th)

    if tcp_checksum_complete(skb):
        return rcv_csum_error(n, NULL, skb)
    tcp_v4_send_reset(NULL, skb, SK_RST_REASON_NO_SOCKET)
    return rcv_discard_it(NULL, skb, SKB_DROP_REASON_NO_SOCKET)


# Label do_time_wait. Returns the listener that shall have the segment (a SYN reopens the pair; *isn is then the
# sequence number to answer with), or NULL: it is dealt with.
cdef sock *rcv_time_wait(net *n, sock *sk, sk_buff *skb, iphdr *iph, tcphdr *th, int sdif, u32 *isn) noexcept nogil:
    cdef int drop_reason = SKB_DROP_REASON_NOT_SPECIFIED
    cdef int tw_status
    cdef sock *sk2

    tcp_v4_fill_cb(skb, iph, th)

    if tcp_checksum_complete(skb):
        inet_twsk_put(inet_twsk(sk))
        rcv_csum_error(n, NULL, skb)
        return NULL

    tw_status = tcp_timewait_state_process(inet_twsk(sk), skb, th, isn, &drop_reason)
    if tw_status == TCP_TW_SYN:
        sk2 = inet_lookup_listener(n, skb, <int>__tcp_hdrlen(th), iph.saddr, th.source, iph.daddr, th.dest,
                                   inet_iif(skb), sdif)
        if sk2 != NULL:
            inet_twsk_deschedule_put(inet_twsk(sk))
            return sk2
    if tw_status == TCP_TW_SYN or tw_status == TCP_TW_ACK or tw_status == TCP_TW_ACK_OOW:
        tcp_v4_timewait_ack(sk, skb, tw_status)
    elif tw_status == TCP_TW_RST:
        tcp_v4_send_reset(sk, skb, SK_RST_REASON_TCP_TIMEWAIT_SOCKET)
        inet_twsk_deschedule_put(inet_twsk(sk))
    rcv_discard_it(NULL, skb, drop_reason)
    return NULL


cdef enum:
    RCV_DONE = 0                        # the segment is dealt with
    RCV_LOOKUP = 1                      # look its socket up again
    RCV_PROCESS = 2                     # go on, with the listener


# A segment for a request (TCP_NEW_SYN_RECV); *skp becomes the listener.
cdef int rcv_new_syn_recv(net *n, sock **skp, sk_buff *skb, iphdr *iph, tcphdr *th, int dif, int sdif) noexcept nogil:
    cdef request_sock *req = inet_reqsk(skp[0])
    cdef sock *sk = req.rsk_listener
    cdef bint req_stolen = False
    cdef int drop_reason
    cdef sock *nsk

    drop_reason = tcp_inbound_hash(sk, req, skb, &iph.saddr, &iph.daddr, AF_INET, dif, sdif)
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
        tcp_v4_fill_cb(skb, iph, th)
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
        tcp_v4_send_reset(nsk, skb, sk_rst_convert_drop_reason(drop_reason))
        return rcv_discard_and_relse(sk, skb, True, drop_reason)
    sock_put(sk)
    return RCV_DONE


# IP hands up a segment; skb.data is at the TCP header.
cdef int tcp_v4_rcv(sk_buff *skb) noexcept nogil:
    cdef net *n = dev_net(skb.dev)
    cdef int drop_reason = SKB_DROP_REASON_NOT_SPECIFIED
    cdef int sdif = inet_sdif(skb)
    cdef int dif = inet_iif(skb)
    cdef iphdr *iph
    cdef tcphdr *th
    cdef sock *sk = NULL
    cdef bint refcounted = False
    cdef int ret, next_
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

    if tcp_v4_checksum_init(skb):
        return rcv_csum_error(n, NULL, skb)

    th = <tcphdr *>skb.data
    iph = ip_hdr(skb)
    while True:
        sk = __inet_lookup_skb(skb, <int>__tcp_hdrlen(th), th.source, th.dest, sdif, &refcounted)
        if sk == NULL:
            return rcv_no_tcp_socket(n, skb, iph, th)

        if sk.sk_state == TCP_TIME_WAIT:
            sk = rcv_time_wait(n, sk, skb, iph, th, sdif, &isn)
            if sk == NULL:
                return 0
            refcounted = False
        elif sk.sk_state == TCP_NEW_SYN_RECV:
            next_ = rcv_new_syn_recv(n, &sk, skb, iph, th, dif, sdif)
            if next_ == RCV_DONE:
                return 0
            if next_ == RCV_LOOKUP:
                continue
            refcounted = True
            isn = 0
        break

    # RFC 5082
    if iph.ttl < inet_sk(sk).min_ttl:
        NET_INC_STATS(n, LINUX_MIB_TCPMINTTLDROP)
        return rcv_discard_and_relse(sk, skb, refcounted, SKB_DROP_REASON_TCP_MINTTL)

    drop_reason = tcp_inbound_hash(sk, NULL, skb, &iph.saddr, &iph.daddr, AF_INET, dif, sdif)
    if drop_reason:
        return rcv_discard_and_relse(sk, skb, refcounted, drop_reason)

    if tcp_filter(sk, skb, &drop_reason):
        return rcv_discard_and_relse(sk, skb, refcounted, drop_reason)

    tcp_v4_fill_cb(skb, iph, th)
    TCP_SKB_CB(skb).tcp_tw_isn = isn

    skb.dev = NULL

    if sk.sk_state != TCP_LISTEN:
        sk_incoming_cpu_update(sk)
        tcp_segs_in(tcp_sk(sk), skb)
    if not sock_owned_by_user(sk):
        ret = tcp_v4_do_rcv(sk, skb)
    elif tcp_add_backlog(sk, skb, &drop_reason):
        return rcv_discard_and_relse(sk, skb, refcounted, drop_reason)
    else:
        ret = 0
    if refcounted:
        sock_put(sk)
    return ret


# ---------------------------------------------------------------------------------------------- set-up

# Remembers the route of what arrives, for tcp_v4_early_demux().
cdef void inet_sk_rx_dst_set(sock *sk, sk_buff *skb) noexcept nogil:
    cdef dst_entry *dst = skb_dst(skb)

    if dst != NULL and dst_hold_safe(dst):
        sk.sk_rx_dst = dst
        sk.sk_rx_dst_ifindex = skb.skb_iif


cdef void tcp4_destruct_sock(sock *sk) noexcept nogil:
    tcp_md5_destruct_sock(sk)
    inet_sock_destruct(sk)


cdef int tcp_v4_init_sock(sock *sk) noexcept nogil:
    tcp_init_sock(sk)

    inet_csk(sk).icsk_af_ops = &ipv4_specific

    tcp_sk(sk).af_specific = &tcp_sock_ipv4_specific
    sk.sk_destruct = tcp4_destruct_sock

    return 0


# A closed socket, before its last reference goes.
cdef void tcp_v4_destroy_sock(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)

    trace_tcp_destroy_sock(sk)

    tcp_clear_xmit_timers(sk)

    tcp_cleanup_congestion_control(sk)

    tcp_write_queue_purge(sk)

    tcp_fastopen_active_disable_ofo_check(sk)

    skb_rbtree_purge(&tp.out_of_order_queue)

    if inet_csk(sk).icsk_bind_hash != NULL:
        inet_put_port(sk)

    # connect() was cut short
    tcp_free_fastopen_req(tp)
    tcp_fastopen_destroy_cipher(sk)
    tcp_saved_syn_free(tp)

    sk_sockets_allocated_dec(sk)


# The tables of functions, the same for every host.
cdef void tcp_v4_init_ops() noexcept nogil:
    ipv4_specific.queue_xmit = ip_queue_xmit
    ipv4_specific.send_check = tcp_v4_send_check
    ipv4_specific.rebuild_header = inet_sk_rebuild_header
    ipv4_specific.sk_rx_dst_set = inet_sk_rx_dst_set
    ipv4_specific.conn_request = tcp_v4_conn_request
    ipv4_specific.syn_recv_sock = tcp_v4_syn_recv_sock
    ipv4_specific.net_header_len = <u16>sizeof(iphdr)
    ipv4_specific.mtu_reduced = tcp_v4_mtu_reduced

    tcp_sock_ipv4_specific.md5_lookup = tcp_v4_md5_lookup
    tcp_sock_ipv4_specific.calc_md5_hash = tcp_v4_md5_hash_skb
    tcp_sock_ipv4_specific.md5_parse = tcp_v4_parse_md5_keys

    tcp_request_sock_ipv4_ops.mss_clamp = TCP_MSS_DEFAULT
    tcp_request_sock_ipv4_ops.req_md5_lookup = tcp_v4_md5_lookup
    tcp_request_sock_ipv4_ops.calc_md5_hash = tcp_v4_md5_hash_skb
    tcp_request_sock_ipv4_ops.cookie_init_seq = <u32 (*)(sk_buff *, u16 *) noexcept nogil>cookie_v4_init_sequence
    tcp_request_sock_ipv4_ops.route_req = tcp_v4_route_req
    tcp_request_sock_ipv4_ops.init_seq_and_ts_off = tcp_v4_init_seq_and_ts_off
    tcp_request_sock_ipv4_ops.send_synack = tcp_v4_send_synack


# Pools and sizes that the host's sockets and requests are made with.
cdef void tcp_prot_init(net *n) noexcept nogil:
    n.tcp_prot.name = "TCP"
    n.tcp_prot.slab = &n.tcp_prot_slab
    n.tcp_prot.obj_size = sizeof(tcp_sock)
    n.tcp_prot.max_header = MAX_TCP_HEADER
    n.tcp_prot.connect = tcp_v4_connect
    n.tcp_prot.init = tcp_v4_init_sock

    n.tcp_rsk_ops.family = PF_INET
    n.tcp_rsk_ops.obj_size = <u32>sizeof(tcp_request_sock)
    n.tcp_rsk_ops.slab = &n.tcp_request_slab
    n.tcp_rsk_ops.send_ack = tcp_v4_reqsk_send_ack
    n.tcp_rsk_ops.destructor = tcp_v4_reqsk_destructor
    n.tcp_rsk_ops.send_reset = tcp_v4_send_reset


# Limits that follow from the size of the table of connections.
cdef void tcp_set_hashinfo(net *n) noexcept nogil:
    cdef unsigned int ehash_entries = n.hashinfo.ehash_mask + 1

    n.ipv4.tcp_death_row.hashinfo = &n.hashinfo
    n.ipv4.tcp_death_row.sysctl_max_tw_buckets = <int>(ehash_entries // 2)
    n.ipv4.sysctl_max_syn_backlog = <int>max_u32(128, ehash_entries // 128)


# The socket that resets and TIME_WAIT's ACKs go out from: DF set, IP id 0.
cdef int tcp_v4_init(net *n) noexcept nogil:
    cdef sock *sk = <sock *>&n.tcp_ctl_sk
    cdef int res

    res = inet_ctl_sock_init(n, sk, IPPROTO_TCP)
    if res:
        return res
    sock_set_flag(sk, SOCK_USE_WRITE_QUEUE)

    inet_sk(sk).pmtudisc = IP_PMTUDISC_DO

    sk.sk_clockid = 1                   # CLOCK_MONOTONIC
    return 0


# The defaults of the sysctls are sysctl_net_ipv4.pyx's.
cdef int tcp_sk_init(net *n) noexcept nogil:
    md5_setup()
    tcp_v4_init_ops()
    tcp_prot_init(n)
    n.ipv4.tcp_death_row.tw_refcount = 1
    tcp_set_hashinfo(n)
    tcp_tsq_work_init(n)
    return tcp_v4_init(n)


cdef void tcp_sk_exit(net *n) noexcept nogil:
    tcp_twsk_purge(n)
    tcp_fastopen_ctx_destroy(n)
