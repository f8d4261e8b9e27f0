"""Tells people what happened to pods: core/v1 Events, repeated ones counted instead of repeated.

Never in the way: what cannot be sent while the API server is away is kept up to a bound, then the oldest is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from kubelab.apiclient import ApiClient, ApiFailure, PatchKind, Resource
from kubelab.kubelet.lifecycle import Tell
from kubelab.kubelet.podspec import Pod
from kubelab.kubelet.state import Now
from kubelab.kubelet.status import timestamp
from kubelab.objects import Object

EVENTS = Resource("", "v1", "events", True)
_MOST_WAITING = 1000
_MOST_KNOWN = 2000
_RETRY_S = 1.0

_log = logging.getLogger(__name__)


class _Known(NamedTuple):
    """An event that was sent before."""

    name: str
    times: int
    first: str


class EventRecorder:
    """Sends events one after the other. `draw` makes the suffix of an event's name unlike any other."""

    def __init__(self, client: ApiClient, node: str, draw: Callable[[], str]) -> None:
        self._client, self._node, self._draw = client, node, draw
        self._waiting: deque[tuple[Object, tuple[str, ...], str]] = deque(maxlen=_MOST_WAITING)
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()
        self._wake = asyncio.Event()

    def tell(self, pod: Pod, event: Tell, now: Now) -> None:
        """Note an event about a pod or one of its containers."""
        involved: Object = {
            "kind": "Pod", "apiVersion": "v1", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid,
            "resourceVersion": str(pod.raw["metadata"].get("resourceVersion") or ""),
        }  # fmt: skip
        if event.container:
            init = any(container.name == event.container for container in pod.init_containers)
            involved["fieldPath"] = f"spec.{'initContainers' if init else 'containers'}{{{event.container}}}"
        body: Object = {
            "involvedObject": involved,
            "type": event.kind,
            "reason": event.reason,
            "message": event.message[:1024],
        }
        key = (pod.uid, event.container, event.kind, event.reason, event.message)
        self._waiting.append((body, key, timestamp(now.wall)))
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            while self._waiting:
                body, key, at = self._waiting[0]
                if await self._send(body, key, at):
                    self._waiting.popleft()
                else:
                    await asyncio.sleep(_RETRY_S)
            self._wake.clear()
            await self._wake.wait()

    async def _send(self, body: Object, key: tuple[str, ...], at: str) -> bool:
        """Whether this event is dealt with: sent, or refused for good."""
        namespace = str(body["involvedObject"]["namespace"])
        known = self._known.get(key)
        try:
            if known is not None and await self._count(namespace, key, known, at):
                return True
            name = f"{body['involvedObject']['name']}.{self._draw()}"
            await self._client.create(EVENTS, self._event(body, name, at), namespace)
        except ApiFailure as failure:
            if failure.unreachable or failure.code >= 500:  # noqa: PLR2004  # the server's fault
                return False
            _log.warning("event %s of pod %s/%s: %s", key[3], namespace, body["involvedObject"]["name"], failure)
            return True
        self._remember(key, _Known(name, 1, at))
        return True

    async def _count(self, namespace: str, key: tuple[str, ...], known: _Known, at: str) -> bool:
        patch = {"count": known.times + 1, "lastTimestamp": at}
        try:
            await self._client.patch(EVENTS, known.name, patch, namespace, kind=PatchKind.MERGE)
        except ApiFailure as failure:
            if failure.not_found:
                return False
            raise
        self._remember(key, known._replace(times=known.times + 1))
        return True

    def _remember(self, key: tuple[str, ...], known: _Known) -> None:
        self._known[key] = known
        self._known.move_to_end(key)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def _event(self, body: Object, name: str, at: str) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": body["involvedObject"]["namespace"]},
            **body,
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
            "eventTime": None,
        }
