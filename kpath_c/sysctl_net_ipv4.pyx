"""The sysctls under net.ipv4, net.ipv6 and net.core: their defaults, and the kernel's way to read what is written.

Follows net/ipv4/{sysctl_net_ipv4,tcp_ipv4,af_inet,route,icmp}.c, net/core/{sysctl_net_core,net_namespace}.c and
kernel/sysctl.c of Linux 6.18 (GPL-2.0-only).

Deviations: a host is the initial namespace, so what is global in the kernel can be set, for this host; what has no
effect here is read by the same rules and forgotten, and any name under net.ipv6 that is not here without a look at the
value; the hop limit of the device is that of all; read-only names are accepted without a look at the value; an
all-zero tcp_fastopen_key, which the kernel shows when there is none, leaves it so as long as none was set.
"""
from libc.limits cimport LONG_MIN
from libc.stdio cimport sscanf
from libc.stdlib cimport calloc, free, strtoul
from libc.string cimport memcpy, strchr, strcmp, strlen, strncmp, strrchr
from kpath_c.headers.tcp cimport *
from kpath_c.net_tcp cimport *
from kpath_c.route cimport rt_cache_flush
from kpath_c.tcp_cong cimport (tcp_cong_net_init, tcp_set_default_congestion_control,
                               tcp_set_allowed_congestion_control)
from kpath_c.tcp_fastopen cimport tcp_fastopen_reset_cipher

cdef enum:
    H_INT               # proc_dointvec, proc_dointvec_minmax
    H_UINT              # proc_douintvec, proc_douintvec_minmax
    H_U8                # proc_dou8vec_minmax
    H_ULONG             # proc_doulongvec_minmax
    H_JIFFIES           # proc_dointvec_jiffies: seconds
    H_MS_JIFFIES        # proc_dointvec_ms_jiffies
    H_READ_ONLY
    H_TEXT              # of no interest here
    H_PORT_RANGE
    H_PRIV_PORTS
    H_RESERVED_PORTS
    H_CONG
    H_ALLOWED_CONG
    H_TFO_KEY
    H_TFO_BLACKHOLE
    H_RT_FLUSH
    H_NO_COMPOUND

cdef enum:
    MAX_SYSCTLS = 256
    MAX_VECTOR = 3
    NUMBER_LEN = 21                 # longer ones are refused
    NO_DATA = -1
    UINT_MAX_DIV_HZ = -3            # as an upper limit

cdef struct ctl_entry:
    const char *procname
    int handler
    int count
    long offset                     # in struct net, or NO_DATA
    long lo                         # ANY: no limit
    long hi

cdef ctl_entry table[MAX_SYSCTLS]
cdef int table_len

cdef long ANY = LONG_MIN

# net.ipv4.conf.DEV.* and net.ipv4.neigh.DEV.*: names only, with spaces around each
cdef const char *devinet_names = (
    b" forwarding mc_forwarding bc_forwarding accept_redirects secure_redirects shared_media rp_filter send_redirects "
    b"accept_source_route accept_local src_valid_mark proxy_arp medium_id bootp_relay log_martians tag arp_filter "
    b"arp_announce arp_ignore arp_accept arp_notify arp_evict_nocarrier proxy_arp_pvlan force_igmp_version "
    b"igmpv2_unsolicited_report_interval igmpv3_unsolicited_report_interval ignore_routes_with_linkdown "
    b"drop_gratuitous_arp disable_xfrm disable_policy promote_secondaries route_localnet drop_unicast_in_l2_multicast ")
cdef const char *neigh_names = (
    b" mcast_solicit ucast_solicit app_solicit mcast_resolicit retrans_time base_reachable_time delay_first_probe_time "
    b"interval_probe_time_ms gc_stale_time unres_qlen_bytes proxy_qlen anycast_delay proxy_delay locktime unres_qlen "
    b"retrans_time_ms base_reachable_time_ms gc_interval gc_thresh1 gc_thresh2 gc_thresh3 ")


# ---------------------------------------------------------------------------------------------- the table

cdef void add_entry(const char *procname, int handler, void *field, int count, long lo, long hi) noexcept nogil:
    global table_len
    cdef ctl_entry *e = &table[table_len]

    e.procname = procname
    e.handler = handler
    e.count = count
    e.offset = <long>field if field != NULL else NO_DATA
    e.lo = lo
    e.hi = hi
    table_len += 1


cdef void plain(const char *procname, int handler, void *field) noexcept nogil:
    add_entry(procname, handler, field, 1, ANY, ANY)


cdef void ranged(const char *procname, int handler, void *field, long lo, long hi) noexcept nogil:
    add_entry(procname, handler, field, 1, lo, hi)


cdef void vector(const char *procname, int handler, void *field, int count, long lo) noexcept nogil:
    add_entry(procname, handler, field, count, lo, ANY)


