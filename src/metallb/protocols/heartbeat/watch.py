"""Who is heard: each member is watched by a few others, and taken for silent when they agree that they don't hear it.

Every member sends a sign of life ten times a second to its watchers. A watcher that misses two calls out to the
member, which answers at once; when that is in vain, too, it tells everybody its doubt, in its own signs of life. A
member that two watchers doubt (one, where only one can be heard) is silent: whoever would take over does so. A member
that hears of doubts about itself answers everybody, and the doubt is gone.

Nobody is blamed for what we slept through: time in which this process stood still is not counted as others' silence.

Whoever drives the machine may be busy for a while. So each regular sign of life comes with the next ones, to be sent by
whoever is not (`Send.later`). Sequence numbers follow the machine's clock, in tenths of a millisecond: what it says
itself meanwhile takes its place among them. After some days they begin anew, in a session of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from metallb.protocols.heartbeat.packet import Beat

INTERVAL_S: Final = 0.1
CALL_AFTER_S: Final = 0.22
CALL_INTERVAL_S: Final = 0.025
DOUBT_AFTER_S: Final = 0.45
"""From the last sign of life: two regular ones and eight calls went unanswered by then."""

LATE_S: Final = 0.05
"""A tick that comes later than this was not the network's doing: we stood still."""

DOUBT_LASTS_S: Final = 0.35
"""A doubt that its watcher does not repeat is over."""

AHEAD: Final = 4
"""How many signs of life are made in advance."""

LATER_S: Final = 0.03
"""How long the machine's own sign of life is waited for, before the one made in advance takes its place."""

WATCHERS: Final = 3
QUORUM: Final = 2
_PER_S: Final = 10_000
_SEQUENCE_MAX: Final = 1 << 31
_SESSION_MAX: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Members:
    """The present members that speak this, without ourselves; and who should be a member and is not.

    Those who are lost get signs of life, too: when a cut is mended, each side shall know at once.
    """

    names: frozenset[str]
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Heard:
    """A sign of life came."""

    beat: Beat


@dataclass(frozen=True, slots=True)
class Leave:
    """We end, and say so."""


@dataclass(frozen=True, slots=True)
class Call:
    """We want to hear everybody now: they are asked to show that they live."""


@dataclass(frozen=True, slots=True)
class Send:
    """A sign of life for a member.

    `later`: what follows it every `INTERVAL_S`, `LATER_S` late, as long as there is no other `Send` with a `later` for
    this member. Equal for all that are sent at a time.
    """

    to: str
    beat: Beat
    later: tuple[Beat, ...] = ()


