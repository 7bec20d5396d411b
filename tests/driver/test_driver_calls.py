# ruff: noqa: E501  (tables)
# SPDX-License-Identifier: GPL-2.0-only
"""Recorded socket calls: what reaches the host, and what is refused."""

import pytest
from driverlib import CLIENT, MS, SERVER, T0, jsonl

from kpath import calls
from kpath.errors import InputError


def call(what, /, t=T0, sock="c", ret=0, errno=None, t1=None, **args):
    return {"t0": t, "t1": t if t1 is None else t1, "thread": 7, "sock": sock, "fd": 4, "call": what, "args": args,
            "ret": ret, "errno": errno}  # fmt: skip


SOCKET = call("socket", family="AF_INET", type="SOCK_STREAM", nonblock=False)


def parsed(*objects):
    import json

    return calls.parse([json.dumps(o) for o in objects], "c").items


@pytest.mark.parametrize(
    ("recorded", "op", "a", "s"),
    [
        (call("bind", addr="10.0.0.1", port=80), "bind", (80, 0, 0, 0), "10.0.0.1"),
        (call("listen", backlog=16), "listen", (16, 0, 0, 0), ""),
        (call("connect", addr="10.0.0.2", port=80), "connect", (80, 0, 0, 0), "10.0.0.2"),
        (call("send", len=300, off=0, flags=[]), "send", (300, 0, 0, 0), ""),
        (call("send", len=1, off=0, flags=["MSG_MORE", "MSG_DONTWAIT"]), "send", (1, 0x8040, 0, 0), ""),
        (call("recv", len=65536, off=3, flags=["MSG_PEEK"]), "recv", (65536, 2, 0, 0), ""),
        (call("shutdown", how="SHUT_WR"), "shutdown", (1, 0, 0, 0), ""),
        (call("close"), "close", (0, 0, 0, 0), ""),
        (call("poll", events="OUT", timeout_ms=500, revents=4), "poll", (4, 500, 0, 0), ""),
        (call("poll", events="POLLIN|POLLHUP", timeout_ms=-1), "poll", (0x11, -1, 0, 0), ""),
        (call("setsockopt", level="IPPROTO_TCP", name="TCP_NODELAY", value=1), "setsockopt", (6, 1, 1, 0), ""),
        (call("setsockopt", level="SOL_SOCKET", name="SO_LINGER", value=[1, 5]), "setsockopt", (1, 13, 1, 5), ""),
        (call("setsockopt", level="SOL_SOCKET", name="SO_RCVTIMEO", value_us=2500), "setsockopt", (1, 20, 2500, 0), ""),
        (call("setsockopt", level="IPPROTO_TCP", name="TCP_CONGESTION", value="reno"), "setsockopt", (6, 13, 0, 0), "reno"),
        (call("setsockopt", level="IPPROTO_IP", name="IP_RECVERR", value=1), "setsockopt", (0, 11, 1, 0), ""),
        (call("getsockopt", level="IPPROTO_TCP", name="TCP_INFO"), "tcp_info", (6, 11, 0, 0), ""),
        (call("getsockopt", level="SOL_SOCKET", name="SO_ERROR"), "getsockopt", (1, 4, 0, 0), ""),
        (call("fcntl", O_NONBLOCK=1), "fcntl", (1, 0, 0, 0), ""),
        (call("sendto", len=9, flags=["MSG_FASTOPEN"], addr="10.0.0.2", port=80), "sendto", (9, 0x20000000, 80, 0), "10.0.0.2"),
    ],
)  # fmt: skip
def test_each_call(recorded, op, a, s):
    got = parsed(SOCKET, recorded)[1]
    assert (got.op, got.a, got.s, got.slot, got.thread) == (op, a, s, 0, 7)


