"""From the driver to the protocols: NAPI's softirq, and the two ways up, one packet at a time or a list of them.

A driver with NAPI is polled: it hands over at most 64 packets in one go, which GRO may merge; what was not merged goes
up in batches. TUN, and veth without GRO, call netif_receive_skb() for each packet.

Follows net/core/dev.c of Linux 6.18 (GPL-2.0-only).

Deviations: one CPU, so no RPS and no backlog between CPUs; no taps, VLANs, rx handlers, ingress hooks, XDP; the packet
types are the two IP versions', called by name; no gro_flush_timeout and no deferred interrupts (per device, 0 by
default), no busy polling. The clock stands still in a softirq, so only the budget ends it, not the time.
"""
from kpath_c.headers.netdevice cimport *
from kpath_c.net_gro cimport gro_flush_normal
from kpath_c.gro cimport gro_init
from kpath_c.ip6_input cimport ipv6_list_rcv, ipv6_rcv
from kpath_c.ip_input cimport ip_list_rcv, ip_rcv
from kpath_c.skbuff cimport kfree_skb_reason

cdef enum:
    PT_NONE = 0                 # a packet type is its ETH_P_*, in the packet's byte order


cdef void dev_init(net *n) noexcept nogil:
    INIT_LIST_HEAD(&n.softnet.poll_list)


cdef void netif_napi_add(net_device *dev, napi_struct *napi,
                         int (*poll)(napi_struct *napi, int budget) noexcept nogil) noexcept nogil:
    """A driver's: from now on the device is polled."""
    INIT_LIST_HEAD(&napi.poll_list)
    napi.weight = NAPI_POLL_WEIGHT
    napi.poll = poll
    napi.dev = dev
    gro_init(&napi.gro)
    dev.napi = napi


# ------------------------------------------------------------------------------------------- one packet

cdef inline int __netif_receive_skb_core(sk_buff **pskb, bint pfmemalloc, u16 *ppt_prev) noexcept nogil:
    """Finds who takes the packet: ppt_prev."""
    cdef sk_buff *skb = pskb[0]
    skb_reset_network_header(skb)
    skb.skb_iif = skb.dev.ifindex
    if skb.protocol == htons(ETH_P_IP) or skb.protocol == htons(ETH_P_IPV6):
        ppt_prev[0] = skb.protocol
        return NET_RX_SUCCESS
    ppt_prev[0] = PT_NONE
    kfree_skb_reason(skb, SKB_DROP_REASON_UNHANDLED_PROTO)
    return NET_RX_DROP


cdef inline int __netif_receive_skb_one_core(sk_buff *skb, bint pfmemalloc) noexcept nogil:
    cdef net_device *orig_dev = skb.dev
    cdef u16 pt_prev
    cdef int ret = __netif_receive_skb_core(&skb, pfmemalloc, &pt_prev)
    if pt_prev == htons(ETH_P_IP):
        return ip_rcv(skb, orig_dev)
    if pt_prev == htons(ETH_P_IPV6):
        return ipv6_rcv(skb, orig_dev)
    return ret


cdef inline int __netif_receive_skb(sk_buff *skb) noexcept nogil:
    return __netif_receive_skb_one_core(skb, 0)


cdef inline int netif_receive_skb_internal(sk_buff *skb) noexcept nogil:
    return __netif_receive_skb(skb)


cdef int netif_receive_skb(sk_buff *skb) noexcept nogil:
    return netif_receive_skb_internal(skb)


# ------------------------------------------------------------------------------------------- a list of them

cdef void __netif_receive_skb_list_ptype(sk_buff_head *head, u16 pt_prev, net_device *orig_dev) noexcept nogil:
    if pt_prev == PT_NONE or skb_queue_empty(head):
        return
    if pt_prev == htons(ETH_P_IPV6):
        ipv6_list_rcv(head, orig_dev)
    else:
        ip_list_rcv(head, orig_dev)


