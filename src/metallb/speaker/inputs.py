"""What a speaker's configuration is made of: caches of every kind, and what of it concerns this node.

Layer 2 lives on pools and their advertisements. That another kind can't be read is told, and holds nothing up: the
configuration is then made without everything that has to do with BGP, because half of it can't be judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from msgspec.json import Decoder

from metallb.api import v1beta1, v1beta1_bgp, v1beta2
from metallb.api.core import Namespace, Node, Secret
from metallb.api.net import NodeName
from metallb.config import terms
from metallb.config.build import Snapshot, for_node
from metallb.config.errors import ConfigError
from metallb.config.selectors import Labels
from metallb.config.state import Reading, evaluate
from metallb.config.telling import for_controller, witness
from metallb.kube.client import KubeClient
from metallb.kube.event_series import Reference
from metallb.kube.informer import Informer
from metallb.kube.inputs import Inputs
from metallb.kube.resources import (
    BFD_PROFILES,
    BGP_ADVERTISEMENTS,
    BGP_PEERS,
    COMMUNITIES,
    IP_ADDRESS_POOLS,
    L2_ADVERTISEMENTS,
    NAMESPACES,
    SECRETS,
)
from metallb.kube.store import Change
from metallb.speaker.settings import SpeakerSettings


class ConfigInputs:
    """The caches of one speaker that its configuration is made from. `nodes` is started by its owner."""

    def __init__(self, client: KubeClient, settings: SpeakerSettings, nodes: Informer[Node]) -> None:
        namespace = settings.namespace
        self._settings = settings
        self._nodes = nodes
        self._pools = Informer(client, IP_ADDRESS_POOLS, decoder=Decoder(v1beta1.IPAddressPool), namespace=namespace)
        self._l2 = Informer(client, L2_ADVERTISEMENTS, decoder=Decoder(v1beta1.L2Advertisement), namespace=namespace)
        self._bgp = Informer(
            client, BGP_ADVERTISEMENTS, decoder=Decoder(v1beta1_bgp.BGPAdvertisement), namespace=namespace
        )
        self._peers = Informer(client, BGP_PEERS, decoder=Decoder(v1beta2.BGPPeer), namespace=namespace)
        self._bfd = Informer(client, BFD_PROFILES, decoder=Decoder(v1beta1_bgp.BFDProfile), namespace=namespace)
        self._communities = Informer(client, COMMUNITIES, decoder=Decoder(v1beta1_bgp.Community), namespace=namespace)
        self._secrets = Informer(client, SECRETS, decoder=Decoder(Secret), namespace=namespace)
        self._namespaces = Informer(client, NAMESPACES, decoder=Decoder(Namespace))
        self._of_bgp = (self._bgp, self._peers, self._bfd, self._communities)
        self._inputs = Inputs([self._pools, self._l2], [*self._of_bgp, self._secrets, self._namespaces])
        self._controllers = Inputs([self._pools], [self._communities])

    def start(self, group: asyncio.TaskGroup) -> None:
        """Follows the API from now on."""
        self._inputs.start(group)

    def subscribe(self, reload: Callable[..., None]) -> None:
        """Calls `reload` whenever the configuration may be another."""
        self._pools.subscribe(reload, when=_spec_or_labels_changed)
        for informer in (self._l2, *self._of_bgp, self._secrets):
            informer.subscribe(reload)
        self._namespaces.subscribe(reload, when=_labels_changed)
        self._nodes.subscribe(reload, when=_labels_changed)
        self._inputs.watch_health(reload)

    def watch_health(self, callback: Callable[[], None]) -> None:
        """Calls `callback()` when something can be read that could not, or the other way round."""
        self._inputs.watch_health(callback)

    async def ready(self) -> None:
        """Returns when a configuration can be made."""
        await self._inputs.ready()

    def refused(self) -> tuple[str, ...]:
        """What the server does not let us read, in sentences."""
        return self._inputs.refused()

    def read(self) -> Reading:
        """All that concerns this node."""
        unread = self._inputs.unread()
        snapshot = self._snapshot()
        node = self._nodes.store.get(("", self._settings.node_name))
        if node is None:
            snapshot = replace(snapshot, peers=(), bgp_advertisements=())
            unread += (f"Node {self._settings.node_name} is not there: what selects it by labels is left out",)
        else:
            snapshot = for_node(snapshot, node.metadata.labels)
        return Reading(snapshot, self._inputs.unreadable(), unread)

    def to_be_told(self, error: ConfigError, live: AbstractSet[NodeName]) -> Reference | None:
        """The object to tell of an error, if this node is the one to do it: many come to one, people want one event.

        Args:
            error: one of ours.
            live: nodes with a speaker.
        """
        snapshot, me = self._snapshot(), self._settings.node_name
        of_controller = Reading(for_controller(snapshot), self._controllers.unreadable())
        if error in evaluate(of_controller)[1].errors:
            return None
        if witness(error, snapshot, self._node_labels(), live or {me}) != me:
            return None
        return self._inputs.reference(error.object)

    def _snapshot(self) -> Snapshot:
        snapshot = Snapshot(
            pools=self._pools.store.values(),
            l2_advertisements=self._l2.store.values(),
            namespaces={each.metadata.name: each.metadata.labels for each in self._namespaces.store},
            nodes=self._node_labels(),
            backend=self._settings.bgp_type,
        )
        if not all(each.synced.is_set() for each in self._of_bgp):
            return snapshot
        secrets = {each.metadata.name: each for each in self._secrets.store}
        return replace(
            snapshot,
            bgp_advertisements=self._bgp.store.values(),
            peers=self._peers.store.values(),
            bfd_profiles=self._bfd.store.values(),
            communities=self._communities.store.values(),
            secrets=secrets if self._secrets.synced.is_set() else None,
        )

    def _node_labels(self) -> dict[str, Labels]:
        return {each.name: each.metadata.labels for each in self._nodes.store}


def _spec_or_labels_changed(change: Change[v1beta1.IPAddressPool]) -> bool:
    """The controller's counters in the status are not ours to look at; labels are: advertisements select by them.

    So are the annotations that have a meaning.
    """
    return _version(change.before) != _version(change.after)


def _version(pool: v1beta1.IPAddressPool | None) -> tuple[int, Labels, tuple[str | None, ...]] | None:
    if pool is None:
        return None
    return pool.metadata.generation, pool.metadata.labels, terms.written(pool.metadata.annotations)


def _labels_changed(change: Change[Node] | Change[Namespace]) -> bool:
    """Nodes post their state all the time; selectors look at labels only."""
    return _labels(change.before) != _labels(change.after)


def _labels(item: Node | Namespace | None) -> Labels | None:
    return None if item is None else item.metadata.labels
