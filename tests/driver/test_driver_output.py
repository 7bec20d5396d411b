# ruff: noqa: E501  (tables)
# SPDX-License-Identifier: GPL-2.0-only
"""What is written: segments (read back, and by Wireshark where it is there), records, JSON, the report."""

import builtins
import csv
import io
import json
import shutil
import subprocess

import pytest
from driverlib import ACK, CLIENT, MS, PSH, SERVER, T0, conversation, ip_tcp, pcap, sent_by

from kpath import capture

KEYS = {
    "capture", "local", "kernel", "packets_in", "segments_captured", "segments_emitted", "segments_matched", "counters",
    "first_divergence", "differences", "calls", "connections", "tolerances",
}  # fmt: skip


def packets(path):
    cap = capture.read(str(path))
    rows = map(cap.table.row, range(len(cap.table)))
    return [(r["t"], bytes(cap.buf[r["off"] : r["off"] + r["caplen"]]), r["origlen"]) for r in rows]


@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
@pytest.mark.parametrize(
    ("linktype", "link"), [(101, b""), (1, b"\xaa" * 6 + b"\xbb" * 6 + b"\x08\x00"), (113, bytes(14) + b"\x08\0")]
)
def test_segments_come_back_as_captured(kpath_run, fake, tmp_path, suffix, linktype, link):
    """Emitted headers lack checksums and payload; both are as the host sent them."""
    records = conversation()
    fake.emits = [(t, p[:10] + b"\0\0" + p[12:36] + b"\0\0" + p[38:]) for t, p in sent_by(records)]
    out = tmp_path / f"out.{suffix}"
    status, _, _ = kpath_run("--local", CLIENT, "-w", out, data=pcap([(t, link + p) for t, p in records], linktype))
    assert status == 0
    assert capture.read(str(out)).linktype == linktype
    assert packets(out) == [(t, p, len(p)) for t, p in sent_by(records)]


def test_link_header_of_what_the_host_never_sent(kpath_run, fake, tmp_path):
    """It is the arrived segment's, turned around."""
    there = ip_tcp(SERVER, 80, CLIENT, 40000, 5, flags=2)
    fake.emits = [(T0 + 1, ip_tcp(CLIENT, 40000, SERVER, 80, 1, 6, 0x12))]
    out = tmp_path / "out.pcap"
    assert (
        kpath_run("--local", CLIENT, "-w", out, data=pcap([(T0, b"a" * 6 + b"b" * 6 + b"\x08\0" + there)], 1))[0] == 1
    )
    cap = capture.read(str(out))
    assert bytes(cap.buf[40:54]) == b"b" * 6 + b"a" * 6 + b"\x08\0"


def test_payload_cut_in_another_way(kpath_run, fake, tmp_path):
    """The capture holds the stream, so any part of it can be written."""
    records = conversation(request=300)
    data = bytes(i & 255 for i in range(300))
    emits = sent_by(records)
    first = emits[2][1]
    seq = int.from_bytes(first[24:28], "big")
    halves = [
        (T0 + 20 * MS, ip_tcp(CLIENT, 40000, SERVER, 80, seq, 5001, PSH | ACK, payload=data[:100])),
        (T0 + 20 * MS, ip_tcp(CLIENT, 40000, SERVER, 80, seq + 100, 5001, PSH | ACK, payload=data[100:])),
    ]
    fake.emits = [*emits[:2], *halves]
    out = tmp_path / "out.pcap"
    assert kpath_run("--local", CLIENT, "-w", out, data=pcap(records))[0] == 1
    assert [p for _, p, _ in packets(out)[2:]] == [p for _, p in halves]


def test_payload_that_the_capture_does_not_hold(kpath_run, fake, tmp_path):
    records = [(t, p[:72], len(p)) for t, p in conversation()]
    fake.emits = sent_by(conversation())
    out = tmp_path / "out.pcap"
    assert kpath_run("--local", CLIENT, "-w", out, data=pcap(records))[0] == 0
    assert [(len(p), n) for _, p, n in packets(out)][2] == (52, 352)


def test_segments_to_stdout(talk, capfdbinary):
    from kpath.cli import main

    assert main(["replay", talk[0], "-w", "-"]) == 0
    out, err = capfdbinary.readouterr()
    assert out[:4] == b"\x4d\x3c\xb2\xa1"
    assert b"agreement" in err


