"""Who announces what, as a client on the network sees it: statuses, nodes, preferences, selectors, interfaces."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from metallb.advertisement.election import elect
from metallb.api.net import Address, NodeName
from metallb.protocols.arp.packet import REPLY, ArpPacket
from metallb.protocols.ethernet import BROADCAST, parse_mac

NAMESPACE = "metallb-system"
CLIENT = "198.51.100.200"
EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
HOSTNAME = "kubernetes.io/hostname"
pytestmark = pytest.mark.e2e

Advertise = Callable[..., Awaitable[None]]


def on(*nodes: str) -> list[dict[str, Any]]:
    return [{"matchLabels": {HOSTNAME: node}} for node in nodes]


def preferring(weight: int, **labels: str) -> dict[str, Any]:
    return {"weight": weight, "preference": {"matchLabels": labels}}


def advertisement(name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": metadata, "spec": spec}


@pytest.fixture
async def advertise(cluster: Any) -> AsyncIterator[Advertise]:
    """From now on these advertisements and no others; at the end those of before."""
    before = await cluster.items("l2advertisements", NAMESPACE)

    async def put(**specs: dict[str, Any]) -> None:
        wanted = [advertisement(name, **spec) for name, spec in specs.items()]
        known = {each["metadata"]["name"] for each in await cluster.items("l2advertisements", NAMESPACE)}
        if wanted:
            await cluster.apply(*wanted)
        gone = sorted(known - specs.keys())
        if gone:
            await cluster.kubectl("delete", "l2advertisement", "-n", NAMESPACE, *gone)

    yield put
    await put(**{each["metadata"]["name"]: each.get("spec") or {} for each in before})


@pytest.fixture(autouse=True)
async def leave_nodes_and_services_as_they_were(cluster: Any) -> AsyncIterator[None]:
    before = {node["metadata"]["name"]: node["metadata"]["labels"] for node in await cluster.items("nodes")}
    yield
    for node in await cluster.items("nodes"):
        name = node["metadata"]["name"]
        added = node["metadata"]["labels"].keys() - before[name].keys()
        if added:
            await cluster.kubectl("label", "node", name, *(f"{each}-" for each in sorted(added)))
    await cluster.remove_services()


async def served(cluster: Any, name: str, labels: dict[str, str] | None = None, **spec: Any) -> str:
    """A Service and its address."""
    wanted = cluster.load_balancer(name, "web", **spec)
    wanted["metadata"]["labels"] = labels or {}
    await cluster.apply(wanted)
    (address,) = await cluster.until(lambda: cluster.addresses(name), "an address")
    return str(address)


async def answering(cluster: Any, address: str, where: str = "client", interface: str = "eth0") -> set[str]:
    """The nodes that answer for an address, now."""
    return {await owner(cluster, mac) for mac in await macs(cluster, address, where, interface)}


async def macs(cluster: Any, address: str, where: str = "client", interface: str = "eth0") -> set[str]:
    """The Ethernet addresses that are given as an address's, now."""
    argv = [sys.executable, "-m", "kubelab.arping", "--count", "4", "--wait", "0.2", interface, CLIENT, address]
    found = json.loads((await cluster.lab.run(where, argv, check=False)).stdout)
    return set(found["by"])


async def own_mac(cluster: Any, node: str, interface: str) -> str:
    return str((await cluster.lab.run(f"node/{node}", ["cat", f"/sys/class/net/{interface}/address"])).stdout.strip())


async def owner(cluster: Any, mac: str) -> str:
    for node in cluster.lab.cluster.nodes:
        macs = (await cluster.lab.run(f"node/{node.name}", ["sh", "-c", "cat /sys/class/net/eth*/address"])).stdout
        if mac in macs.split():
            return str(node.name)
    return mac


async def comes_to(cluster: Any, address: str, *nodes: str) -> None:
    """Waits until exactly these nodes answer, and stay so."""

    async def so() -> bool:
        return await answering(cluster, address) == set(nodes) and await answering(cluster, address) == set(nodes)

    await cluster.until(so, f"{address} on {nodes or 'no node'}")


def order(cluster: Any, address: str) -> list[str]:
    """The nodes as the election ranks them for an address, without preferences."""
    left = [NodeName(node.name) for node in cluster.lab.cluster.nodes]
    ranked = []
    while left:
        first = elect(left, Address.parse(address), {})
        assert first is not None
        ranked.append(str(first))
        left.remove(first)
    return ranked


