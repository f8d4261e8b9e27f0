"""An API server, the double, folders that stand for images, and Deployments that only pretend to run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubelab.apiclient import ApiClient, ApiFailure
from kubelab.apiserver.standalone import Background
from kubelab.informer import Informer
from kubelab.olm.names import CATALOG_SOURCES, DEPLOYMENTS, SERVICE_VERSIONS

Object = dict[str, Any]
START_S = 60.0
WAIT_S = 60.0
KUBECTL = Path(sys.executable).parent / "kubectl"


class Shelf:
    """Bundles and catalogs of an operator as folders, in the shape of upstream's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images: dict[str, str] = {}

    def bundle(self, version: str, **more: Any) -> None:
        """A bundle of one version; `more` replaces parts of the ClusterServiceVersion's spec."""
        csv = service_version(version) | {}
        csv["spec"] |= more
        objects = {"metallb-operator.clusterserviceversion.yaml": csv}
        for group, plurals in CRDS.items():
            for plural, (kind, versions) in plurals.items():
                objects[f"{group}_{plural}.yaml"] = definition(group, plural, kind, versions)
        for name, kind in OTHERS:
            objects[f"{name}_{kind.lower()}.yaml"] = other(name, kind)
        where = self.folder / f"bundle-{version}" / "manifests"
        where.mkdir(parents=True)
        for name, obj in objects.items():
            (where / name).write_text(json.dumps(obj))
        self.images[f"bundle:{version}"] = str(where.parent)

    def catalog(self, *versions: str) -> str:
        """A catalog in which each version replaces the one before; answers its image."""
        entries: list[Object] = []
        for version in versions:
            before = {"replaces": entries[-1]["name"]} if entries else {}
            entries.append({"name": f"metallb-operator.v{version}"} | before)
        documents: list[Object] = [
            {"schema": "olm.package", "name": "metallb-operator", "defaultChannel": "stable"},
            {"schema": "olm.channel", "package": "metallb-operator", "name": "stable", "entries": entries},
        ]
        documents += [
            {
                "schema": "olm.bundle",
                "package": "metallb-operator",
                "name": f"metallb-operator.v{version}",
                "image": f"bundle:{version}",
            }
            for version in versions
        ]
        where = self.folder / f"catalog-{versions[-1]}"
        where.mkdir(exist_ok=True)
        (where / "catalog.yaml").write_text(yaml.safe_dump_all(documents))
        image = f"catalog:{versions[-1]}"
        self.images[image] = str(where)
        return image


CRDS: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "frrk8s.metallb.io": {
        "bgpsessionstates": ("BGPSessionState", ("v1beta1",)),
        "frrconfigurations": ("FRRConfiguration", ("v1beta1",)),
        "frrk8sconfigurations": ("FRRK8sConfiguration", ("v1beta1",)),
        "frrnodestates": ("FRRNodeState", ("v1beta1",)),
    },
    "metallb.io": {
        "bfdprofiles": ("BFDProfile", ("v1beta1",)),
        "bgpadvertisements": ("BGPAdvertisement", ("v1beta1",)),
        "bgppeers": ("BGPPeer", ("v1beta1", "v1beta2")),
        "communities": ("Community", ("v1beta1",)),
        "configurationstates": ("ConfigurationState", ("v1beta1",)),
        "ipaddresspools": ("IPAddressPool", ("v1beta1",)),
        "l2advertisements": ("L2Advertisement", ("v1beta1",)),
        "metallbs": ("MetalLB", ("v1beta1",)),
        "servicebgpstatuses": ("ServiceBGPStatus", ("v1beta1",)),
        "servicel2statuses": ("ServiceL2Status", ("v1beta1",)),
    },
}
OTHERS = (
    ("metallb-manager-role", "Role"),
    ("metallb-manager-rolebinding", "RoleBinding"),
    ("metallb-operator-webhook-server-cert", "Secret"),
    ("metallb-operator-webhook-service", "Service"),
    ("prometheus-k8s", "Role"),
    ("prometheus-k8s", "RoleBinding"),
    ("metallb-webhook-cert", "Secret"),
    ("webhook-service", "Service"),
)
MANAGER, SERVER = "metallb-operator-controller-manager", "metallb-operator-webhook-server"


