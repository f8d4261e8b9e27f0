"""Keeps a ServiceL2Status for each Service that this node announces, so that `kubectl get servicel2status` tells it.

    statuses = L2Statuses(client, mine, showing.of)
    group.create_task(statuses.run())      # once it is decided what is announced
    statuses.review(service_key)           # it is announced now, otherwise, or not any more

One object for a Service: the node that announces it removes those that others left behind, a node that does not
removes its own. Somebody deletes or edits one: it is put right. Nothing changed: nothing is written.

It names hosts outside the cluster that use the addresses, too, and no node while they keep all of them from being
announced. MetalLB's own CRD has no field for that: then there is nothing to write of such a Service.
Source: spec/speaker.md 2.7.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NoReturn

from msgspec import to_builtins
from msgspec.json import Decoder
from msgspec.structs import replace

from metallb.advertisement.conflicts import LABEL
from metallb.api.core import OwnerReference
from metallb.api.net import NodeName, ServiceKey
from metallb.api.v1beta1_states import (
    NAME_LABEL,
    NAMESPACE_LABEL,
    NODE_LABEL,
    AddressConflict,
    Interface,
    ServiceL2Status,
    ServiceL2StatusStatus,
    service_of,
)
from metallb.kube.backoff import Backoff
from metallb.kube.client import KubeClient
from metallb.kube.errors import ForbiddenError, NotFoundError
from metallb.kube.informer import Informer
from metallb.kube.objects import Key
from metallb.kube.reconciler import Again, Done, Outcome, Reconciler
from metallb.kube.resources import SERVICE_L2_STATUSES
from metallb.speaker.lean import LeanL2Status
from metallb.speaker.showing import Shown
from metallb.telemetry import logs

CLEAR_AGAIN_S: Final = 30.0
"""How long an object that another node wrote again is left alone: speakers that can't hear each other both announce."""

CONFLICT_AGAIN_S: Final = 5.0
"""How long other hosts stand as they were written: one could take another Ethernet address for each of its frames."""

REFUSED_S: Final = 30.0
"""How long to wait after the server said that we may not write, or that there is no such kind."""

_BACKOFF: Final = Backoff(first_s=0.1, limit_s=15.0)
_WORKERS: Final = 2
_BY_SERVICE: Final = "service"
_DECODER: Final = Decoder(LeanL2Status)
_log = logs.logger(op="layer2 status")


@dataclass(frozen=True, slots=True)
class Mine:
    """Whose objects these are.

    Attributes:
        namespace: MetalLB's.
        node: ours.
        owner: our own Pod, once it is known; None: the objects get no owner.
    """

    namespace: str
    node: NodeName
    owner: Callable[[], OwnerReference | None]


