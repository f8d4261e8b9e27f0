"""Many members in one virtual network with loss, cuts and pauses, on virtual time; everything follows from the seed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metallb.protocols.swim import membership as m
from metallb.protocols.swim import packet
from metallb.protocols.swim.membership import Membership
from metallb.protocols.swim.roster import Endpoint, Gone, Joined
from metallb.protocols.swim.settings import LAN

PORT = 7946
DELAY_S = 0.0005


def endpoint_of(number: int) -> Endpoint:
    return Endpoint((0xC6130000 + number).to_bytes(4), PORT)


@dataclass
class Host:
    """One member, and what it saw: names by the time at which they went and came."""

    machine: Membership
    running: bool = True
    paused: bool = False
    wanted: float | None = None
    backlog: list[m.Input] = field(default_factory=list)
    gone: list[tuple[float, str]] = field(default_factory=list)
    came: list[tuple[float, str]] = field(default_factory=list)


class World:
    """The network. `loss` is the share of datagrams that vanish; streams are as good as TCP, unless cut."""

    def __init__(self, size: int, seed: int, *, loss: float = 0.0) -> None:
        self.now = 0.0
        self.loss = loss
        self.chance = random.Random(seed)
        self.hosts: dict[Endpoint, Host] = {}
        self.cut: set[Endpoint] = set()
        self.sent = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        for number in range(size):
            self.add(number)

    def add(self, number: int) -> Host:
        endpoint = endpoint_of(number)
        seed = self.chance.random()
        machine = Membership(f"n{number}", endpoint, LAN, random.Random(seed).randrange, overhead=29)
        host = self.hosts[endpoint] = Host(machine)
        self._do(endpoint, machine.start(self.now))
        self._do(endpoint, machine.feed(m.Join((endpoint_of(0), endpoint_of(max(number - 1, 0)))), self.now))
        return host

    def host(self, number: int) -> Host:
        return self.hosts[endpoint_of(number)]

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = end

    def feed(self, endpoint: Endpoint, event: m.Input) -> None:
        host = self.hosts.get(endpoint)
        if host is None or not host.running:
            return
        if host.paused:
            host.backlog.append(event)
            return
        self._do(endpoint, host.machine.feed(event, self.now))

    def resume(self, number: int) -> None:
        """The process goes on; what its sockets held it reads late."""
        host = self.host(number)
        host.paused = False
        backlog, host.backlog = host.backlog, []
        self._do(endpoint_of(number), host.machine.feed(m.Silent(), self.now))
        for event in backlog:
            self.feed(endpoint_of(number), event)

    def _at(self, delay: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + delay, self._count, action))

    def _do(self, endpoint: Endpoint, outputs: Iterable[m.Output]) -> None:
        host = self.hosts[endpoint]
        for output in outputs:
            match output:
                case m.Send(to, message, _):
                    assert len(message) + 29 <= LAN.datagram_size
                    self._send(endpoint, to, message)
                case m.Exchange(stream, to, message, timeout_s):
                    self._exchange(endpoint, to, stream, message, timeout_s)
                case m.Reply():
                    raise AssertionError("answers are taken where they are asked for")
                case Joined(name):
                    host.came.append((self.now, name))
                case Gone(name):
                    host.gone.append((self.now, name))
                case _:
                    pass
        self._arm(endpoint, host)

    def _arm(self, endpoint: Endpoint, host: Host) -> None:
        deadline = host.machine.deadline()
        if deadline is not None and (host.wanted is None or deadline < host.wanted):
            host.wanted = deadline
            self._at(max(0.0, deadline - self.now), lambda: self._tick(endpoint, deadline))

    def _tick(self, endpoint: Endpoint, due: float) -> None:
        host = self.hosts[endpoint]
        if host.wanted != due or not host.running:
            return
        host.wanted = None
        if host.paused:
            host.wanted = self.now + 0.05
            self._at(0.05, lambda: self._tick(endpoint, host.wanted or 0.0))
            return
        self._do(endpoint, host.machine.tick(self.now))

    def _send(self, sender: Endpoint, to: Endpoint, message: bytes) -> None:
        self.sent += 1
        if sender in self.cut or to in self.cut or self.chance.random() < self.loss:
            return
        for each in packet.decode(message):
            self._at(DELAY_S, lambda each=each: self.feed(to, m.Heard(sender, each)))  # type: ignore[misc]

    def _exchange(self, sender: Endpoint, to: Endpoint, stream: int, message: bytes, timeout_s: float) -> None:
        target = self.hosts.get(to)
        reachable = sender not in self.cut and to not in self.cut and target is not None
        if not reachable or target is None or not target.running or target.paused:
            self._at(timeout_s, lambda: self.feed(sender, m.Answered(stream, None)))
            return
        self._at(DELAY_S, lambda: self._serve(sender, to, stream, message))

    def _serve(self, sender: Endpoint, to: Endpoint, stream: int, message: bytes) -> None:
        (asked,) = packet.decode(message)
        outputs = self.hosts[to].machine.feed(m.Asked(stream, asked), self.now)
        replies = [each for each in outputs if isinstance(each, m.Reply)]
        self._do(to, [each for each in outputs if not isinstance(each, m.Reply)])
        for reply in replies:
            (answer,) = packet.decode(reply.message)
            self._at(DELAY_S, lambda answer=answer: self.feed(sender, m.Answered(stream, answer)))  # type: ignore[misc]

    def views(self) -> list[frozenset[str]]:
        return [host.machine.present for host in self.hosts.values() if host.running]


def names(count: int) -> frozenset[str]:
    return frozenset(f"n{number}" for number in range(count))


@pytest.mark.parametrize("size", [1, 2, 3, 10, 50])
def test_members_find_each_other(size: int) -> None:
    world = World(size, seed=1)
    world.run(5)
    assert all(view == names(size) for view in world.views())


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 25), st.floats(0, 0.2))
def test_nobody_healthy_dies_at_twenty_percent_loss(seed: int, size: int, loss: float) -> None:
    world = World(size, seed, loss=loss)
    world.run(10)
    before = [len(host.gone) for host in world.hosts.values()]
    world.run(90)
    assert [len(host.gone) for host in world.hosts.values()] == before


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 25), st.floats(0, 0.2))
def test_a_death_is_known_to_all(seed: int, size: int, loss: float) -> None:
    world = World(size, seed, loss=loss)
    world.run(15)
    world.host(1).running = False
    world.run(90)
    assert all("n1" not in view for view in world.views())


def test_a_death_among_three_is_noticed_as_fast_as_upstream_does() -> None:
    """Upstream takes 5.1 to 6.0 s: a probe within 2 s fails after 1 s, then 4 s of suspicion."""
    took = []
    for seed in range(20):
        world = World(3, seed)
        world.run(10)
        world.host(2).running = False
        died = world.now
        world.run(15)
        took += [at - died for number in (0, 1) for at, name in world.host(number).gone if name == "n2"]
    assert len(took) == 40
    assert max(took) < 7.5
    assert min(took) > 4


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 20))
def test_a_good_bye_is_known_to_all_within_a_second(seed: int, size: int) -> None:
    world = World(size, seed)
    world.run(5)
    world._do(endpoint_of(0), world.host(0).machine.feed(m.Leave(), world.now))
    world.run(1)
    assert world.host(0).machine.is_quiet
    world.host(0).running = False
    world.run(0.5)
    assert all("n0" not in view for view in world.views())


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32), st.integers(4, 12))
def test_the_members_beyond_a_cut_come_back(seed: int, size: int) -> None:
    world = World(size, seed)
    world.run(5)
    world.cut.add(endpoint_of(0))
    world.run(20)
    assert all("n0" not in host.machine.present for host in list(world.hosts.values())[1:])
    world.cut.clear()
    world._do(endpoint_of(0), world.host(0).machine.feed(m.Join((endpoint_of(1), endpoint_of(2))), world.now))
    world.run(100)  # who missed the news hears it when tables are exchanged, every 30 s
    assert all(view == names(size) for view in world.views())


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 12), st.floats(0.5, 60))
def test_who_stood_still_blames_nobody_and_is_back(seed: int, size: int, seconds: float) -> None:
    world = World(size, seed)
    world.run(5)
    world.host(0).paused = True
    world.run(seconds)
    at = world.now
    world.resume(0)
    world.run(10)
    assert not [name for when, name in world.host(0).gone if when >= at]
    assert all(view == names(size) for view in world.views())


def test_a_restarted_member_is_a_member_at_once() -> None:
    world = World(5, seed=3)
    world.run(5)
    world.host(2).running = False
    world.run(0.5)
    del world.hosts[endpoint_of(2)]
    world.add(2)
    world.run(10)
    assert all(view == names(5) for view in world.views())


def test_the_same_seed_gives_the_same_story() -> None:
    stories = []
    for _ in range(2):
        world = World(10, seed=9, loss=0.3)
        world.run(20)
        world.host(4).running = False
        world.run(30)
        stories.append([(host.came, host.gone) for host in world.hosts.values()])
    assert stories[0] == stories[1]


def test_a_quiet_network_costs_little() -> None:
    world = World(40, seed=2)
    world.run(30)
    before = world.sent
    world.run(20)
    assert (world.sent - before) / 20 / 40 < 3  # a question and an answer a second for each member
