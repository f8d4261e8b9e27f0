"""Judges the metadata of an object, as the API server does: fields, types, and the syntax of names and labels.

Source: meta/v1 ObjectMeta; Kubernetes, "Object Names and IDs", "Labels and Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from metallb.api.check import Broken, check, prune
from metallb.api.schema import JsonSchema

_STRING: Final[JsonSchema] = {"type": "string"}
_INTEGER: Final[JsonSchema] = {"type": "integer", "format": "int64"}
_TIME: Final[JsonSchema] = {"type": "string", "format": "date-time"}
_STRINGS: Final[JsonSchema] = {"type": "object", "additionalProperties": _STRING}
_OBJECTS: Final[JsonSchema] = {
    "type": "array",
    "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}
_SCHEMA: Final[JsonSchema] = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"), _STRING),
        **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), _INTEGER),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), _TIME),
        **dict.fromkeys(("labels", "annotations"), _STRINGS),
        **dict.fromkeys(("ownerReferences", "managedFields"), _OBJECTS),
        "finalizers": {"type": "array", "items": _STRING},
    },
}

_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_MAX_NAME: Final = 63
_MAX_SUBDOMAIN: Final = 253


def check_metadata(metadata: Any) -> list[Broken]:
    """The rules that the metadata of a namespaced custom resource breaks; paths start with `metadata`."""
    pruned = prune(_SCHEMA, metadata, "metadata")
    broken = pruned.unknown + check(_SCHEMA, pruned.value, path="metadata")
    if not isinstance(pruned.value, dict) or any(each.rule.startswith("must be of type") for each in broken):
        return broken
    return [*broken, *_check_name(pruned.value.get("name", "")), *_check_labels(pruned.value)]


def prune_metadata(metadata: Any) -> dict[str, Any]:
    """The metadata without unknown fields and nulls; what is no object counts as empty."""
    found = prune(_SCHEMA, metadata).value
    return found if isinstance(found, dict) else {}


def _check_name(name: str) -> Iterator[Broken]:
    if not name:
        yield Broken("metadata.name", "", "must be given")
    elif len(name) > _MAX_SUBDOMAIN or not _SUBDOMAIN.fullmatch(name):
        rule = "must be lower-case letters, digits, '-' and '.', and start and end with a letter or digit"
        yield Broken("metadata.name", name, rule)


def _check_labels(metadata: dict[str, Any]) -> Iterator[Broken]:
    for field in ("labels", "annotations"):
        for key in metadata.get(field, {}):
            if not is_qualified_name(key):
                yield Broken(f"metadata.{field}", key, "is no key of a label: want `name` or `prefix/name`")
    for key, value in metadata.get("labels", {}).items():
        if value and not _is_name(value):
            rule = "must be up to 63 letters, digits, '-', '_' or '.'"
            yield Broken(f"metadata.labels.{key}", value, rule)


def is_qualified_name(key: str) -> bool:
    """Whether it can be the key of a label or annotation."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > _MAX_SUBDOMAIN or not _SUBDOMAIN.fullmatch(prefix)):
        return False
    return _is_name(name)


def _is_name(text: str) -> bool:
    return len(text) <= _MAX_NAME and _NAME.fullmatch(text) is not None
