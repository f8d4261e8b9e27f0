"""Makes one attempt of a probe: an HTTP GET, a TCP connection or a command beside the program."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple

import aiohttp

from kubelab.kubelet.podspec import Exec, HttpGet, Probe, TcpSocket

_MOST_TEXT = 1024


class Answer(NamedTuple):
    """What an attempt found; the message is worded as the kubelet's."""

    ok: bool
    message: str


class Prober:
    """Shares one HTTP session among all probes of a node; certificates are not verified (as the kubelet does not)."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def attempt(
        self,
        probe: Probe,
        address: str,
        command: Callable[[tuple[str, ...]], list[str]],
        environment: Mapping[str, str],
    ) -> Answer:
        """Ask once. `address` is the pod's; `command` makes an exec probe's words run inside the container."""
        match probe.action:
            case HttpGet() as get:
                return await self._get(get, address, probe.timeout_s)
            case TcpSocket(host, port):
                return await _connect(host or address, port, probe.timeout_s)
            case Exec(words):
                return await _execute(command(words), environment, probe.timeout_s)

    async def _get(self, get: HttpGet, address: str, timeout_s: float) -> Answer:
        host = get.host or address
        shown = f"[{host}]" if ":" in host else host
        url = f"{'https' if get.https else 'http'}://{shown}:{get.port}{get.path}"
        headers = {"User-Agent": "kube-probe/1.36", "Accept": "*/*", "Connection": "close", **dict(get.headers)}
        try:
            async with self._open().get(
                url, headers=headers, timeout=aiohttp.ClientTimeout(total=timeout_s), allow_redirects=False
            ) as answer:
                await answer.content.read(_MOST_TEXT)
        except TimeoutError:
            said = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            return Answer(False, f'Get "{url}": {said}')
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(False, f'Get "{url}": {_dial(error, host, get.port)}')
        ok = 200 <= answer.status < 400  # noqa: PLR2004  # HTTP's own ranges
        return Answer(ok, "" if ok else f"HTTP probe failed with statuscode: {answer.status}")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connector = aiohttp.TCPConnector(ssl=context, force_close=True, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


async def _connect(host: str, port: int, timeout_s: float) -> Answer:
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Answer(False, f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Answer(False, _dial(error, host, port))
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Answer(True, "")


async def _execute(argv: list[str], environment: Mapping[str, str], timeout_s: float) -> Answer:
    try:
        process = await asyncio.create_subprocess_exec(
            shutil.which(argv[0]) or argv[0],  # by our own PATH: the container's is for its own programs
            *argv[1:],
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return Answer(False, str(error))
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except TimeoutError:
        return Answer(False, f"command timed out: {argv[-1]!r} timed out after {timeout_s:g}s")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return Answer(process.returncode == 0, output[:_MOST_TEXT].decode(errors="replace"))


def _dial(error: Exception, host: str, port: int) -> str:
    """A refused connection in the words that people search for."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
        return f"dial tcp {host}:{port}: connect: connection refused"
    return str(error) or type(error).__name__
