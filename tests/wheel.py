# SPDX-License-Identifier: GPL-2.0-only
"""When a timer of HZ 250 fires, in the milliseconds of a conversation (kernel/time/timer.c, written a second time)."""

TICK_MS = 4
JIFFIES = 175_000  # jiffies at the start of a conversation, modulo 2**32: 1000 s after boot, which begins 300 s below 0


def fires(now_ms: float, delay_ms: float, in_timer: bool = False) -> int:
    """A timer that is set at `now_ms` for `delay_ms` later; in_timer: set while another timer's function runs."""
    jiffies = JIFFIES + int(now_ms // TICK_MS)
    expires = jiffies + -int(-delay_ms // TICK_MS)
    level = 0
    while expires - jiffies - in_timer >= 63 << (3 * level):
        level += 1
    return (((expires >> (3 * level)) + 1 << (3 * level)) - JIFFIES) * TICK_MS


def series(start_ms: float, delays_ms: list[float]) -> list[int]:
    """Times of a timer that sets itself again, with these delays one after the other."""
    out: list[int] = []
    for delay in delays_ms:
        start_ms = fires(start_ms, delay, in_timer=bool(out))
        out.append(int(start_ms))
    return out
