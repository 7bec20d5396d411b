# SPDX-License-Identifier: GPL-2.0-only
"""What the benchmarks rest on: captures whose replay agrees, and a count of instructions that sees a change."""

import json

import pytest

import bench.__main__ as command
from bench import chart, instructions
from bench.__main__ import as_json, packets_chart
from kpath import cli
from kpath.bench import captures, cases, measure


def replayed(kind, packets, tmp_path, capsys):
    """The exit status of a capture's replay, and what it told."""
    path = captures.make(kind, packets, tmp_path)
    host = tmp_path / "host.json"
    host.write_text(json.dumps(cases.HOST_FILE))
    status = cli.main(["replay", str(path), "--host", str(host), "--json", "-q"])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("kind", [*captures.KINDS, "1-flows", "100-flows"])
def test_a_capture_is_as_long_as_asked_and_its_replay_agrees(kind, tmp_path, capsys):
    status, told = replayed(kind, 2000, tmp_path, capsys)
    assert status in (0, 1)
    assert told["packets"] == 2000
    most = max(told["segments_captured"], told["segments_emitted"])
    assert most > 200
    assert told["segments_matched"] >= most * 0.99


def test_another_hosts_capture_differs_as_it_was_made_to(tmp_path, capsys):
    """All but the SYNs show another window, and each eighth of those is not in the capture."""
    status, told = replayed("100-differing", 2000, tmp_path, capsys)
    assert status == 1
    assert (told["packets"], told["segments_matched"]) == (2000, 100)
    sent = told["segments_emitted"] - 100
    assert told["differences"] == {"extra": sent // 8, "window": sent - sent // 8}


def test_a_syn_at_the_turn_of_a_millisecond_is_sent_with_its_tsval(tmp_path, capsys):
    """The SYN-ACK that echoes another one would be refused (tcp_rcv_synsent_state_process()); the 29th flow's."""
    status, told = replayed("40-flows", 300, tmp_path, capsys)
    assert status == 0
    assert [c["state"] for c in told["connections"]] == ["ESTABLISHED"] * 40


def test_no_flow_is_reset(tmp_path, capsys):
    """The peer echoes the TSval of each SYN, also of the 224th, stamped in another ms than connect() was called in."""
    status, told = replayed("300-flows", 2000, tmp_path, capsys)
    assert status == 0
    assert [c["state"] for c in told["connections"]] == ["ESTABLISHED"] * 300


def test_the_command_prints_a_line_for_each_benchmark(capsys):
    assert cli.main(["bench", "tcp_transmit_skb", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert float(lines[1].removeprefix("tcp_transmit_skb").split()[0].replace(",", "")) > 1


@pytest.mark.parametrize(("args", "why"), [(["nonsense"], "nonsense"), (["--rounds", "0"], "--rounds"),
                                           (["--packets", "1"], "--packets")])
def test_the_command_says_what_it_expected(args, why, capsys):
    assert cli.main(["bench", *args]) == 2
    assert why in capsys.readouterr().err


def test_instructions_are_those_of_the_port_and_not_of_what_it_calls():
    profile = """
fn=(1) __pyx_f_7kpath_c_4host_tcp_push
10 100
+1 20
cfn=(2) memcpy
calls=3 0
+1 5000
fn=(2)
7 5000
fn=(3) __pyx_pw_7kpath_c_4host_4Host_1run
9 700
fn=(1)
* 4
"""
    assert instructions.own(profile) == 124


def test_each_compiler_and_set_of_flags_has_a_baseline(monkeypatch):
    known = instructions.updated([], {"a": 100.0})
    monkeypatch.setattr(instructions, "flags", lambda: "-O1")
    assert instructions.baseline(known) is None
    known = instructions.updated(instructions.updated(known, {"a": 1.0}), {"a": 200.0})
    assert instructions.baseline(known) == {"a": 200.0}
    monkeypatch.undo()
    assert instructions.baseline(known) == {"a": 100.0}


def test_the_chart_shows_what_was_measured():
    case = cases.replay_case("download", 1000)
    found = [measure.Measured(case, 500.0, 400.0)]
    drawn = packets_chart(found, {"another": 1000.0})
    assert "2 M /s" in drawn
    assert "1 M /s" in drawn
    assert drawn.count("<rect") == 3
    assert as_json(found, {"another": 1000.0})["cases"][0]["ns"] == 500.0
    curve = chart.lines("cost", {"a": [(10, 100.0), (1000, 200.0)]}, "size", "ns")
    assert curve.count("<circle") == 2
    assert [chart.number(v) for v in (161, 81e3, 1.6e6, 1e9)] == ["161", "81 k", "1.6 M", "1 G"]


def test_where_no_replay_was_measured_there_is_no_chart_of_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench", "tcp_transmit_skb", "--rounds", "1", "--svg", str(tmp_path)])
    assert command.main() == 0
    assert "tcp_transmit_skb" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
