"""What the tests of types share: recorded exchanges, and the types they were recorded with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kubelab.apiserver.errors import FieldError, invalid
from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.default import apply_defaults
from kubelab.apiserver.schema.model import Schema
from kubelab.apiserver.schema.prune import prune
from kubelab.apiserver.schema.rules import NoEvaluator, check_rules, has_rules
from kubelab.apiserver.schema.structural import schema_of
from kubelab.apiserver.schema.validate import validate
from kubelab.objects import GroupVersionKind, Object

VECTORS = Path(__file__).parents[2] / "vectors" / "apiserver"


def _exchanges(name: str) -> list[Object]:
    return [json.loads(line) for line in (VECTORS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def _values_refused() -> list[Object]:
    lines = [one for one in _exchanges("crds") if one["name"].startswith("value ") and one["method"] == "POST"]
    return [one for one in lines if not one["name"].startswith("value rule")]


RECORDED = {"refused_value": _values_refused}
"""Fixtures that stand for each of some recorded exchanges."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, lines in RECORDED.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, lines(), ids=lambda one: one["name"])


class Judge:
    """What the server does with a body, as far as types go."""

    def decoded(self, schema: Schema, body: Object) -> tuple[Object, list[str]]:
        """A body as it is before validation, and the warnings it earned."""
        pruned, unknown = prune(schema, body)
        return apply_defaults(schema, pruned), unknown

    def errors(self, schema: Schema, obj: Object) -> list[FieldError]:
        errors = validate(schema, obj)
        return errors + (check_rules(NoEvaluator(), schema, obj, None, errors) if has_rules(schema) else [])

    def message(self, body: Object, errors: list[FieldError]) -> str:
        gvk = GroupVersionKind.of(body)
        return invalid(gvk.group, gvk.kind, body["metadata"]["name"], errors).message if errors else ""

    def warnings(self, exchange: Object) -> list[str]:
        """The warnings about fields that were recorded, without code and quotes."""
        texts: list[str] = [json.loads(one.removeprefix("299 - ")) for one in exchange.get("warnings") or ()]
        return [text for text in texts if " field " in text]


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def exchanges() -> Callable[[str], list[Object]]:
    return _exchanges


@pytest.fixture
def recorded() -> Callable[[str, str], Object]:
    return lambda file, name: next(one for one in _exchanges(file) if one["name"] == name)


@pytest.fixture(scope="session")
def types() -> Types:
    return Types.load()


@pytest.fixture(scope="session")
def widget_schema() -> Object:
    versions = _exchanges("crds")[0]["body"]["spec"]["versions"]
    schema: Object = versions[0]["schema"]["openAPIV3Schema"]
    return schema


@pytest.fixture(scope="session")
def widget(widget_schema: Object) -> Schema:
    return schema_of(widget_schema)
