"""What a change of an IPAddressPool does: to Services that have its addresses, to advertisements, to other traffic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from metallb.api.net import Address, Range, ServiceKey
from metallb.api.v1beta1 import IPAddressPool
from metallb.config.change import Change
from metallb.config.errors import ObjectName
from metallb.config.lookup import Spans
from metallb.config.model import Pool, ServiceAllocation
from metallb.config.pools import parse_pool
from metallb.config.reach import readable
from metallb.config.tables import Tables
from metallb.config.warnings.sentences import count, few

Key = TypeVar("Key", str, ServiceKey)

_NO_RULES: Final = (False, None)


def of_pool(tables: Tables, change: Change) -> list[str]:
    """Warnings about a pool that is created, changed or deleted."""
    before = _parsed(tables, change.before)
    after = _parsed(tables, change.after)
    with tables.showing(change.kind, change.name, change.before):
        reaching = tables.reach.announcing(change.name)
    with tables.showing(change.kind, change.name, change.after):
        found = list(_lost_addresses(tables, change.object, before, after))
        found += _left_advertisements(tables, change.object, reaching)
        if after is not None and isinstance(change.after, IPAddressPool):
            found += _unannounced(tables, change.object, before, announced=bool(reaching))
            found += _allocation(tables, change.object, change.after, after)
            found += _overlaps(tables, change.object, after)
    return found


def _parsed(tables: Tables, pool: object) -> Pool | None:
    return parse_pool(pool, tables.namespaces.labels).pool if isinstance(pool, IPAddressPool) else None


def _lost_addresses(tables: Tables, name: ObjectName, before: Pool | None, after: Pool | None) -> Iterator[str]:
    if before is None:
        return
    gone, shut_out = _losers(tables, before, after)
    if gone:
        yield f"{name}: {count(gone, 'Service')} would lose their address: {few(gone)}; move them first"
    if shut_out:
        yield (
            f"{name}: {count(shut_out, 'Service')} would lose their address, no longer admitted by "
            f"spec.serviceAllocation: {few(shut_out)}; go on to admit them, or move them first"
        )


def _losers(tables: Tables, before: Pool, after: Pool | None) -> tuple[set[ServiceKey], set[ServiceKey]]:
    """Services whose addresses go, and Services that are admitted no more."""
    left = () if after is None else after.ranges
    removed = [gone for each in before.ranges for gone in _without(each, left)]
    other_rules = after is not None and _rules(after) != _rules(before)
    if _rules(before) == _NO_RULES and not other_rules:
        return tables.holders(removed), set()  # also of thousands, without a look at each
    gone, shut_out = set(), set()
    for key in tables.holders(before.ranges if other_rules else removed):
        facts = tables.services[key]
        held = [address for address in facts.held if address in before]
        if not held or not before.admits(key.namespace, facts.labels):
            continue
        if after is None or not all(address in after for address in held):
            gone.add(key)
        elif not after.admits(key.namespace, facts.labels):
            shut_out.add(key)
    return gone, shut_out


def _rules(pool: Pool) -> tuple[bool, ServiceAllocation | None]:
    """What may keep a Service from an address of the pool's ranges."""
    return pool.avoid_buggy_ips, pool.allocation


def _without(whole: Range, taken: Iterable[Range]) -> Iterator[Range]:
    """What is left of a range without others."""
    first = whole.first
    for each in sorted(taken):
        if each.overlaps(whole):
            if each.first > first:
                yield Range(whole.family, first, each.first - 1)
            first = max(first, each.last + 1)
    if first <= whole.last:
        yield Range(whole.family, first, whole.last)


def _left_advertisements(tables: Tables, name: ObjectName, reaching: Iterable[ObjectName]) -> Iterator[str]:
    """Advertisements for named or labelled pools that reached this pool, and now reach none."""
    advertisers = [tables.reach.advertisers[each] for each in reaching]
    idle = [each.object for each in advertisers if not each.everywhere and not tables.reach.has_pool(each)]
    if idle:
        names = few([f"{each.kind} {each.name}" for each in idle])
        yield f"{name}: no pool would be left for {names}; delete what is not needed, or let it select other pools"


def _unannounced(tables: Tables, name: ObjectName, before: Pool | None, *, announced: bool) -> Iterator[str]:
    if tables.reach.is_announced(name.name):
        return
    if before is None:
        yield f"{name}: no advertisement announces this pool yet; create an L2Advertisement or a BGPAdvertisement"
        return
    holders = tables.holders(before.ranges)
    users = f" for {count(holders, 'Service')}" if holders else ""
    again = " any more" if announced else ""
    yield f"{name}: no advertisement announces this pool{again}; create an L2Advertisement or a BGPAdvertisement{users}"


def _allocation(tables: Tables, name: ObjectName, written: IPAddressPool, pool: Pool) -> Iterator[str]:
    spec = written.spec.service_allocation
    if spec is None or not tables.namespaces:
        return
    path = "spec.serviceAllocation"
    if missing := {each for each in spec.namespaces if each not in tables.namespaces}:
        yield f"{name}: {path}.namespaces: there is no namespace {few(missing)}"
    selectors = readable(spec.namespace_selectors)
    if selectors and not tables.namespaces.matching(selectors):
        closed = (
            "; no Service may use the pool" if pool.allocation and pool.allocation.namespaces == frozenset() else ""
        )
        yield f"{name}: {path}.namespaceSelectors match no namespace{closed}"


def _overlaps(tables: Tables, name: ObjectName, pool: Pool) -> Iterator[str]:
    consequence = "whose traffic a Service with that address would take; leave them out of spec.addresses"
    if found := _inside(pool, tables.node_addresses):
        yield f"{name}: the pool has addresses of nodes: {found}, {consequence}"
    if found := _inside(pool, tables.pod_ranges):
        yield f"{name}: the pool has addresses of pods: {found}, {consequence}"
    if found := _inside(pool, tables.cluster_ips):
        yield f"{name}: the pool has cluster IPs of Services: {found}, {consequence}"


def _inside(pool: Pool, spans: Spans[Key]) -> str:
    """Whose ranges share addresses with a pool, with the ranges; empty: nobody's."""
    found = set()
    for each in pool.ranges:
        for shared, key in spans.overlapping(each):
            address = Address(shared.family, shared.first) if shared.size == 1 else shared
            if not isinstance(address, Address) or address in pool:
                found.add(f"{key} ({address})")
    return few(found)
