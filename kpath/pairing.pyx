# SPDX-License-Identifier: GPL-2.0-only
"""Pairs the emitted segments with those that the host really sent, and names differences by field.

Segments pair in order within a connection. While they agree, or differ in less than their place in the conversation
(flags, sequence and acknowledgment number, length), this is one pass; after another difference the two sequences are
aligned again as `diff` does it (Myers, "An O(ND) Difference Algorithm and its Variations", 1986), in bounded
steps, so that the cost stays linear in the number of segments however much differs. Alike are segments in all fields
then, or, where nothing has agreed for a while (another host's windows, say), in their place.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

from .bigmem cimport grow
from .segments cimport ACK, SYN, URG, Seg, Table

FIELDS = ("missing", "extra", "flags", "seq", "ack", "length", "window", "urg", "ecn", "options", "tsval")

cdef enum:
    MISSING = 0
    EXTRA = 1
    F_FLAGS = 2
    F_SEQ = 3
    F_ACK = 4
    F_LEN = 5
    F_WIN = 6
    F_URG = 7
    F_ECN = 8
    F_OPT = 9
    F_TSVAL = 10

cdef enum:
    MOST = 192       # edits in one step; more than this is cut where the step came furthest
    SNAKE = 32       # so many alike in a row end a step: aligned again
    ANCHOR = 8       # so many alike in a row are taken as a sure place further on
    AHEAD = 8        # how many connections before its turn one's segments are fetched into the cache
    KEPT = 8192      # with so many segments of a connection that differ it is aligned anew without a sure place

cdef int64_t NEVER = <int64_t>1 << 62
cdef Head NOTHING               # headers that were not kept
cdef uint32_t PLACE = 1 << F_FLAGS | 1 << F_SEQ | 1 << F_ACK | 1 << F_LEN


cdef inline uint64_t mix(uint64_t h, uint64_t v) noexcept nogil:
    h = (h ^ v) * <uint64_t>0x9E3779B97F4A7C15
    return h ^ (h >> 29)


cdef inline uint32_t ack_of(const Seg *s) noexcept nogil:
    return s.ack if s.flags & ACK else 0


cdef inline uint64_t data_key(const Seg *s) noexcept nogil:
    return mix(mix(1, (<uint64_t>s.seq << 32) | s.len), s.flags)


cdef inline uint64_t place_key(const Seg *s) noexcept nogil:
    return mix(data_key(s), ack_of(s))


cdef inline uint64_t shape_key(const Seg *s) noexcept nogil:
    """What is left of it where ACKs come at other times: data is the same data, but an ACK the one of its number."""
    return data_key(s) if s.len else place_key(s)


cdef inline uint64_t exact_key(const Seg *s) noexcept nogil:
    cdef uint64_t h = mix(data_key(s), (<uint64_t>ack_of(s) << 32) | s.win)
    h = mix(h, (<uint64_t>(s.urg if s.flags & URG else 0) << 8) | s.ecn)
    return mix(h, s.opts)


cdef inline uint64_t key_of(const Seg *s, bint astray) noexcept nogil:
    return place_key(s) if astray else exact_key(s)


cdef inline uint32_t differing(const Seg *a, const Seg *b, int64_t tolerance) noexcept nogil:
    """Bits of the fields that differ."""
    cdef uint32_t bits = 0
    cdef int64_t d
    bits |= <uint32_t>(a.flags != b.flags) << F_FLAGS
    bits |= <uint32_t>(a.seq != b.seq) << F_SEQ
    bits |= <uint32_t>(ack_of(a) != ack_of(b)) << F_ACK
    bits |= <uint32_t>(a.len != b.len) << F_LEN
    bits |= <uint32_t>(a.win != b.win) << F_WIN
    bits |= <uint32_t>((a.urg if a.flags & URG else 0) != (b.urg if b.flags & URG else 0)) << F_URG
    bits |= <uint32_t>(a.ecn != b.ecn) << F_ECN
    bits |= <uint32_t>(a.opts != b.opts or a.ts != b.ts) << F_OPT
    if a.ts and b.ts:
        d = <int64_t><int32_t>(a.tsval - b.tsval)
        bits |= <uint32_t>(d > tolerance or -d > tolerance) << F_TSVAL
    return bits


cdef inline bint alike(const Seg *a, const Seg *b, int64_t tolerance) noexcept nogil:
    """Does no field differ? The quick answer: False may be wrong, where an ACK or urgent pointer does not count."""
    cdef int64_t d = <int32_t>(a.tsval - b.tsval)
    return (a.seq == b.seq and a.ack == b.ack and a.len == b.len and a.flags == b.flags and a.win == b.win and
            a.urg == b.urg and a.opts == b.opts and a.ecn == b.ecn and a.ts == b.ts and d <= tolerance and
            -d <= tolerance)


cdef inline int origin(const int32_t *above, Py_ssize_t k, Py_ssize_t d, Py_ssize_t n, Py_ssize_t m,
                       Py_ssize_t *x) noexcept nogil:
    """How row d reaches diagonal k: 1 a captured segment is missing, 2 an emitted one is extra, 0 not; x there."""
    cdef Py_ssize_t extra = above[k + 1] if k + 1 <= d - 1 else -1
    cdef Py_ssize_t missing = above[k - 1] + 1 if k - 1 >= -(d - 1) and above[k - 1] >= 0 else -1
    if extra >= 0 and extra - k > m:
        extra = -1
    if missing > n or (missing >= 0 and missing - k < 0):
        missing = -1
    if missing > extra:
        x[0] = missing
        return 1
    x[0] = extra
    return 2 if extra >= 0 else 0


cdef int step(Steps *w, const uint64_t *a, Py_ssize_t n, const uint64_t *b, Py_ssize_t m) noexcept nogil:
    """Aligns the heads of a and b, which begin with a difference, and leaves the way in w.

    Returns whether they are aligned again behind it; else it led as far as MOST edits go.
    """
    cdef Py_ssize_t d, k, x, y, begin, far
    cdef int32_t *row
    w.trace[0] = 0
    w.x = w.k = w.d = 0
    for d in range(1, MOST + 1):
        row = w.trace + d * d + d              # row d begins at d*d; its middle is diagonal 0
        far = -1
        for k in range(-d, d + 1, 2):
            if origin(w.trace + (d - 1) * (d - 1) + (d - 1), k, d, n, m, &x) == 0:
                row[k] = -1
                continue
            y = x - k
            begin = x
            while x < n and y < m and a[x] == b[y]:
                x += 1
                y += 1
            row[k] = <int32_t>x
            if x - begin >= SNAKE or (x == n and y == m):
                w.x, w.k, w.d = x, k, d
                return True
            if x + y > far:
                far = x + y
                w.x, w.k, w.d = x, k, d
    return False


cdef void walk_back(Steps *w, Py_ssize_t n, Py_ssize_t m, int64_t *mate, int64_t shift) noexcept nogil:
    """Notes the pairs of the way in w: mate[x] = shift + y."""
    cdef int how
    cdef Py_ssize_t start = 0, x = w.x, k = w.k, d = w.d
    while d > 0:
        how = origin(w.trace + (d - 1) * (d - 1) + (d - 1), k, d, n, m, &start)
        while x > start:
            x -= 1
            mate[x] = shift + x - k
        if how == 1:
            x -= 1
            k -= 1
        else:
            k += 1
        d -= 1


cdef struct Finder:             # where the keys of b occur
    int64_t *head               # hash of the key -> first index not passed yet, -1
    int64_t *next               # index -> next one of the same hash
    uint64_t mask
    int64_t i                   # the last find
    int64_t j
    bint nothing                # there is none to be found any more


cdef bint build(Finder *f, const uint64_t *b, Py_ssize_t m) noexcept nogil:
    cdef Py_ssize_t size = 16, j
    cdef uint64_t h
    while size < 2 * m:
        size *= 2
    f.mask = <uint64_t>size - 1
    f.head = <int64_t *>malloc(size * sizeof(int64_t))
    f.next = <int64_t *>malloc(m * sizeof(int64_t))
    if f.head == NULL or f.next == NULL:
        return False
    for j in range(size):
        f.head[j] = -1
    for j in range(m - 1, -1, -1):
        h = b[j] & f.mask
        f.next[j] = f.head[h]
        f.head[h] = j
    return True


cdef bint find(Finder *f, const uint64_t *a, Py_ssize_t n, Py_ssize_t i, const uint64_t *b, Py_ssize_t m,
               Py_ssize_t j) noexcept nogil:
    """The nearest place at or behind (i, j) from which ANCHOR segments are alike; kept until it is passed."""
    cdef Py_ssize_t x, y, r
    cdef int64_t best = -1
    cdef uint64_t h
    if f.nothing:
        return False
    if f.i >= i and f.j >= j:
        return True
    if f.head == NULL and not build(f, b, m):
        f.nothing = True                       # out of memory: the alignment is worse, not wrong
        return False
    x = i
    while x < n and (best < 0 or x - i < best):
        h = a[x] & f.mask
        while f.head[h] >= 0 and f.head[h] < j:
            f.head[h] = f.next[f.head[h]]
        y = f.head[h]
        while y >= 0 and (best < 0 or x - i + y - j < best):
            r = 0
            while r < ANCHOR and x + r < n and y + r < m and a[x + r] == b[y + r]:
                r += 1
            if r == ANCHOR or (r and x + r == n and y + r == m):
                best = x - i + y - j
                f.i = x
                f.j = y
                break
            y = f.next[y]
        x += 1
    f.nothing = best < 0
    return best >= 0


cdef void align(Steps *w, const uint64_t *a, Py_ssize_t n, const uint64_t *b, Py_ssize_t m,
                int64_t *mate) noexcept nogil:
    """mate[i] = j for the pairs of an alignment of a and b, in order; -1 elsewhere."""
    cdef Py_ssize_t i, j = 0, i2, j2
    cdef Finder f
    f.head = f.next = NULL
    f.i = f.j = -1
    f.nothing = False
    for i in range(n):
        mate[i] = -1
    i = 0
    while i < n and j < m:
        if a[i] == b[j]:
            mate[i] = j
            i += 1
            j += 1
            continue
        i2, j2 = n, m
        if not step(w, a + i, n - i, b + j, m - j) and 2 * w.x - w.k < 3 * w.d and find(&f, a, n, i, b, m, j) and (
                f.i < i + w.x or f.j < j + w.x - w.k):
            # the way has more edits than pairs, and leads past the next place that is surely alike: go there instead
            i2, j2 = f.i, f.j
            if i2 > i and j2 > j:
                step(w, a + i, i2 - i, b + j, j2 - j)
                walk_back(w, i2 - i, j2 - j, mate + i, j)
            i, j = i2, j2
            continue
        walk_back(w, n - i, m - j, mate + i, j)
        i, j = i + w.x, j + w.x - w.k
    free(f.head)
    free(f.next)


cdef inline Seg *seg_of(const Run *r, Py_ssize_t i) noexcept nogil:
    return r.list[i]


cdef inline bint repeats(const Run *r, Py_ssize_t i) noexcept nogil:
    """Has the segment behind the same place, so that each of the two may be the other's?"""
    return i + 1 < r.n and not differing(r.list[i], r.list[i + 1], 0) & PLACE


