# SPDX-License-Identifier: GPL-2.0-only
"""IP packets with TCP or ICMP in them, from and to bytes."""

import ipaddress
import struct

LOCAL, PEER = "10.0.0.1", "10.0.0.2"
LOCAL6, PEER6 = "fd77::1", "fd77::2"
LOCAL_PORT, PEER_PORT = 40000, 5001
LOCAL_ISN, PEER_ISN = 0xFFFFFFF0, 0xFFFFFF80
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def encode_options(options: dict[str, object]) -> bytes:
    """mss, sack (permitted), ts (value, echo), ws, blocks [(start, end), ...] (absolute) to bytes, padded."""
    out = b""
    for name, value in options.items():
        if name == "mss":
            out += struct.pack("!BBH", 2, 4, value)
        elif name == "ws":
            out += struct.pack("!BBB", 3, 3, value)
        elif name == "sack":
            out += b"\4\2"
        elif name == "ts":
            out += struct.pack("!BBII", 8, 10, value[0], value[1] & 0xFFFFFFFF)  # type: ignore[index]
        elif name == "blocks":
            body = b"".join(struct.pack("!II", a & 0xFFFFFFFF, b & 0xFFFFFFFF) for a, b in value)  # type: ignore
            out += struct.pack("!BB", 5, 2 + len(body)) + body
        elif name == "raw":
            out += value  # type: ignore[operator]
    return out + b"\1" * (-len(out) % 4)


def decode_options(data: bytes) -> dict[str, object]:
    """The options of a header, in their order."""
    out: dict[str, object] = {}
    while data:
        kind = data[0]
        if kind == 0:
            break
        if kind == 1:
            data = data[1:]
            continue
        body = data[2:data[1]]
        if kind == 2:
            out["mss"] = struct.unpack("!H", body)[0]
        elif kind == 3:
            out["ws"] = body[0]
        elif kind == 4:
            out["sack"] = True
        elif kind == 5:
            out["blocks"] = [struct.unpack("!II", body[i:i + 8]) for i in range(0, len(body), 8)]
        elif kind == 8:
            out["ts"] = struct.unpack("!II", body)
        else:
            out[f"kind{kind}"] = bytes(body)
        data = data[data[1]:]
    return out


def icmp_frag_needed(mtu: int, seq: int, length: int, *, dport: int = PEER_PORT, sport: int = LOCAL_PORT) -> bytes:
    """ICMP type 3 code 4 from a router on the way, about the segment at relative `seq` (RFC 1191)."""
    source, target, router = (bytes(map(int, a.split("."))) for a in (LOCAL, PEER, "10.0.0.254"))
    quoted = struct.pack("!BBHHHBBH", 0x45, 0, 40 + length, 1, 0x4000, 64, 6, 0) + source + target
    quoted += struct.pack("!HHI", sport, dport, (LOCAL_ISN + 1 + seq) & 0xFFFFFFFF)
    icmp = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted
    icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(icmp), 1, 0, 64, 1, 0) + router + source
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + icmp


def icmp6(kind: int, code: int, info: int, seq: int, length: int = 0, *, dport: int = PEER_PORT,
          sport: int = LOCAL_PORT) -> bytes:
    """An ICMPv6 error from a router on the way, about the segment at relative `seq` (RFC 4443)."""
    source, target, router = (ipaddress.ip_address(a).packed for a in (LOCAL6, PEER6, "fd77::fe"))
    quoted = struct.pack("!IHBB", 6 << 28, 20 + length, 6, 64) + source + target
    quoted += struct.pack("!HHIIHHHH", sport, dport, (LOCAL_ISN + 1 + seq) & 0xFFFFFFFF, 0, 0x5000, 0, 0, 0)
    icmp = struct.pack("!BBHI", kind, code, 0, info) + quoted
    check = checksum(router + source + struct.pack("!II", len(icmp), 58) + icmp)
    return struct.pack("!IHBB", 6 << 28, len(icmp), 58, 255) + router + source + icmp[:2] + struct.pack(
        "!H", check) + icmp[4:]


def tcp_packet(flags: str, seq: int, ack: int, length: int = 0, window: int = 65535, options: bytes = b"", *,
               src: str = PEER, dst: str = LOCAL, sport: int = PEER_PORT, dport: int = LOCAL_PORT, ecn: int = 0,
               urgent: int = 0, ttl: int = 64, bad_checksum: bool = False, ident: int = 1, label: int = 0) -> bytes:
    """One TCP packet of either IP version with absolute numbers and valid checksums."""
    bits = sum(FLAGS[f] for f in flags)
    payload = bytes(i & 0xFF for i in range(length))
    header = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, (20 + len(options)) // 4 << 4,
                         bits, window, 0, urgent) + options
    source, target = (ipaddress.ip_address(a).packed for a in (src, dst))
    total = len(header) + length
    check = checksum(source + target + struct.pack("!BBH", 0, 6, total) + header + payload)
    header = header[:16] + struct.pack("!H", check ^ (0x5555 if bad_checksum else 0)) + header[18:]
    if ":" in src:
        return struct.pack("!IHBB", 6 << 28 | ecn << 20 | label, total, 6, ttl) + source + target + header + payload
    ip = struct.pack("!BBHHHBBH", 0x45, ecn, 20 + total, ident, 0x4000, ttl, 6, 0) + source + target
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return ip + header + payload


def relative(number: int, isn: int) -> int:
    """A sequence number, relative to the first byte behind `isn`; negative just below it."""
    value = (number - isn - 1) & 0xFFFFFFFF
    return value - (1 << 32) if value > 1 << 31 else value
