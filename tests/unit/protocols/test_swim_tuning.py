"""The file of gossip's settings, and what a good and a bad one say."""

from __future__ import annotations

import json

import pytest

from metallb.protocols.swim.settings import LAN
from metallb.protocols.swim.tuning import FromFile, parse


def seconds(text: str) -> float:
    if not text.endswith("s"):
        raise ValueError("no unit")
    return float(text[:-1])


def test_an_empty_file_changes_nothing() -> None:
    assert parse("{}", seconds) == FromFile(LAN)


def test_fields_have_memberlists_names() -> None:
    text = json.dumps(
        {
            "ProbeInterval": "2s",
            "GossipNodes": 5,
            "DisableTcpPings": True,
            "EnableCompression": False,
            "GossipVerifyIncoming": False,
            "HandoffQueueDepth": 7,
        }
    )
    read = parse(text, seconds)
    assert (read.settings.probe_interval_s, read.settings.gossip_nodes, read.settings.tcp_pings) == (2.0, 5, False)
    assert (read.compress, read.verify_incoming, read.verify_outgoing) == (False, False, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"Probe": "1s"}', "Probe: no such field"),
        ('{"GossipNodes": 0}', "GossipNodes: 0"),
        ('{"GossipNodes": true}', "GossipNodes: True"),
        ('{"ProbeInterval": 1}', "ProbeInterval: 1: want a duration"),
        ('{"ProbeInterval": "1"}', "ProbeInterval: '1': no unit"),
        ('{"ProbeInterval": "0s"}', "want a duration above 0"),
        ('{"DisableTcpPings": 1}', "want true or false"),
    ],
)
def test_a_bad_field_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text, seconds)
