"""Runs cases against a cluster: each in a namespace of its own, which is gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from kubelab import kubeconfig
from kubelab.conformance.cases import Answer, Case, Recorded, Step
from kubelab.conformance.masks import Masks
from kubelab.kubeconfig import Connection
from kubelab.objects import Json, Object

_PATCHES: Final = {
    "JSON": "application/json-patch+json",
    "MERGE": "application/merge-patch+json",
    "STRATEGIC": "application/strategic-merge-patch+json",
    "APPLY": "application/apply-patch+yaml",
}
_REFERENCE: Final = re.compile(r"\$\{(\d+)\.([^}]+)\}")
_ENDPOINTS: Final = (
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name=kubernetes"
)
_PATIENCE_S: Final = 20.0
_LOOK_AGAIN_S: Final = 0.1
_TIMEOUT_S: Final = 30.0
_CREATED: Final = 201
_TRIES: Final = 3
"""How often a case may be run: real servers take a moment to heed rights and kinds that were just made."""


class RunError(Exception):
    """A case could not be run to its end: the cluster does not answer, or a condition never came true."""


class Runner:
    """A connection to the cluster under test, as an async context; `draw(n)` gives a random number below n.

    `patience_s`: how long it is waited for what a case waits for.
    """

    def __init__(self, connection: Connection, draw: Callable[[int], int], patience_s: float = _PATIENCE_S) -> None:
        self.patience_s = patience_s
        self._connection = connection
        self._draw = draw
        self._session: aiohttp.ClientSession | None = None
        self._address: str | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=kubeconfig.tls(self._connection) or True)
        headers = {"User-Agent": "conformance", "Accept": "application/json"}
        if self._connection.token:
            headers["Authorization"] = f"Bearer {self._connection.token}"
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def run(self, case: Case) -> list[Answer]:
        """What the cluster answers a case, masked.

        Raises:
            RunError: it does not answer, or not what the case waits for.
        """
        namespace = f"conformance-{self._draw(1 << 40):010x}"
        try:
            async with self._place(namespace) as run:
                return [answer for step in case.steps for answer in await run.step(step)]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RunError(str(error) or type(error).__name__) from error

    @contextlib.asynccontextmanager
    async def _place(self, namespace: str) -> AsyncIterator[_Run]:
        run = _Run(self, namespace, await self._server())
        made = await self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        if made.status != _CREATED:
            raise RunError(f"namespace {namespace} can't be made: {json.dumps(made.body)}")
        # Where controllers run they make it, too.
        await self.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})
        try:
            yield run
        finally:
            for path in reversed(run.made):
                await self.ask("DELETE", path)
            await self.ask("DELETE", f"/api/v1/namespaces/{namespace}")

    async def _server(self) -> str:
        """Address and port at which the API server is for its cluster, as it says itself."""
        if self._address is None:
            found: Any = (await self.ask("GET", _ENDPOINTS)).body
            slices = [each for each in found.get("items") or () if each["addressType"] == "IPv4"]
            self._address = (
                f"{slices[0]['endpoints'][0]['addresses'][0]}:{slices[0]['ports'][0]['port']}" if slices else ""
            )
        return self._address

    async def ask(self, method: str, path: str, body: Json = None, headers: dict[str, str] | None = None) -> Answer:
        """Send a request; the answer as it is.

        Raises:
            aiohttp.ClientError: there is none.
        """
        assert self._session is not None
        sent = dict(headers or {})
        if body is not None:
            sent.setdefault("Content-Type", _PATCHES.get(method, "application/json"))
        verb = "PATCH" if method in _PATCHES else "GET" if method in {"WATCH", "UNTIL"} else method
        data = None if body is None else body if isinstance(body, str) else json.dumps(body)
        async with self._session.request(verb, self._connection.server + path, data=data, headers=sent) as answer:
            text = await answer.text()
            warnings = [value for name, value in answer.headers.items() if name == "Warning"]
            return Answer(answer.status, _decoded(text, stream=method == "WATCH"), warnings)


class _Run:
    """A case on its way."""

    def __init__(self, runner: Runner, namespace: str, server: str) -> None:
        self._runner = runner
        self._namespace = namespace
        self._server = server
        self._masks = Masks(namespace, server)
        self._answers: list[Answer] = []
        self.made: list[str] = []
        """Paths of what was made outside the namespace."""

    async def step(self, step: Step) -> list[Answer]:
        """The masked answer of a step; none of one that only waits."""
        path, headers = self._path(step.path), {name: self._filled(value) for name, value in step.headers}
        body = None if step.body is None else json.loads(self._filled(json.dumps(step.body)))
        if step.method == "UNTIL":
            await self._until(path, body)
            return []
        answer = await self._runner.ask(step.method, path, body, headers)
        self._answers.append(answer)
        self._note(step, path, answer)
        # Who made the namespace's account first is chance; nobody compares it.
        return [
            Answer(answer.status, self._masks.applied(answer.body), [self._shown(each) for each in answer.warnings])
        ]

    def _shown(self, warning: str) -> str:
        return str(self._masks.applied(warning))

    async def _until(self, path: str, wanted: Json) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._runner.patience_s
        while True:
            answer = await self._runner.ask("GET", path)
            found = {"status": answer.status, "body": answer.body}
            if contains(found, wanted):
                return
            if loop.time() > end:
                raise RunError(f"{path} never had {json.dumps(wanted)}; it has {json.dumps(found)[:500]}")
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _note(self, step: Step, path: str, answer: Answer) -> None:
        name = answer.body.get("metadata", {}).get("name") if isinstance(answer.body, dict) else None
        outside = step.path.startswith("/") and self._namespace not in path.partition("?")[0].split("/")
        if step.method == "POST" and answer.status == _CREATED and outside and name and "dryRun" not in path:
            self.made.append(f"{path.partition('?')[0]}/{name}")

    def _path(self, path: str) -> str:
        path = self._filled(path)
        if path.startswith("/"):
            return path
        before, question, query = path.partition("?")
        parts = before.split("/")
        versioned = len(parts) > 2 and re.fullmatch(r"v\d\w*", parts[1])  # noqa: PLR2004  # GROUP/VERSION/RESOURCE
        root = f"/apis/{parts[0]}/{parts[1]}" if versioned else "/api/v1"
        rest = "/".join(parts[2:] if versioned else parts)
        return f"{root}/namespaces/{self._namespace}/{rest}{question}{query}"

    def _filled(self, text: str) -> str:
        return _REFERENCE.sub(self._referenced, text.replace("$NS", self._namespace).replace("$SERVER", self._server))

    def _referenced(self, match: re.Match[str]) -> str:
        value: Any = self._answers[int(match[1]) - 1].body
        for name in match[2].split("."):
            value = value[int(name)] if isinstance(value, list) else (value or {}).get(name)
        return str(value)


def contains(found: Json, wanted: Json) -> bool:
    """Whether what is wanted is there; there may be more of everything."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(contains(found.get(name), part) for name, part in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and all(any(contains(each, part) for each in found) for part in wanted)
    return bool(found == wanted)


