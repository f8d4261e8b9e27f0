"""What keeps a rule from compiling, in the compiler's words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kubelab.apiserver.cel import programs, words
from kubelab.apiserver.cel.evaluator import RuleEvaluator
from kubelab.apiserver.request import Request, User
from kubelab.apiserver.schema.structural import schema_of
from kubelab.apiserver.server import Options, Server
from kubelab.objects import Object

STRING: Object = {"type": "string"}
FIELDS: Object = {
    "a": STRING,
    "n": {"type": "integer"},
    "l": {"type": "array", "items": {"type": "object", "properties": {"k": STRING}}},
    "m": {"type": "object", "additionalProperties": {"type": "integer"}},
    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "port": {"x-kubernetes-int-or-string": True},
    "when": {"type": "string", "format": "date-time"},
    "for": {"type": "string", "format": "duration"},
    "x-y": STRING,
    "namespace": STRING,
}
GOOD = [
    "self.a == 'x' && self.n > 1",
    "has(self.a) || !has(self.l[0].k)",
    "self.l.all(x, x.k != '' && self.l.exists(y, y.k == x.k))",
    "self.l.filter(x, x.k == 'a')[0].k == 'a'",
    "self.m.a > 1 && self.m['b'] > 1 && self.m.all(k, self.m[k] > 0)",
    "self.free.any.thing == 1 && self.port.any == 1",
    "self.x__dash__y == self.__namespace__",
    "type(self.port) == int ? self.port > 0 : self.port.endsWith('%')",
    "self.when > timestamp('2026-01-01T00:00:00Z') && self.__for__ < duration('1h')",
    "self.?a.orValue('') in ['a'] && dyn(self.a) == string(1)",
    "'self.nope' != \"nope()\" // nope()",
]
BAD = [
    ("self.a.b", 1, 7, "type 'string' does not support field selection"),
    ("self.nope == 1", 1, 5, "undefined field 'nope'"),
    ("self.l[0].q == ''", 1, 10, "undefined field 'q'"),
    ("self.l.all(x, x.q == '')", 1, 16, "undefined field 'q'"),
    ("self.l.k == ''", 1, 7, "type 'list(object)' does not support field selection"),
    ("self.m.x.y == 1", 1, 9, "type 'int' does not support field selection"),
    ("self.n > 1 &&\n  self.when.x", 2, 12, "type 'timestamp' does not support field selection"),
    ("self.__for__.x", 1, 13, "type 'duration' does not support field selection"),
    ("nope == 1", 1, 1, "undeclared reference to 'nope' (in container '')"),
    ("nope(self.a)", 1, 5, "undeclared reference to 'nope' (in container '')"),
    ("self.a.nope()", 1, 12, "undeclared reference to 'nope' (in container '')"),
    ("'x'.nope()", 1, 9, "undeclared reference to 'nope' (in container '')"),
    ("self.l.all(x, true) && x", 1, 24, "undeclared reference to 'x' (in container '')"),
]
Refusals = Callable[[Object], list[str]]


def spec(*rules: Object, fields: Object | None = None) -> Object:
    return {"type": "object", "properties": fields or FIELDS, "x-kubernetes-validations": list(rules)}


@pytest.mark.parametrize("rule", GOOD)
def test_a_rule_about_what_is_there_compiles(refusals: Refusals, rule: str) -> None:
    assert refusals(spec({"rule": rule})) == []


@pytest.mark.parametrize(("rule", "line", "column", "reason"), BAD)
def test_a_name_that_does_not_exist_is_shown(
    refusals: Refusals, rule: str, line: int, column: int, reason: str
) -> None:
    (found,) = refusals(spec({"rule": rule}))
    text = rule.splitlines()[line - 1]
    marked = f"ERROR: <input>:{line}:{column}: {reason}\n | {text}\n | {'.' * (column - 1)}^"
    assert found.startswith(".x-kubernetes-validations[0].rule: Invalid value: {")
    assert found.endswith(f": compilation failed: {marked}")


def test_text_that_is_no_rule_is_shown_with_the_place(refusals: Refusals) -> None:
    (found,) = refusals(spec({"rule": "self.n >"}))
    assert "compilation failed: ERROR: <input>:1:9: Syntax error: mismatched input" in found
    assert found.endswith("\n | self.n >\n | ........^")


def test_a_message_that_does_not_compile_is_refused_as_well(refusals: Refusals) -> None:
    (found,) = refusals(spec({"rule": "true", "messageExpression": "self.nope"}))
    assert found.startswith(".x-kubernetes-validations[0].messageExpression: ")
    assert "messageExpression compilation failed: ERROR: <input>:1:5: undefined field 'nope'" in found
    (found,) = refusals(spec({"rule": "true", "messageExpression": "oldSelf.a"}))
    assert "undeclared reference to 'oldSelf'" in found


def test_of_the_metadata_only_the_name_is_known(evaluator: RuleEvaluator) -> None:
    rules = [{"rule": "self.metadata.name != '' && self.kind != ''"}, {"rule": "self.metadata.labels.size() > 0"}]
    errors = evaluator.compile_errors(schema_of({"type": "object", "x-kubernetes-validations": rules}), "root")
    assert [error.field for error in errors] == ["root.x-kubernetes-validations[1].rule"]
    assert "undefined field 'labels'" in errors[0].text


def test_an_old_value_that_nobody_can_tell_may_not_be_used(refusals: Refusals) -> None:
    item = {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}
    (found,) = refusals({"type": "object", "properties": {"l": {"type": "array", "items": item}}})
    assert found == (
        '.properties[l].items.x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": oldSelf cannot be used'
        " on the uncorrelatable portion of the schema within root.properties[spec].properties[l]"
    )
    keyed = {"type": "object", "properties": {"k": item}}
    by_key = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": keyed}
    assert refusals({"type": "object", "properties": {"l": by_key}}) == []


@pytest.mark.parametrize("source", ["+".join(["1"] * 3000), "(" * 60 + "1" + ")" * 60, "[" * 5000, "'''" + "\\" * 500])
def test_a_monstrous_rule_is_refused_before_it_does_harm(source: str) -> None:
    with pytest.raises(programs.CompileError):
        programs.program(source)


def test_words_keep_what_is_in_strings_together() -> None:
    source = r"""r'a\' + 'b\'c' + b'''q'r''' + "//x" // y"""
    assert [word.text for word in words.cut(source)] == [r"r'a\'", "+", r"'b\'c'", "+", "b'''q'r'''", "+", '"//x"']


