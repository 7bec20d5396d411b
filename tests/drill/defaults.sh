# Settings that every script here starts from, so that no default of a kernel release decides its outcome.
ip tcp_metrics flush all
sysctl -q net.ipv4.tcp_rmem="4096 131072 6291456" net.ipv4.tcp_wmem="4096 262144 4194304"
sysctl -q net.ipv4.tcp_timestamps=1 net.ipv4.tcp_sack=1 net.ipv4.tcp_dsack=1 net.ipv4.tcp_window_scaling=1
sysctl -q net.ipv4.tcp_ecn=0 net.ipv4.tcp_frto=2 net.ipv4.tcp_recovery=1 net.ipv4.tcp_early_retrans=3
sysctl -q net.ipv4.tcp_congestion_control=cubic net.ipv4.tcp_reordering=3 net.ipv4.tcp_slow_start_after_idle=0
sysctl -q net.ipv4.tcp_syn_retries=6 net.ipv4.tcp_syn_linear_timeouts=0 net.ipv4.tcp_synack_retries=5
sysctl -q net.ipv4.tcp_fastopen=0 net.ipv4.tcp_syncookies=1 net.ipv4.tcp_min_tso_segs=2
tc qdisc replace dev tun0 root pfifo
