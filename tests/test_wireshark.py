# SPDX-License-Identifier: GPL-2.0-only
"""Wireshark reads what `-w` wrote, without a complaint."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TSHARK = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (apt install tshark)")
CHECKSUMS = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]


def emitted(name, side, path):
    base = ROOT / "traces" / name / side
    argv = [sys.executable, "-m", "kpath", "replay", f"{base}.pcap", "--host", f"{base}.host.json"]
    subprocess.run([*argv, "--syscalls", f"{base}.calls.jsonl", "-q", "-w", str(path)], cwd=ROOT, timeout=60)
    return path


def tshark(path, *more):
    done = subprocess.run(["tshark", "-r", str(path), *CHECKSUMS, *more], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@TSHARK
@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
@pytest.mark.parametrize(("name", "side", "segments"), [("handshake", "client", 6), ("loss", "client", 75)])
def test_tshark_finds_nothing_wrong(tmp_path, name, side, segments, suffix):
    path = emitted(name, side, tmp_path / f"out.{suffix}")
    assert len(tshark(path)) == segments
    assert tshark(path, "-Y", "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0") == []


@TSHARK
def test_tshark_would_have_found_it(tmp_path):
    """The check itself: a byte altered without its checksum is noticed."""
    path = emitted("handshake", "client", tmp_path / "out.pcap")
    data = bytearray(path.read_bytes())
    data[-3] ^= 1  # of the last packet's TCP header or options
    path.write_bytes(data)
    assert len(tshark(path, "-Y", "tcp.checksum.status == 0")) == 1


@TSHARK
@pytest.mark.skipif(importlib.util.find_spec("pyshark") is None,
                    reason="pyshark is not installed (pip install .[wireshark])")
def test_pyshark_reads_every_segment(tmp_path):
    import pyshark

    path = emitted("loss", "client", tmp_path / "out.pcap")
    with pyshark.FileCapture(str(path), custom_parameters=CHECKSUMS) as capture:
        packets = list(capture)
    assert len(packets) == 75
    for packet in packets:
        assert "_ws.malformed" not in packet
        assert packet.ip.checksum_status == "1"
        assert packet.tcp.checksum_status in ("1", "2")  # good, or not to be told: payload that no capture held
    assert packets[0].tcp.flags_syn in ("1", "True")
