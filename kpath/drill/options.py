# SPDX-License-Identifier: GPL-2.0-only
"""Options of a script and of the command line: packetdrill's own names, as far as they mean something here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from .script import ScriptError

#: options that have no meaning here but are no reason to refuse a script
IGNORED = {
    "code_command", "code_format", "code_sockopt", "init_scripts", "speed", "netmask_ip", "gateway_ip",
    "send_omit_free", "debug", "dry_run", "is_anyip",
}  # fmt: skip
REFUSED = {"wire_client", "wire_server", "wire_server_ip", "wire_server_at", "wire_server_port", "so_filename",
           "so_flags", "wire_client_dev", "wire_server_dev", "psp_udp_port"}  # fmt: skip
AF_INET, AF_INET6 = 2, 10
#: by --ip_version: packetdrill's own --local_ip and --remote_ip
DEFAULT_IPS = {
    "ipv4": ("192.168.0.1", "192.0.2.1"),
    "ipv4-mapped-ipv6": ("192.168.0.1", "192.0.2.1"),
    "ipv6": ("fd3d:a0b:17d6::1", "fd3d:fa7b:d17d::1"),
}


@dataclass(slots=True)
class Config:
    """What a run is made with."""

    ip_version: str = "ipv4"
    local_ip: str = ""  # settled() knows the defaults
    remote_ip: str = ""
    bind_port: int = 8080
    connect_port: int = 8080
    mss: int = 0
    mtu: int = 1500
    tolerance_usecs: int = 4000
    tolerance_percent: float = 12.5
    ts_tick_usecs: int = 0
    step_usecs: int = 75
    ts_ecr_scaled: bool = False
    strict_segments: bool = False
    non_fatal: set[str] = field(default_factory=set)
    verbose: bool = False
    defines: dict[str, str] = field(default_factory=dict)

    @property
    def family(self) -> int:
        """The address family of a script's sockets. Mapped: IPv6 sockets, IPv4 packets."""
        return AF_INET if self.ip_version == "ipv4" else AF_INET6

    def settled(self) -> Config:
        """Itself, with the addresses that nobody gave. ScriptError if one that was given is of another version."""
        local, remote = DEFAULT_IPS[self.ip_version]
        self.local_ip = self.local_ip or local
        self.remote_ip = self.remote_ip or remote
        for name in ("local_ip", "remote_ip"):
            if (":" in getattr(self, name)) != (":" in local):
                raise ScriptError(f"--{name}={getattr(self, name)}: not an address of {self.ip_version}")
        return self

    def apply(self, name: str, value: str | None, where: str) -> None:
        """One `--name[=value]`."""
        try:
            self._apply(name, value)
        except ValueError as e:
            raise ScriptError(f"{where}: --{name}{'=' + value if value is not None else ''}: {e}") from None

    def _apply(self, name: str, value: str | None) -> None:
        if name in IGNORED:
            return
        if name in REFUSED:
            raise ValueError("not modelled")
        if name == "verbose":
            self.verbose = True
            return
        if name == "tcp_ts_ecr_scaled":
            self.ts_ecr_scaled = True
            return
        if name == "strict_segments":
            self.strict_segments = True
            return
        if value is None:
            raise ValueError("needs a value" if name in VALUES else "no such option")
        if name in ("bind_port", "connect_port"):
            setattr(self, name, ranged(value, 1, 65535))
        elif name in ("local_ip", "remote_ip"):
            setattr(self, name, str(ipaddress.ip_interface(value).ip))
        elif name == "ip_version":
            if value not in DEFAULT_IPS:
                raise ValueError(f"expected one of {', '.join(DEFAULT_IPS)}")
            self.ip_version = value
        elif name == "mss":
            self.mss = ranged(value, 1, 65535)
        elif name == "mtu":
            self.mtu = ranged(value, 68, 65535)
        elif name == "tolerance_usecs":
            self.tolerance_usecs = ranged(value, 0, 1 << 40)
        elif name == "tolerance_percent":
            self.tolerance_percent = float(value)
        elif name == "tcp_ts_tick_usecs":
            self.ts_tick_usecs = ranged(value, 0, 1000000)
        elif name == "step_usecs":
            self.step_usecs = ranged(value, 0, 1000000)
        elif name == "non_fatal":
            self.non_fatal |= set(value.replace(",", " ").split())
        elif name == "define":
            symbol, equals, meaning = value.partition("=")
            if not symbol or not equals:
                raise ValueError("expected NAME=VALUE")
            self.defines[symbol] = meaning
        else:
            raise ValueError("no such option")


VALUES = {"bind_port", "connect_port", "local_ip", "remote_ip", "ip_version", "mss", "mtu", "tolerance_usecs",
          "tolerance_percent", "tcp_ts_tick_usecs", "non_fatal", "define", "step_usecs"}  # fmt: skip


def ranged(text: str, low: int, high: int) -> int:
    """A whole number within limits."""
    try:
        value = int(text, 0)
    except ValueError:
        raise ValueError("expected a number") from None
    if not low <= value <= high:
        raise ValueError(f"expected {low} to {high}")
    return value
