# SPDX-License-Identifier: GPL-2.0-only
"""What is known of the host: the JSON host file, `ip route` and `tc qdisc` lines, `--sysctl`."""

from __future__ import annotations

import json
import re

from .errors import at
from .segments import dotted, packed

TYPE_CHECKING = False  # typing takes longer to import than a short replay
if TYPE_CHECKING:
    from typing import Any

KEYS = {"kernel", "hz", "addr", "device", "route", "qdisc", "clock", "sysctl"}
DEVICE = {"mtu", "tso", "gso", "gro", "rx", "before_gro"}
#: what `ip -d link` and `ethtool -c` print
DEVICE_NUMBERS = {"gso_max_size", "gso_ipv4_max_size", "gso_max_segs", "gro_max_size", "gro_ipv4_max_size", "rx_usecs"}
CLOCK = ("mono_to_real_ns", "tick_ns", "jiffies_minus_mono_ticks")
RX = ("tun", "veth", "vnet", "nic")

TYPES = {
    "unicast",
    "local",
    "broadcast",
    "multicast",
    "anycast",
    "throw",
    "unreachable",
    "prohibit",
    "blackhole",
    "nat",
}
#: words of `ip route` that stand alone, and those that take one argument, that TCP does not care for
FLAGS = {
    "onlink",
    "linkdown",
    "dead",
    "pervasive",
    "offload",
    "offload_failed",
    "trap",
    "notify",
    "cache",
    "rt_offload",
    "rt_trap",
    "unresolved",
}
WORDS = {
    "dev",
    "proto",
    "protocol",
    "scope",
    "src",
    "metric",
    "table",
    "pref",
    "tos",
    "dsfield",
    "expires",
    "error",
    "nhid",
    "realm",
    "realms",
    "weight",
    "mark",
    "iif",
    "uid",
    "encap",
    "age",
    "users",
    "used",
    "as",
    "ttl-propagate",
}
METRICS = {
    "mtu",
    "advmss",
    "initcwnd",
    "initrwnd",
    "window",
    "rtt",
    "rttvar",
    "ssthresh",
    "cwnd",
    "reordering",
    "rto_min",
    "hoplimit",
    "quickack",
    "congctl",
    "fastopen_no_cookie",
}
TIMES = {"rtt", "rttvar", "rto_min"}
FEATURES = {"ecn", "tcp_usec_ts"}
UNITS = {
    "": 1.0,
    "ms": 1.0,
    "msec": 1.0,
    "msecs": 1.0,
    "s": 1000.0,
    "sec": 1000.0,
    "secs": 1000.0,
    "us": 0.001,
    "usec": 0.001,
    "usecs": 0.001,
}


class Route:
    """One route with its metrics. Times in ms, all else in the units of `ip route`."""

    def __init__(self, dst: str, prefixlen: int) -> None:
        self.dst, self.prefixlen = dst, prefixlen
        self.metrics: dict[str, int | str] = {}
        self.locks: set[str] = set()
        self.features: set[str] = set()


class HostSpec:
    """A host file, read and checked as far as that is possible without the kernel side."""

    def __init__(self) -> None:
        self.kernel = "6.18"
        self.hz = 250
        self.addrs: list[str] = []
        self.device: dict[str, Any] = {}
        self.clock: dict[str, int] | None = None
        self.routes: list[Route] = []
        self.qdisc: str | None = None
        self.sysctls: list[tuple[str, str, str]] = []  # (where it was set, name, value)
        self.warnings: list[str] = []

    @property
    def congestion_control(self) -> str:
        """The one set last, 6.18's default otherwise."""
        found = [v for _, name, v in self.sysctls if name == "net.ipv4.tcp_congestion_control"]
        return found[-1].strip() if found else "cubic"


def read(path: str) -> HostSpec:
    """Reads a host file. InputError names the key that is wrong."""
    try:
        with open(path, encoding="utf-8") as f:
            data = json.load(f)
    except OSError as e:
        raise at(path, e.strerror or str(e)) from None
    except UnicodeDecodeError:
        raise at(path, "expected JSON in UTF-8") from None
    except json.JSONDecodeError as e:
        raise at(path, f"line {e.lineno}: expected JSON: {e.msg}") from None
    except RecursionError:
        raise at(path, "expected JSON, found it nested too deeply") from None
    return parse(data, path)


