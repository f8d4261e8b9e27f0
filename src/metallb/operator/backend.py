"""Which BGP backend is in force, and whether this version can deploy it. Pure (spec/operator.md 1.3)."""

from __future__ import annotations

from typing import Final

from metallb.api.v1beta1 import MetalLBSpec
from metallb.operator.conditions import Degraded

DEFAULT_BACKEND: Final = "native"
"""What an empty `spec.bgpBackend` means; upstream's default is `frr`."""

DEPLOYABLE: Final = frozenset({"native"})
KNOWN: Final = ("native", "frr", "frr-k8s", "frr-k8s-external")


def backend_of(spec: MetalLBSpec) -> str:
    """The backend in force."""
    return spec.bgp_backend or DEFAULT_BACKEND


def refusal(spec: MetalLBSpec) -> Degraded | None:
    """Why the backend can't be deployed; None where it can."""
    backend = backend_of(spec)
    if backend in DEPLOYABLE:
        return None
    if backend in KNOWN:
        return Degraded(
            "BackendNotSupported",
            f"spec.bgpBackend: {backend!r} is not in this version: use 'native' or leave it empty; what runs goes on",
        )
    return Degraded("InvalidBackend", f"spec.bgpBackend: {backend!r} must be one of {', '.join(KNOWN)}")
