"""The tables that a segment's socket is found in: established (ehash), listening (lhash2), bound ports (bhash, bhash2).

Serves RFC 9293 3.10.7 (which connection a segment belongs to) and RFC 6056 3.3.4 (choice of the ephemeral port).
Follows net/ipv4/inet_hashtables.c of Linux 6.18 (GPL-2.0-only).

Deviations: the sizes are the host's, not the machine's memory's; a chain of the ehash gets its nulls marker when it is
first used, so that an empty table costs no memory; the bind table has at most 65536 chains as in the kernel, the
listening table at most 4096. The perturbation table starts from a hash of `port_scramble` and holds only the
increments. A port that the host pins (hooks.pinned_port) is tried before the algorithm. A bucket of the ehash knows the
first members of its chain (headers/ehash.pxd), and walks begin where they may. No BPF lookup, no VRF.
"""
from kpath_c.headers.tcp cimport *
from kpath_c.net_icsk cimport *
from kpath_c.shim.slab cimport huge_alloc, huge_free, kmem_cache_alloc, kmem_cache_free
from kpath_c.sock cimport sk_free
from kpath_c.af_inet cimport inet_sk_set_state
from kpath_c.inet_timewait_sock cimport inet_twsk_free, inet_twsk_deschedule_put, inet_twsk_bind_unhash
from kpath_c.inet_connection_sock cimport (inet_csk_update_fastreuse, inet_csk_destroy_sock, inet_rcv_saddr_equal,
                                           inet_rcv_saddr_any, inet_sk_get_local_port_range)
from kpath_c.tcp_ipv4 cimport tcp_twsk_unique
from kpath_c.inet6_hashtables cimport inet6_ehashfn
from kpath_c.secure_seq cimport secure_ipv4_port_ephemeral
from kpath_c.sock_reuseport cimport (reuseport_alloc, reuseport_add_sock, reuseport_stop_listen_sock,
                                     reuseport_select_sock)

cdef enum:
    INET_TABLE_PERTURB_SIZE = 1 << 16
    EHASH_SCALE = 17                    # one bucket for every 128 KB of memory
    EHASH_MAX_ENTRIES = 512 * 1024
    BHASH_MAX_ENTRIES = 64 * 1024
    LHASH2_SCALE = 21                   # for every 2 MB
    LHASH2_MAX_ENTRIES = 64 * 1024
    # what a bucket takes in the kernel, which has a lock in it; bhash and bhash2 are one table
    BHASH_BUCKETS_BYTES = 2 * 16
    LHASH2_BUCKET_BYTES = 16
    PAGES_PER_MB = 256


# ------------------------------------------------------------------------------------------- list members

cdef inline inet_bind_bucket *tb_of_node(const hlist_node *node) noexcept nogil:
    return <inet_bind_bucket *>(<char *>node - <size_t>&(<inet_bind_bucket *>0).node)

cdef inline inet_bind2_bucket *tb2_of_node(const hlist_node *node) noexcept nogil:
    return <inet_bind2_bucket *>(<char *>node - <size_t>&(<inet_bind2_bucket *>0).node)

cdef inline inet_bind2_bucket *tb2_of_bhash_node(const hlist_node *node) noexcept nogil:
    return <inet_bind2_bucket *>(<char *>node - <size_t>&(<inet_bind2_bucket *>0).bhash_node)


# ------------------------------------------------------------------------------------------- the tables

cdef u32 large_system_hash_entries(const net *n, u32 bucketsize, unsigned long numentries, int scale,
                                   unsigned long high_limit) noexcept nogil:
    if not numentries:
        numentries = (n.totalram_pages + (PAGES_PER_MB - 1)) & ~<unsigned long>(PAGES_PER_MB - 1)
        if scale > PAGE_SHIFT:
            numentries >>= scale - PAGE_SHIFT
        else:
            numentries <<= PAGE_SHIFT - scale
        if numentries * bucketsize < PAGE_SIZE:
            numentries = PAGE_SIZE // bucketsize
    numentries = roundup_pow_of_two(numentries)
    return <u32>min_ulong(numentries, high_limit)


cdef int alloc_tables(inet_hashinfo *h, u32 ehash_size, u32 lhash2_size) noexcept nogil:
    """All tables in one piece, so that huge pages hold them."""
    cdef size_t lhash2_bytes = lhash2_size * sizeof(inet_listen_hashbucket)
    cdef size_t perturb_bytes = INET_TABLE_PERTURB_SIZE * sizeof(u32)
    cdef size_t bhash_bytes = h.bhash_size * sizeof(inet_bind_hashbucket)
    cdef char *p
    h.tables_size = lhash2_bytes + perturb_bytes + 2 * bhash_bytes + ehash_size * sizeof(inet_ehash_bucket)
    h.tables = huge_alloc(h.tables_size)
    if h.tables == NULL:
        return -ENOMEM
    p = <char *>h.tables
    h.ehash = <inet_ehash_bucket *>p
    p += ehash_size * sizeof(inet_ehash_bucket)
    h.lhash2 = <inet_listen_hashbucket *>p
    p += lhash2_bytes
    h.bhash = <inet_bind_hashbucket *>p
    p += bhash_bytes
    h.bhash2 = <inet_bind_hashbucket *>p
    p += bhash_bytes
    h.table_perturb = <u32 *>p
    return 0


