# SPDX-License-Identifier: GPL-2.0-only
"""kpath callgraph: what ran is shown nested and in order, the traced variant does as the other, and selections hold."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import kpath_c.traced
from kpath import replay
from kpath.callgraph.record import Selection, record
from kpath.callgraph.tree import build

ROOT = Path(__file__).parent.parent
BASE = ROOT / "traces" / "handshake" / "client"
OPTIONS = {"host": f"{BASE}.host.json", "syscalls": f"{BASE}.calls.jsonl"}


def command(*options):
    argv = [sys.executable, "-m", "kpath", "callgraph", f"{BASE}.pcap", "--host", OPTIONS["host"],
            "--syscalls", OPTIONS["syscalls"], *options]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)


def nested(frames, *names):
    """Whether a chain of functions is found below these frames: each somewhere below the one before."""
    if not names:
        return True
    return any(f.name == names[0] and nested(f.calls, *names[1:]) or nested(f.calls, *names) for f in frames)


@pytest.fixture(scope="module")
def handshake():
    return record(f"{BASE}.pcap", Selection(), **OPTIONS)


def test_a_syn_ack_goes_down_the_active_open(handshake):
    (root,) = [r for r in handshake.roots if r.label.startswith("packet 2 ")]
    assert nested(root.calls, "ip_rcv", "ip_local_deliver", "tcp_v4_rcv", "tcp_v4_do_rcv", "tcp_rcv_state_process",
                  "tcp_rcv_synsent_state_process", "tcp_finish_connect", "tcp_init_transfer")
    assert nested(root.calls, "tcp_rcv_synsent_state_process", "__tcp_send_ack", "__tcp_transmit_skb", "ip_queue_xmit")
    assert not nested(root.calls, "tcp_rcv_established")
    order = [f.name for f in root.walk()]
    assert order.index("tcp_ack") < order.index("tcp_finish_connect") < order.index("__tcp_send_ack")


def test_a_device_with_napi_is_polled(tmp_path):
    """As the seeds have it, from the softirq to TCP; the driver's poll function is ours (shim/netdevice.pyx)."""
    host = json.loads(Path(OPTIONS["host"]).read_text())
    host["device"] = {**host.get("device", {}), "rx": "nic", "gro": True}
    (tmp_path / "host.json").write_text(json.dumps(host))
    roots = record(f"{BASE}.pcap", Selection(packet=2), **{**OPTIONS, "host": str(tmp_path / "host.json")}).roots
    assert nested(roots[0].calls, "net_rx_action", "napi_poll", "nic_poll", "napi_complete_done", "gro_normal_list",
                  "netif_receive_skb_list_internal", "__netif_receive_skb_list", "__netif_receive_skb_list_core",
                  "__netif_receive_skb_list_ptype", "ip_list_rcv", "ip_sublist_rcv", "ip_list_rcv_finish",
                  "ip_sublist_rcv_finish", "dst_input", "ip_local_deliver", "ip_local_deliver_finish",
                  "ip_protocol_deliver_rcu", "tcp_v4_rcv")


def test_a_device_without_hands_over_each_packet(handshake):
    (root,) = [r for r in handshake.roots if r.label.startswith("packet 2 ")]
    assert nested(root.calls, "netif_receive_skb", "__netif_receive_skb", "__netif_receive_skb_one_core", "ip_rcv",
                  "ip_rcv_finish", "ip_local_deliver", "ip_local_deliver_finish", "ip_protocol_deliver_rcu",
                  "tcp_v4_rcv")


def test_a_connect_sends_the_syn(handshake):
    (root,) = [r for r in handshake.roots if r.label.endswith(": connect")][:1]
    assert nested(root.calls, "inet_stream_connect", "tcp_v4_connect", "inet_hash_connect")
    assert nested(root.calls, "tcp_v4_connect", "tcp_connect", "__tcp_transmit_skb", "ip_queue_xmit", "ip_output")


