# SPDX-License-Identifier: GPL-2.0-only
"""TIME_WAIT and who may have its port: tcp_twsk_unique(), tcp_tw_reuse, bind(), tcp_max_tw_buckets; and the time that
FIN_WAIT2 is given (tcp_fin_timeout, TCP_LINGER2)."""

import errno
import socket

import pytest
from conversation import (
    LOCAL,
    LOCAL_PORT,
    MSS,
    PEER_ISN,
    PEER_PORT,
    SLOT,
    encode_options,
    fin_wait1,
    fin_wait2,
    tcp_packet,
    time_wait,
)

SECOND = 1000
TCP_LINGER2 = 8
STAMPS = {"mss": MSS, "sack": True, "ts": (1000, 1_000_000)}
ONE_PORT = {"net.ipv4.ip_local_port_range": f"{LOCAL_PORT} {LOCAL_PORT}"}


def again(c, slot=4, **kw):
    """connect() from any port there is, to the same peer: 0 if it may, else the errno."""
    c.ok("socket", slot)
    ret, err, over = c.call("connect", slot, PEER_PORT, s=c.peer, **kw)
    return err if over else 0


@pytest.mark.parametrize(("reuse", "stamps", "code"), [
    (1, True, 0),
    (1, False, errno.EADDRNOTAVAIL),  # no timestamps: an old segment could not be told from a new one
    (0, True, errno.EADDRNOTAVAIL),
    (2, True, errno.EADDRNOTAVAIL),  # for loopback only; 6.18's default
])
def test_reuse(reuse, stamps, code):
    c = time_wait(sysctl={"net.ipv4.tcp_tw_reuse": reuse, **ONE_PORT}, options=STAMPS if stamps else None)
    c.wait(2 * SECOND)
    assert again(c) == code
    assert c.counter("TWRecycled") == int(not code)


@pytest.mark.parametrize("delay", [1, 1000, 5000])
def test_reuse_has_to_wait(delay):
    """tcp_tw_reuse_delay, ms: PAWS tells the two apart once the timestamp's clock has ticked."""
    c = time_wait(sysctl={"net.ipv4.tcp_tw_reuse": 1, "net.ipv4.tcp_tw_reuse_delay": delay, **ONE_PORT}, options=STAMPS)
    if delay > 1:
        c.wait(delay - 50)
        assert again(c) == errno.EADDRNOTAVAIL
        c.wait(100)
    else:
        c.wait(10)
    assert again(c, 5) == 0


def test_the_new_connection_takes_over_the_peers_timestamp():
    """RFC 6191: PAWS protects it from what is still under way of the old one."""
    c = time_wait(sysctl={"net.ipv4.tcp_tw_reuse": 1, **ONE_PORT}, options=STAMPS)
    c.wait(2 * SECOND)
    assert again(c) == 0
    syn = c.expect("S")
    assert syn.seq == 1 + 65535 + 2
    assert syn.options["ts"][1] == c.state(4)["rx_opt.ts_recent"] != 0


def test_fin_wait2_is_not_reused():
    """The mini socket stands for FIN_WAIT2 (tw_substate): the peer may still send."""
    c = fin_wait2(sysctl={"net.ipv4.tcp_tw_reuse": 1, **ONE_PORT}, options=STAMPS)
    c.ok("close")
    assert c.host.pools()["tw_sock_TCP"] == 1
    c.wait(2 * SECOND)
    assert again(c) == errno.EADDRNOTAVAIL


def test_bind_finds_the_port_in_use():
    c = time_wait()
    c.ok("socket", 4)
    c.fails(errno.EADDRINUSE, "bind", 4, LOCAL_PORT, s=LOCAL)