async def test_a_definition_whose_rule_does_not_compile_is_refused() -> None:
    rule = {"rule": "self.nope > 1"}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {**STRING}}}}}
    schema["properties"]["spec"]["properties"]["a"]["x-kubernetes-validations"] = [rule]  # type: ignore[index]  # nested
    version: dict[str, Any] = {"served": True, "schema": {"openAPIV3Schema": schema}}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.lab.example.org"},
        "spec": {
            "group": "lab.example.org",
            "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget"},
            "versions": [{"name": "v1", "storage": True} | version, {"name": "v2", "storage": False} | version],
        },
    }
    server = Server(Options(rules=RuleEvaluator()))
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    admin = User("admin", ("system:masters",))
    answer = await server.handle(Request.to("POST", path, json.dumps(body).encode(), certificate=admin))
    assert answer.status == 422
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body)["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": 'Invalid value: {"Rule":"self.nope \\u003e 1","Message":"","MessageExpression":"","Reason":null,'
            '"FieldPath":"","OptionalOldSelf":null}: compilation failed: ERROR: <input>:1:5: '
            "type 'string' does not support field selection\n | self.nope > 1\n | ....^",
            "field": "spec.validation.openAPIV3Schema.properties[spec].properties[a].x-kubernetes-validations[0].rule",
        }
    ]
