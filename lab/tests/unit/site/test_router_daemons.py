"""What a router's daemon is told."""

from __future__ import annotations

import pytest

from kubelab.router import daemons
from kubelab.router.daemons import Config


def a_router(**more: object) -> Config:
    given: dict[str, object] = {
        "name": "a",
        "daemon": "frr",
        "asn": 64512,
        "nodes_asn": 64500,
        "addresses": ("198.51.100.1", "2001:db8:100::1"),
        "ranges": ("198.51.100.0/24", "2001:db8:100::/64"),
        **more,
    }
    return Config(**given)  # type: ignore[arg-type]  # as decoded


def test_frr_listens_to_the_nodes_network_and_spreads_over_equal_paths() -> None:
    text = daemons.configuration(a_router(maximum_paths=4))
    assert " bgp listen range 198.51.100.0/24 peer-group nodes\n" in text
    assert " bgp listen range 2001:db8:100::/64 peer-group nodes\n" in text
    assert text.count("  maximum-paths 4\n") == text.count("  maximum-paths ibgp 4\n") == 2
    assert "bfd" not in text


def test_bird_listens_on_each_of_its_addresses() -> None:
    text = daemons.configuration(a_router(daemon="bird", bfd=True))
    assert "local 198.51.100.1 as 64512; neighbor range 198.51.100.0/24 as 64500;" in text
    assert "local 2001:db8:100::1 as 64512; neighbor range 2001:db8:100::/64 as 64500;" in text
    assert text.count("bfd on;") == 2
    assert "protocol bfd { }" in text


def test_a_router_without_ipv4_has_an_identifier_too() -> None:
    six = a_router(addresses=("2001:db8:100::1",), ranges=("2001:db8:100::/64",))
    assert " bgp router-id 192.0.0.1\n" in daemons.configuration(six)


@pytest.mark.parametrize(
    ("daemon", "bfd", "programs"),
    [("frr", False, ["zebra", "bgpd"]), ("frr", True, ["zebra", "bfdd", "bgpd"]), ("bird", True, ["bird"])],
)
def test_each_program_has_a_socket_to_wait_for(daemon: str, bfd: bool, programs: list[str]) -> None:  # noqa: FBT001  # a row of a table
    config = a_router(daemon=daemon, bfd=bfd)
    assert [command[0] for command in daemons.commands(config, "x.conf")] == programs
    assert len(daemons.sockets(config)) == len(programs)
    assert daemons.commands(config, "x.conf")[-1].count("x.conf") == 1


def test_frrs_group_goes_before_all_others_and_is_there_once() -> None:
    groups = daemons.etc("root:x:0:\nfrrvty:x:112:frr\n")["group"]
    assert groups == "frrvty:x:39999:root\nroot:x:0:\n"
