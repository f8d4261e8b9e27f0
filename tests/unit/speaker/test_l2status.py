"""ServiceL2Status objects against an API server that keeps them: the truth, by few writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web

from metallb.advertisement.layer2 import Announce
from metallb.api.core import OwnerReference
from metallb.api.net import Address, InterfaceName, NodeName, ServiceKey
from metallb.api.v1beta1_states import AddressConflict
from metallb.kube.client import KubeClient
from metallb.kube.credentials import Credentials
from metallb.speaker import l2status
from metallb.speaker.l2status import L2Statuses, Mine, name_of
from metallb.speaker.showing import Shown

A, B = NodeName("node-a"), NodeName("node-b")
WEB, MAIL = ServiceKey("default", "web"), ServiceKey("default", "mail")
COLLECTION = "/apis/metallb.io/v1beta1/namespaces/metallb-system/servicel2statuses"
OWNER = OwnerReference("v1", "Pod", "speaker-1", "uid-1")
NAMED = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no"}


def everywhere(*interfaces: str, **more: Any) -> Shown:
    return Shown(Announce((Address.parse("198.51.100.100"),), frozenset(map(InterfaceName, interfaces))), **more)


def held_by(mac: str, *, announced: bool = False) -> tuple[AddressConflict, ...]:
    return (AddressConflict("198.51.100.100", "eth0", mac, announced),)


def found(node: NodeName, service: ServiceKey, name: str = "", **status: Any) -> dict[str, Any]:
    labels = {
        "metallb.io/node": node,
        "metallb.io/service-name": service.name,
        "metallb.io/service-namespace": service.namespace,
    }
    return {
        "metadata": {"name": name or name_of(node, service), "namespace": "metallb-system", "labels": labels},
        "status": {"node": node, "serviceName": service.name, "serviceNamespace": service.namespace, **status},
    }


@dataclass
class Api:
    """Keeps the objects, tells their watch, and notes each write."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: int = 10
    writes: list[str] = field(default_factory=list)
    refuse: int = 0
    prunes: frozenset[str] = frozenset()
    watchers: list[asyncio.Queue[dict[str, Any]]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return await self.watch(request)
        _, name, *part = request.path.removeprefix(COLLECTION).split("/")
        if self.refuse:
            await self.note(f"refused {request.method}")
            return web.json_response({**NAMED, "code": self.refuse, "reason": "x"}, status=self.refuse)
        body = await request.json()
        if request.method == "DELETE":
            known = self.objects.get(name)
            if known is None:
                return web.json_response({**NAMED, "code": 404, "reason": "NotFound"}, status=404)
            assert body["preconditions"]["uid"] == known["metadata"]["uid"]
            await self.put(name, None)
            await self.note(f"delete {name}")
            return web.json_response({})
        known = self.objects.get(name, {"metadata": {"uid": f"u-{self.version}"}})
        if part:
            status = {k: v for k, v in body["status"].items() if v is not None and k not in self.prunes}
            await self.put(name, {**known, "status": status})
        else:
            metadata = {**known["metadata"], **body["metadata"]}
            await self.put(name, {**known, "metadata": metadata})
        await self.note(f"write {'/'.join([name, *part])}")
        return web.json_response(self.objects[name])

    async def note(self, what: str) -> None:
        async with self.changed:
            self.writes.append(what)
            self.changed.notify_all()

    async def put(self, name: str, item: dict[str, Any] | None) -> None:
        """An object changes (None: goes), and the watch tells."""
        self.version += 1
        told = item or self.objects[name]
        metadata = {"uid": f"u-{self.version}", **told["metadata"], "resourceVersion": str(self.version)}
        told = {**told, "metadata": metadata}
        if item is None:
            del self.objects[name]
        else:
            self.objects[name] = told
        for watcher in self.watchers:
            watcher.put_nowait({"type": "MODIFIED" if item else "DELETED", "object": told})

    async def watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.watchers.append(events)
        for each in self.objects.values():
            events.put_nowait({"type": "ADDED", "object": each})
        end = {"resourceVersion": str(self.version), "annotations": {"k8s.io/initial-events-end": "true"}}
        events.put_nowait({"type": "BOOKMARK", "object": {"metadata": end}})
        while True:
            await response.write(msgspec.json.encode(await events.get()) + b"\n")

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.changed, asyncio.timeout(60):
            await self.changed.wait_for(condition)


@dataclass
class World:
    """A speaker's statuses, and what it announces."""

    api: Api
    statuses: L2Statuses
    announced: dict[ServiceKey, Shown]

    def announce(self, service: ServiceKey, wanted: Shown | None) -> None:
        if wanted is None:
            del self.announced[service]
        else:
            self.announced[service] = wanted
        self.statuses.review(service)

    async def seen(self, name: str) -> None:
        """Until the speaker has the object as it is."""
        async with asyncio.timeout(60):
            while True:
                known = self.statuses._present.store.get(("metallb-system", name))
                if known and known.metadata.resource_version == self.api.objects[name]["metadata"]["resourceVersion"]:
                    return
                await asyncio.sleep(0.01)

    async def rest(self) -> None:
        """Until what was written has come back by the watch, and is as wanted."""
        async with asyncio.timeout(60):
            await self.statuses._queue.idle()
            while not self.is_known():  # a cache that catches up with nothing new has no event
                await asyncio.sleep(0.01)
                await self.statuses._queue.idle()

    def is_known(self) -> bool:
        """Whether the speaker's cache is what the API has."""
        known = {each.metadata.name: each.metadata.resource_version for each in self.statuses._present.store}
        return known == {name: each["metadata"]["resourceVersion"] for name, each in self.api.objects.items()}


@asynccontextmanager
async def served(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[KubeClient]:
    """A client of a server on the loopback."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with KubeClient(Credentials("http://{}:{}".format(*runner.addresses[0])), timeout_s=5) as client:
            yield client
    finally:
        await runner.cleanup()


@pytest.fixture
def world() -> Callable[..., Any]:
    @asynccontextmanager
    async def made(*objects: dict[str, Any], announced: dict[ServiceKey, Shown] | None = None) -> AsyncIterator[World]:
        api = Api()
        for each in objects:
            await api.put(each["metadata"]["name"], each)
        known = announced or {}
        async with served(api.handle) as client:
            statuses = L2Statuses(client, Mine("metallb-system", A, lambda: OWNER), known.get)
            for key in known:
                statuses.review(key)
            running = asyncio.create_task(statuses.run())
            try:
                yield World(api, statuses, known)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    return made


OURS = name_of(A, WEB)


async def test_who_announces_says_so_once(world: Callable[..., Any]) -> None:
    async with world(announced={WEB: everywhere()}) as w:
        await w.api.until(lambda: f"write {OURS}/status" in w.api.writes)
        await w.rest()
        item = w.api.objects[OURS]
        assert item["status"] == {"node": A, "serviceName": "web", "serviceNamespace": "default"}
        assert item["metadata"]["labels"] == found(A, WEB)["metadata"]["labels"]
        assert item["metadata"]["ownerReferences"] == [
            {"apiVersion": "v1", "kind": "Pod", "name": "speaker-1", "uid": "uid-1"}
        ]
        before = len(w.api.writes)
        w.statuses.review(WEB)
        await w.rest()
        assert len(w.api.writes) == before, "nothing changed, nothing is written"


async def test_interfaces_are_told_in_order(world: Callable[..., Any]) -> None:
    async with world(announced={WEB: everywhere("eth1", "eth0")}) as w:
        await w.api.until(lambda: f"write {OURS}/status" in w.api.writes)
        assert w.api.objects[OURS]["status"]["interfaces"] == [{"name": "eth0"}, {"name": "eth1"}]
        w.announce(WEB, everywhere())
        await w.api.until(lambda: "interfaces" not in w.api.objects[OURS]["status"])


async def test_who_announces_no_more_takes_it_back(world: Callable[..., Any]) -> None:
    async with world(announced={WEB: everywhere()}) as w:
        await w.api.until(lambda: f"write {OURS}/status" in w.api.writes)
        w.announce(WEB, None)
        await w.api.until(lambda: not w.api.objects)


async def test_at_the_start_what_is_not_true_any_more_goes(world: Callable[..., Any]) -> None:
    async with world(found(A, WEB), found(A, MAIL, "l2-abcde"), found(B, MAIL)) as w:
        await w.api.until(lambda: len(w.api.writes) == 2)
        await w.rest()
        assert list(w.api.objects) == [name_of(B, MAIL)], "what others announce is theirs"


async def test_what_the_node_before_left_behind_goes_and_duplicates_too(world: Callable[..., Any]) -> None:
    async with world(found(B, WEB), found(A, WEB, "l2-abcde"), announced={WEB: everywhere()}) as w:
        await w.api.until(lambda: f"write {OURS}/status" in w.api.writes)
        await w.rest()
        assert list(w.api.objects) == [OURS]


async def test_two_that_both_announce_do_not_fight(world: Callable[..., Any]) -> None:
    async with world(found(B, WEB), announced={WEB: everywhere()}) as w:
        await w.api.until(lambda: list(w.api.objects) == [OURS])
        await w.api.put(name_of(B, WEB), found(B, WEB))
        w.announce(MAIL, everywhere())
        await w.api.until(lambda: f"write {name_of(A, MAIL)}/status" in w.api.writes)
        assert w.api.writes.count(f"delete {name_of(B, WEB)}") == 1


class TestConflicts:
    async def test_are_told_without_a_node_until_it_announces(
        self, world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(l2status, "CONFLICT_AGAIN_S", 3600.0)
        one, another = "02:00:00:00:00:66", "02:00:00:00:00:67"
        async with world(announced={WEB: Shown(None, held_by(one), flagged=True)}) as w:
            await w.api.until(lambda: f"write {OURS}/status" in w.api.writes)
            await w.seen(OURS)
            shown = {"address": "198.51.100.100", "interface": "eth0", "mac": one}
            item = w.api.objects[OURS]
            assert item["status"] == {"serviceName": "web", "serviceNamespace": "default", "conflicts": [shown]}
            assert item["metadata"]["labels"]["metallb.io/address-conflict"] == "true"
            w.announce(WEB, Shown(None, held_by(another), flagged=True))
            for service in (MAIL, ServiceKey("default", "last")):
                w.announce(service, everywhere())
                await w.api.until(lambda service=service: f"write {name_of(A, service)}/status" in w.api.writes)
            assert w.api.objects[OURS]["status"]["conflicts"] == [shown], "another Ethernet address can wait"
            w.announce(WEB, everywhere(conflicts=held_by(another, announced=True), flagged=True))
            await w.api.until(lambda: w.api.objects[OURS]["status"].get("node") == A)
            assert w.api.objects[OURS]["status"]["conflicts"] == [shown | {"mac": another, "announced": True}]
            w.announce(WEB, Shown(None, held_by(one), flagged=True))
            await w.api.until(lambda: "node" not in w.api.objects[OURS]["status"])
            w.announce(WEB, everywhere(flagged=True))
            await w.api.until(lambda: w.api.objects[OURS]["status"].get("node") == A)
            assert "conflicts" not in w.api.objects[OURS]["status"]
            w.announce(WEB, everywhere())
            await w.api.until(lambda: "metallb.io/address-conflict" not in w.api.objects[OURS]["metadata"]["labels"])
            assert not any(each.startswith("delete") for each in w.api.writes)

    async def test_of_ever_new_hosts_are_told_now_and_then(
        self, world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(l2status, "CONFLICT_AGAIN_S", 0.05)
        async with world() as w:
            for number in range(200):
                w.announce(WEB, Shown(None, held_by(f"02:00:00:00:00:{number:02x}"), flagged=True))
                await asyncio.sleep(0)
            last = f"02:00:00:00:00:{number:02x}"
            await w.api.until(lambda: [last] == [e["mac"] for e in w.api.objects[OURS]["status"].get("conflicts", [])])

    async def test_have_no_place_in_the_crd_of_others(self, world: Callable[..., Any]) -> None:
        async with world() as w:
            w.api.prunes = frozenset({"conflicts"})
            w.announce(WEB, Shown(None, held_by("02:00:00:00:00:66"), flagged=True))
            await w.api.until(lambda: f"delete {OURS}" in w.api.writes)
            w.announce(WEB, everywhere(conflicts=held_by("02:00:00:00:00:66", announced=True), flagged=True))
            await w.api.until(lambda: w.api.objects.get(OURS, {}).get("status", {}).get("node") == A)
            await w.rest()
            writes = len(w.api.writes)
            w.statuses.review(WEB)
            await w.rest()
            assert len(w.api.writes) == writes

    async def test_are_told_by_the_node_that_would_announce_and_replace_what_others_left(
        self, world: Callable[..., Any]
    ) -> None:
        shown = Shown(None, held_by("02:00:00:00:00:66"), flagged=True)
        async with world(found(B, WEB), announced={WEB: shown}) as w:
            await w.api.until(lambda: f"write {OURS}/status" in w.api.writes)
            await w.rest()
            assert list(w.api.objects) == [OURS]


class TestRepair:
    async def test_of_one_that_was_deleted(self, world: Callable[..., Any]) -> None:
        async with world(announced={WEB: everywhere()}) as w:
            await w.api.until(lambda: f"write {OURS}/status" in w.api.writes)
            await w.rest()
            await w.api.put(OURS, None)
            await w.api.until(lambda: w.api.objects.get(OURS, {}).get("status", {}).get("node") == A)

    @pytest.mark.parametrize(
        "edit",
        [
            pytest.param(found(A, WEB, interfaces=[{"name": "eth9"}]), id="its status"),
            pytest.param({**found(A, WEB), "status": {}}, id="its whole status"),
            pytest.param({**found(A, WEB), "metadata": {**found(A, WEB)["metadata"], "labels": {}}}, id="labels"),
        ],
    )
    async def test_of_one_that_was_edited(self, world: Callable[..., Any], edit: dict[str, Any]) -> None:
        async with world(announced={WEB: everywhere()}) as w:
            await w.api.until(lambda: f"write {OURS}/status" in w.api.writes)
            await w.rest()
            right = w.api.objects[OURS]

            def same() -> bool:
                now = w.api.objects[OURS]
                return bool(
                    (now["metadata"]["labels"], now["status"]) == (right["metadata"]["labels"], right["status"])
                )

            await w.api.put(OURS, edit)
            assert not same()
            await w.api.until(same)

    async def test_of_one_whose_fixed_fields_are_wrong(self, world: Callable[..., Any]) -> None:
        wrong = found(A, WEB)
        wrong["status"]["node"] = "elsewhere"
        async with world(wrong, announced={WEB: everywhere()}) as w:
            await w.api.until(lambda: f"write {OURS}/status" in w.api.writes)
            assert w.api.writes[0] == f"delete {OURS}"
            assert w.api.objects[OURS]["status"]["node"] == A


class TestOutage:
    async def test_what_could_not_be_written_is_written_later(self, world: Callable[..., Any]) -> None:
        async with world() as w:
            w.api.refuse = 503
            w.announce(WEB, everywhere())
            await w.api.until(lambda: len(w.api.writes) >= 2)
            w.api.refuse = 0
            await w.api.until(lambda: f"write {OURS}/status" in w.api.writes)

    async def test_a_refusal_is_not_tried_for_each_service(
        self, world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(l2status, "REFUSED_S", 0.3)
        async with world() as w:
            w.api.refuse = 403
            for number in range(20):
                w.announce(ServiceKey("default", f"s{number}"), everywhere())
            await w.api.until(lambda: len(w.api.writes) >= 1)
            assert len(w.api.writes) <= l2status._WORKERS
            w.api.refuse = 0
            await w.api.until(lambda: len(w.api.objects) == 20)
