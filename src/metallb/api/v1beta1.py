"""The custom resources of `metallb.io/v1beta1`: the single source of their manifests, defaults and parser.

Constraints that the API server checks stand in the annotations (`Meta`); what needs several objects is `config`'s.
Source: spec/crds.md 2, 3; spec/operator.md 1.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from metallb.api.core import Condition, LabelSelector, Model, ObjectMeta
from metallb.api.scheduling import Affinity, ResourceRequirements, Toleration

GROUP = "metallb.io"
VERSION = "v1beta1"
API_VERSION = f"{GROUP}/{VERSION}"

Integer = Annotated[int, Meta(extra_json_schema={"type": "integer"})]
"""An integer without a format, as three older fields of the API have it."""


class ServiceAllocation(Model, frozen=True):
    """Which Services may have addresses of a pool, and which of their pools is tried first."""

    priority: Annotated[
        Integer, Meta(description="Pools with a lower value are tried first; 0 or absent is tried last.")
    ] = 0
    namespaces: Annotated[
        tuple[str, ...], Meta(description="Names of namespaces whose Services may use the pool.")
    ] = ()
    namespace_selectors: Annotated[
        tuple[LabelSelector, ...],
        Meta(
            description="Namespaces whose Services may use the pool, by their labels; one matching selector is enough."
        ),
    ] = ()
    service_selectors: Annotated[
        tuple[LabelSelector, ...],
        Meta(description="Services that may use the pool, by their labels; one matching selector is enough."),
    ] = ()


class IPAddressPoolSpec(Model, frozen=True):
    """Addresses that Services of type LoadBalancer can be given."""

    addresses: Annotated[
        tuple[str, ...],
        Meta(description="Addresses of the pool: each item is a CIDR or a range `first-last`, of either family."),
    ]
    auto_assign: Annotated[
        bool,
        Meta(
            description="Whether Services that name neither pool nor address may be given one of this pool.",
            extra_json_schema={"default": True},
        ),
    ] = True
    avoid_buggy_ips: Annotated[
        bool,
        Meta(
            description="Leaves out IPv4 addresses that end in .0 or .255, which some old devices refuse.",
            extra_json_schema={"default": False},
        ),
    ] = field(default=False, name="avoidBuggyIPs")
    service_allocation: Annotated[
        ServiceAllocation | None, Meta(description="Restricts and ranks the pool; absent means open to all.")
    ] = None


class PoolReservation(Model, frozen=True, omit_defaults=False):
    """Addresses that a deleted Service had, and gets again if it comes back in time."""

    service: Annotated[str, Meta(description="Namespace and name of the Service: `namespace/name`.")]
    addresses: Annotated[tuple[str, ...], Meta(description="What it had, at most one address of each family.")]
    until: Annotated[str, Meta(description="When it is forgotten (RFC 3339, UTC).")]


class IPAddressPoolStatus(Model, frozen=True, omit_defaults=False):
    """How much of the pool is in use; an address that several Services share counts once."""

    assigned_ipv4: Annotated[int, Meta(description="IPv4 addresses in use.")] = field(name="assignedIPv4")
    assigned_ipv6: Annotated[int, Meta(description="IPv6 addresses in use.")] = field(name="assignedIPv6")
    available_ipv4: Annotated[int, Meta(description="IPv4 addresses left.")] = field(name="availableIPv4")
    available_ipv6: Annotated[int, Meta(description="IPv6 addresses left.")] = field(name="availableIPv6")
    reservations: Annotated[
        tuple[PoolReservation, ...],
        Meta(
            description="Addresses that are remembered for deleted Services (metallb.io/sticky-seconds), "
            "at most 1,000, those that end last."
        ),
    ] = ()


class IPAddressPool(Model, frozen=True, kw_only=True):
    """Addresses that MetalLB gives to Services of type LoadBalancer."""

    metadata: ObjectMeta = ObjectMeta()
    spec: IPAddressPoolSpec
    status: IPAddressPoolStatus | None = None


class NodePreference(Model, frozen=True):
    """A weight for the nodes of a selector."""

    weight: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Added to the score of each matching node.",
            extra_json_schema={"format": "int32"},
        ),
    ]
    preference: Annotated[LabelSelector, Meta(description="Nodes by their labels; empty matches every node.")]


class L2AdvertisementSpec(Model, frozen=True):
    """Which addresses are announced by ARP and NDP, where, and for which Services."""

    ip_address_pools: Annotated[
        tuple[str, ...], Meta(description="Pools by name. Without names and selectors: all pools.")
    ] = field(default=(), name="ipAddressPools")
    ip_address_pool_selectors: Annotated[
        tuple[LabelSelector, ...], Meta(description="Pools by their labels; one matching selector is enough.")
    ] = field(default=(), name="ipAddressPoolSelectors")
    node_selectors: Annotated[
        tuple[LabelSelector, ...],
        Meta(description="Nodes that may announce; one matching selector is enough; empty means all."),
    ] = ()
    interfaces: Annotated[
        tuple[str, ...], Meta(description="Interfaces on which addresses are announced; empty means all.")
    ] = ()
    service_selectors: Annotated[
        tuple[LabelSelector, ...],
        Meta(
            description="Services that are announced, by their labels; empty means all. "
            "A Service chosen this way must not share its address."
        ),
    ] = ()
    preferred_node_selectors: Annotated[
        tuple[NodePreference, ...],
        Meta(description="Nodes that should announce rather than others; the weights of all matches add up."),
    ] = ()


class L2Advertisement(Model, frozen=True):
    """Announces addresses of pools on the local network by ARP (IPv4) and NDP (IPv6)."""

    metadata: ObjectMeta = ObjectMeta()
    spec: L2AdvertisementSpec = L2AdvertisementSpec()
    status: dict[str, Any] = {}


class PodConfig(Model, frozen=True):
    """How the pods of one component run."""

    priority_class_name: Annotated[str, Meta(description="PriorityClass of the pods.")] = ""
    runtime_class_name: Annotated[str, Meta(description="RuntimeClass of the pods.")] = ""
    affinity: Annotated[Affinity | None, Meta(description="Scheduling rules of the pods.")] = None
    annotations: Annotated[dict[str, str], Meta(description="Annotations put on the pods.")] = {}
    resources: Annotated[
        ResourceRequirements | None, Meta(description="Requests and limits of the component's own container.")
    ] = None


class FRRK8sConfig(Model, frozen=True):
    """Settings of the frr-k8s backends."""

    always_block: Annotated[
        tuple[str, ...], Meta(description="Prefixes (CIDR) that frr-k8s never accepts from a peer.")
    ] = ()
    namespace: Annotated[str, Meta(description="Where an externally managed frr-k8s runs.")] = ""
    secret_passthrough: Annotated[
        bool, Meta(description="Hands references to password secrets to an external frr-k8s instead of passwords.")
    ] = False


LogLevel = Annotated[
    Literal["all", "debug", "info", "warn", "error", "none"],
    Meta(extra_json_schema={"enum": ["all", "debug", "info", "warn", "error", "none"]}),
]


class MetalLBSpec(Model, frozen=True):
    """Where and how MetalLB's pods run; empty is a complete installation."""

    image: Annotated[str, Meta(description="Deprecated and without effect.")] = ""
    node_selector: Annotated[dict[str, str], Meta(description="Nodes on which a speaker runs, by label.")] = {}
    speaker_tolerations: Annotated[
        tuple[Toleration, ...], Meta(description="Taints that speakers tolerate, beyond those of control-plane nodes.")
    ] = ()
    log_level: Annotated[LogLevel | None, Meta(description="How much the components log; `info` when empty.")] = None
    load_balancer_class: Annotated[
        str,
        Meta(
            pattern=r"^([a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?/)?[a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?$",
            description="Only Services of this class are served; empty means those without a class.",
        ),
    ] = ""
    controller_node_selector: Annotated[
        dict[str, str], Meta(description="Nodes on which the controller may run, by label.")
    ] = {}
    controller_tolerations: Annotated[
        tuple[Toleration, ...], Meta(description="Taints that the controller tolerates.")
    ] = ()
    controller_config: Annotated[PodConfig | None, Meta(description="How the controller's pod runs.")] = None
    speaker_config: Annotated[PodConfig | None, Meta(description="How the speakers' pods run.")] = None
    bgp_backend: Annotated[
        str, Meta(description="What speaks BGP: native, frr, frr-k8s or frr-k8s-external; empty takes the default.")
    ] = ""
    frrk8s_config: Annotated[FRRK8sConfig | None, Meta(description="Settings of the frr-k8s backends.")] = field(
        default=None, name="frrk8sConfig"
    )


class MetalLBStatus(Model, frozen=True):
    """How the installation is doing."""

    conditions: Annotated[
        tuple[Condition, ...], Meta(description="Available, Upgradeable, Progressing and Degraded, in this order.")
    ] = ()


class MetalLB(Model, frozen=True):
    """An installation of MetalLB: the operator runs controller and speakers as long as it exists."""

    metadata: ObjectMeta = ObjectMeta()
    spec: MetalLBSpec = MetalLBSpec()
    status: MetalLBStatus = MetalLBStatus()
