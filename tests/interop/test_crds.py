"""The generated CRDs on an API server: what was recorded with upstream's is accepted, refused and stored alike."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from metallb.api import kinds
from metallb.api.schema import Kind, definition
from metallb.kube.credentials import Credentials

Json = dict[str, Any]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAMESPACE = "crds-recorded"
MERGE = {"Content-Type": "application/merge-patch+json"}
MANIFESTS = Path(__file__).parents[2] / "manifests"

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="puts CRDs in place and empties them")


class Api:
    """Requests as they are, answers with their warnings."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Json, list[str]]:
        headers = MERGE if method == "PATCH" else {}
        async with self.session.request(method, path, json=body, headers=headers) as response:
            answer = await response.json() if "json" in response.content_type else {}
            return response.status, answer, response.headers.getall("Warning", [])


@pytest.fixture
async def api(credentials: Credentials) -> AsyncIterator[Api]:
    """An API server with the CRDs of `manifests`, all of them served."""
    connector = aiohttp.TCPConnector(ssl=credentials.tls.context())
    async with aiohttp.ClientSession(credentials.server, connector=connector) as session:
        api = Api(session)
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        assert (await api("POST", "/api/v1/namespaces", body))[0] == 201
        for path in yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"]:
            if path.startswith("crds/"):
                status, answer, _ = await api("POST", DEFINITIONS, yaml.safe_load((MANIFESTS / path).read_text()))
                assert status == 201, answer
        for kind in kinds.KINDS:
            await served(api, kind.version, kind.plural)
        yield api


async def served(api: Api, version: str, plural: str) -> None:
    async with asyncio.timeout(10):
        while (await api("GET", f"/apis/metallb.io/{version}/{plural}"))[0] != 200:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.01)


def place(path: str) -> str:
    return path.replace("/namespaces/default/", f"/namespaces/{NAMESPACE}/")


async def test_recorded_verdicts(api: Api, recorded: Callable[[str], Any]) -> None:
    seen = set()
    for row in recorded("crds/metallb.jsonl"):
        if row["method"] == "GET" or "v1beta1/namespaces/default/bgppeers" in row["path"]:
            continue
        status, answer, warnings = await api(row["method"], place(row["path"]), row["body"])
        assert status == row["status"], (row["name"], answer)
        assert warnings == row["warnings"], row["name"]
        if row["stored"] is not None:
            assert {k: v for k, v in answer.items() if k in {"spec", "status"}} == row["stored"], row["name"]
        seen.add(row["name"])
    assert len(seen) == 165


async def test_an_older_version_is_not_served_and_so_never_stored(api: Api, recorded: Callable[[str], Any]) -> None:
    for row in recorded("crds/metallb.jsonl"):
        if "v1beta1/namespaces/default/bgppeers" in row["path"]:
            status, _, _ = await api(row["method"], place(row["path"]), row["body"])
            assert status == 404, row["name"]
    status, answer, _ = await api("GET", f"{DEFINITIONS}/bgppeers.metallb.io")
    assert (status, answer["status"]["storedVersions"]) == (200, ["v1beta2"])


async def test_a_served_older_version_judges_as_recorded(api: Api, recorded: Callable[[str], Any]) -> None:
    """With a conversion the old version would be served: its schema and its warning are those recorded."""
    changed = definition(kinds.BGP_PEER)
    changed["spec"]["versions"][1]["served"] = True
    status, answer, _ = await api("PATCH", f"{DEFINITIONS}/bgppeers.metallb.io", {"spec": changed["spec"]})
    assert status == 200, answer
    await served(api, "v1beta1", "bgppeers")
    seen = 0
    for row in recorded("crds/metallb.jsonl"):
        if row["method"] == "POST" and "v1beta1/namespaces/default/bgppeers" in row["path"]:
            status, answer, warnings = await api("POST", place(row["path"]), row["body"])
            assert status == {500: 201, 422: 422}[row["status"]], (row["name"], answer)
            assert warnings == row["warnings"], row["name"]
            seen += 1
    assert seen == 9


