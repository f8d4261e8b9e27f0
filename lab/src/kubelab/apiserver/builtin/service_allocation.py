"""Cluster IPs and node ports of Services: which families a Service gets, and addresses and ports for it (KEP-563)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from kubelab.apiserver.builtin import claims, fields, names
from kubelab.apiserver.builtin.claims import Claims, Holder
from kubelab.apiserver.builtin.fields import items
from kubelab.apiserver.builtin.service_facts import (
    HEADLESS,
    allocates_node_ports,
    cluster_ips,
    is_headless,
    may_have_node_ports,
    needs_cluster_ip,
    needs_health_check_port,
    node_ports,
    same,
)
from kubelab.apiserver.builtin.service_rules import cluster_ip_errors
from kubelab.apiserver.errors import ApiError, FieldError, invalid
from kubelab.apiserver.resources import Context, Reader, Settings
from kubelab.objects import GroupResource, Object

SERVICES: Final = GroupResource("", "services")
_SHARED: Final = "service allocation"
_OTHER: Final = {"IPv4": "IPv6", "IPv6": "IPv4"}
_BOTH: Final = 2


class Allocation:
    """The claims of all Services of a cluster, by family for addresses; one a server, rebuilt from what is stored."""

    def __init__(self, settings: Settings, reader: Reader) -> None:
        self._reader = reader
        self.addresses: dict[str, Claims] = {}
        for text in settings.service_cidrs:
            network = ipaddress.ip_network(text)
            first, last = int(network.network_address) + 1, int(network.broadcast_address)
            last -= network.version == 4  # noqa: PLR2004  # the broadcast address of IPv4
            band = claims.reserved_band(last - first + 1, 16, 256)
            self.addresses[f"IPv{network.version}"] = Claims(first, last, band, self._holds_address)
        low, high = settings.node_ports
        self.port_range = f"{low}-{high}"
        self.ports = Claims(low, high, claims.reserved_band(high - low + 1, 32, 128), self._holds_port)
        for service in reader.list(SERVICES):
            self.confirm(service)

    @property
    def families(self) -> list[str]:
        """The families of the cluster, the primary one first."""
        return list(self.addresses)

    def confirm(self, service: Object) -> None:
        """Note what a stored Service holds."""
        holder = _holder(service)
        for pool, number in self._held_by(service["spec"]):
            pool.confirm(number, holder)

    def release(self, service: Object) -> None:
        """Give back what a Service that is gone held."""
        holder = _holder(service)
        for pool, number in self._held_by(service["spec"]):
            pool.release(number, holder)

    def _held_by(self, spec: Object) -> Iterator[tuple[Claims, int]]:
        for text in cluster_ips(spec):
            address = names.parse_address(text)
            if address is not None and (pool := self.addresses.get(f"IPv{address.version}")) is not None:
                yield pool, int(address)
        for port in _all_ports(spec):
            yield self.ports, port

    def _stored_spec(self, holder: Holder) -> Object:
        service = self._reader.get(SERVICES, *holder)
        return {} if service is None else service["spec"]

    def _holds_address(self, holder: Holder, number: int) -> bool:
        held = cluster_ips(self._stored_spec(holder))
        return any(text != HEADLESS and int(ipaddress.ip_address(text)) == number for text in held)

    def _holds_port(self, holder: Holder, number: int) -> bool:
        return number in _all_ports(self._stored_spec(holder))


def allocation(context: Context) -> Allocation:
    """The server's allocation, made from storage when first asked for."""
    found = context.shared.get(_SHARED)
    if found is None:
        found = context.shared[_SHARED] = Allocation(context.settings, context.reader)
    assert isinstance(found, Allocation)
    return found


def _holder(service: Object) -> Holder:
    metadata = service["metadata"]
    return metadata.get("namespace", ""), metadata.get("name", "")


def _all_ports(spec: Object) -> list[int]:
    ports = node_ports(spec)
    if spec.get("healthCheckNodePort"):
        ports.append(spec["healthCheckNodePort"])
    return ports


def allocate(service: Object, old: Object | None, context: Context) -> None:
    """Give a new or changed Service its families, addresses and ports.

    Raises:
        ApiError: 422 where what it asks for can't be had, 500 where a range is full.
    """
    held = allocation(context)
    if old is not None:
        held.confirm(old)
    _settle_families(service, old, held.families)
    work = _Work(service, context, held)
    work.give_addresses(old)
    if may_have_node_ports(service["spec"]):
        work.give_node_ports(old)
    work.give_health_check_port(old)


def _refuse(service: Object, *errors: FieldError) -> ApiError:
    return invalid("", "Service", service["metadata"].get("name", ""), errors)