class TestStatus:
    async def statuses(self, cluster: Any, service: str) -> list[dict[str, Any]]:
        found = await cluster.items("servicel2statuses", NAMESPACE, "-l", f"metallb.io/service-name={service}")
        return [each for each in found if each.get("status", {}).get("node")]

    async def test_tells_the_node_that_answers_and_goes_with_the_service(self, cluster: Any) -> None:
        address = await served(cluster, "told")

        async def of_who_answers() -> bool:
            found = await self.statuses(cluster, "told")
            nodes = {each["status"]["node"] for each in found}
            return len(found) == 1 and nodes == await answering(cluster, address)

        await cluster.until(of_who_answers, "one status, of the node that answers")
        (found,) = await self.statuses(cluster, "told")
        node = found["status"]["node"]
        assert found["status"] == {"node": node, "serviceName": "told", "serviceNamespace": "default"}
        assert found["metadata"]["labels"]["metallb.io/node"] == node
        (pod,) = found["metadata"]["ownerReferences"]
        assert (pod["kind"], pod["name"][:8]) == ("Pod", "speaker-")
        table = await cluster.kubectl("get", "servicel2statuses", "-n", NAMESPACE)
        assert table.splitlines()[0].split() == ["NAME", "ALLOCATED", "NODE", "SERVICE", "NAME", "SERVICE", "NAMESPACE"]
        await cluster.kubectl("delete", "service", "told")

        async def gone() -> bool:
            return not await self.statuses(cluster, "told")

        await cluster.until(gone, "no status")

    async def test_is_put_right_and_follows_the_address(self, cluster: Any) -> None:
        address = await served(cluster, "mended")
        node = order(cluster, address)[0]

        async def alone(node: str) -> str:
            found = await self.statuses(cluster, "mended")
            return found[0]["metadata"]["name"] if [each["status"]["node"] for each in found] == [node] else ""

        name = await cluster.until(lambda: alone(node), "a status")
        await cluster.kubectl("delete", "servicel2status", "-n", NAMESPACE, name)
        assert name == await cluster.until(lambda: alone(node), "a status again, under the same name")
        wrong = json.dumps({"status": {"interfaces": [{"name": "eth9"}]}})
        patch = ["--subresource=status", "--type=merge", "-p", wrong]
        await cluster.kubectl("patch", "servicel2status", "-n", NAMESPACE, name, *patch)

        async def right() -> bool:
            return [each["status"].get("interfaces") for each in await self.statuses(cluster, "mended")] == [None]

        await cluster.until(right, "the status put right")
        await cluster.kubectl("label", "node", node, f"{EXCLUDE}=")

        after = order(cluster, address)[1]
        await cluster.until(lambda: alone(after), "the status of the node that took over, alone")


