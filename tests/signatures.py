# SPDX-License-Identifier: GPL-2.0-only
"""Signed segments (RFC 2385), made and checked by Python's own MD5."""

import hashlib
import ipaddress
import socket
import struct

from conversation import SLOT, Conversation
from packets import checksum

TCP_MD5SIG, TCP_MD5SIG_EXT = 14, 32
PREFIX, IFINDEX = 1, 2  # TCP_MD5SIG_FLAG_*
KEY = b"not a secret"
PLACE = b"\1\1\x13\x12" + bytes(16)


def parts(packet: bytes) -> tuple[int, bytes, bytes, int]:
    """Where TCP begins, source, destination, the length of TCP's header."""
    if packet[0] >> 4 == 6:
        at, source, target = 40, packet[8:24], packet[24:40]
    else:
        at, source, target = (packet[0] & 15) * 4, packet[12:16], packet[16:20]
    return at, source, target, (packet[at + 12] >> 4) * 4


def digest(packet: bytes, key: bytes = KEY) -> bytes:
    """RFC 2385 2.0: pseudo header, TCP's header without options and checksum, data, key."""
    at, source, target, header = parts(packet)
    length = len(packet) - at
    lengths = struct.pack("!II", length, 6) if len(source) == 16 else struct.pack("!BBH", 0, 6, length)
    bare = packet[at:at + 16] + b"\0\0" + packet[at + 18:at + 20]
    return hashlib.md5(source + target + lengths + bare + packet[at + header:] + key).digest()  # noqa: S324


def sign(packet: bytes, key: bytes = KEY, spoil: bool = False) -> bytes:
    """The packet with a signature in front of its options; spoil: a wrong one."""
    at, source, target, header = parts(packet)
    tcp = bytearray(packet[at:])
    tcp[20:20] = PLACE
    tcp[12] += len(PLACE) // 4 << 4
    ip = bytearray(packet[:at])
    if len(source) == 16:
        ip[4:6] = struct.pack("!H", len(tcp))
    else:
        ip[2:4] = struct.pack("!H", at + len(tcp))
        ip[10:12] = b"\0\0"
        ip[10:12] = struct.pack("!H", checksum(bytes(ip)))
    made = digest(bytes(ip + tcp), key)
    tcp[24:40] = bytes(b ^ 0xFF for b in made) if spoil else made
    tcp[16:18] = b"\0\0"
    pseudo = source + target + struct.pack("!II", len(tcp), 6)
    tcp[16:18] = struct.pack("!H", checksum(pseudo + bytes(tcp)))
    return bytes(ip + tcp)


def signing(c: Conversation, key: bytes = KEY, spoil: bool = False) -> Conversation:
    """From here on the peer signs whatever it sends."""
    c.raw = lambda packet: Conversation.raw(c, sign(packet, key, spoil))  # type: ignore[method-assign]
    return c


def key_value(addr: str, key: bytes = KEY, prefixlen: int | None = None, ifindex: int | None = None,
              keylen: int | None = None) -> str:
    """struct tcp_md5sig, as the face of Host takes bytes."""
    address = ipaddress.ip_address(addr)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    place = struct.pack("=HH", family, 0) + bytes(4 if address.version == 6 else 0) + address.packed
    flags = (PREFIX if prefixlen is not None else 0) | (IFINDEX if ifindex is not None else 0)
    tail = struct.pack("=BBHi80s", flags, prefixlen or 0, len(key) if keylen is None else keylen, ifindex or 0, key)
    return (place.ljust(128, b"\0") + tail).decode("latin-1")


def set_key(c: Conversation, slot: int = SLOT, addr: str | None = None, key: bytes = KEY,
            prefixlen: int | None = None) -> None:
    """The application sets (or, with an empty key, takes away) the key for the peer."""
    value = key_value(addr or c.peer, key, prefixlen)
    name = TCP_MD5SIG if prefixlen is None else TCP_MD5SIG_EXT
    c.ok("setsockopt", slot, socket.IPPROTO_TCP, name, len(value), s=value)


def check_signed(c: Conversation, first: int = 0, key: bytes = KEY, payload: bytes | None = None) -> int:
    """All that was emitted from `first` on carries the right signature; how many segments that were.

    payload: what the application wrote; zeros without.
    """
    for i in range(first, c.host.emitted_count()):
        _, _, length, offset, header = c.host.emitted(i)
        data = bytes(length) if payload is None or not length else payload[offset:offset + length]
        at = parts(header)[0] + 20
        while header[at:at + 4] != PLACE[:4]:
            at += 4
            assert at < len(header), f"segment {i} is not signed"
        assert header[at + 4:at + 20] == digest(header + data, key), f"segment {i}: wrong signature"
    return c.host.emitted_count() - first
