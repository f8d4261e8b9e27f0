"""EndpointSlice and Endpoints: what is behind a Service, in the new form and in the old."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.fields import items
from kubelab.apiserver.builtin.kind import Kind, drop_empty, set_default
from kubelab.apiserver.builtin.service_rules import PROTOCOLS
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

_ADDRESS_TYPES: Final = frozenset({"IPv4", "IPv6", "FQDN"})
_MOST_ENDPOINTS: Final = 1000
_MOST_ADDRESSES: Final = 100
_MOST_PORTS: Final = 20000


class EndpointSliceStrategy(Kind):
    """EndpointSlice (discovery.k8s.io/v1)."""

    has_generation = True

    def default(self, obj: Object) -> None:
        """Ports are TCP and have a name, if an empty one."""
        for field in ("endpoints", "ports"):
            obj[field] = items(obj.get(field)) or None
        for port in items(obj["ports"]):
            set_default(port, "name", "")
            set_default(port, "protocol", "TCP")
        for endpoint in items(obj["endpoints"]):
            set_default(endpoint, "conditions", {})

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Addresses are of the slice's type."""
        kind = obj.get("addressType") or ""
        if not kind:
            return [fields.required("addressType")]
        if kind not in _ADDRESS_TYPES:
            return [fields.unsupported("addressType", kind, _ADDRESS_TYPES)]
        endpoints = items(obj.get("endpoints"))
        if len(endpoints) > _MOST_ENDPOINTS:
            return [fields.too_many("endpoints", len(endpoints), _MOST_ENDPOINTS)]
        errors: list[FieldError] = []
        for number, endpoint in enumerate(endpoints):
            errors += _endpoint_errors(endpoint, kind, f"endpoints[{number}]")
        return [*errors, *_port_errors(items(obj.get("ports")))]

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """The type of addresses stays."""
        return fields.immutable("addressType", obj.get("addressType"), old.get("addressType"))


def _endpoint_errors(endpoint: Object, kind: str, path: str) -> list[FieldError]:
    addresses = items(endpoint.get("addresses"))
    if not addresses:
        return [fields.required(f"{path}.addresses", "must contain at least 1 address")]
    if len(addresses) > _MOST_ADDRESSES:
        return [fields.too_many(f"{path}.addresses", len(addresses), _MOST_ADDRESSES)]
    errors: list[FieldError] = []
    for address in addresses:
        place = f"{path}.addresses"
        if kind == "FQDN":
            errors += names.syntax_errors(place, address, names.dns_subdomain)
        elif names.parse_address(address) is None:
            errors.append(fields.invalid(place, address, names.NOT_AN_ADDRESS))
        elif names.family(address) != kind:
            errors.append(fields.invalid(place, address, f"must be an {kind} address"))
    if endpoint.get("nodeName"):
        errors += names.syntax_errors(f"{path}.nodeName", endpoint["nodeName"], names.dns_subdomain)
    return errors


def _port_errors(ports: list[Object]) -> list[FieldError]:
    if len(ports) > _MOST_PORTS:
        return [fields.too_many("ports", len(ports), _MOST_PORTS)]
    errors: list[FieldError] = []
    seen: set[str] = set()
    for number, port in enumerate(ports):
        path = f"ports[{number}]"
        name = port.get("name") or ""
        if name:
            errors += names.syntax_errors(f"{path}.name", name, names.dns_label)
        if name in seen:
            errors.append(fields.duplicate(f"{path}.name", name))
        seen.add(name)
        if port.get("protocol") not in PROTOCOLS:
            errors.append(fields.unsupported(f"{path}.protocol", port.get("protocol"), PROTOCOLS))
        if port.get("port") is not None:
            errors += [fields.invalid(f"{path}.port", port["port"], one) for one in names.port_number(port["port"])]
    return errors


class EndpointsStrategy(Kind):
    """Endpoints (core/v1)."""

    def default(self, obj: Object) -> None:
        """Ports are TCP."""
        drop_empty(obj, "subsets")
        for subset in items(obj.get("subsets")):
            drop_empty(subset, "addresses", "notReadyAddresses", "ports")
            for port in items(subset.get("ports")):
                set_default(port, "protocol", "TCP")

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Subsets have addresses that are some."""
        errors: list[FieldError] = []
        for number, subset in enumerate(items(obj.get("subsets"))):
            errors += _subset_errors(subset, f"subsets[{number}]")
        return errors


def _subset_errors(subset: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not subset.get("addresses") and not subset.get("notReadyAddresses"):
        errors.append(fields.required(path, "must specify `addresses` or `notReadyAddresses`"))
    for field in ("addresses", "notReadyAddresses"):
        for number, address in enumerate(items(subset.get(field))):
            errors += names.address_errors(f"{path}.{field}[{number}].ip", address.get("ip", ""))
    ports = items(subset.get("ports"))
    for number, port in enumerate(ports):
        place = f"{path}.ports[{number}]"
        if len(ports) > 1 and not port.get("name"):
            errors.append(fields.required(f"{place}.name"))
        wanted = port.get("port", 0)
        errors += [fields.invalid(f"{place}.port", wanted, one) for one in names.port_number(wanted)]
        if port.get("protocol") not in PROTOCOLS:
            errors.append(fields.unsupported(f"{place}.protocol", port.get("protocol"), PROTOCOLS))
    return errors
