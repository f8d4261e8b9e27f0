"""The line of those who wait, and where companions are found: both against models that look at everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metallb.allocator.reasons import AddressTaken, NothingLeft, PoolExhausted
from metallb.allocator.request import ALONE, Port, Request, Sharing
from metallb.allocator.sharing import Companions
from metallb.allocator.waiting import Offered, Scarcity, Waiting, WaitingLine
from metallb.api.net import Address, ServiceKey

KEYS = [ServiceKey("ns", f"s{n}") for n in range(5)]
FOUR, SIX = Address(4, 1), Address(6, 1)
NOTHING = Offered(frozenset(), frozenset(), frozenset())
reasons: st.SearchStrategy[Scarcity] = st.sampled_from(
    [
        AddressTaken(FOUR, KEYS[0], ""),
        AddressTaken(SIX, KEYS[0], ""),
        PoolExhausted("p", (4,)),
        PoolExhausted("q", (4, 6)),
        NothingLeft((6,), ("p", "q")),
        NothingLeft((4,), ()),
    ]
)
offers = st.builds(
    Offered,
    st.frozensets(st.sampled_from([FOUR, SIX]), min_size=1),
    st.frozensets(st.sampled_from(["p", "q"])),
    st.frozensets(st.sampled_from([4, 6])),
)
steps = st.lists(
    st.tuples(st.sampled_from(["join", "leave"]), st.sampled_from(KEYS), st.sampled_from("12"), reasons), max_size=15
)


@given(steps, offers, st.sampled_from(KEYS), st.none() | st.tuples(st.sampled_from("12"), st.sampled_from(KEYS)))
def test_the_oldest_whom_an_offer_helps_is_next(
    taken: list[tuple[str, ServiceKey, str, Scarcity]],
    offered: Offered,
    but: ServiceKey,
    after: tuple[str, ServiceKey] | None,
) -> None:
    line, model = WaitingLine(), dict[ServiceKey, tuple[tuple[str, ServiceKey], Scarcity]]()
    for what, key, created, reason in taken:
        if what == "join":
            line.join((created, key), Waiting(reason, ALONE))
            model[key] = ((created, key), reason)
        else:
            line.leave(key)
            model.pop(key, None)
        assert len(line) == len(model)
        assert all((each in line) is (each in model) for each in KEYS)
    helped = [key for (place, reason), key in sorted((v, k) for k, v in model.items()) if offered.helps(reason)]
    assert line.all_for(offered) == helped
    assert line.all_for(NOTHING) == []
    later = [key for key in helped if key != but and (after is None or model[key][0] > after)]
    assert line.next_for(offered, but=but, after=after) == (later[0] if later else None)
    assert {key: each.addresses for key, each in line.offers.items()} == (
        {later[0]: offered.addresses} if later else {}
    )


def test_offers_to_one_add_up() -> None:
    line = WaitingLine()
    line.join(("1", KEYS[0]), Waiting(NothingLeft((4, 6), ("p",)), ALONE))
    for address in (FOUR, SIX):
        offered = Offered(frozenset({address}), frozenset({"p"}), frozenset({address.family}))
        assert line.next_for(offered, but=KEYS[1]) == KEYS[0]
    assert line.offers[KEYS[0]].addresses == {FOUR, SIX}


def test_those_who_share_are_found_by_their_key() -> None:
    line = WaitingLine()
    for number, sharing in enumerate([Sharing("k"), ALONE, Sharing("l"), Sharing("k")]):
        line.join((str(number), KEYS[number]), Waiting(PoolExhausted("p", (4,)), sharing))
    assert line.sharing({Sharing("k")}) == [KEYS[0], KEYS[3]]
    assert line.sharing(set()) == []


claims = st.builds(
    lambda key, sharing, ports: Request(key, {}, (), both_required=False, ports=ports, sharing=sharing),
    st.sampled_from(KEYS),
    st.sampled_from([ALONE, Sharing("k"), Sharing("l")]),
    st.frozensets(st.sampled_from([Port("TCP", 80), Port("TCP", 443)]), min_size=1),
)


@given(st.lists(st.tuples(claims, st.sampled_from([FOUR, SIX])), max_size=8), st.data(), claims)
def test_companions_are_those_with_the_key_and_other_ports(
    there: list[tuple[Request, Address]], data: st.DataObject, wanted: Request
) -> None:
    found = Companions()
    for claim, address in there:
        found.add(claim, address)
    gone = data.draw(st.lists(st.sampled_from(range(len(there))), unique=True)) if there else []
    for number in gone:
        found.remove(*there[number])
    left = [each for number, each in enumerate(there) if number not in gone]
    expected = {
        address
        for _, address in left
        if wanted.sharing.key
        and any(c.sharing == wanted.sharing for c, a in left if a == address)
        and not any(c.sharing == wanted.sharing and c.ports & wanted.ports for c, a in left if a == address)
    }
    assert found.of(wanted) == expected
