"""The catalog offers every version, each as an upgrade of the one before it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from scripts.olm import catalog, catalog_rules
from scripts.olm.names import Release, releases
from scripts.olm.source import Source

Object = dict[str, Any]
THREE = [
    Release("0.1.0", "2026-11-25"),
    Release("0.1.1", "2026-11-26", "0.1.0"),
    Release("0.2.0", "2026-11-27", "0.1.1"),
]


@pytest.fixture(scope="module")
def made(source: Source) -> list[Object]:
    return catalog.documents(source, THREE)


@pytest.fixture
def three(made: list[Object]) -> list[Object]:
    return copy.deepcopy(made)


def _only(documents: list[Object], schema: str) -> list[Object]:
    return [each for each in documents if each["schema"] == schema]


def test_package_and_channel_are_those_of_the_walkthrough(three: list[Object]) -> None:
    (package,), (channel,) = _only(three, "olm.package"), _only(three, "olm.channel")
    assert (package["name"], package["defaultChannel"]) == ("metallb-operator", "stable")
    assert (channel["package"], channel["name"]) == ("metallb-operator", "stable")


def test_each_version_replaces_the_one_before(three: list[Object]) -> None:
    (channel,) = _only(three, "olm.channel")
    assert channel["entries"] == [
        {"name": "metallb-operator.v0.1.0"},
        {"name": "metallb-operator.v0.1.1", "replaces": "metallb-operator.v0.1.0"},
        {"name": "metallb-operator.v0.2.0", "replaces": "metallb-operator.v0.1.1"},
    ]
    assert catalog_rules.broken(three) == []


def test_bundles_of_earlier_versions_stay_as_they_were(source: Source, three: list[Object]) -> None:
    _only(three, "olm.bundle")[0]["image"] = "registry.example/as-it-was:v0.1.0"
    again = catalog.documents(source, [*THREE, Release("0.3.0", "2026-11-28", "0.2.0")], three)
    assert [each["image"] for each in _only(again, "olm.bundle")] == [
        "registry.example/as-it-was:v0.1.0",
        "metallb-py/operator-bundle:v0.1.1",
        "metallb-py/operator-bundle:v0.2.0",
        "metallb-py/operator-bundle:v0.3.0",
    ]


def test_a_bundle_brings_what_the_console_shows(three: list[Object]) -> None:
    shown = next(
        each["value"] for each in _only(three, "olm.bundle")[0]["properties"] if each["type"] == "olm.csv.metadata"
    )
    assert "metallb" in shown["keywords"]
    assert shown["annotations"]["features.operators.openshift.io/disconnected"] == "true"
    assert {each["kind"] for each in shown["crdDescriptions"]["owned"]} >= {"MetalLB", "IPAddressPool"}


def test_released_versions_follow_each_other() -> None:
    found = releases()
    assert [each.replaces for each in found] == ["", *(each.version for each in found[:-1])]


def _entries(documents: list[Object]) -> list[Object]:
    entries: list[Object] = _only(documents, "olm.channel")[0]["entries"]
    return entries


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([{"name": "metallb-operator.v0.1.0"}, {"name": "metallb-operator.v0.1.1"}], "one head, not 2"),
        (
            [
                {"name": "metallb-operator.v0.1.0", "replaces": "metallb-operator.v0.1.1"},
                {"name": "metallb-operator.v0.1.1"},
            ],
            "is not older",
        ),
        ([{"name": "metallb-operator.v7.0.0"}], "there is no bundle metallb-operator.v7.0.0"),
        ([{"name": "metallb-operator.v0.1.0"}, {"name": "metallb-operator.v0.1.0"}], "an entry is there twice"),
        (
            [
                {"name": "metallb-operator.v0.1.0"},
                {"name": "metallb-operator.v0.1.1", "replaces": "metallb-operator.v0.1.0"},
                {"name": "metallb-operator.v0.2.0", "replaces": "metallb-operator.v0.1.0"},
            ],
            "two versions replace the same one",
        ),
        (
            [
                {"name": "metallb-operator.v0.1.0", "replaces": "metallb-operator.v0.1.1"},
                {"name": "metallb-operator.v0.1.1", "replaces": "metallb-operator.v0.1.0"},
            ],
            "one head, not 0",
        ),
    ],
)
def test_a_broken_channel_is_told(three: list[Object], entries: list[Object], said: str) -> None:
    _entries(three)[:] = entries
    found = catalog_rules.broken(three)
    assert any(said in each for each in found), found


def test_a_broken_bundle_is_told(three: list[Object]) -> None:
    first = _only(three, "olm.bundle")[0]
    first["image"] = "metallb-py/other:v1"
    first["properties"] = []
    assert catalog_rules.broken(three) == [
        "bundle metallb-operator.v0.1.0: want one property olm.package",
        "bundle metallb-operator.v0.1.0: relatedImages lack the bundle's own",
        "bundle metallb-operator.v0.1.0: want a property olm.csv.metadata, or olm.bundle.object, not both",
    ]


def test_a_package_without_its_channel_is_told(three: list[Object]) -> None:
    _only(three, "olm.package")[0]["defaultChannel"] = "alpha"
    assert catalog_rules.broken(three) == [
        "package metallb-operator: its default channel is none of its channels",
    ]


def test_a_document_of_comments_only_is_told(source: Source) -> None:
    """opm takes it for an object without a schema, and the whole catalog is refused."""
    text = catalog.files(source, THREE)[catalog.FILE]
    assert catalog_rules.broken_text(text) == []
    note, _, rest = text.partition("\n")
    assert catalog_rules.broken_text(f"{note}\n---\n{rest}") == ["document 1 of the catalog is empty"]
    assert catalog_rules.broken_text(text + "---\n") == ["document 6 of the catalog is empty"]
