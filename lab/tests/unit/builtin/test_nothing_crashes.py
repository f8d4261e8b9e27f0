"""Whatever fits a kind's schema is stored or refused: no strategy and no printer stumbles over it."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubelab.apiserver.builtin import strategies
from kubelab.apiserver.builtin.printers import DEFAULT, columns
from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.resources import Registry, catalogue
from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.default import apply_defaults
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import GroupResource, Object

NOW = "2026-11-23T22:31:00Z"
TYPES = Types.load()
REGISTRY = Registry(catalogue(), {})
_DEEPEST = 7
_WORDS = st.sampled_from(
    ["", "a", "A_", "x.org/y", "None", "Always", "ClusterIP", "LoadBalancer", "ExternalName", "NodePort", "Local", "TCP",
     "IPv4", "IPv6", "198.51.100.7", "10.96.0.9", "fd00:10:96::9", "RequireDualStack", "RollingUpdate", "In", "1Gi",
     "25%", "https://h", "2026-01-01T00:00:00Z"]
)  # fmt: skip
_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": _WORDS,
    "integer": st.sampled_from([-1, 0, 1, 80, 30001, 70000]),
    "number": st.sampled_from([0, 1.5]),
    "boolean": st.booleans(),
    "int-or-string": st.sampled_from([0, 1, 80, "25%", "http", ""]),
    "quantity": st.sampled_from(["1", "200m", "1.5Gi", "0"]),
    "any": st.sampled_from([{}, {"a": 1}]),
}


def fitting(schema: Schema, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that fit a type, small ones."""
    if schema.format == "date-time":
        return st.just("2026-01-01T00:00:00Z")
    if schema.type == "array":
        if schema.items is None or depth > _DEEPEST:
            return st.just([])
        items = schema.items
        return st.lists(st.deferred(lambda: fitting(items, depth + 1)), max_size=2)
    if schema.type != "object":
        return _SCALARS[schema.type]
    return _mapping(schema, depth)


def _mapping(schema: Schema, depth: int) -> st.SearchStrategy[Any]:
    if schema.additional is not None:
        values = schema.additional
        return st.dictionaries(_WORDS, st.deferred(lambda: fitting(values, depth + 1)), max_size=2)
    if depth > _DEEPEST or not schema.properties:
        return st.just({})
    return st.deferred(lambda: _object(schema, depth))


def _object(schema: Schema, depth: int) -> st.SearchStrategy[Any]:
    parts = {name: fitting(part, depth + 1) for name, part in schema.properties.items()}
    needed = {name: part for name, part in parts.items() if name in schema.required}
    others = {name: part for name, part in parts.items() if name not in schema.required}
    return st.fixed_dictionaries(needed, optional=others)


def _kinds() -> list[GroupResource]:
    return sorted(strategies())


def _schema(resource: GroupResource) -> Schema:
    info = REGISTRY.by_group_resource(resource)
    assert info is not None
    schema = TYPES.schema(info.gvk)
    assert schema is not None
    return schema


@pytest.mark.parametrize("resource", _kinds(), ids=str)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_fits_the_schema_is_stored_or_refused(guarded: Any, resource: GroupResource, data: st.DataObject) -> None:
    schema = _schema(resource)
    parts = {name: part for name, part in schema.properties.items() if name not in {"metadata", "kind", "apiVersion"}}
    body: Object = data.draw(_object(Schema(type="object", properties=parts, required=schema.required), 1))
    body = apply_defaults(schema, copy.deepcopy(body) | {"metadata": {"name": "x"}})
    with contextlib.suppress(ApiError):
        created = guarded.create(resource, body)
        (columns(resource) or DEFAULT).cells(created, NOW)
        namespace = "default" if guarded.info(resource).namespaced else ""
        again = guarded.update(resource, namespace, "x", lambda _obj: None)
        assert again == created, "an update without a change changes something"
        guarded.update(
            resource, namespace, "x", lambda obj: obj.update(copy.deepcopy(body) | {"metadata": obj["metadata"]})
        )
