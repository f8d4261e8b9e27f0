"""A cluster in memory that the operator writes to, with caches that follow only when they are told to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from metallb.api.core import Condition, ObjectMeta
from metallb.api.v1beta1 import MetalLB, MetalLBSpec, MetalLBStatus
from metallb.kube.answers import ListPage
from metallb.kube.errors import ApiError, ConflictError, NotFoundError
from metallb.kube.objects import Bare, Key
from metallb.kube.resources import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    NETWORK_POLICIES,
    POD_MONITORS,
    PROMETHEUS_RULES,
    SECRETS,
    SECURITY_CONTEXT_CONSTRAINTS,
    SERVICE_MONITORS,
    SERVICES,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
    Resource,
)
from metallb.kube.store import Store
from metallb.operator.backend import DEPLOYABLE
from metallb.operator.conditions import WorkloadStatus
from metallb.operator.failover import Suspect
from metallb.operator.inherited import Found, FoundMeta
from metallb.operator.installation import Installation
from metallb.operator.operands import CLUSTER_SCOPED
from metallb.operator.pods import OperandPod
from metallb.operator.reconciler import MetalLBOperator, Outlets, Stores, Workload

NAMESPACE = "metallb-system"
Object = dict[str, Any]
Objects = list[Object]
Texts = list[str]
"""Names for what the cluster's own `list` would hide."""


WORKLOADS = (DAEMON_SETS, DEPLOYMENTS)
OTHERS = (
    *(CONFIG_MAPS, NETWORK_POLICIES, SECRETS, SERVICES, SERVICE_MONITORS, POD_MONITORS, PROMETHEUS_RULES),
    *(SECURITY_CONTEXT_CONSTRAINTS, VALIDATING_WEBHOOK_CONFIGURATIONS),
)


def make_stores() -> Stores:
    """Caches of all kinds there are, with nothing in them."""
    workloads: dict[Resource, Store[Workload]] = {kind: Store() for kind in WORKLOADS}
    others: dict[Resource, Store[Bare]] = {kind: Store() for kind in OTHERS}
    suspects: dict[Resource, Store[Suspect]] = {kind: Store() for kind in WORKLOADS}
    return Stores(Store(), workloads, others, Store(), suspects, Store())


