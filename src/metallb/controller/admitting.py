"""A review of a configuration object becomes a decision.

The index decides on what the caches show, in well under a millisecond. A cache may be late, and then knows an object
that is gone or has changed: so before a refusal is sent, it is confirmed by what the API server has right now. First
the objects that it names are read, one by one; if they don't bear it out, all are listed.
Source: spec/crds.md 11.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from msgspec.json import Decoder

from metallb.api import v1beta1, v1beta1_bgp, v1beta2
from metallb.config.build import Snapshot
from metallb.config.change import FIELDS, Change, Verdict
from metallb.config.errors import ObjectName
from metallb.config.judging import judge
from metallb.config.surroundings import Surroundings
from metallb.config.together import Resource
from metallb.controller.assumed import Assumed, same
from metallb.kube.admission import (
    AdmissionRequest,
    Decision,
    UnreadableObjectError,
    allowed,
    not_now,
    read_review,
    refused,
    unreadable,
    write_review,
)
from metallb.kube.credentials import CredentialsError
from metallb.kube.errors import ApiError
from metallb.telemetry import logs

CONFIRM_S: Final = 1.0
"""How long what was admitted may take to appear in a list: the API server writes it right after the answer."""

RELIST_S: Final = 0.1

_log = logs.logger(op="admission")

NAMED: Final = 32
"""So many objects at most are read one by one; more are left to the lists."""

Live = Callable[[], Awaitable[tuple[Snapshot, Surroundings]]]
"""Reads what there is from the API server, not from a cache."""

Named = Callable[[str, AbstractSet[ObjectName]], Awaitable[Snapshot]]
"""Reads these objects from the API server, and what else may decide on their conflict with an object of that kind."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A kind whose objects are reviewed: where, and how they are read."""

    kind: str
    path: str
    decoder: Decoder[Any]


REVIEWED: Final = (
    Reviewed("BGPPeer", "/validate-metallb-io-v1beta2-bgppeer", Decoder(v1beta2.BGPPeer)),
    Reviewed("IPAddressPool", "/validate-metallb-io-v1beta1-ipaddresspool", Decoder(v1beta1.IPAddressPool)),
    Reviewed(
        "BGPAdvertisement", "/validate-metallb-io-v1beta1-bgpadvertisement", Decoder(v1beta1_bgp.BGPAdvertisement)
    ),
    Reviewed("L2Advertisement", "/validate-metallb-io-v1beta1-l2advertisement", Decoder(v1beta1.L2Advertisement)),
    Reviewed("Community", "/validate-metallb-io-v1beta1-community", Decoder(v1beta1_bgp.Community)),
    Reviewed("BFDProfile", "/validate-metallb-io-v1beta1-bfdprofile", Decoder(v1beta1_bgp.BFDProfile)),
)
"""Paths are upstream's."""


class Judging(Protocol):
    """What decides: `metallb.config.index.Index`."""

    def judge(self, change: Change) -> Verdict:
        """The verdict on a change, given all that was put in."""

    def put(self, resource: Resource) -> None:
        """An object is there, or has changed."""

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """An object is gone."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where decisions come from.

    Attributes:
        index: judges.
        cached: an object as the cache shows it.
        unsynced: what of the cache is not complete yet, for the user; empty: all is.
        live: lists of everything.
        named: a few objects only; what it leaves out can take no conflict between them away.
        observe: told of each decision: kind and outcome (allowed, refused, unreadable, not_ready).
    """

    index: Judging
    cached: Callable[[ObjectName], Resource | None]
    unsynced: Callable[[], str]
    live: Live
    named: Named
    observe: Callable[[str, str], None]


