"""Check one value's own type, format and bounds, without what lies inside it (kube-openapi `validation/validate`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema import formats, patterns, wording
from kubelab.apiserver.schema.equality import same
from kubelab.apiserver.schema.model import UNBOUNDED, Bounds, Schema, SchemaType
from kubelab.objects import Json

INT32: Final = (-(2**31), 2**31 - 1)
INT64: Final = (-(2**63), 2**63 - 1)

_TYPES: Final[dict[SchemaType, tuple[str, ...]]] = {
    "any": (),
    "int-or-string": ("integer", "string"),
    "quantity": ("string", "number"),
}
_ONE: Final[dict[SchemaType, tuple[str, ...]]] = {
    kind: (kind,) for kind in ("object", "array", "string", "integer", "number", "boolean")
}
_ALLOWED: Final = _TYPES | _ONE
_KINDS: Final[dict[type, str]] = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "integer",
    list: "array",
    str: "string",
    type(None): "null",
}
_NUMBER_FORMATS: Final = {"integer": ("int32", "int64"), "number": ("float", "double")}
_OWN_FORMAT: Final = {"integer": "int64", "number": "float64"}
_EXACT: Final = 2.0**53 - 1
_LARGEST_FLOAT: Final = 3.4028234663852886e38


def kind_of(value: Json) -> str:
    """A value's JSON type; integers that 64 bits cannot hold are numbers."""
    kind = _KINDS[type(value)]
    if kind == "integer" and not INT64[0] <= value <= INT64[1]:
        return "number"
    return kind


def check_type(schema: Schema, value: Json, path: str, errors: list[FieldError]) -> int:
    """Type, and format where it says more of the type. Answers how many checks held."""
    types, kind = _ALLOWED[schema.type], kind_of(value)
    if kind in types and not schema.format:
        return 2
    if value is None:
        if types and not schema.nullable:
            _wrong_type(path, ",".join(types), kind, errors)
            return 0
        return 1
    wanted = _checked_format(schema, types)
    if not types and not wanted:
        return 0
    if wrong := _mismatch(types, wanted, value, kind):
        _wrong_type(path, *wrong, errors)
        return 1
    return 2


def _checked_format(schema: Schema, types: tuple[str, ...]) -> str:
    """The format if anybody checks it for values of this type; all others say nothing."""
    if not schema.format:
        return ""
    only = types[0] if len(types) == 1 else "string"
    if only == "string":
        return schema.format if formats.known(schema.format) else ""
    return schema.format if schema.format in _NUMBER_FORMATS.get(only, ()) else ""


def _mismatch(types: tuple[str, ...], wanted: str, value: Json, kind: str) -> tuple[str, str] | None:
    """What was expected and what was found; None if they fit."""
    fits = kind in types or (kind == "integer" and "number" in types)
    fits = fits or (kind == "number" and "integer" in types and _is_whole(value))
    if fits:
        return None
    if wanted and kind not in {"string", "array"}:
        return wanted, _OWN_FORMAT.get(kind, "")
    if wanted and "integer" not in types and "number" not in types:
        return None
    return ",".join(types), kind