async def test_a_peer_that_was_stored_as_v1beta1_is_read_with_all_its_fields(api: Api) -> None:
    """A cluster that had an old MetalLB takes the CRD, as the version stays listed."""
    path = f"{DEFINITIONS}/bgppeers.metallb.io"
    ours, before = definition(kinds.BGP_PEER), definition(kinds.BGP_PEER)
    new, old = before["spec"]["versions"]
    new["storage"], old["storage"], old["served"] = False, True, True
    status, answer, _ = await api("PATCH", path, {"spec": before["spec"]})
    assert status == 200, answer
    await served(api, "v1beta1", "bgppeers")
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}
    spec = {"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1", "peerPort": 180, "nodeSelectors": [selector]}
    body = {"apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer", "metadata": {"name": "old"}, "spec": spec}
    status, answer, _ = await api("POST", place("/apis/metallb.io/v1beta1/namespaces/default/bgppeers"), body)
    assert status == 201, answer
    status, answer, _ = await api("PATCH", path, {"spec": ours["spec"]})
    assert (status, answer["status"]["storedVersions"]) == (200, ["v1beta2", "v1beta1"])
    status, answer, _ = await api("GET", place("/apis/metallb.io/v1beta2/namespaces/default/bgppeers/old"))
    assert (status, answer["apiVersion"]) == (200, "metallb.io/v1beta2")
    assert {name: answer["spec"][name] for name in spec} == spec


async def test_what_metallb_tells_is_stored_as_it_is_told(api: Api) -> None:
    condition = {
        "type": "poolReconcilerValid",
        "status": "True",
        "reason": "Reconciled",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    states: dict[str, Json] = {
        "servicel2statuses": {"node": "n", "serviceName": "a", "serviceNamespace": "b", "interfaces": [{"name": "e"}]},
        "servicebgpstatuses": {"node": "n", "serviceName": "a", "serviceNamespace": "b", "peers": ["p"]},
        "configurationstates": {"result": "Valid", "errorSummary": "", "conditions": [condition]},
    }
    for kind in (kinds.SERVICE_L2_STATUS, kinds.SERVICE_BGP_STATUS, kinds.CONFIGURATION_STATE):
        path = place(f"/apis/metallb.io/v1beta1/namespaces/default/{kind.plural}")
        body = {"apiVersion": "metallb.io/v1beta1", "kind": kind.name, "metadata": {"name": "a"}}
        status, answer, _ = await api("POST", path, body)
        assert status == 201, answer
        status, answer, _ = await api("PATCH", f"{path}/a/status", {"status": states[kind.plural]})
        assert (status, answer["status"]) == (200, states[kind.plural])
    status, answer, _ = await api("PATCH", f"{path}/a/status", {"status": {"result": "Maybe"}})
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "status.result")


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ({"aggregationLength": 24}, 201),
        ({"serviceSelectors": [], "aggregationLength": 24}, 201),
        ({"serviceSelectors": [{}], "aggregationLength": 32, "aggregationLengthV6": 128}, 201),
        ({"serviceSelectors": [{}], "aggregationLength": 24}, 422),
        ({"serviceSelectors": [{}], "aggregationLengthV6": 64}, 422),
    ],
)
async def test_selected_services_are_not_aggregated(api: Api, spec: Json, status: int) -> None:
    path = place("/apis/metallb.io/v1beta1/namespaces/default/bgpadvertisements")
    body = {"apiVersion": "metallb.io/v1beta1", "kind": "BGPAdvertisement", "metadata": {"name": "a"}, "spec": spec}
    found, answer, _ = await api("POST", path, body)
    assert found == status, answer
    if status == 422:
        assert [cause["field"] for cause in answer["details"]["causes"]] == ["spec"]


@pytest.mark.parametrize("kind", [kinds.SERVICE_L2_STATUS, kinds.SERVICE_BGP_STATUS], ids=lambda kind: kind.name)
async def test_whom_a_status_is_about_stays(api: Api, kind: Kind) -> None:
    path = place(f"/apis/metallb.io/v1beta1/namespaces/default/{kind.plural}")
    body = {"apiVersion": "metallb.io/v1beta1", "kind": kind.name, "metadata": {"name": "a"}}
    assert (await api("POST", path, body))[0] == 201
    told = {"node": "n", "serviceName": "a", "serviceNamespace": "b"}
    assert (await api("PATCH", f"{path}/a/status", {"status": told}))[0] == 200
    for name in told:
        status, answer, _ = await api("PATCH", f"{path}/a/status", {"status": {name: "other"}})
        assert (status, answer["details"]["causes"][0]["field"]) == (422, f"status.{name}")
