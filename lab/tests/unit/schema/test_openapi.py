"""OpenAPI v2 and v3 documents, compared with those of the real server."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.apiserver.resources import ResourceInfo, Subresource, catalogue
from kubelab.apiserver.schema import openapi_v2, openapi_v3
from kubelab.apiserver.schema.builtin import INT_OR_STRING, META, Types
from kubelab.objects import GroupVersionKind, Object

SCALE = GroupVersionKind("autoscaling", "v1", "Scale")
WIDGETS = [
    ResourceInfo(
        group="lab.example.org",
        version=version,
        resource="widgets",
        kind="Widget",
        namespaced=True,
        singular="widget",
        list_kind="WidgetList",
        subresources={
            "status": Subresource(
                "status", GroupVersionKind("lab.example.org", version, "Widget"), ("get", "patch", "update")
            ),
            "scale": Subresource("scale", SCALE, ("get", "patch", "update")),
        },
    )
    for version in ("v1", "v1alpha1")
]
RESOURCES = (*catalogue(), *WIDGETS)


@pytest.fixture
def widgets(exchanges: Any) -> Object:
    crd: Object = exchanges("crds")[0]["body"]
    return crd


@pytest.fixture
def document(types: Types, widgets: Object) -> Object:
    found = openapi_v3.group_document(types, [widgets], RESOURCES, "apis/lab.example.org/v1")
    assert found is not None
    return found


def test_a_custom_kind_is_published_as_by_the_real_server(document: Object, recorded: Any) -> None:
    real = recorded("crds", "its openapi")["response"]["components"]["schemas"]
    ours = document["components"]["schemas"]
    for name in ("org.example.lab.v1.Widget", "org.example.lab.v1.WidgetList"):
        assert ours[name] == real[name]
    assert ours.keys() == real.keys()


def facts(item: Object) -> dict[str, Any]:
    return {
        method: (
            operation["operationId"],
            operation["x-kubernetes-action"],
            operation["x-kubernetes-group-version-kind"],
            operation["tags"],
        )
        for method, operation in item.items()
        if method != "parameters"
    }


@pytest.mark.parametrize(
    ("file", "exchange", "path"),
    [
        ("crds", "its openapi", "apis/lab.example.org/v1"),
        ("discovery", "openapi v3 of scheduling", "apis/scheduling.k8s.io/v1"),
    ],
    ids=["custom", "built-in"],
)
def test_paths_are_those_of_the_real_server(
    types: Types, widgets: Object, recorded: Any, file: str, exchange: str, path: str
) -> None:
    real = recorded(file, exchange)["response"]["paths"]
    found = openapi_v3.group_document(types, [widgets], RESOURCES, path)
    assert found is not None
    assert found["paths"].keys() == {name for name in real if "/watch/" not in name and not name.endswith("/v1/")}
    for name, item in found["paths"].items():
        assert facts(item) == facts(real[name])
        for method in {"post", "put", "patch"} & item.keys():
            wanted = [one["name"] for one in real[name][method]["parameters"]]
            assert [one["name"] for one in item[method]["parameters"]] == wanted


def test_the_index_names_every_group_and_changes_with_what_it_names(types: Types, widgets: Object) -> None:
    paths = openapi_v3.index(types, [widgets], RESOURCES)["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/lab.example.org/v1"} <= paths.keys()
    for path, entry in paths.items():
        assert entry["serverRelativeURL"].startswith(f"/openapi/v3/{path}?hash=")
        assert openapi_v3.group_document(types, [widgets], RESOURCES, path) is not None
    changed = {**widgets, "spec": {**widgets["spec"], "scope": "Cluster"}}
    after = openapi_v3.index(types, [changed], RESOURCES)["paths"]
    assert [path for path in paths if paths[path] != after[path]] == [
        "apis/lab.example.org/v1",
        "apis/lab.example.org/v1alpha1",
    ]


def test_nothing_is_published_for_what_is_not_served(types: Types) -> None:
    assert openapi_v3.group_document(types, [], RESOURCES, "apis/nope.example.org/v1") is None


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [one for part in node.values() for one in references(part)]
    if isinstance(node, list):
        return [one for part in node for one in references(part)]
    return []


def test_every_reference_leads_somewhere(types: Types, widgets: Object) -> None:
    for path in openapi_v3.index(types, [widgets], RESOURCES)["paths"]:
        found = openapi_v3.group_document(types, [widgets], RESOURCES, path)
        assert found is not None
        schemas = found["components"]["schemas"]
        assert {one.removeprefix("#/components/schemas/") for one in references(found)} <= schemas.keys()
    v2 = openapi_v2.document(types, [widgets], RESOURCES)
    assert {one.removeprefix("#/definitions/") for one in references(v2)} <= v2["definitions"].keys()


def test_built_in_kinds_are_published_as_by_the_real_server(types: Types, recorded: Any) -> None:
    real = recorded("discovery", "openapi v3 of scheduling")["response"]["components"]["schemas"]
    found = openapi_v3.group_document(types, [], RESOURCES, "apis/scheduling.k8s.io/v1")
    assert found is not None
    for name, schema in found["components"]["schemas"].items():
        kinds = schema.get("x-kubernetes-group-version-kind")
        if kinds and len(kinds) > 2:  # the real server leaves out groups that the document is not about
            assert all(kind in kinds for kind in real[name]["x-kubernetes-group-version-kind"])
            real[name]["x-kubernetes-group-version-kind"] = kinds
        assert told_in_v2(schema) == told_in_v2(real[name])


def told_in_v2(node: Any) -> Any:
    """Without defaults of built-in fields (zero values, of which clients make nothing) and lists of enumerated values."""
    if isinstance(node, dict):
        kept = {name: told_in_v2(part) for name, part in node.items() if name not in {"default", "enum"}}
        if isinstance(kept.get("description"), str):
            kept["description"] = kept["description"].partition("\n\nPossible enum values:")[0]
        return kept
    return [told_in_v2(part) for part in node] if isinstance(node, list) else node


def test_what_is_written_two_ways_has_two_types_in_v3(types: Types) -> None:
    found = openapi_v3.group_document(types, [], RESOURCES, "api/v1")
    assert found is not None
    port = found["components"]["schemas"][INT_OR_STRING]
    assert port["oneOf"] == [{"type": "integer"}, {"type": "string"}]
    assert port["format"] == "int-or-string"


def test_v2_says_of_custom_kinds_what_old_clients_understand(types: Types, widgets: Object) -> None:
    definitions = openapi_v2.document(types, [widgets], RESOURCES)["definitions"]
    widget = definitions["org.example.lab.v1.Widget"]
    assert widget["x-kubernetes-group-version-kind"] == [
        {"group": "lab.example.org", "kind": "Widget", "version": "v1"}
    ]
    spec = widget["properties"]["spec"]["properties"]
    assert spec["port"] == {"x-kubernetes-int-or-string": True}
    assert spec["nul"] == {}
    assert spec["any"] == {"x-kubernetes-preserve-unknown-fields": True}
    assert widget["properties"]["metadata"]["$ref"] == f"#/definitions/{META}ObjectMeta"
    assert "org.example.lab.v1alpha1.WidgetList" in definitions


def test_a_kind_without_schema_is_an_opaque_object_in_v2(types: Types, widgets: Object) -> None:
    open_ = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {**widgets["spec"]["versions"][0], "schema": {"openAPIV3Schema": open_}}
    crd = {**widgets, "spec": {**widgets["spec"], "versions": [version]}}
    widget = openapi_v2.document(types, [crd])["definitions"]["org.example.lab.v1.Widget"]
    assert widget["type"] == "object"
    assert "properties" not in widget


def test_old_clients_find_dry_run_at_the_patch_of_a_kind(types: Types, widgets: Object) -> None:
    paths = openapi_v2.document(types, [widgets], RESOURCES)["paths"]
    for kind in (
        {"group": "", "version": "v1", "kind": "Namespace"},
        {"group": "lab.example.org", "version": "v1", "kind": "Widget"},
    ):
        patches = [
            item["patch"]
            for item in paths.values()
            if item.get("patch", {}).get("x-kubernetes-group-version-kind") == kind
        ]
        assert any(one["name"] == "dryRun" and one["in"] == "query" for one in patches[0]["parameters"])


def test_making_documents_leaves_their_sources_alone(types: Types, widgets: Object) -> None:
    before = repr(widgets), repr(types.definitions["io.k8s.api.core.v1.Pod"])
    openapi_v2.document(types, [widgets], RESOURCES)
    openapi_v3.group_document(types, [widgets], RESOURCES, "apis/lab.example.org/v1")
    openapi_v3.group_document(types, [widgets], RESOURCES, "api/v1")
    assert before == (repr(widgets), repr(types.definitions["io.k8s.api.core.v1.Pod"]))
