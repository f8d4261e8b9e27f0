"""ControllerRevisions: the templates a DaemonSet has had, newest last, for `kubectl rollout history` and `undo`."""

from __future__ import annotations

from collections.abc import Sequence

from kubelab.controllers.decide.daemonset import HASH_LABEL
from kubelab.controllers.decide.names import content_hash
from kubelab.controllers.decide.ownership import reference_to
from kubelab.controllers.decide.resources import CONTROLLER_REVISIONS, DAEMON_SETS
from kubelab.controllers.decide.selectors import labels_of
from kubelab.controllers.decide.writes import Create, Decision, Delete, Update, Write
from kubelab.objects import Object


def data_of(daemon_set: Object) -> Object:
    """What a revision keeps: a patch that puts the template back."""
    return {"spec": {"template": daemon_set["spec"]["template"] | {"$patch": "replace"}}}


def digest_of(daemon_set: Object, revisions: Sequence[Object]) -> str:
    """The hash that names the current template: that of its revision if there is one."""
    found = current(daemon_set, revisions)
    if found is not None and labels_of(found).get(HASH_LABEL):
        return labels_of(found)[HASH_LABEL]
    return content_hash(
        daemon_set["spec"]["template"], int((daemon_set.get("status") or {}).get("collisionCount") or 0)
    )


def current(daemon_set: Object, revisions: Sequence[Object]) -> Object | None:
    """The newest revision with the DaemonSet's template."""
    data = data_of(daemon_set)
    same = [revision for revision in revisions if revision.get("data") == data]
    return max(same, key=number, default=None)


def number(revision: Object) -> int:
    """A revision's number."""
    return int(revision.get("revision") or 0)


def keep(daemon_set: Object, revisions: Sequence[Object], used: set[str]) -> Decision:
    """The history with the current template as its newest entry, and no longer than allowed.

    `used` are the hashes of pods that still run: their revisions stay.
    """
    newest = max((number(revision) for revision in revisions), default=0)
    found = current(daemon_set, revisions)
    writes: list[Write] = []
    if found is None:
        writes.append(Create(CONTROLLER_REVISIONS, _made(daemon_set, revisions, newest + 1)))
    elif number(found) < newest:
        writes.append(Update(CONTROLLER_REVISIONS, found | {"revision": newest + 1}))
    old = sorted((revision for revision in revisions if revision is not found), key=number)
    limit = daemon_set["spec"].get("revisionHistoryLimit")
    unused = [revision for revision in old if labels_of(revision).get(HASH_LABEL) not in used]
    surplus = len(unused) - int(10 if limit is None else limit)
    writes += [Delete(CONTROLLER_REVISIONS, revision) for revision in unused[: max(0, surplus)]]
    return Decision(tuple(writes))


def name_taken(daemon_set: Object, existing: Object) -> Write | None:
    """What to do when the new revision's name is taken: nothing if it is the same template's, else another hash."""
    if existing.get("data") == data_of(daemon_set):
        return None
    status = daemon_set.get("status") or {}
    count = int(status.get("collisionCount") or 0) + 1
    return Update(DAEMON_SETS, daemon_set | {"status": status | {"collisionCount": count}}, "status")


def _made(daemon_set: Object, revisions: Sequence[Object], revision: int) -> Object:
    meta = daemon_set["metadata"]
    digest = digest_of(daemon_set, revisions)
    labels = dict((daemon_set["spec"]["template"].get("metadata") or {}).get("labels") or {}) | {HASH_LABEL: digest}
    made_meta: Object = {
        "name": f"{meta['name']}-{digest}",
        "namespace": meta["namespace"],
        "labels": labels,
        "ownerReferences": [reference_to(daemon_set)],
    }
    if meta.get("annotations"):
        made_meta["annotations"] = dict(meta["annotations"])
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": made_meta,
        "data": data_of(daemon_set),
        "revision": revision,
    }
