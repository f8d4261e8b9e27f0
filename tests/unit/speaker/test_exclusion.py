"""The list of excluded interfaces in its file: read, refused, followed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from metallb.advertisement.interfaces import Exclusion
from metallb.api.net import InterfaceName
from metallb.kube.client import KubeClient
from metallb.kube.daemon import StartError
from metallb.kube.errors import ForbiddenError
from metallb.speaker import exclusion

NOBODY_ASKS = cast("KubeClient", None)
"""A client for who must not use it."""


class Api:
    """An API server with one ConfigMap, or with an error for everybody."""

    def __init__(self, lists: str, error: Exception | None = None) -> None:
        self.lists, self.error, self.asked = lists, error, list[str]()

    async def get(self, resource: Any, name: str, *, decoder: Any, namespace: str) -> Any:
        self.asked.append(f"{resource.plural} {namespace}/{name}")
        if self.error is not None:
            raise self.error
        return decoder.decode(
            b'{"data": {"excludel2.yaml": "announcedInterfacesToExclude: [%s]"}}' % self.lists.encode()
        )


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
        _, following = await exclusion.first(NOBODY_ASKS, "metallb-system", path)
        async with asyncio.timeout(60):
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


class TestAFileForOthers:
    """As upstream's manifests mount it: for root alone, whoever the speaker is."""

    @pytest.fixture
    def hidden(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = tmp_path / "excludel2.yaml"

        def refuse(_path: Path = path) -> Exclusion:
            raise exclusion.HiddenError(str(path))

        monkeypatch.setattr(exclusion, "read", refuse)
        return path

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a while")
    def test_a_file_that_only_its_owner_may_read_is_hidden(self, tmp_path: Path) -> None:
        path = tmp_path / "excludel2.yaml"
        path.touch(0o400)
        os.seteuid(65534)
        try:
            with pytest.raises(exclusion.HiddenError, match="can't be read by user 65534: give the pod an fsGroup"):
                exclusion.read(path)
        finally:
            os.seteuid(0)

    async def test_the_config_map_is_asked_for_instead_and_followed(
        self, hidden: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exclusion, "ASK_S", 0.01)
        api = Api("^a")
        present, following = await exclusion.first(cast("KubeClient", api), "metallb-system", hidden)
        assert present.excludes(InterfaceName("a0"))
        assert api.asked == ["configmaps metallb-system/metallb-excludel2"]
        api.lists = "^b"
        async with asyncio.timeout(60):
            assert (await anext(following)).excludes(InterfaceName("b0"))

    async def test_who_may_neither_read_nor_ask_is_told_what_to_change(self, hidden: Path) -> None:
        api = Api("", ForbiddenError("GET /api", "no"))
        with pytest.raises(StartError, match="nor ConfigMap metallb-system/metallb-excludel2: give the pod an fsGroup"):
            await exclusion.first(cast("KubeClient", api), "metallb-system", hidden)
