"""Why pods don't run, in words for a person: the scheduler's, the kubelet's, the program's end. Pure.

A text stays the same for as long as its cause does: what counts up or alternates (back-off times, `ErrImagePull` and
`ImagePullBackOff`) is left out, so that nothing is written again and again while a pod waits.
Source: core/v1 PodStatus, ContainerStatus.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from msgspec import field

from metallb.api.core import Condition, Model, ObjectMeta

PATIENCE: Final = dt.timedelta(seconds=60)
"""A pod that has not been ready for this long, for a reason that waiting seldom mends, is no progress any more."""

SHOWN: Final = 3
"""How many causes, and how many pods of each, are named."""

_PULLING: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_STARTING: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_BACK_OFF: Final = re.compile(r'^Back-off pulling image "[^"]*"(: )?')
_ERROR: Final = re.compile(r"^(ErrImagePull|InvalidImageName): ")


class Terminated(Model, frozen=True):
    """core/v1 ContainerStateTerminated."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""


class Waiting(Model, frozen=True):
    """core/v1 ContainerStateWaiting."""

    reason: str = ""
    message: str = ""


class ContainerState(Model, frozen=True):
    """core/v1 ContainerState."""

    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Model, frozen=True):
    """core/v1 ContainerStatus."""

    name: str = ""
    image: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class OperandPodSpec(Model, frozen=True):
    """core/v1 PodSpec: where it runs."""

    node_name: str = ""


class OperandPodStatus(Model, frozen=True):
    """core/v1 PodStatus: how its containers are."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    init_containers: tuple[ContainerStatus, ...] = field(default=(), name="initContainerStatuses")
    containers: tuple[ContainerStatus, ...] = field(default=(), name="containerStatuses")


class OperandPod(Model, frozen=True):
    """A pod of MetalLB as far as its troubles go."""

    metadata: ObjectMeta = ObjectMeta()
    spec: OperandPodSpec = OperandPodSpec()
    status: OperandPodStatus = OperandPodStatus()

    def condition(self, kind: str) -> Condition | None:
        """One condition; None where it is absent."""
        return next((each for each in self.status.conditions if each.type == kind), None)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pod does not run.

    Attributes:
        reason: for the condition, CamelCase.
        text: one sentence without the pod's name.
        pod: its name.
        since: since when it has not been ready.
    """

    reason: str
    text: str
    pod: str
    since: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Troubles:
    """What keeps pods from running.

    Attributes:
        found: in the order of their pods' names.
    """

    found: tuple[Trouble, ...] = ()

    def __str__(self) -> str:
        """For a condition: causes with the pods that have them; empty: no pod is in trouble."""
        by_text: dict[str, list[str]] = {}
        for each in self.found:
            by_text.setdefault(each.text, []).append(each.pod)
        lines = [f"{_names(pods)}: {text}" for text, pods in list(by_text.items())[:SHOWN]]
        left = len(by_text) - SHOWN
        return "; ".join(lines + ([f"and {left} more causes"] if left > 0 else []))

    def stuck(self, now: dt.datetime) -> Trouble | None:
        """The first that has lasted so long that waiting won't mend it."""
        return next((each for each in self.found if each.since and now - each.since >= PATIENCE), None)

    def next_look(self, now: dt.datetime) -> float | None:
        """In how many seconds the next one counts as stuck; None: none will."""
        left = [each.since + PATIENCE - now for each in self.found if each.since and now - each.since < PATIENCE]
        return min(left).total_seconds() if left else None


def troubles(pods: Iterable[OperandPod]) -> Troubles:
    """What keeps these pods from running."""
    ordered = sorted(pods, key=lambda pod: pod.metadata.name)
    return Troubles(tuple(each for pod in ordered if (each := _trouble(pod)) is not None))


def _trouble(pod: OperandPod) -> Trouble | None:
    ready = pod.condition("Ready")
    if pod.metadata.deletion_timestamp is not None or (ready is not None and ready.status == "True"):
        return None
    cause = next(_causes(pod), None)
    if cause is None:
        return None
    placed = pod.condition("PodScheduled")
    moment = next((each.last_transition_time for each in (ready, placed) if each and each.last_transition_time), None)
    return Trouble(*cause, pod.metadata.name, _time(moment or pod.metadata.creation_timestamp))


def _causes(pod: OperandPod) -> Iterator[tuple[str, str]]:
    placed = pod.condition("PodScheduled")
    if placed is not None and placed.status == "False":
        yield "PodUnschedulable", f"can't be scheduled: {placed.message or placed.reason}"
    if pod.status.phase == "Failed":
        said = " ".join(filter(None, (pod.status.reason, pod.status.message)))
        yield "PodFailed", f"has failed: {said or 'without a word'}"
    for each in (*pod.status.init_containers, *pod.status.containers):
        yield from _container(each, f" on node {pod.spec.node_name}" if pod.spec.node_name else "")


def _container(status: ContainerStatus, where: str) -> Iterator[tuple[str, str]]:
    waiting = status.state.waiting or Waiting()
    ended = status.state.terminated or status.last_state.terminated
    if waiting.reason in _PULLING:
        detail = _ERROR.sub("", _BACK_OFF.sub("", waiting.message))
        said = f": {detail}" if detail else ""
        yield "ImagePullFailed", f"image {status.image!r} can't be pulled{said}"
    elif waiting.reason in _STARTING:
        yield "ContainerNotStarted", f"container {status.name} can't be started: {waiting.message or waiting.reason}"
    elif ended is not None and not status.ready and (status.restart_count or ended.exit_code):
        why = f"{ended.reason or 'Error'}, exit code {ended.exit_code}"
        said = f": {ended.message.strip()}" if ended.message.strip() else ""
        yield "ContainerEnds", f"container {status.name}{where} ends again and again ({why}){said}; see its log"


def _names(pods: list[str]) -> str:
    more = f" and {len(pods) - SHOWN} more" if len(pods) > SHOWN else ""
    return f"{'Pods' if len(pods) > 1 else 'Pod'} {', '.join(pods[:SHOWN])}{more}"


def _time(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
