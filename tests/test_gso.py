# SPDX-License-Identifier: GPL-2.0-only
"""Segmentation offload on the way out (net/ipv4/tcp_offload.c, net/core/gso.c): one packet above, many on the link.

With TSO a capture shows what the stack sent, without it what tcp_gso_segment() cuts that into.
"""

import struct

import pytest
from conversation import LISTENER, MSS, SLOT, established, listening, new_host
from packets import PEER_ISN, encode_options, tcp_packet

TUN = {"gso": True, "tso": False}
TSO = {"gso": True, "tso": True}


def near(**kw):
    """A peer so close that the pacing rate is no limit; nothing is under way."""
    c = established(rtt=0.1, **kw)
    c.wait(1)
    return c


def last_packet(c, mss, length):
    """What leaves as the last packet of the stream: `length` bytes that had to wait for the window, and the FIN."""
    c.ok("send", SLOT, 10 * mss)
    c.segments()
    c.ok("send", SLOT, length)
    c.ok("shutdown", SLOT, 1)
    c.wait(1)
    c.send(".", ack=10 * mss)
    return c.segments()


@pytest.mark.parametrize("v6", [False, True])
def test_fin_and_push_are_the_last_ones(v6):
    mss = MSS - 20 * v6
    c = near(device=TUN, v6=v6, options={"mss": mss})
    got = [(s.flags, s.seq - 10 * mss, s.length) for s in last_packet(c, mss, 2 * mss + 100)]
    assert got == [(".", 0, mss), (".", mss, mss), ("FP.", 2 * mss, 100)]
    c.close()


def test_with_tso_it_leaves_as_it_is():
    c = near(device=TSO)
    assert [(s.flags, s.length) for s in last_packet(c, MSS, 2 * MSS + 100)] == [("FP.", 2 * MSS + 100)]
    c.close()


def test_what_the_segments_share():
    """ACK, window and options are copied; ids count up (RFC 6864 would not need it, inet_gso_segment() does it)."""
    c = near(device=TUN, options={"mss": MSS, "ts": (500, 0)})
    full = MSS - 12
    c.send("P.", length=7)
    c.wait(50)
    c.segments()
    first = c.host.emitted_count()
    c.ok("send", SLOT, 3 * full)
    got = c.segments()
    assert [s.length for s in got] == [full] * 3
    assert len({(s.ack, s.window, s.options["ts"]) for s in got}) == 1
    headers = [c.host.emitted(i)[4] for i in range(first, first + 3)]
    ids = [struct.unpack("!H", h[4:6])[0] for h in headers]
    assert [(i - ids[0]) & 0xFFFF for i in ids] == [0, 1, 2]
    assert [struct.unpack("!H", h[2:4])[0] for h in headers] == [1500] * 3
    c.close()


def test_cwr_is_the_first_ones():
    """RFC 3168 6.1.2: it says that the window was cut, once."""
    c = listening({"net.ipv4.tcp_ecn": 1, "net.ipv4.tcp_wmem": "4096 200000 200000"}, device=TUN)
    c.raw(tcp_packet("SEW", PEER_ISN, 0, 0, 65535, encode_options({"mss": MSS, "sack": True})))
    c.expect("S.E")
    c.wait(10)
    c.send(".", seq=0, ack=0)
    c.ok("accept", LISTENER, SLOT)
    c.ok("send", SLOT, 40 * MSS)
    c.segments()
    c.wait(10)
    c.send(".E", ack=2 * MSS)
    c.wait(1)
    c.send(".", ack=8 * MSS)
    got = c.segments()
    assert [("W" in s.flags, s.length) for s in got] == [(i == 0, MSS) for i in range(len(got))]
    assert len(got) > 2
    c.close()


# -- how large a packet the stack makes

def sizes(count=20, mss=MSS, v6=False, **device):
    """A packet may take half the congestion window (tcp_cwnd_test())."""
    c = near(device={**TSO, **device}, route={"initcwnd": 40}, v6=v6, options={"mss": mss, "ws": 7})
    c.ok("send", SLOT, count * mss)
    got = [s.length // mss for s in c.segments()]
    assert sum(got) == count
    c.close()
    return got


@pytest.mark.parametrize(("device", "packets"), [
    ({}, [20]),
    ({"gso_max_segs": 7}, [7, 7, 6]), ({"gso_max_segs": 1}, [1] * 20),
    ({"gso_max_size": 10_000}, [6, 6, 6, 2]),  # less the room for headers (sk_dst_gso_max_size())
    ({"gso_ipv4_max_size": 10_000}, [6, 6, 6, 2]),
    ({"gso_max_size": 5000, "gso_ipv4_max_size": 10_000}, [6, 6, 6, 2]),
    ({"gso_max_size": 200_000}, [20]),
])
def test_limits_of_the_device(device, packets):
    assert sizes(**device) == packets


def test_ipv6_has_a_limit_of_its_own():
    assert sizes(mss=1440, v6=True, gso_max_size=10_000, gso_ipv4_max_size=65536) == [6, 6, 6, 2]


@pytest.mark.parametrize("device", [{"gso_max_size": 193 - 1}, {"gso_max_segs": 0}, {"gso_max_segs": 65536},
                                    {"gro_max_size": 8 * 65535 + 1}, {"rx_usecs": -1}, {"gso_max_size": "64k"}])
def test_limits_that_the_kernel_refuses(device):
    with pytest.raises(ValueError, match=f"^device {next(iter(device))} .*: expected"):
        new_host(device=device)


@pytest.mark.parametrize(("rtt", "most"), [(1, 10), (50, 2)])
def test_a_slow_path_gets_small_packets(rtt, most):
    """tcp_tso_autosize(): about a millisecond's worth at the pacing rate, and less the farther the peer is."""
    c = established(device=TSO, rtt=rtt, sysctl={"net.ipv4.tcp_min_tso_segs": 2})
    c.ok("send", SLOT, 10 * MSS)
    c.wait(rtt)
    c.send(".", ack=10 * MSS)
    c.segments()
    c.wait(rtt)
    c.ok("send", SLOT, 10 * MSS)
    c.wait(1)
    assert max(s.length // MSS for s in c.segments()) == most
    c.close()


@pytest.mark.parametrize("tso", [False, True])
def test_each_segment_is_charged_with_a_head(tso):
    """TCP small queues count what waits for its completion: 4 MSS of payload, and a head for each part."""
    c = near(device={"rx": "nic", "gso": True, "tso": tso})
    c.ok("send", SLOT, 4 * MSS)
    charged = c.state()["sk_wmem_alloc"] - 1 - 4 * MSS
    assert charged == HEAD * (1 if tso else 4)
    c.wait(1)
    assert c.state()["sk_wmem_alloc"] == 1
    c.close()


HEAD = 832  # SKB_TRUESIZE(256): 192 bytes for headers, rounded up
