"""The INET socket as its owner sees it: create, bind, listen, connect, accept, send, receive, shut down, release.

Serves RFC 9293 3.10 (the user calls) and RFC 1122 4.2.4.
Follows net/ipv4/af_inet.c of Linux 6.18 (GPL-2.0-only).

Deviations: TCP is the only protocol; the caller is privileged (ports below 1024); connect and accept sleep by the
protocol of msghdr; BPF, multicast groups and ioctl are left out.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.checksum cimport csum_replace2, ip_fast_csum
from kpath_c.headers.gro cimport *
from kpath_c.headers.gso cimport gso_segs, inet_gso_header
from kpath_c.net_tcp cimport *
from kpath_c.sock cimport (sk_alloc, sk_common_release, sock_init_data, sock_init_data_uid, release_sock,
                           sk_setup_caps, __sk_dst_check)
from kpath_c.skbuff cimport __skb_queue_purge
from kpath_c.inet_connection_sock cimport inet_csk_accept, inet_csk_get_port, inet_csk_listen_start
from kpath_c.inet_hashtables cimport inet_bhash2_update_saddr, inet_hash, inet_unhash
from kpath_c.ip_sockglue cimport ip_recv_error
from kpath_c.route cimport inet_addr_type, ip_route_output_flow
from kpath_c.tcp cimport tcp_close, tcp_disconnect, tcp_recvmsg, tcp_sendmsg, tcp_shutdown
from kpath_c.tcp_fastopen cimport tcp_fastopen_init_key_once
from kpath_c.tcp_ipv4 cimport tcp_v4_do_rcv
from kpath_c.tcp_offload cimport tcp4_gro_complete, tcp4_gro_receive, tcp4_gso_segment


# ------------------------------------------------------------------------------------------- states, destruction

cdef void inet_sk_set_state(sock *sk, int state) noexcept nogil:
    trace_inet_sock_set_state(sk, sk.sk_state, state)
    sk.sk_state = <u8>state


cdef void inet_sk_state_store(sock *sk, int newstate) noexcept nogil:
    trace_inet_sock_set_state(sk, sk.sk_state, newstate)
    sk.sk_state = <u8>newstate


cdef void inet_sock_destruct(sock *sk) noexcept nogil:
    __skb_queue_purge(&sk.sk_receive_queue)
    __skb_queue_purge(&sk.sk_error_queue)
    sk_mem_reclaim_final(sk)
    if sk.sk_type == SOCK_STREAM and sk.sk_state != TCP_CLOSE:
        BUG_ON(1)
        return
    if not sock_flag(sk, SOCK_DEAD):
        BUG_ON(1)
        return
    dst_release(sk.sk_dst_cache)
    dst_release(sk.sk_rx_dst)


# ------------------------------------------------------------------------------------------- create, release

cdef int inet_create(net *n, socket *sock_, int protocol, int kern) noexcept nogil:
    cdef inet_sock *inet
    cdef sock *sk
    cdef int err
    if protocol < 0 or protocol >= 263:
        return -EINVAL
    sock_.state = SS_UNCONNECTED
    if sock_.type != SOCK_STREAM:
        return -ESOCKTNOSUPPORT
    if protocol == IPPROTO_IP:
        protocol = IPPROTO_TCP
    if protocol != IPPROTO_TCP:
        return -EPROTONOSUPPORT

    sk = sk_alloc(n, PF_INET, GFP_KERNEL, &n.tcp_prot, kern)
    if sk == NULL:
        return -ENOMEM
    inet = inet_sk(sk)
    inet_assign_bit(INET_FLAGS_IS_ICSK, sk, 1)
    inet_clear_bit(INET_FLAGS_NODEFRAG, sk)
    if n.ipv4.sysctl_ip_no_pmtu_disc:
        inet.pmtudisc = IP_PMTUDISC_DONT
    else:
        inet.pmtudisc = IP_PMTUDISC_WANT
    inet.inet_id = 0
    sock_init_data(sock_, sk)
    sk.sk_destruct = inet_sock_destruct
    sk.sk_protocol = <u16>protocol
    sk.sk_backlog_rcv = tcp_v4_do_rcv
    sk.sk_txrehash = n.core.sysctl_txrehash
    inet.uc_ttl = -1
    inet_set_bit(INET_FLAGS_MC_LOOP, sk)
    inet.mc_ttl = 1
    inet_set_bit(INET_FLAGS_MC_ALL, sk)
    inet.mc_index = 0
    inet.rcv_tos = 0
    err = sk.sk_prot.init(sk)
    if err:
        sk_common_release(sk)
        sock_.sk = NULL
    return err


# The socket that resets and TIME_WAIT ACKs go out from: part of the host, never hashed (inet_ctl_sock_create()).
cdef int inet_ctl_sock_init(net *n, sock *sk, int protocol) noexcept nogil:
    cdef inet_sock *inet = inet_sk(sk)
    memset(inet, 0, sizeof(inet_sock))
    sk.sk_net = n
    sk.sk_family = PF_INET
    sk.sk_kern_sock = 1
    sk.trace_id = -1
    sock_init_data_uid(NULL, sk, 0)
    sk.sk_type = SOCK_RAW
    sk.sk_protocol = <u16>protocol
    sk.sk_wmem_alloc = 1
    sk.sk_allocation = GFP_ATOMIC
    sk.sk_use_task_frag = 0
    inet.pmtudisc = IP_PMTUDISC_DONT if n.ipv4.sysctl_ip_no_pmtu_disc else IP_PMTUDISC_WANT
    inet.uc_ttl = -1
    inet.mc_ttl = 1
    return 0


# -ERESTARTSYS: SO_LINGER waits; enter again with the same msg.
cdef int inet_release(socket *sock_, msghdr *msg) noexcept nogil:
    cdef sock *sk = sock_.sk
    cdef long timeout = 0
    cdef int err
    if sk == NULL:
        return 0
    if sock_flag(sk, SOCK_LINGER):
        timeout = <long>sk.sk_lingertime
    err = tcp_close(sk, timeout, msg)
    if err == -ERESTARTSYS:
        return err
    sock_.sk = NULL
    return 0


# ------------------------------------------------------------------------------------------- bind, listen

cdef int inet_autobind(sock *sk) noexcept nogil:
    lock_sock(sk)
    if not sk.sk_num:
        if inet_csk_get_port(sk, 0):
            release_sock(sk)
            return -EAGAIN
        inet_sk(sk).inet_sport = htons(sk.sk_num)
    release_sock(sk)
    return 0


cdef int __inet_listen_sk(sock *sk, int backlog) noexcept nogil:
    cdef u8 old_state = sk.sk_state
    cdef int tcp_fastopen
    if not ((1 << old_state) & (TCPF_CLOSE | TCPF_LISTEN)):
        return -EINVAL
    sk.sk_max_ack_backlog = <u32>backlog
    # A socket that listens already only gets another backlog.
    if old_state == TCP_LISTEN:
        return 0
    tcp_fastopen = sock_net(sk).ipv4.sysctl_tcp_fastopen
    if (tcp_fastopen & TFO_SERVER_WO_SOCKOPT1 and tcp_fastopen & TFO_SERVER_ENABLE and
            not inet_csk(sk).icsk_accept_queue.fastopenq.max_qlen):
        fastopen_queue_tune(sk, backlog)
        tcp_fastopen_init_key_once(sock_net(sk))
    return inet_csk_listen_start(sk)


cdef int inet_listen(socket *sock_, int backlog) noexcept nogil:
    """With the limit of listen(2) itself (net/socket.c): somaxconn, also for what is negative."""
    cdef sock *sk = sock_.sk
    cdef int err = -EINVAL
    if <u32>backlog > <u32>sock_net(sk).core.sysctl_somaxconn:
        backlog = sock_net(sk).core.sysctl_somaxconn
    lock_sock(sk)
    if sock_.state == SS_UNCONNECTED and sock_.type == SOCK_STREAM:
        err = __inet_listen_sk(sk, backlog)
    release_sock(sk)
    return err


cdef int inet_bind_sk(sock *sk, sockaddr_in *uaddr, int addr_len) noexcept nogil:
    if addr_len < <int>sizeof(sockaddr_in):
        return -EINVAL
    return __inet_bind(sk, uaddr, addr_len, BIND_WITH_LOCK)


cdef int inet_bind(socket *sock_, sockaddr_in *uaddr, int addr_len) noexcept nogil:
    return inet_bind_sk(sock_.sk, uaddr, addr_len)


# What __inet_bind() does under the lock.
cdef int inet_bind_locked(sock *sk, sockaddr_in *addr, int chk_addr_ret, u32 flags) noexcept nogil:
    cdef inet_sock *inet = inet_sk(sk)
    cdef unsigned short snum = ntohs(addr.sin_port)
    cdef int err
    if sk.sk_state != TCP_CLOSE or sk.sk_num:
        return -EINVAL
    inet.inet_saddr = addr.sin_addr
    sk.sk_rcv_saddr = addr.sin_addr
    if chk_addr_ret == RTN_MULTICAST or chk_addr_ret == RTN_BROADCAST:
        inet.inet_saddr = 0
    if snum or not (inet_test_bit(INET_FLAGS_BIND_ADDRESS_NO_PORT, sk) or flags & BIND_FORCE_ADDRESS_NO_PORT):
        err = inet_csk_get_port(sk, snum)
        if err:
            inet.inet_saddr = 0
            sk.sk_rcv_saddr = 0
            return err
    if sk.sk_rcv_saddr:
        sk.sk_userlocks |= SOCK_BINDADDR_LOCK
    if snum:
        sk.sk_userlocks |= SOCK_BINDPORT_LOCK
    inet.inet_sport = htons(sk.sk_num)
    sk.sk_daddr = 0
    sk.sk_dport = 0
    sk_dst_reset(sk)
    return 0


cdef int __inet_bind(sock *sk, sockaddr_in *uaddr, int addr_len, u32 flags) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef int chk_addr_ret, err
    if uaddr.sin_family != AF_INET:
        if uaddr.sin_family != AF_UNSPEC or uaddr.sin_addr != 0:
            return -EAFNOSUPPORT
    chk_addr_ret = <int>inet_addr_type(n, uaddr.sin_addr)
    if not inet_addr_valid_or_nonlocal(n, inet_sk(sk), uaddr.sin_addr, chk_addr_ret):
        return -EADDRNOTAVAIL
    if flags & BIND_WITH_LOCK:
        lock_sock(sk)
    err = inet_bind_locked(sk, uaddr, chk_addr_ret, flags)
    if flags & BIND_WITH_LOCK:
        release_sock(sk)
    return err


# ------------------------------------------------------------------------------------------- connect

# What is left of connect() once nothing is waited for any more.
cdef int inet_connect_done(socket *sock_, int flags) noexcept nogil:
    cdef sock *sk = sock_.sk
    cdef int err
    if sk.sk_state == TCP_CLOSE:
        # Refused, reset, timed out, or disconnected meanwhile.
        err = sock_error(sk)
        if not err:
            err = -ECONNABORTED
        sock_.state = SS_UNCONNECTED
        sk.sk_disconnects += 1
        if tcp_disconnect(sk, flags):
            sock_.state = SS_DISCONNECTING
        return err
    sock_.state = SS_CONNECTED
    return 0


# Sleeps until the handshake is over. While it does, msg holds: copied, the error for a time-out; target, the write
# that a Fast Open SYN stands for; peek_seq, sk_disconnects as it was.
cdef int inet_connect_wait(socket *sock_, int flags, long timeo, msghdr *msg) noexcept nogil:
    cdef sock *sk = sock_.sk
    cdef bint slept = msg.resume
    if slept:
        timeo = sk_wait_resume(sk, msg)
    if ((1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV) and
            not (slept and (signal_pending() or not timeo))):
        release_sock(sk)
        sk_wait_begin(sk, msg, WAKE_ANY, timeo)
        return -ERESTARTSYS
    sk.sk_write_pending -= <int>msg.target
    if not timeo:
        return <int>msg.copied
    if signal_pending():
        return sock_intr_errno(timeo)
    if <int>msg.peek_seq != sk.sk_disconnects:
        return -EPIPE
    return inet_connect_done(sock_, flags)


# uaddr may be NULL for a Fast Open socket that deferred its SYN to the first write.
cdef int __inet_stream_connect(socket *sock_, sockaddr_in *uaddr, int addr_len, int flags, int is_sendmsg,
                               msghdr *msg) noexcept nogil:
    cdef sock *sk = sock_.sk
    cdef bint writebias
    cdef long timeo
    cdef int err
    if msg != NULL and msg.resume:
        return inet_connect_wait(sock_, flags, 0, msg)

    if uaddr != NULL:
        if addr_len < <int>sizeof(uaddr.sin_family):
            return -EINVAL
        if uaddr.sin_family == AF_UNSPEC:
            sk.sk_disconnects += 1
            err = tcp_disconnect(sk, flags)
            sock_.state = SS_DISCONNECTING if err else SS_UNCONNECTED
            return err

    if sock_.state == SS_CONNECTED:
        return -EISCONN
    elif sock_.state == SS_CONNECTING:
        if inet_test_bit(INET_FLAGS_DEFER_CONNECT, sk):
            err = -EINPROGRESS if is_sendmsg else -EISCONN
        else:
            err = -EALREADY
    elif sock_.state == SS_UNCONNECTED:
        if sk.sk_state != TCP_CLOSE:
            return -EISCONN
        err = sk.sk_prot.connect(sk, uaddr, addr_len)
        if err < 0:
            return err
        sock_.state = SS_CONNECTING
        if not err and inet_test_bit(INET_FLAGS_DEFER_CONNECT, sk):
            return err
        err = -EINPROGRESS
    else:
        return -EINVAL

    timeo = sock_sndtimeo(sk, (flags & O_NONBLOCK) != 0)
    if (1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV):
        if not timeo or msg == NULL:
            return err
        writebias = (sk.sk_protocol == IPPROTO_TCP and tcp_sk(sk).fastopen_req != NULL and
                     tcp_sk(sk).fastopen_req.data != NULL)
        msg.copied = err
        msg.target = writebias
        msg.peek_seq = <u32>sk.sk_disconnects
        sk.sk_write_pending += writebias
        return inet_connect_wait(sock_, flags, timeo, msg)
    return inet_connect_done(sock_, flags)


cdef int inet_stream_connect(socket *sock_, sockaddr_in *uaddr, int addr_len, int flags, msghdr *msg) noexcept nogil:
    cdef int err
    lock_sock(sock_.sk)
    err = __inet_stream_connect(sock_, uaddr, addr_len, flags, 0, msg)
    if err != -ERESTARTSYS:
        release_sock(sock_.sk)
    return err


# ------------------------------------------------------------------------------------------- accept

cdef void __inet_accept(socket *sock_, socket *newsock, sock *newsk) noexcept nogil:
    if test_bit(SOCK_SUPPORT_ZC, &sock_.flags):
        set_bit(SOCK_SUPPORT_ZC, &newsock.flags)
    sock_graft(newsk, newsock)
    newsock.state = SS_CONNECTED


cdef int inet_accept(socket *sock_, socket *newsock, int flags, msghdr *msg) noexcept nogil:
    cdef int err = -EINVAL
    cdef sock *sk2 = inet_csk_accept(sock_.sk, flags, msg, &err)
    if sk2 == NULL:
        return err
    lock_sock(sk2)
    __inet_accept(sock_, newsock, sk2)
    release_sock(sk2)
    return 0


cdef int inet_getname(socket *sock_, sockaddr_in *uaddr, int peer) noexcept nogil:
    """sizeof(sockaddr_in), or -ENOTCONN."""
    cdef sock *sk = sock_.sk
    uaddr.sin_family = AF_INET
    if peer:
        if not sk.sk_dport or ((1 << sk.sk_state) & (TCPF_CLOSE | TCPF_SYN_SENT) and peer == 1):
            return -ENOTCONN
        uaddr.sin_port = sk.sk_dport
        uaddr.sin_addr = sk.sk_daddr
    else:
        uaddr.sin_port = inet_sk(sk).inet_sport
        uaddr.sin_addr = sk.sk_rcv_saddr if sk.sk_rcv_saddr else inet_sk(sk).inet_saddr
    return sizeof(sockaddr_in)


# ------------------------------------------------------------------------------------------- data, shutdown

cdef int inet_send_prepare(sock *sk) noexcept nogil:
    # no_autobind: TCP sends only on what is connected.
    return 0


cdef int inet_sendmsg(socket *sock_, msghdr *msg, size_t size) noexcept nogil:
    return tcp_sendmsg(sock_.sk, msg, size)


cdef int inet_recvmsg(socket *sock_, msghdr *msg, size_t size, int flags) noexcept nogil:
    cdef int err = tcp_recvmsg(sock_.sk, msg, size, flags)
    if err >= 0:
        msg.msg_namelen = 0
    return err


cdef int inet_shutdown(socket *sock_, int how) noexcept nogil:
    cdef sock *sk = sock_.sk
    cdef int err = 0
    # SHUT_RD, SHUT_WR, SHUT_RDWR become bits.
    how += 1
    if how & ~SHUTDOWN_MASK or not how:
        return -EINVAL
    lock_sock(sk)
    if sock_.state == SS_CONNECTING:
        if (1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV | TCPF_CLOSE):
            sock_.state = SS_DISCONNECTING
        else:
            sock_.state = SS_CONNECTED
    if sk.sk_state == TCP_SYN_SENT or (sk.sk_state == TCP_LISTEN and how & RCV_SHUTDOWN):
        err = tcp_disconnect(sk, O_NONBLOCK)
        sock_.state = SS_DISCONNECTING if err else SS_UNCONNECTED
    elif sk.sk_state != TCP_LISTEN:
        if sk.sk_state == TCP_CLOSE:
            err = -ENOTCONN
        sk.sk_shutdown |= <u8>how
        tcp_shutdown(sk, how)
    sk.sk_state_change(sk)
    release_sock(sk)
    return err


# ------------------------------------------------------------------------------------------- a new route

# ip_dynaddr: while the SYN is unanswered, the connection may move to another address of the host.
cdef int inet_sk_reselect_saddr(sock *sk) noexcept nogil:
    cdef inet_sock *inet = inet_sk(sk)
    cdef flowi4 *fl4 = &inet.cork_fl.ip4
    cdef __be32 new_saddr
    cdef rtable *rt
    cdef int err
    rt = ip_route_connect(fl4, sk.sk_daddr, 0, sk.sk_bound_dev_if, <u8>sk.sk_protocol, inet.inet_sport, sk.sk_dport,
                          sk)
    if IS_ERR(rt):
        return <int>PTR_ERR(rt)
    new_saddr = fl4.saddr
    if new_saddr == inet.inet_saddr:
        sk_setup_caps(sk, &rt.dst)
        return 0
    err = inet_bhash2_update_saddr(sk, &new_saddr, AF_INET)
    if err:
        ip_rt_put(rt)
        return err
    sk_setup_caps(sk, &rt.dst)
    # __sk_prot_rehash()
    inet_unhash(sk)
    return inet_hash(sk)


# What IPv6's sockets have on theirs, ip_recv_error() tells too.
cdef int inet_recv_error(sock *sk, msghdr *msg, int len_) noexcept nogil:
    if sk.sk_family != AF_INET and sk.sk_family != AF_INET6:
        return -EINVAL
    return ip_recv_error(sk, msg, len_)


cdef int inet_sk_rebuild_header(sock *sk) noexcept nogil:
    cdef rtable *rt = dst_rtable(__sk_dst_check(sk, 0))
    cdef flowi4 *fl4 = &inet_sk(sk).cork_fl.ip4
    cdef int err
    if rt != NULL:
        return 0
    inet_sk_init_flowi4(inet_sk(sk), fl4)
    rt = ip_route_output_flow(sock_net(sk), fl4, sk)
    if not IS_ERR(rt):
        sk_setup_caps(sk, &rt.dst)
        return 0
    err = <int>PTR_ERR(rt)
    sk.sk_route_caps = 0
    if (not sock_net(sk).ipv4.sysctl_ip_dynaddr or sk.sk_state != TCP_SYN_SENT or
            sk.sk_userlocks & SOCK_BINDADDR_LOCK):
        sk.sk_err_soft = -err
        return err
    err = inet_sk_reselect_saddr(sk)
    if err:
        sk.sk_err_soft = -err
    return err


# ------------------------------------------------------------------------------------------- segmentation offload

cdef int inet_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil:
    """Each segment gets an IP id of its own, counted up from the packet's."""
    cdef iphdr *iph = <iphdr *>segs.hdr
    cdef int err
    segs.ihl = ip_ihl(iph) * 4
    if segs.ihl < sizeof(iphdr):
        return -EINVAL
    if iph.protocol != IPPROTO_TCP:
        return -EPROTONOSUPPORT
    segs.id = ntohs(iph.id)
    err = tcp4_gso_segment(skb, features, segs)
    if err == 0:
        inet_gso_header(segs)
    return err


