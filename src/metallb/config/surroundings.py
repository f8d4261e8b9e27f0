"""What a change may touch outside of the configuration: nodes, Services, Secrets, with only the facts that count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from metallb.api.core import Node, Secret, Service
from metallb.api.net import Address, Range, ServiceKey
from metallb.config.selectors import Labels


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node as other traffic reaches it.

    Attributes:
        addresses: of the node itself.
        pod_ranges: where its pods get their addresses from.
    """

    addresses: tuple[Address, ...] = ()
    pod_ranges: tuple[Range, ...] = ()

    @classmethod
    def of(cls, node: Node) -> NodeFacts:
        """From the API's object; what is no address is left out."""
        cidrs = node.spec.pod_cidrs or ((node.spec.pod_cidr,) if node.spec.pod_cidr else ())
        return cls(tuple(_addresses(each.address for each in node.status.addresses)), tuple(parse_ranges(cidrs)))


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A Service and its addresses.

    Attributes:
        labels: of the Service.
        held: addresses that it has from a pool.
        cluster_ips: its addresses inside the cluster.
    """

    labels: Labels = field(default_factory=dict)
    held: tuple[Address, ...] = ()
    cluster_ips: tuple[Address, ...] = ()

    @classmethod
    def of(cls, service: Service, lb_class: str = "") -> ServiceFacts:
        """From the API's object. One of another load balancer class holds nothing of ours (spec/controller.md 6)."""
        ours = service.spec.type == "LoadBalancer" and (service.spec.load_balancer_class or "") == lb_class
        shown = service.status.load_balancer.ingress if ours else ()
        inside = service.spec.cluster_ips or (service.spec.cluster_ip,)
        return cls(
            labels=service.metadata.labels if ours else {},
            held=tuple(_addresses(each.ip for each in shown)),
            cluster_ips=tuple(_addresses(inside)),
        )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All of it. What is left empty is unknown, and nothing is said about it.

    Attributes:
        nodes: by name. Their labels stand in the `Snapshot`.
        services: of all namespaces.
        secrets: of MetalLB's namespace by name; None: unknown.
    """

    nodes: Mapping[str, NodeFacts] = field(default_factory=dict)
    services: Mapping[ServiceKey, ServiceFacts] = field(default_factory=dict)
    secrets: Mapping[str, Secret] | None = None


def span(address: Address) -> Range:
    """The range of one address."""
    return Range(address.family, address.value, address.value)


def _addresses(texts: Iterable[str]) -> Iterator[Address]:
    for text in texts:
        try:
            yield Address.parse(text)
        except ValueError:
            continue


def parse_ranges(texts: Iterable[str]) -> Iterator[Range]:
    """The CIDRs and ranges that can be read."""
    for text in texts:
        try:
            yield Range.parse(text)
        except ValueError:
            continue
