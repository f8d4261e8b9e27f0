"""What Prometheus itself says of the alerts: its own checker, and its rules run over samples in made-up time."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PROMTOOL = ROOT / ".tools" / "bin" / "promtool"
GROUPS: list[dict[str, Any]] = yaml.safe_load((ROOT / "manifests" / "monitoring" / "alerts.yaml").read_text())["spec"][
    "groups"
]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
CONTROLLER = {"job": "controller-monitor-service", "instance": "198.18.1.2:9120", "pod": "controller-1"}
OTHER = CONTROLLER | {"instance": "198.18.2.2:9120", "pod": "controller-2"}
SPEAKER = {"job": "speaker-monitor-service", "instance": "198.51.100.11:9120", "pod": "speaker-1"}
POOL = CONTROLLER | {"pool": "first"}
LEASE = {"name": "metallb-controller"}

pytestmark = pytest.mark.skipif(not PROMTOOL.exists(), reason="no promtool: `make setup` brings it")


class Case(NamedTuple):
    """Samples that stay for ten minutes, and who is alerted of each alert once it has waited."""

    samples: list[tuple[str, dict[str, str], float]]
    alerts: dict[str, list[dict[str, str]]]
    value: str = ""


def pool(used: float, total: float = 100) -> list[tuple[str, dict[str, str], float]]:
    return [
        ("metallb_allocator_addresses_in_use_total", POOL, used),
        ("metallb_allocator_addresses_total", POOL, total),
    ]


def usage(*percent: int) -> dict[str, list[dict[str, str]]]:
    return {f"MetalLBAddressPoolUsage{each}Percent": [{"pool": "first"}] for each in percent}


EXHAUSTED = {"MetalLBAddressPoolExhausted": [{"pool": "first"}]}
LOADED, STALE = "metallb_k8s_client_config_loaded_bool", "metallb_k8s_client_config_stale_bool"
LEADS = "leader_election_master_status"

CASES = {
    "all is well": Case([*pool(75), (LOADED, CONTROLLER, 1), (STALE, CONTROLLER, 0), (STALE, SPEAKER, 0)], {}),
    "three quarters": Case(pool(76), usage(75), "76"),
    "most": Case(pool(86), usage(75, 85), "86"),
    "nearly all": Case(pool(96), usage(75, 85, 95), "96"),
    "all": Case(pool(100), usage(75, 85, 95) | EXHAUSTED, "100"),
    "all of one address": Case(pool(1, 1), usage(75, 85, 95) | EXHAUSTED, "100"),
    "a pool without addresses": Case(pool(0, 0), EXHAUSTED),
    "a newer configuration is refused": Case([(STALE, SPEAKER, 1)], {"MetalLBStaleConfig": [SPEAKER]}),
    "a speaker has none": Case([(LOADED, SPEAKER, 0)], {"MetalLBConfigNotLoaded": [SPEAKER]}),
    "a controller that stands by needs none": Case(
        [
            *((LOADED, each, value) for each, value in ((CONTROLLER, 1), (OTHER, 0))),
            *((LEADS, each | LEASE, value) for each, value in ((CONTROLLER, 1), (OTHER, 0))),
        ],
        {},
    ),
    "two that stand by behind nobody": Case(
        [
            *((LOADED, each, 0) for each in (CONTROLLER, OTHER)),
            *((LEADS, each | LEASE, 0) for each in (CONTROLLER, OTHER)),
        ],
        {"MetalLBConfigNotLoaded": [CONTROLLER, OTHER]},
    ),
}


def promtool(*argv: str | Path) -> None:
    done = subprocess.run([PROMTOOL, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": GROUPS}))
    return path


def test_promtool_finds_nothing_wrong(rules: Path) -> None:
    promtool("check", "rules", rules)


def series(name: str, labels: dict[str, str]) -> str:
    pairs = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{pairs}}}"


def expected(alert: str, labels: dict[str, str], value: str) -> dict[str, Any]:
    """With the words that a person gets to read."""

    def written(text: str) -> str:
        for key, label in labels.items():
            text = text.replace(f"{{{{ $labels.{key} }}}}", label)
        return text.replace("{{ $value | humanize }}", value)

    rule = ALERTS[alert]
    return {
        "exp_labels": labels | rule["labels"],
        "exp_annotations": {key: written(text) for key, text in rule["annotations"].items()},
    }


@pytest.mark.parametrize("name", CASES)
def test_alerts_fire_when_they_should_after_their_time_and_no_sooner(rules: Path, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    tests = []
    for alert, rule in ALERTS.items():
        minutes = int(rule["for"].removesuffix("m"))
        told = [expected(alert, labels, case.value) for labels in case.alerts.get(alert, [])]
        tests += [
            {"eval_time": f"{minutes * 60 - 10}s", "alertname": alert, "exp_alerts": []},
            {"eval_time": f"{minutes * 60 + 10}s", "alertname": alert, "exp_alerts": told},
        ]
    given = [{"series": series(name, labels), "values": f"{value}x60"} for name, labels, value in case.samples]
    document = {
        "rule_files": [rules.name],
        "evaluation_interval": "10s",
        "tests": [{"interval": "10s", "input_series": given, "alert_rule_test": tests}],
    }
    path = tmp_path / "tests.yaml"
    path.write_text(yaml.safe_dump(document))
    promtool("test", "rules", path)