cdef void __netif_receive_skb_list_core(sk_buff_head *head, bint pfmemalloc) noexcept nogil:
    """Packets of one type in a row go up together."""
    cdef u16 pt_curr = PT_NONE
    cdef u16 pt_prev
    cdef net_device *od_curr = NULL
    cdef net_device *orig_dev
    cdef sk_buff_head sublist
    cdef sk_buff *skb
    __skb_queue_head_init(&sublist)
    while not skb_queue_empty(head):
        skb = __skb_dequeue(head)
        orig_dev = skb.dev
        __netif_receive_skb_core(&skb, pfmemalloc, &pt_prev)
        if pt_prev == PT_NONE:
            continue
        if pt_curr != pt_prev or od_curr != orig_dev:
            __netif_receive_skb_list_ptype(&sublist, pt_curr, od_curr)
            __skb_queue_head_init(&sublist)
            pt_curr = pt_prev
            od_curr = orig_dev
        __skb_queue_tail(&sublist, skb)
    __netif_receive_skb_list_ptype(&sublist, pt_curr, od_curr)


cdef void __netif_receive_skb_list(sk_buff_head *head) noexcept nogil:
    if not skb_queue_empty(head):
        __netif_receive_skb_list_core(head, 0)


cdef void netif_receive_skb_list_internal(sk_buff_head *head) noexcept nogil:
    __netif_receive_skb_list(head)


cdef void netif_receive_skb_list(sk_buff_head *head) noexcept nogil:
    """A driver's, for what it has without NAPI's help. The list is empty afterwards."""
    if not skb_queue_empty(head):
        netif_receive_skb_list_internal(head)


# ------------------------------------------------------------------------------------------- NAPI

cdef inline void ____napi_schedule(softnet_data *sd, napi_struct *napi) noexcept nogil:
    list_add_tail(&napi.poll_list, &sd.poll_list)


cdef void __napi_schedule(napi_struct *napi) noexcept nogil:
    ____napi_schedule(&napi.dev.nd_net.softnet, napi)


cdef bint napi_complete_done(napi_struct *napi, int work_done) noexcept nogil:
    """The driver found no more: what GRO holds goes up. False: there is more by now."""
    cdef unsigned long val = napi.state
    gro_flush_normal(&napi.gro, 0)
    if not list_empty(&napi.poll_list):
        list_del_init(&napi.poll_list)
    napi.state = val & ~<unsigned long>(NAPIF_STATE_SCHED | NAPIF_STATE_MISSED)
    if val & NAPIF_STATE_MISSED:
        napi.state |= NAPIF_STATE_SCHED
        __napi_schedule(napi)
        return 0
    return 1


cdef int __napi_poll(napi_struct *napi, bint *repoll) noexcept nogil:
    cdef int weight = napi.weight
    cdef int work = 0
    if napi_is_scheduled(napi):
        work = napi.poll(napi, weight)
    if work < weight:
        return work
    # The driver has more. With slow ticks nothing may wait for them.
    gro_flush_normal(&napi.gro, HZ(napi.dev.nd_net) >= 1000)
    repoll[0] = 1
    return work


cdef int napi_poll(napi_struct *napi, list_head *repoll) noexcept nogil:
    cdef bint do_repoll = 0
    cdef int work
    list_del_init(&napi.poll_list)
    work = __napi_poll(napi, &do_repoll)
    if do_repoll:
        list_add_tail(&napi.poll_list, repoll)
    return work


cdef inline napi_struct *poll_list_to_napi(list_head *entry) noexcept nogil:
    return <napi_struct *>(<char *>entry - <size_t>&(<napi_struct *>NULL).poll_list)


cdef void net_rx_action(net *n) noexcept nogil:
    """NET_RX_SOFTIRQ: polls the devices that asked for it. What is over the budget stays on the poll list."""
    cdef softnet_data *sd = &n.softnet
    cdef int budget = NETDEV_BUDGET
    cdef list_head repoll
    INIT_LIST_HEAD(&repoll)
    sd.in_net_rx_action = 1
    n.in_softirq = 1
    while not list_empty(&sd.poll_list):
        budget -= napi_poll(poll_list_to_napi(sd.poll_list.next), &repoll)
        if budget <= 0:
            sd.time_squeeze += 1
            break
    list_splice_init(&repoll, &sd.poll_list)
    n.in_softirq = 0
    sd.in_net_rx_action = 0
