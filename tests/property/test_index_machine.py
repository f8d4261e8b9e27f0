"""Whatever happened before, the index judges a change as two builds of everything do; valid sets come in any order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from metallb.api.core import Node, Secret, Service
from metallb.api.net import ServiceKey
from metallb.api.v1beta1 import IPAddressPool, L2Advertisement
from metallb.api.v1beta1_bgp import BFDProfile, BGPAdvertisement, Community
from metallb.api.v1beta2 import BGPPeer
from metallb.config.build import Snapshot, build
from metallb.config.change import FIELDS, Change, Verdict
from metallb.config.errors import ObjectName
from metallb.config.index import Index
from metallb.config.judging import NAMESPACE, judge, refuses
from metallb.config.surroundings import NodeFacts, ServiceFacts, Surroundings

MODELS: Mapping[str, Any] = {
    "IPAddressPool": IPAddressPool,
    "L2Advertisement": L2Advertisement,
    "BGPAdvertisement": BGPAdvertisement,
    "BGPPeer": BGPPeer,
    "BFDProfile": BFDProfile,
    "Community": Community,
}
BACKENDS = st.sampled_from(["native", "frr", "frr-k8s"])


def some(*values: Any, most: int = 2) -> st.SearchStrategy[list[Any]]:
    """Mostly none, seldom the same twice."""
    return st.one_of(st.just([]), st.lists(st.sampled_from(values), max_size=most))


def mostly(good: Any, *bad: Any) -> st.SearchStrategy[Any]:
    """One of the good values, once in a while a bad one: what is between objects shows where each is right by itself."""
    return st.integers(0, 11).flatmap(lambda draw: st.sampled_from(bad if draw == 0 else good))


def spec(required: Mapping[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict(required), optional=optional)


LABELS = st.sampled_from([{}, {"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": "1", "b": "1"}])
SELECTOR = mostly(
    [
        {},
        {"matchLabels": {"a": "1"}},
        {"matchLabels": {"a": "2"}},
        {"matchExpressions": [{"key": "b", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]},
        {"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]},
        {"matchExpressions": [{"key": "c", "operator": "In", "values": ["1"]}]},
    ],
    {"matchExpressions": [{"key": "a", "operator": "In"}]},
)
SELECTORS = st.one_of(st.just([]), st.just([]), st.lists(SELECTOR, min_size=1, max_size=2))
ADDRESSES = st.lists(
    mostly(
        [
            "10.0.0.0/24",
            "10.0.0.0/30",
            "10.0.0.8-10.0.0.40",
            "10.0.1.0/24",
            "10.0.2.0/28",
            "10.0.3.5-10.0.3.9",
            "2001:db8::/64",
            "2001:db8:1::/120",
        ],
        "nonsense",
    ),
    min_size=1,
    max_size=2,
    unique=True,
)
REACH = {
    "ipAddressPools": some("p0", "p1", "p2"),
    "ipAddressPoolSelectors": SELECTORS,
    "nodeSelectors": SELECTORS,
    "serviceSelectors": st.one_of(st.just([]), st.just([{"matchLabels": {"a": "1"}}])),
}
SPECS: Mapping[str, st.SearchStrategy[dict[str, Any]]] = {
    "IPAddressPool": spec(
        {"addresses": ADDRESSES},
        avoidBuggyIPs=st.booleans(),
        serviceAllocation=spec(
            {}, namespaces=some("shop", "gone"), namespaceSelectors=SELECTORS, serviceSelectors=SELECTORS
        ),
    ),
    "L2Advertisement": spec(
        {},
        **REACH,
        preferredNodeSelectors=st.lists(
            st.fixed_dictionaries({"weight": st.integers(1, 3), "preference": SELECTOR}), max_size=2
        ),
    ),
    "BGPAdvertisement": spec(
        {},
        **REACH,
        aggregationLength=st.sampled_from([32, 30, 24, 16]),
        aggregationLengthV6=st.sampled_from([128, 64, 32]),
        localPref=st.sampled_from([0, 100]),
        communities=some("1:2", "vpn", "x", "9:99999", "large:1:2:3", "1:2:3"),
        peers=some("r0", "r1", "r2"),
    ),
    "BGPPeer": spec(
        {
            "myASN": mostly([64500, 64500, 64501], 0),
            "peerASN": st.just(64510),
            "peerAddress": mostly(["192.0.2.1", "192.0.2.2", "2001:db8::1"], "", "nope"),
            "nodeSelectors": SELECTORS,
        },
        interface=mostly([""], "eth0"),
        routerID=mostly(["192.0.2.9"], "192.0.2.10"),
        bfdProfile=st.sampled_from(["", "f0", "f1"]),
        vrf=st.sampled_from(["", "red"]),
        passwordSecret=st.fixed_dictionaries({"name": st.sampled_from(["s0", "s1"])}),
        disableMP=mostly([False], True),
        holdTime=mostly(["90s", "0s"], "2s", "x"),
    ),
    "BFDProfile": spec({}, echoMode=st.booleans(), detectMultiplier=st.sampled_from([3, 5])),
    "Community": spec(
        {},
        communities=st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["vpn", "x", "9:99999", "1:2:3"]), "value": mostly(["1:2"], "x:1")}
            ),
            max_size=2,
            unique_by=lambda alias: alias["name"],
        ),
    ),
}
PREFIX = {
    "IPAddressPool": "p",
    "L2Advertisement": "l",
    "BGPAdvertisement": "b",
    "BGPPeer": "r",
    "BFDProfile": "f",
    "Community": "c",
}


@st.composite
def resources(draw: st.DrawFn, namespaces: tuple[str, ...] = (NAMESPACE,)) -> Any:
    kind = draw(st.sampled_from(sorted(SPECS)))
    metadata = {
        "name": f"{PREFIX[kind]}{draw(st.integers(0, 2))}",
        "namespace": draw(st.sampled_from(namespaces)),
        "labels": draw(LABELS),
        "creationTimestamp": draw(st.sampled_from([None, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])),
    }
    return msgspec.convert({"metadata": metadata, "spec": draw(SPECS[kind])}, MODELS[kind])


def name_of(resource: Any) -> ObjectName:
    return ObjectName(type(resource).__name__, resource.metadata.namespace, resource.metadata.name)


def snapshot_of(objects: Mapping[ObjectName, Any], **rest: Any) -> Snapshot:
    fields: dict[str, Any] = {
        field: [each for name, each in objects.items() if name.kind == kind] for kind, field in FIELDS.items()
    }
    return Snapshot(**fields, **rest)


class Followed(RuleBasedStateMachine):
    """An index that is told of every event, beside what really is there."""

    @initialize(backend=BACKENDS)
    def start(self, backend: Any) -> None:
        self.backend = backend
        self.index = Index(backend, reads_secrets=True)
        self.objects: dict[ObjectName, Any] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.nodes: dict[str, Node] = {}
        self.services: dict[ServiceKey, Service] = {}
        self.secrets: dict[str, Secret] = {}

    def from_scratch(self, change: Change) -> Verdict:
        surroundings = Surroundings(
            {name: NodeFacts.of(node) for name, node in self.nodes.items()},
            {key: ServiceFacts.of(service) for key, service in self.services.items()},
            self.secrets,
        )
        return judge(self.snapshot(self.objects), surroundings, change)

    @rule(resource=resources((NAMESPACE, NAMESPACE, NAMESPACE, "other")), stale=st.booleans(), force=st.booleans())
    def ask_for(self, resource: Any, *, stale: bool, force: bool) -> None:
        """An object is created or changed; sometimes it gets in whatever is wrong with it."""
        name = name_of(resource)
        before = None if stale else self.objects.get(name)
        self.decide(Change(*name, before, resource), force=force)

    @rule(draw=st.data(), force=st.booleans())
    def ask_to_delete(self, draw: st.DataObject, *, force: bool) -> None:
        if self.objects:
            name = draw.draw(st.sampled_from(sorted(self.objects)))
            self.decide(Change(*name, self.objects[name], None), force=force)

    def is_bad(self, objects: Mapping[ObjectName, Any]) -> bool:
        """Whether processes would find more in the whole set than what only waits."""
        return any(map(refuses, build(self.snapshot(objects)).errors))

    def snapshot(self, objects: Mapping[ObjectName, Any]) -> Snapshot:
        labels = {name: node.metadata.labels for name, node in self.nodes.items()}
        return snapshot_of(objects, namespaces=self.namespaces, nodes=labels, backend=self.backend)

    def decide(self, change: Change, *, force: bool) -> None:
        verdict = self.index.judge(change)
        assert verdict == self.from_scratch(change)
        assert verdict == self.index.judge(change), "judging changes nothing"
        if change.after is not None and change.namespace == NAMESPACE and not self.is_bad(self.objects):
            assert verdict.allowed is not self.is_bad(self.objects | {change.object: change.after})
        event(f"{change.kind} {'refused' if verdict.errors else 'warned' if verdict.warnings else 'accepted'}")
        if (verdict.allowed or force) and change.namespace == NAMESPACE:
            if change.after is None:
                del self.objects[change.object]
                self.index.remove(*change.object)
            else:
                self.objects[change.object] = change.after
                self.index.put(change.after)

    @rule(name=st.sampled_from(["shop", "lab"]), labels=LABELS, there=st.booleans())
    def change_namespace(self, name: str, labels: dict[str, str], *, there: bool) -> None:
        if there:
            self.namespaces[name] = labels
            self.index.put_namespace(name, labels)
        else:
            self.namespaces.pop(name, None)
            self.index.remove_namespace(name)

    @rule(number=st.integers(0, 2), labels=LABELS, there=st.booleans())
    def change_node(self, number: int, labels: dict[str, str], *, there: bool) -> None:
        name = f"n{number}"
        if there:
            written = {
                "metadata": {"name": name, "labels": labels},
                "spec": {"podCIDRs": [f"10.0.{number}.0/26"]},
                "status": {"addresses": [{"type": "InternalIP", "address": f"10.0.0.{number}"}]},
            }
            self.nodes[name] = msgspec.convert(written, Node)
            self.index.put_node(self.nodes[name])
        else:
            self.nodes.pop(name, None)
            self.index.remove_node(name)

    @rule(
        number=st.integers(0, 2),
        labels=LABELS,
        held=some("10.0.0.1", "10.0.0.9", "10.0.1.0", "2001:db8::5"),
        there=st.booleans(),
    )
    def change_service(self, number: int, labels: dict[str, str], held: list[str], *, there: bool) -> None:
        key = ServiceKey("shop", f"s{number}")
        if there:
            written = {
                "metadata": {"name": key.name, "namespace": key.namespace, "labels": labels},
                "spec": {"type": "LoadBalancer", "clusterIPs": [f"10.0.2.{number}"]},
                "status": {"loadBalancer": {"ingress": [{"ip": each} for each in held]}},
            }
            self.services[key] = msgspec.convert(written, Service)
            self.index.put_service(self.services[key])
        else:
            self.services.pop(key, None)
            self.index.remove_service(key)

    @rule(number=st.integers(0, 1), good=st.booleans(), there=st.booleans())
    def change_secret(self, number: int, *, good: bool, there: bool) -> None:
        name = f"s{number}"
        if there:
            written = {"metadata": {"name": name, "namespace": NAMESPACE}, "type": "kubernetes.io/basic-auth"}
            self.secrets[name] = msgspec.convert(written | {"data": {"password": b""} if good else {}}, Secret)
            self.index.put_secret(self.secrets[name])
        else:
            self.secrets.pop(name, None)
            self.index.remove_secret(NAMESPACE, name)


TestFollowed = Followed.TestCase
TestFollowed.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def admit(order: list[Any], backend: Any) -> list[tuple[ObjectName, Verdict]]:
    """Creates objects one after another, as far as they are allowed."""
    index = Index(backend)
    verdicts = []
    for resource in order:
        name = name_of(resource)
        verdict = index.judge(Change(*name, None, resource))
        verdicts.append((name, verdict))
        if verdict.allowed:
            index.put(resource)
    return verdicts


@settings(deadline=None, max_examples=150)
@given(st.lists(resources(), max_size=8, unique_by=name_of), BACKENDS, st.randoms(use_true_random=False))
def test_a_valid_set_is_accepted_in_every_order_and_of_one_in_conflict_a_later_object_is_refused(
    objects: list[Any], backend: Any, chance: Any
) -> None:
    errors = build(snapshot_of({name_of(each): each for each in objects}, backend=backend)).errors
    valid = all(error.transient for error in errors)
    order = list(objects)
    chance.shuffle(order)
    verdicts = admit(order, backend)
    if not valid:
        assert not all(verdict.allowed for _, verdict in verdicts)
    elif not any(map(has_colon_name, objects)):
        assert all(verdict.allowed for _, verdict in verdicts)
    admitted: set[ObjectName] = set()
    for name, verdict in verdicts:
        for error in verdict.errors:
            assert error.object == name, "the object that is asked for is to blame"
            assert admitted.issuperset(set(error.others) - {name}), "it is in conflict with earlier ones"
        if verdict.allowed:
            admitted.add(name)


def has_colon_name(resource: Any) -> bool:
    """Whether it uses an alias that looks like a community: that has to be there first (spec/crds.md 11)."""
    return isinstance(resource, BGPAdvertisement) and not {"9:99999", "1:2:3"}.isdisjoint(resource.spec.communities)
