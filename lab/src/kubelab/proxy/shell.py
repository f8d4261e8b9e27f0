"""Keeps the kernel's table `inet kubelab` of one network namespace equal to the cluster's services.

Changes are gathered for a moment and applied by one `nft` run; a run that fails is followed by a whole new table. The
longer a run takes (a big table, a busy machine), the longer the next one gathers. While the API server is away the
table stays as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from kubelab.informer import EventKind
from kubelab.objects import Object
from kubelab.proxy.conntrack import forget_udp
from kubelab.proxy.healthcheck import HealthChecks, Report
from kubelab.proxy.model import SERVICE_NAME_LABEL, Service, ServiceKey, parse_service, parse_slice, service_key
from kubelab.proxy.program import Program
from kubelab.proxy.rules import NOTHING, Fragment, Node, fragment

_GATHER_S = 0.02
_REST = 4.0
"""The least rest between two runs: so many times as long as the first took, and at most `_LONGEST_REST_S`."""
_LONGEST_REST_S = 1.0
_RETRY_S = 1.0
_INDEX = "service"

_log = logging.getLogger(__name__)


class Collection(Protocol):
    """What the proxy needs of an informer."""

    store: dict[tuple[str, str], Object]
    synced: asyncio.Event

    def subscribe(self, handler: Callable[[EventKind, Object | None, Object | None], None]) -> None:
        """Call `handler` for every change."""

    def add_index(self, name: str, keys: Callable[[Object], list[str]]) -> None:
        """Keep objects findable by derived strings."""

    def by_index(self, name: str, value: str) -> list[Object]:
        """Objects under one value of an index."""


class NftError(Exception):
    """`nft` refused a ruleset; the text is what it said."""


async def run_nft(text: str) -> None:
    """Apply commands in one transaction.

    Raises:
        NftError: nothing was applied.
    """
    process = await asyncio.create_subprocess_exec(
        "nft", "-f", "-", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate(text.encode())
    if process.returncode:
        raise NftError(errors.decode(errors="replace").strip()[:2000])


class Proxy:
    """The proxy of one node. `apply` is how commands reach the kernel (replaced in tests).

    `applied` is set each time the kernel is up to date with all that was heard so far.
    """

    def __init__(
        self,
        node: Node,
        services: Collection,
        slices: Collection,
        *,
        health: HealthChecks | None = None,
        apply: Callable[[str], Awaitable[None]] = run_nft,
    ) -> None:
        self.applied = asyncio.Event()
        self._node = node
        self._services = services
        self._slices = slices
        self._health = health
        self._apply = apply
        self._program = Program(node)
        self._dirty: set[ServiceKey] = set()
        self._wake = asyncio.Event()
        self._whole = True
        self._reports: dict[ServiceKey, Report] = {}
        slices.add_index(_INDEX, lambda obj: [str(service_key(obj))])
        services.subscribe(self._service_changed)
        slices.subscribe(self._slice_changed)

    async def run(self) -> None:
        """Follow the services until cancelled. The table stays when this ends: traffic goes on."""
        await self._services.synced.wait()
        await self._slices.synced.wait()
        self._wake.set()
        clock = asyncio.get_running_loop().time
        rested_at = clock()
        while True:
            await self._wake.wait()
            await asyncio.sleep(max(_GATHER_S, rested_at - clock()))
            self._wake.clear()
            began = clock()
            await self._update()
            rested_at = clock() + min(_LONGEST_REST_S, _REST * (clock() - began))

    # --- inside --------------------------------------------------------------------------------------------------

    def _service_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and parse_service(old) == parse_service(new):
            return
        self._mark(new or old)

    def _slice_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is not None and SERVICE_NAME_LABEL in (obj["metadata"].get("labels") or {}):
                self._mark(obj | {"kind": "EndpointSlice"})

    def _mark(self, obj: Object | None) -> None:
        if obj is not None:
            self._dirty.add(service_key(obj))
            self.applied.clear()
            self._wake.set()

    async def _update(self) -> None:
        dirty, self._dirty = self._dirty, set()
        stale: set[tuple[str, int, str]] = set()
        fresh: set[tuple[str, int, str]] = set()
        for key in dirty:
            service, new = self._fragment(key)
            old = self._program.put(key, new)
            stale |= old.udp_backends
            fresh |= new.udp_backends
            self._report(key, service, new)
        await self._write()
        if stale - fresh or fresh - stale:
            await forget_udp(gone=stale - fresh, new=fresh - stale)
        if self._health is not None:
            await self._health.serve(self._reports)
        if not self._dirty and not self._whole:
            self.applied.set()

    def _fragment(self, key: ServiceKey) -> tuple[Service | None, Fragment]:
        obj = self._services.store.get((key.namespace, key.name))
        service = parse_service(obj) if obj is not None else None
        if service is None:
            return None, NOTHING
        slices = [parse_slice(item) for item in self._slices.by_index(_INDEX, str(key))]
        return service, fragment(service, slices, self._node)

    def _report(self, key: ServiceKey, service: Service | None, new: Fragment) -> None:
        if service is not None and service.health_port:
            self._reports[key] = Report(service.health_port, new.local_endpoints)
        else:
            self._reports.pop(key, None)

    async def _write(self) -> None:
        changes = self._program.changes()
        text = self._program.text() if self._whole else changes
        if not text:
            return
        try:
            await self._apply(text)
        except (NftError, OSError) as error:
            _log.error("nft refused %s: %s", "the table" if self._whole else "a change", error)
            self._whole = True
            asyncio.get_running_loop().call_later(_RETRY_S, self._wake.set)
        else:
            self._whole = False
