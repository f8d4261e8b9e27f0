"""Tokens of service accounts: the claims of a new one, and whom claims belong to (KEP-1205)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from kubelab.apiserver.builtin import fields
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.rbac import ACCOUNT
from kubelab.apiserver.errors import bad_request, conflict, invalid, not_found
from kubelab.apiserver.request import User
from kubelab.apiserver.resources import Reader
from kubelab.objects import GroupResource, Object

_GROUP: Final = "authentication.k8s.io"
_ACCOUNTS: Final = GroupResource("", "serviceaccounts")
_DEFAULT_LIFE_S: Final = 3600
_SHORTEST_LIFE_S: Final = 600
_LONGEST_LIFE_S: Final = 1 << 32
_BOUND: Final = {
    "Pod": GroupResource("", "pods"),
    "Secret": GroupResource("", "secrets"),
    "Node": GroupResource("", "nodes"),
}


def requested(review: Object, issuer: str) -> Object:
    """A TokenRequest's spec with defaults.

    Raises:
        ApiError: 422 where the life asked for is too short or too long.
    """
    asked = entries(review.get("spec"))
    spec: Object = {
        "audiences": list(items(asked.get("audiences"))) or [issuer],
        "expirationSeconds": asked.get("expirationSeconds") or _DEFAULT_LIFE_S,
        "boundObjectRef": asked.get("boundObjectRef"),
    }
    life = spec["expirationSeconds"]
    path = "spec.expirationSeconds"
    if life < _SHORTEST_LIFE_S:
        error = fields.invalid(path, life, "may not specify a duration less than 10 minutes")
        raise invalid(_GROUP, "TokenRequest", "", [error])
    if life > _LONGEST_LIFE_S:
        error = fields.invalid(path, life, "may not specify a duration larger than 2^32 seconds")
        raise invalid(_GROUP, "TokenRequest", "", [error])
    return spec


def claims(account: Object, spec: Object, reader: Reader, *, now: datetime, issuer: str, token_id: str) -> Object:
    """The claims of a new token for a stored ServiceAccount.

    Raises:
        ApiError: 404, 409 or 400 where the object it is bound to is not there, another one or of no use.
    """
    metadata = account["metadata"]
    issued = int(now.timestamp())
    about: Object = {"namespace": metadata["namespace"]}
    about |= _bound(spec.get("boundObjectRef"), metadata, reader)
    about["serviceaccount"] = {"name": metadata["name"], "uid": metadata["uid"]}
    return {
        "aud": spec["audiences"],
        "exp": issued + spec["expirationSeconds"],
        "iat": issued,
        "iss": issuer,
        "jti": token_id,
        "kubernetes.io": about,
        "nbf": issued,
        "sub": f"{ACCOUNT}{metadata['namespace']}:{metadata['name']}",
    }


def _bound(reference: Object | None, account: Object, reader: Reader) -> Object:
    if not reference:
        return {}
    kind, name = reference.get("kind", ""), reference.get("name", "")
    resource = _BOUND.get(kind)
    if resource is None:
        what = f"{reference.get('apiVersion')}, Kind={kind}"
        raise bad_request(f"cannot bind token for serviceaccount to object of type {what}")
    found = reader.get(resource, "" if kind == "Node" else account["namespace"], name)
    if found is None:
        raise not_found(resource, name)
    uid = found["metadata"]["uid"]
    if reference.get("uid") and reference["uid"] != uid:
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
        raise conflict(resource, name, why + "The object might have been deleted and then recreated")
    about = {kind.lower(): {"name": name, "uid": uid}}
    if kind == "Pod":
        about |= _bound_pod(found, account, reader)
    return about


def _bound_pod(pod: Object, account: Object, reader: Reader) -> Object:
    used = pod["spec"].get("serviceAccountName", "")
    if used != account["name"]:
        whose = f'serviceaccount "{account["name"]}"'
        raise bad_request(f"cannot bind token for {whose} to pod running with different serviceaccount name.")
    node = reader.get(_BOUND["Node"], "", pod["spec"].get("nodeName", ""))
    return {} if node is None else {"node": {"name": node["metadata"]["name"], "uid": node["metadata"]["uid"]}}


def granted(account: Object, spec: Object, token: str, now: datetime) -> Object:
    """The TokenRequest to send back."""
    expires = (now.astimezone(UTC) + timedelta(seconds=spec["expirationSeconds"])).strftime("%Y-%m-%dT%H:%M:%SZ")
    kept = {key: account["metadata"][key] for key in ("name", "namespace", "uid", "creationTimestamp")}
    return {
        "kind": "TokenRequest",
        "apiVersion": f"{_GROUP}/v1",
        "metadata": kept,
        "spec": spec,
        "status": {"token": token, "expirationTimestamp": expires},
    }


def user_of(token: Object, reader: Reader, *, now: datetime, issuer: str, audiences: list[str]) -> User | None:
    """Whom the claims of a token with a good signature belong to; None where they are worth nothing (any more)."""
    about = entries(token.get("kubernetes.io"))
    namespace, account = about.get("namespace", ""), entries(about.get("serviceaccount"))
    if token.get("iss") != issuer or not set(items(token.get("aud"))) & set(audiences):
        return None
    if not token.get("nbf", 0) <= now.timestamp() < token.get("exp", 0):
        return None
    stored = reader.get(_ACCOUNTS, namespace, account.get("name", ""))
    if stored is None or stored["metadata"]["uid"] != account.get("uid") or not _bound_lives(about, namespace, reader):
        return None
    extra = {"authentication.kubernetes.io/credential-id": (f"JTI={token.get('jti', '')}",)}
    for kind in ("node", "pod"):
        for part in ("name", "uid"):
            if kind in about:
                extra[f"authentication.kubernetes.io/{kind}-{part}"] = (about[kind][part],)
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"{ACCOUNT}{namespace}:{account['name']}", groups, account["uid"], extra)


def _bound_lives(about: Object, namespace: str, reader: Reader) -> bool:
    for kind in ("Pod", "Secret"):
        reference = about.get(kind.lower())
        if reference is not None:
            found = reader.get(_BOUND[kind], namespace, reference["name"])
            if found is None or found["metadata"]["uid"] != reference["uid"]:
                return False
    return True
