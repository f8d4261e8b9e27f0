"""Access decisions, reviews, roles and tokens, measured against recorded exchanges."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.builtin import bootstrap_roles, escalation, reviews, tokens
from kubelab.apiserver.builtin.rbac import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    GROUP,
    ROLE_BINDINGS,
    ROLES,
    Attributes,
    Policy,
    allowed,
    denied,
)
from kubelab.apiserver.request import ANONYMOUS, Request, User, describe
from kubelab.objects import GroupResource, Object

_FILE = Path(__file__).parents[2] / "vectors" / "apiserver" / "access.jsonl"
RECORDED: list[Object] = [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines()]
BY_NAME = {line["name"]: line for line in RECORDED}
ALICE = User("alice", ("", "system:authenticated"), "alice")
ROBOT = User("system:serviceaccount:default:robot", ("system:serviceaccounts", "system:authenticated"))
USERS = {None: ANONYMOUS, "alice": ALICE, "service-account-token": ROBOT}
ACCOUNTS = GroupResource("", "serviceaccounts")


@pytest.fixture
def cluster(desk: Any) -> Any:
    """A new cluster's roles, and the Role and RoleBinding of the recorded story."""
    for role in bootstrap_roles.cluster_roles():
        desk.create(CLUSTER_ROLES, role)
    for binding in bootstrap_roles.cluster_role_bindings():
        desk.create(CLUSTER_ROLE_BINDINGS, binding)
    return desk


@pytest.fixture
def bound(cluster: Any) -> Any:
    cluster.create(ROLES, BY_NAME["role"]["body"])
    cluster.create(ROLE_BINDINGS, BY_NAME["binding"]["body"])
    return cluster


def _refusals() -> list[Object]:
    return [line for line in RECORDED if line.get("status") == 403 and "cannot" in line["response"]["message"]]


@pytest.mark.parametrize("line", _refusals(), ids=lambda line: line["name"])
def test_refusals_are_worded_as_recorded(cluster: Any, line: Object) -> None:
    if RECORDED.index(line) > RECORDED.index(BY_NAME["binding"]):
        cluster.create(ROLES, BY_NAME["role"]["body"])
        cluster.create(ROLE_BINDINGS, BY_NAME["binding"]["body"])
    user = USERS[line["user"]]
    wanted = Attributes.of(describe(Request.to(line["method"], line["path"])))
    assert not Policy.read(cluster.store).decide(user, wanted).allowed
    assert denied(user, wanted).status() == line["response"]


def test_there_are_nine_recorded_refusals() -> None:
    assert len(_refusals()) == 9


@pytest.mark.parametrize("name", ["discovery is open", "now allowed"])
def test_what_was_allowed_is_allowed(bound: Any, name: str) -> None:
    line = BY_NAME[name]
    wanted = Attributes.of(describe(Request.to(line["method"], line["path"])))
    assert Policy.read(bound.store).decide(USERS[line["user"]], wanted).allowed


@pytest.mark.parametrize("name", ["role", "binding", "cluster role aggregation"])
def test_roles_and_bindings_come_back_as_recorded(cluster: Any, name: str) -> None:
    line = BY_NAME[name]
    resource = GroupResource(GROUP, line["path"].rpartition("/")[2])
    created = cluster.create(resource, line["body"])
    assert {**created, "metadata": None} == {**line["response"], "metadata": None}


@pytest.mark.parametrize("name", ["escalation", "binding escalation"])
def test_nobody_grants_more_than_he_holds(bound: Any, refused: Any, name: str) -> None:
    line = BY_NAME[name]
    resource = GroupResource(GROUP, line["path"].rpartition("/")[2])
    error = refused(bound.create, resource, line["body"], user=ALICE)
    assert error.status() == line["response"]


