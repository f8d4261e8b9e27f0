"""A lab's folder: who has it, and what becomes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubelab import state
from kubelab.state import LabNotFoundError, LabRunsError, Layout, ProcessRecord, Record


@pytest.fixture
def files(tmp_path: Path) -> Layout:
    return state.layout("one", tmp_path / "labs")


def record(name: str = "one") -> Record:
    return Record(
        name=name, pid=1, phase="running", started_at=1.5, server="https://127.0.0.1:1", cluster={},
        addresses={"client": ["198.51.100.200"]}, processes={"apiserver": ProcessRecord(pid=2, code=-9)},
    )  # fmt: skip


def test_who_claims_a_lab_has_it_until_the_lock_is_closed(files: Layout) -> None:
    lock = state.claim(files)
    assert state.is_alive(files)
    with pytest.raises(LabRunsError):
        state.claim(files)
    with pytest.raises(LabRunsError):
        state.remove(files)
    os.close(lock)
    assert not state.is_alive(files)


def test_a_claim_sweeps_out_what_a_dead_lab_has_left(files: Layout) -> None:
    os.close(state.claim(files))
    (files.logs / "old.log").write_text("old", encoding="utf-8")
    (files.directory / "link").symlink_to("/")
    os.close(state.claim(files))
    assert sorted(each.name for each in files.directory.iterdir()) == [
        "config",
        "lock",
        "logs",
        "ns",
        "pki",
        "pods",
        "tmp",
    ]
    assert list(files.logs.iterdir()) == []
    assert files.pki.stat().st_mode & 0o077 == 0


def test_a_dead_lab_can_be_removed_once(files: Layout) -> None:
    os.close(state.claim(files))
    state.remove(files)
    assert not files.directory.exists()
    with pytest.raises(LabNotFoundError):
        state.remove(files)
    with pytest.raises(LabNotFoundError):
        state.is_alive(files)


def test_a_claim_is_made_anew_if_the_folder_vanishes_meanwhile(files: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_once = state._try_lock
    tries: list[int] = []

    def lock_and_lose_the_folder(lock: int) -> bool:
        tries.append(lock)
        if len(tries) == 1:
            state.remove_folder(files)
        return lock_once(lock)

    monkeypatch.setattr(state, "_try_lock", lock_and_lose_the_folder)
    lock = state.claim(files)
    assert len(tries) == 2
    assert os.path.samestat(os.fstat(lock), files.lock.stat())
    os.close(lock)


def test_the_record_reads_back_as_written(files: Layout) -> None:
    lock = state.claim(files)
    with pytest.raises(LabNotFoundError):
        state.read_record(files)
    state.write_record(files, record())
    assert state.read_record(files) == record()
    os.close(lock)


def test_labs_are_listed_by_name(tmp_path: Path) -> None:
    assert state.names(tmp_path / "nothing") == []
    for name in ("b", "a"):
        os.close(state.claim(state.layout(name, tmp_path)))
    (tmp_path / "other").mkdir()
    assert state.names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "a" * 41, "-a"])
def test_a_name_that_is_no_label_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be at most 40 lower-case letters"):
        state.layout(name, tmp_path)


def test_the_folder_of_all_labs_can_be_chosen() -> None:
    assert state.root_from({}) == Path("/run/kubelab").resolve()
    assert state.root_from({"KUBELAB_STATE": "/srv/labs"}) == Path("/srv/labs")


def test_a_process_has_one_log_file(files: Layout) -> None:
    assert files.log("agent/worker-1") == files.logs / "agent-worker-1.log"
