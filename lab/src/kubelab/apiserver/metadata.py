"""Object metadata: what the server sets, what a client may not change, and its rules.

Source: apiserver `registry/rest` (BeforeCreate, BeforeUpdate), apimachinery `api/validation/objectmeta`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.annotations import annotation_errors
from kubelab.apiserver.builtin.selectors import label_errors
from kubelab.apiserver.errors import FieldError, bad_request
from kubelab.apiserver.resources import ResourceInfo, Strategy
from kubelab.objects import Object

_SERVER_OWNED: Final = ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_GENERATED: Final = 63 - 5
_FINALIZERS: Final = frozenset({"orphan", "foregroundDeletion", "kubernetes"})
_ORDER: Final = (
    "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
    "managedFields",
)  # fmt: skip
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


def tidy(obj: Object) -> None:
    """Give an object metadata of its own, in the server's order of fields and without empty ones."""
    given = obj.get("metadata") or {}
    obj["metadata"] = {name: given[name] for name in _ORDER if name in given and given[name] not in _EMPTY}


def place_new(obj: Object, resource: ResourceInfo, namespace: str) -> None:
    """Put a new object where its request's path says.

    Raises:
        ApiError: 400, the object says otherwise.
    """
    metadata = obj["metadata"]
    wanted = namespace if resource.namespaced else ""
    if metadata.get("namespace", wanted) != wanted:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if wanted:
        metadata["namespace"] = wanted


def place(obj: Object, resource: ResourceInfo, namespace: str, name: str) -> None:
    """The same for an object that is named by the path.

    Raises:
        ApiError: 400, the object says otherwise.
    """
    metadata = obj["metadata"]
    said = metadata.get("name", "")
    if not said:
        raise bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if said != name:
        raise bad_request(f"the name of the object ({said}) does not match the name on the URL ({name})")
    if resource.namespaced and metadata.get("namespace", namespace) != namespace:
        raise bad_request(
            f"the namespace of the object ({metadata['namespace']}) does not match the namespace on the request "
            f"({namespace})"
        )
    place_new(obj, resource, namespace)


def fill(obj: Object, now: str, draw: Callable[[int], int]) -> None:
    """What the server sets on a new object: uid, time of creation, a generated name."""
    metadata = obj["metadata"]
    for name in (*_SERVER_OWNED, "resourceVersion"):
        metadata.pop(name, None)
    metadata["uid"] = str(uuid.UUID(int=draw(1 << 128), version=4))
    metadata["creationTimestamp"] = now
    if metadata.get("generateName") and not metadata.get("name"):
        metadata["name"] = generated_name(metadata["generateName"], draw)


def generated_name(base: str, draw: Callable[[int], int]) -> str:
    """A name with a random suffix of five letters, cut to fit a label."""
    return base[:_LONGEST_GENERATED] + "".join(_SUFFIX[draw(len(_SUFFIX))] for _ in range(5))


def keep(obj: Object, old: Object) -> None:
    """What an update can't change, whatever it says."""
    metadata, before = obj["metadata"], old["metadata"]
    metadata.setdefault("uid", before["uid"])
    for name in ("creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if name in before:
            metadata[name] = before[name]
        else:
            metadata.pop(name, None)
    metadata["resourceVersion"] = before["resourceVersion"]
    tidy(obj)


def content(obj: Object) -> Object:
    """What generations count: everything but metadata and status."""
    return {name: value for name, value in obj.items() if name not in {"kind", "apiVersion", "metadata", "status"}}


def errors_of(obj: Object, resource: ResourceInfo, strategy: Strategy) -> list[FieldError]:
    """Every broken rule of a new object's metadata."""
    metadata = obj["metadata"]
    found: list[FieldError] = []
    syntax: Callable[[str], list[str]] = getattr(strategy, "name_syntax", names.dns_subdomain)
    if metadata.get("generateName"):
        # A suffix will follow: the prefix may end in a dash.
        found += names.syntax_errors("metadata.generateName", metadata["generateName"].rstrip("-") or "-", syntax)
    if not metadata.get("name"):
        found.append(fields.required("metadata.name", "name or generateName is required"))
    else:
        found += names.syntax_errors("metadata.name", metadata["name"], syntax)
    if resource.namespaced:
        found += names.syntax_errors("metadata.namespace", metadata.get("namespace", ""), names.dns_label)
    return found + common_errors(metadata)


def common_errors(metadata: Object) -> list[FieldError]:
    """Rules that hold on create and update."""
    found = label_errors(metadata.get("labels"), "metadata.labels")
    found += annotation_errors(metadata.get("annotations"), "metadata.annotations")
    found += _owner_errors(fields.items(metadata.get("ownerReferences")))
    found += _finalizer_errors(fields.items(metadata.get("finalizers")))
    return found


def _owner_errors(owners: list[Object]) -> list[FieldError]:
    path = "metadata.ownerReferences"
    found: list[FieldError] = []
    controller: Object | None = None
    for owner in owners:
        if not str(owner.get("apiVersion", "")).rpartition("/")[2]:
            found.append(fields.invalid(f"{path}.apiVersion", owner.get("apiVersion", ""), "version must not be empty"))
        found += [
            fields.invalid(f"{path}.{part}", "", "must not be empty")
            for part in ("kind", "name", "uid")
            if not owner.get(part)
        ]
        if owner.get("controller"):
            if controller is not None:
                both = f"{controller['kind']}/{controller['name']} and {owner['kind']}/{owner['name']}"
                sentence = "Only one reference can have Controller set to true. "
                found.append(fields.invalid(path, owners, f'{sentence}Found "true" in references for {both}'))
            controller = controller or owner
    return found


def _finalizer_errors(finalizers: list[str]) -> list[FieldError]:
    found: list[FieldError] = []
    for finalizer in finalizers:
        at = "metadata.finalizers"
        found += [fields.invalid(at, finalizer, sentence) for sentence in names.qualified_name(finalizer)]
        if "/" not in finalizer and finalizer not in _FINALIZERS:
            found.append(
                fields.invalid(at, finalizer, "name is neither a standard finalizer name nor is it fully qualified")
            )
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        found.append(
            fields.invalid(
                "metadata.finalizers", finalizers, "finalizer orphan and foregroundDeletion cannot be both set"
            )
        )
    return found


def update_errors(obj: Object, old: Object) -> list[FieldError]:
    """Every broken rule of changed metadata, including what may not change."""
    metadata, before = obj["metadata"], old["metadata"]
    found: list[FieldError] = []
    if before.get("deletionTimestamp"):
        added = [one for one in fields.items(metadata.get("finalizers")) if one not in before.get("finalizers", ())]
        if added:
            names_ = "[]string{" + ", ".join(f'"{one}"' for one in added) + "}"
            sentence = "no new finalizers can be added if the object is being deleted, found new finalizers "
            found.append(fields.forbidden("metadata.finalizers", sentence + names_))
    for name in ("name", "namespace", "uid"):
        found += fields.immutable(f"metadata.{name}", metadata.get(name, ""), before.get(name, ""))
    return found + common_errors(metadata)
