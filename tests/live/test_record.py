"""Records with traces/record.py on the running kernel, and replays what was recorded.

Needs root, TUN, iproute2 and tcpdump. On a kernel other than 6.18 the port may differ; what it must do then is replay.
"""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "traces" / "record.py"
IS_6_18 = os.uname().release.startswith("6.18.")


def reason_to_skip() -> str | None:
    """Why nothing can be recorded here, or None."""
    if os.geteuid():
        return "recording needs root"
    if missing := [tool for tool in ("ip", "tc", "tcpdump", "sysctl") if not shutil.which(tool)]:
        return f"recording needs {', '.join(missing)}"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as e:
        return f"recording needs /dev/net/tun ({e.strerror})"
    made = subprocess.run(["ip", "netns", "add", "kpath-probe"], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", "kpath-probe"], capture_output=True)
    return f"recording needs network namespaces ({made.stderr.strip()})" if made.returncode else None


pytestmark = pytest.mark.skipif((why := reason_to_skip()) is not None, reason=why or "")


@pytest.fixture(scope="module", params=["handshake", "request", "loss", "slow-reader"])
def recorded(request, tmp_path_factory) -> Path:
    """The folder with one scenario as the running kernel plays it, while the machine does not stand still."""
    for _ in range(5):
        out = tmp_path_factory.mktemp(request.param)
        argv = [sys.executable, RECORD, request.param, out]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=90)
        if not done.returncode:
            return out
        assert "stood still" in done.stderr, done.stderr
    pytest.skip(done.stderr)


@pytest.mark.parametrize("side", ["client", "server"])
def test_replay_of_a_fresh_recording(recorded: Path, side: str) -> None:
    argv = [sys.executable, "-m", "kpath", "replay", f"{recorded}/{side}.pcap", "--json",
            "--host", f"{recorded}/{side}.host.json", "--syscalls", f"{recorded}/{side}.calls.jsonl"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=90, cwd=ROOT)
    assert done.returncode in (0, 1), done.stderr
    result = json.loads(done.stdout)
    most = max(result["segments_captured"], result["segments_emitted"])
    assert most >= 2
    assert result["connections"][0]["segments_captured"] == result["segments_captured"]
    if IS_6_18:
        # A recording on a busy machine has its own moments; the handshake and half of the rest agree in the worst.
        assert result["segments_matched"] >= max(2, 0.5 * most), result["first_divergence"]


def test_nothing_is_left_behind(recorded: Path) -> None:
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert f"kpath-{os.getpid()}" not in left
    assert not [line for line in left.splitlines() if line.startswith("kpath-")]
