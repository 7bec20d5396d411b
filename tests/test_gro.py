# SPDX-License-Identifier: GPL-2.0-only
"""Generic receive offload (net/core/gro.c, net/ipv4/tcp_offload.c): what a polled device makes one packet of."""

import struct
from array import array

import pytest
from conversation import EPOCH, MSS, SLOT, established, new_host
from packets import PEER, PEER6, tcp_packet

from kpath_c.host import Host

NIC = {"mtu": 1500, "gro": True, "rx": "nic"}
FULL = {"length": MSS}
PUSH = {"length": MSS, "flags": "P."}
MSS6 = MSS - 20
U32 = 0xFFFFFFFF


def open_(**kw):
    kw.setdefault("device", NIC)
    return established(**kw)


def arrived(c, *segments, skip=0):
    """Lengths of the packets that tcp_rcv_established() got of these segments."""
    before = len(c.host.probes())
    c.together(*segments)
    return [p["data_len"] for p in c.host.probes()[before + skip:]]


# -- what is merged

@pytest.mark.parametrize("v6", [False, True])
def test_segments_of_one_poll_go_up_as_one(v6):
    mss = MSS6 if v6 else MSS
    c = open_(v6=v6, options={"mss": mss, "sack": True})
    packets, segments = ("Ip6InReceives", "Ip6InNoECTPkts") if v6 else ("IpInReceives", "IpExtInNoECTPkts")
    before = c.counter(packets), c.counter(segments), c.state()["segs_in"]
    assert arrived(c, *[{"length": mss}] * 3) == [3 * mss]
    after = c.counter(packets), c.counter(segments), c.state()["segs_in"]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 3, 3]  # gso_segs
    c.expect(".", ack=3 * mss)
    assert c.state()["icsk_ack.rcv_mss"] == mss  # gso_size, not the length
    c.close()


def test_what_comes_one_by_one_is_not_merged():
    c = open_()
    for _ in range(3):
        assert arrived(c, FULL) == [MSS]
    c.close()


@pytest.mark.parametrize("device", [
    {"rx": "nic", "gro": False}, {"rx": "veth", "gro": False}, {"rx": "tun", "gro": True}, {"rx": "vnet", "gro": True},
])
def test_without_gro_each_goes_up_alone(device):
    """TUN has the feature and no NAPI."""
    c = open_(device=device)
    assert arrived(c, FULL, FULL, FULL) == [MSS] * 3
    c.close()


def test_a_veth_merges_too():
    c = open_(device={"rx": "veth", "gro": True})
    assert arrived(c, FULL, FULL, FULL) == [3 * MSS]
    c.close()


def test_a_short_segment_is_the_last():
    c = open_()
    assert arrived(c, FULL, {"length": 100}, FULL, FULL) == [MSS + 100, 2 * MSS]
    c.close()


def test_a_longer_segment_begins_anew():
    c = open_()
    assert arrived(c, {"length": 500}, FULL, FULL) == [500, 2 * MSS]
    c.close()


def test_push_ends_it():
    """Somebody waits for what it completes."""
    c = open_()
    assert arrived(c, FULL, PUSH, FULL, FULL) == [2 * MSS, 2 * MSS]
    c.close()


def test_fin_is_merged_and_seen():
    c = open_()
    assert arrived(c, FULL, {"length": MSS, "flags": "F."}) == [2 * MSS]
    assert c.name_of_state() == "CLOSE_WAIT"
    c.close()


def test_pure_acks_are_not_held():
    """An ACK that waited for more would be late; and one that comes completes what is held, to keep the order."""
    c = open_()
    assert arrived(c, {"length": 0}, {"length": 0}) == [0, 0]
    assert arrived(c, FULL, {"length": 0}, FULL) == [MSS, 0, MSS]
    c.close()


@pytest.mark.parametrize("second", [
    {"window": 60000}, {"ack": 0, "flags": "."}, {"flags": ".E"}, {"flags": ".W"}, {"ttl": 63}, {"ecn": 3},
    {"ident": 5}, {"options": {"raw": b"\1\1", "ts": (7, 1)}}, {"flags": ".U", "urgent": 1},
])
def test_headers_must_be_alike(second):
    c = open_(options={"mss": MSS, "sack": True, "ts": (1000, 0)})
    c.ok("send", SLOT, 10)
    c.expect("P.", length=10)
    assert arrived(c, FULL, {**FULL, **second}) == [MSS, MSS]
    c.close()


