"""`metallb validate --cluster` reads a real API and judges files as changes of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.json import Decoder

from metallb.api import kinds
from metallb.api.core import Service
from metallb.api.schema import definition
from metallb.kube.client import KubeClient
from metallb.kube.errors import NotFoundError
from metallb.kube.objects import BARE
from metallb.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, IP_ADDRESS_POOLS, NAMESPACES, SERVICES

Json = dict[str, Any]
NAMESPACE = "metallb-system"

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="puts CRDs in place")


def pool(name: str, address: str) -> Json:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": metadata,
        "spec": {"addresses": [address]},
    }


async def validate(*arguments: str) -> tuple[int | None, Any, str]:
    """Exit code, findings and what it says on standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "metallb", "validate", "-o", "json", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, json.loads(out or "null"), err.decode()


@pytest.fixture
async def cluster(client: KubeClient, api_server: Any) -> list[str]:
    """A cluster with a pool and a Service that has an address of it; how to name the cluster."""
    for kind in kinds.KINDS:
        crd = definition(kind)
        crd["spec"].pop("conversion", None)  # nobody converts here
        for version in crd["spec"]["versions"]:
            version["served"] = version["storage"]
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, crd, decoder=BARE)
    await client.create(NAMESPACES, {"metadata": {"name": NAMESPACE}}, decoder=BARE)
    async with asyncio.timeout(60):
        while True:
            try:
                await client.create(
                    IP_ADDRESS_POOLS, pool("first", "198.51.100.0/24"), namespace=NAMESPACE, decoder=BARE
                )
            except NotFoundError:
                await asyncio.sleep(0.05)
            else:
                break
    service = {"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}
    await client.create(SERVICES, service, namespace="default", decoder=BARE)
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}}
    await client.merge_patch(
        SERVICES, "web", status, namespace="default", subresource="status", decoder=Decoder(Service)
    )
    return ["--kubeconfig", str(api_server.folder / "kubeconfig")]


async def test_files_are_changes_of_the_cluster(cluster: list[str], tmp_path: Path) -> None:
    put = file_in(tmp_path)
    code, findings, _ = await validate("-f", put(pool("second", "198.51.100.128/25")), *cluster)
    assert code == 1
    (error,) = [each for each in findings if each["severity"] == "error"]
    assert error["others"] == [{"kind": "IPAddressPool", "namespace": NAMESPACE, "name": "first"}]
    code, findings, _ = await validate("-f", put(pool("first", "198.51.100.128/25")), *cluster)
    assert code == 0
    assert any("1 Service would lose" in each["rule"] and "default/web" in each["rule"] for each in findings), findings


async def test_a_cluster_without_metallb_is_noted(client: KubeClient, api_server: Any, tmp_path: Path) -> None:
    kubeconfig = str(api_server.folder / "kubeconfig")
    code, findings, _ = await validate("-f", file_in(tmp_path)(pool("a", "192.0.2.0/24")), "--kubeconfig", kubeconfig)
    assert code == 0
    assert sum("of the cluster can't be read" in each["rule"] for each in findings) == 6


async def test_a_cluster_that_is_gone_ends_with_2(api_server: Any, tmp_path: Path) -> None:
    await api_server.stop()
    kubeconfig = str(api_server.folder / "kubeconfig")
    code, findings, err = await validate("-f", file_in(tmp_path)(pool("a", "192.0.2.0/24")), "--kubeconfig", kubeconfig)
    assert (code, findings) == (2, None)
    assert err.startswith("error: ")


def file_in(folder: Path) -> Callable[[Json], str]:
    def put(value: Json) -> str:
        path = folder / "manifest.json"
        path.write_text(json.dumps(value))
        return str(path)

    return put
