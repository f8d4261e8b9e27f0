"""The lines of those who wait, against a model that asks everybody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metallb.allocator.line import Seniority
from metallb.allocator.pool import PoolState
from metallb.allocator.reasons import AddressTaken, NothingLeft, PoolExhausted, QuotaReached
from metallb.allocator.request import ALONE, Port, Request, Sharing
from metallb.allocator.sharing import Tenancy
from metallb.allocator.waiting import Scarcity, Waiting, WaitingLine
from metallb.api.net import Address, Range, ServiceKey
from metallb.config.model import Pool, ServiceAllocation
from metallb.config.selectors import Requirement, Selector
from metallb.config.terms import Terms

KEYS = [ServiceKey(namespace, f"s{n}") for n in range(3) for namespace in ("a", "b")]
FOUR, SIX = Address(4, 10 << 24), Address(6, 0x2001_0DB8 << 96)
HTTP, HTTPS = Port("TCP", 80), Port("TCP", 443)
RANGES = (Range.parse("10.0.0.0/31"), Range.parse("2001:db8::/127"))
LABELLED = Selector((Requirement("tier", "In", ("x",)),))
reasons: st.SearchStrategy[Scarcity] = st.sampled_from(
    [
        AddressTaken(FOUR, KEYS[0], ""),
        AddressTaken(Address(4, 99), KEYS[0], ""),
        PoolExhausted("p", (4,)),
        PoolExhausted("p", (4, 6)),
        PoolExhausted("q", (4,)),
        NothingLeft((6,)),
        NothingLeft((4,)),
        NothingLeft((4, 6)),
    ]
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["join", "join", "leave"]),
        st.sampled_from(KEYS),
        st.sampled_from("12"),
        reasons | st.just("quota"),
        st.booleans(),
        st.sampled_from([ALONE, ALONE, Sharing("k")]),
        st.sampled_from([HTTP, HTTPS]),
        st.sampled_from([{}, {"tier": "x"}]),
    ),
    max_size=15,
)
pools = st.builds(
    lambda auto, allocation, terms: PoolState(Pool("p", RANGES, auto_assign=auto, allocation=allocation, terms=terms)),
    st.booleans(),
    st.sampled_from(
        [
            None,
            ServiceAllocation(0, None, ()),
            ServiceAllocation(0, frozenset({"a"}), ()),
            ServiceAllocation(0, None, (LABELLED,)),
        ]
    ),
    st.sampled_from([Terms(), Terms(), Terms(draining=True), Terms(quota=1)]),
)


def helps(waiting: Waiting, address: Address, state: PoolState) -> bool:
    """Whether a free address may serve one who waits; written without lines."""
    reason, request = waiting
    if state.terms.draining:
        return False
    match reason:
        case AddressTaken(wanted):
            return wanted == address
        case PoolExhausted(pool, families):
            return pool == "p" and address.family in families
        case QuotaReached(pool, namespace):
            return pool == "p" and state.quota_left(namespace) >= 1
        case NothingLeft(families):
            both = request.both_required and not request.sharing.key
            return (
                state.pool.auto_assign
                and state.pool.admits(request.key.namespace, request.labels)
                and address.family in families
                and state.quota_left(request.key.namespace) >= 1
                and (not both or all(state.has_room(family) for family in (4, 6)))
            )


@given(
    steps, pools, st.sampled_from([FOUR, SIX]), st.booleans(), st.booleans(), st.none() | st.integers(0, 1), st.data()
)
def test_the_oldest_whom_a_free_address_helps_is_next(
    taken: list[tuple[str, ServiceKey, str, Scarcity | str, bool, Sharing, Port, dict[str, str]]],
    state: PoolState,
    address: Address,
    quota_used: bool,  # noqa: FBT001  # drawn
    other_family_full: bool,  # noqa: FBT001  # drawn
    after_index: int | None,
    data: st.DataObject,
) -> None:
    line, model = WaitingLine(), dict[Seniority, Waiting]()
    if quota_used:
        state.count(ServiceKey("a", "holder"), Address(4, (10 << 24) + 1))
    if other_family_full:
        other = SIX if address == FOUR else FOUR
        for value in (other.value, other.value + 1):
            state.open(Address(other.family, value), Tenancy(ALONE))
    for what, key, created, reason, both, sharing, port, labels in taken:
        model = {place: waiting for place, waiting in model.items() if place[1] != key}
        if what == "join":
            families = reason.families if isinstance(reason, NothingLeft) else (4,)
            request = Request(key, labels, families, both and len(families) > 1, frozenset({port}), sharing)
            why = QuotaReached("p", key.namespace, 1) if isinstance(reason, str) else reason
            line.join((created, key), Waiting(why, request))
            model[created, key] = Waiting(why, request)
        else:
            line.leave(key)
        assert len(line) == len(model)
        assert all((each in line) is any(place[1] == each for place in model) for each in KEYS)
    but = data.draw(st.sampled_from(KEYS))
    after = None if after_index is None or len(model) <= after_index else sorted(model)[after_index]
    helped = [place for place, waiting in sorted(model.items()) if helps(waiting, address, state) and place[1] != but]
    later = [place for place in helped if after is None or place > after]
    assert line.offer(address, state, but=but, after=after) == (later[0][1] if later else None)
    assert {key: (offer.to, offer.free) for key, offer in line.offers.items()} == (
        {later[0][1]: (later[0], {address})} if later else {}
    )
    for key in KEYS:
        line.leave(key)
    assert not line._lines
    assert not line._sharers
    assert not line._sharers_in
    assert not line._namespaces
    assert not line._under_quota


def request(key: ServiceKey, port: Port = HTTP, sharing: Sharing = ALONE) -> Request:
    return Request(key, {}, (4, 6), both_required=False, ports=frozenset({port}), sharing=sharing)


def test_offers_to_one_add_up() -> None:
    line, state = WaitingLine(), PoolState(Pool("p", RANGES))
    line.join(("1", KEYS[0]), Waiting(NothingLeft((4, 6)), request(KEYS[0])))
    for address in (FOUR, SIX):
        assert line.offer(address, state, but=KEYS[1]) == KEYS[0]
    assert line.offers[KEYS[0]].free == {FOUR, SIX}


def test_a_quota_with_room_again_asks_its_namespace_only() -> None:
    line, state = WaitingLine(), PoolState(Pool("p", RANGES, terms=Terms(quota=2)))
    a, b = ServiceKey("a", "s"), ServiceKey("b", "s")
    line.join(("1", a), Waiting(PoolExhausted("p", (4,)), request(a)))
    line.join(("2", b), Waiting(QuotaReached("p", "b", 2), request(b)))
    assert line.offer(FOUR, state, but=KEYS[1], only="b") == b
    assert line.offer(FOUR, state, but=b, only="b") is None


def test_room_is_offered_to_the_oldest_of_each_set_of_ports_that_is_free() -> None:
    line, state, shared = WaitingLine(), PoolState(Pool("p", RANGES)), Sharing("k")
    tenancy = Tenancy(shared)
    tenancy.move_in(request(ServiceKey("a", "holder"), HTTP, shared))
    state.open(FOUR, tenancy)
    waiting = [(HTTPS, shared), (HTTPS, shared), (Port("UDP", 53), shared), (HTTP, shared), (HTTPS, ALONE)]
    for number, (port, sharing) in enumerate(waiting):
        line.join((str(number), KEYS[number]), Waiting(PoolExhausted("p", (4,)), request(KEYS[number], port, sharing)))
    assert line.offer_room(FOUR, state, tenancy, but=KEYS[5]) == [KEYS[0], KEYS[2]]
    declined = line.offers.pop(KEYS[0])
    assert declined.rooms == {FOUR}
    assert line.offer_room_on(FOUR, state, tenancy, declined, but=KEYS[0]) == KEYS[1]
    tenancy.move_in(request(KEYS[0], HTTPS, shared))
    assert line.offer_room_on(FOUR, state, tenancy, declined, but=KEYS[0]) is None


def test_who_is_on_the_way_out_of_an_address_may_come_back_when_it_is_free() -> None:
    line, state = WaitingLine(), PoolState(Pool("p", RANGES))
    tenancy = Tenancy(ALONE)
    tenancy.leaving[KEYS[0]] = request(KEYS[0])
    state.open(FOUR, tenancy)
    line.join(("1", KEYS[0]), Waiting(AddressTaken(FOUR, KEYS[1], ""), request(KEYS[0])))
    assert line.offer_room(FOUR, state, tenancy, but=KEYS[1]) == [KEYS[0]]
