# SPDX-License-Identifier: GPL-2.0-only
"""Recorded socket calls (JSON Lines, interfaces.md) as what `Host.add_call` takes."""

from __future__ import annotations

import errno as errnos
import ipaddress
import json
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from .callset import AF_INET6, Call, Calls
from .errors import InputError, at

LEVELS = {
    "SOL_SOCKET": 1,
    "SOL_IP": 0,
    "IPPROTO_IP": 0,
    "SOL_TCP": 6,
    "IPPROTO_TCP": 6,
    "SOL_IPV6": 41,
    "IPPROTO_IPV6": 41,
}
OPTIONS = {
    1: {
        "SO_DEBUG": 1,
        "SO_REUSEADDR": 2,
        "SO_TYPE": 3,
        "SO_ERROR": 4,
        "SO_DONTROUTE": 5,
        "SO_BROADCAST": 6,
        "SO_SNDBUF": 7,
        "SO_RCVBUF": 8,
        "SO_KEEPALIVE": 9,
        "SO_OOBINLINE": 10,
        "SO_PRIORITY": 12,
        "SO_LINGER": 13,
        "SO_REUSEPORT": 15,
        "SO_RCVLOWAT": 18,
        "SO_SNDLOWAT": 19,
        "SO_RCVTIMEO": 20,
        "SO_SNDTIMEO": 21,
        "SO_BINDTODEVICE": 25,
        "SO_TIMESTAMP": 29,
        "SO_ACCEPTCONN": 30,
        "SO_SNDBUFFORCE": 32,
        "SO_RCVBUFFORCE": 33,
        "SO_TIMESTAMPNS": 35,
        "SO_MARK": 36,
        "SO_TIMESTAMPING": 37,
        "SO_PROTOCOL": 38,
        "SO_DOMAIN": 39,
        "SO_BUSY_POLL": 46,
        "SO_MAX_PACING_RATE": 47,
        "SO_INCOMING_CPU": 49,
        "SO_MEMINFO": 55,
        "SO_ZEROCOPY": 60,
        "SO_TXREHASH": 74,
    },
    6: {
        "TCP_NODELAY": 1,
        "TCP_MAXSEG": 2,
        "TCP_CORK": 3,
        "TCP_KEEPIDLE": 4,
        "TCP_KEEPINTVL": 5,
        "TCP_KEEPCNT": 6,
        "TCP_SYNCNT": 7,
        "TCP_LINGER2": 8,
        "TCP_DEFER_ACCEPT": 9,
        "TCP_WINDOW_CLAMP": 10,
        "TCP_INFO": 11,
        "TCP_QUICKACK": 12,
        "TCP_CONGESTION": 13,
        "TCP_MD5SIG": 14,
        "TCP_THIN_LINEAR_TIMEOUTS": 16,
        "TCP_THIN_DUPACK": 17,
        "TCP_USER_TIMEOUT": 18,
        "TCP_REPAIR": 19,
        "TCP_FASTOPEN": 23,
        "TCP_TIMESTAMP": 24,
        "TCP_NOTSENT_LOWAT": 25,
        "TCP_CC_INFO": 26,
        "TCP_SAVE_SYN": 27,
        "TCP_SAVED_SYN": 28,
        "TCP_FASTOPEN_CONNECT": 30,
        "TCP_ULP": 31,
        "TCP_MD5SIG_EXT": 32,
        "TCP_FASTOPEN_KEY": 33,
        "TCP_FASTOPEN_NO_COOKIE": 34,
        "TCP_ZEROCOPY_RECEIVE": 35,
        "TCP_INQ": 36,
        "TCP_TX_DELAY": 37,
        "TCP_RTO_MAX_MS": 44,
        "TCP_RTO_MIN_US": 45,
        "TCP_DELACK_MAX_US": 46,
    },
    0: {
        "IP_TOS": 1,
        "IP_TTL": 2,
        "IP_OPTIONS": 4,
        "IP_MTU_DISCOVER": 10,
        "IP_RECVERR": 11,
        "IP_MTU": 14,
        "IP_FREEBIND": 15,
        "IP_TRANSPARENT": 19,
        "IP_MINTTL": 21,
        "IP_BIND_ADDRESS_NO_PORT": 24,
        "IP_LOCAL_PORT_RANGE": 51,
    },
    41: {
        "IPV6_UNICAST_HOPS": 16,
        "IPV6_MTU_DISCOVER": 23,
        "IPV6_MTU": 24,
        "IPV6_RECVERR": 25,
        "IPV6_V6ONLY": 26,
        "IPV6_TCLASS": 67,
        "IPV6_AUTOFLOWLABEL": 70,
        "IPV6_MINHOPCOUNT": 73,
        "IPV6_FREEBIND": 78,
    },
}
MSG = {
    "MSG_OOB": 0x1,
    "MSG_PEEK": 0x2,
    "MSG_DONTROUTE": 0x4,
    "MSG_CTRUNC": 0x8,
    "MSG_TRUNC": 0x20,
    "MSG_DONTWAIT": 0x40,
    "MSG_EOR": 0x80,
    "MSG_WAITALL": 0x100,
    "MSG_CONFIRM": 0x800,
    "MSG_ERRQUEUE": 0x2000,
    "MSG_NOSIGNAL": 0x4000,
    "MSG_MORE": 0x8000,
    "MSG_ZEROCOPY": 0x4000000,
    "MSG_FASTOPEN": 0x20000000,
}
POLL = {
    "IN": 0x1,
    "PRI": 0x2,
    "OUT": 0x4,
    "ERR": 0x8,
    "HUP": 0x10,
    "NVAL": 0x20,
    "RDNORM": 0x40,
    "RDBAND": 0x80,
    "WRNORM": 0x100,
    "WRBAND": 0x200,
    "RDHUP": 0x2000,
}
#: what Host's `socket` takes for an address family
FAMILIES: dict[Any, int] = {"AF_INET": 0, 2: 0, "AF_INET6": AF_INET6, AF_INET6: AF_INET6}
HOW = {"SHUT_RD": 0, "SHUT_WR": 1, "SHUT_RDWR": 2, "RD": 0, "WR": 1, "RDWR": 2}
KEY_OPTIONS = {(6, 14), (6, 32)}  # TCP_MD5SIG, TCP_MD5SIG_EXT
MAX_KEY = 80
SOCKADDR_STORAGE = 128
MAX_THREAD = 1 << 31
WITHOUT_SOCKET = {"socket"}
BIG = 1 << 62


