"""TCP's own header: net/tcp.h, linux/tcp.h, uapi/linux/tcp.h, net/tcp_states.h, net/tcp_ecn.h, linux/win_minmax.h.

Everything low level is reached through this file: it re-exports the types, the structs and the other headers.
Inlines that end in a real function (timers, memory accounting, output) are in net_tcp.pxd.
Follows include/net/tcp.h and include/linux/tcp.h of Linux 6.18 (GPL-2.0-only).

Deviations: constants made of HZ are functions of the host; the bits of a TCP header are read with th_syn(th),
th_doff(th) ...; Accurate ECN (tcp_ecn > 2), MD5, AO, MPTCP, SMC and BPF are left out.
"""
from libc.string cimport memcmp
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *
from kpath_c.headers.snmp cimport *
from kpath_c.headers.dropreason cimport *
from kpath_c.headers.tcp_states cimport *
from kpath_c.headers.kernel cimport *
from kpath_c.headers.skbuff cimport *
from kpath_c.headers.sock cimport *
from kpath_c.headers.dst cimport *
from kpath_c.headers.ip cimport *
from kpath_c.headers.ipv6 cimport *
from kpath_c.headers.inet_sock cimport *
from kpath_c.headers.request_sock cimport *
from kpath_c.headers.inet_connection_sock cimport *
from kpath_c.headers.inet_timewait_sock cimport *
from kpath_c.headers.inet_hashtables cimport *
from kpath_c.headers.inet_ecn cimport *

# ---------------------------------------------------------------------------------------------- constants

cdef enum:
    MAX_TCP_HEADER = 192                # L1_CACHE_ALIGN(128 + MAX_HEADER); see headers/netdevice.pxd on MAX_HEADER
    MAX_TCP_OPTION_SPACE = 40
    TCP_MIN_SND_MSS = 48
    TCP_MIN_GSO_SIZE = 8                # TCP_MIN_SND_MSS - MAX_TCP_OPTION_SPACE
    MAX_TCP_WINDOW = 32767              # without window scaling some peers take the field as signed
    TCP_MIN_MSS = 88
    TCP_BASE_MSS = 1024                 # RFC 4821: first MTU probed
    TCP_PROBE_INTERVAL = 600            # s
    TCP_PROBE_THRESHOLD = 8
    TCP_FASTRETRANS_THRESH = 3
    TCP_MAX_QUICKACKS = 16
    TCP_MAX_WSCALE = 14                 # RFC 7323 2.3
    TCP_ACCECN_OPTION_BEACON = 3
    TCP_URG_VALID = 0x0100
    TCP_URG_NOTYET = 0x0200
    TCP_URG_READ = 0x0400
    TCP_RETR1 = 3
    TCP_RETR2 = 15
    TCP_SYN_RETRIES = 6
    TCP_SYNACK_RETRIES = 5
    TCP_RTO_MAX_SEC = 120
    TCP_TIMEOUT_MIN = 2                 # jiffies
    TCP_TIMEOUT_MIN_US = 2000
    TCP_KEEPALIVE_PROBES = 9
    MAX_TCP_KEEPIDLE = 32767
    MAX_TCP_KEEPINTVL = 32767
    MAX_TCP_KEEPCNT = 127
    MAX_TCP_SYNCNT = 127
    TCP_PAWS_WRAP = 2147                # s: INT_MAX / USEC_PER_SEC
    TCP_PAWS_MSL = 60                   # s
    TCP_PAWS_WINDOW = 1
    TCP_THIN_LINEAR_RETRIES = 6
    TCP_INIT_CWND = 10                  # RFC 6928
    TCP_TS_HZ = 1000
    TCP_INFINITE_SSTHRESH = 0x7fffffff
    TCP_RMEM_TO_WIN_SCALE = 8
    TCP_DEFAULT_SCALING_RATIO = 128     # half of truesize is taken as payload until measured
    TCP_RACK_RECOVERY_THRESH = 16
    MAX_SYNCOOKIE_AGE = 2
    TCPCB_DELIVERED_CE_MASK = 0xFFFFF
    TCP_MSS_DEFAULT = 536
    TCP_MSS_DESIRED = 1220

# Option kinds and lengths
cdef enum:
    TCPOPT_EOL = 0
    TCPOPT_NOP = 1
    TCPOPT_MSS = 2
    TCPOPT_WINDOW = 3
    TCPOPT_SACK_PERM = 4
    TCPOPT_SACK = 5
    TCPOPT_TIMESTAMP = 8
    TCPOPT_MD5SIG = 19
    TCPOPT_AO = 29
    TCPOPT_MPTCP = 30
    TCPOPT_FASTOPEN = 34
    TCPOPT_ACCECN0 = 172
    TCPOPT_ACCECN1 = 174
    TCPOPT_EXP = 254
    TCPOPT_FASTOPEN_MAGIC = 0xF989

    TCPOLEN_MSS = 4
    TCPOLEN_WINDOW = 3
    TCPOLEN_SACK_PERM = 2
    TCPOLEN_TIMESTAMP = 10
    TCPOLEN_MD5SIG = 18
    TCPOLEN_FASTOPEN_BASE = 2
    TCPOLEN_ACCECN_BASE = 2
    TCPOLEN_EXP_FASTOPEN_BASE = 4
    TCPOLEN_EXP_SMC_BASE = 6
    TCPOLEN_TSTAMP_ALIGNED = 12
    TCPOLEN_WSCALE_ALIGNED = 4
    TCPOLEN_SACKPERM_ALIGNED = 4
    TCPOLEN_SACK_BASE = 2
    TCPOLEN_SACK_BASE_ALIGNED = 4
    TCPOLEN_SACK_PERBLOCK = 8
    TCPOLEN_MD5SIG_ALIGNED = 20
    TCPOLEN_MSS_ALIGNED = 4
    TCPOLEN_EXP_SMC_BASE_ALIGNED = 8
    TCPOLEN_ACCECN_PERFIELD = 3

# tp.nonagle
cdef enum:
    TCP_NAGLE_OFF = 1
    TCP_NAGLE_CORK = 2
    TCP_NAGLE_PUSH = 4

# net.ipv4.tcp_fastopen
cdef enum:
    TFO_CLIENT_ENABLE = 1
    TFO_SERVER_ENABLE = 2
    TFO_CLIENT_NO_COOKIE = 4
    TFO_SERVER_COOKIE_NOT_REQD = 0x200
    TFO_SERVER_WO_SOCKOPT1 = 0x400
    TCP_FASTOPEN_COOKIE_MIN = 4
    TCP_FASTOPEN_COOKIE_SIZE = 8
    TCP_FASTOPEN_KEY_LENGTH = 16
    TCP_FASTOPEN_KEY_MAX = 2
    TCP_FASTOPEN_KEY_BUF_LENGTH = 32

# net.ipv4.tcp_recovery
cdef enum:
    TCP_RACK_LOSS_DETECTION = 0x1
    TCP_RACK_STATIC_REO_WND = 0x2
    TCP_RACK_NO_DUPTHRESH = 0x4

# tp.ecn_flags, and the modes of net.ipv4.tcp_ecn
cdef enum:
    TCP_ECN_DISABLED = 0
    TCP_ECN_MODE_RFC3168 = 0x01
    TCP_ECN_QUEUE_CWR = 0x02
    TCP_ECN_DEMAND_CWR = 0x04
    TCP_ECN_SEEN = 0x08
    TCP_ECN_MODE_ACCECN = 0x10
    TCP_ECN_MODE_PENDING = 0x11
    TCP_ECN_MODE_ANY = 0x11

    TCP_ECN_IN_NOECN_OUT_NOECN = 0
    TCP_ECN_IN_ECN_OUT_ECN = 1
    TCP_ECN_IN_ECN_OUT_NOECN = 2
    TCP_ECN_IN_ACCECN_OUT_ACCECN = 3
    TCP_ECN_IN_ACCECN_OUT_ECN = 4
    TCP_ECN_IN_ACCECN_OUT_NOECN = 5

    TCP_ACCECN_OPTION_DISABLED = 0
    TCP_ACCECN_OPTION_MINIMUM = 1
    TCP_ACCECN_OPTION_FULL = 2

cdef enum tcp_tw_status:
    TCP_TW_SUCCESS = 0
    TCP_TW_RST = 1
    TCP_TW_ACK = 2
    TCP_TW_SYN = 3
    TCP_TW_ACK_OOW = 4

cdef enum tcp_synack_type:
    TCP_SYNACK_NORMAL = 0
    TCP_SYNACK_FASTOPEN = 1
    TCP_SYNACK_COOKIE = 2

