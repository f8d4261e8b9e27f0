"""Endpoints: the older form of a service's endpoints, which some programs still read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from kubelab.controllers.decide import endpoints as slices
from kubelab.controllers.decide import pods as pod_facts
from kubelab.controllers.decide.resources import ENDPOINTS
from kubelab.controllers.decide.selectors import labels_of
from kubelab.controllers.decide.writes import Create, Decision, Update
from kubelab.objects import Object

MANAGED_BY: Final = "endpoints.kubernetes.io/managed-by"
CONTROLLER: Final = "endpoint-controller"

_OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
_MOST = 1000


def decide(service: Object, pods: Sequence[Object], existing: Object | None) -> Decision:
    """The Endpoints object of a service, if it differs from what is there."""
    subsets, cut = subsets_of(service, pods)
    labels = dict(labels_of(service)) | {MANAGED_BY: CONTROLLER}
    labels.pop(slices.HEADLESS, None)
    if service["spec"].get("clusterIP") == "None":
        labels[slices.HEADLESS] = ""
    if existing is not None and (existing.get("subsets") or []) == subsets and dict(labels_of(existing)) == labels:
        return Decision()
    old_meta = existing["metadata"] if existing is not None else {}
    annotations = dict(old_meta.get("annotations") or {})
    annotations.pop(_OVER_CAPACITY, None)
    annotations.pop(slices.TRIGGER_TIME, None)
    if cut:
        annotations[_OVER_CAPACITY] = "truncated"
    if moment := _trigger(service, pods, existing):
        annotations[slices.TRIGGER_TIME] = moment
    meta = {"name": service["metadata"]["name"], "namespace": service["metadata"]["namespace"]} | old_meta
    made = (existing or {"apiVersion": "v1", "kind": "Endpoints"}) | {
        "metadata": meta | {"labels": labels, "annotations": annotations}
    }
    made.pop("subsets", None)
    if subsets:
        made["subsets"] = subsets
    return Decision((Create(ENDPOINTS, made) if existing is None else Update(ENDPOINTS, made),))


def subsets_of(service: Object, pods: Sequence[Object]) -> tuple[list[Object], bool]:
    """The subsets, one for each set of ports, and whether some addresses were left out because there are too many."""
    family = (service["spec"].get("ipFamilies") or ["IPv4"])[0]
    unready_too = bool(service["spec"].get("publishNotReadyAddresses"))
    found: dict[str, Object] = {}
    count = 0
    for pod in sorted(pods, key=lambda pod: _place(slices.address_of(pod, family))):
        address = slices.address_of(pod, family)
        if not address or pod_facts.is_terminal(pod) or (pod_facts.is_deleting(pod) and not unready_too):
            continue
        ports = slices.ports_of(service, pod)
        if service["spec"].get("ports") and not ports:
            continue
        count += 1
        if count > _MOST:
            continue
        subset = found.setdefault(
            json.dumps(ports, sort_keys=True), {"addresses": [], "notReadyAddresses": [], "ports": ports}
        )
        ready = unready_too or pod_facts.is_ready(pod)
        subset["addresses" if ready else "notReadyAddresses"].append(_address(service, pod, address))
    return [{key: value for key, value in subset.items() if value} for subset in found.values()], count > _MOST


def _place(address: str) -> int:
    """Addresses stand in their numerical order."""
    return int(ip_address(address)) if address else 0


def _address(service: Object, pod: Object, address: str) -> Object:
    made: Object = {"ip": address, "targetRef": slices.target_of(pod)}
    if node := pod_facts.node_of(pod):
        made["nodeName"] = node
    if hostname := slices.hostname_in(service, pod):
        made["hostname"] = hostname
    return made


def _trigger(service: Object, pods: Sequence[Object], existing: Object | None) -> str:
    """When the earliest change of this write happened: of pods that were not among the addresses in this state."""
    if existing is None:
        return str(service["metadata"].get("creationTimestamp") or "")
    before = {
        str((address.get("targetRef") or {}).get("uid")): kind == "addresses"
        for subset in existing.get("subsets") or []
        for kind in ("addresses", "notReadyAddresses")
        for address in subset.get(kind) or []
    }
    changed = (
        pod
        for pod in pods
        if not pod_facts.is_deleting(pod) and before.get(str(pod["metadata"]["uid"])) != pod_facts.is_ready(pod)
    )
    return min((slices.changed_at(pod) for pod in changed), default="")
