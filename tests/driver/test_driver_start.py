# SPDX-License-Identifier: GPL-2.0-only
"""What starts with the command: most replays are short, and each module that is not needed makes them longer."""

import subprocess
import sys
from pathlib import Path

from driverlib import CLIENT, conversation, pcap

ROOT = Path(__file__).parents[2]
#: each takes as long as a tenth of a short replay, or brings others that do
SLOW = {"ast", "csv", "dataclasses", "datetime", "dis", "dpkt", "inspect", "ipaddress", "lark", "multiprocessing",
        "pathlib", "shutil", "socket", "statistics", "subprocess", "tempfile", "typing", "urllib.parse"}
#: our own that other options need
SPECIAL = {"kpath.calls", "kpath.drill", "kpath.callgraph", "kpath.bench", "kpath.seeds", "kpath.frames",
           "kpath.output", "kpath.shards"}
NEEDED = "import argparse, json; argparse.ArgumentParser().add_subparsers(prog='x')"
RUN = "import sys; from kpath.cli import main; print(main(sys.argv[1:], leave=True))"
TELL = "import sys; print(*sys.modules)"


def loaded(code, *argv):
    """The modules that the code has imported at its end."""
    command = [sys.executable, "-c", f"{code}\n{TELL}", *argv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()), done.stdout


def test_a_replay_imports_only_what_it_needs(tmp_path):
    (tmp_path / "c.pcap").write_bytes(pcap(conversation()))
    (tmp_path / "host.json").write_text(f'{{"addr": ["{CLIENT}"], "route": "default via 10.0.0.9 dev eth0"}}')
    modules, out = loaded(RUN, "replay", str(tmp_path / "c.pcap"), "--host", str(tmp_path / "host.json"))
    assert "agreement" in out and "kpath.replay" in modules
    others, _ = loaded(NEEDED)
    assert modules & (SLOW | SPECIAL) - others == set()


def test_json_of_a_replay_needs_no_more(tmp_path):
    (tmp_path / "c.pcap").write_bytes(pcap(conversation()))
    modules, out = loaded(RUN, "replay", str(tmp_path / "c.pcap"), "--local", CLIENT, "--json")
    assert out.startswith("{")
    others, _ = loaded(NEEDED)
    assert modules & (SLOW | SPECIAL) - others == set()


def test_the_list_of_commands_needs_none_of_them():
    code = f"try:\n  {RUN}\nexcept SystemExit: pass"
    modules, out = loaded(code, "--help")
    assert all(name in out for name in ("replay captures", "packetdrill", "call graphs", "hot paths"))
    assert modules & SPECIAL == set()
