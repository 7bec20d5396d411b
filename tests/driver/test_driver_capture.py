# ruff: noqa: E501  (tables)
# SPDX-License-Identifier: GPL-2.0-only
"""Capture files of every kind, good and bad; each fault ends in one line and the status of interfaces.md."""

import io
import random
import socket
import struct
from pathlib import Path

import dpkt
import pytest
from driverlib import ACK, CLIENT, MS, SERVER, T0, conversation, ip_tcp, pcap, sent_by, table, timestamps, walk

from kpath import capture
from kpath.errors import InputError
from kpath.segments import Table

LE_US, BE_US = b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4"
LE_NS, BE_NS = b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d"


def read(tmp_path, data, name="a.pcap"):
    path = tmp_path / name
    path.write_bytes(data)
    return capture.read(str(path))


def rows(cap):
    return [cap.table.row(i) for i in range(len(cap.table))]


def times(cap):
    return [row["t"] for row in rows(cap)]


def packets(cap):
    return [bytes(cap.buf[row["off"] : row["off"] + row["caplen"]]) for row in rows(cap)]


def pcapng(records, little=True, resolution=None, offset=None, linktype=101, extra=b"", obsolete=False):
    """A pcapng file of (ticks, packet) or (ticks, packet, wire length)."""
    end = "<" if little else ">"

    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        return struct.pack(end + "II", kind, len(body) + 12) + body + struct.pack(end + "I", len(body) + 12)

    options = b""
    if resolution is not None:
        options += struct.pack(end + "HHB3x", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(end + "HHq", 14, 8, offset)
    if options:
        options += struct.pack(end + "HH", 0, 0)
    out = block(0x0A0D0D0A, struct.pack(end + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack(end + "HHI", linktype, 0, 0) + options) + extra
    for ticks, data, *wire in records:
        face = struct.pack(end + "HH", 0, 0) if obsolete else struct.pack(end + "I", 0)
        head = face + struct.pack(end + "IIII", ticks >> 32, ticks & 0xFFFFFFFF, len(data), wire[0] if wire else len(data))
        out += block(2 if obsolete else 6, head + data)
    return out


TRACES = sorted((Path(__file__).parents[2] / "traces").glob("*/*.pcap"))
SHOWN = ("t", "saddr", "daddr", "sport", "dport", "flags", "seq", "ack", "win", "urg", "len", "ecn", "ttl", "tsval",
         "tsecr", "mss", "wscale", "sackok", "sack", "caplen")


def on_the_wire(data):
    """A packet's length, of which a capture may hold less."""
    return 40 + dpkt.ip6.IP6(data).plen if data[0] >> 4 == 6 else dpkt.ip.IP(data).len


def told_by_dpkt(t, data):
    """What dpkt finds in a TCP packet, under `Table.row`'s names."""
    v6 = data[0] >> 4 == 6
    ip = dpkt.ip6.IP6(data) if v6 else dpkt.ip.IP(data)
    tcp = ip.data
    if not isinstance(tcp, dpkt.tcp.TCP):
        return None
    address = [socket.inet_ntop(socket.AF_INET6 if v6 else socket.AF_INET, a) for a in (ip.src, ip.dst)]
    options = dict(dpkt.tcp.parse_opts(tcp.opts))
    stamps = struct.unpack("!II", options[8]) if 8 in options else (None, None)
    edges = struct.unpack(f"!{len(options.get(5, b'')) // 4}I", options.get(5, b""))
    length = (ip.plen if v6 else ip.len - ip.hl * 4) - tcp.off * 4
    return dict(zip(SHOWN, (
        t, *address, tcp.sport, tcp.dport, tcp.flags, tcp.seq, tcp.ack, tcp.win, tcp.urp, length,
        (ip.fc if v6 else ip.tos) & 3, ip.hlim if v6 else ip.ttl, *stamps,
        int.from_bytes(options[2], "big") if 2 in options else None, options[3][0] if 3 in options else None,
        4 in options, list(zip(edges[::2], edges[1::2], strict=True)), len(data)), strict=True))


@pytest.mark.parametrize("path", TRACES, ids=lambda p: f"{p.parent.name}/{p.name}")
@pytest.mark.parametrize("form", ["as it is", "us", "pcapng", "Ethernet"])
def test_dpkt_reads_the_same(tmp_path, path, form):
    """Real captures, in other forms too: the same packets at the same times, and in each the same fields."""
    with path.open("rb") as f:
        packets = [(int(t * 10**9), data) for t, data in dpkt.pcap.Reader(f)]
    unit = 1 if form == "as it is" else 1000
    packets = [(t // unit * unit, data) for t, data in packets]
    if form == "Ethernet":
        kinds = {4: b"\x08\0", 6: b"\x86\xdd"}
        file = pcap([(t, bytes(12) + kinds[p[0] >> 4] + p, 14 + on_the_wire(p)) for t, p in packets], linktype=1,
                    magic=BE_US)
    elif form == "pcapng":
        file = pcapng([(t // 1000, p, on_the_wire(p)) for t, p in packets])
    elif form == "us":
        file = pcap([(t, p, on_the_wire(p)) for t, p in packets], magic=LE_US)
    else:
        file = path.read_bytes()
    reader = (dpkt.pcapng if form == "pcapng" else dpkt.pcap).Reader(io.BytesIO(file))
    seen = [(round(t * 10**9 / unit) * unit, data[14:] if form == "Ethernet" else data) for t, data in reader]
    assert seen == packets
    expected = [told for t, data in packets if (told := told_by_dpkt(t, data))]
    assert len(expected) >= 5
    found = [{name: row[name] for name in SHOWN} for row in rows(read(tmp_path, file))]
    assert found == expected


@pytest.mark.parametrize(("magic", "unit"), [(LE_US, 1000), (BE_US, 1000), (LE_NS, 1), (BE_NS, 1)])
def test_pcap_byte_orders_and_resolutions(tmp_path, magic, unit):
    records = [(t + 1234, p) for t, p in conversation()]
    cap = read(tmp_path, pcap(records, magic=magic))
    assert times(cap) == [t // unit * unit for t, _ in records]
    assert packets(cap) == [p for _, p in records]
    assert list(cap.number) == list(range(1, len(records) + 1))


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize(
    ("resolution", "per_second"),
    [(None, 10**6), (6, 10**6), (9, 10**9), (3, 10**3), (0x80 | 20, 1 << 20), (12, 10**12)],
)
def test_pcapng_resolutions(tmp_path, little, resolution, per_second):
    ticks = [1_500_000 * per_second + 17, 1_500_001 * per_second]
    packet = ip_tcp(CLIENT, 1, SERVER, 2, 3)
    cap = read(tmp_path, pcapng([(t, packet) for t in ticks], little, resolution))
    assert times(cap) == [t * 10**9 // per_second for t in ticks]
    assert packets(cap) == [packet, packet]


def test_pcapng_offset_obsolete_blocks_and_strange_blocks(tmp_path):
    packet = ip_tcp(CLIENT, 1, SERVER, 2, 3, payload=b"abc")
    strange = struct.pack("<III", 0x12345, 16, 7) + struct.pack("<I", 16)
    cap = read(tmp_path, pcapng([(5, packet)], offset=100, extra=strange, obsolete=True))
    assert times(cap) == [100 * 10**9 + 5000]
    assert packets(cap) == [packet]


ETH = bytes(12)
LINKS = [
    (1, ETH + b"\x08\x00"),
    (1, ETH + b"\x81\x00\x00\x05\x08\x00"),
    (1, ETH + b"\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00"),
    (12, b""), (14, b""), (101, b""), (228, b""),
    (113, bytes(14) + b"\x08\x00"),
    (276, b"\x08\x00" + bytes(18)),
    (0, b"\x02\x00\x00\x00"), (0, b"\x00\x00\x00\x02"),
    (108, b"\x00\x00\x00\x02"), (108, b"\x02\x00\x00\x00"),
]  # fmt: skip


@pytest.mark.parametrize("first", [0, 1, 3])
def test_each_packet_has_its_number_and_its_link_header(tmp_path, first):
    """Some are no IP, one has a VLAN tag: `first` of those before it are like the others."""
    plain, tagged, other = ETH + b"\x08\x00", ETH + b"\x81\x00\x00\x05\x08\x00", ETH + b"\x08\x06" + bytes(28)
    packet = ip_tcp(CLIENT, 1, SERVER, 2, 3)
    frames = [plain + packet] * first + [other, tagged + packet, plain + packet, other, plain + packet]
    cap = read(tmp_path, pcap([(T0, f) for f in frames], 1))
    assert list(cap.number) == [n for n, f in enumerate(frames, 1) if f != other]
    assert list(cap.link) == [14] * first + [18, 14, 14]
    assert packets(cap) == [packet] * len(cap.number)


@pytest.mark.parametrize(("linktype", "header"), LINKS)
def test_link_types(tmp_path, linktype, header):
    packet = ip_tcp(CLIENT, 1, SERVER, 2, 3, payload=b"xyz")
    cap = read(tmp_path, pcap([(T0, header + packet + b"pad")], linktype))
    assert packets(cap) == [packet + b"pad"]
    assert cap.link[0] == len(header)
    seg = cap.table.row(0)
    assert (seg["len"], seg["held"]) == (3, 3)  # padding does not count


ALONE = {
    "zero length": (b"", "x.pcap: expected a capture, found a file of length zero"),
    "magic": (b"\x89PNG" + bytes(60), "x.pcap: expected a pcap or pcapng file, found the magic number 89504e47"),
    "short header": (LE_NS + bytes(10), "x.pcap: expected a file header of 24 bytes, found 14"),
    "link type": (pcap([], 105), "x.pcap: link type 105 (IEEE802_11) is not supported"),
    "unknown link type": (pcap([], 291), "x.pcap: link type 291 (no name known) is not supported"),
    "nothing": (pcap([]), "x.pcap: no TCP in this capture (0 packets)"),
    "udp only": (pcap([(T0, ip_tcp(CLIENT, 1, SERVER, 2, 3, proto=17))]), "x.pcap: no TCP in this capture"),
    "arp only": (pcap([(T0, ETH + b"\x08\x06" + bytes(28))], 1), "x.pcap: no TCP in this capture (1 packet)"),
    "ipv6 only": (pcap([(T0, b"\x60" + bytes(59))] * 2), "x.pcap: no TCP in this capture"),
    "short frame": (
        pcap([(T0, bytes(9))], 1),
        "x.pcap: packet 1: expected an Ethernet header of 14 bytes, found less (1 such packet skipped)",
    ),
    "short ip": (pcap([(T0, b"\x45" + bytes(9))]), "x.pcap: packet 1: expected an IP header of 20 bytes, found 10"),
    "fragments": (
        pcap([(T0, ip_tcp(CLIENT, 1, SERVER, 2, 3, frag=f)) for f in (0x2000, 0x0005)]),
        "x.pcap: packet 1: IP fragments are not supported (1 more)",
    ),
    "cut in the first": (pcap([(T0, bytes(50))])[:-20], "x.pcap: packet 1: expected 50 bytes, found 30"),
    "cut header": (pcap([])[:24] + bytes(7), "x.pcap: packet 1: expected a record header of 16 bytes, found 7"),
    "no interface": (
        struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28),
        "x.pcap: expected an interface description, found none",
    ),
    "byte order magic": (
        struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x11111111, 1, 0, -1, 28),
        "x.pcap: expected a pcapng section header, found the byte-order magic 11111111",
    ),
    "pcapng link type": (pcapng([], linktype=147), "x.pcap: link type 147 (USER0) is not supported"),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_cannot_be_used(kpath_run, name):
    data, line = ALONE[name]
    assert kpath_run(data=data) == (2, "", ["kpath: " + line])


def test_no_such_file(kpath_run):
    assert kpath_run("replay", "/nonexistent/a.pcap") == (
        2,
        "",
        ["kpath: /nonexistent/a.pcap: No such file or directory"],
    )


def test_a_directory(kpath_run, tmp_path):
    assert kpath_run("replay", tmp_path)[0] == 2


def test_capture_that_ends_in_mid_packet(kpath_run, fake):
    records = conversation()
    fake.emits = sent_by(records[:-1])
    status, out, err = kpath_run("-q", data=pcap(records)[:-7])
    assert status == 2
    assert err == ["kpath: x.pcap: packet 10: expected 52 bytes, found 45; replayed up to there"]
    assert "5 of 5 segments (100.0 %)" in out


def test_pcapng_that_ends_in_mid_block(kpath_run, fake):
    records = [(t // 1000, p) for t, p in conversation()]
    fake.emits = sent_by([(t * 1000, p) for t, p in records[:-1]])
    status, _, err = kpath_run(data=pcapng(records)[:-9])
    assert status == 2
    assert err == ["kpath: x.pcap: packet 10: expected a block of 84 bytes, found 75; replayed up to there"]


SOME = {
    "extension headers": (b"\x60" + bytes(5) + b"\x00\x40" + bytes(32) + b"\x06" + bytes(27),
                          "packet 11: IPv6 extension headers are not supported"),
    "short ipv6": (b"\x60" + bytes(25), "packet 11: expected an IPv6 header of 40 bytes, found 26"),
    "short ip": (b"\x45" + bytes(5), "packet 11: expected an IP header of 20 bytes, found 6"),
    "header length": (b"\x4f" + bytes(29), "packet 11: expected an IP header of 20 bytes or more that lies within the packet"),
    "lying length": (
        ip_tcp(SERVER, 80, CLIENT, 40000, 1, length=900),
        "packet 11: expected an IP packet of the length that its header gives, found 40 bytes",
    ),
    "short tcp": (
        ip_tcp(SERVER, 80, CLIENT, 40000, 1)[:32].replace(b"\x45\0\0\x28", b"\x45\0\0\x20"),
        "packet 11: expected a TCP header of 20 bytes, found an IP packet of 32 bytes",
    ),
    "data offset": (
        ip_tcp(SERVER, 80, CLIENT, 40000, 1, doff=15),
        "packet 11: expected a TCP header of 20 bytes or more that lies within the packet",
    ),
    "fragment": (ip_tcp(SERVER, 80, CLIENT, 40000, 1, frag=0x2000), "packet 11: IP fragments are not supported"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOME)
def test_faulty_packet_among_good_ones(kpath_run, fake, name):
    """The rest is replayed, and agrees."""
    packet, line = SOME[name]
    records = conversation()
    fake.emits = sent_by(records)
    status, out, err = kpath_run("--local", CLIENT, data=pcap([*records, (T0 + 100 * MS, packet)]))
    assert err == ["kpath: x.pcap: " + line]
    assert status == 0
    assert "6 of 6 segments" in out


@pytest.mark.parametrize("name", ["lying length", "short tcp", "data offset"])
def test_what_the_kernel_would_drop_itself_is_delivered(kpath_run, fake, name):
    records = conversation()
    kpath_run("--local", CLIENT, data=pcap([*records, (T0 + 100 * MS, SOME[name][0])]))
    assert len(fake.last.arrivals[0]) == 5


def test_header_cut_by_snaplen(kpath_run, fake):
    records = conversation()
    fake.emits = sent_by(records)
    whole = ip_tcp(SERVER, 80, CLIENT, 40000, 1)
    _, _, err = kpath_run("--local", CLIENT, data=pcap([*records, (T0 + 100 * MS, whole[:30], 40)]))
    assert err == ["kpath: x.pcap: packet 11: expected the whole TCP header, the capture holds 30 bytes of the packet"]


CUT = {
    "timestamps": ip_tcp(CLIENT, 1, SERVER, 2, 3, 4, ACK, options=timestamps(5, 6), payload=b"abc"),
    "no options": ip_tcp(CLIENT, 1, SERVER, 2, 3, 4, ACK, payload=b"abc"),
    "ipv6": ip_tcp("fd77::1", 1, "fd77::2", 2, 3, 4, ACK, options=timestamps(5, 6), payload=b"abc"),
}


@pytest.mark.parametrize("name", CUT)
def test_a_packet_that_is_cut_says_nothing_of_what_lies_behind_it(name):
    """Wherever it is cut, and whatever the bytes are that follow in the file."""
    packet = CUT[name]
    header = len(packet) - 3
    for size in range(len(packet) + 1):
        found = []
        for fill in (b"\0", b"\x45", b"\xff"):
            cap = table([(T0, packet[:size], len(packet)), (T0, fill * 60)])
            found.append((cap.problems.get(next(iter(cap.problems), 0)), len(cap) and cap.row(0)))
        assert found[0] == found[1] == found[2]
        assert bool(found[0][1]) == (size >= header)
        if size >= header:
            assert (found[0][1]["len"], found[0][1]["held"]) == (3, size - header)


@pytest.mark.parametrize("linktype", [1, 101, 113, 276])
def test_usual_records_and_others_in_turn(linktype):
    """Times that go back, other protocols, other link headers and a file that ends early: each packet counts once."""
    plain = {1: ETH + b"\x08\x00", 101: b"", 113: bytes(14) + b"\x08\x00", 276: b"\x08\x00" + bytes(18)}[linktype]
    other = {1: ETH + b"\x08\x06", 101: b"\x10", 113: bytes(16), 276: bytes(20)}[linktype] + bytes(28)
    records, seqs = [], []
    rng = random.Random(linktype)
    for i in range(200):
        t, kind = T0 + i * MS, rng.randrange(6)
        packet = ip_tcp(CLIENT, 1, SERVER, 2, i, proto=17 if kind == 3 else 6)
        records.append((t - (kind == 1) * 5 * MS, other if kind == 2 else plain + packet))
        seqs += [(i, records[-1][0])] * (kind not in (2, 3))
    for limit in (1, 7, 1000):
        w, t = walk(records, linktype), Table()
        found, numbers = [], []
        while not w.ended:
            t.read(w, limit)
            number, link = w.columns()
            rows = [t.row(i) for i in range(len(t))]
            found += [(r["seq"], r["t"]) for r in rows]
            numbers += [number[r["row"]] for r in rows]
            assert set(link) <= {len(plain)}
        assert found == seqs and numbers == [i + 1 for i, _ in seqs]
        assert w.packets == 200
        assert w.span == (min(t for t, p in records if p != other), max(t for t, p in records if p != other))


@pytest.mark.parametrize("ng", [False, True])
def test_damage_never_ends_in_a_traceback(kpath_run, fake, ng):
    """Every byte of a small capture, overwritten with one of three values; every length of it."""
    records = conversation()[:3]
    data = pcapng([(t, p) for t, p in records], resolution=9) if ng else pcap(records)
    for i in range(len(data)):
        for value in ((0, 0xFF, data[i] ^ 0x10)[i % 3],):
            status, _, err = kpath_run("-q", "--local", CLIENT, data=data[:i] + bytes([value]) + data[i + 1 :])
            assert status in (0, 1, 2)
            assert len(err) <= 2 and all(line.startswith("kpath: ") for line in err)
    for n in range(len(data)):
        status, _, err = kpath_run("-q", "--local", CLIENT, data=data[:n])
        assert status in (1, 2) and all(line.startswith("kpath: ") for line in err)


def test_read_raises_inputerror(tmp_path):
    with pytest.raises(InputError, match="no TCP in this capture"):
        read(tmp_path, pcap([]))
