"""Whatever an object or a rule is: there is an answer, and it is that of Python's own reckoning where that is easy."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.cel import checking, programs, values, words
from kubelab.apiserver.cel.evaluator import RuleEvaluator
from kubelab.apiserver.schema.structural import schema_of
from kubelab.objects import Object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
RULES = (
    "self.a > 1 || self.b.startsWith('x')",
    "self == oldSelf",
    "self.l.all(x, x.k == self.b) && self.l.map(x, x.v).sum() > 1",
    "self.?a.?b.orValue('') == '' && size(self.m) > 0",
    "ip(self.b).isLoopback() || cidr(self.b).containsIP(self.b) || url(self.b).getHost() == ''",
    "quantity(self.b).isGreaterThan(quantity('1')) || self.b.split(',').join('').matches(self.b)",
    "'%s %d %.1f'.format([self.a, self.b, self.m]) == string(self.a)",
    "format.named(self.b).value().validate(self.b).hasValue() || timestamp(self.t) > self.t || duration(self.d) < self.d",
    "self.b.substring(self.a).indexOf(self.b, self.a) > 1 || self.b.find(self.b) == '' || self.b.charAt(self.a) == ''",
)
NAMES: dict[str, Object] = {
    "a": {"type": "integer"},
    "b": {"type": "string"},
    "d": {"type": "string", "format": "duration"},
    "t": {"type": "string", "format": "date-time"},
    "n": {"type": "number"},
    "m": {"type": "object", "additionalProperties": {"type": "number"}},
    "l": {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "number"}}},
    },
}
RULED = schema_of(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    name: {**part, "x-kubernetes-validations": [{"rule": "self == oldSelf"}, {"rule": "self > 1"}]}
                    for name, part in NAMES.items()
                },
                "x-kubernetes-validations": [{"rule": rule, "messageExpression": "self.b"} for rule in RULES],
            }
        },
    }
)
SPEC = st.dictionaries(st.sampled_from(sorted(NAMES)), JSON, max_size=7) | JSON
WORDS = [
    "self",
    ".",
    ".?",
    "a",
    "l",
    "[",
    "[?",
    "]",
    "(",
    ")",
    "{",
    "}",
    "all",
    "x",
    ",",
    "0",
    "1.5",
    "'s'",
    "'",
    '"""',
    "&&",
    "||",
    "!",
    "==",
    "in",
    "map",
    "has",
    "string",
    "sets",
    "contains",
    "optMap",
    "r'\\'",
    "//",
    "?",
    ":",
]
CODE = st.lists(st.sampled_from([*WORDS, "\n"]), max_size=20).map(" ".join)
SCOPE: checking.Scope = {"self": RULED.properties["spec"], "oldSelf": RULED.properties["spec"]}
EVALUATOR = RuleEvaluator()


@given(SPEC, st.none() | SPEC)
def test_no_object_raises(spec: Any, old: Any) -> None:
    errors = EVALUATOR.evaluate(RULED, {"spec": spec}, None if old is None else {"spec": old})
    assert all(error.field.startswith("spec") and error.text for error in errors)


@given(CODE | st.text(max_size=30))
def test_no_rule_raises_but_what_says_why(source: str) -> None:
    checking.name_errors(source, SCOPE)
    try:
        program = programs.program(source)
    except programs.CompileError as error:
        assert str(error).startswith("ERROR: <input>:")
        return
    try:
        program.ask({"self": {"a": 1, "l": []}, "oldSelf": None})
    except programs.EvaluationError as error:
        assert str(error)


@given(st.text())
def test_words_lose_nothing_but_space_and_comments(source: str) -> None:
    cut = words.cut(source)
    assert all(source[word.at : word.at + len(word.text)] == word.text for word in cut)
    assert [word.text for word in words.cut("\n".join(word.text for word in cut))] == [word.text for word in cut]


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_compare_and_add_as_in_python(one: int, other: int) -> None:
    given_ = {"self": {"a": one, "b": other}}
    assert programs.program("self.a < self.b").ask(given_) is (one < other)
    total = one + other
    try:
        assert programs.program("self.a + self.b").ask(given_) == total
    except programs.EvaluationError as error:
        assert str(error) == "integer overflow"
        assert not -(2**63) <= total < 2**63


@given(st.lists(st.integers(-99, 99), max_size=6))
def test_lists_are_summed_and_ordered_as_in_python(items: list[int]) -> None:
    given_ = {"self": items}
    assert programs.program("self.sum()").ask(given_) == sum(items)
    assert programs.program("self.isSorted()").ask(given_) is (items == sorted(items))


@given(st.text(max_size=12), st.text(min_size=1, max_size=2))
def test_splitting_and_joining_is_the_way_back(text: str, separator: str) -> None:
    assert programs.program("self.t.split(self.s).join(self.s)").ask({"self": {"t": text, "s": separator}}) == text


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59))
def test_durations_are_read_as_go_writes_them(hours: int, minutes: int, seconds: int) -> None:
    found = values.duration(f"{hours}h{minutes}m{seconds}s")
    assert found == timedelta(hours=hours, minutes=minutes, seconds=seconds)


def test_a_rule_takes_microseconds() -> None:
    schema = schema_of(
        {"type": "object", "x-kubernetes-validations": [{"rule": "!has(self.spec) || self.spec.name != 'bad'"}]}
    )
    obj: Object = {"spec": {"name": "good", "addresses": ["192.0.2.0/24"] * 10}}
    EVALUATOR.evaluate(schema, obj, None)
    times = []
    for _ in range(500):
        start = time.perf_counter()
        EVALUATOR.evaluate(schema, obj, None)
        times.append(time.perf_counter() - start)
    assert min(times) < 1000e-6
