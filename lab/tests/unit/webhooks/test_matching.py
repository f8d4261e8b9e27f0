"""Which requests a webhook is asked about."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.apiserver.request import User
from kubelab.apiserver.webhooks import hooks, matching
from kubelab.apiserver.webhooks.attributes import Attributes, GroupVersionResource
from kubelab.objects import GroupVersionKind

DEPLOYMENTS = GroupVersionResource("apps", "v1", "deployments")


def attributes(**differing: Any) -> Attributes:
    usual: dict[str, Any] = {
        "operation": "CREATE",
        "resource": DEPLOYMENTS,
        "kind": GroupVersionKind("apps", "v1", "Deployment"),
        "subresource": "",
        "namespace": "default",
        "name": "d",
        "user": User("me"),
        "dry_run": False,
        "options": {},
    }
    return Attributes(**(usual | differing))


def hook(rule: dict[str, Any], **differing: Any) -> hooks.Hook:
    usual = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    config = {"name": "h.example.org", "clientConfig": {"url": "https://x"}, "rules": [usual | rule]} | differing
    return hooks.read([{"metadata": {"name": "c"}, "webhooks": [config]}], mutating=False)[0]


@pytest.mark.parametrize(
    ("rule", "differing", "asked"),
    [
        ({}, {}, True),
        ({"operations": ["CREATE", "UPDATE"]}, {}, True),
        ({"operations": ["UPDATE"]}, {}, False),
        ({"apiGroups": [""]}, {}, False),
        ({"apiVersions": ["v1beta1"]}, {}, False),
        ({"resources": ["deployments"]}, {}, True),
        ({"resources": ["pods"]}, {}, False),
        ({"resources": ["*"]}, {"subresource": "status"}, False),
        ({"resources": ["*/*"]}, {"subresource": "status"}, True),
        ({"resources": ["*/*"]}, {}, True),
        ({"resources": ["*/scale"]}, {"subresource": "scale"}, True),
        ({"resources": ["*/scale"]}, {"subresource": "status"}, False),
        ({"resources": ["deployments/*"]}, {"subresource": "status"}, True),
        ({"resources": ["pods/*"]}, {"subresource": "status"}, False),
        ({"scope": "Namespaced"}, {}, True),
        ({"scope": "Cluster"}, {}, False),
        ({"scope": "Cluster"}, {"namespace": ""}, True),
        ({"scope": "Namespaced"}, {"namespace": ""}, False),
        ({"scope": "Cluster"}, {"resource": GroupVersionResource("", "v1", "namespaces")}, True),
        ({"scope": "Namespaced"}, {"resource": GroupVersionResource("", "v1", "namespaces")}, False),
    ],
)
def test_rules_say_what_is_seen(rule: dict[str, Any], differing: dict[str, Any], *, asked: bool) -> None:
    found = matching.invocation(hook(rule), attributes(**differing), list)
    assert (found is not None) == asked


def test_the_first_rule_that_fits_an_equivalent_says_the_version() -> None:
    rules = [
        {"operations": ["*"], "apiGroups": ["apps"], "apiVersions": [version], "resources": ["deployments"]}
        for version in ("v1beta2", "v1beta1")
    ]
    versions = [
        (GroupVersionResource("apps", version, "deployments"), GroupVersionKind("apps", version, "Deployment"))
        for version in ("v1", "v1beta1", "v1beta2")
    ]
    found = matching.invocation(hook({}, rules=rules), attributes(), lambda: versions)
    assert found is not None
    assert (found.resource.version, found.kind.version) == ("v1beta2", "v1beta2")
    assert matching.invocation(hook({}, rules=rules, matchPolicy="Exact"), attributes(), lambda: versions) is None


def test_nobody_looks_for_other_versions_of_a_resource_that_no_rule_names() -> None:
    def never() -> list[Any]:
        raise AssertionError

    assert matching.invocation(hook({"resources": ["pods"]}), attributes(), never) is None


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        ({}, {}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "b"}, True),
        ({"matchLabels": {"a": "b"}}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, {"a": "c"}, False),
    ],
)
def test_selectors_are_about_namespaces_and_objects(
    selector: dict[str, Any], labels: dict[str, str], *, selected: bool
) -> None:
    obj = {"metadata": {"labels": labels}}
    by_namespace, by_object = hook({}, namespaceSelector=selector), hook({}, objectSelector=selector)
    assert matching.selects(by_namespace, attributes(obj=obj), lambda: labels) == selected
    assert matching.selects(by_object, attributes(obj=obj), dict) == selected
    assert matching.selects(by_object, attributes(old=obj), dict) == selected


def test_a_namespace_selector_passes_what_has_no_namespace() -> None:
    selecting = hook({}, namespaceSelector={"matchLabels": {"a": "b"}})
    assert matching.selects(selecting, attributes(namespace=""), dict)


def test_webhooks_come_by_the_name_of_their_configuration_then_in_its_order() -> None:
    def configuration(name: str, *hook_names: str) -> dict[str, Any]:
        found = [{"name": one, "clientConfig": {"url": "https://x"}} for one in hook_names]
        return {"metadata": {"name": name}, "webhooks": found}

    stored = [configuration("b", "1.x.y"), configuration("a", "3.x.y", "2.x.y")]
    assert [one.name for one in hooks.read(stored, mutating=True)] == ["3.x.y", "2.x.y", "1.x.y"]
