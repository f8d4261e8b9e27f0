"""Runs the DaemonSet decision for each daemon set when it, its pods or the nodes change."""

from __future__ import annotations

from kubelab.controllers.decide import daemonset, history
from kubelab.controllers.decide.ownership import claim, controller_uid
from kubelab.controllers.decide.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from kubelab.controllers.decide.selectors import labels_of, matches
from kubelab.controllers.decide.writes import Create, Record
from kubelab.controllers.run import clock
from kubelab.controllers.run.context import OWNER, Context, candidates, owner_keys
from kubelab.controllers.run.hands import RefusedError
from kubelab.controllers.run.workqueue import WorkQueue, work
from kubelab.informer import EventKind, Key, key_of
from kubelab.objects import Object

_WORKERS = 4
_NAMESPACE = "namespace"


class DaemonSets:
    """The DaemonSet controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pods = context.informers.of(PODS)
        self._nodes = context.informers.of(NODES)
        self._revisions = context.informers.of(CONTROLLER_REVISIONS)
        self._daemon_sets = context.informers.of(DAEMON_SETS)
        self._queue: WorkQueue[Key] = WorkQueue()
        self._daemon_sets.add_index(_NAMESPACE, lambda obj: [str(obj["metadata"]["namespace"])])
        self._daemon_sets.subscribe(self._daemon_set_changed)
        self._revisions.subscribe(self._owned_changed)
        self._pods.subscribe(self._owned_changed)
        self._nodes.subscribe(self._node_changed)

    async def run(self) -> None:
        """Work until cancelled."""
        await work("daemonset", self._queue, self._sync, _WORKERS)

    def _daemon_set_changed(self, _kind: EventKind, _old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def _owned_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        for key in owner_keys("DaemonSet", old, new):
            self._queue.add(key)
        if new is not None and not controller_uid(new):
            for daemon_set in self._daemon_sets.by_index(_NAMESPACE, new["metadata"]["namespace"]):
                if matches(daemon_set["spec"].get("selector"), labels_of(new)):
                    self._queue.add(key_of(daemon_set))

    def _node_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _placing(old) == _placing(new):
            return
        for key in self._daemon_sets.store:
            self._queue.add(key)

    async def _sync(self, key: Key) -> float | None:
        daemon_set = self._daemon_sets.store.get(key)
        if daemon_set is None or self._context.is_leaving(key[0]):
            return None
        hands = self._context.hands
        pods = claim(daemon_set, candidates(self._pods, daemon_set), PODS)
        revisions = claim(daemon_set, candidates(self._revisions, daemon_set), CONTROLLER_REVISIONS)
        if pods.writes or revisions.writes:
            await hands.carry_out([*pods.writes, *revisions.writes])
            return 0.0
        digest = history.digest_of(daemon_set, revisions.owned)
        if daemon_set["metadata"].get("deletionTimestamp") is None:
            await self._keep_history(daemon_set, revisions.owned, pods.owned)
        nodes = {name: node for (_, name), node in self._nodes.store.items()}
        decision = daemonset.decide(daemon_set, pods.owned, nodes, digest, clock.now())
        try:
            await hands.carry_out(decision.writes)
        except RefusedError as error:
            if isinstance(error.write, Create) and not error.failure.unreachable:
                text = f"Error creating: {error.failure.message}"
                await hands.carry_out([Record(daemon_set, "FailedCreate", text, daemonset.COMPONENT, warning=True)])
            raise
        finally:
            owned = self._pods.by_index(OWNER, daemon_set["metadata"]["uid"])
            daemon_set = self._daemon_sets.store.get(key) or daemon_set
            report = daemonset.report(daemon_set, owned, nodes, digest, clock.now())
            await hands.carry_out(report.writes)
        return report.again_s

    async def _keep_history(self, daemon_set: Object, revisions: list[Object], pods: list[Object]) -> None:
        used = {labels_of(pod).get(daemonset.HASH_LABEL, "") for pod in pods}
        try:
            await self._context.hands.carry_out(history.keep(daemon_set, revisions, used).writes)
        except RefusedError as refused:
            if not isinstance(refused.write, Create) or not refused.failure.already_exists:
                raise
            meta = refused.write.obj["metadata"]
            existing = await self._context.hands.client.get(CONTROLLER_REVISIONS, meta["name"], meta["namespace"])
            write = history.name_taken(daemon_set, existing)
            if write is not None:
                await self._context.hands.carry_out([write])
            raise


def _placing(node: Object) -> tuple[object, ...]:
    """What of a node decides about daemon pods."""
    return labels_of(node), node["spec"].get("taints"), node["spec"].get("unschedulable")
