# SPDX-License-Identifier: GPL-2.0-only
"""A capture replayed window by window says what it says in one piece, in memory that does not grow with it."""

import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from driverlib import ACK, CLIENT, FIN, MS, SERVER, SYN, T0, ip_tcp, pcap, walk

from kpath import capture, compare
from kpath.bench import captures, cases
from kpath.pairing import Pairing
from kpath.replay import replay
from kpath.segments import Table, packed

TRACES = Path(__file__).resolve().parents[2] / "traces"


def told(path, window, host=None):
    """The summary of a replay."""
    result = replay(str(path), host=host, probes=False, window=window)
    try:
        return compare.summary(result)
    finally:
        result.close()


@pytest.fixture(scope="module", params=["download", "upload", "requests", "40-flows"])
def made(request, tmp_path_factory):
    """A capture of 6,000 packets."""
    return captures.make(request.param, 6000, tmp_path_factory.mktemp("windows"))


@pytest.mark.parametrize("window", [5999, 2500, 400, 61])
def test_all_that_is_told_is_the_same(made, window):
    whole = told(made, capture.WHOLE, cases.HOST_FILE)
    assert whole["packets"] == 6000 and whole["segments_captured"] > 600
    assert told(made, window, cases.HOST_FILE) == whole


@pytest.mark.parametrize("trace", ["download/client", "loss/client", "slow-link/client", "slow-reader/server",
                                   "upload/client", "half-close/server", "zero-window/server", "loss-ipv6/client"])
