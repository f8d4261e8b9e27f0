"""The printer of each built-in resource: column definitions as data, cells by a function."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources as package_files
from typing import Final

from kubelab.apiserver.builtin.printers import cluster, configuration, events, networking, pods, workloads
from kubelab.objects import GroupResource, Json, Object

_RBAC: Final = "rbac.authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"


@dataclass(frozen=True, slots=True)
class Printer:
    """How a kind is shown.

    `definitions` are `TableColumnDefinition`s; `cells(obj, now)` gives one cell for each, `now` in RFC 3339.
    `conditions(obj)` are those of the row.
    """

    definitions: list[Object]
    cells: Callable[[Object, str], list[Json]]
    conditions: Callable[[Object], list[Object]] = lambda _: []


_CELLS: Final[dict[GroupResource, Callable[[Object, str], list[Json]]]] = {
    GroupResource("", "pods"): pods.pod,
    GroupResource("", "services"): networking.service,
    GroupResource("", "endpoints"): networking.endpoints,
    GroupResource("discovery.k8s.io", "endpointslices"): networking.endpoint_slice,
    GroupResource("networking.k8s.io", "networkpolicies"): networking.network_policy,
    GroupResource("", "nodes"): cluster.node,
    GroupResource("", "namespaces"): cluster.namespace,
    GroupResource("scheduling.k8s.io", "priorityclasses"): cluster.priority_class,
    GroupResource("node.k8s.io", "runtimeclasses"): cluster.runtime_class,
    GroupResource("storage.k8s.io", "storageclasses"): cluster.storage_class,
    GroupResource("coordination.k8s.io", "leases"): cluster.lease,
    GroupResource("", "configmaps"): configuration.config_map,
    GroupResource("", "secrets"): configuration.secret,
    GroupResource("", "serviceaccounts"): configuration.service_account,
    GroupResource(_RBAC, "rolebindings"): configuration.binding,
    GroupResource(_RBAC, "clusterrolebindings"): configuration.binding,
    GroupResource(_ADMISSION, "validatingwebhookconfigurations"): configuration.webhooks,
    GroupResource(_ADMISSION, "mutatingwebhookconfigurations"): configuration.webhooks,
    GroupResource("", "events"): events.event,
    GroupResource("events.k8s.io", "events"): events.event,
    GroupResource("apps", "deployments"): workloads.deployment,
    GroupResource("apps", "daemonsets"): workloads.daemon_set,
    GroupResource("apps", "replicasets"): workloads.replica_set,
    GroupResource("apps", "statefulsets"): workloads.stateful_set,
    GroupResource("apps", "controllerrevisions"): workloads.controller_revision,
    GroupResource("batch", "jobs"): workloads.job,
    GroupResource("batch", "cronjobs"): workloads.cron_job,
    GroupResource("policy", "poddisruptionbudgets"): workloads.disruption_budget,
}


@functools.cache
def _definitions() -> dict[str, list[Object]]:
    text = package_files.files(__package__).joinpath("columns.jsonl").read_text(encoding="utf-8")
    lines = {line["resource"]: line["columns"] for line in map(json.loads, text.splitlines())}
    # Descriptions that most tables share stand once.
    shared = {column[0]: column[4] for column in lines.pop("*")}
    return {
        resource: [
            {
                "name": name,
                "type": kind,
                "format": text_format,
                "description": shared.get(description, description),
                "priority": priority,
            }
            for name, kind, text_format, priority, description in rows
        ]
        for resource, rows in lines.items()
    }


def _plain(obj: Object, now: str) -> list[Json]:  # noqa: ARG001  # the shape of all cell functions
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


@functools.cache
def columns(resource: GroupResource) -> Printer | None:
    """The printer of a resource; None for those that show nothing but name and time (`DEFAULT` does)."""
    cells = _CELLS.get(resource)
    if cells is None:
        return None
    conditions = pods.conditions if resource == GroupResource("", "pods") else lambda _: []
    return Printer(_definitions()[resource.resource], cells, conditions)


DEFAULT: Final = Printer(_definitions()[""], _plain)
"""Name and creation time: of roles, CustomResourceDefinitions and all that have no printer of their own."""
