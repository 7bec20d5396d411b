# SPDX-License-Identifier: GPL-2.0-only
"""Reads a capture file: pcap (us or ns) and pcapng (any resolution), of the link types that TCP is captured on.

dpkt knows pcapng's blocks; the records themselves are walked in records.pyx, which says why.
"""

from __future__ import annotations

import mmap
import os
import stat
import sys
from array import array
from collections.abc import Sequence

from .errors import InputError, at
from .records import LINKS, Walk
from .segments import Table

TYPE_CHECKING = False  # typing takes longer to import than a short replay
if TYPE_CHECKING:
    from typing import Literal

Bytes = bytearray | mmap.mmap
NO_ROWS = memoryview(array("q"))
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


WHOLE = sys.maxsize  # a window that any capture fits into


class Capture:
    """One capture, a window at a time: the file's bytes, and its segments.

    `table` and what has one entry an IP packet hold the window that `advance` read last; `read` reads the first one:
    `number` is the packet's number from 1, `link` (a memoryview) the length of the link header in front of it.
    `packets`, `ipv6`, `cut`, `span` (the earliest and the latest time) and `warnings` are of all that was read so far.
    `buf` is mutable (checksums are filled in), but the file keeps its contents.
    """

    def __init__(self, path: str, buf: Bytes, window: int) -> None:
        self.path = path
        self.buf = buf
        self.walk = Walk(buf)
        self.window = window
        self.linktype = -1  # the first interface's; a pcapng file's may differ in link type and resolution
        self.snaplen = 0
        self.table = Table()
        self.link = NO_ROWS
        self.number: Sequence[int] = ()
        self.warnings: list[str] = []
        self.before = 0  # offset of the window before

    @property
    def packets(self) -> int:
        return self.walk.packets

    @property
    def ipv6(self) -> int:
        return self.walk.ipv6

    @property
    def cut(self) -> bool:
        return bool(self.walk.cut)

    @property
    def span(self) -> tuple[int, int]:
        return self.walk.span

    @property
    def ended(self) -> bool:
        """Whether this window is the last one."""
        return self.walk.ended

    @property
    def share(self) -> float:
        """How much of the file was read, 0..1."""
        return self.walk.at / len(self.buf)

    def advance(self) -> None:
        """Reads the next window; with the last one come the warnings of what was odd about the file."""
        self.table.read(self.walk, self.window)
        self.number, self.link = self.walk.columns()
        if self.ended:
            self.warnings += odd(self)

    def let_go(self) -> None:
        """The system may take back the memory of what lies in front of the window before this one.

        It reads it again if need be. Of the window before, the host may not have been given all; and checksums that
        were filled in would be lost.
        """
        if isinstance(self.buf, mmap.mmap):
            if end := self.before // mmap.PAGESIZE * mmap.PAGESIZE:
                self.buf.madvise(mmap.MADV_DONTNEED, 0, end)
            self.before = self.walk.begin


def read(path: str, window: int = WHOLE) -> Capture:
    """Reads `path`, `window` IP packets at a time. InputError: no such file, no capture, a link type not known."""
    buf = load(path)
    if len(buf) == 0:
        raise at(path, "expected a capture, found a file of length zero")
    cap = Capture(path, buf, window)
    if len(buf) >= 4 and bytes(buf[:4]) == b"\x0a\x0d\x0d\x0a":
        blocks = Blocks(cap)
        cap.walk.pcapng(blocks.section, blocks.interface)
        cap.advance()
        if cap.linktype < 0 and not cap.cut:
            raise at(path, "expected an interface description, found none")
    else:
        read_header(cap)
        cap.advance()
    if not cap.walk.n:
        raise nothing(cap)
    return cap


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


def read_header(cap: Capture) -> None:
    """Reads a classic pcap file's header."""
    head = bytes(cap.buf[:24])
    magic = head[:4]
    little = magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1")
    nano = magic in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
    if not little and magic not in (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d"):
        raise at(cap.path, f"expected a pcap or pcapng file, found the magic number {magic.hex()}")
    if len(head) < 24:
        raise at(cap.path, f"expected a file header of 24 bytes, found {len(head)}")
    order: Literal["little", "big"] = "little" if little else "big"
    cap.snaplen = int.from_bytes(head[16:20], order)
    cap.linktype = int.from_bytes(head[20:], order) & 0x0FFFFFFF  # the upper bits tell of a frame check sequence
    known(cap.path, cap.linktype)
    cap.walk.pcap(little, nano, cap.linktype)


class Blocks:
    """Reads a pcapng file's section and interface blocks for `Walk.pcapng`, through dpkt."""

    def __init__(self, cap: Capture) -> None:
        self.cap = cap
        self.path = cap.path
        self.buf = cap.buf

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
        if self.cap.linktype < 0:
            self.cap.linktype, self.cap.snaplen = idb.linktype, idb.snaplen
        return idb.linktype, per_second, shift


def known(path: str, linktype: int) -> None:
    """InputError unless packets of this link type can be read."""
    if linktype not in LINKS:
        name = OTHER_LINKS.get(linktype)
        raise at(path, f"link type {linktype} ({name or 'no name known'}) is not supported")


def odd(cap: Capture) -> list[str]:
    """What was odd about the file, a line each."""
    out, walk = [], cap.walk
    if walk.cut:
        out.append(f"{cap.path}: packet {walk.cut}: {walk.cut_why}; replayed up to there")
    if walk.short:
        head = HEADERS.get(cap.linktype, "a header of 1")
        out.append(
            f"{cap.path}: packet {walk.first_short}: expected {head} bytes, found less"
            f" ({count(walk.short, 'such packet')} skipped)"
        )
    return out


def nothing(cap: Capture) -> InputError:
    """Why there is no IP packet in a file."""
    if cap.cut:
        return at(cap.path, f"packet {cap.walk.cut}: {cap.walk.cut_why}")
    if cap.walk.short:
        return InputError(cap.warnings[-1])
    return at(cap.path, f"no TCP in this capture ({count(cap.packets, 'packet')})")


def count(n: int, what: str) -> str:
    """`1 packet`, `2 packets`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
