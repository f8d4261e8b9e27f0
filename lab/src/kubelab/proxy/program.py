"""The whole table as a value that services are put into, and the nft text that brings the kernel up to it.

`text()` replaces the table; `changes()` is the least that leads from what was taken last to what is wanted now, in one
transaction. Both leave the same table behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kubelab.proxy.model import ServiceKey
from kubelab.proxy.rules import NOTHING, TABLE, Element, Fragment, Node, base


class Program:
    """All services' fragments. Where two services claim one address and port, the one first by name has it."""

    def __init__(self, node: Node) -> None:
        self._base = base(node)
        self._fragments: dict[ServiceKey, Fragment] = {}
        self._claims: dict[Element, dict[ServiceKey, str]] = {}
        self._chains: dict[str, tuple[str, ...]] = {}
        # What `changes` has to compare with: chains and elements touched since, as they were then (None: absent).
        self._chains_before: dict[str, tuple[str, ...] | None] = {}
        self._elements_before: dict[Element, str | None] = {}

    def put(self, key: ServiceKey, fragment: Fragment) -> Fragment:
        """Let a service be `fragment` from now on (`NOTHING`: gone); returns what it was."""
        old = self._fragments.pop(key, NOTHING)
        if fragment is not NOTHING:
            self._fragments[key] = fragment
        self._put_chains(old.chains, fragment.chains)
        for element in old.elements.keys() | fragment.elements.keys():
            self._claim(element, key, fragment.elements.get(element))
        return old

    def text(self) -> str:
        """The commands that replace whatever table of this name there is by this one."""
        self._settled()
        lines = [f"table {TABLE}", f"delete table {TABLE}", self._base]
        lines += _chain_lines(self._chains)
        lines += _element_lines("add", self._elements())
        return "\n".join(lines) + "\n"

    def changes(self) -> str:
        """The commands since the last `changes` or `text`; empty if there is nothing to do."""
        chains, elements = self._changed_chains(), self._changed_elements()
        self._settled()
        put = {name: new for name, (_, new) in chains.items() if new is not None}
        added = [name for name, (old, _) in chains.items() if old is None]
        kept = [name for name, (old, new) in chains.items() if old is not None and new is not None]
        gone = [name for name, (old, new) in chains.items() if old is not None and new is None]
        lines = [f"add chain {TABLE} {name}" for name in added]
        lines += [f"flush chain {TABLE} {name}" for name in (*kept, *gone)]
        lines += list(_rule_lines(put))
        lines += _element_lines("delete", {key: "" for key, (old, _) in elements.items() if old is not None})
        lines += _element_lines("add", {key: new for key, (_, new) in elements.items() if new is not None})
        lines += [f"delete chain {TABLE} {name}" for name in gone]
        return "\n".join(lines) + "\n" if lines else ""

    # --- inside --------------------------------------------------------------------------------------------------

    def _settled(self) -> None:
        self._chains_before.clear()
        self._elements_before.clear()

    def _put_chains(self, old: Mapping[str, tuple[str, ...]], new: Mapping[str, tuple[str, ...]]) -> None:
        for name in old.keys() | new.keys():
            self._chains_before.setdefault(name, self._chains.get(name))
            if name in new:
                self._chains[name] = new[name]
            else:
                self._chains.pop(name, None)

    def _claim(self, element: Element, key: ServiceKey, verdict: str | None) -> None:
        self._elements_before.setdefault(element, self._verdict(element))
        claims = self._claims.setdefault(element, {})
        if verdict is None:
            claims.pop(key, None)
        else:
            claims[key] = verdict
        if not claims:
            del self._claims[element]

    def _verdict(self, element: Element) -> str | None:
        claims = self._claims.get(element)
        return _first(claims) if claims else None

    def _elements(self) -> dict[Element, str]:
        return {element: _first(claims) for element, claims in self._claims.items()}

    def _changed_chains(self) -> dict[str, tuple[tuple[str, ...] | None, tuple[str, ...] | None]]:
        pairs = {name: (old, self._chains.get(name)) for name, old in sorted(self._chains_before.items())}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def _changed_elements(self) -> dict[Element, tuple[str | None, str | None]]:
        pairs = {element: (old, self._verdict(element)) for element, old in self._elements_before.items()}
        return {element: pair for element, pair in pairs.items() if pair[0] != pair[1]}


def _first(claims: Mapping[ServiceKey, str]) -> str:
    """What the first of the services by name says. Of a set's member all say the same, and thousands may."""
    return claims[min(claims)] if next(iter(claims.values())) else ""


def _chain_lines(chains: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Declarations first: a rule may only go to a chain that exists."""
    ordered = dict(sorted(chains.items()))
    return [f"add chain {TABLE} {name}" for name in ordered] + list(_rule_lines(ordered))


def _rule_lines(chains: Mapping[str, Iterable[str]]) -> Iterator[str]:
    for name, rules in chains.items():
        for rule in rules:
            yield f"add rule {TABLE} {name} {rule}"


def _element_lines(verb: str, elements: Mapping[Element, str]) -> list[str]:
    """One command per map or set, however many elements."""
    groups: dict[str, list[str]] = {}
    for element, verdict in sorted(elements.items()):
        groups.setdefault(element.container, []).append(f"{element.key} : {verdict}" if verdict else element.key)
    return [f"{verb} element {TABLE} {name} {{ {', '.join(items)} }}" for name, items in groups.items()]
