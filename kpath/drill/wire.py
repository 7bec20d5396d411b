# SPDX-License-Identifier: GPL-2.0-only
"""Packets as bytes: TCP options, checksums, building what comes in, reading what went out, and printing both alike."""

from __future__ import annotations

import socket
import struct
from array import array
from dataclasses import dataclass, field

from .script import IcmpSpec, IpInfo, Option, TcpSpec

EOL, NOP, MSS, WSCALE, SACKOK, SACK, TIMESTAMP = 0, 1, 2, 3, 4, 5, 8
MD5, FASTOPEN, ACCECN0, ACCECN1, EXPERIMENTAL = 19, 34, 172, 174, 254
FASTOPEN_MAGIC = b"\xf9\x89"

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
AE = 256
FLAG_BITS = {"F": FIN, "S": SYN, "R": RST, "P": PSH, ".": ACK, "U": URG, "E": ECE, "W": CWR, "A": AE}

IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_ICMPV6 = 1, 6, 58
ICMP_TYPES = {
    "echo_reply": 0,
    "unreachable": 3,
    "source_quench": 4,
    "redirect": 5,
    "echo_request": 8,
    "time_exceeded": 11,
    "parameter_problem": 12,
    "timestamp_request": 13,
    "timestamp_reply": 14,
    "information_request": 15,
    "information_reply": 16,
    "address_mask_request": 17,
    "address_mask_reply": 18,
}
UNREACHABLE_NAMES = [
    "net_unreachable", "host_unreachable", "protocol_unreachable", "port_unreachable", "frag_needed",
    "source_route_failed", "net_unknown", "host_unknown", "source_host_isolated", "net_prohibited",
    "host_prohibited", "net_unreachable_for_tos", "host_unreachable_for_tos", "packet_filtered",
    "precedence_violation", "precedence_cutoff",
]  # fmt: skip
UNREACHABLE_CODES = {name: code for code, name in enumerate(UNREACHABLE_NAMES)}
FRAG_NEEDED = (3, 4)
ICMPV6_TYPES = {
    "unreachable": 1,
    "packet_too_big": 2,
    "time_exceeded": 3,
    "parameter_problem": 4,
    "echo_request": 128,
    "echo_reply": 129,
}
ICMPV6_UNREACHABLE_CODES = {
    "net_unreachable": 0,
    "no_route": 0,
    "admin_prohibited": 1,
    "not_neighbour": 2,
    "address_unreachable": 3,
    "port_unreachable": 4,
}
PACKET_TOO_BIG = (2, 0)
QUOTED_TCP_BYTES = 8


@dataclass(slots=True)
class Tuple4:
    """Addresses as text, ports in host order."""

    saddr: str
    sport: int
    daddr: str
    dport: int


@dataclass(slots=True)
class Segment:
    """A packet that went out, decoded. For ICMP only type and code matter. first: bytes of the first of several."""

    time_ns: int
    tuple4: Tuple4
    tos: int
    ttl: int
    protocol: int = IPPROTO_TCP
    flags: int = 0
    seq: int = 0
    ack: int = 0
    win: int = 0
    urg: int = 0
    length: int = 0
    options: list[Option] = field(default_factory=list)
    icmp: tuple[int, int] = (0, 0)
    first: int | None = None


def option_size(option: Option) -> int:
    """Bytes that it takes on the wire."""
    return 1 if option.kind in (EOL, NOP) else 2 + len(option.data)


def encode_options(options: list[Option]) -> bytes:
    """Options as on the wire."""
    return b"".join(
        bytes([o.kind]) if o.kind in (EOL, NOP) else bytes([o.kind, 2 + len(o.data)]) + o.data for o in options
    )


def decode_options(raw: bytes) -> list[Option]:
    """Options from the wire, up to the first that is malformed."""
    out: list[Option] = []
    i = 0
    while i < len(raw):
        kind = raw[i]
        if kind in (EOL, NOP):
            out.append(Option(kind))
            i += 1
            continue
        if i + 1 >= len(raw) or raw[i + 1] < 2 or i + raw[i + 1] > len(raw):
            break
        out.append(Option(kind, raw[i + 2 : i + raw[i + 1]]))
        i += raw[i + 1]
    return out


