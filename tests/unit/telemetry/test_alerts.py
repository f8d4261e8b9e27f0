"""The alert rules that come with MetalLB: upstream's names, our metrics, and words that a person woken up can use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from metallb.controller.main import LEASE
from metallb.telemetry import metrics as m

ROOT = Path(__file__).parents[3]
FILE = ROOT / "manifests" / "monitoring" / "alerts.yaml"
RULE: dict[str, Any] = yaml.safe_load(FILE.read_text())
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in RULE["spec"]["groups"] for rule in group["rules"]}
DECLARED = {metric.name: metric for metric in (*m.CONTROLLER, *m.SPEAKER)}
WORDS = {"and", "unless", "on", "by", "max", "job", "instance", "pool", "name"}
UPSTREAM = {
    "MetalLBStaleConfig": "warning",
    "MetalLBConfigNotLoaded": "warning",
    "MetalLBAddressPoolExhausted": "critical",
    "MetalLBAddressPoolUsage75Percent": "warning",
    "MetalLBAddressPoolUsage85Percent": "warning",
    "MetalLBAddressPoolUsage95Percent": "critical",
    "MetalLBBGPSessionDown": "critical",
}
"""Alert and severity (spec/controller.md 13)."""

NEEDS = {"MetalLBBGPSessionDown": "metallb_bgp_session_up"}


def without_strings(expression: str) -> str:
    return re.sub(r'"[^"]*"', '""', expression)


def test_it_is_a_rule_that_is_installed_by_choice() -> None:
    assert (RULE["apiVersion"], RULE["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert RULE["metadata"]["namespace"] == "metallb-system"
    assert "monitoring" not in (ROOT / "manifests" / "kustomization.yaml").read_text()


def test_alerts_are_upstreams_as_far_as_there_is_something_to_alert_on() -> None:
    wanted = {name: severity for name, severity in UPSTREAM.items() if NEEDS.get(name, m.IN_USE.name) in DECLARED}
    assert {name: rule["labels"]["severity"] for name, rule in ALERTS.items()} == wanted


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_asks_for_metrics_that_there_are(name: str) -> None:
    expression = without_strings(ALERTS[name]["expr"])
    assert expression.count("(") == expression.count(")")
    assert set(re.findall(r"[a-z_][a-z0-9_]*", expression)) - WORDS <= set(DECLARED)
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        assert set(labels.split(", ")) == set(m.IN_USE.labels) == set(m.ADDRESSES.labels)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_waits_and_says_what_is_the_matter(name: str) -> None:
    rule = ALERTS[name]
    assert re.fullmatch(r"[1-9]\d*m", rule["for"])
    assert set(rule["annotations"]) == {"summary", "description"}
    used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    aggregated = "by (pool)" in rule["expr"]
    assert used == ({"pool"} if aggregated else {"pod"})


def test_the_lease_that_the_rules_name_is_the_controllers() -> None:
    named = set(re.findall(r'name="([^"]*)"', ALERTS["MetalLBConfigNotLoaded"]["expr"]))
    assert named == {LEASE}


def test_each_alert_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "alerts.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `MetalLB")]
    assert {name for row in rows for name in re.findall(r"`(MetalLB\w+)`", row)} == set(ALERTS)
    for row in rows:
        for name in re.findall(r"`(MetalLB\w+)`", row):
            cells = [cell.strip() for cell in row.split("|")]
            assert (cells[3].replace(" min", "m"), cells[4]) == (
                ALERTS[name]["for"],
                ALERTS[name]["labels"]["severity"],
            )
