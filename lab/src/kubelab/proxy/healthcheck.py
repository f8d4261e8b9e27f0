"""Answers load balancers that ask on `healthCheckNodePort` whether this node has an endpoint of a service.

200 with at least one ready endpoint here, else 503 (kubernetes.io/docs/tasks/access-application-cluster/
create-external-load-balancer, "Preserving the client source IP").
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler

from kubelab.proxy.model import ServiceKey

_log = logging.getLogger(__name__)


class Report(NamedTuple):
    """What is answered for one service on its port."""

    port: int
    local_endpoints: int


class HealthChecks:
    """One listener per port, on all addresses of the namespace."""

    def __init__(self) -> None:
        self._runners: dict[int, web.AppRunner] = {}
        self._answers: dict[int, tuple[ServiceKey, int]] = {}

    async def serve(self, reports: Mapping[ServiceKey, Report]) -> None:
        """Answer exactly these from now on; a port that cannot be had is tried again at the next call."""
        self._answers = {report.port: (key, report.local_endpoints) for key, report in reports.items()}
        for port in [port for port in self._runners if port not in self._answers]:
            await self._runners.pop(port).cleanup()
        for port in self._answers.keys() - self._runners.keys():
            await self._open(port)

    async def close(self) -> None:
        """Stop listening."""
        await self.serve({})

    async def _open(self, port: int) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handler(port))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, port=port, reuse_address=True).start()
        except OSError as error:
            _log.error("health check port %d of service %s: %s", port, self._answers[port][0], error)
            await runner.cleanup()
        else:
            self._runners[port] = runner

    def _handler(self, port: int) -> Handler:
        async def answer(_request: web.Request) -> web.Response:
            key, count = self._answers[port]
            body = {
                "service": {"namespace": key.namespace, "name": key.name},
                "localEndpoints": count,
                "serviceProxyHealthy": True,
            }
            return web.json_response(body, status=200 if count else 503)

        return answer
