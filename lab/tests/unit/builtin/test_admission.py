"""Admission: what is added to pods and refused, measured against recorded refusals and the Pod Security standards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiserver.builtin import admission, podsecurity
from kubelab.objects import GroupResource, Object

_VECTORS = Path(__file__).parents[2] / "vectors" / "apiserver"
PODS, NAMESPACES, ACCOUNTS = admission.PODS, admission.NAMESPACES, admission.ACCOUNTS
CONFIG_MAPS = GroupResource("", "configmaps")


def _recorded(file: str, name: str) -> Object:
    lines = (_VECTORS / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()
    return next(line for line in map(json.loads, lines) if line["name"] == name)


def _pod(**spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i:1"}]} | spec}


def test_nothing_is_made_in_a_namespace_that_is_not_there(guarded: Any, refused: Any) -> None:
    line = _recorded("services", "namespace not there")
    error = refused(guarded.create, GroupResource("", "services"), line["body"], "nosuch")
    assert error.status() == line["response"]


def test_nothing_is_made_in_a_namespace_that_goes(guarded: Any, refused: Any) -> None:
    guarded.create(NAMESPACES, {"metadata": {"name": "gone"}})
    guarded.store.objects[NAMESPACES, "", "gone"]["status"]["phase"] = "Terminating"
    line = _recorded("deletion", "nothing new in it")
    assert refused(guarded.create, CONFIG_MAPS, line["body"], "gone").status() == line["response"]


def test_the_first_namespaces_stay(guarded: Any, refused: Any) -> None:
    line = _recorded("deletion", "default namespace stays")
    context = guarded.context(NAMESPACES, "default", "default")
    error = refused(admission.admit, "DELETE", {"metadata": {"name": "default"}}, None, context)
    assert error.status() == line["response"]


def test_a_pod_without_an_account_is_refused(guarded: Any, refused: Any) -> None:
    error = refused(guarded.create, PODS, _pod(serviceAccountName="nosuch"))
    assert error.message == (
        'pods "p" is forbidden: error looking up service account default/nosuch: serviceaccount "nosuch" not found'
    )


def test_a_pod_that_will_be_named_later_is_called_by_its_prefix(guarded: Any, refused: Any) -> None:
    body = _pod(serviceAccountName="nosuch")
    body["metadata"] = {"generateName": "web-"}
    assert refused(guarded.create, PODS, body).message.startswith('pods "web-" is forbidden')


@pytest.mark.parametrize("where", ["pod", "account"])
def test_no_token_is_mounted_where_none_is_wanted(guarded: Any, where: str) -> None:
    guarded.create(ACCOUNTS, {"metadata": {"name": "a"}, "automountServiceAccountToken": where != "account"})
    body = _pod(serviceAccountName="a", **({"automountServiceAccountToken": False} if where == "pod" else {}))
    assert "volumes" not in guarded.create(PODS, body)["spec"]


def test_a_mount_of_ones_own_is_left_alone(guarded: Any) -> None:
    mount = {"name": "v", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    containers = [{"name": "c", "image": "i:1", "volumeMounts": [mount]}]
    spec = guarded.create(PODS, _pod(containers=containers, volumes=[{"name": "v"}]))["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["v"]


def test_an_accounts_pull_secrets_become_the_pods(guarded: Any) -> None:
    guarded.create(ACCOUNTS, {"metadata": {"name": "a"}, "imagePullSecrets": [{"name": "s"}]})
    assert guarded.create(PODS, _pod(serviceAccountName="a"))["spec"]["imagePullSecrets"] == [{"name": "s"}]


def test_system_classes_are_known(guarded: Any) -> None:
    spec = guarded.create(PODS, _pod(priorityClassName="system-node-critical"))["spec"]
    assert spec["priority"] == 2_000_001_000


def test_the_default_class_is_given_to_pods_without_one(guarded: Any) -> None:
    body = {"metadata": {"name": "usual"}, "value": 5, "globalDefault": True, "preemptionPolicy": "Never"}
    guarded.create(admission.PRIORITY_CLASSES, body)
    spec = guarded.create(PODS, _pod())["spec"]
    assert (spec["priorityClassName"], spec["priority"], spec["preemptionPolicy"]) == ("usual", 5, "Never")


def test_a_number_that_is_not_its_classes_is_refused(guarded: Any, refused: Any) -> None:
    message = refused(guarded.create, PODS, _pod(priority=7)).message
    assert "the integer value of priority (7) must not be provided in pod spec" in message


def test_a_runtime_class_brings_its_overhead_and_its_nodes(guarded: Any, refused: Any) -> None:
    body = {
        "metadata": {"name": "r"},
        "handler": "runc",
        "overhead": {"podFixed": {"cpu": "100m"}},
        "scheduling": {"nodeSelector": {"kind": "x"}, "tolerations": [{"key": "t", "operator": "Exists"}]},
    }
    guarded.create(admission.RUNTIME_CLASSES, body)
    spec = guarded.create(PODS, _pod(runtimeClassName="r"))["spec"]
    assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "100m"}, {"kind": "x"})
    assert {"key": "t", "operator": "Exists"} in spec["tolerations"]
    error = refused(guarded.create, PODS, _pod(runtimeClassName="r", nodeSelector={"kind": "y"}))
    assert "conflict: runtimeClass.scheduling.nodeSelector[kind] = x" in error.message


def test_tolerations_of_ones_own_are_kept(guarded: Any) -> None:
    own = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2}
    tolerations = guarded.create(PODS, _pod(tolerations=[own]))["spec"]["tolerations"]
    assert [one.get("tolerationSeconds") for one in tolerations] == [2, 300]
    everything = {"operator": "Exists"}
    assert guarded.create(PODS, _pod(tolerations=[everything]))["spec"]["tolerations"] == [everything]


def _space(desk: Any, **labels: str) -> None:
    metadata = {
        "name": "strict",
        "labels": {f"pod-security.kubernetes.io/{mode}": level for mode, level in labels.items()},
    }
    desk.create(NAMESPACES, {"metadata": metadata})
    desk.create(ACCOUNTS, {"metadata": {"name": "default"}}, "strict")


def test_a_namespaces_level_is_enforced(guarded: Any, refused: Any) -> None:
    _space(guarded, enforce="baseline")
    containers = [{"name": "c", "image": "i:1", "securityContext": {"privileged": True}}]
    error = refused(guarded.create, PODS, _pod(containers=containers, hostNetwork=True), "strict")
    assert error.message == (
        'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true), '
        'privileged (container "c" must not set securityContext.privileged=true)'
    )
    assert guarded.create(PODS, _pod(), "strict")["status"]["phase"] == "Pending"


def test_a_level_may_only_warn(guarded: Any) -> None:
    _space(guarded, warn="restricted")
    guarded.create(PODS, _pod(), "strict")
    (warning,) = guarded.warnings
    assert warning == (
        'would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "c" must set '
        'securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set '
        'securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set '
        'securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set '
        'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )


def test_a_deployment_is_warned_about_not_refused(guarded: Any) -> None:
    _space(guarded, enforce="baseline", warn="baseline")
    template = {"metadata": {"labels": {"a": "b"}}, "spec": _pod(hostNetwork=True)["spec"]}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    guarded.create(GroupResource("apps", "deployments"), {"metadata": {"name": "d"}, "spec": spec}, "strict")
    assert guarded.warnings == ['would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)']


def _container(**security: Any) -> list[Object]:
    return [{"name": "c", "image": "i:1", "securityContext": security}]


_IN_ADD = "in securityContext.capabilities.add"
_STRICT = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.mark.parametrize(
    ("level", "spec", "problems"),
    [
        ("privileged", {"containers": _container(privileged=True)}, []),
        (
            "baseline",
            {"containers": _container(capabilities={"add": ["NET_RAW", "CHOWN", "NET_ADMIN"]})},
            [f'non-default capabilities (container "c" must not include "NET_ADMIN", "NET_RAW" {_IN_ADD})'],
        ),
        (
            "baseline",
            {"containers": [], "volumes": [{"name": "a", "hostPath": {}}, {"name": "b", "hostPath": {}}]},
            ['hostPath volumes (volumes "a", "b")'],
        ),
        (
            "baseline",
            {"containers": [{"name": "c", "ports": [{"hostPort": 80}]}]},
            ['hostPort (container "c" uses hostPort 80)'],
        ),
        (
            "baseline",
            {"containers": _container(seccompProfile={"type": "Unconfined"})},
            ['seccompProfile (container "c" must not set securityContext.seccompProfile.type to "Unconfined")'],
        ),
        (
            "baseline",
            {"containers": [], "securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}},
            ["forbidden sysctls (kernel.msgmax)"],
        ),
        ("restricted", {"containers": _container(**_STRICT)}, []),
        (
            "restricted",
            {"containers": _container(**_STRICT), "volumes": [{"name": "v", "hostPath": {}}]},
            ['restricted volume types (volume "v" uses restricted volume type "hostPath")'],
        ),
        (
            "restricted",
            {"containers": _container(**{**_STRICT, "runAsNonRoot": False})},
            ['runAsNonRoot != true (container "c" must not set securityContext.runAsNonRoot=false)'],
        ),
        (
            "restricted",
            {"containers": _container(**{**_STRICT, "runAsUser": 0})},
            ['runAsUser=0 (container "c" must not set runAsUser=0)'],
        ),
        (
            "restricted",
            {"containers": _container(**{**_STRICT, "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}})},
            [f'unrestricted capabilities (container "c" must not include "NET_RAW" {_IN_ADD})'],
        ),
    ],
)
def test_a_level_names_what_it_does_not_allow(level: str, spec: Object, problems: list[str]) -> None:
    assert podsecurity.violations(level, spec) == problems
