"""A configuration that is wrong while MetalLB runs: nothing stops, every process says so, and it heals by itself.

Without webhooks: they would not let most of this in.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

NAMESPACE = "metallb-system"
MANIFESTS = str(Path(__file__).resolve().parents[2] / "manifests")
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("configuration-state")]

STATES = "configurationstates"


def pool(name: str, *addresses: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"addresses": list(addresses), **spec},
    }


def peer(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "metallb.io/v1beta2",
        "kind": "BGPPeer",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"myASN": 64500, "peerASN": 64501, "peerAddress": "198.51.100.250", **spec},
    }


PASSWORD = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "peering", "namespace": NAMESPACE},
    "type": "kubernetes.io/basic-auth",
    "stringData": {"password": "hunter2"},
}


@pytest.fixture(scope="module")
def alone(installed: Any) -> Iterator[Any]:
    """The cluster, in which nothing checks what is written, for as long as this module lasts."""

    async def let_all_in() -> None:
        await installed.rest()
        await installed.kubectl("delete", "validatingwebhookconfigurations", "metallb-webhook-configuration")

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, let_all_in()).result()
        yield installed
        thread.submit(asyncio.run, installed.kubectl("apply", "-k", MANIFESTS)).result()


@pytest.fixture
async def cluster(alone: Any) -> AsyncIterator[Any]:
    """The same; what a test has put into the configuration goes with it, and all is valid again."""
    await valid_everywhere(alone)
    yield alone
    for kind, kept in (("ipaddresspools", ["first"]), ("bgppeers", []), ("communities", []), ("bgpadvertisements", [])):
        for item in await alone.items(kind, NAMESPACE):
            if item["metadata"]["name"] not in kept:
                await alone.kubectl("delete", kind, "-n", NAMESPACE, item["metadata"]["name"])
    await alone.kubectl("delete", "secret", "-n", NAMESPACE, "peering", "--ignore-not-found")
    await alone.kubectl("delete", "service", "-n", "default", "-l", "test=yes")
    await valid_everywhere(alone)


@pytest.fixture
async def address(cluster: Any) -> str:
    """Of a Service that is served."""
    service = cluster.load_balancer("served", "web")
    service["metadata"]["labels"] = {"test": "yes"}
    await cluster.apply(service)
    (found,) = await cluster.until(lambda: cluster.addresses("served"), "an address")
    await cluster.until(lambda: cluster.fetch(found), "an answer")
    return str(found)


async def results(cluster: Any) -> dict[str, str]:
    """What each object says, by name."""
    return {item["metadata"]["name"]: item.get("status", {}).get("result", "") for item in await states(cluster)}


async def states(cluster: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await cluster.items(STATES, NAMESPACE)
    return found


async def state(cluster: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await cluster.get(STATES, name, NAMESPACE))["status"]
    return found


def everybody(cluster: Any) -> list[str]:
    return ["controller", *(f"speaker-{node.name}" for node in cluster.lab.cluster.nodes)]


async def valid_everywhere(cluster: Any) -> None:
    async def valid() -> bool:
        return await results(cluster) == dict.fromkeys(everybody(cluster), "Valid")

    await cluster.until(valid, "a valid configuration in every process")


async def until_result(cluster: Any, result: str, *names: str) -> None:
    async def there() -> bool:
        found = await results(cluster)
        return {found.get(name) for name in names} == {result}

    await cluster.until(there, f"{result} of {', '.join(names)}")


@pytest.fixture(scope="module")
def token(alone: Any) -> Iterator[str]:
    """Of somebody who may read metrics, for as long as this module lasts."""
    rbac = "rbac.authorization.k8s.io"
    head = {"apiVersion": f"{rbac}/v1", "metadata": {"name": "metrics-reader"}}
    rules = [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": "metrics-reader"}
    subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]

    async def make() -> str:
        await alone.apply(
            {**head, "kind": "ClusterRole", "rules": rules},
            {**head, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": subjects},
        )
        return str(await alone.kubectl("create", "token", "default", "--duration=1h")).strip()

    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(asyncio.run, make()).result()
        over = alone.kubectl("delete", "clusterrolebinding,clusterrole", "metrics-reader")
        thread.submit(asyncio.run, over).result()


async def until_stale(cluster: Any, token: str, *, stale: bool) -> None:
    """Waits until scrapes of the controller and of all speakers show it."""
    wanted = {"loaded_bool": 1.0, "stale_bool": float(stale)}

    async def so() -> bool:
        pods = await cluster.items("pods", NAMESPACE, "-l", "component in (controller,speaker)")
        return len(pods) == len(everybody(cluster)) and all(
            [await scrape(cluster, token, pod) == wanted for pod in pods]
        )

    await cluster.until(so, f"{wanted} of all")


async def scrape(cluster: Any, token: str, pod: dict[str, Any]) -> dict[str, float]:
    """What a pod shows of the configuration."""
    url = f"https://{pod['status'].get('podIP')}:9120/metrics"
    argv = ["curl", "-sk", "--max-time", "5", "-H", f"Authorization: Bearer {token}", url]
    done = await cluster.lab.run(f"node/{pod['spec']['nodeName']}", argv)
    lines = [line.rsplit(" ", 1) for line in done.stdout.splitlines() if line.startswith("metallb_k8s_client_config")]
    return {name.removeprefix("metallb_k8s_client_config_"): float(value) for name, value in lines}


async def test_every_process_has_an_object_that_says_valid_and_belongs_to_its_pod(cluster: Any) -> None:
    table = await cluster.kubectl("get", STATES, "-n", NAMESPACE)
    assert table.split("\n")[0].split() == ["NAME", "RESULT", "ERRORSUMMARY", "AGE"]
    assert [line.split()[:2] for line in table.splitlines()[1:]] == [
        [name, "Valid"] for name in sorted(everybody(cluster))
    ]
    pods = {each["metadata"]["uid"]: each for each in await cluster.items("pods", NAMESPACE)}
    for found in await cluster.items(STATES, NAMESPACE, "--show-managed-fields"):
        metadata = found["metadata"]
        (owner,) = metadata["ownerReferences"]
        pod = pods[owner["uid"]]
        component = pod["metadata"]["labels"]["component"]
        assert metadata["labels"]["metallb.io/component-type"] == component
        assert "controller" not in owner
        (condition,) = found["status"]["conditions"]
        assert (condition["status"], condition["reason"], condition["message"]) == ("True", "Reconciled", "")
        of_status = [each for each in metadata["managedFields"] if each.get("subresource") == "status"]
        managers = [(each["manager"], each["operation"]) for each in of_status]
        if component == "speaker":
            assert metadata["labels"]["metallb.io/node-name"] == pod["spec"]["nodeName"]
            assert condition["type"] == "configReconcilerValid"
            assert managers == [("configReconciler", "Apply")]
        else:
            assert condition["type"] == "poolReconcilerValid"
            assert managers == [("poolReconciler", "Apply")]


async def test_a_bad_pool_stops_nothing_and_is_told_everywhere_until_it_is_mended(
    cluster: Any, address: str, token: str
) -> None:
    await cluster.apply(pool("wrong", "198.51.100.120/29", "10.0.0.0/33"))
    await until_result(cluster, "Invalid", *everybody(cluster))
    for name in everybody(cluster):
        found = await state(cluster, name)
        lines = found["errorSummary"].split("\n")
        assert len(lines) == 2, "all errors, not the first only"
        assert lines[0].startswith(f"configuration error: IPAddressPool {NAMESPACE}/wrong: spec.addresses[0]: ")
        assert "overlaps" in lines[0]
        assert "10.0.0.0/33" in lines[1]
        (condition,) = found["conditions"]
        assert (condition["status"], condition["reason"]) == ("False", "ConfigurationError")
        assert condition["message"] == found["errorSummary"]
    await until_stale(cluster, token, stale=True)
    assert await cluster.until(lambda: cluster.fetch(address), "an answer")
    later = cluster.load_balancer("later", "web")
    later["metadata"]["labels"] = {"test": "yes"}
    await cluster.apply(later)
    (other,) = await cluster.until(lambda: cluster.addresses("later"), "an address by the configuration before")
    assert await cluster.until(lambda: cluster.fetch(other), "an answer")

    async def told() -> list[dict[str, Any]]:
        found = await cluster.items("events", NAMESPACE, "--field-selector=reason=ConfigurationError")
        return [each for each in found if each["involvedObject"]["name"] == "wrong"]

    async def both_are_told() -> bool:
        return len(await told()) == 2

    await cluster.until(both_are_told, "an event for each error")
    await asyncio.sleep(1.0)
    events = await told()
    assert len(events) == 2, "one for each error"
    assert {each["source"]["component"] for each in events} == {"metallb-controller"}
    assert {(each["type"], each["count"], each["involvedObject"]["kind"]) for each in events} == {
        ("Warning", 1, "IPAddressPool")
    }
    described = await cluster.kubectl("describe", "ipaddresspool", "-n", NAMESPACE, "wrong")
    assert "ConfigurationError" in described

    await cluster.apply(pool("wrong", "198.51.100.150/31"))
    await until_result(cluster, "Valid", *everybody(cluster))
    await until_stale(cluster, token, stale=False)
    assert (await state(cluster, "controller"))["conditions"][0]["message"] == ""


async def test_a_peer_that_waits_for_its_secret_heals_once_that_comes(cluster: Any) -> None:
    speakers = everybody(cluster)[1:]
    await cluster.apply(peer("far", passwordSecret={"name": "peering"}))
    await until_result(cluster, "Invalid", *speakers)
    summary = (await state(cluster, speakers[0]))["errorSummary"]
    assert summary.startswith(f"configuration error: BGPPeer {NAMESPACE}/far: spec.passwordSecret.name: 'peering' ")
    assert "by itself" in summary
    assert (await state(cluster, "controller"))["result"] == "Valid", "peers are nothing to the controller"

    events = await cluster.until(lambda: cluster.events("far", "ConfigurationError", NAMESPACE), "an event")
    await asyncio.sleep(1.0)
    assert await cluster.events("far", "ConfigurationError", NAMESPACE) == events
    assert len(events) == 1, "one speaker tells for all"

    await cluster.apply(PASSWORD)
    await until_result(cluster, "Valid", *speakers)
    for name in speakers:
        assert "hunter2" not in json.dumps(await state(cluster, name))


async def test_a_peer_is_an_error_only_where_it_is_selected_and_follows_labels(cluster: Any) -> None:
    chosen, other = "worker-1", "worker-2"
    selector = [{"matchLabels": {"test/rack": "one"}}]
    await cluster.apply(peer("near", passwordSecret={"name": "peering"}, nodeSelectors=selector))
    await cluster.kubectl("label", "node", chosen, "test/rack=one")
    try:
        await until_result(cluster, "Invalid", f"speaker-{chosen}")
        found = await results(cluster)
        assert [name for name, result in found.items() if result != "Valid"] == [f"speaker-{chosen}"]
        await cluster.until(lambda: cluster.events("near", "ConfigurationError", NAMESPACE), "an event by that node")
        await cluster.kubectl("label", "node", other, "test/rack=one")
        await until_result(cluster, "Invalid", f"speaker-{other}")
        for node in (chosen, other):
            await cluster.kubectl("label", "node", node, "test/rack-")
        await until_result(cluster, "Valid", *everybody(cluster))
    finally:
        for node in (chosen, other):
            await cluster.kubectl("label", "node", node, "test/rack-")


async def test_an_alias_that_comes_later_heals_the_advertisement_that_names_it(cluster: Any) -> None:
    advertisement = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "BGPAdvertisement",
        "metadata": {"name": "tagged", "namespace": NAMESPACE},
        "spec": {"communities": ["vpn-only"], "ipAddressPools": ["none"]},
    }
    alias = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "Community",
        "metadata": {"name": "aliases", "namespace": NAMESPACE},
        "spec": {"communities": [{"name": "vpn-only", "value": "65535:65281"}]},
    }
    await cluster.apply(advertisement)
    speakers = everybody(cluster)[1:]
    await until_result(cluster, "Invalid", *speakers)
    await cluster.apply(alias)
    await until_result(cluster, "Valid", *speakers)


async def test_objects_that_are_deleted_come_back_and_say_what_they_said_until_it_is_over(
    cluster: Any, token: str
) -> None:
    await cluster.apply(pool("wrong", "198.51.100.120/29"))
    await until_result(cluster, "Invalid", *everybody(cluster))
    said = {item["metadata"]["name"]: item["status"]["errorSummary"] for item in await states(cluster)}
    uids = {item["metadata"]["uid"] for item in await states(cluster)}
    await cluster.kubectl("delete", STATES, "-n", NAMESPACE, "--all")

    async def back() -> bool:
        found = await states(cluster)
        again = {item["metadata"]["name"]: item.get("status", {}).get("errorSummary") for item in found}
        return again == said and not uids & {item["metadata"]["uid"] for item in found}

    await cluster.until(back, "the objects")
    # Back to the last good configuration: all signs go.
    await cluster.kubectl("delete", "ipaddresspool", "-n", NAMESPACE, "wrong")
    await until_result(cluster, "Valid", *everybody(cluster))
    await until_stale(cluster, token, stale=False)


async def test_nothing_is_written_while_nothing_changes(cluster: Any) -> None:
    before = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in await states(cluster)}
    await cluster.kubectl("label", "namespace", "default", "test/x=y")
    await cluster.apply(pool("more", "198.51.100.160/31"))
    await cluster.kubectl("delete", "ipaddresspool", "-n", NAMESPACE, "more")
    await cluster.kubectl("label", "namespace", "default", "test/x-")
    await asyncio.sleep(1.0)
    after = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in await states(cluster)}
    assert after == before


async def test_of_two_controllers_the_leader_writes_and_the_next_leader_takes_over(cluster: Any) -> None:
    async def owner() -> str:
        found = await cluster.items(STATES, NAMESPACE, "--field-selector=metadata.name=controller")
        return found[0]["metadata"]["ownerReferences"][0]["name"] if found else ""

    async def leader() -> str:
        lease = await cluster.get("lease", "metallb-controller", NAMESPACE)
        return str(lease["spec"].get("holderIdentity") or "").rpartition("_")[0]

    template = (await cluster.get("deployment", "controller", NAMESPACE))["spec"]["template"]["spec"]
    metadata = {"name": "standby", "namespace": NAMESPACE, "labels": {"app": "standby"}}
    await cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template})
    try:
        await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", "pod/standby", "--timeout=150s")
        await cluster.apply(pool("twice", "198.51.100.120/29"))
        await until_result(cluster, "Invalid", "controller")

        async def is_of_the_leader() -> bool:
            return await owner() == await leader() != ""

        await cluster.until(is_of_the_leader, "the object of the leader")
        await cluster.until(lambda: cluster.events("twice", "ConfigurationError", NAMESPACE), "an event")
        await asyncio.sleep(1.0)
        assert len(set(await cluster.events("twice", "ConfigurationError", NAMESPACE))) == 1
        first = await cluster.until(leader, "a leader")
        await cluster.kubectl("delete", "pod", "-n", NAMESPACE, first)

        async def taken() -> bool:
            return await owner() not in {"", first} and await owner() == await leader()

        await cluster.until(taken, "the object of the new leader")
        await until_result(cluster, "Invalid", "controller")
    finally:
        await cluster.kubectl("delete", "pod", "-n", NAMESPACE, "standby", "--ignore-not-found")


@pytest.mark.parametrize(
    ("taken", "serves"), [({"bgppeers", "secrets"}, True), ({"ipaddresspools"}, False)], ids=["bgp", "pools"]
)
async def test_a_right_that_is_missing_is_told_and_stops_only_what_needs_it(
    cluster: Any,
    address: str,
    taken: set[str],
    serves: bool,  # noqa: FBT001  # a column
) -> None:
    """As under rules that somebody has cut down; the speakers of a restart find them so."""
    rules = (await cluster.get("role", "speaker", NAMESPACE))["rules"]
    cut = [
        {**each, "resources": [name for name in each["resources"] if name not in taken] or ["none"]} for each in rules
    ]

    async def allow(rules: list[dict[str, Any]]) -> None:
        patch = json.dumps({"rules": rules})
        await cluster.kubectl("patch", "role", "speaker", "-n", NAMESPACE, "--type=merge", "-p", patch)

    speakers = everybody(cluster)[1:]
    await allow(cut)
    try:
        await cluster.kubectl("delete", "pod", "-n", NAMESPACE, "-l", "component=speaker")
        await until_result(cluster, "Unknown", *speakers)

        async def told() -> bool:
            found = await state(cluster, speakers[0])
            lines = found["errorSummary"].split("\n")
            named = {line.split(" ")[0].split(".")[0] for line in lines}
            reads = all("can't be read: " in line for line in lines)
            return named == taken and reads and found["conditions"][0]["reason"] == "InfraError"

        await cluster.until(told, "all that can't be read")
        if serves:
            assert await cluster.until(lambda: cluster.fetch(address), "an answer")
    finally:
        await allow(rules)
    await until_result(cluster, "Valid", *speakers)
    assert await cluster.until(lambda: cluster.fetch(address), "an answer")
