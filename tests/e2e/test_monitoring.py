"""Debian's Prometheus scrapes MetalLB in the lab, and its alerts fire; what the Prometheus operator does is a double."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from tests.doubles import prometheus_operator
from tests.doubles.prometheus_operator import LABEL, Seen

from metallb.operator import monitors
from metallb.operator.installation import Installation

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools" / "bin"
MONITORING = ROOT / "manifests" / "monitoring"
PAGE = ROOT / "docs" / "reference" / "metrics.md"
NAMESPACE = "metallb-system"
OPERATOR = "metallb-operator-controller-manager"
HERE = "node/worker-1"
"""Where Prometheus runs: on a node, as pods in the host's network do."""

RBAC = "rbac.authorization.k8s.io"
URL = "http://127.0.0.1:9090"
UPSTREAM = (
    *(f"metallb_allocator_{each}addresses_total" for each in ("", "ipv4_", "ipv6_")),
    *(f"metallb_allocator_{each}addresses_in_use_total" for each in ("", "ipv4_", "ipv6_")),
    "metallb_allocator_services_allocated_total",
    *(f"metallb_k8s_client_{each}" for each in ("updates_total", "update_errors_total")),
    *(f"metallb_k8s_client_config_{each}_bool" for each in ("loaded", "stale")),
    "metallb_speaker_announced",
    *(f"metallb_layer2_{each}" for each in ("requests_received", "responses_sent", "gratuitous_sent")),
)
"""What layer 2 has of upstream's metrics (spec/controller.md 13, spec/speaker.md 1.3)."""

TARGETS_OWN = {"__name__", "instance", "job", "namespace", "service", "pod", "endpoint"}
"""Labels that say where a sample is from."""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("monitoring"),
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (TOOLS / "prometheus").exists(), reason="no Prometheus: `make setup` brings it"),
]


@dataclass
class Prometheus:
    """The program, and its API."""

    cluster: Any
    folder: Path
    process: Any = None

    async def start(self, jobs: list[dict[str, Any]], groups: list[dict[str, Any]]) -> None:
        """Scrapes and looks at the rules every other second."""
        (self.folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
        every = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"}
        body = {"global": every, "rule_files": ["rules.yaml"], "scrape_configs": jobs}
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(body))
        argv = [
            str(TOOLS / "prometheus"),
            f"--config.file={self.folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={URL.removeprefix('http://')}",
            "--log.level=warn",
        ]
        with (self.folder / "log").open("wb") as log:
            self.process = await self.cluster.lab.popen(HERE, argv, stdout=log.fileno(), stderr=log.fileno())
        await self.cluster.until(self._is_ready, "Prometheus")

    async def _is_ready(self) -> bool:
        assert self.process.code is None, (self.folder / "log").read_text()
        return bool((await self.cluster.lab.run(HERE, ["curl", "-sf", f"{URL}/-/ready"], check=False)).code == 0)

    async def ask(self, path: str, **query: str) -> Any:
        words = [word for key, value in query.items() for word in ("--data-urlencode", f"{key}={value}")]
        done = await self.cluster.lab.run(HERE, ["curl", "-s", "-G", *words, f"{URL}/api/v1/{path}"])
        answer = json.loads(done.stdout)
        assert answer["status"] == "success", answer
        return answer["data"]

    async def targets(self, whose: str) -> dict[str, str]:
        """By the pods that jobs of this name's beginning scrape: `up`, or the last error."""
        found = (await self.ask("targets", state="active"))["activeTargets"]
        return {
            each["labels"]["pod"]: each["lastError"] or each["health"]
            for each in found
            if each["scrapePool"].startswith(whose)
        }

    async def all_are(self, whose: str, answer: str, pods: set[str]) -> None:
        """Waits until each of the pods, and no other, has given that answer to the jobs."""

        async def are_they() -> bool:
            return await self.targets(whose) == dict.fromkeys(pods, answer)

        await self.cluster.until(are_they, f"{answer!r} of {sorted(pods)} to {whose}")