@pytest.mark.skipif(not shutil.which("tshark"), reason="no tshark")
@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_wireshark_finds_no_fault(kpath_run, fake, tmp_path, suffix):
    records = conversation()
    fake.emits = [(t, p[:10] + b"\0\0" + p[12:36] + b"\0\0" + p[38:]) for t, p in sent_by(records)]
    out = tmp_path / f"out.{suffix}"
    kpath_run("--local", CLIENT, "-w", out, data=pcap(records))
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    fields = ["-T", "fields", "-e", "tcp.checksum.status", "-e", "ip.checksum.status", "-e", "_ws.malformed"]
    done = subprocess.run(["tshark", "-r", str(out), *checks, *fields], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1\t1\t"] * 6


def test_json(kpath_run, talk):
    status, out, _ = kpath_run("replay", talk[0], "--json", "-q")
    got = json.loads(out)
    assert status == 0
    assert set(got) >= KEYS
    assert (got["segments_captured"], got["segments_emitted"], got["segments_matched"], got["packets_in"]) == (
        6,
        6,
        6,
        4,
    )
    assert (got["local"], got["kernel"], got["calls"], got["first_divergence"]) == ([CLIENT], "6.18", "inferred", None)
    (conn,) = got["connections"]
    assert (conn["laddr"], conn["lport"], conn["raddr"], conn["rport"]) == (CLIENT, 40000, SERVER, 80)
    assert (conn["state"], conn["tcp_info"]) == ("TIME_WAIT", {"tcpi_state": 6})


def altered(records, i, packet):
    out = sent_by(records)
    out[i] = (out[i][0], packet(out[i][1]))
    return out


def test_json_of_a_divergence(kpath_run, talk, fake):
    fake.emits = altered(talk[1], 1, lambda p: p[:34] + b"\x01\x02" + p[36:])
    status, out, _ = kpath_run("replay", talk[0], "--json", "-q")
    first = json.loads(out)["first_divergence"]
    assert status == 1
    assert (first["packet"], first["field"], first["expected"], first["emitted"]) == (3, "window", 502, 258)
    assert first["why"].startswith("the offered window is 244 units less than the host's (rcv_wnd was 64240)")
    assert json.loads(out)["differences"] == {"window": 1}


def test_report(kpath_run, talk, fake):
    fake.emits = altered(talk[1], 1, lambda p: p[:34] + b"\x01\x02" + p[36:])
    fake.notes = ["not ported yet: MD5 signatures"]
    status, out, err = kpath_run("replay", talk[0])
    assert (status, err) == (1, ["kpath: a.pcap: not ported yet: MD5 signatures"])
    assert (
        out.replace(talk[0], "a.pcap")
        == """\
a.pcap
  local side   10.0.0.1  (its handshake answer took 10 us, the other's 10000 us)
  replayed     4 packets in, 1 connection, calls inferred
  agreement    5 of 6 segments (83.3 %): 6 captured, 6 emitted; TSval within 1 tick
  first divergence: packet 3 at 22:13:20.010010000, window differs
    captured  10.0.0.1.40000 > 10.0.0.2.80: Flags [.], seq 4294967041, ack 5001, win 502, options [TS val 1010 ecr 1], length 0
    emitted   10.0.0.1.40000 > 10.0.0.2.80: Flags [.], seq 4294967041, ack 5001, win 258, options [TS val 1010 ecr 1], length 0
    the offered window is 244 units less than the host's (rcv_wnd was 64240); not ported yet: MD5 signatures; the calls are inferred and may differ from the real ones
  differences: window 1
"""
    )


@pytest.mark.parametrize(
    ("emit", "title", "why"),
    [
        (lambda e: e[:2] + e[3:], "packet 4 at 22:13:20.010050000, not emitted", "the data was not sent; cwnd 10, ssthresh 7"),
        (lambda e: [*e, (T0 + 90 * MS, ip_tcp(CLIENT, 40000, SERVER, 80, 1, flags=4))],
         "a segment that the host did not send at 22:13:20.090000000, emitted, not captured", "the host sent nothing like it"),
        (lambda e: e[1:], "packet 1 at 22:13:20.000000000, not emitted", "the handshake segment was not sent"),
    ],
)  # fmt: skip
def test_report_of_missing_and_extra(kpath_run, talk, fake, emit, title, why):
    fake.emits = emit(sent_by(talk[1]))
    status, out, _ = kpath_run("replay", talk[0])
    assert status == 1
    assert f"  first divergence: {title}\n" in out
    assert f"    {why}" in out


def test_quiet_and_verbose(kpath_run, talk):
    assert kpath_run("replay", talk[0], "-q")[1].count("\n") == 1
    assert "TcpOutSegs                              6" in kpath_run("replay", talk[0], "-v")[1]


def test_colours_only_on_a_terminal(monkeypatch):
    from kpath.report import Paint

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Paint(Terminal())("good", "x") == "\x1b[32mx\x1b[0m"
    assert Paint(io.StringIO())("good", "x") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Paint(Terminal())("good", "x") == "x"


def test_state(kpath_run, talk, tmp_path):
    kpath_run("replay", talk[0], "--state", tmp_path / "s.jsonl")
    kpath_run("replay", talk[0], "--state", tmp_path / "s.csv")
    (one,) = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    (row,) = csv.DictReader((tmp_path / "s.csv").read_text().splitlines())
    assert one["snd_cwnd"] == 10
    assert row == {k: str(v) for k, v in one.items()}


def test_parquet_without_pyarrow(kpath_run, talk, tmp_path, monkeypatch):
    real = builtins.__import__

    def no_pyarrow(name, *args, **kw):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **kw)

    monkeypatch.setattr(builtins, "__import__", no_pyarrow)
    line = "kpath: --state: a .parquet file needs the package pyarrow (pip install pyarrow)"
    assert kpath_run("replay", talk[0], "--state", tmp_path / "s.parquet") == (2, "", [line])