@dataclass(frozen=True, slots=True)
class Silence:
    """Who is silent now; ourselves, when others say so."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Doubted:
    """Another member does not hear us, or did not until now: neighbours may look for our addresses elsewhere."""

    watcher: str


@dataclass(frozen=True, slots=True)
class Returned:
    """Somebody who was lost showed a sign of life: gossip has to meet it."""

    name: str


Input = Members | Heard | Leave | Call
Output = Send | Silence | Doubted | Returned


@dataclass(slots=True)
class _Peer:
    """What we know of another member; `heard` is None before its first sign of life."""

    heard: float | None = None
    session: int = 0
    sequence: int = 0
    doubts: frozenset[str] = frozenset()
    leaving: bool = False
    told: float = 0.0
    called: float = 0.0


@dataclass(slots=True)
class Watch:
    """The machine of one member."""

    me: str
    session: int
    silent: frozenset[str] = frozenset()
    _sequence: int = 0
    _peers: dict[str, _Peer] = field(default_factory=dict)
    _watchers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _watched: tuple[str, ...] = ()
    _doubts: frozenset[str] = frozenset()
    _next_beat: float = 0.0
    _expected: float | None = None
    _lost: frozenset[str] = frozenset()
    _leaving: bool = False
    _session_began: float | None = None

    def feed(self, event: Input, now: float) -> list[Output]:
        """Members changed, a sign of life came, or we want something said."""
        self._begin(now)
        match event:
            case Members(names, lost):
                self._lost = lost - names - {self.me}
                self._take(names - {self.me}, now)
                output = self._judge(now)
            case Heard(beat):
                output = self._hear(beat, now)
            case Leave():
                self._leaving = True
                output = [*self._beat_on(self._peers)]
            case Call():
                output = [*self._beat(self._peers, call=True), *self._beat(tuple(self._lost))]
        self._expected = self.deadline()
        return output

    def tick(self, now: float) -> list[Output]:
        """Sends what is due, and judges who is not heard."""
        self._begin(now)
        output: list[Output] = [*self._call(now)]
        for peer in self._peers.values():
            if now >= peer.told + DOUBT_LASTS_S:
                peer.doubts = frozenset()
        doubts = frozenset(name for name in self._watched if self._is_unheard(name, now, DOUBT_AFTER_S))
        news = doubts != self._doubts
        self._doubts = doubts
        if (self._peers or self._lost) and (news or now >= self._next_beat):
            self._next_beat = now + INTERVAL_S
            all_need_it = doubts or news or self._leaving
            output += self._beat_on(self._peers if all_need_it else self._watchers.get(self.me, ()))
            output += self._beat(tuple(self._lost))
        output += self._judge(now)
        self._expected = self.deadline()
        return output

    def deadline(self) -> float | None:
        """When `tick` is wanted next."""
        if not self._peers and not self._lost:
            return None
        times = [self._next_beat]
        for name in self._watched:
            peer = self._peers[name]
            if peer.heard is not None and name not in self._doubts:
                call = max(peer.heard + CALL_AFTER_S, peer.called + CALL_INTERVAL_S)
                times += [min(call, peer.heard + DOUBT_AFTER_S)]
        times += [peer.told + DOUBT_LASTS_S for peer in self._peers.values() if peer.doubts]
        return min(times)

    def _take(self, names: frozenset[str], now: float) -> None:
        for name in self._peers.keys() - names:
            del self._peers[name]
        for name in names - self._peers.keys():
            self._peers[name] = _Peer()
        everybody = sorted(names | {self.me})
        self._watchers = {name: watchers_of(name, everybody) for name in everybody}
        before = self._watched
        self._watched = tuple(name for name in sorted(names) if self.me in self._watchers[name])
        for name in set(self._watched) - set(before):
            peer = self._peers[name]
            peer.heard = None if peer.heard is None else now  # it had no reason to send us anything
        self._doubts &= frozenset(self._watched)
        self._next_beat = min(self._next_beat, now) if self._next_beat else now

    def _hear(self, beat: Beat, now: float) -> list[Output]:
        peer = self._peers.get(beat.name)
        if peer is None:
            return [Returned(beat.name)] if beat.name in self._lost and not beat.leaving else []
        if beat.session == peer.session and beat.sequence <= peer.sequence:
            return []
        peer.heard, peer.session, peer.sequence = now, beat.session, beat.sequence
        doubted_anew = self.me in beat.doubts - peer.doubts
        peer.doubts, peer.told, peer.leaving = beat.doubts, now, beat.leaving
        output: list[Output] = [Doubted(beat.name)] if doubted_anew else []
        if beat.name in self._doubts:
            output += self._beat((beat.name,))  # the last one with the doubt: it has to know that others took over
            self._doubts -= {beat.name}
            output += self._beat_on(self._peers)
        elif self.me in beat.doubts:
            output += self._beat(self._peers)
        elif beat.call:
            output += self._beat((beat.name,))
        return output + self._judge(now)

    def _call(self, now: float) -> list[Send]:
        """Those that missed their time are asked to show that they live."""
        calls = []
        for name in self._watched:
            peer = self._peers[name]
            late, lost = (self._is_unheard(name, now, limit_s) for limit_s in (CALL_AFTER_S, DOUBT_AFTER_S))
            if late and not lost and now >= peer.called + CALL_INTERVAL_S:
                peer.called = now
                calls += self._beat((name,), call=True)
        return calls

    def _beat(self, to: Mapping[str, _Peer] | tuple[str, ...], *, call: bool = False) -> list[Send]:
        self._sequence += 1
        beat = Beat(self.me, self.session, self._sequence, self._doubts, call, self._leaving)
        return [Send(name, beat) for name in to]

    def _beat_on(self, to: Mapping[str, _Peer] | tuple[str, ...]) -> list[Send]:
        """A sign of life, and those that follow it if we are busy."""
        sends = self._beat(to)
        if not sends:
            return []
        beat = sends[0].beat
        step = int(INTERVAL_S * _PER_S)
        later = tuple(replace(beat, sequence=beat.sequence + step * number) for number in range(1, 1 + AHEAD))
        return [replace(each, later=later) for each in sends]

    def _is_unheard(self, name: str, now: float, limit_s: float) -> bool:
        heard = self._peers[name].heard
        return heard is not None and now >= heard + limit_s

    def _begin(self, now: float) -> None:
        if self._session_began is None:
            self._session_began = now
        self._sequence = max(self._sequence, int((now - self._session_began) * _PER_S))
        if self._sequence > _SEQUENCE_MAX:
            self.session, self._session_began, self._sequence = (self.session + 1) & _SESSION_MAX, now, 0
        self._forgive_own_sleep(now)

    def _forgive_own_sleep(self, now: float) -> None:
        """Whoever could not be heard because we stood still gets that time on top."""
        slept = 0.0 if self._expected is None else now - self._expected
        if slept < LATE_S:
            return
        for peer in self._peers.values():
            if peer.heard is not None:
                peer.heard += slept
            peer.told += slept

    def _judge(self, now: float) -> list[Output]:
        """Twice: who has no voice because it was silent may have it again."""
        before = self.silent
        if not (before or self._doubts or any(peer.doubts or peer.leaving for peer in self._peers.values())):
            return []
        for _ in range(2):
            self.silent = frozenset(name for name in self._watchers if self._is_silent(name, now))
        return [] if self.silent == before else [Silence(self.silent)]

    def _is_silent(self, name: str, now: float) -> bool:
        """Whether enough of its watchers doubt it. A watcher that is silent itself, or seems so to us, has no voice."""
        if name != self.me and self._peers[name].leaving:
            return True
        voices = [each for each in self._watchers[name] if each not in self._doubts | self.silent]
        against = sum(self._is_doubted_by(name, each, now) for each in voices)
        return 0 < min(QUORUM, len(voices)) <= against

    def _is_doubted_by(self, name: str, watcher: str, now: float) -> bool:
        if watcher == self.me:
            return name in self._doubts
        peer = self._peers[watcher]
        return name in peer.doubts and now < peer.told + DOUBT_LASTS_S


def watchers_of(name: str, everybody: list[str]) -> tuple[str, ...]:
    """The few members that watch one: the same on every node, and spread evenly (rendezvous hashing)."""
    others = [each for each in everybody if each != name]
    return tuple(sorted(others, key=lambda each: hashlib.sha256(f"{name}#{each}".encode()).digest())[:WATCHERS])
