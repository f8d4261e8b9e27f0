"""Signs of life in a virtual network with loss, cuts and pauses, on virtual time; everything follows from the seed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metallb.protocols.heartbeat import packet, watch
from metallb.protocols.heartbeat.errors import DecodeError
from metallb.protocols.heartbeat.packet import Beat
from metallb.protocols.heartbeat.watch import Watch, watchers_of

DELAY_S = 0.0003


@dataclass
class Host:
    """One member; `verdicts`: when it took whom for silent."""

    machine: Watch
    running: bool = True
    paused: bool = False
    vouched: bool = False
    later: dict[str, tuple[Beat, ...]] = field(default_factory=dict)
    wanted: float | None = None
    backlog: list[watch.Input] = field(default_factory=list)
    verdicts: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    doubted: list[float] = field(default_factory=list)
    returned: list[float] = field(default_factory=list)


class World:
    """The network: `loss` is the share of messages that vanish, `cut` holds who is off the net."""

    def __init__(self, size: int, seed: int, *, loss: float = 0.0) -> None:
        self.now = 100.0
        self.loss = loss
        self.chance = random.Random(seed)
        self.cut: set[str] = set()
        self.deaf: set[tuple[str, str]] = set()
        self.sent = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.hosts = {f"n{each}": Host(Watch(f"n{each}", self.chance.getrandbits(64))) for each in range(size)}
        for name in self.hosts:
            self._at(self.chance.random() * 0.1, lambda name=name: self.meet(name))  # type: ignore[misc]

    def meet(self, name: str) -> None:
        self.feed(name, watch.Members(frozenset(self.hosts) - {name}))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = end

    def feed(self, name: str, event: watch.Input) -> None:
        host = self.hosts[name]
        if host.paused:
            host.backlog.append(event)
        elif host.running:
            self._do(name, host.machine.feed(event, self.now))

    def resume(self, name: str) -> None:
        host = self.hosts[name]
        host.paused = False
        backlog, host.backlog = host.backlog, []
        for event in backlog:
            self.feed(name, event)
        self._do(name, host.machine.tick(self.now))

    def _at(self, delay: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + max(delay, 0.0), self._count, action))

    def _do(self, name: str, outputs: Iterable[watch.Output]) -> None:
        host = self.hosts[name]
        for output in outputs:
            match output:
                case watch.Send(to, beat, later):
                    self._send(name, to, beat)
                    self._vouch(name, to, later)
                case watch.Silence(names):
                    host.verdicts.append((self.now, names))
                case watch.Doubted():
                    host.doubted.append(self.now)
                case watch.Returned():
                    host.returned.append(self.now)
        deadline = host.machine.deadline()
        if deadline is not None and deadline != host.wanted:
            host.wanted = deadline
            self._at(deadline - self.now, lambda: self._tick(name, deadline))

    def _tick(self, name: str, due: float) -> None:
        host = self.hosts[name]
        if host.wanted == due and host.running and not host.paused:
            host.wanted = None
            self._do(name, host.machine.tick(self.now))

    def _send(self, sender: str, to: str, beat: Beat) -> None:
        self.sent += 1
        lost = self.chance.random() < self.loss or (sender, to) in self.deaf
        if lost or sender in self.cut or to in self.cut:
            return
        heard = watch.Heard(packet.decode(beat.encode()))
        self._at(DELAY_S, lambda: self.feed(to, heard))

    def _vouch(self, sender: str, to: str, later: tuple[Beat, ...]) -> None:
        """Somebody at its side, who has the time, sends what it made in advance."""
        host = self.hosts[sender]
        if not later or not host.vouched:
            return
        host.later[to] = later

        def send(beat: Beat) -> None:
            if host.running and host.vouched and host.later[to] is later:
                self._send(sender, to, beat)

        for number, beat in enumerate(later, start=1):
            self._at(number * watch.INTERVAL_S + watch.LATER_S, lambda beat=beat: send(beat))  # type: ignore[misc]

    def views(self) -> dict[str, frozenset[str]]:
        return {name: host.machine.silent for name, host in self.hosts.items() if host.running}


@pytest.mark.parametrize("size", [2, 3, 4, 10, 40])
def test_a_death_is_noticed_by_all_within_half_a_second(size: int) -> None:
    took = []
    for seed in range(1 if size > 10 else 10):
        world = World(size, seed)
        world.run(2 + seed / 37)
        world.hosts["n1"].running = False
        died = world.now
        world.run(1)
        for name in world.hosts.keys() - {"n1"}:
            ((at, silent),) = world.hosts[name].verdicts
            assert silent == {"n1"}
            took.append(at - died)
    assert max(took) < 0.5


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 8), st.lists(st.floats(0.01, 0.4), min_size=1, max_size=6))
def test_nobody_doubts_a_member_that_is_busy_and_vouched_for(seed: int, size: int, pauses: list[float]) -> None:
    world = World(size, seed)
    busy = world.hosts["n0"]
    busy.vouched = True
    world.run(2)
    for pause in pauses:
        busy.paused = True
        world.run(pause)
        world.resume("n0")
        world.run(0.05)
    world.run(1)
    assert not any(host.verdicts or host.doubted for host in world.hosts.values())


def test_without_anybody_who_vouches_it_is_doubted() -> None:
    world = World(4, 1)
    world.run(2)
    world.hosts["n0"].paused = True
    world.run(0.6)
    world.resume("n0")
    world.run(1)
    assert world.hosts["n0"].doubted


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 8))
def test_a_member_that_is_stuck_is_silent_within_a_second_whoever_vouches_for_it(seed: int, size: int) -> None:
    world = World(size, seed)
    world.hosts["n0"].vouched = True
    world.run(2 + seed % 97 / 100)
    world.hosts["n0"].paused = True
    world.run(1.0)
    world.hosts["n0"].running = False
    assert set(world.views().values()) == {frozenset({"n0"})}


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 8))
def test_a_good_bye_is_not_taken_back_by_what_was_made_before_it(seed: int, size: int) -> None:
    world = World(size, seed)
    for host in world.hosts.values():
        host.vouched = True
    world.run(2 + seed % 97 / 100)
    world.feed("n0", watch.Leave())
    said = world.now
    world.hosts["n0"].paused = True
    world.run(0.6)
    for name in world.hosts.keys() - {"n0"}:
        ((at, silent),) = world.hosts[name].verdicts
        assert silent == {"n0"}
        assert at - said < 0.01


def test_members_go_on_when_sequence_numbers_begin_anew() -> None:
    world = World(3, 1)
    world.run(2)
    session = world.hosts["n0"].machine.session
    world.hosts["n0"].machine._sequence = 1 << 31
    world.run(2)
    assert world.hosts["n0"].machine.session == session + 1
    assert not any(host.verdicts or host.doubted for host in world.hosts.values())


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 8))
def test_nobody_healthy_is_silent_at_ten_percent_loss(seed: int, size: int) -> None:
    world = World(size, seed, loss=0.1)
    world.run(30)
    assert not [host.verdicts for host in world.hosts.values() if host.verdicts]


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12), st.floats(0, 0.1))
def test_a_death_is_noticed_at_ten_percent_loss(seed: int, size: int, loss: float) -> None:
    world = World(size, seed, loss=loss)
    world.run(3)
    world.hosts["n0"].running = False
    world.run(1.5)
    assert set(world.views().values()) == {frozenset({"n0"})}


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32), st.integers(4, 12), st.integers(1, 3))
def test_several_die_at_once(seed: int, size: int, deaths: int) -> None:
    world = World(size, seed)
    world.run(3)
    dead = {f"n{each}" for each in range(deaths)}
    for name in dead:
        world.hosts[name].running = False
    world.run(2)
    assert set(world.views().values()) == {frozenset(dead)}


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 10), st.floats(0.02, 10))
def test_who_stood_still_blames_nobody_and_is_heard_again(seed: int, size: int, seconds: float) -> None:
    world = World(size, seed)
    world.run(3)
    world.hosts["n0"].paused = True
    world.run(seconds)
    world.resume("n0")
    world.run(0.15)
    assert not [names for _, names in world.hosts["n0"].verdicts if names - {"n0"}]
    assert set(world.views().values()) == {frozenset()}


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 10))
def test_who_was_cut_off_learns_that_it_was_silent_and_is_back_at_once(seed: int, size: int) -> None:
    world = World(size, seed)
    world.run(3)
    world.cut.add("n0")
    world.run(5)
    others = frozenset(world.hosts) - {"n0"}
    assert {view for name, view in world.views().items() if name != "n0"} == {frozenset({"n0"})}
    assert world.views()["n0"] <= others, "alone it goes on"
    world.cut.clear()
    world.run(0.15)
    assert set(world.views().values()) == {frozenset()}
    assert world.hosts["n0"].doubted


def test_who_leaves_is_silent_for_all_at_once() -> None:
    world = World(8, seed=4)
    world.run(3)
    world.feed("n3", watch.Leave())
    world.run(0.002)
    assert {view for name, view in world.views().items() if name != "n3"} == {frozenset({"n3"})}
    assert world.views()["n3"] == frozenset(), "it goes on until the others have taken over"


def test_both_sides_of_a_mended_cut_know_it_at_once() -> None:
    """Gossip took each other's side for dead meanwhile."""
    world = World(4, seed=6)
    world.run(3)
    world.cut.add("n0")
    for name in world.hosts:
        here = {"n0"} if name == "n0" else set(world.hosts) - {"n0"}
        world.feed(name, watch.Members(frozenset(here - {name}), frozenset(world.hosts) - here))
    world.run(60)
    world.cut.clear()
    world.run(0.11)
    assert all(host.returned for host in world.hosts.values())


