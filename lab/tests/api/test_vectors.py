"""Recorded exchanges of a real API server, told again to a fresh one of ours; what differs is counted.

`python lab/tests/api/test_vectors.py deletion [N]` prints the first N differences of a story.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from kubelab.apiserver.cel.evaluator import RuleEvaluator
from kubelab.apiserver.request import Request, Response, User
from kubelab.apiserver.resources import Settings
from kubelab.apiserver.server import Options, Server
from kubelab.apiserver.tokens import TokenKeys
from kubelab.apiserver.webhooks.caller import Caller, NoCaller
from kubelab.apiserver.webhooks.https import HttpsCaller
from kubelab.conformance.running import differences

VECTORS = Path(__file__).parent.parent / "vectors" / "apiserver"

REPRODUCED = {
    "access": 29,
    "apply": 29,
    "crds": 52,
    "deletion": 25,
    "discovery": 28,
    "patches": 30,
    "services": 84,
    "watching": 29,
    "workloads": 28,
}
"""How many exchanges of each story are reproduced: only ever raised. The rest needs controllers, or what is left out."""

USERS = {
    "admin": User("admin", ("system:masters",), "admin"),
    "alice": User("alice", ("",), "alice"),
}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
AGE = re.compile(r"(\d+[smhdy])+")
TEXT_MASKS = (
    (UUID, "<uid>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r"10\.96\.\d+\.\d+|fd00:10:96::[0-9a-f]*", "<address>"),
    (r"\?hash=[0-9A-F]+", "?hash="),
    (r"(203\.0\.113\.10):\d+", r"\1:<port>"),
    (r'(resourceVersion\\*":\\*")\d+', r"\1<chosen>"),
    (r"kube-api-access-[a-z0-9]{5}", "kube-api-access-<chosen>"),
    (r":3\d{4}/", ":<port>/"),
    (r"(resource version: |current: )\d+", r"\1<chosen>"),
)
CHOSEN = {"nodePort", "healthCheckNodePort", "resourceVersion", "continue", "hash", "uid", "time"}
"""Fields whose values the server chooses."""
FIRST_CHOSEN_PORT = 30000
SHOWN = 400
"""Characters of a value in a difference."""
UNTOLD = {
    "crds": {
        "schema not structural": "the recording holds a later body",
        "rule does not compile": "the recording holds a later body",
    },
}
"""Exchanges that can't be told again, and why."""