cdef inline int64_t number_of(const Run *r, Py_ssize_t i) noexcept nogil:
    """The number of a segment among all of its table's, -1 of none."""
    return -1 if i < 0 else r.kept[i].number if i < r.nkept else r.base + (r.list[i] - r.seg)


cdef inline int64_t packet_of(const Run *r, Py_ssize_t i) noexcept nogil:
    """The packet's number in the capture, from 1; 0 of none."""
    if i < 0:
        return 0
    if i < r.nkept:
        return r.kept[i].packet
    return r.packet[seg_of(r, i).row] if r.packet != NULL else r.packet0 + seg_of(r, i).row


cdef inline const uint8_t *head_of(const Run *r, Py_ssize_t i) noexcept nogil:
    """The headers of a segment; of one kept, only while it can be shown as the first difference."""
    if i < r.nkept:
        return &r.head[i].p[0] if r.head != NULL else &NOTHING.p[0]
    return r.buf + seg_of(r, i).off


cdef int keep(Queue *q, const Run *r, bint heads) except -1:
    """What is left of a run waits for the next window; its headers as well, if they may be asked for."""
    cdef Py_ssize_t i, n = r.n - r.at, old = max(r.nkept - r.at, 0)
    cdef Kept *k
    if n == 0:
        drop(q)
        return 0
    if old and r.at:
        memmove(q.p, q.p + r.at, old * sizeof(Kept))
        if q.head != NULL:
            memmove(q.head, q.head + r.at, old * sizeof(Head))
    room_to_keep(q, n, heads)
    for i in range(r.at + old, r.n):
        k = &q.p[i - r.at]
        k.s, k.number, k.packet = seg_of(r, i)[0], number_of(r, i), packet_of(r, i)
        if heads:
            memcpy(q.head[i - r.at].p, head_of(r, i), min(<size_t>k.s.hlen, sizeof(Head)))
    q.n = n
    return 0