def test_one_broken_path_makes_nobody_silent() -> None:
    world = World(4, seed=5)
    world.run(3)
    world.deaf.add(("n0", "n1"))
    world.run(20)
    assert set(world.views().values()) == {frozenset()}


def test_a_member_that_never_showed_a_sign_is_left_to_gossip() -> None:
    world = World(3, seed=1)
    world.hosts["n2"].running = False
    world.run(10)
    assert set(world.views().values()) == {frozenset()}


def test_a_quiet_network_costs_each_member_thirty_messages_a_second() -> None:
    world = World(20, seed=1)
    world.run(3)
    before = world.sent
    world.run(10)
    assert (world.sent - before) / 10 / 20 < 31


def test_watching_is_spread_and_the_same_everywhere() -> None:
    everybody = [f"node-{each}" for each in range(100)]
    watched = [each for name in everybody for each in watchers_of(name, everybody)]
    assert max(map(watched.count, everybody)) < 12
    assert watchers_of("node-1", everybody) == watchers_of("node-1", list(reversed(everybody)))


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(NAMES, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.frozensets(NAMES, max_size=20))
def test_a_beat_is_read_as_it_was_written(name: str, session: int, sequence: int, doubts: frozenset[str]) -> None:
    beat = Beat(name, session, sequence, doubts, call=sequence % 2 == 0)
    assert packet.decode(beat.encode() + b"more") == beat


@given(st.sampled_from([b"", b"MLB\x01"]), st.binary(max_size=200))
def test_no_bytes_of_a_stranger_do_harm(start: bytes, data: bytes) -> None:
    try:
        packet.decode(start + data)
    except DecodeError as error:
        assert error.code
