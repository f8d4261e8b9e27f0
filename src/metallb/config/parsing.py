"""What parsers of one object share: what comes out of them, the object's name in errors, rules of lists and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from metallb.api.core import LabelSelector, ObjectMeta
from metallb.config import selectors
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.selectors import Selector

Seniority = tuple[str, str, str, str]
"""Sorts the oldest object first: time of creation, kind, namespace, name."""

_NOT_CREATED_YET = "~"
_YOUNGEST = "~~"


@dataclass(frozen=True, slots=True)
class Parsed:
    """One object as far as it could be read; each kind adds what it holds.

    Attributes:
        object: its name.
        seniority: of two objects in conflict the one with the larger value is to blame.
        errors: what is wrong with it by itself.
    """

    object: ObjectName
    seniority: Seniority
    errors: tuple[ConfigError, ...]


@dataclass(slots=True)
class Problems:
    """Collects the errors of one object."""

    object: ObjectName
    found: list[ConfigError] = field(default_factory=list)

    @classmethod
    def of(cls, kind: str, metadata: ObjectMeta) -> Problems:
        """For an object, named as in `kubectl`: kind, namespace and name. A name it must have."""
        problems = cls(ObjectName(kind, metadata.namespace, metadata.name))
        if not metadata.name:
            problems.add("metadata.name", "", "must not be empty")
        return problems

    def head(self, metadata: ObjectMeta) -> tuple[ObjectName, Seniority, tuple[ConfigError, ...]]:
        """The fields that `Parsed` starts with; to be asked when the whole object is read."""
        return self.object, seniority(self.object, metadata.creation_timestamp), tuple(self.found)

    def add(self, path: str, value: str | int, rule: str, hint: str = "") -> None:
        """Notes that the value at a field breaks a rule."""
        self.found.append(ConfigError(self.object, path, str(value), rule, hint))

    def check_unique(self, path: str, names: Sequence[str]) -> None:
        """Notes each name that stands twice."""
        seen = set()
        for position, name in enumerate(names):
            if name in seen:
                self.add(f"{path}[{position}]", name, "is there twice", "remove one")
            seen.add(name)

    def check_number(self, path: str, value: int, smallest: int, largest: int) -> bool:
        """Notes a number out of its range; tells whether it is within."""
        if smallest <= value <= largest:
            return True
        self.add(path, value, f"must be from {smallest} to {largest}")
        return False

    def parse_selectors(self, path: str, written: Sequence[LabelSelector]) -> tuple[Selector, ...]:
        """The selectors of a list, sorted; notes malformed and repeated ones."""
        if not written:
            return ()
        parsed = []
        for position, selector in enumerate(written):
            one = self.parse_selector(f"{path}[{position}]", selector)
            if one is not None:
                parsed.append(one)
        for position in selectors.duplicates(written):
            self.add(f"{path}[{position}]", _text(written[position]), "repeats an earlier selector", "remove one")
        return tuple(sorted(parsed))

    def parse_selector(self, path: str, written: LabelSelector) -> Selector | None:
        """One selector; notes what is malformed."""
        try:
            return selectors.parse(written)
        except ValueError as error:
            self.add(path, _text(written), str(error))
            return None


def seniority(name: ObjectName, created: str | None) -> Seniority:
    """Of an object; what the API server has not created yet is younger than all that it has."""
    return created or _NOT_CREATED_YET, *name


def youngest(name: ObjectName) -> Seniority:
    """As if the object were younger than every other."""
    return _YOUNGEST, *name


def _text(selector: LabelSelector) -> str:
    parts = [f"{key}={value}" for key, value in sorted(selector.match_labels.items())]
    parts += [f"{e.key} {e.operator} {list(e.values)}" for e in selector.match_expressions]
    return ", ".join(parts)
