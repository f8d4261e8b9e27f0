"""Runs the Deployment decision for each deployment when it, its replica sets or its last pods change."""

from __future__ import annotations

from kubelab.apiclient import ApiFailure
from kubelab.controllers.decide import deployment as decisions
from kubelab.controllers.decide.deployment_status import create_failed
from kubelab.controllers.decide.ownership import claim, controller_uid
from kubelab.controllers.decide.resources import DEPLOYMENTS, PODS, REPLICA_SETS
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


class Deployments:
    """The Deployment controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pods = context.informers.of(PODS)
        self._replica_sets = context.informers.of(REPLICA_SETS)
        self._deployments = context.informers.of(DEPLOYMENTS)
        self._queue: WorkQueue[Key] = WorkQueue()
        self._deployments.add_index(_NAMESPACE, lambda obj: [str(obj["metadata"]["namespace"])])
        self._deployments.subscribe(self._deployment_changed)
        self._replica_sets.subscribe(self._replica_set_changed)
        self._pods.subscribe(self._pod_changed)

    async def run(self) -> None:
        """Work until cancelled."""
        await work("deployment", self._queue, self._sync, _WORKERS)

    def _deployment_changed(self, _kind: EventKind, _old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def _replica_set_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        for key in owner_keys("Deployment", old, new):
            self._queue.add(key)
        if new is not None and not controller_uid(new):
            for deployment in self._deployments.by_index(_NAMESPACE, new["metadata"]["namespace"]):
                if matches(deployment["spec"].get("selector"), labels_of(new)):
                    self._queue.add(key_of(deployment))

    def _pod_changed(self, kind: EventKind, old: Object | None, _new: Object | None) -> None:
        """Only the strategy Recreate waits for pods themselves, and only for their end."""
        if kind != "DELETED":
            return
        for key in owner_keys("ReplicaSet", old):
            replica_set = self._replica_sets.store.get(key)
            for owner in owner_keys("Deployment", replica_set):
                self._queue.add(owner)

    async def _sync(self, key: Key) -> float | None:
        deployment = self._deployments.store.get(key)
        if deployment is None or self._context.is_leaving(key[0]):
            return None
        hands = self._context.hands
        claimed = claim(deployment, candidates(self._replica_sets, deployment), REPLICA_SETS)
        if claimed.writes:
            await hands.carry_out(claimed.writes)
            return 0.0
        pods = {rs["metadata"]["name"]: self._pods.by_index(OWNER, rs["metadata"]["uid"]) for rs in claimed.owned}
        decision = decisions.decide(deployment, claimed.owned, decisions.count_running(pods), clock.now())
        try:
            await hands.carry_out(decision.writes)
        except RefusedError as refused:
            if isinstance(refused.write, Create):
                await self._explain(deployment, refused.write.obj, refused.failure)
            raise
        return decision.again_s

    async def _explain(self, deployment: Object, wanted: Object, failure: ApiFailure) -> None:
        """A replica set could not be made: its name is taken, or the server says why in the deployment's status."""
        name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
        if failure.already_exists:
            existing = await self._context.hands.client.get(REPLICA_SETS, name, namespace)
            write = decisions.name_taken(deployment, existing, wanted)
            if write is not None:
                await self._context.hands.carry_out([write])
        elif not failure.unreachable:
            await self._context.hands.carry_out([create_failed(deployment, name, failure.message, clock.now())])
