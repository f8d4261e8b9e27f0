"""One change against everything else: whether it is refused, and what to know beforehand.

Refused is what brings errors that are not there before, and permanent ones: an object that only waits for another one
may come first. So of a set in conflict the later object is refused, and an object that is bad already can be edited as
long as it gets no worse. In all this the object that changes counts as the youngest: it is to blame.
Secrets are not judged (only speakers do, spec/crds.md 10.3, B12): a wrong one is warned of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from metallb.config.build import Snapshot, build
from metallb.config.change import FIELDS, Change, Verdict
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.surroundings import Surroundings
from metallb.config.tables import Tables
from metallb.config.together import Resource
from metallb.config.warnings import bounded, few, foresee

NAMESPACE: Final = "metallb-system"
"""Where MetalLB runs unless told otherwise."""

Errors = tuple[ConfigError, ...]
Search = Callable[[Change, Resource | None], Errors]
"""Finds what is wrong, the waiting included, if the object of a change were this one (None: not there).

It may leave out permanent errors that don't depend on the object.
"""


def judge(snapshot: Snapshot, surroundings: Surroundings, change: Change, *, namespace: str = NAMESPACE) -> Verdict:
    """Judges from scratch, by two builds of everything; `Index` gives the same verdict a thousand times faster.

    Args:
        snapshot: all objects of MetalLB's namespace; whether the one that changes is among them doesn't matter.
        surroundings: what else a change may touch.
        change: what somebody asks for.
        namespace: the one that MetalLB runs in.
    """

    def search(change: Change, resource: Resource | None) -> Errors:
        return build(_with(snapshot, change, resource), change.object).errors

    return decide(change, Tables(snapshot, surroundings), search, namespace)


def decide(change: Change, tables: Tables, search: Search, namespace: str) -> Verdict:
    """The verdict, given the errors; the tables may be before or after the change, and stay so."""
    if change.after is not None and change.after.metadata.deletion_timestamp is not None:
        return Verdict()  # finalizers have to be able to finish, whatever it looks like
    if change.namespace != namespace:
        return _elsewhere(change, namespace)
    if change.after is None:
        in_use = _in_use(change, tables)
        return Verdict(in_use) if in_use else Verdict((), bounded(foresee(tables, change)))
    errors = search(change, change.after)
    wrong = [error for error in errors if refuses(error)]
    if wrong:
        known = set(search(change, change.before))
        if new := tuple(error for error in wrong if error not in known):
            return Verdict(new)
    waiting = [str(error) for error in errors if not refuses(error) and error.object == change.object]
    return Verdict((), bounded([*waiting, *foresee(tables, change)]))


def _with(snapshot: Snapshot, change: Change, resource: Resource | None) -> Snapshot:
    field = FIELDS[change.kind]
    others = [each for each in getattr(snapshot, field) if each.metadata.name != change.name]
    fields: dict[str, Any] = {field: others if resource is None else [*others, resource]}
    return replace(snapshot, secrets=None, **fields)


def refuses(error: ConfigError) -> bool:
    """Whether an error is more than waiting. What has a colon is meant to be a community, no name (spec/crds.md 11)."""
    return not error.transient or (error.field.startswith("spec.communities[") and ":" in error.value)


def _elsewhere(change: Change, namespace: str) -> Verdict:
    """Objects outside of MetalLB's namespace count for nothing: nobody shall wait for them to work."""
    if change.after is None:
        return Verdict()
    hint = f"create it in namespace {namespace}"
    if change.before is None:
        rule = f"is not the namespace of MetalLB, {namespace}: the object would have no effect"
        return Verdict((ConfigError(change.object, "metadata.namespace", change.namespace, rule, hint),))
    return Verdict((), bounded([f"{change.object}: it has no effect outside of namespace {namespace}; {hint}"]))


def _in_use(change: Change, tables: Tables) -> Errors:
    """A BFDProfile stays as long as a BGPPeer names it (spec/crds.md 11)."""
    if change.kind != "BFDProfile":
        return ()
    users = sorted(tables.using_profile(change.name))
    if not users:
        return ()
    peers = tuple(ObjectName("BGPPeer", change.namespace, each) for each in users)
    rule = f"is the profile of {'BGPPeer' if len(users) == 1 else 'BGPPeers'} {few(users)}"
    return (ConfigError(change.object, "metadata.name", change.name, rule, "take it out of their bfdProfile", peers),)
