"""The few core Kubernetes types that we read, with only the fields we read: what is not named never reaches memory.

Field names are the Kubernetes API's; `msgspec` maps them to snake_case.
"""

from __future__ import annotations

from msgspec import Struct, field

from metallb.api.net import NodeName, ServiceKey


class Model(Struct, frozen=True, omit_defaults=True, rename="camel", gc=False):
    """What every API type here shares: immutable, camelCase on the wire, empty fields left out.

    Such values form no cycles, so the garbage collector need not look at them.
    """


class OwnerReference(Model, frozen=True):
    """meta/v1 OwnerReference."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Model, frozen=True):
    """meta/v1 ObjectMeta. API servers before 1.33 write `creationTimestamp: null` into bookmarks."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class LabelSelectorRequirement(Model, frozen=True):
    """meta/v1 LabelSelectorRequirement; operator is one of In, NotIn, Exists, DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Model, frozen=True):
    """meta/v1 LabelSelector; empty selects everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class ServicePort(Model, frozen=True):
    """core/v1 ServicePort."""

    name: str = ""
    protocol: str = "TCP"
    port: int = 0


class ServiceSpec(Model, frozen=True):
    """core/v1 ServiceSpec."""

    type: str = "ClusterIP"
    cluster_ip: str = field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = field(default=(), name="clusterIPs")
    ip_families: tuple[str, ...] = ()
    ip_family_policy: str = ""
    ports: tuple[ServicePort, ...] = ()
    selector: dict[str, str] = {}
    external_traffic_policy: str = ""
    load_balancer_ip: str = field(default="", name="loadBalancerIP")
    load_balancer_class: str | None = None


class LoadBalancerIngress(Model, frozen=True):
    """core/v1 LoadBalancerIngress."""

    ip: str = ""
    hostname: str = ""
    ip_mode: str | None = None


class LoadBalancerStatus(Model, frozen=True):
    """core/v1 LoadBalancerStatus."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(Model, frozen=True):
    """core/v1 ServiceStatus."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()
    conditions: tuple[Condition, ...] = ()


class Service(Model, frozen=True):
    """core/v1 Service."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()

    @property
    def key(self) -> ServiceKey:
        """Namespace and name."""
        return ServiceKey(self.metadata.namespace, self.metadata.name)

    @property
    def seniority(self) -> tuple[str, ServiceKey]:
        """Sorts the oldest first; who is first in line is no accident."""
        return self.metadata.creation_timestamp or "", self.key


class EndpointConditions(Model, frozen=True):
    """discovery/v1 EndpointConditions; None means unknown, to be read as ready."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(Model, frozen=True):
    """discovery/v1 Endpoint."""

    conditions: EndpointConditions = EndpointConditions()
    node_name: NodeName | None = None

    @property
    def can_serve(self) -> bool:
        """Ready or unknown, or still serving while it terminates (spec/speaker.md 2.6 step 1)."""
        return self.conditions.ready is not False or self.conditions.serving is True


class EndpointSlice(Model, frozen=True):
    """discovery/v1 EndpointSlice."""

    metadata: ObjectMeta = ObjectMeta()
    endpoints: tuple[Endpoint, ...] | None = ()

    @property
    def service(self) -> ServiceKey | None:
        """The Service it belongs to, by its label `kubernetes.io/service-name`."""
        name = self.metadata.labels.get("kubernetes.io/service-name")
        return None if name is None else ServiceKey(self.metadata.namespace, name)


class Condition(Model, frozen=True):
    """A condition of any object; which fields are filled depends on the kind."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None
    observed_generation: int = 0


class NodeAddress(Model, frozen=True):
    """core/v1 NodeAddress; addresses of type Hostname and the like are no IP addresses."""

    type: str = ""
    address: str = ""


class NodeSpec(Model, frozen=True):
    """core/v1 NodeSpec."""

    pod_cidr: str = field(default="", name="podCIDR")
    pod_cidrs: tuple[str, ...] = field(default=(), name="podCIDRs")


class NodeStatus(Model, frozen=True):
    """core/v1 NodeStatus."""

    conditions: tuple[Condition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()


class Node(Model, frozen=True):
    """core/v1 Node."""

    metadata: ObjectMeta = ObjectMeta()
    status: NodeStatus = NodeStatus()
    spec: NodeSpec = NodeSpec()

    @property
    def name(self) -> NodeName:
        """The node's name."""
        return NodeName(self.metadata.name)

    def condition(self, kind: str) -> str:
        """The status of one condition: True, False, Unknown, or empty where it is absent."""
        return next((c.status for c in self.status.conditions if c.type == kind), "")


class Namespace(Model, frozen=True):
    """core/v1 Namespace."""

    metadata: ObjectMeta = ObjectMeta()


class Secret(Model, frozen=True):
    """core/v1 Secret; `data` is decoded."""

    metadata: ObjectMeta = ObjectMeta()
    type: str = ""
    data: dict[str, bytes] = {}


class PodSpec(Model, frozen=True):
    """core/v1 PodSpec."""

    node_name: NodeName = NodeName("")


class PodStatus(Model, frozen=True):
    """core/v1 PodStatus."""

    phase: str = ""
    pod_ip: str = field(default="", name="podIP")
    conditions: tuple[Condition, ...] = ()


class Pod(Model, frozen=True):
    """core/v1 Pod."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ready(self) -> bool:
        """Whether its condition Ready is True and it is not on its way out."""
        if self.metadata.deletion_timestamp is not None:
            return False
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)


class ListMeta(Model, frozen=True):
    """meta/v1 ListMeta; `continue` is a Python keyword."""

    resource_version: str = ""
    continue_: str = field(default="", name="continue")
