"""The file that replaces gossip's defaults: memberlist's field names, Go's durations (spec/speaker.md 3.2).

A field that is missing keeps the default for one network; upstream takes missing numbers for 0 and refuses missing
durations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from metallb.protocols.swim.settings import LAN, Settings


@dataclass(frozen=True, slots=True)
class FromFile:
    """What a file says: settings, and what of it is about encryption and compression."""

    settings: Settings
    compress: bool = True
    verify_incoming: bool = True
    verify_outgoing: bool = True


_COUNTS: Final = {
    "IndirectChecks": "indirect_checks",
    "RetransmitMult": "retransmit_mult",
    "SuspicionMult": "suspicion_mult",
    "SuspicionMaxTimeoutMult": "suspicion_max_timeout_mult",
    "AwarenessMaxMultiplier": "awareness_max",
    "GossipNodes": "gossip_nodes",
    "UDPBufferSize": "datagram_size",
}
_DURATIONS: Final = {
    "TCPTimeout": "stream_timeout_s",
    "PushPullInterval": "push_pull_interval_s",
    "ProbeTimeout": "probe_timeout_s",
    "ProbeInterval": "probe_interval_s",
    "GossipInterval": "gossip_interval_s",
    "GossipToTheDeadTime": "gossip_to_the_dead_s",
}
_FLAGS: Final = {
    "EnableCompression": "compress",
    "GossipVerifyIncoming": "verify_incoming",
    "GossipVerifyOutgoing": "verify_outgoing",
}
_WITHOUT_EFFECT: Final = frozenset({"HandoffQueueDepth", "QueueCheckInterval"})
"""Of queues that we don't have."""


def parse(text: str, seconds_of: Callable[[str], float]) -> FromFile:
    """Reads the file.

    Args:
        text: a JSON object.
        seconds_of: reads a Go duration; raises ValueError.

    Raises:
        ValueError: names the field, its value and the rule.
    """
    try:
        written = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from None
    if not isinstance(written, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004  # one type for all that a file can have wrong
    known = {*_COUNTS, *_DURATIONS, *_FLAGS, *_WITHOUT_EFFECT, "DisableTcpPings"}
    for name in written:
        if name not in known:
            raise ValueError(f"{name}: no such field; known are {', '.join(sorted(known))}")
    changed: dict[str, Any] = {
        **{field: _count(written, name) for name, field in _COUNTS.items() if name in written},
        **{field: _seconds(written, name, seconds_of) for name, field in _DURATIONS.items() if name in written},
    }
    if "DisableTcpPings" in written:
        changed["tcp_pings"] = not _flag(written, "DisableTcpPings")
    flags = {field: _flag(written, name) for name, field in _FLAGS.items() if name in written}
    return FromFile(replace(LAN, **changed), **flags)


def _count(written: Mapping[str, Any], name: str) -> int:
    value = written[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: {value!r}: want a whole number from 1 on")
    return value


def _seconds(written: Mapping[str, Any], name: str, seconds_of: Callable[[str], float]) -> float:
    value = written[name]
    if not isinstance(value, str):
        raise ValueError(f"{name}: {value!r}: want a duration such as '500ms'")  # noqa: TRY004  # one type for all that a file can have wrong
    try:
        seconds = seconds_of(value)
    except ValueError as error:
        raise ValueError(f"{name}: {value!r}: {error}") from None
    if seconds <= 0:
        raise ValueError(f"{name}: {value!r}: want a duration above 0")
    return seconds


def _flag(written: Mapping[str, Any], name: str) -> bool:
    value = written[name]
    if not isinstance(value, bool):
        raise ValueError(f"{name}: {value!r}: want true or false")  # noqa: TRY004  # one type for all that a file can have wrong
    return value
