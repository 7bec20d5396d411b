"""Every struct of the port, in one place because they point at each other in circles.

Reach them through the header-named files beside this one (`from kpath_c.headers.tcp cimport tcp_sock`).
Field names and the order of the hot groups are 6.18's. Where the kernel has a C bit-field, there is a u8 (or u32)
here; where it has a union, the members stand side by side; `sock_common` is spelled out at the head of `sock`,
`inet_timewait_sock` and `request_sock`, with each one's own prefix (a test holds the offsets together).
"""
from kpath_c.headers.types cimport *

cdef enum:
    MAX_SKB_FRAGS = 17
    GRO_HASH_BUCKETS = 8
    GRO_HDR_MAX = 100                   # IPv6 and TCP with all options: what GRO merges has no other headers
    ICSK_CA_PRIV_U64 = 13
    TCP_NUM_SACKS = 4
    TCP_CA_NAME_MAX = 16
    WHEEL_SIZE = 576            # LVL_SIZE 64 * LVL_DEPTH 9
    LINUX_MIB_SLOTS = 192
    TCP_MIB_SLOTS = 24
    IPSTATS_MIB_SLOTS = 48
    ICMP_MIB_SLOTS = 64
    ICMP6_MIB_SLOTS = 8
    TCP_FASTOPEN_COOKIE_MAX = 16
    TCP_METRIC_MAX_KERNEL = 4
    RTAX_MAX = 17
    TCP_MIN_SLOTS = 1

# ---------------------------------------------------------------------------------------------- wire headers

cdef packed struct iphdr:
    u8 version_ihl              # version << 4 | ihl
    u8 tos
    __be16 tot_len
    __be16 id
    __be16 frag_off
    u8 ttl
    u8 protocol
    __sum16 check
    __be32 saddr
    __be32 daddr

# net/ipv6.h, linux/in6.h
cdef struct in6_addr:
    __be32 s6_addr32[4]

cdef packed struct ipv6hdr:
    __be32 flow                 # version << 28 | traffic class << 20 | flow label
    __be16 payload_len
    u8 nexthdr
    u8 hop_limit
    in6_addr saddr
    in6_addr daddr

cdef packed struct tcphdr:
    __be16 source
    __be16 dest
    __be32 seq
    __be32 ack_seq
    u8 doff_res                 # doff << 4 | res1 << 1 | ae
    u8 flags                    # TCPHDR_FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128
    __be16 window
    __sum16 check
    __be16 urg_ptr

cdef packed struct icmphdr:
    u8 type
    u8 code
    __sum16 checksum
    __be16 un_unused            # un.frag.__unused
    __be16 un_mtu               # un.frag.mtu

cdef packed struct icmp6hdr:
    u8 icmp6_type
    u8 icmp6_code
    __sum16 icmp6_cksum
    __be32 icmp6_mtu

# ---------------------------------------------------------------------------------------------- timers

cdef struct timer_list:
    hlist_node entry
    unsigned long expires                                   # jiffies, as asked for
    void (*function)(timer_list *t) noexcept nogil
    net *net
    u32 flags                                               # wheel index while pending (TIMER_ARRAYMASK)
    u32 kind                                                # enum timer_kind: for traces only
    unsigned long bucket_expiry                             # jiffies at which the wheel will fire

cdef struct timer_base:
    u64 tick_ns                                             # CLOCK_MONOTONIC of the tick that jiffies stands at
    u64 quiet_ns                                            # until then nothing is due; 0: not known
    unsigned long clk
    unsigned long next_expiry
    u8 next_expiry_recalc
    u8 timers_pending
    timer_list *running_timer
    u64 pending_map[9]                                      # one u64 a level: WHEEL_SIZE / 64
    hlist_head vectors[WHEEL_SIZE]

cdef struct hrtimer:
    rb_node node
    ktime_t expires                                         # ns CLOCK_MONOTONIC: hard expiry (soft + slack)
    ktime_t softexpires                                     # ns CLOCK_MONOTONIC
    int (*function)(hrtimer *t) noexcept nogil              # HRTIMER_NORESTART 0, HRTIMER_RESTART 1
    net *net
    u8 is_queued
    u8 is_soft
    u32 kind

cdef struct hrtimer_base:
    rb_root active
    hrtimer *next_timer
    hrtimer *running

# A pool: objects of one size, cut from chunks, kept on a free list; `live` must be 0 when the host closes.
cdef struct kmem_chunk:
    kmem_chunk *next
    void *mem                   # where its memory begins, and how much that is
    size_t size
    u8 mapped                   # by mmap()

cdef struct kmem_cache:
    void *freelist
    char *fresh                 # the youngest chunk from here to fresh_end: never used yet, and not touched
    char *fresh_end
    u32 object_size
    u32 poison                  # KPATH_DEBUG: fill freed objects with 0x6b
    s64 live
    s64 allocated               # ever
    kmem_chunk *chunks
    const char *name

# ---------------------------------------------------------------------------------------------- packets

cdef struct skb_frag_t:
    u64 page                    # identity of the page (0: none); two frags of one page may coalesce
    u32 len                     # bv_len
    u32 offset                  # bv_offset

# A page (of some order) that holds stream bytes: nothing but its count. skb_frag_t.page is its address.
cdef struct page_ref:
    int refcount
    u32 order
    net *net

cdef struct page_frag:
    u64 page
    u32 offset
    u32 size

cdef struct inet_skb_parm:
    int iif
    u16 flags
    u16 frag_max_size

cdef struct tcp_skb_cb_tx:
    u32 is_app_limited
    u32 delivered_ce
    u32 delivered
    u64 first_tx_mstamp
    u64 delivered_mstamp

cdef struct tcp_skb_cb:
    u32 seq
    u32 end_seq
    u32 tcp_tw_isn              # input path
    u16 tcp_gso_segs            # write queue
    u16 tcp_gso_size
    u16 tcp_flags               # TCPHDR_*, 9 bits (AE is 0x100)
    u8 sacked                   # TCPCB_*
    u8 ip_dsfield
    u8 txstamp_ack
    u8 eor
    u8 has_rxtstamp
    u32 ack_seq
    tcp_skb_cb_tx tx            # outgoing
    inet_skb_parm h4            # incoming (header.h4)

cdef struct skb_shared_info:
    u8 flags                    # SKBFL_ZEROCOPY_ENABLE ...
    u8 tx_flags
    u8 nr_frags
    u16 gso_size
    u16 gso_segs
    u32 gso_type
    u32 tskey
    s64 hwtstamps
    void *destructor_arg        # ubuf_info
    skb_frag_t frags[MAX_SKB_FRAGS]     # last: not cleared, not copied by a clone beyond nr_frags

