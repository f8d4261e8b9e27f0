"""Microseconds of CPU for an allocation and a release: by holders, pool sizes, numbers of pools and ranges, sharing, waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from installation import report

from metallb.allocator.allocator import Allocation, Allocator
from metallb.allocator.reasons import NothingLeft
from metallb.allocator.request import ALONE, Port, Request, Sharing
from metallb.allocator.waiting import Waiting, WaitingLine
from metallb.api.net import Address, Family, Range, ServiceKey
from metallb.config.model import Pool, ServiceAllocation

HTTP = frozenset({Port("TCP", 80)})
ROUNDS = 2000
REPEATS = 3
Figures = dict[str, float]


def request(
    number: int,
    *,
    ports: frozenset[Port] = HTTP,
    sharing: Sharing = ALONE,
    namespace: str = "ns",
    family: Family = 4,
) -> Request:
    key = ServiceKey(namespace, f"s{number}")
    return Request(key, {}, (family,), both_required=False, ports=ports, sharing=sharing)


def pool(name: str, *ranges: str, buggy: bool = False, allocation: ServiceAllocation | None = None) -> Pool:
    return Pool(name, tuple(map(Range.parse, ranges)), avoid_buggy_ips=buggy, allocation=allocation)


def allocator_of(pools: Iterable[Pool]) -> Allocator:
    found = Allocator()
    found.replace_pools(pools)
    return found


def filled(allocator: Allocator, requests: Iterable[Request]) -> Allocator:
    for each in requests:
        outcome = allocator.allocate(each)
        assert isinstance(outcome, Allocation), outcome
    return allocator


def each_us(steps: list[Callable[[], object]]) -> float:
    began = time.process_time()
    for step in steps:
        step()
    return (time.process_time() - began) * 1e6 / len(steps)


def churn(allocator: Allocator, requests: list[Request], holders: list[ServiceKey]) -> Figures:
    """New Services come; then as many go, from all over the pools, and others take their places."""
    best: Figures = {}

    def take(name: str, act: Callable[[Request], object], on: list[Request]) -> None:
        best[name] = round(min(best.get(name, 1e9), each_us([partial(act, each) for each in on])), 1)

    def release(each: Request) -> None:
        allocator.release(each.key)

    spread = [request(int(key.name[1:])) for key in holders[:: max(1, len(holders) // ROUNDS)]]
    for _ in range(REPEATS):
        take("allocate", allocator.allocate, requests)
        take("release", release, requests)
        if spread:
            take("release_anywhere", release, spread)
            take("allocate_in_gaps", allocator.allocate, spread)
    return best


def by_holders(holders: int) -> Figures:
    allocator = filled(allocator_of([pool("p", "10.0.0.0/8")]), (request(number) for number in range(holders)))
    newcomers = [request(holders + number) for number in range(ROUNDS)]
    return churn(allocator, newcomers, list(allocator.allocations))


def by_pool(*ranges: str, buggy: bool = False, family: Family = 4) -> Figures:
    holders = (request(number, family=family) for number in range(1000))
    allocator = filled(allocator_of([pool("p", *ranges, buggy=buggy)]), holders)
    newcomers = [request(1000 + number, family=family) for number in range(ROUNDS)]
    return churn(allocator, newcomers, [])


def by_pools(count: int, *, allocation: ServiceAllocation | None = None) -> Figures:
    """Pools of eight addresses, all of them full but for those at the end."""
    room = count + ROUNDS // 8 + 1
    found = [
        pool(f"p{number:06}", f"10.{number >> 13}.{number >> 5 & 255}.{(number & 31) * 8}/29", allocation=allocation)
        for number in range(room)
    ]
    allocator = filled(allocator_of(found), (request(number) for number in range(count * 8)))
    newcomers = [request(count * 8 + number) for number in range(ROUNDS)]
    return churn(allocator, newcomers, list(allocator.allocations))


def by_namespaces(count: int) -> Figures:
    """A pool for each namespace."""
    found = [
        pool(
            f"p{number}",
            f"10.{number >> 8}.{number & 255}.0/24",
            allocation=ServiceAllocation(1, frozenset({f"n{number}"}), ()),
        )
        for number in range(count)
    ]
    newcomers = [request(number, namespace=f"n{number % count}") for number in range(ROUNDS)]
    return churn(allocator_of(found), newcomers, [])


def by_sharing(holders: int, *, keys: int, ports: int) -> Figures:
    """Services that share by so many keys; with one port only one of a key fits on an address."""

    def sharers(start: int, count: int) -> Iterator[Request]:
        for number in range(start, start + count):
            port = Port("TCP", number // keys % ports)
            yield request(number, ports=frozenset({port}), sharing=Sharing(f"k{number % keys}"))

    allocator = filled(allocator_of([pool("p", "10.0.0.0/8")]), sharers(0, holders))
    return churn(allocator, list(sharers(holders, ROUNDS)), [])


def by_waiting(count: int) -> Figures:
    """So many wait in line for any pool; an address goes free, the oldest gets it and leaves, another joins."""
    allocator = filled(allocator_of([pool("p", "10.0.0.0/24")]), (request(number) for number in range(256)))
    state, line, reason = allocator.pools["p"], WaitingLine(), NothingLeft((4,))

    def join(number: int) -> None:
        line.join((f"2026-{number:08}", ServiceKey("ns", f"s{number}")), Waiting(reason, request(number)))

    took = each_us([partial(join, number) for number in range(count)])
    address, cause = Address(4, 10 << 24), ServiceKey("ns", "holder")

    def serve() -> None:
        woken = line.offer(address, state, but=cause)
        assert woken is not None
        line.offers.pop(woken)
        line.leave(woken)

    return {"join": round(took, 1), "serve": round(each_us([serve] * min(count, ROUNDS)), 1)}


def refused(pools: int) -> Figures:
    """All pools are full: what it costs to say so."""
    found = [pool(f"p{number:06}", f"10.{number >> 8}.{number & 255}.0/32") for number in range(pools)]
    allocator = filled(allocator_of(found), (request(number) for number in range(pools)))
    return {"refuse": round(each_us([lambda: allocator.allocate(request(-1))] * ROUNDS), 1)}


def replaced(holders: int) -> Figures:
    """Milliseconds to take pools into force, of which none, or a small one, has other addresses."""
    big, small = pool("big", "10.0.0.0/8"), pool("small", "192.0.2.0/28")
    allocator = filled(allocator_of([big, small]), (request(number) for number in range(holders)))
    changed = pool("small", "192.0.2.0/29")
    unchanged_us = each_us([lambda: allocator.replace_pools([big, small])] * REPEATS)
    changed_us = each_us([lambda: allocator.replace_pools([big, changed])])
    regrown_us = each_us([lambda: allocator.replace_pools([pool("big", "10.0.0.0/8", "11.0.0.0/8"), small])])
    return {
        "nothing_ms": round(unchanged_us / 1e3, 2),
        "small_pool_ms": round(changed_us / 1e3, 2),
        "big_pool_ms": round(regrown_us / 1e3, 2),
    }


def many_ranges(count: int) -> list[str]:
    return [f"10.{number >> 8}.{number & 255}.0/25" for number in range(count)]


def main() -> None:
    report(
        "allocator",
        unit="microseconds",
        holders={str(count): by_holders(count) for count in (1_000, 10_000, 100_000)},
        pool={
            "20": by_pool("10.0.0.0/20"),
            "8": by_pool("10.0.0.0/8"),
            "8_avoid_buggy": by_pool("10.0.0.0/8", buggy=True),
            "ipv6_112": by_pool("2001:db8::/112", family=6),
            "ipv6_64": by_pool("2001:db8::/64", family=6),
        },
        ranges={str(count): by_pool(*many_ranges(count)) for count in (100, 10_000)},
        full_pools={str(count): by_pools(count) for count in (10, 1_000, 10_000)},
        pools_of_namespaces={str(count): by_namespaces(count) for count in (10, 1_000, 10_000)},
        one_key_one_port={str(count): by_sharing(count, keys=1, ports=1) for count in (1_000, 10_000)},
        one_key_many_ports={str(count): by_sharing(count, keys=1, ports=60_000) for count in (1_000, 10_000)},
        thousand_keys={str(count): by_sharing(count, keys=1_000, ports=60_000) for count in (1_000, 10_000)},
        waiting={str(count): by_waiting(count) for count in (1_000, 10_000, 100_000)},
        refused_by_pools={str(count): refused(count) for count in (10, 1_000, 10_000)},
        replace_pools_by_holders={str(count): replaced(count) for count in (1_000, 100_000)},
    )


if __name__ == "__main__":
    main()
