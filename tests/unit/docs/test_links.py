"""Links between the project's pages lead somewhere, to the very heading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "bench/*.md", "changelog.d/*.md") for path in ROOT.glob(pattern)
)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def prose(page: Path) -> str:
    """Without blocks of code."""
    return FENCE.sub("", page.read_text())


def links_of(page: Path) -> list[str]:
    """Where its links lead; what looks like one in code is none."""
    return LINK.findall(CODE.sub("", prose(page)))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings; of equal ones only the first."""
    kept = (
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)) for text in HEADING.findall(prose(page))
    )
    return {text.strip().lower().replace(" ", "-") for text in kept}


def problem(page: Path, link: str) -> str:
    """What is wrong with a link; empty: nothing. The web is not asked."""
    if link.startswith(("https://", "http://", "mailto:")):
        return ""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return f"{link}: there is no {path}"
    if anchor and anchor not in anchors(target):
        return f"{link}: {target.name} has no heading {anchor}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [found for link in links_of(page) if (found := problem(page, link))] == []


def test_every_page_under_docs_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links_of(index)}
    missing = {str(page.relative_to(ROOT)) for page in PAGES if page.is_relative_to(index.parent)} - {
        str(page.relative_to(ROOT)) for page in linked if page.is_relative_to(ROOT)
    }
    assert missing <= {"docs/README.md"}


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("README.md", ""),
        ("README.md#limits", ""),
        ("https://metallb.io", ""),
        ("NOTHING.md", "there is no"),
        ("README.md#nothing", "no heading"),
    ],
)
def test_wrong_links_are_seen(link: str, complaint: str) -> None:
    found = problem(ROOT / "CONTRIBUTING.md", link)
    assert complaint in found
    assert bool(found) is bool(complaint)
