# SPDX-License-Identifier: GPL-2.0-only
"""A replay dealt out to processes says what one process says."""

import json
import os
from pathlib import Path

import pytest
from driverlib import CLIENT, MS, SERVER, SYN, T0, ip_tcp, pcap

from kpath import cli, shards
from kpath.bench import captures, cases
from kpath.cli import main
from kpath.replay import prepare

TRACES = Path(__file__).resolve().parents[2] / "traces"
#: these tell of times in us, and connections that share a processor wait for each other
OF_TIME = {"tcpi_rto", "tcpi_rtt", "tcpi_rttvar", "tcpi_min_rtt", "tcpi_rcv_rtt", "tcpi_pacing_rate",
           "tcpi_delivery_rate"}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A capture of 50 connections, and the file that tells of its host."""
    folder = tmp_path_factory.mktemp("shards")
    path = captures.write(captures.requests(400), folder / "many.pcap")
    (folder / "host.json").write_text(json.dumps(cases.HOST_FILE))
    return str(path), "--host", str(folder / "host.json")


def told(capsys, *argv):
    """The JSON of a replay that agrees, without what tells of us."""
    assert main(["replay", "--json", *argv]) == 0
    summary = json.loads(capsys.readouterr().out)
    for c in summary["connections"]:
        c["tcp_info"] = {k: v for k, v in (c["tcp_info"] or {}).items() if k not in OF_TIME}
    return summary


@pytest.mark.parametrize("jobs", ["2", "3", "7"])
@pytest.mark.parametrize("window", [cli.WINDOW, 100])
def test_all_that_is_told_is_the_same(many, capsys, monkeypatch, jobs, window):
    alone = told(capsys, *many)
    monkeypatch.setattr(cli, "WINDOW", window)
    assert len(alone["connections"]) > 40 and alone["segments_captured"] > 150
    assert told(capsys, *many, "-j", jobs) == alone


def test_each_process_has_its_part(many):
    """Else the comparison above would compare nothing."""
    prepared = prepare(many[0], host=many[2])
    whole = prepared.table.nconn
    parts = []
    for part in range(3):
        prepared = prepare(many[0], host=many[2])
        parts.append(len(shards.share(prepared, part, 3, None)["places"]))
    assert sum(parts) == whole and min(parts) > whole // 6


@pytest.mark.parametrize("jobs", ["2", "3"])
def test_icmp_goes_with_the_connection_that_it_is_about(capsys, jobs):
    base = str(TRACES / "too-big-ipv6" / "client")
    argv = ["replay", f"{base}.pcap", "--host", f"{base}.host.json", "--json", "-q"]
    outs = []
    for more in ([], ["-j", jobs]):
        assert main([*argv, *more]) == 1
        outs.append(json.loads(capsys.readouterr().out))
    assert outs[0] == outs[1]
    assert outs[0]["counters"]["Icmp6InPktTooBigs"] == 10


def test_the_report_shows_as_much(many, capsys):
    assert main(["replay", *many]) == 0
    alone = capsys.readouterr().out
    assert main(["replay", *many, "-j", "2"]) == 0
    assert capsys.readouterr().out == alone
    assert "more (-v shows all)" in alone


@pytest.mark.parametrize("argv", [["-j", "0"], ["-j", "x"], ["-j", "1000"], ["-j", "2", "-w", "a.pcap"],
                                  ["-j", "2", "--state", "a.csv"], ["-j", "2", "--syscalls", "a.jsonl"]])
def test_what_cannot_be_dealt_out(many, capsys, argv):
    try:
        status = main(["replay", *many, *argv])
    except SystemExit as e:
        status = e.code
    assert status == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_process_that_dies_is_noticed(many, capsys, monkeypatch):
    share = shards.share

    def fails(prepared, part, jobs, most):
        if part:
            os._exit(3)
        return share(prepared, part, jobs, most)

    monkeypatch.setattr(shards, "share", fails)
    assert main(["replay", *many, "-j", "2"]) == 2
    assert "came to its end early" in capsys.readouterr().err


def test_connections_that_were_open_are_told_of_once(tmp_path, capsys, monkeypatch):
    """In whichever window and process they are."""
    records = [(T0, ip_tcp(CLIENT, 1, SERVER, 2, 9, flags=SYN))]
    records += [(T0 + i * MS, ip_tcp(CLIENT, 7 + i, SERVER, 2, 5, 10, payload=b"x")) for i in range(1, 30)]
    path = tmp_path / "open.pcap"
    path.write_bytes(pcap(records))
    monkeypatch.setattr(cli, "WINDOW", 10)
    seen = []
    for jobs in "13":
        main(["replay", "--json", "--local", CLIENT, "-j", jobs, str(path)])
        out, err = capsys.readouterr()
        seen.append((json.loads(out)["connections_skipped"], err))
    assert seen[0] == seen[1]
    assert seen[0][0] == 29 and "10.0.0.1:8 - 10.0.0.2:2 and 28 more: open before" in seen[0][1]
    path.write_bytes(pcap(records[1:]))
    for jobs in "13":
        assert main(["replay", "--local", CLIENT, "-j", jobs, str(path)]) == 2
        assert "and 28 more: open before" in capsys.readouterr().err
