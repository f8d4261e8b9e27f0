"""Questions about access as objects: access reviews, rules reviews, who am I, and the answers to send."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from kubelab.apiserver.builtin import fields
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.rbac import Attributes, Decision, Policy
from kubelab.apiserver.errors import FieldError, bad_request, invalid
from kubelab.apiserver.request import User
from kubelab.objects import Json, Object

_GROUP: Final = "authorization.k8s.io"
_V1: Final = f"{_GROUP}/v1"


def answer(kind: str, api_version: str, spec: Object, status: Object) -> Object:
    """A review with its status, in the order of fields that the real server sends."""
    return {"kind": kind, "apiVersion": api_version, "metadata": {}, "spec": spec, "status": status}


def user_info(user: User) -> Object:
    """A user as `UserInfo`."""
    info: Object = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def self_subject_review(user: User, now: str) -> Object:
    """SelfSubjectReview: who the server thinks the caller is."""
    return {
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": now},
        "status": {"userInfo": user_info(user)},
    }


def self_subject_access_review(review: Object, user: User, policy: Policy) -> Object:
    """SelfSubjectAccessReview: may the caller do it?

    Raises:
        ApiError: 422 where the question is not one.
    """
    spec = entries(review.get("spec"))
    _judge("SelfSubjectAccessReview", _attribute_errors(spec))
    return answer("SelfSubjectAccessReview", _V1, spec, _access_status(policy.decide(user, attributes(spec))))


def subject_access_review(review: Object, policy: Policy) -> Object:
    """SubjectAccessReview: may somebody else do it?

    Raises:
        ApiError: 422 where the question is not one.
    """
    spec = entries(review.get("spec"))
    _judge("SubjectAccessReview", [*_attribute_errors(spec), *_subject_errors(spec)])
    return answer("SubjectAccessReview", _V1, spec, _access_status(policy.decide(_subject(spec), attributes(spec))))


def local_subject_access_review(review: Object, namespace: str, policy: Policy) -> Object:
    """LocalSubjectAccessReview: the same, in one namespace.

    Raises:
        ApiError: 400 where it is about another namespace, 422 where the question is not one.
    """
    spec = entries(review.get("spec"))
    errors = [*_attribute_errors(spec), *_subject_errors(spec)]
    if spec.get("nonResourceAttributes") is not None:
        refused = "disallowed on this kind of request"
        errors.append(fields.invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"], refused))
    _judge("LocalSubjectAccessReview", errors)
    asked = entries(spec.get("resourceAttributes")).get("namespace", "")
    if asked != namespace:
        raise bad_request(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
    return answer(
        "LocalSubjectAccessReview", _V1, spec, _access_status(policy.decide(_subject(spec), attributes(spec)))
    )


def self_subject_rules_review(review: Object, user: User, policy: Policy) -> Object:
    """SelfSubjectRulesReview: all that the caller may do in a namespace.

    Raises:
        ApiError: 400 without a namespace.
    """
    namespace = entries(review.get("spec")).get("namespace", "")
    if not namespace:
        raise bad_request("no namespace on request")
    rules = policy.rules_of(user, namespace)
    status = {
        "resourceRules": _unique(_resource_rule(rule) for rule in rules if rule.get("resources")),
        "nonResourceRules": _unique(_path_rule(rule) for rule in rules if rule.get("nonResourceURLs")),
        "incomplete": False,
    }
    return answer("SelfSubjectRulesReview", _V1, {}, status)


def attributes(spec: Object) -> Attributes:
    """What an access review asks about."""
    other = spec.get("nonResourceAttributes")
    if other is not None:
        return Attributes(other.get("verb", ""), path=other.get("path", ""))
    wanted = entries(spec.get("resourceAttributes"))
    parts = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Attributes(*(wanted.get(part, "") for part in parts))


def _subject(spec: Object) -> User:
    extra = {key.lower(): tuple(values) for key, values in entries(spec.get("extra")).items()}
    return User(spec.get("user", ""), tuple(items(spec.get("groups"))), spec.get("uid", ""), extra)


def _access_status(decision: Decision) -> Object:
    status: Object = {"allowed": decision.allowed}
    if decision.reason:
        status["reason"] = decision.reason
    return status


def _attribute_errors(spec: Object) -> list[FieldError]:
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    path, sentence = (
        "spec.resourceAttributes",
        "exactly one of nonResourceAttributes or resourceAttributes must be specified",
    )
    if resource is not None and other is not None:
        value: Json = other
        return [
            fields.invalid("spec.nonResourceAttributes", value, f"cannot be specified in combination with {path[5:]}")
        ]
    return [fields.invalid(path, resource, sentence)] if resource is None and other is None else []


def _subject_errors(spec: Object) -> list[FieldError]:
    if spec.get("user") or spec.get("groups"):
        return []
    return [fields.invalid("spec.user", "", "at least one of user or group must be specified")]


def _judge(kind: str, errors: list[FieldError]) -> None:
    if errors:
        # The real server names no kind here.
        raise invalid(_GROUP, "" if kind == "SubjectAccessReview" else kind, "", errors)


def _resource_rule(rule: Object) -> Object:
    parts = ("verbs", "apiGroups", "resources", "resourceNames")
    return {part: rule[part] for part in parts if rule.get(part)}


def _path_rule(rule: Object) -> Object:
    return {"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]}


def _unique(rules: Iterable[Object]) -> list[Object]:
    found: list[Object] = []
    for rule in rules:
        if rule not in found:
            found.append(rule)
    return found


def token_review(review: Object, authenticate: Callable[[str, list[str]], User | None], issuer: str) -> Object:
    """TokenReview: whose token is it? `authenticate` gets the token and the audiences to accept."""
    spec = entries(review.get("spec"))
    audiences = list(items(spec.get("audiences"))) or [issuer]
    user = authenticate(spec.get("token", ""), audiences)
    if user is None:
        status: Object = {"user": {}, "error": "invalid bearer token"}
    else:
        status = {"authenticated": True, "user": user_info(user), "audiences": audiences}
    return answer("TokenReview", "authentication.k8s.io/v1", spec, status)
