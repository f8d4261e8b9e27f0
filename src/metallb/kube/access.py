"""What we and others may do: SelfSubjectAccessReview, TokenReview, SubjectAccessReview.

A cluster may run us under RBAC rules that were written for upstream, which lack verbs that we prefer: processes ask
here at start and fall back (authorization.k8s.io/v1, authentication.k8s.io/v1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from metallb.kube.client import KubeClient
from metallb.kube.resources import SELF_SUBJECT_ACCESS_REVIEWS, SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, Resource


class _AccessStatus(Struct):
    allowed: bool = False


class _AccessReview(Struct):
    status: _AccessStatus = msgspec.field(default_factory=_AccessStatus)


class _UserInfo(Struct):
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None


class _TokenStatus(Struct):
    authenticated: bool = False
    user: _UserInfo = msgspec.field(default_factory=_UserInfo)


class _TokenReview(Struct):
    status: _TokenStatus = msgspec.field(default_factory=_TokenStatus)


_ACCESS = msgspec.json.Decoder(_AccessReview)
_TOKEN = msgspec.json.Decoder(_TokenReview)


@dataclass(frozen=True, slots=True)
class User:
    """Someone whom the API server knows."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, list[str]] = field(default_factory=dict)


async def may(
    client: KubeClient, verb: str, resource: Resource, *, namespace: str = "", name: str = "", subresource: str = ""
) -> bool:
    """Whether we may do that; an empty namespace means in all namespaces, an empty name any object.

    Raises:
        ApiError: the server does not say.
    """
    attributes = {
        "verb": verb,
        "group": resource.group,
        "version": resource.version,
        "resource": resource.plural,
        "subresource": subresource,
        "namespace": namespace,
        "name": name,
    }
    spec = {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
    body = _body(SELF_SUBJECT_ACCESS_REVIEWS, spec)
    review = await client.create(SELF_SUBJECT_ACCESS_REVIEWS, body, decoder=_ACCESS)
    return review.status.allowed


async def user_of_token(client: KubeClient, token: str) -> User | None:
    """Whose bearer token this is; None: nobody's.

    Raises:
        ApiError: the server does not say.
    """
    review = await client.create(TOKEN_REVIEWS, _body(TOKEN_REVIEWS, {"token": token}), decoder=_TOKEN)
    user = review.status.user
    if not review.status.authenticated:
        return None
    return User(user.username, user.uid, tuple(user.groups or ()), user.extra or {})


async def user_may_get(client: KubeClient, user: User, path: str) -> bool:
    """Whether a user may GET a path that is no resource, such as `/metrics`.

    Raises:
        ApiError: the server does not say.
    """
    spec = {
        "user": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": dict(user.extra),
        "nonResourceAttributes": {"verb": "get", "path": path},
    }
    body = _body(SUBJECT_ACCESS_REVIEWS, spec)
    return (await client.create(SUBJECT_ACCESS_REVIEWS, body, decoder=_ACCESS)).status.allowed


def _body(resource: Resource, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "spec": dict(spec)}
