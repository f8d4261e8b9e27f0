"""What happens on the wire is counted, and conflicts are told of."""

from __future__ import annotations

from metallb.api.net import Address, InterfaceName
from metallb.protocols.ethernet import Mac, parse_mac
from metallb.speaker.wire import Wire
from metallb.telemetry import metrics as m

OURS = Address.parse("198.51.100.100")
THEIRS = parse_mac("02:00:00:00:00:c8")
ETH0 = InterfaceName("eth0")


def test_everything_has_its_metric() -> None:
    metrics = m.Metrics(m.SPEAKER, process=False)
    wire = Wire(metrics)
    wire.count("requests_received", OURS, 3)
    wire.count("responses_sent", OURS, 2)
    wire.count("responses_sent", OURS, 1)
    wire.count("gratuitous_sent", OURS, 10)
    wire.passed("eth0", "arp", 4)
    wire.drop("eth0", "arp", "not-ours", 1)
    wire.conflict(ETH0, OURS, THEIRS, 2)
    assert metrics.value(m.LAYER2_REQUESTS, str(OURS)) == 3
    assert metrics.value(m.LAYER2_RESPONSES, str(OURS)) == 3
    assert metrics.value(m.LAYER2_GRATUITOUS, str(OURS)) == 10
    assert metrics.value(m.LAYER2_PASSED, "eth0", "arp") == 4
    assert metrics.value(m.LAYER2_DROPPED, "eth0", "arp", "not-ours") == 1
    assert metrics.value(m.LAYER2_CONFLICTS, "eth0", str(OURS)) == 2


def test_whoever_decides_hears_of_conflicts() -> None:
    heard: list[tuple[InterfaceName, Address, Mac]] = []
    wire = Wire(m.Metrics(m.SPEAKER, process=False))
    wire.conflict(ETH0, OURS, THEIRS, 1)
    wire.disputed = lambda *conflict: heard.append(conflict)
    wire.conflict(ETH0, OURS, THEIRS, 5)
    assert heard == [(ETH0, OURS, THEIRS)]
