"""The scheduler's constraints by tables, and never broken by chance."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.controllers.decide import quantity, selectors
from kubelab.controllers.decide.fitting import Picture, Refusal, host_ports, refusal, requests
from kubelab.controllers.decide.scheduling import Placed, Unschedulable, choose, explain, is_waiting, order, refused

NOW = datetime(2026, 11, 23, 22, 40, 0, tzinfo=UTC)
SIZE = {"cpu": "2", "memory": "4Gi", "pods": "110"}


def node(name: str, *, labels: dict[str, str] | None = None, taints: list[Any] | None = None, **more: Any) -> Any:
    spec: dict[str, Any] = {"taints": taints} if taints else {}
    if more.get("unschedulable"):
        spec["unschedulable"] = True
    own = {"kubernetes.io/hostname": name} | (labels or {})
    return {
        "metadata": {"name": name, "labels": own},
        "spec": spec,
        "status": {"allocatable": more.get("allocatable", SIZE)},
    }


def pod(name: str, *, labels: dict[str, str] | None = None, owner: str = "", on: str = "", **spec: Any) -> Any:
    meta: dict[str, Any] = {"name": name, "namespace": "default", "uid": name, "labels": labels or {}}
    if owner:
        meta["ownerReferences"] = [{"uid": owner, "controller": True}]
    containers = spec.pop("containers", [{"name": "c"}])
    whole = {"containers": containers, **spec}
    if on:
        whole["nodeName"] = on
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": whole, "status": {}}


def asking(**amounts: str) -> list[Any]:
    return [{"name": "c", "resources": {"requests": amounts}}]


def on_port(port: int, **more: str) -> list[Any]:
    return [{"name": "c", "ports": [{"containerPort": port, "hostPort": port, **more}]}]


def near(key: str, kind: str, **labels: str) -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": key}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def nodes_where(*terms: Any) -> dict[str, Any]:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"nodeAffinity": required}


HOST = "kubernetes.io/hostname"
TAINT = {"key": "k", "value": "v", "effect": "NoSchedule"}
WEB = pod("w", labels={"app": "web"}, on="n")
AFFINITY = Refusal(("node(s) didn't match Pod's node affinity/selector",), final=True)


@pytest.mark.parametrize(
    ("what", "where", "others", "expected"),
    [
        (pod("p"), node("n"), [], None),
        (pod("p"), node("n", unschedulable=True), [], Refusal(("node(s) were unschedulable",), final=True)),
        (
            pod("p", tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]),
            node("n", unschedulable=True),
            [],
            None,
        ),
        (pod("p"), node("n", taints=[TAINT]), [], Refusal(("node(s) had untolerated taint(s)",), final=True)),
        (pod("p", tolerations=[{"operator": "Exists"}]), node("n", taints=[TAINT]), [], None),
        (pod("p", tolerations=[{"key": "k", "value": "v"}]), node("n", taints=[TAINT]), [], None),
        (pod("p"), node("n", taints=[TAINT | {"effect": "PreferNoSchedule"}]), [], None),
        (pod("p", nodeSelector={"disk": "ssd"}), node("n"), [], AFFINITY),
        (pod("p", nodeSelector={"disk": "ssd"}), node("n", labels={"disk": "ssd"}), [], None),
        (
            pod("p", affinity=nodes_where({"matchExpressions": [{"key": "cpus", "operator": "Gt", "values": ["4"]}]})),
            node("n", labels={"cpus": "8"}),
            [],
            None,
        ),
        (
            pod(
                "p",
                affinity=nodes_where({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["m"]}]}),
            ),
            node("n"),
            [],
            Refusal(("node(s) didn't satisfy plugin(s) [NodeAffinity]",), final=True),
        ),
        (
            pod("p", containers=on_port(80)),
            node("n"),
            [pod("q", containers=on_port(80), on="n")],
            Refusal(("node(s) didn't have free ports for the requested pod ports",), final=False),
        ),
        (pod("p", containers=on_port(80)), node("n"), [pod("q", containers=on_port(80, protocol="UDP"), on="n")], None),
        (
            pod("p", containers=on_port(80, hostIP="127.0.0.1")),
            node("n"),
            [pod("q", containers=on_port(80, hostIP="127.0.0.2"), on="n")],
            None,
        ),
        (
            pod("p", containers=asking(cpu="1500m")),
            node("n"),
            [pod("q", containers=asking(cpu="1"), on="n")],
            Refusal(("Insufficient cpu",), final=False),
        ),
        (
            pod("p", containers=asking(cpu="3", memory="8Gi")),
            node("n"),
            [],
            Refusal(("Insufficient cpu", "Insufficient memory"), final=True),
        ),
        (
            pod("p", containers=asking(cpu="1")),
            node("n", allocatable={}),
            [],
            Refusal(("Too many pods", "Insufficient cpu"), final=True),
        ),
        (pod("p", affinity=near(HOST, "podAffinity", app="web")), node("n"), [WEB], None),
        (
            pod("p", affinity=near(HOST, "podAffinity", app="web")),
            node("n"),
            [],
            Refusal(("node(s) didn't match pod affinity rules",), final=True),
        ),
        (pod("p", labels={"app": "web"}, affinity=near(HOST, "podAffinity", app="web")), node("n"), [], None),
        (
            pod("p", affinity=near(HOST, "podAntiAffinity", app="web")),
            node("n"),
            [WEB],
            Refusal(("node(s) didn't match pod anti-affinity rules",), final=False),
        ),
        (
            pod("p", labels={"app": "web"}),
            node("n"),
            [pod("q", affinity=near(HOST, "podAntiAffinity", app="web"), on="n")],
            Refusal(("node(s) didn't satisfy existing pods anti-affinity rules",), final=False),
        ),
        (
            pod("p", topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "zone", "labelSelector": {}}]),
            node("n"),
            [],
            Refusal(("node(s) didn't match pod topology spread constraints (missing required label)",), final=True),
        ),
    ],
)
def test_a_node_is_refused_for_the_first_constraint_that_is_not_met(
    what: Any, where: Any, others: list[Any], expected: Refusal | None
) -> None:
    picture = Picture.of([where], others)
    assert refusal(what, picture.places["n"], picture) == expected


def test_a_spread_constraint_counts_what_is_in_each_domain() -> None:
    nodes = [node(f"n{i}", labels={"zone": zone}) for i, zone in enumerate("aab")]
    spread = {"maxSkew": 1, "topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}
    picture = Picture.of(nodes, [])
    chosen = []
    for number in range(4):
        it = pod(f"p{number}", labels={"app": "web"}, topologySpreadConstraints=[spread])
        outcome = choose(it, picture)
        assert isinstance(outcome, Placed)
        picture.add(it, outcome.node)
        chosen.append(outcome.node)
    assert sorted("b" if name == "n2" else "a" for name in chosen) == ["a", "a", "b", "b"]


def test_reasons_are_counted_and_sorted_as_the_real_scheduler_words_them() -> None:
    final = Refusal(("node(s) had untolerated taint(s)",), final=True)
    short = Refusal(("Insufficient cpu", "Insufficient memory"), final=False)
    assert explain([final, short, short]) == (
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu, 2 Insufficient memory. "
        "no new claims to deallocate, preemption: 0/3 nodes are available: "
        "1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
    )
    assert explain([]) == "no nodes available to schedule pods"


def test_a_node_without_room_at_all_is_told_as_recorded() -> None:
    """Recorded: one node that offers nothing."""
    outcome = choose(pod("p", containers=asking(cpu="100m")), Picture.of([node("n", allocatable={})], []))
    assert outcome == Unschedulable(
        "0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods. no new claims to deallocate, preemption: "
        "0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )


def best(what: Any, nodes: list[Any], others: list[Any]) -> str:
    outcome = choose(what, Picture.of(nodes, others))
    assert isinstance(outcome, Placed)
    return outcome.node


def test_pods_of_one_owner_are_spread() -> None:
    nodes = [node("a"), node("b"), node("c")]
    others = [pod("1", owner="x", on="a"), pod("2", owner="x", on="c"), pod("3", owner="y", on="b")]
    assert best(pod("p", owner="x"), nodes, others) == "b"


def test_a_soft_taint_is_avoided_while_another_node_will_do() -> None:
    soft = node("a", taints=[TAINT | {"effect": "PreferNoSchedule"}])
    full = [pod(str(i), owner="x", on="b") for i in range(5)]
    assert best(pod("p", owner="x"), [soft, node("b")], full) == "b"
    assert best(pod("p"), [soft], []) == "a"


def test_wishes_about_nodes_and_neighbours_are_followed() -> None:
    wish = {"weight": 5, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}
    node_wish = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}
    nodes = [node("a"), node("b", labels={"disk": "ssd"})]
    assert best(pod("p", affinity=node_wish), nodes, []) == "b"
    term = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": HOST}
    for kind, expected in (("podAffinity", "b"), ("podAntiAffinity", "a")):
        affinity = {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]}}
        web = pod("w", labels={"app": "web"}, on="b")
        filler = [pod("f", on="a"), pod("g", on="a")] if kind == "podAffinity" else []
        assert best(pod("p", affinity=affinity), nodes, [web, *filler]) == expected


def test_the_emptier_node_is_taken() -> None:
    others = [pod("1", containers=asking(cpu="1"), on="a"), pod("2", containers=asking(cpu="500m"), on="b")]
    assert best(pod("p"), [node("a"), node("b")], others) == "b"


def test_important_pods_come_first_then_old_ones() -> None:
    first, second, third = pod("z", priority=10), pod("b"), pod("a")
    second["metadata"]["creationTimestamp"], third["metadata"]["creationTimestamp"] = "2026-01-01", "2026-01-02"
    assert order([third, second, first]) == [first, second, third]


@pytest.mark.parametrize(
    ("change", "waits"),
    [
        ({}, True),
        ({"nodeName": "n"}, False),
        ({"schedulerName": "other"}, False),
        ({"schedulingGates": [{"name": "g"}]}, False),
    ],
)
def test_only_what_waits_for_this_scheduler_is_its_business(change: dict[str, Any], waits: bool) -> None:  # noqa: FBT001  # a table's column
    assert is_waiting(pod("p", **change)) is waits


def test_a_change_of_reason_keeps_the_time_since_when_it_waits() -> None:
    it = pod("p")
    it["status"] = {
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "old",
                "lastTransitionTime": "T",
            }
        ]
    }
    _, patch = refused(it, Unschedulable("new"), NOW)
    (condition,) = patch.patch["status"]["conditions"]
    assert (condition["lastTransitionTime"], condition["message"]) == ("T", "new")


# --- properties ------------------------------------------------------------------------------------------------------

zones = st.sampled_from(["a", "b", "c"])
pods_ = st.fixed_dictionaries(
    {
        "app": st.sampled_from(["x", "y"]),
        "cpu": st.sampled_from(["0", "300m", "1"]),
        "port": st.sampled_from([0, 80, 81]),
        "anti": st.sampled_from(["", "x", "y"]),
        "with": st.sampled_from(["", "x"]),
        "key": st.sampled_from([HOST, "zone"]),
        "selector": st.sampled_from([{}, {"zone": "a"}]),
        "tolerant": st.booleans(),
    }
)
nodes_ = st.lists(st.tuples(zones, st.booleans()), min_size=1, max_size=4)


def made(number: int, it: dict[str, Any]) -> Any:
    affinity: dict[str, Any] = {}
    if it["anti"]:
        affinity |= near(it["key"], "podAntiAffinity", app=it["anti"])
    if it["with"]:
        affinity |= near(it["key"], "podAffinity", app=it["with"])
    containers = asking(cpu=it["cpu"])
    if it["port"]:
        containers[0] |= on_port(it["port"])[0]
    tolerations = [{"operator": "Exists"}] if it["tolerant"] else []
    more = {"nodeSelector": it["selector"], "affinity": affinity, "tolerations": tolerations}
    return pod(f"p{number}", labels={"app": it["app"]}, containers=containers, **more)


@settings(max_examples=150, deadline=None)
@given(where=nodes_, what=st.lists(pods_, max_size=8))
def test_no_required_constraint_is_ever_broken(where: list[tuple[str, bool]], what: list[dict[str, Any]]) -> None:
    nodes = {
        f"n{i}": node(f"n{i}", labels={"zone": zone}, taints=[TAINT] if tainted else None)
        for i, (zone, tainted) in enumerate(where)
    }
    picture = Picture.of(nodes.values(), [])
    placed: list[tuple[Any, Any]] = []
    for number, it in enumerate(what):
        new = made(number, it)
        outcome = choose(new, picture)
        if isinstance(outcome, Placed):
            picture.add(new, outcome.node)
            placed.append((new, nodes[outcome.node]))
    for one, there in placed:
        check(one, there, placed)


def check(one: Any, there: Any, placed: list[tuple[Any, Any]]) -> None:
    """All that a pod requires, said once more in other words."""
    spec = one["spec"]
    assert there["spec"].get("taints") is None or spec["tolerations"]
    assert spec["nodeSelector"].items() <= there["metadata"]["labels"].items()
    here = [other for other, node_ in placed if node_ is there]
    assert sum(requests(other["spec"]).get("cpu", Decimal(0)) for other in here) <= Decimal(2)
    ports = [port for other in here for port in host_ports(other["spec"])]
    assert len(ports) == len(set(ports))
    anti = spec["affinity"].get("podAntiAffinity")
    for term in (anti or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or []:
        key = term["topologyKey"]
        for other, node_ in placed:
            if other is not one and node_["metadata"]["labels"][key] == there["metadata"]["labels"][key]:
                assert not selectors.matches(term["labelSelector"], other["metadata"]["labels"])


@given(st.decimals(min_value=0, max_value=10**6, places=3), st.sampled_from(["", "m", "k", "Ki", "Mi", "Gi", "e3"]))
def test_quantities_are_read_exactly(number: Decimal, unit: str) -> None:
    factor = {"": 1, "m": Decimal("0.001"), "k": 1000, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "e3": 1000}[unit]
    assert quantity.parse(f"{number}{unit}") == number * factor


@pytest.mark.parametrize("text", ["", "x", "1Q", "--1", "1 Gi", "m"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "k", "operator": "Equal", "value": "v"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"value": "v"}, False),
    ],
)
def test_tolerations_cover_taints_as_the_api_says(toleration: dict[str, str], tolerated: bool) -> None:  # noqa: FBT001  # a table's column
    assert selectors.tolerates(toleration, TAINT) is tolerated


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        (None, {"a": "1"}, False),
        ({}, {}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, {"a": "2"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Nonsense"}]}, {"a": "1"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Lt", "values": ["5"]}]}, {"a": "4"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Lt", "values": ["5"]}]}, {"a": "x"}, False),
    ],
)
def test_label_selectors_select_as_the_api_says(selector: Any, labels: dict[str, str], selected: bool) -> None:  # noqa: FBT001  # a table's column
    assert selectors.matches(selector, labels) is selected
