"""An API server that refuses, throttles, forgets or falls silent: nothing is lost, and all is as it should be afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kubelab.apiserver.injected import Injected

NAMESPACE = "metallb-system"
OURS = f"system:serviceaccount:{NAMESPACE}:"
COUNT = 20
pytestmark = pytest.mark.e2e


@pytest.fixture
async def harmed(cluster: Any) -> AsyncIterator[Any]:
    """The cluster; faults and Services go with the test."""
    yield cluster
    cluster.lab.api_fault(None)
    await cluster.kubectl("delete", "service", "-l", "harmed=yes", "--ignore-not-found")


def services(cluster: Any, *names: str) -> list[dict[str, Any]]:
    made = [cluster.load_balancer(name, "web") for name in names]
    for each in made:
        each["metadata"]["labels"] = {"harmed": "yes"}
    return made


async def held(cluster: Any, count: int) -> list[str]:
    """The addresses of all Services, once each has one."""

    async def found() -> list[str]:
        items = await cluster.items("service", "default", "-l", "harmed=yes")
        every = [entry["ip"] for each in items for entry in each["status"]["loadBalancer"].get("ingress", [])]
        return every if len(every) == count else []

    every: list[str] = await cluster.until(found, f"{count} addresses")
    return every


@pytest.mark.parametrize("answer", ["429", "500", "503"])
async def test_services_get_their_addresses_from_a_server_that_refuses_half_of_all_requests(
    harmed: Any, answer: str
) -> None:
    names = [f"half{answer}-{number}" for number in range(COUNT)]
    harmed.lab.api_fault(Injected(answer, share=0.5, user=OURS, retry_after_s=0))  # type: ignore[arg-type]  # a row of a table
    await harmed.apply(*services(harmed, *names))
    addresses = await held(harmed, COUNT)
    assert max(Counter(addresses).values()) == 1
    harmed.lab.api_fault(None)
    await asyncio.gather(
        *(harmed.until(lambda each=each: harmed.fetch(each), f"{each} is served") for each in addresses)
    )


async def test_what_happened_while_the_server_was_silent_is_done_afterwards(harmed: Any) -> None:
    await harmed.apply(*services(harmed, "before"))
    (address,) = await held(harmed, 1)
    await harmed.until(lambda: harmed.fetch(address), "it is served")
    harmed.lab.api_fault(Injected("silence", user=OURS))
    await harmed.apply(*services(harmed, "meanwhile"))
    await harmed.until(lambda: harmed.fetch(address), "what runs goes on, while the server is silent")
    harmed.lab.api_fault(None)
    for each in await held(harmed, 2):
        await harmed.until(lambda each=each: harmed.fetch(each), f"{each} is served")


@pytest.mark.parametrize("how", ["close", "compact"])
async def test_watches_that_end_are_begun_anew_and_miss_nothing(harmed: Any, how: Any) -> None:
    names = [f"{how}-{number}" for number in range(5)]
    for name in names:
        harmed.lab.end_watches(how)
        await harmed.apply(*services(harmed, name))
    harmed.lab.end_watches(how)
    addresses = await held(harmed, len(names))
    assert len(set(addresses)) == len(names)
    for each in addresses:
        await harmed.until(lambda each=each: harmed.fetch(each), f"{each} is served")
    await harmed.kubectl("delete", "service", names[0])
    harmed.lab.end_watches(how)

    async def is_free() -> bool:
        pool = await harmed.get("ipaddresspool", "first", NAMESPACE)
        return bool(pool["status"]["assignedIPv4"] == len(names) - 1)

    await harmed.until(is_free, "the address is free again")
