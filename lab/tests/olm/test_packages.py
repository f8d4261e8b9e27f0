"""What a catalog offers is listed, and goes with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.e2e
MARKET = "openshift-marketplace"


async def listed(story: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        await story.kubectl("get", "packagemanifests", "-n", MARKET, "-o", "json")
    )["items"]
    return found


async def test_packages_are_listed_with_their_newest_version_and_go_with_the_catalog(story: Any) -> None:
    await story.serve("catalog:5.0.0")
    (package,) = await story.until(lambda: listed(story))
    assert package["status"]["channels"][0]["currentCSV"] == "metallb-operator.v5.0.0"
    await story.serve("catalog:5.0.1")

    async def newest() -> bool:
        return [each["status"]["channels"][0]["currentCSV"] for each in await listed(story)] == [
            "metallb-operator.v5.0.1"
        ]

    await story.until(newest)
    shown = (await story.kubectl("get", "packagemanifests", "-n", MARKET)).splitlines()
    assert [line.split()[:2] for line in shown] == [["NAME", "CATALOG"], ["metallb-operator", "x"]]
    await story.kubectl("delete", "catalogsource", "-n", MARKET, "redhat-operators")

    async def gone() -> bool:
        return not await listed(story)

    await story.until(gone)
