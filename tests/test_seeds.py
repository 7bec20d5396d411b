# SPDX-License-Identifier: GPL-2.0-only
"""The call graphs that kpath was founded on: each is played, and must be found in what was recorded."""
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import conversation
import pytest
import seeds
from conversation import (
    LISTENER,
    SLOT,
    client,
    established,
    listening,
    syn_received,
    time_wait,
)
from packets import LOCAL, LOCAL_ISN, PEER_ISN, PEER_PORT, encode_options, tcp_packet

import kpath_c.traced
from kpath.callgraph.tree import Frame, build
from kpath.cli import main
from kpath.seeds.match import differences, expected, graphs, parse
from kpath.seeds.table import aliases, called, data, named, port, rows

ROOT = Path(__file__).resolve().parent.parent
SEEDS = [p for p in (ROOT.parent / "shared" / "seeds", ROOT.parent.parent / "shared" / "seeds") if p.is_dir()]
GRAPHS = graphs()
#: The seeds' sockets are looked up by TCP; by default IP has done that before.
PLAIN = {"net.ipv4.tcp_early_demux": 0}


@pytest.fixture(autouse=True)
def traced(monkeypatch):
    monkeypatch.setattr(conversation, "Host", kpath_c.traced.Host)


@contextmanager
def recording(host) -> Iterator[list[Frame]]:
    """What runs within, as one list of trees."""
    frames: list[Frame] = []
    kpath_c.traced.trace(host)
    try:
        yield frames
    finally:
        log, n = kpath_c.traced.untrace()
    assert n * 16 == len(log)
    for root in build(log, kpath_c.traced.functions()):
        frames.extend(root.calls)


def play_bind() -> list[Frame]:
    c = client()
    with recording(c.host) as frames:
        c.ok("bind", SLOT, 8080, s=LOCAL)
    return frames


def play_listen() -> list[Frame]:
    c = client()
    c.ok("bind", SLOT, 8080, s=LOCAL)
    with recording(c.host) as frames:
        c.ok("listen", SLOT, 16)
    return frames


def play_syn() -> list[Frame]:
    c = listening(PLAIN)
    with recording(c.host) as frames:
        c.raw(tcp_packet("S", PEER_ISN, 0, 0, 65535, encode_options({"mss": 1460, "sack": True})))
    c.expect("S.", seq=-1, ack=0)
    return frames


def play_ack() -> list[Frame]:
    """The ACK of the handshake carries data, so that the end of the graph runs too."""
    c = syn_received(PLAIN, options={"mss": 1460, "sack": True, "ts": (1000, 0)})
    c.wait(10)
    with recording(c.host) as frames:
        c.send("P.", seq=0, ack=0, length=100)
    return frames


def play_connect() -> list[Frame]:
    c = client()
    with recording(c.host) as frames:
        c.call("connect", SLOT, PEER_PORT, s=c.peer)
    c.expect("S", seq=-1)
    return frames


def play_syn_ack() -> list[Frame]:
    """With ECN, as tcp_ecn_rcv_synack() is asked only then."""
    c = client({**PLAIN, "net.ipv4.tcp_ecn": 1})
    c.call("connect", SLOT, PEER_PORT, s=c.peer)
    c.expect("SEW", seq=-1)
    c.wait(10)
    with recording(c.host) as frames:
        c.raw(tcp_packet("SE.", PEER_ISN, LOCAL_ISN + 1, 0, 65535, encode_options({"mss": 1460, "sack": True})))
    c.expect(".", seq=0, ack=0)
    return frames


def play_accept() -> list[Frame]:
    c = syn_received()
    c.send(".", seq=0, ack=0)
    with recording(c.host) as frames:
        c.ok("accept", LISTENER, SLOT)
    return frames


def play_write() -> list[Frame]:
    """More than a segment: tcp_push_one() sends the first while the rest is being taken."""
    c = established()
    with recording(c.host) as frames:
        c.ok("send", SLOT, 40_000)
    return frames


def play_recv() -> list[Frame]:
    c = established()
    c.send("P.", length=100)
    with recording(c.host) as frames:
        c.ok("recv", SLOT, 100)
    return frames


def play_receive() -> list[Frame]:
    c = established()
    with recording(c.host) as frames:
        c.send("P.", length=100)
    return frames


def play_receive_list() -> list[Frame]:
    """A polled device finds two packets at once."""
    c = established(device={"rx": "nic", "gro": True})
    packets = [tcp_packet(".", PEER_ISN + 1 + seq, LOCAL_ISN + 1, 1000, 65535, b"") for seq in (0, 1000)]
    with recording(c.host) as frames:
        c.host.receive_together(packets)
    return frames


