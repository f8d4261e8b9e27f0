"""BFDProfiles (spec/crds.md 6, 10.4), and whether the backend takes any (10.8)."""

from __future__ import annotations

from dataclasses import dataclass

from metallb.api import v1beta1_bgp
from metallb.config.backends import Backend, Feature, refuses
from metallb.config.model import BFDProfile
from metallb.config.parsing import Parsed, Problems

KIND = "BFDProfile"

_NS_PER_MS = 1_000_000
_INTERVAL_MS = (10, 60000)
_MULTIPLIER = (2, 255)
_TTL = (1, 254)


@dataclass(frozen=True, slots=True)
class ParsedBFDProfile(Parsed):
    """A BFD profile."""

    profile: BFDProfile


def parse_bfd_profile(resource: v1beta1_bgp.BFDProfile, backend: Backend) -> ParsedBFDProfile:
    """The profile as far as it could be read, and what is wrong with it."""
    problems = Problems.of(KIND, resource.metadata)
    spec = resource.spec
    if refuses(backend, Feature.BFD_PROFILES):
        rule = f"is there, and backend {backend} can't do BFD"
        problems.add("metadata.name", resource.metadata.name, rule, "remove the profile, or use another backend")
    _check(problems, "spec.detectMultiplier", spec.detect_multiplier, _MULTIPLIER)
    _check(problems, "spec.minimumTtl", spec.minimum_ttl, _TTL)
    profile = BFDProfile(
        name=resource.metadata.name,
        receive_interval_ns=_interval(problems, "spec.receiveInterval", spec.receive_interval),
        transmit_interval_ns=_interval(problems, "spec.transmitInterval", spec.transmit_interval),
        echo_interval_ns=_interval(problems, "spec.echoInterval", spec.echo_interval),
        detect_multiplier=spec.detect_multiplier,
        echo_mode=spec.echo_mode,
        passive_mode=spec.passive_mode,
        minimum_ttl=spec.minimum_ttl,
    )
    return ParsedBFDProfile(*problems.head(resource.metadata), profile)


def _interval(problems: Problems, path: str, milliseconds: int | None) -> int | None:
    _check(problems, path, milliseconds, _INTERVAL_MS)
    return None if milliseconds is None else milliseconds * _NS_PER_MS


def _check(problems: Problems, path: str, value: int | None, bounds: tuple[int, int]) -> None:
    if value is not None:
        problems.check_number(path, value, *bounds)
