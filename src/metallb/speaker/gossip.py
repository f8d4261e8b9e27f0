"""Gossip on the network, and signs of life in it: datagrams, streams and timers for `protocols.swim` and `heartbeat`.

    gossip = Gossip(name, endpoint, framing, settings, Outlets(changed))
    async with gossip:
        gossip.expect({"n2": address, ...})
        gossip.live

Nothing that comes from the network raises; what can't be read is counted and dropped. Source: spec/speaker.md 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from metallb.api.net import Address
from metallb.protocols.heartbeat import packet as beats
from metallb.protocols.heartbeat import watch as w
from metallb.protocols.heartbeat.errors import DecodeError as NoBeatError
from metallb.protocols.heartbeat.packet import Beat
from metallb.protocols.heartbeat.watch import Watch
from metallb.protocols.swim import membership as m
from metallb.protocols.swim import packet
from metallb.protocols.swim.errors import DecodeError
from metallb.protocols.swim.framing import Framing
from metallb.protocols.swim.keyring import NONCE_SIZE, OVERHEAD
from metallb.protocols.swim.membership import Membership
from metallb.protocols.swim.roster import Conflict, Endpoint, Gone, Joined
from metallb.protocols.swim.settings import Settings
from metallb.speaker.orders import Vouch
from metallb.speaker.reunion import Reunion
from metallb.speaker.streams import Streams
from metallb.telemetry import logs
from metallb.transports.drive import Driver

LEAVE_S = 1.0
"""How long a good-bye may take."""

PATIENCE_S = 1.0
"""How long it is waited for others after a standstill or a cut."""

JOIN_AGAIN_S = 0.2
"""How long an attempt to meet another speaker keeps the next one waiting."""

SEEK_S = 1.0
"""How often those are looked for that should be members and are not."""

_RECEIVE_BYTES = 1 << 16

_log = logs.logger(op="memberlist")

Call = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Outlets:
    """Who is told what.

    Attributes:
        changed: after each change of `Gossip.live`.
        doubted: others did not hear us for a while: they may have taken over our addresses.
        reunited: after a standstill or a cut: all others were heard again, or are known not to be there.
        cut_off: we hear others again that we had lost, and they were more than we are: `rejoin` has to follow.
        lend: is given the socket for `vouch`; None, when it is not to be used any more.
        vouch: sends signs of life, also while we have no time; None: we send them ourselves, while we have.
        look: asked before a datagram is taken in; true: the process stood still, it is an old one.
    """

    changed: Call
    doubted: Call = lambda: None
    reunited: Call = lambda: None
    cut_off: Call = lambda: None
    lend: Callable[[socket.socket | None], None] = lambda _socket: None
    vouch: Callable[[Vouch], None] | None = None
    look: Callable[[], bool] = lambda: False


class Gossip(asyncio.DatagramProtocol):
    """One member on the network, between `async with` and its end; leaving says good-bye."""

    def __init__(
        self,
        name: str,
        listen: Endpoint,
        framing: Framing,
        settings: Settings,
        outlets: Outlets,
    ) -> None:
        """Does not listen yet.

        Args:
            name: of the node.
            listen: where, and what others are told.
            framing: encryption and compression.
            settings: how fast.
            outlets: who is told what.

        Attributes:
            dropped: how many datagrams and streams could not be read, by reason.
        """
        self.dropped: dict[str, int] = {}
        self._listen = listen
        self._framing = framing
        self._outlets = outlets
        overhead = OVERHEAD if framing.keyring is not None else 0
        self._machine = Membership(name, listen, settings, secrets.randbelow, meta=beats.CAPABILITY, overhead=overhead)
        self._driver: Driver[m.Input, m.Output] | None = None
        self._watch = Watch(name, secrets.randbits(64))
        self._beats: Driver[w.Input, w.Output] | None = None
        self._beat_framing = replace(framing, compress=False)
        self._beat_datagrams: dict[Beat, bytes] = {}
        self._socket: socket.socket | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._streams = Streams(
            framing,
            settings.stream_timeout_s,
            asked=lambda stream, message: self._feed(m.Asked(stream, message)),
            drop=self._drop,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._told = asyncio.Event()
        self._expected: dict[str, Address] = {}
        self._joining: dict[Endpoint, float] = {}
        self._reunion = Reunion(outlets.reunited)
        self._patience: asyncio.TimerHandle | None = None
        self._meeting = False
        self._asking: set[Endpoint] = set()
        self._was_live: frozenset[str] = frozenset()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def present(self) -> frozenset[str]:
        """Names of the members; a suspect is one."""
        return self._machine.present

    @property
    def live(self) -> frozenset[str]:
        """Names of the nodes with a living speaker: members that are not silent."""
        return self._machine.present - self._watch.silent

    @property
    def states(self) -> dict[str, int]:
        """How many speakers are live, silent (members that are not heard) and missing (they should be members)."""
        live, present = len(self.live), len(self._machine.present)
        return {"live": live, "silent": present - live, "missing": len(self._lost())}

    async def __aenter__(self) -> Self:
        """As `start`."""
        await self.start()
        return self

    async def start(self) -> None:
        """Listens and takes part.

        Raises:
            OSError: the address is not ours, or taken.
        """
        loop = asyncio.get_running_loop()
        host, port = str(Address.unpack(self._listen.address)), self._listen.port
        await self._streams.start(host, port)
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._socket.bind((host, port))
            self._outlets.lend(self._socket)
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._socket)
        except OSError:
            self.close()
            raise
        self._beats = Driver(self._watch, self._perform_beat)
        self._driver = Driver(self._machine, self._perform)
        self._driver.start(self._machine.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Says good-bye, for a second at most, and stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self.leave()
        self.close()

    async def leave(self) -> None:
        """Says good-bye; returns when the others were told."""
        if self._beats is None:
            return
        self._beats.feed(w.Leave())
        self._feed(m.Leave())
        if not self._machine.is_quiet:
            await self._told.wait()

    def close(self) -> None:
        """Stops at once."""
        for timer in (self._timer, self._patience):
            if timer is not None:
                timer.cancel()
        for driver in (self._driver, self._beats):
            if driver is not None:
                driver.close()
        self._outlets.lend(None)
        if self._transport is not None:
            self._transport.close()
        elif self._socket is not None:
            self._socket.close()
        self._streams.close()
        for task in self._tasks:
            task.cancel()

    def expect(self, speakers: Mapping[str, Address]) -> None:
        """The nodes that should have a speaker, as the API says: who is no member is looked for until it is one."""
        self._expected = dict(speakers)
        self._members_changed()
        self._seek()

    def _seek(self) -> None:
        """Makes itself known to those that are missing, and to those again that don't answer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(SEEK_S, self._seek)
        self._join(self._lost())

    def _lost(self) -> frozenset[str]:
        return frozenset(self._expected) - self._machine.present

    def _join(self, names: Iterable[str]) -> None:
        """Exchanges all that is known. An attempt that began before a cut was mended may wait for long: not for it."""
        now = asyncio.get_running_loop().time()
        found = map(self._endpoint_of, names)
        due = [
            each for each in found if each is not None and now - self._joining.get(each, -JOIN_AGAIN_S) >= JOIN_AGAIN_S
        ]
        if due:
            self._joining.update(dict.fromkeys(due, now))
            self._feed(m.Join(tuple(due)))

    def stood_still(self) -> None:
        """The process stood still: what waits is old, and nobody is blamed for what we did not hear.

        All others are asked to show that they live; `Outlets.reunited` is called when nobody is missing.
        """
        self._discard()
        self._miss(self._able())

    def rejoin(self) -> None:
        """We may have been cut off: also those are missed now that should be members and are not."""
        self._miss(self._able() | self._lost())
        self._join(self._lost())

    def _miss(self, names: frozenset[str]) -> None:
        """Asks everybody for a sign of life; whoever lives needs no second for it."""
        if self._driver is None or self._beats is None:
            self._outlets.reunited()
            return
        self._reunion.begin(names, self.live - names - {self._machine.roster.me})
        self._beats.feed(w.Call())
        self._meeting = True
        self._feed(m.Silent())
        self._meeting = False
        if self._patience is not None:
            self._patience.cancel()
        self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, self._reunion.give_up)
        self._reunion.settle()

    def _discard(self) -> None:
        while self._socket is not None:
            try:
                self._socket.recv(_RECEIVE_BYTES)
            except OSError:
                return

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A datagram came."""
        if self._outlets.look():
            return
        try:
            messages = packet.decode(self._framing.read_datagram(data))
        except DecodeError as error:
            self._drop(error.code)
            return
        sender = Endpoint(Address.parse(addr[0].partition("%")[0]).pack(), addr[1])
        self._heard(sender)
        for message in messages:
            if isinstance(message, packet.User):
                self._hear_beat(message.data)
            else:
                self._feed(m.Heard(sender, message))

    def error_received(self, exc: Exception) -> None:
        """The kernel says that an earlier datagram did not arrive: its receiver's silence tells the same."""
        _log.debug("a datagram did not arrive", error=str(exc))

    def _feed(self, event: m.Input) -> None:
        if self._driver is not None:
            self._driver.feed(event)

    def _perform(self, output: m.Output) -> None:
        match output:
            case m.Send(to, message, checksum):
                self._send(to, self._framing.datagram(message, os.urandom(NONCE_SIZE), checksum=checksum))
                if self._machine.is_quiet:
                    self._told.set()
            case m.Exchange():
                if self._meeting:
                    self._asking.add(output.to)
                self._spawn(self._exchange(output))
            case m.Reply(stream, message):
                self._streams.reply(stream, message)
            case Joined(name, endpoint):
                _log.info("a speaker joined", node=name, address=str(Address.unpack(endpoint.address)))
                self._members_changed()
                self._reunion.heard(name)
            case Gone(name, left):
                _log.info("a speaker left" if left else "a speaker is dead", node=name)
                self._members_changed()
            case Conflict(name, known, claimed):
                _log.warn(
                    "two speakers use the name of one node: the first is kept",
                    node=name,
                    address=str(Address.unpack(known.address)),
                    claimed=str(Address.unpack(claimed.address)) if len(claimed.address) in {4, 16} else "",
                )

    def _members_changed(self) -> None:
        """Who speaks it sends and expects signs of life; the others are gossip's alone."""
        if self._beats is not None:
            self._beats.feed(w.Members(self._able(), self._lost()))
        self._live_changed()

    def _live_changed(self) -> None:
        before, self._was_live = self._was_live, self.live
        self._reunion.gone(before - self._was_live)
        self._outlets.changed()

    def _able(self) -> frozenset[str]:
        """The other members that speak it."""
        members, me = self._machine.roster.members.values(), self._machine.roster.me
        return frozenset(
            each.name for each in members if each.is_present and each.meta == beats.CAPABILITY and each.name != me
        )

    def _heard(self, sender: Endpoint) -> None:
        """A sign of life counts; from those that were asked for all that they know, only their answer does."""
        if self._reunion.is_open and sender not in self._asking:
            for member in self._machine.roster.members.values():
                if member.endpoint == sender and member.is_present:
                    self._reunion.heard(member.name)

    def _hear_beat(self, data: bytes) -> None:
        try:
            beat = beats.decode(data)
        except NoBeatError as error:
            self._drop(error.code)
            return
        if self._beats is not None:
            self._beats.feed(w.Heard(beat))

    def _perform_beat(self, output: w.Output) -> None:
        match output:
            case w.Send(to):
                endpoint = self._endpoint_of(to)
                if endpoint is not None:
                    self._send_beat(endpoint, output)
            case w.Silence(names):
                _log.info("speakers that are not heard", nodes=sorted(names))
                self._live_changed()
            case w.Doubted(watcher):
                _log.info("another speaker did not hear us", node=watcher)
                self._outlets.doubted()
            case w.Returned(name):
                if not self._reunion.is_open and len(self.live) <= len(self._lost()):
                    self._outlets.cut_off()
                self._join([name])

    def _send_beat(self, to: Endpoint, send: w.Send) -> None:
        if self._outlets.vouch is None:
            self._send(to, self._sealed(send.beat))
            return
        later = tuple(
            (number * w.INTERVAL_S + w.LATER_S, self._sealed(beat)) for number, beat in enumerate(send.later, start=1)
        )
        address = str(Address.unpack(to.address))
        self._outlets.vouch(Vouch(address, to.port, self._sealed(send.beat), later))

    def _sealed(self, beat: Beat) -> bytes:
        """As it goes into a datagram: made once for all that get it."""
        data = self._beat_datagrams.get(beat)
        if data is None:
            message = packet.encode(packet.User(beat.encode()))
            data = self._beat_framing.datagram(message, os.urandom(NONCE_SIZE), checksum=True)
            self._beat_datagrams[beat] = data
            while len(self._beat_datagrams) > 1 + w.AHEAD:
                del self._beat_datagrams[next(iter(self._beat_datagrams))]
        return data

    def _endpoint_of(self, name: str) -> Endpoint | None:
        """Where a member is, or where the API says that it should be."""
        member = self._machine.roster.members.get(name)
        if member is not None and member.is_present:
            return member.endpoint
        address = self._expected.get(name)
        return None if address is None else Endpoint(address.pack(), self._listen.port)

    def _send(self, to: Endpoint, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        try:
            self._transport.sendto(data, (str(Address.unpack(to.address)), to.port))
        except (OSError, ValueError) as error:
            _log.debug("a datagram can't be sent", error=str(error))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _exchange(self, asked: m.Exchange) -> None:
        answer = await self._streams.ask(asked.to, asked.message, asked.timeout_s)
        self._joining.pop(asked.to, None)
        self._asking.discard(asked.to)
        if answer is not None:
            self._heard(asked.to)
        self._feed(m.Answered(asked.stream, answer))

    def _drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