def play_time_wait_ack() -> list[Frame]:
    c = time_wait()
    c.wait(600)
    with recording(c.host) as frames:
        c.send("F.", seq=0, ack=1)
    return frames


def play_ack_of_data() -> list[Frame]:
    """An ACK opens the window for what was written."""
    c = established(window=1460)
    c.ok("send", SLOT, 5000)
    c.wait(10)
    with recording(c.host) as frames:
        c.send(".", ack=1460, window=1460)
    return frames


SCENES: dict[str, Callable[[], list[Frame]]] = {
    "bind": play_bind, "listen": play_listen, "receive-syn": play_syn, "receive-ack": play_ack,
    "connect": play_connect, "connect-steps": play_connect, "receive-syn-ack": play_syn_ack, "accept": play_accept,
    "write": play_write, "write-forced-push": play_write, "write-push": play_write, "recv": play_recv,
    "receive": play_receive, "receive-list": play_receive_list, "deliver": play_receive,
    "receive-data": play_receive, "send-ack": play_receive, "transmit": play_write, "transmit-on-ack": play_ack_of_data,
    "time-wait-ack": play_time_wait_ack,
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_the_graph_is_there(name):
    """What differs is what graphs.toml says, no less and no more."""
    found = differences(GRAPHS[name], SCENES[name]())
    assert sorted(set(found)) == sorted(expected(name))


# -- the search itself: what is not as drawn is reported

def tree(text: str) -> list[Frame]:
    """A recording, drawn as the graphs are."""
    def frames(nodes):
        return [Frame(n.name, "tcp_input.pyx", calls=frames(n.calls)) for n in nodes]
    return frames(parse(text))


RAN = """
tcp_v4_rcv
  __inet_lookup_skb
    __inet_lookup_established
  tcp_v4_do_rcv
    tcp_rcv_state_process
      tcp_ack
        tcp_ack_update_window
      tcp_urg
"""


@pytest.mark.parametrize(("graph", "differs"), [
    ("tcp_v4_rcv\n  __inet_lookup_skb\n  tcp_v4_do_rcv\n    tcp_ack\n    tcp_urg", []),
    ("tcp_v4_rcv\n  tcp_ack\n  __inet_lookup_skb", ["__inet_lookup_skb before tcp_ack"]),
    ("tcp_rcv_state_process\n  tcp_urg\n  tcp_ack\n    tcp_ack_update_window", ["tcp_ack before tcp_urg"]),
    ("tcp_v4_rcv\n  __inet_lookup_skb\n  tcp_data_queue\n  tcp_ack", ["tcp_data_queue absent"]),
    ("tcp_v4_rcv\n  __inet_lookup_skb\n    tcp_ack", ["tcp_ack not in __inet_lookup_skb"]),
    ("tcp_ack\n  tcp_v4_do_rcv", ["tcp_v4_do_rcv not in tcp_ack"]),
    ("tcp_ack\n  tcp_ack", ["tcp_ack not in tcp_ack"]),
    ("tcp_urg\n  tcp_ack_update_window", ["tcp_ack_update_window not in tcp_urg"]),
])  # fmt: skip
def test_order_nesting_and_absence_are_reported(graph, differs):
    assert differences(parse(graph), tree(RAN)) == differs


def test_the_first_run_that_has_all_below_it_counts():
    ran = tree("tcp_ack\n  tcp_urg\ntcp_data_queue\ntcp_ack\n  tcp_ack_update_window")
    assert differences(parse("tcp_ack\n  tcp_urg\ntcp_data_queue"), ran) == []
    assert differences(parse("tcp_data_queue\ntcp_ack\n  tcp_urg"), ran) == ["tcp_ack before tcp_data_queue"]
    assert differences(parse("tcp_data_queue\ntcp_ack\n  tcp_ack_update_window"), ran) == []


def test_aliases_are_looked_for_under_their_names():
    assert differences(parse("tcp_update_wln"), tree("tcp_update_wl")) == []
    assert differences(parse("tcp_update_wln"), tree("tcp_init_wl")) == ["tcp_update_wln absent"]
    # Within the one that does it, a function that 6.18 has merged is there already.
    assert differences(parse("inet_hash\n  __inet_hash"), tree("inet_hash")) == []
    # What there is nothing to do for stands for what is below it.
    assert differences(parse("NF_HOOK\n  tcp_urg"), tree("tcp_urg")) == []
    assert differences(parse("NF_HOOK\n  tcp_urg"), tree("tcp_ack")) == ["tcp_urg absent"]


@pytest.mark.parametrize(("scene", "graph"), [("bind", "listen"), ("recv", "receive"), ("receive-syn", "receive-ack")])
def test_another_scene_does_not_have_the_graph(scene, graph):
    assert set(differences(GRAPHS[graph], SCENES[scene]())) - set(expected(graph))


# -- the table

def test_every_function_is_ported_or_aliased():
    assert [(r.name, r.lacks) for r in rows([*named(), *called()]) if r.lacks] == []
    assert {name for graph in data("graphs").values() for name in graph["tree"].split()} <= set(named())


def test_no_alias_is_idle():
    assert set(aliases()) <= {*named(), *called()}
    for name, alias in aliases().items():
        assert alias.why and "\n" not in alias.why, name
        assert name not in port() or alias.by == name, f"{name} is in the port"


def test_what_is_neither_ported_nor_aliased_is_missed(capsys, monkeypatch):
    monkeypatch.setattr("kpath.seeds.command.named", lambda: ["tcp_v4_rcv", "tcp_v9_rcv"])
    monkeypatch.setattr("kpath.seeds.command.called", lambda: ["spin_lock"])
    assert main(["seeds"]) == 1
    out, err = capsys.readouterr()
    assert err == "tcp_v9_rcv: neither ported nor aliased\n"
    assert "2 named: 1 ported, 0 done by another, 0 with nothing to do; 50.0 %" in out


def test_what_no_test_runs_is_missed(capsys, tmp_path):
    executed = tmp_path / "executed.json"
    executed.write_text(json.dumps({"tcp_v4_rcv": "test_a.py::test_b"}))
    assert main(["seeds", "--executed", str(executed), "tcp_v4_rcv"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["tcp_v4_rcv", "tcp_ipv4.pyx", "test_a.py::test_b"]
    assert main(["seeds", "--executed", str(executed), "tcp_v4_do_rcv", "spin_lock"]) == 1
    assert capsys.readouterr().err == "tcp_v4_do_rcv: no test runs tcp_v4_do_rcv\n"


def test_a_name_that_no_seed_has():
    assert main(["seeds", "tcp_v9_rcv"]) == 2


def test_what_ran_is_noted_by_name():
    traced = kpath_c.traced
    traced.watch()
    c = client()
    ran = {name for name, _ in traced.seen()}
    assert "tcp_v4_init_sock" in ran and "tcp_v4_connect" not in ran
    c.call("connect", SLOT, PEER_PORT, s=c.peer)
    assert ("tcp_v4_connect", "tcp_ipv4.pyx") in traced.seen()


def test_the_seeds_are_covered(tmp_path):
    """100 % of what the seeds name is ported or aliased, and run by a test."""
    executed = tmp_path / "executed.json"
    tests = seeds.measure(executed)
    assert tests.returncode == 0, tests.stdout[-3000:]
    done = seeds.table(executed)
    assert (done.stderr, done.returncode) == ("", 0)


def functions_in_code(text: str) -> set[str]:
    """What is called or written out in the code blocks of a document, or stands in its tables of operations."""
    code = "\n".join(text.split("```")[1::2])
    code = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', "", code, flags=re.S)
    return set(re.findall(r"\b([A-Za-z_]\w+)\(", code)) | set(re.findall(r"^\s*\.\w+\s*=\s*([a-z]\w+),$", code, re.M))


def functions_in_graphs(text: str) -> set[str]:
    """What stands behind an arrow, or before the first of its line."""
    text = re.sub(r"//[^\n]*", "", text)
    return (set(re.findall(r"(?:->|_>) (?:\w+ = )?(?!goto|set)([A-Za-z_]\w+)(?!\w|->)", text)) |
            set(re.findall(r"^\s*([a-z_]\w+) ->", text, re.M)) | set(re.findall(r"^(?:sys|tcp_v4)_\w+$", text, re.M)))


WORDS = {"if", "for", "while", "switch", "return", "sizeof", "likely", "unlikely", "defined", "true"}
#: In `.member = value`, and before `->` in code, but no function
VARIABLES = {"sysctl_tcp_mem", "inet_bind_hashbucket", "inet_bind_bucket", "tcp_sock", "sk_state"}


if SEEDS:
    def test_no_function_of_the_documents_is_forgotten():
        """names.toml was made from them, and it is held to them wherever they lie beside this checkout."""
        texts = [p.read_text() for p in sorted(SEEDS[0].glob("*.txt"))]
        code = set().union(*(functions_in_code(t) for t in texts if "```c\n" in t and "### tcp_init" in t))
        drawn = set().union(*(functions_in_graphs(t) for t in texts if "sys_bind" in t))
        assert len(texts) == 5 and len(code) > 500 and len(drawn) > 150
        assert code - WORDS - VARIABLES - {*named(), *called()} == set()
        assert drawn - VARIABLES - set(named()) == set()