# In the order of the kernel's tables. `o`: any host, for the places of the fields in it.
cdef void fill_table(net *o) noexcept nogil:
    cdef int i

    plain(b"net.ipv4.tcp_max_orphans", H_INT, &o.ipv4.sysctl_tcp_max_orphans)
    plain(b"net.ipv4.inet_peer_threshold", H_INT, NULL)
    plain(b"net.ipv4.inet_peer_minttl", H_JIFFIES, NULL)
    plain(b"net.ipv4.inet_peer_maxttl", H_JIFFIES, NULL)
    vector(b"net.ipv4.tcp_mem", H_ULONG, &o.ipv4.sysctl_tcp_mem[0], 3, ANY)
    plain(b"net.ipv4.tcp_low_latency", H_INT, NULL)
    plain(b"net.ipv4.cipso_cache_enable", H_INT, NULL)
    plain(b"net.ipv4.cipso_cache_bucket_size", H_INT, NULL)
    plain(b"net.ipv4.cipso_rbm_optfmt", H_INT, NULL)
    plain(b"net.ipv4.cipso_rbm_strictvalid", H_INT, NULL)
    plain(b"net.ipv4.tcp_available_ulp", H_READ_ONLY, NULL)
    vector(b"net.ipv4.udp_mem", H_ULONG, NULL, 3, ANY)
    ranged(b"net.ipv4.fib_sync_mem", H_UINT, NULL, 65536, 67108864)
    plain(b"net.ipv4.tcp_max_tw_buckets", H_INT, &o.ipv4.tcp_death_row.sysctl_max_tw_buckets)
    ranged(b"net.ipv4.icmp_echo_ignore_all", H_U8, NULL, ANY, 1)
    ranged(b"net.ipv4.icmp_echo_enable_probe", H_U8, NULL, ANY, 1)
    ranged(b"net.ipv4.icmp_echo_ignore_broadcasts", H_U8, NULL, ANY, 1)
    ranged(b"net.ipv4.icmp_ignore_bogus_error_responses", H_U8, NULL, ANY, 1)
    ranged(b"net.ipv4.icmp_errors_use_inbound_ifaddr", H_U8, NULL, ANY, 1)
    plain(b"net.ipv4.icmp_ratelimit", H_MS_JIFFIES, &o.ipv4.sysctl_icmp_ratelimit)
    plain(b"net.ipv4.icmp_ratemask", H_INT, &o.ipv4.sysctl_icmp_ratemask)
    ranged(b"net.ipv4.icmp_msgs_per_sec", H_INT, &o.ipv4.sysctl_icmp_msgs_per_sec, 0, ANY)
    ranged(b"net.ipv4.icmp_msgs_burst", H_INT, &o.ipv4.sysctl_icmp_msgs_burst, 0, ANY)
    vector(b"net.ipv4.ping_group_range", H_ULONG, NULL, 2, ANY)
    ranged(b"net.ipv4.raw_l3mdev_accept", H_U8, NULL, ANY, 1)
    ranged(b"net.ipv4.tcp_ecn", H_U8, &o.ipv4.sysctl_tcp_ecn, ANY, 2)
    ranged(b"net.ipv4.tcp_ecn_option", H_U8, &o.ipv4.sysctl_tcp_ecn_option, ANY, 2)
    ranged(b"net.ipv4.tcp_ecn_option_beacon", H_U8, &o.ipv4.sysctl_tcp_ecn_option_beacon, ANY, 3)
    ranged(b"net.ipv4.tcp_ecn_fallback", H_U8, &o.ipv4.sysctl_tcp_ecn_fallback, ANY, 1)
    plain(b"net.ipv4.ip_dynaddr", H_U8, &o.ipv4.sysctl_ip_dynaddr)
    plain(b"net.ipv4.ip_early_demux", H_U8, &o.ipv4.sysctl_ip_early_demux)
    plain(b"net.ipv4.udp_early_demux", H_U8, NULL)
    plain(b"net.ipv4.tcp_early_demux", H_U8, &o.ipv4.sysctl_tcp_early_demux)
    ranged(b"net.ipv4.nexthop_compat_mode", H_U8, NULL, ANY, 1)
    ranged(b"net.ipv4.ip_default_ttl", H_U8, &o.ipv4.sysctl_ip_default_ttl, 1, 255)
    plain(b"net.ipv4.ip_local_port_range", H_PORT_RANGE, NULL)
    plain(b"net.ipv4.ip_local_reserved_ports", H_RESERVED_PORTS, NULL)
    plain(b"net.ipv4.ip_no_pmtu_disc", H_U8, &o.ipv4.sysctl_ip_no_pmtu_disc)
    plain(b"net.ipv4.ip_forward_use_pmtu", H_U8, &o.ipv4.sysctl_ip_fwd_use_pmtu)
    ranged(b"net.ipv4.ip_forward_update_priority", H_U8, NULL, ANY, 1)
    plain(b"net.ipv4.ip_nonlocal_bind", H_U8, &o.ipv4.sysctl_ip_nonlocal_bind)
    ranged(b"net.ipv4.ip_autobind_reuse", H_U8, &o.ipv4.sysctl_ip_autobind_reuse, ANY, 1)
    plain(b"net.ipv4.fwmark_reflect", H_U8, &o.ipv4.sysctl_fwmark_reflect)
    plain(b"net.ipv4.tcp_fwmark_accept", H_U8, &o.ipv4.sysctl_tcp_fwmark_accept)
    ranged(b"net.ipv4.tcp_l3mdev_accept", H_U8, &o.ipv4.sysctl_tcp_l3mdev_accept, ANY, 1)
    plain(b"net.ipv4.tcp_mtu_probing", H_U8, &o.ipv4.sysctl_tcp_mtu_probing)
    plain(b"net.ipv4.tcp_base_mss", H_INT, &o.ipv4.sysctl_tcp_base_mss)
    ranged(b"net.ipv4.tcp_min_snd_mss", H_INT, &o.ipv4.sysctl_tcp_min_snd_mss, TCP_MIN_SND_MSS, 65535)
    ranged(b"net.ipv4.tcp_mtu_probe_floor", H_INT, &o.ipv4.sysctl_tcp_mtu_probe_floor, TCP_MIN_SND_MSS, 65535)
    plain(b"net.ipv4.tcp_probe_threshold", H_INT, &o.ipv4.sysctl_tcp_probe_threshold)
    ranged(b"net.ipv4.tcp_probe_interval", H_UINT, &o.ipv4.sysctl_tcp_probe_interval, ANY, UINT_MAX_DIV_HZ)
    plain(b"net.ipv4.igmp_link_local_mcast_reports", H_U8, NULL)
    plain(b"net.ipv4.igmp_max_memberships", H_INT, NULL)
    plain(b"net.ipv4.igmp_max_msf", H_INT, NULL)
    ranged(b"net.ipv4.igmp_qrv", H_INT, NULL, 1, ANY)
    plain(b"net.ipv4.tcp_congestion_control", H_CONG, NULL)
    plain(b"net.ipv4.tcp_available_congestion_control", H_READ_ONLY, NULL)
    plain(b"net.ipv4.tcp_allowed_congestion_control", H_ALLOWED_CONG, NULL)
    plain(b"net.ipv4.tcp_keepalive_time", H_JIFFIES, &o.ipv4.sysctl_tcp_keepalive_time)
    plain(b"net.ipv4.tcp_keepalive_probes", H_U8, &o.ipv4.sysctl_tcp_keepalive_probes)
    plain(b"net.ipv4.tcp_keepalive_intvl", H_JIFFIES, &o.ipv4.sysctl_tcp_keepalive_intvl)
    ranged(b"net.ipv4.tcp_syn_retries", H_U8, &o.ipv4.sysctl_tcp_syn_retries, 1, MAX_TCP_SYNCNT)
    plain(b"net.ipv4.tcp_synack_retries", H_U8, &o.ipv4.sysctl_tcp_synack_retries)
    plain(b"net.ipv4.tcp_syncookies", H_U8, &o.ipv4.sysctl_tcp_syncookies)
    ranged(b"net.ipv4.tcp_migrate_req", H_U8, &o.ipv4.sysctl_tcp_migrate_req, ANY, 1)
    plain(b"net.ipv4.tcp_reordering", H_INT, &o.ipv4.sysctl_tcp_reordering)
    ranged(b"net.ipv4.tcp_retries1", H_U8, &o.ipv4.sysctl_tcp_retries1, ANY, 255)
    plain(b"net.ipv4.tcp_retries2", H_U8, &o.ipv4.sysctl_tcp_retries2)
    plain(b"net.ipv4.tcp_orphan_retries", H_U8, &o.ipv4.sysctl_tcp_orphan_retries)
    plain(b"net.ipv4.tcp_fin_timeout", H_JIFFIES, &o.ipv4.sysctl_tcp_fin_timeout)
    plain(b"net.ipv4.tcp_notsent_lowat", H_UINT, &o.ipv4.sysctl_tcp_notsent_lowat)
    ranged(b"net.ipv4.tcp_tw_reuse", H_U8, &o.ipv4.sysctl_tcp_tw_reuse, ANY, 2)
    ranged(b"net.ipv4.tcp_tw_reuse_delay", H_UINT, &o.ipv4.sysctl_tcp_tw_reuse_delay, 1, 60000)
    plain(b"net.ipv4.tcp_max_syn_backlog", H_INT, &o.ipv4.sysctl_max_syn_backlog)
    plain(b"net.ipv4.tcp_fastopen", H_INT, &o.ipv4.sysctl_tcp_fastopen)
    plain(b"net.ipv4.tcp_fastopen_key", H_TFO_KEY, NULL)
    ranged(b"net.ipv4.tcp_fastopen_blackhole_timeout_sec",
           H_TFO_BLACKHOLE, &o.ipv4.sysctl_tcp_fastopen_blackhole_timeout, 0, ANY)
    ranged(b"net.ipv4.fib_multipath_use_neigh", H_U8, NULL, ANY, 1)
    ranged(b"net.ipv4.fib_multipath_hash_policy", H_U8, NULL, ANY, 3)
    ranged(b"net.ipv4.fib_multipath_hash_fields", H_UINT, NULL, 1, 4095)
    plain(b"net.ipv4.fib_multipath_hash_seed", H_UINT, NULL)
    plain(b"net.ipv4.ip_unprivileged_port_start", H_PRIV_PORTS, &o.ipv4.sysctl_ip_prot_sock)
    ranged(b"net.ipv4.udp_l3mdev_accept", H_U8, NULL, ANY, 1)
    plain(b"net.ipv4.tcp_sack", H_U8, &o.ipv4.sysctl_tcp_sack)
    plain(b"net.ipv4.tcp_window_scaling", H_U8, &o.ipv4.sysctl_tcp_window_scaling)
    plain(b"net.ipv4.tcp_timestamps", H_U8, &o.ipv4.sysctl_tcp_timestamps)
    ranged(b"net.ipv4.tcp_early_retrans", H_U8, &o.ipv4.sysctl_tcp_early_retrans, ANY, 4)
    plain(b"net.ipv4.tcp_recovery", H_U8, &o.ipv4.sysctl_tcp_recovery)
    plain(b"net.ipv4.tcp_thin_linear_timeouts", H_U8, &o.ipv4.sysctl_tcp_thin_linear_timeouts)
    plain(b"net.ipv4.tcp_slow_start_after_idle", H_U8, &o.ipv4.sysctl_tcp_slow_start_after_idle)
    plain(b"net.ipv4.tcp_retrans_collapse", H_U8, &o.ipv4.sysctl_tcp_retrans_collapse)
    plain(b"net.ipv4.tcp_stdurg", H_U8, &o.ipv4.sysctl_tcp_stdurg)
    plain(b"net.ipv4.tcp_rfc1337", H_U8, &o.ipv4.sysctl_tcp_rfc1337)
    plain(b"net.ipv4.tcp_abort_on_overflow", H_U8, &o.ipv4.sysctl_tcp_abort_on_overflow)
    plain(b"net.ipv4.tcp_fack", H_U8, &o.ipv4.sysctl_tcp_fack)
    plain(b"net.ipv4.tcp_max_reordering", H_INT, &o.ipv4.sysctl_tcp_max_reordering)
    plain(b"net.ipv4.tcp_dsack", H_U8, &o.ipv4.sysctl_tcp_dsack)
    ranged(b"net.ipv4.tcp_app_win", H_U8, &o.ipv4.sysctl_tcp_app_win, ANY, 31)
    ranged(b"net.ipv4.tcp_adv_win_scale", H_INT, &o.ipv4.sysctl_tcp_adv_win_scale, -31, 31)
    plain(b"net.ipv4.tcp_frto", H_U8, &o.ipv4.sysctl_tcp_frto)
    plain(b"net.ipv4.tcp_no_metrics_save", H_U8, &o.ipv4.sysctl_tcp_nometrics_save)
    ranged(b"net.ipv4.tcp_no_ssthresh_metrics_save", H_U8, &o.ipv4.sysctl_tcp_no_ssthresh_metrics_save, ANY, 1)
    plain(b"net.ipv4.tcp_moderate_rcvbuf", H_U8, &o.ipv4.sysctl_tcp_moderate_rcvbuf)
    plain(b"net.ipv4.tcp_tso_win_divisor", H_U8, &o.ipv4.sysctl_tcp_tso_win_divisor)
    plain(b"net.ipv4.tcp_workaround_signed_windows", H_U8, &o.ipv4.sysctl_tcp_workaround_signed_windows)
    plain(b"net.ipv4.tcp_limit_output_bytes", H_INT, &o.ipv4.sysctl_tcp_limit_output_bytes)
    plain(b"net.ipv4.tcp_challenge_ack_limit", H_INT, &o.ipv4.sysctl_tcp_challenge_ack_limit)
    ranged(b"net.ipv4.tcp_min_tso_segs", H_U8, &o.ipv4.sysctl_tcp_min_tso_segs, 1, ANY)
    plain(b"net.ipv4.tcp_tso_rtt_log", H_U8, &o.ipv4.sysctl_tcp_tso_rtt_log)
    ranged(b"net.ipv4.tcp_min_rtt_wlen", H_INT, &o.ipv4.sysctl_tcp_min_rtt_wlen, 0, 86400)
    ranged(b"net.ipv4.tcp_autocorking", H_U8, &o.ipv4.sysctl_tcp_autocorking, ANY, 1)
    plain(b"net.ipv4.tcp_invalid_ratelimit", H_MS_JIFFIES, &o.ipv4.sysctl_tcp_invalid_ratelimit)
    ranged(b"net.ipv4.tcp_pacing_ss_ratio", H_INT, &o.ipv4.sysctl_tcp_pacing_ss_ratio, 0, 1000)
    ranged(b"net.ipv4.tcp_pacing_ca_ratio", H_INT, &o.ipv4.sysctl_tcp_pacing_ca_ratio, 0, 1000)
    vector(b"net.ipv4.tcp_wmem", H_INT, &o.ipv4.sysctl_tcp_wmem[0], 3, 1)
    vector(b"net.ipv4.tcp_rmem", H_INT, &o.ipv4.sysctl_tcp_rmem[0], 3, 1)
    plain(b"net.ipv4.tcp_comp_sack_delay_ns", H_ULONG, &o.ipv4.sysctl_tcp_comp_sack_delay_ns)
    plain(b"net.ipv4.tcp_comp_sack_slack_ns", H_ULONG, &o.ipv4.sysctl_tcp_comp_sack_slack_ns)
    plain(b"net.ipv4.tcp_comp_sack_nr", H_U8, &o.ipv4.sysctl_tcp_comp_sack_nr)
    ranged(b"net.ipv4.tcp_backlog_ack_defer", H_U8, &o.ipv4.sysctl_tcp_backlog_ack_defer, ANY, 1)
    ranged(b"net.ipv4.tcp_reflect_tos", H_U8, &o.ipv4.sysctl_tcp_reflect_tos, ANY, 1)
    plain(b"net.ipv4.tcp_ehash_entries", H_READ_ONLY, NULL)
    ranged(b"net.ipv4.tcp_child_ehash_entries", H_UINT, &o.ipv4.sysctl_tcp_child_ehash_entries, ANY, 16777216)
    plain(b"net.ipv4.udp_hash_entries", H_READ_ONLY, NULL)
    ranged(b"net.ipv4.udp_child_hash_entries", H_UINT, NULL, ANY, 65536)
    ranged(b"net.ipv4.udp_rmem_min", H_INT, NULL, 1, ANY)
    ranged(b"net.ipv4.udp_wmem_min", H_INT, NULL, 1, ANY)
    ranged(b"net.ipv4.fib_notify_on_flag_change", H_U8, NULL, ANY, 2)
    ranged(b"net.ipv4.tcp_plb_enabled", H_U8, &o.ipv4.sysctl_tcp_plb_enabled, ANY, 1)
    ranged(b"net.ipv4.tcp_plb_idle_rehash_rounds", H_U8, &o.ipv4.sysctl_tcp_plb_idle_rehash_rounds, ANY, 31)
    ranged(b"net.ipv4.tcp_plb_rehash_rounds", H_U8, &o.ipv4.sysctl_tcp_plb_rehash_rounds, ANY, 31)
    plain(b"net.ipv4.tcp_plb_suspend_rto_sec", H_U8, &o.ipv4.sysctl_tcp_plb_suspend_rto_sec)
    ranged(b"net.ipv4.tcp_plb_cong_thresh", H_INT, &o.ipv4.sysctl_tcp_plb_cong_thresh, 0, 256)
    ranged(b"net.ipv4.tcp_syn_linear_timeouts", H_U8, &o.ipv4.sysctl_tcp_syn_linear_timeouts, ANY, MAX_TCP_SYNCNT)
    ranged(b"net.ipv4.tcp_shrink_window", H_U8, &o.ipv4.sysctl_tcp_shrink_window, ANY, 1)
    ranged(b"net.ipv4.tcp_pingpong_thresh", H_U8, &o.ipv4.sysctl_tcp_pingpong_thresh, 1, ANY)
    ranged(b"net.ipv4.tcp_rto_min_us", H_INT, &o.ipv4.sysctl_tcp_rto_min_us, 1, ANY)
    ranged(b"net.ipv4.tcp_rto_max_ms", H_INT, &o.ipv4.sysctl_tcp_rto_max_ms, 1000, 120000)

    plain(b"net.ipv4.route.gc_thresh", H_INT, NULL)
    plain(b"net.ipv4.route.max_size", H_INT, NULL)
    plain(b"net.ipv4.route.gc_min_interval", H_JIFFIES, NULL)
    plain(b"net.ipv4.route.gc_min_interval_ms", H_MS_JIFFIES, NULL)
    plain(b"net.ipv4.route.gc_timeout", H_JIFFIES, NULL)
    plain(b"net.ipv4.route.gc_interval", H_JIFFIES, NULL)
    plain(b"net.ipv4.route.redirect_load", H_INT, NULL)
    plain(b"net.ipv4.route.redirect_number", H_INT, NULL)
    plain(b"net.ipv4.route.redirect_silence", H_INT, NULL)
    plain(b"net.ipv4.route.error_cost", H_INT, NULL)
    plain(b"net.ipv4.route.error_burst", H_INT, NULL)
    plain(b"net.ipv4.route.gc_elasticity", H_INT, NULL)
    plain(b"net.ipv4.route.flush", H_RT_FLUSH, NULL)
    ranged(b"net.ipv4.route.min_pmtu", H_INT, &o.ipv4.ip_rt_min_pmtu, 68, ANY)
    plain(b"net.ipv4.route.mtu_expires", H_JIFFIES, &o.ipv4.ip_rt_mtu_expires)
    plain(b"net.ipv4.route.min_adv_mss", H_INT, &o.ipv4.ip_rt_min_advmss)

    ranged(b"net.core.mem_pcpu_rsv", H_INT, &o.core.sysctl_mem_pcpu_rsv, SK_MEMORY_PCPU_RESERVE, ANY)
    ranged(b"net.core.dev_weight", H_INT, NULL, 1, ANY)
    ranged(b"net.core.dev_weight_rx_bias", H_INT, NULL, 1, ANY)
    ranged(b"net.core.dev_weight_tx_bias", H_INT, NULL, 1, ANY)
    plain(b"net.core.netdev_max_backlog", H_INT, NULL)
    plain(b"net.core.netdev_rss_key", H_READ_ONLY, NULL)
    ranged(b"net.core.bpf_jit_enable", H_INT, NULL, 0, 2)
    ranged(b"net.core.bpf_jit_harden", H_INT, NULL, 0, 2)
    ranged(b"net.core.bpf_jit_kallsyms", H_INT, NULL, 0, 1)
    ranged(b"net.core.bpf_jit_limit", H_ULONG, NULL, 1, ANY)
    plain(b"net.core.netdev_tstamp_prequeue", H_INT, NULL)
    plain(b"net.core.message_cost", H_JIFFIES, NULL)
    plain(b"net.core.message_burst", H_INT, NULL)
    plain(b"net.core.rps_sock_flow_entries", H_INT, NULL)
    plain(b"net.core.flow_limit_cpu_bitmap", H_TEXT, NULL)
    plain(b"net.core.flow_limit_table_len", H_INT, NULL)
    ranged(b"net.core.busy_poll", H_INT, NULL, 0, ANY)
    ranged(b"net.core.busy_read", H_INT, NULL, 0, ANY)
    plain(b"net.core.default_qdisc", H_TEXT, NULL)
    plain(b"net.core.netdev_budget", H_INT, NULL)
    plain(b"net.core.warnings", H_INT, NULL)
    ranged(b"net.core.max_skb_frags", H_INT, &o.core.sysctl_max_skb_frags, 1, MAX_SKB_FRAGS)
    plain(b"net.core.netdev_budget_usecs", H_INT, NULL)
    ranged(b"net.core.fb_tunnels_only_for_init_net", H_INT, NULL, 0, 2)
    ranged(b"net.core.devconf_inherit_init_net", H_INT, NULL, 0, 3)
    plain(b"net.core.high_order_alloc_disable", H_NO_COMPOUND, NULL)
    ranged(b"net.core.gro_normal_batch", H_INT, NULL, 1, ANY)
    ranged(b"net.core.netdev_unregister_timeout_secs", H_INT, NULL, 1, 3600)
    ranged(b"net.core.skb_defer_max", H_INT, NULL, 0, ANY)
    plain(b"net.core.rps_default_mask", H_TEXT, NULL)
    ranged(b"net.core.somaxconn", H_INT, &o.core.sysctl_somaxconn, 0, ANY)
    ranged(b"net.core.optmem_max", H_INT, &o.core.sysctl_optmem_max, 0, ANY)
    ranged(b"net.core.txrehash", H_U8, &o.core.sysctl_txrehash, ANY, 1)
    ranged(b"net.core.tstamp_allow_data", H_U8, &o.core.sysctl_tstamp_allow_data, ANY, 1)
    ranged(b"net.core.wmem_max", H_INT, &o.core.sysctl_wmem_max, SOCK_MIN_SNDBUF, ANY)
    ranged(b"net.core.rmem_max", H_INT, &o.core.sysctl_rmem_max, SOCK_MIN_RCVBUF, ANY)
    ranged(b"net.core.wmem_default", H_INT, &o.core.sysctl_wmem_default, SOCK_MIN_SNDBUF, ANY)
    ranged(b"net.core.rmem_default", H_INT, &o.core.sysctl_rmem_default, SOCK_MIN_RCVBUF, ANY)

    plain(b"net.core.xfrm_aevent_etime", H_UINT, NULL)
    plain(b"net.core.xfrm_aevent_rseqth", H_UINT, NULL)
    plain(b"net.core.xfrm_larval_drop", H_INT, NULL)
    plain(b"net.core.xfrm_acq_expires", H_INT, NULL)

    plain(b"net.ipv4.ip_forward", H_INT, NULL)
    plain(b"net.ipv4.ipfrag_high_thresh", H_ULONG, NULL)
    plain(b"net.ipv4.ipfrag_low_thresh", H_ULONG, NULL)
    plain(b"net.ipv4.ipfrag_time", H_JIFFIES, NULL)
    ranged(b"net.ipv4.ipfrag_max_dist", H_INT, NULL, 0, ANY)
    plain(b"net.ipv4.ipfrag_secret_interval", H_JIFFIES, NULL)
    plain(b"net.ipv4.xfrm4_gc_thresh", H_INT, NULL)

    ranged(b"net.ipv6.bindv6only", H_U8, &o.ipv6.bindv6only, ANY, 1)
    ranged(b"net.ipv6.auto_flowlabels", H_U8, &o.ipv6.auto_flowlabels, ANY, IP6_AUTO_FLOW_LABEL_FORCED)
    ranged(b"net.ipv6.flowlabel_state_ranges", H_U8, &o.ipv6.flowlabel_state_ranges, ANY, 1)
    ranged(b"net.ipv6.flowlabel_reflect", H_U8, &o.ipv6.flowlabel_reflect, ANY, 7)
    ranged(b"net.ipv6.ip_nonlocal_bind", H_U8, &o.ipv6.ip_nonlocal_bind, ANY, 1)
    plain(b"net.ipv6.fwmark_reflect", H_U8, &o.ipv6.fwmark_reflect)
    plain(b"net.ipv6.route.mtu_expires", H_JIFFIES, &o.ipv6.ip6_rt_mtu_expires)
    plain(b"net.ipv6.route.min_adv_mss", H_INT, &o.ipv6.ip6_rt_min_advmss)

    for i in range(table_len):
        if table[i].offset != NO_DATA:
            table[i].offset -= <long>o


