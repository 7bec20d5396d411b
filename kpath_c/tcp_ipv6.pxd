"""What other files call of tcp_ipv6.pyx (declared in net/tcp.h and net/transp_v6.h in the kernel)."""
from kpath_c.headers.tcp cimport *

cdef inet_connection_sock_af_ops ipv6_specific
cdef inet_connection_sock_af_ops ipv6_mapped

cdef int tcp_v6_connect(sock *sk, sockaddr_in *uaddr, int addr_len) noexcept nogil
cdef int tcp_v6_err(sk_buff *skb, u8 type_, u8 code, int offset, __be32 info) noexcept nogil
cdef int tcp_v6_do_rcv(sock *sk, sk_buff *skb) noexcept nogil
cdef int tcp_v6_rcv(sk_buff *skb) noexcept nogil
cdef void tcp_v6_early_demux(sk_buff *skb) noexcept nogil
cdef int tcp_v6_init_sock(sock *sk) noexcept nogil          # sk->sk_prot->init

# A host's own part, after IPv4's. 0 or -errno.
cdef int tcpv6_net_init(net *n) noexcept nogil