def test_what_one_holds_one_may_grant(bound: Any) -> None:
    rules = [{"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}]
    body = {"apiVersion": f"{GROUP}/v1", "kind": "Role", "metadata": {"name": "less"}, "rules": rules}
    assert bound.create(ROLES, body, user=ALICE)["rules"] == rules


def test_the_role_of_a_binding_stays(bound: Any, merged: Any, refused: Any) -> None:
    line = BY_NAME["roleRef immutable"]
    error = refused(bound.update, ROLE_BINDINGS, "default", "alice", lambda obj: merged(obj, line["body"]))
    assert error.status() == line["response"]


@pytest.mark.parametrize("name", ["self review yes", "self review no"])
def test_self_reviews_answer_as_recorded(bound: Any, name: str) -> None:
    line = BY_NAME[name]
    answer = reviews.self_subject_access_review(line["body"], ALICE, Policy.read(bound.store))
    assert {**answer, "metadata": None} == {**line["response"], "metadata": None}


def test_a_review_of_somebody_else_answers_as_recorded(bound: Any) -> None:
    line = BY_NAME["subject review"]
    answer = reviews.subject_access_review(line["body"], Policy.read(bound.store))
    assert {**answer, "metadata": None} == {**line["response"], "metadata": None}


def test_the_rules_review_lists_what_is_recorded(bound: Any) -> None:
    line = BY_NAME["self rules"]
    answer = reviews.self_subject_rules_review(line["body"], ALICE, Policy.read(bound.store))["status"]
    expected = line["response"]["status"]
    assert answer["resourceRules"] == expected["resourceRules"]
    # OpenShift's branch has one rule more.
    paths = [rule for rule in expected["nonResourceRules"] if "/.well-known" not in rule["nonResourceURLs"]]
    assert answer["nonResourceRules"] == paths


def test_who_am_i_answers_as_recorded() -> None:
    line = BY_NAME["self subject"]
    created = line["response"]["metadata"]["creationTimestamp"]
    assert reviews.self_subject_review(ALICE, created) == line["response"]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"user": "a"}, "exactly one of nonResourceAttributes or resourceAttributes must be specified"),
        ({"resourceAttributes": {"verb": "get"}}, "at least one of user or group must be specified"),
        (
            {"user": "a", "resourceAttributes": {}, "nonResourceAttributes": {}},
            "cannot be specified in combination with resourceAttributes",
        ),
    ],
)
def test_a_question_that_is_none_is_refused(cluster: Any, refused: Any, spec: Object, problem: str) -> None:
    assert problem in refused(reviews.subject_access_review, {"spec": spec}, Policy.read(cluster.store)).message


def test_a_local_review_is_about_its_own_namespace(cluster: Any, refused: Any) -> None:
    spec = {"user": "a", "resourceAttributes": {"namespace": "other", "verb": "get", "resource": "pods"}}
    error = refused(reviews.local_subject_access_review, {"spec": spec}, "default", Policy.read(cluster.store))
    assert error.message == "spec.resourceAttributes.namespace must match namespace: default"


@pytest.fixture
def robot(desk: Any) -> Object:
    account = BY_NAME["service account"]["response"]
    desk.store.objects[ACCOUNTS, "default", "robot"] = account
    return dict(account)


ISSUER = "https://kubernetes.default.svc"
ISSUED = datetime(2026, 11, 23, 22, 29, 22, tzinfo=UTC)


def _claims(desk: Any, robot: Object, **spec: Any) -> Object:
    asked = tokens.requested({"spec": {"expirationSeconds": 600} | spec}, ISSUER)
    recorded = BY_NAME["claims of the robot's token"]["claims"]
    return tokens.claims(robot, asked, desk.store, now=ISSUED, issuer=ISSUER, token_id=recorded["jti"])


def test_a_token_claims_what_is_recorded(desk: Any, robot: Object) -> None:
    assert _claims(desk, robot) == BY_NAME["claims of the robot's token"]["claims"]


def test_a_token_request_is_answered_as_recorded(robot: Object) -> None:
    line = BY_NAME["token request"]
    answer = tokens.granted(robot, tokens.requested(line["body"], ISSUER), "<token>", ISSUED)
    expected = {**line["response"]}
    expected["metadata"] = {key: value for key, value in expected["metadata"].items() if key != "managedFields"}
    assert answer == expected


def test_a_token_that_is_too_short_lived_is_refused(refused: Any) -> None:
    line = BY_NAME["token too short"]
    assert refused(tokens.requested, line["body"], ISSUER).status() == line["response"]


def test_a_token_tells_who_its_bearer_is(desk: Any, robot: Object) -> None:
    user = tokens.user_of(_claims(desk, robot), desk.store, now=ISSUED, issuer=ISSUER, audiences=[ISSUER])
    assert user is not None
    line = BY_NAME["robot who am I"]
    assert reviews.user_info(user) == line["response"]["status"]["userInfo"]
    review = BY_NAME["token review"]
    answer = reviews.token_review(review["body"], lambda _token, _audiences: user, ISSUER)
    assert answer["status"] == review["response"]["status"]


def test_a_bad_token_is_reviewed_as_recorded() -> None:
    line = BY_NAME["token review, bad"]
    answer = reviews.token_review(line["body"], lambda _token, _audiences: None, ISSUER)
    assert answer["status"] == line["response"]["status"]


@pytest.mark.parametrize("change", ["deleted", "another", "expired", "issuer", "audience"])
def test_a_token_dies_with_what_it_stands_on(desk: Any, robot: Object, change: str) -> None:
    claims = _claims(desk, robot)
    now, issuer, audiences = ISSUED, ISSUER, [ISSUER]
    if change == "deleted":
        desk.store.objects.clear()
    elif change == "another":
        claims["kubernetes.io"]["serviceaccount"]["uid"] = "x"
    elif change == "expired":
        now = datetime(2026, 11, 23, 22, 39, 22, tzinfo=UTC)
    elif change == "issuer":
        issuer = "https://elsewhere"
    else:
        audiences = ["other"]
    assert tokens.user_of(claims, desk.store, now=now, issuer=issuer, audiences=audiences) is None