class Teller:
    """Tells one story and compares answers."""

    def __init__(self, story: str, caller: Caller | None = None) -> None:
        self.story = story
        self.lines = [json.loads(line) for line in (VECTORS / f"{story}.jsonl").read_text().splitlines()]
        self.clock = Clock()
        self.server = new_server(self.clock, caller)
        self.names: dict[str, str] = {}
        """What was recorded (uids, versions, tokens, generated names) and what it is here."""
        self.versions: dict[str, str] = {}
        self.token = ""

    @property
    def told(self) -> int:
        """How many exchanges are told."""
        untold = UNTOLD.get(self.story, {})
        return sum(line.get("method") is not None and line["name"] not in untold for line in self.lines)

    async def differences(self) -> list[tuple[str, str]]:
        """Name and first difference of each exchange that is not as recorded."""
        found = []
        if self.story == "workloads":
            await self.stand_in_for_controllers()
        for line in self.lines:
            if line.get("method") is None or line["name"] in UNTOLD.get(self.story, {}):
                continue
            self.clock.advance(times(line.get("response")))
            response = await self.server.handle(self.request(line))
            answer = await read(response, line)
            wrong = self.compare(line, response, answer)
            if wrong:
                found.append((line["name"], wrong))
        return found

    async def stand_in_for_controllers(self) -> None:
        """Pods need the account that a controller makes in every namespace."""
        body = json.dumps({"metadata": {"name": "default"}}).encode()
        path = "/api/v1/namespaces/default/serviceaccounts"
        answer = await self.server.handle(Request.to("POST", path, body, certificate=USERS["admin"]))
        assert answer.status == 201

    def request(self, line: dict[str, Any]) -> Request:
        headers = dict(line["headers"]) | {"User-Agent": "Python/3"}
        if line["user"] == "service-account-token":
            headers["Authorization"] = f"Bearer {self.token}"
        elif line["user"] is not None:
            headers["Authorization"] = f"Bearer {line['user']}"
        body = line.get("body")
        text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        for recorded, ours in self.names.items():
            text = text.replace(recorded, ours)
        text = re.sub(r'"resourceVersion": "(\d+)"', self.version_in_body, text.replace("<token>", self.token))
        path = re.sub(
            r"resourceVersion=(\d+)", lambda m: f"resourceVersion={self.versions.get(m[1], m[1])}", line["path"]
        )
        for recorded, ours in self.names.items():
            path = path.replace(recorded, ours)
        return Request.to(line["method"], path, text.encode(), headers)

    def version_in_body(self, match: re.Match[str]) -> str:
        return f'"resourceVersion": "{self.versions.get(match[1], match[1])}"'

    def compare(self, line: dict[str, Any], response: Response, answer: Any) -> str:
        wanted = line.get("stream") if "stream" in line else line.get("response")
        self.learn(wanted, answer)
        if response.status != line["status"]:
            return f"status {response.status} instead of {line['status']}: {shown(answer)}"
        if line.get("content_type") and response.header("content-type") != line["content_type"]:
            return f"content type {response.header('content-type')!r} instead of {line['content_type']!r}"
        warnings = [value for name, value in response.headers if name == "Warning"]
        if warnings != (line.get("warnings") or []):
            return f"warnings {warnings} instead of {line.get('warnings')}"
        if isinstance(wanted, str) and wanted.startswith("<left out"):
            return ""
        if self.token:
            answer = json.loads(json.dumps(answer).replace(self.token, "<token>"))
        text = json.dumps(wanted)
        for recorded, ours in self.names.items():
            text = text.replace(recorded, ours)
        return first_difference(masked(json.loads(text)), masked(answer))

    def learn(self, wanted: Any, answer: Any) -> None:
        """Note what the server's own choices are called here."""
        if isinstance(wanted, dict) and isinstance(answer, dict):
            for name in wanted.keys() & answer.keys():
                one, other = wanted[name], answer[name]
                if name == "resourceVersion" and isinstance(one, str) and isinstance(other, str):
                    self.versions[one] = other
                elif name in {"uid", "continue"} and one and isinstance(other, str):
                    self.names[one] = other
                elif name == "token" and one == "<token>":
                    self.token = other
                else:
                    self.learn(one, other)
            metadata, ours = wanted.get("metadata"), answer.get("metadata")
            if (
                isinstance(metadata, dict)
                and isinstance(ours, dict)
                and metadata.get("generateName")
                and ours.get("name")
            ):
                self.names[metadata["name"]] = ours["name"]
        elif isinstance(wanted, list) and isinstance(answer, list):
            for one, other in zip(wanted, answer, strict=False):
                self.learn(one, other)


class Clock:
    """Shows the time at which an exchange was recorded."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)

    def advance(self, seen: Iterator[str]) -> None:
        self.now = max([self.now, *map(datetime.fromisoformat, seen)])

    def __call__(self) -> datetime:
        return self.now


def times(value: Any) -> Iterator[str]:
    """The times at which the server says it did something."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name in {"time", "creationTimestamp", "lastTransitionTime"} and isinstance(part, str):
                yield part
            yield from times(part)
    elif isinstance(value, list):
        for part in value:
            yield from times(part)


def new_server(clock: Clock, caller: Caller | None) -> Server:
    chance = random.Random(7)
    settings = Settings(("10.96.0.0/16", "fd00:10:96::/112"), advertise="203.0.113.10", advertise_port=40000)
    return Server(
        Options(
            settings=settings,
            clock=clock,
            draw=chance.randrange,
            keys=TokenKeys.generate(),
            tokens=USERS,
            rules=RuleEvaluator(),
            webhooks=caller or NoCaller(),
        )
    )


