# SPDX-License-Identifier: GPL-2.0-only
"""What scripts run between backquotes: a few commands, applied to the virtual host.

No process is ever started. A command that is not known here is named and refused, for a script that silently skips its
set-up tests nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from kpath_c.snmp_names import NET

from .script import ScriptError

#: what defaults.sh of the kernel's selftests sets, for a script that calls one which is not there to be read
DEFAULTS = {
    "net.ipv4.tcp_rmem": "4096 540000 15728640",
    "net.ipv4.tcp_wmem": "4096 262144 4194304",
    "net.ipv4.tcp_timestamps": "1",
    "net.ipv4.tcp_syn_retries": "5",
    "net.ipv4.tcp_synack_retries": "5",
    "net.ipv4.tcp_frto": "2",
    "net.ipv4.tcp_sack": "1",
    "net.ipv4.tcp_dsack": "1",
    "net.ipv4.tcp_reordering": "3",
    "net.ipv4.tcp_congestion_control": "cubic",
    "net.ipv4.tcp_slow_start_after_idle": "0",
    "net.ipv4.tcp_early_retrans": "4",
    "net.ipv4.tcp_recovery": "1",
    "net.ipv4.tcp_tso_win_divisor": "3",
    "net.ipv4.tcp_ecn": "0",
    "net.ipv4.tcp_pacing_ss_ratio": "200",
    "net.ipv4.tcp_pacing_ca_ratio": "120",
    "net.ipv4.tcp_notsent_lowat": "4294967295",
    "net.ipv4.tcp_fastopen": "0x3",
    "net.ipv4.tcp_fastopen_key": "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4",
    "net.ipv4.tcp_syncookies": "1",
}
PROC = "/proc/sys/"
SEPARATORS = (";", "&&", "||", "|", "\n")
ROUTE_WORDS_WITH_VALUE = {"dev", "via", "proto", "scope", "src", "metric", "table", "advmss", "onlink"}
REDIRECT = re.compile(r"(?:[12]?>&[12]|&>>?\s*/dev/null|2>>?\s*\S+)")
ARITHMETIC = re.compile(r"\$\(\(([0-9*+()\s-]+)\)\)")


class Refused(ScriptError):
    """A command that is not modelled."""


class System(Protocol):
    """What commands act on."""

    host: Any
    directory: Path

    def sleep(self, seconds: float) -> None:
        """Lets virtual time pass."""

    def proc_net_tcp(self) -> str:
        """/proc/net/tcp."""

    def file(self, path: str) -> int | None:
        """Size of a virtual file."""

    def make_file(self, path: str, size: int | None) -> None:
        """Makes a virtual file, or removes it (None)."""


Result = tuple[int, str]


def product(text: str) -> int:
    """$((15*1024*1024)): numbers, + - * and parentheses only."""
    return int(eval(text, {"__builtins__": {}}))  # noqa: S307 - ARITHMETIC lets nothing else through


class Shell:
    """Remembers what was set, so that it can be restored."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.set: dict[str, str] = {}
        self.saved: dict[str, str | None] = {}
        self.counters: dict[str, int] = {}
        self.notes: list[str] = []

    def run(self, text: str) -> int:
        """Runs commands as `sh -c` would; the status of the last."""
        status = 0
        for pipeline, how in self.pipelines(text):
            if (how == "&&" and status) or (how == "||" and not status):
                continue
            status = self.pipeline(pipeline)
        return status

    @staticmethod
    def pipelines(text: str) -> list[tuple[list[list[str]], str]]:
        """[(commands of a pipeline, what joins it to the one before)]."""
        text = re.sub(r"\\\n", " ", text)
        text = re.sub(r"(^|\s)#[^\n]*", r"\1", text)
        text = ARITHMETIC.sub(lambda m: str(product(m.group(1))), text)
        text = REDIRECT.sub(" ", text)
        out: list[tuple[list[list[str]], str]] = []
        for line in re.split(r"\n(?=(?:[^\"']*[\"'][^\"']*[\"'])*[^\"']*$)", text):
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
            lexer.whitespace_split = True
            lexer.commenters = ""
            joiner = ";"
            current: list[list[str]] = [[]]
            try:
                tokens = list(lexer)
            except ValueError as e:
                raise Refused(f"`{line.strip()}`: {e}") from None
            for token in [*tokens, ";"]:
                if token == "|":
                    current.append([])
                elif token in SEPARATORS or token == "&":
                    if current != [[]]:
                        out.append((current, joiner))
                    joiner, current = token, [[]]
                else:
                    current[-1].append(token)
        return out

    def pipeline(self, commands: list[list[str]]) -> int:
        """One pipeline; what each prints goes to the next."""
        text = ""
        status = 0
        for words in commands:
            target = None
            for mark in (">", ">>"):
                if mark in words:
                    at = words.index(mark)
                    target = words[at + 1] if at + 1 < len(words) else ""
                    words = words[:at] + words[at + 2 :]
            status, text = self.command(words, text)
            if target is not None:
                status = self.redirect(text, target) or status
                text = ""
        return status

    def redirect(self, text: str, target: str) -> int:
        """`> FILE`."""
        if target.startswith(PROC):
            return self.sysctl(target[len(PROC) :].replace("/", "."), text.strip())
        if target != "/dev/null":
            self.system.make_file(target, len(text))
        return 0

    def command(self, words: list[str], text: str) -> Result:
        """One command."""
        while words and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", words[0]):
            words = words[1:]
        if not words:
            return 0, ""
        name = words[0].rsplit("/", 1)[-1]
        if name == "defaults.sh":
            return self.defaults(words[0])
        if name == "set_sysctls.py":
            return self.set_sysctls(words[1:])
        if name.startswith("sysctl_restore_"):
            return self.restore()
        name = "true" if name == ":" else name.replace("-", "_")
        handler: Callable[[Sequence[str], str], Result] | None = getattr(self, "do_" + name, None)
        if handler is None:
            raise Refused(f"`{' '.join(words)}`: {words[0]} is not a command that can be modelled")
        return handler(words[1:], text)

    # --- sysctls

    def sysctl(self, name: str, value: str, quiet: bool = False) -> int:
        """Sets one; a status as sysctl(8) has."""
        value = " ".join(value.split())
        try:
            self.system.host.sysctl(name, value)
        except KeyError:
            if quiet:
                return 0
            self.notes.append(f"sysctl {name}: 6.18 has none of that name")
            return 255
        except ValueError:
            self.notes.append(f"sysctl {name} = {value}: refused, as the kernel would")
            return 255
        self.set[name] = value
        return 0

    def do_sysctl(self, args: Sequence[str], text: str) -> Result:
        status = 0
        out = ""
        quiet = False
        for arg in args:
            if arg.startswith("-"):
                quiet |= "e" in arg
                continue
            name, equals, value = arg.partition("=")
            name = name.strip().replace("/", ".")
            if equals:
                status = self.sysctl(name, value, quiet) or status
            elif name in self.set:
                out += f"{name} = {self.set[name]}\n"
            else:
                raise Refused(f"`sysctl {arg}`: reading what was not set is not modelled")
        return status, out

    def set_sysctls(self, args: Sequence[str]) -> Result:
        status = 0
        for arg in args:
            path, equals, value = arg.partition("=")
            if not equals or not path.startswith(PROC):
                raise Refused(f"`set_sysctls.py {arg}`: expected {PROC}...=VALUE")
            name = path[len(PROC) :].replace("/", ".")
            self.saved.setdefault(name, self.set.get(name))
            # the value goes through `echo` there: a wrong one does not fail the script
            self.sysctl(name, value)
        return status, ""

    def restore(self) -> Result:
        for name, value in self.saved.items():
            if value is not None:
                self.sysctl(name, value)
        self.saved.clear()
        return 0, ""

    def defaults(self, path: str) -> Result:
        """A defaults.sh: read if it is there and understood, else what the kernel's sets."""
        file = self.system.directory / path
        if file.is_file():
            before = list(self.notes)
            try:
                self.run(file.read_text())
                return 0, ""
            except Refused as e:
                self.notes = [*before, f"{path}: {e}; the kernel's defaults are taken"]
        self.system.host.flush_tcp_metrics()
        for name, value in DEFAULTS.items():
            self.sysctl(name, value)
        self.system.host.qdisc("pfifo")
        return 0, ""

    # --- the network

    def do_tc(self, args: Sequence[str], text: str) -> Result:
        if len(args) < 2 or args[0] != "qdisc":
            raise Refused(f"`tc {' '.join(args)}`: only qdiscs are modelled")
        if args[1] in ("show", "list"):
            return 0, ""
        words = [w for i, w in enumerate(args[2:]) if w not in ("dev", "root") and args[1 + i] not in ("dev", "handle")]
        kind = words[0] if words and args[1] not in ("del", "delete") else "pfifo_fast"
        try:
            self.system.host.qdisc(kind, 0 if list(args[-2:]) == ["limit", "0"] else None)
        except ValueError as e:
            raise Refused(f"`tc {' '.join(args)}`: {e}") from None
        return 0, ""

    def do_ip(self, args: Sequence[str], text: str) -> Result:
        words = [a for a in args if a not in ("-4", "-6", "-family", "inet")]
        if words[:2] == ["tcp_metrics", "flush"]:
            self.system.host.flush_tcp_metrics()
            return 0, ""
        if words[:2] in (["link", "set"], ["l", "set"]) and "mtu" in words:
            self.system.host.device(mtu=int(words[words.index("mtu") + 1]))
            return 0, ""
        if words[:1] in (["route"], ["r"]) and len(words) > 2:
            if words[1] in ("add", "change", "replace", "append", "del", "delete"):
                return self.route(words[1], words[2], words[3:])
            if words[1] == "flush":
                return 0, ""
        raise Refused(f"`ip {' '.join(args)}`: not modelled")

    def route(self, verb: str, prefix: str, words: list[str]) -> Result:
        """ip route add|change|replace|del PREFIX [via ...] METRICS."""
        address, _, length = prefix.partition("/")
        if address == "default":
            address, length = ("::", "0") if any(":" in word for word in words) else ("0.0.0.0", "0")
        metrics: dict[str, int | str] = {}
        locks: set[str] = set()
        features: set[str] = set()
        i = 0
        while i < len(words):
            word = words[i]
            value = words[i + 1] if i + 1 < len(words) else ""
            if word == "lock":
                # `mtu lock 1400`
                locks.add(words[i - 1])
            elif word == "features":
                features.add(value)
                i += 1
            elif word in ROUTE_WORDS_WITH_VALUE - {"advmss", "onlink"}:
                i += 1
            elif word == "onlink":
                pass
            else:
                if value == "lock":
                    locks.add(word)
                    i += 1
                    value = words[i + 1] if i + 1 < len(words) else ""
                metrics[word] = value if word == "congctl" else self.amount(word, value)
                i += 1
            i += 1
        if verb in ("del", "delete"):
            metrics = {}
        bits = 128 if ":" in address else 32
        try:
            self.system.host.add_route(address, int(length or bits), metrics, locks, features)
        except ValueError as e:
            raise Refused(f"`ip route {verb} {prefix} {' '.join(words)}`: {e}") from None
        return 0, ""

    @staticmethod
    def amount(word: str, value: str) -> int:
        """A metric; times are ms unless they say otherwise."""
        m = re.fullmatch(r"(\d+)(ms|s)?", value)
        if not m:
            raise Refused(f"`ip route ... {word} {value}`: expected a number")
        return int(m.group(1)) * (1000 if m.group(2) == "s" else 1)

    def do_ethtool(self, args: Sequence[str], text: str) -> Result:
        if not args or args[0] not in ("-K", "--features", "--offload"):
            raise Refused(f"`ethtool {' '.join(args)}`: not modelled")
        for name, value in zip(args[2::2], args[3::2], strict=False):
            on = value == "on"
            if name in ("tso", "tcp-segmentation-offload"):
                self.system.host.device(tso=on)
            elif name in ("gso", "generic-segmentation-offload"):
                self.system.host.device(gso=on)
            elif name not in ("gro", "lro", "sg", "tx", "rx", "rxhash", "ufo"):
                raise Refused(f"`ethtool -K ... {name}`: not modelled")
        return 0, ""

    def do_ifconfig(self, args: Sequence[str], text: str) -> Result:
        if "mtu" in args:
            self.system.host.device(mtu=int(args[list(args).index("mtu") + 1]))
            return 0, ""
        raise Refused(f"`ifconfig {' '.join(args)}`: not modelled")

    def do_nstat(self, args: Sequence[str], text: str) -> Result:
        """Counters since the last look, as nstat(8) keeps them."""
        named = {("" if n.startswith("IpExt") else "TcpExt") + n for n in NET.values()}
        now = {("TcpExt" + n if "TcpExt" + n in named else n): v for n, v in self.system.host.counters().items()}
        flags = "".join(a[1:] for a in args if re.fullmatch(r"-[a-z]+", a))
        base = {} if "a" in flags else self.counters
        lines = [f"{n:<32}{v - base.get(n, 0):<16}    0.0" for n, v in sorted(now.items()) if v != base.get(n, 0)]
        if "s" not in flags:
            self.counters = now
        wanted = [a for a in args if not a.startswith("-")]
        lines = [line for line in lines if not wanted or line.split()[0] in wanted]
        return 0, "" if "n" in flags else "\n".join(["#kernel", *lines]) + "\n"

    # --- text and files

    def do_grep(self, args: Sequence[str], text: str) -> Result:
        flags = "".join(a[1:] for a in args if re.fullmatch(r"-[a-zA-Z]+", a))
        rest = [a for a in args if not re.fullmatch(r"-[a-zA-Z]+", a)]
        if not rest:
            raise Refused("`grep`: no pattern")
        pattern, files = rest[0], rest[1:]
        for file in files:
            text += self.read(file)
        if "E" not in flags:
            pattern = re.sub(r"(?<!\\)([+?{}()|])", r"\\\1", pattern)
        if "w" in flags:
            pattern = rf"\b(?:{pattern})\b"
        found = [line for line in text.splitlines() if bool(re.search(pattern, line)) != ("v" in flags)]
        out = f"{len(found)}\n" if "c" in flags else "".join(line + "\n" for line in found)
        return 0 if found else 1, "" if "q" in flags else out

    def read(self, path: str) -> str:
        """A file that a command reads."""
        if path == "/proc/net/tcp":
            return self.system.proc_net_tcp()
        if path == "/proc/net/tcp6":
            return ""
        if path.startswith(PROC):
            return self.do_sysctl([path[len(PROC) :]], "")[1].partition("= ")[2]
        raise Refused(f"{path}: not a file that can be modelled")

    def do_cat(self, args: Sequence[str], text: str) -> Result:
        return 0, "".join(self.read(a) for a in args) if args else text

    def do_wc(self, args: Sequence[str], text: str) -> Result:
        return 0, f"{len(text.splitlines())}\n"

    def do_echo(self, args: Sequence[str], text: str) -> Result:
        return 0, " ".join(a for a in args if a != "-n") + "\n"

    def do_rm(self, args: Sequence[str], text: str) -> Result:
        for a in args:
            if not a.startswith("-"):
                self.system.make_file(a, None)
        return 0, ""

    def do_dd(self, args: Sequence[str], text: str) -> Result:
        given = dict(a.partition("=")[::2] for a in args)
        units = {"": 1, "k": 1 << 10, "K": 1 << 10, "M": 1 << 20}
        m = re.fullmatch(r"(\d+)([kKM]?)", given.get("bs", "512"))
        if "of" not in given or not m:
            raise Refused(f"`dd {' '.join(args)}`: not modelled")
        self.system.make_file(given["of"], int(m.group(1)) * units[m.group(2)] * int(given.get("count", "0")))
        return 0, ""

    def do_sleep(self, args: Sequence[str], text: str) -> Result:
        self.system.sleep(float(args[0].rstrip("s")) if args else 0)
        return 0, ""

    def do_true(self, args: Sequence[str], text: str) -> Result:
        return 0, ""

    do_modprobe = do_sync = do_rmmod = do_exit = do_true

    def do_false(self, args: Sequence[str], text: str) -> Result:
        return 1, ""
