"""What is wrong with a configuration, as values: every place that shows it prints the same words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ConfigError:
    """One broken rule.

    Attributes:
        object: kind, namespace and name: `IPAddressPool metallb-system/first`.
        field: path of the field: `spec.addresses[0]`.
        value: what stands there.
        rule: the rule it breaks, as the rest of a sentence about the value.
        hint: what would fix it; may be empty.
    """

    object: str
    field: str
    value: str
    rule: str
    hint: str = ""

    def __str__(self) -> str:
        """One line for people."""
        text = f"{self.object}: {self.field}: {self.value!r} {self.rule}"
        return f"{text}; {self.hint}" if self.hint else text