def _decoded(text: str, *, stream: bool) -> Json:
    try:
        if stream:
            return _told_once([json.loads(line) for line in text.splitlines()])
        return json.loads(text)
    except ValueError:
        return text


def _told_once(events: list[Any]) -> list[Any]:
    """Events without bookmarks that follow bookmarks: how often they come is the server's choice."""
    bookmarks = [isinstance(event, dict) and event.get("type") == "BOOKMARK" for event in events]
    return [
        event for number, event in enumerate(events) if not (number and bookmarks[number] and bookmarks[number - 1])
    ]


def differences(wanted: Json, found: Json, path: str = "") -> Iterator[str]:
    """Every place where an answer is other than recorded, with both."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        yield from _between_objects(wanted, found, path)
    elif isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) != len(found):
            yield f"{path} has {len(found)} items instead of {len(wanted)}"
        for number, (one, other) in enumerate(zip(wanted, found, strict=False)):
            yield from differences(one, other, f"{path}[{number}]")
    elif wanted != found or type(wanted) is not type(found):
        yield f"{path} is {json.dumps(found)} instead of {json.dumps(wanted)}"


def _between_objects(wanted: Object, found: Object, path: str) -> Iterator[str]:
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            yield f"{path}.{name} is missing: {json.dumps(wanted[name])}"
        elif name not in wanted:
            yield f"{path}.{name} is too much: {json.dumps(found[name])}"
        else:
            yield from differences(wanted[name], found[name], f"{path}.{name}")


def compared(wanted: list[Answer], found: list[Answer]) -> list[str]:
    """How answers differ from the recorded ones; nothing if they don't."""
    lines = []
    for number, (one, other) in enumerate(zip(wanted, found, strict=False), 1):
        pairs = (
            ("status", one.status, other.status),
            ("warnings", one.warnings, other.warnings),
            ("", one.body, other.body),
        )
        for what, recorded, said in pairs:
            lines += [f"answer {number}: {line}" for line in differences(recorded, said, what)]
    if len(wanted) != len(found):
        lines.append(f"{len(found)} answers instead of {len(wanted)}: record the case again")
    return lines


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a case: how it differs from what was recorded, if it does."""

    case: Case
    differences: tuple[str, ...]
    answers: tuple[Answer, ...] = ()

    @property
    def conforms(self) -> bool:
        """Whether the answers are as recorded."""
        return not self.differences


async def _judge(runner: Runner, case: Case, recorded: Recorded) -> Verdict:
    try:
        found = await runner.run(case)
    except RunError as error:
        return Verdict(case, (f"could not be run: {error}",))
    wanted = recorded.get((case.topic, case.name))
    lines = ["nothing is recorded for it"] if wanted is None else compared(wanted, found)
    return Verdict(case, tuple(lines), tuple(found))


async def judged(
    runner: Runner, cases: list[Case], recorded: Recorded, at_once: int = 4, tries: int = _TRIES
) -> list[Verdict]:
    """Run cases, some at once, each up to some times, and compare what they show with what was recorded."""
    places = asyncio.Semaphore(at_once)

    async def judge(case: Case) -> Verdict:
        async with places:
            for _ in range(tries):
                verdict = await _judge(runner, case, recorded)
                if verdict.conforms:
                    break
        return verdict

    return list(await asyncio.gather(*map(judge, cases)))
