"""The controller's own process on a bad road to the API server: killed at chosen requests, refused, cut off, held back.

Between the two is a proxy that tells of each request before it is passed on and before it is answered. A witness that
watches the API server directly sees every state of every Service: no address may be with two at once, and none may leave
a Service that had it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
import yaml
from aiohttp import web
from msgspec.json import Decoder

from metallb.api.core import Service
from metallb.kube.answers import Changed
from metallb.kube.client import KubeClient
from metallb.kube.credentials import Credentials
from metallb.kube.errors import ApiError, NotFoundError
from metallb.kube.objects import BARE, OBJECT
from metallb.kube.resources import IP_ADDRESS_POOLS, LEASES, NAMESPACES, SERVICES, Resource

MANIFESTS = Path(__file__).parents[2] / "manifests"
NAMESPACE = "metallb-system"
LEASE = "metallb-controller"
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
POOL = {
    "apiVersion": "metallb.io/v1beta1",
    "kind": "IPAddressPool",
    "metadata": {"name": "pool"},
    "spec": {"addresses": ["198.19.0.0/16"]},
}
WITNESSED = Decoder(Service)
HOP_BY_HOP = {"Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Host", "Content-Encoding"}

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="needs an API server of its own")

Moment = Literal["before", "after"]
Hook = Callable[[web.Request, Moment], Awaitable[None]]


async def no_hook(_request: web.Request, _moment: Moment) -> None:
    """Nothing happens on this road."""


class CutError(Exception):
    """The connection breaks here."""


@dataclass
class Road:
    """A proxy in front of the API server, which says who the client is: the administrator."""

    credentials: Credentials
    hook: Hook = no_hook
    url: str = ""
    writes: Counter[str] = field(default_factory=Counter)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """While clear, watches of Services bring nothing."""
    watching: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with the first thing that such a watch has brought."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Road]:
        self.held.set()
        connector = aiohttp.TCPConnector(ssl=self.credentials.tls.context(), limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self._session:
            runner = web.ServerRunner(web.Server(self._pass), shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield self
            finally:
                await runner.cleanup()

    async def _pass(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.BaseRequest)
        asked: Any = request
        try:
            await self.hook(asked, "before")
            return await self._forward(asked)
        except CutError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
        body = await request.read()
        target = self.credentials.server + str(request.rel_url)
        async with self._session.request(
            request.method, target, data=body or None, headers=headers, timeout=aiohttp.ClientTimeout(total=None)
        ) as answer:
            if is_write(request):
                self.writes[request.path.split("/")[-2]] += 1
            kept = {name: value for name, value in answer.headers.items() if name not in HOP_BY_HOP}
            if "watch" not in request.query:
                content = await answer.read()
                await self.hook(request, "after")
                return web.Response(status=answer.status, body=content, headers=kept)
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    if "/services" in request.path:
                        await self.held.wait()
                        self.watching.set()
                    await response.write(chunk)
            except (ConnectionError, aiohttp.ClientError):
                pass
            return response


def is_write(request: web.Request) -> bool:
    """Whether it is a write of a Service's status."""
    return request.method in {"PATCH", "PUT"} and "/services/" in request.path


