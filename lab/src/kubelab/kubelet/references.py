"""Keeps copies of just those ConfigMaps and Secrets that pods of this node refer to, one small watch for each.

A node may read what its pods need by name; it may not list all Secrets (kubernetes.io/docs/reference/
access-authn-authz/node).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from kubelab.apiclient import ApiClient, Resource
from kubelab.informer import Informer
from kubelab.objects import Object

_RESOURCES = {
    "configmap": Resource("", "v1", "configmaps", True),
    "secret": Resource("", "v1", "secrets", True),
}

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watched:
    informer: Informer
    task: asyncio.Task[None]
    users: dict[str, Callable[[], None]] = field(default_factory=dict)


class References:
    """Shared by all pods of a node. A user is named by a pod's uid and called when one of its objects changed."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._watched: dict[tuple[str, str, str], _Watched] = {}

    def use(self, user: str, namespace: str, wanted: set[tuple[str, str]], changed: Callable[[], None]) -> None:
        """Watch the (kind, name) pairs for this user."""
        for kind, name in wanted:
            key = (kind, namespace, name)
            if key not in self._watched:
                self._watched[key] = self._watch(kind, namespace, name)
            self._watched[key].users[user] = changed

    def release(self, user: str) -> None:
        """The user needs nothing any more."""
        for key, watched in list(self._watched.items()):
            if watched.users.pop(user, None) is not None and not watched.users:
                watched.task.cancel()
                del self._watched[key]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object as last heard of; None if there is none, or nothing is known yet."""
        watched = self._watched.get((kind, namespace, name))
        return None if watched is None else watched.informer.get(namespace, name)

    def known(self, namespace: str, wanted: set[tuple[str, str]]) -> bool:
        """Whether the server has told about all of them, be it that they do not exist."""
        keys = [(kind, namespace, name) for kind, name in wanted]
        return all(key in self._watched and self._watched[key].informer.synced.is_set() for key in keys)

    async def close(self) -> None:
        """Stop watching."""
        tasks = [watched.task for watched in self._watched.values()]
        self._watched.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _watch(self, kind: str, namespace: str, name: str) -> _Watched:
        informer = Informer(self._client, _RESOURCES[kind], namespace, field_selector=f"metadata.name={name}")

        def tell(*_: object) -> None:
            watched = self._watched.get((kind, namespace, name))
            for changed in list(watched.users.values()) if watched else []:
                changed()

        async def run() -> None:
            informer.subscribe(tell)
            synced = asyncio.create_task(_then(informer.synced, tell))
            try:
                await informer.run()
            finally:
                synced.cancel()

        return _Watched(informer, asyncio.create_task(run(), name=f"watch {kind} {namespace}/{name}"))


async def _then(event: asyncio.Event, tell: Callable[[], None]) -> None:
    """That an object does not exist is news as well."""
    await event.wait()
    tell()
