"""Loops over single hot functions of the port, so that bench/ can measure them without any Python in between.

Each loop takes a `Host` whose connection stands (bench/cases.py makes it), plays the peer as cheaply as it can, and
returns how many segments the function under test has handled; connections() plays two hosts. What the host sends is
counted, not kept.
"""
from cython cimport final
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_PROCESS_CPUTIME_ID, clock_gettime, timespec

from kpath_c.af_inet cimport inet_accept, inet_create, inet_release, inet_stream_connect
from kpath_c.dev cimport netif_receive_skb
from kpath_c.headers.checksum cimport csum_partial, csum_tcpudp_magic, ip_fast_csum
from kpath_c.headers.tcp cimport *
from kpath_c.inet_hashtables cimport __inet_lookup_established, inet_ehash_insert
from kpath_c.sched cimport engine
from kpath_c.shim.netdevice cimport netdev_rx_skb
from kpath_c.shim.slab cimport kmem_cache_free, kmem_cache_zalloc
from kpath_c.shim.timer cimport advance
from kpath_c.tcp cimport tcp_recvmsg, tcp_sendmsg
from kpath_c.tcp_ipv4 cimport tcp_v4_early_demux, tcp_v4_rcv
from kpath_c.tcp_output cimport tcp_current_mss, tcp_transmit_skb, tcp_write_xmit

cdef enum:
    HEADERS = 52                # IP, TCP, timestamps
    MOST = 1448                 # payload of a segment, at most
    BATCH = 64                  # segments that one recv() takes
    STEP_NS = 1000              # virtual time from one segment to the next
    WRITE = 1 << 16


cdef s64 sent = 0               # segments that left a host


cdef void count_xmit(void *ctx, sk_buff *skb, u8 *hdr, u32 hdr_len, u32 payload_len, u32 seq) noexcept nogil:
    global sent
    sent += 1


cdef engine *engine_of(host):
    return <engine *><size_t>host.engine_address


cdef sock *sock_of(host, int slot) except NULL:
    cdef engine *e = engine_of(host)
    if not 0 <= slot < e.n_slots or e.slots[slot] == NULL or e.slots[slot].sk == NULL:
        raise ValueError(f"no socket {slot}")
    if e.slots[slot].sk.sk_rx_dst == NULL:
        raise ValueError(f"socket {slot}: has received nothing")
    if e.slots[slot].sk.sk_state != TCP_ESTABLISHED:
        raise ValueError(f"socket {slot}: not established")
    e.n.hooks.xmit = count_xmit
    return e.slots[slot].sk


# ------------------------------------------------------------------------------------------- the peer

