# SPDX-License-Identifier: GPL-2.0-only
"""System calls of a script: their arguments as numbers, what becomes of them in the host, and what is checked after."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import epoll
from .options import AF_INET, AF_INET6
from .script import Array, Assign, Bits, Call, Ellipsis_, Expr, Int, ScriptError, Str, Struct, Syscall, Word
from .symbols import errno_text, number_of

if TYPE_CHECKING:
    from .runner import Runner

O_NONBLOCK = 0o4000
O_RDWR = 2
SOCK_NONBLOCK = 0o4000
SOL_IP, SOL_SOCKET, SOL_TCP = 0, 1, 6
PIPE_BYTES = 65536


class CallFailed(Exception):
    """A call did not do what the script says."""


@dataclass(slots=True)
class Outcome:
    """What a call came to: at once, or by the host's call `index` when that is over. check: after the return value."""

    ret: int = 0
    err: int = 0
    index: int = -1
    fd: bool = False
    check: Callable[[int, int, int], None] | None = None


@dataclass(slots=True, eq=False)
class Descriptor:
    """Something open. kind: socket, epoll, pipe or file."""

    kind: str
    fd: int
    slot: int = -1
    nonblock: bool = False
    queued: int = 0
    position: int = 0
    poll: epoll.Epoll | None = None