class TestNodes:
    async def test_without_a_network_hands_over_and_gets_back(self, cluster: Any) -> None:
        address = await served(cluster, "network")
        first, second, *_ = order(cluster, address)
        await comes_to(cluster, address, first)
        for state, node in (("True", second), ("False", first)):
            condition = {"type": "NetworkUnavailable", "status": state, "reason": "Test", "message": "x"}
            patch = json.dumps({"status": {"conditions": [condition]}})
            await cluster.kubectl("patch", "node", first, "--subresource=status", "--type=strategic", "-p", patch)
            await comes_to(cluster, address, node)

    async def test_with_the_exclude_label_hands_over_and_gets_back(self, cluster: Any) -> None:
        address = await served(cluster, "excluded")
        first, second, *_ = order(cluster, address)
        await cluster.kubectl("label", "node", first, f"{EXCLUDE}=")
        await comes_to(cluster, address, second)
        await cluster.kubectl("label", "node", first, f"{EXCLUDE}-")
        await comes_to(cluster, address, first)

    async def test_two_services_on_one_address_are_announced_from_one(self, cluster: Any) -> None:
        address = await served(cluster, "shared-a")
        for name, port in (("shared-a", 80), ("shared-b", 8080)):
            wanted = cluster.load_balancer(name, "web", ports=[{"name": "http", "port": port, "targetPort": "http"}])
            keys = {"metallb.io/allow-shared-ip": "k", "metallb.io/loadBalancerIPs": address}
            wanted["metadata"]["annotations"] = keys
            await cluster.apply(wanted)
        await cluster.until(lambda: cluster.fetch(address, 8080), "an answer on the second port")
        await cluster.until(lambda: cluster.fetch(address), "an answer on the first")
        await comes_to(cluster, address, order(cluster, address)[0])

    async def test_tcp_and_udp_of_two_services_share_one_address_and_both_are_served(self, cluster: Any) -> None:
        keys = {"metallb.io/allow-shared-ip": "dns"}
        for name, protocol in (("both-tcp", "TCP"), ("both-udp", "UDP")):
            ports = [{"name": "same", "port": 8053, "targetPort": 8080, "protocol": protocol}]
            wanted = cluster.load_balancer(name, "web", ports=ports)
            wanted["metadata"]["annotations"] = keys
            await cluster.apply(wanted)
            (address,) = await cluster.until(lambda name=name: cluster.addresses(name), "an address")
            keys = keys | {"metallb.io/loadBalancerIPs": address}
        assert await cluster.addresses("both-tcp") == await cluster.addresses("both-udp")
        await comes_to(cluster, address, order(cluster, address)[0])

        async def both_say_so() -> bool:
            statuses = [each["status"] for each in await cluster.items("servicel2statuses", NAMESPACE)]
            said = {each["serviceName"]: each["node"] for each in statuses if each.get("serviceName") in names}
            return said == dict.fromkeys(names, order(cluster, address)[0])

        names = ("both-tcp", "both-udp")
        await cluster.until(both_say_so, "the same node in the statuses of both")


class TestSelectors:
    async def test_of_nodes_pin_add_up_and_wait_for_labels(self, cluster: Any, advertise: Advertise) -> None:
        address = await served(cluster, "pinned")
        ranked = order(cluster, address)
        for node in (ranked[3], ranked[1]):
            await advertise(only={"nodeSelectors": on(node)})
            await comes_to(cluster, address, node)
        await advertise(a={"nodeSelectors": on(ranked[3])}, b={"nodeSelectors": on(ranked[2])})
        await comes_to(cluster, address, ranked[2])
        await advertise(ghost={"nodeSelectors": [{"matchLabels": {"rack": "x"}}]})
        await comes_to(cluster, address)
        await cluster.kubectl("label", "node", ranked[1], "rack=x")
        await comes_to(cluster, address, ranked[1])

    async def test_of_services_have_to_match_too(self, cluster: Any, advertise: Advertise) -> None:
        address = await served(cluster, "chosen", {"tier": "a"})
        first, second, *_ = order(cluster, address)
        either = [{"matchLabels": {"tier": "b"}}, {"matchLabels": {"tier": "a"}}]
        await advertise(some={"serviceSelectors": either})
        await comes_to(cluster, address, first)
        await cluster.kubectl("label", "service", "chosen", "tier=c", "--overwrite")
        await comes_to(cluster, address)
        await cluster.kubectl("label", "service", "chosen", "tier=b", "--overwrite")
        await comes_to(cluster, address, first)
        of_b = [{"matchLabels": {"tier": "b"}}]
        await advertise(
            left={"serviceSelectors": of_b, "nodeSelectors": on(first)},
            right={"serviceSelectors": of_b, "nodeSelectors": on(second)},
        )
        await comes_to(cluster, address, first)
        await advertise(
            here={"serviceSelectors": [{"matchLabels": {"tier": "z"}}], "nodeSelectors": on(first)},
            ghost={"serviceSelectors": of_b, "nodeSelectors": [{"matchLabels": {"rack": "x"}}]},
        )
        await comes_to(cluster, address)


