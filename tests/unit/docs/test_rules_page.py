"""The page of rules says what the code says of its examples, and the rules are all there."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from metallb.config.backends import Feature

ROOT = Path(__file__).parents[3]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "rules.py"))
PAGE: Path = SCRIPT["PAGE"]
EXAMPLES = [
    pytest.param(rule, id=f"{section['kind']}: {rule['text'][:60]}")
    for section in SCRIPT["rules"]()
    for rule in section["rules"]
]


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == SCRIPT["page"](), "stale: run `make generate`"


@pytest.mark.parametrize("rule", EXAMPLES)
def test_each_example_breaks_its_rule_and_no_other(rule: dict[str, Any]) -> None:
    """One thing is said about the object that breaks it; those before it are as they should be."""
    told = SCRIPT["found"](rule)
    assert len(told) == 1, told
    before = list(SCRIPT["documents"]([*rule.get("cluster", ()), *rule["set"][:-1]]))
    report = SCRIPT["judge"](before, namespace="metallb-system", backend=rule.get("backend", "native"))
    assert [each for each in report.findings if each.severity == "error"] == []


@pytest.mark.parametrize("feature", Feature)
def test_every_feature_of_a_backend_has_its_row(feature: Feature) -> None:
    assert f"\n| {feature.value} | " in PAGE.read_text()
