"""How the server reaches node agents: HTTPS with its own client certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.request import Response

_CONNECT_S: Final = 5.0
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """Certificate and key of the server as a client, and the authority of the agents' certificates.

    Agents are reached by addresses that their certificates need not name: the authority's signature is what counts.
    """

    ca: Path
    cert: Path | None
    key: Path | None


class Kubelets:
    """Connections to node agents while entered as a context."""

    def __init__(self, files: ClientFiles) -> None:
        context = ssl.create_default_context(cafile=str(files.ca))
        context.check_hostname = False
        if files.cert is not None and files.key is not None:
            context.load_cert_chain(files.cert, files.key)
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        connector = aiohttp.TCPConnector(ssl=self._context)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def logs(self, address: str, port: int, path: str, query: str) -> Response:
        """A container's log, streamed as it comes.

        Raises:
            ApiError: 500 where the agent can't be reached, else what the agent answers.
        """
        assert self._session is not None
        host = f"[{address}]" if ":" in address else address
        url = f"https://{host}:{port}{path}" + (f"?{query}" if query else "")
        try:
            answer = await self._session.get(url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(500, "", f'Get "{url}": {error}') from error
        if answer.status >= 400:  # noqa: PLR2004  # HTTP's line between answers and refusals
            text = (await answer.text()).strip()
            answer.release()
            reason = {400: "BadRequest", 404: "NotFound"}.get(answer.status, "InternalError")
            raise ApiError(answer.status, reason, text)
        return Response(200, [("Content-Type", "text/plain")], _chunks(answer))


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, asyncio.CancelledError):
        # The agent or the reader has gone: what came so far is all there is.
        return
    finally:
        answer.close()
