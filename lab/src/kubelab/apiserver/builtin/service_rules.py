"""Rules of Service, in the order and words of kube-apiserver (core `ValidateService`)."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.fields import items
from kubelab.apiserver.builtin.service_facts import (
    ALL_TYPES,
    HEADLESS,
    INTERNAL_TYPES,
    cluster_ips,
    is_externally_accessible,
    is_headless,
    may_have_node_ports,
    needs_health_check_port,
)
from kubelab.apiserver.errors import FieldError
from kubelab.objects import Object

PROTOCOLS: Final = frozenset({"TCP", "UDP", "SCTP"})
FAMILIES: Final = frozenset({"IPv4", "IPv6"})
POLICIES: Final = frozenset({"SingleStack", "PreferDualStack", "RequireDualStack"})
_TRAFFIC: Final = frozenset({"Cluster", "Local"})
_DISTRIBUTIONS: Final = ["PreferClose", "PreferSameZone", "PreferSameNode"]
_ONLY_LOAD_BALANCER: Final = "may only be used when `type` is 'LoadBalancer'"
_LONGEST_AFFINITY_S: Final = 86400
_BOTH_FAMILIES: Final = 2


def service_errors(spec: Object) -> list[FieldError]:
    """Every broken rule of a spec with defaults and addresses."""
    errors: list[FieldError] = []
    for part in (
        _type_errors,
        _ports_errors,
        _selector_errors,
        _affinity_errors,
        cluster_ip_errors,
        _external_ip_errors,
        _type_name_errors,
        _duplicate_port_errors,
        _load_balancer_errors,
        _traffic_errors,
    ):
        errors += part(spec)
    return errors


def _type_errors(spec: Object) -> list[FieldError]:
    errors = []
    kind = spec.get("type")
    headless = is_headless(spec)
    if not spec.get("ports") and not headless and kind != "ExternalName":
        errors.append(fields.required("spec.ports"))
    if headless and kind in {"NodePort", "LoadBalancer"}:
        errors.append(fields.invalid("spec.clusterIPs[0]", HEADLESS, f"may not be set to 'None' for {kind} services"))
    if kind == "ExternalName":
        errors += _external_name_errors(spec)
    return errors


def _external_name_errors(spec: Object) -> list[FieldError]:
    errors = [
        fields.forbidden(f"spec.{field}", "may not be set for ExternalName services")
        for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
        if spec.get(field)
    ]
    target = str(spec.get("externalName") or "").removesuffix(".")
    if not target:
        return [*errors, fields.required("spec.externalName")]
    return [*errors, *names.syntax_errors("spec.externalName", target, names.dns_subdomain)]


def _ports_errors(spec: Object) -> list[FieldError]:
    ports = items(spec.get("ports"))
    seen: set[str] = set()
    errors: list[FieldError] = []
    for number, port in enumerate(ports):
        errors += _port_errors(port, f"spec.ports[{number}]", len(ports) > 1, seen)
    return errors


def _port_errors(port: Object, path: str, named: bool, seen: set[str]) -> list[FieldError]:  # noqa: FBT001  # a private row of arguments
    errors: list[FieldError] = []
    name = port.get("name") or ""
    if name:
        errors += names.syntax_errors(f"{path}.name", name, names.dns_label)
        if name in seen:
            errors.append(fields.duplicate(f"{path}.name", name))
        seen.add(name)
    elif named:
        errors.append(fields.required(f"{path}.name"))
    number = port.get("port", 0)
    errors += [fields.invalid(f"{path}.port", number, problem) for problem in names.port_number(number)]
    errors += protocol_errors(port, path)
    errors += target_port_errors(port.get("targetPort", 0), f"{path}.targetPort")
    protocol = port.get("appProtocol")
    if protocol is not None:
        errors += names.syntax_errors(f"{path}.appProtocol", protocol, names.qualified_name)
    return errors


def protocol_errors(port: Object, path: str) -> list[FieldError]:
    """Errors of a port's protocol."""
    protocol = port.get("protocol") or ""
    if not protocol:
        return [fields.required(f"{path}.protocol")]
    return [] if protocol in PROTOCOLS else [fields.unsupported(f"{path}.protocol", protocol, PROTOCOLS)]


