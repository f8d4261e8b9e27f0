"""A process that stood still notices it before it takes anything in, and speaks again when the others were heard."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any

import pytest

from metallb.advertisement.interfaces import Interface
from metallb.api.net import InterfaceName, NodeName
from metallb.kube.daemon import StartError
from metallb.kube.errors import ApiError
from metallb.speaker import presence as module
from metallb.speaker.presence import MISSED_S, Presence
from metallb.speaker.reunion import Reunion
from metallb.speaker.settings import SpeakerSettings
from metallb.speaker.standstill import LIMIT_S, Standstill
from metallb.telemetry.metrics import MEMBERS, MEMBERS_DROPPED, SPEAKER, Metrics

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
        async with asyncio.timeout(60):
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

    def test_who_dies_is_not_waited_for(self) -> None:
        reunion, said = self.reunion()
        reunion.begin(frozenset({A, B}))
        reunion.heard(A)
        reunion.gone(frozenset({B}))
        assert said == ["reunited"]

    def test_of_those_that_know_no_signs_of_life_one_is_enough(self) -> None:
        reunion, said = self.reunion()
        reunion.begin(frozenset(), frozenset({A, B}))
        reunion.settle()
        assert said == []
        reunion.heard(A)
        assert said == ["reunited"]

    def test_who_is_alone_waits_for_nobody(self) -> None:
        reunion, said = self.reunion()
        reunion.begin(frozenset())
        reunion.settle()
        assert said == ["reunited"]

    def test_patience_has_an_end(self) -> None:
        reunion, said = self.reunion()
        reunion.begin(frozenset({A, B}))
        reunion.give_up()
        reunion.give_up()
        assert said == ["reunited"]

    def test_a_second_standstill_begins_anew(self) -> None:
        reunion, said = self.reunion()
        reunion.begin(frozenset({A, B}))
        reunion.heard(A)
        reunion.begin(frozenset({A, B}))
        reunion.heard(B)
        assert said == []
        reunion.heard(A)
        assert said == ["reunited"]

    def test_nobody_is_told_without_a_standstill(self) -> None:
        reunion, said = self.reunion()
        reunion.heard(A)
        reunion.gone(frozenset({B}))
        reunion.give_up()
        assert said == []


class Pods:
    """An informer that never tells anything, and catches up when told."""

    def __init__(self) -> None:
        self.caught_up = asyncio.Event()
        self.asked = 0
        self.error: ApiError | None = None

    def subscribe(self, _callback: Any, when: Any = None) -> None:
        pass

    async def catch_up(self) -> None:
        self.asked += 1
        await self.caught_up.wait()
        if self.error is not None:
            raise self.error


class Group:
    """Tasks that a test can end."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []

    def create_task(self, work: Any, name: str) -> None:
        self.tasks.append(asyncio.create_task(work, name=name))

    def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()


@dataclass
class Told:
    """Stands for announcer, queue and caches: remembers what it was told, in order."""

    said: list[str] = field(default_factory=list)
    pods: Any = field(default_factory=Pods)
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

    def lend(self, sock: Any) -> None:
        """Signs of life are another test's."""

    def vouch(self, sign: Any) -> None:
        """The same."""


