"""The servers of a process: probes over HTTP, metrics over HTTPS for those whom the API server lets read them.

    probes = HealthServer(port=17472, host="127.0.0.1", ready=lambda: True)
    metrics = MetricsServer(client, port=9120, render=registry.render, tls=TlsSettings())
    async with probes, metrics:
        ...

A port in use raises `ListenError`. Source: spec/controller.md 1 and 2, spec/speaker.md 1.2.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from metallb.kube.access import User, user_may_get, user_of_token
from metallb.kube.certificate_maker import self_signed_elsewhere
from metallb.kube.client import KubeClient
from metallb.kube.credentials import CredentialsError
from metallb.kube.errors import ApiError
from metallb.kube.lean_aiohttp import BaseRequest, Response, StreamResponse
from metallb.kube.lean_aiohttp import Server as Answering
from metallb.kube.pem import load_chain
from metallb.kube.progress import Progress, in_force
from metallb.kube.tls import TlsSettings
from metallb.telemetry import logs

DECISION_S: Final = 30.0
"""How long the API server's word about a token is taken for granted, in seconds."""

DECISIONS: Final = 256
"""About how many tokens."""

CERTIFICATE_CHECK_S: Final = 10.0
"""How often a certificate's files are looked at, in seconds."""

_SHUTDOWN_S: Final = 1.0
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_log = logs.logger(op="serve")

Handler = Callable[[BaseRequest], Awaitable[StreamResponse]]


class ListenError(Exception):
    """A server can't listen: names its address and the system's reason."""