cdef int inet_hashinfo_init(net *n) noexcept nogil:
    """Tables for one host, by its memory. The pools of bind buckets are the host's."""
    cdef inet_hashinfo *h = &n.hashinfo
    cdef u32 size, i, lhash2_size
    memset(h, 0, sizeof(inet_hashinfo))
    size = large_system_hash_entries(n, sizeof(hlist_nulls_head), 0, EHASH_SCALE, EHASH_MAX_ENTRIES)
    h.ehash_mask = size - 1
    h.bhash_size = large_system_hash_entries(n, BHASH_BUCKETS_BYTES, size, EHASH_SCALE, BHASH_MAX_ENTRIES)
    lhash2_size = large_system_hash_entries(n, LHASH2_BUCKET_BYTES, 0, LHASH2_SCALE, LHASH2_MAX_ENTRIES)
    h.lhash2_mask = lhash2_size - 1
    h.bind_bucket_cachep = &n.bind_bucket_slab
    h.bind2_bucket_cachep = &n.bind2_bucket_slab
    if alloc_tables(h, size, lhash2_size):
        return -ENOMEM
    n.ipv4.tcp_death_row.hashinfo = h
    for i in range(lhash2_size):
        INIT_HLIST_NULLS_HEAD(&h.lhash2[i].nulls_head, i + LISTENING_NULLS_BASE)
    return 0


cdef void inet_hashinfo_free(net *n) noexcept nogil:
    cdef inet_hashinfo *h = &n.hashinfo
    huge_free(h.tables, h.tables_size)
    memset(h, 0, sizeof(inet_hashinfo))


cdef u32 inet_ehashfn(const net *n, __be32 laddr, u16 lport, __be32 faddr, __be16 fport) noexcept nogil:
    return lport + __inet_ehashfn(laddr, 0, faddr, fport, n.e.inet_ehash_secret + net_hash_mix(n))


# Full, TIME_WAIT and request sockets alike.
cdef u32 sk_ehashfn(const sock *sk) noexcept nogil:
    if sk.sk_family == AF_INET6 and not ipv6_addr_v4mapped(&sk.sk_v6_daddr):
        return inet6_ehashfn(sk.sk_net, &sk.sk_v6_rcv_saddr, sk.sk_num, &sk.sk_v6_daddr, sk.sk_dport)
    return inet_ehashfn(sk.sk_net, sk.sk_rcv_saddr, sk.sk_num, sk.sk_daddr, sk.sk_dport)


# The port was chosen by connect(), not by bind().
cdef bint sk_is_connect_bind(const sock *sk) noexcept nogil:
    if sk.sk_state == TCP_TIME_WAIT:
        return inet_twsk(sk).tw_connect_bind != 0
    return (sk.sk_userlocks & SOCK_CONNECT_BIND) != 0


# ------------------------------------------------------------------------------------------- bind buckets

cdef inet_bind_bucket *inet_bind_bucket_create(kmem_cache *cachep, net *n, inet_bind_hashbucket *head,
                                               unsigned short snum, int l3mdev) noexcept nogil:
    cdef inet_bind_bucket *tb = <inet_bind_bucket *>kmem_cache_alloc(cachep)
    if tb != NULL:
        tb.ib_net = n
        tb.l3mdev = l3mdev
        tb.port = snum
        tb.fastreuse = 0
        tb.fastreuseport = 0
        INIT_HLIST_HEAD(&tb.bhash2)
        hlist_add_head(&tb.node, &head.chain)
    return tb


# Without owners it is freed; with only connect()ed ones left, connect() may share the port again.
cdef void inet_bind_bucket_destroy(inet_bind_bucket *tb) noexcept nogil:
    cdef hlist_node *node
    cdef inet_bind2_bucket *tb2
    if hlist_empty(&tb.bhash2):
        hlist_del(&tb.node)
        kmem_cache_free(&tb.ib_net.bind_bucket_slab, tb)
        return
    if tb.fastreuse == -1 and tb.fastreuseport == -1:
        return
    node = tb.bhash2.first
    while node != NULL:
        tb2 = tb2_of_bhash_node(node)
        if tb2.fastreuse != -1 or tb2.fastreuseport != -1:
            return
        node = node.next
    tb.fastreuse = -1
    tb.fastreuseport = -1


cdef bint inet_bind_bucket_match(const inet_bind_bucket *tb, const net *n, unsigned short port,
                                 int l3mdev) noexcept nogil:
    return <const net *>tb.ib_net == n and tb.port == port and tb.l3mdev == l3mdev


cdef inet_bind_bucket *inet_bind_bucket_find(const inet_bind_hashbucket *head, const net *n, unsigned short port,
                                             int l3mdev) noexcept nogil:
    cdef hlist_node *node = head.chain.first
    while node != NULL:
        if inet_bind_bucket_match(tb_of_node(node), n, port, l3mdev):
            return tb_of_node(node)
        node = node.next
    return NULL


