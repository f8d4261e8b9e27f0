"""What a Service's spec says about it: pure questions that defaults, rules and allocation share."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin.fields import items
from kubelab.objects import Object

HEADLESS: Final = "None"
"""The cluster IP of a Service without one."""

INTERNAL_TYPES: Final = frozenset({"ClusterIP", "NodePort", "LoadBalancer"})
"""Types that have a cluster IP."""

ALL_TYPES: Final = INTERNAL_TYPES | {"ExternalName"}
"""All types of Services."""


def cluster_ips(spec: Object) -> list[str]:
    """The cluster IPs, primary first."""
    return items(spec.get("clusterIPs"))


def is_headless(spec: Object) -> bool:
    """Whether it has no cluster IP by its own wish."""
    return cluster_ips(spec) == [HEADLESS]


def needs_cluster_ip(spec: Object) -> bool:
    """Whether its type comes with a cluster IP."""
    return spec.get("type") in INTERNAL_TYPES


def allocates_node_ports(spec: Object) -> bool:
    """Whether ports that ask for none get a node port."""
    kind = spec.get("type")
    return kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)


def may_have_node_ports(spec: Object) -> bool:
    """Whether its ports may name node ports."""
    return spec.get("type") in {"NodePort", "LoadBalancer"}


def needs_health_check_port(spec: Object) -> bool:
    """Whether nodes tell by a port of their own if they have endpoints of it (`externalTrafficPolicy: Local`)."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def is_externally_accessible(spec: Object) -> bool:
    """Whether traffic from outside of the cluster can reach it."""
    kind = spec.get("type")
    return kind in {"NodePort", "LoadBalancer"} or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def node_ports(spec: Object) -> list[int]:
    """The node ports of its ports."""
    return [port["nodePort"] for port in items(spec.get("ports")) if port.get("nodePort")]


def same(first: Object, second: Object, field: str) -> bool:
    """Whether a field is equal in both, absent and empty being the same."""
    return bool((first.get(field) or None) == (second.get(field) or None))