def parse(data: Any, where: str) -> HostSpec:
    """The HostSpec of a host file's JSON value; `where` is named in errors."""
    if not isinstance(data, dict):
        raise at(where, f"expected a JSON object, found {kind(data)}")
    spec = HostSpec()
    spec.warnings += [f"{where}: unknown key {key!r} ignored" for key in data if key not in KEYS]
    if data.get("kernel") is not None:
        spec.kernel = text(data["kernel"], where, "kernel")
    if data.get("hz") is not None:
        spec.hz = integer(data["hz"], where, "hz", 1, 10000)
    spec.addrs = addresses(data.get("addr"), where)
    spec.device = device(data.get("device"), where, spec.warnings)
    spec.clock = clock(data.get("clock"), where)
    spec.routes = routes(data.get("route"), where, spec.warnings)
    spec.qdisc = qdisc(data.get("qdisc"), where)
    sysctls = data.get("sysctl") or {}
    if not isinstance(sysctls, dict):
        raise at(where, f"sysctl: expected an object, found {kind(sysctls)}")
    spec.sysctls = [(where, full_name(name), sysctl_value(value, where, name)) for name, value in sysctls.items()]
    return spec


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def text(value: Any, where: str, key: str) -> str:
    if not isinstance(value, str):
        raise at(where, f"{key}: expected a string, found {kind(value)}")
    return value


