"""Bodies in protobuf: what Go's own encoders make of objects, what kubectl sends, and what nobody would send."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver import protobuf
from kubelab.apiserver.schema import decode, prune
from kubelab.apiserver.schema.builtin import Types
from kubelab.objects import GroupVersionKind

VECTORS = Path(__file__).parents[2] / "vectors"
TYPES = Types.load()
NOTHING = GroupVersionKind("", "", "")
PROTOBUF = "application/vnd.kubernetes.protobuf"
SERVICES = "/api/v1/namespaces/default/services"


def read(story: str) -> list[Any]:
    return [json.loads(line) for line in (VECTORS / story).read_text().splitlines()]


def recorded() -> list[bytes]:
    requests = [request for command in read("kubectl/kubectl-1.35.jsonl") for request in command["requests"]]
    return [one["body"].encode("latin-1") for one in requests if one.get("content_type") == PROTOBUF]


def without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_null(part) for name, part in value.items() if part is not None}
    return [without_null(part) for part in value] if isinstance(value, list) else value


def field(number: int, data: bytes) -> bytes:
    size = len(data)
    return bytes([number << 3 | 2, size]) + data if size < 0x80 else bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7]) + data  # fmt: skip


def envelope(kind: str, version: str, raw: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, version.encode()) + field(2, kind.encode())) + field(2, raw)


def decoded(body: bytes) -> Any:
    return protobuf.decode(body, NOTHING)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, {"metadata": {"name": "metallb-system"}, "spec": {}, "status": {}}),
        (
            1,
            {
                "metadata": {"name": "lb2", "labels": {"app": "lb2"}},
                "spec": {
                    "ports": [{"name": "80-80", "protocol": "TCP", "port": 80, "targetPort": 80}],
                    "selector": {"app": "lb2"},
                    "type": "LoadBalancer",
                },
                "status": {"loadBalancer": {}},
            },
        ),
        (
            2,
            {
                "metadata": {"name": "demo", "labels": {"app": "demo"}},
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": {"app": "demo"}},
                    "template": {
                        "metadata": {"labels": {"app": "demo"}},
                        "spec": {"containers": [{"name": "d", "image": "example.org/d:1", "resources": {}}]},
                    },
                    "strategy": {},
                },
                "status": {},
            },
        ),
        (
            3,
            {
                "metadata": {},
                "spec": {"resourceAttributes": {"namespace": "default", "verb": "list", "resource": "services"}},
                "status": {"allowed": False},
            },
        ),
    ],
)
def test_what_kubectl_sends_is_what_older_kubectl_sends_as_json(number: int, expected: Any) -> None:
    found = decoded(recorded()[number])
    assert {name: part for name, part in found.items() if name not in {"kind", "apiVersion"}} == expected


@pytest.mark.parametrize("vector", read("protobuf/objects.jsonl"), ids=lambda vector: vector["json"]["kind"])
def test_objects_are_what_go_makes_of_them_in_json(vector: Any) -> None:
    found = decoded(base64.b64decode(vector["body"]))
    assert without_null(found) == without_null(vector["json"])


@pytest.mark.parametrize("vector", read("protobuf/objects.jsonl"), ids=lambda vector: vector["json"]["kind"])
def test_objects_have_no_field_that_their_kind_has_not(vector: Any) -> None:
    found = decoded(base64.b64decode(vector["body"]))
    gvk = GroupVersionKind.of(found)
    schema = TYPES.schema(gvk)
    assert schema is not None
    assert decode.check_types(schema, found, gvk) is None
    assert prune.prune(schema, found)[1] == []


@pytest.mark.parametrize("vector", read("protobuf/damaged.jsonl"))
def test_damaged_messages_are_read_or_refused_as_go_does(vector: Any) -> None:
    body = base64.b64decode(vector["body"])
    if "error" in vector:
        with pytest.raises(protobuf.DecodeError) as caught:
            decoded(body)
        assert str(caught.value) == vector["error"]
    else:
        assert without_null(decoded(body)) == without_null(vector["json"])


@pytest.mark.parametrize(
    ("kind", "version", "raw", "expected"),
    [
        pytest.param("ConfigMap", "v1", field(2, field(1, b"a") + field(2, b"b")), {"data": {"a": "b"}}, id="map"),
        pytest.param("ConfigMap", "v1", field(2, field(1, b"a")), {"data": {"a": ""}}, id="entry without value"),
        pytest.param("Secret", "v1", field(2, field(1, b"a") + field(2, b"\x00")), {"data": {"a": "AA=="}}, id="bytes"),
        pytest.param("ConfigMap", "v1", field(2, field(1, b"\xff\xfe")), {"data": {"\ufffd\ufffd": ""}}, id="no text"),
        pytest.param("ConfigMap", "v1", b"\x20\x00", {"immutable": False}, id="false by pointer"),
        pytest.param("ConfigMap", "v1", b"\xa0\x1f\x00", {}, id="field that nobody knows"),
        pytest.param("ConfigMap", "v1", b"\xa3\x1f\x08\x01\xa4\x1f", {}, id="group that nobody knows"),
        pytest.param("Secret", "v1", field(3, b""), {}, id="empty text"),
    ],
)
def test_values_of_every_sort_are_read(kind: str, version: str, raw: bytes, expected: Any) -> None:
    found = decoded(envelope(kind, version, raw))
    assert found == {"kind": kind, "apiVersion": version, "metadata": {}} | expected


def test_a_message_that_comes_in_two_parts_is_one() -> None:
    raw = field(1, field(1, b"a") + field(3, b"b")) + field(1, field(1, b"") + field(3, b"c"))
    assert decoded(envelope("ConfigMap", "v1", raw))["metadata"] == {"namespace": "c"}


def test_packed_numbers_are_read_like_single_ones() -> None:
    single, packed = b"\x20\x00\x20\x02", field(4, b"\x00\x02")
    assert [
        decoded(envelope("Pod", "v1", field(2, field(14, part))))["spec"]["securityContext"]["supplementalGroups"]
        for part in (single, packed)
    ] == [[0, 2], [0, 2]]


def test_numbers_have_the_bits_of_their_type() -> None:
    raw = field(2, field(1, b"\x18" + b"\xff\xff\xff\xff\x0f"))
    assert decoded(envelope("Service", "v1", raw))["spec"]["ports"][0]["port"] == -1


@pytest.mark.parametrize("version", ["v1", "apps/v1", "gears.example.org/v1"])
def test_delete_options_are_known_in_every_group(version: str) -> None:
    found = decoded(envelope("DeleteOptions", version, b"\x08\x00" + field(4, b"Orphan")))
    expected = {"gracePeriodSeconds": 0, "propagationPolicy": "Orphan"}
    assert found == {"kind": "DeleteOptions", "apiVersion": version} | expected


@pytest.mark.parametrize("body", recorded())
def test_a_message_cut_short_anywhere_is_refused_or_shorter(body: bytes) -> None:
    whole = decoded(body)
    refused = 0
    for end in range(len(body)):
        try:
            assert protobuf.decode(body[:end], GroupVersionKind("", "v1", "Pod")) != whole or body[end:] in ENDS
        except protobuf.DecodeError:
            refused += 1
    assert refused > len(body) // 2


ENDS = {field(3, b"") + field(4, b""), field(3, b"")[1:] + field(4, b""), field(4, b"")}
"""What may be cut off without loss: content encoding and content type, both empty."""


@given(st.binary(), st.sampled_from(recorded()), st.integers(min_value=0), st.integers(0, 20))
def test_no_bytes_raise_anything_else(noise: bytes, body: bytes, at: int, cut: int) -> None:
    at %= len(body)
    kind = GroupVersionKind.of(decoded(body))
    bodies = (
        noise,
        b"k8s\x00" + noise,
        body[:at] + noise + body[at + cut :],
        envelope(kind.kind, kind.api_version, noise),
    )
    for text in bodies:
        try:
            json.dumps(protobuf.decode(text, kind))
        except protobuf.DecodeError as error:
            assert str(error)  # most bytes are no message


NOT_MAGIC = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
WORDED = [
    (b"", "the object provided is unrecognized (must be of type Service): empty data (<empty>)"),
    (b"{}", f"the object provided is unrecognized (must be of type Service): {NOT_MAGIC} (7b7d)"),
    (b"k8s\x00", "the object provided is unrecognized (must be of type Service): empty body (6b387300)"),
    (
        b"k8s\x00" + b"\xff" * 40,
        f"the object provided is unrecognized (must be of type Service): proto: integer overflow (6b387300{'ff' * 26} ...)",
    ),
    (
        envelope("Service", "v1", b"\x0a\x05"),
        'Service in version "v1" cannot be handled as a Service: unexpected EOF',
    ),
    (
        envelope("Gear", "v1", b""),
        (
            'Gear in version "v1" cannot be handled as a Service: no kind "Gear" is registered for version "v1" in scheme '
            '"pkg/api/legacyscheme/scheme.go:30"'
        ),
    ),
    (
        envelope("ConfigMap", "v1", b""),
        (
            'ConfigMap in version "v1" cannot be handled as a Service: converting (v1.ConfigMap) to (core.Service): '
            "unknown conversion"
        ),
    ),
]


@pytest.mark.parametrize(("body", "message"), WORDED)
async def test_a_server_says_why_it_refuses(ask: Any, body: bytes, message: str) -> None:
    answer = await ask("POST", SERVICES, body, content_type=PROTOBUF)
    assert (answer.status, answer.body["message"]) == (400, message)


def service(name: bytes, *more: bytes, kind: str = "Service", version: str = "v1") -> bytes:
    port = b"\x18\x50" + field(4, b"\x08\x00\x10\x00")
    return envelope(kind, version, field(1, field(1, name) + b"".join(more)) + field(2, field(1, port)))


@pytest.mark.parametrize("version", ["v1", ""])
async def test_a_strict_create_takes_protobuf(ask: Any, version: str) -> None:
    body = service(b"a", kind="Service" if version else "", version=version)
    made = await ask("POST", f"{SERVICES}?fieldValidation=Strict", body, content_type=PROTOBUF)
    assert (made.status, made.warnings) == (201, [])
    assert made.body["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]


async def test_an_update_takes_protobuf(ask: Any) -> None:
    made = (await ask("POST", SERVICES, service(b"a"), content_type=PROTOBUF)).body
    version = field(6, made["metadata"]["resourceVersion"].encode())
    labels = field(11, field(1, b"x") + field(2, b"y"))
    body = service(b"a", version, labels)
    changed = await ask("PUT", f"{SERVICES}/a", body, content_type=PROTOBUF)
    assert (changed.status, changed.body["metadata"]["labels"]) == (200, {"x": "y"})


async def test_a_deletion_takes_options_in_protobuf(ask: Any) -> None:
    await ask("POST", SERVICES, service(b"a"), content_type=PROTOBUF)
    other = envelope("DeleteOptions", "v1", field(2, field(1, b"another uid")))
    refused = await ask("DELETE", f"{SERVICES}/a", other, content_type=PROTOBUF)
    assert refused.status == 409
    options = envelope("DeleteOptions", "v1", field(4, b"Background"))
    assert (await ask("DELETE", f"{SERVICES}/a", options, content_type=PROTOBUF)).status == 200


async def test_patches_are_never_protobuf(ask: Any) -> None:
    assert (await ask("PATCH", f"{SERVICES}/a", b"k8s\x00", content_type=PROTOBUF)).status == 415


async def test_custom_objects_are_never_protobuf_but_options_to_delete_them_are(ask: Any) -> None:
    names = {"plural": "gears", "kind": "Gear"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "example.org", "scope": "Cluster", "names": names, "versions": [version]}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await ask("POST", definitions, {"metadata": {"name": "gears.example.org"}, "spec": spec})
    gears = "/apis/example.org/v1/gears"
    gear = {"apiVersion": "example.org/v1", "kind": "Gear", "metadata": {"name": "a"}}
    assert (await ask("POST", gears, gear)).status == 201
    refused = await ask("POST", gears, envelope("Gear", "example.org/v1", b""), content_type=PROTOBUF)
    assert (refused.status, refused.body["reason"]) == (415, "UnsupportedMediaType")
    options = envelope("DeleteOptions", "example.org/v1", field(4, b"Background"))
    assert (await ask("DELETE", f"{gears}/a", options, content_type=PROTOBUF)).status == 200
