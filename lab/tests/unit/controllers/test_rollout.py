"""Deployments and daemon sets played out in a small world, in every order that chance finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.controllers.decide import daemonset, deployment, history, replicaset, revisions, rollout
from kubelab.controllers.decide.ownership import claim, controller_uid
from kubelab.controllers.decide.pods import is_active, is_ready
from kubelab.controllers.decide.resources import (
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    NODES,
    PODS,
    REPLICA_SETS,
)
from kubelab.controllers.decide.rollout import Limits, Size
from kubelab.controllers.decide.writes import Update

Worlds = Callable[[], Any]


class Play:
    """One deployment, its controllers and a kubelet, moved one step at a time."""

    def __init__(self, world: Any, replicas: int, strategy: dict[str, Any]) -> None:
        self.world = world
        template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "v1"}]}}
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
            "strategy": strategy,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 2,
        }
        meta = {"name": "web", "namespace": "default"}
        world.put(DEPLOYMENTS, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
        world.get(DEPLOYMENTS, "web")["status"] = {}

    @property
    def deployment(self) -> Any:
        return self.world.get(DEPLOYMENTS, "web")

    def owned(self, owner: Any) -> list[Any]:
        return [pod for pod in self.world.all(PODS) if controller_uid(pod) == owner["metadata"]["uid"]]

    def run_deployment(self) -> int:
        sets = self.world.all(REPLICA_SETS)
        pods = {rs["metadata"]["name"]: self.owned(rs) for rs in sets}
        decision = deployment.decide(self.deployment, sets, deployment.count_running(pods), self.world.now)
        return self.world.carry_out(decision.writes)

    def run_replica_set(self, replica_set: Any) -> int:
        world = self.world
        count = world.carry_out(replicaset.scale(replica_set, self.owned(replica_set), world.all(PODS), world.now))
        return count + world.carry_out(replicaset.report(replica_set, self.owned(replica_set), None, world.now).writes)

    def run_kubelet(self, pod: Any) -> int:
        """Bring one pod one step further: placed, ready, or gone."""
        if not pod["spec"].get("nodeName"):
            change = {"spec": pod["spec"] | {"nodeName": f"n{len(self.world.all(PODS)) % 3}"}}
        elif not is_active(pod):
            self.world.remove(PODS, pod)
            return 1
        elif not is_ready(pod):
            moment = self.world.now.strftime("%Y-%m-%dT%H:%M:%SZ")
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": moment}
            change = {"status": {"phase": "Running", "conditions": [ready]}}
        else:
            return 0
        self.world.put(PODS, pod | change)
        return 1

    def change_image(self, image: str) -> None:
        spec = self.deployment["spec"]
        template = spec["template"] | {"spec": {"containers": [{"name": "c", "image": image}]}}
        self.world.put(DEPLOYMENTS, self.deployment | {"spec": spec | {"template": template}})

    def scale(self, replicas: int) -> None:
        self.world.put(DEPLOYMENTS, self.deployment | {"spec": self.deployment["spec"] | {"replicas": replicas}})

    def step(self, choose: Callable[[list[Any]], Any]) -> None:
        """One actor, chosen by the caller, does its next thing."""
        actors = [("deployment", None)]
        actors += [("replica set", rs) for rs in self.world.all(REPLICA_SETS)]
        actors += [("kubelet", pod) for pod in self.world.all(PODS)]
        self.world.pass_time(1)
        kind, actor = choose(actors)
        if kind == "deployment":
            self.run_deployment()
        elif kind == "replica set":
            self.run_replica_set(actor)
        else:
            self.run_kubelet(actor)

    def settle(self) -> None:
        """Everybody does what there is to do, until nobody has anything left."""
        for _ in range(200):
            self.world.pass_time(1)
            moved = self.run_deployment()
            moved += sum(self.run_replica_set(rs) for rs in self.world.all(REPLICA_SETS))
            moved += sum(self.run_kubelet(pod) for pod in self.world.all(PODS))
            if not moved:
                return
        raise AssertionError("never settles")

    def available(self) -> int:
        return sum(is_active(pod) and is_ready(pod) for pod in self.world.all(PODS))

    def active(self) -> int:
        return sum(is_active(pod) for pod in self.world.all(PODS))

    def wanted(self) -> int:
        """Pods asked for: those that a replica set is about to remove are none of them."""
        return sum(rs["spec"]["replicas"] for rs in self.world.all(REPLICA_SETS))

    def images(self) -> set[str]:
        return {pod["spec"]["containers"][0]["image"] for pod in self.world.all(PODS)}


amounts = st.one_of(st.integers(0, 4), st.sampled_from(["0%", "1%", "25%", "50%", "100%"]))


@settings(max_examples=60, deadline=None)
@given(replicas=st.integers(1, 6), surge=amounts, unavailable=amounts, data=st.data(), changes=st.integers(1, 3))
def test_a_rolling_update_stays_within_its_limits_in_any_order(
    make_world: Worlds, replicas: int, surge: Any, unavailable: Any, data: st.DataObject, changes: int
) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    play = Play(make_world(), replicas, strategy)
    play.settle()
    limits = rollout.limits(play.deployment["spec"])
    for number in range(changes):
        play.change_image(f"new-{number}")
        for _ in range(data.draw(st.integers(0, 40))):
            play.step(lambda actors: data.draw(st.sampled_from(actors)))
            assert play.available() >= limits.least
            assert play.wanted() <= limits.most
    play.settle()
    assert play.images() == {f"new-{changes - 1}"}
    assert play.available() == play.active() == replicas
    progressing = [c["reason"] for c in play.deployment["status"]["conditions"] if c["type"] == "Progressing"]
    assert progressing == ["NewReplicaSetAvailable"]
    assert len(play.world.all(REPLICA_SETS)) <= 3


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 8), min_size=1, max_size=5), steps=st.integers(0, 25), data=st.data())
def test_a_deployment_ends_at_the_size_last_asked_for(
    make_world: Worlds, sizes: list[int], steps: int, data: st.DataObject
) -> None:
    play = Play(make_world(), 3, {"type": "RollingUpdate"})
    play.settle()
    play.change_image("new")
    for size in sizes:
        play.scale(size)
        for _ in range(steps):
            play.step(lambda actors: data.draw(st.sampled_from(actors)))
    play.settle()
    assert play.active() == sizes[-1]
    assert play.images() <= {"new"}


@settings(max_examples=30, deadline=None)
@given(replicas=st.integers(1, 4), data=st.data())
def test_recreate_never_mixes_old_and_new_pods(make_world: Worlds, replicas: int, data: st.DataObject) -> None:
    play = Play(make_world(), replicas, {"type": "Recreate"})
    play.settle()
    play.change_image("new")
    for _ in range(30):
        play.step(lambda actors: data.draw(st.sampled_from(actors)))
        assert len(play.images()) <= 1
    play.settle()
    assert play.images() == {"new"}


def test_nothing_is_written_when_all_is_as_it_should_be(make_world: Worlds) -> None:
    play = Play(make_world(), 3, {"type": "RollingUpdate"})
    play.settle()
    before = play.world.writes
    play.world.pass_time(3600)
    play.run_deployment()
    for replica_set in play.world.all(REPLICA_SETS):
        play.run_replica_set(replica_set)
    assert play.world.writes == before


def test_undo_brings_back_the_old_replica_set_with_a_new_revision(make_world: Worlds) -> None:
    play = Play(make_world(), 2, {"type": "RollingUpdate"})
    play.settle()
    (first,) = play.world.all(REPLICA_SETS)
    play.change_image("v2")
    play.settle()
    assert play.deployment["metadata"]["annotations"][revisions.REVISION] == "2"
    play.change_image("v1")
    play.settle()
    back = play.world.get(REPLICA_SETS, first["metadata"]["name"])
    assert back["spec"]["replicas"] == 2
    assert back["metadata"]["annotations"][revisions.REVISION] == "3"
    assert back["metadata"]["annotations"][revisions.HISTORY] == "1"
    assert play.deployment["metadata"]["annotations"][revisions.REVISION] == "3"
    assert len(play.world.all(REPLICA_SETS)) == 2


def test_a_paused_deployment_scales_but_does_not_roll(make_world: Worlds) -> None:
    play = Play(make_world(), 2, {"type": "RollingUpdate"})
    play.settle()
    play.world.put(DEPLOYMENTS, play.deployment | {"spec": play.deployment["spec"] | {"paused": True}})
    play.change_image("v2")
    play.scale(4)
    play.settle()
    assert (play.images(), play.active()) == ({"v1"}, 4)
    conditions = {c["type"]: c for c in play.deployment["status"]["conditions"]}
    assert conditions["Progressing"]["reason"] == "DeploymentPaused"
    play.world.put(DEPLOYMENTS, play.deployment | {"spec": play.deployment["spec"] | {"paused": False}})
    play.settle()
    assert (play.images(), play.active()) == ({"v2"}, 4)


def test_a_rollout_without_progress_is_called_overdue_and_a_later_one_is_not(make_world: Worlds) -> None:
    play = Play(make_world(), 1, {"type": "RollingUpdate"})
    play.run_deployment()
    play.world.pass_time(700)
    play.run_deployment()
    conditions = {c["type"]: c for c in play.deployment["status"]["conditions"]}
    assert (conditions["Progressing"]["status"], conditions["Progressing"]["reason"]) == (
        "False",
        "ProgressDeadlineExceeded",
    )
    play.settle()
    conditions = {c["type"]: c for c in play.deployment["status"]["conditions"]}
    assert conditions["Progressing"]["reason"] == "NewReplicaSetAvailable"


def test_a_deployment_looks_again_when_its_deadline_ends(make_world: Worlds) -> None:
    play = Play(make_world(), 1, {"type": "RollingUpdate"})
    decision = deployment.decide(play.deployment, [], {}, play.world.now)
    assert decision.again_s == 601


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"replicas": 4}, Limits(4, 1, 1)),
        ({"replicas": 3}, Limits(3, 1, 0)),
        ({"replicas": 0}, Limits(0, 0, 0)),
        ({}, Limits(1, 1, 0)),
        ({"replicas": 10, "strategy": {"rollingUpdate": {"maxSurge": "0%", "maxUnavailable": 0}}}, Limits(10, 0, 1)),
        ({"replicas": 2, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 5}}}, Limits(2, 0, 2)),
        ({"replicas": 3, "strategy": {"type": "Recreate"}}, Limits(3, 0, 0)),
    ],
)
def test_limits_round_surge_up_and_unavailable_down(spec: Any, expected: Limits) -> None:
    assert rollout.limits(spec) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=5), st.integers(0, 40), st.integers(0, 40))
def test_proportional_scaling_meets_the_total_exactly(sizes: list[int], before: int, wanted: int) -> None:
    active = [Size(f"rs{i}", size, size, i, before=max(before, sum(sizes))) for i, size in enumerate(sizes)]
    rule = Limits(wanted, 1, 0)
    found = rollout.scaled(active, rule, sum(sizes))
    assert all(size >= 0 for size in found.values())
    assert sum(found.values()) == (rule.most if wanted else 0)


# --- claims ----------------------------------------------------------------------------------------------------------


def test_orphans_that_match_are_adopted_and_strangers_are_released(make_world: Worlds) -> None:
    play = Play(make_world(), 1, {"type": "RollingUpdate"})
    play.settle()
    (replica_set,) = play.world.all(REPLICA_SETS)
    (pod,) = play.world.all(PODS)
    world = play.world
    orphan = world.put(PODS, pod | {"metadata": {**pod["metadata"], "name": "o", "uid": "o", "ownerReferences": []}})
    stranger = world.put(PODS, pod | {"metadata": {**pod["metadata"], "labels": {}}})
    claimed = claim(replica_set, world.all(PODS), PODS)
    assert [obj["metadata"]["name"] for obj in claimed.owned] == [orphan["metadata"]["name"]]
    world.carry_out(claimed.writes)
    assert controller_uid(world.get(PODS, "o")) == replica_set["metadata"]["uid"]
    assert controller_uid(world.get(PODS, stranger["metadata"]["name"])) == ""
    assert claim(replica_set, world.all(PODS), PODS).writes == ()


def test_an_owner_on_its_way_out_adopts_nobody(make_world: Worlds) -> None:
    play = Play(make_world(), 1, {"type": "RollingUpdate"})
    play.settle()
    (replica_set,) = play.world.all(REPLICA_SETS)
    (pod,) = play.world.all(PODS)
    orphan = pod | {"metadata": {**pod["metadata"], "ownerReferences": []}}
    leaving = replica_set | {"metadata": replica_set["metadata"] | {"deletionTimestamp": "2026-11-23T22:31:00Z"}}
    assert claim(leaving, [orphan], PODS).writes == ()
    assert replicaset.scale(leaving, [], [], play.world.now) == ()


def test_the_pod_that_matters_least_goes_first(make_world: Worlds) -> None:
    play = Play(make_world(), 3, {"type": "RollingUpdate"})
    play.settle()
    pods = play.world.all(PODS)
    unready = play.world.put(PODS, pods[1] | {"status": {"phase": "Running", "conditions": []}})
    play.scale(2)
    play.run_deployment()
    (replica_set,) = play.world.all(REPLICA_SETS)
    play.run_replica_set(replica_set)
    leaving = [pod["metadata"]["name"] for pod in play.world.all(PODS) if not is_active(pod)]
    assert leaving == [unready["metadata"]["name"]]


# --- daemon sets -----------------------------------------------------------------------------------------------------


class DaemonPlay(Play):
    """One daemon set on some nodes."""

    def __init__(self, world: Any, nodes: int, strategy: dict[str, Any]) -> None:
        self.world = world
        for number in range(nodes):
            world.put(NODES, {"metadata": {"name": f"n{number}", "labels": {}}, "spec": {}})
        template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "v1"}]}}
        spec = {"selector": {"matchLabels": {"app": "a"}}, "template": template, "updateStrategy": strategy}
        meta = {"name": "agent", "namespace": "default"}
        world.put(DAEMON_SETS, {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta, "spec": spec})

    @property
    def daemon_set(self) -> Any:
        return self.world.get(DAEMON_SETS, "agent")

    def run_daemon_set(self) -> int:
        world, now = self.world, self.world.now
        revisions_ = world.all(CONTROLLER_REVISIONS)
        count = world.carry_out(history.keep(self.daemon_set, revisions_, set()).writes)
        digest = history.digest_of(self.daemon_set, world.all(CONTROLLER_REVISIONS))
        nodes = {node["metadata"]["name"]: node for node in world.all(NODES)}
        pods = world.all(PODS)
        count += world.carry_out(daemonset.decide(self.daemon_set, pods, nodes, digest, now).writes)
        return count + world.carry_out(daemonset.report(self.daemon_set, world.all(PODS), nodes, digest, now).writes)

    def run_kubelet(self, pod: Any) -> int:
        if not pod["spec"].get("nodeName"):
            term = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            name = term["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
            self.world.put(PODS, pod | {"spec": pod["spec"] | {"nodeName": name}})
            return 1
        return super().run_kubelet(pod)

    def change_image(self, image: str) -> None:
        spec = self.daemon_set["spec"]
        template = spec["template"] | {"spec": {"containers": [{"name": "c", "image": image}]}}
        self.world.put(DAEMON_SETS, self.daemon_set | {"spec": spec | {"template": template}})

    def taint(self, node: str, effect: str) -> None:
        found = self.world.get(NODES, node, "")
        self.world.put(NODES, found | {"spec": {"taints": [{"key": "k", "effect": effect}]}})

    def settle(self) -> None:
        for _ in range(200):
            self.world.pass_time(1)
            moved = self.run_daemon_set() + sum(self.run_kubelet(pod) for pod in self.world.all(PODS))
            if not moved:
                return
        raise AssertionError("never settles")

    def placed(self) -> list[str]:
        return sorted(pod["spec"]["nodeName"] for pod in self.world.all(PODS))


strategies = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("RollingUpdate"),
            "rollingUpdate": st.fixed_dictionaries({"maxUnavailable": st.sampled_from([1, 2, "50%"])}),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("RollingUpdate"),
            "rollingUpdate": st.fixed_dictionaries(
                {"maxSurge": st.sampled_from([1, "100%"]), "maxUnavailable": st.just(0)}
            ),
        }
    ),
)


@settings(max_examples=40, deadline=None)
@given(nodes=st.integers(1, 5), strategy=strategies, data=st.data())
def test_a_daemon_set_converges_to_one_new_pod_per_node(
    make_world: Worlds, nodes: int, strategy: dict[str, Any], data: st.DataObject
) -> None:
    play = DaemonPlay(make_world(), nodes, strategy)
    play.settle()
    assert play.placed() == [f"n{number}" for number in range(nodes)]
    play.change_image("v2")
    for _ in range(data.draw(st.integers(0, 30))):
        pods = play.world.all(PODS)
        chosen = data.draw(st.integers(0, len(pods)))
        play.run_daemon_set() if chosen == len(pods) else play.run_kubelet(pods[chosen])
    play.settle()
    assert play.placed() == [f"n{number}" for number in range(nodes)]
    assert play.images() == {"v2"}
    status = play.daemon_set["status"]
    assert status["numberAvailable"] == status["updatedNumberScheduled"] == status["desiredNumberScheduled"] == nodes
    before = play.world.writes
    play.run_daemon_set()
    assert play.world.writes == before


@settings(max_examples=40, deadline=None)
@given(nodes=st.integers(2, 5), most=st.integers(1, 2), data=st.data())
def test_a_daemon_set_rolls_no_faster_than_it_may(
    make_world: Worlds, nodes: int, most: int, data: st.DataObject
) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": most}}
    play = DaemonPlay(make_world(), nodes, strategy)
    play.settle()
    play.change_image("v2")
    for _ in range(40):
        pods = play.world.all(PODS)
        chosen = data.draw(st.integers(0, len(pods)))
        play.run_daemon_set() if chosen == len(pods) else play.run_kubelet(pods[chosen])
        assert play.available() >= nodes - most


def test_on_delete_waits_for_the_user(make_world: Worlds) -> None:
    play = DaemonPlay(make_world(), 2, {"type": "OnDelete"})
    play.settle()
    play.change_image("v2")
    play.settle()
    assert play.images() == {"v1"}
    play.world.remove(PODS, play.world.all(PODS)[0])
    play.settle()
    assert play.images() == {"v1", "v2"}


@pytest.mark.parametrize(("effect", "left"), [("NoExecute", ["n1"]), ("NoSchedule", ["n0", "n1"])])
def test_a_taint_keeps_new_daemon_pods_away_and_drives_old_ones_off_only_if_it_says_so(
    make_world: Worlds, effect: str, left: list[str]
) -> None:
    play = DaemonPlay(make_world(), 2, {"type": "RollingUpdate"})
    play.settle()
    play.taint("n0", effect)
    play.settle()
    assert play.placed() == left
    assert play.daemon_set["status"]["desiredNumberScheduled"] == 1


def test_a_daemon_pod_that_failed_is_replaced(make_world: Worlds) -> None:
    play = DaemonPlay(make_world(), 1, {"type": "RollingUpdate"})
    play.settle()
    (pod,) = play.world.all(PODS)
    play.world.put(PODS, pod | {"status": {"phase": "Failed"}})
    play.settle()
    (fresh,) = play.world.all(PODS)
    assert fresh["metadata"]["uid"] != pod["metadata"]["uid"]
    assert "FailedDaemonPod" in [event.reason for event in play.world.events]


def test_the_history_keeps_what_may_be_undone_and_no_more(make_world: Worlds) -> None:
    play = DaemonPlay(make_world(), 1, {"type": "RollingUpdate"})
    spec = play.daemon_set["spec"]
    play.world.put(DAEMON_SETS, play.daemon_set | {"spec": spec | {"revisionHistoryLimit": 2}})
    for number in range(5):
        play.change_image(f"v{number}")
        play.settle()
    numbers = sorted(revision["revision"] for revision in play.world.all(CONTROLLER_REVISIONS))
    assert numbers == [3, 4, 5]
    play.change_image("v3")
    play.settle()
    assert max(revision["revision"] for revision in play.world.all(CONTROLLER_REVISIONS)) == 6
    assert len(play.world.all(CONTROLLER_REVISIONS)) == 3


def test_a_name_that_is_taken_by_another_leads_to_another_hash(make_world: Worlds) -> None:
    play = Play(make_world(), 1, {"type": "RollingUpdate"})
    create = deployment.decide(play.deployment, [], {}, play.world.now).writes[0]
    wanted = create.obj
    stranger = wanted | {"metadata": wanted["metadata"] | {"ownerReferences": []}}
    assert deployment.name_taken(play.deployment, wanted, wanted) is None
    update = deployment.name_taken(play.deployment, stranger, wanted)
    assert isinstance(update, Update)
    play.world.carry_out([update])
    again = deployment.decide(play.deployment, [], {}, play.world.now).writes[0]
    assert again.obj["metadata"]["name"] != wanted["metadata"]["name"]
