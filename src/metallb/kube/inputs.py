"""Several informers as one input: complete, or known to be incomplete, and why.

What a process can't do without is waited for as long as it takes. What it can do without (a right may be missing, a
kind not installed) holds nothing up: it is waited for only as long as the server has not said no.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from metallb.config.errors import ConfigError, ObjectName
from metallb.kube.errors import ApiError, ForbiddenError, NotFoundError
from metallb.kube.event_series import Reference
from metallb.kube.events import reference
from metallb.kube.informer import Informer

PATIENCE_S: Final = 5.0
"""How long a kind that can be done without is waited for while the server says neither yes nor no."""


class Inputs:
    """Some informers, all started by somebody else or by `start`."""

    def __init__(self, required: Sequence[Informer[Any]], optional: Sequence[Informer[Any]] = ()) -> None:
        self._required = tuple(required)
        self._all = (*required, *optional)
        self._changed = asyncio.Event()
        self.watch_health(self._changed.set)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Follows the API from now on."""
        for informer in self._all:
            group.create_task(informer.run(), name=f"informer {informer.resource}")

    def watch_health(self, callback: Callable[[], None]) -> None:
        """Calls `callback()` when something can be read that could not, or the other way round."""
        for informer in self._all:
            informer.watch_health(callback)

    async def ready(self) -> None:
        """Returns when all are complete that have to be, and the others are, or are refused, or late."""
        for informer in self._required:
            await informer.synced.wait()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._until_settled()
        except TimeoutError:
            return

    def refused(self) -> tuple[str, ...]:
        """What the server does not let us read, in sentences."""
        return tuple(f"{each.resource} can't be read: {error.message}" for each, error in self._refusals())

    def unread(self) -> tuple[str, ...]:
        """What is not known, in sentences: what is refused, and what has not been read yet."""
        refused = {each for each, _ in self._refusals()}
        late = (each for each in self._all if each not in refused and not each.synced.is_set())
        return self.refused() + tuple(f"{each.resource} are not read yet" for each in late)

    def unreadable(self) -> tuple[ConfigError, ...]:
        """An error for each object that exists and does not decode: its last good state is what is used."""
        return tuple(
            _undecodable(ObjectName(each.resource.kind, *key), error)
            for each in self._all
            for key, error in sorted(each.unreadable.items())
        )

    def reference(self, name: ObjectName) -> Reference:
        """To an object of one of the kinds, for events; without a uid where it is not known."""
        for each in self._all:
            found = each.store.get((name.namespace, name.name)) if each.resource.kind == name.kind else None
            if found is not None:
                return reference(each.resource, found.metadata)
        versions = (each.resource.api_version for each in self._all if each.resource.kind == name.kind)
        return Reference(next(versions, ""), name.kind, name.namespace, name.name)

    async def _until_settled(self) -> None:
        while True:
            self._changed.clear()
            refused = {each for each, _ in self._refusals()}
            if all(each.synced.is_set() or each in refused for each in self._all):
                return
            await self._changed.wait()

    def _refusals(self) -> list[tuple[Informer[Any], ApiError]]:
        """The informers that the server answers with an error, and that.

        What could be read once is known as it was then; only a right or a kind that was taken away is told.
        """
        found = []
        for each in self._all:
            error = each.error
            known = each.synced.is_set()
            if isinstance(error, ForbiddenError | NotFoundError) or (
                isinstance(error, ApiError) and error.code and not known
            ):
                found.append((each, error))
        return found


def _undecodable(name: ObjectName, reason: str) -> ConfigError:
    """From the words of msgspec: Expected `int`, got `str` - at `$.spec.x`."""
    what, _, where = reason.partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    return ConfigError(name, path or ".", "", f"can't be read: {what}")
