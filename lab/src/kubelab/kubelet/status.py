"""The status of a pod as the kubelet would write it, from the machine's state and the status before."""

from __future__ import annotations

import time
from collections.abc import Iterable

from kubelab.kubelet.lifecycle import PodMachine
from kubelab.kubelet.state import ContainerState, Ended, Now
from kubelab.objects import Object


def timestamp(wall: float) -> str:
    """RFC 3339 in whole seconds, UTC, as API objects carry times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall))


def pod_status(machine: PodMachine, host_ips: tuple[str, ...], before: Object, now: Now) -> Object:
    """The fields of `status` that the node agent owns; times of conditions that did not change are kept."""
    pod = machine.pod
    phase = machine.phase
    status: Object = {
        "phase": phase,
        "conditions": _conditions(machine, before, now),
        "startTime": before.get("startTime") or timestamp(now.wall),
        "containerStatuses": [_container_status(state, ending=machine.ending) for state in machine.mains],
    }
    if machine.inits:
        status["initContainerStatuses"] = [_container_status(state, ending=machine.ending) for state in machine.inits]
    if host_ips:
        status["hostIP"] = host_ips[0]
        status["hostIPs"] = [{"ip": address} for address in host_ips]
    if machine.addresses:
        status["podIP"] = machine.addresses[0]
        status["podIPs"] = [{"ip": address} for address in machine.addresses]
    generation = pod.raw["metadata"].get("generation")
    if generation is not None:
        status["observedGeneration"] = generation
    return status


def _conditions(machine: PodMachine, before: Object, now: Now) -> list[Object]:
    known = {item.get("type"): item for item in before.get("conditions") or []}
    done = machine.phase == "Succeeded"
    serving = [*(state for state in machine.inits if state.is_sidecar), *machine.mains]
    unready = [state.spec.name for state in serving if not state.ready]
    incomplete = [state.spec.name for state in machine.inits if not state.passed]
    ready_problem = _problem("unready", unready, done=done)
    gates = _gates_problem(machine)
    rows = [
        ("PodReadyToStartContainers", ("", "") if not machine.is_set_up else None),
        ("Initialized", ("ContainersNotInitialized", _list("incomplete", incomplete)) if incomplete else None),
        ("Ready", ready_problem or gates),
        ("ContainersReady", ready_problem),
        ("PodScheduled", None),
    ]
    generation = machine.pod.raw["metadata"].get("generation")
    return [_condition(name, problem, known.get(name), generation, now) for name, problem in rows]


def _problem(word: str, names: list[str], *, done: bool) -> tuple[str, str] | None:
    if done:
        return "PodCompleted", ""
    return ("ContainersNotReady", _list(word, names)) if names else None


def _list(word: str, names: Iterable[str]) -> str:
    return f"containers with {word} status: [{' '.join(names)}]"


def _gates_problem(machine: PodMachine) -> tuple[str, str] | None:
    conditions = (machine.pod.raw.get("status") or {}).get("conditions") or []
    true = {item.get("type") for item in conditions if item.get("status") == "True"}
    missing = [gate for gate in machine.pod.readiness_gates if gate not in true]
    if not missing:
        return None
    return "ReadinessGatesNotReady", f'the status of pod readiness gate "{missing[0]}" is not "True", but False'


def _condition(
    name: str, problem: tuple[str, str] | None, before: Object | None, generation: int | None, now: Now
) -> Object:
    status = "True" if problem is None else "False"
    same = before is not None and before.get("status") == status
    changed = (before or {}).get("lastTransitionTime") if same else None
    condition: Object = {
        "type": name,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": changed or timestamp(now.wall),
    }
    # A strategic merge keeps what is not named: an old reason has to be taken away by name.
    reason, message = problem or ("", "")
    condition["reason"] = reason or None
    condition["message"] = message or None
    if generation is not None:
        condition["observedGeneration"] = generation
    return condition


def _container_status(state: ContainerState, *, ending: bool) -> Object:
    current, last = _states(state, ending=ending)
    identity = state.run.container_id if state.run else state.ended.container_id if state.ended else ""
    status: Object = {
        "name": state.spec.name,
        "state": current,
        "lastState": last,
        "ready": state.ready,
        "restartCount": state.restarts,
        "image": state.spec.image,
        "imageID": "",
        "started": state.started,
    }
    if identity:
        status["containerID"] = f"kubelab://{identity}"
        status["imageID"] = f"kubelab://{state.spec.image}"
    return status


def _states(state: ContainerState, *, ending: bool) -> tuple[Object, Object]:
    """Current and last state: exactly one kind each, or nothing for a life there was not."""
    if state.stage == "running" and state.run is not None:
        return {"running": {"startedAt": timestamp(state.run.started.wall)}}, _terminated(state.ended)
    if state.ended is None:
        return {"waiting": _waiting(state)}, {}
    if state.waiting.reason and not ending:
        return {"waiting": _waiting(state)}, _terminated(state.ended)
    return _terminated(state.ended), _terminated(state.before)


def _waiting(state: ContainerState) -> Object:
    waiting: Object = {"reason": state.waiting.reason or "ContainerCreating"}
    if state.waiting.message:
        waiting["message"] = state.waiting.message
    return waiting


def _terminated(ended: Ended | None) -> Object:
    if ended is None:
        return {}
    terminated: Object = {
        "exitCode": ended.code,
        "reason": ended.reason,
        "startedAt": timestamp(ended.started_at),
        "finishedAt": timestamp(ended.finished_at),
        "containerID": f"kubelab://{ended.container_id}",
    }
    if ended.message:
        terminated["message"] = ended.message
    return {"terminated": terminated}
