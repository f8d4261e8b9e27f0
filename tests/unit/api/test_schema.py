"""The generated CRDs: up to date, structural, and as strict as upstream's were recorded to be."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest
import yaml
from msgspec import Meta

from metallb.api import kinds, v1beta1
from metallb.api.core import Model
from metallb.api.schema import definition, schema_of

Json = dict[str, Any]
crds: Callable[[], dict[Path, str]] = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "generate.py"))["crds"]
SCHEMAS = {kind.plural: definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind in kinds.KINDS}
RECORDED = "crds/metallb.jsonl"


@pytest.mark.parametrize(("path", "text"), [pytest.param(path, text, id=path.name) for path, text in crds().items()])
def test_manifests_are_generated_from_the_models(path: Path, text: str) -> None:
    assert path.read_text() == text, "stale: run `make generate`"


def test_every_manifest_of_a_crd_is_generated() -> None:
    folder = next(iter(crds())).parent
    assert set(folder.glob("*.yaml")) == set(crds())


def prune(schema: Json, value: Any) -> Any:
    """As the API server: unknown fields go, then nulls, then defaults are put in."""
    if isinstance(value, list):
        return [prune(schema.get("items", {}), item) for item in value]
    if not isinstance(value, dict) or schema.get("type") != "object":
        return value
    known, rest = schema.get("properties", {}), schema.get("additionalProperties")
    kept = {
        key: prune(known.get(key, rest), item)
        for key, item in value.items()
        if item is not None and (key in known or rest is not None)
    }
    return {key: each["default"] for key, each in known.items() if "default" in each} | kept


def refusals(schema: Json, value: Any) -> list[str]:
    """Paths of broken rules, as the API server writes them in the causes of a refusal."""
    found = []
    for error in jsonschema.Draft7Validator(schema).iter_errors(value):
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        missing = (
            [f".{name}" for name in error.validator_value if name not in error.instance]
            if (error.validator == "required")
            else [""]
        )
        found += [f"{path}{name}".lstrip(".") for name in missing]
    return sorted(set(found))


def rows(recorded: Callable[[str], Any]) -> Iterator[tuple[Json, str, Json]]:
    """Each row with its resource and the whole object that the server had to judge."""
    spec: dict[str, Json] = {}
    for row in recorded(RECORDED):
        plural = row["path"].split("/")[6]
        value = row["body"]
        if row["method"] == "PATCH":
            value = {"spec": spec[plural]} | value
        elif plural not in spec:
            spec[plural] = value["spec"]
        yield row, plural, value


def test_verdicts_are_those_recorded(recorded: Callable[[str], Any]) -> None:
    seen = 0
    for row, plural, value in rows(recorded):
        found = refusals(SCHEMAS[plural], prune(SCHEMAS[plural], {k: v for k, v in value.items() if k != "metadata"}))
        fields = {cause["field"] for cause in row["causes"]} - {"<nil>"}
        assert set(found) == fields, row["name"]
        assert (row["status"] == 422) is bool(found), row["name"]
        seen += 1
    assert seen == 63


def test_what_is_stored_is_what_was_recorded(recorded: Callable[[str], Any]) -> None:
    for row, plural, value in rows(recorded):
        if row["stored"] is not None and row["method"] == "POST":
            pruned = prune(SCHEMAS[plural], {k: v for k, v in value.items() if k in {"spec", "status"}})
            assert {k: v for k, v in pruned.items() if k == "spec"} == row["stored"], row["name"]


@pytest.mark.parametrize("plural", list(SCHEMAS))
def test_schemas_are_structural(plural: str) -> None:
    """apiextensions.k8s.io/v1: a type everywhere, and within anyOf neither types of its own nor descriptions."""

    def check(schema: Json, path: str) -> None:
        assert "type" in schema or schema.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        for name, each in schema.get("properties", {}).items():
            check(each, f"{path}.{name}")
        for name in ("items", "additionalProperties"):
            if name in schema:
                check(schema[name], f"{path}.{name}")

    check(SCHEMAS[plural], plural)


@pytest.mark.parametrize("plural", list(SCHEMAS))
def test_every_field_of_ours_is_described(plural: str) -> None:
    def missing(schema: Json, path: str) -> Iterator[str]:
        for name, each in schema.get("properties", {}).items():
            if "description" not in each and name not in {"metadata", "status", "matchLabels", "matchExpressions"}:
                yield f"{path}.{name}"
            yield from missing(each, f"{path}.{name}")
        if "items" in schema:
            yield from missing(schema["items"], f"{path}[]")

    assert list(missing(SCHEMAS[plural], "")) == []


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"lastTransitionTime": "2026-01-01T00:00:00Z", "message": "", "reason": "A", "status": "True"}, "type"),
        ({"reason": "internal error"}, "reason"),
        ({"reason": ""}, "reason"),
        ({"status": "Maybe"}, "status"),
        ({"type": "not a name!"}, "type"),
        ({"observedGeneration": -1}, "observedGeneration"),
        ({}, ""),
    ],
)
def test_conditions_have_the_published_rules(value: Json, field: str) -> None:
    whole = {"lastTransitionTime": "2026-01-01T00:00:00Z", "message": "", "reason": "A", "status": "True", "type": "B"}
    written = value if field == "type" and "type" not in value else whole | value
    found = refusals(SCHEMAS["metallbs"], {"status": {"conditions": [written]}})
    assert found == ([f"status.conditions[0].{field}"] if field else [])


@pytest.mark.parametrize("weight", [0, 101])
def test_weights_of_preferences_are_bounded(weight: int) -> None:
    value = {"spec": {"preferredNodeSelectors": [{"weight": weight, "preference": {}}]}}
    assert refusals(SCHEMAS["l2advertisements"], value) == ["spec.preferredNodeSelectors[0].weight"]


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("example.org/x", True),
        ("x", True),
        ("A.b-c_d/E.f", True),
        ("", False),
        ("a/b/c", False),
        ("-a", False),
        ("a b", False),
    ],
)
def test_load_balancer_classes(name: str, accepted: bool) -> None:  # noqa: FBT001  # a column
    assert (refusals(SCHEMAS["metallbs"], {"spec": {"loadBalancerClass": name}}) == []) is accepted


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        (kinds.METALLB, ["Available", "Degraded", "Progressing", "Age"]),
        (kinds.IP_ADDRESS_POOL, ["Auto Assign", "Avoid Buggy IPs", "Addresses"]),
        (kinds.L2_ADVERTISEMENT, ["IPAddressPools", "IPAddressPool Selectors", "Interfaces", "Node Selectors"]),
    ],
)
def test_columns_are_the_contract(kind: Any, columns: list[str]) -> None:
    version = definition(kind)["spec"]["versions"][0]
    assert [column["name"] for column in version["additionalPrinterColumns"]] == columns
    assert version["subresources"] == {"status": {}}


def test_definitions_survive_yaml() -> None:
    for path, text in crds().items():
        assert yaml.safe_load(text)["metadata"]["name"] == f"{path.stem.split('_')[1]}.{v1beta1.GROUP}"


class _Odd(Model, frozen=True):
    """A model that no structural schema can express."""

    choice: int | dict[str, str] = 0


@pytest.mark.parametrize("annotation", [_Odd, bytes, int | dict[str, str], Annotated[set[int], Meta(description="x")]])
def test_what_has_no_schema_is_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match="no structural schema"):
        schema_of(annotation)
