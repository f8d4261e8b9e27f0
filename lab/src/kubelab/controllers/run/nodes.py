"""Watches over nodes: who is heard of, what follows from it for nodes and pods, who must leave."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

from kubelab.apiclient import ApiFailure
from kubelab.controllers.decide import eviction, nodes
from kubelab.controllers.decide.pods import node_of
from kubelab.controllers.decide.resources import LEASES, NODES, PODS
from kubelab.controllers.run import clock
from kubelab.controllers.run.context import NODE, Context
from kubelab.controllers.run.workqueue import WorkQueue, work
from kubelab.informer import EventKind
from kubelab.objects import Object

_LOOK_S = 0.25
_LOOK_TIMEOUT_S = 2.0
_STRANDED_S = 5.0  # a pod may be seen before its node is
_WORKERS = 4


class Nodes:
    """The node lifecycle controller, the eviction by taints, and the end of pods without a node.

    Leases are asked for four times a second instead of watched: an answer proves that the API server is there, silence
    of a watch proves nothing.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._nodes = context.informers.of(NODES)
        self._pods = context.informers.of(PODS)
        self._pulse = nodes.Pulse()
        self._leased: set[str] = set()
        self._verdicts: dict[str, nodes.Verdict] = {}
        self._missing_since: dict[str, float] = {}
        self._taint_seen: dict[str, dict[str, datetime]] = {}
        self._health: WorkQueue[str] = WorkQueue()
        self._evictions: WorkQueue[str] = WorkQueue()
        self._stranded: WorkQueue[str] = WorkQueue()
        self._nodes.subscribe(self._node_changed)
        self._pods.subscribe(self._pod_changed)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(work("node", self._health, self._sync, _WORKERS))
            group.create_task(work("eviction", self._evictions, self._evict, _WORKERS))
            group.create_task(work("stranded", self._stranded, self._collect, 1))

    # --- hearing ---------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_LOOK_TIMEOUT_S):
                    found = await self._context.hands.client.list(LEASES, "kube-node-lease")
            except (ApiFailure, TimeoutError):
                pass  # a look that failed is time in the dark: see `Pulse`
            else:
                self._hear({str(lease["metadata"]["name"]): lease for lease in found.items})
            await asyncio.sleep(_LOOK_S)

    def _hear(self, leases: dict[str, Object]) -> None:
        known = {name: node for (_, name), node in self._nodes.store.items()}
        signs = {name: nodes.sign_of_life(node, leases.get(name)) for name, node in known.items()}
        self._leased = set(leases)
        self._pulse.look(signs, time.monotonic())
        for name in known:
            verdict = self._pulse.verdict(name, has_lease=name in leases)
            if self._verdicts.get(name) != verdict:
                self._verdicts[name] = verdict
                self._health.add(name)

    # --- changes ---------------------------------------------------------------------------------------------------

    def _node_changed(self, kind: EventKind, old: Object | None, new: Object | None) -> None:
        node = new or old
        if node is None:
            return
        name = str(node["metadata"]["name"])
        if kind == "ADDED":
            self._context.hands.say(nodes.registered(node))
        if kind != "DELETED":
            self._health.add(name)
            self._evictions.add(name)
            return
        self._context.hands.say(nodes.removed(node))
        self._verdicts.pop(name, None)
        self._taint_seen.pop(name, None)
        self._stranded.add(name)

    def _pod_changed(self, _kind: EventKind, _old: Object | None, new: Object | None) -> None:
        if new is None or not (name := node_of(new)):
            return
        node = self._nodes.get("", name)
        if node is None:
            self._stranded.add(name)
            return
        if any(taint.get("effect") == "NoExecute" for taint in node["spec"].get("taints") or []):
            self._evictions.add(name)
        if self._verdicts.get(name) == "lost":
            self._health.add(name)

    # --- work ------------------------------------------------------------------------------------------------------

    async def _sync(self, name: str) -> float | None:
        node = self._nodes.get("", name)
        if node is not None:
            verdict = self._verdicts.get(name, "unsure")
            decision = nodes.decide(node, self._pods.by_index(NODE, name), verdict, clock.now())
            await self._context.hands.carry_out(decision.writes)
        return None

    async def _evict(self, name: str) -> float | None:
        node = self._nodes.get("", name)
        if node is None:
            return None
        seen = self._taint_seen.get(name, {})
        ids = [eviction.taint_id(taint) for taint in node["spec"].get("taints") or []]
        self._taint_seen[name] = {one: seen.get(one) or clock.now() for one in ids}
        decision = eviction.decide(node, self._pods.by_index(NODE, name), self._taint_seen[name], clock.now())
        await self._context.hands.carry_out(decision.writes)
        return decision.again_s

    async def _collect(self, name: str) -> float | None:
        """Remove the pods of a node that is gone, once it is sure that it is."""
        if self._nodes.get("", name) is not None or not self._pods.by_index(NODE, name):
            self._missing_since.pop(name, None)
            return None
        since = self._missing_since.setdefault(name, time.monotonic())
        left_s = _STRANDED_S - (time.monotonic() - since)
        if left_s > 0:
            return left_s
        try:
            await self._context.hands.client.get(NODES, name)
        except ApiFailure as failure:
            if not failure.not_found:
                raise
        else:
            return _STRANDED_S
        decision = eviction.stranded(self._pods.by_index(NODE, name), clock.now())
        await self._context.hands.carry_out(decision.writes)
        return None
