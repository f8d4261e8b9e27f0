"""Runs the ReplicaSet decision for each replica set when it or its pods change."""

from __future__ import annotations

from kubelab.controllers.decide import replicaset
from kubelab.controllers.decide.ownership import claim, controller_of, controller_uid
from kubelab.controllers.decide.replicaset import Failure
from kubelab.controllers.decide.resources import PODS, REPLICA_SETS
from kubelab.controllers.decide.selectors import labels_of, matches
from kubelab.controllers.decide.writes import Create
from kubelab.controllers.run import clock
from kubelab.controllers.run.context import OWNER, Context, candidates, owner_keys
from kubelab.controllers.run.hands import RefusedError
from kubelab.controllers.run.workqueue import WorkQueue, work
from kubelab.informer import EventKind, Key, key_of
from kubelab.objects import Object

_WORKERS = 8
_NAMESPACE = "namespace"


class ReplicaSets:
    """The ReplicaSet controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pods = context.informers.of(PODS)
        self._replica_sets = context.informers.of(REPLICA_SETS)
        self._queue: WorkQueue[Key] = WorkQueue()
        self._replica_sets.add_index(_NAMESPACE, lambda obj: [str(obj["metadata"]["namespace"])])
        self._replica_sets.subscribe(self._replica_set_changed)
        self._pods.subscribe(self._pod_changed)

    async def run(self) -> None:
        """Work until cancelled."""
        await work("replicaset", self._queue, self._sync, _WORKERS)

    def _replica_set_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        for obj in (new, old):
            if obj is not None:
                self._queue.add(key_of(obj))
                return

    def _pod_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        for key in owner_keys("ReplicaSet", old, new):
            self._queue.add(key)
        if new is not None and not controller_uid(new):
            for replica_set in self._replica_sets.by_index(_NAMESPACE, new["metadata"]["namespace"]):
                if matches(replica_set["spec"].get("selector"), labels_of(new)):
                    self._queue.add(key_of(replica_set))

    async def _sync(self, key: Key) -> float | None:
        replica_set = self._replica_sets.store.get(key)
        if replica_set is None:
            return None
        hands = self._context.hands
        claimed = claim(replica_set, candidates(self._pods, replica_set), PODS)
        if claimed.writes:
            await hands.carry_out(claimed.writes)
            return 0.0
        refused: RefusedError | None = None
        failure: Failure | None = None
        if not self._context.is_leaving(key[0]):
            try:
                related = self._related(replica_set)
                await hands.carry_out(replicaset.scale(replica_set, claimed.owned, related, clock.now()))
            except RefusedError as error:
                refused = error
                if not error.failure.unreachable:
                    reason = "FailedCreate" if isinstance(error.write, Create) else "FailedDelete"
                    failure = Failure(reason, error.failure.message)
                    await hands.carry_out([replicaset.failed(replica_set, failure)])
        owned = self._pods.by_index(OWNER, replica_set["metadata"]["uid"])
        decision = replicaset.report(self._replica_sets.store.get(key) or replica_set, owned, failure, clock.now())
        await hands.carry_out(decision.writes)
        if refused is not None:
            raise refused
        return decision.again_s

    def _related(self, replica_set: Object) -> list[Object]:
        """The pods of all replica sets of the same deployment."""
        if controller_of(replica_set) is None:
            return self._pods.by_index(OWNER, replica_set["metadata"]["uid"])
        found: list[Object] = []
        for sibling in self._replica_sets.by_index(OWNER, controller_uid(replica_set)):
            found += self._pods.by_index(OWNER, sibling["metadata"]["uid"])
        return found
