"""What is known to go wrong with upstream's controller, and the tests that it does not here.

Numbers are those of the list of rough edges in the specification of the controller (section 20). Names without a file
are of this one.

| what goes wrong upstream | tested here by |
|---|---|
| among pools of equal priority, or without, chance decides (4) | test_the_order_of_pools_decides_never_chance, test_another_process_decides_the_same |
| which of those who wait gets the last address is chance | test_the_oldest_who_waits_gets_the_last_address |
| `namespaceSelectors` that match nothing open a pool to all (6) | test_selectors_that_match_no_namespace_open_a_pool_to_nobody |
| `PreferDualStack` flaps when one family runs out | test_who_prefers_two_families_keeps_one_while_the_other_runs_out_and_comes_back |
| `PreferDualStack` with one cluster IP flaps (1) | test_one_cluster_ip_gets_one_address_and_no_second |
| an address changes when another Service is deleted | test_the_deletion_of_one_moves_no_other |
| an address changes at a restart while others wait | test_a_restart_with_some_waiting_moves_nobody |
| a status without `ipMode` is written on every pass (2) | test_a_second_pass_writes_nothing |
| a write that fails is not tried again | test_reconciler.py::test_a_write_that_fails |
| the order of addresses changes on a second pass (3) | test_the_order_of_addresses_stays |
| who waits is not told of an address that another moved from (5) | test_assignment.py::test_are_noticed_however_they_are_given_up |
| a deletion during the first pass is forgotten (7) | test_a_service_that_is_deleted_before_its_first_look_is_forgotten |
| an address is not given back when the class is wiped (8) | test_assignment.py::test_an_address_goes_free_when_a_service_leaves_the_class |
| two controllers at once give one address to two (9) | test_election.py::test_a_timing_under_which_two_could_lead_is_refused, test_controller_world.py::test_no_order_of_events_gives_one_address_to_two |
| without pools all addresses go, and nobody is told (10) | test_who_loses_everything_is_told |
| an address of a Service whose families can't be known goes to others (11) | test_the_address_of_a_service_that_can_not_be_read_is_nobody_elses |
| counters overflow, and are negative for a pool without usable addresses (12) | test_counters_of_odd_pools_are_true |
| addresses are looked for one by one (13) | test_costs.py::test_an_allocation_looks_at_as_much_among_many_as_among_few |
| a pool that lacks one family gives a confusing cause (14) | test_a_pool_that_lacks_a_family_says_which |
| an address is given up for one that can't be had (15) | test_a_request_that_can_not_be_met_costs_nothing |
| counters of nought are written at a restart (16) | test_poolstatus.py::test_nothing_is_written_before_the_configuration_is_in_force |
| an equal configuration counts as another (18) | test_assignment.py::test_the_same_again_is_no_change |
| a Service with the name of the reload request is misread (19) | test_no_name_is_special |
| selector and sharing key that read alike together are mixed up (20) | test_selector_and_sharing_key_are_never_mixed_up |
| who waits is not looked at again by the clock (24) | test_reconciler.py::test_who_waits_is_looked_at_again_from_time_to_time |

17 and 21 to 23 are not about allocation.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metallb.allocator.allocator import Allocator
from metallb.allocator.reasons import FamilyMissing, NoPools, PoolClosed, PoolExhausted
from metallb.allocator.request import sharing_of
from metallb.api.core import Service
from metallb.api.net import Range, ServiceKey
from metallb.config.model import Pool
from metallb.controller.status import notices_for

TESTS = Path(__file__).resolve().parents[2]
V4, V6 = "198.18.128.5", "2001:db8:300::5"
PREFER: dict[str, Any] = {"cluster_ips": (V4, V6), "policy": "PreferDualStack"}
FIRST, SECOND, THIRD = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))
Make = Callable[..., Any]


def test_every_test_of_the_table_exists() -> None:
    rows = re.findall(r"^\| .* \| (test_.*) \|$", __doc__ or "", re.MULTILINE)
    assert len(rows) > 20
    for each in itertools.chain.from_iterable(row.split(", ") for row in rows):
        name, _, test = each.rpartition("::")
        files = list(TESTS.rglob(name)) if name else [Path(__file__)]
        assert any(f"def {test}(" in file.read_text() for file in files), each


@pytest.mark.parametrize("order", list(itertools.permutations(["a", "b", "c"])))
@pytest.mark.parametrize("priority", [None, 0, 7])
def test_the_order_of_pools_decides_never_chance(
    life: Any, make_pool: Make, make_service: Make, order: tuple[str, ...], priority: int | None
) -> None:
    for name in order:
        life.pools[name] = make_pool(name, f"10.0.{ord(name)}.0/32", priority=priority)
    life.reload()
    for number in range(3):
        life.put(make_service(f"s{number}"))
    assert [life.of(f"s{number}") for number in range(3)] == [("10.0.97.0",), ("10.0.98.0",), ("10.0.99.0",)]


SCRIPT = """
import json, sys
from metallb.allocator.allocator import Allocator
from metallb.allocator.request import Port, Request, Sharing
from metallb.allocator.waiting import Waiting, WaitingLine
from metallb.allocator.waking import woken
from metallb.api.net import Range, ServiceKey
from metallb.config.model import Pool, ServiceAllocation

