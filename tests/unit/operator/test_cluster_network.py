"""FRR-K8s by OpenShift's network operator: waited for while that is too old, asked for once, beside what others want."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from metallb.kube.answers import ListPage
from metallb.kube.errors import ConflictError
from metallb.kube.objects import Key
from metallb.kube.reconciler import Again, Done
from metallb.kube.resources import CLUSTER_OPERATORS, NETWORKS
from metallb.operator import cluster_network
from metallb.operator.cluster_network import (
    LOOK_AGAIN_S,
    TRIES,
    UNKNOWN,
    ClusterOperator,
    Network,
    ask,
    hindrance,
    precedence,
    request,
)
from metallb.operator.conditions import Degraded, Progressing
from metallb.operator.main import installation_of
from metallb.operator.settings import OperatorSettings

MINIMUM = "4.17.0-0"
Json = Any


def operator(*versions: str, name: str = "operator") -> ClusterOperator:
    body = {
        "status": {
            "versions": [{"name": "other", "version": "9.9.9"}, *({"name": name, "version": v} for v in versions)]
        }
    }
    return msgspec.convert(body, ClusterOperator)


def network(*providers: str, version: str = "7") -> Network:
    spec = {"additionalRoutingCapabilities": {"providers": providers}} if providers else {}
    return msgspec.convert({"metadata": {"name": "cluster", "resourceVersion": version}, "spec": spec}, Network)


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("4.17.0", True),
        ("4.17.0-0.nightly-2024-08-01-000000", True),
        ("4.17.0-0", True),
        ("4.17.0-rc.1", True),
        ("4.18.0-0.nightly", True),
        ("5.0.0", True),
        ("4.16.0", False),
        ("4.16.99+build", False),
        ("v4.16.3-rc.1", False),
    ],
)
def test_nightly_builds_count(version: str, *, enough: bool) -> None:
    found = hindrance(operator(version), MINIMUM)
    assert (found is None) is enough
    if found is not None:
        assert isinstance(found, Progressing)
        assert version in found.message
        assert MINIMUM in found.message


def test_versions_are_compared_as_semver_says() -> None:
    names = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    found = [precedence(each) for each in (*names, "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0")]
    assert found == sorted(each for each in found if each is not None)
    assert precedence("4.17") is None


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, 'failed to find "operator" in network operator versions'),
        (operator(), 'failed to find "operator" in network operator versions'),
        (operator("4.17.0", name="operand"), 'failed to find "operator" in network operator versions'),
        (operator("latest"), "'latest'"),
    ],
)
def test_a_version_that_can_not_be_known_is_told(found: ClusterOperator | None, text: str) -> None:
    told = hindrance(found, MINIMUM)
    assert isinstance(told, Degraded)
    assert told.reason == UNKNOWN
    assert text in told.message


def test_without_a_minimum_any_version_does() -> None:
    assert hindrance(operator("0.0.1"), "") is None


@pytest.mark.parametrize(("before", "after"), [((), ["FRR"]), (("Other",), ["Other", "FRR"])])
def test_frr_is_asked_for_beside_what_others_ask_for(before: tuple[str, ...], after: list[str]) -> None:
    assert request(network(*before)) == {
        "metadata": {"resourceVersion": "7"},
        "spec": {"additionalRoutingCapabilities": {"providers": after}},
    }
    assert request(network(*after)) is None


class Cluster:
    """One ClusterOperator, one Network; the first writes fail."""

    def __init__(self, version: str, conflicts: int = 0, *, has_network: bool = True) -> None:
        self.version, self.conflicts, self.has_network = version, conflicts, has_network
        self.written: list[Json] = []

    async def list(self, resource: Any, *, field_selector: str, **_options: Any) -> ListPage[Any]:
        if resource == CLUSTER_OPERATORS:
            assert field_selector == "metadata.name=network"
            return ListPage([operator(self.version)], "1")
        assert (resource, field_selector) == (NETWORKS, "metadata.name=cluster")
        return ListPage([network(version=str(self.conflicts))] if self.has_network else [], "1")

    async def merge_patch(self, _resource: Any, _name: str, patch: Json, **_options: Any) -> None:
        if self.conflicts:
            self.conflicts -= 1
            raise ConflictError("PATCH", "changed", code=409)
        self.written.append(patch)


async def test_an_old_network_operator_is_asked_for_nothing() -> None:
    cluster: Any = Cluster("4.16.0")
    assert isinstance(await ask(cluster, MINIMUM), Progressing)
    assert cluster.written == []


async def test_whoever_writes_at_the_same_time_loses_nothing() -> None:
    cluster: Any = Cluster("4.17.0", conflicts=TRIES - 1)
    assert await ask(cluster, MINIMUM) is None
    assert [each["metadata"]["resourceVersion"] for each in cluster.written] == ["0"]
    with pytest.raises(ConflictError):
        await ask(Cluster("4.17.0", conflicts=TRIES), MINIMUM)  # type: ignore[arg-type]


async def test_a_cluster_without_a_network_says_so() -> None:
    found = await ask(Cluster("4.17.0", has_network=False), MINIMUM)  # type: ignore[arg-type]
    assert isinstance(found, Degraded)


class TestOperator:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[Progressing | None]:
        """What the network operator answers, one after the other."""
        answers: list[Progressing | None] = [Progressing("too old"), None]

        async def answer(_client: object, minimum: str) -> Progressing | None:
            assert minimum == MINIMUM
            return answers.pop(0)

        monkeypatch.setattr(cluster_network, "ask", answer)
        return answers

    async def test_nothing_is_applied_until_it_is_new_enough_and_then_it_is_not_asked_again(
        self,
        cluster: Any,
        restarted: Callable[..., Any],
        metallb: Callable[..., Any],
        asked: list[Progressing | None],
    ) -> None:
        made = restarted(
            deployable=("native", "frr-k8s-external"),
            openshift=True,
            network_operator=MINIMUM,
            frrk8s_namespace="openshift-frr-k8s",
        )
        cluster.put(metallb(bgp_backend="frr-k8s-external"))
        cluster.deliver()
        key = Key("metallb-system", "metallb")
        assert await made._reconcile(key) == Again(LOOK_AGAIN_S)
        assert cluster.objects == {}
        assert cluster.conditions()["Progressing"].message == "too old"
        cluster.deliver()
        assert await made._reconcile(key) == Done()
        assert ("DaemonSet", "speaker") in cluster.objects
        cluster.deliver()
        assert await made._reconcile(key) == Done()
        assert asked == []

    async def test_other_backends_and_clusters_do_not_ask(
        self, cluster: Any, restarted: Callable[..., Any], metallb: Callable[..., Any], asked: list[Progressing | None]
    ) -> None:
        key = Key("metallb-system", "metallb")
        cluster.put(metallb())
        cluster.deliver()
        assert await restarted(openshift=True, network_operator=MINIMUM)._reconcile(key) == Done()
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("fields", "openshift", "minimum"),
    [
        ({}, True, None),
        ({"deploy_frrk8s_from_cno": True}, False, None),
        ({"deploy_frrk8s_from_cno": True}, True, ""),
        ({"deploy_frrk8s_from_cno": True, "cno_min_frrk8s_version": MINIMUM}, True, MINIMUM),
        ({"cno_min_frrk8s_version": MINIMUM}, True, None),
    ],
)
def test_it_is_for_openshift_and_only_where_it_is_wanted(fields: Json, minimum: str | None, *, openshift: bool) -> None:
    settings = OperatorSettings(namespace="n", controller_image="c", speaker_image="s", **fields)
    assert installation_of(settings, openshift=openshift).network_operator == minimum
