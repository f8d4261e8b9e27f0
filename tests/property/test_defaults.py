"""API server and parser agree: on what an absent field means, and on what can be read at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import NODEFAULT

from metallb.api import kinds
from metallb.api.check import check, prune
from metallb.api.core import Model, ObjectMeta
from metallb.api.schema import JsonSchema, Kind, OldVersion, object_schema

Json = Any


def versions(kind: Kind) -> tuple[Kind | OldVersion, ...]:
    return kind, *kind.old


VERSIONS = [of for kind in kinds.KINDS for of in versions(kind)]
SCHEMAS = {of: object_schema(of) for of in VERSIONS}


def ids(of: Kind | OldVersion) -> str:
    return f"{of.model.__name__}-{of.version}"


def written(schema: JsonSchema) -> st.SearchStrategy[Json]:
    """Values that the schema takes; what may be absent is absent now and then, or null."""
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(0, 9) | st.sampled_from(["1", "200m", "1Gi"])
    kind = schema["type"]
    if kind == "object":
        return written_object(schema)
    if kind == "array":
        least = schema.get("minItems", 0)
        keys = schema.get("x-kubernetes-list-map-keys")
        unique = (lambda item: tuple(item[key] for key in keys)) if keys else None
        return st.lists(written(schema["items"]), min_size=least, max_size=least + 2, unique_by=unique)
    if kind == "integer":
        bits = {"int32": 31, "int64": 63}.get(schema.get("format", ""), 40)
        return st.integers(schema.get("minimum", -(1 << bits)), schema.get("maximum", (1 << bits) - 1))
    return st.booleans() if kind == "boolean" else written_text(schema)


def written_object(schema: JsonSchema) -> st.SearchStrategy[Json]:
    if "additionalProperties" in schema:
        return st.dictionaries(st.text(min_size=1, max_size=3), written(schema["additionalProperties"]), max_size=2)
    fields = {name: written(each) for name, each in schema.get("properties", {}).items() if name != "metadata"}
    needed = {name: fields.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(needed, optional={name: each | st.none() for name, each in fields.items()})


def written_text(schema: JsonSchema) -> st.SearchStrategy[str]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("format") == "date-time":
        return st.just("2026-01-01T00:00:00Z")
    if "pattern" in schema:
        return (
            st.from_regex(re.compile(schema["pattern"], re.ASCII)).map(str.rstrip).filter(lambda text: len(text) < 63)
        )
    return st.text(max_size=4)


@pytest.mark.parametrize("of", VERSIONS, ids=ids)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data())
def test_an_object_means_the_same_before_and_after_the_api_server_had_it(
    of: Kind | OldVersion, data: st.DataObject
) -> None:
    schema = SCHEMAS[of]
    value = data.draw(written(schema))
    stored = prune(schema, value).value
    broken = [each for each in check(schema, stored) if not each.rule.startswith("is refused")]
    assert broken == []
    bare = without_nulls(value)
    assert msgspec.convert(bare, of.model) == msgspec.convert(stored, of.model)


def without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def structs(model: type[Any]) -> Iterator[type[Any]]:
    """A model and all that it is made of, each once."""
    seen: list[type[Any]] = []
    waiting = [msgspec.inspect.type_info(model)]
    while waiting:
        info = waiting.pop()
        for name in ("type", "item_type", "value_type"):
            waiting += [getattr(info, name)] if hasattr(info, name) else []
        waiting += getattr(info, "types", ())
        if isinstance(info, msgspec.inspect.StructType) and info.cls not in seen:
            seen.append(info.cls)
            waiting += [each.type for each in info.fields if info.cls is not ObjectMeta]
    return iter(each for each in seen if each.__module__.startswith("metallb.api.v1beta"))


STRUCTS = sorted(
    {each for of in VERSIONS for each in structs(of.model)}, key=lambda each: (each.__module__, each.__name__)
)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda each: f"{each.__module__.rpartition('.')[2]}.{each.__name__}")
def test_defaults_of_schema_and_parser_are_equal(struct: type[Model]) -> None:
    """The schema states exactly those that are not empty."""
    from metallb.api.schema import schema_of

    properties = schema_of(struct)["properties"]
    for field in msgspec.structs.fields(struct):
        stated = properties[field.encode_name].get("default", NODEFAULT)
        parsed = field.default if field.default_factory is NODEFAULT else field.default_factory()
        if stated is not NODEFAULT:
            assert (stated, type(stated)) == (parsed, type(parsed)), field.encode_name
        else:
            assert parsed in (NODEFAULT, None, "", 0, False, (), {}) or parsed == type(parsed)(), field.encode_name


def test_what_has_a_default_is_what_the_specification_names() -> None:
    found = {
        f"{ids(of)} {name}": each["default"]
        for of in VERSIONS
        for name, each in SCHEMAS[of]["properties"].get("spec", {}).get("properties", {}).items()
        if "default" in each
    }
    assert found == {
        "IPAddressPool-v1beta1 autoAssign": True,
        "IPAddressPool-v1beta1 avoidBuggyIPs": False,
        "BGPAdvertisement-v1beta1 aggregationLength": 32,
        "BGPAdvertisement-v1beta1 aggregationLengthV6": 128,
        "BGPPeer-v1beta2 peerPort": 179,
        "BGPPeer-v1beta2 disableMP": False,
        "BGPPeer-v1beta2 dualStackAddressFamily": False,
    }
