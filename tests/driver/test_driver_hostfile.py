# ruff: noqa: E501  (tables)
# SPDX-License-Identifier: GPL-2.0-only
"""The host file, `ip route` and `tc qdisc` lines, `--sysctl`."""

import json

import pytest
from driverlib import CLIENT

from kpath import hostfile
from kpath.errors import InputError


def route(line):
    warnings = []
    return hostfile.parse_route(line, "h", warnings), warnings


NET = "10.77.0.0/24 dev kp0 scope link src 10.77.0.1 "


@pytest.mark.parametrize(
    ("line", "metrics", "locks", "features"),
    [
        (NET, {}, set(), set()),
        (NET + "initcwnd 30", {"initcwnd": 30}, set(), set()),
        (NET + "cwnd lock 15", {"cwnd": 15}, {"cwnd"}, set()),
        (NET + "rtt 60ms rttvar 20ms", {"rtt": 60, "rttvar": 20}, set(), set()),
        (NET + "rtt 1.5s rto_min lock 20ms", {"rtt": 1500, "rto_min": 20}, {"rto_min"}, set()),
        (NET + "features ecn quickack 1", {"quickack": 1}, set(), {"ecn"}),
        (NET + "mtu lock 1400 advmss 1000 hoplimit 64", {"mtu": 1400, "advmss": 1000, "hoplimit": 64}, {"mtu"}, set()),
        (NET + "congctl lock bbr window 20000", {"congctl": "bbr", "window": 20000}, {"congctl"}, set()),
        (NET + "linkdown onlink expires 10sec initrwnd 20", {"initrwnd": 20}, set(), set()),
    ],
)
def test_metrics(line, metrics, locks, features):
    found, warnings = route(line)
    assert (found.dst, found.prefixlen) == ("10.77.0.0", 24)
    assert (found.metrics, found.locks, found.features, warnings) == (metrics, locks, features, [])


@pytest.mark.parametrize(
    ("line", "dst", "prefixlen"),
    [
        ("default via 10.0.0.254 dev eth0", "0.0.0.0", 0),
        ("default via inet6 fe80::1 dev eth0 proto ra metric 100", "0.0.0.0", 0),
        ("default via fe80::1 dev eth0 proto ra metric 1024 pref medium", "::", 0),
        ("fd77::/64 dev kp0 proto kernel metric 256 pref medium", "fd77::", 64),
        ("10.0.0.7 dev eth0", "10.0.0.7", 32),
        ("unicast 192.168.0.0/16 proto static", "192.168.0.0", 16),
    ],
)
def test_destinations(line, dst, prefixlen):
    found, warnings = route(line)
    assert (found.dst, found.prefixlen, warnings) == (dst, prefixlen, [])


@pytest.mark.parametrize(
    "line", ["unreachable fd77::/64 dev lo metric 1024 pref medium", "unreachable 10.1.0.0/16", "broadcast 10.0.0.255 dev e", ""]
)  # fmt: skip
def test_routes_of_no_use(line):
    assert route(line) == (None, [])


def test_unknown_word_of_a_route():
    found, warnings = route(NET + "frobnicate initcwnd 4")
    assert found.metrics == {"initcwnd": 4}
    assert warnings == ["h: route: unknown word 'frobnicate' ignored"]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ([], "h: expected a JSON object, found a list"),
        ({"hz": "fast"}, 'h: hz: expected a whole number, found "fast"'),
        ({"hz": 0}, "h: hz: expected 1 to 10000, found 0"),
        ({"addr": ["10.0.0.300"]}, "h: addr: expected an IP address, found '10.0.0.300'"),
        ({"addr": 5}, "h: addr: expected a list of addresses, found a number"),
        ({"device": {"mtu": 10}}, "h: device.mtu: expected 68 to 65535, found 10"),
        ({"device": {"rx": "carrier pigeon"}}, 'h: device.rx: expected one of tun, veth, vnet, nic, found "carrier pigeon"'),
        ({"device": {"gso_max_size": "64k"}}, 'h: device.gso_max_size: expected a whole number, found "64k"'),
        ({"device": {"tso": 1}}, "h: device.tso: expected true or false, found 1"),
        ({"clock": {"tick_ns": 0}}, "h: clock.tick_ns: expected more than 0, found 0"),
        ({"clock": 1}, "h: clock: expected an object, found a number"),
        ({"sysctl": ["a"]}, "h: sysctl: expected an object, found a list"),
        ({"sysctl": {"net.ipv4.tcp_sack": {}}}, "h: net.ipv4.tcp_sack: expected a string or a number, found an object"),
        ({"route": "10.0.0.0/24 initcwnd"}, "h: route: expected a value after 'initcwnd' in '10.0.0.0/24 initcwnd'"),
        ({"route": "10.0.0.0/24 initcwnd many"}, "h: route: initcwnd: expected a number, found 'many'"),
        ({"route": "over there"}, "h: route: expected a destination, found 'over' in 'over there'"),
        ({"route": "10.0.0.0/+8 dev x"}, "h: route: expected a destination, found '10.0.0.0/+8' in '10.0.0.0/+8 dev x'"),
        ({"route": "10.0.0.0/33 dev x"}, "h: route: expected a destination, found '10.0.0.0/33' in '10.0.0.0/33 dev x'"),
        ({"route": "unicast"}, "h: route: expected a destination in 'unicast'"),
        ({"qdisc": "something else"}, "h: qdisc: expected a line as `tc qdisc` prints it, found 'something else'"),
        ({"kernel": 6}, "h: kernel: expected a string, found a number"),
    ],
)  # fmt: skip
def test_nonsense(data, line):
    with pytest.raises(InputError) as e:
        hostfile.parse(data, "h")
    assert str(e.value) == line


