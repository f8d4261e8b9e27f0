"""Each way to install without OLM, one after the other in one lab: W3's outputs, and afterwards nothing of it is left.

OLM's is `tests/e2e/olm`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from kubelab.cluster import parse
from kubelab.lab import Lab
from kubelab.pytest_plugin import Ledger

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
NAMESPACE = "metallb-system"
NODES = [{"name": "control-1", "roles": ["control-plane"]}, {"name": "worker-1"}]
PASSING = {"events", "events.events.k8s.io", "leases.coordination.k8s.io", "endpointslices.discovery.k8s.io"}
"""Come and go by themselves."""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("install-paths"),
]


class Admin:
    """Installs and removes, with kubectl and helm."""

    def __init__(self, lab: Lab, helm: str) -> None:
        self.lab = lab
        self._helm = helm

    async def kubectl(self, *argv: str, stdin: str | None = None) -> str:
        return (await self.lab.kubectl(*argv, stdin=stdin, timeout_s=180.0)).stdout

    async def helm(self, *argv: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(self._helm, *argv, "-n", NAMESPACE),
            env=self.lab.kubectl_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()
        return said.decode()

    async def objects(self) -> set[str]:
        """Everything that there is in the cluster, by kind, namespace and name."""
        kinds = set((await self.kubectl("api-resources", "--verbs=list", "-o", "name")).split()) - PASSING
        listed = json.loads(await self.kubectl("get", ",".join(sorted(kinds)), "-A", "-o", "json"))["items"]
        return {f"{each['kind']} {each['metadata'].get('namespace', '')}/{each['metadata']['name']}" for each in listed}

    async def ready(self) -> None:
        """The operator and the webhook server run."""
        for name in ("metallb-operator-webhook-server", "metallb-operator-controller-manager"):
            await self.kubectl("rollout", "status", "-n", NAMESPACE, f"deployment/{name}", "--timeout=150s")

    async def sees_w3(self) -> None:
        await self.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")
        wanted = [
            ("deployment/controller", ["controller", "1/1", "1", "1"]),
            ("daemonset/speaker", ["speaker", *[str(len(NODES))] * 5, "kubernetes.io/os=linux"]),
        ]
        async with asyncio.timeout(90):
            for what, row in wanted:
                while (await self._row(what))[: len(row)] != row:  # noqa: ASYNC110  # an administrator asks again, too
                    await asyncio.sleep(0.2)

    async def _row(self, what: str) -> list[str]:
        return (await self.kubectl("get", "-n", NAMESPACE, what)).splitlines()[1].split()

    async def configures(self) -> None:
        """Something of the administrator's own, which goes with the definitions."""
        pool = {
            "apiVersion": "metallb.io/v1beta1",
            "kind": "IPAddressPool",
            "metadata": {"name": "mine", "namespace": NAMESPACE},
            "spec": {"addresses": ["198.51.100.100-198.51.100.109"]},
        }
        peer = {
            "apiVersion": "metallb.io/v1beta1",  # in its older version: with it goes the server that could convert it
            "kind": "BGPPeer",
            "metadata": {"name": "mine", "namespace": NAMESPACE},
            "spec": {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"},
        }
        await self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([pool, peer]))

    async def leaves(self, before: set[str]) -> None:
        """What is still there goes by itself, or it is named."""
        after = await self.objects()
        try:
            async with asyncio.timeout(90):
                while after != before:  # the API has no event for all kinds at once
                    await asyncio.sleep(0.2)
                    after = await self.objects()
        except TimeoutError:
            pass
        assert (after - before, before - after) == (set(), set())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(lab_ledger: Ledger) -> AsyncIterator[Admin]:
    own = ROOT / ".tools" / "bin" / "helm"
    helm = str(own) if own.exists() else shutil.which("helm")
    if not helm:
        pytest.skip("there is no helm")
    lab = await lab_ledger.start(parse({"nodes": NODES}, "test"), None)
    yield Admin(lab, helm)
    await lab.down()
    lab_ledger.ended(lab)


async def test_the_single_manifest_installs_and_leaves_nothing(admin: Admin) -> None:
    before = await admin.objects()
    manifest = str(PACKAGING / "metallb-operator.yaml")
    await admin.kubectl("apply", "-f", manifest)
    await admin.ready()
    await admin.kubectl("apply", "-f", str(PACKAGING / "kustomize" / "native" / "metallb.yaml"))
    await admin.sees_w3()
    await admin.configures()
    await admin.kubectl("delete", "metallb", "-n", NAMESPACE, "metallb")
    await admin.kubectl("delete", "-f", manifest)
    await admin.leaves(before)


async def test_an_overlay_installs_and_leaves_nothing(admin: Admin) -> None:
    before = await admin.objects()
    overlay = PACKAGING / "kustomize" / "native"
    await admin.kubectl("apply", "-k", str(overlay))
    await admin.ready()
    await admin.kubectl("apply", "-f", str(overlay / "metallb.yaml"))
    await admin.sees_w3()
    await admin.configures()
    await admin.kubectl("delete", "-f", str(overlay / "metallb.yaml"))
    await admin.kubectl("delete", "-k", str(overlay))
    await admin.leaves(before)


async def test_helm_installs_upgrades_and_leaves_nothing(admin: Admin) -> None:
    before = await admin.objects()
    chart = str(PACKAGING / "chart")
    waiting = ("--wait", "--timeout=150s", "--set=metallb.create=true")
    await admin.helm("install", "metallb", chart, "--create-namespace", *waiting)
    await admin.sees_w3()
    await admin.configures()
    started = json.loads(await admin.kubectl("get", "metallb", "-n", NAMESPACE, "metallb", "-o", "json"))
    certificate = await _certificate(admin)

    await admin.helm("upgrade", "metallb", chart, *waiting, "--set=metallb.spec.logLevel=debug")
    changed = json.loads(await admin.kubectl("get", "metallb", "-n", NAMESPACE, "metallb", "-o", "json"))
    assert (changed["spec"], changed["metadata"]["uid"]) == ({"logLevel": "debug"}, started["metadata"]["uid"])
    assert await _certificate(admin) == certificate, "the upgrade empties the webhook's Secret"
    await admin.kubectl("rollout", "status", "-n", NAMESPACE, "daemonset/speaker", "--timeout=150s")
    await admin.sees_w3()
    assert "mine" in await admin.kubectl("get", "ipaddresspool", "-n", NAMESPACE)
    assert "deployed" in await admin.helm("status", "metallb")

    await admin.helm("uninstall", "metallb", "--wait", "--timeout=150s")
    await admin.kubectl("delete", "namespace", NAMESPACE)
    await admin.leaves(before)


async def _certificate(admin: Admin) -> Any:
    found = await admin.kubectl("get", "secret", "-n", NAMESPACE, "metallb-webhook-cert", "-o", "jsonpath={.data}")
    assert found
    return json.loads(found)
