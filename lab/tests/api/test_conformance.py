"""The server under test beside what a real one answered."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kubelab import kubeconfig
from kubelab.cli import lab
from kubelab.conformance import cases, embedded, table
from kubelab.conformance.masks import Masks
from kubelab.conformance.running import Runner, compared, contains, judged

TABLE = Path(__file__).parents[3] / "docs" / "reference" / "conformance.md"


async def test_the_server_answers_as_the_real_one_did(cluster: Any) -> None:
    known = embedded.DIFFERS if cluster.embedded else {}
    connection, found = kubeconfig.load(cluster.kubeconfig), cases.load()
    alike, other = ([case for case in found if (case.name in known) == differs] for differs in (False, True))
    async with Runner(connection, secrets.randbelow, patience_s=60) as runner:
        verdicts = await judged(runner, alike, cases.recorded(), at_once=16)
    async with Runner(connection, secrets.randbelow, patience_s=1) as runner:
        verdicts += await judged(runner, other, cases.recorded(), at_once=16, tries=1)
    lines = [f"{each.case.name}: {each.differences[:3]}" for each in verdicts if not each.conforms]
    unexpected = [line for line in lines if line.partition(":")[0] not in known]
    assert not unexpected, "\n".join(unexpected)
    conforming = {each.case.name for each in verdicts if each.conforms}
    assert not conforming & set(known), "these conform now: take them out of the list"


def test_every_case_is_recorded_and_named_once() -> None:
    names = [case.name for case in cases.load()]
    assert len(names) == len(set(names))
    assert {(case.topic, case.name) for case in cases.load()} == set(cases.recorded())
    assert set(embedded.DIFFERS) <= set(names)


def test_the_documented_table_is_the_present_one() -> None:
    assert TABLE.read_text(encoding="utf-8") == table.document()


def test_what_differs_is_told_with_its_place() -> None:
    wanted = [cases.Answer(200, {"a": [1, {"b": "x"}]})]
    found = [cases.Answer(201, {"a": [1, {"c": "x"}], "d": None}, ["old"])]
    assert compared(wanted, found) == [
        "answer 1: status is 201 instead of 200",
        "answer 1: warnings has 1 items instead of 0",
        'answer 1: .a[1].b is missing: "x"',
        'answer 1: .a[1].c is too much: "x"',
        "answer 1: .d is too much: null",
    ]
    assert compared(wanted, []) == ["0 answers instead of 1: record the case again"]


def test_a_difference_in_type_is_one() -> None:
    assert compared([cases.Answer(200, {"a": 1})], [cases.Answer(200, {"a": True})]) != []


def test_what_the_server_chooses_is_masked() -> None:
    shown = Masks("conformance-1").applied(
        {
            "metadata": {"name": "x-a1b2c", "generateName": "x-", "namespace": "conformance-1", "uid": "7"},
            "spec": {"clusterIP": "198.18.128.7", "clusterIPs": ["198.18.128.7"]},
            "message": "in record (77), at 2026-11-23T10:00:00Z",
        }
    )
    assert shown == {
        "metadata": {"name": "<chosen>", "generateName": "x-", "namespace": "<namespace>", "uid": "<chosen>"},
        "spec": {"clusterIP": "<address 1>", "clusterIPs": ["<address 1>"]},
        "message": "in record (<chosen>), at <time>",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "has to be a mapping"),
        ("{topic: T, cases: {C: []}}", "a list of steps"),
        ("{topic: T, cases: {C: [[NOPE, path]]}}", "a step is"),
        ("{topic: T, cases: {C: [GET]}}", "a step is"),
    ],
)
def test_a_file_of_cases_that_is_none_is_refused_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(cases.CaseError, match=problem):
        cases.parse(text, "there.yaml")


@pytest.mark.parametrize(
    ("wanted", "is_there"),
    [
        ({"a": 1}, True),
        ({"a": 2}, False),
        ({"l": [{"t": "x"}]}, True),
        ({"l": [{"t": "y"}]}, False),
        ({"n": {}}, False),
    ],
)
def test_waiting_is_for_what_has_to_be_there(wanted: Any, is_there: bool) -> None:  # noqa: FBT001  # a row of the table
    assert contains({"a": 1, "l": [{"t": "x", "u": 1}], "m": 2}, wanted) == is_there


def test_the_command_compares_a_cluster_and_tells_programs(cluster: Any) -> None:
    arguments = ["conformance", "--kubeconfig", str(cluster.kubeconfig), "--case", "second object", "--output", "json"]
    done = CliRunner().invoke(lab, arguments)
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.output)
    assert row == {
        "topic": "Objects",
        "case": "A second object of a name is refused",
        "conforms": True,
        "differences": [],
    }


def test_the_command_names_what_differs_and_fails(cluster: Any) -> None:
    if not cluster.embedded:
        pytest.skip("a real server differs in nothing")
    done = CliRunner().invoke(
        lab, ["conformance", "--kubeconfig", str(cluster.kubeconfig), "--case", "A label selector chooses"]
    )
    assert done.exit_code == 1
    assert "differs  A label selector chooses" in done.output
    assert "0 of 1 are as kube-apiserver" in done.output


def test_the_command_refuses_what_no_case_has() -> None:
    done = CliRunner().invoke(lab, ["conformance", "--case", "no such words"], env=dict(os.environ))
    assert done.exit_code == 2
    assert "no case has" in done.output
