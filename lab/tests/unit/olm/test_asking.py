"""How a lab is asked to have the double."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from kubelab.cli import lab
from kubelab.cluster import Cluster, parse
from kubelab.cluster.errors import ClusterError


def test_a_lab_has_none_unless_it_is_asked_for() -> None:
    assert Cluster.default().olm is None
    assert "olm" not in Cluster.default().document()


def test_a_cluster_file_names_images_and_folders() -> None:
    asked = parse({"olm": {"images": {"x/catalog:1": "/srv/catalog"}}}, "test")
    assert asked.olm == {"x/catalog:1": "/srv/catalog"}
    assert parse(asked.document(), "again") == asked
    assert parse({"olm": {}}, "test").olm == {}


def test_a_folder_is_named_by_its_absolute_path() -> None:
    with pytest.raises(ClusterError, match=r"olm.images.x:1.*absolute path"):
        parse({"olm": {"images": {"x:1": "catalog"}}}, "test")
    with pytest.raises(ClusterError, match="unknown field"):
        parse({"olm": {"image": {}}}, "test")


@pytest.mark.parametrize("given", ["x:1", "x:1=nowhere"])
def test_a_folder_that_is_not_there_is_told_before_anything_starts(given: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(lab, ["up", "--with-olm", given])
    assert done.exit_code == 2
    assert "want IMAGE=FOLDER, and a folder that is there" in done.output