class TestPreferences:
    async def test_choose_among_the_eligible_add_up_and_can_be_changed(
        self, cluster: Any, advertise: Advertise
    ) -> None:
        address = await served(cluster, "preferred")
        first, second, third, last = order(cluster, address)
        await cluster.kubectl("label", "node", last, "disk=fast")
        await advertise(one={"preferredNodeSelectors": [preferring(60, disk="fast")]})
        await comes_to(cluster, address, last)
        await cluster.kubectl("label", "node", last, f"{EXCLUDE}=")
        await comes_to(cluster, address, first)
        await cluster.kubectl("label", "node", last, f"{EXCLUDE}-")
        await comes_to(cluster, address, last)
        await cluster.kubectl("label", "node", third, "net=fast", "room=a")
        await advertise(
            one={"preferredNodeSelectors": [preferring(60, disk="fast"), preferring(60, net="fast")]},
            two={"preferredNodeSelectors": [preferring(50, room="a")]},
        )
        await comes_to(cluster, address, third)
        await cluster.kubectl("label", "node", third, "net-")
        await comes_to(cluster, address, last)
        await advertise(
            one={"preferredNodeSelectors": [preferring(60, disk="fast")], "nodeSelectors": on(first, second)}
        )
        await comes_to(cluster, address, first)
        nowhere = [preferring(60, disk="none"), {"weight": 100, "preference": {}}]
        await advertise(one={"preferredNodeSelectors": nowhere})
        await comes_to(cluster, address, first)

    async def test_of_an_advertisement_count_for_its_services_only(self, cluster: Any, advertise: Advertise) -> None:
        address = await served(cluster, "meant", {"tier": "a"})
        other = await served(cluster, "other", {"tier": "b"})
        last, others_last = order(cluster, address)[-1], order(cluster, other)[-1]
        for node in {last, others_last}:
            await cluster.kubectl("label", "node", node, "disk=fast")
        prefers = {"preferredNodeSelectors": [preferring(60, disk="fast")]}
        await advertise(all={}, some={"serviceSelectors": [{"matchLabels": {"tier": "a"}}], **prefers})
        await comes_to(cluster, other, order(cluster, other)[0])

        async def preferred() -> bool:
            found = await answering(cluster, address)
            return bool(found) and found <= {last, others_last}

        await cluster.until(preferred, "a preferred node")


class TestInterfaces:
    """A second network of one node: `eth7` there, `lan7` a neighbour's end of it."""

    NODE = "worker-1"

    async def add(self, cluster: Any) -> None:
        add = "ip link add eth7 type veth peer name lan7 && ip link set eth7 up && ip link set lan7 up"
        await cluster.lab.run(f"node/{self.NODE}", ["sh", "-c", add])

    @pytest.fixture(autouse=True)
    async def leave_no_interface(self, cluster: Any) -> AsyncIterator[None]:
        yield
        await cluster.lab.run(f"node/{self.NODE}", ["ip", "link", "del", "eth7"], check=False)

    async def test_that_come_later_and_that_are_named_are_answered_on_also_when_that_changes(
        self, cluster: Any, advertise: Advertise
    ) -> None:
        address = await served(cluster, "wired")
        await advertise(a0={"nodeSelectors": on(self.NODE)})
        await comes_to(cluster, address, self.NODE)
        await self.add(cluster)
        place = f"node/{self.NODE}"
        own = {name: await own_mac(cluster, self.NODE, name) for name in ("eth0", "eth7")}

        async def so(specs: list[dict[str, Any]], reached: tuple[str, ...]) -> bool:
            usual, second = await macs(cluster, address), await macs(cluster, address, place, "lan7")
            wanted = [{own[name]} if name in reached else set() for name in ("eth0", "eth7")]
            found = await cluster.items("servicel2statuses", NAMESPACE, "-l", "metallb.io/service-name=wired")
            named = sorted({name for spec in specs for name in spec.get("interfaces", [])})
            shown = [[each["name"] for each in one["status"].get("interfaces", [])] for one in found]
            return [usual, second] == wanted and shown == [named]

        for specs, reached in (
            ([{}], ("eth0", "eth7")),
            ([{"interfaces": ["eth0"]}], ("eth0",)),
            ([{"interfaces": ["eth7"]}], ("eth7",)),
            ([{"interfaces": ["eth7"]}, {"interfaces": ["eth0"]}], ("eth0", "eth7")),
            ([{"interfaces": ["eth0", "nosuch"]}], ("eth0",)),
        ):
            await advertise(**{f"a{i}": {**spec, "nodeSelectors": on(self.NODE)} for i, spec in enumerate(specs)})
            await cluster.until(lambda specs=specs, reached=reached: so(specs, reached), f"{specs}: {reached}")

    async def test_that_no_node_has_are_said_and_nobody_answers(self, cluster: Any, advertise: Advertise) -> None:
        address = await served(cluster, "unwired")
        await advertise(one={"interfaces": ["nosuch"]})
        await comes_to(cluster, address)

        async def said() -> bool:
            return any("nosuch" in each for each in await cluster.events("unwired", "announceFailed"))

        await cluster.until(said, "an event that names it")


