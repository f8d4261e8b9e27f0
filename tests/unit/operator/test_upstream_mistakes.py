"""What goes wrong under upstream's operator, and does not under this one (spec/operator.md 10, by number)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from metallb.kube.errors import ForbiddenError, InvalidError
from metallb.kube.objects import Key
from metallb.kube.reconciler import Again, Done, Failed, Outcome
from metallb.kube.resources import (
    NETWORK_POLICIES,
    PROMETHEUS_RULES,
    SECURITY_CONTEXT_CONSTRAINTS,
    SERVICE_MONITORS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)
from metallb.operator.reconciler import FAILED, FAILOVER, INVALID, MetalLBOperator

ALL_BACKENDS = ("native", "frr", "frr-k8s", "frr-k8s-external")
UNSCHEDULABLE = "0/4 nodes are available: 1 node(s) didn't match pod affinity rules, 3 node(s) had other names."


async def run(operator: MetalLBOperator, name: str = "metallb") -> Outcome:
    return await operator._reconcile(Key("metallb-system", name))


async def settle(cluster: Any, operator: MetalLBOperator) -> None:
    """Until nothing is left to do."""
    for _ in range(4):
        cluster.get_ready()
        cluster.deliver()
        await run(operator)
    cluster.deliver()
    cluster.taken()


def forbidden(what: str) -> ForbiddenError:
    return ForbiddenError("PATCH /x", f"may not touch {what}", code=403, reason="Forbidden")


def names(cluster: Any, kind: str) -> set[str]:
    return {name for each, name in cluster.objects if each == kind}


async def test_1_a_failed_sync_is_told_and_tried_again(
    cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    """Upstream's reason is refused by the API server, so nobody sees it; what it wrote it would not retry."""
    cluster.put(metallb())
    cluster.deliver()
    cluster.refused["speaker"] = InvalidError("PATCH /x", "field is immutable", code=422, reason="Invalid")
    outcome = await run(operator)
    assert isinstance(outcome, Failed)
    assert outcome.retry
    degraded = cluster.conditions()["Degraded"]
    assert degraded.reason == FAILED
    assert degraded.message == "could not apply DaemonSet speaker: PATCH /x: 422 Invalid: field is immutable"
    cluster.refused.clear()
    cluster.deliver()
    assert await run(operator) == Done()
    assert cluster.conditions()["Degraded"].status == "False"


async def test_1_one_object_that_is_refused_holds_up_no_other(
    cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    cluster.put(metallb())
    cluster.deliver()
    cluster.refused["metallb-excludel2"] = forbidden("ConfigMaps")
    assert isinstance(await run(operator), Failed)
    assert names(cluster, "DaemonSet") == {"speaker"}
    assert names(cluster, "Deployment") == {"controller"}


async def test_2_a_pod_that_breaks_later_is_told(
    cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
) -> None:
    cluster.put(metallb())
    await settle(cluster, operator)
    assert cluster.conditions()["Available"].status == "True"
    cluster.objects["DaemonSet", "speaker"]["status"]["numberReady"] = 3
    cluster.objects["DaemonSet", "speaker"]["version"] += 1000
    cluster.deliver()
    await run(operator)
    assert cluster.conditions()["Available"].status == "False"
    assert cluster.conditions()["Progressing"].message.startswith("DaemonSet speaker: 3 of 4 pods are ready")


class TestPods:
    """4, and W4c: upstream says `Progressing`, and drops the reason."""

    @pytest.fixture
    async def waiting(self, cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]) -> MetalLBOperator:
        cluster.put(metallb())
        await settle(cluster, operator)
        cluster.objects["DaemonSet", "speaker"]["status"]["numberReady"] = 3
        cluster.objects["DaemonSet", "speaker"]["version"] += 1000
        scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": UNSCHEDULABLE}
        cluster.put_pod("speaker-x", conditions=[scheduled])
        cluster.deliver()
        return operator

    async def test_the_status_has_the_schedulers_words(self, cluster: Any, waiting: MetalLBOperator) -> None:
        cluster.now = "2026-01-01T00:00:10Z"
        assert await run(waiting) == Again(50)
        found = cluster.conditions()
        assert (found["Progressing"].status, found["Degraded"].status) == ("True", "False")
        assert found["Progressing"].message == (
            "DaemonSet speaker: 3 of 4 pods are ready, 4 are up to date; "
            f"Pod speaker-x: can't be scheduled: {UNSCHEDULABLE}"
        )

    async def test_what_lasts_is_degraded(self, cluster: Any, waiting: MetalLBOperator) -> None:
        cluster.now = "2026-01-01T00:01:00Z"
        assert await run(waiting) == Done()
        found = cluster.conditions()
        assert (found["Degraded"].status, found["Degraded"].reason) == ("True", "PodUnschedulable")
        assert UNSCHEDULABLE in found["Degraded"].message
        assert [reason for reason, _ in cluster.warnings] == ["PodUnschedulable"]

    async def test_nothing_is_written_while_a_pod_waits(self, cluster: Any, waiting: MetalLBOperator) -> None:
        """Upstream writes about five times a second then."""
        for second in range(10, 50):
            cluster.now = f"2026-01-01T00:00:{second}Z"
            await run(waiting)
            cluster.deliver()
        assert cluster.taken() == ["status metallb"]


