"""Members of the gossip in one virtual network with loss, cuts, partitions and pauses, on virtual time.

    world = World(50, seed=1, loss=0.2)      # they join one after the other
    world = World.acquainted(2000, seed=1)   # they know each other already
    world.run(60)

Everything follows from the seed.
"""

from __future__ import annotations

import heapq
import random
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from metallb.protocols.swim import membership as m
from metallb.protocols.swim import packet
from metallb.protocols.swim.broadcasts import Broadcasts
from metallb.protocols.swim.membership import Membership
from metallb.protocols.swim.packet import State
from metallb.protocols.swim.roster import Endpoint, Gone, Joined, Member
from metallb.protocols.swim.settings import LAN

PORT: Final = 7946
DELAY_S: Final = 0.0005
CONNECT_AGAIN_S: Final = 1.0
"""How long TCP waits for an answer to its first packet, before it sends it again; then twice as long, and so on."""

SEND_AGAIN_S: Final = 0.2
"""The same for data, at least."""


NEWS: Final = frozenset({packet.Type.ALIVE, packet.Type.SUSPECT, packet.Type.DEAD})


def endpoint_of(number: int) -> Endpoint:
    return Endpoint((0xC6130000 + number).to_bytes(4), PORT)


def names(count: int) -> frozenset[str]:
    return frozenset(f"n{number}" for number in range(count))


@lru_cache(maxsize=100_000)
def read_news(message: bytes) -> packet.Message:
    (found,) = packet.decode(message)
    return found


def read(datagram: bytes) -> list[packet.Message]:
    """As `packet.decode`; what thousands are told is read once."""
    if datagram[0] != packet.Type.COMPOUND:
        return packet.decode(datagram)
    start, found = 2 + 2 * datagram[1], []
    for length in struct.unpack_from(f"!{datagram[1]}H", datagram, 2):
        part = datagram[start : start + length]
        found += [read_news(part)] if part[0] in NEWS else packet.decode(part)
        start += length
    return found


@dataclass(slots=True)
class Host:
    """One member, and what it saw: names by the time at which they went and came."""

    machine: Membership
    running: bool = True
    paused: bool = False
    island: int = 0
    wanted: float | None = None
    backlog: list[m.Input] = field(default_factory=list)
    gone: list[tuple[float, str]] = field(default_factory=list)
    came: list[tuple[float, str]] = field(default_factory=list)