SAMPLE = "metallb_speaker_announced"


@pytest.fixture
async def token(cluster: Any) -> AsyncIterator[str]:
    """Of somebody who may read metrics, for as long as the test lasts."""
    rbac = "rbac.authorization.k8s.io"
    kind = {"apiVersion": f"{rbac}/v1", "metadata": {"name": "metrics-reader"}}
    rules = [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": "metrics-reader"}
    subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]
    await cluster.apply(
        {**kind, "kind": "ClusterRole", "rules": rules},
        {**kind, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": subjects},
    )
    yield str(await cluster.kubectl("create", "token", "default")).strip()
    await cluster.kubectl("delete", "clusterrolebinding,clusterrole", "metrics-reader")


async def samples_of(cluster: Any, token: str, address: str) -> dict[str, dict[str, float]]:
    """By node, the samples of its speaker that are about an address."""
    found: dict[str, dict[str, float]] = {}
    for pod in await cluster.items("pods", NAMESPACE, "-l", "component=speaker"):
        node, url = pod["spec"]["nodeName"], f"https://{pod['status'].get('podIP')}:9120/metrics"
        argv = ["curl", "-sk", "--max-time", "5", "-H", f"Authorization: Bearer {token}", url]
        text = (await cluster.lab.run(f"node/{node}", argv)).stdout
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if f'ip="{address}"' in line]
        found[node] = {name.partition("{")[0]: float(value) for name, value in lines}
    return found


class TestMetrics:
    async def test_are_of_the_node_that_announces_and_go_with_the_service(self, cluster: Any, token: str) -> None:
        await cluster.apply(cluster.load_balancer("counted", "web", ipFamilyPolicy="RequireDualStack"))
        addresses = await cluster.until(lambda: cluster.addresses("counted"), "addresses")
        assert len(addresses) == 2

        async def shown(address: str) -> bool:
            node = await cluster.announcer(address)
            samples = await samples_of(cluster, token, address)
            others = [each for name, each in samples.items() if name != node]
            counted = ("layer2_requests_received", "layer2_responses_sent", "layer2_gratuitous_sent")
            mine = samples.get(node, {})
            return (
                mine.get(SAMPLE) == 1
                and all(mine.get(f"metallb_{name}", 0) >= 1 for name in counted)
                and not any(SAMPLE in each for each in others)
            )

        for address in addresses:
            await cluster.until(lambda address=address: shown(address), "the samples of the node that announces")
        await cluster.kubectl("delete", "service", "counted")

        async def gone(address: str) -> bool:
            samples = await samples_of(cluster, token, address)
            return not any(SAMPLE in each for each in samples.values())

        for address in addresses:
            await cluster.until(lambda address=address: gone(address), "no sample")