cdef int room_to_keep(Queue *q, Py_ssize_t n, bint heads) except -1:
    """Room for so many. There are many queues and most of them stay short: grow() would take more than they need."""
    cdef Py_ssize_t room = q.room
    cdef void *p
    if n > room:
        room = max(n, room + room // 2)
        p = realloc(q.p, room * sizeof(Kept))
        if p == NULL:
            raise MemoryError
        q.p = <Kept *>p
    if not heads:
        free(q.head)
        q.head = NULL
    elif room > q.room or q.head == NULL:
        p = realloc(q.head, room * sizeof(Head))
        if p == NULL:
            raise MemoryError
        if q.head == NULL:
            memset(p, 0, room * sizeof(Head))
        q.head = <Head *>p
    q.room = room
    return 0


cdef void drop(Queue *q) noexcept nogil:
    free(q.p)
    free(q.head)
    memset(q, 0, sizeof(Queue))


cdef int begin(Run *r, Table table, Py_ssize_t c, const Queue *q) except -1:
    """The segments that connection c sent."""
    cdef Py_ssize_t i
    r.kept = q.p if q != NULL else NULL
    r.head = q.head if q != NULL else NULL
    r.nkept = q.n if q != NULL else 0
    r.at = 0
    if r.room < r.nkept + table.nsent(c):
        grow(<void **>&r.list, &r.room, r.nkept + table.nsent(c), sizeof(Seg *))
    for i in range(r.nkept):
        r.list[i] = &r.kept[i].s
    r.n = r.nkept + table.sent(c, r.list + r.nkept)
    return 0


cdef inline bint may_agree(Py_ssize_t n, Py_ssize_t m) noexcept nogil:
    """Can `agreed` leave anything of an alignment of so many segments?"""
    return min(n, m) >= SNAKE or (min(n, m) > 0 and max(n, m) > KEPT)


cdef void agreed(const int64_t *mate, Py_ssize_t *n, Py_ssize_t *m) noexcept nogil:
    """Shortens an alignment of n and m segments to where its last step surely ended.

    That is behind SNAKE that are alike in a row: what follows does not change it any more. Where too many wait for
    that, the last pair must do; or all is given up.
    """
    cdef Py_ssize_t i = n[0] - 1, alike = 0
    cdef bint many = n[0] > KEPT or m[0] > KEPT
    while i >= 0 and mate[i] < 0:
        i -= 1
    if i < 0 and many:
        return
    while alike < SNAKE and i - alike >= 0 and mate[i - alike] == mate[i] - alike:
        alike += 1
    if alike < SNAKE and not many:
        i = -1
    n[0], m[0] = i + 1, <Py_ssize_t>mate[i] + 1 if i >= 0 else 0


@cython.final
cdef class Pairing:
    """Compares a capture's table with the emitted segments' table (which has adopted its connections), as `add` says.

    captured, emitted, matched     counts of segments, matched exactly (TSval within `tolerance` ticks of 1 ms)
    """

    def __dealloc__(self):
        cdef Py_ssize_t c
        for c in range(self.nconn):
            self.no_more(&self.count[c])
        free(self.mate_c)
        free(self.mate_e)
        free(self.count)
        free(self.w.trace)
        free(self.c.list)
        free(self.e.list)

    def __init__(self, Table cap not None, Table emi not None, int64_t tolerance=1):
        self.cap = cap
        self.emi = emi
        self.tolerance = tolerance
        self.first_t = NEVER
        self.first_c = self.first_e = -1
        self.w.trace = <int32_t *>malloc((MOST + 2) * (MOST + 2) * sizeof(int32_t))
        if self.w.trace == NULL:
            raise MemoryError

    def add(self, packets=None, bint last=True):
        """Compares what is in the tables: all, or a window of it.

        packets: the number of the packet in each row of the capture's table. last: nothing comes behind; before, what
        has no pair yet waits for it.
        """
        cdef const int64_t[::1] view
        cdef Py_ssize_t i
        cdef int32_t c
        self.c.seg, self.c.base, self.c.packet, self.c.packet0 = self.cap.seg, self.cap.base, NULL, 1
        self.e.seg, self.e.base, self.e.packet, self.e.packet0 = self.emi.seg, self.emi.base, NULL, 0
        self.c.buf = &self.cap.buf[0] if self.cap.n else NULL
        self.e.buf = &self.emi.buf[0] if self.emi.n else NULL
        if isinstance(packets, range):
            self.c.packet0 = packets.start
        elif packets is not None and len(packets):
            view = packets
            self.c.packet = &view[0]
        self.make_room(last)
        for i in range(self.cap.ntouched):
            if i + AHEAD < self.cap.ntouched:
                c = self.cap.touched[i + AHEAD].conn
                self.cap.fetch_sent(c)
                self.emi.fetch_sent(c)
            self.one(self.cap.touched[i].conn, last)
        for i in range(self.emi.ntouched):
            if self.cap.local_of(self.emi.touched[i].conn) < 0:
                self.one(self.emi.touched[i].conn, last)
        for c in range(self.nconn if last else 0):
            if self.count[c].waiting != NULL:
                self.one(c, last)
        self.replayed_count = 0
        for c in range(self.nconn if last else 0):
            self.replayed_count += not self.cap.conn[c].skip

    cdef int make_room(self, bint last) except -1:
        """Room for all connections; and for the pairs, where all of them are in one window."""
        cdef Py_ssize_t i, known = self.room
        grow(<void **>&self.count, &self.room, self.cap.nconn, sizeof(Count))
        if self.room > known:
            memset(self.count + known, 0, (self.room - known) * sizeof(Count))
        self.nconn = self.cap.nconn
        if not last or self.cap.base or self.emi.base:
            return 0
        self.mate_c = <int64_t *>malloc((self.cap.n + 1) * sizeof(int64_t))
        self.mate_e = <int64_t *>malloc((self.emi.n + 1) * sizeof(int64_t))
        if self.mate_c == NULL or self.mate_e == NULL:
            raise MemoryError
        for i in range(self.cap.n):
            self.mate_c[i] = -1
        for i in range(self.emi.n):
            self.mate_e[i] = -1
        return 0

    cdef void no_more(self, Count *count) noexcept:
        """Nothing of this connection waits any more."""
        if count.waiting != NULL:
            drop(&count.waiting.cap)
            drop(&count.waiting.emi)
            free(count.waiting)
            count.waiting = NULL

    cdef int one(self, int32_t c, bint last) except -1:
        """Compares one connection."""
        cdef Count *count = &self.count[c]
        cdef Waiting *w = count.waiting
        cdef uint32_t bits
        cdef int64_t before = self.matched
        cdef bint settled
        cdef Seg *a
        cdef Seg *b
        if self.cap.conn[c].skip:
            return 0
        begin(&self.c, self.cap, c, &w.cap if w != NULL else NULL)
        begin(&self.e, self.emi, c, &w.emi if w != NULL else NULL)
        count.captured += self.c.n - self.c.nkept
        count.emitted += self.e.n - self.e.nkept
        self.captured += self.c.n - self.c.nkept
        self.emitted += self.e.n - self.e.nkept
        self.noted.t = NEVER
        while self.c.at < self.c.n and self.e.at < self.e.n:
            a, b = seg_of(&self.c, self.c.at), seg_of(&self.e, self.e.at)
            bits = 0 if alike(a, b, self.tolerance) else differing(a, b, self.tolerance)
            if bits & ~<uint32_t>(1 << F_TSVAL):
                if bits & PLACE or repeats(&self.c, self.c.at) or repeats(&self.e, self.e.at):
                    break
                count.astray += count.astray < SNAKE
            else:
                count.astray = 0
            count_compared(self, self.c.at, self.e.at, bits)
            self.c.at += 1
            self.e.at += 1
        settled = self.c.at == self.c.n and self.e.at == self.e.n
        if not settled:
            if last or may_agree(self.c.n - self.c.at, self.e.n - self.e.at):
                self.rest(last, count.astray == SNAKE)
            elif self.c.at == self.c.n or self.e.at == self.e.n:
                self.give_up()
            settled = self.c.at == self.c.n and self.e.at == self.e.n
        count.matched += self.matched - before
        self.settle_first(count)
        if settled:
            self.no_more(count)
        else:
            self.wait(count)
        return 0

    cdef void give_up(self) noexcept nogil:
        """Only one side goes on: what has waited for a whole window has no pair, where it is much."""
        if self.c.at == 0 and self.c.nkept > KEPT:
            while self.c.at < self.c.nkept:
                self.count_one(self.c.at, -1)
                self.c.at += 1
        if self.e.at == 0 and self.e.nkept > KEPT:
            while self.e.at < self.e.nkept:
                self.count_one(-1, self.e.at)
                self.e.at += 1

    cdef int wait(self, Count *count) except -1:
        """What is left waits."""
        cdef Waiting *w = count.waiting
        # what is noted of these has the time of one of them; and the first difference of all does not get later
        cdef bint heads = (self.c.at < self.c.n and seg_of(&self.c, self.c.at).t <= self.first_t or
                           self.e.at < self.e.n and seg_of(&self.e, self.e.at).t <= self.first_t)
        if w == NULL:
            w = count.waiting = <Waiting *>calloc(1, sizeof(Waiting))
            if w == NULL:
                raise MemoryError
        keep(&w.cap, &self.c, heads)
        keep(&w.emi, &self.e, heads)
        return 0

    cdef int settle_first(self, Count *count) except -1:
        """The first difference noted of this connection: is it the first of all?"""
        cdef Noted *m = &self.noted
        if m.t == NEVER:
            return 0
        if not count.differs:
            count.differs = True
            count.packet = packet_of(&self.c, m.c)
        if m.t <= self.first_t:
            self.first_t, self.first_bits = m.t, m.bits
            self.first_c, self.first_e = number_of(&self.c, m.c), number_of(&self.e, m.e)
            self.first_packet = packet_of(&self.c, m.c)
            self.first_rows = (
                self.cap.described(seg_of(&self.c, m.c), head_of(&self.c, m.c)) if m.c >= 0 else None,
                self.emi.described(seg_of(&self.e, m.e), head_of(&self.e, m.e)) if m.e >= 0 else None)
        m.t = NEVER
        return 0

    cdef int rest(self, bint last, bint astray) except -1:
        """The same from the first difference on. Before the last window: up to where the two surely agree again.

        astray: segments are not found by all of their fields.
        """
        cdef Py_ssize_t i, n = self.c.n - self.c.at, m = self.e.n - self.e.at
        cdef uint64_t *keys = <uint64_t *>malloc(2 * (n + m + 1) * sizeof(uint64_t))
        cdef uint64_t *shapes = keys + n + m
        cdef int64_t *mate = <int64_t *>malloc((n + 1) * sizeof(int64_t))
        cdef Py_ssize_t all_n = n
        if keys == NULL or mate == NULL:
            free(keys)
            free(mate)
            raise MemoryError
        for i in range(n):
            keys[i] = key_of(seg_of(&self.c, self.c.at + i), astray)
            shapes[i] = shape_key(seg_of(&self.c, self.c.at + i))
        for i in range(m):
            keys[n + i] = key_of(seg_of(&self.e, self.e.at + i), astray)
            shapes[n + i] = shape_key(seg_of(&self.e, self.e.at + i))
        align(&self.w, keys, n, keys + n, m, mate)
        if not last:
            agreed(mate, &n, &m)
        self.settle(n, m, shapes, shapes + all_n, mate)
        self.c.at += n
        self.e.at += m
        free(keys)
        free(mate)
        return 0

    cdef void settle(self, Py_ssize_t n, Py_ssize_t m, const uint64_t *cs, const uint64_t *es,
                     int64_t *mate) noexcept nogil:
        """Goes through the alignment; the gaps in it are paired by shape, what then is left in order."""
        cdef Py_ssize_t i = 0, j = 0, i2, j2
        while i < n or j < m:
            if i < n and mate[i] == j:
                self.count_pair(self.c.at + i, self.e.at + j)
                i += 1
                j += 1
                continue
            i2 = i
            while i2 < n and mate[i2] < 0:
                i2 += 1
            j2 = mate[i2] if i2 < n else m
            align(&self.w, cs + i, i2 - i, es + j, j2 - j, mate + i)
            self.gap(self.c.at + i, i2 - i, self.e.at + j, j2 - j, mate + i)
            i = i2
            j = j2

    cdef void gap(self, Py_ssize_t c, Py_ssize_t n, Py_ssize_t e, Py_ssize_t m, const int64_t *mate) noexcept nogil:
        cdef Py_ssize_t i = 0, j = 0, i2, j2
        while i < n or j < m:
            if i < n and mate[i] == j:
                self.count_pair(c + i, e + j)
                i += 1
                j += 1
                continue
            i2 = i
            while i2 < n and mate[i2] < 0:
                i2 += 1
            j2 = mate[i2] if i2 < n else m
            while i < i2 and j < j2:
                self.count_pair(c + i, e + j)
                i += 1
                j += 1
            while i < i2:
                self.count_one(c + i, -1)
                i += 1
            while j < j2:
                self.count_one(-1, e + j)
                j += 1

    cdef void count_pair(self, Py_ssize_t c, Py_ssize_t e) noexcept nogil:
        count_compared(self, c, e, differing(seg_of(&self.c, c), seg_of(&self.e, e), self.tolerance))

    cdef void count_one(self, Py_ssize_t c, Py_ssize_t e) noexcept nogil:
        if c >= 0:
            self.fields[MISSING] += 1
            self.note(seg_of(&self.c, c).t, c, e, 1 << MISSING)
        else:
            self.fields[EXTRA] += 1
            self.note(seg_of(&self.e, e).t, c, e, 1 << EXTRA)

    cdef void note(self, int64_t t, Py_ssize_t c, Py_ssize_t e, uint32_t bits) noexcept nogil:
        if t < self.noted.t:
            self.noted.t, self.noted.c, self.noted.e, self.noted.bits = t, c, e, bits

    def connection(self, Py_ssize_t c):
        """(captured, emitted, matched, whether all agree, packet of the first that differs or None) of a connection."""
        if not 0 <= c < self.nconn:
            raise IndexError(c)
        return (self.count[c].captured, self.count[c].emitted, self.count[c].matched, not self.count[c].differs,
                self.count[c].packet or None)

    def replayed(self, most=None):
        """The numbers of the connections that were replayed; at most so many, then those that differ come first."""
        cdef Py_ssize_t c, left = self.nconn if most is None else most
        cdef list out = []
        for wanted in ((True, False) if most is not None else (None,)):
            for c in range(self.nconn):
                if len(out) >= left:
                    return out
                if not self.cap.conn[c].skip and (wanted is None or self.count[c].differs == <bint>wanted):
                    out.append(c)
        return out

    def differences(self):
        """{field: count} of the fields that differ anywhere; `missing` and `extra` count segments."""
        return {FIELDS[f]: self.fields[f] for f in range(NFIELDS) if self.fields[f]}

    def first(self):
        """(captured number or -1, emitted number or -1, [fields]) of the first difference in time, or None.

        Segments are numbered from 0 over all windows.
        """
        if self.first_rows is None:
            return None
        return self.first_c, self.first_e, [FIELDS[f] for f in range(NFIELDS) if (self.first_bits >> f) & 1]

    def first_segments(self):
        """(packet's number or None, captured, emitted segment) of the first difference: see `Table.row`; or None."""
        return None if self.first_rows is None else (self.first_packet or None, *self.first_rows)

    def pair_of_captured(self, Py_ssize_t i):
        """The emitted index that captured segment i is paired with, or -1. Of one window only."""
        if self.mate_c == NULL or not 0 <= i < self.cap.n:
            raise IndexError(i)
        return self.mate_c[i]

    def pair_of_emitted(self, Py_ssize_t i):
        """The captured index that emitted segment i is paired with, or -1. Of one window only."""
        if self.mate_e == NULL or not 0 <= i < self.emi.n:
            raise IndexError(i)
        return self.mate_e[i]


cdef inline void count_compared(Pairing self, Py_ssize_t c, Py_ssize_t e, uint32_t bits) noexcept nogil:
    """bits: the fields that differ."""
    cdef int64_t d
    cdef int f
    if self.mate_c != NULL:
        self.mate_c[self.c.list[c] - self.c.seg] = self.e.list[e] - self.e.seg
        self.mate_e[self.e.list[e] - self.e.seg] = self.c.list[c] - self.c.seg
    if bits == 0:
        self.matched += 1
        d = seg_of(&self.c, c).t - seg_of(&self.e, e).t
        self.in_time += -1000000 <= d <= 1000000
        return
    for f in range(NFIELDS):
        self.fields[f] += (bits >> f) & 1
    self.note(seg_of(&self.c, c).t, c, e, bits)
