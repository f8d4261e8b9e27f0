"""Pods as processes: started, probed, restarted, stopped, seen from outside by their status, files and traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import World

pytestmark = pytest.mark.e2e


async def test_a_pod_gets_addresses_of_both_families_and_answers(world: World) -> None:
    node = await world.node("worker-1", 11)
    assert await node.start() < 3
    await world.pod("one", "worker-1")
    await world.api.until(lambda: world.api.ready("one"))
    status = world.api.status("one")
    assert status["podIPs"] == [{"ip": "198.18.11.2"}, {"ip": "2001:db8:200:11::2"}]
    assert await world.curl(node.machine, "http://198.18.11.2:8080/") == "one 198.18.11.1"
    assert await world.curl(node.machine, "http://[2001:db8:200:11::2]:8080/") == "one 2001:db8:200:11::1"
