"""BGP advertisements against the pools that they reach, and against each other (spec/crds.md 10.6, A3, A5; 10.8)."""

from __future__ import annotations

from collections.abc import Iterator

from metallb.api.net import Family
from metallb.config.advertisements import LENGTH_FIELDS, ParsedBGPAdvertisement
from metallb.config.backends import Backend, Feature, refuses
from metallb.config.blame import conflict, each_of
from metallb.config.errors import ConfigError
from metallb.config.nodes import ALL, Nodes
from metallb.config.parsing import Seniority
from metallb.config.pools import ParsedPool
from metallb.config.rivals import Rivals
from metallb.config.slots import Groups, Slots, bits, mask_of
from metallb.config.targets import Pools, Targets

FAMILIES: tuple[Family, ...] = (4, 6)


class Routes:
    """All pools and BGP advertisements."""

    def __init__(self, nodes: Nodes, backend: Backend) -> None:
        self.pools = Pools()
        self.advertisements: Slots[ParsedBGPAdvertisement] = Slots()
        self.targets = Targets()
        self._nodes = nodes
        self._backend = backend
        self._rivals = Rivals()
        self._holding: dict[Family, int] = dict.fromkeys(FAMILIES, 0)
        self._by_need: dict[Family, Groups[int]] = {family: Groups() for family in FAMILIES}
        self._by_length: dict[Family, Groups[int]] = {family: Groups() for family in FAMILIES}

    def put_pool(self, pool: ParsedPool) -> None:
        """Takes in a pool that is not there yet."""
        slot = self.pools.put(pool)
        for family, item in pool.needed.items():
            self._holding[family] |= 1 << slot
            self._by_need[family].put(item.shortest_prefix, slot)

    def remove_pool(self, pool: ParsedPool) -> None:
        """Forgets a pool."""
        slot = self.pools.remove(pool)
        for family, item in pool.needed.items():
            self._holding[family] &= ~(1 << slot)
            self._by_need[family].remove(item.shortest_prefix, slot)

    def put_advertisement(self, advertisement: ParsedBGPAdvertisement) -> None:
        """Takes in an advertisement that is not there yet."""
        slot = self.advertisements.put(advertisement)
        self.targets.put(slot, advertisement.target)
        for family, length in advertisement.lengths.items():
            self._by_length[family].put(length, slot)
        selectors = advertisement.advertisement.node_selectors
        self._rivals.put(slot, advertisement, ALL if advertisement.all_nodes else self._nodes.selected(selectors))

    def remove_advertisement(self, advertisement: ParsedBGPAdvertisement) -> None:
        """Forgets an advertisement."""
        slot = self.advertisements.remove(advertisement)
        self.targets.remove(slot, advertisement.target)
        for family, length in advertisement.lengths.items():
            self._by_length[family].remove(length, slot)
        self._rivals.remove(slot, advertisement)

    def holding(self, family: Family) -> int:
        """The mask of pools with addresses of a family."""
        return self._holding[family]

    def check_advertisement(
        self, advertisement: ParsedBGPAdvertisement, before: Seniority | None
    ) -> Iterator[ConfigError]:
        """An advertisement against pools and advertisements that are older than `before`."""
        reached = self.pools.reached(advertisement.target) & self.pools.elders(before)
        if not reached:
            return
        for family in FAMILIES:
            yield from self._check_length(advertisement, family, reached)
        if refuses(self._backend, Feature.IPV6_ROUTES):
            elders = self.pools.by_age(reached & self._holding[6])
            yield from each_of(elders, lambda pool: self._ipv6_reached(advertisement, pool))
        yield from self._check_rivals(advertisement, reached, before)

    def check_pool(self, pool: ParsedPool, before: Seniority | None) -> Iterator[ConfigError]:
        """A pool against advertisements that are older than `before`."""
        reaching = self.targets.reaching(pool) & self.advertisements.elders(before)
        if not reaching:
            return
        for family in pool.needed:
            yield from self._check_need(pool, family, reaching)
        if refuses(self._backend, Feature.IPV6_ROUTES) and 6 in pool.needed:  # noqa: PLR2004  # the family's own number
            elders = self.advertisements.by_age(reaching)
            yield from each_of(elders, lambda advertisement: self._ipv6_held(advertisement, pool))
        yield from self._check_rivals_over(pool, reaching)

    def _check_length(
        self, advertisement: ParsedBGPAdvertisement, family: Family, reached: int
    ) -> Iterator[ConfigError]:
        """Row A3: a block that is announced must not hold more than the pool's own block."""
        length = advertisement.lengths[family]
        narrow = 0
        for need, pools in self._by_need[family].items():
            if need > length:
                narrow |= pools
        path = LENGTH_FIELDS[family]

        def told(pool: ParsedPool) -> ConfigError:
            item = pool.needed[family]
            rule = f"is wider than {item.text!r} of {pool.object}, whose widest block is a /{item.shortest_prefix}"
            hint = f"use {item.shortest_prefix} or more"
            return conflict(advertisement.object, path, length, rule, hint, pool.object)

        return each_of(self.pools.by_age(narrow & reached), told)

    def _check_need(self, pool: ParsedPool, family: Family, reaching: int) -> Iterator[ConfigError]:
        """The same from the pool's side."""
        item = pool.needed[family]
        wide = 0
        for length, advertisements in self._by_length[family].items():
            if length < item.shortest_prefix:
                wide |= advertisements
        name = LENGTH_FIELDS[family].removeprefix("spec.")

        def told(advertisement: ParsedBGPAdvertisement) -> ConfigError:
            length = advertisement.lengths[family]
            rule = f"has no block as wide as {name} {length} of {advertisement.object}: its widest is a "
            hint = f"add addresses that fill a /{length}, or raise {name}"
            return conflict(
                pool.object, item.path, item.text, f"{rule}/{item.shortest_prefix}", hint, advertisement.object
            )

        return each_of(self.advertisements.by_age(wide & reaching), told)

    def _ipv6_reached(self, advertisement: ParsedBGPAdvertisement, pool: ParsedPool) -> ConfigError:
        path, value = "spec.ipAddressPools", ", ".join(advertisement.target.names) or "all pools"
        if advertisement.target.selectors and pool.pool.name not in advertisement.target.names:
            path, value = "spec.ipAddressPoolSelectors", pool.pool.name
        item = pool.needed[6]
        rule = f"reaches {item.text!r} of {pool.object}, and backend {self._backend} can't announce IPv6 by BGP"
        return conflict(
            advertisement.object, path, value, rule, "choose pools without IPv6, or use another backend", pool.object
        )

    def _ipv6_held(self, advertisement: ParsedBGPAdvertisement, pool: ParsedPool) -> ConfigError:
        item = pool.needed[6]
        rule = f"is reached by {advertisement.object}, and backend {self._backend} can't announce IPv6 by BGP"
        hint = "choose the pools of the advertisement, or use another backend"
        return conflict(pool.object, item.path, item.text, rule, hint, advertisement.object)

    def _check_rivals(
        self, advertisement: ParsedBGPAdvertisement, reached: int, before: Seniority | None
    ) -> Iterator[ConfigError]:
        """Row A5: on one pool the same routes would go to the same peers with two local preferences."""
        slot = self.advertisements.slot(advertisement.object)
        candidates = self._rivals.of(slot) & self.advertisements.elders(before)
        # Who reaches a pool is asked for at the price of meeting some ten rivals.
        if candidates and reached.bit_count() * 10 < candidates.bit_count():
            candidates &= self._reaching_any(reached)
        elders = self.advertisements.by_age(candidates)
        meeting = (rival for rival in elders if self._meet(advertisement, rival, reached))
        return each_of(meeting, lambda rival: _rivalry(advertisement, rival))

    def _reaching_any(self, pools: int) -> int:
        mask = 0
        for pool in self.pools.of(pools):
            mask |= self.targets.reaching(pool)
        return mask

    def _meet(self, one: ParsedBGPAdvertisement, other: ParsedBGPAdvertisement, pools: int) -> bool:
        """Whether the same blocks of one of the pools would be announced by both."""
        common = pools & self.pools.reached(other.target)
        return any(
            one.lengths[family] == other.lengths[family] and common & self._holding[family] for family in FAMILIES
        )

    def _check_rivals_over(self, pool: ParsedPool, reaching: int) -> Iterator[ConfigError]:
        """The same where the pool brings two elder advertisements together."""
        contested = self._rivals.contested(reaching)
        if not contested:
            return
        pairs = self._pairs_over(pool, contested)
        yield from each_of(pairs, lambda pair: _meeting_place(pool, *pair))

    def _pairs_over(
        self, pool: ParsedPool, reaching: int
    ) -> Iterator[tuple[ParsedBGPAdvertisement, ParsedBGPAdvertisement]]:
        """Rivals for the same blocks of a pool, among those that reach it, the eldest first: found one by one."""
        younger = reaching
        rivalling = mask_of(slot for slot in bits(reaching) if self._rivals.of(slot) & reaching)
        for one in self.advertisements.by_age(rivalling):
            slot = self.advertisements.slot(one.object)
            younger &= ~(1 << slot)
            same_blocks = 0
            for family in pool.needed:
                same_blocks |= self._by_length[family].get(one.lengths[family], 0)
            for other in self.advertisements.by_age(self._rivals.of(slot) & younger & same_blocks):
                yield one, other


def _rivalry(advertisement: ParsedBGPAdvertisement, rival: ParsedBGPAdvertisement) -> ConfigError:
    preference = advertisement.advertisement.local_pref
    rule = f"differs from {rival.advertisement.local_pref} of {rival.object} for the same blocks, peers and nodes"
    hint = "use one preference, or other peers, nodes, pools or aggregation lengths"
    return conflict(advertisement.object, "spec.localPref", preference, rule, hint, rival.object)


def _meeting_place(pool: ParsedPool, one: ParsedBGPAdvertisement, other: ParsedBGPAdvertisement) -> ConfigError:
    rule = (
        f"would be announced with local preference {one.advertisement.local_pref} by {one.object} and with "
        f"{other.advertisement.local_pref} by {other.object}, for the same blocks, peers and nodes"
    )
    hint = "keep it from one of the two"
    return conflict(pool.object, "metadata.name", pool.pool.name, rule, hint, one.object, other.object)
