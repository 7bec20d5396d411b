"""net/ipv4/af_inet.c"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.gso cimport gso_segs

cdef enum:
    BIND_FORCE_ADDRESS_NO_PORT = 1 << 0
    BIND_WITH_LOCK = 1 << 1
    BIND_FROM_BPF = 1 << 2
    BIND_NO_CAP_NET_BIND_SERVICE = 1 << 3

cdef int inet_create(net *n, socket *sock_, int protocol, int kern) noexcept nogil
cdef int inet_release(socket *sock_, msghdr *msg) noexcept nogil
cdef int inet_bind(socket *sock_, sockaddr_in *uaddr, int addr_len) noexcept nogil
cdef int inet_bind_sk(sock *sk, sockaddr_in *uaddr, int addr_len) noexcept nogil
cdef int __inet_bind(sock *sk, sockaddr_in *uaddr, int addr_len, u32 flags) noexcept nogil
cdef int __inet_listen_sk(sock *sk, int backlog) noexcept nogil
cdef int inet_listen(socket *sock_, int backlog) noexcept nogil
cdef int __inet_stream_connect(socket *sock_, sockaddr_in *uaddr, int addr_len, int flags, int is_sendmsg,
                               msghdr *msg) noexcept nogil
cdef int inet_stream_connect(socket *sock_, sockaddr_in *uaddr, int addr_len, int flags, msghdr *msg) noexcept nogil
cdef void __inet_accept(socket *sock_, socket *newsock, sock *newsk) noexcept nogil
cdef int inet_accept(socket *sock_, socket *newsock, int flags, msghdr *msg) noexcept nogil
cdef int inet_getname(socket *sock_, sockaddr_in *uaddr, int peer) noexcept nogil
cdef int inet_send_prepare(sock *sk) noexcept nogil
cdef int inet_sendmsg(socket *sock_, msghdr *msg, size_t size) noexcept nogil
cdef int inet_recvmsg(socket *sock_, msghdr *msg, size_t size, int flags) noexcept nogil
cdef int inet_shutdown(socket *sock_, int how) noexcept nogil
cdef int inet_recv_error(sock *sk, msghdr *msg, int len_) noexcept nogil
cdef int inet_sk_rebuild_header(sock *sk) noexcept nogil
cdef void inet_sk_set_state(sock *sk, int state) noexcept nogil
cdef void inet_sk_state_store(sock *sk, int newstate) noexcept nogil
cdef void inet_sock_destruct(sock *sk) noexcept nogil
cdef int inet_ctl_sock_init(net *n, sock *sk, int protocol) noexcept nogil
cdef int inet_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil
cdef sk_buff *inet_gro_receive(sk_buff_head *head, sk_buff *skb) noexcept nogil
cdef int inet_gro_complete(sk_buff *skb, int nhoff) noexcept nogil