@pytest.mark.parametrize(("second", "merged"), [({"label": 77}, False), ({"ecn": 1}, False), ({"ttl": 63}, False),
                                                ({"label": 0}, True)])
def test_ipv6_headers_must_be_alike(second, merged):
    c = open_(v6=True)
    assert arrived(c, {"length": MSS6}, {"length": MSS6, **second}) == ([2 * MSS6] if merged else [MSS6, MSS6])
    c.close()


def test_ids_count_up_or_stay():
    """RFC 6864: where fragments are forbidden the id means nothing; GRO wants it to do the same all the time."""
    c = open_()
    up = [{**FULL, "ident": 0xFFFE + i & 0xFFFF} for i in range(4)]
    assert arrived(c, *up) == [4 * MSS]
    assert arrived(c, *[FULL] * 3) == [3 * MSS]
    assert arrived(c, {**FULL, "ident": 1}, {**FULL, "ident": 1}, {**FULL, "ident": 2}) == [2 * MSS, MSS]
    c.close()


def test_a_gap_is_not_bridged():
    c = open_()
    c.together({**FULL, "seq": 0}, {**FULL, "seq": 2 * MSS}, {**FULL, "seq": 3 * MSS})
    c.expect(".", ack=MSS)
    c.expect(".", ack=MSS, options={"blocks": [(2 * MSS, 4 * MSS)]})
    assert c.counter("TCPOFOQueue") == 1
    c.close()


def test_a_wrong_checksum_is_not_merged():
    """It goes up on its own, and before what is held, which a good copy is merged with."""
    c = open_()
    assert arrived(c, FULL, {**FULL, "bad_checksum": True}, {**FULL, "seq": MSS}) == [MSS, 2 * MSS]
    assert c.counter("TcpInCsumErrors") == 1
    assert (c.state()["rcv_nxt"] - c.state()["copied_seq"]) & U32 == 2 * MSS
    c.close()


# -- how much

def test_64_kib_are_the_limit():
    c = open_(options={"mss": MSS, "ws": 7})
    most = (65535 - 40) // MSS
    assert arrived(c, *[FULL] * (most + 3)) == [most * MSS, 3 * MSS]
    c.close()


def test_gro_max_size_of_the_device():
    c = open_(device={**NIC, "gro_max_size": 10000})
    assert arrived(c, *[FULL] * 8) == [6 * MSS, 2 * MSS]
    c.close()


@pytest.mark.parametrize(("hz", "lengths"), [(250, [64 * 500, 6 * 500]), (1000, [70 * 500])])
def test_a_poll_takes_64_packets(hz, lengths):
    """__napi_poll(): with slow ticks nothing is left waiting when the driver is called again."""
    c = open_(hz=hz, clock={"mono_to_real_ns": EPOCH - 1000 * 10**9})
    assert arrived(c, *[{"length": 500}] * 70) == lengths
    c.close()


def jhash(*words):
    """jhash_3words(), as far as the device's hash needs it."""
    a, b, c = ((w + 0xDEADBEEF + 12) & U32 for w in words)
    for x, k in (("c", 14), ("a", 11), ("b", 25), ("c", 16), ("a", 4), ("b", 14), ("c", 24)):
        v = {"a": (a, c), "b": (b, a), "c": (c, b)}[x]
        new = ((v[0] ^ v[1]) - (v[1] << k | v[1] >> 32 - k)) & U32
        a, b, c = (new, b, c) if x == "a" else (a, new, c) if x == "b" else (a, b, new)
    return c


def bucket(packet):
    return jhash(*struct.unpack("<III", packet[12:24])) & 7


@pytest.mark.parametrize(("flows", "packets"), [(8, 8), (9, 18)])
def test_a_bucket_holds_eight_packets(flows, packets):
    """The ninth flow pushes the oldest out, whose second segment then pushes out the next, and so on."""
    host = new_host(device=NIC)
    ports = [p for p in range(20000, 22000)
             if bucket(tcp_packet(".", 1, 1, 100, sport=p)) == 3][:flows]
    assert len(ports) == flows
    two = [tcp_packet(".", 1 + 100 * i, 1, 100, sport=p) for i in range(2) for p in ports]
    host.receive_together(two)
    assert host.counters()["IpInReceives"] == packets
    assert host.counters()["IpExtInNoECTPkts"] == 2 * flows
    host.close()


