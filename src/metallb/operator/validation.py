"""What is wrong with a MetalLB resource: every broken rule, as a value. Pure (spec/operator.md 1.6).

The rules are upstream's, and those of the API server on pods, which would refuse what is made of the resource.
Ours on purpose: all errors at once; a toleration's seconds count whatever their number; podAntiAffinity is checked too.
"""

from __future__ import annotations

import ipaddress
import string
from collections.abc import Iterator, Sequence
from typing import Final

from metallb.api.scheduling import (
    NodeAffinity,
    PodAffinity,
    PreferredSchedulingTerm,
    Toleration,
    WeightedPodAffinityTerm,
)
from metallb.api.v1beta1 import MetalLB, MetalLBSpec, PodConfig
from metallb.config.errors import ConfigError, ObjectName

BACKENDS: Final = ("native", "frr", "frr-k8s", "frr-k8s-external")
EXTERNAL: Final = "frr-k8s-external"
EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
OPERATORS: Final = ("Exists", "Equal", "Lt", "Gt")
WEIGHTS: Final = range(1, 101)

_Broken = tuple[str, str, str]
"""Field, value, rule."""


def name_of(resource: MetalLB) -> ObjectName:
    """The resource as messages call it."""
    return ObjectName("MetalLB", resource.metadata.namespace, resource.metadata.name)


def errors(resource: MetalLB, external_namespace: str = "") -> tuple[ConfigError, ...]:
    """Everything that is wrong with the resource, in the order of its fields.

    Args:
        resource: the resource.
        external_namespace: where the operator would look for an external frr-k8s; empty: nobody has said.
    """
    name = name_of(resource)
    return tuple(ConfigError(name, *broken) for broken in _broken(resource.spec, external_namespace))


def new_errors(after: MetalLB, before: MetalLB | None = None, external_namespace: str = "") -> tuple[ConfigError, ...]:
    """What a change brings: one that got in earlier stands in the way of no other change, nor of a deletion."""
    if after.metadata.deletion_timestamp is not None:
        return ()
    known = () if before is None else errors(before, external_namespace)
    return tuple(each for each in errors(after, external_namespace) if each not in known)


def _broken(spec: MetalLBSpec, external_namespace: str) -> Iterator[_Broken]:
    yield from _tolerations("spec.controllerTolerations", spec.controller_tolerations)
    yield from _tolerations("spec.speakerTolerations", spec.speaker_tolerations)
    yield from _weights("spec.speakerConfig", spec.speaker_config)
    yield from _weights("spec.controllerConfig", spec.controller_config)
    yield from _backend(spec, external_namespace)
    for position, text in enumerate(spec.frrk8s_config.always_block if spec.frrk8s_config else ()):
        if not _is_prefix(text.strip()):
            yield f"spec.frrk8sConfig.alwaysBlock[{position}]", text, "must be a CIDR such as 192.0.2.0/24"


def _tolerations(path: str, tolerations: Sequence[Toleration]) -> Iterator[_Broken]:
    for position, each in enumerate(tolerations):
        for field, value, rule in _toleration(each):
            yield f"{path}[{position}].{field}", value, rule


def _toleration(each: Toleration) -> Iterator[_Broken]:
    """Source: core/v1 Toleration."""
    if each.operator and each.operator not in OPERATORS:
        yield "operator", each.operator, f"must be one of {', '.join(OPERATORS)}"
    if not each.key and each.operator != "Exists":
        yield "operator", each.operator, "must be Exists when key is empty, which means every taint"
    if each.operator == "Exists" and each.value:
        yield "value", each.value, "must be empty when operator is Exists"
    if each.effect and each.effect not in EFFECTS:
        yield "effect", each.effect, f"must be empty or one of {', '.join(EFFECTS)}"
    elif each.toleration_seconds is not None and each.effect != "NoExecute":
        yield "effect", each.effect, "must be NoExecute when tolerationSeconds is set"


def _weights(path: str, config: PodConfig | None) -> Iterator[_Broken]:
    affinity = config.affinity if config is not None else None
    if affinity is None:
        return
    kinds = (
        ("nodeAffinity", affinity.node_affinity),
        ("podAffinity", affinity.pod_affinity),
        ("podAntiAffinity", affinity.pod_anti_affinity),
    )
    for kind, rules in kinds:
        if rules is None:
            continue
        for position, term in enumerate(_preferred(rules)):
            if term.weight not in WEIGHTS:
                where = f"{path}.affinity.{kind}.preferredDuringSchedulingIgnoredDuringExecution[{position}].weight"
                yield where, str(term.weight), "must be from 1 to 100"


def _preferred(rules: NodeAffinity | PodAffinity) -> Sequence[PreferredSchedulingTerm | WeightedPodAffinityTerm]:
    return rules.preferred_during_scheduling_ignored_during_execution


def _backend(spec: MetalLBSpec, external_namespace: str) -> Iterator[_Broken]:
    if spec.bgp_backend and spec.bgp_backend not in BACKENDS:
        yield "spec.bgpBackend", spec.bgp_backend, f"must be one of {', '.join(BACKENDS)}"
    told = spec.frrk8s_config.namespace if spec.frrk8s_config else ""
    if spec.bgp_backend == EXTERNAL and not (told or external_namespace):
        rule = "needs spec.frrk8sConfig.namespace: where the external frr-k8s runs; the operator has no default for it"
        yield "spec.bgpBackend", spec.bgp_backend, rule


def _is_prefix(text: str) -> bool:
    """An address and a length, of either family; bits of the host may be set."""
    address, _, length = text.partition("/")
    if not length or set(length) - set(string.digits) or "%" in address:
        return False
    try:
        ipaddress.ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        return False
    return True
