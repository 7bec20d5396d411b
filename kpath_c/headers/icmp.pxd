"""uapi/linux/icmp.h and net/icmp.h: types and codes."""
from kpath_c.headers.types cimport *
from kpath_c.headers.structs cimport *

cdef enum:
    ICMP_ECHOREPLY = 0
    ICMP_DEST_UNREACH = 3
    ICMP_SOURCE_QUENCH = 4
    ICMP_REDIRECT = 5
    ICMP_ECHO = 8
    ICMP_TIME_EXCEEDED = 11
    ICMP_PARAMETERPROB = 12
    ICMP_TIMESTAMP = 13
    ICMP_TIMESTAMPREPLY = 14
    ICMP_INFO_REQUEST = 15
    ICMP_INFO_REPLY = 16
    ICMP_ADDRESS = 17
    ICMP_ADDRESSREPLY = 18
    NR_ICMP_TYPES = 18

cdef enum:
    ICMP_NET_UNREACH = 0
    ICMP_HOST_UNREACH = 1
    ICMP_PROT_UNREACH = 2
    ICMP_PORT_UNREACH = 3
    ICMP_FRAG_NEEDED = 4
    ICMP_SR_FAILED = 5
    ICMP_NET_UNKNOWN = 6
    ICMP_HOST_UNKNOWN = 7
    ICMP_HOST_ISOLATED = 8
    ICMP_NET_ANO = 9
    ICMP_HOST_ANO = 10
    ICMP_NET_UNR_TOS = 11
    ICMP_HOST_UNR_TOS = 12
    ICMP_PKT_FILTERED = 13
    ICMP_PREC_VIOLATION = 14
    ICMP_PREC_CUTOFF = 15
    NR_ICMP_UNREACH = 15

cdef enum:
    ICMP_EXC_TTL = 0
    ICMP_EXC_FRAGTIME = 1

cdef enum:
    ICMP_EXT_ECHO = 42
    ICMP_EXT_ECHOREPLY = 43


# errno and fatality of an ICMP_DEST_UNREACH code (struct icmp_err of net/icmp.h).
cdef struct icmp_err_t:
    int errno_
    u8 fatal


cdef inline icmphdr *icmp_hdr(const sk_buff *skb) noexcept nogil:
    return <icmphdr *>skb.transport_header