def _is_whole(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= _EXACT and float(value).is_integer()


def _wrong_type(path: str, expected: str, found: str, errors: list[FieldError]) -> None:
    detail = f"{path} in body must be of type {expected}: {wording.quoted(found)}"
    errors.append(wording.type_invalid(path, found, detail))


def check_scalar(schema: Schema, value: Json, path: str, errors: list[FieldError]) -> int:
    """Bounds, format and enumeration of a string, number or boolean. Answers how many checks applied."""
    applied = 0
    if isinstance(value, str):
        applied = _check_string(schema, value, path, errors)
    elif not isinstance(value, bool):
        _check_number(schema, value, path, errors)
        applied = 2
    check_enum(schema, value, path, errors)
    return applied


def check_enum(schema: Schema, value: Json, path: str, errors: list[FieldError]) -> None:
    """The value is one of those listed; null never is."""
    allowed = schema.bounds.enum
    if not allowed or (value is not None and any(same(value, one) for one in allowed)):
        return
    errors.append(
        wording.unsupported(path, value, [one if isinstance(one, str) else wording.shown(one) for one in allowed])
    )


def _check_string(schema: Schema, value: str, path: str, errors: list[FieldError]) -> int:
    if schema.bounds is not UNBOUNDED:
        _check_text(schema.bounds, value, path, errors)
    check = formats.known(schema.format) if schema.format else None
    if check is None:
        return 1
    if not check(value):
        detail = f"{path} in body must be of type {schema.format}: {wording.quoted(value)}"
        errors.append(wording.type_invalid(path, value, detail))
    return 2


def _check_text(bounds: Bounds, value: str, path: str, errors: list[FieldError]) -> None:
    """Length before pattern: the first that fails is the only one told."""
    if bounds.max_length is not None and len(value) > bounds.max_length:
        errors.append(wording.too_long(path, int(bounds.max_length)))
    elif bounds.min_length is not None and len(value) < bounds.min_length:
        detail = f"{path} in body should be at least {int(bounds.min_length)} chars long"
        errors.append(wording.invalid(path, value, detail))
    elif bounds.pattern and not patterns.matches(bounds.pattern, value):
        errors.append(wording.invalid(path, value, f"{path} in body should match '{bounds.pattern}'"))


def _check_number(schema: Schema, value: float, path: str, errors: list[FieldError]) -> None:
    _check_range(schema, value, path, errors)
    bounds = schema.bounds
    if bounds is UNBOUNDED:
        return
    if bounds.multiple_of is not None:
        _check_multiple(bounds.multiple_of, value, path, errors)
    if bounds.minimum is not None and _beyond(bounds.minimum, value, exclusive=bounds.exclusive_minimum):
        limit = "greater than" if bounds.exclusive_minimum else "greater than or equal to"
        _out_of_bounds(path, value, f"{limit} {_limit(bounds.minimum, value)}", errors)
    if bounds.maximum is not None and _beyond(value, bounds.maximum, exclusive=bounds.exclusive_maximum):
        limit = "less than" if bounds.exclusive_maximum else "less than or equal to"
        _out_of_bounds(path, value, f"{limit} {_limit(bounds.maximum, value)}", errors)


def _check_range(schema: Schema, value: float, path: str, errors: list[FieldError]) -> None:
    """Numbers fit into the bits that type and format give them."""
    sized = schema.format if schema.format in _NUMBER_FORMATS.get(schema.type, ()) else ""
    if _fits(schema.type, sized, value):
        return
    of = f"with format {sized}" if sized else "(default format)"
    errors.append(wording.invalid("", "", f"Checked value must be of type {schema.type} {of} in {path}"))


def _fits(kind: str, sized: str, value: float) -> bool:
    if kind == "integer":
        low, high = INT32 if sized == "int32" else INT64
        return math.isfinite(value) and float(value).is_integer() and low <= value <= high
    return sized != "float" or abs(value) <= _LARGEST_FLOAT


def _beyond(larger: float, smaller: float, *, exclusive: bool) -> bool:
    return larger >= smaller if exclusive else larger > smaller


def _limit(limit: float, value: float) -> str:
    """A limit as it is printed: whole where the value is."""
    return wording.number(int(limit) if isinstance(value, int) and math.isfinite(limit) else limit)


def _out_of_bounds(path: str, value: float, limit: str, errors: list[FieldError]) -> None:
    errors.append(wording.invalid(path, value, f"{path} in body should be {limit}"))


def _check_multiple(factor: float, value: float, path: str, errors: list[FieldError]) -> None:
    if factor <= 0:
        shown = wording.number(factor)
        detail = f"factor MultipleOf declared for {path} must be positive: {shown}"
        errors.append(wording.invalid(path, factor, detail))
    elif not _is_multiple(factor, value):
        shown = _limit(factor, value)
        errors.append(wording.invalid(path, value, f"{path} in body should be a multiple of {shown}"))


def _is_multiple(factor: float, value: float) -> bool:
    if isinstance(value, int) and float(factor).is_integer():
        return value % int(factor) == 0
    quotient = 1 / factor * value if factor < 1 else value / factor
    return _is_whole(quotient)


def check_size(schema: Schema, count: int, path: str, errors: list[FieldError]) -> None:
    """How many entries a map has."""
    bounds = schema.bounds
    if bounds.min_properties is not None and count < bounds.min_properties:
        detail = f"{path} in body should have at least {int(bounds.min_properties)} properties"
        errors.append(wording.invalid(path, count, detail))
    if bounds.max_properties is not None and count > bounds.max_properties:
        errors.append(wording.too_many(path, count, int(bounds.max_properties)))


def check_items(schema: Schema, items: list[Any], path: str, errors: list[FieldError]) -> None:
    """How many items a list has, and whether they must differ."""
    bounds = schema.bounds
    if bounds.min_items is not None and len(items) < bounds.min_items:
        detail = f"{path} in body should have at least {int(bounds.min_items)} items"
        errors.append(wording.invalid(path, len(items), detail))
    if bounds.max_items is not None and len(items) > bounds.max_items:
        errors.append(wording.too_many(path, len(items), int(bounds.max_items)))
    if bounds.unique_items and _repeats(items, same):
        errors.append(wording.invalid(path, "", f"{path} in body shouldn't contain duplicates"))


def _repeats(items: list[Any], equal: Callable[[Any, Any], bool]) -> bool:
    return any(equal(item, other) for at, item in enumerate(items) for other in items[:at])
