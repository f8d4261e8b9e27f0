"""IPAddressPools: their ranges, and who may use them (spec/crds.md 2, 10.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from metallb.api import v1beta1
from metallb.api.net import BITS, Address, Family, Range
from metallb.config import terms
from metallb.config.model import Pool, ServiceAllocation
from metallb.config.parsing import Parsed, Problems
from metallb.config.selectors import Labels, Selector, any_matches

KIND = "IPAddressPool"


class Item(NamedTuple):
    """One entry of `spec.addresses` that could be read."""

    position: int
    text: str
    range: Range

    @property
    def path(self) -> str:
        """Of the field."""
        return f"spec.addresses[{self.position}]"

    @property
    def shortest_prefix(self) -> int:
        """Length of the widest block among the fewest that make up the range."""
        return shortest_prefix(self.range)


@dataclass(frozen=True, slots=True)
class ParsedPool(Parsed):
    """A pool without its advertisements.

    Attributes:
        pool: as far as it could be read.
        labels: of the object.
        items: entries of `spec.addresses` that could be read, in their order.
        needed: by family, the item whose widest block is the smallest: advertisements must not announce wider ones.
    """

    pool: Pool
    labels: Labels
    items: tuple[Item, ...]
    needed: Mapping[Family, Item]


def parse_pool(resource: v1beta1.IPAddressPool, namespaces: Mapping[str, Labels]) -> ParsedPool:
    """The pool as far as it could be read, and what is wrong with it."""
    problems = Problems.of(KIND, resource.metadata)
    spec = resource.spec
    if not spec.addresses:
        problems.add("spec.addresses", "[]", "must name at least one CIDR or range", "add one, or delete the pool")
    items = tuple(_parse_items(spec.addresses, problems))
    pool = Pool(
        name=resource.metadata.name,
        ranges=tuple(item.range for item in items),
        auto_assign=spec.auto_assign,
        avoid_buggy_ips=spec.avoid_buggy_ips,
        allocation=_parse_allocation(spec.service_allocation, namespaces, problems),
        terms=terms.parse(resource.metadata.annotations, problems),
    )
    return ParsedPool(*problems.head(resource.metadata), pool, resource.metadata.labels, items, _needed(items))


def shortest_prefix(addresses: Range) -> int:
    """Prefix length of the widest CIDR among the fewest that cover a range exactly."""
    whole = addresses.size.bit_length() - 1
    # A block of that size fits if one begins at a multiple of it; if not, one of half the size does.
    aligned = -(-addresses.first >> whole) << whole
    fits = aligned + (1 << whole) - 1 <= addresses.last
    return BITS[addresses.family] - (whole if fits else whole - 1)


def _needed(items: tuple[Item, ...]) -> dict[Family, Item]:
    needed: dict[Family, Item] = {}
    for item in items:
        family = item.range.family
        if family not in needed or item.shortest_prefix > needed[family].shortest_prefix:
            needed[family] = item
    return needed


def _parse_items(addresses: tuple[str, ...], problems: Problems) -> Iterator[Item]:
    for position, text in enumerate(addresses):
        try:
            yield Item(position, text, Range.parse(text))
        except ValueError as error:
            problems.add(f"spec.addresses[{position}]", text, str(error), _hint(text))


def _hint(text: str) -> str:
    """What somebody who wrote this may have meant."""
    ends = [_address(part) for part in text.split("-")]
    match ends:
        case [Address() as address]:
            return f"for one address write {address}/{BITS[address.family]}"
        case [Address() as first, Address() as last] if first.family != last.family:
            return "write a range for each family"
        case [Address() as first, Address() as last]:
            return f"write {last}-{first}"
    return "write 192.0.2.0/24 or 192.0.2.10-192.0.2.20"


def _address(text: str) -> Address | None:
    try:
        return Address.parse(text.strip())
    except ValueError:
        return None


def _parse_allocation(
    spec: v1beta1.ServiceAllocation | None, namespaces: Mapping[str, Labels], problems: Problems
) -> ServiceAllocation | None:
    if spec is None:
        return None
    path = "spec.serviceAllocation"
    problems.check_unique(f"{path}.namespaces", spec.namespaces)
    namespace_selectors = problems.parse_selectors(f"{path}.namespaceSelectors", spec.namespace_selectors)
    allowed = None
    if spec.namespaces or spec.namespace_selectors:
        allowed = frozenset(spec.namespaces) | frozenset(_matching(namespace_selectors, namespaces))
    return ServiceAllocation(
        priority=spec.priority,
        namespaces=allowed,
        service_selectors=problems.parse_selectors(f"{path}.serviceSelectors", spec.service_selectors),
    )


def _matching(selectors: tuple[Selector, ...], namespaces: Mapping[str, Labels]) -> Iterator[str]:
    return (name for name, labels in namespaces.items() if any_matches(selectors, labels))
