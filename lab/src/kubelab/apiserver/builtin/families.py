"""Which strategy each built-in resource has."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import (
    configuration,
    discovery,
    events,
    jobs,
    leases,
    namespaces,
    networkpolicies,
    nodes,
    pods,
    rbac,
    roles,
    scheduling,
    services,
    storageclasses,
    webhookconfigurations,
    workloads,
)
from kubelab.apiserver.builtin.kind import Kind
from kubelab.apiserver.resources import Strategy
from kubelab.objects import GroupResource

_ADMISSION: Final = "admissionregistration.k8s.io"


def strategies() -> dict[GroupResource, Strategy]:
    """A strategy for each built-in resource that has rules of its own; all others are generic."""
    return {
        GroupResource("", "configmaps"): configuration.ConfigMapStrategy(),
        GroupResource("", "endpoints"): discovery.EndpointsStrategy(),
        GroupResource("", "events"): events.EventStrategy(),
        GroupResource("", "namespaces"): namespaces.NamespaceStrategy(),
        GroupResource("", "nodes"): nodes.NodeStrategy(),
        GroupResource("", "pods"): pods.PodStrategy(),
        GroupResource("", "secrets"): configuration.SecretStrategy(),
        GroupResource("", "serviceaccounts"): Kind(),
        GroupResource("", "services"): services.ServiceStrategy(),
        GroupResource(_ADMISSION, "mutatingwebhookconfigurations"): _webhooks(mutating=True),
        GroupResource(_ADMISSION, "validatingwebhookconfigurations"): _webhooks(mutating=False),
        GroupResource("apps", "controllerrevisions"): workloads.ControllerRevisionStrategy(),
        GroupResource("apps", "daemonsets"): workloads.DaemonSetStrategy(),
        GroupResource("apps", "deployments"): workloads.DeploymentStrategy(),
        GroupResource("apps", "replicasets"): workloads.ReplicaSetStrategy(),
        GroupResource("apps", "statefulsets"): workloads.StatefulSetStrategy(),
        GroupResource("batch", "cronjobs"): jobs.CronJobStrategy(),
        GroupResource("batch", "jobs"): jobs.JobStrategy(),
        GroupResource("coordination.k8s.io", "leases"): leases.LeaseStrategy(),
        GroupResource("discovery.k8s.io", "endpointslices"): discovery.EndpointSliceStrategy(),
        GroupResource("events.k8s.io", "events"): events.NewEventStrategy(),
        GroupResource("networking.k8s.io", "networkpolicies"): networkpolicies.NetworkPolicyStrategy(),
        GroupResource("node.k8s.io", "runtimeclasses"): scheduling.RuntimeClassStrategy(),
        GroupResource("policy", "poddisruptionbudgets"): scheduling.DisruptionBudgetStrategy(),
        GroupResource("scheduling.k8s.io", "priorityclasses"): scheduling.PriorityClassStrategy(),
        GroupResource("storage.k8s.io", "storageclasses"): storageclasses.StorageClassStrategy(),
        rbac.ROLES: roles.RoleStrategy(cluster=False),
        rbac.CLUSTER_ROLES: roles.RoleStrategy(cluster=True),
        rbac.ROLE_BINDINGS: roles.BindingStrategy(cluster=False),
        rbac.CLUSTER_ROLE_BINDINGS: roles.BindingStrategy(cluster=True),
    }


def _webhooks(*, mutating: bool) -> Strategy:
    return webhookconfigurations.WebhookConfigurationStrategy(mutating=mutating)
