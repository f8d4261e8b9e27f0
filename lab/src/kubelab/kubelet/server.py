"""The node agent's HTTPS server on port 10250: container logs for the API server, the pods, and whether it is well.

Only clients whose certificate the lab's CA signed for `system:masters` are served, except for `/healthz` (paths and
parameters: pkg.go.dev/k8s.io/kubelet, PodLogOptions of core/v1).
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from kubelab.kubelet.config import AgentConfig
from kubelab.kubelet.logfile import follow, stamp
from kubelab.kubelet.worker import PodWorker

_STAMP = len("2026-01-01T00:00:00.000000000Z ")
_MASTERS = "system:masters"

Find = Callable[[str, str], PodWorker | None]
"""(namespace, name) -> the pod's worker."""


class LogOptionsError(ValueError):
    """A parameter of a log request is wrong; the message names it."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What of a log is wanted: PodLogOptions. `since` is a time stamp, `tail` -1 all lines, `limit` bytes or None."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int = -1
    since: bytes = b""
    limit: int | None = None


def log_options(query: Iterable[tuple[str, str]], now_ns: int) -> LogOptions:
    """Options from a query.

    Raises:
        LogOptionsError: a value is of the wrong form.
    """
    values = dict(query)
    seconds = _number(values, "sinceSeconds", 1)
    since = stamp(now_ns - seconds * 1_000_000_000) if seconds is not None else values.get("sinceTime", "").encode()
    tail = _number(values, "tailLines", 0)
    return LogOptions(
        follow=_flag(values, "follow"),
        previous=_flag(values, "previous"),
        timestamps=_flag(values, "timestamps"),
        tail=-1 if tail is None else tail,
        since=since.removesuffix(b"Z"),
        limit=_number(values, "limitBytes", 1),
    )


def _number(values: dict[str, str], name: str, least: int) -> int | None:
    text = values.get(name, "")
    if not text:
        return None
    if not text.isdigit() or int(text) < least:
        raise LogOptionsError(f"{name}: {text!r}: must be a whole number of at least {least}")
    return int(text)


def _flag(values: dict[str, str], name: str) -> bool:
    text = values.get(name, "false").lower()
    if text not in {"true", "false", "1", "0", ""}:
        raise LogOptionsError(f"{name}: {text!r}: must be true or false")
    return text in {"true", "1"}


class Server:
    """One server per node agent."""

    def __init__(self, config: AgentConfig, find: Find, pods: Callable[[], list[Any]]) -> None:
        self._config, self._find, self._pods = config, find, pods
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/pods", self._list_pods)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def start(self) -> None:
        """Listen on all addresses of the namespace.

        Raises:
            OSError: the port is in use or a certificate cannot be read.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, port=self._config.port, ssl_context=self._tls(), reuse_address=True).start()

    async def close(self) -> None:
        """Stop listening; those who follow a log are let go."""
        await self._runner.cleanup()

    def _tls(self) -> ssl.SSLContext | None:
        """None without a certificate: the server then speaks plain HTTP, and only `/healthz` is open."""
        config = self._config
        if config.server_cert is None or config.server_key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(config.server_cert, config.server_key)
        if config.client_ca is not None:
            context.load_verify_locations(config.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != "/healthz" and _MASTERS not in _organisations(request):
            return web.Response(status=401, text="Unauthorized")
        return await handler(request)

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _list_pods(self, _request: web.Request) -> web.Response:
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self._pods()})

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        names = request.match_info
        try:
            options = log_options(request.query.items(), time.time_ns())
        except LogOptionsError as error:
            return web.Response(status=400, text=str(error))
        worker = self._find(names["namespace"], names["pod"])
        if worker is None:
            return web.Response(status=404, text=f'pod "{names["pod"]}" not found')
        container = names["container"]
        if worker.machine.pod.container(container) is None:
            return web.Response(status=404, text=f'container "{container}" not found in pod "{names["pod"]}"')
        found = worker.log(container, previous=options.previous)
        if found is None:
            what = "previous terminated container" if options.previous else "container"
            return web.Response(status=400, text=f'{what} "{container}" in pod "{names["pod"]}" not found')
        path, life = found
        return await self._send(request, path, options, None if life is None else life.log)

    async def _send(self, request: web.Request, path: Path, options: LogOptions, writer: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        left = options.limit
        lines = follow(path, writer if options.follow else None, options.since, options.tail)
        async with contextlib.aclosing(lines):
            with contextlib.suppress(ConnectionError):
                async for line in lines:
                    text = line if options.timestamps else line[_STAMP:]
                    await response.write(text if left is None else text[:left])
                    left = None if left is None else left - len(text)
                    if left is not None and left <= 0:
                        break
                await response.write_eof()
        return response


def _organisations(request: web.Request) -> set[str]:
    """The groups of a client's certificate, which the handshake has verified."""
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    subject = (certificate or {}).get("subject", ())
    return {value for part in subject for name, value in part if name == "organizationName"}
