"""Who is a member, and what is believed of each: news in, changes and news to pass on out (spec/speaker.md 3.7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from metallb.protocols.swim import packet
from metallb.protocols.swim.broadcasts import Broadcasts
from metallb.protocols.swim.packet import Alive, Dead, MemberState, State, Suspect
from metallb.protocols.swim.settings import Settings
from metallb.protocols.swim.suspicion import Suspicion

Draw = Callable[[int], int]
"""A number from 0 up to, not including, the argument, by chance."""

_READS_CHECKSUMS = 5
_LATEST = 2
"""Where the newest version that a member understands stands in `versions` is 1, the oldest 0, the spoken one 2."""


class Endpoint(NamedTuple):
    """Where a member listens: 4 or 16 bytes in network order, and a port."""

    address: bytes
    port: int


@dataclass(slots=True)
class Member:
    """What is believed of one member; `since` is when `state` last changed, in monotonic seconds."""

    name: str
    endpoint: Endpoint
    incarnation: int
    state: State
    since: float
    meta: bytes | None
    versions: bytes

    @property
    def reads_checksums(self) -> bool:
        """Whether it speaks version 5 of the protocol."""
        return self.understands(_READS_CHECKSUMS)

    @property
    def is_present(self) -> bool:
        """Alive, or only suspected not to be."""
        return self.state in {State.ALIVE, State.SUSPECT}

    def understands(self, version: int) -> bool:
        """Whether it understands a version of the protocol."""
        return len(self.versions) > 1 and self.versions[1] >= version


@dataclass(frozen=True, slots=True)
class Joined:
    """A member came, or came back."""

    name: str
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Gone:
    """A member died; `left`: it said good-bye."""

    name: str
    left: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody uses the name of a member at another address."""

    name: str
    known: Endpoint
    claimed: Endpoint


Event = Joined | Gone | Conflict


