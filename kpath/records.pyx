# SPDX-License-Identifier: GPL-2.0-only
"""Walks the records of a pcap or pcapng file that lies in memory, and finds the IP packet in each.

dpkt reads the file header and the pcapng interface blocks (capture.py); the records are walked here because dpkt's
own loop turns pcapng times into floats (which hold no ns), hides the length on the wire, and makes an object a packet.
Times are ns since the epoch. Nothing is copied: a packet is an offset into the file.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from .bigmem cimport Column

cdef enum:
    NONE_ = 0
    IPV4 = 4
    IPV6 = 6
    OTHER = 1
    SHORT = 2

cdef enum:
    LINK_NULL = 0
    LINK_EN10MB = 1
    LINK_RAW_12 = 12
    LINK_RAW_14 = 14
    LINK_RAW = 101
    LINK_LOOP = 108
    LINK_SLL = 113
    LINK_IPV4 = 228
    LINK_IPV6 = 229
    LINK_SLL2 = 276

#: link types by number, all that this driver reads
LINKS = {LINK_NULL: "NULL", LINK_EN10MB: "EN10MB", LINK_RAW_12: "RAW", LINK_RAW_14: "RAW", LINK_RAW: "RAW",
         LINK_LOOP: "LOOP", LINK_SLL: "LINUX_SLL", LINK_IPV4: "IPV4", LINK_IPV6: "IPV6",
         LINK_SLL2: "LINUX_SLL2"}

cdef inline uint16_t be16(const uint8_t *p) noexcept nogil:
    return (<uint16_t>p[0] << 8) | p[1]


cdef inline uint32_t get32(const uint8_t *p, bint little) noexcept nogil:
    if little:
        return <uint32_t>p[0] | (<uint32_t>p[1] << 8) | (<uint32_t>p[2] << 16) | (<uint32_t>p[3] << 24)
    return <uint32_t>p[3] | (<uint32_t>p[2] << 8) | (<uint32_t>p[1] << 16) | (<uint32_t>p[0] << 24)


cdef inline int version(const uint8_t *p, Py_ssize_t n) noexcept nogil:
    if n < 1:
        return SHORT
    if p[0] >> 4 == 4:
        return IPV4
    return IPV6 if p[0] >> 4 == 6 else OTHER


cdef inline int by_ethertype(uint16_t kind) noexcept nogil:
    return IPV4 if kind == 0x0800 else IPV6 if kind == 0x86DD else OTHER


cdef int ethernet(const uint8_t *p, Py_ssize_t n, Py_ssize_t *skip) noexcept nogil:
    cdef Py_ssize_t at = 12
    if n < 14:
        return SHORT
    while be16(p + at) in (0x8100, 0x88A8, 0x9100):  # VLAN tags may be stacked
        at += 4
        if at + 2 > n:
            return SHORT
    skip[0] = at + 2
    return by_ethertype(be16(p + at))


cdef int family(const uint8_t *p, Py_ssize_t n, Py_ssize_t *skip) noexcept nogil:
    # NULL has the writer's byte order and LOOP the network's: small numbers tell which
    cdef uint32_t af
    if n < 4:
        return SHORT
    skip[0] = 4
    af = get32(p, True)
    if af > 0xFFFF:
        af = get32(p, False)
    return IPV4 if af == 2 else IPV6 if af in (10, 24, 28, 30) else OTHER


cdef inline int network(int linktype, const uint8_t *p, Py_ssize_t n, Py_ssize_t *skip) noexcept nogil:
    """What the link layer carries; `skip` is the length of the link header."""
    skip[0] = 0
    if linktype == LINK_EN10MB:
        return ethernet(p, n, skip)
    if linktype == LINK_NULL or linktype == LINK_LOOP:
        return family(p, n, skip)
    if linktype == LINK_SLL:
        skip[0] = 16
        return SHORT if n < 16 else by_ethertype(be16(p + 14))
    if linktype == LINK_SLL2:
        skip[0] = 20
        return SHORT if n < 20 else by_ethertype(be16(p))
    return version(p, n)


cdef struct Rows:               # where rows are written
    int64_t *t
    int64_t *off
    int64_t *caplen
    int64_t *origlen


@cython.final
cdef class Walk:
    """The packets of a file, a window at a time: columns of int64, one entry an IP packet, in the file's order.

    t         ns since the epoch
    off       offset of the IP header in the file
    caplen    bytes of the IP packet that the file holds
    origlen   bytes of it on the wire (with any padding of the link)
    number    the packet's number in the file, from 1
    link      length of the link header in front of it
    """

    cdef Column t, off, caplen, origlen
    cdef Column number          # written from the first packet on that is not counted from 1
    cdef Column link            # repeats the first one as long as all are alike
    cdef Rows out
    cdef Py_ssize_t skip        # length of this window's link headers, -1: they are not alike, or there are none yet
    cdef int64_t gaps           # records of this window that are no IP packets
    cdef bint numbered
    cdef const uint8_t[::1] buf
    cdef readonly Py_ssize_t at            # offset of the next record
    cdef bint ng, little, nano
    cdef int linktype
    cdef object section, interface
    cdef list faces                        # of this section: (link type, ticks a second, offset in s)
    cdef int64_t before                    # records in front of this window
    cdef readonly int64_t rows             # IP packets in front of it
    cdef readonly int64_t packets          # all records so far, of whatever kind
    cdef readonly int64_t ipv6, other, short
    cdef readonly int64_t first_short
    cdef readonly int64_t earliest, latest # time of an IP packet, 0 if there is none
    cdef readonly int64_t cut              # number of the record at which the file ends too early, or 0
    cdef readonly str cut_why

    def __cinit__(self, const uint8_t[::1] buf not None):
        self.buf = buf

    @property
    def ended(self):
        """Whether there is nothing behind this window."""
        return self.cut != 0 or self.at >= self.buf.shape[0]

    cdef int room(self, Py_ssize_t limit) except -1:
        """Makes room for as many packets as a window can hold."""
        cdef Py_ssize_t n = min(self.buf.shape[0] // 16 + 1, limit)
        self.t, self.off, self.caplen = Column(n), Column(n), Column(n)
        self.origlen, self.number, self.link = Column(n), Column(n), Column(n)
        self.out.t, self.out.off = self.t.p, self.off.p
        self.out.caplen, self.out.origlen = self.caplen.p, self.origlen.p
        return 0

    cdef void note_link(self, Py_ssize_t i, Py_ssize_t skip) noexcept:
        """Packet i is the first one, or link headers are not all of one length."""
        cdef Py_ssize_t k
        if i == 0:
            self.skip = skip
        elif self.link.repeats:
            self.link.repeats = False
            self.skip = -1
            for k in range(1, i):
                self.link.p[k] = self.link.p[0]
        self.link.p[i] = skip

    cdef void note_number(self, Py_ssize_t i) noexcept:
        """Packet i comes behind one that is no IP: its number is not that of the row."""
        cdef Py_ssize_t k
        if not self.numbered:
            self.numbered = True
            for k in range(i):
                self.number.p[k] = self.before + k + 1
        self.number.p[i] = self.packets

    cdef void leave_out(self, bint short) noexcept:
        """The packet is no IP, or too short to tell."""
        self.gaps += 1
        self.other += not short
        self.short += short
        if short and self.first_short == 0:
            self.first_short = self.packets

    cdef void stop(self, str why):
        self.cut = self.packets + 1
        self.cut_why = why

    def pcap(self, bint little, bint nano, int linktype):
        """The file is a classic pcap file; `little`: byte order of its headers."""
        self.little, self.nano, self.linktype, self.at = little, nano, linktype, 24

    def pcapng(self, section, interface):
        """The file is a pcapng file.

        section(offset) -> little: a section header begins there; interface(offset, length, little) -> (link type,
        ticks per second, offset in s): an interface description. Both may raise.
        """
        self.ng, self.little, self.section, self.interface, self.faces = True, True, section, interface, []

    def window(self, Py_ssize_t limit):
        """Reads the next `limit` IP packets, or as many as there are: they take the place of those before."""
        if self.t is None:
            self.room(limit)
        self.rows += self.t.n
        self.t.n = 0
        self.numbered, self.link.repeats = False, True
        self.gaps, self.skip = 0, -1
        self.before = self.packets
        if self.ng:
            self.blocks(limit)
        else:
            self.records(limit)

    cdef int records(self, Py_ssize_t limit) except -1:
        """Reads on in a classic pcap file."""
        cdef Py_ssize_t i = 0, at = self.at, end = self.buf.shape[0]
        cdef const uint8_t *p = &self.buf[0]
        cdef Rows out = self.out
        cdef uint32_t caplen
        cdef int64_t t, unit = 1 if self.nano else 1000
        cdef int linktype = self.linktype
        cdef bint little = self.little
        while at < end and i < limit:
            if end - at < 16:
                self.stop(f"expected a record header of 16 bytes, found {end - at}")
                break
            caplen = get32(p + at + 8, little)
            if caplen > end - at - 16:
                self.stop(f"expected {caplen} bytes, found {end - at - 16}")
                break
            t = <int64_t>get32(p + at, little) * 1000000000 + get32(p + at + 4, little) * unit
            i = add(self, &out, i, linktype, t, p + at + 16, at + 16, caplen, get32(p + at + 12, little))
            at += 16 + caplen
        self.t.n = i
        self.at = at
        return 0

    cdef int blocks(self, Py_ssize_t limit) except -1:
        """Reads on in a pcapng file."""
        cdef Py_ssize_t end = self.buf.shape[0]
        cdef const uint8_t *p
        cdef uint32_t kind, size
        while self.at < end and self.t.n < limit:
            if end - self.at < 12:
                self.stop(f"expected a block of 12 bytes or more, found {end - self.at}")
                break
            p = &self.buf[self.at]
            kind = get32(p, True)
            if kind == 0x0A0D0D0A:  # reads alike in both byte orders
                self.little = self.section(self.at)
                self.faces = []
            kind = get32(p, self.little)
            size = get32(p + 4, self.little)
            if size < 12 or size & 3:
                self.stop(f"expected a block length that is a multiple of 4, found {size}")
                break
            if size > end - self.at:
                self.stop(f"expected a block of {size} bytes, found {end - self.at}")
                break
            if kind == 1:
                self.faces.append(self.interface(self.at, size, self.little))
            elif kind in (6, 2):  # enhanced packet, and the obsolete packet block: same places but the interface's
                if not self.packet_block(p, kind, size):
                    break
            elif kind == 3:  # a simple packet has no time: it cannot be replayed
                self.packets += 1
                self.leave_out(False)
            self.at += size
        return 0

    cdef bint packet_block(self, const uint8_t *p, uint32_t kind, uint32_t size) except -1:
        """Reads the packet block at p; False where it is broken."""
        cdef bint little = self.little
        cdef uint32_t caplen, number
        cdef uint64_t ticks
        if size < 32:
            self.stop(f"expected a packet block of 32 bytes or more, found {size}")
            return False
        number = get32(p + 8, little)
        if kind == 2:
            number = number & 0xFFFF if little else number >> 16
        caplen = get32(p + 20, little)
        if caplen > size - 32 or number >= <uint32_t>len(self.faces):
            self.stop(f"expected at most {size - 32} bytes and one of {len(self.faces)} interfaces, "
                      f"found {caplen} bytes of interface {number}")
            return False
        ticks = (<uint64_t>get32(p + 12, little) << 32) | get32(p + 16, little)
        link, per_second, shift = self.faces[number]
        self.t.n = add(self, &self.out, self.t.n, link, to_ns(ticks, per_second) + <int64_t>shift * 1000000000, p + 28,
                       self.at + 28, caplen, get32(p + 24, little))
        return True

    def columns(self):
        """(t, off, caplen, origlen, number, link): memoryviews of int64, but `number` may be a range."""
        for column in (self.off, self.caplen, self.origlen, self.number, self.link):
            (<Column>column).n = self.t.n
        return (*[memoryview(c) for c in (self.t, self.off, self.caplen, self.origlen)],
                memoryview(self.number) if self.numbered else range(self.before + 1, self.before + self.t.n + 1),
                memoryview(self.link))


cdef inline Py_ssize_t add(Walk self, const Rows *out, Py_ssize_t i, int linktype, int64_t t, const uint8_t *p,
                           Py_ssize_t at, uint32_t caplen, uint32_t origlen) noexcept:
    """Adds the packet p, at offset `at`, as row i if it is IP; returns the number of rows then.

    A function, as Cython does not let the compiler inline methods.
    """
    cdef Py_ssize_t skip = 0
    cdef int kind = network(linktype, p, caplen, &skip)
    self.packets += 1
    if kind != IPV4 and kind != IPV6:
        self.leave_out(kind == SHORT)
        return i
    self.ipv6 += kind == IPV6
    out.t[i] = t
    out.off[i] = at + skip
    out.caplen[i] = caplen - skip
    out.origlen[i] = max(origlen, caplen) - skip
    if self.gaps:
        self.note_number(i)
    if skip != self.skip:
        self.note_link(i, skip)
    if i == 0 and self.rows == 0:
        self.earliest = self.latest = t
    elif t > self.latest:
        self.latest = t
    elif t < self.earliest:
        self.earliest = t
    return i + 1


cdef int64_t to_ns(uint64_t ticks, uint64_t per_second) noexcept:
    cdef uint64_t s, rest
    if per_second == 1000000000:
        return <int64_t>ticks
    if per_second == 1000000:
        return <int64_t>(ticks * 1000)
    s = ticks // per_second
    rest = ticks - s * per_second
    if per_second <= 18000000000:
        return <int64_t>(s * 1000000000 + rest * 1000000000 // per_second)
    return <int64_t>(s * 1000000000) + <int64_t>(<long double>rest * 1e9 / <long double>per_second)
