# SPDX-License-Identifier: GPL-2.0-only
"""Pairing and differences by field, against difflib (which score.py uses) as the reference."""

import difflib
import random

import pytest
from driverlib import ACK, CLIENT, FIN, MS, PSH, SERVER, SYN, T0, ip_tcp, table, timestamps, walk

from kpath.pairing import Pairing
from kpath.segments import packed


def pairing(captured, emitted, **kw):
    cap, emi = table(captured), table(emitted)
    cap.split([(packed(CLIENT), 0)])
    emi.adopt(cap)
    p = Pairing(cap, emi, **kw)
    p.add()
    return p


def seg(seq, t=T0, flags=ACK, ack=1, n=0, sport=40000, **kw):
    return t, ip_tcp(CLIENT, sport, SERVER, 80, seq, ack, flags, payload=b"x" * n, **kw)


def opening(isn=99, sport=40000):
    return [seg(isn, flags=SYN, ack=0, sport=sport)]


BASE = {"flags": ACK, "ack": 7, "win": 500, "ecn": 0, "options": timestamps(1000, 5)}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("flags", {"flags": ACK | PSH}), ("ack", {"ack": 8}), ("window", {"win": 501}), ("ecn", {"ecn": 2}),
        ("options", {"options": timestamps(1000, 6)}), ("options", {"options": b""}),
        ("tsval", {"options": timestamps(1002, 5)}), ("length", {"n": 3}), ("seq", {"seq": 101}),
    ],
)  # fmt: skip
def test_each_field(field, change):
    args = {"seq": 100, **BASE}
    p = pairing(opening() + [seg(**args)], opening() + [seg(**{**args, **change})])
    assert (p.captured, p.emitted, p.matched) == (2, 2, 1)
    assert p.differences() == {field: 1}
    assert p.first() == (1, 1, [field])


@pytest.mark.parametrize(("d", "tolerance", "matched"), [(1, 1, 2), (-1, 1, 2), (2, 1, 1), (1, 0, 1), (-5, 5, 2)])
def test_tsval_tolerance(d, tolerance, matched):
    args = {"seq": 100, **BASE}
    other = {**args, "options": timestamps(1000 + d, 5)}
    assert pairing(opening() + [seg(**args)], opening() + [seg(**other)], tolerance=tolerance).matched == matched


def test_what_does_not_count():
    """IP id and TTL; ack without ACK; urgent pointer without URG; padding of options; checksums."""
    a = opening() + [seg(100, urg=5, options=b"\x01\x01" + timestamps(1, 2)), seg(101, flags=FIN, ack=5)]
    b = opening() + [seg(100, urg=6, options=timestamps(1, 2) + b"\x01", ttl=9), seg(101, flags=FIN, ack=6)]
    assert pairing(a, b).first() is None


def test_order_of_options_counts():
    a, b = b"\x03\x03\x07\x01", b"\x02\x04\x05\xb4"
    assert pairing([seg(1, flags=SYN, options=a + b)], [seg(1, flags=SYN, options=b + a)]).differences() == {
        "options": 1
    }


def test_missing_and_extra():
    a = opening() + [seg(i, n=1) for i in range(100, 110)]
    p = pairing(a, a[:4] + a[5:])
    assert (p.matched, p.differences(), p.first()) == (10, {"missing": 1}, (4, -1, ["missing"]))
    p = pairing(a[:4] + a[5:], a)
    assert (p.matched, p.differences(), p.first()) == (10, {"extra": 1}, (-1, 4, ["extra"]))


def test_nothing_emitted_and_nothing_captured():
    a = opening() + [seg(100)]
    assert pairing(a, []).differences() == {"missing": 2}
    incoming = [(T0, ip_tcp(SERVER, 80, CLIENT, 40000, 5, flags=SYN))]
    assert pairing(incoming, a).differences() == {"extra": 2}


def test_connections_are_paired_each_for_itself():
    """The order between connections does not count."""
    one = opening(sport=1) + [seg(100 + i, sport=1) for i in range(5)]
    two = opening(sport=2) + [seg(100 + i, sport=2) for i in range(5)]
    p = pairing(one + two, two + one)
    assert p.first() is None
    assert [p.connection(c)[:3] for c in p.replayed()] == [(6, 6, 6), (6, 6, 6)]


