"""L2Advertisements and BGPAdvertisements, each by itself (spec/crds.md 3, 4, 10.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metallb.api import v1beta1, v1beta1_bgp
from metallb.api.net import BITS, Family, InterfaceName
from metallb.config import communities
from metallb.config.communities import Community
from metallb.config.model import BGPAdvertisement, L2Advertisement, NodePreference
from metallb.config.parsing import Parsed, Problems
from metallb.config.selectors import Selector

L2_KIND = "L2Advertisement"
BGP_KIND = "BGPAdvertisement"

_MIN_WEIGHT = 1
_MAX_WEIGHT = 100
_SHORTEST: Mapping[Family, int] = {4: 1, 6: 0}
_MAX_LOCAL_PREF = (1 << 32) - 1
LENGTH_FIELDS: Mapping[Family, str] = {4: "spec.aggregationLength", 6: "spec.aggregationLengthV6"}
"""Paths of the aggregation lengths."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which pools an advertisement reaches.

    Attributes:
        all_pools: it has neither names nor selectors.
        names: of pools.
        selectors: of pools by their labels, as far as they could be read.
    """

    all_pools: bool
    names: tuple[str, ...]
    selectors: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class ParsedL2Advertisement(Parsed):
    """A layer-2 advertisement, and which pools it reaches."""

    advertisement: L2Advertisement
    target: Target


@dataclass(frozen=True, slots=True)
class WrittenCommunity:
    """An entry of `spec.communities`: what it says if there is no alias of that name.

    Attributes:
        position: in the list.
        text: as written.
        community: the community; None: it is none.
        problem: why it is none.
        may_be_alias: it looks like a name. What has a colon does not: it is refused at once, as a mistyped community
            (spec/crds.md 11, 11.1), unless there is an alias of that name.
    """

    position: int
    text: str
    community: Community | None
    problem: str = ""
    may_be_alias: bool = False


@dataclass(frozen=True, slots=True)
class ParsedBGPAdvertisement(Parsed):
    """A BGP advertisement.

    Attributes:
        advertisement: without its communities: they need the aliases.
        target: which pools it reaches.
        communities: as written.
        all_nodes: it has no node selectors. (Without readable ones it selects no node.)
        lengths: its aggregation lengths by family.
    """

    advertisement: BGPAdvertisement
    target: Target
    communities: tuple[WrittenCommunity, ...]
    all_nodes: bool
    lengths: Mapping[Family, int]

    @property
    def selects_services(self) -> bool:
        """Whether it is for some Services only."""
        return bool(self.advertisement.service_selectors)


def parse_l2_advertisement(resource: v1beta1.L2Advertisement) -> ParsedL2Advertisement:
    """The advertisement as far as it could be read, and what is wrong with it."""
    problems = Problems.of(L2_KIND, resource.metadata)
    spec = resource.spec
    target = _parse_target(spec, problems)
    advertisement = L2Advertisement(
        name=resource.metadata.name,
        node_selectors=problems.parse_selectors("spec.nodeSelectors", spec.node_selectors),
        interfaces=frozenset(map(InterfaceName, spec.interfaces)),
        service_selectors=problems.parse_selectors("spec.serviceSelectors", spec.service_selectors),
        preferences=_parse_preferences(spec.preferred_node_selectors, problems),
    )
    return ParsedL2Advertisement(*problems.head(resource.metadata), advertisement, target)


def parse_bgp_advertisement(resource: v1beta1_bgp.BGPAdvertisement) -> ParsedBGPAdvertisement:
    """The advertisement as far as it could be read, and what is wrong with it."""
    problems = Problems.of(BGP_KIND, resource.metadata)
    spec = resource.spec
    problems.check_unique("spec.communities", spec.communities)
    problems.check_unique("spec.peers", spec.peers)
    problems.check_number("spec.localPref", spec.local_pref, 0, _MAX_LOCAL_PREF)
    target = _parse_target(spec, problems)
    written: dict[Family, int] = {4: spec.aggregation_length, 6: spec.aggregation_length_v6}
    lengths = {family: _parse_length(family, length, spec, problems) for family, length in written.items()}
    advertisement = BGPAdvertisement(
        name=resource.metadata.name,
        aggregation_length=lengths[4],
        aggregation_length_v6=lengths[6],
        local_pref=spec.local_pref,
        node_selectors=problems.parse_selectors("spec.nodeSelectors", spec.node_selectors),
        peers=frozenset(spec.peers),
        service_selectors=problems.parse_selectors("spec.serviceSelectors", spec.service_selectors),
    )
    return ParsedBGPAdvertisement(
        *problems.head(resource.metadata),
        advertisement,
        target,
        tuple(_parse_community(position, text) for position, text in enumerate(spec.communities)),
        all_nodes=not spec.node_selectors,
        lengths=lengths,
    )


def _parse_target(spec: v1beta1.L2AdvertisementSpec | v1beta1_bgp.BGPAdvertisementSpec, problems: Problems) -> Target:
    problems.check_unique("spec.ipAddressPools", spec.ip_address_pools)
    return Target(
        not spec.ip_address_pools and not spec.ip_address_pool_selectors,
        spec.ip_address_pools,
        problems.parse_selectors("spec.ipAddressPoolSelectors", spec.ip_address_pool_selectors),
    )


def _parse_length(family: Family, length: int, spec: v1beta1_bgp.BGPAdvertisementSpec, problems: Problems) -> int:
    """The length that counts: one that can't be is read as that of a single address."""
    path = LENGTH_FIELDS[family]
    if not problems.check_number(path, length, _SHORTEST[family], BITS[family]):
        return BITS[family]
    if spec.service_selectors and length != BITS[family]:
        rule = "aggregates, and serviceSelectors choose single addresses"
        problems.add(path, length, rule, f"set it to {BITS[family]} or remove serviceSelectors")
    return length


def _parse_community(position: int, text: str) -> WrittenCommunity:
    try:
        return WrittenCommunity(position, text, communities.parse(text))
    except ValueError as error:
        return WrittenCommunity(position, text, None, str(error), may_be_alias=":" not in text)


def _parse_preferences(written: tuple[v1beta1.NodePreference, ...], problems: Problems) -> tuple[NodePreference, ...]:
    preferences = []
    for position, each in enumerate(written):
        path = f"spec.preferredNodeSelectors[{position}]"
        problems.check_number(f"{path}.weight", each.weight, _MIN_WEIGHT, _MAX_WEIGHT)
        selector = problems.parse_selector(f"{path}.preference", each.preference)
        if selector is not None:
            preferences.append(NodePreference(each.weight, selector))
    return tuple(preferences)
