"""Carry objects over from kubectl's client-side apply to server-side apply.

Client-side apply left its configuration in an annotation and owns its fields as an updater. So when `kubectl` itself
applies on the server, it may take the fields of that configuration that still have those values without force, and
the annotation is kept up to date.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kubelab.apiserver.patching import fieldset, typed
from kubelab.apiserver.patching.fieldset import FieldSet
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import Object

MANAGER: Final = "kubectl"
ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"


def annotation(obj: Object) -> str | None:
    """The configuration that client-side apply left in an object."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    value = annotations.get(ANNOTATION)
    return value if isinstance(value, str) and value else None


def inherited(live: Object, schema: Schema) -> FieldSet:
    """The fields that client-side apply set and that still have its values."""
    written = annotation(live)
    try:
        applied = msgspec.json.decode(written or "", type=dict)
        found = typed.compare(applied, live, schema)
        fields = typed.leaves(applied, schema)
    except (msgspec.MsgspecError, typed.ItemError):
        return {}
    for differing in (found.modified, found.added, found.removed):
        fields = fieldset.difference(fields, differing)
    return fields


def renewed(obj: Object, applied: Object) -> Object:
    """The object with the annotation saying what was applied now, if it has the annotation."""
    if annotation(obj) is None:
        return obj
    metadata = dict(applied.get("metadata") or {})
    annotations = {name: value for name, value in (metadata.get("annotations") or {}).items() if name != ANNOTATION}
    if annotations or "annotations" in metadata:
        metadata["annotations"] = annotations
    written = msgspec.json.encode({**applied, "metadata": metadata}, order="sorted").decode() + "\n"
    live = obj["metadata"]
    return {**obj, "metadata": {**live, "annotations": {**live["annotations"], ANNOTATION: written}}}