# ---------------------------------------------------------------------------------------------- reading numbers

cdef inline bint is_space(char c) noexcept nogil:
    return c == 32 or (9 <= c <= 13)

cdef inline bint is_digit(char c) noexcept nogil:
    return 48 <= c <= 57

# 0..15, or 16: not a hexadecimal digit
cdef inline unsigned int digit_value(char c) noexcept nogil:
    if is_digit(c):
        return <unsigned int>(c - 48)
    if 97 <= (c | 32) <= 102:
        return <unsigned int>((c | 32) - 97 + 10)
    return 16

cdef void skip_spaces(const char **p) noexcept nogil:
    while is_space(p[0][0]):
        p[0] += 1


# proc_get_long(): decimal, 0octal or 0xhex, up to white space. 0 or -EINVAL.
cdef int get_long(const char **p, unsigned long *val, bint *neg) noexcept nogil:
    cdef const char *s = p[0]
    cdef const char *start = s
    cdef unsigned long base = 10
    cdef unsigned long result = 0
    cdef unsigned long digit

    neg[0] = s[0] == c'-' and s[1] != 0
    if neg[0]:
        s += 1
    if not is_digit(s[0]):
        return -EINVAL
    if s[0] == c'0':
        base = 8
        if (s[1] | 32) == c'x' and digit_value(s[2]) < 16:
            base = 16
            s += 2
    while True:
        digit = digit_value(s[0])
        if digit >= base:
            break
        if result > (ULONG_MAX() - digit) // base:
            return -EINVAL
        result = result * base + digit
        s += 1
        if s - start >= NUMBER_LEN:
            return -EINVAL
    if s[0] != 0 and s[0] != c' ' and s[0] != c'\t' and s[0] != c'\n':
        return -EINVAL
    val[0] = result
    p[0] = s
    return 0


