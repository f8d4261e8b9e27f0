"""What the daemons of a router are told, and how they are started. Pure.

Sources: the user guides of FRR 8.4 (docs.frrouting.org, BGP: "Peer Filtering", "Multiple paths", "Listen range") and of
BIRD 2.0 (bird.network.cz, "BGP": neighbor range, "Kernel": merge paths).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

FRR_FOLDER = "/run/frr"
"""Where FRR's daemons find each other: a router has a /run of its own."""
FILE = "/run/router.conf"
"""The configuration that `configuration` makes."""
BIRD_SOCKET = "/run/bird/bird.ctl"
"""Where `birdc` finds BIRD."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A router with a daemon.

    Attributes:
        name: the machine's.
        daemon: which one.
        asn: the router's autonomous system.
        nodes_asn: that of the peers.
        addresses: its own on the nodes' network, IPv4 first.
        ranges: the nodes' network: whoever calls from there is a peer.
        maximum_paths: over how many equal paths traffic is spread.
        bfd: whether sessions go down with BFD's.
    """

    name: str
    daemon: Literal["frr", "bird"]
    asn: int
    nodes_asn: int = msgspec.field(name="nodesASN")
    addresses: tuple[str, ...]
    ranges: tuple[str, ...]
    maximum_paths: int = msgspec.field(default=16, name="maximumPaths")
    bfd: bool = False

    @property
    def router_id(self) -> str:
        """Its IPv4 address, or one that stands for it (RFC 4271 4.2: four octets, unique in its system)."""
        return next((each for each in self.addresses if ":" not in each), "192.0.0.1")


def configuration(config: Config) -> str:
    """The daemon's configuration file."""
    return _frr(config) if config.daemon == "frr" else _bird(config)


def commands(config: Config, file: str) -> list[list[str]]:
    """The programs to start, in order, each with the file that `configuration` belongs into."""
    if config.daemon == "bird":
        return [["bird", "-f", "-c", file, "-s", BIRD_SOCKET]]
    common = ["-u", "root", "-g", "root", "-P", "0", "--log", "stdout", "-f"]
    rest = [["bfdd", *common, "/dev/null"]] if config.bfd else []
    return [["zebra", *common, "/dev/null"], *rest, ["bgpd", *common, file]]


def etc(groups: str) -> dict[str, str]:
    """Files below /etc that FRR and its shell ask for, by name; `groups` is the list of groups so far."""
    others = "".join(line for line in groups.splitlines(keepends=True) if not line.startswith("frrvty:"))
    return {
        "group": "frrvty:x:39999:root\n" + others,
        "frr/vtysh.conf": "no service integrated-vtysh-config\n",
        "pam.d/frr": "auth sufficient pam_permit.so\naccount sufficient pam_permit.so\n",
    }


def sockets(config: Config) -> list[str]:
    """The files that are there once the daemons serve: for each program one."""
    if config.daemon == "bird":
        return [BIRD_SOCKET]
    return [f"{FRR_FOLDER}/{program[0]}.vty" for program in commands(config, "")]


def _frr(config: Config) -> str:
    families = ("ipv4", "ipv6")
    lines = [
        "frr defaults traditional",
        f"hostname {config.name}",
        "log stdout",
        f"router bgp {config.asn}",
        f" bgp router-id {config.router_id}",
        " no bgp ebgp-requires-policy",
        " no bgp default ipv4-unicast",
        " bgp bestpath as-path multipath-relax",
        " neighbor nodes peer-group",
        f" neighbor nodes remote-as {config.nodes_asn}",
        *([" neighbor nodes bfd"] if config.bfd else []),
        *(f" bgp listen range {each} peer-group nodes" for each in config.ranges),
    ]
    for family in families:
        lines += [
            f" address-family {family} unicast",
            "  neighbor nodes activate",
            f"  maximum-paths {config.maximum_paths}",
            f"  maximum-paths ibgp {config.maximum_paths}",
            " exit-address-family",
        ]
    return "\n".join([*lines, "exit", ""])


def _bird(config: Config) -> str:
    channels = "ipv4 { import all; export none; }; ipv6 { import all; export none; };"
    lines = [
        f"router id {config.router_id};",
        "log stderr all;",
        "protocol device { }",
        "protocol direct { ipv4; ipv6; }",
        *(["protocol bfd { }"] if config.bfd else []),
    ]
    kernel = f"merge paths on limit {config.maximum_paths};"
    lines += [
        f"protocol kernel kernel_{each} {{ {each} {{ export where source = RTS_BGP; }}; {kernel} }}"
        for each in ("ipv4", "ipv6")
    ]
    lines += [
        f"protocol bgp nodes_{number} {{ local {own} as {config.asn}; neighbor range {range_} as {config.nodes_asn}; "
        f'dynamic name "node_{number}_"; {"bfd on; " if config.bfd else ""}{channels} }}'
        for number, (own, range_) in enumerate(zip(config.addresses, config.ranges, strict=True))
    ]
    return "\n".join([*lines, ""])


def search_path(usual: str, beside: str) -> Sequence[str]:
    """Where the programs may be: as usual, where FRR puts its daemons, and beside the interpreter."""
    return [*usual.split(":"), "/usr/sbin", "/sbin", "/usr/lib/frr", beside]