class Line:
    """One line's object, with checked access."""

    def __init__(self, data: dict[str, Any], path: str, number: int) -> None:
        self.data = data
        self.path = path
        self.number = number
        args = data.get("args", {})
        if not isinstance(args, dict):
            raise self.bad("args", "an object", args)
        self.args = args

    def error(self, text: str) -> InputError:
        return at(self.path, f"line {self.number}: {text}")

    def bad(self, key: str, expected: str, found: Any) -> InputError:
        shown = json.dumps(found)
        return self.error(f"{key}: expected {expected}, found {shown if len(shown) <= 60 else shown[:57] + '...'}")

    def number_of(self, source: dict[str, Any], key: str, default: int | None = None, low: int = -BIG) -> int:
        value = source.get(key, default)
        if isinstance(value, bool):
            value = int(value)
        if not isinstance(value, int) or not low <= value < BIG:
            raise self.bad(key, "a whole number" if low < 0 else f"a whole number of {low} or more", value)
        return value

    def arg(self, key: str, default: int | None = None, low: int = -BIG) -> int:
        return self.number_of(self.args, key, default, low)

    def word(self, key: str, table: dict[str, int]) -> int:
        value = self.args.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if not isinstance(value, str) or value not in table:
            raise self.bad(key, f"one of {', '.join(list(table)[:4])}, ...", value)
        return table[value]

    def bits(self, key: str, table: dict[str, int], prefix: str = "") -> int:
        """A set of flags: a list of names, names joined by `|`, or a number."""
        value = self.args.get(key, [])
        if isinstance(value, int):
            return value
        names = value.replace("|", " ").split() if isinstance(value, str) else value
        if not isinstance(names, list):
            raise self.bad(key, "a list of flags", value)
        out = 0
        for name in names:
            short = name.removeprefix(prefix) if isinstance(name, str) else name
            if not isinstance(short, str) or short not in table:
                raise self.bad(key, f"flags such as {next(iter(table))}", name)
            out |= table[short]
        return out

    def address(self) -> str:
        value = self.args.get("addr", "")
        if not isinstance(value, str):
            raise self.bad("addr", "an address", value)
        if ":" not in value:
            return value
        try:
            address = ipaddress.IPv6Address(value.partition("%")[0])
        except ValueError:
            raise self.bad("addr", "an address", value) from None
        return str(address.ipv4_mapped or address)


def read(path: str) -> Calls:
    """Reads a file of calls. InputError names the line that is wrong."""
    try:
        with open(path, encoding="utf-8") as f:
            return parse(f, path)
    except OSError as e:
        raise at(path, e.strerror or str(e)) from None
    except UnicodeDecodeError:
        raise at(path, "expected JSON Lines in UTF-8") from None


def parse(lines: Iterable[str], path: str) -> Calls:
    """The calls of the given lines, in order of `t0`."""
    calls = Calls(path)
    for line in objects(lines, path):
        calls.items.append(one(line, calls))
    if any(a.t0 > b.t0 for a, b in zip(calls.items, calls.items[1:], strict=False)):
        calls.warnings.append(f"{path}: the calls are not in order of t0; sorted")
        calls.items.sort(key=lambda c: c.t0)
    return calls


