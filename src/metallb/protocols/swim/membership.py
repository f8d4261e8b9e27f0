"""The machine: looks after members and tells who is there (SWIM with Lifeguard, spec/speaker.md 3.7).

    machine = Membership("n1", Endpoint(address, 7946), LAN, draw)
    effects = machine.start(now)
    effects += machine.feed(Heard(sender, message), now)
    effects += machine.tick(now)
    later = machine.deadline()

It is fed decoded messages and asks for messages to be sent; encryption, checksums and streams are the shell's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import assert_never

from metallb.protocols.swim import packet
from metallb.protocols.swim.packet import (
    Ack,
    Alive,
    Dead,
    IndirectPing,
    Message,
    Nack,
    Ping,
    PushPull,
    Source,
    State,
    Suspect,
)
from metallb.protocols.swim.probing import Relays, Round
from metallb.protocols.swim.roster import Draw, Endpoint, Event, Member, Roster
from metallb.protocols.swim.settings import Settings

_HEADER = 2
"""Bytes of a compound before its lengths, and of each length."""

_BIG = 32
"""So many members exchange all they know in every interval; with more it happens less often."""

_NACKS_FROM = 4
_STREAM_PINGS_FROM = 3
"""Versions of the protocol that know them."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message came in a datagram."""

    sender: Endpoint
    message: Message


@dataclass(frozen=True, slots=True)
class Asked:
    """A member opened a stream and sent a message: it waits for a `Reply` with the same number."""

    stream: int
    message: Message


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back on a stream of ours; None: nothing, or no connection."""

    stream: int
    message: Message | None


@dataclass(frozen=True, slots=True)
class Join:
    """These may be members."""

    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """Say good-bye: when no news of it waits any more (`is_quiet`), the process can end."""


@dataclass(frozen=True, slots=True)
class Silent:
    """The process stood still: what is known is old, and nobody can be blamed for not having answered."""


Input = Heard | Asked | Answered | Join | Leave | Silent


@dataclass(frozen=True, slots=True)
class Send:
    """A datagram; `checksum`: the receiver reads checksums."""

    to: Endpoint
    message: bytes
    checksum: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """A stream to a member: connect, send the message, give back what is answered within the time."""

    stream: int
    to: Endpoint
    message: bytes
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer on a stream that a member opened."""

    stream: int
    message: bytes


Output = Send | Exchange | Reply | Event


