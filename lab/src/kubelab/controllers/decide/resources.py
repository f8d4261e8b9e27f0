"""The resources that controllers read and write."""

from __future__ import annotations

from kubelab.resource import Resource

PODS = Resource("", "v1", "pods", True)
NODES = Resource("", "v1", "nodes", False)
SERVICES = Resource("", "v1", "services", True)
ENDPOINTS = Resource("", "v1", "endpoints", True)
NAMESPACES = Resource("", "v1", "namespaces", False)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", True)
CONFIG_MAPS = Resource("", "v1", "configmaps", True)
EVENTS = Resource("", "v1", "events", True)
LEASES = Resource("coordination.k8s.io", "v1", "leases", True)
DEPLOYMENTS = Resource("apps", "v1", "deployments", True)
REPLICA_SETS = Resource("apps", "v1", "replicasets", True)
DAEMON_SETS = Resource("apps", "v1", "daemonsets", True)
CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions", True)
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", True)
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", False)
CUSTOM_RESOURCE_DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", False)
