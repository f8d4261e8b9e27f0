"""A deployment's replica sets as a history: which one is current, its revision, annotations, clean-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kubelab.controllers.decide.names import content_hash
from kubelab.controllers.decide.ownership import reference_to
from kubelab.controllers.decide.rollout import Limits, replicas
from kubelab.objects import Object

HASH_LABEL: Final = "pod-template-hash"
REVISION: Final = "deployment.kubernetes.io/revision"
HISTORY: Final = "deployment.kubernetes.io/revision-history"
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
MOST: Final = "deployment.kubernetes.io/max-replicas"

_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        HISTORY,
        DESIRED,
        MOST,
    }
)
_HISTORY_LENGTH = 2000


def annotations_of(obj: Object) -> dict[str, str]:
    """An object's annotations."""
    return dict(obj["metadata"].get("annotations") or {})


def revision_of(obj: Object) -> int:
    """The revision an object carries; 0 if none."""
    text = annotations_of(obj).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def age_order(replica_sets: Sequence[Object]) -> list[Object]:
    """Oldest first."""
    return sorted(replica_sets, key=lambda rs: (rs["metadata"].get("creationTimestamp") or "9", rs["metadata"]["name"]))


def current(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """The replica set with the deployment's template, the oldest if there are several."""
    template = bare_template(deployment["spec"]["template"])
    for replica_set in age_order(replica_sets):
        if bare_template(replica_set["spec"]["template"]) == template:
            return replica_set
    return None


def bare_template(template: Object) -> Object:
    """A pod template without what the controller adds to it, and without empty fields that mean the same as none."""
    meta = {key: value for key, value in (template.get("metadata") or {}).items() if value is not None}
    meta["labels"] = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH_LABEL}
    return template | {"metadata": meta}


def made(deployment: Object, size: int, rule: Limits, revision: int) -> Object:
    """A new replica set for the deployment's template."""
    spec, meta = deployment["spec"], deployment["metadata"]
    template = spec["template"]
    digest = content_hash(template, int((deployment.get("status") or {}).get("collisionCount") or 0))
    labels = dict((template.get("metadata") or {}).get("labels") or {}) | {HASH_LABEL: digest}
    selector = spec["selector"] | {"matchLabels": (spec["selector"].get("matchLabels") or {}) | {HASH_LABEL: digest}}
    made_spec: Object = {
        "replicas": size,
        "selector": selector,
        "template": template | {"metadata": (template.get("metadata") or {}) | {"labels": labels}},
    }
    if spec.get("minReadySeconds"):
        made_spec["minReadySeconds"] = spec["minReadySeconds"]
    annotations = _inherited(deployment) | {REVISION: str(revision)} | scale_annotations(rule)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name']}-{digest}",
            "namespace": meta["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [reference_to(deployment)],
        },
        "spec": made_spec,
    }


def kept(deployment: Object, replica_set: Object, revision: int) -> Object:
    """The current replica set with the deployment's annotations, minReadySeconds and the newest revision.

    A replica set that becomes current again (an undone rollout) gets a new revision and remembers the old ones.
    """
    old = annotations_of(replica_set)
    new = old | _inherited(deployment)
    had = revision_of(replica_set)
    if had < revision:
        new[REVISION] = str(revision)
        if had:
            history = [part for part in old.get(HISTORY, "").split(",") if part]
            new[HISTORY] = _shortened([*history, str(had)])
    out = replica_set
    if new != old:
        out = out | {"metadata": out["metadata"] | {"annotations": new}}
    min_ready_s = deployment["spec"].get("minReadySeconds") or 0
    if (out["spec"].get("minReadySeconds") or 0) != min_ready_s:
        out = out | {"spec": out["spec"] | {"minReadySeconds": min_ready_s}}
    return out


def resized(replica_set: Object, size: int, rule: Limits) -> Object:
    """A replica set of another size, annotated with the deployment's limits at that time."""
    annotations = annotations_of(replica_set) | scale_annotations(rule)
    if replicas(replica_set["spec"]) == size and annotations == annotations_of(replica_set):
        return replica_set
    return replica_set | {
        "metadata": replica_set["metadata"] | {"annotations": annotations},
        "spec": replica_set["spec"] | {"replicas": size},
    }


def scale_annotations(rule: Limits) -> dict[str, str]:
    """How many were wanted, and how many allowed, when a replica set was scaled."""
    return {DESIRED: str(rule.wanted), MOST: str(rule.most)}


def outdated(deployment: Object, old: Sequence[Object]) -> list[Object]:
    """The old replica sets beyond `revisionHistoryLimit`: the oldest revisions, and only those with nothing left."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None:
        return []
    alive = sorted((rs for rs in old if not rs["metadata"].get("deletionTimestamp")), key=revision_of)
    return [rs for rs in alive[: max(0, len(alive) - int(limit))] if _is_empty(rs)]


def _is_empty(replica_set: Object) -> bool:
    status = replica_set.get("status") or {}
    seen = int(status.get("observedGeneration") or 0) >= int(replica_set["metadata"].get("generation") or 0)
    return seen and not status.get("replicas") and replicas(replica_set["spec"]) == 0


def _inherited(deployment: Object) -> dict[str, str]:
    return {key: value for key, value in annotations_of(deployment).items() if key not in _NOT_COPIED}


def _shortened(history: list[str]) -> str:
    while len(",".join(history)) > _HISTORY_LENGTH:
        history = history[1:]
    return ",".join(history)
