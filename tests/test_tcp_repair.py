# SPDX-License-Identifier: GPL-2.0-only
"""TCP_REPAIR: a connection is taken apart in one socket and put together in another, and its peer notices nothing."""

import errno
import socket
import struct

import pytest
from conversation import LISTENER, LOCAL, LOCAL_PORT, MSS, SLOT, client, established, listening
from packets import LOCAL_ISN, PEER_ISN, PEER_PORT

SOL_TCP = socket.IPPROTO_TCP
REPAIR, QUEUE, QUEUE_SEQ, OPTIONS, TIMESTAMP, WINDOW = 19, 20, 21, 22, 24, 29
OFF, ON, OFF_NO_WP = 0, 1, -1
NONE, RECV, SEND = 0, 1, 2
PEEK, DONTWAIT = 2, 0x40
NEW = 7
FULL = {"mss": 1400, "sack": True, "ws": 9, "ts": (1000, 1_000_000)}
OPT_MSS, OPT_WSCALE, OPT_SACK, OPT_TS = 2, 3, 4, 8


def get(c, name, slot=SLOT):
    c.ok("getsockopt", slot, SOL_TCP, name)
    return c.host.call_result(c.host.calls_made() - 1)[4]


def put(c, name, value, slot=SLOT):
    c.ok("setsockopt", slot, SOL_TCP, name, value)


def put_bytes(c, name, data, slot=NEW):
    c.ok("setsockopt", slot, SOL_TCP, name, len(data), s=data.decode("latin-1"))


def signed(number):
    number &= 0xFFFFFFFF
    return number - (1 << 32) if number >> 31 else number


def options(*pairs):
    return b"".join(struct.pack("=II", *p) for p in pairs)


def dump(c):
    """What CRIU reads of a socket; it is closed afterwards, which nobody hears of."""
    state = {}
    put(c, REPAIR, ON)
    for queue, name in ((RECV, "recv"), (SEND, "send")):
        put(c, QUEUE, queue)
        ret = c.call("recv", SLOT, 1_000_000, PEEK | DONTWAIT)
        state[name] = max(ret[0], 0)
        state[name + "_seq"] = get(c, QUEUE_SEQ)
    get(c, WINDOW)
    state["window"] = c.host.call_bytes(c.host.calls_made() - 1)
    state["stamp"] = get(c, TIMESTAMP)
    info = c.state()
    state["options"] = options((OPT_MSS, info["rx_opt.mss_clamp"]), (OPT_SACK, 0), (OPT_TS, 0), (
        OPT_WSCALE, info["rx_opt.snd_wscale"] | info["rx_opt.rcv_wscale"] << 16))
    c.ok("close")
    c.expect_nothing()
    return state


def restore(c, state, off=OFF):
    """A new socket with what dump() found, in NEW."""
    c.ok("socket", NEW)
    put(c, REPAIR, ON, NEW)
    c.ok("bind", NEW, LOCAL_PORT, s=LOCAL)
    for queue, name in ((SEND, "send"), (RECV, "recv")):
        put(c, QUEUE, queue, NEW)
        put(c, QUEUE_SEQ, signed(state[name + "_seq"] - state[name]), NEW)
    c.ok("connect", NEW, PEER_PORT, s=c.peer)
    put_bytes(c, OPTIONS, state["options"])
    put(c, TIMESTAMP, state["stamp"], NEW)
    for queue, name in ((RECV, "recv"), (SEND, "send")):
        put(c, QUEUE, queue, NEW)
        if state[name]:
            assert c.ok("send", NEW, state[name]) == state[name]
    put_bytes(c, WINDOW, state["window"])
    c.expect_nothing()
    put(c, REPAIR, off, NEW)


def busy():
    """ESTABLISHED with 500 bytes unread and 2000 bytes not acknowledged."""
    c = established(options=FULL)
    c.send("P.", length=500)
    c.wait(50)
    c.ok("send", SLOT, 2000)
    c.segments()
    return c


SAME = ("rcv_nxt", "copied_seq", "write_seq", "snd_una", "snd_wnd", "max_window", "rcv_wnd", "rcv_wup", "snd_wl1",
        "rx_opt.snd_wscale", "rx_opt.rcv_wscale", "rx_opt.tstamp_ok", "rx_opt.sack_ok", "rx_opt.mss_clamp", "tsoffset")


def test_a_connection_moves_to_another_socket():
    c = busy()
    before = c.state()
    state = dump(c)
    assert (state["recv"], state["send"]) == (500, 2000)
    assert c.host.pools()["TCP"] == 0
    restore(c, state, OFF_NO_WP)  # the probe would touch snd_wl1
    after = c.state(NEW)
    assert {k: after[k] for k in SAME} == {k: before[k] for k in SAME}
    assert after["sk_state"] == before["sk_state"]


def test_its_peer_notices_nothing():
    """Reading, the ACK of what was under way, sending, closing: all as if nothing had been."""
    c = busy()
    restore(c, dump(c))
    probe = c.expect(".", seq=-1, ack=500, length=0)  # tcp_send_window_probe(): asks for the window
    assert "ts" in probe.options
    assert c.ok("recv", NEW, 1000) == 500
    c.send(".", seq=500, ack=2000)
    assert c.state(NEW)["packets_out"] == 0
    c.ok("send", NEW, 100)
    c.expect("P.", seq=2000, ack=500, length=100)
    c.send("P.", seq=500, length=40, ack=2100)
    c.expect(".", seq=2100, ack=540)
    assert c.ok("recv", NEW, 1000) == 40
    c.ok("close", NEW)
    c.expect("F.", seq=2100)


