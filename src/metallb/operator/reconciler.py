"""Makes the cluster match the MetalLB resource, and says in its status how far it is.

Applies what the resource stands for and removes what it stands for no more; foreign edits to it are seen and undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from metallb.api.core import Model, ObjectMeta
from metallb.api.v1beta1 import MetalLB
from metallb.kube.apply import StatusWriter, apply_object
from metallb.kube.client import KubeClient
from metallb.kube.errors import ApiError, NotFoundError
from metallb.kube.objects import Bare, Key
from metallb.kube.reconciler import Done, Failed, Outcome, Reconciler
from metallb.kube.resources import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    NETWORK_POLICIES,
    Resource,
    resource_of,
)
from metallb.kube.store import Store
from metallb.operator import backend
from metallb.operator.conditions import (
    NAME,
    Available,
    Degraded,
    State,
    WorkloadStatus,
    conditions,
    readiness,
    same,
    written,
    wrong_name,
)
from metallb.operator.operands import CONTROLLER, SPEAKER, Installation, Object, render
from metallb.telemetry import logs

MANAGED = "app.kubernetes.io/managed-by=metallb-operator"
"""Label selector of everything that the operator makes."""

FAILED = "FailedToSyncMetalLBResources"

_log = logs.logger(op="reconcile")


class WorkloadSpec(Model, frozen=True):
    """The one field of a Deployment's spec that readiness rests on."""

    replicas: int = 1


class Workload(Model, frozen=True):
    """A Deployment or DaemonSet as far as its readiness goes."""

    metadata: ObjectMeta = ObjectMeta()
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


@dataclass(frozen=True, slots=True)
class Stores:
    """The resource, and what is there of what it stands for."""

    metallbs: Store[MetalLB]
    daemon_sets: Store[Workload]
    deployments: Store[Workload]
    config_maps: Store[Bare]
    network_policies: Store[Bare]

    def owned(self) -> Iterable[tuple[Resource, Store[Workload] | Store[Bare]]]:
        """The stores of kinds that the operator makes."""
        return (
            (DAEMON_SETS, self.daemon_sets),
            (DEPLOYMENTS, self.deployments),
            (CONFIG_MAPS, self.config_maps),
            (NETWORK_POLICIES, self.network_policies),
        )


@dataclass(slots=True)
class Applied:
    """What was applied and how the object looked then: as long as both are the same, nothing has to be written."""

    desired: Object
    seen: tuple[object, ...]


@dataclass(slots=True)
class Outlets:
    """Where the outcome goes beside the status."""

    warn: Callable[[MetalLB, str, str], None]
    now: Callable[[], str]


@dataclass(slots=True)
class MetalLBOperator:
    """The work of the replica that leads: run `queue`."""

    client: KubeClient
    installation: Installation
    stores: Stores
    writer: StatusWriter
    outlets: Outlets
    queue: Reconciler[Key] = field(init=False)
    _applied: dict[tuple[str, str], Applied] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is due yet."""
        self.queue = Reconciler("metallb", self._reconcile)

    def review(self, *_cause: object) -> None:
        """Something that the operator made has changed."""
        self.queue.add(Key(self.installation.namespace, NAME))

    async def _reconcile(self, key: Key) -> Outcome:
        resource = self.stores.metallbs.get(key)
        if resource is None:
            # Garbage collection takes what it owned; a new resource of this name starts from nothing.
            self._applied.clear()
            return Done()
        if resource.metadata.deletion_timestamp is not None:
            # Deleted in the foreground: what it owns goes first, and must not be applied again while it does.
            return Done()
        if key.name != NAME:
            await self._say(resource, wrong_name(key.name))
            return Done()
        refusal = backend.refusal(resource.spec)
        if refusal is not None:
            await self._say(resource, refusal)
            return Done()
        try:
            await self._sync(resource)
        except ApiError as error:
            await self._say(resource, Degraded(FAILED, str(error)))
            return Failed(error)
        await self._say(resource, self._readiness())
        return Done()

    async def _sync(self, resource: MetalLB) -> None:
        wanted = render(resource, self.installation)
        for desired in wanted:
            await self._apply(desired)
        names = {(each["kind"], each["metadata"]["name"]) for each in wanted}
        for kind, store in self.stores.owned():
            for each in store.values():
                if (kind.kind, each.metadata.name) not in names and _is_owned(each.metadata, resource):
                    await self._delete(kind, each.metadata.name)

    async def _apply(self, desired: Object) -> None:
        identity = (desired["kind"], desired["metadata"]["name"])
        before = self._applied.get(identity)
        if before is not None and before.desired == desired and before.seen == self._seen(desired):
            return
        _log.info("applying", event="apply", kind=identity[0], name=identity[1])
        after = await apply_object(self.client, desired)
        self._applied[identity] = Applied(desired, _looks(after.metadata, desired["kind"]))

    async def _delete(self, resource: Resource, name: str) -> None:
        _log.info("removing what is not wanted any more", event="delete", kind=resource.kind, name=name)
        try:
            await self.client.delete(resource, name, namespace=self.installation.namespace)
        except NotFoundError:
            return

    def _seen(self, desired: Object) -> tuple[object, ...]:
        """How the live object looks in the cache; nothing where it is not there."""
        wanted = resource_of(desired["apiVersion"], desired["kind"])
        key = (self.installation.namespace, desired["metadata"]["name"])
        live = next((store.get(key) for resource, store in self.stores.owned() if resource == wanted), None)
        return _looks(live.metadata, desired["kind"]) if live is not None else ()

    def _readiness(self) -> State:
        speaker = self._current("DaemonSet", self.stores.daemon_sets, SPEAKER)
        controller = self._current("Deployment", self.stores.deployments, CONTROLLER)
        return readiness(
            (speaker.metadata.generation, speaker.status) if speaker else None,
            (controller.metadata.generation, controller.spec.replicas, controller.status) if controller else None,
        )

    def _current(self, kind: str, store: Store[Workload], name: str) -> Workload | None:
        """The workload as the cache has it; None while the cache is behind what was applied."""
        found = store.get((self.installation.namespace, name))
        applied = self._applied.get((kind, name))
        behind = found is None or applied is None or _looks(found.metadata, kind) != applied.seen
        return None if behind else found

    async def _say(self, resource: MetalLB, state: State) -> None:
        """Writes the conditions where they say something new."""
        before = resource.status.conditions
        after = conditions(state, before, resource.metadata.generation, self.outlets.now())
        if same(before, after):
            return
        if isinstance(state, Degraded):
            self.outlets.warn(resource, state.reason, state.message)
        elif isinstance(state, Available) and state.message:
            self.outlets.warn(resource, "NoSpeakers", state.message)
        key = (resource.metadata.namespace, resource.metadata.name)
        status: dict[str, Any] = {"conditions": written(after)}
        try:
            await self.writer.write(key, resource.metadata.resource_version, status)
        except NotFoundError:
            return


def _looks(metadata: ObjectMeta, kind: str) -> tuple[object, ...]:
    """What changes when somebody edits what we applied, and not when a status does."""
    version = metadata.generation or metadata.resource_version
    return kind, metadata.uid, version, tuple(sorted(metadata.labels.items())), metadata.owner_references


def _is_owned(metadata: ObjectMeta, resource: MetalLB) -> bool:
    return any(owner.uid == resource.metadata.uid for owner in metadata.owner_references)