def test_a_token_bound_to_a_pod_dies_with_it(desk: Any, robot: Object) -> None:
    pods = GroupResource("", "pods")
    pod = {"metadata": {"name": "p", "uid": "u"}, "spec": {"serviceAccountName": "robot", "nodeName": "n"}}
    desk.store.objects[pods, "default", "p"] = pod
    desk.store.objects[GroupResource("", "nodes"), "", "n"] = {"metadata": {"name": "n", "uid": "nu"}}
    claims = _claims(desk, robot, boundObjectRef={"apiVersion": "v1", "kind": "Pod", "name": "p"})
    user = tokens.user_of(claims, desk.store, now=ISSUED, issuer=ISSUER, audiences=[ISSUER])
    assert user is not None
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("p",)
    assert user.extra["authentication.kubernetes.io/node-uid"] == ("nu",)
    del desk.store.objects[pods, "default", "p"]
    assert tokens.user_of(claims, desk.store, now=ISSUED, issuer=ISSUER, audiences=[ISSUER]) is None


def test_masters_may_do_everything(desk: Any) -> None:
    user = User("root", ("system:masters",))
    assert Policy.read(desk.store).decide(user, Attributes("delete", resource="nodes")).allowed


def test_an_account_is_reached_by_its_name_in_a_binding(cluster: Any) -> None:
    body = {
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
    }
    cluster.create(ROLE_BINDINGS, body)
    decision = Policy.read(cluster.store).decide(ROBOT, Attributes("get", resource="pods", namespace="default"))
    assert (
        decision.reason
        == 'RBAC: allowed by RoleBinding "b/default" of ClusterRole "view" to ServiceAccount "robot/default"'
    )


def test_admin_holds_what_edit_and_view_hold() -> None:
    roles = {role["metadata"]["name"]: role["rules"] for role in bootstrap_roles.cluster_roles()}
    for name in ("view", "edit"):
        assert roles[name]
        assert escalation.missing(roles["admin"], roles[name]) == []
    assert escalation.missing(roles["view"], roles["edit"]) != []


def test_bootstrap_names_are_real_ones() -> None:
    recorded = {row["cells"][0] for row in BY_NAME["default cluster roles"]["response"]["rows"]}
    assert {role["metadata"]["name"] for role in bootstrap_roles.cluster_roles()} <= recorded


def test_an_aggregated_role_follows_new_labels(cluster: Any) -> None:
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    rules = [{"apiGroups": ["x.org"], "resources": ["xs"], "verbs": ["get"]}]
    cluster.create(CLUSTER_ROLES, {"metadata": {"name": "xs", "labels": labels}, "rules": rules})
    roles = cluster.store.list(CLUSTER_ROLES)
    view = Policy.read(cluster.store).rules_of_role("ClusterRole", "", "view")
    assert view is not None
    assert allowed(view, Attributes("get", "x.org", "xs"))
    assert len(roles) > 10


@pytest.mark.parametrize(
    ("resources", "wanted", "yes"),
    [
        (["*"], ("services", "status"), True),
        (["services"], ("services", "status"), False),
        (["services/status"], ("services", "status"), True),
        (["*/status"], ("services", "status"), True),
        (["*/status"], ("services", ""), False),
        (["services/*"], ("services", "status"), False),
    ],
)
def test_subresources_are_granted_by_name(resources: list[str], wanted: tuple[str, str], yes: bool) -> None:  # noqa: FBT001  # a row of the table
    rule = {"apiGroups": [""], "resources": resources, "verbs": ["get"]}
    assert allowed([rule], Attributes("get", "", *wanted)) is yes


_WORDS = st.sampled_from(["*", "a", "b"])
_RULES = st.fixed_dictionaries(
    {
        "apiGroups": st.lists(_WORDS, min_size=1, max_size=2),
        "resources": st.lists(st.sampled_from(["*", "r", "r/s", "*/s"]), min_size=1, max_size=2),
        "verbs": st.lists(_WORDS, min_size=1, max_size=2),
    }
)


@given(held=st.lists(_RULES, max_size=3), wanted=_RULES)
def test_what_is_not_missing_gives_no_new_rights(held: list[Object], wanted: Object) -> None:
    if escalation.missing(held, [wanted]):
        return
    for group in ("a", "b"):
        for verb in ("a", "b"):
            for resource, subresource in (("r", ""), ("r", "s"), ("q", "s")):
                action = Attributes(verb, group, resource, subresource)
                assert allowed(held, action) or not allowed([wanted], action)


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (
            [{"apiGroups": [""], "resources": ["a"]}],
            r"rules\[0\].verbs: Required value: verbs must contain at least one",
        ),
        ([{"verbs": ["get"], "resources": ["a"]}], r"rules\[0\].apiGroups: Required value: resource rules must supply"),
        ([{"verbs": ["get"], "nonResourceURLs": ["/x"]}], "namespaced rules cannot apply to non-resource URLs"),
    ],
)
def test_a_rule_that_says_nothing_is_refused(desk: Any, refused: Any, rules: list[Object], problem: str) -> None:
    error = refused(desk.create, ROLES, {"metadata": {"name": "r"}, "rules": rules})
    assert re.search(problem, error.message)
