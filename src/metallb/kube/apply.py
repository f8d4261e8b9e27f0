"""Writes what was decided: whole objects by server-side apply, hot statuses by one atomic patch.

A status write is one merge patch on the `status` subresource with `metadata.resourceVersion` as precondition: a second
writer gets a `ConflictError`, never a silent overwrite. Where RBAC allows only `update` (upstream's own rules do), the
same change is a PUT of the object as the server has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metallb.kube.access import may
from metallb.kube.client import KubeClient
from metallb.kube.errors import ConflictError, ForbiddenError
from metallb.kube.objects import BARE, OBJECT, Bare
from metallb.kube.resources import Resource, resource_of
from metallb.telemetry import logs

_log = logs.logger(op="apply")


async def apply_object(client: KubeClient, desired: Mapping[str, Any], *, force: bool = True) -> Bare:
    """Server-side apply of an object of a known kind under the client's field manager; creates it where absent.

    Args:
        client: its `field_manager` becomes the owner of the fields.
        desired: `apiVersion`, `kind`, `metadata.name` (and namespace), and only the fields that are ours.
        force: take over fields that others have set; without it they raise.

    Returns:
        The metadata as it is now. An apply that changes nothing leaves the resource version as it was.

    Raises:
        KeyError: a kind that is not in `metallb.kube.resources`.
        OwnedElsewhereError: without force, if another manager has set a field to something else.
    """
    resource = resource_of(desired["apiVersion"], desired["kind"])
    metadata = desired["metadata"]
    return await client.apply(
        resource,
        metadata["name"],
        desired,
        namespace=metadata.get("namespace", "") if resource.namespaced else "",
        decoder=BARE,
        force=force,
    )


class StatusWriter:
    """Writes the status (and annotations) of objects of one kind.

    Attributes:
        by_patch: whether statuses are patched; False: replaced. Settled by `settle`, or by the first refusal.
    """

    def __init__(self, client: KubeClient, resource: Resource) -> None:
        self.by_patch = True
        self._client = client
        self._resource = resource

    async def settle(self, namespace: str = "") -> None:
        """Asks the server whether we may patch the status, in `namespace` or everywhere.

        Raises:
            ApiError: the server does not say; the first write finds out then.
        """
        self.by_patch = await may(self._client, "patch", self._resource, namespace=namespace, subresource="status")
        if not self.by_patch:
            _log.info("statuses are written by update: patch is not allowed", resource=str(self._resource))

    async def write(
        self,
        key: tuple[str, str],
        resource_version: str,
        status: Mapping[str, Any],
        annotations: Mapping[str, str | None] | None = None,
    ) -> Bare:
        """Merges `status` and `annotations` into the object (RFC 7386: None removes, lists are replaced).

        Args:
            key: namespace and name.
            resource_version: the version that the decision was made on.
            status: what to change in `status`.
            annotations: what to change in `metadata.annotations`; kept by the API server for core kinds only,
                a custom resource's status subresource ignores them.

        Returns:
            The metadata as it is now.

        Raises:
            ConflictError: the object is not at `resource_version` any more: read it again and decide again.
            NotFoundError: it is gone.
        """
        metadata: dict[str, Any] = {"resourceVersion": resource_version}
        if annotations:
            metadata["annotations"] = dict(annotations)
        patch = {"metadata": metadata, "status": dict(status)}
        if self.by_patch:
            try:
                return await self._patch(key, patch)
            except ForbiddenError:
                self.by_patch = False
                _log.info("statuses are written by update: a patch was refused", resource=str(self._resource))
        return await self._put(key, resource_version, patch)

    async def _patch(self, key: tuple[str, str], patch: Mapping[str, Any]) -> Bare:
        namespace, name = key
        return await self._client.merge_patch(
            self._resource, name, patch, namespace=namespace, subresource="status", decoder=BARE
        )

    async def _put(self, key: tuple[str, str], resource_version: str, patch: Mapping[str, Any]) -> Bare:
        namespace, name = key
        found = await self._client.get(self._resource, name, namespace=namespace, decoder=OBJECT)
        metadata = found.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if version != resource_version:
            raise ConflictError(
                f"GET {self._resource} {namespace}/{name}",
                f"the object is at version {version}, the decision was made on {resource_version}",
                code=409,
                reason="Conflict",
            )
        return await self._client.replace(
            self._resource,
            name,
            merged(found, patch),
            namespace=namespace,
            subresource="status",
            decoder=BARE,
        )


def merged(value: object, patch: object) -> object:
    """`value` changed by a JSON merge patch (RFC 7386 section 2); neither is altered."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(value) if isinstance(value, Mapping) else {}
    for key, change in patch.items():
        if change is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), change)
    return result
