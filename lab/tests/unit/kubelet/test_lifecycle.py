"""The life of a pod: starts, ends, restarts, probes, deletion, and what its status says meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.kubelet.lifecycle import (
    Delays,
    Exited,
    PodMachine,
    RunProbe,
    Signal,
    Started,
    StartFailed,
    TearDown,
    Vanished,
)
from kubelab.kubelet.podparse import parse

HTTP = {"httpGet": {"path": "/healthz", "port": 8080}}


def test_a_pod_that_runs_says_so(pods: Any) -> None:
    bench = pods.bench()
    assert bench.shown["phase"] == "Running"
    assert set(bench.conditions().values()) == {"True"}
    assert bench.state() == {"running": {"startedAt": "2027-01-15T08:16:40Z"}}
    assert bench.container()["ready"] is True
    assert bench.container()["started"] is True
    assert bench.shown["podIP"] == "198.18.1.2"
    assert [bench.told(reason) for reason in ("Pulled", "Created", "Started")] == [
        ['Container image "web" already present on machine'],
        ["Created container: c"],
        ["Started container c"],
    ]


def test_a_pod_that_is_not_set_up_waits_as_ContainerCreating(pods: Any) -> None:  # noqa: N802  # Kubernetes' own word
    machine = PodMachine(pods.parsed(), images(pods))
    bench = type(pods.bench())(machine)
    machine.tick(bench.now)
    bench._answer([])
    assert bench.shown["phase"] == "Pending"
    assert bench.state() == {"waiting": {"reason": "ContainerCreating"}}
    assert bench.conditions() == {
        "PodReadyToStartContainers": "False",
        "Initialized": "True",
        "Ready": "False",
        "ContainersReady": "False",
        "PodScheduled": "True",
    }


def images(pods: Any) -> Any:
    return pods.bench().machine._images


@pytest.mark.parametrize(
    ("policy", "code", "phase", "restarted"),
    [
        pytest.param("Always", 0, "Running", 1, id="Always, success"),
        pytest.param("Always", 1, "Running", 1, id="Always, failure"),
        pytest.param("OnFailure", 0, "Succeeded", 0, id="OnFailure, success"),
        pytest.param("OnFailure", 1, "Running", 1, id="OnFailure, failure"),
        pytest.param("Never", 0, "Succeeded", 0, id="Never, success"),
        pytest.param("Never", 1, "Failed", 0, id="Never, failure"),
    ],
)
def test_the_restart_policy_decides_after_an_end(pods: Any, policy: str, code: int, phase: str, restarted: int) -> None:
    bench = pods.bench(restartPolicy=policy)
    bench.end("c", code, "the last word")
    assert bench.shown["phase"] == phase
    assert bench.container()["restartCount"] == restarted
    ended = bench.container()["lastState" if restarted else "state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (
        code,
        "Error" if code else "Completed",
        "the last word",
    )
    assert any(isinstance(effect, TearDown) for effect in bench.effects) is not bool(restarted)


def test_a_succeeded_pod_is_not_ready_because_it_completed(pods: Any) -> None:
    bench = pods.bench(restartPolicy="Never")
    bench.end("c", 0)
    ready = next(item for item in bench.shown["conditions"] if item["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "PodCompleted")


def test_crashes_wait_longer_and_longer_up_to_five_minutes(pods: Any) -> None:
    bench = pods.bench()
    waits = []
    for _ in range(8):
        bench.end("c", 1)
        begun = bench.mono
        if "waiting" in bench.state():
            assert bench.state()["waiting"]["reason"] == "CrashLoopBackOff"
            assert bench.shown["phase"] == "Running"
            while "running" not in bench.state():
                bench.pass_time(1)
        waits.append(bench.mono - begun)
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]


def test_the_back_off_says_how_long(pods: Any) -> None:
    bench = pods.bench()
    bench.end("c", 1)
    bench.end("c", 1)
    assert bench.state()["waiting"]["message"] == ("back-off 10s restarting failed container=c pod=p_default(u1)")
    assert bench.told("BackOff") == ["Back-off restarting failed container c in pod p_default(u1)"]


def test_an_old_crash_is_forgiven_after_a_long_run(pods: Any) -> None:
    bench = pods.bench()
    bench.end("c", 1)
    bench.end("c", 1)
    bench.pass_time(10)
    bench.pass_time(600)
    bench.end("c", 1)
    assert "running" in bench.state()


def test_an_unknown_image_is_asked_for_again_and_again(pods: Any) -> None:
    bench = pods.bench(containers=[{"name": "c", "image": "nobody/knows:1"}])
    problem = 'image "nobody/knows:1" is not in the lab\'s image map'
    assert bench.state() == {"waiting": {"reason": "ErrImagePull", "message": problem}}
    assert bench.told("Failed") == [f'Failed to pull image "nobody/knows:1": {problem}', "Error: ErrImagePull"]
    bench.pass_time(2)
    bench._answer([])
    assert bench.state()["waiting"]["reason"] == "ImagePullBackOff"
    assert bench.shown["phase"] == "Pending"
    bench.pass_time(30)
    assert len(bench.told("Pulling")) == 3


def test_an_image_that_may_not_be_pulled_says_so(pods: Any) -> None:
    bench = pods.bench(containers=[{"name": "c", "image": "x", "imagePullPolicy": "Never"}])
    assert bench.state()["waiting"]["reason"] == "ErrImageNeverPull"


def test_what_the_lab_cannot_do_is_said_and_not_tried(pods: Any) -> None:
    mounts = [{"name": "v", "mountPath": "/v", "subPath": "x"}]
    bench = pods.bench(
        containers=[{"name": "c", "image": "web", "volumeMounts": mounts}], volumes=[{"name": "v", "emptyDir": {}}]
    )
    text = "containers[c].volumeMounts[v].subPath: the lab mounts whole volumes only"
    assert bench.state() == {"waiting": {"reason": "CreateContainerConfigError", "message": text}}
    assert bench.told("Failed") == [f"Error: {text}"]
    bench.pass_time(3600)
    assert bench.starts() == []


def test_a_missing_reference_is_tried_again_each_second_and_told_once(pods: Any) -> None:
    bench = pods.bench()
    machine = PodMachine(pods.parsed(), images(pods))
    bench = type(bench)(machine)
    bench._answer(list(machine.tick(bench.now)))
    bench.end("c", 0)
    machine.states[0].stage = "starting"
    for _ in range(3):
        bench._answer(
            machine.feed(StartFailed("c", "CreateContainerConfigError", 'secret "s" not found'), bench.now)[:1]
        )
        machine.states[0].stage = "starting"
    assert bench.told("Failed") == ['Error: secret "s" not found']


# --- init containers -------------------------------------------------------------------------------------------------

INITS = [{"name": "i1", "image": "web"}, {"name": "i2", "image": "web"}]


def test_init_containers_run_one_after_the_other_and_then_the_others(pods: Any) -> None:
    bench = pods.bench(initContainers=INITS)
    assert bench.starts() == ["i1"]
    assert bench.state("c") == {"waiting": {"reason": "PodInitializing"}}
    assert bench.conditions()["Initialized"] == "False"
    bench.end("i1", 0)
    assert bench.starts() == ["i1", "i2"]
    bench.end("i2", 0)
    assert bench.starts() == ["i1", "i2", "c"]
    assert bench.conditions()["Initialized"] == "True"
    assert bench.container("i1")["ready"] is True


@pytest.mark.parametrize(("policy", "phase"), [("Always", "Pending"), ("OnFailure", "Pending"), ("Never", "Failed")])
def test_a_failed_init_container_is_run_again_or_fails_the_pod(pods: Any, policy: str, phase: str) -> None:
    bench = pods.bench(initContainers=INITS, restartPolicy=policy)
    bench.end("i1", 3)
    assert bench.shown["phase"] == phase
    assert bench.starts() == (["i1"] if policy == "Never" else ["i1", "i1"])


# --- ends ------------------------------------------------------------------------------------------------------------


def test_a_deleted_pod_ends_gracefully_and_then_is_removed(pods: Any) -> None:
    bench = pods.bench()
    bench.delete(30)
    assert [effect for effect in bench.effects if isinstance(effect, Signal)] == [Signal("c", kill=False)]
    assert bench.told("Killing") == ["Stopping container c"]
    assert bench.forgotten() == [True]
    assert bench.shown["phase"] == "Failed"


@pytest.mark.parametrize("grace_s", [1, 30])
def test_who_does_not_end_by_itself_is_killed_when_its_grace_is_over(pods: Any, grace_s: int) -> None:
    bench = pods.bench()
    bench.deaf.add("c")
    bench.delete(grace_s)
    bench.pass_time(grace_s - 0.5)
    assert bench.forgotten() == []
    bench.pass_time(0.5)
    assert bench.forgotten() == [True]


def test_no_grace_is_a_kill_at_once(pods: Any) -> None:
    bench = pods.bench()
    bench.delete(0)
    assert [effect for effect in bench.effects if isinstance(effect, Signal)] == [Signal("c", kill=True)]
    assert bench.forgotten() == [True]


def test_a_second_deletion_with_less_grace_brings_the_kill_forward(pods: Any) -> None:
    bench = pods.bench()
    bench.deaf.add("c")
    bench.delete(30)
    bench.pass_time(1)
    bench.delete(0)
    assert bench.forgotten() == [True]


def test_a_pod_without_an_object_is_ended_and_nothing_is_deleted(pods: Any) -> None:
    bench = pods.bench()
    bench.feed(Vanished())
    assert bench.forgotten() == [False]


def test_a_pod_deleted_while_it_starts_is_ended_once_it_has(pods: Any) -> None:
    bench = pods.bench()
    machine = PodMachine(pods.parsed(), images(pods))
    slow = type(bench)(machine)
    slow.effects = machine.tick(slow.now)
    machine.is_set_up = True
    slow.effects += machine.tick(slow.now)
    assert slow.starts() == ["c"]
    slow.delete(0)
    assert slow.forgotten() == []
    run = bench.machine.states[0].run
    slow.feed(Started("c", run))
    assert slow.forgotten() == [True]


def test_a_deleted_pod_is_not_restarted(pods: Any) -> None:
    bench = pods.bench()
    bench.deaf.add("c")
    bench.delete(30)
    bench.end("c", 1)
    assert bench.starts() == ["c"]
    assert bench.forgotten() == [True]


# --- probes ----------------------------------------------------------------------------------------------------------


def web(**probes: Any) -> list[dict[str, Any]]:
    return [{"name": "c", "image": "web", **{f"{kind}Probe": HTTP | more for kind, more in probes.items()}}]


def attempts(bench: Any, seconds: float, *, ok: bool) -> list[tuple[str, float]]:
    """Answer all probes of a time with one answer; when each was made, from now."""
    begun, made = bench.mono, []
    for _ in range(int(seconds * 10)):
        seen = len(bench.effects)
        bench.mono += 0.1
        bench.tick()
        while seen < len(bench.effects):
            effect, seen = bench.effects[seen], seen + 1
            if isinstance(effect, RunProbe):
                made.append((effect.kind, round(bench.mono - begun, 1)))
                bench.answer("c", effect.kind, ok=ok)
    return made


def test_probes_begin_after_their_delay_and_keep_their_period(pods: Any) -> None:
    bench = pods.bench(containers=web(readiness={"initialDelaySeconds": 2, "periodSeconds": 3}))
    assert attempts(bench, 10, ok=True) == [("readiness", 2.0), ("readiness", 5.0), ("readiness", 8.0)]


def test_a_pod_is_ready_when_its_probe_succeeds_and_no_longer_when_it_fails_often_enough(pods: Any) -> None:
    bench = pods.bench(containers=web(readiness={"periodSeconds": 1, "failureThreshold": 2, "successThreshold": 2}))
    assert bench.conditions()["Ready"] == "False"
    bench.answer("c", "readiness", ok=True)
    assert bench.conditions()["Ready"] == "False"
    bench.answer("c", "readiness", ok=True)
    assert bench.conditions()["Ready"] == "True"
    bench.answer("c", "readiness", ok=False)
    assert bench.conditions()["Ready"] == "True"
    bench.answer("c", "readiness", ok=False, message="HTTP probe failed with statuscode: 503")
    assert bench.conditions()["Ready"] == "False"
    assert bench.told("Unhealthy")[-1] == "Readiness probe failed: HTTP probe failed with statuscode: 503"
    assert bench.starts() == ["c"]


def test_a_container_that_is_no_longer_alive_is_restarted(pods: Any) -> None:
    bench = pods.bench(containers=web(liveness={"failureThreshold": 3}))
    for _ in range(2):
        bench.answer("c", "liveness", ok=False)
    assert bench.container()["restartCount"] == 0
    bench.answer("c", "liveness", ok=False)
    assert bench.container()["restartCount"] == 1
    assert bench.told("Killing") == ["Container c failed liveness probe, will be restarted"]


def test_the_startup_probe_holds_the_others_back_and_then_rests(pods: Any) -> None:
    bench = pods.bench(containers=web(startup={"periodSeconds": 1}, readiness={"periodSeconds": 1}))
    bench.answer("c", "startup", ok=False)
    assert {kind for kind, _ in attempts(bench, 1.5, ok=False)} == {"startup"}
    assert bench.container()["started"] is False
    kinds = [kind for kind, _ in attempts(bench, 3, ok=True)]
    assert kinds[0] == "startup"
    assert set(kinds[1:]) == {"readiness"}
    assert bench.container()["started"] is True
    assert bench.conditions()["Ready"] == "True"


def test_a_startup_probe_that_fails_for_good_ends_the_container(pods: Any) -> None:
    bench = pods.bench(containers=web(startup={"periodSeconds": 1, "failureThreshold": 2}))
    for _ in range(2):
        bench.answer("c", "startup", ok=False)
    assert bench.container()["restartCount"] == 1
    assert bench.told("Killing")[0] == "Container c failed startup probe, will be restarted"


def test_an_answer_for_an_earlier_life_counts_for_nothing(pods: Any) -> None:
    bench = pods.bench(containers=web(readiness={"failureThreshold": 1}))
    bench.answer("c", "readiness", ok=True)
    old = bench.machine.states[0].run
    bench.end("c", 1)
    from kubelab.kubelet.lifecycle import Probed

    bench.feed(Probed("c", "readiness", old.container_id, ok=True, message=""))
    assert bench.conditions()["Ready"] == "False"


# --- after a restart of the agent ------------------------------------------------------------------------------------


def test_a_new_agent_goes_on_where_the_old_one_stopped(pods: Any) -> None:
    spec = {"containers": web(readiness={"failureThreshold": 1})}
    old = pods.bench(**spec)
    old.end("c", 1)
    old.answer("c", "readiness", ok=True)
    new = type(old)(PodMachine(parse(pods.raw(**spec)), images(pods), Delays()), mono=old.mono + 5)
    new.machine.restore(old.machine.keep(), old.machine.addresses, frozenset({"c"}), new.now)
    new.tick()
    assert new.starts() == []
    assert new.conditions()["Ready"] == "True"
    assert new.container() == old.container()
    new.end("c", 1)
    assert new.starts() == ["c"], "a kubelet's memory of crashes ends with it"
    new.end("c", 1)
    assert new.state()["waiting"]["reason"] == "CrashLoopBackOff"


def test_a_container_that_ended_while_no_agent_looked_is_restarted(pods: Any) -> None:
    old = pods.bench()
    new = type(old)(PodMachine(parse(pods.raw()), images(pods), Delays()), mono=old.mono + 5)
    new.machine.restore(old.machine.keep(), old.machine.addresses, frozenset(), new.now)
    new.feed(Exited("c", 0, "", new.now.wall))
    assert new.starts() == ["c"]
    assert new.container()["restartCount"] == 1


# --- whatever happens ------------------------------------------------------------------------------------------------

happenings = st.lists(
    st.one_of(
        st.tuples(st.just("end"), st.sampled_from(["i1", "a", "b"]), st.sampled_from([0, 1, 137])),
        st.tuples(st.just("probe"), st.sampled_from(["liveness", "readiness"]), st.booleans()),
        st.tuples(st.just("time"), st.floats(0, 700), st.none()),
        st.tuples(st.just("delete"), st.sampled_from([0, 5]), st.none()),
        st.tuples(st.just("vanish"), st.none(), st.none()),
    ),
    max_size=25,
)


@given(events=happenings, policy=st.sampled_from(["Always", "OnFailure", "Never"]))
def test_whatever_happens_a_pod_stays_sound(pods: Any, events: list[Any], policy: str) -> None:
    containers = [
        {"name": "a", "image": "web", "livenessProbe": HTTP, "readinessProbe": HTTP},
        {"name": "b", "image": "web"},
    ]
    bench = pods.bench(initContainers=[{"name": "i1", "image": "web"}], containers=containers, restartPolicy=policy)
    bench.deaf.add("b")
    gone = False
    for kind, first, second in events:
        states = {state.spec.name: state for state in bench.machine.states}
        if kind == "end" and states[first].stage == "running":
            bench.end(first, second)
        elif kind == "probe" and states["a"].run is not None:
            bench.answer("a", first, ok=second)
        elif kind == "time":
            bench.pass_time(first)
        elif kind in {"delete", "vanish"}:
            gone = True
            bench.delete(first) if kind == "delete" else bench.feed(Vanished())
        for state in bench.machine.states:
            assert (state.run is not None) == (state.stage == "running")
            assert not (state.ready and not state.is_init and state.stage != "running")
        for status in bench.shown["containerStatuses"]:
            assert len(status["state"]) == 1
        assert len(bench.forgotten()) <= 1
    bench.pass_time(60)
    assert len(bench.forgotten()) == int(gone)
    assert not gone or not any(state.alive for state in bench.machine.states)


# --- sidecars --------------------------------------------------------------------------------------------------------

SIDECAR = {"name": "side", "image": "web", "restartPolicy": "Always"}
AFTER = {"name": "init", "image": "web"}


def ended(bench: Any) -> list[str]:
    """Who was told to end, in order."""
    return [effect.container for effect in bench.effects if isinstance(effect, Signal) and not effect.kill]


def test_a_sidecar_runs_from_before_the_others_until_after_them(pods: Any) -> None:
    bench = pods.bench(initContainers=[SIDECAR, AFTER])
    assert bench.starts() == ["side", "init"]
    assert bench.shown["phase"] == "Pending"
    bench.end("init", 0)
    assert bench.starts() == ["side", "init", "c"]
    assert bench.shown["phase"] == "Running"
    assert set(bench.conditions().values()) == {"True"}
    bench.delete(30)
    assert ended(bench) == ["c", "side"]
    assert bench.forgotten() == [True]


def test_what_comes_after_a_sidecar_waits_for_its_startup_probe(pods: Any) -> None:
    bench = pods.bench(initContainers=[SIDECAR | {"startupProbe": HTTP}])
    assert bench.starts() == ["side"]
    assert bench.conditions()["Initialized"] == "False"
    bench.answer("side", "startup", ok=True)
    assert bench.starts() == ["side", "c"]


def test_a_sidecar_that_ends_is_started_again_and_the_others_go_on(pods: Any) -> None:
    bench = pods.bench(initContainers=[SIDECAR | {"startupProbe": HTTP}], restartPolicy="Never")
    bench.answer("side", "startup", ok=True)
    bench.end("side", 1)
    assert bench.starts() == ["side", "c", "side"]
    assert bench.container("side")["restartCount"] == 1
    assert bench.conditions()["Initialized"] == "True"
    assert bench.conditions()["Ready"] == "False", "its startup probe has not succeeded again"
    assert "running" in bench.state("c")


def test_an_unready_sidecar_makes_the_pod_unready(pods: Any) -> None:
    bench = pods.bench(initContainers=[SIDECAR | {"readinessProbe": HTTP}])
    assert bench.conditions()["Ready"] == "False"
    bench.answer("side", "readiness", ok=True)
    assert bench.conditions()["Ready"] == "True"


def test_a_job_is_done_when_all_but_its_sidecars_are_and_these_end_in_reverse_order(pods: Any) -> None:
    second = SIDECAR | {"name": "second"}
    bench = pods.bench(initContainers=[SIDECAR, second], restartPolicy="Never")
    bench.deaf.add("second")
    bench.end("c", 0)
    assert ended(bench) == ["second"]
    bench.pass_time(31)
    assert ended(bench) == ["second", "side"]
    assert bench.shown["phase"] == "Succeeded"
    assert any(isinstance(effect, TearDown) for effect in bench.effects)
    assert bench.starts().count("side") == 1, "a sidecar that was told to end is not started again"


def test_sidecars_get_what_is_left_of_the_time_and_never_less_than_two_seconds(pods: Any) -> None:
    bench = pods.bench(initContainers=[SIDECAR])
    bench.deaf |= {"c", "side"}
    began = bench.mono
    bench.delete(10)
    bench.pass_time(10)
    assert ended(bench) == ["c", "side"]
    assert bench.forgotten() == []
    bench.pass_time(2.5)
    assert bench.forgotten() == [True]
    assert bench.mono - began == 12.5


def test_a_sidecar_that_an_agent_finds_again_holds_nobody_back(pods: Any) -> None:
    first = pods.bench(initContainers=[SIDECAR | {"startupProbe": HTTP}])
    first.answer("side", "startup", ok=True)
    again = PodMachine(pods.parsed(initContainers=[SIDECAR | {"startupProbe": HTTP}]), images(pods))
    again.restore(first.machine.keep(), first.machine.addresses, frozenset({"side", "c"}), first.now)
    bench = type(first)(again, mono=first.mono)
    bench.tick()
    assert bench.starts() == []
    assert bench.conditions()["Initialized"] == "True"
