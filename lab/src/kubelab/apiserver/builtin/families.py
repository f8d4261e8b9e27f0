"""Which strategy each built-in resource has."""

from __future__ import annotations

from kubelab.apiserver.builtin import rbac
from kubelab.apiserver.builtin.roles import BindingStrategy, RoleStrategy
from kubelab.apiserver.builtin.services import ServiceStrategy
from kubelab.apiserver.resources import Strategy
from kubelab.objects import GroupResource


def strategies() -> dict[GroupResource, Strategy]:
    """A strategy for each built-in resource that has rules of its own; all others are generic."""
    return {
        GroupResource("", "services"): ServiceStrategy(),
        rbac.ROLES: RoleStrategy(cluster=False),
        rbac.CLUSTER_ROLES: RoleStrategy(cluster=True),
        rbac.ROLE_BINDINGS: BindingStrategy(cluster=False),
        rbac.CLUSTER_ROLE_BINDINGS: BindingStrategy(cluster=True),
    }
