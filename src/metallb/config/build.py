"""A snapshot of resources becomes one Config, or every error in it at once (spec/crds.md 10).

Nothing speaks BGP yet: BGPPeers, BGPAdvertisements, BFDProfiles and Communities are no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from metallb.api import v1beta1
from metallb.config.advertisements import ParsedL2Advertisement, parse_l2_advertisement
from metallb.config.errors import ConfigError
from metallb.config.model import Config, L2Advertisement, Pool
from metallb.config.pools import check_overlaps, parse_pool
from metallb.config.selectors import Labels


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the configuration is made of.

    Attributes:
        pools: every IPAddressPool of MetalLB's namespace.
        l2_advertisements: every L2Advertisement of it.
        namespaces: labels of every namespace of the cluster, by name.
    """

    pools: Sequence[v1beta1.IPAddressPool] = ()
    l2_advertisements: Sequence[v1beta1.L2Advertisement] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Build:
    """A configuration, or why there is none: `config` is None exactly when there are errors."""

    config: Config | None
    errors: tuple[ConfigError, ...] = ()


def build(snapshot: Snapshot) -> Build:
    """Depends on the set of objects only, never on their order; errors come sorted by object and field."""
    errors: list[ConfigError] = []
    pools = []
    for resource in sorted(snapshot.pools, key=lambda pool: pool.metadata.name):
        pool, found = parse_pool(resource, snapshot.namespaces)
        errors += found
        pools.append((resource, pool))
    errors += check_overlaps(pools)
    advertisements = []
    for advertisement in sorted(snapshot.l2_advertisements, key=lambda each: each.metadata.name):
        parsed, found = parse_l2_advertisement(advertisement)
        errors += found
        advertisements.append(parsed)
    if errors:
        return Build(None, tuple(sorted(errors)))
    return Build(Config(tuple(_announced(resource, pool, advertisements) for resource, pool in pools)))


def _announced(resource: v1beta1.IPAddressPool, pool: Pool, advertisements: Sequence[ParsedL2Advertisement]) -> Pool:
    """The pool with the advertisements that reach it, equal ones once (spec/crds.md 3)."""
    reached = [each.advertisement for each in advertisements if each.reaches(pool.name, resource.metadata.labels)]
    kept: dict[str | L2Advertisement, L2Advertisement] = {}
    for advertisement in reached:
        # Preferences add up, so advertisements that have any are never the same.
        same = advertisement.name if advertisement.preferences else replace(advertisement, name="")
        kept.setdefault(same, advertisement)
    return replace(pool, l2=tuple(kept.values()))
