"""The core types that users set on MetalLB's pods and that we pass on unchanged: tolerations, affinity, resources."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from metallb.api.core import LabelSelector, Model

_NUMBER = r"(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
_QUANTITY = rf"^(\+|-)?{_NUMBER}(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?{_NUMBER}))?$"

Quantity = Annotated[
    int | str,
    Meta(
        extra_json_schema={
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": _QUANTITY,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""An amount of a resource: `200m`, `1Gi`, or a whole number."""

Int32 = Annotated[int, Meta(extra_json_schema={"format": "int32"})]

_ATOMIC = {"x-kubernetes-list-type": "atomic"}


class Toleration(Model, frozen=True):
    """A taint that a pod tolerates."""

    key: Annotated[str, Meta(description="Key of the taint; empty with operator Exists means every taint.")] = ""
    operator: Annotated[
        str, Meta(description="Exists or Equal; Equal when empty. Newer clusters also know Lt and Gt.")
    ] = ""
    value: Annotated[str, Meta(description="Value of the taint, with operator Equal.")] = ""
    effect: Annotated[str, Meta(description="NoSchedule, PreferNoSchedule or NoExecute; empty means all.")] = ""
    toleration_seconds: Annotated[
        int | None, Meta(description="How long a NoExecute taint is tolerated, in seconds; absent means for ever.")
    ] = None


class NodeSelectorRequirement(Model, frozen=True):
    """One condition on a node's labels or fields."""

    key: Annotated[str, Meta(description="Label, or field such as metadata.name.")]
    operator: Annotated[str, Meta(description="In, NotIn, Exists, DoesNotExist, Gt or Lt.")]
    values: Annotated[tuple[str, ...], Meta(description="Values to compare with.", extra_json_schema=_ATOMIC)] = ()


class NodeSelectorTerm(Model, frozen=True, omit_defaults=True):
    """Conditions that a node must all meet."""

    match_expressions: Annotated[
        tuple[NodeSelectorRequirement, ...], Meta(description="Conditions on labels.", extra_json_schema=_ATOMIC)
    ] = ()
    match_fields: Annotated[
        tuple[NodeSelectorRequirement, ...], Meta(description="Conditions on fields.", extra_json_schema=_ATOMIC)
    ] = ()


class NodeSelector(Model, frozen=True):
    """Terms of which a node must meet one."""

    node_selector_terms: Annotated[
        tuple[NodeSelectorTerm, ...], Meta(description="One matching term is enough.", extra_json_schema=_ATOMIC)
    ]


class PreferredSchedulingTerm(Model, frozen=True):
    """A weight for nodes that meet a term."""

    weight: Annotated[Int32, Meta(description="From 1 to 100.")]
    preference: Annotated[NodeSelectorTerm, Meta(description="What a node should meet.")]


class NodeAffinity(Model, frozen=True):
    """Rules about the nodes of a pod."""

    required_during_scheduling_ignored_during_execution: Annotated[
        NodeSelector | None, Meta(description="What a node must meet.")
    ] = None
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredSchedulingTerm, ...], Meta(description="What a node should meet.", extra_json_schema=_ATOMIC)
    ] = ()


class PodAffinityTerm(Model, frozen=True):
    """Pods near which, or away from which, a pod runs."""

    topology_key: Annotated[str, Meta(description="Label whose equal values make nodes one place.")]
    label_selector: Annotated[LabelSelector | None, Meta(description="The other pods, by their labels.")] = None
    namespaces: Annotated[
        tuple[str, ...], Meta(description="Namespaces of the other pods.", extra_json_schema=_ATOMIC)
    ] = ()
    namespace_selector: Annotated[
        LabelSelector | None, Meta(description="Namespaces of the other pods, by their labels.")
    ] = None
    match_label_keys: Annotated[
        tuple[str, ...], Meta(description="Labels whose values are taken from this pod.", extra_json_schema=_ATOMIC)
    ] = ()
    mismatch_label_keys: Annotated[
        tuple[str, ...], Meta(description="Labels whose values must differ from this pod's.", extra_json_schema=_ATOMIC)
    ] = ()


class WeightedPodAffinityTerm(Model, frozen=True):
    """A weight for a place."""

    weight: Annotated[Int32, Meta(description="From 1 to 100.")]
    pod_affinity_term: Annotated[PodAffinityTerm, Meta(description="The place.")]


class PodAffinity(Model, frozen=True):
    """Rules about the other pods of a place; also those of podAntiAffinity."""

    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[PodAffinityTerm, ...], Meta(description="What must hold.", extra_json_schema=_ATOMIC)
    ] = ()
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[WeightedPodAffinityTerm, ...], Meta(description="What should hold.", extra_json_schema=_ATOMIC)
    ] = ()


class Affinity(Model, frozen=True):
    """Scheduling rules of a pod."""

    node_affinity: Annotated[NodeAffinity | None, Meta(description="Rules about nodes.")] = None
    pod_affinity: Annotated[PodAffinity | None, Meta(description="Pods to be near.")] = None
    pod_anti_affinity: Annotated[PodAffinity | None, Meta(description="Pods to be away from.")] = None


class ResourceClaim(Model, frozen=True):
    """A claim of the pod that a container uses."""

    name: Annotated[str, Meta(description="Name of the claim in the pod's spec.")]
    request: Annotated[str, Meta(description="Name of one request in the claim.")] = ""


class ResourceRequirements(Model, frozen=True):
    """What a container may use at most, and is promised at least."""

    limits: Annotated[dict[str, Quantity], Meta(description="At most.")] = {}
    requests: Annotated[dict[str, Quantity], Meta(description="At least.")] = {}
    claims: Annotated[
        tuple[ResourceClaim, ...],
        Meta(
            description="Claims the container uses.",
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
