"""A pod's token: asked for, renewed before its time is up, and gone with the pod."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import Any

import pytest

from kubelab.apiclient import ApiFailure
from kubelab.kubelet import tokens
from kubelab.kubelet.environment import MissingError
from kubelab.kubelet.podparse import parse
from kubelab.kubelet.podspec import Token
from kubelab.kubelet.tokens import Tokens

WITHIN_S = 60.0
POD = parse(
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default", "uid": "u1"},
        "spec": {"serviceAccountName": "robot", "containers": [{"name": "c", "image": "web"}]},
    }
)
WANTED = Token("token", "vault", 600)


class Client:
    """An API server that gives tokens that live for a while, or refuses."""

    def __init__(self, lives_s: float) -> None:
        self.lives_s = lives_s
        self.failure: ApiFailure | None = None
        self.asked: list[Any] = []

    async def create_subresource(self, _resource: Any, name: str, sub: str, body: Any, namespace: str) -> Any:
        self.asked.append((namespace, name, sub, body["spec"]))
        if self.failure is not None:
            raise self.failure
        ends = dt.datetime.fromtimestamp(time.time() + self.lives_s, dt.UTC)
        return {"status": {"token": f"t{len(self.asked)}", "expirationTimestamp": ends.isoformat()}}


async def kept(client: Client, look: Any) -> Tokens:
    """Tokens that are kept while `look`, called at each change, has not seen enough."""
    made = Tokens(client)  # type: ignore[arg-type]  # a double
    enough = asyncio.Event()
    keeping = asyncio.create_task(made.keep(POD, WANTED, lambda: enough.set() if look(made) else None))
    async with asyncio.timeout(WITHIN_S):
        await enough.wait()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_RETRY_S", 0.01)


async def test_a_token_is_bound_to_its_pod_and_replaced_before_its_time_is_up() -> None:
    client, seen = Client(lives_s=0.05), list[str | None]()

    def look(made: Tokens) -> bool:
        seen.append(made.get(POD, WANTED))
        return len(seen) == 3

    made = await kept(client, look)
    assert seen == ["t1", "t2", "t3"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "u1"}
    spec = {"expirationSeconds": 600, "boundObjectRef": bound, "audiences": ["vault"]}
    assert client.asked[0] == ("default", "robot", "token", spec)
    assert made.get(POD, WANTED) is None, "it goes with the pod"


async def test_what_is_refused_is_said_and_asked_for_again() -> None:
    client, seen = Client(lives_s=600), list[str | None]()
    client.failure = ApiFailure(404, "NotFound", 'serviceaccounts "robot" not found')

    def look(made: Tokens) -> bool:
        try:
            seen.append(made.get(POD, WANTED))
        except MissingError as error:
            seen.append(str(error))
            client.failure = None
        return seen[-1] == "t2"

    await kept(client, look)
    assert seen == ['failed to fetch token: serviceaccounts "robot" not found', "t2"]


async def test_a_token_stays_while_nobody_can_be_asked_for_the_next() -> None:
    client, seen = Client(lives_s=0.05), list[str | None]()

    def look(made: Tokens) -> bool:
        seen.append(made.get(POD, WANTED))
        client.failure = ApiFailure(0, "Unreachable", "nobody there")
        return len(client.asked) == 3

    await kept(client, look)
    assert seen == ["t1", "t1", "t1"]