def test_what_was_under_way_is_sent_again_if_it_got_lost():
    """In the send queue's repair mode data counts as sent (tcp_write_xmit()): a probe for tail loss finds it.

    It was queued with the MSS of before the options were restored, 536 less 12: as seen on a real 6.18, too.
    """
    c = busy()
    restore(c, dump(c), OFF_NO_WP)
    c.expect_nothing()
    c.wait(1500)
    c.expect("P.", seq=3 * 524, ack=500, length=2000 - 3 * 524)


def test_the_receive_queue_takes_as_much_as_the_window():
    """tcp_send_rcvq(): more than a page goes into fragments; the bytes can be read."""
    c = established(options=FULL)
    state = dump(c)
    state["recv"], state["recv_seq"] = 20_000, signed(PEER_ISN + 1 + 20_000)
    restore(c, state)
    assert (c.state(NEW)["rcv_nxt"], c.state(NEW)["copied_seq"]) == ((PEER_ISN + 20_001) & 0xFFFFFFFF,
                                                                     (PEER_ISN + 1) & 0xFFFFFFFF)
    assert c.ok("recv", NEW, 100_000) == 20_000


def test_the_receive_queue_has_a_limit():
    """tcp_try_rmem_schedule(): SO_RCVBUF; TCPRcvQDrop counts what did not fit."""
    c = client()
    put(c, REPAIR, ON)
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.ok("connect", SLOT, PEER_PORT, s=c.peer)
    put(c, QUEUE, RECV)
    c.ok("send", SLOT, 4096)
    written = 4096
    while c.call("send", SLOT, 4096)[0] > 0:
        written += 4096
        assert written < 100_000
    assert c.counter("TCPRcvQDrop") == 1


def test_connect_in_repair_sends_nothing():
    c = client()
    put(c, REPAIR, ON)
    c.ok("connect", SLOT, PEER_PORT, s=c.peer)
    c.expect_nothing(5000)
    assert c.name_of_state() == "ESTABLISHED"


def test_no_queue_takes_nothing():
    c = established()
    put(c, REPAIR, ON)
    c.fails(errno.EINVAL, "send", SLOT, 100)


def test_reading_in_repair_only_peeks():
    c = busy()
    put(c, REPAIR, ON)
    put(c, QUEUE, RECV)
    c.fails(errno.EPERM, "recv", SLOT, 100)
    assert c.ok("recv", SLOT, 100, PEEK) == 100
    put(c, QUEUE, SEND)
    assert c.ok("recv", SLOT, 100_000, PEEK) == 2000


def test_the_probe_can_be_done_without():
    c = established(options=FULL)
    put(c, REPAIR, ON)
    put(c, REPAIR, OFF_NO_WP)
    c.expect_nothing(100)
    put(c, REPAIR, ON)
    put(c, REPAIR, OFF)
    c.expect(".", seq=-1)


@pytest.mark.parametrize(("name", "value", "code"), [
    (REPAIR, 2, errno.EINVAL),
    (QUEUE, SEND, errno.EPERM),  # not in repair
    (QUEUE_SEQ, 5, errno.EPERM),  # not closed
    (TIMESTAMP, 5, errno.EPERM),
])
def test_refused(name, value, code):
    c = established()
    c.fails(code, "setsockopt", SLOT, SOL_TCP, name, value)


def test_a_listener_cannot_be_repaired():
    c = listening()
    c.fails(errno.EPERM, "setsockopt", LISTENER, SOL_TCP, REPAIR, ON)


@pytest.mark.parametrize(("data", "code"), [
    (options((OPT_MSS, MSS)), 0),
    (options((OPT_WSCALE, 15)), errno.EFBIG),
    (options((OPT_SACK, 1)), errno.EINVAL),
    (options((OPT_TS, 1)), errno.EINVAL),
], ids=["mss", "scale", "sack", "stamps"])
def test_options(data, code):
    c = client()
    put(c, REPAIR, ON)
    c.ok("connect", SLOT, PEER_PORT, s=c.peer)
    ret = c.call("setsockopt", SLOT, SOL_TCP, OPTIONS, len(data), s=data.decode("latin-1"))
    assert ret == (-1 if code else 0, code, True)


@pytest.mark.parametrize(("change", "code"), [
    ({}, 0),
    ({"max_window": 0}, errno.EINVAL),  # below snd_wnd
    ({"snd_wl1": PEER_ISN + 100_000}, errno.EINVAL),  # beyond our own window
    ({"rcv_wup": PEER_ISN + 1000}, errno.EINVAL),
])
def test_a_window_must_make_sense(change, code):
    c = established()
    put(c, REPAIR, ON)
    get(c, WINDOW)
    names = ("snd_wl1", "snd_wnd", "max_window", "rcv_wnd", "rcv_wup")
    now = dict(zip(names, struct.unpack("=5I", c.host.call_bytes(c.host.calls_made() - 1)), strict=True))
    assert now["snd_wnd"] == 65535 and now["rcv_wup"] == (PEER_ISN + 1) & 0xFFFFFFFF
    data = struct.pack("=5I", *({**now, **change}[n] & 0xFFFFFFFF for n in names))
    ret = c.call("setsockopt", SLOT, SOL_TCP, WINDOW, len(data), s=data.decode("latin-1"))
    assert ret == (-1 if code else 0, code, True)


def test_the_numbers_are_the_sockets():
    c = busy()
    put(c, REPAIR, ON)
    put(c, QUEUE, SEND)
    assert get(c, QUEUE_SEQ) == signed(LOCAL_ISN + 1 + 2000)
    put(c, QUEUE, RECV)
    assert get(c, QUEUE_SEQ) == signed(PEER_ISN + 1 + 500)
    put(c, QUEUE, NONE)
    c.fails(errno.EINVAL, "getsockopt", SLOT, SOL_TCP, QUEUE_SEQ)
