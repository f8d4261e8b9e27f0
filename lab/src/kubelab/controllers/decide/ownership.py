"""Who controls whom: owner references, adoption of what matches, release of what no longer does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kubelab.controllers.decide.selectors import labels_of, matches
from kubelab.controllers.decide.writes import Patch
from kubelab.objects import Object
from kubelab.resource import Resource


def reference_to(owner: Object) -> Object:
    """The owner reference that a controller puts on what it makes."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Object) -> Object | None:
    """The reference to an object's controller, if it has one."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            found: Object = reference
            return found
    return None


def controller_uid(obj: Object) -> str:
    """The uid of an object's controller; empty if it has none."""
    reference = controller_of(obj)
    return str(reference["uid"]) if reference else ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an owner has now, and the writes that bring it about: adoptions and releases."""

    owned: list[Object]
    writes: tuple[Patch, ...]


def claim(owner: Object, candidates: Iterable[Object], resource: Resource) -> Claim:
    """Sort candidates into owned and not.

    Orphans whose labels match are adopted, owned ones that no longer match are released; an owner on its way out does
    neither.
    """
    owned: list[Object] = []
    writes: list[Patch] = []
    uid, selector = str(owner["metadata"]["uid"]), owner["spec"].get("selector")
    leaving = bool(owner["metadata"].get("deletionTimestamp"))
    for obj in candidates:
        fits, controller = matches(selector, labels_of(obj)), controller_uid(obj)
        if controller == uid and fits:
            owned.append(obj)
        elif controller == uid and not leaving:
            rest = [ref for ref in obj["metadata"]["ownerReferences"] if ref["uid"] != uid]
            writes.append(_with_owners(resource, obj, rest))
        elif not controller and fits and not leaving and not obj["metadata"].get("deletionTimestamp"):
            owners = [*(obj["metadata"].get("ownerReferences") or []), reference_to(owner)]
            writes.append(_with_owners(resource, obj, owners))
            owned.append(obj | {"metadata": obj["metadata"] | {"ownerReferences": owners}})
    return Claim(owned, tuple(writes))


def _with_owners(resource: Resource, obj: Object, owners: list[Object]) -> Patch:
    meta = obj["metadata"]
    change = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], "ownerReferences": owners}
    return Patch(resource, str(meta.get("namespace") or ""), str(meta["name"]), {"metadata": change})
