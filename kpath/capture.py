# SPDX-License-Identifier: GPL-2.0-only
"""Reads a capture file: pcap (us or ns) and pcapng (any resolution), of the link types that TCP is captured on.

dpkt knows pcapng's blocks; the records themselves are walked in records.pyx, which says why.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from .errors import InputError, at
from .records import LINKS, Walk

Bytes = bytearray | mmap.mmap
#: names of link types that people meet but that carry no IP in a way known here
OTHER_LINKS = {
    6: "IEEE802_5",
    7: "ARCNET_BSD",
    8: "SLIP",
    9: "PPP",
    10: "FDDI",
    50: "PPP_HDLC",
    51: "PPP_ETHER",
    105: "IEEE802_11",
    107: "FRELAY",
    119: "IEEE802_11_PRISM",
    127: "IEEE802_11_RADIOTAP",
    147: "USER0",
    189: "USB_LINUX",
    192: "PPI",
    195: "IEEE802_15_4_WITHFCS",
    201: "BLUETOOTH_HCI_H4_WITH_PHDR",
    220: "USB_LINUX_MMAPPED",
    227: "CAN_SOCKETCAN",
    239: "NFLOG",
    249: "USBPCAP",
    253: "NETLINK",
}
HEADERS = {
    0: "a NULL header of 4",
    1: "an Ethernet header of 14",
    108: "a LOOP header of 4",
    113: "an SLL header of 16",
    276: "an SLL2 header of 20",
}


@dataclass
class Capture:
    """One capture in memory: the file's bytes, and parallel columns with one entry an IP packet, in file order.

    Columns are memoryviews of int64: `t` ns since the epoch, `off` offset of the IP header in `buf`, `caplen` and
    `origlen` bytes of the IP packet held and on the wire, `number` the packet's number from 1, `link` the length of
    the link header in front of `off`. `span` is the earliest and the latest time. `buf` is mutable (checksums
    are filled in), but the file keeps its contents.
    """

    path: str
    buf: Bytes
    linktype: int
    snaplen: int
    t: memoryview[int]
    off: memoryview[int]
    caplen: memoryview[int]
    origlen: memoryview[int]
    number: Sequence[int]
    link: memoryview[int]
    packets: int
    ipv6: int
    cut: bool
    span: tuple[int, int]
    warnings: list[str] = field(default_factory=list)


def read(path: str) -> Capture:
    """Reads `path`. InputError: no such file, not a capture, a link type that is not known."""
    buf = load(path)
    if len(buf) == 0:
        raise at(path, "expected a capture, found a file of length zero")
    if len(buf) >= 4 and bytes(buf[:4]) == b"\x0a\x0d\x0d\x0a":
        return read_pcapng(path, buf)
    return read_pcap(path, buf)


def load(path: str) -> Bytes:
    """The whole file: mapped, so that it is read as it is needed, or read where it cannot be (a pipe)."""
    try:
        with open(path, "rb") as f:
            if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
                return bytearray(f.read())
            if os.fstat(f.fileno()).st_size == 0:
                return bytearray()
            return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as e:
        raise at(path, getattr(e, "strerror", None) or str(e)) from None


def read_pcap(path: str, buf: Bytes) -> Capture:
    """A classic pcap file."""
    head = bytes(buf[:24])
    magic = head[:4]
    little = magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1")
    nano = magic in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
    if not little and magic not in (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d"):
        raise at(path, f"expected a pcap or pcapng file, found the magic number {magic.hex()}")
    if len(head) < 24:
        raise at(path, f"expected a file header of 24 bytes, found {len(head)}")
    snaplen, linktype = struct.unpack("<II" if little else ">II", head[16:])
    linktype &= 0x0FFFFFFF  # the upper bits tell of a frame check sequence
    known(path, linktype)
    walk = Walk(buf)
    walk.pcap(little, nano, linktype)
    return finish(path, buf, linktype, snaplen, walk)


class Blocks:
    """Reads a pcapng file's section and interface blocks for `Walk.pcapng`, through dpkt."""

    def __init__(self, path: str, buf: Bytes) -> None:
        self.path = path
        self.buf = buf
        self.linktype = -1
        self.snaplen = 0

    def section(self, offset: int) -> bool:
        """Byte order (True: little) of the section that begins at `offset`."""
        bom = bytes(self.buf[offset + 8 : offset + 12])
        if bom not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
            raise at(self.path, f"expected a pcapng section header, found the byte-order magic {bom.hex()}")
        return bom == b"\x4d\x3c\x2b\x1a"

    def interface(self, offset: int, size: int, little: bool) -> tuple[int, int, int]:
        """(link type, ticks a second, offset in s) of the interface description at `offset`."""
        import dpkt  # noqa: PLC0415  (it takes as long as a short replay)
        from dpkt import pcapng as dpkt_pcapng  # noqa: PLC0415

        kind = dpkt_pcapng.InterfaceDescriptionBlockLE if little else dpkt_pcapng.InterfaceDescriptionBlock
        try:
            idb = kind(bytes(self.buf[offset : offset + size]))
        except (dpkt.Error, ValueError, IndexError) as e:
            raise at(self.path, f"expected a pcapng interface description: {e}") from None
        per_second, shift = 10**6, 0
        for opt in idb.opts:
            data = bytes(opt.data)
            if opt.code == dpkt_pcapng.PCAPNG_OPT_IF_TSRESOL and data:
                per_second = (2 if data[0] & 0x80 else 10) ** (data[0] & 0x7F)
                if per_second >= 1 << 63:
                    raise at(
                        self.path, f"expected a time resolution of 2^-62 s or coarser, found if_tsresol {data[0]:#x}"
                    )
            elif opt.code == dpkt_pcapng.PCAPNG_OPT_IF_TSOFFSET and len(data) >= 8:
                shift = int.from_bytes(data[:8], "little" if little else "big", signed=True)
        known(self.path, idb.linktype)
        if self.linktype < 0:
            self.linktype, self.snaplen = idb.linktype, idb.snaplen
        return idb.linktype, per_second, shift


