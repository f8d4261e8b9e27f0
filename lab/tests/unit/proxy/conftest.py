"""Services, slices and a node to make rules of."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from kubelab.proxy.model import networks
from kubelab.proxy.rules import Node


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update` may be another conftest's already."""
    try:
        parser.addoption("--update", action="store_true", help="rewrite golden files")
    except ValueError:
        return


class Examples:
    """Objects as the API server gives them; every argument has a default."""

    node = Node(
        name="worker-1",
        addresses=(ipaddress.ip_address("198.51.100.11"), ipaddress.ip_address("2001:db8:100::11")),
        pod_cidrs=networks(["198.18.1.0/24", "2001:db8:200:1::/64"]),
        cluster_cidrs=networks(["198.18.0.0/17", "2001:db8:200::/56"]),
        service_cidrs=networks(["198.18.128.0/17", "2001:db8:300::/112"]),
    )

    def service(self, name: str = "web", **spec: Any) -> dict[str, Any]:
        ingress = [{"ip": ip} for ip in spec.pop("ingress", [])]
        ports = spec.pop("ports", [{"name": "http", "port": 80, "protocol": "TCP"}])
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": "default", "name": name},
            "spec": {"type": "ClusterIP", "clusterIPs": ["198.18.128.5"], "ports": ports, **spec},
            "status": {"loadBalancer": {"ingress": ingress}},
        }

    def endpoint(self, address: str, node: str = "worker-1", **conditions: bool) -> dict[str, Any]:
        return {"addresses": [address], "nodeName": node, "conditions": {"ready": True, **conditions}}

    def slice(self, *endpoints: dict[str, Any], service: str = "web", **more: Any) -> dict[str, Any]:
        ports = more.pop("ports", [{"name": "http", "port": 8080, "protocol": "TCP"}])
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "namespace": "default",
                "name": more.pop("name", f"{service}-1"),
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "endpoints": list(endpoints),
            "ports": ports,
        }


@pytest.fixture(scope="session")
def examples() -> Examples:
    return Examples()
