# SPDX-License-Identifier: GPL-2.0-only
"""Every capture under traces/, replayed with its recorded calls and with inferred ones.

The share is segments_matched over the larger of captured and emitted, as the score counts it. The minimum is what was
measured; raise it when a replay gets better, never lower it.
"""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KEYS = {"capture", "local", "kernel", "packets_in", "segments_captured", "segments_emitted", "segments_matched",
        "counters", "first_divergence", "differences", "calls", "connections"}  # interfaces.md
DIVERGENCE = {"packet", "field", "expected", "emitted", "why"}
#: trace, side: segments that the host sent, matched at least with recorded calls, share at least with inferred ones
TRACES = {
    ("cork", "client"): (6, 6, 4 / 7),
    ("download", "client"): (30, 30, 7 / 47),
    ("half-close", "server"): (46, 46, 1.0),
    ("handshake", "client"): (6, 6, 1.0),
    ("loss", "client"): (75, 75, 72 / 76),
    ("loss-ipv6", "client"): (37, 37, 1.0),
    ("nagle", "client"): (6, 6, 1.0),
    ("request", "server"): (13, 13, 1.0),
    ("reset-in-window", "client"): (9, 9, 1.0),
    ("signed", "client"): (19, 19, 0.0),
    ("signed", "server"): (18, 18, 0.0),
    ("slow-link", "client"): (112, 111, 106 / 112),
    ("slow-reader", "server"): (36, 36, 0.0),
    ("syn-lost", "client"): (7, 7, 1.0),
    ("tail-loss", "client"): (26, 25, 25 / 26),
    ("think", "client"): (9, 9, 1.0),
    ("too-big-ipv6", "client"): (81, 81, 70 / 81),
    ("upload", "client"): (39, 39, 1.0),
    ("zero-window", "server"): (13, 13, 0.0),
}


def replay(name, side, *more):
    """(exit status, the JSON object) of the command, run as a user would."""
    base = ROOT / "traces" / name / side
    argv = [sys.executable, "-m", "kpath", "replay", f"{base}.pcap", "--host", f"{base}.host.json", "--json", "-q"]
    done = subprocess.run([*argv, *more], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def share(result):
    return result["segments_matched"] / max(result["segments_captured"], result["segments_emitted"])


def test_every_trace_is_listed():
    found = {(p.parent.name, p.stem) for p in (ROOT / "traces").glob("*/*.pcap")}
    assert found == set(TRACES)


@pytest.mark.parametrize(("name", "side"), TRACES, ids=lambda x: x)
def test_recorded(name, side):
    sent, matched, _ = TRACES[name, side]
    status, result = replay(name, side, "--syscalls", f"traces/{name}/{side}.calls.jsonl")
    assert set(result) >= KEYS
    assert result["calls"] == "recorded"
    assert result["segments_captured"] == result["segments_emitted"] == sent
    assert result["segments_matched"] >= matched
    assert status == (0 if result["segments_matched"] == sent else 1)


@pytest.mark.parametrize(("name", "side"), TRACES, ids=lambda x: x)
def test_inferred(name, side):
    sent, _, least = TRACES[name, side]
    status, result = replay(name, side)
    assert set(result) >= KEYS
    assert result["calls"] == "inferred"
    assert result["segments_captured"] == sent
    assert share(result) >= least
    assert status == (0 if share(result) == 1 else 1)
    if status:
        assert set(result["first_divergence"]) >= DIVERGENCE
        assert result["differences"]


def test_a_loss_is_seen_in_the_result():
    """One connection, its four-tuple, its counters: the segment that was lost, sent once more (RFC 6675)."""
    _, result = replay("loss", "client", "--syscalls", "traces/loss/client.calls.jsonl")
    (connection,) = result["connections"]
    assert connection["tcp_info"]["tcpi_total_retrans"] == 1
    assert result["counters"]["TcpRetransSegs"] == 1
    assert result["counters"]["TCPSackRecovery"] == 1
    assert result["first_divergence"] is None
    assert result["differences"] == {}


def test_a_replay_is_the_same_twice():
    first = replay("loss", "client", "--syscalls", "traces/loss/client.calls.jsonl")
    assert replay("loss", "client", "--syscalls", "traces/loss/client.calls.jsonl") == first


def test_what_the_host_sent_does_not_enter_the_replay(tmp_path):
    """design.md: with recorded calls, all that the local side sent but its SYN can go, and the same is emitted."""
    from altered import Capture

    base = ROOT / "traces" / "loss" / "client"
    whole, bare = tmp_path / "whole.pcap", tmp_path / "bare.pcap"
    capture = Capture(base.with_suffix(".pcap"))
    sent = capture.sent()
    capture.keep(lambda i: i not in sent[1:])
    capture.write(tmp_path / "in.pcap")
    tail = ["--host", f"{base}.host.json", "--syscalls", f"{base}.calls.jsonl", "-q", "-w"]
    for source, target in ((f"{base}.pcap", whole), (str(tmp_path / "in.pcap"), bare)):
        subprocess.run([sys.executable, "-m", "kpath", "replay", source, *tail, str(target)], cwd=ROOT, timeout=60)
    assert Capture(whole).packets == Capture(bare).packets
    assert len(Capture(whole).packets) == len(sent)


def test_without_the_key_nothing_is_answered(tmp_path):
    """The peer's signatures are nothing that a socket without a key believes (TCPMD5Unexpected)."""
    calls = (ROOT / "traces/signed/server.calls.jsonl").read_text().splitlines(keepends=True)
    without = tmp_path / "calls.jsonl"
    without.write_text("".join(line for line in calls if "TCP_MD5SIG" not in line))
    status, result = replay("signed", "server", "--syscalls", str(without))
    assert (status, result["segments_emitted"]) == (1, 0)
    assert result["counters"]["TCPMD5Unexpected"] > 0


def test_another_key_does_not_agree(tmp_path):
    calls = (ROOT / "traces/signed/client.calls.jsonl").read_text().replace("not a secret", "not the secret")
    other = tmp_path / "calls.jsonl"
    other.write_text(calls)
    status, result = replay("signed", "client", "--syscalls", str(other))
    assert status == 1
    assert result["first_divergence"]["field"] == "options"
    assert result["counters"]["TCPMD5Failure"] > 0


def test_what_was_cut_cannot_be_signed(tmp_path):
    """A capture with a snap length: the warning says that the signatures of such segments cannot agree."""
    from kpath import replay as run
    data = (ROOT / "traces/signed/server.pcap").read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(shortened(data, 96))
    result = run(str(cut), host=str(ROOT / "traces/signed/server.host.json"),
                 syscalls=str(ROOT / "traces/signed/server.calls.jsonl"))
    try:
        assert any("14 signed segments are cut short" in w or "15 signed" in w for w in result.warnings)
        assert result.host.counters().get("TCPMD5Failure", 0) == 0  # what arrived cut is believed
        assert len(result.emitted) == 18
    finally:
        result.close()


def shortened(pcap, snaplen):
    """A capture with no more than so many bytes of each packet."""
    out, at = [pcap[:24]], 24
    while at < len(pcap):
        seconds, part, held, length = struct.unpack_from("=IIII", pcap, at)
        keep = min(held, snaplen)
        out += [struct.pack("=IIII", seconds, part, keep, length), pcap[at + 16:at + 16 + keep]]
        at += 16 + held
    return b"".join(out)
