"""What a new cluster holds before anybody asks: namespaces, roles, priority classes, the server's own Service."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from kubelab.apiserver.builtin import bootstrap_roles, scheduling
from kubelab.apiserver.handlers import writing
from kubelab.apiserver.resources import Settings
from kubelab.apiserver.state import State, own_call
from kubelab.objects import GroupVersionKind, Object

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_SERVICE_LABELS = {"component": "apiserver", "provider": "kubernetes"}


def populate(state: State) -> None:
    """Store everything, as the server's own doing."""
    for obj in (*_objects(), *_service(state.settings)):
        gvk = GroupVersionKind.of(obj)
        info = state.registry.of_kind(gvk)
        assert info is not None
        namespace = obj["metadata"].get("namespace", "")
        writing.create(own_call(state, info, namespace), writing.copied(obj))


def _objects() -> Iterator[Object]:
    for name in NAMESPACES:
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    yield from scheduling.system_priority_classes()
    yield from bootstrap_roles.cluster_roles()
    yield from bootstrap_roles.cluster_role_bindings()


def _service(settings: Settings) -> Iterator[Object]:
    """How pods find the server: the first address of the range of services."""
    if not settings.service_cidrs:
        return
    first = ipaddress.ip_network(settings.service_cidrs[0])[1]
    family = f"IPv{first.version}"
    metadata = {"name": "kubernetes", "namespace": "default"}
    port = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": settings.advertise_port}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**metadata, "labels": dict(_SERVICE_LABELS)},
        "spec": {
            "clusterIP": str(first),
            "ipFamilyPolicy": "SingleStack",
            "ports": [port],
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
    }
    reached = {"name": "https", "port": settings.advertise_port, "protocol": "TCP"}
    if ipaddress.ip_address(settings.advertise).version != first.version:
        return
    yield {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {**metadata, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": settings.advertise}], "ports": [reached]}],
    }
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": family,
        "endpoints": [{"addresses": [settings.advertise], "conditions": {"ready": True}}],
        "ports": [reached],
    }