@dataclass
class FakeCluster:
    """Server-side apply, deletion and status patches of the few kinds that the operator writes.

    `writes` lists what was asked, `changes` counts what changed an object; `failing` answers instead, `refused`
    does for objects of a name. `left` is what an operator before has left; `meanwhile` happens after the next applies
    have had their effect, and before their answers arrive.
    """

    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    resources: dict[str, MetalLB] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    changes: int = 0
    failing: ApiError | None = None
    refused: dict[str, ApiError] = field(default_factory=dict)
    left: dict[tuple[str, str], Found] = field(default_factory=dict)
    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    stores: Stores = field(default_factory=make_stores)
    now: str = "2026-01-01T00:00:00Z"

    # What the operator calls

    async def apply(self, resource: Resource, name: str, body: Object, **_options: Any) -> Bare:
        self._record(f"apply {resource.kind}/{name}")
        if name in self.refused:
            raise self.refused[name]
        known = self.objects.get((resource.kind, name))
        applied = {key: value for key, value in body.items() if key != "metadata"}
        metadata = {key: body["metadata"].get(key, []) for key in ("labels", "ownerReferences")}
        if known is None or known["applied"] != applied or known["metadata"] != metadata:
            self.changes += 1
            spec_moves = known is None or known["applied"] != applied
            self.objects[resource.kind, name] = {
                "applied": applied,
                "metadata": metadata,
                "uid": known["uid"] if known else f"uid-{self.changes}",
                "version": self.changes,
                "generation": (known["generation"] if known else 0) + spec_moves,
                "status": known["status"] if known else {},
            }
        answer = Bare(self._metadata(resource.kind, name))
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return answer

    async def list(self, resource: Resource, *, field_selector: str = "", **_options: Any) -> ListPage[Found]:
        name = field_selector.partition("=")[2]
        found = [each for (kind, own), each in self.left.items() if kind == resource.kind and name in ("", own)]
        return ListPage(found, "1")

    async def json_patch(self, resource: Resource, name: str, operations: Objects, **_options: Any) -> Bare:
        self._record(f"claim {resource.kind}/{name}")
        found = self.left[resource.kind, name].metadata
        wanted = {each["path"]: each["value"] for each in operations}
        if wanted["/metadata/resourceVersion"] != found.resource_version:
            raise ConflictError("PATCH", "changed", code=409)
        entries = wanted["/metadata/managedFields"]
        self.leave(resource.kind, name, managedFields=entries)
        return Bare(found)

    async def delete(self, resource: Resource, name: str, **_options: Any) -> None:
        self._record(f"delete {resource.kind}/{name}")
        if self.left.pop((resource.kind, name), None) is not None and (resource.kind, name) not in self.objects:
            return
        if self.objects.pop((resource.kind, name), None) is None:
            raise NotFoundError("DELETE", "gone", code=404)
        self.changes += 1

    async def write(self, key: tuple[str, str], version: str, status: Object, _annotations: object = None) -> Bare:
        self._record(f"status {key[1]}")
        found = self.resources.get(key[1])
        if found is None:
            raise NotFoundError("PATCH", "gone", code=404)
        if found.metadata.resource_version != version:
            raise ConflictError("PATCH", "changed", code=409)
        self.changes += 1
        conditions = msgspec.convert(status["conditions"], tuple[Condition, ...])
        self.put(msgspec.structs.replace(found, status=MetalLBStatus(conditions)))
        return Bare(self.resources[key[1]].metadata)

    # What a test does

    def put(self, resource: MetalLB) -> None:
        self.changes += 1
        metadata = msgspec.structs.replace(resource.metadata, resource_version=str(self.changes))
        self.resources[metadata.name] = msgspec.structs.replace(resource, metadata=metadata)

    def edit(self, kind: str, name: str) -> None:
        """Somebody changes the spec, or for a kind without generation anything."""
        self.changes += 1
        found = self.objects[kind, name]
        found["applied"] = {}
        found["generation"] += 1
        found["version"] = self.changes

    def leave(self, kind: str, name: str, *, uid: str = "u-1", **metadata: Any) -> None:
        """An operator before has made this, for the resource of this uid; none where it is empty."""
        self.changes += 1
        owner = {"apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "name": "metallb", "uid": uid}
        owners = [owner | {"controller": True}] if uid else []
        body = {"name": name, "namespace": NAMESPACE, "uid": f"left-{name}", "resourceVersion": str(self.changes)}
        self.left[kind, name] = Found(msgspec.convert({**body, "ownerReferences": owners, **metadata}, FoundMeta))

    def put_pod(self, name: str, **status: Any) -> None:
        """A pod of MetalLB that is not ready since the beginning of 2026."""
        self.changes += 1
        ready = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        conditions = [*status.pop("conditions", []), ready]
        metadata = {"name": name, "namespace": NAMESPACE, "resourceVersion": str(self.changes)}
        body = {"metadata": metadata, "status": {"conditions": conditions} | status}
        self.stores.pods.put(msgspec.convert(body, OperandPod))

    def put_failover(self, name: str = "ipfailover") -> None:
        """Somebody's Deployment of keepalived."""
        self.changes += 1
        container = {"image": "quay.io/openshift/origin-keepalived-ipfailover:4.14"}
        metadata = {"name": name, "namespace": "default", "resourceVersion": str(self.changes)}
        body = {"metadata": metadata, "spec": {"template": {"spec": {"containers": [container]}}}}
        self.stores.suspects[DEPLOYMENTS].put(msgspec.convert(body, Suspect))

    def remove_failover(self, name: str = "ipfailover") -> None:
        self.stores.suspects[DEPLOYMENTS].remove(Key("default", name))

    def get_ready(self, speakers: int = 4) -> None:
        scheduled = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")
        for (kind, _), found in self.objects.items():
            counts = {"observedGeneration": found["generation"]}
            if kind == "Deployment":
                counts |= {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}
            if kind == "DaemonSet":
                counts |= dict.fromkeys(scheduled, speakers)
            found["status"] = counts
            self.changes += 1
            found["version"] = self.changes

    def deliver(self) -> None:
        """The caches see everything."""
        self.stores.metallbs.replace(self.resources.values())
        by_kind: dict[str, Store[Any]] = {kind.kind: store for kind, store in self.stores.owned()}
        for kind, store in by_kind.items():
            workload = kind in {"DaemonSet", "Deployment"}
            store.replace(
                Workload(self._metadata(each, name), status=msgspec.convert(found["status"], WorkloadStatus))
                if workload
                else Bare(self._metadata(each, name))
                for (each, name), found in self.objects.items()
                if each == kind
            )

    def conditions(self, name: str = "metallb") -> dict[str, Condition]:
        return {each.type: each for each in self.resources[name].status.conditions}

    def taken(self) -> Texts:
        """The writes since the last call."""
        found, self.writes = self.writes, []
        return found

    def _record(self, what: str) -> None:
        self.writes.append(what)
        if self.failing is not None and not what.startswith("status"):
            raise self.failing

    def _metadata(self, kind: str, name: str) -> ObjectMeta:
        found = self.objects[kind, name]
        return msgspec.convert(
            {
                "name": name,
                "namespace": "" if kind in CLUSTER_SCOPED else NAMESPACE,
                "uid": found["uid"],
                "resourceVersion": str(found["version"]),
                "generation": found["generation"] if kind in {"DaemonSet", "Deployment", "NetworkPolicy"} else 0,
                **found["metadata"],
            },
            ObjectMeta,
        )


@pytest.fixture
def cluster() -> FakeCluster:
    """An empty one."""
    return FakeCluster()


@pytest.fixture
def operator(cluster: FakeCluster) -> MetalLBOperator:
    """An operator that has just begun to lead."""
    return build_operator(cluster)


def build_operator(
    cluster: FakeCluster, *, deployable: Collection[str] = DEPLOYABLE, **changes: Any
) -> MetalLBOperator:
    installation = Installation(
        **{
            "namespace": NAMESPACE,
            "controller_image": "example.org/controller:v1",
            "speaker_image": "example.org/speaker:v1",
            "version": "v1",
            **changes,
        }
    )
    outlets = Outlets(
        warn=lambda _resource, reason, message: cluster.warnings.append((reason, message)),
        now=lambda: cluster.now,
    )
    fake: Any = cluster
    return MetalLBOperator(fake, installation, cluster.stores, fake, outlets, deployable)


@pytest.fixture
def restarted(cluster: FakeCluster) -> Callable[..., MetalLBOperator]:
    """Another operator on the same cluster, with other settings where some are given."""
    return lambda **changes: build_operator(cluster, **changes)


@pytest.fixture
def metallb() -> Callable[..., MetalLB]:
    """A MetalLB resource as a user writes it."""

    def build(name: str = "metallb", *, uid: str = "u-1", deleted: str | None = None, **spec: Any) -> MetalLB:
        metadata = ObjectMeta(name=name, namespace=NAMESPACE, uid=uid, generation=1, deletion_timestamp=deleted)
        return MetalLB(metadata=metadata, spec=MetalLBSpec(**spec))

    return build
