"""An operator takes over from another one: whose fields become its own, what goes, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from metallb.kube.errors import ConflictError, ForbiddenError, InvalidError, UnauthorizedError
from metallb.kube.objects import Key
from metallb.kube.reconciler import Done, Failed, Outcome
from metallb.kube.resources import CONFIG_MAPS
from metallb.operator.inherited import Entry, Found, FoundMeta, Inherited, claim, inherited, leftovers, union
from metallb.operator.reconciler import CLAIMS, MetalLBOperator

Json = Any
TIME = "2026-01-01T00:00:00Z"


def entry(manager: str, fields: Json, operation: str = "Update", **more: Json) -> Json:
    common = {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1"}
    return common | {"time": TIME, "fieldsV1": fields} | more


def meta(*entries: Json, **fields: Json) -> FoundMeta:
    return msgspec.convert({"name": "x", "resourceVersion": "7", "managedFields": entries, **fields}, FoundMeta)


def owners(**fields: Json) -> Json:
    owner = {"apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "name": "metallb", "uid": "u-1", "controller": True}
    return {"ownerReferences": [owner | fields]}


STATUS = entry("kube-controller-manager", {"f:status": {}}, subresource="status")
REVISION = entry("kube-controller-manager", {"f:metadata": {"f:annotations": {"f:revision": {}}}})
KUBECTL = entry("kubectl-edit", {"f:spec": {"f:paused": {}}})
THEIRS = entry("manager", {"f:spec": {"f:replicas": {}, "f:template": {".": {}}}})
OURS = entry("metallb-operator", {"f:spec": {"f:selector": {}, "f:template": {"f:x": {}}}}, "Apply")


class TestClaim:
    @pytest.mark.parametrize(
        "entries",
        [
            (),
            (OURS, STATUS, KUBECTL),
            (entry("manager", {"f:status": {}}, subresource="status"),),
            (entry("manager", {"f:spec": {}}, "Apply"),),
        ],
        ids=["nobody", "others", "a status", "an apply of another program"],
    )
    def test_fields_of_others_stay_theirs(self, entries: tuple[Json, ...]) -> None:
        assert claim(meta(*entries)) is None

    def test_what_an_operator_wrote_is_as_if_we_had_applied_it(self) -> None:
        patch = claim(meta(KUBECTL, THEIRS, STATUS, REVISION))
        assert patch is not None
        mine = entry("metallb-operator", THEIRS["fieldsV1"], "Apply")
        assert patch == [
            {"op": "replace", "path": "/metadata/managedFields", "value": [mine, KUBECTL, STATUS, REVISION]},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        ]

    def test_it_joins_what_we_applied_ourselves(self) -> None:
        patch = claim(meta(OURS, THEIRS, entry("metallb-operator", {"f:data": {}})))
        assert patch is not None
        (mine,) = patch[0]["value"]
        assert mine["fieldsV1"] == {
            "f:spec": {"f:selector": {}, "f:template": {"f:x": {}, ".": {}}, "f:replicas": {}},
            "f:data": {},
        }

    def test_once_claimed_there_is_nothing_left_to_claim(self) -> None:
        patch = claim(meta(THEIRS, STATUS))
        assert patch is not None
        assert claim(meta(*patch[0]["value"])) is None

    def test_a_union_has_all_paths_and_alters_neither(self) -> None:
        one: Json = {"a": {"b": {}}, "c": {}}
        other: Json = {"a": {"d": {}}, "c": {"e": {}}}
        assert union(one, other) == {"a": {"b": {}, "d": {}}, "c": {"e": {}}}
        assert (one, other) == ({"a": {"b": {}}, "c": {}}, {"a": {"d": {}}, "c": {"e": {}}})

    def test_an_entry_survives_reading_and_writing(self) -> None:
        for each in (STATUS, KUBECTL, OURS):
            assert msgspec.to_builtins(msgspec.convert(each, Entry)) == each


class TestWhose:
    @pytest.mark.parametrize(
        ("fields", "owner"),
        [
            ({}, ""),
            (owners(), "u-1"),
            (owners(uid="u-2"), "u-2"),
            (owners(apiVersion="metallb.io/v1"), "u-1"),
            (owners(controller=False), ""),
            (owners(controller=None), ""),
            (owners(kind="Deployment"), ""),
            (owners(apiVersion="example.org/v1"), ""),
        ],
    )
    def test_an_object_is_an_operators_by_its_controller(self, fields: Json, owner: str) -> None:
        found = list(inherited(CONFIG_MAPS, [Found(meta(**fields))]))
        assert [each.owner for each in found] == ([owner] if owner else [])

    def test_only_what_was_made_for_this_resource_goes(self) -> None:
        every = [
            Inherited(CONFIG_MAPS, meta(name=name, **owners(uid=uid)))
            for name, uid in (("wanted", "u-1"), ("gone", "u-1"), ("anothers", "u-2"))
        ]
        found = leftovers(every, {("ConfigMap", "wanted"), ("Secret", "gone")}, "u-1")
        assert [each.metadata.name for each in found] == ["gone"]


async def run(operator: MetalLBOperator) -> Outcome:
    return await operator._reconcile(Key("metallb-system", "metallb"))


@pytest.fixture
def installed(cluster: Any, operator: MetalLBOperator, metallb: Callable[..., Any]) -> MetalLBOperator:
    """What upstream's operator has left, and nothing done yet."""
    for kind, name in (
        ("DaemonSet", "speaker"),
        ("Deployment", "controller"),
        ("ConfigMap", "metallb-excludel2"),
        ("ConfigMap", "frr-startup"),
        ("DaemonSet", "frr-k8s"),
        ("Secret", "frr-k8s-webhook-server-cert"),
        ("ValidatingWebhookConfiguration", "frr-k8s-validating-webhook-configuration"),
    ):
        cluster.leave(kind, name, managedFields=[THEIRS, STATUS])
    cluster.leave("ConfigMap", "users", uid="", managedFields=[THEIRS])
    cluster.leave("ConfigMap", "of-another-resource", uid="u-2", managedFields=[THEIRS])
    cluster.put(metallb())
    cluster.deliver()
    return operator


