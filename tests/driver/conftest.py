# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures: the command, with a stand-in for the kernel side."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from driverlib import OPS, FakeHost, conversation, pcap, sent_by

import kpath.replay  # noqa: F401


@pytest.fixture
def fake(monkeypatch):
    """The stand-in, in place of kpath_c.host."""
    monkeypatch.setattr(sys.modules["kpath.replay"], "kernel_module", lambda _: SimpleNamespace(Host=FakeHost, OPS=OPS))
    monkeypatch.setattr(FakeHost, "emits", [])
    monkeypatch.setattr(FakeHost, "notes", [])
    monkeypatch.setattr(FakeHost, "last", None)
    return FakeHost


@pytest.fixture
def talk(fake, tmp_path):
    """A capture of `conversation` whose replay agrees: (path, records)."""
    records = conversation()
    fake.emits = sent_by(records)
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(records))
    return str(path), records


@pytest.fixture
def kpath_run(fake, capsys, tmp_path):
    """Runs the command: kpath_run(args..., data=bytes of a capture) -> (status, stdout, [stderr lines])."""
    from kpath.cli import main

    def run(*args, data=None):
        argv = [str(a) for a in args]
        if data is not None:
            path = tmp_path / "x.pcap"
            path.write_bytes(data)
            argv = ["replay", str(path), *argv]
        try:
            status = main(argv)
        except SystemExit as e:
            status = e.code
        out, err = capsys.readouterr()
        return status, out, err.replace(str(tmp_path) + "/", "").splitlines()

    return run
