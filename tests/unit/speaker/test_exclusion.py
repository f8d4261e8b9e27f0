"""The list of excluded interfaces in its file: read, refused, followed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from metallb.advertisement.interfaces import Exclusion
from metallb.api.net import InterfaceName
from metallb.kube.daemon import StartError
from metallb.speaker import exclusion


class TestReading:
    @pytest.fixture
    def write(self, tmp_path: Path) -> Callable[[str], Path]:
        def to(text: str) -> Path:
            path = tmp_path / "excludel2.yaml"
            path.write_text(text)
            return path

        return to

    def test_a_missing_file_excludes_nothing(self, tmp_path: Path) -> None:
        assert not exclusion.read(tmp_path / "nosuch").excludes(InterfaceName("lo"))

    @pytest.mark.parametrize(
        ("text", "excluded"),
        [
            ("announcedInterfacesToExclude:\n- ^lo$\n- ^veth.*\n", ["lo", "veth1"]),
            ("announcedInterfacesToExclude: []\n", []),
            ("announcedInterfacesToExclude:\n", []),
            ("other: 1\n", []),
            ("", []),
            ("announcedInterfacesToExclude: [1]\n", ["eth1", "veth1"]),
        ],
    )
    def test_patterns_exclude_names(self, write: Callable[[str], Path], text: str, excluded: list[str]) -> None:
        found = exclusion.read(write(text))
        names = map(InterfaceName, ("eth0", "eth1", "lo", "veth1"))
        assert [name for name in names if found.excludes(name)] == excluded

    @pytest.mark.parametrize(
        "text",
        ["announcedInterfacesToExclude: ['(']\n", "- a list\n", "{", "announcedInterfacesToExclude: 1\n", "just text"],
    )
    def test_a_malformed_file_is_named(self, write: Callable[[str], Path], text: str) -> None:
        with pytest.raises(StartError, match=r"excludel2\.yaml"):
            exclusion.read(write(text))

    def test_a_file_that_can_not_be_read_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match="can't be read"):
            exclusion.read(tmp_path)


class TestFollowing:
    async def test_another_list_is_told_and_a_malformed_one_is_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(exclusion, "LOOK_S", 0.01)
        path = tmp_path / "excludel2.yaml"
        path.write_text("announcedInterfacesToExclude: ['^a']\n")
        following = exclusion.changes(exclusion.read(path), path)
        async with asyncio.timeout(10):
            coming = asyncio.ensure_future(anext(following))
            path.write_text("announcedInterfacesToExclude: ['(']\n")
            while "stays as it was" not in (said := capsys.readouterr().out):  # noqa: ASYNC110  # a log has no event
                await asyncio.sleep(0.01)
            assert "is no regular expression" in said
            assert not coming.done()
            path.write_text("announcedInterfacesToExclude: ['^b']\n")
            assert (await coming).excludes(InterfaceName("b0"))
            path.unlink()
            assert await anext(following) == Exclusion()
