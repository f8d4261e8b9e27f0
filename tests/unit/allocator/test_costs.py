"""What a step looks at does not grow with holders, pools, ranges, companions or those who wait: steps are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from metallb.allocator.allocator import Allocation, Allocator
from metallb.allocator.intervals import AddressSpace
from metallb.allocator.pool import PoolState
from metallb.allocator.positions import Positions
from metallb.allocator.reasons import NothingLeft, Reason
from metallb.allocator.request import ALONE, Port, Request, Sharing
from metallb.allocator.sharing import Tenancy
from metallb.allocator.waiting import Waiting, WaitingLine
from metallb.api.net import Address, Range, ServiceKey
from metallb.config.model import Pool, ServiceAllocation

COUNTED = [
    (Tenancy, "refusal"),
    (Tenancy, "claim_of"),
    (PoolState, "has_room"),
    (PoolState, "first_free"),
    (PoolState, "offers"),
    (Positions, "add"),
    (Positions, "first_gap"),
    (AddressSpace, "position"),
    (Pool, "admits"),
]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each of the small steps was taken."""
    counts: Counter[str] = Counter()

    def count(owner: type, name: str) -> None:
        plain = getattr(owner, name)

        def counted(*arguments: Any) -> Any:
            counts[f"{owner.__name__}.{name}"] += 1
            return plain(*arguments)

        monkeypatch.setattr(owner, name, counted)

    for owner, name in COUNTED:
        count(owner, name)
    return counts


def request(number: int, port: int = 80, sharing: Sharing = ALONE, namespace: str = "ns") -> Request:
    ports = frozenset({Port("TCP", port)})
    return Request(ServiceKey(namespace, f"s{number}"), {}, (4,), both_required=False, ports=ports, sharing=sharing)


def allocator_of(*pools: Pool) -> Allocator:
    found = Allocator()
    found.replace_pools(pools)
    return found


def fill(allocator: Allocator, requests: Iterable[Request]) -> Allocator:
    for each in requests:
        assert isinstance(allocator.allocate(each), Allocation)
    return allocator


def pool(name: str, *ranges: str, **settings: Any) -> Pool:
    return Pool(name, tuple(map(Range.parse, ranges)), **settings)


def small_pools(count: int, allocation: ServiceAllocation | None = None) -> list[Pool]:
    return [pool(f"p{n:05}", f"10.{n >> 8}.{n & 255}.0/32", allocation=allocation) for n in range(count)]


def holders(count: int) -> tuple[Allocator, Request]:
    return fill(allocator_of(pool("p", "10.0.0.0/8")), map(request, range(count))), request(count)


def gap_among_holders(count: int) -> tuple[Allocator, Request]:
    allocator, newcomer = holders(count)
    allocator.release(request(count // 2).key)
    return allocator, newcomer


def buggy_addresses(count: int) -> tuple[Allocator, Request]:
    allocator = allocator_of(pool("p", "10.0.0.0/8", avoid_buggy_ips=True))
    return fill(allocator, map(request, range(count))), request(count)


def ranges(count: int) -> tuple[Allocator, Request]:
    return allocator_of(pool("p", *(f"10.{n >> 8}.{n & 255}.0/32" for n in range(count)))), request(0)


def full_pools(count: int) -> tuple[Allocator, Request]:
    allocator = fill(allocator_of(*small_pools(count), pool("z", "10.255.0.0/24")), map(request, range(count)))
    return fill(allocator, [request(count)]), request(count + 1)


def full_reserved_pools(count: int) -> tuple[Allocator, Request]:
    pools = small_pools(count, ServiceAllocation(1, frozenset({"ns", "other"}), ()))
    allocator = fill(allocator_of(*pools, pool("z", "10.255.0.0/24")), map(request, range(count)))
    return fill(allocator, [request(count)]), request(count + 1)


def pools_of_others(count: int) -> tuple[Allocator, Request]:
    pools = small_pools(count, ServiceAllocation(1, frozenset({"other"}), ()))
    return allocator_of(*pools, pool("z", "10.255.0.0/24")), request(0)


def nothing_left(count: int) -> tuple[Allocator, Request]:
    return fill(allocator_of(*small_pools(count)), map(request, range(count))), request(count)


def companions_on_one_port(count: int) -> tuple[Allocator, Request]:
    shared = (request(n, sharing=Sharing("k")) for n in range(count))
    return fill(allocator_of(pool("p", "10.0.0.0/16")), shared), request(count, sharing=Sharing("k"))


def companions_on_one_address(count: int) -> tuple[Allocator, Request]:
    shared = (request(n, n + 1, Sharing("k")) for n in range(count))
    return fill(allocator_of(pool("p", "10.0.0.0/16")), shared), request(count, count + 1, Sharing("k"))


def sharing_keys(count: int) -> tuple[Allocator, Request]:
    shared = (request(n, sharing=Sharing(f"k{n}")) for n in range(count))
    return fill(allocator_of(pool("p", "10.0.0.0/16")), shared), request(count, 81, Sharing("k0"))


WORLDS = [
    holders,
    gap_among_holders,
    buggy_addresses,
    ranges,
    full_pools,
    full_reserved_pools,
    pools_of_others,
    nothing_left,
    companions_on_one_port,
    companions_on_one_address,
    sharing_keys,
]


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__)
def test_an_allocation_looks_at_as_much_among_many_as_among_few(
    world: Callable[[int], tuple[Allocator, Request]], steps: Counter[str]
) -> None:
    found = []
    for count in (40, 1200):
        allocator, newcomer = world(count)
        steps.clear()
        outcome: Allocation | Reason = allocator.allocate(newcomer)
        allocator.release(newcomer.key)
        assert isinstance(outcome, NothingLeft) is (world is nothing_left)
        found.append(dict(steps))
    assert found[0] == found[1]


def test_pools_of_unchanged_addresses_are_not_gone_through(steps: Counter[str]) -> None:
    big, small = pool("big", "10.0.0.0/16"), pool("small", "10.1.0.0/24")
    allocator = fill(allocator_of(big, small), map(request, range(1000)))
    steps.clear()
    closed = ServiceAllocation(1, frozenset({"other"}), ())
    allocator.replace_pools([pool("big", "10.0.0.0/16", allocation=closed), pool("new", "10.1.0.0/25")])
    assert sum(steps.values()) < 20
    assert len(allocator.allocations) == 1000


def test_who_is_not_helped_is_not_looked_at(steps: Counter[str]) -> None:
    """Thousands wait for what is not free; one is asked."""
    state = PoolState(pool("p", "10.0.0.0/24", "2001:db8::/128"))
    line = WaitingLine()
    for number in range(2000):
        waiting = request(number, namespace="ns")
        both = Request(waiting.key, {}, (4, 6), both_required=True, ports=waiting.ports)
        line.join(("1", waiting.key), Waiting(NothingLeft((4, 6)), both))
    line.join(("2", ServiceKey("ns", "last")), Waiting(NothingLeft((4,)), request(-1)))
    state.open(Address.parse("2001:db8::"), Tenancy(ALONE))
    steps.clear()
    assert line.offer(Address.parse("10.0.0.7"), state, but=ServiceKey("ns", "holder")) == ("ns", "last")
    assert steps["Pool.admits"] == 1
