"""Gossip on the network, and signs of life in it: datagrams, streams and timers for `protocols.swim` and `heartbeat`.

    gossip = Gossip(name, endpoint, framing, settings, changed)
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
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

from metallb.api.net import Address
from metallb.protocols.heartbeat import packet as beats
from metallb.protocols.heartbeat import watch as w
from metallb.protocols.heartbeat.errors import DecodeError as NoBeatError
from metallb.protocols.heartbeat.watch import Watch
from metallb.protocols.swim import membership as m
from metallb.protocols.swim import packet
from metallb.protocols.swim.errors import DecodeError
from metallb.protocols.swim.framing import STREAM_HEADER, STREAM_MAX, Framing
from metallb.protocols.swim.keyring import NONCE_SIZE, OVERHEAD
from metallb.protocols.swim.membership import Membership
from metallb.protocols.swim.roster import Conflict, Endpoint, Gone, Joined
from metallb.protocols.swim.settings import Settings
from metallb.telemetry import logs
from metallb.transports.drive import Driver

LEAVE_S = 1.0
"""How long a good-bye may take."""

SEEK_S = 1.0
"""How often those are looked for that should be members and are not."""

STREAMS = 64
"""How many streams of others are served at a time."""

_RECEIVE_BYTES = 1 << 16

_log = logs.logger(op="memberlist")

Changed = Callable[[], None]


class Gossip(asyncio.DatagramProtocol):
    """One member on the network, between `async with` and its end; leaving says good-bye."""

    def __init__(
        self,
        name: str,
        listen: Endpoint,
        framing: Framing,
        settings: Settings,
        changed: Changed,
        doubted: Changed = lambda: None,
    ) -> None:
        """Does not listen yet.

        Args:
            name: of the node.
            listen: where, and what others are told.
            framing: encryption and compression.
            settings: how fast.
            changed: called after each change of `live`.
            doubted: called when others did not hear us for a while: they may have taken over our addresses.

        Attributes:
            dropped: how many datagrams and streams could not be read, by reason.
        """
        self.dropped: dict[str, int] = {}
        self._listen = listen
        self._framing = framing
        self._settings = settings
        self._changed = changed
        self._doubted = doubted
        overhead = OVERHEAD if framing.keyring is not None else 0
        self._machine = Membership(name, listen, settings, secrets.randbelow, meta=beats.CAPABILITY, overhead=overhead)
        self._driver: Driver[m.Input, m.Output] | None = None
        self._watch = Watch(name, secrets.randbits(64))
        self._beats: Driver[w.Input, w.Output] | None = None
        self._beat_framing = replace(framing, compress=False)
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[int, asyncio.StreamWriter] = {}
        self._streams = 0
        self._told = asyncio.Event()
        self._expected: dict[str, Address] = {}
        self._joining: set[Endpoint] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def present(self) -> frozenset[str]:
        """Names of the members; a suspect is one."""
        return self._machine.present

    @property
    def live(self) -> frozenset[str]:
        """Names of the nodes with a living speaker: members that are not silent."""
        return self._machine.present - self._watch.silent

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
        self._server = await asyncio.start_server(self._serve, host, port)
        try:
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        except OSError:
            self._server.close()
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
        if self._beats is not None:
            self._beats.feed(w.Leave())
        self._feed(m.Leave())
        if not self._machine.is_quiet:
            await self._told.wait()

    def close(self) -> None:
        """Stops at once."""
        if self._timer is not None:
            self._timer.cancel()
        for driver in (self._driver, self._beats):
            if driver is not None:
                driver.close()
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
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
        found = map(self._endpoint_of, names)
        strangers = [each for each in found if each is not None and each not in self._joining]
        if strangers:
            self._joining.update(strangers)
            self._feed(m.Join(tuple(strangers)))

    def stood_still(self) -> None:
        """The process was stopped for a while: nobody is blamed for having been silent meanwhile."""
        self._feed(m.Silent())

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A datagram came."""
        try:
            messages = packet.decode(self._framing.read_datagram(data))
        except DecodeError as error:
            self._drop(error.code)
            return
        sender = Endpoint(Address.parse(addr[0]).pack(), addr[1])
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
                self._spawn(self._exchange(output))
            case m.Reply(stream, message):
                self._reply(stream, message)
            case Joined(name, endpoint):
                _log.info("a speaker joined", node=name, address=str(Address.unpack(endpoint.address)))
                self._members_changed()
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
        members, me = self._machine.roster.members.values(), self._machine.roster.me
        able = frozenset(
            each.name for each in members if each.is_present and each.meta == beats.CAPABILITY and each.name != me
        )
        if self._beats is not None:
            self._beats.feed(w.Members(able, self._lost()))
        self._changed()

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
            case w.Send(to, beat):
                message = packet.encode(packet.User(beat.encode()))
                data = self._beat_framing.datagram(message, os.urandom(NONCE_SIZE), checksum=True)
                endpoint = self._endpoint_of(to)
                if endpoint is not None:
                    self._send(endpoint, data)
            case w.Silence(names):
                _log.info("speakers that are not heard", nodes=sorted(names))
                self._changed()
            case w.Doubted(watcher):
                _log.info("another speaker did not hear us", node=watcher)
                self._doubted()
            case w.Returned(name):
                self._join([name])

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
        try:
            await self._exchange_once(asked)
        finally:
            self._joining.discard(asked.to)

    async def _exchange_once(self, asked: m.Exchange) -> None:
        answer: packet.Message | None = None
        try:
            async with asyncio.timeout(asked.timeout_s):
                answer = await self._ask(asked.to, asked.message)
        except (OSError, TimeoutError, ValueError) as error:
            _log.debug("a speaker does not answer", address=_shown(asked.to), error=str(error))
        except DecodeError as error:
            self._drop(error.code)
        self._feed(m.Answered(asked.stream, answer))

    async def _ask(self, to: Endpoint, message: bytes) -> packet.Message | None:
        reader, writer = await asyncio.open_connection(_shown(to), to.port)
        try:
            writer.write(self._framing.stream(message, os.urandom(NONCE_SIZE)))
            return await self._read(reader)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One stream that another member opened."""
        if len(self._waiting) >= STREAMS:
            self._drop("busy")
            writer.close()
            return
        self._streams += 1
        stream = self._streams
        self._waiting[stream] = writer
        try:
            async with asyncio.timeout(self._settings.stream_timeout_s):
                message = await self._read(reader)
                self._feed(m.Asked(stream, message))
                await writer.drain()
        except DecodeError as error:
            self._drop(error.code)
        except (OSError, TimeoutError) as error:
            _log.debug("a stream broke off", error=str(error))
        finally:
            self._waiting.pop(stream, None)
            writer.close()

    def _reply(self, stream: int, message: bytes) -> None:
        writer = self._waiting.get(stream)
        if writer is not None:
            writer.write(self._framing.stream(message, os.urandom(NONCE_SIZE)))

    async def _read(self, reader: asyncio.StreamReader) -> packet.Message:
        """The message of a stream. One that is not encrypted has no length: it is whole when it can be read."""
        try:
            data = await reader.readexactly(1)
            if data[0] == packet.Type.ENCRYPT:
                data += await reader.readexactly(STREAM_HEADER - 1)
            size = self._framing.stream_size(data)
            if size is not None:
                data += await reader.readexactly(size)
                return packet.decode(self._framing.read_stream(data))[0]
        except asyncio.IncompleteReadError as error:
            raise DecodeError("short", len(error.partial)) from None
        while True:
            try:
                return packet.decode(self._framing.read_stream(data))[0]
            except DecodeError as error:
                more = await reader.read(_RECEIVE_BYTES) if error.code == "short" else b""
                if not more or len(data) + len(more) > STREAM_MAX:
                    raise
                data += more

    def _drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


def _shown(endpoint: Endpoint) -> str:
    return str(Address.unpack(endpoint.address))