cdef enum tcp_queue:
    TCP_FRAG_IN_WRITE_QUEUE = 0
    TCP_FRAG_IN_RTX_QUEUE = 1

# Header flags as in cb.tcp_flags (the low byte is th.flags)
cdef enum:
    TCPHDR_FIN = 0x001
    TCPHDR_SYN = 0x002
    TCPHDR_RST = 0x004
    TCPHDR_PSH = 0x008
    TCPHDR_ACK = 0x010
    TCPHDR_URG = 0x020
    TCPHDR_ECE = 0x040
    TCPHDR_CWR = 0x080
    TCPHDR_AE = 0x100
    TCPHDR_FLAGS_MASK = 0x1FF
    TCPHDR_ACE = 0x1C0
    TCPHDR_SYN_ECN = 0x0C2
    TCPHDR_SYNACK_ACCECN = 0x092

# The 4th word of the header, in network byte order on a little-endian host
cdef enum:
    TCP_FLAG_AE = 0x00000001
    TCP_FLAG_CWR = 0x00008000
    TCP_FLAG_ECE = 0x00004000
    TCP_FLAG_URG = 0x00002000
    TCP_FLAG_ACK = 0x00001000
    TCP_FLAG_PSH = 0x00000800
    TCP_FLAG_RST = 0x00000400
    TCP_FLAG_SYN = 0x00000200
    TCP_FLAG_FIN = 0x00000100
    TCP_RESERVED_BITS = 0x0000000E
    TCP_DATA_OFFSET = 0x000000F0

# cb.sacked
cdef enum:
    TCPCB_SACKED_ACKED = 0x01
    TCPCB_SACKED_RETRANS = 0x02
    TCPCB_LOST = 0x04
    TCPCB_TAGBITS = 0x07
    TCPCB_REPAIRED = 0x10
    TCPCB_EVER_RETRANS = 0x80
    TCPCB_RETRANS = 0x92

    TSTAMP_ACK_SK = 0x1
    TSTAMP_ACK_BPF = 0x2

# Congestion control: events, ACK flags, properties
cdef enum:
    CA_EVENT_TX_START = 0
    CA_EVENT_CWND_RESTART = 1
    CA_EVENT_COMPLETE_CWR = 2
    CA_EVENT_LOSS = 3
    CA_EVENT_ECN_NO_CE = 4
    CA_EVENT_ECN_IS_CE = 5

    CA_ACK_SLOWPATH = 0x1
    CA_ACK_WIN_UPDATE = 0x2
    CA_ACK_ECE = 0x4

    TCP_CA_MAX = 128
    TCP_CA_BUF_MAX = 2048
    TCP_CA_UNSPEC = 0
    TCP_CONG_NON_RESTRICTED = 0x01
    TCP_CONG_NEEDS_ECN = 0x02
    TCP_CONG_NEEDS_ACCECN = 0x04
    TCP_CONG_ECT_1_NEGOTIATION = 0x08
    TCP_CONG_NO_FALLBACK_RFC3168 = 0x10
    TCP_CONG_MASK = 0x1F

    TCP_CA_Open = 0
    TCP_CA_Disorder = 1
    TCP_CA_CWR = 2
    TCP_CA_Recovery = 3
    TCP_CA_Loss = 4
    TCPF_CA_Open = 0x01
    TCPF_CA_Disorder = 0x02
    TCPF_CA_CWR = 0x04
    TCPF_CA_Recovery = 0x08
    TCPF_CA_Loss = 0x10

# What limits the sender (tp.chrono_type)
cdef enum tcp_chrono:
    TCP_CHRONO_UNSPEC = 0
    TCP_CHRONO_BUSY = 1
    TCP_CHRONO_RWND_LIMITED = 2
    TCP_CHRONO_SNDBUF_LIMITED = 3

# rx_opt.sack_ok
cdef enum:
    TCP_SACK_SEEN = 0x1
    TCP_DSACK_SEEN = 0x4

# sk_tsq_flags
cdef enum:
    TSQ_THROTTLED = 0
    TSQ_QUEUED = 1
    TCP_TSQ_DEFERRED = 2
    TCP_WRITE_TIMER_DEFERRED = 3
    TCP_DELACK_TIMER_DEFERRED = 4
    TCP_MTU_REDUCED_DEFERRED = 5
    TCP_ACK_DEFERRED = 6
    TSQF_THROTTLED = 0x01
    TSQF_QUEUED = 0x02
    TCPF_TSQ_DEFERRED = 0x04
    TCPF_WRITE_TIMER_DEFERRED = 0x08
    TCPF_DELACK_TIMER_DEFERRED = 0x10
    TCPF_MTU_REDUCED_DEFERRED = 0x20
    TCPF_ACK_DEFERRED = 0x40

# Socket options at SOL_TCP
cdef enum:
    TCP_NODELAY = 1
    TCP_MAXSEG = 2
    TCP_CORK = 3
    TCP_KEEPIDLE = 4
    TCP_KEEPINTVL = 5
    TCP_KEEPCNT = 6
    TCP_SYNCNT = 7
    TCP_LINGER2 = 8
    TCP_DEFER_ACCEPT = 9
    TCP_WINDOW_CLAMP = 10
    TCP_INFO = 11
    TCP_QUICKACK = 12
    TCP_CONGESTION = 13
    TCP_MD5SIG = 14
    TCP_THIN_LINEAR_TIMEOUTS = 16
    TCP_THIN_DUPACK = 17
    TCP_USER_TIMEOUT = 18
    TCP_REPAIR = 19
    TCP_REPAIR_QUEUE = 20
    TCP_QUEUE_SEQ = 21
    TCP_REPAIR_OPTIONS = 22
    TCP_FASTOPEN = 23
    TCP_TIMESTAMP = 24
    TCP_NOTSENT_LOWAT = 25
    TCP_CC_INFO = 26
    TCP_SAVE_SYN = 27
    TCP_SAVED_SYN = 28
    TCP_REPAIR_WINDOW = 29
    TCP_FASTOPEN_CONNECT = 30
    TCP_ULP = 31
    TCP_MD5SIG_EXT = 32
    TCP_FASTOPEN_KEY = 33
    TCP_FASTOPEN_NO_COOKIE = 34
    TCP_ZEROCOPY_RECEIVE = 35
    TCP_INQ = 36
    TCP_CM_INQ = 36
    TCP_TX_DELAY = 37
    TCP_AO_ADD_KEY = 38
    TCP_AO_DEL_KEY = 39
    TCP_AO_INFO = 40
    TCP_AO_GET_KEYS = 41
    TCP_AO_REPAIR = 42
    TCP_IS_MPTCP = 43
    TCP_RTO_MAX_MS = 44
    TCP_RTO_MIN_US = 45
    TCP_DELACK_MAX_US = 46

    TCP_NO_QUEUE = 0
    TCP_RECV_QUEUE = 1
    TCP_SEND_QUEUE = 2
    TCP_QUEUES_NR = 3

# TCP_MD5SIG and TCP_MD5SIG_EXT
cdef enum:
    TCP_MD5SIG_MAXKEYLEN = 80
    TCP_MD5SIG_FLAG_PREFIX = 1
    TCP_MD5SIG_FLAG_IFINDEX = 2

# What get_info() of a congestion control is asked for (linux/inet_diag.h).
cdef enum:
    INET_DIAG_VEGASINFO = 3
    INET_DIAG_DCTCPINFO = 9
    INET_DIAG_BBRINFO = 16

# How the application hands over a key: linux/tcp.h. The address is a sockaddr_in or a sockaddr_in6.
cdef struct tcp_md5sig:
    u8 tcpm_addr[128]
    u8 tcpm_flags
    u8 tcpm_prefixlen
    u16 tcpm_keylen
    int tcpm_ifindex
    u8 tcpm_key[TCP_MD5SIG_MAXKEYLEN]

# tp.fastopen_client_fail, and tcpi_options
cdef enum:
    TFO_STATUS_UNSPEC = 0
    TFO_COOKIE_UNAVAILABLE = 1
    TFO_DATA_NOT_ACKED = 2
    TFO_SYN_RETRANSMITTED = 3

    TCPI_OPT_TIMESTAMPS = 1
    TCPI_OPT_SACK = 2
    TCPI_OPT_WSCALE = 4
    TCPI_OPT_ECN = 8
    TCPI_OPT_ECN_SEEN = 16
    TCPI_OPT_SYN_DATA = 32
    TCPI_OPT_USEC_TS = 64
    TCPI_OPT_TFO_CHILD = 128

