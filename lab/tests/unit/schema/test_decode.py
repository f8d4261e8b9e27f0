"""Values that do not fit built-in types."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.decode import check_metadata, check_types, strict_decoding
from kubelab.apiserver.schema.structural import schema_of
from kubelab.objects import GroupVersionKind, Object

SERVICE = GroupVersionKind("", "v1", "Service")
POD = GroupVersionKind("", "v1", "Pod")
NODE = GroupVersionKind("", "v1", "Node")
SECRET = GroupVersionKind("", "v1", "Secret")


def refused(types: Types, kind: GroupVersionKind, obj: Any) -> str:
    schema = types.schema(kind)
    assert schema is not None
    error = check_types(schema, obj, kind)
    if error is None:
        return ""
    assert (error.code, error.reason) == (400, "BadRequest")
    return error.message


def test_a_string_for_a_port_is_refused_in_the_words_of_the_real_server(types: Types, recorded: Any) -> None:
    exchange = recorded("services", "refused string-for-int")
    assert refused(types, SERVICE, exchange["body"]) == exchange["response"]["message"]


@pytest.mark.parametrize("name", ["unknown field strict", "duplicate field strict"])
def test_strict_errors_are_worded_as_by_the_real_server(recorded: Any, name: str) -> None:
    message = recorded("services", name)["response"]["message"]
    sentence = message.partition("strict decoding error: ")[2]
    assert strict_decoding(SERVICE, [sentence]).message == message


TABLE: list[tuple[str, GroupVersionKind, Any, str]] = [
    ("list for root", SERVICE, [], "json: cannot unmarshal array into Go value of type v1.Service"),
    ("string for struct", SERVICE, {"spec": "x"},
     "json: cannot unmarshal string into Go struct field Service.spec of type v1.ServiceSpec"),
    ("object for list", SERVICE, {"spec": {"ports": {}}},
     "json: cannot unmarshal object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort"),
    ("string for item", SERVICE, {"spec": {"ports": ["x"]}},
     "json: cannot unmarshal string into Go struct field ServiceSpec.spec.ports of type v1.ServicePort"),
    ("bool for string", SERVICE, {"spec": {"clusterIP": True}},
     "json: cannot unmarshal bool into Go struct field ServiceSpec.spec.clusterIP of type string"),
    ("bool for integer", SERVICE, {"spec": {"healthCheckNodePort": True}},
     "json: cannot unmarshal bool into Go struct field ServiceSpec.spec.healthCheckNodePort of type int32"),
    ("string for named type", SERVICE, {"spec": {"type": 1}},
     "json: cannot unmarshal number into Go struct field ServiceSpec.spec.type of type v1.ServiceType"),
    ("fraction for integer", SERVICE, {"spec": {"healthCheckNodePort": 1.5}},
     "json: cannot unmarshal number 1.5 into Go struct field ServiceSpec.spec.healthCheckNodePort of type int32"),
    ("too large", SERVICE, {"spec": {"healthCheckNodePort": 2147483648}},
     "json: cannot unmarshal number 2147483648 into Go struct field ServiceSpec.spec.healthCheckNodePort of type int32"),
    ("label", SERVICE, {"metadata": {"labels": {"a": 1}}},
     "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"),
    ("labels", SERVICE, {"metadata": {"labels": []}},
     "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string"),
    ("int or string", SERVICE, {"spec": {"ports": [{"targetPort": True}]}},
     "json: cannot unmarshal bool into Go value of type int32"),
    ("time", SERVICE, {"metadata": {"deletionTimestamp": "yesterday"}},
     'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"'),
    ("quantity", NODE, {"status": {"capacity": {"cpu": "much"}}},
     "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ("quantity suffix", NODE, {"status": {"capacity": {"cpu": "1nu"}}}, "unable to parse quantity's suffix"),
    ("base64", SECRET, {"data": {"a": "####"}}, "illegal base64 data at input byte 0"),
    ("first in the text", SERVICE, {"spec": {"type": 1, "ports": 2}},
     "json: cannot unmarshal number into Go struct field ServiceSpec.spec.type of type v1.ServiceType"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "obj", "why"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_misfit_is_told_as_go_tells_it(types: Types, kind: GroupVersionKind, obj: Any, why: str) -> None:
    assert refused(types, kind, obj) == f'{kind.kind} in version "v1" cannot be handled as a {kind.kind}: {why}'


def test_what_fits_is_let_pass(types: Types, exchanges: Any) -> None:
    kinds = {"Service", "Pod", "Node", "Deployment", "DaemonSet", "Namespace", "Event"}
    accepted = 0
    for file in ("services", "workloads"):
        for one in exchanges(file):
            body: Object | str | None = one.get("body")
            if one.get("status") == 201 and isinstance(body, dict) and body["kind"] in kinds:
                assert refused(types, GroupVersionKind.of(body), body) == ""
                assert refused(types, GroupVersionKind.of(body), one["response"]) == ""
                accepted += 1
    assert accepted > 20


def test_null_fits_everywhere(types: Types) -> None:
    assert refused(types, SERVICE, {"metadata": None, "spec": {"ports": [None], "selector": {"a": None}}}) == ""


def test_the_metadata_of_a_custom_resource_is_decoded_like_any_other() -> None:
    kind = GroupVersionKind("example.org", "v1", "Widget")
    schema = schema_of({})
    assert check_metadata(schema, {"metadata": {"name": "a"}}, kind) is None
    error = check_metadata(schema, {"metadata": {"name": 1}}, kind)
    assert error is not None
    assert error.message == (
        'Widget in version "v1" cannot be handled as a Widget: '
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string"
    )
