"""The protobuf form of the OpenAPI v2 document, read back by a decoder that knows nothing of the encoder."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from typing import Any

import pytest

from kubelab.apiserver.resources import catalogue
from kubelab.apiserver.schema import openapi_v2
from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.openapi_proto import Encoder, encode
from kubelab.objects import Object

Fields = dict[int, list[Any]]


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data: bytes) -> Fields:
    found: Fields = defaultdict(list)
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value: Any
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            (value,) = struct.unpack_from("<d", data, at)
            at += 8
        else:
            assert tag & 7 == 2
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        found[tag >> 3].append(value)
    return found


def any_(data: bytes) -> Any:
    return json.loads(fields(data)[2][0])


def named(data: bytes) -> tuple[str, bytes]:
    pair = fields(data)
    return pair[1][0].decode(), pair[2][0]


STRINGS = {1: "$ref", 2: "format", 3: "title", 4: "description", 13: "pattern"}
NUMBERS = {6: "multipleOf", 7: "maximum", 9: "minimum", 11: "maxLength", 12: "minLength", 14: "maxItems", 15: "minItems",
           17: "maxProperties", 18: "minProperties"}  # fmt: skip
BOOLEANS = {8: "exclusiveMaximum", 10: "exclusiveMinimum", 16: "uniqueItems"}


def schema(data: bytes) -> Object:
    found = fields(data)
    node: Object = {name: found[number][0].decode() for number, name in STRINGS.items() if number in found}
    node |= {name: found[number][0] for number, name in NUMBERS.items() if number in found}
    node |= {name: bool(found[number][0]) for number, name in BOOLEANS.items() if number in found}
    if 5 in found:
        node["default"] = any_(found[5][0])
    if 19 in found:
        node["required"] = [one.decode() for one in found[19]]
    if 20 in found:
        node["enum"] = [any_(one) for one in found[20]]
    if 21 in found:
        inner = fields(found[21][0])
        node["additionalProperties"] = schema(inner[1][0]) if 1 in inner else bool(inner[2][0])
    if 22 in found:
        node["type"] = fields(found[22][0])[1][0].decode()
    if 23 in found:
        node["items"] = schema(fields(found[23][0])[1][0])
    if 25 in found:
        pairs = [named(one) for one in fields(found[25][0])[1]]
        node["properties"] = {name: schema(part) for name, part in pairs}
    node |= {name: any_(value) for name, value in map(named, found[31])}
    return node


@pytest.fixture
def document(types: Types, exchanges: Any) -> Object:
    return openapi_v2.document(types, [exchanges("crds")[0]["body"]], catalogue())


def test_every_definition_comes_back_as_it_was(document: Object) -> None:
    root = fields(encode(document))
    assert root[1] == [b"2.0"]
    pairs = [named(one) for one in fields(root[9][0])[1]]
    assert {name: schema(data) for name, data in pairs} == document["definitions"]


def test_a_path_says_whose_patch_takes_which_parameters(document: Object) -> None:
    paths = dict(named(one) for one in fields(fields(encode(document))[8][0])[2])
    assert paths.keys() == document["paths"].keys()
    patch = fields(fields(paths["/api/v1/namespaces/{namespace}/services/{name}"])[8][0])
    extensions = {name: any_(value) for name, value in map(named, patch[13])}
    assert extensions["x-kubernetes-group-version-kind"] == {"group": "", "version": "v1", "kind": "Service"}
    parameters = [fields(fields(one)[1][0]) for one in patch[8]]
    body = [fields(one[1][0]) for one in parameters if 1 in one]
    assert [one[2] for one in body] == [[b"body"]]
    query = [fields(fields(one[2][0])[3][0]) for one in parameters if 2 in one]
    assert [one[4][0] for one in query] == [b"dryRun", b"fieldManager", b"fieldValidation", b"force"]
    assert {one[2][0] for one in query} == {b"query"}
    responses = dict(named(one) for one in fields(patch[9][0])[1])
    assert fields(fields(responses["200"])[1][0])[1] == [b"OK"]


def test_numbers_of_all_sizes_come_back() -> None:
    node = {"type": "number", "minimum": -0.5, "maximum": 4294967295, "maxLength": 300, "multipleOf": 1e300}
    root = fields(encode({"definitions": {"n": node}}))
    (pair,) = fields(root[9][0])[1]
    assert schema(named(pair)[1]) == node


def test_an_encoder_that_has_seen_a_document_says_the_same(document: Object, types: Types) -> None:
    encoder = Encoder()
    encoder.encode(openapi_v2.document(types, []))
    assert encoder.encode(document) == encode(document)
    changed = {**document, "definitions": {**document["definitions"], "org.example.lab.v1.Widget": {"type": "object"}}}
    assert encoder.encode(changed) == encode(changed)