def objects(lines: Iterable[str], path: str) -> Iterator[Line]:
    """Each line that is not empty, as an object."""
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            data = json.loads(raw)
        except (json.JSONDecodeError, RecursionError) as e:
            raise at(path, f"line {number}: expected JSON: {getattr(e, 'msg', 'nested too deeply')}") from None
        if not isinstance(data, dict):
            raise at(path, f"line {number}: expected a JSON object")
        yield Line(data, path, number)


def one(line: Line, calls: Calls) -> Call:
    """One call, checked."""
    name = line.data.get("call")
    build = BUILD.get(name) if isinstance(name, str) else None
    if build is None:
        raise line.bad("call", f"one of {', '.join(BUILD)}", name)
    t0 = line.number_of(line.data, "t0", low=0)
    t1 = -1 if line.data.get("t1") is None else line.number_of(line.data, "t1", low=0)
    if 0 <= t1 < t0:
        raise line.error(f"expected t1 at or after t0, found t0 {t0} and t1 {t1}")
    sock = line.data.get("sock")
    if not isinstance(sock, str):
        raise line.bad("sock", "a socket's name", sock)
    slot = calls.open(sock, result(line)) if name in WITHOUT_SOCKET else calls.find(sock, descriptor(line))
    if slot is None:
        raise line.error(f"{name}: socket {sock!r} was never opened")
    call = Call(
        t0,
        t1,
        thread_of(line),
        slot,
        str(name),
        ret=result(line),
        errno=error_number(line),
        line=line.number,
    )
    build(call, line, calls)
    return call


def result(line: Line) -> int | None:
    return None if line.data.get("ret") is None else line.number_of(line.data, "ret")


def thread_of(line: Line) -> int:
    number = line.number_of(line.data, "thread", 0)
    if not -MAX_THREAD <= number < MAX_THREAD:
        raise line.bad("thread", "a number of 32 bits", number)
    return number


def descriptor(line: Line) -> int | None:
    return None if line.data.get("fd") is None else line.number_of(line.data, "fd")