@dataclass(slots=True)
class Roster:
    """The members, this one among them. Methods that take news return what changed by it."""

    me: str
    endpoint: Endpoint
    settings: Settings
    draw: Draw
    meta: bytes | None = None
    news: Broadcasts = field(init=False)
    members: dict[str, Member] = field(default_factory=dict)
    suspicions: dict[str, Suspicion] = field(default_factory=dict)
    incarnation: int = 0
    health: int = 0
    left: bool = False

    def __post_init__(self) -> None:
        """A queue for what is to be told."""
        self.news = Broadcasts(self.settings.retransmit_mult)

    def start(self, now: float) -> list[Event]:
        """Takes part from now on."""
        self.incarnation += 1
        own = Member(self.me, self.endpoint, self.incarnation, State.ALIVE, now, self.meta, packet.VERSIONS)
        self.members[self.me] = own
        self._tell_alive(own)
        return [Joined(self.me, self.endpoint)]

    @property
    def present(self) -> frozenset[str]:
        """Names of the members that are alive or only suspected not to be."""
        return frozenset(member.name for member in self.members.values() if member.is_present)

    def table(self) -> tuple[MemberState, ...]:
        """All that is believed, for another member."""
        return tuple(
            MemberState(m.name, *m.endpoint, m.incarnation, m.state, m.meta, m.versions) for m in self.members.values()
        )

    def feel(self, delta: int) -> None:
        """Own trouble was noticed (more than 0), or its absence: probes are given more time the worse it is."""
        self.health = min(max(self.health + delta, 0), self.settings.awareness_max - 1)

    def alive(self, claim: Alive, now: float) -> list[Event]:
        """Somebody says that a member lives; it may be new, or say it of itself."""
        if claim.node == self.me:
            return self._alive_about_me(claim)
        endpoint = Endpoint(claim.address, claim.port)
        known = self.members.get(claim.node)
        if known is None:
            return self._admit(claim, endpoint, now)
        moves = known.endpoint != endpoint
        if moves and not self._may_move(known, now):
            return [Conflict(claim.node, known.endpoint, endpoint)]
        if claim.incarnation <= known.incarnation and not moves:
            return []
        self.suspicions.pop(claim.node, None)
        self.news.put(claim.node, packet.encode(claim))
        came = not known.is_present
        known.endpoint, known.incarnation = endpoint, claim.incarnation
        known.meta, known.versions = claim.meta, claim.versions
        if known.state is not State.ALIVE:
            known.state, known.since = State.ALIVE, now
        return [Joined(known.name, endpoint)] if came else []

    def _admit(self, claim: Alive, endpoint: Endpoint, now: float) -> list[Event]:
        if not _sound(claim.versions) or not claim.node or len(claim.address) not in {4, 16}:
            return []
        self.members[claim.node] = Member(
            claim.node, endpoint, claim.incarnation, State.ALIVE, now, claim.meta, claim.versions
        )
        self.news.put(claim.node, packet.encode(claim))
        return [Joined(claim.node, endpoint)]

    def _may_move(self, known: Member, now: float) -> bool:
        """Whether a name may come back at another address."""
        if known.state is State.LEFT:
            return True
        reclaim_s = self.settings.reclaim_s
        return known.state is State.DEAD and 0 < reclaim_s < now - known.since

    def _alive_about_me(self, claim: Alive) -> list[Event]:
        if self.left:
            return []
        me = self.members[self.me]
        endpoint = Endpoint(claim.address, claim.port)
        if endpoint != me.endpoint:
            return [Conflict(self.me, me.endpoint, endpoint)]
        same = claim.meta == me.meta and claim.versions == me.versions
        if claim.incarnation < me.incarnation or (claim.incarnation == me.incarnation and same):
            return []
        self._refute(claim.incarnation)
        return []

    def suspect(self, claim: Suspect, now: float) -> list[Event]:
        """Somebody had no answer from a member."""
        known = self.members.get(claim.node)
        if known is None or claim.incarnation < known.incarnation:
            return []
        suspicion = self.suspicions.get(claim.node)
        if suspicion is not None:
            if suspicion.confirm(claim.sender):
                self.news.put(claim.node, packet.encode(claim))
            return []
        if known.state is not State.ALIVE:
            return []
        if claim.node == self.me:
            self._refute(claim.incarnation)
            return []
        self.news.put(claim.node, packet.encode(claim))
        known.incarnation, known.state, known.since = claim.incarnation, State.SUSPECT, now
        self.suspicions[claim.node] = Suspicion.of(self.settings, len(self.members), claim.sender, now)
        return []

    def acquit(self, question: int, now: float) -> None:
        """Somebody answered: if it was a suspect that was asked since it is one, it lives, whatever news was lost."""
        for name, suspicion in self.suspicions.items():
            if question in suspicion.questions:
                del self.suspicions[name]
                self.members[name].state, self.members[name].since = State.ALIVE, now
                return

    def dead(self, claim: Dead, now: float) -> list[Event]:
        """Somebody takes a member for dead, or it says good-bye."""
        known = self.members.get(claim.node)
        if known is None or claim.incarnation < known.incarnation:
            return []
        self.suspicions.pop(claim.node, None)
        if not known.is_present:
            return []
        if claim.node == self.me and not self.left:
            self._refute(claim.incarnation)
            return []
        self.news.put(claim.node, packet.encode(claim))
        says_so_itself = claim.node == claim.sender
        known.incarnation, known.since = claim.incarnation, now
        known.state = State.LEFT if says_so_itself else State.DEAD
        return [Gone(claim.node, says_so_itself)]

    def reassert(self) -> None:
        """Says anew that this member lives, with more weight than whatever others came to believe."""
        if self.left:
            return
        self.incarnation += 1
        me = self.members[self.me]
        me.incarnation = self.incarnation
        self._tell_alive(me)

    def leave(self, now: float) -> list[Event]:
        """This member says good-bye."""
        self.left = True
        return self.dead(Dead(self.members[self.me].incarnation, self.me, self.me), now)

    def merge(self, table: tuple[MemberState, ...], now: float) -> list[Event]:
        """Takes in what another member believes. Its dead are only suspects here: they may object.

        A table with members that can't speak our protocol is not taken in at all.
        """
        if not all(_compatible(row.versions) for row in table if row.state in {State.ALIVE, State.SUSPECT}):
            return []
        events: list[Event] = []
        for row in table:
            match row.state:
                case State.ALIVE:
                    claim = Alive(row.incarnation, row.node, row.address, row.port, row.meta, row.versions)
                    events += self.alive(claim, now)
                case State.LEFT:
                    events += self.dead(Dead(row.incarnation, row.node, row.node), now)
                case State.SUSPECT | State.DEAD:
                    events += self.suspect(Suspect(row.incarnation, row.node, self.me), now)
        return events

    def expire(self, now: float) -> list[Event]:
        """Takes those suspects for dead that had their time."""
        due = [name for name, each in self.suspicions.items() if each.deadline <= now]
        events: list[Event] = []
        for name in due:
            events += self.dead(Dead(self.members[name].incarnation, name, self.me), now)
        return events

    def forget(self, now: float) -> None:
        """Drops who has been gone for long."""
        for member in list(self.members.values()):
            gone_s = now - member.since
            if member.name != self.me and not member.is_present and gone_s > self.settings.gossip_to_the_dead_s:
                del self.members[member.name]

    def pick(self, count: int, eligible: Callable[[Member], bool]) -> list[Member]:
        """Up to so many members by chance, never this one."""
        members, chosen = list(self.members.values()), list[Member]()
        while members and len(chosen) < count:
            place = self.draw(len(members))
            drawn, members[place] = members[place], members[-1]
            members.pop()
            if drawn.name != self.me and eligible(drawn):
                chosen.append(drawn)
        return chosen

    def _refute(self, accused: int) -> None:
        self.incarnation = max(self.incarnation, accused) + 1
        me = self.members[self.me]
        me.incarnation = self.incarnation
        self.feel(1)
        self._tell_alive(me)

    def _tell_alive(self, me: Member) -> None:
        self.news.put(me.name, packet.encode(Alive(me.incarnation, me.name, *me.endpoint, me.meta, me.versions)))


def _sound(versions: bytes) -> bool:
    """Whether oldest and newest version are given, in this order."""
    return len(versions) > 1 and 0 < versions[0] <= versions[1]


def _compatible(versions: bytes) -> bool:
    """Whether a member and we understand what the other speaks."""
    if not _sound(versions) or len(versions) <= _LATEST:
        return False
    return versions[0] <= packet.VERSIONS[_LATEST] <= versions[1] and (
        packet.VERSIONS[0] <= versions[_LATEST] <= packet.VERSIONS[1]
    )
