"""The double's eyes and hands: local copies of what it follows, and writes that these copies know at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from kubelab import pki
from kubelab.apiclient import ApiClient, ApiFailure
from kubelab.informer import Informer
from kubelab.objects import Object
from kubelab.olm import names
from kubelab.olm.content import Content, ContentError
from kubelab.resource import PatchKind, Resource

FOLLOWED: Final = (
    names.CATALOG_SOURCES,
    names.PACKAGE_MANIFESTS,
    names.OPERATOR_GROUPS,
    names.SUBSCRIPTIONS,
    names.INSTALL_PLANS,
    names.SERVICE_VERSIONS,
    names.DEPLOYMENTS,
    names.DEFINITIONS,
    names.SERVICE_ACCOUNTS,
)


_AGAIN_S: Final = 0.2
"""How long after a refused write it is tried again."""
_log = logging.getLogger("kubelab.olm")


@dataclass(frozen=True, slots=True)
class Chance:
    """Clock and dice: `now` in seconds since the epoch, `draw(n)` a number below n."""

    now: Callable[[], float]
    draw: Callable[[int], int]

    def stamp(self) -> str:
        """The time as the API writes it."""
        return datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def authority(self) -> pki.Authority:
        """A new authority for certificates."""
        return pki.Authority(self.now(), self.draw)


class World:
    """What is followed, by resource; `changed` is set whenever any of it changes."""

    def __init__(self, client: ApiClient, content: Content, chance: Chance) -> None:
        self.client = client
        self.content = content
        self.chance = chance
        self.changed = asyncio.Event()
        self.informers = {resource: Informer(client, resource) for resource in FOLLOWED}
        for informer in self.informers.values():
            informer.subscribe(lambda _kind, _old, _new: self.changed.set())

    def all(self, resource: Resource, namespace: str = "") -> list[Object]:
        """Objects of a namespace (all if it is empty), by namespace and name."""
        store = self.informers[resource].store
        return [obj for (place, _), obj in sorted(store.items()) if not namespace or place == namespace]

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """One object, None if there is none."""
        return self.informers[resource].get(namespace, name)

    async def for_each(self, resource: Resource, step: Step) -> None:
        """Bring every object of a kind a step on; one that can't go on is in nobody's way, and is tried again."""
        for obj in self.all(resource):
            try:
                await step(self, obj)
            except (ApiFailure, ContentError) as problem:
                _log.warning("%s %s: %s", resource.plural, obj["metadata"]["name"], problem)
                asyncio.get_running_loop().call_later(_AGAIN_S, self.changed.set)
            except Exception:  # noqa: BLE001  # an object that nobody thought of must not end the work on all others
                _log.exception("%s %s: left until something changes", resource.plural, obj["metadata"]["name"])

    async def create(self, resource: Resource, obj: Object) -> Object:
        """Create an object.

        Raises:
            ApiFailure: it was not created.
        """
        made = await self.client.create(resource, obj)
        self._assume(resource, made)
        return made

    async def apply(self, resource: Resource, obj: Object) -> None:
        """Bring an object to what is given: fields that others set stay.

        Raises:
            ApiFailure: it was refused.
        """
        meta = obj["metadata"]
        place = meta.get("namespace", "") if resource.namespaced else ""
        answer = await self.client.patch(
            resource, meta["name"], obj, place, kind=PatchKind.APPLY, field_manager=names.MANAGER, force=True
        )
        self._assume(resource, answer)

    async def patch(self, resource: Resource, obj: Object, patch: Object, subresource: str = "") -> None:
        """Merge a patch into an object.

        Raises:
            ApiFailure: it was refused.
        """
        meta = obj["metadata"]
        place = meta.get("namespace", "")
        self._assume(resource, await self.client.patch(resource, meta["name"], patch, place, subresource=subresource))

    async def put_status(self, resource: Resource, obj: Object, status: Object) -> None:
        """Replace an object's status, if it is another one but for its times.

        Raises:
            ApiFailure: it was refused, or somebody else was faster.
        """
        if timeless(obj.get("status") or {}) == timeless(status):
            return
        self._assume(resource, await self.client.update(resource, obj | {"status": status}, subresource="status"))

    async def delete(self, resource: Resource, obj: Object) -> None:
        """Delete an object; one that is gone already is fine.

        Raises:
            ApiFailure: it was refused.
        """
        meta = obj["metadata"]
        try:
            await self.client.delete(resource, meta["name"], meta.get("namespace", ""), uid=meta["uid"])
        except ApiFailure as failure:
            if not failure.not_found:
                raise

    def _assume(self, resource: Resource, obj: Object) -> None:
        informer = self.informers.get(resource)
        if informer is not None:
            informer.assume(obj)


def timeless(value: object) -> object:
    """A value without the times in it: they alone are no change."""
    if isinstance(value, dict):
        return {name: timeless(each) for name, each in value.items() if name not in _TIMES}
    if isinstance(value, list):
        return [timeless(each) for each in value]
    return value


_TIMES: Final = frozenset({"lastUpdated", "lastUpdateTime", "lastTransitionTime", "lastConnect", "createdAt"})


Step: TypeAlias = Callable[[World, Object], Awaitable[None]]
"""Brings one object a step on."""
