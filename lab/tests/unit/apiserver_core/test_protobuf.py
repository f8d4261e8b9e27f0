"""Bodies in protobuf."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver import protobuf
from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.schema.builtin import Types

TYPES = Types.load()
RECORDED = Path(__file__).parents[2] / "vectors" / "kubectl" / "kubectl-1.35.jsonl"


def recorded() -> list[bytes]:
    commands = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    requests = [request for command in commands for request in command["requests"]]
    sent = [one["body"] for one in requests if one.get("content_type") == protobuf.MEDIA_TYPE and one.get("body")]
    return [body.encode("latin-1") for body in sent]


def test_what_kubectl_sends_is_understood() -> None:
    found = [protobuf.decode(body, TYPES) for body in recorded()]
    assert [one["kind"] for one in found] == [
        "Namespace",
        "Service",
        "Deployment",
        "SelfSubjectAccessReview",
        "SelfSubjectAccessReview",
    ]
    assert found[0]["metadata"] == {"name": "metallb-system"}
    assert found[1]["spec"] == {
        "ports": [{"name": "80-80", "protocol": "TCP", "port": 80, "targetPort": 80}],
        "selector": {"app": "lb2"},
        "type": "LoadBalancer",
    }
    assert found[2]["spec"]["template"]["spec"]["containers"] == [
        {"name": "d", "image": "example.org/d:1", "resources": {}}
    ]


def test_a_message_cut_short_is_a_bad_request_or_a_shorter_message() -> None:
    for body in recorded():
        for end in range(len(body)):
            try:
                protobuf.decode(body[:end], TYPES)
            except ApiError as error:
                assert error.code == 400


@given(st.binary(), st.sampled_from(recorded()), st.integers(min_value=0))
def test_no_bytes_raise_anything_else(noise: bytes, body: bytes, at: int) -> None:
    at %= len(body)
    for text in (noise, b"k8s\x00" + noise, body[:at] + noise + body[at:], body[:at] + noise):
        try:
            protobuf.decode(text, TYPES)
        except ApiError as error:
            assert error.code == 400


def wire(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def envelope(kind: str, version: str, raw: bytes) -> bytes:
    return b"k8s\x00" + wire(1, wire(1, version.encode()) + wire(2, kind.encode())) + wire(2, raw)


@pytest.mark.parametrize(
    ("kind", "version", "raw", "expected"),
    [
        pytest.param("ConfigMap", "v1", wire(2, wire(1, b"a") + wire(2, b"b")), {"data": {"a": "b"}}, id="a map"),
        pytest.param("Secret", "v1", wire(2, wire(1, b"a") + wire(2, b"\x00")), {"data": {"a": "AA=="}}, id="bytes"),
        pytest.param(
            "Deployment", "apps/v1", wire(2, b"\x08\x00\x28\x00"), {"spec": {"replicas": 0}}, id="zero by pointer"
        ),
        pytest.param(
            "Pod",
            "v1",
            wire(2, wire(2, wire(1, b"c") + wire(8, wire(1, wire(1, b"cpu") + wire(2, wire(1, b"5m")))))),
            {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "5m"}}}]}},
            id="a quantity",
        ),
        pytest.param(
            "Pod",
            "v1",
            wire(2, wire(2, wire(10, wire(1, wire(2, wire(1, b"/x"))) + b"\x10\x05"))),
            {"spec": {"containers": [{"livenessProbe": {"httpGet": {"path": "/x"}, "initialDelaySeconds": 5}}]}},
            id="an embedded structure",
        ),
        pytest.param(
            "Lease",
            "coordination.k8s.io/v1",
            wire(2, wire(4, b"\x08\x01\x10\x80\x89\x7a")),
            {"spec": {"renewTime": "1970-01-01T00:00:01.002000Z"}},
            id="a time",
        ),
    ],
)
def test_values_of_every_sort_are_read(kind: str, version: str, raw: bytes, expected: dict[str, object]) -> None:
    found = protobuf.decode(envelope(kind, version, raw), TYPES)
    assert found == {"kind": kind, "apiVersion": version} | expected