# No payload bytes live here. A received skb points into the capture (`data`, with `caplen_left` bytes really there);
# a sent one stands for stream bytes cb.seq .. cb.end_seq. What the kernel keeps as memory layout (end_offset,
# headroom, frags) is kept as numbers, because truesize, coalescing and collapsing depend on it.
cdef struct sk_buff:
    sk_buff *next
    sk_buff *prev
    rb_node rbnode
    list_head tcp_tsorted_anchor        # union with _skb_refdst/destructor in the kernel
    sock *sk
    net *net
    net_device *dev
    dst_entry *dst
    void (*destructor)(sk_buff *skb) noexcept nogil
    u64 skb_mstamp_ns                   # = tstamp: ns MONOTONIC of departure (sent), ns real of arrival (received)
    u8 *data                            # received: current header in the capture. Sent: NULL
    u8 *network_header                  # iphdr
    u8 *transport_header                # tcphdr / icmphdr
    u32 caplen_left                     # bytes from `data` on that the capture really holds
    s64 packet_index                    # index of the arriving packet in the input, -1 if made here
    u32 len
    u32 data_len                        # bytes in frags (nonlinear)
    u32 truesize
    u32 end_offset                      # skb_end_offset(): linear capacity, from head
    u32 headroom                        # data - head
    u32 tail_offset                     # skb_tail - head (headroom + headlen)
    u32 hash
    u32 mark
    u32 priority
    u32 users
    u32 csum
    u16 protocol
    u16 mac_len
    u8 ip_summed                        # CHECKSUM_*
    u8 csum_valid
    u8 pkt_type
    u8 cloned
    u8 fclone                           # SKB_FCLONE_*
    u8 fclone_users                     # how many of the pair are alive
    u8 peeked
    u8 nohdr
    u8 pfmemalloc
    u8 head_frag
    u8 pp_recycle
    u8 ooo_okay
    u8 l4_hash
    u8 sw_hash
    u8 decrypted
    u8 dst_pending_confirm
    u8 wifi_acked_valid
    u8 unreadable
    u8 peer_holds_data                  # veth with TSO: the peer's socket shares the data until it sees our ACK
    u8 data_is_payload_copy             # set for skbs whose bytes are not contiguous in the capture (after coalescing)
    u8 tstamp_type
    u8 ignore_df
    sk_buff *fclone_orig                # clone -> original, original -> clone
    sk_buff *frag_list                  # coalesced tail (kept apart from shinfo)
    list_head data_users                # ring of the skbs that share one data area (dataref); set up by the first clone
    u32 reserved_tailroom
    u16 hdr_len                         # writable header length of a clone
    u16 queue_mapping
    int skb_iif
    tcp_skb_cb cb
    skb_shared_info shinfo
    u8 gro_hdr[GRO_HDR_MAX]             # the headers, where GRO has changed them; else not used (and never cleared)

cdef struct sk_buff_head:
    sk_buff *next                       # same place as in sk_buff: the head is a list member
    sk_buff *prev
    u32 qlen

# What GRO notes of a packet, in skb.cb until the packet goes up.
cdef struct napi_gro_cb:
    sk_buff *last                       # of the frag_list, or the packet itself
    unsigned long age                   # jiffies when it was held
    int data_offset
    u16 flush
    u16 count                           # segments in it
    u16 proto
    u8 same_flow
    u8 csum_valid
    u8 csum_cnt
    u8 free                             # NAPI_GRO_FREE*
    u8 ip_fixedid
    u8 own_hdr                          # the headers are in gro_hdr
    u32 csum
    u16 network_offset

# Packets of the kernel's struct gro_list stand in a sk_buff_head, which counts them.
cdef struct gro_node:
    unsigned long bitmask
    sk_buff_head hash[GRO_HASH_BUCKETS]
    sk_buff_head rx_list
    u32 rx_count                        # segments in it

# ---------------------------------------------------------------------------------------------- devices and routes

cdef enum rx_mode:
    RX_TUN
    RX_VETH
    RX_VNET
    RX_NIC

cdef struct net_device:
    net *nd_net
    int ifindex
    unsigned int mtu
    u64 features                        # NETIF_F_*
    u64 gso_partial_features
    unsigned int gso_max_size
    unsigned int gso_ipv4_max_size
    u16 gso_max_segs
    unsigned short hard_header_len
    u8 rx                               # enum rx_mode
    u8 orphans                          # skb_orphan() at xmit (TUN): TSQ never throttles
    u8 qdisc                            # enum qdisc_kind
    u64 tx_completion_ns                # how long a sent skb stays charged where `orphans` is 0
    char name[16]
    rb_root txq                         # packets that wait in the qdisc for their time
    hrtimer txq_timer
    list_head tx_done                   # sent packets that the device has not completed yet, oldest first
    hrtimer tx_done_timer
    unsigned int gro_max_size
    unsigned int gro_ipv4_max_size
    u8 behind_gro                       # what arrives was captured behind GRO: it is not done again
    u32 rx_wait_ns                      # from the first packet in the ring to the poll
    sk_buff_head rx_ring                # received, and not polled yet
    napi_struct *napi                   # NULL: the driver calls netif_receive_skb()

cdef struct napi_struct:
    list_head poll_list
    unsigned long state                 # NAPIF_STATE_*
    int weight
    int (*poll)(napi_struct *napi, int budget) noexcept nogil
    net_device *dev
    gro_node gro

# One CPU.
cdef struct softnet_data:
    list_head poll_list
    u8 in_net_rx_action
    u32 time_squeeze

cdef struct dst_ops:
    u16 family
    dst_entry *(*check)(dst_entry *dst, u32 cookie) noexcept nogil
    unsigned int (*default_advmss)(dst_entry *dst) noexcept nogil
    unsigned int (*mtu)(dst_entry *dst) noexcept nogil
    void (*negative_advice)(sock *sk, dst_entry *dst) noexcept nogil
    void (*link_failure)(sk_buff *skb) noexcept nogil
    void (*update_pmtu)(dst_entry *dst, sock *sk, sk_buff *skb, u32 mtu, bint confirm_neigh) noexcept nogil
    void (*redirect)(dst_entry *dst, sock *sk, sk_buff *skb) noexcept nogil
    void (*destroy)(dst_entry *dst) noexcept nogil

cdef struct dst_entry:
    net_device *dev
    dst_ops *ops
    u32 metrics[RTAX_MAX]               # index RTAX_x - 1; the lock bits are metrics[RTAX_LOCK - 1]
    u32 ca_key                          # congestion control asked for by the route, 0 none
    unsigned long expires               # jiffies, 0 never
    int (*input)(sk_buff *skb) noexcept nogil
    int (*output)(net *net, sock *sk, sk_buff *skb) noexcept nogil
    u16 flags
    s16 obsolete
    u16 header_len
    u16 trailer_len
    int refcnt
    unsigned long lastuse
    s16 error

cdef struct rtable:
    dst_entry dst
    int rt_genid
    unsigned int rt_flags
    u16 rt_type
    u8 rt_is_input
    u8 rt_uses_gateway
    int rt_iif
    u8 rt_gw_family
    __be32 rt_gw4
    u8 rt_mtu_locked
    u32 rt_pmtu
    fib_entry *fib                      # the route that it was made from
    __be32 rt_dst                       # cached per destination (the kernel: nexthop + exception)
    rtable *next

# One line of `ip route`.
cdef struct fib_entry:
    __be32 dst
    u8 prefixlen
    u8 type                             # RTN_UNICAST, RTN_LOCAL, RTN_UNREACHABLE ...
    u8 gw_set
    __be32 gw
    __be32 prefsrc
    u32 metrics[RTAX_MAX]
    u32 ca_key
    fib_entry *next
    rtable *rth_output                  # nhc_pcpu_rth_output: shared by all destinations without an exception
    rtable *rth_input                   # nhc_rth_input

# fib_nh_exception: what ICMP taught of the path to one destination.
cdef struct fib_nh_exception:
    fib_nh_exception *next
    __be32 daddr
    u32 pmtu
    u8 mtu_locked
    __be32 gw
    unsigned long expires               # jiffies
    unsigned long stamp
    fib_entry *fib                      # the route that it is an exception to
    rtable *rth_output                  # fnhe_rth_output

