# SPDX-License-Identifier: GPL-2.0-only
"""What the rest of the kernel gave TCP: timers, hashes, trees, pools. Expected values come from the published
algorithms or from kernel/time/timer.c, written here a second time."""

import random
import struct

import pytest
from packets import checksum

from kpath_c import host as testing

MASK = 0xFFFFFFFF
TICK = 4_000_000  # HZ 250
HUGE_PAGE = 2 << 20


# -- the timer wheel: kernel/time/timer.c


def wheel_expiry(clk, expires):
    """Level n: deltas from 63 * 8**(n-1) ticks on, in granules of 8**n ticks; an expiry goes to the granule behind."""
    level = 0
    while level < 8 and expires - clk >= 63 << (3 * level):
        level += 1
    return ((expires >> (3 * level)) + 1) << (3 * level)


@pytest.mark.parametrize("delay", [0, 1, 10, 50, 62, 63, 64, 250, 503, 504, 750, 4031, 4032, 30_000, 75_000, 300_000,
                                   2_064_383, 2_064_384])
@pytest.mark.parametrize("boot", [0, 5, 4_294_892_296])
def test_a_timer_fires_at_the_granule_behind_its_expiry(delay, boot):
    wheel = testing.Wheel(boot_jiffies=boot)
    wheel.advance(10 * TICK)
    now = wheel.jiffies
    wheel.mod_timer(0, delay)
    expected = wheel_expiry(now, now + delay)
    wheel.advance((expected - boot) * TICK - 1)
    assert wheel.fired == []
    wheel.advance((expected - boot) * TICK)
    assert wheel.fired == [(0, (expected - boot) * TICK)]


def test_the_first_levels_in_milliseconds():
    """The comment at the head of timer.c for HZ 250: granules of 4 ms, 32 ms from 252 ms on, 256 ms from 2016 ms on."""
    wheel = testing.Wheel()
    for timer, delay in enumerate((50, 250, 750)):
        wheel.mod_timer(timer, delay)
    wheel.advance(4 * 10**9)
    assert wheel.fired == [(0, 204_000_000), (1, 1_024_000_000), (2, 3_072_000_000)]


def test_timers_of_one_tick_fire_by_level_then_last_in_first_out():
    """expire_timers() runs from the coarsest level down, and a bucket is a list with its newest at the head."""
    wheel = testing.Wheel()
    wheel.mod_timer(0, 71)  # level 1: 72
    wheel.advance(60 * TICK)
    wheel.mod_timer(1, 11)  # level 0: 72
    wheel.mod_timer(2, 11)
    wheel.advance(100 * TICK)
    assert wheel.fired == [(0, 72 * TICK), (2, 72 * TICK), (1, 72 * TICK)]


def test_a_timer_set_again_fires_once():
    wheel = testing.Wheel()
    assert wheel.mod_timer(0, 10) == 0
    assert wheel.mod_timer(0, 30) == 1
    wheel.advance(100 * TICK)
    assert wheel.fired == [(0, 31 * TICK)]


def test_timer_reduce_only_goes_forward():
    wheel = testing.Wheel()
    wheel.mod_timer(0, 20)
    wheel.timer_reduce(0, 40)
    wheel.timer_reduce(0, 10)
    wheel.advance(100 * TICK)
    assert wheel.fired == [(0, 11 * TICK)]


def test_a_deleted_timer_does_not_fire():
    wheel = testing.Wheel()
    wheel.mod_timer(0, 10)
    assert wheel.pending(0)
    assert (wheel.timer_delete(0), wheel.timer_delete(0)) == (1, 0)
    assert not wheel.pending(0)
    wheel.advance(100 * TICK)
    assert wheel.fired == []


def test_other_hz():
    """HZ 1000: one second is 1000 ticks, level 2, granule 64."""
    wheel = testing.Wheel(hz=1000)
    wheel.mod_timer(0, 1000)
    wheel.advance(2 * 10**9)
    assert wheel.fired == [(0, 1_024_000_000)]


# -- hrtimers: kernel/time/hrtimer.c


