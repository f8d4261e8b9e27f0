"""EndpointSlices and Endpoints of a service: where its traffic can go, and in what state each place is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kubelab.controllers.decide import pods as pod_facts
from kubelab.controllers.decide.ownership import controller_uid, reference_to
from kubelab.controllers.decide.resources import ENDPOINT_SLICES
from kubelab.controllers.decide.selectors import labels_of
from kubelab.controllers.decide.writes import Create, Decision, Delete, Update, Write
from kubelab.objects import Object

MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
CONTROLLER: Final = "endpointslice-controller.k8s.io"
SERVICE_NAME: Final = "kubernetes.io/service-name"
HEADLESS: Final = "service.kubernetes.io/headless"
TRIGGER_TIME: Final = "endpoints.kubernetes.io/last-change-trigger-time"

_MOST = 100
_ZONE = "topology.kubernetes.io/zone"

Ports = list[Object]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The endpoints that share one set of port numbers, by the uid of their pods."""

    ports: Ports
    endpoints: dict[str, Object]


def is_ours(service: Object) -> bool:
    """Whether a service's endpoints are made here: it has a selector, and is no mere alias."""
    return bool(service["spec"].get("selector")) and service["spec"].get("type") != "ExternalName"


def decide(service: Object, pods: Sequence[Object], nodes: Mapping[str, Object], slices: Sequence[Object]) -> Decision:
    """The slices as they should be, one set per address family; unchanged ones are left alone.

    `slices` are this controller's slices of the service.
    """
    families = service["spec"].get("ipFamilies") or ["IPv4"]
    moments = {str(pod["metadata"]["uid"]): changed_at(pod) for pod in pods}
    writes: list[Write] = []
    alive = [one for one in slices if not pod_facts.is_deleting(one)]
    for family in families:
        there = [one for one in alive if one.get("addressType") == family]
        writes += _reconcile(service, family, wanted(service, pods, nodes, family), there, moments)
    writes += [Delete(ENDPOINT_SLICES, one) for one in alive if one.get("addressType") not in families]
    return Decision(tuple(writes))


def wanted(service: Object, pods: Sequence[Object], nodes: Mapping[str, Object], family: str) -> list[Wanted]:
    """The endpoints of one family, grouped by their ports: a named port may have another number in each pod."""
    found: dict[str, Wanted] = {}
    for pod in pods:
        address = address_of(pod, family)
        if not address or pod_facts.is_terminal(pod):
            continue
        ports = ports_of(service, pod)
        key = json.dumps(ports, sort_keys=True)
        group = found.setdefault(key, Wanted(ports, {}))
        group.endpoints[str(pod["metadata"]["uid"])] = _endpoint(service, pod, address, nodes)
    return list(found.values())


def address_of(pod: Object, family: str) -> str:
    """A pod's address of a family; empty if it has none yet."""
    for entry in (pod.get("status") or {}).get("podIPs") or []:
        address = str(entry.get("ip") or "")
        if address and (":" in address) == (family == "IPv6"):
            return address
    return ""


def ports_of(service: Object, pod: Object) -> Ports:
    """The service's ports as numbers in this pod; a port whose name the pod does not know is left out."""
    found: Ports = []
    for port in service["spec"].get("ports") or []:
        number = _number(port, pod)
        if number is None:
            continue
        made = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number}
        if port.get("appProtocol"):
            made["appProtocol"] = port["appProtocol"]
        found.append(made)
    return found


def _number(port: Object, pod: Object) -> int | None:
    target = port.get("targetPort") or port.get("port")
    if isinstance(target, int):
        return target
    protocol = port.get("protocol", "TCP")
    for container in pod["spec"].get("containers") or []:
        for declared in container.get("ports") or []:
            if declared.get("name") == target and declared.get("protocol", "TCP") == protocol:
                return int(declared["containerPort"])
    return None


