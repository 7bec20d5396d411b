"""Socket states (net/tcp_states.h): the numbers of sk_state and their mask bits."""

cdef enum:
    TCP_ESTABLISHED = 1
    TCP_SYN_SENT = 2
    TCP_SYN_RECV = 3
    TCP_FIN_WAIT1 = 4
    TCP_FIN_WAIT2 = 5
    TCP_TIME_WAIT = 6
    TCP_CLOSE = 7
    TCP_CLOSE_WAIT = 8
    TCP_LAST_ACK = 9
    TCP_LISTEN = 10
    TCP_CLOSING = 11
    TCP_NEW_SYN_RECV = 12
    TCP_BOUND_INACTIVE = 13
    TCP_MAX_STATES = 14

    TCP_STATE_MASK = 0xF
    TCP_ACTION_FIN = 1 << 7

cdef enum:
    TCPF_ESTABLISHED = 1 << 1
    TCPF_SYN_SENT = 1 << 2
    TCPF_SYN_RECV = 1 << 3
    TCPF_FIN_WAIT1 = 1 << 4
    TCPF_FIN_WAIT2 = 1 << 5
    TCPF_TIME_WAIT = 1 << 6
    TCPF_CLOSE = 1 << 7
    TCPF_CLOSE_WAIT = 1 << 8
    TCPF_LAST_ACK = 1 << 9
    TCPF_LISTEN = 1 << 10
    TCPF_CLOSING = 1 << 11
    TCPF_NEW_SYN_RECV = 1 << 12
    TCPF_BOUND_INACTIVE = 1 << 13
