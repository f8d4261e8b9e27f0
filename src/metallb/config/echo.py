"""BFD echo packets go between IPv4 addresses only, so no IPv6 pool may be announced over such a session (10.7).

Four objects make the conflict: a profile with echo mode, a peer that uses it, an advertisement for that peer, a pool.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from metallb.config.advertisements import ParsedBGPAdvertisement
from metallb.config.bfd import ParsedBFDProfile
from metallb.config.blame import conflict
from metallb.config.errors import ConfigError
from metallb.config.parsing import Parsed, Seniority
from metallb.config.peers import ParsedPeer
from metallb.config.pools import ParsedPool
from metallb.config.routes import Routes
from metallb.config.slots import Groups, Slots, bits


@dataclass(frozen=True, slots=True)
class _Among:
    """Masks of the objects that are looked at, of each kind."""

    profiles: int
    peers: int
    advertisements: int
    pools: int


@dataclass(frozen=True, slots=True)
class _Met:
    """One of each kind, in conflict."""

    profile: ParsedBFDProfile
    peer: ParsedPeer
    advertisement: ParsedBGPAdvertisement
    pool: ParsedPool


class Echo:
    """All BFD profiles, and who uses them; pools, advertisements and peers are kept by others."""

    def __init__(self, routes: Routes, peers: Slots[ParsedPeer]) -> None:
        self.profiles: Slots[ParsedBFDProfile] = Slots()
        self._routes = routes
        self._peers = peers
        self._echoing = 0
        self._users: Groups[str] = Groups()
        self._peer_names: Groups[str] = Groups()

    def put_profile(self, profile: ParsedBFDProfile) -> None:
        """Takes in a profile that is not there yet."""
        slot = self.profiles.put(profile)
        if profile.profile.echo_mode:
            self._echoing |= 1 << slot

    def remove_profile(self, profile: ParsedBFDProfile) -> None:
        """Forgets a profile."""
        self._echoing &= ~(1 << self.profiles.remove(profile))

    def put_peer(self, slot: int, peer: ParsedPeer) -> None:
        """Notes the peer at a slot."""
        self._peer_names.put(peer.peer.name, slot)
        if peer.peer.bfd_profile:
            self._users.put(peer.peer.bfd_profile, slot)

    def remove_peer(self, slot: int, peer: ParsedPeer) -> None:
        """Takes back what `put_peer` noted."""
        self._peer_names.remove(peer.peer.name, slot)
        self._users.remove(peer.peer.bfd_profile, slot)

    def check(self, blamed: Parsed, before: Seniority | None) -> list[ConfigError]:
        """Any of the four against those that are older than `before`; the first conflict only."""
        if not self._echoing or not self._routes.holding(6):
            return []
        met = self._meet(self._among(blamed, before))
        return [] if met is None else [_told(blamed, met)]

    def _among(self, blamed: Parsed, before: Seniority | None) -> _Among:
        routes = self._routes
        among = _Among(
            profiles=self.profiles.elders(before),
            peers=self._peers.elders(before),
            advertisements=routes.advertisements.elders(before),
            pools=routes.pools.elders(before),
        )
        match blamed:
            case ParsedBFDProfile():
                among = replace(among, profiles=self.profiles.bit(blamed.object))
            case ParsedPeer():
                among = replace(among, peers=self._peers.bit(blamed.object))
            case ParsedBGPAdvertisement():
                among = replace(among, advertisements=routes.advertisements.bit(blamed.object))
            case _:
                among = replace(among, pools=routes.pools.bit(blamed.object))
        return replace(among, profiles=among.profiles & self._echoing, pools=among.pools & routes.holding(6))

    def _meet(self, among: _Among) -> _Met | None:
        peers = 0
        for slot in bits(among.profiles):
            peers |= self._users.get(self.profiles[slot].profile.name, 0)
        peers &= among.peers
        if not peers or not among.pools:
            return None
        for advertisement in self._routes.advertisements.by_age(self._reaching(among)):
            targeted = self._targeted(advertisement) & peers
            reached = self._routes.pools.reached(advertisement.target) & among.pools
            if targeted and reached:
                peer = self._peers.by_age(targeted)[0]
                return _Met(self._profile_of(peer), peer, advertisement, self._routes.pools.by_age(reached)[0])
        return None

    def _reaching(self, among: _Among) -> int:
        """The advertisements worth a look: a single pool knows who reaches it."""
        if among.pools.bit_count() > 1:
            return among.advertisements
        (pool,) = self._routes.pools.of(among.pools)
        return among.advertisements & self._routes.targets.reaching(pool)

    def _targeted(self, advertisement: ParsedBGPAdvertisement) -> int:
        if not advertisement.advertisement.peers:
            return self._peers.all
        mask = 0
        for name in advertisement.advertisement.peers:
            mask |= self._peer_names.get(name, 0)
        return mask

    def _profile_of(self, peer: ParsedPeer) -> ParsedBFDProfile:
        return next(each for each in self.profiles if each.profile.name == peer.peer.bfd_profile)


def _told(blamed: Parsed, met: _Met) -> ConfigError:
    item = met.pool.needed[6]
    match blamed:
        case ParsedBFDProfile():
            path, value = "spec.echoMode", "true"
        case ParsedPeer():
            path, value = "spec.bfdProfile", met.profile.profile.name
        case ParsedBGPAdvertisement():
            path, value = "spec.peers", ", ".join(sorted(met.advertisement.advertisement.peers)) or "all peers"
        case _:
            path, value = item.path, item.text
    rule = (
        f"brings IPv6 and BFD echo packets together, which are for IPv4 only: {met.advertisement.object} announces "
        f"{item.text!r} of {met.pool.object} to {met.peer.object}, which uses {met.profile.object}"
    )
    others = [each.object for each in (met.profile, met.peer, met.advertisement, met.pool) if each is not blamed]
    hint = "turn echoMode off, or choose the peers or the pools of the advertisement"
    return conflict(blamed.object, path, value, rule, hint, *others)
