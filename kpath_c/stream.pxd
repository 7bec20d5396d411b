"""net/core/stream.c: waiting for a connection, for send memory, for the end."""
from kpath_c.headers.sock cimport *

cdef void sk_stream_write_space(sock *sk) noexcept nogil
cdef int sk_stream_wait_connect(sock *sk, msghdr *msg, long *timeo_p) noexcept nogil
cdef int sk_stream_wait_close(sock *sk, msghdr *msg, long timeout) noexcept nogil
cdef int sk_stream_wait_memory(sock *sk, msghdr *msg, long *timeo_p) noexcept nogil
cdef int sk_stream_error(sock *sk, int flags, int err) noexcept nogil
cdef void sk_stream_kill_queues(sock *sk) noexcept nogil