@dataclass(slots=True)
class Calls:
    """The calls. Each method `sys_NAME(args)` starts one."""

    runner: Runner
    fds: dict[int, Descriptor] = field(default_factory=dict)
    slots: int = 0
    result: int = 0

    # --- expressions

    def number(self, e: Expr) -> int:
        """An expression that must be a number."""
        if isinstance(e, Int):
            return e.value
        if isinstance(e, Word):
            return number_of(e.name)
        if isinstance(e, Bits):
            value = 0
            for term in e.terms:
                value |= self.number(term)
            return value
        if isinstance(e, Call) and e.name == "htons":
            value = self.number(e.arg)
            return (value & 255) << 8 | value >> 8
        raise ScriptError(f"expected a number, not {type(e).__name__.lower().rstrip('_')}")

    def bracketed(self, e: Expr) -> int:
        """`[5]`."""
        if not isinstance(e, Array) or len(e.items) != 1:
            raise ScriptError("expected a number in brackets")
        return self.number(e.items[0])

    def socket_of(self, e: Expr) -> Descriptor:
        """The open descriptor of this number."""
        number = self.number(e)
        found = self.fds.get(number)
        if found is None:
            raise CallFailed(f"descriptor {number} is not open")
        return found

    @staticmethod
    def count(args: list[Expr], *allowed: int) -> None:
        """Checks how many arguments there are."""
        if len(args) not in allowed:
            raise ScriptError(f"expected {' or '.join(map(str, allowed))} arguments, not {len(args)}")

    def is_null(self, e: Expr) -> bool:
        """A buffer: `...`, or NULL."""
        if isinstance(e, Ellipsis_ | Str):
            return False
        if self.number(e) == 0:
            return True
        raise ScriptError("expected ... or NULL for a buffer")

    # --- into the host

    def host(
        self,
        d: Descriptor,
        op: str,
        a0: int = 0,
        a1: int = 0,
        a2: int = 0,
        a3: int = 0,
        s: str = "",
        iov: list[int] | None = None,
    ) -> Outcome:
        """Starts a call in the host."""
        host = self.runner.host
        if d.kind != "socket":
            return Outcome(-1, errno.ENOTSOCK)
        host.call(d.slot, op, a0, a1, a2, a3, s, self.runner.thread, iov)
        return Outcome(index=host.calls_made() - 1)

    def new_slot(self) -> int:
        """A place for another socket."""
        self.slots += 1
        return self.slots - 1

    def start(self, call: Syscall) -> Outcome:
        """Starts the call; ScriptError: there is none of this name, or its arguments make no sense."""
        handler: Callable[[list[Expr]], Outcome] | None = getattr(self, "sys_" + call.name, None)
        if handler is None:
            raise ScriptError(f"unknown system call: {call.name}")
        self.result = self.number(call.result) if not isinstance(call.result, Ellipsis_) else 0
        return handler(call.args)

    def verify(self, call: Syscall, outcome: Outcome, ret: int, err: int, value: int) -> None:
        """Compares with what the script expects; CallFailed says how it differs."""
        expected = self.result if outcome.fd else self.number(call.result)
        got = f"{ret}" + (f" {errno_text(err)}" if ret < 0 else "")
        if not (outcome.fd and expected >= 0 and ret >= 0) and ret != expected:
            raise CallFailed(f"{call.name}(): expected {expected}{' ' + call.errno if call.errno else ''}, got {got}")
        if call.errno is not None and err != number_of(call.errno):
            raise CallFailed(f"{call.name}(): expected {call.errno}, got {errno_text(err)}")
        if outcome.check is not None:
            outcome.check(ret, err, value)

    # --- sockets

    def sys_socket(self, args: list[Expr]) -> Outcome:
        self.count(args, 3)
        family = self.runner.config.family if isinstance(args[0], Ellipsis_) else self.number(args[0])
        if family not in (AF_INET, AF_INET6):
            raise ScriptError("only AF_INET and AF_INET6 are modelled")
        kind, protocol = self.number(args[1]), self.number(args[2])
        if kind & 0xF != 1 or protocol not in (0, 6):
            raise ScriptError("only TCP sockets are modelled")
        d = Descriptor("socket", self.result, self.new_slot(), bool(kind & SOCK_NONBLOCK))
        outcome = self.host(d, "socket", int(d.nonblock), family)
        outcome.fd = True
        expected = self.result

        def opened(ret: int, err: int, value: int) -> None:
            if ret >= 0:
                self.add(d, expected)
                self.runner.socket_opened(d)

        outcome.check = opened
        return outcome

    def add(self, d: Descriptor, number: int) -> None:
        """A new descriptor under the script's number."""
        if number in self.fds:
            raise CallFailed(f"descriptor {number} is open already")
        d.fd = number
        self.fds[number] = d

    def sys_bind(self, args: list[Expr]) -> Outcome:
        self.count(args, 3)
        config = self.runner.config
        address, port = config.local_ip, config.bind_port
        if isinstance(args[1], Struct):
            address, port = self.sockaddr(args[1])
        return self.host(self.socket_of(args[0]), "bind", port, s=address)

    def sockaddr(self, e: Struct) -> tuple[str, int]:
        """`{sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr("1.2.3.4")}`."""
        port, address = e.get("sin_port"), e.get("sin_addr")
        if isinstance(port, Call) and isinstance(address, Call) and isinstance(address.arg, Str):
            return address.arg.value.decode("latin-1"), self.number(port.arg)
        raise ScriptError("expected a socket address")

    def sys_listen(self, args: list[Expr]) -> Outcome:
        self.count(args, 2)
        d = self.socket_of(args[0])
        outcome = self.host(d, "listen", self.number(args[1]))

        def listening(ret: int, err: int, value: int) -> None:
            if ret == 0:
                self.runner.socket_listens(d)

        outcome.check = listening
        return outcome

    def sys_accept(self, args: list[Expr]) -> Outcome:
        self.count(args, 3)
        d = self.socket_of(args[0])
        new = Descriptor("socket", -1, self.new_slot())
        outcome = self.host(d, "accept", new.slot)
        outcome.fd = True
        expected = self.result

        def accepted(ret: int, err: int, value: int) -> None:
            if ret >= 0:
                new.fd = expected
                self.fds[expected] = new
                self.runner.socket_accepted(new)

        outcome.check = accepted
        return outcome

    def sys_connect(self, args: list[Expr]) -> Outcome:
        self.count(args, 3)
        d = self.socket_of(args[0])
        config = self.runner.config
        if not isinstance(args[1], Ellipsis_ | Struct) and self.number(args[1]) == number_of("AF_UNSPEC"):
            self.runner.socket_disconnects(d)
            return self.host(d, "connect", 0, 1)
        self.runner.socket_connects(d)
        return self.host(d, "connect", config.connect_port, s=config.remote_ip)

    def sys_close(self, args: list[Expr]) -> Outcome:
        self.count(args, 1)
        d = self.socket_of(args[0])
        outcome = self.host(d, "close") if d.kind == "socket" else Outcome()

        def closed(ret: int, err: int, value: int) -> None:
            if ret == 0:
                self.fds.pop(d.fd, None)
                for other in self.fds.values():
                    if other.poll is not None:
                        other.poll.forget(d)

        outcome.check = closed
        return outcome

    def sys_shutdown(self, args: list[Expr]) -> Outcome:
        self.count(args, 2)
        return self.host(self.socket_of(args[0]), "shutdown", self.number(args[1]))

    # --- data

    def receive(self, args: list[Expr], length: int, flags: int) -> Outcome:
        d = self.socket_of(args[0])
        if d.kind == "pipe":
            return Outcome(min(length, d.queued))
        return self.host(d, "recv", length, flags, a3=int(self.is_null(args[1])))

    def sys_read(self, args: list[Expr]) -> Outcome:
        self.count(args, 3)
        return self.receive(args, self.number(args[2]), 0)

    def sys_recv(self, args: list[Expr]) -> Outcome:
        self.count(args, 4)
        return self.receive(args, self.number(args[2]), self.number(args[3]))

    def sys_recvfrom(self, args: list[Expr]) -> Outcome:
        self.count(args, 6)
        return self.receive(args, self.number(args[2]), self.number(args[3]))

    def sys_readv(self, args: list[Expr]) -> Outcome:
        self.count(args, 3)
        return self.host(self.socket_of(args[0]), "recv", sum(self.vector(args[1])), 0)

    def send(self, args: list[Expr], length: int, flags: int) -> Outcome:
        return self.host(self.socket_of(args[0]), "send", length, flags, a3=int(self.is_null(args[1])))

    def sys_write(self, args: list[Expr]) -> Outcome:
        self.count(args, 3)
        return self.send(args, self.number(args[2]), 0)

    def sys_send(self, args: list[Expr]) -> Outcome:
        self.count(args, 4)
        return self.send(args, self.number(args[2]), self.number(args[3]))

    def sys_sendto(self, args: list[Expr]) -> Outcome:
        self.count(args, 6)
        d = self.socket_of(args[0])
        config = self.runner.config
        self.runner.socket_connects(d, must_be_new=False)
        return self.host(
            d,
            "sendto",
            self.number(args[2]),
            self.number(args[3]),
            config.connect_port,
            int(self.is_null(args[1])),
            config.remote_ip,
        )

    def sys_writev(self, args: list[Expr]) -> Outcome:
        self.count(args, 3)
        parts = self.vector(args[1])
        return self.host(self.socket_of(args[0]), "send", sum(parts), 0, iov=parts)

    def vector(self, e: Expr) -> list[int]:
        """Lengths of an iovec array."""
        if not isinstance(e, Array):
            raise ScriptError("expected an iovec array")
        lengths = []
        for item in e.items:
            if not isinstance(item, Struct) or len(item.items) != 2:
                raise ScriptError("expected {..., LENGTH} in an iovec array")
            lengths.append(self.number(item.items[1]))
        return lengths

    def message(self, e: Expr) -> tuple[list[int], Array | None, int]:
        """A msghdr: (lengths of its parts, msg_control, msg_flags)."""
        if not isinstance(e, Struct):
            raise ScriptError("expected a msghdr")
        vector, control, flags = e.get("msg_iov"), e.get("msg_control"), e.get("msg_flags")
        if vector is None or not isinstance(control, Array | None):
            raise ScriptError("expected msg_iov and, at most, msg_control")
        return self.vector(vector), control, self.number(flags) if flags is not None else 0

    def sys_sendmsg(self, args: list[Expr]) -> Outcome:
        self.count(args, 3)
        parts, _, _ = self.message(args[1])
        return self.host(self.socket_of(args[0]), "send", sum(parts), self.number(args[2]), iov=parts)

    def sys_recvmsg(self, args: list[Expr]) -> Outcome:
        self.count(args, 3)
        d = self.socket_of(args[0])
        parts, control, flags = self.message(args[1])
        outcome = self.host(d, "recv", sum(parts), self.number(args[2]))
        index = outcome.index

        def received(ret: int, err: int, value: int) -> None:
            if ret >= 0:
                self.ancillary(self.runner.host.received(index), control, flags)

        outcome.check = received
        return outcome

    def ancillary(self, got: dict[str, Any], control: Array | None, flags: int) -> None:
        """Compares msg_flags and the control messages."""
        if got["flags"] != flags:
            raise CallFailed(f"msg_flags: expected {flags:#x}, got {got['flags']:#x}")
        wanted = control.items if control is not None else []
        if control is None:
            return
        if len(wanted) != len(got["control"]):
            have = ", ".join(f"(level {m[0]}, type {m[1]})" for m in got["control"]) or "none"
            raise CallFailed(f"control messages: expected {len(wanted)}, got {len(got['control'])}: {have}")
        for i, (want, (level, kind, data)) in enumerate(zip(wanted, got["control"], strict=True)):
            self.control_message(i, want, level, kind, data)

    def control_message(self, i: int, want: Expr, level: int, kind: int, data: Any) -> None:
        """One control message; data is a number, a time in ns or a dictionary of ee_ fields."""
        if not isinstance(want, Struct):
            raise ScriptError("expected {cmsg_level=..., cmsg_type=..., cmsg_data=...}")
        fields = {x: want.get("cmsg_" + x) for x in ("level", "type", "data")}
        if None in fields.values():
            raise ScriptError("expected {cmsg_level=..., cmsg_type=..., cmsg_data=...}")
        for name, actual in (("level", level), ("type", kind)):
            expected = self.number(fields[name])  # type: ignore[arg-type]
            if expected != actual:
                raise CallFailed(f"control message {i}: cmsg_{name}: expected {expected}, got {actual}")
        value = fields["data"]
        if not isinstance(value, Struct):
            if self.number(value) != data:  # type: ignore[arg-type]
                raise CallFailed(f"control message {i}: expected {self.number(value)}, got {data}")  # type: ignore[arg-type]
            return
        for item in value.items:
            if not isinstance(item, Assign):
                raise ScriptError("expected NAME=VALUE in cmsg_data")
        if value.get("scm_sec") is not None:
            self.stamp(i, value, data)
            return
        for item in value.items:
            assert isinstance(item, Assign)
            if not isinstance(data, dict) or item.name not in data:
                raise CallFailed(f"control message {i}: has no {item.name}")
            expected = self.number(item.value)
            if expected != data[item.name]:
                raise CallFailed(f"control message {i}: {item.name}: expected {expected}, got {data[item.name]}")

    def stamp(self, i: int, value: Struct, stamp_ns: Any) -> None:
        """An SCM_TIMESTAMPING: script time, within the tolerance; 0 is not compared."""
        sec, nsec = value.get("scm_sec"), value.get("scm_nsec")
        wanted = self.number(sec) * 10**9 + self.number(nsec)  # type: ignore[arg-type]
        if not wanted:
            return
        got = stamp_ns - self.runner.start_ns
        if abs(got - wanted) > self.runner.config.tolerance_usecs * 1000:
            raise CallFailed(f"control message {i}: expected a stamp of {wanted / 1e9:.6f} s, got {got / 1e9:.6f} s")

    # --- options and state

    def sys_fcntl(self, args: list[Expr]) -> Outcome:
        self.count(args, 2, 3)
        d = self.socket_of(args[0])
        command = self.number(args[1])
        if command == number_of("F_GETFL"):
            return Outcome(O_RDWR | (O_NONBLOCK if d.nonblock else 0))
        if command != number_of("F_SETFL") or len(args) != 3:
            raise ScriptError("fcntl: only F_GETFL and F_SETFL are modelled")
        d.nonblock = bool(self.number(args[2]) & O_NONBLOCK)
        return self.host(d, "fcntl", int(d.nonblock)) if d.kind == "socket" else Outcome()

    def sys_ioctl(self, args: list[Expr]) -> Outcome:
        self.count(args, 2, 3)
        outcome = self.host(self.socket_of(args[0]), "ioctl", self.number(args[1]))
        if len(args) == 3:
            expected = self.bracketed(args[2])

            def same(ret: int, err: int, value: int) -> None:
                if ret == 0 and value != expected:
                    raise CallFailed(f"ioctl(): expected [{expected}], got [{value}]")

            outcome.check = same
        return outcome

    def sys_setsockopt(self, args: list[Expr]) -> Outcome:
        self.count(args, 5)
        d = self.socket_of(args[0])
        level, name, length = self.number(args[1]), self.number(args[2]), self.number(args[4])
        value = args[3]
        if isinstance(value, Str):
            text = value.value[: max(length, 0)]
            return self.host(d, "setsockopt", level, name, length, s=text.decode("latin-1"))
        if isinstance(value, Struct):
            onoff, linger = value.get("onoff"), value.get("linger")
            if onoff is None or linger is None:
                raise ScriptError("setsockopt: only {onoff=..., linger=...} is modelled as a structure")
            return self.host(d, "setsockopt", level, name, self.number(onoff), self.number(linger))
        number = self.bracketed(value)
        if level != SOL_IP and length < 4:
            return Outcome(-1, errno.EINVAL)
        number = (number + (1 << 31)) % (1 << 32) - (1 << 31) if length == 4 else number
        return self.host(d, "setsockopt", level, name, number)

    def sys_getsockopt(self, args: list[Expr]) -> Outcome:
        self.count(args, 5)
        d = self.socket_of(args[0])
        level, name = self.number(args[1]), self.number(args[2])
        expected, length = args[3], self.bracketed(args[4])
        outcome = self.host(d, "getsockopt", level, name)
        index = outcome.index

        def same(ret: int, err: int, value: int) -> None:
            if ret < 0:
                return
            if isinstance(expected, Str):
                text = self.runner.host.call_text(index)[:length]
                if text.rstrip(b"\0") != expected.value[:length].rstrip(b"\0"):
                    raise CallFailed(f"getsockopt(): expected {expected.value!r}, got {text!r}")
                return
            wanted = self.bracketed(expected)
            if value & 0xFFFFFFFF != wanted & 0xFFFFFFFF:
                raise CallFailed(f"getsockopt(): expected [{wanted}], got [{value}]")

        outcome.check = same
        return outcome

    def sys_poll(self, args: list[Expr]) -> Outcome:
        self.count(args, 3)
        if not isinstance(args[0], Array):
            raise ScriptError("expected an array of pollfd")
        entries: list[tuple[Descriptor, int, int]] = []
        for item in args[0].items:
            fd = item.get("fd") if isinstance(item, Struct) else None
            asked = item.get("events") if isinstance(item, Struct) else None
            if fd is None or asked is None:
                raise ScriptError("expected {fd=..., events=..., revents=...}")
            revents = item.get("revents")  # type: ignore[union-attr]
            wanted = self.number(revents) if revents is not None else 0
            entries.append((self.socket_of(fd), self.number(asked), wanted))
        if self.number(args[1]) != len(entries):
            raise ScriptError(f"nfds {self.number(args[1])} does not match the array")
        timeout = self.number(args[2])
        if len(entries) == 1:
            d, events, wanted = entries[0]
            outcome = self.host(d, "poll", events, timeout)

            def same(ret: int, err: int, value: int) -> None:
                self.revents(0, wanted, value if ret > 0 else 0)

            outcome.check = same
            return outcome
        if timeout:
            raise ScriptError("poll: several descriptors with a time-out are not modelled")
        ready = 0
        for i, (d, events, wanted) in enumerate(entries):
            got = self.ready(d) & (events | epoll.ALWAYS)
            ready += bool(got)
            self.revents(i, wanted, got)
        return Outcome(ready)

    @staticmethod
    def revents(i: int, wanted: int, got: int) -> None:
        """Compares one pollfd."""
        if wanted != got:
            raise CallFailed(f"poll(): descriptor {i}: expected revents {epoll.names(wanted)}, got {epoll.names(got)}")

    def ready(self, d: Descriptor) -> int:
        """What poll() says of a descriptor now."""
        if d.kind == "pipe":
            return epoll.IN if d.queued else epoll.OUT
        if d.kind != "socket":
            return epoll.IN | epoll.OUT
        host = self.runner.host
        host.call(d.slot, "poll", 0xFFFF, 0, 0, 0, "", self.runner.SIDE_THREAD)
        return int(host.call_result(host.calls_made() - 1)[4])

    # --- epoll

    def sys_epoll_create(self, args: list[Expr]) -> Outcome:
        self.count(args, 1)
        if self.number(args[0]) <= 0:
            return Outcome(-1, errno.EINVAL)
        self.runner.host.want_wakes(True)
        self.add(Descriptor("epoll", self.result, poll=epoll.Epoll()), self.result)
        return Outcome(self.result, fd=True)

    def epoll_event(self, e: Expr) -> tuple[int, tuple[str, int]]:
        """`{events=..., fd=...}`, or ptr, u32, u64 in place of fd."""
        if isinstance(e, Struct):
            events = e.get("events")
            for name in ("fd", "ptr", "u32", "u64"):
                data = e.get(name)
                if events is not None and data is not None:
                    return self.number(events), (name, self.number(data))
        raise ScriptError("expected {events=..., fd=...}")

    def sys_epoll_ctl(self, args: list[Expr]) -> Outcome:
        self.count(args, 4)
        poll = self.socket_of(args[0]).poll
        if poll is None:
            return Outcome(-1, errno.EINVAL)
        events, data = self.epoll_event(args[3])
        self.deliver_wakes()
        err = poll.control(self.number(args[1]), self.socket_of(args[2]), events, data, self.ready)
        return Outcome(-1, err) if err else Outcome()

    def deliver_wakes(self) -> None:
        """Hands the wake-ups since the last look to the interest lists."""
        sets = [d.poll for d in self.fds.values() if d.poll is not None]
        for slot, mask in self.runner.host.wakes():
            for poll in sets:
                if poll.woken(slot, mask):
                    break

    def sys_epoll_wait(self, args: list[Expr]) -> Outcome:
        self.count(args, 4)
        poll = self.socket_of(args[0]).poll
        if poll is None:
            return Outcome(-1, errno.EINVAL)
        events, data = self.epoll_event(args[1])
        most, timeout = self.number(args[2]), self.number(args[3])
        if most <= 0:
            return Outcome(-1, errno.EINVAL)
        found = self.await_events(poll, most, timeout)

        def same(ret: int, err: int, value: int) -> None:
            got_events, got_data = found[0] if found else (0, (data[0], 0))
            if got_events != events:
                raise CallFailed(f"epoll_wait(): expected {epoll.names(events)}, got {epoll.names(got_events)}")
            if got_data[1] != data[1]:
                raise CallFailed(f"epoll_wait(): expected {data[0]}={data[1]}, got {got_data[1]}")

        return Outcome(len(found), check=same)

    def await_events(self, poll: epoll.Epoll, most: int, timeout: int) -> list[tuple[int, tuple[str, int]]]:
        """Lets time pass in steps of a microsecond's precision until something is ready or the time-out is over."""
        runner = self.runner
        end = runner.host.now + timeout * 10**6 if timeout >= 0 else runner.host.now + runner.FOREVER_NS
        while True:
            self.deliver_wakes()
            found = poll.collect(most, self.ready)
            if found or timeout == 0 or runner.host.now >= end:
                return found
            runner.host.run_to(end, wakes=1)

    # --- files and pipes

    def sys_open(self, args: list[Expr]) -> Outcome:
        self.count(args, 2, 3)
        if not isinstance(args[0], Str):
            raise ScriptError("open: expected a path")
        size = self.runner.file(args[0].value.decode("latin-1"))
        if size is None:
            return Outcome(-1, errno.ENOENT, fd=True)
        self.add(Descriptor("file", self.result, queued=size), self.result)
        return Outcome(self.result, fd=True)

    def sys_sendfile(self, args: list[Expr]) -> Outcome:
        self.count(args, 4)
        out, source = self.socket_of(args[0]), self.socket_of(args[1])
        offset = self.bracketed(args[2]) if isinstance(args[2], Array) else source.position
        length = max(min(self.number(args[3]), source.queued - offset), 0)
        if not length:
            return Outcome()
        # one pipe buffer at a time, the last without MSG_MORE
        rest = length
        while rest > PIPE_BYTES:
            self.host(out, "send", PIPE_BYTES, number_of("MSG_MORE"))
            rest -= PIPE_BYTES
        outcome = self.host(out, "send", rest, 0)
        if length != rest and self.runner.host.call_result(outcome.index)[0] == rest:
            return Outcome(length)
        return outcome

    def sys_pipe(self, args: list[Expr]) -> Outcome:
        self.count(args, 1)
        if not isinstance(args[0], Array) or len(args[0].items) != 2:
            raise ScriptError("pipe: expected [FD, FD]")
        for item in args[0].items:
            number = self.number(item)
            self.add(Descriptor("pipe", number), number)
        return Outcome()

    def sys_splice(self, args: list[Expr]) -> Outcome:
        self.count(args, 6)
        source, target = self.socket_of(args[0]), self.socket_of(args[2])
        length, flags = self.number(args[4]), self.number(args[5])
        if source.kind == "socket":
            outcome = self.host(source, "splice", length, flags)

            def filled(ret: int, err: int, value: int) -> None:
                for d in self.fds.values():
                    d.queued += max(ret, 0) if d.kind == "pipe" else 0

            outcome.check = filled
            return outcome
        if target.kind != "socket":
            raise ScriptError("splice: one side must be a socket")
        return self.host(target, "send", min(length, source.queued), 0)

    def sys_cap_set(self, args: list[Expr]) -> Outcome:
        return Outcome()
