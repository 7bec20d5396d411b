"""A conversation with a host: what arrives, what the application does, what must leave.

    c = established()
    c.send("P.", length=100)
    c.expect(".", ack=101)

Sequence numbers are relative (0 is the first byte of either stream); underneath, both streams begin just below the
wrap. Times are milliseconds of virtual time. Every conversation closes its host and checks that all pools are empty
again.
"""
import struct
from dataclasses import dataclass, field

from packets import (
    FLAGS,
    LOCAL,
    LOCAL6,
    LOCAL_ISN,
    LOCAL_PORT,
    PEER,
    PEER6,
    PEER_ISN,
    PEER_PORT,
    decode_options,
    encode_options,
    relative,
    tcp_packet,
)

from kpath_c.host import Host

EPOCH = 1_700_000_000_000_000_000
MS = 1_000_000
UPTIME_MS = 1_000_000  # of the host at EPOCH
SLOT, LISTENER = 3, 2
MSS = 1460
AF_INET6 = 10
Stamp = tuple[int, int | None]  # TSval minus uptime in ms, and what it was (Host.pin)
OPEN: list["Conversation"] = []  # conftest.py closes them at the end of each test


@dataclass
class Segment:
    """One TCP segment with relative numbers."""

    flags: str
    seq: int
    ack: int
    length: int
    window: int
    options: dict[str, object]
    t: float = 0.0  # ms since the conversation began
    ecn: int = 0
    urgent: int = 0
    df: bool = True  # IP: don't fragment
    hops: int = 64
    label: int = 0  # IPv6: flow label

    def __str__(self) -> str:
        opts = " ".join(f"{k}={v}" for k, v in self.options.items())
        numbers = f"{self.seq}:{self.seq + self.length} ack {self.ack} win {self.window}"
        return f"{self.t:.3f} ms [{self.flags}] {numbers} <{opts}>"