class World:
    """The network. `loss` is the share of packets that vanish; streams send theirs again, as TCP does.

    Attributes:
        unheard: names of members whose objections all get lost.
        sent: how many datagrams there were.
    """

    def __init__(self, size: int, seed: int, *, loss: float = 0.0) -> None:
        self.now = 0.0
        self.loss = loss
        self.chance = random.Random(seed)
        self.hosts: dict[Endpoint, Host] = {}
        self.sent = 0
        self.unheard: set[str] = set()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        for number in range(size):
            self.add(number)

    @classmethod
    def acquainted(cls, size: int, seed: int, *, loss: float = 0.0) -> World:
        """Members that know each other: thousands that join at once would exchange millions of rows first."""
        made = cls(0, seed, loss=loss)
        for number in range(size):
            made._place(number)
        everybody = sorted(names(size))
        for host in made.hosts.values():
            roster = host.machine.roster
            roster.news = Broadcasts(LAN.retransmit_mult)
            host.machine._order = sorted(everybody, key=lambda _: made.chance.random())  # in C, millions of times
            for endpoint, other in made.hosts.items():
                name = other.machine.roster.me
                if name not in roster.members:
                    roster.members[name] = Member(name, endpoint, 1, State.ALIVE, 0.0, None, packet.VERSIONS)
            made._arm(host.machine.roster.endpoint, host)
        return made

    def add(self, number: int) -> Host:
        """One more member, which knows the first and the one before it."""
        host = self._place(number)
        endpoint = endpoint_of(number)
        self._do(endpoint, host.machine.feed(m.Join((endpoint_of(0), endpoint_of(max(number - 1, 0)))), self.now))
        return host

    def host(self, number: int) -> Host:
        return self.hosts[endpoint_of(number)]

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = end

    def feed(self, endpoint: Endpoint, *events: m.Input) -> None:
        host = self.hosts.get(endpoint)
        if host is None or not host.running:
            return
        if host.paused:
            host.backlog += events
            return
        self._do(endpoint, [output for event in events for output in host.machine.feed(event, self.now)])

    def join(self, number: int, *others: int) -> None:
        """A member is told of others, as the speakers' pods are looked for."""
        self.feed(endpoint_of(number), m.Join(tuple(map(endpoint_of, others))))

    def kill(self, number: int) -> None:
        self.host(number).running = False

    def pause(self, number: int) -> None:
        """The process stands still, and its sockets take in what comes."""
        self.host(number).paused = True

    def resume(self, number: int) -> None:
        """The process goes on; what its sockets held it reads late."""
        host = self.host(number)
        host.paused = False
        backlog, host.backlog = host.backlog, []
        self._do(endpoint_of(number), host.machine.feed(m.Silent(), self.now))
        for event in backlog:
            self.feed(endpoint_of(number), event)

    def part(self, numbers: Iterable[int], island: int = 1) -> None:
        """These are on an island from now on, and reach only each other; 0 is the mainland."""
        for number in numbers:
            self.host(number).island = island

    def heal(self) -> None:
        """Everybody reaches everybody."""
        for host in self.hosts.values():
            host.island = 0

    def views(self) -> list[frozenset[str]]:
        """Who is a member, as those see it that live."""
        return [host.machine.present for host in self.hosts.values() if host.running]

    @property
    def suspicions(self) -> int:
        """How many members are suspected by whom, now."""
        return sum(len(host.machine.roster.suspicions) for host in self.hosts.values() if host.running)

    def deaths(self) -> list[tuple[float, str, str]]:
        """Who took whom for dead, and when."""
        return [(at, host.machine.roster.me, name) for host in self.hosts.values() for at, name in host.gone]

    def _place(self, number: int) -> Host:
        endpoint = endpoint_of(number)
        seed = self.chance.random()
        machine = Membership(f"n{number}", endpoint, LAN, random.Random(seed).randrange, overhead=29)
        host = self.hosts[endpoint] = Host(machine)
        self._do(endpoint, machine.start(self.now))
        return host

    def _lost(self) -> bool:
        return self.loss > 0 and self.chance.random() < self.loss

    def _apart(self, sender: Endpoint, to: Endpoint) -> bool:
        target = self.hosts.get(to)
        return target is None or target.island != self.hosts[sender].island

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
        host = self.hosts.get(endpoint)
        if host is None or host.wanted != due or not host.running:
            return
        host.wanted = None
        if host.paused:
            host.wanted = self.now + 0.05
            self._at(0.05, lambda: self._tick(endpoint, host.wanted or 0.0))
            return
        self._do(endpoint, host.machine.tick(self.now))

    def _send(self, sender: Endpoint, to: Endpoint, message: bytes) -> None:
        self.sent += 1
        if self._lost() or self._apart(sender, to):
            return
        self._at(DELAY_S, lambda: self._arrive(sender, to, message))

    def _arrive(self, sender: Endpoint, to: Endpoint, message: bytes) -> None:
        heard = (each for each in read(message) if not (isinstance(each, packet.Alive) and each.node in self.unheard))
        self.feed(to, *(m.Heard(sender, each) for each in heard))

    def _exchange(self, sender: Endpoint, to: Endpoint, stream: int, message: bytes, timeout_s: float) -> None:
        target = self.hosts.get(to)
        delay_s = self._retries_s(CONNECT_AGAIN_S) + self._retries_s(SEND_AGAIN_S)
        reachable = target is not None and target.running and not target.paused and not self._apart(sender, to)
        if not reachable or delay_s > timeout_s:
            self._at(timeout_s, lambda: self.feed(sender, m.Answered(stream, None)))
            return
        self._at(DELAY_S + delay_s, lambda: self._serve(sender, to, stream, message))

    def _retries_s(self, first_s: float) -> float:
        """How long until a packet and its answer came through, each way as lossy as the other."""
        waited_s, again_s = 0.0, first_s
        while self._lost() or self._lost():
            waited_s += again_s
            again_s *= 2
        return waited_s

    def _serve(self, sender: Endpoint, to: Endpoint, stream: int, message: bytes) -> None:
        target = self.hosts.get(to)
        if target is None or not target.running or target.paused:
            self._at(DELAY_S, lambda: self.feed(sender, m.Answered(stream, None)))
            return
        (asked,) = packet.decode(message)
        outputs = target.machine.feed(m.Asked(stream, asked), self.now)
        replies = [each for each in outputs if isinstance(each, m.Reply)]
        self._do(to, [each for each in outputs if not isinstance(each, m.Reply)])
        for reply in replies:
            (answer,) = packet.decode(reply.message)
            self._at(DELAY_S, lambda answer=answer: self.feed(sender, m.Answered(stream, answer)))  # type: ignore[misc]
