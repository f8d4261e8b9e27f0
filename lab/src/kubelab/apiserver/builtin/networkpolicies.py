"""NetworkPolicy: defaults and rules; nothing in the lab enforces it."""

from __future__ import annotations

from typing import Any, Final

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.kind import Kind, set_default
from kubelab.apiserver.builtin.selectors import selector_errors
from kubelab.apiserver.builtin.service_rules import PROTOCOLS, target_port_errors
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

_TYPES: Final = frozenset({"Ingress", "Egress"})


class NetworkPolicyStrategy(Kind):
    """NetworkPolicy (networking.k8s.io/v1)."""

    has_generation = True

    def default(self, obj: Object) -> None:
        """It is about traffic that comes in, and about what goes out if it says anything of that."""
        spec: Object = obj.setdefault("spec", {})
        set_default(spec, "podSelector", {})
        for rule in _rules(spec):
            for port in items(rule.get("ports")):
                set_default(port, "protocol", "TCP")
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Selectors select, ports are ports, blocks are blocks."""
        spec = obj["spec"]
        errors = selector_errors(spec.get("podSelector"), "spec.podSelector")
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for number, rule in enumerate(items(spec.get(direction))):
                path = f"spec.{direction}[{number}]"
                for index, port in enumerate(items(rule.get("ports"))):
                    errors += _port_errors(port, f"{path}.ports[{index}]")
                for index, peer in enumerate(items(rule.get(peers))):
                    errors += _peer_errors(peer, f"{path}.{peers}[{index}]")
        for number, kind in enumerate(spec["policyTypes"]):
            if kind not in _TYPES:
                errors.append(fields.unsupported(f"spec.policyTypes[{number}]", kind, _TYPES))
        return errors


def _rules(spec: Object) -> list[Any]:
    return [*items(spec.get("ingress")), *items(spec.get("egress"))]


def _port_errors(port: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if port.get("protocol") not in PROTOCOLS:
        errors.append(fields.unsupported(f"{path}.protocol", port.get("protocol"), PROTOCOLS))
    if port.get("port") is not None:
        errors += target_port_errors(port["port"], f"{path}.port")
    return errors


def _peer_errors(peer: Object, path: str) -> list[FieldError]:
    block = peer.get("ipBlock")
    if not any(peer.get(kind) is not None for kind in ("podSelector", "namespaceSelector", "ipBlock")):
        return [fields.required(path, "must specify a peer")]
    if block is not None and len([value for value in peer.values() if value is not None]) > 1:
        return [fields.forbidden(path, "may not specify both ipBlock and another peer")]
    errors = selector_errors(peer.get("podSelector"), f"{path}.podSelector")
    errors += selector_errors(peer.get("namespaceSelector"), f"{path}.namespaceSelector")
    if block is not None:
        errors += names.cidr_errors(f"{path}.ipBlock.cidr", block.get("cidr") or "")
        for number, part in enumerate(items(entries(block).get("except"))):
            errors += names.cidr_errors(f"{path}.ipBlock.except[{number}]", part)
    return errors
