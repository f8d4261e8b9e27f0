"""Names for communities, and what the entries of BGP advertisements come to with them (spec/crds.md 10.5, 10.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from metallb.api import v1beta1_bgp
from metallb.config import communities
from metallb.config.advertisements import ParsedBGPAdvertisement, WrittenCommunity
from metallb.config.backends import Backend, Feature, refuses
from metallb.config.blame import conflict, each_of
from metallb.config.communities import Community
from metallb.config.errors import ConfigError
from metallb.config.parsing import Parsed, Problems, Seniority

KIND = "Community"

_FORMS = "write A:B, or large:A:B:C"
_STANDARD_ONLY = "use a standard community, A:B, or another backend"


@dataclass(frozen=True, slots=True)
class Alias:
    """A name and the community that it stands for; None: that could not be read."""

    position: int
    name: str
    community: Community | None


@dataclass(frozen=True, slots=True)
class ParsedCommunity(Parsed):
    """A Community object; of each name the first alias."""

    aliases: Mapping[str, Alias]


def parse_community(resource: v1beta1_bgp.Community, backend: Backend) -> ParsedCommunity:
    """The aliases as far as they could be read, and what is wrong with them."""
    problems = Problems.of(KIND, resource.metadata)
    aliases: dict[str, Alias] = {}
    for position, written in enumerate(resource.spec.communities):
        path = f"spec.communities[{position}]"
        community = _parse_value(f"{path}.value", written.value, backend, problems)
        if written.name in aliases:
            problems.add(f"{path}.name", written.name, "is there twice", "remove one")
        else:
            aliases[written.name] = Alias(position, written.name, community)
    return ParsedCommunity(*problems.head(resource.metadata), aliases)


def _parse_value(path: str, text: str, backend: Backend, problems: Problems) -> Community | None:
    try:
        community = communities.parse(text)
    except ValueError as error:
        problems.add(path, text, str(error), _FORMS)
        return None
    if community.is_large and refuses(backend, Feature.LARGE_COMMUNITIES):
        problems.add(path, text, _too_large(backend), _STANDARD_ONLY)
    return community


def _too_large(backend: Backend) -> str:
    return f"is a large community, which backend {backend} can't announce"


class Aliases:
    """The aliases of all Community objects."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._holders: dict[str, dict[Seniority, ParsedCommunity]] = {}

    def put(self, community: ParsedCommunity) -> None:
        """Takes in an object that is not there yet."""
        for name in community.aliases:
            self._holders.setdefault(name, {})[community.seniority] = community

    def remove(self, community: ParsedCommunity) -> None:
        """Forgets an object."""
        for name in community.aliases:
            holders = self._holders[name]
            del holders[community.seniority]
            if not holders:
                del self._holders[name]

    def check(self, community: ParsedCommunity, before: Seniority | None) -> Iterator[ConfigError]:
        """The names of an object against those of objects older than `before`."""
        for name, alias in community.aliases.items():
            others = [
                other
                for age, other in sorted(self._holders.get(name, {}).items())
                if other.object != community.object and (before is None or age < before)
            ]
            yield from each_of(others, lambda other, alias=alias: _given_twice(community, alias, other))  # type: ignore[misc]

    def find(self, name: str) -> Alias | None:
        """The alias of a name; of several the eldest's."""
        holders = self._holders.get(name)
        return holders[min(holders)].aliases[name] if holders else None

    def resolve(self, advertisement: ParsedBGPAdvertisement) -> tuple[tuple[Community, ...], list[ConfigError]]:
        """What an advertisement's entries come to, sorted, and what is wrong with them.

        An entry is the name of an alias or else a community. One that looks like a name may wait for its alias.
        """
        found: set[Community] = set()
        errors: list[ConfigError] = []
        for written in advertisement.communities:
            alias = self.find(written.text)
            community = alias.community if alias else written.community
            if community is not None:
                found.add(community)
            if alias is None:
                errors += self._problems(advertisement, written)
        return tuple(sorted(found)), errors

    def _problems(self, advertisement: ParsedBGPAdvertisement, written: WrittenCommunity) -> Iterator[ConfigError]:
        path = f"spec.communities[{written.position}]"
        if written.may_be_alias:
            rule = "is neither a community nor a name that a Community gives"
            hint = f"create a Community with this name, or {_FORMS}"
            yield ConfigError(advertisement.object, path, written.text, rule, hint, transient=True)
        elif written.community is None:
            yield ConfigError(advertisement.object, path, written.text, written.problem, _FORMS)
        elif written.community.is_large and refuses(self._backend, Feature.LARGE_COMMUNITIES):
            yield ConfigError(advertisement.object, path, written.text, _too_large(self._backend), _STANDARD_ONLY)


def _given_twice(community: ParsedCommunity, alias: Alias, other: ParsedCommunity) -> ConfigError:
    path = f"spec.communities[{alias.position}].name"
    return conflict(
        community.object, path, alias.name, f"is given by {other.object} already", "use another name", other.object
    )
