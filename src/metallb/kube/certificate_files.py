"""A certificate that others keep: two files in a folder, served as they are and taken over whenever they change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from metallb.kube.authority import Pair
from metallb.kube.rotation_plan import CERTIFICATE, KEY
from metallb.telemetry import logs

CHECK_S: Final = 2.0
"""How often the files are read, in seconds."""

_log = logs.logger(op="certificate")


class CertificateFiles:
    """`tls.crt` and `tls.key`, which a kubelet or somebody else writes and replaces.

    Attributes:
        ready: whether a certificate from there is served.
    """

    def __init__(self, folder: Path, serve: Callable[[Pair], None], *, check_s: float = CHECK_S) -> None:
        """Does nothing until `run`.

        Args:
            folder: of the two files; it may come later.
            serve: called with each certificate to serve from then on; raises OSError if it is unusable.
            check_s: how often to look, in seconds.
        """
        self.ready = False
        self._folder = folder
        self._serve = serve
        self._check_s = check_s
        self._served: Pair | None = None
        self._said = ""

    async def run(self) -> NoReturn:
        """Follows the files until cancelled."""
        while True:
            self._look()
            await asyncio.sleep(self._check_s)

    def _look(self) -> None:
        try:
            pair = Pair((self._folder / CERTIFICATE).read_bytes(), (self._folder / KEY).read_bytes())
            if pair != self._served:
                self._serve(pair)
                self._served = pair
                self.ready = True
                _log.info("a certificate is served", event="certificateServed", folder=str(self._folder))
            self._said = ""
        except (OSError, UnicodeDecodeError) as error:
            self._say(str(error))

    def _say(self, reason: str) -> None:
        """Once for each reason; between the two writes of somebody who replaces both, the files don't fit."""
        if reason == self._said:
            return
        self._said = reason
        if self.ready:
            _log.error("the certificate can't be read, the last one stays", folder=str(self._folder), error=reason)
        else:
            _log.warn(
                f"waiting for {CERTIFICATE} and {KEY}: until then no webhook is served",
                folder=str(self._folder),
                error=reason,
            )
