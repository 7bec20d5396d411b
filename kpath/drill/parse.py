# SPDX-License-Identifier: GPL-2.0-only
"""Text to script.Script. The grammar is in grammar.lark; what it cannot say (ranges, padding) is checked here."""

from __future__ import annotations

import functools
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken
from lark.exceptions import VisitError
from lark.visitors import v_args

from . import wire
from .script import (
    RANGES,
    Array,
    Assign,
    Bits,
    Call,
    Code,
    Command,
    Ellipsis_,
    Event,
    Expr,
    IcmpSpec,
    Int,
    IpInfo,
    Option,
    Packet,
    Script,
    ScriptError,
    Str,
    Struct,
    Syscall,
    TcpSpec,
    Time,
    TimeKind,
    Word,
)

FLAGS = ".FSRPEWAU"
ECN_MARKS = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.S)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class Semantic(Exception):
    """Well-formed but wrong; becomes a ScriptError with the line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def usecs(text: str) -> int:
    """Seconds as written, in whole microseconds."""
    value = int(float(text) * 1e6)
    if value < 0:
        raise ValueError("negative time")
    return value


def number(text: str) -> int:
    """A decimal number, or what a -D symbol gave: C's notations too."""
    if re.fullmatch(r"-?0x[0-9a-fA-F]+", text):
        return int(text, 16)
    return int(text)


def unescape(text: str) -> bytes:
    """The bytes of a quoted string."""

    def one(m: re.Match[str]) -> str:
        s = m.group(1)
        if s[0] == "x" and len(s) > 1:
            return chr(int(s[1:], 16))
        return chr(int(s, 8) & 255) if s[0] in "01234567" else ESCAPES.get(s, s)

    return ESCAPE.sub(one, text[1:-1]).encode("latin-1", "replace")


def limited(token: Token, bits: int, what: str) -> int:
    """A number that must fit."""
    value = number(token)
    if not 0 <= value < 1 << bits:
        raise Semantic(token.line or 0, f"{what} {value} does not fit in {bits} bits")
    return value


class Symbols:
    """-D symbols: the command line's win over the script's."""

    def __init__(self) -> None:
        self.fixed: dict[str, str] = {}
        self.own: dict[str, str] = {}

    def begin(self, defines: Mapping[str, str]) -> None:
        """A new script is to be read."""
        self.fixed = dict(defines)
        self.own = {}

    def define(self, text: str, line: int) -> None:
        """--define=NAME=VALUE in a script."""
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise Semantic(line, f"bad definition: {text}")
        self.own[name] = value

    def replace(self, token: Token) -> Token:
        """A word that is a symbol becomes what it stands for."""
        value = self.fixed.get(token, self.own.get(token))
        if value is None:
            return token
        kind = "WORD"
        if value[:1] == '"':
            kind = "STRING"
        elif value[:1] == "`":
            kind = "BACK_QUOTED"
        elif re.fullmatch(r"-?(0x[0-9a-fA-F]+|[0-9]+)", value):
            kind = "INTEGER"
        return Token.new_borrow_pos(kind, value, token)


SYMBOLS = Symbols()


