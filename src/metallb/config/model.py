"""The configuration in force: immutable, fully checked, everything parsed."""

from __future__ import annotations

from dataclasses import dataclass

from metallb.api.net import Address, InterfaceName, Range
from metallb.config.selectors import Labels, Selector, any_matches


@dataclass(frozen=True, slots=True)
class ServiceAllocation:
    """Who may use a pool (spec/crds.md 2).

    Attributes:
        priority: lower is tried first; 0 is tried last.
        namespaces: allowed namespaces, or None where neither names nor selectors are given. An empty set means that
            selectors are given and match nothing: then nobody may use the pool.
        service_selectors: Services by label, one is enough; empty admits all.
    """

    priority: int
    namespaces: frozenset[str] | None
    service_selectors: tuple[Selector, ...]

    def admits(self, namespace: str, labels: Labels) -> bool:
        """Whether a Service of this namespace with these labels may use the pool."""
        if self.namespaces is not None and namespace not in self.namespaces:
            return False
        return not self.service_selectors or any_matches(self.service_selectors, labels)


@dataclass(frozen=True, slots=True)
class NodePreference:
    """A weight for the nodes that a selector matches."""

    weight: int
    selector: Selector


@dataclass(frozen=True, slots=True)
class L2Advertisement:
    """How addresses are announced by ARP and NDP (spec/crds.md 3).

    Attributes:
        name: of the L2Advertisement.
        node_selectors: nodes that may announce; empty means all.
        interfaces: on which to answer; empty means all.
        service_selectors: Services it is for; empty means all.
        preferences: which of its nodes are preferred.
    """

    name: str
    node_selectors: tuple[Selector, ...] = ()
    interfaces: frozenset[InterfaceName] = frozenset()
    service_selectors: tuple[Selector, ...] = ()
    preferences: tuple[NodePreference, ...] = ()

    def selects_node(self, labels: Labels) -> bool:
        """Whether a node with these labels may announce."""
        return not self.node_selectors or any_matches(self.node_selectors, labels)

    def selects_service(self, labels: Labels) -> bool:
        """Whether it is for a Service with these labels."""
        return not self.service_selectors or any_matches(self.service_selectors, labels)

    def score(self, labels: Labels) -> int:
        """The sum of the weights for a node with these labels; 0 where it may not announce."""
        if not self.preferences or not self.selects_node(labels):
            return 0
        return sum(preference.weight for preference in self.preferences if preference.selector.matches(labels))


@dataclass(frozen=True, slots=True)
class Pool:
    """Addresses that Services can be given, and how they are announced.

    Attributes:
        name: of the IPAddressPool.
        ranges: in the order of `spec.addresses`; they don't overlap.
        auto_assign: whether it is used for Services that ask for nothing.
        avoid_buggy_ips: IPv4 addresses ending in .0 or .255 are left out.
        allocation: who may use it; None means everybody.
        l2: its layer-2 advertisements, by name.
    """

    name: str
    ranges: tuple[Range, ...]
    auto_assign: bool = True
    avoid_buggy_ips: bool = False
    allocation: ServiceAllocation | None = None
    l2: tuple[L2Advertisement, ...] = ()

    def __contains__(self, address: Address) -> bool:
        """Whether a Service may hold this address from this pool."""
        if self.avoid_buggy_ips and is_buggy(address):
            return False
        return any(address in each for each in self.ranges)

    def admits(self, namespace: str, labels: Labels) -> bool:
        """Whether a Service of this namespace with these labels may use it."""
        return self.allocation is None or self.allocation.admits(namespace, labels)


@dataclass(frozen=True, slots=True)
class Config:
    """All of it; pools are sorted by name."""

    pools: tuple[Pool, ...] = ()

    def pool_of(self, addresses: tuple[Address, ...]) -> Pool | None:
        """The pool that holds all of these addresses."""
        return next((pool for pool in self.pools if all(address in pool for address in addresses)), None)


def is_buggy(address: Address) -> bool:
    """Whether it is an IPv4 address that ends in .0 or .255."""
    return address.family == 4 and address.value & 0xFF in {0, 0xFF}  # noqa: PLR2004  # the family's own number
