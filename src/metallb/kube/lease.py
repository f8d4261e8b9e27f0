"""Leads while it holds a Lease: the asyncio shell around `metallb.kube.election`.

    leadership = Leadership(client, namespace=ns, name="metallb-controller", identity=f"{pod}_{draw}")
    await leadership.run(reconcile_everything)

`run` campaigns, runs the function while we lead, cancels it when we don't, and hands over at once when it is cancelled
itself: another replica leads within 2.4 s then, and within `duration_s` + 2.4 s after a crash.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec import field

from metallb.api.core import Model, ObjectMeta
from metallb.kube.access import may
from metallb.kube.client import KubeClient
from metallb.kube.credentials import CredentialsError
from metallb.kube.election import (
    Effect,
    Election,
    Ended,
    Failed,
    Follow,
    Get,
    Input,
    Lead,
    Read,
    Record,
    Refused,
    Stop,
    Timing,
    Write,
    Written,
)
from metallb.kube.errors import ApiError, ConflictError, NotFoundError
from metallb.kube.resources import LEASES
from metallb.telemetry import logs

RELEASE_S: Final = 2.0
"""How long a hand-over may take at shutdown."""


class _LeaseSpec(Model, frozen=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Lease(Model, frozen=True):
    api_version: str = field(default="", name="apiVersion")
    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()
    spec: _LeaseSpec = _LeaseSpec()


_DECODER = msgspec.json.Decoder(_Lease)


def micro_time(wall_s: float) -> str:
    """meta/v1 MicroTime of `wall_s`, seconds since 1970."""
    whole, micros = divmod(round(wall_s * 1_000_000), 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{micros:06d}Z"


class Leadership:
    """One candidate for one Lease.

    Attributes:
        leading: whether we lead now.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        timing: Timing | None = None,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Does nothing until `run`.

        Args:
            client: an open client.
            namespace: of the Lease.
            name: of the Lease.
            identity: unique for each start of each replica: pod name and something drawn.
            timing: the same for all replicas; None: client-go's.
            draw: a number in [0, 1), for jitter.
            clock: monotonic seconds.
            wall: seconds since 1970, only shown in the Lease.
        """
        self.leading = False
        self._client = client
        self._namespace = namespace
        self._name = name
        self._election = Election(identity, timing or Timing(), draw)
        self._clock = clock
        self._wall = wall
        self._metadata = ObjectMeta(name=name, namespace=namespace)
        self._inbox: asyncio.Queue[Input] = asyncio.Queue()
        self._log = logs.logger(op="leaderElection", lease=f"{namespace}/{name}", identity=identity)

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Runs `lead()` whenever we lead; ends when it ends, with what it raised.

        Where RBAC allows no Leases (upstream's rules don't) it leads without asking, and says so: there must be only
        one replica then.
        """
        if not await self._allowed():
            self._log.warn("leases are not allowed: leading without election, run one replica only")
            self.leading = True
            await lead()
            return
        work: asyncio.Future[None] | None = None
        requests: set[asyncio.Task[None]] = set()
        effects = self._election.tick(self._clock())
        try:
            while True:
                for effect in effects:
                    work = await self._do(effect, work, lead, requests)
                if work is not None and work.done():
                    work.result()
                    return
                effects = await self._next(work)
        finally:
            await self._hand_over(work, requests)

    async def _do(
        self,
        effect: Effect,
        work: asyncio.Future[None] | None,
        lead: Callable[[], Awaitable[None]],
        requests: set[asyncio.Task[None]],
    ) -> asyncio.Future[None] | None:
        match effect:
            case Get() | Write():
                task = asyncio.create_task(self._ask(effect))
                requests.add(task)
                task.add_done_callback(requests.discard)
            case Lead():
                self.leading = True
                self._log.info("leading", event="leaderElected")
                return asyncio.ensure_future(lead())
            case Follow():
                self.leading = False
                self._log.warn("leading no more", event="leaderLost", holder=self._election.holder)
                await _end(work)
                return None
            case Ended():
                pass
        return work

    async def _next(self, work: asyncio.Future[None] | None) -> list[Effect]:
        """Waits for an answer, the deadline or the end of the work."""
        deadline = self._election.deadline()
        wait = None if deadline is None else max(0.0, deadline - self._clock())
        answer = asyncio.ensure_future(self._inbox.get())
        awaited: set[asyncio.Future[Input] | asyncio.Future[None]] = {answer}
        if work is not None:
            awaited.add(work)
        try:
            await asyncio.wait(awaited, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return self._election.feed(answer.result(), self._clock())
            return self._election.tick(self._clock())
        finally:
            answer.cancel()

    async def _hand_over(self, work: asyncio.Future[None] | None, requests: set[asyncio.Task[None]]) -> None:
        """Ends the work, then releases the Lease, within `RELEASE_S`."""
        await _end(work)
        self.leading = False
        try:
            async with asyncio.timeout(RELEASE_S):
                effects = self._election.feed(Stop(), self._clock())
                while Ended() not in effects:
                    for effect in effects:
                        if isinstance(effect, (Get, Write)):
                            await self._ask(effect)
                    effects = self._election.feed(await self._inbox.get(), self._clock())
        except TimeoutError:
            self._log.warn("the lease could not be released in time")
        for task in requests:
            task.cancel()

    async def _ask(self, request: Get | Write) -> None:
        """Makes a request; its answer arrives in the inbox, always."""
        answer: Input = Failed()
        try:
            answer = await (self._read() if isinstance(request, Get) else self._write(request))
        except NotFoundError:
            answer = Read(None) if isinstance(request, Get) else Refused()
        except ConflictError:
            answer = Refused()
        except (ApiError, CredentialsError) as error:
            self._log.warn("the lease can't be reached", error=str(error))
        finally:
            self._inbox.put_nowait(answer)

    async def _read(self) -> Read:
        found = await self._client.get(LEASES, self._name, namespace=self._namespace, decoder=_DECODER)
        self._metadata = found.metadata
        return Read(_record(found), found.metadata.resource_version)

    async def _write(self, request: Write) -> Written:
        record, now = request.record, micro_time(self._wall())
        lease = _Lease(
            api_version=LEASES.api_version,
            kind=LEASES.kind,
            metadata=msgspec.structs.replace(self._metadata, resource_version=request.version),
            spec=_LeaseSpec(
                holder_identity=record.holder,
                lease_duration_seconds=record.duration_s,
                acquire_time=record.acquired or now,
                renew_time=now,
                lease_transitions=record.transitions,
            ),
        )
        if request.version:
            answer = await self._client.replace(LEASES, self._name, lease, namespace=self._namespace, decoder=_DECODER)
        else:
            answer = await self._client.create(LEASES, lease, namespace=self._namespace, decoder=_DECODER)
        self._metadata = answer.metadata
        return Written(_record(answer), answer.metadata.resource_version)

    async def _allowed(self) -> bool:
        """Whether RBAC lets us hold the Lease; asked until the server says."""
        while True:
            try:
                for verb in ("get", "create", "update"):
                    name = "" if verb == "create" else self._name
                    if not await may(self._client, verb, LEASES, namespace=self._namespace, name=name):
                        return False
            except (ApiError, CredentialsError) as error:
                self._log.warn("the API server does not say whether leases are allowed", error=str(error))
                await asyncio.sleep(1.0)
            else:
                return True


def _record(lease: _Lease) -> Record:
    spec = lease.spec
    return Record(
        holder=spec.holder_identity or "",
        duration_s=spec.lease_duration_seconds or 0,
        transitions=spec.lease_transitions or 0,
        acquired=spec.acquire_time or "",
        renewed=spec.renew_time or "",
    )


async def _end(work: asyncio.Future[None] | None) -> None:
    """Cancels the work and waits for its end; an error on the way out is logged, the way out goes on."""
    if work is None:
        return
    if not work.done():
        work.cancel()
        await asyncio.wait({work})
        if not work.cancelled() and (error := work.exception()) is not None:
            logs.logger(op="leaderElection").error("the leader's work failed at its end", error=error, traceback=True)
