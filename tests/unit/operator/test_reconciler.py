"""The operator makes the cluster match the resource, says so once, and then writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metallb.api.core import OwnerReference
from metallb.kube.errors import ConflictError, ForbiddenError
from metallb.kube.objects import Key
from metallb.kube.reconciler import Done, Failed, Outcome
from metallb.operator.conditions import NO_SPEAKERS
from metallb.operator.reconciler import MetalLBOperator

ALL = ["apply ConfigMap/metallb-excludel2", "apply NetworkPolicy/controller"]
ALL += ["apply DaemonSet/speaker", "apply Deployment/controller"]


async def run(operator: MetalLBOperator, name: str = "metallb") -> Outcome:
    return await operator._reconcile(Key("metallb-system", name))


@pytest.fixture
async def settled(cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]) -> MetalLBOperator:
    """An operator whose installation is complete, and says so."""
    cluster.put(metallb())
    cluster.deliver()
    await run(operator)
    cluster.get_ready()
    cluster.deliver()
    await run(operator)
    cluster.deliver()
    cluster.taken()
    return operator


async def test_a_new_resource_is_applied_and_progresses(
    cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    cluster.put(metallb())
    cluster.deliver()
    assert await run(operator) == Done()
    assert cluster.taken() == [*ALL, "status metallb"]
    assert cluster.conditions()["Progressing"].status == "True"
    assert cluster.conditions()["Progressing"].message == (
        "DaemonSet speaker: what was applied is not seen yet; Deployment controller: what was applied is not seen yet"
    )


async def test_what_is_ready_is_available(cluster: Any, settled: MetalLBOperator) -> None:
    assert {k: c.status for k, c in cluster.conditions().items()} == {
        "Available": "True",
        "Upgradeable": "True",
        "Progressing": "False",
        "Degraded": "False",
    }
    assert cluster.warnings == []


async def test_an_installation_without_a_node_for_speakers_is_warned_about_once(
    cluster: Any, settled: MetalLBOperator
) -> None:
    cluster.get_ready(speakers=0)
    cluster.deliver()
    for _ in range(2):
        assert await run(settled) == Done()
        cluster.deliver()
    assert cluster.conditions()["Available"].status == "True"
    assert cluster.warnings == [("NoSpeakers", NO_SPEAKERS)]


async def test_the_second_run_writes_nothing(cluster: Any, settled: MetalLBOperator) -> None:
    for _ in range(3):
        assert await run(settled) == Done()
    assert cluster.taken() == []


async def test_another_replica_that_takes_over_changes_nothing(
    cluster: Any, settled: MetalLBOperator, restarted: Callable[..., MetalLBOperator]
) -> None:
    before, fresh = cluster.changes, restarted()
    await run(fresh)
    cluster.deliver()
    await run(fresh)
    assert cluster.changes == before, "applied again, as a new replica must, to no effect"
    assert cluster.taken() == ALL


async def test_a_cache_that_is_behind_is_never_taken_for_ready(
    cluster: Any, settled: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    """Between an apply and its event the cache shows the old pods, all of them ready."""
    cluster.put(metallb(log_level="debug"))
    cluster.stores.metallbs.replace(cluster.resources.values())
    await run(settled)
    assert cluster.conditions()["Available"].status == "False"
    assert "what was applied is not seen yet" in cluster.conditions()["Progressing"].message


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("DaemonSet", "speaker"),
        ("Deployment", "controller"),
        ("ConfigMap", "metallb-excludel2"),
        ("NetworkPolicy", "controller"),
    ],
)
class TestForeignHands:
    async def test_an_edit_is_undone(self, cluster: Any, settled: MetalLBOperator, kind: str, name: str) -> None:
        wanted = cluster.objects[kind, name]["applied"]
        cluster.edit(kind, name)
        cluster.deliver()
        await run(settled)
        assert cluster.objects[kind, name]["applied"] == wanted
        assert [each for each in cluster.taken() if each.startswith("apply")] == [f"apply {kind}/{name}"]

    async def test_a_deletion_is_undone(self, cluster: Any, settled: MetalLBOperator, kind: str, name: str) -> None:
        del cluster.objects[kind, name]
        cluster.deliver()
        await run(settled)
        assert (kind, name) in cluster.objects
        assert f"apply {kind}/{name}" in cluster.taken()

    async def test_a_lost_label_comes_back(self, cluster: Any, settled: MetalLBOperator, kind: str, name: str) -> None:
        found = cluster.objects[kind, name]
        found["metadata"] = {**found["metadata"], "labels": {}}
        found["version"] += 1000
        cluster.deliver()
        await run(settled)
        assert cluster.objects[kind, name]["metadata"]["labels"]["app"] == "metallb"


async def test_what_the_resource_stands_for_no_more_is_removed(
    cluster: Any, settled: MetalLBOperator, restarted: Callable[..., MetalLBOperator]
) -> None:
    fresh = restarted(network_policies=False)
    await run(fresh)
    assert "delete NetworkPolicy/controller" in cluster.taken()
    assert ("NetworkPolicy", "controller") not in cluster.objects
    await run(fresh)
    cluster.deliver()
    cluster.taken()
    await run(fresh)
    assert cluster.taken() == []


async def test_what_belongs_to_others_stays(
    cluster: Any, settled: MetalLBOperator, restarted: Callable[..., MetalLBOperator]
) -> None:
    owner = OwnerReference("apps/v1", "Deployment", "theirs", "u-9")
    found = cluster.objects["NetworkPolicy", "controller"]
    found["metadata"] = {**found["metadata"], "ownerReferences": [{"kind": owner.kind, "uid": owner.uid}]}
    found["version"] += 1000
    cluster.deliver()
    await run(restarted(network_policies=False))
    assert ("NetworkPolicy", "controller") in cluster.objects


async def test_a_resource_of_another_name_is_told_so_once_and_nothing_else(
    cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    cluster.put(metallb("other"))
    cluster.deliver()
    await run(operator, "other")
    cluster.deliver()
    await run(operator, "other")
    assert cluster.taken() == ["status other"]
    assert cluster.conditions("other")["Degraded"].reason == "IncorrectMetalLBResourceName"
    assert [reason for reason, _ in cluster.warnings] == ["IncorrectMetalLBResourceName"]


async def test_one_of_another_name_takes_nothing_with_it(
    cluster: Any, settled: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    cluster.put(metallb("other"))
    cluster.deliver()
    await run(settled, "other")
    del cluster.resources["other"]
    cluster.deliver()
    before = cluster.changes
    await run(settled, "other")
    await run(settled)
    assert cluster.changes == before
    assert cluster.conditions()["Available"].status == "True"


@pytest.mark.parametrize(("backend", "reason"), [("frr", "BackendNotSupported"), ("bird", "InvalidMetalLBResource")])
async def test_a_backend_that_can_not_be_deployed_leaves_what_runs(
    cluster: Any, settled: MetalLBOperator, metallb: Callable[..., Any], backend: str, reason: str
) -> None:
    cluster.put(metallb(bgp_backend=backend))
    cluster.deliver()
    assert await run(settled) == Done()
    assert cluster.taken() == ["status metallb"]
    assert cluster.conditions()["Degraded"].reason == reason
    assert cluster.warnings[0][0] == reason


async def test_a_refused_apply_is_degraded_with_its_cause_and_tried_again(
    cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    cluster.put(metallb())
    cluster.deliver()
    cluster.failing = ForbiddenError("PATCH /x", "may not", code=403, reason="Forbidden")
    outcome = await run(operator)
    assert isinstance(outcome, Failed)
    assert outcome.retry
    degraded = cluster.conditions()["Degraded"]
    assert (degraded.reason, degraded.message) == (
        "FailedToSyncMetalLBResources",
        "; ".join(
            f"could not apply {what}: PATCH /x: 403 Forbidden: may not"
            for what in (each.removeprefix("apply ").replace("/", " ") for each in ALL)
        ),
    )
    cluster.deliver()
    await run(operator)
    assert len(cluster.warnings) == 1, "said once"
    cluster.failing = None
    cluster.deliver()
    assert await run(operator) == Done()
    assert cluster.conditions()["Degraded"].status == "False"


async def test_a_conflict_about_the_status_is_left_to_the_queue(
    cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    cluster.put(metallb())
    cluster.deliver()
    cluster.put(metallb())
    with pytest.raises(ConflictError):
        await run(operator)
    cluster.deliver()
    assert await run(operator) == Done()


async def test_a_resource_that_vanishes_before_its_status_is_written_is_no_error(
    cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    cluster.put(metallb())
    cluster.deliver()
    cluster.resources.clear()
    assert await run(operator) == Done()


async def test_a_new_resource_of_the_same_name_owns_everything(
    cluster: Any, settled: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    cluster.resources.clear()
    cluster.deliver()
    assert await run(settled) == Done()
    assert cluster.taken() == [], "garbage collection takes what it owned"
    cluster.put(metallb(uid="u-2"))
    cluster.deliver()
    await run(settled)
    owners = {found["metadata"]["ownerReferences"][0]["uid"] for found in cluster.objects.values()}
    assert owners == {"u-2"}


async def test_a_resource_deleted_in_the_foreground_is_left_to_the_garbage_collector(
    cluster: Any, settled: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    """Its objects go first; an operator that makes them again keeps it from ever going."""
    cluster.put(metallb(deleted="2026-01-01T00:00:00Z"))
    del cluster.objects["DaemonSet", "speaker"]
    cluster.deliver()
    assert await run(settled) == Done()
    assert cluster.taken() == []


async def test_any_change_of_what_it_made_puts_the_resource_in_line(operator: MetalLBOperator) -> None:
    operator.review()
    assert operator.queue.depth == 1
