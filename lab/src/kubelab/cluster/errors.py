"""What is wrong with a cluster file: all problems at once, each with its field, value and rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kubelab.objects import Json

SHOWN_VALUE = 60
"""Longest text of a value that a message repeats."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One wrong field: its path (`nodes[1].name`), the value found there and the rule it breaks."""

    field: str
    value: Json
    rule: str

    def __str__(self) -> str:
        """The problem as people read it."""
        text = repr(self.value)
        if len(text) > SHOWN_VALUE:
            text = text[: SHOWN_VALUE - 3] + "..."
        return f"{self.field}: {text}: {self.rule}"


class ClusterError(Exception):
    """A cluster file that cannot be used.

    `source` is the file's name as the user gave it; `problems` holds at least one entry, in the order of the file.
    """

    def __init__(self, source: str, problems: Sequence[FieldProblem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))