def test_reused_ports_are_split_at_the_syn():
    first = opening(99) + [seg(100, n=5)]
    second = opening(5000) + [seg(5001, n=5)]
    p = pairing(first + second, first + second)
    assert [p.connection(c)[:3] for c in p.replayed()] == [(2, 2, 2), (2, 2, 2)]
    p = pairing(first + second, second)  # the first one was not emitted at all
    assert [p.connection(c)[:3] for c in p.replayed()] == [(2, 0, 0), (2, 2, 2)]


def test_first_divergence_is_the_first_in_time():
    a = opening(sport=1) + [seg(100, t=T0 + 5 * MS, sport=1)]
    b = opening(sport=2) + [seg(100, t=T0 + 2 * MS, sport=2)]
    changed = [
        opening(sport=1)[0],
        seg(100, t=T0 + 5 * MS, sport=1, win=1),
        opening(sport=2)[0],
        seg(100, sport=2, win=2),
    ]
    assert pairing(a + b, changed).first()[0] == 3


def reference(a, b):
    return sum(m.size for m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("rate", [0.01, 0.2, 0.6])
def test_no_worse_than_difflib(seed, rate):
    """Random edits of a sequence with many equal segments; the alignment finds as much as difflib does."""
    rng = random.Random(seed)
    a = [rng.randrange(40) for _ in range(rng.randrange(1, 250))]
    b = []
    for x in a:
        what = rng.random() / rate
        if what < 0.3:
            continue
        b += [rng.randrange(40), x] if what < 0.6 else [rng.randrange(40) if what < 1 else x]
    p = pairing(opening() + [seg(1000 + x) for x in a], opening() + [seg(1000 + x) for x in b])
    assert p.matched - 1 >= reference(a, b)
    used = [p.pair_of_captured(i) for i in range(len(a) + 1)]
    assert [j for j in used if j >= 0] == sorted({j for j in used if j >= 0})
    assert all(p.pair_of_emitted(j) == i for i, j in enumerate(used) if j >= 0)


def test_entirely_different_streams_end_soon():
    n = 20000
    p = pairing(opening() + [seg(i) for i in range(n)], opening() + [seg(i + 10**6, win=3) for i in range(n)])
    assert p.matched == 1
    assert p.differences() == {"seq": n, "window": n}


def test_a_gap_longer_than_a_step():
    a = opening() + [seg(i, n=1) for i in range(3000)]
    assert pairing(a, a[:500] + a[2000:]).matched == 1501


def acks(n, **kw):
    return [seg(1, t=T0 + i * MS, ack=1000 * i, **kw) for i in range(n)]


def test_who_offers_another_window_throughout_differs_in_that_only():
    """Their places in the conversation pair them, though none agrees with any; an ACK that is one more stays alone."""
    p = pairing(opening() + acks(600, win=501), opening() + acks(600, win=63))
    assert p.differences() == {"window": 600}
    assert all(p.pair_of_captured(i) == i for i in range(601))
    more = acks(600, win=63)
    p = pairing(opening() + acks(600, win=501), opening() + [*more[:300], seg(1, ack=299_500, win=63), *more[300:]])
    assert p.differences() == {"window": 600, "extra": 1}


def test_an_ack_is_paired_with_the_one_of_its_number():
    """Where the other side acknowledges each segment too, not in order."""
    every = acks(40, win=5)
    p = pairing(opening() + every[1::2], opening() + acks(40, win=6))
    assert p.differences() == {"window": 20, "extra": 20}


def test_duplicate_acks_are_told_apart_by_what_else_they_say():
    """Three of one place, of which the first one is missing: the other two agree."""
    three = [seg(1, t=T0 + i * MS, ack=9, win=500 + i) for i in range(3)]
    p = pairing(opening() + three, opening() + three[1:])
    assert (p.matched, p.differences()) == (3, {"missing": 1})


def test_connections_that_come_in_no_order_are_told_in_theirs():
    """More than a digit of the sort has room for, the newest first."""
    ports = range(2000, 4100)
    first = [(T0, seg(99, flags=SYN, ack=0, sport=p)[1]) for p in ports]
    rest = [(T0 + MS, seg(100, sport=p, n=1)[1]) for p in reversed(ports)]
    cap, emi = table(first), table(rest)
    cap.split([(packed(CLIENT), 0)])
    cap.read(walk(rest), len(rest))
    cap.split_on()
    emi.adopt(cap)
    p = Pairing(cap, emi)
    p.add()
    assert p.matched == len(ports)
    assert all(p.connection(c)[:3] == (1, 1, 1) for c in range(len(ports)))
