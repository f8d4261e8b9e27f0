"""Service: defaults, what an update keeps and drops, allocation and rules."""

from __future__ import annotations

from typing import ClassVar

from kubelab.apiserver.builtin import names, service_rules
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.kind import Kind, drop_empty, set_default
from kubelab.apiserver.builtin.service_allocation import allocate, allocation
from kubelab.apiserver.builtin.service_facts import (
    INTERNAL_TYPES,
    allocates_node_ports,
    is_externally_accessible,
    may_have_node_ports,
    needs_cluster_ip,
    needs_health_check_port,
    same,
)
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

_AFFINITY_TIMEOUT_S = 10800
_OPTIONAL = (
    "ports", "selector", "clusterIP", "clusterIPs", "externalIPs", "ipFamilies", "ipFamilyPolicy", "externalName",
    "externalTrafficPolicy", "loadBalancerIP", "loadBalancerSourceRanges", "loadBalancerClass", "sessionAffinityConfig",
    "allocateLoadBalancerNodePorts", "internalTrafficPolicy", "trafficDistribution",
)  # fmt: skip
_CLUSTER_IP_FIELDS = ("clusterIP", "clusterIPs")


class ServiceStrategy(Kind):
    """Service (core/v1). Cost: creating one takes less than 150 us, whatever the number of Services."""

    name_syntax: ClassVar[names.Syntax] = staticmethod(names.dns_label)

    def default(self, obj: Object) -> None:
        """Set defaults (core/v1 `SetDefaults_Service`) and drop what is empty."""
        spec: Object = obj.setdefault("spec", {})
        drop_empty(spec, *_OPTIONAL)
        set_default(spec, "type", "ClusterIP")
        _default_affinity(spec)
        for port in items(spec.get("ports")):
            _default_port(port)
        if is_externally_accessible(spec):
            set_default(spec, "externalTrafficPolicy", "Cluster")
        if spec["type"] in INTERNAL_TYPES:
            set_default(spec, "internalTrafficPolicy", "Cluster")
        if spec["type"] == "LoadBalancer":
            set_default(spec, "allocateLoadBalancerNodePorts", True)
        for point in items(entries(entries(obj.get("status")).get("loadBalancer")).get("ingress")):
            if point.get("ip"):
                set_default(point, "ipMode", "VIP")

    def warnings(self, obj: Object) -> list[str]:
        """What is deprecated."""
        if obj["spec"].get("trafficDistribution") != "PreferClose":
            return []
        return ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"']

    def prepare_create(self, obj: Object, context: Context) -> None:
        """Allocate addresses and ports; a new Service has no load balancer yet."""
        obj["status"] = {"loadBalancer": {}}
        spec = obj["spec"]
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        allocate(obj, None, context)

    def prepare_update(self, obj: Object, old: Object, context: Context) -> None:
        """Keep what was allocated, drop what the new type has no use for, allocate what it needs."""
        if context.subresource == "status":
            _tidy_status(obj)
            return
        spec, before = obj["spec"], old["spec"]
        _keep_allocated(spec, before)
        _sync_cluster_ips(spec, before)
        allocate(obj, old, context)
        _drop_unneeded(spec, before)
        if spec["type"] != "LoadBalancer" and "status" in obj:
            # What is stored is shared: give this object a status of its own.
            obj["status"] = {**entries(obj["status"]), "loadBalancer": {}}

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Rules of the spec."""
        return service_rules.service_errors(obj["spec"])

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """The primary address, its family and the class of the load balancer stay."""
        return service_rules.update_errors(obj["spec"], old["spec"])

    def status_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Rules of the load balancer's ingress points."""
        return service_rules.load_balancer_status_errors(obj)

    def after_delete(self, obj: Object, context: Context) -> None:
        """Give addresses and ports back."""
        allocation(context).release(obj)


