"""Rules of annotations, of objects and of pod templates."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.errors import FieldError
from kubelab.objects import Json

_LIMIT: Final = 256 * 1024


def annotation_errors(annotations: Json, path: str) -> list[FieldError]:
    """Keys are qualified names of any case, and all together have a limit."""
    given = fields.entries(annotations)
    found = [fields.invalid(path, key, sentence) for key in given for sentence in names.qualified_name(key.lower())]
    if sum(len(key) + len(value) for key, value in given.items()) > _LIMIT:
        found.append(FieldError(path, "FieldValueTooLong", f"Too long: may not be more than {_LIMIT} bytes"))
    return found
