"""How even addresses are spread, how many move when nodes and addresses come and go, and what a plan costs.

    bench/spread.py            a line of JSON for each number of nodes and addresses
    bench/spread.py --table    the same as a table

Each figure is taken over several sets of node names; `elected` is upstream's election, for comparison.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from installation import report

from metallb.advertisement.election import elect
from metallb.advertisement.spread import Claim, Spread, share
from metallb.api.net import Address, NodeName

SIZES = ((3, 3), (3, 12), (3, 100), (5, 20), (10, 50), (10, 1000), (30, 300), (100, 500), (100, 5000))
SETS = 10
GONE = 5
"""Of how many nodes the death is tried, in each set."""

NEW = 10
"""How many new addresses."""

BIG = 1000
"""From so many addresses on two sets are enough."""

Figures = dict[str, float]
Plan = Mapping[Claim, NodeName]


def nodes(count: int, number: int) -> frozenset[NodeName]:
    return frozenset(NodeName(f"set-{number}-node-{each}") for each in range(count))


def claims(count: int, candidates: frozenset[NodeName]) -> list[Claim]:
    return [Claim(Address(4, 0xC6330001 + number), candidates) for number in range(count)]


def moved(before: Plan, after: Plan) -> int:
    old = {claim.address: node for claim, node in before.items()}
    return sum(old.get(claim.address, node) != node for claim, node in after.items())


def spread_of(owners: list[NodeName], everybody: frozenset[NodeName]) -> tuple[int, int]:
    counts = Counter(owners)
    return min(counts[node] for node in everybody), max(counts.values())


def measure(count: int, addresses: int) -> Figures:
    sets = range(2 if addresses >= BIG else SETS)
    least, most, elected_most = [], [], []
    had = moves = others = tried = 0
    for number in sets:
        everybody = nodes(count, number)
        spread = Spread()
        plan = spread.plan(claims(addresses, everybody))
        low, high = spread_of(list(plan.values()), everybody)
        least.append(low)
        most.append(high)
        elected = [elect(everybody, claim.address, {}) for claim in plan]
        elected_most.append(max(Counter(elected).values()))
        for gone in sorted(everybody)[:GONE]:
            after = spread.plan(claims(addresses, everybody - {gone}))
            had += sum(node == gone for node in plan.values())
            moves += moved(plan, after)
        for more in range(NEW):
            before = spread.plan(claims(addresses + more, everybody))
            others += moved(before, spread.plan(claims(addresses + more + 1, everybody)))
            tried += 1
    return {
        "average": round(addresses / count, 2),
        "share": share(addresses, count),
        "least": min(least),
        "most": max(most),
        "elected_most": max(elected_most),
        "moved_for_each_lost": round(moves / had, 2),
        "others_moved_by_a_new_one": round(others / tried, 2),
        **costs(count, addresses),
    }


def costs(count: int, addresses: int) -> Figures:
    """Milliseconds of CPU: the first plan, one more of the same, one without a node, one with a node never seen."""
    everybody, spread = nodes(count, 0), Spread()
    first = min(everybody)
    made = claims(addresses, everybody)
    fewer = claims(addresses, everybody - {first})
    more = claims(addresses, everybody | {NodeName("new")})
    return {
        "first_ms": each_ms(lambda: Spread().plan(made)),
        "again_ms": min(each_ms(lambda: spread.plan(made)) for _ in range(3)),
        "node_gone_ms": min(each_ms(lambda: spread.plan(fewer)) for _ in range(3)),
        "node_new_ms": each_ms(lambda: spread.plan(more)),
    }


def each_ms(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return round(1000 * (time.process_time() - began), 2)


def table(rows: list[tuple[int, int, Figures]]) -> Iterator[str]:
    names = list(rows[0][2])
    yield "| nodes | addresses | " + " | ".join(name.replace("_", " ") for name in names) + " |"
    yield "|---" * (len(names) + 2) + "|"
    for count, addresses, figures in rows:
        yield f"| {count} | {addresses:,} | " + " | ".join(f"{figures[name]:g}" for name in names) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=json.dumps(SIZES), help="list of [nodes, addresses]")
    parser.add_argument("--table", action="store_true", help="print a table for people")
    given = parser.parse_args()
    rows = []
    for count, addresses in json.loads(given.sizes):
        rows.append((count, addresses, measure(count, addresses)))
        if not given.table:
            report("spread", nodes=count, addresses=addresses, **rows[-1][2])
    if given.table:
        print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
