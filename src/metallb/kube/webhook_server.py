"""The server that webhooks are answered on: HTTPS, one handler a path, a certificate that changes while it serves.

    server = WebhookServer({"/convert": convert}, port=9443, tls=TlsSettings())
    group.create_task(server.run())             # listens once there is a certificate
    server.use(pair)

HTTP/1.1 only. A new certificate is for connections to come; those that are open stay.
Source: spec/crds.md 11, spec/controller.md 2 and 14.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NoReturn

from metallb.kube.admission import ReviewError
from metallb.kube.authority import Pair
from metallb.kube.lean_aiohttp import BaseRequest, Response, StreamResponse
from metallb.kube.pem import load_chain
from metallb.kube.serving import Server
from metallb.kube.tls import TlsSettings
from metallb.telemetry import logs

BODY_LIMIT: Final = 8 << 20
"""The largest review we take, in bytes: the API server takes requests of 3 MiB, and a review may hold old and new."""

READ_S: Final = 10.0
"""How long a body may take to arrive, in seconds; the API server sends it in one go and waits 30 s at most."""

ROOM: Final = 64 << 20
"""Bytes that all bodies together may have, without the first `SMALL` of each.

Whoever reaches the port can send, and bodies are held until they are answered: the memory must not be theirs to fill.
"""

SMALL: Final = 256 << 10
"""Bytes of a body that there is always room for: far more than MetalLB's objects have."""

Answer = Callable[[bytes], Awaitable[bytes]]
"""Gives the answer to a review; raises `ReviewError` where there is no answering it."""

_JSON: Final = "application/json"

_log = logs.logger(op="webhook")


class WebhookServer(Server):
    """See the module.

    Attributes:
        listening: set while requests are taken.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer],
        *,
        port: int,
        tls: TlsSettings,
        host: str | None = None,
        limit: int = BODY_LIMIT,
        read_s: float = READ_S,
        room: int = ROOM,
    ) -> None:
        """Does not listen yet.

        Args:
            answers: by path.
            port: TCP port.
            tls: versions and ciphers.
            host: address; None: all.
            limit: of a request's body, in bytes.
            read_s: how long it may take to arrive.
            room: for large bodies, see `ROOM`.
        """
        entry = tls.server_context()
        entry.sni_callback = self._choose
        super().__init__("the webhook server", self._handle, port=port, host=host, tls=entry)
        self.listening = asyncio.Event()
        self._answers = dict(answers)
        self._settings = tls
        self._limit = limit
        self._read_s = read_s
        self._room = room
        self._draining = False
        self._current: ssl.SSLContext | None = None
        self._certified = asyncio.Event()

    def use(self, pair: Pair) -> None:
        """Shows this certificate to connections from now on.

        Raises:
            OSError: the pair is unusable; the last one stays.
        """
        # A context of its own: one context keeps a certificate for each kind of key, and would go on to show the old.
        context = self._settings.server_context()
        load_chain(context, pair.chain.decode(), pair.key.decode())
        self._current = context
        self._certified.set()

    def drain(self) -> None:
        """From now on each answer is the last on its connection: the API server sends its next request elsewhere."""
        self._draining = True

    async def run(self) -> NoReturn:
        """Serves from the first certificate on, until cancelled.

        Raises:
            ListenError: the address is taken.
        """
        await self._certified.wait()
        async with self:
            self.listening.set()
            _log.info("webhooks are served", event="listening", port=self.port)
            try:
                await asyncio.Event().wait()
            finally:
                self.listening.clear()
        raise AssertionError("unreachable")  # pragma: no cover  # nobody sets the event

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in each handshake, whether or not the client names a server."""
        if self._current is not None:
            connection.context = self._current

    async def _handle(self, request: BaseRequest) -> StreamResponse:
        answer = self._answers.get(request.path)
        if answer is None:
            return Response(status=404, text="no webhook here")
        if request.method != "POST":
            return Response(status=405, text="method not allowed", headers={"Allow": "POST"})
        body = bytearray()
        try:
            problem = await self._read(request, body)
            response = problem or await self._answer(answer, request.path, bytes(body))
            if self._draining:
                response.force_close()
            return response
        finally:
            self._room += _large(body)

    async def _answer(self, answer: Answer, path: str, body: bytes) -> StreamResponse:
        try:
            return Response(body=await answer(body), content_type=_JSON)
        except ReviewError as error:
            _log.warn("a request is no review", path=path, error=str(error))
            return Response(status=400, text=str(error))
        except Exception as error:  # noqa: BLE001  # one request's mistake must not close the connection of others
            _log.error("unexpected", path=path, error=error, traceback=True)
            return Response(status=500, text="internal error")

    async def _read(self, request: BaseRequest, body: bytearray) -> StreamResponse | None:
        """Fills the body at the expense of the room; gives the answer if it can't be taken, however it is sent."""
        if (request.content_length or 0) > self._limit:
            return self._too_large()
        try:
            async with asyncio.timeout(self._read_s):
                async for chunk in request.content.iter_any():
                    self._room += _large(body)
                    body += chunk
                    self._room -= _large(body)
                    if len(body) > self._limit:
                        return self._too_large()
                    if self._room < 0:
                        return _given_up(503, "too much is sent at once, retry in a moment")
        except TimeoutError:
            return _given_up(408, "the body does not arrive")
        return None

    def _too_large(self) -> StreamResponse:
        return _given_up(413, f"more than {self._limit} bytes")


def _large(body: bytearray) -> int:
    """How much of the room a body takes."""
    return max(0, len(body) - SMALL)


def _given_up(status: int, text: str) -> StreamResponse:
    """The answer to a body that is not read to its end."""
    return Response(status=status, text=text, headers={"Connection": "close"})
