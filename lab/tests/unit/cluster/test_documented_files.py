"""The cluster files in the documentation are what they say they are."""

from __future__ import annotations

import re
from pathlib import Path

from kubelab.cluster import Cluster, parse_text

PAGE = Path(__file__).parents[4] / "docs/reference/lab.md"


def files() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def test_the_documented_default_is_the_default() -> None:
    assert parse_text(files()[0], "docs") == Cluster.default()


def test_every_documented_file_is_accepted() -> None:
    assert len(files()) == 3
    for each in files():
        parse_text(each, "docs")


def test_the_page_of_the_example_shows_its_files() -> None:
    page = (PAGE.parents[1] / "how-to" / "lab-for-your-operator.md").read_text(encoding="utf-8")
    for name in ("greeter.py", "cluster.yaml"):
        assert (PAGE.parents[2] / "lab" / "examples" / name).read_text(encoding="utf-8") in page
