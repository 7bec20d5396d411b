"""net/ipv4/tcp_cubic.c. See tcp_cubic.pyx."""
from kpath_c.headers.tcp cimport *

# What CUBIC keeps in icsk_ca_priv.
cdef struct bictcp:
    u32 cnt                     # ACKed packets for one more in cwnd
    u32 last_max_cwnd
    u32 last_cwnd
    u32 last_time               # jiffies
    u32 bic_origin_point
    u32 bic_K                   # 1/1024 s
    u32 delay_min               # us
    u32 epoch_start             # jiffies, 0: none
    u32 ack_cnt
    u32 tcp_cwnd
    u16 unused
    u8 sample_cnt
    u8 found
    u32 round_start             # us
    u32 end_seq
    u32 last_ack                # us
    u32 curr_rtt                # us

cdef int cubictcp_register() noexcept nogil
