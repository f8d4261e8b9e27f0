"""Which program an image and a command stand for, by the lab's image map.

The map is `{image: {command-or-"": argv}}`. A command is looked up as a whole (its words joined by spaces), then by
its first word with the rest appended; one that is not in the map runs as it is written. `{python}` is the lab's
interpreter.
"""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from kubelab.kubelet import users
from kubelab.kubelet.layouts import Image
from kubelab.kubelet.podspec import Container

GROUP = "kubelab.images"

ImageTable: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]

_log = logging.getLogger(__name__)


class ImageMap:
    """Tables in order: the first that knows an image answers for it."""

    def __init__(
        self, tables: Iterable[ImageTable], python: str = sys.executable, images: Mapping[str, Image] | None = None
    ) -> None:
        """`images` are those with a root file system of their own: they win."""
        self._tables = tuple(tables)
        self._python = python
        self._images = images or {}

    def __contains__(self, image: str) -> bool:
        return image in self._images or any(image in table for table in self._tables)

    def refusal(self, container: Container) -> str:
        """Why a container must not be started because of its image's user; empty: it may."""
        image = self._images.get(container.image)
        return users.refusal(container.security, "" if image is None else image.user)

    def argv(self, image: str, command: Sequence[str], args: Sequence[str]) -> list[str]:
        """The program to run; empty if the image is known but there is no command and no entrypoint.

        Raises:
            KeyError: the image is not in the map.
        """
        if image in self._images:
            return self._images[image].argv(command, args)
        commands = next((table[image] for table in self._tables if image in table), None)
        if commands is None:
            raise KeyError(image)
        chosen = _chosen(commands, command)
        return [word.replace("{python}", self._python) for word in chosen] + list(args) if chosen else []

    def missing(self, image: str) -> str:
        """What is said about an image that is not in the map."""
        return f'image "{image}" is not in the lab\'s image map'


def _chosen(commands: Mapping[str, Sequence[str]], command: Sequence[str]) -> list[str]:
    if not command:
        return list(commands.get("", ()))
    whole = " ".join(command)
    if whole in commands:
        return list(commands[whole])
    if command[0] in commands:
        return [*commands[command[0]], *command[1:]]
    return list(command)


def installed() -> list[ImageTable]:
    """The tables that installed distributions offer; one that cannot be loaded is named in the log and left out."""
    tables: list[ImageTable] = []
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name):
        try:
            tables.append(point.load())
        except Exception:  # noqa: BLE001  # whatever somebody's package does, the lab's own images go on working
            _log.exception("image map %s cannot be loaded", point.name)
    return tables
