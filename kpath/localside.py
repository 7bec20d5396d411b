# SPDX-License-Identifier: GPL-2.0-only
"""Finds the local side: the endpoint on whose host the capture was made."""

from __future__ import annotations

from .errors import at
from .segments import Table, dotted, packed

INITIAL_TTLS = (64, 128, 255)
NEAR = 1_000_000  # ns within which a host answers itself; a network may be slower
Directions = dict[tuple[str, str], list[int]]


class LocalSide:
    """The host's own addresses, and in words where they are known from."""

    def __init__(self, ends: list[tuple[str, int]], why: str) -> None:
        self.ends = ends  # (address, port or 0 for any)
        self.why = why

    def numbers(self) -> list[tuple[int, int]]:
        """The same with numbers for the addresses, as segments.packed() gives them."""
        return [(packed(a), p) for a, p in self.ends]


def endpoint(address: str, port: int) -> str:
    """An address and a port as text (RFC 3986 3.2.2 for IPv6)."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def parts(option: str) -> tuple[str, str | None]:
    """The address and the port, if there is one."""
    if option.startswith("["):
        address, bracket, rest = option[1:].partition("]")
        if bracket and rest[:1] in ("", ":"):
            return address, rest[1:] if rest else None
    elif option.count(":") == 1:
        address, _, port = option.partition(":")
        return address, port
    return option, None


def parse(options: list[str]) -> LocalSide:
    """`--local ADDR[:PORT]` options; an IPv6 address with a port is in brackets. InputError: not an address."""
    ends = []
    for option in options:
        address, port = parts(option)
        try:
            ends.append((dotted(packed(address)), 0 if port is None else int(port)))
        except ValueError:
            raise at("--local", f"expected ADDR[:PORT] or [ADDR]:PORT, found {option!r}") from None
        if not 0 <= ends[-1][1] <= 65535:
            raise at("--local", f"expected a port of 0 to 65535, found {port}")
    return LocalSide(ends, "--local")


def check(side: LocalSide, table: Table, path: str) -> None:
    """InputError when none of the addresses occurs in the capture."""
    found = {a for pair in table.addresses() for a in pair}
    if not any(a in found for a, _ in side.ends):
        names = ", ".join(sorted(found, key=packed)[:4]) + (", ..." if len(found) > 4 else "")
        wanted = " or ".join(endpoint(a, p) if p else a for a, p in side.ends)
        raise at(path, f"no TCP from or to {wanted} in this capture (addresses in it: {names})")


def find(table: Table, path: str, known: list[tuple[str, str]]) -> LocalSide:
    """The local side of a capture. known: [(address, whence)] from the host file and the calls, best first."""
    seen = table.addresses()
    found = {a for pair in seen for a in pair}
    for address, whence in known:
        if address in found:
            return LocalSide([(a, 0) for a, w in known if w == whence and a in found], whence)
    return by_packets(table, seen, path)


def by_packets(table: Table, seen: Directions, path: str) -> LocalSide:
    """From the packets alone."""
    takes_part: dict[str, int] = {}
    for pair, v in seen.items():
        for a in set(pair):
            takes_part[a] = takes_part.get(a, 0) + v[0]
    total = sum(v[0] for v in seen.values())
    everywhere = sorted((a for a, n in takes_part.items() if n == total), key=packed)
    if len(everywhere) == 1:
        return LocalSide([(everywhere[0], 0)], "it takes part in every segment of the capture")
    if not everywhere:
        raise at(path, "cannot tell the local side: no address takes part in every segment; name it with --local")
    pair = (everywhere[0], everywhere[1])
    for hint in (by_checksum, by_ttl, by_handshake, by_turnaround):
        side = hint(table, seen, pair)
        if side:
            return side
    raise at(path, f"cannot tell which of {pair[0]} and {pair[1]} is the local side; name it with --local")


def both(seen: Directions, pair: tuple[str, str]) -> tuple[list[int] | None, list[int] | None]:
    return seen.get(pair), seen.get((pair[1], pair[0]))


def by_checksum(table: Table, seen: Directions, pair: tuple[str, str]) -> LocalSide | None:
    """A sender with checksum offload is captured before its device has filled the checksums in."""
    a, b = both(seen, pair)
    if a and b and (a[6] > a[0] // 2) != (b[6] > b[0] // 2):
        return LocalSide([(pair[0] if a[6] > a[0] // 2 else pair[1], 0)], "its checksums are not filled in yet")
    return None


def by_ttl(table: Table, seen: Directions, pair: tuple[str, str]) -> LocalSide | None:
    """What is captured where it is sent has the TTL that it began with."""
    a, b = both(seen, pair)
    if a and b and (a[3] in INITIAL_TTLS) != (b[3] in INITIAL_TTLS):
        return LocalSide([(pair[0] if a[3] in INITIAL_TTLS else pair[1], 0)], "its TTL is that of an unrouted packet")
    return None


def by_handshake(table: Table, seen: Directions, pair: tuple[str, str]) -> LocalSide | None:
    """The far end of a handshake takes a round trip to answer, the near one none."""
    table.split([(packed(pair[0]), 0)])
    for c in range(min(table.nconn, 16)):
        times = table.handshake(c)
        if times is None:
            continue
        server, client = times  # ns that each took to answer
        first_is_client = not table.connection(c)["synack_out"]
        near_is_server = server < client
        address = pair[1] if near_is_server == first_is_client else pair[0]
        slow, quick = max(times), min(times)
        if slow < 3 * quick:
            continue
        took = f"its handshake answer took {quick / 1e3:.0f} us, the other's {slow / 1e3:.0f} us"
        return LocalSide([(address, 0)], took)
    return None


def by_turnaround(table: Table, seen: Directions, pair: tuple[str, str]) -> LocalSide | None:
    """The same over all that was sent; who was never answered is the side that sent."""
    a, b = table.turnaround(packed(pair[0]), packed(pair[1]))
    if pair not in seen or (pair[1], pair[0]) not in seen:
        return LocalSide([(pair[0] if pair in seen else pair[1], 0)], "the other side sends nothing")
    if a is None or b is None:
        took = a if a is not None else b
        near = took is not None and took < NEAR
        answers = a is not None
        return LocalSide(
            [(pair[0] if answers == near else pair[1], 0)],
            f"its peer {'is answered' if near else 'answers'} after {(took or 0) / 1e3:.0f} us",
        )
    if max(a, b) >= 2 * min(a, b):
        return LocalSide(
            [(pair[0] if a < b else pair[1], 0)],
            f"it answers in {min(a, b) / 1e3:.0f} us, the other in {max(a, b) / 1e3:.0f} us",
        )
    return None
