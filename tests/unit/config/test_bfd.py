"""Every range of BFDProfiles (spec/crds.md 6, 10.4), and BFD echo beside IPv6 (10.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metallb.config.build import Snapshot, build
from metallb.config.errors import ObjectName
from metallb.config.model import BFDProfile

Said = list[tuple[str, str, str, str]]
MS = 1_000_000


@pytest.mark.parametrize(
    ("name", "path", "smallest", "largest"),
    [
        ("receive_interval", "receiveInterval", 10, 60000),
        ("transmit_interval", "transmitInterval", 10, 60000),
        ("echo_interval", "echoInterval", 10, 60000),
        ("detect_multiplier", "detectMultiplier", 2, 255),
        ("minimum_ttl", "minimumTtl", 1, 254),
    ],
)
def test_numbers_have_their_ranges(
    make_profile: Callable[..., Any], said: Callable[..., Said], name: str, path: str, smallest: int, largest: int
) -> None:
    for value in (smallest, largest):
        assert said(bfd_profiles=(make_profile(**{name: value}),)) == []
    for value in (smallest - 1, largest + 1, 0, -1):
        rule = f"must be from {smallest} to {largest}"
        expected = [("BFDProfile fast", f"spec.{path}", str(value), rule)]
        assert said(bfd_profiles=(make_profile(**{name: value}),)) == expected


def test_what_becomes_of_a_profile(make_profile: Callable[..., Any]) -> None:
    profiles = (
        make_profile("b", receive_interval=300, transmit_interval=10, echo_interval=50, detect_multiplier=3),
        make_profile("a", echo_mode=True, passive_mode=True, minimum_ttl=254),
    )
    built = build(Snapshot(bfd_profiles=profiles, backend="frr"))
    assert built.config is not None
    assert built.config.bfd_profiles == (
        BFDProfile("a", echo_mode=True, passive_mode=True, minimum_ttl=254),
        BFDProfile("b", 300 * MS, 10 * MS, 50 * MS, 3),
    )


@pytest.fixture
def meeting(
    make_profile: Callable[..., Any],
    make_peer: Callable[..., Any],
    make_bgp: Callable[..., Any],
    make_pool: Callable[..., Any],
) -> Callable[..., dict[str, Any]]:
    """A snapshot in which IPv6 addresses are announced to a peer with BFD echo."""

    def make(*, echo: bool = True, peers: tuple[str, ...] = (), pools: tuple[str, ...] = ()) -> dict[str, Any]:
        return {
            "bfd_profiles": (make_profile("fast", echo_mode=echo), make_profile("slow")),
            "peers": (
                make_peer("one", bfd_profile="fast"),
                make_peer("other", peer_address="192.0.2.2", bfd_profile="slow"),
            ),
            "bgp_advertisements": (make_bgp("routes", peers=peers, ip_address_pools=pools),),
            "pools": (make_pool("v4", "10.0.0.0/24"), make_pool("v6", "2001:db8::/64")),
        }

    return make


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param({"echo": False}, id="no echo"),
        pytest.param({"peers": ("other",)}, id="another peer"),
        pytest.param({"peers": ("nosuch",)}, id="no peer"),
        pytest.param({"pools": ("v4",)}, id="another pool"),
    ],
)
def test_echo_is_accepted_apart_from_ipv6(
    meeting: Callable[..., dict[str, Any]], said: Callable[..., Said], choice: dict[str, Any]
) -> None:
    assert said(**meeting(**choice)) == []


def test_echo_is_accepted_where_no_advertisement_is(
    meeting: Callable[..., dict[str, Any]], said: Callable[..., Said]
) -> None:
    assert said(**{**meeting(), "bgp_advertisements": ()}) == []


@pytest.mark.parametrize(
    ("youngest", "field", "value"),
    [
        ("BFDProfile fast", "spec.echoMode", "true"),
        ("BGPPeer one", "spec.bfdProfile", "fast"),
        ("BGPAdvertisement routes", "spec.peers", "one"),
        ("IPAddressPool v6", "spec.addresses[0]", "2001:db8::/64"),
    ],
)
def test_echo_beside_ipv6_is_blamed_on_the_youngest_of_four(
    meeting: Callable[..., dict[str, Any]], youngest: str, field: str, value: str
) -> None:
    snapshot = Snapshot(**meeting(peers=("one",)), backend="frr")
    kind, name = youngest.split()
    (error,) = build(snapshot, youngest=ObjectName(kind, "metallb-system", name)).errors
    assert (f"{error.object.kind} {error.object.name}", error.field, error.value) == (youngest, field, value)
    everybody = {"BFDProfile fast", "BGPPeer one", "BGPAdvertisement routes", "IPAddressPool v6"}
    assert {f"{other.kind} {other.name}" for other in error.others} == everybody - {youngest}
    assert "BFD echo packets" in error.rule
