"""Runs the small decisions: what each namespace has from the start, and aggregated cluster roles."""

from __future__ import annotations

from kubelab.controllers.decide import accounts, clusterroles
from kubelab.controllers.decide.resources import CLUSTER_ROLES, CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS
from kubelab.controllers.run.context import Context
from kubelab.controllers.run.workqueue import WorkQueue, work
from kubelab.informer import EventKind
from kubelab.objects import Object

_WORKERS = 4


class Accounts:
    """The service account `default` and the ConfigMap `kube-root-ca.crt` of every namespace."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._namespaces = context.informers.of(NAMESPACES)
        self._accounts = context.informers.of(
            SERVICE_ACCOUNTS, field_selector=f"metadata.name={accounts.DEFAULT_ACCOUNT}"
        )
        self._certificates = context.informers.of(CONFIG_MAPS, field_selector=f"metadata.name={accounts.ROOT_CA}")
        self._queue: WorkQueue[str] = WorkQueue()
        for informer in (self._namespaces, self._accounts, self._certificates):
            informer.subscribe(self._changed)

    async def run(self) -> None:
        """Work until cancelled."""
        await work("accounts", self._queue, self._sync, _WORKERS)

    def _changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None:
            meta = obj["metadata"]
            self._queue.add(str(meta.get("namespace") or meta["name"]))

    async def _sync(self, name: str) -> float | None:
        namespace = self._namespaces.get("", name)
        if namespace is not None:
            account = self._accounts.get(name, accounts.DEFAULT_ACCOUNT)
            certificate = self._certificates.get(name, accounts.ROOT_CA)
            decision = accounts.decide(namespace, account, certificate, self._context.ca)
            await self._context.hands.carry_out(decision.writes)
        return None


class ClusterRoles:
    """Aggregated cluster roles."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._roles = context.informers.of(CLUSTER_ROLES)
        self._queue: WorkQueue[str] = WorkQueue()
        self._roles.subscribe(self._role_changed)

    async def run(self) -> None:
        """Work until cancelled."""
        await work("clusterroles", self._queue, self._sync, 1)

    def _role_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        if new is not None and clusterroles.is_aggregated(new):
            self._queue.add(new["metadata"]["name"])
        for name, role in ((key[1], role) for key, role in self._roles.store.items()):
            if clusterroles.is_aggregated(role) and clusterroles.concerns(role, old, new):
                self._queue.add(name)

    async def _sync(self, name: str) -> float | None:
        role = self._roles.get("", name)
        if role is not None and clusterroles.is_aggregated(role):
            await self._context.hands.carry_out(clusterroles.decide(role, self._roles.store.values()).writes)
        return None