class TestPresence:
    def presence(self, told: Any, **flags: Any) -> Presence:
        settings = SpeakerSettings(namespace="metallb-system", node_name=NodeName(A), **flags)
        return Presence(settings, told, told)

    async def test_after_a_standstill_it_is_silent_until_it_has_decided_with_the_others(self) -> None:
        told = Told()
        address = f"127.{os.getpid() >> 8 & 0x7F | 0x80}.{os.getpid() & 0xFF}.9"
        presence = self.presence(told, ml_bind_address=address, ml_bind_port=17946, ml_labels="app=metallb")
        again = ["review", "decided", "resume"]
        group = Group()
        await presence.lead(told, group)  # type: ignore[arg-type]
        try:
            assert told.said[0] == "hush"
            assert told.said[-3:] == again, "nobody else is known"
            assert presence.settled.is_set()
            told.said.clear()
            presence._standstill._last -= 5
            assert told.look() is True
            assert told.said == ["hush", *again]
        finally:
            presence.close()
            group.cancel()

    async def test_without_gossip_it_is_settled_with_the_first_decisions(self) -> None:
        told = Told()
        presence = self.presence(told)
        await presence.lead(told, Group())  # type: ignore[arg-type]
        assert presence.settled.is_set()
        assert "hush" not in told.said

    @pytest.mark.parametrize(
        ("before", "now", "silent"),
        [
            pytest.param([], [(1, True)], False, id="a new interface"),
            pytest.param([(1, True)], [(1, False)], False, id="the carrier goes"),
            pytest.param([(1, False)], [(1, True)], True, id="it comes back"),
            pytest.param([(1, False), (2, True)], [(2, True)], False, id="the interface goes"),
            pytest.param([(1, True)], [(1, True)], False, id="nothing"),
        ],
    )
    async def test_it_is_silent_when_a_cable_is_put_back(
        self,
        before: list[tuple[int, bool]],
        now: list[tuple[int, bool]],
        silent: bool,  # noqa: FBT001  # a column
    ) -> None:
        told = Told()
        presence = self.presence(told, ml_bind_address="127.0.0.9", ml_labels="app=metallb")
        for state in (before, now):
            presence.see(Interface(index, InterfaceName(f"eth{index}"), None, running=up) for index, up in state)
        assert ("hush" in told.said) == silent

    async def test_it_shows_how_gossip_goes(self) -> None:
        metrics = Metrics(SPEAKER, process=False)
        self.presence(Told()).show(metrics)
        assert metrics.labels(MEMBERS) == [], "without gossip there is nothing to show"
        presence = self.presence(Told(), ml_bind_address="127.0.0.9", ml_labels="app=metallb")
        assert presence._gossip is not None
        presence._gossip.dropped["crypto"] = 3
        for _ in range(2):
            presence.show(metrics)
        assert {state for (state,) in metrics.labels(MEMBERS)} == {"live", "silent", "missing"}
        assert metrics.value(MEMBERS_DROPPED, "crypto") == 3

    @pytest.mark.parametrize(
        "error", [None, ApiError("GET", "away"), TimeoutError], ids=["told", "refused", "no answer"]
    )
    async def test_without_gossip_the_api_server_says_who_lives(
        self, monkeypatch: pytest.MonkeyPatch, error: ApiError | type[TimeoutError] | None
    ) -> None:
        told, group = Told(), Group()
        presence = self.presence(told)
        await presence.lead(told, group)  # type: ignore[arg-type]
        told.said.clear()
        presence._standstill._last -= MISSED_S / 2
        assert told.look() is True
        assert told.said == [], "nobody took over so soon"
        if error is TimeoutError:
            monkeypatch.setattr(module, "API_PATIENCE_S", 0.05)
        presence._standstill._last -= 2 * MISSED_S
        assert told.look() is True
        assert told.said == ["hush"]
        if isinstance(error, ApiError):
            told.pods.error = error
        if error is not TimeoutError:
            told.pods.caught_up.set()
        async with asyncio.timeout(60):
            await presence._asking  # type: ignore[misc]
        assert told.said == ["hush", "review", "decided", "resume"]
        assert told.pods.asked == 1
        presence.close()
        group.cancel()

    async def test_without_gossip_a_second_standstill_asks_anew(self) -> None:
        told, group = Told(), Group()
        presence = self.presence(told)
        presence.see([Interface(1, InterfaceName("eth1"), None, running=False)])
        presence.see([Interface(1, InterfaceName("eth1"), None, running=True)])
        assert told.said == [], "it announces nothing yet"
        await presence.lead(told, group)  # type: ignore[arg-type]
        told.said.clear()
        presence.see([Interface(1, InterfaceName("eth1"), None, running=False)])
        presence.see([Interface(1, InterfaceName("eth1"), None, running=True)])
        first = presence._asking
        await asyncio.sleep(0)
        presence._stood_still(5.0)
        told.pods.caught_up.set()
        async with asyncio.timeout(60):
            await asyncio.gather(first, presence._asking, return_exceptions=True)  # type: ignore[arg-type]
        assert told.said == ["hush", "hush", "review", "decided", "resume"]
        presence.close()
        group.cancel()

    def test_an_address_that_is_none_is_told(self) -> None:
        with pytest.raises(StartError, match="--ml-bindaddr='x'"):
            self.presence(Told(), ml_bind_address="x", ml_labels="app=metallb")