# getsockopt(TCP_INFO): the kernel's order; four bit-fields have a byte each here.
cdef struct tcp_info:
    u8 tcpi_state
    u8 tcpi_ca_state
    u8 tcpi_retransmits
    u8 tcpi_probes
    u8 tcpi_backoff
    u8 tcpi_options
    u8 tcpi_snd_wscale
    u8 tcpi_rcv_wscale
    u8 tcpi_delivery_rate_app_limited
    u8 tcpi_fastopen_client_fail
    u32 tcpi_rto
    u32 tcpi_ato
    u32 tcpi_snd_mss
    u32 tcpi_rcv_mss
    u32 tcpi_unacked
    u32 tcpi_sacked
    u32 tcpi_lost
    u32 tcpi_retrans
    u32 tcpi_fackets
    u32 tcpi_last_data_sent
    u32 tcpi_last_ack_sent
    u32 tcpi_last_data_recv
    u32 tcpi_last_ack_recv
    u32 tcpi_pmtu
    u32 tcpi_rcv_ssthresh
    u32 tcpi_rtt
    u32 tcpi_rttvar
    u32 tcpi_snd_ssthresh
    u32 tcpi_snd_cwnd
    u32 tcpi_advmss
    u32 tcpi_reordering
    u32 tcpi_rcv_rtt
    u32 tcpi_rcv_space
    u32 tcpi_total_retrans
    u64 tcpi_pacing_rate
    u64 tcpi_max_pacing_rate
    u64 tcpi_bytes_acked
    u64 tcpi_bytes_received
    u32 tcpi_segs_out
    u32 tcpi_segs_in
    u32 tcpi_notsent_bytes
    u32 tcpi_min_rtt
    u32 tcpi_data_segs_in
    u32 tcpi_data_segs_out
    u64 tcpi_delivery_rate
    u64 tcpi_busy_time
    u64 tcpi_rwnd_limited
    u64 tcpi_sndbuf_limited
    u32 tcpi_delivered
    u32 tcpi_delivered_ce
    u64 tcpi_bytes_sent
    u64 tcpi_bytes_retrans
    u32 tcpi_dsack_dups
    u32 tcpi_reord_seen
    u32 tcpi_rcv_ooopack
    u32 tcpi_snd_wnd
    u32 tcpi_rcv_wnd
    u32 tcpi_rehash
    u16 tcpi_total_rto
    u16 tcpi_total_rto_recoveries
    u32 tcpi_total_rto_time
    u32 tcpi_received_ce
    u32 tcpi_delivered_e1_bytes
    u32 tcpi_delivered_e0_bytes
    u32 tcpi_delivered_ce_bytes
    u32 tcpi_received_e1_bytes
    u32 tcpi_received_e0_bytes
    u32 tcpi_received_ce_bytes
    u16 tcpi_accecn_fail_mode
    u16 tcpi_accecn_opt_seen

cdef struct tcp_repair_opt:
    u32 opt_code
    u32 opt_val

cdef struct tcp_repair_window:
    u32 snd_wl1
    u32 snd_wnd
    u32 max_window
    u32 rcv_wnd
    u32 rcv_wup

# ------------------------------------------------------------------------- constants made of HZ

cdef inline int TCP_TIMEWAIT_LEN(net *n) noexcept nogil:
    return 60 * <int>HZ(n)

cdef inline int TCP_FIN_TIMEOUT(net *n) noexcept nogil:
    return TCP_TIMEWAIT_LEN(n)

cdef inline int TCP_FIN_TIMEOUT_MAX(net *n) noexcept nogil:
    return 120 * <int>HZ(n)

cdef inline unsigned int TCP_DELACK_MAX(net *n) noexcept nogil:
    return <unsigned int>HZ(n) // 5

cdef inline unsigned int TCP_DELACK_MIN(net *n) noexcept nogil:
    if likely(HZ(n) == USUAL_HZ):
        return USUAL_HZ // 25
    if HZ(n) >= 100:
        return <unsigned int>HZ(n) // 25
    return 4

cdef inline unsigned int TCP_ATO_MIN(net *n) noexcept nogil:
    if likely(HZ(n) == USUAL_HZ):
        return USUAL_HZ // 25
    if HZ(n) >= 100:
        return <unsigned int>HZ(n) // 25
    return 4

cdef inline unsigned int TCP_RTO_MAX(net *n) noexcept nogil:
    return TCP_RTO_MAX_SEC * <unsigned int>HZ(n)

cdef inline unsigned int TCP_RTO_MIN(net *n) noexcept nogil:
    return <unsigned int>HZ(n) // 5

# RFC 6298 2.1: 1 s
cdef inline unsigned int TCP_TIMEOUT_INIT(net *n) noexcept nogil:
    return <unsigned int>HZ(n)

# RFC 6298 5.7: 3 s when the handshake had to be retransmitted
cdef inline unsigned int TCP_TIMEOUT_FALLBACK(net *n) noexcept nogil:
    return 3 * <unsigned int>HZ(n)

cdef inline unsigned int TCP_RESOURCE_PROBE_INTERVAL(net *n) noexcept nogil:
    return <unsigned int>HZ(n) // 2

cdef inline int TCP_KEEPALIVE_TIME(net *n) noexcept nogil:
    return 120 * 60 * <int>HZ(n)

cdef inline int TCP_KEEPALIVE_INTVL(net *n) noexcept nogil:
    return 75 * <int>HZ(n)

cdef inline int TCP_SYNCOOKIE_PERIOD(net *n) noexcept nogil:
    return 60 * <int>HZ(n)

cdef inline int TCP_SYNCOOKIE_VALID(net *n) noexcept nogil:
    return MAX_SYNCOOKIE_AGE * TCP_SYNCOOKIE_PERIOD(n)

# ---------------------------------------------------------------------------------------------- casts

cdef inline tcp_sock *tcp_sk(const sock *sk) noexcept nogil:
    return <tcp_sock *>sk

cdef inline tcp_sock *tcp_sk_rw(const sock *sk) noexcept nogil:
    return <tcp_sock *>sk

cdef enum:
    HOT_PARTS = 3

cdef inline void tcp_hot_parts(const tcp_sock *tp, size_t *begin, size_t *end) noexcept nogil:
    """The parts of a socket (addresses) that a segment touches which arrives in order, and the ACK of it."""
    cdef const inet_connection_sock *icsk = &tp.inet_conn
    begin[0], end[0] = <size_t>tp, <size_t>&icsk.icsk_inet.sk.tcp_rtx_queue
    begin[1], end[1] = <size_t>&icsk.icsk_inet.inet_saddr, <size_t>&icsk.icsk_ca_priv
    begin[2], end[2] = <size_t>&tp.max_window, <size_t>&tp.dsack_dups

cdef inline tcp_request_sock *tcp_rsk(const request_sock *req) noexcept nogil:
    return <tcp_request_sock *>req

cdef inline tcp_timewait_sock *tcp_twsk(const sock *sk) noexcept nogil:
    return <tcp_timewait_sock *>sk

cdef inline tcp_skb_cb *TCP_SKB_CB(const sk_buff *skb) noexcept nogil:
    return <tcp_skb_cb *>&skb.cb

# ---------------------------------------------------------------------------------------------- header access

cdef inline tcphdr *tcp_hdr(const sk_buff *skb) noexcept nogil:
    return <tcphdr *>skb.transport_header

cdef inline unsigned int th_doff(tcphdr *th) noexcept nogil:
    return th.doff_res >> 4

cdef inline bint th_ae(tcphdr *th) noexcept nogil:
    return th.doff_res & 1

cdef inline bint th_fin(tcphdr *th) noexcept nogil:
    return (th.flags & TCPHDR_FIN) != 0

cdef inline bint th_syn(tcphdr *th) noexcept nogil:
    return (th.flags & TCPHDR_SYN) != 0

cdef inline bint th_rst(tcphdr *th) noexcept nogil:
    return (th.flags & TCPHDR_RST) != 0

cdef inline bint th_psh(tcphdr *th) noexcept nogil:
    return (th.flags & TCPHDR_PSH) != 0

cdef inline bint th_ack(tcphdr *th) noexcept nogil:
    return (th.flags & TCPHDR_ACK) != 0

cdef inline bint th_urg(tcphdr *th) noexcept nogil:
    return (th.flags & TCPHDR_URG) != 0

cdef inline bint th_ece(tcphdr *th) noexcept nogil:
    return (th.flags & TCPHDR_ECE) != 0

cdef inline bint th_cwr(tcphdr *th) noexcept nogil:
    return (th.flags & TCPHDR_CWR) != 0

# Compare with TCP_FLAG_*: network byte order.
cdef inline __be32 tcp_flag_word(tcphdr *th) noexcept nogil:
    return get_unaligned_u32(<u8 *>th + 12)

