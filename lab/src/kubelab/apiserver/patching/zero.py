"""What an object of a built-in kind holds before anything is said about it: the base a new object is compared with.

kube-apiserver compares a created object with an empty one of its Go type. Fields that such an object has in any case
(structures held by value, required fields) are then no additions of the creator: only what is in them is. Custom
resources have no such fields. Source: the types in `k8s.io/api`, fields without `omitempty` or of structure type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kubelab.objects import GroupVersionKind, Object

_POD: Final[Object] = {"containers": None}
_TEMPLATE: Final[Object] = {"metadata": {}, "spec": _POD}
_JOB: Final[Object] = {"template": _TEMPLATE}
_NODE_INFO: Final = (
    "machineID", "systemUUID", "bootID", "kernelVersion", "osImage",
    "containerRuntimeVersion", "kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture",
)  # fmt: skip
_NAMES: Final[Object] = {"plural": "", "kind": ""}

_EMPTY: Final[Mapping[tuple[str, str], Object]] = {
    ("", "Event"): {
        "involvedObject": {}, "source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": None,
        "reportingComponent": "", "reportingInstance": "",
    },
    ("", "LimitRange"): {"spec": {"limits": None}},
    ("", "Namespace"): {"spec": {}, "status": {}},
    ("", "Node"): {
        "spec": {},
        "status": {
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": dict.fromkeys(_NODE_INFO, ""),
        },
    },
    ("", "PersistentVolume"): {"spec": {}, "status": {}},
    ("", "PersistentVolumeClaim"): {"spec": {"resources": {}}, "status": {}},
    ("", "Pod"): {"spec": _POD, "status": {}},
    ("", "PodTemplate"): {"template": _TEMPLATE},
    ("", "ReplicationController"): {"spec": {}, "status": {"replicas": 0}},
    ("", "ResourceQuota"): {"spec": {}, "status": {}},
    ("", "Service"): {"spec": {}, "status": {"loadBalancer": {}}},
    ("apiextensions.k8s.io", "CustomResourceDefinition"): {
        "spec": {"group": "", "names": _NAMES, "scope": "", "versions": None},
        "status": {"conditions": None, "acceptedNames": _NAMES, "storedVersions": None},
    },
    ("apiregistration.k8s.io", "APIService"): {
        "spec": {"groupPriorityMinimum": 0, "versionPriority": 0},
        "status": {},
    },
    ("apps", "ControllerRevision"): {"revision": 0},
    ("apps", "DaemonSet"): {
        "spec": {"selector": None, "template": _TEMPLATE, "updateStrategy": {}},
        "status": {"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0},
    },
    ("apps", "Deployment"): {"spec": {"selector": None, "template": _TEMPLATE, "strategy": {}}, "status": {}},
    ("apps", "ReplicaSet"): {"spec": {"selector": None, "template": _TEMPLATE}, "status": {"replicas": 0}},
    ("apps", "StatefulSet"): {
        "spec": {"selector": None, "template": _TEMPLATE, "serviceName": "", "updateStrategy": {}},
        "status": {"replicas": 0, "availableReplicas": 0},
    },
    ("authentication.k8s.io", "TokenRequest"): {"spec": {"audiences": None, "boundObjectRef": None}, "status": {}},
    ("authentication.k8s.io", "TokenReview"): {"spec": {}, "status": {"user": {}}},
    ("authorization.k8s.io", "LocalSubjectAccessReview"): {"spec": {}, "status": {"allowed": False}},
    ("authorization.k8s.io", "SelfSubjectAccessReview"): {"spec": {}, "status": {"allowed": False}},
    ("authorization.k8s.io", "SubjectAccessReview"): {"spec": {}, "status": {"allowed": False}},
    ("autoscaling", "HorizontalPodAutoscaler"): {
        "spec": {"scaleTargetRef": {"kind": "", "name": ""}, "maxReplicas": 0},
        "status": {"desiredReplicas": 0, "currentMetrics": None},
    },
    ("batch", "CronJob"): {"spec": {"schedule": "", "jobTemplate": {"metadata": {}, "spec": _JOB}}, "status": {}},
    ("batch", "Job"): {"spec": _JOB, "status": {}},
    ("coordination.k8s.io", "Lease"): {"spec": {}},
    ("discovery.k8s.io", "EndpointSlice"): {"addressType": "", "endpoints": None, "ports": None},
    ("networking.k8s.io", "Ingress"): {"spec": {}, "status": {"loadBalancer": {}}},
    ("networking.k8s.io", "IngressClass"): {"spec": {}},
    ("networking.k8s.io", "IPAddress"): {"spec": {}},
    ("networking.k8s.io", "NetworkPolicy"): {"spec": {"podSelector": {}}},
    ("networking.k8s.io", "ServiceCIDR"): {"spec": {}, "status": {}},
    ("node.k8s.io", "RuntimeClass"): {"handler": ""},
    ("policy", "PodDisruptionBudget"): {
        "spec": {},
        "status": {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
    },
    ("rbac.authorization.k8s.io", "ClusterRole"): {"rules": None},
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): {"roleRef": {"apiGroup": "", "kind": "", "name": ""}},
    ("rbac.authorization.k8s.io", "Role"): {"rules": None},
    ("rbac.authorization.k8s.io", "RoleBinding"): {"roleRef": {"apiGroup": "", "kind": "", "name": ""}},
    ("scheduling.k8s.io", "PriorityClass"): {"value": 0},
    ("storage.k8s.io", "CSIDriver"): {"spec": {}},
    ("storage.k8s.io", "CSINode"): {"spec": {"drivers": None}},
    ("storage.k8s.io", "StorageClass"): {"provisioner": ""},
    ("storage.k8s.io", "VolumeAttachment"): {
        "spec": {"attacher": "", "source": {}, "nodeName": ""},
        "status": {"attached": False},
    },
}  # fmt: skip


def empty_like(obj: Object) -> Object:
    """The empty object of the same kind."""
    kind = GroupVersionKind.of(obj)
    return {"metadata": {}, **_EMPTY.get((kind.group, kind.kind), {})}
