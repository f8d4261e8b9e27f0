"""The operator's own metrics: off unless asked for, over TLS, and only for those who may read them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

NAMESPACE = "metallb-system"
DEPLOYMENT = "metallb-operator-controller-manager"
READER = "operator-metrics-reader"
ARGUMENTS = "/spec/template/spec/containers/0/args"
pytestmark = pytest.mark.e2e


async def set_arguments(cluster: Any, *arguments: str) -> None:
    patch = [{"op": "replace", "path": ARGUMENTS, "value": list(arguments)}]
    await cluster.kubectl("patch", "deployment", "-n", NAMESPACE, DEPLOYMENT, "--type=json", "-p", json.dumps(patch))
    await cluster.kubectl("rollout", "status", "-n", NAMESPACE, f"deployment/{DEPLOYMENT}", "--timeout=60s")


@pytest.fixture
async def measured(cluster: Any) -> AsyncIterator[Any]:
    """The cluster with an operator that serves metrics on port 8443, and somebody who may read them."""
    rule = {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": READER}
    head = {"apiVersion": f"{group}/v1", "metadata": {"name": READER}}
    await cluster.apply(
        head | {"kind": "ClusterRole", "rules": [rule]},
        head | {"kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]},
    )
    await set_arguments(cluster, "--enable-leader-election", "--metrics-addr=:8443")
    yield cluster
    await set_arguments(cluster, "--enable-leader-election")
    await cluster.kubectl("delete", "clusterrolebinding,clusterrole", READER)


async def scrape(cluster: Any, *headers: str) -> str:
    (pod,) = [
        each
        for each in await cluster.items("pods", NAMESPACE, "-l", "app.kubernetes.io/name=metallb-operator")
        if "deletionTimestamp" not in each["metadata"]
    ]
    options = [part for each in headers for part in ("-H", each)]
    url = f"https://{pod['status']['podIP']}:8443/metrics"
    argv = ["curl", "-sk", "--max-time", "5", "-w", "%{http_code}", *options, url]
    return str((await cluster.lab.run(f"node/{pod['spec']['nodeName']}", argv)).stdout)


async def test_who_may_read_them_sees_that_it_leads_and_works(measured: Any) -> None:
    cluster = measured
    token = (await cluster.kubectl("create", "token", "default")).strip()

    wanted = (
        'leader_election_master_status{name="metallb.io.metallboperator"} 1',
        'controller_runtime_reconcile_total{controller="metallb",result="success"}',
    )

    async def leads_and_works() -> bool:
        text = await scrape(cluster, f"Authorization: Bearer {token}")
        return all(each in text for each in wanted)

    await cluster.until(leads_and_works, "a leader that works in the metrics", 30.0)
    assert await scrape(cluster) == "unauthorized401"
    nobody = (await cluster.kubectl("create", "token", "speaker", "-n", NAMESPACE)).strip()
    assert await scrape(cluster, f"Authorization: Bearer {nobody}") == "forbidden403"
