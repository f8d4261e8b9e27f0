"""Node health: who is lost and who only seems so, what follows, and who must leave when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.controllers.decide import clusterroles, eviction, nodes
from kubelab.controllers.decide.nodes import Pulse
from kubelab.controllers.decide.resources import CLUSTER_ROLES, NODES, PODS
from kubelab.controllers.decide.writes import Decision, Delete, Patch

Worlds = Callable[[], Any]
NOW = datetime(2026, 11, 23, 22, 40, 0, tzinfo=UTC)
LOOK_S = 0.25


class Listener:
    """A pulse, and nodes that renew their leases while they live."""

    def __init__(self, *names: str) -> None:
        self.pulse = Pulse()
        self.renewed = dict.fromkeys(names, 0)
        self.now = 1000.0

    def hear(self, seconds: float, *living: str) -> None:
        """Some seconds of looks, four a second, in which these nodes renew."""
        for _ in range(int(seconds / LOOK_S)):
            self.now += LOOK_S
            for name in living:
                self.renewed[name] += 1
            self.pulse.look({name: str(count) for name, count in self.renewed.items()}, self.now)

    def dark(self, seconds: float) -> None:
        """Time in which nobody could look."""
        self.now += seconds

    def verdict(self, name: str) -> str:
        return self.pulse.verdict(name, has_lease=True)


def test_a_silent_node_is_lost_after_two_seconds_and_not_before() -> None:
    it = Listener("a", "b")
    it.hear(5, "a", "b")
    assert (it.verdict("a"), it.verdict("b")) == ("alive", "alive")
    it.hear(2, "b")
    assert it.verdict("a") == "alive"
    it.hear(0.25, "b")
    assert (it.verdict("a"), it.verdict("b")) == ("lost", "alive")
    it.hear(0.25, "a", "b")
    assert it.verdict("a") == "alive"


@pytest.mark.parametrize("away_s", [1.5, 10, 3600])
def test_nobody_is_lost_because_the_api_server_was_away(away_s: float) -> None:
    it = Listener("a", "b")
    it.hear(5, "a", "b")
    it.dark(away_s)
    it.hear(1.75)
    assert {it.verdict("a"), it.verdict("b")} == {"unsure"}
    it.hear(1, "a")
    assert (it.verdict("a"), it.verdict("b")) == ("alive", "lost")


def test_a_node_that_was_dead_before_this_process_started_is_not_called_alive() -> None:
    it = Listener("a")
    it.hear(2)
    assert it.verdict("a") == "unsure"
    it.hear(0.5)
    assert it.verdict("a") == "lost"


def test_a_node_without_a_lease_has_forty_seconds() -> None:
    it = Listener("a")
    it.hear(40)
    assert it.pulse.verdict("a", has_lease=False) == "unsure"
    it.hear(0.5)
    assert it.pulse.verdict("a", has_lease=False) == "lost"


def test_an_unknown_node_is_unsure() -> None:
    assert Pulse().verdict("x", has_lease=True) == "unsure"


@given(st.lists(st.tuples(st.floats(0.05, 5), st.booleans()), max_size=60))
def test_a_node_that_renews_at_every_look_is_never_lost(looks: list[tuple[float, bool]]) -> None:
    pulse, now = Pulse(), 0.0
    for number, (wait_s, other) in enumerate(looks):
        now += wait_s
        pulse.look({"a": str(number), "b": str(number) if other else "same"}, now)
        assert pulse.verdict("a", has_lease=True) != "lost"


@given(st.lists(st.floats(1.01, 100), max_size=30))
def test_looks_that_are_far_apart_never_make_anybody_lost(waits: list[float]) -> None:
    pulse, now = Pulse(), 0.0
    for wait_s in waits:
        now += wait_s
        pulse.look({"a": "same"}, now)
        assert pulse.verdict("a", has_lease=True) == "unsure"


# --- what follows ----------------------------------------------------------------------------------------------------


def a_node(ready: str = "True", reason: str = "KubeletReady", **spec: Any) -> Any:
    condition = {"type": "Ready", "status": ready, "reason": reason, "lastHeartbeatTime": "2026-11-23T22:30:00Z"}
    meta = {"name": "n1", "annotations": {"node.alpha.kubernetes.io/ttl": "0"}, "labels": {}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec, "status": {"conditions": [condition]}}


def a_pod(name: str = "p", **spec: Any) -> Any:
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-23T22:30:00Z"}
    meta = {"name": name, "namespace": "default", "uid": name}
    status = {"phase": "Running", "conditions": [condition]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"nodeName": "n1", **spec}, "status": status}


def taint_keys(node: Any) -> list[tuple[str, str]]:
    return [(taint["key"], taint["effect"]) for taint in node["spec"].get("taints") or []]


def test_a_node_is_lost_and_comes_back(make_world: Worlds) -> None:
    world = make_world()
    own = {"key": "mine", "effect": "NoSchedule"}
    world.put(NODES, a_node(taints=[own]))
    world.put(PODS, a_pod())

    def run(verdict: Any) -> int:
        decision = nodes.decide(world.get(NODES, "n1", ""), world.all(PODS), verdict, world.now)
        return int(world.carry_out(decision.writes))

    assert run("alive") == run("unsure") == 0
    assert run("lost") == 3
    node = world.get(NODES, "n1", "")
    unreachable = "node.kubernetes.io/unreachable"
    assert taint_keys(node) == [("mine", "NoSchedule"), (unreachable, "NoSchedule"), (unreachable, "NoExecute")]
    assert [c["status"] for c in node["status"]["conditions"]] == ["Unknown"] * 4
    assert [c["status"] for c in world.get(PODS, "p")["status"]["conditions"]] == ["False"]
    assert {event.reason for event in world.events} == {"NodeNotReady"}
    assert run("lost") == run("unsure") == 0
    assert run("alive") == 2
    node = world.get(NODES, "n1", "")
    assert taint_keys(node) == [("mine", "NoSchedule")]
    found = {c["type"]: c["status"] for c in node["status"]["conditions"]}
    assert found == {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}
    assert run("alive") == 0


@pytest.mark.parametrize(
    ("conditions", "spec", "expected"),
    [
        ([], {}, []),
        ([("Ready", "True")], {}, []),
        ([("Ready", "False")], {}, [("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]),
        ([("Ready", "Unknown")], {}, [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]),
        ([("Ready", "True"), ("MemoryPressure", "True")], {}, [("memory-pressure", "NoSchedule")]),
        ([("Ready", "True"), ("DiskPressure", "False")], {}, []),
        ([("Ready", "True")], {"unschedulable": True}, [("unschedulable", "NoSchedule")]),
    ],
)
def test_taints_follow_conditions(conditions: list[tuple[str, str]], spec: Any, expected: list[Any]) -> None:
    known = [{"type": kind, "status": status} for kind, status in conditions]
    node = a_node(**spec)
    found = nodes.taints(node, known, NOW)
    assert [(t["key"].removeprefix("node.kubernetes.io/"), t["effect"]) for t in found] == expected
    again = nodes.taints(node | {"spec": node["spec"] | {"taints": found}}, known, NOW + timedelta(hours=1))
    assert again == found


# --- eviction --------------------------------------------------------------------------------------------------------

ADDED = "2026-11-23T22:39:50Z"
GONE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": ADDED}
OTHER = {"key": "k", "value": "v", "effect": "NoExecute"}


def tolerate(taint: Any, seconds: int | None = None) -> Any:
    made = {"key": taint["key"], "operator": "Exists", "effect": "NoExecute"}
    return made if seconds is None else made | {"tolerationSeconds": seconds}


@pytest.mark.parametrize(
    ("tolerations", "taints", "stays_s"),
    [
        ([], [], None),
        ([], [GONE | {"effect": "NoSchedule"}], None),
        ([], [GONE], 0.0),
        ([tolerate(GONE)], [GONE], None),
        ([tolerate(GONE, 300)], [GONE], 290.0),
        ([tolerate(GONE, 5)], [GONE], 0.0),
        ([tolerate(GONE, 0)], [GONE], 0.0),
        ([tolerate(GONE, 300), tolerate(GONE, 20)], [GONE], 10.0),
        ([tolerate(GONE, 300)], [GONE, OTHER], 0.0),
        ([tolerate(GONE, 300), tolerate(OTHER, 8)], [GONE, OTHER], 5.0),
        ([tolerate(OTHER)], [OTHER], None),
    ],
)
def test_a_pod_stays_as_long_as_it_tolerates(tolerations: list[Any], taints: list[Any], stays_s: float | None) -> None:
    since = {eviction.taint_id(OTHER): NOW - timedelta(seconds=3)}
    assert eviction.stay_s(a_pod(tolerations=tolerations), taints, since, NOW) == stays_s


def test_pods_are_told_to_go_once_and_the_next_look_is_when_the_next_one_must() -> None:
    node = a_node(taints=[GONE])
    leaving = a_pod("leaving")
    leaving["metadata"]["deletionTimestamp"] = ADDED
    pods = [
        a_pod("now"),
        a_pod("later", tolerations=[tolerate(GONE, 300)]),
        a_pod("never", tolerations=[tolerate(GONE)]),
        leaving,
    ]
    decision = eviction.decide(node, pods, {}, NOW)
    assert [w.obj["metadata"]["name"] for w in decision.writes if isinstance(w, Delete)] == ["now"]
    assert decision.again_s == 290.0


def test_pods_of_a_node_that_is_no_more_are_removed_by_force() -> None:
    ended = a_pod("ended")
    ended["status"]["phase"] = "Succeeded"
    writes = eviction.stranded([a_pod(), ended], NOW).writes
    assert [type(write) for write in writes] == [Patch, Delete, Delete]
    assert writes[0].patch["status"]["phase"] == "Failed"
    assert [write.grace_period_s for write in writes if isinstance(write, Delete)] == [0, 0]


def test_an_out_of_service_node_lets_its_leaving_pods_go() -> None:
    leaving = a_pod("leaving")
    leaving["metadata"]["deletionTimestamp"] = ADDED
    node = a_node(taints=[{"key": "node.kubernetes.io/out-of-service", "effect": "NoSchedule"}])
    (delete,) = eviction.decide(node, [leaving], {}, NOW).writes
    assert isinstance(delete, Delete)
    assert delete.grace_period_s == 0


# --- cluster roles ---------------------------------------------------------------------------------------------------


def test_an_aggregated_role_has_the_rules_of_all_it_selects(make_world: Worlds) -> None:
    world = make_world()
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    more = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}
    for name, rules in (("b", [rule]), ("a", [more, rule])):
        world.put(CLUSTER_ROLES, {"metadata": {"name": name, "labels": {"to": "all"}}, "rules": rules})
    world.put(CLUSTER_ROLES, {"metadata": {"name": "c", "labels": {}}, "rules": [rule | {"verbs": ["*"]}]})
    selectors = {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}
    role = world.put(CLUSTER_ROLES, {"metadata": {"name": "all"}, "aggregationRule": selectors, "rules": None})
    world.carry_out(clusterroles.decide(role, world.all(CLUSTER_ROLES)).writes)
    after = world.get(CLUSTER_ROLES, "all", "")
    assert after["rules"] == [more, rule]
    assert clusterroles.decide(after, world.all(CLUSTER_ROLES)) == Decision()
