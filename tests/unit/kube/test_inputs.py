"""Several kinds as one input: what is waited for, what can be done without, and how both are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from msgspec.json import Decoder

from metallb.api import v1beta1, v1beta1_bgp
from metallb.api.core import ObjectMeta
from metallb.config.errors import ConfigError, ObjectName
from metallb.kube import inputs as inputs_module
from metallb.kube.client import KubeClient
from metallb.kube.errors import ApiError, ForbiddenError, GoneError, NotFoundError, RetryLaterError, UnavailableError
from metallb.kube.event_series import Reference
from metallb.kube.informer import Informer
from metallb.kube.inputs import Inputs
from metallb.kube.objects import Key
from metallb.kube.resources import COMMUNITIES, IP_ADDRESS_POOLS

FORBIDDEN = ForbiddenError("GET /x", "no right", code=403)


class Two:
    """Pools, which have to be there, and communities, which don't; both are told what the server said."""

    def __init__(self, client: KubeClient) -> None:
        self.pools = Informer(client, IP_ADDRESS_POOLS, decoder=Decoder(v1beta1.IPAddressPool))
        self.communities = Informer(client, COMMUNITIES, decoder=Decoder(v1beta1_bgp.Community))
        self.inputs = Inputs([self.pools], [self.communities])

    def complete(self, informer: Informer[Any], *items: Any) -> None:
        informer._replace(items, [], "1")

    def fail(self, informer: Informer[Any], error: ApiError | None) -> None:
        informer._note(error)


@pytest.fixture
def two(client: KubeClient) -> Two:
    return Two(client)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def is_done(waiting: Awaitable[None]) -> bool:
    task = asyncio.ensure_future(waiting)
    await turns()
    done = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return done


class TestReady:
    async def test_what_is_required_is_waited_for_whatever_the_server_says(self, two: Two) -> None:
        two.complete(two.communities)
        two.fail(two.pools, FORBIDDEN)
        assert not await is_done(two.inputs.ready())
        two.complete(two.pools)
        assert await is_done(two.inputs.ready())

    @pytest.mark.parametrize("error", [FORBIDDEN, NotFoundError("GET /x", "no kind", code=404)])
    async def test_what_is_refused_and_not_required_holds_nothing_up(self, two: Two, error: ApiError) -> None:
        two.complete(two.pools)
        waiting = asyncio.ensure_future(two.inputs.ready())
        await turns()
        assert not waiting.done()
        two.fail(two.communities, error)
        async with asyncio.timeout(60):
            await waiting

    async def test_a_server_that_says_neither_yes_nor_no_holds_it_up_for_a_while(
        self, two: Two, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        two.complete(two.pools)
        two.fail(two.communities, UnavailableError("GET /x", "no answer"))
        assert not await is_done(two.inputs.ready())
        monkeypatch.setattr(inputs_module, "PATIENCE_S", 0.01)
        async with asyncio.timeout(60):
            await two.inputs.ready()


class TestUnread:
    @pytest.mark.parametrize(
        ("error", "synced", "refused"),
        [
            (FORBIDDEN, False, True),
            (FORBIDDEN, True, True),
            (NotFoundError("GET /x", "no kind", code=404), True, True),
            (RetryLaterError("GET /x", "conversion failed", code=500), False, True),
            (RetryLaterError("GET /x", "busy", code=503), True, False),
            (UnavailableError("GET /x", "no answer"), False, False),
            (UnavailableError("GET /x", "no answer"), True, False),
            (GoneError("GET /x", "too old", code=410), True, False),
        ],
    )
    async def test_only_what_the_server_says_no_to_is_refused(
        self,
        two: Two,
        error: ApiError,
        synced: bool,  # noqa: FBT001  # columns
        refused: bool,  # noqa: FBT001
    ) -> None:
        two.complete(two.pools)
        if synced:
            two.complete(two.communities)
        two.fail(two.communities, error)
        said = (f"communities.metallb.io can't be read: {error.message}",)
        assert two.inputs.refused() == (said if refused else ())
        late = () if synced else ("communities.metallb.io are not read yet",)
        assert two.inputs.unread() == (said if refused else late)

    async def test_is_nothing_when_all_is_well_again(self, two: Two) -> None:
        two.fail(two.communities, FORBIDDEN)
        for each in (two.pools, two.communities):
            two.fail(each, None)
            two.complete(each)
        assert (two.inputs.unread(), two.inputs.unreadable()) == ((), ())


@pytest.mark.parametrize(
    ("reason", "field", "rule"),
    [
        ("Expected `int`, got `str` - at `$.spec.x`", "spec.x", "can't be read: Expected `int`, got `str`"),
        ("Expected `object`, got `array` - at `$`", ".", "can't be read: Expected `object`, got `array`"),
        ("something else", ".", "can't be read: something else"),
    ],
)
async def test_an_object_that_does_not_decode_is_an_error_with_its_field(
    two: Two, reason: str, field: str, rule: str
) -> None:
    two.pools.unreadable[Key("metallb-system", "p")] = reason
    name = ObjectName("IPAddressPool", "metallb-system", "p")
    assert two.inputs.unreadable() == (ConfigError(name, field, "", rule),)


async def test_events_refer_to_the_object_as_it_is_known(two: Two) -> None:
    metadata = ObjectMeta(name="p", namespace="metallb-system", uid="u-1", resource_version="7")
    spec = v1beta1.IPAddressPoolSpec(addresses=("10.0.0.0/24",))
    two.complete(two.pools, v1beta1.IPAddressPool(metadata=metadata, spec=spec))
    known = ObjectName("IPAddressPool", "metallb-system", "p")
    assert two.inputs.reference(known) == Reference("metallb.io/v1beta1", *known, "u-1", "7")
    unknown = ObjectName("Community", "metallb-system", "c")
    assert two.inputs.reference(unknown) == Reference("metallb.io/v1beta1", *unknown)


async def test_whoever_watches_hears_of_every_change(two: Two) -> None:
    heard: list[int] = []
    two.inputs.watch_health(lambda: heard.append(1))
    two.fail(two.communities, FORBIDDEN)
    two.fail(two.communities, FORBIDDEN)
    two.fail(two.communities, None)
    two.complete(two.communities)
    assert len(heard) == 3
