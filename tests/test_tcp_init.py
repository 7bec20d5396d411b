# SPDX-License-Identifier: GPL-2.0-only
"""tcp_init(): tables and limits by the size of memory (alloc_large_system_hash(), tcp_init_mem())."""

import pytest
from conversation import client
from packets import LOCAL_ISN, PEER, PEER_ISN, PEER_PORT, tcp_packet

from kpath_c.host import Host, sized_by

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def test_as_a_real_kernel_did():
    """A 6.18 with "Memory: .../25165432K", by its boot messages: established 262144, bind 65536, listeners 16384."""
    got = sized_by(25165432 * KIB)
    assert (got["ehash"], got["bhash"], got["lhash2"]) == (262144, 65536, 16384)
    assert (got["max_orphans"], got["tcp_wmem"], got["tcp_rmem"]) == (131072, [4096, 16384, 4 * MIB],
                                                                     [4096, 131072, 32 * MIB])


def test_pressure_begins_at_a_sixteenth():
    """The same machine: nr_free_buffer_pages() / 16 = 383869 pages; net.ipv4.tcp_mem as its sysctl showed it."""
    assert sized_by(383869 * 16 * 4096)["tcp_mem"] == [287901, 383869, 575802]


@pytest.mark.parametrize(("memory", "ehash", "bhash", "lhash2"), [
    (4 * MIB, 512, 512, 256),  # a table has a page at least
    (64 * MIB, 512, 512, 256),
    (128 * MIB, 1024, 1024, 256),
    (GIB, 8192, 8192, 512),
    (GIB + 1, 8192, 8192, 512),
    (GIB + 2 * MIB, 16384, 16384, 1024),  # rounded up to a power of two
    (8 * GIB, 65536, 65536, 4096),
    (64 * GIB, 524288, 65536, 32768),
    (1024 * GIB, 524288, 65536, 65536),  # no more than that
])
def test_tables(memory, ehash, bhash, lhash2):
    got = sized_by(memory)
    assert (got["ehash"], got["bhash"], got["lhash2"], got["max_orphans"]) == (ehash, bhash, lhash2, ehash // 2)


@pytest.mark.parametrize(("memory", "write", "read"), [
    (8 * MIB, 64 * KIB, 128 * KIB),  # the least
    (64 * MIB, 512 * KIB, 512 * KIB),  # 1/128 of memory
    (512 * MIB, 4 * MIB, 4 * MIB),
    (GIB, 4 * MIB, 8 * MIB),
    (4 * GIB, 4 * MIB, 32 * MIB),
    (64 * GIB, 4 * MIB, 32 * MIB),  # the most
])
def test_buffers(memory, write, read):
    got = sized_by(memory)
    assert (got["tcp_wmem"][2], got["tcp_rmem"][2]) == (write, read)


def test_a_small_host_gives_up_orphans():
    """Host(memory=...): tcp_check_oom(), tcp_max_orphans = 256 here; whoever closes then is reset, not lingered for."""
    c = client(memory=16 * MIB)
    for slot in range(300, 300 + 258):
        c.ok("socket", slot)
        c.ok("fcntl", slot, 1)
        c.call("connect", slot, PEER_PORT + slot, s=PEER)
        syn = c.segments()[-1]
        c.raw(tcp_packet("S.", PEER_ISN, LOCAL_ISN + 1 + syn.seq + 1, sport=PEER_PORT + slot,
                         dport=c.host.sock_state(slot)["sk_num"]))
        c.ok("close", slot)
    assert c.counter("TCPAbortOnMemory") > 0


@pytest.mark.parametrize("memory", [1000, "4 GiB", 1 << 60])
def test_not_a_memory(memory):
    with pytest.raises(ValueError, match="memory"):
        Host(memory=memory)
