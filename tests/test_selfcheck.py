# SPDX-License-Identifier: GPL-2.0-only
"""The comparison, tested with captures that must fail: one thing altered in what the host sent, and that one named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from altered import Capture

ROOT = Path(__file__).parent.parent
BASE = ROOT / "traces" / "handshake" / "client"
PSH, MSS_OPTION, TS_OPTION = 8, 2, 8
#: index among the segments that the client sent: SYN, ACK, request, ...
SYN, ACK, REQUEST = 0, 1, 2


def compare(capture, tmp_path):
    path = tmp_path / "altered.pcap"
    capture.write(path)
    argv = [sys.executable, "-m", "kpath", "replay", str(path), "--host", f"{BASE}.host.json"]
    done = subprocess.run([*argv, "--syscalls", f"{BASE}.calls.jsonl", "--json", "-q"], cwd=ROOT, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def capture():
    return Capture(BASE.with_suffix(".pcap"))


def test_the_capture_as_it_is_agrees(capture, tmp_path):
    status, result = compare(capture, tmp_path)
    assert (status, result["first_divergence"], result["segments_matched"]) == (0, None, 6)


@pytest.mark.parametrize(("field", "segment", "offset", "flip"), [
    ("window", REQUEST, 15, 1),
    ("window", SYN, 14, 1),
    ("flags", REQUEST, 13, PSH),
    ("ack", REQUEST, 11, 1),
    ("flags", ACK, 13, PSH),
])
def test_a_byte_of_the_header(capture, tmp_path, field, segment, offset, flip):
    i = capture.sent()[segment]
    capture.change(i, capture.tcp_at(i) + offset, flip)
    status, result = compare(capture, tmp_path)
    assert status == 1
    assert result["first_divergence"]["packet"] == i + 1
    assert result["first_divergence"]["field"] == field
    assert result["differences"] == {field: 1}
    assert result["segments_matched"] == 5


def test_a_sequence_number(capture, tmp_path):
    """The request one byte further on: no longer the same bytes, so it counts as another segment or as a wrong seq."""
    i = capture.sent()[REQUEST]
    capture.change(i, capture.tcp_at(i) + 7, 1)
    status, result = compare(capture, tmp_path)
    assert status == 1
    assert result["first_divergence"]["packet"] == i + 1
    assert result["first_divergence"]["field"] in ("seq", "missing")
    assert result["segments_matched"] == 5


def test_an_option(capture, tmp_path):
    """The SYN announces another MSS than the host would."""
    i = capture.sent()[SYN]
    capture.change(i, capture.option(i, MSS_OPTION) + 3, 4)
    status, result = compare(capture, tmp_path)
    assert status == 1
    assert result["first_divergence"]["field"] == "options"
    assert result["first_divergence"]["packet"] == i + 1


def test_a_timestamp(capture, tmp_path):
    """TSval 16 ms off: four ticks, where one is allowed."""
    i = capture.sent()[REQUEST]
    capture.change(i, capture.option(i, TS_OPTION) + 5, 16)
    status, result = compare(capture, tmp_path)
    assert status == 1
    assert result["first_divergence"]["field"] == "tsval"
    assert result["differences"] == {"tsval": 1}


def test_a_segment_removed(capture, tmp_path):
    """The capture lacks a segment that the host must have sent: ours is one too many."""
    i = capture.sent()[3]
    capture.keep(lambda k: k != i)
    status, result = compare(capture, tmp_path)
    assert status == 1
    assert result["differences"] == {"extra": 1}
    assert (result["segments_captured"], result["segments_emitted"], result["segments_matched"]) == (5, 6, 5)


def test_a_segment_added(capture, tmp_path):
    """The capture has a segment twice: once it is missing in what was emitted."""
    capture.repeat(capture.sent()[REQUEST])
    status, result = compare(capture, tmp_path)
    assert status == 1
    assert result["differences"] == {"missing": 1}
    assert (result["segments_captured"], result["segments_emitted"], result["segments_matched"]) == (7, 6, 6)


def test_a_segment_of_the_peer_removed(capture, tmp_path):
    """Without the answer's last segment the host acknowledges less: what arrives decides, and it shows."""
    sent = set(capture.sent())
    answers = [k for k in range(len(capture.packets)) if k not in sent and len(capture.packets[k][1]) > 120]
    capture.keep(lambda k: k != answers[0])
    status, result = compare(capture, tmp_path)
    assert status == 1
    assert result["segments_matched"] < 6
