# SPDX-License-Identifier: GPL-2.0-only
"""Decodes TCP packets into a table of C structs, tells the local side's from the rest, and groups connections.

The same code reads a capture and what was emitted, so a fault in it cannot make the two look alike by accident: each
field is compared as read from the headers. Nothing here is a Python object per packet. Addresses are numbered, by each
table for itself.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from .bigmem cimport Column, big_alloc, big_free, grow
from .records cimport RECORD, Packet, Walk, be16, usual_record

cdef extern from "<arpa/inet.h>":
    enum:
        AF_INET
        AF_INET6
    int inet_pton(int family, const char *text, void *address) nogil

cdef enum:
    MANY = 8192         # connections that a cache has not room for
    FETCH = 24          # segments looked ahead to fetch theirs
    DIGIT = 10          # bits that are sorted by at once
    LEAST = 20          # bytes of a packet that is in a table: a whole IP header

FLAG_NAMES = ((0x02, "S"), (0x01, "F"), (0x04, "R"), (0x08, "P"), (0x20, "U"), (0x40, "E"), (0x80, "W"), (0x100, "A"),
              (0x10, "."))


cdef inline uint32_t be32(const uint8_t *p) noexcept nogil:
    return (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3]


cdef inline uint64_t mix(uint64_t h, uint64_t v) noexcept nogil:
    h = (h ^ v) * <uint64_t>0x9E3779B97F4A7C15
    return h ^ (h >> 29)


cdef inline void decode_options(Seg *s, const uint8_t *p, Py_ssize_t n) noexcept nogil:
    """Fills the option fields."""
    if n == 12 and be32(p) == 0x0101080A:   # what most segments have
        s.ts = 1
        s.tsval = be32(p + 4)
        s.tsecr = be32(p + 8)
        s.opts = mix(0, 0x80A) + s.tsecr
    elif n:
        decode_any_options(s, p, n)


cdef void decode_any_options(Seg *s, const uint8_t *p, Py_ssize_t n) noexcept nogil:
    """Like score.py: padding does not count and a broken option ends the list."""
    cdef Py_ssize_t at = 0, i
    cdef uint8_t kind, size
    cdef uint64_t h = 0
    while at < n:
        kind = p[at]
        if kind < 2:
            at += 1
            continue
        if at + 1 >= n or p[at + 1] < 2 or at + p[at + 1] > n:
            break
        size = p[at + 1]
        h = mix(h, (<uint64_t>kind << 8) | size)
        i = at + 2
        if kind == 8 and size == 10:
            s.ts = 1
            s.tsval = be32(p + i)
            s.tsecr = be32(p + i + 4)
            i += 8
        elif kind == 2 and size == 4:
            s.mss = be16(p + i)
        elif kind == 3 and size == 3:
            s.wscale = p[i]
        elif kind == 4:
            s.sackok = 1
        elif kind == 5:
            s.nsack += min((size - 2) >> 3, 4 - s.nsack)
        while i + 4 <= at + size:
            h = mix(h, be32(p + i))
            i += 4
        while i < at + size:
            h = mix(h, <uint64_t>p[i] | 0x100)
            i += 1
        at += size
    s.opts = h + s.tsecr


cdef inline void clear_options(Seg *s) noexcept nogil:
    """Nothing is known of options and the like. Field by field: the compiler makes two stores of that."""
    s.opts = 0
    s.tsval = s.tsecr = 0
    s.mss = 0
    s.ts = s.sackok = s.nsack = s.v6 = s.bad = s.partial = 0
    s.hash = 0
    s.conn, s.wscale, s.side = -1, 255, FOREIGN


cdef inline void clear(Seg *s) noexcept nogil:
    """Nothing is known of what the packet says."""
    memset(&s.saddr, 0, <char *>(s + 1) - <char *>&s.saddr)
    clear_options(s)


cdef inline uint64_t end_hash(uint64_t high, uint64_t low, uint16_t port) noexcept nogil:
    """Of one end of a connection; the sum of both ends' tells which part it belongs to, see Table.keep."""
    return mix(high * <uint64_t>0xD6E8FEB86659FD93 + low, port)


cdef struct Phase:
    int64_t t                   # of a connection's first segment with a timestamp
    int64_t least               # how much nearer to a tick another one lies
    int64_t n
    uint32_t tsval


cdef struct Traffic:            # what one address sent to another, see Table.addresses
    int64_t v[7]


cdef inline void count_segment(Traffic *d, const Seg *s) noexcept nogil:
    d.v[0] += 1
    if s.flags & SYN:
        d.v[2 if s.flags & ACK else 1] += 1
    d.v[3] = min(d.v[3] if d.v[0] > 1 else 255, s.ttl)
    d.v[4] = max(d.v[4], s.ttl)
    d.v[5] += s.len > 9000
    d.v[6] += s.partial


cdef inline uint32_t tuple_hash(uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport) noexcept nogil:
    """The same for both directions, and never 0."""
    cdef uint64_t a = (<uint64_t>laddr << 16) | lport, b = (<uint64_t>raddr << 16) | rport
    return <uint32_t>(mix(mix(0, a + b), a ^ b) >> 32) | <uint32_t>0x80000000


cdef inline uint32_t hash_of(Seg *s) noexcept nogil:
    """The hash of a segment's connection, kept."""
    if s.hash == 0:
        s.hash = tuple_hash(s.saddr, s.sport, s.daddr, s.dport)
    return s.hash


#: added to an IPv6 address as a number, so that no IPv4 one is the same
V6 = 1 << 128
MAPPED = 0xFFFF << 32


def dotted(a):
    """A host-order address, as `packed` gives it, as text."""
    if a < V6:
        return f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}"
    from ipaddress import IPv6Address   # not inet_ntop(), which ends some addresses with a dotted one

    return str(IPv6Address(a - V6))


def packed(text):
    """An address as a host-order number; IPv6's have bit 128 set too. ValueError when it is none."""
    cdef uint8_t address[16]
    cdef bytes raw = text.encode("utf-8", "replace")
    cdef bint v6 = ":" in text
    if b"\0" in raw or inet_pton(AF_INET6 if v6 else AF_INET, raw, address) != 1:
        raise ValueError(f"expected an IP address, found {text!r}")
    if not v6:
        return be32(address)
    return V6 + ((int(be64(address)) << 64) | be64(address + 8))


