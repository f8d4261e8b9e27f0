"""Namespaces, accounts and garbage against what a real cluster did."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from kubelab.controllers.decide import accounts, garbage, namespaces
from kubelab.controllers.decide.garbage import Disown, Look, Remove, Unfinalize
from kubelab.controllers.decide.namespaces import Remains
from kubelab.controllers.decide.writes import Create, Decision, Update

NOW = datetime(2026, 11, 23, 22, 40, 0, tzinfo=UTC)


def test_a_namespace_that_waits_says_what_for_as_recorded(deletion: Any, mask: Callable[[Any], Any]) -> None:
    recorded = deletion.obj("namespace terminating, with the reason")
    remains = Remains(resources={"configmaps.": 1}, finalizers={"example.org/f": 1})
    assert namespaces.decide(recorded, remains, NOW) == Decision()
    bare = recorded | {"status": {"phase": "Terminating"}}
    (update,) = namespaces.decide(bare, remains, NOW).writes
    assert isinstance(update, Update)
    assert (update.subresource, mask(update.obj["status"])) == ("status", mask(recorded["status"]))


def test_an_empty_namespace_is_let_go(deletion: Any) -> None:
    recorded = deletion.obj("namespace terminating, with the reason")
    (update,) = namespaces.decide(recorded, Remains(), NOW).writes
    assert isinstance(update, Update)
    assert (update.subresource, update.obj["spec"]) == ("finalize", {"finalizers": []})


def test_a_namespace_that_could_not_be_searched_is_not_let_go(deletion: Any) -> None:
    recorded = deletion.obj("namespace terminating, with the reason")
    (update,) = namespaces.decide(recorded, Remains(discovery_errors=["x/v1: away"]), NOW).writes
    assert isinstance(update, Update)
    assert update.subresource == "status"


def test_a_new_namespace_gets_the_recorded_account_and_certificate(deletion: Any) -> None:
    namespace = deletion.obj("new namespace has")
    recorded = deletion.items("root CA")[0]
    account, certificate = accounts.decide(namespace, None, None, recorded["data"]["ca.crt"]).writes
    assert isinstance(account, Create)
    assert isinstance(certificate, Create)
    assert account.obj["metadata"] == {"name": "default", "namespace": "fresh"}
    assert certificate.obj["data"] == recorded["data"]
    assert certificate.obj["metadata"]["annotations"] == recorded["metadata"]["annotations"]
    assert accounts.decide(namespace, account.obj, recorded, recorded["data"]["ca.crt"]) == Decision()
    (restored,) = accounts.decide(namespace, account.obj, recorded | {"data": {}}, "CA").writes
    assert isinstance(restored, Update)


def obj(uid: str, *owners: str, finalizers: tuple[str, ...] = (), leaving: bool = False, blocks: bool = False) -> Any:
    meta: dict[str, Any] = {"uid": uid, "name": uid}
    if owners:
        meta["ownerReferences"] = [{"uid": owner, "blockOwnerDeletion": blocks} for owner in owners]
    if finalizers:
        meta["finalizers"] = list(finalizers)
    if leaving:
        meta["deletionTimestamp"] = "2026-11-23T22:23:39Z"
    return {"metadata": meta}


@pytest.mark.parametrize(
    ("it", "states", "dependents", "action"),
    [
        (obj("a"), {}, [], None),
        (obj("a", "o"), {"o": "alive"}, [], None),
        (obj("a", "o"), {"o": "absent"}, [], Remove("Background")),
        (obj("a", "o", finalizers=("orphan",)), {"o": "absent"}, [], Remove("Orphan")),
        (obj("a", "o"), {"o": "waiting"}, [], Remove("Background")),
        (obj("a", "o"), {"o": "waiting"}, [obj("b", "a", blocks=True)], Remove("Foreground")),
        (obj("a", "o", "p"), {"o": "absent", "p": "alive"}, [], Disown(frozenset({"o"}))),
        (obj("a", "o", "p"), {"o": "waiting", "p": "alive"}, [], Disown(frozenset({"o"}))),
        (obj("a", "o", leaving=True), {"o": "absent"}, [], None),
        (obj("a", finalizers=("foregroundDeletion",), leaving=True), {}, [], Unfinalize("foregroundDeletion")),
        (
            obj("a", finalizers=("foregroundDeletion",), leaving=True),
            {},
            [obj("b", "a")],
            Unfinalize("foregroundDeletion"),
        ),
        (obj("a", finalizers=("foregroundDeletion",), leaving=True), {}, [obj("b", "a", blocks=True)], Look(("b",))),
        (obj("a", finalizers=("orphan",), leaving=True), {}, [obj("b", "a")], Look(("b",))),
        (obj("a", finalizers=("orphan",), leaving=True), {}, [], Unfinalize("orphan")),
    ],
)
def test_what_becomes_of_an_object(it: Any, states: dict[str, Any], dependents: list[Any], action: Any) -> None:
    assert garbage.judge(it, lambda ref: states[ref["uid"]], dependents) == action


def test_an_owner_of_the_same_name_in_another_life_is_absent() -> None:
    assert garbage.presence(obj("new"), "old") == "absent"
    assert garbage.presence(None, "old") == "absent"
    assert garbage.presence(obj("old", leaving=True), "old") == "alive"
    assert garbage.presence(obj("old", leaving=True, finalizers=("foregroundDeletion",)), "old") == "waiting"


def test_dependents_of_an_owner_that_leaves_orphans_are_let_go() -> None:
    leaving = obj("o", finalizers=("orphan",), leaving=True)
    assert garbage.orphaned([leaving, obj("p")]) == Disown(frozenset({"o"}))
    assert garbage.orphaned([obj("p")]) is None
