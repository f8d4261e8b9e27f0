"""Makes the cluster match the MetalLB resource, and says in its status how far it is.

Applies what the resource stands for and removes what it stands for no more; foreign edits to it are seen and undone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from metallb.api.core import Model, ObjectMeta
from metallb.api.v1beta1 import MetalLB
from metallb.kube.apply import StatusWriter, apply_object
from metallb.kube.client import KubeClient
from metallb.kube.errors import ApiError, ConflictError, ForbiddenError, InvalidError, NotFoundError
from metallb.kube.objects import BARE, Bare, Key
from metallb.kube.reconciler import Again, Done, Failed, Outcome, Reconciler
from metallb.kube.resources import DAEMON_SETS, DEPLOYMENTS, Resource, resource_of
from metallb.kube.store import Store
from metallb.operator import backend, cluster_network, failover
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
from metallb.operator.failover import Suspect
from metallb.operator.inherited import Inherited, claim, leftovers
from metallb.operator.installation import Installation
from metallb.operator.operands import CONTROLLER, NAMESPACE_LABEL, SPEAKER, render
from metallb.operator.parts import Object
from metallb.operator.pods import OperandPod, troubles
from metallb.operator.refusals import CreationRefused, latest
from metallb.operator.survey import look, survey
from metallb.operator.validation import EXTERNAL, errors
from metallb.telemetry import logs

MANAGED = "app.kubernetes.io/managed-by=metallb-operator"
"""Label selector of everything that the operator makes."""

QUEUE = "metallb"
"""The reconciler's name in logs and metrics."""

FAILED = "FailedToSyncMetalLBResources"
INVALID = "InvalidMetalLBResource"
FAILOVER = "IPFailoverPresent"

IMMUTABLE = "field is immutable"
"""The API server's words when a selector would change."""

CLAIMS = 5
"""How often an object is claimed that changes meanwhile, as its status does."""

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
    """The resource, and what is there of what it stands for.

    Attributes:
        metallbs: the resources.
        workloads: Deployments and DaemonSets that the operator made.
        others: what else it made, by kind; kinds that the cluster does not have are left out.
        pods: of MetalLB.
        suspects: Deployments and DaemonSets of everybody: one may be an IP failover.
        refusals: what the API server says of pods that it refuses.
    """

    metallbs: Store[MetalLB]
    workloads: Mapping[Resource, Store[Workload]]
    others: Mapping[Resource, Store[Bare]]
    pods: Store[OperandPod]
    suspects: Mapping[Resource, Store[Suspect]]
    refusals: Store[CreationRefused]

    def owned(self) -> Iterator[tuple[Resource, Store[Workload] | Store[Bare]]]:
        """The stores of kinds that the operator makes."""
        return chain(self.workloads.items(), self.others.items())

    def kinds(self) -> frozenset[Resource]:
        """The kinds that the cluster has and the operator may make."""
        return frozenset(kind for kind, _ in self.owned())


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
    observe: Callable[[Outcome], None] | None = None


class SyncError(Exception):
    """Objects that could not be applied: each with the API server's answer.

    Attributes:
        first: the first answer; how soon to try again is up to it.
    """

    def __init__(self, found: Sequence[tuple[str, ApiError]]) -> None:
        super().__init__("; ".join(f"{what}: {error}" for what, error in found))
        self.first = found[0][1]


