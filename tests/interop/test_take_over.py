"""Our operator over what upstream's has made, and upstream's over ours: nothing of the one before stays behind."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from metallb.api.core import ObjectMeta
from metallb.api.v1beta1 import MetalLB, MetalLBSpec
from metallb.kube.apply import StatusWriter
from metallb.kube.client import KubeClient
from metallb.kube.credentials import Credentials
from metallb.kube.errors import NotFoundError
from metallb.kube.objects import OBJECT, Key
from metallb.kube.reconciler import Done, Outcome
from metallb.kube.resources import DAEMON_SETS, DEPLOYMENTS, METALLBS, NAMESPACES, Resource, resource_of
from metallb.kube.store import Store
from metallb.operator.installation import Installation
from metallb.operator.operands import render
from metallb.operator.reconciler import MetalLBOperator, Outlets, Stores
from metallb.operator.survey import KINDS, NAMED

NAMESPACE = "metallb-system"
BACKENDS = ("native", "frr", "frr-k8s")
RECORDED = (
    *(f"native-{each}" for each in ("empty", "w4a", "w4b", "w4c", "w4d", "more")),
    *("frr-empty", "frr-w4d", "frr-k8s-empty"),
)
INSTALLATION = Installation(
    namespace=NAMESPACE,
    controller_image="example.org/controller:v1",
    speaker_image="example.org/speaker:v1",
    version="v0.0.0",
    frr_image="example.org/frr:v1",
    frrk8s_image="example.org/frr-k8s:v1",
)
PROXY = {
    "name": "kube-rbac-proxy",
    "image": "example.org/kube-rbac-proxy:v1",
    "args": ["--secure-listen-address=:9120"],
    "ports": [{"containerPort": 29120, "name": "proxied"}],
}
Json = Any


class Upstream:
    """Its operator, as far as the API server sees it.

    Attributes:
        client: with its name as field manager.
        applies: as it does since June 2026; before, it wrote whole objects.
    """

    def __init__(self, client: KubeClient, *, applies: bool) -> None:
        self.client = client
        self.applies = applies

    async def write(self, each: Json) -> None:
        kind, name = resource_of(each["apiVersion"], each["kind"]), each["metadata"]["name"]
        namespace = NAMESPACE if kind.namespaced else ""
        if self.applies:
            await self.client.apply(kind, name, each, namespace=namespace, decoder=OBJECT, force=True)
            return
        try:
            live: Json = await self.client.get(kind, name, namespace=namespace, decoder=OBJECT)
        except NotFoundError:
            await self.client.create(kind, each, namespace=namespace, decoder=OBJECT)
            return
        version = {"resourceVersion": live["metadata"]["resourceVersion"]}
        whole = each | {"metadata": each["metadata"] | version}
        await self.client.replace(kind, name, whole, namespace=namespace, decoder=OBJECT)


@pytest.fixture
async def cluster(client: KubeClient) -> KubeClient:
    await client.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, decoder=OBJECT
    )
    return client


@pytest.fixture
async def ours(credentials: Credentials) -> AsyncIterator[KubeClient]:
    async with KubeClient(credentials, field_manager="metallb-operator") as opened:
        yield opened


@pytest.fixture(params=["applies", "writes whole objects"])
async def upstream(credentials: Credentials, request: pytest.FixtureRequest) -> AsyncIterator[Upstream]:
    applies = request.param == "applies"
    async with KubeClient(credentials, field_manager="metallb-operator" if applies else "manager") as opened:
        yield Upstream(opened, applies=applies)


def made_by_upstream(recorded: Json) -> list[Json]:
    """The objects of a recording as upstream's operator writes them, and for older ones with what it wrote once."""
    found = []
    for each in copy.deepcopy(recorded["objects"]):
        metadata = {key: each["metadata"].get(key) for key in ("name", "labels", "ownerReferences")}
        metadata["ownerReferences"] = [owner | {"uid": "u-1"} for owner in metadata["ownerReferences"]]
        kind = resource_of(each["apiVersion"], each["kind"])
        metadata |= {"namespace": NAMESPACE} if kind.namespaced else {}
        each["metadata"] = {key: value for key, value in metadata.items() if value}
        each.pop("status", None)
        for name in ("clusterIP", "clusterIPs"):
            each.get("spec", {}).pop(name, None)
        found.append(each)
    return found


