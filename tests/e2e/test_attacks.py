"""What a cluster does to MetalLB on its bad days: churn, deaths in the middle of work, nonsense, and changes of mind."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiclient import ApiClient, ApiFailure, Resource, WatchEvent
from kubelab.lab import CommandError

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "metallb-system"
SERVICES = Resource("", "v1", "services", namespaced=True)
POOL_OF = "metallb.io/address-pool"
AT_ONCE = 20
LEASES = Resource("coordination.k8s.io", "v1", "leases", namespaced=True)

pytestmark = pytest.mark.e2e


def pool(name: str, *addresses: str) -> dict[str, Any]:
    """Only for Services that ask for it: those of other tests stay where they are."""
    return {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"addresses": list(addresses), "autoAssign": False},
    }


def asking(cluster: Any, name: str, annotations: dict[str, str], **spec: Any) -> dict[str, Any]:
    service: dict[str, Any] = cluster.load_balancer(name, "web", **spec)
    service["metadata"]["annotations"] = annotations
    return service


async def patch_metallb(cluster: Any, spec: dict[str, Any]) -> None:
    await cluster.kubectl(
        "patch", "metallb", "-n", NAMESPACE, "metallb", "--type=merge", "-p", json.dumps({"spec": spec})
    )


def addresses_of(service: dict[str, Any]) -> tuple[str, ...]:
    return tuple(entry["ip"] for entry in service["status"].get("loadBalancer", {}).get("ingress", []))


async def condition(cluster: Any, kind: str) -> dict[str, Any]:
    found = await cluster.get("metallb", "metallb", NAMESPACE)
    return next((each for each in found.get("status", {}).get("conditions", []) if each["type"] == kind), {})


async def arping(cluster: Any, where: str, interface: str, *addresses: str) -> dict[str, Any]:
    """Asks for each address once; answers how many were answered, and by whom."""
    ask = ["--interval", "0.002", "--count", str(len(addresses)), interface, "198.51.100.200", *addresses]
    done = await cluster.lab.run(where, [sys.executable, "-m", "kubelab.arping", *ask], check=False)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture(autouse=True)
async def leave_it_as_it_was(cluster: Any) -> AsyncIterator[None]:
    yield
    await cluster.remove_services()
    others = [each["metadata"]["name"] for each in await cluster.items("ipaddresspools", NAMESPACE)]
    others.remove("first")
    if others:
        await cluster.kubectl("delete", "ipaddresspool", "-n", NAMESPACE, *others)


class Crowd:
    """Many Services of one pool, created and deleted as fast as the API server takes it."""

    def __init__(self, cluster: Any, api: ApiClient, name: str, size: int) -> None:
        self._cluster, self._api, self._name, self._size = cluster, api, name, size
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def create(self) -> None:
        await self._each(self._create)

    async def delete(self) -> None:
        await self._each(self._delete)

    async def addresses(self) -> dict[str, tuple[str, ...]]:
        """Of those that have one."""
        services = await self._cluster.items("services", "default", "-l", f"crowd={self._name}")
        shown = {each["metadata"]["name"]: addresses_of(each) for each in services}
        return {name: ips for name, ips in shown.items() if ips}

    async def first(self, count: int) -> dict[str, tuple[str, ...]]:
        """Addresses at the very moment at which so many have one."""
        async with asyncio.timeout(90):
            while True:
                listed = await self._api.list(SERVICES, "default", label_selector=f"crowd={self._name}")
                found = {each["metadata"]["name"]: addresses_of(each) for each in listed.items}
                shown = {name: ips for name, ips in found.items() if ips}
                if len(shown) >= count:
                    return shown

    async def some(self, count: int) -> dict[str, tuple[str, ...]]:
        """Their addresses, once so many have one."""

        async def enough() -> dict[str, tuple[str, ...]] | None:
            found = await self.addresses()
            return found if len(found) >= count else None

        found: dict[str, tuple[str, ...]] = await self._cluster.until(enough, f"{count} with an address")
        return found

    async def _each(self, act: Callable[[str], Awaitable[object]]) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._size):
                group.create_task(self._one(act, f"{self._name}{number}"))

    async def _one(self, act: Callable[[str], Awaitable[object]], name: str) -> None:
        async with self._slots:
            await act(name)

    async def _delete(self, name: str) -> None:
        try:
            await self._api.delete(SERVICES, name, "default")
        except ApiFailure as failure:
            if failure.code != HTTPStatus.NOT_FOUND:
                raise

    async def _create(self, name: str) -> None:
        service = asking(self._cluster, name, {POOL_OF: "crowd"})
        service["metadata"]["labels"] = {"crowd": self._name}
        await self._api.create(SERVICES, service)


@pytest.fixture
async def crowd(cluster: Any) -> AsyncIterator[Callable[[str, int], Crowd]]:
    await cluster.apply(pool("crowd", "198.19.0.0/20"))
    async with ApiClient.from_kubeconfig(cluster.lab.kubeconfig) as api:
        made: list[Crowd] = []

        def make(name: str, size: int) -> Crowd:
            made.append(Crowd(cluster, api, name, size))
            return made[-1]

        yield make
        for each in made:
            await each.delete()


async def controllers(cluster: Any) -> dict[str, str]:
    """Pods of the controller; to whom the Lease belongs is one of them."""
    lease = await cluster.get("lease", "metallb-controller", NAMESPACE)
    holder = lease["spec"].get("holderIdentity", "")
    pods = await cluster.items("pods", NAMESPACE, "-l", "component=controller")
    names = [pod["metadata"]["name"] for pod in pods]
    return {name: "leads" if holder.startswith(f"{name}_") else "waits" for name in names}


async def leader(cluster: Any) -> str:
    """For a moment nobody may lead."""

    async def found() -> str:
        return next((name for name, role in (await controllers(cluster)).items() if role == "leads"), "")

    name: str = await cluster.until(found, "a controller that leads")
    return name


def nothing_moved(before: dict[str, tuple[str, ...]], after: dict[str, tuple[str, ...]]) -> None:
    assert {name: after.get(name) for name in before} == before
    every = [ip for ips in after.values() for ip in ips]
    assert len(every) == len(set(every)), "an address was given twice"


async def test_a_controller_killed_amid_300_services_moves_none_and_gives_none_twice(
    cluster: Any, crowd: Callable[[str, int], Crowd]
) -> None:
    many = crowd("killed", 300)
    creating = asyncio.ensure_future(many.create())
    before = await many.some(40)
    await cluster.kill_pod(await leader(cluster))
    await creating
    after = await many.some(300)
    nothing_moved(before, after)
    every = [ip for ips in after.values() for ip in ips]

    async def all_answer() -> bool:
        return bool((await arping(cluster, "client", "eth0", *every))["answered"] == 300)

    await cluster.until(all_answer, "an answer for each of the 300 addresses")
    await many.delete()

    async def silent() -> bool:
        return not (await arping(cluster, "client", "eth0", *every[::60]))["answered"]

    await cluster.until(silent, "no answer for any of them")


async def test_another_controller_takes_over_from_a_dead_one_and_moves_nothing(
    cluster: Any, crowd: Callable[[str, int], Crowd]
) -> None:
    await cluster.kubectl("scale", "-n", NAMESPACE, "deployment/controller", "--replicas=2")
    try:
        await cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/controller", "--timeout=150s")
        dying = await leader(cluster)
        many = crowd("handed", 60)
        first = crowd("first", 10)
        await first.create()
        before = await first.some(10)
        cluster.lab.kill(f"pod/{NAMESPACE}/{dying}")
        await many.create()
        after = await many.some(60)
        nothing_moved(before, {**after, **await first.addresses()})
    finally:
        await cluster.kubectl("scale", "-n", NAMESPACE, "deployment/controller", "--replicas=1")


async def test_an_api_server_that_pauses_amid_assignment_costs_only_time(
    cluster: Any, crowd: Callable[[str, int], Crowd]
) -> None:
    many = crowd("paused", 150)
    creating = asyncio.ensure_future(many.create())
    before = await many.some(20)
    cluster.lab.pause("apiserver")
    try:
        await asyncio.sleep(2.0)
    finally:
        cluster.lab.resume("apiserver")
    await creating
    nothing_moved(before, await many.some(150))


async def test_an_api_server_killed_amid_assignment_comes_back_to_the_same_addresses(
    cluster: Any, crowd: Callable[[str, int], Crowd]
) -> None:
    """What it told before it died is still so; what it did not tell, the controller finds out."""
    await cluster.kubectl("delete", "ipaddresspool", "-n", NAMESPACE, "crowd")
    many = crowd("restarted", 150)
    await many.create()
    await cluster.apply(pool("crowd", "198.19.0.0/20"))
    before = await many.first(20)  # and, unless we were late, not many more
    cluster.lab.kill("apiserver")
    await cluster.lab.start()
    nothing_moved(before, await many.some(150))


async def test_reset_connections_to_the_api_server_cost_nothing(
    cluster: Any, crowd: Callable[[str, int], Crowd]
) -> None:
    many = crowd("reset", 100)
    creating = asyncio.ensure_future(many.create())
    before = await many.some(10)
    for _ in range(3):
        cluster.lab.reset("control-1", 6443)
        await asyncio.sleep(0.3)
    await creating
    nothing_moved(before, await many.some(100))


async def test_a_rollout_of_the_controller_moves_nothing_and_hands_over(
    cluster: Any, crowd: Callable[[str, int], Crowd]
) -> None:
    """Two are there at once, twice: the Lease says which of them works, and who goes gives it up."""
    made = iter(crowd(name, 150) for name in ("rolled", "rolled-again", "rolled-at-last"))

    async def story() -> list[str]:
        many = next(made)
        was = await leader(cluster)
        async with ApiClient.from_kubeconfig(cluster.lab.kubeconfig) as api:
            version, only = await api.version(LEASES, NAMESPACE), "metadata.name=metallb-controller"
            leases = api.watch(LEASES, NAMESPACE, resource_version=version, field_selector=only)
            creating = asyncio.ensure_future(many.create())
            before = await many.some(10)
            await cluster.kubectl("rollout", "restart", "-n", NAMESPACE, "deployment/controller")
            await creating
            nothing_moved(before, await many.some(150))
            await cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/controller", "--timeout=150s")
            async with asyncio.timeout(90):
                after = await next_holder(leases, was)
        return [f"the Lease was not given up, but ran out: {after}"] if after else []

    await cluster.is_told(story)


async def next_holder(leases: AsyncIterator[WatchEvent], holder: str) -> str:
    """Who has the Lease after somebody, or after nobody: the first that the watch tells of."""
    async for each in leases:
        found = "" if each.kind == "BOOKMARK" else str(each.object["spec"].get("holderIdentity") or "")
        if each.kind != "BOOKMARK" and found.rpartition("_")[0] != holder:
            return found
    raise EOFError("the watch has ended")


async def test_what_can_not_be_had_is_said_on_each_service(cluster: Any) -> None:
    ips = "metallb.io/loadBalancerIPs"
    wanted = {
        "outside": ({ips: "203.0.113.77"}, {}, "203.0.113.77 is not offered by any pool"),
        "nopool": ({POOL_OF: "missing"}, {}, "unknown pool 'missing'"),
        "nonsense": ({ips: "rubbish"}, {}, "'rubbish' must be IP addresses"),
        "family": ({ips: "2001:db8:100::1:5"}, {}, "2001:db8:100::1:5 does not fit a Service of IPv4"),
        "twice": ({ips: "198.51.100.140"}, {"loadBalancerIP": "198.51.100.141"}, "exclude each other: remove one"),
    }
    services = [asking(cluster, name, notes, **spec) for name, (notes, spec, _) in wanted.items()]
    await cluster.apply(*services, asking(cluster, "foreign", {}, loadBalancerClass="example.org/other"))
    for name, (_, _, words) in wanted.items():

        async def said(name: str = name, words: str = words) -> bool:
            messages = [
                *await cluster.events(name, "AllocationFailed"),
                *await cluster.events(name, "LoadBalancerFailed"),
            ]
            return any(words in each for each in messages)

        await cluster.until(said, f"an event of {name} with {words!r}")
        assert await cluster.addresses(name) == []
    assert await cluster.items("events", "default", "--field-selector=involvedObject.name=foreign") == []


async def test_services_follow_when_the_addresses_of_their_pool_change(cluster: Any) -> None:
    await cluster.apply(pool("moving", "198.51.100.160-198.51.100.161", "2001:db8:100::2:0/112"))
    await cluster.apply(asking(cluster, "moves", {POOL_OF: "moving"}, ipFamilyPolicy="RequireDualStack"))
    before = await cluster.until(lambda: cluster.addresses("moves"), "addresses")
    await cluster.apply(pool("moving", "198.51.100.162-198.51.100.163", "2001:db8:100::3:0/112"))

    async def moved() -> bool:
        now = await cluster.addresses("moves")
        return len(now) == 2 and not set(now) & set(before)

    await cluster.until(moved, "two other addresses")
    for address in await cluster.addresses("moves"):
        assert await cluster.until(lambda address=address: cluster.fetch(address), "an answer")

    async def are_silent() -> bool:
        return [await cluster.fetch(address) for address in before] == [None] * len(before)

    await cluster.until(are_silent, "no answer of those before")
    await cluster.until(lambda: cluster.events("moves", "ClearAssignment"), "an event that says so")


async def test_ten_thousand_ranges_are_taken_and_one_that_overlaps_them_is_refused(cluster: Any) -> None:
    huge = [f"203.0.{number // 250}.{number % 250}/32" for number in range(10_000)]
    created = {**pool("huge", *huge), "kind": "IPAddressPool"}
    await cluster.kubectl("create", "-f", "-", stdin=json.dumps(created))
    await cluster.apply(asking(cluster, "huge", {POOL_OF: "huge"}))
    assert await cluster.until(lambda: cluster.addresses("huge"), "an address") == ["203.0.0.0"]
    text = json.dumps(pool("overlaps", "203.0.5.7-203.0.5.9"))
    done = await cluster.lab.kubectl("apply", "-f", "-", stdin=text, check=False)
    said = "IPAddressPool metallb-system/overlaps: spec.addresses[0]: '203.0.5.7-203.0.5.9' overlaps 203.0.5."
    assert said in done.stderr
    assert "of IPAddressPool metallb-system/huge" in done.stderr
    assert await cluster.addresses("huge") == ["203.0.0.0"]


async def test_traffic_policies_that_change_their_mind_end_in_service(cluster: Any) -> None:
    await cluster.apply(cluster.load_balancer("flips", "web"))
    (address,) = await cluster.until(lambda: cluster.addresses("flips"), "an address")
    for policy in ("Local", "Cluster", "Local", "Cluster", "Local"):
        await cluster.kubectl(
            "patch", "service", "flips", "-p", json.dumps({"spec": {"externalTrafficPolicy": policy}})
        )

    async def keeps_the_client() -> bool:
        answer = await cluster.fetch(address)
        return bool(answer and answer["client"] == "198.51.100.200")

    await cluster.until(keeps_the_client, "an answer that saw the client's address")
    assert await cluster.addresses("flips") == [address]


async def test_a_resource_that_can_not_be_applied_says_why_and_what_runs_goes_on(cluster: Any) -> None:
    await cluster.apply(cluster.load_balancer("runs", "web"))
    (address,) = await cluster.until(lambda: cluster.addresses("runs"), "an address")
    await cluster.until(lambda: cluster.fetch(address), "an answer")
    for spec, words in (
        ({"nodeSelector": {"a b": "c"}}, 'DaemonSet.apps "speaker" is invalid: spec.template.spec.nodeSelector'),
        ({"bgpBackend": "frr-k8s"}, "spec.bgpBackend: 'frr-k8s' is not in this version"),
    ):
        await patch_metallb(cluster, spec)

        async def degraded(words: str = words) -> bool:
            found = await condition(cluster, "Degraded")
            return found.get("status") == "True" and words in found["message"]

        await cluster.until(degraded, f"Degraded with {words!r}")
        await cluster.until(lambda: cluster.fetch(address), "an answer")
        await patch_metallb(cluster, dict.fromkeys(spec))
    done = await cluster.lab.kubectl(
        "patch",
        "metallb",
        "-n",
        NAMESPACE,
        "metallb",
        "--type=merge",
        "-p",
        '{"spec":{"logLevel":"loud"}}',
        check=False,
    )
    assert done.code != 0
    assert "spec.logLevel" in done.stderr


async def test_no_node_for_speakers_is_available_and_warned_about(cluster: Any) -> None:
    await patch_metallb(cluster, {"nodeSelector": {"no": "such"}})
    try:

        async def said() -> bool:
            found = await condition(cluster, "Available")
            return found.get("status") == "True" and "no node is left" in found["message"]

        await cluster.until(said, "a message that no speaker runs")
        warned = ["--field-selector=involvedObject.kind=MetalLB,reason=NoSpeakers"]
        await cluster.until(lambda: cluster.items("events", NAMESPACE, *warned), "a warning")
    finally:
        await patch_metallb(cluster, {"nodeSelector": None})


async def test_an_operator_killed_while_it_applies_finishes_later(cluster: Any) -> None:
    (pod,) = await cluster.items("pods", NAMESPACE, "-l", "control-plane=controller-manager")
    await patch_metallb(cluster, {"controllerConfig": {"annotations": {"attack": "yes"}}})
    cluster.lab.kill(f"pod/{NAMESPACE}/{pod['metadata']['name']}")
    try:

        async def applied() -> bool:
            found = await cluster.get("deployment", "controller", NAMESPACE)
            return "attack" in found["spec"]["template"]["metadata"].get("annotations", {})

        await cluster.until(applied, "the annotation")
    finally:

        async def taken_back() -> bool:
            """The operator's webhook is away until its pod is back."""
            try:
                await patch_metallb(cluster, {"controllerConfig": None})
            except CommandError:
                return False
            return True

        await cluster.until(taken_back, "the operator's webhook")


async def test_an_address_that_no_advertisement_covers_is_said_by_one_node(cluster: Any) -> None:
    (advertisement,) = await cluster.items("l2advertisements", NAMESPACE)
    name = advertisement["metadata"]["name"]
    await cluster.kubectl("delete", "l2advertisement", "-n", NAMESPACE, name)
    try:
        await cluster.apply(cluster.load_balancer("mute", "web"))
        (address,) = await cluster.until(lambda: cluster.addresses("mute"), "an address")

        async def said() -> bool:
            """By one node at a time; another one says the same."""
            messages = set(await cluster.events("mute", "announceFailed"))
            return len(messages) == 1 and "no L2Advertisement announces pool 'first'" in messages.pop()

        async def is_silent() -> bool:
            return not (await arping(cluster, "client", "eth0", address))["answered"]

        await cluster.until(said, "an event that says so, and no other")
        await cluster.until(is_silent, "no answer")
    finally:
        fresh = {"name": name, "namespace": NAMESPACE}
        await cluster.apply({**advertisement, "metadata": fresh})
    assert await cluster.until(lambda: cluster.fetch(address), "an answer")
