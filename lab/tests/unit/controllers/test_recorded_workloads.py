"""Decisions against what a real kube-controller-manager and kube-scheduler did with the same objects."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from kubelab.controllers.decide import (
    daemonset,
    deployment,
    endpoints,
    events,
    eviction,
    history,
    legacy_endpoints,
    nodes,
    replicaset,
    scheduling,
)
from kubelab.controllers.decide.fitting import Picture
from kubelab.controllers.decide.resources import DEPLOYMENTS, REPLICA_SETS
from kubelab.controllers.decide.scheduling import Unschedulable
from kubelab.controllers.decide.writes import Create, Decision, Delete, Patch, Record, Update

Mask = Callable[[Any], Any]
NOW = datetime(2026, 11, 23, 22, 40, 0, tzinfo=UTC)


def renamed(obj: Any, old: str, new: str) -> Any:
    """The same with one name in place of another: hashes and suffixes differ by nature."""
    return json.loads(json.dumps(obj).replace(old, new))


def same_conditions(one: Any, other: Any) -> bool:
    return one["status"].get("conditions") == other["status"].get("conditions")


# --- Deployment ------------------------------------------------------------------------------------------------------


def test_a_new_deployment_gets_the_recorded_replica_set(workloads: Any) -> None:
    decision = deployment.decide(workloads.obj("deployment"), [], {}, NOW)
    create = decision.writes[0]
    assert isinstance(create, Create)
    (recorded,) = workloads.items("replica sets")
    digest = create.obj["metadata"]["labels"]["pod-template-hash"]
    expected = renamed(recorded, "f7bdc75ff", digest)
    for field in ("name", "namespace", "labels", "annotations", "ownerReferences"):
        assert create.obj["metadata"][field] == expected["metadata"][field]
    assert create.obj["spec"] == expected["spec"]
    assert [record.message for record in create.then] == [f"Scaled up replica set web-{digest} from 0 to 2"]


def test_a_new_deployment_says_so_as_recorded(workloads: Any, mask: Mask) -> None:
    """The recorded deployment `nopc` got no further than this, and its pods were refused."""
    recorded = workloads.obj("its condition")
    new = workloads.obj("dep with missing priority class")
    create, first = deployment.decide(new, [], {}, NOW).writes
    assert isinstance(create, Create)
    assert isinstance(first, Update)
    digest = create.obj["metadata"]["labels"]["pod-template-hash"]
    recorded = renamed(recorded, "57c84c958f", digest)
    failure = dict(recorded["status"]["conditions"][2])
    failure.pop("lastUpdateTime")
    made = create.obj | {"status": {"replicas": 0, "terminatingReplicas": 0, "conditions": [failure]}}
    made["metadata"] = made["metadata"] | {"uid": "u", "resourceVersion": "1"}
    (second,) = deployment.decide(first.obj, [made], {}, NOW).writes
    assert isinstance(second, Update)
    assert mask(second.obj["status"]) == mask(recorded["status"])
    assert second.obj["metadata"]["annotations"] == recorded["metadata"]["annotations"]


def replica_sets_when(workloads: Any, name: str) -> list[Any]:
    """The replica sets as they were when the deployment had the recorded state `name`."""
    first = workloads.items("replica sets")
    rolling = workloads.items("two replica sets")
    ready_first = [rs for rs in rolling if rs["metadata"]["name"] == "web-f7bdc75ff"]
    return {"deployment progressing": first, "deployment available": ready_first}[name]


@pytest.mark.parametrize("name", ["deployment progressing", "deployment available"])
def test_a_recorded_deployment_is_left_alone(workloads: Any, name: str) -> None:
    assert deployment.decide(workloads.obj(name), replica_sets_when(workloads, name), {}, NOW).writes == ()


def test_ready_pods_make_a_deployment_available_as_recorded(workloads: Any, mask: Mask) -> None:
    before = workloads.obj("deployment progressing")
    after = workloads.obj("deployment available")
    (update,) = deployment.decide(before, replica_sets_when(workloads, "deployment available"), {}, NOW).writes
    assert isinstance(update, Update)
    assert update.subresource == "status"
    assert mask(update.obj["status"]) == mask(after["status"])


def test_a_new_image_makes_the_recorded_second_replica_set(workloads: Any) -> None:
    first = replica_sets_when(workloads, "deployment available")
    create = deployment.decide(workloads.obj("roll out a new image"), first, {}, NOW).writes[0]
    assert isinstance(create, Create)
    recorded = workloads.items("two replica sets")[0]
    expected = renamed(recorded, "5476f97b9b", create.obj["metadata"]["labels"]["pod-template-hash"])
    assert create.obj["spec"] == expected["spec"]
    assert create.obj["metadata"]["annotations"] == expected["metadata"]["annotations"]


def test_one_pod_at_a_time_is_replaced_as_recorded(workloads: Any) -> None:
    """The recorded events: up 0 to 1, down 2 to 1, up 1 to 2, down 1 to 0."""
    rolling = workloads.items("two replica sets")
    rolling[0]["status"] |= {"readyReplicas": 1, "availableReplicas": 1}
    said = []
    current = workloads.obj("roll out a new image")
    current["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "2"
    for _ in range(3):
        updates = [w for w in deployment.decide(current, rolling, {}, NOW).writes if isinstance(w, Update)]
        for update in updates:
            if update.resource == REPLICA_SETS:
                said += [record.message for record in update.then]
                (old,) = (rs for rs in rolling if rs["metadata"]["name"] == update.obj["metadata"]["name"])
                size = update.obj["spec"]["replicas"]
                counts = {"replicas": size, "readyReplicas": size, "availableReplicas": size}
                rolling[rolling.index(old)] = update.obj | {"status": old["status"] | counts}
    recorded = [
        e["message"] for e in workloads.lines["events"]["response"]["items"] if e["reason"] == "ScalingReplicaSet"
    ]
    assert said == recorded[-3:]


def test_a_finished_rollout_has_the_recorded_status(workloads: Any, mask: Mask) -> None:
    recorded = workloads.obj("deployment rolled out")
    old, new = workloads.items("two replica sets")[::-1]
    old["spec"]["replicas"] = 0
    old["status"] = {"replicas": 0, "terminatingReplicas": 0, "observedGeneration": 3}
    new["spec"]["replicas"] = 2
    counts = dict.fromkeys(("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"), 2)
    new["status"] = counts | {"terminatingReplicas": 0, "observedGeneration": 2}
    assert deployment.decide(recorded, [old, new], {}, NOW).writes == ()
    progressing = copy.deepcopy(recorded)
    progressing["status"] |= {"availableReplicas": 1, "readyReplicas": 1, "unavailableReplicas": 1}
    progressing["status"]["conditions"][1] |= {"reason": "ReplicaSetUpdated", "message": "x"}
    (update,) = deployment.decide(progressing, [old, new], {}, NOW).writes
    assert isinstance(update, Update)
    assert mask(update.obj["status"]) == mask(recorded["status"])


# --- ReplicaSet ------------------------------------------------------------------------------------------------------


def test_pods_of_a_replica_set_are_shaped_as_recorded(workloads: Any) -> None:
    (replica_set,) = workloads.items("replica sets")
    (together,) = replicaset.scale(replica_set, [], [], NOW)
    recorded = workloads.items("pods")[0]
    assert len(together.writes) == 2
    made = together.writes[0].obj
    assert made["metadata"].keys() <= recorded["metadata"].keys()
    for field in ("generateName", "namespace", "labels", "ownerReferences"):
        assert made["metadata"][field] == recorded["metadata"][field]
    # What the API server adds by admission and the scheduler by binding is not the controller's.
    added = {"serviceAccountName", "serviceAccount", "nodeName", "tolerations", "priority", "preemptionPolicy"}
    added |= {"volumes", "enableServiceLinks"}
    expected = {key: value for key, value in recorded["spec"].items() if key not in added}
    expected["containers"][0].pop("volumeMounts")
    assert made["spec"] == expected


def test_a_recorded_replica_set_and_its_pods_are_left_alone(workloads: Any) -> None:
    (replica_set,) = workloads.items("replica sets")
    pods = workloads.items("pods")
    assert replicaset.scale(replica_set, pods, pods, NOW) == ()
    assert replicaset.report(replica_set, pods, None, NOW) == Decision()


def test_ready_pods_give_a_replica_set_the_recorded_status(workloads: Any) -> None:
    (replica_set,) = workloads.items("replica sets")
    names = ("kubelet says running: web-f7bdc75ff-frgsp", "kubelet says running: web-f7bdc75ff-sznl4")
    (update,) = replicaset.report(replica_set, [workloads.obj(name) for name in names], None, NOW).writes
    assert isinstance(update, Update)
    assert update.obj["status"] == workloads.items("two replica sets")[1]["status"]


# --- DaemonSet -------------------------------------------------------------------------------------------------------


def nodes_of(workloads: Any) -> dict[str, Any]:
    return {node["metadata"]["name"]: node for node in workloads.items("nodes after registration")}


def test_pods_of_a_daemon_set_are_shaped_as_recorded(workloads: Any) -> None:
    daemon_set = workloads.obj("daemonset status")
    recorded = {pod["spec"]["nodeName"]: pod for pod in workloads.items("daemonset pods")}
    (together,) = daemonset.decide(daemon_set, [], nodes_of(workloads), "785fb4d797", NOW).writes
    assert len(together.writes) == 3
    for write in together.writes:
        spec = write.obj["spec"]
        terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        expected = recorded[terms[0]["matchFields"][0]["values"][0]]
        assert spec["affinity"] == expected["spec"]["affinity"]
        assert spec["tolerations"] == expected["spec"]["tolerations"]
        # The zone is a label that the API server copies from the node at binding.
        labels = {k: v for k, v in expected["metadata"]["labels"].items() if k != "topology.kubernetes.io/zone"}
        assert write.obj["metadata"]["labels"] == labels
        assert write.obj["metadata"]["ownerReferences"] == expected["metadata"]["ownerReferences"]


def test_a_controller_revision_is_as_recorded(workloads: Any) -> None:
    (recorded,) = workloads.items("controller revisions")
    daemon_set = workloads.obj("daemonset status")
    (create,) = history.keep(daemon_set, [], set()).writes
    assert isinstance(create, Create)
    expected = renamed(recorded, "785fb4d797", create.obj["metadata"]["labels"]["controller-revision-hash"])
    for field in ("name", "labels", "annotations", "ownerReferences"):
        assert create.obj["metadata"][field] == expected["metadata"][field]
    assert (create.obj["data"], create.obj["revision"]) == (expected["data"], expected["revision"])
    assert history.keep(daemon_set, [recorded], {"785fb4d797"}) == Decision()
    assert history.digest_of(daemon_set, [recorded]) == "785fb4d797"


def agents(workloads: Any, *, ready: bool, leaving: tuple[str, ...] = ()) -> list[Any]:
    """The recorded daemon pods at a later time: ready, and some told to go."""
    pods = workloads.items("daemonset pods")
    for pod in pods:
        pod["status"]["conditions"] += (
            [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}] if ready else []
        )
        if pod["spec"]["nodeName"] in leaving:
            pod["metadata"]["deletionTimestamp"] = "2026-11-23T22:31:14Z"
    return pods


def tainted(workloads: Any) -> dict[str, Any]:
    found = nodes_of(workloads)
    found["n2"]["spec"] = {"taints": workloads.obj("taint NoExecute")["spec"]["taints"]}
    return found


@pytest.mark.parametrize(
    ("name", "digest", "leaving"),
    [
        ("daemonset status", "785fb4d797", ()),
        ("daemonset ready", "785fb4d797", ()),
        ("daemonset after node selector", "other", ("n3",)),
        ("daemonset under the taint", "other", ("n3", "n2")),
        ("daemonset tolerating", "other", ("n3", "n2")),
    ],
)
def test_a_daemon_set_has_the_recorded_numbers_and_makes_no_move(
    workloads: Any, name: str, digest: str, leaving: tuple[str, ...]
) -> None:
    recorded = workloads.obj(name)
    pods = agents(workloads, ready=name != "daemonset status", leaving=leaving)
    where = tainted(workloads) if "n2" in leaving else nodes_of(workloads)
    assert daemonset.report(recorded, pods, where, digest, NOW) == Decision()
    assert daemonset.decide(recorded, pods, where, digest, NOW) == Decision()
    (update,) = daemonset.report(recorded | {"status": {}}, pods, where, digest, NOW).writes
    assert isinstance(update, Update)
    assert update.obj["status"] == recorded["status"]


def test_an_outdated_daemon_pod_on_a_lost_node_goes_at_once_as_recorded(workloads: Any) -> None:
    """When n1 was lost its pod, of the first revision and not ready any more, was told to go."""
    pods = agents(workloads, ready=True, leaving=("n3", "n2"))
    for pod in pods:
        if pod["spec"]["nodeName"] == "n1":
            pod["status"]["conditions"][-1]["status"] = "False"
    decision = daemonset.decide(workloads.obj("daemonset tolerating"), pods, tainted(workloads), "other", NOW)
    (together,) = decision.writes
    assert [write.obj["metadata"]["name"] for write in together.writes] == ["agent-dfzjg"]


# --- scheduler -------------------------------------------------------------------------------------------------------


def placed_pods(workloads: Any) -> list[Any]:
    return [pod for pod in workloads.items("pods being deleted wait for the kubelet") if pod["spec"].get("nodeName")]


@pytest.mark.parametrize("name", ["selector", "affinity", "antiaffinity", "resources"])
def test_a_pod_that_fits_nowhere_is_told_why_as_recorded(workloads: Any, name: str, mask: Mask) -> None:
    recorded = workloads.obj(f"why pending: {name}")
    pod = workloads.obj(f"pod unschedulable by {name}")
    picture = Picture.of(nodes_of(workloads).values(), placed_pods(workloads))
    outcome = scheduling.choose(pod, picture)
    assert isinstance(outcome, Unschedulable)
    event, patch = scheduling.refused(pod, outcome, NOW)
    assert isinstance(patch, Patch)
    assert mask(patch.patch["status"]["conditions"]) == mask(recorded["status"]["conditions"])
    assert isinstance(event, Record)
    said = [e for e in workloads.lines["events"]["response"]["items"] if e["involvedObject"]["name"] == f"un-{name}"]
    assert [e["message"] for e in said] == [event.message]
    assert scheduling.refused(recorded, outcome, NOW) == ()


# --- endpoints -------------------------------------------------------------------------------------------------------


def running(workloads: Any) -> list[Any]:
    names = ("kubelet says running: web-f7bdc75ff-frgsp", "kubelet says running: web-f7bdc75ff-sznl4")
    return [workloads.obj(name) for name in names]


def test_a_service_without_ready_pods_has_the_recorded_empty_slice(workloads: Any) -> None:
    (recorded,) = workloads.items("endpoint slices, not ready")
    service = workloads.obj("service for it")
    pods, where = workloads.items("pods"), nodes_of(workloads)
    assert endpoints.decide(service, pods, where, [recorded]) == Decision()
    (create,) = endpoints.decide(service, pods, where, []).writes
    assert isinstance(create, Create)
    for field in ("generateName", "namespace", "labels", "annotations", "ownerReferences"):
        assert create.obj["metadata"][field] == recorded["metadata"][field]
    for field in ("addressType", "endpoints", "ports"):
        assert create.obj[field] == recorded[field]


def test_ready_pods_stand_in_the_slice_as_recorded(workloads: Any) -> None:
    (before,) = workloads.items("endpoint slices, not ready")
    (after,) = workloads.items("endpoint slices, ready")
    service = workloads.obj("service for it")
    (update,) = endpoints.decide(service, running(workloads), nodes_of(workloads), [before]).writes
    assert isinstance(update, Update)
    assert {k: v for k, v in update.obj.items() if k != "metadata"} == {
        k: v for k, v in after.items() if k != "metadata"
    }
    assert update.obj["metadata"]["annotations"] == after["metadata"]["annotations"]
    assert endpoints.decide(service, running(workloads), nodes_of(workloads), [after]) == Decision()


def test_a_pod_that_ends_stays_in_the_slice_as_recorded(workloads: Any) -> None:
    (after,) = workloads.items("endpoint slices without n1")
    service = workloads.obj("service for it")
    pods = [pod for pod in workloads.items("pods under the taint") if pod["metadata"]["labels"]["app"] == "web"]
    pods.append(workloads.obj("kubelet says running: web-5476f97b9b-zhn74"))
    assert endpoints.decide(service, pods, nodes_of(workloads), [after]) == Decision()
    before = copy.deepcopy(after)
    before["endpoints"][0]["conditions"] = {"ready": True, "serving": True, "terminating": False}
    (update,) = endpoints.decide(service, pods, nodes_of(workloads), [before]).writes
    assert isinstance(update, Update)
    assert update.obj["endpoints"] == after["endpoints"]
    assert not update.obj["metadata"]["annotations"]


def test_endpoints_are_as_recorded(workloads: Any) -> None:
    recorded = workloads.obj("endpoints")
    service = workloads.obj("service for it")
    assert legacy_endpoints.decide(service, running(workloads), recorded) == Decision()
    empty = copy.deepcopy(recorded)
    del empty["subsets"]
    (update,) = legacy_endpoints.decide(service, running(workloads), empty).writes
    assert isinstance(update, Update)
    assert update.obj == recorded


# --- nodes -----------------------------------------------------------------------------------------------------------


def test_a_lost_node_has_the_recorded_conditions_and_taints(workloads: Any, mask: Mask, make_world: Any) -> None:
    recorded = workloads.obj("node n1 lost")
    before = nodes_of(workloads)["n1"]
    pods = [pod for pod in agents(workloads, ready=True) if pod["spec"]["nodeName"] == "n1"]
    world = make_world()
    world.put(nodes.NODES, before)
    for pod in pods:
        world.put(nodes.PODS, pod)
    world.carry_out(nodes.decide(before, pods, "lost", NOW).writes)
    after = world.get(nodes.NODES, "n1", "")
    assert mask(after["status"]) == mask(recorded["status"])
    assert mask(after["spec"]) == mask(recorded["spec"])
    assert after["metadata"]["labels"] == recorded["metadata"]["labels"]
    (pod,) = world.all(nodes.PODS)
    recorded_pod = next(p for p in workloads.items("its pods") if p["metadata"]["name"] == "agent-dfzjg")
    ready = next(c for c in recorded_pod["status"]["conditions"] if c["type"] == "Ready")
    mine = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready")
    assert mask(mine | {"lastProbeTime": None}) == mask(ready)
    assert nodes.decide(after, world.all(nodes.PODS), "lost", NOW) == Decision()


def test_a_recorded_healthy_node_is_left_alone(workloads: Any) -> None:
    for node in nodes_of(workloads).values():
        assert nodes.decide(node, [], "alive", NOW) == Decision()


def test_a_new_node_gets_the_recorded_labels_and_loses_its_first_taint(workloads: Any, make_world: Any) -> None:
    world = make_world()
    node = world.put(nodes.NODES, workloads.obj("node status n1"))
    world.carry_out(nodes.decide(node, [], "unsure", NOW).writes)
    after, recorded = world.get(nodes.NODES, "n1", ""), nodes_of(workloads)["n1"]
    for field in ("labels", "annotations"):
        assert after["metadata"][field] == recorded["metadata"][field]
    assert (after["spec"].get("taints") or []) == []


def test_pods_under_a_taint_are_told_to_go_as_recorded(workloads: Any, mask: Mask) -> None:
    recorded = next(p for p in workloads.items("pods under the taint") if p["metadata"]["name"] == "agent-ldbsx")
    pod = next(p for p in agents(workloads, ready=True) if p["metadata"]["name"] == "agent-ldbsx")
    event, patch, delete = eviction.decide(tainted(workloads)["n2"], [pod], {}, NOW).writes
    assert isinstance(event, Record)
    assert isinstance(patch, Patch)
    assert isinstance(delete, Delete)
    (condition,) = patch.patch["status"]["conditions"]
    expected = next(c for c in recorded["status"]["conditions"] if c["type"] == "DisruptionTarget")
    assert mask(condition | {"lastProbeTime": None}) == mask(expected)


# --- events ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "kind", "component", "action"),
    [
        ("Scheduled", "Pod", "default-scheduler", "Binding"),
        ("FailedScheduling", "Pod", "default-scheduler", "Scheduling"),
        ("SuccessfulCreate", "DaemonSet", "daemonset-controller", ""),
        ("SuccessfulCreate", "ReplicaSet", "replicaset-controller", ""),
        ("ScalingReplicaSet", "Deployment", "deployment-controller", ""),
        ("RegisteredNode", "Node", "node-controller", ""),
    ],
)
def test_events_are_written_as_recorded(workloads: Any, reason: str, kind: str, component: str, action: str) -> None:
    recorded = next(
        e
        for e in workloads.lines["events"]["response"]["items"]
        if (e["reason"], e["involvedObject"]["kind"]) == (reason, kind)
    )
    about = recorded["involvedObject"]
    meta = {key: about[key] for key in ("name", "namespace", "uid", "resourceVersion") if key in about}
    obj = {"apiVersion": about["apiVersion"], "kind": kind, "metadata": meta}
    record = Record(obj, reason, recorded["message"], component, recorded["type"] == "Warning", action)
    made = events.event(record, NOW, 0x18EACD3771160026, "HOST")
    times = {"firstTimestamp", "lastTimestamp", "eventTime"}
    for field in set(recorded) - times - {"metadata"}:
        assert made[field] == recorded[field], field
    for field in times:
        assert (made.get(field) is None) == (recorded[field] is None), field
    assert made["metadata"]["namespace"] == recorded["metadata"]["namespace"]


def test_resources_have_their_api_names() -> None:
    assert DEPLOYMENTS.path("default", "web") == "/apis/apps/v1/namespaces/default/deployments/web"
