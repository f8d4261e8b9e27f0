"""Strategic merge patch: a merge patch that knows which lists are sets and which have items with keys.

Source: Kubernetes API conventions and the design note "Strategic Merge Patch". A field's schema tells how it merges
(`patch_strategy`, `patch_merge_key`); directives in the patch say more: `$patch`, `$retainKeys`,
`$setElementOrder/FIELD`, `$deleteFromPrimitiveList/FIELD`.
"""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.errors import ApiError, bad_request
from kubelab.apiserver.patching import element_order, refusals
from kubelab.apiserver.patching.typed import ANYTHING, child
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import Json, Object

_DIRECTIVE: Final = "$patch"
_RETAIN: Final = "$retainKeys"
_ORDER: Final = "$setElementOrder/"
_DELETE_FROM: Final = "$deleteFromPrimitiveList/"


def apply(obj: Object, patch: Json, schema: Schema) -> Object:
    """The object after the patch.

    Raises:
        ApiError: 400 if the patch is no object or a directive is malformed, 422 for lists of lists, 500 (as
            kube-apiserver has it) if an item lacks its merge key or a directive is unknown.
    """
    if not isinstance(patch, dict):
        raise refusals.undecodable(patch, "map[string]interface {}")
    return _merge_fields(obj, patch, schema)


def _merge_fields(original: Object, patch: Object, schema: Schema) -> Object:
    if _DIRECTIVE in patch:
        return _directed(patch)
    merged = _retained(original, patch)
    ordered = _merge_ordered(merged, patch, schema)
    for name, value in patch.items():
        if name == _RETAIN or name.startswith(_ORDER) or name in ordered:
            continue
        if name.startswith(_DELETE_FROM):
            _delete_from(merged, name.removeprefix(_DELETE_FROM), value)
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge_value(merged.get(name), value, child(schema, name))
    return merged


def _merge_value(original: Json, value: Json, schema: Schema) -> Json:
    """One field's new value; `original` None if it had none."""
    if isinstance(value, dict) and isinstance(original, dict):
        return value if "replace" in schema.patch_strategy else _merge_fields(original, value, schema)
    if isinstance(value, list) and isinstance(original, list):
        return _merge_list(original, value, schema) if "merge" in schema.patch_strategy else value
    return _plain(value)


def _directed(patch: Object) -> Object:
    directive = patch[_DIRECTIVE]
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _DIRECTIVE}
    if directive == "delete":
        return {}
    raise _unknown_directive(directive, patch)


def _retained(original: Object, patch: Object) -> Object:
    """What `$retainKeys` leaves of an object; a copy in any case."""
    if _RETAIN not in patch:
        return dict(original)
    keys = patch[_RETAIN]
    set_fields = {
        name for name, value in patch.items() if name != _RETAIN and value is not None and not _is_list_directive(name)
    }
    if not isinstance(keys, list) or not set_fields <= {key for key in keys if isinstance(key, str)}:
        raise bad_request("invalid patch format of retainKeys")
    return {name: value for name, value in original.items() if name in keys}


def _is_list_directive(name: str) -> bool:
    return name.startswith((_ORDER, _DELETE_FROM))


def _delete_from(merged: Object, name: str, values: Json) -> None:
    """`$deleteFromPrimitiveList/name`; `merged` is changed."""
    if not isinstance(values, list):
        raise bad_request("invalid patch format of primitive list")
    if isinstance(merged.get(name), list):
        merged[name] = [item for item in merged[name] if item not in values]


def _merge_ordered(merged: Object, patch: Object, schema: Schema) -> set[str]:
    """Merge the lists that have a `$setElementOrder`; `merged` is changed. Returns the fields that are done."""
    done: set[str] = set()
    for directive in patch:
        if not directive.startswith(_ORDER):
            continue
        name = directive.removeprefix(_ORDER)
        order, live, change = patch[directive], merged.get(name), patch.get(name)
        if not all(isinstance(part, list) for part in (order, live or [], change or [])):
            raise bad_request("invalid patch format of setElementOrder list")
        kind = child(schema, name)
        _check_order(change or [], order, kind.patch_merge_key)
        done.add(name)
        if live is None and change is None:
            continue
        after = _merge_value(live, change, kind) if change is not None else live
        merged[name] = element_order.arranged(after or [], order, live or [], kind.patch_merge_key)
    return done


def _check_order(change: list[Json], order: list[Json], key: str) -> None:
    """The items a patch changes must be in its order list, in that order."""
    places = iter(element_order.identities(order, key))
    kept = [item for item in change if not (isinstance(item, dict) and item.get(_DIRECTIVE) == "delete")]
    for identity in element_order.identities(kept, key):
        if not any(place == identity for place in places):
            patched, wanted = element_order.go_text(change), element_order.go_text(order)
            text = f"The order in patch list:\n{patched}\n doesn't match $setElementOrder list:\n{wanted}\n"
            raise refusals.failed(text)


def _merge_list(original: list[Json], patch: list[Json], schema: Schema) -> list[Json]:
    kinds = {type(item) for item in [*original, *patch]}
    if list in kinds:
        raise refusals.unprocessable()
    if dict not in kinds:
        values = list(dict.fromkeys([*original, *patch]))
        return element_order.arranged(values, patch, original, "")
    if kinds != {dict}:
        raise refusals.failed(f"list element types are not identical: {element_order.go_text([*original, *patch])}")
    return _merge_items(original, patch, schema)


def _merge_items(original: list[Object], patch: list[Object], schema: Schema) -> list[Json]:
    key = schema.patch_merge_key
    if not key:
        raise refusals.failed("cannot merge lists without merge key")
    base, changes = _without_directed(original, patch, key)
    merged = list(base)
    places: dict[Json, int] = {}
    for place, item in enumerate(base):
        places.setdefault(element_order.identity(item, key), place)  # of several the first is meant
    for item in changes:
        identity = _identity(item, key)
        if identity in places:
            place = places[identity]
            merged[place] = _merge_fields(merged[place], item, schema.items or ANYTHING)
        else:
            places[identity] = len(merged)
            merged.append(_plain(item))
    return element_order.arranged(merged, changes, base, key)


def _without_directed(original: list[Object], patch: list[Object], key: str) -> tuple[list[Object], list[Object]]:
    """The live items that stay, and the patch's items that are not directives."""
    changes: list[Object] = []
    replace = False
    for item in patch:
        directive = item.get(_DIRECTIVE)
        if directive is None:
            changes.append(item)
        elif directive == "delete":
            identity = _identity(item, key)
            original = [one for one in original if element_order.identity(one, key) != identity]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise refusals.failed("merging lists cannot yet be specified in the patch")
        else:
            raise _unknown_directive(directive, item)
    return (changes, []) if replace else (original, changes)


def _identity(item: Object, key: str) -> Json:
    if key not in item:
        raise refusals.failed(f"map: {element_order.go_text(item)} does not contain declared merge key: {key}")
    return element_order.identity(item, key)


def _plain(value: Json) -> Json:
    """A value that is new as a whole: without nulls, directives and items that were to be deleted."""
    if isinstance(value, dict):
        return {
            name: _plain(part)
            for name, part in value.items()
            if part is not None and name not in {_DIRECTIVE, _RETAIN} and not _is_list_directive(name)
        }
    if isinstance(value, list):
        return [_plain(item) for item in value if not (isinstance(item, dict) and item.get(_DIRECTIVE) == "delete")]
    return value


def _unknown_directive(directive: Json, where: Object) -> ApiError:
    text = element_order.go_text
    return refusals.failed(f"unknown patch type: {text(directive)} in map: {text(where)}")
