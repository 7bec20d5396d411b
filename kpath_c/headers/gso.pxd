"""net/gso.h: the segments that a packet is cut into.

Where the kernel makes a list of sk_buffs, here is one header that is turned into each segment's in its turn: what the
segments differ in is little, and the device takes one after the other.
Follows include/net/gso.h and what tcp_gso_segment() and inet_gso_segment() write of Linux 6.18 (GPL-2.0-only).
"""
from kpath_c.headers.tcp cimport *
from kpath_c.headers.netdevice cimport *

cdef enum:
    GSO_HDR_MAX = 128                   # IP and TCP with all options: 120

cdef struct gso_segs:
    u8 hdr[GSO_HDR_MAX]                 # the current segment's
    u32 ihl
    u32 hdr_len
    u32 mss
    u32 rest                            # payload behind the current segment
    u32 length                          # payload of the current segment
    u32 seq
    u32 count                           # of all segments
    u16 id
    u8 flags                            # of the packet
    u8 v6

# RFC 9293: FIN and PSH belong to the last byte, and (RFC 3168) CWR to the first packet.
cdef inline void tcp_gso_header(gso_segs *s, bint first) noexcept nogil:
    cdef tcphdr *th = <tcphdr *>(s.hdr + s.ihl)
    th.flags = s.flags
    if s.rest:
        th.flags &= <u8>~(TCPHDR_FIN | TCPHDR_PSH)
    if not first:
        th.flags &= <u8>~TCPHDR_CWR
    th.seq = htonl(s.seq)

cdef inline void inet_gso_header(gso_segs *s) noexcept nogil:
    if s.v6:
        (<ipv6hdr *>s.hdr).payload_len = htons(<u16>(s.hdr_len - sizeof(ipv6hdr) + s.length))
    else:
        (<iphdr *>s.hdr).id = htons(s.id)
        (<iphdr *>s.hdr).tot_len = htons(<u16>(s.hdr_len + s.length))

# skb.next of the kernel's list: makes the next segment the current one. False: there is none.
cdef inline bint gso_next(gso_segs *s) noexcept nogil:
    if not s.rest:
        return 0
    s.seq += s.length
    s.id += 1
    s.length = min_u32(s.mss, s.rest)
    s.rest -= s.length
    tcp_gso_header(s, 0)
    inet_gso_header(s)
    return 1
