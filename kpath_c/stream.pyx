"""What a stream socket waits for: the handshake, room in its send buffer, and the end of its data.

Follows net/core/stream.c of Linux 6.18 (GPL-2.0-only). Deviation: a function that would sleep stores what it needs in
`msg` and returns -ERESTARTSYS; entered again with msg.resume set, it goes on behind its sleep (sk_stream_wait_close()
returns an int for that).
"""
from kpath_c.headers.tcp cimport *
from kpath_c.net_sock cimport *
from kpath_c.skbuff cimport __skb_queue_purge, skb_queue_purge
from kpath_c.sock cimport release_sock

cdef enum:
    EPOLL_ANY = 0x27FF


cdef void sk_stream_write_space(sock *sk) noexcept nogil:
    """Wakes writers once a third of the send buffer is free."""
    cdef socket *sock_ = sk.sk_socket
    if __sk_stream_is_writeable(sk, 1) and sock_ != NULL:
        clear_bit(SOCK_NOSPACE, &sock_.flags)
        sk_wake(sk, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)


cdef int sk_stream_wait_connect(sock *sk, msghdr *msg, long *timeo_p) noexcept nogil:
    cdef bint resumed = msg.resume
    cdef int done = 0
    cdef int err
    if resumed:
        timeo_p[0] = sk_wait_resume(sk, msg)
    while done == 0:
        if not resumed:
            err = sock_error(sk)
            if err:
                return err
            if (1 << sk.sk_state) & ~(TCPF_SYN_SENT | TCPF_SYN_RECV):
                return -EPIPE
            if not timeo_p[0]:
                return -EAGAIN
            sk.sk_write_pending += 1
            msg.disconnects = sk.sk_disconnects
            release_sock(sk)
            if not connect_over(sk):
                sk_wait_begin(sk, msg, EPOLLOUT | EPOLLERR | EPOLLHUP, timeo_p[0])
                return -ERESTARTSYS
        resumed = 0
        done = connect_over(sk) if msg.disconnects == sk.sk_disconnects else -EPIPE
        sk.sk_write_pending -= 1
    return done if done < 0 else 0


cdef bint connect_over(const sock *sk) noexcept nogil:
    return not sk.sk_err and not ((1 << sk.sk_state) & ~(TCPF_ESTABLISHED | TCPF_CLOSE_WAIT))


cdef bint sk_stream_closing(const sock *sk) noexcept nogil:
    return ((1 << sk.sk_state) & (TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_LAST_ACK)) != 0


cdef int sk_stream_wait_close(sock *sk, msghdr *msg, long timeout) noexcept nogil:
    """Waits until the peer has acknowledged all. 0: it has, or the time is over."""
    if msg != NULL and msg.resume:
        timeout = sk_wait_resume(sk, msg)
        if msg.disconnects != sk.sk_disconnects or not sk_stream_closing(sk):
            return 0
    while timeout:
        msg.disconnects = sk.sk_disconnects
        release_sock(sk)
        if not sk_stream_closing(sk):
            return 0
        sk_wait_begin(sk, msg, EPOLLOUT | EPOLLERR | EPOLLHUP, timeout)
        return -ERESTARTSYS
    return 0


cdef bint memory_wait_over(const sock *sk, long vm_wait) noexcept nogil:
    return sk.sk_err != 0 or (sk.sk_shutdown & SEND_SHUTDOWN) != 0 or (sk_stream_memory_free(sk) and not vm_wait)


cdef int sk_stream_wait_memory(sock *sk, msghdr *msg, long *timeo_p) noexcept nogil:
    """Waits for room in the send buffer, or, if there is room and memory was short, a random while."""
    cdef net *n = sock_net(sk)
    cdef bint resumed = msg.resume
    cdef long vm_wait = 0
    cdef long current_timeo
    if resumed:
        vm_wait = <long>msg.vm_wait
        timeo_p[0] = <long>msg.call_timeo
        current_timeo = sk_wait_resume(sk, msg)
    else:
        current_timeo = timeo_p[0]
        if sk_stream_memory_free(sk):
            vm_wait = <long>get_random_u32_below(n, HZ(n) // 5) + 2
            current_timeo = vm_wait

    while True:
        if not resumed:
            sk_set_bit(SOCKWQ_ASYNC_NOSPACE, sk)
            if sk.sk_err or sk.sk_shutdown & SEND_SHUTDOWN:
                return -EPIPE
            if not timeo_p[0]:
                # Whoever is told EAGAIN must be woken by EPOLLOUT later.
                set_bit(SOCK_NOSPACE, &sk.sk_socket.flags)
                return -EAGAIN
            sk_clear_bit(SOCKWQ_ASYNC_NOSPACE, sk)
            if sk_stream_memory_free(sk) and not vm_wait:
                return 0
            set_bit(SOCK_NOSPACE, &sk.sk_socket.flags)
            sk.sk_write_pending += 1
            msg.disconnects = sk.sk_disconnects
            release_sock(sk)
            if not memory_wait_over(sk, vm_wait):
                msg.vm_wait = vm_wait
                msg.call_timeo = timeo_p[0]
                sk_wait_begin(sk, msg, EPOLL_ANY if vm_wait else EPOLLOUT | EPOLLERR | EPOLLHUP, current_timeo)
                return -ERESTARTSYS
        resumed = 0
        sk.sk_write_pending -= 1
        if msg.disconnects != sk.sk_disconnects:
            return -EPIPE
        if vm_wait:
            vm_wait -= current_timeo
            current_timeo = timeo_p[0]
            if current_timeo != MAX_SCHEDULE_TIMEOUT():
                current_timeo -= vm_wait
                if current_timeo < 0:
                    current_timeo = 0
            vm_wait = 0
        timeo_p[0] = current_timeo


# No SIGPIPE: the caller sees the error.
cdef int sk_stream_error(sock *sk, int flags, int err) noexcept nogil:
    if err == -EPIPE:
        err = sock_error(sk)
        if err == 0:
            err = -EPIPE
    return err


cdef void sk_stream_kill_queues(sock *sk) noexcept nogil:
    __skb_queue_purge(&sk.sk_receive_queue)
    skb_queue_purge(&sk.sk_error_queue)
    WARN_ON_ONCE(not skb_queue_empty(&sk.sk_write_queue))
    sk_mem_reclaim_final(sk)
    WARN_ON_ONCE(sk.sk_wmem_queued != 0)