def service_version(version: str) -> Object:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    accounts = ("controller", "manager-account", "speaker")
    owned = [
        {"name": f"{plural}.{group}", "kind": kind, "version": version}
        for group, plurals in CRDS.items()
        for plural, (kind, versions) in plurals.items()
        for version in versions
    ]
    return {
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {"name": f"metallb-operator.v{version}", "namespace": "placeholder"},
        "spec": {
            "displayName": "MetalLB Operator",
            "version": version,
            "customresourcedefinitions": {"owned": owned},
            "installModes": [
                {"type": name, "supported": name == "AllNamespaces"}
                for name in ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
            ],
            "webhookdefinitions": [
                webhook("pools.metallb.io", SERVER),
                webhook("metallbs.metallb.io", MANAGER),
                webhook("cbgppeers.kb.io", SERVER)
                | {"type": "ConversionWebhook", "conversionCRDs": ["bgppeers.metallb.io"], "webhookPath": "/convert"},
            ],
            "install": {
                "strategy": "deployment",
                "spec": {
                    "permissions": [{"serviceAccountName": each, "rules": rules} for each in accounts],
                    "clusterPermissions": [{"serviceAccountName": each, "rules": rules} for each in accounts],
                    "deployments": [deployment(MANAGER, "manager-account"), deployment(SERVER, "controller")],
                },
            },
        },
    }


def webhook(name: str, deployment: str) -> Object:
    rule = {"apiGroups": ["metallb.io"], "apiVersions": ["v1beta1"], "resources": ["x"], "operations": ["CREATE"]}
    return {
        "type": "ValidatingAdmissionWebhook",
        "generateName": name,
        "deploymentName": deployment,
        "containerPort": 443,
        "targetPort": 9443,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "rules": [rule],
        "webhookPath": f"/validate-{name.partition('.')[0]}",
    }


