"""Field errors in the words of kube-apiserver (apimachinery `field.Error`): one constructor for each type of error."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from kubelab.apiserver.errors import FieldError
from kubelab.objects import Json


def shown(value: Json) -> str:
    """A value as the server quotes it in a message: JSON, text as a Go string literal."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def quoted(values: Iterable[str]) -> str:
    """A list of strings as Go's `%q` writes it: `["a" "b"]`."""
    return "[" + " ".join(shown(value) for value in values) + "]"


def _sentence(head: str, detail: str) -> str:
    return f"{head}: {detail}" if detail else head


def required(field: str, detail: str = "") -> FieldError:
    """The field must have a value."""
    return FieldError(field, "FieldValueRequired", _sentence("Required value", detail))


def invalid(field: str, value: Json, detail: str) -> FieldError:
    """The value breaks a rule."""
    return FieldError(field, "FieldValueInvalid", _sentence(f"Invalid value: {shown(value)}", detail))


def unsupported(field: str, value: Json, supported: Iterable[str]) -> FieldError:
    """The value is not one of those; they are shown in alphabetical order, but a list stays in its own."""
    values = ", ".join(shown(one) for one in (supported if isinstance(supported, list) else sorted(supported)))
    return FieldError(field, "FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {values}")


def duplicate(field: str, value: Json) -> FieldError:
    """The value stands in the list already."""
    return FieldError(field, "FieldValueDuplicate", f"Duplicate value: {shown(value)}")


def forbidden(field: str, detail: str) -> FieldError:
    """The field may not be set here."""
    return FieldError(field, "FieldValueForbidden", f"Forbidden: {detail}")


def not_found(field: str, value: Json) -> FieldError:
    """What the field refers to does not exist."""
    return FieldError(field, "FieldValueNotFound", f"Not found: {shown(value)}")


def too_long(field: str, limit: int) -> FieldError:
    """The value has more characters or bytes than allowed."""
    return FieldError(field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def too_many(field: str, count: int, limit: int) -> FieldError:
    """The list has more items than allowed."""
    return FieldError(field, "FieldValueTooMany", f"Too many: {count}: must have at most {limit} items")


def immutable(field: str, value: Json, old: Json) -> list[FieldError]:
    """An error when a field that stays as it was made has changed."""
    return [] if value == old else [invalid(field, value, "field is immutable")]


def items(value: Any) -> list[Any]:
    """A list field's items; absent and null are no items."""
    return value if isinstance(value, list) else []


def entries(value: Any) -> dict[str, Any]:
    """A map field's or object's entries; absent and null are no entries."""
    return value if isinstance(value, dict) else {}
