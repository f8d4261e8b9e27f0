"""What every controller of the process is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kubelab.controllers.decide.ownership import controller_of, controller_uid
from kubelab.controllers.decide.pods import is_deleting, node_of
from kubelab.controllers.decide.resources import CONTROLLER_REVISIONS, NAMESPACES, PODS, REPLICA_SETS
from kubelab.controllers.decide.scheduling import is_waiting
from kubelab.controllers.decide.selectors import labels_of
from kubelab.controllers.run.hands import Hands
from kubelab.controllers.run.informers import Informers
from kubelab.informer import Informer, Key
from kubelab.objects import Object

OWNER, ORPHANS, NODE, LABEL, WAITING = "owner", "orphans", "node", "label", "waiting"


@dataclass(frozen=True, slots=True)
class Context:
    """Shared copies, hands that write, and the cluster's CA certificate (PEM)."""

    informers: Informers
    hands: Hands
    scheduler_hands: Hands
    ca: str

    def is_leaving(self, namespace: str) -> bool:
        """Whether a namespace is on its way out: nothing new can be made in it."""
        found = self.informers.of(NAMESPACES).get("", namespace)
        return found is not None and is_deleting(found)


def add_indexes(informers: Informers) -> None:
    """Make pods, replica sets and revisions findable by owner, pods also by node and label."""
    for resource in (PODS, REPLICA_SETS, CONTROLLER_REVISIONS):
        informer = informers.of(resource)
        informer.add_index(OWNER, lambda obj: [uid] if (uid := controller_uid(obj)) else [])
        informer.add_index(ORPHANS, lambda obj: [] if controller_uid(obj) else [str(obj["metadata"]["namespace"])])
    pods = informers.of(PODS)
    pods.add_index(NODE, lambda pod: [node_of(pod)] if node_of(pod) else [])
    pods.add_index(LABEL, label_keys)
    pods.add_index(WAITING, lambda pod: [WAITING] if is_waiting(pod) else [])


def label_keys(obj: Object) -> list[str]:
    """Each label of an object as a key of an index, its namespace in front."""
    namespace = obj["metadata"].get("namespace") or ""
    return [f"{namespace}/{key}={value}" for key, value in labels_of(obj).items()]


def candidates(informer: Informer, owner: Object) -> list[Object]:
    """What an owner may claim: what it controls, and what nobody controls in its namespace."""
    meta = owner["metadata"]
    return informer.by_index(OWNER, meta["uid"]) + informer.by_index(ORPHANS, meta["namespace"])


def owner_keys(kind: str, *objects: Object | None) -> Iterable[Key]:
    """The keys of the controllers of a kind, of an object before and after a change."""
    for obj in objects:
        reference = controller_of(obj) if obj is not None else None
        if obj is not None and reference is not None and reference["kind"] == kind:
            yield str(obj["metadata"]["namespace"]), str(reference["name"])
