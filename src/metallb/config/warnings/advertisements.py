"""What a change of an advertisement does: whom it selects, and which pools are left without any."""

from __future__ import annotations

from collections.abc import Iterator

from metallb.api.v1beta1 import L2Advertisement
from metallb.api.v1beta1_bgp import BGPAdvertisement
from metallb.config.change import Change
from metallb.config.errors import ObjectName
from metallb.config.reach import Advertiser
from metallb.config.tables import Tables
from metallb.config.warnings.nodes import selects_any, unmatched
from metallb.config.warnings.sentences import count, few

Advertisement = L2Advertisement | BGPAdvertisement


def of_advertisement(tables: Tables, change: Change) -> list[str]:
    """Warnings about an L2Advertisement or a BGPAdvertisement that is created, changed or deleted."""
    reached: frozenset[str] = frozenset()
    if isinstance(change.before, Advertisement):
        reached = tables.reach.pools_of(Advertiser.of(change.before))
    with tables.showing(change.kind, change.name, change.after):
        if not isinstance(change.after, Advertisement):
            return list(_left_pools(tables, change.object, reached))
        advertiser = Advertiser.of(change.after)
        found = list(_left_pools(tables, change.object, reached - tables.reach.pools_of(advertiser)))
        found += _pools(tables, change.object, advertiser)
        found += _nodes(tables, change.object, change.after)
        if advertiser.speaks_bgp:
            found += _peers(tables, change.object, advertiser)
        return found


def _left_pools(tables: Tables, name: ObjectName, reached: frozenset[str]) -> Iterator[str]:
    left = {pool for pool in reached if not tables.reach.is_announced(pool)}
    if left:
        holders = {key for pool in left for key in tables.holders(tables.pool_ranges.of(pool))}
        users = f" with {count(holders, 'Service')}" if holders else ""
        pools = "IPAddressPool" if len(left) == 1 else "IPAddressPools"
        yield f"{name}: no advertisement would be left for {pools} {few(left)}{users}; create another one first"


def _pools(tables: Tables, name: ObjectName, advertiser: Advertiser) -> Iterator[str]:
    missing = {each for each in advertiser.pools if each not in tables.reach.pools}
    if not tables.reach.has_pool(advertiser):
        if advertiser.everywhere:
            yield f"{name}: there is no IPAddressPool yet that it could announce; create one"
            return
        reasons = [f"there is no IPAddressPool {few(missing)}"] if missing else []
        reasons += ["spec.ipAddressPoolSelectors match none"] if advertiser.pool_selectors else []
        yield f"{name}: it selects no pool: {', and '.join(reasons)}; create the pool, or name another"
    elif missing:
        yield f"{name}: spec.ipAddressPools: there is no IPAddressPool {few(missing)}; create it, or take the name out"


def _nodes(tables: Tables, name: ObjectName, written: Advertisement) -> Iterator[str]:
    yield from unmatched(tables, name, written.spec.node_selectors, "it is announced by none")
    if not isinstance(written, L2Advertisement) or not tables.nodes:
        return
    for position, preferred in enumerate(written.spec.preferred_node_selectors):
        path = f"spec.preferredNodeSelectors[{position}]"
        yield from unmatched(tables, name, (preferred.preference,), "it prefers none", path)


def _peers(tables: Tables, name: ObjectName, advertiser: Advertiser) -> Iterator[str]:
    if missing := {each for each in advertiser.peers if each not in tables.reach.peers}:
        nobody = "" if tables.reach.has_peer(advertiser) else " and so it is for nobody"
        yield f"{name}: spec.peers: there is no BGPPeer {few(missing)}{nobody}; create it, or take the name out"
    elif not tables.reach.has_peer(advertiser):
        yield f"{name}: there is no BGPPeer yet to announce to; create one"
    elif selects_any(tables, advertiser.nodes) and not tables.reach.meets_peer(advertiser, tables.nodes):
        yield f"{name}: none of its nodes connects to a BGPPeer that it is for; let both select a common node"
