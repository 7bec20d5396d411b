# SPDX-License-Identifier: GPL-2.0-only
"""A capture to be altered: the self-check changes one byte of what a host sent, and the comparison must notice.

Written apart from kpath/capture.py, so that a fault there cannot hide itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

LINK_RAW, LINK_ETHERNET = 101, 1


def ones_sum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class Capture:
    """A little-endian pcap file with one TCP connection; `packets` is [(record header, bytes)]."""

    def __init__(self, path: str | Path) -> None:
        data = Path(path).read_bytes()
        self.head = data[:24]
        assert data[:4] in (b"\x4d\x3c\xb2\xa1", b"\xd4\xc3\xb2\xa1")
        self.ip = {LINK_RAW: 0, LINK_ETHERNET: 14}[struct.unpack_from("<I", data, 20)[0]]
        self.packets: list[tuple[bytes, bytes]] = []
        at = 24
        while at < len(data):
            size = struct.unpack_from("<I", data, at + 8)[0]
            self.packets.append((data[at:at + 16], data[at + 16:at + 16 + size]))
            at += 16 + size

    def tcp_at(self, i: int) -> int:
        """Offset of the TCP header in packet i."""
        return self.ip + (self.packets[i][1][self.ip] & 15) * 4

    def sent(self, address: str = "") -> list[int]:
        """The packets that the sender of the first SYN sent (or `address`)."""
        source = bytes(map(int, address.split("."))) if address else self.packets[0][1][self.ip + 12:self.ip + 16]
        return [i for i, (_, p) in enumerate(self.packets) if p[self.ip + 12:self.ip + 16] == source]

    def option(self, i: int, kind: int) -> int:
        """Offset of an option of packet i."""
        p, at = self.packets[i][1], self.tcp_at(i) + 20
        end = self.tcp_at(i) + (p[self.tcp_at(i) + 12] >> 4) * 4
        while at < end:
            if p[at] == kind:
                return at
            at += 1 if p[at] <= 1 else p[at + 1]
        raise LookupError(f"packet {i}: no option {kind}")

    def change(self, i: int, offset: int, flip: int) -> None:
        """Flips bits of one byte and mends the TCP checksum, so that only that byte's field differs (RFC 1624)."""
        head, p = self.packets[i]
        old = bytearray(p)
        new = bytearray(p)
        new[offset] ^= flip
        check = self.tcp_at(i) + 16
        start = offset - (offset - self.tcp_at(i)) % 2
        before, after = (int.from_bytes(x[start:start + 2], "big") for x in (old, new))
        (value,) = struct.unpack_from("!H", p, check)
        value = ~ones_sum(struct.pack("!HHH", ~value & 0xFFFF, ~before & 0xFFFF, after)) & 0xFFFF
        struct.pack_into("!H", new, check, value)
        self.packets[i] = (head, bytes(new))

    def keep(self, wanted: Callable[[int], bool]) -> None:
        self.packets = [p for i, p in enumerate(self.packets) if wanted(i)]

    def repeat(self, i: int) -> None:
        """Packet i a second time, right behind the first."""
        self.packets.insert(i + 1, self.packets[i])

    def write(self, path: str | Path) -> None:
        Path(path).write_bytes(self.head + b"".join(a + b for a, b in self.packets))
