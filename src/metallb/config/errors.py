"""What is wrong with a configuration, as values: every place that shows it prints the same words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class ObjectName(NamedTuple):
    """An object as people name it; printed `IPAddressPool metallb-system/first`."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """As in errors, events and logs."""
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class ConfigError:
    """One broken rule.

    Attributes:
        object: the object that has to change; of two in conflict the younger one.
        field: path of the field: `spec.addresses[0]`.
        value: what stands there; never a secret.
        rule: the rule it breaks, as the rest of a sentence about the value.
        hint: what would fix it; may be empty.
        others: the elder objects that it is in conflict with.
        transient: it waits for an object that may yet come, and is right as it stands.
    """

    object: ObjectName
    field: str
    value: str
    rule: str
    hint: str = ""
    others: tuple[ObjectName, ...] = ()
    transient: bool = False

    def __str__(self) -> str:
        """One line for people."""
        text = f"{self.object}: {self.field}: {self.value!r} {self.rule}"
        return f"{text}; {self.hint}" if self.hint else text
