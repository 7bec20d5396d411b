# SPDX-License-Identifier: GPL-2.0-only
"""A crowded established table: whoever is in a chain is found, and whoever has left it is not (headers/ehash.pxd)."""

from random import Random

import pytest
from conversation import LISTENER, LOCAL_ISN, MSS, PEER_ISN, encode_options, listening, tcp_packet

from kpath.bench import captures
from kpath_c.host import Established

SMALL = 16 << 20  # bytes of memory: a table of 512 chains
PORTS = range(10_000, 13_000)  # six connections in a chain, of which its bucket knows three
ROOM = {name: len(PORTS) for name in ("net.core.somaxconn", "net.ipv4.tcp_max_orphans", "net.ipv4.tcp_max_tw_buckets")}
FATES = ("stays", "is reset", "waits")


def arrives(c, port, flags, seq, ack, length=0):
    c.raw(tcp_packet(flags, PEER_ISN + 1 + seq, LOCAL_ISN + 1 + ack, length, sport=port))


def opened(c, port):
    """A connection from this port of the peer stands; nobody has accepted it yet."""
    c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, encode_options({"mss": MSS}), sport=port))
    [synack] = c.segments()
    arrives(c, port, ".", 0, synack.seq + 1)
    return synack.seq + 1


def meets(c, port, fate, ack):
    """What becomes of the connection."""
    if fate == "is reset":
        arrives(c, port, "R", 0, 0)
    if fate == "waits":
        arrives(c, port, "F.", 0, ack + 1)


@pytest.mark.parametrize("seed", range(3))
def test_each_segment_finds_its_socket(seed):
    """They leave from the chains' fronts, middles and ends; who stays and who is in TIME_WAIT still answers."""
    c = listening(ROOM, backlog=len(PORTS), memory=SMALL)
    fate = dict(zip(PORTS, Random(seed).choices(FATES, k=len(PORTS)), strict=True))
    first = {port: opened(c, port) for port in PORTS}
    for slot, port in enumerate(PORTS, 100):
        c.ok("accept", LISTENER, slot)
        if fate[port] == "waits":
            c.ok("close", slot)
    c.segments()
    for port in Random(seed + 1).sample(PORTS, len(PORTS)):
        meets(c, port, fate[port], first[port])
    c.segments()
    for port in PORTS:
        arrives(c, port, "P.", 0 if fate[port] == "stays" else 1, first[port], 100)
        got = [s.flags for s in c.segments()]
        assert (port, got) == (port, ["R"] if fate[port] == "is reset" else ["."])


@pytest.mark.parametrize("sockets", [1, 500, 5000])
def test_what_is_not_there_is_not_found(sockets):
    host = captures.new_host(memory=SMALL)
    table = Established(host, sockets)
    assert table.mistaken() == 0
    assert table.lookup(10_000) == 10_000
    table.close()
    host.close()
