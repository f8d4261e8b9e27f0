from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from metallb.kube.client import KubeClient
from metallb.kube.election import Timing
from metallb.kube.lease import Leadership, micro_time

QUICK = Timing(duration_s=1, renew_deadline_s=0.6, retry_s=0.05)


class LeaseServer:
    """Keeps one Lease, with optimistic concurrency, and answers what is allowed."""

    def __init__(self, fake: Any, answer: Any) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.allowed = True
        self.down = False
        self._fake = fake
        self._answer = answer
        fake.fallback = self.handle

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = self._fake.seen[-1].body
        if request.path.endswith("selfsubjectaccessreviews"):
            return web.json_response({"status": {"allowed": self.allowed}})
        if self.down:
            return self._answer(503, "ServiceUnavailable")  # type: ignore[no-any-return]  # the fixture is untyped
        if request.method == "GET":
            return self._answer(404, "NotFound") if self.lease is None else web.json_response(self.lease)
        if request.method == "POST" and self.lease is not None:
            return self._answer(409, "AlreadyExists")  # type: ignore[no-any-return]  # the same
        if request.method == "PUT" and body["metadata"]["resourceVersion"] != str(self.version):
            return self._answer(409, "Conflict")  # type: ignore[no-any-return]  # the same
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.lease = body
        return web.json_response(body)

    @property
    def holder(self) -> str:
        return "" if self.lease is None else self.lease["spec"].get("holderIdentity", "")


@pytest.fixture
def lease(server: Any, answer: Any) -> LeaseServer:
    return LeaseServer(server, answer)


class Candidate:
    def __init__(self, client: KubeClient, name: str) -> None:
        self.leads = asyncio.Event()
        self.stopped = asyncio.Event()
        self.leadership = Leadership(client, namespace="ns", name="l", identity=name, timing=QUICK)
        self.task = asyncio.create_task(self.leadership.run(self.lead))

    async def lead(self) -> None:
        self.leads.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.leads.clear()
            self.stopped.set()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_one_of_two_leads_and_hands_over_when_it_stops(lease: LeaseServer, client: KubeClient) -> None:
    async with asyncio.timeout(60):
        first = Candidate(client, "a")
        await first.leads.wait()
        second = Candidate(client, "b")
        assert lease.holder == "a"
        assert lease.lease is not None
        assert lease.lease["spec"]["leaseDurationSeconds"] == 1
        await first.stop()
        assert first.stopped.is_set()
        await second.leads.wait()
        assert lease.holder == "b"
        assert lease.lease["spec"]["leaseTransitions"] == 1
        await second.stop()
    assert lease.holder == ""


async def test_a_leader_without_a_server_stops_in_time_and_leads_again(lease: LeaseServer, client: KubeClient) -> None:
    async with asyncio.timeout(60):
        only = Candidate(client, "a")
        await only.leads.wait()
        lease.down = True
        await only.stopped.wait()
        assert not only.leadership.leading
        lease.down = False
        await only.leads.wait()
        await only.stop()


async def test_a_dead_leader_is_replaced_after_its_time(lease: LeaseServer, client: KubeClient) -> None:
    lease.version = 5
    lease.lease = {
        "metadata": {"name": "l", "namespace": "ns", "resourceVersion": "5", "labels": {"kept": "yes"}},
        "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 1, "leaseTransitions": 7},
    }
    async with asyncio.timeout(60):
        heir = Candidate(client, "a")
        await heir.leads.wait()
        assert lease.lease["metadata"]["labels"] == {"kept": "yes"}
        assert lease.lease["spec"]["leaseTransitions"] == 8
        await heir.stop()


async def test_where_leases_are_not_allowed_it_leads_alone(lease: LeaseServer, client: KubeClient) -> None:
    lease.allowed = False
    async with asyncio.timeout(60):
        only = Candidate(client, "a")
        await only.leads.wait()
        await only.stop()
    assert lease.lease is None


async def test_work_that_fails_ends_the_leadership_with_its_error(lease: LeaseServer, client: KubeClient) -> None:
    async def fail() -> None:
        raise RuntimeError("mistake")

    leadership = Leadership(client, namespace="ns", name="l", identity="a", timing=QUICK)
    async with asyncio.timeout(60):
        with pytest.raises(RuntimeError):
            await leadership.run(fail)
    assert lease.holder == ""


@pytest.mark.parametrize(
    ("wall", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_795_473_000.25, "2026-11-23T22:30:00.250000Z"),
        (1.9999999, "1970-01-01T00:00:02.000000Z"),
    ],
)
def test_times_have_six_digits(wall: float, text: str) -> None:
    assert micro_time(wall) == text
