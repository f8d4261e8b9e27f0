"""Kinds whose rules are few: configuration, discovery, leases, events, classes, policies, webhooks, namespaces."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from kubelab.apiserver.builtin import names, selectors
from kubelab.apiserver.builtin.claims import Claims, FullError, TakenError
from kubelab.apiserver.builtin.leases import micro_time
from kubelab.objects import GroupResource, Object

CONFIG_MAPS = GroupResource("", "configmaps")
SECRETS = GroupResource("", "secrets")
NAMESPACES = GroupResource("", "namespaces")
EVENTS = GroupResource("", "events")
NEW_EVENTS = GroupResource("events.k8s.io", "events")
LEASES = GroupResource("coordination.k8s.io", "leases")
SLICES = GroupResource("discovery.k8s.io", "endpointslices")
ENDPOINTS = GroupResource("", "endpoints")
POLICIES = GroupResource("networking.k8s.io", "networkpolicies")
PRIORITIES = GroupResource("scheduling.k8s.io", "priorityclasses")
RUNTIMES = GroupResource("node.k8s.io", "runtimeclasses")
BUDGETS = GroupResource("policy", "poddisruptionbudgets")
HOOKS = GroupResource("admissionregistration.k8s.io", "mutatingwebhookconfigurations")
REVISIONS = GroupResource("apps", "controllerrevisions")
STATEFUL_SETS = GroupResource("apps", "statefulsets")
JOBS = GroupResource("batch", "jobs")
CRON_JOBS = GroupResource("batch", "cronjobs")
STORAGE = GroupResource("storage.k8s.io", "storageclasses")

_HOOK = {
    "name": "a.b.c",
    "clientConfig": {"url": "https://h/x"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
_RULE = {"operations": ["CREATE"], "apiGroups": ["x"], "apiVersions": ["v1"], "resources": ["xs"]}


@pytest.mark.parametrize(
    ("resource", "body", "message"),
    [
        (CONFIG_MAPS, {"data": {"a b": "c"}}, 'data[a b]: Invalid value: "a b": a valid config key must consist of'),
        (CONFIG_MAPS, {"data": {"..": "c"}}, "data[..]: Invalid value: \"..\": must not be '..'"),
        (CONFIG_MAPS, {"data": {"a": "x"}, "binaryData": {"a": "eA=="}}, "duplicate of key present in binaryData"),
        (CONFIG_MAPS, {"data": {"a": "x" * (1 << 20) + "y"}}, "Too long: may not be more than 1048576 bytes"),
        (SECRETS, {"type": "kubernetes.io/tls", "data": {}}, "data[tls.crt]: Required value"),
        (SECRETS, {"type": "kubernetes.io/basic-auth"}, "data[username]: Required value"),
        (
            SECRETS,
            {"type": "kubernetes.io/service-account-token"},
            "metadata.annotations[kubernetes.io/service-account.name]: Required value",
        ),
        (LEASES, {"spec": {"leaseDurationSeconds": 0}}, "spec.leaseDurationSeconds: Invalid value: 0: must be greater"),
        (LEASES, {"spec": {"leaseTransitions": -1}}, "spec.leaseTransitions: Invalid value: -1"),
        (EVENTS, {"involvedObject": {"namespace": "other"}}, "does not match event.namespace"),
        (NEW_EVENTS, {"regarding": {"namespace": "default"}, "type": "Odd"}, "eventTime: Required value"),
        (SLICES, {}, "addressType: Required value"),
        (SLICES, {"addressType": "IPv5"}, 'supported values: "FQDN", "IPv4", "IPv6"'),
        (
            SLICES,
            {"addressType": "IPv4", "endpoints": [{"addresses": ["2001:db8::1"]}]},
            'endpoints[0].addresses: Invalid value: "2001:db8::1": must be an IPv4 address',
        ),
        (SLICES, {"addressType": "IPv4", "endpoints": [{}]}, "endpoints[0].addresses: Required value"),
        (SLICES, {"addressType": "IPv4", "ports": [{"port": 80}, {"port": 81}]}, "ports[1].name: Duplicate value"),
        (ENDPOINTS, {"subsets": [{}]}, "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"),
        (ENDPOINTS, {"subsets": [{"addresses": [{"ip": "x"}]}]}, "subsets[0].addresses[0].ip: Invalid value"),
        (POLICIES, {"spec": {"policyTypes": ["Nope"]}}, 'Unsupported value: "Nope": supported values: "Egress"'),
        (POLICIES, {"spec": {"ingress": [{"from": [{}]}]}}, "spec.ingress[0].from[0]: Required value"),
        (POLICIES, {"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "x"}}]}]}}, "must be a valid CIDR value"),
        (POLICIES, {"spec": {"ingress": [{"ports": [{"port": 0}]}]}}, "spec.ingress[0].ports[0].port: Invalid value"),
        (PRIORITIES, {"value": 2_000_000_000}, "maximum allowed value of a user defined priority is 1000000000"),
        (PRIORITIES, {"value": 1, "preemptionPolicy": "Nope"}, "preemptionPolicy: Unsupported value"),
        (RUNTIMES, {"handler": ""}, "handler: Invalid value"),
        (BUDGETS, {"spec": {"minAvailable": 1, "maxUnavailable": 1}}, "cannot be both set"),
        (BUDGETS, {"spec": {"minAvailable": "x%"}}, "a valid percent string must be a numeric string"),
        (REVISIONS, {}, "data: Required value: data is mandatory"),
        (HOOKS, {"webhooks": [_HOOK, _HOOK]}, 'webhooks[1].name: Duplicate value: "a.b.c"'),
        (HOOKS, {"webhooks": [_HOOK | {"timeoutSeconds": 31}]}, "must be between 1 and 30 seconds"),
        (
            HOOKS,
            {"webhooks": [_HOOK | {"clientConfig": {"url": "http://h"}}]},
            "'https' is the only allowed URL scheme",
        ),
        (HOOKS, {"webhooks": [_HOOK | {"clientConfig": {"service": {"name": "s"}}}]}, "service namespace is required"),
        (HOOKS, {"webhooks": [_HOOK | {"rules": [_RULE | {"operations": []}]}]}, "rules[0].operations: Required value"),
        (HOOKS, {"webhooks": [_HOOK | {"rules": [_RULE | {"apiGroups": ["*", "x"]}]}]}, "if '*' is present"),
        (
            HOOKS,
            {"webhooks": [_HOOK | {"admissionReviewVersions": ["v9"]}]},
            "must include at least one of v1, v1beta1",
        ),
        (
            HOOKS,
            {"webhooks": [{**_HOOK, "sideEffects": None}]},
            "sideEffects: Required value: must specify one of None",
        ),
        (HOOKS, {"webhooks": [_HOOK | {"reinvocationPolicy": "Nope"}]}, "reinvocationPolicy: Unsupported value"),
    ],
)
def test_what_breaks_a_rule_is_refused(
    desk: Any, refused: Any, resource: GroupResource, body: Object, message: str
) -> None:
    error = refused(desk.create, resource, {"metadata": {"name": "x"}} | body)
    assert error.code == 422
    assert message in error.message


@pytest.mark.parametrize(
    ("resource", "body", "field", "expected"),
    [
        (SECRETS, {"stringData": {"a": "b"}}, "data", {"a": base64.b64encode(b"b").decode()}),
        (SECRETS, {}, "type", "Opaque"),
        (
            SLICES,
            {"addressType": "IPv4", "ports": [{"port": 80}]},
            "ports",
            [{"port": 80, "name": "", "protocol": "TCP"}],
        ),
        (SLICES, {"addressType": "IPv4", "endpoints": []}, "endpoints", None),
        (
            POLICIES,
            {"spec": {"egress": [{}]}},
            "spec",
            {"egress": [{}], "podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        ),
        (LEASES, {"spec": {"renewTime": "2026-01-01T00:00:00Z"}}, "spec", {"renewTime": "2026-01-01T00:00:00.000000Z"}),
        (BUDGETS, {}, "status", {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}),
        (STORAGE, {"provisioner": "p"}, "reclaimPolicy", "Delete"),
        (EVENTS, {"involvedObject": {"namespace": "default"}}, "source", {}),
        (ENDPOINTS, {"subsets": []}, "subsets", None),
    ],
)
def test_what_is_left_out_is_filled_in(
    desk: Any, resource: GroupResource, body: Object, field: str, expected: Any
) -> None:
    assert desk.create(resource, {"metadata": {"name": "x"}} | body).get(field) == expected


def test_an_immutable_config_map_stays(desk: Any, refused: Any) -> None:
    desk.create(CONFIG_MAPS, {"metadata": {"name": "x"}, "data": {"a": "b"}, "immutable": True})
    error = refused(desk.update, CONFIG_MAPS, "default", "x", lambda obj: obj.update(data={"a": "c"}))
    assert "data: Forbidden: field is immutable when `immutable` is set" in error.message
    error = refused(desk.update, CONFIG_MAPS, "default", "x", lambda obj: obj.update(immutable=False))
    assert "immutable: Forbidden" in error.message


@pytest.mark.parametrize(
    ("resource", "body", "change", "message"),
    [
        (SECRETS, {}, {"type": "other"}, "type: Invalid value"),
        (SLICES, {"addressType": "IPv4"}, {"addressType": "IPv6"}, "addressType: Invalid value"),
        (PRIORITIES, {"value": 1}, {"value": 2}, "value: Forbidden: may not be changed in an update."),
        (RUNTIMES, {"handler": "a"}, {"handler": "b"}, "handler: Invalid value"),
        (REVISIONS, {"data": {"a": 1}}, {"data": {"a": 2}}, "data: Invalid value"),
    ],
)
def test_what_stays_stays(
    desk: Any, refused: Any, resource: GroupResource, body: Object, change: Object, message: str
) -> None:
    desk.create(resource, {"metadata": {"name": "x"}} | body)
    namespace = "default" if desk.info(resource).namespaced else ""
    assert message in refused(desk.update, resource, namespace, "x", lambda obj: obj.update(change)).message


def test_a_namespace_carries_its_name_and_its_finalizer(desk: Any) -> None:
    created = desk.create(NAMESPACES, {"metadata": {"name": "n", "labels": {"a": "b"}}})
    assert created["metadata"]["labels"] == {"a": "b", "kubernetes.io/metadata.name": "n"}

    def strip(obj: Object) -> None:
        obj["spec"] = {"finalizers": []}
        obj["metadata"]["labels"] = None

    updated = desk.update(NAMESPACES, "", "n", strip)
    assert updated["spec"] == {"finalizers": ["kubernetes"]}
    assert updated["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}
    assert desk.update(NAMESPACES, "", "n", strip, "finalize")["spec"] == {"finalizers": []}


_CONTAINERS = [{"name": "c", "image": "i:1"}]


def test_stateful_sets_have_defaults(desk: Any) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": _CONTAINERS}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "serviceName": "s", "template": template}
    created = desk.create(STATEFUL_SETS, {"metadata": {"name": "x"}, "spec": spec})
    assert created["spec"]["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert created["status"] == {"replicas": 0, "availableReplicas": 0}


def test_jobs_select_their_own_pods(desk: Any) -> None:
    template = {"spec": {"containers": _CONTAINERS, "restartPolicy": "Never"}}
    created = desk.create(JOBS, {"metadata": {"name": "x", "uid": "u"}, "spec": {"template": template}})
    assert created["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}
    assert created["spec"]["completions"] == 1
    spec = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}
    cron = desk.create(CRON_JOBS, {"metadata": {"name": "y"}, "spec": spec})
    assert cron["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 6


def test_jobs_pods_end(desk: Any, refused: Any) -> None:
    body = {"metadata": {"name": "x"}, "spec": {"template": {"spec": {"containers": _CONTAINERS}}}}
    message = 'Unsupported value: "Always": supported values: "Never", "OnFailure"'
    assert message in refused(desk.create, JOBS, body).message


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"),
        ("2026-01-01T01:00:00.5+01:00", "2026-01-01T00:00:00.500000Z"),
        ("2026-01-01T00:00:00.123456Z", "2026-01-01T00:00:00.123456Z"),
        ("nope", "nope"),
    ],
)
def test_micro_times_have_six_digits(given: str, shown: str) -> None:
    assert micro_time(given) == shown


@pytest.mark.parametrize(
    ("syntax", "good", "bad"),
    [
        (names.dns_label, ["a", "a-1"], ["", "A", "-a", "a-", "a.b", "a" * 64]),
        (names.dns_subdomain, ["a", "a.b-c"], ["", "a..b", "a_b", "a" * 254]),
        (names.dns_label_1035, ["a1"], ["1a", ""]),
        (names.path_segment, ["system:a:b", "a b"], ["a/b", "a%b", ".", ".."]),
        (names.qualified_name, ["a", "x.org/A_b.c"], ["", "/a", "x/", "a/b/c", "X/y", "a" * 64]),
        (names.label_value, ["", "A.b_c"], ["-a", "a b", "a" * 64]),
        (names.port_name, ["http", "a-1"], ["", "1", "a--b", "-a", "a" * 16, "A"]),
        (names.config_key, ["a.b_C-d"], ["", "..", ".", "..a", "a b"]),
        (names.environment_name, ["A", "a.b", "1a"], ["", "a=b", "é"]),
    ],
)
def test_names_are_checked_by_their_syntax(syntax: names.Syntax, good: list[str], bad: list[str]) -> None:
    assert [name for name in good if syntax(name)] == []
    assert [name for name in bad if not syntax(name)] == []


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        (None, {}, False),
        ({}, {}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "c"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, {"a": "b"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}, True),
    ],
)
def test_labels_are_selected(selector: Object | None, labels: dict[str, str], selected: Any) -> None:
    assert selectors.matches(selector, labels) is selected


@pytest.mark.parametrize(
    ("expression", "shown", "problem"),
    [
        ({"key": "a", "operator": "In", "values": ["c", "b"]}, "a in (b,c)", ""),
        ({"key": "a", "operator": "NotIn", "values": ["b"]}, "a notin (b)", ""),
        ({"key": "a", "operator": "Exists"}, "a", ""),
        ({"key": "a", "operator": "DoesNotExist"}, "!a", ""),
        ({"key": "a", "operator": "In"}, None, "must be specified when `operator` is 'In' or 'NotIn'"),
        ({"key": "a", "operator": "Exists", "values": ["b"]}, None, "may not be specified when `operator` is"),
        ({"key": "a", "operator": "Odd"}, None, "not a valid selector operator"),
        ({"key": "-", "operator": "Exists"}, None, "name part must consist of alphanumeric characters"),
    ],
)
def test_selectors_are_shown_or_refused(expression: Object, shown: str | None, problem: str) -> None:
    selector = {"matchExpressions": [expression]}
    errors = selectors.selector_errors(selector, "s")
    if problem:
        assert problem in str(errors[0])
    else:
        assert (errors, selectors.shown(selector)) == ([], shown)


def test_asked_for_numbers_are_kept_free_as_long_as_others_are() -> None:
    claims = Claims(0, 99, 10, lambda _holder, _number: True)
    drawn = [claims.next(("n", str(number)), "2026-01-01T00:00:00Z", lambda n: n - 1) for number in range(90)]
    assert sorted(drawn) == list(range(10, 100))
    claims.take(5, ("n", "asks"), "2026-01-01T00:00:00Z")
    with pytest.raises(TakenError):
        claims.take(5, ("n", "other"), "2026-01-01T00:00:00Z")
    for number in range(9):
        claims.next(("n", f"late{number}"), "2026-01-01T00:00:00Z", lambda _n: 0)
    with pytest.raises(FullError):
        claims.next(("n", "last"), "2026-01-01T00:00:00Z", lambda _n: 0)