@dataclass(slots=True)
class MetalLBOperator:
    """The work of the replica that leads: run `queue`."""

    client: KubeClient
    installation: Installation
    stores: Stores
    writer: StatusWriter
    outlets: Outlets
    deployable: Collection[str] = backend.DEPLOYABLE
    queue: Reconciler[Key] = field(init=False)
    _applied: dict[tuple[str, str], Applied] = field(default_factory=dict)
    _missing: frozenset[str] = frozenset()
    _inherited: list[Inherited] | None = None  # not looked at yet
    _asked_network: bool = False

    def __post_init__(self) -> None:
        """Nothing is due yet."""
        self.queue = Reconciler(QUEUE, self._reconcile, observe=self.outlets.observe)

    def review(self, *_cause: object) -> None:
        """Something that the operator made, or that it looks at, has changed."""
        self.queue.add(Key(self.installation.namespace, NAME))

    async def _reconcile(self, key: Key) -> Outcome:
        resource = self.stores.metallbs.get(key)
        if resource is None or resource.metadata.deletion_timestamp is not None:
            return await self._gone(key, deleted=resource is None)
        refusal = self._refusal(resource)
        present = self._failover()
        if refusal is None and present and not self._is_installed():
            refusal = Degraded(FAILOVER, failover.message(present, installed=False))
        if refusal is not None:
            await self._say(resource, refusal)
            return Done()
        try:
            waits = await self._wait_for_network(resource)
            if waits is not None:
                await self._say(resource, waits)
                return Again(cluster_network.LOOK_AGAIN_S)
            await self._sync(resource)
        except SyncError as error:
            await self._say(resource, Degraded(FAILED, str(error)))
            return Failed(error.first)
        except ApiError as error:
            await self._say(resource, Degraded(FAILED, str(error)))
            return Failed(error)
        found = troubles(self.stores.pods)
        now = dt.datetime.fromisoformat(self.outlets.now())
        state = self._readiness(now)
        if present:
            state = Degraded(FAILOVER, failover.message(present, installed=True))
        await self._say(resource, state)
        soon = found.next_look(now)
        return Done() if soon is None else Again(max(soon, 1.0))

    async def _gone(self, key: Key, *, deleted: bool) -> Outcome:
        """Garbage collection takes what is in the namespace; the rest has no owner and is ours to remove.

        Nothing is applied again meanwhile: with a deletion in the foreground the objects go first.
        """
        if key.name != NAME:
            return Done()
        if deleted:
            self._applied.clear()
        await self._survey()
        await self._prune(frozenset(), None)
        return Done()

    def _refusal(self, resource: MetalLB) -> Degraded | None:
        """Why nothing is done for the resource as it is."""
        if resource.metadata.name != NAME:
            return wrong_name(resource.metadata.name)
        broken = errors(resource, self.installation.frrk8s_namespace)
        if broken:
            return Degraded(INVALID, "; ".join(map(str, broken)) + "; what runs goes on")
        return backend.refusal(resource.spec, self.deployable)

    async def _wait_for_network(self, resource: MetalLB) -> State | None:
        """What OpenShift's network operator has to come to first, where FRR-K8s is to be had of it."""
        minimum = self.installation.network_operator
        if minimum is None or backend.backend_of(resource.spec) != EXTERNAL or self._asked_network:
            return None
        waits = await cluster_network.ask(self.client, minimum)
        self._asked_network = waits is None
        return waits

    def _failover(self) -> tuple[str, ...]:
        every = (failover.found(kind.kind, store) for kind, store in self.stores.suspects.items())
        return tuple(chain.from_iterable(every))

    def _is_installed(self) -> bool:
        key = (self.installation.namespace, SPEAKER)
        return self.stores.workloads[DAEMON_SETS].get(key) is not None

    async def _sync(self, resource: MetalLB) -> None:
        kinds = self.stores.kinds()
        inherited = await self._survey()
        every = render(resource, self.installation)
        wanted = [each for each in every if resource_of(each["apiVersion"], each["kind"]) in kinds]
        self._note_missing(frozenset(each["kind"] for each in every) - {each["kind"] for each in wanted})
        identities = frozenset((each["kind"], each["metadata"]["name"]) for each in wanted)
        for each in inherited:
            if each.identity in identities:
                await self._claim(each)
        refused: list[tuple[str, ApiError]] = []
        for desired in wanted:
            try:
                await self._apply_anew(desired, resource)
            except (ForbiddenError, InvalidError, NotFoundError) as error:
                refused.append((f"could not apply {desired['kind']} {desired['metadata']['name']}", error))
        if refused:
            raise SyncError(refused)
        await self._prune(identities, resource)
        for left in leftovers(inherited, identities, resource.metadata.uid):
            await self._delete(left.resource, left.metadata)
        self._inherited = []

    def _note_missing(self, kinds: frozenset[str]) -> None:
        """Kinds of others, such as a monitor's, may be installed later: what is of them is applied then."""
        if kinds and kinds != self._missing:
            _log.warn("the cluster does not have kinds that are asked for", event="kindsMissing", kinds=sorted(kinds))
        self._missing = kinds

    async def _prune(self, wanted: Collection[tuple[str, str]], resource: MetalLB | None) -> None:
        """Removes what the operator made for this resource, or for none, and is not wanted."""
        for kind, store in self.stores.owned():
            for each in store.values():
                if (kind.kind, each.metadata.name) not in wanted and self._is_ours(kind, each.metadata, resource):
                    await self._delete(kind, each.metadata)

    def _is_ours(self, kind: Resource, metadata: ObjectMeta, resource: MetalLB | None) -> bool:
        if not kind.namespaced:
            return metadata.labels.get(NAMESPACE_LABEL) == self.installation.namespace
        return resource is not None and _is_owned(metadata, resource)

    async def _apply(self, desired: Object) -> None:
        identity = (desired["kind"], desired["metadata"]["name"])
        before = self._applied.get(identity)
        if before is not None and before.desired == desired and before.seen == self._seen(desired):
            return
        _log.info("applying", event="apply", kind=identity[0], name=identity[1])
        after = await apply_object(self.client, desired)
        self._applied[identity] = Applied(desired, _looks(after.metadata, desired))

    async def _apply_anew(self, desired: Object, resource: MetalLB) -> None:
        """Applies; where a field stands in the way that can't be changed, the object that was made for us goes first.

        Raises:
            ApiError: it can't be applied.
        """
        try:
            await self._apply(desired)
        except InvalidError as error:
            if IMMUTABLE not in str(error):
                raise
            kind = resource_of(desired["apiVersion"], desired["kind"])
            found = await self._look(kind, desired["metadata"]["name"])
            if found is None or found.owner != resource.metadata.uid:
                raise
            await self._delete(kind, found.metadata)
            await self._apply(desired)

    async def _survey(self) -> list[Inherited]:
        """What an operator before us has left and is not taken over yet; asked for once, best before it matters."""
        if self._inherited is None:
            self._inherited = await survey(self.client, self.installation.namespace)
        return self._inherited

    async def _claim(self, each: Inherited) -> None:
        """What an operator before us wrote is ours now: an apply takes back what we don't want of it.

        Raises:
            ApiError: it can't be; a conflict: it changes too fast.
        """
        found: Inherited | None = each
        for _ in range(CLAIMS):
            patch = claim(found.metadata) if found is not None else None
            if found is None or patch is None:
                return
            name, namespace = found.metadata.name, found.metadata.namespace
            _log.info("taking over from another operator", event="claim", kind=each.resource.kind, name=name)
            try:
                await self.client.json_patch(each.resource, name, patch, namespace=namespace, decoder=BARE)
            except ConflictError as error:
                conflict = error
                found = await self._look(each.resource, name)
            else:
                return
        raise conflict

    async def _look(self, kind: Resource, name: str) -> Inherited | None:
        """The object as it is now; None: it is gone, or nobody's."""
        namespace = self.installation.namespace if kind.namespaced else ""
        return next(iter(await look(self.client, kind, namespace, name)), None)

    async def _delete(self, resource: Resource, metadata: ObjectMeta) -> None:
        _log.info("removing what is not wanted any more", event="delete", kind=resource.kind, name=metadata.name)
        self._applied.pop((resource.kind, metadata.name), None)
        try:
            await self.client.delete(resource, metadata.name, namespace=metadata.namespace, uid=metadata.uid)
        except (NotFoundError, ConflictError):  # it is gone, or another one by now: the cache will tell
            return

    def _seen(self, desired: Object) -> tuple[object, ...]:
        """How the live object looks in the cache; nothing where it is not there."""
        wanted = resource_of(desired["apiVersion"], desired["kind"])
        key = (desired["metadata"].get("namespace", ""), desired["metadata"]["name"])
        live = next((store.get(key) for resource, store in self.stores.owned() if resource == wanted), None)
        return _looks(live.metadata, desired) if live is not None else ()

    def _readiness(self, now: dt.datetime) -> State:
        speaker = self._current(DAEMON_SETS, SPEAKER)
        controller = self._current(DEPLOYMENTS, CONTROLLER)
        return readiness(
            (speaker.metadata.generation, speaker.status) if speaker else None,
            (controller.metadata.generation, controller.spec.replicas, controller.status) if controller else None,
            troubles(self.stores.pods),
            now,
            latest(self.stores.refusals, DAEMON_SETS.kind, SPEAKER, now),
        )

    def _current(self, resource: Resource, name: str) -> Workload | None:
        """The workload as the cache has it; None while the cache is behind what was applied."""
        found = self.stores.workloads[resource].get((self.installation.namespace, name))
        applied = self._applied.get((resource.kind, name))
        behind = found is None or applied is None or _looks(found.metadata, applied.desired) != applied.seen
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


def _looks(metadata: ObjectMeta, desired: Object) -> tuple[object, ...]:
    """What changes when somebody edits what we applied, and not when a status does.

    Of annotations only ours: others keep their books in theirs.
    """
    version = metadata.generation or metadata.resource_version
    annotations = tuple(metadata.annotations.get(key) for key in desired["metadata"].get("annotations", ()))
    labels = tuple(sorted(metadata.labels.items()))
    return desired["kind"], metadata.uid, version, labels, annotations, metadata.owner_references


def _is_owned(metadata: ObjectMeta, resource: MetalLB) -> bool:
    return any(owner.uid == resource.metadata.uid for owner in metadata.owner_references)