def _default_affinity(spec: Object) -> None:
    set_default(spec, "sessionAffinity", "None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        set_default(spec, "sessionAffinityConfig", {})
        set_default(spec["sessionAffinityConfig"], "clientIP", {})
        set_default(spec["sessionAffinityConfig"]["clientIP"], "timeoutSeconds", _AFFINITY_TIMEOUT_S)


def _default_port(port: Object) -> None:
    if not port.get("protocol"):
        port["protocol"] = "TCP"
    if port.get("targetPort") in (None, 0, ""):
        port["targetPort"] = port.get("port", 0)
    drop_empty(port, "name", "appProtocol")
    if "nodePort" in port and not port["nodePort"]:
        del port["nodePort"]


def _tidy_status(obj: Object) -> None:
    status = entries(obj.get("status"))
    status.setdefault("loadBalancer", {})
    if not entries(status["loadBalancer"]).get("ingress"):
        status["loadBalancer"] = {}
    drop_empty(status, "conditions")
    obj["status"] = status


def _keep_allocated(spec: Object, before: Object) -> None:
    """Fill in what a client that sends a whole object did not know (idempotent PUT)."""
    if needs_cluster_ip(before) and needs_cluster_ip(spec):
        if not spec.get("clusterIP") and before.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        if not spec.get("clusterIPs") and before.get("clusterIPs") and spec.get("clusterIP") == before.get("clusterIP"):
            spec["clusterIPs"] = list(before["clusterIPs"])
    if may_have_node_ports(before) and allocates_node_ports(spec):
        _keep_node_ports(items(spec.get("ports")), items(before.get("ports")))
    if needs_health_check_port(before) and needs_health_check_port(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = before["healthCheckNodePort"]


def _keep_node_ports(ports: list[Object], before: list[Object]) -> None:
    held = {port.get("name", ""): port["nodePort"] for port in before if port.get("nodePort")}
    used = {port["nodePort"] for port in ports if port.get("nodePort")}
    for port in ports:
        kept = held.get(port.get("name", ""))
        if not port.get("nodePort") and kept and kept not in used:
            port["nodePort"] = kept


def _sync_cluster_ips(spec: Object, before: Object) -> None:
    """`clusterIP` and `clusterIPs` say the same; a client that changes the one it knows changes both."""
    new, old = spec.get("clusterIP"), before.get("clusterIP")
    if new == old or not same(spec, before, "clusterIPs"):
        return
    if new:
        spec["clusterIPs"] = [new]
    else:
        spec.pop("clusterIPs", None)


def _drop_unneeded(spec: Object, before: Object) -> None:
    if needs_cluster_ip(before) and not needs_cluster_ip(spec):
        if all(same(spec, before, field) for field in _CLUSTER_IP_FIELDS):
            _drop(spec, _CLUSTER_IP_FIELDS)
        _drop_same(spec, before, "ipFamilies", "ipFamilyPolicy")
    if may_have_node_ports(before) and not may_have_node_ports(spec) and _same_node_ports(spec, before):
        for port in items(spec.get("ports")):
            port.pop("nodePort", None)
    if needs_health_check_port(before) and not needs_health_check_port(spec):
        _drop_same(spec, before, "healthCheckNodePort")
    if before.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        _drop_same(spec, before, "allocateLoadBalancerNodePorts", "loadBalancerClass")
    if is_externally_accessible(before) and not is_externally_accessible(spec):
        _drop_same(spec, before, "externalTrafficPolicy")


def _same_node_ports(spec: Object, before: Object) -> bool:
    held = {port.get("nodePort") for port in items(before.get("ports"))}
    return {port.get("nodePort") for port in items(spec.get("ports"))} <= held | {None}


def _drop(spec: Object, names_: tuple[str, ...]) -> None:
    for name in names_:
        spec.pop(name, None)


def _drop_same(spec: Object, before: Object, *names_: str) -> None:
    _drop(spec, tuple(name for name in names_ if same(spec, before, name)))
