"""Keeps a process' ConfigurationState object as `metallb.config.state` wants it, and tells of errors.

    report = ConfigurationReport(client, CONTROLLER, place, outlets)
    group.create_task(report.run())
    report.judged(Evaluation(errors))

One writer, and it writes only what differs: the object (labels, owner) where it is missing, then its status, both by
server-side apply. Somebody deletes or changes it: it is put right. The API is down: it is tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from msgspec.json import Decoder

from metallb.api.core import OwnerReference
from metallb.api.v1beta1_states import ConfigurationState
from metallb.config.errors import ConfigError
from metallb.config.state import (
    Component,
    Evaluation,
    describe,
    desired_metadata,
    desired_status,
    metadata_shows,
    status_body,
    status_shows,
)
from metallb.config.telling import Telling
from metallb.kube.backoff import Backoff
from metallb.kube.client import KubeClient
from metallb.kube.errors import ForbiddenError, NotFoundError
from metallb.kube.events import second_time
from metallb.kube.informer import Informer
from metallb.kube.objects import BARE
from metallb.kube.reconciler import Again, Done, Outcome, Reconciler
from metallb.kube.resources import CONFIGURATION_STATES, PODS
from metallb.telemetry import logs

REFUSED_S: Final = 30.0
"""How long to wait after the server said that we may not write, or that there is no such kind."""

BACKOFF: Final = Backoff(first_s=0.1, limit_s=15.0)
"""Of writes: soon after an outage the objects tell the truth again."""

_STATE = "state"
_TELL = "tell"
_DECODER = Decoder(ConfigurationState)
_log = logs.logger(op="configuration")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the object is, and whose it is.

    Attributes:
        namespace: MetalLB's.
        pod: our own Pod's name; empty: the object gets no owner.
    """

    namespace: str
    pod: str = ""


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where an evaluation goes beside the object.

    Attributes:
        stale: whether the newest configuration is refused, after each evaluation.
        tell: an error that has lasted; called once for each.
        observe: how each look at the object ended, for metrics.
    """

    stale: Callable[[bool], None]
    tell: Callable[[ConfigError], None]
    observe: Callable[[Outcome], None] = lambda _outcome: None


class ConfigurationReport:
    """What one process makes of its configuration, told to people: object, log, events."""

    def __init__(
        self,
        client: KubeClient,
        component: Component,
        place: Place,
        outlets: Outlets,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Does nothing until `run`, but takes evaluations."""
        self._client = client
        self._component = component
        self._place = place
        self._outlets = outlets
        self._clock = clock
        self._wall = wall
        self._evaluation: Evaluation | None = None
        self._telling = Telling()
        self._loaded = False
        self._owner: OwnerReference | None = None
        self._refusal = ""
        self._present = Informer(
            client,
            CONFIGURATION_STATES,
            decoder=_DECODER,
            namespace=place.namespace,
            field_selector=f"metadata.name={component.name}",
        )
        self._queue: Reconciler[str] = Reconciler(
            "configurationstate", self._work, backoff=BACKOFF, observe=outlets.observe
        )
        self._present.subscribe(lambda _key: self._queue.add(_STATE))

    def judged(self, evaluation: Evaluation) -> None:
        """An evaluation is done. The same again costs nothing."""
        kept = "the one before stays in force" if self._loaded else "nothing is done until it is valid"
        for error in self._telling.observe(evaluation.errors, self._clock()):
            _log.error(f"configuration refused: {kept}", event="configRejected", error=describe(error))
        mended = self._evaluation is not None and self._evaluation.errors and not evaluation.errors
        if mended and self._loaded:
            _log.info("configuration valid again", event="configValid")
        self._loaded = self._loaded or not evaluation.errors
        self._outlets.stale(bool(evaluation.errors))
        self._take(evaluation)
        self._queue.add(_TELL)

    def unread(self, reasons: tuple[str, ...]) -> None:
        """Nothing can be judged yet, because this can't be read."""
        self._take(Evaluation(unread=reasons))

    async def run(self) -> NoReturn:
        """Writes until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._present.run(), name="informer configurationstates")
            await self._queue.run()

    def _take(self, evaluation: Evaluation) -> None:
        if evaluation != self._evaluation:
            for reason in set(evaluation.unread) - set(self._evaluation.unread if self._evaluation else ()):
                _log.warn("configuration incomplete", event="configIncomplete", error=reason)
            self._evaluation = evaluation
            self._queue.add(_STATE)

    async def _work(self, key: str) -> Outcome:
        return await self._write() if key == _STATE else self._tell()

    def _tell(self) -> Outcome:
        now = self._clock()
        for error in self._telling.take_due(now):
            self._outlets.tell(error)
        deadline = self._telling.deadline()
        return Done() if deadline is None else Again(max(0.0, deadline - now))

    async def _write(self) -> Outcome:
        if self._evaluation is None:
            return Done()
        known = self._present.store.get((self._place.namespace, self._component.name))
        if known is not None and self._shows(known, self._evaluation):
            return Done()
        try:
            await self._put_right(self._evaluation)
        except (ForbiddenError, NotFoundError) as error:
            if str(error) != self._refusal:
                _log.warn("the ConfigurationState can't be written", error=str(error))
            self._refusal = str(error)
            return Again(REFUSED_S)
        self._refusal = ""
        return Done()

    async def _put_right(self, evaluation: Evaluation) -> None:
        """Decides on the object as the server has it: the cache may not show our own last write yet."""
        owner = await self._find_owner()
        present = await self._read()
        if present is None or not metadata_shows(self._component, owner, present):
            metadata = desired_metadata(self._component, self._place.namespace, owner)
            present = await self._apply({"metadata": metadata})
        wanted = desired_status(self._component, evaluation, present, second_time(self._wall()))
        if status_shows(self._component, wanted, present):
            return
        metadata = {"name": self._component.name, "namespace": self._place.namespace}
        status = status_body(wanted)
        await self._apply({"metadata": metadata, "status": status}, "status", self._component.manager)
        said = _log.warn if evaluation.errors else _log.debug
        said("ConfigurationState written", event="stateWritten", name=self._component.name, result=wanted.result)

    async def _apply(self, part: dict[str, Any], subresource: str = "", manager: str = "") -> ConfigurationState:
        return await self._client.apply(
            CONFIGURATION_STATES,
            self._component.name,
            {"apiVersion": CONFIGURATION_STATES.api_version, "kind": CONFIGURATION_STATES.kind, **part},
            namespace=self._place.namespace,
            subresource=subresource,
            decoder=_DECODER,
            force=True,
            manager=manager,
        )

    def _shows(self, present: ConfigurationState, evaluation: Evaluation) -> bool:
        wanted = desired_status(self._component, evaluation, present, "")
        # Who owns it is asked at the first write; from then on it is known.
        owned = bool(self._owner) or not self._place.pod
        return (
            owned
            and metadata_shows(self._component, self._owner, present)
            and status_shows(self._component, wanted, present)
        )

    async def _read(self) -> ConfigurationState | None:
        try:
            return await self._client.get(
                CONFIGURATION_STATES, self._component.name, namespace=self._place.namespace, decoder=_DECODER
            )
        except NotFoundError:
            return None

    async def _find_owner(self) -> OwnerReference | None:
        """Our own Pod. Without the right to read it, or outside of a cluster, the object has no owner."""
        if self._owner is None and self._place.pod:
            try:
                pod = await self._client.get(PODS, self._place.pod, namespace=self._place.namespace, decoder=BARE)
            except (ForbiddenError, NotFoundError) as error:
                _log.debug("the ConfigurationState gets no owner", error=str(error))
                return None
            self._owner = OwnerReference("v1", "Pod", pod.metadata.name, pod.metadata.uid)
        return self._owner