@v_args(inline=True)
class Builder(Transformer[Token, Any]):
    """Builds the script while it is parsed. line: of the event that is being built."""

    line = 0

    # --- options and frame

    def keyword(self, token: Token) -> Token:
        return token

    def option_value(self, *tokens: Token) -> str:
        return ",".join(t[1:-1] if t.type == "STRING" else str(t) for t in tokens)

    def definition(self, name: Token, value: Token) -> str:
        return f"{name}={value}"

    def option(self, token: Token, value: str | None) -> tuple[str, str | None, int]:
        if token == "--define":
            SYMBOLS.define(value or "", token.line or 0)
        return token[2:], value, token.line or 0

    def command(self, token: Token) -> Command:
        return Command(token[1:-1], token.line or 0)

    init = command
    cleanup = command

    def code(self, token: Token) -> Code:
        return Code(token[2:-2].strip(" \t"), token.line or 0)

    @v_args(inline=False)
    def start(self, items: list[Any]) -> Script:
        script = Script("")
        script.options = [i for i in items if isinstance(i, tuple)]
        script.events = [i for i in items if isinstance(i, Event)]
        commands = [i for i in items if not isinstance(i, tuple | Event)]
        script.init, script.cleanup = commands
        return script

    @v_args(inline=False)
    def empty(self, items: list[Any]) -> Script:
        raise Semantic(1, "no events")

    def event(self, time: Time, action: Any) -> Event:
        event = Event(time, action, time.line)
        outbound = isinstance(action, Packet) and action.outbound
        if time.kind is TimeKind.ANY and not outbound:
            raise Semantic(time.line, "the time * is for outbound packets only")
        if time.kind in RANGES:
            if not outbound:
                raise Semantic(time.line, "a time range is for outbound packets only")
            if time.end < time.usecs:
                raise Semantic(time.line, "the time range is backwards")
        return event

    # --- times

    def make_time(self, kind: TimeKind, start: Token, end: Token | None = None) -> Time:
        self.line = start.line or 0
        try:
            return Time(kind, usecs(start), usecs(end) if end is not None else 0, start.line or 0)
        except ValueError as e:
            raise Semantic(start.line or 0, str(e)) from None

    def absolute(self, token: Token) -> Time:
        return self.make_time(TimeKind.ABSOLUTE, token)

    def relative(self, token: Token) -> Time:
        return self.make_time(TimeKind.RELATIVE, token)

    def any_time(self) -> Time:
        return Time(TimeKind.ANY)

    def absolute_range(self, start: Token, end: Token) -> Time:
        return self.make_time(TimeKind.ABSOLUTE_RANGE, start, end)

    def relative_range(self, start: Token, end: Token) -> Time:
        return self.make_time(TimeKind.RELATIVE_RANGE, start, end)

    # --- packets

    def inbound(self) -> bool:
        return False

    def outbound(self) -> bool:
        return True

    @v_args(inline=False)
    def encapsulation(self, items: list[Any]) -> str:
        return "encapsulation"

    def ecn(self, token: Token) -> tuple[str, str, int]:
        if token == "ect01":
            return "check", "ect01", 0
        return "check", "ecn", ECN_MARKS[token]

    def tos(self, token: Token) -> tuple[str, str, int]:
        if int(token, 16) > 255:
            raise Semantic(token.line or 0, "tos out of range")
        return "check", "tos", int(token, 16)

    def ttl(self, token: Token) -> tuple[str, str, int]:
        return "ttl", "", limited(token, 8, "ttl")

    def flowlabel(self, token: Token) -> tuple[str, str, int]:
        raise Semantic(token.line or 0, "flow labels are IPv6's, which is not modelled")

    def ip_info(self, *fields: tuple[str, str, int]) -> IpInfo:
        info = IpInfo()
        for what, check, value in fields:
            if what == "ttl":
                info.ttl = value
            else:
                info.check, info.value = check, value
        return info

    @v_args(inline=False)
    def packet(self, items: list[Any]) -> Packet:
        outbound, info, body = items[0], items[-2], items[-1]
        if len(items) > 3:
            raise Semantic(0, "encapsulated packets are not modelled")
        info = info or IpInfo()
        if not outbound and info.check == "ect01":
            raise Semantic(0, "[ect01] is for outbound packets only")
        if not outbound and isinstance(body, TcpSpec):
            if body.options is None:
                raise Semantic(0, "<...> is for outbound packets only")
            if body.win is None:
                raise Semantic(0, "an inbound packet needs its window (win)")
        return Packet(outbound, info, body)

    @v_args(inline=False)
    def psp(self, items: list[Any]) -> None:
        raise Semantic(0, "PSP is not modelled")

    def ports(self, source: Token, dest: Token) -> tuple[int, int]:
        return limited(source, 16, "port"), limited(dest, 16, "port")

    def word_flags(self, word: Token) -> tuple[str, int | None]:
        return self.flags_of(word, str(word))

    def word_ack(self, word: Token) -> tuple[str, int | None]:
        return self.flags_of(word, word + ".")

    def word_ace(self, word: Token, ace: Token) -> tuple[str, int | None]:
        return self.flags_of(word, str(word) + str(ace))

    def ack_ace(self, ace: Token) -> tuple[str, int | None]:
        return self.flags_of(ace, str(ace))

    def only_ack(self) -> tuple[str, int | None]:
        return ".", None

    def no_flags(self) -> tuple[str, int | None]:
        return "", None

    def flags_of(self, token: Token, text: str) -> tuple[str, int | None]:
        digits = [c for c in text if c in "01234567"]
        letters = [c for c in text if c not in "01234567"]
        for c in letters:
            if c not in FLAGS:
                raise Semantic(token.line or 0, f"invalid TCP flag {c!r}")
        if len(digits) > 1 or (digits and any(c in "EWA" for c in letters)):
            raise Semantic(token.line or 0, f"conflicting TCP flags {text!r}")
        return "".join(letters), int(digits[0]) if digits else None

    def sequence(self, start: Token, end: Token, length: Token) -> tuple[int, int]:
        first, last = limited(start, 32, "sequence number"), limited(end, 32, "sequence number")
        size = limited(length, 16, "payload")
        if last != (first + size) & 0xFFFFFFFF:
            raise Semantic(start.line or 0, f"{first}:{last}({size}): the numbers don't add up")
        return first, size

    def ack(self, token: Token) -> int:
        return limited(token, 32, "acknowledgment number")

    def window(self, token: Token) -> int:
        return limited(token, 16, "window")

    def urgent(self, token: Token) -> int:
        return limited(token, 16, "urgent pointer")

    def tcp(self, psp: None, ports: Any, flags: Any, seq: Any, ack: Any, win: Any, urg: Any, options: Any) -> TcpSpec:
        spec = TcpSpec(flags[0], seq[0], seq[1], ack or 0, win, urg or 0, [], flags[1])
        if options is not None:
            spec.options = None if options == "unchecked" else options
        if ports:
            spec.sport, spec.dport = ports
        if sum(map(wire.option_size, spec.options or [])) % 4:
            raise Semantic(0, "the TCP options are not padded to a multiple of 4 bytes")
        if sum(map(wire.option_size, spec.options or [])) > 40:
            raise Semantic(0, "the TCP options are longer than 40 bytes")
        if 40 + sum(map(wire.option_size, spec.options or [])) + spec.length > 65535:
            raise Semantic(0, "the segment is longer than an IP packet can be")
        return spec

    @v_args(inline=False)
    def tcp_options(self, items: list[Option]) -> list[Option]:
        return items

    def unchecked_options(self) -> str:
        return "unchecked"

    def nop(self) -> Option:
        return Option(wire.NOP)

    def eol(self) -> Option:
        return Option(wire.EOL)

    def mss(self, token: Token) -> Option:
        return Option(wire.MSS, limited(token, 16, "mss").to_bytes(2, "big"))

    def wscale(self, token: Token) -> Option:
        return Option(wire.WSCALE, bytes([limited(token, 8, "window scale")]))

    def sackok(self) -> Option:
        return Option(wire.SACKOK)

    def sack(self, *tokens: Token) -> Option:
        return Option(wire.SACK, b"".join(limited(t, 32, "SACK block").to_bytes(4, "big") for t in tokens))

    def md5(self, token: Token) -> Option:
        return Option(wire.MD5, self.blob(token, 16))

    def timestamp(self, val: Token, ecr: Token) -> Option:
        numbers = limited(val, 32, "TS val"), limited(ecr, 32, "TS ecr")
        return Option(wire.TIMESTAMP, b"".join(n.to_bytes(4, "big") for n in numbers))

    def fastopen(self, token: Token | None) -> Option:
        return Option(wire.FASTOPEN, self.blob(token, 38))

    def fastopen_exp(self, token: Token | None) -> Option:
        return Option(wire.EXPERIMENTAL, wire.FASTOPEN_MAGIC + self.blob(token, 36))

    def accecn(self, *tokens: Token) -> Option:
        names = [str(t) for t in tokens[::2]]
        order0, order1 = ["e0b", "ceb", "e1b"], ["e1b", "ceb", "e0b"]
        if names not in (order0[: len(names)], order1[: len(names)]):
            raise Semantic(tokens[0].line or 0, "AccECN counters in an order that there is no option for")
        data = b"".join(limited(t, 24, "AccECN counter").to_bytes(3, "big") for t in tokens[1::2])
        return Option(wire.ACCECN0 if names[0] == "e0b" else wire.ACCECN1, data)

    @staticmethod
    def blob(token: Token | None, most: int) -> bytes:
        try:
            data = bytes.fromhex(token or "")
        except ValueError:
            raise Semantic(token.line or 0 if token else 0, f"{token}: not an even number of hex digits") from None
        if len(data) > most:
            raise Semantic(token.line or 0 if token else 0, f"{token}: longer than {most} bytes")
        return data

    def udp(self, *items: Any) -> None:
        raise Semantic(0, "UDP is not modelled")

    def echoed_tcp(self, seq: tuple[int, int]) -> tuple[int, int]:
        return seq

    def echoed_udp(self, token: Token) -> None:
        raise Semantic(token.line or 0, "UDP is not modelled")

    def echoed_raw(self, token: Token) -> None:
        raise Semantic(token.line or 0, "raw ICMP payload is not modelled")

    def icmp(self, type_: Token, code: Token | None, mtu: Token | None, ident: Any, echoed: Any) -> IcmpSpec:
        spec = IcmpSpec(str(type_), str(code) if code else None, limited(mtu, 16, "mtu") if mtu else None)
        if echoed:
            spec.seq, spec.length = echoed
        try:
            wire.icmp_numbers(spec)
        except ValueError as e:
            try:
                wire.icmp_numbers(spec, v6=True)
            except ValueError:
                raise Semantic(type_.line or 0, str(e)) from None
        return spec

    # --- system calls

    def syscall(self, end: Token | None, name: Token, args: Any, result: Expr, outcome: str | None) -> Syscall:
        return Syscall(str(name), args or [], result, outcome, usecs(end) if end is not None else None)

    def errno(self, word: Token, note: None) -> str:
        return str(word)

    def remark(self, note: None) -> None:
        return None

    @v_args(inline=False)
    def note(self, items: list[Any]) -> None:
        return None

    @v_args(inline=False)
    def expressions(self, items: list[Expr]) -> list[Expr]:
        return items

    def bits(self, *terms: Expr) -> Expr:
        return terms[0] if len(terms) == 1 else Bits(list(terms))

    def assignment(self, target: Token | Call, value: Expr) -> Assign:
        if isinstance(target, Call):
            return Assign(target.name, target.arg, value)
        return Assign(str(target), None, value)

    def field_call(self, name: Token, arg: Expr) -> Call:
        return Call(str(name), arg)

    def ellipsis(self) -> Ellipsis_:
        return Ellipsis_()

    def integer(self, token: Token) -> Int:
        return Int(number(token))

    def hexadecimal(self, token: Token) -> Int:
        return Int(int(token, 16))

    def word(self, token: Token) -> Word:
        return Word(str(token))

    def string(self, *tokens: Token) -> Str:
        return Str(b"".join(unescape(t) for t in tokens))

    def array(self, items: list[Expr] | None) -> Array:
        return Array(items or [])

    def struct(self, items: list[Expr] | None) -> Struct:
        return Struct(items or [])

    @v_args(inline=False)
    def gre_struct(self, items: list[Any]) -> None:
        raise Semantic(0, "GRE is not modelled")

    mpls_struct = gre_struct


