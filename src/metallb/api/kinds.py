"""The custom resources that are served, with their names and columns; `manifests/crds` is generated from here."""

from __future__ import annotations

from metallb.api import v1beta1
from metallb.api.schema import Column, Kind


def _condition(name: str) -> Column:
    return Column(name, "string", f'.status.conditions[?(@.type=="{name}")].status')


METALLB = Kind(
    model=v1beta1.MetalLB,
    version=v1beta1.VERSION,
    plural="metallbs",
    singular="metallb",
    columns=(
        _condition("Available"),
        _condition("Degraded"),
        _condition("Progressing"),
        Column("Age", "date", ".metadata.creationTimestamp"),
    ),
)

IP_ADDRESS_POOL = Kind(
    model=v1beta1.IPAddressPool,
    version=v1beta1.VERSION,
    plural="ipaddresspools",
    singular="ipaddresspool",
    columns=(
        Column("Auto Assign", "boolean", ".spec.autoAssign"),
        Column("Avoid Buggy IPs", "boolean", ".spec.avoidBuggyIPs"),
        Column("Addresses", "string", ".spec.addresses"),
    ),
    spec_required=True,
)

L2_ADVERTISEMENT = Kind(
    model=v1beta1.L2Advertisement,
    version=v1beta1.VERSION,
    plural="l2advertisements",
    singular="l2advertisement",
    columns=(
        Column("IPAddressPools", "string", ".spec.ipAddressPools"),
        Column("IPAddressPool Selectors", "string", ".spec.ipAddressPoolSelectors"),
        Column("Interfaces", "string", ".spec.interfaces"),
        Column("Node Selectors", "string", ".spec.nodeSelectors", priority=10),
    ),
)

KINDS = (METALLB, IP_ADDRESS_POOL, L2_ADVERTISEMENT)
