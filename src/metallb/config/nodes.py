"""Which nodes selectors select, as masks: two objects share a node where their masks share a bit."""

from __future__ import annotations

from collections.abc import Mapping

from metallb.config.lookup import Labelled
from metallb.config.selectors import Labels, Selector
from metallb.config.slots import Groups

ALL = -1
"""The mask of all nodes, known and unknown."""


class Nodes:
    """The nodes of the cluster; without any, they are unknown (spec/crds.md 10.8).

    Where they are unknown, two peers are taken to share a node. Two advertisements are taken to share one only if one
    of them selects all nodes or both have an equal selector: selectors for one node each are usual.
    """

    def __init__(self, nodes: Mapping[str, Labels] | None) -> None:
        self._labelled: Labelled[str] = Labelled()
        self._bits: dict[str, int] = {}
        self._guesses: dict[Selector, int] = {}
        self._masks: dict[tuple[Selector, ...], int] = {}
        for name, labels in sorted((nodes or {}).items()):
            self._labelled.put(name, labels)
            self._bits[name] = 1 << len(self._bits)

    @property
    def known(self) -> bool:
        """Whether there is any node."""
        return bool(self._bits)

    def selected(self, selectors: tuple[Selector, ...]) -> int:
        """The mask of nodes that one of the selectors matches; where nodes are unknown, of selectors."""
        mask = self._masks.get(selectors)
        if mask is None:
            mask = self._matching(selectors) if self.known else self._guessed(selectors)
            self._masks[selectors] = mask
        return mask

    def _matching(self, selectors: tuple[Selector, ...]) -> int:
        mask = 0
        for name in self._labelled.matching(selectors):
            mask |= self._bits[name]
        return mask

    def _guessed(self, selectors: tuple[Selector, ...]) -> int:
        mask = 0
        for each in selectors:
            if not each.requirements:
                return ALL
            mask |= self._guesses.setdefault(each, 1 << len(self._guesses))
        return mask


class OnNodes:
    """Objects by the nodes they are on, asked for who shares one."""

    def __init__(self) -> None:
        self._by_nodes: Groups[int] = Groups()
        self._nodes: dict[int, int] = {}

    def put(self, slot: int, nodes: int) -> None:
        """Notes that the object at a slot is on these nodes."""
        self._nodes[slot] = nodes
        self._by_nodes.put(nodes, slot)

    def remove(self, slot: int) -> None:
        """Takes back what `put` noted."""
        self._by_nodes.remove(self._nodes.pop(slot), slot)

    def sharing(self, slot: int) -> int:
        """The mask of objects that share a node with that at a slot, itself among them if it is on any."""
        nodes = self._nodes[slot]
        found = 0
        for each, objects in self._by_nodes.items():
            if each & nodes:
                found |= objects
        return found
