"""Runs a program that does not say `ready` as one that does: `python -m kubelab.foreign CONFIG.json`.

The process becomes the program, so that signals and faults hit that. An orphan of it asks the program's health page,
makes the objects that are to be there from the beginning, and says `ready`.
"""

from __future__ import annotations

import json
import os
import select
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import msgspec

_PAUSE_MS: Final = 50
_TIMEOUT_S: Final = 5.0
_CONFLICT: Final = 409


class Config(msgspec.Struct, frozen=True):
    """The configuration file.

    `health` is a page that answers 200 when the program serves; with `cert` and `key` it is asked as somebody.
    `objects` are pairs of a path and a body to be posted first.
    """

    argv: tuple[str, ...]
    health: str
    cert: str = ""
    key: str = ""
    objects: tuple[tuple[str, dict[str, Any]], ...] = ()


def main() -> None:
    """Become the program."""
    config = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Config)
    itself = os.pidfd_open(os.getpid())
    child = os.fork()
    if child == 0:
        # Twice: whom nobody waits for must not be the program's child, but process 1's.
        if os.fork() == 0:
            announce(config, itself)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(itself)
    os.dup2(2, 1)
    os.execv(config.argv[0], config.argv)  # noqa: S606  # no shell is meant


def announce(config: Config, program: int) -> None:
    """Say `ready` once the program is; say nothing if it ends before."""
    opener = _opener(config)
    while not _serves(opener, config):
        if select.select([program], [], [], _PAUSE_MS / 1000)[0]:
            return
    os.write(1, b"ready\n")


def _opener(config: Config) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    # It is our own child, behind a certificate that it may have made itself.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if config.cert:
        context.load_cert_chain(config.cert, config.key)
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))


def _serves(opener: urllib.request.OpenerDirector, config: Config) -> bool:
    try:
        with opener.open(config.health, timeout=_TIMEOUT_S):
            pass
        for path, body in config.objects:
            _post(opener, config.health, path, body)
    except (OSError, ValueError):
        return False
    return True


def _post(opener: urllib.request.OpenerDirector, health: str, path: str, body: dict[str, Any]) -> None:
    parts = health.split("/")
    request = urllib.request.Request(  # noqa: S310  # the address is our own
        "/".join(parts[:3]) + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with opener.open(request, timeout=_TIMEOUT_S):
            pass
    except urllib.error.HTTPError as error:
        # A server that was started again has them.
        if error.code != _CONFLICT:
            raise


if __name__ == "__main__":
    main()
