"""What a change of a BGPPeer or a Community does: who uses it, and whom it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from metallb.api.v1beta2 import BGPPeer, BGPPeerSpec
from metallb.config.change import Change
from metallb.config.errors import ObjectName
from metallb.config.tables import Tables, aliases_of
from metallb.config.warnings.nodes import selects_any, unmatched
from metallb.config.warnings.sentences import few

_BASIC_AUTH: Final = "kubernetes.io/basic-auth"


def of_peer(tables: Tables, change: Change) -> list[str]:
    """Warnings about a BGPPeer that is created, changed or deleted."""
    with tables.showing(change.kind, change.name, change.after):
        if isinstance(change.after, BGPPeer) and change.after.spec is not None:
            return list(_present(tables, change.object, change.after.spec))
        return list(_gone(tables, change.object))


def _present(tables: Tables, name: ObjectName, spec: BGPPeerSpec) -> Iterator[str]:
    if spec.disable_mp:
        yield f"{name}: spec.disableMP is deprecated and has no effect; take it out"
    if not tables.reach.is_targeted(name.name):
        yield f"{name}: no BGPAdvertisement is for this peer yet: it is told nothing; create one"
    elif selects_any(tables, tables.reach.peers[name.name]) and not tables.reach.meets_advertiser(
        name.name, tables.nodes
    ):
        yield f"{name}: no BGPAdvertisement for this peer selects a node that connects to it; let both select one"
    yield from unmatched(tables, name, spec.node_selectors, "none connects to the peer")
    if spec.password_secret is not None and spec.password_secret.name:
        yield from _secret(tables, name, spec.password_secret.name)


def _secret(tables: Tables, name: ObjectName, wanted: str) -> Iterator[str]:
    if tables.secrets is None:
        return
    secret = tables.secrets.get(wanted)
    path = f"{name}: spec.passwordSecret.name: the Secret {few({wanted})}"
    if secret is None:
        yield f"{path} does not exist in namespace {name.namespace}; create it with type {_BASIC_AUTH} and a password"
    elif secret.type != _BASIC_AUTH:
        yield f"{path} is of type {few({secret.type or 'Opaque'})}; it must be of type {_BASIC_AUTH}: create it anew"
    elif "password" not in secret.data:
        yield f"{path} has no key password; add it"


def _gone(tables: Tables, name: ObjectName) -> Iterator[str]:
    idle = [each.name for each in tables.reach.left_alone(name.name)]
    if idle:
        yield f"{name}: no BGPPeer would be left for {_kind(idle)} {few(idle)}; delete what is not needed"


def of_community(tables: Tables, change: Change) -> list[str]:
    """Warnings about a Community that is changed or deleted: aliases that are in use and go."""
    with tables.showing(change.kind, change.name, change.after):
        return list(_lost_aliases(tables, change.object, aliases_of(change.before) - aliases_of(change.after)))


def _lost_aliases(tables: Tables, name: ObjectName, gone: Iterable[str]) -> Iterator[str]:
    for alias in sorted(gone):
        users = [] if tables.giving(alias) else [each.name for each in tables.reach.using(alias)]
        if users:
            lost = f"would be left with the unknown alias {few({alias})}"
            yield f"{name}: {_kind(users)} {few(users)} {lost}; change them first"


def _kind(names: list[str]) -> str:
    return "BGPAdvertisement" if len(names) == 1 else "BGPAdvertisements"
