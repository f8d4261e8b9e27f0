"""Which BGP advertisements would differ in local preference before the same peers, from a same node (10.6, row A5).

Whether two rivals also meet on a pool is for `routes` to see.
"""

from __future__ import annotations

from metallb.config.advertisements import ParsedBGPAdvertisement
from metallb.config.nodes import OnNodes
from metallb.config.slots import Groups, bits


class Rivals:
    """Advertisements by what they are compared by, as masks, and for each the mask of its rivals."""

    def __init__(self) -> None:
        self._preferences: Groups[int] = Groups()
        self._lengths: tuple[Groups[int], Groups[int]] = (Groups(), Groups())
        self._peers: Groups[str] = Groups()
        self._all_peers = 0
        self._nodes = OnNodes()
        self._rivals: dict[int, int] = {}

    def put(self, slot: int, advertisement: ParsedBGPAdvertisement, nodes: int) -> None:
        """Notes an advertisement; one that chooses Services has no rivals."""
        if advertisement.selects_services:
            return
        rivals = self._find(advertisement)
        self._nodes.put(slot, nodes)
        rivals = rivals and rivals & self._nodes.sharing(slot)
        self._rivals[slot] = rivals
        for other in bits(rivals):
            self._rivals[other] |= 1 << slot
        self._preferences.put(advertisement.advertisement.local_pref, slot)
        for family, groups in zip(advertisement.lengths, self._lengths, strict=True):
            groups.put(advertisement.lengths[family], slot)
        for peer in advertisement.advertisement.peers:
            self._peers.put(peer, slot)
        if not advertisement.advertisement.peers:
            self._all_peers |= 1 << slot

    def remove(self, slot: int, advertisement: ParsedBGPAdvertisement) -> None:
        """Takes back what `put` noted."""
        if advertisement.selects_services:
            return
        for other in bits(self._rivals.pop(slot)):
            self._rivals[other] &= ~(1 << slot)
        self._nodes.remove(slot)
        self._preferences.remove(advertisement.advertisement.local_pref, slot)
        for family, groups in zip(advertisement.lengths, self._lengths, strict=True):
            groups.remove(advertisement.lengths[family], slot)
        for peer in advertisement.advertisement.peers:
            self._peers.remove(peer, slot)
        self._all_peers &= ~(1 << slot)

    def of(self, slot: int) -> int:
        """The mask of rivals of the advertisement at a slot."""
        return self._rivals.get(slot, 0)

    def contested(self, among: int) -> int:
        """The mask of those that could have a rival in the same mask: none where all have one preference."""
        found, preferences = 0, 0
        for advertisements in self._preferences.values():
            if advertisements & among:
                found |= advertisements & among
                preferences += 1
        return found if preferences > 1 else 0

    def _find(self, advertisement: ParsedBGPAdvertisement) -> int:
        """Rivals among those that are there, wherever they are."""
        wanted = advertisement.advertisement
        everyone = 0
        for preference, advertisements in self._preferences.items():
            if preference != wanted.local_pref:
                everyone |= advertisements
        same_blocks = 0
        for family, groups in zip(advertisement.lengths, self._lengths, strict=True):
            same_blocks |= groups.get(advertisement.lengths[family], 0)
        if not wanted.peers:
            return everyone & same_blocks
        same_peers = self._all_peers
        for peer in wanted.peers:
            same_peers |= self._peers.get(peer, 0)
        return everyone & same_blocks & same_peers