@pytest.mark.parametrize("backend", ["frr", "frr-k8s"])
async def test_5_what_is_wanted_is_never_deleted_first(
    cluster: Any, restarted: Callable[..., MetalLBOperator], metallb: Callable[..., Any], backend: str
) -> None:
    operator = restarted(deployable=ALL_BACKENDS)
    cluster.put(metallb(bgp_backend=backend))
    await settle(cluster, operator)
    for _ in range(3):
        await run(operator)
    assert cluster.taken() == []


@pytest.mark.parametrize("before", ["native", "frr", "frr-k8s"])
@pytest.mark.parametrize("after", ["native", "frr", "frr-k8s", ""])
async def test_5_a_switch_of_the_backend_leaves_nothing_behind(
    cluster: Any,
    restarted: Callable[..., MetalLBOperator],
    metallb: Callable[..., Any],
    before: str,
    after: str,
) -> None:
    operator = restarted(deployable=ALL_BACKENDS)
    cluster.put(metallb(bgp_backend=after))
    await settle(cluster, operator)
    expected = {key: found["applied"] for key, found in cluster.objects.items()}
    cluster.put(metallb(bgp_backend=before))
    await settle(cluster, operator)
    cluster.put(metallb(bgp_backend=after))
    await settle(cluster, operator)
    assert {key: found["applied"] for key, found in cluster.objects.items()} == expected
    assert cluster.conditions()["Available"].status == "True"


async def test_6_monitors_and_policies_that_are_turned_off_go(
    cluster: Any, restarted: Callable[..., MetalLBOperator], metallb: Callable[..., Any]
) -> None:
    cluster.put(metallb())
    await settle(cluster, restarted(monitors="service"))
    kinds = ("NetworkPolicy", "Service", "ServiceMonitor", "PrometheusRule")
    assert all(names(cluster, kind) for kind in kinds)
    await settle(cluster, restarted(network_policies=False))
    assert not any(names(cluster, kind) for kind in kinds)


class TestClusterScoped:
    """7: nothing collects a cluster-scoped object whose owner is in a namespace."""

    KINDS = ("ValidatingWebhookConfiguration", "SecurityContextConstraints")

    @pytest.fixture
    async def with_both(
        self, cluster: Any, restarted: Callable[..., MetalLBOperator], metallb: Callable[..., Any]
    ) -> MetalLBOperator:
        operator = restarted(deployable=ALL_BACKENDS, openshift=True)
        cluster.put(metallb(bgp_backend="frr-k8s"))
        await settle(cluster, operator)
        assert all(names(cluster, kind) for kind in self.KINDS)
        return operator

    def is_clean(self, cluster: Any) -> bool:
        return not any(names(cluster, kind) for kind in self.KINDS)

    async def test_they_go_with_the_resource(self, cluster: Any, with_both: MetalLBOperator) -> None:
        cluster.resources.clear()
        cluster.deliver()
        assert await run(with_both) == Done()
        assert self.is_clean(cluster)

    async def test_they_go_when_it_went_while_nobody_looked(
        self, cluster: Any, with_both: MetalLBOperator, restarted: Callable[..., MetalLBOperator]
    ) -> None:
        cluster.resources.clear()
        cluster.deliver()
        assert await run(restarted(openshift=True)) == Done()
        assert self.is_clean(cluster)

    async def test_they_go_first_in_a_deletion_in_the_foreground(
        self, cluster: Any, with_both: MetalLBOperator, metallb: Callable[..., Any]
    ) -> None:
        cluster.put(metallb(bgp_backend="frr-k8s", deleted="2026-01-01T00:00:00Z"))
        cluster.deliver()
        assert await run(with_both) == Done()
        assert self.is_clean(cluster)
        assert names(cluster, "DaemonSet") == {"speaker", "frr-k8s"}, "left to garbage collection"

    async def test_those_of_another_operator_stay(
        self, cluster: Any, with_both: MetalLBOperator, restarted: Callable[..., MetalLBOperator]
    ) -> None:
        cluster.resources.clear()
        cluster.deliver()
        assert await run(restarted(namespace="elsewhere")) == Done()
        assert not self.is_clean(cluster)

    async def test_a_resource_of_another_name_that_goes_takes_nothing_along(
        self, cluster: Any, with_both: MetalLBOperator
    ) -> None:
        assert await run(with_both, "other") == Done()
        assert not self.is_clean(cluster)