async def read(response: Response, line: dict[str, Any]) -> Any:
    if not isinstance(response.body, bytes):
        return [event async for event in events(response)]
    if "json" in response.header("content-type") or "openapi/v3" in line["path"]:
        return json.loads(response.body) if response.body else None
    if "yaml" in response.header("content-type"):
        return yaml.safe_load(response.body)
    return response.body.decode()


async def events(response: Response) -> Any:
    """The events of a watch until none comes for a moment."""
    stream = response.body
    assert not isinstance(stream, bytes)
    while True:
        waiting = asyncio.ensure_future(anext(stream))
        for _ in range(200):  # turns of the event loop: all is in this process, nothing takes time
            if waiting.done():
                break
            await asyncio.sleep(0)
        if not waiting.done():
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return
        try:
            chunk = waiting.result()
        except StopAsyncIteration:
            return
        for line in chunk.splitlines():
            yield json.loads(line)


def is_foreign(item: Any) -> bool:
    """Whether an item is there because the recorded server was OpenShift's."""
    return isinstance(item, dict) and item.get("configMap", {}).get("name") == "openshift-service-ca.crt"


def masked(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        generated = bool(value.get("generateName"))
        return {
            UUID.sub("<uid>", key): "<chosen>" if generated and key == "name" else masked(part, key)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [masked(part, name) for part in value if not is_foreign(part)]
    if name in CHOSEN and value:
        return "<chosen>"
    if name in {"port", "targetPort"} and isinstance(value, int) and value >= FIRST_CHOSEN_PORT:
        return "<port>"
    return masked_text(value, name) if isinstance(value, str) else value


def masked_text(value: str, name: str) -> str:
    if name == "cells" and AGE.fullmatch(value):
        return "<age>"
    for pattern, mask in TEXT_MASKS:
        value = re.sub(pattern, mask, value)
    return value


def first_difference(wanted: Any, answer: Any, path: str = "") -> str:
    return next(differences(wanted, answer, path), "")[: 2 * SHOWN]


def shown(value: Any) -> str:
    return json.dumps(value)[:SHOWN]


@pytest.mark.parametrize("story", sorted(REPRODUCED))
async def test_recorded_exchanges_are_reproduced(story: str) -> None:
    teller = Teller(story)
    wrong = await teller.differences()
    told = teller.told
    reproduced = told - len(wrong)
    text = "\n".join(f"{name}: {difference}" for name, difference in wrong)
    assert reproduced >= REPRODUCED[story], f"{reproduced} of {told} are as recorded:\n{text}"
    assert reproduced == REPRODUCED[story], f"{reproduced} of {told} are as recorded now: raise the count"


async def test_recorded_webhooks_are_asked_and_heeded(webhooks: Any) -> None:
    async with HttpsCaller() as caller:
        teller = Teller("admission", caller)
        recorded = teller.lines[0]["body"]["webhooks"][0]["clientConfig"]
        teller.names |= {recorded["caBundle"]: webhooks.ca, recorded["url"][:-6]: webhooks.client("")["url"]}
        definition = next(line for line in teller.lines if line["name"] == "crd with conversion")
        # The recording holds a later body.
        client = definition["body"]["spec"]["conversion"]["webhook"]["clientConfig"]
        client["url"] = client["url"].removesuffix("fail")
        assert await teller.differences() == []
    wanted = [masked(json.loads(rename(json.dumps(one), teller.names))) for one in teller.lines[-1]["received"]]
    sent = masked(webhooks.received)
    is_conversion = [one["path"].startswith("/convert") for one in wanted]
    count = is_conversion.index(True)
    assert first_difference(wanted[:count], sent[:count]) == ""
    # How often a server converts is its own affair (the real one also does for its cache); what it asks is not.
    assert {as_text(one) for one in sent[count:]} == {as_text(one) for one in wanted[count:]}


def as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def rename(text: str, names: dict[str, str]) -> str:
    for recorded, ours in names.items():
        text = text.replace(recorded, ours)
    return text


def main(story: str, count: int) -> None:
    teller = Teller(story)
    wrong = asyncio.run(teller.differences())
    for name, difference in wrong[:count]:
        print(f"{name}\n    {unquote(difference)}")
    print(f"{teller.told - len(wrong)} of {teller.told} are as recorded")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10)
