"""Why a Service does not have the address it could have: events, logs and commands print these same words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from metallb.api.net import Address, Family, ServiceKey


@dataclass(frozen=True, slots=True)
class NoPools:
    """There is no address pool at all."""

    def __str__(self) -> str:
        """Says what to do next."""
        return "there is no address pool: create an IPAddressPool"


@dataclass(frozen=True, slots=True)
class NoClusterAddress:
    """The Service has no cluster IP, from which the wanted families are known."""

    def __str__(self) -> str:
        """Says what is missing."""
        return "the Service has no cluster IP, so it is not known whether it wants IPv4 or IPv6"


@dataclass(frozen=True, slots=True)
class FamiliesUnclear:
    """Cluster IPs and policy of the Service contradict each other."""

    cluster_ips: tuple[str, ...]
    policy: str

    def __str__(self) -> str:
        """Names both."""
        have = ", ".join(self.cluster_ips)
        return f"cluster IPs [{have}] do not fit ipFamilyPolicy {self.policy or 'SingleStack'}"


@dataclass(frozen=True, slots=True)
class RequestMalformed:
    """The Service asks for addresses in a way that can't be read."""

    source: str
    value: str
    rule: str

    def __str__(self) -> str:
        """Names the field or annotation, its value and the rule."""
        return f"{self.source}: {self.value!r} {self.rule}"


@dataclass(frozen=True, slots=True)
class PoolUnknown:
    """The pool that the Service asks for does not exist."""

    pool: str

    def __str__(self) -> str:
        """Names it."""
        return f"unknown pool {self.pool!r}"


@dataclass(frozen=True, slots=True)
class PoolClosed:
    """The pool is not for this Service."""

    pool: str
    service: ServiceKey

    def __str__(self) -> str:
        """Names both."""
        return f"pool {self.pool!r} is not open to {self.service} (spec.serviceAllocation)"


@dataclass(frozen=True, slots=True)
class PoolExhausted:
    """The pool has no address left for this Service."""

    pool: str
    families: tuple[Family, ...]

    def __str__(self) -> str:
        """Names the pool and the families."""
        return f"no available IPs in pool {self.pool!r} for {_families(self.families)}"


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """No pool that is open to the Service has an address left."""

    families: tuple[Family, ...]
    tried: tuple[str, ...]

    def __str__(self) -> str:
        """Starts with the words that people search for."""
        where = f"tried pools: {', '.join(self.tried)}" if self.tried else "no pool is open to this Service"
        return f"no available IPs for {_families(self.families)} ({where})"


@dataclass(frozen=True, slots=True)
class NotInOnePool:
    """The addresses asked for are not in one pool."""

    addresses: tuple[Address, ...]

    def __str__(self) -> str:
        """Names them."""
        return (
            f"{_addresses(self.addresses)} is not offered by any pool"
            if len(self.addresses) == 1
            else (f"{_addresses(self.addresses)} are not offered by one pool")
        )


@dataclass(frozen=True, slots=True)
class NotInPool:
    """The addresses asked for are not in the pool asked for."""

    addresses: tuple[Address, ...]
    pool: str

    def __str__(self) -> str:
        """Names them."""
        return f"{_addresses(self.addresses)} is not in pool {self.pool!r}, which the Service asks for"


@dataclass(frozen=True, slots=True)
class AddressTaken:
    """Another Service holds the address and the two may not share it."""

    address: Address
    holder: ServiceKey
    why: str

    def __str__(self) -> str:
        """Names the holder."""
        return f"{self.address} is in use by {self.holder}: {self.why}"


@dataclass(frozen=True, slots=True)
class FamilyMismatch:
    """The addresses asked for are not of the Service's families."""

    addresses: tuple[Address, ...]
    families: tuple[Family, ...]

    def __str__(self) -> str:
        """Names both."""
        return f"{_addresses(self.addresses)} does not fit a Service of {_families(self.families)}"


@dataclass(frozen=True, slots=True)
class StatusUnclear:
    """The status shows addresses that no one Service can hold together."""

    addresses: tuple[Address, ...]

    def __str__(self) -> str:
        """Names them."""
        return f"its status shows {_addresses(self.addresses)}, but a Service holds at most one address of each family"


Reason: TypeAlias = (
    NoPools
    | NoClusterAddress
    | FamiliesUnclear
    | RequestMalformed
    | PoolUnknown
    | PoolClosed
    | PoolExhausted
    | NothingLeft
    | NotInOnePool
    | NotInPool
    | AddressTaken
    | FamilyMismatch
    | StatusUnclear
)


def _families(families: tuple[Family, ...]) -> str:
    return " and ".join(f"IPv{family}" for family in families)


def _addresses(addresses: tuple[Address, ...]) -> str:
    return ", ".join(map(str, addresses))