# -- what the socket sees of it

@pytest.mark.parametrize(("rx", "count", "truesize"), [
    # each segment but the first leaves its sk_buff behind: 256 bytes of 2304
    ("nic", 1, 2304), ("nic", 3, 2304 + 2 * 2048),
    # the 19th finds no place for its page and is chained as it is; the 20th's page is that one's
    ("nic", 20, 2304 + 17 * 2048 + 2304 + 2048),
    # a head of 256 + 320 bytes and the sk_buff, and nothing but payload of the others; the 18th is chained as it is
    ("veth", 1, 832 + 1000), ("veth", 17, 832 + 17 * 1000), ("veth", 19, 2 * 832 + 19 * 1000),
])
def test_truesize(rx, count, truesize):
    c = open_(device={**NIC, "rx": rx})
    assert arrived(c, *[{"length": 1000}] * count) == [count * 1000]
    assert c.state()["sk_backlog.rmem_alloc"] == truesize
    c.close()


def test_merged_segments_count_as_many_dupacks():
    """Without SACK each segment behind a hole asks for an ACK; one merged packet sends one."""
    c = open_(options={"mss": MSS})
    c.together({**FULL, "seq": MSS}, {**FULL, "seq": 2 * MSS})
    c.expect(".", ack=0)
    c.expect_nothing()
    assert c.counter("TCPOFOQueue") == 1
    c.close()


def test_the_bytes_in_the_capture_stay_as_they_are():
    """Headers are changed in the packet's own copy: the buffer may be somebody's file."""
    c = open_()
    packets = [c.packet(".", length=MSS) for _ in range(2)] + [c.packet("P.", length=MSS)]
    copies = [bytes(bytearray(p)) for p in packets]
    c.host.receive_together(packets)
    assert c.host.probes()[-1]["data_len"] == 3 * MSS
    assert packets == copies
    c.close()


def test_packets_of_both_versions_in_one_poll():
    """__netif_receive_skb_list_core(): one list a protocol."""
    host = new_host(device={**NIC, "gro": False})
    host.receive_together([tcp_packet(".", 1, 1, src=PEER), tcp_packet(".", 1, 1, src=PEER6, dst="fd77::1"),
                           tcp_packet(".", 1, 1, src=PEER)])
    counters = host.counters()
    assert (counters["IpInReceives"], counters["Ip6InReceives"], counters["TcpOutRsts"]) == (2, 1, 3)
    host.close()


# -- a capture: in front of GRO, or behind it?

def replayed(lengths, gap, **device):
    """How many packets IP gets of segments that come `gap` ns apart."""
    host = Host(device={**NIC, **device})
    ends = [sum(lengths[:i]) for i in range(len(lengths))]
    packets = [tcp_packet(".", 1 + at, 1, n) for at, n in zip(ends, lengths, strict=True)]
    sizes = array("q", map(len, packets))
    starts = array("q", [sum(sizes[:i]) for i in range(len(sizes))])
    times = array("q", [EPOCH + gap * i for i in range(len(sizes))])
    host.load(bytearray(b"".join(packets)), times, starts, sizes, sizes)
    host.run(EPOCH + 10**9)
    count = host.counters()["IpInReceives"]
    host.close()
    return count


@pytest.mark.parametrize(("gap", "device", "packets"), [
    (1000, {}, 1), (0, {}, 1), (30_000, {}, 4),
    (30_000, {"rx_usecs": 30}, 2), (30_000, {"rx_usecs": 100}, 1),  # 1 us of it goes to each packet that is handled
    (1000, {"rx_usecs": 0}, 4), (0, {"rx_usecs": 0}, 1), (1000, {"before_gro": False}, 4),
])
def test_full_segments_one_behind_the_other_were_captured_in_front_of_gro(gap, device, packets):
    assert replayed([1000] * 4, gap, **device) == packets


def test_a_packet_above_the_mtu_was_captured_behind_gro():
    assert replayed([1000, 1000, 2000, 1000], 1000) == 4
    assert replayed([1000, 1000, 2000, 1000], 1000, before_gro=True) == 3  # the large one ends what is held


def test_small_segments_say_nothing():
    """They may have been in one poll and have been flushed, as each was pushed."""
    assert replayed([100] * 4, 1000) == 4
