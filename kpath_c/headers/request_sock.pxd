"""net/request_sock.h: a connection that is only asked for, and the listener's queues.

reqsk_put(), reqsk_free() and __reqsk_free() drop a reference of the listener: they are in kpath_c/net_icsk.pxd.
"""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.kernel cimport *
from kpath_c.headers.sock cimport *


cdef inline request_sock *inet_reqsk(const sock *sk) noexcept nogil:
    return <request_sock *>sk

cdef inline sock *req_to_sk(request_sock *req) noexcept nogil:
    return <sock *>req

# No BPF program assigns sockets here: what is found was set by early demux and holds a reference.
cdef inline sock *skb_steal_sock(sk_buff *skb, bint *refcounted, bint *prefetched) noexcept nogil:
    cdef sock *sk = skb.sk
    prefetched[0] = 0
    if sk == NULL:
        refcounted[0] = 0
        return NULL
    refcounted[0] = 1
    skb.destructor = NULL
    skb.sk = NULL
    return sk

cdef inline bint reqsk_queue_empty(const request_sock_queue *queue) noexcept nogil:
    return queue.rskq_accept_head == NULL

cdef inline request_sock *reqsk_queue_remove(request_sock_queue *queue, sock *parent) noexcept nogil:
    cdef request_sock *req = queue.rskq_accept_head
    if req != NULL:
        sk_acceptq_removed(parent)
        queue.rskq_accept_head = req.dl_next
        if queue.rskq_accept_head == NULL:
            queue.rskq_accept_tail = NULL
    return req

cdef inline void reqsk_queue_removed(request_sock_queue *queue, const request_sock *req) noexcept nogil:
    if req.num_timeout == 0:
        queue.young -= 1
    queue.qlen -= 1

cdef inline void reqsk_queue_added(request_sock_queue *queue) noexcept nogil:
    queue.young += 1
    queue.qlen += 1

cdef inline int reqsk_queue_len(const request_sock_queue *queue) noexcept nogil:
    return queue.qlen

cdef inline int reqsk_queue_len_young(const request_sock_queue *queue) noexcept nogil:
    return queue.young

# RFC 7323 2.3: the window of a SYN-ACK is never scaled.
cdef inline u32 tcp_synack_window(const request_sock *req) noexcept nogil:
    return min_u32(req.rsk_rcv_wnd, 65535)
