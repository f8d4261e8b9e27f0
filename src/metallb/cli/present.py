"""Reads from a cluster what manifests are judged against: by lists, nothing is written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec.json import Decoder

from metallb.api import kinds
from metallb.api.core import Namespace, Node, Secret, Service
from metallb.cli.documents import UnreadableError
from metallb.cli.judging import Objects, Present
from metallb.config.errors import ObjectName
from metallb.kube import resources
from metallb.kube.client import KubeClient
from metallb.kube.credentials import Credentials, CredentialsError, find
from metallb.kube.errors import ApiError, ForbiddenError, NotFoundError
from metallb.kube.resources import Resource

_TIMEOUT_S: Final = 10.0
_KINDS: Final[dict[Resource, type[Any]]] = {
    resources.IP_ADDRESS_POOLS: kinds.IP_ADDRESS_POOL.model,
    resources.L2_ADVERTISEMENTS: kinds.L2_ADVERTISEMENT.model,
    resources.BGP_ADVERTISEMENTS: kinds.BGP_ADVERTISEMENT.model,
    resources.BGP_PEERS: kinds.BGP_PEER.model,
    resources.BFD_PROFILES: kinds.BFD_PROFILE.model,
    resources.COMMUNITIES: kinds.COMMUNITY.model,
    resources.NAMESPACES: Namespace,
    resources.NODES: Node,
    resources.SECRETS: Secret,
    resources.SERVICES: Service,
}


def read_present(environ: Mapping[str, str], namespace: str, *, kubeconfig: str = "", context: str = "") -> Present:
    """All of it, from the cluster that kubectl would take; what may not be read is told in a note.

    Raises:
        UnreadableError: there are no credentials, or the API server can't be reached or answers nonsense.
    """
    try:
        chosen = find(environ, home=Path.home(), kubeconfig=Path(kubeconfig) if kubeconfig else None, context=context)
        return asyncio.run(_read_all(chosen, namespace))
    except (CredentialsError, ApiError) as error:
        raise UnreadableError(str(error)) from error


async def _read_all(chosen: Credentials, namespace: str) -> Present:
    async with KubeClient(chosen, agent="metallb-validate", timeout_s=_TIMEOUT_S) as client:
        lists = [_read(client, resource, model, namespace) for resource, model in _KINDS.items()]
        parts = await asyncio.gather(*lists)
    objects: Objects = {}
    notes: list[str] = []
    for part, told in parts:
        objects |= part or {}
        notes += told
    secrets, _ = parts[list(_KINDS).index(resources.SECRETS)]
    return Present(objects, secrets_known=secrets is not None, notes=tuple(notes))


async def _read(
    client: KubeClient, resource: Resource, model: type[Any], namespace: str
) -> tuple[Objects | None, list[str]]:
    """The objects of a kind (None: unknown), and what is to be noted about them."""
    own = resource.namespaced and resource is not resources.SERVICES
    try:
        page = await client.list(resource, decoder=Decoder(model), namespace=namespace if own else "")
    except (ForbiddenError, NotFoundError) as error:
        return None, [f"{resource} of the cluster can't be read, and are left out: {error.message}"]
    named = {ObjectName(resource.kind, each.metadata.namespace, each.metadata.name): each for each in page.items}
    return named, [f"{resource.kind} {each.key} of the cluster can't be read: {each.error}" for each in page.unreadable]
