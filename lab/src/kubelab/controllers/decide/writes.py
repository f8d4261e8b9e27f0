"""What a decision may ask for, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from kubelab.objects import Json, Object
from kubelab.resource import PatchKind, Resource


@dataclass(frozen=True, slots=True)
class Record:
    """An event about an object. `action` is set by those who report in the events.k8s.io manner (the scheduler)."""

    about: Object
    reason: str
    message: str
    component: str
    warning: bool = False
    action: str = ""


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object; then say so. A name that is taken is an error unless `or_exists`.

    `{name}` in the messages of `then` stands for the name that the API server has given it.
    """

    resource: Resource
    obj: Object
    then: tuple[Record, ...] = ()
    or_exists: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """Replace an object, or its subresource, if nobody wrote since the version in it."""

    resource: Resource
    obj: Object
    subresource: str = ""
    then: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Patch:
    """Patch an object or its subresource."""

    resource: Resource
    namespace: str
    name: str
    patch: Json
    kind: PatchKind = PatchKind.MERGE
    subresource: str = ""
    then: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete this very object (its uid is a precondition). One that is gone already is no error.

    With `exact` its resource version is a precondition too: whoever changed it meanwhile saves it.
    """

    resource: Resource
    obj: Object
    then: tuple[Record, ...] = ()
    propagation: str = ""
    grace_period_s: int | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Bind:
    """Assign a pod to a node."""

    pod: Object
    node: str
    then: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Together:
    """Writes that do not depend on each other."""

    writes: tuple[Write, ...]


Write: TypeAlias = Record | Create | Update | Patch | Delete | Bind | Together


@dataclass(frozen=True, slots=True)
class Decision:
    """Writes in order, and when to look again though nothing changed (seconds from now; None: never)."""

    writes: tuple[Write, ...] = ()
    again_s: float | None = None


NOTHING = Decision()


def changed(resource: Resource, old: Object, new: Object, subresource: str = "") -> tuple[Update, ...]:
    """An update if there is a difference, else nothing."""
    return () if old == new else (Update(resource, new, subresource),)


def soonest(*times: float | None) -> float | None:
    """The earliest of some waits."""
    known = [time for time in times if time is not None]
    return min(known) if known else None