def _is_settled(spec: Object, old: Object) -> bool:
    """A Service that prefers two families is not changed on its way by, though the cluster's families may have."""
    kept = ("ipFamilyPolicy", "clusterIP", "clusterIPs", "ipFamilies")
    return (
        spec.get("ipFamilyPolicy") == "PreferDualStack"
        and needs_cluster_ip(old)
        and all(same(spec, old, field) for field in kept)
    )


def _settle_families(service: Object, old: Object | None, families: list[str]) -> None:
    spec = service["spec"]
    before = old["spec"] if old is not None else None
    if spec.get("type") == "ExternalName" or (before is not None and _is_settled(spec, before)):
        return
    open_headless = spec.get("clusterIP") == HEADLESS and not spec.get("selector")
    if spec.get("ipFamilyPolicy") is None:
        adopted = before.get("ipFamilyPolicy") if before is not None else None
        spec["ipFamilyPolicy"] = adopted or ("RequireDualStack" if open_headless else "SingleStack")
    if errors := cluster_ip_errors(spec):
        raise _refuse(service, *errors)
    errors = _reduced(spec, before) if before is not None else []
    errors += _policy_errors(spec)
    errors += _inferred_families(spec, families)
    if not errors and not open_headless:
        errors = _unavailable(spec, families)
    if errors:
        raise _refuse(service, *errors)
    if not spec.get("ipFamilies"):
        spec["ipFamilies"] = families[:1]
    wants_both = spec["ipFamilyPolicy"] != "SingleStack" and (open_headless or len(families) == _BOTH)
    if wants_both and len(spec["ipFamilies"]) == 1:
        spec["ipFamilies"].append(_OTHER[spec["ipFamilies"][0]])


