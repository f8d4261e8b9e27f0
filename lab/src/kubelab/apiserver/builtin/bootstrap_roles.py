"""The ClusterRoles and bindings that every cluster starts with, as data: the useful ones, under their real names."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin.rbac import GROUP, MASTERS, effective_rules
from kubelab.objects import Object

_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "delete", "deletecollection", "patch", "update")
_LABELS: Final = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_ANNOTATIONS: Final = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
_AGGREGATE: Final = "rbac.authorization.k8s.io/aggregate-to-"
_CORE: Final = (
    "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers"
    " replicationcontrollers/scale serviceaccounts services services/status"
)
_SPACE: Final = (
    "bindings events limitranges namespaces namespaces/status pods/log pods/status replicationcontrollers/status"
    " resourcequotas resourcequotas/status"
)
_APPS: Final = (
    "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets"
    " replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status"
)
_BATCH: Final = "cronjobs cronjobs/status jobs jobs/status"
_NETWORK: Final = "ingresses ingresses/status networkpolicies"
_POLICY: Final = "poddisruptionbudgets poddisruptionbudgets/status"


def _rule(verbs: tuple[str, ...], groups: str, resources: str) -> Object:
    """Groups and resources by blanks; `core` is the group without a name."""
    named = ["" if group == "core" else group for group in groups.split()]
    return {"verbs": list(verbs), "apiGroups": named, "resources": resources.split()}


def _paths(paths: str) -> Object:
    return {"verbs": ["get"], "nonResourceURLs": paths.split()}


def _role(name: str, *rules: Object, labels: Object | None = None, aggregate: str = "") -> Object:
    role: Object = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": _LABELS | (labels or {}), "annotations": dict(_ANNOTATIONS)},
        "rules": list(rules) or None,
    }
    if aggregate:
        role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"{_AGGREGATE}{aggregate}": "true"}}]}
    return role


def _binding(name: str, *groups: str) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": dict(_LABELS), "annotations": dict(_ANNOTATIONS)},
        "subjects": [{"kind": "Group", "apiGroup": GROUP, "name": group} for group in groups],
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
    }


def _aggregated() -> list[Object]:
    """What admin, edit and view consist of."""
    return [
        _role(
            "system:aggregate-to-view",
            _rule(_READ, "core", _CORE),
            _rule(_READ, "core", _SPACE),
            _rule(_READ, "discovery.k8s.io", "endpointslices"),
            _rule(_READ, "apps", _APPS),
            _rule(_READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
            _rule(_READ, "batch", _BATCH),
            _rule(_READ, "policy", _POLICY),
            _rule(_READ, "networking.k8s.io", _NETWORK),
            labels={f"{_AGGREGATE}view": "true"},
        ),
        _role(
            "system:aggregate-to-edit",
            _rule(
                _READ,
                "core",
                "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy",
            ),
            _rule(("impersonate",), "core", "serviceaccounts"),
            _rule(_WRITE, "core", "pods pods/attach pods/exec pods/portforward pods/proxy"),
            _rule(("create",), "core", "pods/eviction"),
            _rule(
                _WRITE,
                "core",
                "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets"
                " serviceaccounts services services/proxy",
            ),
            _rule(("create",), "core", "serviceaccounts/token"),
            _rule(
                _WRITE,
                "apps",
                "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale"
                " statefulsets statefulsets/scale",
            ),
            _rule(_WRITE, "autoscaling", "horizontalpodautoscalers"),
            _rule(_WRITE, "batch", "cronjobs jobs"),
            _rule(_WRITE, "policy", "poddisruptionbudgets"),
            _rule(_WRITE, "networking.k8s.io", "ingresses networkpolicies"),
            _rule((*_WRITE, *_READ), "coordination.k8s.io", "leases"),
            labels={f"{_AGGREGATE}edit": "true"},
        ),
        _role(
            "system:aggregate-to-admin",
            _rule(("create",), "authorization.k8s.io", "localsubjectaccessreviews"),
            _rule((*_WRITE, *_READ), GROUP, "rolebindings roles"),
            labels={f"{_AGGREGATE}admin": "true"},
        ),
        _role("view", labels={f"{_AGGREGATE}edit": "true"}, aggregate="view"),
        _role("edit", labels={f"{_AGGREGATE}admin": "true"}, aggregate="edit"),
        _role("admin", aggregate="admin"),
    ]


def _open_roles() -> list[Object]:
    """What anybody may do, and what those may who are known."""
    return [
        _role(
            "system:basic-user",
            _rule(("create",), "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
            _rule(("create",), "authentication.k8s.io", "selfsubjectreviews"),
        ),
        _role(
            "system:discovery",
            _paths("/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"),
        ),
        _role("system:public-info-viewer", _paths("/healthz /livez /readyz /version /version/")),
        _role(
            "system:monitoring", _paths("/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*")
        ),
        _role("system:service-account-issuer-discovery", _paths("/.well-known/openid-configuration /openid/v1/jwks/")),
        _role(
            "system:auth-delegator",
            _rule(("create",), "authentication.k8s.io", "tokenreviews"),
            _rule(("create",), "authorization.k8s.io", "subjectaccessreviews"),
        ),
    ]


def _machinery_roles() -> list[Object]:
    """What the cluster's own programs may do; a node's rights stand in for the node authorizer's graph."""
    return [
        _role(
            "system:node",
            _rule(("create",), "authentication.k8s.io", "tokenreviews"),
            _rule(("create",), "authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews"),
            _rule(_READ, "core", "services"),
            _rule(("create", *_READ), "core", "nodes"),
            _rule(("patch", "update"), "core", "nodes nodes/status"),
            _rule(("create", "patch", "update"), "core events.k8s.io", "events"),
            _rule(("create", "delete", *_READ), "core", "pods"),
            _rule(("patch", "update"), "core", "pods/status"),
            _rule(("create",), "core", "pods/eviction serviceaccounts/token"),
            _rule(_READ, "core", "configmaps endpoints namespaces secrets serviceaccounts"),
            _rule(_READ, "discovery.k8s.io", "endpointslices"),
            _rule(("create", "delete", "get", "patch", "update"), "coordination.k8s.io", "leases"),
            _rule(_READ, "node.k8s.io", "runtimeclasses"),
        ),
        _role(
            "system:node-proxier",
            _rule(("list", "watch"), "core", "endpoints nodes services"),
            _rule(("list", "watch"), "discovery.k8s.io", "endpointslices"),
            _rule(("create", "patch", "update"), "core events.k8s.io", "events"),
        ),
        _role(
            "system:kube-controller-manager",
            _rule(("create", "get", "update"), "coordination.k8s.io", "leases"),
            _rule(("create", "patch", "update"), "core events.k8s.io", "events"),
            _rule(_READ, "*", "*"),
            _rule(("create",), "core", "serviceaccounts serviceaccounts/token"),
            _rule(("create",), "authentication.k8s.io authorization.k8s.io", "tokenreviews subjectaccessreviews"),
        ),
        _role(
            "system:kube-scheduler",
            _rule(("create", "patch", "update"), "core events.k8s.io", "events"),
            _rule(("create", "get", "list", "update", "watch"), "coordination.k8s.io", "leases"),
            _rule(_READ, "core", "namespaces nodes persistentvolumeclaims persistentvolumes pods services"),
            _rule(("delete",), "core", "pods"),
            _rule(("create",), "core", "bindings pods/binding"),
            _rule(("patch", "update"), "core", "pods/status"),
            _rule(_READ, "apps", "replicasets statefulsets"),
            _rule(_READ, "policy", "poddisruptionbudgets"),
        ),
        _role(
            "system:kubelet-api-admin", _rule(_READ, "core", "nodes"), _rule(("*",), "core", "nodes/log nodes/proxy")
        ),
    ]


def cluster_roles() -> list[Object]:
    """All ClusterRoles of a new cluster; those that are aggregated come with their rules."""
    everything = _role("cluster-admin", _rule(("*",), "*", "*"), {"verbs": ["*"], "nonResourceURLs": ["*"]})
    roles = [everything, *_aggregated(), *_open_roles(), *_machinery_roles()]
    # From the inside out: view is part of edit, edit of admin.
    for name in ("view", "edit", "admin"):
        role = next(one for one in roles if one["metadata"]["name"] == name)
        role["rules"] = effective_rules(role, roles)
    return roles


def cluster_role_bindings() -> list[Object]:
    """All ClusterRoleBindings of a new cluster."""
    return [
        _binding("cluster-admin", MASTERS),
        _binding("system:basic-user", "system:authenticated"),
        _binding("system:discovery", "system:authenticated"),
        _binding("system:monitoring", "system:monitoring"),
        _binding("system:node", "system:nodes"),
        _binding("system:node-proxier", "system:nodes"),
        _binding("system:public-info-viewer", "system:authenticated", "system:unauthenticated"),
        _binding("system:service-account-issuer-discovery", "system:serviceaccounts"),
    ]