cdef void inet_bind2_bucket_init(inet_bind2_bucket *tb2, net *n, inet_bind_hashbucket *head, inet_bind_bucket *tb,
                                 const sock *sk) noexcept nogil:
    tb2.ib_net = n
    tb2.l3mdev = tb.l3mdev
    tb2.port = tb.port
    if sk.sk_family == AF_INET6:
        tb2.addr_type = <u16>ipv6_addr_type(&sk.sk_v6_rcv_saddr)
        tb2.v6_rcv_saddr = sk.sk_v6_rcv_saddr
    else:
        tb2.addr_type = IPV6_ADDR_MAPPED
        ipv6_addr_set_v4mapped(sk.sk_rcv_saddr, &tb2.v6_rcv_saddr)
    tb2.rcv_saddr = tb2.v6_rcv_saddr.s6_addr32[3]
    tb2.fastreuse = 0
    tb2.fastreuseport = 0
    INIT_HLIST_HEAD(&tb2.owners)
    hlist_add_head(&tb2.node, &head.chain)
    hlist_add_head(&tb2.bhash_node, &tb.bhash2)


cdef inet_bind2_bucket *inet_bind2_bucket_create(kmem_cache *cachep, net *n, inet_bind_hashbucket *head,
                                                 inet_bind_bucket *tb, const sock *sk) noexcept nogil:
    cdef inet_bind2_bucket *tb2 = <inet_bind2_bucket *>kmem_cache_alloc(cachep)
    if tb2 != NULL:
        inet_bind2_bucket_init(tb2, n, head, tb, sk)
    return tb2


cdef void inet_bind2_bucket_destroy(kmem_cache *cachep, inet_bind2_bucket *tb) noexcept nogil:
    cdef hlist_node *node
    if hlist_empty(&tb.owners):
        __hlist_del(&tb.node)
        __hlist_del(&tb.bhash_node)
        kmem_cache_free(cachep, tb)
        return
    if tb.fastreuse == -1 and tb.fastreuseport == -1:
        return
    node = tb.owners.first
    while node != NULL:
        if not sk_is_connect_bind(bind_node_to_sk(node)):
            return
        node = node.next
    tb.fastreuse = -1
    tb.fastreuseport = -1


cdef bint inet_bind2_bucket_addr_match(const inet_bind2_bucket *tb2, const sock *sk) noexcept nogil:
    if sk.sk_family == AF_INET6:
        return ipv6_addr_equal(&tb2.v6_rcv_saddr, &sk.sk_v6_rcv_saddr)
    return tb2.addr_type == IPV6_ADDR_MAPPED and tb2.rcv_saddr == sk.sk_rcv_saddr


cdef void inet_bind_hash(sock *sk, inet_bind_bucket *tb, inet_bind2_bucket *tb2, unsigned short port) noexcept nogil:
    sk.sk_num = port
    inet_csk(sk).icsk_bind_hash = tb
    inet_csk(sk).icsk_bind2_hash = tb2
    sk_add_bind_node(sk, &tb2.owners)


cdef void __inet_put_port(sock *sk) noexcept nogil:
    cdef inet_hashinfo *hashinfo = tcp_get_hashinfo(sk)
    cdef inet_bind_bucket *tb = inet_csk(sk).icsk_bind_hash
    cdef inet_bind2_bucket *tb2
    inet_csk(sk).icsk_bind_hash = NULL
    sk.sk_num = 0
    sk.sk_userlocks &= ~SOCK_CONNECT_BIND
    if inet_csk(sk).icsk_bind2_hash != NULL:
        tb2 = inet_csk(sk).icsk_bind2_hash
        __sk_del_bind_node(sk)
        inet_csk(sk).icsk_bind2_hash = NULL
        inet_bind2_bucket_destroy(hashinfo.bind2_bucket_cachep, tb2)
    inet_bind_bucket_destroy(tb)


cdef void inet_put_port(sock *sk) noexcept nogil:
    __inet_put_port(sk)


