"""The list of interfaces that take no part, in a file: read at the start, and again when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import yaml

from metallb.advertisement.interfaces import Exclusion
from metallb.kube.daemon import StartError
from metallb.telemetry import logs

FILE: Final = Path("/etc/metallb/excludel2.yaml")
KEY: Final = "announcedInterfacesToExclude"

LOOK_S: Final = 5.0
"""How often it is looked whether the file is another. The kubelet takes up to a minute to bring a changed ConfigMap."""

_log = logs.logger(op="interfaces")


def read(path: Path = FILE) -> Exclusion:
    """The interfaces that take no part; a missing file excludes none (spec/speaker.md 2.2).

    Raises:
        StartError: the file is malformed.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Exclusion()
    except OSError as error:
        raise StartError(f"{path} can't be read: {error.strerror}") from error
    try:
        loaded = yaml.load(text, Loader=yaml.CSafeLoader)
        patterns = (loaded or {}).get(KEY) or []
        return Exclusion.parse([str(each) for each in patterns])
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise StartError(f"{path}: {error}") from error


async def changes(present: Exclusion, path: Path = FILE) -> AsyncIterator[Exclusion]:
    """Each other list that the file comes to hold; a malformed one is said, and changes nothing."""
    said = ""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            found = read(path)
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
