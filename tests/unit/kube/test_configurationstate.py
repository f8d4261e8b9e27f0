"""The writer of ConfigurationState objects against an API server that remembers one: few writes, and always the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web

from metallb.config import telling
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.state import CONTROLLER, Evaluation
from metallb.kube import configurationstate, informer
from metallb.kube.backoff import Backoff
from metallb.kube.client import KubeClient
from metallb.kube.configurationstate import ConfigurationReport, Outlets, Place
from metallb.telemetry import logs

COLLECTION = "/apis/metallb.io/v1beta1/namespaces/metallb-system/configurationstates"
OBJECT = f"{COLLECTION}/controller"
POD = "/api/v1/namespaces/metallb-system/pods/controller-1"

ERROR = ConfigError(ObjectName("IPAddressPool", "metallb-system", "p"), "spec.addresses[0]", "x", "is no CIDR")
OTHER = ConfigError(ObjectName("IPAddressPool", "metallb-system", "q"), "spec.addresses[0]", "y", "is no CIDR")
BAD = Evaluation((ERROR,))


def refusal(code: int, reason: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": "no"}
    return web.json_response(body, status=code)


@dataclass
class States:
    """One ConfigurationState as the API server keeps it, its watch, and what was written to it.

    Attributes:
        refuse: answered instead of every write; one a request.
        pod: the uid of our own Pod; empty: it may not be read.
        mute: whether the watch says nothing of writes.
    """

    found: dict[str, Any] | None = None
    version: int = 10
    writes: list[tuple[str, str, Any]] = field(default_factory=list)
    refuse: list[web.Response] = field(default_factory=list)
    pod: str = "u-1"
    mute: bool = False
    watchers: list[asyncio.Queue[dict[str, Any]]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == POD:
            pod = {"metadata": {"name": "controller-1", "uid": self.pod}}
            return web.json_response(pod) if self.pod else refusal(403, "Forbidden")
        if request.path == COLLECTION:
            return await self.watch(request)
        assert request.path.startswith(OBJECT), request.path
        if request.method == "GET":
            return web.json_response(self.found) if self.found else refusal(404, "NotFound")
        return await self.apply(request)

    async def apply(self, request: web.Request) -> web.Response:
        part = request.path.removeprefix(OBJECT)
        body = await request.json()
        if self.refuse:
            answer = self.refuse.pop(0)
            async with self.changed:
                self.writes.append((f"refused {part}", request.query["fieldManager"], body))
                self.changed.notify_all()
            return answer
        assert request.query["force"] == "true"
        if self.found is None and part:
            return refusal(404, "NotFound")
        self.writes.append((part, request.query["fieldManager"], body))
        known = self.found or {"metadata": {"name": "controller", "namespace": "metallb-system"}}
        if part:
            await self.put({**known, "status": body["status"]})
        else:
            await self.put({**known, "metadata": {**known["metadata"], **body["metadata"]}})
        return web.json_response(self.found)

    async def put(self, found: dict[str, Any] | None) -> None:
        """The object changes (None: goes), and the watch tells."""
        self.version += 1
        kind, told = ("MODIFIED", found) if found else ("DELETED", self.found)
        assert told is not None
        told = {**told, "metadata": {**told["metadata"], "resourceVersion": str(self.version)}}
        self.found = told if found else None
        for watcher in self.watchers if not self.mute else ():
            watcher.put_nowait({"type": kind, "object": told})
        async with self.changed:
            self.changed.notify_all()

    async def watch(self, request: web.Request) -> web.StreamResponse:
        assert request.query["fieldSelector"] == "metadata.name=controller"
        response = web.StreamResponse()
        await response.prepare(request)
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.watchers.append(events)
        if self.found:
            events.put_nowait({"type": "ADDED", "object": self.found})
        end = {"resourceVersion": str(self.version), "annotations": {"k8s.io/initial-events-end": "true"}}
        events.put_nowait({"type": "BOOKMARK", "object": {"metadata": end}})
        while True:
            await response.write(msgspec.json.encode(await events.get()) + b"\n")

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.changed, asyncio.timeout(60):
            await self.changed.wait_for(condition)

    @property
    def says(self) -> tuple[str, str]:
        status = (self.found or {}).get("status", {})
        return status.get("result", ""), status.get("errorSummary", "")

    @property
    def condition(self) -> dict[str, str]:
        assert self.found is not None
        (only,) = self.found["status"]["conditions"]
        return dict(only)


@dataclass
class Told:
    """What came out beside the object."""

    stale: list[bool] = field(default_factory=list)
    errors: list[ConfigError] = field(default_factory=list)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "PATIENCE_S", 0.02)
    monkeypatch.setattr(configurationstate, "REFUSED_S", 0.01)
    monkeypatch.setattr(informer, "BACKOFF", Backoff(0.001, 0.002))


@pytest.fixture
def states(server: Any) -> States:
    made = States()
    server.fallback = made.handle
    return made


@pytest.fixture
def told() -> Told:
    return Told()


@asynccontextmanager
async def reporting(client: KubeClient, told: Told, pod: str = "controller-1") -> AsyncIterator[ConfigurationReport]:
    outlets = Outlets(stale=told.stale.append, tell=told.errors.append)
    wall = iter(range(1_767_225_600, 1_767_300_000, 60))
    report = ConfigurationReport(
        client, CONTROLLER, Place("metallb-system", pod), outlets, wall=lambda: float(next(wall))
    )
    task = asyncio.create_task(report.run())
    try:
        yield report
        async with asyncio.timeout(60):
            await report._queue.idle()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def report(client: KubeClient, states: States, told: Told) -> AsyncIterator[ConfigurationReport]:
    async with reporting(client, told) as made:
        yield made


async def test_the_first_evaluation_makes_the_object_and_then_its_status(
    report: ConfigurationReport, states: States
) -> None:
    report.judged(Evaluation())
    await states.until(lambda: states.says == ("Valid", ""))
    (made, maker, body), (part, manager, status) = states.writes
    assert (made, maker, part, manager) == ("", "tester", "/status", "poolReconciler")
    assert body == {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "ConfigurationState",
        "metadata": {
            "name": "controller",
            "namespace": "metallb-system",
            "labels": {"metallb.io/component-type": "controller"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "controller-1", "uid": "u-1"}],
        },
    }
    assert status["status"]["conditions"] == [
        {
            "type": "poolReconcilerValid",
            "status": "True",
            "reason": "Reconciled",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]


async def test_the_same_evaluation_again_writes_nothing(
    report: ConfigurationReport, states: States, server: Any
) -> None:
    report.judged(BAD)
    await states.until(lambda: states.says[0] == "Invalid")
    writes = len(states.writes)
    for _ in range(5):
        report.judged(BAD)
        await report._queue.idle()
    assert len(states.writes) == writes
    assert states.writes[-1][0] == "/status"


async def test_a_cache_that_lags_behind_our_own_write_does_not_write_again(
    report: ConfigurationReport, states: States
) -> None:
    states.mute = True
    report.judged(BAD)
    await states.until(lambda: states.says[0] == "Invalid")
    since = states.condition["lastTransitionTime"]
    report.judged(Evaluation((ERROR, OTHER)))
    await states.until(lambda: "q:" in states.says[1])
    report.judged(Evaluation((ERROR, OTHER)))
    await report._queue.idle()
    assert [part for part, _, _ in states.writes] == ["", "/status", "/status"]
    assert states.condition["lastTransitionTime"] == since, "the status did not change"


async def test_after_a_restart_nothing_is_written_where_nothing_changed(
    client: KubeClient, states: States, told: Told
) -> None:
    async with reporting(client, told) as report:
        report.judged(BAD)
        await states.until(lambda: states.says[0] == "Invalid")
    before = list(states.writes)
    async with reporting(client, told) as report:
        report.judged(BAD)
        await report._queue.idle()
    assert states.writes == before


async def test_another_pod_takes_the_object_over(client: KubeClient, states: States, told: Told) -> None:
    async with reporting(client, told) as report:
        report.judged(Evaluation())
        await states.until(lambda: states.says[0] == "Valid")
    states.pod = "u-2"
    async with reporting(client, told) as report:
        report.judged(Evaluation())
        await states.until(lambda: states.found["metadata"]["ownerReferences"][0]["uid"] == "u-2")  # type: ignore[index]  # it is there
    assert [part for part, _, _ in states.writes] == ["", "/status", ""]


class TestTheObject:
    async def test_that_is_deleted_comes_back_with_all_it_said(
        self, report: ConfigurationReport, states: States
    ) -> None:
        report.judged(BAD)
        await states.until(lambda: states.says[0] == "Invalid")
        said = states.says
        await states.put(None)
        await states.until(lambda: states.says == said)
        assert [part for part, _, _ in states.writes] == ["", "/status", "", "/status"]

    async def test_that_somebody_changes_is_put_right(self, report: ConfigurationReport, states: States) -> None:
        report.judged(BAD)
        await states.until(lambda: states.says[0] == "Invalid")
        said, found = states.says, states.found
        assert found is not None
        await states.put({**found, "status": {"result": "Valid"}})
        await states.until(lambda: states.says == said)
        await states.put({**found, "metadata": {**found["metadata"], "labels": {}}})
        await states.until(lambda: states.found is not None and bool(states.found["metadata"]["labels"]))

    async def test_has_no_owner_where_our_pod_can_not_be_read(
        self, report: ConfigurationReport, states: States
    ) -> None:
        states.pod = ""
        report.judged(Evaluation())
        await states.until(lambda: states.says[0] == "Valid")
        assert "ownerReferences" not in states.writes[0][2]["metadata"]
        await report._queue.idle()
        assert len(states.writes) == 2

    async def test_has_no_owner_outside_of_a_cluster(
        self, client: KubeClient, states: States, told: Told, server: Any
    ) -> None:
        async with reporting(client, told, pod="") as report:
            report.judged(Evaluation())
            await states.until(lambda: states.says[0] == "Valid")
        assert POD not in [seen.path for seen in server.seen]


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([(503, "ServiceUnavailable")] * 3, id="an outage"),
        pytest.param([(403, "Forbidden")] * 3, id="a right that comes later"),
        pytest.param([(404, "NotFound")] * 3, id="a kind that is installed later"),
        pytest.param([(409, "Conflict")], id="a conflict"),
    ],
)
async def test_a_refused_write_is_tried_again(
    answers: list[tuple[int, str]], report: ConfigurationReport, states: States
) -> None:
    states.refuse = [refusal(*each) for each in answers]
    report.judged(BAD)
    await states.until(lambda: states.says[0] == "Invalid")
    assert len([part for part, _, _ in states.writes if part.startswith("refused")]) == len(answers)


async def test_a_missing_right_is_said_once_in_the_log(
    report: ConfigurationReport, states: States, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info")
    states.refuse = [refusal(403, "Forbidden") for _ in range(5)]
    report.judged(Evaluation())
    await states.until(lambda: states.says[0] == "Valid")
    assert capsys.readouterr().out.count("can't be written") == 1


class TestWhatIsTold:
    async def test_stale_follows_the_truth_also_back_to_the_same_configuration(
        self, report: ConfigurationReport, told: Told, states: States
    ) -> None:
        for evaluation in (Evaluation(), BAD, Evaluation()):
            report.judged(evaluation)
        assert told.stale == [False, True, False]
        await states.until(lambda: states.says == ("Valid", ""))

    async def test_an_error_that_lasts_is_told_once_and_again_when_it_changes(
        self, report: ConfigurationReport, told: Told, states: States
    ) -> None:
        for _ in range(3):
            report.judged(BAD)
            await report._queue.idle()
        assert told.errors == [ERROR]
        report.judged(Evaluation((ERROR, OTHER)))
        await report._queue.idle()
        assert told.errors == [ERROR, OTHER]
        report.judged(Evaluation())
        report.judged(BAD)
        await report._queue.idle()
        assert told.errors == [ERROR, OTHER, ERROR]

    async def test_the_log_names_each_error_once_and_that_it_is_over(
        self, report: ConfigurationReport, states: States, capsys: pytest.CaptureFixture[str]
    ) -> None:
        logs.configure("info")
        for evaluation in (BAD, BAD, Evaluation((ERROR, OTHER)), Evaluation(), BAD, Evaluation()):
            report.judged(evaluation)
        lines = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
        said = [(line["event"], line["msg"].rpartition(": ")[2], line.get("error")) for line in lines]
        first = "nothing is done until it is valid"
        assert said == [
            ("configRejected", first, str(ERROR)),
            ("configRejected", first, str(OTHER)),
            ("configRejected", "the one before stays in force", str(ERROR)),
            ("configValid", "configuration valid again", None),
        ]


async def test_what_can_not_be_read_is_said_until_there_is_something_to_judge(
    report: ConfigurationReport, told: Told, states: States
) -> None:
    report.unread(("ipaddresspools.metallb.io can't be read: no right",))
    await states.until(lambda: states.says[0] == "Unknown")
    assert states.condition["reason"] == "InfraError"
    assert told.stale == []
    report.judged(Evaluation())
    await states.until(lambda: states.says == ("Valid", ""))


async def test_nothing_is_written_before_there_is_something_to_say(
    report: ConfigurationReport, states: States, server: Any
) -> None:
    await server.requests(1)
    await report._queue.idle()
    assert states.found is None
    await states.put({"metadata": {"name": "controller", "namespace": "metallb-system"}})
    await report._queue.idle()
    assert states.writes == []
