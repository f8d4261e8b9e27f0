"""What a request is about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.request import Query, Request, describe


@pytest.mark.parametrize(
    ("method", "address", "expected"),
    [
        pytest.param("GET", "/api/v1/pods", ("list", "", "v1", "", "pods", "", ""), id="all namespaces"),
        pytest.param("GET", "/api/v1/namespaces/n/pods", ("list", "", "v1", "n", "pods", "", ""), id="list"),
        pytest.param("GET", "/api/v1/namespaces/n/pods?watch=1", ("watch", "", "v1", "n", "pods", "", ""), id="watch"),
        pytest.param("GET", "/api/v1/namespaces/n/pods?watch=false", ("list", "", "v1", "n", "pods", "", ""), id="no watch"),
        pytest.param("GET", "/api/v1/namespaces/n/pods/p", ("get", "", "v1", "n", "pods", "p", ""), id="get"),
        pytest.param("GET", "/api/v1/namespaces/n/pods/p?watch", ("get", "", "v1", "n", "pods", "p", ""), id="watch one"),
        pytest.param("GET", "/api/v1/namespaces/n/pods/p/log", ("get", "", "v1", "n", "pods", "p", "log"), id="log"),
        pytest.param("POST", "/apis/apps/v1/namespaces/n/deployments", ("create", "apps", "v1", "n", "deployments", "", ""), id="create"),
        pytest.param("PUT", "/apis/apps/v1/namespaces/n/deployments/d/scale", ("update", "apps", "v1", "n", "deployments", "d", "scale"), id="scale"),
        pytest.param("DELETE", "/api/v1/namespaces/n/pods", ("deletecollection", "", "v1", "n", "pods", "", ""), id="collection"),
        pytest.param("GET", "/api/v1/namespaces", ("list", "", "v1", "", "namespaces", "", ""), id="namespaces"),
        pytest.param("GET", "/api/v1/namespaces/n", ("get", "", "v1", "n", "namespaces", "n", ""), id="namespace"),
        pytest.param("PUT", "/api/v1/namespaces/n/finalize", ("update", "", "v1", "n", "namespaces", "n", "finalize"), id="finalize"),
        pytest.param("PATCH", "/api/v1/nodes/x/status", ("patch", "", "v1", "", "nodes", "x", "status"), id="cluster scope"),
        pytest.param("GET", "/api/v1/pods?fieldSelector=metadata.name%3Dp", ("list", "", "v1", "", "pods", "p", ""), id="by name"),
    ],
)  # fmt: skip
def test_paths_of_resources_are_taken_apart(method: str, address: str, expected: tuple[str, ...]) -> None:
    info = describe(Request.to(method, address))
    assert info.is_resource
    assert (info.verb, info.group, info.version, info.namespace, info.resource, info.name, info.subresource) == expected


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/version", "/healthz/x"]
)
def test_other_paths_are_no_resources(path: str) -> None:
    info = describe(Request.to("GET", path))
    assert (info.is_resource, info.verb, info.path) == (False, "get", path)


@given(st.text(), st.sampled_from(["GET", "POST", "HEAD", "BREW"]))
def test_any_path_can_be_described(path: str, method: str) -> None:
    describe(Request.to(method, "/" + path))


def test_a_query_keeps_repeated_names_in_order() -> None:
    query = Query.parse("a=1&b=&a=2&c=x%3Dy")
    assert (query.get("a"), query.all("a"), query.get("c"), query.get("d", "-")) == ("1", ["1", "2"], "x=y", "-")


@pytest.mark.parametrize(
    ("text", "value"), [("w", True), ("w=1", True), ("w=true", True), ("w=0", False), ("w=False", False), ("", False)]
)
def test_flags_are_read_as_the_real_server_reads_them(text: str, *, value: bool) -> None:
    assert Query.parse(text).flag("w") is value
