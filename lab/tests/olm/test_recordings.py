"""What an administrator sees of the real OLM is what the double shows: each recorded command, told again."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.e2e
VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "olm"
Object = dict[str, Any]

_VOLATILE = frozenset(
    {"uid", "uuid", "resourceVersion", "creationTimestamp", "lastUpdated", "lastConnect", "createdAt"}
)
_UNDER_WAY = frozenset({"phase", "startTime", "conditions", "lastTransitionTime"})
"""Of an InstallPlan: the recordings caught it at work."""


def told(name: str) -> list[Object]:
    return [json.loads(line) for line in (VECTORS / f"{name}.jsonl").read_text().splitlines()]


def masked(text: str) -> str:
    """Without what differs from run to run: ages, times, addresses, generated names, and the widths that follow."""
    text = re.sub(r"install-\w{5}\b", "install-xxxxx", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", text)
    text = re.sub(r"\b\d+\.\d+\.\d+\.\d+\b", "ADDRESS", text)
    text = re.sub(r"(?<=[\s])\d+m?\d*s\b", "AGE", text)
    text = re.sub(r"(metallb-operator\.v[\d.]+-)[\w-]*(?=\s|$)", r"\1HASH", text)
    lines = [re.sub(r"\s{2,}", "  ", line).strip() for line in text.splitlines()]
    return "\n".join(lines)


def table(text: str) -> list[str]:
    """Lines in any order: generated names sort by chance. Accounts are shown with a column more by other servers."""
    lines = [line.replace("NAME  SECRETS  AGE", "NAME  AGE") for line in masked(text).splitlines()]
    return sorted(re.sub(r"^(serviceaccount/\S+)  0  ", r"\1  ", line) for line in lines if line)


def plain(value: Any) -> Any:
    """An object without what differs from run to run."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if name not in _VOLATILE}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return masked(value) if isinstance(value, str) else value


def documents(text: str) -> list[Object]:
    items = [plain(each) for each in yaml.safe_load(text)["items"]]
    for each in items:
        _settle(each)
    return items


def _settle(obj: Object) -> None:
    """Takes out what was still under way when it was recorded."""
    status = obj.get("status", {})
    if obj["kind"] == "InstallPlan":
        for name in _UNDER_WAY & status.keys():
            del status[name]
        for step in status.get("plan", []):
            del step["status"], step["resource"]["manifest"]
        # Roles of an account are one after the other; which of several comes first is chance.
        status["plan"].sort(key=json.dumps)
    if obj["kind"] == "Subscription":
        status["conditions"] = [each for each in status["conditions"] if each["type"] != "InstallPlanPending"]
        for each in status["conditions"]:
            each.pop("lastTransitionTime")
    if obj["kind"] == "CatalogSource":
        for each in (obj["spec"], status["connectionState"]):
            each.pop("address", None)
            each.pop("image", None)


async def replay(story: Any, lines: list[Object], namespace: str) -> None:
    """Each command with its recorded answer; a plan's name is the one that there is now."""
    await story.serve("catalog:5.0.0")
    names: dict[str, str] = {}
    for line in lines:
        argv = [names.get(word, word) for word in line["argv"][1:]]
        if "patch" in argv and argv[-3] not in names.values():
            pending = await story.until(lambda: unapproved(story, namespace))
            names[line["argv"][5]] = pending
            argv = [names.get(word, word) for word in line["argv"][1:]]
        said, expected = await answered(story, argv, line), line["stdout"]
        if "yaml" in argv:
            assert documents(said) == documents(expected), argv
        else:
            assert table(said) == table(expected), argv


async def answered(story: Any, argv: list[str], line: Object) -> str:
    """What a command says in the end: what it asks for comes by and by."""

    def alike(said: str) -> bool:
        compare = documents if "yaml" in argv else table
        return bool(said.strip()) and compare(said) == compare(line["stdout"])

    last = ""

    async def ask() -> bool:
        nonlocal last
        last = await story.kubectl(*argv, stdin=line.get("stdin") or "")
        return argv[0] in ("apply", "patch") or alike(last)

    with contextlib.suppress(TimeoutError):
        await story.until(ask)
    return last


async def unapproved(story: Any, namespace: str) -> str:
    plans = json.loads(await story.kubectl("get", "installplan", "-n", namespace, "-o", "json"))["items"]
    return next((each["metadata"]["name"] for each in plans if not each["spec"]["approved"]), "")


def recorded_phases(lines: list[Object]) -> list[tuple[str, ...]]:
    return [tuple(each[1:]) for each in lines[-1]["phases"] if each[2]]


def without_waiting(phases: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """How long a Deployment is waited for is chance."""
    return [each for each in phases if each[2] != "InstallWaiting"]


async def test_w2_automatic(story: Any) -> None:
    lines = told("w2-automatic")
    await replay(story, lines[:-1], "metallb-system")
    assert without_waiting(story.phases) == without_waiting(recorded_phases(lines))


async def test_w1_for_all_namespaces(story: Any) -> None:
    lines = told("w1-all-namespaces")
    await replay(story, lines[:-1], "openshift-operators")
    assert without_waiting(story.phases) == without_waiting(recorded_phases(lines))


async def test_approval_by_hand_then_an_upgrade(story: Any) -> None:
    lines = told("manual-then-upgrade")
    first = next(number for number, line in enumerate(lines) if "5.0.1" in line.get("stdout", ""))
    await replay(story, lines[:first], "metallb-system")
    story.healthy = True
    await story.serve("catalog:5.0.1")
    for line in lines[first:-1]:
        if "csv" in line["argv"]:
            continue  # the version before is shown as it goes; see below
        argv = line["argv"][1:]
        if "patch" in argv:
            argv = [
                await story.until(lambda: unapproved(story, "metallb-system")) if "install-" in w else w for w in argv
            ]
        assert table(await answered(story, argv, line)) == table(line["stdout"])
    await story.phase("5.0.1", "Succeeded")

    async def gone() -> bool:
        return "v5.0.0" not in await story.kubectl("get", "csv", "-n", "metallb-system", "-o", "name")

    await story.until(gone)
    shown = await story.kubectl("get", "csv", "-n", "metallb-system")
    (recorded,) = [line["stdout"] for line in lines[first:] if "csv" in line.get("argv", [])]
    assert table(shown) == [line for line in table(recorded) if "Deleting" not in line]
    of_both = {name: [each for each in story.phases if each[0] == name] for name in {each[0] for each in story.phases}}
    for name, phases in of_both.items():
        expected = [each for each in recorded_phases(lines) if each[0] == name]
        assert without_waiting(phases)[: len(expected)] == expected
    assert [each[1:3] for each in of_both["metallb-operator.v5.0.0"][-2:]] == [
        ("Replacing", "BeingReplaced"),
        ("Deleting", "Replaced"),
    ]
