"""The shell around webhooks: HTTPS requests over connections that are kept, each within its time."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections import OrderedDict
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohappyeyeballs import AddrInfoType
from yarl import URL

from kubelab.apiserver.webhooks import failures
from kubelab.apiserver.webhooks.failures import CallError, of_post
from kubelab.apiserver.webhooks.targets import Target

_KEPT_CONTEXTS: Final = 64
_KEEP_ALIVE_S: Final = 30.0
_LIVENESS: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 30))
"""As a real API server's: who asks a webhook whose node has gone without a word waits until its time is up."""
_NO_ROOTS: Final = "unable to load root certificates: unable to parse bytes as PEM block"
_PEM: Final = "-----BEGIN CERTIFICATE-----"
_HEADERS: Final = {
    "User-Agent": "kube-apiserver-admission",
    "Accept": "application/json, */*",
    "Content-Type": "application/json",
}


class HttpsCaller:
    """Connections to webhooks while entered as a context."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()

    async def __aenter__(self) -> Self:
        # Webhooks are asked at once, however many requests wait for them: no limit on connections.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S, socket_factory=_socket)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None), cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, target: Target, body: bytes, timeout_s: float) -> bytes:
        """Send a review; the body of the answer. A kept connection that was closed meanwhile is replaced once.

        Raises:
            CallError: there is none, in time or at all.
        """
        try:
            async with asyncio.timeout(timeout_s):
                try:
                    return await self._post(target, body)
                except aiohttp.ClientConnectorError:
                    raise
                except (aiohttp.ServerDisconnectedError, OSError):
                    return await self._post(target, body)
        except TimeoutError as error:
            raise of_post(target.url, failures.TIMEOUT) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise of_post(target.url, _certificate(error, target)) from error
        except aiohttp.ClientConnectorDNSError as error:
            raise of_post(target.url, f"dial tcp: lookup {target.host}: no such host") from error
        except aiohttp.ClientConnectorSSLError as error:
            raise of_post(target.url, _handshake(error)) from error
        except aiohttp.ClientConnectorError as error:
            raise of_post(target.url, failures.of_dial(error.os_error, target.host, target.port)) from error
        except OSError as error:
            raise of_post(target.url, failures.of_connection(error)) from error
        except aiohttp.ClientError as error:
            raise of_post(target.url, "EOF") from error

    async def _post(self, target: Target, body: bytes) -> bytes:
        assert self._session is not None
        host = f"[{target.host}]" if ":" in target.host else target.host
        async with self._session.post(
            URL(f"https://{host}:{target.port}{target.path}", encoded=True),
            data=body,
            headers={**_HEADERS, "Host": target.authority},
            ssl=self._context(target.ca),
            server_hostname=target.server_name,
            allow_redirects=False,
        ) as answer:
            found = await answer.read()
            failure = failures.of_answer(answer.status, answer.headers.get("Content-Type", ""), found)
            if failure is not None:
                raise failure
            return found

    def _context(self, ca: str) -> ssl.SSLContext:
        """TLS that trusts an authority (base64 of PEM), or the system's; one for all webhooks of the same."""
        found = self._contexts.get(ca)
        if found is None:
            found = self._contexts[ca] = _trusting(ca)
            found.set_alpn_protocols(["http/1.1"])
            if len(self._contexts) > _KEPT_CONTEXTS:
                self._contexts.popitem(last=False)
        else:
            self._contexts.move_to_end(ca)
        return found


def _socket(place: AddrInfoType) -> socket.socket:
    """A socket that asks now and then whether anybody is at the other end."""
    family, kind, protocol, *_ = place
    found = socket.socket(family, kind, protocol)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _LIVENESS:
        found.setsockopt(socket.IPPROTO_TCP, option, value)
    return found


def _trusting(ca: str) -> ssl.SSLContext:
    if not ca:
        return _as_go(ssl.create_default_context())
    try:
        # Line ends between the letters are nothing wrong.
        text = base64.b64decode(ca).decode()
        if _PEM in text:
            return _as_go(ssl.create_default_context(cadata=text))
    except (ssl.SSLError, ValueError) as error:
        raise CallError(_NO_ROOTS, is_bundle=True) from error
    raise CallError(_NO_ROOTS, is_bundle=True)


def _as_go(context: ssl.SSLContext) -> ssl.SSLContext:
    """Trust what Go trusts: any certificate of a bundle, be it no authority; names count, common names don't."""
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.hostname_checks_common_name = False
    return context


def _certificate(error: aiohttp.ClientConnectorCertificateError, target: Target) -> str:
    inner = error.certificate_error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return failures.of_certificate(inner, target.server_name)
    return f"tls: {inner}"


def _handshake(error: aiohttp.ClientConnectorSSLError) -> str:
    inner = error.os_error
    if isinstance(inner, ssl.SSLError) and inner.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return "http: server gave HTTP response to HTTPS client"
    reason = inner.reason if isinstance(inner, ssl.SSLError) else str(inner)
    return f"remote error: tls: {(reason or 'handshake failure').lower().replace('_', ' ')}"