def test_a_key_is_handed_over_as_the_kernel_reads_it():
    """struct tcp_md5sig: the address, flags, prefix, length of the key, device, key."""
    value = {"addr": "10.0.0.0", "prefixlen": 24, "key": "secret"}
    plain, deleted, v6 = (
        parsed(SOCKET, call("setsockopt", level="SOL_TCP", name=name, value=v))[1]
        for name, v in (("TCP_MD5SIG_EXT", value), ("TCP_MD5SIG", {"addr": "10.0.0.2"}),
                        ("TCP_MD5SIG", {"addr": "fd77::2", "key": "k"}))
    )
    data = plain.s.encode("latin-1")
    assert (plain.op, plain.a) == ("setsockopt", (6, 32, 216, 0))
    assert (len(data), data[:8], data[128:136], data[136:142]) == (
        216, b"\2\0\0\0\x0a\0\0\0", b"\1\x18\6\0\0\0\0\0", b"secret")
    assert deleted.s.encode("latin-1")[128:136] == bytes(8)
    assert (v6.a, v6.s.encode("latin-1")[:10]) == ((6, 14, 216, 0), b"\x0a\0\0\0\0\0\0\0\xfd\x77")


def test_threads_that_share_a_name_have_sockets_of_their_own():
    got = parsed(
        call("socket", sock="l", ret=4),
        call("accept", sock="l", new="x", ret=5, peer_port=9),
        call("accept", sock="l", new="x", ret=6, peer_port=10),
        {**call("send", sock="x", len=1, flags=[]), "fd": 5},
        {**call("send", sock="x", len=1, flags=[]), "fd": 6},
        {**call("close", sock="x"), "fd": None},
    )
    assert [c.slot for c in got] == [0, 0, 0, 1, 2, 2]
    assert [c.a[0] for c in got[1:3]] == [1, 2]


def test_sockets_are_numbered_by_name_and_accept_makes_one():
    got = parsed(
        call("socket", sock="l", nonblock=True),
        call("accept", sock="l", new="x", peer_port=9),
        call("send", sock="x", len=1, flags=[]),
        call("close", sock="x"),
        call("accept", sock="l", new="x", peer_port=10),
        call("accept", sock="l", errno="EAGAIN", ret=-1),
    )
    assert [c.slot for c in got] == [0, 0, 1, 1, 0, 0]
    assert got[0].a == (1, 0, 0, 0)
    assert [got[i].a[:2] for i in (1, 4)] == [(1, 9), (1, 10)]
    assert got[5].errno == 11


def test_order_of_time():
    got = calls.parse(['{"t0":5,"call":"socket","sock":"a"}', '{"t0":3,"call":"socket","sock":"b"}'], "c")
    assert [c.t0 for c in got.items] == [3, 5]
    assert [c.t1 for c in got.items] == [-1, -1]
    assert got.warnings == ["c: the calls are not in order of t0; sorted"]


