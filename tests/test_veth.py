"""A veth device (drivers/net/veth.c): what leaves stays charged to its socket until the other end has taken it."""

from conversation import MSS, SLOT, established

VETH = {"mtu": 1500, "tso": True, "gso": True, "gro": True, "rx": "veth"}


def test_segments_freed_by_an_ack_are_completed_at_once():
    """Sent in a softirq, they are completed at the very instant of the clock: time must go on behind that."""
    c = established(device=VETH)
    c.ok("send", SLOT, 20 * MSS)
    first = sum(s.length for s in c.segments())
    assert first == 10 * MSS
    c.wait(10)
    c.send(".", ack=first)
    c.wait(10)
    assert sum(s.length for s in c.segments()) == 10 * MSS
    assert c.state()["sk_wmem_alloc"] == 1
    c.close()


def test_segments_sent_by_a_call_are_not_charged_when_it_returns():
    c = established(device=VETH)
    c.ok("send", SLOT, 2 * MSS)
    c.expect("P.", length=2 * MSS)
    assert c.state()["sk_wmem_alloc"] == 1
    c.close()