cdef inline u8 tcp_flag_byte(tcphdr *th) noexcept nogil:
    return th.flags

# TCPHDR_* with AE as bit 8
cdef inline u16 tcp_flags_ntohs(tcphdr *th) noexcept nogil:
    return <u16>((<u16>(th.doff_res & 1) << 8) | th.flags)

cdef inline unsigned int __tcp_hdrlen(tcphdr *th) noexcept nogil:
    return (th.doff_res & 0xF0) >> 2

cdef inline unsigned int tcp_hdrlen(sk_buff *skb) noexcept nogil:
    return __tcp_hdrlen(tcp_hdr(skb))

cdef inline unsigned int tcp_optlen(sk_buff *skb) noexcept nogil:
    return (th_doff(tcp_hdr(skb)) - 5) * 4

# ---------------------------------------------------------------------------------------------- sequence numbers

cdef inline bint before(u32 seq1, u32 seq2) noexcept nogil:
    return <s32>(seq1 - seq2) < 0

cdef inline bint after(u32 seq2, u32 seq1) noexcept nogil:
    return <s32>(seq1 - seq2) < 0

# seq2 <= seq1 <= seq3, modulo 2^32
cdef inline bint between(u32 seq1, u32 seq2, u32 seq3) noexcept nogil:
    return <u32>(seq3 - seq2) >= <u32>(seq1 - seq2)

# ---------------------------------------------------------------------------------------------- win_minmax

cdef inline u32 minmax_get(minmax *m) noexcept nogil:
    return m.s[0].v

cdef inline u32 minmax_reset(minmax *m, u32 t, u32 meas) noexcept nogil:
    m.s[0].t = m.s[1].t = m.s[2].t = t
    m.s[0].v = m.s[1].v = m.s[2].v = meas
    return meas

# Lowest RTT (us) of the window; ~0: none yet.
cdef inline u32 tcp_min_rtt(tcp_sock *tp) noexcept nogil:
    return minmax_get(&tp.rtt_min)

# ---------------------------------------------------------------------------------------------- host-wide

cdef inline void tcp_orphan_count_inc(net *n) noexcept nogil:
    n.ipv4.tcp_orphan_count += 1

cdef inline void tcp_orphan_count_dec(net *n) noexcept nogil:
    n.ipv4.tcp_orphan_count -= 1

cdef inline bint tcp_under_memory_pressure(sock *sk) noexcept nogil:
    if sk.sk_bypass_prot_mem:
        return False
    return sock_net(sk).ipv4.tcp_memory_pressure != 0

