"""Pods in tables: READY, STATUS and RESTARTS as the real server works them out."""

from __future__ import annotations

from typing import NamedTuple

from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.printers.ages import age
from kubelab.objects import Json, Object

_DONE = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}


class _Summary(NamedTuple):
    reason: str
    ready: int
    total: int
    restarts: int
    last_restart: str
    """RFC 3339; empty if nothing restarted."""


def pod(obj: Object, now: str) -> list[Json]:
    """Name, Ready, Status, Restarts, Age; IP, Node, Nominated Node, Readiness Gates."""
    spec, status, metadata = obj["spec"], entries(obj.get("status")), obj["metadata"]
    summary = _summary(obj)
    restarts = str(summary.restarts)
    if summary.restarts and summary.last_restart:
        restarts += f" ({age(summary.last_restart, now)} ago)"
    addresses = items(status.get("podIPs"))
    return [
        metadata["name"],
        f"{summary.ready}/{summary.total}",
        summary.reason,
        restarts,
        age(metadata.get("creationTimestamp"), now),
        (addresses[0].get("ip") if addresses else status.get("podIP")) or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _readiness_gates(spec, status),
    ]


def conditions(obj: Object) -> list[Object]:
    """The row condition of a pod that has ended: kubectl can leave such rows out."""
    phase = entries(obj.get("status")).get("phase", "")
    if phase not in _DONE:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": _DONE[phase]}]


def _readiness_gates(spec: Object, status: Object) -> str:
    gates = items(spec.get("readinessGates"))
    if not gates:
        return "<none>"
    true = {one["type"] for one in items(status.get("conditions")) if one.get("status") == "True"}
    return f"{sum(gate.get('conditionType') in true for gate in gates)}/{len(gates)}"


def _summary(obj: Object) -> _Summary:
    spec, status = obj["spec"], entries(obj.get("status"))
    phase = status.get("phase", "")
    reason = status.get("reason") or phase
    if _is_gated(status):
        reason = "SchedulingGated"
    summary, initializing = _init_summary(spec, status, reason)
    if not initializing or _is_true(status, "Initialized"):
        summary = _running_summary(status, summary, _sidecars(spec))
    if obj["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            return summary._replace(reason="Unknown")
        if phase not in _DONE:
            return summary._replace(reason="Terminating")
    return summary


def _is_true(status: Object, kind: str) -> bool:
    conditions = items(status.get("conditions"))
    return any(one.get("type") == kind and one.get("status") == "True" for one in conditions)


def _is_gated(status: Object) -> bool:
    conditions = items(status.get("conditions"))
    return any(one.get("type") == "PodScheduled" and one.get("reason") == "SchedulingGated" for one in conditions)


def _sidecars(spec: Object) -> set[str]:
    """Init containers that run as long as the pod (KEP-753)."""
    return {one["name"] for one in items(spec.get("initContainers")) if one.get("restartPolicy") == "Always"}


def _init_summary(spec: Object, status: Object, reason: str) -> tuple[_Summary, bool]:
    sidecars = _sidecars(spec)
    total = len(items(spec.get("containers"))) + len(sidecars)
    summary = _Summary(reason, 0, total, 0, "")
    count = len(items(spec.get("initContainers")))
    for number, container in enumerate(items(status.get("initContainerStatuses"))):
        summary = _counted(summary, container)
        is_sidecar = container.get("name") in sidecars
        if is_sidecar and container.get("started"):
            summary = summary._replace(ready=summary.ready + bool(container.get("ready")))
            continue
        word = _init_word(container, f"{number}/{count}")
        if word is not None:
            return summary._replace(reason=f"Init:{word}"), True
    return summary, False


def _init_word(container: Object, progress: str) -> str | None:
    """Why an init container holds its pod up; None if it ended well."""
    state = entries(container.get("state"))
    ended = state.get("terminated")
    if ended is not None:
        return None if not ended.get("exitCode") else _end_word(ended)
    waiting = entries(state.get("waiting")).get("reason")
    return waiting if waiting and waiting != "PodInitializing" else progress


def _end_word(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _counted(summary: _Summary, container: Object) -> _Summary:
    finished = entries(entries(container.get("lastState")).get("terminated")).get("finishedAt") or ""
    return summary._replace(
        restarts=summary.restarts + container.get("restartCount", 0),
        last_restart=max(summary.last_restart, finished),
    )


def _running_summary(status: Object, init: _Summary, sidecars: set[str]) -> _Summary:
    # Restarts of init containers that have ended count no more; those of sidecars do.
    summary = init._replace(restarts=0, last_restart="")
    for container in items(status.get("initContainerStatuses")):
        if container.get("name") in sidecars:
            summary = _counted(summary, container)
    running = False
    for container in reversed(items(status.get("containerStatuses"))):
        summary = _counted(summary, container)
        state = entries(container.get("state"))
        waiting = entries(state.get("waiting")).get("reason")
        if waiting:
            summary = summary._replace(reason=waiting)
        elif state.get("terminated") is not None:
            summary = summary._replace(reason=_end_word(state["terminated"]))
        elif container.get("ready") and state.get("running") is not None:
            running = True
            summary = summary._replace(ready=summary.ready + 1)
    if summary.reason == "Completed" and running:
        ready = _is_true(status, "Ready")
        summary = summary._replace(reason="Running" if ready else "NotReady")
    return summary
