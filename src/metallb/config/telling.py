"""Which errors of the configuration people are told of by events, when, and by whom: pure.

An error that many processes come to is one event. Errors come and go while somebody applies objects one by one, so one
has to last for `PATIENCE_S` before anybody is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from metallb.api.core import ObjectMeta
from metallb.api.net import NodeName
from metallb.config.build import Snapshot, for_node
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.selectors import Labels

PATIENCE_S: Final = 2.0


@dataclass(slots=True)
class Telling:
    """Remembers which errors are known; each comes up once, and again only after it was gone."""

    _due: dict[ConfigError, float | None] = field(default_factory=dict)

    def observe(self, errors: Iterable[ConfigError], now: float) -> tuple[ConfigError, ...]:
        """Takes what is wrong now (monotonic seconds); gives what was not wrong before."""
        present = tuple(errors)
        fresh = tuple(error for error in present if error not in self._due)
        known = self._due
        self._due = {error: known.get(error, now + PATIENCE_S) for error in present}
        return fresh

    def take_due(self, now: float) -> tuple[ConfigError, ...]:
        """The errors that people are to be told of now; each is given once."""
        due = tuple(error for error, at in self._due.items() if at is not None and at <= now)
        self._due.update(dict.fromkeys(due))
        return due

    def deadline(self) -> float | None:
        """When `take_due` gives something next; None: not before `observe` does."""
        return min((at for at in self._due.values() if at is not None), default=None)


def for_controller(snapshot: Snapshot) -> Snapshot:
    """What the controller judges of it (spec/crds.md 10.9)."""
    return Snapshot(
        pools=snapshot.pools,
        communities=snapshot.communities,
        namespaces=snapshot.namespaces,
        backend=snapshot.backend,
    )


def witness(
    error: ConfigError, snapshot: Snapshot, nodes: Mapping[str, Labels], live: AbstractSet[NodeName]
) -> NodeName | None:
    """The node whose speaker tells of an error: the first with a speaker that comes to it; None: there is none.

    Peers and their advertisements concern the nodes that they select, so an error needs all of its objects on a node.

    Args:
        error: one of a speaker's.
        snapshot: all objects, not only those for one node.
        nodes: labels of all nodes.
        live: nodes with a speaker.
    """
    concerned = {error.object, *error.others}
    parts = Snapshot(
        peers=[each for each in snapshot.peers if _name("BGPPeer", each.metadata) in concerned],
        bgp_advertisements=[
            each for each in snapshot.bgp_advertisements if _name("BGPAdvertisement", each.metadata) in concerned
        ],
    )
    return next((node for node in sorted(live) if _concerns(parts, nodes.get(node, {}))), None)


def _name(kind: str, metadata: ObjectMeta) -> ObjectName:
    return ObjectName(kind, metadata.namespace, metadata.name)


def _concerns(parts: Snapshot, labels: Labels) -> bool:
    kept = for_node(parts, labels)
    before = len(parts.peers) + len(parts.bgp_advertisements)
    return len(kept.peers) + len(kept.bgp_advertisements) == before
