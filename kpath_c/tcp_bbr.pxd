"""net/ipv4/tcp_bbr.c. See tcp_bbr.pyx."""
from kpath_c.headers.tcp cimport *

# What BBR keeps in icsk_ca_priv. It fills the 104 bytes to the last, hence real bit-fields.
cdef extern from *:
    """
    #ifndef KPATH_BBR
    #define KPATH_BBR
    #include <stdint.h>
    struct kpath_bbr {
        uint32_t min_rtt_us;
        uint32_t min_rtt_stamp;
        uint32_t probe_rtt_done_stamp;
        struct { uint32_t t, v; } bw[3];
        uint32_t rtt_cnt;
        uint32_t next_rtt_delivered;
        uint64_t cycle_mstamp;
        uint32_t mode : 3, prev_ca_state : 3, packet_conservation : 1, round_start : 1, idle_restart : 1,
                 probe_rtt_round_done : 1, : 13, lt_is_sampling : 1, lt_rtt_cnt : 7, lt_use_bw : 1;
        uint32_t lt_bw;
        uint32_t lt_last_delivered;
        uint32_t lt_last_stamp;
        uint32_t lt_last_lost;
        uint32_t pacing_gain : 10, cwnd_gain : 10, full_bw_reached : 1, full_bw_cnt : 2, cycle_idx : 3,
                 has_seen_rtt : 1;
        uint32_t prior_cwnd;
        uint32_t full_bw;
        uint64_t ack_epoch_mstamp;
        uint16_t extra_acked[2];
        uint32_t ack_epoch_acked : 20, extra_acked_win_rtts : 5, extra_acked_win_idx : 1;
    };
    _Static_assert(sizeof(struct kpath_bbr) == 104, "ICSK_CA_PRIV_SIZE");
    #endif
    """
    cdef struct bbr "kpath_bbr":
        u32 min_rtt_us                  # lowest RTT of the last 10 s
        u32 min_rtt_stamp               # jiffies
        u32 probe_rtt_done_stamp        # jiffies at which PROBE_RTT ends, 0: not known yet
        minmax_sample bw[3]             # struct minmax: highest delivery rate of 10 rounds, packets/us << 24
        u32 rtt_cnt                     # rounds so far
        u32 next_rtt_delivered          # tp.delivered at which the round ends
        u64 cycle_mstamp                # when this phase of the gain cycle began, us
        u32 mode                        # BBR_*
        u32 prev_ca_state
        u32 packet_conservation
        u32 round_start
        u32 idle_restart
        u32 probe_rtt_round_done
        u32 lt_is_sampling              # lt_: long-term bandwidth, for traffic policers
        u32 lt_rtt_cnt
        u32 lt_use_bw
        u32 lt_bw                       # packets/us << 24
        u32 lt_last_delivered
        u32 lt_last_stamp               # ms
        u32 lt_last_lost
        u32 pacing_gain                 # of 256
        u32 cwnd_gain                   # of 256
        u32 full_bw_reached
        u32 full_bw_cnt
        u32 cycle_idx
        u32 has_seen_rtt
        u32 prior_cwnd
        u32 full_bw
        u64 ack_epoch_mstamp
        u16 extra_acked[2]
        u32 ack_epoch_acked
        u32 extra_acked_win_rtts
        u32 extra_acked_win_idx

cdef int bbr_register() noexcept nogil