cdef struct flowi4:
    int flowi4_oif
    int flowi4_iif
    u32 flowi4_mark
    u8 flowi4_tos
    u8 flowi4_scope
    u8 flowi4_proto
    u8 flowi4_flags
    u32 flowi4_uid
    __be32 saddr
    __be32 daddr
    __be16 fl4_sport
    __be16 fl4_dport

# A line of `ip -6 route`, or the entry for the host's own addresses (fib6_info and its fib6_nh).
cdef struct fib6_info:
    fib6_info *next
    in6_addr dst
    u8 plen
    u8 fib6_type                        # RTN_UNICAST, RTN_LOCAL ...
    u8 gw_set
    in6_addr gw
    in6_addr prefsrc
    u32 metrics[RTAX_MAX]
    u32 ca_key
    u32 fib6_sernum                     # changes when what was looked up before no longer holds
    rt6_info *rt6i_pcpu                 # nh->rt6i_pcpu: shared by all destinations without an exception

cdef struct rt6_info:
    dst_entry dst
    fib6_info *from_
    in6_addr rt6i_gateway
    in6_addr rt6i_dst                   # of an exception: its destination
    u32 rt6i_flags                      # RTF_*
    rt6_info *next                      # exceptions of the host

cdef struct flowi6:
    int flowi6_oif
    u32 flowi6_mark
    u8 flowi6_proto
    u8 flowi6_flags
    u32 flowi6_uid
    in6_addr daddr
    in6_addr saddr
    __be32 flowlabel
    __be16 fl6_sport
    __be16 fl6_dport

cdef union flowi:
    flowi4 ip4
    flowi6 ip6

# What ip_send_unicast_reply() is asked to send: a finished TCP header with its options.
cdef struct ip_reply_arg:
    void *iov_base                      # iov[0]
    u32 iov_len
    int flags
    u32 csum
    int csumoffset
    int bound_dev_if
    u8 tos
    u32 uid

# ---------------------------------------------------------------------------------------------- sockets

cdef struct sockaddr_in:
    u16 sin_family
    __be16 sin_port
    __be32 sin_addr

cdef struct sockaddr_in6:
    u16 sin6_family
    __be16 sin6_port
    __be32 sin6_flowinfo
    in6_addr sin6_addr
    u32 sin6_scope_id

cdef enum socket_state:
    SS_FREE
    SS_UNCONNECTED
    SS_CONNECTING
    SS_CONNECTED
    SS_DISCONNECTING

# What the VFS side holds: one for each open descriptor. `slot` is the caller's number for it.
cdef struct socket:
    int state                           # enum socket_state
    s16 type
    unsigned long flags
    sock *sk
    int slot
    u8 nonblock                         # O_NONBLOCK
    u32 wake_mask                       # EPOLL* bits raised by sk_data_ready & co since the last look
    u64 wake_ns                         # when (CLOCK_MONOTONIC ns)
    void *waiters                       # tasks that sleep in a call on this socket (sched.pyx)
    void *reader                        # its automatic reader, when calls are inferred (sched.pyx)

# One call, possibly asleep in the middle. The kernel keeps this on the caller's stack; here a call that waits returns
# -ERESTARTSYS after it has stored its progress, and is entered again, with `resume` set, once it is woken.
cdef struct msghdr:
    void *msg_name                      # sockaddr_in *
    int msg_namelen
    u8 *buf                             # NULL: lengths only
    size_t count                        # msg_data_left()
    size_t iov_offset                   # bytes moved so far in this call
    unsigned int msg_flags
    int msg_inq
    u8 msg_get_inq
    # saved progress of a call that sleeps
    u8 resume
    s64 copied
    s64 target
    s64 timeo                           # jiffies left
    unsigned long sleep_start           # jiffies when it went to sleep
    unsigned long expire                # jiffies at which the sleep times out (MAX_SCHEDULE_TIMEOUT: never)
    u32 peek_seq
    u32 urg_hole
    u32 wake_want                       # EPOLL* bits that should wake it
    void *wait_arg
    int state                           # of the call's own state machine
    page_frag *task_frag                # current->task_frag of the thread
    void *ubuf
    int copied_syn                      # tcp_sendmsg(): bytes that went with the SYN
    int mss_now
    int size_goal
    u32 peek_offset                     # tcp_recvmsg()
    int disconnects                     # sk_disconnects when it went to sleep
    s64 vm_wait                         # sk_stream_wait_memory(): jiffies of the pause because memory is short
    s64 call_timeo                      # sk_stream_wait_memory(): jiffies left of the whole call

cdef struct proto:
    const char *name
    kmem_cache *slab
    size_t obj_size
    int max_header
    int inuse                           # net.core.prot_inuse in the kernel: a proto is one host's here
    int (*connect)(sock *sk, sockaddr_in *uaddr, int addr_len) noexcept nogil
    int (*init)(sock *sk) noexcept nogil

cdef struct sk_backlog_s:
    int rmem_alloc
    int len
    sk_buff *head
    sk_buff *tail

# What a segment that arrives touches stands first and together, then what one that leaves does: where there are many
# sockets each line is a miss of the cache.
cdef struct sock:
    # -- sock_common
    __be32 sk_daddr
    __be32 sk_rcv_saddr
    u32 sk_hash
    __be16 sk_dport
    u16 sk_num
    u16 sk_family
    u8 sk_state
    u8 sk_reuse
    u8 sk_reuseport
    u8 sk_ipv6only
    u8 sk_net_refcnt
    u8 sk_bypass_prot_mem
    int sk_bound_dev_if
    int sk_refcnt                       # in the kernel behind the queue mappings; a lookup takes a reference
    hlist_nulls_node sk_nulls_node      # likewise: all that a lookup touches is one cache line here
    net *sk_net
    proto *sk_prot
    unsigned long sk_flags              # SOCK_* bits
    u16 sk_tx_queue_mapping
    u16 sk_rx_queue_mapping
    u32 sk_incoming_cpu
    u32 sk_rxhash
    u32 skc_align                       # addresses are compared as two u64
    in6_addr sk_v6_daddr                # the kernel has the two before sk_cookie; here IPv4's key stays together
    in6_addr sk_v6_rcv_saddr
    s64 sk_cookie
    hlist_node sk_bind_node
    # -- sock_write_rx
    sk_buff_head sk_receive_queue
    sk_backlog_s sk_backlog             # sk_rmem_alloc is sk_backlog.rmem_alloc
    # -- sock_read_rx
    dst_entry *sk_rx_dst
    void (*sk_data_ready)(sock *sk) noexcept nogil
    int sk_rx_dst_ifindex
    u32 sk_rx_dst_cookie
    int sk_rcvbuf
    int sk_rcvlowat
    s32 sk_peek_off
    u32 sk_dst_pending_confirm
    u8 sk_userlocks
    u8 sk_shutdown
    # -- sock_read_rxtx, sock_write_rxtx
    u8 sk_lock_owned                    # sk_lock.owned
    int sk_err_soft
    u32 sk_reserved_mem
    int sk_forward_alloc
    socket *sk_socket
    # -- sock_write_tx, sock_read_tx: each segment that leaves, an ACK too
    sk_buff_head sk_write_queue
    unsigned long sk_tsq_flags
    dst_entry *sk_dst_cache
    int sk_wmem_alloc                   # refcount_t: 1 is held by the socket itself
    int trace_id                        # number of this socket in the host's connection table, -1 none
    u32 sk_txhash
    u32 sk_priority
    u32 sk_mark
    u16 sk_protocol
    u16 sk_gso_type
    # -- the same: data that leaves
    rb_root tcp_rtx_queue
    sk_buff *sk_send_head
    int sk_wmem_queued
    int sk_sndbuf
    unsigned long sk_pacing_rate        # bytes per second
    unsigned long sk_max_pacing_rate
    u32 sk_pacing_status                # SK_PACING_*
    unsigned int sk_gso_max_size
    u16 sk_gso_max_segs
    u8 sk_pacing_shift
    u8 sk_use_task_frag
    gfp_t sk_allocation
    u64 sk_route_caps
    timer_list tcp_retransmit_timer     # = sk_timer
    page_frag sk_frag
    int sk_write_pending
    int sk_err
    # -- the rest
    int sk_omem_alloc
    int sk_zckey
    int sk_tskey
    u32 sk_tsflags
    unsigned long sk_tx_queue_mapping_jiffies
    long sk_rcvtimeo
    long sk_sndtimeo
    sk_buff_head sk_error_queue
    int sk_drops
    u32 sk_uid
    u16 sk_type
    u8 sk_gso_disabled
    u8 sk_kern_sock
    u8 sk_no_check_tx
    u8 sk_no_check_rx
    u8 sk_txrehash
    u8 sk_clockid
    unsigned long sk_lingertime
    u32 sk_ack_backlog
    u32 sk_max_ack_backlog
    ktime_t sk_stamp
    void *sk_user_data
    void (*sk_state_change)(sock *sk) noexcept nogil
    void (*sk_write_space)(sock *sk) noexcept nogil
    void (*sk_error_report)(sock *sk) noexcept nogil
    int (*sk_backlog_rcv)(sock *sk, sk_buff *skb) noexcept nogil
    void (*sk_destruct)(sock *sk) noexcept nogil
    list_head sk_host_node              # every socket of the host, so that close() finds what was left
    sock_reuseport *sk_reuseport_cb
    int sk_disconnects

