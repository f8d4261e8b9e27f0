"""Which BGP backend is in force, and whether this version can deploy it. Pure (spec/operator.md 1.3)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from metallb.api.v1beta1 import MetalLBSpec
from metallb.operator.conditions import Degraded
from metallb.operator.validation import BACKENDS

DEFAULT_BACKEND: Final = "native"
"""What an empty `spec.bgpBackend` means; upstream's default is `frr`."""

DEPLOYABLE: Final = frozenset({"native"})


def backend_of(spec: MetalLBSpec) -> str:
    """The backend in force."""
    return spec.bgp_backend or DEFAULT_BACKEND


def refusal(spec: MetalLBSpec, deployable: Collection[str] = DEPLOYABLE) -> Degraded | None:
    """Why the backend can't be deployed by this version; None where it can, and for what is no backend at all."""
    backend = backend_of(spec)
    if backend in deployable or backend not in BACKENDS:
        return None
    return Degraded(
        "BackendNotSupported",
        f"spec.bgpBackend: {backend!r} is not in this version: use 'native' or leave it empty; what runs goes on",
    )
