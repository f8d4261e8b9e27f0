"""What a speaker makes its configuration from: what concerns its node, what it can do without, and who tells of errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from metallb.api import v1beta1, v1beta1_bgp, v1beta2
from metallb.api.core import Condition, LabelSelector, Namespace, Node, NodeStatus, ObjectMeta, Secret
from metallb.api.net import NodeName
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.state import evaluate
from metallb.kube.client import KubeClient
from metallb.kube.credentials import Credentials
from metallb.kube.errors import ForbiddenError
from metallb.kube.informer import Informer
from metallb.kube.objects import Key
from metallb.kube.resources import NODES
from metallb.speaker.inputs import ConfigInputs
from metallb.speaker.settings import SpeakerSettings

NAMESPACE = "metallb-system"
A, B = map(NodeName, ("node-a", "node-b"))


class World:
    """The caches of a speaker on node-b, filled without an API server."""

    def __init__(self, *, complete: bool = True) -> None:
        client = KubeClient(Credentials("http://127.0.0.1:1"))
        self.nodes = Informer(client, NODES, decoder=msgspec.json.Decoder(Node))
        settings = SpeakerSettings(namespace=NAMESPACE, node_name=B, bgp_type="frr")
        self.inputs = ConfigInputs(client, settings, self.nodes)
        self.version = 0
        self.of: dict[type, Informer[Any]] = {
            v1beta1.IPAddressPool: self.inputs._pools,
            v1beta1.L2Advertisement: self.inputs._l2,
            v1beta1_bgp.BGPAdvertisement: self.inputs._bgp,
            v1beta2.BGPPeer: self.inputs._peers,
            v1beta1_bgp.BFDProfile: self.inputs._bfd,
            v1beta1_bgp.Community: self.inputs._communities,
            Secret: self.inputs._secrets,
            Namespace: self.inputs._namespaces,
            Node: self.nodes,
        }
        if complete:
            for informer in self.of.values():
                informer._replace([], [], "1")

    def put(self, *items: Any) -> None:
        for item in items:
            self.version += 1
            informer = self.of[type(item)]
            metadata = msgspec.structs.replace(item.metadata, resource_version=str(self.version))
            change = informer.store.put(msgspec.structs.replace(item, metadata=metadata))
            assert change is not None
            informer._publish([change])

    def remove(self, item: Any) -> None:
        informer = self.of[type(item)]
        change = informer.store.remove(Key(item.metadata.namespace, item.metadata.name))
        assert change is not None
        informer._publish([change])


def meta(name: str, **rest: Any) -> ObjectMeta:
    return ObjectMeta(name=name, namespace=NAMESPACE, **rest)


def node(name: NodeName, heartbeat: str = "1", **labels: str) -> Node:
    return Node(ObjectMeta(name=name, labels=labels), NodeStatus((Condition("Ready", "True", heartbeat),)))


def pool(name: str = "p", address: str = "10.0.0.0/24", **metadata: Any) -> v1beta1.IPAddressPool:
    spec = v1beta1.IPAddressPoolSpec(addresses=(address,))
    return v1beta1.IPAddressPool(metadata=meta(name, **metadata), spec=spec)


def selecting(**labels: str) -> tuple[LabelSelector, ...]:
    return (LabelSelector(match_labels=labels),) if labels else ()


def peer(name: str, **labels: str) -> v1beta2.BGPPeer:
    spec = v1beta2.BGPPeerSpec(
        my_asn=64500, peer_asn=64501, peer_address="192.0.2.1", node_selectors=selecting(**labels)
    )
    return v1beta2.BGPPeer(metadata=meta(name), spec=spec)


def advertisement(name: str, **labels: str) -> v1beta1_bgp.BGPAdvertisement:
    return v1beta1_bgp.BGPAdvertisement(
        metadata=meta(name), spec=v1beta1_bgp.BGPAdvertisementSpec(node_selectors=selecting(**labels))
    )


L2 = v1beta1.L2Advertisement(metadata=meta("all"))
BFD = v1beta1_bgp.BFDProfile(metadata=meta("fast"))
COMMUNITY = v1beta1_bgp.Community(metadata=meta("c"))
SECRET = Secret(meta("s"))
TENANT = Namespace(ObjectMeta(name="tenant", labels={"a": "b"}))


@pytest.fixture
def world() -> World:
    made = World()
    made.put(node(A, rack="1"), node(B, rack="2"))
    return made


def names(items: Any) -> list[str]:
    return sorted(each.metadata.name for each in items)


class TestReading:
    def test_takes_all_kinds_and_of_peers_what_selects_our_node(self, world: World) -> None:
        world.put(pool(), L2, BFD, COMMUNITY, SECRET, TENANT)
        world.put(peer("ours", rack="2"), peer("everywhere"), peer("theirs", rack="1"))
        world.put(advertisement("ours", rack="2"), advertisement("theirs", rack="1"))
        reading = world.inputs.read()
        snapshot = reading.snapshot
        assert (reading.unread, reading.unreadable) == ((), ())
        assert names(snapshot.peers) == ["everywhere", "ours"]
        assert names(snapshot.bgp_advertisements) == ["ours"]
        assert [names(each) for each in (snapshot.pools, snapshot.l2_advertisements)] == [["p"], ["all"]]
        assert [names(each) for each in (snapshot.bfd_profiles, snapshot.communities)] == [["fast"], ["c"]]
        assert snapshot.secrets is not None
        assert snapshot.secrets.keys() == {"s"}
        assert snapshot.nodes == {A: {"rack": "1"}, B: {"rack": "2"}}
        assert snapshot.namespaces == {"tenant": {"a": "b"}}
        assert snapshot.backend == "frr"

    def test_a_label_brings_a_peer(self, world: World) -> None:
        world.put(peer("theirs", rack="1"))
        assert world.inputs.read().snapshot.peers == []
        world.put(node(B, rack="1"))
        assert names(world.inputs.read().snapshot.peers) == ["theirs"]

    @pytest.mark.parametrize(
        "kind",
        [v1beta1_bgp.BGPAdvertisement, v1beta2.BGPPeer, v1beta1_bgp.BFDProfile, v1beta1_bgp.Community],
        ids=lambda kind: kind.__name__,
    )
    def test_layer_2_goes_on_without_a_kind_of_bgp_that_may_not_be_read(self, kind: type) -> None:
        world = World(complete=False)
        for each, informer in world.of.items():
            if each is kind:
                informer._note(ForbiddenError("GET /x", "no right", code=403))
            else:
                informer._replace([], [], "1")
        world.put(node(B), pool(), L2)
        world.put(*(each for each in (peer("x"), advertisement("x"), BFD, COMMUNITY) if type(each) is not kind))
        reading = world.inputs.read()
        assert reading.unread == (f"{world.of[kind].resource} can't be read: no right",)
        snapshot = reading.snapshot
        left = [snapshot.peers, snapshot.bgp_advertisements, snapshot.bfd_profiles, snapshot.communities]
        assert list(map(list, left)) == [[], [], [], []], "half of it can't be judged"
        config, evaluation = evaluate(reading)
        assert config is not None
        assert len(config.pools[0].l2) == 1
        assert evaluation.unread == reading.unread

    def test_without_secrets_references_to_them_are_not_looked_up(self) -> None:
        world = World(complete=False)
        for each, informer in world.of.items():
            if each is not Secret:
                informer._replace([], [], "1")
        world.put(node(B), peer("x"))
        reading = world.inputs.read()
        assert reading.snapshot.secrets is None
        assert names(reading.snapshot.peers) == ["x"]
        assert reading.unread == ("secrets are not read yet",)

    def test_without_our_node_nothing_is_taken_that_selects_nodes(self, world: World) -> None:
        world.put(peer("everywhere"), advertisement("all"), pool())
        world.remove(node(B))
        reading = world.inputs.read()
        assert (list(reading.snapshot.peers), list(reading.snapshot.bgp_advertisements)) == ([], [])
        assert names(reading.snapshot.pools) == ["p"]
        assert len(reading.unread) == 1
        assert "node-b" in reading.unread[0]


class TestAnotherLook:
    """Whatever an error may wait for is a reason to look again, and what no rule looks at is none."""

    @pytest.mark.parametrize(
        ("before", "after", "looks"),
        [
            pytest.param((), (SECRET,), True, id="a secret"),
            pytest.param((), (BFD,), True, id="a BFD profile"),
            pytest.param((), (COMMUNITY,), True, id="a community"),
            pytest.param((), (peer("x"),), True, id="a peer"),
            pytest.param((), (advertisement("x"),), True, id="a BGP advertisement"),
            pytest.param((), (L2,), True, id="a layer-2 advertisement"),
            pytest.param((), (pool(),), True, id="a pool"),
            pytest.param((), (TENANT,), True, id="a namespace"),
            pytest.param((), (node(A),), True, id="a node"),
            pytest.param((SECRET,), (msgspec.structs.replace(SECRET, type="x"),), True, id="a secret that changes"),
            pytest.param((pool(),), (pool(generation=2),), True, id="a pool's spec"),
            pytest.param((pool(),), (pool(labels={"a": "b"}),), True, id="a pool's label"),
            pytest.param((pool(),), (pool(annotations={"a": "b"}),), False, id="a pool's counters or notes"),
            pytest.param((pool(),), (pool(annotations={"metallb.io/spread": "true"}),), True, id="a pool's terms"),
            pytest.param((node(A),), (node(A, rack="3"),), True, id="a node's label"),
            pytest.param((node(A),), (node(A, "2"),), False, id="a node's state"),
            pytest.param((TENANT,), (Namespace(ObjectMeta(name="tenant")),), True, id="a namespace's label"),
            pytest.param(
                (TENANT,),
                (Namespace(ObjectMeta(name="tenant", labels={"a": "b"}, annotations={"c": "d"})),),
                False,
                id="a namespace's notes",
            ),
        ],
    )
    def test_comes_with(self, before: Any, after: Any, looks: bool) -> None:  # noqa: FBT001  # a column
        world, calls = World(), list[int]()
        world.put(*before)
        world.inputs.subscribe(lambda *_cause: calls.append(1))
        calls.clear()
        world.put(*after)
        assert bool(calls) is looks

    @pytest.mark.parametrize("gone", [SECRET, BFD, COMMUNITY, L2, pool(), peer("x"), TENANT, node(A)])
    def test_comes_when_it_goes(self, gone: Any) -> None:
        world, calls = World(), list[int]()
        world.put(gone)
        world.inputs.subscribe(lambda *_cause: calls.append(1))
        calls.clear()
        world.remove(gone)
        assert calls

    def test_comes_when_a_right_comes(self, world: World) -> None:
        calls = list[int]()
        informer = world.inputs._peers
        informer._note(ForbiddenError("GET /x", "no right", code=403))
        world.inputs.subscribe(lambda *_cause: calls.append(1))
        calls.clear()
        informer._note(None)
        assert calls


class TestTelling:
    @pytest.fixture
    def told(self, world: World) -> Callable[..., str]:
        """The name of the object that this node tells of, or nothing."""

        def ask(error: ConfigError, *live: NodeName) -> str:
            found = world.inputs.to_be_told(error, frozenset(live))
            return found.name if found else ""

        return ask

    def test_of_a_pool_is_the_controllers(self, world: World, told: Callable[..., str]) -> None:
        world.put(pool("p", "10.0.0.0/33"))
        (error,) = evaluate(world.inputs.read())[1].errors
        assert told(error, B) == ""

    def test_of_a_pool_that_does_not_decode_too(self, world: World, told: Callable[..., str]) -> None:
        world.inputs._pools.unreadable[Key(NAMESPACE, "p")] = "Expected `int`"
        (error,) = world.inputs.read().unreadable
        assert told(error, B) == ""

    def test_of_what_only_speakers_read_is_one_speakers(self, world: World, told: Callable[..., str]) -> None:
        world.put(
            v1beta1.L2Advertisement(metadata=meta("l"), spec=v1beta1.L2AdvertisementSpec(ip_address_pools=("p", "p")))
        )
        (error,) = evaluate(world.inputs.read())[1].errors
        assert told(error, A, B) == ""
        assert told(error, B) == "l"
        assert told(error) == "l", "nobody is ready yet, so we have to"

    def test_of_a_pool_that_conflicts_with_what_only_speakers_read_is_one_speakers(
        self, world: World, told: Callable[..., str]
    ) -> None:
        world.put(pool())
        name = ObjectName("IPAddressPool", NAMESPACE, "p")
        assert told(ConfigError(name, "spec.addresses", "x", "does not go with an advertisement"), B) == "p"

    def test_of_a_peer_is_for_nodes_that_it_selects(self, world: World, told: Callable[..., str]) -> None:
        world.put(peer("ours", rack="2"))
        error = ConfigError(ObjectName("BGPPeer", NAMESPACE, "ours"), "spec.x", "x", "is wrong")
        assert told(error, A, B) == "ours"
