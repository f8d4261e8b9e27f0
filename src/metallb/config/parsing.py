"""What parsers of one object share: its name in errors, and the rules of every list of names or selectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from metallb.api.core import LabelSelector, ObjectMeta
from metallb.config import selectors
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.selectors import Selector


@dataclass(slots=True)
class Problems:
    """Collects the errors of one object."""

    object: ObjectName
    found: list[ConfigError] = field(default_factory=list)

    @classmethod
    def of(cls, kind: str, metadata: ObjectMeta) -> Problems:
        """For an object, named as in `kubectl`: kind, namespace and name."""
        return cls(ObjectName(kind, metadata.namespace, metadata.name))

    def add(self, path: str, value: str, rule: str, hint: str = "") -> None:
        """Notes that the value at a field breaks a rule."""
        self.found.append(ConfigError(self.object, path, value, rule, hint))

    def check_unique(self, path: str, names: Sequence[str]) -> None:
        """Notes each name that stands twice."""
        for position, name in enumerate(names):
            if name in names[:position]:
                self.add(f"{path}[{position}]", name, "is there twice", "remove one")

    def parse_selectors(self, path: str, written: Sequence[LabelSelector]) -> tuple[Selector, ...]:
        """The selectors of a list, sorted; notes malformed and repeated ones."""
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


def _text(selector: LabelSelector) -> str:
    parts = [f"{key}={value}" for key, value in sorted(selector.match_labels.items())]
    parts += [f"{e.key} {e.operator} {list(e.values)}" for e in selector.match_expressions]
    return ", ".join(parts)