def read_pcapng(path: str, buf: Bytes) -> Capture:
    """A pcapng file. Its interfaces may differ in link type and resolution; `linktype` is the first one's."""
    blocks = Blocks(path, buf)
    walk = Walk(buf)
    walk.pcapng(blocks.section, blocks.interface)
    if blocks.linktype < 0 and not walk.cut:
        raise at(path, "expected an interface description, found none")
    return finish(path, buf, max(blocks.linktype, 0), blocks.snaplen, walk)


def known(path: str, linktype: int) -> None:
    """InputError unless packets of this link type can be read."""
    if linktype not in LINKS:
        name = OTHER_LINKS.get(linktype)
        raise at(path, f"link type {linktype} ({name or 'no name known'}) is not supported")


def finish(path: str, buf: Bytes, linktype: int, snaplen: int, walk: Walk) -> Capture:
    """The Capture of a walked file, with what was odd about it as warnings. InputError: no IP in it."""
    warnings = []
    if walk.cut:
        warnings.append(f"{path}: packet {walk.cut}: {walk.cut_why}; replayed up to there")
    if walk.short:
        head = HEADERS.get(linktype, "a header of 1")
        warnings.append(
            f"{path}: packet {walk.first_short}: expected {head} bytes, found less"
            f" ({count(walk.short, 'such packet')} skipped)"
        )
    t, off, caplen, origlen, number, link = walk.columns()
    if not len(t) and walk.cut:
        raise at(path, f"packet {walk.cut}: {walk.cut_why}")
    if not len(t) and walk.short:
        raise InputError(warnings[-1])
    if not len(t):
        raise at(path, f"no TCP in this capture ({count(walk.packets, 'packet')})")
    return Capture(
        path,
        buf,
        linktype,
        snaplen,
        t,
        off,
        caplen,
        origlen,
        number,
        link,
        walk.packets,
        walk.ipv6,
        bool(walk.cut),
        (walk.earliest, walk.latest),
        warnings,
    )


def count(n: int, what: str) -> str:
    """`1 packet`, `2 packets`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
