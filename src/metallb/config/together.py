"""All parsed objects together: whether one of them is in conflict with others, or names what is not there.

    together = Together(nodes, backend)
    for each in parsed: together.put(each)
    errors = together.check(each)               # as if it were younger than all others
    errors = together.check(each, each.seniority)   # only against older ones: so a set has each conflict once
    errors = together.check_references(each, secrets)

`put`, `remove` and `check` cost microseconds to some hundreds of them, whatever the number of objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from metallb.api import v1beta1, v1beta1_bgp, v1beta2
from metallb.api.core import Secret
from metallb.config.advertisements import (
    ParsedBGPAdvertisement,
    ParsedL2Advertisement,
    parse_bgp_advertisement,
    parse_l2_advertisement,
)
from metallb.config.aliases import Aliases, ParsedCommunity, parse_community
from metallb.config.backends import Backend
from metallb.config.bfd import KIND as BFD_KIND
from metallb.config.bfd import ParsedBFDProfile, parse_bfd_profile
from metallb.config.echo import Echo
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.neighbors import Neighbors
from metallb.config.nodes import Nodes
from metallb.config.overlaps import Overlaps
from metallb.config.parsing import Parsed, Seniority
from metallb.config.peers import ParsedPeer, parse_peer
from metallb.config.pools import ParsedPool, parse_pool
from metallb.config.references import check_profile, find_password
from metallb.config.routes import Routes
from metallb.config.selectors import Labels
from metallb.config.slots import Slots
from metallb.config.targets import Targets

Resource = (
    v1beta1.IPAddressPool
    | v1beta1.L2Advertisement
    | v1beta1_bgp.BGPAdvertisement
    | v1beta2.BGPPeer
    | v1beta1_bgp.BFDProfile
    | v1beta1_bgp.Community
)
"""Any object that configures MetalLB."""


def parse(resource: Resource, namespaces: Mapping[str, Labels], backend: Backend) -> Parsed:
    """One object by itself; its own errors are in it."""
    match resource:
        case v1beta1.IPAddressPool():
            return parse_pool(resource, namespaces)
        case v1beta1.L2Advertisement():
            return parse_l2_advertisement(resource)
        case v1beta1_bgp.BGPAdvertisement():
            return parse_bgp_advertisement(resource)
        case v1beta2.BGPPeer():
            return parse_peer(resource, backend)
        case v1beta1_bgp.BFDProfile():
            return parse_bfd_profile(resource, backend)
        case v1beta1_bgp.Community():
            return parse_community(resource, backend)


class Together:
    """All objects of a configuration. Each is put in once; to change one is to remove it and put the new one in.

    Nodes and backend are fixed: other ones need another `Together`.
    """

    def __init__(self, nodes: Mapping[str, Labels] | None, backend: Backend) -> None:
        known = Nodes(nodes)
        self.routes = Routes(known, backend)
        self.l2_advertisements: Slots[ParsedL2Advertisement] = Slots()
        self.l2_targets = Targets()
        self.aliases = Aliases(backend)
        self._overlaps = Overlaps()
        self._neighbors = Neighbors(known, backend)
        self._echo = Echo(self.routes, self._neighbors.peers)

    @property
    def peers(self) -> Slots[ParsedPeer]:
        """All peers."""
        return self._neighbors.peers

    @property
    def profiles(self) -> Slots[ParsedBFDProfile]:
        """All BFD profiles."""
        return self._echo.profiles

    def put(self, item: Parsed) -> None:
        """Takes in an object that is not there yet."""
        match item:
            case ParsedPool():
                self.routes.put_pool(item)
                self._overlaps.put(item)
            case ParsedL2Advertisement():
                self.l2_targets.put(self.l2_advertisements.put(item), item.target)
            case ParsedBGPAdvertisement():
                self.routes.put_advertisement(item)
            case ParsedPeer():
                self._neighbors.put(item)
                self._echo.put_peer(self.peers.slot(item.object), item)
            case ParsedBFDProfile():
                self._echo.put_profile(item)
            case ParsedCommunity():
                self.aliases.put(item)

    def remove(self, item: Parsed) -> None:
        """Forgets an object, which is the very one that was put in."""
        match item:
            case ParsedPool():
                self.routes.remove_pool(item)
                self._overlaps.remove(item)
            case ParsedL2Advertisement():
                self.l2_targets.remove(self.l2_advertisements.remove(item), item.target)
            case ParsedBGPAdvertisement():
                self.routes.remove_advertisement(item)
            case ParsedPeer():
                self._echo.remove_peer(self.peers.slot(item.object), item)
                self._neighbors.remove(item)
            case ParsedBFDProfile():
                self._echo.remove_profile(item)
            case ParsedCommunity():
                self.aliases.remove(item)

    def check(self, item: Parsed, before: Seniority | None = None) -> list[ConfigError]:
        """Conflicts of an object, which is in, with others that are older than `before`; None: with all others."""
        return list(self._conflicts(item, before))

    def _conflicts(self, item: Parsed, before: Seniority | None) -> Iterator[ConfigError]:
        match item:
            case ParsedPool():
                yield from self._overlaps.check(item, before)
                yield from self.routes.check_pool(item, before)
                yield from self._echo.check(item, before)
            case ParsedBGPAdvertisement():
                yield from self.routes.check_advertisement(item, before)
                yield from self._echo.check(item, before)
            case ParsedPeer():
                yield from self._neighbors.check(item, before)
                yield from self._echo.check(item, before)
            case ParsedBFDProfile():
                yield from self._echo.check(item, before)
            case ParsedCommunity():
                yield from self.aliases.check(item, before)

    def check_references(self, item: Parsed, secrets: Mapping[str, Secret] | None) -> list[ConfigError]:
        """What is wrong with what an object names; most such errors are transient."""
        match item:
            case ParsedPeer():
                return check_profile(item, lambda name: self.has_profile(item, name)) + find_password(item, secrets)[1]
            case ParsedBGPAdvertisement():
                return self.aliases.resolve(item)[1]
            case _:
                return []

    def has_profile(self, peer: ParsedPeer, name: str) -> bool:
        """Whether a BFD profile of this name is in the peer's namespace."""
        return bool(self.profiles.bit(ObjectName(BFD_KIND, peer.object.namespace, name)))
