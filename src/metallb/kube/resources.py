"""Where each kind that we read or write lives in the API: group, version, plural, scope, and its paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API serves it (API concepts, "Resource URIs"); the core group is the empty string."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in the object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, of one object, or of its subresource.

        An empty namespace of a namespaced kind is the collection over all namespaces.

        Raises:
            ValueError: the parts don't fit: a namespace for a cluster-scoped kind, an object without its namespace.
        """
        if namespace and not self.namespaced:
            raise ValueError(f"{self.plural} have no namespace (got {namespace!r})")
        if name and self.namespaced and not namespace:
            raise ValueError(f"{self.plural} {name!r} needs a namespace")
        if subresource and not name:
            raise ValueError(f"subresource {subresource!r} of {self.plural} needs a name")
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        parts += ["namespaces", quote(namespace, safe=":")] if namespace else []
        parts += [self.plural]
        parts += [quote(name, safe=":")] if name else []
        parts += [subresource] if subresource else []
        return "/" + "/".join(parts)

    def __str__(self) -> str:
        """As the API server writes it: `plural.group`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_METALLB: Final = "metallb.io"

CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
EVENTS: Final = Resource("", "v1", "events", "Event")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
PODS: Final = Resource("", "v1", "pods", "Pod")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
SERVICES: Final = Resource("", "v1", "services", "Service")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
DAEMON_SETS: Final = Resource("apps", "v1", "daemonsets", "DaemonSet")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
CUSTOM_RESOURCE_DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
VALIDATING_WEBHOOK_CONFIGURATIONS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
TOKEN_REVIEWS: Final = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
SUBJECT_ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
SELF_SUBJECT_ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
SERVICE_MONITORS: Final = Resource("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor")
POD_MONITORS: Final = Resource("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor")
PROMETHEUS_RULES: Final = Resource("monitoring.coreos.com", "v1", "prometheusrules", "PrometheusRule")
SECURITY_CONTEXT_CONSTRAINTS: Final = Resource(
    "security.openshift.io", "v1", "securitycontextconstraints", "SecurityContextConstraints", namespaced=False
)
CLUSTER_OPERATORS: Final = Resource(
    "config.openshift.io", "v1", "clusteroperators", "ClusterOperator", namespaced=False
)
NETWORKS: Final = Resource("operator.openshift.io", "v1", "networks", "Network", namespaced=False)
API_SERVERS: Final = Resource("config.openshift.io", "v1", "apiservers", "APIServer", namespaced=False)

METALLBS: Final = Resource(_METALLB, "v1beta1", "metallbs", "MetalLB")
IP_ADDRESS_POOLS: Final = Resource(_METALLB, "v1beta1", "ipaddresspools", "IPAddressPool")
L2_ADVERTISEMENTS: Final = Resource(_METALLB, "v1beta1", "l2advertisements", "L2Advertisement")
BGP_ADVERTISEMENTS: Final = Resource(_METALLB, "v1beta1", "bgpadvertisements", "BGPAdvertisement")
BGP_PEERS: Final = Resource(_METALLB, "v1beta2", "bgppeers", "BGPPeer")
BFD_PROFILES: Final = Resource(_METALLB, "v1beta1", "bfdprofiles", "BFDProfile")
COMMUNITIES: Final = Resource(_METALLB, "v1beta1", "communities", "Community")
CONFIGURATION_STATES: Final = Resource(_METALLB, "v1beta1", "configurationstates", "ConfigurationState")
SERVICE_L2_STATUSES: Final = Resource(_METALLB, "v1beta1", "servicel2statuses", "ServiceL2Status")
SERVICE_BGP_STATUSES: Final = Resource(_METALLB, "v1beta1", "servicebgpstatuses", "ServiceBGPStatus")
FRR_CONFIGURATIONS: Final = Resource("frrk8s.metallb.io", "v1beta1", "frrconfigurations", "FRRConfiguration")

KNOWN: Final = tuple(value for value in list(globals().values()) if isinstance(value, Resource))


def resource_of(api_version: str, kind: str) -> Resource:
    """The resource of an object by its `apiVersion` and `kind`.

    Raises:
        KeyError: a kind that no process of ours reads or writes.
    """
    for resource in KNOWN:
        if resource.kind == kind and resource.api_version == api_version:
            return resource
    raise KeyError(f"{api_version} {kind}")