class TestStrangers:
    """A host on the network that has an address of a pool, and is no node of the cluster."""

    @pytest.fixture
    async def held(self, cluster: Any) -> AsyncIterator[tuple[str, str, str]]:
        """An IPv4 and an IPv6 address of the pools that the client has, and its Ethernet address."""
        four, six = "198.51.100.147", "2001:db8:100::1:b1"
        await cluster.lab.run("client", ["ip", "address", "add", f"{four}/32", "dev", "eth0"])
        await cluster.lab.run("client", ["ip", "address", "add", f"{six}/128", "dev", "eth0", "nodad"])
        mac = (await cluster.lab.run("client", ["cat", "/sys/class/net/eth0/address"])).stdout.strip()
        yield four, six, mac
        for address in (f"{four}/32", f"{six}/128"):
            await cluster.lab.run("client", ["ip", "address", "del", address, "dev", "eth0"], check=False)

    async def condition(self, cluster: Any, service: str) -> dict[str, str]:
        """That a host has the Service's address; empty where there is none."""
        conditions = (await cluster.get("service", service))["status"].get("conditions", [])
        return next((each for each in conditions if each["type"] == "metallb.io/AddressConflict"), {})

    async def nodes(self, cluster: Any, service: str) -> list[str]:
        """Those that its ServiceL2Statuses name."""
        found = await cluster.items("servicel2statuses", NAMESPACE, "-l", f"metallb.io/service-name={service}")
        return [each["status"]["node"] for each in found if each.get("status", {}).get("node")]

    async def shown(self, cluster: Any, token: str, address: str) -> bool:
        """Whether a speaker says that it announces the address."""
        return any(SAMPLE in each for each in (await samples_of(cluster, token, address)).values())

    async def test_keep_new_addresses_until_they_are_gone(
        self, cluster: Any, held: tuple[str, str, str], token: str
    ) -> None:
        *addresses, mac = held
        wanted = cluster.load_balancer("held", "web", ipFamilyPolicy="RequireDualStack")
        wanted["metadata"]["annotations"] = {"metallb.io/loadBalancerIPs": ",".join(addresses)}
        await cluster.apply(wanted)

        async def said() -> bool:
            found = [each for each in await cluster.events("held", "addressConflict") if mac in each and "eth0" in each]
            return all(any(f"{one} is not announced by node" in each for each in found) for one in addresses)

        async def so(*held: str) -> bool:
            """It is said of exactly these addresses that the host has them."""
            condition = await self.condition(cluster, "held")
            message = condition.get("message", "")
            told = {each for each in addresses if f"{each} is not announced by node" in message and mac in message}
            names = [await self.shown(cluster, token, each) for each in addresses]
            announced = len(await self.nodes(cluster, "held")) == any(each not in held for each in addresses)
            return told == set(held) and names == [each not in held for each in addresses] and announced

        await cluster.until(said, "an event about each address")
        await cluster.until(lambda: so(*addresses), "a condition about both, and no node")
        assert not await cluster.events("held", "nodeAssigned"), "nobody has announced it"
        assert await answering(cluster, addresses[0], "node/control-1") <= {mac}
        since = (await self.condition(cluster, "held"))["lastTransitionTime"]
        first, second, *_ = order(cluster, addresses[0])
        await cluster.kubectl("label", "node", first, f"{EXCLUDE}=")

        async def next_one_knows() -> bool:
            return f"not announced by node {second!r}" in (await self.condition(cluster, "held")).get("message", "")

        await cluster.until(next_one_knows, "a condition that names the next node")
        condition = await self.condition(cluster, "held")
        assert (condition["status"], condition["reason"]) == ("True", "AddressHeld")
        assert condition["lastTransitionTime"] == since, "it never went"
        left = list(addresses)
        for address in addresses:
            given_up = f"{address}/{128 if ':' in address else 32}"
            await cluster.lab.run("client", ["ip", "address", "del", given_up, "dev", "eth0"])
            left.remove(address)
            await cluster.until(lambda address=address: cluster.fetch(address), "an answer, once it is free")
            await cluster.until(lambda: so(*left), f"a condition about {left or 'nothing'}, and the other announced")
        await cluster.until(lambda: cluster.events("held", "addressFree"), "an event that says so")
        await cluster.until(lambda: cluster.events("held", "nodeAssigned"), "an event that says so, too")

    async def test_that_come_later_are_said_and_the_service_goes_on(self, cluster: Any) -> None:
        address = await served(cluster, "claimed")
        await cluster.until(lambda: cluster.fetch(address), "an answer")
        mac = "02:66:66:66:66:66"
        frame = ArpPacket(BROADCAST, parse_mac(mac), REPLY, parse_mac(mac), Address.parse(address).value, BROADCAST, 0)
        send = "import socket, sys; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0))\n"
        send += "s.send(bytes.fromhex(sys.argv[1]))"

        async def said() -> bool:
            """Nobody hears the claim while the address moves: it is made again."""
            node = await cluster.announced_by(address)
            await cluster.lab.run("client", [sys.executable, "-c", send, frame.encode().hex()])
            found = await cluster.events("claimed", "addressConflict")
            return any(mac in each and f"node {node!r} announces" in each for each in found)

        await cluster.until(said, "an event of the node that announces")

        async def contested() -> bool:
            """It goes a minute after the host was seen, so that is seen again."""
            await said()
            return (await self.condition(cluster, "claimed")).get("reason") == "AddressContested"

        await cluster.until(contested, "a condition")
        await comes_to(cluster, address, order(cluster, address)[0])