@dataclass
class Conversation:
    """The host under test at one end, the test at the other."""

    host: Host
    local: str = LOCAL
    peer: str = PEER
    local_port: int = LOCAL_PORT
    peer_port: int = PEER_PORT
    t: float = 0.0
    timestamps: bool = False
    tsval: int = 1000
    ts_echo: int = 0
    snd: int = 0  # the next relative byte of the peer's stream
    last_ack: int = 0  # relative ack that send() carries when none is given
    seen: int = 0
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        OPEN.append(self)

    # -- time

    def wait(self, ms: float) -> None:
        """Lets virtual time go by."""
        self.t += ms
        self.host.run(EPOCH + round(self.t * MS))

    # -- the peer

    def send(self, flags: str, seq: int | None = None, ack: int | None = None, length: int = 0, window: int = 65535,
             **kw: object) -> None:
        """The peer sends; seq and ack are relative and default to "in order" and "all that was seen"."""
        self.raw(self.packet(flags, seq, ack, length, window, **kw))

    def together(self, *segments: dict[str, object]) -> None:
        """The peer's segments (arguments as send()'s, flags "." if not given) arrive in one poll of the device."""
        packets = [self.packet(**{"flags": ".", **s}) for s in segments]  # type: ignore[arg-type]
        self.host.receive_together(packets, EPOCH + round(self.t * MS))

    def packet(self, flags: str, seq: int | None = None, ack: int | None = None, length: int = 0, window: int = 65535,
               **kw: object) -> bytes:
        """The peer's next segment, as send() says, without sending it."""
        seq = self.snd if seq is None else seq
        ack = self.last_ack if ack is None else ack
        options = dict(kw.pop("options", {}))  # type: ignore[call-overload]
        if "blocks" in options:
            options["blocks"] = [(LOCAL_ISN + 1 + a, LOCAL_ISN + 1 + b) for a, b in options["blocks"]]
        if self.timestamps and "ts" not in options:
            options = {"raw": b"\1\1", "ts": (self.tsval + int(self.t), self.ts_echo), **options}
        packet = tcp_packet(flags, PEER_ISN + 1 + seq, (LOCAL_ISN + 1 + ack) if "." in flags else 0, length, window,
                            encode_options(options), dport=self.local_port, sport=self.peer_port,
                            **{"src": self.peer, "dst": self.local, **kw})  # type: ignore
        self.snd = max(self.snd, seq + length + ("F" in flags))
        return packet

    def raw(self, packet: bytes) -> None:
        """Any IP packet arrives now."""
        self.host.receive(packet, EPOCH + round(self.t * MS))

    # -- the application

    def call(self, op: str, slot: int = SLOT, *args: int, **kw: object) -> tuple[int, int, bool]:
        """A socket call: (return value or -1, errno, over)."""
        return self.host.call(slot, op, *args, **kw)

    def ok(self, op: str, slot: int = SLOT, *args: int, **kw: object) -> int:
        """A socket call that must succeed at once."""
        ret, err, over = self.host.call(slot, op, *args, **kw)
        assert over and err == 0, f"{op}: ret {ret} errno {err} {'over' if over else 'asleep'}"
        return ret

    def start(self, op: str, slot: int = SLOT, *args: int, **kw: object) -> int:
        """A socket call that must sleep; its number, for result()."""
        ret, err, over = self.host.call(slot, op, *args, **kw)
        assert not over, f"{op}: ret {ret} errno {err} at once"
        return len(self.host.calls()) - 1

    def result(self, call: int) -> tuple[int, int, float] | None:
        """What came of a call that slept: (return value or -1, errno, ms at which it was over); None: it sleeps yet."""
        ret, err, t, over = self.host.calls()[call]
        return (ret, err, (t - EPOCH) / MS) if over else None

    def fails(self, errno: int, op: str, slot: int = SLOT, *args: int, **kw: object) -> None:
        """A socket call that must fail at once with this errno."""
        assert self.host.call(slot, op, *args, **kw) == (-1, errno, True)

    # -- what left the host

    def segments(self) -> list[Segment]:
        """What the host has emitted and the test has not looked at yet."""
        out = [self.decode(i) for i in range(self.seen, self.host.emitted_count())]
        self.seen = self.host.emitted_count()
        self.log += [str(s) for s in out]
        return out

    def decode(self, i: int) -> Segment:
        t, _, length, _, header = self.host.emitted(i)
        v6 = header[0] >> 4 == 6
        tcp = header[40 if v6 else (header[0] & 15) * 4:]
        if v6:
            assert struct.unpack("!H", header[4:6])[0] == len(header) - 40 + length
        seq, ack, offset, bits, window, _, urgent = struct.unpack("!IIBBHHH", tcp[4:20])
        options = decode_options(tcp[20:(offset >> 4) * 4])
        if "ts" in options:
            self.ts_echo = options["ts"][0]  # type: ignore[index]
        if "blocks" in options:
            blocks: list[tuple[int, int]] = options["blocks"]  # type: ignore[assignment]
            options["blocks"] = [(relative(a, PEER_ISN), relative(b, PEER_ISN)) for a, b in blocks]
        flags = "".join(f for f, bit in FLAGS.items() if bits & bit)
        s = Segment(flags, relative(seq, LOCAL_ISN), relative(ack, PEER_ISN) if bits & 16 else 0, length, window,
                    options, (t - EPOCH) / MS, (header[1] >> 4 if v6 else header[1]) & 3, urgent,
                    v6 or bool(header[6] & 0x40), header[7] if v6 else header[8],
                    struct.unpack("!I", header[:4])[0] & 0xFFFFF if v6 else 0)
        self.last_ack = max(self.last_ack, s.seq + s.length + ("F" in flags))
        return s

    def expect(self, flags: str, **want: object) -> Segment:
        """The next segment that the host emitted, with these fields (seq, ack, length, window, options, t, ecn)."""
        if self.seen >= self.host.emitted_count():
            raise AssertionError(f"expected [{flags}] {want}, nothing left the host\n" + "\n".join(self.log[-8:]))
        s = self.decode(self.seen)
        self.seen += 1
        self.log.append(str(s))
        got = {"flags": "".join(sorted(s.flags)), **{k: getattr(s, k) for k in want}}
        assert got == {"flags": "".join(sorted(flags)), **want}, f"emitted {s}\n" + "\n".join(self.log[-8:])
        return s

    def expect_nothing(self, ms: float = 0) -> None:
        """Nothing (more) leaves the host within this time."""
        if ms:
            self.wait(ms)
        rest = self.segments()
        assert not rest, "not expected: " + "; ".join(map(str, rest))

    # -- looking inside

    def state(self, slot: int = SLOT) -> dict[str, int]:
        """The socket's fields by the kernel's names."""
        got = self.host.sock_state(slot)
        assert got is not None, "no such socket"
        return got

    def name_of_state(self, connection: int = -1) -> str:
        """The state of a connection as `ss` names it, TIME_WAIT too."""
        return self.host.connections()[connection]["state"]

    def counter(self, name: str) -> int:
        """An SNMP or TcpExt counter, under nstat's name."""
        return self.host.counters().get(name, 0)

    def close(self) -> None:
        """Ends the conversation: everything that was allocated must come back."""
        if self in OPEN:
            OPEN.remove(self)
        self.host.close()
        left = {k: v for k, v in self.host.pools().items() if v}
        assert not left, f"not given back: {left}"


def new_host(sysctl: dict[str, object] | None = None, route: dict[str, int] | None = None, **kw: object) -> Host:
    """A host at 10.0.0.1/24 and fd77::1/64 without latencies, at the epoch of the tests."""
    kw.setdefault("clock", {"mono_to_real_ns": EPOCH - UPTIME_MS * MS})
    host = Host(addrs=[LOCAL, LOCAL6], **kw)
    host.latency(0, 0, 0)
    host.add_route("10.0.0.0", 24, route or {})
    host.add_route("fd77::", 64, route or {})
    for name, value in (sysctl or {}).items():
        host.sysctl(name, str(value))
    host.run(EPOCH)
    return host


def between(host: Host, v6: bool) -> Conversation:
    """Nothing has been said yet; v6: over IPv6, else over IPv4."""
    return Conversation(host, LOCAL6 if v6 else LOCAL, PEER6 if v6 else PEER)