# A child shares its listener's port; usually at an address of its own, hence in another bhash2 bucket.
cdef int __inet_inherit_port(const sock *sk, sock *child) noexcept nogil:
    cdef inet_hashinfo *table = tcp_get_hashinfo(sk)
    cdef unsigned short port = child.sk_num
    cdef net *n = sock_net(sk)
    cdef inet_bind_hashbucket *head = &table.bhash[inet_bhashfn(n, port, table.bhash_size)]
    cdef inet_bind_hashbucket *head2 = inet_bhashfn_portaddr(table, child, n, port)
    cdef inet_bind_bucket *tb = inet_csk(sk).icsk_bind_hash
    cdef inet_bind2_bucket *tb2 = inet_csk(sk).icsk_bind2_hash
    cdef bint created_inet_bind_bucket = 0
    cdef bint update_fastreuse = 0
    cdef bint bhash2_find = 0
    cdef int l3mdev = inet_sk_bound_l3mdev(sk)
    if tb == NULL or tb2 == NULL:
        return -ENOENT
    if tb.port != port:
        # A transparent proxy: the child's port is not the listener's.
        tb = inet_bind_bucket_find(head, n, port, l3mdev)
        if tb == NULL:
            tb = inet_bind_bucket_create(table.bind_bucket_cachep, n, head, port, l3mdev)
            if tb == NULL:
                return -ENOMEM
            created_inet_bind_bucket = 1
        update_fastreuse = 1
        bhash2_find = 1
    elif not inet_bind2_bucket_addr_match(tb2, child):
        bhash2_find = 1
    if bhash2_find:
        tb2 = inet_bind2_bucket_find(head2, n, port, l3mdev, child)
        if tb2 == NULL:
            tb2 = inet_bind2_bucket_create(table.bind2_bucket_cachep, n, head2, tb, child)
            if tb2 == NULL:
                if created_inet_bind_bucket:
                    inet_bind_bucket_destroy(tb)
                return -ENOMEM
    if update_fastreuse:
        inet_csk_update_fastreuse(child, tb, tb2)
    inet_bind_hash(child, tb, tb2, port)
    return 0


# ------------------------------------------------------------------------------------------- listeners

cdef inet_listen_hashbucket *inet_lhash2_bucket_sk(inet_hashinfo *h, sock *sk) noexcept nogil:
    if sk.sk_family == AF_INET6:
        return inet_lhash2_bucket(h, ipv6_portaddr_hash(sock_net(sk), &sk.sk_v6_rcv_saddr, sk.sk_num))
    return inet_lhash2_bucket(h, ipv4_portaddr_hash(sock_net(sk), sk.sk_rcv_saddr, sk.sk_num))


# Bound to the device beats not bound; the CPU counts too, and here all work is done by CPU 0.
cdef int compute_score(sock *sk, const net *n, unsigned short hnum, __be32 daddr, int dif, int sdif) noexcept nogil:
    cdef int score = -1
    if <const net *>sk.sk_net == n and sk.sk_num == hnum and not ipv6_only_sock(sk):
        if sk.sk_rcv_saddr != daddr:
            return -1
        if not inet_sk_bound_dev_eq(n, sk.sk_bound_dev_if, dif, sdif):
            return -1
        score = 2 if sk.sk_bound_dev_if else 1
        if sk.sk_family == PF_INET:
            score += 1
        if sk.sk_incoming_cpu == 0:
            score += 1
    return score


cdef sock *inet_lookup_reuseport(const net *n, sock *sk, sk_buff *skb, int doff, __be32 saddr, __be16 sport,
                                 __be32 daddr, unsigned short hnum) noexcept nogil:
    if sk.sk_reuseport:
        return reuseport_select_sock(sk, inet_ehashfn(n, daddr, hnum, saddr, sport), skb, doff)
    return NULL


cdef sock *inet_lhash2_lookup(const net *n, inet_listen_hashbucket *ilb2, sk_buff *skb, int doff,
                              __be32 saddr, __be16 sport, __be32 daddr, unsigned short hnum,
                              int dif, int sdif) noexcept nogil:
    cdef sock *sk
    cdef sock *result = NULL
    cdef sock *reuse_sk
    cdef hlist_nulls_node *node = ilb2.nulls_head.first
    cdef int score, hiscore = 0
    while not is_a_nulls(node):
        sk = nulls_to_sk(node)
        score = compute_score(sk, n, hnum, daddr, dif, sdif)
        if score > hiscore:
            reuse_sk = inet_lookup_reuseport(n, sk, skb, doff, saddr, sport, daddr, hnum)
            if reuse_sk != NULL:
                return reuse_sk
            result = sk
            hiscore = score
        node = node.next
    return result


# No reference is taken. First a listener at the very address, then one at any.
cdef sock *__inet_lookup_listener(const net *n, sk_buff *skb, int doff, __be32 saddr, __be16 sport,
                                  __be32 daddr, unsigned short hnum, int dif, int sdif) noexcept nogil:
    cdef inet_hashinfo *hashinfo = <inet_hashinfo *>n.ipv4.tcp_death_row.hashinfo
    cdef sock *result
    result = inet_lhash2_lookup(n, inet_lhash2_bucket(hashinfo, ipv4_portaddr_hash(n, daddr, hnum)),
                                skb, doff, saddr, sport, daddr, hnum, dif, sdif)
    if result != NULL:
        return result
    return inet_lhash2_lookup(n, inet_lhash2_bucket(hashinfo, ipv4_portaddr_hash(n, 0, hnum)),
                              skb, doff, saddr, sport, 0, hnum, dif, sdif)


# ------------------------------------------------------------------------------------------- established

# One counter for all kinds of sockets, one way to free for each.
cdef void sock_gen_put(sock *sk) noexcept nogil:
    sk.sk_refcnt -= 1
    if sk.sk_refcnt != 0:
        return
    if sk.sk_state == TCP_TIME_WAIT:
        inet_twsk_free(inet_twsk(sk))
    elif sk.sk_state == TCP_NEW_SYN_RECV:
        reqsk_free(inet_reqsk(sk))
    else:
        sk_free(sk)


