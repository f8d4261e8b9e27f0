"""The life of one pod as a machine: what it should be and what happened to it -> what to do next.

Levels, not edges: after each input `_advance` looks at the whole pod and returns the effects that lead on. The shell
executes them and answers with inputs. Behaviour and wording follow the kubelet (kubernetes.io/docs/concepts/workloads/
pods/pod-lifecycle).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from kubelab.kubelet.images import ImageMap
from kubelab.kubelet.podspec import Pod, Probe, ProbeKind
from kubelab.kubelet.probes import ProbeSchedule
from kubelab.kubelet.state import ContainerState, Ended, Kept, Now, Run, Waiting, keep

_SHORTEST_END_S = 2.0
"""A sidecar gets at least so long after SIGTERM, however long the others took."""

# --- inputs ----------------------------------------------------------------------------------------------------------


class Desired(NamedTuple):
    """The pod's object changed, perhaps to being deleted."""

    pod: Pod


class Vanished(NamedTuple):
    """The pod's object is gone: its processes must go too."""


class SetUpDone(NamedTuple):
    """Network and volumes are there; the pod's addresses, primary first."""

    addresses: tuple[str, ...]


class Started(NamedTuple):
    """A container's program runs."""

    container: str
    run: Run


class StartFailed(NamedTuple):
    """A container could not be started; it is tried again."""

    container: str
    reason: str
    message: str


class Exited(NamedTuple):
    """A container's program ended; `finished_at` is wall time."""

    container: str
    code: int
    message: str
    finished_at: float
    out_of_memory: bool = False


class Probed(NamedTuple):
    """An attempt of a probe has its answer."""

    container: str
    kind: ProbeKind
    container_id: str
    ok: bool
    message: str


class TornDown(NamedTuple):
    """Network and volumes are gone."""


Input: TypeAlias = Desired | Vanished | SetUpDone | Started | StartFailed | Exited | Probed | TornDown

# --- effects ---------------------------------------------------------------------------------------------------------


class SetUp(NamedTuple):
    """Make the network and the volumes, trying until it works; answer with `SetUpDone`."""


class Start(NamedTuple):
    """Start a container's program; `attempt` counts its lives from 0. Answer with `Started` or `StartFailed`."""

    container: str
    attempt: int
    argv: tuple[str, ...]


class Signal(NamedTuple):
    """Ask a container's program to end, or kill all of it."""

    container: str
    kill: bool


class RunProbe(NamedTuple):
    """Make one attempt; answer with `Probed`."""

    container: str
    kind: ProbeKind
    container_id: str
    probe: Probe


class Tell(NamedTuple):
    """An event for people; `container` empty: about the pod."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str
    container: str = ""


class TearDown(NamedTuple):
    """All processes are gone: take network and volumes away. Answer with `TornDown`."""


class Forget(NamedTuple):
    """The pod is over: remove its object if it is still there (`delete`), and all files."""

    delete: bool


Effect: TypeAlias = SetUp | Start | Signal | RunProbe | Tell | TearDown | Forget


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds between attempts: the first crash restarts at once, the next wait `first_s`, doubling to `most_s`."""

    first_s: float = 10.0
    most_s: float = 300.0
    config_error_s: float = 1.0


