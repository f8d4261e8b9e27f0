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
SCHEMAS = {
    (kind.plural, version["name"]): version["schema"]["openAPIV3Schema"]
    for kind in kinds.KINDS
    for version in definition(kind)["spec"]["versions"]
}
METALLBS = SCHEMAS["metallbs", "v1beta1"]
RECORDED = "crds/metallb.jsonl"
CONVERSION_FAILED = 500

INTEGERS = jsonschema.FormatChecker(formats=())
for _bits in (32, 64):
    INTEGERS.checks(f"int{_bits}")(lambda value, end=1 << _bits - 1: not isinstance(value, int) or -end <= value < end)


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
    for error in jsonschema.Draft7Validator(schema, format_checker=INTEGERS).iter_errors(value):
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        missing = (
            [f".{name}" for name in error.validator_value if name not in error.instance]
            if (error.validator == "required")
            else [""]
        )
        found += [f"{path}{name}".lstrip(".") for name in missing]
    return sorted(set(found))


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    kept = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        kept.pop(name, None) if value is None else kept.update({name: merged(kept.get(name), value)})
    return kept


def rows(recorded: Callable[[str], Any]) -> Iterator[tuple[Json, Json, Json]]:
    """Each write with the schema of its resource and the whole object that the server had to judge."""
    objects: dict[tuple[str, str], Json] = {}
    for row in recorded(RECORDED):
        if row["method"] == "GET" or row["status"] == 404:
            continue
        version, _, _, plural, *rest = row["path"].split("/")[3:]
        value = row["body"] if row["method"] == "POST" else merged(objects[plural, rest[0]], row["body"])
        if row["stored"] is not None and row["method"] == "POST":
            objects[plural, value["metadata"]["name"]] = row["stored"]
        yield row, SCHEMAS[plural, version], {k: v for k, v in value.items() if k != "metadata"}


