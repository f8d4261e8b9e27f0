"""The gossip key: made once, owned by the controller's Deployment, never replaced."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import pytest

from metallb.api.core import ObjectMeta
from metallb.controller.memberlist import ensure_key
from metallb.kube.errors import AlreadyExistsError, ForbiddenError, NotFoundError
from metallb.kube.objects import Bare

DRAWN = bytes(range(16))


@dataclass
class FakeClient:
    """Answers for one Secret and one Deployment."""

    secret: bool = False
    deployment: bool = True
    refusal: Exception | None = None
    created: list[dict[str, Any]] = field(default_factory=list)

    async def get(self, resource: Any, name: str, **_options: Any) -> Bare:
        there = self.secret if resource.plural == "secrets" else self.deployment
        if not there:
            raise NotFoundError(f"GET {name}", "no", code=404)
        return Bare(ObjectMeta(name=name, uid="u-1"))

    async def create(self, _resource: Any, body: dict[str, Any], **_options: Any) -> Bare:
        if self.refusal is not None:
            raise self.refusal
        self.created.append(body)
        return Bare()


async def ensure(client: Any) -> None:
    await ensure_key(client, "metallb-system", "memberlist", "controller", lambda count: DRAWN[:count])


async def test_a_key_is_made_as_upstream_makes_it() -> None:
    """16 random bytes as unpadded base64 text: 22 characters, which are themselves the key's beginning."""
    client = FakeClient()
    await ensure(client)
    (secret,) = client.created
    text = base64.b64decode(secret["data"]["secretkey"])
    assert text == b"AAECAwQFBgcICQoLDA0ODw"
    assert base64.b64decode(text + b"==") == DRAWN
    assert secret["metadata"]["name"] == "memberlist"
    assert secret["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "controller", "uid": "u-1"}
    ]


async def test_a_key_that_is_there_stays() -> None:
    client = FakeClient(secret=True)
    await ensure(client)
    assert client.created == []


async def test_another_replica_that_was_quicker_is_no_error() -> None:
    await ensure(FakeClient(refusal=AlreadyExistsError("POST", "there", code=409)))


@pytest.mark.parametrize(
    ("client", "error"),
    [
        (FakeClient(deployment=False), NotFoundError),
        (FakeClient(refusal=ForbiddenError("POST", "no", code=403)), ForbiddenError),
    ],
)
async def test_other_refusals_are_told(client: FakeClient, error: type[Exception]) -> None:
    with pytest.raises(error):
        await ensure(client)
