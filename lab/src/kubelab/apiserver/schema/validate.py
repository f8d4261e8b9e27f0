"""Check the values of a custom resource against its type, in kube-apiserver's words and order.

Source: kube-openapi `validation/validate`, apiextensions-apiserver `validation` and `schema/listtype`; KEP-4008
(ratcheting: what an update leaves as it was is not refused).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema import scalars, wording
from kubelab.apiserver.schema.equality import correlated, same
from kubelab.apiserver.schema.model import MISSING, UNBOUNDED, Schema
from kubelab.apiserver.schema.uniqueness import duplicates
from kubelab.objects import Json

__all__ = ["validate", "validate_lists", "validate_values"]

_TYPE_META: Final = {"apiVersion", "kind"}


def validate(schema: Schema, value: Json, path: str = "", old: Json = MISSING) -> list[FieldError]:
    """Everything that is wrong with a value: types, formats, bounds, then duplicates in sets and maps.

    `path` is where the value stands, for the names of fields. With `old`, the value before an update, errors in
    parts that the update leaves as they were are dropped.
    """
    return validate_values(schema, value, path, old) + validate_lists(schema, value, path, old)


def validate_values(schema: Schema, value: Json, path: str = "", old: Json = MISSING) -> list[FieldError]:
    """Types, formats and bounds alone. kube-apiserver checks the scale paths between these and `validate_lists`."""
    errors: list[FieldError] = []
    _ratcheted(schema, value, "", old, errors)
    if not errors:
        return errors
    unique = list(dict.fromkeys(errors))
    return [dataclasses.replace(error, field=_placed(path, error.field)) for error in unique] if path else unique


def validate_lists(schema: Schema, value: Json, path: str = "", old: Json = MISSING) -> list[FieldError]:
    """Duplicates in lists that are sets or maps. An old object that has some may keep and change them."""
    errors = duplicates(schema, value, path)
    if errors and old is not MISSING and duplicates(schema, old, path):
        return []
    return errors


def _placed(path: str, field: str) -> str:
    return path if field == wording.NOWHERE else f"{path}.{field}"


def _ratcheted(schema: Schema, value: Json, path: str, old: Json, errors: list[FieldError]) -> int:
    """Check a value; take its errors back if the old object had the very same value here."""
    before = len(errors)
    matches = _check(schema, value, path, old, errors)
    if len(errors) > before and old is not MISSING and same(value, old):
        del errors[before:]
    return matches


def _check(schema: Schema, value: Json, path: str, old: Json, errors: list[FieldError]) -> int:
    """Append what is wrong; answer how many checks held, by which the best of several alternatives is found."""
    matches = scalars.check_type(schema, value, path, errors)
    if value is None:
        scalars.check_enum(schema, value, path, errors)
        return matches
    if schema.all_of or schema.any_of or schema.one_of or schema.negated is not None:
        matches += _check_junctors(schema, value, path, old, errors)
    if isinstance(value, dict):
        scalars.check_enum(schema, value, path, errors)
        return matches + _check_object(schema, value, path, old, errors) + 5
    if isinstance(value, list):
        matches += _check_array(schema, value, path, old, errors)
        scalars.check_enum(schema, value, path, errors)
        return matches + 6
    return matches + scalars.check_scalar(schema, value, path, errors) + 4


def _check_object(schema: Schema, value: Mapping[str, Any], path: str, old: Json, errors: list[FieldError]) -> int:
    if schema.bounds is not UNBOUNDED:
        scalars.check_size(schema, len(value), path, errors)
    matches = 0
    properties, granular = schema.properties, schema.map_type == "granular"
    before = old if granular and isinstance(old, dict) else {}
    if schema.additional is not None:
        for name in sorted(value.keys() - properties.keys()):
            below = f"{path}.{name}" if path else name
            matches += _ratcheted(schema.additional, value[name], below, before.get(name, MISSING), errors)
    for name in sorted(value) if properties else ():
        if (part := properties.get(name)) is None:
            continue
        was = MISSING if not path and name in _TYPE_META else before.get(name, MISSING)
        matches += _ratcheted(part, value[name], f"{path}.{name}" if path else name, was, errors)
    missing = [name for name in schema.required if name not in value]
    errors += [wording.required(f"{path}.{name}" if path else name) for name in missing]
    return matches


def _check_array(schema: Schema, value: list[Any], path: str, old: Json, errors: list[FieldError]) -> int:
    matches = 0
    if schema.items is not None:
        for at, (item, was) in enumerate(_paired(schema, value, old)):
            matches += _ratcheted(schema.items, item, f"{path}[{at}]", was, errors)
    if schema.bounds is not UNBOUNDED:
        scalars.check_items(schema, value, path, errors)
    return matches


def _paired(schema: Schema, value: list[Any], old: Json) -> Iterator[tuple[Any, Any]]:
    """Each item with the old item of the same key; only the items of maps have one."""
    if old is MISSING or schema.list_type != "map" or not isinstance(old, list):
        return ((item, MISSING) for item in value)
    return ((item, correlated(item, old, schema.list_keys)) for item in value)


def _check_junctors(schema: Schema, value: Json, path: str, old: Json, errors: list[FieldError]) -> int:
    matches = 0
    if schema.any_of:
        matches += _any_of(schema.any_of, value, path, old, errors)
    if schema.one_of:
        matches += _one_of(schema.one_of, value, path, old, errors)
    if schema.all_of:
        matches += _all_of(schema.all_of, value, path, old, errors)
    if schema.negated is not None and not _tried(schema.negated, value, path, old)[1]:
        _plain(f"{wording.quoted(path)} must not validate the schema (not)", errors)
    return matches


def _tried(schema: Schema, value: Json, path: str, old: Json) -> tuple[int, list[FieldError]]:
    errors: list[FieldError] = []
    return _check(schema, value, path, old, errors), errors


def _any_of(options: tuple[Schema, ...], value: Json, path: str, old: Json, errors: list[FieldError]) -> int:
    best: tuple[int, list[FieldError]] | None = None
    for option in options:
        tried = _tried(option, value, path, old)
        if not tried[1]:
            return tried[0]
        if best is None or tried[0] > best[0]:
            best = tried
    _plain(f"{wording.quoted(path)} must validate at least one schema (anyOf)", errors)
    if best is None:
        return 0
    errors += best[1]
    return best[0]


def _one_of(options: tuple[Schema, ...], value: Json, path: str, old: Json, errors: list[FieldError]) -> int:
    tries = [_tried(option, value, path, old) for option in options]
    held = [matches for matches, failed in tries if not failed]
    if len(held) == 1:
        return held[0]
    found = f"Found {len(held)} valid alternatives" if held else "Found none valid"
    _plain(f"{wording.quoted(path)} must validate one and only one schema (oneOf). {found}", errors)
    if held:
        return 0
    matches, failed = max(tries, key=lambda tried: tried[0])
    errors += failed
    return matches


def _all_of(parts: tuple[Schema, ...], value: Json, path: str, old: Json, errors: list[FieldError]) -> int:
    tries = [_tried(part, value, path, old) for part in parts]
    for _, failed in tries:
        errors += failed
    held = sum(not failed for _, failed in tries)
    if held != len(parts):
        ending = "" if held else ". None validated"
        _plain(f"{wording.quoted(path)} must validate all the schemas (allOf){ending}", errors)
    return sum(matches for matches, _ in tries)


def _plain(sentence: str, errors: list[FieldError]) -> None:
    """An error of the object as a whole: the sentence itself names the place."""
    errors.append(wording.invalid("", "", sentence))