class Controller:
    """One process of the controller at the end of a road."""

    def __init__(self, road: Road, folder: Path, name: str, port: int) -> None:
        self.road = road
        self._folder = folder
        self._name = name
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False
        self._keeper: asyncio.Task[int] | None = None

    async def start(self) -> None:
        """Starts it, and again whenever it ends by itself, as a kubelet does: on a busy machine a lead may be lost."""
        await self._run()
        self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> int:
        while True:
            assert self._process is not None
            code = await self._process.wait()
            if self._killed:
                return code
            await self._run()

    async def _run(self) -> None:
        config = self._folder / f"{self._name}.kubeconfig"
        cluster = {"name": "c", "cluster": {"server": self.road.url}}
        context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
        users = [{"name": "u", "user": {}}]
        config.write_text(
            yaml.safe_dump({"clusters": [cluster], "contexts": [context], "users": users, "current-context": "x"})
        )
        arguments = ("controller", "--port=0", "--webhook-mode=disabled", f"--health-probe-port={self._port}")
        with (self._folder / f"{self._name}.log").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "metallb", *arguments),
                env={**os.environ, "KUBECONFIG": str(config), "METALLB_NAMESPACE": NAMESPACE, "METALLB_POD_NAME": ""},
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
            )

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self._folder / f"{self._name}.log").read_text().splitlines()]

    def kill(self) -> None:
        """Once: the second time asyncio would look whether it lives, and take its exit code away from who waits for it."""
        assert self._process is not None
        if not self._killed:
            self._killed = True
            os.kill(self._process.pid, signal.SIGKILL)

    async def ended(self) -> int:
        assert self._keeper is not None
        return await self._keeper

    async def stop(self, number: int = signal.SIGTERM) -> None:
        assert self._process is not None
        if not self._killed:
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
        await self.ended()

    async def ready(self) -> None:
        """Until it says that it knows all that it has to know."""
        url = f"http://127.0.0.1:{self._port}/readyz"
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)