BUILDER = Builder()


@functools.cache
def parser() -> Lark:
    """The parser; its tables are kept in the temporary directory, because making them costs more than a script."""
    text = Path(__file__).with_name("grammar.lark").read_text()
    cache = os.path.join(tempfile.gettempdir(), f"kpath-drill-{os.getuid()}.lark")
    arguments: dict[str, Any] = {
        "parser": "lalr",
        "lexer": "basic",
        "maybe_placeholders": True,
        "transformer": BUILDER,
        "lexer_callbacks": {"WORD": SYMBOLS.replace},
    }
    try:
        return Lark(text, cache=cache, **arguments)
    except (OSError, TypeError, ValueError):
        return Lark(text, **arguments)


def complaint(e: UnexpectedInput) -> tuple[int, str]:
    """Line and message of what the parser did not expect."""
    if isinstance(e, UnexpectedToken):
        if e.token.type == "$END":
            return e.token.line or 0, "the script ends here"
        return e.token.line or 0, f"unexpected {str(e.token)[:40]!r}"
    if isinstance(e, UnexpectedCharacters):
        return e.line, f"unexpected character {e.char!r}"
    return getattr(e, "line", 0), "the script ends here" if isinstance(e, UnexpectedEOF) else str(e)


def parse(text: str, path: str, defines: Mapping[str, str] | None = None) -> Script:
    """Reads a script. ScriptError, with file and line, if it can't be read."""
    SYMBOLS.begin(defines or {})
    tool = parser()
    try:
        script: Script = tool.parse(text)  # type: ignore[assignment]
    except UnexpectedInput as e:
        line, message = complaint(e)
        raise ScriptError(f"{path}:{line}: {message}") from None
    except (VisitError, Semantic) as e:
        cause = e.orig_exc if isinstance(e, VisitError) else e
        if not isinstance(cause, Semantic):
            raise
        raise ScriptError(f"{path}:{cause.line or BUILDER.line}: {cause}") from None
    script.path = path
    return script