def test_the_traced_variant_does_the_same():
    """Same text, other compiler options: segment for segment and counter for counter."""
    plain = replay(f"{BASE}.pcap", **OPTIONS)
    traced = replay(f"{BASE}.pcap", kernel_side="kpath_c.traced", **OPTIONS)
    try:
        assert plain.host.counters() == traced.host.counters()
        assert bytes(plain.host.emitted_buffers()[0]) == bytes(traced.host.emitted_buffers()[0])
    finally:
        plain.close()
        traced.close()


def test_every_function_has_a_name():
    names = [name for name, _ in kpath_c.traced.functions().values()]
    assert len(names) > 1500
    assert {"tcp_v4_rcv", "__inet_lookup_established", "tcp_rcv_established", "tcp_write_xmit", "tcp_sk"} <= set(names)


def test_one_packet_only():
    alone = record(f"{BASE}.pcap", Selection(packet=2), **OPTIONS)
    (root,) = alone.roots
    assert root.label.startswith("packet 2 ")


def test_one_call_only():
    calls = Path(OPTIONS["syscalls"]).read_text().splitlines()
    line = next(i for i, text in enumerate(calls, 1) if '"connect"' in text)
    alone = record(f"{BASE}.pcap", Selection(call=line), **OPTIONS)
    assert alone.roots and all(r.label.endswith(": connect") for r in alone.roots)


def test_text_is_indented_by_arrows():
    out = command("--packet", "2", "--function", "tcp_v4_do_rcv", "--depth", "3").stdout.splitlines()
    assert out[0].startswith("# packet 2 at ")
    assert out[1] == "tcp_v4_do_rcv"
    assert "-> tcp_rcv_state_process" in [line.strip() for line in out if line.startswith("  ->")]
    assert max(len(line) - len(line.lstrip()) for line in out) == 4


def test_json_and_perfetto_are_well_formed():
    graph = json.loads(command("--packet", "2", "--format", "json").stdout)
    assert [r["kind"] for r in graph["roots"]] == ["arrival"]
    trace = json.loads(command("--packet", "2", "--format", "perfetto").stdout)["traceEvents"]
    spans = {e["name"]: (e["ts"], e["ts"] + e["dur"]) for e in trace if e["ph"] == "X"}
    outer, inner = spans["tcp_v4_rcv"], spans["tcp_rcv_synsent_state_process"]
    assert outer[0] <= inner[0] < inner[1] <= outer[1]


def test_html_needs_nothing_from_elsewhere():
    page = command("--packet", "2", "--format", "html").stdout
    assert page.startswith("<!doctype html>") and page.count("<details") == page.count("</details>") > 10
    assert "src=" not in page and "href=" not in page


@pytest.mark.parametrize(("options", "line"), [
    (["--packet", "1"], "packet 1 is none of the"), (["--packet", "99999"], "packet 99999 is none of the"),
    (["--call", "99999"], "no call in line 99999"), (["--depth", "0"], "--depth: expected 1 or more"),
])  # fmt: skip
def test_what_is_not_there_is_said_in_a_line(options, line):
    done = command(*options)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and line in done.stderr


def test_a_function_that_did_not_run():
    done = command("--function", "tcp_enter_loss")
    assert done.returncode == 1 and "tcp_enter_loss did not run" in done.stderr


def test_a_log_cut_short_still_makes_trees():
    functions = {10 << 1: ("outer", "a.pyx"), 11 << 1: ("inner", "a.pyx")}
    entries = [(2, 0), (10 << 1, 100), (11 << 1, 130), (11 << 1 | 1, 150), (10 << 1 | 1, 190), (4, 7), (10 << 1, 300)]
    log = b"".join(what.to_bytes(8, sys.byteorder) + t.to_bytes(8, sys.byteorder) for what, t in entries)
    first, second = build(log, functions)
    assert [(f.name, f.ns) for f in first.walk()] == [("outer", 90), ("inner", 20)]
    assert (second.kind, second.index, [f.name for f in second.walk()]) == ("call", 7, ["outer"])