def test_hrtimers_fire_to_the_nanosecond():
    wheel = testing.Wheel()
    wheel.hrtimer(0, 1_000_001)
    wheel.hrtimer(1, 999_999)
    wheel.advance(2_000_000)
    assert wheel.fired == [(1, 999_999), (0, 1_000_001)]


def test_slack_lets_hrtimers_fire_together():
    """The earliest hard expiry wakes; whoever's soft expiry has come goes with it."""
    wheel = testing.Wheel()
    wheel.hrtimer(0, 1000, 500)
    wheel.hrtimer(1, 1400, 500)
    wheel.hrtimer(2, 1600, 0)
    wheel.advance(1500)
    assert wheel.fired == [(0, 1500)]
    wheel.advance(2000)
    assert wheel.fired == [(0, 1500), (2, 1600), (1, 1600)]


def test_a_cancelled_hrtimer_does_not_fire():
    wheel = testing.Wheel()
    wheel.hrtimer(0, 1000)
    assert (wheel.hrtimer_cancel(0), wheel.hrtimer_cancel(0)) == (1, 0)
    wheel.advance(2000)
    assert wheel.fired == []


# -- hashes


def rotl(x, n, bits):
    return (x << n | x >> (bits - n)) & ((1 << bits) - 1)


def lookup3(data, initval):
    """Bob Jenkins' hashlittle() (lookup3.c, 2006)."""
    a = b = c = (0xDEADBEEF + len(data) + initval) & MASK
    while len(data) > 12:
        x, y, z = struct.unpack("<III", data[:12])
        a, b, c = (a + x) & MASK, (b + y) & MASK, (c + z) & MASK
        for shifts in ((4, 6, 8), (16, 19, 4)):
            for n in shifts:
                a, b, c = ((a - c) ^ rotl(c, n, 32)) & MASK, b, (c + b) & MASK
                a, b, c = b, c, a
        data = data[12:]
    if not data:
        return c
    x, y, z = struct.unpack("<III", data.ljust(12, b"\0"))
    a, b, c = (a + x) & MASK, (b + y) & MASK, (c + z) & MASK
    for n in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - rotl(b, n, 32)) & MASK
        a, b, c = b, c, a
    return b  # three values rotate by seven: c stands at b


def siphash24(data, key):
    """SipHash-2-4 (Aumasson, Bernstein 2012)."""
    m64 = (1 << 64) - 1
    k0, k1 = key
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & m64
            v[1] = rotl(v[1], 13, 64) ^ v[0]
            v[0] = rotl(v[0], 32, 64)
            v[2] = (v[2] + v[3]) & m64
            v[3] = rotl(v[3], 16, 64) ^ v[2]
            v[0] = (v[0] + v[3]) & m64
            v[3] = rotl(v[3], 21, 64) ^ v[0]
            v[2] = (v[2] + v[1]) & m64
            v[1] = rotl(v[1], 17, 64) ^ v[2]
            v[2] = rotl(v[2], 32, 64)

    padded = data + b"\0" * (7 - len(data) % 8) + bytes([len(data) & 255])
    for (m,) in struct.iter_unpack("<Q", padded):
        v[3] ^= m
        rounds(2)
        v[0] ^= m
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


SIP_KEY = struct.unpack("<QQ", bytes(range(16)))


@pytest.mark.parametrize(("length", "value"), [(0, 0x726FDB47DD0E0E31), (1, 0x74F839C593DC67FD),
                                               (8, 0x93F5F5799A932462), (15, 0xA129CA6149BE45E5)])
def test_siphash_vectors(length, value):
    """The paper's key 00..0f and message 00, 01, 02 ...; 15 bytes is its worked example (appendix A)."""
    assert testing.siphash_bytes(bytes(range(length)), SIP_KEY) == value
    assert siphash24(bytes(range(length)), SIP_KEY) == value


def test_siphash_of_words_is_that_of_their_bytes():
    rng = random.Random(1)
    for count in (1, 2, 3, 4):
        words = [rng.getrandbits(64) for _ in range(count)]
        assert testing.siphash_u64s(words, SIP_KEY) == siphash24(struct.pack(f"<{count}Q", *words), SIP_KEY)
    a, b, c = (rng.getrandbits(32) for _ in range(3))
    assert testing.siphash_u32s(a, b, c, SIP_KEY) == siphash24(struct.pack("<III", a, b, c), SIP_KEY)


