"""What the status of a MetalLB resource says: four conditions, from what was found. Pure (spec/operator.md 1.5).

Ours on purpose: reasons are valid and say what happened, messages name the object to look at, `lastTransitionTime`
moves only when a status does, and `observedGeneration` is set.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from metallb.api.core import Condition, Model
from metallb.operator.pods import Troubles

TYPES = ("Available", "Upgradeable", "Progressing", "Degraded")
NAME = "metallb"
NO_TROUBLES: Final = Troubles()
NO_SPEAKERS = (
    "DaemonSet speaker: no node is left for it, so no address is announced: "
    "look at spec.nodeSelector, spec.speakerTolerations and the labels and taints of the nodes"
)


class WorkloadStatus(Model, frozen=True):
    """apps/v1 status fields that readiness rests on, of Deployments and DaemonSets."""

    observed_generation: int = 0
    desired_number_scheduled: int = 0
    current_number_scheduled: int = 0
    number_ready: int = 0
    updated_number_scheduled: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Available:
    """Everything wanted runs; `message` is for what a person may not have wanted."""

    message: str = ""


@dataclass(frozen=True, slots=True)
class Progressing:
    """Applied, and not yet there; `message` says what is waited for."""

    message: str


@dataclass(frozen=True, slots=True)
class Degraded:
    """It can't be done as it is: a valid CamelCase reason, and what a person should do."""

    reason: str
    message: str


State: TypeAlias = Available | Progressing | Degraded


def wrong_name(name: str) -> Degraded:
    """Only one resource is served, the one called `metallb`."""
    return Degraded("IncorrectMetalLBResourceName", f"Incorrect MetalLB resource name: {name}; it must be {NAME!r}")


def readiness(
    speaker: tuple[int, WorkloadStatus] | None,
    controller: tuple[int, int, WorkloadStatus] | None,
    troubles: Troubles = NO_TROUBLES,
    now: dt.datetime | None = None,
    refused: str = "",
) -> State:
    """From the DaemonSet (generation, status) and the Deployment (generation, spec.replicas, status).

    Args:
        speaker: None: it is not seen yet as it was applied.
        controller: the same.
        troubles: what keeps their pods from running.
        now: to tell what is stuck from what may yet come; None: nothing is stuck.
        refused: why the API server refuses speakers' pods; counts only while some are missing.
    """
    waiting = [text for text in (_speaker(speaker, refused), _controller(controller)) if text]
    if waiting:
        text = "; ".join([*waiting, *filter(None, [str(troubles)])])
        stuck = troubles.stuck(now) if now is not None else None
        return Degraded(stuck.reason, text) if stuck is not None else Progressing(text)
    idle = speaker is not None and speaker[1].desired_number_scheduled == 0
    return Available(NO_SPEAKERS if idle else "")


def conditions(state: State, before: Sequence[Condition], generation: int, now: str) -> tuple[Condition, ...]:
    """The four conditions; `now` is RFC 3339 and used only for those whose status is another than before."""
    raised: dict[str, tuple[str, str]] = {}
    if isinstance(state, Available):
        raised = {"Available": ("Available", state.message), "Upgradeable": ("Upgradeable", "")}
    elif isinstance(state, Progressing):
        raised = {"Progressing": ("Progressing", state.message)}
    else:
        raised = {"Degraded": (state.reason, state.message)}
    known = {condition.type: condition for condition in before}
    return tuple(_condition(each, raised.get(each), known.get(each), generation, now) for each in TYPES)


def _condition(
    kind: str, raised: tuple[str, str] | None, before: Condition | None, generation: int, now: str
) -> Condition:
    status = "True" if raised else "False"
    reason, message = raised or (kind, "")
    same = before is not None and before.status == status and before.last_transition_time
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=before.last_transition_time if same and before else now,
        observed_generation=generation,
    )


def same(one: Sequence[Condition], other: Sequence[Condition]) -> bool:
    """Whether nothing would change but times."""
    return [msgspec.structs.replace(each, last_transition_time=None) for each in one] == [
        msgspec.structs.replace(each, last_transition_time=None) for each in other
    ]


def written(all_of_them: Sequence[Condition]) -> list[dict[str, object]]:
    """As the API wants them: empty messages are there, too."""
    return [
        {
            "type": each.type,
            "status": each.status,
            "reason": each.reason,
            "message": each.message,
            "lastTransitionTime": each.last_transition_time,
            "observedGeneration": each.observed_generation,
        }
        for each in all_of_them
    ]


def _speaker(found: tuple[int, WorkloadStatus] | None, refused: str) -> str:
    if found is None:
        return "DaemonSet speaker: what was applied is not seen yet"
    generation, status = found
    if status.observed_generation != generation:
        return "DaemonSet speaker: its status is not up to date yet"
    wanted = status.desired_number_scheduled
    if wanted == status.current_number_scheduled == status.number_ready == status.updated_number_scheduled:
        return ""
    text = (
        f"DaemonSet speaker: {status.number_ready} of {wanted} pods are ready, "
        f"{status.updated_number_scheduled} are up to date"
    )
    missing = status.current_number_scheduled < wanted
    return f"{text}: {refused}" if missing and refused else text


def _controller(found: tuple[int, int, WorkloadStatus] | None) -> str:
    if found is None:
        return "Deployment controller: what was applied is not seen yet"
    generation, wanted, status = found
    if status.observed_generation != generation:
        return "Deployment controller: its status is not up to date yet"
    if status.ready_replicas == status.updated_replicas == status.replicas == wanted:
        return ""
    text = (
        f"Deployment controller: {status.ready_replicas} of {wanted} pods are ready, "
        f"{status.updated_replicas} are up to date"
    )
    # One that is up to date need not be ready: while it is not, the one before it stays.
    if old := status.replicas - status.updated_replicas:
        text += f", {old} of before are left"
    refused = [each.message for each in status.conditions if each.type == "ReplicaFailure" and each.status == "True"]
    return ": ".join([text, *refused])
