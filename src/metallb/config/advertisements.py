"""L2Advertisements: which pools they reach, and how those are announced (spec/crds.md 3, 10.6)."""

from __future__ import annotations

from dataclasses import dataclass

from metallb.api import v1beta1
from metallb.api.net import InterfaceName
from metallb.config.errors import ConfigError
from metallb.config.model import L2Advertisement, NodePreference
from metallb.config.parsing import Problems
from metallb.config.selectors import Labels, Selector, any_matches

_MIN_WEIGHT = 1
_MAX_WEIGHT = 100


@dataclass(frozen=True, slots=True)
class ParsedL2Advertisement:
    """An advertisement, and which pools it reaches: without names and selectors, all."""

    advertisement: L2Advertisement
    pools: frozenset[str]
    pool_selectors: tuple[Selector, ...]

    def reaches(self, pool: str, labels: Labels) -> bool:
        """Whether it is for the pool of this name and these labels."""
        if not self.pools and not self.pool_selectors:
            return True
        return pool in self.pools or any_matches(self.pool_selectors, labels)


def parse_l2_advertisement(resource: v1beta1.L2Advertisement) -> tuple[ParsedL2Advertisement, list[ConfigError]]:
    """The advertisement as far as it could be read, and what is wrong with it."""
    problems = Problems.of("L2Advertisement", resource.metadata)
    spec = resource.spec
    problems.check_unique("spec.ipAddressPools", spec.ip_address_pools)
    parsed = ParsedL2Advertisement(
        advertisement=L2Advertisement(
            name=resource.metadata.name,
            node_selectors=problems.parse_selectors("spec.nodeSelectors", spec.node_selectors),
            interfaces=frozenset(map(InterfaceName, spec.interfaces)),
            service_selectors=problems.parse_selectors("spec.serviceSelectors", spec.service_selectors),
            preferences=_parse_preferences(spec.preferred_node_selectors, problems),
        ),
        pools=frozenset(spec.ip_address_pools),
        pool_selectors=problems.parse_selectors("spec.ipAddressPoolSelectors", spec.ip_address_pool_selectors),
    )
    return parsed, problems.found


def _parse_preferences(written: tuple[v1beta1.NodePreference, ...], problems: Problems) -> tuple[NodePreference, ...]:
    preferences = []
    for position, each in enumerate(written):
        path = f"spec.preferredNodeSelectors[{position}]"
        if not _MIN_WEIGHT <= each.weight <= _MAX_WEIGHT:
            problems.add(f"{path}.weight", str(each.weight), f"must be from {_MIN_WEIGHT} to {_MAX_WEIGHT}")
        selector = problems.parse_selector(f"{path}.preference", each.preference)
        if selector is not None:
            preferences.append(NodePreference(each.weight, selector))
    return tuple(preferences)