def integer(value: Any, where: str, key: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise at(where, f"{key}: expected a whole number, found {json.dumps(value)}")
    if not low <= value <= high:
        raise at(where, f"{key}: expected {low} to {high}, found {value}")
    return value


def addresses(value: Any, where: str) -> list[str]:
    """The addresses of `addr`, as RFC 5952 writes them."""
    if value is None:
        return []
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise at(where, f"addr: expected a list of addresses, found {kind(value)}")
    out = []
    for item in items:
        try:
            out.append(dotted(packed(text(item, where, "addr"))))
        except ValueError:
            raise at(where, f"addr: expected an IP address, found {item!r}") from None
    return out


def device(value: Any, where: str, warnings: list[str]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise at(where, f"device: expected an object, found {kind(value)}")
    out: dict[str, Any] = {}
    for key, item in value.items():
        if key in DEVICE_NUMBERS:  # the kernel side knows their limits
            out[key] = integer(item, where, f"device.{key}", 0, 0xFFFFFFFF)
        elif key not in DEVICE:
            warnings.append(f"{where}: unknown key 'device.{key}' ignored")
        elif key == "mtu":
            out[key] = integer(item, where, "device.mtu", 68, 65535)
        elif key == "rx":
            if item not in RX:
                raise at(where, f"device.rx: expected one of {', '.join(RX)}, found {json.dumps(item)}")
            out[key] = item
        elif not isinstance(item, bool):
            raise at(where, f"device.{key}: expected true or false, found {json.dumps(item)}")
        else:
            out[key] = item
    return out


def clock(value: Any, where: str) -> dict[str, int] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise at(where, f"clock: expected an object, found {kind(value)}")
    out = {key: integer(value[key], where, f"clock.{key}", -(1 << 63), (1 << 63) - 1) for key in CLOCK if key in value}
    if out.get("tick_ns", 1) <= 0:
        raise at(where, f"clock.tick_ns: expected more than 0, found {out['tick_ns']}")
    return out


def full_name(name: str) -> str:
    """A sysctl's full name: `net.` may be left out, `/` may stand for `.`."""
    name = name.strip()
    if "/" in name and "." not in name:
        name = name.replace("/", ".")
    return name if name.startswith("net.") else "net." + name


def sysctl_value(value: Any, where: str, name: str) -> str:
    """A value as /proc/sys shows it."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list) and all(isinstance(v, int | str) for v in value):
        return " ".join(sysctl_value(v, where, name) for v in value)
    raise at(where, f"{full_name(name)}: expected a string or a number, found {kind(value)}")


def option(setting: str) -> tuple[str, str, str]:
    """`--sysctl KEY=VALUE` as an entry of HostSpec.sysctls."""
    name, equals, value = setting.partition("=")
    if not equals or not name.strip():
        raise at("--sysctl", f"expected KEY=VALUE, found {setting!r}")
    return "--sysctl", full_name(name), " ".join(value.split())


def qdisc(value: Any, where: str) -> str | None:
    """The kind of the root queueing discipline in `tc qdisc` lines."""
    if value is None:
        return None
    lines = [line.split() for line in text(value, where, "qdisc").splitlines() if line.strip()]
    if not lines:
        return None
    found = next((words for words in lines if "root" in words), lines[0])
    if len(found) == 1:
        return found[0]
    if found[0] != "qdisc":
        raise at(where, f"qdisc: expected a line as `tc qdisc` prints it, found {' '.join(found)!r}")
    return found[1]


def routes(value: Any, where: str, warnings: list[str]) -> list[Route]:
    """The unicast routes of one or more `ip route` lines."""
    if value is None:
        return []
    lines = value if isinstance(value, list) else text(value, where, "route").splitlines()
    out = []
    for line in lines:
        route = parse_route(text(line, where, "route"), where, warnings)
        if route:
            out.append(route)
    return out


def parse_route(line: str, where: str, warnings: list[str]) -> Route | None:
    """One line as `ip route` prints it; None for routes that are not unicast."""
    words = line.replace("\\", " ").split()
    if not words or words[0] == "nexthop":  # continuation lines of a multipath route
        return None
    if words[0] in TYPES:
        if words[0] != "unicast":
            return None
        words = words[1:]
    if not words:
        raise at(where, f"route: expected a destination in {line!r}")
    route = destination(words, where, line)
    i = 1
    while i < len(words):
        i = route_word(route, words, i, where, line, warnings)
    return route


def destination(words: list[str], where: str, line: str) -> Route:
    """The Route for a destination, without metrics. `default` is IPv6's where an IPv6 word follows."""
    if words[0] in ("default", "all", "any"):
        v6 = "inet6" not in words and ("pref" in words or any(":" in word for word in words))
        return Route("::", 0) if v6 else Route("0.0.0.0", 0)
    try:
        return Route(*network(words[0]))
    except ValueError:
        raise at(where, f"route: expected a destination, found {words[0]!r} in {line!r}") from None


def network(prefix: str) -> tuple[str, int]:
    """`ADDR` or `ADDR/LENGTH` without the bits of the host, and the length. ValueError: neither."""
    address, slash, length = prefix.partition("/")
    number = packed(address)
    bits = 128 if ":" in address else 32
    if slash and not (length.isascii() and length.isdigit()):     # int() takes signs, blanks and underscores too
        raise ValueError(f"a prefix of {length!r} bits")
    n = int(length) if slash else bits
    if n > bits:
        raise ValueError(f"a prefix of {n} bits")
    return dotted(number >> bits - n << bits - n), n


def route_word(route: Route, words: list[str], i: int, where: str, line: str, warnings: list[str]) -> int:
    """Takes in the word at i and its arguments; returns the index behind them."""
    word = words[i]
    if word in FLAGS:
        return i + 1
    if word == "nexthop":
        return len(words)
    if word == "features":
        i += 1
        while i < len(words) and (words[i] in FEATURES or words[i].startswith("0x")):
            route.features.add(words[i])
            i += 1
        return i
    need = argument(words, i + 1, where, line)
    if word == "via":
        return i + (3 if need in ("inet", "inet6") else 2)
    if word in WORDS:
        return i + 2
    if word not in METRICS:
        warnings.append(f"{where}: route: unknown word {word!r} ignored")
        return i + 1
    if need == "lock":
        route.locks.add(word)
        i += 1
        need = argument(words, i + 1, where, line)
    route.metrics[word] = metric(word, need, where)
    return i + 2


def argument(words: list[str], i: int, where: str, line: str) -> str:
    if i >= len(words):
        raise at(where, f"route: expected a value after {words[-1]!r} in {line!r}")
    return words[i]


def metric(name: str, value: str, where: str) -> int | str:
    """A metric's value: a name for congctl, ms for times, a count otherwise."""
    if name == "congctl":
        return value
    if name in TIMES:
        m = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]*)", value)
        if m and m[2] in UNITS:
            return round(float(m[1]) * UNITS[m[2]])
    elif value.isascii() and value.isdigit() and int(value) < 1 << 32:
        return int(value)
    raise at(where, f"route: {name}: expected a number, found {value!r}")