@dataclass
class Witness:
    """Sees every state of every Service, and remembers what must not have been.

    Attributes:
        forgiving: addresses may be with two for a moment, if all ends well: two leaders at once are promised no more.
    """

    client: KubeClient
    shown: dict[str, tuple[str, ...]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    forgiving: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self) -> None:
        async with self.client.watch(
            SERVICES, decoder=WITNESSED, resource_version="", timeout_s=600, namespace="default", initial_events=True
        ) as events:
            async for event in events:
                if isinstance(event, Changed) and event.object.spec.type == "LoadBalancer":
                    self.see(event.object.metadata.name, event.object)
                self.changed.set()

    def see(self, name: str, service: Service) -> None:
        now = tuple(entry.ip for entry in service.status.load_balancer.ingress)
        before = self.shown.get(name, ())
        self.shown[name] = now
        if self.forgiving:
            return
        if before and now != before:
            self.wrong.append(f"{name} had {before} and has {now}")
        self.wrong += [
            f"{name} and {other} both have {now}"
            for other, theirs in self.shown.items()
            if other != name and now and now == theirs
        ]

    async def until(self, holds: Callable[[], bool], timeout_s: float = 100.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def all_assigned(self) -> None:
        await self.until(lambda: all(self.shown.values()))
        found = [ip for ips in self.shown.values() for ip in ips]
        assert len(found) == len(set(found)) == len(self.shown)
        assert self.wrong == []


@dataclass
class World:
    """An API server with the CRDs and a pool, ways to it, and controllers."""

    client: KubeClient
    credentials: Credentials
    folder: Path
    stack: AsyncExitStack
    witness: Witness
    free_port: Callable[[], int]

    async def road(self, hook: Hook = no_hook) -> Road:
        return await self.stack.enter_async_context(Road(self.credentials, hook).open())

    async def controller(self, road: Road, name: str = "controller") -> Controller:
        made = Controller(road, self.folder, name, self.free_port())
        await made.start()
        self.stack.push_async_callback(made.stop, signal.SIGKILL)
        return made

    async def create(self, *names: str, **more: Any) -> None:
        spec = {"type": "LoadBalancer", "selector": {"app": "x"}, "ports": [{"port": 80}], **more}
        for name in names:
            body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
            await self.client.create(SERVICES, body, namespace="default", decoder=BARE)
        await self.witness.until(lambda: all(name in self.witness.shown for name in names))

    async def lease_runs_out(self) -> None:
        """As three seconds would do it: its holder is dead."""
        try:
            await self.client.delete(LEASES, LEASE, namespace=NAMESPACE)
        except NotFoundError:
            return

    async def holder(self) -> str:
        try:
            found: Any = await self.client.get(LEASES, LEASE, namespace=NAMESPACE, decoder=OBJECT)
        except NotFoundError:
            return ""
        return str(found["spec"].get("holderIdentity") or "")


@pytest.fixture
async def world(
    client: KubeClient, credentials: Credentials, tmp_path: Path, free_port: Callable[[], int]
) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        made = World(client, credentials, tmp_path, stack, Witness(client), free_port)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        await client.create(NAMESPACES, namespace, decoder=BARE)
        for path in sorted((MANIFESTS / "crds").glob("*.yaml")):
            await client.create(CRDS, yaml.safe_load(path.read_text()), decoder=BARE)
        async with asyncio.timeout(60):
            while True:
                try:
                    await client.create(IP_ADDRESS_POOLS, POOL, namespace=NAMESPACE, decoder=BARE)
                    break
                except ApiError:  # not served yet
                    await asyncio.sleep(0.05)
        watching = asyncio.create_task(made.witness.watch())
        try:
            yield made
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await stack.aclose()
    assert made.witness.wrong == []


@dataclass
class Killer:
    """Kills its victim at a request; nothing of that request, or of later ones, is passed on or answered."""

    count: int
    moment: Moment
    counts: Callable[[web.Request], bool]
    victim: Controller | None = None

    async def __call__(self, request: web.Request, moment: Moment) -> None:
        if moment == self.moment and self.counts(request):
            self.count -= 1
            if self.count <= 0 and self.victim is not None:
                self.victim.kill()
                raise CutError


async def lives_that_end(world: World, killers: list[Killer]) -> None:
    """One controller after the other, each killed in its own way; then one that lives."""
    for killer in killers:
        killer.victim = await world.controller(await world.road(killer))
        assert await killer.victim.ended() == -signal.SIGKILL
        await world.lease_runs_out()
    await world.controller(await world.road())
    await world.witness.all_assigned()


async def test_a_controller_killed_at_any_write_gives_no_address_to_two_and_takes_none(world: World) -> None:
    """Each life ends at another write: before the API server has it, or when it has answered and nobody has heard."""
    moments: tuple[Moment, ...] = ("before", "after")
    killers = [Killer(count, moment, is_write) for count in (1, 5, 20) for moment in moments]
    await world.create(*(f"s{number}" for number in range(300)))
    await lives_that_end(world, killers)
    assert all(killer.count <= 0 for killer in killers)


async def test_a_controller_killed_at_other_requests_starts_as_if_nothing_had_been(world: World) -> None:
    """Reading, electing, saying what it does: none of it may be a moment to die in."""
    await world.create(*(f"s{number}" for number in range(20)))
    await lives_that_end(world, [Killer(count, "before", lambda _request: True) for count in (2, 8, 11)])


async def rest(*roads: Road) -> None:
    """Until nothing is written for a second: it does not go on for ever."""
    async with asyncio.timeout(60):
        before = -1
        while (now := sum(road.writes.total() for road in roads)) != before:
            before = now
            await asyncio.sleep(1.0)


async def test_writes_whose_answers_get_lost_are_found_out_about(world: World) -> None:
    """An API server that dies in the middle of writes: some it has stored, of some it knows nothing."""
    count = 0

    async def lose(request: web.Request, moment: Moment) -> None:
        nonlocal count
        if is_write(request):
            count += 1
            if count % 5 == 0:
                raise CutError

    road = await world.road(lose)
    await world.create(*(f"s{number}" for number in range(60)))
    await world.controller(road)
    await world.witness.all_assigned()
    await rest(road)
    await world.witness.all_assigned()


async def test_users_who_edit_just_before_each_write_cost_a_second_attempt(world: World) -> None:
    edited: set[str] = set()

    async def edit(request: web.Request, moment: Moment) -> None:
        if is_write(request) and moment == "before":
            name = request.path.split("/")[-2]
            if name not in edited:
                edited.add(name)
                patch = {"metadata": {"annotations": {"example.org/edited": "yes"}}}
                await world.client.merge_patch(SERVICES, name, patch, namespace="default", decoder=BARE)

    road = await world.road(edit)
    await world.create(*(f"s{number}" for number in range(40)))
    await world.controller(road)
    await world.witness.all_assigned()
    assert len(edited) == 40
    assert max(road.writes.values()) <= 12, "one that conflicts, one that works; more while its cache lags"


async def test_a_new_leader_with_an_old_cache_gives_nothing_until_it_has_caught_up(world: World) -> None:
    """It knows thirty Services that wait, and has not heard that the leader before has served them."""
    await world.client.delete(IP_ADDRESS_POOLS, "pool", namespace=NAMESPACE)
    await world.create(*(f"s{number}" for number in range(30)))
    first, second = await world.road(), await world.road()
    leading = await world.controller(first, "leading")
    async with asyncio.timeout(60):
        while not await world.holder():  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.05)
    waiting = await world.controller(second, "waiting")
    await asyncio.wait_for(second.watching.wait(), 60)
    await waiting.ready()
    second.held.clear()
    await world.client.create(IP_ADDRESS_POOLS, POOL, namespace=NAMESPACE, decoder=BARE)
    await world.witness.all_assigned()
    dead = await world.holder()
    leading.kill()
    await leading.ended()
    await world.lease_runs_out()
    async with asyncio.timeout(60):
        while await world.holder() in {"", dead}:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert second.writes.total() == 0
    second.held.set()
    await world.create("late")
    await world.witness.all_assigned()
    assert set(second.writes) == {"late"}