@cython.final
cdef class Table:
    """The TCP segments of a set of IP packets, in the packets' order, and their connections.

    The packets may be a window of a longer capture: `decode` puts the next one in its place, `split_on` goes on with
    the connections. `base` is the number of segments in the windows before.

    `problems`: what was wrong with packets, {kind: [count, first row, text]}; rows are into the columns given.
    """

    def __cinit__(self):
        self.problems = {}
        self.icmp = []
        self.icmp_of_none = True
        self.parts = 1
        self.recent = -1
        self.names = None

    def __dealloc__(self):
        big_free(self.seg, self.room * sizeof(Seg))
        free(self.direction)
        free(self.direction_slots)
        free(self.conn)
        free(self.slots)
        free(self.local)
        free(self.touched)
        free(self.end_addr)
        free(self.end_port)
        free(self.now)
        free(self.addr)
        free(self.addr_slots)

    def __len__(self):
        return self.n

    # -- decoding

    def read(self, Walk walk not None, Py_ssize_t limit):
        """Reads the next `limit` IP packets of a capture, or as many as there are.

        Their segments take the place of those of the window before; the connections stay.
        """
        cdef Packet a, other
        cdef Py_ssize_t row = 0
        cdef Seg *s
        walk.window(limit)
        self.buf = walk.buf
        self.begin(min(limit, walk.size // (RECORD + LEAST) + 1))
        s = self.seg
        while row < limit:
            if not usual_record(walk, &a):
                if not walk.next_packet(&other):
                    break
                a = other       # a copy, so that usual packets need not go through memory
            s += take(self, &a, s, row)
            row += 1
        self.n, self.rows = s - self.seg, row
        return self

    def decode_emitted(self, const uint8_t[::1] hdr not None, const int64_t[::1] t, const int64_t[::1] off,
                       const int[::1] hlen, const int[::1] plen):
        """Reads what `Host.emitted_buffers` gives. The headers are copied: those buffers do not last."""
        cdef Py_ssize_t i, n = t.shape[0]
        cdef Packet a
        cdef Seg *s
        self.begin(n)
        self.naddr = self.ndirection = 0
        self.current[0] = self.current[1] = NULL
        self.names = self.words = None
        if self.naddr_slots:
            memset(self.addr_slots, 0, self.naddr_slots * sizeof(uint32_t))
        if self.ndirection_slots:
            memset(self.direction_slots, 0, self.ndirection_slots * sizeof(uint32_t))
        if n == 0:
            return self
        self.buf = bytearray(hdr)
        s = self.seg
        for i in range(n):
            a.p, a.t, a.off = &self.buf[0] + off[i], t[i], off[i]
            a.caplen, a.origlen = hlen[i], <int64_t>hlen[i] + plen[i]
            s += take(self, &a, s, i)
        self.n, self.rows = s - self.seg, n
        return self

    cdef int begin(self, Py_ssize_t room) except -1:
        """A window begins, of at most so many segments."""
        self.base += self.n
        self.rows_before += self.rows
        self.n = self.rows = self.npartial = 0
        self.problems.clear()
        self.icmp.clear()
        self.touch_none()
        if room > self.room:
            self.make_room(room)
        return 0

    cdef int make_room(self, Py_ssize_t room) except -1:
        """Room for so many segments, and some more: windows of emitted ones are not all as long as the first."""
        if self.room:
            room += room // 2
        big_free(self.seg, self.room * sizeof(Seg))
        self.seg, self.room = NULL, 0
        self.seg = <Seg *>big_alloc(room * sizeof(Seg))
        self.room = room
        return 0

    cdef bint elsewhere(self, const uint8_t *p, int64_t caplen, int64_t origlen) noexcept nogil:
        """Is an IPv4 packet a segment in good order of another part's connection? Decoding it would be vain."""
        cdef int64_t total, thl
        if caplen < 40 or p[0] != 0x45 or p[9] != 6 or be16(p + 6) & 0x3FFF:
            return False
        total, thl = be16(p + 2), (p[32] >> 4) * 4
        if total > origlen or thl < 20 or thl + 20 > total or thl + 20 > caplen:
            return False
        return (end_hash(0, MAPPED_V4 | be32(p + 12), be16(p + 20)) +
                end_hash(0, MAPPED_V4 | be32(p + 16), be16(p + 22))) % <uint64_t>self.parts != <uint64_t>self.part

    cdef uint64_t part_of(self, const Conn *p) noexcept nogil:
        """The part that a connection belongs to."""
        cdef Address *a = &self.addr[p.laddr]
        cdef Address *b = &self.addr[p.raddr]
        return (end_hash(a.high, a.low, p.lport) + end_hash(b.high, b.low, p.rport)) % <uint64_t>self.parts

    cdef Py_ssize_t take_any(self, Seg *s, const uint8_t *p) except -1:
        """`take` for any packet; notes what one is that is no good segment."""
        cdef Direction *d
        cdef int what
        clear(s)
        what = read_any(s, p, s.caplen, s.origlen)
        if what == 6:
            return finish(self, s, p, p + ip_length(p), s.hlen - ip_length(p) + <int64_t>s.len)
        if what == ICMP:
            self.icmp.append((s.row, s.t, s.off, s.caplen, s.origlen))
        if what >= 0:
            return 0
        self.problem(what, s.row, s.caplen, s.origlen)
        if what <= SKIPPED:
            return 0
        d = direction_of(self, s, p)
        s.saddr, s.daddr = d.src, d.dst
        return 1

    cdef Direction *other_direction(self, const Seg *s, const uint8_t *p) except NULL:
        cdef Address src, dst
        cdef uint32_t a, b
        cdef int k
        cdef Direction *d
        read_addresses(p, &src, &dst)
        a, b = <uint32_t>self.number(&src), <uint32_t>self.number(&dst)
        for k in range(2):
            d = self.current[k]
            if d != NULL and d.src == a and d.dst == b:
                return d
        d = self.new_direction(a, b)
        d.sum = fold(sum16(p + 8, 32, 6) if s.v6 else sum16(p + 12, 8, 6))
        self.current[1], self.raw[1] = self.current[0], self.raw[0]
        self.current[0], self.raw[0] = d, 0 if s.v6 else raw_addresses(p)
        return d

    cdef Direction *new_direction(self, uint32_t src, uint32_t dst) except NULL:
        """A direction, made now if there is none."""
        cdef Direction *p
        cdef Direction *before = self.direction
        cdef Py_ssize_t at
        cdef int k
        if self.ndirection * 2 >= self.ndirection_slots:
            self.grow_directions()
        at = self.direction_slot(src, dst)
        if self.direction_slots[at]:
            return &self.direction[self.direction_slots[at] - 1]
        grow(<void **>&self.direction, &self.direction_room, self.ndirection + 1, sizeof(Direction))
        for k in range(2):
            if self.current[k] != NULL:
                self.current[k] = self.direction + (self.current[k] - before)
        p = &self.direction[self.ndirection]
        memset(p, 0, sizeof(Direction))
        p.src, p.dst = src, dst
        self.ndirection += 1
        self.direction_slots[at] = <uint32_t>self.ndirection
        return p

    cdef Py_ssize_t direction_slot(self, uint32_t src, uint32_t dst) noexcept nogil:
        """Where the number of a direction stands, or is to stand."""
        cdef uint64_t at = mix(0, (<uint64_t>src << 32) | dst) & <uint64_t>(self.ndirection_slots - 1)
        cdef Direction *p
        while self.direction_slots[at]:
            p = &self.direction[self.direction_slots[at] - 1]
            if p.src == src and p.dst == dst:
                break
            at = (at + 1) & <uint64_t>(self.ndirection_slots - 1)
        return at

    cdef int grow_directions(self) except -1:
        cdef Py_ssize_t i
        free(self.direction_slots)
        self.ndirection_slots = self.ndirection_slots * 2 if self.ndirection_slots else 64
        self.direction_slots = <uint32_t *>calloc(self.ndirection_slots, sizeof(uint32_t))
        if self.direction_slots == NULL:
            self.ndirection_slots = 0
            raise MemoryError
        for i in range(self.ndirection):
            self.direction_slots[self.direction_slot(self.direction[i].src, self.direction[i].dst)] = <uint32_t>(i + 1)
        return 0

    # -- addresses

    cdef Py_ssize_t address_slot(self, const Address *a) noexcept nogil:
        """Where the number of an address stands, or is to stand."""
        cdef uint64_t at = mix(mix(0, a.high), a.low) & <uint64_t>(self.naddr_slots - 1)
        cdef Address *p
        while self.addr_slots[at]:
            p = &self.addr[self.addr_slots[at] - 1]
            if p.low == a.low and p.high == a.high:
                break
            at = (at + 1) & <uint64_t>(self.naddr_slots - 1)
        return at

    cdef int64_t find_address(self, const Address *a) noexcept nogil:
        """The number of an address, or -1."""
        return <int64_t>self.addr_slots[self.address_slot(a)] - 1 if self.naddr_slots else -1

    cdef inline int64_t number(self, const Address *a) except -1:
        """The number of an address, given to it now if it has none."""
        cdef int64_t i
        cdef int k
        for k in range(2):      # mostly one of the last two
            i = self.recent_addr[k]
            if i < self.naddr and self.addr[i].low == a.low and self.addr[i].high == a.high:
                return i
        return self.other_number(a)

    cdef int64_t other_number(self, const Address *a) except -1:
        cdef int64_t i = self.find_address(a)
        if i < 0:
            if self.naddr * 2 >= self.naddr_slots:
                self.grow_addresses()
            i = self.naddr
            self.addr[i] = a[0]
            self.naddr += 1
            self.addr_slots[self.address_slot(a)] = <uint32_t>(i + 1)
        self.recent_addr[1] = self.recent_addr[0]
        self.recent_addr[0] = i
        return i

    cdef int grow_addresses(self) except -1:
        cdef Py_ssize_t i, slots = self.naddr_slots * 2 if self.naddr_slots else 64
        cdef Address *p = <Address *>realloc(self.addr, slots // 2 * sizeof(Address))
        if p == NULL:
            raise MemoryError
        self.addr = p
        free(self.addr_slots)
        self.naddr_slots = 0
        self.addr_slots = <uint32_t *>calloc(slots, sizeof(uint32_t))
        if self.addr_slots == NULL:
            raise MemoryError
        self.naddr_slots = slots
        for i in range(self.naddr):
            self.addr_slots[self.address_slot(&self.addr[i])] = <uint32_t>(i + 1)
        return 0

    cdef int64_t number_of(self, a) except -2:
        """The number of an address as `packed` gives it, or -1."""
        cdef Address address
        whole = a - V6 if a >= V6 else MAPPED + a
        address.high, address.low = whole >> 64, whole & 0xFFFFFFFFFFFFFFFF
        return self.find_address(&address)

    cdef bint is_v6(self, uint32_t number) noexcept nogil:
        return self.addr[number].high != 0 or self.addr[number].low >> 32 != 0xFFFF

    def address_words(self):
        """All addresses by their numbers, for `Host.pin_all` and `Host.add_calls`: two int64 each, see `Address`."""
        cdef Column out = self.words
        cdef Py_ssize_t i
        if out is None or out.room < 2 * self.naddr:
            out = self.words = Column(4 * self.naddr)
        for i in range(out.n // 2, self.naddr):
            out.p[2 * i], out.p[2 * i + 1] = <int64_t>self.addr[i].high, <int64_t>self.addr[i].low
        out.n = 2 * self.naddr
        return memoryview(out)

    cdef object text(self, uint32_t number):
        cdef Address *a
        if self.names is not None:
            return self.names.text(number)
        a = &self.addr[number]
        whole = (int(a.high) << 64) | a.low
        return dotted(whole - MAPPED if whole >> 32 == 0xFFFF else V6 + whole)

    def problem(self, int what, Py_ssize_t row, caplen, origlen):
        found = self.problems.get(what)
        if found is None:
            self.problems[what] = [1, row, PROBLEMS[what].format(caplen=caplen, origlen=origlen)]
        else:
            found[0] += 1

    # -- connections

    cdef int32_t find(self, uint32_t hashed, uint32_t laddr, uint16_t lport, uint32_t raddr,
                      uint16_t rport) noexcept nogil:
        """The newest connection between two ends, of whose `tuple_hash` comes first, or -1."""
        cdef uint32_t at
        cdef int32_t c
        cdef Conn *p
        if self.nconn == 0:
            return -1
        at = hashed & <uint32_t>(self.nslots - 1)
        while self.slots[at]:
            c = self.slots[at] - 1
            p = &self.conn[c]
            if p.laddr == laddr and p.raddr == raddr and p.lport == lport and p.rport == rport:
                return c
            at = (at + 1) & <uint32_t>(self.nslots - 1)
        return -1

    cdef int32_t look_up(self, Seg *s) noexcept nogil:
        """The same for a segment whose side is not known yet but shows by the connection, as that has one end here."""
        cdef uint32_t at
        cdef int32_t c
        if self.nconn == 0:
            return -1
        at = hash_of(s) & <uint32_t>(self.nslots - 1)
        while self.slots[at]:
            c = self.slots[at] - 1
            if self.conn[c].apart and is_between(s, &self.conn[c]):
                self.recent = c
                return c
            at = (at + 1) & <uint32_t>(self.nslots - 1)
        return -1

    cdef int32_t open(self, Seg *s, int64_t at, int32_t earlier) except -2:
        """A new connection for the 4-tuple of `s`; from then on `find` returns it."""
        cdef Conn *p
        if self.nconn == self.conn_room:
            grow(<void **>&self.conn, &self.conn_room, self.nconn + 1, sizeof(Conn))
            self.rehash(self.conn_room * 4)
            self.room_for(self.conn_room)
        p = &self.conn[self.nconn]
        memset(p, 0, sizeof(Conn))
        if s.side == SENT:
            p.laddr, p.lport, p.raddr, p.rport = s.saddr, s.sport, s.daddr, s.dport
        else:
            p.laddr, p.lport, p.raddr, p.rport = s.daddr, s.dport, s.saddr, s.sport
        p.earlier = earlier
        p.first = at
        p.row = self.rows_before + s.row
        p.syn_out = p.syn_in = -1
        p.out.wscale = p.got.wscale = 255
        p.apart = self.is_local(p.laddr, p.lport) and not self.is_local(p.raddr, p.rport)
        self.recent = <int32_t>self.nconn if p.apart else -1
        self.nconn += 1
        self.put(<int32_t>(self.nconn - 1))
        return <int32_t>(self.nconn - 1)

    cdef int rehash(self, Py_ssize_t nslots) except -1:
        cdef Py_ssize_t i
        free(self.slots)
        self.nslots = nslots
        self.slots = <int32_t *>calloc(nslots, sizeof(int32_t))
        if self.slots == NULL:
            raise MemoryError
        for i in range(self.nconn):
            self.put(<int32_t>i)
        return 0

    cdef void put(self, int32_t c) noexcept nogil:
        cdef Conn *p = &self.conn[c]
        cdef Conn *q
        cdef uint32_t at = tuple_hash(p.laddr, p.lport, p.raddr, p.rport) & <uint32_t>(self.nslots - 1)
        while self.slots[at]:
            q = &self.conn[self.slots[at] - 1]
            if q.laddr == p.laddr and q.raddr == p.raddr and q.lport == p.lport and q.rport == p.rport:
                break
            at = (at + 1) & <uint32_t>(self.nslots - 1)
        self.slots[at] = c + 1

    cdef int32_t connection_of(self, Seg *s, int64_t at) except -2:
        """The connection of a segment; opens a new one where its SYN says so, and keeps the connection's books."""
        cdef int32_t c
        cdef Conn *p
        cdef bint ours = s.side == SENT, fresh = False
        if self.recent >= 0 and is_between(s, &self.conn[self.recent]):
            c = self.recent
        elif ours:
            c = self.find(hash_of(s), s.saddr, s.sport, s.daddr, s.dport)
        else:
            c = self.find(hash_of(s), s.daddr, s.dport, s.saddr, s.sport)
        if c < 0:
            c = self.open(s, at, -1)
            fresh = True
        p = &self.conn[c]
        # until a SYN has got an answer of its own, what is sent belongs to the connection before (adopt() is blind)
        if ours and not s.flags & SYN:
            while p.syn_out < 0 and p.earlier >= 0:
                c = p.earlier
                p = &self.conn[c]
        if s.flags & SYN and not s.bad:
            if ours:
                # only an ISN of our own begins a new connection for certain: SYNs that arrive may be forged
                if p.syn_out >= 0 and p.isn_out != s.seq:
                    c = self.open(s, at, c)
                elif p.syn_out < 0 and p.n_out > p.rst_out and s.seq != p.isn_out:
                    c = self.open(s, at, c)
                p = &self.conn[c]
                if p.syn_out < 0:
                    p.syn_out = at
                    p.isn_out = s.seq
                    p.synack_out = (s.flags & ACK) != 0
                    note_syn(&p.out, s)
            else:
                if not fresh and not s.flags & ACK and over(p) and not (p.syn_in >= 0 and p.isn_in == s.seq):
                    c = self.open(s, at, c)
                    p = &self.conn[c]
                if p.syn_in < 0:
                    p.syn_in = at
                    p.isn_in = s.seq
                    p.synack_in = (s.flags & ACK) != 0
                    note_syn(&p.got, s)
        if ours:
            p.n_out += 1
            p.rst_out += (s.flags & RST) != 0
            p.fin_out |= s.flags & FIN
        else:
            p.n_in += 1
            p.rst_in += (s.flags & RST) != 0
            p.fin_in |= s.flags & FIN
        if s.flags & RST:
            p.rst = 1
        return c

    cdef bint is_local(self, uint32_t addr, uint16_t port) noexcept nogil:
        cdef Py_ssize_t k
        for k in range(self.nends):
            if self.end_addr[k] == addr and (self.end_port[k] == 0 or self.end_port[k] == port):
                return True
        return False

    cdef int side_of(self, const Seg *s) noexcept nogil:
        if self.is_local(s.saddr, s.sport):
            return SENT
        return ARRIVED if self.is_local(s.daddr, s.dport) else FOREIGN

    def split(self, locals_):
        """Sets each segment's side and connection. locals_: [(address as `packed` gives it, port or 0)].

        All that was known of connections is forgotten.
        """
        self.nconn = 0
        self.recent = -1
        if self.nslots:
            memset(self.slots, 0, self.nslots * sizeof(int32_t))
        self.ends = list(locals_)
        self.split_window()

    def split_on(self):
        """The same for the next window: its connections are those of the windows before, and new ones."""
        self.split_window()

    cdef int number_ends(self) except -1:
        """Numbers the addresses of the local side anew: this window may be the first where one occurs."""
        cdef Py_ssize_t k, room = 0
        self.nends = 0
        free(self.end_addr)
        free(self.end_port)
        self.end_addr, self.end_port = NULL, NULL
        grow(<void **>&self.end_addr, &room, len(self.ends), sizeof(int64_t))
        room = 0
        grow(<void **>&self.end_port, &room, len(self.ends), sizeof(uint16_t))
        for k in range(len(self.ends)):
            self.end_addr[k], self.end_port[k] = self.number_of(self.ends[k][0]), self.ends[k][1]
        self.nends = len(self.ends)
        return 0

    cdef int split_window(self) except -1:
        cdef Py_ssize_t known = self.nconn
        cdef Seg *s = self.seg
        cdef Seg *end = self.seg + self.n
        cdef Seg *behind
        cdef bint many
        self.number_ends()
        self.touch_none()
        while s < end:
            many = self.nconn > MANY
            if many and end - s > FETCH:
                self.fetch(s + FETCH, s + FETCH // 2)
            behind = run(self, s, s + 1 if many else end)
            if behind == s:
                self.split_one(s)
                behind = s + 1
            s = behind
        self.finish_touched()
        self.mark_new(known)
        return 0

    cdef int split_one(self, Seg *s) except -1:
        """The same for a segment of whatever kind."""
        s.side, s.conn = self.side_of(s), -1
        if s.side != FOREIGN:
            join(self, s, self.connection_of(s, self.base + (s - self.seg)))
        return 0

    cdef inline void fetch(self, Seg *far, Seg *near) noexcept nogil:
        """Fetches into the cache what `find` will look at for two segments that come soon: first a slot, then more.

        Which of their ends is the local one is not known: the hash is the same for both.
        """
        cdef int32_t c
        prefetch(&self.slots[hash_of(far) & <uint32_t>(self.nslots - 1)])
        c = self.slots[hash_of(near) & <uint32_t>(self.nslots - 1)] - 1
        if c >= 0:
            prefetch(&self.conn[c])
            prefetch(<char *>&self.conn[c] + 64)

    cdef int room_for(self, Py_ssize_t nconn) except -1:
        """Room in `local` for so many connections."""
        cdef Py_ssize_t k = self.local_room
        grow(<void **>&self.local, &self.local_room, nconn, sizeof(int32_t))
        while k < self.local_room:
            self.local[k] = -1
            k += 1
        return 0

    cdef void touch_none(self) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(self.ntouched):
            self.local[self.touched[i].conn] = -1
        self.ntouched = 0

    cdef int32_t touch(self, Seg *s, int32_t c) except -1:
        """Segment s is the first one of connection c in this window: the connection's place in `touched`."""
        cdef Touched *w
        grow(<void **>&self.touched, &self.touched_room, self.ntouched + 1, sizeof(Touched))
        w = &self.touched[self.ntouched]
        w.conn = c
        w.first = w.last = s
        w.last_sent = NULL
        w.nsent = 0
        self.local[c] = <int32_t>self.ntouched
        self.ntouched += 1
        return self.local[c]

    cdef int finish_touched(self) except -1:
        """All segments have been linked. Sorts `touched`, which mostly is in order."""
        cdef Py_ssize_t i
        for i in range(1, self.ntouched):
            if self.touched[i].conn < self.touched[i - 1].conn:
                self.sort_touched()
                break
        for i in range(self.ntouched):
            self.touched[i].last.next = NULL
            self.local[self.touched[i].conn] = <int32_t>i

    cdef int sort_touched(self) except -1:
        """By connection: a digit of ten bits at a time, from the lowest one on, as many as the numbers have."""
        cdef Py_ssize_t n = self.ntouched, i, place, count
        cdef Py_ssize_t at[1 << DIGIT]
        cdef int shift = 0
        cdef int32_t last = 0
        cdef Touched *from_ = self.touched
        cdef Touched *to = <Touched *>malloc(self.touched_room * sizeof(Touched))
        if to == NULL:
            raise MemoryError
        for i in range(n):
            last = max(last, from_[i].conn)
        while shift < 32 and last >> shift:
            memset(at, 0, sizeof(at))
            for i in range(n):
                at[(from_[i].conn >> shift) & (1 << DIGIT) - 1] += 1
            place = 0
            for i in range(1 << DIGIT):
                count = at[i]
                at[i] = place
                place += count
            for i in range(n):
                count = (from_[i].conn >> shift) & (1 << DIGIT) - 1
                to[at[count]] = from_[i]
                at[count] += 1
            from_, to = to, from_
            shift += DIGIT
        self.touched = from_
        free(to)
        return 0

    cdef Seg *first_of(self, Py_ssize_t c) noexcept nogil:
        """The first segment of a connection in this window, or NULL; they are linked by `next`."""
        cdef Py_ssize_t k = self.local_of(c)
        return self.touched[k].first if k >= 0 else NULL

    cdef Py_ssize_t nsent(self, Py_ssize_t c) noexcept nogil:
        """How many segments a connection has sent in this window."""
        cdef Py_ssize_t k = self.local_of(c)
        return self.touched[k].nsent if k >= 0 else 0

    cdef Seg *last_sent(self, Py_ssize_t c) noexcept nogil:
        """The last of these, or NULL; they are linked by `before`."""
        cdef Py_ssize_t k = self.local_of(c)
        return self.touched[k].last_sent if k >= 0 else NULL

    cdef void fetch_sent(self, Py_ssize_t c) noexcept nogil:
        """Fetches what `sent` will look at first into the cache."""
        prefetch(self.last_sent(c))

    cdef Py_ssize_t sent(self, Py_ssize_t c, Seg **out) noexcept nogil:
        """Puts these into `out`, in order."""
        cdef Py_ssize_t i, n = self.nsent(c)
        cdef Seg *s = self.last_sent(c)
        for i in range(n - 1, -1, -1):
            out[i] = s
            s = s.before
        return n

    cdef inline Py_ssize_t local_of(self, Py_ssize_t c) noexcept nogil:
        """The place of a connection among those of this window, or -1."""
        return self.local[c] if c < self.local_room else -1

    cdef void mark_new(self, Py_ssize_t first) noexcept:
        """Marks of the connections from `first` on those that are not replayed.

        Those that were open when the capture began have no SYN, and were not all resets. Those of another part are
        another process's.
        """
        cdef Py_ssize_t i
        cdef Conn *p
        for i in range(first, self.nconn):
            p = &self.conn[i]
            if self.parts > 1 and self.part_of(p) != <uint64_t>self.part:
                p.skip = ELSEWHERE
                self.skips = True
            # a host without the connection answers all but a reset with a reset
            elif p.syn_out < 0 and not (p.syn_in >= 0 and p.syn_in == p.first) and (
                    p.n_out > p.rst_out or (p.n_out == 0 and p.n_in > p.rst_in)):
                p.skip = OPEN_BEFORE
                self.skips = True

    def keep(self, int part, int parts):
        """Of the connections keeps one part: a 4-tuple's are all in the same one.

        In the windows to come segments of the others are left out as far as it is easily seen.

        ICMP messages stay with the connection that they are about; those about none with part 0. Needs `split`.
        """
        self.part, self.parts = part, parts
        self.mark_new(0)
        self.icmp_of_none = part == 0

    cdef bint keeps_icmp(self, const uint8_t *p, Py_ssize_t n) noexcept:
        """Is the ICMP error p, an IP packet of which n bytes are there, for this part?"""
        cdef Py_ssize_t quoted = 48 if p[0] >> 4 == 6 else (p[0] & 15) * 4 + 8
        cdef Py_ssize_t ports
        cdef Address local, remote
        cdef int64_t a, b
        cdef int32_t c = -1
        if n >= quoted + 20:
            ports = quoted + (40 if p[quoted] >> 4 == 6 else (p[quoted] & 15) * 4)
            if n >= ports + 4 and (p[0] >> 4 == 4 or n >= quoted + 40):
                read_addresses(p + quoted, &local, &remote)
                a, b = self.find_address(&local), self.find_address(&remote)
                if a >= 0 and b >= 0:
                    c = self.find(tuple_hash(<uint32_t>a, be16(p + ports), <uint32_t>b, be16(p + ports + 2)),
                                  <uint32_t>a, be16(p + ports), <uint32_t>b, be16(p + ports + 2))
        return self.icmp_of_none if c < 0 else self.conn[c].skip != ELSEWHERE

    cdef int32_t same_isn(self, Table other, Seg *s, int32_t newest) noexcept:
        cdef int32_t c = newest
        while c >= 0:
            if other.conn[c].syn_out >= 0 and other.conn[c].isn_out == s.seq:
                return c
            c = other.conn[c].earlier
        return -1

    def adopt(self, Table other):
        """Gives this table of emitted segments the connections of the capture's table `other`.

        A 4-tuple that was used again is told apart by the ISN. Returns the number of segments of no known connection;
        these get connections of their own in `other`.
        """
        cdef Py_ssize_t i
        cdef Seg *s
        cdef int32_t newest, c
        cdef Py_ssize_t strange = 0, k
        cdef uint32_t *numbers = <uint32_t *>malloc((self.naddr + 1) * sizeof(uint32_t))
        try:
            if numbers == NULL:
                raise MemoryError
            for i in range(self.naddr):
                numbers[i] = <uint32_t>other.number(&self.addr[i])
            self.names = other
            for i in range(min(FETCH, self.n)):
                self.seg[i].saddr, self.seg[i].daddr = numbers[self.seg[i].saddr], numbers[self.seg[i].daddr]
            for i in range(self.n):
                if i + FETCH < self.n:
                    s = &self.seg[i + FETCH]
                    s.saddr, s.daddr = numbers[s.saddr], numbers[s.daddr]
                    if other.nconn > MANY:
                        other.fetch(s, &self.seg[i + FETCH // 2])
                s = &self.seg[i]
                s.side = SENT
                newest = found(other, s)
                if newest < 0:
                    newest = other.open(s, -1, -1)
                if other.nconn > self.now_room:
                    k = self.now_room
                    grow(<void **>&self.now, &self.now_room, other.nconn, sizeof(int32_t))
                    while k < self.now_room:
                        self.now[k] = -1
                        k += 1
                    self.room_for(self.now_room)
                c = self.now[newest]
                if c < 0:
                    c = newest
                    while other.conn[c].earlier >= 0:
                        c = other.conn[c].earlier
                if s.flags & SYN:
                    k = self.same_isn(other, s, newest)
                    if k >= 0:
                        c = <int32_t>k
                self.now[newest] = c
                join(self, s, c)
                strange += other.conn[c].first < 0
        finally:
            free(numbers)
        self.finish_touched()
        return strange

    # -- what Python asks for

    def arrivals(self, locals_):
        """Columns of the packets to be delivered: (t, off, caplen, origlen, row), time order, memoryviews of int64.

        TCP segments to the local side but those of connections that were open before the capture, and ICMP messages to
        it. Times never go back: where a capture's do, by no more than its writer's queues, its order is right.
        """
        cdef Py_ssize_t begin = 0, end
        cdef Arrivals r
        cdef Packet m
        cdef int64_t row
        addresses = {address for address, _ in locals_}
        wanted = [w for w in self.icmp if destination(&self.buf[0] + <int64_t>w[2]) in addresses
                  and self.keeps_icmp(&self.buf[0] + <int64_t>w[2], w[3])]
        columns = self.room_for_arrivals(self.n + len(wanted))
        r.t, r.off, r.caplen = (<Column>columns[0]).p, (<Column>columns[1]).p, (<Column>columns[2]).p
        r.origlen, r.row = (<Column>columns[3]).p, (<Column>columns[4]).p
        r.n, r.last = 0, self.delivered_t
        for row, m.t, m.off, m.caplen, m.origlen in wanted:
            end = self.behind(row)
            self.deliver_all(&r, begin, end)
            deliver(&r, m.t, m.off, m.caplen, m.origlen, row)
            begin = end
        self.deliver_all(&r, begin, self.n)
        self.delivered_t = r.last
        for column in columns:
            (<Column>column).n = r.n
        return tuple([memoryview(c) for c in columns])

    cdef tuple room_for_arrivals(self, Py_ssize_t n):
        """Five columns of so many rows. Those of the first window are the host's to use on."""
        if self.base and self.columns is not None and (<Column>self.columns[0]).room >= n:
            return self.columns
        columns = tuple([Column(n) for _ in range(5)])
        self.columns = columns if self.base else None
        return columns

    cdef Py_ssize_t behind(self, int64_t row) noexcept nogil:
        """The first segment behind a row of the window."""
        cdef Py_ssize_t low = 0, high = self.n, mid
        while low < high:
            mid = (low + high) // 2
            if self.seg[mid].row < row:
                low = mid + 1
            else:
                high = mid
        return low

    cdef void deliver_all(self, Arrivals *r, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Adds those of the segments begin..end-1 that are to be delivered."""
        cdef Seg *s = self.seg + begin
        cdef Seg *stop = self.seg + end
        cdef const Conn *conn = self.conn
        cdef bint skips = self.skips
        cdef Arrivals to = r[0]     # a copy, which the compiler can keep in registers
        while s < stop:
            if s.side == ARRIVED and not (skips and conn[s.conn].skip):
                deliver(&to, s.t, s.off, s.caplen, s.origlen, s.row)
            s += 1
        r[0] = to

    def skipped(self):
        """(how many connections were open before the capture began, the first of them or -1). Needs `split`."""
        cdef Py_ssize_t c, first = -1, n = 0
        for c in range(self.nconn):
            if self.conn[c].skip == OPEN_BEFORE:
                first = c if n == 0 else first
                n += 1
        return n, first

    def first_rows(self, list connections not None):
        """The row in which each of the connections begins, counted over all windows."""
        cdef Py_ssize_t c
        return [self.conn[c].row for c in connections]

    def connection(self, Py_ssize_t c):
        """One connection as a dict: addresses as text, `first` a segment index, the rest as in `struct Conn`."""
        cdef Conn *p
        if not 0 <= c < self.nconn:
            raise IndexError(c)
        p = &self.conn[c]
        return {"laddr": self.text(p.laddr), "lport": p.lport, "raddr": self.text(p.raddr), "rport": p.rport,
                "earlier": p.earlier, "row": p.row, "first": p.first, "syn_out": p.syn_out, "syn_in": p.syn_in,
                "isn_out": p.isn_out, "isn_in": p.isn_in, "n_out": p.n_out, "n_in": p.n_in,
                "other_out": p.n_out - p.rst_out, "other_in": p.n_in - p.rst_in,
                "synack_out": bool(p.synack_out), "synack_in": bool(p.synack_in), "fin_out": bool(p.fin_out),
                "fin_in": bool(p.fin_in), "rst": bool(p.rst), "skip": bool(p.skip)}

    def row(self, Py_ssize_t i):
        """One segment as a dict with the names of `struct Seg`; addresses as text, `sack` a list of pairs."""
        if not 0 <= i < self.n:
            raise IndexError(i)
        return self.described(&self.seg[i], &self.buf[0] + self.seg[i].off)

    cdef dict described(self, const Seg *s, const uint8_t *ip):
        """`row` of a segment whose headers are at ip."""
        return {"t": s.t, "saddr": self.text(s.saddr), "daddr": self.text(s.daddr), "sport": s.sport, "dport": s.dport,
                "seq": s.seq, "ack": s.ack, "len": s.len, "held": held(s), "flags": s.flags, "win": s.win, "urg": s.urg,
                "ecn": s.ecn, "tsval": s.tsval if s.ts else None, "tsecr": s.tsecr if s.ts else None,
                "mss": s.mss or None, "wscale": None if s.wscale == 255 else s.wscale, "sackok": bool(s.sackok),
                "sack": sacks(ip, s), "opts": s.opts, "ttl": s.ttl,
                "v6": bool(s.v6), "row": s.row, "conn": s.conn, "off": s.off, "hlen": s.hlen,
                "caplen": s.caplen, "origlen": s.origlen, "side": s.side,
                "bad": bool(s.bad)}

    def addresses(self):
        """{(source, destination): [segments, SYNs, SYN-ACKs, least and greatest TTL, beyond any MTU, partial sums]}.

        Addresses as text. Made for the search of the local side: one entry a direction.
        """
        cdef Py_ssize_t i, k = 0
        cdef Seg *s
        cdef Direction *d = self.direction
        cdef Traffic *t = <Traffic *>calloc(self.ndirection + 1, sizeof(Traffic))
        if t == NULL:
            raise MemoryError
        try:
            for i in range(self.n):
                s = &self.seg[i]
                if s.bad:
                    continue
                if s.saddr != d[k].src or s.daddr != d[k].dst:
                    k = self.direction_slots[self.direction_slot(s.saddr, s.daddr)] - 1
                count_segment(&t[k], s)
            return {(self.text(d[i].src), self.text(d[i].dst)): [t[i].v[k] for k in range(7)]
                    for i in range(self.ndirection) if t[i].v[0]}
        finally:
            free(t)

    def complete_checksums(self, uint8_t[::1] buf not None):
        """Fills in the TCP checksums that a sender left to its device (veth, virtio). Returns how many.

        `buf` is the buffer that was decoded. Such a packet was never on a wire, so its data cannot be wrong, and the
        kernel takes it as checked.
        """
        cdef Py_ssize_t i, iphl, done = 0
        cdef Seg *s
        for i in range(self.n if self.npartial else 0):
            s = &self.seg[i]
            if not s.partial or s.side != ARRIVED or held(s) < s.len:
                continue
            iphl = ip_length(&buf[0] + s.off)
            tcp_checksum(&buf[0] + s.off, iphl, s.hlen - iphl + <Py_ssize_t>s.len, NULL, 0)
            done += 1
        return done

    def handshake(self, Py_ssize_t c):
        """(ns from SYN to SYN-ACK, ns from SYN-ACK to the ACK) of one connection, or None. Needs `split`."""
        cdef Conn *p = &self.conn[c]
        cdef int64_t i, syn, synack
        cdef uint8_t client
        if p.syn_out < 0 or p.syn_in < 0 or p.synack_out == p.synack_in:
            return None
        syn, synack = (p.syn_in, p.syn_out) if p.synack_out else (p.syn_out, p.syn_in)
        client = self.seg[syn].side
        for i in range(synack + 1, min(self.n, synack + 10000)):
            if self.seg[i].conn == c and self.seg[i].side == client and self.seg[i].flags & ACK:
                return self.seg[synack].t - self.seg[syn].t, self.seg[i].t - self.seg[synack].t
        return None

    def turnaround(self, first, second):
        """The least times (ns) in which first answered second, and the reverse; None: never. Addresses as `packed`."""
        cdef int64_t a = self.number_of(first), b = self.number_of(second)
        cdef Py_ssize_t i
        cdef int64_t least[2]
        cdef int64_t d
        cdef Seg *s
        cdef Seg *before
        least[0] = least[1] = -1
        for i in range(1, min(self.n, 10000)):
            s = &self.seg[i]
            before = &self.seg[i - 1]
            if s.saddr != before.daddr or s.daddr != before.saddr or s.saddr not in (a, b):
                continue
            d = s.t - before.t
            if d >= 0 and (least[s.saddr == b] < 0 or d < least[s.saddr == b]):
                least[s.saddr == b] = d
        return None if least[0] < 0 else least[0], None if least[1] < 0 else least[1]

    def clock_phase(self):
        """Where the ticks of TSval lie: (t - TSval * 1 ms) mod 1 ms, as near as the segments sent tell. Needs `split`.

        A segment is captured after it was stamped, so the least distance from a tick is the best estimate; that of the
        connection with most of them counts. None when no timestamps were sent.
        """
        cdef Py_ssize_t i, best = -1
        cdef int64_t d
        cdef Seg *s
        cdef Phase *p
        cdef Phase *phases = <Phase *>calloc(self.nconn + 1, sizeof(Phase))
        if phases == NULL:
            raise MemoryError
        for i in range(self.n):
            s = &self.seg[i]
            if s.side != SENT or not s.ts or s.conn < 0:
                continue
            p = &phases[s.conn]
            if p.n == 0:
                p.t, p.tsval = s.t, s.tsval
            d = (s.t - p.t) - <int64_t><int32_t>(s.tsval - p.tsval) * 1000000
            p.least = min(p.least, d)
            p.n += 1
            if best < 0 or p.n > phases[best].n:
                best = s.conn
        if best < 0:
            free(phases)
            return None
        p = &phases[best]
        d = (p.t - <int64_t>p.tsval * 1000000 + p.least) % 1000000
        free(phases)
        return d + 1000000 if d < 0 else d


# What is done for each packet are functions, as Cython does not let the compiler inline methods.

cdef inline Py_ssize_t take(Table self, const Packet *a, Seg *s, Py_ssize_t row) except -1:
    """Reads a packet into `s`; returns 1 if it is a segment for the table, else 0."""
    cdef const uint8_t *p = a.p
    cdef int64_t total, hlen
    if self.parts > 1 and self.elsewhere(p, a.caplen, a.origlen):
        return 0
    s.t, s.off, s.row = a.t, a.off, <uint32_t>row
    s.caplen, s.origlen = <uint32_t>a.caplen, <uint32_t>a.origlen
    if is_plain(p, a.caplen):
        total = be16(p + 2)
        hlen = headers(p, 20, total, a.caplen, a.origlen)
        if hlen:
            clear_options(s)
            read_ipv4(s, p)
            read_tcp(s, p + 20, total, 20, hlen)
            return finish(self, s, p, p + 20, total - 20)
    return self.take_any(s, p)


cdef inline Py_ssize_t finish(Table self, Seg *s, const uint8_t *p, const uint8_t *tcp, int64_t n) except -1:
    """The packet at p, a good segment of n bytes, is read but for its addresses."""
    cdef Direction *d = direction_of(self, s, p)
    s.saddr, s.daddr = d.src, d.dst
    if is_partial(tcp, d.sum + n):
        s.partial = True
        self.npartial += 1
    return 1


cdef inline Direction *direction_of(Table self, const Seg *s, const uint8_t *p) except NULL:
    """The direction of a packet: mostly one of the last two."""
    cdef int k
    if not s.v6:
        for k in range(2):
            if self.raw[k] == raw_addresses(p) and self.current[k] != NULL:
                return self.current[k]
    return self.other_direction(s, p)


cdef inline uint64_t raw_addresses(const uint8_t *p) noexcept nogil:
    """Both addresses of an IPv4 header, which may stand anywhere."""
    cdef uint64_t both
    memcpy(&both, p + 12, sizeof(both))
    return both


cdef inline uint64_t addresses(const uint32_t *first) noexcept nogil:
    """An address and the one behind it, for comparing."""
    return (<const uint64_t *>first)[0]


cdef inline uint32_t ports(const uint16_t *first) noexcept nogil:
    return (<const uint32_t *>first)[0]


cdef inline bint is_sent(const Seg *s, const Conn *p) noexcept nogil:
    """Does a segment go from a connection's local end to the other one?"""
    return addresses(&s.saddr) == addresses(&p.laddr) and ports(&s.sport) == ports(&p.lport)


cdef inline bint is_arrived(const Seg *s, const Conn *p) noexcept nogil:
    """Does it come from there?"""
    cdef uint64_t a = addresses(&s.saddr)
    cdef uint32_t b = ports(&s.sport)
    return (a << 32 | a >> 32) == addresses(&p.laddr) and (b << 16 | b >> 16) == ports(&p.lport)


cdef inline bint is_between(Seg *s, const Conn *p) noexcept nogil:
    """Is a segment one of a connection by its ends? Which is told apart by them, so that its side is known: sets it."""
    if is_arrived(s, p):
        s.side = ARRIVED
        return True
    if is_sent(s, p):
        s.side = SENT
        return True
    return False


cdef inline int32_t found(Table self, Seg *s) noexcept:
    """`find` for a segment sent: mostly it is the connection found last."""
    if self.recent >= 0 and is_sent(s, &self.conn[self.recent]):
        return self.recent
    return self.find(hash_of(s), s.saddr, s.sport, s.daddr, s.dport)


cdef inline bint counts_only(const Seg *s, const Conn *p) noexcept nogil:
    """Is there nothing about a segment, whose side is known, but that its connection has one more?"""
    return not s.flags & (SYN | FIN | RST) and (s.side == ARRIVED or p.syn_out >= 0)


cdef inline Seg *run(Table self, Seg *s, Seg *end) except NULL:
    """Splits the segments from s on, up to `end`, that are of one connection and only count; returns the next one."""
    cdef int32_t c = self.recent
    cdef Conn *p
    cdef Touched *w
    cdef Seg *last
    if c < 0 or not is_between(s, &self.conn[c]):
        c = self.look_up(s)
        if c < 0:
            return s
    p = &self.conn[c]
    if not counts_only(s, p):
        return s
    w = &self.touched[place_of(self, s, c)]
    last = w.last
    while True:
        link(w, last, s)
        if s.side == SENT:
            p.n_out += 1
        else:
            p.n_in += 1
        last = s
        s += 1
        if s == end or not is_between(s, p) or not counts_only(s, p):
            break
    w.last = last
    return s


cdef inline int32_t place_of(Table self, Seg *s, int32_t c) except -1:
    """The place in `touched` of connection c, which segment s is of."""
    return self.local[c] if self.local[c] >= 0 else self.touch(s, c)


cdef inline void link(Touched *w, Seg *last, Seg *s) noexcept nogil:
    """A segment is of a connection, behind `last`. That it is the last one now is left to the caller."""
    s.conn = w.conn
    last.next = s
    if s.side == SENT:
        s.before = w.last_sent
        w.last_sent = s
        w.nsent += 1


cdef inline int join(Table self, Seg *s, int32_t c) except -1:
    """Links a segment of connection c."""
    cdef Touched *w = &self.touched[place_of(self, s, c)]
    link(w, w.last, s)
    w.last = s
    return 0


cdef inline void note_syn(Syn *syn, const Seg *s) noexcept nogil:
    syn.t, syn.tsval, syn.mss, syn.wscale, syn.ts = s.t, s.tsval, s.mss, s.wscale, s.ts


cdef inline void deliver(Arrivals *r, int64_t t, int64_t off, int64_t caplen, int64_t origlen,
                         int64_t row) noexcept nogil:
    r.last = max(r.last, t)
    r.t[r.n], r.off[r.n], r.caplen[r.n], r.origlen[r.n], r.row[r.n] = r.last, off, caplen, origlen, row
    r.n += 1


cdef inline bint over(Conn *p) noexcept nogil:
    """Would a SYN that arrives now be of a new connection?"""
    return p.rst or (p.fin_in and p.fin_out) or (p.syn_in < 0 and p.syn_out < 0)


cdef uint32_t held(const Seg *s) noexcept nogil:
    """Payload bytes that the capture holds."""
    return min(s.len, s.caplen - s.hlen) if s.hlen else 0


cdef uint64_t sum16(const uint8_t *p, Py_ssize_t n, uint64_t sum) noexcept nogil:
    """Adds big-endian 16-bit words; an odd byte at the end is padded."""
    cdef Py_ssize_t i = 0
    while i + 1 < n:
        sum += be16(p + i)
        i += 2
    if i < n:
        sum += <uint64_t>p[i] << 8
    return sum


cdef inline uint16_t fold(uint64_t sum) noexcept nogil:
    while sum >> 16:
        sum = (sum & 0xFFFF) + (sum >> 16)
    return <uint16_t>sum


cdef inline bint is_partial(const uint8_t *tcp, uint64_t sum) noexcept nogil:
    """Does the checksum field hold the sum of the pseudo-header only?"""
    return be16(tcp + 16) == fold(sum)


cdef inline uint64_t pseudo_sum(const uint8_t *ip, uint64_t n) noexcept nogil:
    """The pseudo header of n bytes of TCP: RFC 9293 3.1, RFC 8200 8.1."""
    if ip[0] >> 4 == 6:
        return sum16(ip + 8, 32, 6 + n)
    return <uint64_t>be32(ip + 12) + be32(ip + 16) + 6 + n


cdef void tcp_checksum(uint8_t *ip, Py_ssize_t iphl, Py_ssize_t n, const uint8_t *data,
                       Py_ssize_t datalen) noexcept nogil:
    """Fills in the TCP checksum of a packet of n bytes from the TCP header on; `data` follows its n bytes, if given."""
    cdef uint64_t sum = pseudo_sum(ip, <uint64_t>(n + datalen))
    cdef uint16_t folded
    ip[iphl + 16] = ip[iphl + 17] = 0
    sum = sum16(ip + iphl, n, sum)
    if data != NULL:                # a TCP header's length is even
        sum = sum16(data, datalen, sum)
    folded = ~fold(sum)
    ip[iphl + 16] = folded >> 8
    ip[iphl + 17] = folded & 0xFF


cdef void ip_checksum(uint8_t *ip, Py_ssize_t iphl) noexcept nogil:
    """Fills in IPv4's header checksum; IPv6 has none."""
    cdef uint16_t folded
    if ip[0] >> 4 == 6:
        return
    ip[10] = ip[11] = 0
    folded = ~fold(sum16(ip, iphl, 0))
    ip[10] = folded >> 8
    ip[11] = folded & 0xFF


# packets that are no segment; those up to SKIPPED are not delivered either
cdef enum:
    LYING = -1
    SHORT_TCP = -2
    BAD_DOFF = -3
    SKIPPED = -4
    SHORT_IP = -5
    CUT_IP = -6
    BAD_IHL = -7
    FRAGMENT = -8
    CUT_TCP = -9
    SHORT_IP6 = -10
    CUT_IP6 = -11
    EXTENSION = -12

# what read_any() returns for ICMP of either version, and for protocols that are of no concern
cdef enum:
    ICMP = 1
    ICMPV6 = 58
    OTHER = 255

cdef uint64_t MAPPED_V4 = 0xFFFF00000000    # ::ffff:0:0, the lower half

PROBLEMS = {
    LYING: "expected an IP packet of the length that its header gives, found {origlen} bytes",
    SHORT_TCP: "expected a TCP header of 20 bytes, found an IP packet of {origlen} bytes",
    BAD_DOFF: "expected a TCP header of 20 bytes or more that lies within the packet",
    SHORT_IP: "expected an IP header of 20 bytes, found {origlen}",
    CUT_IP: "expected an IP header of 20 bytes, the capture holds {caplen}",
    BAD_IHL: "expected an IP header of 20 bytes or more that lies within the packet",
    FRAGMENT: "IP fragments are not supported",
    SHORT_IP6: "expected an IPv6 header of 40 bytes, found {origlen}",
    CUT_IP6: "expected an IPv6 header of 40 bytes, the capture holds {caplen}",
    EXTENSION: "IPv6 extension headers are not supported",
    CUT_TCP: "expected the whole TCP header, the capture holds {caplen} bytes of the packet",
}


cdef inline uint64_t be64(const uint8_t *p) noexcept nogil:
    return (<uint64_t>be32(p) << 32) | be32(p + 4)


cdef Py_ssize_t ip_length(const uint8_t *ip) noexcept nogil:
    """The length of the IP header of a segment."""
    return 40 if ip[0] >> 4 == 6 else (ip[0] & 15) * 4


cdef list sacks(const uint8_t *ip, const Seg *s):
    """The SACK blocks of a segment, at most 4: [(left, right)]."""
    cdef const uint8_t *p = ip + ip_length(ip) + 20
    cdef const uint8_t *end = ip + s.hlen
    cdef list out = []
    cdef int at
    while p < end and p[0]:
        if p[0] == 1:
            p += 1
            continue
        if p + 1 >= end or p[1] < 2 or p + p[1] > end:
            break
        if p[0] == 5:
            for at in range(2, p[1] - 7, 8):
                out.append((be32(p + at), be32(p + at + 4)))
        p += p[1]
    return out[:4]


cdef destination(const uint8_t *p):
    if p[0] >> 4 == 6:
        return V6 + ((int(be64(p + 24)) << 64) | be64(p + 32))
    return be32(p + 16)


cdef void read_addresses(const uint8_t *p, Address *src, Address *dst) noexcept nogil:
    if p[0] >> 4 == 6:
        src.high, src.low = be64(p + 8), be64(p + 16)
        dst.high, dst.low = be64(p + 24), be64(p + 32)
        return
    src.high = dst.high = 0
    src.low = MAPPED_V4 | be32(p + 12)
    dst.low = MAPPED_V4 | be32(p + 16)


cdef inline bint is_plain(const uint8_t *p, int64_t caplen) noexcept nogil:
    """Is a packet TCP over IPv4 without IP options, not a fragment, with the 40 bytes that all such packets have?"""
    return caplen >= 40 and p[0] == 0x45 and be32(p + 6) & 0x3FFF00FF == 6


cdef int read_any(Seg *s, const uint8_t *p, int64_t caplen, int64_t origlen) noexcept nogil:
    """Decodes a packet into `s`, as cleared: returns the IP protocol (6: `s` is filled), or what is wrong with it.

    With LYING, SHORT_TCP and BAD_DOFF there are addresses (and ports): the host gets such packets and drops them.
    """
    cdef int64_t iphl = 0, total = 0, hlen
    cdef int what
    if caplen >= 20 and p[0] >> 4 == 4:
        iphl, total = (p[0] & 15) * 4, total_ipv4(p, origlen)
        what = check_ipv4(p, iphl, origlen)
        if what == 6:
            read_ipv4(s, p)
    elif caplen and p[0] >> 4 == 6:
        what = read_ipv6(s, p, caplen, origlen, &iphl, &total)
    else:
        what = BAD_IHL if caplen >= 20 else SHORT_IP if origlen < 20 else CUT_IP
    if what != 6:
        return what
    hlen = headers(p, iphl, total, caplen, origlen)
    if not hlen:
        return no_tcp(s, p + iphl, total - iphl, caplen - iphl, origlen - iphl)
    read_tcp(s, p + iphl, total, iphl, hlen)
    return 6


cdef int check_ipv4(const uint8_t *p, int64_t iphl, int64_t origlen) noexcept nogil:
    """The protocol, or what is wrong with an IP header of `iphl` bytes."""
    if iphl < 20 or iphl > origlen:
        return BAD_IHL
    if p[9] == 6 and be16(p + 6) & 0x3FFF:
        return FRAGMENT
    return p[9]


cdef inline int64_t total_ipv4(const uint8_t *p, int64_t origlen) noexcept nogil:
    """The packet's length as its header says; 0 is what a device with segmentation offload hands to the capture."""
    cdef int64_t total = be16(p + 2)
    return total if total else origlen


cdef inline void read_ipv4(Seg *s, const uint8_t *p) noexcept nogil:
    s.ecn = p[1] & 3
    s.ttl = p[8]


cdef int behind_extensions(uint8_t next_, const uint8_t *p, int64_t n) noexcept nogil:
    """The protocol behind extension headers, the first of which is at p; EXTENSION if that is TCP."""
    cdef int64_t size
    while next_ in (0, 43, 44, 60) and n >= 8:
        size = 8 if next_ == 44 else (p[1] + 1) * 8
        next_ = p[0]
        if size > n:
            break
        p += size
        n -= size
    return EXTENSION if next_ == 6 else OTHER


cdef int read_ipv6(Seg *s, const uint8_t *p, int64_t caplen, int64_t origlen, int64_t *iphl,
                   int64_t *total) noexcept nogil:
    if caplen < 40:
        return SHORT_IP6 if origlen < 40 else CUT_IP6
    iphl[0] = 40
    total[0] = 40 + be16(p + 4)
    if p[6] == ICMPV6:
        return ICMP
    if p[6] != 6:
        return behind_extensions(p[6], p + 40, caplen - 40)
    if total[0] == 40:
        total[0] = origlen
    s.ecn = (p[1] >> 4) & 3
    s.ttl = p[7]
    s.v6 = 1
    return 6


cdef inline int64_t headers(const uint8_t *p, int64_t iphl, int64_t total, int64_t caplen,
                            int64_t origlen) noexcept nogil:
    """The length of a packet's headers, if all is well with them, else 0.

    iphl: that of its IP header, which is there. total: the whole packet's, as the IP header says.
    """
    cdef int64_t hlen
    if caplen < iphl + 20:
        return 0
    hlen = iphl + <int64_t>(be32(p + iphl + 12) >> 28) * 4
    return hlen if hlen >= iphl + 20 and hlen <= total and hlen <= caplen and total <= origlen else 0


cdef inline void read_tcp(Seg *s, const uint8_t *tcp, int64_t total, int64_t iphl, int64_t hlen) noexcept nogil:
    """Reads the TCP header of a packet of `total` bytes, of which the headers take `hlen` and IP's `iphl`."""
    cdef uint32_t word = be32(tcp + 12)     # length, flags, window
    read_ports(s, tcp)
    s.seq = be32(tcp + 4)
    s.ack = be32(tcp + 8)
    s.flags, s.win = (word >> 16) & 0x1FF, <uint16_t>word
    s.urg = be16(tcp + 18)
    s.hlen = <uint8_t>hlen
    s.len = <uint32_t>(total - hlen)
    decode_options(s, tcp + 20, hlen - iphl - 20)


cdef int no_tcp(Seg *s, const uint8_t *p, int64_t total, int64_t caplen, int64_t origlen) noexcept nogil:
    """What is wrong with the TCP header at p; all lengths are without the IP header."""
    cdef int64_t thl
    if total > origlen or total < 20:
        s.bad = 1
        if caplen >= 4:
            read_ports(s, p)
        return LYING if total > origlen or total < 0 else SHORT_TCP
    if caplen < 20:
        return CUT_TCP
    read_ports(s, p)
    thl = (p[12] >> 4) * 4
    if thl >= 20 and thl <= total:
        return CUT_TCP
    s.bad = 1
    return BAD_DOFF


cdef inline void read_ports(Seg *s, const uint8_t *p) noexcept nogil:
    s.sport, s.dport = be32(p) >> 16, <uint16_t>be32(p)