# Takes a reference.
cdef sock *__inet_lookup_established(const net *n, __be32 saddr, __be16 sport, __be32 daddr, u16 hnum,
                                     int dif, int sdif) noexcept nogil:
    cdef u32 ports = INET_COMBINED_PORTS(sport, hnum)
    cdef u64 acookie = INET_ADDR_COOKIE(saddr, daddr)
    cdef inet_hashinfo *hashinfo = <inet_hashinfo *>n.ipv4.tcp_death_row.hashinfo
    cdef u32 hash_ = inet_ehashfn(n, daddr, hnum, saddr, sport)
    cdef hlist_nulls_node *node = inet_ehash_first(hashinfo, hash_)
    cdef sock *sk
    while not is_a_nulls(node):
        sk = nulls_to_sk(node)
        if sk.sk_hash == hash_ and inet_match(n, sk, acookie, ports, dif, sdif):
            if sk.sk_refcnt == 0:
                return NULL
            sk.sk_refcnt += 1
            return sk
        node = node.next
    return NULL


# Is (sk's addresses, lport, sk's peer port) free? If so sk takes it; a TIME_WAIT socket that may be reused gives way.
cdef int __inet_check_established(inet_timewait_death_row *death_row, sock *sk, u16 lport,
                                  inet_timewait_sock **twp, bint rcu_lookup, u32 hash_) noexcept nogil:
    cdef inet_hashinfo *hinfo = death_row.hashinfo
    cdef inet_sock *inet = inet_sk(sk)
    cdef int dif = sk.sk_bound_dev_if
    cdef net *n = sock_net(sk)
    cdef int sdif = 0
    cdef u64 acookie = INET_ADDR_COOKIE(sk.sk_daddr, sk.sk_rcv_saddr)
    cdef u32 ports = INET_COMBINED_PORTS(sk.sk_dport, lport)
    cdef inet_timewait_sock *tw = NULL
    cdef hlist_nulls_node *node = inet_ehash_first(hinfo, hash_)
    cdef sock *sk2

    if rcu_lookup:
        while not is_a_nulls(node):
            sk2 = nulls_to_sk(node)
            if sk2.sk_hash == hash_ and inet_match(n, sk2, acookie, ports, dif, sdif):
                if sk2.sk_state == TCP_TIME_WAIT:
                    break
                return -EADDRNOTAVAIL
            node = node.next
        return 0

    while not is_a_nulls(node):
        sk2 = nulls_to_sk(node)
        if sk2.sk_hash == hash_ and inet_match(n, sk2, acookie, ports, dif, sdif):
            if sk2.sk_state == TCP_TIME_WAIT:
                tw = inet_twsk(sk2)
                if tcp_twsk_unique(sk, sk2, twp):
                    break
            return -EADDRNOTAVAIL
        node = node.next

    sk.sk_num = lport
    inet.inet_sport = htons(lport)
    sk.sk_hash = hash_
    inet_ehash_add(sk)
    if tw != NULL:
        sk_nulls_del_node_init_rcu(<sock *>tw)
        NET_INC_STATS(n, LINUX_MIB_TIMEWAITRECYCLED)
    sock_prot_inuse_add(n, sk.sk_prot, 1)

    if twp != NULL:
        twp[0] = tw
    elif tw != NULL:
        inet_twsk_deschedule_put(tw)
    return 0


cdef u64 inet_sk_port_offset(const sock *sk) noexcept nogil:
    return secure_ipv4_port_ephemeral(sock_net(sk), sk.sk_rcv_saddr, sk.sk_daddr, sk.sk_dport)


cdef bint inet_ehash_lookup_by_sk(sock *sk) noexcept nogil:
    cdef u32 ports = INET_COMBINED_PORTS(sk.sk_dport, sk.sk_num)
    cdef u64 acookie = INET_ADDR_COOKIE(sk.sk_daddr, sk.sk_rcv_saddr)
    cdef int dif = sk.sk_bound_dev_if
    cdef hlist_nulls_node *node = inet_ehash_first(tcp_get_hashinfo(sk), sk.sk_hash)
    cdef sock *esk
    while not is_a_nulls(node):
        esk = nulls_to_sk(node)
        if esk.sk_hash == sk.sk_hash:
            if sk.sk_family == AF_INET:
                if inet_match(sock_net(sk), esk, acookie, ports, dif, dif):
                    return 1
            elif inet6_match(sock_net(sk), esk, &sk.sk_v6_daddr, &sk.sk_v6_rcv_saddr, ports, dif, dif):
                return 1
        node = node.next
    return 0


# sk enters, in the place of osk (a request or TIME_WAIT socket) if there is one.
cdef bint inet_ehash_insert(sock *sk, sock *osk, bint *found_dup_sk) noexcept nogil:
    sk.sk_hash = sk_ehashfn(sk)
    if osk != NULL:
        if not sk_nulls_del_node_init_rcu(osk):
            return 0
    elif found_dup_sk != NULL:
        found_dup_sk[0] = inet_ehash_lookup_by_sk(sk)
        if found_dup_sk[0]:
            return 0
    inet_ehash_add(sk)
    return 1