def client(sysctl: dict[str, object] | None = None, v6: bool = False, stamp: Stamp = (0, None),
           **kw: object) -> Conversation:
    """CLOSED, with a socket; stamp: pinned for the first connection."""
    c = between(new_host(sysctl, **kw), v6)  # type: ignore[arg-type]
    c.host.pin(c.local, LOCAL_PORT, c.peer, PEER_PORT, LOCAL_ISN, stamp[0], False, stamp[1])
    c.ok("socket", SLOT, 0, AF_INET6 if v6 else 0)
    return c


def syn_sent(sysctl: dict[str, object] | None = None, **kw: object) -> Conversation:
    """SYN_SENT: a blocking connect() sleeps, the SYN has left."""
    c = client(sysctl, **kw)
    assert not c.call("connect", SLOT, PEER_PORT, s=c.peer)[2]
    c.expect("S", seq=-1, length=0)
    return c


def established(sysctl: dict[str, object] | None = None, window: int = 65535, options: dict[str, object] | None = None,
                rtt: float = 10, **kw: object) -> Conversation:
    """ESTABLISHED by an active open; the peer's options are mss and sack unless given."""
    c = syn_sent(sysctl, **kw)
    c.wait(rtt)
    options = {"mss": MSS, "sack": True} if options is None else options
    raw = tcp_packet("S.", PEER_ISN, LOCAL_ISN + 1, 0, window, encode_options(options), src=c.peer, dst=c.local)
    c.timestamps = "ts" in options
    c.raw(raw)
    c.expect(".", seq=0, ack=0, length=0)
    return c


def listening(sysctl: dict[str, object] | None = None, backlog: int = 16, port: int = LOCAL_PORT,
              v6: bool = False, stamp: Stamp = (0, None), **kw: object) -> Conversation:
    """LISTEN on port 40000, with the ISN and the stamp of the first connection pinned."""
    c = between(new_host(sysctl, **kw), v6)  # type: ignore[arg-type]
    c.host.pin(c.local, port, c.peer, PEER_PORT, LOCAL_ISN, stamp[0], True, stamp[1])
    c.ok("socket", LISTENER, 0, AF_INET6 if v6 else 0)
    c.ok("bind", LISTENER, port, s=c.local)
    c.ok("listen", LISTENER, backlog)
    return c


def syn_received(sysctl: dict[str, object] | None = None, window: int = 65535,
                 options: dict[str, object] | None = None, **kw: object) -> Conversation:
    """A SYN came to a listener and the SYN-ACK has left."""
    c = listening(sysctl, **kw)  # type: ignore[arg-type]
    options = {"mss": MSS, "sack": True} if options is None else options
    c.timestamps = "ts" in options
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, window, encode_options(options), src=c.peer, dst=c.local))
    c.expect("S.", seq=-1, ack=0, length=0)
    return c


def accepted(sysctl: dict[str, object] | None = None, window: int = 65535, options: dict[str, object] | None = None,
             rtt: float = 10, **kw: object) -> Conversation:
    """ESTABLISHED by a passive open, accepted as SLOT."""
    c = syn_received(sysctl, window, options, **kw)
    c.wait(rtt)
    c.send(".", seq=0, ack=0, window=window)
    c.ok("accept", LISTENER, SLOT)
    c.expect_nothing()
    return c


def fin_wait1(**kw: object) -> Conversation:
    """FIN_WAIT1: shut down for sending; the FIN has left and is not acknowledged."""
    c = established(**kw)  # type: ignore[arg-type]
    c.ok("shutdown", SLOT, 1)
    c.expect("F.", seq=0, ack=0)
    return c


def fin_wait2(**kw: object) -> Conversation:
    """FIN_WAIT2: the peer has acknowledged the FIN and may go on sending."""
    c = fin_wait1(**kw)
    c.wait(10)
    c.send(".", ack=1)
    c.expect_nothing()
    return c


def closing(**kw: object) -> Conversation:
    """CLOSING: both FINs have crossed, ours is not acknowledged."""
    c = fin_wait1(**kw)
    c.send("F.", ack=0)
    c.expect(".", seq=1, ack=1)
    return c


def time_wait(**kw: object) -> Conversation:
    """TIME_WAIT: the peer's FIN came after our own was acknowledged; the descriptor is closed."""
    c = fin_wait2(**kw)
    c.send("F.", ack=1)
    c.expect(".", seq=1, ack=1)
    c.ok("close")
    return c


def close_wait(**kw: object) -> Conversation:
    """CLOSE_WAIT: the peer's FIN is acknowledged (a little late: it ends quick ACKs, tcp_fin())."""
    c = established(**kw)  # type: ignore[arg-type]
    c.send("F.")
    c.wait(50)
    c.expect(".", seq=0, ack=1)
    return c


def last_ack(**kw: object) -> Conversation:
    """LAST_ACK: our FIN has answered the peer's; the descriptor is closed."""
    c = close_wait(**kw)
    c.ok("close")
    c.expect("F.", seq=0, ack=1)
    return c
