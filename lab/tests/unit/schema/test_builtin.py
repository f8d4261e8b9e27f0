"""The built-in kinds and their definitions."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from kubelab.apiserver.schema.builtin import INT_OR_STRING, QUANTITY, Types
from kubelab.objects import GroupVersionKind


def test_every_kind_has_a_type(types: Types) -> None:
    assert len(types.kinds) > 200
    for kind in types.kinds:
        schema = types.schema(kind)
        assert schema is not None
        assert schema.definition == types.definition_name(kind)


def test_an_unknown_kind_has_no_type(types: Types) -> None:
    assert types.schema(GroupVersionKind("example.org", "v1", "Nope")) is None


def test_an_unknown_version_is_named_in_the_error() -> None:
    with pytest.raises(LookupError, match=r"v0\.9"):
        Types.load("0.9")


def test_merge_behaviour_is_that_of_the_field(types: Types) -> None:
    spec = types.definition("io.k8s.api.core.v1.PodSpec")
    volumes = spec.properties["volumes"]
    assert volumes.patch_strategy == {"merge", "retainKeys"}
    assert volumes.patch_merge_key == "name"
    assert (volumes.list_type, volumes.list_keys) == ("map", ("name",))
    ports = types.definition("io.k8s.api.core.v1.Container").properties["ports"]
    assert ports.list_keys == ("containerPort", "protocol")
    assert types.definition("io.k8s.api.core.v1.ObjectReference").map_type == "atomic"
    assert spec.properties["nodeSelector"].map_type == "atomic"


def test_a_field_has_its_own_description(types: Types) -> None:
    deployment = types.definition("io.k8s.api.apps.v1.Deployment")
    assert deployment.properties["metadata"].description.startswith("Standard object's metadata")
    assert types.metadata.description.startswith("ObjectMeta is metadata")


def test_types_may_contain_themselves(types: Types) -> None:
    props = types.definition("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    inner = props.properties["properties"].additional
    assert inner is props
    negated = props.properties["not"]
    assert negated.properties is props.properties


def test_what_json_has_no_word_for_has_its_own_type(types: Types) -> None:
    port = types.definition("io.k8s.api.core.v1.ServicePort").properties["targetPort"]
    assert port.type == "int-or-string"
    limits = types.definition("io.k8s.api.core.v1.ResourceRequirements").properties["limits"].additional
    assert limits is not None
    assert limits.type == "quantity"
    assert types.metadata.properties["managedFields"].items is not None


def test_required_fields_are_told(types: Types) -> None:
    assert types.definition("io.k8s.api.core.v1.ServicePort").required == ("port",)


def nodes(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(node for part in value.values() for node in nodes(part))]
    if isinstance(value, list):
        return [node for part in value for node in nodes(part)]
    return []


def test_published_definitions_are_openapi(types: Types) -> None:
    definitions = types.definitions
    assert len(definitions) == 771
    for node in nodes(definitions):
        if isinstance(node.get("type"), list):
            pytest.fail(f"a list as type: {node}")
        if isinstance(node.get("$ref"), str):
            assert node["$ref"].removeprefix("#/definitions/") in definitions


def test_published_definitions_are_free_of_what_json_schema_needs(types: Types) -> None:
    service = types.definitions["io.k8s.api.core.v1.Service"]
    assert "enum" not in service["properties"]["kind"]
    assert types.definitions[INT_OR_STRING]["format"] == "int-or-string"
    assert types.definitions[QUANTITY]["type"] == "string"


def test_definitions_are_those_of_the_real_server(types: Types, recorded: Any) -> None:
    real = recorded("discovery", "openapi v3 of scheduling")["response"]["components"]["schemas"]
    for name in ("io.k8s.api.scheduling.v1.PriorityClass", "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference"):
        ours, theirs = types.definitions[name], real[name]
        assert ours["properties"].keys() == theirs["properties"].keys()
        assert ours["description"] == theirs["description"]
        for field, node in ours["properties"].items():
            assert node.get("type") == theirs["properties"][field].get("type")


def test_types_are_read_in_no_time() -> None:
    code = (
        "import time; start = time.process_time();"
        "from kubelab.apiserver.schema.builtin import Types; from kubelab.objects import GroupVersionKind as Kind;"
        "Types.load().schema(Kind('', 'v1', 'Pod')); print(time.process_time() - start)"
    )
    seconds = float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
    assert seconds < 3, "a tenth of it on a quiet machine"
