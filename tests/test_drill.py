"""kpath drill: our scripts pass, those that must fail fail where and how they say, and the command reports it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from signatures import key_value

from kpath.drill import command, parse, report, wire
from kpath.drill.script import ScriptError

HERE = Path(__file__).parent / "drill"
SCRIPTS = sorted(p for p in HERE.rglob("*.pkt") if p.parent.name not in ("fail", "unreadable"))
FAILING = sorted((HERE / "fail").glob("*.pkt"))
UNREADABLE = sorted((HERE / "unreadable").glob("*.pkt"))


def name(path: Path) -> str:
    return str(path.relative_to(HERE))


def promised(path: Path, word: str) -> str:
    """What the first line says that the message will contain."""
    m = re.match(rf"// {word}: (.*)", path.read_text())
    assert m, f"{path}: no '// {word}:' line"
    return m.group(1)


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_passes(path: Path) -> None:
    result = command.run_script(path, [])
    assert result.status == report.PASS, "\n".join([result.message, *result.details])
    assert not result.notes


OF_BOTH = [p for p in SCRIPTS if "--ip_version=" not in p.read_text()]


@pytest.mark.parametrize("version", ["ipv6", "ipv4-mapped-ipv6"])
@pytest.mark.parametrize("path", OF_BOTH, ids=name)
def test_passes_over(path: Path, version: str) -> None:
    """A link that is 20 bytes longer has room for the same segments."""
    options = [("ip_version", version), ("mtu", "1520" if version == "ipv6" else "1500")]
    result = command.run_script(path, options)
    assert result.status == report.PASS, "\n".join([result.message, *result.details])


@pytest.mark.parametrize("path", FAILING, ids=name)
def test_fails(path: Path) -> None:
    result = command.run_script(path, [])
    assert result.status == report.FAIL
    assert promised(path, "fails") in result.message
    assert re.match(rf"{re.escape(str(path))}:\d+: ", result.message)
    if "packet" in result.message:
        assert any(line.startswith("  expected:") for line in result.details)
    assert any(line.startswith("  socket:") for line in result.details)


@pytest.mark.parametrize("path", UNREADABLE, ids=name)
def test_cannot_be_read(path: Path) -> None:
    result = command.run_script(path, [])
    assert result.status == report.UNREADABLE
    assert promised(path, "unreadable") in result.message


def test_there_are_enough() -> None:
    kinds = {p.parent.name for p in SCRIPTS}
    assert len(SCRIPTS) >= 60
    wanted = "handshake data ack close timers windows sack loss ecn options urgent sockopts"
    assert kinds >= set(wanted.split())


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "kpath", "drill", *args], capture_output=True, text=True, check=False)


def test_command_exit_statuses() -> None:
    good, bad, unreadable = HERE / "data/nagle.pkt", HERE / "fail/seq.pkt", HERE / "unreadable/syntax.pkt"
    assert run("-q", str(good)).returncode == 0
    failed = run(str(good), str(bad))
    assert failed.returncode == 1
    assert "1 of 2 passed, 1 failed" in failed.stdout
    assert run(str(good), str(bad), str(unreadable)).returncode == 2
    assert run(str(HERE / "no-such-file.pkt")).returncode == 2


def test_tap() -> None:
    lines = run("--tap", str(HERE / "fail/seq.pkt"), str(HERE / "data/nagle.pkt"), str(HERE / "data/cork.pkt"))
    assert lines.returncode == 1
    assert lines.stdout.splitlines()[:3] == ["TAP version 13", "1..3", f"not ok 1 - {HERE / 'fail/seq.pkt'}"]
    assert f"ok 3 - {HERE / 'data/cork.pkt'}" in lines.stdout


def test_verbose_shows_every_event_with_its_time() -> None:
    out = run("-v", "--step_usecs=0", str(HERE / "data/nagle.pkt")).stdout
    assert "  0.010000  > P. 1:101(100) ack 1" in out
    assert "  0.020000  < . 1:1(0) ack 101 win 257" in out


def test_symbols(tmp_path: Path) -> None:
    script = tmp_path / "symbols.pkt"
    call = "+0 setsockopt(3, SOL_SOCKET, SO_SNDBUF, [LENGTH], 4) = 0\n"
    script.write_text("--define=LENGTH=300\n0 socket(..., KIND, 0) = 3\n" + call)
    assert command.run_script(script, [("define", "KIND=SOCK_STREAM")]).status == report.PASS
    assert command.run_script(script, []).status == report.UNREADABLE
    # the command line's meaning wins
    both = [("define", "KIND=1"), ("define", "LENGTH=SO_NONSENSE")]
    assert command.run_script(script, both).status == report.UNREADABLE


def test_tolerance_zero_tells_timer_granularity() -> None:
    """The delayed ACK is due 40 ms after the segment, but fires on a tick."""
    script = HERE / "ack/delayed.pkt"
    assert command.run_script(script, []).status == report.PASS
    none = [("tolerance_usecs", "0"), ("tolerance_percent", "0"), ("step_usecs", "0")]
    exact = command.run_script(script, none)
    assert exact.status == report.FAIL
    assert "+1.750 ms" in exact.message


def test_options_round_trip() -> None:
    script = parse.parse(
        "0 < S 0:0(0) win 1 <mss 1000,sackOK,TS val 1 ecr 2,nop,wscale 7>\n"
        "+0 < . 1:1(0) ack 1 win 1 <nop,nop,sack 1:2 3:4>\n"
        "+0 < . 1:1(0) ack 1 win 1 <FO 0011223344556677,nop,nop>\n"
        "+0 < . 1:1(0) ack 1 win 1 <ECN e0b 1 ceb 2 e1b 3,nop>\n",
        "x",
    )
    for event in script.events:
        options = event.action.body.options
        assert wire.decode_options(wire.encode_options(options)) == options
    assert wire.options_text(script.events[0].action.body.options) == " <mss 1000,sackOK,TS val 1 ecr 2,nop,wscale 7>"


@pytest.mark.parametrize("text", ["P", ".5", "SEW", "-", "P.", "U."])
def test_flags(text: str) -> None:
    script = parse.parse(f"0 < {text} 1:1(0) ack 1 win 1\n", "x")
    bits = wire.tcp_flags(script.events[0].action.body)
    want = {"P": 8, ".5": 0x150, "SEW": 0xC2, "-": 0, "P.": 0x18, "U.": 0x30}[text]
    # an ACE count stands for the three ECN bits
    assert bits == want


def test_conflicting_flags() -> None:
    with pytest.raises(ScriptError, match="conflicting"):
        parse.parse("0 < SE.5 1:1(0) win 1\n", "x")


def test_verbose_shows_what_a_block_prints_where_it_ran(tmp_path: Path) -> None:
    script = tmp_path / "print.pkt"
    script.write_text("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n"
                      "+0 < S 0:0(0) win 1000 <mss 1000>\n+0 > S. 0:0(0) ack 1 <...>\n+.01 < . 1:1(0) ack 1 win 257\n"
                      "+0 accept(3, ..., ...) = 4\n+0 %{ print('cwnd is', tcpi_snd_cwnd) }%\n+.01 close(4) = 0\n")
    lines = run("-v", str(script)).stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith("cwnd is 10"))
    assert "print(" in lines[at - 1] and "close()" in lines[at + 1]


def test_a_key_for_signatures_can_be_set(tmp_path: Path) -> None:
    """TCP_MD5SIG's value as a string of bytes: an unsigned SYN of that peer is not answered any more."""
    value = "".join(f"\\x{b:02x}" for b in key_value("192.0.2.1").encode("latin-1"))
    key = f'+0 setsockopt(3, SOL_TCP, TCP_MD5SIG, "{value}", 216) = 0\n'
    opened = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n"
    knock = "+0 < S 0:0(0) win 32792 <mss 1000>\n+0 > S. 0:0(0) ack 1 <mss 1460>\n"
    script = tmp_path / "signed.pkt"
    script.write_text(opened + knock)
    assert command.run_script(script, []).status == report.PASS
    script.write_text(opened + key + knock)
    assert command.run_script(script, []).status == report.FAIL
