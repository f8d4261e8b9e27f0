"""Runs the scheduling decision: whenever something changed that could matter, all waiting pods, in order."""

from __future__ import annotations

import asyncio
import logging

from kubelab.controllers.decide import fitting, scheduling
from kubelab.controllers.decide.pods import is_deleting, is_terminal, node_of
from kubelab.controllers.decide.resources import NODES, PODS
from kubelab.controllers.decide.scheduling import Placed, Unschedulable
from kubelab.controllers.decide.selectors import labels_of
from kubelab.controllers.run import clock
from kubelab.controllers.run.context import WAITING, Context
from kubelab.controllers.run.hands import RefusedError
from kubelab.informer import EventKind
from kubelab.objects import Object

_RETRY_S = 0.5
_SETTLE_S = 0.02  # changes come in swarms: one round for all of them

_log = logging.getLogger(__name__)


class Scheduler:
    """The scheduler. Pods bound by it count as bound until the watch says so itself."""

    def __init__(self, context: Context) -> None:
        self._hands = context.scheduler_hands
        self._pods = context.informers.of(PODS)
        self._nodes = context.informers.of(NODES)
        self._changed = asyncio.Event()
        self._bound: dict[str, tuple[Object, str]] = {}
        self._busy: set[str] = set()
        self._demands: dict[str, fitting.Demand] = {}
        self._pods.subscribe(self._pod_changed)
        self._nodes.subscribe(self._node_changed)

    async def run(self) -> None:
        """Schedule until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                for pod, outcome in self._round():
                    group.create_task(self._carry_out(pod, outcome))
                await asyncio.sleep(_SETTLE_S)

    def _round(self) -> list[tuple[Object, Placed | Unschedulable]]:
        """One look at all waiting pods; each that is placed takes its room before the next is looked at."""
        waiting = [pod for pod in self._pods.by_index(WAITING, WAITING) if pod["metadata"]["uid"] not in self._busy]
        if not waiting:
            return []
        picture = fitting.Picture.of(self._nodes.store.values(), self._pods.store.values(), self._demands)
        for pod, node in self._bound.values():
            if not node_of(self._pods.get(pod["metadata"]["namespace"], pod["metadata"]["name"]) or pod):
                picture.add(pod, node)
        outcomes = []
        for pod in scheduling.order(waiting):
            outcome = scheduling.choose(pod, picture)
            outcomes.append((pod, outcome))
            self._busy.add(pod["metadata"]["uid"])
            if isinstance(outcome, Placed):
                picture.add(pod, outcome.node)
                self._bound[pod["metadata"]["uid"]] = (pod, outcome.node)
        return outcomes

    async def _carry_out(self, pod: Object, outcome: Placed | Unschedulable) -> None:
        uid = pod["metadata"]["uid"]
        try:
            if isinstance(outcome, Placed):
                await self._hands.carry_out([scheduling.assigned(pod, outcome.node)])
                return  # busy until the watch shows it
            await self._hands.carry_out(scheduling.refused(pod, outcome, clock.now()))
        except RefusedError as refused:
            _log.debug("pod %s: %s", pod["metadata"]["name"], refused)
            self._bound.pop(uid, None)
            asyncio.get_running_loop().call_later(_RETRY_S, self._changed.set)
        self._busy.discard(uid)

    def _pod_changed(self, kind: EventKind, old: Object | None, new: Object | None) -> None:
        seen = new or old
        if seen is None:
            return
        uid = seen["metadata"]["uid"]
        if kind == "DELETED" or node_of(seen) or is_deleting(seen):
            self._bound.pop(uid, None)
            self._busy.discard(uid)
        if kind == "DELETED":
            self._demands.pop(uid, None)
        if old is None or new is None or _matters(old) != _matters(new):
            self._changed.set()

    def _node_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or _offer(old) != _offer(new):
            self._changed.set()


def _matters(pod: Object) -> tuple[object, ...]:
    """What of a pod decides where it, or another, can go."""
    gates = bool(pod["spec"].get("schedulingGates"))
    return node_of(pod), is_deleting(pod), is_terminal(pod), gates, labels_of(pod)


def _offer(node: Object) -> tuple[object, ...]:
    """What of a node decides who can go there."""
    spec = node["spec"]
    allocatable = (node.get("status") or {}).get("allocatable")
    return labels_of(node), spec.get("taints"), spec.get("unschedulable"), allocatable
