"""A certificate that others keep in files."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from metallb.kube.authority import Pair
from metallb.kube.certificate_files import CertificateFiles


class Served(list[Pair]):
    """What is served, and a wait for the next."""

    def __init__(self) -> None:
        super().__init__()
        self.more = asyncio.Event()

    def serve(self, pair: Pair) -> None:
        if pair.key == b"bad":
            raise OSError("the key does not fit")
        self.append(pair)
        self.more.set()

    async def next(self) -> Pair:
        async with asyncio.timeout(60):
            await self.more.wait()
        self.more.clear()
        return self[-1]


async def test_files_are_waited_for_and_followed_and_bad_ones_leave_the_last(tmp_path: Path) -> None:
    served = Served()
    folder = tmp_path / "certs"
    files = CertificateFiles(folder, served.serve, check_s=0.01)
    task = asyncio.create_task(files.run())
    try:
        await asyncio.sleep(0)
        assert not files.ready
        folder.mkdir()
        (folder / "tls.key").write_text("k1")
        (folder / "tls.crt").write_text("c1")
        assert await served.next() == Pair(b"c1", b"k1")
        assert files.ready
        (folder / "tls.key").write_text("bad")
        (folder / "tls.crt").write_text("c2")
        (folder / "tls.crt").unlink()
        (folder / "tls.key").write_text("k2")
        (folder / "tls.crt").write_text("c2")
        while (await served.next()) != Pair(b"c2", b"k2"):
            pass
        assert files.ready
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_what_is_missing_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served = Served()
    files = CertificateFiles(tmp_path, served.serve)
    for _ in range(3):
        files._look()
    (tmp_path / "tls.crt").write_text("c1")
    (tmp_path / "tls.key").write_text("bad")
    for _ in range(3):
        files._look()
    lines = capsys.readouterr().out.splitlines()
    assert [line.count("waiting for tls.crt and tls.key") for line in lines] == [1, 1]
    assert "the key does not fit" in lines[1]