def checksum(data: bytes, start: int = 0) -> int:
    """The Internet checksum (RFC 1071), to be put in network order; 0 if `data` holds a right one."""
    if len(data) % 2:
        data += b"\0"
    total = start + sum(array("H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return socket.htons(~total & 0xFFFF)


def packed(address: str) -> bytes:
    """An address of either version as on the wire."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def ip_header(src: str, dst: str, size: int, protocol: int, info: IpInfo) -> bytes:
    """An IP header of the addresses' version, without options, for `size` bytes."""
    tos = info.value if info.check else 0
    ends = packed(src) + packed(dst)
    if ":" in src:
        return struct.pack("!IHBB", 6 << 28 | tos << 20, size, protocol, info.ttl or 255) + ends
    length = 20 + size
    head = struct.pack("!BBHHHBBH", 0x45, tos, length, 0, 0, info.ttl or 255, protocol, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:]


def build_tcp(tuple4: Tuple4, spec: TcpSpec, info: IpInfo, options: list[Option]) -> bytes:
    """The segment that `spec` describes, payload all zeros."""
    raw = encode_options(options)
    flags = tcp_flags(spec)
    offset = (20 + len(raw)) // 4
    head = struct.pack(
        "!HHIIHHHH",
        tuple4.sport,
        tuple4.dport,
        spec.seq,
        spec.ack,
        offset << 12 | flags,
        spec.win or 0,
        0,
        spec.urg,
    )
    tcp = head + raw
    size = len(tcp) + spec.length
    pseudo = packed(tuple4.saddr) + packed(tuple4.daddr) + struct.pack("!IHH", size, 0, IPPROTO_TCP)
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    return ip_header(tuple4.saddr, tuple4.daddr, size, IPPROTO_TCP, info) + tcp + bytes(spec.length)


def tcp_flags(spec: TcpSpec) -> int:
    """The flag bits, the AccECN field's too."""
    bits = 0
    for c in spec.flags:
        bits |= FLAG_BITS[c]
    ace = spec.ace or 0
    return bits | (AE if ace & 4 else 0) | (CWR if ace & 2 else 0) | (ECE if ace & 1 else 0)


def icmp_numbers(spec: IcmpSpec, v6: bool = False) -> tuple[int, int]:
    """Type and code; ValueError if the names mean nothing."""
    types = ICMPV6_TYPES if v6 else ICMP_TYPES
    codes = ICMPV6_UNREACHABLE_CODES if v6 else UNREACHABLE_CODES
    if spec.type.startswith("type_") and spec.type[5:].isdigit():
        kind = int(spec.type[5:])
    elif spec.type in types:
        kind = types[spec.type]
    else:
        raise ValueError(f"bad ICMP type {spec.type}")
    code = 0
    if spec.code is not None:
        if spec.code.startswith("code_") and spec.code[5:].isdigit():
            code = int(spec.code[5:])
        elif kind == types["unreachable"] and spec.code in codes:
            code = codes[spec.code]
        else:
            raise ValueError(f"bad ICMP code {spec.code}")
    if kind > 255 or code > 255:
        raise ValueError(f"bad ICMP type or code {spec.type} {spec.code}")
    if spec.mtu is not None and (kind, code) != (PACKET_TOO_BIG if v6 else FRAG_NEEDED):
        raise ValueError(f"an MTU goes with {'packet_too_big' if v6 else 'unreachable frag_needed'} only")
    return kind, code


def build_icmp(src: str, quoted: Tuple4, spec: IcmpSpec, info: IpInfo, seq: int) -> bytes:
    """An ICMP message about the segment `seq` that went from quoted.saddr to quoted.daddr."""
    v6 = ":" in quoted.saddr
    inner = ip_header(quoted.saddr, quoted.daddr, 20 + spec.length, IPPROTO_TCP, IpInfo())
    inner += struct.pack("!HHI", quoted.sport, quoted.dport, seq)
    kind, code = icmp_numbers(spec, v6)
    body = struct.pack("!BBHI", kind, code, 0, spec.mtu or 0) + inner
    protocol = IPPROTO_ICMPV6 if v6 else IPPROTO_ICMP
    pseudo = packed(src) + packed(quoted.saddr) + struct.pack("!II", len(body), protocol) if v6 else b""
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    return ip_header(src, quoted.saddr, len(body), protocol, info) + body


def decode(time_ns: int, header: bytes, payload: int) -> Segment:
    """A packet from the host: its headers, and how many bytes of payload follow."""
    if header[0] >> 4 == 6:
        ihl, protocol, tos, ttl = 40, header[6], (header[0] & 15) << 4 | header[1] >> 4, header[7]
        src, dst = (socket.inet_ntop(socket.AF_INET6, header[i : i + 16]) for i in (8, 24))
    else:
        ihl, protocol, tos, ttl = (header[0] & 15) * 4, header[9], header[1], header[8]
        src, dst = (socket.inet_ntop(socket.AF_INET, header[i : i + 4]) for i in (12, 16))
    if protocol != IPPROTO_TCP:
        kind = (header[ihl], header[ihl + 1]) if len(header) > ihl + 1 else (0, 0)
        return Segment(time_ns, Tuple4(src, 0, dst, 0), tos, ttl, protocol, icmp=kind)
    sport, dport, seq, ack, bits, win, _, urg = struct.unpack_from("!HHIIHHHH", header, ihl)
    options = decode_options(bytes(header[ihl + 20 : ihl + (bits >> 12) * 4]))
    return Segment(
        time_ns,
        Tuple4(src, sport, dst, dport),
        tos,
        ttl,
        protocol,
        bits & 0xFFF,
        seq,
        ack,
        win,
        urg,
        payload,
        options,
    )


# --- printing


def option_text(option: Option) -> str:
    """As a script writes it."""
    data = option.data
    numbers = [int.from_bytes(data[i : i + 4], "big") for i in range(0, len(data) - 3, 4)]
    if option.kind == NOP:
        return "nop"
    if option.kind == EOL:
        return "eol"
    if option.kind == MSS and len(data) == 2:
        return f"mss {int.from_bytes(data, 'big')}"
    if option.kind == WSCALE and len(data) == 1:
        return f"wscale {data[0]}"
    if option.kind == SACKOK:
        return "sackOK"
    if option.kind == SACK:
        return "sack " + " ".join(f"{a}:{b}" for a, b in zip(numbers[::2], numbers[1::2], strict=False))
    if option.kind == TIMESTAMP and len(data) == 8:
        return f"TS val {numbers[0]} ecr {numbers[1]}"
    if option.kind == MD5:
        return f"md5 {data.hex()}"
    if option.kind == FASTOPEN:
        return f"FO {data.hex()}".strip()
    if option.kind == EXPERIMENTAL and data[:2] == FASTOPEN_MAGIC:
        return f"FOEXP {data[2:].hex()}".strip()
    if option.kind in (ACCECN0, ACCECN1):
        names = ("e0b", "ceb", "e1b") if option.kind == ACCECN0 else ("e1b", "ceb", "e0b")
        values = [int.from_bytes(data[i : i + 3], "big") for i in range(0, len(data) - 2, 3)]
        return "ECN " + " ".join(f"{n} {v}" for n, v in zip(names, values, strict=False))
    return f"kind {option.kind} {data.hex()}".strip()


def options_text(options: list[Option] | None) -> str:
    """`<nop,nop,...>`, or nothing."""
    if options is None:
        return " <...>"
    return " <" + ",".join(option_text(o) for o in options) + ">" if options else ""


def flags_text(bits: int) -> str:
    """Flag letters in a script's order."""
    return "".join(c for c in "FSRPUEWA." if bits & FLAG_BITS[c]) or "-"


def ports_text(sport: int, dport: int) -> str:
    """Ports, if the script gives them."""
    return f"{sport} > {dport} " if sport or dport else ""


def spec_text(spec: TcpSpec | IcmpSpec, info: IpInfo) -> str:
    """A packet of the script."""
    mark = ""
    if info.check == "tos":
        mark = f"[tos {info.value:#04x}] "
    elif info.check == "ect01":
        mark = "[ect01] "
    elif info.check == "ecn":
        mark = f"[{('noecn', 'ect1', 'ect0', 'ce')[info.value]}] "
    if info.ttl:
        mark += f"[ttl {info.ttl}] "
    if isinstance(spec, IcmpSpec):
        mtu = f" mtu {spec.mtu}" if spec.mtu is not None else ""
        return f"{mark}icmp {spec.type} {spec.code or ''}{mtu} [{spec.seq}:{spec.seq + spec.length}({spec.length})]"
    flags = flags_text(tcp_flags(spec))
    ack = f" ack {spec.ack}" if "." in spec.flags else ""
    win = f" win {spec.win}" if spec.win is not None else ""
    urg = f" urg {spec.urg}" if "U" in spec.flags or spec.urg else ""
    end = (spec.seq + spec.length) & 0xFFFFFFFF
    return (
        f"{mark}{ports_text(spec.sport, spec.dport)}{flags} {spec.seq}:{end}({spec.length}){ack}{win}{urg}"
        f"{options_text(spec.options)}"
    )


def segment_text(s: Segment) -> str:
    """A packet that went out, in the same form; its numbers are the script's already."""
    if s.protocol != IPPROTO_TCP:
        return f"icmp type {s.icmp[0]} code {s.icmp[1]}"
    mark = f"[{('noecn', 'ect1', 'ect0', 'ce')[s.tos & 3]}] " if s.tos & 3 else ""
    if s.tos & ~3:
        mark = f"[tos {s.tos:#04x}] "
    ack = f" ack {s.ack}" if s.flags & ACK else ""
    urg = f" urg {s.urg}" if s.flags & URG else ""
    end = (s.seq + s.length) & 0xFFFFFFFF
    return f"{mark}{flags_text(s.flags)} {s.seq}:{end}({s.length}){ack} win {s.win}{urg}{options_text(s.options)}"
