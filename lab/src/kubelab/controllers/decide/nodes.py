"""Node lifecycle: a node that is not heard of any more is Unknown, tainted, and its pods are not ready."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from kubelab.controllers.decide import times
from kubelab.controllers.decide.conditions import find, patch_of, replaced
from kubelab.controllers.decide.pods import is_ready
from kubelab.controllers.decide.resources import NODES, PODS
from kubelab.controllers.decide.selectors import labels_of
from kubelab.controllers.decide.writes import Decision, Patch, Record, Together, Write
from kubelab.objects import Object
from kubelab.resource import PatchKind

COMPONENT = "node-controller"

LEASE_GRACE_S = 2.0
"""Silence after which a node that holds a lease is lost."""
STATUS_GRACE_S = 40.0
"""The same for a node that never had a lease, and only posts its status."""

_BLIND_S = 1.0  # a look that comes later than this was no look: the API server, or this process, was away
_NOT_READY = "node.kubernetes.io/not-ready"
_UNREACHABLE = "node.kubernetes.io/unreachable"
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")
_PRESSURE_TAINTS = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_MANAGED_TAINTS = frozenset({_NOT_READY, _UNREACHABLE, _UNSCHEDULABLE, *_PRESSURE_TAINTS.values()})
_BETA_LABELS = {"beta.kubernetes.io/os": "kubernetes.io/os", "beta.kubernetes.io/arch": "kubernetes.io/arch"}
_TTL = "node.alpha.kubernetes.io/ttl"


Verdict = Literal["alive", "lost", "unsure"]
"""What the silence of a node means; unsure is one that was neither heard of nor silent for long enough yet."""


@dataclass(frozen=True, slots=True)
class _Beat:
    sign: str
    since: float
    heard: bool


@dataclass(slots=True)
class Pulse:
    """When each node was last heard of, on this process's own clock: clocks of nodes may differ.

    Time in which nobody could look does not count: after it every node gets its full grace again, else an API server
    that was away for a moment would seem to have lost all nodes at once.
    """

    _beats: dict[str, _Beat] = field(default_factory=dict)
    _looked_at: float = float("-inf")

    def look(self, signs: Mapping[str, str], now: float) -> None:
        """Take in one successful look: a sign of life per node, any text that changes with each renewal.

        `now` is monotonic seconds.
        """
        blind = now - self._looked_at > _BLIND_S
        self._looked_at = now
        self._beats = {node: _next_beat(self._beats.get(node), sign, now, blind=blind) for node, sign in signs.items()}

    def verdict(self, node: str, *, has_lease: bool) -> Verdict:
        """What is known of a node as of the last look."""
        beat = self._beats.get(node)
        if beat is None:
            return "unsure"
        if self._looked_at - beat.since > (LEASE_GRACE_S if has_lease else STATUS_GRACE_S):
            return "lost"
        return "alive" if beat.heard else "unsure"


def _next_beat(last: _Beat | None, sign: str, now: float, *, blind: bool) -> _Beat:
    if last is None:
        return _Beat(sign, now, heard=False)
    if last.sign != sign:
        return _Beat(sign, now, heard=True)
    return _Beat(sign, now, heard=False) if blind else last


def sign_of_life(node: Object, lease: Object | None) -> str:
    """What changes with each word from a node: its lease's renewal, its status's heartbeat."""
    ready = find((node.get("status") or {}).get("conditions"), "Ready") or {}
    renewed = ((lease or {}).get("spec") or {}).get("renewTime")
    # Once this controller has said Unknown its own write must not look like the node's word.
    heartbeat = "" if ready.get("status") == "Unknown" else ready.get("lastHeartbeatTime")
    return str(renewed) if lease is not None else f"status {heartbeat}"


def decide(node: Object, pods: Iterable[Object], verdict: Verdict, now: datetime) -> Decision:
    """All that follows from a node's health: its conditions, its taints and labels, its pods' readiness."""
    old: list[Object] = (node.get("status") or {}).get("conditions") or []
    new = old
    if verdict == "lost":
        new = _lost(node, old, now)
    elif verdict == "alive":
        new = _found(old, now)
    writes: list[Write] = []
    if new != old:
        patch = {"status": patch_of(old, *(condition for condition in new if condition not in old))}
        then = _status_event(node, old, new)
        writes.append(Patch(NODES, "", node["metadata"]["name"], patch, PatchKind.STRATEGIC, "status", then=then))
    if (find(new, "Ready") or {}).get("status") == "Unknown":
        unready = _unready_pods(pods, now)
        writes += [Together(tuple(unready))] if unready else []
    # Its version guards the list of taints, which others write too, unless it has just moved by our own hand.
    guard = {"resourceVersion": node["metadata"]["resourceVersion"]} if new == old else {}
    writes += _upkeep(node, new, guard, now)
    return Decision(tuple(writes))


def _lost(node: Object, old: list[Object], now: datetime) -> list[Object]:
    new = list(old)
    for kind in ("Ready", *_PRESSURES):
        current = find(new, kind)
        if current is None:
            created = node["metadata"].get("creationTimestamp")
            new = replaced(new, _unknown(kind, "NodeStatusNeverUpdated", "never posted", created, now))
        elif current.get("status") != "Unknown":
            heard = current.get("lastHeartbeatTime")
            new = replaced(new, _unknown(kind, "NodeStatusUnknown", "stopped posting", heard, now))
    return new


def _unknown(kind: str, reason: str, verb: str, heard: str | None, now: datetime) -> Object:
    return {
        "type": kind,
        "status": "Unknown",
        "lastHeartbeatTime": heard,
        "lastTransitionTime": times.stamp(now),
        "reason": reason,
        "message": f"Kubelet {verb} node status.",
    }


def _found(old: list[Object], now: datetime) -> list[Object]:
    """A node that is heard of again gets back what this controller took; all else is the node's own to say."""
    ready = find(old, "Ready")
    if ready is None or (ready.get("status"), ready.get("reason")) != ("Unknown", "NodeStatusUnknown"):
        return old
    moment = times.stamp(now)
    back = {"lastHeartbeatTime": moment, "lastTransitionTime": moment}
    new = replaced(
        old, ready | back | {"status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    )
    for kind in _PRESSURES:
        current = find(new, kind)
        if current is not None and current.get("status") == "Unknown":
            said = {
                "status": "False",
                "reason": f"KubeletHas{_SUFFICIENT[kind]}",
                "message": f"kubelet has {_SAID[kind]}",
            }
            new = replaced(new, current | back | said)
    return new


_SUFFICIENT = {"MemoryPressure": "SufficientMemory", "DiskPressure": "NoDiskPressure", "PIDPressure": "SufficientPID"}
_SAID = {
    "MemoryPressure": "sufficient memory available",
    "DiskPressure": "no disk pressure",
    "PIDPressure": "sufficient PID available",
}


def _status_event(node: Object, old: list[Object], new: list[Object]) -> tuple[Record, ...]:
    before, after = find(old, "Ready") or {}, find(new, "Ready") or {}
    if before.get("status") == "True" and after.get("status") != "True":
        name = node["metadata"]["name"]
        return (Record(node, "NodeNotReady", f"Node {name} status is now: NodeNotReady", COMPONENT),)
    return ()


def _unready_pods(pods: Iterable[Object], now: datetime) -> list[Write]:
    writes: list[Write] = []
    for pod in pods:
        if is_ready(pod):
            condition = {"type": "Ready", "status": "False", "lastTransitionTime": times.stamp(now)}
            event = Record(pod, "NodeNotReady", "Node is not ready", COMPONENT, warning=True)
            meta, patch = pod["metadata"], {"status": patch_of(pod["status"].get("conditions"), condition)}
            writes.append(Patch(PODS, meta["namespace"], meta["name"], patch, PatchKind.STRATEGIC, "status", (event,)))
    return writes


def _upkeep(node: Object, conditions: list[Object], guard: Object, now: datetime) -> list[Write]:
    meta, change = node["metadata"], {}
    new_meta: Object = {}
    new = taints(node, conditions, now)
    if new != (node["spec"].get("taints") or []):
        change["spec"] = {"taints": new or None}
        new_meta |= guard
    labels = {
        beta: labels_of(node)[stable]
        for beta, stable in _BETA_LABELS.items()
        if stable in labels_of(node) and labels_of(node).get(beta) != labels_of(node)[stable]
    }
    if labels:
        new_meta["labels"] = labels
    if _TTL not in (meta.get("annotations") or {}):
        new_meta["annotations"] = {_TTL: "0"}
    if new_meta:
        change["metadata"] = new_meta
    return [Patch(NODES, "", meta["name"], change)] if change else []


def taints(node: Object, conditions: list[Object], now: datetime) -> list[Object]:
    """A node's taints as its conditions ask for; those that others set stay, and stay in their places."""
    wanted = _wanted_taints(node, conditions)
    old = node["spec"].get("taints") or []
    kept = [t for t in old if t["key"] not in _MANAGED_TAINTS or (t["key"], t["effect"]) in wanted]
    present = {(taint["key"], taint["effect"]) for taint in kept}
    added = [
        {"key": key, "effect": effect, "timeAdded": times.stamp(now)}
        for key, effect in wanted
        if (key, effect) not in present
    ]
    return [*kept, *added]


def _wanted_taints(node: Object, conditions: list[Object]) -> list[tuple[str, str]]:
    wanted: list[tuple[str, str]] = []
    ready = (find(conditions, "Ready") or {}).get("status")
    if ready not in {None, "True"}:
        key = _UNREACHABLE if ready == "Unknown" else _NOT_READY
        wanted += [(key, "NoSchedule"), (key, "NoExecute")]
    wanted += [
        (key, "NoSchedule")
        for kind, key in _PRESSURE_TAINTS.items()
        if (find(conditions, kind) or {}).get("status") == "True"
    ]
    if node["spec"].get("unschedulable"):
        wanted.append((_UNSCHEDULABLE, "NoSchedule"))
    return wanted


def registered(node: Object) -> Record:
    """The event about a node seen for the first time."""
    name = node["metadata"]["name"]
    return Record(node, "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller", COMPONENT)


def removed(node: Object) -> Record:
    """The event about a node that is gone."""
    name = node["metadata"]["name"]
    return Record(node, "RemovingNode", f"Node {name} event: Removing Node {name} from Controller", COMPONENT)
