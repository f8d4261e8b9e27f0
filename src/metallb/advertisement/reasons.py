"""Why an address is not announced from here: logs, status and commands print these same words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from metallb.api.net import Address, InterfaceName, NodeName


@dataclass(frozen=True, slots=True)
class NotLoadBalancer:
    """The Service is gone, or of another type or class."""

    code = "notLoadBalancer"

    def __str__(self) -> str:
        """Says so."""
        return "the Service is gone or of another type or load balancer class"


@dataclass(frozen=True, slots=True)
class NoAddress:
    """The status of the Service shows no address."""

    code = "noIPAllocated"

    def __str__(self) -> str:
        """Says so."""
        return "the Service has no address yet"


@dataclass(frozen=True, slots=True)
class AddressForeign:
    """No pool offers the addresses in the status."""

    code = "ipNotAllowed"
    addresses: tuple[str, ...]

    def __str__(self) -> str:
        """Names them."""
        return f"no pool offers {', '.join(self.addresses)}"


@dataclass(frozen=True, slots=True)
class NoServingEndpoint:
    """Nothing behind the Service can serve. `witness` is the node that tells people (see `NoCandidate`)."""

    code = "notOwner"
    witness: NodeName | None = None

    def __str__(self) -> str:
        """Says what to look at."""
        return "no endpoint of the Service is ready: look at its pods"


@dataclass(frozen=True, slots=True)
class NoAdvertisement:
    """No L2Advertisement covers pool, Service and this node. `witness`: see `NoCandidate`; None while others may."""

    code = "noMatchingAdvertisement"
    pool: str
    witness: NodeName | None = None

    def __str__(self) -> str:
        """Names the pool."""
        return f"no L2Advertisement announces pool {self.pool!r} for this Service from this node"


@dataclass(frozen=True, slots=True)
class SharedWithSelectors:
    """A Service that may share its address is matched by service selectors. `witness`: see `NoCandidate`."""

    code = "sharedIPWithServiceSelector"
    advertisement: str
    witness: NodeName | None = None

    def __str__(self) -> str:
        """Names the advertisement."""
        return (
            f"L2Advertisement {self.advertisement!r} has service selectors, "
            "which exclude Services with the annotation allow-shared-ip"
        )


@dataclass(frozen=True, slots=True)
class NoCandidate:
    """No node may announce. `witness` is the node that tells people: all come to this end, one says so."""

    code = "notOwner"
    local: bool
    witness: NodeName | None = None

    def __str__(self) -> str:
        """Says which rule left nobody."""
        if self.local:
            return "no node has both a speaker and a ready endpoint (externalTrafficPolicy Local)"
        return "no node with a speaker may announce"


@dataclass(frozen=True, slots=True)
class OtherNode:
    """Another node is elected."""

    code = "notOwner"
    node: NodeName

    def __str__(self) -> str:
        """Names it."""
        return f"node {self.node!r} announces"


@dataclass(frozen=True, slots=True)
class NoInterface:
    """This node is elected and has none of the interfaces that the advertisements name."""

    code = "noInterface"
    wanted: tuple[InterfaceName, ...]
    addresses: tuple[Address, ...]

    def __str__(self) -> str:
        """Names them, and the addresses that wait for one."""
        waiting = ", ".join(map(str, self.addresses))
        return f"this node has none of the interfaces {', '.join(self.wanted)} that are to answer for {waiting}"


Reason: TypeAlias = (
    NotLoadBalancer
    | NoAddress
    | AddressForeign
    | NoServingEndpoint
    | NoAdvertisement
    | SharedWithSelectors
    | NoCandidate
    | OtherNode
    | NoInterface
)
