"""IPAddressPools: their ranges, who may use them, and that no two hold one address (spec/crds.md 10.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from metallb.api import v1beta1
from metallb.api.net import Range
from metallb.config.errors import ConfigError
from metallb.config.model import Pool, ServiceAllocation
from metallb.config.parsing import Problems
from metallb.config.selectors import Labels, Selector, any_matches


def parse_pool(resource: v1beta1.IPAddressPool, namespaces: Mapping[str, Labels]) -> tuple[Pool, list[ConfigError]]:
    """The pool as far as it could be read, and what is wrong with it."""
    problems = Problems.of("IPAddressPool", resource.metadata)
    spec = resource.spec
    if not spec.addresses:
        problems.add("spec.addresses", "[]", "must name at least one CIDR or range")
    pool = Pool(
        name=resource.metadata.name,
        ranges=tuple(_parse_ranges(spec.addresses, problems)),
        auto_assign=spec.auto_assign,
        avoid_buggy_ips=spec.avoid_buggy_ips,
        allocation=_parse_allocation(spec.service_allocation, namespaces, problems),
    )
    return pool, problems.found


def check_overlaps(pools: Sequence[tuple[v1beta1.IPAddressPool, Pool]]) -> list[ConfigError]:
    """An error for each range that shares addresses with an earlier one, of its own pool or another."""
    ranges = sorted(
        ((each, position, resource) for resource, pool in pools for position, each in enumerate(pool.ranges)),
        key=lambda item: (item[0], item[2].metadata.name, item[1]),
    )
    errors = []
    widest: tuple[Range, v1beta1.IPAddressPool] | None = None
    for each, _, resource in ranges:
        if widest is not None and widest[0].overlaps(each):
            problems = Problems.of("IPAddressPool", resource.metadata)
            rule = f"overlaps {widest[0]} of pool {widest[1].metadata.name!r}"
            problems.add("spec.addresses", str(each), rule, "an address may belong to one pool only")
            errors += problems.found
        if widest is None or each.family != widest[0].family or each.last > widest[0].last:
            widest = each, resource
    return errors


def _parse_ranges(addresses: Iterable[str], problems: Problems) -> Iterator[Range]:
    for position, text in enumerate(addresses):
        try:
            yield Range.parse(text)
        except ValueError as error:
            problems.add(f"spec.addresses[{position}]", text, str(error))


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
