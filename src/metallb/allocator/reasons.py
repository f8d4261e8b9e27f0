"""Why a Service does not have the address it could have: events, logs and commands print these same words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from metallb.api.net import Address, Family, ServiceKey
from metallb.config.terms import DRAIN, QUOTA

Rule: TypeAlias = Literal["namespace", "labels"]
MOST_NAMED = 8
"""Pools that one reason names."""
LONGEST = 900
"""Characters of a reason that names pools; an event's message may have 1024."""


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
    """The pool is not for this Service; `rule` says by what its `serviceAllocation` leaves it out."""

    pool: str
    service: ServiceKey
    rule: Rule

    @property
    def cause(self) -> str:
        """In few words, before a list of pools."""
        return f"not open to its {self.rule}"

    def __str__(self) -> str:
        """Names both."""
        return f"pool {self.pool!r} is not open to {self.service} (spec.serviceAllocation leaves out its {self.rule})"


@dataclass(frozen=True, slots=True)
class PoolNotAutomatic:
    """The pool gives to those only who ask for it."""

    pool: str

    @property
    def cause(self) -> str:
        """In few words, before a list of pools."""
        return "autoAssign: false"

    def __str__(self) -> str:
        """Names it."""
        return f"pool {self.pool!r} has autoAssign: false"


@dataclass(frozen=True, slots=True)
class PoolDraining:
    """The pool gives nothing new."""

    pool: str

    @property
    def cause(self) -> str:
        """In few words, before a list of pools."""
        return "drained"

    def __str__(self) -> str:
        """Names the annotation."""
        return f"pool {self.pool!r} is drained and gives nothing new ({DRAIN})"


@dataclass(frozen=True, slots=True)
class FamilyMissing:
    """The pool has no addresses of these families at all."""

    pool: str
    families: tuple[Family, ...]

    @property
    def cause(self) -> str:
        """In few words, before a list of pools."""
        return f"without {_families(self.families)}"

    def __str__(self) -> str:
        """Names the pool and the families."""
        return f"pool {self.pool!r} has no addresses of {_families(self.families)}"


@dataclass(frozen=True, slots=True)
class QuotaReached:
    """The Services of the namespace hold as many addresses of the pool as one namespace may."""

    pool: str
    namespace: str
    quota: int

    @property
    def cause(self) -> str:
        """In few words, before a list of pools."""
        return "its namespace has its quota"

    def __str__(self) -> str:
        """Names the annotation."""
        return f"namespace {self.namespace!r} may hold {self.quota} addresses of pool {self.pool!r} ({QUOTA})"


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
class PoolExhausted:
    """The pool has no address left for this Service.

    Attributes:
        pool: its name.
        families: those of which it has none.
        conflict: why an address can't be shared, for a Service that may share.
    """

    pool: str
    families: tuple[Family, ...]
    conflict: AddressTaken | None = None

    @property
    def cause(self) -> str:
        """In few words, before a list of pools."""
        return f"all {_families(self.families)} in use"

    def __str__(self) -> str:
        """Names the pool and the families."""
        text = f"no available IPs in pool {self.pool!r} for {_families(self.families)}"
        return f"{text}; {self.conflict}" if self.conflict else text


RuledOut: TypeAlias = PoolExhausted | QuotaReached | FamilyMissing | PoolClosed | PoolNotAutomatic | PoolDraining
"""Why a pool does not serve a Service."""


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """No pool has an address for the Service.

    Attributes:
        families: what it wants.
        ruled_out: pools and what speaks against each, those first that might serve it; at most `MOST_NAMED`.
        more: how many pools there are besides.
    """

    families: tuple[Family, ...]
    ruled_out: tuple[RuledOut, ...] = ()
    more: int = 0

    def __str__(self) -> str:
        """Starts with the words that people search for; as many pools as fit into an event."""
        named = len(self.ruled_out)
        text = self._text(named)
        while len(text) > LONGEST and named > 1:
            named -= 1
            text = self._text(named)
        return text

    def _text(self, named: int) -> str:
        by_cause: dict[str, list[str]] = {}
        for each in self.ruled_out[:named]:
            by_cause.setdefault(each.cause, []).append(each.pool)
        parts = [f"{cause}: {', '.join(pools)}" for cause, pools in by_cause.items()]
        more = self.more + len(self.ruled_out) - named
        parts += [f"and {more} more pools" if more > 1 else "and 1 more pool"] if more else []
        parts += [
            str(each.conflict) for each in self.ruled_out[:1] if isinstance(each, PoolExhausted) and each.conflict
        ]
        return f"no available IPs for {_families(self.families)} ({'; '.join(parts)})"


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
    | RuledOut
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