def definition(plural: str, kind: str) -> dict[str, Any]:
    """As the Prometheus operator's, but for the schema."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.monitoring.coreos.com",
            "annotations": {"api-approved.kubernetes.io": "unapproved"},
        },
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


DEFINITIONS = [definition("servicemonitors", "ServiceMonitor"), definition("prometheusrules", "PrometheusRule")]


def rights() -> list[dict[str, Any]]:
    """Prometheus' account, what the bundle lets it see, and the right to read metrics; and an account without."""
    role = yaml.safe_load((ROOT / "packaging/bundle/manifests/prometheus-k8s_v1_role.yaml").read_text())
    role["metadata"]["namespace"] = NAMESPACE
    subjects = [{"kind": "ServiceAccount", "name": "prometheus-k8s", "namespace": "monitoring"}]

    def bound(kind: str, **metadata: str) -> dict[str, Any]:
        reference = {"apiGroup": RBAC, "kind": kind, "name": metadata["name"]}
        head = {"apiVersion": f"{RBAC}/v1", "kind": f"{kind}Binding", "metadata": metadata}
        return head | {"roleRef": reference, "subjects": subjects}

    rules = [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    accounts = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "monitoring"}}
        for name in ("prometheus-k8s", "stranger")
    ]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}},
        *accounts,
        role,
        bound("Role", name="prometheus-k8s", namespace=NAMESPACE),
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "prometheus-k8s"}, "rules": rules},
        bound("ClusterRole", name="prometheus-k8s"),
    ]


async def set_operator(cluster: Any, *, monitored: bool) -> None:
    """As its administrator would: monitors are asked for, and the operator's own metrics."""
    found = await cluster.get("deployment", OPERATOR, NAMESPACE)
    (container,) = found["spec"]["template"]["spec"]["containers"]
    kept = [each for each in container["env"] if each["name"] != "DEPLOY_SERVICEMONITORS"]
    env = [*kept, {"name": "DEPLOY_SERVICEMONITORS", "value": "true"}] if monitored else kept
    args = ["--enable-leader-election", *(["--metrics-addr=:8443"] if monitored else [])]
    where = "/spec/template/spec/containers/0"
    change = [
        {"op": "replace", "path": f"{where}/{key}", "value": value} for key, value in (("env", env), ("args", args))
    ]
    await cluster.kubectl("patch", "deployment", "-n", NAMESPACE, OPERATOR, "--type=json", "-p", json.dumps(change))
    await cluster.kubectl("rollout", "status", "-n", NAMESPACE, f"deployment/{OPERATOR}", "--timeout=150s")


async def names(cluster: Any, kinds: str) -> set[str]:
    return {each["metadata"]["name"] for each in await cluster.items(kinds, NAMESPACE)}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def monitored(installed: Any) -> AsyncIterator[Any]:
    """The cluster with monitors; afterwards as it was."""
    cluster = installed
    await cluster.rest()
    await set_operator(cluster, monitored=True)
    await cluster.apply(*rights())
    await cluster.rest()  # nothing waits for kinds that are not there yet
    yield cluster
    await cluster.kubectl("label", "ns", NAMESPACE, f"{LABEL}-")
    await cluster.kubectl("delete", "namespace", "monitoring", "--wait=false")
    await cluster.kubectl("delete", "clusterrole,clusterrolebinding", "prometheus-k8s")
    await cluster.kubectl("delete", "role,rolebinding", "-n", NAMESPACE, "prometheus-k8s")
    await set_operator(cluster, monitored=False)

    async def all_are_gone() -> bool:
        return await names(cluster, "servicemonitors,prometheusrules") == set()

    await cluster.until(all_are_gone, "the end of monitors that nobody asks for any more")
    await cluster.kubectl("delete", "crd", *(each["metadata"]["name"] for each in DEFINITIONS))
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")


async def monitors_and_alerts(cluster: Any) -> None:
    await cluster.apply(*DEFINITIONS)
    wanted = {"controller-monitor", "speaker-monitor", "metallb-alerts"}

    async def are_there() -> bool:
        return await names(cluster, "servicemonitors,prometheusrules") == wanted

    await cluster.until(are_there, "monitors and alerts")


async def seen(cluster: Any, token_file: Path) -> Seen:
    """What there is to scrape, asked for with the rights of Prometheus' account."""
    account = "--as=system:serviceaccount:monitoring:prometheus-k8s"
    services, endpoints, pods = [
        await cluster.items(kind, NAMESPACE, account) for kind in ("services", "endpoints", "pods")
    ]
    return Seen(services, endpoints, pods, str(token_file))


async def service_jobs(cluster: Any, found: Seen) -> list[dict[str, Any]]:
    """Of all monitors in labelled namespaces."""
    every = json.loads(await cluster.kubectl("get", "servicemonitors", "-A", "-o", "json"))["items"]
    namespaces = json.loads(await cluster.kubectl("get", "namespaces", "-o", "json"))["items"]
    chosen = prometheus_operator.chosen(every, namespaces)
    return [job for each in chosen for job in prometheus_operator.jobs(each, found, {})]


