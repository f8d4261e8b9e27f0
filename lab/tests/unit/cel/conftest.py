"""What the tests of validation rules share: types with rules, and asking them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubelab.apiserver.cel.evaluator import RuleEvaluator
from kubelab.apiserver.schema.structural import schema_of
from kubelab.objects import Object

Ask = Callable[..., list[str]]


@pytest.fixture(scope="session")
def evaluator() -> RuleEvaluator:
    return RuleEvaluator()


@pytest.fixture(scope="session")
def ask(evaluator: RuleEvaluator) -> Ask:
    """What is wrong with a spec of a type, as lines; `old` is the spec before an update."""

    def asked(spec_schema: Object, spec: Any, old: Any = None) -> list[str]:
        schema = schema_of({"type": "object", "properties": {"spec": spec_schema}})
        before = None if old is None else {"spec": old}
        return [str(error) for error in evaluator.evaluate(schema, {"spec": spec}, before)]

    return asked


@pytest.fixture(scope="session")
def refusals(evaluator: RuleEvaluator) -> Ask:
    """Why a type is refused: the field behind `spec`, and the reason that the compiler tells."""

    def refused(spec_schema: Object) -> list[str]:
        schema = schema_of({"type": "object", "properties": {"spec": spec_schema}})
        return [str(error).removeprefix("root.properties[spec]") for error in evaluator.compile_errors(schema, "root")]

    return refused