# One number of an int vector, in the unit of the handler. 0 or -EINVAL.
cdef int conv_int(net *n, int handler, unsigned long lval, bint neg, long lo, long hi, int *out) noexcept nogil:
    cdef long v
    cdef unsigned long jif

    if handler == H_JIFFIES:
        if lval > <unsigned long>(INT_MAX // HZ(n)):
            return -EINVAL
        v = <long>lval * <long>HZ(n)
        out[0] = <int>(-v if neg else v)
        return 0
    if handler == H_MS_JIFFIES:
        jif = msecs_to_jiffies(n, <unsigned int>(0 - lval if neg else lval))
        if jif > <unsigned long>INT_MAX:
            return -EINVAL
        out[0] = <int>jif
        return 0
    if lval > <unsigned long>INT_MAX + (1 if neg else 0):
        return -EINVAL
    v = -<long>lval if neg else <long>lval
    if (lo != ANY and v < lo) or (hi != ANY and v > hi):
        return -EINVAL
    out[0] = <int>v
    return 0


# proc_dointvec() and its kin. Fewer numbers than there are fields leave the rest alone; what was read before a bad one
# stays; more than fit are not looked at.
cdef int do_intvec(net *n, const char *value, int handler, int *data, int count, long lo, long hi) noexcept nogil:
    cdef const char *p = value
    cdef unsigned long lval = 0
    cdef bint neg = False
    cdef int i

    for i in range(count):
        skip_spaces(&p)
        if p[0] == 0:
            return 0 if i else -EINVAL
        if get_long(&p, &lval, &neg) or conv_int(n, handler, lval, neg, lo, hi, &data[i]):
            return -EINVAL
    return 0


cdef int do_uint(net *n, const char *value, long lo, long hi, u32 *out) noexcept nogil:
    cdef const char *p = value
    cdef unsigned long lval = 0
    cdef bint neg = False

    if hi == UINT_MAX_DIV_HZ:
        hi = <long>(U32_MAX() // HZ(n))
    skip_spaces(&p)
    if p[0] == 0 or get_long(&p, &lval, &neg) or neg or lval > U32_MAX():
        return -EINVAL
    if (lo != ANY and <long>lval < lo) or (hi != ANY and <long>lval > hi):
        return -EINVAL
    out[0] = <u32>lval
    return 0


cdef int do_u8(net *n, const char *value, long lo, long hi, u8 *out) noexcept nogil:
    cdef u32 v = 0

    if do_uint(n, value, lo, hi if hi != ANY else 255, &v):
        return -EINVAL
    out[0] = <u8>v
    return 0


cdef int do_ulongvec(const char *value, unsigned long *data, int count, long lo) noexcept nogil:
    cdef const char *p = value
    cdef unsigned long lval = 0
    cdef bint neg = False
    cdef int i

    for i in range(count):
        skip_spaces(&p)
        if p[0] == 0:
            return 0 if i else -EINVAL
        if get_long(&p, &lval, &neg) or neg or (lo != ANY and lval < <unsigned long>lo):
            return -EINVAL
        data[i] = lval
    return 0


# proc_dostring(): up to the end of the line, cut at maxlen - 1
cdef void do_string(const char *value, char *out, size_t maxlen) noexcept nogil:
    cdef size_t i = 0

    while i < maxlen - 1 and value[i] != 0 and value[i] != c'\n':
        out[i] = value[i]
        i += 1
    out[i] = 0


# ---------------------------------------------------------------------------------------------- settings of their own

cdef int ipv4_local_port_range(net *n, const char *value) noexcept nogil:
    cdef int range_[2]
    cdef int ret

    range_[0] = <int>(n.ipv4.ip_local_ports_range & 0xffff)
    range_[1] = <int>(n.ipv4.ip_local_ports_range >> 16)
    ret = do_intvec(n, value, H_INT, range_, 2, 1, 65535)
    if ret:
        return ret
    if range_[1] < range_[0] or range_[0] < n.ipv4.sysctl_ip_prot_sock:
        return -EINVAL
    # Odd ports are for bind(), even ones for connect(), or the other way round: both ends alike make it uneven.
    if not ((range_[0] ^ range_[1]) & 1):
        n.ipv4.ip_local_ports_warned = 1
    n.ipv4.ip_local_ports_range = <u32>range_[1] << 16 | <u32>range_[0]
    return 0


cdef int ipv4_privileged_ports(net *n, const char *value) noexcept nogil:
    cdef int pports = n.ipv4.sysctl_ip_prot_sock
    cdef int ret = do_intvec(n, value, H_INT, &pports, 1, 0, 65535)

    if ret:
        return ret
    if <int>(n.ipv4.ip_local_ports_range & 0xffff) < pports:
        return -EINVAL
    n.ipv4.sysctl_ip_prot_sock = pports
    return 0


cdef int sscanf_key(const char *text, u32 *key) noexcept nogil:
    return 0 if sscanf(text, b"%x-%x-%x-%x", &key[0], &key[1], &key[2], &key[3]) == 4 else -EINVAL


cdef int proc_tcp_fastopen_key(net *n, const char *value) noexcept nogil:
    cdef char text[TCP_FASTOPEN_KEY_LENGTH * 2 * TCP_FASTOPEN_KEY_MAX + TCP_FASTOPEN_KEY_MAX * 5]
    cdef u32 key[8]
    cdef char *backup
    cdef int i
    cdef u32 bits = 0

    do_string(value, text, sizeof(text))
    backup = strchr(text, c',')
    if backup != NULL:
        backup[0] = 0
        backup += 1
    if sscanf_key(text, &key[0]) or (backup != NULL and sscanf_key(backup, &key[4])):
        return -EINVAL
    for i in range(4):
        bits |= key[i]
    if not bits and backup == NULL and n.ipv4.tcp_fastopen_ctx == NULL:
        return 0
    return tcp_fastopen_reset_cipher(n, NULL, &key[0], &key[4] if backup != NULL else NULL)


cdef int proc_congestion_control(net *n, const char *value) noexcept nogil:
    cdef char name[TCP_CA_NAME_MAX]

    do_string(value, name, TCP_CA_NAME_MAX)
    return tcp_set_default_congestion_control(n, name)


cdef int proc_allowed_congestion_control(net *n, const char *value) noexcept nogil:
    cdef char names[TCP_CA_BUF_MAX]

    do_string(value, names, TCP_CA_BUF_MAX)
    return tcp_set_allowed_congestion_control(n, names)


cdef int get_port(const char **p, unsigned long *port) noexcept nogil:
    cdef char *end = NULL

    if not is_digit(p[0][0]):
        return -EINVAL
    port[0] = strtoul(p[0], &end, 0)
    p[0] = end
    return 0 if port[0] <= 65535 else -EINVAL


# One "port" or "port-port" of a list with commas, and the comma or space behind it.
cdef int get_port_range(const char **p, unsigned long *low, unsigned long *high) noexcept nogil:
    if get_port(p, low):
        return -EINVAL
    high[0] = low[0]
    if p[0][0] == c'-':
        p[0] += 1
        if get_port(p, high):
            return -EINVAL
    if high[0] < low[0]:
        return -EINVAL
    if p[0][0] == c',':
        p[0] += 1
    elif p[0][0] != 0 and not is_space(p[0][0]):
        return -EINVAL
    skip_spaces(p)
    return 0


cdef int proc_reserved_ports(net *n, const char *value) noexcept nogil:
    cdef const char *p = value
    cdef u8 *ports = <u8 *>calloc(65536 // 8, 1)
    cdef unsigned long low, high

    if ports == NULL:
        return -ENOMEM
    skip_spaces(&p)
    while p[0] != 0:
        if get_port_range(&p, &low, &high):
            free(ports)
            return -EINVAL
        while low <= high:
            ports[low >> 3] |= <u8>(1 << (low & 7))
            low += 1
    free(n.ipv4.sysctl_local_reserved_ports)
    n.ipv4.sysctl_local_reserved_ports = ports
    return 0


cdef int proc_no_compound(net *n, const char *value) noexcept nogil:
    cdef int v = 0
    cdef int ret = do_intvec(n, value, H_INT, &v, 1, 0, 1)

    if not ret and v:
        not_ported(n, b"net.core.high_order_alloc_disable")
    return ret


# ---------------------------------------------------------------------------------------------- the face

cdef int write_entry(net *n, ctl_entry *e, const char *value) noexcept nogil:
    cdef unsigned long scratch[MAX_VECTOR]
    cdef void *data = scratch
    cdef int ret

    if e.offset != NO_DATA:
        data = <char *>n + e.offset

    if e.handler == H_INT or e.handler == H_JIFFIES or e.handler == H_MS_JIFFIES:
        return do_intvec(n, value, e.handler, <int *>data, e.count, e.lo, e.hi)
    if e.handler == H_UINT:
        return do_uint(n, value, e.lo, e.hi, <u32 *>data)
    if e.handler == H_U8:
        return do_u8(n, value, e.lo, e.hi, <u8 *>data)
    if e.handler == H_ULONG:
        return do_ulongvec(value, <unsigned long *>data, e.count, e.lo)
    if e.handler == H_PORT_RANGE:
        return ipv4_local_port_range(n, value)
    if e.handler == H_PRIV_PORTS:
        return ipv4_privileged_ports(n, value)
    if e.handler == H_RESERVED_PORTS:
        return proc_reserved_ports(n, value)
    if e.handler == H_CONG:
        return proc_congestion_control(n, value)
    if e.handler == H_ALLOWED_CONG:
        return proc_allowed_congestion_control(n, value)
    if e.handler == H_TFO_KEY:
        return proc_tcp_fastopen_key(n, value)
    if e.handler == H_TFO_BLACKHOLE:
        ret = do_intvec(n, value, H_INT, <int *>data, 1, e.lo, e.hi)
        if not ret:
            n.ipv4.tfo_active_disable_times = 0
        return ret
    if e.handler == H_RT_FLUSH:
        rt_cache_flush(n)
        return 0
    if e.handler == H_NO_COMPOUND:
        return proc_no_compound(n, value)
    return 0


# Is `word` one of the names of the list?
cdef bint in_list(const char *names, const char *word) noexcept nogil:
    cdef size_t size = strlen(word)
    cdef const char *p = names

    while p[0] != 0:
        if p[0] == c' ' and strncmp(p + 1, word, size) == 0 and p[1 + size] == c' ':
            return size != 0
        p += 1
    return False


# Settings of a device or of its neighbour table: all ints, none of them matters here.
cdef int set_of_device(net *n, const char *name, const char *value) noexcept nogil:
    cdef const char *names
    cdef const char *last = strrchr(name, c'.')
    cdef size_t prefix
    cdef int v = 0

    if strncmp(name, b"net.ipv4.conf.", 14) == 0:
        names = devinet_names
        prefix = 14
    elif strncmp(name, b"net.ipv4.neigh.", 15) == 0:
        names = neigh_names
        prefix = 15
    else:
        return -ENOENT
    if last <= name + prefix or not in_list(names, last + 1):
        return -ENOENT
    return do_intvec(n, value, H_INT, &v, 1, ANY, ANY)


# net.ipv6.conf.DEV.hop_limit, and names that do nothing here.
cdef int set_of_ipv6(net *n, const char *name, const char *value) noexcept nogil:
    cdef const char *last = strrchr(name, c'.')
    if strncmp(name, b"net.ipv6.conf.", 14) == 0 and strcmp(last, b".hop_limit") == 0:
        return do_intvec(n, value, H_INT, &n.ipv6.hop_limit, 1, 1, 255)
    return 0


cdef int sysctl_set(net *n, const char *name, const char *value) noexcept nogil:
    cdef int i

    if table_len == 0:
        fill_table(n)
    for i in range(table_len):
        if strcmp(table[i].procname, name) == 0:
            return write_entry(n, &table[i], value)
    if strncmp(name, b"net.ipv6.", 9) == 0:
        return set_of_ipv6(n, name, value)
    return set_of_device(n, name, value)


# ---------------------------------------------------------------------------------------------- defaults

# All that is not 0, in a net that was cleared. What follows from the size of memory is tcp_init()'s (tcp_mem, tcp_rmem,
# tcp_wmem, tcp_max_orphans), what follows from the size of the hash table tcp_sk_init()'s.
cdef void tcp_sk_init_sysctls(net *n) noexcept nogil:
    # tcp_sk_init()
    n.ipv4.sysctl_tcp_ecn = TCP_ECN_IN_ECN_OUT_NOECN
    n.ipv4.sysctl_tcp_ecn_option = TCP_ACCECN_OPTION_FULL
    n.ipv4.sysctl_tcp_ecn_option_beacon = TCP_ACCECN_OPTION_BEACON
    n.ipv4.sysctl_tcp_ecn_fallback = 1

    n.ipv4.sysctl_tcp_base_mss = TCP_BASE_MSS
    n.ipv4.sysctl_tcp_min_snd_mss = TCP_MIN_SND_MSS
    n.ipv4.sysctl_tcp_probe_threshold = TCP_PROBE_THRESHOLD
    n.ipv4.sysctl_tcp_probe_interval = TCP_PROBE_INTERVAL
    n.ipv4.sysctl_tcp_mtu_probe_floor = TCP_MIN_SND_MSS

    n.ipv4.sysctl_tcp_keepalive_time = TCP_KEEPALIVE_TIME(n)
    n.ipv4.sysctl_tcp_keepalive_probes = TCP_KEEPALIVE_PROBES
    n.ipv4.sysctl_tcp_keepalive_intvl = TCP_KEEPALIVE_INTVL(n)

    n.ipv4.sysctl_tcp_syn_retries = TCP_SYN_RETRIES
    n.ipv4.sysctl_tcp_synack_retries = TCP_SYNACK_RETRIES
    n.ipv4.sysctl_tcp_syncookies = 1
    n.ipv4.sysctl_tcp_reordering = TCP_FASTRETRANS_THRESH
    n.ipv4.sysctl_tcp_retries1 = TCP_RETR1
    n.ipv4.sysctl_tcp_retries2 = TCP_RETR2
    n.ipv4.sysctl_tcp_fin_timeout = TCP_FIN_TIMEOUT(n)
    n.ipv4.sysctl_tcp_notsent_lowat = U32_MAX()
    n.ipv4.sysctl_tcp_tw_reuse = 2
    n.ipv4.sysctl_tcp_tw_reuse_delay = 1000
    n.ipv4.sysctl_tcp_no_ssthresh_metrics_save = 1

    n.ipv4.sysctl_tcp_sack = 1
    n.ipv4.sysctl_tcp_window_scaling = 1
    n.ipv4.sysctl_tcp_timestamps = 1
    n.ipv4.sysctl_tcp_early_retrans = 3
    n.ipv4.sysctl_tcp_recovery = TCP_RACK_LOSS_DETECTION
    n.ipv4.sysctl_tcp_slow_start_after_idle = 1
    n.ipv4.sysctl_tcp_retrans_collapse = 1
    n.ipv4.sysctl_tcp_max_reordering = 300
    n.ipv4.sysctl_tcp_dsack = 1
    n.ipv4.sysctl_tcp_app_win = 31
    n.ipv4.sysctl_tcp_adv_win_scale = 1
    n.ipv4.sysctl_tcp_frto = 2
    n.ipv4.sysctl_tcp_moderate_rcvbuf = 1
    n.ipv4.sysctl_tcp_tso_win_divisor = 3
    n.ipv4.sysctl_tcp_limit_output_bytes = 4 << 20
    n.ipv4.sysctl_tcp_challenge_ack_limit = INT_MAX
    n.ipv4.sysctl_tcp_min_tso_segs = 2
    n.ipv4.sysctl_tcp_tso_rtt_log = 9
    n.ipv4.sysctl_tcp_min_rtt_wlen = 300
    n.ipv4.sysctl_tcp_autocorking = 1
    n.ipv4.sysctl_tcp_invalid_ratelimit = <int>(HZ(n) // 2)
    n.ipv4.sysctl_tcp_pacing_ss_ratio = 200
    n.ipv4.sysctl_tcp_pacing_ca_ratio = 120
    n.ipv4.sysctl_tcp_comp_sack_delay_ns = NSEC_PER_MSEC
    n.ipv4.sysctl_tcp_comp_sack_slack_ns = 100 * NSEC_PER_USEC
    n.ipv4.sysctl_tcp_comp_sack_nr = 44
    n.ipv4.sysctl_tcp_backlog_ack_defer = 1
    n.ipv4.sysctl_tcp_fastopen = TFO_CLIENT_ENABLE

    n.ipv4.sysctl_tcp_plb_idle_rehash_rounds = 3
    n.ipv4.sysctl_tcp_plb_rehash_rounds = 12
    n.ipv4.sysctl_tcp_plb_suspend_rto_sec = 60
    n.ipv4.sysctl_tcp_plb_cong_thresh = 128

    n.ipv4.sysctl_tcp_syn_linear_timeouts = 4
    n.ipv4.sysctl_tcp_pingpong_thresh = 1
    n.ipv4.sysctl_tcp_rto_min_us = <int>jiffies_to_usecs(n, TCP_RTO_MIN(n))
    n.ipv4.sysctl_tcp_rto_max_ms = TCP_RTO_MAX_SEC * MSEC_PER_SEC
    tcp_cong_net_init(n)

    # inet_init_net()
    n.ipv4.ip_local_ports_range = <u32>60999 << 16 | <u32>32768
    n.ipv4.sysctl_ip_default_ttl = 64
    n.ipv4.sysctl_ip_early_demux = 1
    n.ipv4.sysctl_tcp_early_demux = 1
    n.ipv4.sysctl_ip_prot_sock = PROT_SOCK

    # ip_rt_init_net(), icmp_sk_init()
    n.ipv4.ip_rt_min_pmtu = 552
    n.ipv4.ip_rt_mtu_expires = 600 * <int>HZ(n)
    n.ipv4.ip_rt_min_advmss = 256
    n.ipv4.sysctl_icmp_ratelimit = <int>HZ(n)
    n.ipv4.sysctl_icmp_ratemask = 0x1818
    n.ipv4.sysctl_icmp_msgs_per_sec = 1000
    n.ipv4.sysctl_icmp_msgs_burst = 50

    # inet6_net_init(), ip6_route_net_init(), addrconf_init_net()
    n.ipv6.auto_flowlabels = IP6_AUTO_FLOW_LABEL_OPTOUT
    n.ipv6.hop_limit = IPV6_DEFAULT_HOPLIMIT
    n.ipv6.ip6_rt_mtu_expires = 600 * <int>HZ(n)
    n.ipv6.ip6_rt_min_advmss = IPV6_MIN_MTU - 20 - 40

    # preinit_net_sysctl(), sock.c, hotdata.c
    n.core.sysctl_somaxconn = SOMAXCONN
    n.core.sysctl_optmem_max = 128 * 1024
    n.core.sysctl_txrehash = SOCK_TXREHASH_ENABLED
    n.core.sysctl_tstamp_allow_data = 1
    n.core.sysctl_wmem_max = 4 << 20
    n.core.sysctl_rmem_max = 4 << 20
    n.core.sysctl_wmem_default = <u32>(256 * SKB_TRUESIZE(256))
    n.core.sysctl_rmem_default = <u32>(256 * SKB_TRUESIZE(256))
    n.core.sysctl_mem_pcpu_rsv = SK_MEMORY_PCPU_RESERVE
    n.core.sysctl_max_skb_frags = MAX_SKB_FRAGS
