"""How fast members look after each other: memberlist's parameters and two sets of defaults (spec/speaker.md 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds.

    Attributes:
        probe_interval_s: how often a member is asked whether it lives.
        probe_timeout_s: how long its own answer is waited for, before others are asked to ask it.
        indirect_checks: how many others.
        tcp_pings: whether a stream is tried meanwhile.
        gossip_interval_s: how often news is sent.
        gossip_nodes: to how many members at a time.
        gossip_to_the_dead_s: how long the dead get news, and are remembered.
        retransmit_mult: each news is sent this often, times the logarithm of the number of members.
        suspicion_mult: a suspect has this many probe intervals, times that logarithm, to object ...
        suspicion_max_timeout_mult: ... and this many times as long while nobody confirms the suspicion.
        push_pull_interval_s: how often two members exchange all they know.
        awareness_max: bound of the score by which a member with trouble of its own slows down.
        datagram_size: bytes of a datagram, encrypted, that fit any network.
        stream_timeout_s: how long a stream may take.
        reclaim_s: after how long the name of a dead member may come back at another address; 0: when it is forgotten.
    """

    probe_interval_s: float = 1.0
    probe_timeout_s: float = 0.5
    indirect_checks: int = 3
    tcp_pings: bool = True
    gossip_interval_s: float = 0.2
    gossip_nodes: int = 3
    gossip_to_the_dead_s: float = 30.0
    retransmit_mult: int = 4
    suspicion_mult: int = 4
    suspicion_max_timeout_mult: int = 6
    push_pull_interval_s: float = 30.0
    awareness_max: int = 8
    datagram_size: int = 1400
    stream_timeout_s: float = 10.0
    reclaim_s: float = 0.0


LAN: Final = Settings()
"""For members in one network."""

WAN: Final = replace(
    LAN,
    probe_interval_s=5.0,
    probe_timeout_s=3.0,
    gossip_interval_s=0.5,
    gossip_nodes=4,
    gossip_to_the_dead_s=60.0,
    suspicion_mult=6,
    push_pull_interval_s=60.0,
    stream_timeout_s=30.0,
)
"""For members far from each other."""
