"""Short ways to write the BGP objects that these tests are about, and to ask what is wrong with a set of objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from metallb.api import v1beta1_bgp, v1beta2
from metallb.api.core import LabelSelector, ObjectMeta
from metallb.config.build import Snapshot, build
from metallb.config.errors import ConfigError

Said = tuple[str, str, str, str]


def meta(name: str, created: str | None = None, labels: Mapping[str, str] | None = None) -> ObjectMeta:
    return ObjectMeta(name=name, namespace="metallb-system", creation_timestamp=created, labels=dict(labels or {}))


@pytest.fixture
def make_peer() -> Callable[..., v1beta2.BGPPeer]:
    """A BGPPeer as a user writes it: valid, but for what is given."""

    def make(
        name: str = "router", *, created: str | None = None, on: tuple[str, ...] = (), **spec: Any
    ) -> v1beta2.BGPPeer:
        selectors = tuple(LabelSelector(match_labels={"kubernetes.io/hostname": node}) for node in on)
        basis: dict[str, Any] = {"my_asn": 64500, "peer_asn": 64501, "peer_address": "192.0.2.1"}
        if on:
            basis["node_selectors"] = selectors
        return v1beta2.BGPPeer(metadata=meta(name, created), spec=v1beta2.BGPPeerSpec(**(basis | spec)))

    return make


@pytest.fixture
def make_bgp() -> Callable[..., v1beta1_bgp.BGPAdvertisement]:
    """A BGPAdvertisement as a user writes it."""

    def make(
        name: str = "routes", *, created: str | None = None, on: tuple[str, ...] = (), **spec: Any
    ) -> v1beta1_bgp.BGPAdvertisement:
        if on:
            spec["node_selectors"] = tuple(LabelSelector(match_labels={"kubernetes.io/hostname": node}) for node in on)
        return v1beta1_bgp.BGPAdvertisement(metadata=meta(name, created), spec=v1beta1_bgp.BGPAdvertisementSpec(**spec))

    return make


@pytest.fixture
def make_profile() -> Callable[..., v1beta1_bgp.BFDProfile]:
    """A BFDProfile as a user writes it."""

    def make(name: str = "fast", *, created: str | None = None, **spec: Any) -> v1beta1_bgp.BFDProfile:
        return v1beta1_bgp.BFDProfile(metadata=meta(name, created), spec=v1beta1_bgp.BFDProfileSpec(**spec))

    return make


@pytest.fixture
def make_community() -> Callable[..., v1beta1_bgp.Community]:
    """A Community as a user writes it: pairs of name and value."""

    def make(name: str, *aliases: tuple[str, str], created: str | None = None) -> v1beta1_bgp.Community:
        written = tuple(v1beta1_bgp.CommunityAlias(alias, value) for alias, value in aliases)
        return v1beta1_bgp.Community(metadata=meta(name, created), spec=v1beta1_bgp.CommunitySpec(written))

    return make


def say(error: ConfigError) -> Said:
    return f"{error.object.kind} {error.object.name}", error.field, error.value, error.rule


@pytest.fixture
def said() -> Callable[..., list[Said]]:
    """What is wrong with objects: kind and name, field, value, rule of each error. The backend is frr if none is given."""

    def wrong(**snapshot: Any) -> list[Said]:
        return [say(error) for error in build(Snapshot(**{"backend": "frr", **snapshot})).errors]

    return wrong