def pod_jobs(found: Seen, token: str) -> list[dict[str, Any]]:
    """Of pod monitors as the operator renders them; the lab has nothing that fills the Secret with their token."""
    rendered = monitors.render("native", Installation(NAMESPACE, "c", "s", "1", monitors="pod"))
    every = [
        each | {"metadata": each["metadata"] | {"namespace": NAMESPACE}}
        for each in rendered
        if each["kind"] == "PodMonitor"
    ]
    return [job for each in every for job in prometheus_operator.jobs(each, found, {("metrics-token", "token"): token})]


def operators_job(found: Seen) -> dict[str, Any]:
    """The operator has no monitor: whoever turns its metrics on says where they are."""
    (pod,) = [
        each
        for each in found.pods
        if each["metadata"]["name"].startswith(OPERATOR) and "deletionTimestamp" not in each["metadata"]
    ]
    target = {"targets": [f"{pod['status']['podIP']}:8443"], "labels": {"pod": pod["metadata"]["name"]}}
    return {
        "job_name": "operator",
        "scheme": "https",
        "authorization": {"credentials_file": found.token_file},
        "tls_config": {"insecure_skip_verify": True},
        "static_configs": [target],
    }


def without_rights(jobs: list[dict[str, Any]], stranger: str) -> list[dict[str, Any]]:
    """The same without a token, and with the token of an account that may do nothing."""
    nobody = [job | {"job_name": f"nobody/{job['job_name']}", "authorization": None} for job in jobs]
    token = {"credentials": stranger}
    return [
        *({key: value for key, value in job.items() if value is not None} for job in nobody),
        *(job | {"job_name": f"stranger/{job['job_name']}", "authorization": token} for job in jobs),
    ]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def prometheus(monitored: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    """A Prometheus on a node that scrapes all there is, with the right and without."""
    cluster, folder = monitored, tmp_path_factory.mktemp("prometheus")
    await monitors_and_alerts(cluster)
    tokens = {
        name: (await cluster.kubectl("create", "token", "-n", "monitoring", name, "--duration=1h")).strip()
        for name in ("prometheus-k8s", "stranger")
    }
    token = tokens["prometheus-k8s"]
    (folder / "token").write_text(token)
    found = await seen(cluster, folder / "token")
    assert await service_jobs(cluster, found) == [], "no namespace has the label"
    await cluster.kubectl("label", "ns", NAMESPACE, f"{LABEL}=true")
    jobs = [*await service_jobs(cluster, found), operators_job(found)]
    jobs += [*without_rights(jobs, tokens["stranger"]), *pod_jobs(found, token)]
    rule = await cluster.get("prometheusrule", "metallb-alerts", NAMESPACE)
    made = Prometheus(cluster, folder)
    await made.start(jobs, prometheus_operator.groups(rule, waits="1s"))
    yield made
    made.process.terminate()
    await made.process.wait()


async def pods_with_metrics(cluster: Any, *components: str) -> set[str]:
    found = await names(cluster, "pods")
    return {each for each in found if each.startswith(tuple(f"{component}-" for component in components))}


async def test_w2_5_with_the_label_of_the_namespace_all_metrics_are_scraped(prometheus: Prometheus) -> None:
    cluster = prometheus.cluster
    pods = await pods_with_metrics(cluster, "controller", "speaker")
    assert len(pods) == len(cluster.lab.cluster.nodes) + 1
    await prometheus.all_are("ServiceMonitor/", "up", pods)
    await prometheus.all_are("operator", "up", await pods_with_metrics(cluster, OPERATOR))
    await prometheus.all_are("PodMonitor/", "up", pods)


@pytest.mark.parametrize(
    ("who", "answer"),
    [
        ("nobody", "server returned HTTP status 401 Unauthorized"),
        ("stranger", "server returned HTTP status 403 Forbidden"),
    ],
)
async def test_without_the_right_to_read_them_nothing_is_scraped(prometheus: Prometheus, who: str, answer: str) -> None:
    pods = await pods_with_metrics(prometheus.cluster, "controller", "speaker", OPERATOR)
    await prometheus.all_are(f"{who}/", answer, pods)


async def test_the_operators_own_say_that_it_leads_and_works(prometheus: Prometheus) -> None:
    wanted = (
        'leader_election_master_status{name="metallb.io.metallboperator"} == 1',
        'controller_runtime_reconcile_total{controller="metallb",result="success"} > 0',
    )

    async def so() -> bool:
        return all([(await prometheus.ask("query", query=each))["result"] for each in wanted])

    await prometheus.cluster.until(so, f"{wanted}")


async def test_monitors_belong_to_what_they_watch(prometheus: Prometheus) -> None:
    """They go with the resource: nobody else takes them away."""
    for kind, name in (("servicemonitor", "controller-monitor"), ("prometheusrule", "metallb-alerts")):
        found = await prometheus.cluster.get(kind, name, NAMESPACE)
        assert [each["kind"] for each in found["metadata"]["ownerReferences"]] == ["MetalLB"]
    selector = ("-l", "app.kubernetes.io/managed-by=metallb-operator")
    services = await prometheus.cluster.items("services", NAMESPACE, *selector)
    assert {each["metadata"]["name"] for each in services} == {"controller-monitor-service", "speaker-monitor-service"}


def reference() -> dict[str, dict[str, tuple[str, set[str]]]]:
    """By section of the page, kind and labels of each metric."""
    found: dict[str, dict[str, tuple[str, set[str]]]] = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", section, re.MULTILINE)
        found[section.split()[0]] = {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows}
    return found


async def test_what_is_scraped_is_what_the_reference_says(prometheus: Prometheus) -> None:
    """Names, kinds and labels; every metric of upstream's is there once a Service was asked for."""
    cluster = prometheus.cluster
    await cluster.apply(cluster.load_balancer("scraped", "web"))
    (address,) = await cluster.until(lambda: cluster.addresses("scraped"), "an address")
    await cluster.until(lambda: cluster.fetch(address), "an answer")
    pages = reference()

    async def are_there() -> bool:
        await cluster.announcer(address)  # a client that knows its neighbour from before asks nobody
        return set(UPSTREAM) <= set(await prometheus.ask("label/__name__/values"))

    await cluster.until(are_there, f"all of {UPSTREAM}")
    kinds = {name: entries[0]["type"] for name, entries in (await prometheus.ask("metadata")).items()}
    for section, pods in (("Controller", "controller-.*"), ("Speaker", "speaker-.*"), ("Operator", f"{OPERATOR}.*")):
        series = await prometheus.ask("series", **{"match[]": f'{{pod=~"{pods}"}}'})
        seen: dict[str, set[str]] = {}
        for each in series:
            seen.setdefault(each["__name__"], set()).update(each)
        ours = {name for name in seen if not name.startswith(("process_", "scrape_", "up", "ALERTS"))}
        assert ours <= set(pages[section]), "on the page"
        for name in ours:
            kind, labels = pages[section][name]
            assert kinds[name] == kind, name
            assert seen[name] | TARGETS_OWN == labels | TARGETS_OWN, name
    await cluster.kubectl("delete", "service", "scraped")


async def test_an_alert_fires_when_its_cause_is_made(prometheus: Prometheus) -> None:
    """A pool of one address, and a Service that has it; the alert's wait is shortened."""
    cluster = prometheus.cluster
    shipped = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    loaded = [each for group in (await prometheus.ask("rules"))["groups"] for each in group["rules"]]
    assert {each["name"] for each in loaded} == {
        each["alert"] for group in shipped["spec"]["groups"] for each in group["rules"]
    }
    pool = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": "tiny", "namespace": NAMESPACE},
        "spec": {"addresses": ["198.51.100.150/32"], "autoAssign": False},
    }
    service = cluster.load_balancer("last", "web")
    service["metadata"]["annotations"] = {"metallb.io/address-pool": "tiny"}

    async def firing() -> set[str]:
        """Those of the pool: a busy machine has others, too."""
        found = [each for each in (await prometheus.ask("alerts"))["alerts"] if each["labels"].get("pool") == "tiny"]
        return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}

    try:
        await cluster.apply(pool, service)
        wanted = {f"MetalLBAddressPool{each}" for each in ("Exhausted", *(f"Usage{n}Percent" for n in (75, 85, 95)))}

        async def as_wanted() -> bool:
            return await firing() == wanted

        await cluster.until(as_wanted, f"exactly {sorted(wanted)}")
        await cluster.kubectl("delete", "service", "last")

        async def over() -> bool:
            return await firing() == set()

        await cluster.until(over, "the end of the alert")
    finally:
        await cluster.kubectl("delete", "service", "--ignore-not-found", "last")
        await cluster.kubectl("delete", "ipaddresspool", "-n", NAMESPACE, "tiny")