def as_of_old(objects: list[Json]) -> list[Json]:
    """With what upstream had before and has no more, nor we."""
    for each in objects:
        each["metadata"].setdefault("labels", {})["example.org/old"] = "yes"
        if each["kind"] in {"DaemonSet", "Deployment"}:
            template = each["spec"]["template"]
            template["metadata"].setdefault("annotations", {})["example.org/old"] = "yes"
            template["spec"]["hostPID"] = True
            template["spec"]["containers"].append(PROXY)
            template["spec"]["containers"][0]["env"].append({"name": "OLD", "value": "yes"})
        if each["kind"] == "ConfigMap":
            each["data"]["old"] = "yes"
    return objects


async def run(client: KubeClient, spec: Json) -> Outcome:
    """Our operator, just started, for a resource with this spec."""
    resource = MetalLB(
        metadata=ObjectMeta(name="metallb", namespace=NAMESPACE, uid="u-1", generation=1),
        spec=msgspec.convert(spec, MetalLBSpec),
    )
    kinds = {resource_of(each["apiVersion"], each["kind"]) for each in render(resource, INSTALLATION)}
    workloads: dict[Resource, Store[Any]] = {kind: Store() for kind in (DAEMON_SETS, DEPLOYMENTS)}
    others: dict[Resource, Store[Any]] = {kind: Store() for kind in kinds - workloads.keys()}
    stores = Stores(Store(), workloads, others, Store(), {kind: Store() for kind in workloads}, Store())
    stores.metallbs.put(resource)
    outlets = Outlets(warn=lambda *_: None, now=lambda: "2026-01-01T00:00:00Z")
    operator = MetalLBOperator(client, INSTALLATION, stores, StatusWriter(client, METALLBS), outlets, BACKENDS)
    return await operator._reconcile(Key(NAMESPACE, "metallb"))


async def present(client: KubeClient) -> dict[tuple[str, str], Json]:
    """All objects of kinds that operators make, but for what differs from one to the next of the same content."""
    found = {}
    for kind in {*KINDS, *(kind for kind, _ in NAMED)}:
        try:
            page = await client.list(kind, decoder=WHOLE, namespace=NAMESPACE if kind.namespaced else "")
        except NotFoundError:
            continue
        for each in page.items:
            found[kind.kind, each.metadata.name] = each
    return {key: content(each) for key, each in found.items()}


class Whole(msgspec.Struct, frozen=True):
    metadata: ObjectMeta
    spec: Json = None
    data: Json = None
    webhooks: Json = None


WHOLE = msgspec.json.Decoder(Whole)


def content(each: Whole) -> Json:
    spec = each.spec
    if isinstance(spec, dict):
        spec = {key: value for key, value in spec.items() if key not in {"clusterIP", "clusterIPs"}}
    annotations = {k: v for k, v in each.metadata.annotations.items() if not k.startswith("deprecated.daemonset")}
    return each.metadata.labels, annotations, each.metadata.owner_references, spec, each.data, each.webhooks


async def clear(client: KubeClient) -> None:
    for kind in {*KINDS, *(kind for kind, _ in NAMED)}:
        namespace = NAMESPACE if kind.namespaced else ""
        try:
            page = await client.list(kind, decoder=WHOLE, namespace=namespace)
        except NotFoundError:
            continue
        for each in page.items:
            await client.delete(kind, each.metadata.name, namespace=namespace)


