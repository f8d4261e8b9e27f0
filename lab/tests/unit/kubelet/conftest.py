"""Pods, and a bench on which their machines run on a clock that jumps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from kubelab.kubelet.images import ImageMap
from kubelab.kubelet.lifecycle import (
    Delays,
    Desired,
    Effect,
    Exited,
    Forget,
    Input,
    PodMachine,
    Probed,
    RunProbe,
    SetUp,
    SetUpDone,
    Signal,
    Start,
    Started,
    TearDown,
    Tell,
    TornDown,
)
from kubelab.kubelet.podparse import parse
from kubelab.kubelet.podspec import Pod
from kubelab.kubelet.state import Now, Run
from kubelab.kubelet.status import pod_status

IMAGES = ImageMap([{"web": {"": ["{python}", "-m", "web"]}}], python="/py")
EPOCH = 1_800_000_000.0


def raw_pod(**spec: Any) -> dict[str, Any]:
    meta = {"name": "p", "namespace": "default", "uid": "u1", "resourceVersion": "7", **spec.pop("metadata", {})}
    body: dict[str, Any] = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "containers": [{"name": "c", "image": "web"}],
        **spec,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": body, "status": {}}


@dataclass
class Bench:
    """A machine whose effects are answered as a good shell would, on a clock that only moves when told."""

    machine: PodMachine
    mono: float = 1000.0
    shown: dict[str, Any] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    lives: int = 0
    deaf: set[str] = field(default_factory=set)  # containers that do not end by SIGTERM

    @property
    def now(self) -> Now:
        return Now(self.mono, EPOCH + self.mono)

    def feed(self, event: Input) -> None:
        self._answer(self.machine.feed(event, self.now))

    def tick(self) -> None:
        self._answer(self.machine.tick(self.now))

    def _answer(self, effects: list[Effect]) -> None:
        self.effects += effects
        for effect in effects:
            match effect:
                case SetUp():
                    self.feed(SetUpDone(("198.18.1.2", "2001:db8:200:1::2")))
                case Start(container, attempt, _):
                    self.lives += 1
                    self.feed(Started(container, Run(f"{container}-{attempt}", 100 + self.lives, self.now)))
                case Signal(container, kill):
                    if kill or container not in self.deaf:
                        self.end(container, 137 if kill else 143)
                case TearDown():
                    self.feed(TornDown())
        self.shown = pod_status(self.machine, ("198.51.100.11",), self.shown, self.now)

    def end(self, container: str, code: int, message: str = "") -> None:
        self.feed(Exited(container, code, message, self.now.wall))

    def answer(self, container: str, kind: Any, *, ok: bool, message: str = "no") -> None:
        run = next(state.run for state in self.machine.states if state.spec.name == container)
        assert run is not None
        self.feed(Probed(container, kind, run.container_id, ok, message))

    def pass_time(self, seconds: float) -> None:
        """Move on, stopping at each deadline."""
        end = self.mono + seconds
        while (deadline := self.machine.deadline()) is not None and deadline <= end:
            assert deadline > self.mono or self._due(deadline), "a deadline in the past leads nowhere"
            self.mono = max(self.mono, deadline)
            self.tick()
        self.mono = end

    def _due(self, deadline: float) -> bool:
        before = len(self.effects)
        self.tick()
        after = self.machine.deadline()
        return len(self.effects) > before or after is None or after > deadline

    def delete(self, grace_s: int) -> None:
        raw = self.machine.pod.raw
        marks = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace_s}
        self.feed(Desired(parse(raw | {"metadata": raw["metadata"] | marks})))

    # --- what is asserted ----------------------------------------------------------------------------------------

    def state(self, container: str = "c") -> dict[str, Any]:
        """A container's current state by kind, e.g. {"waiting": {...}}."""
        return self._status(container)["state"]

    def _status(self, container: str) -> dict[str, Any]:
        every = self.shown["containerStatuses"] + self.shown.get("initContainerStatuses", [])
        return next(item for item in every if item["name"] == container)

    def container(self, container: str = "c") -> dict[str, Any]:
        return self._status(container)

    def conditions(self) -> dict[str, str]:
        return {item["type"]: item["status"] for item in self.shown["conditions"]}

    def starts(self) -> list[str]:
        return [effect.container for effect in self.effects if isinstance(effect, Start)]

    def told(self, reason: str) -> list[str]:
        return [effect.message for effect in self.effects if isinstance(effect, Tell) and effect.reason == reason]

    def probes(self) -> list[tuple[str, float]]:
        return [(effect.kind, self.mono) for effect in self.effects if isinstance(effect, RunProbe)]

    def forgotten(self) -> list[bool]:
        return [effect.delete for effect in self.effects if isinstance(effect, Forget)]


class Pods:
    """Makes pods and benches."""

    def raw(self, **spec: Any) -> dict[str, Any]:
        return raw_pod(**spec)

    def parsed(self, **spec: Any) -> Pod:
        return parse(raw_pod(**spec))

    def bench(self, **spec: Any) -> Bench:
        bench = Bench(PodMachine(parse(raw_pod(**spec)), IMAGES, Delays()))
        bench.tick()
        return bench


@pytest.fixture(scope="session")
def pods() -> Pods:
    return Pods()
