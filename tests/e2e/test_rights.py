"""Least privilege: no process misses a right that it asks for, none holds one that it never uses; who listens where."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import pytest_asyncio
from tests.rights import ACCOUNTS, granted

from kubelab.askings import Asked

NAMESPACE = "metallb-system"
PREFIX = f"system:serviceaccount:{NAMESPACE}:"
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("rights")]


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


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def asked(own_cluster: Any) -> list[dict[str, Any]]:
    """All questions so far, with some of what a cluster goes through among them."""
    cluster = own_cluster
    await cluster.kubectl("delete", "metallb", "-n", NAMESPACE, "metallb")
    await cluster.apply(
        {"apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "metadata": {"name": "metallb", "namespace": NAMESPACE}}
    )
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")
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
    used = [
        Asked(each["user"], each["verb"], each["group"], each["resource"], each["namespace"], each["name"], False)
        for each in asked
        if each["user"] == f"{PREFIX}{account}" and not each["path"]
    ]
    reasons = UNUSED["all"] | UNUSED[account]
    unused = {right for right in granted()[account] if not any(right.covers(each, NAMESPACE) for each in used)}
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
        assert "*" not in f"{each.group}/{each.resource}"
        assert each.group != "rbac.authorization.k8s.io"


LISTENS: dict[str, set[str]] = {
    "metallb-operator-controller-manager": {"tcp *:8080", "tcp *:9443"},
    "metallb-operator-webhook-server": {"tcp *:9120", "tcp *:9443", "tcp *:17472"},
    "controller": {"tcp *:9120", "tcp *:17472"},
    "speaker": {
        *("tcp *:9120", "tcp 127.0.0.1:17472", "tcp NODE:7946", "udp NODE:7946"),
        *("responder [2054]:eth0", "responder [34525]:eth0"),
    },
}
"""Probes, metrics and webhooks over TLS, gossip on the node's address; the responder's are ARP and IPv6 frames."""

_LINE = re.compile(r"(?P<kind>\w+)\s.*?\s(?P<host>\S+):(?P<port>\w+)\s.*?pid=")
_PID = re.compile(r"pid=(\d+)")
_ASKED_FOR = (["ss", "-Hlntupw"], ["ss", "-Hnp", "-0"], ["ss", "-Hlxp"])
"""TCP, UDP and raw sockets; packet sockets; listening Unix sockets. Those of others have no process here."""


async def listening(cluster: Any, pod: dict[str, Any]) -> set[str]:
    """The sockets of a pod's processes, as `tcp ADDRESS:PORT`; `*` is every address."""
    place = f"pod/{NAMESPACE}/{pod['metadata']['name']}"
    texts = [(await cluster.lab.run(place, argv)).stdout for argv in _ASKED_FOR]
    lines = [line for text in texts for line in text.splitlines() if "pid=" in line]
    answering = {pid for line in lines if line.startswith("p_") for pid in _PID.findall(line)}
    found, held = set(), set()
    for line in lines:
        read = _LINE.match(line)
        assert read is not None, line
        packets = read["kind"].startswith("p_")
        host = "*" if read["host"] in {"0.0.0.0", "[::]", "*"} else read["host"]  # noqa: S104  # compared, not bound
        host = "NODE" if host == pod["status"]["hostIP"] else host
        socket = f"{'responder' if packets else read['kind']} {host}:{read['port']}"
        found.add(socket)
        if not packets and not answering.isdisjoint(_PID.findall(line)):
            held.add(socket)
    assert held <= {"udp NODE:7946"}, "the responder is a process of its own, which may tell others that it lives"
    return found


async def test_every_process_listens_where_it_should_and_nowhere_else(cluster: Any) -> None:
    async def all_listen() -> bool:
        """One that starts opens a socket after the other."""
        seen.clear()
        for pod in await cluster.items("pods", NAMESPACE):
            kind = next(each for each in LISTENS if pod["metadata"]["name"].startswith(f"{each}-"))
            seen.setdefault(kind, set()).update(await listening(cluster, pod))
        return seen == LISTENS

    seen: dict[str, set[str]] = {}
    try:
        await cluster.until(all_listen, "the sockets of all")
    finally:
        assert seen == LISTENS


ANSWERS = {
    "8080": {"http /healthz": "ok 200", "http /": "not found 404", "http /metrics": "not found 404"},
    "17472": {"http /healthz": "ok 200", "http /": "not found 404", "http /metrics": "not found 404"},
    "9120": {"http /metrics": " 000", "https /metrics": "unauthorized 401", "https /": "unauthorized 401"},
    "9443": {"http /": " 000", "https /": "no webhook here 404"},
    "7946": {"http /": " 000", "https /": " 000"},
}
"""By port, what somebody without rights is answered: text and status, 000 where no HTTP comes back."""


async def test_strangers_are_answered_a_word_or_nothing(cluster: Any) -> None:
    pods = {}
    for pod in await cluster.items("pods", NAMESPACE):
        pods[next(each for each in LISTENS if pod["metadata"]["name"].startswith(f"{each}-"))] = pod
    for kind, pod in pods.items():
        place = f"pod/{NAMESPACE}/{pod['metadata']['name']}"
        for socket in (each for each in LISTENS[kind] if each.startswith("tcp ")):
            host, _, port = socket.removeprefix("tcp ").rpartition(":")
            address = "127.0.0.1" if host in {"*", "127.0.0.1"} else pod["status"]["hostIP"]
            for request, answer in ANSWERS[port].items():
                scheme, path = request.split()
                argv = ["curl", "-sk", "--max-time", "5", "-w", " %{http_code}", f"{scheme}://{address}:{port}{path}"]

                async def is_so(place: str = place, argv: list[str] = argv, answer: str = answer) -> bool:
                    return bool((await cluster.lab.run(place, argv, check=False)).stdout == answer)

                await cluster.until(is_so, f"{answer!r} of {kind}, {port}, to {request}")
