# SPDX-License-Identifier: GPL-2.0-only
"""Groups of listeners at one port (SO_REUSEPORT), and what becomes of a listener's connections when it closes."""

import errno
import socket

import pytest
from conversation import LOCAL, LOCAL_PORT, MSS, between, new_host
from packets import LOCAL_ISN, PEER_ISN, encode_options, tcp_packet

FIRST, SECOND, THIRD = 10, 11, 12
PLAIN = encode_options({"mss": MSS})
PORTS = range(6000, 6060)


def listen(c, slot, backlog=100, addr=LOCAL):
    c.ok("socket", slot)
    c.ok("fcntl", slot, 1)
    c.ok("setsockopt", slot, socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    c.ok("bind", slot, LOCAL_PORT, s=addr)
    c.ok("listen", slot, backlog)


def group(*slots, **sysctl):
    c = between(new_host({f"net.ipv4.{k}": v for k, v in sysctl.items()}), False)
    for slot in slots:
        listen(c, slot)
    return c


def knock(c, port):
    c.raw(tcp_packet("S", PEER_ISN, 0, options=PLAIN, sport=port))
    return c.expect("S.").seq


def finish(c, port, seq):
    c.raw(tcp_packet(".", PEER_ISN + 1, LOCAL_ISN + 1 + seq + 1, sport=port))


def connect(c, ports):
    for port in ports:
        finish(c, port, knock(c, port))


def accepted(c, slot, first=100):
    """How many connections wait at a listener; they are closed."""
    n = 0
    while c.call("accept", slot, first + n)[:2] == (first + n, 0):
        n += 1
    for k in range(n):
        c.ok("close", first + k)
    return n


def test_connections_are_shared_by_hash():
    """reuseport_select_sock(): by the four-tuple, so each listener has some, and a peer's port always the same one."""
    c = group(FIRST, SECOND, THIRD)
    connect(c, PORTS)
    shares = [accepted(c, slot) for slot in (FIRST, SECOND, THIRD)]
    assert sum(shares) == len(PORTS)
    assert min(shares) > len(PORTS) // 10


def test_the_handshake_stays_with_its_listener():
    """The request knows its listener: one that joins meanwhile changes nothing for it."""
    c = group(FIRST)
    seqs = {port: knock(c, port) for port in PORTS}
    listen(c, SECOND)
    for port, seq in seqs.items():
        finish(c, port, seq)
    assert (accepted(c, FIRST), accepted(c, SECOND)) == (len(PORTS), 0)


def test_who_leaves_the_group_gets_no_more():
    """reuseport_stop_listen_sock(), __reuseport_detach_sock()."""
    c = group(FIRST, SECOND)
    c.ok("close", FIRST)
    connect(c, PORTS)
    assert accepted(c, SECOND) == len(PORTS)


def test_a_group_grows():
    """reuseport_grow(): it starts with room for 128."""
    slots = range(200, 200 + 130)
    c = group(*slots)
    connect(c, range(20000, 20000 + 600))
    assert sum(accepted(c, slot, 1000) > 0 for slot in slots) > 100


def test_an_exact_address_goes_before_any():
    """compute_score(): the group at 0.0.0.0 has nothing that one at the address could take."""
    c = group(FIRST)
    listen(c, SECOND, addr="0.0.0.0")
    connect(c, PORTS)
    assert (accepted(c, FIRST), accepted(c, SECOND)) == (len(PORTS), 0)


def test_all_of_the_group_must_want_it():
    c = group(FIRST)
    c.ok("socket", SECOND)
    c.fails(errno.EADDRINUSE, "bind", SECOND, LOCAL_PORT, s=LOCAL)


# -- tcp_migrate_req

def test_without_migration_what_was_not_accepted_is_reset():
    c = group(FIRST, SECOND, tcp_migrate_req=0)
    connect(c, PORTS)
    c.ok("close", FIRST)
    resets = len(c.segments())
    assert resets and resets + accepted(c, SECOND) == len(PORTS)


def test_established_connections_go_to_another_listener():
    """inet_csk_listen_stop(): reuseport_migrate_sock() finds one, inet_reqsk_clone() makes its request."""
    c = group(FIRST, SECOND, tcp_migrate_req=1)
    connect(c, PORTS)
    c.ok("close", FIRST)
    c.expect_nothing()
    moved = c.counter("TCPMigrateReqSuccess")
    assert moved > 0
    assert accepted(c, SECOND) == len(PORTS)
    assert c.counter("TCPMigrateReqFailure") == 0


def handshakes_lose_their_listener(c):
    """The first one closes between the SYN-ACKs and the ACKs."""
    seqs = {port: knock(c, port) for port in PORTS}
    c.ok("close", FIRST)
    for port, seq in seqs.items():
        finish(c, port, seq)


def test_a_handshake_ends_at_another_listener():
    """tcp_v4_rcv(): the last ACK's listener has gone meanwhile (inet_csk_complete_hashdance())."""
    c = group(FIRST, SECOND, tcp_migrate_req=1)
    handshakes_lose_their_listener(c)
    assert accepted(c, SECOND) == len(PORTS)
    assert 0 < c.counter("TCPMigrateReqSuccess") < len(PORTS)


def test_a_handshake_that_is_not_migrated_is_reset():
    c = group(FIRST, SECOND, tcp_migrate_req=0)
    handshakes_lose_their_listener(c)
    resets = len(c.segments())
    assert resets and resets + accepted(c, SECOND) == len(PORTS)


def test_the_synacks_timer_moves_too():
    """reqsk_timer_handler(): the repetition goes out for another listener, who then gets the connection."""
    c = group(FIRST, SECOND, tcp_migrate_req=1)
    seqs = {port: knock(c, port) for port in PORTS}
    c.ok("close", FIRST)
    c.wait(1500)
    assert {s.flags for s in c.segments()} == {"S."}
    assert c.counter("TCPMigrateReqSuccess") > 0
    for port, seq in seqs.items():
        finish(c, port, seq)
    assert accepted(c, SECOND) == len(PORTS)


def test_a_full_queue_takes_nobody_over():
    """sk_acceptq_is_full() of the new listener, when the last ACK comes: TCPMigrateReqFailure."""
    c = group(FIRST, tcp_migrate_req=1, tcp_syncookies=0)
    listen(c, SECOND, backlog=1)
    seqs = {}
    for port in PORTS:
        c.raw(tcp_packet("S", PEER_ISN, 0, options=PLAIN, sport=port))
        answers = c.segments()  # none from SECOND once its half-open ones fill it
        if answers:
            seqs[port] = answers[0].seq
    c.ok("close", FIRST)
    for port, seq in seqs.items():
        finish(c, port, seq)
    assert accepted(c, SECOND) == 2
    assert 0 < c.counter("TCPMigrateReqFailure") <= c.counter("ListenOverflows")


@pytest.mark.parametrize("migrate", [0, 1])
def test_the_last_listener_has_nobody_to_give_to(migrate):
    c = group(FIRST, tcp_migrate_req=migrate)
    connect(c, [6000])
    c.ok("close", FIRST)
    c.expect("R.")
