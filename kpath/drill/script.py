# SPDX-License-Identifier: GPL-2.0-only
"""What a script says, as plain data: events in order, each a time and an action."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ..errors import InputError


class ScriptError(InputError):
    """A script that can't be read, or that asks for something that is not modelled."""


class TimeKind(Enum):
    """How an event's time is written."""

    ABSOLUTE = "0.1"
    RELATIVE = "+0.1"
    ANY = "*"
    ABSOLUTE_RANGE = "0.1~0.2"
    RELATIVE_RANGE = "+0.1~+0.2"


RANGES = (TimeKind.ABSOLUTE_RANGE, TimeKind.RELATIVE_RANGE)
RELATIVES = (TimeKind.ANY, TimeKind.RELATIVE, TimeKind.RELATIVE_RANGE)


@dataclass(slots=True)
class Time:
    """Microseconds, as written; `end` is that of a range."""

    kind: TimeKind
    usecs: int = 0
    end: int = 0
    line: int = 0


# --- expressions


@dataclass(slots=True)
class Int:
    """A number."""

    value: int


@dataclass(slots=True)
class Word:
    """A name that stands for a number."""

    name: str


@dataclass(slots=True)
class Str:
    """A string, escapes undone."""

    value: bytes


@dataclass(slots=True)
class Ellipsis_:
    """`...`: the runner chooses."""


@dataclass(slots=True)
class Bits:
    """`A|B`."""

    terms: list[Expr]


@dataclass(slots=True)
class Call:
    """`htons(8080)`."""

    name: str
    arg: Expr


@dataclass(slots=True)
class Assign:
    """`name = value`, or `name(arg) = value`."""

    name: str
    arg: Expr | None
    value: Expr


@dataclass(slots=True)
class Array:
    """`[a, b]`."""

    items: list[Expr]


@dataclass(slots=True)
class Struct:
    """`{a, b}` or `{name = a}`."""

    items: list[Expr]

    def get(self, name: str) -> Expr | None:
        """The value of a named field."""
        for item in self.items:
            if isinstance(item, Assign) and item.name == name:
                return item.value
        return None


Expr = Int | Word | Str | Ellipsis_ | Bits | Call | Assign | Array | Struct


# --- actions


@dataclass(slots=True)
class Syscall:
    """A system call. end: None does not block, else when it returns (us; relative if the event's time is)."""

    name: str
    args: list[Expr]
    result: Expr
    errno: str | None = None
    end: int | None = None


@dataclass(slots=True)
class Command:
    """What stands between backquotes."""

    text: str
    line: int = 0


@dataclass(slots=True)
class Code:
    """Python to be run with the socket's state as variables."""

    text: str
    line: int = 0


@dataclass(slots=True)
class IpInfo:
    """What is said of the IP header. check: None, "ecn", "ect01" or "tos" (which `value` is)."""

    check: str | None = None
    value: int = 0
    ttl: int = 0


@dataclass(slots=True)
class Option:
    """A TCP option as on the wire; data: without kind and length."""

    kind: int
    data: bytes = b""


@dataclass(slots=True)
class TcpSpec:
    """A TCP segment. flags: letters of "FSRP.EWAU"; ace: the three ECN bits as a number, if written so."""

    flags: str
    seq: int
    length: int
    ack: int = 0
    win: int | None = None
    urg: int = 0
    options: list[Option] | None = None
    ace: int | None = None
    sport: int = 0
    dport: int = 0


@dataclass(slots=True)
class IcmpSpec:
    """An ICMP message; seq and length are those of the TCP segment that it quotes."""

    type: str
    code: str | None
    mtu: int | None
    seq: int = 0
    length: int = 0


@dataclass(slots=True)
class Packet:
    """A packet that comes in or is to go out."""

    outbound: bool
    ip: IpInfo
    body: TcpSpec | IcmpSpec


Action = Syscall | Command | Code | Packet


@dataclass(slots=True)
class Event:
    """One line of the script, as a rule."""

    time: Time
    action: Action
    line: int


@dataclass(slots=True)
class Script:
    """A parsed script. options: (name, value or None, line), in order."""

    path: str
    options: list[tuple[str, str | None, int]] = field(default_factory=list)
    init: Command | None = None
    events: list[Event] = field(default_factory=list)
    cleanup: Command | None = None