async def test_nothing_of_upstreams_stays_and_going_back_leaves_nothing_of_ours(
    cluster: KubeClient, ours: KubeClient, upstream: Upstream, recorded: Callable[[str], Any]
) -> None:
    for case in RECORDED:
        story = recorded(f"operands/{case}.json")
        assert await run(ours, story["spec"]) == Done()
        fresh = await present(cluster)
        await clear(cluster)

        for each in made_by_upstream(story):
            await upstream.write(each)
        theirs = await present(cluster)
        await clear(cluster)

        for each in as_of_old(made_by_upstream(story)):
            await upstream.write(each)
        assert await run(ours, story["spec"]) == Done()
        assert await present(cluster) == fresh, case

        for each in made_by_upstream(story):
            await upstream.write(each)
        assert await present(cluster) == theirs, case
        assert await run(ours, story["spec"]) == Done()
        assert await present(cluster) == fresh, case
        await clear(cluster)


@pytest.mark.parametrize("after", ["native", "frr", "frr-k8s"])
async def test_another_backend_than_upstreams_leaves_nothing_either(
    cluster: KubeClient, ours: KubeClient, upstream: Upstream, recorded: Callable[[str], Any], after: str
) -> None:
    """An empty `bgpBackend` is another one here."""
    spec = {"bgpBackend": after}
    assert await run(ours, spec) == Done()
    fresh = await present(cluster)
    await clear(cluster)
    users = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "users", "namespace": NAMESPACE}}
    for case in ("native-empty", "frr-empty", "frr-k8s-empty"):
        for each in as_of_old(made_by_upstream(recorded(f"operands/{case}.json"))):
            await upstream.write(each)
        await upstream.write(users)
        assert await run(ours, spec) == Done()
        found = await present(cluster)
        assert found.pop(("ConfigMap", "users"))
        assert found == fresh, case


async def test_only_what_operators_wrote_is_taken_from_them(
    cluster: KubeClient, ours: KubeClient, upstream: Upstream, recorded: Callable[[str], Any]
) -> None:
    """A restart by hand keeps its mark, and pods are rolled no second time by us."""
    story = recorded("operands/native-empty.json")
    for each in made_by_upstream(story):
        await upstream.write(each)
    mark = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
    await cluster.merge_patch(DAEMON_SETS, "speaker", mark, namespace=NAMESPACE, decoder=OBJECT)
    before: Json = await cluster.get(DAEMON_SETS, "speaker", namespace=NAMESPACE, decoder=OBJECT)
    assert await run(ours, story["spec"]) == Done()
    after: Json = await cluster.get(DAEMON_SETS, "speaker", namespace=NAMESPACE, decoder=OBJECT)
    assert "kubectl.kubernetes.io/restartedAt" in after["spec"]["template"]["metadata"]["annotations"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1, "pods roll once"
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert await run(ours, story["spec"]) == Done()
    again: Json = await cluster.get(DAEMON_SETS, "speaker", namespace=NAMESPACE, decoder=OBJECT)
    assert again["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


async def test_a_workload_with_another_selector_is_made_anew(
    cluster: KubeClient, ours: KubeClient, upstream: Upstream, recorded: Callable[[str], Any]
) -> None:
    story = recorded("operands/native-empty.json")
    for each in made_by_upstream(story):
        if each["kind"] == "DaemonSet":
            labels = {"app": "metallb", "component": "speaker", "more": "yes"}
            each["spec"]["selector"]["matchLabels"] = labels
            each["spec"]["template"]["metadata"]["labels"] = labels
        await upstream.write(each)
    before: Json = await cluster.get(DAEMON_SETS, "speaker", namespace=NAMESPACE, decoder=OBJECT)
    assert await run(ours, story["spec"]) == Done()
    after: Json = await cluster.get(DAEMON_SETS, "speaker", namespace=NAMESPACE, decoder=OBJECT)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"]["selector"]["matchLabels"] == {"app": "metallb", "component": "speaker"}
