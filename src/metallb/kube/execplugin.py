"""Credential plugins: a command of the user's prints an ExecCredential (client-go credential plugins, KEP-541)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from metallb.kube.credentials import CredentialsError, Tls

TIMEOUT_S: Final = 60.0
"""How long a plugin may take; a person may have to log in."""

LEEWAY_S: Final = 10.0
"""A token is renewed this long before it expires."""


class _Status(Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _ExecCredential(Struct):
    status: _Status = msgspec.field(default_factory=_Status)


@dataclass(slots=True)
class ExecPlugin:
    """Runs the plugin when there is no token, when it expires, and after a 401."""

    command: tuple[str, ...]
    tls: Tls
    environment: Mapping[str, str] = field(default_factory=dict)
    api_version: str = "client.authentication.k8s.io/v1"
    cluster: Mapping[str, Any] | None = None
    _header: str = ""
    _valid_until: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def authorization(self, now: float) -> str:
        """The header; may run the plugin (at most `TIMEOUT_S`), one at a time.

        Raises:
            CredentialsError: the plugin is missing, fails, or prints something else.
        """
        async with self._lock:
            if now >= self._valid_until:
                self._take(await self._run(), now, time.time())
            return self._header

    def refuse(self) -> bool:
        """Asks the plugin again at the next request."""
        self._valid_until = float("-inf")
        return True

    def _take(self, credential: _ExecCredential, now: float, wall: float) -> None:
        status = credential.status
        if not status.token and not status.client_certificate_data:
            raise CredentialsError(self.command[0], "status", "has neither a token nor a client certificate")
        if status.client_certificate_data:
            self.tls.present(status.client_certificate_data, status.client_key_data)
        self._header = f"Bearer {status.token}" if status.token else ""
        expires = status.expiration_timestamp
        self._valid_until = float("inf") if expires is None else now + (expires.timestamp() - wall) - LEEWAY_S

    async def _run(self) -> _ExecCredential:
        spec: dict[str, Any] = {"interactive": False}
        if self.cluster is not None:
            spec["cluster"] = dict(self.cluster)
        info = {"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec}
        environment = {**os.environ, **self.environment, "KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode()}
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise CredentialsError(self.command[0], "exec", f"can't be started: {error.strerror}") from error
        try:
            out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        except TimeoutError as error:
            raise CredentialsError(self.command[0], "exec", f"no answer within {TIMEOUT_S:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            said = err.decode("utf-8", "replace").strip()[-300:]
            raise CredentialsError(self.command[0], "exec", f"exit code {process.returncode}: {said}")
        try:
            return msgspec.json.decode(out, type=_ExecCredential)
        except msgspec.MsgspecError as error:
            raise CredentialsError(self.command[0], "exec", f"printed no ExecCredential: {error}") from error