def _endpoint(service: Object, pod: Object, address: str, nodes: Mapping[str, Object]) -> Object:
    serving, terminating = pod_facts.is_ready(pod), pod_facts.is_deleting(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    made: Object = {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": target_of(pod),
    }
    node = pod_facts.node_of(pod)
    if node:
        made["nodeName"] = node
        if zone := labels_of(nodes[node]).get(_ZONE) if node in nodes else None:
            made["zone"] = zone
    if hostname := hostname_in(service, pod):
        made["hostname"] = hostname
    return made


def target_of(pod: Object) -> Object:
    """The reference to a pod."""
    meta = pod["metadata"]
    return {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}


def hostname_in(service: Object, pod: Object) -> str:
    """A pod's own DNS name under a headless service; empty if it has none."""
    spec = pod["spec"]
    same = spec.get("subdomain") == service["metadata"]["name"]
    return str(spec["hostname"]) if spec.get("hostname") and same else ""


# --- slices ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Content:
    """What one slice shall hold; `slice` is the existing one, if there is one to fill."""

    ports: Ports
    endpoints: list[Object]
    slice: Object | None = None


def _reconcile(
    service: Object, family: str, groups: list[Wanted], slices: list[Object], moments: Mapping[str, str]
) -> list[Write]:
    """Fill existing slices as far as they go, make what is missing, give up what is left over.

    A service without endpoints keeps one empty slice, so that a missing slice is never taken for an empty service.
    """
    free = list(slices)
    contents: list[_Content] = []
    for group in groups:
        same = [one for one in free if (one.get("ports") or []) == group.ports and one.get("endpoints")]
        free = [one for one in free if one not in same]
        filled = _fill(group, same)
        used = [content.slice for content in filled]
        free += [one for one in same if one not in used]
        contents += filled
    if not contents:
        contents.append(_Content([], []))
    writes: list[Write] = []
    for content in contents:
        if content.slice is None and free:
            content.slice = free.pop(0)
        writes += _write(service, family, content, moments)
    return writes + [Delete(ENDPOINT_SLICES, one) for one in free]


def _fill(group: Wanted, slices: list[Object]) -> list[_Content]:
    """Endpoints stay in the slice and at the place they are in; new ones go where there is room."""
    left = dict(group.endpoints)
    filled: list[_Content] = []
    for one in slices:
        uids = [_uid(old) for old in one.get("endpoints") or []]
        filled.append(_Content(group.ports, [left.pop(uid) for uid in uids if uid in left], one))
    new = list(left.values())
    for content in filled:
        room = _MOST - len(content.endpoints)
        content.endpoints += new[:room]
        new = new[room:]
    filled += [_Content(group.ports, new[start : start + _MOST]) for start in range(0, len(new), _MOST)]
    return [content for content in filled if content.endpoints]


def _write(service: Object, family: str, content: _Content, moments: Mapping[str, str]) -> list[Write]:
    existing = content.slice
    if existing is None:
        return [Create(ENDPOINT_SLICES, _made(service, family, content))]
    labels = _labels(service)
    same = (existing.get("endpoints") or []) == content.endpoints and (existing.get("ports") or []) == content.ports
    if same and dict(labels_of(existing)) == labels:
        return []
    meta = existing["metadata"]
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key != TRIGGER_TIME}
    if moment := _trigger(existing, content, moments):
        annotations[TRIGGER_TIME] = moment
    after = existing | {"endpoints": content.endpoints or None, "ports": content.ports or None}
    return [Update(ENDPOINT_SLICES, after | {"metadata": meta | {"labels": labels, "annotations": annotations}})]


def _trigger(existing: Object, content: _Content, moments: Mapping[str, str]) -> str:
    """When the earliest change of this write happened: of pods that are new, or ready where they were not before."""
    before = {_uid(old): old["conditions"]["serving"] for old in existing.get("endpoints") or []}
    changed = [_uid(new) for new in content.endpoints if before.get(_uid(new)) != new["conditions"]["serving"]]
    return min((moments.get(uid, "") for uid in changed), default="")


def _uid(endpoint: Object) -> str:
    return str((endpoint.get("targetRef") or {}).get("uid"))


def _labels(service: Object) -> dict[str, str]:
    labels = {key: value for key, value in labels_of(service).items() if key != HEADLESS}
    labels |= {SERVICE_NAME: str(service["metadata"]["name"]), MANAGED_BY: CONTROLLER}
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    return labels


def _made(service: Object, family: str, content: _Content) -> Object:
    meta = service["metadata"]
    made_meta: Object = {
        "generateName": f"{meta['name']}-",
        "namespace": meta["namespace"],
        "labels": _labels(service),
        "ownerReferences": [reference_to(service)],
    }
    if meta.get("creationTimestamp"):
        made_meta["annotations"] = {TRIGGER_TIME: meta["creationTimestamp"]}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": made_meta,
        "addressType": family,
        "endpoints": content.endpoints or None,
        "ports": content.ports or None,
    }


def changed_at(pod: Object) -> str:
    """When a pod became ready or ceased to be, as the API says it; its creation before that."""
    condition = pod_facts.ready_condition(pod) or {}
    return str(condition.get("lastTransitionTime") or pod["metadata"].get("creationTimestamp") or "")


def ours(service: Object, slices: Iterable[Object]) -> list[Object]:
    """Of the slices with the service's name those that this controller made for it."""
    uid = service["metadata"]["uid"]
    return [one for one in slices if labels_of(one).get(MANAGED_BY) == CONTROLLER and controller_uid(one) in {"", uid}]