def listens_beside(c):
    """The socket in FIN_WAIT2 goes on into TIME_WAIT; another one, with SO_REUSEADDR as it had, listens on its port."""
    c.ok("setsockopt", SLOT, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    c.send("F.", ack=1)
    c.expect(".")
    c.ok("close")
    c.ok("socket", 4)
    c.ok("setsockopt", 4, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    c.ok("bind", 4, LOCAL_PORT, s=LOCAL)
    c.ok("listen", 4, 5)


def test_so_reuseaddr_binds_if_both_had_it():
    """inet_bind_conflict(): TIME_WAIT keeps the socket's SO_REUSEADDR."""
    c = fin_wait2()
    listens_beside(c)
    assert c.host.pools()["tw_sock_TCP"] == 1


def test_a_listener_takes_a_connection_that_opens_anew():
    """TCP_TW_SYN: the old one ends early (inet_twsk_deschedule_put()); the new ISN is above its last number."""
    c = fin_wait2(options=STAMPS)
    listens_beside(c)
    later = encode_options({"mss": MSS, "ts": (c.tsval + 5000, 0)})
    c.raw(tcp_packet("S", PEER_ISN - 5000, 0, options=later))  # an earlier number, but a later timestamp
    assert c.expect("S.", ack=-5000).seq == 1 + 65535 + 2
    assert c.host.pools()["tw_sock_TCP"] == 0


def test_an_old_timestamp_is_answered_with_an_ack():
    """RFC 7323 5.3, in TIME_WAIT; at most twice a second (tcp_invalid_ratelimit)."""
    c = time_wait(options=STAMPS)
    for _ in range(2):
        c.send(".", seq=1, ack=1, options={"raw": b"\1\1", "ts": (1, 0)})
    c.expect(".", seq=1, ack=1)
    c.expect_nothing(100)
    assert c.counter("PAWSEstab") == 2 or c.counter("PAWSTimewait") == 2


def test_there_is_a_most():
    """tcp_max_tw_buckets: beyond it connections end without TIME_WAIT."""
    c = time_wait(sysctl={"net.ipv4.tcp_max_tw_buckets": 0})
    assert (c.host.pools()["tw_sock_TCP"], c.counter("TCPTimeWaitOverflow")) == (0, 1)
    assert c.name_of_state() == "CLOSE"


# -- FIN_WAIT2

def lifetime(c):
    """ms that FIN_WAIT2 lives on once nobody owns it."""
    c.ok("close")
    begin = c.t
    while c.name_of_state() != "CLOSE" and c.t < begin + 400 * SECOND:
        c.wait(250)
    return c.t - begin


@pytest.mark.parametrize(("timeout", "seconds"), [(60, 60), (5, 5), (20, 20)])
def test_fin_timeout(timeout, seconds):
    c = fin_wait2(sysctl={"net.ipv4.tcp_fin_timeout": timeout})
    assert seconds * SECOND <= lifetime(c) <= seconds * 1.13 * SECOND  # the wheel's granularity


@pytest.mark.parametrize(("linger2", "seconds"), [(3, 3), (10, 10), (1000, 120)])
def test_linger2_is_the_sockets_own(linger2, seconds):
    """TCP_LINGER2, s; 120 at the most (TCP_FIN_TIMEOUT_MAX). Beyond 60 the socket itself waits for the rest."""
    c = fin_wait2()
    c.ok("setsockopt", SLOT, socket.IPPROTO_TCP, TCP_LINGER2, linger2)
    assert seconds * SECOND <= lifetime(c) <= seconds * 1.13 * SECOND


def test_linger2_below_zero_does_not_wait():
    """close() in FIN_WAIT2 resets at once: __tcp_close(), TCPAbortOnLinger."""
    c = fin_wait2()
    c.ok("setsockopt", SLOT, socket.IPPROTO_TCP, TCP_LINGER2, -1)
    c.ok("close")
    c.expect("R.", seq=1, ack=0)
    assert (c.counter("TCPAbortOnLinger"), c.name_of_state()) == (1, "CLOSE")


def test_linger2_below_zero_when_the_fin_is_acknowledged_later():
    """The ACK of the FIN finds an orphan that may not wait: tcp_rcv_state_process(), TCPAbortOnData."""
    c = fin_wait1()
    c.ok("setsockopt", SLOT, socket.IPPROTO_TCP, TCP_LINGER2, -1)
    c.ok("close")
    c.send(".", ack=1)
    assert (c.counter("TCPAbortOnData"), c.name_of_state()) == (1, "CLOSE")


@pytest.mark.parametrize(("value", "read"), [(0, 60), (5, 5), (-3, -1), (500, 120)])
def test_linger2_is_read_back(value, read):
    c = fin_wait2()
    c.ok("setsockopt", SLOT, socket.IPPROTO_TCP, TCP_LINGER2, value)
    c.ok("getsockopt", SLOT, socket.IPPROTO_TCP, TCP_LINGER2)
    assert c.host.call_result(c.host.calls_made() - 1)[4] == read