# RFC 2012 constants of /proc/net/snmp
cdef inline void tcp_mib_init(net *n) noexcept nogil:
    TCP_ADD_STATS(n, TCP_MIB_RTOALGORITHM, 1)
    TCP_ADD_STATS(n, TCP_MIB_RTOMIN, TCP_RTO_MIN(n) * 1000 // <unsigned int>HZ(n))
    TCP_ADD_STATS(n, TCP_MIB_RTOMAX, TCP_RTO_MAX(n) * 1000 // <unsigned int>HZ(n))
    TCP_ADD_STATS(n, TCP_MIB_MAXCONN, -1)

# ---------------------------------------------------------------------------------------------- time stamps

cdef inline u32 tcp_clock_ts(net *n, bint usec_ts) noexcept nogil:
    return <u32>tcp_clock_us(n) if usec_ts else <u32>tcp_clock_ms(n)

cdef inline u64 tcp_ns_to_ts(bint usec_ts, u64 val) noexcept nogil:
    if usec_ts:
        return val // 1000
    return val // 1000000

cdef inline u32 tcp_time_stamp_ms(tcp_sock *tp) noexcept nogil:
    return <u32>(tp.tcp_mstamp // 1000)

cdef inline u32 tcp_time_stamp_ts(tcp_sock *tp) noexcept nogil:
    if tp.tcp_usec_ts:
        return <u32>tp.tcp_mstamp
    return tcp_time_stamp_ms(tp)

cdef inline u32 tcp_stamp_us_delta(u64 t1, u64 t0) noexcept nogil:
    cdef s64 delta = <s64>(t1 - t0)
    return <u32>(delta if delta > 0 else 0)

# When it left, us
cdef inline u64 tcp_skb_timestamp_us(sk_buff *skb) noexcept nogil:
    return skb.skb_mstamp_ns // 1000

# The TSval it carried, less tp.tsoffset
cdef inline u32 tcp_skb_timestamp_ts(bint usec_ts, sk_buff *skb) noexcept nogil:
    if usec_ts:
        return <u32>tcp_skb_timestamp_us(skb)
    return <u32>(skb.skb_mstamp_ns // 1000000)

cdef inline u32 tcp_tw_tsval(tcp_timewait_sock *tcptw) noexcept nogil:
    return tcp_clock_ts(tcptw.tw_sk.tw_net, tcptw.tw_sk.tw_usec_ts) + tcptw.tw_ts_offset

cdef inline u32 tcp_rsk_tsval(tcp_request_sock *treq) noexcept nogil:
    return tcp_clock_ts(treq.req.req.ireq_net, treq.req_usec_ts) + treq.ts_off

cdef inline bint dst_tcp_usec_ts(dst_entry *dst) noexcept nogil:
    return dst_feature(dst, RTAX_FEATURE_TCP_USEC_TS) != 0

cdef inline void tcp_add_tx_delay(sk_buff *skb, tcp_sock *tp) noexcept nogil:
    skb.skb_mstamp_ns += <u64>tp.tcp_tx_delay * 1000

# Departure time of an ACK or RST that is sent for a socket but not by it; 0: at once.
cdef inline u64 tcp_transmit_time(sock *sk) noexcept nogil:
    cdef u32 delay
    if sk.sk_state == TCP_TIME_WAIT:
        delay = tcp_twsk(sk).tw_tx_delay
    else:
        delay = tcp_sk(sk).tcp_tx_delay
    return tcp_clock_ns(sock_net(sk)) + <u64>delay * 1000 if delay else 0

# ---------------------------------------------------------------------------------------------- RTO

cdef inline unsigned int tcp_rto_max(sock *sk) noexcept nogil:
    return inet_csk(sk).icsk_rto_max

cdef inline void tcp_bound_rto(sock *sk) noexcept nogil:
    inet_csk(sk).icsk_rto = min_u32(inet_csk(sk).icsk_rto, tcp_rto_max(sk))

# RFC 6298 2.3: SRTT + 4 * RTTVAR (rttvar_us is kept times 4)
cdef inline u32 __tcp_set_rto(tcp_sock *tp) noexcept nogil:
    return <u32>usecs_to_jiffies(sock_net(<sock *>tp), (tp.srtt_us >> 3) + tp.rttvar_us)

# 6.18 bounds it by TCP_RTO_MAX, not (as later kernels) by the listener's own maximum.
cdef inline unsigned long tcp_reqsk_timeout(request_sock *req) noexcept nogil:
    return reqsk_timeout(req, TCP_RTO_MAX(req.ireq_net))

cdef inline u32 tcp_rto_min(sock *sk) noexcept nogil:
    cdef dst_entry *dst = __sk_dst_get(sk)
    cdef u32 rto_min = inet_csk(sk).icsk_rto_min
    if dst != NULL and dst_metric_locked(dst, RTAX_RTO_MIN):
        rto_min = <u32>dst_metric_rtt(dst, RTAX_RTO_MIN)
    return rto_min

cdef inline u32 tcp_rto_min_us(sock *sk) noexcept nogil:
    return jiffies_to_usecs(sock_net(sk), tcp_rto_min(sk))

cdef inline u32 tcp_timeout_init(sock *sk) noexcept nogil:
    return <u32>min_int(<int>TCP_TIMEOUT_INIT(sock_net(sk)), <int>TCP_RTO_MAX(sock_net(sk)))

# A zero window or a full queue: never sooner than 200 ms, however short the RTO is.
cdef inline unsigned long tcp_probe0_base(sock *sk) noexcept nogil:
    return max_ulong(inet_csk(sk).icsk_rto, TCP_RTO_MIN(sock_net(sk)))

cdef inline unsigned long tcp_probe0_when(sock *sk, unsigned long max_when) noexcept nogil:
    cdef u8 cap = <u8>(ilog2(TCP_RTO_MAX(sock_net(sk)) // TCP_RTO_MIN(sock_net(sk))) + 1)
    cdef u8 backoff = inet_csk(sk).icsk_backoff
    cdef u64 when
    if backoff > cap:
        backoff = cap
    when = <u64>tcp_probe0_base(sk) << backoff
    return <unsigned long>min_u64(when, max_when)

# Jiffies until the pacing clock lets the next packet go
cdef inline unsigned long tcp_pacing_delay(sock *sk) noexcept nogil:
    cdef s64 delay = <s64>(tcp_sk(sk).tcp_wstamp_ns - tcp_sk(sk).tcp_clock_cache)
    return nsecs_to_jiffies(sock_net(sk), <u64>delay) if delay > 0 else 0

cdef inline bint tcp_needs_internal_pacing(sock *sk) noexcept nogil:
    return sk.sk_pacing_status == SK_PACING_NEEDED

cdef inline int keepalive_intvl_when(tcp_sock *tp) noexcept nogil:
    cdef int val = <int>tp.keepalive_intvl
    return val if val else sock_net(<sock *>tp).ipv4.sysctl_tcp_keepalive_intvl

cdef inline int keepalive_time_when(tcp_sock *tp) noexcept nogil:
    cdef int val = <int>tp.keepalive_time
    return val if val else sock_net(<sock *>tp).ipv4.sysctl_tcp_keepalive_time

cdef inline int keepalive_probes(tcp_sock *tp) noexcept nogil:
    cdef int val = tp.keepalive_probes
    return val if val else sock_net(<sock *>tp).ipv4.sysctl_tcp_keepalive_probes

cdef inline u32 keepalive_time_elapsed(tcp_sock *tp) noexcept nogil:
    cdef u32 now = tcp_jiffies32(sock_net(<sock *>tp))
    return min_u32(now - tp.inet_conn.icsk_ack.lrcvtime, now - tp.rcv_tstamp)

# How long FIN_WAIT2 lasts: at least 3.5 RTOs
cdef inline int tcp_fin_time(sock *sk) noexcept nogil:
    cdef int fin_timeout = tcp_sk(sk).linger2
    cdef int rto = <int>inet_csk(sk).icsk_rto
    if not fin_timeout:
        fin_timeout = sock_net(sk).ipv4.sysctl_tcp_fin_timeout
    if fin_timeout < (rto << 2) - (rto >> 1):
        fin_timeout = (rto << 2) - (rto >> 1)
    return fin_timeout

# ---------------------------------------------------------------------------------------------- skb

cdef inline int tcp_v4_sdif(sk_buff *skb) noexcept nogil:
    return 0

# How many segments it is on the wire
cdef inline int tcp_skb_pcount(sk_buff *skb) noexcept nogil:
    return skb.cb.tcp_gso_segs

cdef inline void tcp_skb_pcount_set(sk_buff *skb, int segs) noexcept nogil:
    skb.cb.tcp_gso_segs = <u16>segs

cdef inline void tcp_skb_pcount_add(sk_buff *skb, int segs) noexcept nogil:
    skb.cb.tcp_gso_segs = <u16>(skb.cb.tcp_gso_segs + segs)

cdef inline int tcp_skb_mss(sk_buff *skb) noexcept nogil:
    return skb.cb.tcp_gso_size

cdef inline bint tcp_skb_can_collapse_to(sk_buff *skb) noexcept nogil:
    return not skb.cb.eor

cdef inline bint tcp_skb_can_collapse(sk_buff *to, sk_buff *from_) noexcept nogil:
    return (tcp_skb_can_collapse_to(to) and skb_pure_zcopy_same(to, from_) and
            skb_frags_readable(to) == skb_frags_readable(from_))

cdef inline bint tcp_skb_can_collapse_rx(sk_buff *to, sk_buff *from_) noexcept nogil:
    return to.decrypted == from_.decrypted

cdef inline bint tcp_skb_sent_after(u64 t1, u64 t2, u32 seq1, u32 seq2) noexcept nogil:
    return t1 > t2 or (t1 == t2 and after(seq1, seq2))

# A pure ACK made here is known by its truesize.
cdef inline bint skb_is_tcp_pure_ack(sk_buff *skb) noexcept nogil:
    return skb.truesize == 2

cdef inline void skb_set_tcp_pure_ack(sk_buff *skb) noexcept nogil:
    skb.truesize = 2

# In the kernel the anchor shares its place with the destructor and the dst.
cdef inline void tcp_skb_tsorted_anchor_cleanup(sk_buff *skb) noexcept nogil:
    skb.destructor = NULL
    skb.dst = NULL
    skb.tcp_tsorted_anchor.next = NULL
    skb.tcp_tsorted_anchor.prev = NULL

cdef inline void tcp_segs_in(tcp_sock *tp, sk_buff *skb) noexcept nogil:
    cdef u16 segs_in = skb_shinfo(skb).gso_segs
    if segs_in < 1:
        segs_in = 1
    tp.segs_in += segs_in
    if skb.len > tcp_hdrlen(skb):
        tp.data_segs_in += segs_in

cdef inline void tcp_cleanup_skb(sk_buff *skb) noexcept nogil:
    skb_dst_drop(skb)

cdef inline void tcp_add_receive_queue(sock *sk, sk_buff *skb) noexcept nogil:
    __skb_queue_tail(&sk.sk_receive_queue, skb)

cdef inline void tcp_listendrop(sock *sk) noexcept nogil:
    sk.sk_drops += 1
    NET_INC_STATS(sock_net(sk), LINUX_MIB_LISTENDROPS)

# ---------------------------------------------------------------------------------------------- options

cdef inline void tcp_clear_options(tcp_options_received *rx_opt) noexcept nogil:
    rx_opt.tstamp_ok = rx_opt.sack_ok = 0
    rx_opt.wscale_ok = rx_opt.snd_wscale = 0
    rx_opt.smc_ok = 0

cdef inline void tcp_sack_reset(tcp_options_received *rx_opt) noexcept nogil:
    rx_opt.dsack = 0
    rx_opt.num_sacks = 0

cdef inline u16 tcp_mss_clamp(tcp_sock *tp, u16 mss) noexcept nogil:
    cdef u16 user_mss = tp.rx_opt.user_mss
    return user_mss if (user_mss and user_mss < mss) else mss

# RFC 7323 5.3 R1 (true: the timestamp is acceptable)
cdef inline bint tcp_paws_check(net *n, tcp_options_received *rx_opt, int paws_win) noexcept nogil:
    if <s32>(rx_opt.ts_recent - rx_opt.rcv_tsval) <= paws_win:
        return True
    if not time_before32(<u32>ktime_get_seconds(n), <u32>(rx_opt.ts_recent_stamp + TCP_PAWS_WRAP)):
        return True
    if not rx_opt.ts_recent:        # some peers start with TSval 0 in the handshake only
        return True
    return False

cdef inline bint tcp_paws_reject(net *n, tcp_options_received *rx_opt, int rst) noexcept nogil:
    if tcp_paws_check(n, rx_opt, 0):
        return False
    # A RST is let through once ts_recent is older than an MSL: the peer may have rebooted.
    if rst and not time_before32(<u32>ktime_get_seconds(n), <u32>(rx_opt.ts_recent_stamp + TCP_PAWS_MSL)):
        return False
    return True

# ---------------------------------------------------------------------------------------------- congestion state

cdef inline bint tcp_ca_dst_locked(dst_entry *dst) noexcept nogil:
    return dst_metric_locked(dst, RTAX_CC_ALGO)

cdef inline bint tcp_ca_needs_ecn(sock *sk) noexcept nogil:
    return (inet_csk(sk).icsk_ca_ops.flags & TCP_CONG_NEEDS_ECN) != 0

cdef inline bint tcp_ca_needs_accecn(sock *sk) noexcept nogil:
    return (inet_csk(sk).icsk_ca_ops.flags & TCP_CONG_NEEDS_ACCECN) != 0

cdef inline bint tcp_ca_ect_1_negotiation(sock *sk) noexcept nogil:
    return (inet_csk(sk).icsk_ca_ops.flags & TCP_CONG_ECT_1_NEGOTIATION) != 0

cdef inline bint tcp_ca_no_fallback_rfc3168(sock *sk) noexcept nogil:
    return (inet_csk(sk).icsk_ca_ops.flags & TCP_CONG_NO_FALLBACK_RFC3168) != 0

cdef inline void tcp_ca_event(sock *sk, int event) noexcept nogil:
    if inet_csk(sk).icsk_ca_ops.cwnd_event != NULL:
        inet_csk(sk).icsk_ca_ops.cwnd_event(sk, event)

cdef inline int tcp_is_sack(tcp_sock *tp) noexcept nogil:
    return tp.rx_opt.sack_ok

cdef inline bint tcp_is_reno(tcp_sock *tp) noexcept nogil:
    return not tcp_is_sack(tp)

cdef inline unsigned int tcp_left_out(tcp_sock *tp) noexcept nogil:
    return tp.sacked_out + tp.lost_out

# RFC 6675 "pipe", in segments
cdef inline unsigned int tcp_packets_in_flight(tcp_sock *tp) noexcept nogil:
    return tp.packets_out - tcp_left_out(tp) + tp.retrans_out

cdef inline u32 tcp_snd_cwnd(tcp_sock *tp) noexcept nogil:
    return tp.snd_cwnd

cdef inline void tcp_snd_cwnd_set(tcp_sock *tp, u32 val) noexcept nogil:
    tp.snd_cwnd = val

cdef inline bint tcp_in_slow_start(tcp_sock *tp) noexcept nogil:
    return tcp_snd_cwnd(tp) < tp.snd_ssthresh

cdef inline bint tcp_in_initial_slowstart(tcp_sock *tp) noexcept nogil:
    return tp.snd_ssthresh >= <u32>TCP_INFINITE_SSTHRESH

cdef inline bint tcp_in_cwnd_reduction(sock *sk) noexcept nogil:
    return ((TCPF_CA_CWR | TCPF_CA_Recovery) & (1 << inet_csk(sk).icsk_ca_state)) != 0

cdef inline u32 tcp_current_ssthresh(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    if tcp_in_cwnd_reduction(sk):
        return tp.snd_ssthresh
    return max_u32(tp.snd_ssthresh, (tcp_snd_cwnd(tp) >> 1) + (tcp_snd_cwnd(tp) >> 2))

# The kernel warns when more is counted as left than was sent.
cdef inline void tcp_verify_left_out(tcp_sock *tp) noexcept nogil:
    WARN_ON(tcp_left_out(tp) > tp.packets_out)

cdef inline u32 tcp_max_tso_deferred_mss(tcp_sock *tp) noexcept nogil:
    return 3

# RFC 7661 in spirit: cwnd grows only if it was used (in slow start: half of it)
cdef inline bint tcp_is_cwnd_limited(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    if tp.is_cwnd_limited:
        return True
    if tcp_in_slow_start(tp):
        return tcp_snd_cwnd(tp) < 2 * tp.max_packets_out
    return False

cdef inline bint tcp_stream_is_thin(tcp_sock *tp) noexcept nogil:
    return tp.packets_out < 4 and not tcp_in_initial_slowstart(tp)

cdef inline void tcp_clear_all_retrans_hints(tcp_sock *tp) noexcept nogil:
    tp.retransmit_skb_hint = NULL

cdef inline void tcp_dec_quickack_mode(sock *sk) noexcept nogil:
    cdef inet_connection_sock *icsk = inet_csk(sk)
    cdef unsigned int pkts
    if icsk.icsk_ack.quick:
        pkts = 1 if inet_csk_ack_scheduled(sk) else 0
        if pkts >= icsk.icsk_ack.quick:
            icsk.icsk_ack.quick = 0
            icsk.icsk_ack.ato = TCP_ATO_MIN(sock_net(sk))
        else:
            icsk.icsk_ack.quick = <u8>(icsk.icsk_ack.quick - pkts)

# ---------------------------------------------------------------------------------------------- windows

cdef inline u32 tcp_wnd_end(tcp_sock *tp) noexcept nogil:
    return tp.snd_una + tp.snd_wnd

cdef inline void tcp_init_wl(tcp_sock *tp, u32 seq) noexcept nogil:
    tp.snd_wl1 = seq

cdef inline void tcp_update_wl(tcp_sock *tp, u32 seq) noexcept nogil:
    tp.snd_wl1 = seq

# What is left of the window that was offered (the peer may have overrun it)
cdef inline u32 tcp_receive_window(tcp_sock *tp) noexcept nogil:
    cdef s32 win = <s32>(tp.rcv_wup + tp.rcv_wnd - tp.rcv_nxt)
    if win < 0:
        win = 0
    return <u32>win

# RFC 1122 4.2.3.4: segments of at most half the peer's largest window
cdef inline int tcp_bound_to_half_wnd(tcp_sock *tp, int pktsize) noexcept nogil:
    cdef int cutoff
    if tp.max_window > <u32>TCP_MSS_DEFAULT:
        cutoff = <int>(tp.max_window >> 1)
    else:
        cutoff = <int>tp.max_window
    if cutoff and pktsize > cutoff:
        return max_int(cutoff, <int>(68 - <u32>tp.tcp_header_len))
    return pktsize

cdef inline int __tcp_win_from_space(u8 scaling_ratio, int space) noexcept nogil:
    return <int>((<s64>space * scaling_ratio) >> TCP_RMEM_TO_WIN_SCALE)

cdef inline int tcp_win_from_space(sock *sk, int space) noexcept nogil:
    return __tcp_win_from_space(tcp_sk(sk).scaling_ratio, space)

cdef inline int __tcp_space_from_win(u8 scaling_ratio, int win) noexcept nogil:
    return <int>((<u64>win << TCP_RMEM_TO_WIN_SCALE) // scaling_ratio)

cdef inline int tcp_space_from_win(sock *sk, int win) noexcept nogil:
    return __tcp_space_from_win(tcp_sk(sk).scaling_ratio, win)

cdef inline void tcp_scaling_ratio_init(sock *sk) noexcept nogil:
    tcp_sk(sk).scaling_ratio = TCP_DEFAULT_SCALING_RATIO

# May be negative
cdef inline int tcp_space(sock *sk) noexcept nogil:
    return tcp_win_from_space(sk, sk.sk_rcvbuf - sk.sk_backlog.len - sk.sk_backlog.rmem_alloc)

cdef inline int tcp_full_space(sock *sk) noexcept nogil:
    return tcp_win_from_space(sk, sk.sk_rcvbuf)

cdef inline void __tcp_adjust_rcv_ssthresh(sock *sk, u32 new_ssthresh) noexcept nogil:
    cdef int unused_mem = sk_unused_reserved_mem(sk)
    cdef tcp_sock *tp = tcp_sk(sk)
    tp.rcv_ssthresh = min_u32(tp.rcv_ssthresh, new_ssthresh)
    if unused_mem:
        tp.rcv_ssthresh = max_u32(tp.rcv_ssthresh, <u32>tcp_win_from_space(sk, unused_mem))

cdef inline void tcp_adjust_rcv_ssthresh(sock *sk) noexcept nogil:
    __tcp_adjust_rcv_ssthresh(sk, <u32>4 * tcp_sk(sk).advmss)

# SO_RCVLOWAT is overridden when 7/8 of the buffer is used
cdef inline bint tcp_rmem_pressure(sock *sk) noexcept nogil:
    cdef int threshold
    if tcp_under_memory_pressure(sk):
        return True
    threshold = sk.sk_rcvbuf - (sk.sk_rcvbuf >> 3)
    return sk.sk_backlog.rmem_alloc > threshold

cdef inline bint tcp_epollin_ready(sock *sk, int target) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int avail = <int>(tp.rcv_nxt - tp.copied_seq)
    if avail <= 0:
        return False
    return (avail >= target or tcp_rmem_pressure(sk) or
            tcp_receive_window(tp) <= inet_csk(sk).icsk_ack.rcv_mss)

cdef inline int tcp_inq(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef int answ
    if (1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV):
        answ = 0
    elif (sock_flag(sk, SOCK_URGINLINE) or not tp.urg_data or before(tp.urg_seq, tp.copied_seq) or
          not before(tp.urg_seq, tp.rcv_nxt)):
        answ = <int>(tp.rcv_nxt - tp.copied_seq)
        if answ and sock_flag(sk, SOCK_DONE):       # the FIN is not data
            answ -= 1
    else:
        answ = <int>(tp.urg_seq - tp.copied_seq)
    return answ

# Header prediction: the 4th header word that the next plain segment will have.
cdef inline void __tcp_fast_path_on(tcp_sock *tp, u32 snd_wnd) noexcept nogil:
    tp.pred_flags = htonl((<u32>tp.tcp_header_len << 26) | ntohl(<__be32>TCP_FLAG_ACK) | snd_wnd)

cdef inline void tcp_fast_path_on(tcp_sock *tp) noexcept nogil:
    __tcp_fast_path_on(tp, tp.snd_wnd >> tp.rx_opt.snd_wscale)

cdef inline void tcp_fast_path_check(sock *sk) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    if (tp.out_of_order_queue.rb_node == NULL and tp.rcv_wnd and
            sk.sk_backlog.rmem_alloc < sk.sk_rcvbuf and not tp.urg_data):
        tcp_fast_path_on(tp)

# ---------------------------------------------------------------------------------------------- chronographs

cdef inline void tcp_chrono_set(tcp_sock *tp, int new_type) noexcept nogil:
    cdef u32 now = tcp_jiffies32(sock_net(<sock *>tp))
    cdef int old = tp.chrono_type
    if old > TCP_CHRONO_UNSPEC:
        tp.chrono_stat[old - 1] += now - tp.chrono_start
    tp.chrono_start = now
    tp.chrono_type = <u8>new_type

# The higher number takes precedence.
cdef inline void tcp_chrono_start(sock *sk, int type_) noexcept nogil:
    if type_ > <int>tcp_sk(sk).chrono_type:
        tcp_chrono_set(tcp_sk(sk), type_)

# ---------------------------------------------------------------------------------------------- queues

cdef inline sk_buff *tcp_rtx_queue_head(sock *sk) noexcept nogil:
    return skb_rb_first(&sk.tcp_rtx_queue)

cdef inline sk_buff *tcp_rtx_queue_tail(sock *sk) noexcept nogil:
    return skb_rb_last(&sk.tcp_rtx_queue)

cdef inline sk_buff *tcp_write_queue_tail(sock *sk) noexcept nogil:
    return skb_peek_tail(&sk.sk_write_queue)

cdef inline sk_buff *tcp_send_head(sock *sk) noexcept nogil:
    return skb_peek(&sk.sk_write_queue)

cdef inline bint tcp_skb_is_last(sock *sk, sk_buff *skb) noexcept nogil:
    return skb_queue_is_last(&sk.sk_write_queue, skb)

# No unsent byte (an empty skb may stand in the queue for a moment)
cdef inline bint tcp_write_queue_empty(sock *sk) noexcept nogil:
    return tcp_sk(sk).write_seq == tcp_sk(sk).snd_nxt

cdef inline bint tcp_rtx_queue_empty(sock *sk) noexcept nogil:
    return sk.tcp_rtx_queue.rb_node == NULL

cdef inline bint tcp_rtx_and_write_queues_empty(sock *sk) noexcept nogil:
    return tcp_rtx_queue_empty(sk) and tcp_write_queue_empty(sk)

cdef inline void tcp_add_write_queue_tail(sock *sk, sk_buff *skb) noexcept nogil:
    __skb_queue_tail(&sk.sk_write_queue, skb)
    if sk.sk_write_queue.next == skb:
        tcp_chrono_start(sk, TCP_CHRONO_BUSY)

cdef inline void tcp_insert_write_queue_before(sk_buff *new_skb, sk_buff *skb, sock *sk) noexcept nogil:
    __skb_queue_before(&sk.sk_write_queue, skb, new_skb)

cdef inline void tcp_unlink_write_queue(sk_buff *skb, sock *sk) noexcept nogil:
    tcp_skb_tsorted_anchor_cleanup(skb)
    __skb_unlink(skb, &sk.sk_write_queue)

cdef inline void tcp_write_collapse_fence(sock *sk) noexcept nogil:
    cdef sk_buff *skb = tcp_write_queue_tail(sk)
    if skb != NULL:
        skb.cb.eor = 1

# First sequence behind the highest skb that was SACKed
cdef inline u32 tcp_highest_sack_seq(tcp_sock *tp) noexcept nogil:
    if not tp.sacked_out:
        return tp.snd_una
    if tp.highest_sack == NULL:
        return tp.snd_nxt
    return tp.highest_sack.cb.seq

cdef inline void tcp_advance_highest_sack(sock *sk, sk_buff *skb) noexcept nogil:
    tcp_sk(sk).highest_sack = skb_rb_next(skb)

cdef inline sk_buff *tcp_highest_sack(sock *sk) noexcept nogil:
    return tcp_sk(sk).highest_sack

cdef inline void tcp_highest_sack_reset(sock *sk) noexcept nogil:
    tcp_sk(sk).highest_sack = tcp_rtx_queue_head(sk)

cdef inline void tcp_highest_sack_replace(sock *sk, sk_buff *old, sk_buff *new_skb) noexcept nogil:
    if old == tcp_highest_sack(sk):
        tcp_sk(sk).highest_sack = new_skb

cdef inline u32 tcp_notsent_lowat(tcp_sock *tp) noexcept nogil:
    cdef u32 val = tp.notsent_lowat
    return val if val else sock_net(<sock *>tp).ipv4.sysctl_tcp_notsent_lowat

# May more be written? wake 1: only if less than half of tcp_notsent_lowat is unsent, so that waking a writer pays.
cdef inline bint tcp_stream_memory_free(const sock *sk, int wake) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    return <u32>(tp.write_seq - tp.snd_nxt) << wake < tcp_notsent_lowat(tp)

# net/sock.h; of the protocols that it asks there is TCP only.
cdef inline bint __sk_stream_memory_free(const sock *sk, int wake) noexcept nogil:
    if sk.sk_wmem_queued >= sk.sk_sndbuf:
        return False
    return tcp_stream_memory_free(sk, wake)

cdef inline bint sk_stream_memory_free(const sock *sk) noexcept nogil:
    return __sk_stream_memory_free(sk, 0)

cdef inline bint __sk_stream_is_writeable(const sock *sk, int wake) noexcept nogil:
    return sk_stream_wspace(sk) >= sk_stream_min_wspace(sk) and __sk_stream_memory_free(sk, wake)

cdef inline bint sk_stream_is_writeable(const sock *sk) noexcept nogil:
    return __sk_stream_is_writeable(sk, 0)

# us until the RTO of the oldest unacknowledged packet
cdef inline s64 tcp_rto_delta_us(sock *sk) noexcept nogil:
    cdef sk_buff *skb = tcp_rtx_queue_head(sk)
    cdef u32 rto = inet_csk(sk).icsk_rto
    if skb != NULL:
        return <s64>(tcp_skb_timestamp_us(skb) + jiffies_to_usecs(sock_net(sk), rto) - tcp_sk(sk).tcp_mstamp)
    tcp_warn_once(sk, 1, b"rtx queue empty")
    return jiffies_to_usecs(sock_net(sk), rto)

cdef inline void tcp_warn_once(sock *sk, bint cond, const char *what) noexcept nogil:
    WARN_ON(cond)

# ---------------------------------------------------------------------------------------------- minisocks

cdef inline bint inet_sk_transparent(sock *sk) noexcept nogil:
    if sk.sk_state == TCP_TIME_WAIT:
        return inet_twsk(sk).tw_transparent
    if sk.sk_state == TCP_NEW_SYN_RECV:
        return inet_rsk(inet_reqsk(sk)).no_srccheck
    return inet_test_bit(INET_FLAGS_TRANSPARENT, sk)

cdef inline bint tcp_passive_fastopen(sock *sk) noexcept nogil:
    return sk.sk_state == TCP_SYN_RECV and tcp_sk(sk).fastopen_rsk != NULL

cdef inline void fastopen_queue_tune(sock *sk, int backlog) noexcept nogil:
    cdef unsigned int somaxconn = <unsigned int>sock_net(sk).core.sysctl_somaxconn
    inet_csk(sk).icsk_accept_queue.fastopenq.max_qlen = <int>min_u32(<u32>backlog, somaxconn)

cdef inline void tcp_move_syn(tcp_sock *tp, request_sock *req) noexcept nogil:
    tp.saved_syn = req.saved_syn
    req.saved_syn = NULL

cdef inline u32 tcp_saved_syn_len(saved_syn *s) noexcept nogil:
    return s.mac_hdrlen + s.network_hdrlen + s.tcp_hdrlen

cdef inline tcp_fastopen_context *tcp_fastopen_get_ctx(sock *sk) noexcept nogil:
    cdef tcp_fastopen_context *ctx = inet_csk(sk).icsk_accept_queue.fastopenq.ctx
    if ctx == NULL:
        ctx = sock_net(sk).ipv4.tcp_fastopen_ctx
    return ctx

cdef inline bint tcp_fastopen_cookie_match(tcp_fastopen_cookie *foc, tcp_fastopen_cookie *orig) noexcept nogil:
    return (orig.len == TCP_FASTOPEN_COOKIE_SIZE and orig.len == foc.len and
            memcmp(orig.val, foc.val, <size_t>foc.len) == 0)

cdef inline int tcp_fastopen_context_len(tcp_fastopen_context *ctx) noexcept nogil:
    return ctx.num

# ---------------------------------------------------------------------------------------------- SYN cookies

# The listener keeps the time of its last overflow in ts_recent_stamp, at most once a second.
cdef inline void tcp_synq_overflow(sock *sk) noexcept nogil:
    cdef u32 now = <u32>jiffies(sock_net(sk))
    cdef u32 last_overflow = <u32>tcp_sk(sk).rx_opt.ts_recent_stamp
    if not time_between32(now, last_overflow, last_overflow + <u32>HZ(sock_net(sk))):
        tcp_sk(sk).rx_opt.ts_recent_stamp = <int>now

cdef inline bint tcp_synq_no_recent_overflow(sock *sk) noexcept nogil:
    cdef u32 now = <u32>jiffies(sock_net(sk))
    cdef u32 last_overflow = <u32>tcp_sk(sk).rx_opt.ts_recent_stamp
    return not time_between32(now, last_overflow - <u32>HZ(sock_net(sk)),
                              last_overflow + <u32>TCP_SYNCOOKIE_VALID(sock_net(sk)))

cdef inline u32 tcp_cookie_time(net *n) noexcept nogil:
    return <u32>(<u64>jiffies(n) // <u32>TCP_SYNCOOKIE_PERIOD(n))

cdef inline bint cookie_ecn_ok(net *n, dst_entry *dst) noexcept nogil:
    return n.ipv4.sysctl_tcp_ecn or dst_feature(dst, RTAX_FEATURE_ECN)

cdef inline u32 cookie_init_sequence(tcp_request_sock_ops *ops, sock *sk, sk_buff *skb, u16 *mss) noexcept nogil:
    tcp_synq_overflow(sk)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_SYNCOOKIESSENT)
    return ops.cookie_init_seq(skb, mss)

# ---------------------------------------------------------------------------------------------- ECN (RFC 3168)

cdef inline bint tcp_ecn_mode_any(tcp_sock *tp) noexcept nogil:
    return (tp.ecn_flags & TCP_ECN_MODE_ANY) != 0

cdef inline bint tcp_ecn_mode_rfc3168(tcp_sock *tp) noexcept nogil:
    return (tp.ecn_flags & TCP_ECN_MODE_ANY) == TCP_ECN_MODE_RFC3168

cdef inline bint tcp_ecn_mode_accecn(tcp_sock *tp) noexcept nogil:
    return False

cdef inline bint tcp_ecn_mode_pending(tcp_sock *tp) noexcept nogil:
    return False

cdef inline bint tcp_ecn_disabled(tcp_sock *tp) noexcept nogil:
    return not tcp_ecn_mode_any(tp)

cdef inline void tcp_ecn_mode_set(tcp_sock *tp, u8 mode) noexcept nogil:
    tp.ecn_flags = <u8>((tp.ecn_flags & ~TCP_ECN_MODE_ANY) | mode)

cdef inline void INET_ECN_xmit_ect_1_negotiation(sock *sk) noexcept nogil:
    __INET_ECN_xmit(sk, tcp_ca_ect_1_negotiation(sk))

cdef inline void tcp_ecn_queue_cwr(tcp_sock *tp) noexcept nogil:
    if tcp_ecn_mode_rfc3168(tp):
        tp.ecn_flags |= TCP_ECN_QUEUE_CWR

cdef inline void tcp_ecn_accept_cwr(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    if tcp_ecn_mode_rfc3168(tp) and th_cwr(tcp_hdr(skb)):
        tp.ecn_flags &= <u8>~TCP_ECN_DEMAND_CWR
        # The sender's cwnd may be down to one packet: don't let it wait.
        if skb.cb.seq != skb.cb.end_seq:
            inet_csk(sk).icsk_ack.pending |= ICSK_ACK_NOW

cdef inline void tcp_ecn_withdraw_cwr(tcp_sock *tp) noexcept nogil:
    tp.ecn_flags &= <u8>~TCP_ECN_QUEUE_CWR

cdef inline u8 tcp_accecn_ace(tcphdr *th) noexcept nogil:
    return <u8>((th_ae(th) << 2) | (th_cwr(th) << 1) | th_ece(th))

# A SYN that asks for AccECN (draft-ietf-tcpm-accurate-ecn 3.1.2)
cdef inline bint tcp_accecn_syn_requested(tcphdr *th) noexcept nogil:
    cdef u8 ace = tcp_accecn_ace(th)
    return ace != 0 and ace != 3

# Counted in every mode: tcp_info shows it.
cdef inline void tcp_ecn_received_counters(sock *sk, sk_buff *skb, u32 length) noexcept nogil:
    cdef u8 ecnfield = skb.cb.ip_dsfield & INET_ECN_MASK
    cdef tcp_sock *tp = tcp_sk(sk)
    if not INET_ECN_is_not_ect(ecnfield):
        if not tcp_ecn_mode_rfc3168(tp):
            tp.ecn_flags |= TCP_ECN_SEEN
        if INET_ECN_is_ce(ecnfield):
            tp.received_ce += max_u32(1, skb_shinfo(skb).gso_segs)
        if length > 0:
            tp.received_ecn_bytes[ecnfield - 1] += length

cdef inline void tcp_ecn_received_counters_payload(sock *sk, sk_buff *skb) noexcept nogil:
    tcp_ecn_received_counters(sk, skb, skb.len - __tcp_hdrlen(<tcphdr *>skb.data))

cdef inline void tcp_accecn_init_counters(tcp_sock *tp) noexcept nogil:
    cdef int i
    tp.received_ce = 0
    for i in range(3):
        tp.received_ecn_bytes[i] = 0
        tp.delivered_ecn_bytes[i] = 0

# RFC 3168 6.1.1.1: only ECE in the SYN-ACK agrees.
cdef inline void tcp_ecn_rcv_synack(sock *sk, sk_buff *skb, tcphdr *th, u8 ip_dsfield) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u8 ace = tcp_accecn_ace(th)
    if ace == 0x0 or ace == 0x7:
        tcp_ecn_mode_set(tp, TCP_ECN_DISABLED)
    elif ace == 0x1:
        if tcp_ca_no_fallback_rfc3168(sk):
            tcp_ecn_mode_set(tp, TCP_ECN_DISABLED)
        else:
            tcp_ecn_mode_set(tp, TCP_ECN_MODE_RFC3168)
    elif ace != 0x5:
        # The kernel takes this answer to a classic ECN SYN for Accurate ECN.
        not_ported(sock_net(sk), b"AccECN (SYN-ACK with CWR or AE)")
        tcp_ecn_mode_set(tp, TCP_ECN_DISABLED)

cdef inline void tcp_ecn_rcv_syn(sock *sk, tcphdr *th, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    if tcp_ecn_mode_rfc3168(tp) and (not th_ece(th) or not th_cwr(th) or tcp_ca_no_fallback_rfc3168(sk)):
        tcp_ecn_mode_set(tp, TCP_ECN_DISABLED)

cdef inline bint tcp_ecn_rcv_ecn_echo(tcp_sock *tp, tcphdr *th) noexcept nogil:
    return th_ece(th) and not th_syn(th) and tcp_ecn_mode_rfc3168(tp)

cdef inline void tcp_ecn_send_synack(sock *sk, sk_buff *skb) noexcept nogil:
    skb.cb.tcp_flags &= <u16>~TCPHDR_CWR
    if tcp_ecn_disabled(tcp_sk(sk)):
        skb.cb.tcp_flags &= <u16>~TCPHDR_ECE
    elif tcp_ca_needs_ecn(sk):
        INET_ECN_xmit_ect_1_negotiation(sk)

cdef inline void tcp_ecn_send_syn(sock *sk, sk_buff *skb) noexcept nogil:
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef dst_entry *dst
    cdef bint use_ecn = sock_net(sk).ipv4.sysctl_tcp_ecn == TCP_ECN_IN_ECN_OUT_ECN or tcp_ca_needs_ecn(sk)
    if not use_ecn:
        dst = __sk_dst_get(sk)
        if dst != NULL and dst_feature(dst, RTAX_FEATURE_ECN):
            use_ecn = True
    tp.ecn_flags = 0
    if use_ecn:
        if tcp_ca_needs_ecn(sk):
            INET_ECN_xmit_ect_1_negotiation(sk)
        skb.cb.tcp_flags |= TCPHDR_ECE | TCPHDR_CWR
        tcp_ecn_mode_set(tp, TCP_ECN_MODE_RFC3168)

# A SYN that is sent again goes without ECN (RFC 3168 6.1.1.1).
cdef inline void tcp_ecn_clear_syn(sock *sk, sk_buff *skb) noexcept nogil:
    if sock_net(sk).ipv4.sysctl_tcp_ecn_fallback:
        skb.cb.tcp_flags &= <u16>~TCPHDR_ACE

cdef inline void tcp_ecn_make_synack(request_sock *req, tcphdr *th) noexcept nogil:
    if inet_rsk(req).ecn_ok:
        th.flags |= TCPHDR_ECE