cdef struct ip_options:
    u8 optlen

cdef struct inet_sock:
    sock sk
    int uc_index
    ipv6_pinfo *pinet6
    ip_options *inet_opt
    unsigned long inet_flags
    int mc_index
    u32 local_port_range
    u8 mc_ttl
    u8 rcv_tos
    u8 convert_csum
    # -- from here on to the end of inet_connection_sock's hot part: what each segment touches
    flowi cork_fl                       # cork.fl
    __be32 inet_saddr
    u32 inet_id                         # atomic_t
    __be16 inet_sport
    s16 uc_ttl
    u8 tos
    u8 min_ttl
    u8 pmtudisc

# linux/ipv6.h: what an AF_INET6 socket has more; it stands behind the tcp_sock.
cdef struct ipv6_pinfo:
    in6_addr saddr
    __be32 flow_label
    __be32 rcv_flowinfo
    u32 dst_cookie
    int mcast_oif
    s16 hop_limit
    s16 mcast_hops
    u8 tclass
    u8 min_hopcount
    u8 pmtudisc
    u8 rxopt_all                        # IPV6_RECV*: only kept

cdef struct fastopen_queue:
    request_sock *rskq_rst_head
    request_sock *rskq_rst_tail
    int qlen
    int max_qlen
    tcp_fastopen_context *ctx

cdef struct request_sock_queue:
    u8 rskq_defer_accept
    u8 synflood_warned
    int qlen
    int young
    request_sock *rskq_accept_head
    request_sock *rskq_accept_tail
    fastopen_queue fastopenq

cdef struct inet_connection_sock_af_ops:
    int (*queue_xmit)(sock *sk, sk_buff *skb, flowi *fl) noexcept nogil
    void (*send_check)(sock *sk, sk_buff *skb) noexcept nogil
    int (*rebuild_header)(sock *sk) noexcept nogil
    void (*sk_rx_dst_set)(sock *sk, sk_buff *skb) noexcept nogil
    int (*conn_request)(sock *sk, sk_buff *skb) noexcept nogil
    sock *(*syn_recv_sock)(sock *sk, sk_buff *skb, request_sock *req, dst_entry *dst,
                           request_sock *req_unhash, bint *own_req,
                           void (*opt_child_init)(sock *newsk, sock *sk) noexcept nogil) noexcept nogil
    u16 net_header_len
    void (*mtu_reduced)(sock *sk) noexcept nogil

cdef struct icsk_ack_s:
    u8 pending                          # ICSK_ACK_*
    u8 quick
    u8 pingpong
    u8 retry
    u32 ato                             # 8 bits in the kernel
    u8 dst_quick_ack
    u32 lrcvtime
    u16 last_seg_size
    u16 rcv_mss

cdef struct icsk_mtup_s:
    int search_high
    int search_low
    u32 probe_size
    u8 enabled
    u32 probe_timestamp

cdef struct inet_connection_sock:
    inet_sock icsk_inet
    icsk_ack_s icsk_ack
    u32 icsk_rto
    u32 icsk_rto_min
    u32 icsk_delack_max
    u8 icsk_ca_state
    u8 icsk_ca_initialized
    u8 icsk_ca_setsockopt
    u8 icsk_ca_dst_locked
    u8 icsk_retransmits
    u8 icsk_pending                     # ICSK_TIME_*
    u8 icsk_backoff
    u8 icsk_syn_retries
    u8 icsk_probes_out
    u16 icsk_ext_hdr_len
    tcp_congestion_ops *icsk_ca_ops
    inet_connection_sock_af_ops *icsk_af_ops
    timer_list icsk_delack_timer
    # -- data that leaves
    u64 icsk_ca_priv[ICSK_CA_PRIV_U64]
    # -- the rest
    u32 icsk_rto_max
    u32 icsk_pmtu_cookie
    unsigned int (*icsk_sync_mss)(sock *sk, u32 pmtu) noexcept nogil
    timer_list icsk_keepalive_timer
    inet_bind_bucket *icsk_bind_hash
    inet_bind2_bucket *icsk_bind2_hash
    icsk_mtup_s icsk_mtup
    u32 icsk_probes_tstamp
    u32 icsk_user_timeout
    request_sock_queue icsk_accept_queue

cdef struct tcp_fastopen_cookie:
    u8 val[TCP_FASTOPEN_COOKIE_MAX]
    s8 len
    u8 exp

cdef struct tcp_fastopen_context:
    siphash_key_t key[2]
    int num

cdef struct tcp_fastopen_request:
    tcp_fastopen_cookie cookie
    msghdr *data
    size_t size
    int copied

cdef struct tcp_sack_block_wire:
    __be32 start_seq
    __be32 end_seq

cdef struct tcp_sack_block:
    u32 start_seq
    u32 end_seq

cdef struct tcp_options_received:
    int ts_recent_stamp
    u32 ts_recent
    u32 rcv_tsval
    u32 rcv_tsecr
    u8 saw_tstamp
    u8 tstamp_ok
    u8 dsack
    u8 wscale_ok
    u8 sack_ok
    u8 smc_ok
    u8 snd_wscale
    u8 rcv_wscale
    u8 accecn
    u8 saw_unknown
    u8 num_sacks
    u16 user_mss
    u16 mss_clamp

cdef struct rcv_rtt_est_s:
    u32 rtt_us
    u32 seq
    u64 time

cdef struct rcvq_space_s:
    int space
    u32 seq
    u64 time

cdef struct tcp_rack:
    u64 mstamp
    u32 rtt_us
    u32 end_seq
    u32 last_delivered
    u8 reo_wnd_steps
    u8 reo_wnd_persist
    u8 dsack_seen
    u8 advanced