@pytest.mark.parametrize(
    ("recorded", "line"),
    [
        (call("dance"), 'call: expected one of socket, bind, listen, accept, connect, send, recv, shutdown, close, poll, '
                        'setsockopt, getsockopt, fcntl, sendto, found "dance"'),
        (call("close", t=5, t1=4), "expected t1 at or after t0, found t0 5 and t1 4"),
        (call("close", sock="q"), "close: socket 'q' was never opened"),
        (call("send", len=-1), "len: expected a whole number of 0 or more, found -1"),
        (call("send", len="x"), 'len: expected a whole number of 0 or more, found "x"'),
        (call("send", len=1, flags=["MSG_WHAT"]), 'flags: expected flags such as MSG_OOB, found "MSG_WHAT"'),
        (call("send", len=1, flags=3.5), "flags: expected a list of flags, found 3.5"),
        (call("shutdown", how="now"), 'how: expected one of SHUT_RD, SHUT_WR, SHUT_RDWR, RD, ..., found "now"'),
        (call("bind", addr="10.0.0.1", port=70000), "port: expected 0 to 65535, found 70000"),
        (call("connect", addr="fd00::g", port=1), 'addr: expected an address, found "fd00::g"'),
        (call("socket", family="AF_UNIX"), "socket: expected AF_INET or AF_INET6 and SOCK_STREAM, found AF_UNIX and None"),
        (call("setsockopt", level="SOL_SOCKET", name="SO_WHAT", value=1),
         'name: expected one of SO_DEBUG, SO_REUSEADDR, SO_TYPE, SO_ERROR, ..., found "SO_WHAT"'),
        (call("setsockopt", level="SOL_SOCKET", name="SO_LINGER", value=[1]), "value: expected two numbers, found [1]"),
        (call("setsockopt", level="SOL_TCP", name="TCP_MD5SIG", value=5),
         'value: expected an object with "addr" and "key", found 5'),
        (call("setsockopt", level="SOL_TCP", name="TCP_MD5SIG", value={"addr": "10.0.0.2", "key": 7}),
         'value: expected an object with "addr" and "key", found {"addr": "10.0.0.2", "key": 7}'),
        (call("setsockopt", level="SOL_TCP", name="TCP_MD5SIG", value={"addr": "there", "key": "x"}),
         'addr: expected an address, found "there"'),
        (call("setsockopt", level="SOL_TCP", name="TCP_MD5SIG", value={"addr": "10.0.0.2", "key": "x" * 81}),
         "key: expected 80 bytes at most, found 81"),
        (call("setsockopt", level="SOL_TCP", name="TCP_MD5SIG_EXT", value={"addr": "10.0.0.2", "prefixlen": 33}),
         "prefixlen: expected 32 at most, found 33"),
        (call("accept"), "new: expected the new socket's name, found null"),
        (call("close", errno="EWHAT"), 'errno: expected an error\'s name, found "EWHAT"'),
        ({**call("close"), "sock": 4}, "sock: expected a socket's name, found 4"),
        ({**call("close"), "args": 4}, "args: expected an object, found 4"),
        ({**call("close"), "thread": 1 << 40}, f"thread: expected a number of 32 bits, found {1 << 40}"),
        ({**call("close"), "t0": "x"}, 't0: expected a whole number of 0 or more, found "x"'),
    ],
)  # fmt: skip
def test_nonsense(recorded, line):
    with pytest.raises(InputError) as e:
        parsed(SOCKET, recorded)
    assert str(e.value) == "c: line 2: " + line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{]\n", "c.jsonl: line 1: expected JSON: Expecting property name enclosed in double quotes"),
        ("\n7\n", "c.jsonl: line 2: expected a JSON object"),
        ("\xff\n", "c.jsonl: expected JSON Lines in UTF-8"),
    ],
)
def test_not_json(kpath_run, talk, tmp_path, text, line):
    path = tmp_path / "c.jsonl"
    path.write_bytes(text.encode("latin-1"))
    assert kpath_run("replay", talk[0], "--syscalls", path) == (2, "", ["kpath: " + line])


def session(t, addr=SERVER):
    return [{**SOCKET, "t0": t, "t1": t}, call("connect", t + 1, addr=addr, port=80), call("close", t + 30 * MS)]


def test_recorded_calls_reach_the_host(kpath_run, talk, fake, tmp_path):
    path = jsonl(tmp_path / "c.jsonl", *session(T0 - 1000))
    assert kpath_run("replay", talk[0], "--local", CLIENT, "--syscalls", path)[0] == 0
    assert [g[4] for g in fake.last.given] == ["socket", "connect", "close"]
    assert fake.last.auto == []


@pytest.mark.parametrize(
    ("shift", "addr", "line"),
    [
        (10**12, SERVER, "c.jsonl: the calls do not fit the capture: all are after it, by 999.960 s"),
        (-(10**12), SERVER, "c.jsonl: the calls do not fit the capture: all are before it, by 999.970 s"),
        (0, "10.9.9.9", "c.jsonl: the calls do not fit the capture: connected to 10.9.9.9, which does not occur in it"),
    ],
)
def test_calls_of_another_capture(kpath_run, talk, tmp_path, shift, addr, line):
    path = jsonl(tmp_path / "c.jsonl", *session(T0 + shift, addr))
    assert kpath_run("replay", talk[0], "--local", CLIENT, "--syscalls", path) == (2, "", ["kpath: " + line])


def test_one_call_that_does_not_fit_is_warned_of(kpath_run, talk, tmp_path):
    more = [{**SOCKET, "t0": T0, "sock": "d"}, call("connect", T0, sock="d", addr="10.9.9.9", port=1)]
    path = jsonl(tmp_path / "c.jsonl", *session(T0), *more)
    status, _, err = kpath_run("replay", talk[0], "--local", CLIENT, "--syscalls", path)
    assert status == 0
    assert "kpath: c.jsonl: the calls do not fit the capture: connected to 10.9.9.9, which does not occur in it" in err


def test_local_side_from_the_calls(kpath_run, talk, tmp_path):
    path = jsonl(tmp_path / "c.jsonl", *session(T0))
    _, out, _ = kpath_run("replay", talk[0], "--syscalls", path)
    assert f"local side   {CLIENT}  (the recorded calls)" in out