def test_the_same_for_what_was_recorded(trace):
    path, host = TRACES / f"{trace}.pcap", str(TRACES / f"{trace}.host.json")
    packets = capture.read(str(path)).packets
    whole = told(path, capture.WHOLE, host)
    assert told(path, packets // 2 + 1, host) == whole


def test_faults_have_the_number_of_their_packet(tmp_path):
    """Two broken packets in the last window, and the file is cut there."""
    records = [(T0, ip_tcp(CLIENT, 1, SERVER, 2, 9, flags=SYN))]
    records += [(T0 + i * MS, ip_tcp(SERVER, 2, CLIENT, 1, 5, 10, flags=ACK)) for i in range(1, 10)]
    records[7:7] = [(T0 + 6 * MS, b"\x45" + bytes(10))] * 2
    path = tmp_path / "broken.pcap"
    path.write_bytes(pcap(records) + bytes(7))
    for window in (capture.WHOLE, 5, 3):
        result = replay(str(path), local=[CLIENT], window=window)
        result.close()
        assert [w.partition("packet ")[2] for w in result.warnings] == [
            "13: expected a record header of 16 bytes, found 7; replayed up to there",
            "8: expected an IP header of 20 bytes, found 11 (1 more)"], window
        assert result.status == 2


def test_a_connection_that_was_open_is_counted_in_whichever_window_it_shows(tmp_path):
    records = [(T0, ip_tcp(CLIENT, 1, SERVER, 2, 9, flags=SYN))]
    records += [(T0 + i * MS, ip_tcp(CLIENT, 7 + i, SERVER, 2, 5, 10, flags=ACK, payload=b"x")) for i in range(1, 9)]
    path = tmp_path / "open.pcap"
    path.write_bytes(pcap(records))
    for window in (capture.WHOLE, 4, 1):
        result = replay(str(path), local=[CLIENT], window=window)
        result.close()
        assert result.skipped == 8
        assert any("and 7 more: open before the capture began" in w for w in result.warnings)


def outcome(a, b, cuts):
    """What the pairing says of two sequences that come in pieces: `cuts` are pairs of places."""
    cap, emi = Table(), Table()
    pairing = Pairing(cap, emi)
    for i, ((a0, b0), (a1, b1)) in enumerate(zip(cuts, cuts[1:], strict=False)):
        cap.read(walk([(T0 + x, p) for x, p in a[a0:a1]]), a1 - a0)
        if i:
            cap.split_on()
        else:
            cap.split([(packed(CLIENT), 0)])
        emi.read(walk([(T0 + x, p) for x, p in b[b0:b1]]), b1 - b0)
        emi.adopt(cap)
        pairing.add(range(1 + a0, 1 + a1), a1 == len(a) and b1 == len(b))
    packet = (pairing.first_segments() or [None])[0]
    return pairing.matched, pairing.differences(), pairing.first(), packet, pairing.connection(0)


@pytest.mark.parametrize("seed", range(40))
def test_pairing_in_pieces_is_pairing_at_once(seed):
    """Sequences with a few edits, far enough apart to agree in between; one is ahead of the other at every cut."""
    rng = random.Random(seed)
    a = [(i, ip_tcp(CLIENT, 1, SERVER, 2, 1000 + i, 1)) for i in range(900)]
    b = list(a)
    for at in sorted(rng.sample(range(5, 800, 90), rng.randrange(5)), reverse=True):
        what = rng.randrange(3)
        changed = (at, ip_tcp(CLIENT, 1, SERVER, 2, 1000 + at, 1, flags=ACK | FIN))
        b[at : at + (what > 0)] = [changed] if what < 2 else []
    opening = [(0, ip_tcp(CLIENT, 1, SERVER, 2, 999, flags=SYN))]
    a, b = opening + a, opening + b
    at_once = outcome(a, b, [(0, 0), (len(a), len(b))])
    places = sorted(rng.sample(range(100, 890), 4))
    behind = list(zip(places, sorted(max(1, x - rng.randrange(90)) for x in places), strict=True))
    ahead = [(y, x) for x, y in behind]
    for cuts in (behind, ahead):
        assert outcome(a, b, [(0, 0), *cuts, (len(a), len(b))]) == at_once


def test_what_waits_for_a_later_window_can_be_the_first_that_differs():
    """The headers of what waits are kept only while they may be asked for: here the SACK block of an ACK that waits."""
    a = [(0, ip_tcp(CLIENT, 1, SERVER, 2, 999, flags=SYN))]
    block = b"\x01\x01\x05\x0a" + struct.pack("!II", 7000, 8000)
    b = [*a, (1, ip_tcp(CLIENT, 1, SERVER, 2, 1000, 5, options=block))]
    cap, emi = Table(), Table()
    pairing = Pairing(cap, emi)
    for last, captured, emitted in ((False, a, b), (True, [(2, ip_tcp(SERVER, 2, CLIENT, 1, 5, 1000))], [])):
        cap.read(walk([(T0 + x, p) for x, p in captured]), 1)
        if last:
            cap.split_on()
        else:
            cap.split([(packed(CLIENT), 0)])
        emi.read(walk([(T0 + x, p) for x, p in emitted]), len(emitted))
        emi.adopt(cap)
        pairing.add(range(1, 2), last)
    assert pairing.first() == (-1, 1, ["extra"])
    assert pairing.first_segments()[2]["sack"] == [(7000, 8000)]


RSS = """
import sys
from kpath.replay import replay
result = replay(sys.argv[1], host={"clock": {"mono_to_real_ns": int(sys.argv[2])}}, probes=False, window=2000)
assert result.pairing.matched > 5000
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("kind", ["download", "upload"])
def test_memory_does_not_grow_with_the_capture(kind, tmp_path):
    """In one piece 150,000 packets more would take 30 MB more."""
    used = []
    for n in (50_000, 200_000):
        path = captures.make(kind, n, tmp_path)
        zero = cases.HOST_FILE["clock"]["mono_to_real_ns"]
        used.append(int(subprocess.run([sys.executable, "-c", RSS, path, str(zero)], check=True, capture_output=True,
                                       text=True).stdout))
    assert used[1] - used[0] < 2000, used


def test_checksums_that_are_filled_in_last_until_their_packet_has_arrived(tmp_path):
    """ACKs of a peer with checksum offload, of which a window has many that wait: a long write is under way."""
    path = captures.make("upload", 6000, tmp_path)
    data = bytearray(path.read_bytes())
    at, partial = 24, 0
    while at < len(data):
        size, ip = struct.unpack_from("<I", data, at + 8)[0], at + 16
        if data[ip + 12 : ip + 16] == captures.PEER_BYTES:
            pseudo = sum(struct.unpack_from("!4H", data, ip + 12)) + 6 + struct.unpack_from("!H", data, ip + 2)[0] - 20
            struct.pack_into("!H", data, ip + 36, (pseudo & 0xFFFF) + (pseudo >> 16))
            partial += 1
        at = ip + size
    path.write_bytes(data)
    whole = told(path, capture.WHOLE, cases.HOST_FILE)
    assert partial > 1500 and whole["segments_matched"] > 3000 and "TcpInCsumErrors" not in whole["counters"]
    assert told(path, 250, cases.HOST_FILE) == whole
