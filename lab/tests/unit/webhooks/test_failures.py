"""Why a webhook gave no answer, as Go says it; and where Services lead."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubelab.apiserver.webhooks import failures, targets
from kubelab.apiserver.webhooks.failures import CallError
from kubelab.apiserver.webhooks.hooks import ClientConfig, ServiceReference
from kubelab.objects import GroupResource, Object

STATUS = json.dumps({"kind": "Status", "status": "Failure", "message": "told so"}).encode()


@pytest.mark.parametrize(
    ("status", "media", "body", "why"),
    [
        (200, "application/json", b"{}", None),
        (201, "", b"{}", None),
        (200, "application/json", b"", "0-length response with status code: 200 and content type: application/json"),
        (500, "text/plain", b" boom\n", 'an error on the server ("boom") has prevented the request from succeeding'),
        (500, "application/json", b"{}", 'an error on the server ("unknown") has prevented the request from'),
        (502, "", b'a "b"', r'an error on the server ("a \"b\"") has prevented the request from succeeding'),
        (404, "text/plain", b"404", "the server could not find the requested resource"),
        (403, "text/plain", b"go away", "go away"),
        (503, "text/plain", b"x", "the server is currently unable to handle the request"),
        (500, "application/json", STATUS, "told so"),
        (302, "text/html", b"x", "the server responded with the status code 302 but did not return more information"),
    ],
)
def test_http_answers_that_are_none_are_told_in_words(status: int, media: str, body: bytes, why: str | None) -> None:
    found = failures.of_answer(status, media, body)
    assert (found is None) == (why is None)
    assert found is None or found.reason.startswith(why or "")


class Services:
    """Knows one Service."""

    def __init__(self, **spec: Any) -> None:
        self.spec = {"clusterIP": "198.18.128.9", "ports": [{"port": 443}]} | spec

    def get(self, resource: GroupResource, namespace: str, name: str) -> Object | None:
        assert resource == targets.SERVICES
        return {"spec": self.spec} if (namespace, name) == ("ns", "hook") else None

    def list(self, resource: GroupResource, namespace: str = "") -> list[Object]:
        raise NotImplementedError


def reference(name: str = "hook", port: int = 443) -> ClientConfig:
    return ClientConfig(service=ServiceReference("ns", name, port, "/check"), ca="ca")


def test_a_service_is_called_by_its_address_and_trusted_by_its_name() -> None:
    found = targets.target(reference(), 3, Services())
    assert (found.host, found.port, found.server_name) == ("198.18.128.9", 443, "hook.ns.svc")
    assert (found.url, found.path) == ("https://hook.ns.svc:443/check?timeout=3s", "/check?timeout=3s")
    assert found.authority == "hook.ns.svc:443"


def test_an_external_name_is_called_by_that_name() -> None:
    found = targets.target(reference(), 3, Services(type="ExternalName", externalName="far.example.org"))
    assert (found.host, found.server_name) == ("far.example.org", "hook.ns.svc")


@pytest.mark.parametrize(
    ("client", "spec", "why"),
    [
        (reference("other"), {}, 'service "other" not found'),
        (reference(port=8443), {}, 'no service port 8443 found for service "hook"'),
        (reference(), {"clusterIP": "None"}, 'cannot route to service with ClusterIP "None"'),
        (reference(), {"type": "Odd"}, 'unsupported service type "Odd"'),
    ],
)
def test_a_service_that_leads_nowhere_is_told_in_words(client: ClientConfig, spec: dict[str, Any], why: str) -> None:
    with pytest.raises(CallError) as failed:
        targets.target(client, 3, Services(**spec))
    assert failed.value.reason.startswith('Post "https://')
    assert failed.value.reason.endswith(f'/check?timeout=3s": {why}')


def test_an_address_is_called_as_it_is() -> None:
    found = targets.target(ClientConfig("https://[2001:db8::1]:8443/a/b"), 10, Services())
    assert (found.host, found.port, found.path) == ("2001:db8::1", 8443, "/a/b?timeout=10s")
    assert (found.url, found.server_name) == ("https://[2001:db8::1]:8443/a/b?timeout=10s", "2001:db8::1")
