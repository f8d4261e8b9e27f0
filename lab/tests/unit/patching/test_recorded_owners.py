"""Replay who owns which field after writes of every kind: built-in kinds and custom resources, objects and statuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kubelab.apiserver.patching import apply, managed
from kubelab.apiserver.patching.fieldset import FieldSet
from kubelab.apiserver.schema import structural
from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import GroupVersionKind, Object

Story = Callable[[str], list[dict[str, Any]]]

# The answer shows more than what was settled when ownership was: the server or a webhook changed the object after.
CHANGED_LATER = {
    "type to ClusterIP clears what belongs to a load balancer",
    "single to dual stack",
    "dual to single stack",
    "namespace",
    "new namespace has",
    "create under mutate",
    "conversion turned bad",
}
SHOWN_WRONG = {"get to update"}  # the recorder edited this answer in place, before it was written down, to send it back
CREATED_ELSEWHERE = {"Service", "Pod"}  # these have their own replay, with the server's fields taken out


def entries_of(obj: Object) -> list[Object]:
    entries: list[Object] = obj["metadata"]["managedFields"]
    return entries


def comparable(entries: list[Object]) -> list[Object]:
    return [{name: value for name, value in entry.items() if name != "time"} for entry in entries]


class Kinds:
    """Types of the built-in kinds, and of the custom resources that a story has defined so far."""

    def __init__(self) -> None:
        self.types = Types.load()
        self.custom: dict[GroupVersionKind, tuple[Schema, FieldSet | None]] = {}

    def define(self, crd: Object) -> None:
        spec = crd["spec"]
        for version in spec["versions"]:
            schema = structural.schema_of((version.get("schema") or {}).get("openAPIV3Schema") or {})
            reset: FieldSet | None = None if "status" in (version.get("subresources") or {}) else {}
            self.custom[GroupVersionKind(spec["group"], version["name"], spec["names"]["kind"])] = schema, reset

    def find(self, kind: GroupVersionKind) -> tuple[Schema, FieldSet | None] | None:
        schema = self.types.schema(kind)
        return (schema, None) if schema is not None else self.custom.get(kind)


def answers(lines: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Object]]:
    for line in lines:
        obj = line.get("response")
        if isinstance(obj, dict) and line["status"] < 300 and (obj.get("metadata") or {}).get("managedFields"):
            yield line, obj


def owners_after(line: dict[str, Any], obj: Object, live: Object | None, kinds: Kinds) -> list[Object] | None:
    """Who owns what after a write by our reckoning; None if there is nothing to reckon."""
    kind = GroupVersionKind.of(obj)
    known = kinds.find(kind)
    path, _, query = line["path"].partition("?")
    mime = line["headers"].get("Content-Type", "")
    options = dict(pair.split("=") for pair in query.split("&") if "=" in pair)
    if known is None or line["method"] not in {"POST", "PUT", "PATCH"} or (live is None) != (line["method"] == "POST"):
        return None
    if live is None and kind.kind in CREATED_ELSEWHERE:
        return None
    schema, reset = known
    last = path.rpartition("/")[2]
    subresource = last if last in {"status", "scale"} else ""
    now = max(entry.get("time", "") for entry in entries_of(obj))
    place = {"api_version": kind.api_version, "subresource": subresource, "now": now, "reset": reset}
    manager = options.get("fieldManager", "Python")
    if "apply-patch" in mime:
        force = options.get("force") == "true"
        return entries_of(apply.apply(live, line["body"], schema, manager=manager, force=force, **place))
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    if live is not None:
        metadata["managedFields"] = entries_of(live)
    return managed.track_update(live, {**obj, "metadata": metadata}, schema, manager=manager, **place)


@pytest.mark.parametrize(("name", "least"), [("services", 5), ("crds", 15), ("deletion", 7), ("admission", 9)])
def test_owners_after_each_write_are_as_recorded(story: Story, name: str, least: int) -> None:
    kinds, store, failures, count = Kinds(), dict[tuple[str, str], Object](), [], 0
    for line, obj in answers(story(name)):
        if "dryRun" in line["path"] or line["name"] in SHOWN_WRONG:
            continue
        if obj["kind"] == "CustomResourceDefinition":
            kinds.define(obj)
        key = obj["kind"], f"{obj['metadata'].get('namespace')}/{obj['metadata']['name']}"
        if line["name"] not in CHANGED_LATER:
            found = owners_after(line, obj, store.get(key), kinds)
            count += found is not None
            if found is not None and comparable(found) != comparable(entries_of(obj)):
                failures.append(f"{line['name']}:\n  {found}\n  {entries_of(obj)}")
        store[key] = obj
    assert not failures, "\n".join(failures)
    assert count >= least
