"""What a Service asks for, read from the Service once (spec/controller.md 7, 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from metallb.allocator.reasons import FamiliesUnclear, FamilyMismatch, NoClusterAddress, Reason, RequestMalformed
from metallb.api.core import Service
from metallb.api.net import Address, Family, ServiceKey

PREFIX = "metallb.io/"
DEPRECATED_PREFIX = "metallb.universe.tf/"
ADDRESSES = "loadBalancerIPs"
POOL = "address-pool"
SHARING = "allow-shared-ip"
MAX_ADDRESSES = 2


class Port(NamedTuple):
    """A port of a Service as the network sees it."""

    protocol: str
    number: int

    def __str__(self) -> str:
        """As in `tcp/80`."""
        return f"{self.protocol.lower()}/{self.number}"


class Sharing(NamedTuple):
    """With whom a Service may share an address: equal and with a key, or with nobody.

    `backends` is the selector of a Service with `externalTrafficPolicy: Local`, whose traffic goes to the nodes of its
    pods only, so that only Services with the same pods may share; empty for others.
    """

    key: str = ""
    backends: tuple[tuple[str, str], ...] = ()


ALONE = Sharing()
"""Shares with nobody."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a Service asks for.

    Attributes:
        key: the Service.
        labels: of the Service.
        families: wanted families, the primary one first; two only for a dual-stack Service.
        both_required: whether one family alone will not do (RequireDualStack).
        ports: of the Service.
        sharing: with whom it may share.
        addresses: asked for by address, in the order written.
        pool: asked for by name, or empty.
        unusable: why the addresses asked for could not be read or can't fit; then `addresses` is empty.
    """

    key: ServiceKey
    labels: Mapping[str, str]
    families: tuple[Family, ...]
    both_required: bool
    ports: frozenset[Port]
    sharing: Sharing = ALONE
    addresses: tuple[Address, ...] = ()
    pool: str = ""
    unusable: RequestMalformed | FamilyMismatch | None = None


def annotation(service: Service, name: str) -> str:
    """The value of one of our annotations; the deprecated prefix counts only where the current one is absent."""
    annotations = service.metadata.annotations
    current = annotations.get(PREFIX + name)
    return annotations.get(DEPRECATED_PREFIX + name, "") if current is None else current


def held_addresses(service: Service) -> tuple[Address, ...]:
    """The addresses that a Service's status shows; entries without a readable IP are not ours and are skipped."""
    found = []
    for ingress in service.status.load_balancer.ingress:
        try:
            found.append(Address.parse(ingress.ip))
        except ValueError:
            continue
    return tuple(found)


def claim_of(service: Service) -> Request:
    """What a Service keeps from others on the addresses that it has; asks for nothing."""
    return Request(
        service.key,
        service.metadata.labels,
        (),
        both_required=False,
        ports=_ports(service),
        sharing=sharing_of(service),
    )


def request_of(service: Service) -> Request | Reason:
    """What a Service asks for, or why not even its families can be known."""
    families = _families(service)
    if not isinstance(families, tuple):
        return families
    addresses = _requested(service, families)
    return Request(
        key=service.key,
        labels=service.metadata.labels,
        families=families,
        both_required=service.spec.ip_family_policy == "RequireDualStack",
        ports=_ports(service),
        sharing=sharing_of(service),
        addresses=addresses if isinstance(addresses, tuple) else (),
        pool=annotation(service, POOL),
        unusable=None if isinstance(addresses, tuple) else addresses,
    )


def sharing_of(service: Service) -> Sharing:
    """With whom a Service may share its address (spec/controller.md 9.1)."""
    local = service.spec.external_traffic_policy == "Local"
    return Sharing(annotation(service, SHARING), tuple(sorted(service.spec.selector.items())) if local else ())


def _ports(service: Service) -> frozenset[Port]:
    return frozenset(Port(port.protocol, port.port) for port in service.spec.ports)


def _families(service: Service) -> tuple[Family, ...] | Reason:
    spec = service.spec
    written = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    if not written or written == ("None",):
        return NoClusterAddress()
    try:
        families: tuple[Family, ...] = tuple(Address.parse(text).family for text in written)
    except ValueError:
        return FamiliesUnclear(written, spec.ip_family_policy)
    dual = len(families) == MAX_ADDRESSES and families[0] != families[1]
    if dual and spec.ip_family_policy in {"PreferDualStack", "RequireDualStack"}:
        return families
    if len(families) == 1 and spec.ip_family_policy != "RequireDualStack":
        return families
    return FamiliesUnclear(written, spec.ip_family_policy)


def _requested(
    service: Service, families: tuple[Family, ...]
) -> tuple[Address, ...] | RequestMalformed | FamilyMismatch:
    listed, field = annotation(service, ADDRESSES), service.spec.load_balancer_ip
    source = PREFIX + ADDRESSES if listed else "spec.loadBalancerIP"
    if listed and field:
        return RequestMalformed(source, listed, "and spec.loadBalancerIP exclude each other: remove one")
    written = listed or field
    if not written:
        return ()
    try:
        addresses = tuple(Address.parse(item.strip()) for item in written.split(","))
    except ValueError:
        return RequestMalformed(source, written, "must be IP addresses, separated by commas")
    wanted = {address.family for address in addresses}
    if len(addresses) > MAX_ADDRESSES or len(wanted) != len(addresses):
        return RequestMalformed(source, written, "may name one address of each family")
    return addresses if wanted == set(families) else FamilyMismatch(addresses, families)
