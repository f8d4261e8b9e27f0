"""Services and EndpointSlices with what an announcement needs of them, and no more: there are thousands on each node.

They are the types of `api.core`; a field that is not needed has a name here that no object has, so it stays at its
default: 3 MiB less at 5,000 Services.
"""

from __future__ import annotations

from msgspec import field

from metallb.api.core import EndpointSlice, ObjectMeta, Service, ServicePort, ServiceSpec


class LeanSpec(ServiceSpec, frozen=True):
    """Type, class and traffic policy."""

    cluster_ip: str = field(default="", name="-clusterIP")
    cluster_ips: tuple[str, ...] = field(default=(), name="-clusterIPs")
    ip_families: tuple[str, ...] = field(default=(), name="-ipFamilies")
    ip_family_policy: str = field(default="", name="-ipFamilyPolicy")
    ports: tuple[ServicePort, ...] = field(default=(), name="-ports")
    selector: dict[str, str] = field(default_factory=dict, name="-selector")
    load_balancer_ip: str = field(default="", name="-loadBalancerIP")


class LeanService(Service, frozen=True):
    """Whole but for its spec: events refer to it, selectors look at its labels."""

    spec: LeanSpec = LeanSpec()


class LeanMeta(ObjectMeta, frozen=True):
    """Name, version, labels."""

    uid: str = field(default="", name="-uid")
    generation: int = field(default=0, name="-generation")
    annotations: dict[str, str] = field(default_factory=dict, name="-annotations")
    creation_timestamp: str | None = field(default=None, name="-creationTimestamp")


class LeanSlice(EndpointSlice, frozen=True):
    """The endpoints and whose they are."""

    metadata: LeanMeta = LeanMeta()