def test_unknown_keys_are_warned_of():
    spec = hostfile.parse({"colour": "blue", "device": {"weight": 3}}, "h")
    assert spec.warnings == ["h: unknown key 'colour' ignored", "h: unknown key 'device.weight' ignored"]


def test_qdisc_of_the_root():
    lines = "qdisc mq 0: root\nqdisc fq_codel 0: parent :1 limit 10240p"
    assert hostfile.parse({"qdisc": lines}, "h").qdisc == "mq"
    assert hostfile.parse({"qdisc": "qdisc fq 8001: root refcnt 2"}, "h").qdisc == "fq"


def test_all_reaches_the_host(kpath_run, talk, fake, tmp_path):
    host = tmp_path / "host.json"
    host.write_text(json.dumps({
        "kernel": "6.18", "hz": 1000, "addr": [CLIENT, "fd00::1"], "device": {"mtu": 1400, "rx": "veth", "tso": True, "rx_usecs": 3},
        "route": NET + "initcwnd 4", "qdisc": "qdisc fq 0: root", "clock": {"mono_to_real_ns": 5, "tick_ns": 1000000},
        "sysctl": {"net.ipv4.tcp_sack": 0, "net.ipv4.tcp_rmem": "4096\t131072\t6291456", "net.ipv6.conf.all.mtu": 1280},
    }))  # fmt: skip
    args = ["--host", host, "--sysctl", "ipv4.tcp_sack=1", "--sysctl", "net/ipv4/tcp_ecn=1"]
    assert kpath_run("replay", talk[0], *args)[0] == 0
    h = fake.last
    assert (h.hz, h.addrs, h.device) == (
        1000, [CLIENT, "fd00::1"], {"mtu": 1400, "rx": "veth", "tso": True, "rx_usecs": 3})
    assert (h.kind, h.routes) == ("fq", [("10.77.0.0", 24, {"initcwnd": 4}, set(), set())])
    assert h.clock == {"mono_to_real_ns": 5, "tick_ns": 1000000}
    assert h.set == {"net.ipv4.tcp_sack": "1", "net.ipv4.tcp_rmem": "4096 131072 6291456", "net.ipv4.tcp_ecn": "1",
                     "net.ipv6.conf.all.mtu": "1280"}
    assert h.closed


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "host.json: line 1: expected JSON: Expecting property name enclosed in double quotes"),
        ('{"sysctl": {"net.ipv4.tcp_nonsense": 1}}', "host.json: no such sysctl in Linux 6.18: net.ipv4.tcp_nonsense"),
        (
            '{"sysctl": {"net.ipv4.tcp_sack": "banana"}}',
            "host.json: net.ipv4.tcp_sack = 'banana': the kernel would refuse this value",
        ),
        ("\xff", "host.json: expected JSON in UTF-8"),
        ("[" * 100000, "host.json: expected JSON, found it nested too deeply"),
    ],
)
def test_faults_end_the_command(kpath_run, talk, tmp_path, text, line):
    host = tmp_path / "host.json"
    host.write_bytes(text.encode("latin-1"))
    assert kpath_run("replay", talk[0], "--host", host) == (2, "", ["kpath: " + line])


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("ipv4.tcp_nonsense=1", "--sysctl: no such sysctl in Linux 6.18: net.ipv4.tcp_nonsense"),
        ("ipv4.tcp_sack", "--sysctl: expected KEY=VALUE, found 'ipv4.tcp_sack'"),
        ("net.ipv4.tcp_sack=x", "--sysctl: net.ipv4.tcp_sack = 'x': the kernel would refuse this value"),
    ],
)
def test_sysctl_option(kpath_run, talk, setting, line):
    assert kpath_run("replay", talk[0], "--sysctl", setting) == (2, "", ["kpath: " + line])
