"""The soak would see what it looks for: its judges are given good and bad stories."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.soak import __main__ as soak
from tests.soak import failover, fuzz, members, updown
from tests.soak.result import Result

from kubelab.witness import Answer, Record

GOOD: dict[str, Any] = {"sent": 100, "failed": 1}


def record(*answers: tuple[float, str], seconds: float = 2.0) -> Record:
    return Record(0.0, seconds, 100, [Answer(at, mac) for at, mac in answers])


def steady(mac: str = "a", seconds: float = 2.0) -> list[tuple[float, str]]:
    return [(step * 0.02, mac) for step in range(int(seconds / 0.02))]


def judged(record_: Record, summary: dict[str, Any] | None = None) -> list[str]:
    result = Result()
    failover.judge(result, {"web": record_}, summary or GOOD)
    return result.problems


class TestFailover:
    def test_an_address_that_stays_is_fine(self) -> None:
        assert judged(record(*steady())) == []

    @pytest.mark.parametrize(
        ("found", "problem"),
        [
            pytest.param(
                record(*steady(seconds=1), *((1 + at, "b") for at, _ in steady(seconds=1))), "1 times", id="moved"
            ),
            pytest.param(
                record(*(pair for at, _ in steady() for pair in ((at, "a"), (at + 0.001, "b")))),
                "two nodes",
                id="double",
            ),
            pytest.param(record(*steady(seconds=0.5)), "s without an answer", id="silent"),
            pytest.param(record(), "nobody ever", id="never there"),
        ],
    )
    def test_what_is_wrong_is_said(self, found: Record, problem: str) -> None:
        assert any(problem in each for each in judged(found))

    def test_so_are_requests_that_the_loss_does_not_explain(self) -> None:
        assert judged(record(*steady()), {"sent": 100, "failed": 5}) == [
            "5.0% of the client's requests failed: more than the loss explains"
        ]


def test_members_tell_the_same_story_each_time_and_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KILLED", "STILL", "APART"):
        monkeypatch.setattr(members, name, 1)
    monkeypatch.setattr(members, "STILL_S", 2.0)
    story = members.tell(3, size=8)
    assert story.problems == []
    assert story == members.tell(3, size=8)


def test_a_healthy_member_that_is_taken_for_dead_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "LOSS", 0.7)
    assert any("healthy members were taken for dead" in each for each in members.tell(3, size=16).problems)


def test_fuzzing_finds_what_raises_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(data: bytes) -> None:
        if b"\xff\xff" in data:
            raise IndexError(len(data))

    monkeypatch.setattr(fuzz, "every_target", lambda _chance: iter([("fragile", (fragile, [bytes(20)]))]))
    result = fuzz.run(0.1)
    assert len(result.problems) == 1
    assert "IndexError" in result.problems[0]


def test_fuzzing_leaves_every_target_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "BATCH", 200)
    assert fuzz.run(0.01).problems == []


def test_what_is_new_on_the_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updown, "REST_S", 0.0)
    before = {kind: each[:-1] if kind == "mounts" else each for kind, each in updown.machine().items()}
    assert any(each.startswith("mounts: ") for each in updown.differences(before))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nosuch"], "no such piece: nosuch; there are failover"), (["--minutes", "0", "fuzz"], "--minutes 0")],
)
def test_what_can_not_be_asked_for_is_refused(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["soak", *arguments])
    with pytest.raises(SystemExit, match="2"):
        soak.main()
    assert said in capsys.readouterr().err


def test_a_piece_that_breaks_is_a_problem_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_minutes: float) -> Result:
        raise RuntimeError("no lab")

    monkeypatch.setitem(soak.PIECES, "fuzz", broken)
    assert soak.run("fuzz", 1) is False
    line = capsys.readouterr().out
    assert '"ok": false' in line
    assert "no lab" in line


def test_no_piece_is_collected_as_a_test() -> None:
    assert not list(Path(soak.__file__).parent.glob("test_*.py"))
