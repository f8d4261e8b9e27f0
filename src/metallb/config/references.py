"""What peers name must be there: their BFD profile and their Secret (spec/crds.md 10.3, rows B11 to B13).

What is missing may yet come: such errors are transient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from metallb.api.core import Secret
from metallb.config.errors import ConfigError
from metallb.config.peers import ParsedPeer

SECRET_TYPE = "kubernetes.io/basic-auth"  # noqa: S105  # a type, no secret
PASSWORD_KEY = "password"  # noqa: S105  # a key, no secret

_SECRET_FIELD = "spec.passwordSecret.name"  # noqa: S105  # a path, no secret


def check_profile(peer: ParsedPeer, exists: Callable[[str], bool]) -> list[ConfigError]:
    """Row B13."""
    name = peer.peer.bfd_profile
    if not name or exists(name):
        return []
    hint = "create it"
    rule = "is no BFDProfile of this namespace"
    return [ConfigError(peer.object, "spec.bfdProfile", name, rule, hint, transient=True)]


def find_password(peer: ParsedPeer, secrets: Mapping[str, Secret] | None) -> tuple[bytes, list[ConfigError]]:
    """The password of a peer, and rows B11 and B12; without `secrets` references are not looked up."""
    name = peer.peer.password_secret
    if not name or secrets is None:
        return peer.peer.password, []
    secret = secrets.get(name)
    if secret is None:
        rule, hint = "is no Secret of this namespace", f"create one of type {SECRET_TYPE} with a {PASSWORD_KEY}"
        return b"", [ConfigError(peer.object, _SECRET_FIELD, name, rule, hint, transient=True)]
    if secret.type != SECRET_TYPE:
        rule = f"is a Secret of type {secret.type!r}, and must be of {SECRET_TYPE}"
        return b"", [ConfigError(peer.object, _SECRET_FIELD, name, rule, "create it anew: types can't be changed")]
    if PASSWORD_KEY not in secret.data:
        rule = f"is a Secret without the key {PASSWORD_KEY!r}"
        return b"", [ConfigError(peer.object, _SECRET_FIELD, name, rule, "add the key")]
    return secret.data[PASSWORD_KEY], []