cdef struct mtu_probe_s:
    u32 probe_seq_start
    u32 probe_seq_end

cdef struct saved_syn:
    u32 mac_hdrlen
    u32 network_hdrlen
    u32 tcp_hdrlen
    u8 data[140]

cdef struct tcp_sock:
    inet_connection_sock inet_conn
    # -- tcp_sock_read_tx
    u32 max_window
    u32 rcv_ssthresh
    u32 reordering
    u32 notsent_lowat
    u16 gso_segs
    sk_buff *retransmit_skb_hint
    # -- tcp_sock_read_txrx
    u32 tsoffset
    u32 snd_wnd
    u32 mss_cache
    u32 snd_cwnd
    u32 prr_out
    u32 lost_out
    u32 sacked_out
    u16 tcp_header_len
    u8 scaling_ratio
    u8 repair
    u8 tcp_usec_ts
    u8 is_sack_reneg
    u8 is_cwnd_limited
    u8 recvmsg_inq
    # -- tcp_sock_read_rx
    u32 copied_seq
    u32 snd_wl1
    u32 tlp_high_seq
    u32 rttvar_us
    u32 retrans_out
    u16 advmss
    u16 urg_data
    u32 lost
    u32 snd_ssthresh
    minmax rtt_min
    rb_root out_of_order_queue
    # -- tcp_sock_write_tx
    u32 segs_out
    u32 data_segs_out
    u64 bytes_sent
    u64 tcp_wstamp_ns
    u32 snd_sml
    u8 chrono_type
    u32 chrono_start
    u32 chrono_stat[3]
    u32 write_seq
    u32 pushed_seq
    u32 lsndtime
    u32 mdev_us
    u32 rtt_seq
    u64 accecn_opt_tstamp
    list_head tsorted_sent_queue
    sk_buff *highest_sack
    u8 ecn_flags
    # -- tcp_sock_write_txrx
    u8 nonagle
    u8 rate_app_limited
    __be32 pred_flags
    u64 tcp_clock_cache
    u64 tcp_mstamp
    u32 rcv_nxt
    u32 snd_nxt
    u32 snd_una
    u32 window_clamp
    u32 srtt_us
    u32 packets_out
    u32 snd_up
    u32 delivered
    u32 delivered_ce
    u32 received_ce
    u32 received_ecn_bytes[3]
    u32 app_limited
    u32 rcv_wnd
    u32 rcv_tstamp
    tcp_options_received rx_opt
    # -- tcp_sock_write_rx
    u64 bytes_received
    u32 segs_in
    u32 data_segs_in
    u32 rcv_wup
    u32 max_packets_out
    u32 cwnd_usage_seq
    u32 rate_delivered
    u32 rate_interval_us
    u32 rcv_rtt_last_tsecr
    u32 delivered_ecn_bytes[3]
    u64 first_tx_mstamp
    u64 delivered_mstamp
    u64 bytes_acked
    rcv_rtt_est_s rcv_rtt_est
    rcvq_space_s rcvq_space
    tcp_md5sig_info *md5sig_info        # not in the kernel's group; each segment looks whether there is one
    u32 tcp_tx_delay
    u8 compressed_ack
    # -- end of the hot path
    u32 dsack_dups
    u32 compressed_ack_rcv_nxt
    list_head tsq_node
    tcp_rack rack
    u8 dup_ack_counter
    u8 tlp_retrans
    u8 thin_lto
    u8 fastopen_connect
    u8 fastopen_no_cookie
    u8 fastopen_client_fail
    u8 frto
    u8 repair_queue
    u8 save_syn
    u8 syn_data
    u8 syn_fastopen
    u8 syn_fastopen_exp
    u8 syn_fastopen_ch
    u8 syn_data_acked
    u8 syn_fastopen_child
    u8 keepalive_probes
    u32 mdev_max_us
    u32 reord_seen
    u32 snd_cwnd_cnt
    u32 snd_cwnd_clamp
    u32 snd_cwnd_used
    u32 snd_cwnd_stamp
    u32 prior_cwnd
    u32 prr_delivered
    u32 last_oow_ack_time
    hrtimer pacing_timer
    hrtimer compressed_ack_timer
    sk_buff *ooo_last_skb
    tcp_sack_block duplicate_sack[1]
    tcp_sack_block selective_acks[4]
    tcp_sack_block recv_sack_cache[4]
    u32 prior_ssthresh
    u32 high_seq
    u32 retrans_stamp
    u32 undo_marker
    int undo_retrans
    u32 mtu_info
    u64 bytes_retrans
    u32 total_retrans
    u32 rto_stamp
    u16 total_rto
    u16 total_rto_recoveries
    u32 total_rto_time
    u32 urg_seq
    unsigned int keepalive_time
    unsigned int keepalive_intvl
    int linger2
    u16 timeout_rehash
    u32 rcv_ooopack
    mtu_probe_s mtu_probe
    u32 plb_rehash
    tcp_fastopen_request *fastopen_req
    request_sock *fastopen_rsk
    saved_syn *saved_syn
    tcp_sock_af_ops *af_specific
    u32 iss                             # first sequence number sent: stream offset = seq - iss - 1 (for emission only)
    u32 irs

# RFC 2385: what a key belongs to. An IPv4 address stands in the first word of `addr`.
cdef struct tcp_md5sig_key:
    hlist_node node
    u8 keylen
    u8 family
    u8 prefixlen
    u8 flags
    in6_addr addr
    int l3index
    u8 key[80]                          # TCP_MD5SIG_MAXKEYLEN
    void *rcu[2]                        # counts in sk_omem_alloc

cdef struct tcp_md5sig_info:
    hlist_head head

# The key of one segment; NULL: it is not signed. (The kernel's `type` tells MD5 from AO, which there is none of here.)
cdef struct tcp_key:
    tcp_md5sig_key *md5_key

cdef struct tcp_sock_af_ops:
    tcp_md5sig_key *(*md5_lookup)(const sock *sk, const sock *addr_sk) noexcept nogil
    int (*calc_md5_hash)(u8 *location, const tcp_md5sig_key *md5, const sock *sk, const sk_buff *skb) noexcept nogil
    int (*md5_parse)(sock *sk, int optname, const void *optval, int optlen) noexcept nogil

cdef struct tcp6_sock:
    tcp_sock tcp
    ipv6_pinfo inet6

# ---------------------------------------------------------------------------------------------- minisocks

cdef struct request_sock_ops:
    u16 family
    u32 obj_size
    kmem_cache *slab
    void (*send_ack)(sock *sk, sk_buff *skb, request_sock *req) noexcept nogil
    void (*send_reset)(sock *sk, sk_buff *skb, int reason) noexcept nogil
    void (*destructor)(request_sock *req) noexcept nogil

cdef struct tcp_request_sock_ops:
    u16 mss_clamp
    tcp_md5sig_key *(*req_md5_lookup)(const sock *sk, const sock *addr_sk) noexcept nogil
    int (*calc_md5_hash)(u8 *location, const tcp_md5sig_key *md5, const sock *sk, const sk_buff *skb) noexcept nogil
    u32 (*cookie_init_seq)(sk_buff *skb, u16 *mss) noexcept nogil
    dst_entry *(*route_req)(sock *sk, sk_buff *skb, flowi *fl, request_sock *req, u32 tw_isn) noexcept nogil
    tcp_seq_and_ts_off (*init_seq_and_ts_off)(net *net, sk_buff *skb) noexcept nogil
    int (*send_synack)(sock *sk, dst_entry *dst, flowi *fl, request_sock *req, tcp_fastopen_cookie *foc,
                       int synack_type, sk_buff *syn_skb) noexcept nogil

