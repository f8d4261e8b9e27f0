"""Least privilege: no process misses a right that it asks for, none holds one that it never uses; who listens where."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "metallb-system"
PREFIX = f"system:serviceaccount:{NAMESPACE}:"
ACCOUNTS = ("manager-account", "controller", "speaker")
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("rights")]


class Right(NamedTuple):
    """A verb on a resource, `group/resource`."""

    verb: str
    what: str

    @property
    def resource(self) -> str:
        return self.what.partition("/")[2]

    def __str__(self) -> str:
        return f"{self.verb} {self.what}"


def granted() -> dict[str, set[Right]]:
    """By account, what the manifests allow."""
    objects = [
        each for file in (ROOT / "manifests/rbac").glob("*.yaml") for each in yaml.safe_load_all(file.read_text())
    ]
    roles = {(each["kind"], each["metadata"]["name"]): each for each in objects if "rules" in each}
    found: dict[str, set[Right]] = {}
    for binding in (each for each in objects if "roleRef" in each):
        role = roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
        for subject in binding["subjects"]:
            found.setdefault(subject["name"], set()).update(
                Right(verb, f"{group}/{resource}")
                for rule in role["rules"]
                for group in rule.get("apiGroups", [])
                for resource in rule.get("resources", [])
                for verb in rule["verbs"]
            )
    return found


UNUSED: dict[str, dict[str, str]] = {
    "all": {
        "list": "API servers that do not stream lists, and after an outage",
        "patch events": "the same is told again",
        "create events": "there is something to tell",
    },
    "manager-account": {
        "securitycontextconstraints": "OpenShift only",
        "apiservers": "OpenShift only",
        "metallbs/finalizers": "asked for by an admission plugin, where the cluster has it",
        "servicemonitors": "where monitors are asked for",
        "podmonitors": "where monitors are asked for",
        "prometheusrules": "where monitors are asked for",
        "services": "where monitors are asked for",
        "delete daemonsets": "a backend with one of its own is left",
        "delete deployments": "a backend with one of its own is left",
        "delete configmaps": "a backend with one of its own is left",
        "delete networkpolicies": "policies are turned off",
        "create secrets": "the webhook's Secret was deleted",
        "delete secrets": "another operator has left one",
        "delete validatingwebhookconfigurations": "another operator has left one",
        "tokenreviews": "somebody reads the metrics",
        "subjectaccessreviews": "somebody reads the metrics",
    },
    "controller": {
        "tokenreviews": "somebody reads the metrics",
        "subjectaccessreviews": "somebody reads the metrics",
        **{
            f"get {kind}": "what a change refers to is looked up before it is refused"
            for kind in (
                "ipaddresspools",
                "l2advertisements",
                "bgpadvertisements",
                "bgppeers",
                "bfdprofiles",
                "communities",
            )
        },
    },
    "speaker": {
        "tokenreviews": "somebody reads the metrics",
        "subjectaccessreviews": "somebody reads the metrics",
    },
}
"""By account, what is used only at times: a verb, a resource, or both, with the time."""


@pytest.fixture
def cluster(own_cluster: Any) -> Any:
    """An API server that is killed, as others' tests do, forgets who asked for what."""
    return own_cluster


@pytest.fixture
async def asked(cluster: Any) -> list[dict[str, Any]]:
    """All questions so far, with some of what a cluster goes through among them."""
    await cluster.kubectl("delete", "metallb", "-n", NAMESPACE, "metallb")
    await cluster.apply(
        {"apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "metadata": {"name": "metallb", "namespace": NAMESPACE}}
    )
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")
    await cluster.apply(cluster.load_balancer("rights", "web"))
    await cluster.until(lambda: cluster.addresses("rights"), "an address")
    await cluster.kubectl("delete", "service", "rights")
    items: list[dict[str, Any]] = json.loads(await cluster.kubectl("get", "--raw", "/debug/rights"))["items"]
    return [each for each in items if each["user"].startswith(PREFIX)]


async def test_no_process_asks_for_what_it_may_not(asked: list[dict[str, Any]]) -> None:
    refused = {
        f"{each['user'].removeprefix(PREFIX)} {each['verb']} {each['resource'] or each['path']}"
        for each in asked
        if not each["allowed"]
    }
    assert refused == set()


@pytest.mark.parametrize("account", ACCOUNTS)
async def test_no_process_holds_a_right_without_a_reason(asked: list[dict[str, Any]], account: str) -> None:
    used = {
        Right(each["verb"], f"{each['group']}/{each['resource']}")
        for each in asked
        if each["user"] == f"{PREFIX}{account}"
    }
    reasons = UNUSED["all"] | UNUSED[account]
    unused = granted()[account] - used
    without = {
        str(each)
        for each in unused
        if reasons.keys().isdisjoint({each.verb, each.resource, f"{each.verb} {each.resource}"})
    }
    assert sorted(without) == []


@pytest.mark.parametrize("account", ACCOUNTS)
async def test_no_process_may_grant_rights_or_act_for_others(account: str) -> None:
    forbidden = {"escalate", "bind", "impersonate", "*"}
    for each in granted()[account]:
        assert each.verb not in forbidden
        assert "*" not in each.what
        assert not each.what.startswith("rbac.authorization.k8s.io/")


LISTENS: dict[str, set[str]] = {
    "metallb-operator-controller-manager": {"tcp *:8080", "tcp *:9443"},
    "metallb-operator-webhook-server": {"tcp *:9120", "tcp *:9443", "tcp *:17472"},
    "controller": {"tcp *:9120", "tcp *:17472"},
    "speaker": {"tcp *:9120", "tcp 127.0.0.1:17472", "tcp NODE:7946", "udp NODE:7946"},
}
"""Probes, metrics and webhooks over TLS, gossip on the node's address."""

_LINE = re.compile(r"(?P<kind>tcp|udp)\s+\S+\s+\S+\s+\S+\s+(?P<host>\S+):(?P<port>\d+)\s.*?pid=(?P<pid>\d+)")


async def listening(cluster: Any, pod: dict[str, Any]) -> set[str]:
    """The sockets of a pod's process, as `tcp ADDRESS:PORT`; `*` is every address."""
    place = f"pod/{NAMESPACE}/{pod['metadata']['name']}"
    text = (await cluster.lab.run(place, ["ss", "-Hlntup"])).stdout
    found = set()
    for line in filter(None, map(_LINE.match, text.splitlines())):
        command = (await cluster.lab.run(place, ["cat", f"/proc/{line['pid']}/cmdline"], check=False)).stdout
        if "metallb" not in command.split("\0"):
            continue  # the node agent's, in the host's network
        host = "*" if line["host"] in {"0.0.0.0", "[::]", "*"} else line["host"]  # noqa: S104  # compared, not bound
        host = "NODE" if host == pod["status"]["hostIP"] else host
        found.add(f"{line['kind']} {host}:{line['port']}")
    return found


async def test_every_process_listens_where_it_should_and_nowhere_else(cluster: Any) -> None:
    seen: dict[str, set[str]] = {}
    for pod in await cluster.items("pods", NAMESPACE):
        kind = next(each for each in LISTENS if pod["metadata"]["name"].startswith(f"{each}-"))
        seen.setdefault(kind, set()).update(await listening(cluster, pod))
    assert seen == LISTENS
