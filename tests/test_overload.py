# SPDX-License-Identifier: GPL-2.0-only
"""Packets that come faster than the emulated processor handles them keep many calls waiting, which are looked at
together; that shows nowhere."""

import random

import pytest
from conversation import EPOCH, MS
from windows import ADDRESSES, DEVICES, US, Input, arrays, end_of, host_for, outcome, rows_of, taken

from kpath_c import host as testing
from kpath_c.host import OPS


def overload(seed, connections, gap):
    """Writes, some of which sleep, and ACKs `gap` apart; every fifth connection is read as data arrives."""
    rnd, s = random.Random(seed), Input()
    for c in range(connections):
        t = MS + c * 20 * US
        s.open(t, c)
        if c % 5 == 3:
            s.call(t + 2 * MS, c, "setsockopt", 1, 7, 5000)  # SO_SNDBUF
        for k in range(6):
            at = t + 3 * MS + k * rnd.randrange(1, 4 * MS)
            if c % 5 == 4:
                s.packet(at + gap, c, "P.", k * 100, 0, 100)
            else:
                for _ in range(rnd.randrange(1, 4)):
                    s.call(at, c, "send", rnd.choice([500, 3000, 20000, 60000]))
    t, acks = 5 * MS, [0] * connections
    for _ in range(connections * 18):
        c = rnd.randrange(connections)
        t += gap if rnd.random() < 0.97 else rnd.randrange(200 * US)
        if c % 5 < 4:
            acks[c] += rnd.choice([500, 1460, 2920, 4380])
            s.packet(t, c, ".", 0, acks[c])
    return s.settled()


def replay(s, alone, **device):
    """What comes of it, and how many waited together. alone: each call is looked at by itself.

    That is what a call does whose return is known.
    """
    host = host_for(s, **device)
    host.load(b"".join(p for _, p in s.packets), *arrays(s.packets, 0))
    host.auto_reader(-1, True)
    host.add_calls(rows_of(s.calls), ADDRESSES)
    if alone == "from the start":
        host.add_call(end_of(s) + 1, end_of(s) + 2, -1, 0, OPS["fcntl"])
    most = 0
    for ms in range(0, 60):
        host.run(EPOCH + ms * MS)
        most = max(most, testing.engine_tables(host)["crowd"][0])
        if ms == 12 and alone == "later":
            host.add_call(end_of(s) + 1, end_of(s) + 2, -1, 0, OPS["fcntl"])
    host.run(end_of(s))
    return most, outcome(host, taken(host))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("seed", "connections", "gap"), [(1, 300, 2 * US), (2, 60, 0), (3, 100, 5 * US)])
def test_calls_that_wait_together_go_on_as_if_each_waited_by_itself(seed, connections, gap, device):
    s = overload(seed, connections, gap)
    together, got = replay(s, "", **DEVICES[device])
    none, wanted = replay(s, "from the start", **DEVICES[device])
    assert together > 16 and none == 0
    assert got == wanted
    assert replay(s, "later", **DEVICES[device])[1] == wanted


def test_a_processor_that_gets_faster_ends_the_common_waiting():
    """Calls that have not been woken keep the later time, others do not."""
    ends = []
    for alone in ("", "from the start"):
        s = overload(4, 200, 2 * US)
        host = host_for(s)
        host.load(b"".join(p for _, p in s.packets), *arrays(s.packets, 0))
        host.add_calls(rows_of(s.calls), ADDRESSES)
        if alone:
            host.add_call(end_of(s) + 1, end_of(s) + 2, -1, 0, OPS["fcntl"])
        host.latency(rx_cost=30 * US, tx_cost=10 * US, wake_ns=50 * MS)
        host.run(EPOCH + 9 * MS)
        assert bool(testing.engine_tables(host)["crowd"][0]) is not bool(alone)
        host.latency()
        host.run(end_of(s))
        ends.append(outcome(host, taken(host)))
    assert ends[0] == ends[1]
