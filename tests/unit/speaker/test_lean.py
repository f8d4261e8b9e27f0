"""Of thousands of objects only what is needed is kept, and nothing that is needed is lost."""

from __future__ import annotations

from typing import Any

import msgspec

from metallb.api.core import Endpoint, EndpointConditions, EndpointSlice, Service
from metallb.api.net import NodeName, ServiceKey
from metallb.api.v1beta1_states import ServiceL2Status
from metallb.speaker.lean import LeanL2Status, LeanService, LeanSlice

SERVICE = {
    "metadata": {
        "name": "web",
        "namespace": "default",
        "uid": "1-2-3",
        "resourceVersion": "7",
        "labels": {"app": "web"},
        "annotations": {"metallb.io/allow-shared-ip": "k"},
    },
    "spec": {
        "type": "LoadBalancer",
        "clusterIP": "10.96.0.1",
        "clusterIPs": ["10.96.0.1"],
        "ipFamilies": ["IPv4"],
        "ports": [{"port": 80}],
        "selector": {"app": "web"},
        "externalTrafficPolicy": "Local",
        "loadBalancerClass": "example.com/class",
    },
    "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}]}},
}
SLICE = {
    "metadata": {
        "name": "web-1",
        "namespace": "default",
        "uid": "1-2-4",
        "resourceVersion": "8",
        "labels": {"kubernetes.io/service-name": "web"},
        "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"},
    },
    "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "nodeName": "node-a"}],
}


def test_services_keep_what_announcements_look_at() -> None:
    found: Service = msgspec.convert(SERVICE, LeanService)
    meta, whole = found.metadata, msgspec.convert(SERVICE, Service).metadata
    for name in ("name", "namespace", "uid", "resource_version", "labels", "deletion_timestamp"):
        assert getattr(meta, name) == getattr(whole, name)
    assert meta.annotations == {}, "nobody looks at them, and they may be long"
    assert found.status == msgspec.convert(SERVICE, Service).status
    spec = found.spec
    assert (spec.type, spec.external_traffic_policy, spec.load_balancer_class) == (
        "LoadBalancer",
        "Local",
        "example.com/class",
    )
    assert (spec.cluster_ip, spec.cluster_ips, spec.ip_families, spec.ports, spec.selector) == ("", (), (), (), {})


def test_slices_keep_endpoints_and_whose_they_are() -> None:
    found: EndpointSlice = msgspec.convert(SLICE, LeanSlice)
    assert found.service == ServiceKey("default", "web")
    assert found.endpoints == (Endpoint(EndpointConditions(ready=True), NodeName("node-a")),)
    assert (found.metadata.name, found.metadata.resource_version) == ("web-1", "8")
    assert (found.metadata.uid, found.metadata.annotations, found.metadata.labels) == ("", {}, {})


def test_a_slice_of_nobody_is_nobodys() -> None:
    assert msgspec.convert({"metadata": {"name": "a"}}, LeanSlice).service is None
    assert msgspec.convert({"metadata": {"name": "a", "labels": {"app": "b"}}}, LeanSlice).service is None


def decoded(text: bytes, kind: Any) -> Any:
    return msgspec.json.decode(text, type=kind)


def test_what_is_alike_is_there_once() -> None:
    text = msgspec.json.encode(SERVICE)
    first, second = decoded(text, LeanService), decoded(text, LeanService)
    assert first == second
    assert first.spec is second.spec
    assert first.metadata.namespace is second.metadata.namespace
    text = msgspec.json.encode(SLICE)
    first, second = decoded(text, LeanSlice), decoded(text, LeanSlice)
    assert first == second
    assert first.endpoints is second.endpoints
    assert first.metadata.namespace is second.metadata.namespace


def test_what_differs_is_not_shared() -> None:
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerClass": "a"}
    others = [
        spec | {"type": "ClusterIP"},
        spec | {"externalTrafficPolicy": "Cluster"},
        spec | {"loadBalancerClass": "b"},
    ]
    for each in (spec, *others):
        found = msgspec.convert({"metadata": {"name": "a"}, "spec": each}, LeanService).spec
        said = (found.type, found.external_traffic_policy, found.load_balancer_class)
        assert said == (each["type"], each["externalTrafficPolicy"], each["loadBalancerClass"])
    endpoints = [{"nodeName": "a", "conditions": {"ready": ready}} for ready in (True, False, None)]
    slices = [msgspec.convert({"metadata": {"name": "a"}, "endpoints": [each]}, LeanSlice) for each in endpoints]
    assert [each.endpoints[0].conditions.ready for each in slices if each.endpoints] == [True, False, None]
    assert msgspec.convert({"metadata": {"name": "a"}, "endpoints": None}, LeanSlice).endpoints is None


def test_statuses_keep_what_is_compared_and_share_the_rest() -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "speaker-a", "uid": "u1"}
    labels = {"metallb.io/node": "node-a", "metallb.io/service-name": "web"}
    status = {"node": "node-a", "serviceName": "web", "serviceNamespace": "default", "interfaces": [{"name": "eth0"}]}
    metadata: dict[str, Any] = {
        "name": "l2-1",
        "namespace": "metallb-system",
        "uid": "u2",
        "resourceVersion": "3",
        "labels": labels,
    }
    metadata |= {"ownerReferences": [owner], "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    text = msgspec.json.encode({"metadata": metadata, "status": status, "spec": {}})
    first, second, whole = decoded(text, LeanL2Status), decoded(text, LeanL2Status), decoded(text, ServiceL2Status)
    for field in ("name", "namespace", "uid", "resource_version", "labels"):
        assert getattr(first.metadata, field) == getattr(whole.metadata, field)
    assert first.status == whole.status
    assert [each.uid for each in first.metadata.owner_references] == ["u1"]
    assert first.metadata.owner_references is second.metadata.owner_references
    assert first.status.interfaces is second.status.interfaces
    assert first.status.node is second.status.node