cdef bint inet_ehash_nolisten(sock *sk, sock *osk, bint *found_dup_sk) noexcept nogil:
    cdef bint ok = inet_ehash_insert(sk, osk, found_dup_sk)
    if ok:
        sock_prot_inuse_add(sock_net(sk), sk.sk_prot, 1)
    else:
        sock_net(sk).ipv4.tcp_orphan_count += 1
        inet_sk_set_state(sk, TCP_CLOSE)
        sock_set_flag(sk, SOCK_DEAD)
        inet_csk_destroy_sock(sk)
    return ok


cdef int inet_reuseport_add_sock(sock *sk, inet_listen_hashbucket *ilb) noexcept nogil:
    cdef inet_bind_bucket *tb = inet_csk(sk).icsk_bind_hash
    cdef hlist_nulls_node *node = ilb.nulls_head.first
    cdef sock *sk2
    while not is_a_nulls(node):
        sk2 = nulls_to_sk(node)
        if (sk2 != sk and sk2.sk_family == sk.sk_family and ipv6_only_sock(sk2) == ipv6_only_sock(sk) and
                sk2.sk_bound_dev_if == sk.sk_bound_dev_if and
                inet_csk(sk2).icsk_bind_hash == tb and sk2.sk_reuseport and sk.sk_uid == sk2.sk_uid and
                inet_rcv_saddr_equal(sk, sk2, 0)):
            return reuseport_add_sock(sk, sk2, inet_rcv_saddr_any(sk))
        node = node.next
    return reuseport_alloc(sk, inet_rcv_saddr_any(sk))


cdef int inet_hash(sock *sk) noexcept nogil:
    cdef inet_hashinfo *hashinfo = tcp_get_hashinfo(sk)
    cdef inet_listen_hashbucket *ilb2
    cdef int err
    if sk.sk_state == TCP_CLOSE:
        return 0
    if sk.sk_state != TCP_LISTEN:
        inet_ehash_nolisten(sk, NULL, NULL)
        return 0
    ilb2 = inet_lhash2_bucket_sk(hashinfo, sk)
    if sk.sk_reuseport:
        err = inet_reuseport_add_sock(sk, ilb2)
        if err:
            return err
    sock_set_flag(sk, SOCK_RCU_FREE)
    # Among those that share a port IPv4's listeners stand first.
    if sk.sk_reuseport and sk.sk_family == AF_INET6:
        __sk_nulls_add_node_tail_rcu(sk, &ilb2.nulls_head)
    else:
        __sk_nulls_add_node_rcu(sk, &ilb2.nulls_head)
    sock_prot_inuse_add(sock_net(sk), sk.sk_prot, 1)
    return 0


cdef void inet_unhash(sock *sk) noexcept nogil:
    if sk_unhashed(sk):
        return
    if sk.sk_state == TCP_LISTEN and sk.sk_reuseport_cb != NULL:
        reuseport_stop_listen_sock(sk)
    __sk_nulls_del_node_init_rcu(sk)
    sock_prot_inuse_add(sock_net(sk), sk.sk_prot, -1)


# ------------------------------------------------------------------------------------------- bhash2

cdef bint inet_bind2_bucket_match(const inet_bind2_bucket *tb, const net *n, unsigned short port, int l3mdev,
                                  const sock *sk) noexcept nogil:
    if <const net *>tb.ib_net != n or tb.port != port or tb.l3mdev != l3mdev:
        return 0
    return inet_bind2_bucket_addr_match(tb, sk)


cdef bint inet_bind2_bucket_match_addr_any(const inet_bind2_bucket *tb, const net *n, unsigned short port,
                                           int l3mdev, const sock *sk) noexcept nogil:
    if <const net *>tb.ib_net != n or tb.port != port or tb.l3mdev != l3mdev:
        return 0
    if tb.addr_type == IPV6_ADDR_ANY:
        return 1
    if tb.addr_type != IPV6_ADDR_MAPPED:
        return 0
    if sk.sk_family == AF_INET6 and not ipv6_addr_v4mapped(&sk.sk_v6_rcv_saddr):
        return 0
    return tb.rcv_saddr == 0


cdef inet_bind2_bucket *inet_bind2_bucket_find(const inet_bind_hashbucket *head, const net *n, unsigned short port,
                                               int l3mdev, const sock *sk) noexcept nogil:
    cdef hlist_node *node = head.chain.first
    while node != NULL:
        if inet_bind2_bucket_match(tb2_of_node(node), n, port, l3mdev, sk):
            return tb2_of_node(node)
        node = node.next
    return NULL


cdef inet_bind_hashbucket *inet_bhash2_addr_any_hashbucket(const sock *sk, const net *n, int port) noexcept nogil:
    cdef inet_hashinfo *hinfo = tcp_get_hashinfo(sk)
    # "Any" has one hash, whichever the family.
    return &hinfo.bhash2[ipv4_portaddr_hash(n, 0, <unsigned int>port) & (hinfo.bhash_size - 1)]