def rules(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every CEL rule with the path of the value that it is about."""
    yield from ((path.lstrip("."), rule) for rule in schema.get("x-kubernetes-validations", ()))
    for name, each in schema.get("properties", {}).items():
        yield from rules(each, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from rules(schema[name], f"{path}[]")


def by_schema(schema: Json, row: Json) -> set[str]:
    """The fields that the schema itself refuses: those that a CEL rule refuses are for an API server to find."""
    by_rule = {path for path, _ in rules(schema)}
    found = set()
    for cause in row["causes"]:
        if "must be of type integer with format" in cause["message"]:
            found.add(cause["message"].rpartition(" in ")[2])  # such a cause names no field
        elif (
            cause["field"] in by_rule and cause["reason"] == "FieldValueInvalid" and " in body " not in cause["message"]
        ):
            continue
        elif cause["field"] != "<nil>":
            found.add(cause["field"])
    return found


def test_verdicts_are_those_recorded(recorded: Callable[[str], Any]) -> None:
    seen = by_rule = 0
    for row, schema, value in rows(recorded):
        found = refusals(schema, prune(schema, value))
        assert set(found) == by_schema(schema, row), row["name"]
        by_rule += not found and row["status"] == 422
        assert row["status"] == 422 or row["status"] in {200, 201, CONVERSION_FAILED}, row["name"]
        seen += 1
    assert (seen, by_rule) == (174, 4)


def test_what_is_stored_is_what_was_recorded(recorded: Callable[[str], Any]) -> None:
    for row, schema, value in rows(recorded):
        if row["stored"] is not None:
            pruned = prune(schema, {k: v for k, v in value.items() if k in {"spec", "status"}})
            assert pruned.get("spec") == row["stored"].get("spec"), row["name"]


@pytest.mark.parametrize(
    ("plural", "found"),
    [
        ("bgpadvertisements", ["spec"]),
        ("bgppeers", ["spec.connectTime", "spec.connectTime", "spec.enableGracefulRestart"]),
        ("servicel2statuses", ["status.node", "status.serviceName", "status.serviceNamespace"]),
        ("servicebgpstatuses", ["status.node", "status.serviceName", "status.serviceNamespace"]),
    ],
)
def test_rules_stand_at_the_values_that_they_are_about(plural: str, found: list[str]) -> None:
    version = "v1beta2" if plural == "bgppeers" else "v1beta1"
    assert [path for path, _ in rules(SCHEMAS[plural, version])] == found
    assert all(rule["message"] for _, rule in rules(SCHEMAS[plural, version]))


def test_columns_are_those_recorded(recorded: Callable[[str], Any]) -> None:
    """A kind without columns is shown with its age."""
    found = {kind.plural: [column.render() for column in kind.columns] for kind in kinds.KINDS}
    seen = 0
    for row in recorded(RECORDED):
        if row["method"] == "GET" and row["status"] == 200:
            shown = found[row["path"].rpartition("/")[2]] or [{"name": "Age", "type": "date"}]
            names = [{"priority": 0} | {k: v for k, v in each.items() if k != "jsonPath"} for each in shown]
            assert names == row["columns"][1:]
            seen += 1
    assert seen == 7


@pytest.mark.parametrize("of", list(SCHEMAS), ids="/".join)
def test_schemas_are_structural(of: tuple[str, str]) -> None:
    """apiextensions.k8s.io/v1: a type everywhere, and within anyOf neither types of its own nor descriptions."""

    def check(schema: Json, path: str) -> None:
        assert "type" in schema or schema.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        for name, each in schema.get("properties", {}).items():
            check(each, f"{path}.{name}")
        for name in ("items", "additionalProperties"):
            if name in schema:
                check(schema[name], f"{path}.{name}")

    check(SCHEMAS[of], of[0])


@pytest.mark.parametrize("of", list(SCHEMAS), ids="/".join)
def test_every_field_of_ours_is_described(of: tuple[str, str]) -> None:
    def missing(schema: Json, path: str) -> Iterator[str]:
        for name, each in schema.get("properties", {}).items():
            if "description" not in each and name not in {"metadata", "status"}:
                yield f"{path}.{name}"
            yield from missing(each, f"{path}.{name}")
        if "items" in schema:
            yield from missing(schema["items"], f"{path}[]")

    assert list(missing(SCHEMAS[of], "")) == []


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
    found = refusals(METALLBS, {"status": {"conditions": [written]}})
    assert found == ([f"status.conditions[0].{field}"] if field else [])


@pytest.mark.parametrize("weight", [0, 101])
def test_weights_of_preferences_are_bounded(weight: int) -> None:
    value = {"spec": {"preferredNodeSelectors": [{"weight": weight, "preference": {}}]}}
    assert refusals(SCHEMAS["l2advertisements", "v1beta1"], value) == ["spec.preferredNodeSelectors[0].weight"]


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
    assert (refusals(METALLBS, {"spec": {"loadBalancerClass": name}}) == []) is accepted


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


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        (kinds.SERVICE_L2_STATUS, ["Allocated Node", "Service Name", "Service Namespace"]),
        (kinds.SERVICE_BGP_STATUS, ["Node", "Service Name", "Service Namespace"]),
        (kinds.CONFIGURATION_STATE, ["Result", "ErrorSummary", "Age"]),
    ],
)
def test_columns_of_what_metallb_tells(kind: Any, columns: list[str]) -> None:
    assert [column.name for column in kind.columns] == columns


def test_one_version_is_stored_and_more_than_one_is_served_only_where_a_webhook_converts() -> None:
    for kind in kinds.KINDS:
        spec = definition(kind)["spec"]
        flags = [(each["name"], each["served"], each["storage"]) for each in spec["versions"]]
        assert flags == [(kind.version, True, True), *((old.version, True, False) for old in kind.old)]
        assert ("conversion" in spec) == bool(kind.old)


def test_peers_are_converted_by_our_webhook() -> None:
    """Without a bundle: that one is written by who serves the webhook, and no apply of ours takes it away."""
    assert definition(kinds.BGP_PEER)["spec"]["conversion"] == {
        "strategy": "Webhook",
        "webhook": {
            "clientConfig": {
                "service": {"name": "metallb-webhook-service", "namespace": "metallb-system", "path": "/convert"}
            },
            "conversionReviewVersions": ["v1", "v1beta1"],
        },
    }
    old = definition(kinds.BGP_PEER)["spec"]["versions"][1]
    assert (old["deprecated"], old["deprecationWarning"]) == (True, "v1beta1 is deprecated, please use v1beta2")


def test_conditions_of_a_state_are_kept_by_type() -> None:
    status = SCHEMAS["configurationstates", "v1beta1"]["properties"]["status"]["properties"]
    assert status["conditions"]["x-kubernetes-list-type"] == "map"
    assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


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
