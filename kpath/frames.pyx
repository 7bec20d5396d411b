# SPDX-License-Identifier: GPL-2.0-only
"""Emitted segments as capture records: link header, checksums, and payload as far as the capture holds it."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy, memset

from .pairing cimport Pairing
from .segments cimport SENT, Seg, Table, held, ip_checksum, ip_length, tcp_checksum

cdef struct Piece:           # captured payload: stream offset, and where the bytes are
    uint32_t at
    uint32_t len
    int64_t off


cdef int by_offset(const void *a, const void *b) noexcept nogil:
    cdef uint32_t x = (<const Piece *>a).at, y = (<const Piece *>b).at
    return (x > y) - (x < y)


cdef inline void put32(uint8_t *p, uint32_t v) noexcept nogil:
    p[0] = v & 0xFF
    p[1] = (v >> 8) & 0xFF
    p[2] = (v >> 16) & 0xFF
    p[3] = v >> 24


cdef class Frames:
    """Renders the emitted segments of a Pairing as pcap or pcapng records (little endian, ns).

    link_headers: {connection: bytes}, and None: bytes for the rest.
    """

    cdef Table cap, emi
    cdef Pairing pairs
    cdef dict links
    cdef bint ng
    cdef Piece *piece
    cdef int64_t *first         # connection c's pieces are piece[first[c]] .. piece[first[c + 1] - 1]
    cdef readonly int64_t without_payload

    def __dealloc__(self):
        free(self.piece)
        free(self.first)

    def __init__(self, Pairing pairs not None, dict link_headers not None, bint ng):
        self.pairs, self.cap, self.emi, self.links, self.ng = pairs, pairs.cap, pairs.emi, link_headers, ng
        self.index()

    cdef int index(self) except -1:
        """Sorts the payload that the capture holds by stream offset, by connection."""
        cdef Py_ssize_t c, i, k, n = 0
        cdef Seg *s
        cdef Seg **sent = <Seg **>malloc((self.cap.n + 1) * sizeof(Seg *))
        self.piece = <Piece *>malloc((self.cap.n + 1) * sizeof(Piece))
        self.first = <int64_t *>malloc((self.cap.nconn + 2) * sizeof(int64_t))
        if sent == NULL or self.piece == NULL or self.first == NULL:
            free(sent)
            raise MemoryError
        for c in range(self.cap.nconn):
            self.first[c] = n
            k = self.cap.sent(c, sent)
            for i in range(k):
                s = sent[i]
                if held(s) == 0 or s.bad:
                    continue
                self.piece[n].at = s.seq - self.cap.conn[c].isn_out - 1
                self.piece[n].len = held(s)
                self.piece[n].off = s.off + s.hlen
                n += 1
            qsort(self.piece + self.first[c], n - self.first[c], sizeof(Piece), by_offset)
        self.first[self.cap.nconn] = n
        free(sent)
        return 0

    cdef bint payload(self, const Seg *e, int64_t mate, uint8_t *out) noexcept nogil:
        """Copies the payload of an emitted segment; False when the capture does not hold all of it."""
        cdef Seg *s
        cdef Piece *p
        cdef int64_t low, high, mid, k
        cdef uint32_t at, left = e.len, skip, take
        if e.conn < 0:
            return False
        if mate >= 0:
            s = &self.cap.seg[mate]
            if s.seq == e.seq and held(s) >= e.len:
                memcpy(out, &self.cap.buf[0] + s.off + s.hlen, e.len)
                return True
        at = e.seq - self.cap.conn[e.conn].isn_out - 1
        while left:
            low, high = self.first[e.conn], self.first[e.conn + 1]
            while low < high:                     # the first piece behind `at`
                mid = (low + high) // 2
                if self.piece[mid].at > at:
                    high = mid
                else:
                    low = mid + 1
            k = low - 1
            while k >= self.first[e.conn] and low - k < 64 and at - self.piece[k].at >= self.piece[k].len:
                k -= 1
            if k < self.first[e.conn] or low - k >= 64:
                return False
            p = &self.piece[k]
            skip = at - p.at
            take = min(p.len - skip, left)
            memcpy(out + e.len - left, &self.cap.buf[0] + p.off + skip, take)
            left -= take
            at += take
        return True

    def records(self, Py_ssize_t begin, Py_ssize_t end):
        """The records of emitted segments begin..end-1, as bytes."""
        cdef Py_ssize_t i, room = 0, at = 0, n, head = 28 if self.ng else 16, size, linklen
        cdef Seg *e
        cdef uint8_t *p
        cdef uint8_t *ip
        cdef bytes link
        cdef const uint8_t *linkp
        cdef bytearray out
        cdef uint8_t[::1] view
        end = min(end, self.emi.n)
        rest = self.links[None]
        most = max([len(v) for v in self.links.values()])
        for i in range(begin, end):
            room += head + 8 + <Py_ssize_t>most + self.emi.seg[i].hlen + self.emi.seg[i].len + 4
        if room == 0:
            return b""
        out = bytearray(room)
        view = out
        for i in range(begin, end):
            e = &self.emi.seg[i]
            link = self.links.get(e.conn, rest)
            linklen = len(link)
            p = &view[at]
            ip = p + head + linklen
            if linklen:
                linkp = link
                memcpy(p + head, linkp, linklen)
            memcpy(ip, &self.emi.buf[0] + e.off, e.hlen)
            n = e.hlen
            if e.len and self.payload(e, self.pairs.mate_e[i], ip + e.hlen):
                n += e.len
            elif e.len:
                self.without_payload += 1
            ip_checksum(ip, ip_length(ip))
            tcp_checksum(ip, ip_length(ip), n - ip_length(ip), NULL, e.hlen + e.len - n)
            size = linklen + n
            if self.ng:
                at += self.enhanced(p, e, size, linklen + e.hlen + e.len)
            else:
                put32(p, <uint32_t>(e.t // 1000000000))
                put32(p + 4, <uint32_t>(e.t % 1000000000))
                put32(p + 8, <uint32_t>size)
                put32(p + 12, <uint32_t>(linklen + e.hlen + e.len))
                at += 16 + size
        view = None
        del out[at:]
        return out

    cdef Py_ssize_t enhanced(self, uint8_t *p, const Seg *e, Py_ssize_t size, Py_ssize_t wire) noexcept nogil:
        """The enhanced packet block around a packet of `size` bytes at p + 28; returns the block's length."""
        cdef Py_ssize_t padded = (size + 3) & ~3
        memset(p + 28 + size, 0, padded - size)
        put32(p, 6)
        put32(p + 4, <uint32_t>(32 + padded))
        put32(p + 8, 0)
        put32(p + 12, <uint32_t>(e.t >> 32))
        put32(p + 16, <uint32_t>e.t)
        put32(p + 20, <uint32_t>size)
        put32(p + 24, <uint32_t>wire)
        put32(p + 28 + padded, <uint32_t>(32 + padded))
        return 32 + padded
