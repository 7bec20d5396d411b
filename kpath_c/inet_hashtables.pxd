"""net/ipv4/inet_hashtables.c"""
from kpath_c.headers.tcp cimport *

# alloc_large_system_hash(): how many buckets, of so many bytes. numentries 0: one for every 2^scale bytes of memory.
cdef u32 large_system_hash_entries(const net *n, u32 bucketsize, unsigned long numentries, int scale,
                                   unsigned long high_limit) noexcept nogil
cdef int inet_hashinfo_init(net *n) noexcept nogil
cdef void inet_hashinfo_free(net *n) noexcept nogil

cdef u32 inet_ehashfn(const net *n, __be32 laddr, u16 lport, __be32 faddr, __be16 fport) noexcept nogil
cdef inet_bind_bucket *inet_bind_bucket_create(kmem_cache *cachep, net *n, inet_bind_hashbucket *head,
                                               unsigned short snum, int l3mdev) noexcept nogil
cdef void inet_bind_bucket_destroy(inet_bind_bucket *tb) noexcept nogil
cdef bint inet_bind_bucket_match(const inet_bind_bucket *tb, const net *n, unsigned short port,
                                 int l3mdev) noexcept nogil
cdef inet_bind2_bucket *inet_bind2_bucket_create(kmem_cache *cachep, net *n, inet_bind_hashbucket *head,
                                                 inet_bind_bucket *tb, const sock *sk) noexcept nogil
cdef void inet_bind2_bucket_destroy(kmem_cache *cachep, inet_bind2_bucket *tb) noexcept nogil
cdef inet_bind2_bucket *inet_bind2_bucket_find(const inet_bind_hashbucket *head, const net *n, unsigned short port,
                                               int l3mdev, const sock *sk) noexcept nogil
cdef bint inet_bind2_bucket_match_addr_any(const inet_bind2_bucket *tb, const net *n, unsigned short port,
                                           int l3mdev, const sock *sk) noexcept nogil
cdef inet_bind_hashbucket *inet_bhash2_addr_any_hashbucket(const sock *sk, const net *n, int port) noexcept nogil
cdef int inet_bhash2_update_saddr(sock *sk, void *saddr, int family) noexcept nogil
cdef void inet_bhash2_reset_saddr(sock *sk) noexcept nogil
cdef void inet_bind_hash(sock *sk, inet_bind_bucket *tb, inet_bind2_bucket *tb2, unsigned short port) noexcept nogil
cdef int __inet_inherit_port(const sock *sk, sock *child) noexcept nogil
cdef void inet_put_port(sock *sk) noexcept nogil
cdef bint inet_ehash_insert(sock *sk, sock *osk, bint *found_dup_sk) noexcept nogil
cdef bint inet_ehash_nolisten(sock *sk, sock *osk, bint *found_dup_sk) noexcept nogil
cdef int inet_hash(sock *sk) noexcept nogil
cdef void inet_unhash(sock *sk) noexcept nogil
cdef sock *inet_lookup_reuseport(const net *n, sock *sk, sk_buff *skb, int doff, __be32 saddr, __be16 sport,
                                 __be32 daddr, unsigned short hnum) noexcept nogil
cdef sock *__inet_lookup_listener(const net *n, sk_buff *skb, int doff, __be32 saddr, __be16 sport,
                                  __be32 daddr, unsigned short hnum, int dif, int sdif) noexcept nogil
cdef sock *__inet_lookup_established(const net *n, __be32 saddr, __be16 sport, __be32 daddr, u16 hnum,
                                     int dif, int sdif) noexcept nogil
cdef void sock_gen_put(sock *sk) noexcept nogil
cdef int __inet_hash_connect(inet_timewait_death_row *death_row, sock *sk, u64 port_offset, u32 hash_port0,
                             int (*check_established)(inet_timewait_death_row *, sock *, u16,
                                                      inet_timewait_sock **, bint, u32) noexcept nogil) noexcept nogil
cdef int inet_hash_connect(inet_timewait_death_row *death_row, sock *sk) noexcept nogil
