"""What is known of a pod's containers: one record each, with its past, as values that can be kept in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from kubelab.kubelet.podspec import Container, ProbeKind
from kubelab.kubelet.probes import ProbeSchedule

Stage: TypeAlias = Literal["idle", "starting", "running", "ended"]


class Now(NamedTuple):
    """The time, twice: `mono` seconds decide (the system's monotonic clock), `wall` seconds are shown."""

    mono: float
    wall: float


@dataclass(frozen=True, slots=True)
class Run:
    """One life of a container: its program's pid as the node sees it and when it began."""

    container_id: str
    pid: int
    started: Now


@dataclass(frozen=True, slots=True)
class Ended:
    """How a life ended; times are wall seconds. `code` is 128 + n after signal n."""

    container_id: str
    code: int
    message: str
    started_at: float
    finished_at: float
    out_of_memory: bool = False

    @property
    def reason(self) -> str:
        """As the kubelet names it."""
        return "OOMKilled" if self.out_of_memory else "Error" if self.code else "Completed"


@dataclass(slots=True)
class Waiting:
    """Why a container does not run."""

    reason: str
    message: str = ""


@dataclass(slots=True)
class ContainerState:
    """One container. `ended` is its last finished life, `before` the one before that."""

    spec: Container
    is_init: bool
    stage: Stage = "idle"
    waiting: Waiting = field(default_factory=lambda: Waiting("ContainerCreating"))
    run: Run | None = None
    ended: Ended | None = None
    before: Ended | None = None
    restarts: int = 0
    retry_at: float = float("-inf")
    backoff_s: float = 0.0
    pull_backoff_s: float = 0.0
    pull_shown_until: float = float("inf")
    stopping: bool = False
    kill_at: float | None = None
    killed: bool = False
    probes: dict[ProbeKind, ProbeSchedule] = field(default_factory=dict)
    let_on: bool = False
    """A sidecar that was started once: it holds the containers after it back no more."""

    @property
    def is_sidecar(self) -> bool:
        """An init container that goes on beside the others."""
        return self.is_init and self.spec.is_sidecar

    @property
    def passed(self) -> bool:
        """Of an init container: the ones after it may start."""
        if self.is_sidecar:
            return self.let_on or self.started
        return self.stage == "ended" and self.ended is not None and self.ended.code == 0

    @property
    def alive(self) -> bool:
        """Whether a process is there or about to be."""
        return self.stage in {"starting", "running"}

    @property
    def started(self) -> bool:
        """Running, and past its startup probe."""
        startup = self.probes.get("startup")
        return self.stage == "running" and (startup is None or startup.outcome)

    @property
    def ready(self) -> bool:
        """Whether it takes requests; an init container that is no sidecar is ready once it is done."""
        if self.is_init and not self.is_sidecar:
            return self.passed
        readiness = self.probes.get("readiness")
        return self.started and (readiness is None or readiness.outcome)


@dataclass(frozen=True, slots=True)
class Kept:
    """The part of a container's record that outlives the node agent."""

    restarts: int
    run: Run | None
    ended: Ended | None
    before: Ended | None
    ready: bool
    started: bool


def keep(state: ContainerState) -> Kept:
    """What to write to the state file."""
    serves = state.ready and (not state.is_init or state.is_sidecar)
    return Kept(state.restarts, state.run, state.ended, state.before, serves, state.started)