class Admission:
    """Answers reviews. `changed` must be told of every change of the caches."""

    def __init__(self, sources: Sources, namespace: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """MetalLB's `namespace`; `clock`: monotonic seconds."""
        self._sources = sources
        self._namespace = namespace
        self._clock = clock
        self._assumed = Assumed()

    def answers(self) -> Mapping[str, Callable[[bytes], Awaitable[bytes]]]:
        """For the server: by path, what answers a review."""
        return {each.path: self._answer_of(each) for each in REVIEWED}

    def changed(self, name: ObjectName) -> None:
        """The cache shows another state of an object."""
        resource = self._assumed.effective(name, self._sources.cached(name))
        if resource is None:
            self._sources.index.remove(*name)
        else:
            self._sources.index.put(resource)

    def _answer_of(self, reviewed: Reviewed) -> Callable[[bytes], Awaitable[bytes]]:
        async def answer(body: bytes) -> bytes:
            request = read_review(body)
            return write_review(request, await self.decide(reviewed, request))

        return answer

    async def decide(self, reviewed: Reviewed, request: AdmissionRequest) -> Decision:
        """The decision on a request about an object of this kind."""
        try:
            change = _change(reviewed, request)
        except UnreadableObjectError as error:
            self._sources.observe(reviewed.kind, "unreadable")
            return unreadable(f"{reviewed.kind} {request.namespace}/{request.name}: can't be read: {error}")
        waiting = self._sources.unsynced()
        if waiting and change.after is None and change.kind != "BFDProfile":
            return allowed()  # nothing can be wrong with it, and nothing is known to warn of
        if waiting:
            self._sources.observe(reviewed.kind, "not_ready")
            return not_now(f"MetalLB's webhook is not ready yet, retry in a moment: {waiting}")
        return await self._judge(request, change)

    async def _judge(self, request: AdmissionRequest, change: Change) -> Decision:
        for name in self._assumed.expired(self._clock()):
            self.changed(name)
        verdict = self._sources.index.judge(change)
        if not verdict.allowed:
            try:
                verdict = await self._confirm_named(change, verdict) or await self._confirm(change)
            except (ApiError, CredentialsError) as error:
                _log.warn("a refusal can't be confirmed", object=str(change.object), error=str(error))
                self._sources.observe(change.kind, "not_ready")
                return not_now(f"{change.object} can't be checked now, retry in a moment: {error}")
        if verdict.allowed:
            self._assume(request, change)
            self._sources.observe(change.kind, "allowed")
            return allowed(*verdict.warnings)
        errors = [str(error) for error in verdict.errors]
        self._sources.observe(change.kind, "refused")
        _log.info(
            "refused",
            event="admissionRefused",
            object=str(change.object),
            operation=request.operation,
            user=request.user_info.username,
            errors=errors,
        )
        return refused("\n".join(errors), *verdict.warnings)

    async def _confirm_named(self, change: Change, refusal: Verdict) -> Verdict | None:
        """The refusal, if the objects that it names bear it out; None: they don't, or are many.

        Two builds of thousands of objects for each wrong request would keep the right ones waiting.
        """
        names = {name for error in refusal.errors for name in (error.object, *error.others)} - {change.object}
        if len(names) > NAMED:
            return None
        snapshot = await self._sources.named(change.kind, names)
        verdict = judge(snapshot, Surroundings(), change, namespace=self._namespace)
        return None if verdict.allowed else verdict

    async def _confirm(self, change: Change) -> Verdict:
        """The verdict on what the API server has now, and on what was admitted just before and is on its way there."""
        deadline = self._clock() + CONFIRM_S
        while True:
            snapshot, surroundings = await self._sources.live()
            verdict = await asyncio.to_thread(judge, snapshot, surroundings, change, namespace=self._namespace)
            coming = _coming(snapshot, self._assumed.pending(), change.object)
            if not verdict.allowed or not coming:
                return verdict
            expected = _with(snapshot, coming)
            pessimistic = await asyncio.to_thread(judge, expected, surroundings, change, namespace=self._namespace)
            if pessimistic.allowed or self._clock() > deadline:  # what has not come by now was refused elsewhere
                return verdict
            await asyncio.sleep(RELIST_S)

    def _assume(self, request: AdmissionRequest, change: Change) -> None:
        if request.dry_run or change.after is None or change.namespace != self._namespace:
            return
        present = self._sources.cached(change.object)
        if change.name and (present is None or not same(present, change.after)):
            self._assumed.put(change.object, change.after, self._clock())
            self.changed(change.object)


def _change(reviewed: Reviewed, request: AdmissionRequest) -> Change:
    """What is asked for.

    Raises:
        UnreadableObjectError: the object that would be stored does not decode.
    """
    after = None if request.operation == "DELETE" else request.read(reviewed.decoder)
    if after is None and request.operation != "DELETE":
        raise UnreadableObjectError("there is no object")
    try:
        before = None if request.operation == "CREATE" else request.read_old(reviewed.decoder)
    except UnreadableObjectError:  # it got in somehow: whatever replaces it is judged as if it were new
        before = None
    shown = after or before  # one of a collection that is deleted is named by the object only
    name = request.name or (shown.metadata.name if shown is not None else "")
    return Change(reviewed.kind, request.namespace, name, before, after)


def _coming(
    snapshot: Snapshot, pending: Mapping[ObjectName, Resource], judged: ObjectName
) -> dict[ObjectName, Resource]:
    """What was admitted and is not in the snapshot yet."""
    found = {}
    for name, resource in pending.items():
        present = next((each for each in getattr(snapshot, FIELDS[name.kind]) if each.metadata.name == name.name), None)
        if name != judged and (present is None or not same(present, resource)):
            found[name] = resource
    return found


def _with(snapshot: Snapshot, coming: Mapping[ObjectName, Resource]) -> Snapshot:
    for name, resource in coming.items():
        field = FIELDS[name.kind]
        others = [each for each in getattr(snapshot, field) if each.metadata.name != name.name]
        changed: dict[str, Any] = {field: (*others, resource)}
        snapshot = replace(snapshot, **changed)
    return snapshot
