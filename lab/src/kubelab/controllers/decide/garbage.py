"""Garbage collection by owner references: who goes with its owner, who holds it up, who is let go.

Source: kubernetes.io "Garbage Collection", finalizers `foregroundDeletion` and `orphan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from kubelab.objects import Object

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

Presence = Literal["alive", "waiting", "absent"]
"""An owner: there; on its way out and waiting for its dependents; gone."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the object, with this propagation."""

    propagation: str


@dataclass(frozen=True, slots=True)
class Disown:
    """Take these owners (uids) out of the object's references."""

    uids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Unfinalize:
    """Take one finalizer off the object: what it stood for is done."""

    finalizer: str


@dataclass(frozen=True, slots=True)
class Look:
    """Nothing to do here, but these dependents want a look (by uid)."""

    uids: tuple[str, ...]


Action = Remove | Disown | Unfinalize | Look | None


def owners_of(obj: Object) -> list[Object]:
    """An object's owner references."""
    return obj["metadata"].get("ownerReferences") or []


def finalizers_of(obj: Object) -> list[str]:
    """An object's finalizers."""
    return obj["metadata"].get("finalizers") or []


def presence(owner: Object | None, uid: str) -> Presence:
    """What an owner reference leads to, given the object of that name (None: there is none)."""
    if owner is None or owner["metadata"].get("uid") != uid:
        return "absent"
    leaving = owner["metadata"].get("deletionTimestamp") and FOREGROUND in finalizers_of(owner)
    return "waiting" if leaving else "alive"


def judge(obj: Object, state: Callable[[Object], Presence], dependents: Sequence[Object]) -> Action:
    """What becomes of an object; `state` tells of each owner reference, `dependents` are the object's own."""
    leaving = bool(obj["metadata"].get("deletionTimestamp"))
    if leaving and ORPHAN in finalizers_of(obj):
        # Its dependents are let go first; each is told by its own turn (see `orphaned`).
        held = tuple(str(child["metadata"]["uid"]) for child in dependents)
        return Look(held) if held else Unfinalize(ORPHAN)
    if leaving and FOREGROUND in finalizers_of(obj):
        return _wait_for(obj, dependents)
    if leaving or not owners_of(obj):
        return None
    found = {str(reference["uid"]): state(reference) for reference in owners_of(obj)}
    alive = {uid for uid, there in found.items() if there == "alive"}
    if alive:
        rest = frozenset(found) - alive
        return Disown(rest) if rest else None
    if "waiting" in found.values() and _blocking(dependents):
        return Remove("Foreground")
    return Remove(_propagation(obj))


def orphaned(owners: Iterable[Object]) -> Disown | None:
    """Which of an object's owners leave it behind on purpose."""
    uids = frozenset(
        str(owner["metadata"]["uid"])
        for owner in owners
        if owner["metadata"].get("deletionTimestamp") and ORPHAN in finalizers_of(owner)
    )
    return Disown(uids) if uids else None


def _wait_for(obj: Object, dependents: Sequence[Object]) -> Action:
    uid = obj["metadata"]["uid"]
    blocking = [
        child
        for child in dependents
        if any(ref["uid"] == uid and ref.get("blockOwnerDeletion") for ref in owners_of(child))
    ]
    if not blocking:
        return Unfinalize(FOREGROUND)
    return Look(tuple(str(child["metadata"]["uid"]) for child in dependents))


def _blocking(dependents: Sequence[Object]) -> bool:
    return any(ref.get("blockOwnerDeletion") for child in dependents for ref in owners_of(child))


def _propagation(obj: Object) -> str:
    """As the object's own finalizers ask; without any its dependents follow in the background."""
    if ORPHAN in finalizers_of(obj):
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers_of(obj) else "Background"
