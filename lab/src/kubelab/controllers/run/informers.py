"""The local copies that all controllers of the process share: one watch per resource, however many look at it."""

from __future__ import annotations

import asyncio

from kubelab.apiclient import ApiClient, Resource
from kubelab.informer import Informer
from kubelab.objects import Object


class Informers:
    """Informers by resource, made when first asked for."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._by_resource: dict[Resource, Informer] = {}

    def of(self, resource: Resource, *, field_selector: str = "") -> Informer:
        """The informer of a resource; the first who asks says what it selects."""
        if resource not in self._by_resource:
            self._by_resource[resource] = Informer(
                self._client, resource, field_selector=field_selector, trim=without_managed_fields
            )
        return self._by_resource[resource]

    def assume(self, resource: Resource, obj: Object) -> None:
        """Take the answer to a write of this process."""
        informer = self._by_resource.get(resource)
        if informer is not None and obj.get("kind") != "Status":
            informer.assume(obj)

    def assume_deleted(self, resource: Resource, obj: Object) -> None:
        """Take a deletion by this process."""
        informer = self._by_resource.get(resource)
        if informer is not None:
            informer.assume_deleted(obj)

    async def run(self) -> None:
        """Keep all copies until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self._by_resource.values():
                group.create_task(informer.run())

    async def wait_synced(self) -> None:
        """Until every copy is complete for the first time."""
        await asyncio.gather(*(informer.synced.wait() for informer in self._by_resource.values()))


def without_managed_fields(obj: Object) -> Object:
    """Field ownership is most of an object's size, and no controller reads it; an update without it keeps it."""
    meta = obj["metadata"]
    if "managedFields" not in meta:
        return obj
    return obj | {"metadata": {key: value for key, value in meta.items() if key != "managedFields"}}