GONE = [
    "delete DaemonSet/frr-k8s",
    "delete ConfigMap/frr-startup",
    "delete Secret/frr-k8s-webhook-server-cert",
    "delete ValidatingWebhookConfiguration/frr-k8s-validating-webhook-configuration",
]


class TestTakeOver:
    async def test_claimed_first_then_applied_then_cleared_up(self, cluster: Any, installed: MetalLBOperator) -> None:
        assert await run(installed) == Done()
        assert cluster.taken() == [
            "claim DaemonSet/speaker",
            "claim Deployment/controller",
            "claim ConfigMap/metallb-excludel2",
            "apply ConfigMap/metallb-excludel2",
            "apply NetworkPolicy/controller",
            "apply DaemonSet/speaker",
            "apply Deployment/controller",
            *GONE,
            "status metallb",
        ]
        assert {name for _, name in cluster.left} == {
            *("speaker", "controller", "metallb-excludel2"),
            *("users", "of-another-resource"),
        }

    async def test_it_happens_once(self, cluster: Any, installed: MetalLBOperator) -> None:
        await run(installed)
        cluster.deliver()
        cluster.taken()
        await run(installed)
        assert not [each for each in cluster.taken() if not each.startswith("status")]

    async def test_another_replica_finds_nothing_to_do(
        self, cluster: Any, installed: MetalLBOperator, restarted: Callable[..., MetalLBOperator]
    ) -> None:
        await run(installed)
        cluster.deliver()
        cluster.taken()
        await run(restarted())
        assert not [each for each in cluster.taken() if each.startswith(("claim", "delete"))]

    async def test_what_changes_meanwhile_is_looked_at_again(self, cluster: Any, installed: MetalLBOperator) -> None:
        """A DaemonSet's status moves while it is claimed."""
        await installed._survey()
        cluster.leave("DaemonSet", "speaker", managedFields=[THEIRS, KUBECTL])
        assert await run(installed) == Done()
        assert cluster.taken()[:2] == ["claim DaemonSet/speaker", "claim DaemonSet/speaker"]
        found = cluster.left["DaemonSet", "speaker"].metadata.managed_fields
        assert [(each.manager, each.operation) for each in found] == [
            ("metallb-operator", "Apply"),
            ("kubectl-edit", "Update"),
        ]

    async def test_what_changes_all_the_time_is_left_to_the_queue(
        self, cluster: Any, installed: MetalLBOperator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = 0

        async def conflict(*_args: Any, **_options: Any) -> None:
            nonlocal asked
            asked += 1
            raise ConflictError("PATCH", "changed", code=409)

        monkeypatch.setattr(cluster, "json_patch", conflict)
        outcome = await run(installed)
        assert isinstance(outcome, Failed)
        assert outcome.retry
        assert asked == CLAIMS
        monkeypatch.undo()
        cluster.deliver()
        assert await run(installed) == Done()

    async def test_what_vanishes_meanwhile_is_made_anew(self, cluster: Any, installed: MetalLBOperator) -> None:
        await installed._survey()
        cluster.leave("DaemonSet", "speaker", uid="", managedFields=[THEIRS])
        assert await run(installed) == Done()
        assert cluster.taken().count("claim DaemonSet/speaker") == 1, "it is nobody's any more"

    async def test_nothing_goes_while_something_can_not_be_applied(
        self, cluster: Any, installed: MetalLBOperator
    ) -> None:
        cluster.refused["speaker"] = ForbiddenError("PATCH /x", "no", code=403)
        assert isinstance(await run(installed), Failed)
        assert not [each for each in cluster.taken() if each.startswith("delete")]
        cluster.refused.clear()
        cluster.deliver()
        assert await run(installed) == Done()
        assert [each for each in cluster.taken() if each.startswith("delete")] == GONE

    async def test_a_backend_that_is_not_in_this_version_leaves_all_as_it_is(
        self, cluster: Any, installed: MetalLBOperator, metallb: Callable[..., Any]
    ) -> None:
        cluster.put(metallb(bgp_backend="frr"))
        cluster.deliver()
        before = dict(cluster.left)
        assert await run(installed) == Done()
        assert cluster.taken() == ["status metallb"]
        assert cluster.left == before

    async def test_kinds_that_can_not_be_seen_hold_nothing(
        self, cluster: Any, installed: MetalLBOperator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def forbidden(*_args: Any, **_options: Any) -> None:
            raise ForbiddenError("GET /x", "no", code=403)

        monkeypatch.setattr(cluster, "list", forbidden)
        assert await run(installed) == Done()
        assert not [each for each in cluster.taken() if each.startswith(("claim", "delete"))]

    async def test_credentials_that_are_refused_are_no_answer(
        self, cluster: Any, installed: MetalLBOperator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def unknown(*_args: Any, **_options: Any) -> None:
            raise UnauthorizedError("GET /x", "who?", code=401)

        monkeypatch.setattr(cluster, "list", unknown)
        assert isinstance(await run(installed), Failed)
        monkeypatch.undo()
        cluster.deliver()
        assert await run(installed) == Done()
        assert GONE[0] in cluster.taken()

    async def test_it_is_asked_for_before_there_is_a_resource(self, cluster: Any, operator: MetalLBOperator) -> None:
        """A new installation then waits for nothing."""
        assert await run(operator) == Done()
        assert operator._inherited == []


class TestImmutable:
    """A selector can't be changed: what was made with another one goes first."""

    @pytest.fixture
    def refusing(self, cluster: Any, installed: MetalLBOperator, monkeypatch: pytest.MonkeyPatch) -> MetalLBOperator:
        apply = cluster.apply

        async def picky(resource: Any, name: str, body: Json, **options: Any) -> Any:
            if (resource.kind, name) in cluster.left and name == "speaker":
                cluster.writes.append(f"apply {resource.kind}/{name}")
                text = 'DaemonSet.apps "speaker" is invalid: spec.selector: Invalid value: {}: field is immutable'
                raise InvalidError("PATCH /x", text, code=422, reason="Invalid")
            return await apply(resource, name, body, **options)

        monkeypatch.setattr(cluster, "apply", picky)
        return installed

    async def test_it_is_made_anew(self, cluster: Any, refusing: MetalLBOperator) -> None:
        assert await run(refusing) == Done()
        writes = [each for each in cluster.taken() if each.endswith("DaemonSet/speaker")]
        assert writes == [f"{verb} DaemonSet/speaker" for verb in ("claim", "apply", "delete", "apply")]

    @pytest.mark.parametrize("uid", ["", "u-2"])
    async def test_what_is_not_made_for_this_resource_stays(
        self, cluster: Any, refusing: MetalLBOperator, uid: str
    ) -> None:
        cluster.leave("DaemonSet", "speaker", uid=uid)
        assert isinstance(await run(refusing), Failed)
        assert "delete DaemonSet/speaker" not in cluster.taken()
        assert "field is immutable" in cluster.conditions()["Degraded"].message