async def test_a_slow_road_makes_it_slow_and_nothing_else(world: World) -> None:
    """Writes that take longer than a leader may go without renewing its Lease: they don't keep that waiting."""

    renewals, meanwhile = 0, list[int]()

    async def late(request: web.Request, moment: Moment) -> None:
        nonlocal renewals
        if moment == "before" and "watch" not in request.query:
            renewals += request.path.endswith(f"/leases/{LEASE}") and request.method != "GET"
            before = renewals
            await asyncio.sleep(2.5 if is_write(request) else 0.1)
            if is_write(request):
                meanwhile.append(renewals - before)

    await world.create(*(f"s{number}" for number in range(64)))
    await world.controller(await world.road(late))
    await world.witness.all_assigned()
    assert max(meanwhile) > 0, "renewed while writes are under way"


async def test_leaders_that_hand_over_while_services_come_move_nothing(world: World) -> None:
    """A rollout: the next one is there before the last one goes, three times over."""
    road = await world.road()
    now = await world.controller(road, "c0")
    creating = asyncio.create_task(world.create(*(f"s{number}" for number in range(150))))
    for number in range(1, 4):
        after = await world.controller(road, f"c{number}")
        await after.ready()
        await now.stop()
        now = after
    await creating
    await world.witness.all_assigned()
    assert max(road.writes.values()) <= 6, "a write that the one before had under way may be tried once more"


async def test_where_leases_are_not_allowed_two_controllers_end_without_a_quarrel(world: World) -> None:
    """Upstream's rules know no Leases: two at once, as in a rolling update, may collide, and must find peace."""

    async def deny(request: web.Request, moment: Moment) -> None:
        if moment == "before" and request.path.endswith("selfsubjectaccessreviews"):
            asked = json.loads(await request.read())["spec"]["resourceAttributes"]
            if asked["resource"] == "leases":
                raise web.HTTPCreated(text='{"status": {"allowed": false}}', content_type="application/json")

    world.witness.forgiving = True
    one, other = await world.road(deny), await world.road(deny)
    await world.create(*(f"s{number}" for number in range(60)))
    controllers = [await world.controller(one, "one"), await world.controller(other, "other")]

    def settled() -> bool:
        found = [ip for ips in world.witness.shown.values() for ip in ips]
        return len(found) == len(set(found)) == 60

    await world.witness.until(settled)
    await rest(one, other)
    await world.witness.until(settled)
    for controller in controllers:
        said = [line["msg"] for line in controller.log() if "run one replica only" in line["msg"]]
        assert len(said) == 1
