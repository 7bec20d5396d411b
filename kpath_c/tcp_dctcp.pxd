"""net/ipv4/tcp_dctcp.c. See tcp_dctcp.pyx."""
from kpath_c.headers.tcp cimport *

# What DCTCP keeps in icsk_ca_priv.
cdef struct dctcp:
    u32 old_delivered           # tp.delivered and tp.delivered_ce when the round began
    u32 old_delivered_ce
    u32 prior_rcv_nxt           # rcv_nxt before the packet at hand
    u32 dctcp_alpha             # share of marked packets, smoothed, of 1024
    u32 next_seq                # the round ends when this is acknowledged
    u32 ce_state                # whether the last packet that arrived was marked
    u32 loss_cwnd               # cwnd before the last reduction

cdef int dctcp_register() noexcept nogil
