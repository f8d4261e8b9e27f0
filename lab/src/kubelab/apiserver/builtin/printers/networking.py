"""Services, endpoints and network policies in tables."""

from __future__ import annotations

from collections.abc import Iterable

from kubelab.apiserver.builtin import selectors
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.printers.ages import age
from kubelab.objects import Json, Object

_SHOWN = 3
"""How many items of a list a cell shows."""


def service(obj: Object, now: str) -> list[Json]:
    """Name, Type, Cluster-IP, External-IP, Port(s), Age; Selector."""
    spec, metadata = obj["spec"], obj["metadata"]
    addresses = items(spec.get("clusterIPs"))
    return [
        metadata["name"],
        spec.get("type", ""),
        addresses[0] if addresses else "<none>",
        _external(obj),
        ",".join(_port(port) for port in items(spec.get("ports"))) or "<none>",
        age(metadata.get("creationTimestamp"), now),
        selectors.shown_labels(spec.get("selector")),
    ]


def _port(port: Object) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node_port}/{port.get('protocol', '')}"


def _external(obj: Object) -> str:
    spec = obj["spec"]
    kind = spec.get("type")
    external = items(spec.get("externalIPs"))
    if kind == "ExternalName":
        return str(spec.get("externalName", ""))
    if kind == "LoadBalancer":
        points = items(entries(entries(obj.get("status")).get("loadBalancer")).get("ingress"))
        given = sorted({point.get("ip") or point.get("hostname") for point in points} - {None, ""})
        return ",".join([*given, *external]) or "<pending>"
    if kind in {"ClusterIP", "NodePort"}:
        return ",".join(external) or "<none>"
    return "<unknown>"


def _list(values: Iterable[str], nothing: str) -> str:
    every = list(values)
    more = f" + {len(every) - _SHOWN} more..." if len(every) > _SHOWN else ""
    return (",".join(every[:_SHOWN]) + more) or nothing


def endpoints(obj: Object, now: str) -> list[Json]:
    """Name, Endpoints, Age."""
    found: list[str] = []
    for subset in items(obj.get("subsets")):
        addresses = [address.get("ip", "") for address in items(subset.get("addresses"))]
        ports = items(subset.get("ports"))
        if not ports:
            found += addresses
        for port in ports:
            found += [_host_port(address, port.get("port", 0)) for address in addresses]
    nothing = "<none>" if not items(obj.get("subsets")) else ""
    return [obj["metadata"]["name"], _list(found, nothing), age(obj["metadata"].get("creationTimestamp"), now)]


def _host_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def endpoint_slice(obj: Object, now: str) -> list[Json]:
    """Name, AddressType, Ports, Endpoints, Age."""
    ports = (str(port.get("port") or port.get("name") or "*") for port in items(obj.get("ports")))
    addresses = (one for endpoint in items(obj.get("endpoints")) for one in items(endpoint.get("addresses")))
    return [
        obj["metadata"]["name"],
        obj.get("addressType", ""),
        _list(ports, "<unset>"),
        _list(addresses, "<unset>"),
        age(obj["metadata"].get("creationTimestamp"), now),
    ]


def network_policy(obj: Object, now: str) -> list[Json]:
    """Name, Pod-Selector, Age."""
    selector = entries(obj.get("spec")).get("podSelector")
    return [obj["metadata"]["name"], selectors.shown(selector), age(obj["metadata"].get("creationTimestamp"), now)]