cdef void inet_update_saddr(sock *sk, void *saddr, int family) noexcept nogil:
    if family == AF_INET:
        inet_sk(sk).inet_saddr = (<__be32 *>saddr)[0]
        sk_rcv_saddr_set(sk, inet_sk(sk).inet_saddr)
    else:
        sk.sk_v6_rcv_saddr = (<in6_addr *>saddr)[0]


# A bound socket gets its address only now (connect), or loses it again (disconnect): it moves to another bucket.
cdef int __inet_bhash2_update_saddr(sock *sk, void *saddr, int family, bint reset) noexcept nogil:
    cdef inet_hashinfo *hinfo = tcp_get_hashinfo(sk)
    cdef inet_bind_hashbucket *head2
    cdef inet_bind2_bucket *tb2
    cdef inet_bind2_bucket *new_tb2
    cdef int l3mdev = inet_sk_bound_l3mdev(sk)
    cdef unsigned short port = sk.sk_num
    cdef net *n = sock_net(sk)

    if inet_csk(sk).icsk_bind2_hash == NULL:
        if reset:
            inet_reset_saddr(sk)
        else:
            inet_update_saddr(sk, saddr, family)
        return 0

    # Allocated first: a failure must not leave the tables half changed.
    new_tb2 = <inet_bind2_bucket *>kmem_cache_alloc(hinfo.bind2_bucket_cachep)
    if new_tb2 == NULL:
        if reset:
            inet_put_port(sk)
            inet_reset_saddr(sk)
        return -ENOMEM

    __sk_del_bind_node(sk)
    inet_bind2_bucket_destroy(hinfo.bind2_bucket_cachep, inet_csk(sk).icsk_bind2_hash)
    if reset:
        inet_reset_saddr(sk)
    else:
        inet_update_saddr(sk, saddr, family)
    head2 = inet_bhashfn_portaddr(hinfo, sk, n, port)
    tb2 = inet_bind2_bucket_find(head2, n, port, l3mdev, sk)
    if tb2 == NULL:
        tb2 = new_tb2
        inet_bind2_bucket_init(tb2, n, head2, inet_csk(sk).icsk_bind_hash, sk)
        if sk_is_connect_bind(sk):
            tb2.fastreuse = -1
            tb2.fastreuseport = -1
    inet_csk(sk).icsk_bind2_hash = tb2
    sk_add_bind_node(sk, &tb2.owners)
    if tb2 != new_tb2:
        kmem_cache_free(hinfo.bind2_bucket_cachep, new_tb2)
    return 0


cdef int inet_bhash2_update_saddr(sock *sk, void *saddr, int family) noexcept nogil:
    return __inet_bhash2_update_saddr(sk, saddr, family, 0)


cdef void inet_bhash2_reset_saddr(sock *sk) noexcept nogil:
    if not (sk.sk_userlocks & SOCK_BINDADDR_LOCK):
        __inet_bhash2_update_saddr(sk, NULL, 0, 1)


# ------------------------------------------------------------------------------------------- connect: the port

# table_perturb[]: random numbers in the kernel, here a hash of the host's seed, and what was added to each since.
cdef inline u32 table_perturb_get(net *n, u32 index) noexcept nogil:
    return (jhash_3words(index, <u32>n.e.port_scramble, <u32>(n.e.port_scramble >> 32), 0) +
            n.hashinfo.table_perturb[index])


# Can sk connect from this port? 1: yes, it is hashed or its bucket is ready; 0: try another; < 0: error.
cdef int inet_hash_connect_try_port(inet_timewait_death_row *death_row, sock *sk, int port, int l3mdev,
                                    u32 hash_port0, int (*check_established)(
                                        inet_timewait_death_row *, sock *, u16, inet_timewait_sock **, bint,
                                        u32) noexcept nogil,
                                    inet_bind_bucket **tbp, inet_timewait_sock **twp,
                                    bint *tb_created) noexcept nogil:
    cdef inet_hashinfo *hinfo = death_row.hashinfo
    cdef net *n = sock_net(sk)
    cdef inet_bind_hashbucket *head = &hinfo.bhash[inet_bhashfn(n, <u16>port, hinfo.bhash_size)]
    cdef inet_bind_bucket *tb = inet_bind_bucket_find(head, n, <unsigned short>port, l3mdev)
    if tb != NULL:
        # Someone has bound it; ports that only connect() took may be shared between destinations.
        if tb.fastreuse >= 0 or tb.fastreuseport >= 0:
            return 0
        if check_established(death_row, sk, <u16>port, twp, 1, hash_port0 + <u32>port):
            return 0
        if check_established(death_row, sk, <u16>port, twp, 0, hash_port0 + <u32>port):
            return 0
        tbp[0] = tb
        return 1
    tb = inet_bind_bucket_create(hinfo.bind_bucket_cachep, n, head, <unsigned short>port, l3mdev)
    if tb == NULL:
        return -ENOMEM
    tb_created[0] = 1
    tb.fastreuse = -1
    tb.fastreuseport = -1
    tbp[0] = tb
    return 1