cdef struct tcp_seq_and_ts_off:
    u32 seq
    u32 ts_off

cdef struct request_sock:
    # -- sock_common
    __be32 ir_rmt_addr
    __be32 ir_loc_addr
    u32 rsk_hash
    __be16 ir_rmt_port
    u16 ir_num
    u16 ireq_family
    u8 ireq_state
    u8 skc_reuse
    u8 skc_reuseport
    u8 skc_ipv6only
    u8 skc_net_refcnt
    u8 skc_pad
    int ir_iif
    int rsk_refcnt
    hlist_nulls_node skc_nulls_node
    net *ireq_net
    proto *skc_prot
    sock *rsk_listener
    u16 skc_tx_queue_mapping
    u16 skc_rx_queue_mapping
    u32 rsk_rcv_wnd
    u32 rsk_window_clamp
    u32 skc_align
    in6_addr ir_v6_rmt_addr
    in6_addr ir_v6_loc_addr
    s64 ir_cookie
    hlist_node skc_bind_node
    # -- request_sock
    request_sock *dl_next
    u16 mss
    u8 num_retrans
    u8 syncookie
    u8 num_timeout
    u32 ts_recent
    timer_list rsk_timer
    request_sock_ops *rsk_ops
    sock *sk
    saved_syn *saved_syn
    u32 timeout

cdef struct inet_request_sock:
    request_sock req
    u8 snd_wscale
    u8 rcv_wscale
    u8 tstamp_ok
    u8 sack_ok
    u8 wscale_ok
    u8 ecn_ok
    u8 acked
    u8 no_srccheck
    u8 smc_ok
    u32 ir_mark
    ip_options *ireq_opt

cdef struct tcp_request_sock:
    inet_request_sock req
    tcp_request_sock_ops *af_specific
    u64 snt_synack
    u8 tfo_listener
    u8 req_usec_ts
    u32 txhash
    u32 rcv_isn
    u32 snt_isn
    u32 ts_off
    u32 snt_tsval_first
    u32 snt_tsval_last
    u32 last_oow_ack_time
    u32 rcv_nxt
    u8 syn_tos

cdef struct inet_timewait_sock:
    # -- sock_common
    __be32 tw_daddr
    __be32 tw_rcv_saddr
    u32 tw_hash
    __be16 tw_dport
    u16 tw_num
    u16 tw_family
    u8 tw_state
    u8 tw_reuse
    u8 tw_reuseport
    u8 tw_ipv6only
    u8 skc_net_refcnt
    u8 skc_pad
    int tw_bound_dev_if
    int tw_refcnt
    hlist_nulls_node tw_node
    net *tw_net
    proto *tw_prot
    inet_timewait_death_row *tw_dr
    u16 tw_tx_queue_mapping
    u16 tw_rx_queue_mapping
    u32 tw_rcv_nxt
    u32 tw_snd_nxt
    u32 skc_align
    in6_addr tw_v6_daddr
    in6_addr tw_v6_rcv_saddr
    s64 tw_cookie
    hlist_node tw_bind_node
    # -- inet_timewait_sock
    u32 tw_mark
    u8 tw_substate
    u8 tw_rcv_wscale
    __be16 tw_sport
    u8 tw_transparent
    u8 tw_usec_ts
    u8 tw_connect_bind
    u8 tw_tos
    u32 tw_txhash
    u32 tw_flowlabel
    u32 tw_priority
    u32 tw_entry_stamp
    timer_list tw_timer
    inet_bind_bucket *tw_tb
    inet_bind2_bucket *tw_tb2
    int trace_id
    list_head tw_host_node

cdef struct tcp_timewait_sock:
    inet_timewait_sock tw_sk
    u32 tw_rcv_wnd
    u32 tw_ts_offset
    u32 tw_ts_recent
    u32 tw_last_oow_ack_time
    int tw_ts_recent_stamp
    u32 tw_tx_delay
    tcp_md5sig_key *tw_md5_key

cdef struct inet_timewait_death_row:
    int tw_refcount
    inet_hashinfo *hashinfo
    int sysctl_max_tw_buckets

# ---------------------------------------------------------------------------------------------- hash tables

cdef struct inet_ehash_bucket:
    hlist_nulls_head chain
    u64 front[3]                        # the first members of it, see headers/ehash.pxd

cdef struct inet_bind_bucket:
    net *ib_net
    int l3mdev
    u16 port
    s8 fastreuse
    s8 fastreuseport
    u32 fastuid
    __be32 fast_rcv_saddr
    in6_addr fast_v6_rcv_saddr
    u16 fast_sk_family
    u8 fast_ipv6_only
    hlist_node node
    hlist_head bhash2

cdef struct inet_bind2_bucket:
    net *ib_net
    int l3mdev
    u16 port
    u16 addr_type                       # IPV6_ADDR_*; an IPv4 socket's is mapped, and rcv_saddr counts
    __be32 rcv_saddr
    in6_addr v6_rcv_saddr
    hlist_node node
    hlist_node bhash_node
    hlist_head owners
    s8 fastreuse
    s8 fastreuseport

cdef struct inet_bind_hashbucket:
    hlist_head chain

cdef struct inet_listen_hashbucket:
    hlist_nulls_head nulls_head

cdef struct inet_hashinfo:
    inet_ehash_bucket *ehash
    u32 ehash_mask
    kmem_cache *bind_bucket_cachep
    inet_bind_hashbucket *bhash
    kmem_cache *bind2_bucket_cachep
    inet_bind_hashbucket *bhash2
    u32 bhash_size
    u32 lhash2_mask
    inet_listen_hashbucket *lhash2
    void *tables                        # the memory of them all
    size_t tables_size
    u32 *table_perturb                  # RFC 6056 3.3.4: how far each bucket's ports have moved on

# Listeners that share a port (SO_REUSEPORT). Closed ones that may still migrate their requests stand at the end.
cdef struct sock_reuseport:
    u16 max_socks
    u16 num_socks
    u16 num_closed_socks
    u32 synq_overflow_ts
    u8 bind_inany
    u8 has_conns
    sock **socks

# ---------------------------------------------------------------------------------------------- congestion control

cdef struct ack_sample:
    u32 pkts_acked
    s32 rtt_us
    u32 in_flight

cdef struct rate_sample:
    u64 prior_mstamp
    u32 prior_delivered
    u32 prior_delivered_ce
    s32 delivered
    s32 delivered_ce
    long interval_us
    u32 snd_interval_us
    u32 rcv_interval_us
    long rtt_us
    int losses
    u32 acked_sacked
    u32 prior_in_flight
    u32 last_end_seq
    u8 is_app_limited
    u8 is_retrans
    u8 is_ack_delayed

# What a congestion control tells of itself (TCP_CC_INFO).
cdef struct tcp_dctcp_info:
    u16 dctcp_enabled
    u16 dctcp_ce_state
    u32 dctcp_alpha
    u32 dctcp_ab_ecn
    u32 dctcp_ab_tot

cdef struct tcp_bbr_info:
    u32 bbr_bw_lo                       # bytes a second
    u32 bbr_bw_hi
    u32 bbr_min_rtt                     # us
    u32 bbr_pacing_gain                 # 256 is 1
    u32 bbr_cwnd_gain

cdef union tcp_cc_info:
    tcp_dctcp_info dctcp
    tcp_bbr_info bbr

