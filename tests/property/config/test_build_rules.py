"""What holds for all configurations: one verdict in any order, the pairwise rules as they are defined, no crash."""

from __future__ import annotations

import ipaddress
import itertools
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from metallb.api import v1beta1, v1beta1_bgp, v1beta2
from metallb.api.core import LabelSelector, ObjectMeta, Secret
from metallb.api.net import Address, Range
from metallb.config.advertisements import ParsedBGPAdvertisement, Target
from metallb.config.backends import Backend
from metallb.config.bfd import ParsedBFDProfile
from metallb.config.build import Build, Snapshot, build, for_node
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.parsing import Parsed
from metallb.config.peers import ParsedPeer
from metallb.config.pools import ParsedPool
from metallb.config.selectors import any_matches
from metallb.config.together import Together, parse

BACKENDS: tuple[Backend, ...] = ("native", "frr", "frr-k8s")
HOST = "kubernetes.io/hostname"
NODES = {name: {HOST: name, "rack": rack} for name, rack in (("n1", "r1"), ("n2", "r1"), ("n3", "r2"))}

created = st.sampled_from([None, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"])
labels = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=2)


def metadata(name: str) -> st.SearchStrategy[ObjectMeta]:
    return st.builds(
        ObjectMeta, name=st.just(name), namespace=st.just("metallb-system"), creation_timestamp=created, labels=labels
    )


def some(options: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(options, max_size=most, unique_by=repr).map(tuple)


by_label = labels.map(lambda each: LabelSelector(match_labels=each))
on_nodes = some(
    st.sampled_from(
        [LabelSelector(match_labels={HOST: name}) for name in (*NODES, "gone")]
        + [LabelSelector(match_labels={"rack": "r1"}), LabelSelector()]
    )
)
addresses = st.sampled_from(
    ["10.0.0.0/24", "10.0.0.128/25", "10.0.1.0-10.0.1.9", "10.0.2.0/26", "10.0.3.0/26", "fc00::/64", "fc00:1::/112"]
)
target = {
    "ip_address_pools": some(st.sampled_from(["pool0", "pool1", "gone"])),
    "ip_address_pool_selectors": some(by_label),
}
kinds: dict[str, tuple[str, int, Any, st.SearchStrategy[Any]]] = {
    "pools": (
        "pool",
        3,
        v1beta1.IPAddressPool,
        st.builds(v1beta1.IPAddressPoolSpec, addresses=st.lists(addresses, min_size=1, max_size=2).map(tuple)),
    ),
    "l2_advertisements": ("l2", 2, v1beta1.L2Advertisement, st.builds(v1beta1.L2AdvertisementSpec, **target)),
    "bgp_advertisements": (
        "bgp",
        3,
        v1beta1_bgp.BGPAdvertisement,
        st.builds(
            v1beta1_bgp.BGPAdvertisementSpec,
            aggregation_length=st.sampled_from([32, 25, 24]),
            aggregation_length_v6=st.sampled_from([128, 64]),
            local_pref=st.sampled_from([0, 100]),
            communities=some(st.sampled_from(["vpn", "1:2", "large:1:2:3", "1:2:3"]), 1),
            node_selectors=on_nodes,
            peers=some(st.sampled_from(["peer0", "peer1", "gone"])),
            **target,
        ),
    ),
    "peers": (
        "peer",
        3,
        v1beta2.BGPPeer,
        st.builds(
            v1beta2.BGPPeerSpec,
            my_asn=st.sampled_from([64500, 64501]),
            peer_asn=st.just(64510),
            peer_address=st.sampled_from(["192.0.2.1", "192.0.2.2", "fc00::1"]),
            router_id=st.sampled_from(["", "1.1.1.1"]),
            vrf=st.sampled_from(["", "", "red"]),
            bfd_profile=st.sampled_from(["", "bfd0", "gone"]),
            node_selectors=on_nodes,
        ),
    ),
    "bfd_profiles": (
        "bfd",
        1,
        v1beta1_bgp.BFDProfile,
        st.builds(v1beta1_bgp.BFDProfileSpec, echo_mode=st.booleans()),
    ),
    "communities": (
        "names",
        2,
        v1beta1_bgp.Community,
        st.builds(
            v1beta1_bgp.CommunitySpec,
            communities=some(
                st.builds(
                    v1beta1_bgp.CommunityAlias,
                    name=st.sampled_from(["vpn", "other"]),
                    value=st.sampled_from(["1:3", "large:9:9:9", "x"]),
                )
            ),
        ),
    ),
}


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    fields = {}
    for field, (prefix, most, kind, spec) in kinds.items():
        count = draw(st.integers(0, most))
        fields[field] = [kind(metadata=draw(metadata(f"{prefix}{n}")), spec=draw(spec)) for n in range(count)]
    nodes = draw(st.sampled_from([NODES, NODES, None, {}]))
    return Snapshot(**fields, nodes=nodes, backend=draw(st.sampled_from(BACKENDS)))


def parsed(snapshot: Snapshot) -> list[Any]:
    return [parse(each, snapshot.namespaces, snapshot.backend) for each in snapshot.resources()]


@settings(max_examples=50)
@given(snapshots(), st.data())
def test_the_order_of_objects_means_nothing(snapshot: Snapshot, data: st.DataObject) -> None:
    shuffled = {field: data.draw(st.permutations(getattr(snapshot, field))) for field in kinds}
    nodes = snapshot.nodes and dict(data.draw(st.permutations(list(snapshot.nodes.items()))))
    built = build(snapshot)
    assert build(Snapshot(**shuffled, nodes=nodes, backend=snapshot.backend)) == built
    assert (built.config is None) is bool(built.errors)
    assert list(built.errors) == sorted(set(built.errors))


@settings(max_examples=50)
@given(snapshots())
def test_the_youngest_of_those_in_conflict_is_blamed(snapshot: Snapshot) -> None:
    ages = {each.object: each.seniority for each in parsed(snapshot)}
    for error in build(snapshot).errors:
        assert all(ages[other] < ages[error.object] for other in error.others)


@settings(max_examples=50)
@given(snapshots(), st.data())
def test_an_object_is_judged_alone_as_in_the_whole(snapshot: Snapshot, data: st.DataObject) -> None:
    """What is kept from change to change gives the verdict of a build in which that object is the youngest."""
    objects = parsed(snapshot)
    together = Together(snapshot.nodes, snapshot.backend)
    gone = data.draw(st.permutations(objects))[data.draw(st.integers(0, len(objects) // 2)) :]
    for each in objects:
        together.put(each)
    for each in gone:
        together.remove(each)
    for each in data.draw(st.permutations(gone)):
        together.put(each)
    for each in objects:
        alone = [*each.errors, *together.check(each), *together.check_references(each, None)]
        whole = build(snapshot, youngest=each.object).errors
        assert sorted(alone) == [error for error in whole if error.object == each.object]


class Conflict(NamedTuple):
    """A broken rule as the specification defines it: between these objects."""

    rule: str
    members: frozenset[ObjectName]


class Definitions:
    """The rules about several objects, each as a look at every pair or group."""

    def __init__(self, snapshot: Snapshot) -> None:
        objects = parsed(snapshot)
        self.nodes = snapshot.nodes
        self.backend = snapshot.backend
        self.pools = [each for each in objects if isinstance(each, ParsedPool)]
        self.routes = [each for each in objects if isinstance(each, ParsedBGPAdvertisement)]
        self.peers = [each for each in objects if isinstance(each, ParsedPeer)]
        self.echoes = [each for each in objects if isinstance(each, ParsedBFDProfile) and each.profile.echo_mode]

    def conflicts(self) -> set[Conflict]:
        found = set(self.overlaps()) | set(self.lengths()) | set(self.preferences())
        found |= set(self.ipv6() if self.backend == "native" else self.neighbors())
        return found

    def overlaps(self) -> Iterator[Conflict]:
        for one, other in itertools.combinations(self.pools, 2):
            if any(a.overlaps(b) for a in one.pool.ranges for b in other.pool.ranges):
                yield conflict("overlaps", one, other)

    def lengths(self) -> Iterator[Conflict]:
        for route, pool in self.reached():
            if any(route.lengths[each.family] < shortest(each) for each in pool.pool.ranges):
                yield conflict("lengths", route, pool)

    def ipv6(self) -> Iterator[Conflict]:
        for route, pool in self.reached():
            if any(each.family == 6 for each in pool.pool.ranges):
                yield conflict("ipv6", route, pool)

    def preferences(self) -> Iterator[Conflict]:
        for one, other in itertools.combinations(self.routes, 2):
            a, b = one.advertisement, other.advertisement
            apart = a.peers and b.peers and not a.peers & b.peers
            if a.local_pref == b.local_pref or apart or not self.share_a_node(one, other):
                continue
            for pool in self.pools:
                families = {each.family for each in pool.pool.ranges}
                same = any(one.lengths[family] == other.lengths[family] for family in families)
                if same and reaches(one.target, pool) and reaches(other.target, pool):
                    # Two older objects need not change because of a younger pool, nor name it.
                    youngest = max((one, other, pool), key=lambda each: each.seniority)
                    yield conflict("preferences", one, other, *([pool] if youngest is pool else []))

    def share_a_node(self, one: ParsedBGPAdvertisement, other: ParsedBGPAdvertisement) -> bool:
        a, b = one.advertisement, other.advertisement
        if self.nodes:
            return any(a.selects_node(labels) and b.selects_node(labels) for labels in self.nodes.values())
        everything = [
            not each or any(not s.requirements for s in each) for each in (a.node_selectors, b.node_selectors)
        ]
        return any(everything) or bool({*a.node_selectors} & {*b.node_selectors})

    def neighbors(self) -> Iterator[Conflict]:
        for one, other in itertools.combinations(self.peers, 2):
            a, b = one.peer, other.peer
            known = (self.nodes or {"any": None}).values()
            if not any(each is None or (a.selects_node(each) and b.selects_node(each)) for each in known):
                continue
            if a.router_id != b.router_id:
                yield conflict("router ID", one, other)
            if (a.address, a.interface, a.vrf) == (b.address, b.interface, b.vrf):
                yield conflict("router", one, other)
            if a.vrf == b.vrf and a.my_asn != b.my_asn:
                yield conflict("AS number", one, other)

    def echoing(self) -> set[ObjectName]:
        """The youngest of each four that bring BFD echo and IPv6 together."""
        return {
            max((profile, peer, route, pool), key=lambda each: each.seniority).object
            for profile, peer in itertools.product(self.echoes, self.peers)
            if peer.peer.bfd_profile == profile.profile.name
            for route, pool in self.reached()
            if route.advertisement.selects_peer(peer.peer.name) and any(each.family == 6 for each in pool.pool.ranges)
        }

    def reached(self) -> Iterator[tuple[ParsedBGPAdvertisement, ParsedPool]]:
        return ((a, b) for a in self.routes for b in self.pools if reaches(a.target, b))


def conflict(rule: str, *members: Parsed) -> Conflict:
    return Conflict(rule, frozenset(each.object for each in members))


def reaches(target: Target, pool: ParsedPool) -> bool:
    return target.all_pools or pool.pool.name in target.names or any_matches(target.selectors, pool.labels)


def shortest(addresses: Range) -> int:
    ends = [ipaddress.ip_address(str(Address(addresses.family, each))) for each in (addresses.first, addresses.last)]
    return min(each.prefixlen for each in ipaddress.summarize_address_range(*ends))  # type: ignore[type-var]


PHRASES = {
    "overlaps": ("overlaps",),
    "lengths": ("is wider than", "has no block as wide as"),
    "preferences": ("for the same blocks, peers and nodes",),
    "ipv6": ("can't announce IPv6 by BGP",),
    "router ID": ("has one router ID on a node",),
    "router": ("has one session with it on a node",),
    "AS number": ("has one AS number of its own in a VRF of a node",),
    "echo": ("BFD echo packets",),
}


def rule_of(error: ConfigError) -> str:
    found = [rule for rule, phrases in PHRASES.items() if any(phrase in error.rule for phrase in phrases)]
    return found[0] if len(found) == 1 else ""


@settings(max_examples=50)
@given(snapshots())
def test_rules_about_several_objects_are_as_defined_pair_by_pair(snapshot: Snapshot) -> None:
    defined = Definitions(snapshot)
    told = [(rule_of(error), error) for error in build(snapshot).errors if error.others]
    found = {
        Conflict(rule, frozenset({error.object, *error.others})) for rule, error in told if rule not in {"", "echo"}
    }
    assert found == defined.conflicts()
    assert {error.object for rule, error in told if rule == "echo"} == defined.echoing()
    assert {error.object.kind for rule, error in told if not rule} <= {"Community"}


@settings(max_examples=50)
@given(snapshots(), st.sampled_from(list(NODES)))
def test_a_speaker_looks_at_what_selects_its_node(snapshot: Snapshot, node: str) -> None:
    seen = for_node(snapshot, NODES[node])
    whole, part = build(snapshot), build(seen)
    kept = {each.metadata.name for each in (*seen.peers, *seen.bgp_advertisements)}
    for each in parsed(snapshot):
        if isinstance(each, ParsedPeer):
            assert (each.peer.name in kept) is each.peer.selects_node(NODES[node])
        if isinstance(each, ParsedBGPAdvertisement):
            assert (each.advertisement.name in kept) is each.advertisement.selects_node(NODES[node])
    assert part.config is not None or whole.config is None


def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, whatever its constraints say: as a client without a schema may write them."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return anything(arguments[0])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, **{f.name: anything(f.type) for f in msgspec.structs.fields(kind)})
    return {
        tuple: lambda: st.lists(anything(arguments[0]), max_size=3).map(tuple),
        dict: lambda: st.dictionaries(anything(arguments[0]), anything(arguments[1]), max_size=2),
        typing.Union: lambda: st.one_of(*map(anything, arguments)),
        types.UnionType: lambda: st.one_of(*map(anything, arguments)),
        Literal: lambda: texts,
        str: lambda: texts,
        int: lambda: numbers,
        bool: st.booleans,
        bytes: lambda: st.binary(max_size=3),
        type(None): st.none,
    }[origin or kind]()


texts = st.text(max_size=12) | st.sampled_from(
    [
        *("", "pool", "10.0.0.0/8", "10.0.0.1-fc00::1", "::/0", "192.0.2.1", "1:2", "large:1:2:3", "90s", "-1h", "0"),
        *("In", "Exists", "a", "1m30s", "\ud800", "fe80::1%x", "kubernetes.io/basic-auth"),
        *("9" * 5000, "10.0.0.0/" + "9" * 5000, "1:" + "9" * 5000, "9" * 100 + "s"),
    ]
)
numbers = st.integers() | st.sampled_from([0, 1, 32, 128, 64500])


def objects_of(kind: type[Any]) -> st.SearchStrategy[list[Any]]:
    fields = {f.name: anything(f.type) for f in msgspec.structs.fields(kind) if f.name != "status"}
    return st.lists(st.builds(kind, **fields), max_size=2)


wild = st.builds(
    Snapshot,
    **{field: objects_of(kind) for field, (_, _, kind, _) in kinds.items()},
    namespaces=st.dictionaries(texts, st.dictionaries(texts, texts, max_size=1), max_size=2),
    nodes=st.none() | st.dictionaries(texts, st.dictionaries(texts, texts, max_size=1), max_size=2),
    secrets=st.none() | st.dictionaries(texts, anything(Secret), max_size=2),
    backend=st.sampled_from(BACKENDS),
)


@settings(max_examples=50)
@given(wild)
def test_nothing_that_is_written_crashes_a_build(snapshot: Snapshot) -> None:
    built = build(snapshot)
    assert isinstance(built, Build)
    assert (built.config is None) is bool(built.errors)
    for error in built.errors:
        assert error.rule
        assert error.field
        assert str(error).startswith(f"{error.object.kind} ")
    for_node(snapshot, {})