def _reduced(spec: Object, before: Object) -> list[FieldError]:
    """Drop the secondary address and family of a Service turned single; refuse a drop without that word."""
    policy = spec["ipFamilyPolicy"]
    errors: list[FieldError] = []
    for field, word in (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")):
        new, held = items(spec.get(field)), items(before.get(field))
        if policy == "SingleStack":
            if new == held and len(new) > 1:
                spec[field] = new[:1]
        elif len(held) == _BOTH and len(new) == 1 and new[0] == held[0]:
            sentence = f"must be 'SingleStack' to release the secondary {word}"
            errors.append(fields.invalid("spec.ipFamilyPolicy", policy, sentence))
    return errors


def _policy_errors(spec: Object) -> list[FieldError]:
    policy = spec["ipFamilyPolicy"]
    if policy != "SingleStack":
        return []
    return [
        fields.invalid(
            "spec.ipFamilyPolicy",
            policy,
            f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {word} are specified",
        )
        for field, word in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families"))
        if len(items(spec.get(field))) == _BOTH
    ]


def _inferred_families(spec: Object, families: list[str]) -> list[FieldError]:
    """Add the families of the addresses asked for."""
    wanted = list(items(spec.get("ipFamilies")))
    addresses = cluster_ips(spec)
    errors: list[FieldError] = []
    if not is_headless(spec):
        for number in range(len(wanted), len(addresses)):
            family = ipaddress.ip_address(addresses[number]).version
            if f"IPv{family}" in families:
                wanted.append(f"IPv{family}")
            else:
                sentence = f"IPv{family} is not configured on this cluster"
                errors.append(fields.invalid(f"spec.clusterIPs[{number}]", addresses, sentence))
    if wanted:
        spec["ipFamilies"] = wanted
    return errors


def _unavailable(spec: Object, families: list[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    policy = spec["ipFamilyPolicy"]
    if policy == "RequireDualStack" and len(families) < _BOTH:
        sentence = "this cluster is not configured for dual-stack services"
        errors.append(fields.invalid("spec.ipFamilyPolicy", policy, sentence))
    for number, family in enumerate(items(spec.get("ipFamilies"))):
        if family not in families:
            errors.append(fields.invalid(f"spec.ipFamilies[{number}]", family, "not configured on this cluster"))
    return errors


class _Work:
    """One allocation for one Service."""

    def __init__(self, service: Object, context: Context, held: Allocation) -> None:
        self._service = service
        self._spec: Object = service["spec"]
        self._context = context
        self._held = held
        self._keep = not context.dry_run
        self._holder: Holder = (context.namespace, service["metadata"].get("name", ""))

    def give_addresses(self, old: Object | None) -> None:
        """An address for each family that has none yet."""
        spec = self._spec
        if not needs_cluster_ip_or_unknown(spec) or is_headless(spec):
            return
        before = cluster_ips(old["spec"]) if old is not None else []
        if before == [HEADLESS]:
            return
        addresses = list(cluster_ips(spec))
        for number, family in enumerate(items(spec.get("ipFamilies"))):
            if number >= len(addresses):
                addresses.append(self._next_address(family))
            elif addresses[number] not in before and not before[number : number + 1]:
                self._take_address(family, addresses[number], addresses)
        if addresses:
            spec["clusterIP"], spec["clusterIPs"] = addresses[0], addresses

    def _next_address(self, family: str) -> str:
        pool = self._held.addresses[family]
        number = self._next(pool, "serviceIP")
        address = str(ipaddress.IPv4Address(number) if family == "IPv4" else ipaddress.IPv6Address(number))
        if not self._holder[1]:
            # The real server records each address as an object that names its Service, and so stumbles here first.
            problem = f'failed to allocate IP: IPAddress.networking.k8s.io "{address}" is invalid: '
            raise _refuse(
                self._service, fields.invalid("spec.clusterIPs", [""], problem + "spec.parentRef.name: Required value")
            )
        return address

    def _next(self, pool: Claims, what: str) -> int:
        try:
            return pool.next(self._holder, self._context.now, self._context.draw, keep=self._keep)
        except claims.FullError:
            problem = f"Internal error occurred: failed to allocate a {what}: range is full"
            raise ApiError(500, "InternalError", problem) from None

    def _take_address(self, family: str, text: str, addresses: list[str]) -> None:
        try:
            number = int(ipaddress.ip_address(text))
            self._held.addresses[family].take(number, self._holder, self._context.now, keep=self._keep)
        except (claims.OutOfRangeError, claims.TakenError) as error:
            taken = isinstance(error, claims.TakenError)
            why = (
                "provided IP is already allocated" if taken else "the provided network does not match the current range"
            )
            problem = f"failed to allocate IP {text}: {why}"
            raise _refuse(self._service, fields.invalid("spec.clusterIPs", addresses, problem)) from None

    def give_node_ports(self, old: Object | None) -> None:
        """Node ports; ports of equal number share one, whatever their protocol."""
        before = set(node_ports(old["spec"])) if old is not None else set()
        shared: dict[int, int] = {}
        automatic = allocates_node_ports(self._spec)
        ports = items(self._spec.get("ports"))
        for number, port in enumerate(ports):
            wanted = port.get("nodePort") or 0
            if not wanted and not automatic:
                continue
            wanted = wanted or shared.get(port.get("port", 0)) or _requested(port, ports)
            if wanted:
                if wanted not in before:
                    self._take_port(wanted, f"spec.ports[{number}].nodePort")
            else:
                wanted = self._next(self._held.ports, "nodePort")
            port["nodePort"] = wanted
            shared.setdefault(port.get("port", 0), wanted)

    def _take_port(self, port: int, path: str) -> None:
        try:
            self._held.ports.take(port, self._holder, self._context.now, keep=self._keep)
        except claims.TakenError:
            raise _refuse(self._service, fields.invalid(path, port, "provided port is already allocated")) from None
        except claims.OutOfRangeError:
            problem = f"provided port is not in the valid range. The range of valid ports is {self._held.port_range}"
            raise _refuse(self._service, fields.invalid(path, port, problem)) from None

    def give_health_check_port(self, old: Object | None) -> None:
        """The port by which nodes tell whether they have endpoints."""
        if not needs_health_check_port(self._spec) or (old is not None and needs_health_check_port(old["spec"])):
            return
        wanted = self._spec.get("healthCheckNodePort") or 0
        if not wanted:
            self._spec["healthCheckNodePort"] = self._next(self._held.ports, "HealthCheck NodePort")
            return
        try:
            self._held.ports.take(wanted, self._holder, self._context.now, keep=self._keep)
        except (claims.TakenError, claims.OutOfRangeError) as error:
            why = (
                "provided port is already allocated"
                if isinstance(error, claims.TakenError)
                else f"provided port is not in the valid range. The range of valid ports is {self._held.port_range}"
            )
            problem = f"failed to allocate requested HealthCheck NodePort {wanted}: {why}"
            raise ApiError(500, "InternalError", f"Internal error occurred: {problem}") from None


def needs_cluster_ip_or_unknown(spec: Object) -> bool:
    """All but ExternalName: a type nobody knows is refused after allocation, as the real server does."""
    return spec.get("type") != "ExternalName"


def _requested(port: Object, ports: list[Object]) -> int:
    """A node port that another port of the same number asks for."""
    return next((one["nodePort"] for one in ports if one.get("port") == port.get("port") and one.get("nodePort")), 0)
