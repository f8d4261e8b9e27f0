"""Services, EndpointSlices and statuses with what a speaker needs of them, and no more: thousands are on each node.

They are the types of `api.core`; a field that is not needed has a name here that no object has, so it stays at its
default: 6 MiB less at 5,000 Services. What most of them have alike they share from the moment they are read (specs,
endpoints, namespaces): 4 MiB less.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from msgspec import field
from msgspec.structs import force_setattr

from metallb.api.core import (
    Endpoint,
    EndpointSlice,
    Model,
    ObjectMeta,
    OwnerReference,
    Service,
    ServicePort,
    ServiceSpec,
)
from metallb.api.net import ServiceKey
from metallb.api.v1beta1_states import Interface, ServiceL2Status

SHARED: Final = 1024
"""How many different values of one kind are remembered, to be shared; what is forgotten is only not shared."""

_NOTHING: Any = MappingProxyType({})
"""One for all; an empty dict for each object takes 64 bytes."""


class LeanSpec(ServiceSpec, frozen=True):
    """Type, class and traffic policy."""

    cluster_ip: str = field(default="", name="-clusterIP")
    cluster_ips: tuple[str, ...] = field(default=(), name="-clusterIPs")
    ip_families: tuple[str, ...] = field(default=(), name="-ipFamilies")
    ip_family_policy: str = field(default="", name="-ipFamilyPolicy")
    ports: tuple[ServicePort, ...] = field(default=(), name="-ports")
    selector: dict[str, str] = field(default=_NOTHING, name="-selector")
    load_balancer_ip: str = field(default="", name="-loadBalancerIP")


@lru_cache(SHARED)
def _spec(kind: str, policy: str, load_balancer_class: str | None) -> LeanSpec:
    return LeanSpec(type=kind, external_traffic_policy=policy, load_balancer_class=load_balancer_class)


class LeanServiceMeta(ObjectMeta, frozen=True):
    """What events refer to and selectors look at. Annotations may be long: `kubectl apply` puts whole objects there."""

    generation: int = field(default=0, name="-generation")
    annotations: dict[str, str] = field(default=_NOTHING, name="-annotations")
    owner_references: tuple[OwnerReference, ...] = field(default=(), name="-ownerReferences")
    creation_timestamp: str | None = field(default=None, name="-creationTimestamp")

    def __post_init__(self) -> None:
        force_setattr(self, "namespace", sys.intern(self.namespace))


class LeanService(Service, frozen=True):
    """With its whole status."""

    metadata: LeanServiceMeta = LeanServiceMeta()
    spec: LeanSpec = LeanSpec()

    def __post_init__(self) -> None:
        spec = self.spec
        force_setattr(self, "spec", _spec(spec.type, spec.external_traffic_policy, spec.load_balancer_class))


class ServiceLabel(Model, frozen=True):
    """Of all labels the one that names the Service."""

    service_name: str | None = field(default=None, name="kubernetes.io/service-name")


class LeanSliceMeta(ObjectMeta, frozen=True):
    """Name, version, and whose it is."""

    uid: str = field(default="", name="-uid")
    generation: int = field(default=0, name="-generation")
    labels: dict[str, str] = field(default=_NOTHING, name="-labels")
    annotations: dict[str, str] = field(default=_NOTHING, name="-annotations")
    owner_references: tuple[OwnerReference, ...] = field(default=(), name="-ownerReferences")
    creation_timestamp: str | None = field(default=None, name="-creationTimestamp")
    owner: ServiceLabel = field(default=ServiceLabel(), name="labels")

    def __post_init__(self) -> None:
        force_setattr(self, "namespace", sys.intern(self.namespace))


@lru_cache(SHARED)
def _endpoint(found: Endpoint) -> Endpoint:
    """The first that was equal: one node has many, all ready."""
    return found


@lru_cache(SHARED)
def _endpoints(found: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """The first that were equal, themselves shared."""
    return tuple(map(_endpoint, found))


class LeanSlice(EndpointSlice, frozen=True):
    """The endpoints and whose they are."""

    metadata: LeanSliceMeta = LeanSliceMeta()

    def __post_init__(self) -> None:
        if self.endpoints:
            force_setattr(self, "endpoints", _endpoints(self.endpoints))

    @property
    def service(self) -> ServiceKey | None:
        """As of any EndpointSlice."""
        name = self.metadata.owner.service_name
        return None if name is None else ServiceKey(self.metadata.namespace, name)


class LeanOwner(OwnerReference, frozen=True):
    """The uid alone."""

    api_version: str = field(default="", name="-apiVersion")
    kind: str = field(default="", name="-kind")
    name: str = field(default="", name="-name")
    controller: bool | None = field(default=None, name="-controller")
    block_owner_deletion: bool | None = field(default=None, name="-blockOwnerDeletion")


@lru_cache(SHARED)
def _owners(found: tuple[LeanOwner, ...]) -> tuple[LeanOwner, ...]:
    return found


@lru_cache(SHARED)
def _interfaces(found: tuple[Interface, ...]) -> tuple[Interface, ...]:
    return found


class LeanStatusMeta(ObjectMeta, frozen=True):
    """Which it is, and whose."""

    generation: int = field(default=0, name="-generation")
    annotations: dict[str, str] = field(default=_NOTHING, name="-annotations")
    owner_references: tuple[LeanOwner, ...] = ()
    creation_timestamp: str | None = field(default=None, name="-creationTimestamp")

    def __post_init__(self) -> None:
        force_setattr(self, "namespace", sys.intern(self.namespace))
        force_setattr(self, "owner_references", _owners(self.owner_references))


class LeanL2Status(ServiceL2Status, frozen=True):
    """With its whole status."""

    metadata: LeanStatusMeta = LeanStatusMeta()
    spec: dict[str, Any] = field(default=_NOTHING, name="-spec")

    def __post_init__(self) -> None:
        status = self.status
        force_setattr(status, "node", sys.intern(status.node))
        force_setattr(status, "service_namespace", sys.intern(status.service_namespace))
        force_setattr(status, "interfaces", _interfaces(status.interfaces))