cdef int __inet_hash_connect(inet_timewait_death_row *death_row, sock *sk, u64 port_offset, u32 hash_port0,
                             int (*check_established)(inet_timewait_death_row *, sock *, u16,
                                                      inet_timewait_sock **, bint, u32) noexcept nogil) noexcept nogil:
    cdef inet_hashinfo *hinfo = death_row.hashinfo
    cdef inet_bind_hashbucket *head2
    cdef inet_timewait_sock *tw = NULL
    cdef int port = sk.sk_num
    cdef net *n = sock_net(sk)
    cdef inet_bind2_bucket *tb2
    cdef inet_bind_bucket *tb = NULL
    cdef bint tb_created = 0
    cdef bint local_ports
    cdef u32 remaining, offset, index
    cdef int ret, i, low = 0, high = 0, step, l3mdev
    cdef int found = 0
    cdef bint pinned = 0

    if port:
        return check_established(death_row, sk, <u16>port, NULL, 0, hash_port0 + <u32>port)

    l3mdev = inet_sk_bound_l3mdev(sk)
    local_ports = inet_sk_get_local_port_range(sk, &low, &high)
    step = 1 if local_ports else 2
    high += 1
    remaining = <u32>(high - low)
    if not local_ports and remaining > 1:
        remaining &= ~(<u32>1)
    index = <u32>(port_offset & (INET_TABLE_PERTURB_SIZE - 1))
    i = 0

    if n.hooks.pinned_port != NULL:
        port = n.hooks.pinned_port(n.hooks.ctx, sk)
        if port > 0:
            found = inet_hash_connect_try_port(death_row, sk, port, l3mdev, hash_port0, check_established,
                                               &tb, &tw, &tb_created)
            pinned = found > 0

    if found == 0:
        offset = <u32>(table_perturb_get(n, index) + (port_offset >> 32))
        offset %= remaining
        # First the ports of low's parity: bind() takes the others first.
        if not local_ports:
            offset &= ~(<u32>1)
        while found == 0:
            port = low + <int>offset
            i = 0
            while <u32>i < remaining:
                if port >= high:
                    port -= <int>remaining
                if not inet_is_local_reserved_port(n, <unsigned short>port):
                    found = inet_hash_connect_try_port(death_row, sk, port, l3mdev, hash_port0, check_established,
                                                       &tb, &tw, &tb_created)
                    if found != 0:
                        break
                i += step
                port += step
            if found != 0:
                break
            if not local_ports:
                offset += 1
                if (offset & 1) and remaining > 1:
                    continue
            return -EADDRNOTAVAIL
    if found < 0:
        return found

    ret = 0
    head2 = inet_bhashfn_portaddr(hinfo, sk, n, <unsigned short>port)
    tb2 = inet_bind2_bucket_find(head2, n, <unsigned short>port, l3mdev, sk)
    if tb2 == NULL:
        tb2 = inet_bind2_bucket_create(hinfo.bind2_bucket_cachep, n, head2, tb, sk)
        if tb2 == NULL:
            ret = -ENOMEM
        else:
            tb2.fastreuse = -1
            tb2.fastreuseport = -1

    if ret == 0:
        # A little randomness for the next choice, the less of it the more ports were busy.
        if not pinned:
            i = max_int(i, <int>get_random_u32_below(n, 8) * step)
            hinfo.table_perturb[index] += <u32>(i + step)
        inet_bind_hash(sk, tb, tb2, <unsigned short>port)
        sk.sk_userlocks |= SOCK_CONNECT_BIND
        if sk_unhashed(sk):
            inet_sk(sk).inet_sport = htons(<u16>port)
            inet_ehash_nolisten(sk, <sock *>tw, NULL)
        if tw != NULL:
            inet_twsk_bind_unhash(tw, hinfo)
    else:
        if sk_hashed(sk):
            sock_prot_inuse_add(n, sk.sk_prot, -1)
            __sk_nulls_del_node_init_rcu(sk)
            sk.sk_hash = 0
            inet_sk(sk).inet_sport = 0
            sk.sk_num = 0
            if tw != NULL:
                inet_twsk_bind_unhash(tw, hinfo)
        if tb_created:
            inet_bind_bucket_destroy(tb)
    if tw != NULL:
        inet_twsk_deschedule_put(tw)
    return ret


cdef int inet_hash_connect(inet_timewait_death_row *death_row, sock *sk) noexcept nogil:
    cdef net *n = sock_net(sk)
    cdef u64 port_offset = 0
    cdef u32 hash_port0
    if not sk.sk_num:
        port_offset = inet_sk_port_offset(sk)
    hash_port0 = inet_ehashfn(n, sk.sk_rcv_saddr, 0, sk.sk_daddr, sk.sk_dport)
    return __inet_hash_connect(death_row, sk, port_offset, hash_port0, __inet_check_established)
