"""Checked objects become the Config: pools get the advertisements that reach them, names become what they stand for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Generic, TypeVar

from metallb.api.core import Secret
from metallb.config.model import BGPAdvertisement, Config, L2Advertisement
from metallb.config.references import find_password
from metallb.config.slots import bits
from metallb.config.together import Together

A = TypeVar("A", L2Advertisement, BGPAdvertisement)

_by_name = attrgetter("name")


def assemble(together: Together, secrets: Mapping[str, Secret] | None) -> Config:
    """The configuration of objects without errors."""
    l2_choice, bgp_choice = _l2_choice(together), _bgp_choice(together)
    targets = together.routes.targets
    pools = [
        replace(
            pool.pool, l2=l2_choice.of(together.l2_targets.reaching(pool)), bgp=bgp_choice.of(targets.reaching(pool))
        )
        for pool in together.routes.pools
    ]
    peers = [replace(each.peer, password=find_password(each, secrets)[0]) for each in together.peers]
    profiles = [each.profile for each in together.profiles]
    return Config(
        pools=tuple(sorted(pools, key=_by_name)),
        peers=tuple(sorted(peers, key=_by_name)),
        bfd_profiles=tuple(sorted(profiles, key=_by_name)),
    )


class _Choice(Generic[A]):
    """Advertisements by slot. Pools that the same ones reach share one tuple of them.

    Two that have an equal key do the same: the first of them by name stands for both.
    """

    def __init__(self, by_slot: Mapping[int, tuple[Hashable, A]]) -> None:
        order = sorted(by_slot, key=lambda slot: by_slot[slot][1].name)
        self._rank = {slot: rank for rank, slot in enumerate(order)}
        self._in_order: list[A] = [by_slot[slot][1] for slot in order]
        numbers: dict[Hashable, int] = {}
        self._same = [numbers.setdefault(by_slot[slot][0], rank) for rank, slot in enumerate(order)]
        self._chosen: dict[int, tuple[A, ...]] = {}

    def of(self, mask: int) -> tuple[A, ...]:
        """Those in a mask, by name."""
        chosen = self._chosen.get(mask)
        if chosen is None:
            ranks = sorted(self._rank[slot] for slot in bits(mask))
            first: dict[int, int] = {}
            for rank in ranks:
                first.setdefault(self._same[rank], rank)
            chosen = tuple(self._in_order[rank] for rank in first.values())
            self._chosen[mask] = chosen
        return chosen


def _l2_choice(together: Together) -> _Choice[L2Advertisement]:
    """Equal advertisements count once, but for those with preferences, which add up (spec/crds.md 3)."""
    items = together.l2_advertisements
    by_slot: dict[int, tuple[Hashable, L2Advertisement]] = {}
    for each in items:
        advertisement = each.advertisement
        key = advertisement.name if advertisement.preferences else replace(advertisement, name="")
        by_slot[items.slot(each.object)] = key, advertisement
    return _Choice(by_slot)


def _bgp_choice(together: Together) -> _Choice[BGPAdvertisement]:
    items = together.routes.advertisements
    by_slot: dict[int, tuple[Hashable, BGPAdvertisement]] = {}
    for each in items:
        advertisement = replace(each.advertisement, communities=together.aliases.resolve(each)[0])
        by_slot[items.slot(each.object)] = advertisement.name, advertisement
    return _Choice(by_slot)