names = ["alpha", "beta", "gamma", "delta"]
allocator, line = Allocator(), WaitingLine()
allocator.replace_pools(
    Pool(name, (Range.parse(f"10.0.{n}.0/31"),), allocation=ServiceAllocation(n % 2, frozenset(names), ()))
    for n, name in enumerate(names)
)
found = []
for number in range(40):
    sharing = Sharing(names[number % 4] if number % 3 == 0 else "")
    ports = frozenset({Port("TCP", number), Port("UDP", number)})
    key = ServiceKey(names[number % 4], f"s{number}")
    request = Request(key, {}, (4,), both_required=False, ports=ports, sharing=sharing)
    outcome = allocator.allocate(request)
    found.append(str(outcome))
    if not hasattr(outcome, "addresses"):
        line.join(("", key), Waiting(outcome, request))
for number in range(8):
    key = ServiceKey(names[number % 4], f"s{number}")
    before = allocator.occupancy(key)
    allocator.release(key)
    found.append(str(woken(allocator, line, key, before)))
print(json.dumps(found))
"""


def test_another_process_decides_the_same() -> None:
    """The order of sets of strings differs from process to process."""
    found = []
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True)
        found.append(json.loads(ran.stdout))
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) > 10


@pytest.mark.parametrize("order", list(itertools.permutations([("z", FIRST), ("y", SECOND), ("x", SECOND)])))
def test_the_oldest_who_waits_gets_the_last_address(
    life: Any, make_pool: Make, make_service: Make, order: tuple[tuple[str, str], ...]
) -> None:
    life.pools["p"] = make_pool("p", "10.0.0.0/32")
    life.reload()
    life.put(make_service("holder", created=THIRD))
    life.put(*(make_service(name, created=created) for name, created in order))
    holders = []
    for name in ("holder", "z", "x"):
        life.delete(ServiceKey("default", name))
        holders.append([key.name for key in life.services if life.of(key.name)])
    assert holders == [["z"], ["x"], ["y"]], "by age, then by name"


def test_selectors_that_match_no_namespace_open_a_pool_to_nobody(
    life: Any, make_pool: Make, make_service: Make
) -> None:
    life.pools["p"] = make_pool("p", "10.0.0.0/31", namespace_selectors=({"no": "such"},))
    life.pools["q"] = make_pool("q", "10.0.1.0/31", namespace_selectors=({"no": "such"},), service_selectors=({},))
    life.reload()
    life.put(
        make_service("any"),
        make_service("named", annotations={"metallb.io/address-pool": "p"}),
        make_service("asked", requested="10.0.0.1"),
    )
    assert [life.of(name) for name in ("any", "named", "asked")] == [(), (), ()]
    reason = life.decisions[ServiceKey("default", "named")].reason
    assert reason == PoolClosed("p", ServiceKey("default", "named"), "namespace")


def test_who_prefers_two_families_keeps_one_while_the_other_runs_out_and_comes_back(
    life: Any, make_pool: Make, make_service: Make
) -> None:
    life.pools["p"] = make_pool("p", "10.0.0.0/31", "2001:db8::/128")
    life.reload()
    life.put(make_service("six", cluster_ips=(V6,)))
    life.put(make_service("both", **PREFER))
    assert life.of("both") == ("10.0.0.0",)
    for _ in range(3):
        life.put(make_service("both", labels={"some": "edit"}, **PREFER))
        assert life.of("both") == ("10.0.0.0",)
    writes = life.writes
    life.reload()
    life.settle(life.services)
    assert life.writes == writes
    life.delete(ServiceKey("default", "six"))
    assert life.of("both") == ("10.0.0.0", "2001:db8::")
    life.pools["p"] = make_pool("p", "10.0.0.0/31")
    life.reload()
    assert life.of("both") in {("10.0.0.0",), ("10.0.0.1",)}


def test_one_cluster_ip_gets_one_address_and_no_second(life: Any, make_pool: Make, make_service: Make) -> None:
    life.pools["p"] = make_pool("p", "10.0.0.0/31", "2001:db8::/127")
    life.reload()
    life.put(make_service("web", cluster_ips=(V4,), policy="PreferDualStack"))
    writes = life.writes
    for _ in range(5):
        life.settle(life.services)
    assert life.of("web") == ("10.0.0.0",)
    assert life.writes == writes == 1


def test_the_deletion_of_one_moves_no_other(life: Any, make_pool: Make, make_service: Make) -> None:
    life.pools["a"] = make_pool("a", "10.0.0.0/30")
    life.pools["b"] = make_pool("b", "10.0.1.0/30", "2001:db8::/127")
    life.reload()
    life.put(*(make_service(f"s{number}", created=SECOND) for number in range(8)))
    life.put(make_service("waits", created=FIRST), make_service("both", created=FIRST, **PREFER))
    before = life.holds()
    life.delete(ServiceKey("default", "s2"))
    changed = {name for name, held in life.holds().items() if held != before[name]}
    assert changed == {"default/waits"}


def test_a_restart_with_some_waiting_moves_nobody(life: Any, make_pool: Make, make_service: Make) -> None:
    """Those who wait are older than those who hold, and come first in every list."""
    life.pools["p"] = make_pool("p", "10.0.0.0/31")
    life.reload()
    life.put(make_service("y", created=THIRD), make_service("z", created=THIRD))
    life.put(make_service("a", created=FIRST), make_service("b", created=FIRST, requested="10.0.0.0"))
    before, writes = dict(life.services), life.writes
    for order in itertools.permutations(before):
        life.services = {key: before[key] for key in order}
        life.restart()
        assert life.services == before
        assert life.writes == writes


def test_a_second_pass_writes_nothing(life: Any, make_pool: Make, make_service: Make) -> None:
    """Though the API server put `ipMode` in."""
    life.pools["p"] = make_pool("p", "10.0.0.0/31", "2001:db8::/127")
    life.reload()
    life.put(make_service("web", **PREFER))
    assert life.services[ServiceKey("default", "web")].status.load_balancer.ingress[0].ip_mode == "VIP"
    writes = life.writes
    for _ in range(3):
        life.settle(life.services)
        life.restart()
    assert life.writes == writes == 1


@pytest.mark.parametrize("asked", ["2001:db8::1,10.0.0.1", "10.0.0.1, 2001:db8::1"])
def test_the_order_of_addresses_stays(life: Any, make_pool: Make, make_service: Make, asked: str) -> None:
    life.pools["p"] = make_pool("p", "10.0.0.0/31", "2001:db8::/127")
    life.reload()
    life.put(make_service("web", annotations={"metallb.io/loadBalancerIPs": asked}, **PREFER))
    given = life.of("web")
    assert given == tuple(each.strip() for each in asked.split(","))
    for _ in range(3):
        life.settle(life.services)
        life.restart()
    assert life.of("web") == given
    turned = ",".join(reversed(asked.split(",")))
    life.put(make_service("web", annotations={"metallb.io/loadBalancerIPs": turned}, **PREFER))
    assert life.of("web") == given


def test_a_service_that_is_deleted_before_its_first_look_is_forgotten(
    life: Any, make_pool: Make, make_service: Make
) -> None:
    life.pools["p"] = make_pool("p", "10.0.0.0/32")
    gone, newcomer = make_service("gone", ips=("10.0.0.0",), created=FIRST), make_service("new", created=SECOND)
    from metallb.config.build import Snapshot, build

    config = build(Snapshot(tuple(life.pools.values()), namespaces=life.namespaces)).config
    assert config is not None
    life.assignment.load(config)
    life.assignment.adopt([gone, newcomer])
    life.services = {newcomer.key: newcomer}
    life.settle([newcomer.key])
    assert life.of("new") == ()
    life.settle([gone.key])
    assert life.of("new") == ("10.0.0.0",)


def test_who_loses_everything_is_told(life: Any, make_pool: Make, make_service: Make) -> None:
    life.pools["p"] = make_pool("p", "10.0.0.0/32")
    life.reload()
    life.put(make_service("web"))
    life.pools.clear()
    life.reload()
    service = life.services[ServiceKey("default", "web")]
    decision = life.decisions[service.key]
    assert decision.reason == NoPools()
    assert [notice.type for notice in notices_for(service, decision)] == ["Warning"]


@pytest.mark.parametrize("broken", [{"cluster_ips": (V4, V4)}, {"cluster_ips": ("None",)}, {"cluster_ips": ("x",)}])
def test_the_address_of_a_service_that_can_not_be_read_is_nobody_elses(
    life: Any, make_pool: Make, make_service: Make, broken: dict[str, Any]
) -> None:
    life.pools["p"] = make_pool("p", "10.0.0.0/31")
    shows = make_service("broken", ips=("10.0.0.0",), created=SECOND, **broken)
    newcomer = make_service("new", created=FIRST)
    life.services = {each.key: each for each in (newcomer, shows)}
    life.restart()
    assert life.of("new") == ("10.0.0.1",), "it was still shown when this was decided"
    assert life.of("broken") == ()


@pytest.mark.parametrize(
    ("ranges", "buggy", "v4", "v6"),
    [
        pytest.param(["10.0.0.0/32"], True, 0, 0, id="one address, and it is left out"),
        pytest.param(["10.0.0.255/32"], True, 0, 0, id="the other end"),
        pytest.param(["10.0.0.0/24"], True, 254, 0, id="a /24"),
        pytest.param(["10.0.0.0/23"], True, 508, 0, id="a /23"),
        pytest.param(["10.0.0.0/25"], True, 127, 0, id="half of one"),
        pytest.param(["2001:db8::/48", "2001:db9::/64"], False, 0, 2**63 - 1, id="huge, and then another"),
        pytest.param(["2001:db9::/126", "2001:db8::/32"], True, 0, 2**63 - 1, id="small, and then a huge one"),
        pytest.param(["0.0.0.0/0", "::/66"], False, 2**32, 2**62, id="all there is"),
    ],
)
def test_counters_of_odd_pools_are_true(ranges: list[str], buggy: bool, v4: int, v6: int) -> None:  # noqa: FBT001  # a column
    allocator = Allocator()
    allocator.replace_pools([Pool("p", tuple(map(Range.parse, ranges)), avoid_buggy_ips=buggy)])
    usage = allocator.usage("p")
    assert (usage[4].total, usage[6].total) == (v4, v6)
    assert (usage[4].available, usage[6].available) == (v4, v6)


def test_a_pool_that_lacks_a_family_says_which(life: Any, make_pool: Make, make_service: Make) -> None:
    life.pools["p"] = make_pool("p", "10.0.0.0/31", "2001:db8::/128")
    life.pools["four"] = make_pool("four", "10.0.1.0/31")
    life.reload()
    life.put(make_service("six", cluster_ips=(V6,)))
    for pool, reason in (("p", PoolExhausted("p", (6,))), ("four", FamilyMissing("four", (6,)))):
        asks = {"metallb.io/address-pool": pool}
        life.put(make_service("web", cluster_ips=(V4, V6), policy="RequireDualStack", annotations=asks))
        assert life.decisions[ServiceKey("default", "web")].reason == reason


@pytest.mark.parametrize("asked", ["10.0.0.1", "192.0.2.1", "nonsense", "2001:db8::1", "10.0.0.2,10.0.0.3"])
def test_a_request_that_can_not_be_met_costs_nothing(
    life: Any, make_pool: Make, make_service: Make, asked: str
) -> None:
    life.pools["p"] = make_pool("p", "10.0.0.0/30")
    life.reload()
    life.put(make_service("web"), make_service("other"))
    life.put(make_service("web", annotations={"metallb.io/loadBalancerIPs": asked}))
    assert life.of("web") == ("10.0.0.0",)
    assert life.decisions[ServiceKey("default", "web")].lacking is not None


def test_no_name_is_special(life: Any, make_pool: Make, make_service: Make) -> None:
    life.pools["p"] = make_pool("p", "10.0.0.0/32")
    life.reload()
    life.put(make_service("reload", namespace="metallbreload"))
    assert life.holds() == {"metallbreload/reload": (("10.0.0.0",), "p")}
    life.delete(ServiceKey("metallbreload", "reload"))
    assert life.assignment.allocator.allocations == {}


def test_selector_and_sharing_key_are_never_mixed_up(make_service: Callable[..., Service]) -> None:
    def sharing(key: str, selector: dict[str, str]) -> object:
        annotations = {"metallb.io/allow-shared-ip": key}
        return sharing_of(make_service(annotations=annotations, selector=selector, traffic="Local"))

    assert sharing("k", {"a": "b"}) != sharing("bk", {"a": ""})
    assert sharing("k", {"a": "b,c=d"}) != sharing("k", {"a": "b", "c": "d"})
    assert sharing("k", {"c": "d", "a": "b"}) == sharing("k", {"a": "b", "c": "d"})
