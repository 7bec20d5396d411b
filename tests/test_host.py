# SPDX-License-Identifier: GPL-2.0-only
"""The life of a Host: what may be called when, and that it gives back all that it took."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from kpath_c.host import Host

ROOT = Path(__file__).parent.parent
EMPTY = memoryview(b"").cast("q")
NEEDS = {"abort": (0,), "sysctl": ("net.ipv4.tcp_sack", "0"), "add_route": ("10.0.0.0", 8), "qdisc": ("fq",),
         "receive": (b"E",),
         "pin": ("10.0.0.1", 80, "10.0.0.2", 81, 0, 0, False), "load": (b"", b"", b"", b"", b""),
         "add_call": (0, 0, 0, 0, 0), "call": (0, "socket"), "run_to": (0,), "auto_reader": (0, True),
         "auto_accept": (0, True), "plan_reads": (EMPTY, EMPTY), "want_probes": (True,),
         "want_wakes": (True,), "pin_all": (EMPTY, EMPTY), "add_calls": (EMPTY, EMPTY),
         "vnet_header": (0,), "emitted": (0,), "received": (0,), "call_result": (0,),
         "call_text": (0,), "call_info": (0,), "sock_state": (0,), "receive_together": ([b""],),
         "stream": ("10.0.0.1", 80, "10.0.0.2", 81, 0, b""), "call_bytes": (0,),
         "load_more": (b"", b"", b"", b""), "lengthen": (0, 0), "want_tcp_info": (True,)}


def test_a_closed_host_says_so():
    host = Host()
    host.call(0, "socket")
    host.close()
    host.close()
    assert not any(host.pools().values())
    names = [n for n in dir(host) if not n.startswith("_") and n not in ("close", "pools")]
    assert len(names) > 30
    for name in names:
        with pytest.raises(ValueError, match="the host is closed"):
            value = getattr(host, name)
            value(*NEEDS.get(name, ()))


def test_a_host_that_nobody_closed_gives_its_memory_back():
    """Dropped with an open socket and a listener, 200 times, it leaves less than a quarter of their memory."""
    code = """
import resource
from kpath_c.host import Host
def one():
    host = Host()
    for slot in range(200):
        host.call(slot, "socket")
for _ in range(5):
    one()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(200):
    one()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    one_run = 200 * 2  # KiB: 200 sockets of more than 2 KiB each
    assert int(done.stdout) < 50 * one_run


@pytest.mark.parametrize("bad", [{"hz": 5}, {"device": {"rx": "pigeon"}}, {"device": {"mtu": 1}}, {"addrs": ["x"]}])
def test_a_host_that_cannot_be_made_leaves_nothing(bad):
    with pytest.raises(ValueError):
        Host(**bad)
    gc.collect()
