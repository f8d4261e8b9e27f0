"""What the process that answers is told: new tables only, few of them, with filters that fit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metallb.advertisement.interfaces import Interface
from metallb.advertisement.layer2 import Announce
from metallb.api.net import Address, InterfaceName, ServiceKey
from metallb.protocols.ethernet import parse_mac
from metallb.speaker import announcer as module
from metallb.speaker.announcer import Announcer
from metallb.speaker.orders import Again, Hush, Order, Places, Probed, Renew, Table
from metallb.transports.filters import arp_filters, ndp_filters

MAC = parse_mac("02:00:00:00:00:01")
ETH0, ETH1 = (Interface(number, InterfaceName(f"eth{number - 2}"), MAC, link_local=1 << 100) for number in (2, 3))
DOWN = Interface(4, InterfaceName("eth2"), MAC, up=False)
ONE, SIX = Address.parse("198.51.100.1"), Address.parse("2001:db8::1")


class Outpost:
    """Takes orders."""

    def __init__(self) -> None:
        self.orders: list[Order] = []

    def start(self) -> None:
        pass

    def send(self, order: Order) -> None:
        self.orders.append(order)

    def close(self) -> None:
        pass

    def tables(self) -> list[Table]:
        found = [each for each in self.orders if isinstance(each, Table)]
        self.orders.clear()
        return found


@pytest.fixture
def made() -> tuple[Announcer, Outpost]:
    observer: Any = None
    announcer, outpost = Announcer(observer), Outpost()
    announcer._outpost = outpost  # type: ignore[assignment]  # takes orders, too
    return announcer, outpost


def service(number: int) -> ServiceKey:
    return ServiceKey("default", f"s{number}")


def at(*addresses: Address, interfaces: tuple[str, ...] = ()) -> Announce:
    return Announce(addresses, frozenset(map(InterfaceName, interfaces)))


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_all_changes_of_a_turn_are_one_table(made: tuple[Announcer, Outpost]) -> None:
    announcer, outpost = made
    announcer.use([ETH0, ETH1, DOWN])
    for number in range(100):
        announcer.announce(service(number), at(Address(4, ONE.value + number)))
    await settle()
    places = [each for each in outpost.orders if isinstance(each, Places)]
    assert [place.name for place in places[0].places] == ["eth0", "eth1"]
    tables = outpost.tables()
    assert [each.number for each in tables] == [2, 3]
    assert all(len(each.four) == 100 for each in tables)
    announcer.flush()
    assert outpost.tables() == [], "nothing is new"


async def test_tables_carry_the_filters_for_their_addresses(made: tuple[Announcer, Outpost]) -> None:
    announcer, outpost = made
    announcer.use([ETH0, ETH1])
    announcer.announce(service(1), at(ONE, SIX))
    announcer.announce(service(2), at(Address(4, ONE.value + 5), interfaces=("eth1",)))
    await settle()
    first, second = outpost.tables()
    assert (first.four, first.six) == (frozenset({ONE.value}), frozenset({SIX.value}))
    assert second.four == {ONE.value, ONE.value + 5}
    for each in (first, second):
        assert (each.arp_filters, each.ndp_filters) == (arp_filters(each.four), ndp_filters(each.six))
    announcer.announce(service(2), None)
    announcer.flush()
    (changed,) = outpost.tables()
    assert (changed.number, changed.four) == (3, frozenset({ONE.value}))
    assert changed.ndp_filters is second.ndp_filters, "what did not change is not made again"


async def test_an_address_of_two_services_stays_until_both_are_gone(made: tuple[Announcer, Outpost]) -> None:
    announcer, outpost = made
    announcer.use([ETH0])
    announcer.announce(service(1), at(ONE))
    announcer.announce(service(2), at(ONE))
    await settle()
    outpost.tables()
    announcer.announce(service(1), None)
    announcer.flush()
    assert outpost.tables() == []
    announcer.announce(service(2), None)
    announcer.flush()
    assert [each.four for each in outpost.tables()] == [frozenset()]


async def test_an_interface_that_was_away_gets_its_table_again(made: tuple[Announcer, Outpost]) -> None:
    announcer, outpost = made
    announcer.use([ETH0])
    announcer.announce(service(1), at(ONE))
    await settle()
    outpost.tables()
    announcer.use([])
    announcer.use([ETH0])
    announcer.flush()
    assert [each.four for each in outpost.tables()] == [{ONE.value}]


async def test_long_tables_are_made_more_seldom(
    made: tuple[Announcer, Outpost], monkeypatch: pytest.MonkeyPatch
) -> None:
    announcer, outpost = made
    announcer.use([ETH0])
    announcer.announce(service(1), at(ONE))
    monkeypatch.setattr(module, "REST", 1e9)
    await settle()
    outpost.tables()
    announcer.announce(service(2), at(Address(4, ONE.value + 1)))
    await asyncio.sleep(0.01)
    assert outpost.tables() == [], "it rests"
    announcer.flush()
    assert len(outpost.tables()) == 1, "unless it has to be now"
    announcer.close()


async def test_while_nothing_is_answered_no_table_is_made(made: tuple[Announcer, Outpost]) -> None:
    """A speaker that starts decides about thousands of Services before it may answer."""
    announcer, outpost = made
    announcer.use([ETH0])
    await settle()
    outpost.tables()
    announcer.hush()
    for number in range(1, 4):
        announcer.announce(service(number), at(Address(4, ONE.value + number)))
        await settle()
    assert outpost.tables() == []
    announcer.resume()
    assert [each.four for each in outpost.tables()] == [{ONE.value + number for number in range(1, 4)}]


async def test_a_new_process_is_told_all(made: tuple[Announcer, Outpost]) -> None:
    announcer, _ = made
    announcer.use([ETH0])
    announcer.announce(service(1), at(ONE))
    announcer.hush()
    announcer.flush()
    hush, places, table = announcer._orders()
    assert hush == Hush(silent=True)
    assert isinstance(places, Places)
    assert isinstance(table, Table)


async def test_words_are_passed_on(made: tuple[Announcer, Outpost]) -> None:
    announcer, outpost = made
    announcer.announce_again()
    announcer.defend(ONE)
    announcer.hush()
    announcer.resume()
    assert outpost.orders == [Again(), Renew(4, ONE.value), Hush(silent=True), Hush(silent=False)]


NOT_HELD = b""
HOLDER = b"\x02\x00\x00\x00\x00\x66"


class Wire:
    """An observer: strangers are all but the nodes among `peers`."""

    def __init__(self, *peers: bytes) -> None:
        self.peers = peers
        self.learnt: list[Address] = []

    def held(self, _interface: InterfaceName, _address: Address, mac: bytes) -> bool:
        return mac not in self.peers

    def free(self, _interface: InterfaceName, _address: Address) -> None:
        pass

    def learned(self, address: Address) -> None:
        self.learnt.append(address)


@pytest.mark.parametrize(
    ("interfaces", "probed", "real"),
    [
        pytest.param((), [], (), id="not known yet"),
        pytest.param((), [("eth0", ONE, NOT_HELD)], (ONE,), id="one is free, on one interface"),
        pytest.param((), [("eth0", ONE, NOT_HELD), ("eth1", ONE, HOLDER)], (ONE,), id="and held on the other"),
        pytest.param((), [("eth0", ONE, HOLDER), ("eth1", ONE, HOLDER)], (), id="one is held on both"),
        pytest.param((), [("eth0", ONE, HOLDER), ("eth0", SIX, NOT_HELD)], (SIX,), id="one is held, one is free"),
        pytest.param((), [("eth0", ONE, NOT_HELD), ("eth0", SIX, NOT_HELD)], (ONE, SIX), id="both are free"),
        pytest.param(("eth1",), [("eth0", ONE, NOT_HELD)], (), id="free where it is not announced"),
        pytest.param(("eth1",), [("eth1", ONE, NOT_HELD)], (ONE,), id="free where it is"),
        pytest.param((), [("eth0", ONE, HOLDER), ("eth0", ONE, b"\x02PEER")], (ONE,), id="it was a node of ours"),
        pytest.param((), [("eth0", ONE, MAC)], (ONE,), id="it was this node"),
    ],
)
async def test_what_is_announced_in_truth(
    made: tuple[Announcer, Outpost],
    interfaces: tuple[str, ...],
    probed: list[tuple[str, Address, bytes]],
    real: tuple[Address, ...],
) -> None:
    announcer, _ = made
    wire: Any = Wire(b"\x02PEER")
    announcer.observer = wire
    announcer.use([ETH0, ETH1])
    announcer.announce(service(1), at(ONE, SIX, interfaces=interfaces), (ONE, SIX))
    await settle()
    for name, address, mac in probed:
        announcer._hear(Probed(name, address.family, address.value, mac))
        assert wire.learnt.pop() == address
    found = announcer.real(service(1))
    assert (() if found is None else found.addresses) == real
    assert found is None or found.interfaces == frozenset(interfaces)
    announcer.announce(service(2), at(ONE, interfaces=interfaces))
    assert announcer.real(service(2)) == (at(ONE, interfaces=interfaces) if ONE in real else None), "they share it"
    assert announcer.real(service(3)) is None


async def test_what_was_announced_before_is_announced_without_any_interface(made: tuple[Announcer, Outpost]) -> None:
    announcer, _ = made
    announcer.announce(service(1), at(ONE, SIX), (SIX,))
    assert announcer.real(service(1)) == at(ONE)
    announcer.close()
