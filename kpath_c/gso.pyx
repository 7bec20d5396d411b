"""Generic segmentation offload: what a device cannot cut is cut in front of it.

Follows net/core/gso.c of Linux 6.18 (GPL-2.0-only).

Deviations: see headers/gso.pxd; only the transmit path, no partial GSO.
"""
from kpath_c.headers.gso cimport *
from kpath_c.af_inet cimport inet_gso_segment
from kpath_c.ip6_offload cimport ipv6_gso_segment


cdef int skb_mac_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil:
    if segs.v6:
        return ipv6_gso_segment(skb, features, segs)
    return inet_gso_segment(skb, features, segs)


cdef int __skb_gso_segment(sk_buff *skb, u64 features, gso_segs *segs) noexcept nogil:
    """Describes the segments of a packet whose headers the caller has put into segs.hdr (hdr_len bytes of them).

    0: the first one is current, gso_next() makes the others. Else -errno.
    """
    segs.v6 = ip_version(<iphdr *>segs.hdr) == 6
    return skb_mac_gso_segment(skb, features, segs)
