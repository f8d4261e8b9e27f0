"""A snapshot of resources becomes one Config, or every error in it at once (spec/crds.md 10).

Three steps: each object by itself (`together.parse`), each against older ones (`Together.check`), and what they name
(`Together.check_references`). Where all is well, pools get their advertisements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import attrgetter

from metallb.api import v1beta1, v1beta1_bgp, v1beta2
from metallb.api.core import LabelSelector, Secret
from metallb.config import parsing
from metallb.config.assembly import assemble
from metallb.config.backends import Backend
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.model import Config
from metallb.config.parsing import Parsed
from metallb.config.selectors import Labels, any_matches, parse
from metallb.config.together import Resource, Together
from metallb.config.together import parse as parse_object


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

    def resources(self) -> Iterator[Resource]:
        """All objects, those of each kind by name."""
        kinds: tuple[Sequence[Resource], ...] = (
            self.pools,
            self.l2_advertisements,
            self.bgp_advertisements,
            self.peers,
            self.bfd_profiles,
            self.communities,
        )
        by_name = attrgetter("metadata.name", "metadata.namespace")
        return chain.from_iterable(sorted(kind, key=by_name) for kind in kinds)


@dataclass(frozen=True, slots=True)
class Build:
    """A configuration, or why there is none: `config` is None exactly when there are errors."""

    config: Config | None
    errors: tuple[ConfigError, ...] = ()


def build(snapshot: Snapshot, youngest: ObjectName | None = None) -> Build:
    """Depends on the set of objects only, never on their order; errors come sorted by object and field.

    Of objects in conflict the youngest is to blame, and names the others.

    Args:
        snapshot: all there is.
        youngest: an object that counts as younger than all others, as one does that is only being asked for.
    """
    objects = [
        _aged(parse_object(each, snapshot.namespaces, snapshot.backend), youngest) for each in snapshot.resources()
    ]
    together = Together(snapshot.nodes, snapshot.backend)
    for each in objects:
        together.put(each)
    errors: list[ConfigError] = []
    for each in objects:
        errors += each.errors
        errors += together.check(each, each.seniority)
        errors += together.check_references(each, snapshot.secrets)
    if errors:
        return Build(None, tuple(sorted(errors)))
    return Build(assemble(together, snapshot.secrets))


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


def _aged(item: Parsed, youngest: ObjectName | None) -> Parsed:
    return replace(item, seniority=parsing.youngest(item.object)) if item.object == youngest else item


def _selects(written: Sequence[LabelSelector], labels: Labels) -> bool:
    try:
        return not written or any_matches([parse(each) for each in written], labels)
    except ValueError:
        return True
