"""What `metallb validate` found, as values: the same for people and for programs.

The JSON form is documented in docs/how-to/validate-configuration.md: fields are only ever added.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from metallb.cli.documents import Document, FieldPath
from metallb.config.errors import ConfigError, ObjectName

Severity = Literal["error", "transient", "warning"]
_RANKS: Final[dict[Severity, int]] = {"error": 0, "transient": 1, "warning": 2}
_STEP: Final = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


class Subject(Struct, frozen=True):
    """An object by name."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, name: ObjectName) -> Subject:
        """From the name in an error."""
        return cls(name.kind, name.namespace, name.name)

    def __str__(self) -> str:
        """As errors print it."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Finding(Struct, frozen=True):
    """One thing that is not as it should be.

    Attributes:
        severity: error: would be refused. transient: would be taken, and has no effect until another object exists.
            warning: works, though perhaps not as it is meant.
        file: as it was named; `-` is standard input; empty: the object is in the cluster and in no file.
        document: of the file, from 1; 0 where there is no file.
        line: of the field or what is around it; null: unknown.
        object: null: it could not be told.
        field: path of the field; empty: the whole object.
        value: what stands there; empty where there is nothing, or a secret.
        rule: the rest of a sentence about the value; without a field a sentence.
        hint: what would mend it; may be empty.
        others: objects that it is in conflict with.
    """

    severity: Severity
    file: str
    document: int
    line: int | None
    object: Subject | None
    field: str
    value: str
    rule: str
    hint: str
    others: tuple[Subject, ...]

    @property
    def place(self) -> tuple[str, int, int]:
        """By which findings are sorted: as the files are read."""
        return self.file, self.document, self.line or 0

    def __str__(self) -> str:
        """One line for people."""
        value = f"{self.value!r} " if self.value else ""
        parts = [str(self.object) if self.object else "", self.field, f"{value}{self.rule}"]
        text = ": ".join(part for part in parts if part)
        line = f":{self.line}" if self.line else f" (document {self.document})" if self.document > 1 else ""
        where = f"{self.file}{line}" if self.file else "in the cluster"
        return f"{where}: {self.severity}: {text}{f'; {self.hint}' if self.hint else ''}"


def finding(  # what a finding is made of
    severity: Severity,
    rule: str,
    *,
    document: Document | None,
    object_name: ObjectName | None = None,
    field: str = "",
    value: str = "",
    hint: str = "",
    others: Iterable[ObjectName] = (),
) -> Finding:
    """A finding at the place where the field is written; without a document the object is in the cluster."""
    return Finding(
        severity=severity,
        file=document.file if document else "",
        document=document.index if document else 0,
        line=document.line_of(path_of(field)) if document else None,
        object=Subject.of(object_name) if object_name else None,
        field=field,
        value=value,
        rule=rule,
        hint=hint,
        others=tuple(map(Subject.of, others)),
    )


def of_error(error: ConfigError, document: Document | None, severity: Severity) -> Finding:
    """The finding of an error of the configuration."""
    return finding(
        severity,
        error.rule,
        document=document,
        object_name=error.object,
        field=error.field,
        value=error.value,
        hint=error.hint,
        others=error.others,
    )


def path_of(field: str) -> FieldPath:
    """`spec.addresses[0]` as steps; a key with dots in it comes apart, and its line is that of what is around it."""
    return tuple(int(position) if position else name for position, name in _STEP.findall(field))


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Each once, as the files are read; at one place errors first."""
    return sorted(set(findings), key=lambda each: (each.place, _RANKS[each.severity], each.field, each.rule))
