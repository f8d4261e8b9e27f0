"""A snapshot of resources becomes one Config, or every error in it at once (spec/crds.md 10).

BGPPeers, BGPAdvertisements, BFDProfiles and Communities are carried, and not judged yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from metallb.api import v1beta1, v1beta1_bgp, v1beta2
from metallb.api.core import LabelSelector, Secret
from metallb.config.advertisements import ParsedL2Advertisement, parse_l2_advertisement
from metallb.config.backends import Backend
from metallb.config.errors import ConfigError
from metallb.config.model import Config, L2Advertisement, Pool
from metallb.config.pools import check_overlaps, parse_pool
from metallb.config.selectors import Labels, any_matches, parse


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the configuration is made of.

    Attributes:
        pools: every IPAddressPool of MetalLB's namespace.
        l2_advertisements: every L2Advertisement of it.
        bgp_advertisements: every BGPAdvertisement of it.
        peers: every BGPPeer of it.
        bfd_profiles: every BFDProfile of it.
        communities: every Community of it.
        namespaces: labels of every namespace of the cluster, by name.
        nodes: labels of every node of the cluster, by name; None or empty: unknown, any two peers may share one.
        secrets: every Secret of MetalLB's namespace, by name; None: references to them are not looked up.
        backend: what speaks BGP.
    """

    pools: Sequence[v1beta1.IPAddressPool] = ()
    l2_advertisements: Sequence[v1beta1.L2Advertisement] = ()
    bgp_advertisements: Sequence[v1beta1_bgp.BGPAdvertisement] = ()
    peers: Sequence[v1beta2.BGPPeer] = ()
    bfd_profiles: Sequence[v1beta1_bgp.BFDProfile] = ()
    communities: Sequence[v1beta1_bgp.Community] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    nodes: Mapping[str, Labels] | None = None
    secrets: Mapping[str, Secret] | None = None
    backend: Backend = "native"


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


def for_node(snapshot: Snapshot, labels: Labels) -> Snapshot:
    """What the speaker of a node with these labels looks at: peers and BGP advertisements only if they select it.

    So a mistake in a peer concerns only the nodes that it selects (spec/crds.md 10.9). What has a selector that can't
    be read stays: nobody knows whom it selects.
    """
    return replace(
        snapshot,
        peers=[each for each in snapshot.peers if each.spec is None or _selects(each.spec.node_selectors, labels)],
        bgp_advertisements=[each for each in snapshot.bgp_advertisements if _selects(each.spec.node_selectors, labels)],
    )


def _selects(written: Sequence[LabelSelector], labels: Labels) -> bool:
    try:
        return not written or any_matches(map(parse, written), labels)
    except ValueError:
        return True


def _announced(resource: v1beta1.IPAddressPool, pool: Pool, advertisements: Sequence[ParsedL2Advertisement]) -> Pool:
    """The pool with the advertisements that reach it, equal ones once (spec/crds.md 3)."""
    reached = [each.advertisement for each in advertisements if each.reaches(pool.name, resource.metadata.labels)]
    kept: dict[str | L2Advertisement, L2Advertisement] = {}
    for advertisement in reached:
        # Preferences add up, so advertisements that have any are never the same.
        same = advertisement.name if advertisement.preferences else replace(advertisement, name="")
        kept.setdefault(same, advertisement)
    return replace(pool, l2=tuple(kept.values()))