class Membership:
    """One member. Never raises for what others send."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        settings: Settings,
        draw: Draw,
        *,
        meta: bytes | None = None,
        overhead: int = 0,
    ) -> None:
        """Takes no part before `start`.

        Args:
            name: of the node.
            endpoint: where others reach this member.
            settings: how fast.
            draw: chance.
            meta: what others are told of this member beside its name; up to 512 bytes.
            overhead: bytes by which encryption lengthens a datagram.
        """
        self.roster = Roster(name, endpoint, settings, draw, meta)
        self._settings = settings
        self._draw = draw
        self._room = settings.datagram_size - overhead
        self._relays = Relays()
        self._round: Round | None = None
        self._order: list[str] = []
        self._sequence = 0
        self._stream = 0
        self._stream_pings: set[int] = set()
        self._next_probe = self._next_gossip = self._next_exchange = math.inf

    @property
    def present(self) -> frozenset[str]:
        """Names of the members that are alive or only suspected not to be."""
        return self.roster.present

    @property
    def is_quiet(self) -> bool:
        """Whether this member's good-bye was told as often as it has to be, or there is nobody to tell."""
        others = self.roster.pick(1, lambda member: member.is_present)
        return self.roster.left and (self.roster.me not in self.roster.news or not others)

    def start(self, now: float) -> list[Output]:
        """Takes part from now on, alone so far."""
        settings = self._settings
        self._next_probe = now + settings.probe_interval_s * (1 + self._chance())
        self._next_gossip = now + settings.gossip_interval_s * (1 + self._chance())
        self._next_exchange = now + settings.push_pull_interval_s * (1 + self._chance())
        return [*self.roster.start(now)]

    def feed(self, event: Input, now: float) -> list[Output]:
        """Something happened."""
        match event:
            case Heard(sender, message):
                return self._heard(sender, message, now)
            case Asked(stream, message):
                return self._asked(stream, message, now)
            case Answered(stream, message):
                return self._answered(stream, message, now)
            case Join(endpoints):
                return self._join([each for each in endpoints if each != self.roster.endpoint])
            case Leave():
                self._next_gossip = now
                return [*self.roster.leave(now)]
            case Silent():
                return self._resume(now)
            case _:
                assert_never(event)

    def tick(self, now: float) -> list[Output]:
        """Does what fell due."""
        output: list[Output] = [*self.roster.expire(now)]
        output += self._look_again(now)
        output += self._relay_nacks(now)
        if self._round is not None:
            output += self._continue(self._round, now)
        if now >= self._next_probe:
            output += self._probe(now)
        if now >= self._next_gossip:
            output += self._gossip(now)
        if now >= self._next_exchange:
            output += self._exchange_with_one(now)
        return output

    def deadline(self) -> float | None:
        """When `tick` is wanted next."""
        times = [self._next_probe, self._next_exchange, self._relays.deadline()]
        times += [each.due for each in self.roster.suspicions.values()]
        if self._round is not None:
            times.append(self._round.deadline)
        if len(self.roster.news):
            times.append(self._next_gossip)
        earliest = min(times)
        return None if math.isinf(earliest) else earliest

    def _heard(self, sender: Endpoint, message: Message, now: float) -> list[Output]:
        match message:
            case Alive() | Suspect() | Dead():  # first: most of what is heard is news
                return [*self._claimed(message, now)]
            case Ping(sequence, node, source) if node in {"", self.roster.me}:
                return [self._datagram(_answer_to(source, sender), packet.encode(Ack(sequence)))]
            case IndirectPing():
                return [self._relay(message, _answer_to(message.source, sender), now)]
            case Ack(sequence, _):
                self.roster.acquit(sequence, now)
                return self._acknowledged(sequence)
            case Nack(sequence) if self._round is not None and self._round.sequence == sequence:
                self._round.nacks += 1
                return []
            case _:
                return []

    def _join(self, endpoints: list[Endpoint]) -> list[Output]:
        """Those that we took for dead did the same with us: our word has to weigh more than their belief."""
        if any(not each.is_present and each.endpoint in endpoints for each in self.roster.members.values()):
            self.roster.reassert()
        return [self._exchange(each, join=True) for each in endpoints]

    def _claimed(self, claim: Alive | Suspect | Dead, now: float) -> list[Event]:
        match claim:
            case Alive():
                return self.roster.alive(claim, now)
            case Suspect():
                return self.roster.suspect(claim, now)
            case Dead():
                return self.roster.dead(claim, now)

    def _asked(self, stream: int, message: Message, now: float) -> list[Output]:
        match message:
            case PushPull(members):
                events = self.roster.merge(members, now)  # first: the answer says at once what we object to
                return [Reply(stream, packet.encode(PushPull(self.roster.table()))), *events]
            case Ping(sequence, node, _) if node in {"", self.roster.me}:
                return [Reply(stream, packet.encode(Ack(sequence)))]
            case _:
                return []

    def _answered(self, stream: int, message: Message | None, now: float) -> list[Output]:
        if stream in self._stream_pings:
            self._stream_pings.discard(stream)
            if isinstance(message, Ack) and self._round is not None and self._round.sequence == message.sequence:
                self._round = None
            return []
        return [*self.roster.merge(message.members, now)] if isinstance(message, PushPull) else []

    def _acknowledged(self, sequence: int) -> list[Output]:
        if self._round is not None and self._round.sequence == sequence:
            if self._round.is_direct:
                self.roster.feel(-1)
            self._round = None
            return []
        asker = self._relays.acknowledged(sequence)
        if asker is None:
            return []
        return [self._datagram(asker.endpoint, packet.encode(Ack(asker.sequence)))]

    def _relay(self, asked: IndirectPing, asker: Endpoint, now: float) -> Send:
        self._sequence += 1
        until = now + self._settings.probe_timeout_s
        self._relays.add(self._sequence, asked, asker, until)
        ping = Ping(self._sequence, asked.node, self._source())
        return self._datagram(Endpoint(asked.target, asked.port), packet.encode(ping))

    def _relay_nacks(self, now: float) -> list[Output]:
        return [self._datagram(each.endpoint, packet.encode(Nack(each.sequence))) for each in self._relays.expire(now)]

    def _probe(self, now: float) -> list[Output]:
        """Asks the next member whether it lives, when the round before is over."""
        output: list[Output] = []
        if self._round is not None:
            if now < self._round.until:  # in trouble of our own we wait longer
                self._next_probe = self._round.until
                return output
            output += self._judge(self._round, now)
        self._next_probe = now + self._settings.probe_interval_s
        member = self._next_member(now)
        if member is None:
            return output
        self._sequence += 1
        interval_s = self._settings.probe_interval_s * (self.roster.health + 1)
        self._round = Round(member.name, self._sequence, now + self._settings.probe_timeout_s, now + interval_s)
        suspicion = self.roster.suspicions.get(member.name)
        if suspicion is not None:
            suspicion.look(self._sequence, now)
            return [*output, self._question(member)]
        ping = packet.encode(Ping(self._sequence, member.name, self._source()))
        return [*output, self._datagram(member.endpoint, ping)]

    def _question(self, suspect: Member) -> Send:
        """A ping. A suspect learns first of all that it is one, so that it can object."""
        ping = packet.encode(Ping(self._sequence, suspect.name, self._source()))
        told = packet.encode(Suspect(suspect.incarnation, suspect.name, self.roster.me))
        return Send(suspect.endpoint, packet.compound([ping, told]), suspect.reads_checksums)

    def _look_again(self, now: float) -> list[Output]:
        """Asks suspects whose time may soon be up.

        Where many members lose much, now and then an objection reaches all but one: by upstream's rules that one takes
        a living member for dead, until the two exchange their tables.
        """
        output: list[Output] = []
        for name, suspicion in self.roster.suspicions.items():
            if suspicion.due <= now:
                self._sequence += 1
                suspicion.look(self._sequence, now)
                output.append(self._question(self.roster.members[name]))
        return output

    def _next_member(self, now: float) -> Member | None:
        """The members one after the other, in an order that chance makes anew after each round."""
        for _ in range(2):
            while self._order:
                member = self.roster.members.get(self._order.pop())
                if member is not None and member.is_present and member.name != self.roster.me:
                    return member
            self.roster.forget(now)
            self._order = self._shuffled(list(self.roster.members))
        return None

    def _continue(self, current: Round, now: float) -> list[Output]:
        if now >= current.until:
            return self._judge(current, now)
        if current.is_direct and now >= current.direct_until:
            return self._ask_others(current)
        return []

    def _ask_others(self, current: Round) -> list[Output]:
        current.is_direct = False
        member = self.roster.members.get(current.name)
        if member is None:
            self._round = None
            return []
        chosen = self.roster.pick(
            self._settings.indirect_checks, lambda each: each.state is State.ALIVE and each.name != member.name
        )
        output: list[Output] = []
        for helper in chosen:
            nack = helper.understands(_NACKS_FROM)
            current.nacks_wanted += nack
            asked = IndirectPing(current.sequence, *member.endpoint, member.name, nack, self._source())
            output.append(self._datagram(helper.endpoint, packet.encode(asked)))
        if self._settings.tcp_pings and member.understands(_STREAM_PINGS_FROM):
            self._stream += 1
            self._stream_pings.add(self._stream)
            ping = packet.encode(Ping(current.sequence, member.name, self._source()))
            left_s = current.until - current.direct_until
            output.append(Exchange(self._stream, member.endpoint, ping, max(left_s, self._settings.probe_timeout_s)))
        return output

    def _judge(self, failed: Round, now: float) -> list[Output]:
        """The round ended without an answer. Helpers that did not even say so point at trouble of our own."""
        self._round = None
        self.roster.feel(failed.nacks_wanted - min(failed.nacks, failed.nacks_wanted) if failed.nacks_wanted else 1)
        member = self.roster.members.get(failed.name)
        if member is None:
            return []
        return [*self.roster.suspect(Suspect(member.incarnation, member.name, self.roster.me), now)]

    def _gossip(self, now: float) -> list[Output]:
        self._next_gossip = now + self._settings.gossip_interval_s
        if not len(self.roster.news):
            return []
        output: list[Output] = []
        for member in self.roster.pick(self._settings.gossip_nodes, lambda each: self._gets_news(each, now)):
            messages = self.roster.news.take(self._room - _HEADER, _HEADER, len(self.roster.members))
            if not messages:
                break
            message = messages[0] if len(messages) == 1 else packet.compound(messages)
            output.append(Send(member.endpoint, message, member.reads_checksums))
        return output

    def _gets_news(self, member: Member, now: float) -> bool:
        if member.state is State.DEAD:
            return now - member.since <= self._settings.gossip_to_the_dead_s
        return member.is_present

    def _exchange_with_one(self, now: float) -> list[Output]:
        scale = math.ceil(math.log2(max(len(self.roster.members), _BIG) / _BIG)) + 1
        self._next_exchange = now + self._settings.push_pull_interval_s * scale
        chosen = self.roster.pick(1, lambda member: member.state is State.ALIVE)
        return [self._exchange(member.endpoint, join=False) for member in chosen]

    def _exchange(self, to: Endpoint, *, join: bool) -> Exchange:
        self._stream += 1
        table = packet.encode(PushPull(self.roster.table(), join))
        return Exchange(self._stream, to, table, self._settings.stream_timeout_s)

    def _datagram(self, to: Endpoint, message: bytes) -> Send:
        """A message, with as much news as fits beside it."""
        room = self._room - len(message) - 2 * _HEADER
        news = self.roster.news.take(room, _HEADER, len(self.roster.members))
        return Send(to, packet.compound([message, *news]) if news else message, checksum=False)

    def _resume(self, now: float) -> list[Output]:
        """Starts every wait anew: what was not heard while we stood still says nothing about others.

        They may have taken us for dead meanwhile: the tables that go to some of them say that we live.
        """
        self._round = None
        self._relays = Relays()
        self.roster.reassert()
        for name, suspicion in self.roster.suspicions.items():
            self.roster.suspicions[name] = replace(suspicion, since=now)
        self._next_probe = now + self._settings.probe_interval_s
        self._next_gossip = now
        others = self.roster.pick(self._settings.gossip_nodes, lambda member: member.is_present)
        return [self._exchange(member.endpoint, join=False) for member in others]

    def _source(self) -> Source:
        return Source(*self.roster.endpoint, self.roster.me)

    def _shuffled(self, names: list[str]) -> list[str]:
        return [names.pop(self._draw(len(names))) for _ in range(len(names))]

    def _chance(self) -> float:
        return self._draw(1000) / 1000


def _answer_to(source: Source | None, sender: Endpoint) -> Endpoint:
    """Where an answer goes: as the asker says, else whence the question came."""
    return sender if source is None else Endpoint(source.address, source.port or sender.port)
