"""The strategy that built-in kinds extend: names, and the frame in which a kind states its rules."""

from __future__ import annotations

from typing import ClassVar

from kubelab.apiserver.builtin import names
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context, GenericStrategy
from kubelab.objects import Object


class Kind(GenericStrategy):
    """A built-in kind.

    `validate_create` asks `rules`; `validate_update` asks `update_rules` (what may not change) and `rules`. Updates of
    a subresource are judged by `status_rules` alone.
    """

    name_syntax: ClassVar[names.Syntax] = staticmethod(names.dns_subdomain)
    """What a name of this kind must look like; the server checks it with the other metadata."""

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # kinds override it
        """Rules that hold at all times."""
        return []

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # kinds override it
        """What may not change."""
        return []

    def status_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # kinds override it
        """Rules of the status, when the status is written."""
        return []

    def validate_create(self, obj: Object, context: Context) -> list[FieldError]:
        """Every broken rule of a new object."""
        return self.rules(obj, context)

    def validate_update(self, obj: Object, old: Object, context: Context) -> list[FieldError]:
        """Every broken rule of a changed object, the forbidden changes first."""
        if context.subresource == "status":
            return self.status_rules(obj, old, context)
        return [*self.update_rules(obj, old, context), *self.rules(obj, context)]


def set_default(obj: Object, field: str, value: object) -> None:
    """Set a field that is absent or null."""
    if obj.get(field) is None:
        obj[field] = value


def drop_empty(obj: Object, *names_: str) -> None:
    """Remove fields that are null or empty lists, maps or text: as the server stores them, they are not there."""
    for name in names_:
        if name in obj and obj[name] in (None, [], {}, ""):
            del obj[name]
