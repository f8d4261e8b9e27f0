"""FRR-K8s by OpenShift's network operator: is it new enough, and does it know that we want it? (spec/operator.md 2.6).

Sources: config.openshift.io/v1 ClusterOperator, operator.openshift.io/v1 Network, Semantic Versioning 2.0.0 section 11.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final, TypeAlias

from msgspec.json import Decoder

from metallb.api.core import Model, ObjectMeta
from metallb.kube.client import KubeClient
from metallb.kube.errors import ConflictError
from metallb.kube.objects import BARE
from metallb.kube.resources import CLUSTER_OPERATORS, NETWORKS, Resource
from metallb.kube.trust import only
from metallb.operator.conditions import Degraded, Progressing

OPERATOR: Final = "network"
NETWORK: Final = "cluster"
FRR: Final = "FRR"
UNKNOWN: Final = "NetworkOperatorUnknown"
LOOK_AGAIN_S: Final = 120.0
"""How soon an older network operator is looked at again: its upgrade takes many minutes."""

TRIES: Final = 3
"""How often the Network is asked for when somebody else writes it at the same time."""

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")

Precedence: TypeAlias = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


class Operand(Model, frozen=True):
    """config.openshift.io/v1 OperandVersion."""

    name: str = ""
    version: str = ""


class ClusterOperatorStatus(Model, frozen=True):
    """config.openshift.io/v1 ClusterOperatorStatus."""

    versions: tuple[Operand, ...] = ()


class ClusterOperator(Model, frozen=True):
    """config.openshift.io/v1 ClusterOperator."""

    metadata: ObjectMeta = ObjectMeta()
    status: ClusterOperatorStatus = ClusterOperatorStatus()


class Capabilities(Model, frozen=True):
    """operator.openshift.io/v1 AdditionalRoutingCapabilities."""

    providers: tuple[str, ...] = ()


class NetworkSpec(Model, frozen=True):
    """operator.openshift.io/v1 NetworkSpec."""

    additional_routing_capabilities: Capabilities | None = None


class Network(Model, frozen=True):
    """operator.openshift.io/v1 Network."""

    metadata: ObjectMeta = ObjectMeta()
    spec: NetworkSpec = NetworkSpec()


_OPERATOR: Final = Decoder(ClusterOperator)
_NETWORK: Final = Decoder(Network)


def precedence(version: str) -> Precedence | None:
    """What a version is compared by; None: it is none."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return None
    major, minor, patch, before = found.groups()
    names = before.split(".") if before else []
    parts = tuple((not each.isdecimal(), int(each) if each.isdecimal() else 0, each) for each in names)
    return int(major), int(minor), int(patch), not names, parts


def hindrance(found: ClusterOperator | None, minimum: str) -> Progressing | Degraded | None:
    """Why FRR-K8s can't be had of this network operator; None: it can.

    Args:
        found: the ClusterOperator `network`; None: there is none.
        minimum: the oldest version that brings it; empty: any.
    """
    versions = found.status.versions if found is not None else ()
    version = next((each.version for each in versions if each.name == "operator"), None)
    if version is None:
        return Degraded(UNKNOWN, 'ClusterOperator network: failed to find "operator" in network operator versions')
    known, least = precedence(version), precedence(minimum)
    if known is None:
        return Degraded(UNKNOWN, f"ClusterOperator network: its operator's version {version!r} is none")
    if least is not None and known < least:
        return Progressing(
            f"ClusterOperator network: FRR-K8s comes with version {minimum}, it is at {version}; what runs goes on"
        )
    return None


def request(network: Network) -> dict[str, Any] | None:
    """The merge patch by which FRR is asked for, beside what others ask for; None: it is asked for already."""
    known = network.spec.additional_routing_capabilities
    providers = known.providers if known is not None else ()
    if FRR in providers:
        return None
    return {
        "metadata": {"resourceVersion": network.metadata.resource_version},
        "spec": {"additionalRoutingCapabilities": {"providers": [*providers, FRR]}},
    }


async def ask(client: KubeClient, minimum: str) -> Progressing | Degraded | None:
    """Sees to it that the network operator deploys FRR-K8s; tells what is in the way.

    Raises:
        ApiError: the cluster does not answer; a conflict: others write the Network again and again.
    """
    waits = hindrance(await _one(client, CLUSTER_OPERATORS, OPERATOR, _OPERATOR), minimum)
    if waits is not None:
        return waits
    for _ in range(TRIES - 1):
        with contextlib.suppress(ConflictError):
            return await _request(client)
    return await _request(client)


async def _request(client: KubeClient) -> Degraded | None:
    network = await _one(client, NETWORKS, NETWORK, _NETWORK)
    if network is None:
        return Degraded(UNKNOWN, f"there is no Network {NETWORK} to ask for FRR-K8s")
    patch = request(network)
    if patch is not None:
        await client.merge_patch(NETWORKS, NETWORK, patch, decoder=BARE)
    return None


async def _one(client: KubeClient, kind: Resource, name: str, decoder: Decoder[Any]) -> Any:
    page = await client.list(kind, decoder=decoder, field_selector=only(name))
    return next(iter(page.items), None)