class PodMachine:
    """One pod. `feed` and `tick` return effects; `deadline` is when `tick` is wanted next (monotonic seconds)."""

    def __init__(self, pod: Pod, images: ImageMap, delays: Delays = Delays()) -> None:  # immutable
        self.pod = pod
        self.addresses: tuple[str, ...] = ()
        self.is_set_up = False
        self.inits = [ContainerState(spec, is_init=True) for spec in pod.init_containers]
        self.mains = [ContainerState(spec, is_init=False) for spec in pod.containers]
        for state in self.mains if self.inits else ():
            state.waiting = Waiting("PodInitializing")
        self._images = images
        self._delays = delays
        self._vanished = False
        self._asked: set[str] = set()
        self._end_by: float | None = None
        self._effects: list[Effect] = []

    # --- the machine's three verbs -------------------------------------------------------------------------------

    def feed(self, event: Input, now: Now) -> list[Effect]:
        """Take an input; one about a container or a life that is over changes nothing."""
        match event:
            case Desired(pod):
                self._take_desired(pod)
            case Vanished():
                self._vanished = True
            case SetUpDone(addresses):
                self.addresses, self.is_set_up = addresses, True
            case TornDown():
                self._asked.add("torn down")
            case _:
                self._take_container_event(event, now)
        return self._advance(now)

    def tick(self, now: Now) -> list[Effect]:
        """Do what fell due."""
        return self._advance(now)

    def deadline(self) -> float | None:
        """When something falls due next; None: nothing will."""
        times = [time for state in self.states for time in self._deadlines(state)]
        return min(times, default=None)

    # --- what others may see -------------------------------------------------------------------------------------

    @property
    def states(self) -> list[ContainerState]:
        """All containers, init containers first."""
        return [*self.inits, *self.mains]

    @property
    def ending(self) -> bool:
        """Whether the pod is being deleted or has no object any more."""
        return self._vanished or self.pod.deletion_grace_s is not None

    @property
    def initialized(self) -> bool:
        """All init containers are done."""
        return all(state.passed for state in self.inits)

    @property
    def phase(self) -> Literal["Pending", "Running", "Succeeded", "Failed"]:
        """As the kubelet computes it."""
        if self._init_failed():
            return "Failed"
        if not self.initialized:
            return "Pending"
        if any(state.ended is None and state.stage != "running" for state in self.mains):
            return "Pending"
        if any(state.stage != "ended" or self._restarts(state) for state in self.mains):
            return "Running"
        return "Failed" if any(state.ended and state.ended.code for state in self.mains) else "Succeeded"

    @property
    def terminal(self) -> bool:
        """Whether no container will ever run again though the pod is not being deleted."""
        return self.phase in {"Succeeded", "Failed"}

    def keep(self) -> dict[str, Kept]:
        """What a new node agent needs to go on with this pod."""
        return {state.spec.name: keep(state) for state in self.states}

    def restore(self, kept: Mapping[str, Kept], addresses: tuple[str, ...], alive: frozenset[str], now: Now) -> None:
        """Go on where an earlier node agent stopped; `alive` are the containers whose programs still run.

        For the others that were running the shell feeds `Exited`. Nobody remembers how often they crashed: a kubelet
        keeps that in its memory, too, so that all pods of a node that was off start at once.
        """
        self.addresses, self.is_set_up = addresses, True
        self._asked.add("set up")
        for state in self.states:
            known = kept.get(state.spec.name)
            if known is None:
                continue
            state.restarts, state.ended, state.before = known.restarts, known.ended, known.before
            state.stage = "ended" if known.ended else "idle"
            if known.run is not None:
                state.run, state.stage = known.run, "running"
                if state.spec.name in alive:
                    self._arm_probes(state, now, ready=known.ready, started=known.started)

    # --- inputs --------------------------------------------------------------------------------------------------

    def _take_desired(self, pod: Pod) -> None:
        """Of a pod only labels, annotations, images and the deletion may change; an image's change is a new start."""
        self.pod = pod
        for state in self.states:
            spec = pod.container(state.spec.name)
            if spec is not None:
                state.spec = spec

    def _take_container_event(self, event: Started | StartFailed | Exited | Probed, now: Now) -> None:
        state = next((state for state in self.states if state.spec.name == event.container), None)
        if state is None:
            return
        match event:
            case Started(_, run):
                self._take_started(state, run, now)
            case StartFailed(_, reason, message):
                state.stage = "idle" if state.ended is None else "ended"
                if (state.waiting.reason, state.waiting.message) != (reason, message):
                    self._effects.append(Tell("Warning", "Failed", f"Error: {message}", state.spec.name))
                state.waiting = Waiting(reason, message)
                state.retry_at = now.mono + self._delays.config_error_s
            case Exited():
                self._take_exit(state, event, now)
            case Probed():
                self._take_answer(state, event, now)

    def _take_started(self, state: ContainerState, run: Run, now: Now) -> None:
        if state.ended is not None:
            state.restarts += 1
        state.stage, state.run, state.waiting = "running", run, Waiting("")
        state.stopping, state.killed, state.kill_at = False, False, None
        self._arm_probes(state, now, ready=False, started=False)
        present = f'Container image "{state.spec.image}" already present on machine'
        self._effects.append(Tell("Normal", "Pulled", present, state.spec.name))
        self._effects.append(Tell("Normal", "Created", f"Created container: {state.spec.name}", state.spec.name))
        self._effects.append(Tell("Normal", "Started", f"Started container {state.spec.name}", state.spec.name))

    def _arm_probes(self, state: ContainerState, now: Now, *, ready: bool, started: bool) -> None:
        initial: dict[ProbeKind, bool] = {"startup": started, "liveness": True, "readiness": ready}
        begun = state.run.started.mono if state.run else now.mono
        state.probes = {
            kind: ProbeSchedule(probe, max(begun, now.mono - probe.initial_delay_s), outcome=initial[kind])
            for kind, probe in state.spec.probes.items()
        }

    def _take_exit(self, state: ContainerState, event: Exited, now: Now) -> None:
        if state.run is None:
            return
        begun = state.run.started
        state.before = state.ended
        state.ended = Ended(
            state.run.container_id, event.code, event.message, begun.wall, event.finished_at, event.out_of_memory
        )
        state.stage, state.run, state.probes, state.waiting = "ended", None, {}, Waiting("")
        state.stopping, state.killed, state.kill_at = False, False, None
        if not self._restarts(state):
            return
        if now.mono - begun.mono >= 2 * self._delays.most_s:
            state.backoff_s = 0.0  # it ran long enough: an old crash is forgiven
        delay = state.backoff_s
        state.retry_at = now.mono + delay
        state.backoff_s = min(self._delays.most_s, delay * 2 or self._delays.first_s)
        if delay:
            name = state.spec.name
            said = f"back-off {_span(delay)} restarting failed container={name} pod={self.pod.label}"
            state.waiting = Waiting("CrashLoopBackOff", said)
            event_text = f"Back-off restarting failed container {name} in pod {self.pod.label}"
            self._effects.append(Tell("Warning", "BackOff", event_text, name))

    def _take_answer(self, state: ContainerState, event: Probed, now: Now) -> None:
        schedule = state.probes.get(event.kind)
        if schedule is None or state.run is None or state.run.container_id != event.container_id:
            return
        changed = schedule.answer(ok=event.ok)
        name = state.spec.name
        if not event.ok and not state.stopping:
            text = f"{event.kind.capitalize()} probe failed: {event.message}"
            self._effects.append(Tell("Warning", "Unhealthy", text, name))
        if changed and not event.ok and event.kind != "readiness":
            why = f"Container {name} failed {event.kind} probe"
            self._stop(state, self.pod.grace_s, now, why + (", will be restarted" if self._restarts(state) else ""))

    # --- advancing -----------------------------------------------------------------------------------------------

    def _advance(self, now: Now) -> list[Effect]:
        if self.ending:
            self._end(now)
        else:
            self._live(now)
        for state in self.states:
            self._kill_if_due(state, now)
            self._probe_if_due(state, now)
        effects, self._effects = self._effects, []
        return effects

    def _live(self, now: Now) -> None:
        if not self.is_set_up:
            self._ask("set up", SetUp())
            return
        if self.terminal:
            self._stop_in_order(self.pod.grace_s, now)
            if not any(state.alive for state in self.states):
                self._ask("tear down", TearDown())
            return
        for state in self.inits:
            state.let_on = state.let_on or (state.is_sidecar and state.started)
            if state.is_sidecar or not state.passed:
                self._start_if_due(state, now)
            if not state.passed:
                return
        for state in self.mains:
            self._start_if_due(state, now)

    def _end(self, now: Now) -> None:
        deletion = self.pod.deletion_grace_s
        grace = self.pod.grace_s if deletion is None else deletion
        self._stop_in_order(grace, now)
        if any(state.alive for state in self.states):
            return
        self._ask("tear down", TearDown())
        if "torn down" in self._asked:
            self._ask("forget", Forget(delete=not self._vanished))

    def _stop_in_order(self, grace_s: float, now: Now) -> None:
        """All but sidecars first; then these, the last one first, with what is left of the time (KEP-753)."""
        due = now.mono + grace_s
        self._end_by = due if self._end_by is None else min(self._end_by, due)
        for state in self.states:
            if not state.is_sidecar:
                self._stop(state, grace_s, now, f"Stopping container {state.spec.name}")
        for state in reversed([each for each in self.inits if each.is_sidecar]):
            if any(each.alive for each in self._after(state)):
                continue
            left = max(self._end_by - now.mono, _SHORTEST_END_S) if grace_s else 0.0
            self._stop(state, left, now, f"Stopping container {state.spec.name}")

    def _after(self, sidecar: ContainerState) -> list[ContainerState]:
        """Those that count on a sidecar: all that start after it."""
        return [*self.inits[self.inits.index(sidecar) + 1 :], *self.mains]

    def _ask(self, what: str, effect: Effect) -> None:
        """Each of these is asked for once in a pod's life."""
        if what not in self._asked:
            self._asked.add(what)
            self._effects.append(effect)

    def _start_if_due(self, state: ContainerState, now: Now) -> None:
        if state.alive or (state.stage == "ended" and not self._restarts(state)):
            return
        if refusals := self._refusals(state):
            self._refuse(state, "; ".join(refusals))
            return
        if now.mono < state.retry_at:
            if state.pull_shown_until <= now.mono:
                self._show_pull_backoff(state)
            return
        argv = self._argv(state, now)
        if argv:
            state.stage = "starting"
            lives = 0 if state.ended is None else state.restarts + 1
            self._effects.append(Start(state.spec.name, lives, tuple(argv)))

    def _refusals(self, state: ContainerState) -> list[str]:
        """Why it must not be started."""
        by_image = self._images.refusal(state.spec)
        return [*state.spec.refusals, *([by_image] if by_image else [])]

    def _refuse(self, state: ContainerState, message: str) -> None:
        if state.waiting.message != message:
            state.waiting = Waiting("CreateContainerConfigError", message)
            self._effects.append(Tell("Warning", "Failed", f"Error: {message}", state.spec.name))

    def _argv(self, state: ContainerState, now: Now) -> list[str]:
        """The program by the image map; empty if there is none, which the state then says.

        References in command and arguments are resolved later, in what this returns.
        """
        spec = state.spec
        try:
            argv = self._images.argv(spec.image, spec.command, spec.args)
        except KeyError:
            self._pull_failed(state, now)
            return []
        state.pull_backoff_s, state.pull_shown_until = 0.0, float("inf")
        if not argv:
            state.retry_at = now.mono + self._delays.most_s
            state.waiting = Waiting("CreateContainerError", "no command specified")
            self._effects.append(Tell("Warning", "Failed", "Error: no command specified", spec.name))
        return argv

    def _pull_failed(self, state: ContainerState, now: Now) -> None:
        name, image = state.spec.name, state.spec.image
        problem = self._images.missing(image)
        state.pull_backoff_s = min(self._delays.most_s, state.pull_backoff_s * 2 or self._delays.first_s)
        state.retry_at = now.mono + state.pull_backoff_s
        if state.spec.pull_never:
            state.waiting = Waiting("ErrImageNeverPull", f'Container image "{image}" is not present: {problem}')
            self._effects.append(Tell("Warning", "ErrImageNeverPull", state.waiting.message, name))
            return
        state.pull_shown_until = now.mono + state.pull_backoff_s / 10
        state.waiting = Waiting("ErrImagePull", problem)
        self._effects.append(Tell("Normal", "Pulling", f'Pulling image "{image}"', name))
        self._effects.append(Tell("Warning", "Failed", f'Failed to pull image "{image}": {problem}', name))
        self._effects.append(Tell("Warning", "Failed", "Error: ErrImagePull", name))

    def _show_pull_backoff(self, state: ContainerState) -> None:
        name, image = state.spec.name, state.spec.image
        state.pull_shown_until = float("inf")
        text = f'Back-off pulling image "{image}"'
        state.waiting = Waiting("ImagePullBackOff", f"{text}: ErrImagePull: {self._images.missing(image)}")
        self._effects.append(Tell("Normal", "BackOff", text, name))
        self._effects.append(Tell("Warning", "Failed", "Error: ImagePullBackOff", name))

    def _stop(self, state: ContainerState, grace_s: float, now: Now, message: str) -> None:
        """SIGTERM, and a time for SIGKILL, which a later and more urgent wish brings forward."""
        if state.stage != "running":
            return
        if state.stopping:
            if state.kill_at is not None:
                state.kill_at = min(state.kill_at, now.mono + grace_s)
            return
        state.stopping, state.kill_at = True, now.mono + grace_s
        self._effects.append(Tell("Normal", "Killing", message, state.spec.name))
        if grace_s > 0:
            self._effects.append(Signal(state.spec.name, kill=False))

    def _kill_if_due(self, state: ContainerState, now: Now) -> None:
        if state.kill_at is not None and now.mono >= state.kill_at and not state.killed:
            state.killed = True
            self._effects.append(Signal(state.spec.name, kill=True))

    def _probe_if_due(self, state: ContainerState, now: Now) -> None:
        if state.run is None or state.stage != "running":
            return
        for kind, schedule in state.probes.items():
            if self._probes_now(state, kind) and schedule.begin(now.mono):
                self._effects.append(RunProbe(state.spec.name, kind, state.run.container_id, schedule.probe))

    def _probes_now(self, state: ContainerState, kind: ProbeKind) -> bool:
        """The startup probe holds the others back and is over once it succeeded; a stopping container is only read."""
        if state.stopping and kind != "readiness":
            return False
        return not state.started if kind == "startup" else state.started

    def _deadlines(self, state: ContainerState) -> list[float]:
        times: list[float | None] = []
        if state.stage == "running":
            times.append(None if state.killed else state.kill_at)
            times += [schedule.deadline() for kind, schedule in state.probes.items() if self._probes_now(state, kind)]
        elif self._waits_its_turn(state):
            times += [state.retry_at, state.pull_shown_until]
        return [time for time in times if time is not None and time not in {float("inf"), float("-inf")}]

    def _waits_its_turn(self, state: ContainerState) -> bool:
        """Whether nothing but time keeps a container from being started."""
        if state.alive or self.ending or not self.is_set_up or self._refusals(state) or self.terminal:
            return False
        return (state.ended is None or self._restarts(state)) and (state.is_init or self.initialized)

    def _restarts(self, state: ContainerState) -> bool:
        """Whether a finished container will run again."""
        if self.ending or state.ended is None:
            return not self.ending
        if state.is_sidecar:
            return not self.terminal
        if state.is_init:
            return state.ended.code != 0 and self.pod.restart_policy != "Never"
        return self.pod.restart_policy == "Always" or (self.pod.restart_policy == "OnFailure" and state.ended.code != 0)

    def _init_failed(self) -> bool:
        return any(
            state.stage == "ended" and state.ended is not None and state.ended.code != 0 and not self._restarts(state)
            for state in self.inits
            if not state.is_sidecar
        )


def _span(seconds: float) -> str:
    """A delay as the kubelet writes it: `10s`, `2m40s`."""
    minutes, rest = divmod(seconds, 60)
    return (f"{int(minutes)}m" if minutes else "") + f"{rest:g}s"