# Is it a packet that may be merged: TCP, no options, no fragment, header and length right?
cdef bint gro_plain_ipv4(const iphdr *iph) noexcept nogil:
    return (iph.protocol == IPPROTO_TCP and iph.version_ihl == 0x45 and not ip_is_fragment(iph) and
            ip_fast_csum(iph, 5) == 0)


cdef bint gro_same_ipv4(const iphdr *a, const iphdr *b) noexcept nogil:
    return a.protocol == b.protocol and a.saddr == b.saddr and a.daddr == b.daddr


cdef sk_buff *inet_gro_receive(sk_buff_head *head, sk_buff *skb) noexcept nogil:
    """The IP header's part in GRO: which of the packets that are held are of the same hosts."""
    cdef unsigned int off = skb_gro_offset(skb)
    cdef iphdr *iph = <iphdr *>skb_gro_header(skb, off + <unsigned int>sizeof(iphdr), off)
    cdef sk_buff *pp = NULL
    cdef sk_buff *p = head.next
    cdef int flush = 1
    if iph != NULL and gro_plain_ipv4(iph):
        NAPI_GRO_CB(skb).proto = iph.protocol
        # A total length that is not the packet's (padding), or a reserved bit.
        flush = (ntohs(iph.tot_len) ^ <u16>skb_gro_len(skb)) | (ntohs(iph.frag_off) & ~IP_DF)
        while p != skb_list_end(head):
            if NAPI_GRO_CB(p).same_flow and not gro_same_ipv4(iph, <iphdr *>(p.data + off)):
                NAPI_GRO_CB(p).same_flow = 0
            p = p.next
        NAPI_GRO_CB(skb).flush |= <u16>flush
        NAPI_GRO_CB(skb).network_offset = <u16>off
        skb_gro_pull(skb, sizeof(iphdr))
        skb_set_transport_header(skb, <int>skb_gro_offset(skb))
        pp = tcp4_gro_receive(head, skb)
    skb_gro_flush_final(skb, pp, flush)
    return pp


cdef int inet_gro_complete(sk_buff *skb, int nhoff) noexcept nogil:
    cdef iphdr *iph = <iphdr *>(skb.data + nhoff)
    cdef __be16 totlen = iph.tot_len
    iph_set_totlen(iph, skb.len - <u32>nhoff)
    csum_replace2(&iph.check, totlen, iph.tot_len)
    return tcp4_gro_complete(skb, nhoff + <int>sizeof(iphdr))