def test_parquet(kpath_run, talk, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    kpath_run("replay", talk[0], "--state", tmp_path / "s.parquet")
    assert pq.read_table(tmp_path / "s.parquet").to_pylist()[0]["snd_cwnd"] == 10


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--state", "s.txt"], "kpath: s.txt: expected a name that ends in .jsonl, .csv or .parquet"),
        (["-w", "-", "--state", "-"], "kpath: -: only one of --write and --state can go to stdout"),
        (["-w", "-", "--json"], "kpath: only one of --json, --write - and --state - can go to stdout"),
        (["-w", "/nonexistent/x.pcap"], "kpath: /nonexistent/x.pcap: No such file or directory"),
        (["another.pcap", "-w", "x.pcap"], "kpath: --write and --state take one capture at a time"),
        (["--local", "host"], "kpath: --local: expected ADDR[:PORT] or [ADDR]:PORT, found 'host'"),
        (["--local", "10.0.0.1:99999"], "kpath: --local: expected a port of 0 to 65535, found 99999"),
        (["--local", "[fd00::1"], "kpath: --local: expected ADDR[:PORT] or [ADDR]:PORT, found '[fd00::1'"),
        (
            ["--local", "10.9.9.9"],
            "kpath: a.pcap: no TCP from or to 10.9.9.9 in this capture (addresses in it: 10.0.0.1, 10.0.0.2)",
        ),
        (["-q", "-v"], "kpath: argument -v/--verbose: not allowed with argument -q/--quiet (see kpath replay --help)"),
        (["--frobnicate"], "kpath: unrecognized arguments: --frobnicate (see kpath --help)"),
    ],
)
def test_bad_usage(kpath_run, talk, args, line):
    assert kpath_run("replay", talk[0], *args) == (2, "", [line])


def test_no_command(kpath_run):
    assert kpath_run()[0] == 2
    assert kpath_run("frobnicate")[0] == 2


def test_several_captures(kpath_run, talk, tmp_path):
    (tmp_path / "bad.pcap").write_bytes(b"")
    status, out, err = kpath_run("replay", talk[0], tmp_path / "bad.pcap", talk[0], "--json", "-q")
    assert status == 2
    assert err == ["kpath: bad.pcap: expected a capture, found a file of length zero"]
    assert [c.get("segments_matched") for c in json.loads(out)["captures"]] == [6, None, 6]
