"""linux/errqueue.h, linux/net_tstamp.h, and what MSG_ZEROCOPY needs of linux/skbuff.h.

Also msg_ext: what a system call of the application carries besides its msghdr, which points to it.

Follows include/uapi/linux/{errqueue,net_tstamp}.h and include/linux/skbuff.h of Linux 6.18 (GPL-2.0-only).
"""
from kpath_c.headers.skbuff cimport *

cdef enum:
    SO_EE_ORIGIN_TIMESTAMPING = 4
    SO_EE_ORIGIN_ZEROCOPY = 5
    SO_EE_CODE_ZEROCOPY_COPIED = 1
    SCM_TSTAMP_SND = 0
    SCM_TSTAMP_SCHED = 1
    SCM_TSTAMP_ACK = 2
    SCM_TSTAMP_COMPLETION = 3
    ENOMSG = 42

cdef enum sof_timestamping:
    SOF_TIMESTAMPING_TX_HARDWARE = 1 << 0
    SOF_TIMESTAMPING_TX_SOFTWARE = 1 << 1
    SOF_TIMESTAMPING_RX_SOFTWARE = 1 << 3
    SOF_TIMESTAMPING_SOFTWARE = 1 << 4
    SOF_TIMESTAMPING_OPT_ID = 1 << 7
    SOF_TIMESTAMPING_TX_SCHED = 1 << 8
    SOF_TIMESTAMPING_TX_ACK = 1 << 9
    SOF_TIMESTAMPING_OPT_TSONLY = 1 << 11
    SOF_TIMESTAMPING_OPT_STATS = 1 << 12
    SOF_TIMESTAMPING_BIND_PHC = 1 << 15
    SOF_TIMESTAMPING_OPT_ID_TCP = 1 << 16
    SOF_TIMESTAMPING_OPT_RX_FILTER = 1 << 17
    SOF_TIMESTAMPING_TX_COMPLETION = 1 << 18
    SOF_TIMESTAMPING_MASK = (1 << 19) - 1
    SOF_TIMESTAMPING_TX_RECORD_MASK = 0x40303

cdef struct sock_extended_err:
    u32 ee_errno
    u8 ee_origin
    u8 ee_type
    u8 ee_code
    u32 ee_info
    u32 ee_data

cdef struct sock_exterr_skb:
    sock_extended_err ee
    u8 opt_stats

# One or more MSG_ZEROCOPY calls in a row whose completion is told at once. In the kernel it lives in the cb of `skb`.
cdef struct ubuf_info_msgzc:
    sk_buff *skb                # will carry the notification
    int refcnt
    u32 id
    u32 bytelen
    u16 len
    u8 zerocopy

cdef struct msg_ext:
    # the user's memory: parts that start at the same place of a page each; none: one part
    u32 *iov
    int n_iov
    u8 fault                    # it is not there: EFAULT
    u8 zc
    ubuf_info_msgzc *uarg
    # what came back with a receive
    u32 msg_flags
    int inq
    u8 has_inq
    u8 stamp_type               # SO_TIMESTAMP or SO_TIMESTAMPNS: the message has `stamp` in that form too
    u8 has_stamp
    u8 has_ee
    u8 ee_v6                    # from an AF_INET6 socket: IPV6_RECVERR
    u64 stamp                   # ns real
    sock_extended_err ee

cdef inline msg_ext *msg_ext_of(const msghdr *msg) noexcept nogil:
    return <msg_ext *>msg.ubuf

cdef inline bint msg_fault(const msghdr *msg) noexcept nogil:
    return msg.ubuf != NULL and (<msg_ext *>msg.ubuf).fault

cdef inline sock_exterr_skb *SKB_EXT_ERR(sk_buff *skb) noexcept nogil:
    return <sock_exterr_skb *>&skb.cb

cdef inline ubuf_info_msgzc *skb_uarg(const sk_buff *skb) noexcept nogil:
    return <ubuf_info_msgzc *>skb.shinfo.destructor_arg
