"""The list of interfaces that take no part: read at the start, and again when it changes.

It is a file of a ConfigMap. Upstream's manifests show that file to root alone, and speakers need not be root: then
the ConfigMap is asked for, which upstream's rights allow.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
import yaml

from metallb.advertisement.interfaces import Exclusion
from metallb.kube.client import KubeClient
from metallb.kube.daemon import StartError
from metallb.kube.errors import ApiError
from metallb.kube.resources import CONFIG_MAPS
from metallb.telemetry import logs

FILE: Final = Path("/etc/metallb/excludel2.yaml")
KEY: Final = "announcedInterfacesToExclude"

CONFIG_MAP: Final = "metallb-excludel2"
"""Where the file comes from, in all of upstream's manifests."""

LOOK_S: Final = 5.0
"""How often it is looked whether the file is another. The kubelet takes up to a minute to bring a changed ConfigMap."""

ASK_S: Final = 60.0
"""How often the API server is asked where the file is hidden."""

_log = logs.logger(op="interfaces")


class HiddenError(StartError):
    """The file is there, and not for this process to read."""


class _ConfigMap(msgspec.Struct, frozen=True):
    data: dict[str, str] = {}


def read(path: Path = FILE) -> Exclusion:
    """The interfaces that take no part; a missing file excludes none (spec/speaker.md 2.2).

    Raises:
        HiddenError: the process may not read the file.
        StartError: the file is malformed.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Exclusion()
    except PermissionError as error:
        raise HiddenError(f"{path} can't be read by user {os.geteuid()}: give the pod an fsGroup") from error
    except OSError as error:
        raise StartError(f"{path} can't be read: {error.strerror}") from error
    return parse(text, str(path))


async def ask(client: KubeClient, namespace: str) -> Exclusion:
    """The same from the API server.

    Raises:
        StartError: it does not answer, or refuses, or the list is malformed.
    """
    try:
        decoder = msgspec.json.Decoder(_ConfigMap)
        found = await client.get(CONFIG_MAPS, CONFIG_MAP, namespace=namespace, decoder=decoder)
    except ApiError as error:
        hint = f"{FILE} can't be read by user {os.geteuid()}"
        raise StartError(f"{hint}, nor ConfigMap {namespace}/{CONFIG_MAP}: give the pod an fsGroup: {error}") from error
    return parse(found.data.get(FILE.name, ""), f"ConfigMap {namespace}/{CONFIG_MAP}")


async def first(client: KubeClient, namespace: str, path: Path = FILE) -> tuple[Exclusion, AsyncIterator[Exclusion]]:
    """The list as it is, and each other that it comes to be.

    Raises:
        StartError: it can't be had, or is malformed.
    """
    try:
        present = read(path)
    except HiddenError:
        _log.info("the list of excluded interfaces is asked for: its file is for others", file=str(path))
        present = await ask(client, namespace)
        return present, changes(present, lambda: ask(client, namespace), ASK_S)
    return present, changes(present, lambda: _read_soon(path), LOOK_S)


async def _read_soon(path: Path) -> Exclusion:
    return read(path)


def parse(text: str, source: str) -> Exclusion:
    """The list in a text; `source` is for messages.

    Raises:
        StartError: it is malformed.
    """
    try:
        loaded = yaml.load(text, Loader=yaml.CSafeLoader)
        patterns = (loaded or {}).get(KEY) or []
        return Exclusion.parse([str(each) for each in patterns])
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise StartError(f"{source}: {error}") from error


async def changes(
    present: Exclusion, look: Callable[[], Awaitable[Exclusion]], every_s: float
) -> AsyncIterator[Exclusion]:
    """Each other list that there comes to be; one that is malformed or can't be had is said, and changes nothing."""
    said = ""
    while True:
        await asyncio.sleep(every_s)
        try:
            found = await look()
        except StartError as error:
            if str(error) != said:
                _log.warn("the list of excluded interfaces stays as it was", error=str(error))
            said = str(error)
            continue
        said = ""
        if found != present:
            present = found
            _log.info("other interfaces are excluded now", pattern=found.pattern.pattern if found.pattern else "")
            yield found
