"""Keeps a node's Node and Lease in the API: made when absent, corrected when wrong, renewed on time."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import time
from pathlib import Path

from kubelab.apiclient import ApiClient, ApiFailure, PatchKind, Resource
from kubelab.informer import Informer
from kubelab.kubelet import node
from kubelab.kubelet.config import AgentConfig
from kubelab.kubelet.node import MachineFacts
from kubelab.kubelet.state import Now
from kubelab.objects import Object

NODES = Resource("", "v1", "nodes", False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", True)
_RETRY_S = 0.2
_HEARTBEAT_S = 10.0
_RENEWAL_TIMEOUT_S = 2.0
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_log = logging.getLogger(__name__)


class Registration:
    """`ready` is set when the API shows the node as Ready for the first time."""

    def __init__(self, config: AgentConfig, client: ApiClient, facts: MachineFacts) -> None:
        self.ready = asyncio.Event()
        self._config, self._client, self._facts = config, client, facts
        self._informer = Informer(client, NODES, field_selector=f"metadata.name={config.node}")
        self._changed = asyncio.Event()
        self._informer.subscribe(lambda *_: self._changed.set())

    async def run(self) -> None:
        """Register and stay registered until cancelled."""
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(self._renew())
            watching = group.create_task(self._informer.run())
            await self._keep_node()
            renewing.cancel()
            watching.cancel()

    async def _keep_node(self) -> None:
        """Once at the start without waiting for the watch, then whenever the API shows the node otherwise."""
        shown: Object | None = None
        while True:
            self._changed.clear()
            try:
                shown = await self._bring_up(shown)
            except ApiFailure as failure:
                _log.log(
                    logging.DEBUG if failure.unreachable else logging.WARNING, "node %s: %s", self._config.node, failure
                )
                shown = None
                await asyncio.sleep(_RETRY_S)
                continue
            self.ready.set()
            await self._wait_for_change()
            shown = self._informer.get("", self._config.node) if self._informer.synced.is_set() else None

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(_HEARTBEAT_S):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _bring_up(self, shown: Object | None) -> Object:
        """One step: create the Node, or correct what differs; the Node as it is then."""
        if shown is None:
            shown = await self._get_or_create()
        patch = node.metadata_patch(self._config, self._facts, shown)
        if patch:
            shown = await self._client.patch(NODES, self._config.node, patch, kind=PatchKind.STRATEGIC)
        now = _now()
        if node.is_current(self._config, self._facts, shown, now) and not _is_stale(shown, now):
            return shown
        status = node.node_status(self._config, self._facts, shown, now)
        # Addresses are merged by their types, of which some occur twice.
        status["addresses"] = [{"$patch": "replace"}, *status["addresses"]]
        return await self._client.patch(
            NODES, self._config.node, {"status": status}, kind=PatchKind.STRATEGIC, subresource="status"
        )

    async def _get_or_create(self) -> Object:
        try:
            return await self._client.create(NODES, node.node_object(self._config, self._facts))
        except ApiFailure as failure:
            if not failure.already_exists:
                raise
        return await self._client.get(NODES, self._config.node)

    async def _renew(self) -> None:
        """Renew the Lease on a fixed beat; a beat that fails is just missed."""
        due = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(_RENEWAL_TIMEOUT_S):
                    await self._renew_once()
            except TimeoutError:
                _log.info("lease of node %s: no answer", self._config.node)
            except ApiFailure as failure:
                _log.log(
                    logging.DEBUG if failure.unreachable else logging.WARNING,
                    "lease of node %s: %s",
                    self._config.node,
                    failure,
                )
            due = max(due + node.LEASE_PERIOD_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _renew_once(self) -> None:
        shown = self._informer.get("", self._config.node)
        lease = node.lease(self._config, _now(), str(shown["metadata"]["uid"]) if shown else "")
        patch = {"spec": lease["spec"]}
        try:
            await self._client.patch(LEASES, self._config.node, patch, node.LEASE_NAMESPACE, kind=PatchKind.MERGE)
        except ApiFailure as failure:
            if not failure.not_found:
                raise
            await self._client.create(LEASES, lease, node.LEASE_NAMESPACE)


def machine_facts() -> MachineFacts:
    """Read what is known of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    try:
        os_image = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        os_image = "Linux"
    return MachineFacts(
        cpus=os.cpu_count() or 1,
        memory_kib=memory,
        kernel=platform.release(),
        os_image=os_image,
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
    )


def _is_stale(shown: Object, now: Now) -> bool:
    """Whether the last heartbeat in the status is older than two periods."""
    import datetime as dt

    times = [item.get("lastHeartbeatTime") for item in (shown.get("status") or {}).get("conditions") or []]
    try:
        last = min(dt.datetime.fromisoformat(str(text)).timestamp() for text in times)
    except ValueError:
        return True
    return now.wall - last > 2 * _HEARTBEAT_S


def _now() -> Now:
    return Now(time.monotonic(), time.time())
