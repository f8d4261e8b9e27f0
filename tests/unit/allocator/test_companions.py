"""Where companions are found, against a model that looks at everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from metallb.allocator import companions
from metallb.allocator.companions import Companions
from metallb.allocator.pool import PoolState
from metallb.allocator.request import ALONE, Port, Request, Sharing
from metallb.api.net import Address, Range, ServiceKey
from metallb.config.model import Pool

SHARINGS = [Sharing("k"), Sharing("l"), ALONE]
PORTS = [Port("TCP", 80), Port("TCP", 443), Port("UDP", 53)]
PORT_SETS = st.frozensets(st.sampled_from(PORTS), min_size=1)


@pytest.fixture(autouse=True, scope="module")
def few_is_none() -> Iterator[None]:
    """So that every group has its heaps, and they are thrown away all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(companions, "_FEW", 0)
        patch.setattr(companions, "_PORT_SETS", 2)
        yield


class Sharers(RuleBasedStateMachine):
    """Claims come and go on the addresses of one pool; nobody checks whether they get on with each other."""

    def __init__(self) -> None:
        super().__init__()
        self.state = PoolState(Pool("p", (Range.parse("10.0.0.4/30"), Range.parse("10.0.0.0/31"))))
        self.found = Companions()
        self.claims: list[tuple[Request, Address]] = []

    @rule(
        sharing=st.sampled_from(SHARINGS), ports=PORT_SETS, value=st.sampled_from([0, 1, 4, 5, 6, 7]), n=st.integers(0)
    )
    def come(self, sharing: Sharing, ports: frozenset[Port], value: int, n: int) -> None:
        address = Address(4, (10 << 24) + value)
        claim = Request(ServiceKey("ns", f"s{n}"), {}, (), both_required=False, ports=ports, sharing=sharing)
        self.found.add(claim, self.state, address)
        self.claims.append((claim, address))

    @rule(data=st.data())
    def go(self, data: Any) -> None:
        if self.claims:
            claim, address = self.claims.pop(data.draw(st.integers(0, len(self.claims) - 1)))
            self.found.remove(claim, self.state, address)
            for sharing in SHARINGS:
                self.found.look_again(sharing, self.state, address)

    @rule(sharing=st.sampled_from(SHARINGS), ports=PORT_SETS)
    def look(self, sharing: Sharing, ports: frozenset[Port]) -> None:
        def fits(address: Address) -> bool:
            return not any(claim.ports & ports for claim, there in self.claims if there == address)

        with_key = {address for claim, address in self.claims if claim.sharing == sharing and sharing.key}
        expected = min((each for each in with_key if fits(each)), key=self.state.rank, default=None)
        request = Request(ServiceKey("ns", "new"), {}, (4,), both_required=False, ports=ports, sharing=sharing)
        assert self.found.first(request, self.state, 4, fits) == expected
        assert self.found.example(sharing, self.state, 4) == min(with_key, key=self.state.rank, default=None)
        assert self.found.pools(sharing) == ([self.state] if with_key else [])
        assert self.found.first(request, self.state, 6, fits) is None

    @invariant()
    def nothing_is_kept_of_those_who_are_gone(self) -> None:
        if not self.claims:
            assert not self.found._groups


TestSharers = Sharers.TestCase


@given(st.integers(2, 40))
def test_an_address_that_has_no_room_is_not_looked_at_twice(count: int) -> None:
    state = PoolState(Pool("p", (Range.parse("10.0.0.0/24"),)))
    found, looked_at = Companions(), []
    request = Request(
        ServiceKey("ns", "new"), {}, (4,), both_required=False, ports=frozenset(PORTS[:1]), sharing=SHARINGS[0]
    )
    for number in range(count):
        found.add(request, state, Address(4, (10 << 24) + number))

    def full(address: Address) -> bool:
        looked_at.append(address)
        return False

    assert found.first(request, state, 4, full) is None
    assert found.first(request, state, 4, full) is None
    assert len(looked_at) == count
    found.look_again(SHARINGS[0], state, Address(4, 10 << 24))
    assert found.first(request, state, 4, lambda _: True) == Address(4, 10 << 24)
