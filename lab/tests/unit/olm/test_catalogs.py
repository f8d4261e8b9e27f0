"""Which version comes first, and which comes next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubelab.olm.content import Content, ContentError, following, head

Object = dict[str, Any]


def channel(*entries: Object) -> Object:
    return {"entries": list(entries)}


ONE = channel({"name": "a"})
CHAIN = channel({"name": "a"}, {"name": "b", "replaces": "a"}, {"name": "c", "replaces": "b"})
SKIPPING = channel({"name": "a"}, {"name": "b", "replaces": "a"}, {"name": "c", "replaces": "a", "skips": ["b"]})


@pytest.mark.parametrize(("of", "expected"), [(ONE, "a"), (CHAIN, "c"), (SKIPPING, "c"), (channel(), "")])
def test_the_head_is_replaced_by_none(of: Object, expected: str) -> None:
    assert head(of) == expected


@pytest.mark.parametrize(
    ("of", "installed", "expected"),
    [
        (ONE, "a", ""),
        (CHAIN, "a", "b"),
        (CHAIN, "b", "c"),
        (CHAIN, "c", ""),
        (CHAIN, "unknown", ""),
        (SKIPPING, "a", "c"),
        (SKIPPING, "b", "c"),
    ],
)
def test_the_next_version_replaces_the_installed_one(of: Object, installed: str, expected: str) -> None:
    assert following(of, installed) == expected


def test_a_folder_that_is_no_bundle_is_told(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    content = Content({"x:1": str(tmp_path)})
    with pytest.raises(ContentError, match="no YAML file"):
        content.bundle("x:1")
    (tmp_path / "manifests" / "a.yaml").write_text("kind: Service")
    with pytest.raises(ContentError, match="want one ClusterServiceVersion, there are 0"):
        content.bundle("x:1")
    (tmp_path / "manifests" / "a.yaml").write_text("kind: [")
    with pytest.raises(ContentError, match="while parsing"):
        content.bundle("x:1")
    with pytest.raises(ContentError, match="'y:1' is not here; these are: x:1"):
        content.bundle("y:1")


def test_a_catalog_that_lacks_something_is_told(tmp_path: Path) -> None:
    content, source = Content({"x:1": str(tmp_path)}), {"spec": {"image": "x:1"}}
    (tmp_path / "a.yaml").write_text("schema: olm.channel\nname: stable\nentries: []\n")
    with pytest.raises(ContentError, match=r"olm.channel stable lacks package, entries"):
        content.catalog(source)
    (tmp_path / "a.yaml").write_text("schema: olm.package\nname: x\ndefaultChannel: stable\n")
    found = content.catalog(source)
    assert found is not None
    assert found.channel("x", "") is None


def test_a_source_of_an_unknown_image_has_no_catalog() -> None:
    assert Content({}).catalog({"spec": {"image": "x:1"}}) is None