def test_lookup3_as_published():
    """lookup3.c's own driver: 30 bytes give 17770551; checks the reference that the next test uses."""
    assert lookup3(b"", 0) == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago", 0) == 0x17770551


@pytest.mark.parametrize("initval", [0, 1, 0x9E3779B9, MASK])
def test_jhash_is_lookup3_of_the_words(initval):
    """linux/jhash.h says so; its initial value is added where lookup3 has its length."""
    for words in ([0], [MASK], [1, 2], [0x0A000001, 0x0A000002, 40000 << 16 | 5001]):
        assert testing.jhash(words, initval) == lookup3(struct.pack(f"<{len(words)}I", *words), initval)


# -- lib/rbtree.c, mm/slub.c, lib/win_minmax.c


@pytest.mark.parametrize("length", [0, 1, 2, 3, 20, 64, 255, 256, 257, 258, 259, 511, 1448, 1480, 9001, 65535])
def test_internet_checksum_of_any_length(length):
    """Long ones are summed with wide vectors, where there are any; all ones carry the most."""
    for data in (random.Random(length).randbytes(length), b"\xff" * length):
        assert testing.internet_checksum(data) == checksum(data)


def test_rbtree_stays_a_red_black_tree():
    rng = random.Random(7)
    tree, keys = testing.Tree(), set()
    for _ in range(600):
        key = rng.randrange(200)
        if key in keys:
            tree.erase(key)
            keys.remove(key)
        else:
            tree.insert(key)
            keys.add(key)
        tree.check()
        assert tree.keys() == sorted(keys)


@pytest.mark.parametrize("order", [range(1000), range(999, -1, -1)])
def test_rbtree_stays_shallow(order):
    """A tree of 1000 keys has 5 to 11 black nodes on each way: height at most 2 lg(n + 1)."""
    tree = testing.Tree()
    for key in order:
        tree.insert(key)
    assert 5 <= tree.check() <= 11
    for key in order:
        tree.erase(key)
    assert tree.keys() == []


def test_pool_gives_aligned_objects_and_counts_them():
    pool = testing.Pool(100)
    objects = [pool.alloc() for _ in range(2000)]
    assert pool.live == 2000
    assert len(set(objects)) == 2000
    assert all(o % 64 == 0 for o in objects)
    spans = sorted(objects)
    assert min(b - a for a, b in zip(spans, spans[1:], strict=False)) >= 128
    for o in objects:
        pool.free(o)
    assert pool.live == 0


def test_a_large_pool_goes_on_in_huge_pages():
    """Its first megabyte lies in small chunks; an object never reaches over the end of its chunk."""
    pool = testing.Pool(2112)
    objects = [pool.zalloc() for _ in range(3000)]
    assert all(o % 64 == 0 and pool.read(o) == bytes(2112) for o in objects)
    spans = sorted(objects)
    assert min(b - a for a, b in zip(spans, spans[1:], strict=False)) == 2112
    huge = [o for o in objects[1000:] if o // HUGE_PAGE == (o + 2111) // HUGE_PAGE]
    assert len(huge) == 2000
    pool.fill(objects[-1], 0xFF)
    pool.free(objects[-1])
    assert pool.zalloc() == objects[-1]
    assert pool.read(objects[-1]) == bytes(2112)


def test_pool_gives_back_what_was_freed_last():
    """Warm in the cache, as SLUB does."""
    pool = testing.Pool(64)
    a, b = pool.alloc(), pool.alloc()
    pool.free(a)
    assert pool.alloc() == a
    pool.free(b)
    pool.fill(a, 0xFF)
    pool.free(a)
    again = pool.zalloc()
    assert again == a
    assert pool.read(again) == bytes(64)


def test_windowed_minimum():
    """Three best samples; the oldest leaves after the window (lib/win_minmax.c, Nichols' filter)."""
    samples = [(0, 10), (30, 20), (60, 30), (110, 40), (120, 5)]
    assert testing.running_min(100, samples) == [10, 10, 10, 20, 5]
