# SPDX-License-Identifier: GPL-2.0-only
cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from .bigmem cimport Column

cdef enum:                      # what a link header says of the packet behind it
    IPV4 = 4
    IPV6 = 6
    OTHER = 1
    SHORT = 2

cdef enum:
    RECORD = 16                 # length of a record's header in a classic pcap file

cdef struct Packet:             # an IP packet of a capture
    const uint8_t *p
    int64_t t                   # ns since the epoch
    int64_t off                 # of the IP header in the file
    int64_t caplen              # bytes of it that the file holds
    int64_t origlen             # bytes of it on the wire (with any padding of the link)

@cython.final
cdef class Walk:
    cdef const uint8_t[::1] buf
    cdef const uint8_t *data
    cdef Py_ssize_t size
    cdef readonly Py_ssize_t at         # offset of the next record
    cdef readonly Py_ssize_t begin      # offset of the window's first one
    cdef Column number          # written from the first packet on that is not counted from 1
    cdef Column link            # repeats the first one as long as all are alike
    cdef Py_ssize_t skip        # length of link headers behind which a packet's row needs no note, see `note_row`
    cdef int64_t gaps           # records of this window that are no IP packets
    cdef bint numbered
    cdef Py_ssize_t usual_end   # the last offset at which `usual_record` may look, -1: nowhere
    cdef uint32_t usual_head    # length of the link header that it expects
    cdef int ethertype_at       # where that has its Ethertype, -1: it has none
    cdef bint ng, little
    cdef uint32_t unit          # ns
    cdef int linktype
    cdef object section, interface
    cdef list faces                     # of this section: (link type, ticks a second, offset in s)
    cdef int64_t before                 # records in front of this window
    cdef readonly int64_t rows          # IP packets in front of it
    cdef readonly Py_ssize_t n          # IP packets in it so far
    cdef readonly int64_t ipv6, other, short
    cdef readonly int64_t first_short
    cdef int64_t earliest, latest       # time of an IP packet, NEVER: there is none
    cdef readonly int64_t cut           # number of the record at which the file ends too early, or 0
    cdef readonly str cut_why
    cdef int window(self, Py_ssize_t limit) except -1
    cdef bint next_packet(self, Packet *out) except -1
    cdef bint next_record(self, Packet *out) except -1
    cdef bint next_block(self, Packet *out) except -1
    cdef bint packet_block(self, const uint8_t *p, uint32_t kind, uint32_t size, Packet *out) except -1
    cdef bint add(self, int linktype, int64_t t, int64_t at, uint32_t caplen, uint32_t origlen, Packet *out) noexcept
    cdef void expect(self, int linktype) noexcept
    cdef void note_time(self, int64_t t) noexcept
    cdef int64_t count(self) noexcept
    cdef void note_row(self, Py_ssize_t skip) noexcept
    cdef void note_link(self, Py_ssize_t i, Py_ssize_t skip) noexcept
    cdef void note_number(self, Py_ssize_t i) noexcept
    cdef void leave_out(self, bint short) noexcept
    cdef void stop(self, str why)


# What is done for each packet is here, so that the compiler can put it into the loop of `Table.read`.

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


cdef inline void add_row(Walk w, int64_t skip) noexcept:
    """The next row is that of an IP packet behind a link header of `skip` bytes."""
    if skip != w.skip:
        w.note_row(skip)
    w.n += 1


cdef inline bint usual_record(Walk w, Packet *out) noexcept:
    """Reads the next record if it is what nearly all are; otherwise False, and it is there for `next_packet`.

    That is a record in full of a little-endian classic pcap file, no earlier than the one before, with an IP packet
    behind a link header of the usual length.
    """
    cdef Py_ssize_t at = w.at, end
    cdef const uint8_t *p = w.data + at
    cdef int64_t caplen, head = w.usual_head, t
    cdef int kind
    if at > w.usual_end:
        return False
    caplen = get32(p + 8, True)
    end = at + RECORD + caplen
    t = <int64_t>get32(p, True) * 1000000000 + <int64_t>get32(p + 4, True) * w.unit
    if end > w.size or caplen <= head or t < w.latest:
        return False
    p += RECORD
    kind = version(p + head, 1) if w.ethertype_at < 0 else by_ethertype(be16(p + w.ethertype_at))
    if kind == IPV6:
        w.ipv6 += 1
    elif kind != IPV4:
        return False
    w.latest = t
    w.at = end
    add_row(w, head)
    out.p, out.t, out.off, out.caplen = p + head, t, at + RECORD + head, caplen - head
    out.origlen = max(<int64_t>get32(p - RECORD + 12, True), caplen) - head
    return True