cdef struct tcp_congestion_ops:
    u32 (*ssthresh)(sock *sk) noexcept nogil
    void (*cong_avoid)(sock *sk, u32 ack, u32 acked) noexcept nogil
    void (*set_state)(sock *sk, u8 new_state) noexcept nogil
    void (*cwnd_event)(sock *sk, int ev) noexcept nogil
    void (*in_ack_event)(sock *sk, u32 flags) noexcept nogil
    void (*pkts_acked)(sock *sk, const ack_sample *sample) noexcept nogil
    u32 (*min_tso_segs)(sock *sk) noexcept nogil
    void (*cong_control)(sock *sk, u32 ack, int flag, const rate_sample *rs) noexcept nogil
    u32 (*undo_cwnd)(sock *sk) noexcept nogil
    u32 (*sndbuf_expand)(sock *sk) noexcept nogil
    char name[TCP_CA_NAME_MAX]
    list_head list
    u32 key
    u32 flags                           # TCP_CONG_*
    void (*init)(sock *sk) noexcept nogil
    void (*release)(sock *sk) noexcept nogil
    size_t (*get_info)(sock *sk, u32 ext, int *attr, tcp_cc_info *info) noexcept nogil

cdef struct tcp_fastopen_metrics:
    u16 mss
    u16 syn_loss
    u8 try_exp
    unsigned long last_syn_loss
    tcp_fastopen_cookie cookie

cdef struct tcp_metrics_block:
    tcp_metrics_block *tcpm_next
    in6_addr tcpm_saddr                 # IPv4's are mapped
    in6_addr tcpm_daddr
    unsigned long tcpm_stamp
    u32 tcpm_lock
    u32 tcpm_vals[TCP_METRIC_MAX_KERNEL + 1]
    tcp_fastopen_metrics tcpm_fastopen

# ---------------------------------------------------------------------------------------------- the host

# All that is not determined by input. A replay takes it from the capture, a test fixes it.
cdef struct host_entropy:
    u64 mono_ns                         # CLOCK_MONOTONIC now
    s64 mono_to_real_ns                 # CLOCK_REALTIME = mono + this
    unsigned long jiffies
    s64 jiffies_minus_mono_ticks
    u64 tick_ns
    u32 hz
    u64 random_state
    siphash_key_t net_secret
    siphash_key_t timestamp_secret
    siphash_key_t syncookie_secret[2]
    siphash_key_t ip_id_key
    u32 hash_mix
    u32 inet_ehash_secret
    u32 tcp_ipv4_hash_secret
    u32 inet6_ehash_secret
    u32 tcp_ipv6_hash_secret
    siphash_key_t syncookie6_secret[2]
    u64 port_scramble

# The numbers pinned from the capture for one connection (Host.pin).
cdef struct pin_entry:
    in6_addr laddr                      # IPv4's are mapped
    in6_addr raddr
    __be16 lport
    __be16 rport
    u32 isn
    u32 tsoff
    u32 tsval                           # of the SYN or SYN-ACK
    u8 tsoff_set
    u8 tsval_set
    u8 passive
    u8 seq_used

cdef struct netns_core:
    int sysctl_somaxconn
    u8 sysctl_txrehash
    u8 sysctl_tstamp_allow_data
    u32 sysctl_wmem_max                 # global in the kernel (sock.c)
    u32 sysctl_rmem_max
    u32 sysctl_wmem_default
    u32 sysctl_rmem_default
    int sysctl_optmem_max
    int sysctl_mem_pcpu_rsv
    int sysctl_max_skb_frags

cdef struct netns_mib:
    u64 tcp[TCP_MIB_SLOTS]              # TCP_MIB_*
    u64 net[LINUX_MIB_SLOTS]          # LINUX_MIB_*
    u64 ip[IPSTATS_MIB_SLOTS]           # IPSTATS_MIB_*
    u64 icmp[ICMP_MIB_SLOTS]            # ICMP_MIB_*
    u64 ip6[IPSTATS_MIB_SLOTS]          # IPSTATS_MIB_*
    u64 icmp6[ICMP6_MIB_SLOTS]          # ICMP6_MIB_*
    u64 icmp6_in[256]                   # icmpv6msg_statistics, by type

