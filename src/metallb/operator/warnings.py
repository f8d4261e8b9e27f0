"""What a MetalLB resource says to no effect, or to another one than its author may expect: sentences. Pure.

Source: spec/operator.md 1.1, 1.4, 7.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from metallb.api.v1beta1 import MetalLB, MetalLBSpec
from metallb.operator.backend import refusal
from metallb.operator.conditions import NAME
from metallb.operator.validation import EXTERNAL, name_of

_HOSTNAME: Final = "kubernetes.io/hostname"


def warnings(resource: MetalLB, namespace: str) -> tuple[str, ...]:
    """Each names the resource and the field.

    Args:
        resource: the resource.
        namespace: the operator's: no other is served.
    """
    name = name_of(resource)
    told = refusal(resource.spec)
    backend = [told.message] if told is not None else []
    return tuple(f"{name}: {text}" for text in (*_identity(resource, namespace), *backend, *ineffective(resource.spec)))


def _identity(resource: MetalLB, namespace: str) -> Iterator[str]:
    if namespace and resource.metadata.namespace != namespace:
        yield f"metadata.namespace: {resource.metadata.namespace!r} is not served: the operator's is {namespace!r}"
    elif resource.metadata.name != NAME:
        yield f"metadata.name: {resource.metadata.name!r} is not served: the resource must be called {NAME!r}"


def ineffective(spec: MetalLBSpec) -> Iterator[str]:
    """Fields that have no effect beside the others, or a surprising one."""
    if spec.image:
        yield "spec.image is deprecated and has no effect: images are settings of the operator"
    yield from _frrk8s(spec)
    yield from _affinity(spec)


def _frrk8s(spec: MetalLBSpec) -> Iterator[str]:
    config = spec.frrk8s_config
    if config is None:
        return
    if config.always_block and not spec.bgp_backend.startswith("frr-k8s"):
        yield "spec.frrk8sConfig.alwaysBlock has no effect: it is for the backend 'frr-k8s'"
    elif config.always_block and spec.bgp_backend == EXTERNAL:
        yield "spec.frrk8sConfig.alwaysBlock has no effect: an external frr-k8s has settings of its own"
    if config.namespace and spec.bgp_backend != EXTERNAL:
        yield f"spec.frrk8sConfig.namespace has no effect: it is for the backend {EXTERNAL!r}"
    if config.secret_passthrough and spec.bgp_backend != EXTERNAL:
        yield f"spec.frrk8sConfig.secretPassthrough has no effect: it is for the backend {EXTERNAL!r}"


def _affinity(spec: MetalLBSpec) -> Iterator[str]:
    config = spec.speaker_config
    rules = config.affinity.pod_affinity if config is not None and config.affinity is not None else None
    if rules is None:
        return
    for position, term in enumerate(rules.required_during_scheduling_ignored_during_execution):
        if term.topology_key == _HOSTNAME:
            yield (
                f"spec.speakerConfig.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[{position}]: "
                "no speaker runs on a node without such a pod, and none announces from there"
            )
