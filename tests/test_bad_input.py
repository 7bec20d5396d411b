# SPDX-License-Identifier: GPL-2.0-only
"""Bad input against the real kernel side: the line it gives, the exit status, and that the rest is still replayed."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from altered import Capture

ROOT = Path(__file__).parent.parent
BASE = ROOT / "traces" / "handshake" / "client"


def kpath(path, *options, host=f"{BASE}.host.json", calls=f"{BASE}.calls.jsonl"):
    argv = [sys.executable, "-m", "kpath", "replay", str(path), "--host", str(host), "--syscalls", str(calls), "--json"]
    done = subprocess.run([*argv, *options], cwd=ROOT, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr.splitlines()


@pytest.fixture
def capture():
    return Capture(BASE.with_suffix(".pcap"))


def add_copy(capture, change):
    """A copy of the last data packet that arrived, damaged, behind the capture's last packet."""
    sent = capture.sent()
    last = max(i for i in range(len(capture.packets)) if i not in sent)
    head, packet = capture.packets[last]
    packet = bytearray(packet)
    change(packet, capture.ip, capture.tcp_at(last))
    stamp = capture.packets[-1][0][:8]
    capture.packets.append((stamp + head[8:], bytes(packet)))
    return len(capture.packets)


def mend_ip(packet, ip):
    struct.pack_into("!H", packet, ip + 10, 0)
    total = sum(struct.unpack_from("!10H", packet, ip))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", packet, ip + 10, ~total & 0xFFFF)


def wrong_checksum(packet, ip, tcp):
    packet[tcp + 16] ^= 0x55


def data_offset_beyond(packet, ip, tcp):
    packet[tcp + 12] = 0xF0 | packet[tcp + 12] & 15


def data_offset_short(packet, ip, tcp):
    packet[tcp + 12] = 0x40 | packet[tcp + 12] & 15


def total_length_beyond(packet, ip, tcp):
    struct.pack_into("!H", packet, ip + 2, 1500)
    mend_ip(packet, ip)


def fragment(packet, ip, tcp):
    struct.pack_into("!H", packet, ip + 6, 0x2000)
    mend_ip(packet, ip)


@pytest.mark.parametrize(("change", "counter", "line"), [
    (wrong_checksum, "TcpInCsumErrors", None),
    (data_offset_beyond, None, "expected a TCP header of 20 bytes or more that lies within the packet"),
    (data_offset_short, "TcpInErrs", "expected a TCP header of 20 bytes or more that lies within the packet"),
    (total_length_beyond, "IpExtInTruncatedPkts", "expected an IP packet of the length that its header gives"),
    (fragment, None, "IP fragments are not supported"),
])  # fmt: skip
def test_a_faulty_packet_is_dropped_and_the_rest_agrees(capture, tmp_path, change, counter, line):
    number = add_copy(capture, change)
    capture.write(tmp_path / "x.pcap")
    status, result, err = kpath(tmp_path / "x.pcap")
    assert (status, result["segments_matched"], result["segments_captured"]) == (0, 6, 6)
    assert counter is None or result["counters"][counter] == 1
    assert len(err) == (line is not None)
    assert line is None or f"packet {number}: {line}" in err[0]


def test_a_capture_cut_short_is_replayed_up_to_there(tmp_path):
    data = BASE.with_suffix(".pcap").read_bytes()
    (tmp_path / "x.pcap").write_bytes(data[:-5])
    status, result, err = kpath(tmp_path / "x.pcap")
    assert status == 2 and result["segments_matched"] >= 5
    assert len(err) == 1 and err[0].endswith("; replayed up to there")


@pytest.mark.parametrize(("setting", "line"), [
    ("net.ipv4.tcp_warp=1", "no such sysctl in Linux 6.18: net.ipv4.tcp_warp"),
    ("ipv4.tcp_sack=banana", "net.ipv4.tcp_sack"),
    ("ipv4.tcp_rmem=4096 x 9", "net.ipv4.tcp_rmem"),
])  # fmt: skip
def test_sysctls_that_the_kernel_refuses(setting, line):
    status, result, err = kpath(BASE.with_suffix(".pcap"), "--sysctl", setting)
    assert (status, result) == (2, None)
    assert len(err) == 1 and err[0].startswith("kpath: --sysctl") and line in err[0]


@pytest.mark.parametrize(("change", "line"), [
    ({"hz": 0}, "hz"), ({"device": {"mtu": 10}}, "mtu"), ({"device": {"rx": "pigeon"}}, "pigeon"),
    ({"addr": ["10.0.0.300"]}, "10.0.0.300"), ({"qdisc": "qdisc sundial 0:"}, "sundial"),
    ({"clock": {"mono_to_real_ns": 2**62, "tick_ns": 4000000, "jiffies_minus_mono_ticks": 0}}, "clock"),
])  # fmt: skip
def test_host_values_that_make_no_sense(tmp_path, change, line):
    host = json.loads(Path(f"{BASE}.host.json").read_text())
    (tmp_path / "h.json").write_text(json.dumps(host | change))
    status, result, err = kpath(BASE.with_suffix(".pcap"), "--local", host["addr"][0], host=tmp_path / "h.json")
    assert (status, result) == (2, None)
    assert len(err) == 1 and line in err[0]


def test_calls_of_another_time(tmp_path):
    lines = [json.loads(x) for x in Path(f"{BASE}.calls.jsonl").read_text().splitlines()]
    for call in lines:
        call["t0"], call["t1"] = call["t0"] + 10**18, call["t1"] + 10**18
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    status, result, err = kpath(BASE.with_suffix(".pcap"), calls=tmp_path / "c.jsonl")
    assert (status, result) == (2, None)
    assert len(err) == 1 and "c.jsonl" in err[0]