cdef struct netns_ipv4:
    # -- netns_ipv4_read_tx
    u8 sysctl_tcp_early_retrans
    u8 sysctl_tcp_tso_win_divisor
    u8 sysctl_tcp_tso_rtt_log
    u8 sysctl_tcp_autocorking
    int sysctl_tcp_min_snd_mss
    u32 sysctl_tcp_notsent_lowat
    int sysctl_tcp_limit_output_bytes
    int sysctl_tcp_min_rtt_wlen
    int sysctl_tcp_wmem[3]
    u8 sysctl_ip_fwd_use_pmtu
    # -- netns_ipv4_read_rx
    u8 sysctl_tcp_moderate_rcvbuf
    u8 sysctl_ip_early_demux
    u8 sysctl_tcp_early_demux
    u8 sysctl_tcp_l3mdev_accept
    int sysctl_tcp_reordering
    int sysctl_tcp_rmem[3]
    int sysctl_tcp_rcvbuf_low_rtt
    # -- icmp
    int icmp_global_credit
    u32 icmp_global_stamp
    int sysctl_icmp_ratelimit
    int sysctl_icmp_ratemask
    int sysctl_icmp_msgs_per_sec
    int sysctl_icmp_msgs_burst
    inet_timewait_death_row tcp_death_row
    u8 sysctl_tcp_shrink_window
    u32 ip_rt_min_pmtu
    int ip_rt_mtu_expires               # jiffies
    int ip_rt_min_advmss
    u32 ip_local_ports_range            # high << 16 | low
    u8 ip_local_ports_warned
    u8 *sysctl_local_reserved_ports     # one bit a port; NULL: none is reserved
    u8 sysctl_tcp_ecn
    u8 sysctl_tcp_ecn_option
    u8 sysctl_tcp_ecn_option_beacon
    u8 sysctl_tcp_ecn_fallback
    u8 sysctl_ip_default_ttl
    u8 sysctl_ip_no_pmtu_disc
    u8 sysctl_ip_nonlocal_bind
    u8 sysctl_ip_autobind_reuse
    u8 sysctl_ip_dynaddr
    u8 sysctl_fwmark_reflect
    u8 sysctl_tcp_fwmark_accept
    u8 sysctl_tcp_mtu_probing
    int sysctl_tcp_mtu_probe_floor
    int sysctl_tcp_base_mss
    int sysctl_tcp_probe_threshold
    u32 sysctl_tcp_probe_interval
    int sysctl_tcp_keepalive_time       # jiffies
    int sysctl_tcp_keepalive_intvl      # jiffies
    u8 sysctl_tcp_keepalive_probes
    u8 sysctl_tcp_syn_retries
    u8 sysctl_tcp_synack_retries
    u8 sysctl_tcp_syncookies
    u8 sysctl_tcp_migrate_req
    u8 sysctl_tcp_comp_sack_nr
    u8 sysctl_tcp_backlog_ack_defer
    u8 sysctl_tcp_pingpong_thresh
    u8 sysctl_tcp_retries1
    u8 sysctl_tcp_retries2
    u8 sysctl_tcp_orphan_retries
    u8 sysctl_tcp_tw_reuse
    u32 sysctl_tcp_tw_reuse_delay
    int sysctl_tcp_fin_timeout          # jiffies
    u8 sysctl_tcp_sack
    u8 sysctl_tcp_window_scaling
    u8 sysctl_tcp_timestamps
    int sysctl_tcp_rto_min_us
    int sysctl_tcp_rto_max_ms
    u8 sysctl_tcp_recovery
    u8 sysctl_tcp_thin_linear_timeouts
    u8 sysctl_tcp_slow_start_after_idle
    u8 sysctl_tcp_retrans_collapse
    u8 sysctl_tcp_stdurg
    u8 sysctl_tcp_rfc1337
    u8 sysctl_tcp_abort_on_overflow
    u8 sysctl_tcp_fack
    int sysctl_tcp_max_reordering
    int sysctl_tcp_adv_win_scale
    u8 sysctl_tcp_dsack
    u8 sysctl_tcp_app_win
    u8 sysctl_tcp_frto
    u8 sysctl_tcp_nometrics_save
    u8 sysctl_tcp_no_ssthresh_metrics_save
    u8 sysctl_tcp_workaround_signed_windows
    int sysctl_tcp_challenge_ack_limit
    u8 sysctl_tcp_min_tso_segs
    u8 sysctl_tcp_reflect_tos
    int sysctl_tcp_invalid_ratelimit    # jiffies
    int sysctl_tcp_pacing_ss_ratio
    int sysctl_tcp_pacing_ca_ratio
    u32 sysctl_tcp_child_ehash_entries
    int sysctl_tcp_comp_sack_rtt_percent
    unsigned long sysctl_tcp_comp_sack_delay_ns
    unsigned long sysctl_tcp_comp_sack_slack_ns
    int sysctl_max_syn_backlog
    int sysctl_tcp_fastopen
    tcp_congestion_ops *tcp_congestion_control
    tcp_fastopen_context *tcp_fastopen_ctx
    u32 sysctl_tcp_fastopen_blackhole_timeout
    int tfo_active_disable_times
    unsigned long tfo_active_disable_stamp
    u32 tcp_challenge_timestamp
    u32 tcp_challenge_count
    u8 sysctl_tcp_plb_enabled
    u8 sysctl_tcp_plb_idle_rehash_rounds
    u8 sysctl_tcp_plb_rehash_rounds
    u8 sysctl_tcp_plb_suspend_rto_sec
    int sysctl_tcp_plb_cong_thresh
    u8 sysctl_tcp_syn_linear_timeouts
    int sysctl_ip_prot_sock
    int rt_genid
    # globals of tcp.c / inet_connection_sock.c, one set a host here
    long sysctl_tcp_mem[3]              # pages
    long tcp_memory_allocated           # pages
    int tcp_per_cpu_fw_alloc            # pages taken and not yet added to the line above (one CPU)
    unsigned long tcp_memory_pressure   # jiffies at which it began, 0 none
    long tcp_sockets_allocated
    int tcp_orphan_count
    int sysctl_tcp_max_orphans
    # the fib
    fib_entry *fib
    rtable *rt_cache
    fib_nh_exception *exceptions
    __be32 local_addrs[64]
    int n_local_addrs
    fib_entry *fib_local                # the local table: one entry for all of local_addrs
    u32 *ip_idents                      # counters of IP ids for packets without a socket, then when each was last used
    # tcp_metrics
    tcp_metrics_block **tcp_metrics_hash
    u32 tcp_metrics_hash_log
    list_head tcp_cong_list
    u32 tcp_cong_allowed                # TCP_CONG_NON_RESTRICTED of each algorithm: bit = its key
    void *syncookie_pins                # syncookies.pyx: cookies whose number was pinned

cdef struct netns_ipv6:
    u8 bindv6only
    u8 auto_flowlabels
    u8 flowlabel_reflect
    u8 flowlabel_state_ranges
    u8 ip_nonlocal_bind
    u8 fwmark_reflect
    int hop_limit                       # devconf_all->hop_limit
    int ip6_rt_mtu_expires              # jiffies
    int ip6_rt_min_advmss
    fib6_info *fib                      # longest prefix first
    fib6_info *fib_local                # one entry for all of local_addrs
    rt6_info *exceptions
    u32 fib6_sernum                     # the last one given
    in6_addr local_addrs[64]
    int n_local_addrs

# Where the stack tells the outside what happened. NULL: nobody listens.
cdef struct host_hooks:
    void *ctx
    void (*xmit)(void *ctx, sk_buff *skb, u8 *hdr, u32 hdr_len, u32 payload_len, u32 seq) noexcept nogil
    void (*tcp_probe)(void *ctx, sock *sk, sk_buff *skb) noexcept nogil
    void (*drop)(void *ctx, sk_buff *skb, int reason) noexcept nogil
    void (*state)(void *ctx, sock *sk, int oldstate, int newstate) noexcept nogil
    void (*wake)(void *ctx, sock *sk, u32 mask) noexcept nogil
    void (*not_ported)(void *ctx, const char *what) noexcept nogil
    void (*trace)(void *ctx, int event, sock *sk, sk_buff *skb, s64 arg) noexcept nogil
    int (*pinned_port)(void *ctx, sock *sk) noexcept nogil
    bint (*pinned_seq)(void *ctx, const in6_addr *laddr, const in6_addr *raddr, __be16 lport, __be16 rport,
                       bint passive, u32 *isn, u32 *tsoff, bint *tsoff_set) noexcept nogil
    void (*destroy)(void *ctx, sock *sk) noexcept nogil
    # The bytes that the application has written, for who must see them (signatures); zeros where nobody knows them.
    void (*sent_bytes)(void *ctx, const sock *sk, u32 seq, u8 *out, u32 length) noexcept nogil

cdef struct net:
    host_entropy e
    netns_ipv4 ipv4
    netns_ipv6 ipv6
    netns_core core
    netns_mib mib
    timer_base timers
    hrtimer_base hrtimers
    net_device dev
    net_device lo
    host_hooks hooks
    # pools
    kmem_cache tcp_prot_slab
    kmem_cache tcpv6_prot_slab
    kmem_cache tcp_request_slab
    kmem_cache tcp_timewait_slab
    kmem_cache skbuff_cache
    kmem_cache skbuff_fclone_cache
    kmem_cache bind_bucket_slab
    kmem_cache bind2_bucket_slab
    kmem_cache socket_slab
    kmem_cache dst_slab
    kmem_cache page_slab                # page_ref: what skb_frag_t.page points at, for sent data
    kmem_cache txq_slab                 # packets that wait in the qdisc or for their tx completion
    kmem_cache misc_slab                # fib entries, exceptions, metrics, fastopen requests, saved SYNs
    inet_hashinfo hashinfo
    proto tcp_prot
    proto tcpv6_prot
    request_sock_ops tcp_rsk_ops        # tcp_request_sock_ops: one a host, for its slab
    request_sock_ops tcp6_rsk_ops       # tcp6_request_sock_ops
    list_head all_socks
    list_head all_timewait
    inet_sock tcp_ctl_sk                # ipv4_tcp_sk: what resets and TIME_WAIT ACKs are sent from
    inet_sock tcp6_ctl_sk               # ipv6.tcp_sk
    ipv6_pinfo tcp6_ctl_np
    list_head tsq_head                  # tsq_work.head: sockets that a tx completion woke
    hrtimer tsq_timer                   # tsq_work.work: due as soon as it is set
    u64 next_page_id
    unsigned long totalram_pages        # what tcp_init() sizes tables and limits by
    u8 txbuf[256]                       # where the one packet that is being built has its headers
    u64 next_cookie
    int next_trace_id
    u8 in_softirq
    u8 closing
    softnet_data softnet
    napi_struct napi                    # of dev
