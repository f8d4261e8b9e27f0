"""Reading one mapping of a cluster file: typed access that collects every problem instead of stopping at the first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from kubelab.cluster.errors import FieldProblem
from kubelab.cluster.model import IPNetwork
from kubelab.objects import Json, Object


@dataclass(frozen=True, slots=True)
class Form:
    """What a text must look like: a pattern for all of it, a greatest length, and the rule in words."""

    pattern: re.Pattern[str]
    limit: int
    rule: str

    def holds(self, value: Json) -> bool:
        """Whether `value` is such a text."""
        return isinstance(value, str) and len(value) <= self.limit and self.pattern.fullmatch(value) is not None


class Problems:
    """The problems found so far, in order."""

    def __init__(self) -> None:
        self.found: list[FieldProblem] = []

    def add(self, path: str, value: Json, rule: str) -> None:
        """One more problem."""
        self.found.append(FieldProblem(path, value, rule))


@dataclass(slots=True)
class Fields:
    """A mapping at `path` of the file. Reading a field marks it as known; `refuse_unknown` reports the others."""

    values: Object
    path: str
    problems: Problems
    _known: set[str] = field(default_factory=set)
    _children: list[Fields] = field(default_factory=list)

    @classmethod
    def of(cls, value: Json, path: str, problems: Problems) -> Fields:
        """The fields of `value`; a problem, and no fields, if it is no mapping with names as keys."""
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return cls(value, path, problems)
        problems.add(path or "file", value, "must be a mapping from field names to values")
        return cls({}, path, problems)

    def __contains__(self, name: str) -> bool:
        """Whether the file sets the field."""
        return name in self.values

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def read(self, name: str) -> Json:
        """A field's value as it is, None if it is not set."""
        self._known.add(name)
        return self.values.get(name)

    def refuse_unknown(self) -> None:
        """Report every field, here and below, that nobody has read."""
        for name, value in self.values.items():
            if name not in self._known:
                known = ", ".join(sorted(self._known))
                self.problems.add(self.at(name), value, f"unknown field; known here: {known}")
        for child in self._children:
            child.refuse_unknown()

    def text(self, name: str, form: Form, default: str | None = None) -> str:
        """A text of the given form; it must be set unless there is a default."""
        value = self.read(name)
        if value is None and default is not None:
            return default
        if not form.holds(value):
            self.problems.add(self.at(name), value, form.rule)
            return ""
        return str(value)

    def number(self, name: str, between: range, default: int | None = None) -> int:
        """A whole number of the given range; it must be set unless there is a default."""
        value = self.read(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value not in between:
            self.problems.add(self.at(name), value, f"must be a number from {between.start} to {between.stop - 1}")
            return between.start
        return value

    def flag(self, name: str) -> bool:
        """True or false; false if it is not set."""
        value = self.read(name)
        if value is not None and not isinstance(value, bool):
            self.problems.add(self.at(name), value, "must be true or false")
        return value is True

    def texts(self, name: str, form: Form, default: Sequence[str]) -> tuple[str, ...]:
        """A list of texts of the given form."""
        if name not in self:
            self.read(name)
            return tuple(default)
        found = []
        for index, value in enumerate(self._list(name)):
            if form.holds(value):
                found.append(str(value))
            else:
                self.problems.add(f"{self.at(name)}[{index}]", value, form.rule)
        return tuple(found)

    def child(self, name: str) -> Fields:
        """A field that is a mapping; no fields if it is not set."""
        value = self.read(name)
        child = Fields.of({} if value is None else value, self.at(name), self.problems)
        self._children.append(child)
        return child

    def children(self, name: str) -> list[Fields]:
        """A field that is a list of mappings."""
        values = self._list(name)
        found = [Fields.of(value, f"{self.at(name)}[{index}]", self.problems) for index, value in enumerate(values)]
        self._children.extend(found)
        return found

    def ipv4_range(self, name: str) -> IPv4Network | None:
        """An IPv4 range, None if it is not set."""
        found = self._range(name, "must be an IPv4 range such as 198.51.100.0/24, without host bits")
        if isinstance(found, IPv6Network):
            self.problems.add(self.at(name), str(found), "must be an IPv4 range")
            return None
        return found

    def ipv6_range(self, name: str) -> IPv6Network | None:
        """An IPv6 range, None if it is not set."""
        found = self._range(name, "must be an IPv6 range such as 2001:db8:100::/64, without host bits")
        if isinstance(found, IPv4Network):
            self.problems.add(self.at(name), str(found), "must be an IPv6 range")
            return None
        return found

    def _range(self, name: str, rule: str) -> IPNetwork | None:
        value = self.read(name)
        found = parse_range(value)
        if found is None and value is not None:
            self.problems.add(self.at(name), value, rule)
        return found

    def ranges(self, name: str) -> tuple[IPNetwork, ...]:
        """A list of address ranges of any family."""
        found = []
        for index, value in enumerate(self._list(name)):
            each = parse_range(value)
            if each is None:
                self.problems.add(
                    f"{self.at(name)}[{index}]", value, "must be a range such as 198.19.0.0/16, without host bits"
                )
            else:
                found.append(each)
        return tuple(found)

    def _list(self, name: str) -> list[Json]:
        """A field that is a list; a problem, and no entries, if it is another thing."""
        value = self.read(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problems.add(self.at(name), value, "must be a list")
            return []
        return value


def parse_range(value: Json) -> IPv4Network | IPv6Network | None:
    """The range a text names, None if it names none. A single address is no range."""
    if not isinstance(value, str) or "/" not in value:
        return None
    try:
        return ip_network(value)
    except ValueError:
        return None