cdef u32 peer_packet(sock *sk, u8 *p, u32 payload) noexcept nogil:
    """Headers of a segment from the peer; seq, ack and timestamps come in next_packet(). Its length."""
    cdef iphdr *ip = <iphdr *>p
    cdef tcphdr *th = <tcphdr *>(p + sizeof(iphdr))
    memset(p, 0, HEADERS + payload)
    ip.version_ihl = 0x45
    ip.tot_len = htons(<u16>(HEADERS + payload))
    ip.ttl = 64
    ip.protocol = IPPROTO_TCP
    ip.saddr = sk.sk_daddr
    ip.daddr = sk.sk_rcv_saddr
    th.source = sk.sk_dport
    th.dest = htons(sk.sk_num)
    th.doff_res = ((HEADERS - sizeof(iphdr)) // 4) << 4
    th.flags = TCPHDR_ACK
    th.window = htons(0xFFFF)
    p[sizeof(iphdr) + sizeof(tcphdr)] = 1
    p[sizeof(iphdr) + sizeof(tcphdr) + 1] = 1
    p[sizeof(iphdr) + sizeof(tcphdr) + 2] = 8
    p[sizeof(iphdr) + sizeof(tcphdr) + 3] = 10
    return HEADERS + payload


cdef void fill_in_checksum(u8 *p, u32 length) noexcept nogil:
    cdef iphdr *ip = <iphdr *>p
    cdef tcphdr *th = <tcphdr *>(p + sizeof(iphdr))
    cdef int n = <int>(length - sizeof(iphdr))
    th.check = 0
    th.check = csum_tcpudp_magic(ip.saddr, ip.daddr, <u32>n, IPPROTO_TCP, csum_partial(th, n, 0))


cdef inline sk_buff *next_packet(net *n, sock *sk, u8 *p, u32 length, u32 seq, u32 ack, bint verified) noexcept nogil:
    """As ip_local_deliver() hands it on: socket known (early demux), checksum verified by the device or not."""
    cdef tcphdr *th = <tcphdr *>(p + sizeof(iphdr))
    cdef u32 *stamps = <u32 *>(p + sizeof(iphdr) + sizeof(tcphdr) + 4)
    cdef sk_buff *skb
    th.seq = htonl(seq)
    th.ack_seq = htonl(ack)
    stamps[0] = htonl(<u32>(n.e.mono_ns // 1000000))
    stamps[1] = stamps[0]
    skb = netdev_rx_skb(&n.dev, p, length, length)
    if skb == NULL:
        return NULL
    if verified:
        skb.ip_summed = CHECKSUM_UNNECESSARY
    else:
        fill_in_checksum(p, length)
    skb_reset_network_header(skb)
    skb.transport_header = skb.network_header + sizeof(iphdr)
    memset(IPCB(skb), 0, sizeof(inet_skb_parm))
    skb.skb_iif = skb.dev.ifindex
    IPCB(skb).iif = skb.skb_iif
    tcp_v4_early_demux(skb)
    __skb_pull(skb, sizeof(iphdr))
    return skb


# ------------------------------------------------------------------------------------------- receiving

cdef s64 cpu_ns() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)
    return t.tv_sec * 1000000000 + t.tv_nsec


cdef s64 clock_cost() noexcept nogil:
    """What a look at that clock costs: it is a system call."""
    cdef s64 start = cpu_ns()
    cdef s64 last = start
    cdef int i
    for i in range(1000):
        last = cpu_ns()
    return (last - start) // 1000


def receive_data(host, int slot, s64 count, u32 payload=64, bint verified=True, int batch=BATCH):
    """In-order segments of `payload` bytes, `count` rounded up to batches, and an application that reads `batch` each.

    verified: the device has verified the checksums; else tcp_v4_rcv() does. Returns (segments, ACKs sent, ns of
    processor time that tcp_v4_rcv() took of it all). The device's and the IP layer's part is done for a batch
    beforehand, the recv() behind it.
    """
    cdef sock *sk = sock_of(host, slot)
    cdef net *n = sk.sk_net
    cdef u8 packets[BATCH][HEADERS + MOST]
    cdef sk_buff *skbs[BATCH]
    cdef s64 before = sent
    cdef s64 start, done = 0, ns = 0, cost = clock_cost()
    cdef u32 length = 0
    cdef msghdr msg
    cdef int i
    if not (1 <= payload <= MOST and 1 <= batch <= BATCH):
        raise ValueError(f"payload {payload}, batch {batch}: expected 1 to {MOST} and 1 to {BATCH}")
    for i in range(batch):
        length = peer_packet(sk, packets[i], payload)
    with nogil:
        while done < count:
            for i in range(batch):
                skbs[i] = next_packet(n, sk, packets[i], length, tcp_sk(sk).rcv_nxt + <u32>i * payload,
                                      tcp_sk(sk).snd_nxt, verified)
                if skbs[i] == NULL:
                    with gil:
                        raise MemoryError()
            n.in_softirq = 1
            start = cpu_ns()
            for i in range(batch):
                advance(n, n.e.mono_ns + STEP_NS)
                tcp_v4_rcv(skbs[i])
            ns += cpu_ns() - start - cost
            n.in_softirq = 0
            done += batch
            memset(&msg, 0, sizeof(msg))
            msg.count = batch * payload
            tcp_recvmsg(sk, &msg, batch * payload, MSG_DONTWAIT)
    return done, sent - before, ns


def write(host, int slot, s64 segments):
    """Queues and sends `segments` full segments, as far as the windows let it; how many left the host."""
    cdef sock *sk = sock_of(host, slot)
    cdef s64 left = segments * tcp_current_mss(sk)
    cdef s64 before = sent
    cdef page_frag frag
    cdef msghdr msg
    cdef int ret = 1
    memset(&frag, 0, sizeof(frag))
    with nogil:
        while left > 0 and ret > 0:
            memset(&msg, 0, sizeof(msg))
            msg.task_frag = &frag
            msg.count = <size_t>min_s64(left, WRITE)
            msg.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL
            ret = tcp_sendmsg(sk, &msg, msg.count)
            left -= ret
    return sent - before


def receive_acks(host, int slot, int segments_each):
    """tcp_v4_rcv() with pure ACKs for what is in flight, one for every `segments_each` segments; how many."""
    cdef sock *sk = sock_of(host, slot)
    cdef net *n = sk.sk_net
    cdef tcp_sock *tp = tcp_sk(sk)
    cdef u32 step = tcp_current_mss(sk) * <u32>segments_each
    cdef u8 packet[HEADERS]
    cdef u32 length = peer_packet(sk, packet, 0)
    cdef sk_buff *skb
    cdef s64 count = 0
    with nogil:
        while tp.snd_una != tp.snd_nxt:
            advance(n, n.e.mono_ns + STEP_NS)
            skb = next_packet(n, sk, packet, length, tp.rcv_nxt,
                              tp.snd_una + min_u32(step, tp.snd_nxt - tp.snd_una), 1)
            if skb == NULL:
                break
            n.in_softirq = 1
            tcp_v4_rcv(skb)
            n.in_softirq = 0
            count += 1
    return count


# ------------------------------------------------------------------------------------------- sending

def close_cwnd(host, int slot, u32 cwnd):
    """Sets the congestion window: 0 lets write() queue and send nothing."""
    tcp_sk(sock_of(host, slot)).snd_cwnd = cwnd


def write_xmit(host, int slot):
    """tcp_write_xmit() over all that is queued, the window open; how many segments left the host."""
    cdef sock *sk = sock_of(host, slot)
    cdef unsigned int mss = tcp_current_mss(sk)
    cdef s64 before = sent
    tcp_sk(sk).snd_cwnd = 1 << 20
    with nogil:
        tcp_write_xmit(sk, mss, TCP_NAGLE_OFF, 0, 0)
    return sent - before


def transmit_skb(host, int slot, s64 count):
    """tcp_transmit_skb() of the first segment in flight, `count` times; how many left the host."""
    cdef sock *sk = sock_of(host, slot)
    cdef sk_buff *skb = tcp_rtx_queue_head(sk)
    cdef s64 before = sent
    cdef s64 i
    if skb == NULL:
        raise ValueError("nothing is in flight")
    with nogil:
        for i in range(count):
            tcp_transmit_skb(sk, skb, 1, 0)
    return sent - before


# ------------------------------------------------------------------------------------------- looking up

# The key of socket `i`, as it lies in the packet: 16 of them to an address.
cdef inline __be32 peer_of(s64 i) noexcept nogil:
    return <u32>0xAC100000U + <u32>(i >> 4)


cdef inline __be16 peer_port_of(s64 i) noexcept nogil:
    return <u16>(32768 + (i & 15) * 97)


@final
cdef class Established:
    """`n` sockets in the established table of a host, where its own would lie; close() before the host's."""
    cdef object host
    cdef net *net_
    cdef sock **socks
    cdef s64 n

    def __cinit__(self, host, s64 n):
        cdef s64 i
        cdef sock *sk
        self.host = host
        self.net_ = engine_of(host).n
        self.socks = <sock **>calloc(<size_t>n, sizeof(sock *))
        if self.socks == NULL:
            raise MemoryError()
        for i in range(n):
            sk = <sock *>kmem_cache_zalloc(&self.net_.tcp_prot_slab)
            if sk == NULL:
                raise MemoryError()
            self.socks[i] = sk
            self.n = i + 1
            sk.sk_net = self.net_
            sk.sk_family = AF_INET
            sk.sk_state = TCP_ESTABLISHED
            sk.sk_refcnt = 1
            sk.sk_daddr = peer_of(i)
            sk.sk_dport = peer_port_of(i)
            sk.sk_rcv_saddr = htonl(0x0A000001)
            sk.sk_num = 443
            inet_ehash_insert(sk, NULL, NULL)

    def lookup(self, s64 count):
        """__inet_lookup_established() of `count` of them in a random order; how many were found."""
        cdef net *n = self.net_
        cdef u64 sockets = <u64>self.n
        cdef u64 x = 0x9E3779B97F4A7C15ULL
        cdef s64 found = 0
        cdef s64 i, k
        cdef sock *sk
        with nogil:
            for i in range(count):
                x = x * 6364136223846793005ULL + 1442695040888963407ULL
                k = <s64>(((x >> 32) * sockets) >> 32)
                sk = __inet_lookup_established(n, peer_of(k), peer_port_of(k), htonl(0x0A000001), 443, 2, 0)
                if sk != NULL:
                    found += 1
                    sk.sk_refcnt -= 1
        return found

    def mistaken(self):
        """How many of them are not found, or another in their place."""
        cdef s64 wrong = 0
        cdef s64 i
        cdef sock *sk
        for i in range(self.n):
            sk = __inet_lookup_established(self.net_, peer_of(i), peer_port_of(i), htonl(0x0A000001), 443, 2, 0)
            if sk != NULL:
                sk.sk_refcnt -= 1
            wrong += sk != self.socks[i]
        return wrong

    def close(self):
        """Takes them out of the table and gives the memory back."""
        cdef s64 i
        for i in range(self.n):
            sk_nulls_del_node_init_rcu(self.socks[i])
            kmem_cache_free(&self.net_.tcp_prot_slab, self.socks[i])
        free(self.socks)
        self.socks = NULL
        self.n = 0


# ------------------------------------------------------------------------------------------- whole connections

cdef enum:
    IN_FLIGHT = 8               # packets between the two hosts, at most
    WIRE_NS = 100000            # virtual time of a packet's way
    APART_NS = 20000000         # from one connection to the next: 3,000 are in TIME_WAIT

cdef struct wire:
    net *ends[2]
    u8 packets[IN_FLIGHT][128]
    u32 length[IN_FLIGHT]
    int to[IN_FLIGHT]           # which end
    u32 first
    u32 last


cdef wire cable


cdef void onto_wire(void *ctx, sk_buff *skb, u8 *hdr, u32 hdr_len, u32 payload_len, u32 seq) noexcept nogil:
    cdef u32 i = cable.last % IN_FLIGHT
    cable.to[i] = (<engine *>ctx).n == cable.ends[0]
    cable.length[i] = hdr_len
    memcpy(cable.packets[i], hdr, hdr_len)
    # ip_send_check() leaves it to whoever writes the packet down.
    (<iphdr *>cable.packets[i]).check = ip_fast_csum(hdr, 5)
    cable.last += 1


cdef void later(s64 ns) noexcept nogil:
    advance(cable.ends[0], cable.ends[0].e.mono_ns + ns)
    advance(cable.ends[1], cable.ends[1].e.mono_ns + ns)


cdef void deliver() noexcept nogil:
    """All that is on the wire arrives, and what is answered, until nothing is sent any more."""
    cdef sk_buff *skb
    cdef net *n
    cdef u32 i
    while cable.first != cable.last:
        i = cable.first % IN_FLIGHT
        n = cable.ends[cable.to[i]]
        later(WIRE_NS)
        skb = netdev_rx_skb(&n.dev, cable.packets[i], cable.length[i], cable.length[i])
        cable.first += 1
        if skb == NULL:
            continue
        skb.ip_summed = CHECKSUM_UNNECESSARY
        n.in_softirq = 1
        netif_receive_skb(skb)
        n.in_softirq = 0


cdef int connection(socket *listener, sockaddr_in *to) noexcept nogil:
    """socket() and connect() here, accept() there, close() at both ends. 0, or the first error."""
    cdef socket client, server
    cdef msghdr msg
    cdef int err
    memset(&client, 0, sizeof(client))
    memset(&server, 0, sizeof(server))
    memset(&msg, 0, sizeof(msg))
    client.type = server.type = SOCK_STREAM
    err = inet_create(cable.ends[0], &client, IPPROTO_TCP, 0)
    if err:
        return err
    err = inet_stream_connect(&client, to, sizeof(to[0]), O_NONBLOCK, &msg)
    if err == -EINPROGRESS:
        deliver()
        err = inet_accept(listener, &server, O_NONBLOCK, &msg)
    inet_release(&client, &msg)
    deliver()
    if err == 0:
        inet_release(&server, &msg)
        deliver()
    later(APART_NS)
    return err


def connections(client, server, int slot, int port, s64 count):
    """`count` connections of one host to another's listening socket `slot`, one behind the other; how many were made.

    No scheduling and no records: what the system calls and the packets do at both ends, from socket() to the last ACK,
    and the end of TIME_WAIT for earlier ones.
    """
    cdef engine *far = engine_of(server)
    cdef sockaddr_in to
    cdef s64 done = 0
    cdef int i
    if not 0 <= slot < far.n_slots or far.slots[slot] == NULL or far.slots[slot].sk.sk_state != TCP_LISTEN:
        raise ValueError(f"socket {slot}: does not listen")
    cable.ends[0], cable.ends[1] = engine_of(client).n, far.n
    for i in range(2):
        cable.ends[i].hooks.xmit = onto_wire
        cable.ends[i].hooks.state = NULL
        cable.ends[i].hooks.destroy = NULL
    memset(&to, 0, sizeof(to))
    to.sin_family = AF_INET
    to.sin_port = htons(<u16>port)
    to.sin_addr = far.n.ipv4.local_addrs[0]
    with nogil:
        while done < count and connection(far.slots[slot], &to) == 0:
            done += 1
    return done
