"""MetalLB under the RBAC rules that upstream's manifests bring: an image that is swapped there has no other rights.

The rules are those of spec/operator.md 6, as far as they are about controller and speaker. They lack `patch` on the
status of Services and pools, Leases, and `watch` on pods.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "metallb-system"
READ = ["get", "list", "watch"]
ALL = ["create", "delete", "get", "list", "patch", "update", "watch"]
RBAC = "rbac.authorization.k8s.io"
CRDS = ("bfdprofiles", "bgpadvertisements", "bgppeers", "ipaddresspools", "l2advertisements", "communities")

pytestmark = pytest.mark.e2e


def rule(group: str, resources: list[str], verbs: list[str], *names: str) -> dict[str, Any]:
    made: dict[str, Any] = {"apiGroups": [group], "resources": resources, "verbs": verbs}
    return made | ({"resourceNames": list(names)} if names else {})


CONTROLLER_EVERYWHERE = [
    rule("", ["services", "namespaces"], READ),
    rule("", ["nodes"], ["list"]),
    rule("", ["services/status"], ["update"]),
    rule("", ["events"], ["create", "patch"]),
    rule("admissionregistration.k8s.io", ["validatingwebhookconfigurations"], ["list", "watch"]),
    rule("admissionregistration.k8s.io", ["validatingwebhookconfigurations"], ALL, "metallb-webhook-configuration"),
    rule("apiextensions.k8s.io", ["customresourcedefinitions"], ["list", "watch"]),
    rule("apiextensions.k8s.io", ["customresourcedefinitions"], ALL, *(f"{name}.metallb.io" for name in CRDS)),
    rule("metallb.io", ["configurationstates"], ALL),
    rule("metallb.io", ["configurationstates/status"], ["get", "patch", "update"]),
    rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
    rule("authorization.k8s.io", ["subjectaccessreviews"], ["create"]),
]
CONTROLLER = [
    rule("", ["secrets"], ALL),
    rule("apps", ["deployments"], ["get"], "controller"),
    rule("metallb.io", ["bgppeers"], ["get", "list"]),
    rule("metallb.io", [name for name in CRDS if name != "bgppeers"], READ),
    rule("metallb.io", ["ipaddresspools/status"], ["update"]),
]
SPEAKER_EVERYWHERE = [
    rule("", ["services", "endpoints", "nodes", "namespaces"], READ),
    rule("discovery.k8s.io", ["endpointslices"], READ),
    rule("", ["events"], ["create", "patch"]),
    rule("metallb.io", ["servicel2statuses", "servicel2statuses/status"], ["*"]),
    rule("metallb.io", ["configurationstates", "configurationstates/status"], ["*"]),
]
POD_LISTER = [
    rule("", ["pods"], ["list", "get"]),
    rule("", ["secrets", "configmaps"], READ),
    rule("metallb.io", list(CRDS), READ),
    rule("metallb.io", ["servicebgpstatuses", "servicebgpstatuses/status"], ["*"]),
]


def role(name: str, rules: list[dict[str, Any]], *, everywhere: bool) -> dict[str, Any]:
    metadata = {"name": name} | ({} if everywhere else {"namespace": NAMESPACE})
    kind = "ClusterRole" if everywhere else "Role"
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules}


UPSTREAM = [
    role("metallb-system:controller", CONTROLLER_EVERYWHERE, everywhere=True),
    role("controller", CONTROLLER, everywhere=False),
    role("metallb-system:speaker", SPEAKER_EVERYWHERE, everywhere=True),
    role("speaker", [], everywhere=False),
    role("pod-lister", POD_LISTER, everywhere=False),
    {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "pod-lister", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "pod-lister"},
        "subjects": [
            {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE} for name in ("controller", "speaker")
        ],
    },
]


OVERLAPPING = f"""
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {{name: overlapping, namespace: {NAMESPACE}}}
spec: {{addresses: [198.51.100.149-198.51.100.150]}}
"""
WORKLOADS = ("deployment/controller", "daemonset/speaker", "deployment/metallb-operator-webhook-server")


async def restart(cluster: Any) -> None:
    """All ask anew what they may do."""
    for what in WORKLOADS:
        await cluster.kubectl("rollout", "restart", "-n", NAMESPACE, what)
    for what in WORKLOADS:
        await cluster.kubectl("rollout", "status", "-n", NAMESPACE, what, "--timeout=150s")


@pytest.fixture
async def upstream(cluster: Any) -> AsyncIterator[Any]:
    """The cluster under upstream's rules, and under ours again afterwards."""
    await cluster.apply(*UPSTREAM)
    await restart(cluster)
    await cluster.rest()
    yield cluster
    await cluster.kubectl("delete", "service", "swapped", "--ignore-not-found")
    for kind in ("rolebinding", "role"):
        await cluster.kubectl("delete", kind, "-n", NAMESPACE, "pod-lister")
    await cluster.kubectl("apply", "-k", str(ROOT / "manifests"))
    await restart(cluster)


async def may(cluster: Any, account: str, *what: str) -> bool:
    who = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
    done = await cluster.lab.kubectl("auth", "can-i", *what, "-n", NAMESPACE, who, check=False)
    return bool(done.stdout.strip() == "yes")


def errors(log: str) -> list[str]:
    return [line for line in log.splitlines() if '"level":"error"' in line]


async def test_an_image_that_is_swapped_works_with_the_rights_that_it_finds(upstream: Any) -> None:
    cluster = upstream
    for account, *what in (
        ("controller", "patch", "services", "--subresource=status"),
        ("controller", "patch", "ipaddresspools.metallb.io", "--subresource=status"),
        ("controller", "get", "leases.coordination.k8s.io"),
        ("speaker", "watch", "pods"),
    ):
        assert not await may(cluster, account, *what), (account, what)

    await cluster.apply(cluster.load_balancer("swapped", "web"))
    (address,) = await cluster.until(lambda: cluster.addresses("swapped"), "an address")
    service = await cluster.get("service", "swapped")
    assert service["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"] == "first"
    assert await cluster.until(lambda: cluster.fetch(address), "an answer")

    async def counted() -> bool:
        found = await cluster.get("ipaddresspool", "first", NAMESPACE)
        return bool(found["status"]["assignedIPv4"] == 1)

    await cluster.until(counted, "the address in the pool's status")

    (controller,) = await cluster.items("pods", NAMESPACE, "-l", "component=controller")
    log = await cluster.kubectl("logs", "-n", NAMESPACE, controller["metadata"]["name"])
    assert log.count("run one replica only") == 1
    assert log.count("statuses are written by update") == 2, "of Services and of pools"
    assert errors(log) == []
    speakers = await cluster.items("pods", NAMESPACE, "-l", "component=speaker")
    for pod in speakers:
        log = await cluster.kubectl("logs", "-n", NAMESPACE, pod["metadata"]["name"])
        assert log.count("watch is not allowed") == 1
        assert errors(log) == []

    done = await cluster.lab.kubectl("apply", "-f", "-", stdin=OVERLAPPING, check=False)
    assert f"of IPAddressPool {NAMESPACE}/first" in done.stderr
    servers = await cluster.items("pods", NAMESPACE, "-l", "component=webhook-server")
    (server,) = (each["metadata"] for each in servers if "deletionTimestamp" not in each["metadata"])
    log = await cluster.kubectl("logs", "-n", NAMESPACE, server["name"])
    assert log.count("watch is not allowed") == 1, "of nodes"
    assert '"level":"error"' not in log

    await cluster.kubectl("delete", "service", "swapped")

    async def silent() -> bool:
        return await cluster.fetch(address) is None

    await cluster.until(silent, "silence")
