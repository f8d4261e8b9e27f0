"""Runs the EndpointSlice and Endpoints decisions for each service when it, its pods or its slices change."""

from __future__ import annotations

from collections.abc import Iterable

from kubelab.controllers.decide import endpoints, legacy_endpoints
from kubelab.controllers.decide.endpoints import SERVICE_NAME
from kubelab.controllers.decide.resources import ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICES
from kubelab.controllers.decide.selectors import labels_of, matches_map
from kubelab.controllers.decide.writes import Delete
from kubelab.controllers.run.context import LABEL, Context, label_keys
from kubelab.controllers.run.workqueue import WorkQueue, work
from kubelab.informer import EventKind, Key, key_of
from kubelab.objects import Object

_WORKERS = 16
_SELECTS, _SERVICE = "selects", "service"


class Endpoints:
    """The EndpointSlice controller and the Endpoints controller.

    A service is found from a pod by one of the labels it selects, and pods from a service by the rarest: neither looks
    at all of the other.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.informers.of(SERVICES)
        self._pods = context.informers.of(PODS)
        self._nodes = context.informers.of(NODES)
        self._slices = context.informers.of(ENDPOINT_SLICES)
        self._endpoints = context.informers.of(ENDPOINTS)
        self._queue: WorkQueue[Key] = WorkQueue()
        self._services.add_index(_SELECTS, _selector_key)
        self._slices.add_index(_SERVICE, _service_of_slice)
        self._services.subscribe(self._service_changed)
        self._pods.subscribe(self._pod_changed)
        self._slices.subscribe(self._slice_changed)
        self._endpoints.subscribe(self._endpoints_changed)

    async def run(self) -> None:
        """Work until cancelled."""
        await work("endpoints", self._queue, self._sync, _WORKERS)

    def _service_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        for obj in (new, old):
            if obj is not None:
                self._queue.add(key_of(obj))
                return

    def _pod_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _shown(old) == _shown(new):
            return
        for pod in (old, new):
            if pod is not None:
                for service in self._selecting(pod):
                    self._queue.add(key_of(service))

    def _slice_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            for name in _service_of_slice(obj) if obj is not None else ():
                namespace, _, service = name.partition("/")
                self._queue.add((namespace, service))

    def _endpoints_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is not None and key_of(obj) in self._services.store:
                self._queue.add(key_of(obj))

    def _selecting(self, pod: Object) -> Iterable[Object]:
        for key in label_keys(pod):
            for service in self._services.by_index(_SELECTS, key):
                if matches_map(service["spec"]["selector"], labels_of(pod)):
                    yield service

    def _selected(self, service: Object) -> list[Object]:
        namespace = service["metadata"]["namespace"]
        selector: dict[str, str] = service["spec"]["selector"]
        found = (self._pods.by_index(LABEL, f"{namespace}/{key}={value}") for key, value in selector.items())
        rarest = min(found, key=len)
        pods = [pod for pod in rarest if matches_map(selector, labels_of(pod))]
        return sorted(pods, key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]))

    async def _sync(self, key: Key) -> float | None:
        service = self._services.store.get(key)
        hands = self._context.hands
        if service is None:
            left = self._endpoints.store.get(key)
            if left is not None and labels_of(left).get(legacy_endpoints.MANAGED_BY) == legacy_endpoints.CONTROLLER:
                await hands.carry_out([Delete(ENDPOINTS, left)])
            return None
        if not endpoints.is_ours(service) or self._context.is_leaving(key[0]):
            return None
        pods = self._selected(service)
        nodes = {name: node for (_, name), node in self._nodes.store.items()}
        slices = endpoints.ours(service, self._slices.by_index(_SERVICE, f"{key[0]}/{key[1]}"))
        await hands.carry_out(endpoints.decide(service, pods, nodes, slices).writes)
        await hands.carry_out(legacy_endpoints.decide(service, pods, self._endpoints.store.get(key)).writes)
        return None


def _selector_key(service: Object) -> list[str]:
    """One label that a service selects stands for all: every pod of its own has it."""
    if not endpoints.is_ours(service):
        return []
    key, value = min(service["spec"]["selector"].items())
    return [f"{service['metadata']['namespace']}/{key}={value}"]


def _service_of_slice(obj: Object) -> list[str]:
    name = labels_of(obj).get(SERVICE_NAME)
    return [f"{obj['metadata']['namespace']}/{name}"] if name else []


def _shown(pod: Object) -> tuple[object, ...]:
    """What of a pod is seen in endpoints."""
    status, spec = pod.get("status") or {}, pod["spec"]
    ready = [c for c in status.get("conditions") or [] if c.get("type") == "Ready"]
    return (
        labels_of(pod),
        status.get("podIPs"),
        status.get("phase"),
        [(c.get("status"), c.get("lastTransitionTime")) for c in ready],
        pod["metadata"].get("deletionTimestamp"),
        spec.get("nodeName"),
    )
