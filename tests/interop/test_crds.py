"""The generated CRDs on an API server: what was recorded with upstream's is accepted, refused and stored alike."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from metallb.api import kinds
from metallb.api.conversion import convert
from metallb.api.schema import Kind, definition
from metallb.kube import conversions
from metallb.kube.authority import issue, make_authority
from metallb.kube.credentials import Credentials
from metallb.kube.tls import TlsSettings
from metallb.kube.webhook_server import WebhookServer

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
    async with asyncio.timeout(60):
        while (await api("GET", f"/apis/metallb.io/{version}/{plural}"))[0] != 200:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.01)


def place(path: str) -> str:
    return path.replace("/namespaces/default/", f"/namespaces/{NAMESPACE}/")


async def test_recorded_verdicts(api: Api, recorded: Callable[[str], Any]) -> None:
    seen = set()
    for row in recorded("crds/metallb.jsonl"):
        if row["method"] == "GET":
            continue
        status, answer, warnings = await api(row["method"], place(row["path"]), row["body"])
        assert status == row["status"], (row["name"], answer)
        assert warnings == row["warnings"], row["name"]
        if row["stored"] is not None:
            assert {k: v for k, v in answer.items() if k in {"spec", "status"}} == row["stored"], row["name"]
        seen.add(row["name"])
    assert len(seen) == 175


@pytest.fixture
async def converting(api: Api) -> AsyncIterator[Json]:
    """The conversion of peers by the webhook's own code, on a server on loopback: how the CRD names it."""
    now = dt.datetime.now(tz=dt.UTC)  # noqa: TID251  # the API server looks at the clock
    authority = make_authority(now, dt.timedelta(days=1))

    async def convert_all(body: bytes) -> bytes:
        return conversions.answer(body, convert)[0]

    server = WebhookServer({"/convert": convert_all}, port=0, host="127.0.0.1", tls=TlsSettings())
    server.use(issue(authority, ["localhost"], now, dt.timedelta(days=1)))
    task = asyncio.create_task(server.run())
    await server.listening.wait()
    bundle = base64.b64encode(authority.certificate).decode()
    client = {"url": f"https://localhost:{server.port}/convert", "caBundle": bundle}
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": client}
    yield {"strategy": "Webhook", "webhook": webhook}
    task.cancel()
    await asyncio.wait({task})


async def test_a_peer_keeps_all_its_fields_in_both_versions(api: Api, converting: Json) -> None:
    status, found, _ = await api("GET", f"{DEFINITIONS}/bgppeers.metallb.io")
    found["spec"]["conversion"] = converting
    assert (await api("PUT", f"{DEFINITIONS}/bgppeers.metallb.io", found))[0] == 200
    old, new = (place(f"/apis/metallb.io/{version}/namespaces/default/bgppeers") for version in ("v1beta1", "v1beta2"))
    await served(api, "v1beta1", "bgppeers")
    spec = {"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1", "vrf": "red", "holdTime": "90s", "disableMP": True}
    body = {"apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer", "metadata": {"name": "both"}, "spec": spec}
    status, stored, _ = await api("POST", new, body)
    assert status == 201, stored
    status, seen, warnings = await api("GET", f"{old}/both")
    assert (status, seen["apiVersion"]) == (200, "metallb.io/v1beta1")
    assert "v1beta1 is deprecated" in warnings[0]
    assert "vrf" not in seen["spec"]
    seen["spec"]["peerASN"] = 3
    status, answer, _ = await api("PUT", f"{old}/both", seen)
    assert status == 200, answer
    status, after, _ = await api("GET", f"{new}/both")
    assert {"dualStackAddressFamily": False} | after["spec"] == stored["spec"] | {"peerASN": 3}
    assert "annotations" not in after["metadata"]


async def test_a_peer_that_was_stored_as_v1beta1_is_read_with_all_its_fields(api: Api, converting: Json) -> None:
    """A cluster that had an old MetalLB takes the CRD, as the version stays listed."""
    path = f"{DEFINITIONS}/bgppeers.metallb.io"
    ours, before = definition(kinds.BGP_PEER), definition(kinds.BGP_PEER)
    new, old = before["spec"]["versions"]
    new["storage"], old["storage"] = False, True
    ours["spec"]["conversion"] = before["spec"]["conversion"] = converting
    status, found, _ = await api("GET", path)
    status, answer, _ = await api("PUT", path, found | {"spec": before["spec"]})
    assert status == 200, answer
    await served(api, "v1beta1", "bgppeers")
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}
    spec = {"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1", "peerPort": 180, "nodeSelectors": [selector]}
    body = {"apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer", "metadata": {"name": "old"}, "spec": spec}
    status, answer, _ = await api("POST", place("/apis/metallb.io/v1beta1/namespaces/default/bgppeers"), body)
    assert status == 201, answer
    status, found, _ = await api("GET", path)
    status, answer, _ = await api("PUT", path, found | {"spec": ours["spec"]})
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