def target_port_errors(target: object, path: str) -> list[FieldError]:
    """Errors of a port given by number or by name."""
    if isinstance(target, str):
        return names.syntax_errors(path, target, names.port_name)
    return [fields.invalid(path, target, problem) for problem in names.port_number(target)]


def _selector_errors(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for key, value in fields.entries(spec.get("selector")).items():
        errors += names.syntax_errors("spec.selector", key, names.qualified_name)
        errors += names.syntax_errors("spec.selector", value, names.label_value)
    return errors


def _affinity_errors(spec: Object) -> list[FieldError]:
    affinity = spec.get("sessionAffinity") or ""
    config = spec.get("sessionAffinityConfig")
    if not affinity:
        return [fields.required("spec.sessionAffinity")]
    if affinity not in {"None", "ClientIP"}:
        return [fields.unsupported("spec.sessionAffinity", affinity, ("ClientIP", "None"))]
    if affinity == "None":
        refused = f"must not be set when session affinity is {affinity}"
        return [] if config is None else [fields.forbidden("spec.sessionAffinityConfig", refused)]
    timeout = fields.entries(fields.entries(config).get("clientIP")).get("timeoutSeconds")
    path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
    if timeout is None:
        return [fields.required(path, "when session affinity type is ClientIP")]
    if not 0 < timeout <= _LONGEST_AFFINITY_S:
        return [fields.invalid(path, timeout, f"must be greater than 0 and less than {_LONGEST_AFFINITY_S}")]
    return []


def cluster_ip_errors(spec: Object) -> list[FieldError]:
    """Errors of cluster IPs, families and family policy; asked before allocation and again after it."""
    if spec.get("type") == "ExternalName":
        return []
    addresses = cluster_ips(spec)
    errors = _primary_errors(spec.get("clusterIP") or "", addresses)
    errors += _family_errors(spec)
    malformed, address_errors = _address_errors(addresses)
    errors += address_errors
    if malformed:
        return errors
    if len(addresses) > 1 and len({names.family(address) for address in addresses}) != len(addresses):
        sentence = "may specify no more than one IP for each IP family"
        errors.append(fields.invalid("spec.clusterIPs", addresses, sentence))
    if not is_headless(spec):
        errors += _expected_family_errors(addresses, items(spec.get("ipFamilies")))
    return errors


def _primary_errors(primary: str, addresses: list[str]) -> list[FieldError]:
    path = "spec.clusterIPs"
    if primary and not addresses:
        return [fields.required(path)]
    if primary and addresses[0] != primary:
        return [fields.invalid(path, addresses, "first value must match `clusterIP`")]
    if addresses and not primary:
        return [fields.invalid(path, addresses, "must be empty when `clusterIP` is not specified")]
    return []


def _family_errors(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    families = items(spec.get("ipFamilies"))
    for number, family in enumerate(families):
        path = f"spec.ipFamilies[{number}]"
        if family not in FAMILIES:
            errors.append(fields.unsupported(path, family, FAMILIES))
        if family in families[:number]:
            errors.append(fields.duplicate(path, family))
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in POLICIES:
        errors.append(fields.unsupported("spec.ipFamilyPolicy", policy, POLICIES))
    return errors


def _address_errors(addresses: list[str]) -> tuple[bool, list[FieldError]]:
    errors: list[FieldError] = []
    for number, address in enumerate(addresses):
        if number or address != HEADLESS:
            errors += names.address_errors(f"spec.clusterIPs[{number}]", address)
        elif len(addresses) > 1:
            errors.append(fields.invalid("spec.clusterIPs", addresses, "'None' must be the first and only value"))
    malformed = bool(errors)
    if len(addresses) > _BOTH_FAMILIES:
        errors.append(fields.invalid("spec.clusterIPs", addresses, "may only hold up to 2 values"))
    return malformed, errors


def _expected_family_errors(addresses: list[str], families: list[str]) -> list[FieldError]:
    return [
        fields.invalid(
            f"spec.clusterIPs[{number}]", address, f"expected an {family} value as indicated by `ipFamilies[{number}]`"
        )
        for number, (address, family) in enumerate(zip(addresses, families, strict=False))
        if family in FAMILIES and names.family(address) != family
    ]


def _external_ip_errors(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, text in enumerate(items(spec.get("externalIPs"))):
        path = f"spec.externalIPs[{number}]"
        address = names.parse_address(text)
        if address is None:
            errors.append(fields.invalid(path, text, names.NOT_AN_ADDRESS))
            continue
        for refused, what in (
            (address.is_unspecified, f"may not be unspecified ({address})"),
            (address.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
            (address.is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
            (
                address.is_multicast and str(address).startswith(("224.0.0.", "ff02:")),
                "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
            ),
        ):
            if refused:
                errors.append(fields.invalid(path, text, what))
    return errors


def _type_name_errors(spec: Object) -> list[FieldError]:
    kind = spec.get("type") or ""
    if not kind:
        return [fields.required("spec.type")]
    return [] if kind in ALL_TYPES else [fields.unsupported("spec.type", kind, ALL_TYPES)]


def _duplicate_port_errors(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    ports = items(spec.get("ports"))
    seen_node_ports: set[tuple[str, int]] = set()
    for number, port in enumerate(ports):
        node_port = port.get("nodePort") or 0
        path = f"spec.ports[{number}].nodePort"
        if node_port and spec.get("type") == "ClusterIP":
            errors.append(fields.forbidden(path, "may not be used when `type` is 'ClusterIP'"))
        elif node_port and may_have_node_ports(spec):
            if (port.get("protocol", ""), node_port) in seen_node_ports:
                errors.append(fields.duplicate(path, node_port))
            seen_node_ports.add((port.get("protocol", ""), node_port))
    seen: set[tuple[str, int]] = set()
    for number, port in enumerate(ports):
        key = (port.get("protocol", ""), port.get("port", 0))
        if key in seen:
            errors.append(fields.duplicate(f"spec.ports[{number}]", _port_key(*key)))
        seen.add(key)
    return errors


def _port_key(protocol: str, port: int) -> Object:
    # The real server shows the internal type with nothing set but what has to be unique.
    return {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": port, "TargetPort": 0, "NodePort": 0}


def _load_balancer_errors(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    is_load_balancer = spec.get("type") == "LoadBalancer"
    ranges = items(spec.get("loadBalancerSourceRanges"))
    if ranges and not is_load_balancer:
        errors.append(fields.forbidden("spec.LoadBalancerSourceRanges", _ONLY_LOAD_BALANCER))
    for number, text in enumerate(ranges):
        errors += names.cidr_errors(f"spec.LoadBalancerSourceRanges[{number}]", text.strip())
    allocate = spec.get("allocateLoadBalancerNodePorts")
    if is_load_balancer and allocate is None:
        errors.append(fields.required("spec.allocateLoadBalancerNodePorts"))
    if not is_load_balancer and allocate is not None:
        errors.append(fields.forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_LOAD_BALANCER))
    return [*errors, *_class_errors(spec)]


def _class_errors(spec: Object) -> list[FieldError]:
    name = spec.get("loadBalancerClass")
    if name is None:
        return []
    if spec.get("type") != "LoadBalancer":
        return [fields.forbidden("spec.loadBalancerClass", _ONLY_LOAD_BALANCER)]
    return names.syntax_errors("spec.loadBalancerClass", name, names.qualified_name)


def _traffic_errors(spec: Object) -> list[FieldError]:
    errors = _external_traffic_errors(spec)
    internal = spec.get("internalTrafficPolicy")
    if internal is None and spec.get("type") in INTERNAL_TYPES:
        errors.append(fields.required("spec.internalTrafficPolicy"))
    elif internal is not None and internal not in _TRAFFIC:
        errors.append(fields.unsupported("spec.internalTrafficPolicy", internal, _TRAFFIC))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        errors.append(fields.unsupported("spec.trafficDistribution", distribution, _DISTRIBUTIONS))
    return errors


def _external_traffic_errors(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    policy = spec.get("externalTrafficPolicy") or ""
    path = "spec.externalTrafficPolicy"
    if not is_externally_accessible(spec):
        if policy:
            errors.append(fields.invalid(path, policy, "may only be set for externally-accessible services"))
    elif not policy:
        errors.append(fields.required(path))
    elif policy not in _TRAFFIC:
        errors.append(fields.unsupported(path, policy, _TRAFFIC))
    port = spec.get("healthCheckNodePort") or 0
    path = "spec.healthCheckNodePort"
    if not needs_health_check_port(spec):
        if port:
            sentence = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            errors.append(fields.invalid(path, port, sentence))
    elif not port:
        errors.append(fields.required(path))
    return errors


def update_errors(spec: Object, old: Object) -> list[FieldError]:
    """What may not change in a Service: its primary address and family, its load balancer's class."""
    errors: list[FieldError] = []
    if "ExternalName" not in (spec.get("type"), old.get("type")):
        errors += _kept_errors(spec, old, "clusterIPs", "clusterIP") if not _both_headless(spec, old) else []
        if not is_headless(spec) and not is_headless(old):
            errors += _kept_errors(spec, old, "ipFamilies", "ipFamily")
    name, before = spec.get("loadBalancerClass"), old.get("loadBalancerClass")
    if spec.get("type") == old.get("type") == "LoadBalancer" and name != before:
        errors.append(fields.invalid("spec.loadBalancerClass", name, "may not change once set"))
    if needs_health_check_port(spec) and needs_health_check_port(old):
        port = spec.get("healthCheckNodePort")
        if port != old.get("healthCheckNodePort"):
            errors.append(fields.forbidden("spec.healthCheckNodePort", "field is immutable"))
    return errors


def _both_headless(spec: Object, old: Object) -> bool:
    return is_headless(spec) and is_headless(old)


def _kept_errors(spec: Object, old: Object, field: str, word: str) -> list[FieldError]:
    new, before = items(spec.get(field)), items(old.get(field))
    if before and not new:
        return [fields.invalid(f"spec.{field}[0]", new, f"primary {word} can not be unset")]
    count = len(before) if len(before) == len(new) else min(len(before), 1)
    errors = [
        fields.invalid(f"spec.{field}[{number}]", new, "may not change once set")
        for number in range(count)
        if new[number] != before[number]
    ]
    if len(before) > len(new) and spec.get("ipFamilyPolicy") != "SingleStack":
        sentence = f"must be set to 'SingleStack' when releasing the secondary {word}"
        errors.append(fields.invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), sentence))
    return errors


def load_balancer_status_errors(service: Object) -> list[FieldError]:
    """Errors of `status.loadBalancer`, as a load balancer writes it."""
    ingress = items(fields.entries(fields.entries(service.get("status")).get("loadBalancer")).get("ingress"))
    path = "status.loadBalancer.ingress"
    if ingress and service["spec"].get("type") != "LoadBalancer":
        return [fields.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    errors: list[FieldError] = []
    for number, point in enumerate(ingress):
        errors += _ingress_errors(point, f"{path}[{number}]")
    return errors


def _ingress_errors(point: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    address, mode, hostname = point.get("ip") or "", point.get("ipMode"), point.get("hostname") or ""
    if address:
        errors += names.address_errors(f"{path}.ip", address)
        if mode is None:
            errors.append(fields.required(f"{path}.ipMode", "must be specified when `ip` is set"))
    elif mode is not None:
        errors.append(fields.forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set"))
    if address and mode is not None and mode not in {"VIP", "Proxy"}:
        errors.append(fields.unsupported(f"{path}.ipMode", mode, ("VIP", "Proxy")))
    if hostname:
        errors += names.syntax_errors(f"{path}.hostname", hostname, names.dns_subdomain)
        if names.parse_address(hostname):
            errors.append(fields.invalid(f"{path}.hostname", hostname, "must be a DNS name, not an IP address"))
    return errors