def error_number(line: Line) -> int | None:
    """The errno as a positive number."""
    value = line.data.get("errno")
    if value is None:
        return None
    if isinstance(value, str) and hasattr(errnos, value):
        return int(getattr(errnos, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value)
    raise line.bad("errno", "an error's name", value)


def port(line: Line) -> int:
    value = line.arg("port", 0)
    if not 0 <= value <= 65535:
        raise line.bad("port", "0 to 65535", value)
    return value


def build_socket(call: Call, line: Line, calls: Calls) -> None:
    family = line.args.get("family", "AF_INET")
    if family not in FAMILIES or line.args.get("type", "SOCK_STREAM") not in ("SOCK_STREAM", 1):
        raise line.error(
            f"socket: expected AF_INET or AF_INET6 and SOCK_STREAM, found {family} and {line.args.get('type')}"
        )
    call.a = (line.arg("nonblock", 0), FAMILIES[family], 0, 0)


def build_bind(call: Call, line: Line, calls: Calls) -> None:
    call.s, call.a = line.address(), (port(line), 0, 0, 0)
    calls.bound.append((call.s, call.a[0]))


def build_listen(call: Call, line: Line, calls: Calls) -> None:
    call.a = (line.arg("backlog", 4096), 0, 0, 0)


def build_accept(call: Call, line: Line, calls: Calls) -> None:
    new = line.args.get("new")
    if new is None and call.errno:  # an accept that failed made no socket
        new = f"?{line.number}"
    if not isinstance(new, str):
        raise line.bad("new", "the new socket's name", new)
    call.a = (calls.open(new, result(line)), line.arg("peer_port", 0), 0, 0)


def build_connect(call: Call, line: Line, calls: Calls) -> None:
    call.s, call.a = line.address(), (port(line), 0, 0, 0)
    calls.connected.append((call.s, call.a[0]))


def build_send(call: Call, line: Line, calls: Calls) -> None:
    call.a = (line.arg("len", low=0), line.bits("flags", MSG), 0, 0)


def build_sendto(call: Call, line: Line, calls: Calls) -> None:
    call.s = line.address()
    call.a = (line.arg("len", low=0), line.bits("flags", MSG), port(line), 0)
    if not call.s and calls.connected:
        call.s, call.a = calls.connected[-1][0], (*call.a[:2], calls.connected[-1][1], 0)
    if call.s:
        calls.connected.append((call.s, call.a[2]))


def build_shutdown(call: Call, line: Line, calls: Calls) -> None:
    call.a = (line.word("how", HOW), 0, 0, 0)


def build_close(call: Call, line: Line, calls: Calls) -> None:
    pass


def build_poll(call: Call, line: Line, calls: Calls) -> None:
    call.a = (line.bits("events", POLL, "POLL"), line.arg("timeout_ms", -1), 0, 0)


def level_and_option(line: Line) -> tuple[int, int]:
    level = line.word("level", LEVELS)
    return level, line.word("name" if "name" in line.args else "optname", OPTIONS.get(level, {}))


def build_getsockopt(call: Call, line: Line, calls: Calls) -> None:
    level, name = level_and_option(line)
    if (level, name) == (6, 11):
        call.op = "tcp_info"
    call.a = (level, name, 0, 0)


def build_setsockopt(call: Call, line: Line, calls: Calls) -> None:
    level, name = level_and_option(line)
    value = line.args.get("value")
    if "value_us" in line.args:
        call.a = (level, name, line.arg("value_us", low=0), 0)
    elif isinstance(value, list):
        if len(value) != 2 or not all(isinstance(v, int) for v in value):
            raise line.bad("value", "two numbers", value)
        call.a = (level, name, int(value[0]), int(value[1]))
    elif isinstance(value, str):
        call.a, call.s = (level, name, 0, 0), value
    elif (level, name) in KEY_OPTIONS:
        call.s = md5_key(line, value).decode("latin-1")
        call.a = (level, name, len(call.s), 0)
        calls.signed = True
    else:
        call.a = (level, name, line.arg("value"), 0)


def md5_key(line: Line, value: Any) -> bytes:
    """TCP_MD5SIG's `struct tcp_md5sig` from {"addr", "key", "prefixlen"}; an empty key, or none, takes it away.

    The address is of the socket's own family: an AF_INET6 socket's IPv4 peer is ::ffff:a.b.c.d.
    """
    if not isinstance(value, dict):
        raise line.bad("value", 'an object with "addr" and "key"', value)
    addr, text = value.get("addr"), value.get("key", "")
    if not isinstance(addr, str) or not isinstance(text, str):
        raise line.bad("value", 'an object with "addr" and "key"', value)
    try:
        address = ipaddress.ip_address(addr)
    except ValueError:
        raise line.bad("addr", "an address", addr) from None
    key = text.encode("utf-8")
    if len(key) > MAX_KEY:
        raise line.error(f"key: expected {MAX_KEY} bytes at most, found {len(key)}")
    prefix = line.number_of(value, "prefixlen", 0, 0)
    if prefix > address.max_prefixlen:
        raise line.bad("prefixlen", f"{address.max_prefixlen} at most", prefix)
    v6 = address.version == 6
    place = struct.pack("=HH", socket.AF_INET6 if v6 else socket.AF_INET, 0) + bytes(4 if v6 else 0) + address.packed
    tail = struct.pack(f"=BBHi{MAX_KEY}s", "prefixlen" in value, prefix, len(key), 0, key)
    return place.ljust(SOCKADDR_STORAGE, b"\0") + tail


def build_fcntl(call: Call, line: Line, calls: Calls) -> None:
    call.a = (line.arg("O_NONBLOCK"), 0, 0, 0)


BUILD = {
    "socket": build_socket,
    "bind": build_bind,
    "listen": build_listen,
    "accept": build_accept,
    "connect": build_connect,
    "send": build_send,
    "recv": build_send,
    "shutdown": build_shutdown,
    "close": build_close,
    "poll": build_poll,
    "setsockopt": build_setsockopt,
    "getsockopt": build_getsockopt,
    "fcntl": build_fcntl,
    "sendto": build_sendto,
}


def check_fit(calls: Calls, locals_: set[str], remotes: set[str], first: int, last: int) -> None:
    """InputError when the calls cannot be of the host that the capture shows; warnings where only some do not fit.

    first, last: times of the capture's first and last packet (ns).
    """
    if not calls.items:
        calls.warnings.append(f"{calls.path}: no calls in it")
        return
    begin, end = calls.items[0].t0, max(max(c.t0, c.t1) for c in calls.items)
    if begin > last or end < first:
        gap = (begin - last if begin > last else first - end) / 1e9
        when = "after" if begin > last else "before"
        raise at(calls.path, f"the calls do not fit the capture: all are {when} it, by {gap:.3f} s")
    strange = [a for a, _ in calls.bound if a not in locals_ and a not in ("", "0.0.0.0", "::")]
    strange_peers = [a for a, _ in calls.connected if a not in remotes and a not in locals_]
    known = len(calls.bound) + len(calls.connected) - len(strange) - len(strange_peers)
    for address, what in [(a, "bound to") for a in strange] + [(a, "connected to") for a in strange_peers]:
        text = f"{calls.path}: the calls do not fit the capture: {what} {address}, which does not occur in it"
        if not known:
            raise InputError(text)
        if text not in calls.warnings:
            calls.warnings.append(text)
