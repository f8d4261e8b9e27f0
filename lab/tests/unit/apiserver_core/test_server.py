"""The server as a whole, asked without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubelab.apiserver.handlers import writing
from kubelab.apiserver.request import Request, User
from kubelab.apiserver.server import Server

MAPS = "/api/v1/namespaces/default/configmaps"
ALICE = User("alice")


async def test_a_new_cluster_has_its_namespaces_roles_and_service(ask: Any) -> None:
    names = [one["metadata"]["name"] for one in (await ask("GET", "/api/v1/namespaces")).body["items"]]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
    roles = (await ask("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles")).body["items"]
    assert {"cluster-admin", "admin", "edit", "view", "system:node", "system:discovery"} <= {
        one["metadata"]["name"] for one in roles
    }
    service = (await ask("GET", "/api/v1/namespaces/default/services/kubernetes")).body
    assert service["spec"]["clusterIP"] == "198.18.128.1"


async def test_json_and_yaml_bodies_make_the_same_object(ask: Any) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "by-yaml"}, "data": {"a": "1"}}
    made = await ask("POST", MAPS, yaml.safe_dump(body).encode(), content_type="application/yaml")
    assert (made.status, made.body["data"]) == (201, {"a": "1"})


async def test_an_answer_in_yaml_is_the_same_object(ask: Any) -> None:
    as_json = (await ask("GET", "/api/v1/namespaces/default")).body
    as_yaml = (await ask("GET", "/api/v1/namespaces/default", accept="application/yaml")).body
    assert yaml.safe_load(as_yaml.replace("creationTimestamp: ", "creationTimestamp: !!str ")) == as_json


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", MAPS, b"{nope", 400, "couldn't get version/kind; json parse error"),
        ("POST", MAPS, b"[]", 400, "is unrecognized"),
        ("POST", MAPS, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}, 400, "unknown conversion"),
        ("POST", MAPS, {"metadata": {}}, 422, "name or generateName is required"),
        ("POST", MAPS, {"metadata": {"name": "A_B"}}, 422, "a lowercase RFC 1123 subdomain"),
        ("POST", MAPS, {"metadata": {"name": "a", "labels": {"x y": "z"}}}, 422, "metadata.labels: Invalid value"),
        ("POST", MAPS, {"metadata": {"name": "a", "namespace": "other"}}, 400, "does not match the namespace"),
        ("POST", MAPS, {"metadata": {"name": "a", "finalizers": ["x"]}}, 422, "nor is it fully qualified"),
        ("POST", MAPS, {"metadata": {"name": "a", "resourceVersion": "1"}}, 500, "should not be set"),
        ("POST", MAPS, {"metadata": "x"}, 400, "cannot unmarshal string"),
        ("PUT", f"{MAPS}/a", {"metadata": {"name": "b"}}, 404, 'configmaps "a" not found'),
        ("PATCH", f"{MAPS}/a", {}, 415, "Unsupported Media Type"),
        ("DELETE", f"{MAPS}/a", {"propagationPolicy": "Nope"}, 422, "propagationPolicy: Unsupported value"),
        ("DELETE", "/api/v1/namespaces/default", None, 403, "this namespace may not be deleted"),
        ("POST", "/api/v1/namespaces/default/pods/p/exec", None, 501, "is not served here"),
        ("GET", f"{MAPS}/a/nope", None, 404, "could not find the requested resource"),
        ("DELETE", "/api/v1/componentstatuses/x", None, 405, "does not allow this method"),
        ("GET", f"{MAPS}?limit=x", None, 400, "invalid syntax"),
        ("GET", f"{MAPS}?continue=%25", None, 400, "continue key is not valid"),
        ("POST", f"{MAPS}?fieldValidation=Maybe", {"metadata": {"name": "a"}}, 422, "fieldValidation: Unsupported"),
    ],
)
async def test_bad_requests_are_refused_in_words(
    ask: Any, method: str, path: str, body: Any, status: int, message: str
) -> None:
    answer = await ask(method, path, body)
    assert answer.status == status
    assert message in answer.body["message"]


@pytest.mark.parametrize("path", ["/nope", "/api/v2/pods", "/apis/nope/v1/x", "/api/v1/nope", "/apis//v1/pods"])
async def test_what_is_not_served_is_not_found(ask: Any, path: str) -> None:
    assert (await ask("GET", path)).status == 404


SPACE = "/api/v1/namespaces/default"


@pytest.mark.parametrize(
    ("program", "path", "in_lines"),
    [
        ("curl/7", SPACE, True),
        ("Wget/1", "/apis", True),
        ("Mozilla/5.0 (X11)", f"{SPACE}/nope", True),
        ("curl/7", f"{SPACE}?pretty=false", False),
        ("curl/7", "/.well-known/openid-configuration", False),
        ("curl/7", "/openapi/v3", False),
        ("kubectl/1", SPACE, False),
        ("kubectl/1", f"{SPACE}?pretty=true", True),
        ("kubectl/1", f"{SPACE}?pretty=yes", False),
        ("kubectl/1", "/version", True),
    ],
)
async def test_who_reads_himself_gets_lines(ask: Any, program: str, path: str, in_lines: bool) -> None:  # noqa: FBT001  # a row of a table
    answer = await ask("GET", path, user_agent=program)
    text = answer.response.body
    assert text.startswith(b'{\n  "' if in_lines else b'{"')


async def test_a_bug_costs_one_request_only(ask: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(writing, "begin_create", broken)
        answer = await ask("POST", MAPS, {"metadata": {"name": "a"}})
    assert (answer.status, answer.body["reason"]) == (500, "InternalError")
    assert "ZeroDivisionError" in caplog.text
    assert (await ask("POST", MAPS, {"metadata": {"name": "a"}})).status == 201


async def test_static_tokens_certificates_and_nobody_are_told_apart(ask: Any) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    by_certificate = await ask("POST", path, review)
    by_token = await ask.as_user(None)("POST", path, review, authorization="Bearer t")
    names = [one.body["status"]["userInfo"]["username"] for one in (by_certificate, by_token)]
    assert names == ["admin", "alice"]
    nobody = await ask.as_user(None)("POST", path, review)
    assert (nobody.status, nobody.body["reason"]) == (403, "Forbidden")
    assert (await ask.as_user(None)("GET", "/readyz")).status == 200
    assert (await ask.as_user(None)("GET", "/readyz", authorization="Bearer nope")).status == 401


async def test_impersonation_needs_the_right_to_it(ask: Any) -> None:
    as_bob = {"impersonate_user": "bob", "impersonate_group": "builders"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    seen = await ask("POST", path, review, **as_bob)
    assert seen.body["status"]["userInfo"]["groups"] == ["builders", "system:authenticated"]
    refused = await ask.as_user(ALICE)("POST", path, review, **as_bob)
    assert refused.status == 403
    assert 'cannot impersonate resource "users"' in refused.body["message"]


async def test_a_page_after_the_ring_has_moved_on_is_gone(ask: Any) -> None:
    for name in "abc":
        await ask("POST", MAPS, {"metadata": {"name": name}})
    token = (await ask("GET", f"{MAPS}?limit=1")).body["metadata"]["continue"]
    for number in range(60):
        await ask("PATCH", f"{MAPS}/a", {"data": {"n": str(number)}}, content_type="application/merge-patch+json")
    gone = await ask("GET", f"{MAPS}?limit=1&continue={token}")
    assert gone.status == 410
    rest = await ask("GET", f"{MAPS}?continue={gone.body['metadata']['continue']}")
    assert [one["metadata"]["name"] for one in rest.body["items"]] == ["b", "c"]


async def test_an_evicted_pod_is_deleted_unless_a_budget_forbids(ask: Any) -> None:
    await ask("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    pods = "/api/v1/namespaces/default/pods"
    body = {"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    assert (await ask("POST", pods, body)).status == 201
    status = {"status": {"phase": "Running"}}
    await ask("PATCH", f"{pods}/p/status", status, content_type="application/merge-patch+json")
    budget = {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "minAvailable": 1}}
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    assert (await ask("POST", budgets, budget)).status == 201
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    refused = await ask("POST", f"{pods}/p/eviction", eviction)
    assert (refused.status, refused.body["reason"]) == (429, "TooManyRequests")
    await ask("DELETE", f"{budgets}/b")
    assert (await ask("POST", f"{pods}/p/eviction", eviction)).status == 201
    assert (await ask("GET", f"{pods}/p")).status == 404


async def test_a_bound_pod_carries_the_zone_of_its_node(ask: Any) -> None:
    await ask("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    await ask("POST", "/api/v1/nodes", {"metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "z"}}})
    pods = "/api/v1/namespaces/default/pods"
    await ask("POST", pods, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n"},
    }
    assert (await ask("POST", f"{pods}/p/binding", binding)).status == 201
    pod = (await ask("GET", f"{pods}/p")).body
    assert pod["metadata"]["labels"] == {"topology.kubernetes.io/zone": "z"}
    assert pod["status"]["conditions"][0]["type"] == "PodScheduled"


async def test_a_namespace_goes_when_it_is_finalized(ask: Any) -> None:
    await ask("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    going = await ask("DELETE", "/api/v1/namespaces/n")
    assert going.body["status"]["phase"] == "Terminating"
    refused = await ask("POST", "/api/v1/namespaces/n/configmaps", {"metadata": {"name": "a"}})
    assert refused.status == 403
    body = going.body | {"spec": {"finalizers": []}}
    assert (await ask("PUT", "/api/v1/namespaces/n/finalize", body)).status == 200
    assert (await ask("GET", "/api/v1/namespaces/n")).status == 404


async def test_a_table_has_the_columns_of_its_kind(ask: Any) -> None:
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    table = (await ask("GET", "/api/v1/namespaces", accept=accept)).body
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Status", "Age"]
    assert table["rows"][0]["cells"] == ["default", "Active", "0s"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    whole = (await ask("GET", "/api/v1/namespaces?includeObject=Object", accept=accept)).body
    assert whole["rows"][0]["object"]["kind"] == "Namespace"


async def test_metadata_alone_can_be_had(ask: Any) -> None:
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    found = (await ask("GET", "/api/v1/namespaces", accept=accept)).body
    assert found["kind"] == "PartialObjectMetadataList"
    assert found["items"][0].keys() == {"kind", "apiVersion", "metadata"}


async def test_foreground_and_orphan_deletions_leave_a_finalizer(ask: Any) -> None:
    for policy, finalizer in (("Foreground", "foregroundDeletion"), ("Orphan", "orphan")):
        await ask("POST", MAPS, {"metadata": {"name": policy.lower()}})
        left = await ask("DELETE", f"{MAPS}/{policy.lower()}?propagationPolicy={policy}")
        assert left.body["metadata"]["finalizers"] == [finalizer]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
METADATA = st.fixed_dictionaries({"name": st.just("fuzz") | JSON}, optional={
    "labels": JSON, "annotations": JSON, "finalizers": JSON, "ownerReferences": JSON, "managedFields": JSON,
    "resourceVersion": JSON, "deletionTimestamp": JSON, "generateName": JSON,
})  # fmt: skip
PATHS = st.sampled_from([
    MAPS, f"{MAPS}/fuzz", "/api/v1/namespaces/default/services", "/api/v1/namespaces", "/api/v1/nodes",
    "/apis/apps/v1/namespaces/default/deployments", "/apis/coordination.k8s.io/v1/namespaces/default/leases",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/api/v1/namespaces/default/pods",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
    "/api/v1/namespaces/default/services/kubernetes/status", "/api/v1/namespaces/default/pods/fuzz/binding",
    "/api/v1/namespaces/default/serviceaccounts/default/token",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "/apis/authentication.k8s.io/v1/tokenreviews",
    "/apis/apps/v1/namespaces/default/deployments/fuzz/scale",
])  # fmt: skip
MEDIA = st.sampled_from([
    "application/json", "application/yaml", "application/merge-patch+json", "application/json-patch+json",
    "application/strategic-merge-patch+json", "application/apply-patch+yaml", "application/vnd.kubernetes.protobuf",
])  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]),
    path=PATHS,
    media=MEDIA,
    body=st.fixed_dictionaries({}, optional={"metadata": METADATA | JSON, "spec": JSON, "status": JSON, "rules": JSON})
    | JSON,
    query=st.sampled_from(["", "?fieldManager=f", "?dryRun=All", "?fieldValidation=Strict&fieldManager=f&force=true"]),
)
async def test_no_body_costs_more_than_a_refusal(
    server: Server, method: str, path: str, media: str, body: Any, query: str
) -> None:
    request = Request.to(
        method, path + query, json.dumps(body).encode(), {"content-type": media}, User("admin", ("system:masters",))
    )
    response = await server.handle(request)
    if response.status == 500:
        assert isinstance(response.body, bytes)
        assert json.loads(response.body).get("message") != ("Internal error occurred: see the log of the API server"), (
            body
        )