class L2Statuses:
    """The objects of one speaker."""

    def __init__(
        self,
        client: KubeClient,
        mine: Mine,
        shown: Callable[[ServiceKey], Shown | None],
        observe: Callable[[Outcome], None] = lambda _outcome: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Does nothing until `run`, but takes Services to review.

        Args:
            client: an open client.
            mine: whose objects these are.
            shown: what there is to say of a Service.
            observe: how each look at a Service ended, for metrics.
            clock: monotonic seconds.
        """
        self._client = client
        self._mine = mine
        self._shown = shown
        self._clock = clock
        self._cleared: dict[ServiceKey, float] = {}
        self._told: dict[ServiceKey, float] = {}
        self._prunes = False
        self._refused_until = float("-inf")
        self._refusal = ""
        self._present = Informer(
            client,
            SERVICE_L2_STATUSES,
            decoder=_DECODER,
            namespace=mine.namespace,
            indexers={_BY_SERVICE: lambda each: [str(key) for key in _service_of(each)]},
        )
        self._queue: Reconciler[Key] = Reconciler(
            "servicel2status", self._work, workers=_WORKERS, backoff=_BACKOFF, observe=observe
        )

    def review(self, service: ServiceKey) -> None:
        """It is announced from here since now, otherwise, or not any more."""
        self._queue.add(Key(*service))

    async def run(self) -> NoReturn:
        """Writes until cancelled. To be started when it is decided what is announced: what is not, is deleted."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._present.run(), name="informer servicel2statuses")
            await self._present.synced.wait()
            self._present.subscribe_by(self._concerned, self._queue.add)
            await self._queue.run()

    def _concerned(self, found: ServiceL2Status) -> Iterable[Key]:
        """The Service of an object, if it is ours to look after: our own objects, and all of what we tell of."""
        mine = found.metadata.labels.get(NODE_LABEL) == self._mine.node
        return [Key(*key) for key in _service_of(found) if mine or self._wanted(key) is not None]

    def _wanted(self, service: ServiceKey) -> Shown | None:
        shown = self._shown(service)
        if shown is None or not self._prunes:
            return shown
        return None if shown.announced is None else Shown(shown.announced, flagged=shown.flagged)

    async def _work(self, raw: Key) -> Outcome:
        wait_s = self._refused_until - self._clock()
        if wait_s > 0:
            return Again(wait_s)
        service = ServiceKey(*raw)
        try:
            return await self._put_right(service, self._wanted(service))
        except ForbiddenError as error:
            return self._refused(error)
        except NotFoundError as error:
            # The object went while we looked at it, or there is no such kind, or no such namespace any more.
            return self._refused(error) if self._present.error is not None else Again(_BACKOFF.first_s)

    def _refused(self, error: ForbiddenError | NotFoundError) -> Again:
        if str(error) != self._refusal:
            _log.warn("ServiceL2Status can't be written", error=str(error))
            self._refusal = str(error)
        self._refused_until = self._clock() + REFUSED_S
        return Again(REFUSED_S)

    async def _put_right(self, service: ServiceKey, wanted: Shown | None) -> Outcome:
        name = name_of(self._mine.node, service)
        found = self._present.store.indexed(_BY_SERVICE, str(service))
        if wanted is None:
            self._cleared.pop(service, None)
            self._told.pop(service, None)
            for each in found:
                if each.metadata.labels.get(NODE_LABEL) == self._mine.node:
                    await self._delete(each)
            return Done()
        outcome = await self._clear(service, [each for each in found if each.metadata.name != name])
        present = self._present.store.get((self._mine.namespace, name))
        wait_s = self._told.get(service, float("-inf")) + CONFLICT_AGAIN_S - self._clock()
        if wait_s > 0 and present is not None and _differ_in_hosts(present.status, wanted.conflicts):
            return Again(wait_s)
        await self._write(service, present, wanted)
        return outcome

    async def _clear(self, service: ServiceKey, others: list[ServiceL2Status]) -> Outcome:
        """Removes what other nodes left behind, and our own under other names."""
        if not others:
            return Done()
        wait_s = self._cleared.get(service, float("-inf")) + CLEAR_AGAIN_S - self._clock()
        if wait_s > 0:
            return Again(wait_s)
        self._cleared[service] = self._clock()
        for each in others:
            await self._delete(each)
        return Done()

    async def _delete(self, found: ServiceL2Status) -> None:
        metadata = found.metadata
        try:
            await self._client.delete(
                SERVICE_L2_STATUSES, metadata.name, namespace=metadata.namespace, uid=metadata.uid
            )
        except NotFoundError:
            return  # somebody else was faster

    async def _write(self, service: ServiceKey, found: ServiceL2Status | None, wanted: Shown) -> None:
        status = _status_of(self._mine.node, service, wanted)
        if found is not None and not _may_become(found.status, status):
            await self._delete(found)  # these fields can't be changed
            found = None
        metadata = self._metadata(service, flagged=wanted.flagged)
        if found is None or not _shows(found, metadata):
            body = {"apiVersion": SERVICE_L2_STATUSES.api_version, "kind": SERVICE_L2_STATUSES.kind}
            found = await self._client.apply(
                SERVICE_L2_STATUSES,
                metadata["name"],
                {**body, "metadata": metadata},
                namespace=self._mine.namespace,
                decoder=_DECODER,
                force=True,
            )
        if found.status == status:
            return
        written = await self._client.merge_patch(
            SERVICE_L2_STATUSES,
            metadata["name"],
            {"status": _body_of(status)},
            namespace=self._mine.namespace,
            subresource="status",
            decoder=_DECODER,
        )
        if not status.conflicts:
            self._told.pop(service, None)
        elif written.status.conflicts:
            self._told[service] = self._clock()
        else:
            _log.info("the CRD of ServiceL2Status has no conflicts: they are told by events only")
            self._prunes = True
            self.review(service)

    def _metadata(self, service: ServiceKey, *, flagged: bool) -> dict[str, Any]:
        owner = self._mine.owner()
        owners = [] if owner is None else [owner]
        return {
            "name": name_of(self._mine.node, service),
            "namespace": self._mine.namespace,
            "labels": {
                NODE_LABEL: self._mine.node,
                NAME_LABEL: service.name,
                NAMESPACE_LABEL: service.namespace,
                **({LABEL: "true"} if flagged else {}),
            },
            "ownerReferences": [
                {"apiVersion": each.api_version, "kind": each.kind, "name": each.name, "uid": each.uid}
                for each in owners
            ],
        }


def name_of(node: NodeName, service: ServiceKey) -> str:
    """The name of a node's object for a Service: the same at each start, so that there are never two."""
    return "l2-" + sha256(f"{node}/{service}".encode()).hexdigest()[:16]


def _service_of(found: ServiceL2Status) -> tuple[ServiceKey, ...]:
    service = service_of(found) if found.metadata.labels.get(NODE_LABEL) else None
    return () if service is None else (service,)


def _status_of(node: NodeName, service: ServiceKey, shown: Shown) -> ServiceL2StatusStatus:
    interfaces = sorted(shown.announced.interfaces) if shown.announced is not None else ()
    return ServiceL2StatusStatus(
        node if shown.announced is not None else "",
        service.name,
        service.namespace,
        tuple(Interface(name) for name in interfaces),
        shown.conflicts,
    )


def _body_of(status: ServiceL2StatusStatus) -> dict[str, Any]:
    return {
        "node": status.node or None,
        "serviceName": status.service_name,
        "serviceNamespace": status.service_namespace,
        "interfaces": [{"name": each.name} for each in status.interfaces] or None,
        "conflicts": [to_builtins(each) for each in status.conflicts] or None,
    }


def _differ_in_hosts(found: ServiceL2StatusStatus, wanted: tuple[AddressConflict, ...]) -> bool:
    """Whether the same addresses are used by other hosts, and nothing else is new."""
    known, shown = ([replace(each, mac="") for each in conflicts] for conflicts in (found.conflicts, wanted))
    return found.conflicts != wanted and known == shown


def _may_become(found: ServiceL2StatusStatus, wanted: ServiceL2StatusStatus) -> bool:
    """Whether what can't be changed once it is set is not set, is not to be, or is as wanted."""
    pairs = (
        (found.node, wanted.node),
        (found.service_name, wanted.service_name),
        (found.service_namespace, wanted.service_namespace),
    )
    return all(not before or not after or before == after for before, after in pairs)


def _shows(found: ServiceL2Status, metadata: dict[str, Any]) -> bool:
    owners = {each.uid for each in found.metadata.owner_references}
    wanted = {each["uid"] for each in metadata["ownerReferences"]}
    labels, shown = metadata["labels"], found.metadata.labels
    return wanted <= owners and labels.items() <= shown.items() and labels.get(LABEL) == shown.get(LABEL)
