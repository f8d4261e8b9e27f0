"""A process that stood still notices it before it takes anything in, and speaks again when the others were heard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from metallb.api.net import NodeName
from metallb.kube.daemon import StartError
from metallb.speaker.presence import Presence
from metallb.speaker.reunion import Reunion
from metallb.speaker.settings import SpeakerSettings
from metallb.speaker.standstill import LIMIT_S, Standstill

A, B, C = "node-a", "node-b", "node-c"


class TestStandstill:
    @pytest.mark.parametrize(
        ("moments", "noticed"),
        [
            pytest.param([0.0, 0.1, 0.2, LIMIT_S + 0.2], [], id="late, but not too late"),
            pytest.param([0.0, 0.1, 3.1, 3.2], [3.0], id="once"),
            pytest.param([0.0, 2.0, 5.0], [2.0, 3.0], id="twice"),
        ],
    )
    def test_gaps_of_the_clock_are_noticed_at_the_first_look(self, moments: list[float], noticed: list[float]) -> None:
        found: list[float] = []
        times = iter(moments)
        watch = Standstill(found.append, clock=lambda: next(times))
        said = [watch.look() for _ in moments[1:]]
        assert found == pytest.approx(noticed)
        assert sum(said) == len(noticed)

    async def test_it_looks_by_itself(self) -> None:
        noticed = asyncio.Event()
        times = iter([0.0, 0.1, 9.0])
        watch = Standstill(lambda _gap: noticed.set(), clock=lambda: next(times, 9.0))
        running = asyncio.create_task(watch.run())
        async with asyncio.timeout(5):
            await noticed.wait()
        running.cancel()


class TestReunion:
    def reunion(self) -> tuple[Reunion, list[str]]:
        said: list[str] = []
        return Reunion(lambda: said.append("reunited")), said

    def test_everybody_who_can_be_asked_has_to_be_heard(self) -> None:
        reunion, said = self.reunion()
        reunion.begin(frozenset({A, B}), frozenset({C}))
        reunion.heard(C)
        reunion.heard(A)
        assert (said, reunion.is_open) == ([], True)
        reunion.heard(B)
        reunion.heard(B)
        assert (said, reunion.is_open) == (["reunited"], False)

    def test_who_is_found_dead_is_not_waited_for(self) -> None:
        reunion, said = self.reunion()
        reunion.begin(frozenset({A, B}), frozenset())
        reunion.heard(A)
        reunion.only(frozenset({A}))
        assert said == ["reunited"]

    def test_of_those_that_know_no_signs_of_life_one_is_enough(self) -> None:
        reunion, said = self.reunion()
        reunion.begin(frozenset(), frozenset({A, B}))
        reunion.only(frozenset({A, B}))
        assert said == []
        reunion.heard(A)
        assert said == ["reunited"]

    def test_who_is_alone_waits_for_nobody(self) -> None:
        reunion, said = self.reunion()
        reunion.begin(frozenset(), frozenset())
        reunion.only(frozenset())
        assert said == ["reunited"]

    def test_a_second_standstill_begins_anew(self) -> None:
        reunion, said = self.reunion()
        reunion.begin(frozenset({A, B}), frozenset())
        reunion.heard(A)
        reunion.begin(frozenset({A, B}), frozenset())
        reunion.heard(B)
        assert said == []
        reunion.heard(A)
        assert said == ["reunited"]

    def test_nobody_is_told_without_a_standstill(self) -> None:
        reunion, said = self.reunion()
        reunion.heard(A)
        reunion.only(frozenset())
        assert said == []


@dataclass
class Told:
    """Stands for announcer, queue and caches: remembers what it was told, in order."""

    said: list[str] = field(default_factory=list)
    pods: Any = None
    look: Any = None

    def hush(self) -> None:
        self.said.append("hush")

    def resume(self) -> None:
        self.said.append("resume")

    def announce_again(self) -> None:
        self.said.append("announce again")

    def review_all(self) -> None:
        self.said.append("review")

    def when_decided(self, callback: Any) -> None:
        self.said.append("decided")
        callback()


class TestPresence:
    def presence(self, told: Any, **flags: Any) -> Presence:
        settings = SpeakerSettings(namespace="metallb-system", node_name=NodeName(A), **flags)
        return Presence(settings, told, told)

    async def test_after_a_standstill_it_is_silent_until_it_has_decided_with_the_others(self) -> None:
        told = Told()
        presence = self.presence(told, ml_bind_address="127.0.0.9", ml_labels="app=metallb")
        presence.lead(told)  # type: ignore[arg-type]
        presence._standstill._last -= 5
        assert told.look() is True
        assert told.said == ["hush", "review", "decided", "resume"], "nobody else is known"
        assert told.look() is False

    async def test_without_gossip_nobody_could_be_heard(self) -> None:
        told = Told()
        presence = self.presence(told)
        presence._stood_still(5.0)
        assert (told.said, told.look) == ([], None)

    def test_an_address_that_is_none_is_told(self) -> None:
        with pytest.raises(StartError, match="--ml-bindaddr='x'"):
            self.presence(Told(), ml_bind_address="x", ml_labels="app=metallb")
