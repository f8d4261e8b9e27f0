"""Services and EndpointSlices as the proxy reads them: frozen values, every address parsed.

Only what a rule is made of is kept. What cannot be parsed is left out, so nothing a user wrote reaches a rule as text
(field meanings: kubernetes.io/docs/reference/kubernetes-api/service-resources).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from kubelab.objects import Json, Object

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
_PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class ServiceKey(NamedTuple):
    """Namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a service; `node_port` 0 is none. `protocol` is tcp, udp or sctp."""

    name: str
    protocol: str
    port: int
    node_port: int


@dataclass(frozen=True, slots=True)
class Service:
    """What the proxy does for one service. Addresses of both families stand side by side."""

    key: ServiceKey
    ports: tuple[ServicePort, ...]
    cluster_ips: tuple[Address, ...]
    external_ips: tuple[Address, ...] = ()
    balancer_ips: tuple[Address, ...] = ()
    external_local: bool = False
    internal_local: bool = False
    affinity: bool = False
    source_ranges: tuple[Network, ...] = ()
    health_port: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address behind a service. `ready` takes new connections; `draining` still serves but is about to go."""

    address: Address
    node: str
    ready: bool
    draining: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """One EndpointSlice: endpoints that all have the same ports, found by (port name, protocol)."""

    endpoints: tuple[Endpoint, ...]
    ports: tuple[tuple[str, str, int], ...]

    def port(self, name: str, protocol: str) -> int | None:
        """The endpoints' number of a port, None if this slice does not have it."""
        return next((number for known, kind, number in self.ports if (known, kind) == (name, protocol)), None)


def service_key(obj: Object) -> ServiceKey:
    """Which service a Service object is, or an EndpointSlice belongs to."""
    meta = obj.get("metadata") or {}
    labels = meta.get("labels") or {}
    name = labels.get(SERVICE_NAME_LABEL, "") if obj.get("kind") == "EndpointSlice" else meta.get("name", "")
    return ServiceKey(str(meta.get("namespace") or ""), str(name))


def parse_service(obj: Object) -> Service | None:
    """A service that has something to be proxied, else None (headless, ExternalName, unusable name)."""
    key, spec = service_key(obj), obj.get("spec") or {}
    kind = spec.get("type") or "ClusterIP"
    cluster_ips = tuple(_addresses(spec.get("clusterIPs") or [spec.get("clusterIP")]))
    if kind == "ExternalName" or not cluster_ips or not (_NAME.fullmatch(key.name) and _NAME.fullmatch(key.namespace)):
        return None
    local = spec.get("externalTrafficPolicy") == "Local"
    return Service(
        key=key,
        ports=tuple(_service_ports(spec.get("ports"), with_node_ports=kind in {"NodePort", "LoadBalancer"})),
        cluster_ips=cluster_ips,
        external_ips=tuple(_addresses(spec.get("externalIPs"))),
        balancer_ips=tuple(_balancer_ips(obj)) if kind == "LoadBalancer" else (),
        external_local=local,
        internal_local=spec.get("internalTrafficPolicy") == "Local",
        affinity=spec.get("sessionAffinity") == "ClientIP",
        source_ranges=tuple(_networks(spec.get("loadBalancerSourceRanges"))) if kind == "LoadBalancer" else (),
        health_port=_port(spec.get("healthCheckNodePort")) if kind == "LoadBalancer" and local else 0,
    )


def parse_slice(obj: Object) -> Slice:
    """An EndpointSlice; one of host names (addressType FQDN) has no endpoints here."""
    endpoints = [parsed for item in obj.get("endpoints") or [] for parsed in _endpoints(item)]
    ports = [
        (str(item.get("name") or ""), _PROTOCOLS.get(item.get("protocol") or "TCP", ""), _port(item.get("port")))
        for item in obj.get("ports") or []
    ]
    return Slice(tuple(endpoints), tuple(port for port in ports if port[1] and port[2]))


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from their CIDR texts; host bits are allowed.

    Raises:
        ValueError: a text is no network.
    """
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _service_ports(items: Json, *, with_node_ports: bool) -> Iterator[ServicePort]:
    for item in items or []:
        protocol, number = _PROTOCOLS.get(item.get("protocol") or "TCP"), _port(item.get("port"))
        if protocol and number:
            node_port = _port(item.get("nodePort")) if with_node_ports else 0
            yield ServicePort(str(item.get("name") or ""), protocol, number, node_port)


def _balancer_ips(obj: Object) -> Iterator[Address]:
    """Addresses that this node answers for; `ipMode: Proxy` says that somebody else terminates them (KEP-1860)."""
    for ingress in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []:
        if ingress.get("ipMode") != "Proxy":
            yield from _addresses([ingress.get("ip")])


def _endpoints(item: Object) -> Iterator[Endpoint]:
    """The first address only: all addresses of an endpoint are the same pod (kube-proxy does the same)."""
    conditions = item.get("conditions") or {}
    ready = conditions.get("ready")
    serving = conditions.get("serving")
    draining = bool(conditions.get("terminating")) and bool(ready if serving is None else serving)
    for address in list(_addresses(item.get("addresses")))[:1]:
        yield Endpoint(address, str(item.get("nodeName") or ""), ready is None or bool(ready), draining)


def _addresses(texts: Json) -> Iterator[Address]:
    for text in texts or []:
        try:
            yield ipaddress.ip_address(str(text))
        except ValueError:
            continue  # "None" of a headless service, a host name, nothing


def _networks(texts: Json) -> Iterator[Network]:
    for text in texts or []:
        try:
            yield ipaddress.ip_network(str(text).strip(), strict=False)
        except ValueError:
            continue


def _port(value: Json) -> int:
    return value if isinstance(value, int) and 0 < value < 65536 else 0  # noqa: PLR2004  # the largest port