async def test_15_kinds_that_the_cluster_lacks_hold_nothing_up_and_follow_when_they_come(
    cluster: Any, restarted: Callable[..., MetalLBOperator], metallb: Callable[..., Any]
) -> None:
    others: Any = cluster.stores.others
    absent = {kind: others.pop(kind) for kind in (SERVICE_MONITORS, PROMETHEUS_RULES)}
    operator = restarted(monitors="service")
    cluster.put(metallb())
    await settle(cluster, operator)
    assert cluster.conditions()["Available"].status == "True"
    assert names(cluster, "ServiceMonitor") == set()
    others.update(absent)
    await settle(cluster, operator)
    assert names(cluster, "ServiceMonitor") == {"controller-monitor", "speaker-monitor"}
    assert names(cluster, "PrometheusRule") == {"metallb-alerts"}


async def test_21_an_image_of_frr_is_needed_by_frr_only(
    cluster: Any, restarted: Callable[..., MetalLBOperator], metallb: Callable[..., Any]
) -> None:
    cluster.put(metallb())
    await settle(cluster, restarted(frr_image=""))
    assert cluster.conditions()["Available"].status == "True"


class TestInvalid:
    """22: an invalid resource that got in past the webhook leaves upstream's status as it was."""

    async def test_it_is_degraded_with_all_reasons_and_what_runs_goes_on(
        self, cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
    ) -> None:
        cluster.put(metallb())
        await settle(cluster, operator)
        cluster.put(metallb(bgp_backend="bird", log_level="debug"))
        cluster.deliver()
        assert await run(operator) == Done()
        assert cluster.taken() == ["status metallb"]
        degraded = cluster.conditions()["Degraded"]
        assert degraded.reason == INVALID
        assert degraded.message == (
            "MetalLB metallb-system/metallb: spec.bgpBackend: 'bird' must be one of "
            "native, frr, frr-k8s, frr-k8s-external; what runs goes on"
        )
        assert cluster.warnings == [(INVALID, degraded.message)]

    async def test_once_mended_it_goes_on(
        self, cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
    ) -> None:
        cluster.put(metallb(bgp_backend="bird"))
        cluster.deliver()
        await run(operator)
        assert cluster.objects == {}
        cluster.put(metallb())
        await settle(cluster, operator)
        assert cluster.conditions()["Available"].status == "True"


class TestIPFailover:
    """W0: it is noticed and told, in a condition and an event, and nothing is installed beside it."""

    async def test_nothing_is_installed_until_it_is_gone(
        self, cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
    ) -> None:
        cluster.put_failover()
        cluster.put(metallb())
        cluster.deliver()
        assert await run(operator) == Done()
        assert cluster.objects == {}
        degraded = cluster.conditions()["Degraded"]
        assert degraded.reason == FAILOVER
        assert "kubectl delete deployment ipfailover -n default" in degraded.message
        assert cluster.warnings == [(FAILOVER, degraded.message)]
        cluster.remove_failover()
        await settle(cluster, operator)
        assert cluster.conditions()["Available"].status == "True"

    async def test_what_runs_goes_on_and_is_kept_as_it_should_be(
        self, cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]
    ) -> None:
        cluster.put(metallb())
        await settle(cluster, operator)
        cluster.put_failover()
        cluster.edit("DaemonSet", "speaker")
        cluster.deliver()
        await run(operator)
        assert "apply DaemonSet/speaker" in cluster.taken()
        degraded = cluster.conditions()["Degraded"]
        assert (degraded.reason, degraded.status) == (FAILOVER, "True")
        assert degraded.message.endswith("what runs goes on")
        cluster.remove_failover()
        await settle(cluster, operator)
        assert cluster.conditions()["Available"].status == "True"


def test_17_policies_of_the_manifests_select_pods_of_ours_only(manifests: list[dict[str, Any]]) -> None:
    """A default-deny would cut off whoever shares the namespace; `control-plane` is a label of many operators."""
    policies = [each for each in manifests if each["kind"] == NETWORK_POLICIES.kind]
    templates = [each["spec"]["template"]["metadata"]["labels"] for each in manifests if each["kind"] == "Deployment"]
    assert {each["metadata"]["name"] for each in policies} == {"operator", "webhook-service"}
    for each in policies:
        chosen = each["spec"]["podSelector"]["matchLabels"]
        assert "metallb" in chosen.get("app", "") + chosen.get("app.kubernetes.io/name", "")
        assert sum(chosen.items() <= labels.items() for labels in templates) == 1


def test_the_webhooks_service_selects_the_operators_pods_only(manifests: list[dict[str, Any]]) -> None:
    service = next(each for each in manifests if each["metadata"]["name"] == "metallb-operator-webhook-service")
    assert service["spec"]["selector"]["app.kubernetes.io/name"] == "metallb-operator"


def test_there_is_a_store_for_each_kind_without_a_namespace(cluster: Any) -> None:
    assert {SECURITY_CONTEXT_CONSTRAINTS, VALIDATING_WEBHOOK_CONFIGURATIONS} <= cluster.stores.kinds()


@pytest.fixture
def manifests(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What `kubectl apply -k manifests` applies, but for what is for choice."""
    folder = request.config.rootpath / "manifests"
    files = [*folder.glob("*.yaml"), *(folder / "rbac").glob("*.yaml")]
    return [each for file in files for each in yaml.safe_load_all(file.read_text()) if "metadata" in each]
