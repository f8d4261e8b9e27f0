"""What a speaker knows of the cluster: caches, and which of their changes are worth a new look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from msgspec.json import Decoder

from metallb.advertisement.conflicts import is_said
from metallb.api.core import EndpointSlice, Node, OwnerReference, Pod, Service
from metallb.api.net import Address, NodeName
from metallb.kube.client import KubeClient
from metallb.kube.informer import Informer
from metallb.kube.inputs import Inputs
from metallb.kube.objects import Key
from metallb.kube.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from metallb.kube.store import Change
from metallb.speaker.inputs import ConfigInputs
from metallb.speaker.lean import LeanService, LeanSlice
from metallb.speaker.reconciler import SLICES_BY_SERVICE
from metallb.speaker.settings import SpeakerSettings

DEFAULT_SPEAKER_LABELS = "app=metallb,component=speaker"


class Caches:
    """What the speaker knows of the cluster."""

    def __init__(self, client: KubeClient, settings: SpeakerSettings) -> None:
        namespace, labels = settings.namespace, settings.ml_labels or DEFAULT_SPEAKER_LABELS
        self._namespace = namespace
        self.services: Informer[Service] = Informer(client, SERVICES, decoder=Decoder(LeanService))
        self.slices: Informer[EndpointSlice] = Informer(
            client, ENDPOINT_SLICES, decoder=Decoder(LeanSlice), indexers={SLICES_BY_SERVICE: _services_of}
        )
        self.nodes = Informer(client, NODES, decoder=Decoder(Node))
        self.pods = Informer(client, PODS, decoder=Decoder(Pod), namespace=namespace, label_selector=labels)
        self.config = ConfigInputs(client, settings, self.nodes)
        self.others = Inputs([self.services, self.slices, self.nodes, self.pods])

    def start(self, group: asyncio.TaskGroup) -> None:
        """Follows the API from now on."""
        self.config.start(group)
        self.others.start(group)

    async def ready(self) -> None:
        """Returns when all are complete that announcements need."""
        await self.others.ready()
        await self.config.ready()

    def refused(self) -> tuple[str, ...]:
        """What the server does not let us read, in sentences."""
        return self.config.refused() + self.others.refused()

    def live(self) -> frozenset[NodeName]:
        """The nodes with a speaker that is ready, as the API says."""
        return frozenset(pod.spec.node_name for pod in self.pods.store.values() if pod.ready)

    def owner(self, pod: str) -> OwnerReference | None:
        """Our own Pod as owner of objects; None where it is not known."""
        found = self.pods.store.get((self._namespace, pod))
        return None if found is None else OwnerReference("v1", "Pod", pod, found.metadata.uid)

    def speakers(self) -> dict[str, Address]:
        """The nodes that should have a speaker, and where it listens."""
        placed = (pod for pod in self.pods.store.values() if pod.spec.node_name and pod.status.pod_ip)
        return {pod.spec.node_name: Address.parse(pod.status.pod_ip) for pod in placed}


def _services_of(found: EndpointSlice) -> Iterable[str]:
    return (str(found.service),) if found.service else ()


def keys_of(found: EndpointSlice) -> Iterable[Key]:
    """The Service that it is of, if any."""
    return (Key(*found.service),) if found.service else ()


def node_matters(change: Change[Node]) -> bool:
    """Nodes post their state all the time; elections look at labels and one condition."""
    before, after = change.before, change.after
    if before is None or after is None:
        return True
    kind = "NetworkUnavailable"
    return before.metadata.labels != after.metadata.labels or before.condition(kind) != after.condition(kind)


def conflict_said(change: Change[Service]) -> bool:
    """The condition that another host uses its address has come or gone."""
    return _says_conflict(change.before) != _says_conflict(change.after)


def _says_conflict(service: Service | None) -> bool:
    return service is not None and is_said(service)


def came_or_left(change: Change[Pod]) -> bool:
    """A speaker is there now, or says that it goes."""
    return not fell_silent(change) and _is_live(change.before) != _is_live(change.after)


def fell_silent(change: Change[Pod]) -> bool:
    """A speaker is not ready any more without having said that it goes: its node may be dead."""
    after = change.after
    return _is_live(change.before) and after is not None and not after.ready and not after.metadata.deletion_timestamp


def _is_live(pod: Pod | None) -> bool:
    return pod is not None and pod.ready