class Server:
    """An HTTP or HTTPS server between `async with` and its end. Port 0 takes a free one: see `port`."""

    def __init__(
        self, name: str, handler: Handler, *, port: int, host: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        """Does not listen yet.

        Args:
            name: for messages.
            handler: answers every request.
            port: TCP port.
            host: address; None: all of both families.
            tls: a context with a certificate; None: plain HTTP.
        """
        self.port = port
        self._name = name
        self._host = host
        self._tls = tls
        self._answering = Answering(handler, access_log=None)
        self._listening: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listens.

        Raises:
            ListenError: the address is taken, or not ours.
        """
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(self._answering, self._host, self.port, ssl=self._tls)
        except OSError as error:
            where = f"{self._host or '*'}:{self.port}"
            raise ListenError(f"{self._name} can't listen on {where}: {error.strerror or error}") from error
        self.port = int(self._listening.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Answers what is under way, for a second at most, and closes."""
        if self._listening is not None:
            self._listening.close()
        await asyncio.sleep(0)  # what has come in by now is begun
        self._answering.pre_shutdown()
        await self._answering.shutdown(_SHUTDOWN_S)


class HealthServer(Server):
    """`/healthz` and `/readyz`: one word each, for the kubelet; `/healthz` says what hangs where something does.

    An API server that is away is no reason to be restarted, so `/healthz` knows nothing of it: a restart would only
    lose what the process knows.
    """

    def __init__(
        self,
        *,
        port: int,
        host: str | None = None,
        ready: Callable[[], bool] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Does not listen yet.

        Args:
            port: TCP port.
            host: address; None: all. Speakers use 127.0.0.1.
            ready: the answer of `/readyz`; None: ready as long as the process answers.
            progress: whose standstill fails `/healthz`; None: what watches this task.
        """
        super().__init__("the health server", self._answer, port=port, host=host)
        self._ready = ready or (lambda: True)
        self._progress = progress or in_force()
        self._said: list[str] = []

    async def _answer(self, request: BaseRequest) -> StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            return Response(status=405, text="method not allowed")
        if request.path == "/healthz":
            return self._health()
        if request.path == "/readyz":
            return Response(text="ok") if self._ready() else Response(status=503, text="not ready")
        return Response(status=404, text="not found")

    def _health(self) -> Response:
        stuck = self._progress.stuck() if self._progress is not None else []
        if stuck and not self._said:
            _log.error("the process hangs: /healthz fails from now on", event="stuck", what=stuck)
        self._said = stuck
        return Response(status=503, text="\n".join(stuck)) if stuck else Response(text="ok")


class MetricsServer(Server):
    """`/metrics` over TLS. Each request needs a bearer token of someone who may GET the path `/metrics`."""

    def __init__(
        self,
        client: KubeClient,
        *,
        port: int,
        render: Callable[[], bytes],
        tls: TlsSettings,
        certificates: Path | None = None,
        host: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Does not listen yet.

        Args:
            client: whom to ask about tokens.
            port: TCP port.
            render: the metrics in Prometheus' text format.
            tls: versions and ciphers.
            certificates: a folder with `tls.crt` and `tls.key`, read again when they change; None: self-signed.
            host: address; None: all.
            clock: monotonic seconds.
            wall: seconds since 1970, for the certificate.

        Raises:
            ListenError: the folder holds no usable certificate.
        """
        self._context = tls.server_context()
        super().__init__("the metrics server", self._answer, port=port, host=host, tls=self._context)
        self._render = render
        self._clock = clock
        self._gate = Gate(client, clock)
        self._folder = certificates
        self._checked = clock()
        self._stamp: tuple[int, ...] = ()
        self._wall = wall
        if certificates is not None:
            try:
                self._load(certificates)
            except OSError as error:
                raise ListenError(f"no usable tls.crt and tls.key in {certificates}: {error}") from error

    async def __aenter__(self) -> Self:
        """Makes its certificate where it has none, and listens.

        Raises:
            ListenError: the address is taken, or not ours; or no certificate can be made.
        """
        if self._folder is None:
            try:
                load_chain(self._context, *await self_signed_elsewhere("metallb", ["localhost"], wall_s=self._wall()))
            except OSError as error:
                raise ListenError(f"{self._name} can't make a certificate: {error}") from error
        return await super().__aenter__()

    async def _answer(self, request: BaseRequest) -> StreamResponse:
        self._reload()
        refusal = await self._gate.refusal(request.headers.get("Authorization", ""), request.path)
        if refusal is not None:
            return Response(status=refusal, text=_WORDS[refusal])
        if request.path != "/metrics":
            return Response(status=404, text="not found")
        return Response(body=self._render(), headers={"Content-Type": _METRICS_TYPE})

    def _reload(self) -> None:
        """Takes over a changed certificate for the connections to come; an unusable one leaves the last."""
        now = self._clock()
        if self._folder is None or now - self._checked < CERTIFICATE_CHECK_S:
            return
        self._checked = now
        try:
            self._load(self._folder)
        except OSError as error:
            _log.error("the certificate can't be read, the last one stays", error=error)

    def _load(self, folder: Path) -> None:
        files = (folder / "tls.crt", folder / "tls.key")
        stamp = tuple(file.stat().st_mtime_ns for file in files)
        if stamp != self._stamp:
            self._context.load_cert_chain(*files)
            self._stamp = stamp


_WORDS: Final = {401: "unauthorized", 403: "forbidden", 503: "the API server does not answer"}


class Gate:
    """Who may GET a path, by their bearer token, as the API server says; its word holds for `DECISION_S`."""

    def __init__(self, client: KubeClient, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._users: OrderedDict[bytes, tuple[float, User | None]] = OrderedDict()
        self._rights: OrderedDict[tuple[bytes, str], tuple[float, bool]] = OrderedDict()

    async def refusal(self, authorization: str, path: str) -> int | None:
        """The HTTP status of the refusal; None: come in."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return 401
        digest = hashlib.sha256(token.encode()).digest()  # tokens themselves stay out of memory
        try:
            user = await self._user(digest, token)
            if user is None:
                return 401
            return None if await self._allowed(digest, user, path) else 403
        except (ApiError, CredentialsError) as error:
            _log.warn("a request for metrics can't be judged", error=str(error))
            return 503

    async def _user(self, digest: bytes, token: str) -> User | None:
        now = self._clock()
        known = self._users.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        user = await user_of_token(self._client, token)
        self._users[digest] = (now + DECISION_S, user)
        _bound(self._users)
        return user

    async def _allowed(self, digest: bytes, user: User, path: str) -> bool:
        now = self._clock()
        known = self._rights.get((digest, path))
        if known is not None and now < known[0]:
            return known[1]
        allowed = await user_may_get(self._client, user, path)
        self._rights[digest, path] = (now + DECISION_S, allowed)
        _bound(self._rights)
        return allowed


def _bound(
    cache: OrderedDict[bytes, tuple[float, User | None]] | OrderedDict[tuple[bytes, str], tuple[float, bool]],
) -> None:
    while len(cache) > DECISIONS:
        cache.popitem(last=False)