def deployment(name: str, account: str) -> Object:
    labels = {"name": name}
    pod = {"serviceAccountName": account, "containers": [{"name": "main", "image": "x:1"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {"name": name, "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}}


def definition(group: str, plural: str, kind: str, versions: tuple[str, ...]) -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [
                {"name": each, "served": True, "storage": each == versions[-1], "schema": schema} for each in versions
            ],
        },
    }


def other(name: str, kind: str) -> Object:
    group = "rbac.authorization.k8s.io"
    found: Object = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
    if kind == "Role":
        found |= {"apiVersion": f"{group}/v1", "rules": []}
    if kind == "RoleBinding":
        role = name.replace("rolebinding", "role")
        found |= {"apiVersion": f"{group}/v1", "roleRef": {"apiGroup": group, "kind": "Role", "name": role}}
    if kind == "Service":
        found["spec"] = {"ports": [{"port": 443, "targetPort": 9443}]}
    return found


@dataclass
class Story:
    """The cluster as an administrator sees it."""

    client: ApiClient
    config: Path
    shelf: Shelf
    healthy: bool = True
    phases: list[tuple[str, ...]] = field(default_factory=list)

    async def kubectl(self, *argv: str, stdin: str = "") -> str:
        command = [str(KUBECTL), "--kubeconfig", str(self.config), *argv]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate(stdin.encode())
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def apply(self, *objects: Object) -> None:
        await self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    async def serve(self, image: str) -> None:
        """The CatalogSource of the walkthrough offers this catalog from now on."""
        meta = {"name": "redhat-operators", "namespace": "openshift-marketplace"}
        spec = {"sourceType": "grpc", "image": image, "displayName": "x", "publisher": "x"}
        source = {"apiVersion": CATALOG_SOURCES.api_version, "kind": "CatalogSource", "metadata": meta, "spec": spec}
        try:
            await self.client.create(CATALOG_SOURCES, source)
        except ApiFailure as failure:
            assert failure.already_exists
            await self.client.patch(CATALOG_SOURCES, meta["name"], {"spec": spec}, meta["namespace"])

    async def until(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Asks until the answer is true."""
        async with asyncio.timeout(WAIT_S):
            while not (answer := await ask()):  # noqa: ASYNC110  # an administrator, too, asks again and again
                await asyncio.sleep(0.05)
        return answer

    async def phase(self, version: str, phase: str, namespace: str = "metallb-system") -> Object:
        """The status once a version is in a phase."""

        async def look() -> Object:
            with contextlib.suppress(ApiFailure):
                found = await self.client.get(SERVICE_VERSIONS, f"metallb-operator.v{version}", namespace)
                status: Object = found.get("status") or {}
                return status if status.get("phase") == phase else {}
            return {}

        found: Object = await self.until(look)
        return found

    def follow(self, _kind: str, _old: Object | None, new: Object | None) -> None:
        """Writes down each phase that a version goes through."""
        status = (new or {}).get("status") or {}
        if new and status.get("phase"):
            said = (new["metadata"]["name"], status["phase"], status["reason"], status["message"])
            if said not in self.phases:
                self.phases.append(said)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh API server; answers its kubeconfig."""
    folder = tmp_path_factory.mktemp("apiserver")
    started = Background(folder)
    started.start()
    yield folder / "kubeconfig"
    started.stop()


class Double:
    """The process under test."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        argv = [sys.executable, "-m", "kubelab.olm", str(self._config)]
        self._process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
        assert self._process.stdout is not None
        assert await asyncio.wait_for(self._process.stdout.readline(), START_S) == b"ready\n"

    async def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        await self._process.communicate()
        assert self._process.returncode == 0

    async def again(self) -> None:
        await self.stop()
        await self.start()


@pytest.fixture
async def double(server: Path, shelf: Shelf) -> AsyncIterator[Double]:
    shelf.bundle("5.0.0")
    shelf.bundle("5.0.1")
    shelf.catalog("5.0.0")
    shelf.catalog("5.0.0", "5.0.1")
    file = server.parent / "olm.json"
    file.write_text(json.dumps({"kubeconfig": str(server), "images": shelf.images}))
    started = Double(file)
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def story(server: Path, shelf: Shelf, double: Double) -> AsyncIterator[Story]:
    """The double at work, in a cluster whose Deployments get ready as soon as they are there."""
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # what the loop waits for
    before = len(selector.get_map())
    async with ApiClient.from_kubeconfig(server) as client:
        told = Story(client, server, shelf)
        versions, deployments = Informer(client, SERVICE_VERSIONS), Informer(client, DEPLOYMENTS)
        versions.subscribe(told.follow)
        work = (versions.run(), deployments.run(), _pretend(told, deployments))
        tasks = [asyncio.create_task(each) for each in work]
        try:
            yield told
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(result, asyncio.CancelledError), result
    # TLS connections close by themselves once the client is left; nothing tells when.
    async with asyncio.timeout(60):
        while len(selector.get_map()) > before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _pretend(story: Story, deployments: Informer) -> None:
    """What a Deployment's controller would say."""
    changed = asyncio.Event()
    deployments.subscribe(lambda *_: changed.set())
    while True:
        await changed.wait()
        changed.clear()
        for each in list(deployments.store.values()):
            if (each.get("status") or {}).get("observedGeneration") != each["metadata"]["generation"]:
                with contextlib.suppress(ApiFailure):
                    deployments.assume(await say(story.client, each, "True" if story.healthy else "False"))


async def say(client: ApiClient, deployment: Object, available: str, reason: str = "Minimum") -> Object:
    """A Deployment's status, as its controller writes it."""
    number = 1 if available == "True" else 0
    conditions = [{"type": "Available", "status": available, "reason": reason, "message": "said by the test"}]
    if reason == "ProgressDeadlineExceeded":
        conditions.append({"type": "Progressing", "status": "False", "reason": reason, "message": "too long"})
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": number,
        "availableReplicas": number,
        "conditions": conditions,
    }
    meta = deployment["metadata"]
    return await client.patch(DEPLOYMENTS, meta["name"], {"status": status}, meta["namespace"], subresource="status")
