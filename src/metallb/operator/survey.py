"""Asks the cluster what an operator before this one has left, once; see `metallb.operator.inherited`."""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec.json import Decoder

from metallb.kube.client import KubeClient
from metallb.kube.errors import ForbiddenError, NotFoundError, UnauthorizedError
from metallb.kube.resources import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    NETWORK_POLICIES,
    POD_MONITORS,
    PROMETHEUS_RULES,
    SECRETS,
    SERVICE_MONITORS,
    SERVICES,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
    Resource,
)
from metallb.kube.trust import only
from metallb.operator.inherited import Found, Inherited, inherited

KINDS: Final = (
    *(DAEMON_SETS, DEPLOYMENTS, CONFIG_MAPS, NETWORK_POLICIES, SERVICES),
    *(SERVICE_MONITORS, POD_MONITORS, PROMETHEUS_RULES),
)
"""Kinds of which all objects in the namespace are looked at."""

NAMED: Final = (
    (SECRETS, "frr-k8s-webhook-server-cert"),
    (VALIDATING_WEBHOOK_CONFIGURATIONS, "frr-k8s-validating-webhook-configuration"),
)
"""Objects of kinds that hold too much of others to be listed."""

_FOUND: Final = Decoder(Found)


async def survey(client: KubeClient, namespace: str) -> list[Inherited]:
    """What is there that an operator has made, in the namespace and beside it.

    Kinds that the cluster does not have, or does not show us, hold nothing for us.

    Raises:
        ApiError: the cluster does not answer.
    """
    looks = [look(client, kind, namespace) for kind in KINDS]
    looks += [look(client, kind, namespace if kind.namespaced else "", name) for kind, name in NAMED]
    return [each for found in await asyncio.gather(*looks) for each in found]


async def look(client: KubeClient, kind: Resource, namespace: str, name: str = "") -> list[Inherited]:
    """The objects of one kind that an operator has made; with a name only that one.

    Raises:
        ApiError: the cluster does not answer.
    """
    try:
        selector = only(name) if name else ""
        page = await client.list(kind, decoder=_FOUND, namespace=namespace, field_selector=selector)
    except UnauthorizedError:
        raise
    except (NotFoundError, ForbiddenError):
        return []
    return list(inherited(kind, page.items))
