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

cdef int64_t NEVER = <int64_t>1 << 62


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


@cython.final
cdef class Walk:
    """Goes through the packets of a file, a window of them at a time.

    number    each packet's number in the file, from 1: see `columns`
    link      length of the link header in front of it
    """

    def __cinit__(self, const uint8_t[::1] buf not None):
        self.buf, self.size = buf, buf.shape[0]
        self.data = &buf[0] if self.size else NULL
        self.usual_end = -1
        self.earliest = self.latest = NEVER

    @property
    def ended(self):
        """Whether there is nothing behind this window."""
        return self.cut != 0 or self.at >= self.size

    @property
    def span(self):
        """The earliest and the latest time of an IP packet so far; 0 if there is none."""
        known = self.latest != NEVER
        return self.earliest * known, self.latest * known

    cdef void note_time(self, int64_t t) noexcept:
        """An IP packet is the first one, or earlier than one before it, or neither."""
        if self.latest == NEVER:
            self.earliest = self.latest = t
        self.earliest, self.latest = min(self.earliest, t), max(self.latest, t)

    @property
    def packets(self):
        """All records so far, of whatever kind."""
        return self.count()

    cdef int64_t count(self) noexcept:
        return self.before + self.n + self.gaps

    cdef void note_row(self, Py_ssize_t skip) noexcept:
        """The next packet is the window's first one, comes behind one that is no IP, or has another link header."""
        if self.gaps:
            self.note_number(self.n)
        self.note_link(self.n, skip)
        self.skip = skip if self.link.repeats and not self.gaps else -1

    cdef void note_link(self, Py_ssize_t i, Py_ssize_t skip) noexcept:
        """Packet i is the first one, or link headers may not be all of one length."""
        cdef Py_ssize_t k
        if i and self.link.repeats and skip != self.link.p[0]:
            self.link.repeats = False
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
        self.number.p[i] = self.count() + 1

    cdef void leave_out(self, bint short) noexcept:
        """The packet is no IP, or too short to tell."""
        self.gaps += 1
        self.skip = -1
        self.other += not short
        self.short += short
        if short and self.first_short == 0:
            self.first_short = self.count()

    cdef void stop(self, str why):
        self.cut = self.count() + 1
        self.cut_why = why

    def pcap(self, bint little, bint nano, int linktype):
        """The file is a classic pcap file; `little`: byte order of its headers."""
        self.little, self.unit, self.linktype, self.at = little, 1 if nano else 1000, linktype, 24
        if little:
            self.expect(linktype)

    cdef void expect(self, int linktype) noexcept:
        """Tells `usual_record` of the link header of IP packets."""
        if linktype == LINK_NULL or linktype == LINK_LOOP:
            return
        self.usual_head, self.ethertype_at = 0, -1
        if linktype == LINK_EN10MB:
            self.usual_head, self.ethertype_at = 14, 12
        elif linktype == LINK_SLL:
            self.usual_head, self.ethertype_at = 16, 14
        elif linktype == LINK_SLL2:
            self.usual_head, self.ethertype_at = 20, 0
        self.usual_end = self.size - RECORD - self.usual_head - 1

    def pcapng(self, section, interface):
        """The file is a pcapng file.

        section(offset) -> little: a section header begins there; interface(offset, length, little) -> (link type,
        ticks per second, offset in s): an interface description. Both may raise.
        """
        self.ng, self.little, self.section, self.interface, self.faces = True, True, section, interface, []

    cdef int window(self, Py_ssize_t limit) except -1:
        """A window of at most `limit` IP packets begins: it takes the place of the one before."""
        cdef Py_ssize_t room = min(self.size // (RECORD + 1) + 1, limit)
        if self.number is None:
            self.number, self.link = Column(room), Column(room)
        self.before, self.begin = self.count(), self.at
        self.rows += self.n
        self.n = 0
        self.numbered, self.link.repeats = False, True
        self.gaps, self.skip = 0, -1
        return 0

    cdef bint next_packet(self, Packet *out) except -1:
        """The next IP packet, whatever it looks like; False if there is none."""
        return self.next_block(out) if self.ng else self.next_record(out)

    cdef bint next_record(self, Packet *out) except -1:
        """The same in a classic pcap file."""
        cdef Py_ssize_t at, left
        cdef const uint8_t *p
        cdef uint32_t caplen
        cdef int64_t t
        cdef bint little = self.little
        while self.at < self.size:
            at, left = self.at, self.size - self.at - RECORD
            if left < 0:
                self.stop(f"expected a record header of {RECORD} bytes, found {left + RECORD}")
                break
            p = self.data + at
            caplen = get32(p + 8, little)
            if caplen > left:
                self.stop(f"expected {caplen} bytes, found {left}")
                break
            t = <int64_t>get32(p, little) * 1000000000 + <int64_t>get32(p + 4, little) * self.unit
            self.at += RECORD + caplen
            if self.add(self.linktype, t, at + RECORD, caplen, get32(p + 12, little), out):
                return True
        return False

    cdef bint next_block(self, Packet *out) except -1:
        """The same in a pcapng file."""
        cdef const uint8_t *p
        cdef Py_ssize_t left
        cdef uint32_t kind, size
        cdef int found = False
        while self.at < self.size and not found:
            p, left = self.data + self.at, self.size - self.at
            if left < 12:
                self.stop(f"expected a block of 12 bytes or more, found {left}")
                break
            kind = get32(p, True)
            if kind == 0x0A0D0D0A:  # reads alike in both byte orders
                self.little = self.section(self.at)
                self.faces = []
            kind = get32(p, self.little)
            size = get32(p + 4, self.little)
            if size < 12 or size & 3:
                self.stop(f"expected a block length that is a multiple of 4, found {size}")
                break
            if size > left:
                self.stop(f"expected a block of {size} bytes, found {left}")
                break
            if kind == 1:
                self.faces.append(self.interface(self.at, size, self.little))
            elif kind in (6, 2):  # enhanced packet, and the obsolete packet block: same places but the interface's
                found = self.packet_block(p, kind, size, out)
                if self.cut:
                    break
            elif kind == 3:  # a simple packet has no time: it cannot be replayed
                self.leave_out(False)
            self.at += size
        return found

    cdef bint packet_block(self, const uint8_t *p, uint32_t kind, uint32_t size, Packet *out) except -1:
        """Reads the packet block at p: is it an IP packet? One that is broken is where the capture ends."""
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
        return self.add(link, to_ns(ticks, per_second) + <int64_t>shift * 1000000000, self.at + 28, caplen,
                        get32(p + 24, little), out)

    cdef bint add(self, int linktype, int64_t t, int64_t at, uint32_t caplen, uint32_t origlen, Packet *out) noexcept:
        """Counts the packet of `caplen` bytes at offset `at`: is it IP? Then `out` is filled."""
        cdef Py_ssize_t skip = 0
        cdef int kind = network(linktype, self.data + at, caplen, &skip)
        if kind != IPV4 and kind != IPV6:
            self.leave_out(kind == SHORT)
            return False
        self.ipv6 += kind == IPV6
        self.note_time(t)
        add_row(self, skip)
        out.p, out.t, out.off = self.data + at + skip, t, at + skip
        out.caplen, out.origlen = caplen - skip, max(origlen, caplen) - skip
        return True

    def columns(self):
        """(number, link) of the window's IP packets: memoryviews of int64, but `number` may be a range."""
        self.number.n = self.link.n = self.n
        return (memoryview(self.number) if self.numbered else range(self.before + 1, self.before + self.n + 1),
                memoryview(self.link))


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
